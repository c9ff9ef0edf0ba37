"""Expressions whose numbers must be PyTorch's for the same seed.

One list, read twice: ``tests/tensor/test_random.py`` compares with the numbers kept in
``random_golden.json`` (no PyTorch needed), ``tests/parity/test_random_parity.py`` with a live
PyTorch. ``t`` is the package under test; the seed is set before each expression. Keep results
small: they are stored. ``python tests/random_cases.py`` writes the file, with PyTorch.
"""
import json
import math
import os

SEED = 20240229
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "random_golden.json")

FLOATS = ["float32", "float64", "float16", "bfloat16"]
INTS = ["uint8", "int8", "int16", "int32", "int64"]

CASES = []
for _d in FLOATS:
    CASES += [
        f"t.rand(7, dtype=t.{_d})",
        f"t.rand(3, 701, dtype=t.{_d})[1, ::97]",
        f"t.randn(5, dtype=t.{_d})",
        f"t.randn(15, dtype=t.{_d})",
        f"t.randn(16, dtype=t.{_d})",
        f"t.randn(4, 25, dtype=t.{_d})[:, ::6]",
        f"t.randn(3000, dtype=t.{_d})[::211]",
        f"t.empty(6, 7, dtype=t.{_d}).t().normal_(1.5, 0.25)[0]",
        f"t.empty(6, 7, dtype=t.{_d}).t().uniform_(-1, 3)[0]",
        f"t.empty(9, 20, dtype=t.{_d})[::4, ::5].uniform_(2, 2.5)",
        f"t.empty(40, dtype=t.{_d}).normal_(-3, 0.1)[::5]",
        f"t.empty(12, dtype=t.{_d}).exponential_(0.7)",
        f"t.empty(12, dtype=t.{_d}).log_normal_(0.1, 0.5)",
        f"t.empty(12, dtype=t.{_d}).cauchy_(1, 2)",
        f"t.empty(12, dtype=t.{_d}).geometric_(0.2)",
        f"t.empty(12, dtype=t.{_d}).bernoulli_(0.3)",
        f"t.bernoulli(t.linspace(0, 1, 12).to(t.{_d}))",
        f"t.poisson(t.linspace(0, 40, 12).to(t.{_d}))",
        f"t.empty(8, dtype=t.{_d}).random_()",
        f"t.empty(8, dtype=t.{_d}).random_(-5, 9)",
        f"t.multinomial(t.arange(1, 9).to(t.{_d}), 6)",
        f"t.multinomial(t.arange(1, 9).to(t.{_d}), 6, replacement=True)",
        f"t.multinomial(t.arange(1, 13).to(t.{_d}).reshape(3, 4), 1, replacement=True)",
        f"t.dropout(t.ones(14, dtype=t.{_d}), 0.3, True)",
    ]
for _d in INTS:
    CASES += [
        f"t.randint(0, 100, (9,), dtype=t.{_d})",
        f"t.randperm(20, dtype=t.{_d})",
        f"t.empty(9, dtype=t.{_d}).random_()",
        f"t.empty(9, dtype=t.{_d}).bernoulli_(0.5)",
        f"t.empty(9, dtype=t.{_d}).geometric_(0.3)",
    ]
