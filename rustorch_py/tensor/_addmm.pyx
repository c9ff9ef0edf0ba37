"""Products added to a tensor: addmm and its kin, in place too, and a product with an activation behind it."""
from libc.stdint cimport int64_t
from libc.string cimport memcpy
from ._base cimport (TensorBase, bump, empty, shape_tuple, as_base, grad_mode, attach, save, saved, wants_edge, rt_kind, RT_KIND_INT, RT_KIND_COMPLEX, RT_BOOL, RT_F32, RT_F64,
                     F_CONTIG)
from ._cpu cimport rt_num_threads
from ._node cimport Node
from ._dtype cimport torch_name
from ._gemm cimport (Num, is_one, is_zero, conj, as_number, times, as_op, multiply, raw_outer,
                     gemm_scaled, OP_N, OP_T, OP_C, act_row, RT_ACT_NONE, RT_ACT_RELU, RT_ACT_GELU, ACT_GELU_ERF)
from ._matmul cimport agree, outer_, raise_product, raise_devices, check_batches
from ._ops cimport deliver, sum_to, sum_to_many, check_inplace_dtype, copy_into, inplace_begin, binary, unary
from ._plan cimport expand_raw
from . import _view
from ._matmul import matmul
from ..errors import DTypeError, ShapeError, TensorError, TooFewDimsError
include "_row_ids.pxi"


cdef int number(object op, object arg, object x, int dt, Num *out) except -1:
    if rt_kind(dt) <= RT_KIND_INT:
        if isinstance(x, complex):
            raise DTypeError(f"{op}(): argument '{arg}' is complex, but the tensors are integers", op=op)
        out.i = int(x)                      # as PyTorch: cut to an integer
        out.re = out.i
        out.im = 0
    elif rt_kind(dt) == RT_KIND_COMPLEX:
        x = complex(x)
        out.re, out.im, out.i = x.real, x.imag, 0
    else:
        if isinstance(x, complex):
            raise DTypeError(f"{op}(): argument '{arg}' is complex, but the tensors are real", op=op)
        out.re, out.im, out.i = float(x), 0, 0
    return 0


# ---- products added to a tensor -----------------------------------------------------------------------------------
cdef TensorBase add_product(object op, TensorBase input, TensorBase a, TensorBase b, object beta, object alpha, object out, int *act=NULL):
    """beta * input + alpha * a @ b on matrices or batches; input broadcasts. `act` becomes RT_ACT_NONE where it was done, too."""
    cdef int64_t sh[64]
    cdef int nd = a.nd, i, shift
    cdef Num be, al
    cdef TensorBase o, wide
    cdef AddProductBackward node
    cdef bint recorded
    memcpy(sh, a.sh, nd * sizeof(int64_t))
    sh[nd - 1] = b.sh[nd - 1]
    agree(op, a, b)
    if input.dt != a.dt:
        raise DTypeError(f"self and mat2 must have the same dtype, but got {torch_name(input.dt)} and {torch_name(b.dt)}", op=op)
    if input.dev != a.dev:
        raise_devices(op, input, a)
    shift = nd - input.nd
    for i in range(input.nd):
        if shift < 0 or (input.sh[i] != 1 and input.sh[i] != sh[i + shift]):
            raise ShapeError(f"The expanded size of the tensor ({sh[i + shift] if i + shift >= 0 else 1}) must match the existing size "
                             f"({input.sh[i]}) at non-singleton dimension {i}.  Target sizes: {[sh[j] for j in range(nd)]}.  "
                             f"Tensor sizes: {list(shape_tuple(input))}", op=op)
    number(op, "beta", beta, a.dt, &be)
    number(op, "alpha", alpha, a.dt, &al)
    o = empty(nd, sh, a.dt, a.dev)
    recorded = out is None and grad_mode() and (input.rg or a.rg or b.rg)
    if multiply(op, o, a, OP_N, b, OP_N, al, be, None if is_zero(be) else expand_raw(input, nd, sh), RT_ACT_NONE if act is NULL or recorded else act[0]):
        act[0] = RT_ACT_NONE
    if recorded:
        node = AddProductBackward.__new__(AddProductBackward)
        node.alpha, node.beta = al, be
        node.shape = shape_tuple(input)
        node.batched = nd == 3
        if b.rg:
            save(node, 0, a)
        if a.rg:
            save(node, 1, b)
        attach(o, node, (input, a, b))
    return o


