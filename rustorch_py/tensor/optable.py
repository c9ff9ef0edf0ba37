"""THE operator table: one row an elementwise operator, one row a reduction.

Standard library only: setup.py loads this file by path, before anything is compiled.

A row's text is an expression in Python's grammar over ``x y z`` (inputs), ``k0 k1`` (number
parameters), and, in gradients, ``g`` (incoming gradient) and ``o`` (the output). Allowed are
``+ - * /``, one comparison at a time, ``where(c, a, b)`` and calls from ``render.SCALAR_FUNCTIONS``.
What a gradient reads is what is saved for it: keep it short.

Fields of a row
    name      operator and C name; the public function has the same name unless ``public`` differs
    expr      the value; ``ints``/``bools``/``cplx`` replace it for those kinds
    grad      one text an input (None: not differentiable there); ``conj`` is the identity on reals
    kinds     dtypes with a loop: b bool, i integers, f real floats, c complex; h: 16-bit floats, which else take float32's, have one
              of their own (forward)
    let       names for common subexpressions
    out       dtype of the result: "same", "bool", or "real" (of a complex loop)
    types     loop dtype an operand, a letter each: "." the loop's, "b" bool, "r" its real type
    promote   "default", "float": integers become the default float dtype first, "int": bool becomes int64
    params    public names of k0, k1 with defaults, as a Python signature fragment
    public    False: no public function is printed (a hand-written one calls the row)
    nn        True: exported to nn.functional, no Tensor method of that name in PyTorch
    method    True/False: also a method; ``inplace``: also ``name_``
    aliases   further public names
    numbers   which operands of the public function may be Python numbers, as in PyTorch's signatures ("", "y", "xy")
    cost      rough cost of an element in cycles (0 moves, 1 arithmetic, 2 divisions, 3 exp, 4 libm)
"""

ROWS = []
BY_NAME = {}


class Row:
    """One elementwise operator. See the module's docstring for the fields."""

    def __init__(self, name, expr, grad=None, kinds="f", let=None, ints=None, bools=None, cplx=None, cgrad=None,
                 out="same", types=None, promote="default", params="", public=True, nn=False, method=True, inplace=True,
                 aliases=(), cost=1, doc="", has_out=None, numbers=""):
        self.name, self.expr, self.kinds, self.let = name, expr, kinds, dict(let or {})
        self.ints, self.bools, self.cplx = ints, bools, cplx
        self.out, self.promote, self.params = out, promote, params
        self.public, self.nn, self.method, self.inplace = public, nn, method and not nn, inplace
        self.aliases, self.cost, self.doc, self.numbers = tuple(aliases), cost, doc, numbers
        self.has_out = not nn if has_out is None else has_out
        text = " ".join([expr, *self.let.values()])
        self.arity = 3 if _reads(text, "z") else 2 if _reads(text, "y") else 1
        self.grad = list(grad) if grad is not None else []
        self.cgrad = list(cgrad) if cgrad is not None else None
        self.types = types or "." * self.arity
        self.index = len(ROWS)
        assert len(self.types) == self.arity, name
        assert not self.grad or len(self.grad) == self.arity, name


def _reads(text, name):
    return name in "".join(c if c.isalnum() or c == "_" else " " for c in text).split()


def row(name, expr, **fields):
    """Add an elementwise row."""
    if name in BY_NAME:
        raise ValueError(f"optable: row {name!r} twice")
    entry = Row(name, expr, **fields)
    ROWS.append(entry)
    BY_NAME[name] = entry


def unary(name, expr, grad, kinds="fc", cost=4, **fields):
    """A mathematical function of one argument: integers become floats first."""
    row(name, expr, grad=[grad] if grad else None, kinds=kinds, promote="float", cost=cost, **fields)


