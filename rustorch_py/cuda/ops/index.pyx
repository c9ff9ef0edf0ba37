"""Elements moved by index, mask or geometry; rows of embedding tables."""
from libc.stdint cimport int64_t, uintptr_t
from libc.string cimport memset
from ...tensor._base cimport TensorBase, empty, view_raw, rt_compute_dtype, rt_itemsize, rt_kind, RT_C128, RT_I16, RT_I32, RT_I64, RT_KIND_COMPLEX, RT_U32, RT_U8
from ...tensor._devices import provide
from ...tensor._plan cimport copy_raw
from .._backend cimport Kernel, RtCall, point, RT_CALL_INTS, RT_CALL_POINTERS
from ._layout cimport Rows, add_dim, begin, count_of, end, pack, put
from ._lines cimport aligned, divisor
from .scan import scan
from ...errors import UnsupportedOpError

cdef inline void unset(RtCall *a) noexcept nogil:
    """No pointers yet: Metal's launcher looks at all."""
    memset(a.p, 0, RT_CALL_POINTERS * sizeof(void *))


cdef enum:
    GET, SET, ADD, MUL, MAX, MIN                                   # tensor/kernels/index.h
cdef enum:
    MAX_INDICES = 14                                               # RT_CALL_POINTERS less two
    MANY = 15                                                      # copies of a launch,
    LONG = 1 << 18                                                 # of so many bytes at most
    PIECE = 4096                                                   # kernels/nonzero.cuh: 256 threads of 16 elements
    TILE = 4096                                                    # kernels/radix.cuh
    CHUNK = 32                                                     # kernels/embedding_sums.cuh

REDUCE = {ADD: "add", MUL: "mul", MAX: "max", MIN: "min"}
cdef Kernel INDEX_GET = Kernel("index.cuh", "index_get")
cdef Kernel ONE_GET = Kernel("index.cuh", "one_index_get")
cdef Kernel ONE_SET = Kernel("index.cuh", "one_index_set")
cdef Kernel INDEX_SET = Kernel("index.cuh", "index_set")
cdef list INDEX_REDUCE = [None, None, *(Kernel("index_reduce.cuh", f"index_{REDUCE[i]}") for i in range(ADD, MIN + 1))]
cdef Kernel MOVE = Kernel("move.cuh", "move")
cdef Kernel FILL = Kernel("move.cuh", "fill")
cdef Kernel JOIN = Kernel("move.cuh", "join")
cdef Kernel COPIES = Kernel("copies.cuh", "copies")
cdef Kernel TRIANGLE = Kernel("move.cuh", "triangle")
cdef Kernel COUNT = Kernel("nonzero.cuh", "count")
cdef Kernel BEFORE = Kernel("nonzero.cuh", "before")
cdef Kernel PLACES = Kernel("nonzero.cuh", "places")
cdef Kernel ROW_KEYS = Kernel("embedding_sums.cuh", "row_keys", (0,))
cdef list CHUNK_SUMS = [Kernel("embedding_sums.cuh", "chunk_sums", (wide,)) for wide in (0, 1)]
cdef list ROW_SUMS = [Kernel("embedding_sums.cuh", "row_sums", (wide,)) for wide in (0, 1)]
cdef Kernel DIGITS = Kernel("radix.cuh", "count")
cdef Kernel BY_DIGIT = Kernel("radix.cuh", "move")
cdef Kernel BAG = Kernel("embedding.cuh", "bag")


cdef int raw(int64_t item) noexcept:
    """The dtype whose elements are moved instead of others of that size."""
    return RT_U8 if item == 1 else RT_I16 if item == 2 else RT_I32 if item == 4 else RT_I64 if item == 8 else RT_C128


