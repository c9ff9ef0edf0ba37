# build: isa=optim.inc.c sources=optim.c
"""Fused optimizer steps: a whole parameter list in one call.

Each function takes an optimizer's parameters and its state and either moves every parameter that
has a gradient and returns True, or touches nothing and returns False: then a parameter has no
state yet, or is not contiguous and of one of float32, float64, bfloat16 (on a device float16 too) on
the CPU or on one device that has the step, and the caller goes tensor by tensor (rustorch_py.optim),
with the same numbers. On a device the list is one launch, and step counters may lie there: then the
kernels make of them what the loops below make of counters on the CPU.
"""
from cpython.dict cimport PyDict_GetItem
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from libc.math cimport pow, sqrt
from libc.stdint cimport int64_t

from ._backend cimport RT_CPU, RT_SHELL
from ._base cimport F_CONTIG, RT_BF16, RT_F16, RT_F32, RT_F64, TensorBase, bump
from ._cpu cimport isa_level, rt_num_threads
from ._dtype cimport dtype_of

from ._devices import has_kernel, run as run_on_device

cdef enum:
    OPTIM_CHUNK = 16384       # RT_OPTIM_CHUNK of cuda/kernels/optim_plan.h, for sums of squares

cdef extern from "optim.h" nogil:
    ctypedef struct RtOptimItem:
        char *p
        const char *g
        char *a
        char *b
        char *c
        int64_t n
        double k0
        double k1
        double k2
        float *step
    ctypedef struct RtOptimOptions:
        double lr, beta1, beta2, eps, weight_decay, momentum, dampening, shrink, low, high
        int l2, maximize, nesterov, amsgrad, centered
    enum: RT_OPTIM_SGD, RT_OPTIM_ADAM, RT_OPTIM_RMSPROP, RT_OPTIM_ADAGRAD, RT_OPTIM_ADAMAX, RT_OPTIM_NADAM, RT_OPTIM_RADAM, \
        RT_OPTIM_ADADELTA, RT_OPTIM_ASGD, RT_OPTIM_RPROP, RT_OPTIM_SCALE, RT_OPTIM_UNSCALE, RT_OPTIM_COUNT
    void rt_optim_run(int method, int dtype, int isa, const RtOptimItem *items, int64_t count, const RtOptimOptions *o, int threads)
    double rt_optim_squares(int dtype, int isa, const RtOptimItem *items, int64_t count, int threads)


cdef inline bint fits(TensorBase t, TensorBase like) noexcept:
    return t.dt == like.dt and t.n == like.n and t.dev == like.dev and (t.flags & F_CONTIG) != 0 and not t.stor.readonly


