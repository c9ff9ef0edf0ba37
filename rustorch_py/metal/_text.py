"""Prints Metal kernels: a key (what the launcher looks up) to text of the Metal Shading Language.

Expressions come from the operator table by the printer of all devices, with the differences of this one: operands are buffers in the address space
``device``, there is no double and no complex number, and 16-bit floats are computed in float32. Standard library only, as cuda/_text.py.
"""
import os
import re

from ..cuda import _hand
from ..cuda._text import (CAST, COMBINE, CTYPES, DENSE, FILL, ITEMSIZE, KINDS, PRODUCT, RAW, REDUCE, ROW, SMALL, STRIDED, TAGS, NoKernel, _CLOSE, _open, _signature,
                          all_keys, cast, kernel_name)   # noqa: F401
from ..tensor import optable, render

HERE = os.path.dirname(os.path.abspath(__file__))
STORED = ("b8", "u8", "i8", "i16", "i32", "i64", "f16", "bf16", "f32")            # what kernels convert
LOOPS = ("b8", "u8", "i8", "i16", "i32", "i64", "f32")                            # what they compute in
# functions of the table that exist in double on the host only (tensor/kernels/special.c, libm)
MISSING = frozenset("digamma i0 i0e i1 i1e ndtri log_ndtr zeta polygamma lgamma erfcx".split())
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"[^\n]*\n', re.M)


class Printer(render.Printer):
    """Literals are floats: there is nothing wider."""

    def literal(self, value):
        return f"((T){value!r}f)" if isinstance(value, float) else f"((T){value!r})"


def read(name):
    """Return the text of a header that kernels include."""
    from .. import get_include
    for folder in (os.path.join(HERE, "kernels"), os.path.join(get_include(), "rustorch"), os.path.join(os.path.dirname(HERE), "tensor", "kernels")):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                return f.read()
    raise FileNotFoundError(name)


def _header(name):
    """The text of a header of the CPU's with what Metal spells otherwise: pointers to locals name their address space, bits are as_type's."""
    text = read(name)
    text = re.sub(r"(?<=[(, ])(float|u?int32_t) \*(\w+)(?=[,)])", r"thread \1 *\2", text)
    return re.sub(r"\{ (?:uint32_t|float) (\w); memcpy\(&\1, &(\w), 4\); return \1; \}",
                  lambda found: f"{{ return as_type<{'uint32_t' if found[1] == 'u' else 'float'}>({found[2]}); }}", text)


def _taken(file, names):
    """The definitions of macros and functions of a header."""
    text, found = _header(file), []
    for name in names.replace(" ", "").split(","):
        at = re.search(rf"^(?:#define {name}\(.*?[^\\]\n|RT_INLINE \w+ {name}\([^\n]*\}}\n|RT_INLINE \w+ {name}\(.*?\n\}}\n)", text, re.M | re.S)
        if at is None:
            raise LookupError(f"{file} does not define {name}")
        found.append(at[0])
    return "".join(found)


def written_out(text):
    """Replace each include of ours by the text that it names, and each RT_TAKE by the definitions."""
    text = INCLUDE.sub(lambda found: written_out(_header(found[1])), text)
    return re.sub(r'^RT_TAKE\("([^"]+)", ([^)]*)\)\n', lambda found: _taken(found[1], found[2]), text, flags=re.M)


_prelude = []


def prelude():
    """Return what every library of kernels begins with."""
    if not _prelude:
        _prelude.append(written_out(read("prelude.h")))
    return _prelude[0]


def _known(tags, what):
    for tag in tags:
        if tag not in STORED:
            raise NoKernel(f"{what}: there is no kernel of {tag} for Metal")


