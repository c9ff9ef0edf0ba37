/* Rows for which 16-bit floats have a loop of their own, and do not take float32's: kind h of the table. */
#include "ew_common.h"
#define RT_T rt_f16
#define RT_R rt_f16
#define RT_TTAG f16
#include "ew_type.h"
#include "_gen/loops_own16.h"
#undef RT_T
#undef RT_R
#undef RT_TTAG
#define RT_T rt_bf16
#define RT_R rt_bf16
#define RT_TTAG bf16
#include "ew_type.h"
#include "_gen/loops_own16.h"
