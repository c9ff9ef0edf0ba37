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
import threading
from importlib.util import find_spec

from ..autograd import no_grad
from ..errors import OutOfMemoryError
from ..tensor._dtype import _dtype_by_name, channels_last, channels_last_3d, contiguous_format
from ..tensor._switches import are_deterministic_algorithms_enabled
from . import _backend, _dnn_switches as switches, _libraries
from ._backend import launch

FORWARD, INPUT, WEIGHT = range(3)
# not float64: the frontend hands convolutions' factors over as float32, where cuDNN reads float64 (seen with 1.22 and cuDNN 9.19: zeros)
NAMES = {_dtype_by_name("float16"): "HALF", _dtype_by_name("bfloat16"): "BFLOAT16", _dtype_by_name("float32"): "FLOAT"}
HALVES = (_dtype_by_name("float16"), _dtype_by_name("bfloat16"))
FLOAT32, BOOL = _dtype_by_name("float32"), _dtype_by_name("bool")
NEVER = -1e30                       # added to the score of a key that is not seen
ALIGNMENT = 16                      # bytes; cuDNN's kernels may load that much at a time
FEATURES = 8                        # heads' sizes and steps are multiples of this
WIDEST = 256
MOST = 10000                        # signatures; then all are forgotten
WORKSPACE = 4 << 30                 # plans that ask for more are not considered


class Plan:
    """What a signature runs: a graph with a plan that is built, or, with None for the graph, the package's own kernel.

    about: (operation, dtype, sizes and more); copies: what is copied first (formats of a convolution's operands, True for a gradient), or
    None; index, workspace, name: the plan's (or why there is none); ran: it has run once; direct: runs it with a list of addresses.
    """

    __slots__ = ("about", "device", "graph", "copies", "index", "workspace", "name", "ran", "direct")

    def __init__(self, about, device):
        self.about, self.device, self.graph, self.copies, self.ran = about, device, None, None, False

    def take(self, index):
        """Use the graph's plan of that number."""
        graph = self.graph
        graph.build_plan_at_index(index)                # the last one built is what `direct` runs
        self.index, self.workspace, self.name = index, graph.get_workspace_size_plan_at_index(index), graph.get_plan_name_at_index(index)
        self.direct = _direct(graph)

    def refuse(self, error):
        """Leave the signature to the package's own kernel."""
        self.graph, self.name = None, f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no reason given'])[0]}"


_found = {}                         # signature -> Plan
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
            if find_spec("cudnn") is None:
                raise ImportError("nvidia-cudnn-frontend is not installed; pip install 'rustorch_py[cuda]'")
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
    """Load cuDNN from NVIDIA's wheel, wherever that is (RUSTORCH_CUDNN=0: not at all): where the frontend has none beside it, it takes what
    is loaded. cuDNN ends the process when it does not find cuBLAS, so that is asked for first."""
    path = _libraries.find("RUSTORCH_CUDNN", "libcudnn.so.9", "cudnn")
    if path is None:
        raise ImportError("RUSTORCH_CUDNN=0")
    ctypes.CDLL(_libraries.find("", "libcublasLt.so.13", "cublas"), ctypes.RTLD_GLOBAL)
    ctypes.CDLL(path, ctypes.RTLD_GLOBAL)


def plans():
    """Return what was met so far: a list of (operation, dtype, sizes and more as a tuple, name of cuDNN's plan or why it is not used)."""
    return [(*plan.about, plan.name if plan.graph is None else "cuDNN: " + plan.name) for plan in _found.values()]


def forget():
    """Forget all plans."""
    _found.clear()


def _handle(device):
    """This thread's handle on a device, on the current stream; None during a capture, which starting cuDNN would end."""
    stream = _backend.enter(device)
    held = _handles.__dict__.get(device)
    if held is None:
        if _backend.is_capturing(device, stream):
            return None
        held = _handles.__dict__[device] = [_library.create_handle(), None]
    if held[1] != stream:
        _library.set_stream(handle=held[0], stream=stream)
        held[1] = stream
    return held[0]


