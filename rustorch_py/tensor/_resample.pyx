# build: isa=resample.inc.c cold
"""Positions mixed or moved: weighted taps along a dimension, windows as columns, CTC."""
from libc.stdint cimport int64_t
from ._backend cimport RT_META
from ._base cimport (TensorBase, Node, empty, empty_like_shape, attach1, attach2, save, saved, as_base, shape_tuple, view_raw, wrap_dim,
                     RT_BOOL, RT_F32, RT_I64, RT_KIND_COMPLEX, rt_kind)
from ._cpu cimport isa_level
from ._dtype cimport torch_name
from ._neural cimport num_threads, read_sizes, recording, is_half, on_cpu, by_float32, stat_dtype, together, add_sizes, float32_of, like_dtype, need_float, sizes_text
from ._plan cimport contiguous_raw, cast_raw
from ._create import complex_
from ._devices import run as run_on_device
from ..errors import DTypeError, DimError, ShapeError, TensorTypeError, TooFewDimsError, UnsupportedOpError

cdef extern from "resample.h" nogil:
    """
    static inline const RtResampleTable *rt_resample_pick(int level) {
    #if defined(__x86_64__)
        if (level == 2) return &rt_resample_table_avx512;
        if (level == 1) return &rt_resample_table_avx2;
    #endif
        (void)level;
        return &rt_resample_table_base;
    }
    """
    ctypedef struct RtWindows:
        int64_t channels
        int64_t in_ "in"[2]
        int64_t out[2]
        int64_t kernel[2]
        int64_t stride[2]
        int64_t pad[2]
        int64_t dilation[2]
    ctypedef struct RtResampleTable:
        void (*taps_f32)(const float *, int64_t, int64_t, int64_t, int64_t, int64_t, const int64_t *, const float *, float *, int) noexcept nogil
        void (*taps_f64)(const double *, int64_t, int64_t, int64_t, int64_t, int64_t, const int64_t *, const double *, double *, int) noexcept nogil
        void (*taps_d0_f32)(const float *, int64_t, int64_t, int64_t, int64_t, int64_t, const int64_t *, const float *, float *, int) noexcept nogil
        void (*taps_d0_f64)(const double *, int64_t, int64_t, int64_t, int64_t, int64_t, const int64_t *, const double *, double *, int) noexcept nogil
        void (*columns_f32)(const RtWindows *, int64_t, const float *, float *, int) noexcept nogil
        void (*columns_f64)(const RtWindows *, int64_t, const double *, double *, int) noexcept nogil
        void (*columns_d0_f32)(const RtWindows *, int64_t, const float *, float *, int) noexcept nogil
        void (*columns_d0_f64)(const RtWindows *, int64_t, const double *, double *, int) noexcept nogil
        void (*ctc_f32)(const float *, int64_t, int64_t, int64_t, const int64_t *, int64_t, const int64_t *, const int64_t *, int64_t, float *, float *, int) noexcept nogil
        void (*ctc_f64)(const double *, int64_t, int64_t, int64_t, const int64_t *, int64_t, const int64_t *, const int64_t *, int64_t, double *, double *, int) noexcept nogil
        void (*ctc_d0_f32)(const float *, int64_t, int64_t, int64_t, const int64_t *, int64_t, const int64_t *, const int64_t *, int64_t, const float *, const float *, const float *, int, float *, int) noexcept nogil
        void (*ctc_d0_f64)(const double *, int64_t, int64_t, int64_t, const int64_t *, int64_t, const int64_t *, const int64_t *, int64_t, const double *, const double *, const double *, int, double *, int) noexcept nogil
    const RtResampleTable *rt_resample_pick(int level) noexcept nogil


