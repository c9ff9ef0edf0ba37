"""Elementwise loops, the kernels PyTorch is weak in, reductions, indexing, random numbers."""
from .._case import ALL, ARRAYS, NUMPY, TORCHLIKE, bools, integers, jax_compiled, op, randn, task, uniform

K, M, BIG = 1_000, 1_000_000, 30_000_000

# ---- elementwise: fresh results at three sizes, and into a given array ----------------------------------
for size, label in ((K, "1e3"), (M, "1e6"), (BIG, "3e7")):
    fresh = {"heavy": size == BIG, "wants": 3.0 if size == BIG else 0.95}
    op("elementwise", f"x + y, {label}", lambda m, x, y: x + y, randn(size), randn(size), peers=ALL, nbytes=12 * size, **fresh)
    op("elementwise", f"x * 2 + 1, {label}", lambda m, x: x * 2.0 + 1.0, randn(size), peers=ALL, nbytes=16 * size, **fresh)
    op("elementwise", f"exp, {label}", lambda m, x: m.exp(x), randn(size), peers=ALL, nbytes=8 * size, **fresh)
    op("elementwise", f"relu, {label}", lambda m, x: m.relu(x), randn(size), peers=TORCHLIKE, nbytes=8 * size, **fresh)


def into(name, method, n, arity):
    def make(t):
        x, y, out = t.linspace(0.01, 1, n), t.linspace(1, 2, n), t.empty(n)
        fn = getattr(t, method)
        return (lambda: fn(x, out=out)) if arity == 1 else (lambda: fn(x, y, out=out))

    def numpy_make(np):
        x, y, out = np.linspace(0.01, 1, n, dtype="float32"), np.linspace(1, 2, n, dtype="float32"), np.empty(n, "float32")
        fn = getattr(np, method)
        return (lambda: fn(x, out=out)) if arity == 1 else (lambda: fn(x, y, out=out))
    task("elementwise", name, make, {"numpy": numpy_make}, nbytes=(arity + 1) * 4 * n, heavy=n > M)


for size, label in ((M, "1e6"), (BIG, "3e7")):
    into(f"add(x, y, out=), {label}", "add", size, 2)
    into(f"exp(x, out=), {label}", "exp", size, 1)

for name in ("log", "sqrt", "sin", "cos", "abs"):
    op("elementwise", f"{name}, 1e6", lambda m, x, name=name: getattr(m, name)(x), uniform(M), peers=ALL, nbytes=8 * M)
for name in ("erf", "sigmoid"):
    op("elementwise", f"{name}, 1e6", lambda m, x, name=name: getattr(m, name)(x), randn(M), peers=TORCHLIKE, nbytes=8 * M)
op("elementwise", "gelu, 1e6", lambda m, x: m.nn.functional.gelu(x), randn(M), peers=TORCHLIKE, nbytes=8 * M)
op("elementwise", "silu, 1e6", lambda m, x: m.nn.functional.silu(x), randn(M), peers=TORCHLIKE, nbytes=8 * M)
op("elementwise", "x / y, 1e6", lambda m, x, y: x / y, randn(M), uniform(M), peers=ALL, nbytes=12 * M)
op("elementwise", "x > y, 1e6", lambda m, x, y: x > y, randn(M), randn(M), peers=ALL, nbytes=9 * M)
op("elementwise", "maximum(x, y), 1e6", lambda m, x, y: m.maximum(x, y), randn(M), randn(M), peers=ALL, nbytes=12 * M)
op("elementwise", "clip(x, -1, 1), 1e6", lambda m, x: m.clip(x, -1.0, 1.0), randn(M), peers=("numpy", "jax", "mlx"), nbytes=8 * M)
op("elementwise", "m + row, 1000x1000", lambda m, x, y: x + y, randn(1000, 1000), randn(1000), peers=ALL, nbytes=8 * M)
op("elementwise", "m + column, 1000x1000", lambda m, x, y: x + y, randn(1000, 1000), randn(1000, 1), peers=ALL, nbytes=8 * M)
op("elementwise", "m.T + m, 1000x1000", lambda m, x: x.T + x, randn(1000, 1000), peers=ALL, nbytes=8 * M)
op("elementwise", "x[::2] + y[::2], 1e6", lambda m, x, y: x[::2] + y[::2], randn(2 * M), randn(2 * M), peers=ARRAYS, nbytes=20 * M)


