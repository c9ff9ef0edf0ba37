"""Layers that belong together as one module: a Sequential that in evaluation takes them in one pass where it can."""
from ....nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, Conv1d, Conv2d, Conv3d, Linear, ReLU, Sequential

__all__ = ["BNReLU2d", "BNReLU3d", "ConvBn1d", "ConvBn2d", "ConvBn3d", "ConvBnReLU1d", "ConvBnReLU2d", "ConvBnReLU3d", "ConvReLU1d", "ConvReLU2d",
           "ConvReLU3d", "LinearBn1d", "LinearReLU"]


class _FusedModule(Sequential):
    """The layers of ``_kinds``, one after the other."""

    _kinds = ()

    def __init__(self, *layers):
        names = [kind.__name__ for kind in self._kinds]
        if len(layers) != len(names):
            raise TypeError(f"{type(self).__name__}: expected {len(names)} modules ({', '.join(names)}), got {len(layers)}")
        for at, (layer, kind) in enumerate(zip(layers, self._kinds)):
            if not isinstance(layer, kind):
                raise AssertionError(f"{type(self).__name__}: module {at} must be of type {kind.__name__}, got {type(layer).__name__}")
        super().__init__(*layers)


def _fused(name, *kinds):
    text = ", ".join(kind.__name__ for kind in kinds)
    return type(name, (_FusedModule,), {"__doc__": f"Call {text}, given in this order, one after the other.", "__module__": __name__, "_kinds": kinds})


ConvReLU1d, ConvReLU2d, ConvReLU3d = _fused("ConvReLU1d", Conv1d, ReLU), _fused("ConvReLU2d", Conv2d, ReLU), _fused("ConvReLU3d", Conv3d, ReLU)
ConvBn1d, ConvBn2d = _fused("ConvBn1d", Conv1d, BatchNorm1d), _fused("ConvBn2d", Conv2d, BatchNorm2d)
ConvBn3d = _fused("ConvBn3d", Conv3d, BatchNorm3d)
ConvBnReLU1d, ConvBnReLU2d = _fused("ConvBnReLU1d", Conv1d, BatchNorm1d, ReLU), _fused("ConvBnReLU2d", Conv2d, BatchNorm2d, ReLU)
ConvBnReLU3d = _fused("ConvBnReLU3d", Conv3d, BatchNorm3d, ReLU)
LinearReLU, LinearBn1d = _fused("LinearReLU", Linear, ReLU), _fused("LinearBn1d", Linear, BatchNorm1d)
BNReLU2d, BNReLU3d = _fused("BNReLU2d", BatchNorm2d, ReLU), _fused("BNReLU3d", BatchNorm3d, ReLU)
