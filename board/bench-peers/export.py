#!/usr/bin/env python3
"""Writes one Vision Transformer in the form each engine reads, all with the same weights.

The weights are timm's random initialisation from a fixed seed: nothing is downloaded, and the time of a dense
network does not depend on its weights. The folder --output then holds

    checkpoint/        model.safetensors and config.json, which `mergevit-calibrate pack` imports
    images/            calibration images at model resolution, PNG
    pixels.safetensors the images as `pixels`, u8 (N, H, W, 3), for `mergevit-calibrate forward`
    fp32.onnx          opset 17
    int8.onnx          onnxruntime static quantization: QDQ, weights per channel
    openvino.xml       FP32 weights; the bf16 run uses the same file
    openvino-int8.xml  NNCF post-training quantization with its transformer preset
"""

import argparse
import json
from pathlib import Path

import numpy as np
import nncf
import openvino
import timm
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image
from safetensors.torch import save_file

from engines import MEAN, STD, normalise


class Batches(CalibrationDataReader):
    """Feeds onnxruntime's calibrator one normalised image per call."""

    def __init__(self, inputs):
        self.batches = iter([{"pixels": x} for x in inputs])

    def get_next(self):
        return next(self.batches, None)


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


def write_onnx(network, inputs, output):
    """fp32.onnx and int8.onnx."""
    torch.onnx.export(
        network,
        torch.from_numpy(inputs[0]),
        output / "fp32.onnx",
        input_names=["pixels"],
        output_names=["logits"],
        opset_version=17,
        dynamo=False,
    )
    prepared = output / "prepared.onnx"
    quant_pre_process(output / "fp32.onnx", prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        output / "int8.onnx",
        Batches(inputs),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gemm"],
    )
    prepared.unlink()


def write_openvino(inputs, output):
    """openvino.xml and openvino-int8.xml, with their .bin files."""
    model = openvino.convert_model(output / "fp32.onnx")
    openvino.save_model(model, output / "openvino.xml", compress_to_fp16=False)
    quantized = nncf.quantize(
        model,
        nncf.Dataset(inputs),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(inputs),
    )
    openvino.save_model(quantized, output / "openvino-int8.xml")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="vit_base_patch16_224", help="a plain ViT or DeiT of timm")
    parser.add_argument("--size", type=int, default=224, help="input height and width")
    parser.add_argument("--images", type=int, default=16, help="calibration images to make")
    parser.add_argument("--output", type=Path, required=True, help="folder to write, created if missing")
    arguments = parser.parse_args()

    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    network = timm.create_model(arguments.architecture, num_classes=1000, img_size=arguments.size).eval()
    images = smooth_images(arguments.images, arguments.size, seed=0)
    inputs = normalise(images)

    write_checkpoint(network, arguments.architecture, arguments.size, images, output)
    with torch.inference_mode():
        np.save(output / "logits.npy", np.concatenate([network(torch.from_numpy(x)).numpy() for x in inputs]))
    write_onnx(network, inputs, output)
    write_openvino(inputs, output)


if __name__ == "__main__":
    main()
