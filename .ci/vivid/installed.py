#!/usr/bin/env python3
"""Shows the whole of a board's life in a machine of its own: Debian in QEMU, with a camera's driver.

Installs the Debian package as the README says, watches the page, pulls the camera and plugs it in again, slows the run
down, loads other models, stops the process where it is, reads all records, and removes the package. The first thing that
is not as it must be ends it, with the machine's journal.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evidence import Records, check_bars, events, labelled, metrics, require, total
from system import Failed, System

ROOT = Path(__file__).resolve().parents[2]
PAGE = "http://localhost:8080"
CONFIGURATION = "/etc/mergevit/mergevit.toml"
MODEL = "/etc/mergevit/model.mvit"
DRIVER = "/sys/bus/platform/drivers/vivid"
# All of them.
UNITS = ("mergevit", "mergevit-page", "mergevit-mqtt")
# Of the README, the blocks of shell in the section with this title.
SECTION = "From a fresh Jetson to a page in five minutes"


def readme_commands():
    """What the README says to type on the board, on which a machine of another architecture has another package."""
    section = (ROOT / "README.md").read_text().split(f"### {SECTION}\n")[1].split("\n### ")[0]
    block = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[1]
    lines = [line.partition("#")[0].strip() for line in block.splitlines()]
    # Not until somebody interrupts it.
    return [line.replace("_arm64.deb", "_amd64.deb").removesuffix(" -f") for line in lines if line]


class Board:
    """The machine, as somebody uses it who has installed mergevit there."""

    def __init__(self, system):
        self.system = system

    def files(self):
        """The names of all files on the disk."""
        return set(self.system.run("find / -xdev").splitlines())

    def metrics(self):
        """The page's, now."""
        return metrics(self.system.run(f"curl -sS --fail {PAGE}/metrics"))

    def records(self):
        """All that the run has said."""
        return Records(self.system.run("journalctl -u mergevit -o json --output-fields=MESSAGE,_PID"))

    def shown(self, unit, key):
        """A property of a unit."""
        return self.system.run(f"systemctl show --property {key} --value {unit}").strip()

    def until_frames(self, more=3):
        """Waits until that many more frames are classified."""
        begin = total(self.metrics(), "mergevit_frames_total")
        enough = lambda: total(self.metrics(), "mergevit_frames_total") >= begin + more
        self.system.until(f"{more} more frames", enough)

    def until_streaming(self, value):
        """Waits until the page says that the camera streams, or that it does not."""
        key = "mergevit_source_streaming"
        said = lambda: [float(v) for k, v in self.metrics().items() if k.startswith(key)] == [value]
        self.system.until(f"{key} {value}", said)

    def until_record(self, after, event, **values):
        """Waits for a record with these values, after so many of its kind; returns it."""
        fits = lambda record: all(record.get(key) == value for key, value in values.items())
        found = lambda: next(filter(fits, self.records().of(event)[after:]), None)
        return self.system.until(f"a record of {event} with {values}", found)

    def count(self, event):
        """How many records of a kind there are."""
        return len(self.records().of(event))


def install(board):
    """The README's commands, up to the page."""
    system = board.system
    commands = readme_commands()
    require(len(commands) >= 4, f"README.md, {SECTION}: found no commands")
    for command in commands:
        if "doctor" in command:
            check_fresh(board)
        out = system.run(f"cd /given && {command}")
        print(f"  {command}: {len(out.splitlines())} lines")
    for unit in UNITS[:2]:
        require(board.shown(unit, "ActiveState") == "active", f"{unit} is {board.shown(unit, 'ActiveState')}")


def check_fresh(board):
    """Checks what is there after the installation alone: nothing runs, nothing will, and the camera is found."""
    system = board.system
    for unit in UNITS:
        state = board.shown(unit, "UnitFileState"), board.shown(unit, "ActiveState")
        require(state == ("disabled", "inactive"), f"after the installation {unit} is {state}")
    system.run("getent group mergevit")
    system.run("dpkg --verify mergevit && test -e /usr/share/man/man1/mergevit-run.1.gz")
    line = json.loads(system.run("mergevit doctor --json"))
    cameras = [(camera["device"], camera["refusal"]) for camera in line["cameras"]]
    require(cameras == [("/dev/video0", None)], f"mergevit doctor finds the cameras {cameras}")


