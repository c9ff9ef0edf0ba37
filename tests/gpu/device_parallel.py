"""DataParallel: one process, two devices."""
import collections

import pytest

import rustorch_py as torch
from rustorch_py import nn, optim
from rustorch_py.nn.parallel import gather, parallel_apply, replicate, scatter

two = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one device")
Pair = collections.namedtuple("Pair", "left right")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 8), nn.Tanh())
        self.out = nn.Linear(8, 2)
        self.tied = self.out
        self.register_buffer("shift", torch.full((2,), 0.5))
        self.seen = []

    def forward(self, x, scale=None):
        self.seen.append(x.device)
        y = self.tied(self.inner(x)) + self.shift
        return y if scale is None else y * scale


@two
def test_trains_as_one_device_does():
    torch.manual_seed(0)
    alone, x, y = Net(), torch.randn(7, 4), torch.randn(7, 2)
    spread = nn.DataParallel(Net().cuda(), device_ids=[0, 1])
    spread.module.load_state_dict(alone.state_dict())
    for model, device in ((alone, "cpu"), (spread, "cuda:0")):
        opt = optim.SGD(model.parameters(), 0.1)
        for _ in range(3):
            opt.zero_grad()
            out = model(x.to(device), scale=torch.full((7, 1), 2.0, device=device))
            assert out.shape == (7, 2) and out.device == torch.device(device)
            ((out - y.to(device)) ** 2).mean().backward()
            opt.step()
    for a, b in zip(alone.parameters(), spread.module.parameters()):
        torch.testing.assert_close(b.detach().cpu(), a.detach(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(b.grad.cpu(), a.grad, rtol=1e-5, atol=1e-6)
    assert set(spread.module.seen) == {torch.device("cuda", 0), torch.device("cuda", 1)}       # replicas share what is no tensor
    assert list(spread.state_dict()) == ["module." + name for name in alone.state_dict()]
    with torch.no_grad():
        assert not spread(x.cuda()).requires_grad
    short = spread(x[:1].cuda())
    assert short.shape == (1, 2) and short.requires_grad


@two
def test_pieces():
    x = torch.arange(10.0, device="cuda:0", requires_grad=True)
    parts = scatter({"a": x, "b": [x * 2, "text"], "c": Pair(1, x)}, [0, 1])
    assert [p["a"].device.index for p in parts] == [0, 1] and parts[1]["b"][1] == "text" and isinstance(parts[1]["c"], Pair)
    assert parts[1]["a"].tolist() == [5, 6, 7, 8, 9]
    back = gather(parts_of(parts), "cpu")
    assert back.device.type == "cpu" and torch.equal(back, x.detach().cpu())
    back.sum().backward()
    assert x.grad.cpu().tolist() == [1.0] * 10
    with pytest.warns(UserWarning, match="scalars"):
        assert gather([torch.tensor(1.0, device="cuda:0"), torch.tensor(2.0, device="cuda:1")], 0).tolist() == [1, 2]
    joined = gather([{"a": (torch.ones(1, 2, device="cuda:0"), None)}, {"a": (torch.zeros(2, 2, device="cuda:1"), None)}], 1)
    assert joined["a"][0].shape == (3, 2) and joined["a"][0].get_device() == 1 and joined["a"][1] is None
    net = nn.Linear(3, 1).cuda()
    copies = replicate(net, [0, 1])
    assert copies[1].weight.get_device() == 1 and not list(copies[1].parameters()) and copies[0].weight is not None
    outs = parallel_apply(copies, [torch.ones(1, 3, device="cuda:0"), (torch.ones(2, 3, device="cuda:1"),)])
    assert outs[1].shape == (2, 1) and outs[1].get_device() == 1
    sum(o.cpu().sum() for o in outs).backward()
    torch.testing.assert_close(net.weight.grad.cpu(), torch.full((1, 3), 3.0))
    with pytest.raises(ValueError, match="as many"):
        parallel_apply(copies, [1])


def parts_of(parts):
    return [p["a"] for p in parts]


def test_one_device_and_wrong_ones():
    net = nn.Linear(3, 1)
    wrapped = nn.DataParallel(net, device_ids=[0])
    assert net.weight.is_cuda and wrapped(torch.ones(2, 3)).is_cuda           # inputs are moved
    with pytest.raises(RuntimeError, match="device_ids"):
        nn.DataParallel(net, device_ids=[0, 99])
    if torch.cuda.device_count() > 1:
        with pytest.raises(RuntimeError, match="must have its parameters"):
            nn.DataParallel(nn.Linear(3, 1), device_ids=[0, 1])(torch.ones(2, 3, device="cuda"))
        out = nn.parallel.data_parallel(net, torch.ones(4, 3, device="cuda"), [0, 1], output_device=1)
        assert out.shape == (4, 1) and out.get_device() == 1
