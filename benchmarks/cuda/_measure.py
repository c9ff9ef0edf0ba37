"""Times by events, and both libraries in turns."""
import statistics
import time


def libraries():
    """name -> module of the libraries that have a device: ours, and PyTorch's where it is installed with one."""
    import rustorch_py
    found = {"rustorch_py": rustorch_py}
    try:
        import torch
    except ImportError:
        return found
    if torch is not rustorch_py and torch.cuda.is_available() and not rustorch_py.cuda.get_device_name().startswith("Software"):
        found["torch"] = torch
    return found


def device_times(lib, fn, repeats, warm=3):
    """Milliseconds that `fn`'s work took on the device, each repeat between two events."""
    for _ in range(warm):
        fn()
    lib.cuda.synchronize()
    marks = []
    for _ in range(repeats):
        start, end = lib.cuda.Event(enable_timing=True), lib.cuda.Event(enable_timing=True)
        start.record()
        fn()
        end.record()
        marks.append((start, end))
    lib.cuda.synchronize()
    return [start.elapsed_time(end) for start, end in marks]


def host_times(lib, fn, repeats, calls):
    """Microseconds a call that `fn` kept the host, nothing waited for."""
    for _ in range(calls):
        fn()
    lib.cuda.synchronize()
    found = []
    for _ in range(repeats):
        begun = time.perf_counter()
        for _ in range(calls):
            fn()
        found.append((time.perf_counter() - begun) / calls * 1e6)
        lib.cuda.synchronize()
    return found


def in_turns(libs, make, measure, rounds):
    """Measure a case in both libraries, round by round, so that a change of clock meets both.

    Args:
        libs: name -> module.
        make: function of a module that returns what `measure` takes besides it.
        measure: function of (module, made) that returns times.
        rounds: how often.

    Returns:
        dict: name -> {"median", "best", "count"}; {"error": text} where the case cannot be run.
    """
    made, times, result = {}, {}, {}
    for name, lib in libs.items():
        try:
            made[name] = make(lib)
            times[name] = []
        except (NotImplementedError, RuntimeError) as error:
            result[name] = {"error": f"{type(error).__name__}: {error}"[:300]}
    for _ in range(rounds):
        for name in list(times):
            try:
                times[name] += measure(libs[name], made[name])
            except (NotImplementedError, RuntimeError) as error:
                result[name] = {"error": f"{type(error).__name__}: {error}"[:300]}
                del times[name]
    for name, found in times.items():
        result[name] = {"median": statistics.median(found), "best": min(found), "count": len(found)}
    return result
