"""Checks of checkpoints: what is saved comes back, under any placements, or all ranks hear why not."""
import json
import os
import shutil
import tempfile

import _checks
import rustorch_py as torch
import rustorch_py.distributed as dist
import rustorch_py.distributed.checkpoint as dcp
import rustorch_py.nn.functional as F
from rustorch_py import nn, optim
from rustorch_py.distributed.checkpoint.state_dict import (StateDictOptions, get_model_state_dict, get_optimizer_state_dict, get_state_dict, set_model_state_dict,
                                                           set_optimizer_state_dict, set_state_dict)
from rustorch_py.distributed.device_mesh import init_device_mesh
from rustorch_py.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor, zeros
from rustorch_py.distributed.tensor.placement_types import chunk
from rustorch_py.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from rustorch_py.nn.parallel import DistributedDataParallel as DDP

R, N = dist.get_rank(), dist.get_world_size()
MESH = init_device_mesh("cpu", (N,))


class folder:
    """A folder that all ranks see, for a with block."""

    def __enter__(self):
        box = [tempfile.mkdtemp(prefix="rustorch-dcp-") if R == 0 else None]
        dist.broadcast_object_list(box, src=0)
        self.path = box[0]
        return self.path

    def __exit__(self, *exc):
        dist.barrier()
        if R == 0:
            shutil.rmtree(self.path)


def equal(a, b):
    torch.testing.assert_close(a.full_tensor() if isinstance(a, DTensor) else a, b, rtol=0, atol=0)


def tensors_come_back_however_they_lie():
    x, y = torch.arange(35.0).view(7, 5), torch.arange(6, dtype=torch.int64)
    ways = (Replicate(), Shard(0), Shard(1))
    for old in ways:
        with folder() as path:
            state = {"w": distribute_tensor(x, MESH, [old]), "nest": {"plain": x + 1, "list": [y, y + 1]}, "bf": x.bfloat16(), "empty": torch.empty(0, 3),
                     "scalar": torch.tensor(2.5), "step": 7, "name": "run", "options": {"lr": [0.1, 0.2], "none": None}}
            found = dcp.save(state, checkpoint_id=path)
            assert tuple(found.state_dict_metadata["w"].size) == (7, 5) and found.world_size == N
            for new in ways:
                other = {"w": zeros(7, 5, device_mesh=MESH, placements=[new]), "nest": {"plain": torch.zeros(7, 5), "list": [torch.zeros(6), y * 0]},
                         "bf": torch.zeros(7, 5), "empty": torch.empty(0, 3), "scalar": torch.tensor(0.0), "step": 0, "name": "", "options": {"lr": [], "none": 1}}
                dcp.load(other, checkpoint_id=path)
                equal(other["w"], x)
                equal(other["nest"]["plain"], x + 1)
                equal(other["nest"]["list"][0], y.float())
                equal(other["nest"]["list"][1], y + 1)
                equal(other["bf"], x)
                assert other["scalar"].item() == 2.5 and other["step"] == 7 and other["name"] == "run" and other["options"] == {"lr": [0.1, 0.2], "none": None}
            summary = json.loads(open(os.path.join(path, ".metadata")).read())
            assert summary["world_size"] == N and summary["tensor_bytes"] == 35 * 4 * 2 + 2 * 48 + 70 + 4
            files = {p["file"] for e in summary["entries"].values() for p in e["parts"]}
            assert sorted(os.listdir(path)) == sorted([".metadata", *files]) and len(files) == N
            dist.barrier()
            dcp.save({"w": distribute_tensor(x * 2, MESH, [old])}, checkpoint_id=path)
            assert len(os.listdir(path)) == 1 + (1 if old == Replicate() else len({i for i in range(N) if chunk((7, 5)[old.dim], N, i)[0] < (7, 5)[old.dim]}))
            other = {"w": torch.zeros(7, 5)}
            dcp.load(other, checkpoint_id=path)
            equal(other["w"], x * 2)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.up, self.down = nn.BatchNorm1d(6), nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.down(self.up(self.norm(x)).tanh())


