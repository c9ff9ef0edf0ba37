"""Convolutions and attention through cuDNN's frontend, for which a module stands in on the software device: what is asked of it, values,
gradients, switches, and the package's own kernels where it says no. On a GPU the real one computes."""
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import rustorch_py as rt
import rustorch_py.nn.functional as F
from rustorch_py.backends import cudnn as switches

SOFTWARE = os.environ.get("RUSTORCH_CUDA_SOFTWARE", "0") not in ("", "0")
if SOFTWARE:
    sys.path.insert(0, str(Path(__file__).parent / "cudnn_standin"))
DTYPES = ("float32", "float64", "bfloat16")


def ran(operation=None):
    """The stand-in's log since the last call."""
    import cudnn
    found = [entry for entry in cudnn.LOG if operation in (None, entry[0])]
    cudnn.LOG.clear()
    return found


@pytest.fixture(autouse=True)
def fresh():
    from rustorch_py.cuda import _dnn
    if not switches.is_available():
        pytest.skip("cuDNN's frontend is not installed")         # only on a GPU
    _dnn.forget()
    if SOFTWARE:
        ran()
    yield
    if SOFTWARE:
        import cudnn
        refused = {found[3] for found in switches.plans() if not found[3].startswith(("cuDNN", "ValueError: not for cuDNN"))}
        assert not refused or cudnn.REFUSED or cudnn.BROKEN, refused
        cudnn.REFUSED.clear()
        cudnn.BROKEN.clear()


software = pytest.mark.skipif(not SOFTWARE, reason="asks the stand-in what it was told")
near = {"float32": 4e-3, "float16": 4e-3, "float64": 1e-10, "bfloat16": 4e-2}


def close(a, b, dtype):
    a, b = a.detach().cpu().double(), b.detach().double()
    assert a.shape == b.shape
    bound = near[dtype] * max(1.0, float(b.abs().max()))
    assert float((a - b).abs().max()) <= bound, float((a - b).abs().max())


def both(x, w, b, dtype, last=False, view=None):
    """The same leaves on the CPU and the device; view: what a product sees of x."""
    kind = getattr(rt, dtype)
    here = [None if s is None else rt.randn(*s).to(kind) for s in (x, w, b)]
    if last:
        form = rt.channels_last if len(x) == 4 else rt.channels_last_3d
        here[:2] = [t.contiguous(memory_format=form) for t in here[:2]]
    there = [None if t is None else t.to("cuda").requires_grad_() for t in here]
    return [None if t is None else t.requires_grad_() for t in here], there


