"""Cameras at one run: pipes that give frames as fast as they are read."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from memory import peak, resident

sys.path.append(str(Path(__file__).resolve().parents[2] / "endurance"))

from camera import SOURCE, Camera
from throttle import frames_between

COUNTS = (1, 2, 4)
# The first frames fill caches.
WARM_UP_SECONDS = 2


def feed(path, cameras):
    """Opens a pipe, which waits for its reader, and writes frames into it."""
    camera = Camera(path.open("wb"), 0)
    cameras.append(camera)
    camera.start()


def run(program, pack, schedule, count, threads, seconds):
    """Frames a second of all cameras, and of the slowest; the run's memory."""
    with tempfile.TemporaryDirectory() as folder:
        pipes = [Path(folder) / f"camera{index}" for index in range(count)]
        command = [program, "run", "--model", pack, "--schedule", schedule, "--threads", threads, "--json", "--quiet"]
        for pipe in pipes:
            os.mkfifo(pipe)
            command += ["--source", f"{SOURCE}{pipe}"]
        process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
        records, cameras = [], []
        reader = threading.Thread(target=lambda: records.extend(map(json.loads, process.stdout)))
        openers = [threading.Thread(target=feed, args=(pipe, cameras), daemon=True) for pipe in pipes]
        for thread in [reader, *openers]:
            thread.start()
        time.sleep(WARM_UP_SECONDS)
        begin = time.time()
        time.sleep(seconds)
        end = time.time()
        memory = {"resident_bytes": resident(process.pid), "peak_bytes": peak(process.pid)}
        for camera in cameras:
            camera.stop()
        reader.join()
        if process.wait() != 0:
            sys.exit(f"{count} cameras: the run ended with exit code {process.returncode}")
    return summarise(frames_between(records, begin, end), count, end - begin) | memory


def summarise(frames, count, seconds):
    """Rates and the median latency of `frames`, records of `mergevit run --json`, of which every camera has some."""
    by_camera = {}
    for frame in frames:
        by_camera.setdefault(frame["source"], []).append(frame)
    if len(by_camera) != count:
        sys.exit(f"{count} cameras: frames of {sorted(by_camera)} alone")
    latencies = sorted(frame["latency_us"] for frame in frames)
    return {
        "images_per_second": len(frames) / seconds,
        "slowest_camera_per_second": min(map(len, by_camera.values())) / seconds,
        "latency_us_median": latencies[len(latencies) // 2],
    }
