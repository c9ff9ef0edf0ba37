# build: isa=embedding.inc.c cold
"""Embedding tables: rows picked by index, and bags of rows."""
from libc.stdint cimport int64_t
from ._base cimport (TensorBase, Node, empty, attach1, save, saved, view_raw, as_base, rt_compute_dtype, shape_tuple, RT_F32,
                     RT_F64, RT_I32, RT_I64, RT_KIND_FLOAT, rt_kind, rt_itemsize)
from ._cpu cimport isa_level
from ._dtype cimport torch_name
from ._neural cimport num_threads, recording, is_half, float32_of, like_dtype, need_float, stat_dtype, sizes_text
from ._plan cimport contiguous_raw, cast_raw, full_
from ._index_kernels cimport on_device, need_same, outside, run_along, RT_IX_GET
from ._devices import run as run_on_device
from ..errors import DTypeError, DimError, ShapeError, TensorError, TensorValueError, UnsupportedOpError

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
    static inline void rt_bags(const RtEmbeddingTable *e, int dt, const void *table, const int64_t *idx, int64_t n, const int64_t *offsets, int64_t bags, int64_t width,
                               int mode, int64_t skip, const void *scale, void *out, int64_t *count, int64_t *at, int64_t *bag_of, int threads) {
        switch (dt) {
        case RT_F32: e->bag_f32(table, idx, n, offsets, bags, width, mode, skip, scale, out, count, at, bag_of, threads); break;
        case RT_F64: e->bag_f64(table, idx, n, offsets, bags, width, mode, skip, scale, out, count, at, bag_of, threads); break;
        case RT_F16: e->bag_f16(table, idx, n, offsets, bags, width, mode, skip, scale, out, count, at, bag_of, threads); break;
        default: e->bag_bf16(table, idx, n, offsets, bags, width, mode, skip, scale, out, count, at, bag_of, threads);
        }
    }
    """
    ctypedef struct RtEmbeddingTable:
        int64_t (*gather_rows)(const char *, int64_t, int64_t, const int64_t *, int64_t, char *, int) noexcept nogil
        void (*add_rows_f32)(const float *, const int64_t *, int64_t, int64_t, int64_t, int64_t, const float *, float *, int) noexcept nogil
        void (*add_rows_f64)(const double *, const int64_t *, int64_t, int64_t, int64_t, int64_t, const double *, double *, int) noexcept nogil
    void rt_bags(const RtEmbeddingTable *, int, const void *, const int64_t *, int64_t, const int64_t *, int64_t, int64_t, int, int64_t, const void *, void *, int64_t *, int64_t *, int64_t *, int) noexcept nogil
    const RtEmbeddingTable *rt_embedding_pick(int level) noexcept nogil


cdef TensorBase read_indices(object op, object arg, object indices):
    cdef TensorBase idx = as_base(op, arg, indices)
    if idx.dt != RT_I64 and idx.dt != RT_I32:
        raise DTypeError(f"Expected tensor for argument '{arg}' to have one of the following scalar types: Long, Int; but got "
                         f"{torch_name(idx.dt)} instead (while checking arguments for {op})", op=op)
    return contiguous_raw(cast_raw(idx, RT_I64))


cdef TensorBase flat_row(TensorBase idx):
    return view_raw(idx, 1, &idx.n, NULL, 0)


cdef TensorBase pick_rows(object op, TensorBase w, TensorBase idx, tuple shape):
    """Rows of w (rows, width) at idx; the result has `shape` + (width,). Raw."""
    cdef const RtEmbeddingTable *table = rt_embedding_pick(isa_level())
    cdef TensorBase wc = contiguous_raw(w), out
    cdef int64_t sh[64]
    cdef int64_t bad, row_bytes
    cdef int64_t rows[2]
    cdef int i, threads = num_threads()
    for i in range(len(shape)):
        sh[i] = shape[i]
    sh[len(shape)] = w.sh[1]
    out = empty(<int>len(shape) + 1, sh, w.dt, w.dev)
    need_same(op, w, idx)
    if on_device(w):
        if out.n:
            rows[0], rows[1] = idx.n, w.sh[1]
            run_along(RT_IX_GET, view_raw(out, 2, rows, NULL, 0), w, flat_row(idx), 0)
        return out
    row_bytes = w.sh[1] * rt_itemsize(w.dt)
    with nogil:
        bad = table.gather_rows(wc.ptr, w.sh[0], row_bytes, <int64_t *>idx.ptr, idx.n, out.ptr, threads)
    if bad:
        raise DimError(f"{op}: index out of range in self: index {(<int64_t *>idx.ptr)[bad - 1]} at flat position {bad - 1}, "
                       f"table of {w.sh[0]} rows", op=op)
    return out


cdef object pick(object op, TensorBase w, TensorBase idx, tuple shape, int64_t skip, TensorBase scale, bint sparse=False):
    """Recorded pick_rows. skip: index whose row gets no gradient; scale (n,): factor of each gradient row, or None; sparse: the gradient
    holds the rows that were picked only."""
    cdef TensorBase out = pick_rows(op, w, idx, shape)
    cdef EmbeddingBackward0 node
    if recording(w, None, None) and rt_kind(w.dt) >= RT_KIND_FLOAT:
        node = EmbeddingBackward0.__new__(EmbeddingBackward0)
        node.rows = w.sh[0]
        node.skip = skip
        node.sparse = sparse
        save(node, 0, idx)
        save(node, 1, scale)
        attach1(out, node, w)
    return out


cdef object add_rows(object op, object g_, TensorBase idx, int64_t rows, int64_t skip, TensorBase scale):
    """(rows, width) of zeros plus scale[i] * g[i] at row idx[i]; recorded."""
    cdef const RtEmbeddingTable *table = rt_embedding_pick(isa_level())
    cdef TensorBase g = <TensorBase?>g_, gc, out
    cdef int64_t sh[2]
    cdef int threads = num_threads()
    cdef void *k = NULL
    if is_half(g) and not on_device(g):
        return like_dtype(add_rows(op, float32_of(g_), idx, rows, skip, scale), g.dt)
    if not is_half(g):
        need_float(op, g)
    gc = contiguous_raw(g)
    sh[0] = rows
    sh[1] = g.sh[g.nd - 1]
    if scale is not None:
        scale = cast_raw(scale, g.dt)
        k = scale.ptr
    need_same(op, g, idx)
    if on_device(g):
        out = full_(2, sh, 0, g.dt, g.dev)
        if gc.n:
            run_on_device("embedding_add", out, gc, idx, None if scale is None else cast_raw(scale, rt_compute_dtype(g.dt)), skip)
        return recorded_add(out, g, idx, skip, scale)
    out = empty(2, sh, g.dt, g.dev)
    with nogil:
        if g.dt == RT_F32:
            table.add_rows_f32(<float *>gc.ptr, <int64_t *>idx.ptr, idx.n, rows, sh[1], skip, <float *>k, <float *>out.ptr, threads)
        else:
            table.add_rows_f64(<double *>gc.ptr, <int64_t *>idx.ptr, idx.n, rows, sh[1], skip, <double *>k, <double *>out.ptr, threads)
    return recorded_add(out, g, idx, skip, scale)


cdef object recorded_add(TensorBase out, TensorBase g, TensorBase idx, int64_t skip, TensorBase scale):
    cdef EmbeddingDenseBackward0 node
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
    cdef bint sparse

    cdef object apply(self, object g):
        if self.sparse:
            if saved(self, 1) is not None:
                raise TensorError("embedding_backward: scale_grad_by_freq not supported with sparse gradients", op="embedding")
            from ._sparse import rows_gradient
            return rows_gradient(g, saved(self, 0), self.rows, self.skip)
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
    cdef TensorBase counts, scale
    cdef int64_t i
    if on_device(idx):
        line = (<object>idx).reshape(-1)
        found = <object>full_(1, &rows, 0, RT_F64, idx.dev)
        return <TensorBase?>found.index_add(0, line, found.new_ones(idx.n)).index_select(0, line).reciprocal()
    counts, scale = empty(1, &rows, RT_I64, idx.dev), empty(1, &idx.n, RT_F64, idx.dev)
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
        sparse: the weight's gradient is a sparse tensor (COO) of the rows that were picked.
    Returns:
        indices' shape + (width,).
    """
    cdef TensorBase w = as_base("embedding", "weight", weight), idx
    if w.nd != 2:
        raise ShapeError(f"embedding: 'weight' must be 2-D, but got weight of size {sizes_text(w)}", op="embedding")
    idx = read_indices("embedding", "indices", indices)
    return pick("embedding", w, idx, shape_tuple(idx), padding_idx,
                frequency_scale(idx, w.sh[0]) if scale_grad_by_freq and w.rg else None, sparse)


