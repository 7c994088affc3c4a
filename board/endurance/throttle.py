#!/usr/bin/env python3
"""Does a run hold its frame rate while something else takes the processors, and come back when they are free?

Runs `mergevit run --target-fps` on a camera of that rate: alone, then beside processes that do nothing but compute, then alone
again; and, for comparison, the same without a target, which never changes its schedule. Prints what each did in each phase,
and draws it. Needs matplotlib for the picture.
"""

import argparse
import json
import subprocess
import sys
import time
from datetime import datetime
from threading import Thread

from camera import SOURCE, Camera

PHASES = ("alone", "beside the load", "alone again")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/mergevit")
    parser.add_argument("--model", required=True, help="a pack with several schedules, the first without merging")
    parser.add_argument("--fps", type=float, required=True, help="frames a second of the camera, and wanted of the run")
    parser.add_argument("--seconds", type=float, default=30, help="of a phase [default: %(default)s]")
    parser.add_argument("--load", type=int, default=2, help="processes that compute meanwhile [default: %(default)s]")
    parser.add_argument("--threads", type=int, default=2, help="of the run [default: %(default)s]")
    parser.add_argument("--plot", help="the picture to draw, SVG or PNG by its ending")
    return parser.parse_args()


def run(options, more):
    """Records of a run through all phases, and the times at which the phases begin and end."""
    command = [options.program, "run", "--model", options.model, "--source", f"{SOURCE}-", "--latest", "--json"]
    command += ["--threads", str(options.threads), *more]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    first = json.loads(process.stdout.readline())
    if first.get("event") != "start":
        sys.exit(f"{first}: expected a start record")
    camera = Camera(process.stdin, options.fps)
    camera.start()
    records, marks = [], []
    reader = Thread(target=lambda: records.extend(map(json.loads, process.stdout)))
    reader.start()
    # The first frames fill caches.
    time.sleep(2)
    for phase in PHASES:
        marks.append(time.time())
        load = []
        if phase == PHASES[1]:
            load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.load)]
        time.sleep(options.seconds)
        for busy in load:
            busy.kill()
            busy.wait()
    marks.append(time.time())
    camera.stop()
    reader.join()
    if process.wait() != 0:
        sys.exit(f"the run ended with exit code {process.returncode}")
    return records, marks


def seconds(record):
    return datetime.fromisoformat(record["time"].replace("Z", "+00:00")).timestamp()


def frames_between(records, begin, end):
    return [record for record in records if record["event"] == "frame" and begin <= seconds(record) < end]


def report(name, records, marks):
    print(f"\n{name}")
    print(f"{'phase':<18} {'frames/s':>8} {'dropped':>8} {'latency p50 ms':>15} {'p95':>6}  schedules")
    for phase, begin, end in zip(PHASES, marks, marks[1:]):
        frames = frames_between(records, begin, end)
        if not frames:
            sys.exit(f"{name}, {phase}: no frame was classified")
        latencies = sorted(frame["latency_us"] / 1e3 for frame in frames)
        dropped = sum(sum(frame["dropped"].values()) for frame in frames)
        schedules = {}
        for frame in frames:
            schedules[frame["schedule"]] = schedules.get(frame["schedule"], 0) + 1
        shares = ", ".join(f"{key} {100 * count / len(frames):.0f} %" for key, count in schedules.items())
        p50, p95 = (latencies[int(share * (len(latencies) - 1))] for share in (0.5, 0.95))
        rate = len(frames) / (end - begin)
        print(f"{phase:<18} {rate:>8.1f} {dropped:>8} {p50:>15.1f} {p95:>6.1f}  {shares}")
    switches = [record for record in records if record["event"] == "switch" and record["from"] != record["to"]]
    for switch in switches:
        after = seconds(switch) - marks[0]
        print(f"  {after:6.1f} s  {switch['from']} to {switch['to']}, {switch['reason']}")


def draw(path, fps, runs):
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "mergevit"
    import matplotlib.pyplot as plt

    figure, (rates, schedules) = plt.subplots(2, 1, figsize=(8, 4.8), sharex=True, height_ratios=(2, 1))
    for (name, records, marks), colour in zip(runs, ("#12766b", "#a0a0a0")):
        begin, end = marks[0], marks[-1]
        times = [seconds(frame) - begin for frame in frames_between(records, begin, end)]
        # Over two seconds, so that a frame more or less does not count as a change.
        counts = [sum(at - 1 <= time < at + 1 for time in times) / 2 for at in range(1, int(end - begin))]
        rates.plot(range(1, int(end - begin)), counts, color=colour, label=name)
    rates.axhline(fps, color="black", linewidth=0.8, linestyle=":")
    rates.set(ylabel="frames/s", ylim=(0, 1.15 * fps))
    name, records, marks = runs[0]
    frames = frames_between(records, marks[0], marks[-1])
    names = sorted({frame["schedule"] for frame in frames}, key=lambda name: int(name.lstrip("r") or 0))
    schedules.step(
        [seconds(frame) - marks[0] for frame in frames],
        [names.index(frame["schedule"]) for frame in frames],
        color="#12766b",
        where="post",
    )
    schedules.set(yticks=range(len(names)), yticklabels=names, ylabel="schedule", xlabel="seconds")
    for axes in (rates, schedules):
        axes.axvspan(marks[1] - marks[0], marks[2] - marks[0], color="#00000010")
    rates.legend(loc="lower left")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if str(path).endswith(".svg") else None)


def main():
    options = parse_arguments()
    governed = ("--target-fps", ["--target-fps", str(options.fps)])
    fixed = ("first schedule", [])
    runs = []
    for name, more in (governed, fixed):
        records, marks = run(options, more)
        report(name, records, marks)
        runs.append((name, records, marks))
    if options.plot:
        draw(options.plot, options.fps, runs)


if __name__ == "__main__":
    main()
