"""Operators that record themselves: rows of the table, and writing in place. The copies, expand and sum are in `_copies`.

Note [In-place and history]
    An in-place operator records a node whose first edge is the tensor's old history and makes the
    node the tensor's history. If the tensor is a view, the base gets a CopySlices node that runs the
    node on the viewed region, base.epoch grows, and every view of the base makes its history anew
    when it is next asked for (see _base.history).
"""
from cpython.float cimport PyFloat_CheckExact
from cpython.long cimport PyLong_CheckExact
from cpython.ref cimport Py_REFCNT
from ._base cimport *
from ._node cimport Node, call_node
from ._storage cimport Storage, new_storage
from ._overlap cimport overlaps, refuse_overlap, same_strides
from ._plan cimport (is_number, wrap_number, result_dtype, broadcast_shapes, check_devices, launch, copy_raw, cast_raw,
                     clone_raw, reduce_raw, may_overlap_self, fill_value)
from ._backend cimport backend_of
from ._dtype cimport default_code, castable, check_stored, dtype_of, device_of, promote, torch_name
import weakref
from ..errors import AutogradError, DTypeError, DeviceError, ShapeError, TensorTypeError, TensorValueError, UnsupportedOpError
include "_row_ids.pxi"

cdef inline bint recording(TensorBase a, TensorBase b, TensorBase c) noexcept:
    return ((a is not None and a.rg) or (b is not None and b.rg) or (c is not None and c.rg)) and grad_mode()


# ---- the profiler's door ----------------------------------------------------------------------------
cdef object profiler = None               # (enter(name), leave(token)) while a profile runs


def set_profiler(pair):
    """Install the functions that are told of every row's start and end, or None (called by rustorch_py.profiler)."""
    global profiler
    profiler = pair


def get_profiler():
    """Return what set_profiler was given, for operators that live above this floor."""
    return profiler


cdef bint profiling() noexcept:
    return profiler is not None


cdef list ROW_NAMES = [rt_rows[_row].name.decode() for _row in range(RT_NROWS)]


cdef inline str row_label(int row):
    return <str>ROW_NAMES[row]


# ---- gradient of a row ------------------------------------------------------------------------------
cdef object formula_builder = None        # autograd: (row index, input) -> function(g, x, y, z, o, k0, k1) over tensors


def set_formula_builder(fn):
    """Install the maker of differentiable gradient formulas (called once by autograd)."""
    global formula_builder
    formula_builder = fn


cdef dict formulas = {}
cdef list ROW_CLASS_NAMES = []


# rows whose gradient PyTorch names otherwise than the row
_NODE_NAMES = {"square": "Pow", "mse_point": "MseLoss", "smooth_l1_point": "SmoothL1Loss", "huber_point": "HuberLoss",
               "bce_point": "BinaryCrossEntropy", "bce_logits_point": "BinaryCrossEntropyWithLogits", "cube": "Pow", "reciprocal_square": "Pow", "sqrt_power": "Pow", "reciprocal_power": "Pow", "rsqrt_power": "Pow", "round_even": "Round", "log1p": "Log1P",
               "clamp_lo": "ClampMin", "clamp_hi": "ClampMax", "relu6": "Hardtanh", "gelu_erf": "Gelu", "gelu_tanh": "Gelu", "selu": "Elu", "prelu_": "PreluKernel",
               "logsigmoid": "LogSigmoid", "nan_to_num_": "NanToNum", "erfcx": "SpecialErfcx", "entr": "SpecialEntr", "i1": "SpecialI1", "i0e": "SpecialI0E", "i1e": "SpecialI1E",
               "log_ndtr": "SpecialLogNdtr", "polygamma_n": "Polygamma", "add_scaled": "Add", "deg2rad": "Deg2Rad",
               "rad2deg": "Rad2Deg", "xlog1py": "SpecialXlog1Py", "ndtri": "SpecialNdtri", "logit_eps": "Logit", "l1_point": "Abs", "softsign": "Div", "tanhshrink": "Sub"}
_NODE_ENDS = {"clamp_pair": "ClampBackward1", "floor_divide": "NotImplemented", "trunc_divide": "DivBackward2"}


def _camel(name):
    if name in _NODE_ENDS:
        return _NODE_ENDS[name]
    return _NODE_NAMES.get(name, "".join(part.capitalize() for part in name.strip("_").split("_"))) + "Backward0"


cdef int[RT_NROWS] second_form       # rows whose gradient has a second name: 1: where the last operand is a tensor, 2: where it is a number
for _i in range(RT_NROWS):
    second_form[_i] = {"fmod": 1, "remainder": 1, "pow": 1, "clamp_lo": 1, "clamp_hi": 1, "lerp": 1, "copysign": 2}.get(rt_rows[_i].name.decode(), 0)
    ROW_CLASS_NAMES.append(_camel(rt_rows[_i].name.decode()))


