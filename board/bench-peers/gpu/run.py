#!/usr/bin/env python3
"""Tests mergevit on this machine's GPU, compares it with its reference, then times it beside PyTorch.

    tests    every kernel's test program and the engine's, on the device
    check    whole models against the scalar reference, bit for bit: every schedule and batch size
    profile  time of each operation beside what the device could reach
    time     batches of 1, 8 and 32 in turns with PyTorch, each engine's answer checked first
    sanitize only where it is asked for: the kernels' tests under compute-sanitizer

A failure of the first two ends the run. Writes report.md and report.json after each step; runs into the same
--output add up, so that steps or batch sizes can be run one by one.
"""

import argparse
import json
import os
import platform
import shlex
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import device
import programs
import report
import summary
from serving import Mergevit

BUNDLE = Path(__file__).resolve().parent.parent
STEPS = ("tests", "check", "profile", "time")
SANITIZERS = ("memcheck", "racecheck", "synccheck")
SCHEDULES = ("r0", "r8", "r13")
# Architecture of the pack where there is no PyTorch to make a checkpoint.
ARCHITECTURE = "vit_base_patch16_224"
DEVICE_RUNS = 50


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(STEPS), help="steps to run, separated by commas")
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--peers", default="", help="parts of the names of PyTorch's engines, separated by commas")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--per-turn", type=int, default=10, help="timed inferences a turn")
    parser.add_argument("--profile-seconds", type=float, default=1.0)
    parser.add_argument("--output", type=Path, default=BUNDLE / "results", help="folder for the report")
    parser.add_argument("--models", type=Path, default=BUNDLE / "models", help="folder for the model; made if missing")
    parser.add_argument("--dry-run", action="store_true", help="a tiny model on the processor, to test this program")
    arguments = parser.parse_args()
    arguments.only = arguments.only.split(",")
    if unknown := set(arguments.only) - {*STEPS, "sanitize"}:
        parser.error(f"no such step: {', '.join(sorted(unknown))}")
    arguments.batches = [int(batch) for batch in arguments.batches.split(",")]
    if arguments.dry_run:
        arguments.models = arguments.models / "tiny"
    return arguments


class Session:
    """One run: its settings, and the report as it grows."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.program = BUNDLE / "bin/mergevit"
        self.calibrate = BUNDLE / "bin/mergevit-calibrate"
        self.backend = "cpu" if arguments.dry_run else "cuda"
        self.pack = arguments.models / "model.mvit"
        self.found = {
            "build": json.loads((BUNDLE / "build.json").read_text()),
            "device": describe_device(arguments.dry_run),
            "versions": versions(),
            "commands": [],
            "clocks": {},
            "failures": {},
        }
        self.resume()
        command = f"./run {shlex.join(sys.argv[1:])}".strip()
        self.found["commands"].append(command)

    def resume(self):
        """Takes over what earlier runs of the same programs on the same device found."""
        path = self.arguments.output / "report.json"
        if path.exists():
            earlier = json.loads(path.read_text())
            if all(earlier.get(key) == self.found[key] for key in ("build", "device", "versions")):
                self.found = earlier

    def verdict(self):
        """What all runs together say. A failure stands until its step passes."""
        parts = {"tests": "tests", "checks": "check", "profiles": "profile", "timings": "time"}
        failures = self.found["failures"]
        missing = [step for part, step in parts.items() if not self.found.get(part) and step not in failures]
        told = [f"FAILED at step {step}: {why}" for step, why in failures.items()]
        told = told or ["every step that was run passed"]
        return "; ".join(told + [f"not run: {', '.join(missing)}"] * bool(missing))

    def save(self):
        self.found["verdict"] = self.verdict()
        latencies = {int(batch): part["latencies_us"] for batch, part in self.found.get("timings", {}).items()}
        self.found["targets"] = summary.targets(latencies)
        self.arguments.output.mkdir(parents=True, exist_ok=True)
        (self.arguments.output / "report.json").write_text(json.dumps(self.found, indent=1) + "\n")
        (self.arguments.output / "report.md").write_text(report.render(self.found))


def describe_device(dry_run):
    if dry_run:
        unknown = {"peak_macs_per_second": None, "peak_bytes_per_second": None, "compute_mode": 0, "integrated": 0}
        return {"name": "no device: a dry run whose figures mean nothing", **unknown}
    return device.probe()


def versions():
    found = {"system": platform.platform(), "python": platform.python_version()}
    for package in ("torch", "triton", "torchao"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def has_torch():
    try:
        import torch
    # On a Jetson it may be there without the libraries that it loads.
    except (ImportError, OSError):
        return False
    return bool(torch.__version__)


def make_model(session):
    """The pack, from a checkpoint that PyTorch reads too; from mergevit's own random weights without PyTorch."""
    if session.pack.exists():
        return
    folder = session.arguments.models
    folder.mkdir(parents=True, exist_ok=True)
    pack = [session.calibrate, "pack", "--output", session.pack, "--merge", "0,8,13"]
    if not has_torch():
        programs.output([*pack, "--random-weights", ARCHITECTURE])
        return
    import model

    model.write_checkpoint(shape(session), folder)
    source = ["--checkpoint", folder / "checkpoint", "--images", f"idx:{folder / 'images.idx3'}"]
    programs.output([*pack, *source, "--limit", model.CALIBRATION_IMAGES])


