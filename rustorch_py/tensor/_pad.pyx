# build: isa=pad.inc.c
"""Padding: a constant, the nearest element, a reflection or the other end, around the last dimensions."""
from libc.stdint cimport int64_t
from libc.stdlib cimport malloc, free
from libc.string cimport memcpy
from ._base cimport (TensorBase, Node, attach1, as_base, view_raw, rt_itemsize, rt_kind, rt_real_dtype,
                     RT_BF16, RT_F16, RT_F32, RT_F64, RT_KIND_COMPLEX)
from ._cpu cimport isa_level
from ._neural cimport num_threads, recording, on_cpu, suggests_last, in_order, empty_in_order, bad_dtype
from ._plan cimport copy_raw, fill_value, full_
from ..errors import ShapeError

cdef extern from "pad.h" nogil:
    """
    static inline const RtPadTable *rt_pad_pick(int level) {
    #if defined(__x86_64__)
        if (level == 2) return &rt_pad_table_avx512;
        if (level == 1) return &rt_pad_table_avx2;
    #endif
        (void)level;
        return &rt_pad_table_base;
    }
    """
    enum: RT_PAD_CONSTANT, RT_PAD_REPLICATE, RT_PAD_REFLECT, RT_PAD_CIRCULAR
    ctypedef struct RtPad:
        int n
        int mode
        int64_t in_ "in"[64]
        int64_t out[64]
        int64_t before[64]
        int64_t inner
    ctypedef struct RtPadTable:
        void (*grow)(const RtPad *, int64_t, const char *, const char *, char *, int) noexcept nogil
        void (*sum_f32)(const RtPad *, const void *, void *, int64_t *, int64_t, int) noexcept nogil
        void (*sum_f64)(const RtPad *, const void *, void *, int64_t *, int64_t, int) noexcept nogil
        void (*sum_bf16)(const RtPad *, const void *, void *, int64_t *, int64_t, int) noexcept nogil
        void (*sum_f16)(const RtPad *, const void *, void *, int64_t *, int64_t, int) noexcept nogil
    const RtPadTable *rt_pad_pick(int level) noexcept nogil
    int64_t rt_pad_most(const RtPad *) noexcept nogil


cdef class Pads:
    """What a padding does to each dimension."""
    cdef int nd, mode
    cdef int64_t sh[64]             # sizes without it
    cdef int64_t out[64]
    cdef int64_t before[64]
    cdef bint last                  # channels innermost


cdef void lay(Pads w, int itemsize, RtPad *p) noexcept:
    """The dimensions as they lie in memory; neighbours that stay as they are count as one, and a short innermost one as elements of the next."""
    cdef int i, d
    cdef bint kept = False, keep
    p.n = 0
    p.mode = w.mode
    p.inner = 1
    for i in range(w.nd):
        d = i if not w.last else 0 if i == 0 else 1 if i == w.nd - 1 else i + 1
        keep = w.before[d] == 0 and w.out[d] == w.sh[d]
        if keep and kept:
            p.in_[p.n - 1] *= w.sh[d]
            p.out[p.n - 1] *= w.sh[d]
        else:
            p.in_[p.n] = w.sh[d]
            p.out[p.n] = w.out[d]
            p.before[p.n] = w.before[d]
            p.n += 1
        kept = keep
    if p.n == 0:
        p.in_[0] = p.out[0] = 1
        p.before[0] = 0
        p.n = 1
    if kept and p.n > 1 and p.in_[p.n - 1] * itemsize <= 4096:
        p.inner = p.in_[p.n - 1]
        p.n -= 1


