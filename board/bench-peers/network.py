"""One Vision Transformer with random weights, its calibration images and what PyTorch answers to them."""

import json
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from engines import MEAN, STD, normalise


def smooth_images(count, size, seed):
    """Random images with the spectrum of photographs: noise at several scales, (N, H, W, 3) u8."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        total = np.zeros((size, size, 3), np.float32)
        for cells in (2, 5, 14, 56, size):
            coarse = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
            layers = [Image.fromarray(coarse[..., c]).resize((size, size), Image.Resampling.BICUBIC) for c in range(3)]
            total += np.stack([np.asarray(layer) for layer in layers], axis=-1) / (1 + cells**0.5)
        total = (total - total.min()) / (total.max() - total.min())
        images.append((total * 255).round().astype(np.uint8))
    return np.stack(images)


def write_checkpoint(network, name, size, images, output):
    """The checkpoint folder, the calibration images and the pixels file."""
    (output / "checkpoint").mkdir(exist_ok=True)
    (output / "images").mkdir(exist_ok=True)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, output / "checkpoint/model.safetensors")
    config = {
        "architecture": name,
        "num_classes": 1000,
        "num_features": network.num_features,
        "global_pool": "token",
        "pretrained_cfg": {
            "input_size": [3, size, size],
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "crop_mode": "center",
            "mean": MEAN,
            "std": STD,
            "num_classes": 1000,
        },
        "model_args": {"img_size": size},
    }
    (output / "checkpoint/config.json").write_text(json.dumps(config, indent=2) + "\n")
    for index, image in enumerate(images):
        Image.fromarray(image).save(output / f"images/{index:03}.png")
    save_file({"pixels": torch.from_numpy(images)}, output / "pixels.safetensors")


def write(architecture, size, count, output: Path):
    """Writes `checkpoint/`, `images/` and `pixels.safetensors` (see `export.py`) and PyTorch's `logits.npy`, (N, classes).

    Returns the network and its inputs, as `normalise` makes them.
    """
    output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    network = timm.create_model(architecture, num_classes=1000, img_size=size).eval()
    images = smooth_images(count, size, seed=0)
    inputs = normalise(images)
    write_checkpoint(network, architecture, size, images, output)
    with torch.inference_mode():
        np.save(output / "logits.npy", np.concatenate([network(torch.from_numpy(x)).numpy() for x in inputs]))
    return network, inputs


def write_openvino_int8(model, inputs, path):
    """Quantizes OpenVINO's `model` with NNCF's transformer preset and writes it to `path`, an .xml."""
    import nncf
    import openvino

    quantized = nncf.quantize(
        model,
        nncf.Dataset(inputs),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(inputs),
    )
    openvino.save_model(quantized, path)
