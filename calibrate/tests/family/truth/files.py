"""The same few models in every kind of file that people have, and files that must be refused by what is wrong with them."""

import argparse
import collections
import functools
import json
import os
import shutil
import sys

import timm
import torch
from safetensors.torch import save_file

from . import timm_models, transformers_models
from .case import Case
from .randomize import randomize

# Three heads of 64, at its own width, so that a raw state dict is what `--architecture` names.
RAW = "vit_tiny_patch16_224"
ARCHITECTURE = ("--architecture", RAW)
HUGGING_FACE = transformers_models.MODELS["vit"]


def tiny(seed=0, **arguments):
    return timm_models.create(RAW, seed, **{"num_classes": 10, **arguments})


def rounded(model, dtype):
    """The model with weights that a narrower type can hold, and its state dict in that type."""
    narrow = {name: tensor.to(dtype) for name, tensor in model.state_dict().items()}
    model.load_state_dict({name: tensor.float() for name, tensor in narrow.items()})
    return narrow


def hub_config(model, folder):
    """timm's config.json without weights."""
    timm_models.save(model, folder)
    (folder / "model.safetensors").unlink()


def typed(dtype, pickled, folder):
    """A timm folder whose tensors have another type."""
    model = tiny()
    hub_config(model, folder / "model")
    tensors = rounded(model, dtype)
    if pickled:
        torch.save(tensors, folder / "model/pytorch_model.bin")
    else:
        save_file(tensors, folder / "model/model.safetensors")
    return timm_models.truth(model, "model")


def hugging_face(folder, **save):
    """A folder of transformers' own; returns the model, its truth, and the folder."""
    model = HUGGING_FACE.create()
    model.save_pretrained(folder / "model", **save)
    HUGGING_FACE.image_processor(32).save_pretrained(folder / "model")
    return model, HUGGING_FACE.truth(model, 32), folder / "model"


def sharded(folder):
    _, truth, at = hugging_face(folder, max_shard_size="300KB")
    assert len(list(at.glob("model-*.safetensors"))) > 1
    return truth


def missing_shard(folder):
    truth = sharded(folder)
    sorted((folder / "model").glob("model-*.safetensors"))[1].unlink()
    return truth


def single_file(folder):
    """The path of the file, not of its folder; config.json beside it."""
    _, truth, _ = hugging_face(folder)
    truth.checkpoint = "model/model.safetensors"
    return truth


def original_names(model, at):
    """The state dict as it is in the file, in names of version 4, and no file."""
    from safetensors.torch import load_file

    tensors = load_file(at / "model.safetensors")
    (at / "model.safetensors").unlink()
    return tensors


def pickled_hugging_face(folder):
    model, truth, at = hugging_face(folder)
    torch.save(original_names(model, at), at / "pytorch_model.bin")
    return truth


def sharded_pickles(folder):
    model, truth, at = hugging_face(folder)
    tensors = sorted(original_names(model, at).items())
    index = {"metadata": {"total_size": sum(t.nbytes for _, t in tensors)}, "weight_map": {}}
    for number in range(3):
        name = f"pytorch_model-{number + 1:05d}-of-00003.bin"
        torch.save(dict(tensors[number::3]), at / name)
        index["weight_map"].update({tensor: name for tensor, _ in tensors[number::3]})
    (at / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return truth


def unused(folder):
    """What a file of version 4 has besides: a pooler and a mask token that the classifier does not use."""
    model, truth, at = hugging_face(folder)
    tensors = original_names(model, at)
    tensors |= {
        "vit.pooler.dense.weight": torch.randn(128, 128),
        "vit.pooler.dense.bias": torch.randn(128),
        "vit.embeddings.mask_token": torch.randn(1, 1, 128),
        "vit.embeddings.position_ids": torch.arange(17),
    }
    save_file(tensors, at / "model.safetensors")
    return truth


def replaced_classifier(folder):
    """A head of (Dropout, Linear) on transformers' model."""
    model = HUGGING_FACE.create()
    model.classifier = torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(128, 10))
    randomize(model, 0)
    model.save_pretrained(folder / "model")
    HUGGING_FACE.image_processor(32).save_pretrained(folder / "model")
    return HUGGING_FACE.truth(model, 32)


