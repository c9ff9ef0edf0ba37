"""Autocast: products in a 16-bit float, delicate sums in float32, chosen call by call while it is on.

Note [Autocast]
    The functions named below stand behind `rustorch_py.tensor.function` (kernels/function.h). While autocast is on in
    a thread, a call of one comes here first: its floating-point tensors are cast as the function's rule says, and the
    call is made with autocast off, so that what the function calls in turn is left alone. float64 and integers stay.
    The casts are recorded: gradients come back in the dtype of what was cast. A float32 leaf that requires a gradient
    (a weight) is cast once and kept until the outermost region is left; it counts as another tensor after an in-place
    write, and apart with recording on and off.
    The lists are those of PyTorch 2.13 (aten/src/ATen/autocast_mode.cpp): one for the CPU, one for CUDA and other accelerators; a
    function's rule is the CPU's, and the other one times 16. The first tensor that a region would cast says which.
"""
from cpython.object cimport PyObject
from ._backend cimport RT_CPU, RT_CUDA, RT_METAL
from ._base cimport TensorBase, RT_BF16, RT_F16, RT_F32, RT_F64, RT_KIND_FLOAT, grad_mode, history, rt_kind, version_of
from ._dtype cimport dtype_code, dtype_of
from ._function cimport get_casting, set_cast_hook, set_casting
from ._ops cimport cast
from ._function import public
from ..errors import DeviceError, DTypeError, TensorTypeError

cdef extern from *:
    """
    enum { RT_AUTOCAST_TYPES = 10 };
    typedef struct { int enabled[RT_AUTOCAST_TYPES], dtype[RT_AUTOCAST_TYPES]; int uncached, nesting, ready; } RtAutocast;
    static __thread RtAutocast rt_autocast;
    static inline RtAutocast *rt_autocast_here(void) { return &rt_autocast; }
    """
    ctypedef struct RtAutocast:
        int *enabled
        int *dtype
        int uncached, nesting, ready
    RtAutocast *rt_autocast_here() noexcept nogil

# PyTorch's device types that know autocast, and the dtype each begins with
cdef tuple TYPES = ("cpu", "cuda", "mps", "xpu", "hpu", "mtia", "maia", "ipu", "xla", "privateuseone")
cdef tuple FIRST_DTYPES = (RT_BF16, RT_F16, RT_F16, RT_F16, RT_BF16, RT_F16, RT_BF16, RT_F16, RT_BF16, RT_F16)
cdef enum:
    CPU = 0
    CUDA = 1
    MPS = 2

cdef enum:
    LOWER = 1                 # to the region's dtype
    FLOAT32 = 2
    WIDEST = 3                # to float32 if one argument is, else to the region's dtype

_LOWER = """
    addbmm addmm baddbmm bmm chain_matmul conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d einsum
    inner linalg_matrix_power linalg_multi_dot linalg_vecdot linear matmul matrix_power mm prelu scaled_dot_product_attention tensordot
"""
_FLOAT32 = """
    adaptive_avg_pool3d adaptive_max_pool3d adaptive_max_pool3d_with_indices avg_pool3d binary_cross_entropy binary_cross_entropy_with_logits
    cdist cholesky cholesky_inverse cholesky_solve cosine_embedding_loss cross_entropy ctc_loss
    fft_fft fft_fft2 fft_fftn fft_hfft fft_ifft fft_ifft2 fft_ifftn fft_ihfft fft_irfft fft_irfft2 fft_irfftn fft_rfft fft_rfft2 fft_rfftn
    fractional_max_pool2d fractional_max_pool2d_with_indices fractional_max_pool3d fractional_max_pool3d_with_indices geqrf grid_sample
    hinge_embedding_loss huber_loss inverse kl_div l1_loss
    linalg_cholesky linalg_cholesky_ex linalg_cond linalg_eig linalg_eigh linalg_eigvals linalg_eigvalsh linalg_householder_product linalg_inv
    linalg_inv_ex linalg_lstsq linalg_matrix_rank linalg_qr linalg_solve linalg_svd linalg_svdvals linalg_tensorinv linalg_tensorsolve
    lu lu_solve margin_ranking_loss max_unpool1d max_unpool2d max_unpool3d mse_loss multi_margin_loss multilabel_margin_loss nanquantile
    nll_loss orgqr ormqr pinverse poisson_nll_loss polar prod qr quantile smooth_l1_loss soft_margin_loss stft svd trace triangular_solve
    triplet_margin_loss view_as_complex
"""
_WIDEST = "cat concat concatenate index_copy stack"

