# build: isa=attention.inc.c cold
"""Scaled dot product attention by tiles: no score matrix in memory, forward or backward."""
from libc.math cimport sqrt
from libc.stdint cimport int64_t
from ._base cimport (TensorBase, Node, empty, empty_strided, attach, save, save_output, saved, wants_edge, as_base, grad_mode,
                     shape_tuple, RT_BOOL, RT_F32, RT_F64)
from ._cpu cimport isa_level
from ._gemm cimport count_flops
from ._neural cimport num_threads, recording, is_half, on_cpu, by_float32, stat_dtype, float32_of, like_dtype, pull_back
from ._plan cimport contiguous_raw, cast_raw, expand_raw
from ._devices import has_kernel, run as run_on_device

cdef extern from "attention.h" nogil:
    enum: RT_MASK_NONE, RT_MASK_BOOL, RT_MASK_FLOAT
    ctypedef struct RtAttention:
        int threads, causal, mask_kind
        int64_t B, H, HK, Q, K, D, E
        double scale
        const void *q
        const void *k
        const void *v
        const void *mask
        int64_t q_s[3]
        int64_t k_s[3]
        int64_t v_s[3]
        int64_t o_s[3]
        int64_t mask_s[4]
        void *out
        void *lse
        const void *g
        int64_t g_s[3]
        void *gq
        void *gk
        void *gv
        int64_t gq_s[3]
        int64_t gk_s[3]
        int64_t gv_s[3]
        void *work
    ctypedef struct RtAttentionTable:
        int64_t (*work_f32)(const RtAttention *, int) noexcept nogil
        int64_t (*work_f64)(const RtAttention *, int) noexcept nogil
        void (*attend_f32)(const RtAttention *) noexcept nogil
        void (*attend_f64)(const RtAttention *) noexcept nogil
        void (*attend_d0_f32)(const RtAttention *) noexcept nogil
        void (*attend_d0_f64)(const RtAttention *) noexcept nogil
    const RtAttentionTable *rt_attention_pick(int level)


cdef TensorBase by_features(TensorBase t):
    """t, or a copy of it, with neighbouring features."""
    return t if t.st[t.nd - 1] == 1 or t.sh[t.nd - 1] == 1 else contiguous_raw(t)


cdef void strides_of(TensorBase t, int64_t *s) noexcept:
    """Steps of batch, head and position; missing dimensions in front have none."""
    cdef int i
    for i in range(3):
        s[i] = t.st[t.nd - 4 + i] if t.nd - 4 + i >= 0 else 0


cdef int64_t size_at(TensorBase t, int back) noexcept:
    return t.sh[t.nd - back] if t.nd >= back else 1


cdef TensorBase like_rows(TensorBase q, int64_t features):
    """A new tensor of q's shape but for the features, its dimensions in the order of q's in memory."""
    cdef int64_t sh[4]
    cdef int64_t st[4]
    cdef int order[4]
    cdef int i, j, d, nd = q.nd
    cdef int64_t step = features
    for i in range(nd - 1):
        sh[i] = q.sh[i]
        j = i
        while j > 0 and q.st[order[j - 1]] < q.st[i]:      # the longest step first; equal ones as they come
            order[j] = order[j - 1]
            j -= 1
        order[j] = i
    sh[nd - 1] = features
    st[nd - 1] = 1
    for i in range(nd - 2, -1, -1):
        d = order[i]
        st[d] = step
        step *= sh[d]
    return empty_strided(nd, sh, st, q.dt, q.dev)


cdef int describe(RtAttention *a, TensorBase q, TensorBase k, TensorBase v, TensorBase mask, bint causal, double scale) except -1:
    """Fill sizes, pointers and strides of the inputs."""
    cdef int i
    a.threads, a.causal, a.scale = num_threads(), causal, scale
    a.B, a.H, a.HK = size_at(q, 4), size_at(q, 3), size_at(k, 3)
    a.Q, a.K, a.D, a.E = size_at(q, 2), size_at(k, 2), size_at(q, 1), size_at(v, 1)
    a.q, a.k, a.v = q.ptr, k.ptr, v.ptr
    strides_of(q, a.q_s)
    strides_of(k, a.k_s)
    strides_of(v, a.v_s)
    a.mask, a.mask_kind = NULL, RT_MASK_NONE
    if mask is not None:
        a.mask, a.mask_kind = mask.ptr, RT_MASK_BOOL if mask.dt == RT_BOOL else RT_MASK_FLOAT
        for i in range(4):
            a.mask_s[i] = mask.st[i]
    return 0


