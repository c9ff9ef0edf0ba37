"""Recurrent layers against step-by-step NumPy in float64, over kinds, dtypes, layouts and instruction sets."""
import numpy as np
import pytest

import rustorch_py as torch
from rustorch_py import nn
from rustorch_py.tensor import recurrent_scan
from rustorch_py.autograd import gradcheck, gradgradcheck
from rustorch_py.nn.utils.rnn import PackedSequence, pack_sequence

KINDS = ["RNN_TANH", "RNN_RELU", "LSTM", "GRU"]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def one_sequence(kind, x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr):
    """Outputs (T, P) and last states of one sequence (T, features)."""
    out = []
    for row in x:
        a, b = w_ih @ row + b_ih, w_hh @ h + b_hh
        if kind == "LSTM":
            i, f, g, o = np.split(a + b, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            if w_hr is not None:
                h = w_hr @ h
        elif kind == "GRU":
            (ar, az, an), (br, bz, bn) = np.split(a, 3), np.split(b, 3)
            z, n = sigmoid(az + bz), np.tanh(an + sigmoid(ar + br) * bn)
            h = (1 - z) * n + z * h
        else:
            h = np.tanh(a + b) if kind == "RNN_TANH" else np.maximum(a + b, 0)
        out.append(h)
    return np.array(out), h, c


def build(kind, *sizes, **options):
    if kind.startswith("RNN"):
        return nn.RNN(*sizes, nonlinearity=kind[4:].lower(), **options)
    return getattr(nn, kind)(*sizes, **options)


def oracle(model, sequences, h0, c0):
    """Outputs a sequence, and last states (layers * directions, N, size)."""
    ways = 2 if model.bidirectional else 1
    lasts = []
    weights = [[w.double().detach().numpy() for w in ws] for ws in model.all_weights]
    for layer in range(model.num_layers):
        outs = []
        for way in range(ways):
            k = layer * ways + way
            w = list(weights[k])
            if not model.bias:
                w[2:2] = [0.0, 0.0]
            if model.proj_size == 0:
                w.append(None)
            runs = [one_sequence(model.mode, s[::-1] if way else s, h0[k, n], c0[k, n], *w) for n, s in enumerate(sequences)]
            outs.append([r[0][::-1] if way else r[0] for r in runs])
            lasts.append((np.array([r[1] for r in runs]), np.array([r[2] for r in runs])))
        sequences = [np.concatenate(parts, 1) for parts in zip(*outs)]
    return sequences, np.array([h for h, _ in lasts]), np.array([c for _, c in lasts])


def states(model, n, dtype, rng):
    k, size = model.num_layers * (2 if model.bidirectional else 1), model.proj_size or model.hidden_size
    h, c = rng.standard_normal((k, n, size)), rng.standard_normal((k, n, model.hidden_size))
    given = torch.tensor(h, dtype=dtype)
    return h, c, (given, torch.tensor(c, dtype=dtype)) if model.mode == "LSTM" else given


CASES = [  # steps, sequences, features, hidden, options
    (1, 1, 3, 5, {}),
    (1, 9, 3, 21, {}),
    (5, 2, 3, 16, {"bias": False}),
    (7, 19, 6, 33, {"num_layers": 2, "bidirectional": True}),
    (3, 40, 8, 96, {"bidirectional": True}),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c[:4])))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_layers(kind, case, dtype, level):
    steps, n, features, hidden, options = case
    rng = np.random.default_rng(0)
    torch.manual_seed(1)
    model = build(kind, features, hidden, dtype=dtype, **options)
    x = rng.standard_normal((steps, n, features))
    h, c, given = states(model, n, dtype, rng)
    want, want_h, want_c = oracle(model, list(x.transpose(1, 0, 2)), h, c)
    rtol = 2e-5 if dtype is torch.float32 else 1e-12
    given_x = torch.tensor(x, dtype=dtype)
    for keep in (False, True):
        with torch.set_grad_enabled(keep):
            out, last = model(given_x, given)
        last_h, last_c = last if kind == "LSTM" else (last, None)
        np.testing.assert_allclose(out.detach().numpy(), np.array(want).transpose(1, 0, 2), rtol, rtol)
        np.testing.assert_allclose(last_h.detach().numpy(), want_h, rtol, rtol)
        if last_c is not None:
            np.testing.assert_allclose(last_c.detach().numpy(), want_c, rtol, rtol)


