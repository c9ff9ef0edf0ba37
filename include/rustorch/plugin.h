/* Operators written in C: the table that a shared library hands to rustorch_py.library.load(path).
 * Plain C, no Python.h. A library exports one function,
 *
 *     RT_PLUGIN_EXPORT const RtPlugin *rustorch_plugin(void);
 *
 * which returns a table that stays valid for the life of the process. Fields that are left out of an
 * initialiser are zero, and zero always means "no, none, the usual".
 *
 * Two kinds of operators. An ELEMENTWISE one names loops of the package's signature (RtLoop), one a
 * dtype: broadcasting, promotion, strides, threads and conversion are the package's. A GENERAL one
 * names a function over views and one that says the shapes of its results.
 *
 * The schema is PyTorch's: "name(Tensor x, Tensor y, float limit=1.0) -> Tensor". Tensors come first;
 * after them stand numbers (int, float, bool). Elementwise: 1 to 5 tensors, one result. */
#ifndef RUSTORCH_PLUGIN_H
#define RUSTORCH_PLUGIN_H
#include "backend.h"

#define RT_PLUGIN_ABI 1            /* grows when a struct below changes; a library of another number is refused */
#define RT_PLUGIN_MAX_INPUTS 5     /* of an elementwise operator; a general one has 16 inputs and 8 results at most */
#define RT_PLUGIN_MAX_NUMBERS 8

#if defined(__GNUC__) || defined(__clang__)
#define RT_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define RT_PLUGIN_EXPORT
#endif

/* What a derivative loop reads besides the incoming gradient. */
#define RT_READS(input) (1u << (input))
enum { RT_READS_X = 1, RT_READS_Y = 2, RT_READS_Z = 4, RT_READS_OUT = 128 };

enum {                             /* RtPluginOp.flags */
    RT_PLUGIN_HALF = 1,            /* float16 and bfloat16 without a loop of their own: the float32 loop, by blocks */
    RT_PLUGIN_INT_TO_FLOAT = 2,    /* integers and bool compute, and come out, in the default dtype */
    RT_PLUGIN_CONTIGUOUS = 4       /* general: inputs are copied to row-major memory where they are not */
};
enum { RT_OUT_SAME = 0, RT_OUT_BOOL = 1, RT_OUT_REAL = 2 };      /* dtype of an elementwise result */

typedef struct {
    int32_t dtype;                 /* RtDType of all operands of these loops */
    RtLoop  forward;               /* p: result, inputs; k: the numbers of the schema, in order */
    /* derivative[i]: p: gradient of input i, incoming gradient, then those of input 0, 1, ... and
     * the result that reads[i] names. NULL: this input has no gradient. */
    RtLoop  derivative[RT_PLUGIN_MAX_INPUTS];
} RtPluginLoops;

/* A call of a general operator. Strides count elements. The function runs without the interpreter's lock. */
typedef struct {
    int32_t nin, nout, nnumbers;
    const RtArray *in;             /* the schema's tensors; an absent Tensor? has ndim -1 and data NULL */
    RtArray *out;                  /* `shapes` fills dtype, ndim and shape; `kernel` writes data, row-major */
    const double  *k;              /* the numbers as double, and as int64 (for int and bool) */
    const int64_t *n;
    char  *error;                  /* room for a message, when the result is not RT_OK */
    size_t error_nbytes;
} RtPluginCall;
typedef int (*RtPluginFn)(RtPluginCall *call);          /* RT_OK or another RtStatus */

typedef struct {
    const char *schema;            /* "name(Tensor x, float k=1.0) -> Tensor" */
    int32_t device;                /* RT_CPU */
    uint32_t flags;
    int32_t out;                   /* elementwise: RT_OUT_... */
    int32_t cost;                  /* elementwise: 0 (an addition) ... 4 (a special function); says when threads pay */
    const RtPluginLoops *loops;    /* elementwise */
    int32_t nloops;
    uint32_t reads[RT_PLUGIN_MAX_INPUTS];
    RtPluginFn shapes, kernel;     /* general */
    /* Name of the operator of this library that is the gradient, for general operators and for second
     * derivatives of elementwise ones. Its schema takes, by name, what it needs of: `grad` (grad0,
     * grad1, ... with several results), the tensors and numbers of this schema, and `result`
     * (result0, ...); it returns one tensor for each tensor of this schema. */
    const char *backward;
} RtPluginOp;

