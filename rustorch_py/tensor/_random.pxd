from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from ._base cimport TensorBase, RtArray
from ._node cimport Node

cdef extern from "rustorch/random.h" nogil:
    enum: RT_RANDOM_STATE_NBYTES
    uint64_t RT_RANDOM_DEFAULT_SEED
    ctypedef struct RtRandom:
        uint64_t seed
    void rt_random_set_isa(int level, int threads)
    void rt_random_seed(RtRandom *g, uint64_t seed)
    uint64_t rt_random_u64(RtRandom *g)
    double rt_random_uniform_f64(RtRandom *g)
    void rt_random_get_state(const RtRandom *g, uint8_t *state)
    int rt_random_set_state(RtRandom *g, const uint8_t *state)
    int rt_random_uniform(RtRandom *g, const RtArray *out, double a, double b)
    int rt_random_normal(RtRandom *g, const RtArray *out, double a, double b)
    int rt_random_log_normal(RtRandom *g, const RtArray *out, double a, double b)
    int rt_random_cauchy(RtRandom *g, const RtArray *out, double a, double b)
    int rt_random_exponential(RtRandom *g, const RtArray *out, double rate)
    int rt_random_geometric(RtRandom *g, const RtArray *out, double p)
    int rt_random_bernoulli(RtRandom *g, const RtArray *out, double p)
    int rt_random_int_range(RtRandom *g, const RtArray *out, uint64_t width, int64_t base)
    int rt_random_int_full64(RtRandom *g, const RtArray *out)
    int rt_random_int(RtRandom *g, const RtArray *out)
    int rt_random_bernoulli_each(RtRandom *g, const RtArray *out, const RtArray *p)
    int rt_random_poisson(RtRandom *g, const RtArray *out, const RtArray *rate)
    int rt_random_gamma(RtRandom *g, const RtArray *out, const RtArray *shape)
    int rt_random_binomial(RtRandom *g, int dtype, void *out, const void *count, const void *p, int64_t n)
    int rt_random_permutation(RtRandom *g, const RtArray *out, int64_t n)
    int rt_random_multinomial(RtRandom *g, const RtArray *out, const RtArray *p)
    int rt_random_dropout(RtRandom *g, int dtype, void *y, const void *x, uint8_t *keep, int64_t n, double p)
    int rt_dropout_backward(int dtype, void *grad_x, const void *grad_y, const uint8_t *keep, int64_t n, double p)
    int rt_random_rrelu(RtRandom *g, int dtype, void *y, void *noise, const void *x, int64_t n,
                        double lower, double upper)

cdef class Generator:
    cdef RtRandom g           # the whole state; about 2.5 KB, inline. A device's stream has only its seed from here
    cdef int dev
    cdef uint64_t offset      # of a device's stream: 4-word blocks, times 4
    cdef uint64_t captured_from
    cdef object words         # a tensor to draw through: see _take
    cdef object __weakref__
    cdef object take(self, uint64_t increment, uint64_t *seed, uint64_t *offset)     # of a device's stream; returns words

# The stream behind a `generator=` argument: the default one for None; TypeError for other things.
cdef RtRandom *stream(object op, object generator) except NULL

cdef bint drawn_here(TensorBase t, object generator) except -1  # on the CPU and not empty; the generator must be of t's device
cdef bint drawn_there(TensorBase t) noexcept                     # on a device and not empty: then
cdef object draw(str name, TensorBase t, object generator, tuple arguments)     # the device's kernel of that name fills t
cdef double number(str op, str arg, object x) except? -1.0       # TypeError naming op and argument
cdef dict only(str op, dict named, tuple allowed)
cdef int digits(int dt) noexcept
cdef int64_t int_max(int dt) noexcept
cdef int out_of_bounds(str op, str what, object value, int dt) except -1
cdef object run_uniform(TensorBase t, object generator, RtRandom *g, double low, double high)
cdef object run_normal(TensorBase t, object generator, RtRandom *g, double m, double s)
cdef object random_range(str op, TensorBase t, object from_, object to_, object generator)
cdef int64_t integer(str op, str arg, object x) except? -1
cdef int bernoulli_each(RtRandom *g, TensorBase t, TensorBase p, object generator) except -1
cdef int refuse(object op, TensorBase t) except -1               # "op" not implemented for t's dtype

cdef class no_grad_here:
    """Block without recording."""
    cdef bint before

# Of random.h, from the default stream or a given one.
cdef int draw_dropout(int dt, void *y, const void *x, uint8_t *keep, int64_t n, double p) noexcept
cdef int apply_mask(int dt, void *y, const void *x, const uint8_t *keep, int64_t n, double p) noexcept
cdef int draw_rrelu(RtRandom *g, int dt, void *y, void *slope, const void *x, int64_t n, double low, double high) noexcept
cdef int draw_gamma(RtRandom *g, const RtArray *out, const RtArray *shape) noexcept
cdef int draw_poisson(RtRandom *g, const RtArray *out, const RtArray *rate) noexcept
cdef int draw_binomial(RtRandom *g, int dt, void *out, const void *count, const void *p, int64_t n) noexcept
cdef void draw_permutation(RtRandom *g, const RtArray *out, int64_t n) noexcept
cdef int draw_multinomial(RtRandom *g, const RtArray *out, const RtArray *p) noexcept
cdef Node forget(str label, TensorBase out, tuple inputs)         # record gradient zero