cdef TensorBase room(RtAttention *a, TensorBase like, int backward):
    """The kernel's work buffer."""
    cdef const RtAttentionTable *table = rt_attention_pick(isa_level())
    cdef int64_t n = table.work_f32(a, backward) if like.dt == RT_F32 else table.work_f64(a, backward)
    return empty(1, &n, like.dt, like.dev)


cdef class AttentionBackward(Node):
    """Gradient of attention. Slots: q, k, v, mask, out, lse."""
    cdef bint causal
    cdef double scale

    cdef object own_name(self):
        return "ScaledDotProductFlashAttentionForCpuBackward0"

    cdef object apply(self, object g_):
        cdef TensorBase q = saved(self, 0), k = saved(self, 1), v = saved(self, 2), mask = saved(self, 3)
        cdef TensorBase out = saved(self, 4), lse = saved(self, 5), g, qc, kc, vc, gq, gk, gv, work
        cdef RtAttention a
        cdef object composed, plain_mask
        cdef const RtAttentionTable *table = rt_attention_pick(isa_level())
        if grad_mode():
            from ._attention_steps import attention as composed
            plain_mask = None if mask is None else (<object>mask).reshape(shape_tuple(mask)[4 - q.nd:])
            return pull_back(lambda q, k, v: composed(q, k, v, plain_mask, 0.0, self.causal, self.scale, True), [q, k, v],
                             [wants_edge(self, 0), wants_edge(self, 1), wants_edge(self, 2)], g_)
        g, qc, kc, vc = by_features(<TensorBase>g_), by_features(q), by_features(k), by_features(v)
        gq, gk, gv = like_rows(q, q.sh[q.nd - 1]), like_rows(k, k.sh[k.nd - 1]), like_rows(v, v.sh[v.nd - 1])
        count_flops("_scaled_dot_product_attention_backward", 2 * a_pairs(q, k) * (3 * q.sh[q.nd - 1] + 2 * v.sh[v.nd - 1]))
        if not on_cpu(q):
            run_on_device("attention_back", g, qc, kc, vc, mask, out, lse, gq, gk, gv, self.causal, self.scale)
            return gq, gk, gv
        describe(&a, qc, kc, vc, mask, self.causal, self.scale)
        a.out, a.lse, a.g = out.ptr, lse.ptr, g.ptr
        a.gq, a.gk, a.gv = gq.ptr, gk.ptr, gv.ptr
        strides_of(out, a.o_s)
        strides_of(g, a.g_s)
        strides_of(gq, a.gq_s)
        strides_of(gk, a.gk_s)
        strides_of(gv, a.gv_s)
        work = room(&a, q, 1)
        a.work = work.ptr
        with nogil:
            if q.dt == RT_F32:
                table.attend_d0_f32(&a)
            else:
                table.attend_d0_f64(&a)
        return gq, gk, gv


cdef int64_t a_pairs(TensorBase q, TensorBase k) noexcept:
    """Number of pairs of a query and a key over all heads, masked ones included."""
    return q.n // q.sh[q.nd - 1] * k.sh[k.nd - 2]


def can_attend(query, key, value, attn_mask, enable_gqa=True):
    """Return whether the tiles can do it: floats, 2 to 4 dimensions, equal batches (with ``enable_gqa``, heads may share
    keys and values), a mask without gradient."""
    cdef TensorBase q, k, v, m
    cdef int i
    if not (isinstance(query, TensorBase) and isinstance(key, TensorBase) and isinstance(value, TensorBase)):
        return False
    q, k, v = <TensorBase>query, <TensorBase>key, <TensorBase>value
    if q.nd < 2 or (not enable_gqa and q.nd > 2 and k.nd == q.nd and k.sh[k.nd - 3] != q.sh[q.nd - 3]):
        return False
    if q.dev != k.dev or q.dev != v.dev or q.dt != k.dt or q.dt != v.dt or not (q.dt == RT_F32 or q.dt == RT_F64 or is_half(q)):
        return False
    if not on_cpu(q) and (not has_kernel("attention", query) or max(q.sh[q.nd - 1], v.sh[v.nd - 1]) > 256):
        return False
    if q.nd > 4 or k.nd != q.nd or v.nd != q.nd or q.n == 0 or k.n == 0 or v.n == 0:
        return False
    if q.sh[q.nd - 1] != k.sh[q.nd - 1] or k.sh[q.nd - 2] != v.sh[q.nd - 2]:
        return False
    for i in range(q.nd - 2):
        if k.sh[i] != v.sh[i] or (q.sh[i] != k.sh[i] and i != q.nd - 3):
            return False
    if q.nd >= 3 and q.sh[q.nd - 3] % k.sh[q.nd - 3]:
        return False
    if attn_mask is not None:
        m = <TensorBase?>attn_mask
        if m.nd > q.nd or (m.rg and grad_mode()) or m.dev != q.dev:
            return False
        for i in range(1, m.nd + 1):
            if m.sh[m.nd - i] != 1 and m.sh[m.nd - i] != (k.sh[k.nd - 2] if i == 1 else q.sh[q.nd - i]):
                return False
    return True


