"""Prints the operator table: row text -> C loops, scalar C for reductions, Python functions.

Standard library only; setup.py runs :func:`build_files` before compiling. Device back ends print
the same rows in their own dialect through :class:`Printer`.
"""
import ast
import re

try:
    from . import optable
except ImportError:                       # loaded by path from setup.py
    import optable

# name -> number of arguments. Each exists for every dtype that a row uses it with: in C as
# rt_<name>_<tag> (include/rustorch/math.h), in other dialects under their spelling.
SCALAR_FUNCTIONS = {
    **dict.fromkeys("""abs abs_c sign sgn conj angle mul_i floor ceil trunc round sqrt exp exp2 expm1 log log2 log10 log1p sin cos tan
        asin acos atan sinh cosh tanh asinh acosh atanh sigmoid silu gelu softplus1 erf erfc erfinv erfcx lgamma digamma i0 i0e i1
        i1e ndtri log_ndtr isinf isfinite signbit bitnot lowest highest inf lt_half real_ge0""".split(), 1),
    **dict.fromkeys("""floordiv truncdiv remainder fmod pow hypot maximum minimum fmax fmin fmax_left fmin_left land lor lxor
        bitand bitor bitxor shl shr copysign nextafter gcd lcm atan2 logaddexp logaddexp2 xlogy xlog1py zeta polygamma cdiv""".split(), 2),
    "clamp": 3,
}
# Functions of real floats that exist for arrays too, rt_v<name>_<tag>(out, x[, y], n), compiled once an instruction set
# (kernels/vfun.inc.c): a loop computes their arguments for a block of elements, calls them, and goes on with the results.
VECTOR = set("""exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sigmoid silu gelu softplus1 erf erfc
    erfinv erfcx lgamma digamma i0 i0e i1 i1e ndtri log_ndtr floordiv remainder fmod pow hypot nextafter atan2 logaddexp logaddexp2 xlogy
    xlog1py zeta polygamma""".split())
# Functions with a form for registers of 16 float32 (kernels/vfun_v16.h, kernels/half_v16.h), name -> its C spelling there.
V16 = {n: f"v16_{n}" for n in """exp exp2 expm1 sigmoid silu gelu log log2 log10 log1p softplus1 erf tanh erfinv atan abs conj sqrt floor ceil trunc round
    truncdiv inf sign sgn copysign maximum minimum fmax fmin land lor lt_half real_ge0 fmax_left fmin_left""".split()}
# Derivatives that registers of 16-bit floats have a shorter form of: by functions of kernels/vfun_v16.h alone.
V16_SHORTER = {("gelu_erf", 1): "g * (0.5 + gelu_slope(x))"}
V16_OWN = {"gelu_slope": "v16_gelu_slope"}
V16.update({n: f"v16_{n}_any" for n in "sin cos tan fmod remainder floordiv".split()}, clamp="v16_clamp3")
HEAVY = 3        # rows of this cost class and above get no loop of their own for strides: operands are copied to blocks
OPERANDS = ("g", "x", "y", "z", "o")
VARIABLES = {*OPERANDS, "k0", "k1", "a", "b"}
_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}

KIND_TAGS = {"f": ("f32", "f64"), "i": ("u8", "i8", "i16", "i32", "i64"), "b": ("b8",), "c": ("c64", "c128"), "h": ("f16", "bf16")}


class TableError(ValueError):
    """A row whose text is outside the table's language; names the row."""


