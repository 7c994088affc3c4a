"""A machine that runs Debian with systemd and dpkg, and a camera's driver; it forgets all when it ends.

Commands run there through QEMU's guest agent.
"""

import base64
import json
import socket
import subprocess
import time
from pathlib import Path

import linux

HERE = Path(__file__).resolve().parent
AGENT = "org.qemu.guest_agent.0"
MODULES = ["virtio_pci", "virtio_blk", "virtio_console", "squashfs", "overlay", linux.CAMERA]
# All that is written is in memory.
MEMORY_MB = 1024
# Nobody logs in.
KERNEL_OPTIONS = [f"systemd.mask={unit}" for unit in ("getty.target", "getty-static.service", "serial-getty@ttyS0.service")]
# Emulation is slow, and slower on a busy machine.
PATIENCE = 300


class Failed(Exception):
    """Something is not as it must be; the message says what."""


class System:
    """The running machine, for a `with` statement."""

    def __init__(self, kernel, disk, given, folder):
        """Boots the image `disk`, with files in /given: paths by the names that they have there."""
        archive = linux.first_programs(kernel, HERE / "switch.sh", MODULES)
        for name, path in given.items():
            archive.file(f"given/{name}", path, 0o644)
        self.console = folder / linux.CONSOLE
        door = folder / "agent"
        command = linux.emulator(kernel, folder, archive, MEMORY_MB, KERNEL_OPTIONS)
        command += ["-drive", f"if=virtio,format=raw,readonly=on,file={disk}", "-device", "virtio-serial-pci"]
        command += ["-chardev", f"socket,id=agent,path={door},server=on,wait=off"]
        command += ["-device", f"virtserialport,chardev=agent,name={AGENT}"]
        door.unlink(missing_ok=True)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self.agent = None
        try:
            self._wait_for_agent(door)
        except BaseException:
            self.end()
            raise

    def _wait_for_agent(self, door):
        end = time.monotonic() + PATIENCE
        self.agent = socket.socket(socket.AF_UNIX)
        while not door.exists() or self.agent.connect_ex(str(door)) != 0:
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed(f"QEMU does not start: exit code {self.process.poll()}")
            time.sleep(0.05)
        self.lines = self.agent.makefile("rb")
        self.agent.settimeout(PATIENCE)
        self.ask("guest-ping")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Ends the machine as a power cut does."""
        if self.agent is not None:
            self.agent.close()
        self.process.kill()
        self.process.wait()

    def ask(self, command, **arguments):
        """What the guest agent answers."""
        request = {"execute": command, "arguments": arguments}
        self.agent.sendall(json.dumps(request).encode() + b"\n")
        try:
            answer = json.loads(self.lines.readline() or "{}")
        except TimeoutError:
            answer = {"error": "timed out"}
        if "return" not in answer:
            raise Failed(f"the machine does not answer {command}: {answer.get('error', 'it has ended')}")
        return answer["return"]

    def try_to_run(self, command, seconds=PATIENCE):
        """Runs a line of shell as root; returns its exit code, standard output as bytes, and standard error."""
        options = {"path": "/bin/sh", "arg": ["-c", command], "capture-output": True}
        number = self.ask("guest-exec", **options)["pid"]
        end = time.monotonic() + seconds
        while not (status := self.ask("guest-exec-status", pid=number))["exited"]:
            if time.monotonic() > end:
                raise Failed(f"{command}: does not end within {seconds} s")
            time.sleep(0.05)
        out, err = (base64.b64decode(status.get(part, "")) for part in ("out-data", "err-data"))
        return status.get("exitcode", -1), out, err.decode(errors="replace")

    def run_for_bytes(self, command):
        """Standard output of a line of shell that must succeed."""
        code, out, err = self.try_to_run(command)
        if code != 0:
            raise Failed(f"{command}: exit code {code}: {(out.decode(errors='replace') + err).strip()[-2000:]}")
        return out

    def run(self, command):
        """The same as text."""
        return self.run_for_bytes(command).decode(errors="replace")

    def until(self, what, condition, seconds=PATIENCE):
        """Waits until `condition` gives something that counts as true, and returns it; else, `what` did not happen."""
        end = time.monotonic() + seconds
        while not (result := condition()):
            if time.monotonic() > end:
                raise Failed(f"{what}: not within {seconds} s")
            # Emulated, each look takes a good part of a second from what is looked at.
            time.sleep(1)
        return result