cdef class Batch:
    """The parameters of one call, gathered before any is touched."""
    cdef RtOptimItem *items
    cdef Py_ssize_t count
    cdef int dtype, device
    cdef list touched         # tensors written: kept alive, and counted as written afterwards
    cdef list steps           # 0-dim step counters, one per item
    cdef bint steps_there     # some of them are the device's

    def __cinit__(self, Py_ssize_t room):
        self.items = <RtOptimItem *>PyMem_Malloc(max(room, 1) * sizeof(RtOptimItem))
        if self.items == NULL:
            raise MemoryError()
        self.touched = []
        self.steps = []

    def __dealloc__(self):
        PyMem_Free(self.items)

    cdef bint add(self, TensorBase p, TensorBase g):
        """Begin an item; False if the loop cannot take it."""
        if g.dev != p.dev or g.dt != p.dt or g.n != p.n or (self.count and p.dev != self.device):
            return False
        if p.dev != RT_CPU and not self.count and (p.dev == RT_SHELL or not has_kernel("optim_run", p)):
            return False
        if not (g.flags & F_CONTIG):
            g = (<object>g).contiguous()
            self.touched.append(g)
        if p.dt != RT_F32 and p.dt != RT_F64 and p.dt != RT_BF16 and (p.dt != RT_F16 or p.dev == RT_CPU):
            return False
        if self.count and p.dt != self.dtype:
            return False
        if not fits(p, p):
            return False
        self.dtype, self.device = p.dt, p.dev
        cdef RtOptimItem *it = &self.items[self.count]
        it.p, it.g, it.n = p.ptr, g.ptr, p.n
        it.a = it.b = it.c = NULL
        it.k0 = it.k1 = it.k2 = 0
        it.step = NULL
        self.count += 1
        self.touched.append(p)
        return True

    cdef char *state(self, object kept, str name, TensorBase p) except? NULL:
        """Return the memory of a state tensor, NULL if the loop cannot take it."""
        value = (<dict>kept).get(name)
        if not isinstance(value, TensorBase) or not fits(<TensorBase>value, p):
            return NULL
        self.touched.append(value)
        return (<TensorBase>value).ptr

    cdef bint step(self, object kept):
        """Note an item's step counter; False unless it is a float32 or float64 number on the CPU, or a float32 number beside the parameter."""
        value = (<dict>kept).get("step")
        if not isinstance(value, TensorBase):
            return False
        cdef TensorBase t = <TensorBase>value
        if t.n != 1 or (t.dev != RT_CPU and (t.dev != self.device or t.dt != RT_F32)) or (t.dt != RT_F32 and t.dt != RT_F64):
            return False
        if t.dev != RT_CPU:
            self.items[self.count - 1].step = <float *>t.ptr
            self.steps_there = True
        self.steps.append(t)
        return True

    cdef double count_step(self, Py_ssize_t i):
        """Count the step of item i and return its number; of a counter on a device 1, and `run` counts it."""
        cdef TensorBase t = <TensorBase>self.steps[i]
        bump(t)
        if t.dev != RT_CPU:
            return 1
        if t.dt == RT_F32:
            (<float *>t.ptr)[0] += 1
            return (<float *>t.ptr)[0]
        (<double *>t.ptr)[0] += 1
        return (<double *>t.ptr)[0]

    cdef int there(self, int method, const RtOptimOptions *o, object factor, object found) except -1:
        """Launch a method on the device."""
        run_on_device("optim_run", self.touched[0], method, dtype_of(self.dtype), <size_t>self.items, self.count, <size_t>o, factor, found)
        return 0

    cdef int run(self, int method, const RtOptimOptions *o, object factor=None) except -1:
        cdef TensorBase t
        cdef int isa = isa_level()
        if self.count == 0:
            return 0
        if self.device != RT_CPU:
            if self.steps_there:
                self.there(RT_OPTIM_COUNT, o, None, None)
            self.there(method, o, factor, None)
        else:
            with nogil:
                rt_optim_run(method, self.dtype, isa, self.items, self.count, o, rt_num_threads())
        for t in self.touched:
            bump(t)
        return 0


cdef Batch gather(object params, object state):
    """Make room for the parameters; None if they or the state are not the optimizer's own containers."""
    if type(params) is not list or not isinstance(state, dict):
        return None
    return Batch(len(params))


cdef inline dict state_of(object state, object p):
    cdef PyObject *kept = PyDict_GetItem(state, p)
    if kept == NULL or not isinstance(<object>kept, dict):
        return None
    return <dict><object>kept


def _fused_sgd(object params, object state, *, double lr, double momentum, double dampening, double weight_decay,
               bint nesterov, bint maximize):
    """Take a step of stochastic gradient descent; state has "momentum_buffer" where there is momentum."""
    cdef RtOptimOptions o
    cdef Batch batch = gather(params, state)
    cdef TensorBase p
    cdef dict kept
    o.lr, o.momentum, o.dampening, o.weight_decay = lr, momentum, dampening, weight_decay
    o.nesterov, o.maximize, o.l2 = nesterov, maximize, weight_decay != 0
    if batch is None:
        return False
    for p in params:
        if p.grad_ is None:
            continue
        if not batch.add(p, <TensorBase>p.grad_):
            return False
        if momentum != 0:
            kept = state_of(state, p)
            if kept is None:
                return False
            batch.items[batch.count - 1].a = batch.state(kept, "momentum_buffer", p)
            if batch.items[batch.count - 1].a == NULL and p.n:
                return False
    batch.run(RT_OPTIM_SGD, &o)
    return True


