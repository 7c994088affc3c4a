"""Timing in turns with PyTorch's engines, as far as the run's time allows."""

import contextlib
import os
import shlex
import sys
import time
import traceback
from statistics import median

import limits
import programs
import report
import summary
from serving import Mergevit
from session import BUNDLE, SCHEDULES, clocks, has_torch, make_model, shape
from steps import ensure_checked

DEVICE_RUNS = 50
# Parts of the names of PyTorch's engines per stage: first the engines that are quick to prepare and in the targets.
STAGES = (("fp32",), ("fp32", "fp16"), ("",))
# Seconds reserved for timing what is compiled, and the fewest seconds in which compiling is worth a try.
RESERVE = 45
LEAST = 20


def own_quality(session, fp32):
    """Compares mergevit's logits of some images with PyTorch's FP32; returns quality and failures by engine."""
    import model
    import peers

    folder = session.arguments.models
    expected = logits_on_processor(fp32, model.load_safetensors(folder / "pixels.safetensors")["pixels"])
    quality, wrong = {}, {}
    for schedule in SCHEDULES:
        answer = folder / f"logits-{schedule}.safetensors"
        command = [session.calibrate, "forward", "--model", session.pack, "--schedule", schedule]
        command += ["--backend", session.backend, "--pixels", folder / "pixels.safetensors", "--output", answer]
        name = f"mergevit {schedule}"
        try:
            programs.output(command)
            quality[name] = peers.check(name, model.load_safetensors(answer)["logits"], expected)
        except (programs.Failed, peers.WrongAnswer) as failure:
            wrong[name] = str(failure)
    return quality, wrong


def logits_on_processor(fp32, pixels):
    import torch

    with torch.inference_mode():
        return fp32(pixels)


@contextlib.contextmanager
def quiet(path):
    """Appends what this process and its children print to a file: autotuning prints thousands of lines."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(stream) for stream in (1, 2)]
    with open(path, "ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    try:
        yield
    # The traceback goes to the file, which has room for it.
    except (Exception, limits.OutOfTime):
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, copy in zip((1, 2), kept):
            os.dup2(copy, stream)
            os.close(copy)


def load_peers(session, fp32, batch, stage):
    """PyTorch's engines that run here with correct answers, their quality, and why the others are left out."""
    import model
    import peers

    where = "cpu" if session.arguments.dry_run else "cuda"
    images = model.load_safetensors(session.arguments.models / "all-pixels.safetensors")["pixels"]
    expected = logits_on_processor(fp32, images[:batch])
    loaded, quality, left_out = [], {}, {}
    for name, construct in peers.peers(fp32, images[:batch], images[: model.CALIBRATION_IMAGES], where):
        if not wanted(session, name, stage):
            continue
        # Eager needs no compiler.
        seconds = limits.left() - (5 if "eager" in name else RESERVE)
        print(f"  {name} ...", end="", flush=True)
        begin = time.monotonic()
        try:
            if seconds < (0 if "eager" in name else LEAST):
                raise limits.OutOfTime("no time left")
            with limits.within(seconds), quiet(session.arguments.output / "peers.log"):
                peer = construct()
                quality[name] = peers.check(name, peer.logits, expected)
                peer.time(summary.WAKING)
            loaded.append(peer)
            print(f" ready after {time.monotonic() - begin:.0f} s", flush=True)
        # A compiler may fail in any way. The engine then has no figure, and the report says why.
        except (Exception, limits.OutOfTime) as error:
            left_out[name] = f"{type(error).__name__}: {str(error).strip()[:300]}"
            print(f" left out: {left_out[name]}", flush=True)
    return loaded, quality, left_out


def wanted(session, name, stage):
    return all(any(part in name for part in parts) for parts in (session.arguments.peers.split(","), stage))


