/* The threads of a block as fibres of the calling thread, for the software devices (CUDA's driver.c, Metal's device.m): each runs to its end
 * or to a barrier, then the next. One launch at a time. */
#ifndef RUSTORCH_SOFTWARE_FIBRES_H
#define RUSTORCH_SOFTWARE_FIBRES_H
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

typedef struct { unsigned x, y, z; } Dim3;
/* what a kernel's text reads (host.h, Metal's metal_stdlib): where its thread is, and how it waits for others */
typedef struct { Dim3 thread, block, block_size, grid; void (*sync)(void), (*sync_warp)(void); } Soft;
enum { RT_FIBRES_NO_MEMORY = 1, RT_FIBRES_STUCK = 2 };

#define STACK ((size_t)64 << 10)
enum { RUNNING, AT_WARP, AT_BLOCK, DONE };
typedef struct { ucontext_t context; char *stack; Dim3 index; int state, warp; } Fibre;
static Fibre fibres[1024];
static ucontext_t scheduler;
static Fibre *running;
static Soft *launched;
static void (*launched_run)(void **);
static void **launched_arguments;

static void wait_at(int barrier) {
    running->state = barrier;
    swapcontext(&running->context, &scheduler);
}
static void at_barrier(void) { wait_at(AT_BLOCK); }
static void at_warp(void) { wait_at(AT_WARP); }
static void body(void) {
    launched_run(launched_arguments);
    running->state = DONE;
}
static int resume(Fibre *f) {
    running = f;
    f->state = RUNNING;
    launched->thread = f->index;
    return swapcontext(&scheduler, &f->context);
}
static int stuck(const char *what) {
    fprintf(stderr, "software device: some threads of a %s ended, or wait at another barrier, where others wait\n", what);
    return RT_FIBRES_STUCK;
}
static int run_block(unsigned bx, unsigned by, unsigned bz) {
    int n = 0, total = 0, ended[32] = {0};       /* n threads stopped at a barrier; ended: threads of a warp that met none */
    for (unsigned z = 0; z < bz; z++) for (unsigned y = 0; y < by; y++) for (unsigned x = 0; x < bx; x++, total++) {
        Fibre *f = &fibres[n];                   /* one that did not stop at a barrier leaves its stack to the next */
        if (!f->stack && !(f->stack = malloc(STACK))) return RT_FIBRES_NO_MEMORY;
        f->index = (Dim3){x, y, z};
        f->warp = total / 32;
        getcontext(&f->context);
        f->context.uc_stack.ss_sp = f->stack;
        f->context.uc_stack.ss_size = STACK;
        f->context.uc_link = &scheduler;
        makecontext(&f->context, body, 0);
        if (resume(f)) return RT_FIBRES_STUCK;
        if (f->state == DONE) ended[f->warp]++;
        else n++;
    }
    for (int live = n; live;) {
        int moved = 0;
        for (int i = 0, next; i < n; i = next) { /* warps whose threads all wait for each other */
            int states[4] = {0}, warp = fibres[i].warp;
            for (next = i; next < n && fibres[next].warp == warp; next++) states[fibres[next].state]++;
            if (!states[AT_WARP]) continue;
            if (states[AT_BLOCK] || states[DONE] || ended[warp]) return stuck("warp");
            for (int j = i; j < next; j++) {
                if (resume(&fibres[j])) return RT_FIBRES_STUCK;
                live -= fibres[j].state == DONE;
            }
            moved = 1;
        }
        if (moved) continue;
        if (live != total) return stuck("block");
        for (int i = 0; i < n; i++) {
            if (resume(&fibres[i])) return RT_FIBRES_STUCK;
            live -= fibres[i].state == DONE;
        }
    }
    return 0;
}
/* run(arguments) in each thread of each block; 0, or what went wrong */
static int rt_run_grid(Soft *soft, void (*run)(void **), void **arguments, Dim3 grid, Dim3 block) {
    int status = 0;
    launched = soft;
    launched_run = run;
    launched_arguments = arguments;
    soft->sync = at_barrier;
    soft->sync_warp = at_warp;
    soft->block_size = block;
    soft->grid = grid;
    for (unsigned z = 0; z < grid.z && !status; z++) for (unsigned y = 0; y < grid.y && !status; y++) for (unsigned x = 0; x < grid.x && !status; x++) {
        soft->block = (Dim3){x, y, z};
        status = run_block(block.x, block.y, block.z);
    }
    return status;
}
#endif
