/* NCCL's functions without GPUs, for tests: ranks are processes of one machine and meet in shared memory; values are read from and written
 * to the memory of the software CUDA device through its driver. Work is done when a call returns, or ncclGroupEnd. It checks what it is
 * asked for (counts, types, roots, addresses); it knows nothing of streams and cannot show a call that comes too early on one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MAX_RANKS 8
#define PIECE ((size_t)1 << 16)
enum { SUCCESS = 0, SYSTEM = 2, ARGUMENT = 4, USAGE = 5, REMOTE = 6 };
enum { SUM, PROD, MAX, MIN, AVG, FIRST_OWN };
enum { I8, U8, I32, U32, I64, U64, F16, F32, F64, BF16, NTYPES };
static const size_t sizes[NTYPES] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2};

typedef struct { char text[128]; } Id;
typedef struct { _Atomic int full; size_t n; char data[PIECE]; } Box;
typedef struct {
    _Atomic int arrived, turn, joined, facts[MAX_RANKS];
    char slot[MAX_RANKS][PIECE];
    Box box[MAX_RANKS][MAX_RANKS];           /* [from][to] */
} Meeting;
typedef struct { Meeting *meeting; int ranks, rank; double scale[16]; int scaled[16], error; } Comm;
typedef struct { Comm *comm; int sends, peer, started; char *at; size_t left; } Message;

static Message queue[256];
static int queued, depth;
static char said[256];

/* ---- the software device's driver: whoever started CUDA has loaded it ---- */
static int (*to_host)(void *, uint64_t, size_t, void *), (*to_device)(uint64_t, const void *, size_t, void *);
static int look(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)size; (void)unused;
    const char *end = info->dlpi_name ? strrchr(info->dlpi_name, '/') : NULL;
    if (!end || strcmp(end, "/driver.so")) return 0;
    void *driver = dlopen(info->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
    if (!driver) return 0;
    *(void **)&to_host = dlsym(driver, "cuMemcpyDtoHAsync");
    *(void **)&to_device = dlsym(driver, "cuMemcpyHtoDAsync");
    return 1;
}
static int bad(int status, const char *text) { snprintf(said, sizeof said, "%s", text); return status; }
static int read_device(void *to, const void *from, size_t n) { return n && to_host(to, (uint64_t)(uintptr_t)from, n, NULL) ? bad(ARGUMENT, "not device memory") : SUCCESS; }
static int write_device(void *to, const void *from, size_t n) { return n && to_device((uint64_t)(uintptr_t)to, from, n, NULL) ? bad(ARGUMENT, "not device memory") : SUCCESS; }

int ncclGetVersion(int *version) { *version = 22703; return SUCCESS; }
const char *ncclGetErrorString(int error) {
    static const char *const texts[] = {"no error", "unhandled cuda error", "unhandled system error", "internal error", "invalid argument", "invalid usage", "remote process exited or there was a network error"};
    return error >= 0 && error < 7 ? texts[error] : "unknown result code";
}
const char *ncclGetLastError(void *comm) { (void)comm; return said; }
int ncclGetUniqueId(Id *id) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    memset(id, 0, sizeof *id);
    snprintf(id->text, sizeof id->text, "/rustorch-nccl-%d-%lx", (int)getpid(), (long)(now.tv_sec * 1000000000L + now.tv_nsec));
    return SUCCESS;
}

