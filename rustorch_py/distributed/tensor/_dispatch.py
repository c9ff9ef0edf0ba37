"""What a call with DTensors does: a rule by the function's name says how operands may lie, `run` takes the cheapest way.

Note [Rules of placement]
    A rule lists, for one dimension of the mesh, the ways to compute on local parts: (placements of the operands, placement of the
    results). Dimensions of the mesh are independent of each other. `Replicate` everywhere is always a way. Each way costs what its
    operands must be moved; the cheapest is taken, of equal ones the first. Most rules come from letters, as in einsum: each dimension of
    an operand has a letter; cutting one letter in all operands that have it gives a result that is cut at this letter, or,
    where the result has it not, terms of a sum.
"""
from __future__ import annotations

from ...errors import BackendUnavailableError, DistError, ShapeError, UnsupportedOpError
from ...tensor import Tensor
from ...overrides import RuleNames
from ...utils._pytree import rebuilt, tree_flatten, tree_unflatten
from ._dtensor import DTensor, wrap
from ._redistribute import redistribute_local, shared
from .placement_types import Partial, Replicate, Shard

RULES = {}             # name -> rule(name, func, args, kwargs)
name_of = RuleNames(RULES, "nn_")         # the name by which rules know a function; what is only in nn.functional gets nn_ before it
_state = {"implicit": False}
REPLICATE = Replicate()
SUM = Partial()


def rule(names):
    """Register a rule for functions by name."""
    def keep(fn):
        for name in names.split():
            RULES[name] = fn
        return fn
    return keep


def call(func, args, kwargs):
    """Make a call that has DTensors among its arguments."""
    name = name_of(func)
    if kwargs.get("out") is not None:
        raise UnsupportedOpError(f"{name}: 'out' cannot be given with DTensors; use the result instead", op=name)
    fn = RULES.get(name)
    if fn is not None:
        return fn(name, func, args, kwargs)
    inner = getattr(func, "__wrapped__", func)
    if type(inner).__name__ == "function" and not name.endswith("_"):          # composed of others
        try:
            return inner(*args, **kwargs)
        except (BackendUnavailableError, UnsupportedOpError) as error:         # a kernel was given a DTensor
            if "meta" not in str(error) and "this device" not in str(error):
                raise
    raise refusal(name, [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, DTensor)])


def refusal(name, operands, why="there is no rule for it"):
    """Return the error for a call that cannot be made on local parts."""
    lie = ", ".join(f"{tuple(x.shape)} as ({', '.join(map(str, x._placements))})" for x in operands)
    return UnsupportedOpError(f"{name}: not supported on DTensors ({lie}): {why}; use full_tensor(), or to_local() and from_local", op=name)


# ---- operands ----------------------------------------------------------------------------------------------------

class implicit_replication:
    """Context manager: plain tensors beside DTensors count as repeated on all ranks."""

    def __enter__(self):
        self.old, _state["implicit"] = _state["implicit"], True

    def __exit__(self, *exc):
        _state["implicit"] = self.old


def operands_of(name, args, kwargs):
    """Return the tensors among arguments as DTensors of one mesh, and a function that makes (args, kwargs) with others in their place.

    Raises:
        RuntimeError: plain tensors with dimensions, or different meshes.
    """
    leaves, spec = tree_flatten((args, kwargs))
    places = [i for i, x in enumerate(leaves) if isinstance(x, Tensor)]
    found = as_operands(name, [leaves[i] for i in places])

    def rebuild(locals_):
        out = list(leaves)
        for i, x in zip(places, locals_):
            out[i] = x
        return tree_unflatten(out, spec)
    return found, rebuild


def as_operands(name, tensors):
    """Return tensors as DTensors of one mesh; plain ones count as repeated where they may."""
    mesh = next(x._mesh for x in tensors if isinstance(x, DTensor))
    out = []
    for x in tensors:
        if not isinstance(x, DTensor):
            if x.dim() and not _state["implicit"]:
                raise DistError(f"{name}: got mixed torch.Tensor and DTensor, need to convert all torch.Tensor to DTensor before calling distributed operators! "
                                f"(a Tensor of shape {tuple(x.shape)})", op=name)
            x = wrap(x, mesh, (REPLICATE,) * mesh.ndim, tuple(x.shape))
        elif x._mesh != mesh:
            raise DistError(f"{name}: DTensors on different meshes: {mesh} and {x._mesh}", op=name)
        out.append(x)
    return out


# ---- ways and their costs ------------------------------------------------------------------------------------------

