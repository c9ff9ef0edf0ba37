"""Gradients that are sparse tensors (embeddings, bags, gather) beside PyTorch's: layout, places, values, sums, hooks, optimizers, refusals."""
import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402


def table(T, **options):
    rows = T.arange(12., dtype=T.float64).reshape(6, 2) / 7
    return T.nn.Embedding(6, 2, sparse=True, _weight=rows, **options)


def indices(T):
    return T.tensor([[1, 2], [1, 5]])


def bag(T, mode, **options):
    return T.nn.EmbeddingBag(6, 2, sparse=True, mode=mode, _weight=T.arange(12., dtype=T.float64).reshape(6, 2) / 7, **options)


def parts(x):
    """Everything about a gradient that can be compared."""
    if x is None or not hasattr(x, "layout"):
        return x
    if not x.is_sparse:
        return str(x.dtype).rpartition(".")[2], tuple(x.shape), np.asarray(x.detach().tolist())
    return (str(x.dtype).rpartition(".")[2], tuple(x.shape), x._indices().tolist(), np.asarray(x._values().detach().tolist()).reshape(tuple(x._values().shape)),
            x.is_coalesced(), x.requires_grad)


def same(ours, theirs):
    if isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs)
        for o, t in zip(ours, theirs):
            same(o, t)
    elif isinstance(theirs, np.ndarray):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    else:
        assert ours == theirs


def hooked(T):
    e, seen = table(T), []
    e.weight.register_hook(lambda g: seen.append(parts(g)) or g * 2)
    (e(indices(T)) ** 2).sum().backward()
    return seen, parts(e.weight.grad)


def custom(T):
    class Pass(T.autograd.Function):
        @staticmethod
        def forward(ctx, w):
            return w.clone()

        @staticmethod
        def backward(ctx, g):
            seen.append(parts(g))
            return g * 3

    seen, w = [], T.ones(4, 2, dtype=T.float64, requires_grad=True)
    T.nn.functional.embedding(indices(T) % 4, Pass.apply(w), sparse=True).sum().backward()
    return seen, parts(w.grad)


def twice(T, first, second):
    e = table(T)
    for fn in (first, second):
        fn(e).backward()
    return parts(e.weight.grad)


def later(T):
    """Gradients of gradients flow through the values."""
    e = table(T)
    g, = T.autograd.grad((e(indices(T)) ** 3).sum(), e.weight, create_graph=True)
    again, = T.autograd.grad(g.to_dense().pow(2).sum(), e.weight)
    return parts(g), parts(again.to_dense())


def gathered(T, shape, dim, index):
    x = T.arange(12., dtype=T.float64)[:max(1, int(np.prod(shape)))].reshape(shape).requires_grad_()
    out = T.gather(x, dim, T.tensor(index), sparse_grad=True)
    (out * 2).sum().backward()
    return parts(x.grad)


def scaled(T):
    scaler, e = T.amp.GradScaler("cpu", init_scale=8.), table(T)
    optimizer = T.optim.SGD(e.parameters(), lr=.1)
    scaler.scale((e(indices(T)) ** 2).sum()).backward()
    scaler.unscale_(optimizer)
    found = parts(e.weight.grad)
    scaler.step(optimizer)
    return found, parts(e.weight)


