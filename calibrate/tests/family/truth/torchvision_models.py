"""torchvision: `vit_*` with their own names and widths, as a state dict, which is all that torchvision writes."""

import functools

import torch
from safetensors.torch import save_file
from torchvision.models import VisionTransformer

from .case import Case, Truth, normalized, random_pixels
from .randomize import randomize, uninitialised

# What ViT_B_16_Weights.IMAGENET1K_V1.transforms() says.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PREPROCESSING = ("--preprocessing", "imagenet")
MODELS = {
    "vit_b_16": {"patch_size": 16, "num_heads": 12, "hidden_dim": 768, "mlp_dim": 3072, "image_size": 64},
    "vit_b_32": {"patch_size": 32, "num_heads": 12, "hidden_dim": 768, "mlp_dim": 3072, "image_size": 96},
    "vit_l_16": {"patch_size": 16, "num_heads": 16, "hidden_dim": 1024, "mlp_dim": 4096, "image_size": 64},
    "vit_l_32": {"patch_size": 32, "num_heads": 16, "hidden_dim": 1024, "mlp_dim": 4096, "image_size": 96},
    "vit_h_14": {"patch_size": 14, "num_heads": 16, "hidden_dim": 1280, "mlp_dim": 5120, "image_size": 70},
}


def create(arguments, seed=0):
    with uninitialised():
        model = VisionTransformer(num_layers=2, dropout=0.0, attention_dropout=0.0, num_classes=10, **arguments)
    return randomize(model, seed)


@torch.no_grad()
def truth(model, checkpoint, options=()):
    pixels = random_pixels(model.image_size, 2)
    return Truth(checkpoint, pixels, model(normalized(pixels, MEAN, STD)), options=(*PREPROCESSING, *options))


def write(name, folder):
    model = create(MODELS[name])
    save_file(model.state_dict(), folder / "model.safetensors")
    return truth(model, "model.safetensors", ("--architecture", name))


def write_pth(name, folder):
    model = create(MODELS[name])
    torch.save(model.state_dict(), folder / f"{name}-c867db91.pth")
    return truth(model, f"{name}-c867db91.pth", ("--architecture", name))


def replaced_head(make, folder):
    """The head replaced as tutorials do it."""
    model = create(MODELS["vit_b_32"])
    make(model)
    torch.save(randomize(model, 1).state_dict(), folder / "model.pth")
    return truth(model, "model.pth", ("--architecture", "vit_b_32"))


def linear_heads(model):
    model.heads = torch.nn.Linear(768, 5)


def dropout_heads(model):
    model.heads = torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(768, 5))


def dropout_head(model):
    model.heads.head = torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(768, 5))


def undescribed(folder):
    """Heads of 32 in a file that says nothing of them."""
    model = create({**MODELS["vit_b_16"], "num_heads": 24})
    save_file(model.state_dict(), folder / "model.safetensors")
    return truth(model, "model.safetensors")


def cases():
    return [
        Case("torchvision/undescribed", undescribed, asks_for="architecture"),
        *(Case(f"torchvision/{name}", functools.partial(write, name)) for name in MODELS),
        Case("torchvision/vit_b_16-pth", functools.partial(write_pth, "vit_b_16")),
        Case("torchvision/heads-linear", functools.partial(replaced_head, linear_heads)),
        Case("torchvision/heads-dropout-linear", functools.partial(replaced_head, dropout_heads)),
        Case("torchvision/head-dropout-linear", functools.partial(replaced_head, dropout_head)),
    ]
