"""The search for loops, the model of the processor and the comparison of tables, on code small enough to count by hand."""

import unittest

import table
from loops import Turn, Unreadable, find, functions, inner_loops, turn

NAME = (
    "_RINvNvXs_NtNtNtCsiCkRJTP8xV7_16mergevit_kernels3cpu3isa4neonNtB7_4SdotNtB7_10DotProduct9vectorize5innerj"
    "NCNCNCINvNtBb_4peak7measureINtB7_4NeonBW_EE000EBd_"
)
LISTING = f"""
{NAME}:
.Lfunc_begin0:
\tmov\tx9, xzr
.LBB0_1:
\tldr\tx3, [x4]
.LBB0_2:
\tldp\tq0, q1, [x8, #-32]    // 16-byte Folded Reload
\tldr\tq2, [x8]
\t//APP
\t.arch_extension dotprod
\tsdot\tv3.4s, v0.16b, v1.4b[0]
\t//NO_APP
\tsdot\tv4.4s, v0.16b, v1.4b[0]
\tsdot\tv3.4s, v0.16b, v2.4b[1]
\tsdot\tv4.4s, v0.16b, v2.4b[1]
\tmov\tv5.16b, v3.16b
\tadd\tx8, x8, #16
\tsubs\tx9, x9, #1
\tb.ne\t.LBB0_2
\tcbnz\tx3, .LBB0_1
\tb\t.LBB0_3
.LBB0_3:
\tret
"""


class Loops(unittest.TestCase):
    def test_the_inner_loop_is_found_and_counted(self):
        ((kernel, found),) = find(LISTING)
        self.assertEqual(kernel, "peak::measure")
        self.assertEqual(found, Turn(k=8, sdot=4, loads=3, vector=1, scalar=3, spills=0, instructions=10))
        # Five on two pipes for vectors; three loads, ten instructions and three on integers take less.
        self.assertEqual((found.cycles, found.share), (2.5, 80))

    def test_only_the_innermost_loop_counts(self):
        ((_, lines),) = functions(LISTING)
        self.assertEqual([len(body) for body in inner_loops(lines)], [10])

    def test_what_is_kept_on_the_stack_is_a_spill(self):
        spilled = turn(["sdot v3.4s, v0.16b, v1.16b", "str q3, [sp, #16]", "ldr q3, [sp, #16]"])
        self.assertEqual((spilled.spills, spilled.vector, spilled.loads), (2, 1, 1))
        findings = list(table.spills({("linear::run", 1): spilled}))
        self.assertEqual(findings, ["linear::run, 1 products a turn: 2 accesses to the stack"])

    def test_a_listing_without_products_is_refused(self):
        with self.assertRaises(Unreadable):
            find(LISTING.replace("sdot", "smull"))


class Table(unittest.TestCase):
    LOOP = Turn(k=16, sdot=64, loads=16, vector=0, scalar=10, spills=0, instructions=86)

    def changed(self, **counts):
        now = Turn(**{**vars(self.LOOP), **counts})
        return list(table.changes({("a", 64): self.LOOP}, {("a", 64): now}))

    def test_a_table_survives_its_text(self):
        rows = {("a", 64): self.LOOP}
        self.assertEqual(table.read(table.text(rows)), rows)
        with self.assertRaises(Unreadable):
            table.read("kernel  sdot\n")

    def test_the_costliest_loop_stands_for_its_kind(self):
        spilled = Turn(**{**vars(self.LOOP), "vector": 8, "instructions": 94})
        self.assertEqual(table.rows([("a", self.LOOP), ("a", spilled)]), {("a", 64): spilled})

    def test_more_of_anything_is_worse(self):
        self.assertEqual(self.changed(), [])
        self.assertEqual(self.changed(scalar=12, instructions=88), [])
        self.assertEqual(self.changed(loads=17), ["a, 64 products a turn: worse: loads 16 -> 17"])
        self.assertEqual(self.changed(vector=1), ["a, 64 products a turn: worse: vector 0 -> 1"])
        self.assertEqual(len(self.changed(scalar=20, instructions=96)), 2)

    def test_loops_that_come_and_go_are_found(self):
        rows = {("a", 64): self.LOOP}
        self.assertIn("not in loops.txt", next(table.changes({}, rows)))
        self.assertIn("gone", next(table.changes(rows, {})))
        better = {("a", 64): Turn(**{**vars(self.LOOP), "vector": 2})}
        self.assertIn("no worse", next(table.changes(better, rows)))


if __name__ == "__main__":
    unittest.main()
