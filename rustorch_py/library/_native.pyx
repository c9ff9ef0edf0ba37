"""Operators from shared libraries (include/rustorch/plugin.h): loading, checking, running, gradients."""
cimport cython
import os
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.string cimport memset
from ..tensor._base cimport (TensorBase, RtArray, RtIter, RT_BOOL, RT_F16, RT_F32, RT_BF16, RT_NDTYPES, RT_KIND_INT, RT_KIND_FLOAT, F_CONTIG,
                             attach, attach_outputs, empty, empty_preserve, fill_array, grad_mode, rt_iter_coalesce, rt_kind, rt_real_dtype,
                             same_shape, save, save_output, saved, set_grad_mode, shape_tuple, wants_edge)
from ..tensor._cpu cimport RtLoop, loop_plan
from ..tensor._dtype cimport default_code, dtype_of, torch_name
from ..tensor._node cimport Node
from ..tensor._ops cimport cast, sum_to
from ..tensor._plan cimport add_operand, check_devices, contiguous_raw, fill_value, merge_shape, plan_begin, result_dtype_list
from ..errors import AutogradError, OutOfMemoryError, PluginError, ShapeError, TensorError, UnsupportedOpError

cdef extern from "rustorch/plugin.h" nogil:
    enum: RT_PLUGIN_ABI, RT_PLUGIN_MAX_INPUTS, RT_PLUGIN_MAX_NUMBERS
    enum: RT_READS_OUT, RT_PLUGIN_HALF, RT_PLUGIN_INT_TO_FLOAT, RT_PLUGIN_CONTIGUOUS, RT_OUT_BOOL, RT_OUT_REAL
    enum: RT_CPU, RT_OK, RT_ERR_MEMORY, RT_ERR_UNSUPPORTED
    ctypedef struct RtPluginLoops:
        int32_t dtype
        RtLoop forward
        RtLoop derivative[5]
    ctypedef struct RtPluginCall:
        int32_t nin, nout, nnumbers
        const RtArray *in_ "in"
        RtArray *out
        const double *k
        const int64_t *n
        char *error
        size_t error_nbytes
    ctypedef int (*RtPluginFn)(RtPluginCall *call) noexcept
    ctypedef struct RtPluginOp:
        const char *schema
        int32_t device
        uint32_t flags
        int32_t out
        int32_t cost
        const RtPluginLoops *loops
        int32_t nloops
        uint32_t reads[5]
        RtPluginFn shapes
        RtPluginFn kernel
        const char *backward
    ctypedef struct RtPlugin:
        uint32_t abi
        uint32_t op_nbytes
        const char *ns
        const RtPluginOp *ops
        int32_t nops

cdef extern from "<dlfcn.h>" nogil:
    void *dlopen(const char *path, int mode)
    void *dlsym(void *handle, const char *name)
    int dlclose(void *handle)
    char *dlerror()
    int RTLD_NOW, RTLD_LOCAL

cdef enum:
    MAX_IN = 16               # of a general operator
    MAX_OUT = 8

ABI = RT_PLUGIN_ABI
ctypedef const RtPlugin *(*Entry)() noexcept


# ---- helpers of the operators written in Python ------------------------------------------------------
def storage_id(TensorBase t):
    """Return a number that tensors on the same memory share; None for one without memory."""
    return id(t.stor) if t.n else None


def below(fn, args, dict kwargs):
    """Call fn without recording: a kernel is one operator, whatever it is made of."""
    cdef bint mode = grad_mode()
    set_grad_mode(False)
    try:
        return fn(*args, **kwargs)
    finally:
        set_grad_mode(mode)


def wants_grad(args):
    """Tell whether gradients are recorded and one of these values, or of the lists among them, asks for one."""
    if not grad_mode():
        return False
    for a in args:
        if isinstance(a, TensorBase):
            if (<TensorBase>a).rg:
                return True
        elif type(a) is list:
            for b in a:
                if isinstance(b, TensorBase) and (<TensorBase>b).rg:
                    return True
    return False


