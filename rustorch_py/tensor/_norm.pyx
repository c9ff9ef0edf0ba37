# build: isa=norm.inc.c
"""Batch, instance, layer, group and RMS normalisation; gradients fused, double gradients composed."""
from libc.math cimport sqrt
from libc.stdint cimport int64_t
from ._base cimport (TensorBase, Node, empty, empty_like_shape, attach, save, saved, wants_edge, as_base, shape_tuple, grad_mode,
                     bump, RT_F16, RT_BF16, RT_F32, RT_F64)
from ._cpu cimport isa_level
from ._neural cimport in_order, suggests_last, num_threads, recording, is_half, on_cpu, stat_dtype, together, empty_in_order, float32_of, like_dtype, need_float, sizes_text, dtype_text
from ._ops cimport contiguous, deliver
from ._plan cimport contiguous_raw, cast_raw, clone_raw
from ._devices import run as run_on_device
from ..errors import DTypeError, ShapeError, TooFewDimsError

cdef extern from "norm.h" nogil:
    """
    static inline const RtNormTable *rt_norm_pick(int level) {
    #if defined(__x86_64__)
        if (level == 2) return &rt_norm_table_avx512;
        if (level == 1) return &rt_norm_table_avx2;
    #endif
        (void)level;
        return &rt_norm_table_base;
    }
    /* one call for all element types: pointers are to elements of x's dtype, those of statistics, weights and their gradients of its statistics' */
    #define RT_NORM_CALL(name, ...)                                  \
        const RtNormTable *t = rt_norm_pick(level);                  \
        switch (dt) {                                                \
        case RT_F32: t->name##_f32(__VA_ARGS__); break;              \
        case RT_F64: t->name##_f64(__VA_ARGS__); break;              \
        case RT_F16: t->name##_f16(__VA_ARGS__); break;              \
        default: t->name##_bf16(__VA_ARGS__);                        \
        }
    static inline void rt_channel_stats(int level, int dt, const void *x, int64_t N, int64_t C, int64_t S, void *mean, void *var, int threads) {
        RT_NORM_CALL(channel_stats, x, N, C, S, mean, var, threads)
    }
    static inline void rt_channel_apply(int level, int dt, const void *x, int64_t N, int64_t C, int64_t S, const void *mean,
                                        const void *rstd, const void *w, const void *b, void *y, int threads) {
        RT_NORM_CALL(channel_apply, x, N, C, S, mean, rstd, w, b, y, threads)
    }
    static inline void rt_channel_d0(int level, int dt, const void *x, const void *g, int64_t N, int64_t C, int64_t S, const void *mean,
                                     const void *rstd, const void *w, int stats, void *gx, void *gw, void *gb, int threads) {
        RT_NORM_CALL(channel_d0, x, g, N, C, S, mean, rstd, w, stats, gx, gw, gb, threads)
    }
    static inline void rt_row(int level, int dt, const void *x, int64_t R, int64_t n, const void *w, const void *b, double eps, int rms,
                              void *y, void *mean, void *rstd, int threads) {
        RT_NORM_CALL(row, x, R, n, w, b, eps, rms, y, mean, rstd, threads)
    }
    static inline void rt_row_d0(int level, int dt, const void *x, const void *g, int64_t R, int64_t n, const void *w, const void *mean,
                                 const void *rstd, int rms, void *gx, void *gw, void *gb, int threads) {
        RT_NORM_CALL(row_d0, x, g, R, n, w, mean, rstd, rms, gx, gw, gb, threads)
    }
    /* sums: NULL, or channels lie innermost */
    static inline void rt_group(int level, int dt, const void *x, int64_t N, int64_t G, int64_t C, int64_t S, const void *w,
                                const void *b, double eps, void *y, void *mean, void *rstd, void *sums, int threads) {
        if (sums) { RT_NORM_CALL(group_last, x, N, G, C, S, w, b, eps, y, mean, rstd, sums, threads) }
        else { RT_NORM_CALL(group, x, N, G, C, S, w, b, eps, y, mean, rstd, threads) }
    }
    static inline void rt_group_d0(int level, int dt, const void *x, const void *g, int64_t N, int64_t G, int64_t C, int64_t S,
                                   const void *w, const void *mean, const void *rstd, void *gx, void *gw, void *gb, void *sums, int threads) {
        if (sums) { RT_NORM_CALL(group_last_d0, x, g, N, G, C, S, w, mean, rstd, gx, gw, gb, sums, threads) }
        else { RT_NORM_CALL(group_d0, x, g, N, G, C, S, w, mean, rstd, gx, gw, gb, threads) }
    }
    """
    void rt_channel_stats(int, int, const void *, int64_t, int64_t, int64_t, void *, void *, int) noexcept nogil
    void rt_channel_apply(int, int, const void *, int64_t, int64_t, int64_t, const void *, const void *, const void *, const void *, void *, int) noexcept nogil
    void rt_channel_d0(int, int, const void *, const void *, int64_t, int64_t, int64_t, const void *, const void *, const void *, int, void *, void *, void *, int) noexcept nogil
    void rt_row(int, int, const void *, int64_t, int64_t, const void *, const void *, double, int, void *, void *, void *, int) noexcept nogil
    void rt_row_d0(int, int, const void *, const void *, int64_t, int64_t, const void *, const void *, const void *, int, void *, void *, void *, int) noexcept nogil
    void rt_group(int, int, const void *, int64_t, int64_t, int64_t, int64_t, const void *, const void *, double, void *, void *, void *, void *, int) noexcept nogil
    void rt_group_d0(int, int, const void *, const void *, int64_t, int64_t, int64_t, int64_t, const void *, const void *, const void *, void *, void *, void *, void *, int) noexcept nogil