cdef class RowNode(Node):
    """Gradient of any row: runs the row's derivative loop. Saved slots: 0 x, 1 y, 2 z or the output."""
    cdef int row, loop_dt
    cdef int dt0, dt1, dt2                # dtypes of the inputs
    cdef object shape0, shape1, shape2    # shapes of the inputs that were broadcast, else None
    cdef double k0, k1

    cdef object own_name(self):
        return ROW_CLASS_NAMES[self.row]

    cdef object apply(self, object g):
        return self.apply_many(g, -1)

    cdef object apply_many(self, object g, Py_ssize_t n):
        """n < 0: one gradient. Saved operands have a dimension less than several gradients, and broadcast."""
        cdef TensorBase gt = <TensorBase>g
        cdef object a, b, c
        if self.row == ROW_FLOOR_DIVIDE and not self.alias:       # div(rounding_mode="floor") has a name of its own, and zeros
            raise AutogradError("derivative for aten::floor_divide is not implemented", op="floor_divide")
        if self.n_edges == 1:
            return self.input_grad(gt, 0, self.dt0, self.shape0, n)
        a = self.input_grad(gt, 0, self.dt0, self.shape0, n) if wants_edge(self, 0) else None
        b = self.input_grad(gt, 1, self.dt1, self.shape1, n) if wants_edge(self, 1) else None
        if self.n_edges == 2:
            return (a, b)
        c = self.input_grad(gt, 2, self.dt2, self.shape2, n) if wants_edge(self, 2) else None
        return (a, b, c)

    cdef TensorBase input_grad(self, TensorBase g, int i, int dt, object shape, Py_ssize_t n):
        cdef const RtRow *row = &rt_rows[self.row]
        cdef TensorBase r, x = None, y = None, z = None, o = None
        cdef int mask = row.saves[i]
        if not row.differentiable >> i & 1:
            return None
        if row.identity >> i & 1:
            r = g
        else:
            if mask & 1:
                x = saved(self, 0)
            if mask & 2:
                y = saved(self, 1)
            if mask & 4:
                z = saved(self, 2)
            if mask & 8:
                o = saved(self, 2)
            if grad_mode():
                key = self.row * 4 + i
                fn = formulas.get(key)
                if fn is None:
                    fn = formulas[key] = formula_builder(self.row, i)
                r = <TensorBase?>fn(g, x, y, z, o, self.k0, self.k1)
            else:
                r = empty_preserve(g, dt if rt_kind(dt) == rt_kind(self.loop_dt) else self.loop_dt)
                launch4(self.row * 4 + 1 + i, self.loop_dt, r, g, x, y, z, o, self.k0, self.k1)
        if shape is not None:
            r = sum_to(r, <tuple>shape) if n < 0 else sum_to_many(r, n, <tuple>shape)
        if r.dt != dt:
            r = cast(r, dt)
        return r


cdef int launch4(int kernel, int loop_dt, TensorBase out, TensorBase g, TensorBase x, TensorBase y, TensorBase z, TensorBase o,
                 double k0, double k1) except -1:
    """Launch a gradient kernel with the operands that are there, in order."""
    cdef list got = [g]
    if x is not None:
        got.append(x)
    if y is not None:
        got.append(y)
    if z is not None:
        got.append(z)
    if o is not None:
        got.append(o)
    cdef int n = <int>len(got)
    return launch(kernel, loop_dt, out, <TensorBase>got[0], <TensorBase>got[1] if n > 1 else None, <TensorBase>got[2] if n > 2 else None,
                  <TensorBase>got[3] if n > 3 else None, <TensorBase>got[4] if n > 4 else None, k0, k1)


cdef inline object shape_if_broadcast(TensorBase t, TensorBase out):
    return None if same_shape(t, out) else shape_tuple(t)


cdef RowNode record_row(int row, int loop_dt, TensorBase out, TensorBase x, TensorBase y, TensorBase z, double k0, double k1):
    """Node with edges and what the wanted gradients read; the caller makes it out's history."""
    cdef RowNode node = RowNode.__new__(RowNode)
    cdef const RtRow *r = &rt_rows[row]
    cdef int mask = 0
    node.row = row
    node.loop_dt = rt_compute_dtype(loop_dt)       # gradients have no loops of 16-bit floats
    node.k0 = k0
    node.k1 = k1
    node.dt0 = x.dt
    if x.rg:
        mask |= r.saves[0]
        node.shape0 = shape_if_broadcast(x, out)
    if y is not None:
        node.dt1 = y.dt
        if y.rg:
            mask |= r.saves[1]
            node.shape1 = shape_if_broadcast(y, out)
    if z is not None:
        node.dt2 = z.dt
        if z.rg:
            mask |= r.saves[2]
            node.shape2 = shape_if_broadcast(z, out)
    if mask & 1:
        save(node, 0, x)
    if mask & 2:
        save(node, 1, y)
    if mask & 4:
        save(node, 2, z)
    if y is None:
        attach1(out, node, x)
    elif z is None:
        attach2(out, node, x, y)
    else:
        attach(out, node, (x, y, z))
    if mask & 8:
        save_output(node, 2, out)
    if second_form[row] and y is not None and ((z if z is not None else y).flags & F_WRAPPED == 0) == (second_form[row] == 1):
        call_node(node, ROW_CLASS_NAMES[row][:-1] + "1")
    return node


cdef inline int out_dtype(const RtRow *r, int dt) noexcept:
    return RT_BOOL if r.out == 1 else rt_real_dtype(dt) if r.out == 2 else dt


cdef object refuse_dtype(int row, int dt):
    name = row_label(row)
    raise UnsupportedOpError(f'"{name}" not implemented for \'{dtype_of(dt).name}\'', op=name, dtype=dtype_of(dt))


cdef inline int row_dtype(int row, int dt) except -1:
    """dtype in which the row's result is defined, from the promoted dtype of its inputs."""
    cdef const RtRow *r = &rt_rows[row]
    if r.promote == 1 and rt_kind(dt) <= RT_KIND_INT:
        dt = default_code()
    elif r.promote == 2 and dt == RT_BOOL:
        dt = RT_I64
    if not r.kinds >> rt_kind(dt) & 1:
        refuse_dtype(row, dt)
    if dt >= RT_NLOOPED:
        check_stored(r.name.decode(), dt)
    return dt


