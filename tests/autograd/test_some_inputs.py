"""grad() with respect to some of what a graph reads: nodes compute those gradients only, with the same values."""
import itertools
import threading

import pytest

import rustorch_py as rt
import rustorch_py.nn.functional as F

CASES = {
    "mul": (lambda a, b: a * b, [(4, 5), (5,)]),
    "addcmul": (lambda a, b, c: rt.addcmul(a, b, c), [(4, 5), (4, 5), (5,)]),
    "where": (lambda a, b: rt.where(a > 0, a, b), [(4, 5), (4, 5)]),
    "matmul": (lambda a, b: a @ b, [(3, 4, 5), (5, 6)]),
    "linear": (F.linear, [(7, 5), (6, 5), (6,)]),
    "bilinear": (F.bilinear, [(7, 3), (7, 4), (5, 3, 4), (5,)]),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, padding=1), [(2, 3, 6, 6), (4, 3, 3, 3), (4,)]),
    "depthwise": (lambda x, w: F.conv2d(x, w, padding=1, groups=3), [(2, 3, 6, 6), (3, 1, 3, 3)]),
    "conv_transpose2d": (F.conv_transpose2d, [(2, 3, 6, 6), (3, 4, 3, 3), (4,)]),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (5,), w, b), [(4, 5), (5,), (5,)]),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), [(6, 5), (5,), (5,)]),
    "attention": (F.scaled_dot_product_attention, [(1, 2, 4, 8)] * 3),
    "cat": (lambda a, b, c: rt.cat([a, b, c]), [(2, 3), (1, 3), (4, 3)]),
    "gelu of a sum": (lambda a, b, c, d: F.gelu(F.linear(a, b, c)) * d, [(7, 5), (6, 5), (6,), (6,)]),
    "solve": (lambda a, b: rt.linalg.solve(a + 5 * rt.eye(4, dtype=a.dtype), b), [(4, 4), (4, 2)]),
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_every_subset(name, create_graph):
    function, shapes = CASES[name]
    rt.manual_seed(0)
    inputs = [rt.randn(s, dtype=rt.float64, requires_grad=True) for s in shapes]
    out = function(*inputs)
    g = rt.randn_like(out)
    whole = rt.autograd.grad(out, inputs, g, retain_graph=True)
    for k in range(1, len(inputs) + 1):
        for which in itertools.combinations(range(len(inputs)), k):
            got = rt.autograd.grad(out, [inputs[i] for i in which], g, retain_graph=True, create_graph=create_graph)
            for i, have in zip(which, got):
                rt.testing.assert_close(have, whole[i], rtol=0, atol=1e-12)
            if create_graph and got[0].requires_grad:
                second = rt.autograd.grad(sum((have * have).sum() for have in got), inputs, allow_unused=True, retain_graph=True)
                assert any(s is not None for s in second)
    for x in inputs:
        assert x.grad is None
    out.backward(g)
    for x, want in zip(inputs, whole):
        rt.testing.assert_close(x.grad, want, rtol=0, atol=1e-12)


def test_lstm_by_its_input_alone():
    layer = rt.nn.LSTM(5, 4).double()
    x = rt.randn(3, 2, 5, dtype=rt.float64, requires_grad=True)
    out = layer(x)[0].sum()
    alone, = rt.autograd.grad(out, [x], retain_graph=True)
    together = rt.autograd.grad(out, [x, *layer.parameters()])
    rt.testing.assert_close(alone, together[0])


def test_what_is_not_asked_for_is_not_computed():
    """The gradient of the matrix would take 64 MB, that of the row 16 KB."""
    x, w = rt.ones(1, 4096, requires_grad=True), rt.ones(4096, 4096, requires_grad=True)
    out = (x @ w).sum()
    rt.memory.empty_cache()
    rt.memory.reset_peak_memory_stats()
    before = rt.memory.memory_stats()["allocated_bytes.peak"]
    rt.autograd.grad(out, [x], retain_graph=True)
    assert rt.memory.memory_stats()["allocated_bytes.peak"] - before < 1 << 20
    rt.autograd.grad(out, [w])
    assert rt.memory.memory_stats()["allocated_bytes.peak"] - before >= 4 * w.numel()


def test_a_run_inside_a_run():
    class Inner(rt.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            return x @ w

        @staticmethod
        def backward(ctx, g):
            x, w = (t.detach().requires_grad_() for t in ctx.saved_tensors)
            with rt.enable_grad():
                out = x @ w
            out.backward(g)                     # for all leaves, inside a run for one input
            return x.grad, w.grad

    x, w, v = (rt.randn(4, 4, dtype=rt.float64, requires_grad=True) for _ in range(3))
    out = (Inner.apply(x @ v, w) @ v).sum()
    alone, = rt.autograd.grad(out, [x], retain_graph=True)
    whole = rt.autograd.grad(out, [x, w, v])
    rt.testing.assert_close(alone, whole[0])


def test_threads_ask_one_graph_for_different_inputs():
    x, w = rt.randn(64, 64, dtype=rt.float64, requires_grad=True), rt.randn(64, 64, dtype=rt.float64, requires_grad=True)
    out = ((x @ w) * w).sum()
    whole = rt.autograd.grad(out, [x, w], retain_graph=True)
    wrong = []

    def ask(inputs, want):
        for _ in range(50):
            for have, g in zip(rt.autograd.grad(out, inputs, retain_graph=True), want):
                if not rt.allclose(have, g):
                    wrong.append(inputs)

    threads = [threading.Thread(target=ask, args=a) for a in (([x], whole[:1]), ([w], whole[1:]), ([x, w], whole), ([w, x], whole[::-1]))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
