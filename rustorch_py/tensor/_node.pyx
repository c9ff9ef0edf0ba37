"""The slot a tensor holds for its history. Knows no Tensor."""
cimport cython
from libc.stdint cimport uint64_t

# One counter for the process; with the GIL held an increment is atomic.
cdef uint64_t counter = 0


cdef uint64_t next_seq() noexcept:
    global counter
    counter += 1
    return counter


@cython.trashcan(True)        # a chain of 100,000 nodes is released without recursion
cdef class Node:
    def __cinit__(self):
        self.seq = next_seq()
        self.n_outputs = 1

    cdef object apply(self, object g):
        raise NotImplementedError(f"{type(self).__name__} has no gradient")

    cdef int release(self) except -1:
        self.s0 = self.s1 = self.s2 = None
        self.saved_more = None
        if self.extra is not None:
            self.extra.pop("packed", None)
        self.released = True
        return 0

    def name(self):
        """Return the operator's name, as PyTorch spells it (``MulBackward0``)."""
        return type(self).__name__

    @property
    def next_functions(self):
        """Edges to the inputs' histories: tuple of (node or accumulator, output number)."""
        return tuple((edge_target(self, i), edge_nr(self, i)) for i in range(self.n_edges))

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

    def register_hook(self, fn):
        """Call ``fn(grad_inputs, grad_outputs)`` after this node ran in backward; may return new grad_inputs."""
        return _add_hook(self, "post", fn)

    def register_prehook(self, fn):
        """Call ``fn(grad_outputs)`` before this node runs in backward; may return new grad_outputs."""
        return _add_hook(self, "pre", fn)

    def __repr__(self):
        return f"<{self.name()} object at {hex(id(self))}>"


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


class RemovableHandle:
    """Handle to take a hook out again; also a context manager.

    ``hooks`` is the dictionary id -> function that the hook lives in.
    """
    _next = 0
    __slots__ = ("hooks", "id", "__weakref__")

    def __init__(self, hooks, fn=None):
        RemovableHandle._next += 1
        self.hooks, self.id = hooks, RemovableHandle._next
        if fn is not None:
            hooks[self.id] = fn

    def remove(self):
        """Take the hook out; a second call does nothing."""
        if self.hooks is not None:
            self.hooks.pop(self.id, None)
            self.hooks = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()


def _add_hook(Node node, str kind, fn):
    if not callable(fn):
        raise TypeError(f"hook: expected a callable, got {type(fn).__name__}")
    if node.extra is None:
        node.extra = {}
    return RemovableHandle(node.extra.setdefault(kind, {}), fn)