# ---- taps -----------------------------------------------------------------------------------------------------
cdef object apply_taps(TensorBase x, int dim, TensorBase index, TensorBase weight, int64_t n, bint forward):
    """Weighted taps along dim, or their transpose with `n` results there; each the other's gradient. Recorded."""
    cdef const RtResampleTable *table = rt_resample_pick(isa_level())
    cdef TensorBase xc = contiguous_raw(x), out
    cdef int64_t sh[64]
    cdef int64_t outer = 1, inner = 1, m = index.sh[0], taps = index.sh[1]
    cdef int i, threads = num_threads()
    cdef TapsBackward0 node
    cdef void *w = NULL
    for i in range(x.nd):
        sh[i] = x.sh[i]
        if i < dim:
            outer *= x.sh[i]
        elif i > dim:
            inner *= x.sh[i]
    sh[dim] = m if forward else n
    out = empty(x.nd, sh, x.dt, x.dev)
    if weight is not None:
        w = weight.ptr
    if not on_cpu(x):
        run_on_device("weighted_taps", out, xc, index, weight, outer, n, inner, forward)
    else:
        with nogil:
            if forward:
                if x.dt == RT_F32:
                    table.taps_f32(<float *>xc.ptr, outer, n, inner, m, taps, <int64_t *>index.ptr, <float *>w, <float *>out.ptr, threads)
                else:
                    table.taps_f64(<double *>xc.ptr, outer, n, inner, m, taps, <int64_t *>index.ptr, <double *>w, <double *>out.ptr, threads)
            else:
                if x.dt == RT_F32:
                    table.taps_d0_f32(<float *>xc.ptr, outer, n, inner, m, taps, <int64_t *>index.ptr, <float *>w, <float *>out.ptr, threads)
                else:
                    table.taps_d0_f64(<double *>xc.ptr, outer, n, inner, m, taps, <int64_t *>index.ptr, <double *>w, <double *>out.ptr, threads)
    if recording(x, None, None):
        node = TapsBackward0.__new__(TapsBackward0)
        node.dim = dim
        node.n = n
        node.forward = forward
        save(node, 0, index)
        save(node, 1, weight)
        attach1(out, node, x)
    return out


cdef class TapsBackward0(Node):
    cdef int dim
    cdef int64_t n
    cdef bint forward

    cdef object apply(self, object g):
        return apply_taps(<TensorBase?>g, self.dim, saved(self, 0), saved(self, 1), self.n, not self.forward)


def weighted_taps(input, dim, index, weight=None):
    """Mix positions along a dimension: out[i] = sum over k of weight[i, k] * input[index[i, k]].

    Interpolation of every kind and padding by reflection, replication or wrapping are such mixtures,
    one dimension at a time.

    Args:
        input: float tensor.
        dim: where positions are mixed.
        index: (m, taps) int64 positions; a negative one reads 0.
        weight: (m, taps), no gradient; None for ones.
    Returns:
        The input's shape with m at ``dim``.
    """
    cdef TensorBase x = as_base("weighted_taps", "input", input), idx = as_base("weighted_taps", "index", index), w = None
    cdef int d = wrap_dim("weighted_taps", dim, x.nd)
    cdef int64_t i
    if by_float32(x):
        return like_dtype(weighted_taps(float32_of(input), dim, index, weight), x.dt)
    need_float("weighted_taps", x)
    if idx.nd != 2 or idx.dt != RT_I64 or x.nd == 0:
        raise ShapeError(f"weighted_taps: expected an int64 index of shape (m, taps) and an input with dimensions, but got index of "
                         f"size {sizes_text(idx)} and dtype {torch_name(idx.dt)}, input of size {sizes_text(x)}", op="weighted_taps")
    idx = contiguous_raw(idx)
    together("weighted_taps", x, idx)
    for i in range(idx.n if on_cpu(x) else 0):                   # a device's kernel checks
        if (<int64_t *>idx.ptr)[i] >= x.sh[d]:
            raise DimError(f"weighted_taps: index {(<int64_t *>idx.ptr)[i]} is out of bounds for dimension {d} with size {x.sh[d]}",
                           op="weighted_taps")
    if weight is not None:
        w = as_base("weighted_taps", "weight", weight)
        if shape_tuple(w) != shape_tuple(idx):
            raise ShapeError(f"weighted_taps: weight of size {sizes_text(w)} differs from index of size {sizes_text(idx)}", op="weighted_taps")
        together("weighted_taps", x, w)
        w = contiguous_raw(cast_raw(w, stat_dtype(x)))
    return apply_taps(x, d, idx, w, x.sh[d], True)


# ---- windows as columns -------------------------------------------------------------------------------------------
cdef class Columns:
    """The geometry of unfold and fold."""
    cdef RtWindows p

    cdef tuple numbers(self):
        cdef list numbers = [self.p.channels]
        add_sizes(numbers, self.p.in_, 2)
        add_sizes(numbers, self.p.out, 2)
        add_sizes(numbers, self.p.kernel, 2)
        add_sizes(numbers, self.p.stride, 2)
        add_sizes(numbers, self.p.pad, 2)
        add_sizes(numbers, self.p.dilation, 2)
        return tuple(numbers)


