/* The CUDA back end below Python. A call checks nothing that the floors above have checked: it finds its kernel by key in a
 * hash table, fills one struct of arguments and launches. A miss asks Python, which prints and compiles the kernel. */
#define _GNU_SOURCE                                  /* RTLD_NOLOAD */
#ifndef _WIN32
#include <dlfcn.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "launch.h"
#include "blaslt.h"
#include "_gen/rt_rows.h"

RtCuda rt_cuda;
int (*rt_cuda_build)(const RtKey *key, CuHandle *function);
static int ndevices, sms[RT_CUDA_MAX_DEVICES], sync_each, overlap = 1, overlaps[RT_CUDA_MAX_DEVICES];
static CuHandle contexts[RT_CUDA_MAX_DEVICES];
static int64_t *faults[RT_CUDA_MAX_DEVICES];
static _Atomic int64_t launches, waits;
static int lost;                                     /* an error after which a context answers nothing else; Note [Lost contexts] */
static char lost_text[400];
static _Thread_local int nonblocking;
static _Thread_local char error_text[1024];
static _Thread_local int current = -1;
static _Thread_local CuHandle streams[RT_CUDA_MAX_DEVICES];

char *rt_cuda_error(void) { return error_text; }
static const char *last_error(void) { return error_text; }
int64_t rt_cuda_launches(void) { return atomic_load(&launches); }
void rt_cuda_debug(int sync) { sync_each = sync; }
void rt_cuda_overlap(int on) { overlap = on; }
CuHandle rt_cuda_stream(int device) { return streams[device]; }
void rt_cuda_set_stream(int device, CuHandle stream) { streams[device] = stream; }
int64_t rt_cuda_waits(void) { return atomic_load(&waits); }
void rt_cuda_nonblocking(int on) { nonblocking = on; }

/* Note [Lost contexts]: after an illegal access or a trap the driver answers every call with the same error, whatever it is asked. The
 * first such error says what happened and where it was seen (kernels run behind the host's back: RUSTORCH_CUDA_SYNC=1 waits after each and
 * so names the right one); later calls say shortly that the context is lost. Only a new process helps. */
static int loses(int status) {
    return status == 700 || status == 702 || status == 709 || status == 710 || (status >= 714 && status <= 719);
}

int rt_cuda_check(int status, const char *what) {
    if (status == 0) return RT_OK;
    const char *name = "unknown error", *text = "";
    rt_cuda.error_name(status, &name);
    rt_cuda.error_string(status, &text);
    if (loses(status) && !lost) {
        lost = status;
        snprintf(lost_text, sizeof lost_text, "%s in %s", name ? name : "", what);
        current = -1;
        snprintf(error_text, sizeof error_text, "CUDA error: %s (%s), seen in %s. The context is lost: nothing on the device can be used or read in this "
                 "process any more.%s", text ? text : "", name ? name : "", what,
                 sync_each ? "" : " Kernels run behind the host, so another may have failed; RUSTORCH_CUDA_SYNC=1 waits after each and names it.");
        return RT_ERR_DEVICE;
    }
    snprintf(error_text, sizeof error_text, "CUDA error: %s (%s) in %s", text ? text : "", name ? name : "", what);
    return status == CU_OUT_OF_MEMORY ? RT_ERR_MEMORY : RT_ERR_DEVICE;
}

/* cuda-python's functions look at two flags before they call the driver's: those that every operator calls are taken from the driver
 * itself, where it is found under the name of its library. */
void rt_cuda_direct(void) {
#ifdef RTLD_NOLOAD
    const char *per_thread = getenv("CUDA_PYTHON_CUDA_PER_THREAD_DEFAULT_STREAM");
    void *driver = per_thread && *per_thread && strcmp(per_thread, "0") ? NULL : dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD), *p;
    if (!driver) return;
#define TAKE(name, symbol) if ((p = dlsym(driver, symbol))) memcpy(&rt_cuda.name, &p, sizeof p)
    TAKE(launch, "cuLaunchKernel");
    TAKE(launch_as, "cuLaunchKernelEx");
    TAKE(copy_to_device, "cuMemcpyHtoDAsync_v2");
    TAKE(copy_to_host, "cuMemcpyDtoHAsync_v2");
    TAKE(copy_on_device, "cuMemcpyDtoDAsync_v2");
    TAKE(set_bytes, "cuMemsetD8Async");
    TAKE(set_words, "cuMemsetD32Async");
    TAKE(stream_synchronize, "cuStreamSynchronize");
    TAKE(stream_wait, "cuStreamWaitEvent");
    TAKE(event_record, "cuEventRecord");
    TAKE(event_query, "cuEventQuery");
    TAKE(graph_launch, "cuGraphLaunch");
#undef TAKE
#endif
}

int rt_cuda_start(int *devices) {
    int n = 0, status = rt_cuda_check(rt_cuda.init(0), "cuInit");
    if (status || (status = rt_cuda_check(rt_cuda.device_count(&n), "cuDeviceGetCount"))) return status;
    ndevices = *devices = n > RT_CUDA_MAX_DEVICES ? RT_CUDA_MAX_DEVICES : n;
    return RT_OK;
}

/* Note [Faults]: an index out of range is known on the device only. Its kernel does nothing there and writes index, size and the
 * kernel's name to a word of the host's memory, which is looked at whenever the host waits: the error comes with the next value that
 * is read, and the context lives on (a size below 0: no index, a number that is no probability). RUSTORCH_CUDA_SYNC=1 waits after each launch. */