class Printer(ast.NodeVisitor):
    """Expression text to C. A dialect overrides ``call``, ``literal`` and ``select``."""

    def __init__(self, row_name, lets=()):
        self.row_name = row_name
        self.known = VARIABLES | set(lets)
        self.bools = frozenset()            # operands that are bools, not T

    def render(self, text):
        try:
            tree = ast.parse(text, mode="eval").body
        except SyntaxError as error:
            raise TableError(f"optable row {self.row_name!r}: {text!r}: {error.msg}") from None
        return self.visit(tree)

    def generic_visit(self, node):
        raise TableError(f"optable row {self.row_name!r}: {type(node).__name__} is not in the table's language")

    def visit_BinOp(self, node):
        if type(node.op) not in _OPERATORS:
            self.generic_visit(node.op)
        return f"({self.visit(node.left)} {_OPERATORS[type(node.op)]} {self.visit(node.right)})"

    def visit_UnaryOp(self, node):
        if not isinstance(node.op, ast.USub):
            self.generic_visit(node.op)
        return f"(-{self.visit(node.operand)})"

    def visit_Compare(self, node):
        if len(node.ops) != 1 or type(node.ops[0]) not in _COMPARE:
            self.generic_visit(node)
        return f"({self.visit(node.left)} {_COMPARE[type(node.ops[0])]} {self.visit(node.comparators[0])})"

    def visit_Name(self, node):
        if node.id not in self.known:
            raise TableError(f"optable row {self.row_name!r}: unknown name {node.id!r}")
        return node.id

    def visit_Constant(self, node):
        if type(node.value) not in (int, float):
            self.generic_visit(node)
        return self.literal(node.value)

    def visit_Call(self, node):
        if not isinstance(node.func, ast.Name) or node.keywords:
            self.generic_visit(node)
        name, args = node.func.id, [self.visit(a) for a in node.args]
        if name == "where" and len(args) == 3:
            return self.select(*args)
        if SCALAR_FUNCTIONS.get(name) != len(args):
            raise TableError(f"optable row {self.row_name!r}: {name}() with {len(args)} arguments is not in the closed list")
        return self.call(name, args)

    # the C dialect: T is the element type, F(name) the function for T
    def literal(self, value):
        return f"((T){value!r})"

    def select(self, cond, yes, no):
        return f"K(pick)({cond}, {yes}, {no})" if cond in self.bools else f"({cond} ? {yes} : {no})"

    def call(self, name, args):
        return f"F({name})({', '.join(args)})"


class BlockPrinter(Printer):
    """As Printer, but a call of a VECTOR function becomes the name of a block of its results; `calls` lists them in order."""

    def __init__(self, row_name, lets=()):
        super().__init__(row_name, lets)
        self.calls = []              # (function, texts of its arguments)

    def call(self, name, args):
        if name not in VECTOR:
            return super().call(name, args)
        if (name, args) not in self.calls:
            self.calls.append((name, args))
        return f"c{self.calls.index((name, args))}_"


class V16Printer(Printer):
    """As Printer, in registers of AVX-512: a condition is a mask."""

    _HOW = {ast.Lt: "LT_OQ", ast.LtE: "LE_OQ", ast.Gt: "GT_OQ", ast.GtE: "GE_OQ", ast.Eq: "EQ_OQ", ast.NotEq: "NEQ_UQ"}

    def visit_Compare(self, node):
        super().visit_Compare(node)              # refuses what the language has not
        return f"_mm512_cmp_ps_mask({self.visit(node.left)}, {self.visit(node.comparators[0])}, _CMP_{self._HOW[type(node.ops[0])]})"

    def visit_Call(self, node):
        if isinstance(node.func, ast.Name) and node.func.id in V16_OWN:
            return f"{V16_OWN[node.func.id]}({', '.join(self.visit(a) for a in node.args)})"
        return super().visit_Call(node)

    def literal(self, value):
        return f"S((float){value!r})"

    def select(self, cond, yes, no):
        return f"V16_WHERE({cond}, {yes}, {no})"

    def call(self, name, args):
        return f"{V16[name]}({', '.join(args)})"


def names_in(text):
    """Variables that a text reads."""
    return {n.id for n in ast.walk(ast.parse(text, mode="eval")) if isinstance(n, ast.Name)}


