"""Tests of what needs no engine. Standard library only."""

import contextlib
import io
import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import bound
import cameras
import growth
import memory
import plots
import points


def record():
    """What `bench --profile --json` prints, as far as it is read: 1 GMAC in 8 ms, of which a tenth is attention's."""
    row = {"operations": 1, "weight_bytes": 0, "activation_bytes": 0, "percent_of_peak": None}
    kinds = [
        row | {"name": "fc1", "time_us": 3000.0, "macs": 600_000_000, "weight_bytes": 9_000_000},
        row | {"name": "qkv", "time_us": 2000.0, "macs": 300_000_000, "weight_bytes": 1_000_000},
        row | {"name": "attention", "time_us": 2000.0, "macs": 100_000_000},
        row | {"name": "merge", "time_us": 500.0, "macs": 0},
        row | {"name": "norm1", "time_us": 500.0, "macs": 0},
        row | {"name": "total", "time_us": 8000.0, "macs": 1_000_000_000, "weight_bytes": 10_000_000},
    ]
    return {"peak_gmac_per_second": 200.0, "arena_bytes": 500_000, "profile": {"kinds": kinds}}


class Points(unittest.TestCase):
    def test_ends_of_every_axis(self):
        parts = points.parts("B", 2)
        ends = {name: [part.x(part.points[at]) for at in (0, -1)] for name, part in parts.items()}
        self.assertEqual(ends, {"tokens": [50, 2305], "batch": [1, 32], "models": ["Ti", "L"], "threads": [1, 2]})

    def test_only_the_axis_varies(self):
        for part in points.parts("S", 2).values():
            for point in part.points:
                fixed = {"model": point.model.letter, "tokens": point.tokens, "batch": point.batch, "threads": point.threads}
                usual = {"model": "S", "tokens": 197, "batch": 1, "threads": 2}
                del fixed[part.axis], usual[part.axis]
                self.assertEqual(fixed, usual)

    def test_merges_the_share_of_r_13(self):
        merged = lambda letter, size: points.Point(points.MODELS[letter], size).merged
        self.assertEqual([merged("B", size) for size in (112, 224, 768)], [3, 13, 153])
        self.assertEqual(merged("L", 224), 6)
        for letter, model in points.MODELS.items():
            for size in (112, 160, 224, 320, 384, 512, 640, 768):
                point = points.Point(model, size)
                left = point.patches - point.merged * model.layers
                self.assertTrue(0 < left < 0.35 * point.patches, (letter, size))

    def test_rounds_fit_the_time(self):
        self.assertEqual(points.rounds(0.5, 10, 25), 20)
        self.assertEqual(points.rounds(0.01, 10, 25), 25)
        self.assertEqual(points.rounds(60, 10, 25), 5)


class Bound(unittest.TestCase):
    def test_shares_speed_and_weights(self):
        summary = bound.summarise(record())
        self.assertEqual(list(summary["groups"]), ["linear layers", "attention", "merging", "the rest"])
        linear = summary["groups"]["linear layers"]
        self.assertAlmostEqual(linear["share"], 0.625)
        # 900 MMAC in 5 ms are 180 GMAC/s.
        self.assertAlmostEqual(linear["of_peak"], 0.9)
        self.assertIsNone(summary["groups"]["merging"]["of_peak"])
        self.assertAlmostEqual(summary["weights_gb_per_second"], 2.0)

    def test_without_a_peak_no_share_of_it(self):
        summary = bound.summarise(record() | {"peak_gmac_per_second": None})
        self.assertIsNone(summary["groups"]["linear layers"]["of_peak"])
        self.assertNotIn("of peak", bound.describe(summary, {}, 8e9))

    def test_says_where_data_lie(self):
        text = bound.describe(bound.summarise(record()), {1: 32 << 10, 2: 1 << 20, 3: 32 << 20}, 8e9)
        self.assertIn("62 % linear layers at 90 % of peak, 25 % attention", text)
        self.assertIn("weights 10.0 MB (L3) at 2.0 GB/s, 25 % of memory's; activations 0.5 MB (L2)", text)

    def test_caches_are_those_of_data(self):
        with tempfile.TemporaryDirectory() as folder:
            for index, (level, kind, size) in enumerate([(1, "Data", "32K"), (1, "Instruction", "64K"), (2, "Unified", "1024K")]):
                entry = Path(folder) / f"index{index}"
                entry.mkdir()
                for name, value in (("level", level), ("type", kind), ("size", size)):
                    (entry / name).write_text(f"{value}\n")
            self.assertEqual(bound.caches(Path(folder)), {1: 32 << 10, 2: 1 << 20})
        self.assertEqual([bound.cache(size, {1: 10, 2: 20}) for size in (10, 11, 21)], ["L1", "L2", "memory"])


class Cameras(unittest.TestCase):
    def test_rates_are_of_all_and_of_the_slowest(self):
        frames = [{"source": "a", "latency_us": 4.0}] * 6 + [{"source": "b", "latency_us": 2.0}] * 4
        found = cameras.summarise(frames, 2, 2.0)
        self.assertEqual(found, {"images_per_second": 5.0, "slowest_camera_per_second": 2.0, "latency_us_median": 4.0})

    def test_a_silent_camera_is_an_error(self):
        with self.assertRaisesRegex(SystemExit, "2 cameras"):
            cameras.summarise([{"source": "a", "latency_us": 4.0}], 2, 1.0)


class Memory(unittest.TestCase):
    def test_of_this_process(self):
        block = bytearray(os.urandom(1)) * (32 << 20)
        self.assertGreater(memory.resident("self"), len(block))
        self.assertGreaterEqual(memory.peak("self"), memory.resident("self") // 2)


class Report(unittest.TestCase):
    def part(self):
        row = {"latency_us_median": 2000.0, "images_per_second": 500.0, "resident_bytes": 3e6, "peak_bytes": 4e6}
        rows = [
            row | {"engine": "mergevit r0", "latency_us_min": 1000.0, "openvino_ratio": 2.0, "bound": bound.summarise(record())},
            row | {"engine": "mergevit r13", "openvino_ratio": None},
        ]
        return {"axis": "tokens", "points": [{"x": 197, "rows": rows, "read_bytes_per_second": 8e9}]}

    def test_lines_by_engine(self):
        lines = plots.series(self.part())
        self.assertEqual({name: xs for name, (xs, _) in lines.items()}, {"no merging": [197], "merging as r13": [197]})

    def test_ticks_enclose_the_values(self):
        self.assertEqual(plots.round_ticks(0.3, 4.0), [0.2, 0.5, 1.0, 2.0, 5.0])
        self.assertEqual(plots.round_ticks(100.0, 100.0), [100.0])

    def test_table_and_bound(self):
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            growth.print_part("tokens", self.part(), {3: 32 << 20})
        lines = text.getvalue().splitlines()
        self.assertIn("mergevit r0            2.00       1.00      500.0        3.0         4.0     2.00", lines[3])
        self.assertTrue(lines[4].endswith("-"))
        self.assertIn("62 % linear layers", lines[5])


if __name__ == "__main__":
    unittest.main()
