"""Random numbers: the stream's values, its state, and what the calls refuse."""
import copy
import json
import math
import pickle
import threading

import pytest

import random_cases as rc
import rustorch_py as torch

with open(rc.GOLDEN) as _f:
    GOLDEN = json.load(_f)


def test_golden_file_has_every_case():
    assert list(GOLDEN) == rc.CASES


@pytest.mark.parametrize("expression", rc.CASES)
def test_values(expression):
    rc.same(rc.record(rc.evaluate(expression, torch)), GOLDEN[expression])


@pytest.mark.parametrize("expression", [c for c in rc.CASES if "rand" in c or "normal_" in c or "uniform_" in c])
def test_instruction_sets_give_the_same_bits(expression):
    want = rc.record(rc.evaluate(expression, torch))
    level = torch.config.simd_level()
    torch.config.set_simd_level("baseline")
    try:
        assert rc.record(rc.evaluate(expression, torch)) == want
    finally:
        torch.config.set_simd_level(level)


@pytest.mark.parametrize("n", [65536, 200001])
@pytest.mark.parametrize("draw", [
    lambda n: torch.rand(n), lambda n: torch.rand(n, dtype=torch.float64), lambda n: torch.randn(n), lambda n: torch.randint(0, 9, (n,)),
    lambda n: torch.empty(n).exponential_(), lambda n: torch.empty(n, dtype=torch.bool).bernoulli_(0.3),
    lambda n: torch.nn.functional.dropout(torch.ones(n))])
def test_any_number_of_threads_gives_the_same_numbers(draw, n):
    before = torch.get_num_threads()
    drawn = []
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            torch.manual_seed(5)
            torch.rand(100)                           # begins within a block of the generator
            drawn.append((draw(n), torch.get_rng_state()))
    finally:
        torch.set_num_threads(before)
    for values, state in drawn[1:]:
        assert torch.equal(values, drawn[0][0]) and torch.equal(state, drawn[0][1])


# ---- seeds and states ----

@pytest.mark.parametrize("seed, initial", [
    (0, 0), (7, 7), (-1, 2**64 - 1), (-2**63, 2**63), (2**64 - 1, 2**64 - 1), (1.7, 1), (True, 1), ("3", 3)])
def test_manual_seed_takes_what_int_takes(seed, initial):
    generator = torch.manual_seed(seed)
    assert generator is torch.default_generator
    assert torch.initial_seed() == generator.initial_seed() == initial


@pytest.mark.parametrize("seed", [2**64, -2**63 - 1])
def test_seed_out_of_range(seed):
    with pytest.raises(ValueError):
        torch.manual_seed(seed)


@pytest.mark.parametrize("seed", [1.5, True, "3", None])
def test_generator_seed_must_be_int(seed):
    with pytest.raises(RuntimeError):
        torch.Generator().manual_seed(seed)


def test_only_low_bits_of_the_seed_matter():
    a = torch.Generator().manual_seed(5)
    b = torch.Generator().manual_seed(5 + 2**32)
    assert torch.equal(torch.rand(9, generator=a), torch.rand(9, generator=b))


def test_new_generator_has_torch_default_seed():
    g = torch.Generator()
    assert g.initial_seed() == 67280421310721
    assert g.device == torch.device("cpu")
    assert torch.rand(2, generator=g).tolist() == [0.267295241355896, 0.8725283145904541]
    assert torch.equal(torch.rand(3, generator=torch.Generator()), torch.rand(3, generator=torch.Generator("cpu")))


def test_seed_draws_a_fresh_seed():
    g = torch.Generator()
    a, b = g.seed(), g.seed()
    assert a != b and g.initial_seed() == b
    assert torch.seed() == torch.initial_seed()


def test_state_round_trip_keeps_the_second_normal():
    torch.manual_seed(3)
    torch.randn(3, dtype=torch.float64)                # leaves half a pair behind
    state = torch.get_rng_state()
    assert state.dtype == torch.uint8 and state.shape == (5056,)
    first = torch.randn(5)
    torch.set_rng_state(state)
    assert torch.equal(first, torch.randn(5))
    assert int(state[5040]) == 1                       # "a normal is kept"


def test_state_bytes_are_the_ones_pytorch_saves():
    torch.manual_seed(2**40 + 9)
    torch.rand(11)
    state = bytes(torch.get_rng_state().tolist())
    assert int.from_bytes(state[:8], "little") == 2**40 + 9
    assert int.from_bytes(state[8:12], "little", signed=True) == 625 - 11       # left
    assert int.from_bytes(state[12:16], "little") == 1                          # seeded
    assert int.from_bytes(state[16:24], "little") == 11                         # next
    assert state[28:32] == bytes(4)                                             # words kept in 64 bits
    assert state[5040:] == bytes(16)


