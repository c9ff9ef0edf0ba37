/* The kernels of one element type; included once per type with
 *   T  stored type          C  type computed in
 *   LD(x), ST(x)            T -> C, C -> T
 *   RD(x)                   C rounded to what T can hold: where PyTorch's step stores a tensor
 *   AXPY(x, alpha, d)       x + alpha * d, rounded as PyTorch's add(alpha=) rounds for T
 *   FN(name)                the kernel's name
 * The text serves devices too (cuda/kernels/optim.cuh): there RT_OPTIM_EACH deals the elements to a block's threads.
 * Dimension letters: arrays are flat, one element per parameter element. */

#ifndef DIV
#define DIV(x, y) ((x) / (y))
#endif

/* lerp as PyTorch writes it: exact at both ends */
RT_INLINE C FN(lerp)(C a, C b, C w, C w1, int near) { return near ? a + w * (b - a) : b - (b - a) * w1; }

/* a: momentum buffer */
RT_INLINE void FN(sgd_body)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end,
                            const int l2, const int momentum, const int nesterov) {
    T *restrict p = (T *)it->p; const T *restrict g = (const T *)it->g; T *restrict a = (T *)it->a;
    const C sign = o->maximize ? -1 : 1, wd = (C)o->weight_decay, mu = (C)o->momentum;
    const C keep = (C)(1 - o->dampening), lr = (C)-o->lr;
    RT_OMP(omp simd)
    RT_OPTIM_EACH(i, begin, end) {
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
RT_OPTIM_LINK void FN(sgd)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end) {
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
    RT_OPTIM_EACH(i, begin, end) {
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
        p[i] = ST(x + DIV(step * m, denom));
    }
}
RT_OPTIM_LINK void FN(adam)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end) {
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
    RT_OPTIM_EACH(i, begin, end) {
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
RT_OPTIM_LINK void FN(rmsprop)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end) {
    if (it->b) { if (o->centered) FN(rmsprop_body)(it, o, begin, end, 1, 1); else FN(rmsprop_body)(it, o, begin, end, 1, 0); }
    else { if (o->centered) FN(rmsprop_body)(it, o, begin, end, 0, 1); else FN(rmsprop_body)(it, o, begin, end, 0, 0); }
}

/* a: sum of g^2; k0: -lr / (1 + (t - 1) * lr_decay) */
RT_OPTIM_LINK void FN(adagrad)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end) {
    T *restrict p = (T *)it->p; const T *restrict g = (const T *)it->g; T *restrict a = (T *)it->a;
    const C sign = o->maximize ? -1 : 1, wd = (C)o->weight_decay, eps = (C)o->eps, step = (C)it->k0;
    const int l2 = o->l2;
    RT_OMP(omp simd)
    RT_OPTIM_EACH(i, begin, end) {
        C x = LD(p[i]), d = sign * LD(g[i]);
        d = l2 ? AXPY(d, wd, x) : d;
        C s = RD(LD(a[i]) + d * d);
        a[i] = ST(s);
        p[i] = ST(x + step * d / RD(RD(SQRT(s)) + eps));
    }
}

/* a: mean of g, c: decaying maximum of |g|; k0: -lr / (1 - beta1^t) */
RT_OPTIM_LINK void FN(adamax)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end) {
    T *restrict p = (T *)it->p; const T *restrict g = (const T *)it->g; T *restrict a = (T *)it->a; T *restrict c = (T *)it->c;
    const C sign = o->maximize ? -1 : 1, wd = (C)o->weight_decay, eps = (C)o->eps, beta2 = (C)o->beta2, step = (C)it->k0;
    const C w = (C)(1 - o->beta1), w1 = 1 - w;
    const int near = w < (C)0.5, l2 = o->l2;
    RT_OMP(omp simd)
    RT_OPTIM_EACH(i, begin, end) {
        C x = LD(p[i]), d = sign * LD(g[i]);
        d = l2 ? AXPY(d, wd, x) : d;
        C m = RD(FN(lerp)(LD(a[i]), d, w, w1, near));
        C kept = RD(beta2 * LD(c[i])), size = RD((d < 0 ? -d : d) + eps);
        C top = kept != kept ? kept : (kept < size || size != size) ? size : kept;      /* maximum carries NaN on */
        a[i] = ST(m);
        c[i] = ST(top);
        p[i] = ST(x + step * (m / top));
    }
}

/* a: mean of g, b: mean of g^2; k0, k1: factors of g and of its mean, k2: 1 - beta2^t.
 * One inverse serves both quotients, and a number's inverse all elements: the divider was what an array in the caches waited for. */
RT_OPTIM_LINK void FN(nadam)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end) {
    T *restrict p = (T *)it->p; const T *restrict g = (const T *)it->g; T *restrict a = (T *)it->a; T *restrict b = (T *)it->b;
    const C sign = o->maximize ? -1 : 1, wd = (C)o->weight_decay, shrink = (C)o->shrink, eps = (C)o->eps;
    const C w = (C)(1 - o->beta1), w1 = 1 - w, beta2 = (C)o->beta2, new2 = (C)(1 - o->beta2);
    const C now = (C)it->k0, mean = (C)it->k1, corrected = (C)(1 / it->k2);
    const int near = w < (C)0.5, l2 = o->l2;
    RT_OMP(omp simd)
    RT_OPTIM_EACH(i, begin, end) {
        C x = RD(LD(p[i]) * shrink), d = sign * LD(g[i]);
        d = l2 ? AXPY(d, wd, x) : d;
        C m = RD(FN(lerp)(LD(a[i]), d, w, w1, near));
        C v = RD(RD(beta2 * LD(b[i])) + new2 * d * d);
        a[i] = ST(m);
        b[i] = ST(v);
        C inverse = 1 / RD(RD(SQRT(RD(v * corrected))) + eps);
        x = RD(x + now * (d * inverse));
        p[i] = ST(x + mean * (m * inverse));
    }
}