static int faulted(int device) {
    int64_t *f = faults[device];
    if (!f || !*(volatile int64_t *)f) return RT_OK;
    if (f[2] < 0)
        snprintf(error_text, sizeof error_text, "CUDA error: all elements of input should be between 0 and 1, which number %lld is not, in %s", (long long)f[1],
                 (const char *)(uintptr_t)f[3]);
    else
        snprintf(error_text, sizeof error_text, "CUDA error: index %lld is out of bounds for dimension with size %lld, in %s", (long long)f[1],
                 (long long)f[2], (const char *)(uintptr_t)f[3]);
    f[0] = 0;
    return RT_ERR_DEVICE;
}
int64_t *rt_cuda_fault(int device) { return faults[device]; }
int rt_cuda_faulted(int device) { return faulted(device); }
int rt_cuda_lost(void) { return lost; }

static atomic_flag lock = ATOMIC_FLAG_INIT;

int rt_cuda_use(int device) {
    if (device == current && !lost) return RT_OK;
    if (lost) {
        snprintf(error_text, sizeof error_text, "CUDA error: the context was lost earlier (%s); start a new process", lost_text);
        return RT_ERR_DEVICE;
    }
    if (device < 0 || device >= ndevices) {
        snprintf(error_text, sizeof error_text, "CUDA error: invalid device ordinal (%d of %d devices)", device, ndevices);
        return RT_ERR_DEVICE;
    }
    int status;
    rt_take(&lock);
    if (!contexts[device]) {
        int handle = 0;
        status = rt_cuda_check(rt_cuda.device_get(&handle, device), "cuDeviceGet");
        if (!status) status = rt_cuda_check(rt_cuda.context_retain(&contexts[device], handle), "cuDevicePrimaryCtxRetain");
        if (!status) status = rt_cuda_check(rt_cuda.device_attribute(&sms[device], CU_ATTR_SMS, handle), "cuDeviceGetAttribute");
        if (!status) status = rt_cuda_check(rt_cuda.device_attribute(&handle, CU_ATTR_MAJOR, handle), "cuDeviceGetAttribute");
        if (status) { rt_give(&lock); return status; }
        overlaps[device] = handle >= 9 ? overlap : 0;
    }
    rt_give(&lock);
    if ((status = rt_cuda_check(rt_cuda.context_set(contexts[device]), "cuCtxSetCurrent"))) return status;
    current = device;
    rt_take(&lock);
    if (!faults[device]) {
        void *p = NULL;
        status = rt_cuda_check(rt_cuda.host_alloc(&p, 64, 3), "cuMemHostAlloc");       /* for all contexts, and seen by kernels */
        if (!status) faults[device] = memset(p, 0, 64);
    }
    rt_give(&lock);
    return status;
}

/* Note [Small copies]: a few bytes of the host travel as the argument of a kernel. Nothing is waited for, and a graph that is captured
 * keeps them. (A copy from memory that is not page-locked is waited for, as the memory may change behind it, and cannot be captured.) */
#define RT_PUT_MOST (8 * (RT_CALL_INTS - 1))
int (*rt_cuda_find_put)(int device, CuHandle *function);
static int put(int device, CuPtr to, const void *src, size_t nbytes) {
    static CuHandle functions[RT_CUDA_MAX_DEVICES];
    RtCall a;
    int status;
    if (!functions[device] && (status = rt_cuda_find_put(device, &functions[device]))) return status;
    a.p[0] = (char *)(uintptr_t)to;
    a.n[0] = (int64_t)nbytes;
    memcpy(&a.n[1], src, nbytes);
    a.fault = faults[device];
    return rt_cuda_launch(device, functions[device], &a, (unsigned)((nbytes + 255) / 256), 1, 1, 256, 1, "a copy to the device");
}

static int run_plan(int device, RtKey *key, RtIter *it, const double *k, const char *what);
#define COPIES_BY_KERNEL ((size_t)1 << 20)           /* bytes, up to which a launch of ours costs less than the driver's copy (H200: 2.6 us to 3.7) */
static int copy_by_kernel(int device, CuPtr to, CuPtr from, size_t nbytes) {
    RtKey key;
    RtIter it;
    int words = ((to | from | nbytes) & 3) == 0;
    memset(&key, 0, sizeof key);
    memset(&it, 0, sizeof it);
    key.kind = RT_KEY_CAST;
    it.ndim = 1; it.nargs = 2;
    it.ptr[0] = (char *)(uintptr_t)to; it.ptr[1] = (char *)(uintptr_t)from;
    it.dtype[0] = it.dtype[1] = words ? RT_F32 : RT_U8;
    it.numel = it.shape[0] = (int64_t)(words ? nbytes / 4 : nbytes);
    it.step_bytes[0][0] = it.step_bytes[0][1] = words ? 4 : 1;
    return run_plan(device, &key, &it, NULL, "a copy on the device");
}
static int device_copy(int to, void *dst, int from, const void *src, size_t nbytes) {
    int status;
    CuPtr d = (CuPtr)(uintptr_t)dst, s = (CuPtr)(uintptr_t)src;
    if (nbytes == 0) return RT_OK;
    if (RT_DEVICE_TYPE(to) == RT_CPU) {
        int device = RT_DEVICE_INDEX(from);
        if ((status = rt_cuda_use(device))) return status;
        if ((status = rt_cuda_check(rt_cuda.copy_to_host(dst, s, nbytes, streams[device]), "a copy to the host"))) return status;
        if (nonblocking && rt_cuda_host_used(dst, nbytes, streams[device])) return RT_OK;
        atomic_fetch_add(&waits, 1);
        status = rt_cuda_check(rt_cuda.stream_synchronize(streams[device]), "a copy to the host");
        return status ? status : faulted(device);
    }
    int device = RT_DEVICE_INDEX(to);
    if ((status = rt_cuda_use(device))) return status;
    if (RT_DEVICE_TYPE(from) == RT_CPU) {
        if (nbytes <= RT_PUT_MOST && !(nonblocking && rt_cuda_host_holds(src, nbytes))) return put(device, d, src, nbytes);
        if ((status = rt_cuda_check(rt_cuda.copy_to_device(d, src, nbytes, streams[device]), "a copy to the device"))) return status;
        if (nonblocking && rt_cuda_host_used(src, nbytes, streams[device])) return RT_OK;
        atomic_fetch_add(&waits, 1);
        return rt_cuda_check(rt_cuda.stream_synchronize(streams[device]), "a copy to the device");
    }
    if (from == to && nbytes <= COPIES_BY_KERNEL) return copy_by_kernel(device, d, s, nbytes);
    if (from == to) return rt_cuda_check(rt_cuda.copy_on_device(d, s, nbytes, streams[device]), "a copy on the device");
    if ((status = rt_cuda_use(RT_DEVICE_INDEX(from))) || (status = rt_cuda_use(device))) return status;
    return rt_cuda_check(rt_cuda.copy_between(d, contexts[device], s, contexts[RT_DEVICE_INDEX(from)], nbytes, streams[device]), "a copy between devices");
}
static int synchronize(int device) {
    int status = rt_cuda_use(RT_DEVICE_INDEX(device));
    atomic_fetch_add(&waits, 1);
    if (!status) status = rt_cuda_check(rt_cuda.context_synchronize(), "cuCtxSynchronize");
    return status ? status : faulted(RT_DEVICE_INDEX(device));
}

