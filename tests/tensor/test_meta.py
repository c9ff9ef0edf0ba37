"""The device "meta": what results would look like, without elements; what needs elements says so."""
import copy
import pickle

import pytest

import rustorch_py as torch
import rustorch_py.nn.functional as F
from rustorch_py import nn

MODULES = {
    "linear": (lambda: nn.Linear(4, 8), (3, 4)), "conv": (lambda: nn.Conv2d(3, 8, 3), (2, 3, 9, 9)), "deconv": (lambda: nn.ConvTranspose2d(3, 4, 2), (1, 3, 4, 4)),
    "batch_norm": (lambda: nn.BatchNorm2d(3), (2, 3, 4, 4)), "layer_norm": (lambda: nn.LayerNorm(4), (2, 4)), "group_norm": (lambda: nn.GroupNorm(2, 4), (2, 4, 3)),
    "lstm": (lambda: nn.LSTM(4, 5, batch_first=True), (2, 3, 4)), "gru": (lambda: nn.GRU(4, 5, 2, bidirectional=True), (2, 3, 4)),
    "attention": (lambda: nn.MultiheadAttention(8, 2, batch_first=True), (2, 5, 8)), "transformer": (lambda: nn.TransformerEncoderLayer(8, 2, 16), (2, 5, 8)),
    "max_pool": (lambda: nn.Sequential(nn.Conv2d(2, 2, 1), nn.MaxPool2d(2)), (1, 2, 4, 4)), "average_pool": (lambda: nn.Sequential(nn.Conv2d(2, 2, 1), nn.AvgPool2d(2)), (1, 2, 4, 4)),
    "upsample": (lambda: nn.Sequential(nn.Conv2d(2, 2, 1), nn.Upsample(scale_factor=2, mode="bilinear")), (1, 2, 3, 3)),
}

FUNCTIONS = {
    "elementwise": lambda d: torch.ones(2, 3, device=d).mul(2).add_(torch.ones(3, device=d)).exp(), "sum": lambda d: torch.ones(2, 3, device=d).sum(1, keepdim=True),
    "std": lambda d: torch.ones(4, 3, device=d).std(0), "argmax": lambda d: torch.ones(2, 3, device=d).argmax(1), "sort": lambda d: torch.rand(3, 4, device=d).t().sort(0),
    "topk": lambda d: torch.rand(3, 4, device=d).topk(2), "matmul": lambda d: torch.ones(5, 2, 3, device=d) @ torch.ones(3, 4, device=d), "einsum": lambda d: torch.einsum("ij,kj->ik", torch.ones(2, 3, device=d), torch.ones(4, 3, device=d)),
    "cat": lambda d: torch.cat([torch.ones(2, 3, device=d), torch.ones(1, 3, device=d)]), "index": lambda d: torch.ones(3, 4, device=d)[torch.zeros(2, dtype=torch.long, device=d)],
    "half": lambda d: torch.ones(3, device=d).half() + torch.ones(3, 3, device=d).bfloat16(), "cumsum": lambda d: torch.ones(3, device=d, dtype=torch.int32).cumsum(0), "fft": lambda d: torch.fft.rfft(torch.ones(8, device=d)),
    "where": lambda d: torch.where(torch.ones(3, device=d) > 0, 1.0, torch.zeros(3, device=d)), "arange": lambda d: torch.arange(5, device=d), "linspace": lambda d: torch.linspace(0, 1, 5, device=d),
    "eye": lambda d: torch.eye(3, device=d), "randperm": lambda d: torch.randperm(5, device=d), "randint": lambda d: torch.randint(3, (2,), device=d), "bernoulli": lambda d: torch.bernoulli(torch.rand(3, device=d)),
    "multinomial": lambda d: torch.multinomial(torch.ones(3, device=d), 5, replacement=True), "pad": lambda d: F.pad(torch.ones(2, 2, device=d), (1, 1)), "scatter": lambda d: torch.zeros(3, device=d).scatter_(0, torch.zeros(2, dtype=torch.long, device=d), 1.0),
    "svd": lambda d: torch.linalg.svd(torch.eye(3, device=d)), "solve": lambda d: torch.linalg.solve(torch.eye(3, device=d), torch.ones(3, 2, device=d)), "cholesky": lambda d: torch.linalg.cholesky(torch.eye(3, device=d)),
    "sdpa": lambda d: F.scaled_dot_product_attention(*[torch.ones(1, 2, 3, 4, device=d)] * 3), "channels_last": lambda d: torch.ones(2, 3, 4, 5, device=d).to(memory_format=torch.channels_last).relu(),
    "views": lambda d: (torch.ones(4, 6, device=d)[1:, ::2].t(), torch.ones(2, 6, device=d).view(3, 4).unfold(0, 2, 1)), "complex": lambda d: torch.complex(torch.ones(2, device=d), torch.ones(2, device=d)).abs(),
    "tensor": lambda d: torch.tensor([[1, 2]], device=d), "full": lambda d: torch.full((2,), 3.0, device=d), "vmap": lambda d: torch.func.vmap(torch.sin)(torch.ones(3, 2, device=d)),
}