# ---- plans -----------------------------------------------------------------------------------------------------------
def _get(key, about, like, describe, time=None):
    """The plan of a signature that is new. describe: gives (graph, copies, notes that a plan must not have) for a handle; time: tells how
    long a plan of a graph takes."""
    device = like.device.index
    plan, handle = Plan(about, device), _handle(device)
    if handle is None:
        plan.refuse(RuntimeError("cuDNN can't be started during a capture"))
        return plan
    try:
        _build(plan, describe(handle), time)
    except Exception as error:              # the frontend's own types and RuntimeError, by version
        plan.refuse(error)
        if _backend.is_capturing(device, _backend.get_stream(device)):
            return plan                     # not kept: what a capture forbids may do later
    if len(_found) >= MOST:
        _found.clear()
    _found[key] = plan
    return plan


def _build(plan, described, time):
    graph, copies, unwanted = described
    graph.validate()
    graph.build_operation_graph()
    graph.create_execution_plans([_library.heur_mode.A, _library.heur_mode.FALLBACK])
    if unwanted:
        graph.deselect_numeric_notes(unwanted)
    graph.deselect_workspace_greater_than(WORKSPACE)
    graph.check_support()
    index = None if time is None else _fastest(graph, time)
    index = _first(graph, 0) if index is None else index
    plan.graph, plan.copies = graph, copies
    plan.take(index)


def _direct(graph):
    """The frontend's way without a dict, a third of the time of a small call (of 1.22 to 1.24), if it is there and its order is ours."""
    way = getattr(type(graph), "_execute_with_ptrs", None)
    if way is None:
        return None
    graph._prepare_variant_pack_template()
    numbers = graph._get_variant_pack_uids_sorted()
    return graph._execute_with_ptrs if list(numbers) == list(range(1, len(numbers) + 1)) else None


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


def _run(plan, pointers, like):
    """Run a plan on addresses in the order of the graph's numbers; returns False where the package's own kernel shall do it. A first time
    that fails tries the plans behind it."""
    handle = _handle(plan.device)
    while handle is not None:
        try:
            work = _backend.room(like, plan.workspace) if plan.workspace else None
            at = 0 if work is None else work.data_ptr()
            if plan.direct is not None:
                plan.direct(pointers, at, handle)
            else:
                plan.graph.execute_plan_at_index(dict(enumerate(pointers, 1)), at, plan.index, handle)
            plan.ran = True
            return True
        except OutOfMemoryError:            # of the workspace; the package's kernels need less
            return False
        except Exception as error:
            if plan.ran:
                raise
            why = error
        try:
            plan.take(_first(plan.graph, plan.index + 1))
        except Exception:                   # there is none
            plan.refuse(why)
            break
    return False


def _took(graph, index, pointers, like):
    """The milliseconds that a plan takes: the best of two runs after one that is not counted."""
    from ._runtime import Event, current_stream
    handle = _handle(like.device.index)
    size = graph.get_workspace_size_plan_at_index(index)
    work = _backend.room(like, size) if size else None
    start, end, stream = Event(enable_timing=True), Event(enable_timing=True), current_stream(like.device)
    took = []
    for _ in range(3):
        start.record(stream)
        graph.execute_plan_at_index(dict(enumerate(pointers, 1)), 0 if work is None else work.data_ptr(), index, handle)
        end.record(stream)
        end.synchronize()
        took.append(start.elapsed_time(end))
    return min(took[1:])


def _graph(handle, dtype):
    """(a new graph that computes in float32, the frontend's name of a dtype)"""
    c = _library
    kind = getattr(c.data_type, NAMES[dtype])
    return c.pygraph(handle=handle, io_data_type=kind, intermediate_data_type=c.data_type.FLOAT, compute_data_type=c.data_type.FLOAT), kind


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
    if (library() if _library is False else _library) is None:
        return False
    what, pointers, off = _backend.signature((a, b, out))
    key = what, mode, geometry[13:], switches.allow_tf32, switches.deterministic or are_deterministic_algorithms_enabled(), switches.benchmark
    plan = _found.get(key)
    if plan is None:
        with no_grad():
            plan = _plan_convolution(key, out, mode, a, b, geometry)
    if plan.graph is None:
        return False
    if off or plan.copies is not None:
        with no_grad():
            held = _operands(a, b, plan.copies)              # until the work is in the stream
        pointers[:2] = [t.data_ptr() for t in held]
    if not _run(plan, pointers, out):
        return False
    if bias is not None:
        with no_grad():
            out.add_(bias.reshape(1, -1, *(1,) * (out.ndim - 2)))
    return True


