#!/usr/bin/env python3
"""Writes some images of an IDX set, one after another, as a set of its own: images.idx3.gz and labels.idx1.gz.

For calibration and temperatures on images that no weight was fitted to, where a classifier was fitted to the first of a set.
"""

import argparse
import gzip
import struct
from pathlib import Path

from images import IDX_IMAGES, IDX_LABELS, Idx


def write(path, magic, array):
    header = struct.pack(f">I{array.ndim}I", magic, *array.shape)
    # Without a time stamp, so that the same images are the same bytes.
    with open(path, "wb") as file, gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
        packed.write(header + array.tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", metavar="IMAGES[.gz],LABELS[.gz]")
    parser.add_argument("first", type=int, help="number of the first image, from 0")
    parser.add_argument("count", type=int)
    parser.add_argument("output", type=Path, help="folder")
    options = parser.parse_args()
    whole = Idx(*options.set.split(","))
    part = slice(options.first, options.first + options.count)
    if len(whole.labels[part]) != options.count:
        parser.error(f"{options.set}: has {len(whole)} images")
    options.output.mkdir(parents=True, exist_ok=True)
    write(options.output / "images.idx3.gz", IDX_IMAGES, whole.images[part])
    write(options.output / "labels.idx1.gz", IDX_LABELS, whole.labels[part])


if __name__ == "__main__":
    main()
