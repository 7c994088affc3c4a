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

import debian
import elf
import notices
import package
import sbom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from dependencies import crates, repository

TARGET = "x86_64-unknown-linux-gnu"


class Dependencies(unittest.TestCase):
    def test_what_is_linked_and_what_only_builds(self):
        linked = {crate.name: crate.linked for crate in crates(TARGET)}
        for name in ("mergevit-board", "mergevit-calibrate", "mergevit-kernels", "image", "v4l", "gemm", "axum", "rumqttc"):
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


def compile_c(path, code, *flags):
    """A program of this machine's compiler."""
    subprocess.run(["gcc", "-x", "c", "-", "-o", path, *flags], input=code, text=True, check=True)


class Glibc(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.program = Path(folder.name) / "program"

    def test_what_it_needs_is_read(self):
        compile_c(self.program, "int main(void) { return 0; }")
        self.assertTrue(elf.is_elf(self.program))
        self.assertEqual(elf.glibc(self.program), (2, 34), "__libc_start_main")
        self.assertEqual(elf.libraries(self.program), ["libc.so.6"])
        elf.check_glibc(self.program)

    def test_what_is_too_new_is_named(self):
        compile_c(self.program, "#include <stdlib.h>\nint main(void) { return (int)arc4random(); }")
        with self.assertRaisesRegex(ValueError, r"program needs arc4random@GLIBC_2\.36, and at most GLIBC_2\.34 is allowed"):
            elf.check_glibc(self.program)


class Debian(unittest.TestCase):
    """A package of a made-up program, built, looked into, installed, removed and purged."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.prefix = cls.folder / "prefix"
        files = {
            "share/man/man1/mergevit.1": ".TH mergevit 1\n",
            "share/zsh/site-functions/_mergevit": "#compdef mergevit\n",
            "share/doc/mergevit/README.md": "# mergevit\n",
            "share/doc/mergevit/CHANGELOG.md": "# 1.0.0\n",
            "share/doc/mergevit/LICENSE-MIT": "MIT\n",
        }
        for name, text in files.items():
            (cls.prefix / name).parent.mkdir(parents=True, exist_ok=True)
            (cls.prefix / name).write_text(text)
        (cls.prefix / "bin").mkdir()
        compile_c(cls.prefix / "bin/mergevit", "int main(void) { return 0; }")
        cls.package = debian.build(cls.prefix, TARGET, "1.0.0-rc1", 1_000_000_000, cls.folder)
        cls.root = cls.folder / "root"

    def dpkg(self, *arguments):
        """Runs dpkg on a root of its own, whose scripts run with this machine's programs."""
        command = ["dpkg", f"--root={self.root}", "--force-depends", "--force-not-root", "--force-script-chrootless"]
        subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)

    def test_its_name_sorts_before_the_release(self):
        self.assertEqual(self.package.name, "mergevit_1.0.0~rc1_amd64.deb")

    def test_its_bytes_depend_on_contents_only(self):
        again = self.folder / "again"
        again.mkdir()
        copy = debian.build(self.prefix, TARGET, "1.0.0-rc1", 1_000_000_000, again)
        self.assertEqual(self.package.read_bytes(), copy.read_bytes())

    def test_it_says_what_it_needs(self):
        fields = subprocess.run(["dpkg-deb", "--field", self.package], check=True, capture_output=True, text=True).stdout
        self.assertNotRegex(fields, "@[a-z]+@")
        self.assertIn("Depends: libc6 (>= 2.34), init-system-helpers", fields)
        self.assertIn(f"Homepage: {repository()}\n", fields)
        self.assertRegex(fields, r"Maintainer: .* <\w+@users\.noreply\.github\.com>\n")

    def test_it_installs_and_leaves_nothing_behind(self):
        (self.root / "var/lib/dpkg/updates").mkdir(parents=True)
        (self.root / "var/lib/dpkg/info").mkdir()
        (self.root / "var/lib/dpkg/status").touch()
        self.dpkg("--install", self.package)
        configuration = self.root / debian.CONFIGURATION
        modes = {name: oct((self.root / name).stat().st_mode & 0o777) for name in ("usr/bin/mergevit", debian.CONFIGURATION)}
        self.assertEqual(modes, {"usr/bin/mergevit": "0o755", debian.CONFIGURATION: "0o644"})
        for name in (
            "usr/lib/systemd/system/mergevit.service",
            "usr/share/man/man1/mergevit.1.gz",
            "usr/share/zsh/vendor-completions/_mergevit",
            "usr/share/doc/mergevit/changelog.gz",
            "usr/share/doc/mergevit/copyright",
        ):
            self.assertTrue((self.root / name).is_file(), name)
        self.assertFalse((self.root / "usr/share/doc/mergevit/LICENSE-MIT").exists(), "Debian has it in copyright")
        groups = (self.root / "etc/group").read_text()
        for group in ("mergevit", "video", "render"):
            self.assertIn(f"\n{group}:", f"\n{groups}")
        wants = self.root / "etc/systemd/system/multi-user.target.wants"
        self.assertFalse(wants.exists(), "nothing starts without a model")
        # What an administrator has changed stays over an upgrade and a removal.
        configuration.write_text("[run]\n")
        self.dpkg("--install", "--force-confold", self.package)
        self.dpkg("--remove", "mergevit")
        self.assertFalse((self.root / "usr/bin/mergevit").exists())
        self.assertEqual(configuration.read_text(), "[run]\n")
        # As systemd does for the service.
        for folder in ("var/lib", "var/cache"):
            (self.root / folder / "private/mergevit").mkdir(parents=True)
            (self.root / folder / "mergevit").symlink_to("private/mergevit")
        self.dpkg("--purge", "mergevit")
        left = [path for path in self.root.rglob("*mergevit*") if "dpkg" not in path.parts]
        self.assertEqual(left, [])


if __name__ == "__main__":
    unittest.main()