def _fused_adam(object params, object state, *, double lr, double beta1, double beta2, double eps, double weight_decay,
                bint amsgrad, bint maximize, bint decoupled):
    """Take a step of Adam; state has "step", "exp_avg", "exp_avg_sq" and, for amsgrad, "max_exp_avg_sq"."""
    cdef RtOptimOptions o
    cdef Batch batch = gather(params, state)
    cdef RtOptimItem *it
    cdef TensorBase p
    cdef dict kept
    cdef double t, last = -1, k0 = 0, k1 = 0
    cdef Py_ssize_t i
    o.lr, o.beta1, o.beta2, o.eps, o.weight_decay = lr, beta1, beta2, eps, weight_decay
    o.amsgrad, o.maximize = amsgrad, maximize
    o.l2 = weight_decay != 0 and not decoupled
    o.shrink = 1 - lr * weight_decay if decoupled else 1
    if batch is None:
        return False
    for p in params:
        if p.grad_ is None:
            continue
        kept = state_of(state, p)
        if kept is None or not batch.add(p, <TensorBase>p.grad_) or not batch.step(kept):
            return False
        it = &batch.items[batch.count - 1]
        it.a = batch.state(kept, "exp_avg", p)
        it.b = batch.state(kept, "exp_avg_sq", p)
        if p.n and (it.a == NULL or it.b == NULL):
            return False
        if amsgrad:
            it.c = batch.state(kept, "max_exp_avg_sq", p)
            if p.n and it.c == NULL:
                return False
    for i in range(batch.count):
        t = batch.count_step(i)
        if t != last:      # nearly always all parameters have taken the same number of steps
            k0 = -lr / (1 - pow(beta1, t))
            k1 = sqrt(1 - pow(beta2, t))
            last = t
        batch.items[i].k0, batch.items[i].k1 = k0, k1
    batch.run(RT_OPTIM_ADAM, &o)
    return True


def _fused_rmsprop(object params, object state, *, double lr, double alpha, double eps, double weight_decay,
                   double momentum, bint centered, bint maximize):
    """Take a step of RMSprop; state has "step", "square_avg", "momentum_buffer" and "grad_avg" as asked for."""
    cdef RtOptimOptions o
    cdef Batch batch = gather(params, state)
    cdef RtOptimItem *it
    cdef TensorBase p
    cdef dict kept
    cdef Py_ssize_t i
    o.lr, o.beta1, o.eps, o.weight_decay, o.momentum = lr, alpha, eps, weight_decay, momentum
    o.centered, o.maximize, o.l2 = centered, maximize, weight_decay != 0
    if batch is None:
        return False
    for p in params:
        if p.grad_ is None:
            continue
        kept = state_of(state, p)
        if kept is None or not batch.add(p, <TensorBase>p.grad_) or not batch.step(kept):
            return False
        it = &batch.items[batch.count - 1]
        it.a = batch.state(kept, "square_avg", p)
        if p.n and it.a == NULL:
            return False
        if momentum > 0:
            it.b = batch.state(kept, "momentum_buffer", p)
            if p.n and it.b == NULL:
                return False
        if centered:
            it.c = batch.state(kept, "grad_avg", p)
            if p.n and it.c == NULL:
                return False
    for i in range(batch.count):
        batch.count_step(i)
    batch.run(RT_OPTIM_RMSPROP, &o)
    return True


def _fused_adagrad(object params, object state, *, double lr, double lr_decay, double weight_decay, double eps,
                   bint maximize):
    """Take a step of Adagrad; state has "step" and "sum"."""
    cdef RtOptimOptions o
    cdef Batch batch = gather(params, state)
    cdef RtOptimItem *it
    cdef TensorBase p
    cdef dict kept
    cdef Py_ssize_t i
    o.lr, o.beta1, o.weight_decay, o.eps, o.maximize, o.l2 = lr, lr_decay, weight_decay, eps, maximize, weight_decay != 0
    if batch is None:
        return False
    for p in params:
        if p.grad_ is None:
            continue
        kept = state_of(state, p)
        if kept is None or not batch.add(p, <TensorBase>p.grad_) or not batch.step(kept):
            return False
        it = &batch.items[batch.count - 1]
        it.a = batch.state(kept, "sum", p)
        if p.n and it.a == NULL:
            return False
    for i in range(batch.count):
        batch.items[i].k0 = -lr / (1 + (batch.count_step(i) - 1) * lr_decay)
    batch.run(RT_OPTIM_ADAGRAD, &o)
    return True


