"""Views in files: what shares memory shares it again, by PyTorch's loader and by ours."""
import io
from collections import Counter, OrderedDict

import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402

VIEWS = {
    "columns": lambda x: x[:, 1:3], "steps": lambda x: x[::2], "turned": lambda x: x.t(), "row": lambda x: x[2], "column": lambda x: x[1:, 1],
    "expanded": lambda x: x[:, :1].expand(4, 3), "none": lambda x: x[:, :0], "element": lambda x: x[3, 5], "whole": lambda x: x,
    "diagonal": lambda x: x.diagonal(), "unfolded": lambda x: x.reshape(-1).unfold(0, 4, 3),
}
NAMES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
         "complex32", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]


def through(obj, saver, loader, **options):
    stream = io.BytesIO()
    saver(obj, stream, **options)
    stream.seek(0)
    return loader(stream)


def place(t):
    return tuple(t.shape), tuple(t.stride()), t.storage_offset(), t.untyped_storage().nbytes()


@pytest.mark.parametrize("view", VIEWS)
def test_one_view(view):
    theirs, ours = (VIEWS[view](m.arange(24.0).reshape(4, 6)) for m in (torch, rt))
    expected = through(theirs, torch.save, torch.load)
    for got in (through(theirs, torch.save, rt.load), through(ours, rt.save, torch.load, format="pytorch"),
                through(ours, rt.save, rt.load, format="pytorch")):
        assert place(got) == place(expected) and got.tolist() == expected.tolist()
    own = through(ours, rt.save, rt.load)             # as much of the storage as the view reaches
    assert place(own)[:2] == place(expected)[:2] or not own.numel()
    assert own.tolist() == expected.tolist()


@pytest.mark.parametrize("saver", ["torch", "pytorch", "safetensors"])
@pytest.mark.parametrize("first", [False, True])
def test_base_and_views(saver, first):
    m = torch if saver == "torch" else rt
    x = m.arange(24.0).reshape(4, 6)
    obj = {"views": {name: make(x) for name, make in VIEWS.items()}, "base": x}
    obj = obj if first else {"base": x, **obj}
    options = {} if m is torch else {"format": saver}
    for loader in [rt] if saver == "safetensors" else [torch, rt]:
        back = through(obj, m.save, loader.load, **options)
        back["base"].copy_(loader.arange(24.0).reshape(4, 6) * 10)
        for name, make in VIEWS.items():
            assert back["views"][name].tolist() == make(back["base"]).tolist(), name


@pytest.mark.parametrize("name", NAMES)
def test_dtypes(name):
    x = rt.tensor([[1.0, 2], [4, 8]]).to(getattr(rt, name))
    a, b = through([x.t(), x], rt.save, torch.load, format="pytorch")
    assert a.dtype is getattr(torch, name) and a.stride() == (1, 2) and a.data_ptr() == b.data_ptr()
    assert a.to(torch.complex128).tolist() == x.t().to(rt.complex128).tolist()


def test_values_around_tensors():
    obj = OrderedDict(n=1, big=1 << 80, x=2.5, s="ä", none=None, t=(1, [True]), d={"a": b"b"}, c=Counter("aab"), dtype=rt.bfloat16,
                      size=rt.Size([2, 3]), device=rt.device("cpu"), p=rt.nn.Parameter(rt.ones(2)), g=rt.ones(1, requires_grad=True), f={1, 2})
    obj["again"] = obj["p"]
    back = through(obj, rt.save, lambda f: torch.load(f, weights_only=True), format="pytorch")
    assert list(back) == list(obj) and back["again"] is back["p"] and isinstance(back["p"], torch.nn.Parameter) and back["g"].requires_grad
    assert back["dtype"] is torch.bfloat16 and back["size"] == torch.Size([2, 3]) and back["device"] == torch.device("cpu")
    for name in ("n", "big", "x", "s", "none", "t", "d", "c", "f"):
        assert back[name] == obj[name] and type(back[name]) is type(obj[name])
    assert list(through(obj, rt.save, rt.load, format="pytorch")) == list(obj)


