"""Lesser-used public names beside PyTorch's: sparse products, memory order, gradient dtypes, counting of operations, optimizers lent other state."""
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402

BOTH = (torch, rt)


def both(fn):
    """What fn(library) gives in PyTorch and here; exceptions by type."""
    out = []
    for m in BOTH:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                out.append(fn(m))
            except Exception as error:
                out.append(error)
    return out


def check(fn):
    theirs, ours = both(fn)
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)) or isinstance(ours, (RuntimeError, NotImplementedError)), (theirs, ours)
    else:
        assert str(ours).replace("torch.", "") == str(theirs).replace("torch.", ""), (theirs, ours)


def sparse(m, twice=False):
    idx = [[0, 1, 1, 0], [2, 0, 2, 2]] if twice else [[0, 1, 1], [2, 0, 2]]
    return m.sparse_coo_tensor(m.tensor(idx), m.tensor([3.0, 4.0, 5.0, 6.0][:len(idx[0])]), (4, 3) if twice else (2, 3))


def dense(m):
    return m.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize("call", [
    "m.dsmm(s, d)", "m.hsmm(s, d)", "m.hspmm(s2, d)", "m.smm(s, d)", "s.smm(d)", "m.smm(s2, d)", "m.hspmm(s2, d).is_coalesced()", "m.hspmm(s2, m.ones(2, 2))",
    "m.hspmm(s, m.ones(3))", "m.smm(d.t(), d)", "m.hspmm(d.t(), d)", "m.sspaddmm(z, s, d, beta=2, alpha=3)", "m.saddmm(z, s, d, beta=2, alpha=3)",
    "z.sspaddmm(s, d).is_coalesced()", "m.sspaddmm(z, s2, d)", "m.crow_indices_copy(s.to_sparse_csr())", "m.col_indices_copy(s.to_sparse_csr())",
    "m.values_copy(s.to_sparse_csr())", "m.ccol_indices_copy(s.to_sparse_csc())", "m.row_indices_copy(s.to_sparse_csc())", "m.indices_copy(d)", "m.values_copy(d)",
    "m.sparse_coo_tensor((1, 1)).resize_as_sparse_(s2).shape", "m.sparse_coo_tensor((5, 6)).resize_as_sparse_(s2)._indices().shape", "s.resize_as_sparse_(z)",
    "m.resize_as_sparse_(d, s)", "s2.resize_as_sparse_(m.sparse_coo_tensor((5, 6)))"])
def test_sparse(call):
    check(lambda m: eval(call, {"m": m, "s": sparse(m), "s2": sparse(m, True), "d": dense(m),
                                "z": m.sparse_coo_tensor(m.tensor([[0], [1]]), m.tensor([1.0]), (2, 2))}))