def compiled(fn, count, n, gradients=False):
    """A function of `count` arrays of n floats: PyTorch runs it operator by operator, we as one loop."""
    def make(t):
        f = fn(t) if t.__name__ == "torch" else t.jit.script(fn(t))
        arrays = [t.randn(n, requires_grad=gradients) for _ in range(count)]
        if not gradients:
            return lambda: f(*arrays)

        def run():
            for x in arrays:
                x.grad = None
            f(*arrays).backward(arrays[0].detach())
            return arrays[0].grad
        return run
    make.others = {"jax": jax_compiled(lambda m, *arrays: fn(m)(*arrays), *[(n,)] * count, gradients=gradients)}
    return make


def swiglu(t):
    def swiglu(x, y):
        return x * t.sigmoid(x) * y
    return swiglu


def tanh_gelu(t):
    def tanh_gelu(x):
        return 0.5 * x * (1.0 + t.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))
    return tanh_gelu


for _fn, _count in ((swiglu, 2), (tanh_gelu, 1)):
    task("elementwise", f"jit.script of {_fn.__name__}, 1e6", compiled(_fn, _count, M), nbytes=4 * (_count + 1) * M)
    task("elementwise", f"jit.script of {_fn.__name__}, 1e6 with gradients", compiled(_fn, _count, M, True))
    task("elementwise", f"jit.script of {_fn.__name__}, 1e7", compiled(_fn, _count, 10 * M), nbytes=40 * (_count + 1) * M, heavy=True, wants=3.0)
op("elementwise", "x + y, 1e6 float64", lambda m, x, y: x + y, lambda g: g.standard_normal(M), lambda g: g.standard_normal(M), peers=NUMPY,
   nbytes=24 * M)
op("elementwise", "exp, 1e6 float64", lambda m, x: m.exp(x), lambda g: g.standard_normal(M), peers=NUMPY, nbytes=16 * M)
op("elementwise", "x + y, 1e6 int64", lambda m, x, y: x + y, integers(0, 99, M), integers(0, 99, M), peers=NUMPY, nbytes=24 * M)
op("elementwise", "x + y, 1e6 bfloat16", lambda m, x, y: x + y, randn(M), randn(M), dtype="bfloat16", peers=("jax", "mlx"), nbytes=6 * M, atol=1e-2)
op("elementwise", "gelu, 1e6 bfloat16", lambda m, x: m.nn.functional.gelu(x), randn(M), dtype="bfloat16", peers=("jax", "mlx"), nbytes=4 * M, atol=2e-2, rtol=2e-2)
op("elementwise", "int64 + float32, 1e6", lambda m, x, y: x + y, integers(0, 99, M), randn(M), peers=NUMPY, nbytes=16 * M)
op("elementwise", "x.to(float64), 1e6", lambda m, x: x.to(m.float64), randn(M), others={"numpy": lambda m, x: x.astype("float64")}, nbytes=12 * M)


def accumulate(t):
    x, y = t.zeros(M), t.full((M,), 1e-6)
    return lambda: x.add_(y)


def accumulate_numpy(np):
    x, y = np.zeros(M, "float32"), np.full(M, 1e-6, "float32")
    return lambda: np.add(x, y, out=x)


task("elementwise", "x.add_(y), 1e6", accumulate, {"numpy": accumulate_numpy}, rtol=None, nbytes=12 * M)

# ---- kernels that are slow in PyTorch ----------------------------------------------------------------------
WEAK = {"wants": 3.0}


def values(result):
    return result[0]


op("kernels", "where(c, x, y), 1e6", lambda m, c, x, y: m.where(c, x, y), bools(M), randn(M), randn(M), peers=("numpy", "jax", "mlx"),
   nbytes=13 * M, **WEAK)
