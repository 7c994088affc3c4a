"""Random weights in which every tensor matters.

What libraries initialise to zeros, ones or 1e-5 (biases, norms, LayerScale, tokens) would hide a tensor that an importer
drops or swaps. Here each has a size at which dropping it moves the output by far more than the tolerance, while the
network stays as sane as a trained one: normalized activations near 1, scores near 1, a few outlier channels. What is no tensor
matters too: the residual stream starts small, so that the first norm's epsilon shows, and the MLP's first layer is large, so
that one approximation of GELU differs from another. `test_truth.py` checks all of this.
"""

import contextlib
import math
import zlib

import torch

OUTLIERS = 3
OUTLIER_FACTOR = 6.0
# Of patches, positions and tokens: an epsilon of 1e-5 is then no rounding error of their variance.
STREAM = 0.05
# Of the MLP's first layer: the approximations of GELU differ most at 2.7.
HIDDEN_FACTOR = 2.0
HIDDEN = ("fc1", "linear_1.", "mlp.0.", "up_proj", "gate_proj", "c_fc", "intermediate.dense", "weights_in", "w12")
# Drawn once and tiled: a draw for each of the 400 million numbers of the widest models would take most of a census.
POOL = 1_048_583


@contextlib.contextmanager
def uninitialised():
    """Skips the libraries' own random initialisation, which `randomize` overwrites."""
    # For what they draw in another way, such as the angles of learned rotary positions.
    torch.manual_seed(0)
    names = ("normal_", "uniform_", "erfinv_", "trunc_normal_")
    saved = {name: torch.Tensor.__dict__.get(name) for name in names}
    for name in names:
        setattr(torch.Tensor, name, lambda tensor, *args, **kwargs: tensor.zero_())
    try:
        yield
    finally:
        for name, function in saved.items():
            delattr(torch.Tensor, name) if function is None else setattr(torch.Tensor, name, function)


class Noise:
    """Standard normal numbers of a seed, by tensor name: the same for every tensor of that name and size."""

    def __init__(self, seed):
        self.pool = torch.randn(POOL, generator=torch.Generator().manual_seed(seed))

    def like(self, name, shape, factor=1.0):
        """A tensor of numbers of standard deviation `factor`."""
        drawn = torch.empty(math.prod(shape))
        start, at = zlib.crc32(name.encode()) % POOL, 0
        while at < drawn.numel():
            piece = self.pool[start : start + drawn.numel() - at]
            torch.mul(piece, factor, out=drawn[at : at + piece.numel()])
            start, at = 0, at + piece.numel()
        return drawn.reshape(shape)


def is_norm(module):
    return "norm" in type(module).__name__.lower()


def norms(model):
    """Names of the parameters that belong to norm layers."""
    found = set()
    for prefix, module in model.named_modules():
        if is_norm(module):
            found |= {f"{prefix}.{name}" for name, _ in module.named_parameters(recurse=False)}
    return found


def value(name, shape, noise, in_norm):
    """A tensor of the size that its place in a transformer asks for."""
    last = name.rsplit(".", 1)[-1]
    if len(shape) > 1 and not is_token(name):
        factor = HIDDEN_FACTOR if any(part in name for part in HIDDEN) else 1.0
        return noise.like(name, shape, factor / math.sqrt(math.prod(shape[1:])))
    drawn = noise.like(name, shape)
    if in_norm and last in ("weight", "gamma", "scale"):
        return outlying(1.0 + 0.25 * drawn.clamp(-2, 2), name)
    if is_layer_scale(name):
        # Signs as well: LayerScale is no positive factor.
        return torch.where(drawn < -1, -0.6, 0.6) + 0.2 * drawn.clamp(-2, 2)
    if last == "logit_scale" or not shape:
        return drawn
    if is_token(name):
        return STREAM * drawn
    return 0.2 * drawn


def is_layer_scale(name):
    words = name.lower().replace(".", "_").split("_")
    return any(word in ("ls1", "ls2", "lambda1", "lambda2", "gamma") for word in words[-3:]) or "layer_scale" in name


def is_token(name):
    words = ("token", "pos_embed", "position", "embeddings.class_embedding", "latent", "probe", "positional_embedding")
    return any(word in name for word in words) or name.endswith("class_embedding")


def outlying(tensor, name):
    """With a few large channels, as trained transformers have them: others for each tensor."""
    if tensor.ndim and tensor.shape[-1] > 4 * OUTLIERS:
        first = zlib.crc32(name.encode()) % tensor.shape[-1]
        for index in range(OUTLIERS):
            tensor[..., (first + 7 * index) % tensor.shape[-1]] *= OUTLIER_FACTOR / 2
    return tensor


def is_patch_projection(name, shape):
    return len(shape) == 4 and shape[1] <= 4 or name.endswith(("patch_embed.proj.bias", "projection.bias", "conv_proj.bias"))


@torch.no_grad()
def randomize(model, seed):
    """Fills every parameter of a model; buffers (grids, frequencies) keep their values. Returns the model in eval mode."""
    noise = Noise(seed)
    in_norm = norms(model)
    for name, parameter in model.named_parameters():
        if ".freqs" in f".{name}":
            # Frequencies of learned rotary positions: near those that the library starts from.
            parameter.mul_(1.0 + 0.1 * noise.like(name, parameter.shape))
            continue
        drawn = value(name, tuple(parameter.shape), noise, name in in_norm)
        if is_patch_projection(name, parameter.shape):
            drawn *= STREAM
            # Outlier channels of the residual stream.
            drawn[:: max(drawn.shape[0] // OUTLIERS, 1)] *= OUTLIER_FACTOR
        parameter.data = drawn
    return model.eval()
