"""The report in Markdown, from the content of report.json. Parts that did not run say so."""

NOT_MEASURED = "not measured"


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def milliseconds(microseconds):
    return NOT_MEASURED if microseconds is None else f"{microseconds / 1e3:.3f}"


def number(value, form="{:.2f}"):
    return NOT_MEASURED if value is None else form.format(value)


def section(title, *parts):
    return f"## {title}\n\n" + "\n".join(part for part in parts if part)


def machine(found):
    device = found.get("device")
    if not device:
        return section("Device", f"{NOT_MEASURED}\n")
    macs, bandwidth = device.get("peak_macs_per_second"), device.get("peak_bytes_per_second")
    rows = [
        ("device", device["name"]),
        ("compute capability", device.get("capability", "none")),
        ("driver's CUDA", device.get("cuda", "none")),
        ("peak INT8", number(macs and macs / 1e12, "{:.1f} TMAC/s (twice that in TOPS)")),
        ("peak memory", number(bandwidth and bandwidth / 1e9, "{:.0f} GB/s")),
        *(found.get("versions") or {}).items(),
        *((f"mergevit's {key}", value) for key, value in found.get("build", {}).items()),
    ]
    for moment, clocks in (found.get("clocks") or {}).items():
        rows.append((f"nvidia-smi, {moment}", ", ".join(f"{key} {value}" for key, value in (clocks or {}).items())))
    doctor = f"```text\n{found['doctor'].strip()}\n```\n" if found.get("doctor") else ""
    return section("Device", table(["what", "value"], [row for row in rows if row[1]]), doctor)


def failures(found):
    parts = [f"### {step}\n\n```text\n{why.strip()}\n```\n" for step, why in found.get("failures", {}).items()]
    return section("Failures", *parts) if parts else ""


def tests(found):
    rows = [[t["name"], t["passed"], t["ignored"], f"{t['seconds']:.1f}"] for t in found.get("tests", [])]
    text = table(["program", "passed", "ignored", "seconds"], rows) if rows else f"{NOT_MEASURED}\n"
    return section("Tests on the device", text)


def checks(found):
    rows = [[c["pack"], c["schedule"], c["batch"], c["check"]] for c in found.get("checks", [])]
    head = "Logits and token sizes against the scalar reference, bit for bit; in a batch the first image, and the \
others against batches of one.\n"
    text = table(["pack", "schedule", "batch", "result"], rows) if rows else f"{NOT_MEASURED}\n"
    return section("Whole model", head, text)


def timing(batch, found):
    quality = found["quality"]
    rows = []
    for row in found["engines"]:
        name = row["engine"]
        device = found["device_us"].get(name)
        cosine = quality.get(name, {}).get("cosine")
        rows.append(
            [
                f"**{name}**" if name.startswith("mergevit") else name,
                *(milliseconds(row[f"latency_us_{key}"]) for key in ("median", "min", "p90")),
                milliseconds(device) if device else "",
                f"{row['frames_per_second']:.0f}",
                number(row["speedup"]),
                number(cosine, "{:.5f}"),
            ]
        )
    header = ["engine", "median ms", "min ms", "p90 ms", "device ms", "frames/s", "× PyTorch FP32", "cosine"]
    left = "".join(f"- left out: {name}: {why}\n" for name, why in found["left_out"].items())
    return f"### Batch {batch}\n\n{table(header, rows)}{chr(10) + left if left else ''}"


def timings(found):
    parts = [timing(batch, part) for batch, part in sorted(found.get("timings", {}).items(), key=lambda t: int(t[0]))]
    if not parts:
        return section("Beside PyTorch", f"{NOT_MEASURED}\n")
    settings = next(iter(found["timings"].values()))["settings"]
    head = (
        f"{settings['rounds']} rounds of {settings['per_turn']} timed inferences an engine, in turns. Latency is from "
        "pixels in host memory to logits in host memory; *device ms* leaves out the copies. × is the median over "
        "rounds of the ratio within a round; the cosine is the least of the batch with PyTorch's FP32 on the "
        "processor, for mergevit of some images.\n"
    )
    return section("Beside PyTorch", head, *parts)


def targets(found):
    verdicts = {None: NOT_MEASURED, True: "met", False: "**missed**"}
    rows = []
    for t in found.get("targets", []):
        relation = "faster than" if t["target"] == 1 else f"≥ {t['target']} ×"
        what = f"{t['schedule']}, batch {t['batch']}: {relation} {t['engine']}"
        rows.append([what, number(t["ratio"]), verdicts[t["met"]]])
    return section("Targets", table(["target", "found ×", "verdict"], rows) if rows else f"{NOT_MEASURED}\n")