op("kernels", "masked_fill, 1e6", lambda m, x, c: x.masked_fill(c, 0.0), randn(M), bools(M), others=dict.fromkeys(ARRAYS, lambda m, x, c: m.where(c, 0.0, x)), nbytes=9 * M, **WEAK)
op("kernels", "x[mask], 1e6", lambda m, x, c: x[c], randn(M), bools(M), peers=NUMPY, nbytes=7 * M, **WEAK)
op("kernels", "nonzero, 1e6", lambda m, c: c.nonzero(), bools(M), peers=NUMPY, nbytes=5 * M, **WEAK)
op("kernels", "tanh, 1e6", lambda m, x: m.tanh(x), randn(M), peers=ALL, nbytes=8 * M, **WEAK)
op("kernels", "x ** 1.7, 1e6", lambda m, x: x ** 1.7, uniform(M), peers=ALL, nbytes=8 * M, **WEAK)
op("kernels", "var over dim 0, 1000x1000", lambda m, x: x.var(0), randn(1000, 1000), peers=("tinygrad",),
   others=dict.fromkeys(("numpy", "jax", "mlx"), lambda m, x: x.var(0, ddof=1)), nbytes=4 * M, **WEAK)
op("kernels", "argmax, 1e6", lambda m, x: x.argmax(), randn(M), peers=ALL, nbytes=4 * M, **WEAK)
op("kernels", "argmax over dim 1, 1000x1000", lambda m, x: x.argmax(1), randn(1000, 1000), peers=ALL, nbytes=4 * M, **WEAK)
op("kernels", "max over dim 0, 1000x1000", lambda m, x: tuple(x.max(0)), randn(1000, 1000),
   others=dict.fromkeys(ARRAYS, lambda m, x: (x.max(0), x.argmax(0))), nbytes=4 * M, **WEAK)
op("kernels", "max over dim 1, 1000x1000", lambda m, x: tuple(x.max(1)), randn(1000, 1000),
   others=dict.fromkeys(ARRAYS, lambda m, x: (x.max(1), x.argmax(1))), nbytes=4 * M, **WEAK)


def sorted_rows(m, x):
    """Values and places, as PyTorch gives them."""
    places = x.argsort(-1)
    return m.take_along_axis(x, places, -1), places


op("kernels", "sort, 1e6", lambda m, x: x.sort(), randn(M), others={"numpy": sorted_rows, "jax": lambda m, x: m.sort_pairs(x)}, nbytes=16 * M, check=values, **WEAK)
op("kernels", "sort rows, 1000x1000", lambda m, x: x.sort(1), randn(1000, 1000), others={"numpy": sorted_rows, "jax": lambda m, x: m.sort_pairs(x)},
   nbytes=16 * M, check=values, **WEAK)
op("kernels", "topk 100 of 1e6", lambda m, x: x.topk(100), randn(M), others={"jax": lambda m, x: m.top_k(x, 100)}, nbytes=4 * M, check=values, **WEAK)
op("kernels", "t().contiguous(), 1000x1000", lambda m, x: x.t().contiguous(), randn(1000, 1000),
   others={"numpy": lambda m, x: m.ascontiguousarray(x.T), "jax": lambda m, x: x.T, "mlx": lambda m, x: m.contiguous(x.T)}, nbytes=8 * M, **WEAK)
op("kernels", "NCHW to NHWC, 16x64x32x32", lambda m, x: x.permute(0, 2, 3, 1).contiguous(), randn(16, 64, 32, 32),
   others={"numpy": lambda m, x: m.ascontiguousarray(x.transpose(0, 2, 3, 1)), "jax": lambda m, x: x.transpose(0, 2, 3, 1),
           "mlx": lambda m, x: m.contiguous(x.transpose(0, 2, 3, 1))}, nbytes=8 * 2 ** 20, **WEAK)
op("kernels", "max_pool2d 2, 16x64x32x32", lambda m, x: m.nn.functional.max_pool2d(x, 2), randn(16, 64, 32, 32), peers=("jax", "tinygrad"), nbytes=5 * 2 ** 20, **WEAK)
op("kernels", "avg_pool2d 2, 16x64x32x32", lambda m, x: m.nn.functional.avg_pool2d(x, 2), randn(16, 64, 32, 32), peers=("jax", "tinygrad"), nbytes=5 * 2 ** 20, **WEAK)


