"""DataLoader in one process: batches, order, options, and the datasets and samplers under it."""
from collections import namedtuple

import pytest

import rustorch_py as torch
from rustorch_py import data


def dataset(n=10):
    return data.TensorDataset(torch.arange(n).float().reshape(n, 1), torch.arange(n))


def labels(loader):
    return [y.tolist() for _, y in loader]


def test_sequential_batches():
    loader = data.DataLoader(dataset(), batch_size=4)
    assert labels(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(loader) == 3
    x, y = next(iter(loader))
    assert x.shape == (4, 1) and x.dtype == torch.float32 and y.dtype == torch.int64
    loader = data.DataLoader(dataset(), batch_size=4, drop_last=True)
    assert labels(loader) == [[0, 1, 2, 3], [4, 5, 6, 7]] and len(loader) == 2


def test_batches_are_copies():
    source = torch.zeros(4)
    for (x,) in data.DataLoader(data.TensorDataset(source), batch_size=2):
        x += 1
    assert source.tolist() == [0, 0, 0, 0]


def test_shuffle_is_a_permutation_that_follows_the_seed():
    torch.manual_seed(0)
    first = labels(data.DataLoader(dataset(100), batch_size=7, shuffle=True))
    torch.manual_seed(0)
    assert first == labels(data.DataLoader(dataset(100), batch_size=7, shuffle=True))
    assert sorted(sum(first, [])) == list(range(100))
    loader = data.DataLoader(dataset(100), batch_size=7, shuffle=True, generator=torch.Generator().manual_seed(1))
    assert labels(loader) != labels(loader)


class Plain(data.Dataset):
    """The same samples, without the fast path."""

    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)

    def __getitem__(self, i):
        return self.source[i]


@pytest.mark.parametrize("options", [dict(shuffle=True), dict(shuffle=False), dict(shuffle=True, drop_last=True),
                                     dict(batch_size=1, shuffle=True), dict(batch_size=50, shuffle=True)])
@pytest.mark.parametrize("subset", [False, True])
def test_gathered_batches_equal_the_loop(options, subset):
    options = {"batch_size": 4, **options}
    source = dataset(23)
    if subset:
        source = data.Subset(source, [3, 1, 4, 15, 9, 2, 6])
    results = []
    for kind in (lambda d: d, Plain):
        generator = torch.Generator().manual_seed(3)
        loader = data.DataLoader(kind(source), generator=generator, **options)
        results.append((labels(loader), labels(loader), torch.rand(1, generator=generator).item()))
    assert results[0] == results[1]


def test_random_split():
    parts = data.random_split(range(10), [3, 7], generator=torch.Generator().manual_seed(0))
    assert [len(p) for p in parts] == [3, 7]
    assert sorted(i for p in parts for i in p) == list(range(10))
    assert [len(p) for p in data.random_split(range(11), [0.5, 0.25, 0.25])] == [6, 3, 2]
    with pytest.raises(ValueError, match="does not equal"):
        data.random_split(range(10), [3, 3])
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        data.random_split(range(1), [0.9, 0.1])


def test_datasets():
    both = data.ConcatDataset([range(3), range(10, 12)])
    assert len(both) == 5 and [both[i] for i in range(5)] == [0, 1, 2, 10, 11] and both[-1] == 11
    with pytest.raises(ValueError):
        both[-6]
    stacked = data.StackDataset(a=range(3), b=[7, 8, 9])
    assert stacked[1] == {"a": 1, "b": 8}
    assert stacked.__getitems__([0, 2]) == [{"a": 0, "b": 7}, {"a": 2, "b": 9}]
    assert data.StackDataset(range(3), "xyz").__getitems__([1]) == [(1, "y")]
    with pytest.raises(ValueError, match="Size mismatch"):
        data.StackDataset(range(3), range(4))
    with pytest.raises(AssertionError, match="Size mismatch"):
        data.TensorDataset(torch.zeros(2), torch.zeros(3))
    assert len(dataset(3) + dataset(2)) == 5


class Stream(data.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))

    def __len__(self):
        return self.n