/* ---- kernels by key ------------------------------------------------------------------------------------------------ */
static RtTableSlot table;
static int find(const RtKey *key, CuHandle *function) { return rt_table_find(&table, &lock, rt_cuda_build, key, function); }

/* Note [Overlapped launches]: from sm_90 on a kernel may be brought onto the device before the one in front of it on its stream has ended.
 * Each of ours begins with griddepcontrol.wait (prelude.cuh), which waits until that one, whosever it is, has ended and all it wrote can be
 * seen: order and memory are those of any launch. On an H200 it costs the host 2.6 us instead of 3.2, and the device 0.8 us between two small
 * kernels instead of 1.7. (Letting the next one come already when a kernel begins made large ones slower; in graphs nothing was gained.) */
int rt_cuda_launch(int device, CuHandle function, void *args, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, const char *what) {
    static CuLaunchAttribute early[1] = {{CU_LAUNCH_OVERLAP, 0, {{1}}}};
    void *params[1] = {args};
    CuHandle stream = streams[device];
    int status;
    atomic_fetch_add_explicit(&launches, 1, memory_order_relaxed);
    if (overlaps[device] && !rt_cuda_captures) {
        CuLaunch how = {gx, gy, gz, bx, by, 1, 0, stream, early, 1};
        status = rt_cuda.launch_as(&how, function, params, NULL);
    } else
        status = rt_cuda.launch(function, gx, gy, gz, bx, by, 1, 0, stream, params, NULL);
    if (!status && sync_each && !(status = rt_cuda.stream_synchronize(stream))) return faulted(device);
    return status ? rt_cuda_check(status, what) : RT_OK;
}
int rt_cuda_launch_cost(int device, int calls, int plain, double *seconds) {
    RtCall a;
    struct timespec from, to;
    CuHandle function;
    int status = rt_cuda_use(device), before = overlaps[device];
    if (status || (status = rt_cuda_find_put(device, &function))) return status;
    memset(&a, 0, sizeof a);
    if (plain) overlaps[device] = 0;
    timespec_get(&from, TIME_UTC);
    for (int i = 0; i < calls && !status; i++) status = rt_cuda_launch(device, function, &a, 1, 1, 1, 256, 1, "a launch alone");
    timespec_get(&to, TIME_UTC);
    overlaps[device] = before;
    *seconds = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
    return status;
}
int rt_cuda_launched(int device, const char *what) {             /* by a library, on the current stream */
    atomic_fetch_add_explicit(&launches, 1, memory_order_relaxed);
    int status = sync_each ? rt_cuda_check(rt_cuda.stream_synchronize(streams[device]), what) : RT_OK;
    return status ? status : sync_each ? faulted(device) : RT_OK;
}
static int launch(const RtKey *key, void *args, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, const char *what) {
    CuHandle function;
    int status = find(key, &function);
    return status ? status : rt_cuda_launch(key->device, function, args, gx, gy, gz, bx, by, what);
}

/* ---- elementwise: rows, conversions, fills ------------------------------------------------------------------------- */
#define THREADS RT_CUDA_THREADS
static unsigned blocks_for(int device, int64_t threads) {
    int64_t want = (threads + THREADS - 1) / THREADS, most = (int64_t)sms[device] * 16;
    return (unsigned)(want < most ? want : most);
}

unsigned rt_cuda_blocks(int device, int64_t threads) { return blocks_for(device, threads); }

static void take_numbers(RtNumber *to, unsigned host, const RtIter *it) {
    for (int a = 0; host; a++, host >>= 1) if (host & 1) memcpy(to[a].bytes, it->ptr[a], (size_t)rt_itemsize(it->dtype[a]));
}

/* operands and numbers of a plan, into an RtDense or an RtStrided */
#define TAKE_OPERANDS(args, key, it, k)                                                    \
    do {                                                                                   \
        memcpy((args).p, (it)->ptr, sizeof(char *) * (size_t)(it)->nargs);                 \
        (args).k[0] = (k) ? (k)[0] : 0;                                                    \
        (args).k[1] = (k) ? (k)[1] : 0;                                                    \
        take_numbers((args).host, (key)->host, it);                                        \
    } while (0)

