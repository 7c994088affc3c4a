#!/usr/bin/env python3
"""Writes checkpoints as users have them, with random weights, and what the library that wrote each computes.

For every case a folder: the checkpoint, `pixels.safetensors` (u8, N H W 3), `truth.safetensors` (`logits` or `embedding`, f32) and
`case.json` (where the checkpoint is, and the options it needs). `check.py` runs the program on them.
"""

import argparse
import re
import sys
import warnings
from pathlib import Path

from truth import every


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="a new folder")
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose name matches")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    chosen = [case for case in every.cases() if re.search(args.only, case.name)]
    for case in chosen:
        folder = args.output / case.name
        folder.mkdir(parents=True)
        case.write(folder).save(folder)
        print(folder)
    return 0 if chosen else 1


if __name__ == "__main__":
    sys.exit(main())