cdef object apply_columns(TensorBase x, Columns w, bint forward):
    """(N, C, H, W) to (N, C * kernel, windows), or the sum back; each the other's gradient. Recorded."""
    cdef const RtResampleTable *table = rt_resample_pick(isa_level())
    cdef TensorBase xc = contiguous_raw(x), out
    cdef int64_t sh[4]
    cdef int threads = num_threads()
    cdef ColumnsBackward0 node
    sh[0] = x.sh[0]
    if forward:
        sh[1] = w.p.channels * w.p.kernel[0] * w.p.kernel[1]
        sh[2] = w.p.out[0] * w.p.out[1]
    else:
        sh[1] = w.p.channels
        sh[2] = w.p.in_[0]
        sh[3] = w.p.in_[1]
    out = empty(3 if forward else 4, sh, x.dt, x.dev)
    if not on_cpu(x):
        run_on_device("columns", out, xc, w.numbers(), forward)
    else:
        with nogil:
            if forward:
                if x.dt == RT_F32:
                    table.columns_f32(&w.p, sh[0], <float *>xc.ptr, <float *>out.ptr, threads)
                else:
                    table.columns_f64(&w.p, sh[0], <double *>xc.ptr, <double *>out.ptr, threads)
            else:
                if x.dt == RT_F32:
                    table.columns_d0_f32(&w.p, sh[0], <float *>xc.ptr, <float *>out.ptr, threads)
                else:
                    table.columns_d0_f64(&w.p, sh[0], <double *>xc.ptr, <double *>out.ptr, threads)
    if recording(x, None, None):
        node = ColumnsBackward0.__new__(ColumnsBackward0)
        node.w = w
        node.forward = forward
        attach1(out, node, x)
    return out


cdef class ColumnsBackward0(Node):
    cdef Columns w
    cdef bint forward

    cdef object own_name(self):
        return "Im2ColBackward0" if self.forward else "Col2ImBackward0"

    cdef object apply(self, object g):
        return apply_columns(<TensorBase?>g, self.w, not self.forward)


cdef Columns read_columns(object op, object kernel_size, object dilation, object padding, object stride):
    cdef Columns w = Columns.__new__(Columns)
    cdef int d
    read_sizes(op, "kernel_size", kernel_size, 2, w.p.kernel)
    read_sizes(op, "dilation", dilation, 2, w.p.dilation)
    read_sizes(op, "padding", padding, 2, w.p.pad)
    read_sizes(op, "stride", stride, 2, w.p.stride)
    for d in range(2):
        if w.p.kernel[d] <= 0 or w.p.dilation[d] <= 0 or w.p.stride[d] <= 0 or w.p.pad[d] < 0:
            raise ShapeError(f"{op}: kernel_size, dilation and stride should be greater than zero and padding non-negative, but got "
                             f"kernel_size={kernel_size}, dilation={dilation}, stride={stride}, padding={padding}", op=op)
    return w


cdef int count_windows(Columns w) noexcept:
    cdef int d
    cdef int64_t span
    for d in range(2):
        span = w.p.in_[d] + 2 * w.p.pad[d] - w.p.dilation[d] * (w.p.kernel[d] - 1) - 1
        w.p.out[d] = span // w.p.stride[d] + 1 if span >= 0 else 0
    return w.p.out[0] > 0 and w.p.out[1] > 0


