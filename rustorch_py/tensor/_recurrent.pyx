# build: isa=recurrent.inc.c cold
"""The steps of a recurrent layer over a whole sequence: RNN, LSTM and GRU, packed sequences, projections.

The input part of the gates is one product made before (``linear``); what is here is the rest of one direction of one
layer, with a gradient that walks the steps back once and leaves the weights' gradients to one product each.
"""
from libc.stdint cimport int64_t
from libc.string cimport memset
from ._base cimport (TensorBase, Node, empty, attach_outputs, save, saved, RT_CPU, wants_edge, as_base, grad_mode, view_raw, RT_F32, RT_I64)
from ._cpu cimport isa_level
from ._kept cimport RtKept, Wanted, find_kept, kept_room, put_kept, rt_kept_done, KEPT_SCAN
from ._gemm cimport RtGemmTable, gemm_table, gemm, column_sum, count_flops, may_keep, OP_N, OP_T
from ._neural cimport num_threads, on_cpu, by_float32, together, float32_of, like_dtype, need_float, sizes_text, dtype_text, pull_back
from ._plan cimport contiguous_raw
from ._devices import run as run_on_device
from ..errors import DTypeError, ShapeError, TensorValueError

cdef extern from "recurrent.h" nogil:
    enum: RT_RNN_TANH, RT_RNN_RELU, RT_LSTM, RT_GRU
    ctypedef struct RtScan:
        int mode, reverse, threads
        int64_t S, N, H, P
        const int64_t *sizes
        const int64_t *first
        const void *gates
        const void *h0
        const void *c0
        const void *w_hh
        const void *b_hh
        const void *w_hr
        void *out
        void *hn
        void *cn
        void *act
        int team, members
        int64_t panel
        void *before
        void *raw
        const void *g_out
        const void *g_hn
        const void *g_cn
        void *g_gates
        void *g_hidden
        void *g_proj
        void *g_h0
        void *g_c0
        int ask_h0
        const void *pre
        const void *packed
        void *work
    ctypedef struct RtRecurrentTable:
        int64_t (*scan_work_f32)(const RtScan *, int) noexcept nogil
        int64_t (*scan_work_f64)(const RtScan *, int) noexcept nogil
        void (*scan_f32)(RtScan *, const RtGemmTable *) noexcept nogil
        void (*scan_f64)(RtScan *, const RtGemmTable *) noexcept nogil
        void (*scan_d0_f32)(RtScan *) noexcept nogil
        void (*scan_d0_f64)(RtScan *) noexcept nogil
        int64_t (*scan_packed_f32)(const RtScan *) noexcept nogil
        int64_t (*scan_packed_f64)(const RtScan *) noexcept nogil
        void (*scan_pack_f32)(const RtScan *, void *) noexcept nogil
        void (*scan_pack_f64)(const RtScan *, void *) noexcept nogil
    int rt_scan_gates(int mode)
    int rt_scan_kept(int mode)
    const RtRecurrentTable *rt_recurrent_pick(int level)

cdef int64_t STEP_BY_PRODUCT = 1 << 17      # multiply-adds of a single step from which all threads share its product, as any other

MODES = {"RNN_TANH": RT_RNN_TANH, "RNN_RELU": RT_RNN_RELU, "LSTM": RT_LSTM, "GRU": RT_GRU}


cdef void *ptr_of(TensorBase t) noexcept:
    return NULL if t is None else t.ptr


cdef TensorBase block(int64_t rows, int64_t cols, TensorBase like):
    cdef int64_t sh[2]
    sh[0], sh[1] = rows, cols
    return empty(2, sh, like.dt, like.dev)


cdef TensorBase given(object arg, object x):
    return None if x is None else as_base("recurrent_scan", arg, x)


cdef TensorBase plain(TensorBase t):
    return None if t is None else contiguous_raw(t)


cdef TensorBase room(RtScan *s, TensorBase like, int backward):
    """The kernel's work buffer."""
    cdef const RtRecurrentTable *table = rt_recurrent_pick(isa_level())
    cdef int64_t n = table.scan_work_f32(s, backward) if like.dt == RT_F32 else table.scan_work_f64(s, backward)
    return empty(1, &n, like.dt, like.dev)


