"""One run: its settings, the model that it times, and the report as it grows."""

import json
import platform
import shlex
import sys
import traceback
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import device
import limits
import programs
import report
import summary

BUNDLE = Path(__file__).resolve().parent.parent
SCHEDULES = ("r0", "r8", "r13")
# Architecture of the pack if there is no PyTorch to make a checkpoint.
ARCHITECTURE = "vit_base_patch16_224"
# Characters of a failure that are printed at once, and that the report keeps.
TOLD, KEPT = 2500, 20000


class Session:
    """One run: its settings, and the report as it grows."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.program = BUNDLE / "bin/mergevit"
        self.calibrate = BUNDLE / "bin/mergevit-calibrate"
        self.backend = "cpu" if arguments.dry_run else "cuda"
        self.pack = arguments.models / "model.mvit"
        self.tried = set()
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
        """Continues the report of earlier runs of the same programs on the same device."""
        path = self.arguments.output / "report.json"
        if path.exists():
            try:
                earlier = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                return
            if all(earlier.get(key) == self.found[key] for key in ("build", "device", "versions")):
                self.found = earlier

    def verdict(self):
        """The outcome of all runs together. A failure stands until its step passes."""
        parts = {"tests": "tests", "checks": "check", "profiles": "profile", "timings": "time", "variants": "variants"}
        parts.update({"counters": "counters", "sanitized": "sanitize"})
        failures, skipped = self.found["failures"], self.found.get("skipped", {})
        done = {*failures, *skipped}
        missing = [step for part, step in parts.items() if not self.found.get(part) and step not in done]
        told = [f"FAILED at step {step}: {' '.join(why.split())[:600]}" for step, why in failures.items()]
        told = told or ["every step that was run passed"]
        return "; ".join(told + [f"not run: {', '.join(missing)}"] * bool(missing))

    def save(self):
        self.found["verdict"] = self.verdict()
        latencies = {int(batch): part["latencies_us"] for batch, part in self.found.get("timings", {}).items()}
        self.found["targets"] = summary.targets(latencies)
        texts = {"report.json": json.dumps(self.found, indent=1), "report.md": report.render(self.found)}
        for name, text in texts.items():
            unfinished = self.arguments.output / f"{name}.new"
            unfinished.write_text(text.rstrip() + "\n", encoding="utf-8")
            unfinished.replace(self.arguments.output / name)

    def fail(self, step, failure):
        """Prints what went wrong, and keeps it for the report."""
        known = isinstance(failure, (programs.Failed, SystemExit, limits.OutOfTime))
        why = str(failure) if known else "".join(traceback.format_exception(None, failure, failure.__traceback__))
        print(f"FAILED at step {step}: {why[:TOLD]}", flush=True)
        self.found["failures"][step] = why[:KEPT]

    def checked(self, batch):
        """The large model's schedules that equal the reference."""
        equal = {(check["pack"], check["schedule"], check["batch"]) for check in self.found.get("checks", [])}
        return [schedule for schedule in SCHEDULES if (self.pack.name, schedule, batch) in equal]


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
    # On a Jetson it may be installed without the libraries that it loads.
    except (ImportError, OSError):
        return False
    return bool(torch.__version__)


def make_model(session):
    """Makes the pack from a checkpoint that PyTorch reads too, or without PyTorch from mergevit's random weights."""
    folder = session.arguments.models
    if session.pack.exists() and ((folder / "checkpoint/config.json").exists() or not has_torch()):
        return
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


def clocks(session):
    return None if session.arguments.dry_run else device.clocks(session.found["device"])
