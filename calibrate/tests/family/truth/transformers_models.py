"""Hugging Face transformers: classes by configuration, written by `save_pretrained` with their image processor."""

import dataclasses
import functools
import json

import torch
import transformers

from .case import Case, Truth, normalized, random_pixels
from .randomize import randomize, uninitialised

CLASSES = 10
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()

SMALL = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
PLAIN = {**SMALL, "intermediate_size": 256}
TEXT = {
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 99,
    "bos_token_id": 97,
    "eos_token_id": 98,
}


def logits(output):
    return "logits", output.logits


def headless(output):
    """What a class for classification gives for no classes."""
    return "embedding", output.logits


def pooled(output):
    return "embedding", output.pooler_output


def class_token(output):
    """The first row after the last norm. What some classes call the pooler, a dense layer with tanh, no head uses."""
    return "embedding", output.last_hidden_state[:, 0]


def mean(output):
    return "embedding", output.last_hidden_state.mean(1)


def image_embeds(output):
    return "embedding", output.image_embeds


@dataclasses.dataclass(frozen=True)
class Model:
    """A class, its configuration and processor, and which of its outputs is the answer."""

    cls: str
    config: object
    answer: object = logits
    processor: str = "ViTImageProcessor"
    # Arguments of the call, such as interpolate_pos_encoding.
    call: dict = dataclasses.field(default_factory=dict)

    def create(self, seed=0):
        with uninitialised():
            model = getattr(transformers, self.cls)(self.config())
        return randomize(model, seed)

    def image_processor(self, size):
        sides = {"height": size, "width": size}
        crops = {"crop_size": sides} if self.processor in ("CLIPImageProcessor", "BitImageProcessor") else {}
        resize = {"shortest_edge": size} if crops else sides
        return getattr(transformers, self.processor)(size=resize, **crops)

    @torch.no_grad()
    def truth(self, model, size, checkpoint="model", options=(), run=None):
        """The library's answer for random pixels. `run`: what to call in the model's place."""
        processor = self.image_processor(size)
        pixels = random_pixels(size, 2)
        inputs = normalized(pixels, processor.image_mean, processor.image_std)
        kind, output = self.answer((run or model)(inputs, **self.call))
        return Truth(checkpoint, pixels, output, kind, tuple(options))


def image_size(model):
    config = getattr(model.config, "vision_config", model.config)
    size = config.image_size
    return size if isinstance(size, int) else size[0]


def write(kind, folder, run=None, **save):
    """A folder of the model and its processor."""
    model = kind.create()
    size = image_size(model)
    model.save_pretrained(folder / "model", **save)
    kind.image_processor(size).save_pretrained(folder / "model")
    return kind.truth(model, size, run=run(model) if run else None)


def config(cls, base=PLAIN, **changes):
    def make():
        return getattr(transformers, cls)(**{**base, "num_labels": CLASSES, **changes})

    return make


def two_towers(cls, vision, text, **more):
    """A configuration with an image and a text tower."""

    def make():
        return getattr(transformers, cls)(vision_config=vision, text_config=text, num_labels=CLASSES, **more)

    return make


CLIP_VISION = {**PLAIN, "projection_dim": 64}
CLIP_TOWERS = two_towers("CLIPConfig", CLIP_VISION, {**TEXT, "projection_dim": 64}, projection_dim=64)
SIGLIP_TOWERS = two_towers("SiglipConfig", PLAIN, {**TEXT, "hidden_size": 128})
# Heads of 72 channels and an MLP that is no multiple of 64, as in SO400M.
SO400M = {**PLAIN, "hidden_size": 576, "num_attention_heads": 8, "intermediate_size": 1076}

CLIP = functools.partial(Model, processor="CLIPImageProcessor")
SIGLIP = functools.partial(Model, processor="SiglipImageProcessor")
DINOV2 = functools.partial(Model, processor="BitImageProcessor")
DINOV3 = functools.partial(Model, answer=pooled, processor="DINOv3ViTImageProcessor")