cdef RtKept *packed_weights(RtScan *s, TensorBase w):
    """The packed form of w that is kept from call to call, or NULL: Note [Kept operands] in kernels/kept.h."""
    cdef Wanted of
    cdef int level = isa_level()
    cdef const RtRecurrentTable *table = rt_recurrent_pick(level)
    cdef bint single = w.dt == RT_F32
    cdef int64_t n
    cdef RtKept *kept
    cdef void *made
    if not may_keep(w):
        return NULL
    n = table.scan_packed_f32(s) if single else table.scan_packed_f64(s)
    if n == 0:
        return NULL
    memset(&of, 0, sizeof(of))
    of.key[2], of.key[3], of.key[4] = s.mode, s.H, s.P
    kept = find_kept(w, KEPT_SCAN, level, &of)
    if of.make:
        made = kept_room(<size_t>n * (4 if single else 8))
        if made is not NULL:
            (table.scan_pack_f32 if single else table.scan_pack_f64)(s, made)
        kept = put_kept(w.stor, &of, made)
    return kept


cdef class ScanBackward(Node):
    """Gradient of a scan. Slots: gates, h0, c0, w_hh, b_hh, w_hr."""
    cdef int mode, team, members
    cdef bint reverse
    cdef int64_t T, N, H, P, rows, panel
    cdef TensorBase steps             # int64 (2, T): batch size and first row of every step
    cdef TensorBase act, before, raw  # what the kernel kept (recurrent.h)
    cdef object sizes                 # batch sizes as given, None for equal ones
    cdef tuple kept                   # a device's: what its kernels kept

    cdef object own_name(self):
        return "ScanBackward0"

    cdef list sizes_of(self):
        cdef int64_t t
        return [(<int64_t *>self.steps.ptr)[t] for t in range(self.T)]

    cdef int release(self) except -1:
        self.act = self.before = self.raw = None
        self.kept = None
        return Node.release(self)

    cdef object apply(self, object g):
        cdef RtScan s
        cdef TensorBase gates = saved(self, 0), w_hh = plain(saved(self, 3)), w_hr = plain(saved(self, 5))
        cdef TensorBase g_out, g_hn, g_cn, g_gates, g_hidden, g_proj = None, g_h0, g_c0 = None, work
        cdef object gw = None, gb = None, gr = None, composed
        cdef int64_t G = rt_scan_gates(self.mode), first
        cdef const RtRecurrentTable *table = rt_recurrent_pick(isa_level())
        if grad_mode():
            from ._recurrent_steps import scan as composed
            return pull_back(lambda *x: composed(self.mode, *x, self.reverse, self.sizes),
                             [saved(self, i) for i in range(6)], [wants_edge(self, i) for i in range(6)], g)
        g_out, g_hn, g_cn = (plain(x) for x in (g if len(g) == 3 else (*g, None)))
        if not on_cpu(gates):
            return run_on_device("recurrent_scan_back", gates, saved(self, 1), saved(self, 2), w_hh, saved(self, 4), w_hr, g_out, g_hn, g_cn, self.mode,
                                 self.reverse, self.sizes_of(), self.kept, tuple([wants_edge(self, i) for i in range(6)]))
        g_gates = empty(gates.nd, gates.sh, gates.dt, gates.dev)
        g_hidden = block(self.rows, G * self.H, gates) if self.mode == RT_GRU else view_2d(g_gates, self.rows)
        if w_hr is not None:
            g_proj = block(self.rows, self.P, gates)
        g_h0 = block(self.N, self.P, gates)
        if self.mode == RT_LSTM:
            g_c0 = block(self.N, self.H, gates)
        s.mode, s.reverse, s.threads = self.mode, self.reverse, num_threads()
        s.S, s.N, s.H, s.P = self.T, self.N, self.H, self.P
        s.sizes, s.first = <int64_t *>self.steps.ptr, <int64_t *>self.steps.ptr + self.T
        s.w_hh, s.w_hr = w_hh.ptr, ptr_of(w_hr)
        s.team, s.members, s.panel = self.team, self.members, self.panel
        s.act, s.before, s.raw = self.act.ptr, self.before.ptr, ptr_of(self.raw)
        s.g_out, s.g_hn, s.g_cn = ptr_of(g_out), ptr_of(g_hn), ptr_of(g_cn)
        s.g_gates, s.g_hidden, s.g_proj = g_gates.ptr, g_hidden.ptr, ptr_of(g_proj)
        s.g_h0, s.g_c0, s.ask_h0 = g_h0.ptr, ptr_of(g_c0), wants_edge(self, 1)
        work = room(&s, gates, 1)
        s.work = work.ptr
        count_flops("mm", 2 * self.rows * self.P * w_hh.sh[0] + (0 if w_hr is None else 2 * self.rows * self.H * self.P))
        with nogil:
            if gates.dt == RT_F32:
                table.scan_d0_f32(&s)
            else:
                table.scan_d0_f64(&s)
        if wants_edge(self, 3):
            first = self.N if saved(self, 1) is None and self.sizes is None else 0       # rows of states that are zeros
            gw = gemm(rows_of(g_hidden, first, self.reverse), OP_T, rows_of(self.before, first, self.reverse), OP_N)
        if wants_edge(self, 4):
            gb = column_sum(g_hidden)
        if wants_edge(self, 5):
            gr = gemm(g_proj, OP_T, self.raw, OP_N)
        return g_gates, g_h0 if s.ask_h0 else None, g_c0, gw, gb, gr


