"""Texts of hand-written kernels: a file of ``kernels/`` for given types.

Note [Hand-written kernels]
A file ``kernels/NAME.cuh`` holds kernels of one struct, ``RtCall`` (pointers, whole numbers, numbers; the file says what is at which
place), each opened by ``RT_KERNEL(RT_NAME(kernel), RtCall)``. Types are letters, which its first line lists with the dtypes that
each may be::

    // types: T = all; I = i32 i64

For each letter L the text gets ``L`` (the type in memory), ``L_C`` (the type to compute in: float32 for 16-bit floats),
``L_GET(v)`` and ``L_PUT(v)`` between them, ``L_F(name)``, the house's scalar function ``name`` of the type to compute in, and
for ``#if`` ``L_BOOL``, 1 for bools (their C type is uint8_t), ``L_KIND`` (0 unsigned, 1 signed, 2 floating, 3 complex) and ``L_SIZE`` in bytes.
A letter whose dtypes are whole numbers is a constant: ``// types: T = floats; N = 1 2 3``. ``make cuda-kernels`` compiles each
combination. A file whose second line is ``// each kernel alone`` takes long: what is compiled when a kernel is asked for holds no other.
What several files use stands in headers of the folder: ``block.h`` (reductions and scans of warps and blocks, offsets of strided
tensors), ``atomic.h`` (sums of every dtype). Standard library only, as :mod:`._text`.
"""
import itertools
import os
import re

from ._text import CTYPES, TAGS, NoKernel, cast

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kernels")
GROUPS = {
    "halves": ("f16", "bf16"), "floats": ("f16", "bf16", "f32", "f64"), "reals": ("f32", "f64"), "complex": ("c64", "c128"),
    "ints": ("u8", "i8", "i16", "i32", "i64"), "raw": ("u8", "i16", "i32", "i64", "c128"),
}
GROUPS["numbers"] = GROUPS["ints"] + GROUPS["floats"]
GROUPS["all"] = ("b8",) + GROUPS["numbers"] + GROUPS["complex"]

PARTS = ("", "_C", "_GET", "_PUT", "_F", "_BOOL", "_KIND", "_SIZE")
KINDS = {**dict.fromkeys(("i8", "i16", "i32", "i64"), 1), **dict.fromkeys(GROUPS["floats"], 2), **dict.fromkeys(GROUPS["complex"], 3)}
SIZES = dict(zip(TAGS, (1, 1, 1, 2, 4, 8, 2, 2, 4, 8, 8, 16, 4, 2, 4, 8)))

ALONE = re.compile(r"[^\n]*\n// each kernel alone\n")
_read = {}               # file, with its folder unless it is FOLDER -> (text, {letter: allowed})


def source(file, folder=FOLDER):
    """Return (text, {letter: what it may be}) of a file of kernels."""
    key = file if folder == FOLDER else os.path.join(folder, file)
    if key not in _read:
        with open(os.path.join(folder, file), encoding="utf-8") as f:
            text = f.read()
        letters = {}
        for part in re.match(r"// types:([^\n]*)", text)[1].split(";"):
            if part.strip():
                letter, words = part.split("=")
                letters[letter.strip()] = tuple(tag for word in words.split() for tag in GROUPS.get(word, (word,)))
        _read[key] = text, letters
    return _read[key]


def _letter(letter, tag):
    if tag not in CTYPES:
        return f"#define {letter} {tag}\n"
    compute = "f32" if tag in GROUPS["halves"] else tag
    return (f"#define {letter} {CTYPES[tag]}\n#define {letter}_C {CTYPES[compute]}\n#define {letter}_GET(v) ({cast(compute, tag, '(v)')})\n"
            f"#define {letter}_PUT(v) ({cast(tag, compute, '(v)')})\n#define {letter}_F(name) rt_##name##_{compute}\n#define {letter}_BOOL {int(tag == 'b8')}\n"
            f"#define {letter}_KIND {KINDS.get(tag, 0)}\n#define {letter}_SIZE {SIZES[tag]}\n")


def suffix(types):
    """What tells the kernels of a combination of types from those of others: f32_i64."""
    return "_".join(str(tag) for tag in types)


def alone(file):
    """Whether a file's kernels are compiled one by one."""
    return ALONE.match(source(file)[0]) is not None


def _alone(text, kernel):
    """The text of a file without its other kernels."""
    kept, at = [], 0
    for begin in re.finditer(r"^RT_(?:WIDE_)?KERNEL\(RT_NAME\((\w+)\)", text, re.M):
        if begin[1] != kernel:
            kept.append(text[at:begin.start()])
            line = text.index("\n", begin.start())
            at = line + 1 if text[line - 1] == "}" else text.index("\n}\n", begin.start()) + 3
    return "".join(kept) + text[at:]


def hand_text(file, types, kernel=None):
    """Return the text of a file for types, tags or numbers in the order of its first line.

    Args:
        kernel: the one that is asked for, where the file's kernels are compiled alone; None: all of them.

    Raises:
        NoKernel: the file has no kernel of these types.
    """
    text, letters = source(file)
    if len(types) != len(letters):
        raise TypeError(f"{file} takes {len(letters)} types, got {len(types)}")
    for (letter, allowed), tag in zip(letters.items(), types):
        if str(tag) not in allowed:
            raise NoKernel(f"no kernel of {file} for {letter} = {tag}")
    end, space = suffix(types), file.removesuffix(".cuh") + "_" + suffix(types)
    if kernel is not None and alone(file):
        text, space = _alone(text, kernel), f"{space}_{kernel}"
    names = sorted(set(re.findall(r"\bRT_NAME\((\w+)\)", text)))
    head = "".join(_letter(letter, str(tag)) for letter, tag in zip(letters, types))
    body = text
    for name in names:                                   # by text, as a macro's argument is not expanded where it is pasted
        body = body.replace(f"RT_NAME({name})", f"rt_{name}_{end}" if end else f"rt_{name}")
    tail = "".join(f"#undef {letter}{part}\n" for letter in letters for part in PARTS)
    includes = "".join(line + "\n" for line in re.findall(r'^#include "\w+\.h"', text, re.M))     # outside of any namespace
    body = re.sub(r'^#include "\w+\.h"', "", body, flags=re.M)
    return f"{includes}{head}namespace {space} {{       /* several texts may be compiled together */\n{body}}}\n{tail}"


def files():
    """Return the names of all files of hand-written kernels."""
    return sorted(name for name in os.listdir(FOLDER) if name.endswith(".cuh") and name != "prelude.cuh")


def combinations(file):
    """Yield every tuple of types that a file may be compiled for."""
    yield from itertools.product(*source(file)[1].values())


def kernel_count(file):
    """Return how many kernels a file holds."""
    return len(set(re.findall(r"RT_(?:WIDE_|BLOCK_)?KERNEL\(RT_NAME\((\w+)\)", source(file)[0])))
