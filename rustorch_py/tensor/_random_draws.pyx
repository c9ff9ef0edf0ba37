# build: cold
"""Random numbers whose distribution is given by tensors: normal, bernoulli, poisson, binomial, multinomial."""
from libc.math cimport INFINITY
from libc.stdint cimport int64_t
from ._base cimport (
    TensorBase, RtArray, RT_I64, RT_F32, RT_F64, RT_KIND_FLOAT, RT_KIND_COMPLEX, RT_META, rt_kind, F_CONTIG, as_base, bump, empty as new_empty,
    empty_preserve, fill_array, shape_tuple)
from ._create cimport finish, make
from ._dtype cimport device_of, dtype_of, torch_name
from ._ops cimport expand_to
from ._plan cimport broadcast_shapes, contiguous_raw, copy_raw
from ._random cimport (
    RtRandom, bernoulli_each, draw, draw_binomial, draw_multinomial, draw_poisson, drawn_here, drawn_there, forget, integer, no_grad_here,
    number, refuse, stream)
from ._random_make cimport room
from ._random import bernoulli_, exponential_, normal_
from ..errors import DTypeError, ShapeError, TensorTypeError, TensorValueError


def normal(mean, std=1.0, size=None, *, generator=None, out=None, dtype=None, layout=None, device=None, requires_grad=False,
           pin_memory=False):
    """Return normal numbers; mean and standard deviation are tensors (one draw an element) or numbers.

    Args:
        mean, std: tensor or number; shapes broadcast.
        size: sequence of ints, only and always when both are numbers.
    """
    cdef TensorBase deviation
    cdef int64_t sh[64]
    cdef int n
    stream("normal", generator)
    is_mean, is_std = isinstance(mean, TensorBase), isinstance(std, TensorBase)
    if not is_mean and not is_std:
        if size is None:
            raise TensorTypeError(f"normal(): argument 'mean' (position 1) must be Tensor, not {type(mean).__name__}, when no size is given",
                                  op="normal")
        if not number("normal", "std", std) >= 0:
            raise TensorValueError(f"normal expects std >= 0.0, but found std {std}", op="normal")
        number("normal", "mean", mean)
        result = room("normal", (size,), None, out, dtype, layout, device, pin_memory)
        normal_(result, mean, std, generator=generator)
        return finish("normal", result, requires_grad)
    if size is not None or dtype is not None or layout is not None or device is not None or requires_grad or pin_memory:
        raise TensorTypeError("normal(): size, dtype, layout, device, requires_grad and pin_memory go with numbers for mean and std",
                              op="normal")
    if is_std:
        deviation = <TensorBase>std
        if rt_kind(deviation.dt) == RT_KIND_COMPLEX:
            raise DTypeError("normal expects standard deviation to be non-complex", op="normal")
        if deviation.n and deviation.dev & 255 != RT_META and not bool((std >= 0).all()):
            raise TensorValueError("normal expects all elements of std >= 0.0", op="normal")
    elif not number("normal", "std", std) >= 0:
        raise TensorValueError(f"normal expects std >= 0.0, but found std {std}", op="normal")
    first = mean if is_mean else std
    n = broadcast_shapes("normal", <TensorBase>first, <TensorBase>std if is_std else None, None, sh)
    shape = tuple([sh[i] for i in range(n)])
    with no_grad_here():
        result = make("normal", (shape,), None, out, None if out is not None else first.dtype, None, first.device, False)
        normal_(result, 0, 1 if is_std else std, generator=generator)
        if is_std:
            result.mul_(std)
        result.add_(mean)
    forget("NormalBackward3", result, (mean if is_mean else None, std if is_std else None))
    return result


def bernoulli(input, p=None, *, generator=None, out=None):
    """Return 1 with the probability that the element of `input` gives, else 0.

    Args:
        input: float tensor of probabilities; with `p` given only its shape and dtype count.
        p: one probability, or a tensor of them.
        out: tensor to write into (any real dtype); it is resized.
    """
    cdef TensorBase t = as_base("bernoulli", "input", input), result
    cdef RtRandom *g = stream("bernoulli", generator)
    result = make("bernoulli", (shape_tuple(t),), None, out, None if out is not None else dtype_of(t.dt), None,
                  None if out is not None else device_of(t.dev), False)
    if p is not None:
        return bernoulli_(result, p, generator=generator)
    if rt_kind(result.dt) == RT_KIND_COMPLEX:
        refuse("bernoulli_tensor_cpu_self_", result)
    bernoulli_each(g, result, t, generator)
    if out is not None:
        bump(result)
    forget("BernoulliBackward0", result, (input,))
    return result


def poisson(input, generator=None, *, out=None):
    """Return Poisson numbers whose rates are the elements of `input`."""
    cdef TensorBase t = as_base("poisson", "input", input), result
    cdef RtArray a, b
    cdef int status = 0
    cdef RtRandom *g = stream("poisson", generator)
    if rt_kind(t.dt) != RT_KIND_FLOAT:
        refuse("poisson_cpu", t)
    result = make("poisson", (shape_tuple(t),), None, out, None if out is not None else dtype_of(t.dt), None,
                  None if out is not None else device_of(t.dev), False)
    if result.dt != t.dt:
        raise DTypeError(f"poisson: out must be {dtype_of(t.dt)}, got {dtype_of(result.dt)}", op="poisson")
    if drawn_here(result, generator):
        fill_array(result, &a)
        fill_array(t, &b)
        status = draw_poisson(g, &a, &b)
    elif drawn_there(result):
        draw("random_poisson", result, generator, (t,))
    if status:
        raise TensorValueError("poisson: invalid Poisson rate, expected rate to be non-negative", op="poisson")
    if out is not None:
        bump(result)
    forget("PoissonBackward0", result, (input,))
    return result


