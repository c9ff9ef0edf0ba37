"""Indexing by tensors: index and index_put.

Index tensors that stand next to each other put their common shape in their place, else in front.
Masks count as the coordinates of their true elements.
"""
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy, memset
from ._node cimport Node
from ._overlap cimport refuse_overlap
from ._base cimport *
from ._dtype cimport device_of, torch_name
from ._plan cimport copy_raw, cast_raw, contiguous_raw, clone_raw, full_
from ._ops cimport to_device, sum_to, inplace_begin, inplace_end, recording
from ._index_kernels cimport (RtIndexPlan, RT_IX_GET, RT_IX_SET, RT_IX_ADD, flat_index, outside, add_offsets, run_plan, true_positions,
                             true_coordinates, take_true, fill_masked, copy_geometry, raise_bounds, sizes, on_device, need_same, beside)
from ._devices import run as run_on_device
from ..errors import AutogradError, DeviceError, DimError, DTypeError, ShapeError, TensorTypeError


cdef bint is_truth(TensorBase x) noexcept:
    return x.dt == RT_BOOL or x.dt == RT_U8


cdef int mask_matches(TensorBase self, TensorBase mask, int dim) except -1:
    cdef int i
    for i in range(mask.nd):
        if dim + i >= self.nd:
            raise DimError(f"too many indices for tensor of dimension {self.nd}", op="index")
        if mask.sh[i] != self.sh[dim + i]:
            raise DimError(f"The shape of the mask {sizes(mask)} at index {i} does not match the shape of the indexed "
                           f"tensor {sizes(self)} at index {dim + i}", op="index")
    return 0


cdef int fill_leading_mask(TensorBase t, TensorBase mask, TensorBase v) except -1:
    """t[mask] = number: the mask covers t's first dimensions."""
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int i
    for i in range(t.nd):
        sh[i] = mask.sh[i] if i < mask.nd else 1
        st[i] = mask.st[i] if i < mask.nd else 1
    mask = view_raw(mask, t.nd, sh, st, 0)
    inplace_begin("index_put_", t)
    fill_masked(t, mask, v)
    inplace_end(t, None)
    return 0


cdef list beside_all(TensorBase self, list indices):
    """Indices on self's device: those of the CPU may index any tensor."""
    cdef TensorBase x
    cdef list out = indices
    cdef int i
    for i in range(len(indices)):
        if indices[i] is None:
            continue
        x = as_base("index", "indices", indices[i])
        if x.dev != self.dev:
            if on_device(x):
                raise DeviceError(f"indices should be either on cpu or on the same device as the indexed tensor ({device_of(self.dev)})", op="index")
            if out is indices:
                out = list(indices)
            out[i] = beside(x, self)
    return out


cdef list expand_masks(TensorBase self, list indices):
    """One int64 index (or None) for each leading dimension of self: masks become their coordinates."""
    cdef list out = []
    cdef TensorBase x, coords
    cdef int64_t sh1, st1
    cdef int i
    cdef object item
    for item in indices:
        if item is None:
            out.append(None)
            continue
        x = as_base("index", "indices", item)
        if is_truth(x):
            if x.dt == RT_U8:
                import warnings
                warnings.warn("indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.",
                              stacklevel=2)
                x = cast_raw(x, RT_BOOL)
            mask_matches(self, x, len(out))
            if x.nd == 1:
                out.append(true_positions(x))
            else:
                coords = true_coordinates(x)
                sh1, st1 = coords.sh[0], coords.st[0]
                for i in range(x.nd):
                    out.append(view_raw(coords, 1, &sh1, &st1, i * coords.st[1]))
        else:
            if x.dt != RT_I64 and x.dt != RT_I32:
                raise DimError("tensors used as indices must be long, int, byte or bool tensors", op="index")
            out.append(x)
    if len(out) > self.nd:
        raise DimError(f"too many indices for tensor of dimension {self.nd} (got {len(out)})", op="index")
    return out


