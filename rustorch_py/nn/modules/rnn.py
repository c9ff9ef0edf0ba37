"""Recurrent layers and cells."""

from __future__ import annotations

import math

from ... import tensor as _t
from ...errors import ShapeError, TensorError, TensorValueError
from ...tensor._room import refuse_endless
from .. import init
from ..functional._recurrent import cell, run_layers
from ..parameter import Parameter
from ..utils.rnn import PackedSequence
from .module import Module, _warn

__all__ = ["GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNBase", "RNNCell", "RNNCellBase"]

_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}
_OBJECTS = 1000                                      # bytes of the Python objects of a layer's parameters, at least


def _reset_uniform(module):
    """Draw all parameters uniformly within 1 / sqrt(hidden_size)."""
    bound = 1.0 / math.sqrt(module.hidden_size) if module.hidden_size > 0 else 0
    for weight in module.parameters():
        init.uniform_(weight, -bound, bound)


class RNNBase(Module):
    """What RNN, LSTM and GRU share: a stack of layers, one or two directions.

    Args:
        mode: ``"RNN_TANH"``, ``"RNN_RELU"``, ``"LSTM"`` or ``"GRU"``.
        input_size, hidden_size: numbers of features.
        num_layers: layers on top of one another.
        bias: learn offsets.
        batch_first: input and output are (N, T, features) instead of (T, N, features).
        dropout: probability of dropping outputs between layers.
        bidirectional: run a second stack backwards in time.
        proj_size: project the hidden state to this size (LSTM).
    """

    def __init__(
        self,
        mode,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        proj_size=0,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        directions = 2 if bidirectional else 1
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
            )
        if dropout > 0 and num_layers == 1:
            _warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects num_layers "
                f"greater than 1, but got dropout={dropout} and num_layers={num_layers}"
            )
        for name, flag in (("bias", bias), ("batch_first", batch_first), ("bidirectional", bidirectional)):
            if not isinstance(flag, bool):
                raise TypeError(f"{name} should be of type bool, got: {type(flag).__name__}")
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if not isinstance(size, int):
                raise TypeError(f"{name} should be of type int, got: {type(size).__name__}")
            if size <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if isinstance(num_layers, bool):
            raise TypeError("num_layers should be of type int, got: bool")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if proj_size < 0:
            raise ValueError("proj_size should be a positive integer or zero to disable projections")
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        rows = _GATES[mode] * hidden_size if _GATES[mode] > 1 else hidden_size
        real_size = proj_size if proj_size > 0 else hidden_size
        places = 0 if device is not None and str(device) != "cpu" else (4 if dtype is None else dtype.itemsize) * rows * (min(input_size, real_size) + real_size)
        if places < 1 << 60:                         # larger sizes are refused one by one
            refuse_endless(mode.split("_")[0], "num_layers", num_layers, directions * (_OBJECTS + places))
        self._all_weights = []
        for layer in range(num_layers):
            width = input_size if layer == 0 else real_size * directions
            for direction in range(directions):
                end = f"_l{layer}" + ("_reverse" if direction else "")
                shapes = {"weight_ih" + end: (rows, width), "weight_hh" + end: (rows, real_size)}
                if bias:
                    shapes["bias_ih" + end] = shapes["bias_hh" + end] = (rows,)
                if proj_size > 0:
                    shapes["weight_hr" + end] = (proj_size, hidden_size)
                for name, shape in shapes.items():
                    setattr(self, name, Parameter(_t.empty(shape, device=device, dtype=dtype)))
                self._all_weights.append(list(shapes))
        self.reset_parameters()

    def reset_parameters(self):
        """Draw all weights anew, uniformly within 1 / sqrt(hidden_size)."""
        _reset_uniform(self)

    @property
    def _flat_weights_names(self):
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self):
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self):
        """The weights, a list for every layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self):
        """Do nothing: weights need no common block of memory here (it is a matter of cuDNN)."""

    def _cell_weights(self):
        """Return (w_ih, w_hh, b_ih, b_hh, w_hr) for every layer and direction."""
        has_bias, has_proj = self.bias, self.proj_size > 0
        out = []
        for names in self._all_weights:
            values = [getattr(self, name) for name in names]
            biases = values[2:4] if has_bias else (None, None)
            out.append((values[0], values[1], *biases, values[-1] if has_proj else None))
        return out

    # ---- checks ----

    def check_input(self, input, batch_sizes):
        """Refuse an input whose dtype, dimensions or features do not fit."""
        weight = getattr(self, self._all_weights[0][0])
        if input.dtype != weight.dtype:
            raise TensorValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight.dtype}). Convert input: "
                f"input.to({weight.dtype}), or convert model: model.to({input.dtype})"
            )
        expected = 2 if batch_sizes is not None else 3
        if input.dim() != expected:
            raise ShapeError(f"input must have {expected} dimensions, got {input.dim()}")
        if self.input_size != input.shape[-1]:
            raise ShapeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.shape[-1]}"
            )

    def _state_shape(self, batch, size):
        return (self.num_layers * (2 if self.bidirectional else 1), batch, size)

    def get_expected_hidden_size(self, input, batch_sizes):
        """Return the shape that the hidden state must have."""
        if batch_sizes is not None:
            batch = int(batch_sizes[0])
        else:
            batch = input.shape[0] if self.batch_first else input.shape[1]
        return self._state_shape(batch, self.proj_size if self.proj_size > 0 else self.hidden_size)

    def check_hidden_size(self, hx, expected_hidden_size, msg="Expected hidden size {}, got {}"):
        """Refuse a hidden state of another shape."""
        if tuple(hx.shape) != tuple(expected_hidden_size):
            raise ShapeError(msg.format(tuple(expected_hidden_size), list(hx.shape)))

    def check_forward_args(self, input, hidden, batch_sizes):
        """Check input and hidden state."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx, permutation):
        """Reorder the batch of a hidden state."""
        return hx if permutation is None else hx.index_select(1, permutation)

    # ---- forward ----

    def _unbatched_state(self, hx):
        if hx.dim() != 2:
            raise ShapeError(f"For unbatched 2-D input, hx should also be 2-D but got {hx.dim()}-D tensor")
        return hx.unsqueeze(1)

    def _check_batched_state(self, hx):
        if hx.dim() != 3:
            raise ShapeError(f"For batched 3-D input, hx should also be 3-D but got {hx.dim()}-D tensor")

    def _squeezed_state(self, hidden):
        return hidden.squeeze(1)

    @staticmethod
    def _as_tuple(hx):
        return (hx,)

    @staticmethod
    def _from_tuple(state):
        return state[0]

    def forward(self, input, hx=None):
        """Run over the sequences.

        Args:
            input: (T, N, features), (N, T, features) with ``batch_first``, (T, features), or a PackedSequence.
            hx: initial state, zeros if absent.

        Returns:
            the outputs of the last layer (like the input), and the last state.
        """
        packed = input if isinstance(input, PackedSequence) else None
        batched = True
        if packed is not None:
            input, batch_sizes, sorted_indices, unsorted_indices = packed
            sizes = batch_sizes.tolist()
            if hx is not None:
                hx = self.permute_hidden(hx, sorted_indices)
        else:
            batch_sizes = sizes = None
            if input.dim() not in (2, 3):
                raise ValueError(
                    f"{self._name_in_errors}: Expected input to be 2D or 3D, got {input.dim()}D tensor instead"
                )
            batched = input.dim() == 3
            batch_dim = 0 if self.batch_first else 1
            if not batched:
                input = input.unsqueeze(batch_dim)
            if hx is not None:
                if batched:
                    self._check_batched_state(hx)
                else:
                    hx = self._unbatched_state(hx)
        if hx is None:
            self.check_input(input, batch_sizes)
        else:
            self.check_forward_args(input, hx, batch_sizes)
        if packed is None and self.batch_first:
            input = input.transpose(0, 1)
        output, state = run_layers(
            self.mode,
            input,
            None if hx is None else self._as_tuple(hx),
            self._cell_weights(),
            self.num_layers,
            self.dropout,
            self.training,
            self.bidirectional,
            sizes,
        )
        hidden = self._from_tuple(state)
        if packed is not None:
            output = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
            return output, self.permute_hidden(hidden, unsorted_indices)
        if self.batch_first:
            output = output.transpose(0, 1)
        if not batched:
            output = output.squeeze(batch_dim)
            hidden = self._squeezed_state(hidden)
        return output, hidden

    @property
    def _name_in_errors(self):
        return "RNN" if self.mode.startswith("RNN") else self.mode

    def extra_repr(self):
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size != 0:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if self.batch_first is not False:
            text += f", batch_first={self.batch_first}"
        if self.dropout != 0:
            text += f", dropout={self.dropout}"
        if self.bidirectional is not False:
            text += f", bidirectional={self.bidirectional}"
        return text


