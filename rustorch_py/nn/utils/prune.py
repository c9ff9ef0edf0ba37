"""Set parts of parameters to zero, by masks that stay until ``remove``.

A pruned parameter ``weight`` becomes ``weight_orig`` (trained) times ``weight_mask`` (a buffer), computed
by a forward pre-hook.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from ... import tensor as _t

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


class BasePruningMethod(ABC):
    """Base of the methods: subclasses define ``compute_mask`` and ``PRUNING_TYPE``.

    PRUNING_TYPE is ``"unstructured"`` (single elements), ``"structured"`` (slices along ``self.dim``) or
    ``"global"``; it says which part of an already pruned tensor a further method looks at.
    """

    _tensor_name = None

    def __call__(self, module, inputs):
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t, default_mask):
        """Return the mask for a tensor: ``default_mask`` with further zeros."""

    def apply_mask(self, module):
        """Return the masked parameter."""
        if self._tensor_name is None:
            raise AssertionError(f"Module {module} has to be pruned")
        original = getattr(module, self._tensor_name + "_orig")
        return getattr(module, self._tensor_name + "_mask").to(original.dtype) * original

    @classmethod
    def apply(cls, module, name, *args, importance_scores=None, **kwargs):
        """Prune a parameter of a module; a second method joins the first in a ``PruningContainer``.

        Args:
            module: owner of the parameter.
            name: its name.
            *args, **kwargs: the method's constructor arguments.
            importance_scores: what the mask is computed from, in place of the parameter.
        """
        found = [
            key
            for key, hook in module._forward_pre_hooks.items()
            if isinstance(hook, BasePruningMethod) and hook._tensor_name == name
        ]
        if len(found) > 1:
            raise AssertionError(
                f"Avoid adding multiple pruning hooks to the same tensor {name} of module {module}. "
                "Use a PruningContainer."
            )
        before = module._forward_pre_hooks.pop(found[0]) if found else None
        method = cls(*args, **kwargs)
        method._tensor_name = name
        if before is not None:
            group = before if isinstance(before, PruningContainer) else PruningContainer(before)
            group.add_pruning_method(method)
            method = group
        original = getattr(module, name)
        if importance_scores is None:
            importance_scores = original
        elif importance_scores.shape != original.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as parameter {name} of {module}, "
                f"got {importance_scores.shape} vs {original.shape}"
            )
        if before is None:
            module.register_parameter(name + "_orig", original)
            del module._parameters[name]
            mask = _t.ones_like(original)
        else:
            mask = getattr(module, name + "_mask").detach().clone()
        try:
            with _t.no_grad():
                mask = method.compute_mask(importance_scores, default_mask=mask)
            module.register_buffer(name + "_mask", mask)
            setattr(module, name, method.apply_mask(module))
            module.register_forward_pre_hook(method)
        except Exception:
            if before is None:
                del module._parameters[name + "_orig"]
                module.register_parameter(name, original)
            raise
        return method

    def prune(self, t, default_mask=None, importance_scores=None):
        """Return a pruned copy of a tensor.

        Args:
            t: the tensor.
            default_mask: zeros it has already; ones if absent.
            importance_scores: what the mask is computed from, in place of the tensor.
        """
        if importance_scores is None:
            importance_scores = t
        elif importance_scores.shape != t.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as tensor t, got {importance_scores.shape} vs {t.shape}"
            )
        mask = _t.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(importance_scores, default_mask=mask)

    def remove(self, module):
        """Make the zeros part of an ordinary parameter again."""
        name = self._tensor_name
        if name is None:
            raise AssertionError(f"Module {module} has to be pruned before pruning can be removed")
        value = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original = module._parameters.pop(name + "_orig")
        original.data = value.detach()
        del module._buffers[name + "_mask"]
        setattr(module, name, original)


class PruningContainer(BasePruningMethod):
    """Hold the methods that pruned one parameter, one after the other.

    Args:
        *methods: the methods, all of one parameter.
    """

    def __init__(self, *methods):
        self._pruning_methods = ()
        if methods:
            self._tensor_name = methods[0]._tensor_name
        for method in methods:
            self.add_pruning_method(method)

    def add_pruning_method(self, method):
        """Add a further method."""
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if self._tensor_name != method._tensor_name:
            raise ValueError(
                f"Can only add pruning methods acting on the parameter named '{self._tensor_name}' to "
                f"PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self):
        return len(self._pruning_methods)

    def __iter__(self):
        return iter(self._pruning_methods)

    def __getitem__(self, idx):
        return self._pruning_methods[idx]

    def compute_mask(self, t, default_mask):
        """Let the newest method prune what the masks before it left."""
        method = self._pruning_methods[-1]
        mask = default_mask.to(t.dtype)
        if method.PRUNING_TYPE == "unstructured":
            part = default_mask == 1
        elif method.PRUNING_TYPE == "structured":
            if not hasattr(method, "dim"):
                raise AttributeError(
                    'Pruning methods of PRUNING_TYPE "structured" need to have the attribute `dim` defined.'
                )
            _check_dim(t, method.dim)
            dim = method.dim % t.dim()
            alive = default_mask.sum([d for d in range(t.dim()) if d != dim]) != 0
            part = tuple(alive if d == dim else slice(None) for d in range(t.dim()))
        elif method.PRUNING_TYPE == "global":
            part = (slice(None),) * t.dim()
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        mask = mask.clone()
        mask[part] = method.compute_mask(t[part], default_mask=default_mask[part]).to(mask.dtype)
        return mask


def _check_amount(amount):
    """Refuse an amount that is neither a share nor a count."""
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if (isinstance(amount, int) and amount < 0) or (isinstance(amount, float) and not 0.0 <= amount <= 1.0):
        raise ValueError(
            f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer"
        )


def _count(amount, size):
    """Return how many of ``size`` parts an amount (count or share) means."""
    count = amount if isinstance(amount, int) else round(amount * size)
    if count > size:
        raise ValueError(
            f"amount={count} should be smaller than the number of parameters to prune={size}"
        )
    return count


def _check_dim(t, dim):
    if dim >= t.dim() or dim < -t.dim():
        raise IndexError(f"Invalid index {dim} for tensor of size {t.shape}")


def _check_structured(t, dim):
    if t.dim() <= 1:
        raise ValueError(
            "Structured pruning can only be applied to multidimensional tensors. Found tensor of shape "
            f"{t.shape} with {t.dim()} dims"
        )
    _check_dim(t, dim)


def _zero_at(default_mask, flat_index):
    mask = default_mask.clone()
    mask.view(-1)[flat_index] = 0
    return mask


def _keep_slices(default_mask, t, dim, keep):
    """Return the mask without the slices along ``dim`` that ``keep`` (bool or indices) leaves out."""
    mask = _t.zeros_like(t)
    mask[tuple(keep if d == dim % t.dim() else slice(None) for d in range(t.dim()))] = 1
    return mask * default_mask.to(mask.dtype)


class Identity(BasePruningMethod):
    """Prune nothing; only set up the mask."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t, default_mask):
        """Return the mask as it is."""
        return default_mask


