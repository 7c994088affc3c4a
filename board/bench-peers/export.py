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
from pathlib import Path

import openvino
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

import network


class Batches(CalibrationDataReader):
    """Feeds onnxruntime's calibrator one normalised image per call."""

    def __init__(self, inputs):
        self.batches = iter([{"pixels": x} for x in inputs])

    def get_next(self):
        return next(self.batches, None)


def write_onnx(model, inputs, output):
    """fp32.onnx and int8.onnx."""
    torch.onnx.export(
        model,
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
    network.write_openvino_int8(model, inputs, output / "openvino-int8.xml")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="vit_base_patch16_224", help="a plain ViT or DeiT of timm")
    parser.add_argument("--size", type=int, default=224, help="input height and width")
    parser.add_argument("--images", type=int, default=16, help="calibration images to make")
    parser.add_argument("--output", type=Path, required=True, help="folder to write, created if missing")
    arguments = parser.parse_args()

    output = arguments.output
    model, inputs = network.write(arguments.architecture, arguments.size, arguments.images, output)
    write_onnx(model, inputs, output)
    write_openvino(inputs, output)


if __name__ == "__main__":
    main()
