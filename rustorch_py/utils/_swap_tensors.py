"""Exchange of what two tensors hold."""
import copyreg
import weakref

from ..errors import TensorError
from ..tensor._tensor import swap_contents


def swap_tensors(t1, t2):
    """Exchange the contents of two tensors (memory, type, attributes, history, gradient); who holds one of them then sees the other's.

    Swap between backward and the next forward: a graph recorded before keeps giving its gradients to the same two objects.

    Args:
        t1, t2: tensors of classes with the same slots.
    Raises:
        RuntimeError: something refers weakly to one of them, or their slots differ.
    """
    for name, t in (("t1", t1), ("t2", t2)):
        if weakref.getweakrefs(t):
            raise TensorError(f"Cannot swap {name} because it has weakref associated with it", op="swap_tensors")
    slots = set(copyreg._slotnames(type(t1)))
    if slots != set(copyreg._slotnames(type(t2))):
        raise TensorError("Cannot swap t1 and t2 if they have different slots", op="swap_tensors")
    attributes = dict(t1.__dict__), dict(t2.__dict__)
    for t, new in zip((t2, t1), attributes):
        t.__dict__.clear()
        t.__dict__.update(new)
    absent = object()
    for slot in slots:
        old = [getattr(t, slot, absent) for t in (t1, t2)]
        for t, value in zip((t2, t1), old):
            if value is not absent:
                setattr(t, slot, value)
            elif hasattr(t, slot):
                delattr(t, slot)
    swap_contents(t1, t2)
