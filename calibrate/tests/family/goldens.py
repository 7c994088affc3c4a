#!/usr/bin/env python3
"""Writes `goldens/`: one small checkpoint for each feature, with what its library computes, for `tests/family.rs`.

Each is a folder as its library writes it, with weights of 16 bits, and beside it `NAME.truth.safetensors`: `pixels` u8 (N, S, S, 3) and
`logits` or `embedding` f32 (N, K). Rewrites all of them; the same versions of the libraries give the same files.
"""

import argparse
import dataclasses
import functools
import shutil
import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from truth import open_clip_models, timm_models, transformers_models
from truth.transformers_models import Model, config, image_embeds, mean, pooled

HERE = Path(__file__).resolve().parent / "goldens"
LIMIT = 150_000
CLASSES = 5

TIMM = {"embed_dim": 64, "num_heads": 2, "img_size": 32, "patch_size": 4, "mlp_ratio": 1.0, "num_classes": CLASSES}
TIMM_MODELS = {
    # Two heads of 32 channels, and an MLP of 90.
    "timm-padding": ("vit_tiny_patch16_224", {**TIMM, "mlp_ratio": 1.41}),
    "timm-registers-mean": ("vit_medium_patch16_reg4_gap_256", TIMM),
    "timm-mean-of-all": ("vit_tiny_patch16_224", {**TIMM, "global_pool": "avg", "pool_include_prefix": True}),
    "timm-layer-scale": ("deit3_small_patch16_224", TIMM),
    "timm-attention-pooling": ("vit_base_patch16_siglip_224", {**TIMM, "depth": 1, "num_classes": 0}),
    "timm-eva02": ("eva02_base_patch14_448", TIMM),
    "timm-rope-mixed": ("vit_small_patch16_rope_mixed_224", TIMM),
    "timm-rms-norm": ("test_vit4", TIMM),
}

SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 4}
PLAIN = {**SMALL, "intermediate_size": 64, "num_labels": CLASSES}
SIGLIP = {**PLAIN, "num_hidden_layers": 1}
TRANSFORMERS_MODELS = {
    "transformers-deit": Model("DeiTForImageClassification", config("DeiTConfig", PLAIN)),
    "transformers-dinov2": Model(
        "Dinov2ForImageClassification",
        config("Dinov2Config", SMALL, mlp_ratio=1, num_labels=CLASSES),
        processor="BitImageProcessor",
    ),
    "transformers-dinov3": Model(
        "DINOv3ViTModel",
        config("DINOv3ViTConfig", PLAIN, num_register_tokens=4, use_gated_mlp=True, hidden_act="silu"),
        pooled,
        "DINOv3ViTImageProcessor",
    ),
    "transformers-clip": Model(
        "CLIPVisionModelWithProjection",
        config("CLIPVisionConfig", {**PLAIN, "projection_dim": 32}),
        image_embeds,
        "CLIPImageProcessor",
    ),
    "transformers-siglip": Model("SiglipVisionModel", config("SiglipVisionConfig", SIGLIP), pooled, "SiglipImageProcessor"),
    "transformers-ijepa": Model("IJepaModel", config("IJepaConfig", PLAIN), mean),
}
OPEN_CLIP = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 4, "mlp_ratio": 1.0}


@torch.no_grad()
def rounded(model):
    """The model with weights that 16 bits hold."""
    for parameter in model.parameters():
        parameter.copy_(parameter.half().float())
    return model


def narrow(folder):
    """Stores the weights in 16 bits, which they already fit."""
    for path in folder.glob("*.safetensors"):
        tensors = {
            name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in load_file(path).items()
        }
        save_file(tensors, path, {"format": "pt"})


def write_timm(name, arguments, folder):
    model = rounded(timm_models.create(name, **arguments))
    timm_models.save(model, folder)
    return timm_models.truth(model, count=1)


def write_transformers(kind, folder):
    model = rounded(kind.create())
    model.save_pretrained(folder)
    size = transformers_models.image_size(model)
    kind.image_processor(size).save_pretrained(folder)
    return kind.truth(model, size)


def write_open_clip(folder):
    model, settings = open_clip_models.build(OPEN_CLIP, {})
    open_clip_models.save(rounded(model), settings, folder)
    # The text tower would be half of the file, and is not read.
    path = folder / "open_clip_model.safetensors"
    save_file({name: tensor for name, tensor in load_file(path).items() if name.startswith("visual.")}, path)
    return open_clip_models.truth(model, OPEN_CLIP["image_size"])


def writers():
    yield from ((name, functools.partial(write_timm, *model)) for name, model in TIMM_MODELS.items())
    yield from ((name, functools.partial(write_transformers, kind)) for name, kind in TRANSFORMERS_MODELS.items())
    yield "open-clip", write_open_clip


def end_lines(folder):
    """Text files of a repository end with a newline."""
    for path in folder.glob("*.json"):
        path.write_text(path.read_text().rstrip() + "\n")


def size_of(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


def write(name, writer, output):
    folder = output / name
    shutil.rmtree(folder, ignore_errors=True)
    truth = writer(folder)
    narrow(folder)
    end_lines(folder)
    truth = dataclasses.replace(truth, pixels=truth.pixels[:1], output=truth.output[:1])
    tensors = {"pixels": truth.pixels.contiguous(), truth.kind: truth.output.float().contiguous()}
    save_file(tensors, output / f"{name}.truth.safetensors")
    size = size_of(folder)
    print(f"{size:8d} bytes  {name}")
    return size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    args.output.mkdir(parents=True, exist_ok=True)
    sizes = {name: write(name, writer, args.output) for name, writer in writers()}
    print(f"{sum(sizes.values())} bytes in {len(sizes)} goldens")
    large = [name for name, size in sizes.items() if size > LIMIT]
    if large:
        print(f"larger than {LIMIT} bytes: {', '.join(large)}")
    return 1 if large else 0


if __name__ == "__main__":
    sys.exit(main())
