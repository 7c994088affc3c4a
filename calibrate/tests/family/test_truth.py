#!/usr/bin/env python3
"""The checks can fail: random weights show every difference that an importer could make, and a wrong output is called wrong."""

import math
import unittest
import warnings

import torch

from truth import program, timm_models
from truth.case import Truth, normalized

# By how many tolerances a difference must show.
MARGIN = 5
# Softmax does not see what all keys have in common.
INERT = ("k_norm.bias", "rel_pos.mlp.fc2.bias", "k_proj.bias")
# Differs from others in nothing but widths, which are slow.
WIDE = ("heads-of-48", "heads-of-88", "heads-of-128")


def neutral(name, parameter):
    """What an importer that overlooks a tensor would compute with."""
    ones = "gamma" in name or ("norm" in name and name.endswith("weight")) or ".ls" in name
    return torch.ones_like(parameter) if ones else torch.zeros_like(parameter)


class Setting:
    """A model, its input and its output."""

    def __init__(self, feature):
        name, arguments = timm_models.FEATURES[feature]
        self.model = timm_models.create(name, **arguments)
        colours = self.model.pretrained_cfg["mean"], self.model.pretrained_cfg["std"]
        self.pixels = normalized(timm_models.truth(self.model, count=1).pixels, *colours)
        self.base = self.output()

    @torch.no_grad()
    def output(self):
        return self.model(self.pixels)

    def moved(self):
        """How far the output is from what it was, in tolerances."""
        return ((self.output() - self.base).abs().max() / self.base.abs().max()).item() / program.TOLERANCE


class Sensitivity(unittest.TestCase):
    @torch.no_grad()
    def test_every_tensor_matters(self):
        for feature in timm_models.FEATURES:
            if feature in WIDE:
                continue
            setting = Setting(feature)
            for name, parameter in setting.model.named_parameters():
                if name.endswith(INERT):
                    continue
                saved = parameter.clone()
                parameter.copy_(neutral(name, parameter))
                with self.subTest(feature=feature, tensor=name):
                    self.assertGreater(setting.moved(), MARGIN)
                parameter.copy_(saved)

    def test_epsilon_matters(self):
        for feature in ("plain", "mean", "clip", "dinov2", "eva02", "dinov3", "siglip", "rms-norm"):
            setting = Setting(feature)
            for module in setting.model.modules():
                if hasattr(module, "eps"):
                    module.eps = 1e-5 if math.isclose(module.eps, 1e-6) else 1e-6
            with self.subTest(feature=feature):
                self.assertGreater(setting.moved(), MARGIN)

    def test_activations_matter(self):
        for feature in ("plain", "siglip", "clip-quick-gelu"):
            setting = Setting(feature)
            for other in (torch.nn.GELU(), torch.nn.GELU(approximate="tanh"), torch.nn.SiLU()):
                first = setting.model.blocks[0].mlp.act
                if repr(first) == repr(other) or (feature == "siglip" and "tanh" in repr(other)):
                    continue
                for block in setting.model.blocks:
                    block.mlp.act = other
                with self.subTest(feature=feature, activation=other):
                    self.assertGreater(setting.moved(), MARGIN)
                for block in setting.model.blocks:
                    block.mlp.act = first


class Comparison(unittest.TestCase):
    def verdict(self, found, kind="logits"):
        want = torch.tensor([[1.0, -4.0]])
        return program.compare(Truth("model", None, want), {kind: found}).word

    def test_only_what_is_near_is_right(self):
        self.assertEqual(self.verdict(torch.tensor([[1.0, -4.00004]])), "right")
        for wrong in ([[1.0, -4.001]], [[math.nan, -4.0]], [[1.0, -4.0, 0.0]], [[1.0], [-4.0]]):
            self.assertEqual(self.verdict(torch.tensor(wrong)), "MISMATCH", wrong)
        self.assertEqual(self.verdict(torch.tensor([[1.0, -4.0]]), "embedding"), "MISMATCH")

    def test_a_panic_is_no_refusal(self):
        self.assertEqual(program.answered(101, "thread 'main' panicked", "folder").word, "BROKEN")
        self.assertEqual(program.answered(1, "", "folder").word, "BROKEN")
        self.assertEqual(program.answered(1, "error: folder/model: has a feature", "folder").detail, "has a feature")


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    unittest.main()
