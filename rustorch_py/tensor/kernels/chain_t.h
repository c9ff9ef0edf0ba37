/* The chain of one type: T, V its vector of L elements, F(name). Included by chain.inc.c. */
#define RT_ALL(R) _Pragma("GCC unroll 8") for (int r = 0; r < R; r++)
#define RT_AT(p) ((p) + r * (int64_t)sizeof acc[0])
/* An operation with an operand that moves, with one element for all, and both behind a load, whose own operand is p. */
#define RT_CASE(R, VT, OP, LOAD, ONE, DO)                                                            \
    case OP: RT_ALL(R) { const VT b = LOAD(RT_AT(p)), a = acc[r]; acc[r] = DO; } break;              \
    case OP + RT_CHAIN_NUMBER: { const VT b = ONE(p); RT_ALL(R) { const VT a = acc[r]; acc[r] = DO; } break; } \
    case OP + RT_CHAIN_LOADED: {                                                                     \
        const char *q = (++o)->p;                                                                    \
        o->p += o->inc;                                                                              \
        RT_ALL(R) { const VT a = LOAD(RT_AT(p)), b = LOAD(RT_AT(q)); acc[r] = DO; }                  \
        break;                                                                                       \
    }                                                                                                \
    case OP + RT_CHAIN_LOADED + RT_CHAIN_NUMBER: {                                                   \
        const VT b = ONE((++o)->p);                                                                  \
        RT_ALL(R) { const VT a = LOAD(RT_AT(p)); acc[r] = DO; }                                      \
        break;                                                                                       \
    }
/* `groups` groups of R vectors; an operand moves by `inc` bytes a group */
#define RT_CHAIN_OF(name, R, VT, LOAD, ONE, PUT)                                                     \
    static void F(name)(RtChainAt *ops, int64_t groups) {                                            \
        do {                                                                                         \
            VT acc[R];                                                                               \
            RT_ALL(R) acc[r] = (VT){0};                                                              \
            for (RtChainAt *o = ops; o->op != RT_CHAIN_END; o++) {                                   \
                char *p = o->p;                                                                      \
                o->p = p + o->inc;                                                                   \
                switch (o->op) {                                                                     \
                case RT_CHAIN_LOAD: RT_ALL(R) acc[r] = LOAD(RT_AT(p)); break;                        \
                case RT_CHAIN_LOAD + RT_CHAIN_NUMBER: { const VT b = ONE(p); RT_ALL(R) acc[r] = b; break; } \
                RT_CASE(R, VT, RT_CHAIN_ADD, LOAD, ONE, a + b)                                       \
                RT_CASE(R, VT, RT_CHAIN_SUB, LOAD, ONE, a - b)                                       \
                RT_CASE(R, VT, RT_CHAIN_FROM, LOAD, ONE, b - a)                                      \
                RT_CASE(R, VT, RT_CHAIN_MUL, LOAD, ONE, a * b)                                       \
                RT_CASE(R, VT, RT_CHAIN_DIV, LOAD, ONE, a / b)                                       \
                RT_CASE(R, VT, RT_CHAIN_INTO, LOAD, ONE, b / a)                                      \
                case RT_CHAIN_NEG: RT_ALL(R) acc[r] = -acc[r]; break;                                \
                case RT_CHAIN_STORE: RT_ALL(R) PUT(RT_AT(p), acc[r]); break;                         \
                default: __builtin_unreachable();                                                    \
                }                                                                                    \
            }                                                                                        \
        } while (--groups);                                                                          \
    }

RT_INLINE V F(chain_load)(const char *p) { V v; memcpy(&v, p, sizeof v); return v; }
RT_INLINE void F(chain_put)(char *p, V v) { memcpy(p, &v, sizeof v); }
RT_INLINE T F(chain_read)(const char *p) { T x; memcpy(&x, p, sizeof x); return x; }
RT_INLINE void F(chain_write)(char *p, T x) { memcpy(p, &x, sizeof x); }
RT_INLINE V F(chain_one)(const char *p) { return F(chain_read)(p) - (V){0}; }
RT_CHAIN_OF(chain_wide, RT_CHAIN_REGISTERS, V, F(chain_load), F(chain_one), F(chain_put))
RT_CHAIN_OF(chain_narrow, 1, V, F(chain_load), F(chain_one), F(chain_put))
RT_CHAIN_OF(chain_single, 1, T, F(chain_read), F(chain_read), F(chain_write))

/* The last groups of vectors end with the run, also where they make some elements again. */
static void F(chain)(RtChainAt *ops, int64_t n, int dense) {
    int64_t each = !dense || n < L ? 1 : n < RT_CHAIN_REGISTERS * L ? L : RT_CHAIN_REGISTERS * L;
    for (RtChainAt *o = ops; o->op != RT_CHAIN_END; o++) o->inc = o->temp ? 0 : o->step * each;
    (each == 1 ? F(chain_single) : each == L ? F(chain_narrow) : F(chain_wide))(ops, n / each);
    if (n % each == 0) return;
    for (RtChainAt *o = ops; o->op != RT_CHAIN_END; o++) if (!o->temp) o->p -= (each - n % each) * o->step;
    (each == L ? F(chain_narrow) : F(chain_wide))(ops, 1);
}
#undef RT_ALL
#undef RT_AT
#undef RT_CASE
#undef RT_CHAIN_OF
