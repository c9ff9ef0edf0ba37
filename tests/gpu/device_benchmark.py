"""The benchmark of the device runs on the software device, with tiny sizes, and writes what it found."""
import json

import rustorch_py as rt

assert rt.cuda.is_available()


def test_it_runs_and_writes(tmp_path):
    from benchmarks.cuda import __main__ as program
    assert program.main(["--tiny", "--only", "product", "dispatch", "--out", str(tmp_path / "found")]) == 0
    report = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    cases = {row["case"]: row["found"]["rustorch_py"] for row in report["rows"]}
    assert cases["bf16 matmul"]["median"] > 0 and cases["dispatch add"]["median"] > 0 and report["machine"]["multiprocessors"] > 0
    text = (tmp_path / "found.md").read_text(encoding="utf-8")
    assert "| bf16 matmul |" in text and "rustorch_py" in text
    assert program.verdict("x", "ms", {"rustorch_py": {"median": 2.0}, "torch": {"median": 3.0}}, None) == ("1.50", "")
    assert program.verdict("x", "GB/s", {"rustorch_py": {"median": 90.0}}, 100.0) == ("", "90 %")
