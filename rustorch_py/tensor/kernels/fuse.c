/* Note [Fused loops] in fuse.h */
#include <string.h>
#include "cpu.h"
#include "fuse.h"

typedef struct { const RtFuse *fuse; RtLoop loop[RT_FUSE_STEPS]; RtCast cast[RT_FUSE_STEPS]; } Run;

static void run_blocks(char **ptr, const int64_t *step_bytes, int64_t n, const double *k) {
    const Run *run = (const Run *)k;
    const RtFuse *f = run->fuse;
    char room[RT_FUSE_ROOM] __attribute__((aligned(64)));
    char *at[RT_FUSE_VALUES];
    int64_t block = f->block, where = 0;
    for (int a = 0; a < f->noperands; a++) at[a] = ptr[a];
    for (int i = 0; i < f->nslots; i++) { at[RT_MAX_ARGS + i] = room + where; where += block * f->slot_size[i]; }
    for (int i = 0; i < f->nnumbers; i++) at[RT_MAX_ARGS + RT_FUSE_SLOTS + i] = (char *)f->numbers[i];
    while (n > 0) {
        int64_t m = n < block ? n : block;
        for (int i = 0; i < f->nsteps; i++) {
            const RtFuseStep *s = &f->steps[i];
            char *p[RT_MAX_ARGS];
            int64_t step[RT_MAX_ARGS];
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

int rt_cpu_fuse(RtIter *it, const RtFuse *fuse) {
    Run run;
    run.fuse = fuse;
    for (int i = 0; i < fuse->nsteps; i++) {
        const RtFuseStep *s = &fuse->steps[i];
        if (s->kernel < 0) run.cast[i] = rt_cast_of(s->source, s->loop);
        else if (!(run.loop[i] = rt_cpu_loop_of(s->kernel, s->loop))) return RT_ERR_UNSUPPORTED;
    }
    return rt_cpu_loop(it, run_blocks, it->dtype, fuse->cost, (const double *)&run);
}
