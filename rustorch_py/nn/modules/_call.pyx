"""What every use of a module pays for, without Python frames: calling it, walking its parameters."""
from cpython.object cimport PyObject

cdef extern from *:
    """
    #define MOST_ARGUMENTS 8
    /* module.forward(*args): found like any attribute, called without a bound method or a second tuple. */
    static PyObject *call_forward(PyObject *module, PyObject *name, PyObject *args) {
        PyObject *room[MOST_ARGUMENTS + 2], **line = room + 1;      /* the callee may use line[-1] */
        Py_ssize_t n = PyTuple_GET_SIZE(args);
        line[0] = module;
        for (Py_ssize_t i = 0; i < n; i++) line[i + 1] = PyTuple_GET_ITEM(args, i);
        return PyObject_VectorcallMethod(name, line, (size_t)(n + 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    """
    int MOST_ARGUMENTS
    object call_forward(object module, object name, tuple args)

cdef extern from "Python.h":
    object PyObject_GenericGetDict(object o, void *context)
    PyObject *PyDict_GetItemWithError(object d, object key) except? NULL
    Py_ssize_t PyDict_Size(PyObject *d) except -1

# Hooks of all modules: module.py's own dictionaries, handed over below.
cdef tuple shared = ()


def share_hooks(*hooks):
    """Take the dictionaries of the hooks that every module has."""
    global shared
    shared = hooks


cdef inline bint filled(object hooks) except -1:
    return PyDict_Size(<PyObject *>hooks) > 0 if isinstance(hooks, dict) else bool(hooks)


cdef bint own_hooks(object module, object own, object name) except -1:
    cdef PyObject *hooks = PyDict_GetItemWithError(own, name)
    if hooks is NULL:
        raise AttributeError(f"'{type(module).__name__}' object has no attribute '{name}'; call super().__init__() first")
    return filled(<object>hooks)


def call(self, *args, **kwargs):
    """Call ``forward``, by way of the hooks where there are some."""
    cdef object own = PyObject_GenericGetDict(self, NULL)
    cdef bint hooked = own_hooks(self, own, "_forward_hooks") or own_hooks(self, own, "_forward_pre_hooks") \
        or own_hooks(self, own, "_backward_hooks") or own_hooks(self, own, "_backward_pre_hooks")
    if not hooked:
        for hooks in shared:
            if filled(hooks):
                hooked = True
                break
    if hooked:
        return self._call_with_hooks(args, kwargs)
    if kwargs or len(args) > MOST_ARGUMENTS:
        return self.forward(*args, **kwargs)
    return call_forward(self, "forward", args)


cdef bint collect(object module, tuple walk, set modules, set seen, list out) except -1:
    """Append the parameters of a module and those below it; False when a class walks its own way."""
    cdef PyObject *parameters
    cdef PyObject *children
    kind = type(module)
    if (kind.named_parameters, kind._named_members, kind.named_modules) != walk:
        return False
    own = PyObject_GenericGetDict(module, NULL)
    parameters = PyDict_GetItemWithError(own, "_parameters")
    children = PyDict_GetItemWithError(own, "_modules")
    if parameters is NULL or children is NULL:
        return False
    modules.add(module)
    for parameter in (<object>parameters).values():
        if parameter is not None and parameter not in seen:
            seen.add(parameter)
            out.append(parameter)
    for child in (<object>children).values():
        if child is not None and child not in modules and not collect(child, walk, modules, seen, out):
            return False
    return True


def all_parameters(module, tuple walk):
    """Return the parameters of a module and of all below it, each once; None when a class overrides the methods in `walk`."""
    cdef list out = []
    return out if collect(module, walk, set(), set(), out) else None