def trainer(folder, final=True):
    """The output folder of transformers' Trainer: the model, its optimizer, and checkpoints below it."""
    _, truth, at = hugging_face(folder)
    for step in (500, 1000):
        shutil.copytree(at, at / f"checkpoint-{step}", ignore=shutil.ignore_patterns("checkpoint-*"))
    torch.save(argparse.Namespace(learning_rate=1e-4), at / "training_args.bin")
    torch.save({"state": {0: {"exp_avg": torch.randn(4)}}}, at / "checkpoint-1000/optimizer.pt")
    (at / "trainer_state.json").write_text(json.dumps({"global_step": 1000}))
    if not final:
        (at / "model.safetensors").unlink()
    return truth


def chosen_checkpoint(folder):
    truth = trainer(folder, final=False)
    truth.checkpoint = "model/checkpoint-1000"
    return truth


def pth(wrap, folder, options=(), name="model.pth", **arguments):
    """A file of `torch.save`: `wrap(state dict)` gives what is in it."""
    model = tiny(**arguments)
    torch.save(wrap(model.state_dict()), folder / name)
    return timm_models.truth(model, name, options=(*ARCHITECTURE, *options))


def same(tensors):
    return tensors


def under(*keys):
    """Wraps in a dict, or several."""
    return lambda tensors: functools.reduce(lambda inner, key: {key: inner}, reversed(keys), tensors)


def prefixed(prefix):
    return lambda tensors: {prefix + name: tensor for name, tensor in tensors.items()}


def training_state(tensors):
    """timm's own checkpoint of a training run."""
    return {
        "epoch": 7,
        "arch": RAW,
        "state_dict": tensors,
        "optimizer": {"state": {0: {"exp_avg": torch.randn(3), "step": torch.tensor(4.0)}}, "param_groups": [{"lr": 1e-3}]},
        "version": 2,
        "args": argparse.Namespace(model=RAW, lr=1e-3, aa=None, betas=(0.9, 0.999)),
        "metric": 81.5,
    }


def lightning(tensors):
    return {
        "epoch": 3,
        "global_step": 1200,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": prefixed("model.")(tensors),
        "hyper_parameters": {"lr": 1e-3, "name": RAW},
        "callbacks": {},
    }


def scaled(tensors):
    """Other weights of the same shapes: an average that must not be taken for the plain ones."""
    return {name: tensor * 0.9 for name, tensor in tensors.items()}


def with_average(tensors):
    return {"state_dict": tensors, "state_dict_ema": scaled(tensors)}


def averaged_only(tensors):
    """The other way round: the truth is the average."""
    return {"state_dict": scaled(tensors), "state_dict_ema": tensors}


def parameters(tensors):
    return collections.OrderedDict((name, torch.nn.Parameter(tensor)) for name, tensor in tensors.items())


def views(tensors):
    """Tensors that share one storage, transposed in it where they are matrices."""
    found = {}
    storage = torch.empty(sum(tensor.numel() for tensor in tensors.values()))
    offset = 0
    for name, tensor in tensors.items():
        part = storage[offset : offset + tensor.numel()]
        offset += tensor.numel()
        view = part.view(tensor.shape[::-1]).permute(*reversed(range(tensor.ndim))) if tensor.ndim else part[0]
        view.copy_(tensor)
        found[name] = view
    return found


def half(model_folder):
    model = tiny()
    tensors = rounded(model, torch.float16)
    torch.save({"model": tensors}, model_folder / "model.pt")
    return timm_models.truth(model, "model.pt", options=ARCHITECTURE)


