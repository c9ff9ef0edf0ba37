"""Counting floating-point operations (``torch.utils.flop_counter``).

Products of matrices, convolutions and attention tell of themselves, forward and backward, at the doors of their kernels
(`tensor._gemm.set_flop_hook`); other functions are counted by formulas of their shapes, which a mode looks up.
"""
from __future__ import annotations

from collections import defaultdict

from ..errors import TensorError, TensorValueError
from ..overrides import TorchFunctionMode
from ..tensor import Tensor, _gemm
from ..utils._pytree import tree_map
from ._modules import ModuleTracker

__all__ = ["FlopCounterMode", "flop_registry", "register_flop_formula"]

flop_registry = {}                    # function -> formula, for every `FlopCounterMode`
_running = []                         # the counters entered, innermost last


def _shapes(tree):
    return tree_map(lambda x: x.shape if isinstance(x, Tensor) else x, tree)


def _by_shape(formula):
    def count(*args, out_val=None, **kwargs):
        args, kwargs, out_shape = _shapes((args, kwargs, out_val))
        return formula(*args, out_shape=out_shape, **kwargs)
    return count


def register_flop_formula(targets, get_raw=False):
    """Give functions a formula, as a decorator: ``formula(*shapes, out_shape=..., **kwargs)`` returns a number of operations.

    Args:
        targets: a public function, a custom operator, or a list of them.
        get_raw: pass the tensors themselves, and the result as ``out_val``, instead of shapes.

    Example:
        >>> @register_flop_formula(rustorch_py.cumsum)
        ... def cumsum_flop(shape, *args, out_shape=None, **kwargs):
        ...     return shape.numel()
    """
    def register(formula):
        for target in targets if isinstance(targets, (list, tuple)) else [targets]:
            if not callable(target):
                raise TensorValueError(f"register_flop_formula(targets): expected each target to be a function, got {type(target).__name__}")
            if target in flop_registry:
                raise TensorError(f"register_flop_formula: {target} has a formula already", op="register_flop_formula")
            flop_registry[target] = formula if get_raw else _by_shape(formula)
        return formula
    return register


def _told(name, count):
    if _running and not _running[-1]._silent:
        for counter in _running:
            counter._add("aten." + name, count)


class FlopCounterMode(TorchFunctionMode):
    """Count the floating-point operations of what runs inside a ``with`` block, forward and backward, by module and by operator.

    A multiplication and an addition are two operations. Counted are products of matrices (``aten.mm``, ``addmm``, ``bmm``, ``baddbmm``; not ``mv``
    and ``dot``), convolutions, attention and the products of recurrent layers, gradients too, and what has a formula.

    Args:
        mods: module or list of modules; PyTorch no longer needs it either, and it warns.
        depth: levels of modules that the table shows; None all.
        display: print the table on leaving.
        custom_mapping: {function: formula}; a formula takes the call's shapes and ``out_shape``, or, where it has an attribute ``_get_raw`` that is
            true, the tensors and ``out_val``.

    Example:
        >>> with FlopCounterMode(display=False) as counter:
        ...     y = rustorch_py.ones(2, 3) @ rustorch_py.ones(3, 4)
        >>> counter.get_total_flops()
        48
    """

    def __init__(self, mods=None, depth=2, display=True, custom_mapping=None):
        if mods is not None:
            import warnings
            warnings.warn("mods argument is not needed anymore, you can stop passing it", stacklevel=2)
        self.depth, self.display = depth, display
        self.flop_counts = defaultdict(lambda: defaultdict(int))
        self._custom = {fn: formula if getattr(formula, "_get_raw", False) else _by_shape(formula) for fn, formula in (custom_mapping or {}).items()}
        self._modules = ModuleTracker()
        self._silent = 0

    def _add(self, name, count):
        for module in self._modules.parents:
            self.flop_counts[module][name] += count

    def __torch_function__(self, func, types, args=(), kwargs=None):
        formula = self._custom.get(func) or flop_registry.get(func)
        if formula is None:
            return func(*args, **(kwargs or {}))
        self._silent += 1                                    # the formula stands for what is inside
        try:
            out = func(*args, **(kwargs or {}))
        finally:
            self._silent -= 1
        self._add(getattr(func, "__name__", str(func)), formula(*args, **(kwargs or {}), out_val=out))
        return out

    def __enter__(self):
        self.flop_counts.clear()
        self._modules.__enter__()
        if not _running:
            _gemm.set_flop_hook(_told)
        _running.append(self)
        super().__enter__()
        return self

    def __exit__(self, *exc):
        super().__exit__(*exc)
        _running.remove(self)
        if not _running:
            _gemm.set_flop_hook(None)
        self._modules.__exit__(*exc)
        if self.display:
            print(self.get_table(self.depth))

    def get_total_flops(self):
        """Return the number of all operations."""
        return sum(self.flop_counts["Global"].values())

    def get_flop_counts(self):
        """Return {module: {operator: count}}; a module counts what its children do, ``"Global"`` everything."""
        return {module: dict(counts) for module, counts in self.flop_counts.items()}

    def get_table(self, depth=None):
        """Return the counts as a text.

        Args:
            depth: levels of modules; default the counter's, where that is None all.
        """
        depth = self.depth if depth is None else depth
        depth = 999999 if depth is None else depth
        total = self.get_total_flops()
        suffix = _suffix(total)

        def rows_of(module, level):
            mine = self.flop_counts[module]
            lines = [(module, sum(mine.values())), *((" - " + name, count) for name, count in mine.items())]
            return [[" " * level + text, _number(count, suffix), _share(count, total)] for text, count in lines]
        shown = [m for m in sorted(self.flop_counts) if m != "Global" and m.count(".") < depth]
        rows = [row for m in shown for row in rows_of(m, m.count("."))]
        if "Global" in self.flop_counts and not any(sum(self.flop_counts[m].values()) >= total for m in shown):
            rows = rows_of("Global", 0) + [[" " + text, *rest] for text, *rest in rows]
        return _laid_out(["Module", "FLOP", "% Total"], rows or [["Global", "0", "0%"]])


_SUFFIXES = ("", "K", "M", "B", "T")


def _suffix(number):
    index = max(0, min(len(_SUFFIXES) - 1, (len(str(number)) - 2) // 3))
    return _SUFFIXES[index]


def _number(number, suffix):
    return f"{number / 1000 ** _SUFFIXES.index(suffix):.3f}{suffix}"


def _share(count, total):
    return f"{count / total:.2%}" if total else "0%"


def _laid_out(head, rows):
    """A table: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(cells):
        return "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths))).rstrip()
    return "\n".join([line(head), "  ".join("-" * w for w in widths), *(line(row) for row in rows)])
