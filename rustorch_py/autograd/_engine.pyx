"""The backward engine.

Nodes are run in decreasing order of their sequence number. A node's consumers were all recorded
after it, so their numbers are larger: when a node is taken, everything that flows into it has
arrived, without counting dependencies first. The order is kept in a binary heap; gradients on
their way wait in a dictionary. Nothing recurses, so depth is bounded by memory only.
"""
cimport cython
from _thread import get_ident
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_DECREF
from libc.stdint cimport uint64_t
from libc.stdlib cimport realloc, free
from ..tensor._base cimport (TensorBase, history, grad_mode, set_grad_mode, same_shape, shape_tuple, rt_kind, RT_KIND_COMPLEX,
                             F_CONTIG, empty_preserve, RT_SHELL)
from ..tensor._node cimport Node, edge_target, edge_nr
from ..tensor._base import only_to
from ..tensor._ops cimport binary, binary_inplace, cast, clone, sum_like, to_device
from ..tensor._overlap cimport is_dense, same_strides
from ..tensor._view cimport select_view
from ..tensor._plan cimport full_, clone_raw, contiguous_raw, copy_raw
from ..tensor._devices import has_kernel, run as run_on_device
from ..tensor._dtype cimport dtype, dtype_of
from ._function import FunctionCtx
from ..errors import AutogradError, ShapeError, TensorTypeError, TensorValueError

cdef extern from *:
    """
    static inline Py_ssize_t rt_refcnt(PyObject *o) { return Py_REFCNT(o); }
    static _Thread_local int rt_backward_depth = 0;
    """
    Py_ssize_t rt_refcnt(PyObject *o)          # a pointer: Cython holds an attribute's object while it is an argument
    int rt_backward_depth             # runs of this thread that are inside one another

include "../tensor/_row_ids.pxi"


@cython.final
@cython.no_gc_clear
cdef class Heap:
    """Nodes by sequence number, largest first. Holds its own references."""
    cdef uint64_t *seq
    cdef PyObject **node
    cdef Py_ssize_t n, room

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.n):
            Py_DECREF(<object>self.node[i])
        free(self.seq)
        free(self.node)

    cdef int push(self, Node x) except -1:
        cdef Py_ssize_t i, up
        cdef uint64_t *s
        cdef PyObject **p
        if self.n == self.room:
            self.room = 64 if self.room == 0 else 2 * self.room
            s = <uint64_t *>realloc(self.seq, self.room * sizeof(uint64_t))
            if s is NULL:
                raise MemoryError()
            self.seq = s
            p = <PyObject **>realloc(self.node, self.room * sizeof(PyObject *))
            if p is NULL:
                raise MemoryError()
            self.node = p
        Py_INCREF(x)
        i = self.n
        self.n += 1
        while i > 0:
            up = (i - 1) // 2
            if self.seq[up] >= x.seq:
                break
            self.seq[i] = self.seq[up]
            self.node[i] = self.node[up]
            i = up
        self.seq[i] = x.seq
        self.node[i] = <PyObject *>x
        return 0

    cdef Node pop(self):
        cdef Node top = <Node>self.node[0]
        cdef Py_ssize_t i = 0, child
        cdef uint64_t s
        cdef PyObject *p
        Py_DECREF(top)
        self.n -= 1
        if self.n:
            s = self.seq[self.n]
            p = self.node[self.n]
            while True:
                child = 2 * i + 1
                if child >= self.n:
                    break
                if child + 1 < self.n and self.seq[child + 1] > self.seq[child]:
                    child += 1
                if self.seq[child] <= s:
                    break
                self.seq[i] = self.seq[child]
                self.node[i] = self.node[child]
                i = child
            self.seq[i] = s
            self.node[i] = p
        return top


cdef bint anomaly = False
cdef bint check_nan = True


def set_anomaly(bint on, bint nan):
    """Switch the check of every gradient for NaN (called by autograd.anomaly)."""
    global anomaly, check_nan
    anomaly = on
    check_nan = nan


cdef object profiler = None               # (enter(name), leave(token)) while a profile runs


def set_profiler(pair):
    """Install the functions that are told of every node's start and end, or None (called by rustorch_py.profiler)."""
    global profiler
    profiler = pair


cdef object apply_profiled(Node node, object g):
    token = profiler[0](node.name())
    try:
        return apply(node, g)
    finally:
        profiler[1](token)


