"""A run that is none: it says through a socket what `mergevit run --socket` would.

It speaks the protocol by its description in board/README.md, from no code of the program's: what a page or a broker
shows of it is what the description promises.
"""

import contextlib
import json
import math
import os
import socket
import struct
import threading
import time

MAGIC = b"MGVL"


def message(record, picture=b"", tokens=b""):
    text = json.dumps(record, separators=(",", ":")).encode()
    return MAGIC + struct.pack("<III", len(text), len(picture), len(tokens)) + text + picture + tokens


def now():
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03}Z"


class Scene:
    """What a camera sees: a disc that goes round before stripes, size x size pixels in patches of 16."""

    def __init__(self, size=224):
        self.size, self.side = size, size // 16

    def picture(self, turn):
        size = self.size
        x0, y0 = (size * (0.5 + 0.28 * f(2 * math.pi * turn)) for f in (math.cos, math.sin))
        rows = []
        for y in range(size):
            row = bytearray()
            for x in range(size):
                near = math.hypot(x - x0, y - y0) < size / 6
                row += bytes((235, 120, 60) if near else (60 + x // 3, 110 + (y // 16 % 2) * 20, 140))
            rows.append(bytes(row))
        return b"".join(rows)

    def tokens(self, turn, merged=True):
        """The background's patches merge in blocks of 2 x 2, those of the disc stay alone."""
        side = self.side
        x0, y0 = (side * (0.5 + 0.28 * f(2 * math.pi * turn)) for f in (math.cos, math.sin))
        token = {}
        found = []
        for row in range(side):
            for column in range(side):
                alone = not merged or math.hypot(column + 0.5 - x0, row + 0.5 - y0) < side / 5
                key = (row, column) if alone else (row // 2, column // 2, "block")
                found.append(1 + token.setdefault(key, len(token)))
        return struct.pack(f"<{len(found)}H", *found)


class Publisher:
    """Serves clients until it is closed."""

    LABELS = ["orange disc", "stripes", "beach ball", "sunset", "balloon", "unknown object"]

    def __init__(self, path, sources=("camera0",), frames_per_second=20, sensors=True):
        self.path, self.sources, self.sensors = path, sources, sensors
        self.interval = 1 / frames_per_second
        self.scene = Scene()
        self.turns = [self.scene.picture(turn / 24) for turn in range(24)]
        self.schedule, self.held = "r0", False
        self.commands = []
        self.watched = 0
        self.silent = False
        self.clients = []
        self.lock = threading.Lock()
        self.closed = threading.Event()
        if os.path.exists(path):
            os.unlink(path)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen()
        for work in (self.accept, self.publish):
            threading.Thread(target=work, daemon=True).start()

    def hello(self):
        schedules = [("r0", 4.6, 197, 0.999), ("r8", 3.4, 101, 0.991), ("r16", 2.3, 11, 0.962)]
        return {
            "event": "hello", "protocol": 1, "version": "0.1.0", "model": "/etc/mergevit/scene.mvit",
            "labels": self.LABELS, "image_size": self.scene.size, "grid": [self.scene.side] * 2,
            "schedules": [
                {"name": name, "gmacs": gmacs, "tokens": tokens, "agreement": agreement}
                for name, gmacs, tokens, agreement in schedules
            ],
            "cascades": ["r16-then-r0"],
            "sources": [{"name": name, "description": f"camera {name}"} for name in self.sources],
            "schedule": self.schedule, "held": self.held,
        }

    def accept(self):
        while not self.closed.is_set():
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            client = {"socket": connection, "watch": False}
            try:
                connection.sendall(message(self.hello()))
            except OSError:
                # Gone before it was greeted: a client that ends early takes no other's place.
                connection.close()
                continue
            with self.lock:
                self.clients.append(client)
            threading.Thread(target=self.listen, args=(client,), daemon=True).start()

    def listen(self, client):
        try:
            for line in client["socket"].makefile("rb"):
                command = json.loads(line)
                with self.lock:
                    self.commands.append(command)
                    if "watch" in command:
                        client["watch"] = command["watch"]
                if "schedule" in command:
                    name = command["schedule"]
                    self.switch(name or "r0", "held" if name else "released")
        except OSError:
            pass
        client["watch"] = False

    def say(self, record, picture=b"", tokens=b""):
        """To every client; the picture to those who watch."""
        with self.lock:
            for client in list(self.clients):
                parts = (picture, tokens) if client["watch"] else (b"", b"")
                try:
                    client["socket"].sendall(message(record, *parts))
                except OSError:
                    self.clients.remove(client)
                    client["socket"].close()

    def switch(self, name, reason, **more):
        before, self.schedule, self.held = self.schedule, name, reason == "held"
        self.say({"event": "switch", "time": now(), "from": before, "to": name, "reason": reason, **more})

    def publish(self):
        count = 0
        begin = time.monotonic()
        while not self.closed.wait(max(0, begin + count * self.interval - time.monotonic())):
            if not self.silent:
                for index, source in enumerate(self.sources):
                    self.frame(count, source, index)
                if self.sensors and count % 20 == 0:
                    self.say(self.measure(count))
            count += 1

    def frame(self, count, source, index):
        turn = (count // 2 + 8 * index) % 24
        sure = 0.72 + 0.22 * math.sin(count / 37)
        values = [sure, (1 - sure) * 0.6, (1 - sure) * 0.25, (1 - sure) * 0.1, (1 - sure) * 0.05]
        order = [0, 1, 2, 3, 4] if count // 150 % 2 == 0 else [2, 0, 1, 4, 3]
        top = [
            {"class": name, "label": self.LABELS[name], "probability": value}
            for name, value in zip(order, values)
        ]
        cost = {"r0": 21_000, "r8": 15_000, "r16": 9_500}.get(self.schedule, 12_000)
        latency = cost + 900 * math.sin(count / 3) + (4000 if count % 41 == 0 else 0)
        record = {
            "event": "frame", "time": now(), "frame": count, "source": source, "sequence": count, "captured": now(),
            "dropped": {"driver": 0, "replaced": int(count % 53 == 0)}, "schedule": self.schedule, "top": top,
            "state": top[0]["label"], "latency_us": latency, "age_us": latency + 6000,
        }
        tokens = self.scene.tokens(turn / 24, self.schedule != "r0")
        self.say(record, self.turns[turn], tokens)

    def measure(self, count):
        watts = 11.4 + 1.2 * math.sin(count / 60)
        return {
            "event": "sensors", "time": now(), "watts": watts,
            "rails": [{"name": "VDD_IN", "watts": watts}, {"name": "VDD_CPU_GPU_CV", "watts": 0.45 * watts}],
            "temperatures": [{"name": "tj", "celsius": 61.5}, {"name": "gpu", "celsius": 59.0}, {"name": "cpu", "celsius": 60.2}],
            "gpu_clock_hz": 624_750_000, "gpu_load": 0.63, "throttled": [], "joules_per_frame": watts * self.interval,
        }

    def close(self):
        """Ends as a process would; a second time it does nothing."""
        if self.closed.is_set():
            return
        self.closed.set()
        self.socket.close()
        os.unlink(self.path)
        with self.lock:
            for client in self.clients:
                with contextlib.suppress(OSError):
                    client["socket"].shutdown(socket.SHUT_RDWR)
                client["socket"].close()
