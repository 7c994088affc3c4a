"""`/metrics` as Prometheus reads it."""

import subprocess
import tempfile
import unittest
from pathlib import Path

from programs import found, get, page, wait
from publisher import Publisher


class Metrics(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name) / "socket")
        program, self.address = page(self.path)
        self.addCleanup(program.kill)

    def check(self):
        """The metrics, in which promtool finds nothing to complain about."""
        status, body = get(self.address, "/metrics")
        self.assertEqual(status, 200)
        checked = subprocess.run([found("promtool"), "check", "metrics"], input=body, capture_output=True)
        self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, b"", b""), body.decode())
        return body.decode()

    def test_promtool_takes_them_before_and_after_a_run(self):
        self.assertIn("mergevit_up 0\n", self.check())
        run = Publisher(self.path, sources=("front", 'ba"ck\\\n'), frames_per_second=100)
        run.switch("r16", "over_budget", latency_us=40000, budget_us=33333)
        run.say({"event": "lost", "time": "t", "records": 3})
        run.say({"event": "camera", "time": "t", "source": "front", "status": "streaming"})
        wait("frames", lambda: 'mergevit_frames_total{source="front"}' in self.check())
        wait("sensors", lambda: "mergevit_power_watts 1" in self.check())
        run.close()
        wait("its end", lambda: "mergevit_up 0\n" in self.check())
        self.assertIn('mergevit_frames_total{source="front"}', self.check())


if __name__ == "__main__":
    unittest.main()
