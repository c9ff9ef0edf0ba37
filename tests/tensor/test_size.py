"""torch.Size, keys of ints and slices, and what is asked of every tensor without arguments."""
import copy
import gc
import pickle

import pytest

import rustorch_py as torch


def test_it_is_a_tuple_with_numel():
    s = torch.ones(2, 3, 4).shape
    assert type(s) is torch.Size and isinstance(s, tuple) and s == (2, 3, 4) and hash(s) == hash((2, 3, 4))
    assert s.numel() == 24 and torch.Size().numel() == 1 and repr(s) == str(s) == "torch.Size([2, 3, 4])"
    assert s[0] == 2 and s[-1] == 4 and s[True] == 3 and type(s[1:]) is torch.Size and s[1:] == (3, 4)
    assert (len(s), list(s), s.index(4), 3 in s) == (3, [2, 3, 4], 2, True)


def test_joined_and_repeated_it_stays_a_size():
    s = torch.Size([2, 3])
    for made, want in ((s + (1,), (2, 3, 1)), ((1,) + s, (1, 2, 3)), (s + s, (2, 3, 2, 3)), (s * 2, (2, 3, 2, 3)), (2 * s, (2, 3, 2, 3)), (s * 1, (2, 3))):
        assert type(made) is torch.Size and made == want
    for other in ([1], None, 1):
        with pytest.raises(TypeError, match="can only concatenate tuple"):
            s + other


def test_what_it_is_made_of():
    assert torch.Size([True, torch.tensor(3)]) == (1, 3) and all(type(n) is int for n in torch.Size([True, torch.tensor(3)]))
    for wrong in ([1.5], "ab", 3):
        with pytest.raises(TypeError):
            torch.Size(wrong)
    for key in (5, -3, 1 << 70):
        with pytest.raises(IndexError):
            torch.Size([1, 2])[key]
    for key in ("a", 1.0, None):
        with pytest.raises(TypeError):
            torch.Size([1, 2])[key]


def test_copies_and_subclasses():
    s = torch.Size([4, 5])
    for other in (pickle.loads(pickle.dumps(s)), copy.copy(s), copy.deepcopy(s)):
        assert type(other) is torch.Size and other == s

    class Named(torch.Size):
        pass

    named = Named([1, 2])
    named.name = "x"
    assert type(named) is Named and named == (1, 2) and named.name == "x" and type(named[:1]) is torch.Size


def test_many_made_and_dropped():
    tensors = [torch.ones((2,) * n) for n in range(12)]
    for _ in range(3):
        held = [t.shape for t in tensors for _ in range(40)]
        assert [len(s) for s in held] == [n for n in range(12) for _ in range(40)]
        assert not any(gc.is_tracked(s) for s in held)
        del held
        gc.collect()


def test_asked_without_arguments():
    t = torch.arange(24.0).reshape(2, 3, 4).transpose(0, 2)
    assert t.size() == t.shape == (4, 3, 2) and [t.size(d) for d in (0, 1, -1)] == [4, 3, 2]
    assert t.stride() == (1, 4, 12) and type(t.stride()) is tuple and t.dim() == t.ndimension() == 3 and t.numel() == 24
    assert not t.is_contiguous() and t.contiguous().is_contiguous() and t.is_floating_point() and not t.long().is_floating_point()
    dense = t.contiguous()
    assert dense.contiguous() is dense and dense.cpu() is dense and dense.to(torch.float32) is dense and dense.to("cpu") is dense
    assert dense.to(torch.float64).dtype == torch.float64 and dense.detach() is not dense
    assert torch.ones(0, 3).is_contiguous()
    for wrong in (3, -4, 1 << 40):
        with pytest.raises(IndexError):
            t.size(wrong)
    with pytest.raises(IndexError):
        torch.tensor(1.0).size(0)
    with pytest.raises(TypeError):
        t.size("a")


def test_keys_of_ints_and_slices_ask_whoever_overrides():
    x = torch.arange(12.0).reshape(3, 4).requires_grad_()
    (x[1] * x[1, 2] + x[0:1, 3].sum()).sum().backward()
    assert x.grad[1, 2] == 2 * 6 + 4 + 5 + 7 and x.grad[0, 3] == 4

    class Loud(torch.Tensor):
        asked = []

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            cls.asked.append(func)
            return super().__torch_function__(func, types, args, kwargs or {})

    loud = x.detach().as_subclass(Loud)
    assert type(loud[1:2]) is Loud and type(loud[0]) is Loud and len(Loud.asked) == 2
    with pytest.raises(IndexError):
        x[0, 0, 0]
    with pytest.raises(IndexError):
        torch.tensor(1.0)[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_nan_to_num(dtype):
    inf, top = float("inf"), torch.finfo(dtype).max
    x = torch.tensor([1.0, float("nan"), inf, -inf, -0.0], dtype=dtype)
    assert x.nan_to_num().tolist() == [1.0, 0.0, top, -top, 0.0] and x.nan_to_num().dtype == dtype
    assert x.nan_to_num(nan=2.0, posinf=3.0, neginf=-3.0).tolist() == [1.0, 2.0, 3.0, -3.0, 0.0]
    assert x[:, None].expand(5, 3).nan_to_num(7)[1].tolist() == [7.0] * 3
    y = x.clone().requires_grad_()
    z = y.nan_to_num()
    assert z.grad_fn.name() == "NanToNumBackward0"
    z.sum().backward()
    assert y.grad.tolist() == [1.0, 0.0, 0.0, 0.0, 1.0]
    assert torch.nan_to_num(torch.tensor([1, 2])).tolist() == [1, 2]
    out = torch.empty(5, dtype=dtype)
    assert torch.nan_to_num(x, out=out) is out and out[1] == 0
