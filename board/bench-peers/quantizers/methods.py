"""The quantizers under comparison, each a function from a network and calibration images to one from images to logits.

All of them get the same weights and the same pixels. `Bench` says what they find; logits are (N, classes) f32.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

from images import normalise


@dataclass
class Bench:
    """What every quantizer starts from."""

    network: object  # timm's, in evaluation mode
    checkpoint: Path
    config: dict  # the checkpoint's pretrained_cfg
    calibration: np.ndarray  # (N, H, W, 3) u8
    folder: Path  # for intermediate files
    program: Path  # mergevit-calibrate

    def inputs(self, pixels):
        """Normalised images one at a time, (1, 3, H, W) f32."""
        return (normalise(image[None], self.config) for image in pixels)

    def onnx(self):
        """The network exported once, opset 17."""
        import torch

        path = self.folder / "fp32.onnx"
        if not path.exists():
            example = torch.from_numpy(next(self.inputs(self.calibration)))
            names = {"input_names": ["pixels"], "output_names": ["logits"]}
            torch.onnx.export(self.network, example, path, opset_version=17, dynamo=False, **names)
        return path


def each(bench, run):
    """From a function of one normalised image to one of (N, H, W, 3) u8."""
    return lambda pixels: np.concatenate([np.asarray(run(x), np.float32).reshape(1, -1) for x in bench.inputs(pixels)])


def torch_logits(bench, network):
    import torch

    def run(x):
        with torch.inference_mode():
            return network(torch.from_numpy(x)).numpy()

    return each(bench, run)


def pytorch_fp32(bench):
    """The reference: timm's network as it is."""
    return torch_logits(bench, bench.network)


def mergevit(bench):
    """`mergevit-calibrate pack` with its defaults, without merging."""
    images = bench.folder / "calibration"
    images.mkdir(exist_ok=True)
    for index, image in enumerate(bench.calibration):
        Image.fromarray(image).save(images / f"{index:05}.png")
    pack, pixels_file, logits = (bench.folder / name for name in ("model.mvit", "pixels.safetensors", "logits.safetensors"))

    def call(*arguments):
        finished = subprocess.run([bench.program, *map(str, arguments)], capture_output=True, text=True)
        if finished.returncode:
            raise RuntimeError(finished.stderr)

    # The images are at the input's size already, so nothing is cut off again.
    count = len(bench.calibration)
    call("pack", "--checkpoint", bench.checkpoint, "--images", f"folder:{images}", "--limit", count, "--crop", 1, "--output", pack)

    def run(pixels):
        save_file({"pixels": np.ascontiguousarray(pixels)}, pixels_file)
        call("forward", "--model", pack, "--pixels", pixels_file, "--output", logits)
        return load_file(logits)["logits"]

    return run


def nncf(bench, **options):
    """NNCF's post-training quantization, run by OpenVINO."""
    import nncf as quantizer
    import openvino

    model = openvino.convert_model(bench.onnx())
    data = quantizer.Dataset(list(bench.inputs(bench.calibration)))
    quantized = quantizer.quantize(model, data, subset_size=len(bench.calibration), **options)
    request = openvino.Core().compile_model(quantized, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    return each(bench, lambda x: request.infer({0: x})[0])


def nncf_default(bench):
    return nncf(bench)


def nncf_transformer(bench):
    """Its preset for transformers: SmoothQuant, asymmetric activations."""
    from nncf import ModelType, QuantizationPreset

    return nncf(bench, model_type=ModelType.TRANSFORMER, preset=QuantizationPreset.MIXED)


def onnxruntime(bench, method, **options):
    """onnxruntime's static quantization in QDQ form, weights per output channel."""
    import onnxruntime as runtime
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.batches = ({"pixels": x} for x in bench.inputs(bench.calibration))

        def get_next(self):
            return next(self.batches, None)

    prepared, quantized = bench.folder / "prepared.onnx", bench.folder / f"{method}.onnx"
    quant_pre_process(bench.onnx(), prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        quantized,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gemm"],
        calibrate_method=CalibrationMethod[method],
        extra_options=options,
    )
    session = runtime.InferenceSession(quantized, providers=["CPUExecutionProvider"])
    return each(bench, lambda x: session.run(None, {"pixels": x})[0])


def onnxruntime_minmax(bench):
    return onnxruntime(bench, "MinMax")


def onnxruntime_percentile(bench):
    return onnxruntime(bench, "Percentile", CalibPercentile=99.99)


def modelopt(bench, config):
    """ModelOpt's simulated quantization in PyTorch: linear layers; attention's products stay in FP32."""
    import copy

    import modelopt.torch.quantization as quantization
    import torch

    network = copy.deepcopy(bench.network)

    def calibrate(network):
        with torch.inference_mode():
            for x in bench.inputs(bench.calibration):
                network(torch.from_numpy(x))

    return torch_logits(bench, quantization.quantize(network, getattr(quantization, config), calibrate))


def modelopt_default(bench):
    return modelopt(bench, "INT8_DEFAULT_CFG")


def modelopt_smooth(bench):
    return modelopt(bench, "INT8_SMOOTHQUANT_CFG")


METHODS = {
    "mergevit r0": mergevit,
    "nncf transformer mixed": nncf_transformer,
    "nncf default": nncf_default,
    "onnxruntime minmax": onnxruntime_minmax,
    "onnxruntime percentile 99.99": onnxruntime_percentile,
    "modelopt int8 default": modelopt_default,
    "modelopt int8 smoothquant": modelopt_smooth,
}
