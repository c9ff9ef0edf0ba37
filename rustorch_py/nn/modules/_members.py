"""The three dictionaries of a Module (parameters, buffers, children).

Note [Members]
A parameter must be found fast as ``module.weight``, and ``module._parameters`` must stay the
one truth, also when somebody edits that dictionary directly. So the dictionary writes each
change through to the ``__dict__`` of the module that owns it: reading is then a plain
attribute lookup, without a ``__getattr__`` call. Owners are held weakly (no reference cycle),
and there may be several: ``copy.copy(module)`` shares the dictionaries, as in PyTorch.
Where the link is lost (a subclass that restores its state by hand), ``Module.__getattr__``
still looks into the dictionaries.
"""

from __future__ import annotations

from weakref import ref

_ABSENT = object()


class Members(dict):
    """A dictionary that mirrors its entries into the ``__dict__`` of its owners."""

    __slots__ = ("_owners",)

    def __init__(self, *args):
        dict.__init__(self, *args)
        self._owners = ()

    def attach(self, module):
        """Mirror the entries into ``module`` from now on."""
        self._owners = (*(r for r in self._owners if r() not in (None, module)), ref(module))
        module.__dict__.update(self)

    def share(self, owner):
        """Mirror the entries from now on into one more module, given by a weak reference, that has them already."""
        owners = [r for r in self._owners if r() is not None]
        self._owners = (*owners, owner)

    def detach(self, module):
        """Stop mirroring into ``module`` and take the mirrored entries back out."""
        self._owners = tuple(r for r in self._owners if r() not in (None, module))
        own = module.__dict__
        for key, value in self.items():
            if own.get(key, _ABSENT) is value:
                del own[key]

    def __setitem__(self, key, value):
        dict.__setitem__(self, key, value)
        for owner in self._owners:
            module = owner()
            if module is not None:
                module.__dict__[key] = value

    def _forget(self, key, value):
        for owner in self._owners:
            module = owner()
            if module is not None and module.__dict__.get(key, _ABSENT) is value:
                del module.__dict__[key]

    def __delitem__(self, key):
        self._forget(key, dict.pop(self, key))

    def pop(self, key, default=_ABSENT):
        """Remove a key and return its value, or the default."""
        if key not in self:
            if default is _ABSENT:
                raise KeyError(key)
            return default
        value = dict.pop(self, key)
        self._forget(key, value)
        return value

    def popitem(self):
        """Remove and return the last pair."""
        key, value = dict.popitem(self)
        self._forget(key, value)
        return key, value

    def clear(self):
        """Remove all entries."""
        while self:
            self.popitem()

    def setdefault(self, key, default=None):
        """Return the value of a key, storing the default first if it is absent."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args, **kwargs):
        """Take over the pairs of a mapping or an iterable."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, other):
        self.update(other)
        return self

    def move_to_end(self, key, last=True):
        """Move a key to one end (as ``OrderedDict`` does)."""
        value = dict.pop(self, key)
        if last:
            dict.__setitem__(self, key, value)
        else:
            rest = list(self.items())
            dict.clear(self)
            dict.__setitem__(self, key, value)
            dict.update(self, rest)

    def __reduce_ex__(self, protocol):
        # Pickles and deep copies hold a plain dict; the module that revives attaches a new one.
        return (dict, (), None, None, iter(self.items()))
