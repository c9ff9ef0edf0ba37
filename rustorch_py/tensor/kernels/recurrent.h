/* Recurrent layers: one direction of one layer over a whole sequence. Letters: t step, n sequence, g gate,
 * h hidden unit, p unit of the state that is fed back (projected, else h), a saved activation.
 * Rows of one step lie together, steps follow each other (a packed sequence's data, or (T, N, ...)). */
#ifndef RUSTORCH_RECURRENT_H
#define RUSTORCH_RECURRENT_H
#include "rustorch/loops.h"
#include "gemm.h"

enum { RT_RNN_TANH = 0, RT_RNN_RELU = 1, RT_LSTM = 2, RT_GRU = 3 };

/* Pointers are to elements of one type. What may be NULL: h0, c0 (zeros), b_hh, w_hr (no projection), act and
 * its kin (nothing is kept for a backward pass), any incoming gradient. */
typedef struct {
    int mode, reverse, threads;
    int64_t S, N, H, P;                  /* steps, sequences, hidden units, fed-back units */
    const int64_t *sizes, *first;        /* sequences of step t, and its first row */
    const void *gates;                   /* rows, G*H: input part of the gates */
    const void *h0, *c0;                 /* N, P and N, H */
    const void *w_hh, *b_hh, *w_hr;      /* (G*H, P), G*H, (P, H) */
    void *out, *hn, *cn;                 /* (rows, P), (N, P), (N, H) */
    void *act;                           /* rows, A*H. LSTM: i f g o tanh(c) c_before; GRU: r z n hidden part of n; RNN: h.
                                          * By steps, groups of sequences, panels of units, rows, kinds, units */
    int team, members;                   /* set by forward, read by the gradient: groups of sequences, threads of each, */
    int64_t panel;                       /* and units of a panel of act */
    void *before;                        /* rows, P: the state each row's step started from */
    void *raw;                           /* rows, H: the output before projection */
    const void *g_out, *g_hn, *g_cn;
    void *g_gates;                       /* rows, G*H */
    void *g_hidden;                      /* rows, G*H: gradient of the hidden part (GRU; else it equals g_gates) */
    void *g_proj;                        /* rows, P: gradient of the projected output */
    void *g_h0, *g_c0;
    int ask_h0;                          /* 0: what g_h0 is left with is not read */
    const void *pre;                     /* S == 1: h0's product with w_hh, (N, G*H); NULL: forward makes it */
    const void *packed;                  /* w_hh as scan_pack() makes it; NULL: forward packs it itself */
    void *work;
} RtScan;

static inline int rt_scan_gates(int mode) { return mode == RT_LSTM ? 4 : mode == RT_GRU ? 3 : 1; }
static inline int rt_scan_kept(int mode) { return mode == RT_LSTM ? 6 : mode == RT_GRU ? 4 : 1; }

typedef struct {
    /* work elements that forward and backward need */
    int64_t (*scan_work_f32)(const RtScan *s, int backward);
    int64_t (*scan_work_f64)(const RtScan *s, int backward);
    void (*scan_f32)(RtScan *s, const RtGemmTable *gemm);
    void (*scan_f64)(RtScan *s, const RtGemmTable *gemm);
    void (*scan_d0_f32)(RtScan *s);
    void (*scan_d0_f64)(RtScan *s);
    /* elements of w_hh packed for forward, 0: it is read as it lies; and packing it */
    int64_t (*scan_packed_f32)(const RtScan *s);
    int64_t (*scan_packed_f64)(const RtScan *s);
    void (*scan_pack_f32)(const RtScan *s, void *out);
    void (*scan_pack_f64)(const RtScan *s, void *out);
} RtRecurrentTable;

extern const RtRecurrentTable rt_recurrent_table_base;
#if defined(__x86_64__)
extern const RtRecurrentTable rt_recurrent_table_avx2, rt_recurrent_table_avx512;
#endif

static inline const RtRecurrentTable *rt_recurrent_pick(int level) {
#if defined(__x86_64__)
    if (level >= RT_ISA_AVX512) return &rt_recurrent_table_avx512;
    if (level == RT_ISA_AVX2) return &rt_recurrent_table_avx2;
#endif
    (void)level;
    return &rt_recurrent_table_base;
}
#endif
