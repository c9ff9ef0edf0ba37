/* Note [Fused loops] in fuse.h */
#include <string.h>
#include "cpu.h"
#include "fuse.h"

typedef struct { const RtFuse *fuse; RtLoop loop[RT_FUSE_STEPS]; RtCast cast[RT_FUSE_STEPS]; RtChain chain[RT_FUSE_STEPS]; } Run;

/* All chains' operations, each behind one another and with an end; at: where operands, places and numbers are. Returns whether all lie side by side. */
static int set_out(const RtFuse *f, char *const *at, const int64_t *step_bytes, char (*temps)[RT_CHAIN_REGISTERS * 64], RtChainAt *ops) {
    int dense = 1;
    for (int i = 0; i < f->nsteps; i++) {
        const RtFuseStep *s = &f->steps[i];
        if (s->kernel != RT_FUSE_CHAIN) continue;
        int size = s->loop == RT_F64 ? 8 : 4;
        RtChainAt *first = ops;
        for (int j = 0; j < s->nargs; j++, ops++) {
            int op = f->chained[s->source + j].op, v = f->chained[s->source + j].v, temp = v >= RT_FUSE_VALUES;
            int64_t step = v < RT_MAX_ARGS ? step_bytes[v] : temp || v < RT_MAX_ARGS + RT_FUSE_SLOTS ? size : 0;
            dense &= !step || step == size;
            if (!step && op != RT_CHAIN_NEG && op != RT_CHAIN_STORE) op += RT_CHAIN_NUMBER;
            *ops = (RtChainAt){temp ? temps[v - RT_FUSE_VALUES] : at[v], step, 0, op, temp};
            if (ops > first && ops[-1].op == RT_CHAIN_LOAD && op % RT_CHAIN_NUMBER != RT_CHAIN_NEG && op != RT_CHAIN_STORE) ops[-1].op = op + RT_CHAIN_LOADED;
        }
        ops++->op = RT_CHAIN_END;
    }
    return dense;
}

/* chains: room for all chains' operations, temps: for what they keep; NULL: there are none */
RT_INLINE void run_blocks(char **ptr, const int64_t *step_bytes, int64_t n, const Run *run, RtChainAt *const chains, char (*temps)[RT_CHAIN_REGISTERS * 64]) {
    const RtFuse *f = run->fuse;
    char room[RT_FUSE_ROOM] __attribute__((aligned(64)));
    char *at[RT_FUSE_VALUES];
    int64_t block = f->block, where = 0;
    for (int a = 0; a < f->noperands; a++) at[a] = ptr[a];
    for (int i = 0; i < f->nslots; i++) { at[RT_MAX_ARGS + i] = room + where; where += block * f->slot_size[i]; }
    for (int i = 0; i < f->nnumbers; i++) at[RT_MAX_ARGS + RT_FUSE_SLOTS + i] = (char *)f->numbers[i];
    int dense = chains && set_out(f, at, step_bytes, temps, chains);
    while (n > 0) {
        int64_t m = n < block ? n : block;
        RtChainAt *ops = chains;
        for (int i = 0; i < f->nsteps; i++) {
            const RtFuseStep *s = &f->steps[i];
            char *p[RT_MAX_ARGS];
            int64_t step[RT_MAX_ARGS];
            if (chains && s->kernel == RT_FUSE_CHAIN) {
                for (int j = 0; j < s->nargs; j++) {   /* operands are where the block in front left them */
                    int v = f->chained[s->source + j].v;
                    if (v >= RT_MAX_ARGS && v < RT_MAX_ARGS + RT_FUSE_SLOTS) ops[j].p = at[v];
                }
                run->chain[i](ops, m, dense);
                ops += s->nargs + 1;
                continue;
            }
            for (int a = 0; a < s->nargs; a++) {
                int v = s->v[a];
                p[a] = at[v];
                step[a] = v < RT_MAX_ARGS ? step_bytes[v] : f->step_size[i][a];
            }
            if (s->kernel < 0) run->cast[i](p[0], step[0], p[1], step[1], m);
            else run->loop[i](p, step, m, s->k);
        }
        for (int a = 0; a < f->noperands; a++) at[a] += m * step_bytes[a];
        n -= m;
    }
}

static void run_plain(char **ptr, const int64_t *step_bytes, int64_t n, const double *k) { run_blocks(ptr, step_bytes, n, (const Run *)k, NULL, NULL); }
static void run_chained(char **ptr, const int64_t *step_bytes, int64_t n, const double *k) {
    RtChainAt chains[RT_CHAIN_MOST + RT_FUSE_STEPS];
    char temps[RT_CHAIN_TEMPS][RT_CHAIN_REGISTERS * 64] __attribute__((aligned(64)));
    run_blocks(ptr, step_bytes, n, (const Run *)k, chains, temps);
}

int rt_cpu_fuse(RtIter *it, const RtFuse *fuse) {
    Run run;
    run.fuse = fuse;
    for (int i = 0; i < fuse->nsteps; i++) {
        const RtFuseStep *s = &fuse->steps[i];
        if (s->kernel == RT_FUSE_CHAIN) run.chain[i] = rt_cpu_chain_of(s->loop);
        else if (s->kernel < 0) run.cast[i] = rt_cast_of(s->source, s->loop);
        else if (!(run.loop[i] = rt_cpu_loop_of(s->kernel, s->loop))) return RT_ERR_UNSUPPORTED;
    }
    return rt_cpu_loop(it, fuse->nchained ? run_chained : run_plain, it->dtype, fuse->cost, (const double *)&run);
}
