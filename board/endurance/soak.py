#!/usr/bin/env python3
"""Do memory and descriptors of a run stay flat over a million frames?

Runs `mergevit run` with its socket served, on frames that come as fast as they are read, while a client reads the socket, watches
pictures, goes and comes back. Samples resident memory, descriptors and threads of the run. Fails if one of them grows after the
first tenth.
"""

import argparse
import json
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from camera import SOURCE, Camera

HEADER = struct.Struct("<4I")
# Resident memory may move by what the system counts late: a few pages a thread.
SLACK_KIB = 1024


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/mergevit")
    parser.add_argument("--model", default="board/assets/garments.mvit")
    parser.add_argument("--frames", type=int, default=1_000_000)
    return parser.parse_args()


def exactly(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


class Client(threading.Thread):
    """Connects, watches for some hundred messages, and goes; again and again."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.visits, self.pictures = path, 0, 0

    def run(self):
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(str(self.path))
                    connection.sendall(b'{"watch":true}\n')
                    for _ in range(300):
                        _, record, picture, tokens = HEADER.unpack(exactly(connection, HEADER.size))
                        exactly(connection, record + picture + tokens)
                        self.pictures += picture > 0
                self.visits += 1
            except OSError:
                time.sleep(0.1)


def sample(process):
    """Resident KiB, descriptors, threads."""
    folder = Path("/proc") / str(process)
    status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
    return int(status["VmRSS"].split()[0]), len(list((folder / "fd").iterdir())), int(status["Threads"])


def main():
    options = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "socket"
        command = [options.program, "run", "--model", options.model, "--source", f"{SOURCE}-", "--json"]
        command += ["--socket", str(path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        camera = Camera(process.stdin, 0, options.frames)
        camera.start()
        client = Client(path)
        client.start()
        samples, frames, summary = [], 0, None
        every = max(1, options.frames // 100)
        for line in process.stdout:
            record = json.loads(line)
            if record["event"] == "summary":
                summary = record
            elif record["event"] == "frame":
                if record["frame"] != frames:
                    sys.exit(f"frame {record['frame']} after {frames - 1}")
                frames += 1
                if frames % every == 0:
                    samples.append((frames, *sample(process.pid)))
            elif record["event"] != "start":
                sys.exit(f"unexpected: {line}")
        if process.wait() != 0 or summary is None:
            sys.exit(f"the run ended with exit code {process.returncode}")
    report(options, samples, summary, client)


def report(options, samples, summary, client):
    print(f"{'frames':>9} {'resident KiB':>13} {'descriptors':>12} {'threads':>8}")
    for row in samples[:: max(1, len(samples) // 10)]:
        print(f"{row[0]:>9} {row[1]:>13} {row[2]:>12} {row[3]:>8}")
    print(f"{summary['frames']} frames in {summary['elapsed_s']:.0f} s, {client.visits} visits of a client, {client.pictures} pictures")
    if summary["frames"] != options.frames:
        sys.exit(f"{options.frames} frames were written")
    settled = samples[len(samples) // 10 :]
    # A client may be there in one sample and not in the other: one descriptor and one thread.
    for place, name, slack in ((1, "memory", SLACK_KIB), (2, "descriptors", 1), (3, "threads", 1)):
        first = max(row[place] for row in settled[: max(1, len(settled) // 10)])
        last = min(row[place] for row in settled[-max(1, len(settled) // 10) :])
        if last > first + slack:
            sys.exit(f"{name}: grew from {first} to {last}")


if __name__ == "__main__":
    main()
