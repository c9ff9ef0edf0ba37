"""The result: a JSON file, a Markdown table, a plot of the ratios."""
import json
import math
import os
import platform
import re
from pathlib import Path

from . import _peers

OURS, REFERENCE = _peers.OURS, _peers.REFERENCE


def machine(limits, threads):
    """What the numbers were measured on: no host name, no path."""
    import rustorch_py
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.system(), "architecture": platform.machine(),
            "simd": rustorch_py.config.simd_level(), "python": platform.python_version(), "threads": threads,
            "triad_gb_s": round(limits[0] / 1e9, 2), "fma_gflop_s": round(limits[1] / 1e9, 1)}


def cpu_name():
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        return re.search(r"^model name\s*:\s*(.*)$", text, re.M).group(1).strip()
    except (OSError, AttributeError):
        return platform.processor() or platform.machine()


def slug(name):
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)|\bcpu\b|\bprocessor\b", " ", name.lower())).strip("-")


def ratio(entry, other=REFERENCE):
    """How many times faster we are than another library in a row; None where it does not apply."""
    seconds = entry.get("seconds", {})
    return seconds[other] / seconds[OURS] if other in seconds and OURS in seconds else None


def mean(values):
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def summary(entries):
    """Geometric means, the rows that lose, those short of their aim, those that fail."""
    ratios = {e["name"]: ratio(e) for e in entries if ratio(e)}
    families = {}
    for e in entries:
        if ratio(e):
            families.setdefault(e["family"], []).append(ratio(e))
    beaten = {}
    for e in entries:
        others = {name: s / e["seconds"][OURS] for name, s in e.get("seconds", {}).items() if name not in (OURS, REFERENCE)}
        if others and min(others.values()) < 1:
            name = min(others, key=others.get)
            beaten[e["name"]] = [name, round(others[name], 3)]
    peers = {name: [r for r in (ratio(e, name) for e in entries) if r] for name in _peers.KNOWN if name not in (OURS, REFERENCE)}
    return {"rows": len(entries), "geometric_mean": rounded(mean(ratios.values())),
            "families": {name: rounded(mean(values)) for name, values in families.items()},
            "peers": {name: [rounded(mean(values)), len(values)] for name, values in peers.items() if values},
            "under_0.95": {n: rounded(r) for n, r in sorted(ratios.items(), key=lambda item: item[1]) if r < 0.95},
            "under_aim": {e["name"]: [rounded(ratio(e)), e["wants"]] for e in entries if ratio(e) and ratio(e) < e["wants"]},
            "another_library_is_faster": beaten, "failed": {e["name"]: e["error"] for e in entries if "error" in e}}


def rounded(value):
    return None if value is None else round(value, 3)


def merge(path, result):
    """Take over the rows of an older file that were not measured now, if they come from the same machine, versions and threads."""
    if not path.exists():
        return result
    old = json.loads(path.read_text(encoding="utf-8"))

    limits = ("triad_gb_s", "fma_gflop_s")

    def setting(r):
        return {k: v for k, v in r["machine"].items() if k not in limits}, r["versions"]
    if setting(old) != setting(result):
        return result
    result["machine"].update({k: max(old["machine"][k], result["machine"][k]) for k in limits})
    new = {e["name"]: e for e in result["rows"]}
    kept = {e["name"]: e for e in old["rows"]}
    result["rows"] = [new.get(name) or kept[name] for name in result["order"] if name in new or name in kept]
    return result


