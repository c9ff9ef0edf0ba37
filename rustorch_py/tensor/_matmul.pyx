"""Matrix products for everybody: mm, bmm, mv, dot, outer, matmul, linear, over the operators of _gemm.pyx."""
from libc.stdint cimport int64_t
from libc.string cimport memcpy
from ._base cimport (TensorBase, bump, empty, shape_tuple, as_base, grad_mode, attach2, save, saved, wants_edge, rt_kind, RT_BOOL, RT_F16, RT_F32, RT_F64, RT_U8, RT_I8, RT_I32,
                     RT_KIND_COMPLEX, F_CONTIG)
from ._gemm cimport (gemm, fold_mm, fold_act, multiply, raise_status, raise_bool, raw_dot, raw_outer, raw_int8, act_row, as_matrix, rows_of, ONE, ZERO, OP_N, OP_T)
from ._node cimport Node
from ._cpu cimport rt_num_threads
from ._dtype cimport device_of, torch_name
from ._plan cimport copy_raw
from ._ops cimport alloc_out, cast, deliver, reduce_sum, binary, unary, unary_inplace
from . import _view
from ._devices import has_kernel, run as run_on_device
from ..errors import AutogradError, DTypeError, DeviceError, ShapeError, TooFewDimsError, UnsupportedOpError
include "_row_ids.pxi"


# ---- checks ----------------------------------------------------------------------------------------------
cdef object raise_product(object op, int64_t m, int64_t k, int64_t k2, int64_t n):
    raise ShapeError(f"mat1 and mat2 shapes cannot be multiplied ({m}x{k} and {k2}x{n})", op=op)


cdef object raise_dtypes(object op, TensorBase a, TensorBase b):
    raise DTypeError(f"expected m1 and m2 to have the same dtype, but got: {torch_name(a.dt).lower()} != {torch_name(b.dt).lower()} "
                     f"(in {op})", op=op)


cdef object raise_devices(object op, TensorBase a, TensorBase b):
    raise DeviceError(f"Expected all tensors to be on the same device, but found at least two devices, {device_of(a.dev)} and "
                      f"{device_of(b.dev)}! (in {op})", op=op)


cdef int agree(object op, TensorBase a, TensorBase b) except -1:
    if a.dt != b.dt:
        raise_dtypes(op, a, b)
    if a.dev != b.dev:
        raise_devices(op, a, b)
    return 0


cdef inline TensorBase agree_batches(object op, TensorBase a, TensorBase b):
    """a, in b's dtype where nothing is multiplied: PyTorch asks a batch for one dtype only when there is an element to compute."""
    if a.dt != b.dt and (a.n == 0 or b.n == 0):
        a = cast(a, b.dt)
    agree(op, a, b)
    return a


# ---- public: products of matrices ------------------------------------------------------------------------
def mm(input, mat2, *, out=None):
    """Multiply two matrices.

    Args:
        input: (m, k) tensor.
        mat2: (k, n) tensor of the same dtype.
        out: tensor to write to.
    Returns:
        (m, n) tensor.
    Raises:
        ShapeError: an argument is no matrix, or inner sizes differ.
    """
    cdef TensorBase a = as_base("mm", "input", input), b = as_base("mm", "mat2", mat2)
    if a.nd != 2:
        raise ShapeError("self must be a matrix", op="mm")
    if b.nd != 2:
        raise ShapeError("mat2 must be a matrix", op="mm")
    if a.sh[1] != b.sh[0]:
        raise_product("mm", a.sh[0], a.sh[1], b.sh[0], b.sh[1])
    agree("mm", a, b)
    if out is not None:
        return write_product("mm", a, b, out)
    return gemm(a, OP_N, b, OP_N)


