"""Writes timm.json, the table of timm's Vision Transformers, from the installed timm.

    pip install timm
    python generate.py > timm.json

Each model is built on PyTorch's meta device, so no weights are needed, and asked for what neither a checkpoint's
tensors nor its config.json tell. A model that the importer does not run is in the table with the feature that
refuses it. Fields at the defaults of `Architecture` in mod.rs are left out.
"""

import json
import sys
import warnings

import timm
import torch
from timm.data.constants import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    IMAGENET_INCEPTION_MEAN,
    IMAGENET_INCEPTION_STD,
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
)
from timm.models import vision_transformer
from timm.models._registry import _deprecated_models
from torch import nn

MODULES = {
    "vision_transformer": None,
    "deit": None,
    "eva": None,
    "beit": "a relative position bias",
    "vision_transformer_hybrid": "a convolutional stem",
    "vision_transformer_relpos": "a relative position bias",
    "vision_transformer_sam": "windowed attention",
    "naflexvit": None,
    "vitamin": "a convolutional stem",
}
COLOURS = {
    (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD): "imagenet",
    (IMAGENET_INCEPTION_MEAN, IMAGENET_INCEPTION_STD): "inception",
    (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD): "clip",
    ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)): "none",
}
BLOCKS = {
    "ResPostBlock": "norms after attention and MLP (res-post-norm)",
    "EvaBlockPostNorm": "norms after attention and MLP (res-post-norm)",
    "ParallelScalingBlock": "attention and MLP in parallel",
    "ParallelThingsBlock": "attention and MLP in parallel",
    "DiffParallelScalingBlock": "attention and MLP in parallel",
}
MLPS = {"Mlp": "plain", "GluMlp": "packed", "SwiGLU": "split"}
ACTIVATIONS = {
    "GELU": "gelu",
    "GELUTanh": "gelu_tanh",
    "QuickGELU": "quick_gelu",
    "SiLU": "silu",
}
NORM_NAMES = ["norm_pre", "norm", "fc_norm"]
NORMS = {"LayerNorm": "layer", "RmsNorm": "rms"}


def embedding(model):
    """The module that holds tokens and positions."""
    return getattr(model, "embeds", model)


def present(module):
    """Whether a module does anything."""
    return module is not None and not isinstance(module, nn.Identity)


def refusal(model, module):
    """The first feature of a model that the importer does not run, or None."""
    if MODULES[module]:
        return MODULES[module]
    block = model.blocks[0]
    if type(block).__name__ in BLOCKS:
        return BLOCKS[type(block).__name__]
    attention = block.attn
    if type(attention).__name__ == "DiffAttention":
        return "differential attention"
    if present(getattr(attention, "q_norm", None)):
        return "normalized queries and keys"
    if present(getattr(attention, "norm", None)):
        return "a norm of attention's output"
    if getattr(attention, "num_kv_heads", attention.num_heads) != attention.num_heads:
        return "keys and values shared by groups of heads"
    if present(getattr(attention, "gate", None)):
        return "gated attention"
    if present(block.mlp.norm) and type(block.mlp).__name__ == "Mlp":
        return "a norm inside a plain MLP"
    if present(model.norm) and present(model.fc_norm):
        return "norms before and after the pooling"
    if type(getattr(model, "rope", None)).__name__ == "RotaryEmbeddingMRope":
        return "multimodal rotary positions"
    if present(getattr(model, "embeds", getattr(model, "patch_embed", None)).norm):
        return "a norm of the patch embedding before the positions"
    if hasattr(model, "embeds") and model.embeds.pos_embed_type != "learned":
        return f"{model.embeds.pos_embed_type} positions"
    if attention.head_dim > 128:
        return f"heads of {attention.head_dim} channels, more than 128"
    if model.global_pool not in ("token", "avg", "map"):
        return f"pooling {model.global_pool!r}"
    if type(model).__name__ != "Eva" and model.attn_pool is not None:
        if model.num_prefix_tokens and not model.pool_include_prefix:
            return "attention pooling of the patches alone beside prefix tokens"
    return None


def common(values):
    """The one value that all of a model's layers share."""
    values = set(values)
    assert len(values) == 1, values
    return values.pop()


def rotary(rope):
    """Parameters of a rotary embedding."""
    kind = {
        "RotaryEmbeddingCat": "index",
        "RotaryEmbeddingDinoV3": "centred",
        "RotaryEmbeddingMixed": "mixed",
    }[type(rope).__name__]
    found = {"kind": kind}
    if rope.grid_indexing == "xy":
        found["x_first"] = True
    if kind == "mixed":
        return found
    found["temperature"] = float(rope.temperature)
    if rope.grid_offset:
        found["offset"] = rope.grid_offset
    if rope.rotate_half:
        found["halves"] = True
    if kind == "index":
        assert rope.grid_type == "index" and not rope.in_pixels
        if rope.ref_feat_shape is not None:
            height, width = rope.ref_feat_shape
            assert height == width
            found["reference"] = height
    else:
        assert rope.normalize_coords == "separate" and rope.min_period is None
    return found


def image_size(model):
    """Side of the images that a model is built for."""
    if hasattr(model, "embeds"):
        return common(model.default_cfg["input_size"][1:])
    return common(model.patch_embed.img_size)


