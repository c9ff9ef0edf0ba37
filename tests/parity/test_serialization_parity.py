"""Files of torch.save and of safetensors' own library, both ways."""
import io
import pickle

import pytest

torch = pytest.importorskip("torch")
numpy = pytest.importorskip("numpy")
safetensors = pytest.importorskip("safetensors.torch")

import rustorch_py as rt

DTYPES = ["float64", "float32", "float16", "bfloat16", "complex64", "complex128", "int64", "int32", "int16", "int8",
          "uint8", "bool"]


def from_torch_file(obj, **options):
    stream = io.BytesIO()
    torch.save(obj, stream)
    stream.seek(0)
    return rt.load(stream, **options)


def numbers(t):
    if str(t.dtype).endswith("bfloat16"):
        t = t.float()
    return t.detach().numpy()


@pytest.mark.parametrize("name", DTYPES)
def test_torch_files_of_every_dtype(name):
    source = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(getattr(torch, name))
    back = from_torch_file([source, source.t(), source[1], source[:0]])
    for a, b in zip([source, source.t(), source[1], source[:0]], back):
        assert str(b.dtype).split(".")[-1] == name and tuple(b.shape) == tuple(a.shape)
        assert b.stride() == a.stride()
        numpy.testing.assert_array_equal(numbers(b), numbers(a))
    back[0][1, 0] = 0      # the views share memory here as there
    assert not back[2][0].item()


def test_torch_checkpoint():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 3])
    source = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(),
              "epoch": 3, "best": 0.5, "name": "x", "size": torch.Size([2]), "dtype": torch.float16,
              "device": torch.device("cpu"), "parameter": model[0].weight}
    back = from_torch_file(source)
    ours = rt.nn.Sequential(rt.nn.Linear(3, 4), rt.nn.BatchNorm1d(4))
    ours.load_state_dict(back["model"])
    for (k, a), (j, b) in zip(model.state_dict().items(), ours.state_dict().items()):
        assert k == j
        numpy.testing.assert_array_equal(numbers(b), numbers(a))
    rt.optim.Adam(ours.parameters()).load_state_dict(back["optimizer"])
    assert back["schedule"]["milestones"] == schedule.milestones
    assert back["dtype"] is rt.float16 and back["size"] == (2,) and back["epoch"] == 3
    assert isinstance(back["parameter"], rt.nn.Parameter) and back["parameter"].requires_grad


class Unknown:
    pass


def test_torch_files_are_guarded_and_checked():
    with pytest.raises(pickle.UnpicklingError, match="not allowed by default"):
        from_torch_file(Unknown())
    assert isinstance(from_torch_file(Unknown(), weights_only=False), Unknown)
    stream = io.BytesIO()
    torch.save({"a": torch.arange(1000.0)}, stream)
    blob = stream.getvalue()
    for broken in (blob[:200], blob[:-200], blob.replace(b"data.pkl", b"date.pkl")):
        with pytest.raises(rt.errors.FileFormatError):
            rt.load(io.BytesIO(broken))
    at = blob.index(numpy.arange(500, 510, dtype="float32").tobytes())
    broken = bytearray(blob)
    broken[at] ^= 1
    with pytest.raises(rt.errors.FileFormatError):
        rt.load(io.BytesIO(bytes(broken)))
    torch.save([1], stream := io.BytesIO(), _use_new_zipfile_serialization=False)
    stream.seek(0)
    with pytest.raises(rt.errors.FileFormatError):
        rt.load(stream)


@pytest.mark.parametrize("name", [n for n in DTYPES if n != "complex128"])
def test_safetensors_both_ways(name, tmp_path):
    a = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(getattr(torch, name))
    safetensors.save_file({"x.y": a, "z": torch.arange(3)}, tmp_path / "theirs")
    back = rt.load(tmp_path / "theirs")
    numpy.testing.assert_array_equal(numbers(back["x.y"]), numbers(a))
    rt.save(back, tmp_path / "ours", metadata={"k": "v"})
    again = safetensors.load_file(tmp_path / "ours")
    assert torch.equal(again["x.y"], a) and torch.equal(again["z"], torch.arange(3))
    with safetensors.safe_open(tmp_path / "ours", "pt") as f:
        assert f.metadata()["k"] == "v"


def test_nested_files_are_still_safetensors(tmp_path):
    model = rt.nn.Linear(2, 2)
    optimizer = rt.optim.Adam(model.parameters())
    model(rt.ones(2)).sum().backward()
    optimizer.step()
    rt.save({"optimizer": optimizer.state_dict(), "model": model}, tmp_path / "f")
    assert all(isinstance(v, torch.Tensor) for v in safetensors.load_file(tmp_path / "f").values())
    rt.save({"optimizer": optimizer.state_dict()}, tmp_path / "g")
    assert "optimizer.state.0.exp_avg" in safetensors.load_file(tmp_path / "g")


def test_whole_modules_round_trip(tmp_path):
    model = rt.nn.Sequential(rt.nn.Linear(3, 4), rt.nn.Tanh())
    model[0].tied = model[0].weight
    rt.save(model, tmp_path / "m")
    with pytest.raises(pickle.UnpicklingError):
        rt.load(tmp_path / "m")
    back = rt.load(tmp_path / "m", weights_only=False)
    assert repr(back) == repr(model) and back[0].tied is back[0].weight
    assert isinstance(back[0].weight, rt.nn.Parameter)
    x = rt.randn(2, 3)
    assert rt.equal(back(x), model(x))
    rt.save(dict(p=model[0].weight), tmp_path / "p")
    assert isinstance(rt.load(tmp_path / "p")["p"], rt.nn.Parameter)
