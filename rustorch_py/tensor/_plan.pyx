"""Loops without history: the plan of an elementwise loop or reduction, and its launch."""
cimport cython
from cpython.bool cimport PyBool_Check
from cpython.complex cimport PyComplex_Check
from cpython.float cimport PyFloat_Check
from cpython.long cimport PyLong_Check
from libc.stdint cimport int8_t, int16_t, int32_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy, memset
from ._overlap cimport overlaps, same_strides
from ._base cimport (TensorBase, RtArray, RtIter, empty, empty_preserve, view_raw, fill_array, shape_tuple, wrap_dim,
                     rt_iter_coalesce, rt_itemsize, rt_kind, F_CONTIG, F_WRAPPED, RT_BOOL, RT_U8, RT_I8, RT_I16,
                     RT_I32, RT_I64, RT_F16, RT_BF16, RT_F32, RT_F64, RT_C64, RT_C128, RT_NLOOPED,
                     RT_C32, RT_U16, RT_U32, RT_U64, RT_KIND_INT, RT_KIND_FLOAT, RT_KIND_COMPLEX)
from ._backend cimport RtBackend, backend_of, RT_META, RT_ERR_MEMORY, RT_ERR_UNSUPPORTED
from ._cpu cimport copy_plan, fill_plan, cast_one
from ._dtype cimport promote, default_code, default_complex, device_of, dtype_of
from ..errors import DeviceError, DTypeError, IntOverflowError, OutOfMemoryError, ShapeError, TensorTypeError, UnsupportedOpError
include "_row_ids.pxi"

cdef extern from "rustorch/half.h" nogil:
    ctypedef struct rt_f16:
        uint16_t bits
    ctypedef struct rt_bf16:
        uint16_t bits
    float rt_f16_to_f32(rt_f16 h)
    rt_f16 rt_f32_to_f16(float f)
    float rt_bf16_to_f32(rt_bf16 h)
    rt_bf16 rt_f32_to_bf16(float f)



# ---- numbers --------------------------------------------------------------------------------------
cdef bint is_number(object x):
    if PyFloat_Check(x) or PyLong_Check(x) or PyComplex_Check(x):
        return True
    return type(x).__module__ == "numpy" and hasattr(x, "dtype") and not hasattr(x, "__setitem__")


cdef object plain_number(object x):
    """NumPy scalars become Python's."""
    if PyFloat_Check(x) or PyLong_Check(x) or PyComplex_Check(x):
        return x
    return x.item()


cdef int number_dtype(object x):
    if PyBool_Check(x):
        return RT_BOOL
    if PyLong_Check(x):
        return RT_I64
    if PyFloat_Check(x):
        return default_code()
    return default_complex()


cdef inline bint fits(int64_t i, int dt) noexcept:
    """Is i in the range of an integer dtype below int64? Unsigned ones let negative numbers wrap, as in PyTorch."""
    cdef int64_t top
    if dt == RT_U8:
        return -255 <= i <= 255
    if dt == RT_U16 or dt == RT_U32:
        top = <int64_t>1 << (8 * rt_itemsize(dt))
        return -top < i < top
    top = <int64_t>1 << (8 * rt_itemsize(dt) - 1)
    return -top <= i < top


cdef uint64_t as_u64(object x) except? 0:
    """Negative numbers wrap."""
    i = int(x)
    if not -(1 << 63) <= i < 1 << 64:
        raise DTypeError("value cannot be converted to type uint64 without overflow")
    return <uint64_t>(i & 0xFFFFFFFFFFFFFFFF)


