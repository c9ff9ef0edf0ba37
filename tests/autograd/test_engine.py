"""The backward engine: accumulation, graphs, hooks, in-place writes, views, memory, depth."""
import gc
import resource

import pytest

import rustorch_py as torch
from rustorch_py.autograd import Function


def leaf(*values):
    return torch.tensor(list(values), dtype=torch.float64, requires_grad=True)


def test_accumulates_and_retains():
    x = leaf(1, 2, 3)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4, 8, 12]
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_gradient_argument_is_checked():
    x = leaf(1, 2)
    with pytest.raises(RuntimeError, match="scalar outputs"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (x * 2).backward(torch.ones(3, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="does not require grad"):
        torch.ones(1).backward()
    (x * 2).backward(torch.tensor([1.0, 10.0], dtype=torch.float64))
    assert x.grad.tolist() == [2, 20]


def test_shared_gradients_do_not_alias():
    x, y = leaf(1, 2), leaf(3, 4)
    (x + y).sum().backward()
    x.grad.add_(5)
    assert y.grad.tolist() == [1, 1]


def test_grad_returns_and_leaves_grad_alone():
    x, y = leaf(2), leaf(3)
    z = x * x * y
    gx, = torch.autograd.grad(z, x)
    assert gx.item() == 12 and x.grad is None and y.grad is None
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(x * 2, y)
    assert torch.autograd.grad(x * 2, [y], allow_unused=True) == (None,)
    assert torch.autograd.grad(x * 2, [y], materialize_grads=True)[0].item() == 0


def test_gradient_of_an_intermediate():
    x = leaf(2)
    h = x * 3
    out = h * h
    gh, gx = torch.autograd.grad(out, [h, x])
    assert (gh.item(), gx.item()) == (12, 36)


def test_backward_with_inputs_touches_only_those():
    x, y = leaf(2), leaf(3)
    (x * y).backward(inputs=[x])
    assert x.grad.item() == 3 and y.grad is None


def test_third_derivative():
    x = leaf(2)
    y = x ** 4
    for want in (32, 48, 48):
        y, = torch.autograd.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(want)


def test_hooks():
    x = leaf(1, 2)
    seen = []
    handle = x.register_hook(lambda g: seen.append(g.tolist()) or g * 2)
    h = x * 3
    h.register_hook(lambda g: g + 1)
    h.retain_grad()
    h.sum().backward()
    assert h.grad.tolist() == [2, 2] and seen == [[6, 6]] and x.grad.tolist() == [12, 12]
    handle.remove()
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3, 3]
    calls = []
    x.register_post_accumulate_grad_hook(lambda t: calls.append(t.grad.tolist()))
    (x * 3).sum().backward()
    assert calls == [[6, 6]]


def test_node_hooks():
    x = leaf(1)
    y = x * 2
    log = []
    y.grad_fn.register_prehook(lambda g: log.append(("pre", g[0].item())))
    y.grad_fn.register_hook(lambda gi, go: log.append(("post", gi[0].item(), go[0].item())))
    y.backward()
    assert log == [("pre", 1.0), ("post", 2.0, 1.0)]
    assert type(y.grad_fn.next_functions) is tuple and y.grad_fn.name() == "MulBackward0"


def test_stale_saved_tensor_is_an_error():
    x = leaf(1, 2)
    h = x * 2
    y = h * h
    h.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation.*version 1; expected version 0"):
        y.sum().backward()


def test_inplace_on_leaf_is_refused():
    x = leaf(1, 2)
    with pytest.raises(RuntimeError, match="leaf Variable"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="view of a leaf"):
        x[0].add_(1)
    with torch.no_grad():
        x.add_(1)
    assert x.tolist() == [2, 3]


def test_inplace_on_a_view_reaches_the_base():
    x = leaf(1, 2, 3)
    base = x * 1
    view = base[1:]
    view.mul_(10)
    base.sum().backward()
    assert x.grad.tolist() == [1, 10, 10]


def test_inplace_on_the_base_reaches_a_view():
    x = leaf(1, 2, 3)
    base = x * 1
    view = base[:2]
    base.mul_(torch.tensor([2.0, 3.0, 4.0], dtype=torch.float64))
    view.sum().backward()
    assert x.grad.tolist() == [2, 3, 0]


def test_copy_into_slices():
    x, y = leaf(1, 2), leaf(5)
    buffer = torch.zeros(3, dtype=torch.float64)
    buffer[:2] = x * 2
    buffer[2] = y[0]
    (buffer * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)).sum().backward()
    assert x.grad.tolist() == [2, 4] and y.grad.tolist() == [3]