cdef int walk(TensorBase dst, TensorBase src, int op, Rows *r, RtCall *a, int count, const int64_t *sizes, int64_t *steps, bint wrap) except -1:
    """Launch over rows (of dst, src, indices); a.p[2...] are the indices, sizes and steps those of the dimensions they stand for."""
    cdef int64_t item = rt_itemsize(dst.dt)
    cdef int i, dt = dst.dt
    cdef Kernel kernel
    end(r)
    if op == GET or op == SET:                                     # whole pieces of rows move as wider elements
        kernel = INDEX_GET if op == GET else INDEX_SET
        dt = raw(pack(r, item, steps, count, dst.ptr, src.ptr))
    else:
        if op == MUL and item == 16 or (op == MAX or op == MIN) and rt_kind(dst.dt) == RT_KIND_COMPLEX:
            raise UnsupportedOpError(f"{REDUCE[op]} by index is not available for {(<object>dst).dtype} on {(<object>dst).device}", op="scatter_reduce")
        kernel = <Kernel>INDEX_REDUCE[op]
    cdef int64_t all = count_of(r)
    cdef int64_t *last = r.row[r.n - 1]
    cdef int64_t *far = r.row[0]
    point(kernel, a, 0, dst, dst)
    point(kernel, a, 1, src, dst)
    if (op == GET or op == SET) and count == 1 and r.n <= 2 and all < <int64_t>1 << 31:
        a.n[0], a.n[1], a.n[2], a.n[5], a.n[6] = all, wrap, last[0], sizes[0], steps[0]
        divisor(last[0], a.n + 3)
        for i in range(3):                                         # steps of a row and of a column
            a.n[7 + 2 * i], a.n[8 + 2 * i] = far[1 + i] if r.n == 2 else 0, last[1 + i]
        return (ONE_GET if op == GET else ONE_SET).launch(dst, dt, a, (all + 1023) // 1024)
    a.n[0], a.n[1], a.n[2], a.n[3] = all, r.n, count, wrap
    for i in range(count):
        a.n[4 + 2 * i], a.n[5 + 2 * i] = sizes[i], steps[i]
    put(a, 4 + 2 * count, r, 4)
    return kernel.launch(dst, dt, a, (all + 1023) // 1024 if op == GET or op == SET else -1)


def index(TensorBase dst, TensorBase src, int op, shape, dst_steps, src_steps, index_steps, tuple indices, sizes, steps, bint wrap):
    """Read (GET) from src, or write or reduce into dst, at places that index tensors give.

    Args:
        dst, src: tensors; their first elements count.
        shape: of what is walked over, with the steps of dst, src (0 where indexed) and the indices along each dimension, in elements.
        indices: int64 tensors, all with index_steps.
        sizes, steps: of the dimension of src (GET) or dst that each index stands for.
        wrap: negative indices count from the end.
    """
    cdef RtCall a
    unset(&a)
    cdef Rows r
    cdef int i, count = <int>len(indices)
    cdef int64_t far_size[MAX_INDICES]
    cdef int64_t far[MAX_INDICES]
    if count > MAX_INDICES:
        raise UnsupportedOpError(f"index: at most {MAX_INDICES} index tensors on {(<object>dst).device}, got {count}", op="index")
    begin(&r)
    for i in range(len(shape)):
        add_dim(&r, shape[i], dst_steps[i], src_steps[i], index_steps[i])
    for i in range(count):
        point(INDEX_GET, &a, 2 + i, <TensorBase?>indices[i], dst)
        far_size[i], far[i] = sizes[i], steps[i]
    walk(dst, src, op, &r, &a, count, far_size, far, wrap)


def index_along(TensorBase dst, TensorBase src, int op, TensorBase index_, int dim):
    """One row of indices (contiguous int64) for dimension `dim` of src (GET) or of dst, whose shape is walked."""
    cdef RtCall a
    unset(&a)
    cdef Rows r
    cdef TensorBase side = src if op == GET else dst
    cdef int d
    cdef int64_t size = side.sh[dim] if side.nd else 1, step = side.st[dim] if side.nd else 0
    begin(&r)
    for d in range(side.nd):
        if d == dim:
            add_dim(&r, index_.n, dst.st[d] if op == GET and dst.nd else 0, src.st[d] if op != GET and src.nd else 0, 1)
        else:
            add_dim(&r, side.sh[d], dst.st[d], src.st[d], 0)
    point(INDEX_GET, &a, 2, index_, dst)
    walk(dst, src, op, &r, &a, 1, &size, &step, False)


def gather(TensorBase dst, TensorBase src, TensorBase index_, int op, int dim, int64_t size):
    """Gather or scatter: `index_` (int64) replaces dimension `dim`, whose size is `size`, of src (GET) or of dst."""
    cdef RtCall a
    unset(&a)
    cdef Rows r
    cdef int d
    cdef int64_t step = 0
    if not index_.n:
        return
    if index_.nd:
        step = src.st[dim] if op == GET else dst.st[dim]
    begin(&r)
    for d in range(index_.nd):
        add_dim(&r, index_.sh[d], 0 if d == dim and op != GET else dst.st[d], 0 if d == dim and op == GET else src.st[d], index_.st[d])
    point(INDEX_GET, &a, 2, index_, dst)
    walk(dst, src, op, &r, &a, 1, &size, &step, False)


def move(TensorBase dst, TensorBase start, tuple src_steps):
    """dst <- the elements from `start` on, by steps of any sign."""
    cdef RtCall a
    unset(&a)
    cdef Rows r
    cdef int d
    begin(&r)
    for d in range(dst.nd):
        add_dim(&r, dst.sh[d], dst.st[d], src_steps[d], 0)
    end(&r)
    point(MOVE, &a, 0, dst, dst)
    point(MOVE, &a, 1, start, dst)
    a.n[0], a.n[1] = dst.n, r.n
    put(&a, 2, &r, 3)
    MOVE.launch(dst, raw(rt_itemsize(dst.dt)), &a)


def fill(TensorBase dst, TensorBase mask, TensorBase value):
    """dst = value (one element on the device) where the mask, which is broadcast, is true."""
    cdef RtCall a
    unset(&a)
    cdef Rows r
    cdef int d, lead = dst.nd - mask.nd
    begin(&r)
    for d in range(dst.nd):
        add_dim(&r, dst.sh[d], dst.st[d], mask.st[d - lead] if d >= lead and mask.sh[d - lead] != 1 else 0, 0)
    end(&r)
    point(FILL, &a, 0, dst, dst)
    point(FILL, &a, 1, mask, dst)
    point(FILL, &a, 2, value, dst)
    a.n[0], a.n[1] = dst.n, r.n
    put(&a, 2, &r, 3)
    FILL.launch(dst, raw(rt_itemsize(dst.dt)), &a)


def join(TensorBase dst, list parts, int dim):
    """dst <- contiguous tensors side by side along a dimension (theirs too, or a new one); all contiguous and of one dtype."""
    cdef RtCall a
    unset(&a)
    cdef TensorBase t, part
    cdef int64_t item = rt_itemsize(dst.dt), outer = 1, pack = 16 // item, width, at = 0, block = 0, longest = 0, n
    cdef int64_t sh[2]
    cdef int64_t st[2]
    cdef int d, count = 0, place
    for d in range(dim):
        outer *= dst.sh[d]
    width = dst.n // outer
    while pack > 1 and (not aligned(dst, pack * item) or width % pack):
        pack //= 2
    for x in parts:
        t = <TensorBase?>x
        n = t.n // outer
        longest = max(longest, n)
        while pack > 1 and (not aligned(t, pack * item) or n % pack):
            pack //= 2
    if outer * longest // pack >= <int64_t>1 << 31:                # more elements of one tensor than a launch counts
        for x in parts:
            t = <TensorBase>x
            sh[0], sh[1], st[0], st[1] = outer, t.n // outer, width, 1
            copy_raw(view_raw(dst, 2, sh, st, at), view_raw(t, 2, sh, NULL, 0))
            at += sh[1]
        return
    for x in parts:
        t = <TensorBase>x
        if count == MANY:
            join_now(dst, &a, count, width // pack, raw(item * pack), block)
            count = 0
            block = 0
        point(JOIN, &a, 1 + count, t, dst)
        place = 2 + 6 * count
        n = t.n // outer // pack
        a.n[place], a.n[place + 1], a.n[place + 2], a.n[place + 5] = block, outer * n, n, at
        divisor(n, a.n + place + 3)
        block += (outer * n + 1023) // 1024
        at += n
        count += 1
    join_now(dst, &a, count, width // pack, raw(item * pack), block)


cdef int join_now(TensorBase dst, RtCall *a, int64_t count, int64_t width, int dt, int64_t blocks) except -1:
    point(JOIN, a, 0, dst, dst)
    a.n[0], a.n[1] = count, width
    return JOIN.launch(dst, dt, a, blocks)


def copies(TensorBase device, list to, list source):
    """Copy tensors of one dtype into others of their shapes, any steps: short ones in one launch."""
    cdef RtCall a
    unset(&a)
    cdef Rows r
    cdef TensorBase t, s, first = None
    cdef int64_t item, most = 0
    cdef int i, d, count = 0, at = 1 + MANY
    for i in range(len(to)):
        t, s = <TensorBase?>to[i], <TensorBase?>source[i]
        if t.n == 0:
            continue
        item = rt_itemsize(t.dt)
        if t.n * item > LONG or s.dt != t.dt or s.dev != t.dev or s.nd != t.nd:
            copy_raw(t, s)
            continue
        begin(&r)
        for d in range(t.nd):
            add_dim(&r, t.sh[d], t.st[d], s.st[d], 0)
        end(&r)
        if count == MANY or at + 4 + 3 * r.n > RT_CALL_INTS or first is not None and (t.dt != first.dt or t.dev != first.dev):
            copies_now(first, &a, count, most)
            first, count, most, at = None, 0, 0, 1 + MANY
        if at + 4 + 3 * r.n > RT_CALL_INTS:
            copy_raw(t, s)
            continue
        first = t
        a.n[1 + count] = at
        a.n[at], a.n[at + 1], a.n[at + 2], a.n[at + 3] = t.n, <int64_t><uintptr_t>t.ptr, <int64_t><uintptr_t>s.ptr, r.n
        at = put(&a, at + 4, &r, 3)
        count += 1
        most = max(most, t.n)
    if count:
        copies_now(first, &a, count, most)


cdef int copies_now(TensorBase first, RtCall *a, int64_t count, int64_t most) except -1:
    a.n[0] = count
    return COPIES.launch(first, raw(rt_itemsize(first.dt)), a, min((most + 255) // 256, <int64_t>1024), count)


def triangle(TensorBase dst, TensorBase src, bint upper, int64_t k):
    """Contiguous matrices without what is above (or with `upper` below) diagonal k."""
    cdef RtCall a
    unset(&a)
    point(TRIANGLE, &a, 0, dst, dst)
    point(TRIANGLE, &a, 1, src, dst)
    a.n[0], a.n[1], a.n[2], a.n[3], a.n[4] = dst.n, dst.sh[dst.nd - 2], dst.sh[dst.nd - 1], k, upper
    TRIANGLE.launch(dst, raw(rt_itemsize(dst.dt)), &a)


def nonzero(TensorBase mask):
    """(n, dimensions) coordinates of a contiguous mask's true elements; waits for the device to tell n."""
    cdef RtCall a
    unset(&a)
    cdef int d
    cdef int64_t pieces = (mask.n + PIECE - 1) // PIECE, room = pieces + 1
    cdef int64_t sh[2]
    cdef TensorBase counts = empty(1, &room, RT_I64, mask.dev), out
    sh[0], sh[1] = 0, mask.nd
    if not pieces:
        return empty(2, sh, RT_I64, mask.dev)
    point(COUNT, &a, 0, mask, mask)
    point(COUNT, &a, 1, counts, mask)
    a.n[0], a.n[1], a.n[2] = mask.n, pieces, mask.nd
    COUNT.launch(mask, mask.dt, &a, pieces)
    BEFORE.launch(mask, mask.dt, &a, 1)
    sh[0] = (<object>counts)[pieces].item()
    out = empty(2, sh, RT_I64, mask.dev)
    if out.n:
        if 3 + mask.nd > RT_CALL_INTS:
            raise ValueError(f"nonzero: too many dimensions: {mask.nd}")
        for d in range(mask.nd):
            a.n[3 + d] = mask.sh[d]
        point(PLACES, &a, 2, out, mask)
        PLACES.launch(mask, mask.dt, &a, pieces)
    return out


def embedding_add(TensorBase table, TensorBase g, TensorBase index_, TensorBase factor, int64_t skip):
    """table (zeros) += rows of g (contiguous) at index_, each times its factor (of the type to compute in); index `skip` is left out. The
    positions are sorted by row, so that sums have one order."""
    cdef RtCall a
    unset(&a)
    cdef int64_t n = index_.n, rows = table.sh[0], item = rt_itemsize(table.dt), packs, tiles = (n + TILE - 1) // TILE, chunks = (n + CHUNK - 1) // CHUNK
    cdef bint wide = table.sh[1] * item % 16 == 0 and aligned(table, 16) and aligned(g, 16)
    cdef TensorBase keys, places = None, next_keys, next_places, counts, sums
    cdef Kernel kernel
    cdef int64_t sh[3]
    cdef int digit = 0
    if n >= (<int64_t>1 << 32) - CHUNK or rows >= (<int64_t>1 << 32) - 1:
        raise UnsupportedOpError(f"embedding: up to 2**32 - {CHUNK + 1} indices and 2**32 - 2 rows have a gradient on {(<object>table).device}, got "
                                 f"{n} and {rows}", op="embedding")
    packs = table.sh[1] * item // 16 if wide else table.sh[1]
    keys = empty(1, &n, RT_U32, table.dev)
    point(ROW_KEYS, &a, 0, keys, table)
    point(ROW_KEYS, &a, 1, index_, table)
    a.n[0], a.n[1], a.n[2], a.n[3] = n, packs, rows, skip
    ROW_KEYS.launch(table, table.dt, &a)
    sh[0] = 256 * tiles
    while rows >> 8 * digit:
        counts = empty(1, sh, RT_I64, table.dev)
        point(DIGITS, &a, 0, keys, table)
        point(DIGITS, &a, 1, counts, table)
        a.n[0], a.n[1], a.n[2], a.n[3] = n, 8 * digit, tiles, 1
        DIGITS.launch(table, RT_U32, &a, tiles)
        scan(counts, counts, 0, False, 1, sh[0], 1)
        next_keys, next_places = empty(1, &n, RT_U32, table.dev), empty(1, &n, RT_U32, table.dev)
        point(BY_DIGIT, &a, 1, places, table)
        point(BY_DIGIT, &a, 2, counts, table)
        point(BY_DIGIT, &a, 3, next_keys, table)
        point(BY_DIGIT, &a, 4, next_places, table)
        point(BY_DIGIT, &a, 5, None, table)
        BY_DIGIT.launch(table, RT_U32, &a, tiles)
        keys, places = next_keys, next_places
        digit += 1
    sh[0], sh[1], sh[2] = chunks, 2, table.sh[1]
    sums = empty(3, sh, rt_compute_dtype(table.dt), table.dev)
    kernel = CHUNK_SUMS[wide]
    point(kernel, &a, 0, table, table)
    point(kernel, &a, 1, g, table)
    point(kernel, &a, 2, keys, table)
    point(kernel, &a, 3, places, table)
    point(kernel, &a, 4, sums, table)
    point(kernel, &a, 5, factor, table)
    a.n[0], a.n[1], a.n[2], a.n[3] = n, packs, rows, skip
    kernel.launch(table, table.dt, &a, chunks, min((packs + 255) // 256, <int64_t>65535), 1, <unsigned>min((packs + 31) // 32 * 32, <int64_t>256))
    if chunks > 1:
        kernel = ROW_SUMS[wide]
        kernel.launch(table, table.dt, &a, chunks, min((packs + 31) // 32, <int64_t>65535), 1, 32, 8)


def embedding_bag(TensorBase out, TensorBase table, TensorBase index_, TensorBase start, TensorBase factor, TensorBase count, TensorBase at,
                  TensorBase bag_of, int64_t mode, int64_t skip, bint last):
    """Bags of rows: kernels/embedding.cuh."""
    cdef RtCall a
    unset(&a)
    cdef int i
    for i, t in enumerate((out, table, index_, start, factor, count, at, bag_of)):
        point(BAG, &a, i, <TensorBase?>t if t is not None else None, out)
    a.n[0], a.n[1], a.n[2], a.n[3], a.n[4], a.n[5], a.n[6], a.n[7] = out.n, table.sh[1], table.sh[0], index_.n, out.sh[0], mode, skip, last
    BAG.launch(out, table.dt, &a)


provide("cuda", {"index": index, "index_along": index_along, "gather": gather, "move": move, "fill": fill, "join": join, "copies": copies, "triangle": triangle, "nonzero": nonzero,
                 "embedding_add": embedding_add, "embedding_bag": embedding_bag})
