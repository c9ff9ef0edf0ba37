"""A model that trains itself, in the style of Keras, on top of `Trainer`."""
from __future__ import annotations

import sys

from .. import nn, optim
from .. import tensor as _t
from ..data import DataLoader, TensorDataset
from ..errors import TensorValueError
from ._summary import summary as _summary
from ._trainer import Trainer

_OPTIMIZERS = {"sgd": ("SGD", {"lr": 0.01}), "adam": ("Adam", {}), "adamw": ("AdamW", {}), "rmsprop": ("RMSprop", {}),
               "adagrad": ("Adagrad", {}), "adadelta": ("Adadelta", {}), "adamax": ("Adamax", {}), "nadam": ("NAdam", {})}
_LOSSES = {"cross_entropy": "CrossEntropyLoss", "sparse_categorical_crossentropy": "CrossEntropyLoss",
           "categorical_crossentropy": "CrossEntropyLoss", "nll": "NLLLoss", "mse": "MSELoss",
           "mean_squared_error": "MSELoss", "mae": "L1Loss", "mean_absolute_error": "L1Loss", "l1": "L1Loss",
           "huber": "HuberLoss", "smooth_l1": "SmoothL1Loss", "bce": "BCELoss", "binary_crossentropy": "BCELoss",
           "bce_with_logits": "BCEWithLogitsLoss", "kl_div": "KLDivLoss"}


