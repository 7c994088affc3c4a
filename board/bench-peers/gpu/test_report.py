"""The benchmark's arithmetic and its report. Needs the standard library only."""

import unittest

import device
import report
import summary

A100 = {"capability": "8.0", "integrated": 0, "multiprocessors": 108, "clock_khz": 1_410_000}
A100_MEMORY = {"memory_clock_khz": 1_215_000, "memory_bus_bits": 5120}


class Engine:
    """Answers with latencies that grow by one microsecond per call."""

    def __init__(self, name, first):
        self.name = name
        self.next = first
        self.calls = []

    def time(self, count):
        self.calls.append(count)
        self.next += count
        return [float(self.next - count + index) for index in range(count)]


def operation(name, layer, time_us, macs):
    work = {"macs": macs, "weight_bytes": 1_000_000, "activation_bytes": 560_000}
    return {"name": name, "layer": layer, "time_us": time_us, "operations": 1, **work}


class TestDevice(unittest.TestCase):
    def test_peaks_are_those_of_the_data_sheet(self):
        peaks = device.peaks({**A100, **A100_MEMORY})
        self.assertAlmostEqual(2 * peaks["peak_macs_per_second"] / 1e12, 624, delta=1)
        self.assertAlmostEqual(peaks["peak_bytes_per_second"] / 1e9, 1555, delta=1)

    def test_unknown_devices_have_no_peak(self):
        peaks = device.peaks({**A100, **A100_MEMORY, "capability": "99.0", "memory_clock_khz": 0})
        self.assertEqual(set(peaks.values()), {None})
        self.assertIsNone(device.floor_us(1, 1, peaks))

    def test_an_orin_has_the_bandwidth_of_its_data_sheet(self):
        orin = {"capability": "8.7", "integrated": 1, "multiprocessors": 8, "clock_khz": 1_020_000}
        peaks = device.peaks({**orin, "memory_clock_khz": 1_020_000, "memory_bus_bits": 128})
        self.assertEqual(peaks["peak_bytes_per_second"], 102.4e9)
        self.assertAlmostEqual(peaks["peak_macs_per_second"], 16.7e12, delta=0.1e12)

    def test_processes_that_open_the_device_at_once(self):
        for mode, integrated, most in [(0, 0, 8), (3, 0, 1), (0, 1, 1)]:
            self.assertEqual(device.processes_at_once({"compute_mode": mode, "integrated": integrated}), most)

    def test_a_floor_is_the_longer_of_arithmetic_and_memory(self):
        peaks = {"peak_macs_per_second": 1e12, "peak_bytes_per_second": 1e9}
        self.assertAlmostEqual(device.floor_us(5_000_000, 1_000, peaks), 5)
        self.assertAlmostEqual(device.floor_us(5_000_000, 9_000, peaks), 9)

    def test_roofline_sums_operations_of_a_name(self):
        peaks = device.peaks({**A100, **A100_MEMORY})
        rows = [operation("fc1", 0, 10.0, 0), operation("norm", 0, 15.0, 0), operation("fc1", 1, 20.0, 0)]
        kinds = device.roofline(rows, peaks)
        self.assertEqual([(k["name"], k["operations"], k["time_us"]) for k in kinds], [("fc1", 2, 30), ("norm", 1, 15)])
        self.assertAlmostEqual(kinds[0]["floor_us"], 2.0, delta=0.01)
        self.assertEqual(kinds[0]["bytes"], 2 * 1_560_000)


class TestSummary(unittest.TestCase):
    def test_engines_take_turns_and_wake_untimed(self):
        engines = [Engine("a", 0), Engine("b", 1000)]
        latencies = summary.measure(engines, rounds=2, per_turn=4)
        first = summary.WAKING
        self.assertEqual(latencies["a"][0], [float(first + index) for index in range(4)])
        self.assertEqual([len(turn) for turn in latencies["b"]], [4, 4])
        self.assertEqual(engines[0].calls, [first + 4] * 2)

    def test_speedup_is_the_median_ratio_within_rounds(self):
        # The machine is ten times slower in the third round; the ratio is not.
        self.assertEqual(summary.speedup([[1, 1], [2, 2], [10, 10]], [[3, 3], [8, 8], [30, 30]]), 3)

    def test_summary_has_a_row_an_engine(self):
        rows = summary.summarise({"pytorch fp32 eager": [[80.0] * 3], "mergevit r0": [[10.0, 20.0, 30.0]]}, 8)
        self.assertEqual([row["speedup"] for row in rows], [1, 4])
        self.assertEqual((rows[1]["latency_us_min"], rows[1]["latency_us_p90"]), (10, 30))
        self.assertEqual(rows[1]["frames_per_second"], 8e6 / 20)

    def test_targets_are_met_missed_or_not_measured(self):
        slow, fast = [[80.0]], [[10.0]]
        turns = {"pytorch fp32 eager": slow, "pytorch fp16 compiled": fast, "mergevit r13": fast, "mergevit r0": slow}
        found = {(t["schedule"], t["batch"], t["engine"]): t["met"] for t in summary.targets({1: turns})}
        self.assertTrue(found["r13", 1, "pytorch fp32 eager"])
        self.assertFalse(found["r0", 1, "pytorch fp32 eager"])
        # Equal is not faster.
        found = {(t["schedule"], t["batch"], t["engine"]): t["met"] for t in summary.targets({1: {**turns, "mergevit r0": fast}})}
        self.assertFalse(found["r0", 1, "pytorch fp16 compiled"])
        self.assertIsNone(found["r13", 32, "pytorch fp32 eager"])