@pytest.mark.parametrize("edit", [lambda s: s.zero_(), lambda s: s[8:12].fill_(0), lambda s: s[16:24].fill_(255)])
def test_broken_state_is_refused_and_changes_nothing(edit):
    g = torch.Generator()
    state = g.get_state()
    edit(state)
    before = g.get_state()
    with pytest.raises(RuntimeError):
        g.set_state(state)
    assert torch.equal(before, g.get_state())


def test_state_of_wrong_kind_is_refused():
    g = torch.Generator()
    with pytest.raises(RuntimeError):
        g.set_state(torch.zeros(5055, dtype=torch.uint8))
    with pytest.raises(TypeError):
        g.set_state(torch.zeros(5056))
    with pytest.raises(TypeError):
        g.set_state([1, 2])


@pytest.mark.parametrize("clone", [lambda g: pickle.loads(pickle.dumps(g)), copy.copy, copy.deepcopy,
                                   lambda g: g.clone_state()])
def test_copies_go_on_where_the_original_stands(clone):
    g = torch.Generator().manual_seed(11)
    torch.randn(3, generator=g)
    h = clone(g)
    assert h is not g and h.initial_seed() == 11
    assert torch.equal(torch.randn(20, generator=g), torch.randn(20, generator=h))


def test_generator_argument_leaves_the_default_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    g = torch.Generator().manual_seed(4)
    for make in (lambda: torch.rand(3, generator=g), lambda: torch.randn(3, generator=g),
                 lambda: torch.randint(9, (3,), generator=g), lambda: torch.randperm(9, generator=g),
                 lambda: torch.normal(0.0, 1.0, (3,), generator=g),
                 lambda: torch.normal(torch.zeros(3), 1.0, generator=g),
                 lambda: torch.bernoulli(torch.full((3,), 0.5), generator=g),
                 lambda: torch.multinomial(torch.ones(5), 3, generator=g),
                 lambda: torch.multinomial(torch.ones(5), 3, True, generator=g),
                 lambda: torch.poisson(torch.ones(3), generator=g),
                 lambda: torch.rand_like(torch.ones(3), generator=g),
                 lambda: torch.randn_like(torch.ones(3), generator=g),
                 lambda: torch.randint_like(torch.ones(3), 5, generator=g),
                 lambda: torch.zeros(3).uniform_(generator=g), lambda: torch.zeros(3).normal_(generator=g),
                 lambda: torch.zeros(3).random_(generator=g), lambda: torch.zeros(3).bernoulli_(generator=g),
                 lambda: torch.zeros(3).exponential_(generator=g), lambda: torch.zeros(3).geometric_(0.5, generator=g),
                 lambda: torch.zeros(3).log_normal_(generator=g), lambda: torch.zeros(3).cauchy_(generator=g),
                 lambda: torch.rrelu(-torch.ones(3), training=True, generator=g)):
        state = g.get_state()
        first = make()
        assert not torch.equal(state, g.get_state())
        g.set_state(state)
        assert torch.equal(first, make())
    assert torch.equal(before, torch.get_rng_state())


def test_generator_argument_of_wrong_type():
    with pytest.raises(TypeError):
        torch.rand(2, generator=3)
    with pytest.raises(TypeError):
        torch.zeros(2).normal_(generator="cpu")