cdef enum: OWN_16 = 16           # of RtRow.kinds: 16-bit floats have loops of their own


cdef inline int loop_dtype(int row, int dt) noexcept:
    """dtype of the row's loop for a result defined in dt."""
    cdef int wide = rt_compute_dtype(dt)
    return dt if wide != dt and rt_rows[row].kinds & OWN_16 else wide


cdef TensorBase rounded(int row, TensorBase t, int dt, bint second):
    """An operand of a 16-bit result, in the result's dtype first, as PyTorch's; but what every element is multiplied or divided
    by keeps its precision."""
    if t.dt == dt or rt_kind(t.dt) == RT_KIND_BOOL or rt_kind(dt) != RT_KIND_FLOAT:
        return t
    if second and t.n == 1 and (row == ROW_MUL or row == ROW_DIV or row == ROW_FLOOR_DIVIDE or row == ROW_TRUNC_DIVIDE):
        return t
    return cast_raw(t, dt)


cdef inline bint zero_divisor_matters(int row) noexcept:
    return row == ROW_FLOOR_DIVIDE or row == ROW_TRUNC_DIVIDE or row == ROW_REMAINDER or row == ROW_FMOD


cdef int refuse_bool_sub(TensorBase x, TensorBase y) except -1:
    if x.dt == RT_BOOL and y.dt == RT_BOOL:
        raise DTypeError("Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
                         "operator instead.", op="sub")
    if x.dt == RT_BOOL or y.dt == RT_BOOL:
        raise DTypeError("Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use "
                         "the `~` or `logical_not()` operator instead.", op="sub")
    return 0


cdef int check_divisor(int row, int dt, TensorBase y, int nd, const int64_t *sh) except -1:
    """Integer division by zero is an error, not a number, where there is an element to divide; a device is not waited for, and gives some number."""
    cdef uint8_t mask[64]
    cdef int i
    cdef TensorBase r
    if rt_kind(dt) == RT_KIND_INT and y.dev == 0 and zero_divisor_matters(row):
        for i in range(nd):
            if sh[i] == 0:
                return 0
        for i in range(y.nd):
            mask[i] = 1
        r = reduce_raw(RED_ALL, y, mask, False, RT_BOOL, RT_BOOL, 0)
        if not (<uint8_t *>r.ptr)[0]:
            raise TensorValueError("ZeroDivisionError")
    return 0


# ---- out= -------------------------------------------------------------------------------------------
cdef int resize_(TensorBase t, int nd, const int64_t *sh) except -1:
    """Give t a contiguous shape, with new memory when the old is too small (as Tensor.resize_)."""
    cdef int64_t need = 1
    cdef int i
    cdef Storage fresh
    cdef int64_t offset = storage_offset(t) * rt_itemsize(t.dt)
    for i in range(nd):
        need *= sh[i]
    need = need * rt_itemsize(t.dt) + offset
    if <size_t>need > t.stor.nbytes:
        fresh = new_storage(<size_t>need, t.dev)
        if t.stor.nbytes and backend_of(t.dev).copy(t.dev, fresh.ptr, t.dev, t.stor.ptr, t.stor.nbytes):
            raise DeviceError(f"resize_: {backend_of(t.dev).last_error().decode()}", op="resize_")
        # the storage object stays, so that other tensors on it see the move
        fresh.ptr, t.stor.ptr = t.stor.ptr, fresh.ptr
        fresh.got, t.stor.got = t.stor.got, fresh.got
        fresh.nbytes, t.stor.nbytes = t.stor.nbytes, fresh.nbytes
        fresh.owner, t.stor.owner = t.stor.owner, None
        if Py_REFCNT(t.stor) > 1:                # tensors and arrays made before read the old block, which goes with the last of them
            t.stor.owner = fresh
    set_dims(t, nd, sh, NULL)
    t.ptr = t.stor.ptr + offset
    t.stor.writes += 1
    return 0


cdef bint shape_is(TensorBase t, int nd, const int64_t *sh) noexcept:
    cdef int i
    if t.nd != nd:
        return False
    for i in range(nd):
        if t.sh[i] != sh[i]:
            return False
    return True


# Operators whose `out` must have the result's very dtype; into that of the others a result may be cast
cdef frozenset EXACT_OUT = frozenset("""
    abs addbmm addmm addmv alias_copy amax amin aminmax arange argmax argmin as_strided_copy avg_pool2d avg_pool3d baddbmm bitwise_not bmm bucketize ceil
    conj_physical cross cummax cummin diag diagonal_copy diff dot empty expand_copy eye float_power floor frac frexp full gather gelu hardshrink heaviside
    histc histogram index_add index_copy index_reduce index_select inner isin isneginf isposinf kthvalue linalg.cross linalg.vecdot linear linspace
    log_softmax logcumsumexp logsigmoid logspace lu_solve lu_unpack masked_select matmul max min mm mode msort mv nan_to_num nanquantile narrow_copy
    native_batch_norm neg nonzero norm ones ormqr permute_copy qr quantile renorm round scatter scatter_add scatter_reduce searchsorted sgn sign signbit
    slice_scatter softmax softplus softshrink sort split_with_sizes_copy squeeze_copy svd t_copy take take_along_dim tensordot topk transpose_copy tril triu
    trunc unbind_copy unfold_copy unsqueeze_copy vdot vecdot view_copy zeros linalg_cross linalg.norm linalg.matrix_norm linalg.vector_norm multi_dot
""".split())