def _int_mm(input, mat2, *, out=None):
    """Multiply two matrices of bytes with int32 sums, which wrap.

    Args:
        input: (m, k) int8 or uint8 tensor.
        mat2: (k, n) int8 tensor.
        out: int32 tensor to write to.
    Returns:
        (m, n) int32 tensor.
    Raises:
        ShapeError: an argument is no matrix, or inner sizes differ.
        DTypeError: an argument is not of bytes, or ``out`` not int32.

    Example:
        >>> import rustorch_py as torch
        >>> a = torch.full((1, 3), -128, dtype=torch.int8)
        >>> torch._int_mm(a, a.T)
        tensor([[49152]], dtype=torch.int32)
    """
    cdef TensorBase a = as_base("_int_mm", "input", input), b = as_base("_int_mm", "mat2", mat2), o
    cdef int64_t sh[2]
    cdef int status, threads
    if a.nd != 2 or b.nd != 2:
        raise ShapeError(f"_int_mm(): expected two matrices, got {a.nd}-D and {b.nd}-D tensors", op="_int_mm")
    if a.sh[1] != b.sh[0]:
        raise ShapeError(f"_int_mm(): self.size(1) needs to match mat2.size(0), but got {a.sh[1]} and {b.sh[0]}", op="_int_mm")
    if (a.dt != RT_I8 and a.dt != RT_U8) or b.dt != RT_I8:
        raise DTypeError(f"_int_mm(): expected an int8 or uint8 matrix and an int8 one, got {torch_name(a.dt)} and {torch_name(b.dt)}", op="_int_mm")
    if a.dev != b.dev:
        raise_devices("_int_mm", a, b)
    if a.dev & 255:
        raise UnsupportedOpError("_int_mm: this device has no product of int8 matrices", op="_int_mm")
    if out is not None and as_base("_int_mm", "out", out).dt != RT_I32:
        raise DTypeError(f"_int_mm(): expected out to be int32, got {torch_name((<TensorBase>out).dt)}", op="_int_mm")
    if out is not None and ((<TensorBase>out).nd != 2 or (<TensorBase>out).sh[0] != a.sh[0] or (<TensorBase>out).sh[1] != b.sh[1]):
        raise ShapeError(f"_int_mm(): expected out of shape {[a.sh[0], b.sh[1]]}, got {list(shape_tuple(<TensorBase>out))}", op="_int_mm")
    sh[0], sh[1] = a.sh[0], b.sh[1]
    o = empty(2, sh, RT_I32, a.dev)
    if o.n:
        threads = rt_num_threads()
        with nogil:
            status = raw_int8(a.sh[0], b.sh[1], a.sh[1], a.ptr, a.st[0], a.st[1],
                              a.dt == RT_U8, b.ptr, b.st[0], b.st[1], o.ptr, threads)
        if status:
            raise_status("_int_mm", status, a.dev)
    return deliver("_int_mm", o, out)


cdef object write_product(object op, TensorBase a, TensorBase b, object out):
    """out= form: straight into the tensor when it shares no memory with the operands."""
    cdef int64_t sh[64]
    cdef TensorBase o
    cdef int nd = a.nd
    memcpy(sh, a.sh, nd * sizeof(int64_t))
    sh[nd - 1] = b.sh[nd - 1]
    if grad_mode() and (a.rg or b.rg):
        raise AutogradError(f"{op}(): functions with out=... arguments don't support automatic differentiation, but one of the "
                         f"arguments requires grad.", op=op)
    o = alloc_out(op, out, nd, sh, a.dt, a.dev)
    if o.stor is a.stor or o.stor is b.stor or o.dt != a.dt:
        copy_raw(o, gemm(a, OP_N, b, OP_N))
    else:
        if not o.flags & F_CONTIG and nd > 3:
            copy_raw(o, gemm(a, OP_N, b, OP_N))
        else:
            multiply(op, o, a, OP_N, b, OP_N, ONE, ZERO)
    bump(o)
    return out


def bmm(input, mat2, *, out=None):
    """Multiply two batches of matrices.

    Args:
        input: (b, m, k) tensor.
        mat2: (b, k, n) tensor of the same dtype.
        out: tensor to write to.
    Returns:
        (b, m, n) tensor.
    """
    cdef TensorBase a = as_base("bmm", "input", input), b = as_base("bmm", "mat2", mat2)
    check_batches("bmm", a, b)
    a = agree_batches("bmm", a, b)
    if out is not None:
        return write_product("bmm", a, b, out)
    return gemm(a, OP_N, b, OP_N)


