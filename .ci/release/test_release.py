"""Tests of the release scripts: `python3 -m unittest discover -s .ci/release`. Needs cyclonedx-python-lib."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path

import notices
import package
import sbom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from dependencies import crates

TARGET = "x86_64-unknown-linux-gnu"


class Dependencies(unittest.TestCase):
    def test_what_is_linked_and_what_only_builds(self):
        linked = {crate.name: crate.linked for crate in crates(TARGET)}
        for name in ("mergevit-board", "mergevit-calibrate", "mergevit-kernels", "image", "v4l", "gemm"):
            self.assertTrue(linked[name], name)
        for name in ("serde_derive", "bindgen"):
            self.assertFalse(linked[name], name)
        for name in ("mergevit-emulator", "proptest"):
            self.assertNotIn(name, linked, "only tests need it")


class Bill(unittest.TestCase):
    def setUp(self):
        self.bill = sbom.document(TARGET, "1.2.3", "c0ffee", 0)

    def test_it_follows_the_schema(self):
        for target in (TARGET, "aarch64-unknown-linux-gnu"):
            text = json.dumps(sbom.document(target, "1.2.3", "c0ffee", 0))
            self.assertIsNone(JsonStrictValidator(SchemaVersion.V1_6).validate_str(text), target)

    def test_the_check_would_find_a_mistake(self):
        self.bill["components"][0]["scope"] = "sometimes"
        self.assertIsNotNone(JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(self.bill)))

    def test_every_reference_leads_to_a_component(self):
        known = {component["bom-ref"] for component in self.bill["components"]} | {"mergevit"}
        self.assertEqual(known, {entry["ref"] for entry in self.bill["dependencies"]})
        for entry in self.bill["dependencies"]:
            self.assertLessEqual(set(entry.get("dependsOn", ())), known, entry["ref"])

    def test_what_comes_from_elsewhere_has_a_checksum(self):
        for component in self.bill["components"]:
            self.assertEqual("purl" in component, "hashes" in component, component["name"])


class Notices(unittest.TestCase):
    def test_every_linked_crate_of_others_has_its_licence(self):
        text = notices.document(TARGET)
        for crate in crates(TARGET):
            head = f"\n{crate.name} {crate.version} ({crate.license})\n"
            self.assertEqual(head in text, crate.linked and not crate.ours, crate.name)
        self.assertIn("Christopher N. Hesse", text, "of a crate without a licence file")


class Archive(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_its_bytes_depend_on_contents_only(self):
        made = []
        for number, names in enumerate((["bin/b", "bin/a", "share/c"], ["share/c", "bin/a", "bin/b"])):
            root = self.folder / str(number)
            for name in names:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(name)
                os.utime(root / name, (number, number))
                (root / name).chmod(0o600 + number)
            made.append(package.archive(root, "name", 1_000_000_000))
        self.assertEqual(*made)
        with tarfile.open(fileobj=io.BytesIO(made[0])) as tar:
            self.assertEqual(
                [(entry.name, oct(entry.mode), entry.mtime, entry.uid) for entry in tar],
                [
                    ("name", "0o755", 1_000_000_000, 0),
                    ("name/bin", "0o755", 1_000_000_000, 0),
                    ("name/bin/a", "0o755", 1_000_000_000, 0),
                    ("name/bin/b", "0o755", 1_000_000_000, 0),
                    ("name/share", "0o755", 1_000_000_000, 0),
                    ("name/share/c", "0o644", 1_000_000_000, 0),
                ],
            )

    def test_sums_hold_and_find_a_change(self):
        (self.folder / "a").write_text("one")
        package.write_sums(self.folder)
        check = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
        self.assertEqual(subprocess.run(check, cwd=self.folder).returncode, 0)
        self.assertIn(hashlib.sha256(b"one").hexdigest(), (self.folder / "SHA256SUMS").read_text())
        (self.folder / "a").write_text("two")
        self.assertEqual(subprocess.run(check, cwd=self.folder, capture_output=True).returncode, 1)


if __name__ == "__main__":
    unittest.main()
