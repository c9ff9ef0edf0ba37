"""Shape operators made of other operators: grids, combinations, blocks."""
import warnings
from math import prod

from ..errors import IntOverflowError, ShapeError, TensorError, TensorTypeError, TensorValueError, UnsupportedOpError
from ._create import arange, combination_places, zeros
from ._dtype import memory_format, promote_types
from ._join import cat, stack
from ._lane import deliver_out
from ._pad import constant_pad_nd


def _tensors(tensors):
    """Varargs or one sequence."""
    return list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else list(tensors)


_told = set()                            # warnings that are given once


def meshgrid(*tensors, indexing=None):
    """Expand 1-d tensors to the grids of their coordinates.

    Args:
        indexing: "ij" (the default): the i-th tensor runs along dimension i; "xy": the first two are swapped.
    """
    tensors = _tensors(tensors)
    if not tensors:
        raise TensorError("meshgrid expects a non-empty TensorList", op="meshgrid")
    for i, t in enumerate(tensors):
        if not hasattr(t, "dim"):
            raise TensorTypeError(f"meshgrid(): expected Tensor as element {i} in argument 'tensors', but got {type(t).__name__}", op="meshgrid")
        if t.dim() > 1:
            raise ShapeError(f"meshgrid: Expected 0D or 1D tensor in the tensor list but got: {tuple(t.shape)}", op="meshgrid")
        if t.dtype != tensors[0].dtype:
            raise TensorError("meshgrid expects all tensors to have the same dtype", op="meshgrid")
    if indexing not in (None, "ij", "xy"):
        raise TensorError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}', op="meshgrid")
    if indexing is None and "meshgrid" not in _told:
        _told.add("meshgrid")
        warnings.warn("torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.", UserWarning, stacklevel=2)
    swap = indexing == "xy" and len(tensors) >= 2
    if swap:
        tensors[:2] = tensors[1::-1]
    n = len(tensors)
    shape = tuple(t.numel() for t in tensors)
    grids = [t.reshape((1,) * i + (-1,) + (1,) * (n - 1 - i)).expand(shape) for i, t in enumerate(tensors)]
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def cartesian_prod(*tensors):
    """Combine 1-d tensors as ``itertools.product`` does: one row a combination."""
    for t in tensors:
        if t.dim() != 1:
            raise ShapeError(f"cartesian_prod: Expect a 1D vector, but got shape {list(t.shape)}", op="cartesian_prod")
    if len(tensors) == 1:
        return tensors[0]
    grids = meshgrid(*tensors, indexing="ij")
    if any(t.requires_grad for t in tensors):             # the node has the shape of the result
        return stack([g.reshape(-1) for g in grids], 1)
    return stack(grids, -1).reshape(-1, len(grids))       # each grid is written once, where it belongs


def combinations(input, r=2, with_replacement=False):
    """Choose r elements of a 1-d tensor in every way, in order: one row a choice."""
    if input.dim() != 1:
        raise ShapeError(f"combinations: Expect a 1D vector, but got shape {list(input.shape)}", op="combinations")
    if r < 0:
        raise TensorError(f"combinations: Expect a non-negative number, but got {r}", op="combinations")
    if r == 0:
        return input.new_empty(0)
    n = input.numel()
    if r > input.shape[0] and not with_replacement:
        return input[:0].unsqueeze(1).expand(0, r)
    rows = combination_places(n, r, with_replacement).to(input.device)
    return input.index_select(0, rows.reshape(-1)).reshape(rows.shape)


