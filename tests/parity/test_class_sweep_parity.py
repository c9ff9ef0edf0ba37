"""What a sweep over PyTorch's classes found: traced parameters, whole modules in PyTorch's files, nested containers, lazy layers, custom functions, whole derivatives."""
import collections
import importlib
import inspect
import io
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402

BOTH = (torch, rt)


def part(m, name):
    return importlib.import_module(f"{m.__name__}.{name}")


# ---- tracing ----
def scaled_module(m):
    class Scaled(m.nn.Module):
        def __init__(self):
            super().__init__()
            self.l, self.p, self.q = m.nn.Linear(2, 3), m.nn.Parameter(m.ones(3) * 2), m.nn.Parameter(m.ones(3) * 3)
            self.register_buffer("b", m.ones(3))

        def forward(self, x):
            return self.l(x) * (self.p * self.q) + self.b + self.p.shape[0] + self.p.t()
    return Scaled()


def test_parameters_are_values_of_a_traced_program():
    codes = []
    for m in BOTH:
        mod = scaled_module(m)
        slot = m.nn.Module.__getattribute__
        traced = part(m, "fx").symbolic_trace(mod)
        assert m.nn.Module.__getattribute__ is slot
        codes.append([(n.op, str(n.target).replace("<built-in function ", "").replace(">", "")) for n in traced.graph.nodes])
        out = traced(m.ones(1, 2))
        assert m.allclose(out, mod(m.ones(1, 2)))
        out.sum().backward()
        assert traced.p.grad is not None and traced.q.grad.abs().sum() > 0 and not any("constant" in k for k in dict(traced.named_buffers()))
    assert codes[0] == codes[1]


def test_shapes_of_traced_parameters_may_be_numbers():
    for m in BOTH:
        fx = part(m, "fx")
        graph = fx.Tracer(param_shapes_constant=True).trace(scaled_module(m))
        assert sum(n.op == "call_function" and n.target is getattr for n in graph.nodes) == 0


# ---- files ----
def modules(m):
    nn = m.nn
    return [nn.Linear(2, 2), nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Dropout(.1)), nn.LSTM(2, 3, 2), nn.Embedding(3, 2),
            nn.MultiheadAttention(4, 2), nn.TransformerEncoderLayer(4, 2), nn.ModuleList([nn.Linear(1, 1)]), nn.ModuleDict({"a": nn.GELU()}), nn.ParameterList([m.ones(1)]),
            nn.CrossEntropyLoss(weight=m.ones(3)), nn.LayerNorm(3), nn.Upsample(scale_factor=2), nn.MaxPool2d(2), nn.LazyLinear(3),
            m.optim.SGD([nn.Parameter(m.ones(1))], lr=.1, momentum=.9), m.distributions.Normal(m.zeros(2), m.ones(2))]


@pytest.mark.parametrize("place", range(16))
def test_whole_objects_in_pytorchs_files(place):
    theirs, mine = modules(torch)[place], modules(rt)[place]
    box = io.BytesIO()
    torch.save(theirs, box)
    box.seek(0)
    found = rt.load(box, weights_only=False)
    assert type(found) is type(mine)
    if isinstance(found, rt.nn.Module) and "Lazy" not in type(found).__name__:
        for (name, a), (other, b) in zip(found.state_dict().items(), theirs.state_dict().items()):
            assert name == other
            np.testing.assert_array_equal(a.numpy(), b.detach().numpy())
        found.train().eval().to(rt.float64)
    else:
        assert repr(found).replace("rustorch_py", "torch") == repr(theirs)


def tensors(m):
    c = m.tensor([1 + 2j, 3 - 1j])
    return [m.eye(3).to_sparse(), m.eye(3).to_sparse_csr(), m.eye(3).to_sparse_csc(), {"a": m.ones(2, 2).to_sparse()}, c.conj(), c.conj().imag, m.nn.Buffer(m.ones(1)), m.strided]


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("safe", [True, False])
def test_kinds_of_tensors_in_pytorchs_files(place, safe):
    theirs, mine = tensors(torch)[place], tensors(rt)[place]
    box = io.BytesIO()
    torch.save(theirs, box)
    box.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = rt.load(box, weights_only=safe)
        if isinstance(theirs, dict):
            found, mine = found["a"], mine["a"]
    if not isinstance(mine, rt.Tensor):
        assert found is mine
        return
    assert found.layout is mine.layout
    dense = (lambda x: (x.to_dense() if x.layout is not rt.strided else x).numpy())
    np.testing.assert_array_equal(dense(found), dense(mine))