# ---- loading --------------------------------------------------------------------------------------------
cdef class NativeLibrary:
    """A shared library that is open, its table checked as far as C can say.

    Raises:
        PluginError: no library, no table, another ABI, or an operator that is not whole.
    """
    cdef void *handle
    cdef const RtPlugin *table
    cdef readonly str path, ns

    def __init__(self, path):
        cdef bytes name = os.fsencode(path)
        cdef void *found
        self.path = os.fsdecode(path)
        self.handle = dlopen(name, RTLD_NOW | RTLD_LOCAL)
        if self.handle is NULL:
            raise PluginError(f"Could not load this library: {self.path}: {self.reason()}")
        found = dlsym(self.handle, b"rustorch_plugin")
        if found is NULL:
            self.refuse("it has no function rustorch_plugin(), the entry that include/rustorch/plugin.h describes")
        self.table = (<Entry>found)()
        if self.table is NULL:
            self.refuse("rustorch_plugin() returned NULL")
        if self.table.abi != RT_PLUGIN_ABI:
            self.refuse(f"it was built for plugin ABI {self.table.abi}, this package has ABI {RT_PLUGIN_ABI}; build it again with the headers of "
                        f"rustorch_py.get_include()")
        if self.table.op_nbytes != sizeof(RtPluginOp):
            self.refuse(f"RtPlugin.op_nbytes is {self.table.op_nbytes}, expected {sizeof(RtPluginOp)}; set it to sizeof(RtPluginOp)")
        if self.table.ns is NULL or not self.table.ns.decode("ascii", "replace").isidentifier():
            self.refuse("RtPlugin.ns must be an identifier, got "
                        + ("NULL" if self.table.ns is NULL else repr(self.table.ns.decode("ascii", "replace"))))
        if self.table.nops < 1 or self.table.ops is NULL:
            self.refuse(f"it has no operators (RtPlugin.nops is {self.table.nops})")
        self.ns = self.table.ns.decode()

    cdef str reason(self):
        cdef char *text = dlerror()
        return text.decode(errors="replace") if text is not NULL else "unknown reason"

    cdef object refuse(self, why):
        if self.handle is not NULL:
            dlclose(self.handle)
            self.handle = NULL
        raise PluginError(f"{self.path}: {why}")

    def close(self):
        """Unload the library: for one whose operators were refused, before any was bound."""
        if self.handle is not NULL:
            dlclose(self.handle)
            self.handle = NULL

    def schemas(self):
        """Return the schema text of each operator."""
        cdef int i
        texts = []
        for i in range(self.table.nops):
            if self.table.ops[i].schema is NULL:
                self.refuse(f"operator {i} has no schema")
            texts.append(self.table.ops[i].schema.decode("utf-8", "replace"))
        return texts

    def backward_name(self, int index):
        """Return the name of the operator that is the gradient of operator `index`, or None."""
        cdef const char *name = self.table.ops[index].backward
        return None if name is NULL else name.decode("utf-8", "replace")

    def bind(self, int index, str qualname, tuple names, bytes kinds, int n_out):
        """Return the runnable operator `index`.

        Args:
            names: argument names; kinds: a letter each: t tensor, o tensor or None, d float, i int, b bool.
            n_out: number of results.
        Raises:
            PluginError: the entry is not whole.
        """
        cdef NativeOp f = NativeOp.__new__(NativeOp)
        f.library = self
        f.op = &self.table.ops[index]
        f.qualname = qualname
        f.names = names
        f.kinds = kinds
        f.n_out = n_out
        f.n_in = kinds.count(b"t") + kinds.count(b"o")
        f.check()
        return f


