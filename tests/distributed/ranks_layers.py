"""Checks of DTensors in convolutions, pools, norms over batches and groups, and linear algebra: values and gradients of one process, however they lie."""
import copy

import _checks
import rustorch_py as torch
import rustorch_py.nn.functional as F
from ranks_tensor import N, check_functions, close, r
from rustorch_py import nn, optim
from rustorch_py.distributed.device_mesh import init_device_mesh
from rustorch_py.distributed.tensor import Partial, Replicate, Shard, distribute_module, distribute_tensor

LINE = init_device_mesh("cpu", (N,))          # a file's meshes belong to its own process group
MESHES = [LINE] + ([init_device_mesh("cpu", (2, 2))] if N == 4 else [init_device_mesh("cpu", (N, 1))])
EYE = torch.eye(3).double() * 4
FUNCTIONS = {
    "conv1d": (lambda a, b: F.conv1d(a, b, b.sum((1, 2)), padding=1), (4, 3, 7), (5, 3, 3)),
    "conv2d": (lambda a, b: F.conv2d(a, b, b.sum((1, 2, 3)), 2, 1), (4, 3, 6, 5), (4, 3, 3, 3)),
    "one sample": (lambda a, b: F.conv2d(a, b, padding="same"), (3, 6, 5), (4, 3, 3, 3)),
    "groups": (lambda a, b: F.conv2d(a, b, groups=2), (4, 4, 5, 5), (6, 2, 3, 3)),
    "conv3d": (lambda a, b: F.conv3d(a, b), (2, 2, 4, 4, 4), (3, 2, 2, 2, 2)),
    "transposed": (lambda a, b: F.conv_transpose2d(a, b, b.sum((0, 2, 3)), stride=2, output_padding=1), (4, 3, 4, 4), (3, 4, 3, 3)),
    "pools": (lambda a, b: F.max_pool2d(a, 2) + F.avg_pool2d(b, 2) + F.adaptive_avg_pool2d(a, (2, 2)) * F.adaptive_max_pool2d(b, 2), (4, 3, 4, 4), (4, 3, 4, 4)),
    "indices": (lambda a, b: F.max_pool1d(a, 2, return_indices=True)[1] * F.avg_pool1d(b, 2), (4, 3, 6), (4, 3, 6)),
    "larger": (lambda a, b: F.interpolate(a, scale_factor=2, mode="bilinear", align_corners=False) * F.interpolate(b, size=(8, 8)), (4, 3, 4, 4), (4, 3, 4, 4)),
    "batch": (lambda a, b: F.batch_norm(a, None, None, b[0], b[1], training=True), (6, 4, 3), (2, 4)),
    "running": (lambda a, b: F.batch_norm(a, torch.ones_like(b[0]).detach(), (b[1] * b[1]).detach() + 1, b[0], b[1]), (6, 4, 3, 2), (2, 4)),
    "groups of channels": (lambda a, b: F.group_norm(a, 2, b[0], b[1]), (4, 6, 3), (2, 6)),
    "solve": (lambda a, b: torch.linalg.solve(a * 0.1 + 4 * (a - a.detach()).sum() + a.new_ones(3, 3).tril() * 4, b), (4, 3, 3), (4, 3, 2)),
    "one system": (lambda a, b: torch.linalg.solve(a @ a.mT + 1, b) + torch.linalg.lstsq(a, b).solution, (4, 4), (4, 2)),
    "decompositions": (lambda a, b: torch.linalg.svdvals(a) + torch.linalg.qr(b).R.abs().sum(-1), (4, 3, 3), (4, 3, 3)),
    "determinants": (lambda a, b: torch.linalg.det(a) + torch.linalg.slogdet(b).logabsdet, (4, 3, 3), (4, 3, 3)),
    "cholesky": (lambda a, b: torch.linalg.cholesky(a @ a.mT + (b @ b.mT) + 0.1) + torch.linalg.inv(a @ a.mT + b @ b.mT) @ b, (4, 3, 3), (4, 3, 3)),
    "eigenvalues": (lambda a, b: torch.linalg.eigh(a + a.mT).eigenvalues + torch.linalg.eigvalsh(b + b.mT), (4, 3, 3), (4, 3, 3)),
}


def values_and_gradients():
    check_functions(MESHES, FUNCTIONS, 1e-8, 1e-7, idle=True)


def cheap_ways_are_taken():
    x, w = distribute_tensor(r(4 * N, 3, 6, 6), LINE, [Shard(0)]), r(2 * N, 3, 3, 3)
    y = F.conv2d(x, distribute_tensor(w, LINE))
    assert y.placements == (Shard(0),) and y._local_tensor.shape == (4, 2 * N, 4, 4)
    assert F.max_pool2d(y, 2).placements == (Shard(0),) and F.group_norm(y, 2).placements == (Shard(0),)
    assert F.conv2d(x.redistribute(placements=[Replicate()]), distribute_tensor(w, LINE, [Shard(0)])).placements == (Shard(1),)
    wide = distribute_tensor(r(2, 3 * N, 5, 5), LINE, [Shard(1)])
    assert F.conv2d(wide, distribute_tensor(r(4, 3 * N, 3, 3), LINE, [Shard(1)])).placements == (Partial(),)
    assert torch.linalg.inv(distribute_tensor(EYE.expand(2 * N, 3, 3), LINE, [Shard(0)])).placements == (Shard(0),)


def net():
    torch.manual_seed(2)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 6, 3), nn.BatchNorm2d(6), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)).double()


def a_convolutional_net_trains_as_one_process():
    alone = net()
    spread = distribute_module(copy.deepcopy(alone), LINE)
    mine, theirs = (optim.SGD(m.parameters(), 0.1, momentum=0.9) for m in (spread, alone))
    for step in range(4):
        g = torch.Generator().manual_seed(step)
        x, y = torch.randn(2 * N + 1, 3, 8, 8, generator=g, dtype=torch.float64), torch.randn(2 * N + 1, 4, generator=g, dtype=torch.float64)
        losses = []
        for model, optimizer, a, b in ((alone, theirs, x, y), (spread, mine, *(distribute_tensor(t, LINE, [Shard(0)]) for t in (x, y)))):
            optimizer.zero_grad()
            loss = F.mse_loss(model(a), b)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert abs(losses[0] - losses[1]) < 1e-9, losses
    for key, value in alone.state_dict().items():
        close(spread.state_dict()[key], value, 1e-8)
    alone.eval(), spread.eval()
    close(spread(distribute_tensor(x, LINE, [Shard(0)])), alone(x), 1e-9)


def what_is_refused():
    d = distribute_tensor(r(4, 3, 5), LINE, [Shard(0)])
    _checks.raises(RuntimeError, F.conv1d, d, r(2, 3, 3), match="got mixed torch.Tensor and DTensor")
    _checks.raises(RuntimeError, F.batch_norm, d, torch.zeros(3).double(), torch.ones(3).double(), training=True, match="got mixed")


CHECKS = [values_and_gradients, cheap_ways_are_taken, a_convolutional_net_trains_as_one_process, what_is_refused]