cdef class AddProductBackward(Node):
    """y = beta x + alpha a b: grad x = conj(beta) g, grad a = conj(alpha) g b^H, grad b = conj(alpha) a^H g."""
    cdef Num alpha, beta
    cdef tuple shape
    cdef bint batched

    cdef object apply(self, object g_):
        cdef TensorBase g = <TensorBase>g_
        cdef object gx = None, ga = None, gb = None
        if wants_edge(self, 0):
            gx = sum_to(g, self.shape)
            if not is_one(self.beta):
                gx = binary(ROW_MUL, gx, as_number(conj(self.beta), g.dt), None)
        if wants_edge(self, 1):
            ga = gemm_scaled(g, OP_N, saved(self, 1), OP_T | OP_C, conj(self.alpha))
        if wants_edge(self, 2):
            gb = gemm_scaled(saved(self, 0), OP_T | OP_C, g, OP_N, conj(self.alpha))
        return gx, ga, gb

    cdef object own_name(self):
        return "BaddbmmBackward0" if self.batched else "AddmmBackward0"

    cdef object apply_many(self, object g, Py_ssize_t n):
        cdef object gx = None, ga = None, gb = None
        if wants_edge(self, 0):
            gx = times(conj(self.beta), sum_to_many(<TensorBase>g, n, self.shape))
        if wants_edge(self, 1):
            ga = times(conj(self.alpha), matmul(g, as_op(saved(self, 1), OP_T | OP_C)))
        if wants_edge(self, 2):
            gb = times(conj(self.alpha), matmul(as_op(saved(self, 0), OP_T | OP_C), g))
        return gx, ga, gb


def addmm(input, mat1, mat2, *, beta=1, alpha=1, out=None):
    """Compute ``beta * input + alpha * (mat1 @ mat2)``; with beta 0, input is not read.

    Args:
        input: tensor that broadcasts to (m, n).
        mat1: (m, k) tensor.
        mat2: (k, n) tensor.
        beta, alpha: numbers; integers for integer tensors.
        out: tensor to write to.
    """
    cdef TensorBase x = as_base("addmm", "input", input), a = as_base("addmm", "mat1", mat1), b = as_base("addmm", "mat2", mat2)
    check_matrices("addmm", a, b)
    return deliver("addmm", add_product("addmm", x, a, b, beta, alpha, out), out)


cdef int check_matrices(object op, TensorBase a, TensorBase b) except -1:
    if a.nd != 2:
        raise ShapeError(f"mat1 must be a matrix, got {a.nd}-D tensor", op=op)
    if b.nd != 2:
        raise ShapeError(f"mat2 must be a matrix, got {b.nd}-D tensor", op=op)
    if a.sh[1] != b.sh[0]:
        raise_product(op, a.sh[0], a.sh[1], b.sh[0], b.sh[1])
    return 0


