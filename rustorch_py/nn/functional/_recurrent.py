"""Recurrent cells and the loops over time that the recurrent layers share.

A cell takes (input part of the gates, state, hidden weight transposed, hidden bias, projection) and returns
the new state, a tuple whose first entry is the output. The input part of all steps is one product, made
before the loop; where the gates are sums (all but GRU) it holds the hidden bias too, which is then None.
"""

from __future__ import annotations

from ... import tensor as _t

_linear, _sigmoid, _tanh, _addmm = _t.linear, _t.sigmoid, _t.tanh, _t.addmm


def _rnn_tanh(gates, state, w_hh, b_hh, w_hr=None):
    return (_tanh(_addmm(gates, state[0], w_hh)),)


def _rnn_relu(gates, state, w_hh, b_hh, w_hr=None):
    return (_t.relu(_addmm(gates, state[0], w_hh)),)


def _lstm(gates, state, w_hh, b_hh, w_hr=None):
    h, c = state
    i, f, g, o = _addmm(gates, h, w_hh).chunk(4, 1)
    c = _t.addcmul(_sigmoid(f) * c, _sigmoid(i), _tanh(g))
    h = _sigmoid(o) * _tanh(c)
    return (h if w_hr is None else _linear(h, w_hr), c)


def _gru(gates, state, w_hh, b_hh, w_hr=None):
    h = state[0]
    i_r, i_z, i_n = gates.chunk(3, 1)
    h_r, h_z, h_n = (_t.mm(h, w_hh) if b_hh is None else _addmm(b_hh, h, w_hh)).chunk(3, 1)
    n = _tanh(_t.addcmul(i_n, _sigmoid(i_r + h_r), h_n))
    return (_t.addcmul(n, h - n, _sigmoid(i_z + h_z)),)


CELLS = {"RNN_TANH": _rnn_tanh, "RNN_RELU": _rnn_relu, "LSTM": _lstm, "GRU": _gru}


def _input_part(mode, input, w_ih, b_ih, b_hh):
    """Return the input part of the gates, and the hidden bias that is left for the cell."""
    if mode == "GRU" or b_hh is None:  # GRU scales its hidden part, bias and all
        return _linear(input, w_ih, b_ih), b_hh
    return _linear(input, w_ih, b_ih + b_hh), None


def cell(mode, input, state, w_ih, w_hh, b_ih=None, b_hh=None, w_hr=None):
    """Return the state after one step.

    Args:
        mode: key of ``CELLS``.
        input: (N, features).
        state: tuple of (N, hidden), the cell state second for LSTM.
        w_ih, w_hh, b_ih, b_hh, w_hr: the cell's weights.
    """
    gates, b_hh = _input_part(mode, input, w_ih, b_ih, b_hh)
    return CELLS[mode](gates, state, w_hh.t(), b_hh, w_hr)


def _scan(step, gates, state, weights, backwards):
    """Run a cell over a list of steps of one batch size; return outputs (in time order) and last state."""
    outputs = []
    for gate in reversed(gates) if backwards else gates:
        state = step(gate, state, *weights)
        outputs.append(state[0])
    if backwards:
        outputs.reverse()
    return outputs, state


def _scan_packed(step, gates, state, weights, backwards):
    """Run a cell over steps whose batch shrinks with time; sequences are sorted by length, longest first."""
    outputs = []
    if backwards:
        # Shorter sequences join later: their initial state is appended when they do.
        size = gates[-1].shape[0]
        running = tuple(s[:size] for s in state)
        for gate in reversed(gates):
            new = gate.shape[0]
            if new > size:
                running = tuple(_t.cat((r, s[size:new])) for r, s in zip(running, state))
                size = new
            running = step(gate, running, *weights)
            outputs.append(running[0])
        outputs.reverse()
        return outputs, running
    size = gates[0].shape[0]
    finished = []  # states of the sequences that ended, shortest first
    for gate in gates:
        new = gate.shape[0]
        if new < size:
            finished.append(tuple(s[new:] for s in state))
            state = tuple(s[:new] for s in state)
            size = new
        state = step(gate, state, *weights)
        outputs.append(state[0])
    finished.append(state)
    finished.reverse()
    return outputs, tuple(_t.cat(parts) if len(parts) > 1 else parts[0] for parts in zip(*finished))


def run_layers(mode, input, state, weights, num_layers, dropout, training, bidirectional, batch_sizes=None):
    """Run a stack of recurrent layers.

    Args:
        mode: key of ``CELLS``.
        input: (T, N, features), or the data of a packed sequence.
        state: tuple of (layers * directions, N, size).
        weights: per layer and direction: (w_ih, w_hh, b_ih, b_hh, w_hr), None where absent.
        num_layers, bidirectional: shape of the stack.
        dropout: probability of dropping outputs between layers, in training.
        batch_sizes: list of batch sizes by step, for packed data.

    Returns:
        output like the input, and the last states, each (layers * directions, N, size).
    """
    step = CELLS[mode]
    directions = 2 if bidirectional else 1
    # unbind gives each layer its slice with one node for all of them.
    starts = list(zip(*(s.unbind(0) for s in state)))
    lasts = []
    for layer in range(num_layers):
        sides = []
        for direction in range(directions):
            w_ih, w_hh, b_ih, b_hh, w_hr = weights[layer * directions + direction]
            gates, b_hh = _input_part(mode, input, w_ih, b_ih, b_hh)
            start = starts[layer * directions + direction]
            w_hh = w_hh.t()
            if batch_sizes is None:
                outputs, last = _scan(step, gates.unbind(0), start, (w_hh, b_hh, w_hr), direction == 1)
                sides.append(_t.stack(outputs))
            else:
                parts = gates.split(batch_sizes, 0)
                outputs, last = _scan_packed(step, parts, start, (w_hh, b_hh, w_hr), direction == 1)
                sides.append(_t.cat(outputs))
            lasts.append(last)
        input = sides[0] if directions == 1 else _t.cat(sides, -1)
        if dropout and training and layer < num_layers - 1:
            input = _t.dropout(input, dropout, True)
    return input, tuple(_t.stack(parts) for parts in zip(*lasts))
