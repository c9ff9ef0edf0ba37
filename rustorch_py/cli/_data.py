"""Readers for the data that `rustorch train` takes; everything damaged becomes one DataError.

NumPy reads and shapes the files; tensors share its memory from there.
"""
from __future__ import annotations

import gzip
import os
import zipfile
import zlib

from .. import tensor as _t
from ..errors import DataError, MissingDependencyError

_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".pgm", ".ppm", ".tif", ".tiff")
_LABEL_COLUMNS = ("label", "target", "class", "y")


class Split:
    """Training and held-out samples, scaled, as tensors.

    Attributes:
        train_x, train_y, test_x, test_y: float32 inputs, int64 classes.
        raw_test_x: held-out inputs before scaling, for pictures.
        class_names: texts by class number.
        is_image: inputs are (N, C, H, W), else (N, features).
        name: short name of the data.
        mean, std: what the inputs were scaled with: numbers for images, lists for tables.
    """

    def __init__(self, name, train, test, class_names, is_image):
        import numpy
        self.name, self.class_names, self.is_image = name, [str(c) for c in class_names], is_image
        train_x, train_y = train
        test_x, test_y = test
        # Scaled by the training part alone: nothing of the held-out part may leak into the model.
        if is_image:
            mean, std = float(train_x.mean()), float(train_x.std()) or 1.0
            self.mean, self.std = mean, std
        else:
            mean, std = train_x.mean(0), train_x.std(0)
            std[std == 0] = 1.0
            self.mean, self.std = mean.tolist(), std.tolist()

        def tensor(array, dtype):
            return _t.from_numpy(numpy.ascontiguousarray(array, dtype=dtype))

        self.train_x = tensor((train_x - mean) / std, "float32")
        self.test_x = tensor((test_x - mean) / std, "float32")
        self.raw_test_x = tensor(test_x, "float32")
        self.train_y, self.test_y = tensor(train_y, "int64"), tensor(test_y, "int64")

    @property
    def input_shape(self):
        return tuple(self.train_x.shape[1:])

    @property
    def num_classes(self):
        return len(self.class_names)


def name_of(sources):
    """Return the short name of what `--data` names."""
    return os.path.basename(os.path.normpath(sources[0])).split(".")[0]


def load(sources, *, label=None, image_size=None, held_out=0.2, seed=0):
    """Read what `--data` names and split off the held-out part.

    Args:
        sources: list of one source, or of two MNIST-format files (images, labels).
        label: CSV column of the class.
        image_size: side to which a folder's images are scaled.
        held_out: share of each class held out if the data have no test part of their own.
        seed: of that choice.

    Raises:
        DataError: anything that is missing, damaged or does not match.
    """
    if len(sources) > 2:
        raise DataError(f"--data takes one source or two MNIST-format files, got {len(sources)}")
    name = name_of(sources)
    if len(sources) == 2:
        train, test = (_idx_inputs(sources[0]), _idx_labels(sources[1])), None
        _check_pair(*train, *sources)
        classes, is_image = None, True
    else:
        source = sources[0]
        if source == "digits":
            train, test, classes, is_image = _digits()
        elif os.path.isdir(source):
            train, test, classes, is_image = _folder(source, image_size)
        elif not os.path.exists(source):
            raise DataError(f"--data {source}: no such file or folder (and not 'digits')")
        elif source.lower().endswith(".npz"):
            train, test, classes, is_image = _npz(source)
        elif _looks_like_idx(source):
            raise DataError(f"{source} is an MNIST-format file: give images and labels, --data IMAGES LABELS, or their folder")
        else:
            train, test, classes, is_image = _csv(source, label)
    if label is not None and not (len(sources) == 1 and os.path.isfile(sources[0]) and is_image is False):
        raise DataError("--label is for CSV files")
    train_x, train_y = train
    import numpy
    if not numpy.isfinite(train_x).all() or (test is not None and not numpy.isfinite(test[0]).all()):
        raise DataError(f"{name}: the inputs hold nan or infinite values")
    if classes is None:
        values = numpy.unique(train_y)
        if test is not None and not numpy.isin(test[1], values).all():
            unknown = sorted(set(test[1].tolist()) - set(values.tolist()))
            raise DataError(f"{name}: the test part has classes that the training part lacks: {unknown[:5]}")
        classes = values.tolist()
        train_y = numpy.searchsorted(values, train_y)
        test = test and (test[0], numpy.searchsorted(values, test[1]))
    if len(classes) < 2:
        raise DataError(f"{name}: a classifier needs at least two classes, the labels hold {len(classes)}")
    if test is None:
        (train_x, train_y), test = _hold_out(name, train_x, train_y, held_out, seed)
    return Split(name, (train_x, train_y), test, classes, is_image)


