/* The Metal back end below Python: finds kernels by key, fills their arguments, encodes launches. What waits: synchronize, copies to the host and on the
 * device, larger ones to it, the words of faults when they are made, and a full list of command buffers (for half of it). The framework itself is behind
 * the C face of helper.m (rustorch/metal.h). */
#include <stdio.h>
#include "launch.h"
#include "_gen/rt_rows.h"

#define THREADS RT_METAL_THREADS
#define MOST ((int64_t)1 << 30)     /* elements of one launch: kernels count them in 32 bits */
RtMetalCalls rt_metal;
int (*rt_metal_build)(const RtKey *key, void **kernel);
int (*rt_metal_find_put)(int device, void **kernel);
static RtTableSlot table;
static atomic_flag lock = ATOMIC_FLAG_INIT, fault_lock = ATOMIC_FLAG_INIT;
static _Atomic int64_t launches, waits;
static int sync_each;

static const char *last_error(void) { return rt_metal.error(); }
int64_t rt_metal_launches(void) { return atomic_load(&launches); }
int64_t rt_metal_waits(void) { return atomic_load(&waits); }
void rt_metal_debug(int sync) { sync_each = sync; }
static int refuse(const char *what, const char *why) {
    snprintf(rt_metal.error(), RT_METAL_ERROR_ROOM, "%s: %s", what, why);
    return RT_ERR_UNSUPPORTED;
}

/* Note [Faults]: an index out of range is known on the device only. Its kernel leaves the element alone and writes index, size and the kernel's name
 * to a few words, which are looked at whenever the host waits (a size below 0: no index, a number that is no probability). */
static int64_t *_Atomic faults[RT_METAL_MAX_DEVICES];
int rt_metal_fault(int device, int64_t **fault) {
    size_t got;
    rt_take(&fault_lock);
    int64_t *words = faults[device];
    if (!words && (words = rt_metal_alloc(RT_DEVICE(RT_METAL, device), 64, &got))) {
        rt_metal.drain(device);                      /* launches that were given the block before may write to it until then */
        rt_metal.open();
        memset(words, 0, 64);
        rt_metal.close();
        faults[device] = words;                      /* cleared: others look at it without the lock */
    }
    rt_give(&fault_lock);
    *fault = words;
    return words ? RT_OK : RT_ERR_MEMORY;
}
static int faulted(int device) {
    int64_t f[4] = {0, 0, 0, 0}, *words = faults[device];
    if (!words) return RT_OK;
    rt_metal.open();
    memcpy(f, words, sizeof f);
    words[0] = 0;
    rt_metal.close();
    if (!f[0]) return RT_OK;
    if (f[2] < 0)
        snprintf(rt_metal.error(), RT_METAL_ERROR_ROOM, "Metal error: all elements of input should be between 0 and 1, which number %lld is not, in %s", (long long)f[1],
                 (const char *)(uintptr_t)f[3]);
    else
        snprintf(rt_metal.error(), RT_METAL_ERROR_ROOM, "Metal error: index %lld is out of bounds for dimension with size %lld, in %s", (long long)f[1], (long long)f[2],
                 (const char *)(uintptr_t)f[3]);
    return RT_ERR_DEVICE;
}
int rt_metal_synchronize(int device) {
    atomic_fetch_add(&waits, 1);
    int status = rt_metal.wait(device);
    return status ? status : faulted(device);
}
static int synchronize(int code) { return rt_metal_synchronize(RT_DEVICE_INDEX(code)); }