static void barrier(Comm *c) {
    Meeting *m = c->meeting;
    int turn = m->turn;
    if (++m->arrived == c->ranks) { m->arrived = 0; m->turn++; }
    else while (m->turn == turn) sched_yield();
}
int ncclCommInitRank(void **out, int ranks, Id id, int rank) {
    if (ranks < 1 || ranks > MAX_RANKS || rank < 0 || rank >= ranks) return bad(ARGUMENT, "rank");
    if (!to_host) dl_iterate_phdr(look, NULL);
    if (!to_host) return bad(SYSTEM, "the software device is not started");
    int file = shm_open(id.text, O_CREAT | O_RDWR, 0600);
    if (file < 0 || ftruncate(file, sizeof(Meeting))) return bad(SYSTEM, "shared memory");
    Comm *c = calloc(1, sizeof *c);
    c->meeting = mmap(NULL, sizeof(Meeting), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (c->meeting == MAP_FAILED) return bad(SYSTEM, "shared memory");
    c->ranks = ranks;
    c->rank = rank;
    barrier(c);
    shm_unlink(id.text);                         /* all have it */
    *out = c;
    return SUCCESS;
}
int ncclCommDestroy(Comm *c) { munmap(c->meeting, sizeof(Meeting)); free(c); return SUCCESS; }
int ncclCommAbort(Comm *c) { return ncclCommDestroy(c); }
int ncclCommGetAsyncError(Comm *c, int *error) {
    const char *file = getenv("NCCL_STANDIN_ERROR_FILE");        /* as if a peer's process had gone, once the file is there */
    *error = file && access(file, F_OK) == 0 ? REMOTE : c->error;
    return SUCCESS;
}

/* ---- arithmetic, in double or 64-bit integers ---- */
static float half(uint16_t h) { _Float16 f; memcpy(&f, &h, 2); return (float)f; }
static float brain(uint16_t h) { uint32_t u = (uint32_t)h << 16; float f; memcpy(&f, &u, 4); return f; }
static uint16_t to_half(float x) { _Float16 f = (_Float16)x; uint16_t h; memcpy(&h, &f, 2); return h; }
static uint16_t to_brain(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    if (x != x) return 0x7fc0;
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
static double get(const char *p, size_t i, int t) {
    switch (t) {
    case F16: return half(((const uint16_t *)p)[i]);
    case BF16: return brain(((const uint16_t *)p)[i]);
    case F32: return ((const float *)p)[i];
    default: return ((const double *)p)[i];
    }
}
static int64_t whole(const char *p, size_t i, int t) {
    switch (t) {
    case I8: return ((const int8_t *)p)[i];
    case U8: return ((const uint8_t *)p)[i];
    case I32: return ((const int32_t *)p)[i];
    case U32: return ((const uint32_t *)p)[i];
    default: return ((const int64_t *)p)[i];
    }
}
#define FOLD(T, a, b) switch (op) { case PROD: a = (T)(a * b); break; case MAX: a = a > b ? a : b; break; case MIN: a = a < b ? a : b; break; default: a = (T)(a + b); }
static void combine(Comm *c, char *out, size_t n, int t, int op) {
    for (size_t i = 0; i < n; i++) {
        if (t >= F16) {
            double scale = op >= FIRST_OWN ? c->scale[op - FIRST_OWN] : 1, a = 0;
            for (int r = 0; r < c->ranks; r++) {
                double b = get(c->meeting->slot[r], i, t) * scale;
                if (r == 0) a = b; else FOLD(double, a, b)
            }
            if (op == AVG) a /= c->ranks;
            if (t == F16) ((uint16_t *)out)[i] = to_half((float)a);
            else if (t == BF16) ((uint16_t *)out)[i] = to_brain((float)a);
            else if (t == F32) ((float *)out)[i] = (float)a;
            else ((double *)out)[i] = a;
        } else {
            int64_t a = 0;
            for (int r = 0; r < c->ranks; r++) {
                int64_t b = whole(c->meeting->slot[r], i, t);
                if (r == 0) a = b; else FOLD(int64_t, a, b)
            }
            if (op == AVG) a /= c->ranks;
            memcpy(out + i * sizes[t], &a, sizes[t]);        /* little endian */
        }
    }
}

static int checked(Comm *c, int t, int op, int root, int fact) {
    if (t < 0 || t >= NTYPES) return bad(ARGUMENT, "datatype");
    if (op < 0 || op >= FIRST_OWN + 16 || (op >= FIRST_OWN && (!c->scaled[op - FIRST_OWN] || t < F16))) return bad(ARGUMENT, "op");
    if (root < 0 || root >= c->ranks) return bad(ARGUMENT, "root");
    c->meeting->facts[c->rank] = fact;           /* all ranks must ask for the same */
    barrier(c);
    for (int r = 0; r < c->ranks; r++) if (c->meeting->facts[r] != fact) { barrier(c); return bad(USAGE, "the ranks' calls differ"); }
    barrier(c);
    return SUCCESS;
}
#define FACT(kind, n) ((int)((kind) * 1000003u + (unsigned)(n) * 31u + (unsigned)t * 7u))

int ncclAllReduce(const char *sent, char *got, size_t n, int t, int op, Comm *c, void *stream) {
    (void)stream;
    int status = checked(c, t, op, 0, FACT(1, n));
    char out[PIECE];
    for (size_t at = 0, k; at < n && !status; at += k) {
        k = n - at < PIECE / sizes[t] ? n - at : PIECE / sizes[t];
        status = read_device(c->meeting->slot[c->rank], sent + at * sizes[t], k * sizes[t]);
        barrier(c);
        combine(c, out, k, t, op);
        barrier(c);
        if (!status) status = write_device(got + at * sizes[t], out, k * sizes[t]);
    }
    return status;
}
int ncclReduce(const char *sent, char *got, size_t n, int t, int op, int root, Comm *c, void *stream) {
    (void)stream;
    int status = checked(c, t, op, root, FACT(2 + root * 16, n));
    char out[PIECE];
    for (size_t at = 0, k; at < n && !status; at += k) {
        k = n - at < PIECE / sizes[t] ? n - at : PIECE / sizes[t];
        status = read_device(c->meeting->slot[c->rank], sent + at * sizes[t], k * sizes[t]);
        barrier(c);
        if (c->rank == root) combine(c, out, k, t, op);
        barrier(c);
        if (!status && c->rank == root) status = write_device(got + at * sizes[t], out, k * sizes[t]);
    }
    return status;
}
int ncclBroadcast(const char *sent, char *got, size_t n, int t, int root, Comm *c, void *stream) {
    (void)stream;
    int status = checked(c, t, 0, root, FACT(3 + root * 16, n));
    for (size_t at = 0, k; at < n && !status; at += k) {
        k = n - at < PIECE / sizes[t] ? n - at : PIECE / sizes[t];
        if (c->rank == root) status = read_device(c->meeting->slot[root], sent + at * sizes[t], k * sizes[t]);
        barrier(c);
        if (!status) status = write_device(got + at * sizes[t], c->meeting->slot[root], k * sizes[t]);
        barrier(c);
    }
    return status;
}
int ncclAllGather(const char *sent, char *got, size_t n, int t, Comm *c, void *stream) {
    (void)stream;
    int status = checked(c, t, 0, 0, FACT(4, n));
    for (size_t at = 0, k; at < n && !status; at += k) {
        k = n - at < PIECE / sizes[t] ? n - at : PIECE / sizes[t];
        status = read_device(c->meeting->slot[c->rank], sent + at * sizes[t], k * sizes[t]);
        barrier(c);
        for (int r = 0; r < c->ranks && !status; r++) status = write_device(got + (r * n + at) * sizes[t], c->meeting->slot[r], k * sizes[t]);
        barrier(c);
    }
    return status;
}
int ncclReduceScatter(const char *sent, char *got, size_t n, int t, int op, Comm *c, void *stream) {
    int status = SUCCESS;
    for (int r = 0; r < c->ranks && !status; r++) status = ncclReduce(sent + r * n * sizes[t], got, n, t, op, r, c, stream);
    return status;
}

/* ---- messages: all of a group move on together ---- */
static int step(Message *m) {                    /* 1: something moved, -1: an error */
    Comm *c = m->comm;
    Box *box = m->sends ? &c->meeting->box[c->rank][m->peer] : &c->meeting->box[m->peer][c->rank];
    if (m->sends != !box->full || (m->started && !m->left)) return 0;
    if (m->sends) {
        box->n = m->left < PIECE ? m->left : PIECE;
        if (read_device(box->data, m->at, box->n)) return -1;
    } else {
        if (box->n > m->left) { bad(USAGE, "a message is longer than where it goes"); return -1; }
        if (write_device(m->at, box->data, box->n)) return -1;
    }
    m->at += box->n;
    m->left -= box->n;
    m->started = 1;
    box->full = m->sends;
    return 1;
}
static int run_queue(void) {
    int busy, status = SUCCESS;
    do {
        busy = 0;
        for (int i = 0; i < queued && !status; i++) {
            Message *m = &queue[i];
            int first = 1;                       /* of one direction between two ranks, in order */
            for (int j = 0; j < i; j++) first &= queue[j].comm != m->comm || queue[j].sends != m->sends || queue[j].peer != m->peer || (queue[j].started && !queue[j].left);
            if (m->started && !m->left) continue;
            busy = 1;
            if (first && step(m) < 0) status = ARGUMENT;
        }
        if (busy) sched_yield();
    } while (busy && !status);
    queued = 0;
    return status;
}
static int message(Comm *c, int sends, char *at, size_t n, int t, int peer) {
    if (t < 0 || t >= NTYPES || peer < 0 || peer >= c->ranks || peer == c->rank || queued == 256) return bad(ARGUMENT, "message");
    queue[queued++] = (Message){c, sends, peer, 0, at, n * sizes[t]};
    return depth ? SUCCESS : run_queue();
}
int ncclSend(const char *sent, size_t n, int t, int peer, Comm *c, void *stream) { (void)stream; return message(c, 1, (char *)(uintptr_t)sent, n, t, peer); }
int ncclRecv(char *got, size_t n, int t, int peer, Comm *c, void *stream) { (void)stream; return message(c, 0, got, n, t, peer); }
int ncclGroupStart(void) { depth++; return SUCCESS; }
int ncclGroupEnd(void) { return !depth ? bad(USAGE, "no group") : --depth ? SUCCESS : run_queue(); }

int ncclRedOpCreatePreMulSum(int *op, void *scalar, int t, int where, Comm *c) {
    char value[8];
    if (t < F16 || t >= NTYPES) return bad(ARGUMENT, "datatype");
    for (int i = 0; i < 16; i++)
        if (!c->scaled[i]) {
            if (where == 0 && read_device(value, scalar, sizes[t])) return ARGUMENT;
            if (where == 1) memcpy(value, scalar, sizes[t]);
            c->scale[i] = get(value, 0, t);
            c->scaled[i] = 1;
            *op = FIRST_OWN + i;
            return SUCCESS;
        }
    return bad(USAGE, "too many reductions: they are not given back");
}
int ncclRedOpDestroy(int op, Comm *c) {
    if (op < FIRST_OWN || op >= FIRST_OWN + 16 || !c->scaled[op - FIRST_OWN]) return bad(ARGUMENT, "op");
    c->scaled[op - FIRST_OWN] = 0;
    return SUCCESS;
}