def _map(name, out, ins, value, mode, vector, moving, host, before=""):
    """A kernel out[i] = value(ins[i]...), with the arguments of :func:`..cuda._text._map`."""
    args = len(ins) + 1
    kind = "RtMetalDense" if mode == DENSE else "RtMetalStrided"
    byte = mode != DENSE
    moves = [i for i in range(1, len(ins) + 1) if not host >> i & 1]
    params = [f"device {'char' if byte else CTYPES[out]} *p0 [[buffer(0)]]"]
    params += [f"device const {'char' if byte else CTYPES[ins[i - 1]]} *p{i} [[buffer({i})]]" for i in moves]
    params += [f"constant {kind} &a [[buffer({args})]]", "uint at [[thread_position_in_grid]]"]
    pre = before + "".join(f"    const {CTYPES[tag]} x{i} = *(constant {CTYPES[tag]} *)a.host[{i - 1}].bytes;\n" for i, tag in enumerate(ins, 1) if host >> i & 1)
    names = [f"x{i}" for i in range(1, len(ins) + 1)]
    head = f"kernel void {name}({', '.join(params)}) {{\n{pre}"
    if not byte:
        one = "".join(f"const {CTYPES[ins[i - 1]]} x{i} = p{i}[{'i' if moving >> i & 1 else '0'}]; " for i in moves)
        return f"{head}    for (uint i = at * {vector}, j = 0; j < {vector} && i < a.n; i++, j++) {{ {one}p0[i] = {value(names)}; }}\n}}\n"
    ats = [0, *moves]
    walk = " ".join(f"at{i} += (int)here * a.step[d][{i}];" for i in ats)
    ends = " ".join(f"at{i} += (int)rest * a.step[d][{i}];" for i in ats)
    one = "".join(f"const {CTYPES[ins[i - 1]]} x{i} = *(device const {CTYPES[ins[i - 1]]} *)(p{i} + at{i}); " for i in moves)
    return (f"{head}    if (at >= a.n) return;\n    uint rest = at;\n    int {', '.join(f'at{i} = 0' for i in ats)}, d = 0;\n"
            f"    for (; d < a.ndim - 1; d++) {{\n        const uint next = rt_quotient(rest, a.by[d]), here = rest - next * a.size[d];\n"
            f"        rest = next;\n        {walk}\n    }}\n    {ends}\n    {one}\n    *(device {CTYPES[out]} *)(p0 + at0) = {value(names)};\n}}\n")


def row_kernel(name, kernel, loop, dtypes, mode, vector, moving, host):
    """An elementwise row, forward or one of its gradients."""
    row, which, tag = optable.ROWS[kernel >> 2], kernel & 3, TAGS[loop]
    found = _signature(row, which, tag) if tag in LOOPS else None
    if found is None:
        raise NoKernel(f'"{row.name}" has no loop of {tag} for Metal')
    text, operands, types, result = found
    missing = MISSING & render.calls_in(row, text)
    if missing:
        raise NoKernel(f'"{row.name}" has no kernel for Metal: its function {min(missing)} is computed in double')
    _known((TAGS[d] for d in dtypes), row.name)
    printer = Printer(row.name, row.let)
    body = "".join(f"const T {n} = {printer.render(v)}; " for n, v in render.used_lets(row, text))
    used = render.reads(row, text)
    ks = [i for i in (0, 1) if f"k{i}" in used]
    params = [*(f"const {CTYPES[types.get(n, tag)]} {n}" for n in operands), *(f"const T k{i}" for i in ks)]
    out, *ins = (TAGS[d] for d in dtypes)
    before = "".join(f"    const T k{i} = (T)a.{'whole' if KINDS.get(tag) == 'i' else 'k'}[{i}];\n" for i in ks)

    def value(names):
        args = [*(cast(types.get(n, tag), ins[i], names[i]) for i, n in enumerate(operands)), *(f"k{i}" for i in ks)]
        return cast(out, result, f"{name}_value({', '.join(args)})")

    head = f"RT_INLINE {CTYPES[result]} {name}_value({', '.join(params)}) {{ {body}return ({CTYPES[result]})({printer.render(text)}); }}\n"
    return _open(tag) + head + _map(name, out, ins, value, mode, vector, moving, host, before) + _CLOSE


