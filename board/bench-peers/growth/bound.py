"""What a network's time goes to, from the profile that `mergevit bench --profile --json` prints. Needs the standard library only."""

import json
import subprocess
from pathlib import Path

LINEAR = ("embed", "qkv", "projection", "fc1", "fc2", "head")


def profile(program, pack, point, schedule, seconds):
    """The result record of `bench --profile` at `point`."""
    command = [program, "bench", "--model", pack, "--schedule", schedule, "--batch", point.batch]
    command += ["--threads", point.threads, "--seconds", seconds, "--no-check", "--profile", "--json", "--quiet"]
    run = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True)
    records = [json.loads(line) for line in run.stdout.splitlines()]
    return next(record for record in records if record["event"] == "bench")


def kind(name):
    """The group of an operation that `bench --profile` lists under `name`."""
    if name in LINEAR:
        return "linear layers"
    return "attention" if name == "attention" else "merging" if name.startswith("merge") else "the rest"


def summarise(record):
    """Shares of time by group, the speed of the linear layers and of the weights, and what has to stay in a cache."""
    rows = record["profile"]["kinds"]
    total = next(row for row in rows if row["name"] == "total")
    groups = {}
    for row in rows:
        if row is not total:
            sums = groups.setdefault(kind(row["name"]), {"time_us": 0.0, "macs": 0})
            sums["time_us"] += row["time_us"]
            sums["macs"] += row["macs"]
    peak = record["peak_gmac_per_second"]
    summary = {"weight_bytes": total["weight_bytes"], "arena_bytes": record["arena_bytes"], "groups": {}}
    for name, sums in sorted(groups.items(), key=lambda item: -item[1]["time_us"]):
        rate = sums["macs"] / sums["time_us"] / 1e3 if sums["time_us"] else 0.0
        of_peak = rate / peak if peak and sums["macs"] else None
        summary["groups"][name] = {"share": sums["time_us"] / total["time_us"], "of_peak": of_peak}
    # Every weight is read once for all images of a batch, by the linear layers almost alone.
    linear_us = groups["linear layers"]["time_us"]
    summary["weights_gb_per_second"] = total["weight_bytes"] / linear_us / 1e3
    return summary


def caches(folder=Path("/sys/devices/system/cpu/cpu0/cache")):
    """Bytes of the data caches that the first processor uses, by level."""
    sizes = {}
    for index in sorted(folder.glob("index*")):
        if (index / "type").read_text().strip() != "Instruction":
            size = (index / "size").read_text().strip()
            sizes[int((index / "level").read_text())] = int(size.rstrip("K")) * 1024
    return sizes


def cache(size, sizes):
    """The first level that holds `size` bytes, as a word."""
    return next((f"L{level}" for level, most in sorted(sizes.items()) if size <= most), "memory")


def describe(summary, sizes, bandwidth):
    """One line. `bandwidth`: bytes a second that as many threads read from memory."""
    shares = []
    for name, group in summary["groups"].items():
        of_peak = f" at {100 * group['of_peak']:.0f} % of peak" if group["of_peak"] else ""
        shares.append(f"{100 * group['share']:.0f} % {name}{of_peak}")
    weights, arena = summary["weight_bytes"], summary["arena_bytes"]
    of_bandwidth = 100e9 * summary["weights_gb_per_second"] / bandwidth
    return (
        f"{', '.join(shares)}; weights {weights / 1e6:.1f} MB ({cache(weights, sizes)}) at "
        f"{summary['weights_gb_per_second']:.1f} GB/s, {of_bandwidth:.0f} % of memory's; "
        f"activations {arena / 1e6:.1f} MB ({cache(arena, sizes)})"
    )
