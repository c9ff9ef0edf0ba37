/* A callable that stands before a function and renames two keywords: axis -> dim, keepdims -> keepdim.
 * Calls without them pass through at the cost of a test; so the functions themselves stay plain. */
#ifndef RUSTORCH_NUMPY_NAMES_H
#define RUSTORCH_NUMPY_NAMES_H
#include <Python.h>
#include <stddef.h>

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *inner;
} RtRenamed;

static PyObject *rt_name_dim, *rt_name_keepdim;

/* The name to use instead (borrowed), or NULL. */
static inline PyObject *rt_other_name(PyObject *name) {
    Py_ssize_t n = PyUnicode_GET_LENGTH(name);
    if (n == 4 && PyUnicode_CompareWithASCIIString(name, "axis") == 0) return rt_name_dim;
    if (n == 8 && PyUnicode_CompareWithASCIIString(name, "keepdims") == 0) return rt_name_keepdim;
    return NULL;
}

static PyObject *rt_renamed_call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
    PyObject *inner = ((RtRenamed *)self)->inner;
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

static void rt_renamed_dealloc(PyObject *self) {
    Py_XDECREF(((RtRenamed *)self)->inner);
    Py_TYPE(self)->tp_free(self);
}
static PyObject *rt_renamed_get(PyObject *self, PyObject *obj, PyObject *type) {
    (void)type;
    if (obj == NULL || obj == Py_None) { Py_INCREF(self); return self; }
    return PyMethod_New(self, obj);
}
/* Attributes are the function's: __name__, __doc__, __code__ ... */
static PyObject *rt_renamed_getattro(PyObject *self, PyObject *name) {
    if (PyUnicode_CompareWithASCIIString(name, "__class__") == 0 || PyUnicode_CompareWithASCIIString(name, "__reduce_ex__") == 0 ||
        PyUnicode_CompareWithASCIIString(name, "__reduce__") == 0 || PyUnicode_CompareWithASCIIString(name, "__get__") == 0 ||
        PyUnicode_CompareWithASCIIString(name, "__call__") == 0)
        return PyObject_GenericGetAttr(self, name);
    if (PyUnicode_CompareWithASCIIString(name, "__wrapped__") == 0) {
        Py_INCREF(((RtRenamed *)self)->inner);
        return ((RtRenamed *)self)->inner;
    }
    return PyObject_GetAttr(((RtRenamed *)self)->inner, name);
}
static PyObject *rt_renamed_repr(PyObject *self) { return PyObject_Repr(((RtRenamed *)self)->inner); }
/* Pickled as its function, which is pickled by name. */
static PyObject *rt_renamed_reduce(PyObject *self, PyObject *unused) {
    (void)unused;
    PyObject *module = PyImport_ImportModule("rustorch_py.tensor._names"), *maker;
    if (!module) return NULL;
    maker = PyObject_GetAttrString(module, "with_numpy_names");
    Py_DECREF(module);
    return maker ? Py_BuildValue("N(O)", maker, ((RtRenamed *)self)->inner) : NULL;
}
static PyMethodDef rt_renamed_methods[] = {{"__reduce__", rt_renamed_reduce, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};

static PyTypeObject rt_renamed_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "rustorch_py.tensor.function",
    .tp_basicsize = sizeof(RtRenamed),
    .tp_dealloc = rt_renamed_dealloc,
    .tp_vectorcall_offset = offsetof(RtRenamed, vectorcall),
    .tp_repr = rt_renamed_repr,
    .tp_call = PyVectorcall_Call,
    .tp_getattro = rt_renamed_getattro,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .tp_descr_get = rt_renamed_get,
    .tp_methods = rt_renamed_methods,
};

static int rt_renamed_ready(void) {
    rt_name_dim = PyUnicode_InternFromString("dim");
    rt_name_keepdim = PyUnicode_InternFromString("keepdim");
    return rt_name_dim && rt_name_keepdim ? PyType_Ready(&rt_renamed_type) : -1;
}
static PyObject *rt_renamed_new(PyObject *inner) {
    RtRenamed *self = PyObject_New(RtRenamed, &rt_renamed_type);
    if (!self) return NULL;
    Py_INCREF(inner);
    self->inner = inner;
    self->vectorcall = rt_renamed_call;
    return (PyObject *)self;
}
#endif