def _addmm_activation(input, mat1, mat2, *, beta=1, alpha=1, use_gelu=False, out=None):
    """Compute ReLU or GELU of ``beta * input + alpha * (mat1 @ mat2)``; in one pass: on a CUDA device one launch where cuBLASLt can, on a CPU while the product is in a cache.

    Args:
        input: tensor that broadcasts to (m, n).
        mat1: (m, k) tensor.
        mat2: (k, n) tensor.
        beta, alpha: numbers; integers for integer tensors.
        use_gelu: GELU instead of ReLU; as in PyTorch, by its formula with tanh on a CUDA device.
        out: tensor to write to.

    Example:
        >>> import rustorch_py as torch
        >>> torch._addmm_activation(torch.tensor([-5.0, 1.0]), torch.ones(2, 3), torch.ones(3, 2))
        tensor([[0., 4.],
                [0., 4.]])
    """
    cdef TensorBase x = as_base("_addmm_activation", "input", input), a = as_base("_addmm_activation", "mat1", mat1)
    cdef TensorBase b = as_base("_addmm_activation", "mat2", mat2)
    cdef int act = RT_ACT_RELU if not use_gelu else RT_ACT_GELU if a.dev & 255 else ACT_GELU_ERF
    check_matrices("_addmm_activation", a, b)
    result = add_product("_addmm_activation", x, a, b, beta, alpha, out, &act)
    if act != RT_ACT_NONE:
        result = <TensorBase>unary(act_row(act), result, None)
    return deliver("_addmm_activation", result, out)


def baddbmm(input, batch1, batch2, *, beta=1, alpha=1, out=None):
    """Compute ``beta * input + alpha * (batch1 @ batch2)`` on batches of matrices.

    Args:
        input: tensor that broadcasts to (b, m, n).
        batch1: (b, m, k) tensor.
        batch2: (b, k, n) tensor.
        beta, alpha: numbers; integers for integer tensors.
        out: tensor to write to.
    """
    cdef TensorBase x = as_base("baddbmm", "input", input), a = as_base("baddbmm", "batch1", batch1), b = as_base("baddbmm", "batch2", batch2)
    check_batches("baddbmm", a, b)
    return deliver("baddbmm", add_product("baddbmm", x, a, b, beta, alpha, out), out)


def addbmm(input, batch1, batch2, *, beta=1, alpha=1, out=None):
    """Compute ``beta * input + alpha * sum over the batch of (batch1 @ batch2)``.

    Args:
        input: tensor that broadcasts to (m, n).
        batch1: (b, m, k) tensor.
        batch2: (b, k, n) tensor.
        beta, alpha: numbers; integers for integer tensors.
        out: tensor to write to.
    """
    cdef TensorBase x = as_base("addbmm", "input", input), a = as_base("addbmm", "batch1", batch1), b = as_base("addbmm", "batch2", batch2)
    check_batches("addbmm", a, b)
    # the sum over b and k is one product: (m, b*k) @ (b*k, n)
    left = _view.reshape(_view.transpose(a, 0, 1), (a.sh[1], a.sh[0] * a.sh[2]))
    right = _view.reshape(b, (b.sh[0] * b.sh[1], b.sh[2]))
    return deliver("addbmm", add_product("addbmm", x, <TensorBase>left, <TensorBase>right, beta, alpha, out), out)


def addmv(input, mat, vec, *, beta=1, alpha=1, out=None):
    """Compute ``beta * input + alpha * (mat @ vec)``.

    Args:
        input: tensor that broadcasts to (n).
        mat: (n, m) tensor.
        vec: (m) tensor.
        beta, alpha: numbers; integers for integer tensors.
        out: tensor to write to.
    """
    cdef TensorBase x = as_base("addmv", "input", input), a = as_base("addmv", "mat", mat), v = as_base("addmv", "vec", vec)
    if a.nd != 2 or v.nd != 1 or x.nd > 1:
        raise TooFewDimsError(f"vector + matrix @ vector expected, got {x.nd}, {a.nd}, {v.nd}", op="addmv")
    if a.sh[1] != v.sh[0] or (x.n != 1 and x.n != a.sh[0]):
        raise ShapeError(f"size mismatch, got input ({x.n}), mat ({a.sh[0]}x{a.sh[1]}), vec ({v.sh[0]})", op="addmv")
    column = x if x.nd == 0 else _view.unsqueeze(x, 1)
    r = add_product("addmv", <TensorBase>column, a, <TensorBase>_view.unsqueeze(v, 1), beta, alpha, out)
    return deliver("addmv", <TensorBase>_view.squeeze(r, 1), out)


