"""Hooks of modules and tensors, custom autograd functions, graph tools."""
from collections import OrderedDict

import torch
import torch.nn as nn

torch.manual_seed(0)
model = nn.Sequential(OrderedDict([("fc1", nn.Linear(4, 6)), ("act", nn.ReLU()), ("drop", nn.Identity()), ("fc2", nn.Linear(6, 2))]))
log, features = [], {}
h1 = model.fc1.register_forward_hook(lambda m, i, o: log.append(("forward", type(m).__name__, tuple(i[0].shape), tuple(o.shape))))
h2 = model.fc2.register_forward_pre_hook(lambda m, a: (a[0] * 2,))
h3 = model.fc2.register_full_backward_hook(lambda m, gi, go: log.append(("backward", [None if g is None else tuple(g.shape) for g in gi], [tuple(g.shape) for g in go])))
h4 = model.act.register_forward_hook(lambda m, i, o: features.__setitem__("act", o.detach()))
h5 = model.fc1.register_full_backward_pre_hook(lambda m, go: log.append(("pre", len(go))))
h6 = model.register_forward_hook(lambda m, a, kw, o: log.append(("kw", sorted(kw))) or o, with_kwargs=True)
x = torch.arange(12.0).view(3, 4).requires_grad_()
out = model(x)
out.sum().backward()
print(log, features["act"].shape, x.grad.shape)
for h in (h1, h2, h3, h4, h5, h6):
    h.remove()
log.clear()
model(x)
print(log, len(model.fc1._forward_hooks))


class Clamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, lo, hi):
        ctx.save_for_backward(x)
        ctx.lo, ctx.hi = lo, hi
        return x.clamp(lo, hi)

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        print("needs", ctx.needs_input_grad, g.shape)
        return g * ((x >= ctx.lo) & (x <= ctx.hi)), None, None


class Split(torch.autograd.Function):
    @staticmethod
    def forward(x, k):
        return x * k, x.detach().argmax()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.k = inputs[1]
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, g, _):
        return (None if g is None else g * ctx.k), None


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return (x > 0).float()

    @staticmethod
    def backward(ctx, g):
        return nn.functional.hardtanh(g)


v = torch.tensor([-2.0, 0.5, 3.0], requires_grad=True)
c = Clamp.apply(v, -1, 1)
print(c, c.grad_fn.name(), c.requires_grad)
c.sum().backward()
print(v.grad)
a, b = Split.apply(v, 3.0)
print(a, b, b.requires_grad)
a.backward(torch.ones(3))
print(v.grad)
v.grad = None
StraightThrough.apply(v).mul(5).sum().backward()
print(v.grad)
v.grad.zero_()
seen = []
w = v * 2
w.retain_grad()
handle = w.register_hook(lambda g: seen.append(g.clone()) or g * 10)
v.register_post_accumulate_grad_hook(lambda p: seen.append(("acc", p.grad.clone())))
w.sum().backward()
print(seen, w.grad, v.grad)
handle.remove()
print(w.is_leaf, v.is_leaf, w.grad_fn.name(), w.grad_fn.next_functions[0][0].name())
gx, = torch.autograd.grad((v ** 3).sum(), v, create_graph=True)
gxx, = torch.autograd.grad(gx.sum(), v)
print(gx, gxx)
try:
    y = v.exp()
    y.add_(1)
    y.sum().backward()
except RuntimeError as e:
    print("RuntimeError", str(e)[:90])
try:
    z = (v * v).sum()
    z.backward()
    z.backward()
except RuntimeError as e:
    print("RuntimeError", str(e)[:80])
try:
    v.add_(1)
except RuntimeError as e:
    print("RuntimeError", e)
try:
    torch.autograd.grad(v.sum(), torch.ones(1, requires_grad=True))
except RuntimeError as e:
    print("RuntimeError", str(e)[:80])
print(torch.autograd.grad(v.sum(), torch.ones(1, requires_grad=True), allow_unused=True))
print(torch.autograd.functional.jacobian(lambda t: t ** 2, torch.tensor([1.0, 2.0])), torch.autograd.functional.hessian(lambda t: (t ** 3).sum(), torch.tensor([1.0, 2.0])))
with torch.autograd.set_detect_anomaly(True):
    try:
        torch.sqrt(torch.tensor([-1.0], requires_grad=True)).sum().backward()
    except RuntimeError as e:
        print(str(e)[:60])
with torch.autograd.graph.saved_tensors_hooks(lambda t: ("packed", t.detach()), lambda p: p[1]):
    q = (v.detach().requires_grad_() ** 2).sum()
print(q.grad_fn._saved_self.shape if hasattr(q.grad_fn, "_saved_self") else "none", torch.is_grad_enabled())


@torch.no_grad()
def freeze(m):
    for p in m.parameters():
        p.requires_grad_(False)
    return torch.is_grad_enabled()


print(freeze(model), all(not p.requires_grad for p in model.parameters()))
with torch.no_grad():
    with torch.enable_grad():
        print((v * 2).requires_grad)
with torch.set_grad_enabled(False):
    print((v * 2).requires_grad)