MODELS = {
    "vit": Model("ViTForImageClassification", config("ViTConfig")),
    "vit-headless": Model("ViTModel", config("ViTConfig"), class_token),
    "vit-masked": Model("ViTForMaskedImageModeling", config("ViTConfig", encoder_stride=8), logits),
    "vit-heads-of-32": Model("ViTForImageClassification", config("ViTConfig", num_attention_heads=4)),
    "vit-heads-of-48": Model("ViTForImageClassification", config("ViTConfig", hidden_size=192, num_attention_heads=4)),
    "vit-no-qkv-bias": Model("ViTForImageClassification", config("ViTConfig", qkv_bias=False)),
    "vit-odd-mlp": Model("ViTForImageClassification", config("ViTConfig", intermediate_size=250)),
    "vit-quick-gelu": Model("ViTForImageClassification", config("ViTConfig", hidden_act="quick_gelu")),
    "vit-gelu-tanh": Model("ViTForImageClassification", config("ViTConfig", hidden_act="gelu_pytorch_tanh")),
    "vit-gelu-new": Model("ViTForImageClassification", config("ViTConfig", hidden_act="gelu_new")),
    "vit-silu": Model("ViTForImageClassification", config("ViTConfig", hidden_act="silu")),
    "vit-gelu-fast": Model("ViTForImageClassification", config("ViTConfig", hidden_act="gelu_fast")),
    "vit-mish": Model("ViTForImageClassification", config("ViTConfig", hidden_act="mish")),
    "vit-patch-size-list": Model("ViTForImageClassification", config("ViTConfig", patch_size=[8, 8])),
    "vit-no-classes": Model("ViTForImageClassification", config("ViTConfig", num_labels=0), headless),
    "vit-relu": Model("ViTForImageClassification", config("ViTConfig", hidden_act="relu")),
    "vit-epsilon": Model("ViTForImageClassification", config("ViTConfig", layer_norm_eps=1e-3)),
    "vit-image-size-list": Model("ViTForImageClassification", config("ViTConfig", image_size=[32, 32])),
    "vit-two-classes": Model("ViTForImageClassification", config("ViTConfig", num_labels=2)),
    "deit": Model("DeiTForImageClassification", config("DeiTConfig")),
    "deit-teacher": Model("DeiTForImageClassificationWithTeacher", config("DeiTConfig")),
    "deit-headless": Model("DeiTModel", config("DeiTConfig"), class_token),
    "dinov2": DINOV2("Dinov2ForImageClassification", config("Dinov2Config", SMALL)),
    "dinov2-headless": DINOV2("Dinov2Model", config("Dinov2Config", SMALL), pooled),
    "dinov2-swiglu": DINOV2("Dinov2ForImageClassification", config("Dinov2Config", SMALL, use_swiglu_ffn=True)),
    "dinov2-mlp-ratio": DINOV2("Dinov2ForImageClassification", config("Dinov2Config", SMALL, mlp_ratio=3)),
    "dinov2-no-qkv-bias": DINOV2("Dinov2ForImageClassification", config("Dinov2Config", SMALL, qkv_bias=False)),
    "dinov2-no-classes": DINOV2("Dinov2ForImageClassification", config("Dinov2Config", SMALL, num_labels=0), headless),
    "dinov2-patch-14": DINOV2("Dinov2Model", config("Dinov2Config", SMALL, patch_size=14, image_size=70), pooled),
    "dinov2-registers": DINOV2(
        "Dinov2WithRegistersForImageClassification", config("Dinov2WithRegistersConfig", SMALL)
    ),
    "dinov2-registers-headless": DINOV2("Dinov2WithRegistersModel", config("Dinov2WithRegistersConfig", SMALL), pooled),
    "dinov2-registers-swiglu": DINOV2(
        "Dinov2WithRegistersModel", config("Dinov2WithRegistersConfig", SMALL, use_swiglu_ffn=True), pooled
    ),
    "dinov3": DINOV3("DINOv3ViTModel", config("DINOv3ViTConfig", num_register_tokens=4)),
    "dinov3-gated": DINOV3(
        "DINOv3ViTModel", config("DINOv3ViTConfig", num_register_tokens=4, use_gated_mlp=True, hidden_act="silu")
    ),
    "dinov3-biases": DINOV3("DINOv3ViTModel", config("DINOv3ViTConfig", key_bias=True, mlp_bias=False)),
    "dinov3-theta": DINOV3("DINOv3ViTModel", config("DINOv3ViTConfig", rope_theta=10.0, image_size=64)),
    "dinov3-no-query-bias": DINOV3("DINOv3ViTModel", config("DINOv3ViTConfig", query_bias=False, proj_bias=False)),
    "dinov3-tanh-gelu": DINOV3("DINOv3ViTModel", config("DINOv3ViTConfig", hidden_act="gelu_pytorch_tanh")),
    "dinov3-gated-gelu": DINOV3("DINOv3ViTModel", config("DINOv3ViTConfig", use_gated_mlp=True)),
    "clip-vision": CLIP("CLIPVisionModel", config("CLIPVisionConfig", CLIP_VISION), pooled),
    "clip-vision-gelu": CLIP("CLIPVisionModel", config("CLIPVisionConfig", CLIP_VISION, hidden_act="gelu"), pooled),
    "clip-projection": CLIP("CLIPVisionModelWithProjection", config("CLIPVisionConfig", CLIP_VISION), image_embeds),
    "clip-classification": CLIP("CLIPForImageClassification", CLIP_TOWERS),
    "siglip-vision": SIGLIP("SiglipVisionModel", config("SiglipVisionConfig"), pooled),
    "siglip-so400m": SIGLIP("SiglipVisionModel", config("SiglipVisionConfig", SO400M), pooled),
    "siglip-remainder": SIGLIP("SiglipVisionModel", config("SiglipVisionConfig", image_size=37), pooled),
    "siglip-gelu": SIGLIP("SiglipVisionModel", config("SiglipVisionConfig", hidden_act="gelu"), pooled),
    "siglip-epsilon": SIGLIP("SiglipVisionModel", config("SiglipVisionConfig", layer_norm_eps=1e-4), pooled),
    "siglip-classification": SIGLIP("SiglipForImageClassification", SIGLIP_TOWERS),
    "vit-msn": Model("ViTMSNForImageClassification", config("ViTMSNConfig")),
    "vit-msn-headless": Model("ViTMSNModel", config("ViTMSNConfig"), class_token),
    "ijepa": Model("IJepaForImageClassification", config("IJepaConfig")),
    "ijepa-headless": Model("IJepaModel", config("IJepaConfig"), mean),
    "beit": Model("BeitForImageClassification", config("BeitConfig", use_relative_position_bias=True)),
    "data2vec": Model("Data2VecVisionForImageClassification", config("Data2VecVisionConfig")),
    "yolos": Model("YolosModel", config("YolosConfig", image_size=[32, 32]), class_token),
}
# Outputs that are no answer to a classification: right only if the encoder's class token is meant, or refused.
MODELS["vit-masked"] = dataclasses.replace(MODELS["vit-masked"], answer=class_token)