@pytest.mark.parametrize("call", [
    "m.slice_copy(y, 1, 0, 4, 2)", "m.slice_copy(y)._base", "m.slice_copy(y, -1, -3)", "m.slice_copy(y, 0, 1, 100)", "m.slice_copy(y, 0, 0, 2, 0)", "m.slice_copy(y, 5)",
    "m.slice_inverse(y, y[:, ::2], 1, 0, 4, 2).stride()", "y.slice_inverse(m.ones(3, 2), 1, 0, 4, 2)", "y.slice_inverse(y[1:, ::2], 1)._base is y",
    "y.dim_order()", "y.t().dim_order()", "cl.dim_order(ambiguity_check=True)", "m.ones(1, 3, 1, 5).dim_order(ambiguity_check=[m.contiguous_format, m.channels_last])",
    "m.ones(2, 3, 4, 5).dim_order(ambiguity_check=[m.contiguous_format, m.channels_last])", "m.ones(2, 1).dim_order(ambiguity_check=True)",
    "m.ones(2, 1).expand(2, 3).dim_order(ambiguity_check=True)", "m.ones(2, 1).dim_order(ambiguity_check=3)", "m.ones(2, 3)[:, ::2].dim_order()",
    "m.ones(4, 3, 2).permute(1, 2, 0).dim_order()", "m.ones(()).dim_order()", "m.ones(2, 3).expand(4, 2, 3).dim_order()", "m.ones(1, 2, 1, 4).permute(3, 2, 1, 0).dim_order()",
    "m.ones(2, 2, 2).permute(2, 0, 1).dim_order(ambiguity_check=True)", "m.ones(3, 1).expand(3, 3).t().dim_order()",
    "m.zeros(24).resize_as_(cl).stride()", "m.zeros(120).resize_as_(cl, memory_format=m.preserve_format).stride()",
    "m.zeros(120).resize_as_(cl, memory_format=m.channels_last).stride()", "m.zeros(120).resize_((2, 3, 4, 5), memory_format=m.channels_last).stride()",
    "m.resize_as_(m.ones(2), y).shape", "m.zeros(6).resize_((2, 3), memory_format=m.channels_last)", "m.zeros(6).resize_((2, 3), memory_format=m.preserve_format)",
    "m.wait(m.fork(lambda a, b: a + b, 1, b=2))", "m.jit.wait(m.jit.fork(len, [1, 2]))", "m.set_num_interop_threads(0)", "m.set_num_interop_threads('a')",
    "int(m.utils.dlpack.DLDeviceType.kDLCUDA)", "m.cpu.get_capabilities()['architecture']", "m.cpu.get_capabilities()['avx2']", "m.cpu.get_capabilities()['sse3']",
    "m.cpu.get_capabilities()['num_logical_cores']", "sorted(m.cpu.get_capabilities())"])
def test_small_functions(call):
    check(lambda m: eval(call, {"m": m, "y": m.arange(12.0).reshape(3, 4), "cl": m.ones(2, 3, 4, 5).to(memory_format=m.channels_last)}))


def test_interop_threads_are_set_once():
    code = "import rustorch_py as t\nt.set_num_interop_threads(3)\nassert t.get_num_interop_threads() == 3\ntry:\n t.set_num_interop_threads(2)\nexcept RuntimeError: print('refused')"
    import subprocess
    import sys
    assert "refused" in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_abbreviations_of_dtypes():
    names = "float64 float32 float16 bfloat16 int8 uint8 int16 int32 int64 bool complex64 complex128 complex32 uint16 uint32 uint64 float8_e4m3fn float8_e5m2 float8_e8m0fnu"
    for name in names.split():
        assert getattr(rt, name).abbr == getattr(torch, name).abbr


def test_grad_dtype():
    def steps(m):
        seen = []
        w = m.ones(2, dtype=m.bfloat16, requires_grad=True)
        seen.append(w.grad_dtype)
        w.grad_dtype = m.float32
        (w * 2).sum().backward()
        seen += [w.grad.dtype, w.grad.tolist(), w.grad_dtype]
        (w * 2).sum().backward()
        seen += [w.grad.dtype, w.grad.tolist()]
        x = m.ones(2, requires_grad=True)
        x.grad_dtype = None
        x.grad = m.ones(2, dtype=m.float64)
        seen.append(x.grad.dtype)
        for make in (lambda: setattr(w, "grad_dtype", m.bfloat16), lambda: setattr(w * 2, "grad_dtype", m.bfloat16), lambda: (w * 2).grad_dtype,
                     lambda: setattr(m.ones(2), "grad_dtype", 3), lambda: setattr(m.ones(2, requires_grad=True), "grad", m.ones(2).double())):
            try:
                make()
                seen.append("fine")
            except RuntimeError:
                seen.append("RuntimeError")
        m.ones(2).grad_dtype = m.float64
        return seen
    check(steps)


def test_anomaly_names():
    def steps(m):
        m.set_anomaly_enabled(True, False)
        on = m.is_anomaly_enabled(), m.is_anomaly_check_nan_enabled()
        m.set_anomaly_enabled(False)
        return on, m.is_anomaly_enabled(), m.is_anomaly_check_nan_enabled()
    check(steps)