cdef int number_to(object x, int dt, char *p) except -1:
    cdef double d
    cdef int64_t i
    cdef rt_f16 h
    cdef rt_bf16 b
    cdef char wide[8]
    x = plain_number(x)
    if dt >= RT_NLOOPED and (dt == RT_C32 or rt_kind(dt) == RT_KIND_FLOAT):
        number_to(x, RT_C64 if dt == RT_C32 else RT_F32, wide)
        cast_one(p, dt, wide, RT_C64 if dt == RT_C32 else RT_F32)
        return 0
    if rt_kind(dt) <= RT_KIND_INT:
        if PyComplex_Check(x):
            if x.imag != 0:
                raise DTypeError(f"value cannot be converted to type {dtype_of(dt).name} without overflow")
            x = x.real
        if dt == RT_BOOL:
            (<uint8_t *>p)[0] = 1 if x else 0
            return 0
        if dt == RT_U64:
            (<uint64_t *>p)[0] = as_u64(x)
            return 0
        if PyFloat_Check(x):
            d = x
            if not (-9.3e18 < d < 9.3e18):
                raise DTypeError(f"value cannot be converted to type {dtype_of(dt).name} without overflow")
            i = <int64_t>d
        else:
            try:
                i = x
            except OverflowError:
                raise IntOverflowError("Overflow when unpacking long long") from None
        if dt == RT_I64:
            (<int64_t *>p)[0] = i
        elif not fits(i, dt):
            raise DTypeError(f"value cannot be converted to type {dtype_of(dt).name} without overflow")
        elif dt == RT_I32 or dt == RT_U32:
            (<int32_t *>p)[0] = <int32_t>i
        elif dt == RT_I16 or dt == RT_U16:
            (<int16_t *>p)[0] = <int16_t>i
        else:
            (<int8_t *>p)[0] = <int8_t>i
        return 0
    if dt == RT_C64:
        (<float *>p)[0] = <float>x.real
        (<float *>p)[1] = <float>x.imag
        return 0
    if dt == RT_C128:
        (<double *>p)[0] = x.real
        (<double *>p)[1] = x.imag
        return 0
    if PyComplex_Check(x):
        if x.imag != 0:
            raise DTypeError(f"value cannot be converted to type {dtype_of(dt).name} without overflow")
        x = x.real
    d = x
    if dt == RT_F32:
        (<float *>p)[0] = <float>d
    elif dt == RT_F64:
        (<double *>p)[0] = d
    elif dt == RT_F16:
        h = rt_f32_to_f16(<float>d)
        memcpy(p, &h, 2)
    else:
        b = rt_f32_to_bf16(<float>d)
        memcpy(p, &b, 2)
    return 0


cdef object element_to_py(const char *p, int dt):
    cdef rt_f16 h
    cdef rt_bf16 b
    cdef char wide[8]
    cdef int code
    if dt >= RT_NLOOPED:
        if dt == RT_U64:
            return (<const uint64_t *>p)[0]
        dt, code = (RT_C64 if dt == RT_C32 else RT_I64 if rt_kind(dt) == RT_KIND_INT else RT_F32), dt
        cast_one(wide, dt, p, code)
        return element_to_py(wide, dt)
    if dt == RT_F32:
        return <double>(<const float *>p)[0]
    if dt == RT_F64:
        return (<const double *>p)[0]
    if dt == RT_I64:
        return (<const int64_t *>p)[0]
    if dt == RT_BOOL:
        return bool((<const uint8_t *>p)[0])
    if dt == RT_U8:
        return (<const uint8_t *>p)[0]
    if dt == RT_I8:
        return (<const int8_t *>p)[0]
    if dt == RT_I16:
        return (<const int16_t *>p)[0]
    if dt == RT_I32:
        return (<const int32_t *>p)[0]
    if dt == RT_F16:
        memcpy(&h, p, 2)
        return <double>rt_f16_to_f32(h)
    if dt == RT_BF16:
        memcpy(&b, p, 2)
        return <double>rt_bf16_to_f32(b)
    if dt == RT_C64:
        return complex((<const float *>p)[0], (<const float *>p)[1])
    return complex((<const double *>p)[0], (<const double *>p)[1])


cdef TensorBase wrap_number(object x, int dev):
    cdef TensorBase t
    cdef int dt
    x = plain_number(x)
    dt = number_dtype(x)
    if dt == default_code() and dt != RT_F64 and dt >= RT_F16 and dt < RT_C64:
        t = empty(0, NULL, RT_F64, 0)          # a Python float keeps its precision until the loop's dtype is known
        number_to(x, RT_F64, t.ptr)
    else:
        t = empty(0, NULL, dt, 0)
        number_to(x, dt, t.ptr)
    t.flags |= F_WRAPPED
    if dev:
        t = to_device_raw(t, dev)
        t.flags |= F_WRAPPED
    return t


cdef TensorBase to_device_raw(TensorBase t, int dev):
    cdef TensorBase out = empty(t.nd, t.sh, t.dt, dev)
    copy_raw(out, t)
    return out


cdef inline bint is_zero(const char *p, int size) noexcept:
    cdef int i
    for i in range(size):
        if p[i]:
            return False
    return True