cdef enum Kind:
    CHANNEL_TRAIN     # batch_norm with the batch's own statistics
    CHANNEL_EVAL      # batch_norm with given statistics
    ROW               # layer_norm
    ROW_RMS           # rms_norm
    GROUP             # group_norm


cdef void *ptr_of(TensorBase t) noexcept:
    return NULL if t is None else t.ptr


cdef TensorBase room_for_sums(TensorBase x, int64_t channels):
    """Two sums in float64 for each channel of each image, for the kernels of groups whose channels lie innermost."""
    cdef int64_t sh[1]
    sh[0] = 2 * channels
    return empty(1, sh, RT_F64, x.dev)


cdef int need_real(object op, TensorBase x) except -1:
    """Floats of 16, 32 and 64 bits have kernels, on every device."""
    return 0 if is_half(x) else need_float(op, x)


cdef TensorBase optional(object op, object arg, object value):
    return None if value is None else contiguous_raw(as_base(op, arg, value))


cdef int check_vector(object op, object arg, TensorBase t, TensorBase x, int64_t n) except -1:
    if t is None:
        return 0
    if t.n != n or t.nd != 1:
        raise ShapeError(f"{op}: Expected {arg} to be a vector of size equal to the number of channels in input, but got {arg} of "
                         f"shape {sizes_text(t)} and input of shape {sizes_text(x)}", op=op)
    together(op, x, t)
    if t.dt != stat_dtype(x):
        raise DTypeError(f"{op}: expected {arg} of dtype {dtype_text(x)} as the input, but got {dtype_text(t)}", op=op)
    return 0