@pytest.mark.parametrize("case", ["inside", "nested", "around", "sequence"])
def test_saved_tensor_hooks_refused(case):
    def steps(m):
        g = m.autograd.graph
        if case == "around":
            with g.saved_tensors_hooks(lambda x: x, lambda x: x), g.disable_saved_tensors_hooks("no"):
                pass
        with g.disable_saved_tensors_hooks("no"):
            if case == "sequence":
                return "left"
            if case == "nested":
                with g.disable_saved_tensors_hooks("inner"), g.save_on_cpu():
                    pass
            with g.saved_tensors_hooks(lambda x: x, lambda x: x):
                pass
    theirs, ours = both(steps)
    assert str(theirs) == str(ours)


def test_mutation_of_saved_tensors():
    def steps(m):
        g, seen = m.autograd.graph, []
        with g.allow_mutation_on_saved_tensors():
            a = m.ones(2, 3, requires_grad=True)
            b = a.clone()
            out = (b ** 2).sum()
            b.sin_()
            out.backward()
            seen.append(a.grad.tolist())
            w = m.ones(3, requires_grad=True)
            y = (w.exp() * w).sum()
            with m.no_grad():
                w.add_(1)
            y.backward()
            seen.append([round(v, 4) for v in w.grad.tolist()])
            z = a.exp()
            late = z.sum()
            z.zero_()
        try:
            late.backward()
        except AssertionError:
            seen.append("outside")
        try:
            with g.allow_mutation_on_saved_tensors(), g.allow_mutation_on_saved_tensors():
                pass
        except RuntimeError:
            seen.append("nested")
        return seen
    check(steps)
    with rt.autograd.graph.allow_mutation_on_saved_tensors():               # views of what is written, too; PyTorch misses those
        a = rt.ones(2, 3, requires_grad=True)
        b = a.clone()
        out = (b[0] * b[1]).sum()
        b[0].mul_(3)
        out.backward()
    assert a.grad.tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize("write", ["x.mul_(m.full((5,), 3.0))", "x.addcmul_(m.ones(5), m.ones(5))", "x.neg_()", "m._foreach_zero_([x])", "m._foreach_add_([x], [m.ones(5)])"])
def test_mutation_of_saved_tensors_that_want_no_gradient(write):
    for m in (torch, rt):
        with m.autograd.graph.allow_mutation_on_saved_tensors():
            x, w = m.ones(5), m.ones(5, requires_grad=True)
            y = (w * x).sum()
            eval(write, {"m": m, "x": x})
            y.backward()
        assert w.grad.tolist() == [1.0] * 5


def test_multi_grad_hooks_of_tensors_that_backward_does_not_reach():
    def steps(m):
        seen = []
        a, b = m.ones(2, requires_grad=True), m.ones(2, requires_grad=True)
        c, d = a * b, a * b
        m.autograd.graph.register_multi_grad_hook((a, b, c, d), lambda grads: seen.append([g is not None for g in grads]))
        m.autograd.graph.register_multi_grad_hook((c, d, m.ones(2)), lambda g: seen.append("any"), mode="any")
        c.sum().backward(retain_graph=True)
        (c + d).sum().backward(retain_graph=True)
        d.sum().backward()
        return sorted(map(str, seen))
    check(steps)


def test_multithreading_switch():
    def steps(m):
        with m.autograd.set_multithreading_enabled(False):
            x = m.ones(2, requires_grad=True)
            x.sum().backward()
        m.autograd.set_multithreading_enabled(True)
        return x.grad
    check(steps)


def test_swap_tensors():
    def steps(m):
        a, b = m.nn.Parameter(m.arange(3.0)), m.ones(2, 2, dtype=m.float64)
        b.tag = "b"
        b = b.t()[:, :1]
        b.tag = "view"
        m.utils.swap_tensors(a, b)
        return type(a).__name__, type(b).__name__, a, b.data, a.tag, hasattr(b, "tag"), b.requires_grad, a.stride(), b.is_leaf
    check(steps)

    def weak(m):
        import weakref
        a = m.ones(2)
        keep = weakref.ref(a)
        m.utils.swap_tensors(a, m.zeros(2))
        return keep
    check(weak)


