"""Data loading against PyTorch: the same order, batches, draws from the generators and refusals."""
import warnings

import pytest

torch = pytest.importorskip("torch")
numpy = pytest.importorskip("numpy")

import rustorch_py as rt
import torch.utils.data as theirs
from rustorch_py import data as ours

PACKAGES = ((torch, theirs), (rt, ours))


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        yield


def plain(value):
    """Strip the package off a batch."""
    if hasattr(value, "tolist"):
        return [str(getattr(value, "dtype", "")).split(".")[-1], value.tolist()]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [plain(v) for v in value]
    return value


def dataset(package, module, n):
    return module.TensorDataset(package.arange(n).to(package.float32).reshape(n, 1), package.arange(n))


class Squares:
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return {"i": i, "f": i / 2, "s": str(i), "t": (i, [i, float(i)])}


@pytest.mark.parametrize("batch_size", [1, 7, 20, 23, 50, None])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_and_draws(batch_size, shuffle, drop_last, own_generator, workers):
    if drop_last and batch_size is None:
        return      # refused by both: see test_refusals
    if workers and (batch_size in (1, 20, 50) or drop_last):
        return      # processes are slow: the cases with workers are sampled
    found = []
    for package, module in PACKAGES:
        package.manual_seed(42)
        generator = package.Generator().manual_seed(9) if own_generator else None
        loader = module.DataLoader(dataset(package, module, 23), batch_size=batch_size, shuffle=shuffle,
                                   drop_last=drop_last, generator=generator, num_workers=workers)
        batches = [plain(b) for _ in range(2) for b in loader]
        after = package.rand(1).item(), generator and package.rand(1, generator=generator).item()
        found.append((len(loader), batches, after))
    assert found[0] == found[1]


def test_structures():
    found = [[plain(b) for b in module.DataLoader(Squares(5), batch_size=2)] for _, module in PACKAGES]
    assert found[0] == found[1]
    found = [[plain(b) for b in module.DataLoader(Squares(3), batch_size=None)] for _, module in PACKAGES]
    assert found[0] == found[1]


def test_numpy_samples():
    source = [(numpy.float32(i), numpy.arange(3) + i, numpy.bool_(i % 2), {"d": numpy.float64(i)}) for i in range(4)]
    found = [[plain(b) for b in module.DataLoader(source, batch_size=3)] for _, module in PACKAGES]
    assert found[0] == found[1]
    found = [[plain(b) for b in module.DataLoader(source, batch_size=None)] for _, module in PACKAGES]
    assert found[0] == found[1]


@pytest.mark.parametrize("make", [
    lambda m, g: m.RandomSampler(range(17), generator=g), lambda m, g: m.RandomSampler(range(5), num_samples=13,
                                                                                     generator=g),
    lambda m, g: m.RandomSampler(range(9), replacement=True, num_samples=70, generator=g),
    lambda m, g: m.SubsetRandomSampler([3, 1, 4, 15, 9], generator=g),
    lambda m, g: m.WeightedRandomSampler([0.1, 3.0, 1.0, 0.0], 20, generator=g),
    lambda m, g: m.WeightedRandomSampler([0.1, 3.0, 1.0, 2.0], 3, replacement=False, generator=g),
    lambda m, g: m.BatchSampler(m.RandomSampler(range(11), generator=g), 4, True),
])
@pytest.mark.parametrize("own_generator", [False, True])
def test_samplers(make, own_generator):
    found = []
    for package, module in PACKAGES:
        package.manual_seed(5)
        sampler = make(module, package.Generator().manual_seed(3) if own_generator else None)
        found.append((list(sampler), list(sampler), len(sampler), package.rand(1).item()))
    assert found[0] == found[1]


@pytest.mark.parametrize("lengths", [[3, 8], [0.5, 0.5], [0.3, 0.3, 0.4], [1.0]])
def test_random_split(lengths):
    found = []
    for package, module in PACKAGES:
        package.manual_seed(5)
        parts = module.random_split(range(11), lengths)
        again = module.random_split(range(11), lengths, generator=package.Generator().manual_seed(1))
        found.append([list(p.indices) for p in [*parts, *again]])
    assert found[0] == found[1]


class Streams:
    def __init__(self, module):
        class Stream(module.IterableDataset):
            def __init__(self, n):
                self.n = n

            def __iter__(self):
                info = module.get_worker_info()
                first, step = (info.id, info.num_workers) if info else (0, 1)
                return iter(range(first, self.n, step))

            def __len__(self):
                return self.n
        self.Stream = Stream


@pytest.mark.parametrize("options", [dict(batch_size=3), dict(batch_size=3, drop_last=True), dict(batch_size=None),
                                     dict(batch_size=2, num_workers=3), dict(batch_size=2, num_workers=2,
                                                                             persistent_workers=True)])
def test_streams(options):
    found = []
    for package, module in PACKAGES:
        loader = module.DataLoader(Streams(module).Stream(11), **options)
        found.append(([plain(b) for _ in range(2) for b in loader], len(loader)))
    assert found[0] == found[1]


class Seeds:
    def __init__(self, module, package):
        self.module, self.package = module, package

    def __len__(self):
        return 4

    def __getitem__(self, i):
        import random
        info = self.module.get_worker_info()
        return (info.id, info.num_workers, info.seed, random.random(), int(numpy.random.randint(1 << 30)),
                self.package.rand(1).item())


def test_worker_seeds():
    found = []
    for package, module in PACKAGES:
        package.manual_seed(1)
        found.append(list(module.DataLoader(Seeds(module, package), batch_size=None, num_workers=2)))
    assert found[0] == found[1]


REFUSED = [dict(num_workers=-1), dict(timeout=-1), dict(prefetch_factor=2), dict(num_workers=1, prefetch_factor=-1),
           dict(persistent_workers=True), dict(shuffle=True, sampler=[0]), dict(batch_sampler=[[0]], batch_size=2),
           dict(batch_sampler=[[0]], shuffle=True), dict(batch_sampler=[[0]], drop_last=True),
           dict(batch_size=None, drop_last=True), dict(batch_size=0), dict(batch_size=1.5), dict(batch_size=True),
           dict(multiprocessing_context="fork"), dict(num_workers=1, multiprocessing_context="x"),
           dict(num_workers=1, multiprocessing_context=3)]


@pytest.mark.parametrize("options", REFUSED, ids=str)
@pytest.mark.parametrize("stream", [False, True])
def test_refusals(options, stream):
    kinds = []
    for package, module in PACKAGES:
        source = Streams(module).Stream(4) if stream else range(4)
        with pytest.raises(Exception) as caught:
            module.DataLoader(source, **options)
        kinds.append((caught.type, str(caught.value)))
    assert issubclass(kinds[1][0], kinds[0][0])
    assert kinds[1][1] == kinds[0][1]


def test_signatures():
    import inspect
    for name in ours.__all__:
        first, second = getattr(theirs, name), getattr(ours, name)
        if inspect.ismodule(first):
            continue
        if inspect.isclass(first):
            first, second = first.__init__, second.__init__
        a, b = inspect.signature(first).parameters, inspect.signature(second).parameters
        if name not in ("Dataset", "IterableDataset", "Sampler", "random_split"):
            assert [(p.name, p.kind, p.default) for p in b.values()] == [(p.name, p.kind, p.default) for p in a.values()], name


def test_collate_messages():
    for bad in ([object()], [[1], [1, 2]], [None]):
        texts = []
        for _, module in PACKAGES:
            with pytest.raises(Exception) as caught:
                module.default_collate(bad)
            texts.append((str(caught.value)))
        assert texts[0] == texts[1]