cdef class NormBackward0(Node):
    """Gradient of all of them. Slots: x, w, mean, rstd."""
    cdef Kind kind
    cdef int64_t n, c, s, groups    # channel: N, C, S; row: R, n in (n, c); group: N, C of a group, S, G
    cdef int tail                   # row kinds: number of normalised dimensions
    cdef double eps
    cdef object label

    cdef object own_name(self):
        return self.label

    cdef object apply(self, object g_):
        cdef TensorBase g = <TensorBase?>g_, x = saved(self, 0), w = saved(self, 1), mean = saved(self, 2), rstd = saved(self, 3)
        cdef TensorBase xc, wc, gx = None, gw = None, gb = None
        cdef bint last
        cdef int level = isa_level(), threads = num_threads(), dt = x.dt, kept = stat_dtype(x)
        cdef int64_t sh[1]
        if grad_mode():
            return self.by_operators(g_, -1)
        if not on_cpu(x):
            return self.on_device(g, x, w, mean, rstd)
        last = self.kind != ROW and self.kind != ROW_RMS and as_matrix(x)
        xc = in_order(x, last)
        g = in_order(g, last)
        wc = None if w is None else contiguous_raw(w)
        if wants_edge(self, 0):
            gx = empty_in_order(x.nd, x.sh, x.dt, x.dev, last)
        sh[0] = self.c if self.kind <= CHANNEL_EVAL else self.c * self.groups
        if wants_edge(self, 1) or wants_edge(self, 2):
            if self.kind == ROW or self.kind == ROW_RMS:
                gw = empty(self.tail, x.sh + x.nd - self.tail, kept, x.dev) if wants_edge(self, 1) else None
                gb = empty(self.tail, x.sh + x.nd - self.tail, kept, x.dev) if wants_edge(self, 2) else None
            else:
                gw = empty(1, sh, kept, x.dev) if wants_edge(self, 1) else None
                gb = empty(1, sh, kept, x.dev) if wants_edge(self, 2) else None
        cdef TensorBase sums = room_for_sums(x, self.n * self.c * self.groups) if last and self.kind == GROUP else None
        cdef void *sp = ptr_of(sums)
        cdef void *wp = ptr_of(wc)
        cdef void *mp = ptr_of(mean)
        cdef void *rp = ptr_of(rstd)
        cdef void *gxp = ptr_of(gx)
        cdef void *gwp = ptr_of(gw)
        cdef void *gbp = ptr_of(gb)
        with nogil:
            if self.kind <= CHANNEL_EVAL:
                rt_channel_d0(level, dt, xc.ptr, g.ptr, self.n * self.s if last else self.n, self.c, 1 if last else self.s, mp, rp, wp, self.kind == CHANNEL_TRAIN, gxp, gwp, gbp, threads)
            elif self.kind == GROUP:
                rt_group_d0(level, dt, xc.ptr, g.ptr, self.n, self.groups, self.c, self.s, wp, mp, rp, gxp, gwp, gbp, sp, threads)
            else:
                rt_row_d0(level, dt, xc.ptr, g.ptr, self.n, self.c, wp, mp, rp, self.kind == ROW_RMS, gxp, gwp, gbp, threads)
        if self.n_edges == 2:
            return gx, gw
        return gx, gw, gb

    cdef object on_device(self, TensorBase g, TensorBase x, TensorBase w, TensorBase mean, TensorBase rstd):
        """The same by the device's kernels; gradients of weights are in the statistics' dtype, as the weights are."""
        cdef TensorBase gx = None, gw = None, gb = None
        cdef int dt = stat_dtype(x), tail = 1
        cdef bint channels = self.kind <= CHANNEL_EVAL
        cdef int64_t *sh = x.sh + 1
        if self.kind == ROW or self.kind == ROW_RMS:
            tail = self.tail
            sh = x.sh + x.nd - tail
        if wants_edge(self, 0):
            gx = empty_in_order(x.nd, x.sh, x.dt, x.dev, channels and suggests_last(x))
        if wants_edge(self, 1):
            gw = empty(tail, sh, dt, x.dev)
        if self.n_edges > 2 and wants_edge(self, 2):
            gb = empty(tail, sh, dt, x.dev)
        if channels:
            run_on_device("batch_norm_back", x, g, w, mean, rstd, gx, gw, gb, self.kind == CHANNEL_TRAIN)
        elif self.kind == GROUP:
            run_on_device("row_norm_back", contiguous_raw(x), contiguous_raw(g), None if w is None else contiguous_raw(w), mean, rstd, gx, gw, gb,
                          self.n * self.groups, self.groups, self.c, self.s, False)
        else:
            run_on_device("row_norm_back", contiguous_raw(x), contiguous_raw(g), None if w is None else contiguous_raw(w), mean, rstd, gx, gw, gb,
                          self.n, 1, self.c, 1, self.kind == ROW_RMS)
        return (gx, gw) if self.n_edges == 2 else (gx, gw, gb)

    cdef object apply_many(self, object g, Py_ssize_t n):
        return self.by_operators(g, n)

    cdef object by_operators(self, object g, Py_ssize_t many):
        """`composed`, in float32 for 16-bit floats."""
        cdef TensorBase x = saved(self, 0), w = saved(self, 1), mean = saved(self, 2), rstd = saved(self, 3)
        if not is_half(x):
            return self.composed(g, x, w, mean, rstd, many)
        got = self.composed(float32_of(g), float32_of(x), w, mean, rstd, many)
        return (None if got[0] is None else like_dtype(got[0], x.dt), *got[1:])

    cdef object composed(self, object g, object x, object w, object mean, object rstd, Py_ssize_t many):
        """The same from operators that record, for gradients of gradients; many >= 0: of so many gradients along dimension 0."""
        cdef object dims, shape = None, xhat, r, gy, gx = None, gw = None, gb = None, others, v = x, h = g, m, over
        cdef int nd = (<TensorBase>x).nd
        if self.kind <= CHANNEL_EVAL:
            dims = [0] + list(range(2, nd))
            shape = [1, self.c] + [1] * (nd - 2)
            others = dims
        elif self.kind == GROUP:
            v = x.reshape(self.n, self.groups, self.c, self.s)
            h = g.reshape(((many,) if many >= 0 else ()) + (self.n, self.groups, self.c, self.s))
            dims = [2, 3]
            shape = [1, self.groups, self.c, 1]
            others = [0, 3]
        else:
            dims = list(range(nd - self.tail, nd))
            others = list(range(nd - self.tail))
        if self.kind == CHANNEL_EVAL:
            r = rstd.reshape(shape)
            xhat = (v - mean.reshape(shape)) * r
        else:
            m = v if self.kind == ROW_RMS else v - v.mean(dims, True)
            r = ((m * m).mean(dims, True) + self.eps).rsqrt()
            xhat = m * r
        over = dims                                # the same dimensions of the gradients
        if many >= 0:
            over = [d + 1 for d in dims]
            others = [d + 1 for d in others]
        if wants_edge(self, 0):
            gy = h
            if w is not None:
                gy = h * (w if shape is None else w.reshape(shape))
            if self.kind == CHANNEL_EVAL:
                gx = gy * r
            elif self.kind == ROW_RMS:
                gx = (gy - xhat * (gy * xhat).mean(over, True)) * r
            else:
                gx = (gy - gy.mean(over, True) - xhat * (gy * xhat).mean(over, True)) * r
            if self.kind == GROUP:
                gx = gx.reshape(((many,) if many >= 0 else ()) + shape_tuple(<TensorBase>x))
        if wants_edge(self, 1):
            gw = h * xhat
            gw = gw.sum(others) if others else gw
            if self.kind == GROUP:
                gw = gw.reshape(-1) if many < 0 else gw.reshape(many, -1)
        if self.n_edges == 2:
            return gx, gw
        if wants_edge(self, 2):
            gb = h.sum(others) if others else h
            if self.kind == GROUP:
                gb = gb.reshape(-1) if many < 0 else gb.reshape(many, -1)
        return gx, gw, gb