def test_batch_norms_without_statistics():
    def steps(m):
        net = m.nn.Sequential(m.nn.BatchNorm1d(2), m.nn.Sequential(m.nn.BatchNorm1d(2, affine=False)))
        same = m.func.replace_all_batch_norm_modules_(net) is net
        return same, net, net[0].running_mean, net[1][0].num_batches_tracked, net(m.arange(6.0).reshape(3, 2))
    check(lambda m: steps(m)[:4])
    ours = steps(rt)[4].detach().numpy()
    np.testing.assert_allclose(ours, steps(torch)[4].detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("kinds", ["23", "32", "22", "33"])
def test_grouped_mm(kinds):
    def run(m, dtype):
        rng = np.random.default_rng(1)
        a = m.from_numpy(rng.standard_normal((4, 8, 16) if kinds[0] == "3" else (16, 16)).astype("float32")).to(dtype)
        b = m.from_numpy(rng.standard_normal((4, 16, 32) if kinds[1] == "3" else (16, 32)).astype("float32")).to(dtype)
        ends = None if kinds == "33" else m.tensor([4, 8, 8, 16] if kinds != "32" else [8, 16, 16, 32], dtype=m.int32)
        return m.nn.functional.grouped_mm(a, b, offs=ends).float().numpy()
    for name in ("float32", "bfloat16"):
        np.testing.assert_allclose(run(rt, getattr(rt, name)), run(torch, getattr(torch, name)), rtol=1e-4 if name == "float32" else 0.02, atol=1e-4 if name == "float32" else 0.1)


@pytest.mark.parametrize("call", ["F.grouped_mm(x, b, offs=offs.long())", "F.grouped_mm(x, b)", "F.grouped_mm(a, b, offs=offs)", "F.grouped_mm(a[0, 0], b)", "F.grouped_mm(a, b[:, :8])",
                                  "F.grouped_mm(a, b, bias=m.zeros(8))", "F.grouped_mm(a, b, out_dtype=m.float64)", "F.grouped_mm(x.double(), b.double(), offs=offs)",
                                  "F.grouped_mm(a[:2], b)", "F.grouped_mm(a, b).shape"])
def test_grouped_mm_refusals(call):
    check(lambda m: eval(call, {"m": m, "F": m.nn.functional, "a": m.ones(4, 8, 16), "b": m.ones(4, 16, 8), "x": m.ones(16, 16), "offs": m.tensor([4, 8, 12, 16], dtype=m.int32)}))


def test_grouped_mm_gradients():
    f = rt.nn.functional.grouped_mm
    for a, b, ends in (((6, 3), (2, 3, 4), [2, 5]), ((2, 5, 3), (3, 6), [4, 6]), ((5, 6), (6, 4), [1, 6])):
        x, y = rt.randn(a, requires_grad=True), rt.randn(b, requires_grad=True)
        out = f(x, y, offs=rt.tensor(ends, dtype=rt.int32))
        g = rt.randn(out.shape)
        got = rt.autograd.grad(out, (x, y), g)
        p, q = x.detach().numpy(), y.detach().numpy()
        gp, gq, n = np.zeros_like(p), np.zeros_like(q), g.numpy()
        for i, (lo, hi) in enumerate(zip([0, *ends], ends)):
            if len(b) == 3:
                gp[lo:hi], gq[i] = n[lo:hi] @ q[i].T, p[lo:hi].T @ n[lo:hi]
            elif len(a) == 3:
                gp[i], gq[:, lo:hi] = n[:, lo:hi] @ q[:, lo:hi].T, p[i].T @ n[:, lo:hi]
            else:
                gp[:, lo:hi], gq[lo:hi] = n[i] @ q[lo:hi].T, p[:, lo:hi].T @ n[i]
        np.testing.assert_allclose(got[0].numpy(), gp, atol=1e-5)
        np.testing.assert_allclose(got[1].numpy(), gq, atol=1e-5)


def test_flex_attention_statistics():
    flex = rt.nn.attention.flex_attention
    q = rt.randn(1, 2, 4, 8, dtype=rt.float64)
    out, aux = flex.flex_attention(q, q, q, return_aux=flex.AuxRequest(lse=True, max_scores=True))
    score = q @ q.mT / 8 ** 0.5
    assert rt.allclose(aux.lse, score.logsumexp(-1)) and rt.allclose(aux.max_scores, score.amax(-1)) and rt.allclose(out, score.softmax(-1) @ q)
    assert flex.flex_attention(q, q, q, return_aux=flex.AuxRequest(lse=True))[1].max_scores is None
    with pytest.raises(ValueError):
        flex.flex_attention(q, q, q, return_lse=True, return_aux=flex.AuxRequest())
    assert flex.AuxRequest() == (False, False) and flex.FlexKernelOptions(BLOCK_M=64) == {"BLOCK_M": 64}
    from torch.nn.attention.flex_attention import FlexKernelOptions
    assert set(flex.FlexKernelOptions.__annotations__) == set(FlexKernelOptions.__annotations__)


# ---- lobpcg ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["ortho", "basic"])
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("k", [1, 3])
def test_lobpcg(method, largest, k):
    rng = np.random.default_rng(k)
    q, _ = np.linalg.qr(rng.standard_normal((40, 40)))
    a = (q * np.arange(1.0, 41.0)) @ q.T
    b = np.diag(np.linspace(1, 2, 40))
    want = np.linalg.eigvalsh(a)
    for layout in ("strided", "sparse", "batch"):
        x = rt.from_numpy(a)
        x = x.to_sparse() if layout == "sparse" else rt.stack([x, 2 * x]) if layout == "batch" else x
        e, v = rt.lobpcg(x, k, largest=largest, method=method)
        top = want[::-1][:k] if largest else want[:k]
        np.testing.assert_allclose(e.numpy(), np.stack([top, 2 * top]) if layout == "batch" else top, rtol=1e-9)
        assert float((rt.from_numpy(a) @ (v[0] if layout == "batch" else v) - (v * e.unsqueeze(-2) if layout != "batch" else v[0] * e[0])).abs().max()) < 1e-5
    import scipy.linalg
    e, _ = rt.lobpcg(rt.from_numpy(a), k, B=rt.from_numpy(b), largest=largest, method=method)
    general = scipy.linalg.eigh(a, b, eigvals_only=True)
    np.testing.assert_allclose(e.numpy(), general[::-1][:k] if largest else general[:k], rtol=1e-8)
    e, _ = rt.lobpcg(rt.from_numpy(a), X=rt.from_numpy(rng.standard_normal((40, k))), iK=rt.from_numpy(np.linalg.inv(a)), largest=largest, method=method)
    np.testing.assert_allclose(e.numpy(), top, rtol=1e-8)


def test_lobpcg_options_and_refusals():
    a = rt.diag(rt.arange(1.0, 31.0))
    seen = []

    def stop(worker):
        seen.append(worker.ivars["istep"])
        worker.bvars["force_stop"] = len(seen) == 3
    rt.lobpcg(a, 2, tracker=stop)
    assert seen == [1, 2, 3]
    seen.clear()
    rt.lobpcg(a, 2, niter=2, tracker=lambda w: seen.append(w.ivars["iterations_left"]))
    assert seen == [1, 0]
    loose, tight = [], []
    rt.lobpcg(a.double(), 1, tol=1e-2, tracker=lambda w: loose.append(w))
    rt.lobpcg(a.double(), 1, tol=1e-10, tracker=lambda w: tight.append(w), ortho_iparams={"i_max": 2}, ortho_bparams={"use_drop": True})
    assert len(loose) < len(tight)
    for call in ("m.lobpcg(m.eye(12), 5)", "m.lobpcg(m.ones(3, 12))", "m.lobpcg(m.eye(12).int())"):
        check(lambda m: eval(call, {"m": m}))
    with pytest.raises(ValueError):
        rt.lobpcg(a, method="other")
    with pytest.raises(ValueError):
        rt.lobpcg(a.requires_grad_(), 1, B=rt.eye(30))


def test_lobpcg_gradients():
    rt.manual_seed(0)
    d = rt.randn(8, 8, dtype=rt.float64)
    d = (d @ d.T).requires_grad_()
    x = rt.randn(8, 2, dtype=rt.float64)

    def pairs(d):
        e, v = rt.lobpcg((d + d.T) / 2, 2, X=x, largest=False, tol=1e-13, niter=200)
        return e, v * v
    assert rt.autograd.gradcheck(pairs, (d,)) and rt.autograd.gradgradcheck(pairs, (d,))


# ---- optimizers --------------------------------------------------------------------------------------------------
def test_optimizer_lent_parameters_and_state():
    def steps(m):
        own = m.nn.Parameter(m.ones(2))
        opt = m.optim.SGD([own], lr=0.1, momentum=0.9)
        own.grad = m.ones(2)
        opt.step()
        lent = m.nn.Parameter(m.full((2,), 5.0))
        lent.grad = m.ones(2)
        state = {"state": {0: {"momentum_buffer": m.full((2,), 2.0)}}, "param_groups": [{**opt.state_dict()["param_groups"][0], "lr": 1.0}]}
        with m.optim.swap_in_optimizer_params_and_state(opt, {"w": lent}, state):
            opt.step()
        seen = [lent.data, state["state"][0]["momentum_buffer"], opt.param_groups[0]["lr"], opt.param_groups[0]["params"][0] is own, own.data, opt.state[own]["momentum_buffer"]]
        for wrong in ({}, {"state": {}, "param_groups": []}, {"state": {7: {}}, "param_groups": state["param_groups"]}, {"state": {own: {}}, "param_groups": state["param_groups"]},
                      {"state": {}, "param_groups": [{"params": [0]}]}):
            try:
                with m.optim.swap_in_optimizer_params_and_state(opt, {"w": lent}, wrong):
                    pass
                seen.append("fine")
            except RuntimeError:
                seen.append("RuntimeError")
        return seen
    check(steps)


# ---- sparse checks --------------------------------------------------------------------------------------------------
def test_sparse_invariant_switch():
    def steps(m):
        switch = m.sparse.check_sparse_tensor_invariants
        seen = [switch.is_enabled()]
        with switch():
            seen.append(switch.is_enabled())
            with switch(False):
                seen.append(switch.is_enabled())
        switch.enable()
        seen.append(switch.is_enabled())
        switch.disable()
        seen += [switch.is_enabled(), switch(True)(switch.is_enabled)()]
        once = switch()
        try:
            with once, once:
                pass
        except RuntimeError:
            seen.append("twice")
        return seen
    torch.sparse.check_sparse_tensor_invariants.disable()
    check(steps)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("layout", ["sparse_coo", "sparse_csr"])
def test_gradcheck_of_sparse_tensors(masked, layout):
    def steps(m):
        x = m.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]], dtype=m.float64).to_sparse(layout=getattr(m, layout)).requires_grad_()
        y = m.arange(1.0, 7.0, dtype=m.float64).reshape(3, 2).requires_grad_()
        return m.sparse.as_sparse_gradcheck(m.autograd.gradcheck)(lambda a, b: m.sparse.mm(a, b), (x, y), masked=masked)
    assert steps(rt) is True
    wrong = rt.sparse.as_sparse_gradcheck(rt.autograd.gradcheck)
    x = rt.eye(3, dtype=rt.float64).to_sparse().requires_grad_()
    with pytest.raises(RuntimeError):
        wrong(lambda a: a.detach() * 2 + a, (x,), masked=masked)


