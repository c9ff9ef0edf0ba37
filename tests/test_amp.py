"""Autocast and GradScaler: what holds beside PyTorch's lists (those: parity/test_autocast_parity.py)."""
import inspect
import pickle
import threading

import pytest

import rustorch_py as torch
from rustorch_py import nn
from rustorch_py.nn import functional as F
from rustorch_py.tensor import _autocast
from rustorch_py.utils.checkpoint import checkpoint


@pytest.fixture(autouse=True)
def state_is_left_as_found():
    yield
    assert not torch.is_autocast_enabled("cpu") and torch.is_autocast_cache_enabled()
    assert torch.get_autocast_dtype("cpu") == torch.bfloat16
    assert torch.autocast_increment_nesting() == 1 and torch.autocast_decrement_nesting() == 0


def test_a_weight_is_cast_once_and_gets_a_float32_gradient():
    w = torch.randn(3, 3, requires_grad=True)
    x = torch.randn(2, 3)
    with torch.autocast("cpu"):
        first, second = F.linear(x, w), F.linear(x, w)
        assert first.grad_fn.next_functions[1][0] is second.grad_fn.next_functions[1][0]      # one cast, one node
        with torch.no_grad():
            assert not F.linear(x, w).requires_grad
        assert F.linear(x, w).requires_grad
    (first + second).float().sum().backward()
    assert w.grad.dtype == torch.float32
    assert torch.allclose(w.grad, 2 * x.bfloat16().float().sum(0).expand(3, 3), rtol=1e-2, atol=1e-2)


def test_a_weight_written_in_place_is_cast_anew():
    w = torch.ones(2, 2, requires_grad=True)
    x = torch.ones(1, 2)
    with torch.autocast("cpu"):
        assert torch.mm(x, w).tolist() == [[2.0, 2.0]]
        with torch.no_grad():
            w.mul_(3)
        assert torch.mm(x, w).tolist() == [[6.0, 6.0]]
        with torch.autocast("cpu", dtype=torch.float16):
            assert torch.mm(x, w).dtype == torch.float16
        assert torch.mm(x, w).dtype == torch.bfloat16


def test_the_cache_can_be_off_and_ends_with_the_outermost_region():
    w = torch.ones(2, 2, requires_grad=True)
    with torch.autocast("cpu", cache_enabled=False):
        a, b = torch.mm(w, w), torch.mm(w, w)
        assert a.grad_fn.next_functions[0][0] is not b.grad_fn.next_functions[0][0]
    with torch.autocast("cpu"):
        with torch.autocast("cpu"):
            a = torch.mm(w, w)
        b = torch.mm(w, w)
        assert a.grad_fn.next_functions[0][0] is b.grad_fn.next_functions[0][0]
        torch.clear_autocast_cache()
        assert torch.mm(w, w).grad_fn.next_functions[0][0] is not b.grad_fn.next_functions[0][0]
    with torch.autocast("cpu"):
        assert torch.mm(w, w).grad_fn.next_functions[0][0] is not a.grad_fn.next_functions[0][0]


def test_regions_nest_decorate_and_undo_themselves_after_errors():
    x = torch.ones(2, 2)
    region = torch.autocast("cpu", dtype=torch.float16)

    @region
    def product(depth):
        """Multiply."""
        return torch.mm(x, x) if depth == 0 else product(depth - 1)

    assert product(2).dtype == torch.float16 and product.__doc__ == "Multiply."
    assert torch.mm(x, x).dtype == torch.float32
    with torch.autocast("cpu"):
        assert (x @ x).dtype == torch.bfloat16
        with torch.autocast("cpu", enabled=False):
            assert (x @ x).dtype == torch.float32
        assert x.mm(x).dtype == torch.bfloat16
        with pytest.raises(RuntimeError):
            torch.mm(x, torch.ones(3, 3))
        assert torch.mm(x, x).dtype == torch.bfloat16        # the failed call left autocast on
    with pytest.raises(ZeroDivisionError):
        with torch.autocast("cpu"):
            1 / 0