def test_chain_of_inplace_operations():
    x = leaf(0.5, 0.7)
    h = x * 1
    h.mul_(3)
    h.add_(1).sub_(1)
    h.exp_()
    h.sum().backward()
    want = (3 * torch.exp(3 * x.detach()))
    assert torch.testing.assert_close(x.grad, want) is None


def test_detach_and_data():
    x = leaf(1, 2)
    y = x * 2
    assert not y.detach().requires_grad and y.detach().data_ptr() == y.data_ptr()
    z = y * y
    y.data.add_(1)                 # not seen by autograd, as in PyTorch
    z.sum().backward()


def test_modes():
    x = leaf(1)
    with torch.no_grad():
        assert not (x * 2).requires_grad
        with torch.enable_grad():
            assert (x * 2).requires_grad
    assert torch.is_grad_enabled()

    @torch.no_grad()
    def f():
        return x * 2
    assert not f().requires_grad
    torch.set_grad_enabled(False)
    assert not (x * 2).requires_grad
    torch.set_grad_enabled(True)
    with torch.inference_mode():
        y = x * 2
        assert y.is_inference()
    with pytest.raises(RuntimeError, match="Inference tensors"):
        (leaf(1) * y)


class Cube(Function):
    @staticmethod
    def forward(ctx, x, scale):
        ctx.save_for_backward(x)
        ctx.scale = scale
        return x ** 3 * scale

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return 3 * x * x * g * ctx.scale, None


def test_custom_function():
    x = leaf(2, 3)
    y = Cube.apply(x, 2.0)
    assert y.grad_fn.name() == "CubeBackward"
    y.sum().backward()
    assert x.grad.tolist() == [24, 54]
    assert torch.autograd.gradcheck(lambda t: Cube.apply(t, 2.0), (x,))
    assert torch.autograd.gradgradcheck(lambda t: Cube.apply(t, 2.0), (x,))


def test_custom_function_several_outputs():
    class SinCos(Function):
        @staticmethod
        def forward(x):
            return torch.sin(x), torch.cos(x)

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*output)

        @staticmethod
        def backward(ctx, gs, gc_):
            s, c = ctx.saved_tensors
            return gs * c - gc_ * s
    x = leaf(0.3, 0.4)
    s, c = SinCos.apply(x)
    (s * 2).sum().backward()
    assert torch.testing.assert_close(x.grad, 2 * torch.cos(x.detach())) is None


def test_custom_function_wrong_count():
    class Bad(Function):
        @staticmethod
        def forward(ctx, a, b):
            return a + b

        @staticmethod
        def backward(ctx, g):
            return g
    with pytest.raises(RuntimeError, match="incorrect number of gradients"):
        Bad.apply(leaf(1), leaf(2)).backward()


def test_saved_output_makes_no_cycle():
    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            y = torch.exp(x)
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            y, = ctx.saved_tensors
            return g * y
    gc.collect()
    gc.disable()
    try:
        import weakref
        x = leaf(1)
        y = Exp.apply(x)
        ref = weakref.ref(y)
        del y
        assert ref() is None
        for op in (torch.exp, torch.sigmoid, torch.relu, torch.tanh):
            y = op(x)
            ref = weakref.ref(y)
            del y
            assert ref() is None, op
    finally:
        gc.enable()


