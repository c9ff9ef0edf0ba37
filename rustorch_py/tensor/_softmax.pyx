# build: isa=softmax.inc.c
"""softmax, log_softmax, logsumexp; cross entropy and negative log likelihood over class indices and probabilities."""
from libc.stdint cimport int64_t
from ._base cimport (TensorBase, Node, empty, empty_like_shape, attach1, save, save_output, saved, as_base, shape_tuple, grad_mode,
                     wrap_dim, RT_F16, RT_F32, RT_I64, RT_KIND_FLOAT, RT_KIND_COMPLEX, RT_U8, rt_kind)
from ._cpu cimport isa_level
from ._dtype cimport dtype_of, default_code, torch_name
from ._neural cimport num_threads, recording, is_half, on_cpu, by_float32, stat_dtype, together, float32_of, like_dtype, need_float, sizes_text
from ._ops import label_result
from ._ops cimport deliver
from ._plan cimport contiguous_raw, cast_raw
from ._devices import run as run_on_device
from ..errors import DTypeError, DimError, LengthError, ShapeError, TensorTypeError, TensorValueError, TooFewDimsError

cdef extern from "softmax.h" nogil:
    """
    static inline const RtSoftmaxTable *rt_softmax_pick(int level) {
    #if defined(__x86_64__)
        if (level == 2) return &rt_softmax_table_avx512;
        if (level == 1) return &rt_softmax_table_avx2;
    #endif
        (void)level;
        return &rt_softmax_table_base;
    }
    static inline void rt_softmax_half(const RtSoftmaxTable *t, int f16, const void *x, int64_t outer, int64_t n, int64_t inner, int logs, void *y, void *room, int threads) {
        if (f16) t->softmax_f16(x, outer, n, inner, logs, y, room, threads);
        else t->softmax_bf16(x, outer, n, inner, logs, y, room, threads);
    }
    static inline void rt_softmax_half_d0(const RtSoftmaxTable *t, int f16, const void *g, const void *y, int64_t outer, int64_t n, int64_t inner, int logs, void *gx, void *room, int threads) {
        if (f16) t->softmax_d0_f16(g, y, outer, n, inner, logs, gx, room, threads);
        else t->softmax_d0_bf16(g, y, outer, n, inner, logs, gx, room, threads);
    }
    static inline int64_t rt_pick_loss(const RtSoftmaxTable *t, int f16, const void *x, int64_t outer, int64_t n, int64_t inner, const int64_t *target, const void *w,
                                       int64_t ignore, void *loss, double *total) {
        return f16 ? t->pick_loss_f16(x, outer, n, inner, target, w, ignore, loss, total) : t->pick_loss_bf16(x, outer, n, inner, target, w, ignore, loss, total);
    }
    static inline void rt_pick_loss_d0(const RtSoftmaxTable *t, int f16, int64_t outer, int64_t n, int64_t inner, const int64_t *target, const void *w, int64_t ignore,
                                       const void *g, int64_t g_step, double scale, void *gx, int threads) {
        if (f16) t->pick_loss_d0_f16(outer, n, inner, target, w, ignore, g, g_step, scale, gx, threads);
        else t->pick_loss_d0_bf16(outer, n, inner, target, w, ignore, g, g_step, scale, gx, threads);
    }
    """
    ctypedef struct RtSoftmaxTable:
        void (*softmax_f32)(const float *, int64_t, int64_t, int64_t, int, float *, int) noexcept nogil
        void (*softmax_f64)(const double *, int64_t, int64_t, int64_t, int, double *, int) noexcept nogil
        void (*softmax_d0_f32)(const float *, const float *, int64_t, int64_t, int64_t, int, float *, int) noexcept nogil
        void (*softmax_d0_f64)(const double *, const double *, int64_t, int64_t, int64_t, int, double *, int) noexcept nogil
        void (*logsumexp_f32)(const float *, int64_t, int64_t, int64_t, float *, int) noexcept nogil
        void (*logsumexp_f64)(const double *, int64_t, int64_t, int64_t, double *, int) noexcept nogil
        int64_t (*class_loss_f32)(const float *, int64_t, int64_t, int64_t, const int64_t *, const float *, int64_t, double, int, float *, float *, double *, int) noexcept nogil
        int64_t (*class_loss_f64)(const double *, int64_t, int64_t, int64_t, const int64_t *, const double *, int64_t, double, int, double *, double *, double *, int) noexcept nogil
        void (*class_loss_d0_f32)(const float *, int64_t, int64_t, int64_t, const int64_t *, const float *, int64_t, double, int, const float *, const float *, int64_t, double, float *, int) noexcept nogil
        void (*class_loss_d0_f64)(const double *, int64_t, int64_t, int64_t, const int64_t *, const double *, int64_t, double, int, const double *, const double *, int64_t, double, double *, int) noexcept nogil
    const RtSoftmaxTable *rt_softmax_pick(int level) noexcept nogil
    int64_t rt_softmax_piece(int64_t n, int64_t inner) noexcept nogil
    void rt_softmax_half(const RtSoftmaxTable *, int, const void *, int64_t, int64_t, int64_t, int, void *, void *, int) noexcept nogil
    void rt_softmax_half_d0(const RtSoftmaxTable *, int, const void *, const void *, int64_t, int64_t, int64_t, int, void *, void *, int) noexcept nogil
    int64_t rt_pick_loss(const RtSoftmaxTable *, int, const void *, int64_t, int64_t, int64_t, const int64_t *, const void *, int64_t, void *, double *) noexcept nogil
    void rt_pick_loss_d0(const RtSoftmaxTable *, int, int64_t, int64_t, int64_t, const int64_t *, const void *, int64_t, const void *, int64_t, double, void *, int) noexcept nogil