def table(model):
    """Which tokens have a row in the position table."""
    if hasattr(model, "embeds"):
        return "patches"
    if model.pos_embed is None:
        return "none"
    return "patches" if model.no_embed_class else "all"


def anatomy(model):
    """What the importer must know of a model beside its tensors."""
    block = model.blocks[0]
    norms = [m for m in model.modules() if type(m).__name__ in NORMS]
    embeds = embedding(model)
    kinds = common(type(m).__name__ for m in norms)
    mlp = type(block.mlp).__name__
    if mlp == "GluMlp":
        assert not block.mlp.gate_last
    found = {
        "width": model.embed_dim,
        "heads": common(b.attn.num_heads for b in model.blocks),
        "epsilon": common(float(m.eps) for m in norms),
        "activation": ACTIVATIONS[common(type(b.mlp.act).__name__ for b in model.blocks)],
        "norm": NORMS[kinds],
        "mlp": MLPS[mlp],
        "image_size": image_size(model),
        "class_token": embeds.cls_token is not None,
        "registers": 0 if embeds.reg_token is None else embeds.reg_token.shape[1],
        "norms": [name for name in NORM_NAMES if present(getattr(model, name))],
        "pool": model.global_pool,
        "pool_prefix": bool(getattr(model, "pool_include_prefix", False)),
        "table": table(model),
        "distilled": type(model).__name__ == "VisionTransformerDistilled",
    }
    if hasattr(model, "embeds"):
        assert model.rope is None and embeds.is_linear and embeds.channels_last
        found["class"] = "naflex"
        found["patch_size"] = common(embeds.patch_size)
    if type(model).__name__ == "Eva":
        found["class"] = "eva"
        found["pool_prefix"] = model.attn_pool is not None
        if model.rope is not None:
            found["rotary"] = rotary(model.rope)
            halves = {bool(b.attn.rotate_half) for b in model.blocks}
            assert halves == {bool(getattr(model.rope, "rotate_half", False))}
    if model.attn_pool is not None:
        pool = model.attn_pool
        assert pool.latent_len == 1 and pool.pos_embed is None and not present(pool.q_norm)
        # VisionTransformer's follows the layers' heads.
        if type(model).__name__ == "Eva":
            found["pool_heads"] = pool.num_heads
        assert ACTIVATIONS[type(pool.mlp.act).__name__] == found["activation"]
    return found


def resampling(model, name):
    """How timm resamples the position table of these weights for another image size."""
    if hasattr(model, "embeds"):
        embeds = model.embeds
        key = embeds.pos_embed_interp_mode, bool(embeds.pos_embed_antialias), bool(embeds.pos_embed_align_corners)
        return {
            ("bicubic", True, False): "bicubic",
            ("bilinear", True, False): "bilinear_antialiased",
            ("bilinear", False, False): "bilinear",
            ("bilinear", False, True): "bilinear_corners",
        }[key]
    if "flexi" in name:
        return "bilinear"
    if "radio" in name:
        corners = any(part in name for part in vision_transformer._RADIO_ALIGN_CORNERS)
        return "bilinear_corners" if corners else "bilinear"
    return "bicubic"


def pixels(config):
    """Colours, crop, filter and crop mode of a pretrained configuration."""
    colours = tuple(config.mean), tuple(config.std)
    colours = COLOURS.get(colours, colours)
    found = [colours, config.crop_pct, config.interpolation]
    if config.crop_mode != "center":
        found.append(config.crop_mode)
    return found


DEFAULTS = {
    "class_token": True,
    "registers": 0,
    "norms": ["norm"],
    "epsilon": 1e-6,
    "activation": "gelu",
    "norm": "layer",
    "mlp": "plain",
    "pool": "token",
    "pool_prefix": False,
    "table": "all",
    "distilled": False,
    "resampling": "bicubic",
}


def entry(name, module):
    """A row of the table."""
    with torch.device("meta"):
        model = timm.create_model(name)
    refused = refusal(model, module)
    if refused:
        return {"refused": refused}
    found = anatomy(model) | {"resampling": resampling(model, name)}
    found = {k: v for k, v in found.items() if DEFAULTS.get(k) != v}
    found["pixels"] = pixels(timm.get_pretrained_cfg(name))
    of_tags = {}
    for full in timm.list_pretrained(name):
        of_tag = pixels(timm.get_pretrained_cfg(full))
        of_tags[full.partition(".")[2]] = None if of_tag == found["pixels"] else of_tag
    if of_tags:
        found["tags"] = of_tags
    return found


def main():
    warnings.filterwarnings("ignore")
    rows = {}
    for module in MODULES:
        for name in timm.list_models(module=module):
            rows[name] = entry(name, module)
            print(name, file=sys.stderr)
    aliases = {old: new for old, new in _deprecated_models.items() if new.partition(".")[0] in rows}
    lines = [f"{json.dumps(name)}: {json.dumps(rows[name])}" for name in sorted(rows)]
    print('{"version": ' + json.dumps(timm.__version__) + ', "aliases": {')
    print(",\n".join(f"{json.dumps(old)}: {json.dumps(new)}" for old, new in sorted(aliases.items())))
    print('}, "architectures": {')
    print(",\n".join(lines))
    print("}}")


if __name__ == "__main__":
    main()
