"""The software device: the CUDA back end over a driver that runs the device's kernels on the host. For tests."""
import os
import shutil
import subprocess
import tempfile

from ..errors import BackendUnavailableError
from . import _compile

SOURCE = os.path.join(_compile.HERE, "software", "driver.c")


def enable():
    """Register the software device as ``cuda``, unless a back end is there. Returns the number of devices.

    Every kernel is the text that a GPU would get, compiled by the machine's C++ compiler, so a first use takes about half a second;
    images are kept in :func:`._compile.cache_folder`. Device memory cannot be reached from the host except through the driver.

    Raises:
        BackendUnavailableError: there is no C compiler.
    """
    compiler = next((c for c in (os.environ.get("CC", "").split(), ["cc"], ["gcc"], ["clang"]) if c and shutil.which(c[0])), None)
    if compiler is None:
        raise BackendUnavailableError("cuda: the software device needs a C compiler (cc, or the one that CC names)")
    with tempfile.TemporaryDirectory(prefix="rustorch_driver_") as folder:
        target = os.path.join(folder, "driver.so")
        done = subprocess.run([*compiler, "-O1", "-g", "-w", "-fPIC", "-shared", "-fvisibility=hidden", SOURCE, "-o", target, "-ldl", "-lpthread"],
                              capture_output=True, text=True)
        if done.returncode:
            raise BackendUnavailableError(f"cuda: the software driver does not compile:\n{done.stderr}")
        # loaded by now; the name may go when the library is open
        from . import _backend
        return _backend.start(target)