cdef enum:
    NONE = 0          # reductions, by PyTorch's numbers
    MEAN = 1
    SUM = 2


cdef void split(TensorBase x, int dim, int64_t *outer, int64_t *n, int64_t *inner) noexcept:
    cdef int i
    outer[0] = inner[0] = n[0] = 1
    for i in range(x.nd):
        if i < dim:
            outer[0] *= x.sh[i]
        elif i == dim:
            n[0] = x.sh[i]
        else:
            inner[0] *= x.sh[i]


# ---- softmax, log_softmax -----------------------------------------------------------------------------------
cdef void run_softmax(int dt, const char *x, int64_t outer, int64_t n, int64_t inner, bint logs, char *y, int threads) noexcept nogil:
    cdef const RtSoftmaxTable *table = rt_softmax_pick(isa_level())
    if dt == RT_F32:
        table.softmax_f32(<const float *>x, outer, n, inner, logs, <float *>y, threads)
    else:
        table.softmax_f64(<const double *>x, outer, n, inner, logs, <double *>y, threads)


cdef TensorBase room_for_pieces(TensorBase x, int64_t n, int64_t inner, int threads):
    """Where each thread widens 16-bit floats."""
    cdef int64_t sh[1]
    sh[0] = 2 * rt_softmax_piece(n, inner) * threads
    return empty(1, sh, RT_F32, x.dev)


cdef object normalised(object op, object input, object dim, object dtype, bint logs):
    cdef TensorBase x = as_base(op, "input", input), xc, out, room
    cdef int64_t outer, n, inner
    cdef int d, threads = num_threads()
    cdef SoftmaxBackward0 node
    if dtype is not None and dtype is not dtype_of(x.dt):
        input = input.to(dtype)
        x = <TensorBase>input
    if not is_half(x):
        need_float(op, x)
    d = wrap_dim(op, dim, x.nd)
    split(x, d, &outer, &n, &inner)
    xc = contiguous_raw(x)
    out = empty_like_shape(x, x.dt)
    if not on_cpu(x):
        run_on_device("softmax", out, xc, outer, n, inner, logs)
    elif out.n and is_half(x):
        room = room_for_pieces(x, n, inner, threads)
        with nogil:
            rt_softmax_half(rt_softmax_pick(isa_level()), x.dt == RT_F16, xc.ptr, outer, n, inner, logs, out.ptr, room.ptr, threads)
    elif out.n > 4096:
        with nogil:
            run_softmax(xc.dt, xc.ptr, outer, n, inner, logs, out.ptr, threads)
    elif out.n:
        run_softmax(xc.dt, xc.ptr, outer, n, inner, logs, out.ptr, threads)
    if recording(x, None, None):
        node = SoftmaxBackward0.__new__(SoftmaxBackward0)
        node.dim = d
        node.logs = logs
        attach1(out, node, x)
        save_output(node, 0, out)
    return out


