/* Elementwise loops of the table for float. */
#include "ew_common.h"
#include "vfun.h"
#define RT_T float
#define RT_R float
#define RT_TTAG f32
#include "ew_type.h"
#include "ew_block.h"
#include "_gen/loops_f.h"
