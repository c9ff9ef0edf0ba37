"""Rules of vmap for random functions: refused, the same numbers for all examples, or different ones.

They are asked about every call while vmap is under way, also where no argument is batched (``watch`` in tensor/_function).
"""
from .. import tensor as _t
from ..nn import functional as _F
from ..tensor import Tensor
from ..tensor._function import watch
from ._batched import batched, below, is_at, level_stack, value_at
from ._dispatch import RULES, name_of, rule

_ERROR = ("vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' randomness flags on vmap or "
          "perform the randomness operation out of vmap")


def _check(level):
    if level.randomness == "error":
        raise RuntimeError(_ERROR)
    return level.randomness == "different"


def _size_first(level, func, args, kwargs):
    """The call with the batch in front of the size it names."""
    name = name_of(func)
    if "size" in kwargs:
        return args, {**kwargs, "size": (level.size, *kwargs["size"])}
    args = list(args)
    if name in ("rand", "randn"):
        sizes = tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else tuple(args)
        return [(level.size, *sizes)], kwargs
    at = next(i for i, a in enumerate(args) if isinstance(a, (tuple, list)))
    args[at] = (level.size, *args[at])
    return args, kwargs


def _factory(level, func, *args, **kwargs):
    """rand, randn, randint, normal(mean, std, size): nothing batched among the arguments."""
    if not _check(level):
        with below(level):
            return func(*args, **kwargs)
    args, kwargs = _size_first(level, func, args, kwargs)
    with below(level):
        return batched(func(*args, **kwargs), level)


@rule("randperm")
def randperm(level, func, *args, **kwargs):
    different = _check(level)
    with below(level):
        return batched(_t.stack([func(*args, **kwargs) for _ in range(level.size)]), level) if different else func(*args, **kwargs)


@rule("rand_like randn_like randint_like bernoulli poisson multinomial normal binomial")
def of_tensor(level, func, *args, **kwargs):
    """Functions whose arguments give the shape or the distribution."""
    different = _check(level)
    name = name_of(func)
    if name == "normal" and not any(isinstance(a, Tensor) for a in (*args, *kwargs.values())):
        return _factory(level, func, *args, **kwargs)
    mapped = any(is_at(a, level) for a in (*args, *kwargs.values()))

    def one(a, all_of_it):
        return a if not isinstance(a, Tensor) else value_at(a, level) if all_of_it else a._value[0] if is_at(a, level) else a
    if name == "multinomial" and different:
        v = value_at(args[0], level)
        with below(level):
            if v.dim() == 2:
                return batched(func(v, *args[1:], **kwargs), level)
            return batched(func(v.flatten(0, 1), *args[1:], **kwargs).unflatten(0, (level.size, -1)), level)
    if not different and mapped and not name.endswith("_like"):
        # the same numbers for all, though their distributions differ: begin each example at one state of the generator
        with below(level):
            state = _t.get_rng_state()
            rows = []
            for i in range(level.size):
                _t.set_rng_state(state)
                rows.append(func(*[a._value[i] if is_at(a, level) else a for a in args],
                                 **{k: a._value[i] if is_at(a, level) else a for k, a in kwargs.items()}))
        return batched(_t.stack(rows), level)
    with below(level):
        got = func(*[one(a, different) for a in args], **{k: one(a, different) for k, a in kwargs.items()})
    return batched(got, level) if different else got


@rule("normal_ uniform_ random_ bernoulli_ exponential_ geometric_ cauchy_ log_normal_")
def in_place(level, func, x, *args, **kwargs):
    different = _check(level)
    if not is_at(x, level):
        if different:
            raise RuntimeError("vmap: Cannot ask for different inplace randomness on an unbatched tensor. This will appear like same randomness. "
                               "If this is necessary for your usage, please file an issue with functorch.")
        with below(level):
            func(x, *args, **kwargs)
        return x
    args = [value_at(a, level) if isinstance(a, Tensor) else a for a in args]
    with below(level):
        if different:
            func(x._value, *args, **kwargs)
        else:
            x._value.copy_(func(_t.empty_like(x._value[0]), *[a[0] if isinstance(a, Tensor) else a for a in args], **kwargs))
    return x


@rule("dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout feature_dropout dropout_ alpha_dropout_ feature_alpha_dropout_ feature_dropout_ "
      "native_dropout rrelu rrelu_ gumbel_softmax")
def masked(level, func, input, *args, **kwargs):
    """Functions that draw one number an element or a channel."""
    if not _draws(name_of(func), args, kwargs):
        if is_at(input, level):
            got = func(input._value, *args, **kwargs)
            return input if name_of(func).endswith("_") else batched(got, level)
        return NotImplemented
    name = name_of(func)
    different = True if "dropout" in name and kwargs.get("p", args[0] if args else 0.5) == 1 else _check(level)          # p = 1 leaves nothing to draw
    v = value_at(input, level)
    if name.endswith("_") and not is_at(input, level):
        v = input
    with below(level):
        if different:
            if name in ("dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout", "feature_dropout", "gumbel_softmax"):
                rows = [func(x, *args, **kwargs) for x in v]     # channels, or a dimension, counted in one example
                return batched(_t.stack(rows), level)
            got = func(v, *args, **kwargs)
        else:
            state = _t.get_rng_state()
            rows = []
            for x in v:
                _t.set_rng_state(state)
                rows.append(func(x, *args, **kwargs))
            if name.endswith("_"):
                return input
            got = tuple(_t.stack(list(p)) for p in zip(*rows)) if isinstance(rows[0], tuple) else _t.stack(rows)
    if name.endswith("_"):
        return input
    return tuple(batched(g, level) for g in got) if isinstance(got, tuple) else batched(got, level)


def _draws(name, args, kwargs):
    """Whether these arguments make the function random: training is on."""
    if name == "gumbel_softmax":
        return True
    at = 2 if name.startswith("rrelu") else 1
    default = name in ("dropout", "dropout1d", "dropout2d", "dropout3d", "native_dropout") and "torch" not in name
    training = kwargs.get("training", kwargs.get("train", args[at] if len(args) > at else default))
    return bool(training) and kwargs.get("p", args[0] if args else 0.5) != 0.0


for _name in ("rand", "randn", "randint"):
    RULES[_name] = _factory
del _name


def _watcher(func, args, kwargs):
    """A random call without a batched argument."""
    stack = level_stack()
    return RULES[name_of(func)](stack[-1], func, *args, **kwargs) if stack else NotImplemented


_RANDOM = """rand randn randint randperm rand_like randn_like randint_like bernoulli poisson multinomial normal binomial dropout alpha_dropout
    feature_alpha_dropout feature_dropout native_dropout dropout1d dropout2d dropout3d rrelu gumbel_softmax dropout_ alpha_dropout_ feature_alpha_dropout_
    feature_dropout_ rrelu_ normal_ uniform_ random_ bernoulli_ exponential_ geometric_ cauchy_ log_normal_"""
watch([fn for name in _RANDOM.split() for place in (_t, _F, Tensor) for fn in [place.__dict__.get(name)] if fn is not None], _watcher)