cdef class SoftmaxBackward0(Node):
    cdef int dim
    cdef bint logs

    cdef object own_name(self):
        return "LogSoftmaxBackward0" if self.logs else "SoftmaxBackward0"

    cdef object apply(self, object g_):
        cdef TensorBase y = saved(self, 0), g = <TensorBase?>g_, gc, out, room
        cdef const RtSoftmaxTable *table = rt_softmax_pick(isa_level())
        cdef int64_t outer, n, inner
        cdef int threads = num_threads()
        if grad_mode():
            return self.by_operators(g_, y, self.dim)
        split(y, self.dim, &outer, &n, &inner)
        gc = contiguous_raw(g)
        out = empty_like_shape(y, y.dt)
        if not on_cpu(y):
            run_on_device("softmax_back", out, gc, contiguous_raw(y), outer, n, inner, self.logs)
        elif out.n and is_half(y):
            room = room_for_pieces(y, n, inner, threads)
            with nogil:
                rt_softmax_half_d0(table, y.dt == RT_F16, gc.ptr, y.ptr, outer, n, inner, self.logs, out.ptr, room.ptr, threads)
        elif out.n:
            with nogil:
                if y.dt == RT_F32:
                    table.softmax_d0_f32(<float *>gc.ptr, <float *>y.ptr, outer, n, inner, self.logs, <float *>out.ptr, threads)
                else:
                    table.softmax_d0_f64(<double *>gc.ptr, <double *>y.ptr, outer, n, inner, self.logs, <double *>out.ptr, threads)
        return out

    cdef object apply_many(self, object g, Py_ssize_t n):
        cdef object y = saved(self, 0)
        if (<TensorBase>y).nd == 0:
            return NotImplemented
        return self.by_operators(g, y, self.dim + 1)

    cdef object by_operators(self, object g, object y, object dim):
        """Recorded; in float32 for 16-bit floats."""
        cdef int dt = (<TensorBase?>y).dt
        if is_half(<TensorBase>y):
            return like_dtype(self.by_operators(float32_of(g), float32_of(y), dim), dt)
        if self.logs:
            return g - y.exp() * g.sum(dim, True)
        return y * (g - (g * y).sum(dim, True))


def softmax(input, dim, dtype=None, *, out=None):
    """Compute exp(x) / sum(exp(x)) along a dimension.

    Args:
        dim: where the results sum to 1.
        dtype: converts the input first.
    """
    return deliver("softmax", <TensorBase>normalised("softmax", input, dim, dtype, False), out)


def log_softmax(input, dim, dtype=None, *, out=None):
    """Compute log(softmax(x)) along a dimension, without the rounding of the two steps.

    Args:
        dim: where the exponentials of the results sum to 1.
        dtype: converts the input first.
    """
    return deliver("log_softmax", <TensorBase>normalised("log_softmax", input, dim, dtype, True), out)


# ---- logsumexp ------------------------------------------------------------------------------------------------
cdef object lse_along(TensorBase x, int dim):
    """Over one dimension of a tensor; recorded."""
    cdef const RtSoftmaxTable *table = rt_softmax_pick(isa_level())
    cdef TensorBase xc = contiguous_raw(x), out
    cdef int64_t sh[64]
    cdef int64_t n = x.sh[dim], outer = 1, inner = 1
    cdef int threads = num_threads(), i
    cdef LogsumexpBackward0 node
    for i in range(x.nd):
        if i < dim:
            sh[i] = x.sh[i]
            outer *= x.sh[i]
        elif i > dim:
            sh[i - 1] = x.sh[i]
            inner *= x.sh[i]
    out = empty(x.nd - 1, sh, x.dt, x.dev)
    if not on_cpu(x):
        run_on_device("logsumexp", out, xc, outer, n, inner)
    elif out.n:
        with nogil:
            if x.dt == RT_F32:
                table.logsumexp_f32(<float *>xc.ptr, outer, n, inner, <float *>out.ptr, threads)
            else:
                table.logsumexp_f64(<double *>xc.ptr, outer, n, inner, <double *>out.ptr, threads)
    if recording(x, None, None):
        node = LogsumexpBackward0.__new__(LogsumexpBackward0)
        node.dim = dim
        save(node, 0, x)
        attach1(out, node, x)
        save_output(node, 1, out)
    return out