_LOWER_CUDA = """
    addbmm addmm addmv addr baddbmm bmm chain_matmul conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution
    einsum linalg_multi_dot linalg_vecdot linear matmul mm mv prelu scaled_dot_product_attention
"""
_FLOAT32_CUDA = """
    acos arccos asin arcsin binary_cross_entropy_with_logits cdist cosh cosine_embedding_loss cosine_similarity cross_entropy cumprod cumsum dist
    erfinv exp expm1 frobenius_norm group_norm hinge_embedding_loss huber_loss kl_div l1_loss layer_norm linalg_matrix_norm linalg_vector_norm
    log log10 log1p log2 log_softmax logsumexp margin_ranking_loss mse_loss multi_margin_loss multilabel_margin_loss native_layer_norm nll_loss
    norm nuclear_norm pdist poisson_nll_loss pow prod reciprocal renorm rsqrt sinh smooth_l1_loss soft_margin_loss softmax softplus sum
    tan triplet_margin_loss
"""
_WIDEST_CUDA = "addcdiv addcmul atan2 arctan2 bilinear cat concat concatenate cross dot grid_sample index_put scatter_add stack tensordot"


cdef dict listed():
    """Function -> rule of the CPU + 16 times that of accelerators."""
    cdef dict rules = {}
    for names, rule in ((_LOWER, LOWER), (_FLOAT32, FLOAT32), (_WIDEST, WIDEST), (_LOWER_CUDA, 16 * LOWER), (_FLOAT32_CUDA, 16 * FLOAT32),
                        (_WIDEST_CUDA, 16 * WIDEST)):
        for name in names.split():
            rules[name] = rules.get(name, 0) + rule
    return rules


RULES = listed()


def rule_of(name):
    """Return the rule of a function by its name in torch or nn.functional (with ``linalg_``, ``fft_`` before theirs); 0: none."""
    return RULES.get(name, 0)


def covered(functions, prefix=""):
    """Return a face's own functions as callables that obey autocast and ask ``__torch_function__``.

    Args:
        functions: dictionary of a face's names; private names and what is no function are left out.
        prefix: what stands before the names in `RULES`.
    """
    return {name: public(fn, rule_of(prefix + name)) for name, fn in functions.items()
            if type(fn).__name__ in ("function", "cython_function_or_method") and not name.startswith("_") and not hasattr(fn, "__wrapped__")}


# ---- the state of this thread ------------------------------------------------------------------------
cdef RtAutocast *here() noexcept:
    cdef RtAutocast *state = rt_autocast_here()
    cdef int i
    if not state.ready:
        for i in range(10):
            state.dtype[i] = <int>FIRST_DTYPES[i]
        state.ready = True
    return state


cdef int slot_of(object op, object device_type) except -1:
    if not isinstance(device_type, str):
        raise TensorTypeError(f"{op}(): argument 'device_type' must be str, not {type(device_type).__name__}", op=op)
    name = "mps" if device_type == "metal" else device_type
    if name not in TYPES:
        raise DeviceError(f"{op}: device type '{device_type}' has no autocast; expected one of {', '.join(TYPES)}", op=op)
    return TYPES.index(name)


cdef inline int slot_of_tensor(TensorBase t) noexcept:
    cdef int kind = t.dev & 255
    return CPU if kind == RT_CPU else CUDA if kind == RT_CUDA else MPS if kind == RT_METAL else -1


def is_autocast_available(device_type):
    """Tell whether a device type has autocast, whether or not such a device is there."""
    if not isinstance(device_type, str):
        raise TensorTypeError(f"is_autocast_available(): argument 'device_type' must be str, not {type(device_type).__name__}",
                              op="is_autocast_available")
    return device_type in TYPES or device_type == "metal"


def is_autocast_enabled(device_type="cuda"):
    """Tell whether autocast is on in this thread for a device type; without one, as in PyTorch, for CUDA."""
    return bool(here().enabled[slot_of("is_autocast_enabled", device_type)])


