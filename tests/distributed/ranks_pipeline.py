"""Checks of pipelines: every schedule trains as one process does, also with tied weights, and with data parallel stages on a mesh."""
import _checks
import rustorch_py as torch
import rustorch_py.distributed as dist
from rustorch_py import nn, optim
from rustorch_py.distributed.pipelining import (PipelineStage, Schedule1F1B, ScheduleGPipe, ScheduleInterleaved1F1B, ScheduleLoopedBFS, SplitPoint, build_stage,
                                                pipe_split, pipeline, split_sequential)
from rustorch_py.distributed.pipelining.schedules import get_schedule_class
from rustorch_py.nn.parallel import DistributedDataParallel as DDP

R, N = dist.get_rank(), dist.get_world_size()
SINGLE, MULTI = (ScheduleGPipe, Schedule1F1B), (ScheduleInterleaved1F1B, ScheduleLoopedBFS)


def mlp(seed=0):
    torch.manual_seed(seed)
    layers = []
    for i in range(7):
        layers += [nn.Linear(5 + i, 6 + i), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(12, 3)).double()


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.a, self.b = nn.LayerNorm(width), nn.Linear(width, 9), nn.Linear(9, width)

    def forward(self, x):
        return x + self.b(self.a(self.norm(x)).relu())


class Words(nn.Module):
    """A language model in small: positions, a mask that only passes through, and an embedding that is also the last layer's weight."""

    def __init__(self, blocks, split_at=()):
        super().__init__()
        self.words, self.places = nn.Embedding(11, 6), nn.Parameter(torch.randn(5, 6))
        self.blocks = nn.ModuleList(Block(6) for _ in range(blocks))
        self.norm, self.head = nn.LayerNorm(6), nn.Linear(6, 11, bias=False)
        self.head.weight = self.words.weight
        self.split_at = split_at

    def forward(self, ids, mask=None):
        x = first = self.words(ids) + self.places[:ids.shape[1]]
        for i, block in enumerate(self.blocks):
            if i in self.split_at:
                pipe_split()
            x = block(x)
        if mask is not None:
            x = x * mask
        return self.head(self.norm(x + first)).transpose(1, 2)


def words(split_at=()):
    torch.manual_seed(4)
    return Words(4, split_at).double()


def sentences(step, rows=12):
    g = torch.Generator().manual_seed(step)
    return torch.randint(0, 11, (rows, 5), generator=g), torch.randint(0, 11, (rows, 5), generator=g), torch.rand(rows, 5, 1, generator=g, dtype=torch.float64)


def batch(step, rows=12):
    g = torch.Generator().manual_seed(step)
    return torch.randn(rows, 5, generator=g, dtype=torch.float64), torch.randn(rows, 3, generator=g, dtype=torch.float64)