@cython.final
cdef class NativeOp:
    """One operator of a library: called with its arguments in the schema's order."""
    cdef object library                   # keeps the code in memory
    cdef const RtPluginOp *op
    cdef readonly str qualname
    cdef readonly tuple names
    cdef bytes kinds
    cdef int n_in, n_out
    cdef int loop_of[32]                  # dtype -> index into op.loops, or -1
    cdef bint has_derivative
    cdef object backward_op               # callable taking names, or None
    cdef frozenset backward_names

    cdef object refuse(self, why):
        raise PluginError(f"{self.library.path}: {self.qualname}: {why}")

    cdef int check(self) except -1:
        cdef const RtPluginOp *op = self.op
        cdef int i, j, dt
        cdef uint32_t known
        if op.device != RT_CPU:
            self.refuse(f"RtPluginOp.device is {op.device}; ABI {RT_PLUGIN_ABI} has operators for RT_CPU ({RT_CPU}) only")
        if op.flags & ~<uint32_t>(RT_PLUGIN_HALF | RT_PLUGIN_INT_TO_FLOAT | RT_PLUGIN_CONTIGUOUS):
            self.refuse(f"RtPluginOp.flags has unknown bits: {op.flags:#x}")
        if len(self.kinds) - self.n_in > RT_PLUGIN_MAX_NUMBERS:
            self.refuse(f"expected at most {RT_PLUGIN_MAX_NUMBERS} numbers, got {len(self.kinds) - self.n_in}")
        if (op.loops is NULL) == (op.kernel is NULL):
            self.refuse("expected either loops (elementwise) or a kernel (general)")
        for i in range(32):
            self.loop_of[i] = -1
        if op.kernel is not NULL:
            if op.shapes is NULL:
                self.refuse("a general operator needs `shapes`, which says the shapes of its results")
            if self.n_in > MAX_IN or not 1 <= self.n_out <= MAX_OUT:
                self.refuse(f"expected at most {MAX_IN} tensors and 1 to {MAX_OUT} results, got {self.n_in} and {self.n_out}")
            return 0
        if not 1 <= self.n_in <= RT_PLUGIN_MAX_INPUTS or b"o" in self.kinds or self.n_out != 1:
            self.refuse(f"an elementwise operator takes 1 to {RT_PLUGIN_MAX_INPUTS} tensors and returns one, got {self.n_in} and {self.n_out}")
        if not 0 <= op.out <= RT_OUT_REAL:
            self.refuse(f"RtPluginOp.out is {op.out}, expected RT_OUT_SAME, RT_OUT_BOOL or RT_OUT_REAL")
        if not 0 <= op.cost <= 4:
            self.refuse(f"RtPluginOp.cost is {op.cost}, expected 0 to 4")
        if op.nloops < 1:
            self.refuse(f"RtPluginOp.nloops is {op.nloops}, expected at least 1")
        known = RT_READS_OUT | ((1 << self.n_in) - 1)
        for i in range(op.nloops):
            dt = op.loops[i].dtype
            if not 0 <= dt < RT_NDTYPES:
                self.refuse(f"loop {i} has the unknown dtype {dt}, expected an RtDType (0 to {RT_NDTYPES - 1})")
            if self.loop_of[dt] >= 0:
                self.refuse(f"two loops for {dtype_of(dt).name}")
            if op.loops[i].forward is NULL:
                self.refuse(f"the loop for {dtype_of(dt).name} has no forward function")
            self.loop_of[dt] = i
            for j in range(RT_PLUGIN_MAX_INPUTS):
                if op.loops[i].derivative[j] is not NULL:
                    if j >= self.n_in:
                        self.refuse(f"derivative {j} has no input: the schema has {self.n_in} tensors")
                    self.has_derivative = True
        for j in range(self.n_in):
            if op.reads[j] & ~known:
                self.refuse(f"reads[{j}] names an input that the schema does not have: {op.reads[j]:#x}")
        if op.flags & RT_PLUGIN_HALF and self.loop_of[RT_F32] < 0:
            self.refuse("RT_PLUGIN_HALF needs a float32 loop")
        return 0

    @property
    def backward(self):
        """The operator that is this one's gradient, or None."""
        return self.backward_op

    def set_backward(self, fn, names):
        """Let `fn` (taking `names` by keyword) be the gradient."""
        self.backward_op = fn
        self.backward_names = frozenset(names)

    def dtypes(self):
        """Return the dtypes that have a loop."""
        return [dtype_of(self.op.loops[i].dtype) for i in range(self.op.nloops)] if self.op.loops is not NULL else []

    def __repr__(self):
        return f"<NativeOp {self.qualname} of {self.library.path}>"

    def __call__(self, *values):
        return self.run_loop(values, False) if self.op.loops is not NULL else self.run_kernel(values, False)

    def fake(self, *values):
        """Return uninitialised tensors as the results would be: shapes and dtypes, no values."""
        return self.run_loop(values, True) if self.op.loops is not NULL else self.run_kernel(values, True)

    cdef list split(self, tuple values, double *k, int64_t *n, list numbers):
        """Tensors (None where absent); the numbers go to k, n and `numbers`."""
        cdef list tensors = []
        cdef int i, j = 0
        for i in range(len(self.kinds)):
            v = values[i]
            if self.kinds[i] == c't' or self.kinds[i] == c'o':
                tensors.append(v)
            else:
                k[j] = v
                n[j] = v if self.kinds[i] != c'd' else 0
                numbers.append(v)
                j += 1
        return tensors

    cdef object refuse_dtype(self, int dt):
        raise UnsupportedOpError(f"\"{self.qualname}\" not implemented for '{torch_name(dt)}'", op=self.qualname, dtype=dtype_of(dt))

    # ---- elementwise ----
    cdef object run_loop(self, tuple values, bint fake):
        cdef double k[8]
        cdef int64_t n[8]
        cdef int64_t sh[64]
        cdef int dt, odt, want, loop, i, nd
        cdef list numbers = []
        cdef list tensors = self.split(values, k, n, numbers)
        cdef TensorBase first = <TensorBase?>tensors[0], t, r
        cdef bint rg = False
        dt = first.dt if len(tensors) == 1 else result_dtype_list(tensors)
        nd = first.nd
        for i in range(nd):
            sh[i] = first.sh[i]
        rg = first.rg
        for i in range(1, len(tensors)):
            t = <TensorBase?>tensors[i]
            check_devices(self.qualname, first, t)
            nd = merge_shape(self.qualname, t, nd, sh)
            rg |= t.rg
        if rt_kind(dt) <= RT_KIND_INT and self.loop_of[dt] < 0 and self.op.flags & RT_PLUGIN_INT_TO_FLOAT:
            dt = default_code()
        loop = self.loop_of[dt]
        if loop < 0 and (dt == RT_F16 or dt == RT_BF16) and self.op.flags & RT_PLUGIN_HALF:
            loop = self.loop_of[RT_F32]
        if loop < 0:
            self.refuse_dtype(dt)
        odt = RT_BOOL if self.op.out == RT_OUT_BOOL else rt_real_dtype(dt) if self.op.out == RT_OUT_REAL else dt
        want = self.op.loops[loop].dtype
        want = RT_BOOL if self.op.out == RT_OUT_BOOL else rt_real_dtype(want) if self.op.out == RT_OUT_REAL else want
        if first.nd == nd and not first.flags & F_CONTIG and shape_is(first, nd, sh):
            r = empty_preserve(first, odt)
        else:
            r = empty(nd, sh, odt, first.dev)
        if fake:
            return r
        run_loops(self.op.loops[loop].forward, self.op.loops[loop].dtype, want, self.op.cost, r, tensors, k)
        if rg and grad_mode() and rt_kind(odt) >= RT_KIND_FLOAT:
            self.record(loop, tensors, numbers, k, [r])
        return r

    # ---- general ----
    cdef object run_kernel(self, tuple values, bint fake):
        cdef double k[8]
        cdef int64_t n[8]
        cdef char text[256]
        cdef RtArray ins[16]
        cdef RtArray outs[8]
        cdef RtPluginCall call
        cdef list numbers = [], results = []
        cdef list tensors = self.split(values, k, n, numbers)
        cdef list given = list(tensors)
        cdef TensorBase t, first = None
        cdef RtPluginFn kernel = self.op.kernel
        cdef int i, j, status, dev = 0
        cdef bint rg = False
        memset(&call, 0, sizeof(call))
        memset(outs, 0, sizeof(outs))
        for i in range(self.n_in):
            if given[i] is None:
                ins[i].data = NULL
                ins[i].ndim = -1
                ins[i].dtype = 0
                continue
            t = <TensorBase?>given[i]
            rg |= t.rg
            if first is not None:
                check_devices(self.qualname, first, t)
            first = t
            if self.op.flags & RT_PLUGIN_CONTIGUOUS:
                t = contiguous_raw(t)
                given[i] = t
            fill_array(t, &ins[i])
        text[0] = 0
        call.nin = self.n_in
        call.nout = self.n_out
        call.nnumbers = <int32_t>len(numbers)
        call.in_ = ins
        call.out = outs
        call.k = k
        call.n = n
        call.error = text
        call.error_nbytes = sizeof(text)
        status = self.op.shapes(&call)
        text[255] = 0
        if status != RT_OK:
            self.raise_status(status, text)
        for i in range(self.n_out):
            if not 0 <= outs[i].dtype < RT_NDTYPES or not 0 <= outs[i].ndim <= 64:
                raise PluginError(f"{self.qualname}: `shapes` gave result {i} the dtype code {outs[i].dtype} and {outs[i].ndim} dimensions; "
                                  f"expected an RtDType and 0 to 64", op=self.qualname)
            for j in range(outs[i].ndim):
                if outs[i].shape[j] < 0:
                    raise PluginError(f"{self.qualname}: `shapes` gave result {i} the size {outs[i].shape[j]} in dimension {j}", op=self.qualname)
            t = empty(outs[i].ndim, outs[i].shape, outs[i].dtype, dev)
            fill_array(t, &outs[i])
            results.append(t)
        if not fake:
            with nogil:
                status = kernel(&call)
            text[255] = 0
            if status != RT_OK:
                self.raise_status(status, text)
            if rg and grad_mode():
                self.record(-1, tensors, numbers, k, results)
        return results[0] if self.n_out == 1 else tuple(results)

    cdef object raise_status(self, int status, const char *text):
        cdef str what = text.decode("utf-8", "replace")
        if status == RT_ERR_MEMORY:
            raise OutOfMemoryError(f"{self.qualname}: {what or 'no memory'}", op=self.qualname)
        if status == RT_ERR_UNSUPPORTED:
            raise UnsupportedOpError(f"{self.qualname}: {what or 'not implemented for these arguments'}", op=self.qualname)
        raise TensorError(f"{self.qualname}: {what or f'failed with status {status}'}", op=self.qualname)

    # ---- recording ----
    cdef int record(self, int loop, list tensors, list numbers, const double *k, list results) except -1:
        cdef PluginNode node = PluginNode.__new__(PluginNode)
        cdef TensorBase t, r = <TensorBase>results[0]
        cdef uint32_t mask = 0
        cdef int i
        cdef bint loops = loop >= 0 and self.has_derivative
        node.op = self
        node.loop = loop
        node.numbers = numbers
        for i in range(8):
            node.k[i] = k[i] if i < len(numbers) else 0
        node.shapes = []
        node.dtypes = []
        for i in range(self.n_in):
            t = <TensorBase>tensors[i]
            node.shapes.append(None if t is None or loop >= 0 and same_shape(t, r) else shape_tuple(t))
            node.dtypes.append(-1 if t is None else t.dt)
            if loops and t.rg:
                mask |= self.op.reads[i]
        if self.backward_op is not None:
            for i in range(self.n_in):
                if self.tensor_name(i) in self.backward_names:
                    mask |= 1 << i
        for i in range(self.n_in):
            if mask >> i & 1 and tensors[i] is not None:
                save(node, i, <TensorBase>tensors[i])
        node.outs = [(shape_tuple(<TensorBase>x), (<TensorBase>x).dt) for x in results]
        if len(results) == 1:
            attach(r, node, tuple(tensors))
        else:
            attach_outputs([x if rt_kind((<TensorBase>x).dt) >= RT_KIND_FLOAT else None for x in results], node, tuple(tensors))
        for i in range(len(results)):
            if mask & RT_READS_OUT or self.backward_op is not None and self.result_name(i) in self.backward_names:
                save_output(node, self.n_in + i, <TensorBase>results[i])
        return 0

    cdef str tensor_name(self, int i):
        cdef int j
        for j in range(len(self.kinds)):
            if self.kinds[j] == c't' or self.kinds[j] == c'o':
                if i == 0:
                    return self.names[j]
                i -= 1
        return None

    cdef str result_name(self, int i):
        return "result" if self.n_out == 1 else f"result{i}"


