"""Installed plugins: found at need, named when broken; and the example package, built, installed and used."""
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import rustorch_py as torch
from rustorch_py.errors import PluginError

ROOT = Path(__file__).resolve().parent.parent.parent


def run_python(code, *folders):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *folders))), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The example plugin of tutorials/, installed into a folder of its own, without a network."""
    base = tmp_path_factory.mktemp("plugin_example")
    shutil.copytree(ROOT / "tutorials" / "plugin_example", base / "source")
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation", "--no-deps", "--disable-pip-version-check",
                           "--target", str(base / "target"), str(base / "source")], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout + done.stderr
    return base / "target"


def test_example_package_in_a_fresh_process(installed):
    out = run_python("""
        import sys
        import rustorch_py as torch
        assert not {"rustorch_py.library", "importlib.metadata", "rustorch_py_smooth"} & set(sys.modules)
        found, = torch.library.plugins()
        assert (found.name, found.distribution, found.version, found.loaded) == ("smooth", "rustorch-py-smooth", "1.0", False)
        x = torch.randn(5, dtype=torch.float64, requires_grad=True)
        limit = (torch.rand(4, 1, dtype=torch.float64) + 0.5).requires_grad_()
        smooth = torch.ops.smooth                            # loads the package
        assert found.loaded and "rustorch_py_smooth" in sys.modules
        assert torch.allclose(smooth.softclip(x, limit), limit * torch.tanh(x / limit))
        assert torch.allclose(smooth.logcosh(x, 2.0), torch.log(torch.cosh(2 * x)) / 2)
        assert torch.autograd.gradcheck(smooth.softclip, (x, limit))
        assert torch.autograd.gradcheck(lambda t: smooth.logcosh(t, 2.0), (x,)) and torch.autograd.gradgradcheck(smooth.logcosh, (x,))
        for op, args in ((smooth.softclip, (x, limit)), (smooth.logcosh, (x,))):
            assert set(torch.library.opcheck(op, args).values()) == {"SUCCESS"}
        assert smooth.softclip(torch.arange(3), torch.tensor(2)).dtype == torch.float32
        half = torch.randn(9).bfloat16()
        assert torch.equal(smooth.softclip(half, torch.ones(1).bfloat16()), torch.tanh(half))
        print("fine")
    """, installed)
    assert out == "fine\n"


def test_example_package_trains(installed):
    out = run_python("""
        import rustorch_py as torch
        torch.manual_seed(0)
        x = torch.randn(64, 1)
        y = 2 * x + 1
        model = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
        for _ in range(300):
            optimizer.zero_grad()
            loss = torch.ops.smooth.logcosh(torch.ops.smooth.softclip(model(x) - y, torch.tensor(3.0))).mean()
            loss.backward()
            optimizer.step()
        print(loss.item() < 1e-6, round(model.weight.item(), 2), round(model.bias.item(), 2))
    """, installed)
    assert out == "True 2.0 1.0\n"


def fake_package(folder, name, entry, body, distribution=None):
    """A package of one module with an entry point, as an installer leaves it."""
    (folder / f"{name}.py").write_text(textwrap.dedent(body))
    info = folder / f"{distribution or name}-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution or name}\nVersion: 2.5\n")
    (info / "entry_points.txt").write_text(f"[rustorch_py.plugins]\n{entry}\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


FUNCTION = """
    import rustorch_py as torch
    calls = []
    def register():
        calls.append(1)
        torch.library.define("t_plug_fn::inc", "(Tensor x) -> Tensor")
        torch.library.impl("t_plug_fn::inc", "cpu", lambda x: x + 1)
"""


def test_entry_point_that_is_a_function(site):
    fake_package(site, "t_plug_function", "t_plug_fn = t_plug_function:register", FUNCTION)
    assert "t_plug_function" not in sys.modules
    plugin, = [p for p in torch.library.plugins() if p.name == "t_plug_fn"]
    assert repr(plugin) == "Plugin('t_plug_fn', 't_plug_function:register', t_plug_function 2.5, not loaded)"
    assert torch.ops.t_plug_fn.inc(torch.ones(1)).item() == 2
    torch.library.load_plugin("t_plug_fn")
    assert sys.modules["t_plug_function"].calls == [1] and plugin.loaded


def test_unpickling_an_operator_loads_its_plugin(site):
    import pickle
    fake_package(site, "t_plug_pickled", "t_plug_pk = t_plug_pickled",
                 "import rustorch_py as torch\ntorch.library.define('t_plug_pk::f', '(Tensor x) -> Tensor')\n"
                 "torch.library.impl('t_plug_pk::f', 'cpu', lambda x: x + 3)\n")
    from rustorch_py.library import _registry
    assert _registry.find("t_plug_pk::f")(torch.ones(1)).item() == 4
    assert pickle.loads(pickle.dumps(torch.ops.t_plug_pk.f)) is torch.ops.t_plug_pk.f


@pytest.mark.parametrize("name, body, cause", [
    ("t_plug_raises", "raise ValueError('no such table')", "ValueError: no such table"),
    ("t_plug_import", "import t_no_such_module", "ModuleNotFoundError: No module named 't_no_such_module'"),
    ("t_plug_syntax", "def", "SyntaxError"),
])
def test_broken_plugin_names_package_and_cause(site, name, body, cause):
    fake_package(site, name, f"{name}_ns = {name}", body, distribution=f"{name}_dist")
    for ask in (lambda: getattr(torch.ops, f"{name}_ns"), lambda: torch.library.load_plugin(f"{name}_ns")):
        with pytest.raises(PluginError, match=f"plugin '{name}_ns' of {name}_dist 2.5 \\({name}\\) failed to load: {cause}"):
            ask()


def test_entry_point_that_is_neither_module_nor_function(site):
    fake_package(site, "t_plug_value", "t_plug_value_ns = t_plug_value:number", "number = 3")
    with pytest.raises(PluginError, match="neither a module nor callable: int"):
        torch.library.load_plugin("t_plug_value_ns")


def test_two_packages_of_one_name_and_none(site):
    fake_package(site, "t_plug_a", "t_plug_same = t_plug_a", "")
    fake_package(site, "t_plug_b", "t_plug_same = t_plug_b", "")
    with pytest.raises(PluginError, match="several packages bring a plugin 't_plug_same': t_plug_[ab] 2.5"):
        torch.library.load_plugin("t_plug_same")
    with pytest.raises(PluginError, match="no installed package has a plugin 't_plug_none'.*installed: .*t_plug_same"):
        torch.library.load_plugin("t_plug_none")
    with pytest.raises(AttributeError, match="'_OpNamespace' 't_plug_none' object has no attribute 'f'"):
        torch.ops.t_plug_none.f
