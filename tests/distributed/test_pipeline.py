"""Pipelines: their schedules on paper, how models are cut, and training on 1 to 4 ranks."""
import shutil

import pytest
import rustorch_py as torch
from _launch import each_check, run_alone, run_checks
from rustorch_py import nn
from rustorch_py.distributed.pipelining import (Schedule1F1B, ScheduleGPipe, ScheduleInterleaved1F1B, ScheduleLoopedBFS, SplitPoint, pipe_split, pipeline,
                                                split_sequential)
from rustorch_py.distributed.pipelining.microbatch import TensorChunkSpec, merge_chunks, split_args_kwargs_into_chunks, sum_reducer


@each_check("ranks_pipeline")
def test_pipeline(ranks, check):
    failures = run_checks("ranks_pipeline", ranks)[check]
    assert not failures, "\n".join(failures)


_on_devices = {}


@each_check("ranks_stages")
def test_stages_on_devices(ranks, check):
    if shutil.which("g++") is None:
        pytest.skip("no g++, with which the software CUDA device compiles kernels")
    if ranks not in _on_devices:
        _on_devices[ranks] = run_alone("ranks_stages", ranks, {"RUSTORCH_CUDA_SOFTWARE": "1"}, timeout=300)[0]
    assert not _on_devices[ranks][check], "\n".join(_on_devices[ranks][check])


@each_check("ranks_random")
def test_random_models(ranks, check):
    failures = run_checks("ranks_random", ranks)[check]
    assert not failures, "\n".join(failures)


def order(kind, ranks, chunks, n):
    """A schedule's actions without ranks to run them."""
    schedule = kind.__new__(kind)
    schedule._n_microbatches, schedule._num_stages, schedule.pp_group_size = n, ranks * chunks, ranks
    schedule._check_counts("test")
    return {rank: schedule._order(rank) for rank in range(ranks)}


def runs_through(orders, stages):
    """Carry out the orders on paper: each action after those it needs; returns the number of time steps."""
    done, at, steps = set(), dict.fromkeys(orders, 0), 0
    while any(at[rank] < len(order) for rank, order in orders.items()):
        now = []
        for rank, order_of_rank in orders.items():
            if at[rank] == len(order_of_rank):
                continue
            stage, kind, number = order_of_rank[at[rank]]
            needs = []
            if kind == "F" and stage:
                needs = [(stage - 1, "F", number)]
            elif kind == "B":
                needs = [(stage, "F", number)] + ([(stage + 1, "B", number)] if stage < stages - 1 else [])
            if all(need in done for need in needs):
                now.append((rank, (stage, kind, number)))
        assert now, f"no rank can go on after {at}"
        for rank, action in now:
            done.add(action)
            at[rank] += 1
        steps += 1
    return steps


@pytest.mark.parametrize("kind", [ScheduleGPipe, Schedule1F1B, ScheduleLoopedBFS, ScheduleInterleaved1F1B])
def test_orders_run_through(kind):
    single = kind in (ScheduleGPipe, Schedule1F1B)
    for ranks in range(1, 6):
        for chunks in (1,) if single else (1, 2, 3):
            for n in range(ranks if kind is Schedule1F1B else 1, 14):
                if kind is ScheduleInterleaved1F1B and n % max(1, n // ranks):
                    with pytest.raises(ValueError, match="rounds"):
                        order(kind, ranks, chunks, n)
                    continue
                orders, stages = order(kind, ranks, chunks, n), ranks * chunks
                for rank, actions in orders.items():
                    mine = [(s, k, i) for s in range(rank, stages, ranks) for k in "FB" for i in range(n)]
                    assert sorted(map(tuple, actions)) == sorted(mine)
                    for s in range(rank, stages, ranks):          # messages between two stages travel in order
                        for k in "FB":
                            assert [a.microbatch_index for a in actions if a[:2] == (s, k)] == list(range(n))
                runs_through(orders, stages)


def test_interleaving_makes_idle_times_shorter():
    # Passes of half a stage each take half a time step: 2 * 8 + the idle ones at both ends.
    plain, interleaved = runs_through(order(Schedule1F1B, 4, 1, 8), 4), runs_through(order(ScheduleInterleaved1F1B, 4, 2, 8), 8)
    assert plain == 2 * 8 + 2 * 3 and interleaved / 2 < plain


def test_sequential_is_cut_by_parameters():
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 1))
    for n in range(1, 7):
        parts = split_sequential(model, n)
        assert [m for part in parts for m in part] == list(model) and len(parts) == n
        assert [k for part in parts for k in part.state_dict()] == list(model.state_dict())
    assert [len(p) for p in split_sequential(model, 3)] == [2, 2, 2]
    assert [len(p) for p in split_sequential(model, 2, weights=[9, 1, 1, 1, 1, 1])] == [1, 5]
    model[2].weight = model[0].weight
    tied = [part._tied_parameters for part in split_sequential(model, 3)]
    assert tied == [{"0.weight of stage 0": "0.weight"}, {"0.weight of stage 0": "2.weight"}, {}]
    with pytest.raises(ValueError, match="1 to 6"):
        split_sequential(model, 7)
    with pytest.raises(ValueError, match="expected 6"):
        split_sequential(model, 2, weights=[1])
    with pytest.raises(TypeError, match="Sequential"):
        split_sequential(nn.Linear(1, 1), 1)