def used_lets(row, text):
    """let bindings that `text` needs, in order."""
    need = names_in(text)
    picked = []
    for name, value in reversed(list(row.let.items())):
        if name in need:
            picked.append((name, value))
            need |= names_in(value)
    return picked[::-1]


def calls_in(row, text):
    """Functions that a text calls, lets expanded."""
    texts = [text, *(v for _, v in used_lets(row, text))]
    return {n.func.id for t in texts for n in ast.walk(ast.parse(t, mode="eval")) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}


def reads(row, text):
    """All variables behind a text, lets expanded."""
    found = names_in(text)
    for name, value in used_lets(row, text):
        found |= names_in(value)
    return found


def kernel_text(row, which, kind):
    """(expression, operand names) of kernel `which` (0 forward, i the gradient of input i-1) or None."""
    if which == 0:
        text = {"i": row.ints, "b": row.bools, "c": row.cplx}.get(kind) or row.expr
        return text, ["x", "y", "z"][: row.arity]
    if kind not in "fc" or which > len(row.grad):
        return None
    text = row.cgrad[which - 1] if kind == "c" and row.cgrad else row.grad[which - 1]
    if text is None:
        return None
    seen = reads(row, text)
    return text, [n for n in OPERANDS if n in seen]


def saved_operands(row):
    """For each input: the operands its gradient reads besides g, over all kinds (a string such as "xo")."""
    masks = []
    for i in range(row.arity):
        seen = set()
        for kind in row.kinds:
            found = kernel_text(row, i + 1, kind) if kind in "fc" else None
            if found:
                seen |= set(found[1])
        masks.append("".join(n for n in OPERANDS[1:] if n in seen))
    return masks


def words(text):
    """Identifiers of a C text."""
    return set(re.findall(r"[A-Za-z_]\w*", text))


def _loop(row, which, kind):
    """One C loop: branches for dense operands, for scalar ones, and for strides."""
    found = kernel_text(row, which, kind)
    if found is None:
        return None
    text, operands = found
    # the gradient kernels take the union over kinds, so that callers pass one operand list
    if which:
        operands = ["g"] + [c for c in saved_operands(row)[which - 1]]
    if kind == "f" and (row.cost >= HEAVY or VECTOR & calls_in(row, text)):
        return _block_loop(row, which, text, operands)
    types = {}
    for i, name in enumerate(("x", "y", "z")[: row.arity]):
        types[name] = {".": "T", "b": "rt_bool", "r": "R"}[row.types[i]]
    printer = Printer(row.name, row.let)
    printer.bools = {n for n, t in types.items() if t == "rt_bool"}
    body = "".join(f"const T {n} = {printer.render(v)}; " for n, v in used_lets(row, text))
    value = printer.render(text)
    out_type = {"same": "T", "bool": "rt_bool", "real": "R"}[row.out] if which == 0 else "T"
    to = "" if kind == "h" else f"({out_type})"             # a struct is converted to nothing
    used = reads(row, text)
    ks = "".join(f"const T k{i} = (T)k_[{i}]; " for i in (0, 1) if f"k{i}" in used)
    typ = {n: types.get(n, "T") for n in operands}
    name = f"{row.name}_{'fwd' if which == 0 else f'd{which - 1}'}"
    lines = [f"static void K({name})(char **p_, const int64_t *s_, int64_t n_, const double *k_) {{", f"    {ks}(void)k_;"]
    m = len(operands)

    def contiguous(*scalars):
        """Operands in `scalars` do not move, the others are dense."""
        cond = [f"s_[0] == sizeof({out_type})"]
        pre, load = "", ""
        for i, op in enumerate(operands):
            t = typ[op]
            if op in scalars:
                cond.append(f"s_[{i + 1}] == 0")
                pre += f"const {t} {op} = *(const {t} *)p_[{i + 1}]; (void){op}; "
            else:
                cond.append(f"s_[{i + 1}] == sizeof({t})")
                pre += f"const {t} *{op}_ = (const {t} *)p_[{i + 1}]; "
                load += f"const {t} {op} = {op}_[i_]; (void){op}; "
        lines.append(f"    if ({' && '.join(cond)}) {{")
        lines.append(f"        {out_type} *o_out = ({out_type} *)p_[0]; {pre}")
        lines.append("        RT_IVDEP")
        lines.append(f"        for (int64_t i_ = 0; i_ < n_; i_++) {{ {load}{body}o_out[i_] = {to}({value}); }}")
        lines.append("        return;\n    }")

    contiguous()
    if which:                                              # numbers of a function's text are such operands too, in a fused loop
        variants = [(n,) for n in (operands if m == 2 else operands[: m > 2])]
    elif m == 2:
        variants = [("x",), ("y",)]
    elif m == 3:
        variants = [("y", "z"), ("z",)] + ([("y",)] if row.types[0] == "b" else [])
    else:
        variants = []
    for scalars in variants:
        contiguous(*scalars)
    load = "".join(f"const {typ[op]} {op} = *(const {typ[op]} *)(p_[{i + 1}] + j_ * s_[{i + 1}]); (void){op}; " for i, op in enumerate(operands))
    lines.append(f"    RT_ROLLED\n    for (int64_t j_ = 0; j_ < n_; j_++) {{ RT_SCALAR; {load}{body}*({out_type} *)(p_[0] + j_ * s_[0]) = {to}({value}); }}")
    lines.append("}")
    return name, "\n".join(lines)