cdef frozenset JOINS = frozenset("cat concat concatenate stack hstack vstack row_stack dstack column_stack".split())      # a TypeError of PyTorch's


cdef int refuse_inference(object op, TensorBase t) except -1:
    if t.flags & (F_INFERENCE | F_DATA_ALIAS) == F_INFERENCE and not inference_mode_on():
        raise AutogradError("Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone to get a normal tensor "
                            "before doing inplace update.", op=op)
    return 0


cdef TensorBase alloc_out(object op, object out, int nd, const int64_t *sh, int dt, int dev):
    cdef TensorBase o
    cdef int i
    if out is None:
        return empty(nd, sh, dt, dev)
    o = as_base(op, "out", out)
    if o.rg and grad_mode():
        raise AutogradError(f"{op}(): functions with out=... arguments don't support automatic differentiation, but one of the "
                            f"arguments requires grad.", op=op)
    refuse_inference(op, o)
    if o.dev != dev:
        raise DeviceError(f"Expected all tensors to be on the same device, but found at least two devices, {device_of(dev)} and "
                          f"{device_of(o.dev)}! (out= of {op})", op=op)
    if dt != o.dt and op in EXACT_OUT:
        raise DTypeError(f"{op}(): expected out tensor to have dtype {dtype_of(dt).name}, but got {dtype_of(o.dt).name} instead", op=op)
    if not castable(dt, o.dt):
        raise (TensorTypeError if op in JOINS else DTypeError)(f"result type {dtype_of(dt).name} can't be cast to the desired output type {dtype_of(o.dt).name}", op=op)
    if may_overlap_self(o):
        raise_overlap()
    if not shape_is(o, nd, sh):
        if o.n != 0:
            import warnings
            warnings.warn(f"An output with one or more elements was resized since it had shape {list(shape_tuple(o))}, which does not "
                          f"match the required output shape {[sh[i] for i in range(nd)]}. This behavior is deprecated, and in a "
                          f"future PyTorch release outputs will not be resized unless they have zero elements. You can "
                          f"explicitly reuse an out tensor t by resizing it, inplace, to zero elements with t.resize_(0).",
                          UserWarning, stacklevel=3)
        resize_(o, nd, sh)
    return o


cdef TensorBase apart(object op, TensorBase out, TensorBase x):
    """x, for a loop that writes `out`: itself where the two are apart or the same elements in the same order, else a copy.

    Two dense blocks that share a part are refused, as PyTorch does; it lets the others pass and gets what falls out.
    """
    if x is None or x is out or x.stor is not out.stor or x.n == 0 or out.n == 0 or not overlaps(out, x):
        return x
    if x.ptr == out.ptr and x.dt == out.dt and same_shape(out, x) and same_strides(out, x):
        return x
    refuse_overlap(op, out, x, True)
    return clone_raw(x)


cdef object raise_overlap():
    raise ShapeError("unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
                     "Please clone() the tensor before performing the operation.")


cdef object refuse_out_grad(object op):
    raise AutogradError(f"{op}(): functions with out=... arguments don't support automatic differentiation, but one of the "
                        f"arguments requires grad.", op=op)


cdef object deliver(object op, TensorBase result, object out):
    cdef TensorBase o
    if out is None:
        return result
    if result.rg and grad_mode():
        refuse_out_grad(op)
    o = alloc_out(op, out, result.nd, result.sh, result.dt, result.dev)
    copy_raw(o, result)
    bump(o)
    return o


# ---- in-place ------------------------------------------------------------------------------------------
cdef object write_hook = None              # told of a tensor before it is written, or None


def set_write_hook(fn):
    """Call ``fn(tensor)`` before each in-place write; None stops it (`autograd.graph.allow_mutation_on_saved_tensors`)."""
    global write_hook
    write_hook = fn


def label_result(TensorBase t not None, str label):
    """Name the sum or mean that made a tensor after the function that it ends (``MseLossBackward0``); returns the tensor."""
    if t.fn is not None:
        call_node(<Node>t.fn, label)
    return t


cdef int inplace_begin(object op, TensorBase t) except -1:
    if write_hook is not None:
        write_hook(t)
    if may_overlap_self(t) and op != "fill_":              # one number to every element: written twice is written
        raise_overlap()
    refuse_inference(op, t)
    if grad_mode():
        if t.rg and t.base is None and t.fn is None:
            raise AutogradError("a leaf Variable that requires grad is being used in an in-place operation.", op=op)
        if t.flags & F_MULTI and t.rg:
            raise AutogradError("Output of split or unbind is a view and is being modified inplace. This view is the output of a function that "
                                "returns multiple views. Such functions do not allow the output views to be modified inplace. You should replace "
                                "the inplace operation by an out-of-place one.", op=op)
        if t.base is not None and (t.base.rg and t.base.fn is None or t.rg and not t.base.rg):     # a view of a view may be the leaf
            raise AutogradError("a view of a leaf Variable that requires grad is being used in an in-place operation.", op=op)
    return 0


cdef RebaseHook rebase_base = NULL          # filled by _view


cdef void set_rebase_hook(RebaseHook fn):
    global rebase_base
    rebase_base = fn