def _hold_out(name, x, y, share, seed):
    """Split off `share` of each class, at least one sample of each, chosen by the seed."""
    import numpy
    generator = _t.Generator()
    generator.manual_seed(seed)
    held = numpy.zeros(len(y), dtype=bool)
    for c in range(int(y.max()) + 1):
        members = numpy.flatnonzero(y == c)
        if len(members) < 2:
            raise DataError(f"{name}: class number {c} has {len(members)} sample, at least 2 are needed to hold one out")
        order = _t.randperm(len(members), generator=generator).tolist()
        count = min(len(members) - 1, max(1, round(share * len(members))))
        held[members[order[:count]]] = True
    return (x[~held], y[~held]), (x[held], y[held])


def _check_pair(x, y, x_name, y_name):
    if len(x) != len(y):
        raise DataError(f"{x_name} holds {len(x)} samples, {y_name} {len(y)} labels: the two do not belong together")
    if not len(x):
        raise DataError(f"{x_name} holds no samples")


def _digits():
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingDependencyError("--data digits: the images come with scikit-learn, which is not installed; run "
                                     "`pip install rustorch_py[demo]`") from None
    digits = load_digits()
    # Grey values 0 to 16 of 8×8 blocks of the scanned forms.
    images = digits.images.astype("float32")[:, None] / 16.0
    return (images, digits.target.astype("int64")), None, list(range(10)), True


# -- MNIST format (IDX) --------------------------------------------------------------------------

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_IDX_NBYTES = 16 << 30


def _open(path):
    file = open(path, "rb")
    magic = file.read(2)
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if magic == b"\x1f\x8b" else file


def _looks_like_idx(path):
    try:
        with _open(path) as file:
            head = file.read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in _IDX_TYPES and 1 <= head[3] <= 4


def read_idx(path):
    """Return the array in an MNIST-format file, plain or gzipped.

    Source: the format's description at the end of Y. LeCun's MNIST page: two zero bytes, element type,
    number of dimensions, the sizes as big-endian 32-bit integers, then the elements in C order.
    """
    import numpy
    try:
        with _open(path) as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _IDX_TYPES or not 1 <= head[3] <= 4:
                raise DataError(f"{path} is not an MNIST-format file: it begins with {head.hex(' ') or 'nothing'}")
            sizes = file.read(4 * head[3])
            if len(sizes) < 4 * head[3]:
                raise DataError(f"{path} ends inside its header")
            shape = tuple(int.from_bytes(sizes[i:i + 4], "big") for i in range(0, len(sizes), 4))
            dtype = numpy.dtype(_IDX_TYPES[head[2]])
            count = 1
            for size in shape:
                count *= size
            wanted = count * dtype.itemsize
            if wanted > _MAX_IDX_NBYTES:
                raise DataError(f"{path}: its header promises {wanted:,} bytes, which is no plausible size; it is damaged")
            body = file.read(wanted)
            if len(body) < wanted:
                raise DataError(f"{path} is cut off: {len(body):,} of {wanted:,} bytes for shape {shape}")
            if file.read(1):
                raise DataError(f"{path} is longer than its shape {shape} allows; it is damaged")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged: {error}") from None
    return numpy.frombuffer(body, dtype).reshape(shape)


def _idx_inputs(path):
    array = read_idx(path)
    if array.ndim not in (3, 4):
        raise DataError(f"{path}: images need 3 dimensions (number, height, width), this file has {array.ndim}; are images "
                        "and labels swapped?")
    scale = 255.0 if array.dtype.kind == "u" else 1.0
    array = array.astype("float32") / scale
    return array[:, None] if array.ndim == 3 else array


def _idx_labels(path):
    array = read_idx(path)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(f"{path}: labels need 1 dimension of integers, this file has shape {array.shape} of "
                        f"{array.dtype.name}; are images and labels swapped?")
    return array.astype("int64")


def _find_idx(folder, names):
    """Return the one file in a folder whose name begins with one of `names`, or None."""
    found = sorted(f for f in os.listdir(folder) if f.startswith(names) and os.path.isfile(os.path.join(folder, f)))
    # A file beside its own .gz is the same data twice.
    plain = [f for f in found if not f.endswith(".gz")] or found
    if len(plain) > 1:
        raise DataError(f"{folder}: several files begin with {names[0]}: {', '.join(plain)}")
    return os.path.join(folder, plain[0]) if plain else None


# -- folders -------------------------------------------------------------------------------------