cdef int check_fits(object value, int dt) except -1:
    """Refuse a finite number beyond the range of a float dtype, which would become infinite."""
    cdef double d, most
    if rt_kind(dt) != RT_KIND_FLOAT or dt == RT_F64 or dt >= RT_NLOOPED or not isinstance(value, (int, float)):
        return 0
    d = value
    most = 65504.0 if dt == RT_F16 else 3.3895313892515355e38 if dt == RT_BF16 else 3.4028234663852886e38
    if (d > most or d < -most) and d - d == 0:
        raise DTypeError(f"value cannot be converted to type {dtype_of(dt).name} without overflow: {value}")
    return 0


cdef int fill_value(TensorBase t, object value) except -1:
    cdef char buf[16]
    cdef RtIter it
    cdef TensorBase host
    cdef const RtBackend *b
    if t.n == 0:
        return 0
    check_fits(value, t.dt)
    number_to(value, t.dt, buf)
    if t.dev & 255 != 0:
        b = backend_of(t.dev)
        if b.fill is NULL:
            host = empty(t.nd, t.sh, t.dt, 0)
            fill_value(host, value)
            return copy_raw(t, host)
        it.ndim = 0
        it.nargs = 1
        plan_begin(&it, t)
        rt_iter_coalesce(&it)
        return check_device("fill_", b, b.fill(t.dev, &it, buf))
    if t.flags & F_CONTIG and t.n <= 4096 and is_zero(buf, rt_itemsize(t.dt)):
        memset(t.ptr, 0, t.n * rt_itemsize(t.dt))
        return 0
    it.ndim = 0
    it.nargs = 1
    plan_begin(&it, t)
    rt_iter_coalesce(&it)
    if it.numel > 32768:
        with nogil:
            fill_plan(&it, buf)
    else:
        fill_plan(&it, buf)
    return 0


cdef TensorBase full_(int nd, const int64_t *sh, object value, int dt, int dev):
    cdef TensorBase t = empty(nd, sh, dt, dev)
    fill_value(t, value)
    return t


# ---- dtypes of results -----------------------------------------------------------------------------
cdef int combine(int higher, int lower) except? -1:
    """-1: nothing of that category."""
    if higher < 0:
        return lower
    if lower < 0 or rt_kind(higher) == RT_KIND_COMPLEX:
        return higher
    if rt_kind(higher) == RT_KIND_FLOAT:
        if rt_kind(lower) == RT_KIND_COMPLEX:
            return RT_C128 if higher == RT_F64 else RT_C32 if higher == RT_F16 else promote(RT_C64, higher)
        return higher
    if higher == RT_BOOL or rt_kind(lower) >= RT_KIND_FLOAT:
        return promote(higher, lower)
    return higher


cdef int categorise(TensorBase t, int *cat) except -1:
    cdef int dt, c
    if t is None:
        return 0
    dt = t.dt
    if t.flags & F_WRAPPED:
        c = 2
        if rt_kind(dt) == RT_KIND_FLOAT:
            dt = default_code()
        elif rt_kind(dt) == RT_KIND_COMPLEX:
            dt = default_complex()
    else:
        c = 0 if t.nd > 0 else 1
    cat[c] = dt if cat[c] < 0 else promote(cat[c], dt)
    return 0


cdef int result_dtype(TensorBase a, TensorBase b, TensorBase c) except -1:
    cdef int cat[3]
    cat[0] = cat[1] = cat[2] = -1
    categorise(a, cat)
    categorise(b, cat)
    categorise(c, cat)
    return combine(combine(cat[0], cat[1]), cat[2])


cdef int result_dtype_list(list tensors) except -1:
    cdef int cat[3]
    cat[0] = cat[1] = cat[2] = -1
    for t in tensors:
        categorise(<TensorBase?>t, cat)
    return combine(combine(cat[0], cat[1]), cat[2])


# ---- broadcasting --------------------------------------------------------------------------------------
cdef object raise_broadcast(object op, int64_t x, int64_t y, int d):
    raise ShapeError(f"The size of tensor a ({x}) must match the size of tensor b ({y}) at non-singleton dimension {d}", op=op)