# ---- arithmetic -------------------------------------------------------------------------------
row("add", "x + y", grad=["g", "g"], kinds="bifc", bools="bitor(x, y)", public=False)
row("add_scaled", "x + k0 * y", grad=["g", "g * k0"], kinds="ifc", public=False, doc="x + alpha·y")
row("sub", "x - y", grad=["g", "-g"], kinds="ifc", public=False)
row("mul", "x * y", grad=["g * conj(y)", "g * conj(x)"], kinds="bifc", bools="bitand(x, y)", aliases=("multiply",), numbers="xy")
row("div", "x / y", cplx="cdiv(x, y)", grad=["g / conj(y)", "-g * conj((x / y) / y)"], kinds="fc", promote="float", cost=2, public=False)
row("floor_divide", "floordiv(x, y)", grad=["0 * g", "0 * g"], kinds="if", cost=4, numbers="xy")
row("trunc_divide", "truncdiv(x, y)", grad=["0 * g", "0 * g"], kinds="if", cost=4, public=False)
row("remainder", "remainder(x, y)", grad=["g", "-g * floordiv(x, y)"], kinds="if", cost=4, numbers="xy")
row("fmod", "fmod(x, y)", grad=["g", "-g * truncdiv(x, y)"], kinds="if", cost=4, numbers="y")
row("pow", "pow(x, y)", public=False, cost=4, kinds="ifc",
    grad=["where(y == 0, 0, g * conj(y * pow(x, y - 1)))", "where(x == 0, where(real_ge0(y), 0, g * conj(o * log(x))), g * conj(o * log(x)))"])
row("neg", "-x", grad=["-g"], kinds="ifc", aliases=("negative",))
row("positive", "x", grad=["g"], kinds="ifc", public=False)
row("reciprocal", "1 / x", cplx="cdiv(1, x)", grad=["-g * conj(o * o)"], kinds="fc", promote="float", cost=2)
row("square", "x * x", grad=["2 * g * conj(x)"], kinds="ifc", promote="int")
row("cube", "x * x * x", grad=["3 * g * conj(x * x)"], kinds="fc", public=False)
row("reciprocal_square", "1 / (x * x)", grad=["-2 * g / (x * x * x)"], kinds="f", public=False, cost=2)
# x ** 0.5, x ** -1 and x ** -0.5 where history is recorded: they read x in the gradient, so that the result may be written to.
row("sqrt_power", "sqrt(x)", grad=["g * conj(0.5 / sqrt(x))"], kinds="fc", public=False, cost=2)
row("reciprocal_power", "1 / x", cplx="cdiv(1, x)", grad=["-g * conj(1 / (x * x))"], kinds="fc", public=False, cost=2)
row("rsqrt_power", "1 / sqrt(x)", cplx="cdiv(1, sqrt(x))", grad=["-0.5 * g * conj(1 / (x * sqrt(x)))"], kinds="fc", public=False, cost=2)
row("abs", "abs(x)", grad=["g * sgn(x)"], kinds="ifc", out="real", aliases=("absolute",))
row("sign", "sign(x)", grad=["0 * g"], kinds="bif", bools="x")
row("sgn", "sgn(x)", grad=["0 * g"], cgrad=["where(x == 0, 0, (g - o * o * conj(g)) / (2 * abs_c(x)))"], kinds="bifc", bools="x")
row("conj_physical", "conj(x)", grad=["conj(g)"], kinds="bifc")
row("angle", "angle(x)", grad=["0 * g"], cgrad=["where(x == 0, 0, g * mul_i(x) / (abs_c(x) * abs_c(x)))"], kinds="fc", out="real", promote="float", inplace=False, cost=4)
row("addcmul", "x + k0 * y * z", grad=["g", "g * conj(k0 * z)", "g * conj(k0 * y)"], kinds="ifc", public=False)
row("addcdiv", "x + k0 * (y / z)", grad=["g", "g * conj(k0 / z)", "-g * conj(k0 * (y / z) / z)"], kinds="fc", cost=2, public=False)
row("lerp", "where(lt_half(z), x + z * (y - x), y - (y - x) * (1 - z))",
    grad=["g * conj(1 - z)", "g * conj(z)", "g * conj(y - x)"], kinds="fc", public=False)