def _folder(folder, image_size):
    paths = {(part, kind): _find_idx(folder, tuple(f"{p}{sep}{kind}" for p in prefixes for sep in "-_."))
             for part, prefixes in (("train", ("train",)), ("test", ("t10k", "test")))
             for kind in ("images", "labels")}
    if paths["train", "images"] or paths["train", "labels"]:
        parts = []
        for part in ("train", "test"):
            images, labels = paths[part, "images"], paths[part, "labels"]
            if not images and not labels:
                parts.append(None)
                continue
            if not images or not labels:
                missing, there = ("labels", images) if images else ("images", labels)
                raise DataError(f"{folder}: {os.path.basename(there)} is there, its {missing} file is not")
            x, y = _idx_inputs(images), _idx_labels(labels)
            _check_pair(x, y, images, labels)
            parts.append((x, y))
        if parts[1] is not None and parts[0][0].shape[1:] != parts[1][0].shape[1:]:
            raise DataError(f"{folder}: training images are {parts[0][0].shape[2:]}, test images {parts[1][0].shape[2:]}")
        return parts[0], parts[1], None, True
    return _image_folder(folder, image_size)


def _subfolders(folder):
    return sorted(f for f in os.listdir(folder) if not f.startswith(".") and os.path.isdir(os.path.join(folder, f)))


def _image_folder(folder, size):
    inner = _subfolders(folder)
    test_name = next((n for n in ("test", "val", "validation") if n in inner), None)
    if "train" in inner and test_name:
        train_root, test_root = os.path.join(folder, "train"), os.path.join(folder, test_name)
    else:
        train_root, test_root = folder, None
    classes = _subfolders(train_root)
    if not classes:
        raise DataError(f"{folder}: neither MNIST-format files (train-images...) nor one folder of images a class")
    files = _class_files(train_root, classes)
    test_files = _class_files(test_root, classes) if test_root else None
    if test_root and _subfolders(test_root) != classes:
        raise DataError(f"{test_root}: its class folders are not those of {train_root}")
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingDependencyError(f"{folder}: reading images needs pillow; run `pip install pillow`") from None
    import numpy

    def read(path, mode):
        try:
            with Image.open(path) as image:
                picture = image.convert(mode)
                if size and picture.size != (size, size):
                    picture = picture.resize((size, size), Image.Resampling.BILINEAR)
                return numpy.asarray(picture)
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"{path} cannot be read as an image: {' '.join(str(error).split())}") from None

    def is_grey(path):
        try:
            with Image.open(path) as image:
                return image.mode in ("1", "L", "I;16", "LA", "I", "F")
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"{path} cannot be read as an image: {' '.join(str(error).split())}") from None

    everything = files + (test_files or [])
    mode = "L" if all(is_grey(path) for path, _ in everything) else "RGB"
    first = read(everything[0][0], mode).shape[:2]

    def load_part(part):
        pictures = []
        for path, _ in part:
            picture = read(path, mode)
            if picture.shape[:2] != first:
                raise DataError(f"{path} is {picture.shape[1]}×{picture.shape[0]}, the first image {first[1]}×{first[0]}: "
                                "give --image-size N to scale all alike")
            pictures.append(picture)
        x = numpy.stack(pictures).astype("float32") / 255.0
        x = x[:, None] if mode == "L" else x.transpose(0, 3, 1, 2)
        return x, numpy.array([c for _, c in part], dtype="int64")

    return load_part(files), load_part(test_files) if test_files else None, classes, True


def _class_files(root, classes):
    files = []
    for number, name in enumerate(classes):
        path = os.path.join(root, name)
        if not os.path.isdir(path):
            raise DataError(f"{root}: class folder {name!r} is missing")
        images = sorted(f for f in os.listdir(path) if f.lower().endswith(_IMAGE_ENDINGS))
        if not images:
            raise DataError(f"{path} holds no images ({', '.join(_IMAGE_ENDINGS[:4])}, ...)")
        files += [(os.path.join(path, f), number) for f in images]
    return files


# -- arrays and tables ---------------------------------------------------------------------------

def _npz(path):
    import numpy
    try:
        with numpy.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError) as error:
        raise DataError(f"{path} is not a readable .npz file: {' '.join(str(error).split())}") from None
    lower = {name.lower(): name for name in arrays}

    def find(*names):
        name = next((lower[n] for n in names if n in lower), None)
        return name, arrays.get(name)

    x_name, x = find("x_train", "train_x", "train_images", "x", "images", "data", "inputs")
    y_name, y = find("y_train", "train_y", "train_labels", "y", "labels", "targets", "target", "label")
    if x is None or y is None:
        raise DataError(f"{path}: expected arrays x and y, or x_train and y_train; it holds {', '.join(arrays) or 'nothing'}")
    tx_name, tx = find("x_test", "test_x", "test_images", "x_val")
    ty_name, ty = find("y_test", "test_y", "test_labels", "y_val")
    if (tx is None) != (ty is None):
        raise DataError(f"{path}: {tx_name or ty_name} is there without its {'labels' if ty is None else 'inputs'}")
    train = _array_pair(path, x, y, x_name, y_name)
    test = _array_pair(path, tx, ty, tx_name, ty_name) if tx is not None else None
    if test is not None and test[0].shape[1:] != train[0].shape[1:]:
        raise DataError(f"{path}: samples of {x_name} have shape {train[0].shape[1:]}, those of {tx_name} {test[0].shape[1:]}")
    return train, test, None, train[0].ndim == 4


