"""An initial file system: the "newc" format of cpio, with files of root."""

import re
import stat
import subprocess
from pathlib import Path


class Archive:
    """What it holds, in the order in which it was added; a name that is there already is left as it is."""

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
