"""Checks of DTensor and of tensor parallel layers: operators, gradients and training as on one process."""
import copy
import itertools
import random
import warnings

import _checks
import rustorch_py as torch
import rustorch_py.distributed as dist
import rustorch_py.nn.functional as F
from rustorch_py import nn, optim
from rustorch_py.distributed.device_mesh import init_device_mesh
from rustorch_py.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_module, distribute_tensor
from rustorch_py.distributed.tensor import experimental, full, ones, rand, randn, zeros
from rustorch_py.distributed.tensor.parallel import (ColwiseParallel, PrepareModuleInput, PrepareModuleInputOutput, PrepareModuleOutput, RowwiseParallel,
                                                     SequenceParallel, loss_parallel, parallelize_module)

R, N = dist.get_rank(), dist.get_world_size()
LINE = init_device_mesh("cpu", (N,), mesh_dim_names=("tp",))
MESHES = [LINE] + ([init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))] if N == 4 else [init_device_mesh("cpu", (N, 1))])


def close(got, expected, tight=1e-10):
    if isinstance(got, DTensor):
        got = got.full_tensor()
    torch.testing.assert_close(got.detach(), expected.detach(), rtol=tight, atol=tight)


def r(*shape):
    return torch.randn(shape, dtype=torch.float64)


def ways(mesh, shape):
    return itertools.product([Replicate(), *(Shard(d) for d in range(len(shape)))], repeat=mesh.ndim)


def whole_and_back():
    for mesh in MESHES:
        for shape in ((7, 5), (2, 3, 4), (1,), (0, 3), ()):
            x = r(*shape)
            for a in ways(mesh, shape):
                d = distribute_tensor(x, mesh, a)
                assert d.shape == x.shape and d.placements == a and d.device_mesh == mesh
                close(d, x, 0)
                close(distribute_tensor(x, mesh, a, src_data_rank=None), x, 0)


def every_redistribution_and_its_gradient():
    for mesh in MESHES:
        x, g = r(5, 6), r(5, 6)
        all_ways = list(ways(mesh, x.shape))
        picks = list(itertools.product(all_ways, all_ways))
        for a, b in picks if mesh.ndim == 1 else random.Random(0).sample(picks, 40):
            d = distribute_tensor(x.clone().requires_grad_(), mesh, a)
            e = d.redistribute(placements=b)
            assert e.placements == b
            close(e, x, 0)
            e.backward(distribute_tensor(g, mesh, [Replicate()] * mesh.ndim))
            assert d.grad.placements == a
            close(d.grad, g, 0)
    for how, expected in (("sum", N * (N + 1) / 2), ("avg", (N + 1) / 2), ("max", N), ("min", 1)):
        term = torch.full((4, 3), float(R + 1), requires_grad=how in ("sum", "avg"))
        for b in (Replicate(), Shard(0), Shard(1)):
            d = DTensor.from_local(term, LINE, [Partial(how)])
            assert d.placements == (Partial(how),) and d.shape == (4, 3)
            close(d.redistribute(placements=[b]), torch.full((4, 3), float(expected)), 1e-6)
    term = torch.full((4, 3), 2.0, requires_grad=True)
    DTensor.from_local(term, LINE, [Partial()]).redistribute(placements=[Shard(0)]).sum().backward()
    close(term.grad, torch.ones(4, 3))
    whole = torch.ones(3, requires_grad=True)
    d = DTensor.from_local(whole, LINE).redistribute(placements=[Partial()])
    close(d, whole)


