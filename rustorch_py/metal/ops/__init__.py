"""Metal's kernels of hand-written operators: importing a module names them to the operators (Note [Kernels of devices] in tensor/_devices.py)."""
from . import borrowed, conv, lines, norm, random, softmax   # noqa: F401