cdef NormBackward0 record(Kind kind, object label, TensorBase out, TensorBase x, TensorBase w, TensorBase b, TensorBase mean,
                          TensorBase rstd, double eps):
    cdef NormBackward0 node = NormBackward0.__new__(NormBackward0)
    node.kind = kind
    node.label = label
    node.eps = eps
    save(node, 0, x)
    save(node, 1, w)
    save(node, 2, mean)
    save(node, 3, rstd)
    attach(out, node, (x, w) if kind == ROW_RMS else (x, w, b))
    return node


# ---- batch and instance norm ----------------------------------------------------------------------------
cdef double get(TensorBase t, int64_t i) noexcept:
    return (<float *>t.ptr)[i * t.st[0]] if t.dt == RT_F32 else (<double *>t.ptr)[i * t.st[0]]


cdef void put(TensorBase t, int64_t i, double v) noexcept:
    if t.dt == RT_F32:
        (<float *>t.ptr)[i * t.st[0]] = <float>v
    else:
        (<double *>t.ptr)[i * t.st[0]] = v


cdef TensorBase checked_running(object op, object running, int64_t n):
    cdef TensorBase r = as_base(op, "running", running)
    if r.n != n or r.nd != 1:
        raise ShapeError(f"{op}: running statistics should contain {n} elements not {r.n}", op=op)
    return r


cdef int update_running(object op, object running, TensorBase stat, double momentum, double factor) except -1:
    """running = (1 - momentum) * running + momentum * factor * stat, in place."""
    cdef TensorBase r = checked_running(op, running, stat.n), wide
    cdef int64_t i
    if not on_cpu(r):
        together(op, r, stat)
        (<object>r).data.mul_(1 - momentum).add_((<object>stat).detach().to((<object>r).dtype), alpha=momentum * factor)
    elif r.dt != RT_F32 and r.dt != RT_F64:
        wide = cast_raw(r, RT_F32)
        for i in range(wide.n):
            put(wide, i, (1 - momentum) * get(wide, i) + momentum * factor * get(stat, i))
        running.data.copy_(wide)
    else:
        for i in range(r.n):
            put(r, i, (1 - momentum) * get(r, i) + momentum * factor * get(stat, i))
    bump(r)
    return 0


cdef bint as_matrix(TensorBase x) noexcept:
    """Whether channels lie innermost, enough of them for vectors: the kernels see (pixels, channels)."""
    return x.sh[1] >= 8 and suggests_last(x)


