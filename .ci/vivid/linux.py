"""A small machine in QEMU: Debian's kernel, modules of it, and the first programs that run there.

Its processor is emulated, because the machines that build have no other way, or one that fails.
"""

import re
import shutil
import stat

from archive import Archive

# A driver that pretends to be a webcam.
CAMERA = "vivid"
# Where the kernel's messages go, in the machine's folder.
CONSOLE = "console.txt"


def dependencies(modules, name, found):
    """Appends a module to `found`, after those that it needs."""
    path = modules.get(name)
    if path is None or path in found:
        return
    needed = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes()).group(1).decode()
    for other in filter(None, needed.replace("-", "_").split(",")):
        dependencies(modules, other, found)
    found.append(path)


def first_programs(linux, init, modules):
    """Busybox, the first process, and modules of the kernel in the folder `linux`, numbered as they are to be loaded."""
    archive = Archive()
    for folder in ("proc", "sys", "dev", "tmp"):
        archive.folder(folder)
    archive.entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.file("bin/busybox", shutil.which("busybox"))
    archive.file("init", init)
    files = {path.stem.replace("-", "_"): path for path in linux.glob("lib/modules/*/kernel/**/*.ko")}
    order = []
    for module in modules:
        dependencies(files, module, order)
    for number, path in enumerate(order):
        archive.file(f"modules/{number:02}-{path.stem}.ko", path, 0o644)
    return archive


def emulator(linux, folder, archive, memory_mb, kernel_options=()):
    """QEMU's command line for a machine with these first programs, and no disk."""
    folder.mkdir(parents=True, exist_ok=True)
    initial = folder / "initial.cpio"
    initial.write_bytes(archive.finish())
    command = ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", str(memory_mb)]
    command += ["-display", "none", "-no-reboot", "-nic", "none", "-serial", f"file:{folder / CONSOLE}"]
    command += ["-kernel", str(next(linux.glob("boot/vmlinuz-*"))), "-initrd", str(initial)]
    options = ["console=ttyS0", "quiet", "panic=-1", "rdinit=/init", *kernel_options]
    return command + ["-append", " ".join(options)]