def _array_pair(path, x, y, x_name, y_name):
    if x.dtype.kind not in "iufb" or x.ndim < 2:
        raise DataError(f"{path}: {x_name} must be numbers of at least 2 dimensions, it is {x.dtype} of shape {x.shape}")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(f"{path}: {y_name} must have 1 dimension (a class a sample), it has shape {y.shape}")
    if y.dtype.kind == "f" and (y == y.round()).all():
        y = y.astype("int64")
    if y.dtype.kind == "f":
        raise DataError(f"{path}: {y_name} holds fractions; classes must be whole numbers or texts")
    _check_pair(x, y, f"{path}: {x_name}", y_name)
    scale = 255.0 if x.dtype.kind == "u" and x.ndim >= 3 else 1.0
    x = x.astype("float32") / scale
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[-1] in (1, 3) and x.shape[1] not in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    elif x.ndim > 4:
        raise DataError(f"{path}: {x_name} has shape {x.shape}; images are (N, H, W) or (N, C, H, W), tables (N, features)")
    return x, y


def _csv(path, label):
    import csv

    import numpy
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            sample = file.read(8192)
            file.seek(0)
            try:
                dialect = csv.Sniffer().sniff(sample, ",;\t|")
            except csv.Error:
                dialect = csv.excel
            rows = [(number, row) for number, row in enumerate(csv.reader(file, dialect), 1) if row]
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a text file (CSV was expected)") from None
    except csv.Error as error:
        raise DataError(f"{path} is not readable as CSV: {error}") from None
    if not rows:
        raise DataError(f"{path} is empty")
    width = len(rows[0][1])
    if width < 2:
        raise DataError(f"{path}: found a single column; expected numbers and a class, separated by , ; tab or |")
    for number, row in rows:
        if len(row) != width:
            raise DataError(f"{path}, line {number}: {len(row)} columns, the first line has {width}")
    # A first line without any number is a header; with a class column of texts, the others decide.
    header = None
    if not any(_is_number(cell) for cell in rows[0][1]):
        header = [cell.strip() for cell in rows.pop(0)[1]]
    if not rows:
        raise DataError(f"{path} has a header and no rows")
    column = _label_column(path, label, header, width)
    names = [row[column].strip() for _, row in rows]
    x = numpy.empty((len(rows), width - 1), dtype="float32")
    for index, (number, row) in enumerate(rows):
        cells = row[:column] + row[column + 1:]
        try:
            x[index] = [float(cell) for cell in cells]
        except ValueError:
            place = next(i for i, cell in enumerate(row) if i != column and not _is_number(cell))
            where = repr(header[place]) if header else f"number {place}"
            raise DataError(f"{path}, line {number}, column {where}: expected a number, got {row[place]!r}") from None
    if "" in names:
        raise DataError(f"{path}, line {rows[names.index('')][0]}: the class is empty")
    if all(_is_number(name) for name in names):
        values = [float(name) for name in names]
        if any(v != v or v in (float("inf"), -float("inf")) or v != int(v) for v in values):
            raise DataError(f"{path}: the class column holds fractions; classes must be whole numbers or texts")
        classes = sorted(set(map(int, values)))
        place = {c: i for i, c in enumerate(classes)}
        y = [place[int(v)] for v in values]
    else:
        classes = sorted(set(names))
        place = {c: i for i, c in enumerate(classes)}
        y = [place[name] for name in names]
    if len(classes) > max(2, len(rows) // 2):
        raise DataError(f"{path}: {len(classes)} different classes in {len(rows)} rows; is --label the right column?")
    return (x, numpy.array(y, dtype="int64")), None, classes, False


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _label_column(path, label, header, width):
    if label is None:
        lower = [name.lower() for name in header or []]
        return next((lower.index(name) for name in _LABEL_COLUMNS if name in lower), width - 1)
    if header and label in header:
        return header.index(label)
    try:
        column = int(label)
    except ValueError:
        there = f"its columns are {', '.join(header)}" if header else "the file has no header: give the column's number"
        raise DataError(f"{path} has no column {label!r}; {there}") from None
    if not -width <= column < width:
        raise DataError(f"{path} has no column {column}; it has {width}")
    return column % width