PROGRAMS = {
    "embedding": lambda T: twice(T, lambda e: e(indices(T)).sum(), lambda e: (e(indices(T)) ** 2).sum()),
    "other places": lambda T: twice(T, lambda e: e(indices(T)).sum(), lambda e: e(T.tensor([4, 0, 5])).sum()),
    "dense then sparse": lambda T: twice(T, lambda e: (e.weight ** 2).sum(), lambda e: e(indices(T)).sum()),
    "sparse then dense": lambda T: twice(T, lambda e: e(indices(T)).sum(), lambda e: (e.weight ** 2).sum()),
    "both at once": lambda T: twice(T, lambda e: (e.weight ** 2).sum() + e(indices(T)).sum(), lambda e: e(indices(T)).sum() + (e.weight ** 2).sum()),
    "two uses": lambda T: twice(T, lambda e: e(indices(T)).sum() + (e(indices(T)) * 3).sum(), lambda e: e(indices(T)[0]).sum()),
    "0-dim index": lambda T: twice(T, lambda e: e(T.tensor(3)).sum(), lambda e: e(T.tensor(3)).sum()),
    "nothing": lambda T: twice(T, lambda e: e(T.tensor([], dtype=T.int64)).sum(), lambda e: e(T.tensor([], dtype=T.int64)).sum()),
    "float16": lambda T: parts((lambda w: (T.nn.functional.embedding(indices(T) % 4, w, sparse=True).sum().backward(), w.grad)[1])(
        T.ones(4, 2, dtype=T.float16, requires_grad=True))),
    "bag float32": lambda T: parts((lambda b: (b(T.tensor([[1, 2], [3, 1]])).sum().backward(), b.weight.grad)[1])(bag(T, "mean").float())),
    "padding": lambda T: parts((lambda e: (e(indices(T)).sum().backward(), e.weight.grad)[1])(table(T, padding_idx=1))),
    "all padding": lambda T: parts((lambda e: (e(indices(T)[0][:1]).sum().backward(), e.weight.grad)[1])(table(T, padding_idx=1))),
    "hooks": hooked, "custom function": custom, "second gradients": later,
    "copied": lambda T: parts((lambda m: (m[0](indices(T)).sum().backward(), copy.deepcopy(m)[0].weight.grad)[1])(T.nn.Sequential(table(T)))),
    "zero_grad": lambda T: parts((lambda e: (e(indices(T)).sum().backward(), T.optim.SGD(e.parameters(), lr=.1).zero_grad(set_to_none=False), e.weight.grad)[2])(table(T))),
    "assigned": lambda T: parts((lambda e: (e(indices(T)).sum().backward(), setattr(e.weight, "grad", e.weight.grad.coalesce()), e.weight.grad)[2])(table(T))),
    "scaler": scaled,
    "gather 0": lambda T: gathered(T, (3, 4), 0, [[0, 2, 0], [0, 1, 1]]), "gather 1": lambda T: gathered(T, (3, 4), -1, [[0, 2, 0], [0, 1, 3]]),
    "gather 3-d": lambda T: gathered(T, (2, 3, 2), 1, [[[0, 2]], [[1, 1]]]), "gather vector": lambda T: gathered(T, (5,), 0, [4, 4, 1]),
    "gather 0-dim": lambda T: gathered(T, (), 0, [0]), "gather 0-dim index": lambda T: gathered(T, (5,), 0, 3),
    **{f"bag {mode} {options}": lambda T, mode=mode, options=options: parts((lambda b: (
        (b(T.tensor([1, 2, 1, 4]), T.tensor([0, 3, 4] if options.get("include_last_offset") else [0, 3])) ** 2).sum().backward(), b.weight.grad)[1])(bag(T, mode, **options)))
       for mode in ("sum", "mean") for options in ({}, {"padding_idx": 1}, {"include_last_offset": True})},
    "bag weights": lambda T: parts((lambda b: (b(T.tensor([[1, 2], [1, 4]]), None, T.tensor([[1., 2], [3, 4]], dtype=T.float64)).sum().backward(), b.weight.grad)[1])(bag(T, "sum"))),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    same(PROGRAMS[name](rt), PROGRAMS[name](torch))


OPTIMIZERS = {
    "SGD": {}, "SGD momentum": dict(momentum=.9), "SGD dampened": dict(momentum=.9, dampening=.1), "SGD nesterov": dict(momentum=.9, nesterov=True),
    "SGD maximize": dict(maximize=True), "SGD foreach": dict(foreach=False), "Adagrad": {}, "Adagrad options": dict(lr_decay=.1, initial_accumulator_value=.5, eps=1e-3),
    "Adagrad maximize": dict(maximize=True), "SparseAdam": {}, "SparseAdam maximize": dict(maximize=True, betas=(.5, .9)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    results = []
    for T in (torch, rt):
        e = table(T)
        optimizer = getattr(T.optim, name.split()[0])(e.parameters(), lr=.1, **OPTIMIZERS[name])
        for rows in ([[1, 2], [1, 5]], [[0, 1], [2, 2]], [[5, 0], [1, 5]]):
            optimizer.zero_grad()
            (e(T.tensor(rows)) ** 2).sum().backward()
            optimizer.step()
        state = {k: parts(v) if hasattr(v, "layout") else v for k, v in optimizer.state[e.weight].items() if k != "step"}
        results.append([parts(e.weight), sorted(state), [state[k] for k in sorted(state)]])
    same(results[1], results[0])


def step_of(T, name, **options):
    e = table(T)
    optimizer = getattr(T.optim, name)(e.parameters(), **options)
    e(indices(T)).sum().backward()
    optimizer.step()


def dense_step(T):
    p = T.ones(3, requires_grad=True)
    p.sum().backward()
    T.optim.SparseAdam([p]).step()


REFUSALS = {
    **{name: lambda T, name=name: step_of(T, name) for name in ("Adam", "AdamW", "Adadelta", "RMSprop", "NAdam", "RAdam", "Adamax", "ASGD", "Rprop", "Adafactor")},
    "SGD decay": lambda T: step_of(T, "SGD", weight_decay=.1), "Adagrad decay": lambda T: step_of(T, "Adagrad", weight_decay=.1),
    "SparseAdam dense": dense_step,
    "frequency": lambda T: table(T, scale_grad_by_freq=True)(indices(T)).sum().backward(),
    "max bag": lambda T: bag(T, "max")(T.tensor([[1, 2]])),
    "copy_": lambda T: T.zeros(6, 2).copy_(T.zeros(6, 2).to_sparse()),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    with pytest.raises(Exception) as theirs:
        REFUSALS[name](torch)
    with pytest.raises(type(theirs.value)) as ours:
        REFUSALS[name](rt)
    if name != "copy_":
        assert str(ours.value) == str(theirs.value)
