"""Inner loops of a kernel, and what one turn of each takes.

Loops are found as compilers do (Aho et al., "Compilers", 2nd edition, 9.6): an edge of the control flow back to a
block that dominates its source makes one; loops that contain no other are inner. A turn is the way through the loop
with the most matrix products, and of those with the most instructions. Branches for warps whose lanes have diverged
(`BRA.DIV`) count as not taken.
"""

import re
from dataclasses import dataclass

from listing import Unreadable

LEAVES = {"EXIT", "RET", "KILL"}
# Jumps to an address that only the running program knows.
COMPUTED = {"BRX", "JMX", "JMP", "BRXU", "JMXU"}
NEVER = {"@!PT", "@!UPT"}


@dataclass(frozen=True)
class Turn:
    """What a warp issues in one turn of an inner loop."""

    instructions: int
    imma: int  # matrix products of integers
    ldsm: int  # `ldmatrix`
    ldgsts: int  # `cp.async`
    shared: int  # other accesses to shared memory
    memory: int  # accesses to global memory but `cp.async`
    stalls: int  # clocks that the encoding makes the warp stall: the least that a lone warp takes
    before: int  # of them, those before the first matrix product


def turn(path):
    """The counts of a way through a loop."""

    def count(*bases):
        return sum(instruction.base in bases and instruction.predicate not in NEVER for instruction in path)

    first = next((index for index, instruction in enumerate(path) if instruction.base == "IMMA"), 0)
    return Turn(
        instructions=len(path),
        imma=count("IMMA"),
        ldsm=count("LDSM"),
        ldgsts=count("LDGSTS"),
        shared=count("LDS", "STS", "ATOMS"),
        memory=count("LDG", "STG", "RED", "ATOMG", "LD", "ST", "ATOM"),
        stalls=sum(instruction.stall for instruction in path),
        before=sum(instruction.stall for instruction in path[:first]),
    )


def jump(kernel, index):
    """Where an instruction that ends a block can lead, or None for one that ends none."""
    instruction = kernel.code[index]
    if instruction.base in COMPUTED:
        raise Unreadable(f"{kernel.name}: {instruction.opcode} leads anywhere")
    # A call of a label among the kernel's own is a jump; one of a library's function returns.
    called = instruction.base == "CALL" and (instruction.target or "").startswith(".L_x_")
    if instruction.base != "BRA" and not called:
        if instruction.base not in LEAVES:
            return None
        return [index + 1] if instruction.predicate else []
    if instruction.target not in kernel.labels:
        raise Unreadable(f"{kernel.name}: {instruction.opcode} to {instruction.target}, which is not in the listing")
    if instruction.opcode == "BRA.DIV":
        return [index + 1]
    # `BRA UP0, ...`: a predicate among the operands.
    conditional = instruction.predicate or re.match(r"!?U?P\d", instruction.operands)
    return [kernel.labels[instruction.target]] + ([index + 1] if conditional else [])


def blocks(kernel):
    """The basic blocks, as ranges of instructions, and for each the blocks that can follow it."""
    size = len(kernel.code)
    jumps = {index: leads for index in range(size) if (leads := jump(kernel, index)) is not None}
    starts = sorted({0, *kernel.labels.values(), *(index + 1 for index in jumps)} & set(range(size)))
    spans = list(zip(starts, [*starts[1:], size]))
    number = {start: block for block, start in enumerate(starts)}
    return spans, [[number[to] for to in jumps.get(end - 1, [end]) if to in number] for _, end in spans]


def postorder(follow):
    """The blocks that the first one reaches, each after those that are first reached through it."""
    order, seen, stack = [], {0}, [(0, iter(follow[0]))]
    while stack:
        block, rest = stack[-1]
        step = next((to for to in rest if to not in seen), None)
        if step is None:
            order.append(stack.pop()[0])
        else:
            seen.add(step)
            stack.append((step, iter(follow[step])))
    return order


def dominators(before):
    """For each block, given those from which it is entered: the blocks on every way to it, itself included."""
    result = {block: set(before) for block in before} | {0: {0}}
    changed = True
    while changed:
        changed = False
        for block in list(reversed(before))[1:]:
            ways = set.intersection(*(result[source] for source in before[block])) | {block}
            changed |= ways != result[block]
            result[block] = ways
    return result


def inner_loops(kernel):
    """Of each inner loop, in the order of the code, its first block and all of them."""
    _, follow = blocks(kernel)
    order = postorder(follow)
    before = {block: [source for source in order if block in follow[source]] for block in order}
    bodies = {}
    for source, heads in dominators(before).items():
        for head in heads.intersection(follow[source]):
            body, stack = bodies.setdefault(head, {head}), [source]
            while stack:
                block = stack.pop()
                if block not in body:
                    body.add(block)
                    stack += before[block]
    inner = (head for head, body in bodies.items() if not any(other in body for other in bodies if other != head))
    return [(head, bodies[head]) for head in sorted(inner)]


def costliest(kernel, head, body):
    """The instructions of a turn of the loop."""
    spans, follow = blocks(kernel)
    best = {}

    def weight(way):
        return sum(instruction.base == "IMMA" for instruction in way), len(way)

    def onwards(block):
        """The costliest way from a block to the end of the turn, or None where it leaves the loop."""
        if block not in best:
            best[block] = Unreadable(f"{kernel.name}: a cycle with two entries")
            ways = [onwards(to) for to in follow[block] if to in body and to != head]
            ways = [way for way in ways if way is not None] + [[]] * (head in follow[block])
            best[block] = kernel.code[slice(*spans[block])] + max(ways, key=weight) if ways else None
        if isinstance(best[block], Unreadable):
            raise best[block]
        return best[block]

    return onwards(head)


def turns(kernel):
    """What a turn of each inner loop takes, in the order of the code."""
    return [turn(costliest(kernel, head, body)) for head, body in inner_loops(kernel)]