/* pointers: the operands' addresses, NULL where there is none; the first is always there */
int rt_metal_launch(int device, const RtMetalKernel *kernel, char *const *pointers, int n, const void *args, size_t nargs, unsigned gx, unsigned gy,
                    unsigned gz, unsigned threads, const char *what) {
    RtMetalOperand operands[24];
    unsigned grid[3] = {gx, gy, gz}, group[3] = {threads, 1, 1};
    int status;
    memset(operands, 0, sizeof operands);
    if (threads > kernel->most_threads) return refuse(what, "its threadgroup is larger than this device allows");
    for (int i = 0; i < n; i++) {                    /* what a kernel is not given is bound all the same, to memory that it does not read */
        if (pointers[i] && (status = rt_metal_operand(device, pointers[i], &operands[i]))) return status;
        if (!pointers[i]) operands[i] = operands[0];
    }
    atomic_fetch_add_explicit(&launches, 1, memory_order_relaxed);
    if ((status = rt_metal.encode(device, kernel->pipeline, operands, n, args, nargs, grid, group))) return status;
    return sync_each ? rt_metal_synchronize(device) : RT_OK;
}
static int launch(const RtKey *key, char *const *pointers, int n, const void *args, size_t nargs, unsigned gx, unsigned gy, unsigned gz, const char *what) {
    void *kernel;
    int status = rt_table_find(&table, &lock, rt_metal_build, key, &kernel);
    return status ? status : rt_metal_launch(key->device, kernel, pointers, n, args, nargs, gx, gy, gz, THREADS, what);
}

/* Note [Writes of the host]: memory is shared, so that a write of the host would be seen by launches encoded before it. A few bytes travel as the
 * arguments of a kernel, behind these; more wait until the device is done. */
#define PUT_MOST 4080
static int device_copy(int to, void *dst, int from, const void *src, size_t nbytes) {
    int status;
    if (nbytes == 0) return RT_OK;
    if (RT_DEVICE_TYPE(to) == RT_CPU || RT_DEVICE_TYPE(from) != RT_CPU) {         /* what the device may still write is read by the host */
        if ((status = synchronize(from))) return status;
        if (RT_DEVICE_TYPE(to) != RT_CPU && to != from && (status = synchronize(to))) return status;
    } else if (rt_metal.pending(RT_DEVICE_INDEX(to)) && nbytes > PUT_MOST) {
        if ((status = synchronize(to))) return status;
    } else if (rt_metal.pending(RT_DEVICE_INDEX(to))) {
        struct { int64_t n, unused; char bytes[PUT_MOST]; } put;
        char *pointers[1] = {dst};
        void *kernel;
        if ((status = rt_metal_find_put(RT_DEVICE_INDEX(to), &kernel))) return status;
        put.n = (int64_t)nbytes;
        put.unused = 0;
        memcpy(put.bytes, src, nbytes);
        return rt_metal_launch(RT_DEVICE_INDEX(to), kernel, pointers, 1, &put, 16 + (nbytes + 15) / 16 * 16, (unsigned)((nbytes + THREADS - 1) / THREADS), 1, 1, THREADS,
                               "a copy to the device");
    }
    rt_metal.open();
    memcpy(dst, src, nbytes);
    rt_metal.close();
    return RT_OK;
}

/* ---- elementwise: rows, conversions, fills ---- */
/* what came with the call, a double as the float that it is on the device */
static void take_number(RtMetalNumber *to, RtKey *key, const RtIter *it, int a) {
    float f;
    if (it->dtype[a] == RT_F64) {
        double d;
        memcpy(&d, it->ptr[a], sizeof d);
        f = (float)d;
        memcpy(to->bytes, &f, sizeof f);
        key->dtype[a] = RT_F32;
    } else memcpy(to->bytes, it->ptr[a], (size_t)rt_itemsize(it->dtype[a]));
}
/* as whole numbers, which only those in their range have */
static int64_t whole_of(double v) { return v >= -9.2e18 && v <= 9.2e18 ? (int64_t)v : 0; }
static void take_parameters(int64_t *whole, float *k, const double *given) {
    for (int i = 0; i < 2; i++) {
        double v = given ? given[i] : 0;
        k[i] = (float)v;
        whole[i] = whole_of(v);
    }
}
/* A plan of one dimension whose operands are dense or one element takes the kernel for these, which has several elements a thread, 8 bytes of the
 * widest; any other the strided one. One that counts beyond 30 bits, or reaches beyond offsets of 31, is cut along its longest dimension. */
