"""Convolutions and attention by cuDNN's graphs, where NVIDIA's frontend for them and cuDNN itself are installed.

The frontend (module ``cudnn``) is imported at the first convolution or attention on a device. A graph is described and a plan built for
it when a signature - product, dtype, sizes, strides, switches - is first met; what cuDNN refuses is remembered and goes to the kernels
of this package, as everything does where the frontend is missing. :func:`plans` tells what runs.

Note [Layouts of convolutions]
As in PyTorch, the three tensors of a product are all row-major or all with their channels innermost; the result says which, an operand
in another order is copied. A dimension of size 1 has any stride: it gets the one that a packed tensor of the order would have, which
is what cuDNN reads the order from. One dimension of space is a second one of size 1 in front of it.
"""
import ctypes
import os
import threading
from importlib.util import find_spec

from ..autograd import no_grad
from ..errors import OutOfMemoryError
from ..tensor._dtype import _dtype_by_name, channels_last, channels_last_3d, contiguous_format
from ..tensor._switches import are_deterministic_algorithms_enabled
from . import _backend, _dnn_switches as switches

FORWARD, INPUT, WEIGHT = range(3)
# not float64: the frontend hands convolutions' factors over as float32, where cuDNN reads float64 (seen with 1.22 and cuDNN 9.19: zeros)
NAMES = {_dtype_by_name("float16"): "HALF", _dtype_by_name("bfloat16"): "BFLOAT16", _dtype_by_name("float32"): "FLOAT"}
HALVES = (_dtype_by_name("float16"), _dtype_by_name("bfloat16"))
FLOAT32, UINT8 = _dtype_by_name("float32"), _dtype_by_name("uint8")
ALIGNMENT = 16                      # bytes; cuDNN's kernels may load that much at a time
FEATURES = 8                        # heads' sizes and steps are multiples of this
WIDEST = 256
MOST = 10000                        # signatures; then all are forgotten
WORKSPACE = 4 << 30                 # plans that ask for more are not considered


class Plan:
    """A graph with a plan that is built. copies: formats that operands are brought into first, or None; index, workspace, name: the plan's;
    ran: it has run once."""

    __slots__ = ("graph", "copies", "index", "workspace", "name", "ran")

    def __init__(self, graph, copies):
        self.graph, self.copies, self.ran = graph, copies, False

    def take(self, index):
        self.index, self.workspace, self.name = index, self.graph.get_workspace_size_plan_at_index(index), self.graph.get_plan_name_at_index(index)


_found = {}                         # signature -> Plan, or why there is none
_library = False                    # the frontend; None: there is none; False: not looked for
_why = None
_handles = threading.local()


# ---- the library -----------------------------------------------------------------------------------------------------
def library():
    """Return the frontend's module, or None where it, cuDNN or a device is missing; looked for once."""
    global _library, _why
    if _library is False:
        software = _backend.library() is not None
        try:
            if not software:
                _open_cudnn()
            import cudnn
            if software and not getattr(cudnn, "SOFTWARE", False):
                raise ImportError("the software device's memory is not a GPU's")
            cudnn.backend_version()
            _library = cudnn
        except Exception as error:          # whatever a foreign package's import may raise
            _library, _why = None, f"{type(error).__name__}: {error}"
    return _library


def why_not():
    """Return why :func:`library` is None, as text."""
    return None if library() is not None else _why


def _open_cudnn():
    """Load the libraries of NVIDIA's wheels, wherever they are installed: the frontend takes what is loaded. cuDNN ends the process
    when it does not find cuBLAS, so that is asked for first."""
    for package, names in (("cu13", ("libcublasLt.so.13",)), ("cudnn", ("libcudnn.so.9",))):
        try:
            spec = find_spec("nvidia." + package)
        except ImportError:                 # no wheel of NVIDIA's
            spec = None
        found = [os.path.join(folder, "lib", name) for folder in (spec.submodule_search_locations or () if spec else ()) for name in names]
        ctypes.CDLL(next((path for path in found if os.path.exists(path)), names[0]), ctypes.RTLD_GLOBAL)


