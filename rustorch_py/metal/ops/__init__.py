"""Metal's kernels of hand-written operators: importing a module names them to the operators (Note [Kernels of devices] in tensor/_devices.py)."""
from . import softmax   # noqa: F401
