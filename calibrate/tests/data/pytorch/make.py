#!/usr/bin/env python3
"""Makes the files of this folder with PyTorch and NumPy: python make.py"""

import argparse
import pathlib

import numpy
import torch

HERE = pathlib.Path(__file__).resolve().parent


def checkpoint():
    """State dictionary with every layout and type, among other things that training scripts keep."""
    six = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    attribute = torch.nn.Parameter(six.clone())
    attribute.is_decayed = False
    tensors = {
        "f16": six.half(),
        "bf16": six.bfloat16(),
        "f32": six,
        "f64": six.double(),
        "transposed": six.t(),
        "column": six[:, 1],
        "last": six.flatten()[5:],
        "scalar": torch.tensor(3.0),
        "parameter": torch.nn.Parameter(six.clone()),
        "attribute": attribute,
        "empty": torch.zeros(0, 3),
        "i64": torch.arange(3),
        "bool": torch.tensor([True]),
        "u16": torch.zeros(2, dtype=torch.uint16),
        "f8": torch.zeros(2, dtype=torch.float8_e4m3fn),
    }
    return {
        "state_dict": tensors,
        "arguments": argparse.Namespace(lr=0.1, folder=pathlib.Path("out")),
        "best": numpy.float64(0.5),
        "large": 1 << 80,
        "device": torch.device("cpu"),
        "shape": torch.Size([1, 2]),
        "seen": {"a", "b"},
        "optimizer": {"state": {0: {"step": torch.tensor(1.0), "average": six}}, "groups": [{"params": [0]}]},
    }


def main():
    torch.save(checkpoint(), HERE / "tensors.pt")
    torch.save(checkpoint(), HERE / "protocol-4.pt", pickle_protocol=4)
    linear = torch.nn.Linear(2, 2)
    torch.save(linear, HERE / "module.pt")
    torch.save(linear.state_dict(), HERE / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.jit.script(linear).save(HERE / "script.pt")
    numpy.savez(HERE / "arrays.npz", a=numpy.zeros(2))


if __name__ == "__main__":
    main()
