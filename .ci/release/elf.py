#!/usr/bin/env python3
"""What a program asks of the machine that it runs on.

usage: .ci/release/elf.py PROGRAM...      fails where one needs a newer glibc than is allowed
"""

import re
import sys
from pathlib import Path

from dependencies import run

# JetPack 6 has 2.35; distributions of 2021 have 2.34.
NEWEST_GLIBC = (2, 34)


def is_elf(path):
    """Whether a file is a program or library."""
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def glibc(program):
    """The oldest glibc that has every function the program asks for, as a pair of numbers."""
    needed = re.findall(r"GLIBC_(\d+)\.(\d+)", run("readelf", "--version-info", "--wide", program))
    return max((int(major), int(minor)) for major, minor in needed)


def check_glibc(program):
    """Refuses a program that would not start under the oldest glibc that is supported."""
    if (needed := glibc(program)) > NEWEST_GLIBC:
        symbols = run("readelf", "--dyn-syms", "--wide", program)
        version = "GLIBC_{}.{}".format(*needed)
        names = sorted(set(re.findall(rf"\S+@{re.escape(version)}\b", symbols)))
        raise ValueError(f"{program} needs {', '.join(names) or version}, and at most GLIBC_{dotted(NEWEST_GLIBC)} is allowed")


def libraries(program):
    """The shared libraries that a program is linked with."""
    return re.findall(r"\(NEEDED\)\s+Shared library: \[(.*)\]", run("readelf", "--dynamic", "--wide", program))


def dotted(version):
    return ".".join(map(str, version))


if __name__ == "__main__":
    for argument in sys.argv[1:] or sys.exit(__doc__.strip()):
        path = Path(argument).resolve()
        try:
            check_glibc(path)
        except ValueError as error:
            sys.exit(str(error))
        print(f"{argument}: glibc {dotted(glibc(path))} or newer")
