"""PyTorch's older names for `hub`'s downloads."""


def __getattr__(name):
    if name in ("load_url", "download_url_to_file"):              # a floor above
        from importlib import import_module
        return getattr(import_module(__package__.rpartition(".")[0] + ".hub"), "load_state_dict_from_url" if name == "load_url" else name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