cdef Batch taken(object params, object state, str a, str b, str c):
    """Gather parameters with a step counter and the state tensors named a, b, c (None: not used); None if the loop cannot take them."""
    cdef Batch batch = gather(params, state)
    cdef RtOptimItem *it
    cdef TensorBase p
    cdef dict kept
    if batch is None:
        return None
    for p in params:
        if p.grad_ is None:
            continue
        kept = state_of(state, p)
        if kept is None or not batch.add(p, <TensorBase>p.grad_) or not batch.step(kept):
            return None
        it = &batch.items[batch.count - 1]
        if a is not None:
            it.a = batch.state(kept, a, p)
        if b is not None:
            it.b = batch.state(kept, b, p)
        if c is not None:
            it.c = batch.state(kept, c, p)
        if p.n and ((a is not None and it.a == NULL) or (b is not None and it.b == NULL) or (c is not None and it.c == NULL)):
            return None
    return batch


cdef list numbers(object params, object state, str name):
    """0-dim float state tensors of the parameters that have a gradient; None if one is something else."""
    cdef list found = []
    cdef TensorBase p, t
    for p in params:
        if p.grad_ is None:
            continue
        value = state_of(state, p).get(name)
        if not isinstance(value, TensorBase):
            return None
        t = <TensorBase>value
        if t.n != 1 or t.dev != RT_CPU or (t.dt != RT_F32 and t.dt != RT_F64):
            return None
        found.append(t)
    return found


cdef double read(TensorBase t):
    return (<float *>t.ptr)[0] if t.dt == RT_F32 else (<double *>t.ptr)[0]


cdef double write(TensorBase t, double value):
    """Store a number and return it as rounded."""
    bump(t)
    if t.dt == RT_F32:
        (<float *>t.ptr)[0] = <float>value
    else:
        (<double *>t.ptr)[0] = value
    return read(t)


def _fused_adamax(object params, object state, *, double lr, double beta1, double beta2, double eps, double weight_decay, bint maximize):
    """Take a step of Adamax; state has "step", "exp_avg" and "exp_inf"."""
    cdef RtOptimOptions o
    cdef Batch batch = taken(params, state, "exp_avg", None, "exp_inf")
    cdef Py_ssize_t i
    if batch is None:
        return False
    o.lr, o.beta1, o.beta2, o.eps, o.weight_decay, o.maximize, o.l2 = lr, beta1, beta2, eps, weight_decay, maximize, weight_decay != 0
    for i in range(batch.count):
        batch.items[i].k0 = -lr / (1 - pow(beta1, batch.count_step(i)))
    batch.run(RT_OPTIM_ADAMAX, &o)
    return True


def _fused_nadam(object params, object state, *, double lr, double beta1, double beta2, double eps, double weight_decay,
                 double momentum_decay, bint maximize, bint decoupled):
    """Take a step of NAdam; state has "step", "mu_product", "exp_avg" and "exp_avg_sq"."""
    cdef RtOptimOptions o
    cdef Batch batch = taken(params, state, "exp_avg", "exp_avg_sq", None)
    cdef list products
    cdef Py_ssize_t i
    cdef TensorBase product
    cdef double t, mu, mu_next, so_far
    if batch is None:
        return False
    products = numbers(params, state, "mu_product")
    if products is None or batch.steps_there:
        return False
    o.beta1, o.beta2, o.eps, o.weight_decay, o.maximize = beta1, beta2, eps, weight_decay, maximize
    o.l2 = weight_decay != 0 and not decoupled
    o.shrink = 1 - lr * weight_decay if decoupled else 1
    for i in range(batch.count):
        t = batch.count_step(i)
        mu = beta1 * (1 - 0.5 * pow(0.96, t * momentum_decay))
        mu_next = beta1 * (1 - 0.5 * pow(0.96, (t + 1) * momentum_decay))
        product = <TensorBase>products[i]
        so_far = write(product, read(product) * (<float>mu if product.dt == RT_F32 else mu))
        batch.items[i].k0 = -lr * (1 - mu) / (1 - so_far)
        batch.items[i].k1 = -lr * mu_next / (1 - so_far * mu_next)
        batch.items[i].k2 = 1 - pow(beta2, t)
    batch.run(RT_OPTIM_NADAM, &o)
    return True


