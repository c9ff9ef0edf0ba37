"""What graph drawers and inference code look at: classes of nodes, inference tensors, operators between Parameters and other classes."""
import copy
import io

import torch
import torch.fx
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call, grad, vmap


def walk(node, depth=0):
    if node is not None and depth < 5:
        print(" " * depth + type(node).__name__, repr(node).split(" ")[0], hasattr(node, "variable"))
        for parent, _ in node.next_functions:
            walk(parent, depth + 1)


torch.manual_seed(0)
a = torch.ones(3, requires_grad=True)
walk(((a[0] * a).relu().sum() / 2 + a.mean() - a.exp().log_softmax(0)[1] * torch.cat([a, a]).norm()).grad_fn)
w = torch.zeros(3) + a * 0
w[0] = a[1]
print(type(w.grad_fn).__name__, type(w.grad_fn) is type((w * 1).grad_fn.next_functions[0][0]))


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        positive = x > 0
        ctx.mark_non_differentiable(positive)
        return x * 2, positive

    @staticmethod
    def backward(ctx, g, gp):
        print(gp.dtype, gp.shape)
        return g * 2


y, positive = Twice.apply(a)
print(type(y.grad_fn).__name__, repr(y.grad_fn).split(" ")[0], positive.requires_grad)
y.sum().backward()



class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx, g):
        return 2 * g


try:
    Doubled.apply(a)
except RuntimeError as e:
    print(str(e)[:30])
print(Doubled.apply(a.clone()).grad_fn.next_functions[0][0].name())

with torch.inference_mode():
    s = torch.ones(3)
for write in (lambda: s.mul_(2), lambda: s.zero_(), lambda: s.__setitem__(0, 1.0), lambda: s.copy_(torch.ones(3)), lambda: s.view(3).add_(1), lambda: s.detach().mul_(2),
              lambda: s.data.mul_(2), lambda: torch.add(s, s, out=s), lambda: s._version, lambda: s.clone().mul_(2)):
    try:
        print("wrote", tuple(write().shape))
    except RuntimeError as e:
        print(str(e)[:60])

torch.manual_seed(2)
m = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
params = dict(m.named_parameters())
optimizer = torch.optim.Adam(m.parameters(), 1e-2)


def loss_of(p, x, y):
    return F.mse_loss(functional_call(m, p, (x,)), y)


def adapted(x, y, xq, yq):
    g = grad(loss_of)(params, x, y)
    return loss_of({k: v - 0.1 * g[k] for k, v in params.items()}, xq, yq)


for step in range(3):
    x = torch.rand(5, 10, 1) * 4 - 2
    y = (torch.rand(5, 1, 1) * 4 + 1) * x.sin()
    loss = vmap(adapted)(x[:, :5], y[:, :5], x[:, 5:], y[:, 5:]).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
p = nn.Parameter(torch.ones(3))
for f in (lambda b: p * b, lambda b: p / b, lambda b: p > b, lambda b: p @ b, lambda b: p**b, lambda b: b - p, lambda b: (p > 0) & (b > 0)):
    print(vmap(f)(torch.arange(1.0, 7).view(2, 3)).detach())
print(functional_call(m[0], {"weight": torch.ones(16, 1), "elsewhere": torch.ones(1)}, (torch.ones(1, 1),)).shape, hasattr(m[0], "elsewhere"))

# a batch-first encoder in training draws its dropout in the same order; padding comes out as zeros in evaluation
for batch_first in (True, False):
    torch.manual_seed(1)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, 0.1, batch_first=batch_first), 2)
    x = torch.randn(4, 9, 16) if batch_first else torch.randn(9, 4, 16)
    padding = torch.arange(9)[None] >= torch.tensor([9, 7, 5, 3])[:, None]
    print(encoder(x, src_key_padding_mask=padding).square().sum(0).sum(0))
    encoder.eval()
    with torch.no_grad():
        print(encoder(x, src_key_padding_mask=padding).abs().sum(-1))
        print(encoder.layers[0].self_attn(x, x, x, need_weights=True)[0].shape)

top = torch.arange(5.0).topk(2)
print(type(top)(tuple(v + 1 for v in top)), torch.fx.Interpreter(torch.fx.symbolic_trace(lambda v: torch.topk(v, 2).values)).run(torch.arange(5.0)))

orthogonal = nn.utils.parametrizations.orthogonal(nn.Linear(4, 3))
print(orthogonal.parametrizations.weight[0].base, orthogonal.weight)
print(nn.utils.parametrizations.orthogonal(nn.Linear(3, 5), use_trivialization=False).weight)
for content in (b"", b"garbage", b"PK\x03\x04abc"):
    try:
        torch.load(io.BytesIO(content))
    except Exception as e:
        print("!", *[c.__name__ for c in type(e).__mro__])
adj = torch.eye(20).to_sparse() * 0.25
print(adj)
print(adj.to_sparse_csr())
for n in (lambda b: torch.nn.functional.ctc_loss(torch.zeros(5, 2, 4).log_softmax(2), b, torch.tensor([5, 5]), torch.tensor([2, 2])),):
    print(n(torch.tensor([[1.0, 2], [3, 1]])), n(torch.tensor([[1, 2], [3, 1]])))
frozen = torch.jit.freeze(torch.jit.script(copy.deepcopy(m).eval()))
print(frozen(torch.ones(1, 1)).requires_grad, torch.func.functionalize(lambda t: t.clone().add_(1))(torch.ones(2)))

# programs put methods into Tensor
torch.Tensor.plus_41 = lambda self: self + 41
print(torch.ones(1).plus_41(), nn.Parameter(torch.ones(1)).plus_41().detach(), hasattr(torch.Tensor, "plus_41"))
del torch.Tensor.plus_41
print(hasattr(torch.ones(1), "plus_41"))
add, text = torch.Tensor.__add__, torch.Tensor.__repr__
torch.Tensor.__add__ = lambda self, other: add(self, other) * 2
torch.Tensor.__repr__ = lambda self: f"<{tuple(self.shape)}>"
print(torch.ones(1) + 1, (torch.ones(1) + 1).item(), repr(torch.ones(2, 3)))
torch.Tensor.__add__, torch.Tensor.__repr__ = add, text
print(torch.ones(1) + 1, 1 + torch.ones(1), torch.ones(2))
sine = torch.Tensor.sin
torch.Tensor.sin = lambda self: sine(self) + 1
print(torch.zeros(1).sin(), torch.sin(torch.zeros(1)))
torch.Tensor.sin = sine
print(torch.zeros(1).sin())