def legacy(folder):
    model = tiny()
    torch.save(model.state_dict(), folder / "model.pth", _use_new_zipfile_serialization=False)
    return timm_models.truth(model, "model.pth", options=ARCHITECTURE)


def whole_module(folder):
    model = tiny()
    torch.save(model, folder / "model.pth")
    return timm_models.truth(model, "model.pth", options=ARCHITECTURE)


class Hostile:
    """Unpickled by Python, it would run a command."""

    def __reduce__(self):
        return os.system, ("touch hostile",)


def hostile(folder):
    return pth(lambda tensors: {"state_dict": tensors, "extra": Hostile()}, folder)


def pointer(folder):
    """A folder cloned without Git LFS."""
    _, truth, at = hugging_face(folder)
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 343473408\n"
    (at / "model.safetensors").write_text(text)
    return truth


def truncated(folder):
    truth = pth(same, folder)
    at = folder / "model.pth"
    at.write_bytes(at.read_bytes()[:100_000])
    return truth


def timm_head(folder):
    """A head of (Dropout, Linear) on timm's model."""
    model = tiny()
    model.head = torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(192, 4))
    randomize(model, 0)
    torch.save(model.state_dict(), folder / "model.pth")
    return timm_models.truth(model, "model.pth", options=ARCHITECTURE)


def resized_export(folder):
    """An export of older versions of timm: the size of the published model in config.json, another in the tensors."""
    model = tiny(img_size=96)
    timm_models.save(model, folder / "model")
    path = folder / "model/config.json"
    config = json.loads(path.read_text())
    config.pop("model_args")
    config["pretrained_cfg"]["input_size"] = [3, 224, 224]
    path.write_text(json.dumps(config))
    return timm_models.truth(model, "model")


def resampled(name, sizes, folder, **arguments):
    """`--image-size`: the truth is timm's model of that size with the weights that its own filter resamples."""
    old, new = sizes
    small = {**timm_models.SMALL, **arguments}
    model = timm_models.create(name, **{**small, "img_size": old})
    timm_models.save(model, folder / "model")
    larger = timm.create_model(name, depth=timm_models.DEPTH, **{**small, "img_size": new}).eval()
    convert = sys.modules[type(larger).__module__].checkpoint_filter_fn
    larger.load_state_dict(convert(model.state_dict(), larger))
    return timm_models.truth(larger, "model", options=("--image-size", str(new)))


