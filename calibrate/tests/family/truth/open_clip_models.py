"""open_clip: whole models in the folder that `open_clip.push_to_hf_hub` makes. The image tower is meant."""

import functools

import torch
from open_clip import CLIP, CustomTextCLIP
from open_clip.factory import set_model_preprocess_cfg
from open_clip.push_to_hf_hub import save_config_for_hf
from safetensors.torch import save_file

from .case import Case, Truth, normalized, random_pixels
from .randomize import randomize, uninitialised

EMBEDDING = 64
TEXT = {"context_length": 8, "vocab_size": 64, "width": 64, "heads": 2, "layers": 1}
SMALL = {"image_size": 64, "layers": 2, "width": 128, "patch_size": 16}
COLOURS = {"mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711)}
PREPROCESSING = {"size": 64, "mode": "RGB", "interpolation": "bicubic", "resize_mode": "shortest", **COLOURS}

TOWERS = {
    "plain": (SMALL, {}),
    "quick-gelu": (SMALL, {"quick_gelu": True}),
    "layer-scale": ({**SMALL, "ls_init_value": 1e-4}, {}),
    "heads-of-80": ({**SMALL, "width": 320, "head_width": 80}, {}),
    "heads-of-32": ({**SMALL, "head_width": 32}, {}),
    "mlp-ratio": ({**SMALL, "mlp_ratio": 4.9231}, {}),
    "mean": ({**SMALL, "pool_type": "avg"}, {}),
    "clipa": ({**SMALL, "no_ln_pre": True, "pool_type": "avg", "final_ln_after_pool": True}, {}),
    "token-norm-after": ({**SMALL, "final_ln_after_pool": True}, {}),
    "sin-cos-positions": ({**SMALL, "pos_embed_type": "sin_cos_2d"}, {}),
    "epsilon": ({**SMALL, "norm_kwargs": {"eps": 1e-3}}, {}),
    "tanh-gelu": ({**SMALL, "act_kwargs": {"approximate": "tanh"}}, {}),
    "qk-norm": ({**SMALL, "qk_norm": True}, {}),
    "attentional-pooler": ({**SMALL, "attentional_pool": True, "attn_pooler_heads": 2}, {}),
}
# A tower of timm's behind `visual.trunk`: too wide for depth 2 by argument, hence the smallest of each kind.
TRUNKS = {
    "timm-siglip": {"timm_model_name": "vit_base_patch32_siglip_256", "timm_pool": "map", "timm_proj": "none"},
    "timm-linear": {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token", "timm_proj": "linear"},
    "timm-mlp": {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token", "timm_proj": "mlp"},
    "timm-classifier": {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token", "timm_proj": ""},
    "timm-eva02": {"timm_model_name": "eva02_base_patch16_clip_224", "timm_pool": "token", "timm_proj": ""},
    "timm-perception": {"timm_model_name": "vit_pe_core_tiny_patch16_384", "timm_pool": "map", "timm_proj": None},
}


def build(vision, more, seed=0):
    """A model and the `model_cfg` that its config file has."""
    width = EMBEDDING if vision.get("timm_proj") != "none" else 768
    settings = {"embed_dim": width, "vision_cfg": vision, "text_cfg": TEXT, **more}
    trunk = "timm_model_name" in vision
    with uninitialised():
        model = (CustomTextCLIP if trunk else CLIP)(**settings)
    size = vision.get("image_size", 224)
    set_model_preprocess_cfg(model, {**PREPROCESSING, "size": size})
    return randomize(model, seed), settings


@torch.no_grad()
def truth(model, size, checkpoint="model", options=()):
    pixels = random_pixels(size, 2)
    output = model.encode_image(normalized(pixels, COLOURS["mean"], COLOURS["std"]))
    return Truth(checkpoint, pixels, output, "embedding", tuple(options))


def save(model, settings, folder, pickled=False):
    folder.mkdir()
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if pickled:
        torch.save(tensors, folder / "open_clip_pytorch_model.bin")
    else:
        save_file(tensors, folder / "open_clip_model.safetensors")
    save_config_for_hf(model, folder / "open_clip_config.json", settings)


def write(vision, more, folder, pickled=False):
    model, settings = build(vision, more)
    save(model, settings, folder / "model", pickled)
    return truth(model, vision.get("image_size", 224))


def training_checkpoint(folder):
    """What open_clip's training writes: no configuration at all, so the heads' width must be asked for."""
    model, _ = build({**SMALL, "head_width": 32}, {})
    names = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 3, "name": "run", "state_dict": names}, folder / "epoch_3.pt")
    return truth(model, SMALL["image_size"], "epoch_3.pt", ("--preprocessing", "clip"))


def cases():
    plain = [Case(f"open_clip/{name}", functools.partial(write, *tower)) for name, tower in TOWERS.items()]
    trunks = [
        Case(f"open_clip/{name}", functools.partial(write, {**trunk, "image_size": trunk_size(trunk)}, {}))
        for name, trunk in TRUNKS.items()
    ]
    return [
        *plain,
        *trunks,
        Case("open_clip/pickled", functools.partial(write, SMALL, {}, pickled=True)),
        Case("open_clip/training-checkpoint", training_checkpoint, asks_for="architecture"),
    ]


def trunk_size(trunk):
    """The size in the trunk's name."""
    return int(trunk["timm_model_name"].rsplit("_", 1)[1])
