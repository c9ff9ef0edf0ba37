# build: isa=embedding.inc.c
"""Embedding tables: rows picked by index, and bags of rows."""
from libc.stdint cimport int64_t
from ._base cimport (TensorBase, Node, empty, attach1, attach2, save, saved, wants_edge, as_base, shape_tuple, grad_mode, RT_F32,
                     RT_F64, RT_I32, RT_I64, RT_KIND_FLOAT, rt_kind, rt_itemsize)
from ._cpu cimport isa_level
from ._dtype cimport torch_name
from ._neural cimport num_threads, recording, is_half, float32_of, like_dtype, need_float, sizes_text
from ._plan cimport contiguous_raw, cast_raw
from ..errors import DTypeError, DimError, ShapeError, TensorValueError

cdef extern from "embedding.h" nogil:
    """
    static inline const RtEmbeddingTable *rt_embedding_pick(int level) {
    #if defined(__x86_64__)
        if (level == 2) return &rt_embedding_table_avx512;
        if (level == 1) return &rt_embedding_table_avx2;
    #endif
        (void)level;
        return &rt_embedding_table_base;
    }
    """
    ctypedef struct RtEmbeddingTable:
        int64_t (*gather_rows)(const char *, int64_t, int64_t, const int64_t *, int64_t, char *, int) noexcept nogil
        void (*add_rows_f32)(const float *, const int64_t *, int64_t, int64_t, int64_t, int64_t, const float *, float *, int) noexcept nogil
        void (*add_rows_f64)(const double *, const int64_t *, int64_t, int64_t, int64_t, int64_t, const double *, double *, int) noexcept nogil
        void (*bag_f32)(const float *, const int64_t *, int64_t, const int64_t *, int64_t, int64_t, int, int64_t, const float *, float *, int64_t *, int64_t *, int) noexcept nogil
        void (*bag_f64)(const double *, const int64_t *, int64_t, const int64_t *, int64_t, int64_t, int, int64_t, const double *, double *, int64_t *, int64_t *, int) noexcept nogil
    const RtEmbeddingTable *rt_embedding_pick(int level) noexcept nogil


cdef TensorBase read_indices(object op, object arg, object indices):
    cdef TensorBase idx = as_base(op, arg, indices)
    if idx.dt != RT_I64 and idx.dt != RT_I32:
        raise DTypeError(f"Expected tensor for argument '{arg}' to have one of the following scalar types: Long, Int; but got "
                         f"{torch_name(idx.dt)} instead (while checking arguments for {op})", op=op)
    return contiguous_raw(cast_raw(idx, RT_I64))


cdef TensorBase pick_rows(object op, TensorBase w, TensorBase idx, tuple shape):
    """Rows of w (rows, width) at idx; the result has `shape` + (width,). Raw."""
    cdef const RtEmbeddingTable *table = rt_embedding_pick(isa_level())
    cdef TensorBase wc = contiguous_raw(w), out
    cdef int64_t sh[64]
    cdef int64_t bad, row_bytes
    cdef int i, threads = num_threads()
    for i in range(len(shape)):
        sh[i] = shape[i]
    sh[len(shape)] = w.sh[1]
    out = empty(<int>len(shape) + 1, sh, w.dt, w.dev)
    row_bytes = w.sh[1] * rt_itemsize(w.dt)
    with nogil:
        bad = table.gather_rows(wc.ptr, w.sh[0], row_bytes, <int64_t *>idx.ptr, idx.n, out.ptr, threads)
    if bad:
        raise DimError(f"{op}: index out of range in self: index {(<int64_t *>idx.ptr)[bad - 1]} at flat position {bad - 1}, "
                       f"table of {w.sh[0]} rows", op=op)
    return out


cdef object pick(object op, TensorBase w, TensorBase idx, tuple shape, int64_t skip, TensorBase scale):
    """Recorded pick_rows. skip: index whose row gets no gradient; scale (n,): factor of each gradient row, or None."""
    cdef TensorBase out = pick_rows(op, w, idx, shape)
    cdef EmbeddingBackward0 node
    if recording(w, None, None) and rt_kind(w.dt) >= RT_KIND_FLOAT:
        node = EmbeddingBackward0.__new__(EmbeddingBackward0)
        node.rows = w.sh[0]
        node.skip = skip
        save(node, 0, idx)
        save(node, 1, scale)
        attach1(out, node, w)
    return out


