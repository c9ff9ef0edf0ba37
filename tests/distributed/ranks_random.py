"""Random models, optimizers and splits by hypothesis: every way to train on several ranks gives the weights of one process.

All ranks draw the same examples; a rank's failure is told to all, so that they shrink it together. The single process makes the same sums where
their order can be known: with up to two ranks, and through a pipeline, weights are equal to the bit; else to 1e-6.
"""
import os
import traceback

import hypothesis
import hypothesis.strategies as st
import rustorch_py as torch
import rustorch_py.distributed as dist
from rustorch_py import nn, optim
from rustorch_py.distributed.fsdp import FullyShardedDataParallel as FSDP, ShardingStrategy, size_based_auto_wrap_policy
from rustorch_py.distributed.optim import ZeroRedundancyOptimizer
from rustorch_py.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe, ScheduleInterleaved1F1B, split_sequential
from rustorch_py.nn.parallel import DistributedDataParallel as DDP

R, N = dist.get_rank(), dist.get_world_size()
EXAMPLES = int(os.environ.get("RUSTORCH_RANDOM_MODELS", "6"))
LAYERS = {"tanh": nn.Tanh, "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "silu": nn.SiLU, "softplus": nn.Softplus}
OPTIMIZERS = {
    "sgd": (optim.SGD, {"lr": 0.05}), "momentum": (optim.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True}), "adam": (optim.Adam, {"lr": 0.02}),
    "adamw": (optim.AdamW, {"lr": 0.02, "weight_decay": 0.1}), "rmsprop": (optim.RMSprop, {"lr": 0.01}), "adagrad": (optim.Adagrad, {"lr": 0.05})}
layer = st.tuples(st.integers(1, 9), st.sampled_from(sorted(LAYERS)), st.booleans(), st.booleans())        # width, activation, bias, norm
models = st.fixed_dictionaries({
    "inputs": st.integers(1, 6), "layers": st.lists(layer, min_size=4, max_size=7), "seed": st.integers(0, 10**6), "steps": st.integers(1, 3),
    "rows": st.integers(1, 4), "optimizer": st.sampled_from(sorted(OPTIMIZERS)), "cap": st.sampled_from([1e-5, 1e-4, 1.0]), "view": st.booleans(),
    "way": st.sampled_from(["ddp", "zero1", "zero2", "zero3", "zero3 by layer", "gpipe", "1f1b", "interleaved"]), "micro": st.integers(1, 3)})


def build(case):
    torch.manual_seed(case["seed"])
    width, layers = case["inputs"], []
    for out, act, bias, norm in case["layers"]:
        layers.append(nn.Sequential(nn.Linear(width, out, bias=bias), *([nn.LayerNorm(out)] if norm else []), LAYERS[act]()))
        width = out
    return nn.Sequential(*layers).double()


def batches(case, rows):
    g = torch.Generator().manual_seed(case["seed"])
    out = case["layers"][-1][0]
    return [(torch.randn(rows, case["inputs"], generator=g, dtype=torch.float64), torch.randn(rows, out, generator=g, dtype=torch.float64))
            for _ in range(case["steps"])]


def alone(case, data, parts, as_pipeline):
    """One process: the batch in parts, their gradients divided and summed as the ranks (or the pipeline) do it; and the losses of whole batches."""
    model = build(case)
    kind, options = OPTIMIZERS[case["optimizer"]]
    optimizer, losses = kind(model.parameters(), **options), []
    for x, y in data:
        total, loss_sum = None, 0.0
        for px, py in zip(x.tensor_split(parts), y.tensor_split(parts)):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(px), py)
            loss.backward(torch.full_like(loss, 1 / parts) if as_pipeline else None)
            grads = [p.grad if as_pipeline else p.grad * (1 / parts) for p in model.parameters()]
            total = grads if total is None else [a + b for a, b in zip(total, grads)]
            loss_sum += loss.item() / parts
        for p, g in zip(model.parameters(), total):
            p.grad = g
        optimizer.step()
        losses.append(loss_sum)
    return model, losses


def compare(named, reference, exact):
    expected = dict(reference.named_parameters())
    for name, value in named:
        if exact:
            assert torch.equal(value, expected[name]), f"{name} differs by {(value - expected[name]).abs().max().item():.3g}, expected the same bits"
        else:
            torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-6)


