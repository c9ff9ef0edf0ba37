"""Page-locked memory, copies that do not wait, exchange with other libraries, streams, and what is said when things go wrong."""
import gc
import subprocess
import sys

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.cuda import _backend

assert rt.cuda.is_available()
SOFTWARE = rt.cuda.get_device_name().startswith("Software")


def test_pinned_memory_is_cached():
    x = rt.arange(1000.0)
    p = x.pin_memory()
    assert p.is_pinned() and not x.is_pinned() and rt.equal(p, x) and p.pin_memory() is p and p[10:20].is_pinned()
    assert rt.empty(5, pin_memory=True).is_pinned() and rt.tensor([1, 2], pin_memory=True).is_pinned() and rt.zeros(3, pin_memory=True).tolist() == [0, 0, 0]
    where = p.data_ptr()
    del p
    gc.collect()
    assert rt.ones(1000).pin_memory().data_ptr() == where                  # the block is handed out again
    used, held = _backend.host_memory()
    assert held >= used and rt.cuda.host_memory_stats()["allocated_bytes.current"] == held
    with pytest.raises(RuntimeError, match="only dense CPU tensors can be pinned"):
        x.cuda().pin_memory()
    assert rt.equal(x.t().pin_memory(), x.t()) and rt.equal(rt.arange(6).reshape(2, 3).t().pin_memory(), rt.arange(6).reshape(2, 3).t())


def test_copies_that_do_not_wait():
    p, plain = rt.arange(1000.0).pin_memory(), rt.arange(1000.0)       # more than travels with a launch
    before = _backend.waits()
    y = p.to("cuda", non_blocking=True)
    z = p.cuda(non_blocking=True)
    y.copy_(p, non_blocking=True)
    assert _backend.waits() == before
    back = y.to("cpu", non_blocking=True)
    half = y.to("cpu", rt.float16, non_blocking=True)
    assert _backend.waits() == before and back.is_pinned()
    rt.cuda.current_stream().synchronize()
    assert rt.equal(back, plain) and rt.equal(half, plain.half()) and rt.equal(z.cpu(), plain)
    before = _backend.waits()
    plain.to("cuda", non_blocking=True)                                     # not page-locked: it must be read at once
    p.to("cuda")
    assert _backend.waits() == before + 2
    leaf = rt.ones(3, requires_grad=True)
    (leaf.to("cuda", non_blocking=True) * 2).sum().backward()
    assert leaf.grad.tolist() == [2, 2, 2]


def test_loader_pins():
    data = [(rt.full((3,), float(i)), i) for i in range(4)]
    for x, y in rt.utils.data.DataLoader(data, batch_size=2, pin_memory=True):
        assert x.is_pinned() and y.is_pinned()


class Holder:
    """What another library's array looks like."""

    def __init__(self, t, **more):
        self.t, self.more = t, more

    @property
    def __cuda_array_interface__(self):
        return {**self.t.__cuda_array_interface__, **self.more}


def test_cuda_array_interface():
    x = rt.arange(12.0, device="cuda").reshape(3, 4)
    found = x.__cuda_array_interface__
    assert found["typestr"] == "<f4" and found["shape"] == (3, 4) and found["strides"] is None and found["data"] == (x.data_ptr(), False)
    assert x.t().__cuda_array_interface__["strides"] == (4, 16) and not hasattr(x.cpu(), "__cuda_array_interface__")
    for view in (x, x.t(), x[1:, ::2], x[0, 0], rt.zeros(0, 3, device="cuda")):
        y = rt.as_tensor(Holder(view))
        assert rt.equal(y.cpu(), view.cpu()) and y.device.type == "cuda"
        assert not view.numel() or y.data_ptr() == view.data_ptr()
    copied = rt.tensor(Holder(x))
    assert rt.equal(copied.cpu(), x.cpu()) and copied.data_ptr() != x.data_ptr()
    assert rt.as_tensor(Holder(x, version=3, stream=1), dtype=rt.int64).dtype == rt.int64
    with pytest.raises(RuntimeError, match="requires grad"):
        x.clone().requires_grad_().__cuda_array_interface__
    with pytest.raises(Exception, match="no equivalent"):
        rt.as_tensor(Holder(x, typestr="<U4"))