row("hypot", "hypot(x, y)", grad=["g * (x / o)", "g * (y / o)"], kinds="f", cost=4)
row("deg2rad", "x * 0.017453292519943295", grad=["g * 0.017453292519943295"], kinds="f", promote="float")
row("rad2deg", "x * 57.29577951308232", grad=["g * 57.29577951308232"], kinds="f", promote="float")

# ---- comparison and logic ---------------------------------------------------------------------
for _name, _sign, _alias in (("eq", "==", ()), ("ne", "!=", ("not_equal",)), ("lt", "<", ("less",)), ("le", "<=", ("less_equal",)),
                             ("gt", ">", ("greater",)), ("ge", ">=", ("greater_equal",))):
    row(_name, f"x {_sign} y", kinds="bifc" if _name in ("eq", "ne") else "bif", out="bool", aliases=_alias, numbers="y")
row("isnan", "x != x", kinds="bifc", out="bool", inplace=False, has_out=False, bools="0", ints="0")
row("isinf", "isinf(x)", kinds="bifc", out="bool", inplace=False, has_out=False, bools="0", ints="0")
row("isfinite", "isfinite(x)", kinds="bifc", out="bool", inplace=False, has_out=False, bools="1", ints="1")
row("isposinf", "x == inf(x)", kinds="bif", out="bool", inplace=False, bools="0", ints="0")
row("isneginf", "x == -inf(x)", kinds="bif", out="bool", inplace=False, bools="0", ints="0")
row("signbit", "signbit(x)", kinds="bif", out="bool", inplace=False, bools="0", ints="x < 0")
row("logical_not", "x == 0", kinds="bifc", out="bool")
row("logical_and", "land(x, y)", kinds="bifc", out="bool")
row("logical_or", "lor(x, y)", kinds="bifc", out="bool")
row("logical_xor", "lxor(x, y)", kinds="bifc", out="bool")
row("bitwise_not", "bitnot(x)", kinds="bi", bools="x == 0")
row("bitwise_and", "bitand(x, y)", kinds="bi", numbers="xy")
row("bitwise_or", "bitor(x, y)", kinds="bi", numbers="xy")
row("bitwise_xor", "bitxor(x, y)", kinds="bi", numbers="xy")
row("bitwise_left_shift", "shl(x, y)", kinds="i", numbers="xy")
row("bitwise_right_shift", "shr(x, y)", kinds="i", numbers="xy")
row("where", "where(x, y, z)", grad=[None, "where(x, g, 0)", "where(x, 0, g)"], kinds="bifc", types="b..", public=False, cost=0)
row("maximum", "maximum(x, y)", grad=["where(x == y, g / 2, where(x < y, 0, g))", "where(x == y, g / 2, where(x < y, g, 0))"], kinds="bif")
row("minimum", "minimum(x, y)", grad=["where(x == y, g / 2, where(x > y, 0, g))", "where(x == y, g / 2, where(x > y, g, 0))"], kinds="bif")
row("fmax", "fmax(x, y)", grad=["where(fmax_left(x, y), g, 0)", "where(fmax_left(x, y), 0, g)"], kinds="bif")
row("fmin", "fmin(x, y)", grad=["where(fmin_left(x, y), g, 0)", "where(fmin_left(x, y), 0, g)"], kinds="bif")
row("clamp_pair", "clamp(x, y, z)", kinds="bif", public=False,
    grad=["where(lor(x < y, x > z), 0, g)", "where(land(x < y, y < z), g, 0)", "where(lor(x > z, land(x < y, y >= z)), g, 0)"])
