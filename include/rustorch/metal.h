/* The C face of the Objective-C helper (rustorch_py/metal/helper.m): what the Metal back end asks of Apple's framework. The helper is a library of
 * its own, loaded when Metal is first used, so that the back end is built and tested where there is no Metal. Devices are numbers; buffers,
 * libraries and pipelines are retained objects as void *. Where a call fails it returns NULL or an RtStatus, and error() is this thread's text. */
#ifndef RUSTORCH_METAL_H
#define RUSTORCH_METAL_H
#include <stddef.h>
#include <stdint.h>

#define RT_METAL_MAX_DEVICES 16
#define RT_METAL_ERROR_ROOM 4096
/* an operand: a buffer and where it begins there; buffer NULL: nothing is bound */
typedef struct { void *buffer; size_t offset; } RtMetalOperand;
typedef struct { uint64_t working_set, allocated; int matrices; char name[128]; } RtMetalDevice;

/* X(result, name, arguments) of each call */
#define RT_METAL_CALLS(X)                                                                                                                     \
    X(char *, error, (void))                                                                                                                  \
    X(int, devices, (void))                           /* looks for them once; how many there are */                                           \
    X(int, describe, (int device, RtMetalDevice *out))                                                                                        \
    /* memory that host and device share; *contents: the host's address of it */                                                             \
    X(void *, buffer, (int device, size_t nbytes, char **contents))                                                                           \
    X(void, drop, (void *handle))                     /* of a buffer, library or pipeline */                                                  \
    X(void *, library, (int device, const char *source))         /* compiles MSL, without fast mathematics */                                 \
    /* most_threads: of a threadgroup, what launches take at most; becomes what the device allows */                                         \
    X(void *, pipeline, (int device, void *library, const char *name, unsigned *most_threads))                                                \
    /* one launch behind all that the device was given before: operands at indices 0 .. n - 1, nargs bytes of args (at most 4096) at index n */ \
    X(int, encode, (int device, void *pipeline, const RtMetalOperand *operands, int n, const void *args, size_t nargs, const unsigned *grid,  \
                    const unsigned *group))                                                                                                   \
    /* hands over what was encoded; waits for older command buffers only where too many are under way */                                     \
    X(int, commit, (int device))                                                                                                              \
    X(int, wait, (int device))                        /* until all is done */                                                                 \
    X(void, drain, (int device))                      /* the same; what failed is told by the next encode, commit or wait */                   \
    X(int, pending, (int device))                     /* whether anything was encoded since the last wait */                                  \
    /* around the host's reads and writes of contents: on a Mac nothing; the software device keeps its memory closed between them */         \
    X(void, open, (void))                                                                                                                     \
    X(void, close, (void))
#define RT_X(result, name, arguments) result (*name) arguments;
typedef struct { RT_METAL_CALLS(RT_X) } RtMetalCalls;
#undef RT_X
const RtMetalCalls *rt_metal_calls(void);             /* the library's one entry */
#endif