def towers(name, config, part, processor):
    """A whole file of two towers: the image's is meant."""
    model = Model(name, config, pooled, processor)

    def write_towers(folder):
        return write(model, folder, run=lambda whole: functools.partial(part, whole))

    return write_towers


def image_features(whole, pixels):
    """`get_image_features` gives the projected vector, as a field in newer versions."""
    features = whole.get_image_features(pixel_values=pixels)
    return features if hasattr(features, "pooler_output") else transformers.utils.ModelOutput(pooler_output=features)


def masked_encoder(folder):
    """The encoder of ViT-MAE without masking: the order in which it then shuffles patches changes nothing."""
    model = Model(
        "ViTMAEForPreTraining",
        config("ViTMAEConfig", decoder_hidden_size=64, decoder_num_hidden_layers=1, decoder_intermediate_size=64),
        class_token,
    )

    def encoder(whole):
        whole.vit.embeddings.config.mask_ratio = 0.0
        return whole.vit

    return write(model, folder, encoder)


def mim_encoder(folder):
    """ViT's encoder out of a masked image model's file, which has a mask token and a decoder."""
    return write(MODELS["vit-masked"], folder, lambda whole: whole.vit)


def resampled(name, size):
    """A table of another size than asked for with `--image-size`, resampled as the library does it."""
    kind = MODELS[name]

    def write_resampled(folder):
        model = kind.create()
        model.save_pretrained(folder / "model")
        kind.image_processor(image_size(model)).save_pretrained(folder / "model")
        options = ("--image-size", str(size))
        always = name.startswith("dino")
        resampling = dataclasses.replace(kind, call={} if always else {"interpolate_pos_encoding": True})
        return resampling.truth(model, size, options=options)

    return write_resampled