def watch(board):
    """The page's metrics, picture and events; and what the run shows, when the camera sees something else."""
    system = board.system
    healthy = lambda: system.try_to_run(f"curl -sS --fail {PAGE}/healthz")[0] == 0
    system.until("the page's /healthz", healthy)
    board.until_frames()
    require(total(board.metrics(), "mergevit_up") == 1, "/metrics has no mergevit_up 1")
    # Without what the driver writes on it.
    system.run("v4l2-ctl -d /dev/video0 --set-ctrl osd_text_mode=2")
    board.until_frames(6)
    check_bars(system.run_for_bytes(f"curl -sS --fail {PAGE}/snapshot.jpg"))
    drawn = system.run_for_bytes(f"curl -sS --fail '{PAGE}/snapshot.jpg?draw=merged'")
    require(drawn.startswith(b"\xff\xd8"), "/snapshot.jpg?draw=merged is no JPEG")
    # It ends with curl's code for a time-out.
    code, stream, err = system.try_to_run(f"curl -sS --no-buffer --max-time 5 {PAGE}/events")
    found = events(stream.decode())
    require(code == 28 and found["run"] and found["frame"] and found["status"], f"/events: {code}, {list(found)}, {err}")
    before = board.records().of("state")
    system.run("v4l2-ctl -d /dev/video0 --set-ctrl test_pattern=5")
    change = board.until_record(len(before), "state")
    message = f"from {before[-1]} to black, the record of the change is {change}"
    require(change["state"] != before[-1]["state"] == change["previous"]["state"], message)
    seen = lambda: labelled(board.metrics(), "mergevit_state", "state") == [change["state"]]
    system.until("the page's state", seen)


def configure(board):
    """A record of each frame, and a goal that this machine can reach with ease; a failure is to be seen soon."""
    system, values = board.system, board.metrics()
    latency = values["mergevit_latency_seconds_sum"] / values["mergevit_latency_seconds_count"]
    # Frames may take four times what they take.
    rate = min(30.0, 1 / (4 * latency))
    print(f"  {1000 * latency:.0f} ms a frame: target-fps {rate:.2f}")
    system.run(f"sed -i '/^on-change/d; /^consensus/d; s/^#target-fps = .*/target-fps = {rate:.2f}/' {CONFIGURATION}")
    folder = "/etc/systemd/system/mergevit.service.d"
    system.run(f"mkdir -p {folder} && printf '[Service]\\nWatchdogSec=10\\nRestartSec=1\\n' >{folder}/soon.conf")
    system.run("systemctl daemon-reload && systemctl restart mergevit")
    board.until_frames()


def pull_camera(board):
    """The camera's device goes away; the run goes on with it once it is back."""
    system = board.system
    told = board.count("camera")
    system.run(f"echo vivid.0 >{DRIVER}/unbind; test ! -e /dev/video0")
    board.until_record(told, "camera", status="lost")
    board.until_record(told, "camera", status="waiting")
    board.until_streaming(0)
    require(board.shown("mergevit", "ActiveState") == "active", "without a camera the service ends")
    system.run(f"echo vivid.0 >{DRIVER}/bind")
    board.until_record(told, "camera", status="streaming")
    board.until_streaming(1)
    board.until_frames()


def processor_time(board):
    """Seconds of processor time that a frame takes, over some frames; the machine under this one may be busy or not."""
    used = lambda: int(board.shown("mergevit", "CPUUsageNSec")) / 1e9
    classified = lambda: board.metrics()["mergevit_latency_seconds_count"]
    before = used(), classified()
    board.system.until("frames", lambda: classified() >= before[1] + 10)
    return (used() - before[0]) / (classified() - before[1])


def throttle(board):
    """With half of the processor time that its goal takes the run merges more; with all of it, it goes back."""
    system = board.system
    first, switches = board.records().frames()[-1]["schedule"], board.count("switch")
    (rate,) = re.findall(r"^target-fps = (.*)", system.run(f"cat {CONFIGURATION}"), re.MULTILINE)
    quota = max(1, int(50 * float(rate) * processor_time(board)))
    print(f"  CPUQuota={quota}%")
    system.run(f"systemctl set-property --runtime mergevit.service CPUQuota={quota}%")
    switch = board.until_record(switches, "switch", reason="over_budget", **{"from": first})
    merging = lambda: any(frame["schedule"] == switch["to"] for frame in board.records().frames())
    system.until(f"frames under {switch['to']}", merging)
    require(total(board.metrics(), "mergevit_schedule_switches_total") > 0, "/metrics knows of no switch")
    system.run("systemctl set-property --runtime mergevit.service CPUQuota=")
    is_back = lambda records: records.frames()[-1]["schedule"] == first and records.of("switch")[-1]["reason"] == "slack"
    system.until(f"{first} again", lambda: is_back(board.records()))
    print(f"  {first} to {switch['to']} and back")


def reload(board):
    """Another model, of other labels; then a broken one, which changes nothing."""
    system = board.system
    board.system.run(f"cp /given/next.mvit {MODEL}.part && mv {MODEL}.part {MODEL} && systemctl reload mergevit")
    record = board.until_record(0, "reload", ok=True)
    expected = json.loads(system.run(f"mergevit inspect --json {MODEL}"))["hash"]
    require(record["hash"] == expected, f"the record of the reload is {record}, the file's hash {expected}")
    new = lambda: board.records().frames()[-1]["top"][0]["label"].startswith("new ")
    system.until("the new model's labels", new)
    system.run(f"head -c 1000 {MODEL} >{MODEL}.part && mv {MODEL}.part {MODEL} && systemctl reload mergevit")
    record = board.until_record(0, "reload", ok=False)
    require(record["reason"], f"the record of the refusal is {record}")
    board.until_frames()
    require(new(), "after a broken model the one before it does not go on")
    system.run(f"cp /given/next.mvit {MODEL}.part && mv {MODEL}.part {MODEL}")