def cast_kernel(name, dtypes, mode, vector, moving):
    out, source = (TAGS[d] for d in dtypes)
    if out == source:                             # bytes move as they are
        raw = RAW[ITEMSIZE[dtypes[0]]]
        return _map(name, raw, [raw], lambda names: names[0], mode, vector, moving, 0)
    _known((out, source), "a conversion")
    return _map(name, out, [source], lambda names: cast(out, source, names[0]), mode, vector, moving, 0)


def fill_kernel(name, nbytes, mode, vector, moving):
    raw = RAW[nbytes]
    return _map(name, raw, [], lambda names: "value", mode, vector, moving, 0, f"    const {CTYPES[raw]} value = *(constant {CTYPES[raw]} *)a.host[0].bytes;\n")


_REDUCE = """\
RT_INLINE T {name}_init() {{ const T a = (T)0; (void)a; return (T)({init}); }}
RT_INLINE T {name}_both(const T a, const T b) {{ return (T)({combine}); }}
RT_INLINE T {name}_step(const T a, const T x, const T k0) {{ (void)k0; return (T)({step}); }}
kernel void {name}(device char *out [[buffer(0)]], device const char *in [[buffer(1)]], constant RtMetalReduce &a [[buffer(2)]],
                   uint3 group [[threadgroup_position_in_grid]], uint me [[thread_index_in_threadgroup]]) {{
    RT_SHARED(T, part, RT_METAL_THREADS);
    const uint lanes = a.lanes, side = RT_METAL_THREADS / lanes, lane = a.across ? me / side : me % lanes, o = group.x * side + (a.across ? me % side : me / lanes);
    const T k0 = (T)a.k0;
    int64_t to = 0;
    T all = {name}_init();
    if (o < a.nout) {{
        uint rest = o;
        int64_t from = 0;
        for (int d = 0; d < a.keep; d++) {{
            const uint next = d < a.keep - 1 ? rt_quotient(rest, a.keep_by[d]) : 0, at = rest - next * a.keep_size[d];
            rest = next;
            from += at * a.keep_in[d];
            to += at * a.keep_out[d];
        }}
        const uint begin = group.y * a.chunk, end = a.nred - begin < a.chunk ? a.nred : begin + a.chunk;
        for (uint r = begin + lane; r < end; r += lanes) {{
            uint left = r;
            int64_t where = from;
            for (int d = 0; d < a.red; d++) {{
                const uint next = d < a.red - 1 ? rt_quotient(left, a.red_by[d]) : 0, at = left - next * a.red_size[d];
                left = next;
                where += at * a.red_in[d];
            }}
            const {in_type} given = *(device const {in_type} *)(in + where);
            all = {add};
        }}
    }}
    part[me] = all;
    const uint apart = a.across ? side : 1;
    for (uint by = lanes / 2; by; by /= 2) {{
        RT_SYNC();
        if (lane < by) part[me] = {name}_both(part[me], part[me + by * apart]);
    }}
    if (lane || o >= a.nout) return;
    all = part[me];
    if (a.chunks > 1) ((device T *)out)[(int64_t)o * a.chunks + group.y] = all;
    else {{
        {divide}*(device {out_type} *)(out + to) = {store};
    }}
}}
"""


def reduce_kernel(name, row, acc, dtypes, combine):
    """A reduction; `combine`: over accumulators of a first pass."""
    red, tag = optable.REDUCTIONS[row], TAGS[acc]
    if tag not in LOOPS or KINDS.get(tag) not in red.kinds:
        raise NoKernel(f'"{red.name}" has no loop of {tag} for Metal')
    out, source = TAGS[dtypes[0]], TAGS[dtypes[1]]
    _known((out, source), red.name)
    printer = Printer(red.name)
    given = cast(tag, source, "given")
    text = _REDUCE.format(name=name, in_type=CTYPES[source], out_type=CTYPES[out], init=printer.render(red.init), combine=printer.render(red.combine),
                          step=printer.render(red.step), store=cast(out, tag, "all"),
                          add=f"{name}_both(all, given)" if combine else f"{name}_step(all, {given}, k0)",
                          divide="if (k0 != 0) all = all / k0;\n        " if red.name == "sum" and tag == "f32" else "")
    return _open(tag) + text + _CLOSE


