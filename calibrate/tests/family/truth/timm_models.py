"""timm: any architecture name, written as timm's own `save_for_hf` writes it."""

import json

import timm
import torch
from timm.models._hub import save_for_hf
from timm.models._registry import get_deprecated_models

from .case import Truth, normalized, random_pixels
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
    return randomize(model, seed)


def image_size(model):
    size = getattr(getattr(model, "patch_embed", None), "img_size", None)
    size = size or model.pretrained_cfg["input_size"][1:]
    return size if isinstance(size, int) else size[-1]


@torch.no_grad()
def truth(model, checkpoint=".", count=2, options=()):
    """The model's own output for random pixels at its image size."""
    pixels = random_pixels(image_size(model), count)
    colours = model.pretrained_cfg["mean"], model.pretrained_cfg["std"]
    output = model(normalized(pixels, *colours))
    kind = "embedding" if model.num_classes == 0 else "logits"
    return Truth(checkpoint, pixels, output, kind, tuple(options))


def save(model, folder, architecture=None, safe=True, **arguments):
    """A folder as on the hub. `architecture`: an old name for it."""
    # Labels of whatever the published weights were trained on are no part of a random model.
    save_for_hf(model, str(folder), safe_serialization=safe, **arguments)
    if architecture is not None:
        path = folder / "config.json"
        config = json.loads(path.read_text())
        config["architecture"] = architecture
        path.write_text(json.dumps(config, indent=2))


def writer(name, count=2, seed=0, alias=None, options=(), **arguments):
    """A `Case.write` for an architecture with arguments of its constructor."""

    def write(folder):
        model = create(name, seed, **arguments)
        save(model, folder / "model", alias)
        return truth(model, "model", count, options)

    return write