# ---- a constant -------------------------------------------------------------------------------------------------
cdef object pad_constant(TensorBase x, list before, list after, object value):
    """Grow (or crop, where negative) each dimension; recorded. Its gradient crops and grows back."""
    cdef int64_t part[64]
    cdef char bytes_[32]
    cdef int64_t src_at = 0, dst_at = 0, b, a
    cdef int i, size = rt_itemsize(x.dt), threads = num_threads()
    cdef Pads w = Pads.__new__(Pads)
    cdef const RtPadTable *table
    cdef TensorBase out, one
    cdef ConstantPadNdBackward0 node
    cdef RtPad p
    cdef bint grows = False
    w.nd = x.nd
    w.mode = RT_PAD_CONSTANT
    w.last = suggests_last(x)
    for i in range(x.nd):
        b = before[i]
        a = after[i]
        w.sh[i] = x.sh[i]
        w.before[i] = b
        w.out[i] = x.sh[i] + b + a
        if w.out[i] < 0:
            raise ShapeError(f"constant_pad_nd: The input size {x.sh[i]}, plus negative padding {b} and {a} resulted in a negative "
                             f"output size, which is invalid. Check dimension {i} of your input.", op="constant_pad_nd")
        part[i] = x.sh[i] + min(b, 0) + min(a, 0)
        grows = grows or b > 0 or a > 0
    out = empty_in_order(x.nd, w.out, x.dt, x.dev, w.last)
    if on_cpu(x) and lies_in_order(x, w.last):
        one = full_(0, NULL, value, x.dt, x.dev)
        for i in range(32 // size):
            memcpy(bytes_ + i * size, one.ptr, size)
        if out.n:
            lay(w, size, &p)
            table = rt_pad_pick(isa_level())
            with nogil:
                table.grow(&p, size, <const char *>x.ptr, bytes_, <char *>out.ptr, threads)
    else:
        if grows:
            fill_value(out, value)
        for i in range(x.nd):
            if part[i] <= 0:
                break
            src_at -= min(<int64_t>before[i], 0) * x.st[i]
            dst_at += max(<int64_t>before[i], 0) * out.st[i]
        else:
            copy_raw(view_raw(out, x.nd, part, out.st, dst_at), view_raw(x, x.nd, part, x.st, src_at))
    if recording(x, None, None):
        node = ConstantPadNdBackward0.__new__(ConstantPadNdBackward0)
        node.before = before
        node.after = after
        attach1(out, node, x)
    return out


cdef bint lies_in_order(TensorBase x, bint last) except -1:
    """Whether the elements lie one after the other: row-major, or with channels innermost."""
    cdef int64_t step = 1
    cdef int i, d
    for i in range(x.nd):
        d = x.nd - 1 - i if not last else 1 if i == 0 else x.nd - i if i < x.nd - 1 else 0
        if x.sh[d] != 1 and x.st[d] != step:
            return False
        step *= x.sh[d]
    return True


cdef class ConstantPadNdBackward0(Node):
    cdef list before, after

    cdef object apply(self, object g):
        return pad_constant(<TensorBase?>g, [-b for b in self.before], [-a for a in self.after], 0)

    cdef object apply_many(self, object g, Py_ssize_t n):
        return pad_constant(<TensorBase?>g, [0] + [-b for b in self.before], [0] + [-a for a in self.after], 0)


def constant_pad_nd(input, pad, value=0):
    """Enlarge a tensor with a constant at the ends of its last dimensions.

    Args:
        input: any dtype.
        pad: (before, after) of the last dimension, then of the one before it, ...; negative amounts crop.
        value: the constant.
    """
    cdef TensorBase x = as_base("constant_pad_nd", "input", input)
    cdef list before, after
    cdef int i, k
    pad = list(pad)
    if len(pad) % 2:
        raise ShapeError(f"constant_pad_nd: Length of pad must be even but instead it equals {len(pad)}", op="constant_pad_nd")
    if len(pad) > 2 * x.nd:
        raise ShapeError(f"constant_pad_nd: Length of pad should be no more than twice the number of dimensions of the input. Pad "
                         f"length is {len(pad)} while the input has {x.nd} dimensions.", op="constant_pad_nd")
    before = [0] * x.nd
    after = [0] * x.nd
    for i in range(len(pad) // 2):
        k = x.nd - 1 - i
        before[k] = int(pad[2 * i])
        after[k] = int(pad[2 * i + 1])
        if x.sh[k] + min(before[k], 0) + min(after[k], 0) < 0:
            raise ShapeError(f"narrow(): length must be non-negative; dimension {k} of size {x.sh[k]} cannot lose {(before[k], after[k])}", op="constant_pad_nd")
    return pad_constant(x, before, after, value)


# ---- the array's own elements ---------------------------------------------------------------------------------------
MODES = {"replicate": RT_PAD_REPLICATE, "reflect": RT_PAD_REFLECT, "circular": RT_PAD_CIRCULAR}


cdef object apply_pads(TensorBase x, Pads w, bint forward):
    """The padded array, or the sum back; each the other's gradient. Recorded."""
    cdef const RtPadTable *table = rt_pad_pick(isa_level())
    cdef TensorBase xc = in_order(x, w.last), out = empty_in_order(w.nd, &w.out[0] if forward else &w.sh[0], x.dt, x.dev, w.last)
    cdef int size = rt_itemsize(x.dt), threads = num_threads(), dt = x.dt
    cdef PadsBackward0 node
    cdef int64_t most
    cdef int64_t *room = NULL
    cdef RtPad p
    lay(w, size, &p)
    if out.n == 0:
        pass
    elif forward:
        with nogil:
            table.grow(&p, size, <const char *>xc.ptr, NULL, <char *>out.ptr, threads)
    else:
        if rt_kind(dt) == RT_KIND_COMPLEX:
            dt = rt_real_dtype(dt)
            p.inner *= 2
        if dt != RT_F32 and dt != RT_F64 and dt != RT_BF16 and dt != RT_F16:
            bad_dtype("pad_backward", x)
        most = rt_pad_most(&p)
        room = <int64_t *>malloc(threads * 2 * most * sizeof(int64_t))
        if room is NULL:
            raise MemoryError()
        with nogil:
            (table.sum_f32 if dt == RT_F32 else table.sum_f64 if dt == RT_F64 else table.sum_bf16 if dt == RT_BF16 else table.sum_f16)(
                &p, xc.ptr, out.ptr, room, most, threads)
            free(room)
    if recording(x, None, None):
        node = PadsBackward0.__new__(PadsBackward0)
        node.w = w
        node.forward = forward
        attach1(out, node, x)
    return out


cdef class PadsBackward0(Node):
    cdef Pads w
    cdef bint forward

    cdef object own_name(self):
        cdef int i, n = 0
        for i in range(1, self.w.nd):
            n = max(n, self.w.nd - i if self.w.before[i] or self.w.out[i] != self.w.sh[i] else 0)
        if self.w.mode == RT_PAD_CIRCULAR:
            return "PadCircularBackward0"
        return f"{'Reflection' if self.w.mode == RT_PAD_REFLECT else 'Replication'}Pad{max(n, 1)}D{'' if self.forward else 'Backward'}Backward0"

    cdef object apply(self, object g):
        return apply_pads(<TensorBase?>g, self.w, not self.forward)


def pad_shown(input, pad, mode):
    """Enlarge a CPU tensor with its own elements at the ends of its last dimensions.

    Args:
        input: any dtype; its sizes allow the amounts (checked by ``nn.functional.pad``), and no size is 0.
        pad: (before, after) of the last dimension, then of the one before it, ...; negative amounts crop, but not in mode circular.
        mode: ``"replicate"``, ``"reflect"`` or ``"circular"``. The result of the last one is row-major, others lie as the input.
    """
    cdef TensorBase x = as_base("pad", "input", input)
    cdef Pads w = Pads.__new__(Pads)
    cdef int i, k
    w.nd = x.nd
    w.mode = MODES[mode]
    w.last = w.mode != RT_PAD_CIRCULAR and suggests_last(x)
    for i in range(x.nd):
        w.sh[i] = w.out[i] = x.sh[i]
        w.before[i] = 0
    for i in range(len(pad) // 2):
        k = x.nd - 1 - i
        w.before[k] = pad[2 * i]
        w.out[k] = x.sh[k] + w.before[k] + <int64_t>pad[2 * i + 1]
    return apply_pads(x, w, True)


FUNCTIONS = {"constant_pad_nd": constant_pad_nd, "pad_shown": pad_shown}
METHODS = {}
# used by nn.functional; no torch-level name
NN_ONLY = ("pad_shown",)