row("nan_to_num_", "where(x - x == 0, x, where(x > 0, y, where(x < 0, z, k0)))", grad=["where(x - x == 0, g, 0)", None, None], public=False)
row("clamp_lo", "maximum(x, y)", grad=["where(x < y, 0, g)", "where(x < y, g, 0)"], kinds="bif", public=False)
row("clamp_hi", "minimum(x, y)", grad=["where(x > y, 0, g)", "where(x > y, g, 0)"], kinds="bif", public=False)
row("heaviside", "where(x == 0, y, where(x > 0, 1, 0))", kinds="bif", bools="where(x == 0, y, 1)",
    ints="where(x == 0, y, where(x > 0, 1, 0))", public=False)
row("copysign", "copysign(x, y)", grad=["where(x == 0, 0, g * copysign(1, x) * copysign(1, y))", "0 * g"], kinds="f", promote="float", numbers="y")
row("nextafter", "nextafter(x, y)", grad=["where(x == y, 0, g)", "0 * g"], kinds="fh", cost=4,
    doc="Return the next value of the dtype after ``input`` in the direction of ``other``, elementwise.")
row("gcd", "gcd(x, y)", kinds="i", cost=4)
row("lcm", "lcm(x, y)", kinds="i", cost=4)

# ---- rounding -----------------------------------------------------------------------------------
for _name in ("floor", "ceil", "trunc"):
    row(_name, f"{_name}(x)", grad=["0 * g"], kinds="if", ints="x", aliases=("fix",) if _name == "trunc" else ())
row("round_even", "round(x)", grad=["0 * g"], kinds="if", ints="x", public=False)
row("frac", "x - trunc(x)", grad=["g"], kinds="f")

# ---- exponentials, trigonometry, special functions ------------------------------------------------
unary("exp", "exp(x)", "g * conj(o)", cost=3)
unary("exp2", "exp2(x)", "g * conj(o * 0.6931471805599453)")
unary("expm1", "expm1(x)", "g * conj(o + 1)")
unary("log", "log(x)", "g / conj(x)", cost=3)
unary("log2", "log2(x)", "g / conj(x * 0.6931471805599453)")
unary("log10", "log10(x)", "g / conj(x * 2.302585092994046)")
unary("log1p", "log1p(x)", "g / conj(x + 1)")
unary("sqrt", "sqrt(x)", "g / conj(2 * o)", cost=2)
unary("rsqrt", "1 / sqrt(x)", "-0.5 * g * conj(o * o * o)", cplx="cdiv(1, sqrt(x))", cost=2)
unary("sin", "sin(x)", "g * conj(cos(x))")
unary("cos", "cos(x)", "-g * conj(sin(x))")
unary("tan", "tan(x)", "g * conj(1 + o * o)")
unary("asin", "asin(x)", "g * conj(1 / sqrt(1 - x * x))", aliases=("arcsin",))
unary("acos", "acos(x)", "-g * conj(1 / sqrt(1 - x * x))", aliases=("arccos",))
unary("atan", "atan(x)", "g / conj(x * x + 1)", aliases=("arctan",))
unary("sinh", "sinh(x)", "g * conj(cosh(x))")
unary("cosh", "cosh(x)", "g * conj(sinh(x))")
unary("tanh", "tanh(x)", "g * conj(1 - o * o)", cost=3)
unary("asinh", "asinh(x)", "g * conj(1 / sqrt(x * x + 1))", aliases=("arcsinh",))
unary("acosh", "acosh(x)", "g * conj(1 / (sqrt(x - 1) * sqrt(x + 1)))", aliases=("arccosh",))
unary("atanh", "atanh(x)", "g / conj(1 - x * x)", aliases=("arctanh",))
unary("sigmoid", "sigmoid(x)", "g * conj((1 - o) * o)", aliases=("expit",), cost=3)
unary("erf", "erf(x)", "g * (1.1283791670955126 * exp(-(x * x)))", kinds="f")
unary("erfc", "erfc(x)", "-g * (1.1283791670955126 * exp(-(x * x)))", kinds="f")
unary("erfinv", "erfinv(x)", "g * (0.886226925452758 * exp(erfinv(x) * erfinv(x)))", kinds="f")
unary("lgamma", "lgamma(x)", "g * digamma(x)", kinds="f")
unary("digamma", "digamma(x)", "g * polygamma(1, x)", kinds="f")
unary("polygamma_n", "polygamma(k0, x)", "g * polygamma(k0 + 1, x)", kinds="f", public=False)
unary("i0", "i0(x)", "g * i1(x)", kinds="f")
unary("i0e", "i0e(x)", "g * (i1e(x) - sign(x) * o)", kinds="f", method=False)
unary("i1", "i1(x)", "g * where(x == 0, 0.5, i0(x) - o / x)", kinds="f", method=False)
unary("i1e", "i1e(x)", "g * where(x == 0, 0.5, i0e(x) - o * (sign(x) + 1 / x))", kinds="f", method=False)
unary("ndtri", "ndtri(x)", "g * (2.5066282746310002 * exp(o * o / 2))", kinds="f", method=False)
unary("log_ndtr", "log_ndtr(x)", "g * (0.3989422804014327 * exp(-(x * x) / 2 - o))", kinds="f", method=False)
unary("erfcx", "erfcx(x)", "g * (2 * x * o - 1.1283791670955126)", kinds="f", method=False)
unary("entr", "where(x > 0, -x * log(x), where(x == 0, 0, where(x < 0, -inf(x), x)))", "g * (-log(x) - 1)", kinds="f", method=False)
unary("sinc", "where(x == 0, 1, sin(3.141592653589793 * x) / (3.141592653589793 * x))",
      "g * conj(where(x == 0, 0, (3.141592653589793 * x * cos(3.141592653589793 * x) - sin(3.141592653589793 * x)) / (3.141592653589793 * x * x)))")