def im2col(input, kernel_size, dilation=1, padding=0, stride=1):
    """Copy every window of (N, C, H, W) or (C, H, W) into a column: (N, C * KH * KW, windows)."""
    cdef TensorBase x = as_base("im2col", "input", input)
    cdef Columns w
    if x.nd == 3:
        return im2col(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    if x.nd != 4 or x.sh[1] == 0 or x.sh[2] == 0 or x.sh[3] == 0:
        raise ShapeError(f"im2col: Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions "
                         f"for input, but got: {sizes_text(x)}", op="im2col")
    if x.dt == RT_BOOL:
        return im2col(input.float(), kernel_size, dilation, padding, stride).to(input.dtype)
    if rt_kind(x.dt) == RT_KIND_COMPLEX:
        return complex_(*(im2col(part, kernel_size, dilation, padding, stride) for part in (input.real, input.imag)))
    if by_float32(x):
        return like_dtype(im2col(float32_of(input), kernel_size, dilation, padding, stride), x.dt)
    need_float("im2col", x)
    w = read_columns("im2col", kernel_size, dilation, padding, stride)
    w.p.channels = x.sh[1]
    w.p.in_[0] = x.sh[2]
    w.p.in_[1] = x.sh[3]
    if not count_windows(w):
        raise ShapeError(f"im2col: Given input with spatial size ({x.sh[2]}, {x.sh[3]}), kernel_size={kernel_size}, "
                         f"dilation={dilation}, padding={padding}, stride={stride}: the array of sliding blocks would be empty", op="im2col")
    return apply_columns(x, w, True)


def col2im(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Add columns of windows (N, C * KH * KW, windows) back into (N, C, *output_size): im2col's transpose."""
    cdef TensorBase x = as_base("col2im", "input", input)
    cdef Columns w
    if x.nd == 2:
        return col2im(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride).squeeze(0)
    if x.nd != 3 or x.sh[1] == 0 or x.sh[2] == 0:
        raise ShapeError(f"col2im: Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero "
                         f"dimensions for input, but got: {sizes_text(x)}", op="col2im")
    if x.dt == RT_BOOL:
        return col2im(input.float(), output_size, kernel_size, dilation, padding, stride).to(input.dtype)
    if rt_kind(x.dt) == RT_KIND_COMPLEX:
        return complex_(*(col2im(part, output_size, kernel_size, dilation, padding, stride) for part in (input.real, input.imag)))
    if by_float32(x):
        return like_dtype(col2im(float32_of(input), output_size, kernel_size, dilation, padding, stride), x.dt)
    need_float("col2im", x)
    w = read_columns("col2im", kernel_size, dilation, padding, stride)
    read_sizes("col2im", "output_size", output_size, 2, w.p.in_)
    if x.sh[1] % (w.p.kernel[0] * w.p.kernel[1]):
        raise ShapeError(f"col2im: Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
                         f"input.size(1)={x.sh[1]} and kernel_size={kernel_size}", op="col2im")
    w.p.channels = x.sh[1] // (w.p.kernel[0] * w.p.kernel[1])
    if not count_windows(w) or w.p.out[0] * w.p.out[1] != x.sh[2]:
        raise ShapeError(f"col2im: Given output_size={output_size}, kernel_size={kernel_size}, dilation={dilation}, padding={padding}, "
                         f"stride={stride}, expected size of input's dimension 2 to match the calculated number of sliding blocks "
                         f"{w.p.out[0] * w.p.out[1]}, but got input.size(2)={x.sh[2]}", op="col2im")
    return apply_columns(x, w, False)


# ---- connectionist temporal classification ---------------------------------------------------------------------------
cdef TensorBase counts_of(object op, object arg, object value, int64_t batch):
    """Lengths (tensor or sequence of ints) as an int64 tensor."""
    cdef TensorBase out = empty(1, &batch, RT_I64, 0)
    cdef object items = value.tolist() if isinstance(value, TensorBase) else value
    cdef int64_t i = 0
    items = [items] if hasattr(items, "__index__") else list(items)
    if len(items) != batch:
        raise ShapeError(f"{op}: {arg} must be of size batch_size {batch}, but got {len(items)}", op=op)
    for item in items:
        (<int64_t *>out.ptr)[i] = item
        if item < 0:
            raise ShapeError(f"{op}: Expected {arg} to have value at least 0, but got value {item}", op=op)
        i += 1
    return out


def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction=1, zero_infinity=False):
    """Compute minus the log-probability of label sequences under any alignment.

    Args:
        log_probs: (T, N, C) or (T, C) log-probabilities.
        targets: (N, S), or all labels one after the other, int64 or int32; (S,) for (T, C).
        input_lengths: frames of each sample. target_lengths: labels of each sample.
        blank: the class of "no label".
        reduction: 0 none, 1 mean of losses divided by target lengths, 2 sum.
        zero_infinity: impossible alignments count as 0.
    Source: Graves, Fernandez, Gomez, Schmidhuber (2006), section 4.1.
    """
    cdef object op = "ctc_loss", loss
    cdef TensorBase x = as_base(op, "log_probs", log_probs), t = as_base(op, "targets", targets), xc, frames, labels, flat, lab
    cdef TensorBase alpha, out
    cdef const RtResampleTable *table = rt_resample_pick(isa_level())
    cdef int64_t T, N, C, n, i, most = 0, total = 0, at = 0, width
    cdef int64_t sh[3]
    cdef int threads = num_threads()
    cdef bint single = x.nd == 2, joined
    cdef CtcLossBackward0 node
    if isinstance(input_lengths, TensorBase) != isinstance(target_lengths, TensorBase):
        raise TensorTypeError(f"ctc_loss(): input_lengths and target_lengths must both be tensors or both tuple of ints, got "
                              f"{type(input_lengths).__name__} and {type(target_lengths).__name__}", op=op)
    for lengths in (input_lengths, target_lengths):
        if isinstance(lengths, TensorBase):
            if lengths.is_floating_point() or lengths.is_complex():
                raise TensorTypeError(f"ctc_loss(): lengths must be integers, got {type(lengths).__name__} of {lengths.dtype}", op=op)
        elif not isinstance(lengths, (tuple, list)) or any([isinstance(one, (bool, float)) or not hasattr(one, "__index__") for one in lengths]):
            raise TensorTypeError(f"ctc_loss(): lengths must be tuple of ints or Tensor, got {lengths}", op=op)
    if x.nd != 2 and x.nd != 3:
        raise TooFewDimsError(f"ctc_loss: expected log_probs of shape (T, N, C) or (T, C), but got size {sizes_text(x)}", op=op)
    if single:
        log_probs = log_probs.unsqueeze(1)
        x = <TensorBase>log_probs
    if is_half(x):
        return like_dtype(ctc_loss(float32_of(log_probs), targets, input_lengths, target_lengths, blank, reduction, zero_infinity), x.dt)
    need_float(op, x)
    if rt_kind(t.dt) == RT_KIND_COMPLEX:
        raise DTypeError(f"ctc_loss: expected integer targets (Long or Int), but got {torch_name(t.dt)}", op=op)
    T, N, C = x.sh[0], x.sh[1], x.sh[2]
    if not 0 <= blank < C:
        raise ShapeError(f"ctc_loss: blank must be in label range [0, {C}), but got {blank}", op=op)
    if x.dev & 255 == RT_META:                            # nothing to align: a loss a sequence
        loss = log_probs.sum((0, 2))
        return loss.mean() if reduction == 1 else loss.sum() if reduction == 2 else loss.squeeze(0) if single else loss
    frames = counts_of(op, "input_lengths", input_lengths, N)
    labels = counts_of(op, "target_lengths", target_lengths, N)
    flat = contiguous_raw(cast_raw(t if on_cpu(t) else <TensorBase>(<object>t).cpu(), RT_I64))
    joined = t.nd == 1
    for n in range(N):
        if (<int64_t *>frames.ptr)[n] > T:
            raise ShapeError(f"ctc_loss: Expected input_lengths to have value at most {T}, but got value {(<int64_t *>frames.ptr)[n]} "
                             f"(while checking arguments for ctc_loss)", op=op)
        most = max(most, (<int64_t *>labels.ptr)[n])
        total += (<int64_t *>labels.ptr)[n]
    if joined and (t.n != total if not single else t.n < total):
        raise ShapeError(f"ctc_loss: Expected {total} targets for the target_lengths given, but got {t.n}", op=op)
    if not joined and (t.nd != 2 or t.sh[0] != N or t.sh[1] < most):
        raise ShapeError(f"ctc_loss: Expected targets to have size at least {most} at dimension 1 and {N} at dimension 0, but got "
                         f"size {sizes_text(t)}", op=op)
    sh[0] = N
    sh[1] = most
    lab = empty(2, sh, RT_I64, 0)
    for n in range(N):
        for i in range(most):
            (<int64_t *>lab.ptr)[n * most + i] = blank
        for i in range((<int64_t *>labels.ptr)[n]):
            (<int64_t *>lab.ptr)[n * most + i] = (<int64_t *>flat.ptr)[at + i if joined else n * t.sh[1] + i]
            if not 0 <= (<int64_t *>lab.ptr)[n * most + i] < C:
                raise ShapeError(f"ctc_loss: target {(<int64_t *>lab.ptr)[n * most + i]} is outside the {C} classes", op=op)
        at += (<int64_t *>labels.ptr)[n]
    width = 2 * most + 1
    sh[1] = T
    sh[2] = width
    alpha = empty(3, sh, x.dt, x.dev)
    out = empty(1, sh, x.dt, x.dev)
    xc = contiguous_raw(x)
    cdef int64_t blank_ = blank
    if not on_cpu(x):
        lab, frames, labels = [<TensorBase>(<object>v).to((<object>x).device) for v in (lab, frames, labels)]
        run_on_device("ctc_loss", out, alpha, xc, lab, frames, labels, blank)
    else:
        with nogil:
            if x.dt == RT_F32:
                table.ctc_f32(<float *>xc.ptr, T, N, C, <int64_t *>lab.ptr, most, <int64_t *>frames.ptr, <int64_t *>labels.ptr, blank_,
                              <float *>alpha.ptr, <float *>out.ptr, threads)
            else:
                table.ctc_f64(<double *>xc.ptr, T, N, C, <int64_t *>lab.ptr, most, <int64_t *>frames.ptr, <int64_t *>labels.ptr, blank_,
                              <double *>alpha.ptr, <double *>out.ptr, threads)
    if recording(x, None, None):
        node = CtcLossBackward0.__new__(CtcLossBackward0)
        node.blank = blank
        node.zero_infinity = zero_infinity
        save(node, 0, x)
        save(node, 1, lab)
        save(node, 2, frames)
        save(node, 3, labels)
        save(node, 4, alpha)
        save(node, 5, (<object>out).detach())
        attach1(out, node, x)
    loss = out
    if zero_infinity:
        loss = loss.masked_fill(loss.isinf(), 0)
    if reduction == 1:
        return (loss / (<object>labels).clamp(min=1).to(loss.dtype)).mean()
    if reduction == 2:
        return loss.sum()
    return loss.squeeze(0) if single else loss


cdef class CtcLossBackward0(Node):
    cdef int64_t blank
    cdef bint zero_infinity

    cdef object apply(self, object g_):
        cdef TensorBase x = saved(self, 0), lab = saved(self, 1), frames = saved(self, 2), labels = saved(self, 3)
        cdef TensorBase alpha = saved(self, 4), loss = saved(self, 5), xc = contiguous_raw(x), g = contiguous_raw(<TensorBase?>g_)
        cdef TensorBase out = empty_like_shape(x, x.dt)
        cdef const RtResampleTable *table = rt_resample_pick(isa_level())
        cdef int threads = num_threads()
        if not on_cpu(x):
            run_on_device("ctc_loss_back", out, xc, g, lab, frames, labels, alpha, loss, self.blank, self.zero_infinity)
        else:
            with nogil:
                if x.dt == RT_F32:
                    table.ctc_d0_f32(<float *>xc.ptr, x.sh[0], x.sh[1], x.sh[2], <int64_t *>lab.ptr, lab.sh[1], <int64_t *>frames.ptr,
                                     <int64_t *>labels.ptr, self.blank, <float *>alpha.ptr, <float *>loss.ptr, <float *>g.ptr,
                                     self.zero_infinity, <float *>out.ptr, threads)
                else:
                    table.ctc_d0_f64(<double *>xc.ptr, x.sh[0], x.sh[1], x.sh[2], <int64_t *>lab.ptr, lab.sh[1], <int64_t *>frames.ptr,
                                     <int64_t *>labels.ptr, self.blank, <double *>alpha.ptr, <double *>loss.ptr, <double *>g.ptr,
                                     self.zero_infinity, <double *>out.ptr, threads)
        if recording(x, g, None):
            attach2(out, CtcLossBackwardBackward0.__new__(CtcLossBackwardBackward0), x, g)
        return out


cdef class CtcLossBackwardBackward0(Node):
    """There is none, as in PyTorch; asking for it is an error, not a zero."""

    cdef object apply(self, object g):
        raise UnsupportedOpError("ctc_loss: the gradient of its gradient is not implemented", op="ctc_loss")


FUNCTIONS = {"weighted_taps": weighted_taps, "im2col": im2col, "col2im": col2im, "ctc_loss": ctc_loss}
METHODS = {}
# used by nn.functional; no torch-level names
NN_ONLY = ("weighted_taps", "im2col", "col2im")
