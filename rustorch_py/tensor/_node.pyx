"""The slot a tensor holds for its history. Knows no Tensor."""
cimport cython
from cpython.object cimport PyTypeObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uint64_t
from collections import OrderedDict
from ..errors import TensorTypeError
from ._hooks import add_hook

cdef list aliases = [None]               # names that nodes go by, see call_node
cdef dict alias_numbers = {}
cdef dict classes = {}                   # (class, name of a node) -> its subclass of that name

cdef extern from "Python.h":
    void Py_SET_TYPE(object o, PyTypeObject *type)

# One counter for the process; with the GIL held an increment is atomic.
cdef uint64_t counter = 0


cdef uint64_t next_seq() noexcept:
    global counter
    counter += 1
    return counter


cdef class Node:
    def __cinit__(self):
        self.seq = next_seq()
        self.n_outputs = 1

    cdef object apply(self, object g):
        raise NotImplementedError(f"{type(self).__name__} has no gradient")

    cdef object apply_many(self, object g, Py_ssize_t n):
        return NotImplemented

    cdef object own_name(self):
        return type(self).__name__

    cdef int release(self) except -1:
        self.s0 = self.s1 = self.s2 = None
        self.saved_more = None
        if self.extra is not None:
            self.extra.pop("packed", None)
        self.released = True
        return 0

    def name(self):
        """Return the operator's name, as PyTorch spells it (``MulBackward0``)."""
        return aliases[self.alias] if self.alias else self.own_name()

    @property
    def next_functions(self):
        """Edges to the inputs' histories: tuple of (node, output number); a leaf stands as its AccumulateGrad."""
        cdef int i
        cdef list edges = []
        for i in range(self.n_edges):
            target = edge_target(self, i)
            if target is not None:
                target = named(target) if isinstance(target, Node) else accumulator_of(target)
            edges.append((target, edge_nr(self, i)))
        return tuple(edges)

    @property
    def metadata(self):
        if self.extra is None:
            self.extra = {}
        return self.extra.setdefault("metadata", {})

    def _remember_trace(self, trace):
        """Keep the forward call's stack for anomaly reports."""
        if self.extra is None:
            self.extra = {}
        self.extra["trace"] = trace

    def _set_streams(self, streams):
        """Keep the streams that were current when the node was made, {device number: stream} (called by back ends)."""
        if self.extra is None:
            self.extra = {}
        self.extra["streams"] = streams

    def _get_streams(self):
        return None if self.extra is None else self.extra.get("streams")

    def register_hook(self, fn):
        """Call ``fn(grad_inputs, grad_outputs)`` after this node ran in backward; may return new grad_inputs."""
        return _add_hook(self, "post", fn)

    def register_prehook(self, fn):
        """Call ``fn(grad_outputs)`` before this node runs in backward; may return new grad_outputs."""
        return _add_hook(self, "pre", fn)

    def __repr__(self):
        return f"<{self.name().rpartition('::')[2]} object at {hex(id(self))}>"


def named(Node node):
    """Return the node, whose class carries the node's name from here on.

    Note [Classes of nodes]: in PyTorch each operator's node has a class of its own, and programs that draw graphs read
    ``type(t.grad_fn).__name__``. Here one class serves all rows of the table. So where a node is handed to Python, it becomes an
    instance of an empty subclass made for its name: same layout, same methods; nodes that nobody looks at are as they were.
    """
    cdef str name = node.name().rpartition("::")[2]
    kind = type(node)
    if kind.__name__ == name:
        return node
    own = classes.get((kind, name))
    if own is None:
        own = classes[kind, name] = type(kind)(name, (kind,), {"__slots__": (), "__module__": "builtins"})
    Py_INCREF(own)                       # an instance of a class made at run time owns a reference to it
    Py_SET_TYPE(node, <PyTypeObject *>own)
    if kind.__flags__ & 1 << 9:          # Py_TPFLAGS_HEAPTYPE
        Py_DECREF(kind)
    return node


cdef object edge_target(Node self, int i):
    if i == 0:
        return self.e0
    if i == 1:
        return self.e1
    if i == 2:
        return self.e2
    return self.more[i - 3][0]


cdef int edge_nr(Node self, int i):
    if i == 0:
        return self.i0
    if i == 1:
        return self.i1
    if i == 2:
        return self.i2
    return self.more[i - 3][1]


cdef int call_node(Node self, str name) except -1:
    """Let a node go by another name than its class's: that of the function whose last step it is."""
    number = alias_numbers.get(name)
    if number is None:
        number = alias_numbers[name] = len(aliases)
        aliases.append(name)
    self.alias = number
    return 0


def _add_hook(Node node, str kind, fn):
    if not callable(fn):
        raise TensorTypeError(f"hook: expected a callable, got {type(fn).__name__}")
    if node.extra is None:
        node.extra = {}
    return add_hook(node.extra.setdefault(kind, OrderedDict()), fn)


cdef object accumulator_of = None         # leaf tensor -> its AccumulateGrad (handed down by _leaf)


def set_accumulator(fn):
    """Install the function that gives a leaf's AccumulateGrad node (called once by _leaf)."""
    global accumulator_of
    accumulator_of = fn