cdef tuple batch(object op, object input, object weight, object bias, object running_mean, object running_var, bint training,
                 double momentum, double eps):
    """(y, mean, rstd) in the statistics' dtype."""
    cdef TensorBase x = as_base(op, "input", input), xc, w, b, mean, var, out, rstd
    cdef int64_t N, C, S = 1, i, count
    cdef int d, level = isa_level(), threads = num_threads()
    cdef bint last
    cdef int kept
    cdef NormBackward0 node
    if x.nd == 1 and x.n == 0:
        return input.clone(), input.detach(), input.detach()
    if x.nd < 2:
        raise ShapeError(f"{op}: expected at least 2D input, but got input of size {sizes_text(x)}", op=op)
    need_real(op, x)
    if is_half(x):
        weight, bias = float32_of(weight), float32_of(bias)
    N = x.sh[0]
    C = x.sh[1]
    for d in range(2, x.nd):
        S *= x.sh[d]
    count = N * S
    w = optional(op, "weight", weight)
    b = optional(op, "bias", bias)
    check_vector(op, "weight", w, x, C)
    check_vector(op, "bias", b, x, C)
    if not training and (running_mean is None or running_var is None):
        raise ShapeError(f"{op}: running_mean and running_var must be defined in evaluation mode", op=op)
    if not on_cpu(x):
        out, mean, rstd = batch_on_device(op, x, w, b, running_mean, running_var, training, momentum, eps)
        if recording(x, <TensorBase>weight, <TensorBase>bias):
            node = record(CHANNEL_TRAIN if training else CHANNEL_EVAL, "NativeBatchNormBackward0", out, x, <TensorBase>weight,
                          <TensorBase>bias, mean, rstd, eps)
            node.n, node.c, node.s = N, C, S
        return out, mean, rstd
    last = as_matrix(x)
    xc = in_order(x, last)
    kept = stat_dtype(x)
    out = empty_in_order(x.nd, x.sh, x.dt, x.dev, last)
    rstd = empty(1, &x.sh[1], kept, x.dev)
    cdef int64_t rows = count if last else N
    cdef int64_t plane = 1 if last else S
    if training:
        mean = empty(1, &x.sh[1], kept, x.dev)
        var = empty(1, &x.sh[1], kept, x.dev)
        with nogil:
            rt_channel_stats(level, x.dt, xc.ptr, rows, C, plane, mean.ptr, var.ptr, threads)
        if running_mean is not None:
            update_running(op, running_mean, mean, momentum, 1.0)
        if running_var is not None:
            update_running(op, running_var, var, momentum, <double>count / <double>(count - 1) if count > 1 else float("nan"))
    else:
        mean = contiguous_raw(cast_raw(as_base(op, "running_mean", running_mean), kept))
        var = contiguous_raw(cast_raw(as_base(op, "running_var", running_var), kept))
        if mean.stor is (<TensorBase>running_mean).stor and recording(x, <TensorBase>weight, <TensorBase>bias):
            mean = clone_raw(mean)                              # training may rewrite it before backward
        check_vector(op, "running_mean", mean, x, C)
        check_vector(op, "running_var", var, x, C)
    for i in range(C):
        put(rstd, i, 1.0 / sqrt(get(var, i) + eps))
    cdef void *wp = ptr_of(w)
    cdef void *bp = ptr_of(b)
    if out.n:
        with nogil:
            rt_channel_apply(level, x.dt, xc.ptr, rows, C, plane, mean.ptr, rstd.ptr, wp, bp, out.ptr, threads)
    out = in_order(out, suggests_last(x))                          # in the memory order of the input
    if recording(x, <TensorBase>weight, <TensorBase>bias):
        node = record(CHANNEL_TRAIN if training else CHANNEL_EVAL, "NativeBatchNormBackward0", out, x, <TensorBase>weight,
                      <TensorBase>bias, mean, rstd, eps)
        node.n = N
        node.c = C
        node.s = S
    return out, mean, rstd


