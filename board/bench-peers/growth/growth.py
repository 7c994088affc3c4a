#!/usr/bin/env python3
"""How time and memory grow with tokens, batch, model, threads and cameras: without merging, with it, and with OpenVINO INT8.

Each part varies one of them. At each point the engines' answers are checked, then they are timed in turn; a profile says
what the time goes to. What merges takes the share of the patches, over all layers, that r = 13 takes of ViT-B/16's at 224
pixels. Results go to --json after each point, and what is there already is not measured again.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bound
import plots
import points

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

CAMERAS = "cameras"
TABLE = "{:>8} {:16} {:>10} {:>10} {:>10} {:>10} {:>11} {:>8}"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/mergevit")
    parser.add_argument("--calibrate", default="target/release/mergevit-calibrate")
    parser.add_argument("--models", type=Path, default=Path("target/growth"), help="folder of networks [default: %(default)s]")
    parser.add_argument("--model", default="B", choices=points.MODELS, help="of parts that do not vary it [default: %(default)s]")
    parser.add_argument("--only", help="comma-separated parts: tokens, batch, models, threads, cameras [default: all]")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=25, help="most rounds a point [default: %(default)s]")
    parser.add_argument("--seconds", type=float, default=10, help="wanted for the rounds of a point [default: %(default)s]")
    parser.add_argument("--no-openvino", dest="openvino", action="store_false", help="mergevit alone")
    parser.add_argument("--prepare", action="store_true", help="only make the networks, which takes most of the time")
    parser.add_argument("--json", type=Path, default=Path("target/growth.json"), help="[default: %(default)s]")
    parser.add_argument("--plots", type=Path, help="folder for a picture of each part that --json holds")
    return parser.parse_args()


def pin(allowed, threads):
    """Keeps this process and those it starts on `threads` processors, so that all engines have the same."""
    if len(allowed) < threads:
        sys.exit(f"{threads} threads, but only {len(allowed)} processors are allowed")
    os.sched_setaffinity(0, allowed[:threads])


def read_bandwidth(threads, size=256 << 20, repeats=5):
    """Bytes a second that `threads` threads read from memory, each a block of `size` bytes of its own; the best of some."""
    import numpy as np

    blocks = [np.ones(size // 8) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats):
            start = time.perf_counter()
            list(pool.map(np.max, blocks))
            best = max(best, threads * size / (time.perf_counter() - start))
    return best


def measure_part(part, options, record, save, allowed):
    """Adds the points that `record` lacks."""
    import models
    import turns

    for point in part.points:
        x = part.x(point)
        if any(measured["x"] == x for measured in record["points"]):
            continue
        pin(allowed, point.threads)
        folder = models.prepare(point, options.models, options.calibrate, options.openvino)
        if options.prepare:
            continue
        measured = {"x": x, "tokens": point.tokens, "model": point.model.letter, "batch": point.batch}
        measured |= {"threads": point.threads, **turns.run(point, folder, options)}
        measured["read_bytes_per_second"] = read_bandwidth(point.threads)
        for row in measured["rows"]:
            schedule = row["engine"].removeprefix("mergevit ")
            if schedule in point.schedules:
                profile = bound.profile(options.program, folder / "model.mvit", point, schedule, 2)
                row["bound"] = bound.summarise(profile)
        record["points"].append(measured)
        save()


def measure_cameras(part, options, record, save, allowed):
    """Adds the numbers of cameras that `record` lacks."""
    import cameras
    import models

    point = part.points[0]
    pin(allowed, options.threads)
    folder = models.prepare(point, options.models, options.calibrate, options.openvino)
    for count in () if options.prepare else cameras.COUNTS:
        if any(measured["x"] == count for measured in record["points"]):
            continue
        rows = []
        for schedule in point.schedules:
            pack = folder / "model.mvit"
            found = cameras.run(options.program, pack, schedule, count, options.threads, options.seconds)
            rows.append({"engine": f"mergevit {schedule}", "openvino_ratio": None, **found})
        record["points"].append({"x": count, "tokens": point.tokens, "model": point.model.letter, "rows": rows})
        save()


def print_part(name, record, sizes):
    print(f"\n{name}\n{TABLE.format(record['axis'], 'engine', 'median ms', 'min ms', 'images/s', 'MB', 'MB at most', '× peer')}")
    for point in record["points"]:
        for row in point["rows"]:
            least, ratio = row.get("latency_us_min"), row["openvino_ratio"]
            cells = [point["x"], row["engine"], f"{row['latency_us_median'] / 1e3:.2f}"]
            cells += [f"{least / 1e3:.2f}" if least else "-", f"{row['images_per_second']:.1f}"]
            cells += [f"{row[key] / 1e6:.1f}" for key in ("resident_bytes", "peak_bytes")]
            print(TABLE.format(*cells, f"{ratio:.2f}" if ratio else "-"))
    for point in record["points"]:
        for row in point["rows"]:
            if "bound" in row:
                text = bound.describe(row["bound"], sizes, point["read_bytes_per_second"])
                print(f"{point['x']:>8} {row['engine']}: {text}")


def main():
    options = parse_arguments()
    every = points.parts(options.model, options.threads)
    wanted = options.only.split(",") if options.only else [*every, CAMERAS]
    if unknown := set(wanted) - {*every, CAMERAS}:
        sys.exit(f"--only {','.join(sorted(unknown))}: expected some of {', '.join([*every, CAMERAS])}")
    settings = {"model": options.model, "threads": options.threads}
    results = json.loads(options.json.read_text()) if options.json.exists() else {"settings": settings, "parts": {}}
    if results["settings"] != settings:
        sys.exit(f"{options.json}: measured with {results['settings']}, expected {settings}")
    allowed = sorted(os.sched_getaffinity(0))

    def save():
        from bench import machine

        results["machine"] = machine() | {"caches": bound.caches()}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n")

    for name in wanted:
        part = every.get(name)
        record = results["parts"].setdefault(name, {"axis": part.axis if part else CAMERAS, "points": []})
        if part:
            measure_part(part, options, record, save, allowed)
        else:
            measure_cameras(every["threads"], options, record, save, allowed)
        if record["points"]:
            print_part(name, record, bound.caches())
    if options.plots:
        options.plots.mkdir(parents=True, exist_ok=True)
        for name, record in results["parts"].items():
            if record["points"]:
                plots.draw(record, options.plots / f"growth-{name}.svg")


if __name__ == "__main__":
    main()
