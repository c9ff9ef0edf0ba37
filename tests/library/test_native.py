"""Operators from shared libraries: against NumPy over dtype, layout and instruction set; gradients; what a bad library is told."""
import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import rustorch_py as torch
from rustorch_py.errors import PluginError

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def compile_library(source, target):
    cc = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]
    done = subprocess.run([cc, "-std=gnu11", "-O2", "-Wall", "-Werror", "-fPIC", "-shared", "-I", torch.get_include(), str(source), "-o", str(target), "-lm"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="session")
def lib_path(tmp_path_factory):
    return compile_library(HERE / "ops.c", tmp_path_factory.mktemp("native") / "libops.so")


@pytest.fixture(scope="session")
def ops(lib_path):
    return torch.library.load(lib_path)


def layouts(a):
    """The same values in several layouts."""
    base = torch.tensor(a)
    yield base
    yield torch.tensor(np.ascontiguousarray(a.T)).t()
    wide = torch.zeros(a.shape[0], a.shape[1] * 2, dtype=base.dtype)
    wide[:, ::2] = base
    yield wide[:, ::2]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "float16", "bfloat16"])
def test_unary_over_dtypes_and_layouts(ops, dtype):
    a = np.arange(-6, 6).reshape(3, 4)
    for x in layouts(a):
        y = ops.scaled_square(x.to(getattr(torch, dtype)), 3.0)
        assert y.dtype == getattr(torch, dtype)
        assert np.array_equal(y.double().numpy(), 3.0 * a * a)


def test_large_strided_and_threaded(ops):
    a = np.random.default_rng(0).standard_normal((700, 600))
    for x in layouts(a):
        assert np.array_equal(ops.scaled_square(x, 0.5).numpy(), 0.5 * a * a)


def test_broadcast_promotion_and_numbers(ops):
    x, y, w = torch.randn(4, 1, dtype=torch.float64), torch.randn(3), torch.tensor(0.25)
    got = ops.blend(x, y, w)
    assert got.shape == (4, 3) and got.dtype == torch.float64
    assert np.allclose(got.numpy(), x.numpy() + 0.25 * (y.double().numpy() - x.numpy()), rtol=0, atol=1e-15)
    assert ops.blend(torch.tensor([1, 2]), torch.tensor([3, 4]), torch.tensor(1)).dtype == torch.float32
    assert ops.blend(torch.zeros(0, 3), torch.zeros(3), torch.zeros(1)).shape == (0, 3)
    with pytest.raises(RuntimeError, match="must match"):
        ops.blend(torch.zeros(2), torch.zeros(3), torch.zeros(1))


def test_result_keeps_the_stride_order_of_a_dense_input(ops):
    x = torch.randn(3, 4).t()
    assert ops.scaled_square(x).stride() == (x * x).stride() == (1, 4)


def test_bool_result_and_missing_dtype(ops):
    x = torch.tensor([1.0, 3.0], dtype=torch.float64, requires_grad=True)
    y = ops.exceeds(x, 2.0)
    assert y.dtype == torch.bool and y.tolist() == [False, True] and not y.requires_grad
    with pytest.raises(NotImplementedError, match="native_test::exceeds.* not implemented for 'Float'"):
        ops.exceeds(torch.ones(2), 1.0)
    with pytest.raises(NotImplementedError, match="'Int'"):
        ops.scaled_square(torch.ones(2, dtype=torch.int32))


def test_gradients_and_second_derivatives(ops):
    x = torch.randn(3, 1, dtype=torch.float64, requires_grad=True)
    y, w = torch.randn(3, 4, dtype=torch.float64, requires_grad=True), torch.rand(4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ops.blend, (x, y, w))
    assert torch.autograd.gradcheck(lambda t: ops.scaled_square(t, 1.5), (y,))
    assert torch.autograd.gradcheck(lambda t: ops.scaled_square(t, 1.5), (y.detach().t().requires_grad_(),))
    assert torch.autograd.gradgradcheck(lambda t: ops.scaled_square(t, 1.5), (y,))


def test_loops_that_have_no_second_derivative_say_so(ops):
    x, y, w = (torch.randn(3, dtype=torch.float64, requires_grad=True) for _ in range(3))
    g, = torch.autograd.grad(ops.blend(x, y, w).sum(), w, create_graph=True)
    assert torch.equal(g, (y - x))
    with pytest.raises(RuntimeError, match="native_test::blend: its derivative loops cannot be differentiated again"):
        g.sum().backward()