def test_states_of_model_and_optimizer(tmp_path):
    ours, theirs = (m.nn.Sequential(m.nn.Linear(3, 4), m.nn.BatchNorm1d(4)) for m in (rt, torch))
    optimizer = rt.optim.Adam(ours.parameters())
    ours(rt.randn(5, 3)).sum().backward()
    optimizer.step()
    rt.save({"model": ours.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "x.pt", format="pytorch")
    for mmap in (False, True):
        back = torch.load(tmp_path / "x.pt", mmap=mmap)
        theirs.load_state_dict(back["model"])
        for (k, a), (j, b) in zip(theirs.state_dict().items(), ours.state_dict().items()):
            assert k == j and a.tolist() == b.tolist()
            assert a.data_ptr() % 64 == 0 or not mmap
        other = torch.optim.Adam(theirs.parameters())
        other.load_state_dict(back["optimizer"])
        assert other.state[theirs[0].weight]["exp_avg"].tolist() == optimizer.state[ours[0].weight]["exp_avg"].tolist()


def test_refused():
    x = rt.ones(2)
    for obj, kind, text in [(rt.nn.Linear(1, 1), TypeError, "Linear"), (rt.nn.Linear, TypeError, "Linear"), ([x, x.view(rt.int32)], RuntimeError, "different types"),
                            (rt.ones(2, device="meta"), RuntimeError, "meta")]:
        with pytest.raises(kind, match=text):
            rt.save(obj, io.BytesIO(), format="pytorch")
    with pytest.raises(ValueError, match="format"):
        rt.save(x, io.BytesIO(), format="onnx")
    with pytest.raises(ValueError, match="metadata"):
        rt.save(x, io.BytesIO(), format="pytorch", metadata={"a": "b"})


def test_failed_save_leaves_the_file(tmp_path):
    rt.save(rt.ones(2), tmp_path / "x.pt", format="pytorch")
    with pytest.raises(TypeError):
        rt.save([rt.ones(3), rt.nn.Linear(1, 1)], tmp_path / "x.pt", format="pytorch")
    assert rt.load(tmp_path / "x.pt").tolist() == [1, 1] and len(list(tmp_path.iterdir())) == 1


def test_set_from_a_storage():
    for m in (torch, rt):
        x = m.arange(6.0)
        a, b = m.empty(0).set_(x.untyped_storage()), m.empty(0).set_(x.untyped_storage(), 1, (2, 2), (1, 3))
        x[4] = 40
        assert a.tolist() == [0, 1, 2, 3, 40, 5] and b.tolist() == [[1, 40], [2, 5]] and b.storage_offset() == 1
        assert m.empty(0).set_(x.untyped_storage(), 2, (2, 2)).stride() == (2, 1)
        assert m.empty(0, dtype=m.uint8).set_(x.untyped_storage()).shape == (24,)
        with pytest.raises(RuntimeError):
            m.empty(0).set_(m.arange(3))


def test_resized_storages_keep_their_tensors():
    x = rt.arange(4.0)
    s = x.untyped_storage()
    s.resize_(0)
    assert s.nbytes() == 0
    s.resize_(16)
    x.copy_(rt.arange(4.0) * 2)                       # given back and taken again, as a sharded parameter's memory is
    assert rt.empty(0).set_(s).tolist() == [0, 2, 4, 6]
    for _ in range(3):
        s.resize_(s.nbytes() * 64 + 64)
    big = rt.empty(0).set_(s)
    assert big[:4].tolist() == [0, 2, 4, 6] and x.tolist() == [0, 2, 4, 6]
    del s, big
    assert x.tolist() == [0, 2, 4, 6]
    with pytest.raises(RuntimeError):
        rt.frombuffer(bytearray(8), dtype=rt.float32).untyped_storage().resize_(80)