cdef class LogsumexpBackward0(Node):
    cdef int dim

    cdef object apply(self, object g):
        return self.share(g.unsqueeze(self.dim))

    cdef object apply_many(self, object g, Py_ssize_t n):
        return self.share(g.unsqueeze(self.dim + 1)) if (<TensorBase?>saved(self, 0)).nd else NotImplemented

    cdef object share(self, object g):
        cdef object x = saved(self, 0), y = saved(self, 1)
        y = y.unsqueeze(self.dim)
        # an infinite maximum: exp(x - y) would be inf - inf
        return g * (x - y.masked_fill(y.isinf(), 0)).exp()


def logsumexp(input, dim, keepdim=False, *, out=None):
    """Compute log(sum(exp(x))) over one or several dimensions, shifted so that nothing overflows.

    Args:
        dim: int or tuple of ints.
        keepdim: keep the reduced dimensions with size 1.
    """
    cdef TensorBase x = as_base("logsumexp", "input", input)
    cdef list dims, rest
    cdef object v, shape
    cdef int i
    if dim is None:
        raise TensorTypeError("logsumexp(): argument 'dim' must be tuple of ints, not NoneType", op="logsumexp")
    if rt_kind(x.dt) < RT_KIND_FLOAT:
        input = input.to(dtype_of(default_code()))
        x = <TensorBase>input
    if rt_kind(x.dt) == RT_KIND_COMPLEX and not x.n:               # there is no largest: the logarithm of an empty sum
        v = input.sum(dim, keepdim).log()
    elif rt_kind(x.dt) == RT_KIND_COMPLEX:
        peak = input.detach().real.amax(dim, True)                 # as SciPy: the largest real part is taken out
        peak = peak.masked_fill(peak.isinf(), 0)
        v = (input - peak).exp().sum(dim, keepdim).log()
        v = v + peak.reshape(shape_tuple(<TensorBase>v))
    elif by_float32(x):
        v = like_dtype(logsumexp(float32_of(input), dim, keepdim), x.dt)
    else:
        dims = [dim] if hasattr(dim, "__index__") else list(dim)
        dims = [wrap_dim("logsumexp", d, x.nd) for d in dims]
        if len(set(dims)) != len(dims):
            raise DimError(f"logsumexp: a dimension appears twice in dim={dim}", op="logsumexp")
        if x.nd == 0:
            v = lse_along(<TensorBase>input.reshape(1), 0)
        else:
            if not dims:
                dims = list(range(x.nd))
            if len(dims) == 1:
                v = lse_along(x, dims[0])
            else:
                rest = [i for i in range(x.nd) if i not in dims]
                shape = [x.sh[i] for i in rest]
                total = 1
                for i in dims:
                    total *= x.sh[i]
                v = lse_along(<TensorBase>input.permute(rest + dims).reshape(shape + [total]), len(rest))
            if keepdim:
                v = v.reshape([1 if i in dims else x.sh[i] for i in range(x.nd)])
    return deliver("logsumexp", <TensorBase>v, out)


