#!/usr/bin/env python3
"""Times mergevit and its peers on one network, batch 1, interleaved in one run.

Every round gives each engine one turn: an untimed inference that wakes its threads and refills the
caches, then --per-turn timed ones. A slow moment of the machine therefore falls on all engines alike,
and the ratio is the median over rounds of ratios taken within a round.
The answers are checked before anything is timed.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

import engines
from serving import Mergevit

BASELINE = "onnxruntime int8"
# Largest difference of two FP32 engines, relative to the largest logit: summation order only.
FP32_TOLERANCE = 1e-3
# Smallest cosine between FP32 logits and those of an engine that rounds.
COSINE = {"bf16": 0.99, "int8": 0.90, "mergevit": 0.90}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="folder that export.py wrote")
    parser.add_argument("--pack", type=Path, help="pack made from its checkpoint [default: only peers run]")
    parser.add_argument("--program", default="target/release/mergevit")
    parser.add_argument("--calibrate", default="target/release/mergevit-calibrate", help="checks mergevit's logits")
    parser.add_argument("--backend", help="mergevit's backend [default: its own choice]")
    parser.add_argument("--schedules", default="r0,r8,r13")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--per-turn", type=int, default=1, help="timed inferences per turn")
    parser.add_argument("--only", help="comma-separated parts of engine names to run")
    parser.add_argument("--json", type=Path, help="write settings, machine and every latency here")
    return parser.parse_args()


def pin(threads):
    """Keeps this process and its children on `threads` processors, so that all engines have the same."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < threads:
        sys.exit(f"--threads {threads}, but only {len(allowed)} processors are allowed")
    os.sched_setaffinity(0, allowed[:threads])


def load_engines(arguments, pixels):
    """Every engine that --only names; a peer whose package is missing is left out with a message."""
    wanted = arguments.only.split(",") if arguments.only else [""]
    loaded = []
    for name, construct in engines.peers(arguments.models, arguments.threads, pixels):
        if not any(part in name for part in wanted):
            continue
        try:
            loaded.append(construct())
        except ImportError as error:
            print(f"left out: {name}: {error}", file=sys.stderr)
    if arguments.pack:
        for schedule in arguments.schedules.split(","):
            if any(part in f"mergevit {schedule}" for part in wanted):
                loaded.append(
                    Mergevit(arguments.program, arguments.pack, schedule, arguments.threads, arguments.backend)
                )
    return loaded


def mergevit_logits(arguments, schedule):
    """The first image's logits through `mergevit-calibrate forward`."""
    from safetensors.numpy import load_file

    output = arguments.models / f"mergevit-{schedule}.safetensors"
    command = [arguments.calibrate, "forward", "--model", arguments.pack, "--schedule", schedule]
    command += ["--pixels", arguments.models / "pixels.safetensors", "--output", output]
    if arguments.backend:
        command += ["--backend", arguments.backend]
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr)
    return load_file(output)["logits"][0]


def check_answers(loaded, expected, arguments):
    """Compares every engine with PyTorch's logits of the export; returns its cosine by engine."""
    cosines = {}
    for engine in loaded:
        logits = engine.logits
        if logits is None:
            logits = mergevit_logits(arguments, engine.name.split()[1])
        if logits.shape != expected.shape or not np.isfinite(logits).all():
            sys.exit(f"{engine.name}: logits of shape {logits.shape}, finite: {np.isfinite(logits).all()}")
        cosine = float(logits @ expected / (np.linalg.norm(logits) * np.linalg.norm(expected)))
        cosines[engine.name] = cosine
        worst = float(np.abs(logits - expected).max() / np.abs(expected).max())
        if "fp32" in engine.name and worst > FP32_TOLERANCE:
            sys.exit(f"{engine.name}: differs from the exported logits by {worst:.2e}, allowed {FP32_TOLERANCE:.0e}")
        for kind, least in COSINE.items():
            if kind in engine.name and cosine < least:
                sys.exit(f"{engine.name}: cosine {cosine:.4f} with FP32, expected at least {least}")
    return cosines


def measure(loaded, rounds, per_turn):
    """Latencies in microseconds, (rounds, per_turn) by engine."""
    latencies = {engine.name: [] for engine in loaded}
    for _ in range(rounds):
        for engine in loaded:
            latencies[engine.name].append(engine.time(1 + per_turn)[1:])
    return {name: np.array(turns) for name, turns in latencies.items()}


def summarise(latencies, cosines):
    """One dictionary per engine: median, min, p90 and the ratio to the baseline."""
    baseline = latencies.get(BASELINE)
    rows = []
    for name, values in latencies.items():
        row = {
            "engine": name,
            "latency_us_median": float(np.median(values)),
            "latency_us_min": float(values.min()),
            "latency_us_p90": float(np.quantile(values, 0.9)),
            "cosine_with_fp32": cosines[name],
            "speedup": None,
        }
        if baseline is not None:
            row["speedup"] = float(np.median(np.median(baseline, axis=1) / np.median(values, axis=1)))
        rows.append(row)
    return rows


def machine():
    """What the figures depend on: processor, its instruction sets, versions, load."""
    info = {"processor": platform.processor() or platform.machine(), "system": platform.platform()}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            info["processor"] = value.strip()
        if key.strip() == "flags":
            features = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8")
            info["features"] = [name for name in features if name in value.split()]
    info["packages"] = {}
    for name in ("torch", "timm", "onnxruntime", "openvino", "nncf"):
        try:
            info["packages"][name] = version(name)
        except PackageNotFoundError:
            continue
    return info


def print_table(rows):
    print(f"{'engine':20} {'median ms':>10} {'min ms':>9} {'p90 ms':>9} {'× ' + BASELINE:>18} {'cosine':>8}")
    for row in rows:
        speedup = f"{row['speedup']:.2f}" if row["speedup"] else "-"
        median, least, p90 = (row[f"latency_us_{key}"] / 1e3 for key in ("median", "min", "p90"))
        cosine = row["cosine_with_fp32"]
        print(f"{row['engine']:20} {median:10.2f} {least:9.2f} {p90:9.2f} {speedup:>18} {cosine:8.4f}")


def main():
    arguments = parse_arguments()
    pin(arguments.threads)
    from safetensors.numpy import load_file

    images = load_file(arguments.models / "pixels.safetensors")["pixels"]
    pixels = engines.normalise(images[:1])[0]
    expected = np.load(arguments.models / "logits.npy")[0]

    loaded = load_engines(arguments, pixels)
    if not loaded:
        sys.exit("no engine to time")
    try:
        cosines = check_answers(loaded, expected, arguments)
        measure(loaded, 3, 1)
        load_before = os.getloadavg()[0]
        latencies = measure(loaded, arguments.rounds, arguments.per_turn)
    finally:
        for engine in loaded:
            engine.close()

    rows = summarise(latencies, cosines)
    settings = {"threads": arguments.threads, "rounds": arguments.rounds, "per_turn": arguments.per_turn, "batch": 1}
    print_table(rows)
    print(f"{settings}, load average before {load_before:.2f}; {machine()}")
    if arguments.json:
        record = {"settings": settings, "load_before": load_before, "machine": machine(), "engines": rows}
        record["latencies_us"] = {name: values.tolist() for name, values in latencies.items()}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
