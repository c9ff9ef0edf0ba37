"""Sobol sequences: the loops behind `quasirandom.SobolEngine`, under PyTorch's names.

Note [Direction numbers]
joe_kuo.bin holds Joe and Kuo's table of 21201 dimensions. The primitive polynomials rise from dimension to dimension, so the first 21200
bytes are half of each step. Bits follow, lowest first: of each dimension after the first, for i = 1 .. degree - 1, the i + 1st initial number
without its last bit, which is always 1, in i bits (a number m_i is below 2**i; the first is 1).
"""
import os
from libc.stdint cimport int64_t, uint8_t
from ._base cimport TensorBase, F_CONTIG, RT_F32, RT_F64, RT_I64, as_base, bump, empty, shape_tuple
from ._plan cimport contiguous_raw, copy_raw
from ._dtype cimport default_code, dtype_code, torch_name

from ..errors import ShapeError, TensorError, UnsupportedOpError

cdef enum:
    BITS = 30
    DIMENSIONS = 21201
cdef bytes table = None


cdef bytes direction_table():
    global table
    if table is None:
        with open(os.path.join(os.path.dirname(__file__), "joe_kuo.bin"), "rb") as f:
            table = f.read()
    return table


cdef TensorBase longs(object op, object name, object given, int nd, int64_t rows, bint written):
    """A tensor of int64 on the CPU with `rows` rows or more, of BITS columns if it has several dimensions."""
    cdef TensorBase t = as_base(op, name, given)
    if t.dt != RT_I64:
        raise TensorError(f"{name} needs to be of type Long", op=op)
    if t.nd != nd or t.sh[0] < rows or nd > 1 and t.sh[1] != BITS or t.dev & 255 or written and not t.flags & F_CONTIG:
        raise ShapeError(f"{op}: expected {name} with {rows} rows{f' of {BITS} numbers' if nd > 1 else ''}, contiguous and on the CPU, "
                         f"got shape {shape_tuple(t)}", op=op)
    if not 0 <= rows <= DIMENSIONS:
        raise TensorError(f"{op}: expected dimension in [1, {DIMENSIONS}], got {rows}", op=op)
    return contiguous_raw(t)


cdef inline int lowest_zero(int64_t n) noexcept nogil:
    cdef int at = 0
    while n & 1:
        n >>= 1
        at += 1
    return at


def initialize_state_(sobolstate, dimension):
    """Fill (dimension, 30) with direction numbers; Note [Direction numbers]."""
    cdef int64_t rows = dimension, d, at = 0
    cdef TensorBase state = longs("_sobol_engine_initialize_state_", "sobolstate", sobolstate, 2, rows, True)
    cdef bytes packed = direction_table()
    cdef const uint8_t *steps = packed
    cdef const uint8_t *bits = steps + DIMENSIONS - 1
    cdef int64_t poly = 1, value
    cdef int64_t *row
    cdef int degree, i, k
    with nogil:
        for d in range(rows):
            row = <int64_t *>state.ptr + d * BITS
            if d == 0:
                for i in range(BITS):
                    row[i] = 1 << (BITS - 1 - i)
                continue
            poly += 2 * steps[d - 1]
            degree = 0
            while poly >> (degree + 1):
                degree += 1
            row[0] = 1
            for i in range(1, degree):
                value = 0
                for k in range(i):
                    value |= <int64_t>(bits[at >> 3] >> (at & 7) & 1) << k
                    at += 1
                row[i] = 2 * value + 1
            for i in range(degree, BITS):
                value = row[i - degree] ^ row[i - degree] << degree
                for k in range(1, degree):
                    if poly >> (degree - k) & 1:
                        value ^= row[i - k] << k
                row[i] = value
            for i in range(BITS):
                row[i] <<= BITS - 1 - i
    bump(state)
    return sobolstate