static int run_plan(int device, RtKey *key, RtIter *it, const double *k, const char *value, const char *what) {
    int nargs = it->nargs, dense = it->ndim == 1, widest = 1;
    int64_t reach = it->numel, far = 0, longest = 0;
    char *pointers[8] = {NULL};
    if (it->numel == 0) return RT_OK;
    key->device = (uint8_t)device;
    key->nargs = (uint8_t)nargs;
    for (int a = 0; a < nargs; a++) {
        int size = rt_itemsize(it->dtype[a]);
        int64_t bytes = 0;
        key->dtype[a] = (uint8_t)it->dtype[a];
        if (key->host >> a & 1) continue;
        pointers[a] = it->ptr[a];
        if (size > widest) widest = size;
        if (it->step_bytes[0][a] == size || it->numel == 1) key->moving |= (uint8_t)(1 << a);
        else if (it->step_bytes[0][a] != 0 || a == 0) dense = 0;
        for (int d = 0; d < it->ndim; d++) bytes += (it->shape[d] - 1) * llabs(it->step_bytes[d][a]);
        if (bytes > far) far = bytes;
    }
    if (!dense && far > reach) reach = far;
    int deep = it->ndim > RT_METAL_DIMS, cut = it->ndim - 1;
    if (deep || it->numel > MOST || (!dense && reach >= INT32_MAX)) {
        for (int d = 0; !deep && d < it->ndim; d++)
            for (int a = 0; a < nargs; a++) {
                int64_t bytes = (it->shape[d] - 1) * llabs(it->step_bytes[d][a]);
                if (it->shape[d] > bytes) bytes = it->shape[d];
                if (bytes > longest) { longest = bytes; cut = d; }
            }
        int64_t size = it->shape[cut], length = deep ? 1 : size / 2;
        for (int64_t at = 0; at < size; at += length) {
            RtIter inner = *it;
            RtKey again = *key;
            again.moving = 0;
            inner.shape[cut] = size - at < length ? size - at : length;
            inner.numel = it->numel / size * inner.shape[cut];
            for (int a = 0; a < nargs; a++) if (!(key->host >> a & 1)) inner.ptr[a] += at * it->step_bytes[cut][a];
            if (deep) inner.ndim--;
            int status = run_plan(device, &again, &inner, k, value, what);
            if (status) return status;
        }
        return RT_OK;
    }
    RtMetalStrided args;
    memset(&args, 0, dense ? sizeof(RtMetalDense) : sizeof args);
    for (int a = 1; a < nargs; a++) if (key->host >> a & 1) take_number(&args.host[a - 1], key, it, a);
    if (value) memcpy(args.host[0].bytes, value, key->id);
    take_parameters(args.whole, args.k, k);
    args.n = (uint32_t)it->numel;
    key->mode = (uint8_t)(dense ? RT_MODE_DENSE : RT_MODE_STRIDED);
    key->vector = (uint8_t)(dense && widest < 8 && it->numel >= 65536 ? 8 / widest : 1);       /* fewer: parallelism before width */
    int64_t threads = ((int64_t)args.n + key->vector - 1) / key->vector;
    if (!dense) {
        key->moving = 0;
        args.ndim = it->ndim;
        for (int d = 0; d < it->ndim; d++) {
            args.size[d] = (uint32_t)it->shape[d];
            args.by[d] = rt_divisor(it->shape[d]);
            for (int a = 0; a < nargs; a++) args.step[d][a] = (int32_t)it->step_bytes[d][a];
        }
    }
    return launch(key, pointers, nargs, &args, dense ? sizeof(RtMetalDense) : sizeof args, (unsigned)((threads + THREADS - 1) / THREADS), 1, 1, what);
}
static int elementwise(int code, int kernel, int loop_dtype, RtIter *it, const double *k) {
    RtKey key;
    memset(&key, 0, sizeof key);
    key.kind = RT_KEY_ROW;
    key.id = (uint16_t)kernel;
    key.loop = (uint8_t)loop_dtype;
    key.host = (uint8_t)it->host;
    return run_plan(RT_DEVICE_INDEX(code), &key, it, k, NULL, rt_rows[kernel >> 2].name);
}
static int convert(int code, RtIter *it) {
    RtKey key;
    memset(&key, 0, sizeof key);
    key.kind = RT_KEY_CAST;
    return run_plan(RT_DEVICE_INDEX(code), &key, it, NULL, NULL, "copy_");
}
static int fill(int code, RtIter *it, const char *value) {
    RtKey key;
    memset(&key, 0, sizeof key);
    key.kind = RT_KEY_FILL;
    key.id = (uint16_t)rt_itemsize(it->dtype[0]);
    it->nargs = 1;
    return run_plan(RT_DEVICE_INDEX(code), &key, it, NULL, value, "fill_");
}

