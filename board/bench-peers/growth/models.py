"""Networks in the form each engine reads, made once and kept."""

import shutil
import subprocess
import sys
from pathlib import Path

# Enough to find ranges; how well is not measured here, and large networks take minutes an image.
IMAGES = 4


def prepare(point, folder, calibrate, with_openvino):
    """The folder of the point's network: checkpoint, pixels, logits, `model.mvit` with the point's schedules and, if asked
    for, `openvino-int8.xml`. What an earlier run has left there stays."""
    folder = Path(folder) / point.network
    pack = folder / "model.mvit"
    peer = folder / "openvino-int8.xml"
    if not pack.exists() and not shutil.which(calibrate):
        sys.exit(f"--calibrate {calibrate}: there is no such program; `cargo build --release` makes it")
    if not (folder / "logits.npy").exists() or (with_openvino and not peer.exists()):
        print(f"making {folder}", file=sys.stderr)
        write_network(point, folder, peer if with_openvino else None)
    if not pack.exists():
        merges = ",".join(schedule.lstrip("r") for schedule in point.schedules)
        command = [calibrate, "pack", "--checkpoint", folder / "checkpoint", "--images", f"folder:{folder / 'images'}"]
        command += ["--merge", merges, "--output", pack, "--quiet"]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    return folder


def write_network(point, folder, peer):
    """The weights are the same each time, from a fixed seed."""
    import network
    import torch

    model, inputs = network.write(point.model.architecture, point.size, IMAGES, folder)
    if peer:
        import openvino

        shape = [-1, 3, point.size, point.size]
        converted = openvino.convert_model(model, example_input=torch.from_numpy(inputs[0]), input=shape)
        network.write_openvino_int8(converted, inputs, peer)