def product_kernel(name, loop, dtype, matrices=False):
    """c = alpha a @ b + beta c: kernels/product.h; 16-bit floats are multiplied and summed in float32. matrices: by 8 x 8 where that is float32."""
    tag, memory = TAGS[loop], TAGS[dtype]
    if tag not in LOOPS or memory not in STORED or tag == "b8":
        raise NoKernel(f"there is no matrix product of {memory} for Metal")
    scale = "a.alpha" if tag == "f32" else "a.whole[0]"
    more = "a.beta" if tag == "f32" else "a.whole[1]"
    text = re.sub(r"\bE\b", CTYPES[memory], read("product.h").replace("RT_NAME", name))
    return (_open(tag) + f"#define GET(v) ({cast(tag, memory, '(v)')})\n#define PUT(v) ({cast(memory, tag, '(v)')})\n"
            f"#define FUSED(x, y, s) {'rt_ma_f32(x, y, s)' if tag == 'f32' else '(T)((s) + (x) * (y))'}\n#define ALPHA (T){scale}\n#define BETA (T){more}\n"
            f"#define MATRICES {int(matrices and tag == 'f32')}\n" + text + "#undef MATRICES\n#undef GET\n#undef PUT\n#undef FUSED\n#undef ALPHA\n#undef BETA\n" + _CLOSE)


def kernel_text(key, matrices=False):
    """(name, text) of a key, as :func:`..cuda._text.kernel_text`; the text wants :func:`prelude` before it. matrices: of a device whose simdgroups
    multiply matrices of 8 x 8.

    Raises:
        NoKernel: no such loop exists.
    """
    name, kind = kernel_name(key), key["kind"]
    shape = {k: key[k] for k in ("mode", "vector", "moving")}
    if kind == ROW:
        return name, row_kernel(name, key["id"], key["loop"], key["dtypes"], **shape, host=key["host"])
    if kind == CAST:
        return name, cast_kernel(name, key["dtypes"], **shape)
    if kind == FILL:
        return name, fill_kernel(name, key["id"], **shape)
    if kind == SMALL:
        raise NoKernel("products of small matrices are those of all")
    if kind == PRODUCT:
        return name, product_kernel(name, key["loop"], key["dtypes"][0], matrices)
    return name, reduce_kernel(name, key["id"], key["loop"], key["dtypes"], kind == COMBINE)


def together(keys, matrices=False):
    """Return {name: text} of the kernels of keys, without those that there are not."""
    found = {}
    for key in keys:
        try:
            name, text = kernel_text(key, matrices)
        except NoKernel:
            continue
        found[name] = text
    return found


def hand_text(file, types):
    """Return the text of a file of kernels/ for types, as :func:`..cuda._hand.hand_text` reads it: letters, their parts, RT_NAME.

    Raises:
        NoKernel: the file has no kernel of these types.
    """
    text, letters = _hand.source(file, os.path.join(HERE, "kernels"))
    if len(types) != len(letters):
        raise TypeError(f"{file} takes {len(letters)} types, got {len(types)}")
    for (letter, allowed), tag in zip(letters.items(), types):
        if str(tag) not in allowed:
            raise NoKernel(f"{file.removesuffix('.metal')} has no kernel of {tag} for Metal")
    end = _hand.suffix(types)
    head = "".join(_hand._letter(letter, str(tag)) for letter, tag in zip(letters, types))
    text = re.sub(r"\bRT_NAME\((\w+)\)", rf"rt_\1_{end}" if end else r"rt_\1", text)
    return head + written_out(text)


