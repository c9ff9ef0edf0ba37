"""Measure the CUDA back end beside PyTorch, in one run on one machine; writes JSON and Markdown.

    python -m benchmarks.cuda                      everything (some minutes on an H200)
    python -m benchmarks.cuda --only product memory --out results/h200
    RUSTORCH_CUDA_SOFTWARE=1 python -m benchmarks.cuda --tiny      that it runs; its times mean nothing

What it must show is said beside each row in the Markdown: products at 97 % of PyTorch's rate, memory-bound operators at 90 % of the copy's
bandwidth and not slower than PyTorch's, small calls at half of PyTorch's cost, training steps not slower than PyTorch's eager ones, at
two thirds of their time as graphs where they are small, and losses equal to bfloat16's noise.
"""
import argparse
import json
import platform
import sys
import time
from pathlib import Path

from . import _kernels, _training
from ._measure import libraries

CASES = {"product": (_kernels.product, _kernels.SIZES), "memory": (_kernels.memory, _kernels.SIZES), "dispatch": (_kernels.dispatch, _kernels.SIZES),
         "training": (_training.training, _training.SIZES)}


def machine(lib, libs):
    """What was measured on."""
    found = lib.cuda.get_device_properties(0)
    return {"device": found.name, "capability": f"{found.major}.{found.minor}", "memory_bytes": found.total_memory,
            "multiprocessors": found.multi_processor_count, "python": platform.python_version(), "host": platform.processor() or platform.machine(),
            "libraries": {name: str(getattr(module, "__version__", "")) for name, module in libs.items()}, "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}


def verdict(name, unit, found, copy):
    """(ratio to PyTorch, share of the copy's bandwidth), as text; faster is above 1."""
    ours, theirs = found.get("rustorch_py", {}), found.get("torch", {})
    ratio = share = ""
    if "median" in ours and "median" in theirs:
        ratio = f"{(theirs['median'] / ours['median'] if unit in ('ms', 'µs') else ours['median'] / theirs['median']):.2f}"
    if unit == "GB/s" and "median" in ours and copy:
        share = f"{100 * ours['median'] / copy:.0f} %"
    return ratio, share


def markdown(report):
    """The report as a table."""
    here, lines = report["machine"], []
    lines.append(f"# CUDA back end on {here['device']}\n")
    lines.append(f"{here['when']}; sm {here['capability']}, {here['multiprocessors']} multiprocessors; "
                 + ", ".join(f"{name} {version}" for name, version in here["libraries"].items()) + ". Medians; `python -m benchmarks.cuda`.\n")
    lines.append("| case | size | unit | rustorch_py | torch | times PyTorch | of the copy |\n|---|---|---|---:|---:|---:|---:|")
    copy = next((row["found"]["rustorch_py"].get("median") for row in report["rows"] if row["case"] == "copy" and "rustorch_py" in row["found"]), None)
    for row in report["rows"]:
        cells = []
        for name in ("rustorch_py", "torch"):
            t = row["found"].get(name, row["found"].get("all", {}) if name == "rustorch_py" else {})
            cells.append(f"{t['median']:.4g}" if "median" in t else f"not run: {t['error']}" if "error" in t else "")
        ratio, share = verdict(row["case"], row["unit"], row["found"], copy)
        lines.append(f"| {row['case']} | {row['size']} | {row['unit']} | {cells[0]} | {cells[1]} | {ratio} | {share} |")
    return "\n".join(lines) + "\n"


def main(arguments=None):
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda", description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=sorted(CASES), default=list(CASES), help="which groups")
    parser.add_argument("--tiny", action="store_true", help="sizes for the software device: shows that everything runs")
    parser.add_argument("--out", type=Path, default=None, help="files to write, without suffix; default: benchmarks/results/cuda-DEVICE")
    args = parser.parse_args(arguments)
    import rustorch_py
    if not rustorch_py.cuda.is_available():
        from rustorch_py import cuda
        print(f"no CUDA device: {cuda._why}", file=sys.stderr)
        return 1
    libs = libraries()
    report = {"machine": machine(rustorch_py, libs), "sizes": "tiny" if args.tiny else "full", "rows": []}
    for name in args.only:
        run, sizes = CASES[name]
        for case, size, unit, found in run(libs, sizes[report["sizes"]]):
            report["rows"].append({"case": case, "size": size, "unit": unit, "found": found})
            print(f"{case:<24} {size:<32} {unit:<8} " + "  ".join(
                f"{lib} {t['median']:.4g}" if "median" in t else f"{lib} not run: {t['error'][:80]}" for lib, t in found.items()), flush=True)
    out = args.out or Path(__file__).parent.parent / "results" / ("cuda-" + report["machine"]["device"].lower().replace(" ", "-"))
    from rustorch_py.utils.atomic import atomic_write
    out.parent.mkdir(parents=True, exist_ok=True)
    for suffix, text in ((".json", json.dumps(report, indent=1, ensure_ascii=False) + "\n"), (".md", markdown(report))):
        with atomic_write(out.with_suffix(suffix), "w", encoding="utf-8") as f:
            f.write(text)
    print(f"written: {out.with_suffix('.json')}, {out.with_suffix('.md')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