def test_anomaly_names_the_forward_line():
    x = leaf(0.0)
    torch.set_debug_mode(True)
    try:
        y = torch.sqrt(x) * 0          # the line that makes the NaN
        with pytest.raises(RuntimeError, match="SqrtBackward0.*nan(.|\n)*torch.sqrt\\(x\\) \\* 0"):
            y.backward()
    finally:
        torch.set_debug_mode(False)


def test_deep_graph():
    """100,000 nodes: neither backward nor release overflows the stack; nor do many more that nobody went through."""
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 0.0
    y.backward()
    assert x.grad.item() == 1
    z = x
    for _ in range(500_000):
        z = z * 1.0
    with torch.no_grad():
        part = z[None]
    del z                               # released without a backward: the view holds the last of the chain
    del part


def test_wide_graph():
    x = leaf(1.0)
    total = x * 0
    for _ in range(2000):
        total = total + x * 2
    total.backward()
    assert x.grad.item() == 4000


def peak_kib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_memory_is_flat_without_the_garbage_collector():
    """A training loop leaves no reference cycles behind."""
    nn = torch.nn
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1), nn.Sigmoid())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x, y = torch.randn(8, 4), torch.rand(8, 1)
    loss_fn = nn.MSELoss()

    def step():
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()

    gc.collect()
    gc.disable()
    try:
        for _ in range(200):
            step()
        before, in_use = peak_kib(), torch.memory.memory_stats()["allocated_bytes.current"]
        for _ in range(100_000):
            step()
        assert torch.memory.memory_stats()["allocated_bytes.current"] <= in_use + 4096
        assert peak_kib() - before < 3072            # 2048: the system has made a huge page of small ones; a leak of 32 bytes a step is more
    finally:
        gc.enable()


def test_functional_derivatives():
    f = torch.autograd.functional
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    jac = f.jacobian(lambda t: torch.stack([t[0] * t[1], t[0] ** 2]), x)
    assert jac.tolist() == [[2, 1], [2, 0]]
    assert f.jacobian(lambda t: torch.stack([t[0] * t[1], t[0] ** 2]), x, vectorize=True, strategy="forward-mode").tolist() == [[2, 1], [2, 0]]
    hess = f.hessian(lambda t: (t[0] ** 2 * t[1]), x)
    assert hess.tolist() == [[4, 2], [2, 0]]
    v = torch.tensor([1.0, 1.0], dtype=torch.float64)
    assert f.vjp(lambda t: t * t, x, v)[1].tolist() == [2, 4]
    assert f.jvp(lambda t: t * t, x, v)[1].tolist() == [2, 4]
    assert f.hvp(lambda t: (t[0] ** 2 * t[1]), x, v)[1].tolist() == [6, 2]
    assert f.vhp(lambda t: (t[0] ** 2 * t[1]), x, v)[1].tolist() == [6, 2]


def test_gradcheck_finds_a_wrong_gradient():
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 3
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(Wrong.apply, (leaf(1, 2),))
    assert not torch.autograd.gradcheck(Wrong.apply, (leaf(1, 2),), raise_exception=False)


def test_saved_tensor_hooks():
    packed = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: packed.append(t) or len(packed) - 1, lambda i: packed[i]):
        x = leaf(3)
        y = x * x
    y.backward()
    assert x.grad.item() == 6 and packed


def test_variable():
    v = torch.autograd.Variable(torch.tensor([1, 2]), requires_grad=True)
    assert v.requires_grad and v.dtype is torch.float32 and isinstance(v, torch.autograd.Variable)


def test_numbers_and_broadcasting():
    x = leaf(1, 2, 3)
    y = leaf(2)
    (2 - x / y + x ** 2 * 3 - 1 / x).sum().backward()
    assert x.grad.tolist() == pytest.approx([-0.5 + 6 + 1, -0.5 + 12 + 1 / 4, -0.5 + 18 + 1 / 9])
    assert y.grad.item() == pytest.approx(6 / 4)


