"""Matrix products and convolutions."""
from .._case import ALL, ARRAYS, NUMPY, TORCHLIKE, op, randn, task
from .tensors import with_gradients

LOOSE = {"rtol": 1e-3, "atol": 1e-2}

for n in (16, 32, 64, 128, 256, 512, 1024, 2048):
    op("gemm", f"mm {n}", lambda m, a, b: a @ b, randn(n, n), randn(n, n), peers=ALL if n in (64, 256, 1024) else ARRAYS, flops=2 * n ** 3,
       heavy=n > 1024, wants=1.0 if n >= 512 else 3.0 if n < 128 else 0.95, **LOOSE)
for rows, inner, columns in ((1, 1024, 1024), (32, 784, 128), (256, 784, 128), (1024, 16, 1024), (16, 1024, 16), (4, 512, 2048), (2000, 64, 10)):
    op("gemm", f"mm {rows}x{inner} by {inner}x{columns}", lambda m, a, b: a @ b, randn(rows, inner), randn(inner, columns), peers=ARRAYS,
       flops=2 * rows * inner * columns, wants=3.0 if rows == 1 else 0.95, **LOOSE)
op("gemm", "mm 512, a.T @ b", lambda m, a, b: a.T @ b, randn(512, 512), randn(512, 512), peers=ARRAYS, flops=2 * 512 ** 3, **LOOSE)
op("gemm", "mm 512, a @ b.T", lambda m, a, b: a @ b.T, randn(512, 512), randn(512, 512), peers=ARRAYS, flops=2 * 512 ** 3, **LOOSE)
for n in (256, 1024):
    op("gemm", f"mm {n} bfloat16", lambda m, a, b: a @ b, randn(n, n), randn(n, n), dtype="bfloat16", peers=("jax", "mlx"), flops=2 * n ** 3,
       rtol=2e-2, atol=1.0, wants=1.25 if n == 1024 else 0.95)
op("gemm", "mm 512 float64", lambda m, a, b: a @ b, lambda g: g.standard_normal((512, 512)), lambda g: g.standard_normal((512, 512)), peers=NUMPY,
   flops=2 * 512 ** 3)
op("gemm", "bmm 64 x 64x64", lambda m, a, b: a @ b, randn(64, 64, 64), randn(64, 64, 64), peers=ARRAYS, flops=2 * 64 ** 4, **LOOSE)
op("gemm", "bmm 1000 x 8x8", lambda m, a, b: a @ b, randn(1000, 8, 8), randn(1000, 8, 8), peers=ARRAYS, flops=2 * 1000 * 8 ** 3, **LOOSE)
for n in (128, 1024, 4096):
    op("gemm", f"matrix x vector {n}", lambda m, a, x: a @ x, randn(n, n), randn(n), peers=ARRAYS, nbytes=4 * n * n, flops=2 * n * n, wants=3.0,
       **LOOSE)
op("gemm", "vector x matrix 1024", lambda m, x, a: x @ a, randn(1024), randn(1024, 1024), peers=ARRAYS, nbytes=4 * 1024 ** 2, flops=2 * 1024 ** 2,
   wants=3.0, **LOOSE)
op("gemm", "dot, 1e6", lambda m, x, y: x @ y, randn(1_000_000), randn(1_000_000), peers=ARRAYS, nbytes=8e6, rtol=1e-3, atol=0.1)
op("gemm", "linear + relu, 256x784 -> 128", lambda m, x, w, b: m.relu(m.nn.functional.linear(x, w, b)), randn(256, 784), randn(128, 784), randn(128),
   peers=TORCHLIKE, flops=2 * 256 * 784 * 128, **LOOSE)
op("gemm", "linear + gelu, 256x784 -> 128", lambda m, x, w, b: m.nn.functional.gelu(m.nn.functional.linear(x, w, b)), randn(256, 784), randn(128, 784),
   randn(128), peers=TORCHLIKE, flops=2 * 256 * 784 * 128, **LOOSE)
op("gemm", "_addmm_activation with gelu, 256x784 by 784x128", lambda m, x, w, b: m._addmm_activation(b, x, w, use_gelu=True), randn(256, 784), randn(784, 128),
   randn(128), others={"jax": lambda m, x, w, b: m.gelu(x @ w + b)}, flops=2 * 256 * 784 * 128, **LOOSE)
op("gemm", "einsum bhqd,bhkd->bhqk, 4x8x64x32", lambda m, q, k: m.einsum("bhqd,bhkd->bhqk", q, k), randn(4, 8, 64, 32), randn(4, 8, 64, 32),
   peers=ARRAYS, flops=2 * 4 * 8 * 64 * 64 * 32, **LOOSE)
task("gemm", "linear with gradients, 256x784 -> 128", with_gradients(lambda t, x, w, b: t.nn.functional.linear(x, w, b), (256, 784), (128, 784), (128,)),
     flops=3 * 2 * 256 * 784 * 128, rtol=1e-3, atol=1e-2)

