"""Prints kernels: a key (what the launcher looks up) to C++ text for the device.

The expressions come from the operator table by the same printer as the CPU's loops, the functions they call are the same headers
compiled for the device, so a row is written once. Standard library only.
"""
import re

from ..tensor import optable, render

TAGS = ("b8", "u8", "i8", "i16", "i32", "i64", "f16", "bf16", "f32", "f64", "c64", "c128", "c32", "u16", "u32", "u64",
        "e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e8m0fnu")
F8 = TAGS[16:]
CTYPES = dict(zip(TAGS, ("rt_bool", "uint8_t", "int8_t", "int16_t", "int32_t", "int64_t", "rt_f16", "rt_bf16", "float", "double", "rt_c64", "rt_c128",
                         "rt_c32", "uint16_t", "uint32_t", "uint64_t") + ("rt_f8",) * 5))
KINDS = {"b8": "b", "f32": "f", "f64": "f", "c64": "c", "c128": "c", **dict.fromkeys(("u8", "i8", "i16", "i32", "i64"), "i")}
RAW = {1: "u8", 2: "i16", 4: "i32", 8: "i64", 16: "c128"}        # what moves so many bytes
REAL = {"c64": "f32", "c128": "f64"}
ROW, CAST, FILL, REDUCE, COMBINE, PRODUCT, SMALL = range(7)
HALVES = ("f16", "bf16")
ROUGH = ("gelu", "sigmoid", "silu")   # functions with a quick form whose error is far below a rounding to 16 bits (device_math.h)
DENSE, STRIDED, TILE = range(3)       # of elementwise kernels and copies
LINES, ACROSS = range(2)             # of reductions
PRODUCT_TILE = 64                    # of a matrix product, as in launch.c


class NoKernel(LookupError):
    """There is no such kernel: the operator has no loop of this dtype."""


def cast(to, tag, value):
    """Text that converts `value` of dtype `tag` to dtype `to`, by the rules of the CPU's conversions."""
    if to == tag:
        return value
    if tag == "c32":                                     # two float16s: the parts are converted as float32s are
        re, im = (f"rt_f16_to_f32(rt_f16{{({value}).{part}}})" for part in ("re", "im"))
        if to in REAL:
            return cast(to, "c64", f"rt_make_c64({re}, {im})")
        return cast(to, "f32", re)
    if to == "c32":
        re, im = (cast("f32", tag, value), "0") if tag not in REAL else ((f"(float)rt_{part}_{tag}({value})" for part in ("re", "im")))
        return f"(rt_c32{{rt_f32_to_f16({re}).bits, rt_f32_to_f16({im}).bits}})"
    if tag in ("f16", "bf16"):
        value, tag = f"rt_{tag}_to_f32({value})", "f32"
        if to == tag:
            return value
    if tag in F8:
        return cast(to, "f32", f"rt_{tag}_to_f32({value})")
    if to in F8:
        return f"rt_f32_to_{to}({cast('f32', tag, value)})"
    if to == "b8":
        return f"(rt_bool)({value} != ({CTYPES[tag]})0)"
    if tag in REAL:
        if to in REAL:
            real = CTYPES[REAL[to]]
            return f"rt_make_{to}(({real})rt_re_{tag}({value}), ({real})rt_im_{tag}({value}))"
        value, tag = f"rt_re_{tag}({value})", REAL[tag]
    if to in REAL:
        return f"rt_make_{to}(({CTYPES[REAL[to]]})({value}), 0)"
    if to in ("f16", "bf16"):
        return f"rt_f32_to_{to}((float)({value}))"
    if tag in ("f32", "f64") and to not in ("f32", "f64"):
        by = "i32" if to in ("i8", "i16", "i32") else "i64"           # as on the CPU (kernels/cast.inc.c)
        return f"({CTYPES[to]})rt_to_{by}({value})"
    return f"({CTYPES[to]})({value})"


def _open(tag):
    """Name the loop's types and functions as the printer's text does."""
    real = REAL.get(tag, tag)
    return f"#define T {CTYPES[tag]}\n#define R {CTYPES[real]}\n#define F(name) rt_##name##_{tag}\n"


_CLOSE = "#undef T\n#undef R\n#undef F\n"


def _turns(vector, cost=1, alone=False):
    """(packs that a thread of an elementwise kernel has under way at once, threads of a block), as launch.c counts: enough bytes to hide memory's
    latency. `alone`: a dense kernel reads one operand, as wide as its result; that is fastest by small blocks and one pack a thread, or two
    where there is much to compute (GELU of 1 GiB on an H200: 0.507 ms, 0.517 by one pack and 256 threads)."""
    if vector > 1 and alone:
        return 2 if 1 < cost <= 3 and vector <= 8 else 1, 128
    return 1 if cost > 3 or vector > 8 else 2 if vector > 1 else 4, 256


