"""Runs `mergevit-calibrate forward` on a case and compares."""

import dataclasses
import re
import subprocess
from pathlib import Path

from safetensors.torch import load_file

from . import case as cases

# Of the largest output: rounding of two float32 networks that sum in other orders.
TOLERANCE = 2e-5
SECONDS = 300


@dataclasses.dataclass
class Verdict:
    """right, refused, MISMATCH, or BROKEN where the program neither answers nor says why."""

    word: str
    detail: str = ""
    said: str = ""  # all of standard error

    @property
    def is_bad(self):
        return self.word in ("MISMATCH", "BROKEN")


def command(program, folder, truth, output):
    return [
        str(program),
        "forward",
        "--checkpoint",
        str(Path(folder) / truth.checkpoint),
        "--pixels",
        str(Path(folder) / "pixels.safetensors"),
        "--output",
        str(output),
        *truth.options,
    ]


def run(program, folder, truth):
    """The program's outputs by name, or the Verdict of its refusal."""
    output = Path(folder) / "output.safetensors"
    try:
        result = subprocess.run(
            command(program, folder, truth, output), capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Verdict("BROKEN", f"no answer in {SECONDS} s")
    return load_file(output) if result.returncode == 0 else answered(result.returncode, result.stderr, folder)


def answered(code, said, folder):
    """The Verdict on a program that gave no output."""
    reason = next((line for line in said.splitlines() if line.startswith("error: ")), "")
    if code not in (1, 2) or not reason or "panicked" in said:
        return Verdict("BROKEN", f"exit code {code}: {said.strip()[-300:]}")
    # Wrong usage: an option that asks for what is unsupported.
    usage = "usage: " if code == 2 else ""
    return Verdict("refused", usage + feature(reason, folder), said)


def feature(reason, folder):
    """The reason without the path of the case."""
    reason = " ".join(line.strip() for line in reason.removeprefix("error: ").splitlines())
    return re.sub(re.escape(str(folder)) + r"[^\s:]*:? ?", "", reason)


def compare(truth, outputs):
    if truth.kind not in outputs:
        return Verdict("MISMATCH", f"wrote {', '.join(sorted(outputs))}, expected {truth.kind}")
    found, want = outputs[truth.kind], truth.output
    if found.shape != want.shape:
        return Verdict("MISMATCH", f"shape {tuple(found.shape)}, expected {tuple(want.shape)}")
    error = ((found - want).abs().max() / want.abs().max()).item()
    # `not <=`: a result that is not a number is wrong too.
    if not error <= TOLERANCE:
        return Verdict("MISMATCH", f"{error:.1e} of the largest")
    return Verdict("right", f"{error:.1e}")


def check(program, folder, asks_for=None, truth=None):
    """Runs the case in a folder. `asks_for`: it must be refused with this word in the message."""
    truth = truth or cases.load(folder)
    found = run(program, folder, truth)
    if asks_for is not None:
        if not isinstance(found, Verdict):
            return Verdict("MISMATCH", f"answered, but nothing in it tells the {asks_for}")
        if found.word == "refused" and asks_for.lower() not in found.said.lower():
            return Verdict("MISMATCH", f"refused without the word {asks_for}: {found.detail}")
        return Verdict("right", f"asks: {found.detail}") if found.word == "refused" else found
    return found if isinstance(found, Verdict) else compare(truth, found)