FUNCTIONS = {
    "add": (lambda a, b: a + b, (6, 5), (6, 5)),
    "broadcast": (lambda a, b: a * b + 1 - a / 2, (6, 5), (1, 5)),
    "mm": (lambda a, b: a @ b, (6, 4), (4, 5)),
    "bmm": (lambda a, b: torch.bmm(a, b), (4, 3, 4), (4, 4, 5)),
    "matmul": (lambda a, b: torch.matmul(a, b), (2, 4, 3, 4), (4, 5)),
    "linear": (lambda a, b: F.linear(a, b), (6, 4), (5, 4)),
    "linear3": (lambda a, b: F.linear(a, b.t(), b.sum(0)), (2, 6, 4), (4, 5)),
    "addmm": (lambda a, b: torch.addmm(a[:, :1], a, b, alpha=2), (6, 4), (4, 5)),
    "mixed": (lambda a, b: (F.gelu(a) @ b).tanh().sum(1), (6, 4), (4, 5)),
    "mse": (lambda a, b: F.mse_loss(a, b), (6, 4), (6, 4)),
    "softmax": (lambda a, b: F.softmax(a, -1) * F.log_softmax(b, 0), (6, 4), (6, 4)),
    "norms": (lambda a, b: F.layer_norm(a, (4,), b[0], b[1]) + F.rms_norm(a, (4,), b[2]), (6, 4), (6, 4)),
    "views": (lambda a, b: a.view(2, 3, 4).transpose(0, 1).reshape(6, 4) * b.T.unsqueeze(0).flatten(1).view(4, 6).t(), (6, 4), (6, 4)),
    "join": (lambda a, b: torch.cat([a, b], 1).chunk(2, 1)[0] + torch.stack([a, b])[1], (6, 4), (6, 4)),
    "partial": (lambda a, b: (a @ b) @ (a @ b).t() + (a @ b).sum() + (a @ b).mean(0), (6, 4), (4, 6)),
    "einsum": (lambda a, b: torch.einsum("ij,kj->ki", a, b), (6, 4), (5, 4)),
    "index": (lambda a, b: a[:, 1:3] + b[None, :, 0:2][0] + a[0, 0] + a[[0, 2]].sum(), (6, 4), (6, 4)),
    "reduce": (lambda a, b: a.amax(1) + b.max(0).values.sum() + a.var(1) + b.norm() + a.logsumexp(0).sum(), (6, 4), (6, 4)),
    "expand": (lambda a, b: a[:, None].expand(6, 3, 4).mean((0, 1)) + b.sum(0, keepdim=True).expand(6, 4), (6, 4), (6, 4)),
    "attention": (lambda a, b: F.scaled_dot_product_attention(a, b, b, is_causal=True), (2, 4, 5, 3), (2, 4, 5, 3)),
    "select": (lambda a, b: torch.where(a > b, a, b * 2).clamp(min=-1).masked_fill(a < 0, 0.5), (6, 4), (6, 4)),
}


def check_functions(meshes, functions, values=1e-10, gradients=1e-10, idle=False):
    """Functions of tensors, (fn, *shapes) by name, give DTensors the values and gradients of one process. idle: some operands may get no gradient."""
    for mesh, (name, (fn, *shapes)) in itertools.product(meshes, functions.items()):
        tensors = [r(*s) for s in shapes]
        picks = list(itertools.product(*(ways(mesh, s) for s in shapes)))
        for pick in random.Random(len(name)).sample(picks, min(len(picks), 5)):
            alone = [t.clone().requires_grad_() for t in tensors]
            spread = [distribute_tensor(t.clone().requires_grad_(), mesh, p) for t, p in zip(tensors, pick)]
            expected, got = fn(*alone), fn(*spread)
            assert got.shape == expected.shape, (name, pick, got.shape)
            close(got, expected, values)
            g = r(*expected.shape)
            expected.backward(g)
            got.backward(distribute_tensor(g, mesh, [Replicate()] * mesh.ndim))
            for a, d in zip(alone, spread):
                assert (d.grad is None) == (a.grad is None), (name, pick)
                if idle and a.grad is None:
                    continue
                assert d.grad.placements == d.placements, (name, pick)
                close(d.grad, a.grad, gradients)


def operators_and_gradients():
    check_functions(MESHES, FUNCTIONS)


