"""Tensors inside vmap: one example to look at, all examples in memory.

Note [Batched tensors]
    Inside ``vmap`` a mapped tensor is a BatchedTensor: its shape is that of one example, ``_value`` holds all of them with
    the batch in dimension 0. Calls reach it through ``__torch_function__`` (tensor/_overrides.py); `_rules` makes of each
    call one call on the values. Levels nest: the value of an inner level's tensor may itself be batched at an outer level,
    and the rule's own calls are then taken apart once more. To the kernels a BatchedTensor is a tensor on a device that
    does not exist, so that a call which escaped the rules is an error and never a wrong number.
"""
import threading

from ..tensor import Tensor
from ..tensor._function import count_overriding, shell
from ..tensor._overrides import Shell

_here = threading.local()


class Level:
    """One vmap under way.

    Args:
        size: number of examples.
        randomness: "error", "different" or "same".
        depth: 1 for the outermost.

    ``records`` counts the derivatives under way that were begun with this level as the innermost.
    """
    __slots__ = ("size", "randomness", "depth", "alive", "records")

    def __init__(self, size, randomness, depth):
        self.size, self.randomness, self.depth, self.alive, self.records = size, randomness, depth, True, 0

    def differentiated(self):
        """Whether grad, vjp or jvp is at work inside this level: on single examples, not on the mapped function."""
        return any(level.records for level in level_stack() if level.depth >= self.depth)


def level_stack():
    """Return the levels under way in this thread, outermost first."""
    try:
        return _here.stack
    except AttributeError:
        _here.stack = []
        return _here.stack


class open_level:
    """Context manager: a new innermost level."""

    def __init__(self, size, randomness):
        self.size, self.randomness = size, randomness

    def __enter__(self):
        stack = level_stack()
        self.level = Level(self.size, self.randomness, len(stack) + 1)
        stack.append(self.level)
        count_overriding(1)
        return self.level

    def __exit__(self, *exc):
        count_overriding(-1)
        self.level.alive = False
        level_stack().remove(self.level)


class below:
    """Context manager: what runs inside belongs to the levels outside of ``level``."""

    def __init__(self, level):
        self.level = level

    def __enter__(self):
        stack = level_stack()
        at = stack.index(self.level)
        self.taken = stack[at:]
        del stack[at:]

    def __exit__(self, *exc):
        level_stack().extend(self.taken)


class BatchedTensor(Shell, Tensor):
    """One example of a mapped tensor, to the function that vmap runs. Made by vmap only."""

    _overrides_counted_elsewhere = True

    # what the shape of one example answers
    shape, dtype, layout, ndim, itemsize, nbytes = (Tensor.shape, Tensor.dtype, Tensor.layout, Tensor.ndim, Tensor.itemsize, Tensor.nbytes)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return cls._call(func, args, kwargs or {})      # `_dispatch` puts it here

    def dim(self):
        """Return the number of dimensions of one example."""
        return self.ndim

    ndimension = dim

    @property
    def device(self):
        return self._value.device

    @property
    def requires_grad(self):
        return self._value.requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        self._value.requires_grad = value

    def requires_grad_(self, requires_grad=True):
        """Set whether gradients are computed for the examples, in place."""
        self._value.requires_grad_(requires_grad)
        return self

    def item(self):
        """Refuse: one example's value is not known."""
        from ._dispatch import RULES
        return RULES["item"](self._level, Tensor.item, self)

    @property
    def grad_fn(self):
        return self._value.grad_fn

    @property
    def is_leaf(self):
        return self._value.is_leaf

    @property
    def grad(self):
        return None if self._value.grad is None else batched(self._value.grad, self._level)

    @property
    def data(self):
        return batched(self._value.data, self._level)

    @data.setter
    def data(self, value):
        self._value.data = value._value if isinstance(value, BatchedTensor) and value._level is self._level else value

    @property
    def is_cpu(self):
        return self._value.is_cpu

    @property
    def is_cuda(self):
        return self._value.is_cuda

    @property
    def is_metal(self):
        return self._value.is_metal

    is_mps = is_metal
    is_meta = is_sparse = is_quantized = is_nested = is_mkldnn = False

    def __hash__(self):
        return id(self) >> 4

    def __repr__(self, **kwargs):
        inner = "\n".join("    " + line for line in repr(self._value).splitlines())
        return f"BatchedTensor(lvl={self._level.depth}, bdim=0, value=\n{inner}\n)"

    def __deepcopy__(self, memo):
        return self.clone()

    def backward(self, *args, **kwargs):
        """Refuse: inside transforms, gradients come from func.grad and vjp."""
        raise RuntimeError("backward() called inside a functorch transform. This is not supported, please use functorch.grad or functorch.vjp "
                           "instead or call backward() outside of functorch transforms.")


def batched(value, level):
    """Return a tensor whose examples are ``value[0]``, ``value[1]`` ..."""
    out = shell(BatchedTensor, value)
    out._value, out._level = value, level
    return out


def is_at(x, level):
    """Tell whether x is batched at this level."""
    return isinstance(x, BatchedTensor) and x._level is level


def value_at(x, level):
    """Return x with the level's batch in dimension 0; a tensor that is not batched there is spread over it."""
    if is_at(x, level):
        return x._value
    return x.expand((level.size,) + tuple(x.shape))


def to_plain(x, levels):
    """Return x as a plain tensor of shape (*sizes of levels, *x.shape)."""
    if not levels:
        if isinstance(x, BatchedTensor):
            raise RuntimeError("vmap: a tensor was used outside of the vmap that it belongs to")
        return x
    return to_plain(value_at(x, levels[-1]), levels[:-1])


def from_plain(p, levels):
    """Undo `to_plain`."""
    for level in levels:
        p = batched(p, level)
    return p


def outside(x):
    """Return the plain tensor inside x, batched or not."""
    while isinstance(x, BatchedTensor):
        x = x._value
    return x


__all__ = ["BatchedTensor", "Level", "batched", "below", "from_plain", "is_at", "level_stack", "open_level", "outside", "to_plain", "value_at"]
