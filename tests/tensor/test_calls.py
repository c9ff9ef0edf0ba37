"""What a call leaves behind: recycled tensor objects, calls without a tuple around their arguments, regions of one thread."""
import gc
import weakref

import pytest

import rustorch_py as torch
import rustorch_py.nn.functional as F


def test_recycled_tensors_are_blank():
    for _ in range(200):
        a = torch.ones(2, 2, 2, 2, 2, 2, 2, 2)              # more dimensions than a tensor has room for
        a.note = "mine"
        seen = weakref.ref(a)
        b = torch.ones(3, requires_grad=True) * 2
        b.register_hook(lambda g: g)
        b.retain_grad()
        b.sum().backward()
        del a, b
        assert seen() is None
        fresh = [torch.ones(2) + 1 for _ in range(100)]
        for t in fresh:
            assert not hasattr(t, "note") and t.__dict__ == {} and t.grad is None and t.grad_fn is None and t.is_leaf
            assert not t.requires_grad and t._version == 0 and t._base is None and t.shape == (2,) and t.stride() == (1,)


def test_recycled_tensors_in_cycles_and_chains():
    a = torch.ones(2)
    a.me = a                                                  # a cycle through the dictionary
    seen = weakref.ref(a)
    del a
    gc.collect()
    assert seen() is None
    x = torch.ones(1, requires_grad=True)
    for _ in range(50_000):
        x = x + 1
    del x                                                     # a long history goes without recursion


def test_subclasses_are_not_mixed_up():
    class Mine(torch.Tensor):
        pass

    for _ in range(100):
        t = torch.ones(2).as_subclass(Mine)
        t.note = 1
        p = torch.nn.Parameter(torch.ones(2))
        del t, p
        assert type(torch.ones(2) + 1) is torch.Tensor


@pytest.mark.parametrize("make", [torch.zeros, torch.ones, torch.empty])
def test_sizes_of_new_tensors(make):
    assert make(2, 3).shape == make((2, 3)).shape == make([2, 3]).shape == make(torch.Size([2, 3])).shape == (2, 3)
    assert make(()).shape == () and make(0).shape == (0,) and make(2, True).shape == (2, 1)
    with pytest.raises(RuntimeError, match="negative dimension -1"):
        make(2, -1)
    with pytest.raises(TypeError, match="must be tuple of ints"):
        make(2, 1.5)
    with torch.device("cpu"):
        assert make(2).device.type == "cpu"
    torch.set_default_dtype(torch.float64)
    try:
        assert make(2).dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_sizes_of_views():
    m = torch.arange(16.0).reshape(4, 4)
    assert m.reshape(16).shape == m.reshape((16,)).shape == m.reshape(-1).shape == m.view([16]).shape == (16,)
    assert torch.reshape(m, (2, 8)).shape == m.view(2, -1).shape == (2, 8)
    assert m.t().reshape(16).tolist() == m.t().contiguous().view(16).tolist()
    with pytest.raises(RuntimeError, match="not compatible with input tensor's size and stride"):
        m.t().view(16)
    with pytest.raises(RuntimeError, match="invalid for input of size 16"):
        m.reshape(3, 5)
    with pytest.raises(RuntimeError, match="only one dimension can be inferred"):
        m.view(-1, -1)
    with pytest.raises(TypeError):
        m.reshape("4")
    with pytest.raises(OverflowError):
        m.reshape(2**80)
    assert m.view(torch.int32).dtype is torch.int32


def test_implicit_softmax_dimension_warns_at_the_caller():
    x = torch.ones(2, 3)
    with pytest.warns(UserWarning, match="Implicit dimension choice") as caught:
        F.softmax(x)
    assert caught[0].filename == __file__


def test_cat_refuses_what_is_no_tensor():
    with pytest.raises(TypeError, match="element 1"):
        torch.cat([torch.ones(2), 3])
    assert torch.cat(t for t in (torch.ones(1), torch.zeros(1))).tolist() == [1, 0]


def test_calls_of_one_tensor_keep_their_checks():
    """sum, max, min and cat have a way of their own for plain arguments; everything else goes by the function."""
    for t in (torch.arange(6.0).reshape(2, 3), torch.arange(6).reshape(2, 3), torch.tensor([True, False]), torch.tensor([1.0, float("nan"), 2.0]),
              torch.arange(6.0).reshape(2, 3).t(), torch.ones(3, dtype=torch.float16), torch.tensor(3.0), torch.arange(300000.0)):
        for name in ("sum", "max", "min"):
            got, want = getattr(torch, name)(t), getattr(torch, {"sum": "sum", "max": "amax", "min": "amin"}[name])(t, dim=tuple(range(t.dim())))
            assert got.dtype == want.dtype and got.shape == () and torch.equal(got.nan_to_num(-7.0), want.nan_to_num(-7.0)), (name, t)
    with pytest.raises(RuntimeError, match="Specify the reduction dim"):
        torch.ones(0).max()
    with pytest.raises(RuntimeError):
        torch.ones(2, dtype=torch.complex64).max()
    assert torch.ones(0).sum().item() == 0 and torch.ones(2, dtype=torch.complex64).sum().item() == 2
    x = torch.tensor([1.0, 3.0, 3.0], requires_grad=True)
    x.max().backward()
    assert x.grad.tolist() == [0, 0.5, 0.5]
    x.grad = None
    torch.cat([x, x]).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]


