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
