#!/usr/bin/env python3
"""Compares `mergevit-calibrate head` with logistic regression on FP32 features, from few images a class.

Each draw takes so many images of each class. `head` makes a classifier of them on a pack's INT8 embeddings, `evaluate`
counts what it gets right of the test images; scikit-learn's logistic regression, its penalty chosen by cross-validation,
does the same on the FP32 features of the same images. Printed for each draw: top-1 of both and the difference; then the
means, with the standard error of the mean difference over draws.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from compare import load_network
from features import features, fit
from fit_head import write_list
from images import open_set


def draw(images, per_class, random):
    """`per_class` of each class, in the order of the set."""
    classes = np.array([label for _, label in images])
    chosen = [random.choice(np.flatnonzero(classes == label), per_class, replace=False) for label in np.unique(classes)]
    return [images[index] for index in np.sort(np.concatenate(chosen))]


def head(options, images, folder):
    """Top-1, a fraction, of the pack that `head` makes of these images."""
    listed, pack, report = (folder / name for name in ("images.csv", "head.mvit", "report.json"))
    write_list(listed, [path for path, _ in images])
    program = options.mergevit_calibrate.resolve()

    def call(*arguments):
        finished = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
        if finished.returncode:
            raise SystemExit(finished.stderr)

    call("head", "--model", options.backbone, "--images", f"list:{listed}", "--output", pack)
    call("evaluate", "--model", pack, "--images", options.test, "--json", report)
    return json.loads(report.read_text())["schedules"][0]["top1"]


def regression(train, test, known):
    """The same of logistic regression on FP32 features."""

    def of(images):
        return np.stack([known[str(path)] for path, _ in images]), np.array([label for _, label in images])

    inputs, labels = of(train)
    weights, bias, _ = fit(inputs, labels)
    inputs, labels = of(test)
    return float(np.mean((inputs @ weights.T + bias).argmax(axis=1) == labels))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder with config.json and model.safetensors")
    parser.add_argument("--backbone", type=Path, required=True, help="a pack of it without its classifier")
    parser.add_argument("--train", required=True, metavar="folder:DIR")
    parser.add_argument("--test", required=True, metavar="folder:DIR")
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--mergevit-calibrate", type=Path, default=Path("target/release/mergevit-calibrate"))
    parser.add_argument("--cache", type=Path, metavar="FILE.npz", help="keeps features")
    return parser.parse_args()


def main():
    options = arguments()
    network, config = load_network(options.checkpoint)
    train, test = open_set(options.train).files, open_set(options.test).files
    draws = [draw(train, options.per_class, np.random.default_rng(seed)) for seed in range(options.draws)]
    wanted = list(dict.fromkeys(str(path) for images in [*draws, test] for path, _ in images))
    known = dict(zip(wanted, features(network, config, wanted, options.cache)))
    rows = []
    print(f"{options.per_class} images a class, {len(test)} test images\n{'draw':<6}{'head %':>10}{'FP32 %':>10}{'difference':>12}")
    with tempfile.TemporaryDirectory() as folder:
        for index, images in enumerate(draws):
            rows.append((head(options, images, Path(folder)), regression(images, test, known)))
            ours, theirs = (100 * value for value in rows[-1])
            print(f"{index:<6}{ours:>10.1f}{theirs:>10.1f}{ours - theirs:>+12.1f}", flush=True)
    difference = np.array([100 * (ours - theirs) for ours, theirs in rows])
    ours, theirs = 100 * np.mean(rows, axis=0)
    error = np.std(difference, ddof=1) / len(rows) ** 0.5 if len(rows) > 1 else float("nan")
    print(f"{'mean':<6}{ours:>10.1f}{theirs:>10.1f}{difference.mean():>+12.1f} ± {error:.1f} over draws")


if __name__ == "__main__":
    main()
