"""Compiles kernel text, and keeps what was compiled in a folder.

Two compilers share one interface: :class:`Nvrtc` for devices, :class:`Host` for the software device (``software/``).
"""
import atexit
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

from ..errors import KernelCompileError, MissingDependencyError

HERE = os.path.dirname(os.path.abspath(__file__))
PRELUDE = '#include "prelude.cuh"\n'
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.M)

# The C library's headers as far as ours use them; NVRTC has none, and its functions are built in.
DEVICE_HEADERS = {
    "stdint.h": """#pragma once
typedef signed char int8_t; typedef unsigned char uint8_t; typedef short int16_t; typedef unsigned short uint16_t;
typedef int int32_t; typedef unsigned int uint32_t; typedef long long int64_t; typedef unsigned long long uint64_t;
typedef unsigned long long uintptr_t;
#define INT8_MIN (-128)
#define INT8_MAX 127
#define INT16_MIN (-32768)
#define INT16_MAX 32767
#define INT32_MIN (-2147483647 - 1)
#define INT32_MAX 2147483647
#define INT64_MIN (-9223372036854775807ll - 1)
#define INT64_MAX 9223372036854775807ll
""",
    "stddef.h": "#pragma once\n", "string.h": "#pragma once\n", "complex.h": "#pragma once\n",
    "math.h": """#pragma once
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fc00000)
#define lgammaf_r(x, sign) (*(sign) = 1, lgammaf(x))
#define lgamma_r(x, sign) (*(sign) = 1, lgamma(x))
""",
}


def _headers():
    """name -> text of every header that kernels include, ours and the device's C library."""
    from .. import get_include
    found = dict(DEVICE_HEADERS)
    folder = os.path.join(get_include(), "rustorch")
    for name in os.listdir(folder):
        if name.endswith(".h"):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                found["rustorch/" + name] = f.read()
            found.setdefault(name, found["rustorch/" + name])       # siblings include each other by plain names; math.h is the C library's
    kernels = os.path.join(HERE, "kernels")
    for path in (os.path.join(kernels, "prelude.cuh"), *(os.path.join(kernels, name) for name in os.listdir(kernels) if name.endswith(".h")),
                 *(os.path.join(os.path.dirname(HERE), "tensor", "kernels", name) for name in ("special.c", "bessel.c", "bessel.h", "bessel_tables.h", "optim.h", "optim_type.h", "divisor.h"))):
        with open(path, encoding="utf-8") as f:
            found[os.path.basename(path)] = f.read()
    return found


def cache_folder():
    """Return the folder of compiled kernels: RUSTORCH_CACHE_DIR, else ``rustorch_py`` in the user's cache folder."""
    base = os.environ.get("RUSTORCH_CACHE_DIR")
    if not base:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "rustorch_py")
    return os.path.join(base, "kernels")


def _keep(path, data):
    """Write a file of the cache under its name in one step; without a folder to write to there is no cache."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        fd, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".new")
        with os.fdopen(fd, "wb") as f:
            f.write(hashlib.sha256(data).digest() + data)
        os.replace(temporary, path)
    except OSError:
        return False
    return True


def _kept(path):
    """What :func:`_keep` wrote, or None: not there, or torn."""
    try:
        with open(path, "rb") as f:
            data = f.read()
    except OSError:
        return None
    return data[32:] if hashlib.sha256(data[32:]).digest() == data[:32] else None


class Compiler:
    """Text to an image that the driver loads; images are kept by the hash of everything that decides them."""

    suffix = ""
    in_groups = False               # Note [Kernels of most programs] in _common.py

    def __init__(self):
        self.headers = _headers()
        self._start = hashlib.sha256(self.identity().encode())
        self._closures = {}
        self.compiled = self.found = 0

    def digest(self, text):
        """Return a hash of everything that decides a text's image: the compiler, the text, and the headers that it reads."""
        named = frozenset(INCLUDE.findall(text))
        if named not in self._closures:
            seen, left = set(), list(named)
            while left:
                name = left.pop()
                if name in self.headers and name not in seen:
                    seen.add(name)
                    left += INCLUDE.findall(self.headers[name])
            found = self._start.copy()
            for name in sorted(seen):
                found.update(name.encode() + b"\0" + self.headers[name].encode() + b"\0")
            self._closures[named] = found
        found = self._closures[named].copy()
        found.update(text.encode())
        return found.hexdigest()[:40]

    def identity(self):
        """Say which compiler this is, with its version and options."""
        raise NotImplementedError

    def compile(self, text, name):
        raise NotImplementedError

    def image(self, text, name):
        """Return the image of the kernels in `text`; `name` is used in messages."""
        return self.kept_image(PRELUDE + ('#include "special.c"\n' if any(f"F({f})" in text for f in SPECIAL) else "") + text, name)

    def kept_image(self, text, name):
        """Return the image of a whole text, kept or compiled."""
        path = os.path.join(cache_folder(), self.digest(text) + self.suffix)
        data = _kept(path)
        if data is not None:
            self.found += 1
            return data
        data = self.compile(text, name)
        self.compiled += 1
        _keep(path, data)
        return data

    def failed(self, text, name, log):
        """Raise for a kernel that does not compile; its source is left where the message says."""
        fd, path = tempfile.mkstemp(prefix=name[:60] + "_", suffix=".cu")
        with os.fdopen(fd, "w", encoding="utf-8") as f:
            f.write(text)
        raise KernelCompileError(f"cuda: kernel {name} does not compile; its source is {path}\n{log.strip()}", op=name, source=path, log=log)


