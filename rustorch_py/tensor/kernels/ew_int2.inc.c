/* Elementwise loops of the table for int32, int64 and bool. */
#include "ew_common.h"
#define RT_T int32_t
#define RT_R int32_t
#define RT_TTAG i32
#include "ew_type.h"
#include "_gen/loops_i.h"
#undef RT_T
#undef RT_R
#undef RT_TTAG
#define RT_T int64_t
#define RT_R int64_t
#define RT_TTAG i64
#include "ew_type.h"
#include "_gen/loops_i.h"
#undef RT_T
#undef RT_R
#undef RT_TTAG
#define RT_T rt_bool
#define RT_R rt_bool
#define RT_TTAG b8
#include "ew_type.h"
#include "_gen/loops_b.h"