cdef object streams = None                # (enter(node), leave(token)) once a device's streams are used


def set_streams(pair):
    """Install the functions that let a node run on the streams of its forward (called by back ends)."""
    global streams
    streams = pair


cdef object apply(Node node, object g):
    """node.apply, on the streams that were current when it was recorded."""
    if streams is None:
        return node.apply(g)
    token = streams[0](node)
    try:
        return node.apply(g)
    finally:
        if token is not None:
            streams[1](token)


# Gradients of embeddings may be sparse tensors: shells of a device that does not exist (Note [Sparse tensors] in `tensor/_sparse`). They reach
# leaves, hooks and custom functions as they are; other nodes are given the strided tensor.
cdef inline bint is_sparse(TensorBase g):
    return g.dev == RT_SHELL and (<object>g).is_sparse


cdef inline TensorBase add_up(TensorBase a, TensorBase b):
    if a.dev == RT_SHELL or b.dev == RT_SHELL:
        return <object>b + <object>a if is_sparse(a) else <object>a + <object>b       # strided + sparse is what there is
    return <TensorBase>binary(ROW_ADD, a, b, None)


cdef int deliver_to(object target, int nr, TensorBase g, dict waiting, dict leaves, Heap heap, set needed) except -1:
    """Add a gradient to what waits for a node or a leaf."""
    cdef Node node
    cdef object old
    if isinstance(target, Node):
        node = <Node>target
        if needed is not None and node not in needed:
            return 0
        if g.dev == RT_SHELL and is_sparse(g) and not isinstance(node, FunctionCtx):
            g = (<object>g).to_dense()
        old = waiting.get(node)
        if node.n_outputs == 1:
            if old is None:
                waiting[node] = g
                heap.push(node)
            else:
                waiting[node] = add_up(<TensorBase>old, g)
        else:
            if old is None:
                old = waiting[node] = [None] * node.n_outputs
                heap.push(node)
            old[nr] = g if old[nr] is None else add_up(<TensorBase>old[nr], g)
    else:
        if needed is not None and target not in needed:
            return 0
        old = leaves.get(id(target))
        if old is None:
            leaves[id(target)] = [target, g]
        else:
            old[1] = add_up(<TensorBase>old[1], g)
    return 0


cdef object call_hooks(object hooks, object g):
    for fn in list(hooks.values()):
        got = fn(g)
        if got is not None:
            if not isinstance(got, TensorBase):
                raise TensorTypeError(f"hook: expected a Tensor or None, got {type(got).__name__}")
            g = got
    return g


cdef object before(Node node, object g):
    """Tensor hooks, retained gradients and node pre-hooks."""
    cdef dict extra = node.extra
    cdef TensorBase kept
    for nr, hooks in extra.get("tensor_hooks", {}).items():
        if node.n_outputs == 1:
            g = call_hooks(hooks, g)
        elif g[nr] is not None:
            g[nr] = call_hooks(hooks, g[nr])
    for nr, ref in extra.get("retain", {}).items():
        t = ref()
        got = g if node.n_outputs == 1 else g[nr]
        if t is not None and got is not None:
            kept = <TensorBase>t
            if kept.fn is not node and nr not in extra.get("retain_old", ()):     # written to since: another node keeps its gradient
                continue
            kept.grad_ = (clone(<TensorBase>got) if grad_mode() else clone_raw(<TensorBase>got)) if kept.grad_ is None else add_up(<TensorBase>kept.grad_, <TensorBase>got)
    for fn in list(extra.get("pre", {}).values()):
        got = fn((g,) if node.n_outputs == 1 else tuple(g))
        if got is not None:
            g = (got[0] if isinstance(got, (tuple, list)) else got) if node.n_outputs == 1 else list(got)
    return g


cdef object after(Node node, object grads, object g):
    """Node post-hooks."""
    for fn in list(node.extra.get("post", {}).values()):
        got = fn((grads,) if node.n_edges == 1 else tuple(grads), (g,) if node.n_outputs == 1 else tuple(g))
        if got is not None:
            grads = got[0] if node.n_edges == 1 and isinstance(got, (tuple, list)) else got
    return grads