static RtSplit split(int64_t size) {
    RtSplit s = {size, {1, 0}, 1 / (double)size};
    if (size <= INT32_MAX) s.by = rt_divisor(size);
    else s.by.shift = 31;                            /* 0 for all that the divisor is asked for */
    return s;
}
/* packs that a thread has under way, threads of a block: _turns in _text.py */
static int64_t turns_of(const RtKey *key, int cost, int64_t *block) {
    int alone = key->mode == RT_MODE_DENSE && key->vector > 1, moving = 0;       /* one operand moves, as wide as the result */
    for (int a = 1; a < key->nargs; a++)
        if (key->moving >> a & 1) { moving++; alone = alone && rt_itemsize(key->dtype[a]) == rt_itemsize(key->dtype[0]); }
    alone = alone && moving < 2;
    *block = alone ? THREADS / 2 : THREADS;
    if (alone) return cost > 1 && cost <= 3 && key->vector <= 8 ? 2 : 1;
    return cost > 3 || key->vector > 8 ? 1 : key->vector > 1 ? 2 : 4;
}
static int launch_packs(const RtKey *key, void *args, int64_t packs, int cost, const char *what) {
    int64_t block, turns = turns_of(key, cost, &block), per_block = block * turns, blocks = (packs + per_block - 1) / per_block;
    if (blocks > INT32_MAX) { snprintf(error_text, sizeof error_text, "%s: too many elements for one launch", what); return RT_ERR_UNSUPPORTED; }
    return launch(key, args, (unsigned)blocks, 1, 1, (unsigned)block, 1, what);
}

/* Note [Copies by tiles]: a copy whose sides are dense along different dimensions reads or writes a line of memory for each element unless
 * a block takes a square of both dimensions through shared memory. */
static int run_tiles(RtKey *key, const RtIter *it, const char *what, int *done) {
    int64_t osz = rt_itemsize(it->dtype[0]), isz = rt_itemsize(it->dtype[1]);
    int b = 1;
    *done = 0;
    if (it->ndim < 2 || it->ndim > RT_CUDA_DIMS || it->step_bytes[0][0] != osz || it->step_bytes[0][1] == isz || it->step_bytes[0][1] == 0) return RT_OK;
    while (b < it->ndim && it->step_bytes[b][1] != isz) b++;
    if (b == it->ndim || it->shape[0] < 16 || it->shape[b] < 16) return RT_OK;
    RtTile t;
    memset(&t, 0, sizeof t);
    int64_t edge = isz < 4 ? 64 : 32, tiles = 1;
    t.in = it->ptr[1];
    t.out = it->ptr[0];
    t.n_a = it->shape[0];
    t.n_b = it->shape[b];
    t.in_a = it->step_bytes[0][1];
    t.out_b = it->step_bytes[b][0];
    t.ndim = it->ndim;
    for (int d = 0, at = 2; d < it->ndim; d++) {
        int to = d == 0 ? 0 : d == b ? 1 : at++;
        t.size[to] = to < 2 ? (it->shape[d] + edge - 1) / edge : it->shape[d];
        t.out_step[to] = it->step_bytes[d][0];
        t.in_step[to] = it->step_bytes[d][1];
        t.by[to] = rt_divisor(t.size[to]);
        if (t.size[to] > INT32_MAX) return RT_OK;
        tiles *= t.size[to];
        if (tiles > INT32_MAX) return RT_OK;
    }
    *done = 1;
    int pairs = isz == 2;                            /* two elements at a time, where both sides have all begin at even places */
    if (pairs) {
        int64_t odd = t.n_a | t.n_b | t.in_a / isz | t.out_b / osz | (int64_t)((uintptr_t)t.in / (uintptr_t)isz) | (int64_t)((uintptr_t)t.out / (uintptr_t)osz);
        for (int d = 2; d < t.ndim; d++) odd |= t.in_step[d] / isz | t.out_step[d] / osz;
        pairs = !(odd & 1);
    }
    key->mode = RT_MODE_TILE;
    key->vector = pairs ? 2 : 1;
    key->moving = 0;
    return launch(key, &t, (unsigned)tiles, 1, 1, THREADS, 1, what);
}

/* Note [Turned operands]: the same of an operator: an operand that is dense along another dimension than the result goes through shared memory
 * (_turned in _text.py); also copies between elements of 4 bytes. */
static int run_turned(RtKey *key, const RtIter *it, const double *k, const char *what, int *done) {
    int nargs = it->nargs, b = 0, widest = (int)rt_itemsize(it->dtype[0]), vector;
    unsigned turned = 0;
    *done = 0;
    if (it->ndim < 2 || it->ndim > RT_CUDA_DIMS || it->step_bytes[0][0] != rt_itemsize(it->dtype[0]) || it->shape[0] < 16) return RT_OK;
    for (int a = 1; a < nargs; a++) {
        int64_t size = rt_itemsize(it->dtype[a]);
        if (key->host >> a & 1) continue;
        if (size > widest) widest = (int)size;
        if (it->step_bytes[0][a] == size || it->step_bytes[0][a] == 0) continue;
        int d = 1;
        while (d < it->ndim && it->step_bytes[d][a] != size) d++;
        if (d == it->ndim || it->shape[d] < 16 || (b && b != d)) continue;
        b = d;
        turned |= 1u << a;
    }
    if (!turned) return RT_OK;
    vector = widest < 8 ? 8 / widest : 1;            /* by 8 bytes: 0.750 ms for float32 of 16384 x 16384 on an H200, 1.035 by 16, 0.784 by 4 */
    int64_t bad = it->shape[0] % vector | it->shape[b] % vector;
    for (int a = 0; a < nargs && vector > 1; a++) {
        if (key->host >> a & 1) continue;
        int64_t size = rt_itemsize(it->dtype[a]), pack = vector * size, packs = turned >> a & 1 ? b : 0;
        if (packs == 0 && it->step_bytes[0][a] == 0) continue;
        if (it->step_bytes[packs][a] != size) bad |= 1;
        bad |= (int64_t)((uintptr_t)it->ptr[a] % (uintptr_t)pack);
        for (int d = 0; d < it->ndim; d++) if (d != packs) bad |= it->step_bytes[d][a] % pack;
    }
    if (bad) vector = 1;
    int64_t side, depth, shared, tiles = 1;
    for (;; vector = 1) {
        side = vector < 4 ? 32 : 64;                 /* tile_sides in _text.py */
        depth = vector > 1 ? 64 : 32;
        shared = 0;
        for (int a = 1; a < nargs; a++) if (turned >> a & 1) shared += side * (depth + 4) * rt_itemsize(it->dtype[a]);
        if (shared <= 48 << 10) break;
        if (vector == 1) return RT_OK;
    }
    RtStrided args;
    args.ndim = it->ndim;
    TAKE_OPERANDS(args, key, it, k);
    for (int d = 0, at = 2; d < it->ndim; d++) {
        int to = d == 0 ? 0 : d == b ? 1 : at++;
        int64_t count = to == 0 ? (it->shape[d] + side - 1) / side : to == 1 ? (it->shape[d] + depth - 1) / depth : it->shape[d];
        args.size[to] = it->shape[d];
        for (int a = 0; a < nargs; a++) args.step[to][a] = it->step_bytes[d][a];
        if (count > INT32_MAX) return RT_OK;
        args.by[to] = rt_divisor(count);
        tiles *= count;
        if (tiles > INT32_MAX) return RT_OK;
    }
    args.n = tiles;
    *done = 1;
    key->mode = RT_MODE_TILE;
    key->vector = (uint8_t)vector;
    key->moving = (uint8_t)turned;
    return launch(key, &args, (unsigned)tiles, 1, 1, THREADS, 1, what);
}