def shape(session):
    import vit

    return vit.TINY if session.arguments.dry_run else vit.VIT_B_16


def run_doctor(session):
    session.found["doctor"] = programs.output([session.program, "doctor"])
    print(session.found["doctor"], flush=True)


def run_tests(session):
    """Every test program, each opening the device for itself."""
    session.found["tests"], failures = [], []
    for program in sorted((BUNDLE / "tests").iterdir()):
        try:
            result = programs.run_test(program, None if session.arguments.dry_run else session.backend)
        except programs.Failed as failure:
            print(f"  {failure}", flush=True)
            failures.append(str(failure))
            continue
        print(f"  {result['name']}: {result['passed']} passed in {result['seconds']:.1f} s", flush=True)
        session.found["tests"].append(result)
    if failures:
        raise programs.Failed("\n".join(failures))


def run_sanitize(session):
    """Memory errors, races and barriers in every kernel, as compute-sanitizer of the CUDA toolkit sees them."""
    if not shutil.which("compute-sanitizer"):
        raise programs.Failed("compute-sanitizer is not in the PATH; it comes with the CUDA toolkit")
    session.found["sanitized"] = []
    for program in sorted((BUNDLE / "tests").glob("cuda*")):
        for tool in SANITIZERS:
            session.found["sanitized"].append(programs.sanitize(program, tool, session.backend))
            print(f"  {tool} finds nothing in {program.name}", flush=True)


def run_check(session, batches=None):
    """The large model and the embedded one, in batches of these sizes, or of all that were asked for."""
    make_model(session)
    batches = batches or session.arguments.batches
    others = [check for check in session.found.get("checks", []) if check["batch"] not in batches]
    # What was found before does not stand if this fails.
    session.found["checks"] = others
    jobs = [(session.pack, schedule, batch) for schedule in SCHEDULES for batch in batches]
    garments = BUNDLE / "garments.mvit"
    names = programs.schedules(session.program, garments)
    jobs += [(garments, schedule, batch) for schedule in names for batch in batches]
    workers = min(os.cpu_count(), device.processes_at_once(session.found["device"]))
    session.found["checks"] = others + programs.check(session.program, jobs, session.backend, workers)
    print(f"  {len(jobs)} combinations of model, schedule and batch equal the reference", flush=True)


def ensure_checked(session):
    """Nothing is timed whose answer was not compared with the reference, in this run or an earlier one."""
    checked = {check["batch"] for check in session.found.get("checks", [])}
    if missing := [batch for batch in session.arguments.batches if batch not in checked]:
        run_check(session, missing)


def run_profile(session):
    """Time of each operation, and what the device's peaks would allow."""
    make_model(session)
    ensure_checked(session)
    profiles = session.found.setdefault("profiles", {})
    for batch in session.arguments.batches:
        for schedule in SCHEDULES:
            seconds = session.arguments.profile_seconds
            told = programs.profile(session.program, session.pack, session.backend, schedule, batch, seconds)
            kinds = device.roofline(told["profile"]["operations"], session.found["device"])
            profiles[f"{schedule}, batch {batch}"] = {**told, "kinds": kinds}
            print(f"  {schedule}, batch {batch}: {told['latency_us_p50'] / 1e3:.3f} ms", flush=True)


def own_quality(session, fp32):
    """mergevit's logits of some images against PyTorch's FP32 without merging, by engine."""
    import model
    import peers

    folder = session.arguments.models
    expected = logits_on_processor(fp32, model.load_safetensors(folder / "pixels.safetensors")["pixels"])
    quality = {}
    for schedule in SCHEDULES:
        answer = folder / f"logits-{schedule}.safetensors"
        command = [session.calibrate, "forward", "--model", session.pack, "--schedule", schedule]
        command += ["--backend", session.backend, "--pixels", folder / "pixels.safetensors", "--output", answer]
        programs.output(command)
        name = f"mergevit {schedule}"
        try:
            quality[name] = peers.check(name, model.load_safetensors(answer)["logits"], expected)
        except peers.WrongAnswer as wrong:
            raise programs.Failed(f"{name}: {wrong}") from wrong
    return quality