cdef int inplace_end(TensorBase t, Node node) except -1:
    """The write is done. With a node (its edges made from t's old history): it becomes t's history."""
    bump(t)
    if node is not None:
        renew_history(t, node)
    return 0


cdef int renew_history(TensorBase t, Node node) except -1:
    """`node` is t's history from now on; a viewed base gets its part, and the view goes on retaining when its history is made anew."""
    t.epoch += 1
    if t.base is not None:
        rebase_base(t, node)
        if t.base.flags & F_RETAIN_GRAD:
            go_on_retaining(t.base)
    elif t.flags & F_RETAIN_GRAD:
        go_on_retaining(t)
    return 0


cdef int go_on_retaining(TensorBase t) except -1:
    """A tensor that keeps its gradient keeps that of what it is now: the engine asks the tensor whether a node is still its own."""
    cdef Node fn = <Node>t.fn
    if fn is not None:
        if fn.extra is None:
            fn.extra = {}
        fn.extra.setdefault("retain", {})[t.out_nr] = weakref.ref(t)
    return 0


cdef int record_inplace(int row, int loop_dt, TensorBase t, TensorBase x, TensorBase y, TensorBase z, double k0, double k1) except -1:
    """End an in-place row with its history. The write counts first: a saved result carries the version after it."""
    bump(t)
    return renew_history(t, record_row(row, loop_dt, t, x, y, z, k0, k1))


cdef int check_inplace_shape(object op, TensorBase t, int nd, const int64_t *sh) except -1:
    cdef int i
    if not shape_is(t, nd, sh):
        raise ShapeError(f"output with shape {list(shape_tuple(t))} doesn't match the broadcast shape {[sh[i] for i in range(nd)]}", op=op)
    return 0


cdef int check_inplace_dtype(object op, TensorBase t, int dt) except -1:
    if not castable(dt, t.dt):
        raise DTypeError(f"result type {torch_name(dt)} can't be cast to the desired output type {torch_name(t.dt)}", op=op)
    return 0


# ---- rows: one input ---------------------------------------------------------------------------------------
cdef object unary(int row, object x, object out):
    return unary_k(row, x, out, 0, 0)


cdef object unary_k(int row, object x, object out, double k0, double k1):
    if profiler is None:
        return unary_run(row, x, out, k0, k1)
    token = profiler[0](row_label(row))
    try:
        return unary_run(row, x, out, k0, k1)
    finally:
        profiler[1](token)


cdef inline bint row_major(int row, int dt) noexcept:
    """Does PyTorch lay the result out in rows, whatever the order of the operand?"""
    return row == ROW_LOGSIGMOID or (row == ROW_ANGLE and rt_kind(dt) == RT_KIND_COMPLEX)


cdef object unary_run(int row, object x, object out, double k0, double k1):
    cdef TensorBase a, r
    cdef int dt, odt
    if not isinstance(x, TensorBase):
        as_base(row_label(row), "input", x)
    a = <TensorBase>x
    dt = row_dtype(row, a.dt)
    odt = out_dtype(&rt_rows[row], dt)
    if out is None:
        r = empty(a.nd, a.sh, odt, a.dev) if a.flags & F_CONTIG or row_major(row, dt) else empty_preserve(a, odt)
    else:
        if a.rg and grad_mode():
            refuse_out_grad(row_label(row))
        r = alloc_out(row_label(row), out, a.nd, a.sh, odt, a.dev)
        a = apart(row_label(row), r, a)
    launch(row * 4, rt_compute_dtype(dt), r, a, None, None, None, None, k0, k1)
    if out is not None:
        bump(r)
    elif a.rg and rt_rows[row].differentiable and grad_mode() and rt_kind(odt) >= RT_KIND_FLOAT:
        record_row(row, rt_compute_dtype(dt), r, a, None, None, k0, k1)
    return r


cdef object unary_inplace(int row, object x):
    return unary_inplace_k(row, x, 0, 0)


cdef object unary_inplace_k(int row, object x, double k0, double k1):
    if profiler is None:
        return unary_inplace_run(row, x, k0, k1)
    token = profiler[0](row_label(row) + "_")
    try:
        return unary_inplace_run(row, x, k0, k1)
    finally:
        profiler[1](token)


cdef object unary_inplace_run(int row, object x, double k0, double k1):
    cdef object op = row_label(row) + "_"
    cdef TensorBase a = as_base(op, "input", x), old
    cdef int dt = row_dtype(row, a.dt)
    cdef bint rec
    inplace_begin(op, a)
    check_inplace_dtype(op, a, out_dtype(&rt_rows[row], dt))
    rec = a.rg and rt_rows[row].differentiable and grad_mode()
    cdef Node node = None
    if rec and rt_rows[row].saves[0] & 1:
        old = clone_raw(a)                     # the gradient reads the input: keep its value
        old.rg = True
        old.fn = history(a)
        old.out_nr = a.out_nr
        launch(row * 4, rt_compute_dtype(dt), a, old, None, None, None, None, k0, k1)
        record_inplace(row, rt_compute_dtype(dt), a, old, None, None, k0, k1)
        return a
    launch(row * 4, rt_compute_dtype(dt), a, a, None, None, None, None, k0, k1)
    if rec:
        record_inplace(row, rt_compute_dtype(dt), a, a, None, None, k0, k1)
    else:
        bump(a)
    return a


# ---- rows: two inputs -----------------------------------------------------------------------------------------
cdef TensorBase operand(object op, object x, int dev):
    if isinstance(x, TensorBase):
        return <TensorBase>x
    if is_number(x):
        return wrap_number(x, 0)
    raise TensorTypeError(f"{op}(): argument 'other' must be Tensor, not {type(x).__name__}", op=op)


