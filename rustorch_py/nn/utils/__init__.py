"""Helpers around modules and their parameters (``torch.nn.utils``). Loaded on first use."""

_WHERE = {
    "clip_grad_norm": "clip_grad",
    "clip_grad_norm_": "clip_grad",
    "clip_grad_value_": "clip_grad",
    "clip_grads_with_norm_": "clip_grad",
    "get_total_norm": "clip_grad",
    "convert_conv2d_weight_memory_format": "memory_format",
    "convert_conv3d_weight_memory_format": "memory_format",
    "fuse_conv_bn_eval": "fusion",
    "fuse_conv_bn_weights": "fusion",
    "fuse_linear_bn_eval": "fusion",
    "fuse_linear_bn_weights": "fusion",
    "parameters_to_vector": "convert_parameters",
    "vector_to_parameters": "convert_parameters",
    "remove_spectral_norm": "_spectral_norm",
    "spectral_norm": "_spectral_norm",
    "remove_weight_norm": "_weight_norm",
    "weight_norm": "_weight_norm",
    "skip_init": "_skip_init",
}
_MODULES = ("clip_grad", "convert_parameters", "fusion", "memory_format", "parametrizations", "parametrize", "prune", "rnn", "stateless")

__all__ = sorted([*_WHERE, "parametrizations", "parametrize", "rnn", "stateless"])


def __getattr__(name):
    from importlib import import_module

    if name in _WHERE:
        value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_WHERE, *_MODULES})
