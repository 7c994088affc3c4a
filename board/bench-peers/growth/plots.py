"""Draws what was measured: a picture a part, latency, throughput and memory side by side. Needs matplotlib."""

COLOURS = {"no merging": "#12766b", "merging as r13": "#d9822b", "openvino int8": "#a0a0a0"}
# What is drawn of a row, and in which unit.
PANELS = (
    ("latency_us_median", 1e3, "ms a batch"),
    ("images_per_second", 1, "images/s"),
    ("resident_bytes", 1e6, "MB resident"),
)


def series(record):
    """Points of a part as {name: ([x], [row])}, in the order of COLOURS."""
    lines = {name: ([], []) for name in COLOURS}
    for point in record["points"]:
        for row in point["rows"]:
            name = row["engine"]
            if name.startswith("mergevit"):
                name = "no merging" if name.endswith(" r0") else "merging as r13"
            lines[name][0].append(point["x"])
            lines[name][1].append(row)
    return {name: line for name, line in lines.items() if line[0]}


def draw(record, path):
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "mergevit"
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(PANELS), figsize=(10, 3.4))
    ticks = list(dict.fromkeys(point["x"] for point in record["points"]))
    named = any(isinstance(tick, str) for tick in ticks)
    for axes, (key, unit, label) in zip(panels, PANELS):
        values = []
        for name, (xs, rows) in series(record).items():
            at = [ticks.index(x) for x in xs] if named else xs
            values += (line := [row[key] / unit for row in rows])
            axes.plot(at, line, "o-", markersize=3, color=COLOURS[name], label=name)
        axes.set(xlabel=record["axis"], ylabel=label)
        if key.endswith("bytes"):
            axes.set_ylim(bottom=0)
        else:
            logarithmic(axes.yaxis, axes.set_yscale, round_ticks(min(values), max(values)))
        if named:
            axes.set_xticks(range(len(ticks)), ticks)
        else:
            logarithmic(axes.xaxis, axes.set_xscale, ticks)
            axes.tick_params(axis="x", labelrotation=60 if len(ticks) > 6 else 0, labelsize="small")
        axes.grid(linewidth=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="upper center", ncols=len(COLOURS), frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.92))
    figure.savefig(path, metadata={"Date": None} if str(path).endswith(".svg") else None)
    plt.close(figure)


def logarithmic(axis, set_scale, ticks):
    """A logarithmic axis with these ticks alone."""
    set_scale("log")
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def round_ticks(least, most):
    """1, 2 and 5 times powers of ten, from the last that is not above `least` to the first that is not below `most`."""
    steps = [float(f"{digit}e{power}") for power in range(-6, 10) for digit in (1, 2, 5)]
    first = max(index for index, step in enumerate(steps) if step <= least)
    last = min(index for index, step in enumerate(steps) if step >= most)
    return steps[first : last + 1]
