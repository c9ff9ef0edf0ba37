"""save and load: every layout of the file, damage, and what an untrusted pickle may do."""
import io
import json
import os
import pickle
import zipfile
from collections import Counter, OrderedDict

import pytest

import rustorch_py as torch
from rustorch_py.errors import FileFormatError
from rustorch_py.utils import load, save
from rustorch_py.utils import serialization


def round_trip(obj, **options):
    stream = io.BytesIO()
    save(obj, stream)
    stream.seek(0)
    return load(stream, **options)


def header_of(blob):
    n = int.from_bytes(blob[:8], "little")
    return json.loads(blob[8:8 + n])


def test_flat_state_dict_is_plain_safetensors(tmp_path):
    state = OrderedDict(weight=torch.arange(6).float().reshape(2, 3), bias=torch.ones(2, dtype=torch.bfloat16))
    save(state, tmp_path / "m.safetensors", metadata={"made by": "test"})
    header = header_of((tmp_path / "m.safetensors").read_bytes())
    assert header["weight"] == {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    assert header["bias"]["dtype"] == "BF16" and header["__metadata__"]["made by"] == "test"
    back = load(tmp_path / "m.safetensors")
    assert type(back) is OrderedDict and list(back) == ["weight", "bias"]
    assert back["weight"].tolist() == [[0, 1, 2], [3, 4, 5]] and back["bias"].dtype == torch.bfloat16
    assert os.listdir(tmp_path) == ["m.safetensors"]


def test_foreign_safetensors(tmp_path):
    head = json.dumps({"q": {"dtype": "I16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "f").write_bytes(len(head).to_bytes(8, "little") + head + b"\x01\x00\xff\xff")
    assert load(tmp_path / "f")["q"].tolist() == [1, -1]


def test_nested_objects_need_no_pickle(monkeypatch):
    obj = {"state": {0: {"step": torch.tensor(3.0)}}, "groups": [{"lr": 0.1, "betas": (0.9, 0.999), "fused": None}],
           "odd": [float("inf"), 1j, b"\x00\xff", torch.float16, torch.Size([2, 3]), {1, 2}, Counter("aab"), True,
                   2 ** 70, -0.0, "ü\n"]}
    monkeypatch.setattr(pickle, "Unpickler", None)
    back = round_trip(obj)
    assert back["state"][0]["step"].item() == 3 and back["groups"] == obj["groups"]
    assert back["odd"] == obj["odd"] and type(back["odd"][4]) is torch.Size


def test_every_dtype():
    for name in ("float64", "float32", "float16", "bfloat16", "complex64", "complex128", "int64", "int32", "int16",
                 "int8", "uint8", "bool"):
        value = torch.tensor([0, 1, 1]).to(getattr(torch, name))
        back = round_trip([value, value[0], value[:0]])
        assert [b.dtype for b in back] == [value.dtype] * 3
        assert back[0].tolist() == value.tolist() and back[1].dim() == 0 and back[2].shape == (0,)


def test_shared_memory_is_shared_again():
    a = torch.arange(10.0)
    back = round_trip({"a": a, "b": a[2:5], "t": a.view(2, 5).t(), "again": a, "step": a[::2]})
    back["a"][3] = 99
    assert back["b"][1] == 99 and back["t"][3, 0] == 99 and back["again"] is back["a"]
    assert back["t"].stride() == (1, 5) and back["step"].tolist() == [0, 2, 4, 6, 8]


def test_strides_and_gradients_are_kept():
    x = torch.zeros(2, 3, 4).permute(2, 0, 1)
    big = torch.zeros(1000)[::100]
    back = round_trip([x, torch.ones(2, requires_grad=True), big])
    assert back[0].stride() == x.stride() and back[1].requires_grad
    assert back[2].shape == (10,)


class Custom:
    def __init__(self):
        self.tensor = torch.arange(3)
        self.alias = self.tensor[1:]


def test_other_objects_are_pickled_and_guarded():
    with pytest.raises(pickle.UnpicklingError, match="not allowed by default"):
        round_trip(Custom())
    back = round_trip(Custom(), weights_only=False)
    back.tensor[1] = 7
    assert back.alias.tolist() == [7, 2]
    with serialization.safe_globals([Custom]):
        assert round_trip(Custom()).tensor.tolist() == [0, 1, 2]
    with pytest.raises(pickle.UnpicklingError):
        round_trip(Custom())
    cycle = [torch.ones(1)]
    cycle.append(cycle)
    back = round_trip(cycle)
    assert back[1] is back


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/should-not-exist",)


def test_pickles_cannot_run_code():
    with pytest.raises(pickle.UnpicklingError):
        round_trip([Evil()])
    assert not os.path.exists("/tmp/should-not-exist")


def pytorch_archive(text):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", text)
    stream.seek(0)
    return stream


LAYOUT = b"\x80\x02ctorch.serialization\n_get_layout\n(X%c\x00\x00\x00%stR."


@pytest.mark.parametrize("name", ["torch.from_file", "torch.__builtins__", "torch.sys", "torch.__loader__", "strided", "torch.load", "torch.strided.name", ""])
def test_layouts_of_a_file_are_layouts(name):
    with pytest.raises(FileFormatError, match="unknown layout"):
        load(pytorch_archive(LAYOUT % (len(name), name.encode())))


def test_layouts_load():
    for name in ("strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc"):
        full = "torch." + name
        assert load(pytorch_archive(LAYOUT % (len(full), full.encode()))) is getattr(torch, name)


@pytest.mark.parametrize("function, args", [(b"cbuiltins\nlist\n", b"(t"), (b"cbuiltins\nset\n", b"(t"), (b"ccollections\nOrderedDict\n", b"(t"),
                                            (b"ctorch.serialization\n_get_layout\n", b"(X\x0d\x00\x00\x00torch.stridedt"), (b"ctorch\nTensor\n", b"(t")])
def test_only_what_rebuilds_tensors_is_called(function, args):
    state = b"}X\x05\x00\x00\x00valueK\x01s"
    text = b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(" + function + b"ctorch\nTensor\n" + args + state + b"tR."
    with pytest.raises(FileFormatError, match="does not rebuild a tensor"):
        load(pytorch_archive(text))


def test_damage_is_refused(tmp_path):
    path = tmp_path / "m"
    save({"weight": torch.arange(6.0), "n": 3}, path)
    blob = path.read_bytes()
    for end in range(len(blob)):
        with pytest.raises(FileFormatError):
            load(io.BytesIO(blob[:end]))
    data_start = 8 + int.from_bytes(blob[:8], "little")
    for at in [*range(8), data_start, len(blob) - 1, blob.index(b"F32"), blob.index(b'"n"') if b'"n"' in blob else 9]:
        broken = bytearray(blob)
        broken[at] ^= 0x41
        with pytest.raises(FileFormatError):
            load(io.BytesIO(bytes(broken)))
    for junk in (b"", b"x", b"not a checkpoint at all", b"\x80\x02}q\x00.", b"PK\x03\x04" + b"\0" * 30):
        with pytest.raises(FileFormatError) as caught:
            load(io.BytesIO(junk))
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent")


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "m"
    save({"a": 1}, path)

    class Unsavable:
        def __reduce__(self):
            raise ValueError("no")

    with pytest.raises(ValueError):
        save([Unsavable()], path)
    assert load(path) == {"a": 1} and os.listdir(tmp_path) == ["m"]


def test_map_location_and_mmap(tmp_path):
    path = tmp_path / "m"
    save({"a": torch.arange(4.0), "b": torch.tensor([True])}, path)
    for where in ("cpu", torch.device("cpu"), {"cuda:0": "cpu"}, lambda storage, location: storage):
        assert load(path, map_location=where)["a"].tolist() == [0, 1, 2, 3]
    mapped = load(path, mmap=True)
    assert mapped["a"].tolist() == [0, 1, 2, 3] and mapped["b"].tolist() == [True]
    mapped["a"][0] = 5      # private to this process
    assert load(path)["a"][0] == 0
    with pytest.raises(ValueError):
        load(io.BytesIO(path.read_bytes()), mmap=True)


def test_several_objects_in_one_stream():
    stream = io.BytesIO()
    save({"a": torch.ones(3)}, stream)
    save([1, 2], stream)
    stream.seek(0)
    assert load(stream)["a"].tolist() == [1, 1, 1] and load(stream) == [1, 2]


def test_streams_are_checked():
    with pytest.raises(TypeError):
        save({}, 3)
    with pytest.raises(TypeError):
        load(3)


def forged(header, data=b""):
    """A file with any header, checksums left out."""
    text = json.dumps(header).encode()
    return io.BytesIO(len(text).to_bytes(8, "little") + text + data)


@pytest.mark.parametrize("header", [
    [], 3, {"a": 1}, {"a": {}}, {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
    {"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}},
    {"a": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}},
    {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
    {"a": {"dtype": "F32", "shape": ["x"], "data_offsets": [0, 4]}},
    {"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4 << 40]}},
    {"__metadata__": {"rustorch": "3"}}, {"__metadata__": {"rustorch": "{"}}, {"__metadata__": 3},
    {"__metadata__": {"rustorch": json.dumps({"version": 2})}},
    {"__metadata__": {"rustorch": json.dumps({"version": 1, "tensors": [{"name": "no"}], "root": 1})}},
    {"__metadata__": {"rustorch": json.dumps({"version": 1, "tensors": [], "root": {"t": 0}})}},
    {"__metadata__": {"rustorch": json.dumps({"version": 1, "tensors": [], "root": {"import": "os"}})}},
    {"__metadata__": {"rustorch": json.dumps({"version": 1, "tensors": [], "root": {"dtype": "Tensor"}})}},
    {"__metadata__": {"rustorch": json.dumps({"version": 1, "tensors": [], "root": {"pickle": "no"}})}},
    {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "__metadata__": {"rustorch": json.dumps(
        {"version": 1, "tensors": [{"name": "a", "shape": [9], "stride": [1], "offset": 0}], "root": {"t": 0}})}},
    {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "__metadata__": {"rustorch": json.dumps(
        {"version": 1, "tensors": [{"name": "a", "shape": [1], "stride": [1], "offset": -3}], "root": {"t": 0}})}},
    {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "__metadata__": {"rustorch": json.dumps(
        {"version": 1, "tensors": [{"name": "a", "shape": "x", "stride": None, "offset": 0}], "root": {"t": 0}})}},
], ids=lambda h: str(h)[:60])
def test_forged_headers_are_refused(header):
    with pytest.raises(FileFormatError) as caught:
        load(forged(header, b"1234"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sizes", [(300_000, 7, 0, 65_536, 65_537), (1 << 20,), (1,) * 50 + (400_000,)])
def test_files_read_by_several_threads(tmp_path, sizes, threads):
    """More than a megabyte: in pieces, each with a checksum of its own."""
    path = tmp_path / "big"
    state = {f"t{i}": torch.randn(n) for i, n in enumerate(sizes)} | {"bytes": torch.arange(13).byte()}
    save(state, path)
    got = load(path)
    assert list(got) == list(state) and all(torch.equal(got[k], state[k]) for k in state)
    with open(path, "rb") as stream:
        assert torch.equal(load(stream)["bytes"], state["bytes"]) and stream.read() == b""
    blob = path.read_bytes()
    for at in (len(blob) - 1, len(blob) // 2, len(blob) - 600_000):
        (tmp_path / "damaged").write_bytes(blob[:at] + bytes([blob[at] ^ 16]) + blob[at + 1:])
        with pytest.raises(FileFormatError, match="checksum"):
            load(tmp_path / "damaged")
    (tmp_path / "cut").write_bytes(blob[:-1000])
    with pytest.raises(FileFormatError, match="damaged"):
        load(tmp_path / "cut")
