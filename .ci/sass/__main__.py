"""Reads the machine code in kernels/compiled: holds it to the rules for matrix products, and its inner loops to the
table that is checked in beside this program (loops.txt). Fails where a loop costs more than the table says; one that
costs less is to be recorded.

usage: python3 .ci/sass [FOLDER] [--kernels PATTERN] [--write [--accept PATTERN]...]

  FOLDER            where nvdisasm is, for example a virtual environment with nvidia-cuda-nvdisasm; else in the PATH
  --kernels         print the loops of these kernels, and no more
  --write           record the table; refused where a loop became worse
  --accept PATTERN  for kernels of this name it may become worse: say why in the commit
"""

import argparse
import sys
from fnmatch import fnmatch
from pathlib import Path

import products
import table
from listing import Unreadable, disassemble, find_nvdisasm, parse

KERNELS = Path(__file__).resolve().parent.parent.parent / "kernels"
RECORDED = Path(__file__).resolve().with_name("loops.txt")


def arguments():
    parser = argparse.ArgumentParser(prog=".ci/sass")
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--kernels", metavar="PATTERN")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--accept", action="append", default=[], metavar="PATTERN")
    return parser.parse_args()


def check_loops(now, options):
    """Findings on the inner loops; with --write, records them instead."""
    recorded = table.read(RECORDED.read_text()) if RECORDED.exists() else {}
    lost = list(table.losses(recorded, now, options.accept))
    if lost or now == recorded:
        return lost
    if options.write:
        RECORDED.write_text(table.text(now))
        return []
    changed = sorted({name for name, number in now.keys() | recorded.keys()
                      if now.get((name, number)) != recorded.get((name, number))})
    return [f"{name}: no worse than loops.txt says, but different: record it with --write" for name in changed]


def main():
    options = arguments()
    nvdisasm = find_nvdisasm(options.folder)
    modules = sorted(KERNELS.glob("compiled/*.cubin"))
    kernels = [kernel for module in modules for kernel in parse(disassemble(nvdisasm, module))]
    kernels.sort(key=lambda kernel: kernel.name)
    now = table.rows(kernels, table.threads_of((KERNELS / "README.md").read_text()))
    if options.kernels:
        print(table.text({key: row for key, row in now.items() if fnmatch(key[0], options.kernels)}), end="")
        return 0
    print(*(products.summary(kernel) for kernel in kernels), "", sep="\n")
    print(table.text(now))
    findings = [*products.check(kernels), *check_loops(now, options)]
    print("\n".join(findings) if findings else f"{len(kernels)} kernels, as they should be")
    return 1 if findings else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Unreadable as error:
        sys.exit(str(error))
