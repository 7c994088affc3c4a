"""The table of inner loops: as text, and against the one that is checked in.

A row is an inner loop: its kernel, its number in the kernel, the counts of `loops.Turn`, the kernel's registers. For
a linear layer follow the bytes of K that a turn takes, and instructions and stalls for 64 of them.
"""

import re
from dataclasses import astuple, fields
from fnmatch import fnmatch

from listing import Unreadable
from loops import Turn, turns

COUNTS = [field.name for field in fields(Turn)]
HEADINGS = ["kernel", "loop", *COUNTS, "registers", "K", "instructions/64", "stalls/64"]
# Counts of which more is worse, and by how much they may grow in loops with products and in others: any change around a
# loop shifts its schedule a little.
SLACK = {
    "instructions": (0, 0.05),
    "ldsm + shared": (0, 0),
    "ldgsts": (0, 0),
    "memory": (0, 0),
    "stalls": (0.03, 0.1),
    "before": (0.05, 0),
}
GEMM = re.compile(r"gemm_(\d+)x(\d+)_")


def bytes_of_k(name, imma, threads):
    """Bytes of K that a turn of a linear layer's main loop takes, or None for another loop."""
    tile = GEMM.match(name)
    if tile is None or imma == 0:
        return None
    # A product is 16 x 8 sums over 32 bytes.
    return imma * 16 * 8 * 32 * (threads // 32) // (int(tile[1]) * int(tile[2]))


def rows(kernels, threads):
    """The table: counts by kernel and loop. `threads` of a block, by kernel."""
    table = {}
    for kernel in kernels:
        for number, turn in enumerate(turns(kernel)):
            row = [*astuple(turn), kernel.registers]
            if k := bytes_of_k(kernel.name, turn.imma, threads[kernel.name]):
                row += [k, round(turn.instructions * 64 / k), round(turn.stalls * 64 / k)]
            table[kernel.name, number] = row
    return table


def threads_of(readme):
    """Threads of a block by kernel, from the table of resources."""
    found = {name: int(n) for name, n in re.findall(r"^\| `(\w+)` \| (\d+) \|", readme, re.MULTILINE)}
    if not found:
        raise Unreadable("kernels/README.md: no table of resources")
    return found


def text(table):
    """The table for people, and for `read`."""
    lines = [HEADINGS] + [[*key, *row] for key, row in table.items()]
    cells = [[str(cell) for cell in line] for line in lines]
    widths = [max(len(line[column]) for line in cells if column < len(line)) for column in range(len(HEADINGS))]

    def aligned(line):
        first = line[0].ljust(widths[0])
        return "  ".join([first, *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))])

    return "".join(aligned(line) + "\n" for line in cells)


def read(written):
    """The table of a text."""
    lines = [line.split() for line in written.splitlines()]
    if not lines or lines[0] != HEADINGS:
        raise Unreadable("the checked-in table has other columns")
    return {(name, int(number)): [int(cell) for cell in cells] for name, number, *cells in lines[1:]}


def work(counts):
    """What a turn gets done: products, else accesses. So longer turns compare with shorter ones."""
    return counts["imma"] or counts["memory"] + counts["ldgsts"] or counts["shared"] or 1


def worse(before, now):
    """What a loop has more of than before, for the work that it does."""
    before, now = dict(zip(COUNTS, before)), dict(zip(COUNTS, now))
    if (before["imma"] > 0) != (now["imma"] > 0):
        yield "another loop: one has products, the other none"
        return
    for name, slack in SLACK.items():
        was, is_now = (sum(of[part] for part in name.split(" + ")) / work(of) for of in (before, now))
        if is_now > was * (1 + slack[before["imma"] == 0]) + 1e-9:
            yield f"{name} {was:.4g} -> {is_now:.4g}"


def losses(recorded, table, accepted=()):
    """A line for every loop that became worse, or came in addition, in a kernel that none of the patterns accepts."""
    for (name, number), row in table.items():
        if any(fnmatch(name, pattern) for pattern in accepted):
            continue
        known = any(kernel == name for kernel, _ in recorded)
        if (name, number) in recorded:
            if found := ", ".join(worse(recorded[name, number], row)):
                yield f"{name}, loop {number}: worse: {found}"
        elif known:
            yield f"{name}, loop {number}: an inner loop that was not there"