@pytest.mark.parametrize("kind", KINDS)
def test_projection_and_packed(kind, level):
    rng = np.random.default_rng(2)
    torch.manual_seed(2)
    options = {"proj_size": 19} if kind == "LSTM" else {}
    model = build(kind, 4, 37, 2, bidirectional=True, dtype=torch.float64, **options)
    lengths = [9, 9, 7, 4, 4, 3, 1, 1, 1]
    sequences = [rng.standard_normal((k, 4)) for k in lengths]
    h, c, given = states(model, len(lengths), torch.float64, rng)
    want, want_h, want_c = oracle(model, sequences, h, c)
    packed = pack_sequence([torch.tensor(s) for s in sequences])
    out, last = model(packed, given)
    flat = np.concatenate([[w[t] for w in want if t < len(w)] for t in range(lengths[0])])
    np.testing.assert_allclose(out.data.detach().numpy(), flat, 1e-11, 1e-11)
    np.testing.assert_allclose((last[0] if kind == "LSTM" else last).detach().numpy(), want_h, 1e-11, 1e-11)
    if kind == "LSTM":
        np.testing.assert_allclose(last[1].detach().numpy(), want_c, 1e-11, 1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", [False, True])
def test_gradients(kind, packed):
    """First and second derivatives of the scan by each of its arguments, both ways in time."""
    torch.manual_seed(3)
    gates, mode = {"LSTM": 4, "GRU": 3}.get(kind, 1), KINDS.index(kind)
    h, p = 3, 2 if kind == "LSTM" else 3
    sizes = [2, 2, 1] if packed else None
    shape = (5, gates * h) if packed else (3, 2, gates * h)

    def leaf(*sizes):
        return torch.randn(*sizes, dtype=torch.float64).requires_grad_()

    x, w, b = leaf(*shape), leaf(gates * h, p), leaf(gates * h)
    more = [leaf(2, h), leaf(p, h)] if kind == "LSTM" else []
    h0 = leaf(2, p)
    for reverse in (False, True):
        def run(x, h0, w, b, c0=None, r=None, reverse=reverse):
            out, hn, cn = recurrent_scan(mode, x, h0, c0, w, b, r, reverse, sizes)
            return (out, hn) if cn is None else (out, hn, cn)

        assert gradcheck(run, (x, h0, w, b, *more))
        if reverse and not packed or kind == "RNN_TANH":
            assert gradgradcheck(run, (x, h0, w, b, *more))


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_agrees_between_sets_and_threads(kind, level):
    """Sizes that make panels, edges and more than one thread; oracle: the recorded operators."""
    from rustorch_py.tensor._recurrent_steps import scan
    torch.manual_seed(4)
    gates, mode = {"LSTM": 4, "GRU": 3}.get(kind, 1), KINDS.index(kind)
    n, h, p = 33, 83, 70 if kind == "LSTM" else 83
    x, w, h0 = torch.randn(5, n, gates * h), torch.randn(gates * h, p) * 0.1, torch.randn(n, p)
    b = torch.randn(gates * h)
    inputs = [x, h0, torch.randn(n, h) if kind == "LSTM" else None, w, b, torch.randn(p, h) * 0.1 if kind == "LSTM" else None]
    got = []
    for dtype, fn in ((torch.float64, scan), (torch.float32, recurrent_scan)):
        these = [None if t is None else t.to(dtype).requires_grad_() for t in inputs]
        out = fn(mode, *these, False, None)
        weights = [torch.linspace(-1, 1, o.numel(), dtype=dtype).reshape(o.shape) for o in out if o is not None]
        sum((o * u).sum() for o, u in zip(out, weights)).backward()
        got.append([t.grad.double() for t in these if t is not None])
    for want, have in zip(*got):
        assert torch.allclose(have, want, rtol=2e-4, atol=2e-4 * float(want.abs().max()))


@pytest.mark.parametrize("kind, hidden, options", [("LSTM", 150, {}), ("LSTM", 301, {"proj_size": 200}), ("GRU", 190, {}), ("RNN", 330, {})])
def test_threads_that_share_the_units_give_the_same_bits(kind, hidden, options):
    """Hidden weights are cut between threads where sequences are few or they are large, and the bits stay; sequences may end early."""
    torch.manual_seed(9)
    model = getattr(nn, kind)(20, hidden, bidirectional=True, **options)
    packed = pack_sequence([torch.randn(n, 20) for n in (5, 5, 4, 4, 4, 3, 3, 3, 2, 2, 2, 2, 2, 1, 1, 1, 1)])
    threads, results = torch.get_num_threads(), []
    torch.config.use_deterministic(True)
    try:
        for n in (1, 2, 3, 5):
            torch.set_num_threads(n)
            bits = []
            for x in (packed, torch.ones(4, 17, 20), torch.ones(20, 1, 20)):
                out, last = model(x)
                out = out.data if isinstance(out, PackedSequence) else out
                grads = torch.autograd.grad((out * torch.linspace(-1, 1, out.shape[-1])).sum(), list(model.parameters()))
                with torch.no_grad():
                    again = model(x)[0]
                again = again.data if isinstance(again, PackedSequence) else again
                assert torch.equal(out, again)
                bits += [t.detach().numpy().tobytes() for t in (out, *(last if kind == "LSTM" else (last,)), *grads)]
            results.append(bits)
    finally:
        torch.set_num_threads(threads)
        torch.config.use_deterministic(False)
    assert results[0] == results[1] == results[2] == results[3]


def test_without_state_is_zero_state():
    torch.manual_seed(5)
    x = torch.randn(4, 3, 6)
    for kind in KINDS:
        model = build(kind, 6, 10, 2)
        zeros = torch.zeros(2, 3, 10)
        out, last = model(x)
        want, want_last = model(x, (zeros, zeros) if kind == "LSTM" else zeros)
        assert torch.equal(out, want)
        for a, b in zip(last, want_last):
            assert torch.equal(a, b)


def test_cells_are_layers_of_one_step():
    torch.manual_seed(6)
    x, h, c = torch.randn(7, 6), torch.randn(7, 10), torch.randn(7, 10)
    for layer, cell in ((nn.LSTM, nn.LSTMCell), (nn.GRU, nn.GRUCell), (nn.RNN, nn.RNNCell)):
        model, step = layer(6, 10), cell(6, 10)
        for a, b in zip(step.parameters(), model.parameters()):
            a.data.copy_(b.data)
        if layer is nn.LSTM:
            got, (want_h, want_c) = step(x, (h, c)), model(x[None], (h[None], c[None]))[1]
            assert torch.allclose(got[0], want_h[0]) and torch.allclose(got[1], want_c[0])
        else:
            assert torch.allclose(step(x, h), model(x[None], h[None])[1][0])


def test_half_precision():
    torch.manual_seed(7)
    model = nn.LSTM(6, 10, 2)
    x = torch.randn(4, 3, 6)
    want = model(x)[0].detach()
    for dtype, tolerance in ((torch.bfloat16, 0.05), (torch.float16, 0.005)):
        half = nn.LSTM(6, 10, 2).to(dtype)
        half.load_state_dict(model.state_dict())
        out, _ = half(x.to(dtype))
        out.float().sum().backward()
        assert out.dtype is dtype and torch.allclose(out.float(), want, atol=tolerance)
        assert half.weight_hh_l0.grad.dtype is dtype


def test_backward_twice_and_released():
    model = nn.GRU(3, 4)
    out, _ = model(torch.randn(2, 2, 3))
    out.sum().backward(retain_graph=True)
    first = model.weight_hh_l0.grad.clone()
    out.sum().backward()
    assert torch.allclose(model.weight_hh_l0.grad, 2 * first)
    with pytest.raises(RuntimeError):
        out.sum().backward()


def test_only_the_last_state_has_a_gradient():
    torch.manual_seed(8)
    model = nn.LSTM(3, 4)
    x = torch.randn(5, 2, 3, requires_grad=True)
    _, (h, _) = model(x)
    h.sum().backward()
    got, x.grad = x.grad, None
    model(x)[0][-1].sum().backward()
    assert torch.allclose(got, x.grad)


@pytest.mark.parametrize("arguments, text", [
    (lambda z: (2, z(3, 2, 8), z(2, 2), None, z(8, 3)), "fit"),
    (lambda z: (2, z(3, 2, 8), z(3, 2), None, z(8, 2)), "h0"),
    (lambda z: (2, z(3, 2, 8), None, z(2, 3), z(8, 2)), "c0"),
    (lambda z: (2, z(3, 2, 8), None, None, z(8, 2), z(7)), "b_hh"),
    (lambda z: (0, z(0, 2, 8), None, None, z(8, 8)), "larger than 0"),
    (lambda z: (0, z(3, 8), None, None, z(8, 8), None, None, False, [1, 2]), "grow"),
    (lambda z: (0, z(4, 8), None, None, z(8, 8), None, None, False, [2, 1]), "add up"),
])
def test_bad_arguments(arguments, text):
    with pytest.raises(RuntimeError, match=text):
        recurrent_scan(*arguments(torch.zeros))


def test_packed_keeps_its_indices():
    model = nn.GRU(2, 3)
    packed = pack_sequence([torch.randn(2, 2), torch.randn(4, 2)], enforce_sorted=False)
    out, last = model(packed)
    assert isinstance(out, PackedSequence) and torch.equal(out.sorted_indices, packed.sorted_indices)
    lone = [model(x[:, None])[1][0, 0] for x in (packed.data[[0, 2, 4, 5]], packed.data[[1, 3]])]
    assert torch.allclose(last[0], torch.stack([lone[1], lone[0]]))


def test_threads_change_no_bit_when_deterministic():
    torch.manual_seed(9)
    model, x = nn.LSTM(64, 64, 2), torch.randn(12, 16, 64)
    q = torch.randn(1, 2, 300, 32)
    before, runs = torch.get_num_threads(), []
    torch.config.use_deterministic(True)
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            model.zero_grad()
            model(x)[0].square().sum().backward()
            leaf = q.clone().requires_grad_()
            nn.functional.scaled_dot_product_attention(leaf, leaf, leaf, is_causal=True).square().sum().backward()
            runs.append([p.grad.clone() for p in model.parameters()] + [leaf.grad])
    finally:
        torch.config.use_deterministic(False)
        torch.set_num_threads(before)
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [128, 150, 200, 300])
def test_few_sequences_on_threads(level, same_on_threads, kind, hidden):
    """A sequence or a few, whose steps the threads share: the numbers of float64, on any number of threads the same."""
    for batch, reverse, recorded in ((1, False, False), (1, True, True), (3, True, False), (5, False, True)):
        torch.manual_seed(hidden + batch)
        gates = (1 if kind.startswith("RNN") else 3 if kind == "GRU" else 4) * hidden
        x, h0, c0 = torch.randn(23, batch, gates), torch.randn(batch, hidden), torch.randn(batch, hidden)
        w, b = torch.randn(gates, hidden) / hidden ** 0.5, torch.randn(gates)
        mode = {"RNN_TANH": 0, "RNN_RELU": 1, "LSTM": 2, "GRU": 3}[kind]

        def run(dtype):
            given = [t.to(dtype).clone().requires_grad_(recorded) for t in (x, h0, c0, w, b)]
            out = recurrent_scan(mode, given[0], given[1], given[2] if kind == "LSTM" else None, given[3], given[4], None, reverse)
            found = [t for t in out if t is not None]
            if recorded:
                sum((t * t).sum() for t in found).backward()
                found += [t.grad for t in (given[0], given[1], given[3], given[4])]
            return [t.detach().numpy() for t in found]

        exact = run(torch.float64)
        for a, e in zip(run(torch.float32), exact, strict=True):
            assert np.abs(a - e).max() <= 2e-5 * max(1, np.abs(e).max()), (batch, reverse)
        same_on_threads(lambda: run(torch.float32)[:2])
        same_on_threads(lambda: run(torch.float64)[:2])
