"""Recurrent layers, a product and a kernel a step: kernels/recurrent.cuh.

States are held for all sequences; a step reads and writes those of the first ones, as many as it has. So one that ended keeps its last
state, and one that begins late (going back) has its first one.
"""
from ...tensor._devices import provide
from ...tensor._matmul import FUNCTIONS
from .._backend import launch

_mm = FUNCTIONS["mm"]
TANH, RELU, LSTM, GRU = range(4)
GATES, KEPT = (1, 1, 4, 3), (1, 1, 5, 4)


def _steps(sizes, reverse):
    """(first row, rows) of each step, in the order in which they are made."""
    at, found = 0, []
    for size in sizes:
        if size:
            found.append((at, size))
        at += size
    return found[::-1] if reverse else found


def _state(given, rows, columns, like):
    return like.new_zeros((rows, columns)) if given is None else given.detach().clone()


def recurrent_scan(gates, h0, c0, w_hh, b_hh, w_hr, kind, reverse, sizes, keep):
    """Run all steps; returns outputs, last states (and cell states or None), and what :func:`recurrent_scan_back` needs."""
    flat, w, bias = gates.detach().reshape(-1, gates.shape[-1]), w_hh.detach().t(), None if b_hh is None else b_hh.detach()
    rows, size, count = flat.shape[0], w_hh.shape[1], sizes[0]
    hidden = w_hh.shape[0] // GATES[kind]
    h = _state(h0, count, size, flat)
    c = _state(c0, count, hidden, flat) if kind == LSTM else None
    out = flat.new_empty((rows, size))
    raw = out if w_hr is None else flat.new_empty((rows, hidden))
    kept = flat.new_empty((rows, KEPT[kind] * hidden)) if keep else None
    before = flat.new_empty((rows, size)) if keep else None
    project = None if w_hr is None else w_hr.detach().t()
    for first, n in _steps(sizes, reverse):
        state, here = h[:n], slice(first, first + n)
        if keep:
            before[here].copy_(state)
        launch("recurrent.cuh", "cell", (flat.dtype,),
               (flat[here], _mm(state, w), bias, state, c, raw[here], state if project is None else None, kept[here] if keep else None),
               (n * hidden, kind, hidden))
        if project is not None:
            state.copy_(_mm(raw[here], project))
            out[here].copy_(state)
    return out.reshape(*gates.shape[:-1], size), h, c, (kept, before, raw) if keep else None


def recurrent_scan_back(gates, h0, c0, w_hh, b_hh, w_hr, g_out, g_hn, g_cn, kind, reverse, sizes, saved, wanted):
    """Gradients of gates, h0, c0, w_hh, b_hh and w_hr; what is not wanted is None."""
    kept, before, raw = saved
    rows, size, count = kept.shape[0], w_hh.shape[1], sizes[0]
    hidden = w_hh.shape[0] // GATES[kind]
    w_hh, w_hr = w_hh.detach(), None if w_hr is None else w_hr.detach()
    g_out = None if g_out is None else g_out.reshape(rows, size)
    g_h = _state(g_hn, count, size, kept)
    g_c = _state(g_cn, count, hidden, kept) if kind == LSTM else None
    g_gates = kept.new_empty((rows, GATES[kind] * hidden))
    g_hidden = kept.new_empty((rows, GATES[kind] * hidden)) if kind == GRU else g_gates
    g_proj = None if w_hr is None else kept.new_empty((rows, size))
    for first, n in reversed(_steps(sizes, reverse)):
        state, here = g_h[:n], slice(first, first + n)
        source, outer = state, None if g_out is None else g_out[here]
        if w_hr is not None:
            total = state if outer is None else state + outer
            g_proj[here].copy_(total)
            source, outer = _mm(total, w_hr), None
        launch("recurrent.cuh", "cell_back", (kept.dtype,),
               (g_gates[here], g_hidden[here], source, outer, g_c, kept[here], before[here]), (n * hidden, kind, hidden))
        product = _mm(g_hidden[here], w_hh)
        if kind == GRU:
            state.add_(product)
        else:
            state.copy_(product)
    return (g_gates.reshape(gates.shape), g_h if wanted[1] else None, g_c if wanted[2] else None,
            _mm(g_hidden.t(), before) if wanted[3] else None, g_hidden.sum(0) if wanted[4] else None,
            _mm(g_proj.t(), raw) if wanted[5] else None)


provide("cuda", {"recurrent_scan": recurrent_scan, "recurrent_scan_back": recurrent_scan_back})
