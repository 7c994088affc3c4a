#!/usr/bin/env python3
"""Compares INT8 quantizers on the same weights, calibration images and test images.

Each quantizer calibrates on the same pixels and answers for the same test images. Printed: top-1; how often the answer
is that of FP32; and the signal-to-noise ratio of the logits, 10 log10 of the sum of squares of FP32's over that of the
differences. Beside each its standard error: binomial for shares, by resampling images for the ratio.

The checkpoint is a folder in timm's layout (config.json, model.safetensors). Data sets are named as for
mergevit-calibrate: folder:DIR with a folder for each class, or idx:IMAGES[.gz],LABELS[.gz].
"""

import argparse
import json
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np

from images import choose, open_set
from methods import METHODS, Bench, pytorch_fp32

RESAMPLES = 400


def load_network(checkpoint):
    """timm's network with the checkpoint's weights, and its pretrained_cfg."""
    import timm
    from safetensors.torch import load_file

    config = json.loads((checkpoint / "config.json").read_text())
    options = dict(config.get("model_args", {}))
    if "global_pool" in config:
        options["global_pool"] = config["global_pool"]
    network = timm.create_model(config["architecture"], num_classes=config["num_classes"], **options)
    weights = {name: tensor.float() for name, tensor in load_file(checkpoint / "model.safetensors").items()}
    network.load_state_dict(weights)
    return network.eval(), config["pretrained_cfg"]


def decibels(signal, noise):
    return 10 * np.log10(signal / noise) if noise > 0 else float("inf")


def measure(reference, logits, labels):
    """What a row of the table says; shares in per cent, each figure with its standard error."""
    count = len(labels)
    signal = (reference.astype(np.float64) ** 2).sum(axis=1)
    noise = ((reference.astype(np.float64) - logits) ** 2).sum(axis=1)
    draws = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
    resampled = [decibels(signal[draw].sum(), noise[draw].sum()) for draw in draws]

    def share(hits):
        p = float(np.mean(hits))
        return 100 * p, 100 * (p * (1 - p) / count) ** 0.5

    answers = logits.argmax(axis=1)
    exact = bool((noise == 0).all())
    return {
        "top1": share(answers == labels),
        "agreement": share(answers == reference.argmax(axis=1)),
        "snr_db": None if exact else (decibels(signal.sum(), noise.sum()), float(np.std(resampled))),
    }


def print_row(name, row):
    def figure(pair, digits):
        return "-" if pair is None else f"{pair[0]:.{digits}f} ± {pair[1]:.{digits}f}"

    cells = [figure(row["top1"], 1), figure(row["agreement"], 1), figure(row["snr_db"], 2)]
    print(f"{name:<30}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder with config.json and model.safetensors")
    parser.add_argument("--calibrate", required=True, metavar="SET", help="data set to calibrate on")
    parser.add_argument("--test", required=True, metavar="SET", help="labelled data set to measure on")
    parser.add_argument("--calibration-images", type=int, default=256)
    parser.add_argument("--test-images", type=int, default=300)
    parser.add_argument("--mergevit-calibrate", type=Path, default=Path("target/release/mergevit-calibrate"))
    parser.add_argument("--only", action="append", choices=METHODS, help="this quantizer; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="draws the images")
    parser.add_argument("--json", type=Path, help="also write the table here")
    return parser.parse_args()


def main():
    options = arguments()
    network, config = load_network(options.checkpoint)
    calibration, _ = choose(open_set(options.calibrate), options.calibration_images, options.seed, config)
    pixels, labels = choose(open_set(options.test), options.test_images, options.seed, config)
    rows, failed = {}, []
    with tempfile.TemporaryDirectory() as folder:
        program = options.mergevit_calibrate.resolve()
        bench = Bench(network, options.checkpoint, config, calibration, Path(folder), program)
        reference = pytorch_fp32(bench)(pixels)
        print(f"{len(calibration)} calibration images, {len(labels)} test images; value ± standard error")
        print(f"{'':<30}" + "".join(f"{title:>16}" for title in ("top-1 %", "agreement %", "SNR dB")))
        rows["pytorch fp32"] = measure(reference, reference, labels)
        print_row("pytorch fp32", rows["pytorch fp32"])
        for name in options.only or METHODS:
            try:
                rows[name] = measure(reference, METHODS[name](bench)(pixels), labels)
            except Exception:  # One quantizer that fails must not cost the others' figures.
                traceback.print_exc()
                failed.append(name)
                continue
            print_row(name, rows[name])
    if options.json:
        facts = {"test": options.test, "test_images": len(labels), "calibration_images": len(calibration), "rows": rows}
        options.json.write_text(json.dumps(facts, indent=2) + "\n")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
