/* A callable that stands before a function. It renames two keywords (axis -> dim, keepdims -> keepdim); where autocast has
 * a rule for the function, it hands the call to autocast while that is on in this thread; and where __torch_function__ may
 * have a say (Note [Overrides] in _overrides.py), it asks; where a function of the host's memory meets a device's tensor, it
 * looks for the device's own (Note [Operators of devices] in _devices.py). A call that needs none of these passes through at the cost of a
 * test; so the functions themselves stay plain. */
#ifndef RUSTORCH_FUNCTION_H
#define RUSTORCH_FUNCTION_H
#include <Python.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define RT_APART __attribute__((noinline))
#else
#define RT_APART
#endif

/* Make a call whose arguments need other dtypes; kwnames may be NULL. */
typedef PyObject *(*RtCastHook)(PyObject *function, int rule, PyObject *const *args, Py_ssize_t n, PyObject *kwnames);

/* Make a call that __torch_function__ or a mode overrides; a new reference to NotImplemented: nothing overrides it. */
typedef PyObject *(*RtOverrideHook)(PyObject *function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames);

/* Make a call of positional arguments without a tuple around them (Cython's *args need one); a new reference to None:
 * these arguments are for the function itself. */
typedef PyObject *(*RtPlainCall)(PyObject *const *args, Py_ssize_t n);

/* A composed function that was handed something else than a tensor fails by an attribute that the thing lacks. The hook
 * makes of that error the one that compiled functions raise (a new reference), or returns None. */
typedef PyObject *(*RtBlameHook)(PyObject *error, PyObject *function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames);

/* Make a call whose arguments come in an older order (Note [Old forms] in _function.pyx), after it failed with `error`; a new
 * reference to NotImplemented: they do not. */
typedef PyObject *(*RtOldFormHook)(PyObject *function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames);

/* Make a call for tensors of a device that the function itself, which reads memory, cannot take; a new reference to
 * NotImplemented: they are the host's. */
typedef PyObject *(*RtDeviceHook)(PyObject *function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames);

/* Find a function's argument names and kinds: (names, kinds, n, demand), a tuple and bytes of one length; the first n may be
 * given by place; demand: what is asked of the dtypes, or None. */
typedef PyObject *(*RtKindsHook)(PyObject *function);

/* Look at an argument that is none of the usual values: a new reference to what the function gets for it (an int for a tensor
 * of one, mostly the argument itself), or NULL with the TypeError set. */
typedef PyObject *(*RtFitHook)(PyObject *function, PyObject *name, Py_ssize_t place, int kind, PyObject *given);

/* Hold the dtypes of the arguments against a function's demand; 0, or -1 with the error set. */
typedef int (*RtDemandHook)(PyObject *demand, PyObject *const *args, Py_ssize_t n, PyObject *kwnames);

/* Kinds of arguments; the numbers are those of tensor/_kinds.py. */
enum { RT_ARG_ANY, RT_ARG_TENSOR, RT_ARG_BOOL, RT_ARG_INT, RT_ARG_INTS, RT_ARG_FLOAT, RT_ARG_NUMBER, RT_ARG_STR, RT_ARG_DTYPE, RT_ARG_TENSORS,
       RT_ARG_TENSOR_OR_NUMBER, RT_ARG_INTS_OR_STR, RT_ARG_SIZE, RT_ARG_OUT, RT_ARG_FORMAT, RT_ARG_INTS_OR_FLAG, RT_ARG_TENSOR_OR_INT,
       RT_ARG_TENSOR_OR_INTS, RT_ARG_REAL, RT_ARG_OR_NONE = 64 };