cdef int check_anomaly(Node node, object grads) except -1:
    cdef object items = (grads,) if node.n_edges == 1 else grads
    for i, r in enumerate(items):
        if r is not None and check_nan and bool((r != r).any()):
            trace = (node.extra or {}).get("trace")
            if trace:
                import warnings
                warnings.warn(f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n{''.join(trace)}", UserWarning, stacklevel=1)
            where_ = f" Forward call:\n{''.join(trace[-2:])}" if trace else ""
            raise AutogradError(f"Function '{node.name()}' returned nan values in its {i}th output.{where_}", op=node.name(),
                                forward_trace=trace)
    return 0


cdef int gradient_dtype(TensorBase leaf) except -2:
    """The dtype that gradients of a leaf are cast to; -1: any (`Tensor.grad_dtype`)."""
    if leaf.meta is not None and "grad_dtype" in leaf.meta:
        found = leaf.meta["grad_dtype"]
        return -1 if found is None else (<dtype>found).code
    return leaf.dt


cdef TensorBase fit(TensorBase leaf, TensorBase g):
    """The gradient in the leaf's shape, device and the dtype it asks for."""
    cdef int dt = gradient_dtype(leaf)
    if not same_shape(leaf, g):
        try:
            g = sum_like(g, leaf)
        except ShapeError:
            pass
        if not same_shape(leaf, g):
            raise AutogradError(f"gradient: got shape {list(shape_tuple(g))}, but expected a shape compatible with {list(shape_tuple(leaf))}")
    if g.dev == RT_SHELL and is_sparse(g):
        return g if g.dt == dt or dt < 0 else (<object>g).to(dtype_of(dt))
    if g.dt != dt and dt >= 0:
        g = cast(g, dt)
    if g.dev != leaf.dev:
        g = to_device(g, leaf.dev)
    return g


cdef TensorBase node_hooks(object hooks, TensorBase g):
    """Pre-hooks of a leaf's AccumulateGrad."""
    for fn in list(hooks.values()):
        got = fn((g,))
        if got is not None:
            g = <TensorBase?>(got[0] if isinstance(got, (tuple, list)) else got)
    return g


cdef int accumulate(TensorBase leaf, object holder) except -1:
    """Add to leaf.grad. A gradient that nobody else holds becomes .grad itself; else it is copied."""
    cdef TensorBase g = <TensorBase>holder[1], kept
    cdef object hooks
    holder[1] = None
    if leaf.meta is not None:
        hooks = leaf.meta.get("hooks")
        if hooks:
            g = <TensorBase>call_hooks(hooks, g)
        hooks = leaf.meta.get("node_pre")
        if hooks:
            g = node_hooks(hooks, g)
    g = fit(leaf, g)
    if g.dev == RT_SHELL and is_sparse(g) or leaf.grad_ is not None and (<TensorBase>leaf.grad_).dev == RT_SHELL:
        from ..tensor._sparse import accumulated
        leaf.grad_ = accumulated(leaf.grad_, g, grad_mode())
    elif leaf.grad_ is None:
        if grad_mode():
            leaf.grad_ = g if rt_refcnt(<PyObject *>g) == 1 and g.flags & F_CONTIG else clone(g)
        elif rt_refcnt(<PyObject *>g) == 1 and rt_refcnt(<PyObject *>g.stor) == 1 and (g.flags & leaf.flags & F_CONTIG or same_strides(g, leaf) and is_dense(g)):
            g.base = None
            leaf.grad_ = g
        elif leaf.flags & F_CONTIG:
            leaf.grad_ = clone_raw(contiguous_raw(g)) if g.flags & F_CONTIG else contiguous_raw(g)
        elif is_dense(leaf):                                 # in the leaf's own order, whatever the gradient's
            kept = empty_preserve(leaf, g.dt)
            copy_raw(kept, g)
            leaf.grad_ = kept
        else:
            leaf.grad_ = clone_raw(g)
    elif grad_mode():
        leaf.grad_ = add_up(<TensorBase>leaf.grad_, g)
    else:
        binary_inplace(ROW_ADD, leaf.grad_, g)
    if leaf.meta is not None:
        hooks = leaf.meta.get("post_hooks")
        if hooks:
            for fn in list(hooks.values()):
                fn(leaf)
        hooks = leaf.meta.get("node_post")
        if hooks:
            for fn in list(hooks.values()):
                fn((), (g,))
    return 0


# Note [Leaves that are final early]
# Gradients of leaves are added to .grad when all nodes have run. Where somebody waits for them (post-accumulate hooks: optimizers that
# step in backward, DistributedDataParallel), a leaf is handed over as soon as no node that is left can add to it: when the next node's
# number is below that of the leaf's first consumer. The numbers are found by a walk over the graph, made only once such hooks exist.
cdef bint watched = False


def watch_leaves():
    """Look for leaves with post-accumulate hooks from now on (called when the first hook is registered)."""
    global watched
    watched = True


@cython.final
cdef class Early:
    """The watched leaves of a graph, by their first consumer's number, largest first."""
    cdef list order               # (-number, place, leaf)
    cdef Py_ssize_t at
    cdef uint64_t seq             # number of the next leaf's first consumer; 0: no leaf is left

    cdef int step(self) except -1:
        self.at += 1
        self.seq = 0 if self.at >= len(self.order) else <uint64_t>(-<object>self.order[self.at][0])
        return 0

    cdef int hand_over(self, Heap heap, dict leaves) except -1:
        """Accumulate every leaf that is final now."""
        cdef object holder
        while self.seq and (heap.n == 0 or heap.seq[0] < self.seq):
            holder = leaves.pop(id(self.order[self.at][2]), None)
            self.step()
            if holder is not None:
                accumulate(<TensorBase>holder[0], holder)
        return 0


cdef Early find_watched(list roots):
    """Walk the graph; None if no leaf in it is watched."""
    cdef dict first = {}, leaf_of = {}
    cdef set seen = set()
    cdef list stack = []
    cdef Node node
    cdef TensorBase leaf
    cdef Early early
    cdef int i
    for t in roots:
        fn = history(<TensorBase>t)
        if fn is not None and fn not in seen:
            seen.add(fn)
            stack.append(fn)
    while stack:
        node = <Node>stack.pop()
        for i in range(node.n_edges):
            target = edge_target(node, i)
            if target is None:
                continue
            if isinstance(target, Node):
                if target not in seen:
                    seen.add(target)
                    stack.append(target)
            else:
                leaf = <TensorBase>target
                if leaf.meta is not None and (leaf.meta.get("post_hooks") or leaf.meta.get("node_post")):
                    old = first.get(id(leaf))
                    if old is None or node.seq < old:
                        first[id(leaf)] = node.seq
                        leaf_of[id(leaf)] = leaf
    if not first:
        return None
    early = Early.__new__(Early)
    early.order = sorted([(-number, place, leaf_of[place]) for place, number in first.items()])
    early.at = -1
    early.step()
    return early


cdef list leaves_of(object roots, set seen, bint first):
    """The leaves in the graph of roots, each once; `seen` (leaves and nodes) is not searched. With `first` no more than one."""
    cdef list stack = [], found = []
    cdef Node node
    cdef int i
    for t in roots:
        fn = history(<TensorBase?>t)
        stack.append(fn if fn is not None else t)
    while stack:
        x = stack.pop()
        if x in seen:
            continue
        seen.add(x)
        if not isinstance(x, Node):
            found.append(x)
            if first:
                break
            continue
        node = <Node>x
        for i in range(node.n_edges):
            target = edge_target(node, i)
            if target is not None:
                stack.append(target)
    return found


def reachable_leaves(roots):
    """Return the leaves in the graph of roots, each once (for DistributedDataParallel)."""
    return leaves_of(roots, set(), False)


cdef dict queued = {}          # thread id -> functions to call when its outermost run ends


def is_running():
    """Tell whether a backward runs in this thread."""
    return rt_backward_depth != 0


def queue_callback(fn):
    """Call ``fn()`` when the backward that runs now, in this thread, has accumulated every gradient.

    Raises:
        RuntimeError: no backward is running.
    """
    if rt_backward_depth == 0:
        raise AutogradError("Final callbacks can only be installed during backward pass.", op="queue_callback")
    queued.setdefault(get_ident(), []).append(fn)


cdef int run_queued() except -1:
    cdef list waiting_ = queued.get(get_ident())
    while waiting_:
        waiting_.pop(0)()
    queued.pop(get_ident(), None)
    return 0


cdef set find_needed(list roots, list inputs):
    """Nodes and leaves on a way from the roots to the inputs."""
    cdef set wanted = set(), needed = set(), seen = set()
    cdef dict parents = {}
    cdef list stack = []
    cdef Node node
    cdef int i
    for t in inputs:
        fn = history(<TensorBase>t)
        wanted.add(fn if fn is not None else t)
    for t in roots:
        fn = history(<TensorBase>t)
        stack.append(fn if fn is not None else t)
    while stack:
        x = stack.pop()
        if x in seen:
            continue
        seen.add(x)
        if isinstance(x, Node):
            node = <Node>x
            for i in range(node.n_edges):
                target = edge_target(node, i)
                if target is not None:
                    parents.setdefault(target, []).append(node)
                    stack.append(target)
    stack = [x for x in wanted if x in seen]
    while stack:
        x = stack.pop()
        if x in needed:
            continue
        needed.add(x)
        stack.extend(parents.get(x, ()))
    return needed


def reaches_other_leaves(roots, inputs):
    """Tell whether the graph of roots holds a leaf that is none of inputs; beyond inputs nothing is searched (for rustorch_py.func)."""
    cdef set seen = set()
    for t in inputs:
        fn = history(<TensorBase?>t)
        seen.add(fn if fn is not None else t)
    return bool(leaves_of(roots, seen, True))


cdef int partial = 0          # runs under way that serve given inputs only


def _is_checkpoint_valid():
    """Tell whether every leaf of the graph gets its gradient from the runs under way (for checkpoint)."""
    return partial == 0


# Note [Many gradients at once]
# Jacobians pull many gradients through one graph. A run of n gradients carries them along a dimension 0 of their own; a node makes of them
# what it makes of one by `apply_many`, in one go where its derivative is made of operators that broadcast. Nodes that have no such way
# (NotImplemented), custom functions and nodes with hooks see one gradient after the other, and only they do.
cdef object one_of(object g, Py_ssize_t i):
    """The i-th of many gradients."""
    if isinstance(g, TensorBase):
        return select_view(<TensorBase>g, 0, i)
    return [None if x is None else select_view(<TensorBase>x, 0, i) for x in g]


cdef object together(list rows):
    """Many gradients, made one by one, along a new dimension 0."""
    from ..tensor import stack
    first = rows[0]
    if first is None or isinstance(first, TensorBase):
        return None if first is None else stack(rows)
    return [None if column[0] is None else stack(list(column)) for column in zip(*rows)]


cdef object apply_each(Node node, object g, Py_ssize_t n):
    """A node's gradients one by one, with its hooks."""
    cdef Py_ssize_t i
    cdef list rows = []
    for i in range(n):
        one = one_of(g, i)
        if node.extra is not None:
            one = before(node, one)
        out = apply(node, one) if profiler is None else apply_profiled(node, one)
        rows.append(out if node.extra is None else after(node, out, one))
    return together(rows)


cdef inline bint has_hooks(Node node):
    return node.extra is not None and ("tensor_hooks" in node.extra or "pre" in node.extra or "post" in node.extra or "retain" in node.extra)


cdef object hooked(Node node, object g, Py_ssize_t n):
    """Many gradients after the hooks of their tensors."""
    return together([before(node, one_of(g, i)) for i in range(n)])


cdef object apply_all(Node node, object g, Py_ssize_t n):
    cdef object out
    if profiler is not None or has_hooks(node):
        return apply_each(node, g, n)
    out = node.apply_many(g, n)
    return apply_each(node, g, n) if out is NotImplemented else out


cdef TensorBase fit_many(TensorBase leaf, TensorBase g, object hooks, Py_ssize_t n):
    """`fit` of many gradients, and the hooks before it."""
    cdef int dt = gradient_dtype(leaf)
    if not hooks and g.nd == leaf.nd + 1 and (dt < 0 or g.dt == dt) and g.dev == leaf.dev and shape_tuple(g)[1:] == shape_tuple(leaf):
        return g
    rows = [one_of(g, i) for i in range(n)]
    return together([fit(leaf, <TensorBase?>(call_hooks(hooks, row) if hooks else row)) for row in rows])


cdef object run(list roots, list grads, bint keep_graph, bint create_graph, list inputs, bint into_grad, Py_ssize_t many=-1):
    """Backward from `roots`. Without inputs: accumulate into leaves. With inputs: return or accumulate those only.
    many >= 0: `grads` are so many gradients each, see Note [Many gradients at once]."""
    cdef dict waiting = {}, leaves = {}, captured = {}
    cdef Heap heap = Heap.__new__(Heap)
    cdef set needed = None
    cdef Node node
    cdef TensorBase t
    cdef object g, out, target, before_it
    cdef int i
    cdef bint old_mode = grad_mode()
    cdef dict want_nodes = {}
    cdef Early early = None
    cdef uint64_t early_seq = 0
    global partial, rt_backward_depth
    if inputs is not None:
        needed = find_needed(roots, inputs)
        for t in inputs:
            fn = history(t)
            if fn is not None:
                want_nodes.setdefault(fn, set()).add(t.out_nr)
    elif watched:
        early = find_watched(roots)
        if early is not None:
            early_seq = early.seq
    set_grad_mode(create_graph)
    partial += inputs is not None
    rt_backward_depth += 1
    try:
        for i in range(len(roots)):
            t = <TensorBase>roots[i]
            fn = history(t)
            deliver_to(fn if fn is not None else t, t.out_nr if fn is not None else 0, <TensorBase>grads[i], waiting, leaves, heap, needed)
        fn = None
        while heap.n:
            if early_seq != 0 and heap.seq[0] < early_seq:
                early.hand_over(heap, leaves)
                early_seq = early.seq
            node = heap.pop()
            g = waiting.pop(node)
            if node.extra is not None and many < 0:
                g = before(node, g)
            if inputs is not None and node in want_nodes:
                if many >= 0 and has_hooks(node):
                    whole = hooked(node, g, many)
                else:
                    whole = g
                for nr in want_nodes[node]:
                    captured[node, nr] = whole if node.n_outputs == 1 else whole[nr]
                if not any_needed(node, needed):
                    continue
            if many >= 0:
                out = apply_all(node, g, many)
            else:
                if needed is not None and node.n_edges > 1 and not all_needed(node, needed):
                    before_it = only_to(node, needed)
                    try:
                        out = apply(node, g) if profiler is None else apply_profiled(node, g)
                    finally:
                        only_to(*before_it)
                else:
                    out = apply(node, g) if profiler is None else apply_profiled(node, g)
                if node.extra is not None:
                    out = after(node, out, g)
            if anomaly:
                check_anomaly(node, out)
            if not keep_graph:
                node.release()
            g = None
            if node.n_edges == 1:
                if out is not None and node.e0 is not None:
                    target = node.e0
                    i = node.i0
                    node = None
                    deliver_to(target, i, <TensorBase?>out, waiting, leaves, heap, needed)
            else:
                for i in range(node.n_edges):
                    if out[i] is not None:
                        target = edge_target(node, i)
                        if target is not None:
                            deliver_to(target, edge_nr(node, i), <TensorBase?>out[i], waiting, leaves, heap, needed)
            out = target = None
        if inputs is None:
            if early_seq != 0:
                early.hand_over(heap, leaves)
            for holder in leaves.values():
                accumulate(<TensorBase>holder[0], holder)
            if queued and rt_backward_depth == 1:
                run_queued()
            return None
        result = []
        for t in inputs:
            fn = history(t)
            if fn is None:
                holder = leaves.get(id(t))
                g = None
                if holder is not None:
                    if into_grad:
                        accumulate(t, holder)
                        continue
                    g = holder[1]
                    if many >= 0:
                        result.append(fit_many(t, <TensorBase>g, None if t.meta is None else t.meta.get("hooks"), many))
                        continue
                    if t.meta is not None and t.meta.get("hooks"):
                        g = call_hooks(t.meta["hooks"], g)
                    g = fit(t, <TensorBase>g)
            else:
                g = captured.get((fn, t.out_nr))
                if g is not None and into_grad:
                    t.grad_ = g if t.grad_ is None else add_up(<TensorBase>t.grad_, <TensorBase>g)
            result.append(g)
        if queued and rt_backward_depth == 1:
            run_queued()
        return result
    finally:
        set_grad_mode(old_mode)
        partial -= inputs is not None
        rt_backward_depth -= 1
        if queued and rt_backward_depth == 0:
            queued.pop(get_ident(), None)


cdef bint any_needed(Node node, set needed):
    cdef int i
    for i in range(node.n_edges):
        target = edge_target(node, i)
        if target is not None and target in needed:
            return True
    return False


cdef bint all_needed(Node node, set needed):
    cdef int i
    for i in range(node.n_edges):
        target = edge_target(node, i)
        if target is not None and target not in needed:
            return False
    return True


cdef list first_grads(object op, list tensors, object grads, bint create_graph, Py_ssize_t many=-1):
    """One starting gradient a root: ones for a scalar, else the given tensor, checked; many >= 0: of so many each."""
    cdef list out = []
    cdef TensorBase t, g, one
    if grads is None:
        grads = [None] * len(tensors)
    elif isinstance(grads, TensorBase):
        grads = [grads]
    else:
        grads = list(grads)
    if len(grads) != len(tensors):
        raise AutogradError(f"{op}: got {len(tensors)} tensors and {len(grads)} gradients")
    for i in range(len(tensors)):
        if not isinstance(tensors[i], TensorBase):
            raise TensorTypeError(f"{op}: element {i} of tensors must be Tensor, not {type(tensors[i]).__name__}")
        t = <TensorBase>tensors[i]
        if not t.rg:
            raise AutogradError(f"element {i} of tensors does not require grad and does not have a grad_fn")
        if grads[i] is None:
            if t.n != 1:
                raise AutogradError("grad can be implicitly created only for scalar outputs")
            if rt_kind(t.dt) == RT_KIND_COMPLEX:
                raise AutogradError(f"grad can be implicitly created only for real scalar outputs but got {dtype_of(t.dt)}")
            g = None
            if t.nd == 0 and t.dev != 0 and not create_graph and has_kernel("one", t):
                g = <TensorBase>run_on_device("one", t)
            if g is None:
                g = full_(t.nd, t.sh, 1, t.dt, t.dev)
        else:
            if not isinstance(grads[i], TensorBase):
                raise TensorTypeError(f"gradients can be either Tensors or None, but got {type(grads[i]).__name__}")
            g = <TensorBase>grads[i]
            if many >= 0 and (g.nd == 0 or g.sh[0] != many):
                raise AutogradError(f"{op}: is_grads_batched: grad_outputs must have one number of gradients in dimension 0; element 0 has {many}, element {i} "
                                    f"has shape {list(shape_tuple(g))}")
            if shape_tuple(g)[1:] != shape_tuple(t) if many >= 0 else not same_shape(g, t):
                raise AutogradError(f"If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch dimension. The sizes of the "
                                    f"remaining dimensions are expected to match the shape of corresponding output, but a mismatch was detected: "
                                    f"grad_output[{i}] has a shape of {g.shape} and output[{i}] has a shape of {t.shape}." if many >= 0 else
                                    f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and output[{i}] has a shape of {t.shape}.")
            if (rt_kind(g.dt) == RT_KIND_COMPLEX) != (rt_kind(t.dt) == RT_KIND_COMPLEX):
                raise AutogradError(f"For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: "
                                    f"grad_output[{i}] has a dtype of {dtype_of(g.dt)} and output[{i}] has a dtype of {dtype_of(t.dt)}.")
            if g.dev != t.dev:
                raise AutogradError(f"invalid gradient at index {i}: expected device {(<object>t).device} but got {(<object>g).device}")
            g = cast(g, t.dt)
        out.append(g)
    return out


def tensor_backward(tensor, gradient, retain_graph, create_graph, inputs):
    """Run Tensor.backward."""
    backward(tensor, gradient, retain_graph, create_graph, None, inputs)


cdef set told = set()                    # warnings that are given once


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, grad_variables=None, inputs=None):
    """Compute the gradients of ``tensors`` for the leaves of their graphs and add them to ``.grad``.

    Args:
        tensors: tensor or sequence of tensors.
        grad_tensors: gradients of the outcome with respect to each; needed where one has several elements.
        retain_graph: keep saved tensors (default: create_graph).
        create_graph: record the gradients' own graph.
        inputs: tensors to accumulate into; default all leaves.
    Raises:
        RuntimeError: a tensor without history, a missing gradient, or a graph already freed.
    """
    cdef list roots = [tensors] if isinstance(tensors, TensorBase) else list(tensors)
    if grad_variables is not None:
        if grad_tensors is not None:
            raise AutogradError("'grad_tensors' and 'grad_variables' (deprecated) arguments both passed to backward(). Please only use 'grad_tensors'.")
        grad_tensors = grad_variables
    if inputs is not None:
        inputs = [inputs] if isinstance(inputs, TensorBase) else list(inputs)
        if not inputs:
            raise AutogradError("`inputs` argument to `backward()` cannot be empty.")
        for x in inputs:
            if isinstance(x, TensorBase) and not (<TensorBase>x).rg:
                raise AutogradError("backward: one of the inputs does not require gradients: can't retain_grad on Tensor that has requires_grad=False")
    if create_graph and "create_graph" not in told:
        told.add("create_graph")
        import warnings
        warnings.warn("Using backward() with create_graph=True will create a reference cycle between the parameter and its gradient which can cause a "
                      "memory leak. We recommend using autograd.grad when creating the graph to avoid this. If you have to use this function, make sure "
                      "to reset the .grad fields of your parameters to None after use to break the cycle and avoid the leak.", UserWarning, stacklevel=3)
    run(roots, first_grads("backward", roots, grad_tensors, create_graph), create_graph if retain_graph is None else retain_graph,
        create_graph, inputs, True)


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, only_inputs=True, allow_unused=None,
         is_grads_batched=False, materialize_grads=False):
    """Return the gradients of ``outputs`` with respect to ``inputs``, as a tuple; ``.grad`` is left alone.

    Raises:
        RuntimeError: an input was not used (unless allow_unused).
    """
    cdef list outs = [outputs] if isinstance(outputs, TensorBase) else list(outputs)
    cdef list ins = [inputs] if isinstance(inputs, TensorBase) else list(inputs)
    if not only_inputs:
        import warnings
        warnings.warn("only_inputs argument is deprecated and is ignored now (defaults to True)", FutureWarning, stacklevel=2)
    if not ins:
        raise AutogradError("`inputs` argument to `grad()` cannot be empty.")
    if materialize_grads and allow_unused is False:
        raise TensorValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False.")
    if allow_unused is None:
        allow_unused = materialize_grads
    for i, x in enumerate(ins):
        if not isinstance(x, TensorBase):
            raise TensorTypeError(f"grad: element {i} of inputs must be Tensor, not {type(x).__name__}")
        if not (<TensorBase>x).rg:
            raise AutogradError("One of the differentiated Tensors does not require grad")
    if is_grads_batched:
        return _batched(outs, ins, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads)
    got = run(outs, first_grads("grad", outs, grad_outputs, create_graph), create_graph if retain_graph is None else retain_graph,
              create_graph, ins, False)
    return unused(got, ins, allow_unused, materialize_grads, -1)


