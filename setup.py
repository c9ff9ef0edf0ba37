"""Builds the extension modules; everything else is in pyproject.toml.

Conventions (see ARCHITECTURE.md, "Build"):

* every ``.pyx`` under ``rustorch_py/`` is one extension module; its first lines may carry

      # build: isa=elementwise.inc.c,reduce.inc.c  sources=alloc.c  blas

  ``isa`` files (in ``tensor/kernels``) are compiled once per instruction set with -DRT_ISA,
  ``sources`` (there, or beside the .pyx) once, ``blas`` links the vendored OpenBLAS, ``cold`` says that a call's work outweighs
  what the module does around it (half the compiler's time for 10 % more instructions per call);
* text printed from the operator table goes to ``tensor/kernels/_gen`` and ``tensor/_rows.pyx``;
* objects are rebuilt when a file they read (compiler depfile) or the command line changed.

Environment: RUSTORCH_DEBUG=1 (bounds checks, assertions), RUSTORCH_SANITIZE=1 (ASan + UBSan),
RUSTORCH_BUILD_JOBS.
"""
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext as _build_ext
from setuptools.command.build_py import build_py as _build_py

ROOT = Path(__file__).resolve().parent
os.chdir(ROOT)
PKG = Path("rustorch_py")
KERNELS = PKG / "tensor" / "kernels"
GEN = KERNELS / "_gen"
DEBUG = os.environ.get("RUSTORCH_DEBUG") == "1"
SANITIZE = os.environ.get("RUSTORCH_SANITIZE") == "1"
JOBS = int(os.environ.get("RUSTORCH_BUILD_JOBS", 0)) or os.cpu_count() or 1
MAC = sys.platform == "darwin"
X86 = platform.machine().lower() in ("x86_64", "amd64")

# x86-64-v2 is the portable floor (SSE4.2, 2009); wider sets are chosen at run time.
V2 = ["-mssse3", "-msse4.1", "-msse4.2", "-mpopcnt"] if X86 else []
ISAS = {"base": V2}
if X86:
    # The floor serves machines of 2009-2013: the cheaper optimisation level halves its share of the build.
    ISAS["base"] = V2 if SANITIZE else [*V2, "-O2"]
    ISAS["avx2"] = ["-mavx2", "-mfma", "-mf16c", "-mbmi2"]
    ISAS["avx512"] = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma", "-mf16c",
                      "-mbmi2", "-mprefer-vector-width=512"]
OPENMP = [] if MAC else ["-fopenmp"]
# Exact IEEE results (no -ffast-math); errno and FP traps are not looked at, which lets floor, sqrt
# and selects become vector instructions. Contraction to FMA is left to the kernels that ask for it.
KERNEL_FLAGS = ["-std=gnu11", "-O3", "-fno-math-errno", "-fwrapv", "-fno-trapping-math", "-fcx-fortran-rules", "-ffp-contract=off",
                "-fvisibility=hidden", "-g0", "-Wall", "-Wno-unused-function", "-Wno-unknown-pragmas",
                "-Wno-maybe-uninitialized"]
# The many printed loops are simple: vectors are all that the third level adds to them, at twice the time and text.
# Half a register wide where a loop waits for memory: 5 to 10 % faster there, and as fast where it divides.
ELEMENTWISE_FLAGS = ["-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic", "-funswitch-loops", "-fsplit-loops"]
MODULE_FLAGS = ["-std=gnu11", "-O2", "-g0", "-fvisibility=hidden", "-Wno-unused-function", "-Wno-unreachable-code",
                "-Wno-maybe-uninitialized"] + V2
if DEBUG:
    KERNEL_FLAGS += ["-g", "-UNDEBUG"]
    MODULE_FLAGS += ["-g", "-UNDEBUG"]
