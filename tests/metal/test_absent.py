"""What users are told where there is no Metal."""
import os
import subprocess
import sys

import pytest

from rustorch_py.metal import _backend, _software, _text

CODE = """
import rustorch_py as rt
assert not rt.metal.is_available() and rt.metal.device_count() == 0 and not rt.mps.is_available() and not rt.backends.mps.is_built()
for use in (lambda: rt.ones(2, device="mps"), lambda: rt.ones(2).to("metal:0"), rt.metal.synchronize, rt.mps.current_allocated_memory):
    try:
        use()
    except RuntimeError as error:
        assert "macOS" in str(error), error
    else:
        raise AssertionError("nothing was raised")
rt.mps.empty_cache()
"""


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has Metal")
def test_use_without_a_device_says_what_is_missing():
    environment = {k: v for k, v in os.environ.items() if k != "RUSTORCH_METAL_SOFTWARE"}
    subprocess.run([sys.executable, "-c", CODE], check=True, env=environment)


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has Metal")
def test_a_helper_that_cannot_be_used_is_none(tmp_path):
    code = """
import sys
import rustorch_py as rt
rt.metal.HELPER = sys.argv[1]
assert not rt.metal.is_available() and rt.metal.device_count() == 0
try:
    rt.ones(2, device="mps")
except RuntimeError as error:
    assert "cannot be used" in str(error), error
else:
    raise AssertionError("nothing was raised")
"""
    (tmp_path / "helper.dylib").write_bytes(b"no library")
    other = _backend.__file__                          # a library without the helper's entry
    environment = {k: v for k, v in os.environ.items() if k != "RUSTORCH_METAL_SOFTWARE"}
    for helper in (str(tmp_path / "helper.dylib"), other):
        subprocess.run([sys.executable, "-c", code, helper], check=True, env=environment)


def test_texts_have_no_doubles_and_no_bare_pointers():
    """What the host's compiler would take and Metal's would not, as far as a text shows it."""
    import re
    from rustorch_py.cuda import _text as keys
    text = _text.prelude() + "".join(_text.together(keys.all_keys(range(9))).values())
    code = re.sub(r"/\*.*?\*/|//[^\n]*|#ifdef RT_HAS_FMA\n(.*?)#else.*?#endif\n", r"\1", text, flags=re.S)
    assert not re.findall(r"\bdouble\b", code)
    for pointer in re.findall(r"[(,]\s*([^(),;]*?)\*\s*\w+(?=\s*[,)\[])", code):
        if re.search(r"\b(?:char|float|u?int(?:8|16|32|64)_t|rt_\w+|T)\s*$", pointer):
            assert re.search(r"\b(?:device|constant|thread|threadgroup)\b", pointer), pointer
    assert _software.call_of("kernel void f(device float *x [[buffer(0)]], uint at [[thread_position_in_grid]]) {\n}\n").count("f_run") == 1
