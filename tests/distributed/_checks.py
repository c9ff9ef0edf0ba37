"""Runs files of checks in one job, one after the other: python _checks.py NAME...; and what the files share."""
import importlib
import json
import os
import sys
import traceback
from datetime import timedelta

import rustorch_py as torch
import rustorch_py.distributed as dist


def run(name):
    """Run a file's checks in turn on every rank; rank 0 prints what failed where. A failed check must leave the ranks in step."""
    dist.init_process_group(os.environ.get("CHECKS_BACKEND", "mpi"), timeout=timedelta(seconds=20))
    torch.manual_seed(0)
    results = {}
    for check in importlib.import_module(name).CHECKS:
        try:
            check()
            error = None
        except Exception:
            error = traceback.format_exc()
        errors = [None] * dist.get_world_size()
        dist.all_gather_object(errors, error)
        results[check.__name__] = [f"rank {i}: {e}" for i, e in enumerate(errors) if e]
    if dist.get_rank() == 0:
        print("RESULTS " + json.dumps([name, results]), flush=True)
    dist.destroy_process_group()


def raises(kind, call, *arguments, match=None, **keywords):
    """Return the error a call raises, which must be of a kind and say something."""
    import re
    try:
        call(*arguments, **keywords)
    except kind as error:
        assert match is None or re.search(match, str(error)), f"{error!r} does not match {match!r}"
        return error
    raise AssertionError(f"{call} raised nothing; expected {kind}")


if __name__ == "__main__":
    for each in sys.argv[1:]:
        run(each)
