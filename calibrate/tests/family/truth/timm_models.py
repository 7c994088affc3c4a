"""timm: any architecture name, written as timm's own `save_for_hf` writes it."""

import json

import timm
import torch
from timm.models._hub import save_for_hf
from timm.models._registry import get_deprecated_models

from .case import Case, Truth, normalized, random_pixels
from .randomize import randomize, uninitialised

MODULES = (
    "vision_transformer",
    "deit",
    "eva",
    "beit",
    "vision_transformer_hybrid",
    "vision_transformer_relpos",
    "vision_transformer_sam",
    "naflexvit",
    "vitamin",
)
DEPTH = 2


def names():
    """Every architecture name of the Vision Transformer modules, in order, with the deprecated aliases after each."""
    found = {}
    for module in MODULES:
        aliases = get_deprecated_models(module)
        for name in timm.list_models(module=module) + sorted(aliases):
            found[name] = aliases.get(name, name)
    return found


def create(name, seed=0, **arguments):
    """A model of two blocks with random weights and as many classes as the published checkpoint has."""
    defaults = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if defaults is not None:
        arguments.setdefault("num_classes", defaults.num_classes)
    with uninitialised():
        try:
            model = timm.create_model(name, **{"depth": DEPTH, **arguments})
        except TypeError:
            # Families of several stages take no depth.
            model = timm.create_model(name, **arguments)
        except AssertionError:
            # Grouped heads are listed for each block of the full depth.
            model = timm.create_model(name, **{"depth": DEPTH, "num_kv_heads": 2, **arguments})
    return randomize(model, seed)


def image_size(model):
    size = getattr(getattr(model, "patch_embed", None), "img_size", None)
    size = size or model.pretrained_cfg["input_size"][1:]
    return size if isinstance(size, int) else size[-1]


def question(model, checkpoint, count=1):
    """The truth without the output: what the program is asked, for a caller who wants to wait with the answer."""
    return Truth(checkpoint, random_pixels(image_size(model), count), None, kind(model))


@torch.no_grad()
def truth(model, checkpoint=".", count=2, options=()):
    """The model's own output for random pixels at its image size."""
    pixels = random_pixels(image_size(model), count)
    colours = model.pretrained_cfg["mean"], model.pretrained_cfg["std"]
    output = model(normalized(pixels, *colours))
    return Truth(checkpoint, pixels, output, kind(model), tuple(options))


def kind(model):
    return "embedding" if model.num_classes == 0 else "logits"


def save(model, folder):
    """A folder as on the hub."""
    save_for_hf(model, str(folder), safe_serialization=True)