def cheap_ways_are_taken():
    a, b = (distribute_tensor(r(8, 8), LINE, [p]) for p in (Shard(0), Replicate()))
    assert (a + a).placements == (Shard(0),) and (a @ b).placements == (Shard(0),) and a.t().placements == (Shard(1),)
    assert (a.t() @ a).placements == (Partial(),) and a.sum(0).placements == (Partial(),) and a.sum(1).placements == (Shard(0),)
    assert a.view(64).placements == ((Shard(0),) if 8 % N == 0 else (Replicate(),)) and (a.sum(0) * 2).placements == (Partial(),)
    assert a.sum(0).relu().placements == (Replicate(),)


def embeddings_and_losses():
    at, weight, target = torch.randint(0, 7, (4, 6)), r(7, 4), torch.tensor([1, 6, -100, 0, 3, 2, 2, 5])
    for mesh in MESHES:
        for pi, pw in random.Random(1).sample(list(itertools.product(ways(mesh, at.shape), ways(mesh, weight.shape))), 9 if mesh.ndim == 1 else 12):
            a, d = weight.clone().requires_grad_(), distribute_tensor(weight.clone().requires_grad_(), mesh, pw)
            for padding in (None, 5):
                expected, got = F.embedding(at, a, padding), F.embedding(distribute_tensor(at, mesh, pi), d, padding)
                close(got, expected)
                (expected * 2).sum().backward()
                (got * 2).sum().backward()
                close(d.grad, a.grad)
        logits = r(8, 7)
        for p in ways(mesh, logits.shape):
            for options in ({}, {"reduction": "sum"}, {"reduction": "none"}, {"weight": torch.arange(7.0).double()}, {"label_smoothing": 0.2}):
                for parallel in (False, True):
                    if parallel and len(options) - ("reduction" in options):
                        continue
                    a, d = logits.clone().requires_grad_(), distribute_tensor(logits.clone().requires_grad_(), mesh, p)
                    t = distribute_tensor(target, mesh, [Replicate()] * mesh.ndim)
                    expected = F.cross_entropy(a, target, **options)
                    with loss_parallel() if parallel else experimental.implicit_replication():
                        got = F.cross_entropy(d, t, **options)
                    close(got, expected)
                    expected.sum().backward()
                    got.sum().backward()
                    close(d.grad, a.grad)


def local_tensors_and_the_graph():
    x = torch.full((2, 3), float(R), requires_grad=True)
    d = DTensor.from_local(x, LINE, [Shard(0)])
    assert d.shape == (2 * N, 3) and not d.is_leaf and d.requires_grad
    (d * 2).to_local().sum().backward()
    close(x.grad, torch.full((2, 3), 2.0))
    w = distribute_tensor(torch.ones(3, requires_grad=True), LINE)
    (w.to_local(grad_placements=[Partial()]) * (R + 1)).sum().backward()
    close(w.grad, torch.full((3,), N * (N + 1) / 2))
    seen = []
    w.register_hook(lambda g: seen.append(type(g)) or g * 2)
    w.grad = None
    (w * w).sum().backward()
    close(w.grad, torch.full((3,), 4.0))
    assert seen == [DTensor] and w.grad is w.grad
    (g,) = torch.autograd.grad((w ** 3).sum(), [w], create_graph=False)
    close(g, torch.full((3,), 6.0))
    uneven = DTensor.from_local(torch.ones(2 if R == 0 else 1, 3) if N > 1 else torch.ones(N + 1, 3), LINE, [Shard(0)], shape=(N + 1, 3)) if N < 3 else None
    if uneven is not None:
        assert uneven.sum().item() == 3 * (N + 1)
    v = distribute_tensor(r(4, 3).requires_grad_(), LINE, [Shard(0)])
    (first,) = torch.autograd.grad((v ** 3).sum(), [v], create_graph=True)
    (first ** 2).sum().backward()
    close(v.grad, (36 * v.detach() ** 3).full_tensor())
    c = copy.deepcopy(v)
    assert c.placements == v.placements and c.requires_grad and c._local_tensor is not v._local_tensor
    assert "Shard(dim=0)" in repr(v) and repr(v).startswith("DTensor(local_tensor=tensor(")