def data_parallel(case):
    kind, options = OPTIMIZERS[case["optimizer"]]
    rows, way = case["rows"], case["way"]
    data = batches(case, rows * N)
    reference, expected = alone(case, data, N, False)
    model, cut = build(case), slice(R * rows, R * rows + rows)
    if way in ("ddp", "zero1"):
        model = DDP(model, bucket_cap_mb=case["cap"], gradient_as_bucket_view=case["view"])
        optimizer = (kind(model.parameters(), **options) if way == "ddp"
                     else ZeroRedundancyOptimizer(model.parameters(), kind, parameters_as_bucket_view=case["view"], **options))
    else:
        policy = (lambda module, recurse, nonwrapped_numel: size_based_auto_wrap_policy(module, recurse, nonwrapped_numel, min_num_params=20)) if "layer" in way else None
        model = FSDP(model, sharding_strategy=ShardingStrategy.SHARD_GRAD_OP if way == "zero2" else ShardingStrategy.FULL_SHARD, auto_wrap_policy=policy)
        optimizer = kind(model.parameters(), **options)
    losses = []
    for x, y in data:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x[cut]), y[cut])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    curve = torch.tensor(losses, dtype=torch.float64)
    dist.all_reduce(curve, dist.ReduceOp.AVG)
    torch.testing.assert_close(curve, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-6)
    compare(model.module.named_parameters() if way in ("ddp", "zero1") else model.state_dict().items(), reference, N <= 2)


def in_stages(case):
    kind, options = OPTIMIZERS[case["optimizer"]]
    micro = case["micro"] * N
    data = batches(case, micro * case["rows"])
    reference, expected = alone(case, data, micro, True)
    whole, whole_losses = alone(case, data, 1, False)
    a_rank = 2 if case["way"] == "interleaved" and 2 * N <= len(case["layers"]) else 1
    parts = split_sequential(build(case), a_rank * N)
    stages = [PipelineStage(parts[i], i, a_rank * N, "cpu") for i in range(R, a_rank * N, N)]
    loss_fn = nn.functional.mse_loss
    if case["way"] == "interleaved":
        schedule = ScheduleInterleaved1F1B(stages, micro, loss_fn)
    else:
        schedule = (ScheduleGPipe if case["way"] == "gpipe" else Schedule1F1B)(stages[0], micro, loss_fn)
    optimizer = kind([p for stage in stages for p in stage.submod.parameters()], **options) if any(True for s in stages for _ in s.submod.parameters()) else None
    for step, (x, y) in enumerate(data):
        if optimizer is not None:
            optimizer.zero_grad()
        losses = []
        schedule.step(*([x] if stages[0].is_first else []), target=y if stages[-1].is_last else None, losses=losses)
        if optimizer is not None:
            optimizer.step()
        if losses:
            mean = sum(loss.item() for loss in losses) / micro
            assert abs(mean - expected[step]) <= 1e-6 * max(1, abs(mean)) and abs(mean - whole_losses[step]) <= 1e-6 * max(1, abs(mean))
    for stage in stages:
        compare(stage.submod.named_parameters(), reference, True)
        compare(stage.submod.named_parameters(), whole, False)


def random_models():
    ran = []

    @hypothesis.seed(N)
    @hypothesis.settings(max_examples=EXAMPLES, deadline=None, database=None, print_blob=False, suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(models)
    def example(case):
        error = None
        try:
            (in_stages if case["way"] in ("gpipe", "1f1b", "interleaved") else data_parallel)(case)
        except Exception:
            error = traceback.format_exc()
        errors = [None] * N
        dist.all_gather_object(errors, error)
        ran.append(case["way"])
        assert not any(errors), "\n".join(f"rank {i}: {e}" for i, e in enumerate(errors) if e)
    example()
    assert len(ran) >= EXAMPLES
    if R == 0 and EXAMPLES > 6:
        print(f"{len(ran)} random models on {N} ranks: " + ", ".join(f"{way} {ran.count(way)}" for way in sorted(set(ran))), flush=True)


CHECKS = [random_models]
