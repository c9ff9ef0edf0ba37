/* Reduction loops of the table. */
#pragma GCC diagnostic ignored "-Wtautological-compare"      /* nansum's x == x holds for every integer */
#include "ew_common.h"
#include "cpu.h"
#define RT_T uint8_t
#define RT_R uint8_t
#define RT_TTAG u8
#include "ew_type.h"
#include "reduce_type.h"
#include "_gen/reductions_i.h"
#undef RT_T
#undef RT_R
#undef RT_TTAG
#define RT_T int8_t
#define RT_R int8_t
#define RT_TTAG i8
#include "ew_type.h"
#include "reduce_type.h"
#include "_gen/reductions_i.h"
#undef RT_T
#undef RT_R
#undef RT_TTAG
#define RT_T int16_t
#define RT_R int16_t
#define RT_TTAG i16
#include "ew_type.h"
#include "reduce_type.h"
#include "_gen/reductions_i.h"
#undef RT_T
#undef RT_R
#undef RT_TTAG
#define RT_VECTOR_ROWS          /* reduce_rows_v16.h has this type and the next */
#define RT_T int32_t
#define RT_R int32_t
#define RT_TTAG i32
#include "ew_type.h"
#include "reduce_type.h"
#include "_gen/reductions_i.h"
#undef RT_T
#undef RT_R
#undef RT_TTAG
#define RT_T int64_t
#define RT_R int64_t
#define RT_TTAG i64
#include "ew_type.h"
#include "reduce_type.h"
#include "_gen/reductions_i.h"
#undef RT_T
#undef RT_R
#undef RT_TTAG
#undef RT_VECTOR_ROWS
#define RT_T rt_bool
#define RT_R rt_bool
#define RT_TTAG b8
#include "ew_type.h"
#include "reduce_type.h"
#include "_gen/reductions_b.h"
#undef RT_T
#undef RT_R
#undef RT_TTAG
