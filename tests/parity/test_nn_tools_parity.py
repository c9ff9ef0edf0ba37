"""Compare nn.init, hooks, error texts, packed sequences, samplers, nn.utils with PyTorch."""

import copy
import math
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402

RNG = np.random.default_rng(3)
BOTH = (rt, torch)


def f(*shape):
    """Float input."""
    return RNG.standard_normal(shape).astype(np.float32)


def both(function, seed=0):
    """Run a function of the library under both, from one seed; return the arrays."""
    out = []
    for lib in BOTH:
        lib.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out.append(arrays(function(lib)))
    return out


def arrays(value):
    """Turn tensors in a nested result into arrays."""
    if hasattr(value, "detach"):
        return value.detach().numpy()
    if isinstance(value, dict):
        return {k: arrays(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [arrays(v) for v in value]
    return value


def compare(a, b, rtol=2e-5, atol=1e-5, exact=False):
    """Compare nested results."""
    if isinstance(b, np.ndarray):
        assert a.dtype == b.dtype and a.shape == b.shape
        if exact:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
    elif isinstance(b, dict):
        assert list(a) == list(b)
        for k in b:
            compare(a[k], b[k], rtol, atol, exact)
    elif isinstance(b, list):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            compare(x, y, rtol, atol, exact)
    else:
        assert a == b


def check(function, seed=0, **how):
    compare(*both(function, seed), **how)


def grad_of(lib, function, *inputs):
    """Return a function's result and the gradients of its inputs."""
    leaves = [lib.from_numpy(x).clone().requires_grad_(True) for x in inputs]
    out = function(*leaves)
    (out * lib.from_numpy(np.cos(np.arange(out.numel(), dtype=np.float32)).reshape(tuple(out.shape)))).sum().backward()
    return [out, *[x.grad for x in leaves]]


@pytest.mark.parametrize("name, args, shape", [
    ("uniform_", (-1, 3), (4, 5)), ("normal_", (1, 2), (4, 5)), ("constant_", (3,), (4, 5)), ("ones_", (), (4, 5)),
    ("zeros_", (), (4, 5)), ("eye_", (), (4, 5)), ("dirac_", (), (4, 2, 3)), ("dirac_", (2,), (4, 2, 3, 3)),
    ("xavier_uniform_", (), (20, 30)), ("xavier_uniform_", (2.0,), (5, 4, 3)), ("xavier_normal_", (), (20, 30)),
    ("kaiming_uniform_", (), (20, 30)), ("kaiming_uniform_", (0.2, "fan_out", "relu"), (5, 4, 3)),
    ("kaiming_normal_", (), (20, 30)), ("trunc_normal_", (), (20, 30)), ("trunc_normal_", (0.0, 0.02), (20, 30)),
    ("trunc_normal_", (0.0, 1.0, 2.0, 3.0), (20, 3)), ("sparse_", (0.3,), (10, 4)),
])
def test_init(name, args, shape):
    check(lambda lib: getattr(lib.nn.init, name)(lib.empty(*shape), *args), exact=name not in ("trunc_normal_",))


def test_orthogonal_init():
    for shape in ((4, 6), (6, 4), (3, 2, 2)):
        check(lambda lib: lib.nn.init.orthogonal_(lib.empty(*shape), 1.5), atol=1e-4)


def test_gains():
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert rt.nn.init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert rt.nn.init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)


def test_backward_hooks():
    def run(lib):
        seen = []
        net = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.Tanh(), lib.nn.Linear(4, 2))
        for m in net:
            m.register_full_backward_hook(lambda m, gi, go: seen.append((type(m).__name__, list(gi), list(go))))
            m.register_full_backward_pre_hook(lambda m, go: seen.append((type(m).__name__, list(go))))
        net[0].register_full_backward_hook(lambda m, gi, go: (gi[0] * 2,))
        return [grad_of(lib, net, f0), seen]

    f0 = f(5, 3)
    check(run)


def test_older_backward_hook():
    def run(lib):
        seen = []
        net = lib.nn.ReLU()
        net.register_backward_hook(lambda m, gi, go: seen.append((list(gi), list(go))))
        return [grad_of(lib, net, f0), seen]

    f0 = f(5, 3)
    check(run)


