"""PyTorch's names for what JAX, MLX and tinygrad call otherwise: the namespace that a row's function is given."""
from types import SimpleNamespace


class Face:
    """A module with further functions; `nn.functional` is the face itself."""

    def __init__(self, module, **functions):
        self._module = module
        self.__dict__.update(functions)
        self.nn = SimpleNamespace(functional=self)

    def __getattr__(self, name):
        return getattr(self._module, name)


def jax_face():
    """jax.numpy with the functions of jax.nn, jax.lax and jax.scipy."""
    import jax
    import jax.numpy as jnp
    from jax import lax, nn

    def pair(n):
        return (n, n) if isinstance(n, int) else n

    def conv(dims):
        def run(x, w, stride=1, padding=0, dilation=1, groups=1):
            return lax.conv_general_dilated(x, w, (stride,) * dims, [(padding, padding)] * dims, rhs_dilation=(dilation,) * dims, feature_group_count=groups)
        return run

    def conv_transpose2d(x, w, stride, padding):
        edges = [(n - 1 - padding,) * 2 for n in w.shape[2:]]
        return lax.conv_transpose(x, w, (stride, stride), edges, dimension_numbers=("NCHW", "OIHW", "NCHW"), transpose_kernel=True)

    def pool(start, join):
        def run(x, size):
            window = (1, 1, *pair(size))
            return lax.reduce_window(x, start, join, window, window, "VALID")
        return run

    def normalize(x, axes, eps):
        return (x - x.mean(axes, keepdims=True)) * lax.rsqrt(x.var(axes, keepdims=True) + eps)

    def layer_norm(x, shape, w=1, b=0, eps=1e-5):
        return normalize(x, tuple(range(-len(shape), 0)), eps) * w + b

    def rms_norm(x, shape, w=1, eps=1.2e-7):
        return x * lax.rsqrt((x * x).mean(tuple(range(-len(shape), 0)), keepdims=True) + eps) * w

    def group_norm(x, groups, eps=1e-5):
        return normalize(x.reshape(x.shape[0], groups, -1), -1, eps).reshape(x.shape)

    def batch_norm(x, mean, var, w, b, training, eps=1e-5):
        return normalize(x, (0, 2, 3), eps) * w[:, None, None] + b[:, None, None]

    def attention(q, k, v, attn_mask=None, is_causal=False):
        q, k, v = (a.swapaxes(1, 2) for a in (q, k, v))              # heads before places: PyTorch's order
        return nn.dot_product_attention(q, k, v, attn_mask, is_causal=is_causal).swapaxes(1, 2)

    def cross_entropy(x, y):
        return -jnp.take_along_axis(nn.log_softmax(x), y[:, None], 1).mean()

    return Face(jnp, relu=nn.relu, sigmoid=nn.sigmoid, softmax=nn.softmax, log_softmax=nn.log_softmax, erf=lax.erf, silu=nn.silu,
                logsumexp=jax.scipy.special.logsumexp, cat=jnp.concatenate, gelu=lambda x: nn.gelu(x, approximate=False),
                sort_pairs=lambda x: lax.sort_key_val(x, lax.broadcasted_iota("int32", x.shape, x.ndim - 1)), top_k=lax.top_k,
                linear=lambda x, w, b: x @ w.T + b, conv1d=conv(1), conv2d=conv(2), conv3d=conv(3), conv_transpose2d=conv_transpose2d,
                max_pool2d=pool(-jnp.inf, lax.max),
                avg_pool2d=lambda x, size: pool(0.0, lax.add)(x, size) / (size * size), layer_norm=layer_norm, rms_norm=rms_norm, group_norm=group_norm,
                batch_norm=batch_norm, embedding=lambda i, x: x[i], scaled_dot_product_attention=attention, cross_entropy=cross_entropy)


def mlx_face():
    """mlx.core with functions of mlx.nn and mlx.core.fast."""
    import mlx.core as mx
    from mlx import nn

    def attention(q, k, v, attn_mask=None, is_causal=False):
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=q.shape[-1] ** -0.5, mask="causal" if is_causal else attn_mask)

    return Face(mx, relu=nn.relu, silu=nn.silu, gelu=nn.gelu, log_softmax=nn.log_softmax, cat=mx.concatenate, linear=lambda x, w, b: mx.addmm(b, x, w.T),
                layer_norm=lambda x, shape, w, b: mx.fast.layer_norm(x, w, b, 1e-5), rms_norm=lambda x, shape, w: mx.fast.rms_norm(x, w, 1.2e-7),
                embedding=lambda i, x: x[i], scaled_dot_product_attention=attention)


class TensorMethods:
    """tinygrad's Tensor has the functions as methods."""

    def __init__(self):
        self.nn = SimpleNamespace(functional=self)

    def __getattr__(self, name):
        return lambda x, *arguments, **options: getattr(x, name)(*arguments, **options)

    def linear(self, x, w, b):
        return x.linear(w.transpose(), b)

    def layer_norm(self, x, shape, w, b):
        return x.layernorm(tuple(range(-len(shape), 0)), 1e-5) * w + b

    def conv2d(self, x, w, **options):
        return x.conv2d(w, **options)

    conv1d = conv3d = conv2d
