"""Checks of pipelines whose stages live on devices: the software CUDA device has two, which the ranks share."""
import _checks
import rustorch_py as torch
import rustorch_py.distributed as dist
from ranks_pipeline import MAKES, alone, batch, mlp, same, sentences, words
from rustorch_py import nn
from rustorch_py.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe, ScheduleInterleaved1F1B, SplitPoint, pipeline, split_sequential

R, N = dist.get_rank(), dist.get_world_size()
HOME = torch.device("cuda", R % torch.cuda.device_count())


def curve_of(schedule, stages, make, batches, first, last):
    """The curve of a pipeline whose inputs enter on one device and whose targets are on another."""
    optimizer, curve = make(list(dict.fromkeys(p for stage in stages for p in stage.submod.parameters()))), []
    for x, y in batches:
        optimizer.zero_grad()
        losses = []
        out = schedule.step(*([x.to(first)] if stages[0].is_first else []), target=y.to(last) if stages[-1].is_last else None, losses=losses)
        optimizer.step()
        assert out is None or out.device == last
        curve.append(sum(x.item() for x in losses) / max(len(losses), 1))
    return curve


def one_stage_a_rank():
    batches, mse = [batch(i) for i in range(3)], nn.MSELoss()
    reference = mlp()
    expected = alone(reference, MAKES[0], batches, mse)
    for kind in (ScheduleGPipe, Schedule1F1B):
        stage = PipelineStage(split_sequential(mlp(), N)[R].to(HOME), R, N, HOME, input_args=torch.zeros(3, 5, dtype=torch.float64) if R == 0 else None)
        curve = curve_of(kind(stage, 4, mse), [stage], MAKES[0], batches, HOME, HOME)
        if stage.is_last:
            same(curve, expected)
        for name, p in stage.submod.named_parameters():
            assert p.device == HOME
            torch.testing.assert_close(p.cpu(), dict(reference.named_parameters())[name], rtol=1e-9, atol=1e-9)


def stages_of_one_rank_on_two_devices_and_the_host():
    places, batches, mse = (torch.device("cuda", 0), torch.device("cuda", 1), torch.device("cpu")), [batch(i) for i in range(2)], nn.MSELoss()
    expected = alone(mlp(), MAKES[1], batches, mse)
    count, parts = 2 * N, split_sequential(mlp(), 2 * N)
    stages = [PipelineStage(parts[i].to(places[i % 3]), i, count, places[i % 3]) for i in range(R, count, N)]
    curve = curve_of(ScheduleInterleaved1F1B(stages, 2 * N, mse), stages, MAKES[1], batches, places[0], places[(count - 1) % 3])
    if stages[-1].is_last:
        same(curve, expected)


def tied_weights_on_devices():
    batches, loss_fn = [sentences(i)[:2] for i in range(2)], nn.CrossEntropyLoss()
    reference = words()
    expected = alone(reference, MAKES[0], batches, loss_fn)
    stage = pipeline(words(), (batches[0][0],), split_spec={f"blocks.{i}": SplitPoint.BEGINNING for i in range(1, N)}).build_stage(R, HOME)
    curve = curve_of(Schedule1F1B(stage, 4, loss_fn), [stage], MAKES[0], batches, HOME, HOME)
    if stage.is_last:
        same(curve, expected)
    names = dict(reference.named_parameters())
    for name, p in stage.submod.named_parameters():
        torch.testing.assert_close(p.cpu(), names[name] if name in names else names["words.weight"], rtol=1e-9, atol=1e-9)


def where_a_stage_is():
    assert PipelineStage(nn.Linear(2, 2), R, N, "cuda").device == torch.device("cuda", torch.cuda.current_device())
    _checks.raises(RuntimeError, PipelineStage, nn.Linear(2, 2), R, N, "meta", match="expected cpu or cuda")


CHECKS = [one_stage_a_rank, stages_of_one_rank_on_two_devices_and_the_host, tied_weights_on_devices, where_a_stage_is]