class TestReport(unittest.TestCase):
    def test_what_was_not_run_is_said(self):
        text = report.render({"verdict": "unfinished", "targets": summary.targets({})})
        self.assertEqual(text.count(f"\n\n{report.NOT_MEASURED}\n"), 8)
        self.assertEqual(text.count(f"| {report.NOT_MEASURED} |"), len(summary.TARGETS))

    def test_figures_appear(self):
        latencies = {"pytorch fp32 eager": [[8000.0]], "mergevit r13": [[500.0]]}
        timing = {
            "settings": {"rounds": 1, "per_turn": 1},
            "engines": summary.summarise(latencies, 1),
            "device_us": {"pytorch fp32 eager": 7900.0},
            "quality": {"mergevit r13": {"cosine": 0.9995}},
            "left_out": {"torchao int8 compiled": "not installed"},
        }
        peaks = device.peaks({**A100, **A100_MEMORY})
        told = {"in_place_us": 12.5, "estimate_us": {"low": 8.0, "high": 14.0}}
        kinds = device.roofline([{**operation("fc1", 0, 10.0, 0), **told}], peaks)
        flags, profile = ["--multiprocessors", "8"], {"network_us": 450.0, "launch_us": 1.3}
        found = {
            "device": {"name": "A100", "capability": "8.0", "cuda": "12.6", **peaks},
            "clocks": {"before": {"clocks.sm": "1410 MHz"}, "after": None},
            "failures": {"check": "m.mvit r8 batch 1: differs"},
            "tests": [{"name": "cuda_gemm", "passed": 7, "ignored": 0, "seconds": 1.5}],
            "timings": {"1": timing},
            "profiles": {
                "x": {
                    "schedule": "r13",
                    "batch": 1,
                    "latency_us_p50": 500.0,
                    "kinds": kinds,
                    "flags": flags,
                    "profile": profile,
                }
            },
            "variants": {"r13": summary.summarise({"pytorch fp32 eager": [[8000.0]], "spins": [[500.0]]}, 1)},
            "counters": {"r13": [{"kernel": "attention_64", "gpu__time_duration.sum": "12.5 us"}]},
            "targets": summary.targets({1: latencies}),
        }
        text = report.render(found)
        for part in (
            "# mergevit on A100",
            "| **mergevit r13** | 0.500 | 0.500 | 0.500 |  | 2000 | 16.00 | 0.99950 |",
            "| r13, batch 1: ≥ 8.0 × pytorch fp32 eager | 16.00 | met |",
            "left out: torchao int8 compiled: not installed",
            "### check\n\n```text\nm.mvit r8 batch 1: differs\n```",
            "| cuda_gemm | 7 | 0 | 1.5 |",
            "clocks.sm 1410 MHz",
            "| fc1 | 1 | 10.0 | 12.5 | 8 – 14 | 100.0 % | 0.000 | 1.56 | 1.0 | 10.0 % |",
            "### r13, batch 1 --multiprocessors 8",
            "On the device alone 450.0 µs; a launch that does nothing 1.30 µs. In place, all operations take 12.5 µs.",
            "| r13 | spins | 0.500 | 0.500 | 16.00 |",
            "| attention_64 | 12.5 us |",
            "ncu is not in the PATH",
        ):
            if "ncu" in part:
                text = report.render({**found, "counters": {}, "skipped": {"counters": part}})
            self.assertIn(part, text)

    def test_what_only_later_programs_tell_is_left_out(self):
        kinds = device.roofline([operation("fc1", 0, 10.0, 0)], device.peaks({**A100, **A100_MEMORY}))
        entry = {"schedule": "r13", "batch": 1, "latency_us_p50": 500.0, "kinds": kinds}
        text = report.roofline(entry)
        self.assertIn(f"| fc1 | 1 | 10.0 | {report.NOT_MEASURED} |  | 100.0 % |", text)
        self.assertNotIn("On the device alone", text)


if __name__ == "__main__":
    unittest.main()
