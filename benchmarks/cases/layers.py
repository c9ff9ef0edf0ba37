"""Norms, softmax and losses, attention, recurrent layers."""
from .._case import TORCHLIKE, jax_compiled, op, randn, task
from . import _jax_models as jax_of
from .tensors import with_gradients

LOOSE = {"rtol": 1e-3, "atol": 1e-3}
S = 32 * 128 * 256

op("norms", "softmax over dim 1, 1000x1000", lambda m, x: m.softmax(x, 1), randn(1000, 1000), peers=TORCHLIKE, nbytes=8e6)
op("norms", "log_softmax over dim 1, 1000x1000", lambda m, x: m.log_softmax(x, 1), randn(1000, 1000), peers=TORCHLIKE, nbytes=8e6)
op("norms", "softmax over dim 1, 32x10", lambda m, x: m.softmax(x, 1), randn(32, 10), peers=TORCHLIKE)
op("norms", "layer_norm, 4096x256", lambda m, x, w, b: m.nn.functional.layer_norm(x, (256,), w, b), randn(4096, 256), randn(256), randn(256), peers=TORCHLIKE,
   nbytes=8 * 4096 * 256)
task("norms", "layer_norm with gradients, 4096x256",
     with_gradients(lambda t, x, w, b: t.nn.functional.layer_norm(x, (256,), w, b), (4096, 256), (256,), (256,)), nbytes=24 * 4096 * 256, rtol=1e-3, atol=1e-2)
op("norms", "group_norm 8, 16x64x32x32", lambda m, x: m.nn.functional.group_norm(x, 8), randn(16, 64, 32, 32), peers=("jax",), nbytes=8 * 2 ** 20)
op("norms", "rms_norm, 4096x256", lambda m, x, w: m.nn.functional.rms_norm(x, (256,), w), randn(4096, 256), randn(256), peers=("jax", "mlx"), nbytes=8 * 4096 * 256)


def evaluated(t):
    layer, x = t.nn.BatchNorm2d(64).eval(), t.randn(16, 64, 32, 32)
    return lambda: layer(x).detach()


def evaluated_jax(m):
    import jax
    run, x = jax.jit(lambda x, *p: jax_of.evaluated_norm(m, dict(zip(("mean", "var", "w", "b"), p)), x)), m.ones((16, 64, 32, 32))
    parameters = m.zeros((64, 1, 1)), *[m.ones((64, 1, 1))] * 3
    return lambda: run(x, *parameters)


task("norms", "BatchNorm2d in eval mode, 16x64x32x32", evaluated, {"jax": evaluated_jax}, nbytes=8 * 2 ** 20)
task("norms", "softmax with gradient, 1000x1000", with_gradients(lambda t, x: t.softmax(x, 1), (1000, 1000)), nbytes=20e6)


def cross_entropy(rows, classes):
    def make(t):
        x, y = t.randn(rows, classes, requires_grad=True), t.randint(0, classes, (rows,))
        loss, grad = t.nn.functional.cross_entropy, t.autograd.grad
        return lambda: grad(loss(x, y), (x,))

    def forward(m, x):
        return m.nn.functional.cross_entropy(x, m.arange(rows) % classes)
    make.others = {"jax": jax_compiled(forward, (rows, classes))}
    return make


task("norms", "cross_entropy with gradient, 256x1000", cross_entropy(256, 1000), nbytes=16 * 256000)
task("norms", "cross_entropy with gradient, 32x10", cross_entropy(32, 10))


def attention(shape, causal=False, mask=False, gradients=False):
    def make(t):
        leaves = [t.randn(*shape, requires_grad=gradients) for _ in range(3)]
        length, one, grad = shape[-2], t.ones(*shape), t.autograd.grad
        bias = t.randn(length, length) if mask else None
        dot = t.nn.functional.scaled_dot_product_attention
        if gradients:
            return lambda: grad(dot(*leaves, attn_mask=bias, is_causal=causal), leaves, one)
        return lambda: dot(*leaves, attn_mask=bias, is_causal=causal)

    def forward(m, q, k, v):
        bias = m.zeros((shape[-2], shape[-2])) if mask else None
        return m.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=causal)
    make.others = {"jax": jax_compiled(forward, shape, shape, shape, gradients=gradients)}
    return make