def test_threads_sharing_the_default_generator_lose_no_draw():
    torch.manual_seed(5)
    want = sorted(torch.rand(4000).tolist())
    torch.manual_seed(5)
    parts = []
    threads = [threading.Thread(target=lambda: parts.extend(torch.rand(100).tolist() for _ in range(10)))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(v for part in parts for v in part) == want


# ---- factories: options ----

def test_out_resizes_and_wins_over_the_default_dtype():
    out = torch.empty(0, dtype=torch.float64)
    got = torch.rand(2, 3, out=out)
    assert got is out and out.shape == (2, 3)
    with pytest.raises(RuntimeError):
        torch.rand(2, out=torch.empty(2, dtype=torch.float64), dtype=torch.float32)
    out = torch.empty(0, dtype=torch.int64)
    assert torch.randperm(5, out=out) is out and sorted(out.tolist()) == [0, 1, 2, 3, 4]
    out = torch.empty(0)
    assert torch.normal(torch.zeros(3), torch.ones(3), out=out) is out and out.shape == (3,)


def test_requires_grad():
    assert torch.rand(2, requires_grad=True).requires_grad
    assert torch.randn_like(torch.zeros(2), requires_grad=True).is_leaf
    with pytest.raises(RuntimeError):
        torch.randint(3, (2,), requires_grad=True)
    with pytest.raises(RuntimeError):
        torch.randperm(3, requires_grad=True)


def test_sizes():
    assert torch.rand(2, 3).shape == torch.rand((2, 3)).shape == torch.rand([2, 3]).shape == (2, 3)
    assert torch.rand(size=(4,)).shape == (4,)
    assert torch.rand([]).shape == () and torch.rand(0, 3).shape == (0, 3)
    for bad in ((2.5,), (-1,), ()):
        with pytest.raises((TypeError, RuntimeError)):
            torch.rand(*bad)
    with pytest.raises(TypeError):
        torch.rand(2, bad=1)
    with pytest.raises(TypeError):
        torch.randint(0, 10, 2)


@pytest.mark.parametrize("call, error", [
    (lambda t: t.rand(2, dtype=t.int32), NotImplementedError),
    (lambda t: t.randn(2, dtype=t.bool), NotImplementedError),
    (lambda t: t.randint(5, 5, (2,)), RuntimeError),
    (lambda t: t.randint(0, 300, (2,), dtype=t.uint8), RuntimeError),
    (lambda t: t.randint(0, 3, (2,), dtype=t.bool), RuntimeError),
    (lambda t: t.randint(0, 70000, (2,), dtype=t.float16), RuntimeError),
    (lambda t: t.randint(0, 5, (2,), dtype=t.complex64), RuntimeError),
    (lambda t: t.randint(10.5, (2,)), TypeError),
    (lambda t: t.randperm(-1), RuntimeError),
    (lambda t: t.randperm(3.0), TypeError),
    (lambda t: t.randperm(300, dtype=t.uint8), RuntimeError),
    (lambda t: t.randperm(3000, dtype=t.float16), RuntimeError),
    (lambda t: t.randperm(3, dtype=t.bool), NotImplementedError),
    (lambda t: t.normal(0.0, -1.0, (2,)), RuntimeError),
    (lambda t: t.normal(t.zeros(2), t.tensor([1.0, -1.0])), RuntimeError),
    (lambda t: t.normal(0.5), TypeError),
    (lambda t: t.normal(t.zeros(2), t.ones(3)), RuntimeError),
    (lambda t: t.bernoulli(t.tensor([0.5, 2.0])), RuntimeError),
    (lambda t: t.bernoulli(t.tensor([math.nan])), RuntimeError),
    (lambda t: t.bernoulli(t.tensor([1, 0])), NotImplementedError),
    (lambda t: t.zeros(3).bernoulli_(1.5), RuntimeError),
    (lambda t: t.zeros(3).bernoulli_(t.ones(2)), RuntimeError),
    (lambda t: t.zeros(3).uniform_(1, 0), RuntimeError),
    (lambda t: t.zeros(3, dtype=t.int64).uniform_(), NotImplementedError),
    (lambda t: t.zeros(3, dtype=t.float16).uniform_(0, 1e6), RuntimeError),
    (lambda t: t.zeros(1).expand(3).uniform_(), RuntimeError),
    (lambda t: t.zeros(3, requires_grad=True).uniform_(), RuntimeError),
    (lambda t: t.zeros(3).uniform_(from_=0), TypeError),
    (lambda t: t.zeros(3).normal_(0, -1), RuntimeError),
    (lambda t: t.zeros(3).exponential_(0), RuntimeError),
    (lambda t: t.zeros(3, dtype=t.int64).exponential_(), RuntimeError),
    (lambda t: t.zeros(3).geometric_(1), RuntimeError),
    (lambda t: t.zeros(3, dtype=t.bool).geometric_(0.5), NotImplementedError),
    (lambda t: t.zeros(3).log_normal_(0, -1), RuntimeError),
    (lambda t: t.zeros(3).cauchy_(0, -1), RuntimeError),
    (lambda t: t.zeros(3, dtype=t.int64).cauchy_(), RuntimeError),
    (lambda t: t.zeros(3).random_(5, 2), RuntimeError),
    (lambda t: t.zeros(3).random_(1.5), TypeError),
    (lambda t: t.zeros(3, dtype=t.uint8).random_(-1, 30), RuntimeError),
    (lambda t: t.zeros(3, dtype=t.complex64).random_(), NotImplementedError),
    (lambda t: t.zeros(3, dtype=t.float16).random_(-2**63, None), NotImplementedError),
    (lambda t: t.multinomial(t.ones(3), 0), RuntimeError),
    (lambda t: t.multinomial(t.ones(3), 4), RuntimeError),
    (lambda t: t.multinomial(t.ones(2, 3, 4), 1), RuntimeError),
    (lambda t: t.multinomial(t.tensor([1, 2]), 1), RuntimeError),
    (lambda t: t.multinomial(t.tensor([-1.0, 2.0]), 1), RuntimeError),
    (lambda t: t.multinomial(t.tensor([-1.0, 2.0]), 2, True), RuntimeError),
    (lambda t: t.multinomial(t.tensor([math.inf, 2.0]), 2, True), RuntimeError),
    (lambda t: t.multinomial(t.tensor([1.0, -1.0, 2.0]), 2, True), RuntimeError),
    (lambda t: t.multinomial(t.tensor([1.0, math.nan, 2.0]), 2, True), RuntimeError),
    (lambda t: t.multinomial(t.zeros(3), 2, True), RuntimeError),
    (lambda t: t.multinomial(t.ones(3), 2, out=t.empty(0, dtype=t.int32)), RuntimeError),
    (lambda t: t.poisson(t.tensor([-1.0])), RuntimeError),
    (lambda t: t.poisson(t.tensor([1])), NotImplementedError),
    (lambda t: t.dropout(t.ones(3), 1.5, True), RuntimeError),
    (lambda t: t.dropout(t.ones(3, dtype=t.int64), 0.5, True), RuntimeError),
    (lambda t: t.feature_dropout(t.ones(3), 0.5, True), RuntimeError),
    (lambda t: t.rrelu(t.ones(3), 0.3, 0.1, True), RuntimeError),
])
def test_refusals(call, error):
    with pytest.raises(error):
        call(torch)


def test_empty_tensors_draw_nothing():
    torch.manual_seed(2)
    before = torch.get_rng_state()
    for t in (torch.rand(0), torch.randn(2, 0), torch.randint(5, (0,)), torch.randperm(0), torch.randperm(1),
              torch.bernoulli(torch.empty(0)), torch.dropout(torch.empty(0), 0.5, True)):
        assert t.numel() <= 1
    assert torch.equal(before, torch.get_rng_state())


def test_in_place_fill_counts_as_a_write_and_cuts_the_history():
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    version = y._version
    y.uniform_()
    assert y._version == version + 1
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


# ---- dropout ----

def test_dropout_off_is_the_input_itself():
    x = torch.ones(3)
    assert torch.dropout(x, 0.5, False) is x
    assert torch.dropout(x, 0.0, True) is x
    assert torch.dropout(torch.ones(3, dtype=torch.int64), 0.5, False).tolist() == [1, 1, 1]


def test_dropout_of_everything_multiplies_by_zero():
    got = torch.dropout(torch.tensor([math.inf, -1.0]), 1.0, True)
    assert math.isnan(got[0]) and math.copysign(1, got[1].item()) == -1


@pytest.mark.parametrize("make", [
    lambda: torch.randn(4, 5, dtype=torch.float64), lambda: torch.randn(5, 4, dtype=torch.float64).t(),
    lambda: torch.randn(8, 10, dtype=torch.float64)[::2, ::2],
    lambda: torch.randn(2, 3, 4, 5, dtype=torch.float64).to(memory_format=torch.channels_last)])
def test_dropout_gradient_is_its_own_mask(make):
    x = make().requires_grad_()
    torch.manual_seed(6)
    y = torch.dropout(x, 0.4, True)
    w = torch.randn(x.shape, dtype=torch.float64, requires_grad=True)
    gx, = torch.autograd.grad(y, x, w, create_graph=True)
    factor = (y != 0).to(torch.float64) / (1 - 0.4)
    assert torch.allclose(y, x * factor) and torch.allclose(gx, w * factor)
    gw, = torch.autograd.grad(gx.sum(), w)
    assert torch.allclose(gw, factor)


def test_dropout_in_place():
    x = torch.ones(20)
    torch.manual_seed(1)
    want = torch.dropout(torch.ones(20), 0.3, True)
    torch.manual_seed(1)
    assert torch.dropout_(x, 0.3, True) is x and torch.equal(x, want)


def test_native_dropout_gradient_and_mask():
    x = torch.ones(30, requires_grad=True)
    y, mask = torch.native_dropout(x, 0.5, True)
    assert mask.dtype == torch.bool and not mask.requires_grad
    y.sum().backward()
    assert torch.equal(x.grad, mask.float() * 2) and torch.equal(y, x * mask * 2)
    y, mask = torch.native_dropout(x, 0.5, False)
    assert bool(mask.all()) and torch.equal(y, x)


def test_rrelu_gradient():
    x = torch.linspace(-2, 2, 9, dtype=torch.float64).requires_grad_()
    torch.manual_seed(1)
    y = torch.rrelu(x, 0.1, 0.3, True)
    y.sum().backward()
    slope = torch.where(x > 0, torch.ones_like(x), (y / x).nan_to_num(1.0)).detach()
    assert torch.allclose(x.grad[:4], slope[:4]) and x.grad[5:].tolist() == [1.0] * 4
    assert ((slope[:4] >= 0.1) & (slope[:4] < 0.3)).all()


# ---- what the numbers must look like, whatever the stream ----

def test_moments():
    torch.manual_seed(0)
    u = torch.rand(200000, dtype=torch.float64)
    assert 0 <= u.min() and u.max() < 1
    assert abs(u.mean().item() - 0.5) < 0.005
    n = torch.randn(200000, dtype=torch.float64)
    assert abs(n.mean().item()) < 0.01 and abs(n.std().item() - 1) < 0.01
    assert abs(torch.zeros(200000).bernoulli_(0.3).mean().item() - 0.3) < 0.01
    assert abs(torch.poisson(torch.full((50000,), 30.0)).mean().item() - 30) < 0.3
    counts = torch.bincount(torch.randint(0, 7, (70000,)), minlength=7)
    assert (counts - 10000).abs().max() < 500


def test_permutation_is_one():
    for n in (2, 17, 5000, 4351, 4352, 4353, 100000):
        assert torch.equal(torch.randperm(n).sort()[0], torch.arange(n))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("draw", [
    lambda t: t.log_normal_(), lambda t: t.log_normal_(-0.5, 0.25), lambda t: t.cauchy_(), lambda t: t.cauchy_(3, 0.5), lambda t: t.exponential_(2),
    lambda t: torch.poisson(t.fill_(1.7)), lambda t: torch.poisson(t.fill_(40)), lambda t: t.random_(), lambda t: t.geometric_(0.3)],
    ids=["log_normal", "log_normal of its own", "cauchy", "cauchy of its own", "exponential", "poisson", "poisson of many", "random", "geometric"])
def test_a_block_is_the_elements_one_by_one(draw, dtype):
    """One element at a time nothing is made ahead, and the normals of a pair are drawn by the C library."""
    torch.manual_seed(11)
    one_by_one = torch.cat([draw(torch.empty(1, dtype=dtype)) for _ in range(1500)])
    after = torch.rand(2)
    torch.manual_seed(11)
    assert torch.equal(draw(torch.empty(1500, dtype=dtype)), one_by_one) and torch.equal(torch.rand(2), after)
    torch.manual_seed(11)
    pieces = [draw(torch.empty(n, dtype=dtype)) for n in (1, 700, 3, 511, 285)]
    assert torch.equal(torch.cat(pieces), one_by_one) and torch.equal(torch.rand(2), after)
    torch.manual_seed(11)
    strided = draw(torch.empty(2, 1500, dtype=dtype).t()[:, 0])
    assert torch.equal(strided, one_by_one)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_block_of_binomials_is_the_elements_one_by_one(dtype):
    torch.manual_seed(3)
    count, p = torch.randint(0, 80, (900,)).to(dtype), torch.rand(900, dtype=dtype)
    torch.manual_seed(4)
    one_by_one = torch.cat([torch.binomial(count[i:i + 1], p[i:i + 1]) for i in range(900)])
    after = torch.rand(1)
    torch.manual_seed(4)
    assert torch.equal(torch.binomial(count, p), one_by_one) and torch.equal(torch.rand(1), after)


@pytest.mark.parametrize("n", [65, 511, 5000, 70001, 200000])
def test_permutations_of_every_dtype_are_one(n, threads):
    torch.manual_seed(n)
    want, after = torch.randperm(n, dtype=torch.int32), torch.rand(1)
    torch.manual_seed(n)
    assert torch.equal(torch.randperm(n), want.long()) and torch.equal(torch.rand(1), after)
    assert torch.equal(want.long().sort()[0], torch.arange(n))
