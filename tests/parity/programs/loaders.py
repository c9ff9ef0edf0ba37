"""Loading data: map and iterable sets, workers with seeds, samplers of buckets and classes, padding collates of nested samples, splits, infinite loaders, resuming."""
import itertools
import math
import random
from collections import Counter, namedtuple

import numpy as np
import torch
from torch.utils.data import (BatchSampler, ChainDataset, ConcatDataset, DataLoader, Dataset, IterableDataset, RandomSampler, Sampler, SequentialSampler, StackDataset, Subset,
                              SubsetRandomSampler, TensorDataset, WeightedRandomSampler, default_collate, get_worker_info, random_split)
from torch.utils.data._utils.collate import default_collate_fn_map
from torch.utils.data.distributed import DistributedSampler

torch.manual_seed(0); random.seed(0); np.random.seed(0)
Sample = namedtuple("Sample", ["tokens", "label", "meta"])


class Sentences(Dataset):
    def __init__(self, n=23, transform=None):
        self.items = [torch.arange(1 + (7 * i) % 9) for i in range(n)]
        self.transform = transform

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        s = Sample(self.items[i], i % 3, {"id": str(i), "weight": i / 10, "flags": [i % 2 == 0, (i, float(i))]})
        return self.transform(s) if self.transform else s


class Buckets(Sampler):
    def __init__(self, data, batch, seed=0):
        self.lengths, self.batch, self.seed, self.epoch = [len(d.tokens) for d in data], batch, seed, 0

    def __iter__(self):
        g = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(self.lengths), generator=g).tolist()
        order.sort(key=lambda i: self.lengths[i])
        batches = [order[i:i + self.batch] for i in range(0, len(order), self.batch)]
        yield from (batches[i] for i in torch.randperm(len(batches), generator=g).tolist())

    def __len__(self):
        return math.ceil(len(self.lengths) / self.batch)


def pad(batch):
    tokens = torch.nn.utils.rnn.pad_sequence([b.tokens for b in batch], batch_first=True, padding_value=-1)
    return tokens, torch.tensor([b.label for b in batch]), default_collate([b.meta for b in batch])


data = Sentences()
sampler = Buckets(data, 4)
loader = DataLoader(data, batch_sampler=sampler, collate_fn=pad)
for epoch in range(2):
    sampler.epoch = epoch
    print(epoch, len(loader), [(tuple(t.shape), l.tolist()) for t, l, _ in loader])
tokens, labels, meta = next(iter(loader))
print(meta["id"], meta["weight"].dtype, meta["flags"])
train, val, test = random_split(data, [0.7, 0.2, 0.1], generator=torch.Generator().manual_seed(4))
print(len(train), len(val), len(test), list(val.indices), train[0].label, Subset(val, [0])[0].meta["id"])
counts = Counter(s.label for s in data)
balanced = WeightedRandomSampler([1 / counts[s.label] for s in data], 12, replacement=True, generator=torch.Generator().manual_seed(1))
print(list(balanced), list(SubsetRandomSampler([5, 6, 7], generator=torch.Generator().manual_seed(2))), list(BatchSampler(SequentialSampler(range(7)), 3, False)))
print(list(RandomSampler(range(5), replacement=True, num_samples=7)), [list(DistributedSampler(range(10), 3, r, seed=5)) for r in range(3)])


class Stream(IterableDataset):
    def __init__(self, lo, hi):
        self.lo, self.hi = lo, hi

    def __iter__(self):
        info = get_worker_info()
        if info is None:
            return iter(range(self.lo, self.hi))
        per = math.ceil((self.hi - self.lo) / info.num_workers)
        start = self.lo + info.id * per
        return iter(range(start, min(start + per, self.hi)))


def seeded(worker):
    seed = torch.initial_seed() % 2 ** 32
    np.random.seed(seed); random.seed(seed)


class Noisy(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, i):
        return i, torch.rand(1).item(), np.random.rand(), random.random()


print([b.tolist() for b in DataLoader(Stream(3, 14), batch_size=3, num_workers=2)], [b.tolist() for b in DataLoader(ChainDataset([Stream(0, 3), Stream(7, 9)]), batch_size=2)])
g = torch.Generator().manual_seed(9)
for w in (0, 2):
    rows = [r for b in DataLoader(Noisy(), batch_size=2, num_workers=w, worker_init_fn=seeded, generator=g, shuffle=True) for r in zip(*(v.tolist() for v in b))]
    print(w, sorted(r[0] for r in rows), [round(r[1], 5) for r in rows], [round(r[2], 5) for r in rows] if w else "")
both = ConcatDataset([TensorDataset(torch.arange(4), torch.eye(4)), TensorDataset(torch.arange(10, 12), torch.zeros(2, 4))])
print(both.cumulative_sizes, both[-1], [x.tolist() for x, _ in DataLoader(both, 4)], StackDataset(a=TensorDataset(torch.ones(2)), b=[5, 6])[1])
endless = itertools.islice(itertools.chain.from_iterable(itertools.repeat(DataLoader(range(3), shuffle=True))), 7)
print([int(b) for b in endless], default_collate_fn_map[int]([1, 2]), default_collate([{"a": np.float32(1), "b": "x"}, {"a": np.float32(2), "b": "y"}]))
try:
    list(DataLoader([torch.ones(2), torch.ones(3)], batch_size=2))
except RuntimeError as error:
    print("RuntimeError", str(error)[:60])
for bad in (dict(batch_size=0), dict(sampler=[0], shuffle=True), dict(num_workers=-1), dict(timeout=-1), dict(prefetch_factor=2), dict(persistent_workers=True), dict(batch_sampler=[[0]], drop_last=True)):
    try:
        DataLoader(range(3), **bad)
    except ValueError as error:
        print(*bad, "ValueError", str(error)[:50])