def block_diag(*tensors):
    """Place matrices along the diagonal of a matrix of zeros."""
    if not tensors:
        return zeros(1, 0)
    dtype = tensors[0].dtype
    blocks = []
    for i, t in enumerate(tensors):
        if t.dim() > 2:
            raise ShapeError(f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {t.dim()} dimensions", op="block_diag")
        dtype = promote_types(dtype, t.dtype)
        blocks.append(t.reshape(1, -1) if t.dim() < 2 else t)
    width = sum(b.shape[1] for b in blocks)
    if not any(b.requires_grad for b in blocks):
        out, top, left = blocks[0].new_zeros(sum(b.shape[0] for b in blocks), width, dtype=dtype), 0, 0
        for b in blocks:
            h, w = b.shape
            out[top:top + h, left:left + w] = b
            top, left = top + h, left + w
        return out
    rows, left = [], 0
    for b in blocks:
        h, w = b.shape
        rows.append(constant_pad_nd(b.to(dtype), (left, width - left - w)) if h else b.new_zeros(0, width, dtype=dtype))
        left += w
    return cat(rows, 0)


def trace(input):
    """Sum the diagonal of a matrix."""
    if input.dim() != 2:
        raise ShapeError(f"trace: expected a matrix, but got tensor with dim {input.dim()}", op="trace")
    if input.dtype.name == "bool":
        raise UnsupportedOpError("\"trace\" not implemented for 'Bool'", op="trace")
    return input.diagonal().sum()


def vander(x, N=None, increasing=False):
    """Make the Vandermonde matrix of a 1-d tensor: powers along the columns, highest first."""
    if x.dim() != 1:
        raise ShapeError("x must be a one-dimensional tensor.", op="vander")
    n = x.shape[0] if N is None else N
    if n < 0:
        raise TensorError("N must be non-negative.", op="vander")
    one = x.new_ones(x.shape[0], 1) if x.dtype.is_floating_point or x.dtype.is_complex else x.new_ones(x.shape[0], 1).long()
    if n == 0:
        return one[:, :0]
    powers = cat([one, x.to(one.dtype).unsqueeze(1).expand(-1, n - 1)], 1).cumprod(1)
    return powers if increasing else powers.flip(1)


def unravel_index(indices, shape):
    """Turn flat indices into a tuple of indices, one tensor a dimension of ``shape``."""
    if indices.dtype.is_floating_point or indices.dtype.is_complex or str(indices.dtype) == "torch.bool":
        raise TensorTypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}", op="unravel_index")
    shape = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
    if any(n < 0 for n in shape):
        raise TensorValueError(f"'shape' cannot have negative values, but got {shape}", op="unravel_index")
    indices = indices.long()
    out = []
    for size in reversed(tuple(shape)):
        size = int(size)
        out.append(indices % size)
        indices = indices.div(size, rounding_mode="floor")
    return tuple(out[::-1])


def as_strided_scatter(input, src, size, stride, storage_offset=None):
    """Copy the input with ``src`` written on the elements that ``as_strided`` would view."""
    out = input.clone()
    out.as_strided(size, stride, storage_offset).copy_(src)
    return out


def nonzero_static(input, *, size, fill_value=-1, out=None):
    """List the indices of elements that are not zero: exactly ``size`` rows, cut or filled up."""
    rows = input.nonzero()
    if rows.shape[0] >= size:
        result = rows.narrow(0, 0, size).clone()
    else:
        result = cat([rows, rows.new_full((size - rows.shape[0], rows.shape[1]), fill_value)], 0)
    return deliver_out("nonzero_static", result, out)


def sum_to_size(self, *size):
    """Sum dimensions so that the result has ``size``, to which self's shape must broadcast back."""
    if not size:
        raise TensorTypeError("sum_to_size() missing 1 required positional arguments: \"size\"", op="sum_to_size")
    size = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    for i, n in enumerate(size):
        if not hasattr(n, "__index__") or isinstance(n, bool) and not i or hasattr(n, "dim") and n.dim():
            raise TensorTypeError(f"sum_to_size(): argument 'size' must be tuple of ints, but found element of type {type(n).__name__} at pos {i}", op="sum_to_size")
    size = tuple(n.__index__() for n in size)
    if any(abs(n) >= 1 << 63 for n in size):
        raise IntOverflowError(f"sum_to_size(): argument 'size' failed to unpack: {size} does not fit 64 bits", op="sum_to_size")
    if not size:
        return self.sum()
    lead = self.dim() - len(size)
    if lead < 0 or any(a != b and b != 1 for a, b in zip(self.shape[lead:], size)):
        raise ShapeError(f"size {{{list(size)}}} is not expandable to size {{{list(self.shape)}}}.", op="sum_to_size")
    dims = [i for i in range(self.dim()) if i < lead or (size[i - lead] == 1 and self.shape[i] != 1)]
    out = self.sum(dims, keepdim=True) if dims else self
    return out if tuple(out.shape) == size else out.reshape(size)


