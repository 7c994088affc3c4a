"""Data sets as pixels at a network's input size, chosen alike for every quantizer."""

import gzip
import struct
from pathlib import Path

import numpy as np
from PIL import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
IDX_IMAGES, IDX_LABELS = 0x00000803, 0x00000801


class Folder:
    """Images of one folder a class; classes in alphabetical order."""

    def __init__(self, root):
        folders = sorted(path for path in Path(root).iterdir() if path.is_dir())
        if not folders:
            raise SystemExit(f"{root}: holds no folder of a class")
        self.files = [
            (path, label)
            for label, folder in enumerate(folders)
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in SUFFIXES
        ]
        if not self.files:
            raise SystemExit(f"{root}: holds no image in its folders of classes")

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        path, label = self.files[index]
        with Image.open(path) as image:
            return image.convert("RGB"), label


class Idx:
    """A pair of files in MNIST's format, compressed or not."""

    def __init__(self, images, labels):
        self.images = self.read(images, IDX_IMAGES)
        self.labels = self.read(labels, IDX_LABELS)
        if len(self.images) != len(self.labels):
            raise SystemExit(f"{images} has {len(self.images)} images, {labels} has {len(self.labels)} labels")

    @staticmethod
    def read(path, magic):
        opened = gzip.open(path) if str(path).endswith(".gz") else open(path, "rb")
        with opened as file:
            data = file.read()
        if len(data) < 4 or struct.unpack(">I", data[:4])[0] != magic:
            raise SystemExit(f"{path}: does not begin with {magic:#010x}")
        dimensions = magic & 0xFF
        shape = struct.unpack(f">{dimensions}I", data[4 : 4 + 4 * dimensions])
        return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return Image.fromarray(self.images[index]).convert("RGB"), int(self.labels[index])


def open_set(spec):
    """A data set from folder:DIR or idx:IMAGES,LABELS, as mergevit-calibrate names them."""
    kind, _, rest = spec.partition(":")
    if kind == "folder" and rest:
        return Folder(rest)
    if kind == "idx" and rest.count(",") == 1:
        return Idx(*rest.split(","))
    raise SystemExit(f"{spec}: not folder:DIR or idx:IMAGES,LABELS")


def at_size(image, config):
    """Resized by its short side and cropped at the centre, as the checkpoint's `pretrained_cfg` says: (H, W, 3) u8."""
    size = config["input_size"][-1]
    short = int(size / config.get("crop_pct", 1.0))
    scale = short / min(image.size)
    resized = tuple(max(size, round(side * scale)) for side in image.size)
    filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    image = image.resize(resized, filters[config.get("interpolation", "bicubic")])
    left, top = ((side - size) // 2 for side in image.size)
    return np.asarray(image.crop((left, top, left + size, top + size)))


def choose(dataset, count, seed, config):
    """`count` images drawn without replacement: pixels (N, H, W, 3) u8, and labels (N)."""
    drawn = np.random.default_rng(seed).permutation(len(dataset))[:count]
    chosen = [dataset[int(index)] for index in drawn]
    pixels = np.stack([at_size(image, config) for image, _ in chosen])
    return pixels, np.array([label for _, label in chosen])


def normalise(pixels, config):
    """What the network takes of (N, H, W, 3) u8: (N, 3, H, W) f32."""
    mean, deviation = np.float32(config["mean"]), np.float32(config["std"])
    scaled = (pixels.astype(np.float32) / 255 - mean) / deviation
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), np.float32)
