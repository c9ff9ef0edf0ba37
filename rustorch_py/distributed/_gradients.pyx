"""Gradients in and out of the buckets of DistributedDataParallel: a loop over a bucket's parameters without Python calls.

For gradients on the CPU whose views in the bucket have their shape and dtype; for the others the functions return their places,
and the caller takes the operators.
"""
from ..tensor._backend cimport RT_CPU
from ..tensor._base cimport TensorBase, bump, rt_compute_dtype, same_shape
from ..tensor._plan cimport copy_raw, launch, wrap_number

include "../tensor/_row_ids.pxi"


cdef inline bint plain(TensorBase grad, TensorBase view):
    return grad is not None and grad.dev == RT_CPU and view.dev == RT_CPU and grad.dt == view.dt and not grad.rg and same_shape(grad, view)


def fill(list parameters, list views, double scale):
    """Write ``p.grad * scale`` of each parameter into its view; returns the places that are left."""
    cdef TensorBase grad, view, factor = wrap_number(scale, RT_CPU)
    cdef Py_ssize_t i
    cdef list left = []
    for i in range(len(parameters)):
        grad, view = (<TensorBase>parameters[i]).grad_, views[i]
        if not plain(grad, view):
            left.append(i)
        elif grad.ptr == view.ptr and scale == 1:
            continue
        elif scale == 1:
            copy_raw(view, grad)
        else:
            launch(4 * ROW_MUL, rt_compute_dtype(grad.dt), view, grad, factor, None, None, None, 0, 0)
    return left


def give(list parameters, list views):
    """Write each view into ``p.grad``; returns the places that are left."""
    cdef TensorBase grad, view
    cdef Py_ssize_t i
    cdef list left = []
    for i in range(len(parameters)):
        grad, view = (<TensorBase>parameters[i]).grad_, views[i]
        if not plain(grad, view):
            left.append(i)
        elif grad.ptr != view.ptr:
            copy_raw(grad, view)
            bump(grad)
    return left
