"""A recording becomes a program: values instead of addresses, what nobody reads left out, places for what lies between.

See Note [Recording] in tensor/_fuse.pyx for what a recording holds, and Note [Fused loops] in tensor/kernels/fuse.h for what runs.
"""
import itertools

from ..tensor import _fuse, optable
from . import _chain
from ._chain import Unfit

COSTLY = 3                # of a row: computing it again takes longer than to write and read it in a cache
PLACES, NUMBERS = _fuse.MAX_OPERANDS, _fuse.MAX_OPERANDS + _fuse.MAX_SLOTS


class _Value:
    """One value: an input (`index`), a number (`raw`), or the result of a step."""

    def __init__(self, dtype, index=None, raw=None, step=None):
        self.dtype, self.index, self.raw, self.step, self.wanted = dtype, index, raw, step, {}


def _values(recording, inputs):
    """Replay a recording's launches by name. `inputs`: (address, dtype code, moves). Return (address -> value, values of steps in order)."""
    if recording.spoiled:
        raise Unfit
    moving = {at: _Value(dt, index=i) for i, (at, dt, moves) in enumerate(inputs) if moves}
    still = {at: _Value(dt, index=i) for i, (at, dt, moves) in enumerate(inputs) if not moves}
    numbers, order = {}, []

    def step(dtype, *what):
        value = _Value(dtype, step=what)
        order.append(value)
        return value

    def converted(value, dtype):
        if value.dtype == dtype:
            return value
        if value.raw is not None:
            return _Value(dtype, raw=_fuse.converted(value.raw, value.dtype, dtype))
        if dtype not in value.wanted:
            value.wanted[dtype] = step(dtype, -1, dtype, 0.0, 0.0, (value,))
        return value.wanted[dtype]

    for kernel, loop, k0, k1, operands in recording.entries:
        read = []
        for at, dtype, raw in operands[1:]:
            if raw is None:
                value = moving.get(at)
            else:                                      # one element: an argument's, or a number of the function's text
                value = still.get(at) or numbers.setdefault((raw, dtype), _Value(dtype, raw=raw))
            if value is None or value.dtype != dtype:
                raise Unfit
            read.append(value)
        at, dtype, raw = operands[0]
        if raw is not None:
            raise Unfit                                # arithmetic among single elements: its places are used again, so addresses say nothing
        if kernel < 0:
            moving[at] = converted(read[0], dtype)
            continue
        want = _fuse.wants(kernel, loop, len(operands))
        moving[at] = converted(step(want[0], kernel, loop, k0, k1, tuple(converted(v, w) for v, w in zip(read, want[1:]))), dtype)
    return moving, order


def build(recording, inputs, results):
    """Return (program, where): a Program of a recording, and for each result its number among the program's, or ~i where it is input i.

    Args:
        inputs: (address, dtype code, moves) of each input while recording; `moves`: it had more than one element.
        results: (address, dtype code) of each result.
    Raises:
        Unfit: something else than rows made a result, or it takes too many operands or places.
    """
    moving, order = _values(recording, inputs)
    wanted, where = _wanted(moving, results)
    return _assemble(_alive(order, wanted), wanted, len(inputs)), where


def build_kept(recording, inputs, result, gradients):
    """Return (forward, backward, where) of a recording of a function and its gradients, or None where nothing is worth to be kept between the two.

    Forward's results are the function's and then costly values that gradients need; backward takes them behind the inputs and the incoming
    gradient, which is the last of `inputs`. `result` and `gradients` are as build's `results`.
    """
    moving, order = _values(recording, inputs)
    wanted, where = _wanted(moving, gradients)
    made = moving.get(result[0])
    late = {id(v) for v in moving.values() if v.index == len(inputs) - 1}
    for value in order:
        if any(id(read) in late for read in value.step[4]):
            late.add(id(value))
    cost = {id(v): optable.ROWS[v.step[0] >> 2].cost for v in _alive(order, wanted) if v.step[0] >= 0 and id(v) not in late and v is not made}
    kept = sorted((v for v in order if cost.get(id(v), 0) >= COSTLY), key=lambda v: -cost[id(v)])[: _fuse.MAX_OPERANDS - len(wanted) - len(inputs)]
    if not kept or made is None or made.step is None or made.dtype != result[1] or any(v in wanted for v in kept):
        return None
    outs = [made, *kept]
    return _assemble(_alive(order, outs), outs, len(inputs) - 1), _assemble(_alive(order, wanted, kept), wanted, len(inputs), kept), where