cdef object add_rows(object op, object g_, TensorBase idx, int64_t rows, int64_t skip, TensorBase scale):
    """(rows, width) of zeros plus scale[i] * g[i] at row idx[i]; recorded."""
    cdef const RtEmbeddingTable *table = rt_embedding_pick(isa_level())
    cdef TensorBase g = <TensorBase?>g_, gc, out
    cdef EmbeddingDenseBackward0 node
    cdef int64_t sh[2]
    cdef int threads = num_threads()
    cdef void *k = NULL
    if is_half(g):
        return like_dtype(add_rows(op, float32_of(g_), idx, rows, skip, scale), g.dt)
    need_float(op, g)
    gc = contiguous_raw(g)
    sh[0] = rows
    sh[1] = g.sh[g.nd - 1]
    out = empty(2, sh, g.dt, g.dev)
    if scale is not None:
        scale = cast_raw(scale, g.dt)
        k = scale.ptr
    with nogil:
        if g.dt == RT_F32:
            table.add_rows_f32(<float *>gc.ptr, <int64_t *>idx.ptr, idx.n, rows, sh[1], skip, <float *>k, <float *>out.ptr, threads)
        else:
            table.add_rows_f64(<double *>gc.ptr, <int64_t *>idx.ptr, idx.n, rows, sh[1], skip, <double *>k, <double *>out.ptr, threads)
    if recording(g, None, None):
        node = EmbeddingDenseBackward0.__new__(EmbeddingDenseBackward0)
        node.shape = shape_tuple(g)[:g.nd - 1]
        node.skip = skip
        save(node, 0, idx)
        save(node, 1, scale)
        attach1(out, node, g)
    return out


cdef class EmbeddingBackward0(Node):
    cdef int64_t rows, skip

    cdef object apply(self, object g):
        return add_rows("embedding", g, saved(self, 0), self.rows, self.skip, saved(self, 1))


cdef class EmbeddingDenseBackward0(Node):
    cdef tuple shape
    cdef int64_t skip

    cdef object apply(self, object g):
        cdef TensorBase idx = saved(self, 0), scale = saved(self, 1)
        cdef object out = pick("embedding", <TensorBase?>g, idx, self.shape, self.skip, scale)
        if scale is not None:
            out = out * (<object>scale).reshape(self.shape + (1,))
        if self.skip >= 0:
            out = out * (<object>idx).reshape(self.shape + (1,)).ne(self.skip)
        return out


cdef TensorBase frequency_scale(TensorBase idx, int64_t rows):
    """1 / (how often the index occurs) for each index; float64."""
    cdef TensorBase counts = empty(1, &rows, RT_I64, idx.dev), scale = empty(1, &idx.n, RT_F64, idx.dev)
    cdef int64_t i
    cdef int64_t *at = <int64_t *>idx.ptr
    cdef int64_t *count = <int64_t *>counts.ptr
    for i in range(rows):
        count[i] = 0
    for i in range(idx.n):
        if 0 <= at[i] < rows:
            count[at[i]] += 1
    for i in range(idx.n):
        if 0 <= at[i] < rows:
            (<double *>scale.ptr)[i] = 1.0 / count[at[i]]
        else:
            (<double *>scale.ptr)[i] = 0
    return scale


def embedding(weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False):
    """Pick rows of a table.

    Args:
        weight: (rows, width).
        indices: int64 or int32, any shape.
        padding_idx: a row that gets no gradient; -1 for none.
        scale_grad_by_freq: divide the gradient of a row by how often it occurs in ``indices``.
        sparse: refused; gradients are dense.
    Returns:
        indices' shape + (width,).
    """
    cdef TensorBase w = as_base("embedding", "weight", weight), idx
    if sparse:
        raise TensorValueError("embedding: sparse gradients are not available; use sparse=False", op="embedding")
    if w.nd != 2:
        raise ShapeError(f"embedding: 'weight' must be 2-D, but got weight of size {sizes_text(w)}", op="embedding")
    idx = read_indices("embedding", "indices", indices)
    return pick("embedding", w, idx, shape_tuple(idx), padding_idx,
                frequency_scale(idx, w.sh[0]) if scale_grad_by_freq and w.rg else None)


def embedding_dense_backward(grad_output, indices, num_weights, padding_idx, scale_grad_by_freq):
    """Add the rows of grad_output into a zeroed table (num_weights, width) at ``indices``: embedding's gradient."""
    cdef TensorBase idx = read_indices("embedding_dense_backward", "indices", indices)
    return add_rows("embedding_dense_backward", grad_output, idx, num_weights, padding_idx,
                    frequency_scale(idx, num_weights) if scale_grad_by_freq else None)


FUNCTIONS = {"embedding": embedding, "embedding_dense_backward": embedding_dense_backward}
METHODS = {}