def plans():
    """Return what was met so far: a list of (operation, dtype, sizes and more as a tuple, name of cuDNN's plan or why it is not used)."""
    return [(key[0], key[2], key[3:], found if isinstance(found, str) else "cuDNN: " + found.name) for key, found in _found.items()]


def forget():
    """Forget all plans."""
    _found.clear()


def _handle(device):
    """This thread's handle on a device, on the current stream."""
    stream = _backend.enter(device)
    held = _handles.__dict__.get(device)
    if held is None:
        held = _handles.__dict__[device] = [_library.create_handle(), None]
    if held[1] != stream:
        _library.set_stream(handle=held[0], stream=stream)
        held[1] = stream
    return held[0]


# ---- plans -----------------------------------------------------------------------------------------------------------
def _text(error):
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no reason given'])[0]}"


def _get(key, describe, time=None):
    """The plan of a signature that is new, or None. describe: makes (graph, copies, notes that a plan must not have) with a handle;
    time: tells how long a plan of a graph takes."""
    try:
        found = _build(describe(_handle(key[1])), time)
    except Exception as error:              # the frontend's own types and RuntimeError, by version
        if _backend.is_capturing(key[1], _backend.get_stream(key[1])):
            return None                     # what a capture forbids may do later
        found = _text(error)
    if len(_found) >= MOST:
        _found.clear()
    _found[key] = found
    return found


def _build(described, time):
    graph, copies, unwanted = described
    graph.validate()
    graph.build_operation_graph()
    graph.create_execution_plans([_library.heur_mode.A, _library.heur_mode.FALLBACK])
    if unwanted:
        graph.deselect_numeric_notes(unwanted)
    graph.deselect_workspace_greater_than(WORKSPACE)
    graph.check_support()
    plan = Plan(graph, copies)
    index = None if time is None else _fastest(graph, time)
    plan.take(_first(graph, 0) if index is None else index)
    return plan


def _first(graph, start):
    """The number of the first plan from `start` on that builds. Raises what the last one raises."""
    why = RuntimeError("no plan is left")
    for index in range(start, graph.get_execution_plan_count()):
        try:
            graph.build_plan_at_index(index)
            return index
        except Exception as error:          # deselected, or not for this device
            why = error
    raise why


def _fastest(graph, time):
    """The number of the plan that takes least time, or None."""
    best, index = None, None
    for i in range(min(graph.get_execution_plan_count(), switches.benchmark_limit or 1 << 30)):
        try:
            graph.build_plan_at_index(i)
            took = time(graph, i)
        except Exception:                   # deselected, does not build or does not run
            continue
        if best is None or took < best:
            best, index = took, i
    return index


def _run(key, plan, pointers, like):
    """Run a plan; returns False where the package's own kernel shall do it. A first time that fails tries the plans behind it."""
    handle = _handle(key[1])
    while True:
        try:
            work = like.new_empty(plan.workspace, dtype=UINT8) if plan.workspace > 0 else None
            plan.graph.execute_plan_at_index(pointers, 0 if work is None else work.data_ptr(), plan.index, handle)
            plan.ran = True
            return True
        except OutOfMemoryError:            # of the workspace; the package's kernels need less
            return False
        except Exception as error:
            if plan.ran:
                raise
            why = _text(error)
        try:
            plan.take(_first(plan.graph, plan.index + 1))
        except Exception:                   # there is none
            _found[key] = why
            return False


