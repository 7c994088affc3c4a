#!/usr/bin/env python3
"""A small machine with a V4L2 driver: Debian's kernel with `vivid`, which pretends to be a webcam, in QEMU.

The machine has nothing but busybox, v4l2-ctl, the program and the model that it is given, and `guest.sh`, which runs
them. What they print comes back through its second serial port, and is printed as one JSON object: by scenario, the
exit code, standard output and standard error. `board/tests/vivid.rs` runs it and judges.
"""

import argparse
import json
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DRIVER = "vivid"
# Enough for the kernel, the program and its frames; the machine has no disk.
MEMORY_MB = 512


class Archive:
    """An initial file system: the "newc" format of cpio, with files of root."""

    def __init__(self):
        self.bytes = bytearray()
        self.names = set()

    def entry(self, name, mode, data=b"", device=(0, 0)):
        if name in self.names:
            return
        self.names.add(name)
        path = name.encode() + b"\0"
        fields = [len(self.names), mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0]
        self.bytes += b"070701" + b"".join(b"%08X" % field for field in fields)
        self.pad(path)
        self.pad(data)

    def pad(self, data):
        self.bytes += data
        self.bytes += bytes(-len(self.bytes) % 4)

    def folder(self, name):
        parts = Path(name).parts
        for end in range(1, len(parts) + 1):
            self.entry("/".join(parts[:end]), stat.S_IFDIR | 0o755)

    def file(self, name, source, mode=0o755):
        self.folder(Path(name).parent)
        self.entry(name, stat.S_IFREG | mode, Path(source).read_bytes())

    def program(self, source):
        """A program in /bin, with the libraries that it loads."""
        self.file(f"bin/{Path(source).name}", source)
        libraries = subprocess.run(["ldd", source], capture_output=True, text=True).stdout
        for library in re.findall(r"(/\S+) \(0x", libraries):
            self.file(library.lstrip("/"), library)

    def finish(self):
        self.entry("TRAILER!!!", 0)
        return bytes(self.bytes)


def dependencies(modules, name, found):
    """Appends a module to `found`, after those that it needs."""
    path = modules.get(name)
    if path is None or path in found:
        return
    needed = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes()).group(1).decode()
    for other in filter(None, needed.replace("-", "_").split(",")):
        dependencies(modules, other, found)
    found.append(path)


def file_system(linux, programs, files):
    archive = Archive()
    for folder in ("proc", "sys", "dev", "tmp"):
        archive.folder(folder)
    archive.entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.file("bin/busybox", shutil.which("busybox"))
    for program in programs:
        archive.program(program)
    for name, file in files.items():
        archive.file(f"data/{name}", file, 0o644)
    archive.file("init", HERE / "guest.sh")
    modules = {path.stem.replace("-", "_"): path for path in linux.glob("lib/modules/*/kernel/**/*.ko")}
    order = []
    dependencies(modules, DRIVER, order)
    for number, path in enumerate(order):
        archive.file(f"modules/{number:02}-{path.stem}.ko", path, 0o644)
    return archive.finish()


def boot(linux, programs, files, folder, seconds):
    """Runs the machine until it turns itself off; returns what its scenarios printed."""
    folder.mkdir(parents=True, exist_ok=True)
    initial, results = folder / "initial.cpio", folder / "results.txt"
    initial.write_bytes(file_system(linux, programs, files))
    results.write_bytes(b"")
    command = ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", str(MEMORY_MB)]
    command += ["-display", "none", "-no-reboot", "-nic", "none", "-serial", f"file:{folder / 'console.txt'}"]
    command += ["-serial", f"file:{results}", "-kernel", str(next(linux.glob("boot/vmlinuz-*"))), "-initrd", str(initial)]
    command += ["-append", "console=ttyS0 quiet panic=-1 rdinit=/init"]
    try:
        subprocess.run(command, check=True, timeout=seconds, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        for file in (results, folder / "console.txt"):
            print(file.read_text(errors="replace")[-4000:], file=sys.stderr)
        sys.exit(f"the machine did not end within {seconds} s")
    return scenarios(results.read_text(errors="replace").replace("\r", ""))


def scenarios(text):
    """What `guest.sh` reports: by name, the exit code, standard output and standard error."""
    found = {}
    for part in re.split(r"^@@ ", text, flags=re.MULTILINE)[1:]:
        head, _, rest = part.partition("\n")
        name, code = head.rsplit(" ", 1)
        out, _, err = rest.partition("@@-\n")
        found[name] = {"code": int(code), "out": out, "err": err}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--linux", type=Path, required=True, help="where a kernel's package was unpacked")
    parser.add_argument("--program", type=Path, required=True, help="mergevit, with cameras")
    parser.add_argument("--model", type=Path, required=True, help="a small one: an emulated processor runs it")
    parser.add_argument("--folder", type=Path, required=True, help="for the machine's files")
    parser.add_argument("--seconds", type=int, default=420, help="in which the machine must end")
    args = parser.parse_args()
    programs = [args.program, shutil.which("v4l2-ctl")]
    files = {"model.mvit": args.model}
    print(json.dumps(boot(args.linux, programs, files, args.folder, args.seconds)))


if __name__ == "__main__":
    main()