def test_gradient_in_the_inputs_dtype(ops):
    x = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
    ops.scaled_square(x, 2.0).sum().backward()
    assert x.grad.dtype == torch.bfloat16 and x.grad.tolist() == [4.0] * 3


def test_no_grad_and_stale_inputs(ops):
    x = torch.ones(3, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        assert not ops.scaled_square(x).requires_grad
    z = x * 1
    y = ops.scaled_square(z)
    z.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_general_operator_with_two_results(ops):
    x = torch.randn(6, dtype=torch.float64)[::2].requires_grad_()
    total, square = ops.prefix(x, 2.0, power=3)
    assert np.allclose(total.detach().numpy(), 2 * np.cumsum(x.detach().numpy())) and np.allclose(square.detach().numpy(), 3 * x.detach().numpy() ** 2)
    assert torch.autograd.gradcheck(lambda t: ops.prefix(t, 2.0, 3), (x,))
    only = torch.autograd.grad(ops.prefix(x, 2.0, 3)[1].sum(), x)[0]          # the other result's gradient arrives as zeros
    assert np.allclose(only.numpy(), 6 * x.detach().numpy())
    with pytest.raises(RuntimeError, match="native_test::prefix: expected 1 dimension, got 2"):
        ops.prefix(torch.ones(2, 2, dtype=torch.float64))
    with pytest.raises(NotImplementedError, match="expected float64"):
        ops.prefix(torch.ones(2))


def test_optional_tensor_and_missing_gradient(ops):
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    assert ops.given(x).tolist() == [0, 0] and ops.given(x, torch.ones(1, dtype=torch.float64)).tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        ops.given(x).sum().backward()


def test_python_may_give_the_gradient(ops):
    torch.library.register_autograd("native_test::given", lambda ctx, g: (g * 7, None))
    try:
        x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        ops.given(x).sum().backward()
        assert x.grad.tolist() == [7, 7]
    finally:
        op = ops.given.default
        op._backward, op._records = None, False


def test_opcheck_and_arguments(ops):
    x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert set(torch.library.opcheck(ops.scaled_square, (x,)).values()) == {"SUCCESS"}
    assert set(torch.library.opcheck(ops.prefix.default, (x, 2.0)).values()) == {"SUCCESS"}
    with pytest.raises(RuntimeError, match="Expected a value of type 'Tensor' for argument 'x'"):
        ops.scaled_square(3.0)
    assert str(ops.scaled_square.default._schema) == "native_test::scaled_square(Tensor x, float s=1.) -> Tensor"


def test_profiler_names_it(ops):
    with torch.profiler.profile() as p:
        ops.scaled_square(torch.ones(4))
    assert any(e.key == "native_test::scaled_square" for e in p.key_averages())


def test_conversion_blocks_of_each_instruction_set(ops, level):
    x = torch.randn(1300).bfloat16()
    assert torch.equal(ops.scaled_square(x, 1.0), (x.float() * x.float()).bfloat16())


def test_loading_twice_and_by_the_old_name(ops, lib_path):
    assert torch.library.load(lib_path) is ops
    torch.ops.load_library(str(lib_path))
    assert str(lib_path) in torch.ops.loaded_libraries


def test_a_copy_of_the_library_is_a_second_definition(ops, lib_path, tmp_path):
    other = tmp_path / "copy.so"
    other.write_bytes(lib_path.read_bytes())
    with pytest.raises(RuntimeError, match="multiple times.*libops.so"):
        torch.library.load(other)


def test_forked_workers_compute(ops):
    class Squares(torch.utils.data.Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, i):
            return torch.ops.native_test.scaled_square(torch.full((2,), float(i)))
    got = torch.cat(list(torch.utils.data.DataLoader(Squares(), batch_size=2, num_workers=2)))
    assert got[:, 0].tolist() == [0, 1, 4, 9, 16, 25]


# ---- bad libraries -----------------------------------------------------------------------------------------
HEAD = "#include <rustorch/plugin.h>\nRT_PLUGIN_LOOP1(f, float, a)\nstatic const RtPluginLoops loops[] = {{RT_F32, f, {0}}};\n"
GOOD = '{.schema = "f(Tensor x) -> Tensor", .loops = loops, .nloops = 1}'
TAIL = 'static const RtPlugin plugin = {%s, %s, "%s", ops, sizeof ops / sizeof *ops};\nconst RtPlugin *rustorch_plugin(void) { return &plugin; }\n'


def source(op=GOOD, abi="RT_PLUGIN_ABI", size="sizeof(RtPluginOp)", ns="bad_test", head=HEAD):
    return head + f"static const RtPluginOp ops[] = {{{op}}};\n" + TAIL % (abi, size, ns)


BAD = {
    "no entry": ("int x;", "no function rustorch_plugin"),
    "null": ("#include <rustorch/plugin.h>\nconst RtPlugin *rustorch_plugin(void) { return NULL; }", "returned NULL"),
    "abi": (source(abi="99"), r"plugin ABI 99, this package has ABI 1; build it again"),
    "size": (source(size="8"), "op_nbytes is 8"),
    "namespace": (source(ns="not a name"), "must be an identifier, got 'not a name'"),
    "schema": (source(GOOD.replace("Tensor x", "Tensr x")), "operator 0: unknown type specifier 'Tensr'"),
    "argument type": (source(GOOD.replace("Tensor x", "Tensor x, str s")), "argument s has type str"),
    "order": (source(GOOD.replace("Tensor x", "float k, Tensor x")), "tensors come before numbers"),
    "written": (source(GOOD.replace("Tensor x", "Tensor(a!) x")), "aliased arguments are not supported"),
    "dtype": (source(head=HEAD.replace("RT_F32", "77")), "unknown dtype 77"),
    "no forward": (source(head=HEAD.replace("RT_F32, f", "RT_F32, 0").replace("RT_PLUGIN_LOOP1(f, float, a)\n", "")), "float32 has no forward"),
    "twice a dtype": (source(GOOD.replace("nloops = 1", "nloops = 2"), head=HEAD.replace("{0}}};", "{0}}, {RT_F32, f, {0}}};")), "two loops for float32"),
    "device": (source(GOOD.replace(".loops", ".device = RT_CUDA, .loops")), "device is 1"),
    "flags": (source(GOOD.replace(".loops", ".flags = 1024, .loops")), "unknown bits: 0x400"),
    "cost": (source(GOOD.replace(".loops", ".cost = 9, .loops")), "cost is 9"),
    "reads": (source(GOOD.replace(".loops", ".reads = {RT_READS_Y}, .loops")), r"reads\[0\] names an input"),
    "neither kind": (source('{.schema = "f(Tensor x) -> Tensor"}', head=HEAD.replace("static const RtPluginLoops", "const RtPluginLoops")), "either loops"),
    "no backward": (source(GOOD.replace(".loops", '.backward = "g", .loops')), "names 'g', which is not an operator"),
    "backward takes": (source(GOOD.replace(".loops", '.backward = "f", .loops').replace("f(Tensor x", "f(Tensor q")
                              + ', {.schema = "g(Tensor x) -> Tensor", .loops = loops, .nloops = 1, .backward = "f"}'), "takes q; known names are grad, result, x"),
    "results": (source(GOOD.replace("-> Tensor", "-> int")), "results are tensors"),
}


@pytest.fixture(scope="session")
def bad_libraries(tmp_path_factory):
    """All bad libraries, compiled by a few processes at a time."""
    from concurrent.futures import ThreadPoolExecutor
    folder = tmp_path_factory.mktemp("bad")

    def build(item):
        name, (text, _) = item
        c_file = folder / (name.replace(" ", "_") + ".c")
        c_file.write_text(text)
        return name, compile_library(c_file, c_file.with_suffix(".so"))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return dict(pool.map(build, BAD.items()))


@pytest.mark.parametrize("name", BAD)
def test_bad_library(bad_libraries, name):
    with pytest.raises(PluginError, match=BAD[name][1]) as caught:
        torch.library.load(bad_libraries[name])
    assert str(bad_libraries[name]) in str(caught.value) and isinstance(caught.value, OSError)
    assert "bad_test" not in dir(torch.ops)


def test_missing_file_and_no_library(tmp_path):
    with pytest.raises(OSError, match="Could not load this library: /no/such/file.so"):
        torch.library.load("/no/such/file.so")
    text = tmp_path / "text.so"
    text.write_text("not a library")
    with pytest.raises(PluginError, match="text.so"):
        torch.ops.load_library(text)


def test_import_of_the_package_does_not_load_the_library_part():
    code = "import sys, rustorch_py; assert not {'rustorch_py.library', 'rustorch_py.ops'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