def _pack(tag, vector):
    return f"RtPack<{CTYPES[tag]}, {vector}>"


def _map(name, out, ins, value, mode, vector, moving, host, before="", cost=1):
    """A kernel out[i] = value(ins[i]...). `out`, `ins`: dtypes in memory; `value(names)`: text of the result, in the dtype of memory,
    from texts of operands in the dtype of memory. `before`: text at the kernel's start.

    Each thread has the packs of `_turns` under way: all are read before the first is computed.
    """
    fixed = {i: f"*(const {CTYPES[tag]} *)a.host[{i}].bytes" for i, tag in enumerate(ins, 1) if host >> i & 1}
    if mode == DENSE:
        fixed.update({i: f"*(const {CTYPES[tag]} *)a.p[{i}]" for i, tag in enumerate(ins, 1) if i not in fixed and not moving >> i & 1})
    pre = before + "".join(f"    const {CTYPES[ins[i - 1]]} x{i} = {text};\n" for i, text in fixed.items())
    move = [i for i in range(1, len(ins) + 1) if i not in fixed]
    sizes = {ITEMSIZE[TAGS.index(out)], *(ITEMSIZE[TAGS.index(ins[i - 1])] for i in move)}
    turns, block = _turns(vector, cost, mode == DENSE and len(move) < 2 and len(sizes) == 1)
    names, otype = [f"x{i}" for i in range(1, len(ins) + 1)], CTYPES[out]
    whole = {i: vector if mode == DENSE or vector > 1 and moving >> i & 1 else 1 for i in move}       # elements of an operand's pack
    for_u, for_j = f"#pragma unroll\n    for (int u = 0; u < {turns}; u++)", f"#pragma unroll\n        for (int j = 0; j < {vector}; j++)"
    held = "".join(f"    {_pack(ins[i - 1], whole[i])} v{i}[{turns}];\n" for i in move)
    one = "".join(f"const {CTYPES[ins[i - 1]]} x{i} = v{i}[u].v[{'j' if whole[i] > 1 or vector == 1 else 0}]; " for i in move)
    result = f"        {_pack(out, vector)} o;\n{for_j} {{ {one}o.v[j] = {value(names)}; }}\n"
    if mode == DENSE:
        reads = "".join(f"v{i}[u] = *(const {_pack(ins[i - 1], vector)} *)((const {CTYPES[ins[i - 1]]} *)a.p[{i}] + i); " for i in move)
        at = f"const int64_t i = first + u * {block * vector}; if (i <= last)"
        text = (f"RT_KERNEL({name}, RtDense) {{\n{pre}    const int64_t first = ((int64_t)blockIdx.x * {block * turns} + threadIdx.x) * {vector}, last = a.n - {vector};\n"
                f"{held}    {for_u} {{ {at} {{ {reads}}} }}\n    {for_u} {{ {at} {{\n{result}        *({_pack(out, vector)} *)(({otype} *)a.p[0] + i) = o; }}\n    }}\n")
        if vector > 1:
            single = "".join(f"const {CTYPES[ins[i - 1]]} x{i} = ((const {CTYPES[ins[i - 1]]} *)a.p[{i}])[j]; " for i in move)
            text += (f"    const int64_t j = a.n - a.n % {vector} + threadIdx.x;\n"
                     f"    if (blockIdx.x == gridDim.x - 1 && j < a.n) {{ {single}(({otype} *)a.p[0])[j] = {value(names)}; }}\n")
        return text + "}\n"
    at = ["at0", *(f"at{i}" for i in move)]
    walk = " ".join(f"{v}[u] += here * (int32_t)a.step[d][{v[2:]}];" for v in at)
    ends = " ".join(f"{v}[u] += (int32_t)rest[u] * (int32_t)a.step[d][{v[2:]}];" for v in at)
    reads = "".join(f"v{i}[u] = *(const {_pack(ins[i - 1], whole[i])} *)(a.p[{i}] + at{i}[u]); " for i in move)
    return (f"RT_KERNEL({name}, RtStrided) {{\n{pre}    const uint32_t n = (uint32_t)a.n, first = blockIdx.x * {256 * turns}u + threadIdx.x;\n"
            f"    uint32_t rest[{turns}];\n    int32_t {', '.join(f'{v}[{turns}]' for v in at)};\n{held}"
            f"    {for_u} {{ rest[u] = first + u * 256u; {' '.join(f'{v}[u] = 0;' for v in at)} }}\n"
            f"    int d = 0;\n    for (; d < a.ndim - 1; d++) {{\n        const RtDivisor by = a.by[d];\n        const uint32_t size = (uint32_t)a.size[d];\n    {for_u} {{\n"
            f"            const uint32_t next = rt_quotient(rest[u], by);\n            const int32_t here = (int32_t)(rest[u] - next * size);\n"
            f"            rest[u] = next; {walk}\n        }}\n    }}\n"
            f"    {for_u} {{ {ends} }}\n    {for_u} if (first + u * 256u < n) {{ {reads}}}\n"
            f"    {for_u} if (first + u * 256u < n) {{\n{result}        *({_pack(out, vector)} *)(a.p[0] + at0[u]) = o;\n    }}\n}}\n")


