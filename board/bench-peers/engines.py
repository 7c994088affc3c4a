"""The engines that `bench.py` times, each behind the same interface.

`time(count)` runs `count` inferences of one image and returns their latencies in microseconds;
`logits` is the engine's answer for that image, or None if it does not return one.
"""

import json
import time
from pathlib import Path

import numpy as np

MEAN = STD = (0.5, 0.5, 0.5)


def normalise(images):
    """u8 (N, H, W, 3) to the list of f32 (1, 3, H, W) a timm network takes."""
    scaled = (images.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return [np.ascontiguousarray(x.transpose(2, 0, 1)[None], np.float32) for x in scaled]


class InProcess:
    """An engine called through a Python function that maps pixels to logits."""

    def __init__(self, name, run):
        self.name = name
        self.run = run
        self.logits = np.asarray(run(), np.float32).reshape(-1)

    def time(self, count):
        latencies = []
        for _ in range(count):
            start = time.perf_counter_ns()
            self.run()
            latencies.append((time.perf_counter_ns() - start) / 1e3)
        return latencies

    def close(self):
        pass


def onnxruntime_session(path, threads):
    """A session whose worker threads stop spinning when a run ends."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"pixels": pixels})[0]


def openvino_request(path, threads, precision=None):
    """A compiled model with the latency hint; `precision` is OpenVINO's inference precision hint."""
    import openvino

    properties = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision:
        properties["INFERENCE_PRECISION_HINT"] = precision
    request = openvino.Core().compile_model(path, "CPU", properties).create_infer_request()
    return lambda pixels: request.infer({0: pixels})[0]


def torch_network(folder, threads):
    """timm's network in eager mode, with the exported weights."""
    import timm
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(threads)
    config = json.loads((folder / "checkpoint/config.json").read_text())
    size = config["pretrained_cfg"]["input_size"][1]
    network = timm.create_model(config["architecture"], num_classes=config["num_classes"], img_size=size)
    network.load_state_dict(load_file(folder / "checkpoint/model.safetensors"))
    network.eval()

    def run(pixels):
        with torch.inference_mode():
            return network(torch.from_numpy(pixels)).numpy()

    return run


def peers(folder: Path, threads, pixels):
    """Every peer engine as (name, constructor), in the order of the table."""

    def engine(name, load):
        return name, lambda: InProcess(name, bind(load(), pixels))

    def bind(run, pixels):
        return lambda: run(pixels)

    return [
        engine("pytorch fp32", lambda: torch_network(folder, threads)),
        engine("onnxruntime fp32", lambda: onnxruntime_session(folder / "fp32.onnx", threads)),
        engine("onnxruntime int8", lambda: onnxruntime_session(folder / "int8.onnx", threads)),
        engine("openvino fp32", lambda: openvino_request(folder / "openvino.xml", threads, "f32")),
        engine("openvino bf16", lambda: openvino_request(folder / "openvino.xml", threads, "bf16")),
        engine("openvino int8", lambda: openvino_request(folder / "openvino-int8.xml", threads)),
    ]
