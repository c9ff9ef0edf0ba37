"""Shapes and dtypes on "meta", where the values of arguments are looked at elsewhere."""
import warnings

import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402


def z(m, *shape, **options):
    return m.zeros(*shape, device="meta", **options)


CASES = {
    "quantile": lambda m: m.quantile(z(m, 3, 4), 0.5, dim=1), "quantile of all": lambda m: m.quantile(z(m, 3, 4), 0.3),
    "quantiles": lambda m: m.quantile(z(m, 3, 4), z(m, 2), dim=0, keepdim=True), "nanquantile": lambda m: m.nanquantile(z(m, 3, 4), z(m, 5), dim=1),
    "lu": lambda m: m.linalg.lu(z(m, 2, 3, 4)), "tall lu": lambda m: m.linalg.lu(z(m, 4, 3)), "lu_unpack": lambda m: m.lu_unpack(z(m, 2, 3, 4), z(m, 2, 3, dtype=m.int32)),
    "linalg.lu_solve": lambda m: m.linalg.lu_solve(z(m, 2, 3, 3), z(m, 2, 3, dtype=m.int32), z(m, 2, 3, 4)),
    "lu_solve": lambda m: m.lu_solve(z(m, 3, 2), z(m, 3, 3), z(m, 3, dtype=m.int32)),
    "matrix_exp": lambda m: m.linalg.matrix_exp(z(m, 2, 3, 3)), "matrix_exp of halves": lambda m: m.matrix_exp(z(m, 3, 3, dtype=m.bfloat16)),
    "ctc_loss": lambda m: m.nn.functional.ctc_loss(z(m, 50, 4, 20), z(m, 4, 10, dtype=m.int64), (50,) * 4, (10,) * 4, reduction="none"),
    "masked_scatter": lambda m: z(m, 3, 4).masked_scatter(z(m, 3, 4, dtype=m.bool), z(m, 12)),
    "masked_scatter_": lambda m: z(m, 3, 4).masked_scatter_(z(m, 4, dtype=m.bool), z(m, 12)),
    "eig": lambda m: m.linalg.eig(z(m, 2, 3, 3)), "eigvals": lambda m: m.linalg.eigvals(z(m, 3, 3)), "histc": lambda m: m.histc(z(m, 3), 5),
    "pdist": lambda m: m.pdist(z(m, 4, 3)), "tensorinv": lambda m: m.linalg.tensorinv(z(m, 4, 6, 24), ind=2),
    "fractional_max_pool2d": lambda m: m.nn.functional.fractional_max_pool2d(z(m, 1, 2, 6, 6), 2, output_size=3), "normal": lambda m: m.normal(z(m, 3), z(m, 3)),
}


def shown(x):
    return [shown(v) for v in x] if isinstance(x, (tuple, list)) else (str(x.dtype), tuple(x.shape), x.device.type)


@pytest.mark.parametrize("name", CASES)
def test_shape(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert shown(CASES[name](rt)) == shown(CASES[name](torch))


def test_losses_have_gradients():
    x = z(rt, 50, 4, 20).requires_grad_()
    for reduction, shape in (("none", (4,)), ("mean", ()), ("sum", ())):
        loss = rt.nn.functional.ctc_loss(x, z(rt, 4, 10, dtype=rt.int64), (50,) * 4, (10,) * 4, reduction=reduction)
        assert loss.shape == shape
        assert rt.autograd.grad(loss.sum(), x)[0].shape == x.shape


def test_cpu_calls_are_as_before():
    """Calls of functions that work on every device go the plain way when a back end is there; those of one keyword, of a wrong kind too."""
    z(rt, 1)
    x = rt.arange(6.0).reshape(2, 3)
    assert x.std(1).tolist() == [1, 1] and rt.var(x, axis=0).tolist() == [4.5, 4.5, 4.5] and x.view(3, 2).shape == (3, 2) and x[1, 2].item() == 5
    assert rt.zeros(2, device="meta").std(0).device.type == "meta" and z(rt, 2, 3).view(6).device.type == "meta" and z(rt, 2, 3)[1].shape == (3,)
    with pytest.raises(TypeError):
        rt.add(x, "a")
    with pytest.raises(NotImplementedError):
        z(rt, 1).item()
    with rt.device("meta"):
        assert rt.zeros(2, 2).device.type == rt.ones(2, 2).device.type == rt.empty(3).device.type == "meta"
