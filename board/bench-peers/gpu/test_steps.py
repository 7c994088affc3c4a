"""Steps add up over runs, and each says what it measured on. Standard library only."""

import json
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

# The bundle has it beside the others.
sys.path.append(str(Path(__file__).resolve().parent.parent))

import programs
import report
import run
import session
import steps

PROFILE = {
    "latency_us_p50": 500.0,
    "schedule": "r13",
    "batch": 1,
    "profile": {
        "network_us": 450.0,
        "launch_us": 1.3,
        "operations": [{"name": "fc1", "time_us": 9.0, "macs": 8_000_000, "weight_bytes": 1, "activation_bytes": 1}],
    },
}


class TestSteps(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        patch = mock.patch.object(steps, "make_model")
        patch.start()
        self.addCleanup(patch.stop)

    def session(self, program):
        path = self.folder / "program"
        path.write_text(f"#!/bin/sh\necho \"$@\" >> {self.folder}/calls\n{program}\n")
        path.chmod(0o755)
        checks = [
            {"pack": "m.mvit", "schedule": schedule, "batch": batch, "check": "equal"}
            for schedule in ("r0", "r13")
            for batch in (1, 8)
        ]
        device = {"name": "H100", "peak_macs_per_second": 132e12, "peak_bytes_per_second": 1e12, "multiprocessors": 132}
        arguments = SimpleNamespace(tune=False, batches=[1], profile_seconds=1.0, rounds=2, per_turn=1, dry_run=True)
        made = session.Session.__new__(session.Session)
        made.arguments, made.program, made.backend = arguments, path, "cuda"
        made.pack, made.tried = Path("m.mvit"), set()
        made.found = {"device": device, "checks": checks, "failures": {}}
        made.save = lambda: None
        return made

    def calls(self):
        return (self.folder / "calls").read_text().splitlines()

    def test_the_small_shape_is_profiled_once(self):
        made = self.session(f"echo '{json.dumps(PROFILE)}'")
        steps.run_small(made)
        calls = self.calls()
        self.assertEqual(len(calls), 8)
        self.assertTrue(all("--multiprocessors 8" in call for call in calls))
        self.assertEqual(sum("--tune" in call for call in calls), 4)
        kind = made.found["profiles"]["r0, batch 1, --multiprocessors 8"]["kinds"][0]
        self.assertAlmostEqual(kind["floor_us"], 1.0, delta=1e-3)
        # A second run measures nothing again.
        steps.run_small(made)
        self.assertEqual(len(self.calls()), 8)
        self.assertIn("r13, batch 1 --multiprocessors 8", report.render(made.found))

    def test_tilings_that_were_timed_are_kept_and_compared(self):
        said = "\n".join(
            f"[2026-11-30 DEBUG] tiling of Qkv 197 x 2304 x 768: {row}"
            for row in ("T64x128, K in 1, 72 blocks for 72: 44.00 us", "T64x128, K in 1, 24 blocks for 72: 40.00 us")
        )
        made = self.session(f"echo '{said}' >&2; echo \"$RUST_LOG\" >> {self.folder}/log; echo '{json.dumps(PROFILE)}'")
        steps.profile_all(made, [("r13", 1, ["--tune"])])
        self.assertIn("tune=debug", (self.folder / "log").read_text())
        row = "| Qkv 197 x 2304 x 768 | 64x128 / 1: 44.0 | 64x128 / 1: 44.0 | 64x128 / 1: 40.0 | 0.91 |"
        self.assertIn(row, report.render(made.found))

    def test_a_profile_that_fails_does_not_keep_others_from_being_made(self):
        made = self.session(f"case \"$*\" in *r0*) exit 1 ;; esac; echo '{json.dumps(PROFILE)}'")
        with self.assertRaises(programs.Failed):
            steps.run_profile(made)
        self.assertEqual(list(made.found["profiles"]), ["r13, batch 1"])

    def test_variants_take_turns(self):
        made = self.session('while read count; do yes 5 | head -n "$count" | tr "\\n" " "; echo; done')
        steps.run_variants(made)
        rows = made.found["variants"]["r13"]
        self.assertEqual([row["engine"] for row in rows], list(steps.VARIANTS))
        self.assertEqual({row["speedup"] for row in rows}, {1})

    def test_tools_that_are_not_installed_are_named(self):
        made = self.session("exit 1")
        with mock.patch("shutil.which", return_value=None):
            steps.run_counters(made)
            steps.run_sanitize(made)
        self.assertEqual(set(made.found["skipped"]), {"counters", "sanitize"})
        self.assertNotIn("sanitize", made.verdict())

    def test_what_follows_a_step_is_left_time(self):
        self.assertEqual(list(run.STEPS)[0], "doctor")
        self.assertLess(sum(run.KEPT.values()), 200)
        self.assertLessEqual(set(run.KEPT), set(run.STEPS))


if __name__ == "__main__":
    unittest.main()