# functions of special.c, which is long: read only by kernels that call one
SPECIAL = ("digamma", "zeta", "polygamma", "i0", "i0e", "i1", "i1e", "erfinv", "erfcx", "ndtri", "log_ndtr")


class Nvrtc(Compiler):
    """NVIDIA's run-time compiler, from the wheel nvidia-cuda-nvrtc through cuda-python.

    Args:
        arch: such as ``"sm_90"``.

    Raises:
        MissingDependencyError: a package is not installed.
    """

    suffix = ".cubin"
    in_groups = True

    def __init__(self, arch):
        try:
            from cuda.bindings import nvrtc
            self.nvrtc = nvrtc
            self.version = ".".join(str(v) for v in self._check(nvrtc.nvrtcVersion()))
        except Exception as error:                 # cuda.pathfinder raises its own class when the library is absent
            raise MissingDependencyError(f"cuda: NVIDIA's compiler is not there ({type(error).__name__}); pip install 'rustorch_py[cuda]'") from error
        self.options = [f"--gpu-architecture={arch}", "--device-as-default-execution-space", "-std=c++17", "--fmad=false", "-w"]
        super().__init__()

    def identity(self):
        return f"nvrtc {self.version} {' '.join(self.options)}"

    def _check(self, result):
        code, *values = result
        if code != self.nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise KernelCompileError(f"cuda: {self.nvrtc.nvrtcGetErrorString(code)[1].decode()}")
        return values[0] if len(values) == 1 else values

    def compile(self, text, name):
        names, texts = [n.encode() for n in self.headers], [t.encode() for t in self.headers.values()]
        program = self._check(self.nvrtc.nvrtcCreateProgram(text.encode(), (name[:60] + ".cu").encode(), len(names), texts, names))
        try:
            code, = self.nvrtc.nvrtcCompileProgram(program, len(self.options), [o.encode() for o in self.options])
            if code != self.nvrtc.nvrtcResult.NVRTC_SUCCESS:
                log = bytearray(self._check(self.nvrtc.nvrtcGetProgramLogSize(program)))
                buffer = bytes(log)
                self.nvrtc.nvrtcGetProgramLog(program, buffer)
                self.failed(text, name, buffer.rstrip(b"\0").decode(errors="replace"))
            image = bytes(self._check(self.nvrtc.nvrtcGetCUBINSize(program)))
            self._check(self.nvrtc.nvrtcGetCUBIN(program, image))
            return image
        finally:
            self.nvrtc.nvrtcDestroyProgram(program)


def host_compiler():
    """Return the command of a C++ compiler, or None."""
    for command in (os.environ.get("CXX", "").split(), ["c++"], ["g++"], ["clang++"]):
        if command and shutil.which(command[0]):
            return command
    return None


class Host(Compiler):
    """The machine's C++ compiler, for the software device. An image is the bytes of a shared object."""

    suffix = ".so"
    begin = None
    begin_text = '#include "host.h"\n' + PRELUDE

    def __init__(self):
        self.command = host_compiler()
        if self.command is None:
            raise MissingDependencyError("cuda: the software device needs a C++ compiler (c++, or the one that CXX names)")
        self.options = ["-std=c++17", "-O1", "-w", "-fPIC", "-shared", "-fvisibility=hidden", "-ffp-contract=off", "-fwrapv", "-fno-strict-aliasing"]
        super().__init__()

    def identity(self):
        version = subprocess.run([*self.command, "--version"], capture_output=True, text=True).stdout
        with open(os.path.join(HERE, "software", "host.h"), encoding="utf-8") as f:
            return f"{version} {sys.platform} {' '.join(self.options)} {f.read()}"

    def _includes(self):
        from .. import get_include
        return ["-I" + folder for folder in (get_include(), os.path.join(HERE, "kernels"), os.path.join(HERE, "software"),
                                             os.path.join(os.path.dirname(HERE), "tensor", "kernels"))]

    def _prelude(self):
        """Return options that read what every kernel begins with as a precompiled header, made once and kept beside the images: it is most
        of a small kernel's time. A compiler that makes none, or does not take it, reads the text."""
        if self.begin is None:
            begin = self.begin_text
            folder = os.path.join(cache_folder(), self.digest(begin) + ".begin")
            if not os.path.exists(os.path.join(folder, "begin.h.gch")):
                try:
                    os.makedirs(cache_folder(), exist_ok=True)
                    made = tempfile.mkdtemp(dir=cache_folder(), prefix=".new")
                except OSError:
                    made = tempfile.mkdtemp(prefix="rustorch_kernel_")
                    atexit.register(shutil.rmtree, made, True)
                with open(os.path.join(made, "begin.h"), "w", encoding="utf-8") as f:
                    f.write(begin)
                subprocess.run([*self.command, *self.options, *self._includes(), "-x", "c++-header", os.path.join(made, "begin.h"), "-o",
                                os.path.join(made, "begin.h.gch")], capture_output=True)
                if os.path.dirname(made) == cache_folder():
                    try:
                        os.rename(made, folder)
                    except OSError:                     # another process was first
                        shutil.rmtree(made, True)
                else:
                    folder = made
            self.begin = ["-include", os.path.join(folder, "begin.h")]
        return self.begin

    def compile(self, text, name):
        with tempfile.TemporaryDirectory(prefix="rustorch_kernel_") as folder:
            source, target = os.path.join(folder, "kernel.cpp"), os.path.join(folder, "kernel.so")
            with open(source, "w", encoding="utf-8") as f:
                f.write(text)
            done = subprocess.run([*self.command, *self.options, *self._prelude(), *self._includes(), source, "-o", target], capture_output=True, text=True)
            if done.returncode:
                self.failed(text, name, done.stderr)
            with open(target, "rb") as f:
                return f.read()