cdef object binary(int row, object x, object y, object out):
    return binary_k(row, x, y, out, 0)


cdef inline bint fast_pair(TensorBase a, TensorBase b) noexcept:
    return a.dt == b.dt and a.flags & b.flags & F_CONTIG and a.dev == b.dev and same_shape(a, b)


cdef object binary_k(int row, object x, object y, object out, double k0):
    if profiler is None:
        return binary_run(row, x, y, out, k0)
    token = profiler[0](row_label(row))
    try:
        return binary_run(row, x, y, out, k0)
    finally:
        profiler[1](token)


cdef object binary_run(int row, object x, object y, object out, double k0):
    cdef TensorBase a, b, r
    cdef int dt, odt, ldt, nd, dev
    cdef int64_t sh[64]
    if isinstance(x, TensorBase) and isinstance(y, TensorBase):
        a = <TensorBase>x
        b = <TensorBase>y
        if out is None and fast_pair(a, b) and not (row == ROW_SUB and a.dt == RT_BOOL):
            dt = row_dtype(row, a.dt)
            odt = out_dtype(&rt_rows[row], dt)
            ldt = loop_dtype(row, dt)
            if zero_divisor_matters(row):
                check_divisor(row, dt, b, b.nd, b.sh)
            r = empty(a.nd, a.sh, odt, a.dev)
            launch(row * 4, ldt, r, a, b, None, None, None, k0, 0)
            if (a.rg or b.rg) and grad_mode() and rt_rows[row].differentiable:
                record_row(row, ldt, r, a, b, None, k0, 0)
            return r
    op = row_label(row)
    if isinstance(x, TensorBase):
        a = <TensorBase>x
        b = operand(op, y, a.dev)
    elif isinstance(y, TensorBase):
        b = <TensorBase>y
        a = operand(op, x, b.dev)
    else:
        a = as_base(op, "input", x)
        b = operand(op, y, a.dev)
    if row == ROW_SUB:
        refuse_bool_sub(a, b)
    check_devices(op, a, b)
    dev = b.dev if a.nd == 0 and a.dev == 0 else a.dev
    dt = row_dtype(row, result_dtype(a, b, None))
    odt = out_dtype(&rt_rows[row], dt)
    ldt = loop_dtype(row, dt)
    nd = broadcast_shapes(op, a, b, None, sh)
    check_divisor(row, dt, b, nd, sh)
    if out is not None:
        if recording(a, b, None):
            refuse_out_grad(op)
        r = alloc_out(op, out, nd, sh, odt, dev)
        a, b = apart(op, r, a), apart(op, r, b)
    elif a.flags & b.flags & F_CONTIG or (row == ROW_POW and a.flags & F_WRAPPED):      # PyTorch's powers of a number are row-major
        r = empty(nd, sh, odt, dev)
    else:
        r = empty_ordered(nd, sh, odt, dev, a, b, None)
    if ldt == dt:
        launch(row * 4, ldt, r, a, b, None, None, None, k0, 0)
    else:
        launch(row * 4, ldt, r, rounded(row, a, dt, False), rounded(row, b, dt, True), None, None, None, k0, 0)
    if out is not None:
        bump(r)
    elif (a.rg or b.rg) and grad_mode() and rt_rows[row].differentiable and rt_kind(odt) >= RT_KIND_FLOAT:
        record_row(row, ldt, r, a, b, None, k0, 0)
    return r


cdef object plain_class = None           # class Tensor
cdef object overriding = None             # (values) -> those whose classes take calls into their own hands


def set_overriding(cls, fn):
    """Install class Tensor, and the function that picks the values whose classes override calls (called once by _overrides)."""
    global plain_class, overriding
    plain_class, overriding = cls, fn


cdef object binary_slot(int row, object x, object y):
    if isinstance(y, TensorBase) and isinstance(x, TensorBase):
        # Python prefers the right operand's class only over a base of it: a Parameter steps back for it here
        if type(y) is not plain_class and type(x) is not plain_class and type(x) is not type(y) and overriding is not None and overriding((y,)):
            return NotImplemented
        return binary_k(row, x, y, None, 0)
    if isinstance(x, TensorBase):
        if not (PyFloat_CheckExact(y) or PyLong_CheckExact(y) or is_number(y)):
            return NotImplemented
    elif not is_number(x):
        return NotImplemented
    elif row == ROW_DIV and ((<TensorBase>y).dt == RT_F16 or (<TensorBase>y).dt == RT_BF16):
        return binary_k(ROW_MUL, unary(ROW_RECIPROCAL, y, None), x, None, 0)       # PyTorch's `number / tensor`: the reciprocal is rounded, too
    return binary_k(row, x, y, None, 0)


cdef object binary_inplace(int row, object x, object y):
    return binary_inplace_k(row, x, y, 0)


cdef object binary_inplace_k(int row, object x, object y, double k0):
    return binary_inplace_called(row, x, y, k0, None)


cdef object binary_inplace_called(int row, object x, object y, double k0, str label):
    """Like `binary_inplace_k`; the gradient goes by the name `label`, in the history of a viewed base, too."""
    if profiler is None:
        return binary_inplace_run(row, x, y, k0, label)
    token = profiler[0](row_label(row) + "_")
    try:
        return binary_inplace_run(row, x, y, k0, label)
    finally:
        profiler[1](token)


