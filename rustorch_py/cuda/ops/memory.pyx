"""Page-locked memory, streams of other libraries, and the streams of backward."""
from ...autograd._engine import set_streams
from ...tensor._base_modes import set_stream_hook
from ...tensor._devices import provide
from libc.stdint cimport uint32_t
from ...tensor._base cimport TensorBase, alias, version_of
from ...tensor._node cimport Node
from ...tensor._plan cimport full_
from .. import _backend
from .._backend cimport capturing, started, stream_handle


def stream_number(device):
    """This thread's current stream as DLPack and the CUDA array interface name it: 1 is the default one."""
    return _backend.get_stream(device) or 1


def _handle(stream):
    """The handle behind a number or a Stream; None is the default one."""
    if stream is None:
        return 0
    if not isinstance(stream, int):
        return stream.cuda_stream
    if stream in (0, 2):
        raise BufferError(f"stream {stream} is {'ambiguous' if stream == 0 else 'the per-thread default stream, which is not supported'}; "
                          "expected an address, 1 for the default stream, or None")
    return 0 if stream == 1 else stream


def _order(device, first, then):
    """Let a stream wait for what another one has been given."""
    if first == then:
        return
    event = _backend.new_event(device, False, False)
    try:
        _backend.record_event(device, event, first)
        _backend.stream_wait(device, then, event)
    finally:
        _backend.drop_event(device, event)


def stream_for(t, stream):
    """A consumer's stream waits for the current one."""
    _order(t.get_device(), _backend.get_stream(t.get_device()), _handle(stream))


def stream_after(device, stream):
    """The current stream waits for a producer's."""
    _order(device, _handle(stream), _backend.get_stream(device))


def record_stream(t, block, stream):
    _backend.use_stream(t.get_device(), block, stream.cuda_stream)


# Note [Streams of backward]: a node keeps the streams that were current when it was recorded. Backward makes them current while the node
# runs: they wait for the caller's streams first, and the caller's wait for them afterwards, so every gradient is ready wherever it is read.
cdef bint all_default() noexcept:
    """Whether this thread's work goes to the default stream of every device."""
    cdef int device
    for device in range(started()):
        if stream_handle(device):
            return False
    return True


def note_streams(Node node):
    """Keep a new node's streams where one is not the default."""
    if not all_default():
        node._set_streams({device: stream_handle(device) for device in range(started())})


def enter(Node node):
    """Make a node's streams current; returns what :func:`leave` needs, or None where nothing changes."""
    cdef int device
    cdef size_t now, then
    if node.extra is None and all_default():
        return None
    wanted = node._get_streams()
    changed = []
    for device in range(started()):
        now = stream_handle(device)
        then = 0 if wanted is None else wanted[device]
        if now != then:
            _order(device, now, then)
            _backend.set_stream(device, then)
            changed.append((device, now, then))
    return changed or None


def leave(changed):
    for device, before, used in changed:
        _backend.set_stream(device, before)
        _order(device, used, before)


cdef dict ones = {}                      # (dtype, device, stream) -> a 1 that gradients begin with


def one(TensorBase t):
    """A 0-dim 1 of t's dtype that is not written to, or None: one of its own is to be made.

    It is filled once a stream. Who writes into it nevertheless (a hook) is seen by its version: then there is a new one next time.
    """
    cdef TensorBase found
    cdef tuple key = (t.dt, t.dev, stream_handle(t.dev >> 8))
    held = ones.get(key)
    if held is None or version_of(<TensorBase>held[0]) != <uint32_t>held[1]:
        if capturing():                  # what is captured has numbers only when the graph is replayed
            return None
        found = full_(0, NULL, 1, t.dt, t.dev)
        held = ones[key] = found, version_of(found)
    return alias(<TensorBase>held[0])


def is_capturing():
    """Tell whether a graph is captured."""
    return capturing() != 0


def streams_are_used():
    """Somebody chose a stream for the first time: nodes remember theirs from now on."""
    set_stream_hook(note_streams)
    set_streams((enter, leave))


provide("cuda", {"pinned": _backend.HostBlock, "is_pinned": _backend.is_pinned, "waiting": _backend.waiting, "stream_number": stream_number,
                 "stream_for": stream_for, "stream_after": stream_after, "record_stream": record_stream,
                 "capturing": is_capturing, "one": one, "device_of_pointer": _backend.device_of_pointer})
