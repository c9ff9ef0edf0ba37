"""Every kind of data that `rustorch train` reads, whole and damaged."""
import gzip
import struct

import pytest

from rustorch_py.cli import _data
from rustorch_py.errors import DataError, MissingDependencyError

numpy = pytest.importorskip("numpy")


def idx(array, code=0x08):
    """MNIST-format bytes of an array, written out by hand."""
    array = numpy.asarray(array)
    return (bytes([0, 0, code, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
            + array.astype(_data._IDX_TYPES[code]).tobytes())


def images(n, side=6, classes=3):
    rng = numpy.random.default_rng(0)
    labels = numpy.arange(n) % classes
    return (rng.integers(0, 60, (n, side, side)) + 60 * labels[:, None, None]).astype("uint8"), labels


def mnist(folder, zipped=False, train=30, test=9):
    folder.mkdir(exist_ok=True)
    for part, n in (("train", train), ("t10k", test)):
        if not n:
            continue
        x, y = images(n)
        for kind, dims, array in (("images", 3, x), ("labels", 1, y)):
            content = idx(array)
            path = folder / f"{part}-{kind}-idx{dims}-ubyte{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(content) if zipped else content)
    return folder


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_folder(tmp_path, zipped):
    split = _data.load([str(mnist(tmp_path / "m", zipped))])
    assert tuple(split.train_x.shape) == (30, 1, 6, 6) and tuple(split.test_x.shape) == (9, 1, 6, 6)
    assert split.train_y.tolist() == images(30)[1].tolist() and split.class_names == ["0", "1", "2"] and split.is_image
    assert split.train_x.mean().item() == pytest.approx(0, abs=1e-4)
    assert split.train_x.std().item() == pytest.approx(1, abs=1e-2)
    back = split.train_x[3, 0] * split.std + split.mean
    assert (back * 255).round().to(split.test_y.dtype).tolist() == images(30)[0][3].tolist()


def test_mnist_pair_is_split_in_strata(tmp_path):
    folder = mnist(tmp_path / "m", test=0)
    pair = [str(folder / "train-images-idx3-ubyte"), str(folder / "train-labels-idx1-ubyte")]
    split = _data.load(pair, held_out=0.2)
    assert len(split.test_y) == 6 and sorted(split.test_y.tolist()) == [0, 0, 1, 1, 2, 2]
    assert len(split.train_y) == 24
    again, other = _data.load(pair, held_out=0.2), _data.load(pair, held_out=0.2, seed=1)
    assert again.test_x.tolist() == split.test_x.tolist() and other.test_x.tolist() != split.test_x.tolist()
    assert len(_data.load([str(folder)]).test_y) == 6


@pytest.mark.parametrize("code, dtype", [(0x08, "uint8"), (0x09, "int8"), (0x0B, "int16"), (0x0C, "int32"),
                                         (0x0D, "float32"), (0x0E, "float64")])
def test_idx_types(tmp_path, code, dtype):
    array = numpy.array([[1, 2, 3], [4, 5, 100]], dtype=dtype)
    (tmp_path / "f").write_bytes(idx(array, code))
    read = _data.read_idx(tmp_path / "f")
    assert read.tolist() == array.tolist()


@pytest.mark.parametrize("damage, message", [
    (lambda b: b[:-1], "cut off"), (lambda b: b[:6], "inside its header"), (lambda b: b"", "not an MNIST-format"),
    (lambda b: b + b"x", "longer than"), (lambda b: b"\x01" + b[1:], "not an MNIST-format"),
    (lambda b: b[:4] + b"\xff\xff\xff\xff" * 3 + b[16:], "no plausible size"),
    (lambda b: gzip.compress(b)[:-20], "damaged"), (lambda b: b"\x1f\x8b" + b[2:], "damaged"),
    (lambda b: gzip.compress(b)[:40] + b"????" + gzip.compress(b)[44:], "damaged|longer|cut"),
])
def test_damaged_idx(tmp_path, damage, message):
    folder = mnist(tmp_path / "m")
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=message) as caught:
        _data.load([str(folder)])
    assert "\n" not in str(caught.value) and "train-images" in str(caught.value)


def test_mismatched_idx(tmp_path):
    folder = mnist(tmp_path / "m")
    i, l = folder / "train-images-idx3-ubyte", folder / "train-labels-idx1-ubyte"
    with pytest.raises(DataError, match="swapped"):
        _data.load([str(l), str(i)])
    with pytest.raises(DataError, match="give images and labels"):
        _data.load([str(i)])
    with pytest.raises(DataError, match="30 samples.* 9 labels"):
        _data.load([str(i), str(folder / "t10k-labels-idx1-ubyte")])
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="its labels file is not"):
        _data.load([str(folder)])
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(numpy.full(9, 7)))
    with pytest.raises(DataError, match="classes that the training part lacks"):
        _data.load([str(folder)])
    with pytest.raises(DataError, match="two MNIST-format files"):
        _data.load([str(i), str(l), str(i)])


