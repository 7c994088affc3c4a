"""The listing's parser, the search for loops and the comparison of tables, on code small enough to count by hand."""

import unittest

import products
import table
from listing import Unreadable, parse
from loops import turns

HEAD = """\
\t.sectioninfo\t@"SHI_REGISTERS={registers}"
        .type           {name},@function
{name}:
.text.{name}:
"""
# As nvdisasm prints two instructions of a kernel: the second halves of their encodings say 13 and 5 clocks.
VERBATIM = """\
        /*0000*/                   ISETP.NE.U32.AND P0, PT, RZ, UR2, PT ;                   /* 0x00000002ff007c0c */
                                                                                            /* 0x000fda000bf05070 */
        /*0010*/               @P0 EXIT ;                                                   /* 0x000000000000094d */
                                                                                            /* 0x000fea0003800000 */
"""


def kernel(code, name="gemm_64x128_x", registers=80):
    """A listing of lines `STALL [@PREDICATE] INSTRUCTION` and labels."""
    lines = [HEAD.format(name=name, registers=registers)]
    for address, line in enumerate(code.strip().splitlines()):
        line = line.strip()
        if line.endswith(":"):
            lines.append(line + "\n")
            continue
        stall, instruction = line.split(" ", 1)
        upper = 0x000FC00000000000 & ~(15 << 41) | int(stall) << 41
        lines.append(f"        /*{16 * address:04x}*/  {instruction} ;  /* 0x0000000000000000 */\n")
        lines.append(f"                                /* 0x{upper:016x} */\n")
    return "".join(lines)


LOOP = """
    1 UMOV UR4, URZ
.L_x_1:
    2 BAR.SYNC.DEFER_BLOCKING 0x0
    1 @!PT LDS RZ, [RZ]
    3 LDGSTS.E.BYPASS.128 [R19], [R12.64]
    4 BRA.DIV ~URZ, `(.L_x_9)
    13 @P3 BRA `(.L_x_3)
    5 LDSM.16.M88.4 R12, [R75]
    6 LDS R4, [R5]
    7 IMMA.16832.S8.S8 R56, R12.reuse.ROW, R60.COL, R56
    7 IMMA.16832.S8.S8 R52, R12.ROW, R62.COL, R52
    2 BRA `(.L_x_2)
.L_x_3:
    1 FADD R1, R1, R2
    1 FADD R1, R1, R2
    1 FADD R1, R1, R2
    1 FADD R1, R1, R2
    1 FADD R1, R1, R2
    1 FADD R1, R1, R2
    1 IMMA.16832.S8.S8 R56, R12.reuse.ROW, R60.COL, R56
.L_x_2:
    5 @!P1 BRA `(.L_x_1)
    5 EXIT
.L_x_9:
    9 FADD R1, R1, R2
    9 BRA `(.L_x_2)
"""
NEST = """
.L_x_1:
    1 FADD R1, R1, R2
.L_x_2:
    1 LDG.E R1, [R2.64]
    1 STS [R2], R1
    4 @P0 BRA `(.L_x_2)
    1 CALL.REL.NOINC `($__internal_0_$div)
    4 @P1 BRA `(.L_x_1)
    5 EXIT
"""


class Listing(unittest.TestCase):
    def test_what_nvdisasm_prints(self):
        [one] = parse(HEAD.format(name="f", registers=61) + VERBATIM)
        self.assertEqual((one.name, one.registers), ("f", 61))
        self.assertEqual([i.stall for i in one.code], [13, 5])
        self.assertEqual([(i.predicate, i.opcode) for i in one.code], [("", "ISETP.NE.U32.AND"), ("@P0", "EXIT")])

    def test_kernels_are_told_apart(self):
        both = parse(kernel(LOOP, "f", 80) + kernel(NEST, "g", 40))
        self.assertEqual([(k.name, k.registers, len(k.code)) for k in both], [("f", 80, 22), ("g", 40, 7)])

    def test_what_is_no_listing_is_refused(self):
        half = "".join(VERBATIM.splitlines(keepends=True)[:-1])
        for broken in (half, VERBATIM.replace("EXIT", "NOP "), VERBATIM.replace("@P0 EXIT", "?"), ""):
            with self.assertRaises(Unreadable):
                parse(HEAD.format(name="f", registers=61) + broken)


class Loops(unittest.TestCase):
    def test_a_turn_is_the_way_with_most_products(self):
        [turn] = turns(*parse(kernel(LOOP)))
        self.assertEqual((turn.instructions, turn.imma, turn.ldsm, turn.ldgsts, turn.shared), (11, 2, 1, 1, 1))
        self.assertEqual((turn.stalls, turn.before), (2 + 1 + 3 + 4 + 13 + 5 + 6 + 7 + 7 + 2 + 5, 34))

    def test_only_inner_loops_count(self):
        [turn] = turns(*parse(kernel(NEST)))
        self.assertEqual((turn.instructions, turn.memory, turn.shared, turn.stalls, turn.before), (3, 1, 1, 6, 0))

    def test_a_jump_into_the_unknown_is_refused(self):
        for jump in ("BRX R2", "BRA `(.L_x_77)"):
            with self.assertRaises(Unreadable):
                turns(*parse(kernel(NEST.replace("STS [R2], R1", jump))))