@pytest.mark.parametrize("place", range(3))
def test_sparse_tensors_go_to_pytorch_and_back(place):
    mine = tensors(rt)[place]
    for form, load in (("pytorch", torch.load), ("pytorch", rt.load), ("safetensors", rt.load)):
        box = io.BytesIO()
        rt.save({"s": mine}, box, format=form)
        box.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = load(box, weights_only=True)["s"]
        assert str(found.layout).rpartition(".")[2] == str(mine.layout).rpartition(".")[2]
        np.testing.assert_array_equal(found.to_dense().numpy(), mine.to_dense().numpy())


def test_meta_tensors_and_storages_in_pytorchs_files():
    for obj, check in ((torch.empty(2, 3, device="meta"), lambda x: x.is_meta and x.shape == (2, 3)), (torch.ones(2).untyped_storage(), lambda x: x.nbytes() == 8)):
        box = io.BytesIO()
        torch.save(obj, box)
        box.seek(0)
        assert check(rt.load(box))


# ---- modules ----
@pytest.mark.parametrize("name", [f"LazyConv{t}{n}d" for t in ("", "Transpose") for n in (1, 2, 3)])
def test_lazy_convolutions_take_arguments_by_place(name):
    def of(m):
        return [(p.name, p.kind, p.default) for p in inspect.signature(getattr(m.nn, name)).parameters.values()]
    assert of(rt) == of(torch)
    args = (4, 3, 2, 1, 1, 2, False) if "Transpose" in name else (4, 3, 2, 1, 1, 2, False, "zeros")
    shapes = []
    for m in BOTH:
        layer = getattr(m.nn, name)(*args)
        shapes.append((tuple(layer(m.ones(1, 2, *(7,) * int(name[-2]))).shape), repr(layer)))
    assert shapes[0] == shapes[1]


def test_a_module_of_complex_numbers():
    for m in BOTH:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layer = m.nn.Linear(2, 2).to(m.complex64)
        assert layer.weight.dtype is m.complex64 and layer(m.ones(2, dtype=m.complex64)).dtype is m.complex64
        with pytest.raises(RuntimeError, match="must be floating point or complex"):
            layer.weight.data = m.ones(2, 2, dtype=m.int64)


def test_unpadded_sequences_are_their_own():
    for m in BOTH:
        rnn = part(m, "nn.utils.rnn")
        padded = m.ones(3, 2)
        rnn.unpad_sequence(padded, m.tensor([3, 2]))[0].zero_()
        assert padded.sum() == 6


# ---- nested containers ----
Point = collections.namedtuple("Point", "x y")
TREES = ["t.tree_flatten([1, {'a': 2, 'b': (3, None)}])", "t.tree_map(lambda a, b: a + b, [1, (2,)], [3, (4,)])", "t.tree_any(lambda x: x == 1, [1])",
         "t.tree_all(lambda x: x == 1, [1, 2])", "t.tree_structure({'a': [1]})", "t.tree_map_(lambda x: None, [1])", "t.tree_map(lambda x: x + 1, collections.deque([1, 2], 5))",
         "t.tree_flatten_with_path([1, {'a': Point(2, 3)}])", "[t.keystr(k) for k, _ in t.tree_leaves_with_path([1, {'a': Point(2, 3)}])]",
         "t.tree_map_with_path(lambda k, x: (t.keystr(k), x), [1, {'a': 2}])", "list(t.tree_iter([1, (2,)]))", "t.tree_is_leaf(3), t.tree_is_leaf([3])",
         "t.tree_leaves([[1, 2], 3], is_leaf=lambda x: x == [1, 2])", "t.tree_map_only(int, lambda x: x + 1, [1, 'a'])", "t.tree_map_only(lambda x: x == 'a', str.upper, [1, 'a'])",
         "t.tree_any_only(int, lambda x: x > 3, [1, 'a'])", "t.tree_all_only(int, lambda x: x > 0, [1, 'a'])", "t.LeafSpec()", "t.tree_unflatten([1], t.tree_structure([1, 2]))",
         "t.tree_map(lambda a, b: a, [1, 2], [1])", "t.tree_map(lambda a, b: (a, b), {'x': 1, 'y': 2}, {'y': 3, 'x': 4})", "t.tree_map(lambda a, b: a, (1,), [1])",
         "t.SequenceKey(2).get([1, 2, 3]), t.MappingKey('a').get({'a': 1}), t.GetAttrKey('x').get(Point(1, 2))"]


