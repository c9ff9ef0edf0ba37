"""Memory, copies, devices, streams, products and errors of the CUDA back end."""
import gc
import warnings

import numpy as np
import pytest

import rustorch_py as rt

assert rt.cuda.is_available()
SOFTWARE = rt.cuda.get_device_name().startswith("Software")
rng = np.random.default_rng(0)


def test_what_the_device_is():
    found = rt.cuda.get_device_properties(0)
    assert (found.major, found.minor) == rt.cuda.get_device_capability() and found.total_memory > 2 ** 20 and found.multi_processor_count > 0
    assert found.name == rt.cuda.get_device_name("cuda:0") and found.name in repr(found)
    assert rt.cuda.get_arch_list() == ["sm_%d%d" % rt.cuda.get_device_capability()] and rt.cuda.is_bf16_supported()
    with pytest.raises(RuntimeError, match="invalid device ordinal 99"):
        rt.cuda.get_device_name(99)
    with pytest.raises(ValueError, match="cuda device"):
        rt.cuda.synchronize("cpu")


def test_complex_numbers_of_two_halves():
    x = rt.tensor([0.0, 1.5, -2.7, 70000.0, 1e-8])
    z = rt.complex(x, x.flip(0))
    assert rt.equal(rt.view_as_real(z.cuda().chalf()).cpu(), rt.view_as_real(z.chalf()))
    for dtype in (rt.complex64, rt.complex128, rt.float32, rt.float16):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")                # the imaginary part is dropped
            want, got = z.chalf().to(dtype), z.cuda().chalf().to(dtype).cpu()
        assert rt.equal(got, want), dtype
    for dtype in (rt.bool, rt.int32, rt.float16, rt.bfloat16, rt.float32, rt.float64, rt.complex128):
        y = x[:3].to(dtype)
        assert rt.equal(rt.view_as_real(y.cuda().chalf()).cpu(), rt.view_as_real(y.chalf())), dtype
    assert rt.equal(rt.view_as_real(z.cuda().chalf()[::2].contiguous()).cpu(), rt.view_as_real(z.chalf()[::2].contiguous()))


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"])
def test_floats_of_8_bits(name):
    dtype = getattr(rt, name)
    every = rt.arange(256, dtype=rt.uint8).view(dtype)
    for other in (rt.float32, rt.float64, rt.float16, rt.bfloat16, rt.int32, rt.bool, rt.float8_e5m2):
        got, want = every.cuda().to(other).cpu(), every.to(other)
        if other.is_floating_point:
            got, want = got.float().nan_to_num(12345.0), want.float().nan_to_num(12345.0)
        assert rt.equal(got, want), other
    x = rt.cat([rt.tensor([0.0, -0.0, 1e9, -1e9, float("inf"), -float("inf"), float("nan"), 1e-12]), rt.from_numpy(rng.standard_normal(500)).float() * 40])
    for start in (x, x.double(), x.half(), x.bfloat16(), x[8:].to(rt.int32)):
        got, want = start.cuda().to(dtype).cpu(), start.to(dtype)
        assert rt.equal(got.float().nan_to_num(12345.0), want.float().nan_to_num(12345.0)), start.dtype
        real = ~want.float().isnan()                       # any NaN is as good as another; the sign of a zero counts
        assert rt.equal(got.view(rt.uint8)[real], want.view(rt.uint8)[real]), start.dtype
    square = x[:400].reshape(20, 20)
    assert rt.equal(square.cuda().t().to(dtype).contiguous().cpu().float().nan_to_num(12345.0), square.t().to(dtype).contiguous().float().nan_to_num(12345.0))


def test_memory_is_counted_cached_and_given_back():
    gc.collect()
    rt.cuda.empty_cache()
    rt.cuda.reset_peak_memory_stats()
    before = rt.cuda.memory_allocated()
    x = rt.empty(3 * 2 ** 20, dtype=rt.uint8, device="cuda")
    assert rt.cuda.memory_allocated() == before + 3 * 2 ** 20 and rt.cuda.memory_reserved() >= 3 * 2 ** 20
    where = x.data_ptr()
    del x
    assert rt.cuda.memory_allocated() == before and rt.cuda.max_memory_allocated() >= before + 3 * 2 ** 20
    x = rt.empty(3 * 2 ** 20 - 100, dtype=rt.uint8, device="cuda")
    assert x.data_ptr() == where                                         # from the cache
    del x
    reserved = rt.cuda.memory_reserved()
    rt.cuda.empty_cache()
    assert rt.cuda.memory_reserved() <= reserved - 3 * 2 ** 20
    assert "Reserved memory" in rt.cuda.memory_summary() and rt.cuda.memory_stats()["allocated_bytes.all.current"] == before
    free, total = rt.cuda.mem_get_info()
    assert 0 < free <= total
    with pytest.raises(rt.cuda.OutOfMemoryError, match="Tried to allocate 16.00 TiB"):
        rt.empty(2 ** 44, dtype=rt.uint8, device="cuda")


def test_streams_and_events():
    stream = rt.cuda.Stream()
    start, end = rt.cuda.Event(enable_timing=True), rt.cuda.Event(enable_timing=True)
    assert end.query() and rt.cuda.current_stream() == rt.cuda.default_stream()
    with rt.cuda.stream(stream):
        assert rt.cuda.current_stream() == stream
        start.record()
        x = rt.ones(1000, device="cuda") * 3
        end.record()
    assert rt.cuda.current_stream() == rt.cuda.default_stream()
    rt.cuda.current_stream().wait_stream(stream)
    assert x.sum().item() == 3000
    end.synchronize()
    assert stream.query() and end.query() and start.elapsed_time(end) >= 0
    x = None                                                             # goes back to the blocks of its stream
    with rt.cuda.stream(stream):
        y = rt.ones(1000, device="cuda")
    rt.cuda.current_stream().wait_stream(stream)
    assert y.sum().item() == 1000
    with pytest.raises(RuntimeError, match="enable_timing"):
        rt.cuda.Event().elapsed_time(end)