def random_numbers_are_those_of_one_process():
    for p in (Replicate(), Shard(0), Shard(1)):
        torch.manual_seed(3)
        expected = [nn.init.kaiming_uniform_(torch.empty(5, 6)), F.dropout(torch.ones(5, 6), 0.4), torch.randn(5, 6), torch.randn_like(torch.ones(5, 6))]
        torch.manual_seed(3)
        got = [nn.init.kaiming_uniform_(zeros(5, 6, device_mesh=LINE, placements=[p])), F.dropout(ones(5, 6, device_mesh=LINE, placements=[p]), 0.4),
               randn(5, 6, device_mesh=LINE, placements=[p]), torch.randn_like(full((5, 6), 1.0, device_mesh=LINE, placements=[p]))]
        for g, e in zip(got, expected):
            close(g, e, 0)
    assert rand((2, 3), device_mesh=LINE).shape == (2, 3)


def in_place_and_optimizers():
    d = distribute_tensor(torch.arange(12.0).view(4, 3), LINE, [Shard(0)])
    d += 1
    d.mul_(distribute_tensor(torch.arange(3.0), LINE, [Shard(0)])).clamp_(max=20).add_(d, alpha=1)
    close(d, (2 * ((torch.arange(12.0).view(4, 3) + 1) * torch.arange(3.0)).clamp(max=20)))
    d.zero_()
    assert d.sum().item() == 0
    x = r(6, 4)
    for make, options in ((optim.Adam, {"lr": 0.1, "weight_decay": 0.1}), (optim.SGD, {"lr": 0.1}), (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
                          (optim.AdamW, {"lr": 0.1, "amsgrad": True}), (optim.RMSprop, {"lr": 0.01}), (optim.Adagrad, {"lr": 0.1})):
        for p in (Shard(0), Shard(1), Replicate()):
            a = nn.Parameter(x.clone())
            d = nn.Parameter(distribute_tensor(x, LINE, [p]))
            assert isinstance(d, nn.Parameter) and isinstance(d, DTensor) and d.requires_grad
            opts = [make([t], **options) for t in (a, d)]
            for _ in range(4):
                for t, o in zip((a, d), opts):
                    o.zero_grad()
                    (t ** 2).sum().backward()
                    total = nn.utils.clip_grad_norm_([t], 3.0)
                    o.step()
            close(d, a)
            close(total, nn.utils.get_total_norm([a.grad]) if float(total) <= 3 else total, 1e-6)
            state = opts[1].state_dict()["state"]
            assert all(isinstance(v, DTensor) and v.placements == (p,) for s in state.values() for k, v in s.items() if k != "step" and v is not None)
            again = make([nn.Parameter(distribute_tensor(x, LINE, [p]))], **options)
            again.load_state_dict(opts[1].state_dict())


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(6, 12), nn.Linear(12, 6)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))


class Attention(nn.Module):
    """Heads are counted from the projections' width, so that a rank's share of heads is enough."""

    def __init__(self, width, size):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.size = size

    def forward(self, x):
        b, s, _ = x.shape
        q, k, v = (f(x).view(b, s, -1, self.size).transpose(1, 2) for f in (self.q, self.k, self.v))
        return self.o(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, s, -1))


class Block(nn.Module):
    def __init__(self, width, size):
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(width), Attention(width, size), nn.RMSNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.down(F.silu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, width=24, size=2, words=13, depth=2):
        super().__init__()
        self.embed, self.blocks = nn.Embedding(words, width), nn.ModuleList(Block(width, size) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words)

    def forward(self, x):
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def gpt():
    torch.manual_seed(1)
    return GPT().double()


PLAN = {"embed": RowwiseParallel(input_layouts=Replicate()), "blocks.*.attn.q": ColwiseParallel(), "blocks.*.attn.k": ColwiseParallel(),
        "blocks.*.attn.v": ColwiseParallel(), "blocks.*.attn.o": RowwiseParallel(), "blocks.*.up": ColwiseParallel(), "blocks.*.down": RowwiseParallel(),
        "head": ColwiseParallel(output_layouts=Replicate())}
