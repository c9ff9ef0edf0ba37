/* Elementwise loops of the table for complex of float: libm calls, one instruction set is enough. */
#include "ew_common.h"
#define RT_T rt_c64
#define RT_R float
#define RT_TTAG c64
#include "ew_type.h"
#include "_gen/loops_c.h"
