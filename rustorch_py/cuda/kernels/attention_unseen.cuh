// types: T = floats
/* Rows of attention that see no key: zeros, and infinity for the logarithm of their sum. Such a row's logarithm is below k[0], as every score was.
 * p: out, logarithms (float32). n: rows, heads, queries, features, steps of (image, head, position) of out. A thread has a row: there are few. */
RT_KERNEL(RT_NAME(attention_unseen), RtCall) {
    RT_EACH(row, a.n[0]) {
        float *log_sum = (float *)a.p[1] + row;
        if (!(*log_sum < (float)a.k[0])) continue;
        const int64_t position = row % a.n[2], head = row / a.n[2] % a.n[1], image = row / a.n[2] / a.n[1];
        T *out = (T *)a.p[0] + image * a.n[4] + head * a.n[5] + position * a.n[6];
        for (int64_t e = 0; e < a.n[3]; e++) out[e] = T_PUT((T_C)0);
        *log_sum = INFINITY;
    }
}
