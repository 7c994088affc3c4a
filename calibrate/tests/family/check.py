#!/usr/bin/env python3
"""Imports every case of `generate.py` and compares its output with that of the library that wrote it.

Prints a line for each: right, refused (with the feature), MISMATCH, or BROKEN. Exits 1 on a mismatch or a broken case, or with
fewer right than `--at-least`.
"""

import argparse
import collections
import re
import sys
import tempfile
import warnings
from pathlib import Path

import torch

from truth import every, program

ROOT = Path(__file__).resolve().parents[3]


def examine(case, executable, keep):
    """The Verdict on a case, written to a folder of its own that is gone afterwards unless `keep` is where to leave it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(keep or temporary) / case.name
        folder.mkdir(parents=True)
        try:
            truth = case.write(folder)
            truth.save(folder)
        except Exception as error:  # whatever the library raises: the case was not made, and that counts
            return program.Verdict("BROKEN", f"not generated: {error!r}"[:300])
        return program.check(executable, folder, case.asks_for, truth)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=ROOT / "target/debug/mergevit-calibrate")
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose name matches")
    parser.add_argument("--at-least", type=int, default=0, metavar="N", help="fail with fewer right")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the files in a new folder")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    counts = collections.Counter()
    bad = []
    for case in every.cases():
        if not re.search(args.only, case.name):
            continue
        verdict = examine(case, args.program, args.keep)
        counts[verdict.word] += 1
        bad += [case.name] if verdict.is_bad else []
        print(f"{verdict.word:9s} {case.name:44s} {verdict.detail[:150]}", flush=True)
    print(f"\n{counts.total()} cases: " + ", ".join(f"{count} {word}" for word, count in counts.most_common()))
    if bad:
        print("wrong: " + ", ".join(bad))
    return 1 if bad or counts["right"] < args.at_least or not counts else 0


if __name__ == "__main__":
    sys.exit(main())