def _operands(a, b, copies):
    """The operands in the order and alignment that the graph wants."""
    given = [t if form is None else t.contiguous(memory_format=form) for t, form in zip((a, b), copies or (None, None))]
    return [t.clone() if t.data_ptr() % ALIGNMENT else t for t in given]


def _plan_convolution(key, out, mode, a, b, geometry):
    """The plan of a convolution that is new."""
    _, _, _, tf32, steady, timed = key
    about = ("convolution", out.dtype, (("forward", "input", "weight")[mode], *[(tuple(t.shape), t.stride()) for t in (a, b, out)], *geometry[13:], *key[3:]))
    held = []

    def describe(handle):
        if out.dtype not in NAMES or not a.numel() or not b.numel():
            raise ValueError(f"not for cuDNN: {out.dtype}, {a.numel()} and {b.numel()} elements")
        graph, copies, unwanted = _describe_convolution(handle, out, mode, a, b, geometry, tf32, steady)
        if timed:
            held.extend(_operands(a, b, copies))
        return graph, copies, unwanted

    def time(graph, index):
        return _took(graph, index, [t.data_ptr() for t in (*held, out)], out)
    timed = timed and not _backend.is_capturing(out.device.index, _backend.get_stream(out.device.index))
    return _get(key, about, out, describe, time if timed else None)


def _describe_convolution(handle, out, mode, a, b, geometry, tf32, steady):
    """(graph, formats that the operands are copied into or None, notes that no plan may have)."""
    c = _library
    flat = out.ndim == 3
    tensors = (a, b, out)
    shapes, strides = [tuple(t.shape) for t in tensors], [t.stride() for t in tensors]
    last, other = _arrange(shapes, strides, 2)
    if other[2]:
        raise ValueError(f"not for cuDNN: a result of strides {out.stride()} is in neither order")
    form = contiguous_format if not last else channels_last if out.ndim == 4 else channels_last_3d
    copies = [form if wrong else None for wrong in other[:2]] if other[0] or other[1] else None
    if flat:
        shapes = [(*n[:2], 1, n[2]) for n in shapes]
    steps = [_packed(n, last) for n in shapes]
    stride, padding, dilation = (list(geometry[i:i + 3][1 if flat or out.ndim == 4 else 0:]) for i in (13, 16, 19))
    unwanted = [c.numerical_note.NONDETERMINISTIC] if steady else []
    if out.dtype is FLOAT32:
        unwanted.append(c.numerical_note.DOWN_CONVERT_INPUTS)
        if not tf32:
            unwanted.append(c.numerical_note.TENSOR_CORE)
    graph, kind = _graph(handle, out.dtype)
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
        raise ValueError(f"not for cuDNN: heads of {sorted(features)} features, expected multiples of {FEATURES} up to {WIDEST}")
    if not all(_steps_fit(t) for t in tensors):
        raise ValueError(f"not for cuDNN: strides {[t.stride() for t in tensors]}, expected neighbouring features and steps of {FEATURES}")


def _attends(q):
    return q.dtype in HALVES and (library() if _library is False else _library) is not None


def _addend(mask):
    """A mask (images, heads, queries, keys) as float32 to add, with one image or head where all share it; None: no mask. What is not seen
    gets NEVER, not -inf, of which a row would come out as NaN."""
    if mask is None:
        return None
    with no_grad():
        own = mask[tuple([slice(0, 1) if s == 0 else slice(None) for s in mask.stride()])]
        own = own.to(FLOAT32).sub_(1).mul_(-NEVER) if own.dtype is BOOL else own.to(FLOAT32).clamp(min=NEVER)
        return own.expand(*own.shape[:2], *mask.shape[2:]).contiguous()


