"""The engines of one point: started, checked, timed in turn."""

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from memory import peak, resident
from points import rounds

from bench import check_answers, measure
from serving import Mergevit, Served

OPENVINO = "openvino int8"


class OpenVino(Served):
    """`openvino_server.py` with `folder`'s network."""

    def __init__(self, folder, point):
        server = Path(__file__).with_name("openvino_server.py")
        command = [sys.executable, server, "--model", folder / "openvino-int8.xml"]
        command += ["--pixels", folder / "pixels.safetensors", "--batch", point.batch, "--threads", point.threads]
        super().__init__(OPENVINO, command)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{OPENVINO}: ended with exit code {self.process.wait()}")
        first = json.loads(line)
        self.logits = np.array(first["logits"], np.float32)
        self.before = first["resident_before"]


def run(point, folder, options):
    """Rows of one point, an engine each."""
    loaded = []
    try:
        for name in point.schedules:
            pack = folder / "model.mvit"
            engine = Mergevit(
                options.program, pack, name, point.threads, batch=point.batch, check=False, flags=["--quiet"]
            )
            loaded.append(engine)
        if options.openvino:
            loaded.append(OpenVino(folder, point))
        settings = SimpleNamespace(
            models=folder, pack=folder / "model.mvit", calibrate=options.calibrate, backend=None
        )
        cosines = check_answers(loaded, np.load(folder / "logits.npy")[0], settings)
        start = time.monotonic()
        measure(loaded, 1, 1)
        count = rounds(time.monotonic() - start, options.seconds, options.rounds)
        load = os.getloadavg()[0]
        latencies = measure(loaded, count, 1)
        rows = [row(engine, point, latencies, cosines) for engine in loaded]
    finally:
        for engine in loaded:
            engine.close()
    return {"load_before": load, "rounds": count, "rows": rows}


def row(engine, point, latencies, cosines):
    """Latency of a batch, throughput, memory and the ratio to OpenVINO, taken within each round."""
    values = latencies[engine.name].ravel()
    peer = latencies.get(OPENVINO)
    pid = engine.process.pid
    before = getattr(engine, "before", 0)
    median = float(np.median(values))
    return {
        "engine": engine.name,
        "latency_us_median": median,
        "latency_us_min": float(values.min()),
        "latency_us_p90": float(np.quantile(values, 0.9)),
        "images_per_second": 1e6 * point.batch / median,
        "openvino_ratio": None if peer is None else float(np.median(peer.ravel() / values)),
        "cosine_with_fp32": cosines[engine.name],
        # Of OpenVINO without Python and the libraries.
        "resident_bytes": resident(pid) - before,
        "peak_bytes": peak(pid) - before,
    }
