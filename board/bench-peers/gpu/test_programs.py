"""Only success counts as success: how results of the bundle's programs are judged. Standard library only."""

import tempfile
import time
import unittest
from pathlib import Path

import limits
import programs


class TestPrograms(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def program(self, text):
        path = self.folder / "program"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def test_a_test_program_is_told_the_device_and_counted(self):
        said = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured"
        path = self.program(f'[ "$MERGEVIT_TEST_DEVICE" = cuda ] && echo "{said}"')
        found = programs.run_test(path, "cuda")
        self.assertEqual((found["name"], found["passed"], found["ignored"]), ("program", 3, 1))
        with self.assertRaises(programs.Failed):
            programs.run_test(path, None)

    def test_failures_silence_and_empty_tests_are_failures(self):
        for text in (
            "echo 'test result: FAILED. 1 passed; 1 failed; 0 ignored'; exit 101",
            "true",
            "echo 'test result: ok. 0 passed; 0 failed; 0 ignored'",
        ):
            with self.assertRaises(programs.Failed):
                programs.run_test(self.program(text), "cuda")

    def test_of_failed_tests_those_that_fail_alone_are_told(self):
        path = self.program(
            'case "$2" in\n"") echo "test a ... FAILED"; echo "test b ... FAILED"; exit 101 ;;\n'
            'a) echo "the reason is $CUDA_LAUNCH_BLOCKING"; exit 101 ;;\nesac'
        )
        with self.assertRaises(programs.Failed) as failed:
            programs.run_test(path, "cuda")
        said = str(failed.exception)
        self.assertIn("2 tests fail", said)
        self.assertIn("a fails by itself:\nthe reason is 1", said)
        self.assertNotIn("b fails", said)

    def test_what_hangs_is_stopped(self):
        with self.assertRaises(programs.Failed) as failed:
            programs.run([self.program("echo 'test a ... ok'; exec sleep 60")], seconds=0.5)
        self.assertIn("no end after 0.5 s\ntest a ... ok", str(failed.exception))

    def test_of_two_limits_the_earlier_one_counts(self):
        for outer, inner in [(0.1, 60), (60, 0.1)]:
            with self.assertRaises(limits.OutOfTime), limits.within(outer), limits.within(inner):
                time.sleep(10)
        with limits.within(0.2):
            with limits.within(60):
                pass
            with self.assertRaises(limits.OutOfTime):
                time.sleep(10)
        time.sleep(0.3)

    def test_steps_leave_time_to_those_after_them(self):
        self.addCleanup(setattr, limits, "END", limits.END)
        limits.start(100)
        with limits.keeping(40):
            self.assertLess(limits.left(), 60.1)
        self.assertGreater(limits.left(), 90)

    def test_counters_are_read_by_launch(self):
        head = '"ID","Kernel Name","Metric Name","Metric Unit","Metric Value"'
        said = [
            "==PROF== Connected to process 7",
            '{"event": "a line of the program"}',
            head,
            '"0","attention_64(AttentionParams)","gpu__time_duration.sum","us","12.5"',
            '"0","attention_64(AttentionParams)","dram__throughput.avg.pct_of_peak_sustained_elapsed","%","1,003"',
            '"1","layer_norm_narrow","gpu__time_duration.sum","us","3"',
        ]
        rows = programs.read_counters("\n".join(said))
        self.assertEqual([row["kernel"] for row in rows], ["attention_64", "layer_norm_narrow"])
        self.assertEqual(rows[0]["gpu__time_duration.sum"], "12.5 us")
        for empty in ("", head, "==ERROR== ERR_NVGPUCTRPERM"):
            with self.assertRaises(programs.Failed):
                programs.read_counters(empty)

    def test_what_cannot_run_is_a_failure(self):
        with self.assertRaises(programs.Failed):
            programs.output([self.folder / "missing"])
        with self.assertRaises(programs.Failed):
            programs.bench(self.program("echo no JSON"), "m.mvit", "cuda", "r0", 1)

    def test_an_unchecked_or_foreign_backend_is_a_failure(self):
        jobs = [(Path("m.mvit"), "r0", 1)]
        answers = {"equal": "cuda", "not_asked": "cuda", "is_reference": "reference"}
        for check, backend in answers.items():
            line = f'{{"backend": "{backend}", "check": "{check}"}}'
            path = self.program(f"echo 'a table'; echo '{line}'")
            if check == "equal":
                self.assertEqual([len(part) for part in programs.check(path, jobs, "cuda", 2)], [1, 0])
            else:
                self.assertEqual([len(part) for part in programs.check(path, jobs, "cuda", 2)], [0, 1])


if __name__ == "__main__":
    unittest.main()