cdef TensorBase rows_of(TensorBase t, int64_t less, bint reverse):
    """The rows of t but for `less` at its front, or at its end where steps run backwards."""
    cdef int64_t sh[2]
    if less == 0:
        return t
    sh[0], sh[1] = t.sh[0] - less, t.sh[1]
    return view_raw(t, 2, sh, t.st, 0 if reverse else less * t.sh[1])


cdef TensorBase view_2d(TensorBase t, int64_t rows):
    cdef int64_t sh[2]
    cdef int64_t st[2]
    sh[0], sh[1] = rows, t.sh[t.nd - 1]
    st[0], st[1] = sh[1], 1
    return view_raw(t, 2, sh, st, 0)


cdef int expect(object op, object arg, TensorBase t, TensorBase gates, int64_t rows, int64_t cols) except -1:
    """A (rows, cols) matrix of the gates' dtype; a vector when rows is -1."""
    cdef bint fits
    if t is None:
        return 0
    fits = (t.nd == 1 and t.sh[0] == cols) if rows < 0 else (t.nd == 2 and t.sh[0] == rows and t.sh[1] == cols)
    if not fits:
        raise ShapeError(f"{op}: expected {arg} of shape {[cols] if rows < 0 else [rows, cols]}, got {sizes_text(t)}", op=op)
    together(op, gates, t)
    if t.dt != gates.dt:
        raise DTypeError(f"{op}: expected {arg} of dtype {dtype_text(gates)} as the input, got {dtype_text(t)}", op=op)
    return 0


