"""What the files of checks share."""
import json
import traceback

import rustorch_py.distributed as dist


def run(checks):
    """Run checks in turn on every rank; rank 0 prints what failed where. A failed check must leave the ranks in step."""
    results = {}
    for check in checks:
        try:
            check()
            error = None
        except Exception:
            error = traceback.format_exc()
        errors = [None] * dist.get_world_size()
        dist.all_gather_object(errors, error)
        results[check.__name__] = [f"rank {i}: {e}" for i, e in enumerate(errors) if e]
    if dist.get_rank() == 0:
        print("RESULTS " + json.dumps(results), flush=True)
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