def rename(folder, architecture):
    """States another architecture, such as an old name of it."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["architecture"] = architecture
    path.write_text(json.dumps(config, indent=2))


def writer(name, count=2, seed=0, **arguments):
    """A `Case.write` for an architecture with arguments of its constructor."""

    def write(folder):
        model = create(name, seed, **arguments)
        save(model, folder / "model")
        return truth(model, "model", count)

    return write


# Features of the family at sizes that take no time: an architecture's name, and what a user would override. timm writes what is
# overridden into `model_args` of config.json, so each of these also says that the argument is honoured.
SMALL = {"embed_dim": 128, "num_heads": 2, "img_size": 64, "num_classes": 10}
ROPE = {**SMALL, "img_size": 96}
FEATURES = {
    "plain": ("vit_tiny_patch16_224", SMALL),
    "headless": ("vit_tiny_patch16_224", {**SMALL, "num_classes": 0}),
    "patch-8": ("vit_tiny_patch16_224", {**SMALL, "patch_size": 8}),
    "heads-of-32": ("vit_tiny_patch16_224", {**SMALL, "num_heads": 4}),
    "heads-of-48": ("vit_tiny_patch16_224", {**SMALL, "embed_dim": 192, "num_heads": 4}),
    "heads-of-88": ("vit_tiny_patch16_224", {**SMALL, "embed_dim": 704, "num_heads": 8}),
    "heads-of-128": ("vit_tiny_patch16_224", {**SMALL, "embed_dim": 256, "num_heads": 2}),
    "mlp-ratio": ("vit_tiny_patch16_224", {**SMALL, "mlp_ratio": 2.57}),
    "no-qkv-bias": ("vit_tiny_patch16_224", {**SMALL, "qkv_bias": False}),
    "no-proj-bias": ("vit_tiny_patch16_224", {**SMALL, "proj_bias": False}),
    "layer-scale": ("vit_tiny_patch16_224", {**SMALL, "init_values": 1e-5}),
    "mean": ("vit_tiny_patch16_224", {**SMALL, "global_pool": "avg"}),
    "mean-norm-before": ("vit_tiny_patch16_224", {**SMALL, "global_pool": "avg", "fc_norm": False}),
    "mean-of-all": ("vit_tiny_patch16_224", {**SMALL, "global_pool": "avg", "pool_include_prefix": True}),
    "mean-headless": ("vit_tiny_patch16_224", {**SMALL, "global_pool": "avg", "num_classes": 0}),
    "token-norm-after": ("vit_tiny_patch16_224", {**SMALL, "fc_norm": True}),
    "maximum": ("vit_tiny_patch16_224", {**SMALL, "global_pool": "max"}),
    "mean-and-maximum": ("vit_tiny_patch16_224", {**SMALL, "global_pool": "avgmax"}),
    "attention-pooling": ("vit_tiny_patch16_224", {**SMALL, "global_pool": "map"}),
    "no-class-token": ("vit_tiny_patch16_224", {**SMALL, "class_token": False, "global_pool": "avg"}),
    "registers": ("vit_tiny_patch16_224", {**SMALL, "reg_tokens": 4}),
    "registers-only": ("vit_tiny_patch16_224", {**SMALL, "reg_tokens": 3, "class_token": False, "global_pool": "avg"}),
    "registers-no-position": ("vit_tiny_patch16_224", {**SMALL, "reg_tokens": 4, "no_embed_class": True}),
    "norm-before": ("vit_tiny_patch16_224", {**SMALL, "pre_norm": True}),
    "no-last-norm": ("vit_tiny_patch16_224", {**SMALL, "final_norm": False}),
    "qk-norm": ("vit_tiny_patch16_224", {**SMALL, "qk_norm": True}),
    "attention-norm": ("vit_tiny_patch16_224", {**SMALL, "scale_attn_norm": True}),
    "no-positions": ("vit_tiny_patch16_224", {**SMALL, "pos_embed": "none"}),
    "distilled": ("deit_tiny_distilled_patch16_224", SMALL),
    "deit3": ("deit3_small_patch16_224", SMALL),
    "clip": ("vit_base_patch16_clip_224", SMALL),
    "clip-quick-gelu": ("vit_base_patch16_clip_quickgelu_224", SMALL),
    "siglip": ("vit_base_patch16_siglip_224", SMALL),
    "siglip-three-heads": ("vit_base_patch16_siglip_224", {**SMALL, "embed_dim": 192, "num_heads": 3}),
    "siglip-so400m-384": ("vit_so400m_patch14_siglip_384", {**SMALL, "img_size": 62}),
    "siglip-gap": ("vit_base_patch16_siglip_gap_224", SMALL),
    "dinov2": ("vit_small_patch14_dinov2", {**SMALL, "img_size": 70}),
    "dinov2-registers": ("vit_small_patch14_reg4_dinov2", {**SMALL, "img_size": 70}),
    "dinov2-swiglu": ("vit_giant_patch14_dinov2", {**SMALL, "img_size": 70}),
    "rms-norm": ("test_vit4", SMALL),
    "aimv2": ("aimv2_large_patch14_224", {**SMALL, "img_size": 56}),
    "eva02": ("eva02_tiny_patch14_224", {**ROPE, "img_size": 70}),
    "eva02-inner-norm": ("eva02_base_patch14_448", {**ROPE, "img_size": 70}),
    "eva02-clip": ("eva02_base_patch16_clip_224", ROPE),
    "eva-giant": ("eva_giant_patch14_224", {**SMALL, "img_size": 70}),
    "eva-large": ("eva_large_patch14_196", {**SMALL, "img_size": 70}),
    "rope-axial": ("vit_small_patch16_rope_224", ROPE),
    "rope-mixed": ("vit_small_patch16_rope_mixed_224", ROPE),
    "rope-axial-ape": ("vit_small_patch16_rope_ape_224", ROPE),
    "rope-mixed-ape": ("vit_small_patch16_rope_mixed_ape_224", ROPE),
    "rope-registers-gap": ("vit_medium_patch16_rope_reg1_gap_256", ROPE),
    "dinov3": ("vit_small_patch16_dinov3", ROPE),
    "dinov3-qkv-bias": ("vit_small_patch16_dinov3_qkvb", ROPE),
    "dinov3-gated": ("vit_huge_plus_patch16_dinov3", ROPE),
    "perception-core": ("vit_pe_core_tiny_patch16_384", ROPE),
    "perception-spatial": ("vit_pe_spatial_tiny_patch16_512", ROPE),
    # Arguments that change what is computed, though no tensor tells of them.
    "argument-tanh-gelu": ("vit_tiny_patch16_224", {**SMALL, "act_layer": "gelu_tanh"}),
    "argument-relu": ("vit_tiny_patch16_224", {**SMALL, "act_layer": "relu"}),
    "argument-rms-norm": ("vit_tiny_patch16_224", {**SMALL, "norm_layer": "rmsnorm"}),
    "argument-float-norm": ("vit_tiny_patch16_224", {**SMALL, "norm_layer": "layernormfp32"}),
    "argument-image-sides": ("vit_tiny_patch16_224", {**SMALL, "img_size": [64, 64]}),
    "argument-dynamic-size": ("vit_tiny_patch16_224", {**SMALL, "dynamic_img_size": True}),
    "argument-dropout": ("vit_tiny_patch16_224", {**SMALL, "drop_rate": 0.1, "drop_path_rate": 0.1}),
    "argument-no-class-position": ("vit_tiny_patch16_224", {**SMALL, "no_embed_class": True}),
    "argument-temperature": ("vit_small_patch16_rope_224", {**ROPE, "rope_temperature": 20.0}),
    "argument-rotate-half": ("vit_small_patch16_rope_224", {**ROPE, "rope_rotate_half": True}),
    "argument-grid-offset": ("vit_small_patch16_rope_224", {**ROPE, "rope_grid_offset": 0.5}),
    "argument-grid-indexing": ("vit_small_patch16_rope_224", {**ROPE, "rope_grid_indexing": "xy"}),
    "argument-reference-grid": ("eva02_tiny_patch14_224", {**ROPE, "img_size": 70, "ref_feat_shape": (8, 8)}),
    "argument-no-rope": ("eva02_tiny_patch14_224", {**ROPE, "img_size": 70, "use_rot_pos_emb": False}),
    "argument-no-table": ("eva02_tiny_patch14_224", {**ROPE, "img_size": 70, "use_abs_pos_emb": False}),
    "argument-post-norm": ("eva02_tiny_patch14_224", {**ROPE, "img_size": 70, "use_post_norm": True}),
    "argument-eva-registers": ("vit_small_patch16_dinov3", {**ROPE, "num_reg_tokens": 2}),
    "argument-eva-class-token": ("vit_small_patch16_dinov3", {**ROPE, "global_pool": "token", "num_classes": 0}),
    "argument-eva-qk-norm": ("eva02_tiny_patch14_224", {**ROPE, "img_size": 70, "qk_norm": True}),
    "res-post-norm": ("vit_base_patch16_rpn_224", SMALL),
    "parallel": ("vit_small_patch16_18x2_224", SMALL),
    "beit": ("beit_base_patch16_224", SMALL),
    "relative-positions": ("vit_relpos_small_patch16_224", SMALL),
}


def missing(folder):
    """A folder that names an architecture of the future."""
    model = create("vit_tiny_patch16_224", **SMALL)
    save(model, folder / "model")
    rename(folder / "model", "vit_tiny_patch16_imagined_224")
    return truth(model, "model")


def grey(folder):
    """Images of one channel."""
    model = create("vit_tiny_patch16_224", **SMALL, in_chans=1)
    save(model, folder / "model")
    return question(model, "model")


def cases():
    found = [Case(f"timm/{name}", writer(base, **over)) for name, (base, over) in FEATURES.items()]
    unknown = Case("timm/unknown-architecture", missing, asks_for="vit_tiny_patch16_imagined_224")
    return [*found, unknown, Case("timm/grey", grey, asks_for="")]
