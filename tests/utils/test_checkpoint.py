"""checkpoint: same values and gradients, less kept, the same random numbers, honest refusals."""
import gc

import pytest

import rustorch_py as torch
from rustorch_py.utils.checkpoint import (CheckpointError, checkpoint, checkpoint_sequential, noop_context_fn,
                                          set_checkpoint_early_stop)


def network():
    torch.manual_seed(0)
    w1 = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
    w2 = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)

    def block(x, scale=1.0):
        return (torch.tanh(x @ w1) * scale).sigmoid() @ w2

    return block, [w1, w2]


def gradients(run, weights, x):
    for w in (*weights, x):
        w.grad = None
    run().pow(2).sum().backward()
    return [w.grad.tolist() for w in (*weights, x)]


@pytest.mark.parametrize("reentrant", [True, False])
def test_same_gradients(reentrant):
    block, weights = network()
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    plain = gradients(lambda: block(block(x)), weights, x)
    calls = []

    def counted(x):
        calls.append(torch.is_grad_enabled())
        return block(x)

    found = gradients(lambda: checkpoint(counted, checkpoint(counted, x, use_reentrant=reentrant),
                                         use_reentrant=reentrant), weights, x)
    assert found == plain
    assert calls == [not reentrant] * 2 + [True] * 2


def test_autograd_grad_needs_the_non_reentrant_form():
    block, weights = network()
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    expected = torch.autograd.grad(block(x, scale=2.0).sum(), [x, *weights])
    found = torch.autograd.grad(checkpoint(block, x, scale=2.0, use_reentrant=False).sum(), [x, *weights])
    assert [g.tolist() for g in found] == [g.tolist() for g in expected]
    with pytest.raises(RuntimeError, match="incompatible with .grad"):
        torch.autograd.grad(checkpoint(block, x, use_reentrant=True).sum(), [x])


def test_inputs_without_gradient():
    block, weights = network()
    x = torch.randn(3, 4, dtype=torch.float64)
    checkpoint(block, x, use_reentrant=False).sum().backward()
    assert weights[0].grad is not None
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad"):
        out = checkpoint(block, x, use_reentrant=True)
    assert not out.requires_grad
    with pytest.warns(UserWarning, match="use_reentrant parameter should be passed"):
        checkpoint(block, x.clone().requires_grad_())
    with torch.no_grad():
        assert not checkpoint(block, x, use_reentrant=False).requires_grad


@pytest.mark.parametrize("reentrant", [True, False])
def test_random_numbers_are_the_same(reentrant):
    x = torch.ones(50, dtype=torch.float64, requires_grad=True)
    masks = []

    def drop(x):
        mask = torch.rand(50, dtype=torch.float64) > 0.5
        masks.append(mask.tolist())
        return (x * mask.to(torch.float64)).exp()

    checkpoint(drop, x, use_reentrant=reentrant).sum().backward()
    after = torch.rand(1).item()
    assert masks[0] == masks[1]
    x.grad = None
    checkpoint(drop, x, use_reentrant=reentrant, preserve_rng_state=False).sum().backward()
    assert masks[2] != masks[3] and after != torch.rand(1).item()


def test_nothing_is_kept_between():
    import weakref
    alive = []

    def big(x):
        y = x.exp()
        alive.append(weakref.ref(y))
        return y.sin().cos()

    x = torch.ones(10, requires_grad=True)
    out = checkpoint(big, x, use_reentrant=False)
    gc.collect()
    assert alive[0]() is None
    out.sum().backward()
    gc.collect()
    assert alive[1]() is None and x.grad is not None


def test_twice_with_retain_graph():
    block, weights = network()
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    out = checkpoint(block, x, use_reentrant=False).sum()
    out.backward(retain_graph=True)
    once = x.grad.clone()
    out.backward()
    assert torch.allclose(x.grad, 2 * once)
    with pytest.raises(RuntimeError, match="second time"):
        out.backward()


def test_nested():
    block, weights = network()
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    plain = gradients(lambda: block(block(x)), weights, x)

    def inner(x):
        return checkpoint(block, x, use_reentrant=False)

    def outer(x):
        return inner(inner(x)) * 1.0

    for early in (True, False):
        with set_checkpoint_early_stop(early):
            assert gradients(lambda: checkpoint(outer, x, use_reentrant=False), weights, x) == plain


def test_functions_that_change_are_found_out():
    runs = []

    def grows(x):
        runs.append(1)
        for _ in runs:
            x = x.exp()
        return x

    def shrinks(x):
        runs.append(1)
        for _ in range(4 - len(runs)):
            x = x.exp()
        return x

    def reshapes(x):
        runs.append(1)
        return x[:len(runs)].exp().sum()

    x = torch.zeros(3, requires_grad=True)
    with set_checkpoint_early_stop(False), pytest.raises(CheckpointError, match="more tensors"):
        checkpoint(grows, x, use_reentrant=False).sum().backward()
    runs.clear()
    with pytest.raises(CheckpointError, match="different number"):
        checkpoint(shrinks, x, use_reentrant=False).sum().backward()
    runs.clear()
    with pytest.raises(CheckpointError, match="different metadata"):
        checkpoint(reshapes, x, use_reentrant=False, debug=True).backward()
    y = x * 1.0
    out = checkpoint(torch.exp, y, use_reentrant=False)
    y.add_(1)
    with pytest.raises(CheckpointError, match="changed in place"):
        out.sum().backward()


def test_arguments_are_checked():
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="Unexpected keyword"):
        checkpoint(torch.exp, x, use_reentrant=True, nonsense=1)
    with pytest.raises(ValueError, match="only supported when"):
        checkpoint(torch.exp, x, use_reentrant=True, context_fn=lambda: noop_context_fn())
    with pytest.raises(ValueError, match="determinism_check"):
        checkpoint(torch.exp, x, use_reentrant=False, determinism_check="x")


def test_contexts_of_both_runs():
    seen = []

    class Note:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            seen.append(self.name)

        def __exit__(self, *exc):
            pass

    x = torch.ones(2, requires_grad=True)
    checkpoint(torch.exp, x, use_reentrant=False, context_fn=lambda: (Note("first"), Note("second"))).sum().backward()
    assert seen == ["first", "second"]


@pytest.mark.parametrize("reentrant", [True, False])
def test_sequential(reentrant):
    block, weights = network()
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    functions = [block, torch.tanh, block, torch.sin, block]
    plain = gradients(lambda: block(torch.sin(block(torch.tanh(block(x))))), weights, x)
    for segments in (1, 2, 5):
        found = gradients(lambda: checkpoint_sequential(functions, segments, x, use_reentrant=reentrant), weights, x)
        for a, b in zip(found, plain):      # a weight used three times: its gradients add up in another order
            torch.testing.assert_close(torch.tensor(a), torch.tensor(b))


def test_device_states():
    from rustorch_py.utils.checkpoint import get_device_states, set_device_states
    assert get_device_states(torch.zeros(2), 3) == ([], [])
    set_device_states([], [])
    with pytest.raises(RuntimeError, match="cuda"):
        set_device_states(["cuda:0"], [None])
