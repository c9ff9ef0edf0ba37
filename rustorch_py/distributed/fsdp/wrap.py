"""Which submodules become units of their own: functions of (module, recurse, nonwrapped_numel), for ``auto_wrap_policy``."""
from __future__ import annotations

from ...nn.modules.container import ModuleDict, ModuleList

__all__ = ["ModuleWrapPolicy", "always_wrap_policy", "size_based_auto_wrap_policy", "transformer_auto_wrap_policy"]

FORCE_LEAF_MODULES = ()
EXCLUDE_WRAP_MODULES = (ModuleList, ModuleDict)


def always_wrap_policy(*args, **kwargs):
    """Wrap every submodule."""
    return True


def size_based_auto_wrap_policy(module, recurse, nonwrapped_numel, min_num_params=int(1e8), force_leaf_modules=None, exclude_wrap_modules=None):
    """Wrap submodules with at least min_num_params parameters that no unit inside them has."""
    leaves = FORCE_LEAF_MODULES if force_leaf_modules is None else tuple(force_leaf_modules)
    never = EXCLUDE_WRAP_MODULES if exclude_wrap_modules is None else tuple(exclude_wrap_modules)
    if recurse:
        return nonwrapped_numel >= min_num_params and not isinstance(module, leaves)
    return nonwrapped_numel >= min_num_params and not isinstance(module, never)


def transformer_auto_wrap_policy(module, recurse, nonwrapped_numel, transformer_layer_cls):
    """Wrap submodules of the given classes."""
    return True if recurse else isinstance(module, tuple(transformer_layer_cls))


class ModuleWrapPolicy:
    """Wrap submodules of the given classes."""

    def __init__(self, module_classes):
        self._module_classes = tuple(module_classes)

    def __call__(self, module, recurse, *args, **kwargs):
        return True if recurse else isinstance(module, self._module_classes)

    def __repr__(self):
        return f"ModuleWrapPolicy({set(self._module_classes)})"
