// types: T = reals
/* Bags of rows of tables. Neighbouring threads take neighbouring columns. */
#include "block.h"

/* p: bags, table, index, where each bag begins, factor of each index or NULL, size of each bag, position of each maximum (mode 2), which
 * bag each index is in; n: elements of the bags, columns, rows of the table, how many indices, bags, mode (0 sum, 1 mean, 2 max), the index
 * that counts for nothing, whether the starts are one more than the bags */
RT_KERNEL(RT_NAME(bag), RtCall) {
    const T *table = (const T *)a.p[1], *factor = (const T *)a.p[4];
    const int64_t *index = (const int64_t *)a.p[2], *start = (const int64_t *)a.p[3];
    RT_EACH(i, a.n[0]) {
        int64_t bag, from, to, count = 0, where = -1;
        const int64_t column = rt_divide(i, a.n[1], &bag);
        from = start[bag];
        to = bag + 1 < a.n[4] || a.n[7] ? start[bag + 1] : a.n[3];
        if (from < 0 || to < from || to > a.n[3]) {
            rt_bad_index(a, from < 0 || from > a.n[3] ? from : to, a.n[3] + 1);
            continue;
        }
        T sum = 0;
        for (int64_t j = from; j < to; j++) {
            const int64_t row = index[j];
            if (column == 0) ((int64_t *)a.p[7])[j] = bag;
            if (row < 0 || row >= a.n[2]) {
                rt_bad_index(a, row, a.n[2]);
                continue;
            }
            if (row == a.n[6]) continue;
            const T v = table[row * a.n[1] + column] * (factor ? factor[j] : (T)1);
            if (a.n[5] < 2) sum += v;
            else if (where < 0 || v > sum || (v != v && sum == sum)) {
                sum = v;
                where = j;
            }
            count++;
        }
        ((T *)a.p[0])[i] = a.n[5] == 1 && count ? sum / (T)count : sum;
        if (a.p[6]) ((int64_t *)a.p[6])[i] = where;
        if (column == 0) ((int64_t *)a.p[5])[bag] = count;
    }
}
