cimport cython
from libc.stdint cimport int32_t, uint32_t, uint64_t

@cython.trashcan(True)        # said here, where classes of other modules inherit it: chains of any length are released without recursion
cdef class Node:
    """A recorded operator: edges to the inputs' histories and what its gradient reads.

    Knows no Tensor type. An edge target is a Node (history of the input), a leaf tensor that
    accumulates into .grad, or None (no gradient wanted).
    """
    cdef readonly uint64_t seq            # creation order; a consumer's is always larger
    cdef object e0, e1, e2                # edge targets 0..2
    cdef int32_t i0, i1, i2               # which output of the target the edge came from
    cdef list more                        # edges 3.. as (target, output_nr) tuples
    cdef int32_t n_edges
    cdef int32_t n_outputs
    cdef object s0, s1, s2                # saved tensors (inputs, or outputs without history)
    cdef list saved_more                  # further saved tensors
    cdef uint32_t v0, v1, v2              # their versions when saved
    cdef list versions_more
    cdef uint32_t out_mask                # bit i: saved slot i is this node's own output
    cdef bint released
    cdef int32_t alias                    # which name it goes by (`call_node`), 0: its own
    cdef dict extra                       # hooks, anomaly trace, metadata; None mostly
    cdef object __weakref__

    # Gradient of the outputs -> gradients of the inputs. `g` is a Tensor when n_outputs == 1,
    # else a list with None where no gradient came. Returns a Tensor or None when n_edges == 1,
    # else a tuple or list. Runs with grad mode as create_graph asks: built from operators that
    # record themselves, so double backward needs nothing more.
    cdef object apply(self, object g)
    # The same for n gradients at once, which lie along a new dimension 0 of `g` and of what is returned; NotImplemented: the engine
    # calls `apply` for one after the other.
    cdef object apply_many(self, object g, Py_ssize_t n)
    cdef object own_name(self)
    # Drop saved tensors (after a backward without retain_graph). Overriders call up.
    cdef int release(self) except -1

cdef int call_node(Node self, str name) except -1

cdef object edge_target(Node self, int i)
cdef int edge_nr(Node self, int i)
cdef uint64_t next_seq() noexcept