def _block_loop(row, which, text, operands):
    """A loop of blocks: the arguments of each VECTOR function, its results, at last the value. `K(name_blocks)` takes dense
    operands and a multiple of RT_V elements; `K(name)` is the loop for all layouts (kernels/ew_block.h)."""
    assert row.types.strip(".r") == "" and (which or row.out != "bool"), row.name
    printer = BlockPrinter(row.name, row.let)
    lets = [(n, printer.render(v), len(printer.calls)) for n, v in used_lets(row, text)]      # and the calls that precede it
    value = printer.render(text)
    name = f"{row.name}_{'fwd' if which == 0 else f'd{which - 1}'}"
    ks = "".join(f"const T k{i} = (T)k_[{i}]; " for i in (0, 1) if f"k{i}" in reads(row, text))
    lines = [f"static void K({name}_blocks)(char **p_, int64_t n_, const double *k_) {{", f"    {ks}(void)k_;"]
    lines.append("    T *o_out = (T *)p_[0]; " + " ".join(f"const T *{op}_ = (const T *)p_[{i + 1}];" for i, op in enumerate(operands)))
    calls = printer.calls
    if not calls:
        load = "".join(f"const T {op} = {op}_[i_]; (void){op}; " for op in operands)
        lets = "".join(f"const T {n} = {v}; " for n, v, _ in lets)
        lines.append(f"    RT_EACH(n_, {{ {load}{lets}o_out[i_] = {value}; }})\n}}")
    elif value == "c0_" and len(calls) == 1 and all(arg in operands for arg in calls[0][1]):
        lines.append(f"    V({calls[0][0]})(o_out, {', '.join(arg + '_' for arg in calls[0][1])}, n_);\n}}")
    else:
        second = [a[1] for _, a in calls if len(a) == 2 and a[1] not in operands and not re.fullmatch(r"c\d+_", a[1])]
        blocks = [f"c{i}_b[RT_B]" for i in range(len(calls))] + (["y_b[RT_B]"] if second else [])
        lines.append(f"    T {', '.join(blocks)};")
        lines.append("    for (int64_t b_ = 0; b_ < n_; b_ += RT_B) {\n        const int64_t m_ = n_ - b_ < RT_B ? n_ - b_ : RT_B;")

        def each(stage, what):
            """A loop over the block, with the results of the first `stage` calls at hand."""
            seen, body = words(what), ""
            for n, v, after in reversed(lets):
                if n in seen and after <= stage:
                    seen |= words(v)
                    body = f"const T {n} = {v}; {body}"
            load = "".join(f"const T {op} = {op}_[b_ + i_]; " for op in operands if op in seen)
            load += "".join(f"const T c{i}_ = c{i}_b[i_]; " for i in range(stage) if f"c{i}_" in seen)
            lines.append(f"        RT_EACH(m_, {{ {load}{body}{what} }})")

        for i, (fn, args) in enumerate(calls):
            given = []
            for arg, block in zip(args, (f"c{i}_b", "y_b")):
                if arg in operands:
                    given.append(f"{arg}_ + b_")
                elif arg[0] == "c" and arg[1:-1].isdigit():
                    given.append(f"{arg}b")
                else:
                    each(i, f"{block}[i_] = {arg};")
                    given.append(block)
            into = "o_out + b_" if value == f"c{i}_" and i == len(calls) - 1 else f"c{i}_b"
            lines.append(f"        V({fn})({into}, {', '.join(given)}, m_);")
        if value != f"c{len(calls) - 1}_":
            each(len(calls), f"o_out[b_ + i_] = {value};")
        lines.append("    }\n}")
    lines.append(f"static void K({name})(char **p_, const int64_t *s_, int64_t n_, const double *k_) {{ "
                 f"K(blocks)(K({name}_blocks), p_, s_, n_, k_, {len(operands) + 1}); }}")
    return name, "\n".join(lines)