/* Name the nodes that a call recorded after its function (Note [Names of nodes] in _function.pyx); `before`: what `rt_before_hook` gave. */
typedef int (*RtNameHook)(PyObject *result, PyObject *label, PyObject *const *args, Py_ssize_t n, uint64_t before);

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *inner;
    RtPlainCall plain; /* or NULL */
    int renames, rule; /* rule: of tensor/_autocast; 0: none */
    int host_only;     /* reads its arguments' memory: Note [Operators of devices] in _devices.py */
    int nkinds, nplaces; /* -1: not asked for yet; 0: nothing to check */
    PyObject *names, *kinds, *demand; /* demand: or NULL */
    PyObject *label; /* what the node of its result is called, or NULL */
} RtFunction;

static PyObject *rt_name_dim, *rt_name_keepdim;
static RtCastHook rt_cast_hook;
static __thread int rt_casting; /* autocast is on in this thread, and no rule is being applied */
static int rt_casting_threads;  /* in how many: what a call asks first, as a thread's own variables are a call away */
static RtOverrideHook rt_override_hook;
static RtBlameHook rt_blame_hook;
static RtOldFormHook rt_old_form_hook;
static RtDeviceHook rt_device_hook;
static int rt_devices; /* 1: back ends besides the CPU's are registered */
static RtKindsHook rt_kinds_hook;
static RtFitHook rt_fit_hook;
static RtDemandHook rt_demand_hook;
static RtNameHook rt_name_hook;
static uint64_t (*rt_before_hook)(void);
static PyTypeObject *rt_tensor_type; /* Tensor itself, when it was first seen; subclasses take the hook */
static PyTypeObject *rt_dtype_type;
static int rt_overriding; /* classes with __torch_function__ and modes there are, in all threads: ask the hook */

/* The name to use instead (borrowed), or NULL. */
static inline PyObject *rt_other_name(PyObject *name) {
    Py_ssize_t n = PyUnicode_GET_LENGTH(name);
    if (n == 4 && PyUnicode_CompareWithASCIIString(name, "axis") == 0) return rt_name_dim;
    if (n == 8 && PyUnicode_CompareWithASCIIString(name, "keepdims") == 0) return rt_name_keepdim;
    return NULL;
}

static PyObject *rt_function_renamed(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
    PyObject *inner = ((RtFunction *)self)->inner;
    Py_ssize_t n = kwnames ? PyTuple_GET_SIZE(kwnames) : 0, found = 0;
    for (Py_ssize_t i = 0; i < n; i++) found |= rt_other_name(PyTuple_GET_ITEM(kwnames, i)) != NULL;
    if (!found) return PyObject_Vectorcall(inner, args, nargsf, kwnames);
    PyObject *names = PyTuple_New(n), *result;
    if (!names) return NULL;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i), *other = rt_other_name(name);
        if (other) name = other;
        Py_INCREF(name);
        PyTuple_SET_ITEM(names, i, name);
        for (Py_ssize_t j = 0; j < n; j++) {
            if (other && PyUnicode_Compare(PyTuple_GET_ITEM(kwnames, j), other) == 0) {
                PyErr_Format(PyExc_TypeError, "got multiple values for argument '%U', which is also called '%U'", other,
                             PyTuple_GET_ITEM(kwnames, i));
                Py_DECREF(names);
                return NULL;
            }
        }
    }
    result = PyObject_Vectorcall(inner, args, nargsf, names);
    Py_DECREF(names);
    return result;
}

/* A call that ended with a TypeError, tried again in today's order of arguments. */
static PyObject *rt_function_old_form(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    PyObject *type, *error, *trace, *result;
    if (!rt_old_form_hook || !PyErr_ExceptionMatches(PyExc_TypeError)) return NULL;
    PyErr_Fetch(&type, &error, &trace);
    result = rt_old_form_hook(self, args, n, kwnames);
    if (result != Py_NotImplemented) {
        Py_XDECREF(type);
        Py_XDECREF(error);
        Py_XDECREF(trace);
        return result;
    }
    Py_DECREF(result);
    PyErr_Restore(type, error, trace);
    return NULL;
}