cdef int check_batches(object op, TensorBase a, TensorBase b) except -1:
    if a.nd != 3 or b.nd != 3:
        raise TooFewDimsError(f"batch{1 if a.nd != 3 else 2} must be a 3D tensor", op=op)
    if a.sh[0] != b.sh[0] or a.sh[2] != b.sh[1]:
        raise ShapeError(f"Expected size for first two dimensions of batch2 tensor to be: [{a.sh[0]}, {a.sh[2]}] but got: "
                         f"[{b.sh[0]}, {b.sh[1]}].", op=op)
    return 0


def mv(input, vec, *, out=None):
    """Multiply a matrix (n, m) by a vector (m); returns (n)."""
    cdef TensorBase a = as_base("mv", "input", input), v = as_base("mv", "vec", vec)
    if a.nd != 2 or v.nd != 1:
        raise TooFewDimsError(f"vector + matrix @ vector expected, got 1, {a.nd}, {v.nd}", op="mv")
    if a.sh[1] != v.sh[0]:
        raise ShapeError(f"size mismatch, got input ({a.sh[0]}), mat ({a.sh[0]}x{a.sh[1]}), vec ({v.sh[0]})", op="mv")
    agree("mv", a, v)
    return deliver("mv", fold_mm(v, a, OP_T, None), out)


def dot(input, tensor, *, out=None):
    """Multiply two vectors of one length and sum; returns a 0-dim tensor."""
    return deliver("dot", dot_("dot", as_base("dot", "input", input), as_base("dot", "tensor", tensor), False), out)


def vdot(input, other, *, out=None):
    """Multiply the conjugate of ``input`` by ``other`` and sum; both are vectors of one length."""
    return deliver("vdot", dot_("vdot", as_base("vdot", "input", input), as_base("vdot", "other", other), True), out)


cdef TensorBase dot_(object op, TensorBase a, TensorBase b, bint conj_a):
    cdef TensorBase out
    cdef DotBackward node
    cdef int threads
    if a.nd != 1 or b.nd != 1:
        raise ShapeError(f"1D tensors expected, but got {a.nd}D and {b.nd}D tensors", op=op)
    if a.dt != b.dt:
        raise DTypeError(f"dot : expected both vectors to have same dtype, but found {torch_name(a.dt)} and {torch_name(b.dt)}", op=op)
    if a.sh[0] != b.sh[0]:
        raise ShapeError(f"inconsistent tensor size, expected tensor [{a.sh[0]}] and src [{b.sh[0]}] to have the same number of "
                         f"elements, but got {a.sh[0]} and {b.sh[0]} elements respectively", op=op)
    if a.dt == RT_BOOL:
        raise_bool("dot")
    agree(op, a, b)
    if rt_kind(a.dt) != RT_KIND_COMPLEX:
        conj_a = False
    if a.dev & 255 == 0:
        out = empty(0, NULL, a.dt, a.dev)
        threads = rt_num_threads() if a.n > (32768 if rt_kind(a.dt) == RT_KIND_COMPLEX else 131072) else 1
        with nogil:
            raw_dot(a.dt, a.n, a.ptr, a.st[0], b.ptr, b.st[0], conj_a, out.ptr, threads)
    elif has_kernel("dot", a):
        out = empty(0, NULL, a.dt, a.dev)
        run_on_device("dot", out, a, b, conj_a)
    else:
        return reduce_sum(<TensorBase>binary(ROW_MUL, unary(ROW_CONJ_PHYSICAL, a, None) if conj_a else a, b, None), None, False)
    if grad_mode() and (a.rg or b.rg):
        node = DotBackward.__new__(DotBackward)
        node.conj_a = conj_a
        if b.rg:
            save(node, 0, a)
        if a.rg:
            save(node, 1, b)
        attach2(out, node, a, b)
    return out


