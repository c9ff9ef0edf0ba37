"""Operators written in Python: schemas, kernels, gradients, aliasing, opcheck."""
import copy
import gc
import pickle
import threading
from typing import List, Optional, Tuple

import numpy as np
import pytest
import rustorch_py as torch
from rustorch_py import Tensor
from rustorch_py.library import Library, Tag, custom_op, infer_schema, opcheck


@custom_op("t_custom::scale", mutates_args=())
def scale(x: Tensor, k: float = 2.0, *, n: int = 1) -> Tensor:
    return torch.tensor(x.numpy() * k * n)


def _setup(ctx, inputs, keyword_only_inputs, output):
    ctx.factor = inputs[1] * keyword_only_inputs["n"]


scale.register_autograd(lambda ctx, g: (g * ctx.factor, None), setup_context=_setup)
scale.register_fake(lambda x, k=2.0, *, n=1: torch.empty_like(x))


@custom_op("t_custom::cube", mutates_args=())
def cube(x: Tensor) -> Tensor:
    return torch.tensor(x.numpy() ** 3)


def _save(ctx, inputs, output):
    ctx.save_for_backward(*inputs)


cube.register_autograd(lambda ctx, g: g * 3 * ctx.saved_tensors[0] ** 2, setup_context=_save)


@custom_op("t_custom::double_", mutates_args={"x"})
def double_(x: Tensor) -> None:
    x.numpy()[...] *= 2


def test_call_and_gradient():
    x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.allclose(scale(x, 3, n=2), x * 6)
    assert torch.autograd.gradcheck(lambda t: scale(t, 3.0, n=2), (x,))
    assert torch.autograd.gradgradcheck(cube, (x,))
    with torch.no_grad():
        assert scale(x).grad_fn is None
    assert scale(x).grad_fn.name() == "GeneratedBackwardFor_t_custom_scale_defaultBackward"
    assert torch.ops.t_custom.scale(x).shape == torch.ops.t_custom.scale.default(x=x).shape == (3,)


def test_kernels_by_device_and_switch():
    @custom_op("t_custom::where", mutates_args=())
    def where(x: Tensor) -> Tensor:
        return torch.zeros(1)

    @where.register_kernel("cpu")
    def _(x):
        return torch.ones(1)
    x = torch.zeros(1)
    assert where(x).item() == 1
    with where.set_kernel_enabled("cpu", enabled=False):
        assert where(x).item() == 0
    assert where(x).item() == 1

    @custom_op("t_custom::gpu_only", mutates_args=(), device_types="cuda")
    def gpu_only(x: Tensor) -> Tensor:
        return x + 1
    with pytest.raises(NotImplementedError, match="t_custom::gpu_only.*'CPU' backend.*CUDA"):
        gpu_only(x)


def test_written_arguments_count_as_versions():
    w, v = torch.ones(2, requires_grad=True), torch.ones(2)
    z = w * v
    before = v._version
    double_(v)
    assert v.tolist() == [2, 2] and v._version == before + 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()
    with pytest.raises(RuntimeError, match="non-functional operator"):
        double_.register_autograd(lambda ctx, g: g)


@pytest.mark.parametrize("body", [lambda x: x, lambda x: x[1:], lambda x: x.view(-1), lambda x: x.detach()])
def test_results_that_alias_an_argument_are_refused(body):
    def fn(x: Tensor) -> Tensor:
        return body(x)
    op = custom_op("t_custom::alias", fn, mutates_args=())
    with pytest.raises(RuntimeError, match="may not alias any inputs"):
        op(torch.ones(3))
    with pytest.raises(RuntimeError, match="may not alias any inputs"):
        op(torch.ones(3, requires_grad=True))


def test_results_that_alias_each_other_are_refused():
    @custom_op("t_custom::twins", mutates_args=())
    def twins(x: Tensor) -> Tuple[Tensor, Tensor]:
        y = x + 1
        return y, y
    with pytest.raises(RuntimeError, match="other returns"):
        twins(torch.ones(2))