/* A plan of one dimension whose operands are dense or one element takes the kernel for these, by packs of 16 bytes of the widest
 * operand where all are aligned; any other the strided one, which takes packs along the innermost dimension. One that reaches beyond
 * offsets of 32 bits is cut in two along its longest dimension. */
static int run_plan(int device, RtKey *key, RtIter *it, const double *k, const char *what) {
    int nargs = it->nargs, dense = it->ndim == 1, widest = 1;
    if (it->numel == 0) return RT_OK;
    int status = rt_cuda_use(device);
    if (status) return status;
    key->device = (uint8_t)device;
    key->nargs = (uint8_t)nargs;
    for (int a = 0; a < nargs; a++) {
        int size = rt_itemsize(it->dtype[a]);
        key->dtype[a] = (uint8_t)it->dtype[a];
        if (key->host >> a & 1) continue;
        if (size > widest) widest = size;
        if (it->step_bytes[0][a] == size || it->numel == 1) key->moving |= (uint8_t)(1 << a);
        else if (it->step_bytes[0][a] != 0 || a == 0) dense = 0;
    }
    int cost = key->kind == RT_KEY_ROW ? rt_rows[key->id >> 2].cost : 1;
    if (dense) {
        int vector = widest < 16 ? 16 / widest : 1;
        for (int a = 0; a < nargs; a++)
            if (key->moving >> a & 1 && (uintptr_t)it->ptr[a] % (uintptr_t)(vector * rt_itemsize(it->dtype[a]))) vector = 1;
        if (it->numel < 4096) vector = 1;            /* parallelism before width */
        key->mode = RT_MODE_DENSE;
        key->vector = (uint8_t)vector;
        RtDense args;
        args.n = it->numel;
        TAKE_OPERANDS(args, key, it, k);
        return launch_packs(key, &args, (it->numel + vector - 1) / vector, cost, what);
    }
    key->moving = 0;
    key->vector = 1;
    int done = 0, copies = key->kind == RT_KEY_CAST;
    if (key->kind == RT_KEY_ROW || (copies && rt_itemsize(it->dtype[0]) == 4 && rt_itemsize(it->dtype[1]) == 4)) status = run_turned(key, it, k, what, &done);
    if (copies && !done) status = run_tiles(key, it, what, &done);
    if (done) return status;
    int64_t reach = it->numel;
    for (int a = 0; a < nargs; a++) {
        int64_t bytes = 0;
        for (int d = 0; d < it->ndim; d++) bytes += (it->shape[d] - 1) * llabs(it->step_bytes[d][a]);
        if (bytes > reach) reach = bytes;
    }
    int deep = it->ndim > RT_CUDA_DIMS;
    if (deep || reach >= INT32_MAX) {                /* pieces: along the outermost dimension, or the one that reaches furthest */
        int cut = it->ndim - 1;
        int64_t furthest = 0;
        for (int d = 0; !deep && d < it->ndim; d++)
            for (int a = 0; a < nargs; a++) {
                int64_t bytes = (it->shape[d] - 1) * llabs(it->step_bytes[d][a]);
                if (it->shape[d] - 1 > bytes) bytes = it->shape[d] - 1;
                if (bytes > furthest) { furthest = bytes; cut = d; }
            }
        int64_t size = it->shape[cut], length = deep ? 1 : size / 2;
        for (int64_t at = 0; at < size; at += length) {
            RtIter inner = *it;
            RtKey again = *key;
            inner.shape[cut] = size - at < length ? size - at : length;
            inner.numel = it->numel / size * inner.shape[cut];
            for (int a = 0; a < nargs; a++) if (!(key->host >> a & 1)) inner.ptr[a] += at * it->step_bytes[cut][a];
            if (deep) inner.ndim--;
            if ((status = run_plan(device, &again, &inner, k, what))) return status;
        }
        return RT_OK;
    }
    /* packs along the innermost dimension: operands are dense or stay there, and every line begins where a pack may */
    int vector = it->numel < 4096 || widest == 16 ? 1 : 16 / widest;
    unsigned moves = 0;
    for (int a = 0; a < nargs && vector > 1; a++) {
        if (key->host >> a & 1) continue;
        int64_t size = rt_itemsize(it->dtype[a]), step = it->step_bytes[0][a];
        if (step == size) moves |= 1u << a;
        else if (step != 0 || a == 0) { vector = 1; break; }
        else continue;
        while (vector > 1) {
            int64_t pack = vector * size, bad = it->shape[0] % vector | (int64_t)((uintptr_t)it->ptr[a] % (uintptr_t)pack);
            for (int d = 1; d < it->ndim; d++) bad |= it->step_bytes[d][a] % pack;
            if (!bad) break;
            vector /= 2;
        }
    }
    key->mode = RT_MODE_STRIDED;
    key->vector = (uint8_t)vector;
    key->moving = vector > 1 ? (uint8_t)moves : 0;
    RtStrided args;
    args.n = it->numel / vector;
    args.ndim = it->ndim;
    TAKE_OPERANDS(args, key, it, k);
    for (int d = 0; d < it->ndim; d++) {
        int64_t packs = d ? 1 : vector;
        args.size[d] = it->shape[d] / packs;
        args.by[d] = rt_divisor(args.size[d]);
        for (int a = 0; a < nargs; a++) args.step[d][a] = it->step_bytes[d][a] * packs;
    }
    return launch_packs(key, &args, args.n, cost, what);
}