cdef class DotBackward(Node):
    """y = sum(c(a) b), c conjugates for vdot: grad a = c(g conj(b)), grad b = g conj(c(a))."""
    cdef bint conj_a

    cdef object apply(self, object g):
        cdef object ga = None, gb = None
        cdef bint cplx = rt_kind((<TensorBase>g).dt) == RT_KIND_COMPLEX
        if wants_edge(self, 0):
            other = saved(self, 1)
            if self.conj_a:
                ga = binary(ROW_MUL, unary(ROW_CONJ_PHYSICAL, g, None), other, None)
            else:
                ga = binary(ROW_MUL, g, unary(ROW_CONJ_PHYSICAL, other, None) if cplx else other, None)
        if wants_edge(self, 1):
            other = saved(self, 0)
            gb = binary(ROW_MUL, g, unary(ROW_CONJ_PHYSICAL, other, None) if cplx and not self.conj_a else other, None)
        return ga, gb

    cdef object own_name(self):
        return "VdotBackward0" if self.conj_a else "DotBackward0"

    cdef object apply_many(self, object g, Py_ssize_t n):
        return self.apply(g.unsqueeze(1))


def outer(input, vec2, *, out=None):
    """Multiply every element of one vector by every element of another.

    Args:
        input: (n) tensor.
        vec2: (m) tensor.
        out: tensor to write to.
    Returns:
        (n, m) tensor.
    """
    cdef TensorBase a = as_base("outer", "input", input), b = as_base("outer", "vec2", vec2)
    if a.nd != 1:
        raise ShapeError(f"outer: Expected 1-D argument self, but got {a.nd}-D", op="outer")
    if b.nd != 1:
        raise ShapeError(f"outer: Expected 1-D argument vec2, but got {b.nd}-D", op="outer")
    return deliver("outer", outer_(a, b), out)


cdef TensorBase outer_(TensorBase a, TensorBase b):
    cdef int64_t sh[2]
    cdef int threads
    cdef TensorBase out
    if (a.dt == b.dt and (a.dt == RT_F32 or a.dt == RT_F64) and a.dev & 255 == 0 and b.dev & 255 == 0 and (b.st[0] == 1 or b.n == 1)
            and not (grad_mode() and (a.rg or b.rg))):
        sh[0], sh[1] = a.n, b.n
        out = empty(2, sh, a.dt, a.dev)
        if out.n:
            threads = rt_num_threads()
            with nogil:
                raw_outer(a.dt, a.n, b.n, 1, a.ptr, a.st[0], b.ptr, 0, NULL, 0, out.ptr, threads)
        return out
    return <TensorBase>binary(ROW_MUL, _view.unsqueeze(a, 1), b, None)


def inner(input, other, *, out=None):
    """Sum products over the last dimension of both tensors.

    Args:
        input: (..., k) tensor, or a 0-dim one.
        other: (..., k) tensor, or a 0-dim one.
        out: tensor to write to.
    Returns:
        tensor of shape ``input.shape[:-1] + other.shape[:-1]``.
    """
    cdef TensorBase a = as_base("inner", "input", input), b = as_base("inner", "other", other), r
    if a.nd == 0 or b.nd == 0:
        return deliver("inner", <TensorBase>binary(ROW_MUL, a, b, None), out)
    if a.sh[a.nd - 1] != b.sh[b.nd - 1]:
        raise ShapeError(f"inner() the last dimension must match on both input tensors but got shapes {list(shape_tuple(a))} and "
                         f"{list(shape_tuple(b))}", op="inner")
    agree("inner", a, b)
    if a.nd == 1 and b.nd == 1:
        return deliver("inner", dot_("inner", a, b, False), out)
    r = fold_mm(a, as_matrix(b), OP_T, None)
    return deliver("inner", <TensorBase>_view.reshape(r, shape_tuple(a)[:-1] + shape_tuple(b)[:-1]), out)


