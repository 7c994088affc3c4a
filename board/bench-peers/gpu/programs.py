"""The bundle's own programs: the tests on the device, and mergevit against its reference."""

import csv
import json
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import limits

# Longest time for a program, and for a test program, which may hang.
LIMIT_SECONDS = 300
TEST_SECONDS = 120
# Most failed tests of a program to run again.
MOST_ALONE = 6
FAILED_TEST = re.compile(r"^test (\S+) \.\.\. FAILED", re.MULTILINE)
RESULT = re.compile(r"^test result: (\w+)\. (\d+) passed; (\d+) failed; (\d+) ignored", re.MULTILINE)


class Failed(Exception):
    """A requirement does not hold; whatever depends on it means nothing."""


def run(command, seconds=LIMIT_SECONDS, **options):
    """Runs a command; returns exit code, stdout and stderr. Raises Failed after `seconds`: a kernel may hang."""
    command = [str(part) for part in command]
    seconds = max(min(seconds, limits.left()), 0.1)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8", "errors": "replace"}
    try:
        done = subprocess.run(command, **pipes, check=False, timeout=seconds, **options)
    except subprocess.TimeoutExpired as late:
        # Bytes even where an encoding is set.
        said = (late.stdout or b"")[-2000:].decode(errors="replace")
        raise Failed(f"{' '.join(command)}: no end after {seconds:.1f} s\n{said}".strip()) from late
    except OSError as error:
        raise Failed(f"{' '.join(command)}: {error}") from error
    return done.returncode, done.stdout, done.stderr


def output(command, heard=None, **options):
    """A command's standard output. Raises Failed with the end of its output if it fails. Adds standard error to `heard`."""
    code, said, complaints = run(command, **options)
    if code:
        raise Failed(f"{' '.join(map(str, command))}: exit code {code}\n{(said + complaints)[-4000:]}")
    if heard is not None:
        heard.append(complaints)
    return said


def alone(program, names, environment):
    """Runs each of these tests in a process of its own; yields a report on each that fails there too.

    A fault ends the context that all tests of a process share, so one bad kernel fails many tests. With blocking
    launches the error names the kernel.
    """
    environment = {**environment, "CUDA_LAUNCH_BLOCKING": "1"}
    for name in names:
        try:
            code, said, complaints = run([program, "--exact", name], 60, env=environment, cwd=program.parent)
        except Failed as hang:
            yield f"{name} fails by itself:\n{hang}"
            return
        if code:
            yield f"{name} fails by itself:\n{(said + complaints)[-1500:]}"


def run_test(program, device):
    """Counts of one test program. The tests open `device` themselves, and fail if they cannot."""
    environment = {**os.environ, "RUST_BACKTRACE": "1"}
    if device:
        environment["MERGEVIT_TEST_DEVICE"] = device
    start = time.monotonic()
    code, said, complaints = run([program], TEST_SECONDS, env=environment, cwd=program.parent)
    if code:
        names = FAILED_TEST.findall(said)
        told = list(alone(program, names[:MOST_ALONE], environment)) or [(said + complaints)[-4000:]]
        raise Failed("\n".join([f"{program.name}: exit code {code}, {len(names)} tests fail", *told]))
    result = RESULT.search(said)
    if not result or result.group(1) != "ok" or result.group(2) == "0":
        raise Failed(f"{program.name}: no test passed\n{said[-4000:]}")
    passed, _, ignored = (int(count) for count in result.groups()[1:])
    return {"name": program.name, "passed": passed, "ignored": ignored, "seconds": time.monotonic() - start}