cdef tuple batch_on_device(object op, TensorBase x, TensorBase w, TensorBase b, object running_mean, object running_var, bint training,
                           double momentum, double eps):
    """(y, mean, rstd) by the device's kernels."""
    cdef int dt = stat_dtype(x)
    cdef TensorBase out = empty_in_order(x.nd, x.sh, x.dt, x.dev, suggests_last(x)), mean, rstd, before = None, after = None
    if training:
        mean, rstd = empty(1, &x.sh[1], dt, x.dev), empty(1, &x.sh[1], dt, x.dev)
        if running_mean is not None:
            before = checked_running(op, running_mean, x.sh[1])
            together(op, x, before)
        if running_var is not None:
            after = checked_running(op, running_var, x.sh[1])
            together(op, x, after)
        run_on_device("batch_norm_statistics", x, mean, rstd, before, after, momentum, eps)
        if before is not None:
            bump(before)
        if after is not None:
            bump(after)
    else:
        mean = contiguous_raw(cast_raw(checked_running(op, running_mean, x.sh[1]), dt))
        if mean.stor is (<TensorBase>running_mean).stor:
            mean = clone_raw(mean)                              # training may rewrite it before backward
        rstd = contiguous_raw(cast_raw(checked_running(op, running_var, x.sh[1]), dt))
        rstd = <TensorBase>(<object>rstd).detach().add(eps).rsqrt_()
        together(op, x, mean)
        together(op, x, rstd)
    run_on_device("batch_norm", out, x, mean, rstd, w, b)
    return out, mean, rstd


def batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled=True):
    """Normalise each channel of (N, C, ...) over the batch and space, then scale and shift.

    Args:
        weight, bias: (C,) or None.
        running_mean, running_var: (C,) or None; updated in place when training (the variance unbiased), used otherwise.
        momentum: weight of the new statistics.
        cudnn_enabled: taken for PyTorch's signature; no effect on the CPU.
    """
    return batch("batch_norm", input, weight, bias, running_mean, running_var, training, momentum, eps)[0]


cdef tuple own_statistics(tuple got, object weight):
    """(output, mean, 1 / deviation) with the statistics in a 16-bit output's dtype, unless the weights are wider: as PyTorch gives them."""
    cdef TensorBase y = <TensorBase>got[0]
    if (y.dt != RT_F16 and y.dt != RT_BF16) or (weight is not None and (<TensorBase?>weight).dt != y.dt):
        return got
    return got[0], like_dtype(<TensorBase>got[1], y.dt), like_dtype(<TensorBase>got[2], y.dt)


def native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, *, out=None):
    """Apply batch_norm; return (output, mean, 1 / standard deviation), the last two empty in evaluation mode."""
    cdef tuple got = batch("native_batch_norm", input, weight, bias, running_mean, running_var, training, momentum, eps)
    if not training:
        got = (got[0], got[1][:0], got[2][:0])
    got = own_statistics(got, weight)
    if out is None:
        return got
    return tuple([deliver("native_batch_norm", <TensorBase>t, o) for t, o in zip(got, out)])


def instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps, cudnn_enabled=True):
    """Normalise each channel of each sample of (N, C, ...) over space, then scale and shift.

    Args:
        use_input_stats: False takes the running statistics instead.
        running_mean, running_var: (C,) or None; updated with the mean over the batch.
    """
    cdef TensorBase x = as_base("instance_norm", "input", input)
    cdef int64_t count = 1, N, C
    cdef int d
    if not use_input_stats:
        return batch("instance_norm", contiguous(x), weight, bias, running_mean, running_var, False, momentum, eps)[0]
    if x.nd < 3:
        raise ShapeError(f"instance_norm: expected at least 3D input (N, C, ...), but got input of size {sizes_text(x)}",
                         op="instance_norm")
    N = x.sh[0]
    C = x.sh[1]
    input = contiguous(x)                                          # PyTorch's result is row-major
    y, mean, rstd = group("instance_norm", input, C, weight, bias, eps)
    if running_mean is not None or running_var is not None:
        for d in range(2, x.nd):
            count *= x.sh[d]
        if running_mean is not None:
            update_running("instance_norm", running_mean, <TensorBase>mean.reshape(N, C).mean(0), momentum, 1.0)
        if running_var is not None:
            var = rstd.reshape(N, C).pow(-2).sub(eps).mean(0)
            update_running("instance_norm", running_var, <TensorBase>var, momentum, <double>count / <double>(count - 1) if count > 1 else float("nan"))
    return y


# ---- layer and RMS norm ---------------------------------------------------------------------------------
cdef bint ends_with(TensorBase t, int at, tuple shape) except -1:
    """Whether t's dimensions from `at` on are of this shape."""
    cdef int i
    if t.nd - at != len(shape):
        return False
    for i in range(t.nd - at):
        if t.sh[at + i] != shape[i]:
            return False
    return True