# ---- operations counted -------------------------------------------------------------------------------------------------
def flops(m, fn):
    from importlib import import_module
    counter = import_module(m.__name__ + ".utils.flop_counter").FlopCounterMode(display=False)
    m.manual_seed(0)
    with counter:
        fn()
    return counter.get_total_flops(), {module: {str(name): n for name, n in counts.items()} for module, counts in counter.get_flop_counts().items()}


@pytest.mark.parametrize("call", [
    "(a @ b).sum().backward()", "a @ v", "v @ v", "x3 @ m.ones(4, 5)", "x3 @ m.ones(2, 4, 5)", "m.ones(2, 7, 3, 4) @ m.ones(7, 4, 5)", "m.mm(a, b)",
    "m.addmm(m.ones(4, 6), a, b)", "m.baddbmm(m.ones(2, 3, 5), x3, m.ones(2, 4, 5))", "m.mv(a, v)", "m.outer(v, v)", "m.linalg.multi_dot([a, b, m.ones(6, 2)])",
    "m.chain_matmul(a, b)", "m.tensordot(x3, m.ones(4, 3, 5), ([1, 2], [1, 0]))", "m.bmm(x3, m.ones(2, 4, 5)).sum()",
    "nn.Linear(5, 6)(m.ones(3, 5)).sum().backward()", "nn.Linear(5, 6)(m.ones(2, 3, 5)).sum().backward()", "nn.Linear(5, 6, bias=False)(m.ones(2, 3, 5)).sum().backward()",
    "nn.Linear(5, 6)(m.ones(5))", "nn.Conv2d(4, 8, 3, padding=1)(img).sum().backward()", "nn.Conv2d(4, 8, 3, stride=2, dilation=2)(img)", "nn.Conv2d(4, 8, 3, groups=2)(img)",
    "nn.ConvTranspose2d(4, 8, 3, stride=2)(img).sum().backward()", "nn.ConvTranspose2d(4, 8, 3, groups=2)(img)", "nn.Conv1d(4, 2, 3)(m.ones(2, 4, 9)).sum().backward()",
    "nn.Conv3d(1, 2, 2)(m.ones(1, 1, 4, 4, 4))", "nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Sequential(nn.Linear(6, 7)))(m.ones(3, 5)).sum().backward()",
    "m.ones(3).sum()", "nn.Conv2d(4, 8, 3)(img.detach()).sum().backward()"])
