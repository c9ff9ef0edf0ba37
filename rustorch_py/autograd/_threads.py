"""Where backward runs."""
import threading
from functools import wraps


class _State(threading.local):
    enabled = True


_state = _State()


class set_multithreading_enabled:
    """Allow backward threads of its own for accelerators, in this thread; a context manager, decorator or plain call.

    Backward of a CPU tensor runs in the thread that asks for it, here and in PyTorch, whatever is set.

    Args:
        mode: the setting.
    """

    def __init__(self, mode):
        self.prev, self.mode = _state.enabled, mode
        _state.enabled = mode

    def __enter__(self):
        pass

    def __exit__(self, *exc):
        _state.enabled = self.prev

    def clone(self):
        """Return another of the same setting."""
        return type(self)(self.mode)

    def __call__(self, fn):
        _state.enabled = self.prev

        @wraps(fn)
        def inside(*args, **kwargs):
            with self.clone():
                return fn(*args, **kwargs)
        return inside