def test_load_errors_read_the_same():
    def run(lib):
        net = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4))
        state = net.state_dict()
        state["more.x"] = lib.ones(1)
        state["0.bias"] = lib.ones(2, 2)
        state["1.weight"] = 3
        del state["1.running_var"]
        try:
            net.load_state_dict(state)
        except RuntimeError as error:
            return str(error)

    check(run)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}])
def test_packed_sequences(kind, options):
    x = f(6, 4, 3)

    def run(lib):
        net = getattr(lib.nn, kind)(3, 5, **options)
        leaf = lib.from_numpy(x).clone().requires_grad_(True)
        packed = lib.nn.utils.rnn.pack_padded_sequence(leaf, [4, 6, 1, 4], enforce_sorted=False)
        out, state = net(packed)
        padded, lengths = lib.nn.utils.rnn.pad_packed_sequence(out, padding_value=-1.0)
        padded.pow(2).sum().backward()
        return [padded, lengths, state, leaf.grad, out.batch_sizes, out.sorted_indices, {k: p.grad for k, p in net.named_parameters()}]

    check(run)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [True, False])
def test_grid_sample(mode, padding, corners):
    x, g = f(2, 3, 5, 6), (f(2, 4, 3, 2) * 1.2)
    check(lambda lib: grad_of(
        lib, lambda a, b: lib.nn.functional.grid_sample(a, b, mode, padding, corners), x, g), atol=2e-4, rtol=1e-3)


def test_grid_sample_of_volumes():
    x, g = f(2, 3, 4, 5, 6), f(2, 2, 3, 4, 3)
    check(lambda lib: grad_of(lib, lambda a, b: lib.nn.functional.grid_sample(a, b, align_corners=False), x, g), atol=1e-4)


@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("size", [(2, 1, 4, 5), (2, 1, 3, 4, 5)])
def test_affine_grid(corners, size):
    n = len(size) - 2
    theta = f(2, n, n + 1)
    check(lambda lib: grad_of(lib, lambda t: lib.nn.functional.affine_grid(t, size, corners), theta))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(4, 3), (12, 17)])
def test_antialias(mode, size):
    x = f(2, 3, 9, 8)
    check(lambda lib: grad_of(lib, lambda a: lib.nn.functional.interpolate(a, size, mode=mode, antialias=True), x))


@pytest.mark.parametrize("causal, mask", [(True, None), (False, None), (False, "bool"), (False, "float")])
def test_scaled_dot_product_attention(causal, mask):
    q, k, v = f(2, 3, 5, 4), f(2, 3, 7, 4), f(2, 3, 7, 6)
    m = {None: None, "bool": RNG.random((5, 7)) > 0.3, "float": f(5, 7)}[mask]

    def run(lib):
        given = None if m is None else lib.from_numpy(np.array(m))
        attend = lib.nn.functional.scaled_dot_product_attention
        return grad_of(lib, lambda a, b, c: attend(a, b, c, given, is_causal=causal), q, k, v)

    check(run)


def test_grouped_query_attention():
    q, k, v = f(2, 4, 5, 4), f(2, 2, 7, 4), f(2, 2, 7, 4)
    check(lambda lib: grad_of(
        lib, lambda a, b, c: lib.nn.functional.scaled_dot_product_attention(a, b, c, enable_gqa=True, scale=0.3), q, k, v))


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_attention_masks(need_weights, batch_first):
    x = f(3, 3, 8)
    pad = np.array([[False, False, True], [False, True, True], [False, False, False]])

    def run(lib):
        net = lib.nn.MultiheadAttention(8, 2, batch_first=batch_first)
        mask = lib.ones(3, 3, dtype=lib.bool).triu(1)
        return grad_of(lib, lambda a: net(
            a, a, a, key_padding_mask=lib.from_numpy(pad), attn_mask=mask, need_weights=need_weights)[0], x)

    check(run)