cdef int merge_shape(object op, TensorBase t, int nd, int64_t *sh) except -1:
    """Broadcast sh (nd entries) with t's shape, in place; returns the new ndim."""
    cdef int i, shift
    cdef int64_t s
    if t is None:
        return nd
    if t.nd > nd:
        shift = t.nd - nd
        for i in range(nd - 1, -1, -1):
            sh[i + shift] = sh[i]
        for i in range(shift):
            sh[i] = 1
        nd = t.nd
    shift = nd - t.nd
    for i in range(t.nd):
        s = t.sh[i]
        if sh[i + shift] == s or s == 1:
            continue
        if sh[i + shift] == 1:
            sh[i + shift] = s
        else:
            raise_broadcast(op, sh[i + shift], s, i + shift)
    return nd


cdef int broadcast_shapes(object op, TensorBase a, TensorBase b, TensorBase c, int64_t *sh) except -1:
    cdef int nd = a.nd
    memcpy(sh, a.sh, nd * sizeof(int64_t))
    nd = merge_shape(op, b, nd, sh)
    return merge_shape(op, c, nd, sh)


cdef int check_devices(object op, TensorBase a, TensorBase b) except -1:
    if a.dev != b.dev and not (a.nd == 0 and a.dev == 0) and not (b.nd == 0 and b.dev == 0):
        raise DeviceError(f"Expected all tensors to be on the same device, but found at least two devices, "
                          f"{device_of(a.dev)} and {device_of(b.dev)}! (when checking {op})", op=op)
    return 0


cdef void plan_begin(RtIter *it, TensorBase out) noexcept:
    """Shape of the plan and operand 0; dimension 0 innermost."""
    cdef int i, nd = out.nd, size = rt_itemsize(out.dt)
    it.ndim = nd
    it.numel = out.n
    it.ptr[0] = out.ptr
    it.dtype[0] = out.dt
    for i in range(nd):
        it.shape[i] = out.sh[nd - 1 - i]
        it.step_bytes[i][0] = out.st[nd - 1 - i] * size


cdef int add_operand(RtIter *it, TensorBase t, int arg, int nd, const int64_t *sh) except -1:
    """Operand `arg`, broadcast to sh (nd entries, outermost first)."""
    cdef int i, j, size = rt_itemsize(t.dt)
    it.ptr[arg] = t.ptr
    it.dtype[arg] = t.dt
    for i in range(nd):
        j = t.nd - 1 - i
        if j < 0 or (t.sh[j] == 1 and sh[nd - 1 - i] != 1):
            it.step_bytes[i][arg] = 0
        elif t.sh[j] == sh[nd - 1 - i]:
            it.step_bytes[i][arg] = t.st[j] * size
        else:
            raise_broadcast("broadcast", sh[nd - 1 - i], t.sh[j], nd - 1 - i)
    if t.nd > nd:
        for j in range(t.nd - nd):
            if t.sh[j] != 1:
                raise ShapeError(f"output with shape {[sh[i] for i in range(nd)]} doesn't match the broadcast shape {list(shape_tuple(t))}")
    return 0


cdef object raise_unsupported(int kernel, int dt, int dev):
    name = rt_rows[kernel >> 2].name.decode()
    where = f" on {device_of(dev)}" if dev else ""
    raise UnsupportedOpError(f'"{name}" not implemented for \'{dtype_of(dt).name}\'{where}', op=name, dtype=dtype_of(dt))


cdef inline bint same_geometry(TensorBase a, TensorBase b) noexcept:
    cdef int i
    if a.n != b.n or a.nd != b.nd:
        return False
    for i in range(a.nd):
        if a.sh[i] != b.sh[i]:
            return False
    return True


