"""What is measured: one axis a part, everything else fixed. Needs the standard library only."""

from dataclasses import dataclass, replace

PATCH = 16
# The schedule of ViT-B/16 at 224 pixels that BENCHMARKS.md times, which those of other sizes follow.
MERGED, LAYERS, PATCHES = 13, 12, 196


@dataclass(frozen=True)
class Model:
    """A plain Vision Transformer of timm's with patches of 16 pixels."""

    letter: str
    architecture: str
    layers: int


MODELS = {
    model.letter: model
    for model in (
        Model("Ti", "vit_tiny_patch16_224", 12),
        Model("S", "vit_small_patch16_224", 12),
        Model("B", "vit_base_patch16_224", 12),
        Model("L", "vit_large_patch16_224", 24),
    )
}


@dataclass(frozen=True)
class Point:
    """One network at one size, as every engine runs it."""

    model: Model
    size: int = 224
    batch: int = 1
    threads: int = 2

    @property
    def patches(self):
        return (self.size // PATCH) ** 2

    @property
    def tokens(self):
        """Patches and the class token."""
        return self.patches + 1

    @property
    def merged(self):
        """Tokens to merge in each layer: of the patches, over all layers, the share that r = 13 takes of ViT-B/16's."""
        return max(1, round(MERGED * self.patches / PATCHES * LAYERS / self.model.layers))

    @property
    def schedules(self):
        return ["r0", f"r{self.merged}"]

    @property
    def network(self):
        """Name of the folder with the network in the form each engine reads."""
        return f"{self.model.architecture}-{self.size}"


@dataclass(frozen=True)
class Part:
    """Points along one axis; `x` of a point is what is drawn from left to right."""

    name: str
    axis: str
    points: tuple

    def x(self, point):
        return point.model.letter if self.axis == "model" else getattr(point, self.axis)


def parts(model, threads):
    """Every part by name; those that are not about the model's size measure the one with letter `model`."""
    usual = Point(MODELS[model], threads=threads)
    sizes = (112, 160, 224, 320, 384, 512, 640, 768)
    every = (
        Part("tokens", "tokens", tuple(replace(usual, size=size) for size in sizes)),
        Part("batch", "batch", tuple(replace(usual, batch=batch) for batch in (1, 2, 4, 8, 16, 32))),
        Part("models", "model", tuple(replace(usual, model=each) for each in MODELS.values())),
        Part("threads", "threads", tuple(replace(usual, threads=count) for count in range(1, threads + 1))),
    )
    return {part.name: part for part in every}


def rounds(round_seconds, seconds, most, least=5):
    """Rounds of `round_seconds` that fit into `seconds`, between `least` and `most`."""
    return max(least, min(most, int(seconds / round_seconds)))