def test_transformer_masks():
    x, y = f(4, 2, 8), f(5, 2, 8)

    def run(lib):
        net = lib.nn.Transformer(8, 2, 1, 1, 16, dropout=0.0)
        mask = net.generate_square_subsequent_mask(5)
        pad = lib.from_numpy(np.array([[False, False, False, True], [False] * 4]))
        return [mask, *grad_of(lib, lambda a, b: net(a, b, tgt_mask=mask, src_key_padding_mask=pad), x, y)]

    check(run)


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_clipping(norm):
    x = f(5, 3)

    def run(lib):
        net = lib.nn.Linear(3, 2)
        net(lib.from_numpy(x)).pow(2).sum().backward()
        total = lib.nn.utils.clip_grad_norm_(net.parameters(), 0.5, norm)
        return [total, net.weight.grad, net.bias.grad]

    check(run)


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("kind, args, shape", [
    ("Linear", (4, 3), (2, 4)), ("Conv2d", (2, 3, 3), (1, 2, 5, 5)), ("ConvTranspose2d", (2, 3, 3), (1, 2, 5, 5))])
def test_reparametrized_layers(name, kind, args, shape):
    x = f(*shape)

    def run(lib):
        out = []
        for place in (lib.nn.utils, lib.nn.utils.parametrizations):
            net = getattr(place, name)(getattr(lib.nn, kind)(*args))
            out += grad_of(lib, net, x)
            out.append(net.state_dict())
            out.append({k: p.grad for k, p in net.named_parameters()})
            out.append(net.eval()(lib.from_numpy(x)))
        return out

    check(run)


@pytest.mark.parametrize("call", [
    lambda p, m: p.l1_unstructured(m, "weight", 0.3), lambda p, m: p.random_unstructured(m, "weight", 3),
    lambda p, m: p.ln_structured(m, "weight", 2, 2, 0), lambda p, m: p.random_structured(m, "weight", 1, 1),
    lambda p, m: p.l1_unstructured(p.l1_unstructured(m, "weight", 2), "weight", 0.5),
    lambda p, m: p.remove(p.l1_unstructured(m, "weight", 2), "weight"),
    lambda p, m: p.global_unstructured([(m, "weight"), (m, "bias")], p.L1Unstructured, amount=0.4) or m,
])
def test_pruning(call):
    x = f(2, 4)

    def run(lib):
        import importlib

        prune = importlib.import_module(lib.nn.utils.__name__ + ".prune")
        net = call(prune, lib.nn.Linear(4, 3))
        return [net(lib.from_numpy(x)), net.state_dict(), prune.is_pruned(net), list(dict(net.named_parameters()))]

    check(run)


def test_reprs_of_containers():
    def run(lib):
        n = lib.nn
        return [repr(m) for m in (
            n.ModuleList([n.Linear(1, 2)] * 3), n.ModuleDict({"a": n.ReLU()}), n.Sequential(), n.ModuleList(),
            n.Sequential(n.Sequential(n.ReLU(), n.Linear(2, 2)), n.Tanh()), n.ParameterList([lib.ones(2, 3)]),
            n.Parameter(lib.ones(2)), n.Parameter(lib.ones(2), requires_grad=False))]

    check(run)


def test_gumbel_softmax():
    x = f(4, 5)
    check(lambda lib: [grad_of(lib, lambda a: lib.nn.functional.gumbel_softmax(a, 0.7, hard), x) for hard in (True, False)])


def test_functions_without_layers():
    x, y = f(4, 6), f(4, 6)

    def run(lib):
        fun = lib.nn.functional
        i = lib.from_numpy(np.array([[0, 2], [1, 3]]))
        return [
            grad_of(lib, lambda a: fun.normalize(a), x), grad_of(lib, lambda a: fun.normalize(a, 1.0, 0), x),
            grad_of(lib, fun.pairwise_distance, x, y), grad_of(lib, fun.cosine_similarity, x, y),
            grad_of(lib, fun.pdist, x), fun.one_hot(i), fun.one_hot(i, 5), grad_of(lib, fun.softsign, x),
            grad_of(lib, lambda a, b: fun.mse_loss(a, b, weight=lib.ones(4, 6) * 2), x, y),
            grad_of(lib, lambda a: fun.pad(a, (1, -2, 2, 0), value=2.0), x),
        ]

    check(run)


def test_deep_copied_and_reloaded_modules_agree():
    x = f(2, 3)

    def run(lib):
        net = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.PReLU())
        twin = copy.deepcopy(net)
        other = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.PReLU())
        other.load_state_dict(net.state_dict())
        t = lib.from_numpy(x)
        return [net(t), twin(t), other(t), other.state_dict()]

    check(run)


