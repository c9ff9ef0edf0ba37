"""Copies of views: ``narrow_copy`` is ``narrow`` that shares no memory, and so on."""
from . import _strided, _view, _view_complex, _view_pieces
from ..errors import TensorError, TensorTypeError
from ._dtype import contiguous_format
from ._function import public
from ._base import TensorBase
from ._lane import deliver_out


def _copy_of(name, view):
    if view.__name__ == "<lambda>":
        view.__name__ = name + "_copy"
    view = public(view)                      # which checks the arguments

    def copied(input, *args, out=None, **named):
        result = view(input, *args, **named)
        if isinstance(result, (tuple, list)):
            results = tuple(r.clone(memory_format=contiguous_format) for r in result)
            if out is None:
                return results
            if len(out) != len(results):
                raise TensorError(f"{name}_copy: out has {len(out)} tensors, the result {len(results)}", op=name)
            for o, r in zip(out, results):
                deliver_out(copied.__name__, r, o)
            return None
        return result.clone(memory_format=contiguous_format) if out is None else deliver_out(copied.__name__, result, out)

    copied.__name__ = copied.__qualname__ = name + "_copy"
    copied.__doc__ = f"Copy what ``{name}`` views."
    return copied


def _unsafe(name, view):
    view = public(view)

    def pieces(input, *args, **named):
        if name == "split" and args:
            size = args[0]
            if isinstance(size, (bool, float)) or not hasattr(size, "__index__") or isinstance(size, TensorBase) and (size.dim() or size.is_floating_point()):
                raise TensorTypeError(f"unsafe_split(): argument 'split_size' (position 2) must be int, not {type(size).__name__}", op="unsafe_split")
            args = (size.__index__(), *args[1:])
        return _view_pieces.untracked(view(input, *args, **named))

    pieces.__name__ = pieces.__qualname__ = "unsafe_" + name
    pieces.__doc__ = f"Cut as ``{name}`` does, into pieces that may be written independently."
    return pieces


def _slice(x, dim=0, start=None, end=None, step=1):
    if step <= 0:
        raise TensorError("slice step must be positive", op="slice")
    return x.movedim(dim, 0)[start:end:step].movedim(0, dim)


def slice_inverse(input, src, dim=0, start=None, end=None, step=1):
    """View the input's memory with the geometry of ``src``, which was sliced from it."""
    return input.as_strided(tuple(src.shape), src.stride(), src.storage_offset())


_VIEWS = {
    "expand": lambda x, size, *, implicit=False: x.expand(size),
    "alias": lambda x: x,
    "view": lambda x, size=None, dtype=None: x.view(size if dtype is None else dtype),
    "permute": lambda x, dims: x.permute(dims),
    "unfold": lambda x, dimension, size, step: x.unfold(dimension, size, step),
    "as_strided": lambda x, size, stride, storage_offset=None: x.as_strided(size, stride, storage_offset),
    "diagonal": _strided.diagonal, "split_with_sizes": _view_pieces.split_with_sizes, "split": _view_pieces.split, "unbind": _view_pieces.unbind,
    "squeeze": _view.squeeze, "unsqueeze": _view.unsqueeze, "transpose": _view.transpose, "t": _view.t, "select": _view_pieces.select,
    "slice": _slice,
    "detach": lambda x: x.detach(), "view_as_real": _view_complex.view_as_real, "view_as_complex": _view_complex.view_as_complex,
}

FUNCTIONS = {name + "_copy": _copy_of(name, view) for name, view in _VIEWS.items()}
FUNCTIONS["unsafe_chunk"] = _unsafe("chunk", _view_pieces.chunk)
FUNCTIONS["unsafe_split"] = _unsafe("split", _view_pieces.split)
FUNCTIONS["unsafe_split_with_sizes"] = _unsafe("split_with_sizes", _view_pieces.split_with_sizes)
FUNCTIONS["slice_inverse"] = slice_inverse
METHODS = {name: FUNCTIONS[name] for name in ("slice_inverse", "unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes")}