def _timer(pointers, like):
    """What :func:`_fastest` measures plans with: the best of two runs in milliseconds, after one that is not counted."""
    from ._runtime import Event, current_stream

    def time(graph, index):
        handle = _handle(like.device.index)
        size = graph.get_workspace_size_plan_at_index(index)
        work = like.new_empty(size, dtype=UINT8) if size > 0 else None
        start, end, stream = Event(enable_timing=True), Event(enable_timing=True), current_stream(like.device)
        took = []
        for turn in range(3):
            start.record(stream)
            graph.execute_plan_at_index(pointers, 0 if work is None else work.data_ptr(), index, handle)
            end.record(stream)
            end.synchronize()
            took.append(start.elapsed_time(end))
        return min(took[1:])
    return time


def _tensor(graph, uid, shape, strides, kind, name):
    return graph.tensor(dim=list(shape), stride=list(strides), data_type=kind, name=name, uid=uid)


def _result(tensor, uid, shape, strides, kind):
    tensor.set_output(True).set_data_type(kind)
    tensor.set_dim(list(shape)).set_stride(list(strides)).set_uid(uid)


# ---- convolutions ----------------------------------------------------------------------------------------------------
def _order(rank, last):
    """Dimensions from the innermost to the outermost."""
    return (1, *range(rank - 1, 1, -1), 0) if last else tuple(range(rank - 1, -1, -1))


def _packed(shape, last):
    strides, step = [0] * len(shape), 1
    for d in _order(len(shape), last):
        strides[d] = step
        step *= shape[d]
    return tuple(strides)


def _is_packed(shape, strides, last):
    return all(n == 1 or s == want for n, s, want in zip(shape, strides, _packed(shape, last)))


def _arrange(shapes, strides, result):
    """(last?, which tensors are in another order than the result) of a product's tensors; see Note [Layouts of convolutions]."""
    first = [_is_packed(n, s, False) for n, s in zip(shapes, strides)]
    last = [_is_packed(n, s, True) for n, s in zip(shapes, strides)]
    innermost = last[result] and (not first[result] or any(b and not a for a, b in zip(first, last)))
    return innermost, [not ok for ok in (last if innermost else first)]


def convolution(out, mode, a, b, bias, geometry):
    """One of a convolution's products by cuDNN; arguments as :func:`.ops.conv.convolution` has them. Returns False where cuDNN doesn't do it."""
    if (library() if _library is False else _library) is None or out.dtype not in NAMES or not geometry[0] or not a.numel() or not b.numel():
        return False
    device, dtype = out.device.index, out.dtype
    tf32 = dtype is FLOAT32 and switches.allow_tf32
    steady = switches.deterministic or are_deterministic_algorithms_enabled()
    timed = switches.benchmark and not _backend.is_capturing(device, _backend.get_stream(device))
    key = ("convolution", device, dtype, mode, geometry, out.ndim, a.stride(), b.stride(), out.stride(), tf32, steady, timed)
    plan = _found.get(key)
    if plan is None:
        with no_grad():
            describe, copies = _describe_convolution(out, mode, a, b, geometry, tf32, steady)
            plan = _get(key, describe, _timer(_operands(out, a, b, copies)[0], out) if timed else None)
    if plan is None or type(plan) is str:
        return False
    pa, pb = a.data_ptr(), b.data_ptr()
    if plan.copies is None and not (pa | pb) % ALIGNMENT:
        pointers = {1: pa, 2: pb, 3: out.data_ptr()}
    else:
        with no_grad():
            pointers, held = _operands(out, a, b, plan.copies)              # held: until the work is in the stream
    if not _run(key, plan, pointers, out):
        return False
    if bias is not None:
        with no_grad():
            out.add_(bias.reshape(1, -1, *(1,) * (out.ndim - 2)))
    return True


def _operands(out, a, b, copies):
    """({1: a, 2: b, 3: out} as addresses, the operands themselves), in the order and alignment that the graph wants."""
    given = []
    for t, form in zip((a, b), copies or (None, None)):
        if form is not None:
            t = t.contiguous(memory_format=form)
        given.append(t.clone() if t.data_ptr() % ALIGNMENT else t)
    return {1: given[0].data_ptr(), 2: given[1].data_ptr(), 3: out.data_ptr()}, given


