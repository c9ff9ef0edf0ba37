/* Matrix products by NVIDIA's cuBLASLt. A product becomes a key (sizes, strides, dtype, transposes, what follows, alignment); the key finds a
 * plan: descriptors and the algorithm that the library proposes. What the library cannot do is left to our own kernel (launch.c). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "launch.h"
#include "blaslt.h"
#include "_gen/rt_rows.h"

RtBlasLt rt_blaslt;
int (*rt_blaslt_find)(void);
static int state, flags = RT_BLAS_F16_REDUCED | RT_BLAS_BF16_REDUCED, tries = 1;
static LtHandle handles[RT_CUDA_MAX_DEVICES];
static size_t room[RT_CUDA_MAX_DEVICES];             /* bytes of workspace that plans may ask for; 0: the device is new */
static RtBlasStats stats;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void rt_blaslt_allow(int f) { flags = f; }
void rt_blaslt_stats(RtBlasStats *out) { *out = stats; }
int rt_blaslt_state(void) {
    if (flags & RT_BLAS_NOT_WANTED) return RT_BLAS_OWN;
    if (state == RT_BLAS_UNKNOWN) state = rt_blaslt_find ? rt_blaslt_find() : RT_BLAS_OWN;
    return state;
}

/* Note [Row-major products]: the library's matrices have their columns contiguous. A row-major out is then its transpose, so
 * out^T = b^T a^T is asked for: the library's A is our b, its B our a. An operand with unit stride along its rows is taken as it lies
 * (op N), along its columns transposed (op T, or C where it is conjugated). */
typedef struct { const char *p; int64_t z, r, c, rows, columns, ld; int conj, op; } Side;      /* as the library sees it: op(x) is rows x columns */

static int lie(Side *s) {
    int64_t ld_n = s->columns == 1 ? s->rows : s->c, ld_t = s->rows == 1 ? s->columns : s->r;
    int n = (s->r == 1 || s->rows == 1) && ld_n >= s->rows && ld_n <= INT32_MAX, t = (s->c == 1 || s->columns == 1) && ld_t >= s->columns && ld_t <= INT32_MAX;
    if (n && !s->conj) { s->op = LT_OP_N; s->ld = ld_n; return 1; }
    if (t) { s->op = s->conj ? LT_OP_C : LT_OP_T; s->ld = ld_t; return 1; }
    return 0;
}

/* Copies an operand that does not lie so: dense, conjugated if it should be. */
static int copy(int device, Side *s, int dtype, int64_t batch, void **block, size_t *got) {
    const RtBackend *b = rt_cuda_backend();
    int64_t size = rt_itemsize(dtype), many = s->z ? batch : 1;
    RtIter it;
    *block = b->alloc(RT_DEVICE(RT_CUDA, device), (size_t)(many * s->rows * s->columns * size), got);
    if (!*block) return RT_ERR_MEMORY;
    memset(&it, 0, sizeof it);
    it.ndim = 3; it.nargs = 2;
    it.numel = many * s->rows * s->columns;
    it.ptr[0] = *block; it.ptr[1] = (char *)s->p;
    it.dtype[0] = it.dtype[1] = dtype;
    it.shape[0] = s->rows; it.shape[1] = s->columns; it.shape[2] = many;
    it.step_bytes[0][0] = size; it.step_bytes[1][0] = size * s->rows; it.step_bytes[2][0] = size * s->rows * s->columns;
    it.step_bytes[0][1] = size * s->r; it.step_bytes[1][1] = size * s->c; it.step_bytes[2][1] = size * s->z;
    rt_iter_coalesce(&it);
    int status = s->conj ? b->elementwise(RT_DEVICE(RT_CUDA, device), ROW_CONJ_PHYSICAL << 2, dtype, &it, NULL) : b->convert(RT_DEVICE(RT_CUDA, device), &it);
    if (status) return status;
    s->p = *block;
    s->z = s->z ? s->rows * s->columns : 0;
    s->r = 1;
    s->c = s->rows;
    s->conj = 0;
    stats.copies++;
    return lie(s) ? RT_OK : RT_ERR_UNSUPPORTED;
}

