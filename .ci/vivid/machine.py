#!/usr/bin/env python3
"""A small machine with a V4L2 driver: Debian's kernel with `vivid`, which pretends to be a webcam, in QEMU.

The machine has nothing but busybox, v4l2-ctl, the program and the model that it is given, and `guest.sh`, which runs
them. What they print comes back through its second serial port, and is printed as one JSON object: by scenario, the
exit code, standard output and standard error. `board/tests/vivid.rs` runs it and judges.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import linux

HERE = Path(__file__).resolve().parent
# Enough for the kernel, the program and its frames.
MEMORY_MB = 512


def first_programs(options):
    """All that the machine has."""
    archive = linux.first_programs(options.linux, HERE / "guest.sh", [linux.CAMERA])
    for program in (options.program, shutil.which("v4l2-ctl")):
        archive.program(program)
    archive.file("data/model.mvit", options.model, 0o644)
    return archive


def boot(options):
    """Runs the machine until it turns itself off; returns what its scenarios printed."""
    folder = options.folder
    command = linux.emulator(options.linux, folder, first_programs(options), MEMORY_MB)
    results = folder / "results.txt"
    results.write_bytes(b"")
    command += ["-serial", f"file:{results}"]
    try:
        subprocess.run(command, check=True, timeout=options.seconds, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        for file in (results, folder / linux.CONSOLE):
            print(file.read_text(errors="replace")[-4000:], file=sys.stderr)
        sys.exit(f"the machine did not end within {options.seconds} s")
    return scenarios(results.read_text(errors="replace").replace("\r", ""))


def scenarios(text):
    """What `guest.sh` reports: by name, the exit code, standard output and standard error."""
    found = {}
    for part in re.split(r"^@@ ", text, flags=re.MULTILINE)[1:]:
        head, _, rest = part.partition("\n")
        name, code = head.rsplit(" ", 1)
        out, _, err = rest.partition("@@-\n")
        found[name] = {"code": int(code), "out": out, "err": err}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--linux", type=Path, required=True, help="where a kernel's package was unpacked")
    parser.add_argument("--program", type=Path, required=True, help="mergevit, with cameras")
    parser.add_argument("--model", type=Path, required=True, help="a small one: an emulated processor runs it")
    parser.add_argument("--folder", type=Path, required=True, help="for the machine's files")
    parser.add_argument("--seconds", type=int, default=420, help="in which the machine must end")
    print(json.dumps(boot(parser.parse_args())))


if __name__ == "__main__":
    main()