def loops_file(kind):
    """All loops of a kind, to be included with T, TAG, F and K defined, and their table."""
    parts, entries = ["/* printed from optable.py; do not edit */"], []
    for row in optable.ROWS:
        if kind not in row.kinds:
            continue
        for which in range(row.arity + 1):
            made = _loop(row, which, kind)
            if made:
                name, text = made
                parts.append(text)
                entries.append(f"    [{row.index * 4 + which}] = K({name}),")
    parts.append("const RtLoop RT_NAME(RT_CAT(rt_loops, TAG))[RT_NKERNELS] = {")
    parts += entries + ["};", ""]
    return "\n".join(parts)


def _is_plain(row):
    """Whether all operands and the value of a row are of the loop's dtype, a real float."""
    return "f" in row.kinds and row.out == "same" and not row.types.strip(".")


def has_half_loop(row):
    """Whether a row's forward loop is printed for 16-bit floats by blocks: one that is cheap beside the conversions."""
    return _is_plain(row) and row.cost < HEAVY and not VECTOR & calls_in(row, row.expr)


def half_file():
    """Forward loops over 16-bit floats, to be included with H defined besides (kernels/half_loops.inc.c), and their table."""
    parts, entries = ["/* printed from optable.py; do not edit */"], []
    for row in filter(has_half_loop, optable.ROWS):
        printer = Printer(row.name, row.let)
        operands = ["x", "y", "z"][: row.arity]
        lets = "".join(f"const T {n} = {printer.render(v)}; " for n, v in used_lets(row, row.expr))
        ks = "".join(f"const T k{i} = (T)k_[{i}]; " for i in (0, 1) if f"k{i}" in reads(row, row.expr))
        load = "".join(f"const T {op} = {op}_[i_]; (void){op}; " for op in operands)
        parts.append("\n".join([
            f"static void H({row.name})(char **p_, const int64_t *s_, int64_t n_, const double *k_) {{",
            f"    {ks}(void)k_;",
            "    T o_[RT_H], " + ", ".join(f"{op}_[RT_H]" for op in operands) + ";",
            "    " + " ".join(f"RT_H_FIXED({op}_, {i})" for i, op in enumerate(operands, 1)),
            "    for (int64_t b_ = 0; b_ < n_; b_ += RT_H) {",
            "        const int64_t m_ = n_ - b_ < RT_H ? n_ - b_ : RT_H;",
            *(f"        if (s_[{i}]) H(load)({op}_, p_[{i}], b_, m_);" for i, op in enumerate(operands, 1)),
            f"        RT_H_EACH({{ {load}{lets}o_[i_] = {printer.render(row.expr)}; }})",
            "        H(store)(p_[0], b_, o_, m_);",
            "    }\n}"]))
        entries.append(f"    [{row.index * 4}] = H({row.name}),")
    return "\n".join(parts + _half_table(entries))