def stated_colours(folder):
    model = tiny()
    model.pretrained_cfg = dict(model.pretrained_cfg, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    torch.save(model.state_dict(), folder / "model.pth")
    options = (*ARCHITECTURE, "--mean", "0.4,0.5,0.6", "--std", "0.2,0.25,0.3")
    return timm_models.truth(model, "model.pth", options=options)


def without_architecture(folder, **arguments):
    truth = pth(same, folder, **arguments)
    truth.options = ("--preprocessing", "inception")
    return truth


def raw_safetensors(folder):
    model = tiny()
    save_file(model.state_dict(), folder / "weights.safetensors")
    return timm_models.truth(model, "weights.safetensors", options=ARCHITECTURE)


def raw_of(name, folder):
    """The architecture says what tensors do not: heads of 32, quick GELU, epsilon."""
    model = timm_models.create(name)
    torch.save(model.state_dict(), folder / "model.pth")
    return timm_models.truth(model, "model.pth", options=("--architecture", name))


TYPES = {"f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64, "f32": torch.float32}
WRAPPED = {
    "plain": same,
    "state-dict": under("state_dict"),
    "model": under("model"),
    "model-state-dict": under("model_state_dict"),
    "teacher": under("teacher"),
    "nested": under("checkpoint", "state_dict"),
    "averaged-only": under("state_dict_ema"),
    "module-prefix": prefixed("module."),
    "model-prefix": prefixed("model."),
    "compiled-prefix": prefixed("_orig_mod."),
    "compiled-in-module-prefix": prefixed("module._orig_mod."),
    "backbone-prefix": prefixed("backbone."),
    "encoder-prefix": prefixed("encoder."),
    "timm-model-prefix": prefixed("timm_model."),
    "training-state": training_state,
    "lightning": lightning,
    "parameters": parameters,
    "views": views,
}
RESAMPLED = {
    "token": ("vit_tiny_patch16_224", (64, 96), {}),
    "down": ("vit_tiny_patch16_224", (96, 48), {}),
    "no-embed-class": ("deit3_small_patch16_224", (64, 112), {}),
    "registers": ("vit_small_patch14_reg4_dinov2", (70, 98), {}),
    "distilled": ("deit_tiny_distilled_patch16_224", (64, 80), {}),
    "attention-pooling": ("vit_base_patch16_siglip_224", (64, 96), {}),
    "dinov2": ("vit_small_patch14_dinov2", (98, 70), {}),
    "eva02": ("eva02_tiny_patch14_224", (70, 98), {}),
    "rope-axial": ("vit_small_patch16_rope_224", (64, 96), {}),
    "rope-mixed": ("vit_small_patch16_rope_mixed_224", (64, 96), {}),
    "dinov3": ("vit_small_patch16_dinov3", (64, 96), {}),
    "perception": ("vit_pe_core_tiny_patch16_384", (64, 96), {}),
}
KEY = "--weights-key"


def accepted():
    """Files that hold a model, however they do."""
    yield from ((f"{name}-safetensors", functools.partial(typed, dtype, False)) for name, dtype in TYPES.items())
    yield from ((f"{name}-bin", functools.partial(typed, dtype, True)) for name, dtype in TYPES.items())
    yield from ((f"pth-{name}", functools.partial(pth, wrap)) for name, wrap in WRAPPED.items())
    yield from (
        (f"image-size-{name}", functools.partial(resampled, base, sizes, **more))
        for name, (base, sizes, more) in RESAMPLED.items()
    )
    yield "sharded", sharded
    yield "single-file", single_file
    yield "transformers-bin", pickled_hugging_face
    yield "sharded-bin", sharded_pickles
    yield "unused-tensors", unused
    yield "replaced-classifier", replaced_classifier
    yield "replaced-timm-head", timm_head
    yield "trainer", trainer
    yield "trainer-checkpoint", chosen_checkpoint
    yield "pt-half", half
    yield "ckpt-lightning", functools.partial(pth, lightning, name="last.ckpt")
    yield "average-chosen", functools.partial(pth, averaged_only, options=(KEY, "state_dict_ema"))
    yield "plain-chosen", functools.partial(pth, with_average, options=(KEY, "state_dict"))
    yield "resized-export", resized_export
    yield "stated-colours", stated_colours
    yield "raw-safetensors", raw_safetensors
    yield "raw-heads-of-32", functools.partial(raw_of, "test_vit")
    yield "raw-deprecated-name", functools.partial(raw_of, "vit_tiny_patch16_224_in21k")
    yield "raw-quick-gelu", functools.partial(raw_of, "vit_base_patch32_clip_quickgelu_224")


def refused():
    """Files that must not be read, with a word that the message has to have."""
    yield "no-architecture", without_architecture, "architecture"
    yield "plain-and-average", functools.partial(pth, with_average), "weights-key"
    yield "trainer-without-model", functools.partial(trainer, final=False), "checkpoint-"
    yield "missing-shard", missing_shard, "model-00002"
    yield "lfs-pointer", pointer, "lfs"
    yield "legacy-format", legacy, "torch"
    yield "whole-module", whole_module, "VisionTransformer"
    yield "hostile", hostile, "system"
    yield "truncated", truncated, "model.pth"


def cases():
    readable = [Case(f"files/{name}", write) for name, write in accepted()]
    return readable + [Case(f"files/{name}", write, asks_for=word) for name, write, word in refused()]