def _fused_radam(object params, object state, *, double lr, double beta1, double beta2, double eps, double weight_decay,
                 bint maximize, bint decoupled):
    """Take a step of RAdam; state has "step", "exp_avg" and "exp_avg_sq"."""
    cdef RtOptimOptions o
    cdef Batch batch = taken(params, state, "exp_avg", "exp_avg_sq", None)
    cdef Py_ssize_t i
    cdef double t, correction, rho, limit = 2 / (1 - beta2) - 1
    if batch is None:
        return False
    o.lr, o.beta1, o.beta2, o.eps, o.weight_decay, o.maximize = lr, beta1, beta2, eps, weight_decay, maximize
    o.l2 = weight_decay != 0 and not decoupled
    o.shrink = 1 - lr * weight_decay if decoupled else 1
    for i in range(batch.count):
        t = batch.count_step(i)
        correction = 1 - pow(beta2, t)
        rho = limit - 2 * t * pow(beta2, t) / correction
        batch.items[i].k0 = 1 - pow(beta1, t)
        batch.items[i].k1 = sqrt(correction)
        batch.items[i].k2 = sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)) if rho > 5 else 0
    batch.run(RT_OPTIM_RADAM, &o)
    return True


def _fused_adadelta(object params, object state, *, double lr, double rho, double eps, double weight_decay, bint maximize):
    """Take a step of Adadelta; state has "step", "square_avg" and "acc_delta"."""
    cdef RtOptimOptions o
    cdef Batch batch = taken(params, state, "square_avg", "acc_delta", None)
    cdef Py_ssize_t i
    if batch is None:
        return False
    o.lr, o.beta1, o.eps, o.weight_decay, o.maximize, o.l2 = lr, rho, eps, weight_decay, maximize, weight_decay != 0
    for i in range(batch.count):
        batch.count_step(i)
    batch.run(RT_OPTIM_ADADELTA, &o)
    return True


def _fused_asgd(object params, object state, *, double lr, double lambd, double alpha, double t0, double weight_decay, bint maximize):
    """Take a step of ASGD; state has "step", "eta", "mu" and "ax"."""
    cdef RtOptimOptions o
    cdef Batch batch = taken(params, state, "ax", None, None)
    cdef list etas, mus
    cdef Py_ssize_t i
    cdef double t, eta
    if batch is None:
        return False
    etas, mus = numbers(params, state, "eta"), numbers(params, state, "mu")
    if etas is None or mus is None or batch.steps_there:
        return False
    o.weight_decay, o.maximize, o.l2 = weight_decay, maximize, weight_decay != 0
    for i in range(batch.count):
        t = batch.count_step(i)
        eta = read(<TensorBase>etas[i])
        batch.items[i].k0, batch.items[i].k1, batch.items[i].k2 = eta, read(<TensorBase>mus[i]), 1 - lambd * eta
        write(<TensorBase>etas[i], lr / pow(1 + lambd * lr * t, alpha))
        write(<TensorBase>mus[i], 1 / max(1.0, t - t0))
    batch.run(RT_OPTIM_ASGD, &o)
    return True


def _fused_rprop(object params, object state, *, double shorter, double longer, double low, double high, bint maximize):
    """Take a step of Rprop; state has "step", "prev" and "step_size"."""
    cdef RtOptimOptions o
    cdef Batch batch = taken(params, state, "prev", "step_size", None)
    cdef Py_ssize_t i
    if batch is None:
        return False
    o.maximize, o.low, o.high = maximize, low, high
    for i in range(batch.count):
        batch.count_step(i)
        batch.items[i].k0, batch.items[i].k1 = shorter, longer
    batch.run(RT_OPTIM_RPROP, &o)
    return True


