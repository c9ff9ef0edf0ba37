"""The package's environment variables, each in a process of its own."""
import os
import subprocess
import sys

import pytest


def run(code, **variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RUSTORCH_")}
    got = subprocess.run([sys.executable, "-c", "import rustorch_py as torch\n" + code], env={**environment, **variables}, capture_output=True, text=True)
    return got.returncode, got.stdout.strip(), got.stderr.strip().splitlines()


def test_values_in_force():
    code = "import logging; print(torch.get_num_threads(), logging.getLogger('rustorch_py').level, torch.device('cuda')._code >> 8)"
    assert run(code, RUSTORCH_NUM_THREADS="3", RUSTORCH_LOG_LEVEL="info", RUSTORCH_CUDA_DEVICE="2")[:2] == (0, "3 20 2")
    # a number in the program wins, other devices do not look, and "cuda" stays a device without a number
    code = "d = torch.device('cuda'); print(torch.device('cuda:1')._code >> 8, torch.device('metal')._code >> 8, d, d.index, torch.cuda.is_available())"
    assert run(code, RUSTORCH_CUDA_DEVICE="2")[:2] == (0, "1 0 cuda None False")


@pytest.mark.parametrize("name, value", [("RUSTORCH_NUM_THREADS", "many"), ("RUSTORCH_NUM_THREADS", "0"), ("RUSTORCH_LOG_LEVEL", "loud")])
def test_a_wrong_value_is_named_at_import(name, value):
    status, _, lines = run("", **{name: value})
    assert status == 1 and lines[-1].startswith("ValueError: " + name) and repr(value) in lines[-1]


@pytest.mark.parametrize("value", ["one", "-1", "1.5", "1000"])
def test_a_wrong_cuda_device_is_named_when_cuda_is_asked_for(value):
    status, out, lines = run("print(torch.ones(2).sum().item(), flush=True)\ntorch.device('cuda')", RUSTORCH_CUDA_DEVICE=value)
    assert status == 1 and out == "2.0"
    assert "DeviceError: RUSTORCH_CUDA_DEVICE: expected the number of a device" in lines[-1] and repr(value) in lines[-1]