def bench(program, pack, backend, schedule, batch, *flags, **options):
    """The JSON that `mergevit bench --json` prints."""
    command = [program, "bench", "--model", pack, "--backend", backend, "--schedule", schedule, "--batch", batch]
    said = output([*command, *flags, "--json"], **options)
    try:
        return json.loads(said.strip().splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise Failed(f"{' '.join(map(str, command))} printed no JSON: {said[-1000:]}") from error


def schedules(program, pack):
    """Names of a pack's schedules."""
    return [schedule["name"] for schedule in json.loads(output([program, "inspect", pack, "--json"]))["schedules"]]


def check(program, jobs, backend, workers):
    """Compares logits and token sizes with the reference's, bit for bit, for every (pack, schedule, batch).

    Returns the combinations that are equal and, as texts, what is wrong with the others. The reference is slow and
    uses one processor, so `workers` of them run at a time.
    """

    def one(job):
        pack, schedule, batch = job
        found = bench(program, pack, backend, schedule, batch, "--iterations", "1")
        if found["backend"].split("/")[0] != backend:
            raise Failed(f"asked for backend {backend}, got {found['backend']}")
        if found["check"] != "equal":
            raise Failed(f"{pack.name} {schedule} batch {batch}: not compared with the reference: {found['check']}")
        return {"pack": pack.name, "schedule": schedule, "batch": batch, "check": found["check"]}

    def attempt(job):
        try:
            return one(job)
        except Failed as failure:
            return str(failure)

    with ThreadPoolExecutor(max_workers=workers) as pool:
        results = list(pool.map(attempt, jobs))
    return [found for found in results if isinstance(found, dict)], [why for why in results if isinstance(why, str)]


def sanitize(program, tool, device):
    """Runs a test program under a tool of compute-sanitizer, e.g. `racecheck`; returns how many tests passed."""
    environment = {**os.environ, "MERGEVIT_TEST_DEVICE": device}
    command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "1", program, "--test-threads", "1"]
    said = output(command, seconds=LIMIT_SECONDS, env=environment, cwd=program.parent)
    result = RESULT.search(said)
    if not result:
        raise Failed(f"{tool} {program.name}: no test ran\n{said[-2000:]}")
    return {"name": program.name, "tool": tool, "passed": int(result.group(2))}


# What tells most of a launch, by the names of Nsight Compute.
COUNTERS = (
    "gpu__time_duration.sum",
    "sm__throughput.avg.pct_of_peak_sustained_elapsed",
    "sm__inst_executed_pipe_tensor.avg.pct_of_peak_sustained_active",
    "l1tex__data_pipe_lsu_wavefronts_mem_shared.avg.pct_of_peak_sustained_elapsed",
    "l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum",
    "dram__throughput.avg.pct_of_peak_sustained_elapsed",
    "sm__warps_active.avg.pct_of_peak_sustained_active",
)


def counters(program, pack, backend, schedule, batch, launches):
    """Nsight Compute's counters of a run's first launches: rows of a kernel's name and values by metric."""
    command = ["ncu", "--graph-profiling", "node", "--csv", "--metrics", ",".join(COUNTERS)]
    # Past what opening the device launches.
    command += ["--launch-skip", "1", "--launch-count", launches, program, "bench", "--model", pack]
    command += ["--backend", backend, "--schedule", schedule, "--batch", batch, "--no-check", "--iterations", "1"]
    return read_counters(output(command, seconds=LIMIT_SECONDS))


def read_counters(said):
    """The rows in what `ncu --csv` prints: a line a launch and metric, after lines of its own and of the program."""
    lines = said.splitlines()
    starts = [index for index, line in enumerate(lines) if line.startswith('"ID"')]
    if not starts:
        raise Failed(f"ncu printed no table: {said[-1000:]}")
    rows = {}
    for line in csv.DictReader(lines[starts[0] :]):
        if line.get("Metric Name") and line.get("Metric Value"):
            row = rows.setdefault(line["ID"], {"kernel": line["Kernel Name"].split("(")[0]})
            row[line["Metric Name"]] = f"{line['Metric Value']} {line.get('Metric Unit') or ''}".strip()
    if not rows:
        raise Failed(f"ncu counted nothing: {said[-1000:]}")
    return list(rows.values())


# What `--tune` logs of each way to spread a linear layer over the device.
TILING = re.compile(r"tiling of (.+): (\w+), K in (\d+), (\d+) blocks for (\d+): ([\d.]+) us")
TILING_LOG = "warn,mergevit_runtime::engine::device::tune=debug"


def profile(program, pack, backend, schedule, batch, seconds, *flags):
    """`mergevit bench --profile`: latencies, and the time, work and traffic of each operation; all tilings that it timed."""
    flags = ["--no-check", "--profile", "--seconds", seconds, *flags]
    heard, environment = [], {**os.environ, "RUST_LOG": TILING_LOG}
    told = bench(program, pack, backend, schedule, batch, *flags, heard=heard, env=environment)
    names = ("layer", "tile", "parts", "blocks", "items", "time_us")
    rows = [dict(zip(names, row, strict=True)) for row in TILING.findall("".join(heard))]
    for row in rows:
        row.update({name: int(row[name]) for name in ("parts", "blocks", "items")}, time_us=float(row["time_us"]))
    return {**told, "tilings": rows} if rows else told
