"""Page-locked memory, streams of other libraries, and the streams of backward."""
from ...autograd._engine import set_streams
from ...tensor._base_modes import set_stream_hook
from ...tensor._devices import provide
from .. import _backend


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
def note_streams(node):
    """Keep a new node's streams where one is not the default."""
    found = {device: _backend.get_stream(device) for device in range(_backend.device_count())}
    if any(found.values()):
        node._set_streams(found)


def enter(node):
    """Make a node's streams current; returns what :func:`leave` needs, or None where nothing changes."""
    wanted = node._get_streams()
    changed = []
    for device in range(_backend.device_count()):
        now, then = _backend.get_stream(device), 0 if wanted is None else wanted[device]
        if now != then:
            _order(device, now, then)
            _backend.set_stream(device, then)
            changed.append((device, now, then))
    return changed or None


def leave(changed):
    for device, before, used in changed:
        _backend.set_stream(device, before)
        _order(device, used, before)


def streams_are_used():
    """Somebody chose a stream for the first time: nodes remember theirs from now on."""
    set_stream_hook(note_streams)
    set_streams((enter, leave))


provide("cuda", {"pinned": _backend.HostBlock, "is_pinned": _backend.is_pinned, "waiting": _backend.waiting, "stream_number": stream_number,
                 "stream_for": stream_for, "stream_after": stream_after, "record_stream": record_stream,
                 "device_of_pointer": _backend.device_of_pointer})