class RandomUnstructured(BasePruningMethod):
    """Prune random elements.

    Args:
        amount: a count, or a share between 0 and 1.
    """

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount):
        _check_amount(amount)
        self.amount = amount

    def compute_mask(self, t, default_mask):
        """Return the mask with random further zeros."""
        count = _count(self.amount, t.numel())
        if count == 0:
            return default_mask.clone()
        return _zero_at(default_mask, _t.topk(_t.rand_like(t).view(-1), count)[1])


class L1Unstructured(BasePruningMethod):
    """Prune the elements of the least absolute value.

    Args:
        amount: a count, or a share between 0 and 1.
    """

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount):
        _check_amount(amount)
        self.amount = amount

    def compute_mask(self, t, default_mask):
        """Return the mask with zeros at the smallest elements."""
        count = _count(self.amount, t.numel())
        if count == 0:
            return default_mask.clone()
        return _zero_at(default_mask, _t.topk(t.abs().reshape(-1), count, largest=False)[1])


class RandomStructured(BasePruningMethod):
    """Prune random slices.

    Args:
        amount: a count, or a share between 0 and 1.
        dim: the dimension whose slices are meant.
    """

    PRUNING_TYPE = "structured"

    def __init__(self, amount, dim=-1):
        _check_amount(amount)
        self.amount = amount
        self.dim = dim

    def compute_mask(self, t, default_mask):
        """Return the mask with random slices zero."""
        _check_structured(t, self.dim)
        size = t.shape[self.dim]
        count = _count(self.amount, size)
        if count == 0:
            return default_mask
        draws = _t.rand(size)
        return _keep_slices(default_mask, t, self.dim, draws > _t.kthvalue(draws, count)[0])