def test_flops(call):
    space = lambda m: {"m": m, "nn": m.nn, "a": m.ones(4, 5, requires_grad=True), "b": m.ones(5, 6, requires_grad=True), "v": m.ones(5), "x3": m.ones(2, 3, 4),  # noqa: E731
                       "img": m.ones(2, 4, 7, 7, requires_grad=True)}
    theirs, ours = (flops(m, lambda: eval(call, space(m))) for m in BOTH)
    assert ours == theirs


def test_flops_of_attention_and_recurrence():
    q, k, v = rt.ones(2, 3, 4, 8, requires_grad=True), rt.ones(2, 3, 6, 8), rt.ones(2, 3, 6, 10)
    once = 2 * 2 * 3 * 4 * 6
    assert flops(rt, lambda: rt.nn.functional.scaled_dot_product_attention(q, k, v))[0] == once * 18
    assert flops(rt, lambda: rt.nn.functional.scaled_dot_product_attention(q, k, v).sum().backward())[0] == once * (18 + 3 * 8 + 2 * 10)
    for kind in ("GRU", "LSTM"):
        gates = {"GRU": 3, "LSTM": 4}[kind]
        total = flops(rt, lambda: getattr(rt.nn, kind)(4, 5)(rt.ones(3, 2, 4)))[0]
        assert total == 2 * 3 * 2 * gates * 5 * (4 + 5)
    theirs = flops(torch, lambda: torch.nn.GRU(4, 5)(torch.ones(3, 2, 4))[0].sum().backward())[0]
    assert flops(rt, lambda: rt.nn.GRU(4, 5)(rt.ones(3, 2, 4))[0].sum().backward())[0] == theirs