cdef tuple unused(list got, list ins, bint allow_unused, bint materialize_grads, Py_ssize_t many):
    """The gradients, after what is to be done where there is none."""
    cdef TensorBase t
    for i in range(len(got)):
        if got[i] is None:
            if not allow_unused:
                raise AutogradError(f"The differentiated Tensor at index {i} appears to not have been used in the graph. Set allow_unused=True if "
                                    "this is the desired behavior.")
            if materialize_grads:
                t = ins[i]
                got[i] = full_(t.nd, t.sh, 0, t.dt, t.dev)
                if many >= 0:
                    got[i] = got[i].expand((many,) + shape_tuple(t)).contiguous()
    return tuple(got)


cdef object _batched(list outs, list ins, object grad_outputs, object retain_graph, bint create_graph, bint allow_unused, bint materialize):
    """grad() for each index of a leading dimension of grad_outputs, along that dimension: one run, see Note [Many gradients at once]."""
    cdef list grads = [grad_outputs] if grad_outputs is None or isinstance(grad_outputs, TensorBase) else list(grad_outputs)
    cdef Py_ssize_t n
    for g in grads:
        if not isinstance(g, TensorBase) or (<TensorBase>g).nd == 0:
            raise TensorValueError("grad: is_grads_batched=True: grad_outputs must be tensors with the gradients along dimension 0, got "
                                f"{'a tensor without dimensions' if isinstance(g, TensorBase) else type(g).__name__}")
    n = (<TensorBase>grads[0]).sh[0] if grads else 0
    keep = create_graph if retain_graph is None else retain_graph
    if n == 0:                               # the shapes of what comes out, from one gradient
        from ..tensor import zeros_like
        one = _batched(outs, ins, [zeros_like(o)[None] for o in outs], keep, create_graph, allow_unused, materialize)
        return tuple([None if x is None else x[:0] for x in one])
    got = run(outs, first_grads("grad", outs, grads, create_graph, n), keep, create_graph, ins, False, n)
    return unused(got, ins, allow_unused, materialize, n)
