"""Builds the C half; everything else is in pyproject.toml."""
import rustorch_py
from setuptools import Extension, setup

# A plain shared library: it includes no Python.h, and the compiler turns its loops into vector instructions.
loops = Extension("rustorch_py_smooth._loops", ["src/loops.c"], include_dirs=[rustorch_py.get_include()],
                  extra_compile_args=["-std=gnu11", "-O3", "-fno-math-errno"])
setup(ext_modules=[loops])