class LnStructured(BasePruningMethod):
    """Prune the slices of the least norm.

    Args:
        amount: a count, or a share between 0 and 1.
        n: order of the norm.
        dim: the dimension whose slices are meant.
    """

    PRUNING_TYPE = "structured"

    def __init__(self, amount, n, dim=-1):
        _check_amount(amount)
        self.amount = amount
        self.n = n
        self.dim = dim

    def compute_mask(self, t, default_mask):
        """Return the mask with the smallest slices zero."""
        _check_structured(t, self.dim)
        size = t.shape[self.dim]
        count = _count(self.amount, size)
        if count == 0:
            return default_mask
        norms = t.transpose(0, self.dim).reshape(size, -1).norm(self.n, 1)
        return _keep_slices(default_mask, t, self.dim, _t.topk(norms, size - count)[1])


class CustomFromMask(BasePruningMethod):
    """Prune by a given mask.

    Args:
        mask: zeros where to prune, of the parameter's shape.
    """

    PRUNING_TYPE = "global"

    def __init__(self, mask):
        self.mask = mask

    def compute_mask(self, t, default_mask):
        """Return both masks' common ones."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {default_mask.shape} must match self.mask shape {self.mask.shape}"
            )
        return default_mask * self.mask.to(default_mask.dtype)


def identity(module, name):
    """Set up a mask of ones; return the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module, name, amount):
    """Prune random elements of a parameter; return the module."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module, name, amount, importance_scores=None):
    """Prune the elements of the least absolute value; return the module."""
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module, name, amount, dim):
    """Prune random slices of a parameter; return the module."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module, name, amount, n, dim, importance_scores=None):
    """Prune the slices of the least norm; return the module."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module, name, mask):
    """Prune a parameter by a given mask; return the module."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(parameters, pruning_method, importance_scores=None, **kwargs):
    """Prune elements across several parameters, compared with one another.

    Args:
        parameters: iterable of (module, name).
        pruning_method: a class of PRUNING_TYPE ``"unstructured"``.
        importance_scores: mapping from (module, name) to a tensor of the parameter's shape.
        **kwargs: the method's constructor arguments, such as ``amount``.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    parameters = list(parameters)
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. '
            f"Found method {pruning_method} of type {method.PRUNING_TYPE}"
        )
    with _t.no_grad():
        values = _t.cat([scores.get((m, n), getattr(m, n)).reshape(-1) for m, n in parameters])
        masks = [getattr(m, n + "_mask", None) for m, n in parameters]
        masks = [_t.ones_like(getattr(m, n)) if k is None else k for k, (m, n) in zip(masks, parameters)]
        before = _t.cat([k.reshape(-1) for k in masks])
        group = PruningContainer()
        group._tensor_name = method._tensor_name = "temp"
        group.add_pruning_method(method)
        mask = group.compute_mask(values, before)
        start = 0
        for module, name in parameters:
            param = getattr(module, name)
            n = param.numel()
            custom_from_mask(module, name, mask[start : start + n].view_as(param))
            start += n


def remove(module, name):
    """Make a parameter's zeros permanent and forget the mask; return the module."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")


def is_pruned(module):
    """Tell whether a module, or one below it, has a pruned parameter."""
    return any(
        isinstance(hook, BasePruningMethod) for m in module.modules() for hook in m._forward_pre_hooks.values()
    )
