"""The bundle's own programs: the tests on the device, and mergevit against its reference."""

import json
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

RESULT = re.compile(r"^test result: (\w+)\. (\d+) passed; (\d+) failed; (\d+) ignored", re.MULTILINE)


class Failed(Exception):
    """Something that must hold does not; nothing after it means anything."""


def output(command, **options):
    """A command's standard output; Failed with the end of what it said where it fails."""
    command = [str(part) for part in command]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, **options)
    if done.returncode:
        said = (done.stdout + done.stderr)[-4000:]
        raise Failed(f"{' '.join(command)}: exit code {done.returncode}\n{said}")
    return done.stdout


def run_test(program, device):
    """One test program's counts. The tests open `device` themselves and fail where it is not to be had."""
    environment = {**os.environ, "RUST_BACKTRACE": "1"}
    if device:
        environment["MERGEVIT_TEST_DEVICE"] = device
    start = time.monotonic()
    said = output([program], env=environment, cwd=program.parent)
    result = RESULT.search(said)
    if not result or result.group(1) != "ok" or result.group(2) == "0":
        raise Failed(f"{program.name}: no test passed\n{said[-4000:]}")
    passed, _, ignored = (int(count) for count in result.groups()[1:])
    return {"name": program.name, "passed": passed, "ignored": ignored, "seconds": time.monotonic() - start}


def bench(program, pack, backend, schedule, batch, *flags):
    """`mergevit bench --json`: its last line."""
    command = [program, "bench", "--model", pack, "--backend", backend, "--schedule", schedule, "--batch", batch]
    said = output([*command, *flags, "--json"])
    return json.loads(said.strip().splitlines()[-1])


def schedules(program, pack):
    """Names of a pack's schedules."""
    return [schedule["name"] for schedule in json.loads(output([program, "inspect", pack, "--json"]))["schedules"]]


def check(program, jobs, backend):
    """Compares logits and token sizes with the reference's, bit for bit, for every (pack, schedule, batch).

    The reference is slow and runs on one processor, so several go at a time.
    """

    def one(job):
        pack, schedule, batch = job
        found = bench(program, pack, backend, schedule, batch, "--iterations", "1")
        if found["backend"].split("/")[0] != backend:
            raise Failed(f"asked for backend {backend}, got {found['backend']}")
        if found["check"] != "equal":
            raise Failed(f"{pack.name} {schedule} batch {batch}: not compared with the reference: {found['check']}")
        return {"pack": pack.name, "schedule": schedule, "batch": batch, "check": found["check"]}

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count())) as pool:
        return list(pool.map(one, jobs))


def profile(program, pack, backend, schedule, batch, seconds):
    """`mergevit bench --profile`: latencies, and the time, work and traffic of each operation."""
    return bench(program, pack, backend, schedule, batch, "--no-check", "--profile", "--seconds", seconds)