static int elementwise(int code, int kernel, int loop_dtype, RtIter *it, const double *k) {
    RtKey key;
    memset(&key, 0, sizeof key);
    key.kind = RT_KEY_ROW;
    key.id = (uint16_t)kernel;
    key.loop = (uint8_t)loop_dtype;
    key.host = (uint8_t)it->host;
    return run_plan(RT_DEVICE_INDEX(code), &key, it, k, rt_rows[kernel >> 2].name);
}
static int convert(int code, RtIter *it) {
    RtKey key;
    memset(&key, 0, sizeof key);
    key.kind = RT_KEY_CAST;
    if (it->dtype[0] == it->dtype[1] && it->ndim == 1 && it->step_bytes[0][0] == rt_itemsize(it->dtype[0]) && it->step_bytes[0][1] == it->step_bytes[0][0])
        return device_copy(code, it->ptr[0], code, it->ptr[1], (size_t)(it->numel * it->step_bytes[0][0]));
    return run_plan(RT_DEVICE_INDEX(code), &key, it, NULL, "copy_");
}
/* Where bytes or words repeat, a small fill is the driver's, which keeps the host for 0.7 us (H200; from some size below 32 KiB on for 3 us). */
#define FILLS_BY_DRIVER 1024
static int fill_by_driver(int device, const RtIter *it, const char *value, int size, int *status) {
    CuPtr to = (CuPtr)(uintptr_t)it->ptr[0];
    size_t n = (size_t)it->numel * (size_t)size;
    uint32_t word = 0;
    if (n == 0 || it->ndim > 1 || it->step_bytes[0][0] != size || n > FILLS_BY_DRIVER || rt_cuda_captures || (*status = rt_cuda_use(device))) return 0;
    for (int i = 0; i < 4; i++) memcpy((char *)&word + i, value + i % size, 1);
    for (int i = 4; i < size; i++) if (value[i] != value[i % 4]) return 0;
    if (word == (word & 0xff) * 0x01010101u) *status = rt_cuda.set_bytes(to, (unsigned char)word, n, streams[device]);
    else if ((to | n) % 4 == 0) *status = rt_cuda.set_words(to, word, n / 4, streams[device]);
    else return 0;
    *status = *status ? rt_cuda_check(*status, "fill_") : rt_cuda_launched(device, "fill_");
    return 1;
}
static int fill(int code, RtIter *it, const char *value) {
    RtKey key;
    double k[2] = {0, 0};
    int status = RT_OK;
    if (fill_by_driver(RT_DEVICE_INDEX(code), it, value, (int)rt_itemsize(it->dtype[0]), &status) || status) return status;
    memset(&key, 0, sizeof key);
    key.kind = RT_KEY_FILL;
    key.id = (uint16_t)rt_itemsize(it->dtype[0]);
    memcpy(k, value, key.id);
    it->nargs = 1;
    return run_plan(RT_DEVICE_INDEX(code), &key, it, k, "fill_");
}

/* ---- reductions ---------------------------------------------------------------------------------------------------- */
/* The widest packs (up to 16 bytes, and accumulators of `most`) by which n elements of `size` bytes `step` apart can be read; the
 * other dimensions begin where packs may. */
static int packs_of(const RtReduce *r, int64_t size, int64_t n, int64_t step, int most, int skip_keep, int skip_red) {
    int v = 1;
    if (step != size) return 1;
    while (2 * v * size <= 16 && 2 * v <= most) v *= 2;
    for (; v > 1; v /= 2) {
        int64_t pack = v * size, bad = n % v | (int64_t)((uintptr_t)r->in % (uintptr_t)pack);
        for (int d = skip_keep; d < r->keep; d++) bad |= r->keep_in[d] % pack;
        for (int d = skip_red; d < r->red; d++) bad |= r->red_in[d] % pack;
        if (!bad) break;
    }
    return v;
}

/* k of a sum: what it is divided by, 0 for nothing (a mean is one launch).
 * Note [Ways of a reduction]: where neighbours in memory are reduced together, packs lie along what is reduced (lines), and a few lanes, a
 * warp or a block take an output. Where they belong to neighbouring outputs, packs lie along these (across), and rows of threads share what is
 * reduced. Where outputs alone do not fill the device, chunks of what is reduced get results of their own, which a second launch combines. */