def test_streams():
    assert [b.tolist() for b in data.DataLoader(Stream(5), batch_size=2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in data.DataLoader(Stream(5), batch_size=2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(data.DataLoader(Stream(3), batch_size=None)) == [0, 1, 2]
    assert list(Stream(2) + Stream(1)) == [0, 1, 0]
    with pytest.raises(ValueError, match="unspecified shuffle"):
        data.DataLoader(Stream(3), shuffle=True)


def test_samplers():
    assert list(data.BatchSampler(data.SequentialSampler(range(5)), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(data.BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    generator = torch.Generator().manual_seed(0)
    assert sorted(data.SubsetRandomSampler([5, 7, 9], generator)) == [5, 7, 9]
    drawn = list(data.RandomSampler(range(5), replacement=True, num_samples=100, generator=generator))
    assert len(drawn) == 100 and set(drawn) <= set(range(5))
    assert sorted(data.RandomSampler(range(4), num_samples=8)) == [0, 0, 1, 1, 2, 2, 3, 3]
    heavy = list(data.WeightedRandomSampler([0.0, 1.0, 0.0], 20))
    assert heavy == [1] * 20
    for wrong in (dict(num_samples=0), dict(num_samples=1.5)):
        with pytest.raises(ValueError):
            data.RandomSampler(range(3), **wrong)
    loader = data.DataLoader(dataset(6), batch_sampler=[[0, 1], [5]])
    assert labels(loader) == [[0, 1], [5]]
    assert labels(data.DataLoader(dataset(6), batch_size=2, sampler=[5, -1, 0])) == [[5, 5], [0]]


Point = namedtuple("Point", "x y")


def test_default_collate():
    collate = data.default_collate
    assert collate([1, 2]).tolist() == [1, 2] and collate([1, 2]).dtype == torch.int64
    assert collate([1.0, 2.0]).dtype == torch.float64
    assert collate([True, False]).dtype == torch.bool
    assert collate(["a", b"b"]) == ["a", b"b"]
    out = collate([{"p": Point(1, 2.0), "l": [1, "s"]}, {"p": Point(3, 4.0), "l": [5, "t"]}])
    assert isinstance(out["p"], Point) and out["p"].x.tolist() == [1, 3]
    assert out["l"][0].tolist() == [1, 5] and list(out["l"][1]) == ["s", "t"]
    assert collate([(1, 2), (3, 4)])[1].tolist() == [2, 4]
    with pytest.raises(RuntimeError, match="equal size"):
        collate([[1], [1, 2]])
    with pytest.raises(TypeError, match="must contain tensors"):
        collate([object()])


def test_default_collate_numpy():
    numpy = pytest.importorskip("numpy")
    out = data.default_collate([numpy.ones(2, "float32"), numpy.zeros(2, "float32")])
    assert out.dtype == torch.float32 and out.tolist() == [[1, 1], [0, 0]]
    assert data.default_collate([numpy.float32(1), numpy.float32(2)]).tolist() == [1, 2]
    assert data.default_convert((numpy.arange(2), "a", {"b": numpy.float64(1)}))[0].tolist() == [0, 1]
    with pytest.raises(TypeError):
        data.default_collate([numpy.array(["a"]), numpy.array(["b"])])


@pytest.mark.parametrize("options, text", [
    (dict(num_workers=-1), "num_workers"), (dict(timeout=-1), "timeout"), (dict(prefetch_factor=2), "prefetch_factor"),
    (dict(persistent_workers=True), "persistent_workers"), (dict(shuffle=True, sampler=[0]), "mutually exclusive"),
    (dict(batch_sampler=[[0]], batch_size=2), "mutually exclusive"),
    (dict(batch_size=None, drop_last=True), "mutually exclusive"), (dict(batch_size=0), "batch_size"),
    (dict(multiprocessing_context="fork"), "multi-process loading"),
])
def test_options_are_validated(options, text):
    with pytest.raises(ValueError, match=text):
        data.DataLoader(dataset(), **options)


def test_options_cannot_be_changed_later():
    loader = data.DataLoader(dataset())
    with pytest.raises(ValueError, match="should not be set"):
        loader.batch_size = 2
    with pytest.raises(NotImplementedError):
        iter(loader).__getstate__()


def test_pin_memory_without_accelerator_warns():
    with pytest.warns(UserWarning, match="no accelerator"):
        assert len(list(data.DataLoader(dataset(), pin_memory=True))) == 10


def test_same_module_under_utils():
    import rustorch_py.utils.data as alias
    from rustorch_py.utils.data.dataset import Dataset
    assert alias is data and Dataset is data.Dataset