if SANITIZE:
    SAN = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g"]
    # GCC fuses products and sums, where a kernel asks for it, among its expensive optimizations only: without them -O1 rounds otherwise
    KERNEL_FLAGS = [f if f != "-O3" else "-O1" for f in KERNEL_FLAGS] + ["-fexpensive-optimizations"] + SAN
    MODULE_FLAGS = [f if f != "-O2" else "-O1" for f in MODULE_FLAGS] + SAN
COLD_FLAGS = ["-O1" if f == "-O2" else f for f in MODULE_FLAGS]
LINK = (["-Wl,-rpath,@loader_path/../_libs"] if MAC else ["-Wl,-rpath,$ORIGIN/../_libs"])

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": True,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "embedsignature": True,
    "binding": True,
    "auto_pickle": False,
    "c_api_binop_methods": False,
}


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def generate():
    """Print the table's C text and functions; files are touched only when their text changed."""
    load(PKG / "tensor" / "optable.py", "optable")
    render = load(PKG / "tensor" / "render.py", "render")
    GEN.mkdir(parents=True, exist_ok=True)
    for name, text in render.build_files().items():
        path = (PKG / "tensor" / name) if name.endswith((".pyx", ".pxi")) else GEN / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def find_openblas():
    import scipy_openblas32 as blas
    return Path(blas.get_lib_dir()), Path(blas.get_include_dir())


def vendor_openblas():
    """Copy OpenBLAS and its licences into the package; returns (include dir, library dir)."""
    lib_dir, inc_dir = find_openblas()
    target = PKG / "_libs"
    target.mkdir(exist_ok=True)
    for lib in list(lib_dir.glob("libscipy_openblas.*")):
        if lib.suffix in (".so", ".dylib"):
            dest = target / lib.name
            if not dest.exists() or dest.stat().st_size != lib.stat().st_size:
                shutil.copy2(lib, dest)
    import importlib.metadata as md
    dist = md.distribution("scipy-openblas32")
    for entry in dist.files or []:
        if "license" in entry.name.lower() or "licence" in entry.name.lower():
            shutil.copyfile(dist.locate_file(entry), target / ("OPENBLAS_" + Path(entry.name).name))
    (target / "README.txt").write_text(
        "libscipy_openblas is OpenBLAS (BSD-3-Clause) with LAPACK (BSD-3-Clause) and parts of libgfortran and "
        "libgcc (GPL-3.0 with the GCC runtime library exception), as built by the scipy-openblas32 project.\n")
    return inc_dir, target


def build_directive(pyx):
    """The `# build:` line of a .pyx as a dict."""
    head = pyx.read_text(encoding="utf-8")[:2000]
    found = re.search(r"^# build:(.*)$", head, re.M)
    spec = {"isa": [], "sources": [], "blas": False, "cold": False}
    for word in (found.group(1).split() if found else []):
        key, _, value = word.partition("=")
        if key in ("isa", "sources"):
            spec[key] = value.split(",")
        elif key in ("blas", "cold"):
            spec[key] = True
        else:
            raise SystemExit(f"{pyx}: unknown build directive {word!r}")
    return spec


def extensions():
    generate()
    exts = []
    for pyx in sorted(PKG.rglob("*.pyx")):
        spec = build_directive(pyx)
        name = ".".join(pyx.with_suffix("").parts)
        ext = Extension(name, [str(pyx)], include_dirs=["include", str(KERNELS), *([str(pyx.parent)] if any((pyx.parent / s).exists() for s in spec["sources"]) else [])], language="c")
        ext.rt = spec
        exts.append(ext)
    return exts


