"""Memory of processes on Linux. Needs the standard library only."""

from pathlib import Path


def status(pid, field):
    """A size of `/proc/PID/status` in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return 1024 * int(value.split()[0])
    raise KeyError(field)


def resident(pid):
    """Bytes in memory, those of mapped files among them."""
    return status(pid, "VmRSS")


def peak(pid):
    """The most that was resident so far."""
    return status(pid, "VmHWM")