def test_dlpack_keeps_the_streams():
    x = rt.arange(6.0, device="cuda").reshape(2, 3)
    assert x.__dlpack_device__() == (2, 0)
    for capsule in (x.__dlpack__(), x.__dlpack__(stream=1), x.__dlpack__(stream=None, max_version=(1, 0)), rt.to_dlpack(x)):
        y = rt.from_dlpack(capsule)
        assert y.data_ptr() == x.data_ptr() and rt.equal(y.cpu(), x.cpu())
    assert rt.from_dlpack(x.t()).stride() == (1, 3)
    with pytest.raises(BufferError, match="stream"):
        x.__dlpack__(stream=0)
    with pytest.raises(BufferError, match="per-thread"):
        x.__dlpack__(stream=2)
    assert rt.from_dlpack(x, device="cpu").tolist() == [[0, 1, 2], [3, 4, 5]]
    stream = rt.cuda.Stream()
    asked = []

    class Producer:
        def __dlpack_device__(self):
            return (2, 0)

        def __dlpack__(self, *, stream=None, max_version=None):
            asked.append(stream)
            return x.__dlpack__(stream=stream, max_version=max_version)

    rt.from_dlpack(Producer())
    with rt.cuda.stream(stream):
        rt.from_dlpack(Producer())
    assert asked == [1, stream.cuda_stream]


def test_streams_of_backward():
    side = rt.cuda.Stream()
    x = rt.ones(5, device="cuda", requires_grad=True)
    seen = []

    class Watch(rt.autograd.Function):
        @staticmethod
        def forward(ctx, t):
            return t * 2

        @staticmethod
        def backward(ctx, g):
            seen.append(rt.cuda.current_stream())
            return g * 2

    with rt.cuda.stream(side):
        y = Watch.apply(x)
    side.record_event().wait()
    z = Watch.apply(y)
    z.sum().backward()
    assert seen == [rt.cuda.default_stream(), side] and rt.cuda.current_stream() == rt.cuda.default_stream()
    assert x.grad.cpu().tolist() == [4] * 5
    outer = rt.cuda.ExternalStream(side.cuda_stream)
    assert outer == side and rt.cuda.Stream() != side


def test_record_stream():
    side = rt.cuda.Stream()
    x = rt.ones(3 * 2 ** 20, dtype=rt.uint8, device="cuda")
    x.record_stream(side)
    del x
    assert rt.ones(3 * 2 ** 20, dtype=rt.uint8, device="cuda").sum().item() == 3 * 2 ** 20
    with pytest.raises(RuntimeError, match="CUDA device"):
        rt.ones(2).record_stream(side)


def test_out_of_memory_says_sizes():
    with pytest.raises(rt.cuda.OutOfMemoryError, match=r"CUDA out of memory. Tried to allocate 16.00 TiB. GPU 0 has a total capacity of .* is free.*by tensors.*unallocated"):
        rt.empty(2 ** 44, dtype=rt.uint8, device="cuda")
    text = rt.cuda.memory_summary()
    assert "CUDA memory summary, device ID 0" in text and "Allocated memory" in text and "Frees" in text
    assert "Frees" not in rt.cuda.memory_summary(abbreviated=True)


def run(program, **environment):
    import os
    done = subprocess.run([sys.executable, "-c", "import rustorch_py as rt\n" + program], capture_output=True, text=True, timeout=200,
                          env=dict(os.environ, **environment))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not SOFTWARE, reason="breaks the device")
def test_a_lost_context_says_so():
    out = run("""
x = rt.ones(4, device="cuda")
from rustorch_py.cuda import _backend
_backend.library().rt_soft_break(700)
for _ in range(2):
    try:
        (x + 1).cpu()
    except RuntimeError as error:
        print(error)
print(rt.ones(2).sum().item())
""", RUSTORCH_CUDA_SYNC="1").splitlines()
    assert "illegal memory access" in out[0] and "CUDA_ERROR_ILLEGAL_ADDRESS" in out[0] and "add" in out[0] and "context is lost" in out[0]
    assert out[1].endswith("CUDA error: the context was lost earlier (CUDA_ERROR_ILLEGAL_ADDRESS in add); start a new process") and out[2] == "2.0"


def test_the_drivers_own_pool():
    out = run("""
x = rt.arange(1000.0, device="cuda")
print((x * 2).sum().item(), rt.cuda.memory_allocated() == 4000, rt.cuda.mem_get_info()[0] > 0)
s = rt.cuda.Stream()
with rt.cuda.stream(s):
    y = rt.ones(10, device="cuda")
y.record_stream(rt.cuda.Stream())
del x, y
rt.cuda.empty_cache()
print(rt.cuda.memory_allocated())
""", RUSTORCH_CUDA_ALLOC="async").splitlines()
    assert out == ["999000.0 True True", "0"]


def test_resize():
    t = rt.arange(6.0, device="cuda")
    view = t[2:]
    t.resize_(1000)
    assert t.shape == (1000,) and t[:6].tolist() == list(range(6)) and view.tolist() == [2, 3, 4, 5]
    out = rt.empty(0, device="cuda")
    assert rt.add(t[:3], 1, out=out) is out and out.tolist() == [1, 2, 3]