def test_inplace_and_out_tags():
    @custom_op("t_custom::neg_", mutates_args={"x"}, tags=Tag.inplace)
    def neg_(x: Tensor) -> Tensor:
        x.neg_()
        return x

    @custom_op("t_custom::neg_out", mutates_args={"out"}, tags=Tag.out)
    def neg_out(x: Tensor, *, out: Tensor) -> Tensor:
        return out.copy_(-x)
    x = torch.ones(2)
    assert neg_(x) is x and x.tolist() == [-1, -1]
    out = torch.zeros(2)
    assert neg_out(x, out=out) is out and out.tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
        neg_out(torch.ones(2, requires_grad=True), out=out)
    with pytest.raises(NotImplementedError, match="kwarg-only Tensor"):
        @custom_op("t_custom::kw", mutates_args=())
        def kw(x: Tensor, *, y: Tensor) -> Tensor:
            return x + y

    @custom_op("t_custom::wrong_", mutates_args={"x"}, tags=Tag.inplace)
    def wrong_(x: Tensor) -> Tensor:
        return x.clone()
    with pytest.raises(RuntimeError, match="must return its first argument"):
        wrong_(x)


def test_lists_of_tensors_with_gradients():
    @custom_op("t_custom::mix", mutates_args=())
    def mix(x: Tensor, others: List[Tensor], y: Optional[Tensor] = None) -> Tuple[Tensor, List[Tensor]]:
        return x + sum(others), [o * 2 for o in others]

    def backward(ctx, g, gs):
        assert ctx.needs_input_grad[1] == [True, False]
        return g, [g + 2 * gs[0], None], None
    mix.register_autograd(backward)
    x, a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True), torch.ones(2)
    total, doubled = mix(x, [a, b])
    assert isinstance(doubled, list) and total.tolist() == [3, 3]
    (total.sum() + doubled[0].sum()).backward()
    assert x.grad.tolist() == [1, 1] and a.grad.tolist() == [3, 3] and b.grad is None


def test_missing_gradient_is_named_at_backward():
    @custom_op("t_custom::plain", mutates_args=())
    def plain(x: Tensor) -> Tensor:
        return x + 1
    y = plain(torch.ones(1, requires_grad=True))
    with pytest.raises(RuntimeError, match="Trying to backward through t_custom.plain.default but no autograd formula"):
        y.backward()
    plain.register_autograd(lambda ctx, g: g * 5)              # registered late: the next backward finds it
    x = torch.ones(1, requires_grad=True)
    plain(x).backward()
    assert x.grad.item() == 5


def test_schema_given_and_checked():
    op = custom_op("t_custom::given", lambda x, k: x * k, mutates_args=(), schema="(Tensor x, Scalar k=3) -> Tensor")
    assert op(torch.ones(1)).item() == 3
    with pytest.raises(ValueError, match="make these consistent"):
        custom_op("t_custom::given2", lambda x: None, mutates_args=(), schema="(Tensor(a!) x) -> ()")
    assert not hasattr(torch.ops.t_custom, "given2")


@pytest.mark.parametrize("call, text", [
    (lambda x: scale(), "is missing value for argument 'x'"),
    (lambda x: scale(x, 1.0, 2), "takes 2 positional argument"),
    (lambda x: scale(x, z=1), "Unknown keyword argument 'z'"),
    (lambda x: scale(x, x=x), "both as positional and keyword"),
    (lambda x: scale(3), "type 'Tensor' for argument 'x' but instead found type 'int'"),
    (lambda x: scale(x, "a"), "type 'float' for argument 'k'"),
    (lambda x: scale(x, n=1.5), "type 'int' for argument 'n'"),
])
def test_arguments_are_checked(call, text):
    with pytest.raises(RuntimeError, match=text) as caught:
        call(torch.ones(1))
    assert "t_custom::scale(Tensor x, float k=2., *, SymInt n=1) -> Tensor" in str(caught.value)


def test_names_are_checked():
    with pytest.raises(ValueError, match="namespace"):
        custom_op("noname", lambda x: x, mutates_args=(), schema="(Tensor x) -> Tensor")
    with pytest.raises(AttributeError, match="'_OpNamespace' 't_custom' object has no attribute 'nope'"):
        torch.ops.t_custom.nope
    with pytest.raises(AttributeError, match="no overload name 'nope'"):
        torch.ops.t_custom.scale.nope


def test_pickle_copy_and_threads():
    assert pickle.loads(pickle.dumps(scale)) is scale
    op = torch.ops.t_custom.scale.default
    assert pickle.loads(pickle.dumps(op)) is op and copy.deepcopy(op) is op
    got = []
    workers = [threading.Thread(target=lambda: got.append(scale(torch.ones(1)).item())) for _ in range(4)]
    [w.start() for w in workers]
    [w.join() for w in workers]
    assert got == [2.0] * 4