def run_cython(exts):
    """Translate each .pyx that is newer, or cimports a file newer, than its .c; all of them where they were translated by other directives."""
    from Cython.Build.Dependencies import create_dependency_tree
    tree = create_dependency_tree()
    flags = [w for key, value in DIRECTIVES.items() for w in ("-X", f"{key}={value}")]
    stale, stamp = [], Path("build") / "cython.txt"
    other = not stamp.exists() or stamp.read_text() != " ".join(flags)
    for ext in exts:
        pyx = ext.sources[0]
        c_file = Path(pyx).with_suffix(".c")
        needs = tree.all_dependencies(pyx)
        if other or not c_file.exists() or any(os.path.getmtime(f) > c_file.stat().st_mtime for f in needs if os.path.exists(f)):
            stale.append(pyx)
        ext.sources = [str(c_file)]

    def translate(share):
        print("cython", *share, flush=True)
        done = subprocess.run([sys.executable, "-m", "cython", "-3", *flags, "-I", str(PKG / "tensor"), *share],
                              capture_output=True, text=True)
        sys.stderr.write(done.stderr)
        if done.returncode:
            for pyx in share:
                Path(pyx).with_suffix(".c").unlink(missing_ok=True)
            raise SystemExit("cython failed, see above")

    # One process per core takes many files: most of the time for one is Cython's own start.
    shares = [[0] for _ in range(min(JOBS, len(stale)))]
    for pyx in sorted(stale, key=os.path.getsize, reverse=True):
        least = min(shares, key=lambda share: share[0])
        least[0] += os.path.getsize(pyx) + 10000
        least.append(pyx)
    with ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(translate, [share[1:] for share in shares]))
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(" ".join(flags))