def roofline(entry):
    total = sum(kind["time_us"] for kind in entry["kinds"])
    rows = []
    for kind in entry["kinds"]:
        floor = kind["floor_us"]
        time = kind["time_us"]
        rows.append(
            [
                kind["name"],
                kind["operations"],
                f"{time:.1f}",
                number(kind.get("in_place_us"), "{:.1f}"),
                estimated(kind),
                f"{100 * time / total:.1f} %" if total else "",
                f"{kind['macs'] / 1e9:.3f}",
                f"{kind['bytes'] / 1e6:.2f}",
                number(floor, "{:.1f}"),
                number(100 * floor / time if floor is not None and time else None, "{:.1f} %"),
            ]
        )
    header = ["operation", "launches", "µs", "in place", "estimated", "share", "GMAC", "MB", "floor µs", "of roofline"]
    title = f"### {entry['schedule']}, batch {entry['batch']}" + "".join(f" {flag}" for flag in entry.get("flags", []))
    told = f"Sum {total:.1f} µs; the whole network takes {entry['latency_us_p50']:.1f} µs, host to host (median)."
    profile = entry.get("profile", {})
    if profile.get("network_us") is not None:
        told += f" On the device alone {profile['network_us']:.1f} µs; a launch that does nothing {profile['launch_us']:.2f} µs."
    if all("in_place_us" in kind for kind in entry["kinds"]):
        told += f" In place, all operations take {sum(kind['in_place_us'] for kind in entry['kinds']):.1f} µs."
    return f"{title}\n\n{told}\n\n{table(header, rows)}{tilings(entry)}"


def tilings(entry):
    """Of each linear layer that was tuned: the model's choice, and the fastest of both kinds of launches."""
    layers = {}
    for row in entry.get("tilings", []):
        layers.setdefault(row["layer"], []).append(row)
    rows = []
    for layer, timed in layers.items():
        kinds = ([row for row in timed if (row["blocks"] < row["items"]) == several] for several in (False, True))
        best = [min(kind, key=lambda row: row["time_us"], default=None) for kind in kinds]
        ratio = best[1]["time_us"] / best[0]["time_us"] if all(best) else None
        rows.append([layer, *map(tiling, (timed[0], *best)), number(ratio)])
    header = ["layer", "the model's choice, µs", "a block a tile", "blocks of several tiles", "their time ÷ a block a tile's"]
    return f"\n{table(header, rows)}" if rows else ""


def tiling(row):
    return f"{row['tile'][1:]} / {row['parts']}: {row['time_us']:.1f}" if row else ""


def estimated(kind):
    """What the estimate says of the device: both ends."""
    low, high = kind.get("estimate_low_us"), kind.get("estimate_high_us")
    return "" if low is None or high is None else f"{low:.0f} – {high:.0f}"


def profiles(found):
    order = lambda e: (e.get("flags", []), e["batch"], int(e["schedule"][1:]))  # noqa: E731
    entries = sorted(found.get("profiles", {}).values(), key=order)
    if not entries:
        return section("Where the time goes", f"{NOT_MEASURED}\n")
    head = (
        "The floor is the longer of multiplications at the peak rate and bytes at the peak bandwidth, summed over the "
        "operations; weights or activations that stay in the second-level cache can beat it. *µs* is of each launch "
        "repeated back to back; *in place* is what it adds to those before it when the network has just run, with the gap "
        "between launches; *estimated* is what `mergevit bench --estimate` would say of this device.\n"
    )
    return section("Where the time goes", head, *(roofline(entry) for entry in entries))


def variants(found):
    rows = [
        [schedule, row["engine"], milliseconds(row["latency_us_median"]), milliseconds(row["latency_us_p90"]),
         number(row["speedup"])]
        for schedule, engines in found.get("variants", {}).items()
        for row in engines
    ]
    text = table(["schedule", "variant", "median ms", "p90 ms", "× the first"], rows) if rows else f"{NOT_MEASURED}\n"
    return section("Variants, batch 1, in turns", text)


def counters(found):
    parts = []
    for schedule, rows in found.get("counters", {}).items():
        metrics = sorted({metric for row in rows for metric in row} - {"kernel"})
        lines = [[row["kernel"], *(row.get(metric, "") for metric in metrics)] for row in rows]
        parts.append(f"### {schedule}\n\n{table(['kernel', *metrics], lines)}")
    why = found.get("skipped", {}).get("counters", NOT_MEASURED)
    return section("Hardware counters", *(parts or [f"{why}\n"]))


def sanitized(found):
    rows = [[each["name"], each["tool"], each["passed"]] for each in found.get("sanitized", [])]
    why = found.get("skipped", {}).get("sanitize", NOT_MEASURED)
    text = table(["program", "tool", "tests without a finding"], rows) if rows else f"{why}\n"
    return section("Sanitizers", text)


def commands(found):
    lines = "\n".join(found.get("commands", []))
    return section("Commands", f"```sh\n{lines}\n```\n")


def render(found):
    """The whole report."""
    measured = (targets, timings, tests, checks, profiles, variants, counters, sanitized)
    parts = (machine, failures, *measured, commands)
    name = (found.get("device") or {}).get("name", "no device")
    verdict = found.get("verdict", "unfinished")
    return f"# mergevit on {name}\n\nVerdict: {verdict}\n\n" + "\n".join(filter(None, (part(found) for part in parts)))