cdef int check_affine(object op, object arg, object value, tuple shape) except -1:
    cdef TensorBase t
    if value is None:
        return 0
    t = as_base(op, arg, value)
    if not ends_with(t, 0, shape):
        raise ShapeError(f"{op}: Expected {arg} to be of same shape as normalized_shape, but got {arg} of shape "
                         f"{sizes_text(t)} and normalized_shape = {list(shape)}", op=op)
    return 0


cdef int check_dtype(object op, object arg, TensorBase t, TensorBase x) except -1:
    together(op, x, t)
    if t is not None and t.dt != stat_dtype(x):
        raise DTypeError(f"{op}: expected {arg} of dtype {dtype_text(x)} as the input, but got {dtype_text(t)}", op=op)
    return 0


cdef tuple rows(object op, bint rms, object input, object normalized_shape, object weight, object bias, double eps):
    cdef TensorBase x = as_base(op, "input", input), xc, w, b, out, mean = None, rstd
    cdef int64_t n = 1, R = 1
    cdef int64_t sh[64]
    cdef int i, tail, level = isa_level(), threads = num_threads()
    cdef NormBackward0 node
    cdef tuple shape = (<tuple>normalized_shape if type(normalized_shape) is tuple else
                        (normalized_shape,) if hasattr(normalized_shape, "__index__") else tuple(normalized_shape))
    tail = <int>len(shape)
    if tail < 1:
        raise ShapeError(f"{op}: Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, "
                         f"but got normalized_shape = {list(shape)}", op=op)
    if x.nd < tail or not ends_with(x, x.nd - tail, shape):
        raise TooFewDimsError(f"{op}: Given normalized_shape={list(shape)}, expected input with shape "
                         f"[*, {', '.join(map(str, shape))}], but got input of size{sizes_text(x)}", op=op)
    check_affine(op, "weight", weight, shape)
    check_affine(op, "bias", bias, shape)
    need_real(op, x)
    if is_half(x):
        weight, bias = float32_of(weight), float32_of(bias)
    xc = contiguous_raw(x)
    w = optional(op, "weight", weight)
    b = optional(op, "bias", bias)
    check_dtype(op, "weight", w, x)
    check_dtype(op, "bias", b, x)
    for i in range(tail):
        n *= x.sh[x.nd - tail + i]
    for i in range(x.nd):
        sh[i] = x.sh[i] if i < x.nd - tail else 1
        if i < x.nd - tail:
            R *= x.sh[i]
    out = empty_like_shape(x, x.dt)
    rstd = empty(x.nd, sh, stat_dtype(x), x.dev)
    if not rms:
        mean = empty(x.nd, sh, stat_dtype(x), x.dev)
    cdef void *wp = ptr_of(w)
    cdef void *bp = ptr_of(b)
    cdef void *mp = ptr_of(mean)
    if not on_cpu(x):
        run_on_device("row_norm", out, xc, w, b, mean, rstd, R, 1, n, 1, eps, rms)
    else:
        with nogil:
            rt_row(level, x.dt, xc.ptr, R, n, wp, bp, eps, rms, out.ptr, mp, rstd.ptr, threads)
    if rms:
        out = in_order(out, suggests_last(x))                      # in the memory order of the input
    if recording(x, <TensorBase>weight, <TensorBase>bias):
        node = record(ROW_RMS if rms else ROW, "RmsNormBackward0" if rms else "NativeLayerNormBackward0", out, x,
                      <TensorBase>weight, <TensorBase>bias, mean, rstd, eps)
        node.n = R
        node.c = n
        node.s = 1
        node.groups = 1
        node.tail = tail
    return out, mean, rstd


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-05, cudnn_enable=True):
    """Normalise over the last dimensions, then scale and shift.

    Args:
        normalized_shape: sizes of the dimensions to normalise over (the input's last ones).
        weight, bias: of that shape, or None.
        cudnn_enable: taken for PyTorch's signature; no effect on the CPU.
    Source: Ba, Kiros, Hinton, "Layer Normalization" (2016).
    """
    return rows("layer_norm", False, input, normalized_shape, weight, bias, eps)[0]


def native_layer_norm(input, normalized_shape, weight, bias, eps):
    """Apply layer_norm; return (output, mean, 1 / standard deviation)."""
    return own_statistics(rows("native_layer_norm", False, input, normalized_shape, weight, bias, eps), weight)


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """Divide by the root of the mean square over the last dimensions, then scale.

    Args:
        eps: added to the mean square; None means the dtype's machine epsilon.
    Source: Zhang, Sennrich, "Root Mean Square Layer Normalization" (2019).
    """
    cdef TensorBase x = as_base("rms_norm", "input", input)
    if eps is None:
        eps = 2.220446049250313e-16 if x.dt == RT_F64 else 1.1920928955078125e-07
    return rows("rms_norm", True, input, normalized_shape, weight, None, eps)[0]