static PyObject *rt_function_failed(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
    PyObject *type, *error, *trace, *better;
    if (PyErr_ExceptionMatches(PyExc_TypeError)) return rt_function_old_form(self, args, PyVectorcall_NARGS(nargsf), kwnames);
    if (!PyErr_ExceptionMatches(PyExc_AttributeError) || !rt_blame_hook) return NULL;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    better = rt_blame_hook(error, self, args, PyVectorcall_NARGS(nargsf), kwnames);
    if (!better || better == Py_None) {
        PyErr_Clear();
        Py_XDECREF(better);
        PyErr_Restore(type, error, trace);
        return NULL;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(better), better);
    Py_DECREF(better);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(trace);
    return NULL;
}

static inline int rt_fits_int(PyObject *x) {
    int overflow;
    if (Py_TYPE(x) != &PyLong_Type) return 0;
    (void)PyLong_AsLongLongAndOverflow(x, &overflow);
    return !overflow;
}

/* Whether x is a usual value of a kind. What is not may still be one: the hook knows. */
static inline int rt_fits(int kind, PyObject *x) {
    PyTypeObject *type = Py_TYPE(x);
    if (kind == RT_ARG_ANY) return 1;
    if (x == Py_None) return kind & RT_ARG_OR_NONE;
    switch (kind & ~RT_ARG_OR_NONE) {
    case RT_ARG_TENSOR: return type == rt_tensor_type;
    case RT_ARG_BOOL: return type == &PyBool_Type;
    case RT_ARG_FLOAT:
    case RT_ARG_REAL:
    case RT_ARG_NUMBER: return type == &PyFloat_Type || rt_fits_int(x);
    case RT_ARG_STR: return type == &PyUnicode_Type;
    case RT_ARG_TENSOR_OR_NUMBER: return type == rt_tensor_type || type == &PyFloat_Type || rt_fits_int(x);
    case RT_ARG_TENSOR_OR_INT:
    case RT_ARG_TENSOR_OR_INTS: return type == rt_tensor_type || rt_fits_int(x);
    case RT_ARG_DTYPE: return type == rt_dtype_type;
    case RT_ARG_INT: return rt_fits_int(x);
    case RT_ARG_OUT: return type == rt_tensor_type || type == &PyTuple_Type;
    case RT_ARG_TENSORS:
        if (type != &PyTuple_Type && type != &PyList_Type) return 0;
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(x); i++)
            if (Py_TYPE(PySequence_Fast_GET_ITEM(x, i)) != rt_tensor_type) return 0;
        return 1;
    case RT_ARG_INTS:
    case RT_ARG_INTS_OR_STR:
    case RT_ARG_INTS_OR_FLAG:
    case RT_ARG_SIZE:
        if (type == &PyTuple_Type) {
            for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(x); i++)
                if (!rt_fits_int(PyTuple_GET_ITEM(x, i))) return 0;
            return 1;
        }
        return (kind & ~RT_ARG_OR_NONE) != RT_ARG_SIZE && rt_fits_int(x);
    }
    return 0;
}

/* Put what the function gets in the place of args[i]; *held is the list of all arguments from the first such one on. */
static int rt_replace(PyObject *const **args, Py_ssize_t i, Py_ssize_t total, PyObject *found, PyObject **held) {
    if (found == (*args)[i]) {
        Py_DECREF(found);
        return 0;
    }
    if (!*held) {
        *held = PyTuple_New(total);
        if (!*held) {
            Py_DECREF(found);
            return -1;
        }
        for (Py_ssize_t j = 0; j < total; j++) PyTuple_SET_ITEM(*held, j, Py_NewRef((*args)[j]));
        *args = &PyTuple_GET_ITEM(*held, 0);
    }
    PyObject *old = PyTuple_GET_ITEM(*held, i);
    PyTuple_SET_ITEM(*held, i, found);
    Py_DECREF(old);
    return 0;
}