@pytest.mark.parametrize("text", TREES)
def test_trees(text):
    found = []
    for m in BOTH:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found.append(repr(eval(text, {"t": part(m, "utils._pytree"), "collections": collections, "Point": Point})))
            except Exception as error:
                found.append(type(error))
    assert found[0] == found[1]


def test_a_class_of_its_own_in_trees():
    for m in BOTH:
        t = part(m, "utils._pytree")

        class Pair:
            def __init__(self, a, b):
                self.a, self.b = a, b
        t.register_pytree_node(Pair, lambda p: ([p.a, p.b], "c"), lambda parts, context: Pair(*parts))
        made = t.tree_map(lambda x: x + 1, {"k": Pair(1, [2])})["k"]
        assert (made.a, made.b) == (2, [3]) and t.tree_leaves(Pair(1, 2)) == [1, 2]
        with pytest.raises(ValueError, match="already registered"):
            t.register_pytree_node(Pair, None, None)
        assert m.func.vmap(lambda p: p["k"].a * 2)({"k": Pair(m.arange(3.), m.ones(3))}).tolist() == [0, 2, 4]


# ---- custom functions ----
def test_functions_take_arguments_by_name():
    for m in BOTH:
        class Times(m.autograd.Function):
            @staticmethod
            def forward(ctx, x, k=2):
                ctx.k = k
                return x * k

            @staticmethod
            def backward(ctx, g):
                return g * ctx.k, None

        class Apart(m.autograd.Function):
            @staticmethod
            def forward(x, k=5):
                return x * k

            @staticmethod
            def setup_context(ctx, inputs, output):
                ctx.seen = inputs[1]

            @staticmethod
            def backward(ctx, g):
                return g * ctx.seen, None
        for call, factor in ((lambda x: Times.apply(x, k=3), 3), (Times.apply, 2), (lambda x: Apart.apply(x, k=4), 4), (Apart.apply, 5), (lambda x: Apart.apply(k=6, x=x), 6)):
            x = m.ones(2, requires_grad=True)
            y = call(x)
            y.sum().backward()
            assert y.tolist() == x.grad.tolist() == [factor, factor]
        with pytest.raises(TypeError):
            Apart.apply(m.ones(1), zz=1)


ERRORS = ["m.autograd.grad(y, [])", "(x * 2).sum().backward(inputs=[])", "(x * 2).sum().backward(inputs=[m.ones(2)])",
          "m.autograd.grad(y, [x], materialize_grads=True, allow_unused=False)", "f.vjp(lambda a: a ** 2, x, m.ones(3))", "f.jvp(lambda a: a ** 2, x, m.ones(3))",
          "f.hvp(lambda a: a.sum(), x)", "f.jacobian(lambda a: m.ones(2), x, strict=True)", "f.jacobian(lambda a: 3, x)", "f.jacobian(lambda a: a, 3)",
          "f.jvp(lambda a: m.ones(2), x, x, strict=True)", "f.vjp(lambda a: m.ones(2), x, x, strict=True)", "f.vjp(lambda a: (a, a), x, x)", "f.hvp(lambda a: (a ** 3).sum(), x, m.ones(3))",
          "f.hessian(lambda a: (a ** 3).sum(), x)", "f.vhp(lambda a: (a ** 3).sum(), x, m.ones(2))", "m.nn.functional.adaptive_avg_pool2d(m.ones(3, 4), 2)"]


@pytest.mark.parametrize("call", ERRORS)
def test_errors_of_derivatives(call):
    found = []
    for m in BOTH:
        x = m.tensor([1., 2.], requires_grad=True)
        try:
            found.append(str(eval(call, {"m": m, "x": x, "y": (x * 2).sum(), "f": part(m, "autograd.functional")})))
        except Exception as error:
            found.append(error)
    if isinstance(found[0], Exception):
        assert isinstance(found[1], type(found[0])), found
    else:
        assert found[0].replace(" ", "")[:60] == found[1].replace(" ", "")[:60]


# ---- comparisons ----
@pytest.mark.parametrize("make", ["to_sparse", "to_sparse_csr"])
def test_assert_close_of_sparse_tensors(make):
    for m in BOTH:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            a, b, c = (getattr(x, make)() for x in (m.eye(2), m.eye(2) * 2, m.ones(2, 2)))
            m.testing.assert_close(a, a.clone())
            m.testing.assert_close(a, a.clone(), check_stride=True)
            m.testing.assert_close(a, m.eye(2), check_layout=False)
            for wrong in (b, c, m.eye(2)):
                with pytest.raises(AssertionError):
                    m.testing.assert_close(a, wrong)