def tile_sides(vector):
    """Elements of the sides of the tile that a block of :func:`_turned` takes, along the result and along the turned operands, as launch.c has it
    (for a sum with a transposed operand, and a transposed copy, of float32 on an H200: 0.752 and 0.536 ms; 64 x 64: 0.753 and 0.608)."""
    return 32 if vector < 4 else 64, 64 if vector > 1 else 32


def _turned(name, out, ins, value, vector, turned, host, before):
    """:func:`_map` where operands (the bits of `turned`) are dense along the second dimension and not, as the result, along the first: a block
    takes a square of both, reads these operands along theirs and turns them in shared memory. `vector`: elements of a pack, on both sides."""
    fixed = {i: f"*(const {CTYPES[tag]} *)a.host[{i}].bytes" for i, tag in enumerate(ins, 1) if host >> i & 1}
    pre = before + "".join(f"    const {CTYPES[ins[i - 1]]} x{i} = {text};\n" for i, text in fixed.items())
    move, (side, depth) = [i for i in range(1, len(ins) + 1) if i not in fixed], tile_sides(vector)
    count = side * depth // vector // 256
    for_u, for_j = f"#pragma unroll\n    for (int u = 0; u < {count}; u++)", f"#pragma unroll\n        for (int j = 0; j < {vector}; j++)"
    # the u-th pack of a thread: line and place along the line, of the tile
    place, turned_place = (f"const int line = (threadIdx.x + u * 256) / {n // vector}, along = (threadIdx.x + u * 256) % {n // vector} * {vector}; " for n in (side, depth))
    here = f"{place}const int64_t first = corner0 + along, second = corner1 + line; if (first < a.size[0] && second < a.size[1])"
    there = f"{turned_place}const int64_t first = corner0 + line, second = corner1 + along; if (first < a.size[0] && second < a.size[1])"
    at = ["at0", *(f"at{i}" for i in move)]
    tiles = reads = puts = one = ""
    for i in move:
        tag = ins[i - 1]
        size = ITEMSIZE[TAGS.index(tag)]
        if turned >> i & 1:
            pitch = depth + max(1, 4 // size)                     # neighbouring lines of a tile begin in different banks
            tiles += f"    RT_SHARED({CTYPES[tag]}, tile{i}, {side * pitch});\n"
            reads += (f"    {_pack(tag, vector)} v{i}[{count}];\n    {for_u} {{ {there} v{i}[u] = *(const {_pack(tag, vector)} *)"
                      f"(a.p[{i}] + at{i} + first * a.step[0][{i}] + second * {size}); }}\n")
            puts += f"    {for_u} {{ {turned_place}\n        {for_j} tile{i}[line * {pitch} + along + j] = v{i}[u].v[j]; }}\n"
            one += f"const {CTYPES[tag]} x{i} = tile{i}[(along + j) * {pitch} + line]; "
        else:
            reads += f"    {_pack(tag, vector)} v{i}[{count}];\n    {for_u} {{ {here} {{ const char *from = a.p[{i}] + at{i} + first * a.step[0][{i}] + second * a.step[1][{i}];\n"
            if vector > 1:                                        # dense, or one element for the whole line
                reads += f"        if (a.step[0][{i}]) v{i}[u] = *(const {_pack(tag, vector)} *)from;\n        else\n    "
            reads += f"        for (int j = 0; j < {vector}; j++) v{i}[u].v[j] = *(const {CTYPES[tag]} *)from; }} }}\n"
            one += f"const {CTYPES[tag]} x{i} = v{i}[u].v[j]; "
    names = [f"x{i}" for i in range(1, len(ins) + 1)]
    return (f"RT_KERNEL({name}, RtStrided) {{\n{tiles}{pre}    uint32_t rest = blockIdx.x;\n    int64_t {', '.join(f'{v} = 0' for v in at)}, corner0 = 0, corner1 = 0;\n"
            f"    for (int d = 0; d < a.ndim; d++) {{\n        const uint32_t side = d == 0 ? {side} : d == 1 ? {depth} : 1, size = (uint32_t)((a.size[d] + side - 1) / side);\n"
            f"        const uint32_t next = d < a.ndim - 1 ? rt_quotient(rest, a.by[d]) : 0;\n        const int64_t at = rest - next * size;\n        rest = next;\n"
            f"        if (d == 0) corner0 = at * {side};\n        else if (d == 1) corner1 = at * {depth};\n"
            f"        else {{ {' '.join(f'{v} += at * a.step[d][{v[2:]}];' for v in at)} }}\n    }}\n{reads}{puts}    RT_SYNC();\n"
            f"    {for_u} {{ {here} {{\n        {_pack(out, vector)} o;\n        {for_j} {{ {one}o.v[j] = {value(names)}; }}\n"
            f"        *({_pack(out, vector)} *)(a.p[0] + at0 + first * {ITEMSIZE[TAGS.index(out)]} + second * a.step[1][0]) = o; }} }}\n}}\n")


def _tile_of_pairs(name, out, source, value):
    """The same for elements of two bytes, two of them at a time where both sides allow it: whole lines of memory a warp."""
    itype, otype = CTYPES[source], CTYPES[out]
    return f"""\
RT_KERNEL({name}, RtTile) {{
    RT_SHARED({itype}, tile, 64 * 66);
    uint32_t rest = blockIdx.x;
    int64_t in_at = 0, out_at = 0, corner[2];
    for (int d = 0; d < a.ndim; d++) {{
        const uint32_t next = d < a.ndim - 1 ? rt_quotient(rest, a.by[d]) : 0, here = rest - next * (uint32_t)a.size[d];
        rest = next;
        if (d < 2) corner[d] = (int64_t)here * 64;
        else {{ in_at += here * a.in_step[d]; out_at += here * a.out_step[d]; }}
    }}
    const int x = 2 * (threadIdx.x % 32), y = threadIdx.x / 32;
    RtPack<{itype}, 2> v[8];
    #pragma unroll
    for (int u = 0; u < 8; u++) {{
        const int64_t i = corner[0] + y + 8 * u, j = corner[1] + x;
        if (i < a.n_a && j < a.n_b) v[u] = *(const RtPack<{itype}, 2> *)(a.in + in_at + i * a.in_a + j * 2);
    }}
    #pragma unroll
    for (int u = 0; u < 8; u++) *(RtPack<{itype}, 2> *)(tile + (y + 8 * u) * 66 + x) = v[u];
    RT_SYNC();
    #pragma unroll
    for (int u = 0; u < 8; u++) {{
        const int64_t i = corner[0] + x, j = corner[1] + y + 8 * u;
        const {itype} one = tile[x * 66 + y + 8 * u], two = tile[(x + 1) * 66 + y + 8 * u];
        RtPack<{otype}, 2> o;
        o.v[0] = {value('one')};
        o.v[1] = {value('two')};
        if (i < a.n_a && j < a.n_b) *(RtPack<{otype}, 2> *)(a.out + out_at + i * {ITEMSIZE[TAGS.index(out)]} + j * a.out_b) = o;
    }}
}}
"""


def _tile(name, out, source, value, vector=1):
    """A kernel that copies with two dimensions exchanged, by tiles in shared memory: both sides of memory are read and written in lines."""
    if vector == 2:
        return _tile_of_pairs(name, out, source, value)
    item = ITEMSIZE[TAGS.index(source)]
    edge = 64 if item < 4 else 32
    pitch = edge + max(1, 4 // item)                              # columns of a tile lie in different banks
    itype, otype, count = CTYPES[source], CTYPES[out], edge * edge // 256
    return f"""\
RT_KERNEL({name}, RtTile) {{
    RT_SHARED({itype}, tile, {edge * pitch});
    uint32_t rest = blockIdx.x;
    int64_t in_at = 0, out_at = 0, corner[2];
    for (int d = 0; d < a.ndim; d++) {{
        const uint32_t next = d < a.ndim - 1 ? rt_quotient(rest, a.by[d]) : 0, here = rest - next * (uint32_t)a.size[d];
        rest = next;
        if (d < 2) corner[d] = (int64_t)here * {edge};
        else {{ in_at += here * a.in_step[d]; out_at += here * a.out_step[d]; }}
    }}
    const int x = threadIdx.x % 32, y = threadIdx.x / 32;
    {itype} v[{count}];
    #pragma unroll
    for (int u = 0; u < {count}; u++) {{
        const int64_t i = corner[0] + y + 8 * (u / {edge // 32}), j = corner[1] + x + 32 * (u % {edge // 32});
        if (i < a.n_a && j < a.n_b) v[u] = *(const {itype} *)(a.in + in_at + i * a.in_a + j * {item});
    }}
    #pragma unroll
    for (int u = 0; u < {count}; u++) tile[(y + 8 * (u / {edge // 32})) * {pitch} + x + 32 * (u % {edge // 32})] = v[u];
    RT_SYNC();
    #pragma unroll
    for (int u = 0; u < {count}; u++) {{
        const int64_t i = corner[0] + x + 32 * (u % {edge // 32}), j = corner[1] + y + 8 * (u / {edge // 32});
        const {itype} one = tile[(x + 32 * (u % {edge // 32})) * {pitch} + y + 8 * (u / {edge // 32})];
        if (i < a.n_a && j < a.n_b) *({otype} *)(a.out + out_at + i * {ITEMSIZE[TAGS.index(out)]} + j * a.out_b) = {value('one')};
    }}
}}
"""


def _signature(row, which, tag):
    """(text, operands, dtype an operand where it is not the loop's, dtype of the result) of a kernel, or None: no loop of this dtype."""
    kind = "h" if tag in HALVES else KINDS.get(tag)
    found = render.kernel_text(row, which, kind) if which <= row.arity and kind is not None and kind in row.kinds else None
    if found is None:
        return None
    text, operands = found
    if which:
        operands = ["g", *render.saved_operands(row)[which - 1]]
    types = {n: {".": tag, "b": "b8", "r": REAL.get(tag, tag)}[row.types[i]] for i, n in enumerate(("x", "y", "z")[: row.arity])}
    return text, operands, types, tag if which else {"same": tag, "bool": "b8", "real": REAL.get(tag, tag)}[row.out]


def row_kernel(name, kernel, loop, dtypes, mode, vector, moving, host):
    """An elementwise row, forward or one of its gradients."""
    row, which, tag = optable.ROWS[kernel >> 2], kernel & 3, TAGS[loop]
    found = _signature(row, which, tag)
    if found is None:
        raise NoKernel(f'"{row.name}" has no loop of {tag}')
    text, operands, types, result = found
    printer = render.Printer(row.name, row.let)
    body = "".join(f"const T {n} = {printer.render(v)}; " for n, v in render.used_lets(row, text))
    used = render.reads(row, text)
    ks = [i for i in (0, 1) if f"k{i}" in used]
    params = [*(f"const {CTYPES[types.get(n, tag)]} {n}" for n in operands), *(f"const T k{i}" for i in ks)]
    out, *ins = (TAGS[d] for d in dtypes)
    whole = "(int64_t)" if KINDS.get(tag) == "i" else ""     # so that a negative number wraps in unsigned dtypes, as on the CPU
    before = "".join(f"    const T k{i} = (T){whole}a.k[{i}];\n" for i in ks)

    def value(names):
        args = [*(cast(types.get(n, tag), ins[i], names[i]) for i, n in enumerate(operands)), *(f"k{i}" for i in ks)]
        return cast(out, result, f"{name}_value({', '.join(args)})")

    head = f"RT_INLINE {CTYPES[result]} {name}_value({', '.join(params)}) {{ {body}return ({CTYPES[result]})({printer.render(text)}); }}\n"
    if out in HALVES and all(t in HALVES for i, t in enumerate(ins, 1) if not host >> i & 1):
        for f in ROUGH:
            head = head.replace(f"F({f})(", f"rt_rough_{f}(")
    if mode == TILE:
        return _open(tag) + head + _turned(name, out, ins, value, vector, moving, host, before) + _CLOSE
    return _open(tag) + head + _map(name, out, ins, value, mode, vector, moving, host, before, row.cost) + _CLOSE


def cast_kernel(name, dtypes, mode, vector, moving):
    out, source = (TAGS[d] for d in dtypes)
    if dtypes[0] == dtypes[1]:                    # bytes move as they are
        return move_kernel(name, dtypes[0], mode, vector, moving)
    more = '#include "rustorch/float8.h"\n' if out in F8 or source in F8 else ""
    if mode == TILE and moving:
        return more + _turned(name, out, [source], lambda names: cast(out, source, names[0]), vector, moving, 0, "")
    if mode == TILE:
        return more + _tile(name, out, source, lambda text: cast(out, source, text), vector)
    return more + _map(name, out, [source], lambda names: cast(out, source, names[0]), mode, vector, moving, 0)


def move_kernel(name, dtype, mode, vector, moving):
    raw = RAW[ITEMSIZE[dtype]]
    if mode == TILE and moving:
        return _turned(name, raw, [raw], lambda names: names[0], vector, moving, 0, "")
    if mode == TILE:
        return _tile(name, raw, raw, lambda text: text, vector)
    return _map(name, raw, [raw], lambda names: names[0], mode, vector, moving, 0)


def fill_kernel(name, nbytes, mode, vector, moving):
    raw = RAW[nbytes]
    return _map(name, raw, [], lambda names: "value", mode, vector, moving, 0, f"    const {CTYPES[raw]} value = *(const {CTYPES[raw]} *)a.k;\n")


ITEMSIZE = (1, 1, 1, 2, 4, 8, 2, 2, 4, 8, 8, 16, 4, 2, 4, 8, 1, 1, 1, 1, 1)

_REDUCE = """\
struct {name}_op {{
    typedef {in_type} In;
    typedef T Acc;
    T k0;
    static inline T init() {{ const T a = (T)0; (void)a; return {init}; }}
    inline T step(T a, {in_type} given) const {{ const T x = {x}; (void)k0; return {step}; }}
    static inline T both(T a, T b) {{ return {combine}; }}
    inline void store(char *out, T a) const {{ {divide}*({out_type} *)out = {store}; }}
}};
RT_KERNEL({name}, RtReduce) {{ rt_reduce_{way}<{vector}>(a, {name}_op{{(T)a.k0}}); }}
"""


def reduce_kernel(name, row, acc, dtypes, mode, vector, combine):
    """A reduction; `combine`: over accumulators of a first pass."""
    red, tag = optable.REDUCTIONS[row], TAGS[acc]
    kind = KINDS.get(tag)
    if kind not in red.kinds or kind is None:
        raise NoKernel(f'"{red.name}" has no loop of {tag}')
    out, source = TAGS[dtypes[0]], TAGS[dtypes[1]]
    printer = render.Printer(red.name)
    text = _REDUCE.format(name=name, in_type=CTYPES[source], out_type=CTYPES[out], way=("lines", "across")[mode], vector=vector or 1,
                          init=printer.render(red.init), x=cast(tag, source, "given"), combine=printer.render(red.combine),
                          step="both(a, x)" if combine else printer.render(red.step), store=cast(out, tag, "a"),
                          divide="if (k0 != 0) a = a / k0; " if red.name == "sum" and tag in ("f32", "f64") else "")
    return '#include "reduce.h"\n' + _open(tag) + text + _CLOSE


_PRODUCT = """\
RT_KERNEL({name}, RtProduct) {{
    RT_SHARED(T, at, {depth} * ({tile} + 1)); RT_SHARED(T, bt, {depth} * ({tile} + 1));
    const int me = threadIdx.x, tm = me / 16, tn = me % 16;
    const int64_t m0 = (int64_t)blockIdx.x * {tile}, n0 = (int64_t)blockIdx.y * {tile};
    const E *pa = (const E *)a.a + blockIdx.z * a.a_z, *pb = (const E *)a.b + blockIdx.z * a.b_z;
    T sum[4][4];
    for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) sum[i][j] = (T)0;
    for (int64_t k0 = 0; k0 < a.k; k0 += {depth}) {{
        for (int t = me; t < {depth} * {tile}; t += 256) {{       /* neighbours in memory are read by neighbours */
            const int am = a.a_k == 1 ? t / {depth} : t % {tile}, ak = a.a_k == 1 ? t % {depth} : t / {tile};
            const int bn = a.b_k == 1 ? t / {depth} : t % {tile}, bk = a.b_k == 1 ? t % {depth} : t / {tile};
            at[ak * ({tile} + 1) + am] = m0 + am < a.m && k0 + ak < a.k ? {load_a} : (T)0;
            bt[bk * ({tile} + 1) + bn] = n0 + bn < a.n && k0 + bk < a.k ? {load_b} : (T)0;
        }}
        RT_SYNC();
        for (int k = 0; k < {depth}; k++) {{
            T x[4], y[4];
            for (int i = 0; i < 4; i++) {{ x[i] = at[k * ({tile} + 1) + tm + 16 * i]; y[i] = bt[k * ({tile} + 1) + tn + 16 * i]; }}
            for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) sum[i][j] = {fma};
        }}
        RT_SYNC();
    }}
    E *pc = (E *)a.c + blockIdx.z * a.c_z;
    const T alpha = {alpha}, beta = {beta};
    for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) {{
        const int64_t m = m0 + tm + 16 * i, n = n0 + tn + 16 * j;
        if (m >= a.m || n >= a.n) continue;
        E *c = pc + m * a.c_m + n * a.c_n;
        T v = alpha * sum[i][j];
        if (a.beta[0] != 0 || a.beta[1] != 0) v = v + beta * {load_c};                  /* what is there may be NaN, and counts only then */
        *c = {store};
    }}
}}
"""


def product_kernel(name, loop, dtype):
    """c = alpha a @ b + beta c by tiles of 64 x 64 in shared memory; 16-bit floats are multiplied and summed in float32."""
    tag, memory = TAGS[loop], TAGS[dtype]
    if tag == "b8" or tag not in KINDS:
        raise NoKernel(f"no matrix product of {memory}")
    fma = f"rt_ma_{tag}(x[i], y[j], sum[i][j])" if tag in ("f32", "f64") else "(T)(sum[i][j] + x[i] * y[j])"
    depth = 8 if tag == "c128" else 16
    load_a, load_b = cast(tag, memory, "pa[(m0 + am) * a.a_m + (k0 + ak) * a.a_k]"), cast(tag, memory, "pb[(k0 + bk) * a.b_k + (n0 + bn) * a.b_n]")
    alpha, beta = "(T)a.alpha[0]", "(T)a.beta[0]"
    if tag in REAL:
        load_a, load_b = f"rt_conj_if({load_a}, a.conj & 1)", f"rt_conj_if({load_b}, a.conj & 2)"
        alpha, beta = (f"F(make)((R)a.{k}[0], (R)a.{k}[1])" for k in ("alpha", "beta"))
    text = _PRODUCT.format(name=name, tile=PRODUCT_TILE, depth=depth, fma=fma, load_a=load_a, load_b=load_b, load_c=cast(tag, memory, "*c"),
                           store=cast(memory, tag, "v"), alpha=alpha, beta=beta)
    return _open(tag) + f"#define E {CTYPES[memory]}\n" + text + "#undef E\n" + _CLOSE


def small_kernel(name, loop, dtype):
    """A product of small matrices of real numbers: kernels/small_product.h."""
    tag, memory = TAGS[loop], TAGS[dtype]
    if tag not in ("f32", "f64"):
        raise NoKernel(f"no product of small matrices of {memory}")
    return (f'#include "small_product.h"\nstruct {name}_op {{\n    typedef {CTYPES[tag]} T;\n    typedef {CTYPES[memory]} E;\n'
            f"    RT_INLINE T get(E v) {{ return {cast(tag, memory, 'v')}; }}\n    RT_INLINE E put(T v) {{ return {cast(memory, tag, 'v')}; }}\n"
            f"    RT_INLINE T fma(T x, T y, T sum) {{ return rt_ma_{tag}(x, y, sum); }}\n}};\n"
            f"RT_KERNEL({name}, RtProduct) {{ rt_small_product(a, {name}_op{{}}); }}\n")


def kernel_name(key):
    """A name that says what the kernel does; one a key."""
    kind, dtypes = key["kind"], "_".join(TAGS[d] for d in key["dtypes"])
    shape = ("d", "s", "t")[key["mode"]] + (f"{key['vector']}m{key['moving']:x}" if key["mode"] == DENSE or key["vector"] > 1 or key["moving"] and key["mode"] == TILE else "") + (f"h{key['host']:x}" if key["host"] else "")
    if kind == ROW:
        row, which = optable.ROWS[key["id"] >> 2], key["id"] & 3
        return f"rt_{row.name}_{'fwd' if which == 0 else f'd{which - 1}'}_{TAGS[key['loop']]}_{dtypes}_{shape}"
    if kind == CAST:
        return f"rt_copy_{dtypes}_{shape}"
    if kind == FILL:
        return f"rt_fill_{key['id']}_{shape}"
    if kind == PRODUCT:
        return f"rt_product_{dtypes}"
    if kind == SMALL:
        return f"rt_small_{dtypes}"
    way = ("l", "a")[key["mode"]] + str(key["vector"] or 1)
    return f"rt_{'reduce' if kind == REDUCE else 'combine'}_{optable.REDUCTIONS[key['id']].name}_{TAGS[key['loop']]}_{dtypes}_{way}"


_SHAPE = re.compile(r"(d|s|t)(?:(\d+)m([0-9a-f]+))?(?:h([0-9a-f]+))?$")


def key_of(name):
    """The key that :func:`kernel_name` gives a name; ValueError: there is none."""
    words = name.split("_")[1:]
    key = {"kind": ROW, "id": 0, "loop": 0, "dtypes": [], "mode": 0, "vector": 0, "moving": 0, "host": 0}
    if words[0] in ("reduce", "combine"):
        way, vector = re.fullmatch(r"(l|a)(\d+)", words.pop()).groups()
        loop, *dtypes = (TAGS.index(word) for word in words[-3:])
        row, = (row for row in optable.REDUCTIONS if row.name == "_".join(words[1:-3]))
        return {**key, "kind": REDUCE if words[0] == "reduce" else COMBINE, "id": row.index, "loop": loop, "dtypes": dtypes, "mode": "la".index(way), "vector": int(vector)}
    if words[0] in ("product", "small") and len(words) == 2:
        tag = words[1]
        return {**key, "kind": PRODUCT if words[0] == "product" else SMALL, "loop": TAGS.index("f32" if tag in ("f16", "bf16") else tag), "dtypes": [TAGS.index(tag)]}
    mode, vector, moving, host = _SHAPE.fullmatch(words.pop()).groups()
    key.update(mode="dst".index(mode), vector=int(vector or 1), moving=int(moving or "0", 16), host=int(host or "0", 16))
    if words[0] == "fill":
        return {**key, "kind": FILL, "id": int(words[1]), "dtypes": [next(i for i, tag in enumerate(TAGS) if ITEMSIZE[i] == int(words[1]))]}
    if words[0] == "copy":
        return {**key, "kind": CAST, "dtypes": [TAGS.index(word) for word in words[1:]]}
    at = next(i for i in range(1, len(words)) if re.fullmatch(r"fwd|d\d", words[i]))
    row, = (i for i, row in enumerate(optable.ROWS) if row.name == "_".join(words[:at]))
    loop, *dtypes = (TAGS.index(word) for word in words[at + 1:])
    return {**key, "id": row << 2 | (0 if words[at] == "fwd" else 1 + int(words[at][1:])), "loop": loop, "dtypes": dtypes}


def kernel_text(key):
    """(name, text) of a key, a dict of the fields of RtKey (launch.h) with `dtypes` a list.

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
    if kind == PRODUCT:
        return name, product_kernel(name, key["loop"], key["dtypes"][0])
    if kind == SMALL:
        return name, small_kernel(name, key["loop"], key["dtypes"][0])
    return name, reduce_kernel(name, key["id"], key["loop"], key["dtypes"], key["mode"], key["vector"], kind == COMBINE)


def row_key(kernel, loop, mode=DENSE, vector=1):
    """The key of an elementwise kernel whose operands all move, each of the dtype that the loop takes; None: there is no such loop."""
    tag = TAGS[loop]
    found = _signature(optable.ROWS[kernel >> 2], kernel & 3, tag)
    if found is None:
        return None
    _, operands, types, result = found
    dtypes = [TAGS.index(result), *(TAGS.index(types.get(n, tag)) for n in operands)]
    return {"kind": ROW, "id": kernel, "loop": loop, "dtypes": dtypes, "mode": mode, "vector": vector if mode == DENSE else 1,
            "moving": (1 << len(dtypes)) - 1 if mode == DENSE else 0, "host": 0}


def all_keys(loops=range(12), mode=DENSE, vector=1):
    """A key for every row, gradient and reduction of the table with a loop of these dtypes (codes), as :func:`row_key` makes them,
    and for the conversions, fills and products of these dtypes."""
    keys = [key for loop in loops for kernel in range(4 * len(optable.ROWS)) if (key := row_key(kernel, loop, mode, vector)) is not None]
    shape = {"mode": mode, "vector": vector if mode == DENSE else 1, "moving": 3 if mode == DENSE else 0, "host": 0}
    keys += [{"kind": CAST, "id": 0, "loop": 0, "dtypes": [a, b], **shape} for a in loops for b in loops]
    keys += [{"kind": FILL, "id": ITEMSIZE[a], "loop": 0, "dtypes": [a], **shape, "moving": shape["moving"] & 1} for a in loops]
    plain = {"mode": 0, "vector": 1, "moving": 0, "host": 0}
    for loop in loops:
        for red in optable.REDUCTIONS:
            if KINDS.get(TAGS[loop]) is not None and KINDS[TAGS[loop]] in red.kinds:
                keys += [{"kind": kind, "id": red.index, "loop": loop, "dtypes": [loop, loop], **plain, "mode": way}
                         for kind, way in ((REDUCE, LINES), (REDUCE, ACROSS), (COMBINE, LINES), (COMBINE, ACROSS))]
        if TAGS[loop] != "b8":
            compute = TAGS.index("f32") if TAGS[loop] in ("f16", "bf16") else loop
            keys += [{"kind": kind, "id": 0, "loop": compute, "dtypes": [loop], **plain} for kind in ((PRODUCT, SMALL) if TAGS[compute] in ("f32", "f64") else (PRODUCT,))]
    return keys