def logits_on_processor(fp32, pixels):
    import torch

    with torch.inference_mode():
        return fp32(pixels)


def load_peers(session, fp32, batch):
    """PyTorch's engines that run here and answer rightly; their quality; why the others are left out."""
    import model
    import peers

    where = "cpu" if session.arguments.dry_run else "cuda"
    images = model.load_safetensors(session.arguments.models / "all-pixels.safetensors")["pixels"]
    expected = logits_on_processor(fp32, images[:batch])
    loaded, quality, left_out = [], {}, {}
    for name, construct in peers.peers(fp32, images[:batch], images[: model.CALIBRATION_IMAGES], where):
        if not any(part in name for part in session.arguments.peers.split(",")):
            continue
        print(f"  {name} ...", flush=True)
        try:
            peer = construct()
            quality[name] = peers.check(name, peer.logits, expected)
            loaded.append(peer)
        # A compiler may fail in any way; that engine then has no figure, and the report says why.
        except Exception as error:
            left_out[name] = f"{type(error).__name__}: {str(error).strip()[:300]}"
            print(f"  left out: {name}: {left_out[name]}", file=sys.stderr)
    return loaded, quality, left_out


def clocks(session):
    return None if session.arguments.dry_run else device.clocks(session.found["device"])


def time_batch(session, fp32, own, batch):
    """All engines in turns on one batch."""
    arguments = session.arguments
    loaded, quality, left_out = load_peers(session, fp32, batch) if fp32 else ([], {}, {"PyTorch": "not installed"})
    engines = list(loaded)
    try:
        for schedule in SCHEDULES:
            served = {"backend": session.backend, "batch": batch, "check": False}
            engine = Mergevit(session.program, session.pack, schedule, **served)
            engines.append(engine)
            line = shlex.join(engine.command).replace(f"{BUNDLE}/", "")
            if line not in session.found["commands"]:
                session.found["commands"].append(line)
        summary.measure(engines, 2, arguments.per_turn)
        before = clocks(session)
        latencies = summary.measure(engines, arguments.rounds, arguments.per_turn)
        session.found["clocks"].update({f"before batch {batch}": before, f"after batch {batch}": clocks(session)})
        alone = {peer.name: median(peer.device_time(DEVICE_RUNS)[summary.WAKING :]) for peer in loaded}
    finally:
        for engine in engines:
            engine.close()
    rows = summary.summarise(latencies, batch)
    for row in rows:
        print(f"  {row['engine']:30} {row['latency_us_median'] / 1e3:9.3f} ms  × {report.number(row['speedup'])}")
    session.found.setdefault("timings", {})[str(batch)] = {
        "settings": {"rounds": arguments.rounds, "per_turn": arguments.per_turn},
        "engines": rows,
        "device_us": alone,
        "quality": {**quality, **own},
        "left_out": left_out,
        "latencies_us": latencies,
    }


def run_time(session):
    """Every batch size in turn; the report holds each as soon as it is done."""
    make_model(session)
    ensure_checked(session)
    fp32, own = None, {}
    if has_torch():
        import model
        import peers

        peers.forbid_tf32()
        fp32 = model.network(shape(session), session.arguments.models)
        own = own_quality(session, fp32)
    for batch in session.arguments.batches:
        print(f"  batch {batch}", flush=True)
        time_batch(session, fp32, own, batch)
        session.save()


def main():
    arguments = parse_arguments()
    try:
        session = Session(arguments)
    except device.NoDevice as error:
        sys.exit(f"no GPU: {error}")
    print(f"{session.found['device']['name']}; {session.found['versions']}; {session.found['build']}")
    print(f"nvidia-smi: {clocks(session)}")
    # Every process compiles the kernels' PTX, unless the driver finds them compiled.
    os.environ.setdefault("CUDA_CACHE_PATH", str(arguments.models / "compiled"))
    steps = {"doctor": run_doctor, "tests": run_tests, "sanitize": run_sanitize}
    steps |= {"check": run_check, "profile": run_profile, "time": run_time}
    for name in steps:
        if name not in ("doctor", *arguments.only):
            continue
        print(f"==== {name}", flush=True)
        session.found["failures"].pop(name, None)
        try:
            steps[name](session)
        # The second is from an engine that ends while it is timed.
        except (programs.Failed, SystemExit) as failure:
            session.found["failures"][name] = " ".join(str(failure).split())[:600]
            session.save()
            sys.exit(f"FAILED at step {name}: {failure}\nreport: {arguments.output / 'report.md'}")
        session.save()
    print(f"{session.found['verdict']}\nreport: {arguments.output / 'report.md'}")
    sys.exit(1 if session.found["failures"] else 0)


if __name__ == "__main__":
    main()
