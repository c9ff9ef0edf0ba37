"""Profilers, timers, seeds, environment questions, library odds and ends that programs use."""
import contextlib
import functools
import logging
import random
import warnings

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor, optim
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.profiler import ProfilerActivity, profile, record_function
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader
from typing import Optional


def seed_all(s):
    random.seed(s)
    np.random.seed(s)
    torch.manual_seed(s)
    torch.cuda.manual_seed_all(s)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)


seed_all(3)
device = torch.device("cuda" if torch.cuda.is_available() and False else "mps" if torch.backends.mps.is_available() else "cpu")
print(device, device.type, device.index, torch.cuda.device_count() >= 0, torch.backends.mkldnn.is_available() in (True, False), torch.get_num_threads() > 0, torch.initial_seed(), torch.are_deterministic_algorithms_enabled())
torch.use_deterministic_algorithms(False)
model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)).to(device, non_blocking=True)
with profile(activities=[ProfilerActivity.CPU], record_shapes=True, profile_memory=False) as prof:
    with record_function("forward"):
        model(torch.randn(3, 4))
keys = {e.key for e in prof.key_averages()}
print("forward" in keys, any("addmm" in k or "linear" in k for k in keys), isinstance(prof.key_averages().table(sort_by="cpu_time_total", row_limit=3), str))
swa = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
opt = optim.SGD(model.parameters(), lr=0.1)
swalr = SWALR(opt, swa_lr=0.05, anneal_epochs=2)
for _ in range(3):
    opt.zero_grad()
    model(torch.randn(4, 4)).pow(2).mean().backward()
    opt.step()
    swa.update_parameters(model)
    swalr.step()
update_bn([torch.randn(4, 4)], swa)
print(swa.n_averaged, f"{swa.module[0].weight.norm():.5f}", swalr.get_last_lr())
with torch.random.fork_rng():
    torch.manual_seed(1)
    a = torch.rand(1)
b = torch.rand(1)
torch.manual_seed(1)
print(torch.equal(a, torch.rand(1)), b.shape)
print(torch.is_tensor(a), torch.is_floating_point(a), torch.numel(a), torch.get_default_dtype(), torch.is_grad_enabled(), isinstance(model[1], _BatchNorm), isinstance(a, (Tensor, np.ndarray)))
torch.set_default_dtype(torch.float64)
print(torch.ones(1).dtype, torch.tensor([1.0]).dtype, torch.arange(2.0).dtype, nn.Linear(1, 1).weight.dtype)
torch.set_default_dtype(torch.float32)
with torch.device("cpu"):
    print(torch.ones(1).device, nn.Linear(1, 1).weight.device)
torch.set_num_threads(torch.get_num_threads())
torch.testing.assert_close(torch.ones(2), torch.ones(2) + 1e-8)
try:
    torch.testing.assert_close(torch.ones(2), torch.tensor([1.0, 2.0]))
except AssertionError as e:
    print(str(e))
print(torch.allclose(a, a), torch.isclose(a, a + 1), torch.equal(a, a.clone()), torch.nan_to_num(torch.tensor([float("nan"), float("inf")]), posinf=1.0), torch.isfinite(a).all())


class Log(nn.Module):
    def __init__(self, scale: Optional[float] = None):
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return x if self.scale is None else x * self.scale


scripted = torch.jit.script(Log(2.0))
traced = torch.jit.trace(model.eval(), torch.randn(1, 4))
print(scripted(torch.ones(1)), torch.allclose(traced(torch.ones(1, 4)), model(torch.ones(1, 4))))


class Tagged(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        calls.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs or {})


calls = []
s = torch.ones(2).as_subclass(Tagged)
r = (s + 1).sum()
print(type(r).__name__, calls, isinstance(r, torch.Tensor))
x = torch.ones(2, requires_grad=True)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    (x * 2).grad
    F.softmax(torch.ones(2, 2))
    nn.functional.tanh(x)
    F.mse_loss(torch.ones(2, 1), torch.ones(2))
    torch.tensor(torch.ones(1))
    torch.optim.lr_scheduler.StepLR(optim.SGD([x], lr=0.1), 1).step()
    nn.LSTM(1, 1, dropout=0.5)
print([w.category.__name__ + ": " + str(w.message).split(".")[0][:70] for w in caught])
print(torch.utils.data.get_worker_info(), torch.hub.get_dir() != "", torch.version.cuda is None or True, torch.cuda.amp.autocast is not None, torch.nn.utils.skip_init(nn.Linear, 2, 3).weight.shape, torch.utils.checkpoint.checkpoint.__name__)
print(functools.reduce(torch.mul, [torch.ones(1) * i for i in (1, 2, 3)]), sum([torch.ones(1)] * 3), max(torch.tensor([1, 3])), sorted(torch.tensor([2, 1])), 2 in torch.tensor([1, 2]), [*torch.arange(3)], dict(a=torch.ones(1)), {torch.float32: 1}[torch.float], hash(torch.float32) == hash(torch.float), bool(torch.tensor([1]) == 1), float(torch.tensor([2.5])), int(torch.tensor(3.9)), range(5)[torch.tensor(2)], [10, 20][torch.tensor(1)], round(float(torch.tensor(2.567)), 2), abs(torch.tensor(-1)), -torch.ones(1), ~torch.tensor([True]), torch.tensor([5]) @ torch.tensor([2]), pow(torch.tensor(2), 3), 2 ** torch.tensor([3.0]), 1 / torch.tensor(4), 7 % torch.tensor(4), len(torch.ones(3, 2)), torch.ones(3, 2).__len__(), torch.tensor([1, 2]).__contains__(2))