def test_flop_formulas_and_table(capsys):
    from rustorch_py.utils.flop_counter import FlopCounterMode, flop_registry, register_flop_formula

    def cumsum_flop(shape, *args, out_shape=None, **kwargs):
        assert out_shape == shape
        return shape.numel()
    with FlopCounterMode(display=False, custom_mapping={rt.cumsum: cumsum_flop}) as counter:
        rt.cumsum(rt.ones(3, 4), 0)
        rt.ones(2, 2) @ rt.ones(2, 2)
    assert counter.get_total_flops() == 12 + 16 and counter.get_flop_counts()["Global"]["cumsum"] == 12

    def raw(*args, out_val=None, **kwargs):
        return int(out_val.sum())
    raw._get_raw = True
    with FlopCounterMode(display=False, custom_mapping={rt.nn.functional.linear: raw}) as counter:
        rt.nn.functional.linear(rt.ones(1, 2), rt.ones(3, 2))               # the formula stands for the product inside
    assert counter.get_total_flops() == 6
    register_flop_formula(rt.flip)(cumsum_flop)
    try:
        with FlopCounterMode(display=False) as counter:
            rt.flip(rt.ones(5), (0,))
        assert counter.get_total_flops() == 5
        with pytest.raises(RuntimeError):
            register_flop_formula([rt.flip])(cumsum_flop)
    finally:
        del flop_registry[rt.flip]
    with pytest.raises(ValueError):
        register_flop_formula("flip")(cumsum_flop)
    model = rt.nn.Sequential(rt.nn.Linear(100, 100), rt.nn.Linear(100, 100))
    with FlopCounterMode():
        model(rt.ones(50, 100))
        rt.ones(10, 10) @ rt.ones(10, 10)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["Module", "FLOP", "%", "Total"] and lines[2].split() == ["Global", "2002.000K", "100.00%"]
    assert [line.split()[0] for line in lines[5:]] == ["Sequential", "-", "Sequential.0", "-", "Sequential.1", "-"] and lines[5].startswith(" Sequential")
    with FlopCounterMode(depth=1) as counter:
        model(rt.ones(1, 100))
    assert "Sequential.0" not in capsys.readouterr().out and "Sequential.0" in counter.get_table(2)


