#!/usr/bin/env python3
"""Tests mergevit on this machine's GPU, compares it with its reference, then times it beside PyTorch.

    tests     every kernel's test program and the engine's, on the device
    check     whole models against the scalar reference, bit for bit: every schedule and batch size
    profile   time of each operation alone and in its place, of a launch that does nothing, and of the network without the
              processor; beside them what the device could reach and what the estimate says
    time      batches of 1, 32 and 8 in turns with PyTorch, each engine's answer checked first
    small     the profile on 8 multiprocessors, the shape of an Orin Nano: with tiles as modelled and as measured
    variants  ways to wait, tiles and parts of the device in turns
    counters  hardware counters of a dozen launches, where ncu is installed
    sanitize  the kernels' tests under compute-sanitizer, where it is installed

In this order, which is that of their value, within --seconds: each step leaves time for those after it. A failed step does
not end the run, but nothing is timed whose check failed. PyTorch's eager engine comes first at every batch size, then the
compiled fp16, then all. Writes report.md and report.json as it goes. Runs with the same --output add up: what is in the
report is not measured again, so a run that was cut off goes on where it was, and steps can run one by one.
"""

import argparse
import faulthandler
import math
import os
import sys
import time
from pathlib import Path

import device
import limits
from session import BUNDLE, Session, clocks
from steps import (
    run_check,
    run_counters,
    run_doctor,
    run_profile,
    run_sanitize,
    run_small,
    run_tests,
    run_variants,
)
from timing import run_time

STEPS = {
    "doctor": run_doctor,
    "tests": run_tests,
    "check": run_check,
    "profile": run_profile,
    "time": run_time,
    "small": run_small,
    "variants": run_variants,
    "counters": run_counters,
    "sanitize": run_sanitize,
}
# Seconds that earlier steps leave to these.
KEPT = {"small": 90, "variants": 25, "counters": 30}
# Characters printed about all failed steps at the end.
TOLD_AT_END = 8000


def count(text):
    """A positive number."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def batch_sizes(text):
    """Batch sizes of at most 32, which is mergevit's limit and the number of images."""
    sizes = [count(part) for part in text.split(",")]
    if max(sizes) > 32:
        raise ValueError
    return sizes


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(list(STEPS)[1:]), help="steps to run, separated by commas")
    parser.add_argument("--batches", default="1,32,8", type=batch_sizes, help="batch sizes, the most important first")
    parser.add_argument("--peers", default="", help="parts of the names of PyTorch's engines, separated by commas")
    parser.add_argument("--rounds", type=count, default=20)
    parser.add_argument("--per-turn", type=count, default=10, help="timed inferences per turn")
    parser.add_argument("--tune", action="store_true", help="let mergevit measure which tile shapes are fastest")
    parser.add_argument("--profile-seconds", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=600, help="limit of the run; the rest is left out")
    parser.add_argument("--output", type=Path, default=BUNDLE / "results", help="folder for the report")
    parser.add_argument("--models", type=Path, default=BUNDLE / "models", help="folder for the model; made if missing")
    parser.add_argument("--dry-run", action="store_true", help="a tiny model on the processor, to test this program")
    arguments = parser.parse_args()
    arguments.only = arguments.only.split(",")
    if unknown := set(arguments.only) - set(STEPS):
        parser.error(f"no such step: {', '.join(sorted(unknown))}")
    if arguments.dry_run:
        arguments.models = arguments.models / "tiny"
    # Absolute, because some programs run in other folders.
    arguments.output, arguments.models = arguments.output.resolve(), arguments.models.resolve()
    try:
        for folder in (arguments.output, arguments.models):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "writable").touch()
            (folder / "writable").unlink()
    except OSError as error:
        parser.error(f"--output and --models must be writable: {error}")
    return arguments


def main():
    begin = time.monotonic()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")
    arguments = parse_arguments()
    try:
        session = Session(arguments)
    except device.NoDevice as error:
        sys.exit(f"no GPU: {error}")
    limits.start(arguments.seconds)
    if arguments.seconds < math.inf:
        # In case a call of the driver never returns.
        faulthandler.dump_traceback_later(arguments.seconds + 15, exit=True)
    make_executable()
    print(f"{session.found['device']['name']}; {session.found['versions']}; {session.found['build']}")
    print(f"nvidia-smi: {clocks(session)}")
    # Without this cache, the driver compiles the kernels' PTX in every process.
    os.environ.setdefault("CUDA_CACHE_PATH", str(arguments.models / "compiled"))
    # A stage finds what earlier stages compiled, even without a home directory.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(arguments.models / "inductor"))
    os.environ.setdefault("TRITON_CACHE_DIR", str(arguments.models / "triton"))
    os.environ.setdefault("TORCHINDUCTOR_FX_GRAPH_CACHE", "1")
    # The doctor opens the device, so that the driver compiles the kernels once, before several processes need them.
    wanted = [name for name in STEPS if name in ("doctor", *arguments.only)]
    for index, name in enumerate(wanted):
        kept = sum(KEPT.get(later, 0) for later in wanted[index + 1 :])
        print(f"==== {name} ({time.monotonic() - begin:.0f} s)", flush=True)
        session.found["failures"].pop(name, None)
        try:
            with limits.keeping(kept):
                if limits.left() < 1:
                    raise limits.OutOfTime("no time left")
                with limits.within(limits.left()):
                    STEPS[name](session)
        except (Exception, SystemExit, limits.OutOfTime) as failure:
            session.fail(name, failure)
        session.save()
    for name, why in session.found["failures"].items():
        print(f"\n==== FAILED at step {name}\n{why[: TOLD_AT_END // len(session.found['failures'])]}")
    print(f"\n{session.found['verdict'][:300]}\nreport: {arguments.output / 'report.md'}", flush=True)
    sys.exit(1 if session.found["failures"] else 0)


def make_executable():
    """Makes the programs executable again: copying them may have lost that."""
    for folder in ("bin", "tests"):
        for path in (BUNDLE / folder).iterdir():
            if not os.access(path, os.X_OK):
                path.chmod(0o755)


if __name__ == "__main__":
    main()
