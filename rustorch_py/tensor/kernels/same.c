/* Are two arrays of floats equal? */
#include "same.h"

enum { BLOCK = 1024 };

#define SAME(name, T, INT)                                              \
    int name(const T *a, const T *b, int64_t n) {                       \
        for (int64_t at = 0; at < n; at += BLOCK) {                     \
            int64_t end = n - at < BLOCK ? n : at + BLOCK;              \
            INT apart = 0;              /* as wide as T: one lane each */ \
            for (int64_t i = at; i < end; i++) apart |= a[i] != b[i];   \
            if (apart) return 0;                                        \
        }                                                               \
        return 1;                                                       \
    }
SAME(rt_same_f32, float, int32_t)
SAME(rt_same_f64, double, int64_t)
