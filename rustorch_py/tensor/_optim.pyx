# build: isa=optim.inc.c sources=optim.c
"""Fused optimizer steps: a whole parameter list in one call.

Each function takes an optimizer's parameters and its state and either moves every parameter that
has a gradient and returns True, or touches nothing and returns False: then a parameter has no
state yet, or is not on the CPU, contiguous and of one of float32, float64, bfloat16, and the
caller goes tensor by tensor (rustorch_py.optim), with the same numbers.
"""
from cpython.dict cimport PyDict_GetItem
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from libc.math cimport pow, sqrt
from libc.stdint cimport int64_t

from ._backend cimport RT_CPU
from ._base cimport F_CONTIG, RT_BF16, RT_F32, RT_F64, TensorBase, bump
from ._cpu cimport isa_level, rt_num_threads

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
    ctypedef struct RtOptimOptions:
        double lr, beta1, beta2, eps, weight_decay, momentum, dampening, shrink
        int l2, maximize, nesterov, amsgrad, centered
    enum: RT_OPTIM_SGD, RT_OPTIM_ADAM, RT_OPTIM_RMSPROP, RT_OPTIM_ADAGRAD
    void rt_optim_run(int method, int dtype, int isa, const RtOptimItem *items, int64_t count, const RtOptimOptions *o, int threads)


cdef inline bint fits(TensorBase t, TensorBase like) noexcept:
    return t.dt == like.dt and t.n == like.n and t.dev == RT_CPU and (t.flags & F_CONTIG) != 0 and not t.stor.readonly


cdef class Batch:
    """The parameters of one call, gathered before any is touched."""
    cdef RtOptimItem *items
    cdef Py_ssize_t count
    cdef int dtype
    cdef list touched         # tensors written: kept alive, and counted as written afterwards
    cdef list steps           # 0-dim step counters, one per item

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
        if g.dev != RT_CPU or g.dt != p.dt or g.n != p.n:
            return False
        if not (g.flags & F_CONTIG):
            g = (<object>g).contiguous()
            self.touched.append(g)
        if p.dt != RT_F32 and p.dt != RT_F64 and p.dt != RT_BF16:
            return False
        if self.count and p.dt != self.dtype:
            return False
        if not fits(p, p):
            return False
        self.dtype = p.dt
        cdef RtOptimItem *it = &self.items[self.count]
        it.p, it.g, it.n = p.ptr, g.ptr, p.n
        it.a = it.b = it.c = NULL
        it.k0 = it.k1 = 0
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
        """Note an item's step counter; False unless it is a float32 or float64 number on the CPU."""
        value = (<dict>kept).get("step")
        if not isinstance(value, TensorBase):
            return False
        cdef TensorBase t = <TensorBase>value
        if t.n != 1 or t.dev != RT_CPU or (t.dt != RT_F32 and t.dt != RT_F64):
            return False
        self.steps.append(t)
        return True

    cdef double count_step(self, Py_ssize_t i):
        """Count the step of item i and return its number."""
        cdef TensorBase t = <TensorBase>self.steps[i]
        bump(t)
        if t.dt == RT_F32:
            (<float *>t.ptr)[0] += 1
            return (<float *>t.ptr)[0]
        (<double *>t.ptr)[0] += 1
        return (<double *>t.ptr)[0]

    cdef void run(self, int method, const RtOptimOptions *o):
        cdef TensorBase t
        cdef int isa = isa_level()
        if self.count == 0:
            return
        with nogil:
            rt_optim_run(method, self.dtype, isa, self.items, self.count, o, rt_num_threads())
        for t in self.touched:
            bump(t)


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
    o.beta1, o.beta2, o.eps, o.weight_decay = beta1, beta2, eps, weight_decay
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
    o.weight_decay, o.eps, o.maximize, o.l2 = weight_decay, eps, maximize, weight_decay != 0
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


FUNCTIONS = {"_fused_sgd": _fused_sgd, "_fused_adam": _fused_adam, "_fused_rmsprop": _fused_rmsprop,
             "_fused_adagrad": _fused_adagrad}
METHODS = {}