/* Check the kinds of the arguments. 0: right as they are; -1: an error is set; 1: the call is to be made with *held. */
static int rt_check_kinds(RtFunction *f, PyObject *const *args, Py_ssize_t n, PyObject *kwnames, PyObject **held) {
    if (f->nkinds < 0) {
        PyObject *found = rt_kinds_hook ? rt_kinds_hook(f->inner) : NULL;
        if (!found) return rt_kinds_hook ? -1 : 0;
        f->names = Py_NewRef(PyTuple_GET_ITEM(found, 0));
        f->kinds = Py_NewRef(PyTuple_GET_ITEM(found, 1));
        f->demand = PyTuple_GET_ITEM(found, 3) == Py_None ? NULL : Py_NewRef(PyTuple_GET_ITEM(found, 3));
        f->nkinds = (int)PyBytes_GET_SIZE(f->kinds);
        f->nplaces = f->nkinds ? (int)PyLong_AsLong(PyTuple_GET_ITEM(found, 2)) : 0;
        Py_DECREF(found);
    }
    const unsigned char *kinds = (const unsigned char *)PyBytes_AS_STRING(f->kinds);
    Py_ssize_t total = n + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    PyObject *found;
    for (Py_ssize_t i = 0; i < n && i < f->nplaces; i++) {
        if (rt_fits(kinds[i], args[i])) continue;
        found = rt_fit_hook(f->inner, PyTuple_GET_ITEM(f->names, i), i, kinds[i], args[i]);
        if (!found || rt_replace(&args, i, total, found, held) < 0) return -1;
    }
    if (!kwnames || !f->nkinds) return *held != NULL;
    for (Py_ssize_t j = 0; j < PyTuple_GET_SIZE(kwnames); j++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, j), *other = f->renames ? rt_other_name(name) : NULL;
        if (other) name = other;
        for (Py_ssize_t i = 0; i < f->nkinds; i++) {
            if (PyTuple_GET_ITEM(f->names, i) != name) continue;
            if (rt_fits(kinds[i], args[n + j])) break;
            found = rt_fit_hook(f->inner, name, -1, kinds[i], args[n + j]);
            if (!found || rt_replace(&args, n + j, total, found, held) < 0) return -1;
            break;
        }
    }
    return *held != NULL;
}

static PyObject *rt_function_call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames);

/* What a call ends with whose arguments are wrong, or are to be others: `held`, which is released. */
static PyObject *rt_function_other(PyObject *self, int checked, PyObject *held, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    PyObject *result = checked > 0 ? rt_function_call(self, &PyTuple_GET_ITEM(held, 0), n, kwnames) : rt_function_old_form(self, args, n, kwnames);
    Py_XDECREF(held);
    return result;
}

static PyObject *rt_function_special(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
    RtFunction *f = (RtFunction *)self;
    if (rt_overriding) {
        PyObject *result = rt_override_hook(self, args, PyVectorcall_NARGS(nargsf), kwnames);
        if (result != Py_NotImplemented) return result;
        Py_DECREF(result);
    }
    PyObject *held = NULL;
    int checked = f->nkinds ? rt_check_kinds(f, args, PyVectorcall_NARGS(nargsf), kwnames, &held) : 0;
    if (checked) return rt_function_other(self, checked, held, args, PyVectorcall_NARGS(nargsf), kwnames);
    if (rt_casting && f->rule) {
        PyObject *result = rt_cast_hook(self, f->rule, args, PyVectorcall_NARGS(nargsf), kwnames);
        if (result != Py_NotImplemented) return result;      /* else: no rule for the device of these tensors */
        Py_DECREF(result);
    }
    if (f->demand && rt_demand_hook(f->demand, args, PyVectorcall_NARGS(nargsf), kwnames) < 0) return NULL;
    if (rt_devices && f->host_only) {
        PyObject *result = rt_device_hook(self, args, PyVectorcall_NARGS(nargsf), kwnames);
        if (result != Py_NotImplemented) return result;
        Py_DECREF(result);
    }
    PyObject *result = kwnames && f->renames ? rt_function_renamed(self, args, nargsf, kwnames) : PyObject_Vectorcall(f->inner, args, nargsf, kwnames);
    return result ? result : rt_function_failed(self, args, nargsf, kwnames);
}

