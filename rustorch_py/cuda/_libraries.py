"""Where NVIDIA's libraries are."""
import os
from importlib.util import find_spec


def find(variable, name, wheel, here=True):
    """Return the path or name of a shared library for the loader, or None.

    Args:
        variable: environment variable that names it; "0": it is not wanted.
        name: of the file, with its version.
        wheel: folder of NVIDIA's wheel below ``nvidia`` (wheels for CUDA 13 share ``cu13``).
        here: look for it where no variable names it.
    """
    given = os.environ.get(variable, "")
    if given:
        return None if given == "0" else given
    if not here:
        return None
    spec = find_spec("nvidia")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for part in ("cu13", wheel):
            path = os.path.join(folder, part, "lib", name)
            if os.path.exists(path):
                return path
    return name
