"""Running notebooks: the kernel is this Python, with the package under test, in a folder of its own."""
import json
import os
import sys
import sysconfig
from pathlib import Path

import rustorch_py


def run_notebook(notebook, folder, *, timeout_s=280):
    """Execute a notebook (an nbformat node) in `folder`; outputs go into it, an error in a cell raises."""
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient

    own = Path(folder) / ".jupyter"
    env = {"IPYTHONDIR": str(own / "ipython"), "JUPYTER_RUNTIME_DIR": str(own / "runtime"), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    root = str(Path(rustorch_py.__file__).parents[1])
    if root not in (sysconfig.get_path("platlib"), sysconfig.get_path("purelib")):
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    # A kernel of our own making: one that the user has installed under the name python3 may be another Python.
    spec = own / "kernels" / "under_test"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(json.dumps({
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "under test", "language": "python", "env": env}))
    kept = os.environ.pop("MPLBACKEND", None)      # other tests draw with Agg; a kernel must choose its inline backend
    try:
        manager = AsyncKernelManager(kernel_name="under_test", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(own / "kernels")]))
        NotebookClient(notebook, km=manager, timeout=timeout_s, coalesce_streams=True, resources={"metadata": {"path": str(folder)}}).execute()
    finally:
        if kept is not None:
            os.environ["MPLBACKEND"] = kept
    return notebook


def outputs(notebook):
    """Return all outputs of a notebook's code cells."""
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def texts(output):
    """Return what an output shows as text: stream text, tracebacks, all text/… forms."""
    if output.output_type == "stream":
        return [output.text]
    if output.output_type == "error":
        return [output.ename, output.evalue, *output.traceback]
    return [value for kind, value in output.data.items() if kind.startswith("text/")]