def _describe_convolution(out, mode, a, b, geometry, tf32, steady):
    """(function that makes the graph, which operands are copied into which order)."""
    c = _library
    flat = out.ndim == 3
    tensors = (a, b, out)
    shapes, strides = [tuple(t.shape) for t in tensors], [t.stride() for t in tensors]
    last, other = _arrange(shapes, strides, 2)
    if other[2]:
        raise AssertionError("convolution: the result is in no order")
    form = contiguous_format if not last else channels_last if out.ndim == 4 else channels_last_3d
    copies = [form if wrong else None for wrong in other[:2]] if other[0] or other[1] else None
    if flat:
        shapes = [(*n[:2], 1, n[2]) for n in shapes]
    steps = [_packed(n, last) for n in shapes]
    stride, padding, dilation = (list(geometry[i:i + 3][1 if flat or out.ndim == 4 else 0:]) for i in (13, 16, 19))
    kind = getattr(c.data_type, NAMES[out.dtype])
    unwanted = [c.numerical_note.NONDETERMINISTIC] if steady else []
    if out.dtype is FLOAT32:
        unwanted.append(c.numerical_note.DOWN_CONVERT_INPUTS)
        if not tf32:
            unwanted.append(c.numerical_note.TENSOR_CORE)

    def describe(handle):
        graph, _ = _graph(handle, out.dtype)
        x, y = (_tensor(graph, uid, shapes[uid - 1], steps[uid - 1], kind, name) for uid, name in ((1, "a"), (2, "b")))
        how = {"padding": padding, "stride": stride, "dilation": dilation, "compute_data_type": c.data_type.FLOAT}
        if mode == FORWARD:
            result = graph.conv_fprop(image=x, weight=y, **how)
        elif mode == INPUT:
            result = graph.conv_dgrad(loss=x, filter=y, **how)
        else:
            result = graph.conv_wgrad(image=y, loss=x, **how)
        _result(result, 3, shapes[2], steps[2], kind)
        return graph, copies, unwanted
    return describe, copies


# ---- attention -------------------------------------------------------------------------------------------------------
def _four(t):
    """Sizes and strides with image and head in front."""
    shape, strides = tuple(t.shape), t.stride()
    return (1,) * (4 - len(shape)) + shape, (shape[0] * strides[0],) * (4 - len(shape)) + strides


def _steps_fit(t):
    """Whether cuDNN may load these heads: features are neighbours, all steps whole vectors, nothing repeated."""
    strides = t.stride()
    return strides[-1] == 1 and all(n == 1 or (s > 0 and not s % FEATURES) for n, s in zip(t.shape[:-1], strides))


def _need_fit(*tensors):
    features = {t.shape[-1] for t in tensors}
    if max(features) > WIDEST or any(n % FEATURES for n in features):
        raise ValueError(f"heads of {sorted(features)} features, cuDNN wants multiples of {FEATURES} up to {WIDEST}")
    if not all(_steps_fit(t) for t in tensors):
        raise ValueError(f"strides {[t.stride() for t in tensors]}, cuDNN wants neighbouring features and steps of {FEATURES}")


def _attends(q, mask):
    return mask is None and q.dtype in HALVES and (library() if _library is False else _library) is not None


def attention(out, sums, q, k, v, mask, causal, scale):
    """Attention by cuDNN; arguments as :func:`.ops.attention.attention` has them. Returns False where cuDNN doesn't do it."""
    if not _attends(q, mask):
        return False
    device = out.device.index
    key = ("attention", device, q.dtype, q.shape, k.shape, v.shape, q.stride(), k.stride(), v.stride(), out.stride(), bool(causal), scale, sums is not None)
    plan = _found.get(key)
    if plan is None:
        plan = _get(key, lambda handle: _describe_attention(handle, out, sums, q, k, v, causal, scale))
    pq, pk, pv, po = q.data_ptr(), k.data_ptr(), v.data_ptr(), out.data_ptr()
    if plan is None or type(plan) is str or (pq | pk | pv | po) % ALIGNMENT:
        return False
    pointers = {1: pq, 2: pk, 3: pv, 4: po}
    if sums is not None:
        pointers[5] = sums.data_ptr()
    return _run(key, plan, pointers, out)