def embedding_dense_backward(grad_output, indices, num_weights, padding_idx, scale_grad_by_freq):
    """Add the rows of grad_output into a zeroed table (num_weights, width) at ``indices``: embedding's gradient."""
    cdef TensorBase idx = read_indices("embedding_dense_backward", "indices", indices)
    return add_rows("embedding_dense_backward", grad_output, idx, num_weights, padding_idx,
                    frequency_scale(idx, num_weights) if scale_grad_by_freq else None)


# ---- bags -----------------------------------------------------------------------------------------------------
def embedding_bag(weight, indices, offsets, scale_grad_by_freq=False, mode=0, sparse=False, per_sample_weights=None,
                  include_last_offset=False, padding_idx=-1):
    """Reduce bags of rows of a table, without keeping the rows when no gradient is wanted.

    Args:
        weight: (rows, width).
        indices: (n,), int64 or int32: the bags one after the other.
        offsets: (bags,), where each bag begins; with ``include_last_offset`` one more, the end of the last.
        mode: 0 sum, 1 mean, 2 max.
        sparse: the weight's gradient is a sparse tensor (COO) of the rows that were picked; not for max.
        per_sample_weights: (n,) factor of each row (sum only), or None.
        padding_idx: index whose rows count for nothing; -1 for none.
    Returns:
        (bags (bags, width); bag of each index; size of each bag; for max the winning index of each element).
    """
    cdef const RtEmbeddingTable *table = rt_embedding_pick(isa_level())
    cdef TensorBase w = as_base("embedding_bag", "weight", weight), idx, off, scale = None, wc, kc = None, out, bag_of, count, at = None
    cdef int64_t n, bags, i, rows, skip
    cdef int64_t sh[2]
    cdef int threads = num_threads(), how
    cdef void *k = NULL
    cdef int64_t *atp = NULL
    cdef object op = "embedding_bag", got, factor
    cdef EmbeddingBagBackward0 node
    if per_sample_weights is not None:
        scale = as_base(op, "per_sample_weights", per_sample_weights)
    if is_half(w) and (on_device(w) or recording(w, scale, None) and (mode == 2 or scale is not None or sparse)):
        got = embedding_bag(float32_of(weight), indices, offsets, scale_grad_by_freq, mode, sparse, float32_of(per_sample_weights),
                            include_last_offset, padding_idx)
        return (like_dtype(got[0], w.dt), *got[1:])
    if not is_half(w):
        need_float(op, w)
    if w.nd != 2:
        raise ShapeError(f"embedding_bag: 'weight' must be 2-D, but got weight of size {sizes_text(w)}", op=op)
    if mode not in (0, 1, 2):
        raise TensorValueError(f"embedding_bag: mode must be 0 (sum), 1 (mean) or 2 (max), got {mode}", op=op)
    how = mode
    skip = padding_idx + w.sh[0] if padding_idx is not None and padding_idx < -1 else -1 if padding_idx is None else padding_idx
    idx = read_indices(op, "indices", indices)
    off = read_indices(op, "offsets", offsets)
    if idx.nd != 1 or off.nd != 1:
        raise ShapeError(f"embedding_bag: indices and offsets must be 1-D, but got sizes {sizes_text(idx)} and {sizes_text(off)}", op=op)
    need_same(op, w, idx)
    need_same(op, w, off)
    n = idx.n
    rows = w.sh[0]
    bags = off.n
    if include_last_offset:
        if bags == 0:
            raise ShapeError("embedding_bag: include_last_offset needs at least one offset", op=op)
        bags -= 1
    bag_of = empty(1, &n, RT_I64, w.dev)
    if not on_device(w):
        check_bags(op, idx, off, bags, include_last_offset, rows)
    if scale is not None:
        need_same(op, w, scale)
        if how != 0:
            raise UnsupportedOpError("embedding_bag: per_sample_weights only supported with mode 0 (sum)", op=op)
        if scale.nd != 1 or scale.n != n:
            raise ShapeError(f"embedding_bag: expected per_sample_weights to have the same shape as indices ({n},), got "
                             f"{sizes_text(scale)}", op=op)
        if scale.dt != w.dt:
            raise DTypeError("embedding_bag: expected weight and per_sample_weights to have the same dtype", op=op)
    sh[0] = bags
    sh[1] = w.sh[1]
    out = empty(2, sh, w.dt, w.dev)
    count = empty(1, sh, RT_I64, w.dev)
    if how == 2:
        at = empty(2, sh, RT_I64, w.dev)
        atp = <int64_t *>at.ptr
    wc = contiguous_raw(w)
    if scale is not None:
        kc = contiguous_raw(cast_raw(scale, stat_dtype(w)))
        k = kc.ptr
    if on_device(w):                              # starts and indices are looked at where they are
        if out.n:
            run_on_device("embedding_bag", out, wc, idx, off, kc, count, at, bag_of, how, skip, include_last_offset)
    else:
        with nogil:
            rt_bags(table, w.dt, wc.ptr, <int64_t *>idx.ptr, n, <int64_t *>off.ptr, bags, sh[1], how, skip, k, out.ptr, <int64_t *>count.ptr, atp,
                    <int64_t *>bag_of.ptr, threads)
    got = out
    if how != 2 and scale is None and not sparse:
        if recording(w, None, None):
            node = EmbeddingBagBackward0.__new__(EmbeddingBagBackward0)
            node.rows, node.skip, node.mean = rows, skip, how == 1
            save(node, 0, idx)
            save(node, 1, bag_of)
            save(node, 2, count)
            save(node, 3, frequency_scale(idx, rows) if scale_grad_by_freq else None)
            attach1(out, node, w)
    elif recording(w, scale, None):
        got = recorded_bag(w, idx, bag_of, bags, how, skip, per_sample_weights, count, at,
                           frequency_scale(idx, rows) if scale_grad_by_freq else None, sparse)
    if how == 2:                                  # positions -> indices
        if on_device(w):
            at = <TensorBase?>taken_at(idx, at)
        else:
            for i in range(at.n):
                if atp[i] >= 0:
                    atp[i] = (<int64_t *>idx.ptr)[atp[i]]
    return got, bag_of, count, count if at is None else at