# ---- CUDA's hand-written kernels ----
# Note [Borrowed kernels]
# A file of cuda/kernels whose functions take no lambdas, share no memory and swap nothing atomically is valid here once pointers name their address
# space: what `a.p` points to is the device's, what `a.n` points to constant, all else a local variable. So operators whose launches are filled in
# Cython (cuda/ops) serve Metal too (Note [Doors in Cython] in cuda/_backend.pxd).
BORROWED = frozenset(("index.cuh", "index_reduce.cuh", "move.cuh", "pool.cuh"))
_SPELLINGS = (
    (r"\bkernel\b", "kernel_size"),
    (r"\((const )?(\w+) \*\)(?=a\.p\[)", r"(device \1\2 *)"),
    (r"((?:const )?\b[A-Za-z_]\w*) \*(\w+) = (?=\(device)", r"device \1 *\2 = "),
    (r", \*(\w+) = (?=a\.n\b)", r"; constant int64_t *\1 = "),
    (r"(?<!device )const int64_t \*(?=\w)", r"constant int64_t *"),
    (r"(?<!constant )\bint64_t \*(\w+)(?=[,)])", r"thread int64_t *\1"),
    (r"const (\w+) &(?=\w)", r"thread const \1 &"),
    (r"\bint64_t \(&(\w+)\)\[", r"thread int64_t (&\1)["),
)


def _borrow(text):
    for pattern, spelling in _SPELLINGS:
        text = re.sub(pattern, spelling, text)
    return text


def borrowed_text(file, types, kernel):
    """Return the text of a kernel of cuda/kernels for types: Note [Borrowed kernels].

    Raises:
        NoKernel: the file is not one of those, or the kernel, or the types, are not for Metal.
    """
    if file not in BORROWED or any(tag in TAGS and tag not in (*STORED, "c128") for tag in types):
        raise NoKernel(f"{kernel} has no kernel for Metal")
    folder = os.path.join(os.path.dirname(HERE), "cuda", "kernels")
    own = file.removesuffix(".cuh") + ".metal"           # what is atomic is written anew
    text, letters = _hand.source(own, os.path.join(HERE, "kernels")) if os.path.exists(os.path.join(HERE, "kernels", own)) else _hand.source(file)
    for (letter, allowed), tag in zip(letters.items(), types):
        if str(tag) not in allowed:
            raise NoKernel(f"no kernel of {file} for {letter} = {tag}")

    def header(found):
        with open(os.path.join(folder, found[1]), encoding="utf-8") as f:
            text = f.read()
        if found[1] == "block.h":
            return "".join(re.search(rf"^(?:template[^\n]*> )?RT_INLINE \w+ {name}\(.*?\n\}}\n", text, re.M | re.S)[0] for name in ("rt_divide", "rt_offsets"))
        return INCLUDE.sub(header, text)

    text = _hand._alone(INCLUDE.sub(header, text), kernel)
    if f"RT_KERNEL(RT_NAME({kernel})" not in text or re.search(r"\[[&=]\]|RT_SHARED|RT_ATOMIC", text):
        raise NoKernel(f"{kernel} has no kernel for Metal")
    end = _hand.suffix(types)
    name = f"rt_{kernel}_{end}" if end else f"rt_{kernel}"
    head = "".join(_hand._letter(letter, str(tag)) for letter, tag in zip(letters, types))
    pointers = ", ".join(f"device char *p{i} [[buffer({i})]]" for i in range(16))
    given = ", ".join(f"c.given >> {i} & 1 ? p{i} : nullptr" for i in range(16))
    text = re.sub(r"RT_KERNEL\(RT_NAME\(\w+\), RtCall\) \{", lambda _: (
        f"RT_INLINE void {name}_body(thread const RtCall &a);\n"
        f"kernel void {name}({pointers}, device int64_t *fault [[buffer(16)]], constant RtMetalCall &c [[buffer(17)]], "
        "uint3 thread_at [[thread_position_in_threadgroup]], uint3 block_at [[threadgroup_position_in_grid]], uint3 block_size [[threads_per_threadgroup]], "
        "uint3 grid_size [[threadgroups_per_grid]]) {\n"
        f"    const RtCall a = {{{{{given}}}, c.n, c.k, c.what, fault, thread_at, block_at, block_size, grid_size}};\n    {name}_body(a);\n}}\n"
        f"RT_INLINE void {name}_body(thread const RtCall &a) {{"), _borrow(text))
    return head + written_out(read("borrowed.h")) + text, name