static int reduce(int code, int row, int acc_dtype, const RtArray *out, const RtArray *in, const uint8_t *reduced, const double *k) {
    int device = RT_DEVICE_INDEX(code), status = rt_cuda_use(device);
    if (status) return status;
    const char *what = rt_reductions[row].name;
    RtReduce r;
    int64_t isz = rt_itemsize(in->dtype), osz = rt_itemsize(out->dtype), acc_size = rt_itemsize(acc_dtype);
    if (in->ndim > RT_CUDA_DIMS) { snprintf(error_text, sizeof error_text, "%s of more than %d dimensions", what, RT_CUDA_DIMS); return RT_ERR_UNSUPPORTED; }
    memset(&r, 0, sizeof r);
    r.in = in->data;
    r.out = out->data;
    r.nout = r.nred = 1;
    r.k0 = k ? k[0] : 0;
    for (int d = 0; d < in->ndim; d++) {
        if (reduced[d]) { r.nred *= in->shape[d]; rt_add_dim(&r.red, r.red_size, r.red_in, NULL, in->shape[d], in->strides[d] * isz, 0); }
        else { r.nout *= in->shape[d]; rt_add_dim(&r.keep, r.keep_size, r.keep_in, r.keep_out, in->shape[d], in->strides[d] * isz, out->strides[d] * osz); }
    }
    if (r.nout == 0) return RT_OK;
    rt_merge_dims(&r.keep, r.keep_size, r.keep_in, r.keep_out);
    rt_merge_dims(&r.red, r.red_size, r.red_in, NULL);
    RtKey key;
    memset(&key, 0, sizeof key);
    key.kind = RT_KEY_REDUCE;
    key.device = (uint8_t)device;
    key.id = (uint16_t)row;
    key.loop = (uint8_t)acc_dtype;
    key.nargs = 2;
    key.dtype[0] = (uint8_t)out->dtype;
    key.dtype[1] = (uint8_t)in->dtype;
    int across = r.keep > 0 && (r.red == 0 || llabs(r.keep_in[0]) < llabs(r.red_in[0])) && r.keep_size[0] >= 8;
    int64_t lanes = 1, side, blocks, chunks = 1, most = (int64_t)sms[device] * 32, least;
    int vector = 1;
    if (across) {
        int small = r.nout * r.nred * isz < ((int64_t)4 << 20);      /* many blocks at once then count for more than wide reads */
        if (!small) vector = packs_of(&r, isz, r.keep_size[0], r.keep_in[0], (int)(64 / acc_size), 1, 0);
        while (lanes < 32 && lanes * vector < r.nout) lanes *= 2;
        if (lanes < 8) lanes = 8;
        side = lanes * vector;
        least = (small ? 32 : 8) * (THREADS / lanes);                /* rows of a chunk: so many a thread */
    } else {
        if (r.red) vector = packs_of(&r, isz, r.red_size[0], r.red_in[0], 16, 0, 1);
        if (vector > 1) { r.nred /= vector; r.red_size[0] /= vector; r.red_in[0] *= vector; }
        while (lanes < 32 && (vector * isz >= 16 ? 4 : 2) * lanes < r.nred) lanes *= 2;      /* four packs a thread */
        if (r.nred > (r.nout >= most ? 4096 : 256)) lanes = THREADS;
        side = THREADS / lanes;
        least = 16 * THREADS;
    }
    blocks = (r.nout + side - 1) / side;
    if (blocks < most / 4 && r.nred > 2 * least && (!across || r.nred * isz > 64 * acc_size)) {
        chunks = most / blocks;
        if (chunks > r.nred / least) chunks = r.nred / least;
        if (across && chunks > r.nred * isz / (16 * acc_size)) chunks = r.nred * isz / (16 * acc_size);
        if (chunks > 65535) chunks = 65535;
    }
    if (blocks > INT32_MAX) { snprintf(error_text, sizeof error_text, "%s: too many results for one launch", what); return RT_ERR_UNSUPPORTED; }
    for (int d = 0; r.nred && d < r.red; d++) r.red_by[d] = split(r.red_size[d]);
    for (int d = 0; d < r.keep; d++) r.keep_by[d] = split(r.keep_size[d]);
    r.chunk = rt_at_least_1((r.nred + rt_at_least_1(chunks) - 1) / rt_at_least_1(chunks));
    chunks = r.nred ? (r.nred + r.chunk - 1) / r.chunk : 1;
    key.mode = (uint8_t)across;
    key.vector = (uint8_t)vector;
    unsigned bx = (unsigned)lanes, by = THREADS / bx;
    if (chunks == 1) return launch(&key, &r, (unsigned)blocks, 1, 1, bx, by, what);
    size_t got;
    r.part = rt_cuda_alloc(code, (size_t)(r.nout * chunks * acc_size), &got);
    if (!r.part) { snprintf(error_text, sizeof error_text, "%s: no memory for partial results", what); return RT_ERR_MEMORY; }
    status = launch(&key, &r, (unsigned)blocks, (unsigned)chunks, 1, bx, by, what);
    if (!status) {                                   /* the same again over the chunks' results, combining: (chunks, outputs) of a reduction across, else turned */
        RtReduce c = r;
        c.in = r.part;
        c.part = NULL;
        c.nred = c.chunk = c.red_size[0] = chunks;
        c.red = 1;
        c.red_in[0] = across ? r.nout * acc_size : acc_size;
        int64_t step = across ? acc_size : chunks * acc_size;
        for (int d = 0; d < c.keep; d++) { c.keep_in[d] = step; step *= c.keep_size[d]; }
        key.kind = RT_KEY_COMBINE;
        key.dtype[1] = (uint8_t)acc_dtype;
        key.vector = 1;
        bx = across || chunks <= 256 ? 32 : THREADS;
        by = THREADS / bx;
        side = across ? bx : by;
        status = launch(&key, &c, (unsigned)((r.nout + side - 1) / side), 1, 1, bx, by, what);
    }
    rt_cuda_free(code, r.part, got);
    return status;
}