cdef TensorBase merge_masked(TensorBase self, list indices, list merged):
    """When the only index is a bool mask over dimensions that lie in memory as one, the view of self where they are
    one, and in `merged` the flat positions; else None."""
    cdef int i, at = -1, k
    cdef TensorBase mask = None
    cdef int64_t sh[64]
    cdef int64_t st[64]
    for i in range(len(indices)):
        if indices[i] is not None:
            if mask is not None or not isinstance(indices[i], TensorBase) or (<TensorBase>indices[i]).dt != RT_BOOL:
                return None
            mask, at = <TensorBase>indices[i], i
    if mask is None or mask.nd < 2 or at + mask.nd > self.nd:
        return None
    mask_matches(self, mask, at)
    for i in range(at, at + mask.nd - 1):
        if self.st[i] != self.st[i + 1] * self.sh[i + 1]:
            return None
    k = 0
    for i in range(self.nd):
        if at <= i < at + mask.nd - 1:
            continue
        sh[k] = mask.n if i == at + mask.nd - 1 else self.sh[i]
        st[k] = self.st[i]
        k += 1
    for i in range(at):
        merged.append(None)
    merged.append(true_positions(mask))
    return view_raw(self, k, sh, st, 0)


cdef class Plan:
    """Advanced indices made ready: their common shape and offsets into the indexed tensor."""
    cdef TensorBase off          # one offset an element of the common shape, in units of `mul` bytes; on a device instead:
    cdef list flats, ranges, steps   # each index in the common shape, the size of its dimension and that one's step
    cdef int64_t n               # elements of the common shape
    cdef int64_t mul
    cdef int s_nd
    cdef int64_t s_sh[64]
    cdef int first, last         # indexed dimensions lie in [first, last]
    cdef bint apart              # another dimension lies between them
    cdef int r_nd                # shape of the indexing result
    cdef int64_t r_sh[64]
    cdef int s_at                # where the common shape begins in it
    cdef uint8_t indexed[64]
    cdef int at[64]              # dimension of the result of each other dimension


cdef Plan make_plan(TensorBase self, list indices):
    cdef Plan p = Plan.__new__(Plan)
    cdef TensorBase x, flat
    cdef int i, d, k, count = len(indices), seen = 0
    cdef int64_t bad, others = 1
    memset(p.indexed, 0, 64)
    p.first = p.last = -1
    for i in range(count):
        x = <TensorBase>indices[i]
        if x is None:
            continue
        if p.first < 0:
            p.first = i
        p.last = i
        p.indexed[i] = 1
        seen += 1
        merge_shape(p, x, indices)
    p.apart = p.last - p.first + 1 != seen
    for i in range(self.nd):
        if not p.indexed[i]:
            others *= self.sh[i]
    p.n = rt_numel(p.s_nd, p.s_sh)
    p.mul = 1
    if on_device(self):
        p.flats, p.ranges, p.steps = [], [], []
    elif seen == 1 and p.n >= 4096:              # indices without negative ones are offsets as they are
        x = <TensorBase>indices[p.first]
        flat = flat_index(x)
        if flat.nd == p.s_nd and flat.stor is not self.stor and outside(flat, 0, self.sh[p.first]) < 0:
            p.off, p.mul, count = flat, self.st[p.first] * rt_itemsize(self.dt), 0
    if p.off is None and not on_device(self):
        p.off = empty(p.s_nd, p.s_sh, RT_I64, RT_CPU)
    seen = 0
    for i in range(count):
        x = <TensorBase>indices[i]
        if x is None:
            continue
        flat = flat_index(x)
        if on_device(self):
            if flat.n != p.n or flat.nd != p.s_nd:
                flat = spread(flat, p.s_nd, p.s_sh)
            p.flats.append(flat)
            p.ranges.append(self.sh[i])
            p.steps.append(self.st[i])
            continue
        bad = outside(flat, -self.sh[i], self.sh[i])
        if bad >= 0 and p.off.n and (others or self.sh[i] == 0):      # an empty result reads nothing
            raise_bounds((<int64_t *>flat.ptr)[bad], i, self.sh[i])
        if flat.n != p.off.n or flat.nd != p.s_nd:
            flat = spread(flat, p.s_nd, p.s_sh)
        add_offsets(flat, self.sh[i], self.st[i] * rt_itemsize(self.dt), seen, p.off)
        seen = 1
    # shape of the result
    p.s_at = 0 if p.apart else p.first
    memcpy(p.r_sh + p.s_at, p.s_sh, p.s_nd * sizeof(int64_t))
    d = 0
    for i in range(self.nd):
        if not p.indexed[i]:
            if d == p.s_at:
                d += p.s_nd
            p.at[i] = d
            p.r_sh[d] = self.sh[i]
            d += 1
    p.r_nd = d if d > p.s_at else p.s_at + p.s_nd
    return p


