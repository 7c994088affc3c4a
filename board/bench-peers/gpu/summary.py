"""From latencies to figures: turns, medians, ratios within a round, targets."""

from statistics import median

# Targets of mergevit: (schedule, batch, engine, least ratio).
TARGETS = [
    ("r13", 1, "pytorch fp32 eager", 8.0),
    ("r13", 32, "pytorch fp32 eager", 12.0),
    ("r0", 1, "pytorch fp32 eager", 3.6),
    ("r0", 32, "pytorch fp32 eager", 3.6),
    ("r0", 1, "pytorch fp16 compiled", 1.0),
    ("r13", 1, "pytorch fp16 compiled", 2.0),
]
# Untimed inferences at the start of a turn, while clocks rise and caches fill.
WAKING = 3


def measure(engines, rounds, per_turn):
    """Latencies in microseconds by engine: a list of `per_turn` per round. The engines take turns in each round."""
    latencies = {engine.name: [] for engine in engines}
    for _ in range(rounds):
        for engine in engines:
            latencies[engine.name].append(engine.time(WAKING + per_turn)[WAKING:])
    return latencies


def quantile(values, fraction):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


def speedup(of, over):
    """How many times faster `of` is than `over`: the median over rounds of the ratio within a round."""
    return median(median(slow) / median(fast) for fast, slow in zip(of, over))


def summarise(latencies, batch, baseline="pytorch fp32 eager"):
    """One dictionary per engine."""
    rows = []
    for name, turns in latencies.items():
        values = [value for turn in turns for value in turn]
        middle = median(values)
        rows.append(
            {
                "engine": name,
                "latency_us_median": middle,
                "latency_us_min": min(values),
                "latency_us_p90": quantile(values, 0.9),
                "frames_per_second": batch * 1e6 / middle,
                "speedup": speedup(turns, latencies[baseline]) if baseline in latencies else None,
            }
        )
    return rows


def targets(latencies_of):
    """Each target with the ratio found and whether it is met; both None if it was not measured.

    `latencies_of` holds `measure`'s result by batch.
    """
    found = []
    for schedule, batch, engine, least in TARGETS:
        latencies = latencies_of.get(batch, {})
        own, other = latencies.get(f"mergevit {schedule}"), latencies.get(engine)
        ratio = speedup(own, other) if own and other else None
        row = {"schedule": schedule, "batch": batch, "engine": engine, "target": least, "ratio": ratio}
        # "Faster than" is more than 1; the other targets are "at least".
        row["met"] = None if ratio is None else (ratio > least if least == 1 else ratio >= least)
        found.append(row)
    return found
