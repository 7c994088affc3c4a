#!/usr/bin/env python3
"""Times two versions of mergevit in turn, each on a pack of its own.

usage: versions.py OLD-PROGRAM OLD.mvit NEW-PROGRAM NEW.mvit [--schedule r0] [--threads 2] [--rounds 25] [--runs 4]

Both programs stay loaded (`mergevit bench --serve`) and run a few images each, in turn, so that whatever else the
machine does meets both alike. Prints the median and the least latency of each, and the ratio of the medians.
"""

import argparse
import json
import statistics
import subprocess


class Version:
    """A program that waits for counts and answers with as many latencies."""

    def __init__(self, program, pack, schedule, threads):
        command = [program, "bench", "--model", pack, "--schedule", schedule, "--threads", str(threads), "--serve", "--quiet"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.microseconds = []

    def run(self, count):
        print(count, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args[0]} ended with {self.process.wait()}")
        latencies = json.loads(line) if line.lstrip().startswith("[") else [float(x) for x in line.split()]
        self.microseconds += latencies

    def median(self):
        return statistics.median(self.microseconds)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    for name in ("old_program", "old_pack", "new_program", "new_pack"):
        parser.add_argument(name)
    parser.add_argument("--schedule", default="r0")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--runs", type=int, default=4, help="images a round")
    args = parser.parse_args()
    old = Version(args.old_program, args.old_pack, args.schedule, args.threads)
    new = Version(args.new_program, args.new_pack, args.schedule, args.threads)
    for round_ in range(args.rounds):
        for version in (old, new) if round_ % 2 else (new, old):
            version.run(args.runs)
    for name, version in (("old", old), ("new", new)):
        version.close()
        least = min(version.microseconds) / 1e3
        print(f"{name}: median {version.median() / 1e3:.1f} ms, least {least:.1f} ms, {len(version.microseconds)} images")
    print(f"new / old: {new.median() / old.median():.3f}")


if __name__ == "__main__":
    main()