/* ---- plans ---------------------------------------------------------------------------------------------------------
 * Note [Plans]: kept for the life of the process, as many as `most`; then all are dropped, since shapes that never come again fill the
 * table. One lock holds for a whole product: a plan's bias pointer belongs to the call. */
typedef struct {
    int64_t m, n, k, lda, ldb, ldc, ldd, za, zb, zc, zd;
    int32_t batch;
    uint8_t dtype, op_a, op_b, epilogue, device, flags, align[5], unused;      /* align: log2 of a, b, c, d, bias */
} Key;
_Static_assert(sizeof(Key) == 104, "a key is thirteen words");
typedef struct {
    Key key;
    LtHandle desc, a, b, c, d;
    LtAlgo algo;
    size_t workspace;
    const void *bias;
    int good, ran;
} Plan;
static Plan **table;
static size_t table_room, table_used, most = 4096;

static uint64_t hash(const Key *key) {
    uint64_t w[13], h = 0x9E3779B97F4A7C15ull;
    memcpy(w, key, sizeof w);
    for (int i = 0; i < 13; i++) { h = (h ^ w[i]) * 0xD6E8FEB86659FD93ull; h ^= h >> 32; }
    return h;
}
static void drop(Plan *p) {
    if (p->desc) rt_blaslt.desc_destroy(p->desc);
    if (p->a) rt_blaslt.layout_destroy(p->a);
    if (p->b) rt_blaslt.layout_destroy(p->b);
    if (p->c && p->c != p->d) rt_blaslt.layout_destroy(p->c);
    if (p->d) rt_blaslt.layout_destroy(p->d);
    p->desc = p->a = p->b = p->c = p->d = NULL;
}
static void forget(void) {
    for (size_t i = 0; i < table_room; i++) if (table[i]) { drop(table[i]); free(table[i]); table[i] = NULL; }
    table_used = 0;
}
static int put(Plan *p) {
    if (table_used >= most) forget();
    if (2 * (table_used + 1) > table_room) {
        size_t before = table_room, now = before ? 2 * before : 256;
        Plan **old = table, **more = calloc(now, sizeof(Plan *));
        if (!more) return 0;
        table = more; table_room = now;
        for (size_t i = 0; i < before; i++) {
            if (!old[i]) continue;
            size_t at = hash(&old[i]->key) & (now - 1);
            while (table[at]) at = (at + 1) & (now - 1);
            table[at] = old[i];
        }
        free(old);
    }
    size_t at = hash(&p->key) & (table_room - 1);
    while (table[at]) at = (at + 1) & (table_room - 1);
    table[at] = p;
    table_used++;
    return 1;
}

void rt_blaslt_choose(int n, int plans) {
    pthread_mutex_lock(&lock);
    most = plans < 1 ? 1 : (size_t)plans;
    tries = n < 1 ? 1 : n > 16 ? 16 : n;
    forget();
    pthread_mutex_unlock(&lock);
}

static int type_of(int dtype) {
    switch (dtype) {
    case RT_F32: return LT_R_32F;
    case RT_F64: return LT_R_64F;
    case RT_F16: return LT_R_16F;
    case RT_BF16: return LT_R_16BF;
    case RT_C64: return LT_C_32F;
    case RT_C128: return LT_C_64F;
    }
    return -1;
}
static int layout(LtHandle *l, int type, int64_t rows, int64_t columns, int64_t ld, int64_t z, int32_t batch) {
    int s = rt_blaslt.layout_create(l, type, (uint64_t)rows, (uint64_t)columns, ld);
    if (!s && batch > 1 && !(s = rt_blaslt.layout_set(*l, LT_LAYOUT_BATCH, &batch, sizeof batch))) s = rt_blaslt.layout_set(*l, LT_LAYOUT_BATCH_STRIDE, &z, sizeof z);
    return s;
}