# ---- matmul ---------------------------------------------------------------------------------------------------
cdef TensorBase matmul_(TensorBase a, TensorBase b):
    cdef int64_t sh[64]
    cdef int64_t ka, kb
    cdef int i, nd
    cdef object lead
    if a.nd == 0 or b.nd == 0:
        raise ShapeError(f"both arguments to matmul need to be at least 1D, but they are {a.nd}D and {b.nd}D", op="matmul")
    if a.nd == 2 and b.nd == 2:
        if a.sh[1] != b.sh[0]:
            raise_product("matmul", a.sh[0], a.sh[1], b.sh[0], b.sh[1])
        agree("matmul", a, b)
        return gemm(a, OP_N, b, OP_N)
    if a.nd == 1 and b.nd == 1:
        return dot_("matmul", a, b, False)
    if a.nd >= 2 and b.nd >= 3:
        a = agree_batches("matmul", a, b)
    else:
        agree("matmul", a, b)
    ka = a.sh[a.nd - 1]
    kb = b.sh[0] if b.nd == 1 else b.sh[b.nd - 2]
    if ka != kb:
        if a.nd == 2 and b.nd == 1:
            raise ShapeError(f"size mismatch, got input ({a.sh[0]}), mat ({a.sh[0]}x{a.sh[1]}), vec ({b.sh[0]})", op="matmul")
        if b.nd <= 2:
            raise_product("matmul", rows_of(a), ka, kb, b.sh[1] if b.nd == 2 else 1)
        raise ShapeError(f"Expected size for first two dimensions of batch2 tensor to be: [{b.n // (kb * b.sh[b.nd - 1]) if kb * b.sh[b.nd - 1] else 0}, {ka}] "
                         f"but got: [{b.n // (kb * b.sh[b.nd - 1]) if kb * b.sh[b.nd - 1] else 0}, {kb}].", op="matmul")
    if b.nd == 2:
        return fold_mm(a, b, OP_N, None)
    if a.nd == 2 and b.nd == 1:
        return fold_mm(b, a, OP_T, None)
    if b.nd == 1:
        return <TensorBase>_view.squeeze(fold_mm(a, <TensorBase>_view.unsqueeze(b, 1), OP_N, None), -1)
    if a.nd == 1:
        return <TensorBase>_view.squeeze(matmul_(<TensorBase>_view.unsqueeze(a, 0), b), -2)
    if a.nd == b.nd:
        for i in range(a.nd - 2):
            if a.sh[i] != b.sh[i]:
                break
        else:
            return gemm(a, OP_N, b, OP_N)
    # broadcast the batch dimensions
    nd = a.nd if a.nd > b.nd else b.nd
    for i in range(nd - 2):
        ka = a.sh[i - nd + a.nd] if i - nd + a.nd >= 0 else 1
        kb = b.sh[i - nd + b.nd] if i - nd + b.nd >= 0 else 1
        if ka != kb and ka != 1 and kb != 1:
            raise ShapeError(f"The size of tensor a ({ka}) must match the size of tensor b ({kb}) at non-singleton dimension {i}", op="matmul")
        sh[i] = kb if ka == 1 else ka
    lead = tuple([sh[i] for i in range(nd - 2)])
    return gemm(<TensorBase>_view.expand(a, lead + (a.sh[a.nd - 2], a.sh[a.nd - 1])), OP_N,
                <TensorBase>_view.expand(b, lead + (b.sh[b.nd - 2], b.sh[b.nd - 1])), OP_N)


def matmul(input, other, *, out=None):
    """Multiply matrices, vectors or broadcast batches of matrices, as ``@`` does.

    Args:
        input: (..., m, k) or (k) tensor.
        other: (..., k, n) or (k) tensor of the same dtype.
        out: tensor to write to.
    Shape:
        Batch dimensions broadcast; a vector's missing dimension is dropped from the result.
    Raises:
        ShapeError: inner sizes or batch sizes do not fit.
        DTypeError: dtypes differ.
    """
    cdef TensorBase r = matmul_(as_base("matmul", "input", input), as_base("matmul", "other", other))
    return r if out is None else deliver("matmul", r, out)


def __matmul__(self, other):
    if not isinstance(other, TensorBase):
        return NotImplemented
    return matmul_(<TensorBase?>self, <TensorBase>other)


