#!/usr/bin/env python3
"""OpenVINO as a program that answers requests for timed inferences, so that its memory can be told from others'.

The first line out is JSON: the logits of the first image, and the resident bytes before the network was loaded. Then each line
in, a count, gives a line of that many latencies of a batch in microseconds.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import openvino
from memory import resident
from safetensors.numpy import load_file

sys.path.append(str(Path(__file__).resolve().parent.parent))

from engines import InProcess, normalise


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="an .xml whose batch size is free")
    parser.add_argument("--pixels", required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    image = normalise(load_file(arguments.pixels)["pixels"][:1])[0]
    pixels = np.repeat(image, arguments.batch, axis=0)
    core = openvino.Core()
    before = resident("self")
    model = core.read_model(arguments.model)
    model.reshape(list(pixels.shape))
    properties = {"INFERENCE_NUM_THREADS": arguments.threads, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(model, "CPU", properties).create_infer_request()
    engine = InProcess("openvino int8", lambda: request.infer({0: pixels})[0][:1])
    print(json.dumps({"logits": engine.logits.tolist(), "resident_before": before}), flush=True)
    for line in sys.stdin:
        print(*engine.time(int(line)), flush=True)


if __name__ == "__main__":
    main()
