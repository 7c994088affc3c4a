#!/usr/bin/env python3
"""Gathers what a machine with a GPU needs to test and time mergevit: programs, test programs, scripts.

The machine that runs it needs NVIDIA's driver, Python 3.9 or newer and, for the other engines, PyTorch; it needs
neither cargo nor this repository. The large model is made there, from a seed. Start the folder's `run`.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PROGRAMS = ["-p", "mergevit-board", "-p", "mergevit-calibrate", "--bins"]
# Tests that run on the device which MERGEVIT_TEST_DEVICE names.
NAMES = ["cuda", "cuda_frame", "cuda_head", "emulator"]
TESTS = ["-p", "mergevit-kernels", "-p", "mergevit-runtime", *(part for name in NAMES for part in ("--test", name))]
# What may travel to a lent machine.
MOST_BYTES = 64 << 20
# The C library of JetPack 6, Ubuntu 22.04.
JETPACK_GLIBC = (2, 35)
# Everything in this folder except what runs here.
SCRIPTS = [path for path in sorted(HERE.glob("*.py")) if path.name != "bundle.py" and not path.name.startswith("test_")]
RUN = """#!/usr/bin/env bash
exec "${PYTHON:-python3}" "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/scripts/run.py" "$@"
"""


def executables(command):
    """Runs a cargo build; returns the executables by the names of their targets."""
    command = ["cargo", *command, "--locked", "--message-format=json-render-diagnostics"]
    # Line tables make up most of a program's size.
    command += ["--config", 'profile.release.strip="symbols"']
    print("+", " ".join(command), flush=True)
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode:
        sys.exit(f"cargo failed with exit code {built.returncode}")
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    made = {}
    for message in messages:
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            name = message["target"]["name"]
            if name in made:
                sys.exit(f"two targets are called {name}")
            made[name] = Path(message["executable"])
    return made


def newest_glibc(path):
    """The newest version of glibc symbols that a program needs, e.g. (2, 34)."""
    versions = re.findall(rb"GLIBC_(\d+)\.(\d+)", path.read_bytes())
    return max((tuple(int(part) for part in version) for version in versions), default=(0, 0))


def check_paths(path):
    """Exits if a test opens files of this repository: it would fail on the other machine."""
    if re.search(re.escape(bytes(ROOT)) + rb"/(?!target/)", path.read_bytes()):
        sys.exit(f"{path.name} holds a path below {ROOT}; it must embed its data instead")


def said(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "target/gpu-bundle")
    parser.add_argument("--target", help="target triple for cargo [default: this machine's]")
    arguments = parser.parse_args()

    triple = ["--target", arguments.target] if arguments.target else []
    programs = executables(["build", "--release", *triple, *PROGRAMS])
    tests = executables(["test", "--no-run", "--release", *triple, *TESTS])

    output = arguments.output
    for folder in ("bin", "tests", "scripts"):
        shutil.rmtree(output / folder, ignore_errors=True)
        (output / folder).mkdir(parents=True)
    for name in ("mergevit", "mergevit-calibrate"):
        shutil.copy2(programs[name], output / "bin")
    for name, path in tests.items():
        check_paths(path)
        shutil.copy2(path, output / "tests" / name)
    for path in [*SCRIPTS, HERE.parent / "serving.py"]:
        shutil.copy2(path, output / "scripts")
    shutil.copy2(ROOT / "board/assets/garments.mvit", output)
    (output / "run").write_text(RUN)
    (output / "run").chmod(0o755)

    made = [path for folder in ("bin", "tests") for path in sorted((output / folder).iterdir())]
    glibc = max(newest_glibc(path) for path in made)
    target = arguments.target or re.search(r"host: (\S+)", said("rustc", "-vV")).group(1)
    if target.startswith("aarch64") and glibc > JETPACK_GLIBC:
        sys.exit(f"the programs need glibc {glibc[0]}.{glibc[1]}, which JetPack 6 lacks: build them on a Jetson")
    build = {
        "commit": said("git", "rev-parse", "HEAD"),
        "changed files": len(said("git", "status", "--porcelain", "--untracked-files=no").splitlines()),
        "compiler": said("rustc", "--version"),
        "target": target,
        "glibc": f"{glibc[0]}.{glibc[1]} or newer",
        "date": date.today().isoformat(),
    }
    (output / "build.json").write_text(json.dumps(build, indent=1) + "\n")
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        sys.exit(f"{output} has {size / 1e6:.0f} MB, at most {MOST_BYTES / 1e6:.0f} may travel")
    print(f"{output}: {size / 1e6:.0f} MB, {len(tests)} test programs ({', '.join(sorted(tests))}); {build}")


if __name__ == "__main__":
    main()