cdef Batch listed(list tensors):
    """The tensors as items to be read and written; None if the loop cannot take one."""
    cdef Batch batch = Batch(len(tensors))
    for x in tensors:
        if not isinstance(x, TensorBase) or not ((<TensorBase>x).flags & F_CONTIG) or not batch.add(<TensorBase>x, <TensorBase>x):
            return None
    return batch


def _fused_norm(list tensors):
    """Return the Euclidean norm of all float32 or all float64 tensors' elements together, None if the loop cannot take them.

    A number on the CPU; a 0-dim tensor on a device.
    """
    cdef Batch batch = listed(tensors)
    cdef double total
    cdef int64_t chunks = 0
    cdef Py_ssize_t i
    cdef int isa = isa_level()
    if batch is not None and batch.count and batch.device != RT_CPU:
        for i in range(batch.count):
            chunks += (batch.items[i].n + OPTIM_CHUNK - 1) // OPTIM_CHUNK
        return run_on_device("optim_norm", batch.touched[0], dtype_of(batch.dtype), <size_t>batch.items, batch.count, chunks)
    if batch is None or batch.count == 0 or batch.dtype == RT_BF16:
        return None
    with nogil:
        total = rt_optim_squares(batch.dtype, isa, batch.items, batch.count, rt_num_threads())
    if total == -1:
        raise MemoryError()
    return sqrt(total)


def _fused_scale(list tensors, factor):
    """Multiply all tensors by a number, or a float64 0-dim tensor of their device, in place; False if the loop cannot take them, and
    nothing is changed."""
    cdef RtOptimOptions o
    cdef Batch batch = listed(tensors)
    cdef TensorBase t
    cdef Py_ssize_t i
    if batch is None or (isinstance(factor, TensorBase) and (batch.device == RT_CPU or (<TensorBase>factor).dev != batch.device
                                                             or (<TensorBase>factor).dt != RT_F64)):
        return False
    if isinstance(factor, TensorBase):
        batch.run(RT_OPTIM_SCALE, &o, factor)
        return True
    if factor == 1:              # the numbers stay, but they count as written
        for t in batch.touched:
            bump(t)
        return True
    for i in range(batch.count):
        batch.items[i].k0 = factor
    batch.run(RT_OPTIM_SCALE, &o)
    return True


def _fused_unscale(list tensors, found_inf, factor):
    """Multiply a device's gradients by a number of the device and note whether one is not finite, without waiting.

    Args:
        tensors: contiguous, all of one dtype on one device.
        found_inf: float32 0-dim tensor of the device; set to 1 where an element is infinite or NaN.
        factor: float64 0-dim tensor of the device.

    Returns:
        bool: False if the loop cannot take them, and nothing is changed.
    """
    cdef RtOptimOptions o
    cdef Batch batch = listed(tensors)
    cdef TensorBase t
    if batch is None or batch.device == RT_CPU or (<TensorBase?>found_inf).dt != RT_F32 or (<TensorBase?>factor).dt != RT_F64:
        return False
    if batch.count:
        batch.there(RT_OPTIM_UNSCALE, &o, factor, found_inf)
        for t in batch.touched:
            bump(t)
        bump(<TensorBase>found_inf)
    return True


FUNCTIONS = {"_fused_sgd": _fused_sgd, "_fused_adam": _fused_adam, "_fused_rmsprop": _fused_rmsprop,
             "_fused_adagrad": _fused_adagrad, "_fused_adamax": _fused_adamax, "_fused_nadam": _fused_nadam,
             "_fused_radam": _fused_radam, "_fused_adadelta": _fused_adadelta, "_fused_asgd": _fused_asgd,
             "_fused_rprop": _fused_rprop, "_fused_norm": _fused_norm, "_fused_scale": _fused_scale, "_fused_unscale": _fused_unscale}
METHODS = {}