cdef inline bint fast_inplace(int row, TensorBase a, TensorBase b) except -1:
    """Nothing to record, to promote, to broadcast or to refuse: the loop can run."""
    return fast_pair(a, b) and not (a.rg or b.rg or a.flags & F_INFERENCE) and a.base is None and write_hook is None and not zero_divisor_matters(row) \
        and row_dtype(row, a.dt) == a.dt and out_dtype(&rt_rows[row], a.dt) == a.dt and (b.stor is not a.stor or b.ptr == a.ptr)


cdef object binary_inplace_run(int row, object x, object y, double k0, str label):
    cdef TensorBase a, b, src
    cdef int dt, nd
    cdef int64_t sh[64]
    cdef bint rec
    cdef RowNode node
    if isinstance(x, TensorBase) and isinstance(y, TensorBase):
        a = <TensorBase>x
        b = <TensorBase>y
        if fast_inplace(row, a, b):
            launch(row * 4, loop_dtype(row, a.dt), a, a, b, None, None, None, k0, 0)
            bump(a)
            return a
    cdef object op = row_label(row) + "_"
    a = as_base(op, "input", x)
    b = operand(op, y, 0)
    if row == ROW_SUB:
        refuse_bool_sub(a, b)
    check_devices(op, a, b)
    inplace_begin(op, a)
    dt = row_dtype(row, result_dtype(a, b, None))
    check_inplace_dtype(op, a, out_dtype(&rt_rows[row], dt))
    nd = broadcast_shapes(op, a, b, None, sh)
    check_inplace_shape(op, a, nd, sh)
    check_divisor(row, dt, b, nd, sh)
    rec = (a.rg or b.rg) and grad_mode() and rt_rows[row].differentiable and rt_kind(a.dt) >= RT_KIND_FLOAT
    if b.stor is a.stor and b is not a:
        src = apart(op, a, b)                  # reads what it writes at another place
        if src is not b:
            b = same_history(src, b)
    src = a
    if rec and ((a.rg and rt_rows[row].saves[0] & 1) or (b.rg and rt_rows[row].saves[1] & 1)):
        src = same_history(clone_raw(a), a)    # the gradient reads the old value
        if b is a:
            b = src
    if rt_compute_dtype(dt) == dt:
        launch(row * 4, dt, a, src, b, None, None, None, k0, 0)
    else:
        launch(row * 4, loop_dtype(row, dt), a, rounded(row, src, dt, False), rounded(row, b, dt, True), None, None, None, k0, 0)
    bump(a)
    if rec:
        node = record_row(row, rt_compute_dtype(dt), a, src, b, None, k0, 0)
        if label is not None:
            call_node(node, label)             # before a view's node goes into its base's history
        renew_history(a, node)
        return a
    if ROW_EQ <= row <= ROW_GE and (a.rg or b.rg) and grad_mode() and rt_kind(a.dt) >= RT_KIND_FLOAT:
        record_comparison(row, a, b, not isinstance(y, TensorBase))
    return a


cdef TensorBase same_history(TensorBase copy, TensorBase t):
    """A value copy that stands for t in the graph."""
    cdef Node fn = history(t)
    if t.rg and fn is None:
        return t if copy is t else stand_in(copy, t)
    copy.rg = t.rg
    copy.fn = fn
    copy.out_nr = t.out_nr
    return copy


cdef class AliasBackward0(Node):
    cdef object apply(self, object g):
        return g

    cdef object apply_many(self, object g, Py_ssize_t n):
        return g


def old_value(self, other=None):
    """What stands for self in a function whose result is copied into self: where that is recorded a copy, since gradients read it."""
    cdef TensorBase t = as_base("clone", "input", self)
    return clone(t) if recording(t, <TensorBase>other if isinstance(other, TensorBase) else None, None) else t


cdef class CompareBackward(Node):
    """A comparison written into a tensor that records: nothing flows to what was compared."""
    cdef str label
    cdef tuple shape                          # of the other operand

    cdef object own_name(self):
        return self.label

    cdef object apply(self, object g):
        cdef TensorBase gt = <TensorBase>g
        return (full_zero(gt) if wants_edge(self, 0) else None,
                full_zero(gt if self.shape == shape_tuple(gt) else sum_to(gt, self.shape)) if wants_edge(self, 1) else None)


cdef int record_comparison(int row, TensorBase a, TensorBase b, bint number) except -1:
    cdef CompareBackward node = CompareBackward.__new__(CompareBackward)
    node.label = f"{row_label(row).capitalize()}Backward{0 if number else 1}"
    node.shape = shape_tuple(b)
    attach2(a, node, a, b)
    return renew_history(a, node)


cdef TensorBase stand_in(TensorBase copy, TensorBase leaf):
    cdef AliasBackward0 node = AliasBackward0.__new__(AliasBackward0)
    attach1(copy, node, leaf)
    return copy


# ---- rows: three inputs -------------------------------------------------------------------------------------------
cdef object ternary(int row, object x, object y, object z, object out, double k0):
    if profiler is None:
        return ternary_run(row, x, y, z, out, k0)
    token = profiler[0](row_label(row))
    try:
        return ternary_run(row, x, y, z, out, k0)
    finally:
        profiler[1](token)


