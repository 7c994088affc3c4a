"""A Vision Transformer in plain PyTorch, with the parameter names of timm's, in FP32, fp16 and INT8.

It takes camera pixels, u8 (B, H, W, 3), and normalises them itself, so that a compiler can fuse that.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

# timm's values for these ViTs: pixels become -1 to 1.
MEAN = STD = 127.5


@dataclass
class Shape:
    """Sizes of a network; `width` counts channels, `image` and `patch` pixels a side."""

    name: str
    image: int = 224
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    classes: int = 1000

    def tokens(self):
        return (self.image // self.patch) ** 2 + 1


VIT_B_16 = Shape("vit_base_patch16_224")
# For checking the program itself, where there is no GPU.
TINY = Shape("vit_test_patch16_96", image=96, width=128, depth=2, heads=2, classes=40)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, width, patch):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class Vit(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.patch_embed = PatchEmbed(shape.width, shape.patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, shape.tokens(), shape.width))
        self.blocks = nn.ModuleList(Block(shape.width, shape.heads) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(shape.width, eps=1e-6)
        self.head = nn.Linear(shape.width, shape.classes)

    def forward(self, pixels):
        """u8 (B, H, W, 3) to f32 logits (B, classes)."""
        x = pixels.permute(0, 3, 1, 2).to(self.pos_embed.dtype)
        x = self.patch_embed((x - MEAN) / STD)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0])).float()


def randomise(network, seed):
    """Fills every parameter with reproducible values of the magnitude of trained ones."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.normal_(0, 0.02, generator=random)
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1)
    return network


class Int8Linear(nn.Module):
    """A linear layer on cuBLASLt's INT8 product: weights have a scale per output channel, activations one per
    row found as they come or, given `input_scale`, a single one found beforehand."""

    def __init__(self, linear, input_scale=None):
        super().__init__()
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(1).clamp(min=1e-12) / 127
        self.register_buffer("weight", (weight / scale[:, None]).round().to(torch.int8))
        self.register_buffer("scale", scale)
        self.register_buffer("bias", linear.bias.detach().float())
        # A tensor, so that a compiler makes one program for all layers of a shape; beside the weights, because
        # one on the processor keeps a network out of CUDA graphs.
        self.register_buffer("input_scale", None if input_scale is None else scale.new_tensor(input_scale))

    def forward(self, x):
        rows = x.flatten(0, -2).float()
        scale = self.input_scale
        if scale is None:
            scale = rows.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
        quantized = (rows / scale).round().clamp(-127, 127).to(torch.int8)
        product = torch._int_mm(quantized, self.weight.t())
        y = product.float() * (scale * self.scale) + self.bias
        return y.to(x.dtype).unflatten(0, x.shape[:-1])


def input_scales(network, pixels):
    """For every linear layer of the blocks, by name: its largest input over 127."""
    scales = {}

    def record(name):
        def hook(_, inputs):
            scales[name] = float(inputs[0].detach().abs().max()) / 127

        return hook

    hooks = [layer.register_forward_pre_hook(record(name)) for name, layer in block_linears(network)]
    with torch.inference_mode():
        network(pixels)
    for hook in hooks:
        hook.remove()
    return scales


def block_linears(network):
    """The blocks' linear layers by name. The patch embedding and the head are 1 % of the work, and a head of one
    row is too small for the INT8 product."""
    return [(name, layer) for name, layer in network.blocks.named_modules() if isinstance(layer, nn.Linear)]


def quantize(network, scales=None):
    """Replaces the blocks' linear layers in place; without `scales`, activations are quantized row by row."""
    for name, layer in block_linears(network):
        parent, _, attribute = name.rpartition(".")
        int8 = Int8Linear(layer, scales[name] if scales else None)
        setattr(network.blocks.get_submodule(parent), attribute, int8)
    return network
