"""The software device: the Metal back end over a framework that runs kernels on the host. For tests.

The helper's Objective-C is compiled against ``software/`` instead of Apple's framework when it is first asked for, which takes a compiler of Objective-C
(gcc's: ``gobjc``). Kernels are the text that a Mac would get, compiled by the machine's C++ compiler and kept beside CUDA's.
"""
import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile

from ..cuda import _compile
from ..errors import BackendUnavailableError
from . import _text

HERE = os.path.dirname(os.path.abspath(__file__))
SOFTWARE = os.path.join(HERE, "software")
FLAGS = ["-std=gnu11", "-O1", "-g", "-w", "-fPIC", "-shared", "-DRT_METAL_SOFTWARE"]
KERNEL = re.compile(r"^kernel void (\w+)\((.*?)\) \{$", re.M | re.S)
PLACES = {"thread_position_in_threadgroup": "{rt_soft_state.at.x, rt_soft_state.at.y, rt_soft_state.at.z}",
          "threads_per_threadgroup": "{rt_soft_state.block_size.x, rt_soft_state.block_size.y, rt_soft_state.block_size.z}",
          "threadgroups_per_grid": "{rt_soft_state.grid.x, rt_soft_state.grid.y, rt_soft_state.grid.z}",
          "thread_position_in_grid": "rt_soft_state.block.x * rt_soft_state.block_size.x + rt_soft_state.at.x",
          "thread_index_in_threadgroup": "rt_soft_state.at.x", "threadgroup_position_in_grid": "{rt_soft_state.block.x, rt_soft_state.block.y, rt_soft_state.block.z}"}
kept = []                       # what compiled code calls


@functools.cache
def objective_c():
    """Return the command of a compiler of Objective-C with its run-time library, or None."""
    for command in (os.environ.get("OBJC", "").split(), ["gcc"], ["cc"]):
        if command and shutil.which(command[0]):
            with tempfile.TemporaryDirectory(prefix="rustorch_objc_") as folder:
                with open(os.path.join(folder, "a.m"), "w") as f:
                    f.write("#include <objc/runtime.h>\nid rt_made(Class c) { return class_createInstance(c, 0); }\n")
                if subprocess.run([*command, "-fPIC", "-shared", "a.m", "-o", "a.so", "-lobjc"], cwd=folder, capture_output=True).returncode == 0:
                    return command
    return None


def missing():
    """Say what the software device lacks on this machine, or None."""
    if objective_c() is None:
        return "no Objective-C compiler (gcc's is the package gobjc; OBJC names another)"
    if _compile.host_compiler() is None:
        return "no C++ compiler (c++, or the one that CXX names)"
    return None


def call_of(source):
    """Text of a function NAME_run(buffers) for each kernel of a source, which reads its signature as Metal does."""
    text = ""
    for name, params in KERNEL.findall(source):
        given = []
        for param in re.split(r",\s*(?![^\[]*\]\])", params) if params else ():
            what, attribute = re.fullmatch(r"\s*(.*?)\s*\[\[(.*?)\]\]\s*", param, re.S).groups()
            if attribute.startswith("buffer("):
                kind, sign, _ = re.fullmatch(r"(.*?)([*&])\s*(\w+)", what, re.S).groups()
                given.append(f"{'*' if sign == '&' else ''}({kind}*)p[{attribute[7:-1]}]")
            else:
                given.append(f"{what.split()[0]}{{{PLACES[attribute]}}}" if PLACES[attribute][0] != "{" else f"{what.split()[0]}{PLACES[attribute]}")
        text += f'extern "C" __attribute__((visibility("default"))) void {name}_run(void **p) {{ {name}({", ".join(given)}); }}\n'
    return text


class Msl(_compile.Host):
    """The machine's C++ compiler as Metal's."""

    def __init__(self):
        super().__init__()
        self.options = [*self.options, "-fsingle-precision-constant"]
        self._start = hashlib.sha256(self.identity().encode())

    begin_text = property(lambda self: _text.prelude())

    def identity(self):
        with open(os.path.join(SOFTWARE, "metal_stdlib"), encoding="utf-8") as f:
            return super().identity() + f.read() + _text.prelude()

    def _includes(self):
        from .. import get_include
        return ["-I" + folder for folder in (SOFTWARE, get_include())]

    def image(self, text, name):
        """Return the shared object of a source as Metal is given it."""
        begin = _text.prelude()
        rest = text.removeprefix(begin)
        if rest == text:
            raise ValueError("a source that does not begin with the prelude")
        return self.kept_image(rest + call_of(rest), name)


def helper():
    """Compile the helper against the software device; returns it, a ctypes.CDLL.

    Raises:
        BackendUnavailableError: a compiler is missing, or refuses.
    """
    from .. import get_include
    why = missing()
    if why:
        raise BackendUnavailableError(f"metal: the software device cannot be built: {why}")
    with tempfile.TemporaryDirectory(prefix="rustorch_metal_") as folder:
        target = os.path.join(folder, "helper.so")
        done = subprocess.run([*objective_c(), *FLAGS, "-I" + SOFTWARE, "-I" + get_include(), os.path.join(HERE, "helper.m"), os.path.join(SOFTWARE, "device.m"),
                               "-o", target, "-lobjc", "-ldl", "-lpthread"], capture_output=True, text=True)
        if done.returncode:
            raise BackendUnavailableError(f"metal: the software device does not compile:\n{done.stderr[-4000:]}")
        library = ctypes.CDLL(target)               # loaded by now; the name may go
    compile_with(library, Msl())
    return library


def compile_with(library, compiler):
    """Let the framework call `compiler` for the libraries that it is asked for."""
    folder = tempfile.TemporaryDirectory(prefix="rustorch_metal_")

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    def compiled(source, path, log, room):
        try:
            source = source.decode()
            found = KERNEL.search(source)
            image = compiler.image(source, found[1] if found else "kernels")
            target = os.path.join(folder.name, f"{len(os.listdir(folder.name))}.so")
            with open(target, "wb") as f:
                f.write(image)
            text, status = os.fsencode(target), 0
        except Exception as error:
            text, status = str(error).encode(), 1
        ctypes.memmove(log if status else path, text[:room - 1] + b"\0", min(len(text), room - 1) + 1)
        return status

    kept.extend((folder, compiled, library))
    library.rt_soft_metal_compiler(compiled)
