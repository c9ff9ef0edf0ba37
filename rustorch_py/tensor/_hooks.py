"""Handles by which a registered hook is removed again."""
import weakref
from collections import OrderedDict


def add_hook(hooks, fn):
    """Put a hook into the dictionary and return its handle."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = fn
    return handle


class RemovableHandle:
    """Remove one hook from the dictionary it was registered in.

    Args:
        hooks_dict: ordered dictionary from handle id to hook; held weakly, so that a handle
            kept by a user does not keep a module or an optimizer alive.
        extra_dict: one more dictionary, or a list of them, that carry an entry of the same id.

    Example:
        >>> from collections import OrderedDict
        >>> hooks = OrderedDict()
        >>> handle = RemovableHandle(hooks)
        >>> hooks[handle.id] = print
        >>> handle.remove()
        >>> len(hooks)
        0
    """

    next_id = 0

    def __init__(self, hooks_dict, *, extra_dict=None):
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        if extra_dict is None:
            extra = ()
        elif isinstance(extra_dict, list):
            extra = extra_dict
        else:
            extra = (extra_dict,)
        self.extra_dict_ref = tuple(weakref.ref(d) for d in extra)

    def remove(self):
        """Take the hook out; a second call does nothing."""
        for ref in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = ref()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self):
        if self.extra_dict_ref:
            return self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref)
        return self.hooks_dict_ref(), self.id

    def __setstate__(self, state):
        hooks = state[0]
        if hooks is None:
            hooks = OrderedDict()
        self.hooks_dict_ref = weakref.ref(hooks)
        self.id = state[1]
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)
        self.extra_dict_ref = tuple(weakref.ref(d) for d in (state[2] if len(state) > 2 else ()) if d is not None)

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc, tb):
        self.remove()