/* ---- matrix product: cuBLASLt where it is there and can, else our own kernel ------------------------------------------ */
/* Note [Small products]: a launch through cuBLASLt keeps the host for 4.7 us where one of ours takes 2.6 (H200; 7 with some of its
 * algorithms), and its kernels take no less of the device until a product is about 128 x 128 x 128. */
static int small_products = 1;
void rt_cuda_small_products(int on) { small_products = on; }
static int is_small(const RtArray *out, int64_t k, int conj, int act) {
    int64_t batch = out->shape[0], m = out->shape[1], n = out->shape[2], steps = (k + 63) / 64, most = out->dtype == RT_F32 ? 128 : 32;
    if (!small_products || conj || act == RT_ACT_GELU || m > 4096 || n > 4096 || k > 256 || batch > 128 || k < 1) return 0;
    if (out->dtype != RT_F32 && out->dtype != RT_F64 && out->dtype != RT_F16 && out->dtype != RT_BF16) return 0;
    return (m + 15) / 16 * ((n + 15) / 16) * batch * steps <= most;
}
static RtProduct product_of(const RtArray *out, const RtArray *added, const RtArray *a, const RtArray *b, int conj, const double *alpha, const double *beta, int act) {
    RtProduct g;
    g.a = a->data; g.b = b->data; g.c = out->data;
    g.m = out->shape[1]; g.n = out->shape[2]; g.k = a->shape[2];
    g.a_z = a->strides[0]; g.a_m = a->strides[1]; g.a_k = a->strides[2];
    g.b_z = b->strides[0]; g.b_k = b->strides[1]; g.b_n = b->strides[2];
    g.c_z = out->strides[0]; g.c_m = out->strides[1]; g.c_n = out->strides[2];
    for (int i = 0; i < 2; i++) { g.alpha[i] = alpha[i]; g.beta[i] = beta[i]; }
    g.conj = conj;
    g.added = added->data;
    g.added_z = added->strides[0]; g.added_m = added->strides[1]; g.added_n = added->strides[2];
    g.act = act;
    return g;
}
static RtKey product_key(int kind, int device, int dtype) {
    RtKey key;
    memset(&key, 0, sizeof key);
    key.kind = (uint8_t)kind;
    key.device = (uint8_t)device;
    key.nargs = 1;
    key.dtype[0] = (uint8_t)dtype;
    key.loop = (uint8_t)rt_compute_dtype(dtype);
    return key;
}
static int small_product(int device, RtProduct *g, int dtype, int64_t batch) {
    RtKey key = product_key(RT_KEY_SMALL, device, dtype);
    if (g->m == 0 || g->n == 0 || batch == 0) return RT_OK;
    return launch(&key, g, (unsigned)((g->m + 15) / 16), (unsigned)((g->n + 15) / 16), (unsigned)batch, 256, 1, "matrix product");
}
int rt_cuda_fused(int code, const RtArray *out, const RtArray *added, const RtArray *a, const RtArray *b, int conj, const double *alpha,
                  const double *beta, int act) {
    int device = RT_DEVICE_INDEX(code), status = rt_cuda_use(device);
    if (status) return status;
    if (!is_small(out, a->shape[2], conj, act)) return rt_blaslt_gemm(device, out, added, a, b, conj, alpha, beta, act);
    RtProduct g = product_of(out, added, a, b, conj, alpha, beta, act);
    return small_product(device, &g, out->dtype, out->shape[0]);
}

#define TILE 64
static int gemm(int code, const RtArray *out, const RtArray *a, const RtArray *b, int conj, const double *alpha, const double *beta) {
    int device = RT_DEVICE_INDEX(code), status = rt_cuda_use(device);
    if (status) return status;
    int64_t batch = out->shape[0];
    RtProduct g = product_of(out, out, a, b, conj, alpha, beta, RT_ACT_NONE);
    if (is_small(out, g.k, conj, RT_ACT_NONE)) return small_product(device, &g, out->dtype, batch);
    if ((status = rt_blaslt_gemm(device, out, NULL, a, b, conj, alpha, beta, RT_ACT_NONE)) != RT_ERR_UNSUPPORTED) return status;
    if (g.m == 0 || g.n == 0 || batch == 0) return RT_OK;
    RtKey key = product_key(RT_KEY_PRODUCT, device, out->dtype);
    int64_t rows = (g.m + TILE - 1) / TILE, columns = (g.n + TILE - 1) / TILE;
    if (rows > INT32_MAX) { snprintf(error_text, sizeof error_text, "matrix product: too many rows for one launch"); return RT_ERR_UNSUPPORTED; }
    /* the grid's second and third sides end at 65535: more is walked in pieces */
    for (int64_t z = 0; z < batch; z += 65535)
        for (int64_t c = 0; c < columns; c += 65535) {
            RtProduct part = g;
            int64_t size = rt_itemsize(out->dtype);
            part.a += z * g.a_z * size;
            part.b += (z * g.b_z + c * TILE * g.b_n) * size;
            part.c += (z * g.c_z + c * TILE * g.c_n) * size;
            part.n = g.n - c * TILE;
            unsigned gy = (unsigned)(columns - c < 65535 ? columns - c : 65535), gz = (unsigned)(batch - z < 65535 ? batch - z : 65535);
            if (part.n > (int64_t)gy * TILE) part.n = (int64_t)gy * TILE;
            if ((status = launch(&key, &part, (unsigned)rows, gy, gz, 256, 1, "matrix product"))) return status;
        }
    return RT_OK;
}

static const RtBackend backend = {
    .name = "cuda", .alloc = rt_cuda_alloc, .free = rt_cuda_free, .copy = device_copy, .elementwise = elementwise, .reduce = reduce,
    .gemm = gemm, .convert = convert, .fill = fill, .synchronize = synchronize, .last_error = last_error,
};
const RtBackend *rt_cuda_backend(void) { return &backend; }
