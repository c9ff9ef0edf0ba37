"""Which steps of a program a profile records (``torch.profiler.schedule``), and where its traces go."""
from __future__ import annotations

import enum
import os
import socket
import time
import warnings


class ProfilerAction(enum.Enum):
    """What a profile does in a step."""
    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


class DeviceType(enum.IntEnum):
    """Kinds of devices, by PyTorch's numbers; events here are the CPU's."""
    CPU = 0
    CUDA = 1
    MKLDNN = 2
    OPENGL = 3
    OPENCL = 4
    IDEEP = 5
    HIP = 6
    FPGA = 7
    MAIA = 8
    XLA = 9
    Vulkan = 10
    Metal = 11
    XPU = 12
    MPS = 13
    Meta = 14
    HPU = 15
    VE = 16
    Lazy = 17
    IPU = 18
    MTIA = 19
    PrivateUse1 = 20


def schedule(*, wait, warmup, active, repeat=0, skip_first=0, skip_first_wait=0):
    """Return a function of the step's number that tells a profile what to do.

    Args:
        wait: steps without watching, at the start of each cycle.
        warmup: steps that are watched and forgotten: the first ones are slow.
        active: steps that are kept; after the last one ``on_trace_ready`` is called.
        repeat: cycles; 0: until the end.
        skip_first: steps before the first cycle.
        skip_first_wait: other than 0: the first cycle does not wait.

    Example:
        >>> plan = schedule(wait=1, warmup=1, active=2)
        >>> [plan(step).name for step in range(5)]
        ['NONE', 'WARMUP', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    if wait < 0 or warmup < 0 or active <= 0 or repeat < 0 or skip_first < 0:
        raise AssertionError(f"Invalid profiler schedule arguments. Got wait={wait} (need >= 0), warmup={warmup} (need >= 0), active={active} (need > 0), "
                             f"repeat={repeat} (need >= 0), skip_first={skip_first} (need >= 0).")
    if warmup == 0:
        warnings.warn("Profiler won't be using warmup, this can skew profiler results", stacklevel=2)
    cycle = wait + warmup + active

    def action(step):
        if step < 0:
            raise AssertionError(f"Step must be non-negative. Got {step}.")
        step -= skip_first
        if step < 0:
            return ProfilerAction.NONE
        if skip_first_wait:
            step += wait
        if repeat and step >= repeat * cycle:
            return ProfilerAction.NONE
        at = step % cycle
        if at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if at < cycle - 1 else ProfilerAction.RECORD_AND_SAVE
    return action


def tensorboard_trace_handler(dir_name, worker_name=None, use_gzip=False):
    """Return a function for ``on_trace_ready`` that writes each trace to ``dir_name/worker.time.pt.trace.json``, where TensorBoard looks for them.

    Args:
        dir_name: folder, made when absent.
        worker_name: default the host's name and the process's number.
        use_gzip: compress the files.
    """
    def write(prof):
        try:
            os.makedirs(dir_name, exist_ok=True)
        except OSError as error:
            raise RuntimeError("Can't create directory: " + str(dir_name)) from error
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        prof.export_chrome_trace(os.path.join(dir_name, f"{worker}.{time.time_ns()}.pt.trace.json" + (".gz" if use_gzip else "")))
    return write


def kineto_available():
    """Tell whether Kineto, PyTorch's tracer of GPUs, is built in: it is not; traces are written by this package."""
    return False


def supported_activities():
    """Return the activities that a profile can watch here."""
    from ._profile import ProfilerActivity, _cuda_available
    return {ProfilerActivity.CPU, ProfilerActivity.CUDA} if _cuda_available() else {ProfilerActivity.CPU}