# ---- linear ----------------------------------------------------------------------------------------------------
def linear(input, weight, bias=None, *, out=None):
    """Compute ``input @ weight.T + bias``.

    Args:
        input: (..., in) tensor.
        weight: (out, in) or (in) tensor.
        bias: (out) tensor or None.
        out: tensor to write to.
    Returns:
        (..., out) tensor.
    Raises:
        ShapeError: sizes do not fit.
    """
    cdef TensorBase r = linear_(as_base("linear", "input", input), as_base("linear", "weight", weight), bias)
    return r if out is None else deliver("linear", r, out)


cdef TensorBase plus_bias(TensorBase r, TensorBase b, bint vector):
    """r plus a bias of another shape than a vector of r's size; a product of a vector takes a bias of one row, too."""
    cdef TensorBase s
    if vector and b.nd == 2 and b.sh[0] == 1:
        b = <TensorBase>(<object>b).squeeze(0)
    s = <TensorBase>binary(ROW_ADD, r, b, None)
    if shape_tuple(s) != shape_tuple(r):
        raise ShapeError(f"linear(): a bias of shape {list(shape_tuple(b))} does not broadcast to the result's shape {list(shape_tuple(r))}", op="linear")
    return s


cdef TensorBase linear_(TensorBase x, TensorBase w, object bias):
    cdef TensorBase b = None
    if bias is not None:
        b = as_base("linear", "bias", bias)
    if w.nd == 1:
        r = matmul_(x, w)
        return r if b is None else plus_bias(r, b, x.nd == 1)
    if w.nd != 2:
        raise ShapeError(f"linear(): weight must be a (out, in) matrix, got {list(shape_tuple(w))}", op="linear")
    if x.nd == 0:
        raise ShapeError("both arguments to linear need to be at least 1D, but they are 0D and 2D", op="linear")
    if x.sh[x.nd - 1] != w.sh[1]:
        raise_product("linear", rows_of(x), x.sh[x.nd - 1], w.sh[1], w.sh[0])
    agree("linear", x, w)
    if b is None:
        return fold_mm(x, w, OP_T, None)
    if b.nd != 1 or b.sh[0] != w.sh[0]:
        return plus_bias(fold_mm(x, w, OP_T, None), b, x.nd == 1)
    if b.dt != w.dt:
        raise DTypeError(f"linear(): bias is {torch_name(b.dt).lower()}, but weight is {torch_name(w.dt).lower()}", op="linear")
    if b.dev != w.dev:
        raise_devices("linear", w, b)
    return fold_mm(x, w, OP_T, b)


cdef object linear_act(object x_, object weight, object bias, int act):
    cdef TensorBase x, w, b = None, out
    cdef int64_t sh[64]
    if not isinstance(x_, TensorBase) or not isinstance(weight, TensorBase) or not (bias is None or isinstance(bias, TensorBase)):
        return None
    x, w = <TensorBase>x_, <TensorBase>weight
    if w.nd != 2 or x.nd == 0 or x.dt != w.dt or x.dev != w.dev or not RT_F16 <= x.dt <= RT_F64 or x.sh[x.nd - 1] != w.sh[1]:
        return None
    if bias is not None:
        b = <TensorBase>bias
        if b.nd != 1 or b.sh[0] != w.sh[0] or b.dt != w.dt or b.dev != w.dev:
            return None
    if grad_mode() and (x.rg or w.rg or (b is not None and b.rg)):
        return None
    memcpy(sh, x.sh, (x.nd - 1) * sizeof(int64_t))
    sh[x.nd - 1] = w.sh[0]
    out = empty(x.nd, sh, x.dt, x.dev)
    if out.n and not fold_act(out, x, w, OP_T, b, act):
        return unary_inplace(act_row(act), out)
    return out


NN_ONLY = {"linear"}
FUNCTIONS = {"mm": mm, "bmm": bmm, "mv": mv, "dot": dot, "vdot": vdot, "outer": outer, "ger": outer, "inner": inner, "matmul": matmul,
             "_int_mm": _int_mm, "linear": linear}
METHODS = {"mm": mm, "bmm": bmm, "mv": mv, "dot": dot, "vdot": vdot, "outer": outer, "ger": outer, "inner": inner, "matmul": matmul}
