"""The fused loops against the tensor-by-tensor steps, on every instruction set, size and dtype."""
import pytest

import rustorch_py as torch
from rustorch_py import optim

CASES = [
    ("SGD", dict(lr=0.1)), ("SGD", dict(lr=0.1, weight_decay=0.1, maximize=True)),
    ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.2)), ("SGD", dict(lr=0.1, momentum=0.9, weight_decay=0.1)),
    ("SGD", dict(lr=0.1, momentum=0.9, nesterov=True)), ("SGD", dict(lr=0.1, momentum=0.9, nesterov=True,
                                                                     weight_decay=0.1)),
    ("Adam", {}), ("Adam", dict(weight_decay=0.1)), ("Adam", dict(amsgrad=True)),
    ("Adam", dict(amsgrad=True, weight_decay=0.1, maximize=True)), ("Adam", dict(betas=(0.3, 0.9), lr=0.1)),
    ("AdamW", dict(weight_decay=0.2)),
    ("RMSprop", {}), ("RMSprop", dict(momentum=0.9)), ("RMSprop", dict(centered=True, weight_decay=0.1)),
    ("RMSprop", dict(centered=True, momentum=0.9, alpha=0.4)),
    ("Adamax", {}), ("Adamax", dict(weight_decay=0.1, maximize=True)),
    ("NAdam", {}), ("NAdam", dict(weight_decay=0.1, momentum_decay=0.1)), ("NAdam", dict(weight_decay=0.1, decoupled_weight_decay=True)),
    ("RAdam", {}), ("RAdam", dict(weight_decay=0.1, betas=(0.9, 0.5))), ("RAdam", dict(weight_decay=0.1, decoupled_weight_decay=True, betas=(0.3, 0.9))),
    ("Adadelta", {}), ("Adadelta", dict(weight_decay=0.1, rho=0.5, maximize=True)),
    ("ASGD", {}), ("ASGD", dict(t0=2, lr=0.1, weight_decay=0.1, lambd=0.1)),
    ("Rprop", {}), ("Rprop", dict(maximize=True, etas=(0.4, 1.5), step_sizes=(1e-3, 0.02))),
    ("Adagrad", {}), ("Adagrad", dict(lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.1)),
]


def steps(name, options, dtype, shapes, count=5):
    torch.manual_seed(1)
    params = [torch.randn(shape).to(dtype).requires_grad_() for shape in shapes]
    optimizer = getattr(optim, name)(params, **options)
    for _ in range(count):
        for p in params:
            p.grad = torch.randn(p.shape).to(dtype)
        optimizer.step()
    return params, optimizer


