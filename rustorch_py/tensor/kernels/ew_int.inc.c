/* Elementwise loops of the table for the integer types. */
#include "ew_common.h"
#define RT_T uint8_t
#define RT_R uint8_t
#define RT_TTAG u8
#include "ew_type.h"
#include "_gen/loops_i.h"
#undef RT_T
#undef RT_R
#undef RT_TTAG
#define RT_T int8_t
#define RT_R int8_t
#define RT_TTAG i8
#include "ew_type.h"
#include "_gen/loops_i.h"
#undef RT_T
#undef RT_R
#undef RT_TTAG
#define RT_T int16_t
#define RT_R int16_t
#define RT_TTAG i16
#include "ew_type.h"
#include "_gen/loops_i.h"