/* a: mean of g, b: mean of g^2; k0: 1 - beta1^t, k1: sqrt(1 - beta2^t), k2: the rectification, 0 where there is none yet */
RT_INLINE void FN(radam_body)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end, const int rectified) {
    T *restrict p = (T *)it->p; const T *restrict g = (const T *)it->g; T *restrict a = (T *)it->a; T *restrict b = (T *)it->b;
    const C sign = o->maximize ? -1 : 1, wd = (C)o->weight_decay, shrink = (C)o->shrink, eps = (C)o->eps, lr = (C)-o->lr;
    const C w = (C)(1 - o->beta1), w1 = 1 - w, beta2 = (C)o->beta2, new2 = (C)(1 - o->beta2);
    const C corrected = (C)(1 / it->k0), root = (C)it->k1, rectify = (C)it->k2;
    const int near = w < (C)0.5, l2 = o->l2;
    RT_OMP(omp simd)
    RT_OPTIM_EACH(i, begin, end) {
        C x = RD(LD(p[i]) * shrink), d = sign * LD(g[i]);
        d = l2 ? AXPY(d, wd, x) : d;
        C m = RD(FN(lerp)(LD(a[i]), d, w, w1, near));
        C v = RD(RD(beta2 * LD(b[i])) + new2 * d * d);
        a[i] = ST(m);
        b[i] = ST(v);
        C u = RD(m * corrected);
        if (rectified) u = RD(RD(u * RD(root / RD(RD(SQRT(v)) + eps))) * rectify);
        p[i] = ST(AXPY(x, lr, u));
    }
}
RT_OPTIM_LINK void FN(radam)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end) {
    if (it->k2 != 0) FN(radam_body)(it, o, begin, end, 1);
    else FN(radam_body)(it, o, begin, end, 0);
}

/* a: mean of g^2, b: mean of the squared steps; both kept by beta1 */
RT_OPTIM_LINK void FN(adadelta)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end) {
    T *restrict p = (T *)it->p; const T *restrict g = (const T *)it->g; T *restrict a = (T *)it->a; T *restrict b = (T *)it->b;
    const C sign = o->maximize ? -1 : 1, wd = (C)o->weight_decay, eps = (C)o->eps, rho = (C)o->beta1, fresh = (C)(1 - o->beta1), lr = (C)-o->lr;
    const int l2 = o->l2;
    RT_OMP(omp simd)
    RT_OPTIM_EACH(i, begin, end) {
        C x = LD(p[i]), d = sign * LD(g[i]), s = LD(b[i]);
        d = l2 ? AXPY(d, wd, x) : d;
        C v = RD(RD(rho * LD(a[i])) + fresh * d * d);
        C delta = RD(RD(RD(SQRT(RD(s + eps))) / RD(SQRT(RD(v + eps)))) * d);
        a[i] = ST(v);
        b[i] = ST(RD(rho * s) + fresh * delta * delta);
        p[i] = ST(AXPY(x, lr, delta));
    }
}

/* a: average of the parameters; k0: eta, k1: mu, k2: 1 - lambd * eta */
RT_OPTIM_LINK void FN(asgd)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end) {
    T *restrict p = (T *)it->p; const T *restrict g = (const T *)it->g; T *restrict a = (T *)it->a;
    const C sign = o->maximize ? -1 : 1, wd = (C)o->weight_decay, step = (C)-it->k0, mu = (C)it->k1, keep = (C)it->k2;
    const int l2 = o->l2, first = it->k1 == 1;
    RT_OMP(omp simd)
    RT_OPTIM_EACH(i, begin, end) {
        C x = LD(p[i]), d = sign * LD(g[i]), mean = LD(a[i]);
        d = l2 ? AXPY(d, wd, x) : d;
        x = RD(AXPY(RD(x * keep), step, d));
        p[i] = ST(x);
        mean = RD(mean + RD(RD(x - mean) * mu));
        a[i] = ST(first ? x : mean);
    }
}

/* a: the last gradient, b: step of each element; k0, k1: factors that shorten and lengthen it, within o->low .. o->high */
RT_OPTIM_LINK void FN(rprop)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end) {
    T *restrict p = (T *)it->p; const T *restrict g = (const T *)it->g; T *restrict a = (T *)it->a; T *restrict b = (T *)it->b;
    const C sign = o->maximize ? -1 : 1, shorter = (C)it->k0, longer = (C)it->k1, low = (C)o->low, high = (C)o->high;
    RT_OMP(omp simd)
    RT_OPTIM_EACH(i, begin, end) {
        C d = sign * LD(g[i]), turn = RD(d * LD(a[i])), size = LD(b[i]);
        size = RD(size * (turn < 0 ? shorter : turn > 0 ? longer : (C)1));
        size = size < low ? low : size;
        size = size > high ? high : size;
        d = turn < 0 ? 0 : d;                     /* an element that turned rests for one step */
        a[i] = ST(d);
        b[i] = ST(size);
        p[i] = ST(LD(p[i]) - (C)((d > 0) - (d < 0)) * size);
    }
}

/* p times k0 */
RT_OPTIM_LINK void FN(scale)(const RtOptimItem *it, const RtOptimOptions *o, int64_t begin, int64_t end) {
    T *restrict p = (T *)it->p;
    const C k = (C)it->k0;
    (void)o;
    RT_OMP(omp simd)
    RT_OPTIM_EACH(i, begin, end) p[i] = ST(LD(p[i]) * k);
}