/* All but the first try of a call: apart, so that a call which needs no more saves no registers for it. */
static RT_APART PyObject *rt_function_checked(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
    RtFunction *f = (RtFunction *)self;
    PyObject *result;
    if (f->nkinds) {
        PyObject *held = NULL;
        int checked = rt_check_kinds(f, args, PyVectorcall_NARGS(nargsf), kwnames, &held);
        if (checked) return rt_function_other(self, checked, held, args, PyVectorcall_NARGS(nargsf), kwnames);
        if (f->demand && rt_demand_hook(f->demand, args, PyVectorcall_NARGS(nargsf), kwnames) < 0) return NULL;
    }
    result = kwnames && f->renames ? rt_function_renamed(self, args, nargsf, kwnames) : PyObject_Vectorcall(f->inner, args, nargsf, kwnames);
    return result ? result : rt_function_failed(self, args, nargsf, kwnames);
}

static PyObject *rt_function_call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
    RtFunction *f = (RtFunction *)self;
    if (rt_casting_threads | rt_overriding | (rt_devices & f->host_only)) return rt_function_special(self, args, nargsf, kwnames);
    if (f->plain && !kwnames) {
        PyObject *result = f->plain(args, PyVectorcall_NARGS(nargsf));
        if (result != Py_None) return result;
        Py_DECREF(result);
    }
    return rt_function_checked(self, args, nargsf, kwnames);
}

static PyObject *rt_function_named(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
    uint64_t before = rt_before_hook();
    PyObject *result = rt_function_call(self, args, nargsf, kwnames);
    Py_ssize_t n = PyVectorcall_NARGS(nargsf) + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    if (result && rt_name_hook(result, ((RtFunction *)self)->label, args, n, before) < 0) Py_CLEAR(result);
    return result;
}

