"""Rules for a kernel's instructions as a whole: every matrix product runs on Tensor Cores, nothing is in local memory."""

from collections import Counter
from fnmatch import fnmatch

# The integer products that each kernel must have: types of the two factors. `mma.sync.m16n8k32` is 16832.
EXPECTED = {
    "gemm_*": {"IMMA.16832.S8.S8"},
    "attention_*": {"IMMA.16832.S8.S8", "IMMA.16832.U8.S8"},  # queries and keys; weights and values
    "merge_match_*": {"IMMA.16832.S8.S8"},
    "head": {"IMMA.16832.S8.S8"},
}


def check(kernels):
    """A line for everything that is wrong."""
    for kernel in kernels:
        opcodes = {instruction.opcode for instruction in kernel.code}
        for pattern, products in EXPECTED.items():
            if fnmatch(kernel.name, pattern):
                yield from (f"{kernel.name}: no {product}" for product in sorted(products - opcodes))
        for opcode in sorted(opcodes):
            if opcode.split(".")[0] in ("LDL", "STL"):
                yield f"{kernel.name}: uses local memory: {opcode}"
    for pattern in EXPECTED:
        if not any(fnmatch(kernel.name, pattern) for kernel in kernels):
            yield f"no kernel is called {pattern}"


def summary(kernel):
    """A line on a kernel: its size, its matrix products."""
    counts = Counter(instruction.opcode for instruction in kernel.code)
    products = [f"{n} {opcode}" for opcode, n in sorted(counts.items()) if "MMA." in opcode]
    return f"{kernel.name:28}{len(kernel.code):6} instructions  {', '.join(products) or '-'}"
