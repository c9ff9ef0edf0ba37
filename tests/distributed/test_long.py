"""The longer checks, with RUSTORCH_LONG_TESTS=1 (``make test-distributed``): 200 random models, 100 random kills of a random rank,
messages beyond 2 GiB."""
import os

import pytest
from _launch import run_alone

pytestmark = [pytest.mark.skipif(os.environ.get("RUSTORCH_LONG_TESTS") != "1", reason="takes minutes: RUSTORCH_LONG_TESTS=1"), pytest.mark.timeout(1500)]


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_fifty_random_models(ranks):
    failures, said = run_alone("ranks_random", ranks, {"RUSTORCH_RANDOM_MODELS": "50"}, timeout=600)
    assert not failures["random_models"], "\n".join(failures["random_models"])
    print(said)


@pytest.mark.parametrize("first", range(0, 100, 20))
def test_twenty_random_kills(first):
    from kills import LIMIT, run
    slow = [(seed, seconds) for seed, seconds in run(20, first) if seconds >= LIMIT]
    assert not slow, f"(seed, seconds) of jobs that took {LIMIT:g} s or more to end: {slow}"


def test_counts_beyond_32_bits():
    """Two ranks of 2 GiB and some more."""
    failures, _ = run_alone("ranks_large", 2, {}, timeout=600)
    assert not any(failures.values()), "\n".join(sum(failures.values(), []))