cdef bint shape_is(TensorBase t, int nd, const int64_t *sh) noexcept:
    cdef int i
    for i in range(nd):
        if t.sh[i] != sh[i]:
            return False
    return True


cdef int run_loops(RtLoop fn, int dtype, int out_dtype, int cost, TensorBase out, list operands, const double *k) except -1:
    """out = fn(operands): broadcast to out's shape, converted to `dtype` by blocks where theirs is another."""
    cdef RtIter it
    cdef int32_t want[8]
    cdef int i
    if out.n == 0:
        return 0
    plan_begin(&it, out)
    want[0] = out_dtype
    for i in range(len(operands)):
        add_operand(&it, <TensorBase>operands[i], i + 1, out.nd, out.sh)
        want[i + 1] = dtype
    it.nargs = <int>len(operands) + 1
    rt_iter_coalesce(&it)
    if it.numel > 16384:
        with nogil:
            loop_plan(&it, fn, want, cost, k)
    else:
        loop_plan(&it, fn, want, cost, k)
    return 0


cdef class PluginNode(Node):
    """Gradient of a library's operator. Saved slots: the inputs, then the results."""
    cdef NativeOp op
    cdef int loop                         # index into op.loops; -1: general
    cdef double k[8]
    cdef list numbers
    cdef list shapes                      # of the inputs; None where it is the result's
    cdef list dtypes
    cdef list outs                        # (shape, dtype) of the results

    cdef object own_name(self):
        stem = self.op.qualname.partition("::")[2]
        return "".join(part.capitalize() for part in stem.split("_")) + "Backward0"

    cdef object apply(self, object g):
        cdef list grads = list(g) if self.n_outputs > 1 else [g], result
        cdef bint mode = grad_mode()
        cdef bint loops = self.loop >= 0 and self.op.has_derivative
        if self.op.backward_op is not None and (mode or not loops):
            result = self.by_operator(grads)
        elif loops:
            set_grad_mode(False)
            try:
                result = [self.by_loop(<TensorBase>grads[0], i) if wants_edge(self, i) else None for i in range(self.op.n_in)]
            finally:
                set_grad_mode(mode)
            if mode:
                self.block(<TensorBase>grads[0], result)
        else:
            raise AutogradError(f"Trying to backward through {self.op.qualname} but no autograd formula was registered. Give it derivative loops, "
                                f"name an operator in RtPluginOp.backward, or use register_autograd to add one.", op=self.op.qualname)
        return result[0] if self.n_edges == 1 else tuple(result)

    cdef TensorBase by_loop(self, TensorBase g, int i):
        cdef const RtPluginLoops *loops = &self.op.op.loops[self.loop]
        cdef int dt = self.dtypes[i], j
        cdef uint32_t reads = self.op.op.reads[i]
        cdef list operands = [g]
        cdef TensorBase r
        if loops.derivative[i] is NULL:
            return None
        for j in range(self.op.n_in):
            if reads >> j & 1:
                operands.append(saved(self, j))
        if reads & RT_READS_OUT:
            operands.append(saved(self, self.op.n_in))
        r = empty_preserve(g, dt if rt_kind(dt) == rt_kind(loops.dtype) else loops.dtype)
        run_loops(loops.derivative[i], loops.dtype, loops.dtype, self.op.op.cost, r, operands, self.k)
        return self.fit(r, i)

    cdef TensorBase fit(self, TensorBase r, int i):
        if self.shapes[i] is not None:
            r = sum_to(r, <tuple>self.shapes[i])
        return cast(r, self.dtypes[i])

    cdef list by_operator(self, list grads):
        cdef NativeOp op = self.op
        cdef dict named = {}
        cdef int i, j = 0, m = 0
        cdef TensorBase t
        for i in range(op.n_out):
            name = "grad" if op.n_out == 1 else f"grad{i}"
            if name in op.backward_names:
                if grads[i] is None:
                    t = zeros(self.outs[i][0], self.outs[i][1])
                else:
                    t = grads[i]
                named[name] = t
            if op.result_name(i) in op.backward_names:
                named[op.result_name(i)] = saved(self, op.n_in + i)
        for i in range(len(op.kinds)):
            name = op.names[i]
            tensor = op.kinds[i] == c't' or op.kinds[i] == c'o'
            if name in op.backward_names:
                named[name] = saved(self, j) if tensor else self.numbers[m]
            j += tensor
            m += not tensor
        got = op.backward_op(**named)
        result = list(got) if op.n_in > 1 else [got]
        for i in range(op.n_in):
            if not wants_edge(self, i):
                result[i] = None
                continue
            t = <TensorBase?>result[i]
            if self.loop < 0 and shape_tuple(t) != self.shapes[i]:
                raise AutogradError(f"{op.backward_op}: expected a gradient of shape {list(self.shapes[i])} for {op.tensor_name(i)} of {op.qualname}, "
                                    f"got {list(shape_tuple(t))}", op=op.qualname)
            result[i] = self.fit(t, i) if self.loop >= 0 else cast(t, self.dtypes[i])
        return result

    cdef int block(self, TensorBase g, list result) except -1:
        """Derivative loops are not differentiable themselves: who differentiates their results is told so."""
        cdef BlockedNode node
        cdef list read = [g]
        cdef int i
        for i in range(self.op.n_in):
            if self.op.op.reads[i] and wants_edge(self, i):
                for j in range(self.op.n_in):
                    if self.op.op.reads[i] >> j & 1:
                        read.append(saved(self, j))
                if self.op.op.reads[i] & RT_READS_OUT:
                    read.append(saved(self, self.op.n_in))
        if not any([(<TensorBase>t).rg for t in read]):
            return 0
        for t in result:
            if t is not None:
                node = BlockedNode.__new__(BlockedNode)
                node.op = self.op
                attach(<TensorBase>t, node, tuple(read))
        return 0


cdef class BlockedNode(Node):
    cdef NativeOp op

    cdef object apply(self, object g):
        raise AutogradError(f"{self.op.qualname}: its derivative loops cannot be differentiated again; name an operator in RtPluginOp.backward for "
                            f"second derivatives", op=self.op.qualname)


cdef TensorBase zeros(tuple shape, int dt):
    cdef int64_t sh[64]
    cdef int i
    cdef TensorBase t
    for i in range(len(shape)):
        sh[i] = shape[i]
    t = empty(<int>len(shape), sh, dt, 0)
    fill_value(t, 0)
    return t