def compare(function, x, w, b, dtype, last=False, view=lambda t: t, **how):
    here, there = both(x, w, b, dtype, last)
    want, got = [function(view(t[0]), t[1], t[2], **how) for t in (here, there)]
    close(got, want, dtype)
    assert got.stride() == want.stride()
    g = rt.randn_like(want)
    want.backward(g)
    got.backward(g.to("cuda"))
    for t, h in zip(there, here):
        if t is not None:
            close(t.grad, h.grad, dtype)
    return got


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("how", [{}, {"stride": 2, "padding": 1}, {"padding": (2, 1), "dilation": (2, 1), "groups": 2}])
def test_conv2d(dtype, last, how):
    compare(F.conv2d, (2, 4, 9, 8), (6, 4 // how.get("groups", 1), 3, 2), (6,), dtype, last, **how)
    if SOFTWARE:
        log = ran()
        assert [entry[0] for entry in log] == ([] if dtype == "float64" else ["fprop", "dgrad", "wgrad"])
        assert all((s[1] == 1) is last for entry in log for s in entry[3])
        assert all(found[3].startswith("cuDNN") is (dtype != "float64") for found in switches.plans())


def test_one_and_three_dimensions():
    compare(F.conv1d, (2, 4, 9), (6, 2, 3), (6,), "float32", stride=2, padding=1, groups=2)
    compare(F.conv3d, (2, 4, 4, 5, 6), (3, 4, 2, 3, 1), None, "float32", padding=(1, 0, 2))
    compare(F.conv3d, (2, 4, 4, 5, 6), (3, 4, 2, 3, 1), None, "float32", True, stride=(1, 2, 1))
    if SOFTWARE:
        log = ran()
        assert len(log) == 9 and log[0][4] == {"padding": [0, 1], "stride": [1, 2], "dilation": [1, 1]}


def test_transposed():
    compare(F.conv_transpose2d, (2, 4, 5, 6), (4, 3, 3, 3), (3,), "float32", stride=2, padding=1, output_padding=1)
    compare(F.conv_transpose2d, (2, 4, 5, 6), (4, 3, 3, 3), (6,), "bfloat16", True, stride=2, groups=2)
    compare(F.conv_transpose1d, (2, 4, 5), (4, 3, 3), None, "float16", dilation=2)
    if SOFTWARE:
        assert {entry[0] for entry in ran()} == {"fprop", "dgrad", "wgrad"}


def test_depthwise_and_small_sides():
    compare(F.conv2d, (2, 4, 6, 6), (4, 1, 3, 3), (4,), "float32", True, groups=4)
    compare(F.conv2d, (2, 4, 6, 6), (8, 1, 3, 3), None, "float32", groups=4)
    compare(F.conv2d, (2, 4, 6, 6), (3, 4, 1, 1), (3,), "float32", True)
    compare(F.conv2d, (2, 1, 6, 6), (3, 1, 3, 3), None, "float32", True)
    compare(F.conv2d, (1, 4, 1, 1), (3, 4, 1, 1), None, "float32", True)
    compare(F.conv2d, (1, 4, 3, 3), (1, 4, 3, 3), None, "float32")


def test_other_strides_are_copied():
    compare(F.conv2d, (2, 4, 9, 8), (6, 4, 3, 3), (6,), "float32", view=lambda t: t[:, :, ::2, 1:])
    compare(F.conv2d, (3, 8, 9, 4), (6, 4, 3, 3), (6,), "float32", view=lambda t: t.transpose(1, 3))
    compare(F.conv2d, (3, 4, 6, 5), (6, 4, 3, 3), (6,), "bfloat16", view=lambda t: t[1:])           # an address off the 16 bytes
    compare(F.conv2d, (2, 1, 6, 5), (6, 4, 3, 3), (6,), "float32", view=lambda t: t.expand(-1, 4, -1, -1))
    x, w = [rt.randn(2, 4, 6, 6), rt.randn(3, 4, 3, 3)]
    for form in ([rt.channels_last, None], [None, rt.channels_last]):
        a, b = [t.to("cuda") if f is None else t.to("cuda").contiguous(memory_format=f) for t, f in zip((x, w), form)]
        close(F.conv2d(a, b), F.conv2d(x, w), "float32")


def test_gradients_of_sums_are_expanded():
    here, there = both((2, 4, 6, 5), (3, 4, 3, 3), (3,), "float32")
    for t in (here, there):
        F.conv2d(*t).sum().backward()
    for a, b in zip(there, here):
        close(a.grad, b.grad, "float32")


def test_double_backward():
    here, there = both((1, 2, 4, 4), (2, 2, 3, 3), None, "float32")
    for t in (here, there):
        grads = rt.autograd.grad(F.conv2d(t[0], t[1]).pow(2).sum(), t[:2], create_graph=True)
        (grads[0].pow(2).sum() + grads[1].sum()).backward()
    for a, b in zip(there[:2], here[:2]):
        close(a.grad, b.grad, "float32")


def test_empty_goes_to_the_own_kernels():
    x = rt.zeros(0, 4, 6, 6, device="cuda", requires_grad=True)
    w = rt.randn(3, 4, 3, 3, device="cuda", requires_grad=True)
    F.conv2d(x, w).sum().backward()
    assert x.grad.shape == (0, 4, 6, 6) and not w.grad.cpu().any()


def test_tf32_is_a_switch():
    x, w = rt.randn(2, 16, 8, 8), rt.randn(4, 16, 3, 3)
    want = F.conv2d(x.double(), w.double())

    def error():
        return float((F.conv2d(x.to("cuda"), w.to("cuda")).cpu().double() - want).abs().max() / want.abs().max())
    with switches.flags(enabled=True, allow_tf32=True):
        loose = error()
    with switches.flags(enabled=True, allow_tf32=False):
        tight = error()
    assert tight < 2e-6 and tight <= loose < 4e-3
    if SOFTWARE:
        assert [entry[1] for entry in ran()] == ["tensor cores", "atomic"] and loose > 1e-5


@software
def test_deterministic_plans():
    x, w = rt.randn(2, 4, 6, 6, device="cuda"), rt.randn(3, 4, 3, 3, device="cuda")
    with switches.flags(enabled=True, deterministic=True, allow_tf32=False):
        F.conv2d(x, w)
    rt.use_deterministic_algorithms(True)
    try:
        with switches.flags(enabled=True, allow_tf32=False):
            F.conv2d(x, w)
    finally:
        rt.use_deterministic_algorithms(False)
    assert [entry[1] for entry in ran()] == ["plain", "plain"]


def test_benchmark_times_plans_once():
    x, w = rt.randn(2, 4, 6, 6), rt.randn(3, 4, 3, 3)
    with switches.flags(enabled=True, benchmark=True):
        for _ in range(2):
            close(F.conv2d(x.to("cuda"), w.to("cuda")), F.conv2d(x, w), "float32")
        if SOFTWARE:
            log = [entry[1] for entry in ran()]
            assert [log.count(name) >= 3 for name in ("tensor cores", "atomic", "halves", "plain")] == [True, True, False, True] and len(log) == 11
            assert log[-1] == log[-2] and switches.plans()[0][3] == "cuDNN: " + log[-1]
    if SOFTWARE:
        with switches.flags(enabled=True, benchmark=True, benchmark_limit=1):
            F.conv2d(x.to("cuda"), w.to("cuda")[:2])
        assert {entry[1] for entry in ran()} == {"tensor cores"}


@software
def test_disabled_and_refused():
    import cudnn
    x, w = rt.randn(2, 4, 6, 6), rt.randn(3, 4, 3, 3)
    with switches.flags(enabled=False):
        close(F.conv2d(x.to("cuda"), w.to("cuda")), F.conv2d(x, w), "float32")
        assert not switches.is_acceptable(x.to("cuda"))
    assert not ran() and not switches.plans() and switches.is_acceptable(x.to("cuda")) and not switches.is_acceptable(x)
    cudnn.REFUSED.add("fprop")
    for _ in range(2):
        close(F.conv2d(x.to("cuda"), w.to("cuda")), F.conv2d(x, w), "float32")
    (found,) = switches.plans()
    assert found[0] == "convolution" and found[1] is rt.float32 and found[3].startswith("cudnnGraphNotSupportedError: No execution plans")
    assert not ran()


@software
def test_plans_that_fail_to_run():
    import cudnn
    x, w = rt.randn(2, 4, 6, 6), rt.randn(3, 4, 3, 3)
    cudnn.BROKEN |= {"tensor cores", "halves"}
    for _ in range(2):
        close(F.conv2d(x.to("cuda"), w.to("cuda")), F.conv2d(x, w), "float32")
    assert [entry[1] for entry in ran()] == ["atomic", "atomic"] and [found[3] for found in switches.plans()] == ["cuDNN: atomic"]
    cudnn.BROKEN.add("atomic")
    with pytest.raises(RuntimeError, match="EXECUTION_FAILED"):
        F.conv2d(x.to("cuda"), w.to("cuda"))                        # it has run before
    cudnn.BROKEN.add("plain")
    close(F.conv2d(x.to("cuda"), w.to("cuda")[1:]), F.conv2d(x, w[1:]), "float32")
    assert switches.plans()[1][3] == "RuntimeError: CUDNN_STATUS_EXECUTION_FAILED" and not ran()


@software
def test_a_frontend_without_the_short_way(monkeypatch):
    import cudnn
    monkeypatch.delattr(cudnn.pygraph, "_execute_with_ptrs")
    compare(F.conv2d, (2, 4, 9, 8), (6, 4, 3, 2), (6,), "float32", True)
    attend((2, 3, 20, 16), (2, 3, 24, 16), (2, 3, 24, 8))
    assert [entry[0] for entry in ran()] == ["fprop", "dgrad", "wgrad", "sdpa", "sdpa_backward"]


def test_signatures():
    from rustorch_py.cuda import _backend
    x = rt.zeros(3, 4, device="cuda")
    what, pointers, off = _backend.signature((x, None, x[:, 1:]))
    assert pointers == [x.data_ptr(), x.data_ptr() + 4] and off and not _backend.signature((x, x))[2]
    others = [x.t(), x[:2], x[:, :3], x.int(), x[None], x.half()]
    assert len({_backend.signature((t,))[0] for t in (x, *others)}) == 7
    assert _backend.signature((x, x, None))[0] != _backend.signature((x, None, x))[0] != _backend.signature((x, x))[0]
    assert _backend.signature((x,))[0] == _backend.signature((rt.ones(3, 4, device="cuda"),))[0]
    with pytest.raises(ValueError, match="too many"):
        _backend.signature((x,) * 50)
    assert _backend.room(x, 1000).shape == (1000,) and _backend.room(x, 1000).device == x.device


@software
def test_no_memory_for_a_workspace():
    from rustorch_py.cuda import _backend
    import cudnn
    x, w = rt.randn(2, 4, 6, 6), rt.randn(3, 4, 3, 3)
    a, b = x.to("cuda"), w.to("cuda")
    before, cudnn.WORKSPACE = cudnn.WORKSPACE, _backend.mem_info(0)[1] + (1 << 40)
    try:
        close(F.conv2d(a, b), F.conv2d(x, w), "float32")
    finally:
        cudnn.WORKSPACE = before
    assert not ran() and len(switches.plans()) == 1
    close(F.conv2d(a, b), F.conv2d(x, w), "float32")
    assert not ran()                                                # its plan wants as much as before


@software
def test_streams_threads_and_devices():
    x, w = rt.randn(2, 4, 6, 6), rt.randn(3, 4, 3, 3)
    side = rt.cuda.Stream()
    a, b = x.to("cuda"), w.to("cuda")
    rt.cuda.synchronize()
    with rt.cuda.stream(side):
        F.conv2d(a, b)
    F.conv2d(a, b)
    assert [entry[2] for entry in ran()] == [side.cuda_stream, 0]
    found = []
    thread = threading.Thread(target=lambda: found.append(F.conv2d(a, b).cpu()))
    thread.start()
    thread.join()
    close(found[0], F.conv2d(x, w), "float32")
    close(F.conv2d(x.to("cuda:1"), w.to("cuda:1")), F.conv2d(x, w), "float32")
    assert len(switches.plans()) == 2


@software
def test_a_capture_does_not_start_cudnn():
    from rustorch_py.cuda import _dnn
    x, w = rt.randn(2, 4, 6, 6), rt.randn(3, 4, 3, 3)
    a, b = x.to("cuda"), w.to("cuda")
    _dnn._handles.__dict__.clear()
    graph = rt.cuda.CUDAGraph()
    with rt.cuda.graph(graph):
        y = F.conv2d(a, b)
    assert not ran() and not switches.plans() and not _dnn._handles.__dict__
    graph.replay()
    close(y, F.conv2d(x, w), "float32")
    close(F.conv2d(a, b), F.conv2d(x, w), "float32")
    assert len(ran()) == 1
    _dnn._handles.__dict__.clear()                              # as in another thread, with the plan made
    with rt.cuda.graph(rt.cuda.CUDAGraph()):
        F.conv2d(a, b)
    assert not ran()


def test_without_cudnn():
    code = """
import rustorch_py as rt
from rustorch_py.cuda import _dnn
x, w = rt.randn(2, 3, 6, 6), rt.randn(4, 3, 3, 3)
got = rt.nn.functional.conv2d(x.to("cuda"), w.to("cuda")).cpu()
assert (got - rt.nn.functional.conv2d(x, w)).abs().max() < 1e-4
cudnn = rt.backends.cudnn
assert cudnn.enabled and not cudnn.is_available() and cudnn.version() is None and not cudnn.is_acceptable(x.to("cuda")) and cudnn.plans() == []
print(_dnn.why_not())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ, RUSTORCH_CUDNN="0"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ImportError: ")


def test_version_and_switches():
    assert switches.version() >= 90000 and rt.backends.cudnn.is_available()
    switches.allow_tf32 = False
    try:
        from rustorch_py.cuda import _dnn
        assert _dnn.switches.allow_tf32 is False
    finally:
        switches.allow_tf32 = True
    with switches.flags(enabled=True, benchmark_limit=3):
        assert switches.benchmark_limit == 3
    assert switches.benchmark_limit == 10 and switches.enabled


# ---- attention -------------------------------------------------------------------------------------------------------
def attend(q, k, v, dtype="bfloat16", own=(False, False), view=lambda t: t, **how):
    here = [rt.randn(*s).to(getattr(rt, dtype)) for s in (q, k, v)]
    there = [t.to("cuda").requires_grad_() for t in here]
    here = [t.float().requires_grad_() for t in here]
    want = F.scaled_dot_product_attention(*[view(t) for t in here], **how)
    with switches.flags(enabled=not own[0]):
        got = F.scaled_dot_product_attention(*[view(t) for t in there], **how)
    close(got, want, "bfloat16")
    g = rt.randn_like(want)
    want.backward(g)
    with switches.flags(enabled=not own[1]):
        got.backward(g.to("cuda").to(got.dtype))
    for t, h in zip(there, here):
        close(t.grad, h.grad, "bfloat16")
    return got


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("own", [(False, False), (True, False), (False, True)])
def test_attention(causal, own):
    """Either kernel may go forward, either backward."""
    attend((2, 3, 20, 16), (2, 3, 24, 16), (2, 3, 24, 8), own=own, is_causal=causal)
    if SOFTWARE:
        log = ran()
        assert [entry[0] for entry in log] == [name for name, mine in zip(("sdpa", "sdpa_backward"), own) if not mine]
        assert all(entry[4]["causal"] is causal and entry[4]["scale"] == 0.25 for entry in log)


def test_attention_of_views_groups_and_fewer_dimensions():
    out = attend((2, 20, 3, 16), (2, 24, 3, 16), (2, 24, 3, 16), view=lambda t: t.transpose(1, 2), scale=0.3)
    assert out.stride() == (20 * 48, 16, 48, 1)                 # as q lies
    attend((2, 4, 20, 16), (2, 2, 24, 16), (2, 2, 24, 16), enable_gqa=True)
    attend((3, 20, 16), (3, 24, 16), (3, 24, 16), dtype="float16")
    if SOFTWARE:
        assert [entry[0] for entry in ran()] == ["sdpa", "sdpa_backward"] * 3


def test_attention_of_a_split_projection():
    here = rt.randn(2, 12, 3 * 32).to(rt.bfloat16)
    there = here.to("cuda").requires_grad_()
    here = here.float().requires_grad_()
    outs = [F.scaled_dot_product_attention(*[t.view(2, 12, 2, 16).transpose(1, 2) for t in x.chunk(3, -1)], is_causal=True) for x in (here, there)]
    close(outs[1], outs[0], "bfloat16")
    for out in outs:
        out.sum().backward()                                    # an expanded gradient
    close(there.grad, here.grad, "bfloat16")
    if SOFTWARE:
        assert [entry[0] for entry in ran()] == ["sdpa", "sdpa_backward"]


MASKS = {
    "every": lambda: rt.rand(2, 4, 12, 17) > 0.4,
    "shared": lambda: rt.rand(12, 17) > 0.4,
    "keys of images": lambda: rt.rand(2, 1, 1, 17) > 0.4,
    "queries": lambda: rt.rand(1, 4, 12, 1) > 0.4,
    "floats": lambda: rt.randn(2, 1, 12, 17).to(rt.bfloat16),
    "floats of heads, some -inf": lambda: rt.randn(4, 12, 17).masked_fill(rt.rand(4, 12, 17) > 0.6, float("-inf")).to(rt.bfloat16),
}


@pytest.mark.parametrize("own", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("name", MASKS)
def test_attention_with_masks(name, own):
    mask = MASKS[name]()
    if mask.dtype is rt.bool and mask.shape[-1] > 1:
        mask.flatten(0, -2)[-1] = False                          # sees nothing
    here = [rt.randn(2, n, s, 16).to(rt.bfloat16) for n, s in ((4, 12), (2, 17), (2, 17))]
    there = [t.to("cuda").requires_grad_() for t in here]
    here = [t.float().requires_grad_() for t in here]
    want = F.scaled_dot_product_attention(*here, attn_mask=mask if mask.dtype is rt.bool else mask.float(), enable_gqa=True)
    with rt.no_grad():
        close(F.scaled_dot_product_attention(*there, attn_mask=mask.to("cuda"), enable_gqa=True), want, "bfloat16")
    with switches.flags(enabled=not own[0]):
        got = F.scaled_dot_product_attention(*there, attn_mask=mask.to("cuda"), enable_gqa=True)
    close(got, want, "bfloat16")
    g = rt.randn_like(want)
    want.backward(g)
    with switches.flags(enabled=not own[1]):
        got.backward(g.to("cuda").to(got.dtype))
    for t, h in zip(there, here):
        close(t.grad, h.grad, "bfloat16")
    if SOFTWARE:
        assert [entry[0] for entry in ran()] == ["sdpa", *[o for o, mine in zip(("sdpa", "sdpa_backward"), own) if not mine]]


@software
def test_attention_that_is_left_to_the_own_kernel():
    import cudnn
    attend((2, 3, 20, 12), (2, 3, 24, 12), (2, 3, 24, 12))                                               # no multiple of 8
    attend((2, 3, 20, 17), (2, 3, 24, 17), (2, 3, 24, 17), view=lambda t: t[..., 1:])                    # odd steps
    here = [rt.randn(2, 3, 20, 16) for _ in range(3)]
    close(F.scaled_dot_product_attention(*[t.to("cuda") for t in here]), F.scaled_dot_product_attention(*here), "float32")
    assert not ran() and {found[0] for found in switches.plans()} == {"attention", "attention_back"}
    assert all(found[3].startswith("ValueError") for found in switches.plans()) and {found[1] for found in switches.plans()} == {rt.bfloat16}
    rt.cuda._dnn.forget()
    cudnn.REFUSED.add("sdpa_backward")
    attend((2, 3, 20, 16), (2, 3, 24, 16), (2, 3, 24, 16))
    assert [entry[0] for entry in ran()] == ["sdpa"]
    assert [found[3].startswith("cuDNN") for found in switches.plans()] == [True, False]


@software
def test_attention_without_gradients_keeps_no_sums():
    q = rt.randn(2, 3, 20, 16, device="cuda", dtype=rt.bfloat16)
    F.scaled_dot_product_attention(q, q, q)
    (entry,) = ran()
    assert len(entry[3]) == 4