def _cost(have, want, numel):
    """Return how many elements a move sends, about; None: it cannot be made."""
    if have == want:
        return 0.0
    if isinstance(have, Replicate):
        return None if isinstance(want, Partial) and want.reduce_op != "sum" else 1e-3 * numel
    if isinstance(want, Partial):
        return None
    if isinstance(have, Shard):
        return 0.9 * numel if isinstance(want, Shard) else numel
    return 2.0 * numel           # a reduce-scatter is cheaper, but the result of a sum is wanted whole unless another operand is cut


def choose(name, operands, ways, m, pinned=None):
    """Return the cheapest of the ways along a mesh's dimension.

    Args:
        pinned: number of an operand that must stay as it is (it is written in place).
    """
    best = None
    for ins, outs in ways:
        total = 0.0
        for i, (x, want) in enumerate(zip(operands, ins)):
            one = _cost(x._placements[m], want, max(x.numel(), 1))
            if one is None or (i == pinned and one):
                total = None
                break
            total += one
        if total is not None and (best is None or total < best[0]):
            best = total, ins, outs
    if best is None:
        raise refusal(name, operands, f"no way to place the operands along dimension {m} of the mesh" + (" leaves the one that is written as it is" if pinned is not None else ""))
    return best[1:]


def run(name, operands, ways, local, shape, pinned=None):
    """Compute on local parts.

    Args:
        operands: DTensors of one mesh.
        ways: Note [Rules of placement]; or a function of the mesh's dimension.
        local: ``local(tensors, placements of the operands, placements of the result)``.
        shape: of the results as wholes; a list has one for each result of a tuple; or a function of a local result.
        pinned: see `choose`.
    """
    mesh = operands[0]._mesh
    chosen = [choose(name, operands, ways(m) if callable(ways) else ways, m, pinned) for m in range(mesh.ndim)]
    wanted = [tuple(c[0][i] for c in chosen) for i in range(len(operands))]
    out = tuple(c[1] for c in chosen)
    tensors = []
    for i, (x, want) in enumerate(zip(operands, wanted)):
        t = redistribute_local(x._local_tensor, mesh, x.shape, x._placements, want)
        if i != pinned:
            for m, p in enumerate(want):
                if isinstance(p, Replicate) and not isinstance(out[m], Replicate):
                    t = shared(t, mesh._groups[m])         # Note [Gradients of distributed tensors]
        tensors.append(t)
    got = local(tensors, wanted, out)
    if pinned is not None:
        return operands[pinned]
    return _wrapped(got, mesh, out, shape)


def _wrapped(got, mesh, placements, shape):
    if isinstance(got, Tensor):
        return wrap(got, mesh, placements, tuple(shape(got) if callable(shape) else shape))
    if isinstance(got, (tuple, list)):
        shapes = shape if isinstance(shape, list) else [shape] * len(got)
        parts = [_wrapped(g, mesh, placements, s) for g, s in zip(got, shapes)]
        return rebuilt(type(got), parts) if hasattr(got, "_fields") else type(got)(parts)
    return got


def by_letters(operands, result, linear=(), additive=False, only=None):
    """Return the ways that follow from letters: Note [Rules of placement].

    Args:
        operands: a sequence of letters an operand; None stands for a dimension that may not be cut (broadcast, of size 1).
        result: the result's letters. linear: numbers of operands in each of which the operator is linear.
        additive: the operator of a sum of all operands is the sum of the operator's results.
        only: the letters that may be cut; default all.
    """
    ways = [((REPLICATE,) * len(operands), REPLICATE)]
    letters = dict.fromkeys(l for o in operands for l in o if l is not None)
    for letter in letters:
        if only is not None and letter not in only:
            continue
        ins = tuple(Shard(o.index(letter)) if letter in o else REPLICATE for o in map(list, operands))
        ways.append((ins, Shard(list(result).index(letter)) if letter in result else SUM))
    for i in linear:
        ways.append((tuple(SUM if j == i else REPLICATE for j in range(len(operands))), SUM))
    if additive:
        ways.append(((SUM,) * len(operands), SUM))
    return ways


def aligned(name, shapes):
    """Return (letters of each operand, letters of the result, its shape) for operands that broadcast."""
    rank = max(len(s) for s in shapes)
    size = [1] * rank
    for s in shapes:
        for d, n in enumerate(s, rank - len(s)):
            if n != 1:
                if size[d] not in (1, n):
                    raise ShapeError(f"{name}: shapes {[tuple(s) for s in shapes]} do not broadcast", op=name)
                size[d] = n
    letters = [[d if n == size[d] else None for d, n in enumerate(s, rank - len(s))] for s in shapes]
    return letters, list(range(rank)), tuple(size)