cdef int merge_shape(Plan p, TensorBase x, list indices) except -1:
    """Broadcast x's shape into the plan's common shape."""
    cdef int nd = x.nd if x.nd > p.s_nd else p.s_nd, k, i, j
    cdef int64_t a, b
    cdef int64_t sh[64]
    for k in range(nd):
        i, j = p.s_nd - 1 - k, x.nd - 1 - k
        a = p.s_sh[i] if i >= 0 else 1
        b = x.sh[j] if j >= 0 else 1
        if a != b and a != 1 and b != 1:
            shapes = ", ".join([sizes(<TensorBase>t) for t in indices if t is not None])
            raise DimError(f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}", op="index")
        sh[nd - 1 - k] = b if a == 1 else a
    p.s_nd = nd
    memcpy(p.s_sh, sh, nd * sizeof(int64_t))
    return 0


cdef TensorBase spread(TensorBase x, int nd, const int64_t *sh):
    """x broadcast to a shape, in memory."""
    cdef TensorBase out = empty(nd, sh, x.dt, x.dev)
    cdef int64_t steps[64]
    cdef int k, j
    for k in range(nd):
        j = x.nd - nd + k
        steps[k] = x.st[j] if j >= 0 and x.sh[j] != 1 else 0
    copy_geometry(out, x, 0, steps)
    return out


cdef int run_indexed(int op, TensorBase self, TensorBase other, Plan p) except -1:
    """self[indices] -> other (GET), or other -> self[indices]; other has the result's shape, its common part
    moving by one step."""
    cdef RtIndexPlan r
    cdef int i, d, item = rt_itemsize(self.dt)
    cdef bint get = op == RT_IX_GET
    if on_device(self):
        return run_indexed_on_device(op, self, other, p)
    r.nb = r.na = 0
    r.off, r.n_off, r.mul = <int64_t *>p.off.ptr, p.off.n, p.mul
    r.dst, r.src = (other.ptr, self.ptr) if get else (self.ptr, other.ptr)
    r.j_step = 0
    for i in range(p.s_nd - 1, -1, -1):
        if p.s_sh[i] != 1:
            r.j_step = other.st[p.s_at + i] * item
            break
    for i in range(self.nd):
        if p.indexed[i]:
            continue
        d = p.at[i]
        if not p.apart and i < p.first:
            r.b_shape[r.nb] = self.sh[i]
            r.b_dst[r.nb] = (other.st[d] if get else self.st[i]) * item
            r.b_src[r.nb] = (self.st[i] if get else other.st[d]) * item
            r.nb += 1
        else:
            r.a_shape[r.na] = self.sh[i]
            r.a_dst[r.na] = (other.st[d] if get else self.st[i]) * item
            r.a_src[r.na] = (self.st[i] if get else other.st[d]) * item
            r.na += 1
    run_plan(op, self.dt, &r)
    return 0


