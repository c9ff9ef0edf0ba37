"""Post-accumulate hooks fire as soon as a leaf's gradient is final, and callbacks queued in backward run at its end."""
import pytest
import rustorch_py as torch
from rustorch_py import nn
from rustorch_py.autograd import Variable
from rustorch_py.utils.checkpoint import checkpoint


def watch(order, **tensors):
    for name, t in tensors.items():
        t.register_post_accumulate_grad_hook(lambda p, name=name: order.append((name, p.grad.clone())))


def test_a_leaf_is_handed_over_before_earlier_layers_run():
    order = []
    a, b, c = (torch.full((2,), float(k), requires_grad=True) for k in (2, 3, 4))
    x = a * 1.5
    x.register_hook(lambda g: order.append(("x", g)))
    y = x * b
    y.register_hook(lambda g: order.append(("y", g)))
    z = y * c
    watch(order, a=a, b=b, c=c)
    z.sum().backward()
    assert [name for name, _ in order] == ["c", "y", "b", "x", "a"] or [name for name, _ in order] == ["y", "c", "x", "b", "a"]
    for t, expected in ((a, 18.0), (b, 12.0), (c, 9.0)):
        assert t.grad.tolist() == [expected] * 2


def test_a_leaf_used_twice_waits_for_both():
    order = []
    w, v = (torch.ones(2, requires_grad=True) for _ in range(2))
    x = w * 2
    y = x * v
    z = y * w
    watch(order, w=w, v=v)
    z.sum().backward()
    assert [name for name, _ in order] == ["v", "w"] and order[1][1].tolist() == [4.0, 4.0]


def test_unreached_and_partly_reached_leaves():
    order = []
    w, v = (torch.ones(3, requires_grad=True) for _ in range(2))

    class Drops(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            return a * 1

        @staticmethod
        def backward(ctx, g):
            return g, None
    watch(order, w=w, v=v)
    Drops.apply(w, v).sum().backward()
    assert [name for name, _ in order] == ["w"] and v.grad is None


def test_gradients_are_those_without_hooks():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 7), nn.Tanh(), nn.Linear(7, 1))
    model[2].weight = model[2].weight
    x = torch.randn(4, 5)

    def gradients():
        model.zero_grad()
        (model(x).sum() + model[0](x).square().sum()).backward()
        return [p.grad.clone() for p in model.parameters()]
    before = gradients()
    fired = []
    for p in model.parameters():
        p.register_post_accumulate_grad_hook(fired.append)
    after = gradients()
    assert len(fired) == 6 and all(torch.equal(a, b) for a, b in zip(before, after))


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_layers(reentrant):
    layer = nn.Linear(3, 3)
    x = torch.randn(2, 3, requires_grad=True)
    fired = []
    layer.weight.register_post_accumulate_grad_hook(fired.append)
    checkpoint(layer, x, use_reentrant=reentrant).sum().backward()
    assert len(fired) == 1
    expected = torch.ones(2, 3).t() @ x.detach()
    torch.testing.assert_close(layer.weight.grad, expected)


def test_queued_callbacks_run_when_all_is_accumulated():
    said = []
    a, b = (torch.ones(2, requires_grad=True) for _ in range(2))

    def hook(p):
        Variable._execution_engine.queue_callback(lambda: said.append((a.grad is not None, b.grad is not None)))
    b.register_post_accumulate_grad_hook(hook)
    (a * 2 * b).sum().backward()
    assert said == [(True, True)]
    (a * 2).sum().backward()
    assert len(said) == 1
    with pytest.raises(RuntimeError, match="during backward"):
        Variable._execution_engine.queue_callback(print)


def test_a_failed_backward_drops_its_callbacks():
    said = []
    a, b = (torch.ones(2, requires_grad=True) for _ in range(2))
    b.register_post_accumulate_grad_hook(lambda p: Variable._execution_engine.queue_callback(lambda: said.append(1)))
    x = a * 2

    def refuse(g):
        raise ValueError("no")
    x.register_hook(refuse)
    with pytest.raises(ValueError, match="no"):
        (x * b).sum().backward()
    (a * 1).sum().backward()
    assert said == []