SEQUENCE = {"embed": RowwiseParallel(input_layouts=Replicate(), output_layouts=Shard(1), use_local_output=False),
            "blocks.*.norm1": SequenceParallel(), "blocks.*.norm2": SequenceParallel(), "norm": SequenceParallel(),
            "blocks.*.attn": PrepareModuleInput(input_layouts=(Shard(1),), desired_input_layouts=(Replicate(),)),
            "blocks.*.attn.q": ColwiseParallel(), "blocks.*.attn.k": ColwiseParallel(), "blocks.*.attn.v": ColwiseParallel(),
            "blocks.*.attn.o": RowwiseParallel(output_layouts=Shard(1), use_local_output=False),
            "blocks.*.up": ColwiseParallel(input_layouts=Shard(1)), "blocks.*.down": RowwiseParallel(output_layouts=Shard(1), use_local_output=False),
            "head": ColwiseParallel(input_layouts=Shard(1), output_layouts=Shard(-1), use_local_output=False)}


def words(step):
    g = torch.Generator().manual_seed(step)
    return torch.randint(0, 13, (3, 12), generator=g)


def curve(model, steps=6, parallel=False):
    optimizer, out = optim.AdamW(model.parameters(), 0.01), []
    for i in range(steps):
        x = words(i)
        optimizer.zero_grad()
        logits = model(x)
        t = x.roll(-1, 1).flatten()
        if parallel:
            with loss_parallel():
                loss = F.cross_entropy(logits.flatten(0, 1), distribute_tensor(t, LINE))
                loss.backward()
        else:
            loss = F.cross_entropy(logits.flatten(0, 1), t)
            loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        out.append(float(loss))
    return out


def same_state(model, alone):
    expected = alone.state_dict()
    state = model.state_dict()
    assert list(state) == list(expected)
    for key, value in expected.items():
        close(state[key], value, 1e-8)


