"""CUDA kernels behind the operators that are not rows of the table: Note [Kernels of devices] in tensor/_devices.py. Every module here
names its kernels when it is imported."""
from importlib import import_module
from pkgutil import iter_modules

for _, _name, _ in iter_modules(__path__):
    import_module("." + _name, __name__)
