"""Draws what was measured: a picture a part, latency, throughput and memory side by side. Needs matplotlib."""

COLOURS = {"no merging": "#12766b", "best schedule": "#d9822b", "openvino int8": "#a0a0a0"}
# What is drawn of a row, and in which unit.
PANELS = (
    ("latency_us_median", 1e3, "ms a batch"),
    ("images_per_second", 1, "images/s"),
    ("resident_bytes", 1e6, "MB resident"),
)


def series(record):
    """Points of a part as {name: ([x], [row])}, in the order of COLOURS. A schedule that merges is the best one."""
    lines = {name: ([], []) for name in COLOURS}
    for point in record["points"]:
        for row in point["rows"]:
            name = row["engine"]
            if name.startswith("mergevit"):
                name = "no merging" if name.endswith(" r0") else "best schedule"
            lines[name][0].append(point["x"])
            lines[name][1].append(row)
    return {name: line for name, line in lines.items() if line[0]}


def draw(record, path):
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "mergevit"
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    figure, panels = plt.subplots(1, len(PANELS), figsize=(10, 3.2))
    ticks = list(dict.fromkeys(point["x"] for point in record["points"]))
    named = any(isinstance(tick, str) for tick in ticks)
    for axes, (key, unit, label) in zip(panels, PANELS):
        for name, (xs, rows) in series(record).items():
            at = [ticks.index(x) for x in xs] if named else xs
            axes.plot(at, [row[key] / unit for row in rows], "o-", markersize=3, color=COLOURS[name], label=name)
        axes.set(xlabel=record["axis"], ylabel=label, yscale="log")
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
        if named:
            axes.set_xticks(range(len(ticks)), ticks)
        else:
            axes.set_xscale("log")
            axes.set_xticks(ticks, ticks, rotation=45 if len(ticks) > 6 else 0)
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(linewidth=0.3)
    panels[0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if str(path).endswith(".svg") else None)
    plt.close(figure)
