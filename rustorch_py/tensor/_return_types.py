"""Named results: tuples whose fields have names, printed as PyTorch prints them."""
from operator import itemgetter


class NamedResult(tuple):
    """A tuple with named fields; built from a sequence, as PyTorch's structseqs are, or from its values, as named tuples are."""

    __slots__ = ()
    _fields = ()

    def __new__(cls, values, *more):
        self = tuple.__new__(cls, (values, *more) if more else values)
        if len(self) != len(cls._fields):
            raise TypeError(f"{cls.__name__}() takes a {len(cls._fields)}-sequence ({len(self)}-sequence given)")
        return self

    def __repr__(self):
        lines = ",\n".join(f"{name}={value!r}" for name, value in zip(self._fields, self))
        return f"torch.return_types.{type(self).__name__}(\n{lines})"

    def __reduce__(self):
        return _rebuild, (type(self).__name__, tuple(self))


def _rebuild(name, values):
    return TYPES[name](values)


TYPES = {}
_PUBLIC = __name__.partition(".")[0] + ".return_types"


def named_result(name, *fields):
    """Make (once) the result type of an operator.

    Args:
        name: the operator's name; the type's too.
        *fields: names of its results, in order.
    """
    if name not in TYPES:
        body = {"__slots__": (), "_fields": fields, "n_fields": len(fields), "n_sequence_fields": len(fields),
                "n_unnamed_fields": 0, "__match_args__": fields, "__module__": _PUBLIC}
        body.update((field, property(itemgetter(i))) for i, field in enumerate(fields))
        TYPES[name] = type(name, (NamedResult,), body)
        globals()[name] = TYPES[name]
    return TYPES[name]
