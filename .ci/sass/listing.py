"""nvdisasm's listing of a module: the kernels' instructions with what their encoding says of scheduling.

An instruction takes 128 bits, which `nvdisasm -hex` prints as two words. Since Volta the upper bits hold what the
assembler decided for the scheduler (Jia et al., "Dissecting the NVIDIA Volta GPU Architecture via Microbenchmarking",
2018, section 2.1): bits 105 to 108 are the clocks that the warp stalls after it, 109 whether it yields, 110 to 112 and
113 to 115 the barriers that its result and its operands release, 116 to 121 the barriers that it waits for.
"""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

SECTION = re.compile(r"^\s*\.sectioninfo\s+@\"SHI_REGISTERS=(\d+)\"|^\.text\.(\S+):", re.MULTILINE)
LABEL = re.compile(r"^(\.L_x_\d+|\$\S+):")
INSTRUCTION = re.compile(
    r"^\s*/\*[0-9a-f]{4,}\*/\s+(?P<predicate>@!?U?P\w+)?\s*(?P<opcode>[A-Z][\w.]*)\s*(?P<operands>[^;]*);"
    r"\s*/\* 0x(?P<word>[0-9a-f]{16}) \*/$"
)
UPPER = re.compile(r"^\s*/\* 0x([0-9a-f]{16}) \*/$")
TARGET = re.compile(r"`\((.*?)\)")
STALL = 41  # bit 105 of the whole


class Unreadable(Exception):
    """A listing that is not as expected: nothing may be concluded from it."""


@dataclass
class Instruction:
    """One instruction: `opcode` with its modifiers, the clocks that its warp stalls after it at least."""

    predicate: str
    opcode: str
    operands: str
    stall: int = -1

    @property
    def base(self):
        return self.opcode.split(".")[0]

    @property
    def target(self):
        """The label that it names, if any."""
        found = TARGET.search(self.operands)
        return found.group(1) if found else None


@dataclass
class Kernel:
    """A kernel's code; `labels` are indices of instructions."""

    name: str
    registers: int
    code: list = field(default_factory=list)
    labels: dict = field(default_factory=dict)

    def count(self, base):
        return sum(instruction.base == base for instruction in self.code)


def find_nvdisasm(folder):
    """The disassembler, wherever pip has put it; its folder differs between releases."""
    if folder is None:
        found = shutil.which("nvdisasm")
        return found or sys.exit("nvdisasm is not in the PATH: pip install nvidia-cuda-nvdisasm, and name the folder")
    found = sorted(path for path in Path(folder).rglob("nvdisasm") if path.is_file())
    return found[0] if found else sys.exit(f"{folder}: no nvdisasm; .ci/install installs it")


def disassemble(nvdisasm, module):
    """The listing of a module, encodings included."""
    done = subprocess.run([nvdisasm, "--print-code", "-hex", module], capture_output=True, text=True)
    if done.returncode != 0:
        raise Unreadable(f"{module}: nvdisasm cannot read it: {done.stderr.strip()}")
    return done.stdout


def parse(listing):
    """The kernels of a listing, in its order."""
    kernels, registers = [], None
    for line in listing.splitlines():
        if found := SECTION.match(line):
            if found.group(1):
                registers = int(found.group(1))
            elif registers is None:
                raise Unreadable(f"{found.group(2)}: no number of registers before its code")
            else:
                kernels.append(Kernel(found.group(2), registers))
                registers = None
        elif kernels:
            read_line(kernels[-1], line)
    for kernel in kernels:
        if any(instruction.stall < 0 for instruction in kernel.code):
            raise Unreadable(f"{kernel.name}: an instruction without the second half of its encoding")
        if kernel.count("EXIT") == 0:
            raise Unreadable(f"{kernel.name}: no EXIT in the listing")
    return kernels


def read_line(kernel, line):
    """Adds what a line of a kernel's code says."""
    if found := LABEL.match(line):
        kernel.labels[found.group(1)] = len(kernel.code)
    elif found := INSTRUCTION.match(line):
        kernel.code.append(Instruction(found["predicate"] or "", found["opcode"], found["operands"].strip()))
    elif (found := UPPER.match(line)) and kernel.code:
        kernel.code[-1].stall = int(found.group(1), 16) >> STALL & 15
    elif line.lstrip().startswith("/*"):
        raise Unreadable(f"{kernel.name}: not an instruction: {line.strip()}")
