"""Helpers below the neural floors: saving, checkpointing, exchange, seeding. Loaded on first use."""

_WHERE = {
    "save": "serialization", "load": "serialization", "add_safe_globals": "serialization",
    "clear_safe_globals": "serialization", "get_safe_globals": "serialization", "safe_globals": "serialization",
    "seed_everything": "seeding", "swap_tensors": "_swap_tensors",
}
_MODULES = ("_pytree", "atomic", "benchmark", "checkpoint", "data", "dlpack", "flop_counter", "hooks", "model_zoo", "module_tracker", "seeding", "serialization", "tensorboard")

__all__ = ["save", "load"]


def __getattr__(name):
    import importlib
    if name in _WHERE:
        value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_WHERE, *_MODULES})
