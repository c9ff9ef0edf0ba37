/* Size, the shape of a tensor: a tuple of ints with numel(). A type of C, because every x.shape makes one: it is not tracked by
 * the collector (ints make no cycles), and short ones are kept for the next. */
#ifndef RT_SIZE_H
#define RT_SIZE_H
#include <Python.h>
#include <stdint.h>

/* Make a tuple of ints of a tuple whose items are not all plain ints, or raise; a new reference. */
static PyObject *(*rt_size_convert)(PyObject *items);

static PyTypeObject rt_size_type;

#ifdef Py_GIL_DISABLED
enum { RT_SIZE_KEPT_LENGTHS = 0, RT_SIZE_KEPT = 1 }; /* lists shared by threads would want a lock */
#else
enum { RT_SIZE_KEPT_LENGTHS = 9, RT_SIZE_KEPT = 16 };
#endif
static PyObject *rt_size_kept[RT_SIZE_KEPT_LENGTHS + 1][RT_SIZE_KEPT];
static int rt_size_nkept[RT_SIZE_KEPT_LENGTHS + 1];

static PyObject *rt_size_alloc(Py_ssize_t n) {
    PyObject *made;
    if (n < RT_SIZE_KEPT_LENGTHS && rt_size_nkept[n]) {
        made = rt_size_kept[n][--rt_size_nkept[n]];
        PyObject_InitVar((PyVarObject *)made, &rt_size_type, n);
    } else {
        made = PyType_GenericAlloc(&rt_size_type, n);
        if (!made) return NULL;
        PyObject_GC_UnTrack(made);
    }
#if PY_VERSION_HEX >= 0x030E0000
    ((PyTupleObject *)made)->ob_hash = -1;
#endif
    return made;
}

/* What tuple's own deallocator ends with: the items are released, the length is still there. */
static void rt_size_free(void *made) {
    Py_ssize_t n = Py_SIZE(made);
    if (Py_IS_TYPE((PyObject *)made, &rt_size_type) && n < RT_SIZE_KEPT_LENGTHS && rt_size_nkept[n] < RT_SIZE_KEPT) rt_size_kept[n][rt_size_nkept[n]++] = made;
    else PyObject_GC_Del(made);
}

static PyObject *rt_size_of(const int64_t *sizes, int n) {
    PyObject *made = rt_size_alloc(n);
    for (int i = 0; made && i < n; i++) {
        PyObject *v = PyLong_FromLongLong(sizes[i]);
        if (!v) {
            for (; i < n; i++) PyTuple_SET_ITEM(made, i, NULL);
            Py_DECREF(made);
            return NULL;
        }
        PyTuple_SET_ITEM(made, i, v);
    }
    return made;
}

/* A Size, or an instance of a subclass, with the items of a tuple, whose reference is taken. */
static PyObject *rt_size_as(PyTypeObject *type, PyObject *items) {
    if (!items) return NULL;
    Py_ssize_t n = PyTuple_GET_SIZE(items), i = 0;
    while (i < n && PyLong_CheckExact(PyTuple_GET_ITEM(items, i))) i++;
    if (i < n) {
        PyObject *plain = rt_size_convert(items);
        Py_DECREF(items);
        if (!plain) return NULL;
        items = plain;
    }
    PyObject *made = type == &rt_size_type ? rt_size_alloc(n) : type->tp_alloc(type, n);
    for (i = 0; made && i < n; i++) PyTuple_SET_ITEM(made, i, Py_NewRef(PyTuple_GET_ITEM(items, i)));
#if PY_VERSION_HEX >= 0x030E0000
    if (made) ((PyTupleObject *)made)->ob_hash = -1;
#endif
    Py_DECREF(items);
    return made;
}

static PyObject *rt_size_make(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    return rt_size_as(type, PyTuple_Type.tp_new(&PyTuple_Type, args, kwargs));
}

