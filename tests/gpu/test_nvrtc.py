"""The kernels' text under NVIDIA's compiler, for the architectures that matter; no GPU or driver is needed.

    python -m tests.gpu.test_nvrtc        compiles everything and prints the counts
"""
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from rustorch_py.cuda import _common, _compile, _hand, _text

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
LOOPS = [i for i, tag in enumerate(_text.TAGS[:12]) if tag not in ("f16", "bf16")]


def texts(loops, every_type=True):
    """Texts of all kernels of these dtypes, dense with and without packs and strided, by dtype; then of hand-written files, for all types
    that they may have or for one of each."""
    for loop in loops:
        width = {"f32": 4, "f64": 2}.get(_text.TAGS[loop], 1)
        for mode, vector in ((_text.DENSE, 1), (_text.DENSE, width), (_text.STRIDED, 1)):
            if mode == _text.STRIDED or vector == width:
                found = dict(_text.kernel_text(key) for key in _text.all_keys([loop], mode, vector))
                yield _text.TAGS[loop], len(found), "\n".join(found.values())
    halves = [_text.TAGS.index("f16"), _text.TAGS.index("bf16")]
    found = dict(_text.kernel_text(key) for key in _text.all_keys([*halves, _text.TAGS.index("f32"), _text.TAGS.index("i64")])
                 if key["kind"] in (_text.CAST, _text.PRODUCT))
    shape = {"kind": _text.CAST, "id": 0, "loop": 0, "mode": _text.TILE, "vector": 1, "moving": 0, "host": 0}
    found.update(_text.kernel_text({**shape, "dtypes": [a, b]}) for a in (*halves, *loops) for b in (*halves, *loops) if "c32" not in (_text.TAGS[a], _text.TAGS[b]))
    found.update(_text.kernel_text({**shape, "vector": 2, "dtypes": [b, a]}) for a in halves for b in (a, _text.TAGS.index("f32")))
    tags = {tag: _text.TAGS.index(tag) for tag in ("u8", "bf16", "f32")}
    found.update(_text.kernel_text({**shape, "kind": _text.ROW, "loop": _text.TAGS.index(loop), "vector": vector, "moving": 4, "dtypes": [_text.TAGS.index(tag)] * 3})
                 for tag, loop, vector in (("bf16", "f32", 4), ("bf16", "f32", 1), ("f32", "f32", 2), ("f64", "f64", 1), ("c128", "c128", 1), ("u8", "u8", 8)))
    for a, acc, widths in (("u8", "i64", (16, 8)), ("bf16", "f32", (8, 8)), ("f32", "f32", (4, 4))):
        key = {"kind": _text.REDUCE, "id": 0, "loop": _text.TAGS.index(acc), "moving": 0, "host": 0, "dtypes": [_text.TAGS.index(acc), tags[a]]}
        found.update(_text.kernel_text({**key, "mode": mode, "vector": width}) for mode, width in zip((_text.LINES, _text.ACROSS), widths))
    yield "f16 bf16, tiles", len(found), "\n".join(found.values())
    for file in _hand.files():
        every = list(_hand.combinations(file))
        every = every if every_type else every[len(every) // 2:][:1]
        for start in range(0, len(every), 16):
            part = every[start:start + 16]
            yield file, len(part) * _hand.kernel_count(file), "\n".join(_hand.hand_text(file, types) for types in part)


def test_kernels_compile(tmp_path, monkeypatch):
    pytest.importorskip("cuda.bindings.nvrtc", reason="pip install 'rustorch_py[cuda]'")
    monkeypatch.setenv("RUSTORCH_CACHE_DIR", str(tmp_path))
    long = bool(os.environ.get("RUSTORCH_LONG_TESTS"))
    loops = LOOPS if long else [_text.TAGS.index("b8"), _text.TAGS.index("i32")]
    compiler = _compile.Nvrtc("sm_90")
    total = 0
    for _, count, text in texts(loops, long):
        assert compiler.image(text, "test")[:4] == b"\x7fELF"
        total += count
    assert total > 100


def test_kernels_wait_for_the_one_in_front():
    """Note [Overlapped launches] in launch.c: no kernel reads before griddepcontrol.wait, from sm_90 on; older devices have no such thing."""
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="pip install 'rustorch_py[cuda]'")
    for architecture in ("sm_80", "sm_90"):
        compiler = _compile.Nvrtc(architecture)
        text = _compile.PRELUDE + _hand.hand_text("optim.cuh", ("f32", "1")) + _hand.hand_text("scan.cuh", ("f32", "0")) + _hand.hand_text("sort.cuh", ("f32",))
        names, headers = [n.encode() for n in compiler.headers], [t.encode() for t in compiler.headers.values()]
        program = compiler._check(nvrtc.nvrtcCreateProgram(text.encode(), b"wait.cu", len(names), headers, names))
        compiler._check(nvrtc.nvrtcCompileProgram(program, len(compiler.options), [o.encode() for o in compiler.options]))
        ptx = bytes(compiler._check(nvrtc.nvrtcGetPTXSize(program)))
        compiler._check(nvrtc.nvrtcGetPTX(program, ptx))
        kernels = ptx.split(b".entry ")[1:]
        assert len(kernels) > 8
        for kernel in kernels:
            wait, load = kernel.find(b"griddepcontrol.wait"), kernel.find(b"ld.global")
            assert wait < 0 if architecture == "sm_80" else 0 < wait and (load < 0 or wait < load), kernel[:80]


def test_a_text_holds_the_kernel_that_is_asked_for():
    whole = _hand.hand_text("random.cuh", ("f32",))
    alone = _hand.hand_text("random.cuh", ("f32",), "normal")
    assert whole.count("RT_KERNEL(") == _hand.kernel_count("random.cuh") > 1 and alone.count("RT_KERNEL(") == 1 and "RT_KERNEL(rt_normal_f32, RtCall)" in alone
    assert _hand.hand_text("optim.cuh", ("f32", "1"), "few") == _hand.hand_text("optim.cuh", ("f32", "1"))


def test_names_of_kernels_say_their_keys():
    keys = _text.all_keys(range(12), _text.DENSE, 4) + _text.all_keys([8, 9], _text.STRIDED) + [_text.key_of(name) for group in _common.GROUPS for name in _common.names(group)]
    for key in keys:
        name = _text.kernel_name(key)
        assert _text.kernel_name(_text.key_of(name)) == name
    labels = [label for label, _ in _common.texts()]
    assert len(set(labels)) == len(labels) > len(_common.GROUPS)


def compile_one(job):
    """(architecture, number of kernels, text) -> the two first; in a process of the pool."""
    architecture, count, text = job
    _compile.Nvrtc(architecture).compile(_compile.PRELUDE + '#include "special.c"\n' + text, architecture)
    return architecture, count


def main():
    begun, counts = time.perf_counter(), dict.fromkeys(ARCHITECTURES, 0)
    jobs = [(architecture, count, text) for _, count, text in texts(LOOPS) for architecture in ARCHITECTURES]
    jobs.sort(key=lambda job: -len(job[2]))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for architecture, count in pool.map(compile_one, jobs):
            counts[architecture] += count
    print("kernels compiled by NVRTC: " + ", ".join(f"{n} for {name}" for name, n in counts.items()) + f"; {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
