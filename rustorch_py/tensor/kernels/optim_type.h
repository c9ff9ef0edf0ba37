/* The kernels of one element type; included once per type with
 *   T  stored type          C  type computed in
 *   LD(x), ST(x)            T -> C, C -> T
 *   RD(x)                   C rounded to what T can hold: where PyTorch's step stores a tensor
 *   AXPY(x, alpha, d)       x + alpha * d, rounded as PyTorch's add(alpha=) rounds for T
 *   FN(name)                the kernel's name
 * Dimension letters: arrays are flat, one element per parameter element. */

/* lerp as PyTorch writes it: exact at both ends */
RT_INLINE C FN(lerp)(C a, C b, C w, C w1, int near) { return near ? a + w * (b - a) : b - (b - a) * w1; }

/* a: momentum buffer */
RT_INLINE void FN(sgd_body)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end,
                            const int l2, const int momentum, const int nesterov) {
    T *restrict p = (T *)it->p; const T *restrict g = (const T *)it->g; T *restrict a = (T *)it->a;
    const C sign = o->maximize ? -1 : 1, wd = (C)o->weight_decay, mu = (C)o->momentum;
    const C keep = (C)(1 - o->dampening), lr = (C)-o->lr;
    RT_OMP(omp simd)
    for (int64_t i = begin; i < end; i++) {
        C x = LD(p[i]), d = sign * LD(g[i]);
        if (l2) d = AXPY(d, wd, x);
        if (momentum) {
            C m = AXPY(RD(mu * LD(a[i])), keep, d);
            a[i] = ST(m);
            d = nesterov ? AXPY(d, mu, m) : m;
        }
        p[i] = ST(AXPY(x, lr, d));
    }
}
void FN(sgd)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end) {
    if (!it->a) { if (o->l2) FN(sgd_body)(it, o, begin, end, 1, 0, 0); else FN(sgd_body)(it, o, begin, end, 0, 0, 0); }
    else if (o->nesterov) { if (o->l2) FN(sgd_body)(it, o, begin, end, 1, 1, 1); else FN(sgd_body)(it, o, begin, end, 0, 1, 1); }
    else { if (o->l2) FN(sgd_body)(it, o, begin, end, 1, 1, 0); else FN(sgd_body)(it, o, begin, end, 0, 1, 0); }
}

/* a: mean of g, b: mean of g^2, c: its maximum (amsgrad); k0: -lr / (1 - beta1^t), k1: sqrt(1 - beta2^t) */
RT_INLINE void FN(adam_body)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end,
                             const int l2, const int amsgrad) {
    T *restrict p = (T *)it->p; const T *restrict g = (const T *)it->g;
    T *restrict a = (T *)it->a; T *restrict b = (T *)it->b; T *restrict c = (T *)it->c;
    const C sign = o->maximize ? -1 : 1, wd = (C)o->weight_decay, shrink = (C)o->shrink;
    const C w = (C)(1 - o->beta1), w1 = 1 - w, beta2 = (C)o->beta2, new2 = (C)(1 - o->beta2);
    const C eps = (C)o->eps, step = (C)it->k0, inv_root = (C)(1 / it->k1);
    const int near = w < (C)0.5;
    RT_OMP(omp simd)
    for (int64_t i = begin; i < end; i++) {
        C x = RD(LD(p[i]) * shrink), d = sign * LD(g[i]);
        if (l2) d = AXPY(d, wd, x);
        C m = RD(FN(lerp)(LD(a[i]), d, w, w1, near));
        C v = RD(RD(beta2 * LD(b[i])) + new2 * d * d);
        a[i] = ST(m);
        b[i] = ST(v);
        if (amsgrad) {
            C top = LD(c[i]);
            top = v > top || v != v ? v : top;      /* maximum carries NaN on */
            c[i] = ST(top);
            v = top;
        }
        C denom = RD(RD(RD(SQRT(v)) * inv_root) + eps);
        p[i] = ST(x + step * m / denom);
    }
}
void FN(adam)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end) {
    if (o->amsgrad) { if (o->l2) FN(adam_body)(it, o, begin, end, 1, 1); else FN(adam_body)(it, o, begin, end, 0, 1); }
    else { if (o->l2) FN(adam_body)(it, o, begin, end, 1, 0); else FN(adam_body)(it, o, begin, end, 0, 0); }
}

/* a: mean of g^2 (kept by beta1), b: momentum buffer, c: mean of g (centered) */
RT_INLINE void FN(rmsprop_body)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end,
                                const int momentum, const int centered) {
    T *restrict p = (T *)it->p; const T *restrict g = (const T *)it->g;
    T *restrict a = (T *)it->a; T *restrict b = (T *)it->b; T *restrict c = (T *)it->c;
    const C sign = o->maximize ? -1 : 1, wd = (C)o->weight_decay, mu = (C)o->momentum;
    const C alpha = (C)o->beta1, w = (C)(1 - o->beta1), w1 = 1 - w, eps = (C)o->eps, lr = (C)-o->lr;
    const int near = w < (C)0.5, l2 = o->l2;
    RT_OMP(omp simd)
    for (int64_t i = begin; i < end; i++) {
        C x = LD(p[i]), d = sign * LD(g[i]);
        d = l2 ? AXPY(d, wd, x) : d;
        C v = RD(RD(alpha * LD(a[i])) + w * d * d);
        a[i] = ST(v);
        if (centered) {
            C m = RD(FN(lerp)(LD(c[i]), d, w, w1, near));
            c[i] = ST(m);
            v = RD(v - m * m);
        }
        C denom = RD(RD(SQRT(v)) + eps);
        if (momentum) {
            C m = RD(RD(mu * LD(b[i])) + d / denom);
            b[i] = ST(m);
            p[i] = ST(AXPY(x, lr, m));
        } else {
            p[i] = ST(x + lr * d / denom);
        }
    }
}
void FN(rmsprop)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end) {
    if (it->b) { if (o->centered) FN(rmsprop_body)(it, o, begin, end, 1, 1); else FN(rmsprop_body)(it, o, begin, end, 1, 0); }
    else { if (o->centered) FN(rmsprop_body)(it, o, begin, end, 0, 1); else FN(rmsprop_body)(it, o, begin, end, 0, 0); }
}

/* a: sum of g^2; k0: -lr / (1 + (t - 1) * lr_decay) */
void FN(adagrad)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end) {
    T *restrict p = (T *)it->p; const T *restrict g = (const T *)it->g; T *restrict a = (T *)it->a;
    const C sign = o->maximize ? -1 : 1, wd = (C)o->weight_decay, eps = (C)o->eps, step = (C)it->k0;
    const int l2 = o->l2;
    RT_OMP(omp simd)
    for (int64_t i = begin; i < end; i++) {
        C x = LD(p[i]), d = sign * LD(g[i]);
        d = l2 ? AXPY(d, wd, x) : d;
        C s = RD(LD(a[i]) + d * d);
        a[i] = ST(s);
        p[i] = ST(x + step * d / RD(RD(SQRT(s)) + eps));
    }
}