def set_autocast_enabled(device_type, enabled=None):
    """Switch autocast on or off in this thread: ``(device_type, enabled)``, or ``(enabled)`` for CUDA."""
    cdef RtAutocast *state = here()
    if enabled is None and isinstance(device_type, bool):
        device_type, enabled = "cuda", device_type
    if not isinstance(enabled, bool):
        raise TensorTypeError(f"set_autocast_enabled(): argument 'enabled' (position 2) must be bool, not {type(enabled).__name__}",
                              op="set_autocast_enabled")
    state.enabled[slot_of("set_autocast_enabled", device_type)] = enabled
    set_casting(state.enabled[CPU] or state.enabled[CUDA] or state.enabled[MPS])


def get_autocast_dtype(device_type):
    """Return the dtype that autocast uses on a device type."""
    return dtype_of(here().dtype[slot_of("get_autocast_dtype", device_type)])


def set_autocast_dtype(device_type, dtype):
    """Set the dtype that autocast uses on a device type, in this thread."""
    cdef int slot = slot_of("set_autocast_dtype", device_type)
    here().dtype[slot] = dtype_code("set_autocast_dtype", dtype)


def is_autocast_cache_enabled():
    """Tell whether casts of weights are kept inside a region."""
    return not here().uncached


def set_autocast_cache_enabled(enabled):
    """Keep casts of weights inside a region, or make them anew at every use."""
    if not isinstance(enabled, bool):
        raise TensorTypeError(f"set_autocast_cache_enabled(): argument 'enabled' must be bool, not {type(enabled).__name__}",
                              op="set_autocast_cache_enabled")
    here().uncached = not enabled


def autocast_increment_nesting():
    """Count one region entered; return how many are open in this thread."""
    here().nesting += 1
    return here().nesting


def autocast_decrement_nesting():
    """Count one region left; return how many are open in this thread."""
    here().nesting -= 1
    return here().nesting


# ---- casts ---------------------------------------------------------------------------------------------
cdef dict kept = {}           # (id, dtype, recorded) -> (weight, its version, the cast)


def clear_autocast_cache():
    """Drop the kept casts of weights."""
    kept.clear()


cdef TensorBase lowered(TensorBase t, int dt):
    """t in the region's dtype; a weight's cast is kept."""
    cdef tuple key, entry
    cdef TensorBase made
    if t.dt != RT_F32 or not t.rg or t.base is not None or history(t) is not None or here().uncached:
        return cast(t, dt)
    key = (id(t), dt, grad_mode())
    entry = kept.get(key)
    if entry is not None and entry[0] is t and entry[1] == version_of(t):
        return <TensorBase>entry[2]
    made = cast(t, dt)
    kept[key] = (t, version_of(t), made)
    return made


cdef bint eligible(TensorBase t) noexcept:
    cdef int slot = slot_of_tensor(t)
    return slot >= 0 and here().enabled[slot] and rt_kind(t.dt) == RT_KIND_FLOAT and t.dt != RT_F64


cdef object convert(object x, int rule):
    """x with its tensors cast; lists and tuples are searched."""
    cdef TensorBase t
    cdef int low
    if isinstance(x, TensorBase):
        t = <TensorBase>x
        if not eligible(t):
            return x
        if rule == FLOAT32:
            return cast(t, RT_F32)
        low = here().dtype[slot_of_tensor(t)]
        return x if t.dt == low else lowered(t, low)
    if isinstance(x, (list, tuple)):
        made = [convert(item, rule) for item in x]
        for old, new in zip(x, made):
            if old is not new:
                return made if isinstance(x, list) else tuple(made)
    return x


cdef int first_slot(object x) except -2:
    """Where the first tensor of x lies that a region casts; -1: there is none."""
    cdef int slot
    if isinstance(x, TensorBase):
        return slot_of_tensor(<TensorBase>x) if eligible(<TensorBase>x) else -1
    if isinstance(x, (list, tuple)):
        for item in x:
            slot = first_slot(item)
            if slot >= 0:
                return slot
    return -1


cdef int find_wide(object x, bint *wide) except -1:
    cdef TensorBase t
    if isinstance(x, TensorBase):
        t = <TensorBase>x
        if eligible(t):
            if t.dt == RT_F32:
                wide[0] = True
            elif t.dt != here().dtype[slot_of_tensor(t)]:
                raise DTypeError(f"Unexpected floating ScalarType in at::autocast::prioritize: {dtype_of(t.dt)} in a region of "
                                 f"{dtype_of(here().dtype[slot_of_tensor(t)])}", op="autocast")
    elif isinstance(x, (list, tuple)):
        for item in x:
            find_wide(item, wide)
    return 0