def time_batch(session, fp32, own, batch, stage):
    """Times a stage's engines in turns on one batch. Returns the failures of mergevit."""
    arguments = session.arguments
    failures = []
    quality, wrong = own
    loaded, peers_quality, left_out = [], {}, {"PyTorch": "not installed"}
    if fp32:
        loaded, peers_quality, left_out = load_peers(session, fp32, batch, stage)
    for schedule in SCHEDULES:
        if schedule not in session.checked(batch):
            left_out[f"mergevit {schedule}"] = "its check failed"
    left_out.update({name: why[:300] for name, why in wrong.items()})
    engines = list(loaded)
    try:
        for schedule in SCHEDULES:
            if f"mergevit {schedule}" in left_out:
                continue
            served = {"backend": session.backend, "batch": batch, "check": False, "tune": arguments.tune}
            try:
                engine = Mergevit(session.program, session.pack, schedule, **served)
                engines.append(engine)
                engine.time(summary.WAKING)
            except SystemExit as ended:
                engines = [other for other in engines if other.name != f"mergevit {schedule}"]
                left_out[f"mergevit {schedule}"] = str(ended)
                failures.append(str(ended))
                continue
            line = shlex.join(engine.command).replace(f"{BUNDLE}/", "")
            if line not in session.found["commands"]:
                session.found["commands"].append(line)
        summary.measure(engines, 2, arguments.per_turn)
        before = clocks(session)
        latencies = summary.measure(engines, arguments.rounds, arguments.per_turn)
        session.found["clocks"].update({f"before batch {batch}": before, f"after batch {batch}": clocks(session)})
        alone = {peer.name: median(peer.device_time(DEVICE_RUNS)[summary.WAKING :]) for peer in loaded}
    finally:
        for engine in engines:
            # An engine that has exited closes with an error.
            with contextlib.suppress(OSError):
                engine.close()
    rows = summary.summarise(latencies, batch)
    for row in rows:
        ratio = report.number(row["speedup"])
        print(f"  {row['engine']:30} {row['latency_us_median'] / 1e3:9.3f} ms  x {ratio}", flush=True)
    found = {
        "settings": {"rounds": arguments.rounds, "per_turn": arguments.per_turn},
        "engines": rows,
        "device_us": alone,
        "quality": {**peers_quality, **quality},
        "left_out": left_out,
        "latencies_us": latencies,
    }
    timings = session.found.setdefault("timings", {})
    # With fewer engines than an earlier stage, time ran out: keep the earlier figures.
    earlier = timings.get(str(batch)) if (batch, "timed") in session.tried else None
    if earlier and len(earlier["engines"]) > len(rows):
        earlier["left_out"].update({name: why for name, why in left_out.items() if name not in earlier["latencies_us"]})
    else:
        timings[str(batch)] = found
    session.tried.add((batch, "timed"))
    return failures


def stages(session):
    """STAGES without those that add no engine to the one before."""
    names = ("pytorch fp32", "pytorch fp16", "pytorch int8 dynamic", "pytorch int8 static", "torchao int8")
    found = {}
    for stage in STAGES:
        found.setdefault(tuple(wanted(session, name, stage) for name in names), stage)
    return list(found.values())


def run_time(session):
    """Times every batch size in every stage, and saves the report after each."""
    make_model(session)
    ensure_checked(session)
    fp32, own, plan = None, ({}, {}), [STAGES[0]]
    if has_torch():
        import model
        import peers

        peers.forbid_tf32()
        fp32 = model.network(shape(session), session.arguments.models)
        own, plan = own_quality(session, fp32), stages(session)
    failures = [f"{name}: {why}" for name, why in own[1].items()]
    for stage, batch in ((stage, batch) for stage in plan for batch in session.arguments.batches):
        told = f"batch {batch}, engines {', '.join(stage) if all(stage) else 'of every kind'}"
        if stage != plan[0] and limits.left() < RESERVE + LEAST:
            print(f"  {told}: no time left", flush=True)
            continue
        print(f"  {told}", flush=True)
        try:
            failures += [f"{told}: {why}" for why in time_batch(session, fp32, own, batch, stage)]
        # Earlier timings stand.
        except (Exception, SystemExit) as failure:
            session.fail("time", failure)
            failures.append(f"{told}: {session.found['failures']['time']}")
        session.save()
    if failures:
        raise programs.Failed("\n".join(failures))
