"""Registry of device back ends: the only mutable state here is `table`, written at import."""
from ..errors import BackendUnavailableError

cdef const RtBackend *table[RT_NDEVICETYPES]
table[0] = table[1] = table[2] = table[3] = table[4] = NULL

HINTS = {1: "cuda: no CUDA back end is loaded; install the extra with pip install 'rustorch_py[cuda]' on a machine with an NVIDIA driver",
         2: "metal: no Metal back end is loaded; it is built on macOS only",
         3: "meta: this kind of tensor has a shape and no elements to compute with"}
PLUGS = {1: "cuda", 2: "metal", 4: "tensor._meta"}     # device type -> the module of the package that is asked, once, to plug its back end in


cdef const RtBackend *look_for(int device_type) except NULL:
    """Ask the device's module to register; raise with its reason where it cannot."""
    why = None
    module = PLUGS.get(device_type)
    if module is not None:
        from importlib import import_module
        why = import_module(f"{__name__.split('.')[0]}.{module}").plug_in()
    if not 0 <= device_type < RT_NDEVICETYPES or table[device_type] is NULL:
        raise BackendUnavailableError(why or HINTS.get(device_type, f"unknown device type {device_type}"))
    return table[device_type]


cdef const RtBackend *backend_of(int device) except NULL:
    cdef const RtBackend *found = table[device & 255]
    return look_for(device & 255) if found is NULL else found


cdef const RtBackend *peek_backend(int device_type) noexcept nogil:
    return table[device_type]


cdef int register_backend(int device_type, const RtBackend *backend) except -1:
    if not 0 <= device_type < RT_NDEVICETYPES:
        raise ValueError(f"register_backend: device type {device_type} is not one of 0..{RT_NDEVICETYPES - 1}")
    table[device_type] = backend
    return 0


def is_registered(int device_type):
    """Tell whether a back end has plugged in for this device type (0 cpu, 1 cuda, 2 metal, 4 meta)."""
    return 0 <= device_type < RT_NDEVICETYPES and table[device_type] is not NULL