def _wanted(moving, results):
    """(values that a program makes, for each result its number among them or ~i where it is input i)"""
    wanted, where = [], []
    for at, dtype in results:
        value = moving.get(at)
        if value is None or value.dtype != dtype:
            raise Unfit
        if value.index is not None:
            where.append(~value.index)
        elif value in wanted:
            raise Unfit                                # one array would be two results
        else:
            where.append(len(wanted))
            wanted.append(value)
    if not wanted:
        raise Unfit
    return wanted, where


def _alive(order, wanted, given=()):
    """The steps that make these values, where those of `given` are there."""
    alive, there, steps = set(map(id, wanted)), set(map(id, given)), []
    for value in reversed(order):
        if id(value) in alive and id(value) not in there:
            steps.append(value)
            alive.update(map(id, value.step[4]))
    steps.reverse()
    return steps


def _assemble(steps, wanted, n_in, given=()):
    """The Program of these steps; `given` are inputs behind the first n_in."""
    parts = _parts(steps)
    plain = _assembled([[value] for value in steps], wanted, n_in, given)
    if len(parts) == len(steps):
        return plain
    try:
        return _assembled(parts, wanted, n_in, given, plain)
    except Unfit:
        return plain


def _assembled(parts, wanted, n_in, given, short=None):
    """The Program of these parts (see `_parts`); `short` is the one for short runs."""
    steps = [value for part in parts for value in part]
    if len(wanted) + n_in + len(given) > _fuse.MAX_OPERANDS or len(steps) > _fuse.MAX_STEPS:
        raise Unfit
    last = {}                                          # value -> the part that reads it last
    for i, part in enumerate(parts):
        for value in part:
            for read in value.step[4]:
                last[id(read)] = i
    place, sizes, free, numbers, out = {}, [], [], [], []
    operand = {id(value): i for i, value in enumerate(wanted)}
    operand.update((id(value), len(wanted) + n_in + i) for i, value in enumerate(given))

    def number(raw):
        if raw not in numbers:
            numbers.append(raw)
        return NUMBERS + numbers.index(raw)

    def spot(value):
        if id(value) in operand:
            return operand[id(value)]
        if value.index is not None:
            return len(wanted) + value.index
        return number(value.raw) if value.raw is not None else PLACES + place[id(value)]

    def apart(value):
        """Bytes from element to element where it is no operand."""
        return 0 if id(value) in operand or value.step is None else _fuse.itemsize(value.dtype)

    for i, part in enumerate(parts):
        kept = [value for value in part if id(value) in operand or last.get(id(value), i) > i]
        for value in kept:
            if id(value) in operand:
                continue
            if free:                                   # not one that is read here: some loops are slower in place
                place[id(value)] = free.pop()
            else:
                place[id(value)] = len(sizes)
                sizes.append(0)
            sizes[place[id(value)]] = max(sizes[place[id(value)]], _fuse.itemsize(value.dtype))
        for read in {id(r): r for value in part for r in value.step[4]}.values():
            if id(read) in place and last[id(read)] == i:
                free.append(place[id(read)])
        kernel, loop, k0, k1, reads = part[0].step
        if len(part) > 1:
            out.append((_fuse.CHAIN, loop, 0.0, 0.0, 0, *_chain.operations(part, spot, number, set(map(id, kept)))))
        else:
            spots = [part[0], *reads]
            out.append((kernel, loop, k0, k1, reads[0].dtype if kernel < 0 else 0, list(map(spot, spots)), list(map(apart, spots))))
    if len(sizes) > _fuse.MAX_SLOTS or len(numbers) > _fuse.MAX_NUMBERS or sum(sizes) * 64 > _fuse.ROOM:
        raise Unfit
    cost = min(4, sum(optable.ROWS[value.step[0] >> 2].cost for value in steps if value.step[0] >= 0))
    return _fuse.Program([v.dtype for v in wanted], n_in + len(given), out, sizes, numbers, cost, short)


def _parts(steps):
    """The steps in parts that run over a block one after the other: one step, or arithmetic of one dtype as a chain. Arithmetic waits until a step
    that is none reads it, so that chains are long."""
    parts, waiting = [], {}

    def bring(values):
        """Make parts of what these values need and is waiting."""
        need = set(map(id, values))
        for value in reversed(list(waiting.values())):
            if id(value) in need:
                need.update(map(id, value.step[4]))
        chosen = [value for value in waiting.values() if id(value) in need]
        for value in chosen:
            del waiting[id(value)]
        for _, part in itertools.groupby(chosen, lambda value: value.step[1]):      # its dtype
            parts.append(list(part))

    for value in steps:
        if _chain.is_arithmetic(value.step):
            waiting[id(value)] = value
        else:
            bring(value.step[4])
            parts.append([value])
    bring(list(waiting.values()))
    return parts
