"""Engines in processes of their own that answer requests for timed inferences. Needs the standard library only."""

import subprocess


class Served:
    """A program that answers a line with a count with a line of that many latencies in microseconds.

    Its threads sleep between lines, so it takes no time from the engine that is being timed.
    """

    def __init__(self, name, command):
        self.name = name
        self.command = [str(part) for part in command]
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def time(self, count):
        """Latencies of `count` inferences in microseconds."""
        try:
            self.process.stdin.write(f"{count}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self.process.stdout.readline().split()
        if len(answer) != count:
            code = self.process.poll()
            raise SystemExit(f"{self.name}: expected {count} latencies, got {answer!r}, exit code {code}")
        return [float(latency) for latency in answer]

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Mergevit(Served):
    """`mergevit bench --serve`."""

    def __init__(
        self, program, pack, schedule, threads=None, backend=None, batch=1, check=True, tune=False, flags=(), name=None
    ):
        self.logits = None
        command = [program, "bench", "--model", pack, "--schedule", schedule, "--batch", batch, "--serve"]
        command += ["--threads", threads] if threads else []
        command += ["--backend", backend] if backend else []
        command += [] if check else ["--no-check"]
        command += ["--tune"] if tune else []
        command += flags
        super().__init__(name or f"mergevit {schedule}", command)
        self.time(1)