def processed(changes, folder, name="vit"):
    """A processor's file with fields changed, or absent where the change is None."""
    kind = MODELS[name]
    truth = write(kind, folder)
    path = folder / "model/preprocessor_config.json"
    fields = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({field: value for field, value in fields.items() if value is not None}))
    return truth


def as_it_says(mean, std, changes, folder):
    """Another normalization than the usual, by the processor's own fields."""
    truth = processed(changes, folder)
    model = MODELS["vit"].create()
    with torch.no_grad():
        truth.output = model(normalized(truth.pixels, mean, std)).logits
    return truth


def grey(folder):
    """Images of one channel."""
    model = Model("ViTForImageClassification", config("ViTConfig", num_channels=1)).create()
    model.save_pretrained(folder / "model")
    return Truth("model", random_pixels(32), None, options=("--preprocessing", "inception"))


def timm_wrapper(folder):
    """A timm model in transformers' wrapper for it."""
    wrapped = {"architecture": "vit_tiny_patch16_224", "model_args": {"depth": 2, "embed_dim": 128, "num_heads": 2}}
    kind = Model("TimmWrapperForImageClassification", lambda: transformers.TimmWrapperConfig(num_labels=10, **wrapped))
    model = kind.create()
    model.save_pretrained(folder / "model")
    pixels = random_pixels(224, 2)
    with torch.no_grad():
        output = model(normalized(pixels, (0.5,) * 3, (0.5,) * 3)).logits
    return Truth("model", pixels, output, options=("--preprocessing", "inception"))


def oblong(folder):
    """Images that are no squares."""
    Model("ViTForImageClassification", config("ViTConfig", image_size=[32, 48])).create().save_pretrained(folder / "model")
    return Truth("model", random_pixels(32), None, options=("--preprocessing", "inception"))


def cases():
    special = {
        "vit-masked": mim_encoder,
        "vit-version-5-names": lambda folder: write(MODELS["vit"], folder, save_original_format=False),
        "vit-mae": masked_encoder,
        "clip": towers("CLIPModel", CLIP_TOWERS, image_features, "CLIPImageProcessor"),
        "siglip": towers("SiglipModel", SIGLIP_TOWERS, image_features, "SiglipImageProcessor"),
        "timm-wrapper": timm_wrapper,
        "clip-no-mean": functools.partial(processed, {"image_mean": None, "image_std": None}, name="clip-vision"),
        "processor-mean": functools.partial(
            as_it_says, (0.4, 0.5, 0.6), (0.2,) * 3, {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2] * 3}
        ),
        "processor-no-normalization": functools.partial(as_it_says, (0,) * 3, (1,) * 3, {"do_normalize": False}),
        "processor-no-rescaling": functools.partial(as_it_says, (1 / 510,) * 3, (1 / 510,) * 3, {"do_rescale": False}),
        "processor-other-scale": functools.partial(
            as_it_says, (0.25,) * 3, (0.25,) * 3, {"rescale_factor": 1 / 127.5}
        ),
        "vit-resampled": resampled("vit", 48),
        "deit-resampled": resampled("deit", 48),
        "dinov2-resampled": resampled("dinov2", 56),
        "dinov2-registers-resampled": resampled("dinov2-registers", 24),
        "dinov3-resampled": resampled("dinov3", 48),
        "clip-resampled": resampled("clip-vision", 48),
        "siglip-resampled": resampled("siglip-vision", 48),
    }
    found = {name: functools.partial(write, model) for name, model in MODELS.items()}
    right = [Case(f"transformers/{name}", write) for name, write in {**found, **special}.items()]
    refused = {"vit-oblong": (oblong, "image_size"), "vit-grey": (grey, "")}
    return right + [Case(f"transformers/{name}", write, asks_for=word) for name, (write, word) in refused.items()]