def looks(value):
    if isinstance(value, torch.Tensor):
        return value.shape, value.dtype, value.stride(), value.storage_offset(), value.requires_grad
    return [looks(v) for v in value]


def everywhere(value, device):
    return value.device.type == device if isinstance(value, torch.Tensor) else all(everywhere(v, device) for v in value)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_look_as_on_the_cpu(name):
    there = FUNCTIONS[name]("meta")
    assert everywhere(there, "meta") and looks(there) == looks(FUNCTIONS[name]("cpu"))


@pytest.mark.parametrize("name", MODULES)
def test_modules(name):
    make, shape = MODULES[name]
    results = []
    for device in ("cpu", "meta"):
        with torch.device(device):
            model, x = make(), torch.zeros(shape)
            out = model(x, x, x)[0] if name == "attention" else model(x)
            out = out[0] if isinstance(out, tuple) else out
            out.square().sum().backward()
            results.append((looks(out), [looks(p.grad) for p in model.parameters()]))
    assert results[0] == results[1]


def test_a_step_and_clipping():
    with torch.device("meta"):
        model = nn.Linear(3, 2)
        model(torch.ones(1, 3)).sum().backward()
    assert nn.utils.clip_grad_norm_(model.parameters(), 1.0).is_meta
    for kind in (torch.optim.SGD, torch.optim.AdamW):
        kind(model.parameters(), lr=0.1).step()
    assert model.weight.is_meta


def test_weights_come_later():
    with torch.device("meta"):
        empty = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2))
    real, x = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2)), torch.randn(3, 4)
    with pytest.raises(NotImplementedError, match="to_empty"):
        empty.to("cpu")
    assigned = copy.deepcopy(empty)
    assigned.load_state_dict(real.state_dict(), assign=True)
    assert torch.equal(assigned(x), real(x)) and all(p.is_meta for p in empty.parameters())
    filled = empty.to_empty(device="cpu")
    filled.load_state_dict(real.state_dict())
    assert torch.equal(filled(x), real(x))


def test_what_it_is():
    x = torch.empty(2, 3, device="meta")
    assert x.is_meta and x.device == torch.device("meta") and x.device.index is None and str(x.device) == "meta" and x.data_ptr() == 0
    assert repr(x) == "tensor(..., device='meta', size=(2, 3))"
    assert torch.ones(3).to("meta").is_meta and x.new_ones(2).is_meta and torch.zeros_like(x).is_meta and (x + 1).is_meta and (x + torch.tensor(1.0)).is_meta
    again = pickle.loads(pickle.dumps(x.t()))
    assert again.is_meta and looks(again) == looks(x.t())
    assert x.untyped_storage().nbytes() == 24


def test_huge_tensors_cost_nothing():
    x = torch.empty(1 << 20, 1 << 20, device="meta")
    assert (x @ x).shape == x.shape


@pytest.mark.parametrize("read", [
    lambda x: x.sum().item(), lambda x: x.tolist(), lambda x: bool(x.sum() > 0), lambda x: x.cpu(), lambda x: x.to("cpu"), lambda x: x.nonzero(), lambda x: x[x > 0],
    lambda x: torch.ones(2, 3).copy_(x), lambda x: x.unique(), lambda x: torch.equal(x, x)])
def test_elements_are_not_there(read):
    with pytest.raises(NotImplementedError):
        read(torch.empty(2, 3, device="meta"))


def test_other_refusals():
    x = torch.empty(2, 3, device="meta")
    with pytest.raises(TypeError, match="numpy"):
        x.numpy()
    with pytest.raises(RuntimeError, match="same device"):
        x + torch.ones(3)
    with pytest.raises(BufferError):
        torch.utils.dlpack.to_dlpack(x)
    with pytest.raises(BufferError):
        memoryview(x)
    with pytest.raises(NotImplementedError):
        x.untyped_storage()[0]
    with pytest.raises(NotImplementedError):
        x.apply_(abs)


def test_random_numbers_are_not_used_up():
    torch.manual_seed(3)
    a = torch.rand(2)
    torch.manual_seed(3)
    torch.rand(5, device="meta").normal_()
    assert torch.equal(torch.rand(2), a)
