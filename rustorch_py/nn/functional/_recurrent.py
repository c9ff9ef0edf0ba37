"""Cells and stacks of recurrent layers.

The input part of the gates of all steps is one product; ``recurrent_scan`` does the rest of a layer and direction.
Where the gates are sums (all but GRU) the input part holds the hidden bias too.

Autocast: as in PyTorch, RNN and LSTM layers run in 16 bits altogether, while GRU and the cells of LSTM and GRU keep a float32
state: there only the input part is a 16-bit product ("wide" below).
"""

from __future__ import annotations

from ... import tensor as _t
from ...tensor._autocast import in_lower, is_casting
from ...tensor._devices import has_kernel

_linear, _scan = _t.linear, _t.recurrent_scan
MODES = {"RNN_TANH": 0, "RNN_RELU": 1, "LSTM": 2, "GRU": 3}
_FLOATS = (_t.float32, _t.float64, _t.float16, _t.bfloat16)


def _input_part(mode, input, w_ih, b_ih, b_hh):
    """Return the input part of the gates, and the hidden bias that is left for the scan."""
    if mode == "GRU" or b_hh is None:  # GRU scales its hidden part, bias and all
        return _linear(input, w_ih, b_ih), b_hh
    return _linear(input, w_ih, b_ih + b_hh), None


def _scan_for(input):
    """Return the fused scan, or the one of recorded operators for what it has no loops for."""
    if input.dtype in _FLOATS and (input.device.type == "cpu" or has_kernel("recurrent_scan", input)):
        return _scan
    from ...tensor._recurrent_steps import scan

    return scan


def cell(mode, input, state, w_ih, w_hh, b_ih=None, b_hh=None):
    """Return the state after one step.

    Args:
        mode: key of ``MODES``.
        input: (N, features).
        state: tuple of (N, hidden), the cell state second for LSTM, or None for zeros.
        w_ih, w_hh, b_ih, b_hh: the cell's weights.
    """
    wide = is_casting() and mode in ("GRU", "LSTM") and (input if state is None else state[-1]).dtype == _t.float32
    if not wide:
        input, state, w_ih, w_hh, b_ih, b_hh = in_lower(input, state, w_ih, w_hh, b_ih, b_hh)
    gates, b_hh = _input_part(mode, input, w_ih, b_ih, b_hh)
    if wide:
        gates = gates.float()
    h, c = (*(state or ()), None, None)[:2]
    h, c = _scan_for(input)(MODES[mode], gates.unsqueeze(0), h, c, w_hh, b_hh)[1:]
    return (h,) if c is None else (h, c)


def run_layers(mode, input, state, weights, num_layers, dropout, training, bidirectional, batch_sizes=None):
    """Run a stack of recurrent layers.

    Args:
        mode: key of ``MODES``.
        input: (T, N, features), or the data of a packed sequence.
        state: tuple of (layers * directions, N, size), or None for zeros.
        weights: per layer and direction: (w_ih, w_hh, b_ih, b_hh, w_hr), None where absent.
        num_layers, bidirectional: shape of the stack.
        dropout: probability of dropping outputs between layers, in training.
        batch_sizes: list of batch sizes by step, for packed data.

    Returns:
        output like the input, and the last states, each (layers * directions, N, size).
    """
    wide = is_casting() and mode == "GRU" and (input if state is None else state[0]).dtype == _t.float32
    if not wide:
        input, state, weights = in_lower(input, state, weights)
    scan, number = _scan_for(input), MODES[mode]
    directions = 2 if bidirectional else 1
    # unbind gives each layer its slice with one node for all of them.
    starts = [(None, None)] * len(weights) if state is None else [(*s, None)[:2] for s in zip(*(s.unbind(0) for s in state))]
    lasts = []
    for layer in range(num_layers):
        sides = []
        for direction in range(directions):
            w_ih, w_hh, b_ih, b_hh, w_hr = weights[layer * directions + direction]
            h, c = starts[layer * directions + direction]
            gates, b_hh = _input_part(mode, input, w_ih, b_ih, b_hh)
            if wide:
                gates = gates.float()
            output, h, c = scan(number, gates, h, c, w_hh, b_hh, w_hr, direction == 1, batch_sizes)
            sides.append(output)
            lasts.append((h,) if c is None else (h, c))
        input = sides[0] if directions == 1 else _t.cat(sides, -1)
        if dropout and training and layer < num_layers - 1:
            input = _t.dropout(input, dropout, True)
    if len(lasts) == 1:
        return input, tuple(s.unsqueeze(0) for s in lasts[0])
    return input, tuple(_t.stack(parts) for parts in zip(*lasts))
