"""The steps of recurrent layers from recorded operators: what ``recurrent_scan`` computes, for gradients of its
gradients and for tensors that it has no loops for.

A cell takes (input part of the gates, state, hidden weight transposed, hidden bias, projection) and returns the new
state, a tuple whose first entry is the output.
"""
from ._join import cat as _cat, stack as _stack
from ._addmm import addmm as _addmm
from ._matmul import linear as _linear, mm as _mm
from ._pointwise import addcmul as _addcmul
from ._rows import relu as _relu, sigmoid as _sigmoid, tanh as _tanh


def _rnn_tanh(gates, state, w_hh, b_hh, w_hr):
    return (_tanh(_with_hidden(gates, state[0], w_hh, b_hh)),)


def _rnn_relu(gates, state, w_hh, b_hh, w_hr):
    return (_relu(_with_hidden(gates, state[0], w_hh, b_hh)),)


def _lstm(gates, state, w_hh, b_hh, w_hr):
    h, c = state
    i, f, g, o = _with_hidden(gates, h, w_hh, b_hh).chunk(4, 1)
    c = _addcmul(_sigmoid(f) * c, _sigmoid(i), _tanh(g))
    h = _sigmoid(o) * _tanh(c)
    return (h if w_hr is None else _linear(h, w_hr), c)


def _gru(gates, state, w_hh, b_hh, w_hr):
    h = state[0]
    i_r, i_z, i_n = gates.chunk(3, 1)
    h_r, h_z, h_n = (_mm(h, w_hh) if b_hh is None else _addmm(b_hh, h, w_hh)).chunk(3, 1)
    n = _tanh(_addcmul(i_n, _sigmoid(i_r + h_r), h_n))
    return (_addcmul(n, h - n, _sigmoid(i_z + h_z)),)


def _with_hidden(gates, h, w_hh, b_hh):
    gates = _addmm(gates, h, w_hh)
    return gates if b_hh is None else gates + b_hh


CELLS = (_rnn_tanh, _rnn_relu, _lstm, _gru)          # in the order of recurrent.h


def _equal_steps(step, gates, state, weights, backwards):
    """Run a cell over steps of one batch size; return outputs in time order and the last state."""
    outputs = []
    for gate in reversed(gates) if backwards else gates:
        state = step(gate, state, *weights)
        outputs.append(state[0])
    if backwards:
        outputs.reverse()
    return outputs, state


def _packed_steps(step, gates, state, weights, backwards):
    """Run a cell over steps whose batch shrinks with time; sequences are sorted by length, longest first."""
    outputs = []
    if backwards:
        # Shorter sequences join later: their initial state is appended when they do.
        size = gates[-1].shape[0]
        running = tuple(s[:size] for s in state)
        for gate in reversed(gates):
            new = gate.shape[0]
            if new > size:
                running = tuple(_cat((r, s[size:new])) for r, s in zip(running, state))
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
    return outputs, tuple(_cat(parts) if len(parts) > 1 else parts[0] for parts in zip(*finished))


def scan(mode, gates, h0, c0, w_hh, b_hh=None, w_hr=None, reverse=False, batch_sizes=None):
    """Compute ``recurrent_scan`` from recorded operators; arguments and results are the same."""
    n = gates.shape[1] if batch_sizes is None else batch_sizes[0]
    state = [gates.new_zeros((n, w_hh.shape[1])) if h0 is None else h0]
    if mode == 2:
        state.append(gates.new_zeros((n, w_hh.shape[0] // 4)) if c0 is None else c0)
    weights = (w_hh.t(), b_hh, w_hr)
    if batch_sizes is None:
        outputs, last = _equal_steps(CELLS[mode], gates.unbind(0), tuple(state), weights, reverse)
        return (_stack(outputs), last[0], last[1] if mode == 2 else None)
    outputs, last = _packed_steps(CELLS[mode], gates.split(batch_sizes, 0), tuple(state), weights, reverse)
    return (_cat(outputs), last[0], last[1] if mode == 2 else None)