unary("logit", "log(x / (1 - x))", "g / (x * (1 - x))", kinds="f", public=False)
unary("logit_eps", "log(clamp(x, k0, 1 - k0) / (1 - clamp(x, k0, 1 - k0)))", "where(lor(x < k0, x > 1 - k0), 0, g / (x * (1 - x)))", kinds="f", public=False)
row("atan2", "atan2(x, y)", grad=["g * (y / (x * x + y * y))", "-g * (x / (x * x + y * y))"], kinds="f", promote="float", aliases=("arctan2",), cost=4)
row("logaddexp", "logaddexp(x, y)", grad=["g / (1 + exp(y - x))", "g / (1 + exp(x - y))"], kinds="f", cost=4, inplace=False)
row("logaddexp2", "logaddexp2(x, y)", grad=["g / (1 + exp2(y - x))", "g / (1 + exp2(x - y))"], kinds="f", cost=4, inplace=False)
row("xlogy", "xlogy(x, y)", grad=["where(land(x == 0, y <= 0), 0, g * log(y))", "g * (x / y)"], kinds="f", promote="float", cost=4, numbers="xy")
row("xlog1py", "xlog1py(x, y)", grad=["where(land(x == 0, y <= -1), 0, g * log1p(y))", "g * (x / (y + 1))"], kinds="f", promote="float", cost=4, method=False, numbers="xy")
row("zeta", "zeta(x, y)", grad=[None, "-g * x * zeta(x + 1, y)"], kinds="f", promote="float", cost=4, method=False, numbers="xy")
row("ldexp_", "x * exp2(y)", grad=["g * exp2(y)", "g * x * exp2(y) * 0.6931471805599453"], kinds="f", public=False, cost=4)

# ---- activations ------------------------------------------------------------------------------------
row("relu", "where(x < 0, 0, x)", grad=["where(o > 0, g, 0)"], kinds="if", has_out=False)
row("relu6", "clamp(x, 0, 6)", grad=["where(land(x > 0, x < 6), g, 0)"], kinds="if", nn=True)
row("silu", "silu(x)", let=dict(s="sigmoid(x)"), cplx="x * s", doc="Compute ``x * sigmoid(x)`` elementwise.", grad=["g * s * (1 + x * (1 - s))"],
    cgrad=["g * conj(s * (1 + x * (1 - s)))"], kinds="fc", nn=True, cost=3)