@pytest.mark.parametrize("text, label", [
    ("a,b,species\n" + "".join(f"{i},{i * 2.5},{'ox' if i % 2 else 'bee'}\n" for i in range(20)), None),
    ("label;a;b\n" + "".join(f"{'ox' if i % 2 else 'bee'};{i};{i * 2.5}\n" for i in range(20)), None),
    ("a,kind,b\n" + "".join(f"{i},{'ox' if i % 2 else 'bee'},{i * 2.5}\n" for i in range(20)), "kind"),
    ("".join(f"{i}\t{i * 2.5}\t{'ox' if i % 2 else 'bee'}\n" for i in range(20)), None),
    ("".join(f"{'ox' if i % 2 else 'bee'},{i},{i * 2.5}\n" for i in range(20)), "0"),
    ("\ufeffx,y z,class\r\n" + "".join(f"{i},{i * 2.5},\"{'ox' if i % 2 else 'bee'}\"\r\n" for i in range(20)), None),
])
def test_csv(tmp_path, text, label):
    path = tmp_path / "farm.csv"
    path.write_text(text, encoding="utf-8", newline="")
    split = _data.load([str(path)], label=label)
    assert split.class_names == ["bee", "ox"] and not split.is_image and split.input_shape == (2,)
    assert len(split.train_y) == 16 and sorted(split.test_y.tolist()) == [0, 0, 1, 1]
    raw = split.raw_test_x.tolist()
    assert all(b == 2.5 * a and int(a) % 2 == y for (a, b), y in zip(raw, split.test_y.tolist()))


def test_csv_number_classes_sort_as_numbers(tmp_path):
    path = tmp_path / "n.csv"
    path.write_text("x,label\n" + "".join(f"{i},{(2, 10, -1)[i % 3]}\n" for i in range(12)))
    assert _data.load([str(path)]).class_names == ["-1", "2", "10"]


