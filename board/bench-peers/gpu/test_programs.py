"""What the bundle's programs say is believed only if it is a success. Needs the standard library only."""

import tempfile
import unittest
from pathlib import Path

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

    def test_an_unchecked_or_foreign_backend_is_a_failure(self):
        jobs = [(Path("m.mvit"), "r0", 1)]
        answers = {"equal": "cuda", "not_asked": "cuda", "is_reference": "reference"}
        for check, backend in answers.items():
            line = f'{{"backend": "{backend}", "check": "{check}"}}'
            path = self.program(f"echo 'a table'; echo '{line}'")
            if check == "equal":
                self.assertEqual(len(programs.check(path, jobs, "cuda")), 1)
            else:
                with self.assertRaises(programs.Failed):
                    programs.check(path, jobs, "cuda")


if __name__ == "__main__":
    unittest.main()
