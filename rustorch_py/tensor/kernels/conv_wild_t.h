/* Results that should not have been touched by an infinity: typed body of conv.inc.c.
 *
 * Note [Infinities]
 * An infinity or NaN of an operand belongs into the results whose sums it is part of, and PyTorch leaves all others finite. Two ways to compute would spread
 * it: Winograd's sums patches before they are multiplied, and gradients of weights that walk over whole padded planes multiply elements that no window has by
 * the zeros between the rows of g. Both spread it over all result channels of a group (of g: over all summed channels), so that one channel of the results
 * tells; where it is not finite the product is made again by a way that does not spread it. Numbers that overflow come to the same door. */

/* Whether one of n numbers, `step` apart, is not finite. */
static int SUF(has_wild)(const T *p, int64_t n, int64_t step) {
    V acc = {0}, none = {0};
    T rest = 0;
    int64_t i = 0;
    if (step == 1) for (; i + LANES <= n; i += LANES) acc = VF(fma)(VF(load)(p + i), none, acc);
    for (; i < n; i++) rest += p[i * step] * 0;
    rest += VF(sum)(acc);
    return rest != rest;
}

/* Of a gradient of weights: the first result channel of each group, and the first summed one. */
static int SUF(wild_weights)(const RtConvGeom *c, const T *gw, int last) {
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], kn = c->cin * taps;
    for (int64_t m = 0; m < c->groups * c->cout; m++)
        if (m % c->cout ? SUF(has_wild)(gw + m * kn, taps, last ? c->cin : 1) : SUF(has_wild)(gw + m * kn, kn, 1)) return 1;
    return 0;
}

/* Of results of m channels a group, `pixels` an image: the first channel of each group, the first four if a ReLU may have hidden -inf. */
static int SUF(wild_results)(const RtConvGeom *c, const T *y, int64_t m, int64_t pixels, int last, int cut) {
    RtOrder o = order(c->groups * m, pixels, last);
    int64_t some = cut && m > 1 ? m < 4 ? m : 4 : 1;
    for (int64_t i = 0; i < c->batch * c->groups * some; i++)
        if (SUF(has_wild)(y + i / some / c->groups * o.image + (i / some % c->groups * m + i % some) * o.channel, pixels, o.pixel)) return 1;
    return 0;
}
