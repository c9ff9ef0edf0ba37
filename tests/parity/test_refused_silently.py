"""Calls that PyTorch refuses and that once gave a value here; and calls that PyTorch takes and that were refused."""
import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402


def kinds_of(error):
    return tuple(c for c in type(error).__mro__ if c.__module__ == "builtins" and c not in (Exception, BaseException, object))


REFUSED = [
    "m.nansum(m.ones(2), 0, out=m.zeros((), dtype=m.complex64))", "m.nanmean(m.ones(2), 0, out=m.zeros((), dtype=m.complex64))", "m.nansum(m.ones(2), dtype=m.complex64)",
    "m.nansum(m.ones(2), 0, out=m.zeros((), dtype=m.int64))", "m.nanmean(m.ones(2), dtype=m.int64)", "m.sum(m.ones(2), 0, dtype=m.float64, out=m.zeros(()))",
    "m.cumsum(m.ones(2), 0, dtype=m.float64, out=m.zeros(2))", "m.cumsum(m.ones(2), 0, out=m.zeros(2, dtype=m.bool))", "m.cumprod(m.ones(2), 0, out=m.zeros(2, dtype=m.bool))",
    "F.linear(m.ones(3), m.ones(4, 3), m.ones(2, 4))", "F.linear(m.ones(2, 3), m.ones(4, 3), m.ones(1, 1, 4))", "F.linear(m.ones(2, 3), m.ones(4, 3), m.ones(2, 1, 4))", "F.linear(m.ones(1, 2, 3), m.ones(4, 3), m.ones(5, 2, 4))",
    *(f"F.unfold(m.ones(1, 1, 4, 4), {a})" for a in ("m.tensor(2)", "2, m.tensor(1)", "2, 1, m.tensor(1)", "2, 1, 0, m.tensor(1)", "2.0", "True", "(2, 2.5)", "'a'", "None", "[2]", "m.tensor([2., 2.])", "2 ** 70")),
    *(f"F.fold(m.ones(1, 4, 9), (4, 4), {a})" for a in ("m.tensor(2)", "[2]", "[2, 2, 2]", "2.0")), "F.fold(m.ones(1, 4, 9), m.tensor(4), 2)",
    *(f"F.lp_pool{d}d(m.ones(1, 1, *[4] * {d}), 2, {a})" for d in (2, 3) for a in ("m.tensor(2)", "[2]", "m.tensor([2, 2, 2])", "m.tensor([2, 2])", "'a'", "2.0", "True")), "m.nn.LPPool2d(2, m.tensor(2))(m.ones(1, 1, 4, 4))",
    *(f"{call}(m.ones(4, 2), {a})" for call in ("m.split", "m.Tensor.split") for a in ("n.int64(2)", "True", "n.array([2, 2])", "m.tensor([2, 2])", "range(2, 3)", "2.0", "None", "2 ** 70", "(2, 2.5)", "[True, True]")),
    "m.split_with_sizes(m.ones(4), 2)", "m.split_with_sizes(m.ones(4), m.tensor([2]))",
    *(f"m.linalg.lu_factor({a})" for a in ("m.ones(3, 3)", "m.zeros(2, 2)", "m.ones(2, 3, 3)", "m.ones(3, 2)", "m.ones(2, 3)", "m.arange(9.).reshape(3, 3)")),
    *(f"F.conv_transpose{d}d(m.ones(({n}, 2) + (4,) * {d}), m.ones((2, 0) + (3,) * {d}), None, {s})" for d in (1, 2, 3) for n in (0, 1, 2) for s in (1, 2)),
    "m.max_pool1d(m.ones(1, 2, 6).long(), 2)", "m.max_pool1d(m.ones(1, 2, 6).bool(), 2)",
    "m.tensor([m.ones(2), m.ones(2)])", "m.as_tensor([m.ones(2), m.ones(2)])", "m.tensor([m.ones(2), m.ones(2)], dtype=m.int64)", "m.tensor([m.zeros(0)])", "m.tensor([[m.ones(2)]])",
    "m.reshape(m.ones(6), 6)", "m.reshape(m.ones(6), m.tensor([6]))", "m.reshape(m.ones(6), n.int64(6))", "m.permute(m.ones(6), 0)", "m.permute(m.ones(6), m.tensor(0))",
    "m.ones(3, 3)[['a']]", "m.ones(3, 3)[['a'], 0]", "m.ones(3, 3)[[['a']]]", "m.ones(3).index_put(m.tensor([1]), m.ones(1))", "m.linalg.matrix_norm(m.ones(2, 2), 'fro', 1)",
    "m.tensordot(m.ones(2, 2), m.ones(2, 2), [2])", "F.avg_pool2d(m.ones(()), 2)", "F.avg_pool2d(m.ones(2), 2)", "F.embedding_bag(m.tensor([[1]]), m.ones(4, 2), padding_idx=9)",
    "F.leaky_relu(m.ones(2), 1j)", "F.elu(m.ones(2), 1j)", "F.celu(m.ones(2), 1j)", "F.cross_entropy(m.ones(1, 2), m.tensor([0]), label_smoothing=m.ones(2))",
    "m.masked.sum(m.ones(2), n.int64(0))",
    *(f"{call}(m.ones(2, dtype=m.{t}), m.ones(2, dtype=m.{t}), {w})" for call in ("m.lerp", "m.Tensor.lerp_") for t in ("int64", "uint8", "bool") for w in ("0.5", "1", f"m.ones(2, dtype=m.{t})")),
    "list(m.utils.data.DataLoader(range(4), batch_size=2 ** 70))", "list(m.utils.data.DataLoader(m.utils.data.TensorDataset(m.ones(4)), batch_size=2 ** 70))",
    "list(m.utils.data.DataLoader(m.utils.data.TensorDataset(m.ones(4)), batch_size=2 ** 70, drop_last=True))",
    "D.Gamma(m.ones(3), m.ones(3)).log_prob([m.ones(3), m.ones(3)])", "D.Chi2(m.ones(3)).log_prob([m.ones(3), m.ones(3)])",
    *(f"D.InverseGamma(m.ones(3), m.ones(3)).expand({s})" for s in ("(3, 1)", "()", "(-7,)", "[True]")), "D.InverseGamma(m.ones(1, 3), m.ones(3)).expand((3,))", "D.InverseGamma(m.ones(2), m.tensor(1.)).expand(())",
    "D.InverseGamma(m.ones(2), m.ones(2)).icdf(m.ones(5))",
    *(f"D.MultivariateNormal(m.zeros({n}), {name}=m.eye(2)).expand({s})" for n in (0, 1, 4) for s in ("(3,)", "()") for name in ("covariance_matrix", "scale_tril", "precision_matrix")),
    *(f"D.GeneralizedPareto(m.ones(2), m.ones(2), m.ones(2).to(m.{t}), validate_args=False).{f}(m.ones(2) * 2)" for t in ("int64", "bool", "complex64", "int8") for f in ("log_prob", "cdf")),
    "D.GeneralizedPareto(m.ones(2), m.ones(2), m.ones(2).bool(), validate_args=False).icdf(m.ones(2) / 2)", "D.GeneralizedPareto(m.ones(2).bool(), m.ones(2), m.ones(2), validate_args=False).icdf(m.ones(2) / 2)",
    "D.Categorical(logits=m.ones(3, dtype=m.complex64), validate_args=False).mean", "D.Wishart(m.tensor(3.), covariance_matrix=m.eye(2, dtype=m.complex64))", "D.Wishart(m.tensor(3.), scale_tril=m.eye(2).bool())",
    "D.Wishart(m.tensor(3.), precision_matrix=m.eye(2, dtype=m.complex64))", "D.Wishart(m.ones(0), covariance_matrix=m.eye(2)).sample()", "D.Binomial(2, m.tensor([1, 0])).sample()",
    *(f"D.{d}(m.ones(3), m.ones(3)).cdf({v})" for d in ("Gumbel", "Pareto", "Weibull") for v in ("None", "'a'", "[1.0]", "m.ones(5)")),
    *(f"D.{d}(m.ones(3), m.ones(3)).expand({s})" for d in ("Gumbel", "Pareto", "Weibull", "Kumaraswamy", "VonMises") for s in ("1", "[True]", "'a'", "None")),
]


