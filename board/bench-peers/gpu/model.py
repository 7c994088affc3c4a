"""The model that all engines run. It is made from a seed on the machine that times it, being larger than the programs.

The folder then holds

    checkpoint/        model.safetensors and config.json in timm's form, which `mergevit-calibrate pack` imports
    images.idx3        calibration images, grey, in MNIST's IDX format
    pixels.safetensors the first of them as `pixels`, u8 (N, H, W, 3), for `mergevit-calibrate forward`
    model.mvit         the pack
"""

import ctypes
import json
import struct

import torch
from torch.nn import functional as F

from vit import Vit, randomise

SEED = 0
IMAGES = 32
CALIBRATION_IMAGES = 16
# Images whose logits are compared with FP32's.
COMPARED_IMAGES = 4
DTYPES = {torch.float32: "F32", torch.uint8: "U8", torch.int32: "I32"}


def save_safetensors(tensors, path):
    header, offset = {}, 0
    for name, tensor in tensors.items():
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            tensor = tensor.detach().cpu().contiguous()
            file.write(ctypes.string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size()))


def load_safetensors(path):
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    kinds = {name: dtype for dtype, name in DTYPES.items()}
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            dtype = kinds[entry["dtype"]]
            tensor = torch.frombuffer(data, dtype=torch.uint8, count=end - begin, offset=8 + length + begin)
            tensors[name] = tensor.clone().view(dtype).reshape(entry["shape"])
    return tensors


def smooth_images(count, size, seed):
    """Random grey images with the spectrum of photographs, noise at several scales: u8 (count, size, size)."""
    random = torch.Generator().manual_seed(seed)
    total = torch.zeros(count, 1, size, size)
    for cells in (2, 5, 14, 56, size):
        coarse = torch.rand(count, 1, cells, cells, generator=random) * 2 - 1
        total += F.interpolate(coarse, (size, size), mode="bicubic") / (1 + cells**0.5)
    low, high = total.amin((1, 2, 3), True), total.amax((1, 2, 3), True)
    return ((total - low) / (high - low) * 255).round().to(torch.uint8)[:, 0]


def config(shape):
    colours = {"mean": [0.5] * 3, "std": [0.5] * 3}
    preprocessing = {"interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center"}
    return {
        "architecture": shape.name,
        "num_classes": shape.classes,
        "num_features": shape.width,
        "global_pool": "token",
        "pretrained_cfg": {"input_size": [3, shape.image, shape.image], **preprocessing, **colours},
        "model_args": {"img_size": shape.image, "num_heads": shape.heads},
    }


def write_checkpoint(shape, folder):
    """The checkpoint, the calibration images and the pixels."""
    network = randomise(Vit(shape), SEED)
    images = smooth_images(IMAGES, shape.image, SEED)
    (folder / "checkpoint").mkdir(parents=True, exist_ok=True)
    save_safetensors(network.state_dict(), folder / "checkpoint/model.safetensors")
    (folder / "checkpoint/config.json").write_text(json.dumps(config(shape), indent=1) + "\n")
    with open(folder / "images.idx3", "wb") as file:
        file.write(struct.pack(">IIII", 0x803, *images.shape))
        file.write(ctypes.string_at(images.data_ptr(), images.numel()))
    colour = images[..., None].expand(-1, -1, -1, 3).contiguous()
    save_safetensors({"pixels": colour}, folder / "all-pixels.safetensors")
    save_safetensors({"pixels": colour[:COMPARED_IMAGES]}, folder / "pixels.safetensors")


def network(shape, folder):
    """The FP32 network with the checkpoint's weights."""
    vit = Vit(shape)
    vit.load_state_dict(load_safetensors(folder / "checkpoint/model.safetensors"))
    return vit.eval()