cdef object taken_at(TensorBase idx, TensorBase at):
    """idx at positions `at`; -1 stays."""
    if idx.n == 0:
        return at
    places = <object>at
    return (<object>idx).take(places.clamp(min=0)).where(places >= 0, places)


cdef int check_bags(object op, TensorBase idx, TensorBase off, int64_t bags, bint include_last_offset, int64_t rows) except -1:
    """Raise unless the bags lie one behind the other and the indices in the table."""
    cdef int64_t n = idx.n, i, b
    if bags and (<int64_t *>off.ptr)[0] != 0:
        raise ShapeError(f"embedding_bag: offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
                         f"position 0. However, got {(<int64_t *>off.ptr)[0]}", op=op)
    for b in range(bags):
        i = (<int64_t *>off.ptr)[b]
        if i > n or (b and i < (<int64_t *>off.ptr)[b - 1]):
            raise ShapeError(f"embedding_bag: offsets must not fall and not pass the {n} indices, got {i} at position {b}", op=op)
    if include_last_offset and (<int64_t *>off.ptr)[bags] != n:
        raise ShapeError(f"embedding_bag: the last offset must be the number of indices ({n}), got {(<int64_t *>off.ptr)[bags]}", op=op)
    i = outside(idx, 0, rows)
    if i >= 0:
        raise DimError(f"embedding_bag: index out of range in self: index {(<int64_t *>idx.ptr)[i]} at position {i}, table of "
                       f"{rows} rows", op=op)
    return 0