def _refuse_more(kind, more):
    """Refuse keyword arguments that a recurrent layer has not."""
    if "proj_size" in more:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
    if more:
        raise TypeError(f"{kind}.__init__() got an unexpected keyword argument '{next(iter(more))}'")


class RNN(RNNBase):
    """Run an Elman network, h' = tanh(W_ih x + b_ih + W_hh h + b_hh), over sequences.

    Args:
        input_size, hidden_size, num_layers: shape of the stack.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        bias, batch_first, dropout, bidirectional: as for ``RNNBase``.
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        nonlinearity="tanh",
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        device=None,
        dtype=None,
        **more,
    ):
        _refuse_more("RNN", more)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(
            "RNN_" + nonlinearity.upper(),
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Run a long short-term memory over sequences.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size: as for
            ``RNNBase``.

    Shape:
        states are a pair (h, c), h (layers * directions, N, proj_size or hidden_size).

    Source: Hochreiter and Schmidhuber (1997); projections: Sak et al. (2014).
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        proj_size=0,
        device=None,
        dtype=None,
    ):
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )

    def get_expected_cell_size(self, input, batch_sizes):
        """Return the shape that the cell state must have."""
        batch = self.get_expected_hidden_size(input, batch_sizes)[1]
        return self._state_shape(batch, self.hidden_size)

    def check_forward_args(self, input, hidden, batch_sizes):
        """Check input and states."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(
            hidden[0], self.get_expected_hidden_size(input, batch_sizes), "Expected hidden[0] size {}, got {}"
        )
        self.check_hidden_size(
            hidden[1], self.get_expected_cell_size(input, batch_sizes), "Expected hidden[1] size {}, got {}"
        )

    def permute_hidden(self, hx, permutation):
        """Reorder the batch of both states."""
        if permutation is None:
            return hx
        return hx[0].index_select(1, permutation), hx[1].index_select(1, permutation)

    def _unbatched_state(self, hx):
        if hx[0].dim() != 2 or hx[1].dim() != 2:
            raise ShapeError(
                "For unbatched 2-D input, hx and cx should also be 2-D but got "
                f"({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
            )
        return hx[0].unsqueeze(1), hx[1].unsqueeze(1)

    def _check_batched_state(self, hx):
        if hx[0].dim() != 3 or hx[1].dim() != 3:
            raise ShapeError(
                "For batched 3-D input, hx and cx should also be 3-D but got "
                f"({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
            )

    def _squeezed_state(self, hidden):
        return hidden[0].squeeze(1), hidden[1].squeeze(1)

    @staticmethod
    def _as_tuple(hx):
        return tuple(hx)

    @staticmethod
    def _from_tuple(state):
        return state