/* What a call hands over besides its plan. */
typedef struct { const void *a, *b, *c; void *d; const void *bias; double alpha[2], beta[2]; } Call;
static int run(const Plan *p, const LtAlgo *algo, const Call *call, void *workspace, size_t bytes, CuHandle stream) {
    _Alignas(16) double alpha[2] = {call->alpha[0], call->alpha[1]}, beta[2] = {call->beta[0], call->beta[1]};     /* read as double2 */
    _Alignas(16) float alpha_f[2] = {(float)alpha[0], (float)alpha[1]}, beta_f[2] = {(float)beta[0], (float)beta[1]};
    int wide = p->key.dtype == RT_F64 || p->key.dtype == RT_C128;
    return rt_blaslt.matmul(handles[p->key.device], p->desc, wide ? (const void *)alpha : alpha_f, call->a, p->a, call->b, p->b,
                            wide ? (const void *)beta : beta_f, call->c, p->c, call->d, p->d, algo, workspace, bytes, stream);
}

/* The fastest of n proposals, each run twice; the second run is timed. */
static int fastest(const Plan *p, const LtResult *results, int n, const Call *call) {
    CuHandle start = NULL, end = NULL, stream = rt_cuda_stream(p->key.device);
    CuPtr workspace = 0;
    float best = 0;
    int found = 0;
    size_t bytes = 0;
    for (int i = 0; i < n; i++) if (results[i].state == LT_SUCCESS && results[i].workspace > bytes) bytes = results[i].workspace;
    if (bytes && rt_cuda_workspace(p->key.device, room[p->key.device], &workspace)) return 0;
    if (!rt_cuda.event_create(&start, 0) && !rt_cuda.event_create(&end, 0))
        for (int i = 0; i < n; i++) {
            float ms = 0;
            if (results[i].state != LT_SUCCESS) continue;
            for (int turn = 0; turn < 2; turn++) {
                rt_cuda.event_record(start, stream);
                if (run(p, &results[i].algo, call, (void *)(uintptr_t)workspace, results[i].workspace, stream)) { ms = -1; break; }
                rt_cuda.event_record(end, stream);
                if (rt_cuda.event_synchronize(end) || rt_cuda.event_elapsed(&ms, start, end)) { ms = -1; break; }
            }
            if (ms >= 0 && (best == 0 || ms < best)) { best = ms; found = i; }
        }
    if (start) rt_cuda.event_destroy(start);
    if (end) rt_cuda.event_destroy(end);
    return found;
}