def attention(out, sums, q, k, v, mask, causal, scale):
    """Attention by cuDNN; arguments as :func:`.ops.attention.attention` has them. Returns False where cuDNN doesn't do it."""
    if not _attends(q):
        return False
    added = _addend(mask)
    if added is not None and sums is None:
        sums = out.new_empty(out.numel() // out.shape[-1], dtype=FLOAT32)           # tells which rows see nothing
    what, pointers, off = _backend.signature((q, k, v, out, sums, added))
    key = "attention", what, causal, scale
    plan = _found.get(key)
    if plan is None:
        about = ("attention", q.dtype, (*[(tuple(t.shape), t.stride()) for t in (q, k, v, out)], causal, scale, sums is not None, added is not None))
        plan = _get(key, about, out, lambda handle: _describe_attention(handle, out, sums, q, k, v, added, causal, scale))
    if plan.graph is None or off or not _run(plan, pointers, out):
        return False
    if added is not None:
        shape, (_, steps) = _four(q)[0], _four(out)
        launch("attention_unseen.cuh", "attention_unseen", (out.dtype,), (out, sums), (sums.numel(), shape[1], shape[2], out.shape[-1], *steps[:3]), (NEVER / 2,))
    return True


def _heads(graph, kind, *tensors):
    return [_tensor(graph, i + 1, *_four(t), kind, name) for i, (name, t) in enumerate(zip(("q", "k", "v", "o", "g"), tensors))]


def _rows(t):
    """Sizes and strides of a number for each row."""
    shape = _four(t)[0]
    return (*shape[:3], 1), (shape[1] * shape[2], shape[2], 1, 1)


def _bias(graph, uid, added):
    """The keyword for a mask, if there is one."""
    return {} if added is None else {"bias": _tensor(graph, uid, tuple(added.shape), added.stride(), _library.data_type.FLOAT, "mask")}


def _describe_attention(handle, out, sums, q, k, v, added, causal, scale):
    _need_fit(q, k, v, out)
    graph, kind = _graph(handle, q.dtype)
    tq, tk, tv = _heads(graph, kind, q, k, v)
    result, stats = graph.sdpa(q=tq, k=tk, v=tv, generate_stats=sums is not None, attn_scale=scale, use_causal_mask=bool(causal), name="attention",
                               **_bias(graph, 6, added))
    _result(result, 4, *_four(out), kind)
    if sums is not None:
        _result(stats, 5, *_rows(q), _library.data_type.FLOAT)
    return graph, None, []


def attention_back(g, q, k, v, mask, out, sums, gq, gk, gv, causal, scale):
    """Attention's gradients by cuDNN; arguments as :func:`.ops.attention.attention_back` has them. Returns False where cuDNN doesn't do it.

    The sums are natural logarithms, as the package's own kernel stores them, so either may follow the other.
    """
    if not _attends(q):
        return False
    added = _addend(mask)
    what, pointers, off = _backend.signature((q, k, v, out, g, sums, gq, gk, gv, added))
    steady = switches.deterministic or are_deterministic_algorithms_enabled()
    key = "attention_back", what, causal, scale, steady
    plan = _found.get(key)
    if plan is None:
        about = ("attention_back", q.dtype, (*[(tuple(t.shape), t.stride()) for t in (q, k, v, out, g, gq, gk, gv)], causal, scale, steady, added is not None))
        plan = _get(key, about, out, lambda handle: _describe_back(handle, g, q, k, v, out, gq, gk, gv, added, causal, scale, steady))
    if plan.graph is None:
        return False
    if plan.copies or (off and pointers[4] % ALIGNMENT):
        with no_grad():
            g = g.clone(memory_format=contiguous_format) if plan.copies else g.clone()
        pointers[4] = g.data_ptr()
        off = any(p % ALIGNMENT for p in pointers)
    return not off and _run(plan, pointers, out)


def _describe_back(handle, g, q, k, v, out, gq, gk, gv, added, causal, scale, steady):
    _need_fit(q, k, v, out, gq, gk, gv)
    copied = not _steps_fit(g)
    if copied:
        g = g.new_empty(g.shape)            # in the order of the copy
    graph, kind = _graph(handle, q.dtype)
    tq, tk, tv, to, tg = _heads(graph, kind, q, k, v, out, g)
    stats = _tensor(graph, 6, *_rows(q), _library.data_type.FLOAT, "sums")
    results = graph.sdpa_backward(q=tq, k=tk, v=tv, o=to, dO=tg, stats=stats, attn_scale=scale, use_causal_mask=bool(causal),
                                  use_deterministic_algorithm=steady, name="attention_back", **_bias(graph, 10, added))
    for uid, (result, like) in enumerate(zip(results, (gq, gk, gv)), 7):
        _result(result, uid, *_four(like), kind)
    return graph, copied or None, []