class _Scaled(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        return scale(torch.full((1,), float(i)))


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_in_data_loader_workers(context):
    loader = torch.utils.data.DataLoader(_Scaled(), batch_size=2, num_workers=1, multiprocessing_context=context)
    assert torch.cat(list(loader)).flatten().tolist() == [0, 2, 4, 6]


def test_no_cycle_and_no_leak():
    class Probe:
        pass
    import weakref
    gc.disable()
    try:
        x = torch.ones(3, requires_grad=True)
        y = scale(x)
        probe = y.grad_fn.probe = Probe()
        ref = weakref.ref(probe)
        del probe, y
        assert ref() is None
    finally:
        gc.enable()


# ---- Library -----------------------------------------------------------------------------------------------
def test_library_define_impl_overloads_and_life():
    lib = Library("t_lib", "DEF")
    assert lib.define("add(Tensor a, Tensor b) -> Tensor") == "add"
    lib.define("add.number(Tensor a, Scalar b) -> Tensor")
    with pytest.raises(NotImplementedError, match="Could not run 't_lib::add'"):
        torch.ops.t_lib.add(torch.ones(1), torch.ones(1))
    lib.impl("add", lambda a, b: a + b, "CPU")
    lib.impl("add.number", lambda a, b: a + b, "CompositeExplicitAutograd")
    assert torch.ops.t_lib.add(torch.ones(1), torch.ones(1)).item() == torch.ops.t_lib.add(torch.ones(1), 1).item() == 2
    assert torch.ops.t_lib.add.overloads() == ["default", "number"] and torch.ops.t_lib.add.number.name() == "t_lib::add.number"
    with pytest.raises(RuntimeError, match="multiple times"):
        lib.define("add(Tensor a) -> Tensor")
    with pytest.raises(RuntimeError, match="Only a single"):
        Library("t_lib", "DEF")
    with pytest.raises(RuntimeError, match="kind \"IMPL\""):
        Library("t_lib", "IMPL").define("x(Tensor a) -> Tensor")
    with pytest.raises(RuntimeError, match="could not parse dispatch key: NOPE"):
        lib.impl("add", lambda a, b: a, "NOPE")
    with pytest.raises(RuntimeError, match="t_lib::nope does not exist"):
        lib.impl("nope", lambda a: a)
    with pytest.raises(TypeError, match="callable"):
        lib.impl("add", 3)
    with pytest.raises(ValueError, match="Unsupported kind"):
        Library("t_lib", "NEW")
    del lib
    gc.collect()
    assert not hasattr(torch.ops.t_lib, "add")
    Library("t_lib", "DEF")._destroy()


def test_library_kernels_record_what_they_are_made_of():
    lib = Library("t_lib2", "FRAGMENT")
    lib.define("sine(Tensor x) -> Tensor")
    lib.impl("sine", lambda x: x.sin())
    x = torch.ones(1, requires_grad=True)
    assert torch.ops.t_lib2.sine(x).grad_fn.name() == "SinBackward0"
    torch.library.register_autograd("t_lib2::sine", lambda ctx, g: g * 9)
    torch.ops.t_lib2.sine(x).backward()
    assert x.grad.item() == 9
    lib._destroy()


def test_autograd_key_and_the_call_below():
    lib = Library("t_lib3", "FRAGMENT")
    lib.define("twice(Tensor x) -> Tensor")
    lib.impl("twice", lambda x: torch.tensor(x.numpy() * 2), "CPU")

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return torch.ops.t_lib3.twice(x)                 # reaches the CPU kernel

        @staticmethod
        def backward(ctx, g):
            return g * 2
    lib.impl("twice", Twice.apply, "Autograd")
    x = torch.ones(1, requires_grad=True)
    torch.ops.t_lib3.twice(x).backward()
    assert x.grad.item() == 2
    lib._destroy()


@pytest.mark.parametrize("text, message", [
    ("f(Tensr x) -> Tensor", "unknown type specifier"), ("f(Tensor x", "expected \\) but found 'eof'"), ("f Tensor x -> Tensor", "expected eof but found 'ident'"),
    ("f(Tensor x) Tensor", "expected arrow but found 'ident'"), ("", "expected ident but found 'eof'"), ("f(Tensor x, int y=abc) -> Tensor", "invalid numeric default"),
    ("f(Tensor x=3) -> Tensor", "expected None but found 'number'"), ("f(int y=1, Tensor z) -> Tensor", "Non-default positional argument"),
    ("f(Tensor x, Tensor x) -> Tensor", "two arguments are named 'x'"), ("g::f(Tensor x) -> Tensor", "does not match namespace"), ("f(Tensor $) -> Tensor", "unexpected character"),
    ("f(int x=1.5) -> Tensor", "an int is needed"),
])
def test_schema_errors(text, message):
    lib = Library("t_schema", "FRAGMENT")
    with pytest.raises(RuntimeError, match=message):
        lib.define(text)


def test_schema_defaults_and_broadcast_lists():
    lib = Library("t_schema2", "FRAGMENT")
    lib.define('f(Tensor[] x, int[2] k, ScalarType? d=None, Scalar s=1.5, bool b=False, str n="q", Device? dev=None, float[3]? ff=None, int[] z=[1, 2]) -> Tensor[]')
    seen = []
    lib.impl("f", lambda x, *rest: (seen.append(rest), x)[1])
    f = torch.ops.t_schema2.f
    assert str(f.default._schema) == ('t_schema2::f(Tensor[] x, int[2] k, ScalarType? d=None, Scalar s=1.5, bool b=False, str n="q", Device? dev=None, '
                                      "float[3]? ff=None, int[] z=[1, 2]) -> Tensor[]")
    x = torch.ones(1)
    assert f([x], 3)[0] is x
    f((x,), [3, np.int64(4)], torch.float32, 3, True, "z", "cpu", [1, 2, 3])
    assert seen == [([3, 3], None, 1.5, False, "q", None, None, [1, 2]), ([3, 4], torch.float32, 3, True, "z", torch.device("cpu"), [1.0, 2.0, 3.0], [1, 2])]
    for bad in ({"d": "float32"}, {"s": "a"}, {"n": 3}, {"b": "x"}):
        with pytest.raises(RuntimeError, match="Expected a value of type"):
            f([x], [3, 4], **bad)
    with pytest.raises(RuntimeError, match="'List\\[Tensor\\]' for argument 'x' but instead found type 'list'"):
        f([x, 2], 3)


def test_infer_schema_with_string_hints():
    def later(x: "Tensor", k: "Optional[float]" = None, d: "torch.dtype" = torch.float32) -> "Tensor":
        return x
    assert infer_schema(later, mutates_args=(), op_name="later") == "later(Tensor x, float? k=None, ScalarType d=float32) -> Tensor"

    def unknown(x: "NoSuchType") -> Tensor:      # noqa: F821
        return x
    with pytest.raises(ValueError, match="NameError"):
        infer_schema(unknown, mutates_args=())


# ---- opcheck -----------------------------------------------------------------------------------------------
def test_opcheck_passes_and_names_what_is_wrong():
    x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert set(opcheck(scale, (x, 2.0), {"n": 3}).values()) == {"SUCCESS"}
    assert set(opcheck(double_, (torch.ones(2),)).values()) == {"SUCCESS"}

    @custom_op("t_custom::liar", mutates_args=())
    def liar(x: Tensor) -> Tensor:
        x.add_(1)
        return x.new_zeros(2, 3)
    liar.register_fake(lambda x: x.new_empty(2, 4))
    got = opcheck(liar, (torch.ones(2),), raise_exception=False)
    assert "Argument x is not defined as mutable but was mutated" in str(got["test_schema"])
    assert "shape [2, 3], the fake impl gives [2, 4]" in str(got["test_faketensor"])
    with pytest.raises(torch.errors.OpCheckError, match="test_schema failed"):
        opcheck(liar, (torch.ones(2),))
    with pytest.raises(ValueError, match="subset"):
        opcheck(scale, (x,), test_utils="nope")
    with pytest.raises(ValueError, match="OpOverload"):
        opcheck(3, ())


def test_fake_with_sizes_that_values_decide():
    @custom_op("t_custom::nonzero", mutates_args=())
    def nonzero(x: Tensor) -> Tensor:
        return torch.tensor(np.stack(np.nonzero(x.numpy()), 1))

    @nonzero.register_fake
    def _(x):
        return x.new_empty([torch.library.get_ctx().new_dynamic_size(), x.dim()], dtype=torch.int64)
    assert opcheck(nonzero, (torch.tensor([0.0, 1.0, 2.0]),), test_utils="test_faketensor") == {"test_faketensor": "SUCCESS"}
    with pytest.raises(RuntimeError, match="inside a function given to register_fake"):
        torch.library.get_ctx()


def test_unregistered_gradient_fails_opcheck():
    lib = Library("t_lib4", "FRAGMENT")
    lib.define("sine(Tensor x) -> Tensor")
    lib.impl("sine", lambda x: x.sin(), "CPU")
    got = opcheck(torch.ops.t_lib4.sine, (torch.ones(1, requires_grad=True),), test_utils="test_autograd_registration", raise_exception=False)
    assert "no gradient is registered" in str(got["test_autograd_registration"])
    lib._destroy()
