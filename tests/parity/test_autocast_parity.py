"""Every operator that autocast knows, under both libraries' autocast: result dtypes, values, gradients."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.tensor._autocast import RULES

pt = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")


class Maker:
    """The same random tensors in either library; floats in the dtype under test."""

    def __init__(self, lib, dtype, grad=False):
        self.lib, self.dtype, self.grad = lib, dtype, grad
        self.rng = np.random.default_rng(7)
        self.leaves = []

    def _wrap(self, array, requires_grad):
        x = self.lib.from_numpy(array.astype(np.float32)).to(getattr(self.lib, self.dtype))
        if self.grad and requires_grad:
            x.requires_grad_()
            self.leaves.append(x)
        return x

    def __call__(self, *shape, grad=True):
        return self._wrap(self.rng.standard_normal(shape), grad)

    def u(self, *shape, grad=True):
        return self._wrap(self.rng.random(shape) * 0.8 + 0.1, grad)

    def spd(self, n=3):
        a = self.rng.standard_normal((n, n))
        return self._wrap(a @ a.T + n * np.eye(n), True)

    def ints(self, values):
        return self.lib.tensor(values)

    def sign(self, *shape):
        return self._wrap(np.sign(self.rng.standard_normal(shape)), False)


def F(t):
    return t.nn.functional


CASES = {
    # to the region's dtype
    "addbmm": lambda t, m: t.addbmm(m(3, 5), m(2, 3, 4), m(2, 4, 5)),
    "addmm": lambda t, m: t.addmm(m(3, 5), m(3, 4), m(4, 5), beta=0.5),
    "baddbmm": lambda t, m: t.baddbmm(m(2, 3, 5), m(2, 3, 4), m(2, 4, 5)),
    "bmm": lambda t, m: t.bmm(m(2, 3, 4), m(2, 4, 5)),
    "chain_matmul": lambda t, m: t.chain_matmul(m(2, 3), m(3, 4), m(4, 2)),
    "conv1d": lambda t, m: F(t).conv1d(m(2, 3, 8), m(4, 3, 3), m(4), padding="same"),
    "conv2d": lambda t, m: F(t).conv2d(m(2, 3, 8, 8), m(4, 3, 3, 3), m(4)),
    "conv3d": lambda t, m: F(t).conv3d(m(1, 2, 4, 4, 4), m(3, 2, 2, 2, 2), m(3)),
    "conv_tbc": lambda t, m: t.conv_tbc(m(6, 2, 3), m(3, 3, 4), m(4), 1),
    "conv_transpose1d": lambda t, m: F(t).conv_transpose1d(m(2, 3, 8), m(3, 4, 3), m(4)),
    "conv_transpose2d": lambda t, m: F(t).conv_transpose2d(m(2, 3, 5, 5), m(3, 4, 3, 3), m(4)),
    "conv_transpose3d": lambda t, m: F(t).conv_transpose3d(m(1, 2, 3, 3, 3), m(2, 3, 2, 2, 2), m(3)),
    "+convolution": lambda t, m: t.convolution(m(1, 2, 5, 5), m(3, 2, 3, 3), m(3), (1, 1), (0, 0), (1, 1), False, (0, 0), 1),
    "einsum": lambda t, m: t.einsum("ij,jk->ik", m(3, 4), m(4, 5)),
    "inner": lambda t, m: t.inner(m(3, 4), m(2, 4)),
    "linalg_matrix_power": lambda t, m: t.linalg.matrix_power(m(3, 3), 2),
    "matrix_power": lambda t, m: t.matrix_power(m(3, 3), 3),
    "linalg_multi_dot": lambda t, m: t.linalg.multi_dot([m(2, 3), m(3, 4), m(4, 2)]),
    "linalg_vecdot": lambda t, m: t.linalg.vecdot(m(3, 4), m(3, 4)),
    "linear": lambda t, m: F(t).linear(m(5, 4), m(3, 4), m(3)),
    "matmul": lambda t, m: t.matmul(m(2, 3, 4), m(4, 5)),
    "mm": lambda t, m: t.mm(m(3, 4), m(4, 5)),
    "prelu": lambda t, m: F(t).prelu(m(3, 4), m(1)),
    "scaled_dot_product_attention": lambda t, m: F(t).scaled_dot_product_attention(m(1, 2, 4, 8), m(1, 2, 4, 8), m(1, 2, 4, 8), is_causal=True),
    "tensordot": lambda t, m: t.tensordot(m(2, 3, 4), m(3, 4, 5), 2),
    # to float32
    "adaptive_avg_pool3d": lambda t, m: F(t).adaptive_avg_pool3d(m(1, 2, 4, 4, 4), 2),
    "adaptive_max_pool3d": lambda t, m: F(t).adaptive_max_pool3d(m(1, 2, 4, 4, 4), 2),
    "adaptive_max_pool3d_with_indices": lambda t, m: F(t).adaptive_max_pool3d(m(1, 2, 4, 4, 4), 2, return_indices=True),
    "avg_pool3d": lambda t, m: F(t).avg_pool3d(m(1, 2, 4, 4, 4), 2),
    "binary_cross_entropy": lambda t, m: F(t).binary_cross_entropy(m.u(6), m.u(6, grad=False)),
    "binary_cross_entropy_with_logits": lambda t, m: F(t).binary_cross_entropy_with_logits(m(6), m.u(6, grad=False)),
    "cdist": lambda t, m: t.cdist(m(3, 4), m(2, 4)),
    "cholesky": lambda t, m: t.cholesky(m.spd()),
    "cholesky_inverse": lambda t, m: t.cholesky_inverse(m.spd()),
    "cholesky_solve": lambda t, m: t.cholesky_solve(m(3, 2), m.spd()),
    "cosine_embedding_loss": lambda t, m: F(t).cosine_embedding_loss(m(4, 3), m(4, 3), m.ints([1, -1, 1, -1])),
    "cross_entropy": lambda t, m: F(t).cross_entropy(m(4, 3), m.ints([0, 2, 1, 1])),
    "ctc_loss": lambda t, m: F(t).ctc_loss(m(6, 1, 4).log_softmax(-1), m.ints([[1, 2]]), m.ints([6]), m.ints([2])),
    "fractional_max_pool2d": lambda t, m: F(t).fractional_max_pool2d(m(1, 2, 6, 6), 2, output_size=3, _random_samples=m.u(1, 2, 2, grad=False)),
    "fractional_max_pool2d_with_indices": lambda t, m: F(t).fractional_max_pool2d(
        m(1, 2, 6, 6), 2, output_size=3, return_indices=True, _random_samples=m.u(1, 2, 2, grad=False)),
    "fractional_max_pool3d": lambda t, m: F(t).fractional_max_pool3d(m(1, 1, 4, 4, 4), 2, output_size=2, _random_samples=m.u(1, 1, 3, grad=False)),
    "fractional_max_pool3d_with_indices": lambda t, m: F(t).fractional_max_pool3d(
        m(1, 1, 4, 4, 4), 2, output_size=2, return_indices=True, _random_samples=m.u(1, 1, 3, grad=False)),
    "geqrf": lambda t, m: t.geqrf(m(4, 3, grad=False)),
    "grid_sample": lambda t, m: F(t).grid_sample(m(1, 2, 4, 4), m.u(1, 3, 3, 2), align_corners=False),
    "hinge_embedding_loss": lambda t, m: F(t).hinge_embedding_loss(m(6), m.sign(6)),
    "huber_loss": lambda t, m: F(t).huber_loss(m(6), m(6)),
    "inverse": lambda t, m: t.inverse(m.spd()),
    "kl_div": lambda t, m: F(t).kl_div(m(4, 3), m.u(4, 3, grad=False), reduction="sum"),
    "l1_loss": lambda t, m: F(t).l1_loss(m(6), m(6)),
    "linalg_cholesky": lambda t, m: t.linalg.cholesky(m.spd()),
    "linalg_cholesky_ex": lambda t, m: t.linalg.cholesky_ex(m.spd()),
    "linalg_cond": lambda t, m: t.linalg.cond(m.spd()),
    "linalg_eig": lambda t, m: t.linalg.eig(m(3, 3, grad=False))[0].abs().sort()[0],
    "linalg_eigh": lambda t, m: t.linalg.eigh(m.spd())[0],
    "linalg_eigvals": lambda t, m: t.linalg.eigvals(m.spd()).abs().sort()[0],
    "linalg_eigvalsh": lambda t, m: t.linalg.eigvalsh(m.spd()),
    "linalg_householder_product": lambda t, m: t.linalg.householder_product(m(4, 3), m(3)),
    "linalg_inv": lambda t, m: t.linalg.inv(m.spd()),
    "linalg_inv_ex": lambda t, m: t.linalg.inv_ex(m.spd()),
    "linalg_lstsq": lambda t, m: t.linalg.lstsq(m.spd(), m(3, 2))[0],
    "linalg_matrix_rank": lambda t, m: t.linalg.matrix_rank(m.spd()),
    "linalg_qr": lambda t, m: t.linalg.qr(m(4, 3))[1].abs(),
    "linalg_solve": lambda t, m: t.linalg.solve(m.spd(), m(3, 2)),
    "linalg_svd": lambda t, m: t.linalg.svd(m(3, 4), full_matrices=False)[1],
    "linalg_svdvals": lambda t, m: t.linalg.svdvals(m(3, 4)),
    "linalg_tensorinv": lambda t, m: t.linalg.tensorinv(m.spd(4).reshape(2, 2, 4)),
    "linalg_tensorsolve": lambda t, m: t.linalg.tensorsolve(m.spd(4).reshape(2, 2, 4), m(2, 2)),
    "lu": lambda t, m: t.lu(m.spd())[0],
    "lu_solve": lambda t, m: t.lu_solve(m(3, 2), m.spd(), m.ints([1, 2, 3]).to(t.int32)),
    "margin_ranking_loss": lambda t, m: F(t).margin_ranking_loss(m(6), m(6), m.sign(6)),
    "max_unpool1d": lambda t, m: F(t).max_unpool1d(m(1, 1, 2), m.ints([[[1, 3]]]), 2),
    "max_unpool2d": lambda t, m: F(t).max_unpool2d(m(1, 1, 1, 2), m.ints([[[[1, 3]]]]), (1, 2)),
    "max_unpool3d": lambda t, m: F(t).max_unpool3d(m(1, 1, 1, 1, 2), m.ints([[[[[1, 3]]]]]), (1, 1, 2)),
    "mse_loss": lambda t, m: F(t).mse_loss(m(6), m(6)),
    "multi_margin_loss": lambda t, m: F(t).multi_margin_loss(m(4, 3), m.ints([0, 2, 1, 1])),
    "multilabel_margin_loss": lambda t, m: F(t).multilabel_margin_loss(m(2, 3), m.ints([[1, -1, 0], [2, 0, -1]])),
    "nanquantile": lambda t, m: t.nanquantile(m(5), 0.3),
    "nll_loss": lambda t, m: F(t).nll_loss(m(4, 3), m.ints([0, 2, 1, 1])),
    "orgqr": lambda t, m: t.orgqr(m(4, 3), m(3)),
    "ormqr": lambda t, m: t.ormqr(m(4, 3, grad=False), m(3, grad=False), m(4, 2, grad=False)),
    "pinverse": lambda t, m: t.pinverse(m.spd()),
    "poisson_nll_loss": lambda t, m: F(t).poisson_nll_loss(m(6), m.u(6, grad=False)),
    "polar": lambda t, m: t.polar(m.u(4), m(4)),
    "prod": lambda t, m: t.prod(m(3, 4), 1),
    "qr": lambda t, m: t.qr(m(4, 3))[1].abs(),
    "quantile": lambda t, m: t.quantile(m(5), 0.3),
    "smooth_l1_loss": lambda t, m: F(t).smooth_l1_loss(m(6), m(6)),
    "soft_margin_loss": lambda t, m: F(t).soft_margin_loss(m(6), m.sign(6)),
    "stft": lambda t, m: t.stft(m(32), 8, return_complex=True, window=m.u(8, grad=False)),
    "svd": lambda t, m: t.svd(m(3, 4))[1],
    "trace": lambda t, m: t.trace(m(3, 3)),
    "triangular_solve": lambda t, m: t.triangular_solve(m(3, 2), m.spd())[0],
    "triplet_margin_loss": lambda t, m: F(t).triplet_margin_loss(m(4, 3), m(4, 3), m(4, 3)),
    "view_as_complex": lambda t, m: t.view_as_complex(m(3, 2)),
    # to the widest
    "cat": lambda t, m: t.cat([m(2, 3), m(2, 3)], dim=1),
    "concat": lambda t, m: t.concat((m(2, 3), m(2, 3))),
    "concatenate": lambda t, m: t.concatenate([m(2, 3), m(2, 3)], axis=1),
    "stack": lambda t, m: t.stack([m(3), m(3)]),
    "index_copy": lambda t, m: t.index_copy(m(3, 2), 0, m.ints([0, 2]), m(2, 2)),
}
# beside the lists: what is left alone, what follows from the parts, what is chosen by an argument
CASES.update({
    "+mv": lambda t, m: t.mv(m(3, 4), m(4)),
    "+addmv": lambda t, m: t.addmv(m(3), m(3, 4), m(4)),
    "+outer": lambda t, m: t.outer(m(3), m(4)),
    "+dot": lambda t, m: t.dot(m(4), m(4)),
    "+softmax": lambda t, m: t.softmax(m(3, 4), -1),
    "+sum": lambda t, m: m(3, 4).sum(),
    "+exp": lambda t, m: m(3, 4).exp(),
    "+layer_norm": lambda t, m: F(t).layer_norm(m(3, 4), (4,)),
    "+avg_pool2d": lambda t, m: F(t).avg_pool2d(m(1, 2, 4, 4), 2),
    "+max_pool3d": lambda t, m: F(t).max_pool3d(m(1, 2, 4, 4, 4), 2),
    "+max_pool3d indices": lambda t, m: F(t).max_pool3d(m(1, 2, 4, 4, 4), 2, return_indices=True),
    "+pad reflect 2d": lambda t, m: F(t).pad(m(1, 2, 4, 4), (1, 1, 1, 1), mode="reflect"),
    "+pad reflect 3d": lambda t, m: F(t).pad(m(1, 2, 4, 4, 4), (1, 1, 1, 1, 1, 1), mode="reflect"),
    "+pad replicate 3d": lambda t, m: F(t).pad(m(1, 2, 4, 4, 4), (1, 1, 1, 1, 1, 1), mode="replicate"),
    "+pad circular": lambda t, m: F(t).pad(m(1, 2, 4), (1, 1), mode="circular"),
    "+pad": lambda t, m: F(t).pad(m(1, 2, 4), (1, 1)),
    "+interpolate": lambda t, m: F(t).interpolate(m(1, 2, 4, 4), scale_factor=2, mode="bilinear"),
    "+matmul operator": lambda t, m: m(3, 4) @ m(4, 2),
    "+method": lambda t, m: m(3, 4).mm(m(4, 2)),
    "+vector": lambda t, m: t.matmul(m(3, 4), m(4)),
})
for _name in ("fft", "fft2", "fftn", "ifft", "ifft2", "ifftn", "rfft", "rfft2", "rfftn", "hfft", "irfft", "irfft2", "irfftn", "ihfft"):
    CASES["fft_" + _name] = lambda t, m, name=_name: getattr(t.fft, name)(m(4, 4))


def test_every_listed_operator_is_here():
    assert {name for name, rule in RULES.items() if rule & 15} <= set(CASES)         # the CPU's; above it are the rules of accelerators


def run(lib, case, dtype, low, grad=False):
    make = Maker(lib, dtype, grad)
    with lib.autocast("cpu", dtype=getattr(lib, low)):
        try:
            out = CASES[case](lib, make)
        except (RuntimeError, NotImplementedError) as error:
            return error, None
    outs = [o for o in (out if isinstance(out, (list, tuple)) else (out,)) if isinstance(o, lib.Tensor)]
    if grad and outs[0].requires_grad:
        value = outs[0]
        (value.abs() if value.is_complex() else value).float().sum().backward()
    return outs, make.leaves


def array(x):
    x = x.detach().resolve_conj()
    return (x if x.is_complex() or not x.is_floating_point() else x.float()).numpy()


@pytest.mark.parametrize("low", ["bfloat16", "float16"])
@pytest.mark.parametrize("case", CASES)
def test_dtypes_and_values(case, low):
    for dtype in ("float32", low):
        want, _ = run(pt, case, dtype, low)
        got, _ = run(rt, case, dtype, low)
        if isinstance(want, Exception):
            # kernels that PyTorch lacks for 16-bit floats outside the lists; ours may have them
            assert case[0] == "+" or "not implemented" in str(want) or "could not create" in str(want) or isinstance(got, Exception), want
            continue
        assert not isinstance(got, Exception), (dtype, got)
        assert [str(x.dtype) for x in got] == [str(x.dtype) for x in want], dtype
        for x, y in zip(got, want):
            tolerance = 1e-3 if dtype == "float32" and x.dtype in (rt.float32, rt.complex64) else 4e-2 if low == "bfloat16" else 6e-3
            np.testing.assert_allclose(array(x), array(y), rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(array(y)).max(initial=0))))


@pytest.mark.parametrize("case", CASES)
def test_gradients(case):
    for dtype in ("float32", "bfloat16"):
        want, leaves = run(pt, case, dtype, "bfloat16", grad=True)
        got, ours = run(rt, case, dtype, "bfloat16", grad=True)
        if isinstance(want, Exception):
            continue
        for x, y in zip(ours, leaves):
            assert (x.grad is None) == (y.grad is None)
            if y.grad is not None:
                assert str(x.grad.dtype) == str(y.grad.dtype) == "torch." + dtype
                np.testing.assert_allclose(array(x.grad), array(y.grad), rtol=6e-2, atol=6e-2 * max(1.0, float(y.grad.abs().max())))


def test_promotion_of_mixed_and_foreign_dtypes():
    for lib in (rt, pt):
        one = {d: lib.ones(2, dtype=getattr(lib, d)) for d in ("float32", "bfloat16", "float16", "float64", "int64")}
        with lib.autocast("cpu"):
            kinds = [str(lib.cat([one[a], one[b]]).dtype) for a, b in (("bfloat16", "bfloat16"), ("bfloat16", "float32"), ("float64", "float32"))]
            assert kinds == ["torch.bfloat16", "torch.float32", "torch.float64"]
            assert lib.mm(lib.ones(2, 2).half(), lib.ones(2, 2)).dtype == lib.bfloat16
            with pytest.raises(RuntimeError, match="Unexpected floating ScalarType"):
                lib.cat([one["float16"], one["float16"]])
            with pytest.raises(RuntimeError, match="dtype"):
                lib.mm(lib.ones(2, 2).double(), lib.ones(2, 2))
            out = lib.empty(2, 2)
            assert lib.mm(lib.ones(2, 2), lib.ones(2, 2), out=out).dtype == lib.float32


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell", "MultiheadAttention", "TransformerEncoderLayer"])
def test_layers(name):
    def build(lib):
        lib.manual_seed(0)
        cls = getattr(lib.nn, name)
        return cls(8, 2, dropout=0.0) if name == "MultiheadAttention" else cls(8, 2, 16, 0.0) if "Layer" in name else cls(8, 6)

    theirs, ours = build(pt), build(rt)
    ours.load_state_dict({k: rt.from_numpy(v.numpy()) for k, v in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((5, 8) if "Cell" in name else (4, 3, 8)).astype(np.float32)
    results = []
    for lib, layer in ((pt, theirs), (rt, ours)):
        given = lib.from_numpy(x)
        with lib.autocast("cpu", dtype=lib.bfloat16):
            out = layer(given, given, given) if name == "MultiheadAttention" else layer(given)
        flat = []

        def walk(o, flat=flat, lib=lib):
            if isinstance(o, lib.Tensor):
                flat.append(o)
            elif o is not None:
                for item in o:
                    walk(item)
        walk(out)
        flat[0].float().sum().backward()
        results.append((flat, dict(layer.named_parameters())))
    (want, wanted), (got, gotten) = results
    assert [str(t.dtype) for t in got] == [str(t.dtype) for t in want]
    for x, y in zip(got, want):
        np.testing.assert_allclose(array(x), array(y), rtol=5e-2, atol=5e-2)
    for key, p in wanted.items():
        if p.grad is None:
            continue
        assert gotten[key].grad.dtype == rt.float32
        scale = float(p.grad.abs().max())
        np.testing.assert_allclose(array(gotten[key].grad), array(p.grad), rtol=0.1, atol=0.06 * max(scale, 0.2), err_msg=key)


def test_state_functions_answer_alike():
    def story(lib):
        says = []

        def say():
            says.append((lib.is_autocast_enabled(), lib.is_autocast_enabled("cpu"), str(lib.get_autocast_dtype("cpu")), lib.is_autocast_cache_enabled()))
        say()
        with lib.autocast("cpu", dtype=lib.float16, cache_enabled=False):
            say()
            with lib.autocast("cpu", enabled=False):
                say()
                with lib.amp.autocast("cpu", dtype=lib.bfloat16):
                    say()
            says.append(lib.autocast_increment_nesting())
            says.append(lib.autocast_decrement_nesting())
            lib.set_autocast_enabled("cpu", False)
            lib.set_autocast_dtype("cpu", lib.float32)
            say()
        say()
        says += [str(lib.get_autocast_dtype(d)) for d in ("cuda", "xpu", "hpu", "mps", "mtia", "maia", "ipu", "xla")]
        says += [lib.amp.is_autocast_available(d) for d in ("cpu", "cuda", "mps")]
        for call in (lambda: lib.autocast(3), lambda: lib.autocast("foo"), lambda: lib.autocast("cpu")(3), lambda: lib.set_autocast_dtype("cpu", 3),
                     lambda: lib.set_autocast_enabled("cpu", 3), lambda: lib.get_autocast_dtype("foo")):
            with pytest.raises((ValueError, RuntimeError, TypeError)) as caught:
                call()
            says.append(next(c for c in (ValueError, TypeError, RuntimeError) if isinstance(caught.value, c)))
        return says
    assert story(rt) == story(pt)


def test_scaler_follows_pytorch_step_by_step():
    def story(lib):
        p = lib.nn.Parameter(lib.ones(3))
        optimizer = lib.optim.SGD([p], 0.5)
        scaler = lib.amp.GradScaler("cpu", init_scale=16.0, growth_interval=2, growth_factor=4.0, backoff_factor=0.25)
        seen = []
        for i, factor in enumerate((1.0, 1.0, float("inf"), 2.0, float("nan"), 1.0, 1.0)):
            optimizer.zero_grad()
            scaler.scale((p * factor).sum()).backward()
            if i % 2:
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
            seen.append((p.detach().tolist(), scaler.get_scale(), scaler._get_growth_tracker(), scaler.state_dict()))
        scaler.update(3.0)
        return seen, scaler.get_scale()
    assert story(rt) == story(pt)


def test_scalers_refuse_alike():
    for lib in (rt, pt):
        p = lib.nn.Parameter(lib.ones(2))
        optimizer = lib.optim.SGD([p], 0.1)
        scaler = lib.amp.GradScaler("cpu")
        with pytest.raises(AssertionError, match="_scale is None"):
            scaler.step(optimizer)
        with pytest.raises(AssertionError, match="growth factor"):
            lib.amp.GradScaler("cpu", growth_factor=1.0)
        scaler.scale(p.sum()).backward()
        scaler.unscale_(optimizer)
        with pytest.raises(RuntimeError, match="already been called"):
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        with pytest.raises(RuntimeError, match="already been called"):
            scaler.step(optimizer)
        with pytest.raises(RuntimeError, match="after step"):
            scaler.unscale_(optimizer)
        with pytest.raises(RuntimeError, match="Closure"):
            scaler.step(optimizer, closure=None)
        scaler.update()
        with pytest.raises(AssertionError, match="No inf checks"):
            scaler.update()
        half = lib.nn.Parameter(lib.ones(2, dtype=lib.float16))
        scaler.scale(half.sum()).backward()
        with pytest.raises(ValueError, match="FP16"):
            scaler.unscale_(lib.optim.SGD([half], 0.1))
