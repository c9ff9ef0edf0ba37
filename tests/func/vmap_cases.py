"""Calls that vmap makes in one go: (name, function of (T, F, tensors), shapes of one example's tensors).

T and F are the package and its nn.functional, ours or PyTorch's. A shape ends in a letter for other data than normal
float64: ``i`` int64 in 0..2, ``b`` bool, ``p`` positive, ``m`` symmetric positive definite.
"""

CASES = [
    ("add", lambda T, F, x, y: x + y, "3,4 4"),
    ("add rank", lambda T, F, x, y: y + x, "3,4 -"),
    ("sub scalar", lambda T, F, x: 2 - x, "3"),
    ("rtruediv", lambda T, F, x: 1 / x, "3p"),
    ("pow", lambda T, F, x, y: x ** y, "3p 2,3"),
    ("rpow", lambda T, F, x: 2 ** x, "3"),
    ("compare", lambda T, F, x, y: (x < y) & (x != 0.5), "3,4 4"),
    ("invert", lambda T, F, x: ~x, "4b"),
    ("where", lambda T, F, c, x, y: T.where(c, x, y), "3,4b 4 -"),
    ("clamp", lambda T, F, x: x.clamp(-0.5, 0.5), "3,4"),
    ("lerp", lambda T, F, x, y: T.lerp(x, y, 0.3), "3 3"),
    ("addcmul", lambda T, F, x, y, z: T.addcmul(x, y, z, value=0.5), "3 2,3 3"),
    ("exp", lambda T, F, x: T.exp(x), "-"),
    ("in-place", lambda T, F, x, y: x.clone().add_(y).mul_(2), "3,4 4"),
    ("iadd", lambda T, F, x, y: _iadd(x, y), "3,4 -"),
    ("sum", lambda T, F, x: x.sum(), "3,4"),
    ("sum dim", lambda T, F, x: x.sum(-1, keepdim=True), "3,4"),
    ("sum dims", lambda T, F, x: T.sum(x, (0, 2)), "2,3,4"),
    ("sum 0-d", lambda T, F, x: x.sum(), "-"),
    ("mean", lambda T, F, x: x.mean(0), "3,4"),
    ("mean all", lambda T, F, x: T.mean(x), "3,4"),
    ("std", lambda T, F, x: T.std(x, 1), "3,4"),
    ("std unbiased", lambda T, F, x: x.std(unbiased=False), "3,4"),
    ("var correction", lambda T, F, x: x.var(dim=0, correction=0), "3,4"),
    ("var_mean", lambda T, F, x: T.var_mean(x, 1)[1], "3,4"),
    ("prod", lambda T, F, x: x.prod(), "3,4"),
    ("prod dim", lambda T, F, x: x.prod(1), "3,4"),
    ("max", lambda T, F, x: x.max(), "3,4"),
    ("max dim", lambda T, F, x: x.max(1), "3,4"),
    ("min other", lambda T, F, x, y: T.min(x, y), "3,4 4"),
    ("argmax", lambda T, F, x: x.argmax(), "3,4"),
    ("argmin dim", lambda T, F, x: x.argmin(0), "3,4"),
    ("amax", lambda T, F, x: x.amax((0, 1)), "3,4"),
    ("any", lambda T, F, x: x.any(), "3,4b"),
    ("all dim", lambda T, F, x: x.all(1), "3,4b"),
    ("logsumexp", lambda T, F, x: x.logsumexp(0), "3,4"),
    ("median", lambda T, F, x: x.median(), "5"),
    ("norm", lambda T, F, x: x.norm(), "3,4"),
    ("norm dim", lambda T, F, x: x.norm(dim=1), "3,4"),
    ("linalg.norm", lambda T, F, x: T.linalg.norm(x), "3,4"),
    ("vector_norm", lambda T, F, x: T.linalg.vector_norm(x, dim=0), "3,4"),
    ("normalize", lambda T, F, x: F.normalize(x, dim=0), "3,4"),
    ("cosine_similarity", lambda T, F, x, y: F.cosine_similarity(x, y, dim=0), "4 4"),
    ("cumsum", lambda T, F, x: x.cumsum(1), "3,4"),
    ("cummax", lambda T, F, x: x.cummax(0), "4"),
    ("softmax", lambda T, F, x: T.softmax(x, -1), "3,4"),
    ("softmax 0-d", lambda T, F, x: T.softmax(x, 0), "-"),
    ("log_softmax", lambda T, F, x: F.log_softmax(x, dim=0), "3,4"),
    ("sort", lambda T, F, x: x.sort(0), "4"),
    ("sort descending", lambda T, F, x: T.sort(x, descending=True), "3,4"),
    ("argsort", lambda T, F, x: x.argsort(), "4"),
    ("topk", lambda T, F, x: x.topk(2), "5"),
    ("diff", lambda T, F, x: x.diff(), "5"),
    ("trace", lambda T, F, x: x.trace(), "3,3"),
    ("transpose", lambda T, F, x: x.transpose(0, -1), "2,3,4"),
    ("T", lambda T, F, x: x.T, "3,4"),
    ("mT", lambda T, F, x: x.mT, "2,3,4"),
    ("t", lambda T, F, x: x.t(), "3,4"),
    ("permute", lambda T, F, x: x.permute(2, 0, 1), "2,3,4"),
    ("movedim", lambda T, F, x: x.movedim(0, -1), "2,3,4"),
    ("view", lambda T, F, x: x.view(-1), "3,4"),
    ("view sizes", lambda T, F, x: x.view(2, -1, 2), "3,4"),
    ("reshape", lambda T, F, x: x.t().reshape(6, 2), "3,4"),
    ("flatten", lambda T, F, x: x.flatten(1), "2,3,4"),
    ("unflatten", lambda T, F, x: x.unflatten(0, (2, -1)), "4,3"),
    ("squeeze", lambda T, F, x: x.squeeze(), "1,3,1"),
    ("squeeze dim", lambda T, F, x: x.squeeze(-1), "1,3,1"),
    ("unsqueeze", lambda T, F, x: x.unsqueeze(-1), "3"),
    ("expand", lambda T, F, x: x.expand(2, 3, -1), "4"),
    ("repeat", lambda T, F, x: x.repeat(2, 3), "4"),
    ("chunk", lambda T, F, x: x.chunk(2, -1), "3,4"),
    ("split", lambda T, F, x: x.split([1, 3], dim=1), "3,4"),
    ("unbind", lambda T, F, x: x.unbind(1), "3,2"),
    ("narrow", lambda T, F, x: x.narrow(0, 1, 2), "3,4"),
    ("select", lambda T, F, x: x.select(1, 2), "3,4"),
    ("diagonal", lambda T, F, x: x.diagonal(), "3,4"),
    ("diag_embed", lambda T, F, x: T.diag_embed(x), "3"),
    ("diag", lambda T, F, x: T.diag(x), "3"),
    ("tril", lambda T, F, x: x.tril(-1), "3,4"),
    ("flip", lambda T, F, x: x.flip(0), "3,4"),
    ("roll", lambda T, F, x: x.roll(1, 1), "3,4"),
    ("cat", lambda T, F, x, y: T.cat([x, y], 0), "2,3 1,3"),
    ("stack", lambda T, F, x, y: T.stack([x, y], -1), "3 3"),
    ("index int", lambda T, F, x: x[1], "3,4"),
    ("index slices", lambda T, F, x: x[..., 1:3, None], "3,4"),
    ("index tensor", lambda T, F, x: x[T.tensor([0, 2, 1])], "3,4"),
    ("index separated", lambda T, F, x: x[T.tensor([0, 1]), :, T.tensor([1, 2])], "3,4,5"),
    ("index second", lambda T, F, x: x[:, T.tensor([1, 3])], "3,4"),
    ("index batched", lambda T, F, x, i: x[i], "3,4 5i"),
    ("index batched second", lambda T, F, x, i: x[:, i], "4,3 2i"),
    ("index batched two", lambda T, F, x, i, j: x[i, j], "3,3 4i 4i"),
    ("index mask", lambda T, F, x: x[T.tensor([True, False, True])], "3,4"),
    ("set int", lambda T, F, x, y: _set(x, 1, y), "3,4 4"),
    ("set number", lambda T, F, x: _set(x, (slice(None), 0), 7.), "3,4"),
    ("set tensor", lambda T, F, x, y: _set(x, T.tensor([2, 0]), y), "3,4 2,4"),
    ("set batched", lambda T, F, x, i, y: _set(x, i, y), "3,4 -i 4"),
    ("gather", lambda T, F, x, i: x.gather(0, i), "3,4 2,4i"),
    ("scatter", lambda T, F, x, i, y: x.scatter(0, i, y), "3,4 1,4i 1,4"),
    ("scatter_add", lambda T, F, x, i, y: x.scatter_add(1, i, y), "2,3 2,5i 2,5"),
    ("index_select", lambda T, F, x: x.index_select(1, T.tensor([0, 3])), "3,4"),
    ("index_add", lambda T, F, x, y: x.index_add(0, T.tensor([0, 2]), y), "3,4 2,4"),
    ("take_along_dim", lambda T, F, x, i: T.take_along_dim(x, i, 0), "3,4 1,4i"),
    ("masked_fill", lambda T, F, x, m: x.masked_fill(m, 0.5), "3,4 4b"),
    ("embedding", lambda T, F, w, i: F.embedding(i, w), "3,4 2,2i"),
    ("matmul 2 2", lambda T, F, x, y: x @ y, "3,4 4,2"),
    ("matmul 1 1", lambda T, F, x, y: x @ y, "4 4"),
    ("matmul 1 2", lambda T, F, x, y: x @ y, "4 4,2"),
    ("matmul 2 1", lambda T, F, x, y: T.matmul(x, y), "3,4 4"),
    ("matmul 3 2", lambda T, F, x, y: x @ y, "2,3,4 4,2"),
    ("matmul 1 3", lambda T, F, x, y: x @ y, "4 2,4,3"),
    ("mm", lambda T, F, x, y: T.mm(x, y), "3,4 4,2"),
    ("bmm", lambda T, F, x, y: T.bmm(x, y), "2,3,4 2,4,2"),
    ("mv", lambda T, F, x, y: x.mv(y), "3,4 4"),
    ("dot", lambda T, F, x, y: T.dot(x, y), "4 4"),
    ("outer", lambda T, F, x, y: T.outer(x, y), "3 4"),
    ("addmm", lambda T, F, c, x, y: T.addmm(c, x, y, beta=0.5, alpha=2), "2 3,4 4,2"),
    ("einsum", lambda T, F, x, y: T.einsum("ij,jk->ik", x, y), "3,4 4,2"),
    ("tensordot", lambda T, F, x, y: T.tensordot(x, y, 1), "3,4 4,2"),
    ("linear", lambda T, F, x, w, b: F.linear(x, w, b), "3,4 5,4 5"),
    ("linear 1-d", lambda T, F, x, w: F.linear(x, w), "4 5,4"),
    ("conv1d", lambda T, F, x, w, b: F.conv1d(x, w, b, padding=1), "2,4,8 6,4,3 6"),
    ("conv2d", lambda T, F, x, w, b: F.conv2d(x, w, b, stride=2), "2,4,6,6 6,4,3,3 6"),
    ("conv2d groups", lambda T, F, x, w: F.conv2d(x, w, groups=2), "2,4,6,6 6,2,3,3"),
    ("conv2d one", lambda T, F, x, w: F.conv2d(x, w), "4,6,6 2,4,3,3"),
    ("conv_transpose2d", lambda T, F, x, w, b: F.conv_transpose2d(x, w, b, stride=2), "2,4,3,3 4,5,2,2 5"),
    ("max_pool2d", lambda T, F, x: F.max_pool2d(x, 2), "2,3,4,4"),
    ("max_pool2d one", lambda T, F, x: F.max_pool2d(x, 2), "3,4,4"),
    ("avg_pool2d", lambda T, F, x: F.avg_pool2d(x, 2), "2,3,4,4"),
    ("adaptive_avg_pool2d", lambda T, F, x: F.adaptive_avg_pool2d(x, 1), "2,3,4,4"),
    ("interpolate", lambda T, F, x: F.interpolate(x, scale_factor=2), "2,3,4,4"),
    ("pad", lambda T, F, x: F.pad(x, (1, 2)), "3,4"),
    ("layer_norm", lambda T, F, x, w, b: F.layer_norm(x, (4,), w, b), "3,4 4 4"),
    ("group_norm", lambda T, F, x, w, b: F.group_norm(x, 2, w, b), "2,4,3 4 4"),
    ("batch_norm", lambda T, F, x, w, b: F.batch_norm(x, None, None, w, b, training=True), "5,4,3 4 4"),
    ("batch_norm eval", lambda T, F, x, m, v: F.batch_norm(x, m, v), "5,4,3 4 4p"),
    ("instance_norm", lambda T, F, x: F.instance_norm(x), "2,4,3"),
    ("attention", lambda T, F, q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), "2,3,4 2,3,4 2,3,4"),
    ("relu", lambda T, F, x: F.relu(x), "3,4"),
    ("gelu", lambda T, F, x: F.gelu(x, approximate="tanh"), "3,4"),
    ("leaky_relu", lambda T, F, x: F.leaky_relu(x, 0.1), "3,4"),
    ("silu", lambda T, F, x: F.silu(x), "3,4"),
    ("softplus", lambda T, F, x: F.softplus(x), "3,4"),
    ("glu", lambda T, F, x: F.glu(x), "3,4"),
    ("mse_loss", lambda T, F, x, y: F.mse_loss(x, y), "3,4 3,4"),
    ("l1_loss", lambda T, F, x, y: F.l1_loss(x, y, reduction="sum"), "3,4 3,4"),
    ("smooth_l1_loss", lambda T, F, x, y: F.smooth_l1_loss(x, y), "3,4 3,4"),
    ("huber_loss", lambda T, F, x, y: F.huber_loss(x, y, reduction="none"), "3,4 3,4"),
    ("bce_with_logits", lambda T, F, x, y: F.binary_cross_entropy_with_logits(x, y), "3,4 3,4p"),
    ("kl_div", lambda T, F, x, y: F.kl_div(x, y, reduction="batchmean"), "3,4 3,4p"),
    ("cross_entropy", lambda T, F, x, y: F.cross_entropy(x, y), "4,3 4i"),
    ("cross_entropy one", lambda T, F, x, y: F.cross_entropy(x, y), "3 -i"),
    ("cross_entropy sum", lambda T, F, x, y: F.cross_entropy(x, y, reduction="sum", label_smoothing=0.1), "4,3 4i"),
    ("nll_loss", lambda T, F, x, y: F.nll_loss(F.log_softmax(x, 1), y), "4,3 4i"),
    ("inv", lambda T, F, x: T.linalg.inv(x), "3,3m"),
    ("det", lambda T, F, x: T.det(x), "3,3m"),
    ("cholesky", lambda T, F, x: T.linalg.cholesky(x), "3,3m"),
    ("solve", lambda T, F, x, y: T.linalg.solve(x, y), "3,3m 3"),
    ("eigvalsh", lambda T, F, x: T.linalg.eigvalsh(x), "3,3m"),
    ("to", lambda T, F, x: x.to(T.float32).double(), "3"),
    ("new_zeros", lambda T, F, x: _set(x.new_zeros(5), slice(1, 4), x), "3"),
    ("zeros_like", lambda T, F, x: T.zeros_like(x) + x, "3"),
    ("shape", lambda T, F, x: x.sum() * x.shape[0] + x.dim() + x.numel() + len(x) + x.size(-1), "3,4"),
    ("iterate", lambda T, F, x: sum(row * i for i, row in enumerate(x)), "3,4"),
    ("constant", lambda T, F, x: T.ones(2), "3"),
]


def _iadd(x, y):
    x = x * 1
    x += y
    return x


def _set(x, key, value):
    x = x.clone()
    x[key] = value
    return x


def tensors(T, text, batch=3, seed=0):
    """Stacked tensors of a case, the batch in front; values are the same whatever the package."""
    import numpy as np

    rng = np.random.default_rng(seed)
    out = []
    for item in text.split():
        kind = item[-1] if item[-1].isalpha() else ""
        item = item[:len(item) - len(kind)]
        shape = (batch,) + (() if item == "-" else tuple(int(n) for n in item.split(",")))
        a = rng.standard_normal(shape)
        if kind == "i":
            a = rng.integers(0, 3, shape)
        elif kind == "b":
            a = a > 0
        elif kind == "p":
            a = abs(a) + 0.1
        elif kind == "m":
            a = a @ a.swapaxes(-1, -2) + np.eye(shape[-1])
        out.append(T.tensor(a.tolist(), dtype=T.int64 if kind == "i" else T.bool if kind == "b" else T.float64))
    return out