def _half_table(entries):
    return ["const RtLoop RT_NAME(H(rt_half_loops))[RT_NKERNELS] = {", *entries, "};", ""]


def has_v16_loop(row, which):
    """Whether kernel `which` of a row is printed for registers of 16-bit floats: all its functions have a form for them."""
    found = kernel_text(row, which, "f") if "f" in row.kinds and not row.types.strip(".") else None
    return found is not None and found[0] != "g" and (which or _is_plain(row)) and calls_in(row, found[0]) - {"where"} <= V16.keys()


def half_v16_file():
    """As half_file for AVX-512, derivatives too: loops in registers (kernels/half_v16.h)."""
    functions, loops, entries = [], [], []
    for row in optable.ROWS:
        for which in range(row.arity + 1):
            if not has_v16_loop(row, which):
                assert which or not has_half_loop(row), row.name
                continue
            text, operands = kernel_text(row, which, "f")
            text = V16_SHORTER.get((row.name, which), text)
            if which:
                operands = ["g", *saved_operands(row)[which - 1]]
            printer, name = V16Printer(row.name, row.let), f"{row.name}_{f'd{which - 1}' if which else 'fwd'}"
            lets = "".join(f"const __m512 {n} = {printer.render(v)}; " for n, v in used_lets(row, text))
            args = ", ".join(f"__m512 {n}" for n in (*operands, "k0", "k1"))
            functions.append(f"RT_INLINE __m512 v_{name}({args}) {{ {lets}return {printer.render(text)}; }}")
            ks = sum(1 << i for i in (0, 1) if f"k{i}" in reads(row, text))
            loops.append(f"V16_{len(operands)}({name}, {ks})")
            entries.append(f"    [{row.index * 4 + which}] = H({name}),")
    parts = ["/* printed from optable.py; do not edit */", "#ifndef RT_V16_ROWS", "#define RT_V16_ROWS", *functions, "#endif", *loops]
    return "\n".join(parts + _half_table(entries))


# Steps and combinations that kernels/reduce_rows_v16.h has for whole registers: what an element becomes before it is combined, and how.
VECTOR_STEPS = {"a + x": "vsame", "a * x": "vsame", "maximum(a, x)": "vsame", "minimum(a, x)": "vsame", "where(x == x, a + x, a)": "vordered",
                "a + where(x == 0, 0, 1)": "vcounted", "a + abs_c(x)": "vabs", "a + x * conj(x)": "vsquare", "maximum(a, abs(x))": "vabs",
                "minimum(a, abs(x))": "vabs"}
VECTOR_COMBINES = {"a + b": "vadd", "a * b": "vmul", "maximum(a, b)": "vmax", "minimum(a, b)": "vmin"}