def with_gradients(forward, *shapes):
    """forward(t, *leaves) and the gradients of all leaves for a gradient of ones."""
    def make(t):
        leaves = [t.randn(*shape, requires_grad=True) for shape in shapes]
        one = t.ones(forward(t, *leaves).shape)
        grad = t.autograd.grad
        return lambda: grad(forward(t, *leaves), leaves, one)
    make.others = {"jax": jax_compiled(forward, *shapes)}
    return make


LOOSE = {"rtol": 1e-3, "atol": 2e-2}       # sums of many thousand products
task("kernels", "max_pool2d 2 with gradient, 16x64x32x32", with_gradients(lambda t, x: t.nn.functional.max_pool2d(x, 2), (16, 64, 32, 32)), **WEAK)
task("kernels", "conv2d 5x5 32->32 with gradients, 16x32x28x28",
     with_gradients(lambda t, x, w: t.nn.functional.conv2d(x, w, padding=2), (16, 32, 28, 28), (32, 32, 5, 5)),
     flops=3 * 2 * 16 * 28 * 28 * 32 * 32 * 25, **LOOSE, **WEAK)
task("kernels", "depthwise conv2d 3x3 with gradients, 16x64x28x28",
     with_gradients(lambda t, x, w: t.nn.functional.conv2d(x, w, padding=1, groups=64), (16, 64, 28, 28), (64, 1, 3, 3)),
     flops=3 * 2 * 16 * 28 * 28 * 64 * 9, **LOOSE, **WEAK)
task("kernels", "batch_norm with gradients, 16x64x32x32",
     with_gradients(lambda t, x, w, b: t.nn.functional.batch_norm(x, None, None, w, b, training=True), (16, 64, 32, 32), (64,), (64,)),
     nbytes=8 * 4 * 2 ** 20, **LOOSE, **WEAK)

# ---- reductions --------------------------------------------------------------------------------------------
for name in ("sum", "mean", "max", "std", "prod"):
    fn = (lambda m, x, name=name: getattr(x, name)()) if name != "prod" else (lambda m, x: (x * 0 + 1).prod())
    op("reductions", f"{name}, 1e6", fn, randn(M), peers=ALL if name != "std" else ("tinygrad",),
       others={} if name != "std" else dict.fromkeys(("numpy", "jax", "mlx"), lambda m, x: x.std(ddof=1)), nbytes=4 * M, atol=1e-2)
op("reductions", "sum, 3e7", lambda m, x: x.sum(), randn(BIG), peers=ALL, nbytes=4 * BIG, heavy=True, rtol=1e-3, atol=0.5)
op("reductions", "sum over dim 0, 1000x1000", lambda m, x: x.sum(0), randn(1000, 1000), peers=ALL, nbytes=4 * M, atol=1e-3)
op("reductions", "sum over dim 1, 1000x1000", lambda m, x: x.sum(1), randn(1000, 1000), peers=ALL, nbytes=4 * M, atol=1e-3)
op("reductions", "mean over dims 0 2 3, 16x64x32x32", lambda m, x: x.mean((0, 2, 3)), randn(16, 64, 32, 32), peers=ALL, nbytes=4 * 2 ** 20)
op("reductions", "norm, 1e6", lambda m, x: m.linalg.norm(x), randn(M), peers=ARRAYS, nbytes=4 * M)
op("reductions", "logsumexp over dim 1, 1000x1000", lambda m, x: m.logsumexp(x, 1), randn(1000, 1000), peers=TORCHLIKE, nbytes=4 * M)
op("reductions", "cumsum over dim 1, 1000x1000", lambda m, x: x.cumsum(1), randn(1000, 1000), peers=ALL, nbytes=8 * M, atol=1e-3)
op("reductions", "cumsum over dim 0, 1000x1000", lambda m, x: x.cumsum(0), randn(1000, 1000), peers=ALL, nbytes=8 * M, atol=1e-3)
op("reductions", "any, 1e6", lambda m, x: (x > 9).any(), randn(M), peers=ARRAYS, nbytes=4 * M)
op("reductions", "sum int64, 1e6", lambda m, x: x.sum(), integers(0, 99, M), peers=NUMPY, nbytes=8 * M)