/* ---- reductions: k of a sum is what it is divided by, 0 for nothing ---- */
static int reduce(int code, int row, int acc_dtype, const RtArray *out, const RtArray *in, const uint8_t *reduced, const double *k) {
    int device = RT_DEVICE_INDEX(code), status;
    const char *what = rt_reductions[row].name;
    int64_t isz = rt_itemsize(in->dtype), osz = rt_itemsize(out->dtype), acc_size = rt_itemsize(acc_dtype), nout = 1, nred = 1;
    int64_t keep_size[RT_MAX_DIM], keep_in[RT_MAX_DIM], keep_out[RT_MAX_DIM], red_size[RT_MAX_DIM], red_in[RT_MAX_DIM];
    RtMetalReduce r;
    RtKey key;
    char *pointers[2] = {out->data, in->data};
    memset(&r, 0, sizeof r);
    for (int d = 0; d < in->ndim; d++) {
        if (reduced[d]) { nred *= in->shape[d]; rt_add_dim(&r.red, red_size, red_in, NULL, in->shape[d], in->strides[d] * isz, 0); }
        else { nout *= in->shape[d]; rt_add_dim(&r.keep, keep_size, keep_in, keep_out, in->shape[d], in->strides[d] * isz, out->strides[d] * osz); }
    }
    if (nout == 0) return RT_OK;
    rt_merge_dims(&r.keep, keep_size, keep_in, keep_out);
    rt_merge_dims(&r.red, red_size, red_in, NULL);
    if (r.keep > RT_METAL_DIMS || r.red > RT_METAL_DIMS) return refuse(what, "too many dimensions for one launch");
    if (nout >= INT32_MAX || nred >= INT32_MAX) return refuse(what, "too many elements for one launch");
    for (int d = 0; d < r.keep; d++) {
        r.keep_size[d] = (uint32_t)keep_size[d];
        r.keep_by[d] = rt_divisor(keep_size[d]);
        r.keep_in[d] = keep_in[d];
        r.keep_out[d] = keep_out[d];
    }
    for (int d = 0; nred && d < r.red; d++) {
        r.red_size[d] = (uint32_t)red_size[d];
        r.red_by[d] = rt_divisor(red_size[d]);
        r.red_in[d] = red_in[d];
    }
    r.k0 = k ? (float)k[0] : 0;
    r.nout = (uint32_t)nout;
    r.nred = (uint32_t)nred;
    r.across = r.keep > 0 && (r.red == 0 || llabs(keep_in[0]) < llabs(red_in[0])) && keep_size[0] >= 8;
    r.lanes = 1;
    if (r.across) {
        int64_t side = THREADS;
        while (side > 32 && (side / 2 >= nout || nred > THREADS / side * 64)) side /= 2;
        r.lanes = (uint32_t)(THREADS / side);
    } else {
        while (r.lanes < 32 && 4 * (int64_t)r.lanes < nred) r.lanes *= 2;
        if (nred > 512) r.lanes = THREADS;
    }
    int64_t side = THREADS / r.lanes, groups = (nout + side - 1) / side, chunks = 1, least = 32 * (int64_t)r.lanes;
    if (groups < 64 && nred > 2 * least) {           /* chunks of what is reduced get results of their own, which a second launch combines */
        chunks = 256 / groups;
        if (chunks > nred / least) chunks = nred / least;
    }
    r.chunk = (uint32_t)rt_at_least_1((nred + chunks - 1) / chunks);
    r.chunks = (uint32_t)rt_at_least_1((nred + r.chunk - 1) / r.chunk);
    memset(&key, 0, sizeof key);
    key.kind = RT_KEY_REDUCE;
    key.device = (uint8_t)device;
    key.id = (uint16_t)row;
    key.loop = (uint8_t)acc_dtype;
    key.nargs = 2;
    key.dtype[0] = (uint8_t)out->dtype;
    key.dtype[1] = (uint8_t)in->dtype;
    if (nred == 0) pointers[1] = out->data;          /* never read, but an operand */
    if (r.chunks == 1) return launch(&key, pointers, 2, &r, sizeof r, (unsigned)groups, 1, 1, what);
    size_t got;
    char *part = rt_metal_alloc(code, (size_t)(nout * r.chunks * acc_size), &got);
    if (!part) return RT_ERR_MEMORY;
    pointers[0] = part;
    status = launch(&key, pointers, 2, &r, sizeof r, (unsigned)groups, r.chunks, 1, what);
    if (!status) {                                   /* over the chunks' results, which lie side by side */
        int64_t step = r.chunks * acc_size;
        char *again[2] = {out->data, part};
        r.nred = r.chunk = r.red_size[0] = r.chunks;
        r.red = 1;
        r.red_by[0] = rt_divisor(r.chunks);
        r.red_in[0] = acc_size;
        for (int d = 0; d < r.keep; d++) { r.keep_in[d] = step; step *= r.keep_size[d]; }
        r.chunks = 1;
        r.across = 0;
        r.lanes = 32;
        key.kind = RT_KEY_COMBINE;
        key.dtype[1] = (uint8_t)acc_dtype;
        status = launch(&key, again, 2, &r, sizeof r, (unsigned)((nout + THREADS / 32 - 1) / (THREADS / 32)), 1, 1, what);
    }
    rt_metal_free(code, part, got);                  /* whoever gets it next runs behind these */
    return status;
}

