/* Opens an element type for the printed loops: include with RT_T (C type), RT_TTAG (dtype tag) and
 * RT_R (real type) defined. F(name): the scalar function; K(name): a static name of this type. */
#undef T
#undef R
#undef TAG
#undef F
#undef K
#define T RT_T
#define R RT_R
#define TAG RT_TTAG
#define F(name) RT_CAT(rt_##name, TAG)
#define K(name) RT_CAT(k_##name, TAG)

/* x ? y : z of a bool operand. By the bits where an element has eight bytes: at 256 bits GCC makes no vectors of a choice of those by a byte, and its
 * branches cost 20 times as much where x is random. */
RT_INLINE T K(pick)(rt_bool x, T y, T z) {
    if (sizeof(T) != 8) return x ? y : z;
    union { T value; int64_t bits; } a = {y}, b = {z};
    int64_t mask = -(int64_t)x;
    a.bits = (a.bits & mask) | (b.bits & ~mask);
    return a.value;
}
