#!/usr/bin/env python3
"""Is a record ever lost without a word, whatever is killed around a run?

Runs `mergevit run` with its page and an MQTT broker, and a program that reads its socket. Every second or so one of them, page, MQTT
client, broker or reader, is killed as `kill -9` does; the run brings back what it started, this program the rest. In the end
every frame has its record on standard output, each connection of the reader had every record or was told how many it missed,
page and broker are up to date, and the run ends as it should. Needs mosquitto and its clients, and a program with the features
`page` and `mqtt`.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from camera import SOURCE, Camera
from soak import HEADER, exactly


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/mergevit")
    parser.add_argument("--model", default="board/assets/garments.mvit")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--fps", type=float, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--read", metavar="SOCKET", help=argparse.SUPPRESS)
    parser.add_argument("--into", metavar="FILE", help=argparse.SUPPRESS)
    return parser.parse_args()


def read(path, into):
    """Writes each record of a connection as a line."""
    with socket.socket(socket.AF_UNIX) as connection, open(into, "wb", buffering=0) as file:
        connection.connect(path)
        while True:
            _, record, picture, tokens = HEADER.unpack(exactly(connection, HEADER.size))
            file.write(exactly(connection, record) + b"\n")
            exactly(connection, picture + tokens)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children(process, command):
    """Process numbers of those that the run started with this command."""
    text = Path(f"/proc/{process}/task").glob("*/children")
    found = [int(number) for file in text for number in file.read_text().split()]
    arguments = lambda number: Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    return [number for number in found if command.encode() in arguments(number)[1:2]]


class Surroundings:
    """What is around the run, and can be killed."""

    def __init__(self, options, folder):
        self.options, self.folder = options, Path(folder)
        self.page_port, self.broker_port = free_port(), free_port()
        self.socket = self.folder / "socket"
        self.connections, self.kills = 0, dict.fromkeys(("page", "mqtt", "broker", "reader"), 0)
        self.broker = self.start_broker()
        command = [options.program, "run", "--model", options.model, "--source", f"{SOURCE}-", "--json"]
        command += ["--socket", str(self.socket), "--page", f"127.0.0.1:{self.page_port}"]
        command += ["--mqtt", f"mqtt://127.0.0.1:{self.broker_port}"]
        self.run = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        while not self.socket.exists():
            time.sleep(0.05)
        self.reader = self.start_reader()

    def start_broker(self):
        command = ["mosquitto", "-p", str(self.broker_port)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start_reader(self):
        file = self.folder / f"reader-{self.connections:04}.jsonl"
        self.connections += 1
        return subprocess.Popen([sys.executable, __file__, "--model", "-", "--read", str(self.socket), "--into", str(file)])

    def kill(self, victim):
        if victim in ("page", "mqtt"):
            numbers = children(self.run.pid, victim)
            for number in numbers:
                os.kill(number, signal.SIGKILL)
            self.kills[victim] += len(numbers)
            return
        process = getattr(self, victim)
        process.kill()
        process.wait()
        self.kills[victim] += 1
        setattr(self, victim, getattr(self, f"start_{victim}")())


def check_frames(lines, place):
    """That frames follow each other, or that `lost` records say how many records do not."""
    expected, lost, told, frames = None, 0, 0, 0
    for line in lines:
        record = json.loads(line)
        if record["event"] == "lost":
            lost += record["records"]
            told += record["records"]
        elif record["event"] == "frame":
            missing = record["frame"] - expected if expected is not None else 0
            if not 0 <= missing <= lost:
                sys.exit(f"{place}: frame {record['frame']} where {expected} is next, {lost} told as lost")
            expected, lost, frames = record["frame"] + 1, 0, frames + 1
    return frames, told


def main():
    options = parse_arguments()
    if options.read:
        try:
            read(options.read, options.into)
        except ConnectionError:
            return
    with tempfile.TemporaryDirectory() as folder:
        around = Surroundings(options, folder)
        camera = Camera(around.run.stdin, options.fps)
        camera.start()
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(around.run.stdout))
        reader.start()
        choice = random.Random(options.seed)
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            time.sleep(choice.uniform(0.3, 2.0))
            if around.run.poll() is not None:
                sys.exit(f"the run ended with exit code {around.run.returncode}")
            around.kill(choice.choice(list(around.kills)))
        finish(around, camera, reader, lines)


def finish(around, camera, reader, lines):
    # What was killed last comes back within the longest wait between two attempts.
    check_page(around.page_port)
    check_broker(around.broker_port)
    camera.stop()
    around.run.stdin.close()
    reader.join()
    code = around.run.wait()
    for process in (around.reader, around.broker):
        process.kill()
        process.wait()
    if code != 0:
        sys.exit(f"the run ended with exit code {code}")
    frames, told = check_frames(lines, "standard output")
    if (frames, told) != (camera.written, 0):
        sys.exit(f"standard output: {frames} frames, {told} told as lost, {camera.written} written")
    print("kills: " + ", ".join(f"{name} {count}" for name, count in around.kills.items()))
    print(f"standard output: {frames} frames, all that were written")
    received, missed = 0, 0
    for file in sorted(around.folder.glob("reader-*.jsonl")):
        whole = [line for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        frames, told = check_frames(whole, file.name)
        received, missed = received + frames, missed + told
    print(f"socket: {around.connections} connections, {received} frames received, {missed} records told as lost, none missing")


def check_page(port):
    for _ in range(120):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.5)
    sys.exit("the page did not come back")


def check_broker(port):
    command = ["mosquitto_sub", "-p", str(port), "-t", "mergevit/+/availability", "-W", "2", "-C", "1"]
    for _ in range(30):
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.stdout.strip() == "online":
            return
        time.sleep(1)
    sys.exit("the broker did not hear that the run is there")


if __name__ == "__main__":
    main()
