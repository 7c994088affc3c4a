#!/usr/bin/env python3
"""Census of timm: which architecture names import, and whether their output is timm's.

Every name of timm's Vision Transformer modules, deprecated ones too, gets a checkpoint of two blocks with random weights in
which every tensor matters, in the folder that timm itself writes. `mergevit-calibrate forward` runs it; its output must be
timm's within 2e-5 of the largest number, or the checkpoint must be refused by the name of a feature.

Prints a line for each name, then the counts. Exits 1 on any mismatch, or with fewer right than `--at-least`.
"""

import argparse
import collections
import concurrent.futures
import multiprocessing
import re
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch

from truth import program, timm_models

ROOT = Path(__file__).resolve().parents[3]


def examine(architecture, names, executable, seed):
    """The Verdict on each of an architecture's names, and the seconds that it took, from a folder that is gone afterwards."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        try:
            model = timm_models.create(architecture, seed)
            timm_models.save(model, folder / "model")
            question = timm_models.question(model, "model")
            question.save(folder)
        except Exception as error:  # whatever the library raises: the case was not made, and that counts
            return [(name, program.Verdict("BROKEN", f"not generated: {error!r}"[:300]), 0.0) for name in names]
        truth, found = None, []
        for name in names:
            timm_models.rename(folder / "model", name)
            verdict = program.run(executable, folder, question)
            if not isinstance(verdict, program.Verdict):
                # Only now: most of a census's time would go into models that are refused.
                truth = truth or timm_models.truth(model, "model", 1)
                verdict = program.compare(truth, verdict)
            found.append((name, verdict, time.monotonic() - start))
            start = time.monotonic()
        return found


def chosen(every, sample, only):
    """`sample` names spread evenly over all, so that every module has its share."""
    names = [name for name in every if re.search(only, name)]
    if sample and sample < len(names):
        names = [names[index * len(names) // sample] for index in range(sample)]
    return names


def feature(reason, every):
    """What a refusal is for, without what differs between names: themselves, tensors, numbers."""
    words = [word for word in reason.removeprefix("unsupported model: ").split() if word not in every]
    return re.sub(r"\(.*?\)|[0-9]+", "", " ".join(words))[:100].strip()


def summarise(verdicts, every):
    counts = collections.Counter(verdict.word for verdict in verdicts.values())
    reasons = collections.defaultdict(list)
    for name, verdict in verdicts.items():
        if verdict.word == "refused":
            reasons[feature(verdict.detail, every)].append(name)
    print(f"\n{len(verdicts)} names: " + ", ".join(f"{count} {word}" for word, count in counts.most_common()))
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        print(f"{len(names):4d} refused: {reason}\n       as {', '.join(names[:4])}")
    for name, verdict in verdicts.items():
        if verdict.is_bad:
            print(f"{verdict.word} {name}: {verdict.detail}")
    return counts


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=ROOT / "target/debug/mergevit-calibrate")
    parser.add_argument("--sample", type=int, metavar="N", help="N names only, spread evenly")
    parser.add_argument("--only", default="", metavar="REGEX", help="names that match only")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-least", type=int, default=0, metavar="N", help="fail with fewer right")
    return parser.parse_args()


def main():
    args = parse()
    warnings.filterwarnings("ignore")
    every = timm_models.names()
    names = chosen(every, args.sample, args.only)
    architectures = collections.defaultdict(list)
    for name in names:
        architectures[every[name].split(".")[0]].append(name)
    verdicts = {}
    start = time.monotonic()
    # Forked: the libraries are loaded once.
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(args.jobs, context) as pool:
        tasks = [pool.submit(examine, *item, args.program, args.seed) for item in architectures.items()]
        for task in concurrent.futures.as_completed(tasks):
            for name, verdict, seconds in task.result():
                verdicts[name] = verdict
                print(f"{verdict.word:9s} {name:48s} {seconds:5.1f} s  {verdict.detail[:110]}", flush=True)
    counts = summarise({name: verdicts[name] for name in names}, every)
    print(f"in {time.monotonic() - start:.0f} s")
    bad = any(verdict.is_bad for verdict in verdicts.values())
    return 1 if bad or counts["right"] < args.at_least else 0


if __name__ == "__main__":
    sys.exit(main())