@pytest.mark.skipif(rt.cuda.device_count() < 2, reason="needs two devices")
def test_two_devices():
    x = rt.ones(5, device="cuda:1")
    assert x.get_device() == 1 and (x + x).device.index == 1 and x.to("cuda:0").sum().item() == 5
    with rt.cuda.device(1):
        assert rt.cuda.current_device() == 1 and rt.zeros(2, device="cuda").get_device() == 1
    assert rt.cuda.current_device() == 0 and rt.zeros(2, device="cuda").get_device() == 0
    with pytest.raises(RuntimeError, match="same device"):
        x + rt.ones(5, device="cuda:0")
    with pytest.raises(RuntimeError, match="ordinal"):
        rt.ones(1, device="cuda:77")


@pytest.mark.skipif(not SOFTWARE, reason="of the software device")
def test_a_kernel_that_does_not_compile_shows_log_and_source(tmp_path):
    from rustorch_py.cuda import _backend
    from rustorch_py.errors import KernelCompileError
    with pytest.raises(KernelCompileError, match="(?s)nonsense does not compile.*source is .*nonsense") as caught:
        _backend.compiler_of(0).image("RT_KERNEL(nonsense, RtDense) { whatever; }", "nonsense")
    with open(caught.value.source) as f:
        assert "whatever" in f.read()


def test_images_go_by_the_headers_that_they_read():
    import copy
    from rustorch_py.cuda import _backend, _compile
    compiler = copy.copy(_backend.compiler_of(0))
    texts = (_compile.PRELUDE + "int x;", _compile.PRELUDE + '#include "block.h"\nint x;')
    before = [compiler.digest(t) for t in texts]
    for name, changed in (("block.h", [False, True]), ("sort.cuh", [False, False]), ("plan.h", [True, True])):
        compiler.headers = dict(_backend.compiler_of(0).headers)
        compiler.headers[name] = compiler.headers.get(name, "") + "// other"
        compiler._closures = {}
        assert [compiler.digest(t) != b for t, b in zip(texts, before)] == changed, name


def test_images_are_kept(tmp_path, monkeypatch):
    from rustorch_py.cuda import _backend
    monkeypatch.setenv("RUSTORCH_CACHE_DIR", str(tmp_path))
    compiler = _backend.compiler_of(0)
    text = "RT_KERNEL(kept, RtDense) { if (threadIdx.x == 0) ((float *)a.p[0])[0] = 7.0f; }\n"
    before = compiler.compiled, compiler.found
    first = compiler.image(text, "kept")
    again = compiler.image(text, "kept")
    assert first == again and (compiler.compiled, compiler.found) == (before[0] + 1, before[1] + 1)
    kept, = (tmp_path / "kernels").iterdir()
    kept.write_bytes(kept.read_bytes()[:-10])                            # torn: made again
    assert compiler.image(text, "kept")[:64] == first[:64] and compiler.compiled == before[0] + 2


def test_kernels_of_a_group_come_together(monkeypatch):
    from rustorch_py.cuda import _backend, _common
    compiler = _backend.compiler_of(0)
    monkeypatch.setattr(compiler, "in_groups", True)
    monkeypatch.setattr(_common, "GROUPS", {"two": "asinh_fwd_f32_f32_f32 d1m3\nacosh_fwd_f32_f32_f32 d1m3"})
    monkeypatch.setattr(_common, "_group_of", {})
    x = rt.full((5,), 1.5, device="cuda")
    before = compiler.compiled + compiler.found
    got = rt.asinh(x), rt.acosh(x)
    assert compiler.compiled + compiler.found == before + 1
    assert rt.allclose(got[0].cpu(), rt.asinh(x.cpu())) and rt.allclose(got[1].cpu(), rt.acosh(x.cpu()))


def test_means_and_small_copies_are_one_launch():
    from rustorch_py.cuda import _backend
    for dtype in (rt.float32, rt.bfloat16, rt.float64):
        x = rt.from_numpy(rng.standard_normal((7, 300))).to(dtype)
        d = x.cuda()
        for how in ({}, {"dim": 0}, {"dim": 1, "keepdim": True}):
            d.mean(**how)
            before = _backend.launches()
            got = d.mean(**how)
            assert _backend.launches() - before == 1 and got.dtype == dtype
            assert rt.allclose(got.cpu().double(), x.double().mean(**how), atol=4e-3 if dtype == rt.bfloat16 else 1e-6)
        long = rt.arange(1 << 20, device="cuda").remainder(7).to(dtype)                       # in chunks
        assert abs(long.double().mean().item() - long.mean().item()) < 0.02
    assert rt.zeros(0, device="cuda").mean().isnan() and rt.ones(3, dtype=rt.complex64, device="cuda").mean() == 1
    for n in (1, 3, 4, 1000, 4097):                                                            # bytes, where words do not fit
        x = rt.arange(n + 1, dtype=rt.uint8, device="cuda")
        for source in (x[:n], x[1:]):
            to = rt.zeros(n, dtype=rt.uint8, device="cuda")
            to.copy_(source)
            assert rt.equal(to.cpu(), source.cpu())
    x = rt.tensor([float("nan"), -0.0, 1e-42], device="cuda")
    assert x.clone().cpu().view(rt.int32).tolist() == x.cpu().view(rt.int32).tolist()
