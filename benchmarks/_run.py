"""Timing: libraries take turns, each turn starts when the machine is still, medians count."""
import gc
import statistics
import time
import traceback

from . import _peers
from ._statement import Statement


def settle(limit_s=0.3):
    """Wait until no thread of this process burns time: a library's team spins for a while after its last parallel region.

    Kernels count a thread's time in ticks of up to 4 ms, so stillness is three pauses of 4 ms without one. NumPy's OpenBLAS
    spins for 100 ms and would take half of the next library's cores.
    """
    clock, end, still = time.perf_counter, time.perf_counter() + limit_s, 0
    while still < 3 and clock() < end:
        before = time.process_time()
        time.sleep(0.004)
        still = still + 1 if time.process_time() - before < 0.0008 else 0


def turn(run, n):
    """Seconds a call, over `n` calls after an untimed one."""
    run()
    clock = time.perf_counter
    if isinstance(run, Statement):
        return run.seconds(n, clock) / n
    if n == 1:
        start = clock()
        run()
        return clock() - start
    calls = range(n)
    start = clock()
    for _ in calls:
        run()
    return (clock() - start) / n


def medians(functions, rounds, turn_s):
    """Median, lowest and highest seconds a call of each function, in turns of `turn_s` seconds.

    A function whose one call takes more than ten turns is called in fewer rounds, in one from a second on.
    """
    counts, limits = [], []
    for run in functions:
        settle()
        once = turn(run, 1)
        if once < turn_s:
            once = min(once, turn(run, max(1, int(turn_s / 20 / max(once, 1e-7)))))
        counts.append(max(1, int(turn_s / max(once, 1e-8))))
        limits.append(rounds if once < 10 * turn_s else 1 if once > 1 else min(rounds, 3))
    samples = [[] for _ in functions]
    for i in range(rounds):
        for run, n, limit, out in zip(functions, counts, limits, samples):
            if i >= limit:
                continue
            settle()
            out.append(turn(run, n))
    return [(statistics.median(s), min(s), max(s)) for s in samples]


def leaves(value):
    """The numbers in a result, as NumPy arrays in order."""
    import numpy
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value)]
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in leaves(item)]
    if value is None:
        return []
    if hasattr(value, "detach"):
        value = value.detach()
        value = value.float().numpy() if str(value.dtype).endswith(("bfloat16", "float16")) else value.numpy()
    return [numpy.array(value)]


def difference(case, ours, theirs):
    """None when two results agree, else what differs."""
    import numpy
    if case.check:
        ours, theirs = case.check(ours), case.check(theirs)
    ours, theirs = leaves(ours), leaves(theirs)
    if len(ours) != len(theirs):
        return f"{len(ours)} results, PyTorch has {len(theirs)}"
    for a, b in zip(ours, theirs):
        if a.shape != b.shape:
            return f"shape {a.shape}, PyTorch has {b.shape}"
        if not numpy.allclose(a, b, rtol=case.rtol, atol=case.atol, equal_nan=True):
            return f"largest difference {numpy.abs(a.astype('float64') - b.astype('float64')).max():.2e}"
    return None


def multiply_adds(rates):
    """A function that notes in `rates` how many operations a second all threads' multiply-adds reach just now: its turn tells a row's peak.

    The clock of a machine, and what of it others leave, change from minute to minute; a rate from the start of a run is no measure for its end.
    """
    import rustorch_py
    from rustorch_py.cli import _limits
    threads = rustorch_py.get_num_threads()
    return lambda: rates.append(_limits.fma_flops_per_second(threads, steps=100_000, repeats=1))


def measure(case, peers, rounds, turn_s):
    """Check and time one row; returns its entry of the result.

    A library that has no such call is left out; when ours has none, or its result is not PyTorch's, the row says so in "error".
    """
    entry = {"family": case.family, "name": case.name, "wants": case.wants}
    names = [name for name in (_peers.OURS, _peers.REFERENCE, *case.peers) if name in peers]
    runs, results = {}, {}
    for name in names:
        try:
            runs[name] = case.make(peers[name])
            results[name] = runs[name]()
        except Exception as error:
            runs.pop(name, None)
            message = " ".join(str(error).split())[:200]
            if name in (_peers.OURS, _peers.REFERENCE):
                entry["error"] = f"{name}: {type(error).__name__}: {message}"
                if not isinstance(error, (NotImplementedError, AttributeError)):
                    entry["trace"] = traceback.format_exc(limit=-2)
                return entry
            entry.setdefault("left_out", {})[name] = f"{type(error).__name__}: {message}"
    if case.rtol is not None and _peers.REFERENCE in results:
        wrong = difference(case, results[_peers.OURS], results[_peers.REFERENCE])
        if wrong:
            entry["error"] = "result: " + wrong
            return entry
    del results
    gc.collect()
    rates = []
    times = medians([*runs.values(), *([multiply_adds(rates)] if case.flops else [])], rounds, turn_s)
    entry["seconds"] = {name: t[0] for name, t in zip(runs, times)}
    entry["range"] = {name: [t[1], t[2]] for name, t in zip(runs, times)}
    entry["nbytes"], entry["flops"] = case.nbytes, case.flops
    if rates:
        entry["peak_gflop_s"] = round(statistics.median(rates) / 1e9, 1)
    return entry


def run(cases, peers, quick=False, say=print):
    """Measure rows; returns their entries. `quick`: beside PyTorch only, without the heavy rows."""
    rounds, turn_s = (3, 0.008) if quick else (7, 0.03)
    if quick:
        peers = {name: peer for name, peer in peers.items() if name in (_peers.OURS, _peers.REFERENCE)}
    entries = []
    for case in cases:
        if quick and case.heavy:
            continue
        entry = measure(case, peers, rounds, turn_s)
        entries.append(entry)
        say(line(entry))
        gc.collect()
    return entries


def line(entry):
    """One row as text for the terminal."""
    if "error" in entry:
        return f"{entry['family']:12s} {entry['name']:52s} FAILED {entry['error']}"
    seconds = entry["seconds"]
    times = "  ".join(f"{name} {pretty(s)}" for name, s in seconds.items() if name != _peers.OURS)
    ratio = f"x{seconds['torch'] / seconds[_peers.OURS]:6.2f}" if "torch" in seconds else " " * 7
    return f"{entry['family']:12s} {entry['name']:52s} {pretty(seconds[_peers.OURS])}  {ratio}  {times}"


def pretty(seconds):
    for unit, scale in (("ns", 1e9), ("us", 1e6), ("ms", 1e3)):
        if seconds * scale < 1000:
            return f"{seconds * scale:7.4g} {unit}"
    return f"{seconds:7.4g} s "