def reductions_file(kind):
    """Scalar pieces of each reduction as static inline functions, and the list that expands the drivers."""
    parts, names = ["/* printed from optable.py; do not edit */"], []
    for red in optable.REDUCTIONS:
        if kind not in red.kinds:
            continue
        pr = Printer(red.name)
        # init may name the accumulator's type through lowest(a): the argument is only a type witness
        parts.append(f"RT_INLINE T K({red.name}_init)(void) {{ const T a = (T)0; (void)a; return {pr.render(red.init)}; }}")
        parts.append(f"RT_INLINE T K({red.name}_step)(T a, T x, T k0) {{ (void)k0; return {pr.render(red.step)}; }}")
        parts.append(f"RT_INLINE T K({red.name}_comb)(T a, T b) {{ return {pr.render(red.combine)}; }}")
        few = "NARROW" if kind == "c" or VECTOR & words(red.step) else "MASKED"
        lines = "TOGETHER" if kind == "f" and words(red.combine) & {"maximum", "minimum"} else "ALONE"
        pre, combine = VECTOR_STEPS.get(red.step), VECTOR_COMBINES.get(red.combine)
        names.append((red.name, red.index, few, lines, pre, combine))
    for name, _, few, lines, pre, combine in names:
        parts.append(f"RT_REDUCE_LOOPS({name}, RT_REDUCE_{few})")
        if pre and combine and kind in "fi":
            parts += ["#ifdef RT_VECTOR_ROWS", f"RT_REDUCE_BY({name}, {pre}, {combine}, RT_REDUCE_{lines})", "#else", f"RT_REDUCE_{lines}({name})", "#endif"]
        else:
            parts.append(f"RT_REDUCE_{lines}({name})")
    parts.append("const RtReduceFns RT_NAME(RT_CAT(rt_reduce, TAG))[RT_NREDUCTIONS] = {")
    parts += [f"    [{index}] = RT_REDUCE_ENTRY({name})," for name, index, *_ in names] + ["};", ""]
    return "\n".join(parts)


def header_file():
    """Ids and properties of rows and reductions."""
    lines = ["/* printed from optable.py; do not edit */", "#ifndef RUSTORCH_ROWS_H", "#define RUSTORCH_ROWS_H"]
    lines += ["enum {"] + [f"    ROW_{r.name.upper()} = {r.index}," for r in optable.ROWS] + [f"    RT_NROWS = {len(optable.ROWS)},"]
    lines += [f"    RT_NKERNELS = {4 * len(optable.ROWS)}", "};", "enum {"]
    lines += [f"    RED_{r.name.upper()} = {r.index}," for r in optable.REDUCTIONS] + [f"    RT_NREDUCTIONS = {len(optable.REDUCTIONS)}", "};"]
    lines += ["typedef struct { const char *name; uint8_t arity, out, promote, cost, kinds; char types[4];",
              "                 uint8_t differentiable, identity; uint8_t saves[3]; } RtRow;",
              "/* out: 0 same 1 bool 2 real; promote: 0 no, 1 integers to float, 2 bool to int64; kinds: bit b=1 i=2 f=4 c=8 h=16; saves[i]: what the gradient of input i",
              "   reads: x=1 y=2 z=4 o=8; differentiable: bit i; identity: bit i, the gradient is g itself */",
              "static const RtRow rt_rows[RT_NROWS] = {"]
    bits = {"x": 1, "y": 2, "z": 4, "o": 8}
    for r in optable.ROWS:
        saves = [sum(bits[c] for c in s) for s in saved_operands(r)] + [0, 0, 0]
        diff = sum(1 << i for i, g in enumerate(r.grad) if g is not None)
        kinds = sum({"b": 1, "i": 2, "f": 4, "c": 8, "h": 16}[k] for k in r.kinds)
        same = sum(1 << i for i, g in enumerate(r.grad) if g == "g")
        out = {"same": 0, "bool": 1, "real": 2}[r.out]
        lines.append(f'    {{"{r.name}", {r.arity}, {out}, {["default", "float", "int"].index(r.promote)}, {r.cost}, {kinds}, "{r.types}", {diff}, {same}, '
                     f'{{{saves[0]}, {saves[1]}, {saves[2]}}}}},')
    lines += ["};", "typedef struct { const char *name; uint8_t kinds, own; } RtReduction;",
              "static const RtReduction rt_reductions[RT_NREDUCTIONS] = {"]
    for r in optable.REDUCTIONS:
        kinds = sum({"b": 1, "i": 2, "f": 4, "c": 8}[k] for k in r.kinds)
        lines.append(f'    {{"{r.name}", {kinds}, {int(r.own)}}},')
    return "\n".join(lines + ["};", "#endif", ""])