# ---- indexing and joining ----------------------------------------------------------------------------------
op("indexing", "x[rows], 4096 of 20000x256", lambda m, x, i: x[i], randn(20000, 256), integers(0, 20000, 4096), peers=ARRAYS, nbytes=8 * 4096 * 256)
op("indexing", "x[:, columns], 1000x1000", lambda m, x, i: x[:, i], randn(1000, 1000), integers(0, 1000, 500), peers=ARRAYS, nbytes=4 * M)
op("indexing", "x[rows], 64 of 100x50", lambda m, x, i: x[i], randn(100, 50), integers(0, 100, 64), peers=ARRAYS)
op("indexing", "gather, 1000x1000", lambda m, x, i: x.gather(1, i), randn(1000, 1000), integers(0, 1000, 1000, 1000),
   others=dict.fromkeys(("numpy", "jax", "mlx"), lambda m, x, i: m.take_along_axis(x, i, 1)), nbytes=16 * M)
op("indexing", "scatter_add, 1000x1000", lambda m, x, i: x.scatter_add(1, i, x), randn(1000, 1000), integers(0, 1000, 1000, 1000),
   others=dict.fromkeys(("jax", "mlx"), lambda m, x, i: x.at[m.arange(1000)[:, None], i].add(x)), nbytes=24 * M)
op("indexing", "index_add, 1000x1000", lambda m, x, i: x.index_add(0, i, x), randn(1000, 1000), integers(0, 1000, 1000),
   others=dict.fromkeys(("jax", "mlx"), lambda m, x, i: x.at[i].add(x)), nbytes=20 * M, atol=1e-4)
op("indexing", "index_select, 1000x1000", lambda m, x, i: x.index_select(1, i), randn(1000, 1000), integers(0, 1000, 1000),
   others=dict.fromkeys(("numpy", "jax", "mlx"), lambda m, x, i: m.take(x, i, 1)), nbytes=8 * M)
op("indexing", "embedding, 32x64 of 10000x256", lambda m, x, i: m.nn.functional.embedding(i, x), randn(10000, 256), integers(0, 10000, 32, 64), peers=("jax", "mlx"),
   nbytes=8 * 2048 * 256)
op("indexing", "cat dim 0, 2 x 1000x1000", lambda m, x, y: m.cat([x, y]), randn(1000, 1000), randn(1000, 1000), peers=("jax", "mlx"), nbytes=16 * M)
op("indexing", "cat dim 1, 2 x 1000x1000", lambda m, x, y: m.cat([x, y], 1), randn(1000, 1000), randn(1000, 1000), peers=("jax", "mlx"), nbytes=16 * M)
op("indexing", "stack, 32 x 3x32x32", lambda m, x: m.stack([x] * 32), randn(3, 32, 32), peers=("numpy", "mlx"), nbytes=8 * 32 * 3072)
op("indexing", "flip, 1000x1000", lambda m, x: x.flip(1), randn(1000, 1000),
   others={"numpy": lambda m, x: m.flip(x, 1).copy(), "jax": lambda m, x: m.flip(x, 1), "mlx": lambda m, x: m.contiguous(x[:, ::-1])}, nbytes=8 * M)
op("indexing", "roll, 1000x1000", lambda m, x: m.roll(x, 3), randn(1000, 1000), peers=ARRAYS, nbytes=8 * M)
op("indexing", "tril, 1000x1000", lambda m, x: m.tril(x), randn(1000, 1000), peers=ARRAYS, nbytes=8 * M)
op("indexing", "clone, 1e6", lambda m, x: x.clone(), randn(M), others={"numpy": lambda m, x: x.copy(), "jax": lambda m, x: m.copy(x)}, nbytes=8 * M)
op("indexing", "unique, 1e5 integers", lambda m, x: m.unique(x), integers(0, 1000, 100_000), peers=NUMPY)
op("indexing", "searchsorted, 1e5 in 1e4", lambda m, s, x: m.searchsorted(s, x), lambda g: g.random(10_000).cumsum().astype("float32"),
   uniform(100_000, low=0, high=5000), peers=ARRAYS)