def write(folder, result, order):
    """Write <cpu>.json, .md and .png into a folder, under a name of its own where JAX, MLX or tinygrad took part; returns the paths."""
    from rustorch_py.utils.atomic import atomic_write
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    others = "-peers" if any(name in result["versions"] for name in _peers.OTHERS) else ""
    base = folder / f"{slug(result['machine']['cpu'])}-{result['machine']['threads']}-threads{others}"
    path = base.with_name(base.name + ".json")
    result = merge(path, {**result, "order": order})
    del result["order"]
    for e in result["rows"]:
        if "seconds" in e:
            e["of_triad"] = share(e, "nbytes", result["machine"]["triad_gb_s"])
            e["of_peak"] = share(e, "flops", e.get("peak_gflop_s", result["machine"]["fma_gflop_s"]))
    result["summary"] = summary(result["rows"])
    with atomic_write(path, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    paths = [path, base.with_name(base.name + ".md")]
    with atomic_write(paths[1], "w", encoding="utf-8") as f:
        f.write(markdown(result, base.name))
    picture = base.with_name(base.name + ".png")
    if plot(result, picture):
        paths.append(picture)
    return paths, result


def share(entry, work, limit):
    """The part of one of the machine's limits that our time reaches; None for a row that does not state its work."""
    return round(entry[work] / entry["seconds"][OURS] / 1e9 / limit, 3) if entry.get(work) else None


def cell(seconds):
    from ._run import pretty
    return pretty(seconds).strip().replace("us", "µs") if seconds else ""


def markdown(result, name):
    """The result as a page."""
    where, total = result["machine"], result["summary"]
    versions = ", ".join(f"{k} {v}" for k, v in result["versions"].items())
    peers = [n for n in _peers.KNOWN if n != OURS and any(n in e.get("seconds", {}) for e in result["rows"])]
    lines = [f"# {where['cpu']}, {where['threads']} threads", "",
             f"{versions}; Python {where['python']}, {where['system']} {where['architecture']}, instruction set {where['simd']}. Medians, libraries in turns in "
             "one process. *×* is PyTorch's time over ours: above 1 we are faster.", "",
             f"Limits, the best rates seen in the same runs: STREAM triad {where['triad_gb_s']} GB/s, float32 multiply-adds {where['fma_gflop_s']} GFLOP/s. A share "
             "of the triad above 1 means that the data stayed in a cache; a share of the peak is of the median rate of multiply-adds in turns with the row.", "",
             f"{total['rows']} rows, geometric mean **{total['geometric_mean']} ×**.", "", f"![ratios]({name}.png)", "",
             "| family | geometric mean |", "|---|---|", *(f"| {n} | {v} × |" for n, v in total["families"].items()), ""]
    if total["peers"]:
        lines += ["Times of other libraries over ours, geometric means: " + "; ".join(f"{n} {v} × ({k} rows)" for n, (v, k) in total["peers"].items()) + ".", ""]
    if total["under_0.95"]:
        lines += ["Rows under 0.95: " + "; ".join(f"{n} ({v})" for n, v in total["under_0.95"].items()) + ".", ""]
    if total["under_aim"]:
        lines += ["Short of their aim: " + "; ".join(f"{n} ({v}, aim {w})" for n, (v, w) in total["under_aim"].items()) + ".", ""]
    if total["another_library_is_faster"]:
        lines += ["Another library than PyTorch is faster, its time over ours: " + "; ".join(f"{n} ({o} {v})" for n, (o, v) in total["another_library_is_faster"].items()) + ".", ""]
    if total["failed"]:
        lines += ["Failed: " + "; ".join(f"{n} ({v})" for n, v in total["failed"].items()) + ".", ""]
    for family in dict.fromkeys(e["family"] for e in result["rows"]):
        lines += [f"## {family}", "", "| row | rustorch_py | " + " | ".join(peers) + " | × | of triad | of peak |", "|---|---" + "|---" * (len(peers) + 3) + "|"]
        for e in result["rows"]:
            if e["family"] != family or "seconds" not in e:
                continue
            s, r = e["seconds"], ratio(e)
            cells = [cell(s[OURS]), *(cell(s.get(n)) for n in peers), *("" if v is None else f"{v:.2f}" for v in (r, e["of_triad"], e["of_peak"]))]
            lines.append(f"| {e['name']} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def plot(result, path):
    """Draw the ratio of every row, by family; returns whether matplotlib is there to do it."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib.figure import Figure
    from rustorch_py.utils.atomic import atomic_write
    rows = [e for e in result["rows"] if ratio(e)]
    if not rows:
        return False
    names = list(dict.fromkeys(e["family"] for e in rows))
    figure = Figure(figsize=(10, 0.145 * len(rows) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    colours = matplotlib.colormaps["tab20"].colors
    for i, e in enumerate(reversed(rows)):
        r = ratio(e)
        axes.plot([1, r], [i, i], color=colours[names.index(e["family"]) % 20], linewidth=2)
        axes.plot(r, i, "o", color="tab:red" if r < 0.95 else colours[names.index(e["family"]) % 20], markersize=3)
    axes.set_yticks(range(len(rows)), [e["name"] for e in reversed(rows)], fontsize=5)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.axvline(result["summary"]["geometric_mean"], color="gray", linestyle="--", linewidth=0.8)
    axes.set_ylim(-1, len(rows))
    ticks = [v for v in (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100) if min(map(ratio, rows)) / 2 < v < max(map(ratio, rows)) * 2]
    axes.set_xticks(ticks, [f"{v:g}×" for v in ticks])
    axes.grid(axis="x", linewidth=0.3)
    axes.set_title(f"times faster than PyTorch {result['versions'].get('torch', '')}, {result['machine']['threads']} threads; dashed: geometric mean", fontsize=8)
    with atomic_write(path) as f:
        figure.savefig(f, dpi=110, format="png")
    return True