/* As PyTorch's: a tuple on either side joins to a Size; anything else is left to the other operand, as with tuples. */
static PyObject *rt_size_add(PyObject *a, PyObject *b) {
    if (!PyTuple_Check(a) || !PyTuple_Check(b)) Py_RETURN_NOTIMPLEMENTED;
    return rt_size_as(&rt_size_type, PyTuple_Type.tp_as_sequence->sq_concat(a, b));
}

static PyObject *rt_size_concat(PyObject *a, PyObject *b) {
    if (PyTuple_Check(b)) return rt_size_add(a, b);
    return PyErr_Format(PyExc_TypeError, "can only concatenate tuple (not %.200s) to torch.Size", Py_TYPE(b)->tp_name);
}

static PyObject *rt_size_repeat(PyObject *a, Py_ssize_t n) {
    PyObject *made = PyTuple_Type.tp_as_sequence->sq_repeat(a, n);
    if (!made || !PyTuple_CheckExact(made)) return made; /* a itself */
    return rt_size_as(&rt_size_type, made);
}

static PyObject *rt_size_subscript(PyObject *a, PyObject *key) {
    if (PyLong_CheckExact(key)) {
        Py_ssize_t i = PyLong_AsSsize_t(key);
        if (i < 0) {
            if (i == -1 && PyErr_Occurred()) PyErr_Clear();
            else i += Py_SIZE(a);
        }
        if (i >= 0 && i < Py_SIZE(a)) return Py_NewRef(PyTuple_GET_ITEM(a, i));
    }
    PyObject *got = PyTuple_Type.tp_as_mapping->mp_subscript(a, key);
    return got && PySlice_Check(key) ? rt_size_as(&rt_size_type, got) : got;
}

static PyObject *rt_size_repr(PyObject *a) {
    PyObject *items = PySequence_List(a), *made = items ? PyUnicode_FromFormat("torch.Size(%R)", items) : NULL;
    Py_XDECREF(items);
    return made;
}

static PyObject *rt_size_numel(PyObject *a, PyObject *unused) {
    PyObject *n = PyLong_FromLong(1);
    (void)unused;
    for (Py_ssize_t i = 0; n && i < Py_SIZE(a); i++) {
        PyObject *next = PyNumber_Multiply(n, PyTuple_GET_ITEM(a, i));
        Py_DECREF(n);
        n = next;
    }
    return n;
}

static PyObject *rt_size_reduce(PyObject *a, PyObject *unused) {
    (void)unused;
    return Py_BuildValue("O(N)", Py_TYPE(a), PySequence_Tuple(a));
}

static PyMethodDef rt_size_methods[] = {
    {"numel", rt_size_numel, METH_NOARGS, "numel($self, /)\n--\n\nReturn the product of the sizes."},
    {"__reduce__", rt_size_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static PyNumberMethods rt_size_number = {.nb_add = rt_size_add};
static PySequenceMethods rt_size_sequence = {.sq_concat = rt_size_concat, .sq_repeat = rt_size_repeat};
static PyMappingMethods rt_size_mapping = {.mp_subscript = rt_size_subscript};

static PyTypeObject rt_size_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "rustorch_py.Size",
    .tp_doc = "Shape of a tensor: a tuple of ints with ``numel()``.",
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = rt_size_make,
    .tp_free = rt_size_free,
    .tp_repr = rt_size_repr,
    .tp_str = rt_size_repr,
    .tp_as_number = &rt_size_number,
    .tp_as_sequence = &rt_size_sequence,
    .tp_as_mapping = &rt_size_mapping,
    .tp_methods = rt_size_methods,
};

static PyObject *rt_size_class(PyObject *(*convert)(PyObject *)) {
    rt_size_convert = convert;
    rt_size_type.tp_base = &PyTuple_Type;
    rt_size_type.tp_basicsize = PyTuple_Type.tp_basicsize;
    rt_size_type.tp_itemsize = PyTuple_Type.tp_itemsize;
    rt_size_type.tp_traverse = PyTuple_Type.tp_traverse;
    rt_size_type.tp_clear = PyTuple_Type.tp_clear;
    return PyType_Ready(&rt_size_type) < 0 ? NULL : Py_NewRef((PyObject *)&rt_size_type);
}
#endif
