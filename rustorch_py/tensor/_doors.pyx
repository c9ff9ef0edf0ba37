"""The devices' kernels by name, and the call to one: Note [Kernels of devices] in _devices.py."""
from cpython.object cimport PyObject
from ._base cimport TensorBase, RT_DEVICE_TYPE, RT_META
from ._dtype cimport device_of
from ._dtype import device
from ..errors import UnsupportedOpError

cdef extern from *:
    """
    static PyObject *(*rt_door)(PyObject *const *args, Py_ssize_t n);
    static PyObject *rt_run(PyObject *self, PyObject *const *args, Py_ssize_t n) { (void)self; return rt_door(args, n); }
    static PyMethodDef rt_run_def = {"run", (PyCFunction)(void (*)(void))rt_run, METH_FASTCALL, "run(name, tensor, *args)\\n--\\n\\n"
        "Run the kernel of that name of the tensor's device, with the tensor and args; returns what it returns.\\n\\n"
        "Raises:\\n    UnsupportedOpError: the device has no such kernel.\\n"};
    static PyObject *rt_make_run(PyObject *(*door)(PyObject *const *, Py_ssize_t)) { rt_door = door; return PyCFunction_New(&rt_run_def, NULL); }
    """
    object rt_make_run(object (*door)(PyObject *const *, Py_ssize_t))
    object PyObject_Vectorcall(object fn, PyObject *const *args, size_t n, PyObject *kwnames)
    PyObject *PyDict_GetItemWithError(object, object) except? NULL

cdef frozenset NOT_META = frozenset(("recurrent_scan", "recurrent_scan_back"))     # composed instead
cdef list by_type = [{} for _ in range(256)]       # of each type of device: name -> function


cdef object run_door(PyObject *const *args, Py_ssize_t n):
    """No tuple is made of the arguments: they go on as they came."""
    cdef TensorBase t
    cdef PyObject *found
    if n < 2:
        raise TypeError(f"run: expected a name and a tensor, got {n} arguments")
    t = <TensorBase?>args[1]
    found = PyDict_GetItemWithError(<dict>by_type[RT_DEVICE_TYPE(t.dev)], <object>args[0])
    if found == NULL:
        if t.dev & 255 == RT_META:
            return None                      # Note [Meta] in _meta.pyx
        raise UnsupportedOpError(f"{<object>args[0]}: has no kernel for {device_of(t.dev)} yet; move its inputs to 'cpu'", op=<object>args[0])
    return PyObject_Vectorcall(<object>found, args + 1, <size_t>(n - 1), NULL)


run = rt_make_run(run_door)


def provide(device_type, functions):
    """Let these functions, a dict by name, be a device type's kernels: what :func:`run` calls."""
    by_type[RT_DEVICE_TYPE(<int>device(device_type)._code)].update(functions)


def kernel_of(device_type, name):
    """Return a device type's kernel of that name, or None."""
    return by_type[RT_DEVICE_TYPE(<int>device(device_type)._code)].get(name)


def has_kernel(name, tensor):
    """Tell whether :func:`run` finds a kernel of that name for the tensor."""
    if (<TensorBase?>tensor).dev & 255 == RT_META:
        return <str>name not in NOT_META
    return name in by_type[RT_DEVICE_TYPE((<TensorBase?>tensor).dev)]