def test_the_state_belongs_to_the_thread():
    seen = {}
    x = torch.ones(2, 2)

    def other():
        seen["enabled"] = torch.is_autocast_enabled("cpu")
        seen["plain"] = torch.mm(x, x).dtype
        with torch.autocast("cpu", dtype=torch.float16):
            seen["own"] = torch.mm(x, x).dtype

    with torch.autocast("cpu"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert torch.mm(x, x).dtype == torch.bfloat16
    assert seen == {"enabled": False, "plain": torch.float32, "own": torch.float16}


def test_custom_functions_choose_their_dtype():
    seen = []

    class Product(torch.autograd.Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            seen.append((x.dtype, torch.mm(x, w).dtype, torch.is_autocast_enabled("cpu")))
            return torch.mm(x, w)

        @staticmethod
        @torch.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            x, w = ctx.saved_tensors
            seen.append((g.dtype, torch.is_autocast_enabled("cpu")))
            return g @ w.t(), x.t() @ g

    class Follows(Product):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cpu")
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            return torch.mm(x, w)

        @staticmethod
        @torch.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            x, w = ctx.saved_tensors
            product = g @ w.t()
            seen.append((product.dtype, torch.is_autocast_enabled("cpu")))
            return product.float(), (x.t() @ g).float()

    x, w = torch.ones(2, 2).bfloat16(), torch.ones(2, 2, requires_grad=True)
    with torch.autocast("cpu"):
        out = Product.apply(x, w)
    out.sum().backward()
    assert seen == [(torch.float32, torch.float32, False), (torch.float32, False)] and w.grad.dtype == torch.float32
    seen.clear()
    with torch.autocast("cpu"):
        out = Follows.apply(x, w)
    out.float().sum().backward()
    assert seen == [(torch.bfloat16, True)]
    with pytest.raises(ValueError, match="device_type"):
        torch.amp.custom_fwd(device_type=1)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint_runs_again_with_the_same_autocast(reentrant):
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    x = torch.randn(5, 4, requires_grad=True)
    seen, grads = [], []

    def part(value):
        out = layer(value)
        seen.append(out.dtype)
        return out

    for use in (False, True):
        layer.zero_grad()
        x.grad = None
        with torch.autocast("cpu"):
            out = checkpoint(part, x, use_reentrant=reentrant) if use else layer(x)
        assert out.dtype == torch.bfloat16
        out.float().square().sum().backward()
        grads.append([x.grad] + [p.grad for p in layer.parameters()])
    assert seen == [torch.bfloat16] * (2 if reentrant else len(seen))
    for a, b in zip(*grads):
        assert a.dtype == b.dtype == torch.float32 and torch.equal(a, b)


def test_backward_inside_a_region_gives_the_same_gradients():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.GELU(), nn.Flatten(), nn.Linear(48, 5))
    x, y = torch.randn(4, 1, 6, 6), torch.tensor([0, 1, 2, 3])
    results = []
    for inside in (False, True):
        model.zero_grad()
        with torch.autocast("cpu"):
            loss = F.cross_entropy(model(x), y)
            assert loss.dtype == torch.float32
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        results.append([p.grad for p in model.parameters()])
    for a, b in zip(*results):
        assert a.dtype == torch.float32 and torch.equal(a, b)


def test_second_derivatives_pass_through_the_casts():
    x = torch.randn(3, 3, requires_grad=True)
    with torch.autocast("cpu"):
        y = torch.mm(x, x).float().pow(2).sum()
    g, = torch.autograd.grad(y, x, create_graph=True)
    h, = torch.autograd.grad(g.sum(), x)
    assert g.dtype == h.dtype == torch.float32 and torch.isfinite(h).all()


def test_functions_keep_their_faces():
    assert list(inspect.signature(torch.mm).parameters) == ["input", "mat2", "out"]
    assert torch.mm.__name__ == "mm" and torch.nn.functional.mse_loss.__doc__
    assert torch.cat([torch.ones(1), torch.ones(1)], axis=0).shape == (2,)
    with torch.autocast("cpu"):
        assert torch.cat([torch.ones(1).bfloat16(), torch.ones(1)], axis=0).dtype == torch.float32
        assert torch.ones(2, 2).bfloat16().prod(dim=0, keepdims=True).dtype == torch.float32
    for fn in (torch.mm, torch.cat, F.mse_loss, F.linear, torch.fft.fft, torch.linalg.inv, F.max_pool2d):
        again = pickle.loads(pickle.dumps(fn))
        assert again.__name__ == fn.__name__ and type(again) is type(fn)
    restored = pickle.loads(pickle.dumps(F.mse_loss))
    with torch.autocast("cpu"):
        assert restored(torch.ones(2).bfloat16(), torch.ones(2).bfloat16()).dtype == torch.float32


def test_the_lists_name_functions_that_exist():
    for name in _autocast.RULES:
        space, _, rest = name.partition("_")
        found = getattr({"linalg": torch.linalg, "fft": torch.fft}[space], rest) if space in ("linalg", "fft") else getattr(F, name, None) or getattr(torch, name)
        assert type(found) is type(torch.mm), name


@pytest.mark.parametrize("make", [lambda: torch.cuda.amp.autocast(), lambda: torch.cpu.amp.autocast(), lambda: torch.cuda.amp.GradScaler(),
                                  lambda: torch.cpu.amp.GradScaler()])
def test_older_classes_say_that_they_are_old(make):
    with pytest.warns(FutureWarning, match="deprecated"):
        thing = make()
    assert isinstance(thing, (torch.amp.autocast, torch.amp.GradScaler))


def test_without_cuda_both_switch_themselves_off():
    with pytest.warns(UserWarning, match="CUDA is not available"):
        region = torch.autocast("cuda")
    x = torch.ones(2, 2)
    with region:
        assert torch.mm(x, x).dtype == torch.float32 and not torch.is_autocast_enabled()
    with pytest.warns(UserWarning, match="CUDA is not available"):
        scaler = torch.amp.GradScaler()
    p = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([p], 0.5)
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert p.item() == 0.5 and scaler.get_scale() == 1.0 and scaler.state_dict() == {} and not scaler.is_enabled()
    with pytest.warns(UserWarning, match="only supports dtypes"):
        assert not torch.autocast("cpu", dtype=torch.float32)._enabled


def test_older_functions_warn_and_answer():
    for call, want in ((torch.get_autocast_cpu_dtype, torch.bfloat16), (torch.get_autocast_gpu_dtype, torch.float16), (torch.is_autocast_cpu_enabled, False)):
        with pytest.warns(DeprecationWarning, match="deprecated"):
            assert call() == want


def test_scaler_keeps_one_state_an_optimizer_and_survives_pickle():
    a, b = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    first, second = torch.optim.SGD([a], 1.0), torch.optim.SGD([b], 1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    losses = scaler.scale((a.sum(), [b.sum() * float("inf")]))
    (losses[0] + losses[1][0]).backward()
    a.grad.fill_(8.0)
    scaler.step(first)
    scaler.step(second)
    assert a.item() == 0.0 and b.item() == 1.0               # the second optimizer's step was left out
    with pytest.raises(AssertionError, match="pickled"):
        pickle.dumps(scaler)
    scaler.update()
    twin = pickle.loads(pickle.dumps(scaler))
    assert twin.state_dict() == scaler.state_dict() and twin.get_scale() == 4.0
    other = torch.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()
    with pytest.raises(RuntimeError, match="empty"):
        other.load_state_dict({})


def test_an_optimizer_that_divides_by_itself_is_told_the_scale():
    told = []

    class Own(torch.optim.SGD):
        _step_supports_amp_scaling = True

        def step(self, closure=None):
            told.append((None if self.grad_scale is None else self.grad_scale.item(), float(self.found_inf)))

    p = nn.Parameter(torch.ones(1))
    optimizer = Own([p], 1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for unscale in (False, True):
        optimizer.zero_grad()
        scaler.scale(p.sum()).backward()
        if unscale:
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        assert p.grad.item() == (1.0 if unscale else 4.0)
    assert told == [(4.0, 0.0), (None, 0.0)] and not hasattr(optimizer, "found_inf")


@pytest.mark.parametrize("name", "autocast amp.autocast amp.GradScaler amp.custom_fwd is_autocast_enabled get_autocast_gpu_dtype cpu.amp.autocast "
                         "cuda.amp.autocast cuda.amp.GradScaler".split())
def test_names(name):
    found = torch
    for part in name.split("."):
        found = getattr(found, part)