@pytest.mark.parametrize("block", [4, (2, 8)])
def test_flex_attention(block):
    q, k, v = f(2, 2, 10, 4), f(2, 2, 12, 4), f(2, 2, 12, 4)
    slope = f(2)

    def run(lib):
        import importlib

        flex = importlib.import_module(lib.__name__ + ".nn.attention.flex_attention")
        bias = lib.from_numpy(slope)
        causal = flex.create_block_mask(lambda b, h, i, j: i + 2 >= j, None, None, 10, 12, device="cpu", BLOCK_SIZE=block)
        both = flex.and_masks(lambda b, h, i, j: i >= j, lambda b, h, i, j: i - j < 4)
        local = flex.create_block_mask(both, 2, 2, 10, 12, device="cpu", BLOCK_SIZE=block)
        i, j = lib.arange(10).reshape(10, 1), lib.arange(12).reshape(1, 12)
        slopes = bias.reshape(1, 2, 1, 1) * (i - j)
        cases = (  # score function, block mask, and what they mean as a mask to add
            (None, causal, lib.zeros(10, 12).masked_fill(i + 2 < j, -math.inf)),
            (lambda s, b, h, i, j: s + bias[h] * (i - j), local, slopes.masked_fill((i < j) | (i - j >= 4), -math.inf)),
            (None, None, lib.zeros(10, 12)),
        )
        a, b, c = (lib.from_numpy(t) for t in (q, k, v))
        out = [causal.to_dense(), causal.kv_num_blocks, causal.full_kv_num_blocks, local.to_dense(), causal.sparsity()]
        for score, mask, added in cases:
            # PyTorch compiles the function for this; its plain attention says the same.
            if lib is rt:
                out.append(flex.flex_attention(a, b, c, score, mask))
            else:
                out.append(lib.nn.functional.scaled_dot_product_attention(a, b, c, added))
        return out

    check(run)


def test_flex_attention_has_the_gradient_of_plain_attention():
    from rustorch_py.nn.attention import flex_attention as flex

    q, k, v = f(2, 2, 10, 4), f(2, 2, 10, 4), f(2, 2, 10, 4)
    mask = flex.create_block_mask(lambda b, h, i, j: i >= j, None, None, 10, 10, BLOCK_SIZE=4)
    attend = rt.nn.functional.scaled_dot_product_attention
    ours = grad_of(rt, lambda a, b, c: flex.flex_attention(a, b, c, block_mask=mask), q, k, v)
    compare(arrays(ours), arrays(grad_of(rt, lambda a, b, c: attend(a, b, c, is_causal=True), q, k, v)))


def test_convolution_gradients_as_functions():
    x, w, g = f(2, 3, 6, 6), f(4, 3, 3, 3), f(2, 4, 4, 4)

    def run(lib):
        import importlib

        grad = importlib.import_module(lib.__name__ + ".nn.grad")
        a, b, c = (lib.from_numpy(t) for t in (x, w, g))
        return [grad.conv2d_input(a.shape, b, c), grad.conv2d_weight(a, b.shape, c)]

    check(run)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("options", [{"batch_chunk_size": 3}, {"chunking_method": "aspect_ratio:2"}, {}])
def test_chunked_linear_cross_entropy(reduction, options):
    x, w, b = f(10, 4), f(7, 4), f(7)
    y = np.array([0, 6, 2, -100, 3, 3, 1, 5, -100, 4])
    factors = np.abs(f(7))

    def run(lib):
        given = lib.nn.LinearCrossEntropyOptions(**options)
        return grad_of(lib, lambda a, c, d: lib.nn.functional.linear_cross_entropy(
            a, c, lib.from_numpy(y), linear_bias=d, weight=lib.from_numpy(factors), reduction=reduction, options=given), x, w, b)

    check(run)


def test_chunk_sizes_are_pytorchs():
    for rows, features, classes in ((1000, 64, 32000), (7, 64, 10), (128, 1, 4), (1, 3, 3)):
        for options in ({}, {"chunking_method": "aspect_ratio"}, {"chunking_method": "aspect_ratio:4"}, {"batch_chunk_size": 5}):
            ours = rt.nn.LinearCrossEntropyOptions(**options).rows_per_chunk(rows, features, classes)
            theirs = torch.nn.LinearCrossEntropyOptions(**options)._adjust(rows, features, classes, torch.float32, torch.device("cpu"))
            assert ours == theirs.batch_chunk_size
