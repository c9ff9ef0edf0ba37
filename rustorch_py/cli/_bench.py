"""`rustorch bench`: runs the suite of benchmarks/."""
from __future__ import annotations

import importlib.util
import os
import re
import sys
import time
from pathlib import Path

from ..errors import DataError

PACKAGE = Path(__file__).resolve().parent.parent


def suite():
    """Import the suite: the folder benchmarks/ of a checkout, which a wheel carries inside the package."""
    for folder in (PACKAGE / "benchmarks", PACKAGE.parent / "benchmarks"):
        if (folder / "_case.py").is_file():
            break
    else:
        raise DataError("bench: this installation carries no benchmarks folder; install from a complete source tree")
    name = "rustorch_py_benchmarks"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return [importlib.import_module(f"{name}.{part}") for part in ("_case", "_peers", "_run", "_report")]


def choose(cases, families, only, others=None):
    """The rows that --family, --only and --peers (`others`: the libraries, of which one must take part) ask for."""
    known = list(dict.fromkeys(case.family for case in cases))
    wrong = [f for f in families or () if f not in known]
    if wrong:
        raise DataError(f"bench: unknown family {wrong[0]!r}; expected one of {', '.join(known)}")
    try:
        pattern = re.compile(only or "")
    except re.error as error:
        raise DataError(f"bench: --only: {only!r} is no regular expression: {error}") from None
    chosen = [case for case in cases if (not families or case.family in families) and pattern.search(case.name)
              and (others is None or others & set(case.peers))]
    if not chosen:
        raise DataError("bench: no row has such a family and name; `rustorch bench --list` shows them")
    return chosen


def run(arguments):
    """Carry out `rustorch bench`; returns the exit code: 1 when a row failed."""
    table, peers_of, runner, report = suite()
    cases = table.load()
    chosen = choose(cases, arguments.family, arguments.only, set(peers_of.OTHERS) if arguments.peers else None)
    if arguments.list:
        for case in chosen:
            print(f"{case.family:12s} {case.name}")
        return 0
    threads = arguments.threads or cores()
    peers = peers_of.load(threads)
    if peers_of.REFERENCE not in peers:
        print("torch is not installed: our times only (pip install torch==2.13.0 for the comparison)")
    from . import _limits
    limits = _limits.triad_bytes_per_second(threads), _limits.fma_flops_per_second(threads)
    print(f"{threads} threads; triad {limits[0] / 1e9:.1f} GB/s, multiply-adds {limits[1] / 1e9:.0f} GFLOP/s", flush=True)
    started = time.perf_counter()
    entries = runner.run(chosen, peers, arguments.quick, lambda text: print(text, flush=True))
    result = {"machine": report.machine(limits, threads), "versions": {name: peer.version for name, peer in peers.items()},
              "quick": bool(arguments.quick), "rows": entries}
    total = report.summary(entries)
    print(f"{total['rows']} rows in {time.perf_counter() - started:.0f} s; geometric mean {total['geometric_mean']}; "
          f"under 0.95: {len(total['under_0.95'])}; failed: {len(total['failed'])}")
    if arguments.out:
        paths, _ = report.write(arguments.out, result, [case.name for case in cases])
        print("\n".join(os.fspath(path) for path in paths))
    return 1 if total["failed"] else 0


def cores():
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
