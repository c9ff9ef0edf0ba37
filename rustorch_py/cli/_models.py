"""The networks that `rustorch train --model` knows by name."""
from __future__ import annotations

import importlib
import math
import os
import sys

from .. import nn
from .. import tensor as _t
from ..errors import DataError


def cnn(input_shape, num_classes):
    """Return a small convolutional network: stages of two 3×3 convolutions, each halving the image."""
    channels, height, width = input_shape
    layers, previous, planes = [], channels, 32
    side = min(height, width)
    stages = max(1, min(4, int(math.log2(max(side, 2) / 4) + 1)))
    for _ in range(stages):
        for _ in range(2):
            layers += [nn.Conv2d(previous, planes, 3, padding=1, bias=False), nn.BatchNorm2d(planes), nn.ReLU()]
            previous = planes
        if min(height, width) >= 2:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        planes = min(2 * planes, 256)
    layers += [nn.Flatten(), nn.Dropout(0.3), nn.Linear(previous * height * width, 128), nn.ReLU(), nn.Dropout(0.3),
               nn.Linear(128, num_classes)]
    return nn.Sequential(*layers)


def mlp(input_shape, num_classes):
    """Return a perceptron with two hidden layers."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), 128), nn.ReLU(), nn.Dropout(0.1),
                         nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, num_classes))


def linear(input_shape, num_classes):
    """Return a linear classifier: multinomial logistic regression."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), num_classes))


NAMED = {"cnn": cnn, "mlp": mlp, "linear": linear}


def build(name, data, arguments=None):
    """Return the model called `name` for a `Split`, checked on two samples.

    Args:
        name: 'cnn', 'mlp', 'linear' or 'module:Class'.
        arguments: keyword arguments for 'module:Class'.
    """
    if name in NAMED:
        if arguments:
            raise DataError(f"--model-args is for module:Class, not for {name}")
        if name == "cnn" and not data.is_image:
            side = math.isqrt(data.input_shape[0])
            raise DataError(f"--model cnn needs images, {data.name} is a table of {data.input_shape[0]} columns"
                            + (f" (as images of {side}×{side}, store them in an .npz)" if side * side == data.input_shape[0]
                               else "") + ": use mlp or linear")
        return NAMED[name](data.input_shape, data.num_classes)
    module_name, colon, class_name = name.partition(":")
    if not colon or not module_name or not class_name:
        raise DataError(f"--model {name}: expected {', '.join(NAMED)} or module:Class")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python` itself does; a console script does not
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise DataError(f"--model {name}: {error}") from error
    factory = getattr(module, class_name, None)
    if factory is None:
        raise DataError(f"--model {name}: module {module_name} has no {class_name}")
    try:
        model = factory(**(arguments or {}))
    except TypeError as error:
        raise DataError(f"--model {name}: {error}; give its arguments with --model-args") from error
    if not isinstance(model, nn.Module):
        raise DataError(f"--model {name}: expected a Module, got {type(model).__name__}")
    _check(name, model, data)
    return model


def _check(name, model, data):
    training = model.training
    model.eval()
    try:
        with _t.no_grad():
            output = model(data.train_x[:2])
    except (RuntimeError, ValueError, TypeError) as error:
        raise DataError(f"--model {name} does not take a batch of shape {(2, *data.input_shape)}: {error}") from error
    model.train(training)
    wanted = (2, data.num_classes)
    if not isinstance(output, _t.Tensor) or tuple(output.shape) != wanted:
        got = tuple(output.shape) if isinstance(output, _t.Tensor) else type(output).__name__
        raise DataError(f"--model {name}: for 2 samples of {data.num_classes} classes the output must have shape {wanted}, "
                        f"got {got}")
