"""torch.utils.benchmark: the tables and texts are PyTorch's, letter for letter."""
import itertools
import re

import pytest

torch = pytest.importorskip("torch")

import torch.utils.benchmark as theirs  # noqa: E402

import rustorch_py as rt  # noqa: E402
import rustorch_py.utils.benchmark as ours  # noqa: E402


def measurements(m):
    rows = [(None, "d", 1, None, None)]
    rows += [(sub, desc, th, env, label) for label, envs in (("L", ["a"]), ("E", ["aa", "b"]))
             for env, sub, desc, th in itertools.product(envs, ["s1", "s2 long name"], ["n=1", "n=1000"], [1, 2])]
    out = []
    for sub, desc, threads, env, label in rows:
        k = len(sub or "") + len(desc) * 3 + threads * 7 + len(env or "")
        task = m.TaskSpec("x + 1", "pass", label=label, sub_label=sub, description=desc, num_threads=threads, env=env)
        out.append(m.Measurement(100, [1e-5 * k * (1 + 0.03 * i * (k % 5)) for i in range(9)], task))
    return out[:-1]                                       # a cell without a time


@pytest.mark.parametrize("trim, mark, colour", [*itertools.product([False, True], [False, True], [None, False, True])])
def test_tables(trim, mark, colour):
    texts = []
    for m in (theirs, ours):
        table = m.Compare(measurements(m))
        if trim:
            table.trim_significant_figures()
        if mark:
            table.highlight_warnings()
        if colour is not None:
            table.colorize(rowwise=colour)
        texts.append(str(table))
    assert texts[0] == texts[1]


def test_measurements():
    def shown(m):
        return re.sub("<.*>", "", repr(m))

    specs = [("x", "pass", {}), ("a\nb", "c\nd", dict(description="z")), ("a\nb", "", dict(sub_label="s", label="L")), ("x", "y = 1", dict(label="L"))]
    for a, b in [*zip(measurements(theirs), measurements(ours)),
                 *[[m.Measurement(3, times, m.TaskSpec(s, setup, **more)) for m in (theirs, ours)] for s, setup, more in specs for times in ([0.5], [0.5, 1.0, 0.7])]]:
        assert shown(a) == shown(b)
        for name in ("median", "mean", "iqr", "significant_figures", "has_warnings", "title", "as_row_name", "stmt", "num_threads", "label"):
            assert getattr(a, name) == pytest.approx(getattr(b, name)) if isinstance(getattr(a, name), float) else getattr(a, name) == getattr(b, name)
    merged = [m.Measurement.merge(measurements(m) * 2) for m in (theirs, ours)]
    assert [len(x.times) for x in merged[0]] == [len(x.times) for x in merged[1]]


def test_units():
    for t in (1e-9, 1.5e-6, 2e-4, 0.5, 3.0, 1e-3, 999e-6):
        assert theirs.select_unit(t) == ours.select_unit(t)
    for unit in ("ns", "us", "ms", "s"):
        assert theirs.unit_to_english(unit) == ours.unit_to_english(unit)
    for x, n in itertools.product((3.14159, 123.4, 0.00123, 9.99), (1, 2, 3)):
        assert ours.trim_sigfig(x, n) == pytest.approx(theirs.trim_sigfig(x, n), rel=1e-6)
    assert ours.ordered_unique("abcab") == list("abc")


def test_timer():
    calls, before = [], rt.get_num_threads()
    names = {"calls": calls, "threads": rt.get_num_threads}
    m = ours.Timer("\n    calls.append(threads())\n    x + 1", setup="x = torch.ones(2)", globals=names, num_threads=2, label="L").timeit(50)
    assert m.number_per_run == 50 and len(m.raw_times) == 1 and len(calls) == 52 and set(calls) == {2} and rt.get_num_threads() == before
    assert m.stmt == "calls.append(threads())\nx + 1" and m.title == "L" and m.median > 0
    clock = itertools.count()                            # a clock on which each block takes one second
    m = ours.Timer("pass", timer=lambda: next(clock)).blocked_autorange(min_run_time=0.5)
    assert m.raw_times == [1] and m.number_per_run == 1
    m = ours.Timer("pass", timer=lambda: next(clock)).adaptive_autorange(max_run_time=100)
    assert len(m.raw_times) == 4
    seen = []
    ours.Timer("x = 1").blocked_autorange(callback=lambda *given: seen.append(given), min_run_time=1e-4)
    assert seen and all(n >= 1 and t > 0 for n, t in seen)
    for m in (theirs, ours):
        for bad in (lambda: m.Timer(3), lambda: m.Timer("pass", language="fortran"), lambda: m.Timer("pass", global_setup="x"), lambda: m.Compare([3])):
            with pytest.raises(ValueError):
                bad()
        with pytest.raises(NotImplementedError):
            m.Timer("pass").repeat()
    with pytest.raises(NotImplementedError, match="valgrind"):
        ours.Timer("pass").collect_callgrind()