def dim_order(self, *, ambiguity_check=False):
    """Return the dimensions in the order in which they lie in memory, outermost first.

    Args:
        ambiguity_check: True: raise where several orders say the same; or a list of memory formats, of which exactly one must fit.
    Raises:
        RuntimeError: the order is ambiguous.
    """
    formats = ambiguity_check if isinstance(ambiguity_check, list) else []
    if not isinstance(ambiguity_check, (bool, list)) or not all(isinstance(f, memory_format) for f in formats):
        raise TensorTypeError("The ambiguity_check argument must be a bool or a list of memory formats.")
    if self.is_sparse:
        raise AttributeError(f"Can't get dim order on sparse type: {self.type()} Use Tensor.to_dense() to convert to a dense tensor first.")
    sizes, steps = tuple(self.shape), self.stride()
    several = 1 in sizes or any(a == b for a, b in zip(steps, steps[1:]))
    if ambiguity_check is not False and several and sum(self.is_contiguous(memory_format=f) for f in formats) != 1:
        raise TensorError("The tensor does not have unique dim order, or cannot map to exact one of the given memory formats.", op="dim_order")
    # an insertion sort from the inside: neighbours that say nothing (steps of 0, equal steps with sizes in order) stay as they are
    order, unclear = list(range(len(sizes) - 1, -1, -1)), False
    for i in range(1, len(order)):
        at = i
        for j in range(i - 1, -1, -1):
            inner, outer = order[j], order[at]
            if steps[inner] == 0 or steps[outer] == 0:
                unclear |= sizes[inner] != 1 and sizes[outer] != 1 and ambiguity_check is not False
                continue
            if steps[inner] > steps[outer] or steps[inner] == steps[outer] and sizes[inner] > sizes[outer]:
                order[j], order[at] = outer, inner
                at = j
            else:
                break
    if unclear:
        raise TensorError("The tensor does not have unique dim order.", op="dim_order")
    return tuple(order[::-1])


def resize(self, *sizes):
    """Return the tensor in another shape of as many elements: PyTorch's older name of `reshape`."""
    warnings.warn("non-inplace resize is deprecated", UserWarning, stacklevel=2)
    return _resized(self, sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes)


def resize_as(self, tensor):
    """Return the tensor in the shape of another of as many elements."""
    warnings.warn("non-inplace resize_as is deprecated", UserWarning, stacklevel=2)
    return _resized(self, tuple(tensor.shape))


def _resized(x, sizes):
    if prod(sizes) != x.numel():
        raise ShapeError(f"requested resize to {'x'.join(map(str, sizes))} ({prod(sizes)} elements in total), but the given tensor has a size of "
                         f"{'x'.join(map(str, x.shape))} ({x.numel()} elements). autograd's resize can only change the shape of a given tensor, while "
                         "preserving the number of elements.", op="resize")
    return x.contiguous().view(tuple(sizes))              # never with strides of its own, as a reshape to the same sizes is


FUNCTIONS = {f.__name__: f for f in (meshgrid, cartesian_prod, combinations, block_diag, trace, vander, unravel_index, as_strided_scatter, nonzero_static)}
METHODS = {f.__name__: f for f in (trace, as_strided_scatter, nonzero_static, sum_to_size, dim_order, resize, resize_as)}