def test_assert_close_takes_sparse_tensors_as_they_lie():
    for m in BOTH:
        a, b = (m.sparse_coo_tensor([order], [float(i) for i in order], (3,)) for order in ([0, 2], [2, 0]))
        m.testing.assert_close(a, b.coalesce())
        with pytest.raises(AssertionError):
            m.testing.assert_close(a, b)


def test_schedules_of_tensor_rates():
    found = []
    for m in BOTH:
        opt = m.optim.SGD([m.nn.Parameter(m.ones(1))], lr=m.tensor(.1))
        schedule = m.optim.lr_scheduler.ExponentialLR(opt, .5)
        for _ in range(3):
            opt.step()
            schedule.step()
        found.append(float(schedule.get_last_lr()[0]))
    assert found[0] == pytest.approx(found[1]) and found[0] == pytest.approx(.0125)


# ---- what writing in place and ties do to gradients ----
def test_a_view_that_is_a_leaf_is_not_written():
    for m in BOTH:
        x = m.arange(4.).view(2, 2).requires_grad_()
        for write in (lambda: x.zero_(), lambda: x.add_(1)):
            with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
                write()
        with m.no_grad():
            x.add_(1)
        assert x.tolist() == [[1, 2], [3, 4]] and x.is_leaf


def test_retain_grad_follows_the_tensor():
    found = []
    for m in BOTH:
        x = m.ones(2, requires_grad=True)
        y = x * 1
        y.retain_grad()
        y.mul_(3)
        y.mul_(5)
        (y * 2).sum().backward()
        z = x * 1
        z.retain_grad()
        z[0] = 4.
        z.view(2).mul_(3)
        (z * z).sum().backward()
        found.append((y.grad.tolist(), z.grad.tolist(), x.grad.tolist()))
    assert found[0] == found[1] and found[0][0] == [2, 2]


@pytest.mark.parametrize("name", ["median", "nanmedian"])
@pytest.mark.parametrize("values", [[1., 1., 1., 2.], [3., 1., 2.], [[2., 2.], [1., 2.]], [float("nan"), 1., 1., float("nan")], [5.]])
def test_medians_share_their_gradient(name, values):
    found = []
    for m in BOTH:
        x = m.tensor(values, dtype=m.float64, requires_grad=True)
        r = getattr(x, name)()
        g, = m.autograd.grad(r * r, x, create_graph=True)
        found.append((r.item(), type(r.grad_fn).__name__, g.tolist(), m.autograd.grad(g.nan_to_num().sum(), x)[0].tolist() if g.requires_grad else None))
    for a, b in zip(*found):
        if isinstance(a, str) or a is None:
            assert a == b
        else:
            np.testing.assert_allclose(b, a)


@pytest.mark.parametrize("eps", [0.1, 0.5, 0.6, 1])
def test_logit_of_any_eps(eps):
    found = []
    for m in BOTH:
        x = m.tensor([.2, .7, 1., 0., .5], requires_grad=True)
        y = m.logit(x, eps)
        found.append((y.tolist(), m.autograd.grad(y.nan_to_num(0, 0, 0).sum(), x)[0].tolist()))
    for a, b in zip(*found):
        np.testing.assert_allclose(b, a, rtol=1e-5)


def test_one_window_over_two_dimensions():
    for m in BOTH:
        assert m.nn.functional.adaptive_avg_pool2d(m.arange(8.).view(4, 2), 1).tolist() == [[3.5]]
        assert m.nn.AdaptiveAvgPool3d(1)(m.arange(8.).view(2, 2, 2)).tolist() == [[[3.5]]]


@pytest.mark.parametrize("array", [np.array([0., 5., 2.], dtype="float32"), np.array([0, 5, 2]), np.array([True, False, True]), np.array(2.), np.array(["a", "b", "c"])])
def test_equality_with_arrays_is_elementwise(array):
    found = []
    for m in BOTH:
        x = m.arange(3.)
        try:
            r = x == array
            found.append(r.tolist() if isinstance(r, m.Tensor) else bool(np.all(r)) if not isinstance(r, bool) else r)
        except Exception as error:
            found.append(type(error))
    assert found[0] == found[1]
