"""Writes what Pillow makes of small synthetic images: cases.txt, and *.rgb for the small outputs.

    pip install "pillow<13" numpy && python make.py

Pillow resamples horizontally, then vertically; before version 13 the only exception is an image that shrinks in height
and is more than 100 times as high as wide. From version 13 on vertical comes first wherever the height shrinks much
more than the width, which moves some samples by one. The order kept here is the one of the earlier versions.

A line of cases.txt: mode, width, height, filter, resize ("shortest:N" or "exact:WxH"), crop ("WxH"), FNV-1a hash
(64 bits) of the output bytes (height, width, 3), file holding them or "-". The size and crop rules are those of
torchvision.transforms.functional (resize, center_crop), in its own expressions.
"""

from pathlib import Path

import numpy
import PIL
from PIL import Image

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
STORED_BYTES = 4096

# mode, (width, height), filter, shortest side or (width, height), crop (width, height)
CASES = [
    *[
        (mode, size, name, resize, crop)
        for name in FILTERS
        for mode, size, resize, crop in [
            ("grey", (28, 28), 112, (112, 112)),
            ("grey", (28, 28), 224, (224, 224)),
            ("rgb", (28, 28), 224, (224, 224)),
            ("rgb", (640, 480), 256, (224, 224)),
            ("rgb", (480, 640), 256, (224, 224)),
            ("rgb", (1280, 720), 224, (224, 224)),
            ("rgb", (320, 240), (224, 224), (224, 224)),
            ("rgb", (224, 224), 224, (224, 224)),
            ("rgb", (224, 300), (224, 100), (224, 100)),
            ("rgb", (300, 224), (100, 224), (100, 224)),
            ("rgb", (37, 23), (16, 16), (16, 16)),
            ("rgb", (23, 37), 9, (7, 5)),
            ("rgb", (5, 3), 17, (24, 24)),
            ("rgb", (200, 7), 12, (30, 12)),
            ("rgb", (1, 1), 8, (8, 8)),
            ("rgb", (3, 300), (31, 3), (31, 3)),
            ("rgb", (97, 101), (1, 1), (1, 1)),
            ("rgb", (41, 43), 32, (32, 33)),
            ("grey", (61, 59), 30, (20, 27)),
        ]
    ],
]


def pixels(width, height, channels):
    """Smooth areas and noise in turns, the same in the test: (height, width, channels) u8."""
    y, x, c = numpy.meshgrid(
        numpy.arange(height, dtype=numpy.uint32),
        numpy.arange(width, dtype=numpy.uint32),
        numpy.arange(channels, dtype=numpy.uint32),
        indexing="ij",
    )
    noise = ((x * 73856093) ^ (y * 19349663) ^ (c * 83492791)) * numpy.uint32(2654435761)
    smooth = x * 255 // width + y * 3 + c * 40
    noisy = (x // 5 + y // 7) % 3 == 0
    return numpy.where(noisy, noise >> 24, smooth & 255).astype(numpy.uint8)


def resized(image, size, resample):
    if isinstance(size, int):
        width, height = image.size
        short, long = (width, height) if width <= height else (height, width)
        new_short, new_long = size, int(size * long / short)
        size = (new_short, new_long) if width <= height else (new_long, new_short)
    return image.resize(size, resample)


def center_crop(image, crop):
    """A region outside the image reads as black."""
    offsets = []
    for length, wanted in zip(image.size, crop):
        if wanted > length:
            offsets.append(-((wanted - length) // 2))
        else:
            offsets.append(int(round((length - wanted) / 2.0)))
    left, top = offsets
    return image.crop((left, top, left + crop[0], top + crop[1]))


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def main():
    if int(PIL.__version__.split(".")[0]) >= 13:
        raise SystemExit(f"pillow {PIL.__version__} found, expected a version below 13")
    folder = Path(__file__).parent
    for old in folder.glob("*.rgb"):
        old.unlink()
    lines = []
    for number, (mode, (width, height), name, size, crop) in enumerate(CASES):
        channels = {"grey": 1, "rgb": 3}[mode]
        image = pixels(width, height, channels)
        image = Image.fromarray(image[:, :, 0] if channels == 1 else image).convert("RGB")
        image = center_crop(resized(image, size, FILTERS[name]), crop)
        data = image.tobytes()
        resize = f"shortest:{size}" if isinstance(size, int) else f"exact:{size[0]}x{size[1]}"
        file = "-"
        if len(data) <= STORED_BYTES:
            file = f"{number:02}.rgb"
            (folder / file).write_bytes(data)
        crop = f"{crop[0]}x{crop[1]}"
        lines.append(f"{mode} {width} {height} {name} {resize} {crop} {fnv(data):016x} {file}\n")
    (folder / "cases.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
