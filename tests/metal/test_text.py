"""Metal's texts read by clang, which knows address spaces: a pointer that does not name its own, or goes to another, is an error there as it is for Metal's compiler."""
import itertools
import os
import re
import shutil
import subprocess

import pytest

from rustorch_py import get_include
from rustorch_py.cuda import _hand
from rustorch_py.cuda import _text as keys
from rustorch_py.metal import _software, _text

KERNELS = os.path.join(_text.HERE, "kernels")
CLANG = next((c for c in ("clang++", *(f"clang++-{n}" for n in range(30, 11, -1))) if shutil.which(c)), None)
# C++ copies no class between address spaces, as Metal does
ALLOWED = re.compile(r"no matching constructor|no viable constructor|no viable overloaded '='")


def own():
    for file in sorted(os.listdir(KERNELS)):
        if file.endswith(".metal") and file != "index_reduce.metal":
            for types in itertools.product(*_hand.source(file, KERNELS)[1].values()):
                yield " ".join((file, *types)), _text.hand_text(file, types)


def borrowed():
    for file in sorted(_text.BORROWED):
        text, letters = _hand.source(file)
        names = {*re.findall(r"RT_KERNEL\(RT_NAME\((\w+)\)", text), *re.findall(r"RT_REDUCE_AT\(RT_NAME\((\w+)\)", text)}
        for types, name in itertools.product(itertools.product(*letters.values()), sorted(names)):
            try:
                yield f"{file} {name} {' '.join(types)}", _text.borrowed_text(file, types, name)[0]
            except _text.NoKernel:
                continue


def printed():
    for mode in (keys.DENSE, keys.STRIDED):
        for matrices in (False, True):
            yield f"rows {mode}", "".join(_text.together(keys.all_keys(range(9), mode), matrices).values())


@pytest.mark.skipif(CLANG is None, reason="clang++ reads address spaces, and there is none")
@pytest.mark.parametrize("texts", [own, borrowed, printed])
def test_pointers_name_their_address_spaces(texts, tmp_path):
    seen = 0
    for label, text in texts():
        source = tmp_path / "kernel.cpp"
        source.write_text(_text.prelude() + text)
        done = subprocess.run([CLANG, "-std=c++14", "-fsyntax-only", "-w", "-ferror-limit=0", "-DRT_ADDRESS_SPACES", "-I" + _software.SOFTWARE, "-I" + get_include(),
                               str(source)], capture_output=True, text=True)
        wrong = [line for line in done.stderr.splitlines() if "error:" in line and not ALLOWED.search(line)]
        assert not wrong, f"{label}: {wrong[0]}"
        seen += 1
    assert seen


@pytest.mark.skipif(CLANG is None, reason="clang++ reads address spaces, and there is none")
def test_clang_sees_a_pointer_without_its_address_space(tmp_path):
    source = tmp_path / "kernel.cpp"
    source.write_text(_text.prelude() + "kernel void f(device float *x [[buffer(0)]]) {\n    float *y = x;\n    *y = 0;\n}\n")
    done = subprocess.run([CLANG, "-std=c++14", "-fsyntax-only", "-w", "-DRT_ADDRESS_SPACES", "-I" + _software.SOFTWARE, "-I" + get_include(), str(source)],
                          capture_output=True, text=True)
    assert done.returncode and not ALLOWED.search(done.stderr)