cdef int launch(int kernel, int loop_dt, TensorBase out, TensorBase a, TensorBase b, TensorBase c, TensorBase d, TensorBase e,
                double k0, double k1) except -1:
    cdef RtIter it
    cdef double k[2]
    cdef const RtBackend *backend
    cdef int n = 1, i, status
    cdef bint flat = (out.flags & F_CONTIG) != 0
    cdef TensorBase t
    if out.n == 0:
        return 0
    k[0] = k0
    k[1] = k1
    it.host = 0
    # fast lane: everything contiguous in one shape, or a single element
    if flat:
        it.ndim = 1
        it.numel = out.n
        it.shape[0] = out.n
        it.ptr[0] = out.ptr
        it.dtype[0] = out.dt
        it.step_bytes[0][0] = rt_itemsize(out.dt)
        for i in range(5):
            t = a if i == 0 else b if i == 1 else c if i == 2 else d if i == 3 else e
            if t is None:
                break
            it.ptr[n] = t.ptr
            it.dtype[n] = t.dt
            if t.dev != out.dev:
                it.host |= 1 << n
            if t.n == 1:
                it.step_bytes[0][n] = 0
            elif t.flags & F_CONTIG and same_geometry(t, out):
                it.step_bytes[0][n] = rt_itemsize(t.dt)
            else:
                flat = False
                break
            n += 1
        if flat and out.n == 1:
            for i in range(n):
                it.step_bytes[0][i] = rt_itemsize(it.dtype[i])
        it.nargs = n
    if not flat:
        it.host = 0
        plan_begin(&it, out)
        n = 1
        for i in range(5):
            t = a if i == 0 else b if i == 1 else c if i == 2 else d if i == 3 else e
            if t is None:
                break
            add_operand(&it, t, n, out.nd, out.sh)
            if t.dev != out.dev:
                it.host |= 1 << n
            n += 1
        it.nargs = n
        rt_iter_coalesce(&it)
    backend = backend_of(out.dev)
    if it.numel > 16384:
        with nogil:
            status = backend.elementwise(out.dev, kernel, loop_dt, &it, k)
    else:
        status = backend.elementwise(out.dev, kernel, loop_dt, &it, k)
    if status:
        if status == 2:
            raise_unsupported(kernel, loop_dt, out.dev)
        raise DeviceError(f"{rt_rows[kernel >> 2].name.decode()}: {backend.last_error().decode()}")
    return 0


cdef bint may_overlap_self(TensorBase t) noexcept:
    cdef int i
    if t.flags & F_CONTIG or t.n == 0:
        return False
    for i in range(t.nd):
        if t.st[i] == 0 and t.sh[i] > 1:
            return True
    return False


cdef int check_device(object op, const RtBackend *b, int status) except -1:
    if status == RT_ERR_MEMORY:
        raise OutOfMemoryError(f"{op}: {b.last_error().decode()}", op=op)
    if status:
        raise (UnsupportedOpError if status == RT_ERR_UNSUPPORTED else DeviceError)(f"{op}: {b.last_error().decode()}", op=op)
    return 0


cdef int copy_raw(TensorBase dst, TensorBase src) except -1:
    cdef RtIter it
    cdef const RtBackend *b
    cdef TensorBase s
    if dst.n == 0:
        if src.n == 1 or src.n == 0:
            return 0
    if dst.dev != src.dev:
        if dst.dev & 255 == RT_META:
            return 0
        if src.dev & 255 == RT_META:
            raise UnsupportedOpError("Cannot copy out of meta tensor; no data!", op="copy_")
        # dense on both sides: one transfer; otherwise through a dense block of the destination's dtype
        if src.dt != dst.dt or not src.flags & F_CONTIG or not same_geometry(dst, src):
            s = empty(dst.nd, dst.sh, dst.dt, src.dev)
            copy_raw(s, src)
            src = s
        s = dst if dst.flags & F_CONTIG else empty(dst.nd, dst.sh, dst.dt, dst.dev)
        b = backend_of(dst.dev if dst.dev & 255 else src.dev)
        if b.copy(dst.dev, s.ptr, src.dev, src.ptr, dst.n * rt_itemsize(dst.dt)):
            raise DeviceError(f"copy_: {b.last_error().decode()}")
        if s is not dst:
            copy_raw(dst, s)
        return 0
    if src.stor is dst.stor and overlaps(dst, src):
        if dst.ptr == src.ptr and dst.dt == src.dt and same_geometry(dst, src) and same_strides(dst, src):
            return 0
        s = empty(src.nd, src.sh, src.dt, src.dev)
        copy_raw(s, src)
        src = s
    if dst.flags & src.flags & F_CONTIG and same_geometry(dst, src):
        it.ndim = 1
        it.numel = dst.n
        it.shape[0] = dst.n
        it.ptr[0] = dst.ptr
        it.ptr[1] = src.ptr
        it.dtype[0] = dst.dt
        it.dtype[1] = src.dt
        it.step_bytes[0][0] = rt_itemsize(dst.dt)
        it.step_bytes[0][1] = rt_itemsize(src.dt)
        it.nargs = 2
    else:
        plan_begin(&it, dst)
        add_operand(&it, src, 1, dst.nd, dst.sh)
        it.nargs = 2
        if dst.n == 0:
            return 0
        rt_iter_coalesce(&it)
    if dst.dev & 255 != 0:
        b = backend_of(dst.dev)
        if b.convert is NULL:
            raise UnsupportedOpError("copy_: this device copies dense blocks of one dtype only", op="copy_")
        return check_device("copy_", b, b.convert(dst.dev, &it))
    if it.numel > 32768:
        with nogil:
            copy_plan(&it)
    else:
        copy_plan(&it)
    return 0