def tiled_attention(query, key, value, attn_mask, is_causal, scale):
    """Return softmax(query @ key.T * scale + mask) @ value; ``can_attend`` says for which arguments.

    Args:
        query: (..., heads, L, E); key (..., kv heads, S, E); value (..., kv heads, S, Ev), kv heads a divisor of heads.
        attn_mask: bool (True takes part) or floats to add, broadcast to (..., heads, L, S), or None.
        is_causal: position i sees positions up to i only.
        scale: a number; None: 1 / sqrt(E).

    Source: Dao et al., "FlashAttention" (2022); Milakov, Gimelshein, "Online normalizer calculation for softmax" (2018).
    """
    cdef TensorBase q = as_base("scaled_dot_product_attention", "query", query), k = as_base("scaled_dot_product_attention", "key", key)
    cdef TensorBase v = as_base("scaled_dot_product_attention", "value", value), mask = None, out, lse = None, qc, kc, vc, work
    cdef RtAttention a
    cdef AttentionBackward node
    cdef bint keep
    cdef double factor
    cdef int64_t n
    cdef int64_t sh[4]
    cdef int i
    cdef const RtAttentionTable *table
    if by_float32(q):
        out_ = tiled_attention(float32_of(query), float32_of(key), float32_of(value), attn_mask, is_causal, scale)
        return like_dtype(out_, q.dt)
    if attn_mask is not None:
        mask = as_base("scaled_dot_product_attention", "attn_mask", attn_mask)
        if mask.dt != RT_BOOL:
            mask = cast_raw(mask, q.dt)
        for i in range(4):
            sh[i] = (size_at(q, 4), size_at(q, 3), size_at(q, 2), size_at(k, 2))[i]
        mask = expand_raw(mask, 4, sh)
    qc, kc, vc = by_features(q), by_features(k), by_features(v)
    count_flops("_scaled_dot_product_attention", 2 * a_pairs(q, k) * (q.sh[q.nd - 1] + v.sh[v.nd - 1]))
    factor = 1 / sqrt(<double>q.sh[q.nd - 1]) if scale is None else scale
    if q.st[q.nd - 1] == k.st[k.nd - 1] == v.st[v.nd - 1] == 1:
        out = like_rows(q, v.sh[v.nd - 1])
    else:                                               # PyTorch's general way, whose result is row-major
        for i in range(q.nd):
            sh[i] = q.sh[i] if i < q.nd - 1 else v.sh[i]
        out = empty(q.nd, sh, q.dt, q.dev)
    keep = recording(q, k, v)
    if keep:
        n = q.n // q.sh[q.nd - 1]
        lse = empty(1, &n, stat_dtype(q), q.dev)
    if not on_cpu(q):
        run_on_device("attention", out, lse, qc, kc, vc, mask, is_causal, factor)
    else:
        describe(&a, qc, kc, vc, mask, is_causal, factor)
        strides_of(out, a.o_s)
        a.out, a.lse = out.ptr, NULL
        if keep:
            a.lse = lse.ptr
        work = room(&a, q, 0)
        a.work = work.ptr
        table = rt_attention_pick(isa_level())
        with nogil:
            if q.dt == RT_F32:
                table.attend_f32(&a)
            else:
                table.attend_f64(&a)
    if keep:
        node = AttentionBackward.__new__(AttentionBackward)
        node.causal, node.scale = is_causal, factor
        save(node, 0, q)
        save(node, 1, k)
        save(node, 2, v)
        save(node, 3, mask)
        attach(out, node, (q, k, v))
        save_output(node, 4, out)
        save(node, 5, lse)
    return out


FUNCTIONS = {"tiled_attention": tiled_attention, "can_attend": can_attend}
METHODS = {}
NN_ONLY = {"tiled_attention", "can_attend"}