def trained(model, make=optim.AdamW, steps=3):
    opt = make(model.parameters(), lr=0.05)
    for i in range(steps):
        step(model, opt, i)
    return opt


def step(model, opt, i):
    g = torch.Generator().manual_seed(i)
    opt.zero_grad()
    F.mse_loss(model(torch.randn(8, 6, generator=g)), torch.randn(8, 3, generator=g)).backward()
    opt.step()


def net(parallel, seed=0):
    torch.manual_seed(seed)
    model = Net()
    if parallel:
        parallelize_module(model, MESH, {"up": ColwiseParallel(output_layouts=Replicate()), "down": RowwiseParallel(input_layouts=Replicate())})
    return model


def models_and_optimizers_go_on():
    """A run of tensor parallel layers goes on as one of plain layers, and the other way, as if nothing had happened."""
    alone = net(False)
    end = trained(alone, steps=3)
    for old, new in ((True, False), (False, True), (True, True)):
        with folder() as path:
            model = net(old)
            opt = trained(model)
            dcp.save({"model": get_model_state_dict(model), "optim": get_optimizer_state_dict(model, opt)}, checkpoint_id=path)
            again = net(new, seed=5)
            other = optim.AdamW(again.parameters(), lr=0.7)
            state = {"model": get_model_state_dict(again), "optim": get_optimizer_state_dict(again, other)}
            dcp.load(state, checkpoint_id=path)
            set_state_dict(again, other, model_state_dict=state["model"], optim_state_dict=state["optim"])
            assert other.param_groups[0]["lr"] == 0.05
            for i in (3, 4):
                step(model, opt, i)
                step(again, other, i)
            for (k, a), b in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
                torch.testing.assert_close(*(t.full_tensor() if isinstance(t, DTensor) else t for t in (a, b)), rtol=1e-5, atol=1e-6, msg=k)
    assert end.state


def stateful_objects_and_a_thread():
    class Counter:
        def __init__(self):
            self.n = 0

        def state_dict(self):
            return {"n": self.n}

        def load_state_dict(self, state):
            self.n = state["n"]
    with folder() as path:
        model, count = net(True), Counter()
        opt = trained(model)
        count.n = 5
        kept = {k: (v.full_tensor() if isinstance(v, DTensor) else v).clone() for k, v in model.state_dict().items()}
        future = dcp.async_save({"model": model, "opt": opt, "count": count}, checkpoint_id=path)
        step(model, opt, 9)                                   # does not touch what is being written
        x = torch.ones(4)
        dist.all_reduce(x)
        future.result(timeout=20)
        again, fresh, number = net(True, seed=3), None, Counter()
        fresh = trained(again, steps=1)
        dcp.load({"model": again, "opt": fresh, "count": number}, checkpoint_id=path)
        assert number.n == 5 and x[0].item() == N
        for k, v in again.state_dict().items():
            equal(v, kept[k])


def full_states_and_wrappers():
    model = net(True)
    opt = trained(model)
    whole = StateDictOptions(full_state_dict=True)
    state, ostate = get_state_dict(model, opt, options=whole)
    assert not any(isinstance(v, DTensor) for v in state.values()) and state["up.weight"].shape == (8, 6)
    assert ostate["state"]["up.weight"]["exp_avg"].shape == (8, 6) and set(ostate["param_groups"][0]["params"]) == {k for k, _ in model.named_parameters()}
    first = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    assert bool(first) == (R == 0)
    box = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    for make in (lambda: net(True, 4), lambda: net(False, 4), lambda: DDP(net(False, 4))):
        other = make()
        got = set_model_state_dict(other, state if R == 0 else {}, options=box)
        assert not got.missing_keys and not got.unexpected_keys
        second = optim.AdamW(other.parameters(), lr=0.1)
        set_optimizer_state_dict(other, second, ostate, options=whole)
        back, oback = get_state_dict(other, second, options=whole)
        assert set(back) == set(state)
        for k in state:
            equal(back[k], state[k])
        for k in ostate["state"]:
            equal(oback["state"][k]["exp_avg_sq"], ostate["state"][k]["exp_avg_sq"])
            assert oback["state"][k]["step"].item() == 3
    flat = get_optimizer_state_dict(model, opt, options=StateDictOptions(flatten_optimizer_state_dict=True))
    assert "state.down.bias.exp_avg" in flat and flat["param_groups.up.weight.lr"] == 0.05
    other = net(True, 6)
    second = optim.AdamW(other.parameters(), lr=0.1)
    set_optimizer_state_dict(other, second, flat, options=StateDictOptions(flatten_optimizer_state_dict=True))
    assert second.param_groups[0]["lr"] == 0.05
    part = get_model_state_dict(model, submodules={model.up}, options=StateDictOptions(keep_submodule_prefixes=False))
    assert set(part) == {"weight", "bias"}
    model.up.weight.requires_grad_(False)
    assert "up.weight" not in get_model_state_dict(model, options=StateDictOptions(ignore_frozen_params=True))