cdef TensorBase cast_raw(TensorBase t, int dt):
    cdef TensorBase out
    if t.dt == dt:
        return t
    out = empty_preserve(t, dt)
    copy_raw(out, t)
    return out


cdef TensorBase contiguous_raw(TensorBase t):
    cdef TensorBase out
    if t.flags & F_CONTIG:
        return t
    out = empty(t.nd, t.sh, t.dt, t.dev)
    copy_raw(out, t)
    return out


cdef TensorBase clone_raw(TensorBase t):
    cdef TensorBase out = empty_preserve(t, t.dt)
    copy_raw(out, t)
    return out


cdef TensorBase expand_raw(TensorBase t, int nd, const int64_t *sh):
    cdef int64_t st[64]
    cdef int i, shift = nd - t.nd
    for i in range(nd - 1, -1, -1):
        if i < shift:                       # a new dimension of size 1 gets the step that a view would give it
            st[i] = sh[i + 1] * st[i + 1] if sh[i] == 1 and t.nd else 0
        elif t.sh[i - shift] == 1 and sh[i] != 1:
            st[i] = 0
        else:
            st[i] = t.st[i - shift]
    return view_raw(t, nd, sh, st, 0)


# ---- reductions ---------------------------------------------------------------------------------------
cdef int dims_mask(object op, object dim, int nd, uint8_t *mask, bint empty_is_all) except -1:
    cdef int i, d, count = 0
    cdef uint64_t seen = 0
    for i in range(nd):
        mask[i] = 0
    if dim is None or (empty_is_all and isinstance(dim, (tuple, list)) and len(dim) == 0):
        for i in range(nd):
            mask[i] = 1
        return nd
    if isinstance(dim, (tuple, list)):
        for item in dim:
            d = wrap_dim(op, item, nd)
            if seen >> d & 1:
                for other in dim:                          # a dim out of range is the first complaint
                    wrap_dim(op, other, nd)
                raise ShapeError(f"dim {d} appears multiple times in the list of dims", op=op)
            seen |= <uint64_t>1 << d
            if nd:
                mask[d] = 1
                count += 1
        return count
    try:
        d = wrap_dim(op, dim.__index__(), nd)
    except AttributeError:
        raise TensorTypeError(f"{op}(): argument 'dim' must be tuple of ints or int, not {type(dim).__name__}", op=op) from None
    if nd:
        mask[d] = 1
        count = 1
    return count


cdef TensorBase reduce_raw(int row, TensorBase t, const uint8_t *mask, bint keepdim, int acc_dt, int out_dt, double k0):
    cdef int64_t sh[64]
    cdef int i, j = 0, status
    cdef TensorBase out
    cdef RtArray src, dst
    cdef double k[2]
    cdef const RtBackend *b
    for i in range(t.nd):
        if not mask[i]:
            sh[j] = t.sh[i]
            j += 1
        elif keepdim:
            sh[j] = 1
            j += 1
    out = empty(j, sh, out_dt, t.dev)
    fill_array(t, &src)
    dst.data = out.ptr
    dst.dtype = out_dt
    dst.ndim = t.nd
    j = 0
    for i in range(t.nd):
        if mask[i]:
            dst.shape[i] = 1
            dst.strides[i] = 0
            j += keepdim
        else:
            dst.shape[i] = t.sh[i]
            dst.strides[i] = out.st[j]
            j += 1
    k[0] = k0
    b = backend_of(t.dev)
    if t.n > 16384:
        with nogil:
            status = b.reduce(t.dev, row, acc_dt, &dst, &src, mask, k)
    else:
        status = b.reduce(t.dev, row, acc_dt, &dst, &src, mask, k)
    if status:
        name = rt_reductions[row].name.decode()
        if status == 2:
            raise UnsupportedOpError(f'"{name}" not implemented for \'{dtype_of(t.dt).name}\'', op=name)
        raise DeviceError(f"{name}: {b.last_error().decode()}")
    return out