def rows_pxi():
    """cdef extern enum of ids for Cython."""
    out = ["# printed from optable.py; do not edit", 'cdef extern from "_gen/rt_rows.h" nogil:', "    enum:"]
    out += [f"        ROW_{r.name.upper()}" for r in optable.ROWS] + ["        RT_NROWS", "        RT_NKERNELS"]
    out += ["    enum:"] + [f"        RED_{r.name.upper()}" for r in optable.REDUCTIONS] + ["        RT_NREDUCTIONS"]
    out += ["    ctypedef struct RtRow:", "        const char *name", "        unsigned char arity, out, promote, cost, kinds",
            "        char types[4]", "        unsigned char differentiable, identity", "        unsigned char saves[3]",
            "    const RtRow rt_rows[RT_NROWS]",
            "    ctypedef struct RtReduction:", "        const char *name", "        unsigned char kinds, own",
            "    const RtReduction rt_reductions[RT_NREDUCTIONS]", ""]
    return "\n".join(out)


def rows_module():
    """Public functions of the rows: torch-level, method, in-place."""
    out = ["# printed from optable.py; do not edit", '"""Elementwise operators of the table."""',
           "from ._base cimport as_base", "from ._ops cimport unary, unary_inplace, binary, binary_inplace", 'include "_row_ids.pxi"', ""]
    functions, methods = {}, {}
    for r in optable.ROWS:
        if not r.public:
            continue
        rid = f"ROW_{r.name.upper()}"
        doc = r.doc or f"Compute ``{r.expr}`` elementwise."
        doc = doc.replace("\\", "\\\\")
        args = "input" if r.arity == 1 else "input, other"
        pass_args = "input" if r.arity == 1 else "input, other"
        fn = "unary" if r.arity == 1 else "binary"
        check = {n: "" if r.arity == 1 or letter in r.numbers else f'    as_base("{r.name}", "{n}", {n})\n' for letter, n in (("x", "input"), ("y", "other"))}
        checks = check["input"] + check["other"]
        if r.has_out:
            out.append(f'def {r.name}({args}, *, out=None):\n    """{doc}"""\n{checks}    return {fn}({rid}, {pass_args}, out)\n')
        else:
            out.append(f'def {r.name}({args}):\n    """{doc}"""\n{checks}    return {fn}({rid}, {pass_args}, None)\n')
        names = [r.name, *r.aliases]
        for n in names:
            functions[n] = r.name
            if r.method:
                methods[n] = r.name
        if r.inplace:
            selfargs = args.replace("input", "self")
            out.append(f'def {r.name}_({selfargs}):\n    """{doc} In place."""\n{check["other"]}    return {fn}_inplace({rid}, {selfargs})\n')
            for n in names:
                if r.nn or r.arity == 1:
                    functions[n + "_"] = r.name + "_"
                if r.method:
                    methods[n + "_"] = r.name + "_"
    nn_names = [n + s for r in optable.ROWS if r.nn for n in (r.name, *r.aliases) for s in (("", "_") if r.inplace else ("",))]
    out.append(f"NN_ONLY = {tuple(nn_names)!r}            # nn.functional's, not torch-level names")
    out.append("FUNCTIONS = {" + ", ".join(f'"{k}": {v}' for k, v in functions.items()) + "}")
    out.append("METHODS = {" + ", ".join(f'"{k}": {v}' for k, v in methods.items()) + "}")
    return "\n".join(out) + "\n"


def build_files():
    """file name -> text, everything that the build prints from the table."""
    files = {"rt_rows.h": header_file(), "loops_h.h": half_file(), "loops_v16.h": half_v16_file(), "_row_ids.pxi": rows_pxi(), "_rows.pyx": rows_module()}
    for kind in "ifbc":
        files[f"loops_{kind}.h"] = loops_file(kind)
        files[f"reductions_{kind}.h"] = reductions_file(kind)
    files["loops_own16.h"] = loops_file("h")
    return files