class build_ext(_build_ext):
    def finalize_options(self):
        super().finalize_options()
        for ext in self.extensions:
            ext._needs_stub = False

    def build_extensions(self):
        run_cython(self.extensions)
        blas_inc, _ = vendor_openblas()
        cc = self.compiler.compiler_so[:]
        launcher = [shutil.which("ccache")] if shutil.which("ccache") and "ccache" not in " ".join(cc) else []
        drop = {"-g", "-O2", "-O3", "-Wall", "-DNDEBUG"}
        cc = launcher + [c for c in cc if c not in drop] + ([] if DEBUG else ["-DNDEBUG"])
        py_inc = self.include_dirs
        jobs, links = [], []
        for ext in self.extensions:
            objects = []
            inc = [f"-I{d}" for d in [*ext.include_dirs, *py_inc] + ([str(blas_inc)] if ext.rt["blas"] else [])]
            defines = ["-DBLAS_SYMBOL_PREFIX=scipy_"] if ext.rt["blas"] else []

            def job(src, tag, flags):
                obj = Path(self.build_temp) / ext.name / (Path(src).name.replace(".", "_") + tag + ".o")
                objects.append(str(obj))
                jobs.append((cc + ["-fPIC", *flags, *OPENMP, *defines, *inc, "-MMD", "-c", str(src), "-o", str(obj)], obj))

            for src in ext.sources:
                job(src, "", COLD_FLAGS if ext.rt["cold"] else MODULE_FLAGS)
            kernels = ext.rt["isa"] + ext.rt["sources"]
            for src in ext.rt["sources"] + (["region.c"] if kernels else []):
                beside = Path(ext.sources[0]).parent / src
                job(beside if beside.exists() else KERNELS / src, "", KERNEL_FLAGS + V2)
            for src in ext.rt["isa"]:
                for isa, flags in ISAS.items():
                    level = ELEMENTWISE_FLAGS if src.startswith("ew_") and not SANITIZE else []
                    flags = [*flags, "-mprefer-vector-width=256"] if isa == "avx512" and level else flags
                    job(KERNELS / src, "_" + isa, KERNEL_FLAGS + level + flags + [f"-DRT_ISA={isa}", "-DRT_BUILD_" + isa.upper()])
            links.append((ext, objects))
        # Longest first: the kernels' files are short, but include much.
        jobs.sort(key=lambda j: (".inc.c" not in j[0][j[0].index("-c") + 1], -os.path.getsize(j[0][j[0].index("-c") + 1])))
        with ThreadPoolExecutor(JOBS) as pool:
            for _ in pool.map(self.compile_one, jobs):
                pass
            for _ in pool.map(self.link_one, links):
                pass
        if MAC:
            self.link_helper()
        if not self.inplace:
            for path in (PKG / "_libs").iterdir():
                dest = Path(self.build_lib) / PKG / "_libs" / path.name
                dest.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, dest)

    def compile_one(self, job):
        command, obj = job
        stamp = obj.with_suffix(".cmd")
        dep = obj.with_suffix(".d")
        line = " ".join(command)
        if not self.force and obj.exists() and dep.exists() and stamp.exists() and stamp.read_text() == line:
            files = dep.read_text().replace("\\\n", " ").split(":", 1)[1].split()
            built = obj.stat().st_mtime
            if all(os.path.exists(f) and os.path.getmtime(f) <= built for f in files):
                return
        obj.parent.mkdir(parents=True, exist_ok=True)
        print(" ".join(command[-3:]), flush=True)
        done = subprocess.run(command, capture_output=True, text=True)
        if done.stderr:
            sys.stderr.write(done.stderr)
        if done.returncode:
            raise SystemExit(f"compilation failed: {line}")
        stamp.write_text(line)

    def link_one(self, item):
        ext, objects = item
        target = Path(self.get_ext_fullpath(ext.name))
        if not self.force and target.exists() and all(os.path.getmtime(o) <= target.stat().st_mtime for o in objects):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [*self.compiler.linker_so, *objects, *OPENMP, "-lm", "-o", str(target)]
        if SANITIZE:
            command += ["-fsanitize=address,undefined"]
        elif not MAC and not DEBUG:
            command += ["-Wl,-s"]
        if ext.rt["blas"]:
            depth = len(ext.name.split(".")) - 2
            up = "/".join([".."] * depth)
            origin = "@loader_path" if MAC else "$ORIGIN"
            command += [f"-L{PKG / '_libs'}", "-lscipy_openblas", f"-Wl,-rpath,{origin}/{up}/_libs"]
        subprocess.run(command, check=True)

    def link_helper(self):
        """Metal's Objective-C, a library that is loaded when Metal is first used."""
        target = Path(self.get_ext_fullpath("rustorch_py.metal._backend")).parent / "helper.dylib"
        target.parent.mkdir(parents=True, exist_ok=True)
        given, places = self.compiler.compiler_so, []      # the processors and the oldest system that the modules are built for
        for word, after in zip(given, [*given[1:], ""]):
            if word in ("-arch", "-isysroot"):
                places += [word, after]
            elif word.startswith("-mmacosx-version-min"):
                places.append(word)
        subprocess.run([*os.environ.get("OBJC", "clang").split(), *places, "-O2", "-Wno-deprecated-declarations", "-fno-objc-arc", "-dynamiclib", "-Iinclude",
                        str(PKG / "metal" / "helper.m"), "-framework", "Metal", "-framework", "Foundation", "-o", str(target)], check=True)


class build_py(_build_py):
    """Adds headers, stubs, typing marker and the benchmark suite to the wheel."""

    def run(self):
        super().run()
        if not self.editable_mode:
            for path in Path("include").rglob("*.h"):
                self.copy(path, PKG / path)
            for path in Path("benchmarks").rglob("*.py"):
                self.copy(path, PKG / path)
            for pattern in ("*.pyi", "py.typed", "*.pxd", "cuda/kernels/*", "cuda/software/*", "metal/helper.m", "metal/kernels/*",
                            "metal/software/device.m", "metal/software/metal_*", "metal/software/*/*.h", "tensor/kernels/divisor.h", "tensor/kernels/special.c",
                            "tensor/kernels/bessel*.[ch]", "tensor/kernels/optim.h", "tensor/kernels/optim_type.h", "tensor/joe_kuo.bin", "tensor/JOE_KUO_LICENSE.txt"):
                for path in PKG.rglob(pattern):
                    self.copy(path, path)

    def copy(self, source, relative):
        dest = Path(self.build_lib) / relative
        dest.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, dest)


setup(ext_modules=extensions(), cmdclass={"build_ext": build_ext, "build_py": build_py})
