"""The table of inner loops: as text, and against the one that is checked in.

A row is a kind of loop: the kernel, and how many dot products a turn makes. Its counts are those of the costliest loop
of that kind, of which there are as many as the kernel is compiled for epilogues and head widths.
"""

from loops import Turn, Unreadable

COUNTS = ["k", "loads", "vector", "scalar", "spills", "instructions"]
HEADINGS = ["kernel", "sdot", *COUNTS, "cycles", "share"]
# A compiler may count and branch in another way: so many instructions more are no finding.
SLACK = {"scalar": 4, "instructions": 4}


def rows(found):
    """The table of kernels and turns."""
    kinds = {}
    for kernel, turn in found:
        kinds.setdefault((kernel, turn.sdot), []).append(turn)
    return {kind: max(turns, key=lambda turn: (turn.cycles, turn.instructions))
            for kind, turns in sorted(kinds.items())}


def text(table):
    """The table for people, and for `read`."""
    lines = [HEADINGS]
    for (kernel, sdot), turn in table.items():
        counts = [getattr(turn, name) for name in COUNTS]
        lines.append([kernel, sdot, *counts, f"{turn.cycles:.1f}", f"{turn.share}%"])
    cells = [[str(cell) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells)]

    def aligned(line):
        rest = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))
        return "  ".join([line[0].ljust(widths[0]), *rest])

    return "".join(aligned(line) + "\n" for line in cells)


def read(written):
    """The table of a text."""
    lines = [line.split() for line in written.splitlines()]
    if not lines or lines[0] != HEADINGS:
        raise Unreadable("the checked-in table has other columns")
    table = {}
    for kernel, sdot, *cells in lines[1:]:
        counts = dict(zip(COUNTS, map(int, cells)))
        table[kernel, int(sdot)] = Turn(sdot=int(sdot), **counts)
    return table


def spills(table):
    """A line for every kind of loop that keeps sums or operands on the stack."""
    for (kernel, sdot), turn in table.items():
        if turn.spills:
            yield f"{kernel}, {sdot} products a turn: {turn.spills} accesses to the stack"


def changes(recorded, table):
    """A line for every kind of loop that is not as recorded."""
    for (kernel, sdot), turn in table.items():
        what = f"{kernel}, {sdot} products a turn"
        if (before := recorded.get((kernel, sdot))) is None:
            yield f"{what}: not in loops.txt: record it with --write"
            continue
        for name in COUNTS[1:]:
            was, now = getattr(before, name), getattr(turn, name)
            if now > was + SLACK.get(name, 0):
                yield f"{what}: worse: {name} {was} -> {now}"
        if turn.k != before.k or turn.share > before.share:
            yield f"{what}: no worse than loops.txt says, but different: record it with --write"
    for kernel, sdot in recorded.keys() - table.keys():
        yield f"{kernel}, {sdot} products a turn: gone; record that with --write"