# ---- losses over class indices --------------------------------------------------------------------------------
cdef object class_loss(object op, object input, TensorBase target, object weight, int reduction, int64_t ignore, double smooth, bint logs):
    """Loss of scores (or log-probabilities: logs) x (N, C, ...) or (C,) for class indices (N, ...) or ()."""
    cdef const RtSoftmaxTable *table = rt_softmax_pick(isa_level())
    cdef TensorBase x = as_base(op, "input", input), xc, tc, w = None, wc = None, lse = None, loss, out
    cdef int64_t outer, n, inner, bad, i
    cdef int dim, threads = num_threads(), kept
    cdef double total = 0, sum_ = 0
    cdef bint half = is_half(x)
    cdef ClassLossBackward0 node
    if x.nd == 0:
        raise TooFewDimsError(f"{op}: Expected input of at least 1 dimension (classes), but got a 0-dim tensor", op=op)
    if by_float32(x) and not logs:
        return like_dtype(class_loss(op, float32_of(input), target, float32_of(weight), reduction, ignore, smooth, logs), x.dt)
    if not half:
        need_float(op, x)
    if reduction < 0 or reduction > 2:
        raise TensorValueError(f"{op}: {reduction} is not a valid value for reduction; expected 0 (none), 1 (mean) or 2 (sum)", op=op)
    dim = 0 if x.nd == 1 else 1
    if x.nd > 1 and target.nd > 0 and x.sh[0] != target.sh[0]:
        raise TensorValueError(f"Expected input batch_size ({x.sh[0]}) to match target batch_size ({target.sh[0]}).", op=op)
    if shape_tuple(x)[:dim] + shape_tuple(x)[dim + 1:] != shape_tuple(target) and not (x.nd == 1 and target.nd == 1 and target.sh[0] == 1):
        raise LengthError(f"size mismatch (got input: {sizes_text(x)}, target: {sizes_text(target)})", op=op)
    if target.dt == RT_U8:
        target = cast_raw(target, RT_I64)
    if target.dt != RT_I64:
        raise DTypeError(f"{op}: expected scalar type Long but found {torch_name(target.dt)} for target", op=op)
    split(x, dim, &outer, &n, &inner)
    together(op, x, target)
    if weight is not None:
        if half:
            weight = float32_of(weight)
        w = as_base(op, "weight", weight)
        if w.nd != 1 or w.n != n:
            raise ShapeError(f"{op}: weight tensor should be defined either for all {n} classes or no classes but got weight "
                             f"tensor of shape: {sizes_text(w)}", op=op)
        together(op, x, w)
        if w.dt != stat_dtype(x):
            raise DTypeError(f"{op}: expected scalar type {torch_name(x.dt)} but found {torch_name(w.dt)} for weight", op=op)
        wc = contiguous_raw(w)
    xc = contiguous_raw(x)
    tc = contiguous_raw(target)
    if not on_cpu(x):
        return class_loss_on_device(x, xc, target, tc, w, wc, outer, n, inner, reduction, ignore, smooth, logs)
    kept = stat_dtype(x)
    loss = empty_like_shape(target, kept)
    if not logs:
        lse = empty_like_shape(target, kept)
    cdef void *wp = NULL
    cdef void *lp = NULL
    if wc is not None:
        wp = wc.ptr
    if lse is not None:
        lp = lse.ptr
    with nogil:
        if half:
            bad = rt_pick_loss(table, x.dt == RT_F16, xc.ptr, outer, n, inner, <int64_t *>tc.ptr, wp, ignore, loss.ptr, &total)
        elif x.dt == RT_F32:
            bad = table.class_loss_f32(<float *>xc.ptr, outer, n, inner, <int64_t *>tc.ptr, <float *>wp, ignore, smooth, logs,
                                       <float *>lp, <float *>loss.ptr, &total, threads)
        else:
            bad = table.class_loss_f64(<double *>xc.ptr, outer, n, inner, <int64_t *>tc.ptr, <double *>wp, ignore, smooth, logs,
                                       <double *>lp, <double *>loss.ptr, &total, threads)
    if bad:
        raise DimError(f"Target {(<int64_t *>tc.ptr)[bad - 1]} is out of bounds.", op=op)
    out = loss
    if reduction != NONE:
        out = empty(0, NULL, kept, x.dev)
        if kept == RT_F32:
            for i in range(loss.n):
                sum_ += (<float *>loss.ptr)[i]
        else:
            for i in range(loss.n):
                sum_ += (<double *>loss.ptr)[i]
        if reduction == MEAN:
            sum_ = sum_ / total
        if kept == RT_F32:
            (<float *>out.ptr)[0] = <float>sum_
        else:
            (<double *>out.ptr)[0] = sum_
    out = cast_raw(out, x.dt)
    if recording(x, None, None):
        node = ClassLossBackward0.__new__(ClassLossBackward0)
        node.ignore = ignore
        node.smooth = smooth
        node.logs = logs
        node.nd = x.nd
        node.reduction = reduction
        node.scale = 1 / total if reduction == MEAN else 1
        save(node, 0, x)
        save(node, 1, target)
        save(node, 2, w)
        save(node, 3, lse)
        attach1(out, node, x)
    return out


