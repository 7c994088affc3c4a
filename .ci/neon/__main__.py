"""Reads the compiler's assembly of mergevit-kernels for aarch64: what the inner loops of the dot product take of a
Cortex-A78, beside the table that is checked in beside this program (loops.txt). Fails where a loop spills registers or
costs more than the table says; one that costs less is to be recorded.

usage: python3 .ci/neon [--write] ASSEMBLY

  ASSEMBLY  what `cargo rustc -p mergevit-kernels --lib --release ... -- --emit asm -C symbol-mangling-version=v0` leaves
  --write   record the table; say in the commit why, where a loop became worse
"""

import argparse
import sys
from pathlib import Path

import loops
import table

RECORDED = Path(__file__).resolve().with_name("loops.txt")


def main():
    parser = argparse.ArgumentParser(prog=".ci/neon")
    parser.add_argument("assembly", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    now = table.rows(loops.find(options.assembly.read_text()))
    print(table.text(now))
    findings = list(table.spills(now))
    if options.write and not findings:
        RECORDED.write_text(table.text(now))
    findings += table.changes(table.read(RECORDED.read_text()), now)
    print("\n".join(findings) if findings else f"{len(now)} kinds of loops, as they should be")
    return 1 if findings else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except loops.Unreadable as error:
        sys.exit(str(error))