def binomial(count, prob, generator=None):
    """Return numbers of successes in `count` trials of probability `prob`, one draw an element.

    Args:
        count: float32 or float64 tensor of whole numbers.
        prob: tensor of the same dtype that broadcasts to count's shape.
    """
    cdef TensorBase n = as_base("binomial", "count", count), p = as_base("binomial", "prob", prob), result
    cdef RtRandom *g = stream("binomial", generator)
    if rt_kind(n.dt) != RT_KIND_FLOAT:
        raise TensorValueError(f"binomial only supports floating-point dtypes for count, got: {torch_name(n.dt)}", op="binomial")
    if n.dt != RT_F32 and n.dt != RT_F64:
        refuse("binomial_cpu", n)
    if p.dt != n.dt:
        raise DTypeError(f"binomial: prob must be {dtype_of(n.dt)} like count, got {dtype_of(p.dt)}", op="binomial")
    if p.nd > n.nd:
        raise ShapeError(f"binomial: prob of shape {shape_tuple(p)} does not broadcast to count's {shape_tuple(n)}", op="binomial")
    result = new_empty(n.nd, n.sh, n.dt, n.dev)
    if drawn_there(result):
        drawn_here(result, generator)
        draw("random_binomial", result, generator, (n, expand_to(p, n.nd, n.sh)))
    elif drawn_here(result, generator):
        n, p = contiguous_raw(n), contiguous_raw(expand_to(p, n.nd, n.sh))
        draw_binomial(g, n.dt, result.ptr, n.ptr, p.ptr, n.n)
    forget("BinomialBackward0", result, (count, prob))
    return result


def multinomial(input, num_samples, replacement=False, *, generator=None, out=None):
    """Draw indices of `input`'s last dimension with probability proportional to its elements.

    Args:
        input: float tensor of weights, (categories,) or (rows, categories); rows need not sum to 1.
        num_samples: draws from each row.
        replacement: whether a category may come twice.

    Returns:
        int64 tensor (num_samples,) or (rows, num_samples).
    """
    cdef TensorBase t = as_base("multinomial", "input", input), result
    cdef RtArray a, b
    cdef int64_t count = integer("multinomial", "num_samples", num_samples), categories
    cdef RtRandom *g = stream("multinomial", generator)
    cdef int status
    if t.nd < 1 or t.nd > 2:
        raise ShapeError(f"multinomial: prob_dist must be 1 or 2 dim, got shape {shape_tuple(t)}", op="multinomial")
    if rt_kind(t.dt) != RT_KIND_FLOAT:
        raise DTypeError(f"multinomial only supports floating-point dtypes for input, got: {dtype_of(t.dt)}", op="multinomial")
    if out is not None and as_base("multinomial", "out", out).dt != RT_I64:
        raise DTypeError(f"multinomial expects Long tensor out, got: {out.dtype}", op="multinomial")
    categories = t.sh[t.nd - 1]
    if count <= 0:
        raise TensorValueError(f"multinomial: cannot sample n_sample <= 0 samples, got {count}", op="multinomial")
    if not replacement and count > categories:
        raise TensorValueError(f"multinomial: cannot sample {count} of {categories} categories without replacement", op="multinomial")
    if categories > 1 << 24:
        raise TensorValueError(f"multinomial: number of categories cannot exceed 2^24, got {categories}", op="multinomial")
    shape = shape_tuple(t)[:t.nd - 1] + (count,)
    result = make("multinomial", (shape,), None, out, None if out is not None else dtype_of(RT_I64), None,
                  None if out is not None else device_of(t.dev), False)
    if result.n == 0:
        return result
    if replacement and count > 1 and drawn_there(result):
        drawn_here(result, generator)
        with no_grad_here():
            check_weights(input)
        draw("random_multinomial", result, generator, (t,))
    elif replacement and count > 1:
        drawn_here(result, generator)
        target = result if result.flags & F_CONTIG else new_empty(result.nd, result.sh, RT_I64, 0)
        fill_array(<TensorBase>target, &a)
        fill_array(t, &b)
        status = draw_multinomial(g, &a, &b)
        if status:
            bad_weights(status)
        if target is not result:
            copy_raw(result, <TensorBase>target)
    else:
        # Without replacement: the `count` smallest of q / weight, q exponential, are such a draw
        # (P. Efraimidis & P. Spirakis, Weighted random sampling with a reservoir, 2006).
        with no_grad_here():
            check_weights(input)
            q = exponential_(empty_preserve(t, t.dt), 1, generator=generator)
            q = input / q
            if count == 1:
                picked = q.argmax(-1, True)
            else:
                picked = q.topk(count)[1]
        copy_raw(result, <TensorBase>picked)
    if out is not None:
        bump(result)
    return result


cdef int check_weights(object weights) except -1:
    if weights.is_meta:
        return 0
    if not ((weights >= 0) & (weights < INFINITY)).all():
        bad_weights(-2)
    if (weights.sum(-1) == 0).any():
        bad_weights(-4)
    return 0


cdef int bad_weights(int status) except -1:
    why = {-2: "an entry is negative, infinite or NaN", -3: "an entry is infinite or NaN", -4: "sum of probabilities <= 0",
           -5: "no memory for the running sums"}[status]
    raise TensorValueError(f"multinomial: invalid multinomial distribution ({why})", op="multinomial")


FUNCTIONS = {"normal": normal, "bernoulli": bernoulli, "multinomial": multinomial, "poisson": poisson, "binomial": binomial}
METHODS = {"bernoulli": bernoulli, "multinomial": multinomial}