# ---- group norm -----------------------------------------------------------------------------------------
cdef tuple group(object op, object input, int64_t num_groups, object weight, object bias, double eps):
    cdef TensorBase x = as_base(op, "input", input), xc, w, b, out, mean, rstd
    cdef int64_t N, C, S = 1
    cdef int64_t sh[2]
    cdef int i, level = isa_level(), threads = num_threads()
    cdef NormBackward0 node
    if x.nd < 2:
        raise ShapeError(f"{op}: Expected at least 2 dimensions for input tensor but received {x.nd}", op=op)
    C = x.sh[1]
    N = x.sh[0]
    if num_groups <= 0 or C % num_groups:
        raise ShapeError(f"{op}: Expected number of channels in input to be divisible by num_groups, but got input of shape "
                         f"{sizes_text(x)} and num_groups={num_groups}", op=op)
    need_real(op, x)
    if is_half(x):
        weight, bias = float32_of(weight), float32_of(bias)
    for i in range(2, x.nd):
        S *= x.sh[i]
    cdef bint last = on_cpu(x) and as_matrix(x)
    xc = in_order(x, last)
    w = optional(op, "weight", weight)
    b = optional(op, "bias", bias)
    check_vector(op, "weight", w, x, C)
    check_vector(op, "bias", b, x, C)
    out = empty_in_order(x.nd, x.sh, x.dt, x.dev, last)
    sh[0] = N
    sh[1] = num_groups
    mean = empty(2, sh, stat_dtype(x), x.dev)
    rstd = empty(2, sh, stat_dtype(x), x.dev)
    cdef void *wp = ptr_of(w)
    cdef void *bp = ptr_of(b)
    cdef TensorBase sums = room_for_sums(x, N * C) if last else None
    cdef void *sp = ptr_of(sums)
    if not on_cpu(x):
        run_on_device("row_norm", out, xc, w, b, mean, rstd, N * num_groups, num_groups, C // num_groups, S, eps, False)
    elif out.n:
        with nogil:
            rt_group(level, x.dt, xc.ptr, N, num_groups, C // num_groups, S, wp, bp, eps, out.ptr, mean.ptr, rstd.ptr, sp, threads)
    out = in_order(out, suggests_last(x))                          # in the memory order of the input
    if recording(x, <TensorBase>weight, <TensorBase>bias):
        node = record(GROUP, "NativeGroupNormBackward0", out, x, <TensorBase>weight, <TensorBase>bias, mean, rstd, eps)
        node.n = N
        node.c = C // num_groups
        node.s = S
        node.groups = num_groups
    return out, mean, rstd


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-05, cudnn_enabled=True):
    """Normalise each group of channels of each sample of (N, C, ...), then scale and shift each channel.

    Args:
        num_groups: must divide C.
        weight, bias: (C,) or None.
    Source: Wu, He, "Group Normalization" (2018).
    """
    return group("group_norm", input, num_groups, weight, bias, eps)[0]


def native_group_norm(input, weight, bias, N, C, HxW, group_, eps):
    """Apply group_norm; return (output, mean, 1 / standard deviation). N, C, HxW repeat the input's sizes."""
    cdef TensorBase x = as_base("native_group_norm", "input", input)
    if x.nd < 2 or N != x.sh[0] or C != x.sh[1] or N * C * HxW != x.n:
        raise ShapeError(f"native_group_norm: expected N, C and HxW to be the sizes of an input of shape {sizes_text(x)}, got {N}, {C} and {HxW}", op="native_group_norm")
    y, mean, rstd = group("native_group_norm", input, group_, weight, bias, eps)
    if recording(x, None, None):                      # the statistics have gradients too: take them recorded
        v = input.reshape(N, group_, C // group_ * HxW)
        mean = v.mean(2)
        rstd = ((v - mean.unsqueeze(2)).square().mean(2) + eps).rsqrt()
    return own_statistics((y, mean, rstd), weight)


FUNCTIONS = {
    "batch_norm": batch_norm, "native_batch_norm": native_batch_norm, "instance_norm": instance_norm,
    "layer_norm": layer_norm, "native_layer_norm": native_layer_norm, "rms_norm": rms_norm, "group_norm": group_norm,
    "native_group_norm": native_group_norm,
}
METHODS = {}
