"""Every step except timing beside others: tests, the comparison with the reference, profiles, variants, counters."""

import contextlib
import os
import shutil

import device
import programs
import summary
from serving import Mergevit
from session import BUNDLE, SCHEDULES, TOLD, make_model

SANITIZERS = ("memcheck", "racecheck", "synccheck")
# Multiprocessors of an Orin Nano or NX, and what is looked at on as many of another device.
SMALL = 8
SMALL_BATCHES = (1, 8)
# The schedules that differ most.
ENDS = (SCHEDULES[0], SCHEDULES[-1])
# The first is what the others are compared with.
VARIANTS = {
    "spins": [],
    "blocks": ["--wait", "block"],
    "tuned": ["--tune"],
    f"{SMALL} multiprocessors": ["--multiprocessors", str(SMALL)],
}
# Embedding, a layer with merging, and the first of the next one.
COUNTED_LAUNCHES = 12


def run_doctor(session):
    session.found["doctor"] = programs.output([session.program, "doctor"])
    print(session.found["doctor"], flush=True)


def run_tests(session):
    """Runs every test program; each opens the device itself."""
    session.found["tests"], failures = [], []
    for program in sorted((BUNDLE / "tests").iterdir()):
        try:
            result = programs.run_test(program, None if session.arguments.dry_run else session.backend)
        except programs.Failed as failure:
            print(f"  {str(failure)[:TOLD]}", flush=True)
            failures.append(str(failure))
            continue
        print(f"  {result['name']}: {result['passed']} passed in {result['seconds']:.1f} s", flush=True)
        session.found["tests"].append(result)
    if failures:
        raise programs.Failed("\n".join(failures))


def run_sanitize(session):
    """Memory errors, races and barriers in every kernel, as the CUDA toolkit's compute-sanitizer finds them."""
    if not shutil.which("compute-sanitizer"):
        why = "compute-sanitizer is not in the PATH; it comes with the CUDA toolkit"
        session.found.setdefault("skipped", {})["sanitize"] = why
        return
    done = session.found.setdefault("sanitized", [])
    known = {(each["name"], each["tool"]) for each in done}
    for tool in SANITIZERS:
        for program in sorted((BUNDLE / "tests").glob("cuda*")):
            if (program.name, tool) in known:
                continue
            done.append(programs.sanitize(program, tool, session.backend))
            print(f"  {tool} finds nothing in {program.name}", flush=True)
            session.save()


def run_check(session, batches=None):
    """Checks the large and the embedded model in batches of these sizes, by default of all requested sizes."""
    make_model(session)
    batches = batches or session.arguments.batches
    session.tried.update(batches)
    others = [check for check in session.found.get("checks", []) if check["batch"] not in batches]
    # Earlier results do not stand if this fails.
    session.found["checks"] = others
    jobs = [(session.pack, schedule, batch) for schedule in SCHEDULES for batch in batches]
    garments = BUNDLE / "garments.mvit"
    names = programs.schedules(session.program, garments)
    jobs += [(garments, schedule, batch) for schedule in names for batch in batches]
    workers = min(os.cpu_count(), device.processes_at_once(session.found["device"]))
    equal, wrong = programs.check(session.program, jobs, session.backend, workers)
    session.found["checks"] = others + equal
    print(f"  {len(equal)} of {len(jobs)} combinations of model, schedule and batch equal the reference", flush=True)
    if wrong:
        raise programs.Failed("\n".join(wrong))


def ensure_checked(session, batches=None):
    """Checks those of the batch sizes that neither this run nor an earlier one has compared with the reference."""
    tried = session.tried | {check["batch"] for check in session.found.get("checks", [])}
    if missing := [batch for batch in batches or session.arguments.batches if batch not in tried]:
        try:
            run_check(session, missing)
        except programs.Failed as failure:
            session.fail("check", failure)


def run_profile(session):
    """Times each operation on the whole device, beside what its peaks would allow and what the estimate says."""
    flags = ["--tune"] * session.arguments.tune
    jobs = [(schedule, batch, flags) for batch in session.arguments.batches for schedule in SCHEDULES]
    profile_all(session, jobs)


def run_small(session):
    """The same on as many multiprocessors as an Orin Nano has, tuned and not: its shape, on this device's clocks."""
    part = ["--multiprocessors", SMALL]
    jobs = [
        (schedule, batch, part + tune) for tune in ([], ["--tune"]) for batch in SMALL_BATCHES for schedule in ENDS
    ]
    profile_all(session, jobs)


def profile_all(session, jobs):
    """Profiles each schedule, batch size and flags that no earlier run has profiled."""
    make_model(session)
    ensure_checked(session, {batch for _, batch, _ in jobs})
    profiles, failures = session.found.setdefault("profiles", {}), []
    for schedule, batch, flags in jobs:
        words = [str(flag) for flag in flags]
        name = ", ".join([schedule, f"batch {batch}", *filter(None, [" ".join(words)])])
        if name in profiles or schedule not in session.checked(batch):
            continue
        seconds = session.arguments.profile_seconds
        try:
            told = programs.profile(session.program, session.pack, session.backend, schedule, batch, seconds, *words)
        except programs.Failed as failure:
            failures.append(f"{name}: {failure}")
            continue
        kinds = device.roofline(told["profile"]["operations"], peaks(session, words))
        profiles[name] = {**told, "kinds": kinds, "flags": words}
        print(f"  {name}: {told['latency_us_p50'] / 1e3:.3f} ms", flush=True)
        session.save()
    if failures:
        raise programs.Failed("\n".join(failures))


def peaks(session, words):
    """The device's peaks, or those of the part that is used."""
    found = session.found["device"]
    if "--multiprocessors" not in words or not found["peak_macs_per_second"]:
        return found
    return {**found, "peak_macs_per_second": found["peak_macs_per_second"] * SMALL / found["multiprocessors"]}


def run_variants(session):
    """Times variants of one program in turns: how it waits, tiles as modelled or as measured, all of the device or a part."""
    make_model(session)
    ensure_checked(session, {1})
    found = session.found.setdefault("variants", {})
    for schedule in ENDS:
        if schedule in found or schedule not in session.checked(1):
            continue
        engines = []
        try:
            for name, flags in VARIANTS.items():
                served = {"backend": session.backend, "check": False, "flags": flags, "name": name}
                engines.append(Mergevit(session.program, session.pack, schedule, **served))
            latencies = summary.measure(engines, session.arguments.rounds, session.arguments.per_turn)
        finally:
            for engine in engines:
                # An engine that has exited closes with an error.
                with contextlib.suppress(OSError):
                    engine.close()
        found[schedule] = summary.summarise(latencies, 1, baseline=next(iter(VARIANTS)))
        for row in found[schedule]:
            print(f"  {schedule}, {row['engine']:28} {row['latency_us_median'] / 1e3:9.3f} ms", flush=True)
        session.save()


def run_counters(session):
    """Hardware counters of the first launches of a frame: what each of them is bound by."""
    if not shutil.which("ncu"):
        session.found.setdefault("skipped", {})["counters"] = "ncu is not in the PATH; it comes with the CUDA toolkit"
        return
    make_model(session)
    ensure_checked(session, {1})
    found = session.found.setdefault("counters", {})
    for schedule in ENDS:
        if schedule not in found and schedule in session.checked(1):
            found[schedule] = programs.counters(
                session.program, session.pack, session.backend, schedule, 1, COUNTED_LAUNCHES
            )
            session.save()
