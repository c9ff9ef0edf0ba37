/* Elementwise loops of the table for complex of double: libm calls, one instruction set is enough. */
#include "ew_common.h"
#define RT_T rt_c128
#define RT_R double
#define RT_TTAG c128
#include "ew_type.h"
#include "_gen/loops_c.h"
