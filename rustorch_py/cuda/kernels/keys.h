/* Values as unsigned keys of the same size whose order is the values': NaN largest (all bits set), -0 equal to 0. */
#ifndef RUSTORCH_CUDA_KEYS_H
#define RUSTORCH_CUDA_KEYS_H
template <int BYTES> struct RtUnsigned;
template <> struct RtUnsigned<1> { typedef uint8_t type; };
template <> struct RtUnsigned<2> { typedef uint16_t type; };
template <> struct RtUnsigned<4> { typedef uint32_t type; };
template <> struct RtUnsigned<8> { typedef uint64_t type; };
/* the type U of the keys of the file's type T, and the function KEY */
#define RT_DEFINE_KEY(U, KEY)                                                            \
    typedef RtUnsigned<T_SIZE>::type U;                                                  \
    RT_INLINE U KEY(T v) {                                                               \
        const U sign = (U)((U)1 << (8 * sizeof(U) - 1));                                 \
        U u;                                                                             \
        memcpy(&u, &v, sizeof u);                                                        \
        if (T_KIND == 1) return (U)(u ^ sign);                                           \
        if (T_KIND == 2) {                                                               \
            if (T_GET(v) != T_GET(v)) return (U) ~(U)0;                                  \
            if (u == sign) u = 0;                                                        \
            return (U)(u & sign ? ~u : u | sign);                                        \
        }                                                                                \
        return u;                                                                        \
    }
#define RT_NAN_KEY(U, key) (T_KIND == 2 && (key) == (U) ~(U)0)
#endif
