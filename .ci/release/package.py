#!/usr/bin/env python3
"""Makes the files of a release: an archive of both programs, a Debian package, a bill of materials, and SHA256SUMS.

usage: .ci/release/package.py [--target TRIPLE] [--profile NAME] [--output DIR] [--reuse] [--allow-dirty]

The archive holds a prefix, so that `tar -xzf ARCHIVE -C /usr/local --strip-components=1` installs it:

  bin/                    the programs, without debug information but with the names of functions, for backtraces
  share/man/man1/         manual pages
  share/...               completions, where bash, fish and zsh look for them
  share/doc/mergevit/     documents, licences, those of all parts, and the bill of materials

The Debian package (where there is dpkg-deb) installs the same below /usr, with services and their configuration.

The same programs give the same bytes: times are the commit's (or SOURCE_DATE_EPOCH). This machine's paths are left out
of the programs. Another target needs cargo's usual variables for its linker and runner:

  RUSTC=/usr/bin/rustc CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \\
      CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER='qemu-aarch64 -L /' \\
      .ci/release/package.py --target aarch64-unknown-linux-gnu
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import debian
import elf
import notices
import sbom
from dependencies import FEATURES, PACKAGES, ROOT, compiler, run

DOCUMENTS = ["README.md", "BENCHMARKS.md", "CHANGELOG.md", "SECURITY.md", "LICENSE-APACHE", "LICENSE-MIT"]
COMPLETIONS = {
    "bash": "share/bash-completion/completions/{}",
    "fish": "share/fish/vendor_completions.d/{}.fish",
    "zsh": "share/zsh/site-functions/_{}",
}


def main():
    options = parse()
    host = re.search(r"^host: (.*)$", compiler("-vV"), re.MULTILINE)[1]
    target = options.target or host
    commit, seconds = run("git", "log", "-1", "--format=%H %ct").split()
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", seconds))
    if run("git", "status", "--porcelain", "--untracked-files=no") and not options.allow_dirty:
        sys.exit("the working tree differs from its commit: commit the changes, or give --allow-dirty to try the script")

    programs = build(target, options)
    runner = shlex.split(os.environ.get(f"CARGO_TARGET_{target.upper().replace('-', '_')}_RUNNER", ""))
    version = run(*runner, programs["mergevit"], "-V").split()[1]
    name = f"mergevit-{version}-{target}"
    options.output.mkdir(parents=True, exist_ok=True)
    bill = json.dumps(sbom.document(target, version, commit, seconds), indent=1) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder)
        place_programs(programs, runner, target, prefix)
        place_documents(target, bill, prefix)
        for path in (prefix / "bin").iterdir():
            elf.check_glibc(path)
            needed = elf.dotted(elf.glibc(path))
            print(run(*runner, path, "--version"), f"{path.stat().st_size:,} bytes, glibc {needed} or newer")
        (options.output / f"{name}.tar.gz").write_bytes(archive(prefix, name, seconds))
        if debian.is_possible():
            debian.build(prefix, target, version, seconds, options.output)
        else:
            print("no Debian package: there is no dpkg-deb", file=sys.stderr)
    (options.output / f"{name}.cdx.json").write_text(bill)
    write_sums(options.output)
    print((options.output / "SHA256SUMS").read_text(), end="")


def parse():
    target_folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", metavar="TRIPLE", help="default: this machine's")
    parser.add_argument("--profile", metavar="NAME", default="release", help="of cargo, to try the script [default: %(default)s]")
    parser.add_argument("--output", metavar="DIR", type=Path, default=target_folder / "dist", help="default: %(default)s")
    parser.add_argument("--reuse", action="store_true", help="take an ordinary release build, with this machine's paths")
    parser.add_argument("--allow-dirty", action="store_true", help="package a tree with changes")
    return parser.parse_args()


def build(target, options):
    """Builds the programs; returns their paths by name."""
    command = ["cargo", "build", f"--profile={options.profile}", "--locked", "--features", FEATURES]
    command.append("--message-format=json-render-diagnostics")
    if options.target:
        command += ["--target", target]
    environment = dict(os.environ)
    if not options.reuse:
        cargo_home = os.environ.get("CARGO_HOME", Path.home() / ".cargo")
        target_folder = json.loads(run("cargo", "metadata", "--no-deps", "--format-version=1"))["target_directory"]
        # The last that matches wins: the target folder is often inside the root.
        names = {cargo_home: "/cargo", ROOT: "/mergevit", target_folder: "/target"}
        remaps = [f"--remap-path-prefix={path}={name}" for path, name in names.items()]
        # Separated by 0x1f, because a path may contain blanks.
        environment["CARGO_ENCODED_RUSTFLAGS"] = "\x1f".join(remaps)
    messages = [json.loads(line) for line in run(*command, env=environment).splitlines()]
    built = {Path(path).name: Path(path) for message in messages if (path := message.get("executable"))}
    return {name: built[name] for name in PACKAGES.values()}


def place_programs(programs, runner, target, prefix):
    """The programs, and what they print for shells and `man`."""
    (prefix / "bin").mkdir()
    # Binutils leave out the vendor.
    strip = shutil.which(target.replace("-unknown-", "-") + "-strip") or "strip"
    for name, program in programs.items():
        run(strip, "--strip-debug", "-o", prefix / "bin" / name, program)
        (prefix / "bin" / name).chmod(0o755)
        run(*runner, program, "man", "--output", prefix / "share/man/man1")
        for shell, place in COMPLETIONS.items():
            path = prefix / place.format(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(run(*runner, program, "completions", shell) + "\n")


def place_documents(target, bill, prefix):
    """What a user must have with the programs: documents, licences, the bill of materials."""
    folder = prefix / "share/doc/mergevit"
    folder.mkdir(parents=True)
    for name in DOCUMENTS:
        shutil.copyfile(ROOT / name, folder / name)
    shutil.copyfile(ROOT / "board/assets/README.md", folder / "ASSETS.md")
    standard_library = notices.standard_library()
    shutil.copyfile(standard_library, folder / f"RUST-STANDARD-LIBRARY{standard_library.suffix or '.txt'}")
    (folder / "THIRD-PARTY.txt").write_text(notices.document(target))
    (folder / "mergevit.cdx.json").write_text(bill)


def archive(folder, name, seconds):
    """A compressed archive of a folder under another name: sorted, owned by root, all files from one time."""
    raw = io.BytesIO()
    with gzip.GzipFile(fileobj=raw, mode="wb", mtime=seconds, filename="") as compressed:
        with tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in [folder, *sorted(folder.rglob("*"))]:
                entry = tar.gettarinfo(path, arcname=Path(name) / path.relative_to(folder))
                entry.uid = entry.gid = 0
                entry.uname = entry.gname = "root"
                entry.mtime = seconds
                entry.mode = 0o755 if path.is_dir() or path.parent.name == "bin" else 0o644
                with open(path, "rb") if path.is_file() else io.BytesIO() as file:
                    tar.addfile(entry, file)
    return raw.getvalue()


def write_sums(folder):
    """SHA256SUMS over the folder's files, for `sha256sum --check`."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"exit code {error.returncode}: {' '.join(map(str, error.cmd))}")
    except ValueError as error:
        sys.exit(str(error))