def draw(quasi, n, sobolstate, dimension, num_generated, dtype=None):
    """Return the next n points (n, dimension) and the state behind the last one."""
    cdef object op = "_sobol_engine_draw"
    cdef int64_t dims = dimension, points = n, made = num_generated, i, d
    cdef TensorBase state = longs(op, "sobolstate", sobolstate, 2, dims, False), now = longs(op, "quasi", quasi, 1, dims, False), after, turned, out
    cdef int dt = default_code() if dtype is None else dtype_code(op, dtype)
    cdef int64_t sizes[2]
    cdef int64_t *q
    cdef int64_t *v
    cdef float *f
    cdef double *g
    cdef double unit = 1.0 / (1 << BITS)
    if dt != RT_F32 and dt != RT_F64:
        raise UnsupportedOpError(f'"{op}" not implemented for \'{torch_name(dt)}\'', op=op)
    if points < 0:
        raise TensorError(f"Trying to create tensor with negative dimension {points}: [{points}, {dims}]", op=op)
    sizes[0], sizes[1] = points, dims
    out = empty(2, sizes, dt, 0)
    sizes[0] = now.n
    after = empty(1, sizes, RT_I64, 0)
    copy_raw(after, now)
    sizes[0], sizes[1] = BITS, dims
    turned = empty(2, sizes, RT_I64, 0)              # a point changes by one number of each dimension: these side by side
    q = <int64_t *>after.ptr
    with nogil:
        v = <int64_t *>turned.ptr
        for d in range(dims):
            for i in range(BITS):
                v[i * dims + d] = (<const int64_t *>state.ptr)[d * BITS + i]
        for i in range(points):
            v = <int64_t *>turned.ptr + lowest_zero(made + i) % BITS * dims
            if dt == RT_F32:
                f = <float *>out.ptr + i * dims
                for d in range(dims):
                    q[d] ^= v[d]
                    f[d] = <float><int>q[d] * <float>unit
            else:
                g = <double *>out.ptr + i * dims
                for d in range(dims):
                    q[d] ^= v[d]
                    g[d] = <double><int>q[d] * unit
    return out, after


def ff_(quasi, n, sobolstate, dimension, num_generated):
    """Move the state n points on."""
    cdef object op = "_sobol_engine_ff_"
    cdef int64_t dims = dimension, made = num_generated, steps = n, d, gray
    cdef TensorBase state = longs(op, "sobolstate", sobolstate, 2, dims, False), now = longs(op, "quasi", quasi, 1, dims, True)
    cdef int64_t *q = <int64_t *>now.ptr
    cdef int i
    if steps < 1:
        return quasi
    # the numbers of points between, each once for each of its turns: what is left of pairs are the bits in which two Gray codes differ
    gray = (made ^ made >> 1) ^ (made + steps ^ made + steps >> 1)
    with nogil:
        for i in range(BITS):
            if gray >> i & 1:
                for d in range(dims):
                    q[d] ^= (<const int64_t *>state.ptr)[d * BITS + i]
    bump(now)
    return quasi


def scramble_(sobolstate, ltm, dimension):
    """Multiply direction numbers, as vectors of bits, by lower triangular matrices (dimension, 30, 30) with ones on the diagonal."""
    cdef object op = "_sobol_engine_scramble_"
    cdef int64_t dims = dimension, d, value, made
    cdef TensorBase state = longs(op, "sobolstate", sobolstate, 2, dims, True), mix = as_base(op, "ltm", ltm)
    cdef int64_t rows[BITS]
    cdef const int64_t *m
    cdef int64_t *v
    cdef int i, k
    if mix.dt != RT_I64 or shape_tuple(mix) != (dims, BITS, BITS) or mix.dev & 255:
        raise ShapeError(f"{op}: expected ltm of int64 and shape {(dims, BITS, BITS)} on the CPU, got {shape_tuple(mix)}", op=op)
    mix = contiguous_raw(mix)
    with nogil:
        for d in range(dims):
            m = <const int64_t *>mix.ptr + d * BITS * BITS
            for i in range(BITS):
                rows[i] = 0
                for k in range(BITS):
                    rows[i] |= (1 if i == k else m[i * BITS + k] & 1) << (BITS - 1 - k)
            v = <int64_t *>state.ptr + d * BITS
            for k in range(BITS):
                made = 0
                for i in range(BITS):
                    value = rows[i] & v[k]
                    value ^= value >> 16
                    value ^= value >> 8
                    value ^= value >> 4
                    value ^= value >> 2
                    value ^= value >> 1
                    made |= (value & 1) << (BITS - 1 - i)
                v[k] = made
    bump(state)
    return sobolstate


FUNCTIONS = {"_sobol_engine_initialize_state_": initialize_state_, "_sobol_engine_draw": draw, "_sobol_engine_ff_": ff_,
             "_sobol_engine_scramble_": scramble_}