def assign(t):
    x, i, v = t.zeros(1000, 1000), t.arange(0, 1000, 2), t.ones(1000)

    def run():
        x[i] = v
        return x
    return run


def assign_numpy(np):
    x, i, v = np.zeros((1000, 1000), "float32"), np.arange(0, 1000, 2), np.ones(1000, "float32")
    return lambda: x.__setitem__(i, v)


task("indexing", "x[rows] = v, 500 of 1000x1000", assign, {"numpy": assign_numpy}, nbytes=2 * M)

# ---- random numbers: the same stream, hence the same numbers ----------------------------------------------
def drawn(draw):
    def make(t):
        t.manual_seed(1)
        return draw(t)
    return make


def jax_random(name):
    """JAX's maker of a draw: its own generator, so other numbers."""
    def make(m):
        import jax
        draw = jax.random
        fn = {"rand, 1e6": lambda key: draw.uniform(key, (M,)), "randn, 1e6": lambda key: draw.normal(key, (M,)),
              "randint, 1e6": lambda key: draw.randint(key, (M,), 0, 1000), "randperm, 1e5": lambda key: draw.permutation(key, 100_000),
              "bernoulli(0.5), 1e6": lambda key: draw.bernoulli(key, 0.5, (M,)).astype("float32"),
              "dropout(0.5), 1e6": lambda key: m.where(draw.bernoulli(key, 0.5, (M,)), 2.0, 0.0),
              "x.normal_(), 1e6": lambda key: draw.normal(key, (M,)), "x.exponential_(), 1e6": lambda key: draw.exponential(key, (M,)),
              "multinomial, 1e3 of 1e4": lambda key: draw.choice(key, 10_000, (1000,), p=m.full(10_000, 1e-4))}[name]
        compiled, key = jax.jit(fn), draw.key(0)
        return lambda: compiled(key)
    return make


for name, draw in (("rand, 1e6", lambda t: lambda: t.rand(M)), ("randn, 1e6", lambda t: lambda: t.randn(M)),
                   ("randint, 1e6", lambda t: lambda: t.randint(0, 1000, (M,))), ("randperm, 1e5", lambda t: lambda: t.randperm(100_000)),
                   ("bernoulli(0.5), 1e6", lambda t: (lambda p: lambda: t.bernoulli(p))(t.full((M,), 0.5))),
                   ("dropout(0.5), 1e6", lambda t: (lambda x: lambda: t.nn.functional.dropout(x, 0.5))(t.ones(M))),
                   ("x.normal_(), 1e6", lambda t: (lambda x: lambda: x.normal_())(t.empty(M))),
                   ("x.exponential_(), 1e6", lambda t: (lambda x: lambda: x.exponential_())(t.empty(M))),
                   ("multinomial, 1e3 of 1e4", lambda t: (lambda p: lambda: t.multinomial(p, 1000, True))(t.rand(10_000)))):
    numpy_draw = {"rand, 1e6": lambda np: (lambda g: lambda: g.random(M, "float32"))(np.random.default_rng(0)),
                  "randn, 1e6": lambda np: (lambda g: lambda: g.standard_normal(M, "float32"))(np.random.default_rng(0)),
                  "randint, 1e6": lambda np: (lambda g: lambda: g.integers(0, 1000, M))(np.random.default_rng(0)),
                  "randperm, 1e5": lambda np: (lambda g: lambda: g.permutation(100_000))(np.random.default_rng(0)),
                  "x.exponential_(), 1e6": lambda np: (lambda g: lambda: g.standard_exponential(M, "float32"))(np.random.default_rng(0)),
                  "multinomial, 1e3 of 1e4": lambda np: (lambda g, p: lambda: g.choice(10_000, 1000, p=p))(np.random.default_rng(0), np.full(10_000, 1e-4))}.get(name)
    task("random", name, drawn(draw), {"jax": jax_random(name), **({"numpy": numpy_draw} if numpy_draw else {})}, wants=3.0, nbytes=4 * M if "1e6" in name else 0)