def test_modules_are_followed():
    from rustorch_py.utils.module_tracker import ModuleTracker
    net = rt.nn.Sequential(rt.nn.Linear(2, 2), rt.nn.Sequential(rt.nn.Tanh()))
    seen = []
    x = rt.ones(1, 2, requires_grad=True)
    with ModuleTracker() as tracker:
        net[1][0].register_forward_pre_hook(lambda *_: seen.append((set(tracker.parents), tracker.is_bw)))
        out = net(x)
        out.grad_fn.register_hook(lambda *_: seen.append((set(tracker.parents), tracker.is_bw)))
        out.sum().backward()
        assert tracker.parents == {"Global"}
    assert seen == [({"Global", "Sequential", "Sequential.1", "Sequential.1.0"}, False), ({"Global", "Sequential", "Sequential.1", "Sequential.1.0"}, True)]


def test_checkpoint_names():
    c = rt.utils.checkpoint
    with c.GraphExecGroup() as group:
        assert c.GraphExecGroup._get_current_group() is group
        with pytest.raises(RuntimeError), c.GraphExecGroup():
            pass
        runs = []

        def body(x):
            runs.append(1)
            return x.sin(), x.cos()
        x = rt.ones(2, requires_grad=True)
        s, t = c.checkpoint(body, x, use_reentrant=False, early_stop=False)
        s.sum().backward()
        t.sum().backward()
        assert len(runs) == 2
    assert c.DefaultDeviceType.get_device_type() == "cpu"
    c.DefaultDeviceType.set_device_type("cuda")
    assert c.DefaultDeviceType.get_device_type() == "cuda"
    c.DefaultDeviceType.set_device_type(None)
