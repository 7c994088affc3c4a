"""Inner loops with dot products in an assembly listing, and what one turn of each takes.

A loop is what lies between a label and a jump back to it, as compilers lay code out; one that contains no other is
inner. The model of the processor is that of the Arm Cortex-A78 Software Optimization Guide: six instructions a cycle
from its cache of decoded ones, two pipes for vectors of 128 bits, each of which begins an SDOT a cycle and forwards the
sum to the next after one, four pipes for integers, one of them for branches as well. Of its three pipes for loads two
are counted, as 32 bytes a cycle are what it reads of vectors.
"""

import re
import subprocess
from dataclasses import dataclass

FUNCTION = re.compile(r"^(_R\w+):")
LABEL = re.compile(r"^(\.L\w+):")
JUMP = re.compile(r"^(?:b|b\.\w+|cbn?z|tbn?z)\s.*?(\.L\w+)$")
INSTRUCTION = re.compile(r"^[a-z][\w.]*(\s|$)")
VECTOR = re.compile(r"\b[vqd]\d+\b")
STACK = re.compile(r"\[sp\b")
CRATE_HASH = re.compile(r"\[[0-9a-f]+\]")
# What of the kernels is compiled for the dot product, in a demangled name.
KERNEL = re.compile(r"::vectorize::inner::<[^,]+, mergevit_kernels::cpu::([\w:]+)<")

FRONT, VECTORS, LOADS, INTEGERS = 6, 2, 2, 4


class Unreadable(Exception):
    """A listing that is not as expected: nothing may be concluded from it."""


@dataclass(frozen=True)
class Turn:
    """What one turn of an inner loop takes."""

    k: int  # bytes of K
    sdot: int
    loads: int  # vectors of 128 bits
    vector: int  # other instructions on vectors
    scalar: int
    spills: int  # accesses to the stack
    instructions: int

    @property
    def cycles(self):
        """The least that it takes, by the busiest part of the processor."""
        return max(
            self.instructions / FRONT,
            (self.sdot + self.vector) / VECTORS,
            self.loads / LOADS,
            self.scalar / INTEGERS,
        )

    @property
    def share(self):
        """Of the dot products that two pipes make in that time, in per cent."""
        return round(100 * self.sdot / VECTORS / self.cycles)


def turn(body):
    """The counts of a loop's instructions."""
    products = [line for line in body if line.startswith("sdot")]
    loads = [line for line in body if line.startswith("ld") and VECTOR.search(line)]
    vector = sum(VECTOR.search(line) is not None for line in body) - len(products) - len(loads)
    accumulators = {line.split()[1] for line in products}
    return Turn(
        k=4 * len(products) // len(accumulators),
        sdot=len(products),
        loads=sum(1 + line.startswith("ldp") for line in loads),
        vector=vector,
        scalar=len(body) - len(products) - len(loads) - vector,
        spills=sum(STACK.search(line) is not None for line in body),
        instructions=len(body),
    )


def functions(listing):
    """The mangled names of a listing's functions, and their lines."""
    name, lines = None, []
    for line in listing.splitlines():
        if found := FUNCTION.match(line):
            if name:
                yield name, lines
            name, lines = found.group(1), []
        else:
            lines.append(" ".join(line.split("//")[0].split()))
    if name:
        yield name, lines


def inner_loops(lines):
    """The instructions of each inner loop."""
    labels = {found.group(1): at for at, line in enumerate(lines) if (found := LABEL.match(line))}
    ends = {}
    for at, line in enumerate(lines):
        found = JUMP.match(line)
        if found and labels.get(found.group(1), at) < at:
            ends[labels[found.group(1)]] = at
    spans = sorted(ends.items())
    for start, end in spans:
        if not any(start <= a and b <= end for a, b in spans if (a, b) != (start, end)):
            yield [line for line in lines[start:end + 1] if INSTRUCTION.match(line)]


def demangle(names):
    """Names as people read them."""
    done = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    return CRATE_HASH.sub("", done.stdout).splitlines()


def find(listing):
    """What a turn takes of every inner loop with dot products, with the kernel's name."""
    found = []
    for name, lines in functions(listing):
        bodies = [body for body in inner_loops(lines) if any(line.startswith("sdot") for line in body)]
        found += [(name, turn(body)) for body in bodies]
    if not found:
        raise Unreadable("no loop with dot products: not the assembly of mergevit-kernels for aarch64?")
    names = demangle([name for name, _ in found])
    kernels = [KERNEL.search(name) for name in names]
    for name, kernel in zip(names, kernels):
        if kernel is None:
            raise Unreadable(f"{name}: not what is compiled for the dot product")
    return [(kernel.group(1), turn) for kernel, (_, turn) in zip(kernels, found)]