@pytest.mark.parametrize("text, message", [
    ("", "is empty"), ("a,label\n", "no rows"), ("1\n2\n", "single column"), ("a,label\n1,x\n2\n", "line 3: 1 columns"),
    ("a,label\n1,x\nfour,y\n", "line 3, column 'a': expected a number, got 'four'"),
    ("1,x\n,y\n", "line 2, column number 0: expected a number, got ''"),
    ("a,label\n1,x\n2,\n3,y\n", "line 3: the class is empty"), ("a,label\n1,0.5\n2,1.5\n", "fractions"),
    ("a,label\nnan,0\n2,1\n3,0\n4,1\n", "nan or infinite"), ("a,label\n1,x\n2,x\n", "at least two classes"),
    ("a,label\n1,x\n2,y\n3,y\n", "1 sample"),
    ("a,label\n" + "".join(f"{i},c{i}\n" for i in range(30)), "30 different classes"),
])
def test_damaged_csv(tmp_path, text, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        _data.load([str(path)])
    assert "\n" not in str(caught.value)


def test_csv_label_that_is_not_there(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,x\n2,y\n")
    with pytest.raises(DataError, match="no column 'kind'; its columns are a, b"):
        _data.load([str(path)], label="kind")
    with pytest.raises(DataError, match="no column 5"):
        _data.load([str(path)], label="5")
    path.write_bytes(b"\xff\xfe\x00\x80binary")
    with pytest.raises(DataError, match="not a text file"):
        _data.load([str(path)])


def test_npz(tmp_path):
    x, y = images(30)
    for arrays in ({"x": x, "y": y}, {"X": x, "labels": y.astype("float32")}, {"images": x[..., None], "targets": y[:, None]},
                   {"data": x, "target": numpy.array(["a", "b", "c"])[y]}):
        numpy.savez(tmp_path / "d.npz", **arrays)
        split = _data.load([str(tmp_path / "d.npz")])
        assert split.input_shape == (1, 6, 6) and len(split.test_y) == 6 and split.num_classes == 3
    numpy.savez_compressed(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x[:6], y_test=y[:6])
    split = _data.load([str(tmp_path / "d.npz")])
    assert len(split.train_y) == 30 and split.test_y.tolist() == y[:6].tolist()
    numpy.savez(tmp_path / "t.npz", x=x.reshape(30, 36), y=y)
    assert _data.load([str(tmp_path / "t.npz")]).input_shape == (36,)


@pytest.mark.parametrize("arrays, message", [
    ({"a": [1]}, "expected arrays x and y"), ({"x": numpy.zeros((4, 3)), "y": [0, 1]}, "4 samples.*2 labels"),
    ({"x": numpy.zeros(4), "y": [0, 1, 0, 1]}, "at least 2 dimensions"),
    ({"x": numpy.zeros((4, 3)), "y": [0.5, 1, 0, 1]}, "fractions"),
    ({"x": numpy.zeros((4, 3)), "y": numpy.zeros((4, 2))}, "1 dimension"),
    ({"x_train": numpy.zeros((4, 3)), "y_train": [0, 1, 0, 1], "x_test": numpy.zeros((4, 3))}, "without its labels"),
    ({"x_train": numpy.zeros((4, 3)), "y_train": [0, 1, 0, 1], "x_test": numpy.zeros((4, 2)), "y_test": [0, 1, 0, 1]},
     "samples of x_train"),
    ({"x": numpy.full((4, 3), numpy.inf), "y": [0, 1, 0, 1]}, "infinite"),
    ({"x": numpy.array([{}] * 4, dtype=object), "y": [0, 1, 0, 1]}, "not a readable .npz"),
])
def test_wrong_npz(tmp_path, arrays, message):
    numpy.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        _data.load([str(tmp_path / "d.npz")])
    assert "\n" not in str(caught.value)


def test_damaged_npz(tmp_path):
    x, y = images(30)
    numpy.savez(tmp_path / "d.npz", x=x, y=y)
    good = (tmp_path / "d.npz").read_bytes()
    for bad in (good[:200], b"", b"text", good[:300] + bytes(40) + good[340:]):
        (tmp_path / "d.npz").write_bytes(bad)
        with pytest.raises(DataError, match="not a readable .npz"):
            _data.load([str(tmp_path / "d.npz")])


def picture_folder(root, parts=("",), n=5, size=(10, 10), mode="L"):
    image_module = pytest.importorskip("PIL.Image")
    rng = numpy.random.default_rng(1)
    for part in parts:
        for c, name in enumerate(("cat", "dog")):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(n):
                shape = size[::-1] if mode == "L" else (*size[::-1], 3)
                image_module.fromarray((rng.integers(0, 80, shape) + 100 * c).astype("uint8")).save(folder / f"{i}.png")
    return root


def test_image_folder(tmp_path):
    split = _data.load([str(picture_folder(tmp_path / "a"))])
    assert split.input_shape == (1, 10, 10) and split.class_names == ["cat", "dog"] and sorted(split.test_y.tolist()) == [0, 1]
    split = _data.load([str(picture_folder(tmp_path / "b", ("train", "test"), mode="RGB"))], image_size=6)
    assert split.input_shape == (3, 6, 6) and len(split.train_y) == len(split.test_y) == 10


def test_damaged_image_folder(tmp_path):
    root = picture_folder(tmp_path / "a")
    (root / "dog" / "9.png").write_bytes((root / "dog" / "0.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"9\.png cannot be read"):
        _data.load([str(root)])
    (root / "dog" / "9.png").write_text("no image")
    with pytest.raises(DataError, match=r"9\.png cannot be read"):
        _data.load([str(root)])
    (root / "dog" / "9.png").unlink()
    (root / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        _data.load([str(root)])
    other = picture_folder(tmp_path / "b", ("train", "test"))
    (other / "test" / "cow").mkdir()
    with pytest.raises(DataError, match="class folders are not those"):
        _data.load([str(other)])
    with pytest.raises(DataError, match="neither MNIST-format"):
        _data.load([str(root / "cat")])
    from PIL import Image
    Image.new("L", (11, 10)).save(root / "cat" / "z.png")
    (root / "empty").rmdir()
    with pytest.raises(DataError, match="--image-size"):
        _data.load([str(root)])


def test_missing_libraries_are_named(tmp_path, monkeypatch):
    import sys
    root = picture_folder(tmp_path / "a")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependencyError, match="pip install pillow"):
        _data.load([str(root)])
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingDependencyError, match=r"rustorch_py\[demo\]"):
        _data.load(["digits"])


def test_no_such_file(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        _data.load([str(tmp_path / "nowhere")])
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,x\n2,y\n3,x\n4,y\n")
    with pytest.raises(DataError, match="--label is for CSV"):
        _data.load([str(mnist(tmp_path / "m"))], label="y")


def test_digits():
    pytest.importorskip("sklearn")
    split = _data.load(["digits"])
    assert split.input_shape == (1, 8, 8) and split.num_classes == 10
    assert len(split.train_y) + len(split.test_y) == 1797 and len(split.test_y) == 359
    counts = [split.test_y.tolist().count(c) for c in range(10)]
    assert min(counts) >= 35 and max(counts) <= 37