def stop_where_it_is(board):
    """A process that gives no sign of life is started again, and the page finds it."""
    system = board.system
    require(board.shown("mergevit", "NRestarts") == "0", "the run was started again without being told")
    before = board.shown("mergevit", "MainPID")
    system.run(f"kill -STOP {before}")
    restarted = lambda: board.shown("mergevit", "NRestarts") == "1" and board.shown("mergevit", "ActiveState") == "active"
    system.until("a restart by the watchdog", restarted)
    require(board.shown("mergevit", "MainPID") != before, "the process that was stopped goes on")
    require("Watchdog timeout" in system.run("journalctl -u mergevit -o cat"), "something else than the watchdog restarted it")
    system.until("the page's run", lambda: total(board.metrics(), "mergevit_up") == 1)
    board.until_frames()


def end(board):
    """An orderly stop; then all that was said."""
    system = board.system
    values = board.metrics()
    system.run("systemctl stop mergevit")
    require(board.shown("mergevit", "Result") == "success", f"the run ended with {board.shown('mergevit', 'Result')}")
    records = board.records()
    require([record["event"] for record in records.last()].count("summary") == 1, "the run ended without a summary")
    records.check(json.loads((ROOT / "board/records.schema.json").read_text()))
    for name in ("mergevit_records_lost_total", "mergevit_records_unreadable_total"):
        require(total(values, name) == 0, f"{name} {total(values, name)}")
    print(f"  {sum(map(len, records.by_process.values()))} records, {len(records.of('frame'))} of frames")
    system.run("systemctl start mergevit")


def remove(board, before):
    """The package goes, though it runs, and leaves nothing but what is not its own."""
    system = board.system
    system.run("rm -r /etc/systemd/system/mergevit.service.d")
    system.run("apt-get remove --yes mergevit")
    code, out, _ = system.try_to_run("pgrep -x mergevit")
    require(code == 1, f"after the removal processes run: {out.decode()}")
    system.run(f"test -e {CONFIGURATION}")
    system.run("apt-get purge --yes mergevit")
    # Of apt, dpkg, systemd and the journal, whose own they are; and the model that somebody put there.
    others = r"/(var/(lib|cache)/(apt|dpkg|systemd|private)|var/log|etc/(\.pwd\.lock|g?shadow-|group-|passwd-)|tmp|run)(/|$)"
    left = sorted(name for name in board.files() - before if not re.match(others, name) or "mergevit" in name)
    require(left == ["/etc/mergevit", MODEL], f"after the removal there are {left}")


def tell(board, before):
    """All chapters."""
    chapters = [install, watch, configure, pull_camera, throttle, reload, stop_where_it_is, end]
    for chapter in [*chapters, lambda board: remove(board, before)]:
        start = time.monotonic()
        name = chapter.__name__ if chapter in chapters else remove.__name__
        print(f"{name.replace('_', ' ')} ...", flush=True)
        chapter(board)
        print(f"{name.replace('_', ' ')}: ok ({time.monotonic() - start:.0f} s)", flush=True)


def make_models(calibrate, folder):
    """Two packs of a small network, the second with other labels: an emulated processor runs them."""
    labels = folder / "labels.txt"
    labels.write_text("".join(f"new {number}\n" for number in range(10)))
    data = ROOT / "calibrate/tests/data"
    common = ["--checkpoint", data / "garments", "--image-size", "32", "--merge", "0,1,2", "--limit", "32", "--quiet"]
    common += ["--images", f"idx:{data}/fashion-mnist/calibration-images.idx3.gz"]
    models = {"model.mvit": [], "next.mvit": ["--labels", labels]}
    for name, more in models.items():
        command = [calibrate, "pack", *common, *more, "--output", folder / name]
        # It warns of what merging costs so small a network.
        made = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        require(made.returncode == 0, f"mergevit-calibrate pack: {made.stderr}")
    return {name: folder / name for name in models}


def main():
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dist", type=Path, default=target / "dist", help="a release, unpacked there [default: %(default)s]")
    parser.add_argument("--machine", type=Path, default=target / "vivid", help="kernel and disk [default: %(default)s]")
    options = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package = next(options.dist.glob("mergevit_*_amd64.deb"))
        given = make_models(options.dist / "unpacked/bin/mergevit-calibrate", folder) | {package.name: package}
        with System(options.machine / "linux", options.machine / "debian.squashfs", given, folder) as system:
            board = Board(system)
            system.run("systemctl is-system-running --wait")
            print(f"boot: ok ({time.monotonic() - start:.0f} s)", flush=True)
            try:
                tell(board, board.files())
            except Failed as failure:
                # Frames would fill it.
                print(system.run("journalctl -o short-monotonic -u 'mergevit*' | grep -v '\"frame\",' | tail -n 60"), file=sys.stderr)
                sys.exit(f"FAILED: {failure}")
    print(f"1 passed, 0 failed ({time.monotonic() - start:.0f} s)")


if __name__ == "__main__":
    main()