cdef object class_loss_on_device(TensorBase x, TensorBase xc, TensorBase target, TensorBase tc, TensorBase w, TensorBase wc, int64_t outer,
                                 int64_t n, int64_t inner, int reduction, int64_t ignore, double smooth, bint logs):
    """The same by the device's kernels; the sum of the weights stays on the device."""
    cdef int dt = stat_dtype(x)
    cdef TensorBase loss = empty_like_shape(target, dt), share = empty_like_shape(target, dt), lse = None, total = None, out
    cdef ClassLossBackward0 node
    if not logs:
        lse = empty_like_shape(target, dt)
    run_on_device("class_loss", loss, share, lse, xc, tc, wc, outer, n, inner, ignore, smooth, logs)
    if reduction == NONE:
        out = cast_raw(loss, x.dt)
    else:
        out = empty(0, NULL, x.dt, x.dev)
        if reduction == MEAN:
            total = empty(0, NULL, dt, x.dev)
        run_on_device("class_loss_total", out, total, loss, None if total is None else share)
    if recording(x, None, None):
        node = ClassLossBackward0.__new__(ClassLossBackward0)
        node.ignore = ignore
        node.smooth = smooth
        node.logs = logs
        node.nd = x.nd
        node.reduction = reduction
        node.scale = 1
        save(node, 0, x)
        save(node, 1, target)
        save(node, 2, w)
        save(node, 3, lse)
        save(node, 4, total)
        attach1(out, node, x)
    return out


cdef class ClassLossBackward0(Node):
    cdef int64_t ignore
    cdef double smooth, scale
    cdef int reduction, nd
    cdef bint logs

    cdef object own_name(self):
        return "AddBackward0" if self.smooth else "NllLoss2DBackward0" if self.nd > 2 else "NllLossBackward0"

    cdef object apply(self, object g_):
        cdef TensorBase x = saved(self, 0), g = <TensorBase?>g_, target = saved(self, 1), one
        cdef int dim
        cdef object m, p, v
        if not grad_mode():
            return self.run(g, self.reduction == NONE, self.logs)
        # gx = g * (a * softmax(x) + m), where m are the fixed parts at target and weights, and a = -sum(m)
        dim = 0 if x.nd == 1 else 1
        one = empty(0, NULL, x.dt, x.dev)
        if not on_cpu(x) or is_half(x):
            (<object>one).fill_(1)
        elif x.dt == RT_F32:
            (<float *>one.ptr)[0] = 1
        else:
            (<double *>one.ptr)[0] = 1
        v = g_
        if self.reduction == NONE:
            v = v.reshape(()) if x.nd == 1 else v.unsqueeze(1)
        m = self.run(one, False, True)
        if self.logs:
            return v * m
        p = normalised("softmax", x, dim, None, False)
        return v * (m - m.sum(dim, True) * p)

    cdef object run(self, TensorBase g, bint each, bint logs):
        """The fused gradient; logs: only its parts that do not depend on x."""
        cdef const RtSoftmaxTable *table = rt_softmax_pick(isa_level())
        cdef TensorBase x = saved(self, 0), tc = contiguous_raw(saved(self, 1)), w = saved(self, 2), lse = saved(self, 3)
        cdef TensorBase xc = contiguous_raw(x), gc = contiguous_raw(g), out = empty_like_shape(x, x.dt)
        cdef bint half = is_half(x)
        cdef int64_t outer, n, inner, step = 1 if each else 0
        cdef int threads = num_threads()
        cdef void *wp = NULL
        cdef void *lp = NULL
        if w is not None:
            w = contiguous_raw(w)
            wp = w.ptr
        if lse is not None:
            lp = lse.ptr
        split(x, 0 if x.nd == 1 else 1, &outer, &n, &inner)
        if not on_cpu(x):
            run_on_device("class_loss_back", out, xc, tc, w, lse, gc, saved(self, 4), outer, n, inner, self.ignore, self.smooth, logs, each)
            return out
        if half:
            gc = cast_raw(gc, RT_F32)
        with nogil:
            if half:
                rt_pick_loss_d0(table, x.dt == RT_F16, outer, n, inner, <int64_t *>tc.ptr, wp, self.ignore, gc.ptr, step, self.scale, out.ptr, threads)
            elif x.dt == RT_F32:
                table.class_loss_d0_f32(<float *>xc.ptr, outer, n, inner, <int64_t *>tc.ptr, <float *>wp, self.ignore, self.smooth,
                                        logs, <float *>lp, <float *>gc.ptr, step, self.scale, <float *>out.ptr, threads)
            else:
                table.class_loss_d0_f64(<double *>xc.ptr, outer, n, inner, <int64_t *>tc.ptr, <double *>wp, self.ignore, self.smooth,
                                        logs, <double *>lp, <double *>gc.ptr, step, self.scale, <double *>out.ptr, threads)
        return out