def alone(model, make, batches, loss_fn):
    """The curve of one process."""
    optimizer, losses = make(model.parameters()), []
    for *inputs, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(model(*inputs), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def train(schedule, stages, make, batches, group=None):
    """The curve of a pipeline, on the rank of the last stage."""
    optimizer = make(list(dict.fromkeys(p for stage in stages for p in stage.submod.parameters())))      # stages may share some
    curve = []
    for *inputs, y in batches:
        optimizer.zero_grad()
        losses = []
        first, last = stages[0].is_first, stages[-1].is_last
        out = schedule.step(*(inputs if first else ()), target=y if last else None, losses=losses)
        optimizer.step()
        assert (out is not None) == last and len(losses) == (schedule._n_microbatches if last else 0)
        curve.append(sum(x.item() for x in losses) / max(len(losses), 1))
    return curve


def same(curve, expected):
    for a, b in zip(curve, expected, strict=True):
        assert abs(a - b) <= 1e-9 * max(1, abs(b)), (curve, expected)


def same_weights(stages, model):
    names = dict(model.named_parameters())
    for stage in stages:
        inner = stage.submod.module if isinstance(stage.submod, DDP) else stage.submod
        for name, p in inner.named_parameters():
            torch.testing.assert_close(p, names[name] if name in names else names["words.weight"], rtol=1e-9, atol=1e-9)


MAKES = (lambda p: optim.SGD(p, 0.1, momentum=0.9), lambda p: optim.Adam(p, 0.02))


def trains_as_one_process():
    batches, mse = [batch(i) for i in range(4)], nn.MSELoss()
    for make in MAKES:
        reference = mlp()
        expected = alone(reference, make, batches, mse)
        for kind in SINGLE:
            for n in (4, 6, 12):
                parts = split_sequential(mlp(), N)
                stages = [PipelineStage(parts[R], R, N, "cpu")]
                curve = train(kind(stages[0], n, mse), stages, make, batches)
                if stages[0].is_last:
                    same(curve, expected)
                same_weights(stages, reference)
        for kind in MULTI:
            for a_rank in (1, 2, 3):
                count = a_rank * N
                parts = split_sequential(mlp(), count)
                stages = [PipelineStage(parts[i], i, count, "cpu") for i in range(R, count, N)]
                curve = train(kind(stages, 2 * N if N < 4 else 4, mse), stages, make, batches)
                if stages[-1].is_last:
                    same(curve, expected)
                same_weights(stages, reference)


def micro_batches_in_flight():
    """1F1B holds at most as many micro-batches as there are stages after it, GPipe all."""
    for kind, most in ((ScheduleGPipe, 12), (Schedule1F1B, N - R)):
        stage, held = PipelineStage(split_sequential(mlp(), N)[R], R, N, "cpu"), []
        forward = stage.forward_one_chunk
        def spy(*args, forward=forward, stage=stage):
            out = forward(*args)
            held.append(len(stage._inputs))
            return out
        stage.forward_one_chunk = spy
        x, y = batch(0)
        kind(stage, 12, nn.MSELoss()).step(*([x] if R == 0 else []), target=y)
        assert max(held) == most, (kind, held)


def tied_weights():
    """A traced model with an embedding on the first and the last stage."""
    batches, loss_fn = [sentences(i) for i in range(4)], nn.CrossEntropyLoss()
    batches = [(ids, mask, y) for ids, y, mask in batches]
    spec = {f"blocks.{i}": SplitPoint.BEGINNING for i in range(1, N)}
    for make in MAKES:
        reference = words()
        expected = alone(reference, make, batches, loss_fn)
        for kind in SINGLE:
            pipe = pipeline(words(), batches[0][:2], split_spec=spec)
            assert pipe.num_stages == N
            stage = pipe.build_stage(R, "cpu")
            curve = train(kind(stage, 4, loss_fn), [stage], make, batches)
            if stage.is_last:
                same(curve, expected)
            same_weights([stage], reference)
            if N > 1 and R in (0, N - 1):
                own = stage._tied[next(iter(stage._tied))].detach().clone()
                other = torch.empty_like(own)
                (dist.send if R == 0 else dist.recv)(own if R == 0 else other, N - 1 if R == 0 else 0)
                assert R == 0 or torch.equal(own, other)
        count = 2 * N if 2 * N <= 4 else N
        pipe = pipeline(words(range(1, count)), batches[0][:2])
        stages = [build_stage(pipe.get_stage_module(i), i, pipe.info(), torch.device("cpu")) for i in range(R, count, N)]
        curve = train(ScheduleInterleaved1F1B(stages, 4, loss_fn), stages, make, batches)
        if stages[-1].is_last:
            same(curve, expected)
        same_weights(stages, reference)


def gradients_add_up():
    """Two steps without zero_grad between them: shared parameters' gradients are summed once each."""
    model, loss_fn = words(), nn.CrossEntropyLoss()
    pipe = pipeline(words(range(1, N)), (sentences(0)[0],))
    stage = pipe.build_stage(R, "cpu")
    schedule = Schedule1F1B(stage, 4, loss_fn)
    for step in range(2):
        ids, y, _ = sentences(step)
        loss_fn(model(ids), y).backward()
        schedule.step(*([ids] if R == 0 else []), target=y)
    named = dict(model.named_parameters())
    for name, p in stage.submod.named_parameters():
        torch.testing.assert_close(p.grad, named[name if name in named else "words.weight"].grad, rtol=1e-10, atol=1e-12)


def data_parallel_stages():
    if N % 2:
        return
    mesh = dist.init_device_mesh("cpu", (2, N // 2), mesh_dim_names=("dp", "pp"))
    pp, dp, depth = mesh.get_group("pp"), mesh.get_group("dp"), N // 2
    place, replica = mesh.get_local_rank("pp"), mesh.get_local_rank("dp")
    batches, mse = [batch(i, 24) for i in range(4)], nn.MSELoss()
    mine = [(x[replica * 12:replica * 12 + 12], y[replica * 12:replica * 12 + 12]) for x, y in batches]
    for view in (False, True):
        for kind in SINGLE:
            reference = mlp()
            expected = alone(reference, MAKES[0], batches, mse)
            part = DDP(split_sequential(mlp(seed=replica), depth)[place], process_group=dp, bucket_cap_mb=1e-4, gradient_as_bucket_view=view)
            stages = [PipelineStage(part, place, depth, "cpu", group=pp)]
            curve = torch.tensor(train(kind(stages[0], 4, mse), stages, MAKES[0], mine), dtype=torch.float64)
            dist.all_reduce(curve, dist.ReduceOp.AVG, dp)
            if stages[0].is_last:
                same(curve.tolist(), expected)
            assert view or stages[0].submod.reducer.steps == 4            # one exchange a step, not one a micro-batch
    ids_y = [sentences(i, 24) for i in range(3)]
    reference = words()
    expected = alone(reference, MAKES[1], [(ids, y) for ids, y, _ in ids_y], nn.CrossEntropyLoss())
    module = pipeline(words(range(1, depth)), (ids_y[0][0],)).get_stage_module(place)
    stages = [PipelineStage(DDP(module, process_group=dp), place, depth, "cpu", group=pp)]
    cut = slice(replica * 12, replica * 12 + 12)
    curve = torch.tensor(train(Schedule1F1B(stages[0], 4, nn.CrossEntropyLoss()), stages, MAKES[1], [(ids[cut], y[cut]) for ids, y, _ in ids_y]), dtype=torch.float64)
    dist.all_reduce(curve, dist.ReduceOp.AVG, dp)
    if stages[0].is_last:
        same(curve.tolist(), expected)
    same_weights(stages, reference)


def forward_only():
    model, (x, y) = mlp(), batch(0)
    stage = PipelineStage(split_sequential(mlp(), N)[R], R, N, "cpu")
    for schedule in (ScheduleGPipe(stage, 5), ScheduleGPipe(stage, 3, nn.MSELoss())):
        losses = []
        with torch.no_grad():
            out = schedule.eval(*([x] if R == 0 else []), target=y if R == N - 1 else None, losses=losses)
        if R == N - 1:
            torch.testing.assert_close(out, model(x), rtol=1e-12, atol=1e-12)       # 12 rows in 5 parts: 3, 3, 2, 2, 2
            assert len(losses) == (3 if schedule._loss_fn else 0)
        else:
            assert out is None
        assert all(p.grad is None for p in stage.submod.parameters())


def words_and_keywords():
    """A keyword argument for the first stage; sums in place of means; no outputs wanted."""
    ids, y, mask = sentences(0)
    model, loss_fn = words(), nn.CrossEntropyLoss(reduction="sum")
    loss_fn(model(ids, mask=mask), y).backward()
    stage = pipeline(words(range(1, N)), (ids[:3],), {"mask": mask[:3]}).build_stage(R, "cpu")
    schedule = ScheduleGPipe(stage, 4, loss_fn, scale_grads=False)
    assert schedule.step(*([ids] if R == 0 else []), target=y, return_outputs=False, **({"mask": mask} if R == 0 else {})) is None
    named = dict(model.named_parameters())
    for name, p in stage.submod.named_parameters():
        torch.testing.assert_close(p.grad, named[name if name in named else "words.weight"].grad, rtol=1e-9, atol=1e-9)


def what_is_refused():
    layer = nn.Linear(2, 2)
    _checks.raises(ValueError, PipelineStage, layer, N, N, "cpu", match="out of range")
    _checks.raises(TypeError, PipelineStage, lambda x: x, 0, N, "cpu", match="submodule")
    _checks.raises(RuntimeError, PipelineStage, layer, 0, N, "meta", match="expected cpu or cuda")
    if N > 1:
        _checks.raises(ValueError, PipelineStage, layer, 0, 1, "cpu", match="cannot be larger than number of stages")
        _checks.raises(ValueError, ScheduleGPipe, PipelineStage(layer, (R + 1) % N, N, "cpu"), 2, match="needs the stages")
        _checks.raises(ValueError, Schedule1F1B, PipelineStage(layer, R, N, "cpu"), N - 1, match="Number of microbatches")
    stage = PipelineStage(layer, R, N, "cpu", input_args=torch.ones(3, 2))
    _checks.raises(ValueError, ScheduleGPipe, stage, 0, match="n_microbatches")
    _checks.raises(TypeError, ScheduleGPipe, layer, 2, match="PipelineStage")
    _checks.raises(ValueError, ScheduleInterleaved1F1B, [PipelineStage(layer, R, N, "cpu")], 2 * N + 1 + (N == 1), match="rounds" if N > 1 else "x") if N > 2 else None
    schedule = ScheduleGPipe(stage, 2, nn.MSELoss())
    with torch.no_grad():
        _checks.raises(RuntimeError, schedule.step, torch.ones(4, 2), match="gradients to be enabled")
    _checks.raises(TypeError, schedule.step, torch.ones(4, 2), target=torch.ones(4, 2), losses=(), match="losses must be a list")
    _checks.raises(ValueError, schedule.step, torch.ones(1, 2), target=torch.ones(4, 2), match="cannot split")
    if R == N - 1:
        _checks.raises(ValueError, schedule.step, torch.ones(4, 2), match="target")
    if N == 1:
        _checks.raises(RuntimeError, schedule.step, torch.ones(4, 2), target=torch.ones(4, 2), match="input_args: expected")
    _checks.raises(ValueError, stage.tie, "w", nn.Parameter(torch.ones(1)), match="not a parameter")
    _checks.raises(ValueError, get_schedule_class, "ZigZag", match="Unknown schedule")
    assert get_schedule_class("gpipe") is ScheduleGPipe


CHECKS = [trains_as_one_process, micro_batches_in_flight, tied_weights, gradients_add_up, data_parallel_stages, forward_only, words_and_keywords, what_is_refused]