def recurrent_scan(mode, gates, h0, c0, w_hh, b_hh=None, w_hr=None, reverse=False, batch_sizes=None):
    """Run the steps of one direction of a recurrent layer.

    Args:
        mode: number of a kind of cell, see ``MODES``.
        gates: input part of the gates, (T, N, gates * hidden), or (rows, gates * hidden) with ``batch_sizes``.
        h0, c0: states before the first step, (N, size) each, None for zeros; c0 is LSTM's.
        w_hh, b_hh: recurrent weight (gates * hidden, size) and bias.
        w_hr: projection (size, hidden) of LSTM's output.
        reverse: go from the last step to the first.
        batch_sizes: number of sequences of every step, never growing (a packed sequence).

    Returns:
        outputs of all steps, the last hidden state, and LSTM's last cell state (else None).

    Sources: Elman (1990); Hochreiter, Schmidhuber (1997); Cho et al. (2014).
    """
    cdef TensorBase x = as_base("recurrent_scan", "gates", gates), h = None, c = None, b = None, r = None, xc, hc, cc, wc, bc, rc
    cdef TensorBase w = as_base("recurrent_scan", "w_hh", w_hh), steps, out, hn, cn = None, work, pre
    cdef RtScan s
    cdef int kind = mode
    cdef int64_t G, rows = 0, t, size
    cdef int64_t sh[3]
    cdef int64_t *sizes
    cdef bint keep
    cdef ScanBackward node
    cdef const RtRecurrentTable *table
    cdef const RtGemmTable *products
    cdef RtKept *kept_form = NULL
    if kind < RT_RNN_TANH or kind > RT_GRU:
        raise TensorValueError(f"recurrent_scan: expected a mode of {sorted(MODES.values())}, got {mode}", op="recurrent_scan")
    if by_float32(x):
        out_, hn_, cn_ = recurrent_scan(mode, float32_of(gates), float32_of(h0), float32_of(c0), float32_of(w_hh), float32_of(b_hh),
                                        float32_of(w_hr), reverse, batch_sizes)
        return like_dtype(out_, x.dt), like_dtype(hn_, x.dt), None if cn_ is None else like_dtype(cn_, x.dt)
    need_float("recurrent_scan", x)
    h, c, b, r = given("h0", h0), given("c0", c0), given("b_hh", b_hh), given("w_hr", w_hr)
    if x.nd != (3 if batch_sizes is None else 2):
        raise ShapeError(f"recurrent_scan: expected gates of 3 dimensions, or 2 with batch_sizes, got {sizes_text(x)}", op="recurrent_scan")
    if w.nd != 2:
        raise ShapeError(f"recurrent_scan: expected w_hh of 2 dimensions, got {sizes_text(w)}", op="recurrent_scan")
    G = rt_scan_gates(kind)
    s.H = w.sh[0] // G
    s.P = w.sh[1]
    if x.sh[x.nd - 1] != w.sh[0] or w.sh[0] % G or (r is None and s.P != s.H):
        raise ShapeError(f"recurrent_scan: gates of shape {sizes_text(x)} and w_hh of shape {sizes_text(w)} do not fit {G} gates",
                         op="recurrent_scan")
    s.S = x.sh[0] if batch_sizes is None else len(batch_sizes)
    if s.S == 0:
        raise ShapeError("Expected sequence length to be larger than 0 in RNN", op="recurrent_scan")
    sh[0], sh[1] = 2, s.S
    steps = empty(2, sh, RT_I64, RT_CPU)
    sizes = <int64_t *>steps.ptr
    for t in range(s.S):
        size = x.sh[1] if batch_sizes is None else batch_sizes[t]
        if size < 0 or (t and size > sizes[t - 1]):
            raise ShapeError(f"recurrent_scan: batch sizes must not grow, got {list(batch_sizes)}", op="recurrent_scan")
        sizes[t] = size
        sizes[s.S + t] = rows
        rows += size
    s.N = sizes[0]
    if batch_sizes is not None and rows != x.sh[0]:
        raise ShapeError(f"recurrent_scan: batch sizes add up to {rows}, gates have {x.sh[0]} rows", op="recurrent_scan")
    expect("recurrent_scan", "h0", h, x, s.N, s.P)
    expect("recurrent_scan", "c0", c, x, s.N, s.H)
    expect("recurrent_scan", "w_hh", w, x, G * s.H, s.P)
    expect("recurrent_scan", "b_hh", b, x, -1, G * s.H)
    expect("recurrent_scan", "w_hr", r, x, s.P, s.H)
    if not on_cpu(x):
        keep = grad_mode() and (x.rg or w.rg or (h is not None and h.rg) or (c is not None and c.rg) or (b is not None and b.rg)
                                or (r is not None and r.rg))
        out, hn, cn, kept = run_on_device("recurrent_scan", contiguous_raw(x), plain(h), plain(c), contiguous_raw(w), plain(b), plain(r), kind,
                                          bool(reverse), [sizes[t] for t in range(s.S)], keep)
        if keep:
            node = ScanBackward.__new__(ScanBackward)
            node.mode, node.reverse, node.sizes, node.steps, node.kept = kind, bool(reverse), batch_sizes, steps, kept
            node.T, node.N, node.H, node.P, node.rows = s.S, s.N, s.H, s.P, rows
            save(node, 0, x)
            save(node, 1, h)
            save(node, 2, c)
            save(node, 3, w)
            save(node, 4, b)
            save(node, 5, r)
            attach_outputs([out, hn] if cn is None else [out, hn, cn], node, (x, h, c, w, b, r))
        return out, hn, cn
    xc, hc, cc, wc, bc, rc = contiguous_raw(x), plain(h), plain(c), contiguous_raw(w), plain(b), plain(r)
    for t in range(x.nd - 1):
        sh[t] = x.sh[t]
    sh[x.nd - 1] = s.P
    out = empty(x.nd, sh, x.dt, x.dev)
    hn = block(s.N, s.P, x)
    if kind == RT_LSTM:
        cn = block(s.N, s.H, x)
    keep = grad_mode() and (x.rg or w.rg or (h is not None and h.rg) or (c is not None and c.rg) or (b is not None and b.rg)
                            or (r is not None and r.rg))
    s.mode, s.reverse, s.threads = kind, bool(reverse), num_threads()
    s.sizes, s.first = sizes, sizes + s.S
    s.gates, s.h0, s.c0, s.w_hh, s.b_hh, s.w_hr = xc.ptr, ptr_of(hc), ptr_of(cc), wc.ptr, ptr_of(bc), ptr_of(rc)
    s.out, s.hn, s.cn = out.ptr, hn.ptr, ptr_of(cn)
    s.act = s.before = s.raw = s.packed = s.pre = NULL
    s.team, s.members, s.panel = 0, 1, s.H
    if keep:
        node = ScanBackward.__new__(ScanBackward)
        node.mode, node.reverse, node.sizes, node.steps = kind, s.reverse, batch_sizes, steps
        node.T, node.N, node.H, node.P, node.rows = s.S, s.N, s.H, s.P, rows
        node.act = block(rows, rt_scan_kept(kind) * s.H, x)
        node.before = block(rows, s.P, x)
        s.act, s.before = node.act.ptr, node.before.ptr
        if r is not None:
            node.raw = block(rows, s.H, x)
            s.raw = node.raw.ptr
    if rows:
        work = room(&s, x, 0)
        s.work = work.ptr
        table = rt_recurrent_pick(isa_level())
        products = gemm_table()
        if s.S == 1 and hc is not None and s.N * s.P * w.sh[0] >= STEP_BY_PRODUCT:
            pre = <TensorBase?>gemm(hc, OP_N, wc, OP_T)
            s.pre = pre.ptr                     # and counted
        count_flops("addmm", (0 if s.pre is not NULL else 2 * rows * s.P * w.sh[0]) + (0 if r is None else 2 * rows * s.H * s.P))
        if s.pre is NULL and not keep and wc is w:
            kept_form = packed_weights(&s, w)
            if kept_form is not NULL:
                s.packed = kept_form.data
        with nogil:
            if x.dt == RT_F32:
                table.scan_f32(&s, products)
            else:
                table.scan_f64(&s, products)
        if kept_form is not NULL:
            rt_kept_done(kept_form)
    if keep:
        node.team, node.members, node.panel = s.team or 1, s.members, s.panel
        save(node, 0, x)
        save(node, 1, h)
        save(node, 2, c)
        save(node, 3, w)
        save(node, 4, b)
        save(node, 5, r)
        attach_outputs([out, hn] if cn is None else [out, hn, cn], node, (x, h, c, w, b, r))
    return out, hn, cn


FUNCTIONS = {"recurrent_scan": recurrent_scan}
METHODS = {}
NN_ONLY = {"recurrent_scan"}