cdef int run_indexed_on_device(int op, TensorBase self, TensorBase other, Plan p) except -1:
    """The same as one walk over the result's dimensions: the indices move along the common ones, self along the others."""
    cdef int i
    cdef list mine = [0] * p.r_nd, line = [0] * p.r_nd
    cdef int64_t step = 1
    for i in range(p.s_nd - 1, -1, -1):
        line[p.s_at + i] = step
        step *= p.s_sh[i]
    for i in range(self.nd):
        if not p.indexed[i]:
            mine[p.at[i]] = self.st[i]
    shape, yours = tuple([p.r_sh[i] for i in range(p.r_nd)]), stride_tuple(other)
    if op == RT_IX_GET:
        run_on_device("index", other, self, op, shape, yours, mine, line, tuple(p.flats), p.ranges, p.steps, True)
    else:
        run_on_device("index", self, other, op, shape, mine, yours, line, tuple(p.flats), p.ranges, p.steps, True)
    return 0


cdef bint one_step(TensorBase v, int at, int n) noexcept:
    """Do dimensions [at, at + n) of v move by a single step?"""
    cdef int i
    cdef int64_t expect = -1
    for i in range(at + n - 1, at - 1, -1):
        if v.sh[i] == 1:
            continue
        if expect >= 0 and v.st[i] != expect:
            return False
        expect = v.st[i] * v.sh[i]
    return True


cdef class IndexBackward0(Node):
    """Gradient of self[indices]: g added into zeros at the same places."""
    cdef list indices, versions
    cdef int nd
    cdef int64_t sh[64]

    cdef object apply(self, object g):
        cdef TensorBase zero = full_(self.nd, self.sh, 0, (<TensorBase>g).dt, (<TensorBase>g).dev)
        cdef list indices = unchanged(self, self.indices, self.versions)
        return put_out(zero, indices, <TensorBase>g, True)

    cdef int release(self) except -1:
        self.indices = None
        return Node.release(self)

    cdef object apply_many(self, object g, Py_ssize_t n):
        cdef list places = [i for i, x in enumerate(self.indices) if x is not None]
        cdef int64_t sh[64]
        if not places or places[len(places) - 1] - places[0] + 1 != len(places) or self.nd > 62:
            return NotImplemented                  # index tensors that stand apart put their shape in front of the gradients' dimension
        sh[0] = n
        memcpy(sh + 1, self.sh, self.nd * sizeof(int64_t))
        return put_out(full_(self.nd + 1, sh, 0, (<TensorBase>g).dt, (<TensorBase>g).dev), [None] + unchanged(self, self.indices, self.versions), <TensorBase>g, True)


cdef list versions_of(list indices):
    return [version_of(<TensorBase>x) if x is not None else 0 for x in indices]


cdef list unchanged(Node node, list indices, list versions):
    """The saved indices, unless they were released or written to."""
    if indices is None:
        raise AutogradError(f"{node.name()}: Trying to backward through the graph a second time; the saved indices were "
                            "freed. Specify retain_graph=True on the first backward", op="backward")
    if versions_of(indices) != versions:
        raise AutogradError(f"{node.name()}: one of the variables needed for gradient computation has been modified by an "
                            "inplace operation: an index tensor", op="backward")
    return indices


cdef TensorBase empty_indexed(TensorBase t, list indices, Plan p):
    """Room for t[indices]: it lies in memory as t and then the first indices do, as the operands of any other operator."""
    cdef int64_t st[64]
    cdef int64_t sh[64]
    cdef int64_t steps[64]
    cdef int i, k, j
    cdef TensorBase x, first = None, second = None
    cdef bint plain = is_contig(t)
    for i in range(len(indices)):
        x = <TensorBase>indices[i]
        if x is not None:
            plain = plain and is_contig(x)
    if plain:
        return empty(p.r_nd, p.r_sh, t.dt, t.dev)
    for k in range(p.s_nd):
        st[p.s_at + k] = 0
    for i in range(t.nd):
        if not p.indexed[i]:
            st[p.at[i]] = t.st[i]
    for i in range(len(indices)):
        x = <TensorBase>indices[i]
        if x is None or second is not None:
            continue
        for k in range(p.r_nd):                      # in the result's dimensions, of size 1 beside its own
            j = k - p.s_at
            sh[k] = p.s_sh[j] if 0 <= j < p.s_nd else 1
            steps[k] = x.n if j < 0 else 1
            if 0 <= j < p.s_nd:
                j += x.nd - p.s_nd
                steps[k] = 0 if j < 0 or (x.sh[j] == 1 and sh[k] != 1) else x.st[j]
        x = view_raw(x, p.r_nd, sh, steps, 0)
        if first is None:
            first = x
        else:
            second = x
    x = view_raw(t, p.r_nd, p.r_sh, st, 0)
    return empty_ordered(p.r_nd, p.r_sh, t.dt, t.dev, x, x if first is None else first, second)