static int plan(Plan *p, const Call *call, int capturing) {
    const Key *key = &p->key;
    int type = type_of(key->dtype), wide = key->dtype == RT_F64 || key->dtype == RT_C128, s, got = 0;
    int compute = wide ? LT_COMPUTE_64F : (key->flags & RT_BLAS_TF32) ? LT_COMPUTE_32F_FAST_TF32 : LT_COMPUTE_32F;
    int scale = key->dtype == RT_C64 ? LT_C_32F : key->dtype == RT_C128 ? LT_C_64F : wide ? LT_R_64F : LT_R_32F;
    int32_t op_a = key->op_a, op_b = key->op_b;
    uint32_t epilogue = key->epilogue, reduction = LT_REDUCTION_COMPUTE_TYPE;
    uint64_t bytes = room[key->device];
    LtHandle pref = NULL;
    LtResult results[16];
    memset(results, 0, sizeof results);
    s = rt_blaslt.desc_create(&p->desc, compute, scale);
    if (!s) s = rt_blaslt.desc_set(p->desc, LT_DESC_OP_A, &op_a, sizeof op_a);
    if (!s) s = rt_blaslt.desc_set(p->desc, LT_DESC_OP_B, &op_b, sizeof op_b);
    if (!s && epilogue != LT_EPILOGUE_DEFAULT) s = rt_blaslt.desc_set(p->desc, LT_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    if (!s && call->bias) s = rt_blaslt.desc_set(p->desc, LT_DESC_BIAS, &call->bias, sizeof call->bias);      /* its alignment counts */
    p->bias = call->bias;
    if (!s) s = layout(&p->a, type, op_a == LT_OP_N ? key->m : key->k, op_a == LT_OP_N ? key->k : key->m, key->lda, key->za, key->batch);
    if (!s) s = layout(&p->b, type, op_b == LT_OP_N ? key->k : key->n, op_b == LT_OP_N ? key->n : key->k, key->ldb, key->zb, key->batch);
    if (!s) s = layout(&p->d, type, key->m, key->n, key->ldd, key->zd, key->batch);
    if (!s && key->ldc == key->ldd && key->zc == key->zd) p->c = p->d;
    else if (!s) s = layout(&p->c, type, key->m, key->n, key->ldc, key->zc, key->batch);
    if (!s) s = rt_blaslt.pref_create(&pref);
    if (!s) s = rt_blaslt.pref_set(pref, LT_PREF_WORKSPACE, &bytes, sizeof bytes);
    for (int i = 0; i < 4 && !s; i++) {
        uint32_t align = 1u << key->align[i];
        s = rt_blaslt.pref_set(pref, LT_PREF_ALIGN_A + i, &align, sizeof align);
    }
    if (!s && ((key->dtype == RT_F16 && !(key->flags & RT_BLAS_F16_REDUCED)) || (key->dtype == RT_BF16 && !(key->flags & RT_BLAS_BF16_REDUCED))))
        s = rt_blaslt.pref_set(pref, LT_PREF_REDUCTION, &reduction, sizeof reduction);
    int many = tries > 1 && !capturing && (double)key->m * (double)key->n * (double)key->k * key->batch > 1e8 &&
               ((call->beta[0] == 0 && call->beta[1] == 0) || call->c != call->d) ? tries : 1;
    if (!s) s = rt_blaslt.heuristic(handles[key->device], p->desc, p->a, p->b, p->c, p->d, pref, many, results, &got);
    if (pref) rt_blaslt.pref_destroy(pref);
    int found = !s && got > 1 ? fastest(p, results, got, call) : 0;
    if (s || got < 1 || results[found].state != LT_SUCCESS) { drop(p); return 0; }
    p->algo = results[found].algo;
    p->workspace = results[found].workspace;
    return 1;
}

static int begin(int device) {                       /* 1: the device has a handle */
    int major = 0, handle = 0;
    if (room[device]) return handles[device] != NULL;
    rt_cuda.device_get(&handle, device);
    rt_cuda.device_attribute(&major, CU_ATTR_MAJOR, handle);
    room[device] = major >= 9 ? (size_t)32 << 20 : (size_t)8 << 20;
    if (rt_blaslt.create(&handles[device]) != LT_SUCCESS) handles[device] = NULL;
    return handles[device] != NULL;
}

static const char *const op_names[] = {"N", "T", "C"};
static const char *const dtype_names[] = {
#define X(code, tag, ctype, name, kind, bytes) name,
    RT_DTYPES(X)
#undef X
};
static int fail(int status, const Key *k) {
    int driver = rt_cuda_captures ? 0 : rt_cuda.stream_query(rt_cuda_stream(k->device));      /* an earlier kernel's end is not the product's */
    if (driver && driver != CU_NOT_READY) return rt_cuda_check(driver, "matrix product");
    snprintf(rt_cuda_error(), 1024, "CUDA error: cublasLtMatmul: %s (m %lld, n %lld, k %lld, batch %d, %s, op %s%s)", rt_blaslt.status_name(status),
             (long long)k->m, (long long)k->n, (long long)k->k, k->batch, dtype_names[k->dtype], op_names[k->op_a], op_names[k->op_b]);
    return RT_ERR_DEVICE;
}

static int multiply(Key *key, const Call *call) {    /* held: lock */
    size_t at = hash(key);
    Plan *p = NULL;
    int relaxed = CU_CAPTURE_RELAXED, device = key->device, status = RT_OK;
    if (table_room) for (at &= table_room - 1; table[at]; at = (at + 1) & (table_room - 1)) if (!memcmp(&table[at]->key, key, sizeof *key)) { p = table[at]; break; }
    int first = !p || !p->ran;                       /* it may load code, which a capture in strict mode forbids */
    if (first && rt_cuda_captures) rt_cuda.capture_mode(&relaxed);
    if (!p) {
        if (!(p = calloc(1, sizeof *p))) { status = RT_ERR_MEMORY; goto out; }
        p->key = *key;
        p->good = begin(device) && plan(p, call, rt_cuda_captures);
        if (!put(p)) { drop(p); free(p); p = NULL; status = RT_ERR_MEMORY; goto out; }
        stats.plans++;
        stats.refused += !p->good;
    }
    if (!p->good) { status = RT_ERR_UNSUPPORTED; goto out; }
    CuPtr workspace = 0;
    if (p->workspace && (status = rt_cuda_workspace(device, room[device], &workspace))) goto out;
    if (call->bias != p->bias) {
        int s = rt_blaslt.desc_set(p->desc, LT_DESC_BIAS, &call->bias, sizeof call->bias);
        if (s) { status = fail(s, key); goto out; }
        p->bias = call->bias;
    }
    int s = run(p, &p->algo, call, (void *)(uintptr_t)workspace, p->workspace, rt_cuda_stream(device));
    if ((s == LT_NOT_SUPPORTED || s == LT_ARCH_MISMATCH) && !p->ran) {         /* a proposal that does not run: nothing was done */
        drop(p);
        p->good = 0;
        stats.refused++;
        status = RT_ERR_UNSUPPORTED;
    } else if (s) status = fail(s, key);
    else {
        p->ran = 1;
        stats.products++;
        stats.fused += key->epilogue != LT_EPILOGUE_DEFAULT;
        status = rt_cuda_launched(device, "matrix product");
    }
out:
    if (first && rt_cuda_captures) rt_cuda.capture_mode(&relaxed);
    return status;
}

/* ---- products as the back end is asked for them ---------------------------------------------------------------------- */
static uint8_t alignment(const void *p, int64_t z, int64_t batch, int64_t size) {
    uintptr_t bits = (uintptr_t)p | 256;
    if (batch > 1) bits |= (uintptr_t)(z * size);
    return (uint8_t)__builtin_ctzll((unsigned long long)bits);
}
static void swap(int64_t *x, int64_t *y) { int64_t t = *x; *x = *y; *y = t; }

#define COPY_FROM (1 << 20)                          /* multiplications that pay for a copy of an operand */
#define PIECE 65535                                  /* of a batch: a side of a grid */
int rt_blaslt_gemm(int device, const RtArray *out, const RtArray *added, const RtArray *a, const RtArray *b, int conj,
                   const double *alpha, const double *beta, int act) {
    int64_t batch = out->shape[0], m = out->shape[1], n = out->shape[2], k = a->shape[2];
    int64_t z = out->strides[0], r = out->strides[1], c = out->strides[2];
    int type = type_of(out->dtype), status = RT_OK, complex_ = type == LT_C_32F || type == LT_C_64F;
    if (type < 0 || batch < 1 || m < 1 || n < 1 || k < 1 || m > INT32_MAX || n > INT32_MAX || k > INT32_MAX) return RT_ERR_UNSUPPORTED;
    if (rt_blaslt_state() != RT_BLAS_CUBLASLT) return RT_ERR_UNSUPPORTED;
    Side x = {b->data, b->strides[0], b->strides[2], b->strides[1], n, k, 0, complex_ && conj >> 1 & 1, 0};
    Side y = {a->data, a->strides[0], a->strides[2], a->strides[1], k, m, 0, complex_ && conj & 1, 0};
    int64_t add_z = 0, add_r = 0, add_c = 0;
    if (added) { add_z = added->strides[0]; add_r = added->strides[1]; add_c = added->strides[2]; }
    int turned = !(c == 1 || n == 1);                /* out's columns are contiguous: the product as it is */
    if (turned) {
        if (r != 1 && m != 1) return RT_ERR_UNSUPPORTED;
        Side t = x;
        x = y; y = t;
        swap(&x.r, &x.c); swap(&y.r, &y.c);
        swap(&x.rows, &x.columns); swap(&y.rows, &y.columns);
        swap(&m, &n); swap(&r, &c); swap(&add_r, &add_c);
    }
    /* from here: the library's result has n rows, contiguous, and m columns with leading dimension r */
    Key key;
    Call call = {.alpha = {alpha[0], alpha[1]}, .beta = {beta[0], beta[1]}};
    memset(&key, 0, sizeof key);
    key.epilogue = act == RT_ACT_RELU ? LT_EPILOGUE_RELU : act == RT_ACT_GELU ? LT_EPILOGUE_GELU : LT_EPILOGUE_DEFAULT;
    key.ldd = m == 1 ? n : r;
    if (key.ldd < n || key.ldd > INT32_MAX) return RT_ERR_UNSUPPORTED;
    key.ldc = key.ldd;
    key.zc = key.zd = batch > 1 ? z : 0;
    if (complex_ && act) return RT_ERR_UNSUPPORTED;
    const char *plus = out->data;
    if (added) {
        int row = (add_r == 0 || m == 1) && (add_c == 1 || n == 1) && (add_z == 0 || batch == 1);
        if (row && !turned && !complex_ && batch == 1 && beta[0] == 1) {
            key.epilogue = LT_EPILOGUE_BIAS | (act ? key.epilogue : 0);
            call.bias = added->data;
            call.beta[0] = call.beta[1] = 0;
        } else {
            int64_t ld = m == 1 ? n : add_r;
            if ((add_c != 1 && n != 1) || ld < n || ld > INT32_MAX || (batch > 1 && add_z < 1)) return RT_ERR_UNSUPPORTED;
            key.ldc = ld;
            key.zc = batch > 1 ? add_z : 0;
            plus = added->data;
        }
    }
    void *blocks[2] = {NULL, NULL};
    size_t got[2];
    int large = (double)m * (double)n * (double)k * (double)batch >= COPY_FROM;
    if (batch == 1) x.z = y.z = 0;
    int x_lies = lie(&x), y_lies = lie(&y);
    if ((!x_lies || !y_lies) && !large) return RT_ERR_UNSUPPORTED;
    if (!x_lies) status = copy(device, &x, out->dtype, batch, &blocks[0], &got[0]);
    if (!status && !y_lies) status = copy(device, &y, out->dtype, batch, &blocks[1], &got[1]);
    if (status) goto out;
    key.m = n; key.n = m; key.k = k;
    key.lda = x.ld; key.ldb = y.ld;
    key.za = x.z; key.zb = y.z;
    key.dtype = (uint8_t)out->dtype;
    key.op_a = (uint8_t)x.op; key.op_b = (uint8_t)y.op;
    key.device = (uint8_t)device;
    key.flags = (uint8_t)(out->dtype == RT_F16 ? flags & RT_BLAS_F16_REDUCED : out->dtype == RT_BF16 ? flags & RT_BLAS_BF16_REDUCED
                          : out->dtype == RT_F32 || out->dtype == RT_C64 ? flags & RT_BLAS_TF32 : 0);
    int64_t size = rt_itemsize(out->dtype);
    pthread_mutex_lock(&lock);
    for (int64_t done = 0; done < batch && !status; done += PIECE) {
        int64_t many = batch - done < PIECE ? batch - done : PIECE;
        key.batch = (int32_t)many;
        call.a = x.p + done * key.za * size;
        call.b = y.p + done * key.zb * size;
        call.c = plus + done * key.zc * size;
        call.d = out->data + done * key.zd * size;
        key.align[0] = alignment(call.a, key.za, many, size);
        key.align[1] = alignment(call.b, key.zb, many, size);
        key.align[2] = alignment(call.c, key.zc, many, size);
        key.align[3] = alignment(call.d, key.zd, many, size);
        key.align[4] = call.bias ? alignment(call.bias, 0, 1, size) : 0;
        status = multiply(&key, &call);
        if (status == RT_ERR_UNSUPPORTED && done) status = fail(LT_NOT_SUPPORTED, &key);     /* the first pieces are done */
    }
    pthread_mutex_unlock(&lock);
out:
    for (int i = 0; i < 2; i++) if (blocks[i]) rt_cuda_backend()->free(RT_DEVICE(RT_CUDA, device), blocks[i], got[i]);
    return status;
}
