"""PyTorch's engines: FP32 eager, compiled fp16, compiled INT8.

Each takes u8 pixels in pinned host memory and answers with logits in host memory, which is what mergevit's own
latency covers; the device's share of it is timed apart.
"""

import copy
import time

import torch

import vit

# Most of a maximum logit that FP32 on the device may differ from FP32 on the processor: summation order only.
FP32_TOLERANCE = 1e-3
# Least cosine between the logits of an engine that rounds and FP32's.
COSINE = {"fp16": 0.999, "int8": 0.90, "mergevit": 0.90}


class WrongAnswer(Exception):
    """An engine's logits are not those of the network."""


class Peer:
    """One network on one device for one batch of pixels, u8 (B, H, W, 3)."""

    def __init__(self, name, network, pixels, device):
        self.name = name
        self.device = torch.device(device)
        self.network = network
        self.cuda = self.device.type == "cuda"
        self.pixels = pixels.pin_memory() if self.cuda else pixels
        self.on_device = pixels.to(self.device)
        # The third answer comes from a CUDA graph: the first call compiles, the second records.
        self.logits = [self.infer() for _ in range(3)][-1]

    def forward(self, pixels):
        if self.cuda:
            torch.compiler.cudagraph_mark_step_begin()
        with torch.inference_mode():
            return self.network(pixels)

    def infer(self):
        """Host to host; copying the logits waits for the device."""
        return self.forward(self.pixels.to(self.device, non_blocking=True)).cpu()

    def time(self, count):
        """Latencies in microseconds, from pixels on the host to logits on the host."""
        return [stopwatch(self.infer) for _ in range(count)]

    def device_time(self, count):
        """Latencies in microseconds, pixels and logits staying on the device."""
        if not self.cuda:
            return [stopwatch(lambda: self.forward(self.on_device)) for _ in range(count)]
        times = []
        for _ in range(count):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            self.forward(self.on_device)
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end) * 1e3)
        return times

    def close(self):
        self.network = self.on_device = None


def stopwatch(run):
    start = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - start) / 1e3


def forbid_tf32():
    """FP32 then means FP32 in products and convolutions."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def compiled(network, device):
    """`max-autotune` on a GPU; on a processor, where only this program is under test, tracing without code."""
    if torch.device(device).type != "cuda":
        return torch.compile(network, backend="aot_eager", fullgraph=True, dynamic=False)
    return torch.compile(network, mode="max-autotune", fullgraph=True, dynamic=False)


def torchao_int8(network):
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    quantize_(network.blocks, Int8DynamicActivationInt8WeightConfig())
    return network


def peers(fp32, pixels, calibration, device):
    """Every engine as (name, constructor), the judge of the others first.

    `fp32` is the network on the processor; `calibration`, pixels too, sets the static INT8 peer's ranges.
    """
    half = torch.float16
    # What was compiled for another batch counts against the limit of recompilations.
    torch.compiler.reset()

    def peer(name, prepare):
        return name, lambda: Peer(name, prepare(copy.deepcopy(fp32)), pixels, device)

    def compile_half(change):
        return lambda network: compiled(change(network.to(device, half)), device)

    def static(network):
        # The scales are the FP32 network's.
        return vit.quantize(network, vit.input_scales(copy.deepcopy(fp32).to(device), calibration.to(device)))

    return [
        peer("pytorch fp32 eager", lambda network: network.to(device)),
        peer("pytorch fp16 compiled", compile_half(lambda network: network)),
        peer("pytorch int8 dynamic compiled", compile_half(vit.quantize)),
        peer("pytorch int8 static compiled", compile_half(static)),
        peer("torchao int8 compiled", compile_half(torchao_int8)),
    ]


def check(name, logits, expected):
    """Compares logits (B, classes) with FP32's on the processor.

    Returns the least cosine of a row, the signal-to-noise ratio in dB, and how many rows have the same best class.
    Raises WrongAnswer.
    """
    if logits.shape != expected.shape or not torch.isfinite(logits).all():
        finite = bool(torch.isfinite(logits).all())
        raise WrongAnswer(f"logits of shape {tuple(logits.shape)}, expected {tuple(expected.shape)}; finite: {finite}")
    logits, expected = logits.double(), expected.double()
    noise = (logits - expected).square().sum()
    cosine = float(torch.nn.functional.cosine_similarity(logits, expected).min())
    signal_to_noise = float(10 * torch.log10(expected.square().sum() / noise.clamp(min=1e-30)))
    agreement = float((logits.argmax(1) == expected.argmax(1)).double().mean())
    worst = float((logits - expected).abs().max() / expected.abs().max())
    if "fp32" in name and worst > FP32_TOLERANCE:
        raise WrongAnswer(f"differs by {worst:.2e} of the largest logit, allowed {FP32_TOLERANCE:.0e}")
    for kind, least in COSINE.items():
        if kind in name and cosine < least:
            raise WrongAnswer(f"cosine {cosine:.4f} with FP32, expected at least {least}")
    return {"cosine": cosine, "signal_to_noise_db": signal_to_noise, "agreement": agreement}