typedef struct {
    uint32_t abi;                  /* RT_PLUGIN_ABI */
    uint32_t op_nbytes;            /* sizeof(RtPluginOp) */
    const char *ns;                /* namespace: operators are reached as rustorch_py.ops.<ns>.<name> */
    const RtPluginOp *ops;
    int32_t nops;
} RtPlugin;

RT_PLUGIN_EXPORT const RtPlugin *rustorch_plugin(void);

/* Loops from an expression: RT_PLUGIN_LOOP2(hypot_f64, double, sqrt(a * a + b * b)) writes a loop of two inputs. The operands are
 * a, b, c, d in order, the numbers k[0], k[1], ... The first branch, all operands dense, is the one that compilers turn into
 * vector instructions. */
#define RT_PLUGIN_AT(T, i) (*(const T *)(p[i] + j * step[i]))
#define RT_PLUGIN_DENSE(T, i) (step[i] == (int64_t)sizeof(T))
#define RT_PLUGIN_LOOP(name, T, DENSE, DENSE_CALL, CALL)                                                            \
    static void name(char **p, const int64_t *step, int64_t n, const double *k) {                                   \
        if (RT_PLUGIN_DENSE(T, 0) && DENSE) {                                                                       \
            T *restrict r = (T *)p[0];                                                                              \
            for (int64_t j = 0; j < n; j++) r[j] = DENSE_CALL;                                                      \
        } else                                                                                                      \
            for (int64_t j = 0; j < n; j++) *(T *)(p[0] + j * step[0]) = CALL;                                      \
    }
#define RT_PLUGIN_IN(T, i) (((const T *)p[i])[j])
#define RT_PLUGIN_LOOP1(name, T, EXPRESSION)                                                                        \
    RT_INLINE T name##_at(T a, const double *k) { (void)k; return EXPRESSION; }                                     \
    RT_PLUGIN_LOOP(name, T, RT_PLUGIN_DENSE(T, 1), name##_at(RT_PLUGIN_IN(T, 1), k), name##_at(RT_PLUGIN_AT(T, 1), k))
#define RT_PLUGIN_LOOP2(name, T, EXPRESSION)                                                                        \
    RT_INLINE T name##_at(T a, T b, const double *k) { (void)a; (void)b; (void)k; return EXPRESSION; }              \
    RT_PLUGIN_LOOP(name, T, RT_PLUGIN_DENSE(T, 1) && RT_PLUGIN_DENSE(T, 2),                                         \
                   name##_at(RT_PLUGIN_IN(T, 1), RT_PLUGIN_IN(T, 2), k), name##_at(RT_PLUGIN_AT(T, 1), RT_PLUGIN_AT(T, 2), k))
#define RT_PLUGIN_LOOP3(name, T, EXPRESSION)                                                                        \
    RT_INLINE T name##_at(T a, T b, T c, const double *k) { (void)a; (void)b; (void)c; (void)k; return EXPRESSION; } \
    RT_PLUGIN_LOOP(name, T, RT_PLUGIN_DENSE(T, 1) && RT_PLUGIN_DENSE(T, 2) && RT_PLUGIN_DENSE(T, 3),                \
                   name##_at(RT_PLUGIN_IN(T, 1), RT_PLUGIN_IN(T, 2), RT_PLUGIN_IN(T, 3), k),                        \
                   name##_at(RT_PLUGIN_AT(T, 1), RT_PLUGIN_AT(T, 2), RT_PLUGIN_AT(T, 3), k))
#define RT_PLUGIN_LOOP4(name, T, EXPRESSION)                                                                        \
    RT_INLINE T name##_at(T a, T b, T c, T d, const double *k) { (void)a; (void)b; (void)c; (void)d; (void)k; return EXPRESSION; } \
    RT_PLUGIN_LOOP(name, T, RT_PLUGIN_DENSE(T, 1) && RT_PLUGIN_DENSE(T, 2) && RT_PLUGIN_DENSE(T, 3) && RT_PLUGIN_DENSE(T, 4), \
                   name##_at(RT_PLUGIN_IN(T, 1), RT_PLUGIN_IN(T, 2), RT_PLUGIN_IN(T, 3), RT_PLUGIN_IN(T, 4), k),    \
                   name##_at(RT_PLUGIN_AT(T, 1), RT_PLUGIN_AT(T, 2), RT_PLUGIN_AT(T, 3), RT_PLUGIN_AT(T, 4), k))
#endif
