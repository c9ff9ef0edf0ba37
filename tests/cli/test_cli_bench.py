"""`rustorch bench`: the table, what is measured, the files."""
import json

import numpy
import pytest

from rustorch_py.cli import _bench, _limits, main

table, peers, runner, report = _bench.suite()
OURS = {"rustorch_py": peers.Peer("rustorch_py")}


def test_the_table_is_whole():
    cases = table.load()
    assert len({case.name for case in cases}) == len(cases) > 200
    assert {case.family for case in cases} == set(table.FAMILIES)


def test_a_name_is_taken_once():
    case = table.load()[0]
    with pytest.raises(ValueError, match="two rows are named"):
        table.add(case)


def test_list_and_selection(capsys):
    assert main(["bench", "--list", "--family", "gemm", "--only", "^mm 16$"]) == 0
    assert capsys.readouterr().out.split() == ["gemm", "mm", "16"]


def test_rows_of_other_libraries(capsys):
    assert main(["bench", "--list", "--peers", "--family", "training", "data"]) == 0
    named = capsys.readouterr().out
    assert "MLP 784-128-10, batch 32, Adam" in named and "default_collate" not in named


@pytest.mark.parametrize("arguments, text", [(["--family", "gem"], "unknown family 'gem'"), (["--only", "("], "no regular expression"),
                                             (["--only", "no such row"], "no row has")])
def test_wrong_selection(arguments, text, capsys):
    assert main(["bench", *arguments]) == 2
    assert text in capsys.readouterr().err


def test_a_run_leaves_its_files(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(_limits, "triad_bytes_per_second", lambda threads: 1e10)
    monkeypatch.setattr(_limits, "fma_flops_per_second", lambda threads, **more: 1e11 if not more else 2e11)
    monkeypatch.setattr(peers, "load", lambda threads: OURS)
    assert main(["bench", "--quick", "--only", r"^mm 16$|^a \+ b", "--threads", "1", "--out", str(tmp_path)]) == 0
    result = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert [row["name"] for row in result["rows"]] == ["a + b, 8 floats", "mm 16"]
    assert all(0 < row["range"]["rustorch_py"][0] <= row["seconds"]["rustorch_py"] for row in result["rows"])
    few, product = result["rows"]
    assert "peak_gflop_s" not in few and few["of_peak"] is None and product["peak_gflop_s"] == 200     # measured beside the row
    assert product["of_peak"] == pytest.approx(2 * 16 ** 3 / product["seconds"]["rustorch_py"] / 2e11, abs=1e-3)
    assert result["machine"]["threads"] == 1 and "rustorch_py" in result["versions"]
    page = next(tmp_path.glob("*.md")).read_text()
    assert "| mm 16 |" in page and "10.0 GB/s" in page


def entry(name, ours, theirs, **more):
    return {"family": "gemm", "name": name, "wants": 0.95, "seconds": {"rustorch_py": ours, "torch": theirs}, "nbytes": 0, "flops": 0, **more}


def result(*rows):
    return {"machine": {"cpu": "A CPU", "cores": 2, "system": "Linux", "architecture": "x86_64", "simd": "avx2", "python": "3", "threads": 2,
                        "triad_gb_s": 10, "fma_gflop_s": 100}, "versions": {"torch": "2"}, "rows": list(rows)}


def test_older_rows_of_the_same_setting_are_kept(tmp_path):
    order = ["one", "two", "three"]
    report.write(tmp_path, result(entry("two", 1, 2), entry("three", 1, 8)), order)
    _, merged = report.write(tmp_path, result(entry("one", 1, 4), entry("two", 2, 1)), order)
    assert [(row["name"], report.ratio(row)) for row in merged["rows"]] == [("one", 4), ("two", 0.5), ("three", 8)]
    assert merged["summary"]["geometric_mean"] == pytest.approx(16 ** (1 / 3), abs=1e-3)
    assert merged["summary"]["under_0.95"] == {"two": 0.5}
    other = result(entry("one", 1, 1))
    other["versions"] = {"torch": "3"}
    assert [row["name"] for row in report.write(tmp_path, other, order)[1]["rows"]] == ["one"]


def test_a_share_of_the_peak_is_of_the_rows_own_peak(tmp_path):
    _, done = report.write(tmp_path, result(entry("old", 1, 1, flops=5e10), entry("new", 1, 1, flops=5e10, peak_gflop_s=62.5)), ["old", "new"])
    assert [row["of_peak"] for row in done["rows"]] == [0.5, 0.8]


def test_summary_names_faster_libraries_and_failures():
    total = report.summary([entry("a", 2, 4, ), {**entry("b", 2, 3), "seconds": {"rustorch_py": 2, "torch": 3, "numpy": 1}},
                            {"family": "gemm", "name": "c", "wants": 1, "error": "result: shape"}])
    assert total["another_library_is_faster"] == {"b": ["numpy", 0.5]} and total["failed"] == {"c": "result: shape"}


def test_a_wrong_result_is_told():
    case = table.Case("gemm", "row", None)
    a = numpy.ones(3)
    assert runner.difference(case, [a], [a]) is None
    assert "shape" in runner.difference(case, [a], [a[:2]])
    assert "1 results" in runner.difference(case, [a], [a, a])
    assert "difference" in runner.difference(case, a, a + 1)
    assert runner.difference(table.Case("gemm", "row", None, check=lambda r: r[0]), (a, a), (a, a + 1)) is None


def test_a_row_that_raises_has_failed():
    def make(peer):
        raise NotImplementedError("no such thing")
    row = runner.measure(table.Case("gemm", "row", make), OURS, 1, 1e-4)
    assert row["error"] == "rustorch_py: NotImplementedError: no such thing"


def test_limits_are_measured():
    assert _limits.triad_bytes_per_second(1, n=100_000, repeats=2) > 0
    assert _limits.fma_flops_per_second(1, steps=1000, repeats=2) > 0


def test_results_with_other_libraries_have_a_name_of_their_own(tmp_path):
    mixed = result({**entry("one", 1, 4), "seconds": {"rustorch_py": 1, "torch": 4, "jax": 2}})
    mixed["versions"]["jax"] = "1"
    paths, done = report.write(tmp_path, mixed, ["one"])
    assert paths[0].name == "a-2-threads-peers.json" and done["summary"]["peers"] == {"jax": [2.0, 1]}
    assert "jax 2.0 × (1 rows)" in paths[1].read_text(encoding="utf-8")
