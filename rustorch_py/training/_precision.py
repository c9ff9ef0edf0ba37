"""Mixed precision: matrix products in bfloat16, weights and delicate sums in float32.

bfloat16 has float32's range, so that, other than with float16, no loss scaling is needed
(Kalamkar et al. 2019, "A study of BFLOAT16 for deep learning training").
"""
from __future__ import annotations

from .. import nn
from .. import tensor as _t

# Layers that are a matrix product: inputs and weights are rounded, the gradient of the rounding is the
# identity, so that the float32 master weights receive it.
_LOW = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
# Layers that sum or exponentiate many values: always float32.
_HIGH = ("Norm", "Softmax", "Softmin", "LogSigmoid", "Loss")


class MixedPrecision:
    """While entered, a model's products run in bfloat16.

    Args:
        model: its float32 parameters stay what the optimizer sees.
    """

    def __init__(self, model):
        self.model = model
        self.handles = []

    def __enter__(self):
        for module in dict.fromkeys(self.model.modules()):
            if isinstance(module, _LOW):
                self.handles.append(module.register_forward_pre_hook(_round_in))
                self.handles.append(module.register_forward_hook(_restore, always_call=True))
            elif any(word in type(module).__name__ for word in _HIGH):
                self.handles.append(module.register_forward_pre_hook(_widen))
        return self

    def __exit__(self, *error):
        for handle in self.handles:
            handle.remove()
        self.handles.clear()


def _cast(value, dtype):
    return value.to(dtype) if isinstance(value, _t.Tensor) and value.is_floating_point() else value


def _round_in(module, inputs):
    module.__dict__["_masters"] = masters = dict(module._parameters)
    for name, parameter in masters.items():
        if parameter is not None and parameter.dtype == _t.float32:
            module._parameters[name] = parameter.to(_t.bfloat16)
    return tuple(_cast(value, _t.bfloat16) for value in inputs)


def _restore(module, inputs, output):
    masters = module.__dict__.pop("_masters", None)
    if masters is not None:
        module._parameters.update(masters)


def _widen(module, inputs):
    return tuple(_cast(value, _t.float32) for value in inputs)


def widened(output):
    """Return outputs as float32, for the loss and the metrics."""
    if isinstance(output, (list, tuple)):
        return type(output)(widened(item) for item in output)
    if isinstance(output, dict):
        return {name: widened(item) for name, item in output.items()}
    return output.to(_t.float32) if isinstance(output, _t.Tensor) and output.dtype == _t.bfloat16 else output