def parallel_layers_train_as_one_process():
    alone = gpt()
    expected = curve(alone)
    model = parallelize_module(gpt(), LINE, PLAN)
    assert model.blocks[0].up.weight.placements == (Shard(0),) and model.blocks[0].up.weight._local_tensor.numel() <= -(-96 // N) * 24
    got = curve(model)
    assert all(abs(a - b) < 1e-9 for a, b in zip(got, expected)), (got, expected)
    same_state(model, alone)
    torch.manual_seed(0)
    one = MLP().double()
    two = parallelize_module(copy.deepcopy(one), LINE, {"up": ColwiseParallel(), "down": RowwiseParallel()})
    x = r(5, 6)
    for m in (one, two):
        m(x).square().sum().backward()
    for p, q in zip(one.parameters(), two.parameters()):
        close(q.grad, p.grad)


def sequence_parallel_trains_as_one_process():
    alone = gpt()
    expected = curve(alone)
    got = curve(parallelize_module(gpt(), LINE, SEQUENCE), parallel=True)
    assert all(abs(a - b) < 1e-9 for a, b in zip(got, expected)), (got, expected)


def module_helpers():
    class Pair(nn.Module):
        def forward(self, a, b, *, c=None):
            return a * 2, b + (0 if c is None else c)
    x = r(N, 3)
    style = PrepareModuleInput(input_layouts=(Shard(0), None), desired_input_layouts=(Replicate(), None), input_kwarg_layouts={"c": Replicate()},
                               desired_input_kwarg_layouts={"c": Replicate()}, use_local_output=True)
    m = parallelize_module(Pair(), LINE, style)
    got, other = m(x[R:R + 1], 5, c=x)
    close(got, x * 2)
    close(other, x + 5)
    m = parallelize_module(Pair(), LINE, PrepareModuleOutput(output_layouts=(Shard(0), None), desired_output_layouts=(Replicate(), None)))
    close(m(x[R:R + 1], 5)[0], x * 2)
    m = parallelize_module(nn.Identity(), LINE, PrepareModuleInputOutput(input_layouts=Shard(0), desired_input_layouts=Replicate(), output_layouts=Replicate(),
                                                                         desired_output_layouts=Shard(0)))
    close(m(x[R:R + 1]), x[R:R + 1])
    d = distribute_module(nn.BatchNorm1d(3), LINE)
    assert all(isinstance(t, DTensor) and t.placements == (Replicate(),) for t in [*d.parameters(), *d.buffers()])
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        parallelize_module(MLP(), LINE, {"nowhere.*": ColwiseParallel()})
    assert "could not be resolved" in str(heard[0].message)
    model = parallelize_module(MLP().double(), LINE, {"up": ColwiseParallel(), "down": RowwiseParallel()})
    other = parallelize_module(MLP().double(), LINE, {"up": ColwiseParallel(), "down": RowwiseParallel()})
    other.load_state_dict(model.state_dict())
    same_state(other, parallel_free(model))
    assert next(model.float().parameters()).dtype is torch.float32


def parallel_free(model):
    plain = MLP().double()
    plain.load_state_dict({k: v.full_tensor() for k, v in model.state_dict().items()})
    return plain


def functions_of_local_parts():
    x, w = r(4 * N, 3), r(3, 5)
    alone = [t.clone().requires_grad_() for t in (x, w)]
    spread = [distribute_tensor(t.clone().requires_grad_(), LINE, [p]) for t, p in ((x, Shard(0)), (w, Replicate()))]
    mapped = experimental.local_map(lambda a, b: (a @ b, 7), ([Shard(0)], None), ([Shard(0)], [Replicate()]), (None, [Partial()]))
    got, seven = mapped(*spread)
    expected = alone[0] @ alone[1]
    assert seven == 7 and mapped(*alone)[0].shape == expected.shape
    close(got, expected)
    got.square().sum().backward()
    expected.square().sum().backward()
    for a, d in zip(alone, spread):
        close(d.grad, a.grad)
    if N > 1:
        _checks.raises(ValueError, mapped, spread[0], distribute_tensor(w, LINE, [Shard(0)]), match="redistribute_inputs")
    moved = experimental.local_map(torch.mm, [Shard(0)], ([Shard(0)], [Replicate()]), redistribute_inputs=True)
    close(moved(spread[0], distribute_tensor(w, LINE, [Shard(0)])), x @ w)


def errors_name_operator_and_placements():
    d = distribute_tensor(r(4, 4), LINE, [Shard(0)])
    _checks.raises(NotImplementedError, torch.fft.fft2, d, match=r"fft_fftn.*\(4, 4\) as \(S\(0\)\)")
    _checks.raises(RuntimeError, lambda: d + r(4, 4), match="got mixed torch.Tensor and DTensor")
    _checks.raises(NotImplementedError, lambda: d.add_(distribute_tensor(r(4, 4), LINE, [Shard(0)]).sum(0), out=d), match="out")
    _checks.raises(NotImplementedError, d.sum(0).exp_, match=r"exp_.*P\(sum\)" if N > 1 else "exp_")
    _checks.raises(ValueError, distribute_tensor, r(4), LINE, [Shard(0), Shard(0)], match="same length")
    _checks.raises(ValueError, distribute_tensor, r(4), LINE, [Shard(1)], match="has 1 dimensions")
    _checks.raises(RuntimeError, d.backward, match="scalar")
    _checks.raises(NotImplementedError, parallelize_module, nn.ReLU(), LINE, ColwiseParallel(), match="only support nn.Linear")
    _checks.raises(TypeError, Shard, "0", match="expected an int")
    _checks.raises(ValueError, Partial, "mean", match="reduce_op")
    _checks.raises(RuntimeError, d.redistribute, None, [Partial()], match="internal use")


CHECKS = [whole_and_back, every_redistribution_and_its_gradient, operators_and_gradients, cheap_ways_are_taken, embeddings_and_losses,
          local_tensors_and_the_graph, random_numbers_are_those_of_one_process, in_place_and_optimizers, parallel_layers_train_as_one_process,
          sequence_parallel_trains_as_one_process, module_helpers, functions_of_local_parts,
          errors_name_operator_and_placements]