row("gelu_erf", "gelu(x)", public=False, cost=3,
    grad=["g * (0.5 * (1 + erf(x * 0.7071067811865476)) + x * 0.3989422804014327 * exp(-0.5 * x * x))"])
row("gelu_tanh", "0.5 * x * (1 + t)", let=dict(t="tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))"), public=False, cost=3,
    grad=["g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.7978845608028654 * (1 + 0.134145 * x * x))"])
# tanh(log(1 + e)) = ((1 + e)^2 - 1) / ((1 + e)^2 + 1), e = exp(x); it is 1 from x = 20 on
row("mish", "where(x > 20, x, x * t)", let=dict(e="exp(minimum(x, 20))", n="e * (e + 2)", t="n / (n + 2)"), nn=True, cost=4,
    grad=["where(x > 20, g, g * (t + x * (e / (1 + e)) * (1 - t * t)))"])
row("softplus_", "where(x * k0 > k1, x, softplus1(x * k0) / k0)", grad=["where(x * k0 > k1, g, g * sigmoid(x * k0))"], public=False, cost=4)
row("logsigmoid", "-softplus1(-x)", grad=["g * sigmoid(-x)"], nn=True, cost=4, inplace=False, has_out=True)
row("elu_", "where(x > 0, x, k0 * expm1(x))", grad=["where(x > 0, g, g * k0 * exp(x))"], public=False, cost=3)
row("elu_full", "where(x > 0, k1 * x, k1 * k0 * expm1(x))", grad=["where(x > 0, g * k1, g * k1 * k0 * exp(x))"], public=False, cost=3, doc="ELU with output scale k1")
row("selu", "where(x > 0, 1.0507009873554805 * x, 1.7580993408473766 * expm1(x))", has_out=False, method=False,
    grad=["where(x > 0, 1.0507009873554805 * g, g * 1.7580993408473766 * exp(x))"], cost=3)
row("celu_", "where(x > 0, x, k0 * expm1(x / k0))", grad=["where(x > 0, g, g * exp(x / k0))"], public=False, cost=3)
row("leaky_relu_", "where(x > 0, x, k0 * x)", grad=["where(x > 0, g, g * k0)"], public=False)
row("prelu_", "where(x > 0, x, y * x)", grad=["where(x > 0, g, g * y)", "where(x > 0, 0, g * x)"], public=False)
row("softsign", "x / (1 + abs(x))", grad=["g / ((1 + abs(x)) * (1 + abs(x)))"], nn=True, cost=2, inplace=False, promote="float")
row("tanhshrink", "x - tanh(x)", grad=["g * tanh(x) * tanh(x)"], nn=True, cost=3, inplace=False, promote="float")
row("hardtanh_", "clamp(x, k0, k1)", grad=["where(land(x > k0, x < k1), g, 0)"], public=False, kinds="if")
row("hardswish", "x * clamp(x + 3, 0, 6) / 6", grad=["where(x <= -3, 0, where(x < 3, g * (x / 3 + 0.5), g))"], nn=True)
row("hardsigmoid", "clamp(x + 3, 0, 6) / 6", grad=["where(land(x > -3, x < 3), g / 6, 0)"], nn=True)
row("hardshrink_", "where(abs(x) <= k0, 0, x)", grad=["where(abs(x) <= k0, 0, g)"], public=False)
row("softshrink_", "x - clamp(x, -k0, k0)", grad=["where(abs(x) <= k0, 0, g)"], public=False)
row("threshold_", "where(x <= k0, k1, x)", grad=["where(x <= k0, 0, g)"], public=False, kinds="if")