class Branchy(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)), nn.Linear(3, 2)
        self.scale = nn.Parameter(torch.rand(3))
        self.calls = []
        self.b.register_forward_hook(lambda *_: self.calls.append("b"))

    def forward(self, x, *, twice=False):
        skip = (self.a(x) * self.scale.exp()).tanh()
        pipe_split()
        y = self.b(skip)
        y[:, 0] = 0
        pipe_split()
        return {"out": self.c(torch.cat([y, skip])[:x.shape[0]] + skip), "in": x, "flag": twice}


def test_pipeline_records_what_lies_between_the_cuts():
    torch.manual_seed(0)
    model, x = Branchy(), torch.randn(4, 3)
    buffers = {k: v.clone() for k, v in model.named_buffers()}
    state = torch.get_rng_state()
    pipe = pipeline(model, (x,), {"twice": True})
    assert pipe.num_stages == 3 and torch.equal(torch.get_rng_state(), state) and not model.calls
    assert all(torch.equal(v, buffers[k]) for k, v in model.named_buffers()) and type(model.scale) is nn.Parameter
    assert {n for i in range(3) for n, _ in pipe.get_stage_module(i).named_parameters()} == {n for n, _ in model.named_parameters()}
    model.eval()
    got, expected = pipe(x, twice=True), model(x, twice=True)
    assert torch.equal(got["out"], expected["out"]) and got["in"] is x and got["flag"] is True
    assert model.calls == ["b", "b"]                         # hooks of modules called whole run
    got["out"].sum().backward()
    assert model.scale.grad is not None
    model.train()
    torch.manual_seed(1)
    got = pipe(x, twice=True)["out"]
    torch.manual_seed(1)
    assert torch.equal(got, model(x, twice=True)["out"])     # so do train() and eval()
    assert pipe_split() is None


def test_pipeline_refuses_what_it_cannot_cut():
    class Reads(nn.Module):
        def forward(self, x):
            pipe_split()
            return x if x.sum().item() > 0 else -x

    class Alone(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(2, 2)

        def forward(self, x):
            pipe_split()
            return x @ (self.lin.weight * 2)
    with pytest.raises(RuntimeError, match="depends on a tensor's values"):
        pipeline(Reads(), (torch.ones(2),))
    with pytest.raises(RuntimeError, match="parameters alone"):
        pipeline(Alone(), (torch.ones(2, 2),))
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with pytest.raises(AttributeError, match="nonexistent module 5"):
        pipeline(model, (torch.ones(1, 2),), split_spec={"5": SplitPoint.END})
    with pytest.raises(ValueError, match="split point"):
        pipeline(model, (torch.ones(1, 2),), split_spec={"1": "end"})
    with pytest.raises(ValueError, match="split_policy"):
        pipeline(model, (torch.ones(1, 2),), split_policy=lambda m: m)
    with pytest.raises(TypeError, match="Module"):
        pipeline(lambda x: x, (torch.ones(1, 2),))


def test_chunks():
    x = torch.arange(10.).reshape(5, 2)
    args, kwargs = split_args_kwargs_into_chunks((x, {"y": [x.T, 7]}), {"k": x}, 2, (TensorChunkSpec(0), TensorChunkSpec(1)), {"k": None})
    assert [a[0].shape[0] for a in args] == [3, 2] and args[1][1]["y"][0].shape == (2, 2) and args[0][1]["y"][1] == 7 and kwargs[1]["k"] is x
    assert torch.equal(merge_chunks([a[0] for a in args], None), x)
    assert torch.equal(merge_chunks([(a[1]["y"][0],) for a in args], (TensorChunkSpec(1),))[0], x.T)
    assert merge_chunks([torch.tensor(1.), torch.tensor(2.)], sum_reducer).item() == 3
    assert str(TensorChunkSpec.from_tuple((0, 1))[1]) == "TensorChunkSpec(1)" and repr(TensorChunkSpec.from_dict({"a": 2})["a"]).endswith("TensorChunkSpec(2)")
    with pytest.raises(ValueError, match="micro-batches"):
        split_args_kwargs_into_chunks((x,), None, 6)
    with pytest.raises(ValueError, match="structure"):
        split_args_kwargs_into_chunks((x,), None, 2, (TensorChunkSpec(0), None))
