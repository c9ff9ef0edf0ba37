/* Reduction loops of the table. */
#include "ew_common.h"
#include "cpu.h"
#define RT_VECTOR_ROWS
#define RT_T float
#define RT_R float
#define RT_TTAG f32
#include "ew_type.h"
#include "reduce_type.h"
#include "_gen/reductions_f.h"
#undef RT_T
#undef RT_R
#undef RT_TTAG
#define RT_T double
#define RT_R double
#define RT_TTAG f64
#include "ew_type.h"
#include "reduce_type.h"
#include "_gen/reductions_f.h"
#undef RT_T
#undef RT_R
#undef RT_TTAG
#define RT_T rt_c64
#define RT_R float
#define RT_TTAG c64
#include "ew_type.h"
#include "reduce_type.h"
#include "_gen/reductions_c.h"
#undef RT_T
#undef RT_R
#undef RT_TTAG
#define RT_T rt_c128
#define RT_R double
#define RT_TTAG c128
#include "ew_type.h"
#include "reduce_type.h"
#include "_gen/reductions_c.h"
#undef RT_T
#undef RT_R
#undef RT_TTAG