/* ---- matrix product ---- */
#define TILE 64
static int gemm(int code, const RtArray *out, const RtArray *a, const RtArray *b, int conj, const double *alpha, const double *beta) {
    RtMetalProduct g;
    RtKey key;
    (void)conj;                                      /* of complex numbers, which have no kernel */
    int64_t batch = out->shape[0], size = rt_itemsize(out->dtype), most = INT32_MAX;
    memset(&g, 0, sizeof g);
    g.m = out->shape[1]; g.n = out->shape[2]; g.k = a->shape[2];
    g.a_z = a->strides[0]; g.a_m = a->strides[1]; g.a_k = a->strides[2];
    g.b_z = b->strides[0]; g.b_k = b->strides[1]; g.b_n = b->strides[2];
    g.c_z = out->strides[0]; g.c_m = out->strides[1]; g.c_n = out->strides[2];
    g.alpha = (float)alpha[0]; g.beta = (float)beta[0];
    g.whole[0] = whole_of(alpha[0]); g.whole[1] = whole_of(beta[0]);
    if (g.m == 0 || g.n == 0 || batch == 0) return RT_OK;
    memset(&key, 0, sizeof key);
    key.kind = RT_KEY_PRODUCT;
    key.device = (uint8_t)RT_DEVICE_INDEX(code);
    key.nargs = 1;
    key.dtype[0] = (uint8_t)out->dtype;
    key.loop = (uint8_t)rt_compute_dtype(out->dtype);
    int64_t rows = (g.m + TILE - 1) / TILE, columns = (g.n + TILE - 1) / TILE;
    if (rows > most || columns > most) return refuse("matrix product", "too many rows or columns for one launch");
    for (int64_t z = 0; z < batch; z += most) {
        char *pointers[3] = {out->data + z * g.c_z * size, a->data + z * g.a_z * size, b->data + z * g.b_z * size};
        if (g.k == 0) pointers[1] = pointers[2] = pointers[0];
        int status = launch(&key, pointers, 3, &g, sizeof g, (unsigned)rows, (unsigned)columns, (unsigned)(batch - z < most ? batch - z : most), "matrix product");
        if (status) return status;
    }
    return RT_OK;
}

static const RtBackend backend = {
    .name = "metal", .alloc = rt_metal_alloc, .free = rt_metal_free, .copy = device_copy, .elementwise = elementwise, .reduce = reduce,
    .gemm = gemm, .convert = convert, .fill = fill, .synchronize = synchronize, .last_error = last_error,
};
const RtBackend *rt_metal_backend(void) { return &backend; }