cdef TensorBase index_get(TensorBase self, list indices):
    cdef list clean = [], saved_indices = indices
    cdef TensorBase t, out, laid
    cdef Plan p
    cdef IndexBackward0 node
    indices = saved_indices = beside_all(self, indices)
    if len(indices) == 1 and is_contig(self) and not (grad_mode() and self.rg) and isinstance(indices[0], TensorBase):
        t = <TensorBase>indices[0]
        if t.dt == RT_BOOL and t.nd == self.nd and t.nd and is_contig(t):
            mask_matches(self, t, 0)
            return take_true(self, t)
    t = merge_masked(self, indices, clean)
    if t is None:
        t = self
        clean = saved_indices = expand_masks(self, indices)
    p = make_plan(t, clean)
    out = empty_indexed(t, clean, p)
    if out.n and one_step(out, p.s_at, p.s_nd):
        run_indexed(RT_IX_GET, t, out, p)
    elif out.n:
        laid = empty(p.r_nd, p.r_sh, self.dt, self.dev)
        run_indexed(RT_IX_GET, t, laid, p)
        copy_raw(out, laid)
    if grad_mode() and self.rg:
        node = IndexBackward0.__new__(IndexBackward0)
        node.indices = saved_indices
        node.versions = versions_of(saved_indices)
        node.nd = self.nd
        memcpy(node.sh, self.sh, self.nd * sizeof(int64_t))
        attach1(out, node, self)
    return out


cdef class IndexPutBackward0(Node):
    """Gradient of index_put: self keeps g outside the written places (all of g when accumulating)."""
    cdef list indices, versions
    cdef bint accumulate
    cdef tuple v_shape

    cdef object apply(self, object g):
        cdef list indices = unchanged(self, self.indices, self.versions)
        cdef TensorBase ga = None, gb = None, gt = <TensorBase>g
        if wants_edge(self, 0):
            ga = gt if self.accumulate else put_out(gt, indices, full_(0, NULL, 0, gt.dt, gt.dev), False)
        if wants_edge(self, 1):
            gb = sum_to(index_get(gt, indices), self.v_shape)
        return ga, gb

    cdef int release(self) except -1:
        self.indices = None
        return Node.release(self)


cdef IndexPutBackward0 put_node(list indices, bint accumulate, TensorBase values):
    cdef IndexPutBackward0 node = IndexPutBackward0.__new__(IndexPutBackward0)
    node.indices, node.versions, node.accumulate = indices, versions_of(indices), accumulate
    node.v_shape = shape_tuple(values)
    return node


