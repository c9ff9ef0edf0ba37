"""`FloatFunctional`: arithmetic as a module, which PyTorch's quantization replaces; here it computes in float."""
from ... import tensor as _t
from ..modules.module import Module

__all__ = ["FloatFunctional"]


class FloatFunctional(Module):
    """Arithmetic of tensors as methods of a module, so that hooks and quantization can take hold of it.

    Example:
        >>> import rustorch_py as torch
        >>> f = torch.nn.quantized.FloatFunctional()
        >>> f.add(torch.tensor(3.0), torch.tensor(4.0))
        tensor(7.)
    """

    def __init__(self):
        super().__init__()
        from ..modules.linear import Identity
        self.activation_post_process = Identity()

    def forward(self, x):
        """Refuse: the methods are called by name."""
        raise RuntimeError("FloatFunctional is not intended to use the 'forward'. Please use the underlying operation")

    def add(self, x, y):
        """Add."""
        return self.activation_post_process(_t.add(x, y))

    def add_scalar(self, x, y):
        """Add a number."""
        return _t.add(x, y)

    def mul(self, x, y):
        """Multiply."""
        return self.activation_post_process(_t.mul(x, y))

    def mul_scalar(self, x, y):
        """Multiply by a number."""
        return _t.mul(x, y)

    def cat(self, x, dim=0):
        """Join tensors along a dimension."""
        return self.activation_post_process(_t.cat(x, dim=dim))

    def add_relu(self, x, y):
        """Add, then clip below 0."""
        return self.activation_post_process(_t.relu(_t.add(x, y)))

    def matmul(self, x, y):
        """Multiply matrices."""
        return self.activation_post_process(_t.matmul(x, y))