cdef TensorBase added_outer(TensorBase x, TensorBase a, TensorBase b, object beta, object alpha, TensorBase into=None):
    """addr() of real floats in one pass where nothing is recorded, also into x itself; None: not of this kind, nothing was done."""
    cdef int64_t sh[2]
    cdef int threads, i
    cdef Num be, al
    cdef TensorBase out = into
    cdef const void *p = NULL
    if ((a.dt != RT_F32 and a.dt != RT_F64) or a.dt != b.dt or a.dt != x.dt or (a.dev | b.dev | x.dev) & 255 or (b.st[0] != 1 and b.n != 1) or not a.n or not b.n
            or grad_mode() and (x.rg or a.rg or b.rg) or isinstance(beta, TensorBase) or isinstance(alpha, TensorBase)):
        return None
    sh[0], sh[1] = a.n, b.n
    for i in range(x.nd):
        if x.sh[i] != sh[i + 2 - x.nd] and (x.sh[i] != 1 or into is not None):
            return None
    number("addr", "beta", beta, a.dt, &be)
    number("addr", "alpha", alpha, a.dt, &al)
    x = expand_raw(x, 2, sh)
    if x.st[1] != 1 and x.sh[1] != 1:
        return None
    if into is None:
        out = empty(2, sh, a.dt, a.dev)
    if not is_zero(be):
        p = x.ptr
    threads = rt_num_threads()
    with nogil:
        raw_outer(a.dt, a.n, b.n, al.re, a.ptr, a.st[0], b.ptr, be.re, p, x.st[0], out.ptr, threads)
    return out


def addr(input, vec1, vec2, *, beta=1, alpha=1, out=None):
    """Compute ``beta * input + alpha * outer(vec1, vec2)``.

    Args:
        input: tensor that broadcasts to (n, m).
        vec1: (n) tensor.
        vec2: (m) tensor.
        beta, alpha: numbers; integers for integer tensors.
        out: tensor to write to.
    """
    cdef TensorBase x = as_base("addr", "input", input), a = as_base("addr", "vec1", vec1), b = as_base("addr", "vec2", vec2)
    if a.nd != 1:
        raise ShapeError(f"addr: Expected 1-D argument vec1, but got {a.nd}-D", op="addr")
    if b.nd != 1:
        raise ShapeError(f"addr: Expected 1-D argument vec2, but got {b.nd}-D", op="addr")
    if x.nd > 2:
        raise ShapeError(f"addr: expected an input that expands to [{a.sh[0]}, {b.sh[0]}], but got one with {x.nd} dimensions", op="addr")
    result = added_outer(x, a, b, beta, alpha)
    if result is not None:
        return deliver("addr", <TensorBase>result, out)
    product = outer_(a, b)
    if x.dt == RT_BOOL and a.dt == RT_BOOL and b.dt == RT_BOOL:      # the sum is an or, and so are the numbers true or false
        if isinstance(beta, float) or isinstance(alpha, float):
            raise TensorError(f"addr: expected beta and alpha to be ints or bools for bool tensors, got {beta} and {alpha}", op="addr")
        alpha, beta = bool(alpha), bool(beta)
    if alpha != 1:
        product = binary(ROW_MUL, product, alpha, None)
    if beta == 0:
        x = None
    result = product if x is None else binary(ROW_ADD, binary(ROW_MUL, x, beta, None) if beta != 1 else x, product, None)
    return deliver("addr", <TensorBase>result, out)