CASES += [
    "t.cat([t.randn(3), t.randn(3), t.randn(2, 2).flatten()])",
    "t.cat([t.randn(3, dtype=t.float64), t.rand(1, dtype=t.float64), t.randn(2, dtype=t.float64)])",
    "t.randn(2, 3, 4, 5).to(memory_format=t.channels_last).normal_()[1, :, 2]",
    "t.view_as_real(t.randn(5, dtype=t.complex64))",
    "t.view_as_real(t.randn(20, dtype=t.complex128))[::7]",
    "t.view_as_real(t.rand(5, dtype=t.complex64))",
    "t.randint(10, (8,))",
    "t.randint(-3, 2**20, (2, 4))",
    "t.randint(0, 2**28 - 1, (5,))",
    "t.randint(0, 2**28, (5,))",
    "t.randint(-2**62, 2**62 + 5, (5,))",
    "t.empty(5, dtype=t.int64).random_(-2**63, None)",
    "t.empty(5, dtype=t.int64).random_(7, None)",
    "t.empty(12, dtype=t.bool).random_()",
    "t.empty(12, dtype=t.bool).bernoulli_(0.7)",
    "t.randint(0, 2, (12,), dtype=t.bool)",
    "t.randint_like(t.zeros(2, 3), 3, 9)",
    "t.rand_like(t.zeros(3, 2).t())",
    "t.randn_like(t.zeros(20, dtype=t.float64))[::3]",
    "t.randperm(1)",
    "t.randperm(1000)[::91]",
    "t.randperm(50, dtype=t.float32)[:9]",
    "t.binomial(t.full((12,), 9.0), t.linspace(0, 1, 12))",
    "t.binomial(t.full((3, 12), 5000.0, dtype=t.float64), t.linspace(0, 1, 12, dtype=t.float64))[1]",
    "t._standard_gamma(t.linspace(0.01, 30, 12))",
    "t._standard_gamma(t.linspace(0.01, 2, 12, dtype=t.float64).reshape(3, 4).t())",
    "t._sample_dirichlet(t.linspace(0.1, 5, 12).reshape(3, 4))",
    "t._sample_dirichlet(t.linspace(0.1, 5, 12, dtype=t.float64).reshape(3, 4))",
    "t.normal(2.0, 3.0, (4, 5))[:, ::2]",
    "t.normal(t.arange(8.0), 0.5)",
    "t.normal(1.0, t.arange(8.0))",
    "t.normal(t.arange(20.0).reshape(4, 5), t.arange(1.0, 6.0))[1]",
    "t.bernoulli(t.ones(10), 0.4)",
    "t.empty(3, 4).bernoulli_(t.tensor([0.1, 0.5, 0.9, 1.0]))",
    "t.empty(10, dtype=t.int32).bernoulli_(t.full((10,), 0.5, dtype=t.float64))",
    "t.bernoulli(t.linspace(0, 1, 12).reshape(3, 4).t())",
    "t.dropout(t.arange(12.0).reshape(3, 4).t(), 0.5, True)",
    "t.feature_dropout(t.ones(3, 4, 2), 0.4, True)[:, :, 0]",
    "t.alpha_dropout(t.linspace(-1, 1, 12), 0.3, True)",
    "t.feature_alpha_dropout(t.ones(2, 5, 3), 0.3, True)[:, :, 1]",
    "t.native_dropout(t.ones(12), 0.6, True)[0]",
    "t.native_dropout(t.ones(12), 0.6, True)[1]",
    "t.rrelu(t.linspace(-2, 1, 12), 0.1, 0.4, True)",
    "t.rrelu(t.linspace(-2, 1, 12, dtype=t.float64), 0.1, 0.4, True)",
    "t.rrelu(t.linspace(-2, 1, 12))",
]

# The C library's log and sin may differ by an ULP between machines; 16-bit results then round apart.
TOLERANCE = {"float64": 1e-13, "float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}


def evaluate(expression, t):
    """Seed `t`'s default generator and evaluate; returns the tensor."""
    t.manual_seed(SEED)
    return eval(expression, {"t": t})


def record(tensor):
    return {"dtype": str(tensor.dtype).rsplit(".", 1)[-1], "shape": list(tensor.shape),
            "values": tensor.flatten().tolist()}


def same(got, want, exact=False):
    """Compare two records; floats within the tolerance of their dtype unless `exact`."""
    assert got["dtype"] == want["dtype"]
    assert got["shape"] == want["shape"]
    tolerance = 0 if exact else TOLERANCE.get(want["dtype"], 0)
    for i, (g, w) in enumerate(zip(got["values"], want["values"])):
        assert g == w or math.isclose(g, w, rel_tol=tolerance, abs_tol=tolerance), f"element {i}: {g} != {w}"


if __name__ == "__main__":
    import torch

    with open(GOLDEN, "w") as f:
        f.write("{\n" + ",\n".join(
            json.dumps(c) + ": " + json.dumps(record(evaluate(c, torch))) for c in CASES) + "\n}\n")