class Model(nn.Sequential):
    """Layers in a row with `compile`, `fit`, `evaluate` and `predict`.

    A `Module` like any other: `state_dict`, `to`, hooks and indexing work. 'cross_entropy' expects the
    last layer's raw scores, as PyTorch's loss does, not probabilities.

    Args:
        *layers: modules, or one list of them; one module with a forward of its own also serves.

    Example:
        >>> model = Model([nn.Linear(4, 16), nn.ReLU()])
        >>> model.add(nn.Linear(16, 3))
        >>> model.compile("adam", "cross_entropy", lr=0.01)
        >>> history = model.fit(x, y, epochs=20, validation_split=0.2)
    """

    def __init__(self, *layers):
        super().__init__(*layers)
        # Plain attributes, not submodules: criterion and trainer must not enter the state_dict.
        self.__dict__.update(_settings=None, trainer=None)

    def add(self, layer):
        """Append a layer; returns the model."""
        if not isinstance(layer, nn.Module):
            raise TypeError(f"add: expected a Module, got {type(layer).__name__}")
        self.append(layer)
        self.__dict__["trainer"] = None  # its optimizer does not know the new parameters
        return self

    def compile(self, optimizer="adam", loss="cross_entropy", metrics="auto", *, lr=None, **trainer_options):
        """Choose how the model learns; a trained model's optimizer state is dropped.

        Args:
            optimizer: a name, an optimizer class, a function of the parameters, or an Optimizer.
            loss: a name, a loss Module or a function of (output, target).
            metrics: as in `Trainer`.
            lr: learning rate for an optimizer given by name or class.
            **trainer_options: passed on to `Trainer` (scheduler excepted: give it a function of the optimizer).

        Returns:
            the model.
        """
        if isinstance(optimizer, str) and optimizer.lower() not in _OPTIMIZERS:
            raise TensorValueError(f"compile: unknown optimizer {optimizer!r}; known: {', '.join(_OPTIMIZERS)}")
        if isinstance(loss, str) and loss.lower() not in _LOSSES:
            raise TensorValueError(f"compile: unknown loss {loss!r}; known: {', '.join(_LOSSES)}")
        if isinstance(loss, str):
            loss = getattr(nn, _LOSSES[loss.lower()])()
        self.__dict__.update(_settings=(optimizer, loss, metrics, lr, trainer_options), trainer=None)
        return self

    def _trainer(self):
        if self._settings is None:
            raise RuntimeError(f"{type(self).__name__}: call compile(optimizer, loss) before fit, evaluate or predict")
        if self.trainer is None:
            optimizer, loss, metrics, lr, options = self._settings
            given = {} if lr is None else {"lr": lr}
            if isinstance(optimizer, str):
                name, defaults = _OPTIMIZERS[optimizer.lower()]
                optimizer = getattr(optim, name)(self.parameters(), **{**defaults, **given})
            elif not isinstance(optimizer, optim.Optimizer):
                optimizer = optimizer(self.parameters(), **given)
            elif given:
                raise TensorValueError("compile: lr is for an optimizer given by name or class; this one exists already")
            options = dict(options)
            if callable(options.get("scheduler")) and not hasattr(options["scheduler"], "state_dict"):
                options["scheduler"] = options["scheduler"](optimizer)
            self.__dict__["trainer"] = Trainer(self, optimizer, loss, metrics=metrics, **options)
        return self.trainer

    def fit(self, x, y=None, *, epochs=1, batch_size=32, validation_data=None, validation_split=0.0, shuffle=True,
            callbacks=(), verbose=None, resume=None):
        """Train and return the `TrainingHistory`; a second call goes on where the first ended.

        Args:
            x, y: tensors or NumPy arrays with a sample a row; or x alone: a loader of (input, target).
            validation_data: (x, y) or a loader.
            validation_split: share of the samples, taken from the end, that is held out instead.
            shuffle: new order each epoch.
            callbacks: for this call only.
            verbose: True for a bar, False for silence, None for a bar in terminals and notebooks.
            resume: as in `Trainer.train`.
        """
        trainer = self._trainer()
        if validation_split:
            if not 0 < validation_split < 1:
                raise TensorValueError(f"fit: validation_split must be between 0 and 1, got {validation_split}")
            if y is None or validation_data is not None:
                raise TensorValueError("fit: validation_split needs x and y, and no validation_data")
            x, y = _tensor(x), _tensor(y)
            kept = len(x) - max(1, round(validation_split * len(x)))
            if not kept:
                raise TensorValueError(f"fit: validation_split {validation_split} leaves none of {len(x)} samples to train on")
            validation_data, x, y = (x[kept:], y[kept:]), x[:kept], y[:kept]
        loader = _loader(x, y, batch_size, shuffle)
        held_out = None
        if validation_data is not None:
            held_out = (_loader(*validation_data, batch_size, False) if isinstance(validation_data, (tuple, list))
                        and len(validation_data) == 2 else validation_data)
        before = trainer.callbacks, trainer.progress
        trainer.callbacks = trainer.callbacks + list(callbacks)
        trainer.progress = verbose
        try:
            return trainer.train(loader, epochs, held_out, resume=resume)
        finally:
            trainer.callbacks, trainer.progress = before

    def evaluate(self, x, y=None, *, batch_size=256, metrics=None):
        """Return loss and metrics as a dictionary, in evaluation mode."""
        return self._trainer().evaluate(_loader(x, y, batch_size, False), metrics)

    def predict(self, x, *, batch_size=256):
        """Return the outputs for all samples, in evaluation mode and without gradients."""
        if isinstance(x, DataLoader):
            return self._trainer().predict(x)
        return self._trainer().predict(DataLoader(TensorDataset(_tensor(x)), batch_size=batch_size))

    def summary(self, input_size=None, **options):
        """Print the layers with shapes and numbers of parameters; see `training.summary`."""
        return _summary(self, input_size, **options)

    @property
    def history(self):
        """Rows of all epochs so far, None before the first `fit`."""
        return self.trainer.history if self.trainer is not None else None


def _tensor(value):
    """Return a tensor of a tensor, a NumPy array or nested lists; float64 arrays become the default dtype."""
    if isinstance(value, _t.Tensor):
        return value
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray):
        value = _t.from_numpy(numpy.ascontiguousarray(value))
        return value.to(_t.get_default_dtype()) if value.dtype == _t.float64 else value
    return _t.tensor(value)


def _loader(x, y, batch_size, shuffle):
    if y is None:
        if isinstance(x, _t.Tensor):
            raise TensorValueError("x is a tensor: y, its targets, is missing")
        return x
    x, y = _tensor(x), _tensor(y)
    if len(x) != len(y):
        raise TensorValueError(f"x has {len(x)} samples, y {len(y)}")
    return DataLoader(TensorDataset(x, y), batch_size=batch_size, shuffle=shuffle)