# name: (input shape, output channels, kernel, options, output side)
CONVOLUTIONS = {
    "LeNet 5x5 1->6, 32x1x28x28": ((32, 1, 28, 28), 6, 5, {"padding": 2}),
    "LeNet 5x5 6->16, 32x6x14x14": ((32, 6, 14, 14), 16, 5, {}),
    "ResNet 7x7/2 3->64, 4x3x224x224": ((4, 3, 224, 224), 64, 7, {"stride": 2, "padding": 3}),
    "ResNet 3x3 64->64, 16x64x32x32": ((16, 64, 32, 32), 64, 3, {"padding": 1}),
    "ResNet 3x3 16->16, 32x16x32x32": ((32, 16, 32, 32), 16, 3, {"padding": 1}),
    "ResNet 3x3/2 64->128, 16x64x32x32": ((16, 64, 32, 32), 128, 3, {"stride": 2, "padding": 1}),
    "ResNet 1x1 256->64, 8x256x28x28": ((8, 256, 28, 28), 64, 1, {}),
    "MobileNet depthwise 3x3, 8x96x56x56": ((8, 96, 56, 56), 96, 3, {"padding": 1, "groups": 96}),
    "MobileNet depthwise 3x3/2, 8x96x56x56": ((8, 96, 56, 56), 96, 3, {"stride": 2, "padding": 1, "groups": 96}),
    "MobileNet 1x1 96->24, 8x96x56x56": ((8, 96, 56, 56), 24, 1, {}),
    "dilated 3x3 32->32, 8x32x32x32": ((8, 32, 32, 32), 32, 3, {"padding": 2, "dilation": 2}),
    "grouped 3x3 64->64 in 4, 8x64x32x32": ((8, 64, 32, 32), 64, 3, {"padding": 1, "groups": 4}),
}
for name, (shape, channels, kernel, options) in CONVOLUTIONS.items():
    groups, stride = options.get("groups", 1), options.get("stride", 1)
    side = (shape[2] + 2 * options.get("padding", 0) - options.get("dilation", 1) * (kernel - 1) - 1) // stride + 1
    work = 2 * shape[0] * channels * side * side * shape[1] // groups * kernel * kernel
    weight = (channels, shape[1] // groups, kernel, kernel)
    best = {"wants": 1.1} if name.startswith("ResNet 3x3 64") else {}
    weak = {"wants": 3.0} if kernel == 5 or groups == shape[1] > 1 else best        # with gradients

    def forward(t, x, w, options=options):
        return t.nn.functional.conv2d(x, w, **options)

    op("conv", f"conv2d {name}", forward, randn(*shape), randn(*weight), peers=("jax", "tinygrad") if name.startswith("ResNet 3x3 64") else ("jax",),
       flops=work, **LOOSE, **best)
    task("conv", f"conv2d {name}, with gradients", with_gradients(forward, shape, weight), flops=3 * work, rtol=1e-3, atol=0.1,
         heavy="224" in name, **weak)


def channels_last(t):
    x, w = (t.randn(*s).to(memory_format=t.channels_last) for s in ((16, 64, 32, 32), (64, 64, 3, 3)))
    return lambda: t.nn.functional.conv2d(x, w, padding=1)


def channels_last_jax(m):
    import jax
    x, w = m.ones((16, 32, 32, 64)), m.ones((3, 3, 64, 64))
    run = jax.jit(lambda x, w: jax.lax.conv_general_dilated(x, w, (1, 1), [(1, 1)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")))
    return lambda: run(x, w)


task("conv", "conv2d ResNet 3x3 64->64, 16x64x32x32 channels_last", channels_last, {"jax": channels_last_jax}, flops=2 * 16 * 64 * 64 * 9 * 1024, wants=1.1, **LOOSE)
op("conv", "conv1d 5 64->64, 16x64x256", lambda m, x, w: m.nn.functional.conv1d(x, w, padding=2), randn(16, 64, 256), randn(64, 64, 5),
   peers=("jax",), flops=2 * 16 * 64 * 64 * 5 * 256, **LOOSE)
op("conv", "conv3d 3 16->16, 2x16x16x32x32", lambda m, x, w: m.nn.functional.conv3d(x, w, padding=1), randn(2, 16, 16, 32, 32), randn(16, 16, 3, 3, 3),
   peers=("jax",), flops=2 * 2 * 16 * 16 * 27 * 16 * 1024, **LOOSE)
op("conv", "conv_transpose2d 4/2 64->32, 8x64x16x16", lambda m, x, w: m.nn.functional.conv_transpose2d(x, w, stride=2, padding=1),
   randn(8, 64, 16, 16), randn(64, 32, 4, 4), peers=("jax",), flops=2 * 8 * 64 * 32 * 16 * 256, **LOOSE)