def nll_loss(input, target, weight=None, reduction=1, ignore_index=-100):
    """Compute the negative log likelihood of classes from log-probabilities.

    Args:
        input: log-probabilities (N, C, ...) or (C,).
        target: class indices (N, ...) or (), int64.
        weight: (C,) weight of each class, or None.
        reduction: 0 none, 1 mean (divided by the weights used), 2 sum.
        ignore_index: a target that counts for nothing.
    """
    return class_loss("nll_loss", input, as_base("nll_loss", "target", target), weight, reduction, ignore_index, 0.0, True)


def cross_entropy_loss(input, target, weight=None, reduction=1, ignore_index=-100, label_smoothing=0.0):
    """Compute the cross entropy between scores and target classes.

    Args:
        input: scores (logits) (N, C, ...) or (C,).
        target: class indices (N, ...), int64, or class probabilities of the input's shape.
        weight: (C,) weight of each class, or None.
        reduction: 0 none, 1 mean, 2 sum.
        ignore_index: a target index that counts for nothing.
        label_smoothing: share of the target that is spread over all classes, 0 to 1.
    """
    cdef object op = "cross_entropy_loss", logp, loss, shape
    cdef TensorBase x = as_base(op, "input", input), t = as_base(op, "target", target)
    cdef int dim
    if label_smoothing > 1:                          # numbers below 0 smooth nothing, as in PyTorch
        raise ShapeError(f"{op}: label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}", op=op)
    if not label_smoothing > 0:
        label_smoothing = 0.0
    if shape_tuple(x) != shape_tuple(t):
        return class_loss(op, input, t, weight, reduction, ignore_index, label_smoothing, False)
    if rt_kind(t.dt) != RT_KIND_FLOAT:
        raise DTypeError(f"Expected floating point type for target with class probabilities, got {torch_name(t.dt)}", op=op)
    if ignore_index >= 0:
        raise ShapeError(f"{op}: ignore_index is not supported for floating point target", op=op)
    dim = 0 if x.nd == 1 else 1
    if label_smoothing > 0:
        target = target * (1 - label_smoothing) + label_smoothing / x.sh[dim]
    logp = normalised("log_softmax", input, dim, None, True)
    loss = logp * target
    if weight is not None:
        shape = [1] * x.nd
        shape[dim] = -1
        loss = loss * weight.reshape(shape)
    if reduction == NONE:
        return -loss.sum(dim)
    loss = -loss.sum()
    if reduction == MEAN:
        loss = label_result(<TensorBase?>(loss / (x.n // x.sh[dim] if x.n else 0)), "DivBackward1")
    return loss


FUNCTIONS = {
    "softmax": softmax, "log_softmax": log_softmax, "logsumexp": logsumexp, "nll_loss": nll_loss, "nll_loss2d": nll_loss,
    "nll_loss_nd": nll_loss, "cross_entropy_loss": cross_entropy_loss,
}
METHODS = {"softmax": softmax, "log_softmax": log_softmax, "logsumexp": logsumexp}
# used by nn.functional; no torch-level names
NN_ONLY = ("nll_loss", "nll_loss2d", "nll_loss_nd", "cross_entropy_loss")
