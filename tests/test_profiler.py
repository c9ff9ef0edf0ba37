"""The profiler sees functions, methods, operators and gradients, and leaves nothing behind."""
import json
import os
import subprocess
import sys

import pytest

import rustorch_py as torch
import rustorch_py.nn.functional as F


def test_profile_counts_and_restores(tmp_path, capsys):
    before, method = torch.tanh, torch.Tensor.sigmoid
    x = torch.ones(8, 8, requires_grad=True)
    with torch.profiler.profile(record_shapes=True) as prof:
        y = torch.tanh(x * 2 + 1) @ x
        F.relu(y.sigmoid()).sum().backward()
    assert torch.tanh is before and torch.Tensor.sigmoid is method
    rows = {r.key: r for r in prof.key_averages()}
    for name in ("tanh", "mul", "add", "matmul", "sigmoid", "relu", "sum", "TanhBackward0"):
        assert rows[name].count >= 1, name
    assert rows["tanh"].count == 1 and rows["tanh"].cpu_time_total >= rows["tanh"].self_cpu_time_total > 0
    assert rows["tanh"].cpu_memory_usage >= 256
    prof.print_stats()
    assert "tanh" in capsys.readouterr().out
    prof.export_chrome_trace(tmp_path / "t.json")
    assert any(e["name"] == "mul" for e in json.loads((tmp_path / "t.json").read_text())["traceEvents"])
    n = len(prof.events())
    torch.tanh(x)
    assert len(prof.events()) == n


def test_profile_sees_what_layers_call():
    layers = {"conv2d": torch.nn.Conv2d(1, 2, 3), "max_pool2d_with_indices": torch.nn.MaxPool2d(2), "conv_transpose2d": torch.nn.ConvTranspose2d(2, 2, 3)}
    before = {name: vars(type(layer)).get("_function") for name, layer in layers.items()}
    x = torch.ones(1, 1, 8, 8)
    with torch.profiler.profile() as prof:
        for layer in layers.values():
            x = layer(x)
    counts = {row.key: row.count for row in prof.key_averages()}
    assert all(counts.get(name) == 1 for name in layers), counts
    assert {name: vars(type(layer)).get("_function") for name, layer in layers.items()} == before


def test_names_of_functions_and_compositions():
    with torch.profiler.profile() as prof:
        torch.sigmoid(torch.ones(2, 2))
        F.pairwise_distance(torch.ones(2, 2), torch.zeros(2, 2))
    names = {row.key for row in prof.key_averages()}
    assert {"sigmoid", "pairwise_distance"} <= names and "expit" not in names


def test_fast_math_flushes_denormals():
    tiny = torch.tensor([1e-39])
    try:
        if not torch.config.enable_fast_math(True):
            pytest.skip("this processor has no such mode")
        assert (tiny * 1.0).view(torch.int32).item() == 0
    finally:
        torch.config.enable_fast_math(False)
    assert (tiny * 1.0).view(torch.int32).item() != 0


def test_distributed_says_what_is_missing():
    with pytest.raises(torch.DeviceError, match=r"rustorch_py\[mpi\]|NVIDIA"):
        torch.distributed.init_process_group("nccl", rank=0, world_size=4)
    assert not torch.distributed.is_initialized()


def test_log_level_from_environment():
    run = [sys.executable, "-c", "import rustorch_py, logging; print(logging.getLogger('rustorch_py').level)"]
    got = subprocess.run(run, env={**os.environ, "RUSTORCH_LOG_LEVEL": "info"}, capture_output=True, text=True, check=True)
    assert got.stdout.strip() == "20"


def test_jit_runs_eagerly():
    @torch.jit.script
    def f(x, y):
        return x * y
    assert f(torch.ones(2), torch.ones(2)).tolist() == [1, 1]


def test_schedule(tmp_path):
    import gzip
    plan = torch.profiler.schedule(wait=1, warmup=1, active=2, repeat=2, skip_first=1)
    names = [plan(i).name for i in range(10)]
    assert names == ["NONE", "NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE", "NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE", "NONE"]
    ready = []

    def keep(prof):
        ready.append((prof.step_num, sorted({e.name for e in prof.events() if not e.name.startswith("ProfilerStep")}),
                      [e.name for e in prof.events() if e.name.startswith("ProfilerStep")]))
    before = torch.tanh
    with torch.profiler.profile(schedule=plan, on_trace_ready=keep) as prof:
        for i in range(10):
            getattr(torch, ("sin", "cos", "exp", "tanh", "sqrt")[i % 5])(torch.ones(2))
            prof.step()
    assert torch.tanh is before
    assert [(n, [name for name in names if name != "ones"], steps) for n, names, steps in ready] == [
        (5, ["sqrt", "tanh"], ["ProfilerStep#3", "ProfilerStep#4"]), (9, ["exp", "tanh"], ["ProfilerStep#7", "ProfilerStep#8"])]
    with torch.profiler.profile(on_trace_ready=torch.profiler.tensorboard_trace_handler(str(tmp_path / "runs"), "me", use_gzip=True)) as prof:
        torch.sin(torch.ones(2))
        prof.add_metadata("who", "I")
        prof.add_metadata_json("how", '{"a": 1}')
    file, = (tmp_path / "runs").iterdir()
    assert file.name.startswith("me.") and file.name.endswith(".pt.trace.json.gz")
    trace = json.loads(gzip.decompress(file.read_bytes()))
    assert trace["who"] == "I" and trace["how"] == {"a": 1} and any(e["name"] == "sin" for e in trace["traceEvents"])
    with pytest.raises(AssertionError):
        torch.profiler.schedule(wait=-1, warmup=1, active=1)


def test_stacks_and_operations_of_a_profile():
    with torch.profiler.profile(with_stack=True, with_flops=True, acc_events=True) as prof:
        torch.mm(torch.ones(2, 3), torch.ones(3, 4))
    event = next(e for e in prof.events() if e.name == "mm")
    assert event.flops == 48 and "test_stacks_and_operations" in event.stack[0] and event.device_type == torch.profiler.DeviceType.CPU
    assert "48" in prof.key_averages().table() and torch.profiler.supported_activities() == {torch.profiler.ProfilerActivity.CPU}
    assert not torch.profiler.kineto_available()
