"""How functions and types are spelled in the text of a graph: ``torch.relu``, ``operator.add``."""
import builtins

from .. import fft, linalg, special
from ..nn import functional
from .. import tensor as _t

_spelled = {}                # id of a public function -> (its name, the function, which so stays alive)


def _find():
    from importlib import import_module
    torch = import_module(__name__.partition(".")[0])
    spaces = ((torch, "torch."), (functional, "torch.nn.functional."), (linalg, "torch.linalg."), (fft, "torch.fft."), (special, "torch.special."), (_t.Tensor, "torch.Tensor."))
    for space, prefix in spaces:
        for name in dir(space):
            fn = None if name.startswith("__") else space.__dict__.get(name)
            if not callable(fn) or isinstance(fn, type):
                continue
            known = _spelled.get(id(fn))
            if known is None or known[0].startswith(prefix) and getattr(fn, "__name__", None) == name:      # of several names its own
                _spelled[id(fn)] = prefix + name, fn


def public_name(fn):
    """Return "torch.relu" and the like of a public function; None: it is none."""
    if not _spelled:
        _find()
    found = _spelled.get(id(fn))
    if found is None:
        module, name = getattr(fn, "__module__", None) or "", getattr(fn, "__qualname__", "")
        if module.partition(".")[0] != __name__.partition(".")[0] or "<" in name:
            return None
        from importlib import import_module
        if getattr(import_module(__name__.partition(".")[0]), name, None) is fn:
            return "torch." + name
        return "torch" + module[module.find("."):] + "." + name if "." in module else "torch." + name
    return found[0]


def is_function(fn):
    """Tell whether a function is one of torch's spaces, not a method only."""
    name = public_name(fn)
    return name is not None and not name.startswith("torch.Tensor.")


def qualified_name(fn, shown=False):
    """Return module and name of a function as PyTorch spells them in code, or where they are shown: ``builtins.getattr``, ``operator.add``."""
    name = getattr(fn, "__name__", None)
    if name is not None and getattr(builtins, name, None) is fn:
        return f"builtins.{name}" if shown else name
    known = public_name(fn)
    if known is not None:
        return known
    if name is None:
        raise RuntimeError(f"graph: the function {fn!r} has no __name__, so that no code can call it; wrap it in a function")
    module = getattr(fn, "__module__", None) or ""
    if module == "_operator" and shown:
        module = "operator"
    if name == "<lambda>":
        raise RuntimeError(f"graph: a lambda cannot be called by name: {fn!r}; give it a def")
    return f"{module}.{name}" if module else name


def type_text(kind):
    """Return an annotation's text."""
    if kind is None or kind is type(None):
        return "None"
    if isinstance(kind, str):
        return kind
    if isinstance(kind, type) and not getattr(kind, "__args__", None):
        if kind.__module__ == "builtins":
            return kind.__qualname__
        root = __name__.partition(".")[0]
        if kind.__module__.partition(".")[0] == root:
            from importlib import import_module
            if getattr(import_module(root), kind.__name__, None) is kind:
                return "torch." + kind.__name__
            return "torch" + kind.__module__[len(root):] + "." + kind.__qualname__
        return f"{kind.__module__}.{kind.__qualname__}"
    return repr(kind).replace(__name__.partition(".")[0], "torch")