class Table(unittest.TestCase):
    def rows(self, code):
        return table.rows(parse(kernel(code)), {"gemm_64x128_x": 128})

    def test_text_reads_back(self):
        rows = table.rows(parse(kernel(LOOP) + kernel(NEST, "g")), {"gemm_64x128_x": 128, "g": 32})
        self.assertEqual(table.read(table.text(rows)), rows)
        with self.assertRaises(Unreadable):
            table.read(table.text(rows).replace("stalls", "stools"))

    def test_bytes_of_k(self):
        # 64 x 32 sums a warp: 32 products for 64 bytes.
        self.assertEqual(table.bytes_of_k("gemm_64x128_x", 32, 128), 64)
        self.assertEqual(table.bytes_of_k("gemm_64x128_x", 64, 128), 128)
        self.assertIsNone(table.bytes_of_k("attention_64", 32, 128))

    def test_more_of_anything_is_worse(self):
        before = self.rows(LOOP)
        self.assertEqual(list(table.losses(before, before)), [])
        more = {
            "instructions": LOOP.replace("    5 LDSM", "    0 FADD R1, R1, R2\n    5 LDSM"),
            "shared": LOOP.replace("@!PT LDS", "LDS"),
            "stalls": LOOP.replace("7 IMMA", "9 IMMA"),
            "before": LOOP.replace("5 LDSM", "9 LDSM").replace("7 IMMA", "5 IMMA"),
            "memory": LOOP.replace("LDGSTS", "LDG"),
        }
        for name, code in more.items():
            [line] = table.losses(before, self.rows(code))
            self.assertIn(f"{name} ", line)
            self.assertEqual(list(table.losses(before, self.rows(code), ["gemm_*"])), [])

    def test_fewer_products_for_the_same_is_worse(self):
        fewer = self.rows(LOOP.replace("7 IMMA.16832.S8.S8 R52", "7 FADD R52"))
        self.assertTrue(list(table.losses(self.rows(LOOP), fewer)))

    def test_a_longer_turn_compares_by_the_product(self):
        twice = LOOP.replace("    2 BRA `", "    7 IMMA.1 R0, R0, R0, R0\n    7 IMMA.1 R0, R0, R0, R0\n    2 BRA `")
        self.assertEqual(list(table.losses(self.rows(LOOP), self.rows(twice))), [])

    def test_loops_without_products_compare_by_their_accesses(self):
        before = self.rows(NEST)
        twice = NEST.replace("    4 @P0", "    1 LDG.E R1, [R2.64]\n    1 STS [R2], R1\n    4 FADD R1, R1, R2\n    4 @P0")
        self.assertEqual(list(table.losses(before, self.rows(twice))), [])
        [line] = table.losses(before, self.rows(NEST.replace("1 STS", "1 FADD R1, R1, R1\n    1 STS")))
        self.assertIn("instructions 3 -> 4", line)
        [line] = table.losses(before, self.rows(NEST.replace("1 STS [R2], R1", "1 IMMA R0, R0, R0, R0")))
        self.assertIn("another loop", line)

    def test_a_loop_more_is_worse(self):
        more = LOOP.replace("    5 EXIT", ".L_x_8:\n    5 @P0 BRA `(.L_x_8)\n    5 EXIT")
        [line] = table.losses(self.rows(LOOP), self.rows(more))
        self.assertIn("not there", line)

    def test_threads_come_from_the_table_of_resources(self):
        self.assertEqual(table.threads_of("# A\n| `f` | 128 | 95 | 0 |\n"), {"f": 128})
        with self.assertRaises(Unreadable):
            table.threads_of("# A\n")


class Products(unittest.TestCase):
    def test_rules(self):
        names = ("gemm_1", "attention_1", "merge_match_1", "head")
        code = LOOP.replace("2 BRA `", "1 IMMA.16832.U8.S8 R1, R2, R3, R4\n    2 BRA `")
        good = [one for name in names for one in parse(kernel(code, name))]
        self.assertEqual(list(products.check(good)), [])
        self.assertEqual(list(products.check(good[:3])), ["no kernel is called head"])
        bad = parse(kernel(NEST.replace("STS", "STL"), "head"))
        self.assertEqual(list(products.check(good[:3] + bad)), ["head: no IMMA.16832.S8.S8", "head: uses local memory: STL"])


if __name__ == "__main__":
    unittest.main()
