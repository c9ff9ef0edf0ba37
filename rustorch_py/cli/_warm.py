"""`rustorch warm`."""
from __future__ import annotations

import re
import time


def run(arguments):
    """Compile the kernels of most programs; returns the exit code."""
    from .. import cuda
    from ..cuda import _common, _compile
    from ..errors import DataError, DeviceError
    from ._bench import cores

    try:
        only = None if arguments.only is None else re.compile(arguments.only)
    except re.error as error:
        raise DataError(f"--only: {arguments.only!r} is no regular expression: {error}") from error
    archs = arguments.arch
    if not archs:
        if not cuda.is_available():
            raise DeviceError(f"{cuda._why}; --arch names an architecture without a device")
        if cuda.get_device_name().startswith("Software"):
            archs = ["software"]
        else:
            archs = sorted({"sm_%d%d" % cuda.get_device_capability(i) for i in range(cuda.device_count())})
    for arch in archs:
        if not re.fullmatch(r"sm_\d+[a-z]?|software", arch):
            raise DataError(f"--arch: expected an architecture such as sm_90, got {arch!r}")
    begun = time.perf_counter()
    images, compiled = _common.compile_all(archs, arguments.processes or cores(), only)
    if not images:
        raise DataError(f"--only: no image's label matches {arguments.only!r}")
    print(f"{images} images for {', '.join(archs)}: {compiled} compiled in {time.perf_counter() - begun:.1f} s, {images - compiled} were there ({_compile.cache_folder()})")
    return 0
