"""Datasets, samplers, collate functions, workers, iterable data."""
import random
from collections import namedtuple

import numpy as np
import torch
from torch.utils.data import (BatchSampler, ChainDataset, ConcatDataset, DataLoader, Dataset, IterableDataset, RandomSampler, SequentialSampler, StackDataset, Subset,
                              SubsetRandomSampler, TensorDataset, WeightedRandomSampler, default_collate, get_worker_info, random_split)
from torch.nn.utils.rnn import pad_sequence


class Words(Dataset):
    def __init__(self, n=11):
        self.data = [{"ids": list(range(i % 4 + 1)), "label": i % 3, "name": f"w{i}", "score": i / 2, "arr": np.ones(2, dtype=np.float32) * i} for i in range(n)]

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        return self.data[i]


def collate(batch):
    ids = pad_sequence([torch.tensor(b["ids"]) for b in batch], batch_first=True, padding_value=-1)
    return ids, torch.tensor([len(b["ids"]) for b in batch]), torch.tensor([b["label"] for b in batch])


class Pairs(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, i):
        return torch.full((2,), float(i)), i


class Stream(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        start, step = (0, 1) if info is None else (info.id, info.num_workers)
        yield from range(start, 8, step)


Point = namedtuple("Point", "x y")
words = Words()
for ids, lengths, labels in DataLoader(words, batch_size=4, collate_fn=collate):
    print(ids.tolist(), lengths.tolist(), labels.tolist(), ids.dtype)
for batch in DataLoader([{k: v for k, v in d.items() if k != "ids"} for d in words.data], batch_size=5):
    print({k: (v.dtype, v.shape) if torch.is_tensor(v) else v for k, v in batch.items()})
for workers in (0, 2):
    loader = DataLoader(Pairs(), batch_size=4, num_workers=workers, pin_memory=False, persistent_workers=workers > 0, prefetch_factor=2 if workers else None)
    print([(a.tolist(), b) for a, b in loader])
    print(sorted(sum((b.tolist() for b in DataLoader(Stream(), batch_size=2, num_workers=workers)), [])))
g = torch.Generator().manual_seed(5)
print(list(RandomSampler(range(6), generator=g)), list(RandomSampler(range(3), replacement=True, num_samples=5, generator=g)), list(SequentialSampler(range(3))))
print(list(WeightedRandomSampler([0.1, 0.0, 0.9], 6, generator=g)), list(SubsetRandomSampler([3, 1, 2], generator=g)), list(BatchSampler(range(7), 3, False)))
print([list(s) for s in random_split(range(10), [0.5, 0.3, 0.2], generator=g)], list(Subset(range(9), [1, 5])))
both = ConcatDataset([Pairs(), Pairs()])
print(len(both), both[7][1], both.cumulative_sizes, len(TensorDataset(torch.ones(3, 2), torch.zeros(3))), len(Pairs() + Pairs()))
print(list(ChainDataset([Stream(), Stream()])), StackDataset(a=words, b=Words())[1]["b"]["name"])
print(default_collate([Point(1, 2.0), Point(3, 4.0)]), default_collate([(1, "a"), (2, "b")]), default_collate([{"a": [1, 2]}, {"a": [3, 4]}]))
print(default_collate([np.float64(1), np.float64(2)]), default_collate([True, False]), default_collate([np.array([1, 2]), np.array([3, 4])]))
loader = DataLoader(Pairs(), batch_sampler=BatchSampler(RandomSampler(Pairs(), generator=torch.Generator().manual_seed(0)), 4, True))
print(len(loader), [b.tolist() for _, b in loader], loader.batch_size, loader.drop_last)
print([x for x in DataLoader(range(3), batch_size=None)])
torch.manual_seed(7)
print([b.tolist() for b in DataLoader(range(7), 3, shuffle=True)])


def seed(worker_id):
    random.seed(torch.initial_seed() % 2 ** 32)


print([b.tolist() for b in DataLoader(range(5), 2, num_workers=1, worker_init_fn=seed)])
for bad in (dict(shuffle=True, sampler=SequentialSampler(range(3))), dict(num_workers=-1), dict(batch_size=None, drop_last=True), dict(prefetch_factor=2)):
    try:
        DataLoader(range(3), **bad)
    except ValueError as e:
        print("ValueError", e)
for bad in ([torch.ones(2), torch.ones(3)], [object()]):
    try:
        default_collate(bad)
    except (RuntimeError, TypeError) as e:
        print("!", *[c.__name__ for c in type(e).__mro__ if c.__module__ == "builtins"])
try:
    random_split(range(5), [2, 2])
except ValueError as e:
    print("ValueError", e)
try:
    WeightedRandomSampler([1.0], -1)
except ValueError as e:
    print("ValueError", e)

from torch.utils.data._utils.collate import default_collate as inner_collate  # noqa: E402
from torch.utils.data._utils.worker import get_worker_info as inner_info  # noqa: E402

print(inner_collate is default_collate, inner_info())