@pytest.mark.parametrize("name, options", CASES, ids=lambda v: v if isinstance(v, str) else str(v))
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_same_as_plain_steps(name, options, dtype, level):
    shapes = [(3, 4), (1,), (), (0, 2), (1000,)]
    dtype = getattr(torch, dtype)
    fused, optimizer = steps(name, options, dtype, shapes)
    assert optimizer._fused(optimizer.param_groups[0])      # the loop did take this group
    fused, optimizer = steps(name, options, dtype, shapes)
    plain, other = steps(name, {**options, "foreach": False}, dtype, shapes)
    tolerance = {torch.float64: 1e-13, torch.float32: 3e-6, torch.bfloat16: 0.05}[dtype]
    for p, q in zip(fused, plain):
        torch.testing.assert_close(p, q, rtol=tolerance, atol=tolerance)
    for p, q in zip(fused, plain):
        for key, value in optimizer.state[p].items():
            torch.testing.assert_close(value, other.state[q][key], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_large_lists_on_several_threads(threads):
    before = torch.get_num_threads()
    shapes = [(7,), (700_003,), (33, 1000), (1,), (270_000,)]
    torch.set_num_threads(threads)
    try:
        fused, _ = steps("Adam", {}, torch.float32, shapes, 3)
    finally:
        torch.set_num_threads(before)
    plain, _ = steps("Adam", dict(foreach=False), torch.float32, shapes, 3)
    for p, q in zip(fused, plain):
        torch.testing.assert_close(p, q, rtol=3e-6, atol=3e-6)


def test_what_the_loop_cannot_take_goes_the_plain_way():
    weight = torch.zeros(4, 3).t().requires_grad_()      # not contiguous
    weight.grad = torch.ones(3, 4)
    half = torch.zeros(3, dtype=torch.float16, requires_grad=True)
    half.grad = torch.ones(3, dtype=torch.float16)
    both = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    both.grad = torch.ones(2, dtype=torch.float64)
    optimizer = optim.Adam([weight, half, both], lr=0.1, fused=True)
    for _ in range(2):
        optimizer.step()
    assert not optimizer._fused(optimizer.param_groups[0])
    for p in (weight, half, both):
        assert torch.allclose(p.detach().double(), torch.full(p.shape, -0.2, dtype=torch.float64), atol=1e-3)
        assert optimizer.state[p]["step"].item() == 2
    number = torch.zeros(2, dtype=torch.complex64, requires_grad=True)
    number.grad = torch.ones(2, dtype=torch.complex64)
    with pytest.raises(RuntimeError, match="floating point Tensors of supported devices"):
        optim.Adam([number], fused=True).step()


def test_gradients_that_are_views():
    p = torch.zeros(3, 4, requires_grad=True)
    q = torch.zeros(3, 4, requires_grad=True)
    grad = torch.arange(12.0).reshape(4, 3)
    fused, plain = optim.SGD([p], lr=0.1), optim.SGD([q], lr=0.1, fused=False)
    p.grad, q.grad = grad.t(), grad.t()
    fused.step()
    plain.step()
    assert p.tolist() == q.tolist()


def test_a_step_counts_as_a_write():
    p = torch.ones(3, requires_grad=True)
    out = (p * p).sum()
    p.grad = torch.ones(3)
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


def test_nan_and_infinity_pass_through():
    for value in (float("nan"), float("inf")):
        results = []
        for fused in (None, False):
            p = torch.ones(3, requires_grad=True)
            optimizer = optim.Adam([p], lr=0.1, amsgrad=True, fused=fused)
            for grad in ([1.0, value, 2.0], [1.0, 1.0, 2.0]):
                p.grad = torch.tensor(grad)
                optimizer.step()
            results.append(p)
        torch.testing.assert_close(results[0], results[1], equal_nan=True)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("max_norm", [1.0, 1e6])
def test_clipped_together(dtype, max_norm, level):
    dtype = getattr(torch, dtype)
    grads = [torch.randn(shape).to(dtype) for shape in [(3, 4), (1,), (), (0, 2), (70_000,)]]
    params = [torch.zeros(g.shape, dtype=dtype, requires_grad=True) for g in grads]
    for p, g in zip(params, grads):
        p.grad = g.clone()
    versions = [p.grad._version for p in params]
    norm = torch.nn.utils.clip_grad_norm_(params, max_norm)
    want = torch.cat([g.double().reshape(-1) for g in grads]).norm()
    assert norm.dtype == dtype and norm.shape == ()
    tolerance = 0.02 if dtype == torch.bfloat16 else 1e-6
    torch.testing.assert_close(norm.double(), want, rtol=tolerance, atol=0)
    factor = min(1.0, max_norm / (want.item() + 1e-6))
    for p, g, version in zip(params, grads, versions):
        torch.testing.assert_close(p.grad, (g.double() * factor).to(dtype), rtol=tolerance, atol=tolerance * 1e-2)
        assert p.grad._version > version


def test_norm_does_not_depend_on_threads():
    grads = [torch.randn(n) for n in (7, 700_003, 33_000, 1, 270_000)]
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(torch.nn.utils.get_total_norm(grads).item())
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]