# ---- pointwise losses (the reduction is the caller's) ------------------------------------------------
row("mse_point", "(x - y) * (x - y)", grad=["2 * g * (x - y)", "2 * g * (y - x)"], public=False)
row("l1_point", "abs(x - y)", grad=["g * sign(x - y)", "-g * sign(x - y)"], public=False, out="same")
row("smooth_l1_point", "where(abs(x - y) < k0, 0.5 * (x - y) * (x - y) / k0, abs(x - y) - 0.5 * k0)", public=False,
    grad=["where(abs(x - y) < k0, g * (x - y) / k0, g * sign(x - y))", "where(abs(x - y) < k0, g * (y - x) / k0, -g * sign(x - y))"])
row("huber_point", "where(abs(x - y) <= k0, 0.5 * (x - y) * (x - y), k0 * (abs(x - y) - 0.5 * k0))", public=False,
    grad=["where(abs(x - y) <= k0, g * (x - y), g * k0 * sign(x - y))", "where(abs(x - y) <= k0, g * (y - x), -g * k0 * sign(x - y))"])
row("bce_point", "-(y * maximum(log(x), -100) + (1 - y) * maximum(log1p(-x), -100))", public=False, cost=4,
    grad=["g * (x - y) / maximum((1 - x) * x, 1e-12)", "g * (maximum(log1p(-x), -100) - maximum(log(x), -100))"])
row("bce_logits_point", "(1 - y) * x + softplus1(-x)", public=False, cost=4, grad=["g * (sigmoid(x) - y)", "-g * x"])


# ---- reductions -------------------------------------------------------------------------------------
REDUCTIONS = []
REDUCTIONS_BY_NAME = {}


class Reduction:
    """One reduction: ``a`` accumulates ``x`` from ``init``; ``combine`` joins partial ``a`` and ``b``.

    kinds: accumulator dtypes with loops (b bool, i int64 or, with ``own=True``, every integer, f, c).
    Inputs of another dtype are converted on the way: integers to int64, 16-bit floats to float32.
    """

    def __init__(self, name, init, step, combine, kinds="ifc", own=False, out="same", params=""):
        self.name, self.init, self.step, self.combine = name, init, step, combine
        self.kinds, self.own, self.out, self.params = kinds, own, out, params
        self.index = len(REDUCTIONS)


def reduction(name, init, step, combine, **fields):
    """Add a reduction row."""
    entry = Reduction(name, init, step, combine, **fields)
    REDUCTIONS.append(entry)
    REDUCTIONS_BY_NAME[name] = entry


reduction("sum", "0", "a + x", "a + b")
reduction("prod", "1", "a * x", "a * b")
reduction("amax", "lowest(a)", "maximum(a, x)", "maximum(a, b)", kinds="bif", own=True)
reduction("amin", "highest(a)", "minimum(a, x)", "minimum(a, b)", kinds="bif", own=True)
reduction("any", "0", "bitor(a, x)", "bitor(a, b)", kinds="b")
reduction("all", "1", "bitand(a, x)", "bitand(a, b)", kinds="b")
reduction("nansum", "0", "where(x == x, a + x, a)", "a + b", kinds="if")
reduction("count_nonzero", "0", "a + where(x == 0, 0, 1)", "a + b", kinds="ifc")
reduction("sum_abs", "0", "a + abs_c(x)", "a + b", kinds="fc")
reduction("sum_sq", "0", "a + x * conj(x)", "a + b", kinds="fc")
reduction("max_abs", "0", "maximum(a, abs(x))", "maximum(a, b)", kinds="f")
reduction("min_abs", "inf(a)", "minimum(a, abs(x))", "minimum(a, b)", kinds="f")
reduction("sum_cube", "0", "a + abs(x * x * x)", "a + b", kinds="f")
reduction("sum_pow", "0", "a + pow(abs(x), k0)", "a + b", kinds="f", params="p")
