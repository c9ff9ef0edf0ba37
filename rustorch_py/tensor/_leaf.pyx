"""Hooks on tensors, and the node that stands for a leaf in a graph."""
import weakref
from collections import OrderedDict
from ._base cimport TensorBase, as_base, history, F_RETAIN_GRAD
from ._node cimport Node
from ._hooks import add_hook
from ._node import set_accumulator
from ..errors import AutogradError, TensorTypeError


cdef class AccumulateGrad(Node):
    """The end of a graph: adds what arrives to ``variable.grad``.

    The engine itself keeps leaves in its edges and needs no such nodes; one is made when ``next_functions`` is read, and the same
    one is given while somebody holds it. Its hooks live with the leaf.
    """
    cdef readonly object variable

    cdef object own_name(self):
        """Return the node's name, as PyTorch spells it."""
        return "torch::autograd::AccumulateGrad"

    @property
    def next_functions(self):
        """Nothing: the graph ends here."""
        return ()

    def register_hook(self, fn):
        """Call ``fn((), (grad,))`` after ``grad`` was added to ``variable.grad``."""
        return add_hook(leaf_hooks(fn, self.variable, "node_post"), fn)

    def register_prehook(self, fn):
        """Call ``fn((grad,))`` before ``grad`` is added; it may return another in a tuple."""
        return add_hook(leaf_hooks(fn, self.variable, "node_pre"), fn)


cdef object watcher = None        # told when the first hook is registered that runs after a gradient was added


def set_watcher(fn):
    """Install the function to tell (called by rustorch_py.autograd)."""
    global watcher
    watcher = fn


cdef object leaf_hooks(object fn, TensorBase t, str kind):
    if not callable(fn):
        raise TensorTypeError(f"hook: expected a callable, got {type(fn).__name__}")
    if watcher is not None and kind in ("post_hooks", "node_post"):
        watcher()
    if t.meta is None:
        t.meta = {}
    return t.meta.setdefault(kind, OrderedDict())


def accumulator_of(TensorBase leaf):
    """Return the node that stands for a leaf: the one in use, or a new one."""
    cdef AccumulateGrad node
    if leaf.meta is None:
        leaf.meta = {}
    ref = leaf.meta.get("accumulator")
    node = None if ref is None else ref()
    if node is None:
        node = AccumulateGrad.__new__(AccumulateGrad)
        node.variable = leaf
        leaf.meta["accumulator"] = weakref.ref(node)       # weak: no cycle between the leaf and its node
    return node


def register_hook(self, hook):
    """Call ``hook(grad)`` when this tensor's gradient is ready; a returned tensor replaces it.

    Returns a handle whose ``remove()`` takes the hook out.
    """
    cdef TensorBase t = as_base("register_hook", "self", self)
    cdef Node fn
    if not t.rg:
        raise AutogradError("cannot register a hook on a tensor that doesn't require gradient")
    fn = history(t)
    if fn is None:
        return add_hook(leaf_hooks(hook, t, "hooks"), hook)
    if not callable(hook):
        raise TensorTypeError(f"hook: expected a callable, got {type(hook).__name__}")
    if fn.extra is None:
        fn.extra = {}
    return add_hook(fn.extra.setdefault("tensor_hooks", {}).setdefault(t.out_nr, OrderedDict()), hook)


def register_post_accumulate_grad_hook(self, hook):
    """Call ``hook(tensor)`` after ``.grad`` of a leaf was updated in backward."""
    cdef TensorBase t = as_base("register_post_accumulate_grad_hook", "self", self)
    if not t.rg:
        raise AutogradError("cannot register a hook on a tensor that doesn't require gradient")
    if history(t) is not None:
        raise AutogradError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    return add_hook(leaf_hooks(hook, t, "post_hooks"), hook)


def retain_grad(self):
    """Keep the gradient of a tensor that is not a leaf in its ``.grad``."""
    cdef TensorBase t = as_base("retain_grad", "self", self)
    cdef Node fn
    if not t.rg:
        raise AutogradError("can't retain_grad on Tensor that has requires_grad=False")
    fn = history(t)
    if fn is None or t.flags & F_RETAIN_GRAD:
        return
    t.flags |= F_RETAIN_GRAD
    if fn.extra is None:
        fn.extra = {}
    fn.extra.setdefault("retain", {})[t.out_nr] = weakref.ref(t)


set_accumulator(accumulator_of)

FUNCTIONS = {}
METHODS = {f.__name__: f for f in (register_hook, register_post_accumulate_grad_hook, retain_grad)}