cdef object call(object function, int rule, PyObject *const *args, Py_ssize_t n, PyObject *kwnames):
    """Call a function by its rule; NotImplemented where none applies. A call with ``out`` is left as it is."""
    cdef list given = [<object>args[i] for i in range(n)]
    cdef dict named = {}
    cdef bint wide = False
    cdef int slot = -1
    for x in given:
        slot = first_slot(x)
        if slot >= 0:
            break
    if slot < 0 and kwnames is not NULL:
        for i in range(len(<tuple>kwnames)):
            slot = first_slot(<object>args[n + i])
            if slot >= 0:
                break
    rule = rule >> 4 if slot > CPU else rule & 15
    if rule == 0:
        return NotImplemented
    if kwnames is not NULL:
        for name in <tuple>kwnames:
            named[name] = <object>args[n + len(named)]
    set_casting(False)
    try:
        if named.get("out") is None:
            if rule == WIDEST:
                for x in (*given, *named.values()):
                    find_wide(x, &wide)
                rule = FLOAT32 if wide else LOWER
            given = [convert(x, rule) for x in given]
            for name in named:
                named[name] = convert(named[name], rule)
        return function(*given, **named)
    finally:
        set_casting(True)

set_cast_hook(call)


def is_casting():
    """Tell whether autocast applies to calls in this thread now."""
    return get_casting()


def in_float32(*values):
    """Return values (one, or a tuple) as a float32 rule casts them where autocast is on, else as they are."""
    if get_casting():
        values = tuple([convert(x, FLOAT32) for x in values])
    return values[0] if len(values) == 1 else values


def in_lower(*values):
    """Return values (one, or a tuple) in the region's dtype where autocast is on, else as they are."""
    if get_casting():
        values = tuple([convert(x, LOWER) for x in values])
    return values[0] if len(values) == 1 else values


# ---- older names ---------------------------------------------------------------------------------------
cdef object retired(object name, object instead):
    import warnings
    warnings.warn(f"torch.{name} is deprecated. Please use torch.{instead} instead.", DeprecationWarning, stacklevel=2)


def is_autocast_cpu_enabled():
    """Tell whether autocast is on for the CPU."""
    retired("is_autocast_cpu_enabled()", "is_autocast_enabled('cpu')")
    return is_autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled):
    """Switch autocast for the CPU."""
    retired("set_autocast_cpu_enabled(enabled)", "set_autocast_enabled('cpu', enabled)")
    set_autocast_enabled("cpu", enabled)


def get_autocast_cpu_dtype():
    """Return autocast's dtype on the CPU."""
    retired("get_autocast_cpu_dtype()", "get_autocast_dtype('cpu')")
    return get_autocast_dtype("cpu")


def set_autocast_cpu_dtype(dtype):
    """Set autocast's dtype on the CPU."""
    retired("set_autocast_cpu_dtype(dtype)", "set_autocast_dtype('cpu', dtype)")
    set_autocast_dtype("cpu", dtype)


def get_autocast_gpu_dtype():
    """Return autocast's dtype on CUDA."""
    retired("get_autocast_gpu_dtype()", "get_autocast_dtype('cuda')")
    return get_autocast_dtype("cuda")


def set_autocast_gpu_dtype(dtype):
    """Set autocast's dtype on CUDA."""
    retired("set_autocast_gpu_dtype(dtype)", "set_autocast_dtype('cuda', dtype)")
    set_autocast_dtype("cuda", dtype)


FUNCTIONS = {f.__name__: f for f in (
    is_autocast_enabled, set_autocast_enabled, get_autocast_dtype, set_autocast_dtype, is_autocast_cache_enabled, set_autocast_cache_enabled,
    autocast_increment_nesting, autocast_decrement_nesting, clear_autocast_cache, is_autocast_cpu_enabled, set_autocast_cpu_enabled,
    get_autocast_cpu_dtype, set_autocast_cpu_dtype, get_autocast_gpu_dtype, set_autocast_gpu_dtype)}