def test_cat_of_plain_tensors():
    a, b = torch.arange(6.0).reshape(2, 3), torch.arange(6.0, 12.0).reshape(2, 3)
    assert torch.cat([a, b]).tolist() == a.tolist() + b.tolist()
    assert torch.cat((a, b), 1).tolist() == [p + q for p, q in zip(a.tolist(), b.tolist())] == torch.cat([a, b], -1).tolist()
    assert torch.cat([a, b.int()]).dtype is torch.float32 and torch.cat([a.t(), b.t()], 1).tolist() == torch.cat([a, b]).t().tolist()
    assert torch.cat([torch.ones(0), a]).shape == (2, 3) and torch.cat([torch.ones(0), torch.ones(0)]).shape == (0,)
    assert torch.cat([torch.ones(2, 0), a], 1).tolist() == a.tolist() and torch.cat([a]).tolist() == a.tolist()
    for wrong in (lambda: torch.cat([]), lambda: torch.cat([a, torch.ones(2, 4)]), lambda: torch.cat([a, torch.ones(3)]),
                  lambda: torch.cat([torch.tensor(1.0)]), lambda: torch.cat([a, 3])):
        with pytest.raises((RuntimeError, TypeError, ValueError)):
            wrong()
    with pytest.raises(IndexError):
        torch.cat([a, b], 2)
    with pytest.raises(TypeError):
        torch.cat([a, b], 1.0)


def test_switches_of_recording():
    """no_grad and its kin: entered, as decorators with and without a call, derived from, nested, left by an error."""
    import copy
    import pickle
    state = torch.is_grad_enabled, torch.is_inference_mode_enabled

    def now():
        return tuple(s() for s in state)
    with torch.no_grad():
        assert now() == (False, False)
        with torch.enable_grad():
            assert now() == (True, False)
            with torch.set_grad_enabled(False), torch.set_grad_enabled(mode=True):
                assert now() == (True, False)
        assert now() == (False, False)
    with pytest.raises(KeyError), torch.inference_mode():
        assert now() == (False, True)
        raise KeyError
    with torch.inference_mode(mode=False):
        assert now() == (True, False)
    assert now() == (True, False)
    for decorate, want in ((torch.no_grad, (False, False)), (torch.no_grad(), (False, False)), (torch.enable_grad(), (True, False)),
                           (torch.enable_grad, (True, False)), (torch.inference_mode, (False, True)), (torch.inference_mode(), (False, True)),
                           (torch.inference_mode(False), (True, False))):
        assert decorate(now)() == want and now() == (True, False) and decorate(now).__name__ == "now", decorate

    quiet = torch.set_grad_enabled(False)(now)
    assert now() == (True, False) and quiet() == (False, False) and now() == (True, False)

    class Quiet(torch.no_grad):
        pass
    with Quiet() as nothing:
        assert nothing is None and now() == (False, False)
    assert torch.no_grad(fn=now)() == torch.no_grad(fn=None)(now)() == Quiet(fn=now)() == (False, False)
    assert Quiet()(now)() == Quiet(now)() == (False, False) and isinstance(Quiet(), torch.no_grad)
    for switch in (torch.no_grad(), torch.enable_grad(), torch.inference_mode()):
        for other in (pickle.loads(pickle.dumps(switch)), copy.deepcopy(switch)):
            with other:
                assert now() != (True, False) or type(switch) is torch.enable_grad
    for switch in (torch.no_grad, torch.enable_grad):
        with pytest.raises(TypeError):
            switch(int)
    assert now() == (True, False)


def test_cat_skips_what_is_empty_and_has_one_dimension():
    none = torch.zeros(0)
    for dim in (0, 1, -1, -5):
        assert torch.cat([none], dim).shape == torch.cat([none, none], dim).shape == (0,)          # PyTorch does not look at dim then
    for dim, shape in ((0, (2, 3)), (1, (2, 3)), (-1, (2, 3))):
        assert torch.cat([none, torch.ones(2, 3)], dim).shape == torch.cat([torch.ones(2, 3), none], dim).shape == shape
