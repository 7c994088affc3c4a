#!/usr/bin/env python3
"""Fits a linear classifier to a folder of images and writes the checkpoint with it.

The classifier is logistic regression on the network's FP32 features of every other image of the folder; the rest is listed
in a file, for calibration and temperatures on images that no weight was fitted to. Both are in timm's layout and the form
of `list:`, as mergevit-calibrate reads them.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from compare import load_network
from features import features, fit
from images import open_set


def write_checkpoint(source, output, weights, bias, labels):
    """The checkpoint `source` with another classifier, in the folder `output`."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(source / "model.safetensors")
    tensors["head.weight"] = torch.from_numpy(np.float32(weights)).contiguous()
    tensors["head.bias"] = torch.from_numpy(np.float32(bias)).contiguous()
    config = json.loads((source / "config.json").read_text())
    config["num_classes"] = config["pretrained_cfg"]["num_classes"] = len(labels)
    config["pretrained_cfg"]["label_names"] = labels
    output.mkdir(parents=True, exist_ok=True)
    save_file(tensors, output / "model.safetensors")
    (output / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def write_list(path, files):
    """A list file of images, each labelled by its folder."""
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        rows.writerows([Path(name).resolve(), Path(name).parent.name] for name in files)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder with config.json and model.safetensors")
    parser.add_argument("--images", required=True, metavar="folder:DIR", help="one folder a class")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new checkpoint")
    parser.add_argument("--rest", type=Path, required=True, metavar="FILE.csv", help="lists the images not fitted to")
    parser.add_argument("--cache", type=Path, metavar="FILE.npz", help="keeps features")
    return parser.parse_args()


def main():
    options = arguments()
    network, config = load_network(options.checkpoint)
    images = open_set(options.images).files
    used, rest = images[::2], images[1::2]
    inputs = features(network, config, [path for path, _ in used], options.cache)
    classes = np.array([label for _, label in used])
    weights, bias, penalty = fit(inputs, classes)
    labels = sorted({path.parent.name for path, _ in images})
    write_checkpoint(options.checkpoint, options.output, weights, bias, labels)
    write_list(options.rest, [path for path, _ in rest])
    right = np.mean((inputs @ weights.T + bias).argmax(axis=1) == classes)
    print(f"{len(used)} images, {len(labels)} classes, C {penalty:.3g}; right on these {100 * right:.1f} %")


if __name__ == "__main__":
    main()
