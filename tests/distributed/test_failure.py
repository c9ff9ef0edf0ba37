"""A rank that fails ends the job on all ranks, quickly, and says who it was and why."""
import time

import pytest
from _launch import mpirun

START = """
import os, signal, sys, threading, time
from datetime import timedelta
import rustorch_py as torch
import rustorch_py.distributed as dist
dist.init_process_group("mpi", timeout=timedelta(seconds={timeout}))
"""


def fails(body, ranks=3, timeout=60, code=None):
    began = time.monotonic()
    done = mpirun(ranks, "-c", START.format(timeout=timeout) + body, timeout=60)
    assert done.returncode == code if code else done.returncode != 0, done.stderr
    assert time.monotonic() - began < 30          # the others wait for the failed rank until they are ended
    return done.stderr + done.stdout


def test_an_exception_ends_all():
    said = fails("""
def train():
    raise RuntimeError("loss is a carrot")
if dist.get_rank() == 1:
    train()
dist.all_reduce(torch.ones(4))
""")
    import socket
    assert f"rank 1 of 3 on {socket.gethostname()}" in said and "RuntimeError: loss is a carrot" in said and "in train" in said
    assert said.count("Traceback (most recent call last)") == 1


def test_a_killed_rank_ends_all():
    fails("""
if dist.get_rank() == 2:
    os.kill(os.getpid(), signal.SIGKILL)
dist.barrier()
""")


def test_a_crash_shows_the_python_stack():
    said = fails("""
def crash():
    os.kill(os.getpid(), signal.SIGSEGV)
if dist.get_rank() == 0:
    crash()
dist.barrier()
""", 2)
    assert "Segmentation fault" in said and "in crash" in said


@pytest.mark.parametrize("leave, code, shown", [("sys.exit(7)", 7, "7"), ("raise SystemExit(8)", 8, "8"), ("raise SystemExit('no data')", 1, "'no data'")])
def test_exit_with_an_error_ends_all(leave, code, shown):
    said = fails(f"""
if dist.get_rank() == 1:
    {leave}
dist.barrier()
""", 2, code=code)
    assert "rank 1 of 2" in said and f"sys.exit({shown})" in said


def test_a_call_that_never_comes_ends_all():
    said = fails("""
if dist.get_rank() == 1:
    time.sleep(100)
dist.broadcast(torch.ones(3), 1)
""", 2, timeout=0.5)
    assert "rank 0 of 2" in said and "broadcast: not complete after 0.5 s" in said


@pytest.mark.parametrize("code", ["dist.destroy_process_group(); sys.exit(0)", """
try:
    raise SystemExit(3)
except SystemExit as error:
    assert error.code == 3 and error.args == (3,)
    error.code = 4
    assert error.code == 4
class Stop(SystemExit): pass
assert Stop(5).code == 5 and SystemExit().code is None and repr(SystemExit(6)) == "SystemExit(6)"
dist.destroy_process_group()
assert type(SystemExit.__dict__["code"]).__name__ == "member_descriptor"
dist.init_process_group("mpi")
try:
    sys.exit(9)
except SystemExit:
    sys.exit(0)
"""])
def test_a_good_end_is_a_good_end(code):
    done = mpirun(2, "-c", START.format(timeout=60) + "dist.barrier()\n" + code, timeout=60)
    assert done.returncode == 0, done.stderr
