/* Elementwise loops of the table for double. */
#include "ew_common.h"
#include "vfun.h"
#define RT_T double
#define RT_R double
#define RT_TTAG f64
#include "ew_type.h"
#include "ew_block.h"
#include "_gen/loops_f.h"