# ---- in place ---------------------------------------------------------------------------------------------------------
cdef bint in_place(TensorBase t, TensorBase a, TensorBase b) noexcept:
    """Whether a product of real floats may be added to t where it lies: nothing is recorded, and the operands lie elsewhere."""
    return ((t.dt == RT_F32 or t.dt == RT_F64) and t.dt == a.dt and t.dt == b.dt and not (t.dev | a.dev | b.dev) & 255 and t.flags & F_CONTIG != 0
            and t.stor is not a.stor and t.stor is not b.stor and not (grad_mode() and (t.rg or a.rg or b.rg)))


cdef bint added_here(object op, TensorBase t, object left, object right, int nd, object beta, object alpha) except -1:
    """t = beta t + alpha left @ right where that can be done in place; False: nothing was done."""
    cdef TensorBase a, b
    cdef Num be, al
    if not isinstance(left, TensorBase) or not isinstance(right, TensorBase):
        return False
    a, b = <TensorBase>left, <TensorBase>right
    if (t.nd != nd or a.nd != nd or b.nd != nd or not in_place(t, a, b) or (nd == 3 and (t.sh[0] != a.sh[0] or t.sh[0] != b.sh[0]))
            or t.sh[nd - 2] != a.sh[nd - 2] or t.sh[nd - 1] != b.sh[nd - 1] or a.sh[nd - 1] != b.sh[nd - 2]):
        return False
    number(op, "beta", beta, t.dt, &be)
    number(op, "alpha", alpha, t.dt, &al)
    inplace_begin(op, t)
    multiply(op, t, a, OP_N, b, OP_N, al, be)
    bump(t)
    return True


def addmm_(self, mat1, mat2, *, beta=1, alpha=1):
    """Compute ``addmm`` in place."""
    if added_here("addmm_", as_base("addmm_", "self", self), mat1, mat2, 2, beta, alpha):
        return self
    return copy_into(as_base("addmm_", "self", self), <TensorBase>addmm(self, mat1, mat2, beta=beta, alpha=alpha))


def baddbmm_(self, batch1, batch2, *, beta=1, alpha=1):
    """Compute ``baddbmm`` in place."""
    if added_here("baddbmm_", as_base("baddbmm_", "self", self), batch1, batch2, 3, beta, alpha):
        return self
    return copy_into(as_base("baddbmm_", "self", self), <TensorBase>baddbmm(self, batch1, batch2, beta=beta, alpha=alpha))


def addbmm_(self, batch1, batch2, *, beta=1, alpha=1):
    """Compute ``addbmm`` in place."""
    return copy_into(as_base("addbmm_", "self", self), <TensorBase>addbmm(self, batch1, batch2, beta=beta, alpha=alpha))


def addmv_(self, mat, vec, *, beta=1, alpha=1):
    """Compute ``addmv`` in place."""
    return copy_into(as_base("addmv_", "self", self), <TensorBase>addmv(self, mat, vec, beta=beta, alpha=alpha))


def addr_(self, vec1, vec2, *, beta=1, alpha=1):
    """Compute ``addr`` in place."""
    cdef TensorBase t = as_base("addr_", "self", self), a, b, result
    if isinstance(vec1, TensorBase) and isinstance(vec2, TensorBase):
        a, b = <TensorBase>vec1, <TensorBase>vec2
        if a.nd == 1 and b.nd == 1 and t.nd == 2 and in_place(t, a, b):
            inplace_begin("addr_", t)
            if added_outer(t, a, b, beta, alpha, t) is not None:
                bump(t)
                return t
    result = <TensorBase>addr(self, vec1, vec2, beta=beta, alpha=alpha)
    check_inplace_dtype("addr_", t, result.dt)
    return copy_into(t, result)


FUNCTIONS = {"addmm": addmm, "_addmm_activation": _addmm_activation, "baddbmm": baddbmm, "addbmm": addbmm, "addmv": addmv, "addr": addr}
METHODS = {**FUNCTIONS, "addmm_": addmm_, "baddbmm_": baddbmm_, "addbmm_": addbmm_, "addmv_": addmv_, "addr_": addr_}
