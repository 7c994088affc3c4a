"""What a case is: files as a user has them, pixels, and the output of the library that wrote the files."""

import dataclasses
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

# A trained network's inputs are not white noise: a coarse picture under it.
NOISE = 0.25


@dataclasses.dataclass
class Truth:
    """What `mergevit-calibrate forward` is to give for a checkpoint."""

    checkpoint: str  # folder or file, relative to the case's folder
    pixels: torch.Tensor  # u8 (N, S, S, 3)
    output: torch.Tensor | None  # f32 (N, K); None where the only right answer is to ask
    kind: str = "logits"  # or "embedding"
    options: tuple[str, ...] = ()

    def save(self, folder):
        save_file({"pixels": self.pixels.contiguous()}, folder / "pixels.safetensors")
        if self.output is not None:
            save_file({self.kind: self.output.float().contiguous()}, folder / "truth.safetensors")
        about = {"checkpoint": self.checkpoint, "options": list(self.options)}
        (folder / "case.json").write_text(json.dumps(about, indent=2) + "\n")


def load(folder):
    """The case that `Truth.save` wrote."""
    folder = Path(folder)
    about = json.loads((folder / "case.json").read_text())
    truth = folder / "truth.safetensors"
    kind, output = next(iter(load_file(truth).items())) if truth.exists() else ("logits", None)
    pixels = load_file(folder / "pixels.safetensors")["pixels"]
    return Truth(about["checkpoint"], pixels, output, kind, tuple(about["options"]))


@dataclasses.dataclass
class Case:
    """A named checkpoint. `write(folder)` writes it and returns its `Truth`."""

    name: str
    write: object
    # A word of the message (or none in particular), where the checkpoint must be refused: what it means is not told, or not run.
    asks_for: str | None = None


def random_pixels(size, count=1, seed=0):
    """u8 (count, size, size, 3): a coarse picture with noise."""
    generator = torch.Generator().manual_seed(seed + 1)
    coarse = torch.rand(count, 3, 5, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=True)
    noisy = smooth + NOISE * (torch.rand(smooth.shape, generator=generator) - 0.5)
    return (noisy.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def normalized(pixels, mean, std):
    """f32 (N, 3, S, S), as every library prepares an image."""
    mean, std = (torch.tensor(values, dtype=torch.float32).reshape(1, 3, 1, 1) for values in (mean, std))
    return (pixels.permute(0, 3, 1, 2).float() / 255 - mean) / std
