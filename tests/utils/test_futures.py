"""Futures: values that come later."""
import threading

import pytest

import rustorch_py as torch
from rustorch_py.futures import Future, collect_all, wait_all


def test_a_value_arrives_from_another_thread():
    future = Future()
    assert not future.done()
    with pytest.raises(RuntimeError, match="not completed"):
        future.value()
    thread = threading.Timer(0.02, future.set_result, (torch.ones(2),))
    thread.start()
    assert future.wait().tolist() == [1.0, 1.0] and future.done() and future.value() is future.wait()
    thread.join()
    with pytest.raises(RuntimeError, match="completed"):
        future.set_result(1)


def test_callbacks_chain_and_carry_errors():
    seen = []
    future = torch.Future()
    chained = future.then(lambda f: f.value() + 1).then(lambda f: f.wait() * 10)
    failed = future.then(lambda f: 1 / 0)
    future.add_done_callback(lambda f: seen.append(f.value()))
    future.add_done_callback(lambda f: 1 / 0)            # logged, harms nobody
    future.set_result(2)
    future.add_done_callback(lambda f: seen.append("late"))
    assert chained.wait() == 30 and seen == [2, "late"]
    with pytest.raises(ZeroDivisionError):
        failed.wait()
    broken = Future()
    after = broken.then(lambda f: f.wait())
    broken.set_exception(KeyError("lost"))
    with pytest.raises(KeyError, match="lost"):
        after.value()
    with pytest.raises(AssertionError, match="not an Exception"):
        Future().set_exception(3)


def test_many_are_waited_for_together():
    futures = [Future() for _ in range(3)]
    together = collect_all(futures)
    futures[2].set_result("c")
    futures[0].set_result("a")
    assert not together.done()
    futures[1].set_result("b")
    assert [f.value() for f in together.wait()] == ["a", "b", "c"] == wait_all(futures)
    assert collect_all([]).wait() == []
    bad = Future()
    bad.set_exception(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        wait_all([futures[0], bad])