def all_ranks_hear_of_errors():
    with folder() as path:
        missing = _checks.raises(dcp.CheckpointException, dcp.load, {"a": torch.zeros(2)}, checkpoint_id=path, match="FileNotFoundError")
        assert set(missing.failures) == set(range(N))
        dcp.save({"a": torch.zeros(2), "n": 1}, checkpoint_id=path)
        _checks.raises(dcp.CheckpointException, dcp.load, {"b": torch.zeros(2)}, checkpoint_id=path, match="Missing key in checkpoint state_dict: b")
        _checks.raises(dcp.CheckpointException, dcp.load, {"a": torch.zeros(3)}, checkpoint_id=path, match="Size mismatch.*for a")
        _checks.raises(dcp.CheckpointException, dcp.load, {"n": torch.zeros(3)}, checkpoint_id=path, match="an object")
        state = {"a": torch.ones(2), "b": torch.ones(3)}
        dcp.load(state, checkpoint_id=path, planner=dcp.DefaultLoadPlanner(allow_partial_load=True))
        assert state["a"].tolist() == [0, 0] and state["b"].tolist() == [1, 1, 1]
        _checks.raises(dcp.CheckpointException, dcp.save, {"a": torch.zeros(2)}, storage_writer=dcp.FileSystemWriter(path, overwrite=False), match="overwrite is False")
        _checks.raises(dcp.CheckpointException, dcp.save, {"a": torch.zeros(2 + R)} if N > 1 else {"a": {"b": torch.zeros(1)}, "a.b": 1}, checkpoint_id=path)
        _checks.raises(dcp.CheckpointException, dcp.save, {"p": DTensor.from_local(torch.ones(2), MESH, [Partial()])}, checkpoint_id=path, match="terms of a sum")

        class Broken(dcp.FileSystemWriter):
            def write(self, *rest):
                if R == N - 1:
                    raise OSError("disk on fire")
                return super().write(*rest)
        got = _checks.raises(dcp.CheckpointException, dcp.save, {"a": torch.ones(2), **{str(i): i for i in range(8)}}, storage_writer=Broken(path), match="disk on fire")
        assert list(got.failures) == [N - 1]
        state = {"a": torch.ones(2)}
        dcp.load(state, checkpoint_id=path)                       # the earlier one is whole
        assert state["a"].tolist() == [0, 0]
        dist.barrier()
        if R == 0:
            for name in (n for n in os.listdir(path) if n.startswith("__0")):      # the save that failed left one too
                with open(os.path.join(path, name), "r+b") as f:
                    f.truncate(20)
        dist.barrier()
        _checks.raises(dcp.CheckpointException, dcp.load, {"a": torch.zeros(2), "n": 0}, checkpoint_id=path, match="FileFormatError")
    _checks.raises(RuntimeError, dcp.save, {}, match="checkpoint_id")


CHECKS = [tensors_come_back_however_they_lie, models_and_optimizers_go_on, stateful_objects_and_a_thread, full_states_and_wrappers, all_ranks_hear_of_errors]