cdef class EmbeddingBagBackward0(Node):
    """Gradient of sums and means: each row gets what its bag got. Slots: indices, bag of each, size of each bag, factor of each index."""
    cdef int64_t rows, skip
    cdef bint mean

    cdef object apply(self, object g):
        cdef TensorBase bag_of = saved(self, 1)
        if is_half(<TensorBase?>g):
            return like_dtype(self.apply(float32_of(g)), (<TensorBase>g).dt)
        if self.mean:
            g = g / (<object>saved(self, 2)).clamp(min=1).unsqueeze(1)
        g = pick("embedding_bag", <TensorBase?>g, bag_of, shape_tuple(bag_of), -1, None)
        return add_rows("embedding_bag", g, saved(self, 0), self.rows, self.skip, saved(self, 3))


cdef object recorded_bag(TensorBase w, TensorBase idx, TensorBase bag_of, int64_t bags, int how, int64_t skip, object weights,
                         TensorBase count, TensorBase at, TensorBase freq, bint sparse):
    """embedding_bag from operators that record themselves."""
    cdef TensorBase flat
    cdef int64_t i, j, p, width = w.sh[1]
    cdef object rows, out
    if how == 2 and on_device(w):
        place = taken_at(idx, at).clamp(min=0) * width + (<object>at).new_ones(width).cumsum(0) - 1
        flat = contiguous_raw(<TensorBase?>(place * (<object>at >= 0)))
    elif how == 2:
        flat = empty(2, at.sh, RT_I64, w.dev)
        for i in range(at.sh[0]):
            for j in range(width):
                p = (<int64_t *>at.ptr)[i * width + j]
                (<int64_t *>flat.ptr)[i * width + j] = (<int64_t *>idx.ptr)[p] * width + j if p >= 0 else 0
    if how == 2:
        out = pick("embedding_bag", <TensorBase?>(<object>w).reshape(-1, 1), flat, shape_tuple(flat), -1, None).squeeze(-1)
        return out * (<object>at).ge(0)
    rows = pick("embedding_bag", w, idx, shape_tuple(idx), skip, freq, sparse)
    if weights is not None:
        rows = rows * weights.unsqueeze(1)
    if skip >= 0:
        rows = rows * (<object>idx).ne(skip).unsqueeze(1)
    out = add_rows("embedding_bag", rows, bag_of, bags, -1, None)
    if how == 1:
        out = out / (<object>count).clamp(min=1).unsqueeze(1)
    return out


