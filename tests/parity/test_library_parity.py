"""torch.library beside PyTorch's: one program, run with both, must say the same."""
import typing

import pytest
import rustorch_py

torch = pytest.importorskip("torch")


def said(call):
    """Result, or the kind of error and its first line."""
    try:
        return str(call())
    except Exception as error:
        kinds = [k.__name__ for k in (NotImplementedError, RuntimeError, ValueError, TypeError, AttributeError) if isinstance(error, k)]
        return kinds[0] if kinds else type(error).__name__, str(error).splitlines()[0][:60] if str(error) else ""


def programs(t):
    """Named calls; t is PyTorch or this package."""
    L, ns = t.library, "parity_ops"
    Tensor = t.Tensor

    def scale_(x: Tensor, k: float = 2.0, *, n: int = 1) -> Tensor:
        return x * k * n
    scale = L.custom_op(f"{ns}::scale", scale_, mutates_args=())
    scale.register_autograd(lambda ctx, g: (g * ctx.k, None), setup_context=lambda ctx, inputs, keyword_only_inputs, output: setattr(ctx, "k", inputs[1]))

    def write_(x: Tensor) -> None:
        x.mul_(2)
    write = L.custom_op(f"{ns}::write", write_, mutates_args={"x"})

    def many_(x: Tensor, ys: typing.List[Tensor]) -> typing.Tuple[Tensor, typing.List[Tensor]]:
        return x + sum(ys), [y * 2 for y in ys]
    many = L.custom_op(f"{ns}::many", many_, mutates_args=())
    many.register_autograd(lambda ctx, g, gs: (g, [g + a for a in gs]))

    def alias_(x: Tensor) -> Tensor:
        return x
    alias = L.custom_op(f"{ns}::alias", alias_, mutates_args=())

    def cuda_(x: Tensor) -> Tensor:
        return x
    cuda = L.custom_op(f"{ns}::cuda", cuda_, mutates_args=(), device_types="cuda")
    x = t.ones(2)

    def gradient():
        a, b = t.ones(2, requires_grad=True), t.ones(2, requires_grad=True)
        total, doubled = many(a, [b, x])
        (total.sum() * 3 + doubled[0].sum() * 5).backward()
        w = t.ones(2, requires_grad=True)
        scale(w, 3.0).sum().backward()
        return a.grad, b.grad, w.grad, scale(w).grad_fn.name()

    def versions():
        v = t.ones(2)
        before = v._version
        write(v)
        return v, v._version - before

    def refused(fn, *args):
        with pytest.raises(RuntimeError, match="may not alias any inputs to this custom operator or other returns"):
            fn(*args)

    op = getattr(t.ops, ns)
    yield "schema", lambda: op.scale.default._schema
    yield "schema list", lambda: op.many.default._schema
    yield "schema written", lambda: op.write.default._schema
    yield "names", lambda: (scale, op.scale, op.scale.default, op.scale.default.name(), op.scale.overloads())
    yield "call", lambda: (scale(x, 3), op.scale(x, n=4), op.scale.default(x=x))
    yield "lists", lambda: many(x, (x, x))
    yield "gradient", gradient
    yield "versions", versions
    yield "alias", lambda: refused(alias, x)
    yield "no kernel", lambda: cuda(x)
    yield "missing", lambda: scale()
    yield "too many", lambda: scale(x, 1.0, 2)
    yield "unknown", lambda: scale(x, z=1)
    yield "wrong type", lambda: scale(3)
    yield "wrong number", lambda: scale(x, "a")
    yield "wrong int", lambda: scale(x, n=1.5)
    yield "wrong list", lambda: many(x, [x, 2])
    yield "no operator", lambda: op.nope
    yield "no overload", lambda: op.scale.nope
    yield "gradient of a writer", lambda: write.register_autograd(lambda ctx, g: g)
    lib = L.Library("parity_lib", "FRAGMENT")
    yield "define", lambda: lib.define('f(Tensor x, int[] d=[1,2], str s="a", Scalar? q=None) -> (Tensor, Tensor)')
    yield "defined", lambda: t.ops.parity_lib.f.default._schema
    yield "defined twice", lambda: lib.define('f(Tensor x) -> Tensor')
    yield "undefined kernel", lambda: t.ops.parity_lib.f(x)
    yield "impl", lambda: (lib.impl("f", lambda x, d=None, s=None, q=None: (x + 1, x + 2), "CPU"), t.ops.parity_lib.f(x))
    yield "bad key", lambda: lib.impl("f", lambda x: x, "NOPE")
    yield "kind", lambda: L.Library("parity_lib", "XX")
    yield "reserved", lambda: L.Library("prim", "DEF")
    for text in ("g(Tensor x", "g Tensor x -> Tensor", "g(Tensor x) Tensor", "", "g(Tensor x=3) -> Tensor"):
        yield f"schema {text!r}", lambda text=text: lib.define(text)

    def hints(x: Tensor, o: typing.Optional[Tensor] = None, f: typing.Optional[typing.List[float]] = None, d: t.dtype = t.float32,
              dev: t.device = t.device("cpu"), s: str = "q", b: bool = True) -> typing.Tuple[Tensor, typing.List[Tensor], int]:
        return x
    yield "infer", lambda: L.infer_schema(hints, mutates_args=())
    yield "infer written", lambda: L.infer_schema(hints, mutates_args="unknown", op_name="h")
    yield "no hint", lambda: L.infer_schema(lambda x: x, mutates_args=())
    yield "unknown written", lambda: L.infer_schema(hints, mutates_args=("q",))


@pytest.mark.filterwarnings("ignore")
def test_same_program_says_the_same():
    ours, theirs = dict(programs(rustorch_py)), dict(programs(torch))
    differ = []
    for name in ours:
        a, b = said(ours[name]), said(theirs[name])
        if a != b:
            differ.append(f"{name}:\n  here  {a}\n  torch {b}")
    assert not differ, "\n".join(differ)
