"""PyTorch's house of DistributedDataParallel."""


def __getattr__(name):
    if name == "DistributedDataParallel":
        from . import __getattr__ as find
        return find(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
