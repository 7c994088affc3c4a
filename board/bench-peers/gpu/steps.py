"""Every step except timing: tests, sanitizers, the comparison with the reference, the profile."""

import os
import shutil

import device
import programs
from session import BUNDLE, SCHEDULES, TOLD, make_model

SANITIZERS = ("memcheck", "racecheck", "synccheck")


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
        raise programs.Failed("compute-sanitizer is not in the PATH; it comes with the CUDA toolkit")
    session.found["sanitized"] = []
    for program in sorted((BUNDLE / "tests").glob("cuda*")):
        for tool in SANITIZERS:
            session.found["sanitized"].append(programs.sanitize(program, tool, session.backend))
            print(f"  {tool} finds nothing in {program.name}", flush=True)


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


def ensure_checked(session):
    """Checks the batch sizes that neither this run nor an earlier one has compared with the reference."""
    tried = session.tried | {check["batch"] for check in session.found.get("checks", [])}
    if missing := [batch for batch in session.arguments.batches if batch not in tried]:
        try:
            run_check(session, missing)
        except programs.Failed as failure:
            session.fail("check", failure)


def run_profile(session):
    """Times each operation beside what the device's peaks would allow."""
    make_model(session)
    ensure_checked(session)
    profiles = session.found.setdefault("profiles", {})
    for batch in session.arguments.batches:
        for schedule in session.checked(batch):
            seconds = session.arguments.profile_seconds
            flags = ["--tune"] * session.arguments.tune
            told = programs.profile(session.program, session.pack, session.backend, schedule, batch, seconds, *flags)
            kinds = device.roofline(told["profile"]["operations"], session.found["device"])
            profiles[f"{schedule}, batch {batch}"] = {**told, "kinds": kinds}
            print(f"  {schedule}, batch {batch}: {told['latency_us_p50'] / 1e3:.3f} ms", flush=True)