cdef object ternary_run(int row, object x, object y, object z, object out, double k0):
    cdef object op = row_label(row)
    cdef TensorBase a = operand(op, x, 0), b = operand(op, y, 0), c = operand(op, z, 0), r
    cdef int dt, odt, nd, dev
    cdef int64_t sh[64]
    check_devices(op, a, b)
    check_devices(op, b, c)
    dev = a.dev or b.dev or c.dev
    dt = row_dtype(row, result_dtype(b, c, None) if rt_rows[row].types[0] == c'b' else result_dtype(a, b, c))
    odt = out_dtype(&rt_rows[row], dt)
    nd = broadcast_shapes(op, a, b, c, sh)
    if out is not None:
        if recording(a, b, c):
            refuse_out_grad(op)
        r = alloc_out(op, out, nd, sh, odt, dev)
        a, b, c = apart(op, r, a), apart(op, r, b), apart(op, r, c)
    elif a.flags & b.flags & c.flags & F_CONTIG:
        r = empty(nd, sh, odt, dev)
    else:
        r = empty_ordered(nd, sh, odt, dev, a, b, c)
    launch(row * 4, rt_compute_dtype(dt), r, a, b, c, None, None, k0, 0)
    if out is not None:
        bump(r)
    elif recording(a, b, c) and rt_rows[row].differentiable and rt_kind(odt) >= RT_KIND_FLOAT:
        record_row(row, rt_compute_dtype(dt), r, a, b, c, k0, 0)
    return r


cdef object ternary_inplace(int row, object x, object y, object z, double k0):
    if profiler is None:
        return ternary_inplace_run(row, x, y, z, k0)
    token = profiler[0](row_label(row) + "_")
    try:
        return ternary_inplace_run(row, x, y, z, k0)
    finally:
        profiler[1](token)


cdef object ternary_inplace_run(int row, object x, object y, object z, double k0):
    cdef TensorBase a, b, c, src
    cdef int dt, nd
    cdef int64_t sh[64]
    cdef bint rec
    if isinstance(x, TensorBase) and isinstance(y, TensorBase) and isinstance(z, TensorBase):
        a = <TensorBase>x
        b = <TensorBase>y
        c = <TensorBase>z
        if b.stor is not a.stor and c.stor is not a.stor and not c.rg and fast_pair(a, c) and fast_inplace(row, a, b):
            launch(row * 4, rt_compute_dtype(a.dt), a, a, b, c, None, None, k0, 0)
            bump(a)
            return a
    cdef object op = row_label(row) + "_"
    a = as_base(op, "input", x)
    b = operand(op, y, 0)
    c = operand(op, z, 0)
    inplace_begin(op, a)
    dt = row_dtype(row, result_dtype(a, b, c))
    check_inplace_dtype(op, a, dt)
    nd = broadcast_shapes(op, a, b, c, sh)
    check_inplace_shape(op, a, nd, sh)
    if b.stor is a.stor:
        src = apart(op, a, b)
        if src is not b or b is a:             # b is a: the loop writes what it reads, and the gradient may want it
            b = same_history(clone_raw(b) if src is b else src, b)
    if c.stor is a.stor:
        src = apart(op, a, c)
        if src is not c or c is a:
            c = same_history(clone_raw(c) if src is c else src, c)
    rec = recording(a, b, c) and rt_rows[row].differentiable and rt_kind(a.dt) >= RT_KIND_FLOAT
    src = a
    if rec and ((rt_rows[row].saves[0] | rt_rows[row].saves[1] | rt_rows[row].saves[2]) & 1):
        src = same_history(clone_raw(a), a)
    launch(row * 4, rt_compute_dtype(dt), a, src, b, c, None, None, k0, 0)
    if rec:
        record_inplace(row, rt_compute_dtype(dt), a, src, b, c, k0, 0)
    else:
        bump(a)
    return a


# ---- copying into ------------------------------------------------------------------------------------------------
cdef class CopyBackwards(Node):
    """dst.copy_(src): nothing flows to dst's old value, the gradient to src."""
    cdef tuple shape
    cdef int dt, dev

    cdef object apply(self, object g):
        cdef TensorBase gt = <TensorBase>g
        a = None
        if wants_edge(self, 0):
            a = full_zero(gt)
        b = cast(to_device(sum_to(gt, self.shape), self.dev), self.dt) if wants_edge(self, 1) else None
        return (a, b)

    cdef object apply_many(self, object g, Py_ssize_t n):
        cdef TensorBase gt = <TensorBase>g
        a = full_zero(gt) if wants_edge(self, 0) else None
        b = cast(to_device(sum_to_many(gt, n, self.shape), self.dev), self.dt) if wants_edge(self, 1) else None
        return (a, b)


cdef TensorBase full_zero(TensorBase like):
    from_shape = empty(like.nd, like.sh, like.dt, like.dev)
    zero_fill(from_shape)
    return from_shape


cdef int zero_fill(TensorBase t) except -1:
    return fill_value(t, 0)


cdef TensorBase copy_into(TensorBase dst, TensorBase src):
    cdef CopyBackwards node = None
    cdef int nd
    cdef int64_t sh[64]
    inplace_begin("copy_", dst)
    if not same_shape(dst, src):
        nd = broadcast_shapes("copy_", dst, src, None, sh)
        check_inplace_shape("copy_", dst, nd, sh)
    copy_raw(dst, src)
    if recording(dst, src, None) and rt_kind(dst.dt) >= RT_KIND_FLOAT:
        node = CopyBackwards.__new__(CopyBackwards)
        node.shape = shape_tuple(src)
        node.dt = src.dt
        node.dev = src.dev
        attach2(dst, node, dst, src)
    inplace_end(dst, node)
    return dst