@pytest.mark.parametrize("text", REFUSED)
def test_refused_as_in_pytorch(text):
    with pytest.raises(Exception) as theirs:
        eval(text, {"m": torch, "n": np, "F": torch.nn.functional, "D": torch.distributions})
    kind = kinds_of(theirs.value)[0]
    with pytest.raises(kind):
        eval(text, {"m": rt, "n": np, "F": rt.nn.functional, "D": rt.distributions})


TAKEN = [
    "m.lerp(m.tensor([1, 2]), m.tensor([3, 4]), m.tensor(0.5))",
    "m.sum(m.tensor([1.5, 1.5]), 0, out=m.zeros((), dtype=m.int64))", "m.sum(m.tensor([1, 200]), 0, out=m.zeros((), dtype=m.int8))", "m.sum(m.tensor([1.5]), 0, out=m.zeros((), dtype=m.bool))",
    "m.prod(m.tensor([1.5, 1.5]), 0, out=m.zeros((), dtype=m.int64))", "m.prod(m.tensor([1.5, 0]), 0, out=m.zeros((), dtype=m.bool))", "m.prod(m.tensor([1, 2]), 0, out=m.zeros(()))",
    "m.cumsum(m.tensor([1.5, 1.5]), 0, out=m.zeros(2, dtype=m.int64))", "m.cumsum(m.tensor([1, 200]), 0, out=m.zeros(2, dtype=m.int8))", "m.cumprod(m.tensor([1.5, 1.5]), 0, out=m.zeros(2, dtype=m.int64))",
    "m.cumsum(m.tensor([1.5, 1.5]), 0, out=m.zeros(2, dtype=m.complex64))", "m.nansum(m.tensor([1.5, float('nan')]), 0, out=m.zeros((), dtype=m.float64))", "m.nansum(m.tensor([1, 2]), 0, out=m.zeros((), dtype=m.complex64))",
    "m.nanmean(m.tensor([1.5, float('nan')]), 0, out=m.zeros((), dtype=m.float16))", "m.nanmean(m.tensor([[1.5, float('nan')]]), 1, True, out=m.zeros(0))",
    "F.linear(m.ones(3), m.ones(4, 3), m.ones(1, 4))", "F.linear(m.ones(2, 3), m.ones(4, 3), m.ones(2, 4))", "F.linear(m.ones(2, 2, 3), m.ones(4, 3), m.ones(2, 1, 4))", "F.linear(m.ones(2, 3), m.ones(4, 3), m.ones(()))",
    "F.unfold(m.arange(16.).reshape(1, 1, 4, 4), m.tensor([2, 2]))", "F.unfold(m.arange(16.).reshape(1, 1, 4, 4), (m.tensor(2), 2), padding=n.int64(1))", "F.fold(m.ones(1, 4, 9), m.tensor([4, 4]), 2)",
    "F.lp_pool2d(m.ones(1, 1, 4, 4), 2, (m.tensor(2), 2))", "m.split(m.arange(4.), m.tensor(2))[1]", "m.split(m.arange(4.), m.tensor(1.5))[1]", "m.split(m.arange(4.), (n.int64(1), 3))[1]", "m.arange(4.).split(m.tensor([3]))[0]",
    "m.linalg.lu_factor_ex(m.ones(3, 3)).info", "m.linalg.solve_triangular(m.eye(2) * 2, m.ones(2, 2).double(), upper=True)", "m.linalg.solve_triangular(m.eye(2).double() * 2, m.ones(2, 2), upper=True)",
    "m.linalg.solve_triangular(m.eye(2) * 2, m.ones(2, 2).long(), upper=False, left=False)", "F.max_pool1d(m.arange(6).reshape(1, 1, 6), 2, return_indices=True)[0]",
    "m.tensor([m.ones(1), m.ones(1)])", "m.tensor([m.tensor(1), m.tensor(2.5)])", "m.tensor([[m.tensor(1j), 2]])", "m.arange(6.).reshape(6)", "m.arange(6.).permute(0)", "m.reshape(m.arange(6.), [2, 3])",
    "m.arange(9.).reshape(3, 3)[[]]", "m.arange(9.).reshape(3, 3)[:, []]", "m.arange(9.).reshape(3, 3)[[], [0]]", "m.logaddexp(m.tensor([1 + 1j, 2]), m.tensor([1., 2.]))", "m.logaddexp(m.tensor([1., 2.]), m.tensor([1 + 1j, 2]))",
    "D.MultivariateNormal(m.zeros(2).double(), m.eye(2)).log_prob(m.zeros(2))", "D.Wishart(m.tensor(3.), covariance_matrix=m.eye(2).double()).log_prob(m.eye(2).double())",
    "D.Gumbel(m.zeros(2), m.ones(2)).cdf(1.0)", "D.Pareto(m.ones(2), m.ones(2)).cdf(m.tensor([2, 3]))", "D.InverseGamma(m.ones(2), m.ones(2)).cdf(m.tensor([1, 2]))", "D.LogNormal(m.ones(2), m.ones(2)).cdf(m.tensor([1, 0]))",
    "D.InverseGamma(m.ones(3), m.full((3,), 2.)).expand((2, 3)).log_prob(m.ones(3))", "D.VonMises(m.zeros(3), m.ones(3)).expand((2, -1)).log_prob(m.zeros(3))",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", TAKEN)
def test_taken_as_in_pytorch(text):
    want = eval(text, {"m": torch, "n": np, "F": torch.nn.functional, "D": torch.distributions})
    got = eval(text, {"m": rt, "n": np, "F": rt.nn.functional, "D": rt.distributions})
    assert str(want.dtype) == str(got.dtype) and tuple(want.shape) == tuple(got.shape)
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name, options", [("SGD", dict(lr=2 ** 70)), ("SGD", dict(weight_decay=True)), ("SGD", dict(weight_decay=2 ** 70)), ("SGD", dict(momentum=2 ** 70)), ("Adagrad", dict(weight_decay=True)),
                                           ("Adagrad", dict(weight_decay=2 ** 70)), ("Adagrad", dict(eps=2 ** 70))])
def test_numbers_that_no_step_takes(name, options):
    def steps(m):
        p = m.nn.Parameter(m.ones(2))
        optimizer = getattr(m.optim, name)([p], **options)
        for _ in range(2):
            p.grad = m.ones(2)
            optimizer.step()
    with pytest.raises(Exception) as theirs:
        steps(torch)
    with pytest.raises(kinds_of(theirs.value)[0]):
        steps(rt)


def test_dampening_is_looked_at_with_momentum_only():
    p = rt.nn.Parameter(rt.ones(2))
    optimizer = rt.optim.SGD([p], lr=0.5, dampening="a")
    p.grad = rt.ones(2)
    optimizer.step()
    assert p.tolist() == [0.5, 0.5]
    with pytest.raises(TypeError):
        optimizer = rt.optim.SGD([p], lr=0.5, dampening="a", momentum=0.5)
        for _ in range(2):
            optimizer.step()