def _heads(graph, kind, *tensors):
    return [_tensor(graph, i + 1, *_four(t), kind, name) for i, (name, t) in enumerate(zip(("q", "k", "v", "o", "g"), tensors))]


def _rows(t):
    """Sizes and strides of a number for each row."""
    shape = _four(t)[0]
    return (*shape[:3], 1), (shape[1] * shape[2], shape[2], 1, 1)


def _graph(handle, dtype):
    c = _library
    kind = getattr(c.data_type, NAMES[dtype])
    return c.pygraph(handle=handle, io_data_type=kind, intermediate_data_type=c.data_type.FLOAT, compute_data_type=c.data_type.FLOAT), kind


def _describe_attention(handle, out, sums, q, k, v, causal, scale):
    _need_fit(q, k, v, out)
    graph, kind = _graph(handle, q.dtype)
    tq, tk, tv = _heads(graph, kind, q, k, v)
    result, stats = graph.sdpa(q=tq, k=tk, v=tv, generate_stats=sums is not None, attn_scale=scale, use_causal_mask=bool(causal), name="attention")
    _result(result, 4, *_four(out), kind)
    if sums is not None:
        _result(stats, 5, *_rows(q), _library.data_type.FLOAT)
    return graph, None, []


def attention_back(g, q, k, v, mask, out, sums, gq, gk, gv, causal, scale):
    """Attention's gradients by cuDNN; arguments as :func:`.ops.attention.attention_back` has them. Returns False where cuDNN doesn't do it.

    The sums are natural logarithms, as the package's own kernel stores them, so either may follow the other.
    """
    if not _attends(q, mask):
        return False
    device = out.device.index
    steady = switches.deterministic or are_deterministic_algorithms_enabled()
    if g.data_ptr() % ALIGNMENT or not _steps_fit(g):
        with no_grad():
            g = g.clone(memory_format=contiguous_format)
    key = ("attention_back", device, q.dtype, q.shape, k.shape, v.shape, q.stride(), k.stride(), v.stride(), out.stride(), bool(causal), scale,
           g.stride(), gq.stride(), gk.stride(), gv.stride(), steady)
    plan = _found.get(key)
    if plan is None:
        plan = _get(key, lambda handle: _describe_back(handle, g, q, k, v, out, gq, gk, gv, causal, scale, steady))
    pq, pk, pv, po = q.data_ptr(), k.data_ptr(), v.data_ptr(), out.data_ptr()
    if plan is None or type(plan) is str or (pq | pk | pv | po) % ALIGNMENT:
        return False
    return _run(key, plan, {1: pq, 2: pk, 3: pv, 4: po, 5: g.data_ptr(), 6: sums.data_ptr(), 7: gq.data_ptr(), 8: gk.data_ptr(), 9: gv.data_ptr()}, out)


def _describe_back(handle, g, q, k, v, out, gq, gk, gv, causal, scale, steady):
    _need_fit(q, k, v, out, gq, gk, gv)
    graph, kind = _graph(handle, q.dtype)
    tq, tk, tv, to, tg = _heads(graph, kind, q, k, v, out, g)
    stats = _tensor(graph, 6, *_rows(q), _library.data_type.FLOAT, "sums")
    results = graph.sdpa_backward(q=tq, k=tk, v=tv, o=to, dO=tg, stats=stats, attn_scale=scale, use_causal_mask=bool(causal),
                                  use_deterministic_algorithm=steady, name="attention_back")
    for uid, (result, like) in enumerate(zip(results, (gq, gk, gv)), 7):
        _result(result, uid, *_four(like), kind)
    return graph, None, []
