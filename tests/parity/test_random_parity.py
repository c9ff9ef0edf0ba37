"""The random stream beside a live PyTorch: same seed, same numbers."""
import itertools

import pytest

pytorch = pytest.importorskip("torch", reason="parity needs PyTorch")

import random_cases as rc
import rustorch_py as torch


def same(ours, theirs, exact=False):
    rc.same(rc.record(ours), rc.record(theirs), exact)


def same_state():
    assert torch.get_rng_state().tolist() == pytorch.get_rng_state().tolist()


@pytest.mark.parametrize("expression", rc.CASES)
def test_cases(expression):
    same(rc.evaluate(expression, torch), rc.evaluate(expression, pytorch))
    same_state()


SIZES = [(), (1,), (15,), (16,), (17,), (31,), (0, 3), (513,), (40, 63), (3, 5, 7, 2)]


@pytest.mark.parametrize("dtype, size", itertools.product(rc.FLOATS, SIZES))
def test_sizes(dtype, size):
    for name in ("rand", "randn"):
        for t in (torch, pytorch):
            t.manual_seed(77)
        same(getattr(torch, name)(size, dtype=getattr(torch, dtype)),
             getattr(pytorch, name)(size, dtype=getattr(pytorch, dtype)), exact=name == "rand")
        same_state()


@pytest.mark.parametrize("p", [0.0, 0.1, 0.25, 1 / 3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("size", [(1,), (100,), (30, 1001)])
def test_dropout_masks(p, size):
    for t in (torch, pytorch):
        t.manual_seed(3)
    same(torch.nn.functional.dropout(torch.ones(size), p), pytorch.nn.functional.dropout(pytorch.ones(size), p),
         exact=True)
    same_state()


@pytest.mark.parametrize("n", [0, 1, 2, 1000, 4351, 4353, 70001])
def test_randperm(n):
    for t in (torch, pytorch):
        t.manual_seed(n)
    same(torch.randperm(n), pytorch.randperm(n))
    same_state()


def test_states_are_exchanged():
    pytorch.manual_seed(5)
    pytorch.randn(3, dtype=pytorch.float64)
    torch.set_rng_state(torch.tensor(pytorch.get_rng_state().tolist(), dtype=torch.uint8))
    same(torch.randn(6, dtype=torch.float64), pytorch.randn(6, dtype=pytorch.float64))
    torch.rand(1000)
    pytorch.set_rng_state(pytorch.tensor(torch.get_rng_state().tolist(), dtype=pytorch.uint8))
    same(torch.rand(6), pytorch.rand(6), exact=True)


@pytest.mark.parametrize("seed", [0, -1, -2**63, 2**64 - 1, 2**33 + 1])
def test_seeds(seed):
    for t in (torch, pytorch):
        t.manual_seed(seed)
    assert torch.initial_seed() == pytorch.initial_seed()
    same(torch.rand(3), pytorch.rand(3), exact=True)


@pytest.mark.parametrize("make", [
    "t.nn.Linear(7, 5)", "t.nn.Linear(64, 32, bias=False)", "t.nn.Conv2d(3, 8, 3)",
    "t.nn.Conv2d(4, 8, (3, 1), groups=2)", "t.nn.Sequential(t.nn.Linear(3, 4), t.nn.Linear(4, 2))"])
def test_initial_weights(make):
    for t in (torch, pytorch):
        t.manual_seed(0)
    ours, theirs = eval(make, {"t": torch}), eval(make, {"t": pytorch})
    for a, b in zip(ours.parameters(), theirs.parameters()):
        same(a.detach(), b.detach())
    same_state()


@pytest.mark.parametrize("call", [
    "xavier_uniform_(w)", "xavier_normal_(w)", "kaiming_uniform_(w, a=5 ** 0.5)", "kaiming_normal_(w)",
    "trunc_normal_(w, std=0.02)", "trunc_normal_(w, 0.5, 1.0, -1.0, 2.0)", "normal_(w)", "uniform_(w, -1, 1)",
    "sparse_(w, 0.3)", "orthogonal_(w)"])
def test_init(call):
    results = []
    for t in (torch, pytorch):
        t.manual_seed(1)
        w = t.empty(6, 9)
        eval("init." + call, {"init": t.nn.init, "w": w})
        results.append(w)
    assert results[0].flatten().tolist() == pytest.approx(results[1].flatten().tolist(), rel=1e-5, abs=1e-5)
    same_state()


def test_shuffled_loader():
    orders = []
    for t in (torch, pytorch):
        t.manual_seed(12)
        from_data = __import__(t.__name__ + ".utils.data", fromlist=["x"])
        data = from_data.TensorDataset(t.arange(57))
        loader = from_data.DataLoader(data, batch_size=8, shuffle=True)
        orders.append([batch[0].tolist() for _ in range(2) for batch in loader])
        parts = from_data.random_split(data, [40, 17])
        orders[-1].append(list(parts[0].indices))
    assert orders[0] == orders[1]
    same_state()