# ---- places of sparse tensors ---------------------------------------------------------------------------------
def merge_places(a, b):
    """Merge two lists of places as one merges sorted lists, equal heads into one, whether they are sorted or not (sums of sparse tensors).

    Args:
        a, b: int64 (n,).
    Returns:
        (where each element of a goes, where each element of b goes, length of the merged list).
    """
    cdef TensorBase x = read_indices("merge_places", "a", a), y = read_indices("merge_places", "b", b)
    if on_device(x) or on_device(y):
        to_x, to_y, n = merge_places(a.cpu(), b.cpu())
        return to_x.to(a.device), to_y.to(a.device), n
    cdef TensorBase put_x = empty(1, &x.n, RT_I64, x.dev), put_y = empty(1, &y.n, RT_I64, y.dev)
    cdef int64_t i = 0, j = 0, at = 0, turn
    while i < x.n or j < y.n:
        turn = 1 if i >= x.n else -1 if j >= y.n else (<int64_t *>x.ptr)[i] - (<int64_t *>y.ptr)[j]
        if turn <= 0:
            (<int64_t *>put_x.ptr)[i] = at
            i += 1
        if turn >= 0:
            (<int64_t *>put_y.ptr)[j] = at
            j += 1
        at += 1
    return put_x, put_y, at


FUNCTIONS = {"embedding": embedding, "embedding_bag": embedding_bag, "embedding_dense_backward": embedding_dense_backward}
METHODS = {}
# used by nn.functional; no torch-level names
NN_ONLY = ("embedding_dense_backward",)