class GRU(RNNBase):
    """Run a gated recurrent unit over sequences.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional: as for ``RNNBase``.

    Source: Cho et al. (2014), Learning phrase representations using RNN encoder-decoder.
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        device=None,
        dtype=None,
        **more,
    ):
        _refuse_more("GRU", more)
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )


class RNNCellBase(Module):
    """What the cells share: weights and the step.

    Args:
        input_size, hidden_size: numbers of features.
        bias: learn offsets.
        num_chunks: number of gates.
    """

    def __init__(self, input_size, hidden_size, bias, num_chunks, device=None, dtype=None):
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(_t.empty((rows, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(_t.empty((rows, hidden_size), device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(_t.empty(rows, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw all weights anew, uniformly within 1 / sqrt(hidden_size)."""
        _reset_uniform(self)

    def extra_repr(self):
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text

    def _step(self, mode, input, state):
        """Run one step; ``state`` is None or a tuple. Returns the new tuple."""
        name = type(self).__name__
        if input.dim() not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        for i, s in enumerate(state or ()):
            if s.dim() not in (1, 2):
                what = f"hx[{i}]" if mode == "LSTM" else "hidden"
                raise ValueError(f"{name}: Expected {what} to be 1D or 2D, got {s.dim()}D instead")
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
        if state is not None and not batched:
            state = tuple(s.unsqueeze(0) for s in state)
        if input.shape[1] != self.input_size:
            raise ShapeError(f"input has inconsistent input_size: got {input.shape[1]}, expected {self.input_size}")
        for i, s in enumerate(state or ()):
            if tuple(s.shape) != (input.shape[0], self.hidden_size):
                raise ShapeError(
                    f"{name}: state {i} must be (batch, hidden_size) = {(input.shape[0], self.hidden_size)}, "
                    f"got {tuple(s.shape)}"
                )
        state = cell(mode, input, state, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return state if batched else tuple(s.squeeze(0) for s in state)


class RNNCell(RNNCellBase):
    """Make one step of an Elman network.

    Args:
        input_size, hidden_size: numbers of features.
        bias: learn offsets.
        nonlinearity: ``"tanh"`` or ``"relu"``.
    """

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh", device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input, hx=None):
        """Return the hidden state after (N, features) or (features)."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise TensorError(f"Unknown nonlinearity: {self.nonlinearity}")
        mode = "RNN_" + self.nonlinearity.upper()
        return self._step(mode, input, None if hx is None else (hx,))[0]


class LSTMCell(RNNCellBase):
    """Make one step of a long short-term memory.

    Args:
        input_size, hidden_size: numbers of features.
        bias: learn offsets.
    """

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input, hx=None):
        """Return (h, c) after (N, features) or (features)."""
        for state in () if hx is None else hx:
            state.dim()                                # PyTorch's AttributeError, for what goes unused too
        return self._step("LSTM", input, None if hx is None else (hx[0], hx[1]))


class GRUCell(RNNCellBase):
    """Make one step of a gated recurrent unit.

    Args:
        input_size, hidden_size: numbers of features.
        bias: learn offsets.
    """

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input, hx=None):
        """Return the hidden state after (N, features) or (features)."""
        return self._step("GRU", input, None if hx is None else (hx,))[0]