def work(b, h, n, d):
    return 4 * b * h * n * n * d


task("attention", "attention 8x4x128x32", attention((8, 4, 128, 32)), flops=work(8, 4, 128, 32), **LOOSE)
task("attention", "attention causal 8x4x128x32", attention((8, 4, 128, 32), causal=True), flops=work(8, 4, 128, 32) / 2, **LOOSE)
task("attention", "attention causal with gradients 8x4x128x32", attention((8, 4, 128, 32), causal=True, gradients=True),
     flops=3.5 * work(8, 4, 128, 32) / 2, **LOOSE)
task("attention", "attention causal 1x8x1024x64", attention((1, 8, 1024, 64), causal=True), flops=work(1, 8, 1024, 64) / 2, **LOOSE)
task("attention", "attention with gradients 1x8x512x64", attention((1, 8, 512, 64), gradients=True), flops=3.5 * work(1, 8, 512, 64), **LOOSE)
task("attention", "attention causal with gradients 1x4x4096x64", attention((1, 4, 4096, 64), causal=True, gradients=True),
     flops=3.5 * work(1, 4, 4096, 64) / 2, heavy=True, **LOOSE)
task("attention", "attention with mask 4x8x256x64", attention((4, 8, 256, 64), mask=True), flops=work(4, 8, 256, 64), **LOOSE)


def multihead(t):
    layer, x = t.nn.MultiheadAttention(128, 4, batch_first=True), t.randn(8, 64, 128)
    return lambda: layer(x, x, x, need_weights=False)[0]


def encoder(t):
    layer, x = t.nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True), t.randn(8, 64, 128)
    return lambda: layer(x)


task("attention", "MultiheadAttention 128, 8x64", multihead, {"jax": jax_of.inference(jax_of.multihead(128, 4), (8, 64, 128))}, **LOOSE)
task("attention", "TransformerEncoderLayer 128, 8x64", encoder, {"jax": jax_of.inference(jax_of.encoder(128, 4, 512), (8, 64, 128))}, **LOOSE)


def recurrent(kind, gradients, steps=50, batch=32, size=256):
    def make(t):
        layer, x = getattr(t.nn, kind)(size, size), t.randn(steps, batch, size)
        if not gradients:
            def run():
                with t.no_grad():
                    return layer(x)[0]
            return run
        weights, grad = list(layer.parameters()), t.autograd.grad
        return lambda: grad(layer(x)[0].sum(), weights)
    make.others = {"jax": (jax_of.gradients if gradients else jax_of.inference)(jax_of.recurrent(kind, size, size), (batch, steps, size))}
    return make


for kind, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
    flops = 2 * 2 * 50 * 32 * gates * 256 * 256
    task("recurrent", f"{kind} 256, 50 steps, batch 32", recurrent(kind, False), flops=flops, wants=1.6 if gates > 1 else 0.95, **LOOSE)
    task("recurrent", f"{kind} 256 with gradients, 50 steps, batch 32", recurrent(kind, True), flops=3 * flops, rtol=1e-3, atol=0.5,
         wants=1.6 if gates > 1 else 0.95)
    task("recurrent", f"{kind} 200 with gradients, 35 steps, batch 20", recurrent(kind, True, 35, 20, 200), rtol=1e-3, atol=0.5,
         flops=6 * 2 * 35 * 20 * gates * 200 * 200, wants=1.6 if gates > 1 else 0.95)


def cell(t):
    layer, x, state = t.nn.LSTMCell(64, 64), t.randn(1, 64), (t.zeros(1, 64), t.zeros(1, 64))

    def run():
        with t.no_grad():
            return layer(x, state)
    return run


task("recurrent", "LSTMCell 64, batch 1", cell, **LOOSE)