static void rt_function_dealloc(PyObject *self) {
    Py_XDECREF(((RtFunction *)self)->label);
    Py_XDECREF(((RtFunction *)self)->inner);
    Py_XDECREF(((RtFunction *)self)->names);
    Py_XDECREF(((RtFunction *)self)->kinds);
    Py_XDECREF(((RtFunction *)self)->demand);
    Py_TYPE(self)->tp_free(self);
}
static PyObject *rt_function_get(PyObject *self, PyObject *obj, PyObject *type) {
    (void)type;
    if (obj == NULL || obj == Py_None) { Py_INCREF(self); return self; }
    return PyMethod_New(self, obj);
}
/* Where the function is public: the name of its module up to the first private part; what is of tensor/ is the package's. */
static PyObject *rt_function_module(RtFunction *f) {
    PyObject *module = PyObject_GetAttrString(f->inner, "__module__"), *cut;
    const char *text = module && PyUnicode_Check(module) ? PyUnicode_AsUTF8(module) : NULL, *end, *dot;
    if (!text || !(end = strstr(text, "._"))) return module;
    for (dot = end; dot > text && dot[-1] != '.'; dot--) {}
    if (dot > text && end - dot == 6 && memcmp(dot, "tensor", 6) == 0 && !memchr(text, '.', (size_t)(dot - 1 - text))) end = dot - 1;
    cut = PyUnicode_FromStringAndSize(text, end - text);
    Py_DECREF(module);
    return cut;
}
/* Attributes are the function's: __name__, __doc__, __code__ ... */
static PyObject *rt_function_getattro(PyObject *self, PyObject *name) {
    if (PyUnicode_CompareWithASCIIString(name, "__module__") == 0) return rt_function_module((RtFunction *)self);
    if (PyUnicode_CompareWithASCIIString(name, "__class__") == 0 || PyUnicode_CompareWithASCIIString(name, "__reduce_ex__") == 0 ||
        PyUnicode_CompareWithASCIIString(name, "__reduce__") == 0 || PyUnicode_CompareWithASCIIString(name, "__get__") == 0 ||
        PyUnicode_CompareWithASCIIString(name, "__call__") == 0)
        return PyObject_GenericGetAttr(self, name);
    if (PyUnicode_CompareWithASCIIString(name, "__wrapped__") == 0) {
        Py_INCREF(((RtFunction *)self)->inner);
        return ((RtFunction *)self)->inner;
    }
    return PyObject_GetAttr(((RtFunction *)self)->inner, name);
}
static PyObject *rt_function_repr(PyObject *self) { return PyObject_Repr(((RtFunction *)self)->inner); }
/* Pickled by name where the name leads here, as a method of Tensor, else as its function and what it does besides. */
static PyObject *rt_function_reduce(PyObject *self, PyObject *unused) {
    RtFunction *f = (RtFunction *)self;
    PyObject *name = rt_function_module(f), *module, *found, *maker;
    (void)unused;
    module = name ? PyImport_Import(name) : NULL;
    Py_XDECREF(name);
    if (!module) return NULL;
    name = PyObject_GetAttrString(f->inner, "__name__");
    found = name ? PyObject_GetAttr(module, name) : NULL;
    Py_DECREF(module);
    if (found == self) {
        Py_DECREF(found);
        return name;
    }
    PyErr_Clear();
    Py_XDECREF(found);
    found = name && rt_tensor_type ? PyObject_GetAttr((PyObject *)rt_tensor_type, name) : NULL;
    if (found == self) {
        Py_DECREF(found);
        maker = PyDict_GetItemString(PyEval_GetBuiltins(), "getattr");
        return maker ? Py_BuildValue("O(ON)", maker, (PyObject *)rt_tensor_type, name) : NULL;
    }
    PyErr_Clear();
    Py_XDECREF(found);
    Py_XDECREF(name);
    module = PyImport_ImportModule("rustorch_py.tensor._function");
    if (!module) return NULL;
    maker = PyObject_GetAttrString(module, "known");
    Py_DECREF(module);
    return maker ? Py_BuildValue("N(Oii)", maker, f->inner, f->rule, f->host_only) : NULL;
}
static PyMethodDef rt_function_methods[] = {{"__reduce__", rt_function_reduce, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};

static PyTypeObject rt_function_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "rustorch_py.tensor.function",
    .tp_basicsize = sizeof(RtFunction),
    .tp_dealloc = rt_function_dealloc,
    .tp_vectorcall_offset = offsetof(RtFunction, vectorcall),
    .tp_repr = rt_function_repr,
    .tp_call = PyVectorcall_Call,
    .tp_getattro = rt_function_getattro,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .tp_descr_get = rt_function_get,
    .tp_methods = rt_function_methods,
};

static int rt_function_ready(void) {
    rt_name_dim = PyUnicode_InternFromString("dim");
    rt_name_keepdim = PyUnicode_InternFromString("keepdim");
    return rt_name_dim && rt_name_keepdim ? PyType_Ready(&rt_function_type) : -1;
}
static PyObject *rt_function_new(PyObject *inner, int renames, int rule, int host_only, RtPlainCall plain, PyObject *label) {
    RtFunction *self = PyObject_New(RtFunction, &rt_function_type);
    if (!self) return NULL;
    Py_INCREF(inner);
    self->inner = inner;
    self->plain = plain;
    self->renames = renames;
    self->rule = rule;
    self->host_only = host_only;
    self->nkinds = -1;
    self->names = self->kinds = self->demand = NULL;
    self->label = label == Py_None ? NULL : Py_NewRef(label);
    self->vectorcall = self->label ? rt_function_named : rt_function_call;
    return (PyObject *)self;
}
#endif
