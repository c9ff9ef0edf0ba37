


def fork(func, *args, **kwargs):
    """Call a function and return its result in a `futures.Future`. As PyTorch does outside of compiled code, the call is made at once."""
    future = Future()
    future.set_result(func(*args, **kwargs))
    return future


def wait(future):
    """Return the result of a future made by `fork`."""
    return future.wait()