def test_a_leaf_takes_its_gradient():
    """A gradient that nobody else holds becomes .grad itself; one that others hold is copied."""
    x, y = torch.ones(5, requires_grad=True), torch.ones(5, requires_grad=True)
    seen, held = [], []
    x.register_hook(lambda g: seen.append(g.data_ptr()))
    y.register_hook(lambda g: (held.append(g), seen.append(g.data_ptr())) and None)
    (x * 2 + y * y).sum().backward()
    assert x.grad.data_ptr() == seen[0] or x.grad.data_ptr() == seen[1]
    assert y.grad.data_ptr() != held[0].data_ptr() and torch.equal(y.grad, held[0])
    x.grad = y.grad = None
    (x + y).sum().backward()
    x.grad.zero_()
    assert y.grad.tolist() == [1] * 5                      # one gradient for two leaves is two tensors


class Times(Function):
    @staticmethod
    def forward(ctx, x, y=None):
        ctx.save_for_backward(x, y)
        ctx.needed = ctx.needs_input_grad
        return x * y

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        assert ctx.needed == (x.requires_grad, True)
        return g * y, g * x


def test_custom_function_arguments_by_name_have_gradients():
    x, y = leaf(2), leaf(5)
    Times.apply(x, y=y).sum().backward()
    assert x.grad.tolist() == [5] and y.grad.tolist() == [2]
    y.grad = None
    Times.apply(x.detach(), y=y).sum().backward()
    assert y.grad.tolist() == [2]
    x.grad = y.grad = None
    Times.apply(y=y, x=x).sum().backward()                 # forward's order, not the call's
    assert x.grad.tolist() == [5] and y.grad.tolist() == [2]


def test_products_of_functions_without_a_graph_are_zeros():
    F, x = torch.autograd.functional, torch.ones(2)
    for product in (F.vjp, F.jvp):
        out, got = product(lambda x: torch.ones(2), x, x)
        assert out.tolist() == [1, 1] and got.tolist() == [0, 0]
        out, got = product(lambda x: (torch.ones(2), x * 3), x, (x, x) if product is F.vjp else x)
        assert (got if product is F.vjp else got[1]).tolist() == [3, 3]
        with pytest.raises(RuntimeError, match="Output 0 of the user-provided function does not require gradients"):
            product(lambda x: torch.ones(2), x, x, strict=True)
    for product in (F.vhp, F.hvp):
        for fn in (lambda x: torch.tensor(2.0), lambda x: x.sum()):
            out, got = product(fn, x, x)
            assert out.item() == 2 and got.tolist() == [0, 0]
        with pytest.raises(RuntimeError, match="jacobian of the user-provided function with respect to input 0 is independent"):
            product(lambda x: x.sum(), x, x, strict=True)
    assert F.hessian(lambda x: torch.tensor(2.0), x).tolist() == [[0, 0], [0, 0]]
    with pytest.raises(RuntimeError, match="While computing the hessian.*input 1 is independent"):
        F.hessian(lambda x, y: x.pow(2).sum() + y.sum(), (x, x), strict=True)


def test_derivatives_refuse_lists():
    F, x = torch.autograd.functional, torch.ones(2)
    for call in (lambda: F.vjp(lambda x: x, [x], x), lambda: F.jacobian(lambda x: [x], x), lambda: F.jvp(lambda x: x, x, [x]), lambda: F.hessian(torch.sum, [x])):
        with pytest.raises(TypeError, match="must be either a Tensor or a tuple of Tensors but the given .* has type <class 'list'>"):
            call()


def test_gradgradcheck_first_leaves_gradcheck_a_function():
    import subprocess
    import sys
    text = "import rustorch_py as rt; rt.autograd.gradgradcheck; assert rt.autograd.gradcheck(rt.sin, (rt.ones(2, dtype=rt.float64, requires_grad=True),))"
    subprocess.run([sys.executable, "-c", text], check=True)