cdef int put_raw(TensorBase self, list indices, TensorBase values, bint accumulate) except -1:
    cdef Plan p
    cdef TensorBase v = values, t, wide
    cdef list clean = []
    cdef int64_t st[64]
    cdef int k, j
    indices = beside_all(self, indices)
    need_same("index_put_", self, v)
    if accumulate and self.dt >= RT_NLOOPED and v.dt == self.dt:       # a stored type has no sums: add in the type it is computed in
        wide = cast_raw(self, rt_compute_dtype(self.dt))
        put_raw(wide, indices, cast_raw(v, wide.dt), True)
        return copy_raw(self, wide)
    t = merge_masked(self, indices, clean)
    if t is None:
        t = self
        clean = expand_masks(self, indices)
    p = make_plan(t, clean)
    if v.dt != self.dt:
        raise DTypeError("Index put requires the source and destination dtypes match, got "
                         f"{torch_name(self.dt)} for the destination and {torch_name(v.dt)} for the source.", op="index_put_")
    if v.nd > p.r_nd and v.n != 1:
        bad_values(v, p)
    for k in range(v.nd if v.nd < p.r_nd else p.r_nd):
        j = v.nd - 1 - k
        if v.sh[j] != 1 and v.sh[j] != p.r_sh[p.r_nd - 1 - k]:
            bad_values(v, p)
    if v.stor is self.stor:                                # reading and writing the same memory
        v = clone_raw(v)
    for k in range(p.r_nd):
        j = v.nd - p.r_nd + k
        st[k] = v.st[j] if j >= 0 and v.sh[j] != 1 else 0
    v = view_raw(v, p.r_nd, p.r_sh, st, 0)
    if not on_device(self) and not one_step(v, p.s_at, p.s_nd):
        v = contiguous_raw(v)
    if v.n:
        run_indexed(RT_IX_ADD if accumulate else RT_IX_SET, t, v, p)
    return 0


cdef object bad_values(TensorBase v, Plan p):
    cdef int i
    result = "[" + ", ".join([str(p.r_sh[i]) for i in range(p.r_nd)]) + "]"
    raise ShapeError(f"shape mismatch: value tensor of shape {sizes(v)} cannot be broadcast to indexing result of shape "
                     f"{result}", op="index_put_")


cdef TensorBase one_beside(TensorBase v, TensorBase t):
    """v; a 0-dim tensor of another device goes to t's."""
    return to_device(v, t.dev) if v.nd == 0 else v


cdef TensorBase put_out(TensorBase self, list indices, TensorBase values, bint accumulate):
    """index_put that leaves self as it is."""
    cdef TensorBase out = clone_raw(self)
    values = one_beside(values, self)
    put_raw(out, indices, values, accumulate)
    if recording(self, values, None):
        attach2(out, put_node(indices, accumulate, values), self, values)
    return out


cdef int put_into(TensorBase self, list indices, TensorBase values, bint accumulate, str op) except -1:
    cdef Node node = None
    values = one_beside(values, self)
    inplace_begin(op, self)
    refuse_overlap(op, self, values, True)
    for x in indices:
        if x is not None:
            refuse_overlap(op, self, <TensorBase?>x, True)
    put_raw(self, indices, values, accumulate)
    if recording(self, values, None):
        node = put_node(indices, accumulate, values)
        attach2(self, node, self, values)
    inplace_end(self, node)
    return 0


cdef list index_list(object indices):
    cdef list out
    if isinstance(indices, TensorBase):
        raise TensorTypeError("index_put(): argument 'indices' must be tuple of Tensors, not Tensor", op="index_put", argument="indices")
    out = list(indices)
    for x in out:
        if x is not None:
            as_base("index_put", "indices", x)
    if out.count(None) == len(out):
        raise DimError("index_put: expected at least one index tensor, got none", op="index_put")
    return out


def index_put(input, indices, values, accumulate=False):
    """Return a copy of input with values written (or added) at `indices`.

    Args:
        indices: tuple of index tensors, None for a dimension taken whole.
        values: tensor of input's dtype, broadcast to the shape that indexing gives.
        accumulate: add instead of write; an index that repeats adds each time, in order.
    """
    return put_out(as_base("index_put", "input", input), index_list(indices), as_base("index_put", "values", values), accumulate)


def index_put_(self, indices, values, accumulate=False):
    """Write (or add) values at `indices` in place; see `index_put`."""
    put_into(as_base("index_put_", "self", self), index_list(indices), as_base("index_put_", "values", values), accumulate, "index_put_")
    return self


FUNCTIONS = {"index_put": index_put, "index_put_": index_put_}
METHODS = FUNCTIONS
