/* What type(x) prints: the public name of a type that is compiled into a private module. */
#ifndef RT_TYPE_NAME_H
#define RT_TYPE_NAME_H
#include <Python.h>
#include <string.h>

static inline int rt_type_set(PyTypeObject *type, PyObject *name, PyObject *value) {
    int r = PyDict_SetItem(type->tp_dict, name, value);
    PyType_Modified(type);
    return r;
}
/* A static type's __module__ and __name__ are in its name; instances find __module__ in its dictionary, which pickling by name reads. */
static inline int rt_type_name(PyTypeObject *type, const char *name) {
    const char *dot = strrchr(name, '.');
    PyObject *key = PyUnicode_InternFromString("__module__"), *module = dot ? PyUnicode_FromStringAndSize(name, dot - name) : NULL;
    int r = key && module ? rt_type_set(type, key, module) : -1;
    Py_XDECREF(key);
    Py_XDECREF(module);
    type->tp_name = name;
    return r;
}
#endif
