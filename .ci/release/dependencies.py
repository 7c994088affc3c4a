"""What the programs of a release are made of, from cargo's own resolution."""

import json
import os
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The packages with programs that are released, and the features they are built with.
PACKAGES = {"mergevit-board": "mergevit", "mergevit-calibrate": "mergevit-calibrate"}
FEATURES = "mergevit-board/camera,mergevit-board/page,mergevit-board/mqtt"


@dataclass
class Crate:
    """A crate that the programs need."""

    id: str
    name: str
    version: str
    license: str  # an SPDX expression
    authors: list[str]
    repository: str | None
    folder: Path
    ours: bool
    linked: bool  # in the programs; otherwise it only helps to build them
    checksum: str | None = None  # SHA-256 of the file on crates.io
    needs: list[str] = field(default_factory=list)  # the ids of its own dependencies


def run(*command, **options):
    """What a command prints."""
    return subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE, **options).stdout.strip()


def compiler(*arguments):
    """What the compiler prints that cargo takes."""
    return run(os.environ.get("RUSTC", "rustc"), *arguments)


def repository():
    """Where the sources are, by the workspace's manifest."""
    with open(ROOT / "Cargo.toml", "rb") as file:
        return tomllib.load(file)["workspace"]["package"]["repository"]


def crates(target):
    """The crates of all programs for a target triple, sorted by name and version."""
    text = run("cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", target, "--features", FEATURES)
    metadata = json.loads(text)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    roots = [package["id"] for package in packages.values() if package["name"] in PACKAGES]
    linked = reachable(roots, nodes, lambda kinds, package: None in kinds and not is_macro(packages[package]))
    built = built_for(target)
    everything = {
        key
        for key in reachable(roots, nodes, lambda kinds, package: True)
        if (packages[key]["name"], packages[key]["version"]) in built
    }
    sums = checksums()
    return [
        Crate(
            id=key,
            name=package["name"],
            version=package["version"],
            # `MIT/Apache-2.0` is how it was written before there were expressions.
            license=(package["license"] or "").replace("/", " OR "),
            authors=package["authors"],
            repository=package["repository"],
            folder=Path(package["manifest_path"]).parent,
            ours=package["source"] is None,
            linked=key in linked,
            checksum=sums.get((package["name"], package["version"])),
            needs=sorted(needs for needs in dependencies(nodes[key]) if needs in everything),
        )
        for key, package in sorted(packages.items(), key=lambda item: (item[1]["name"], item[1]["version"]))
        if key in everything
    ]


def built_for(target):
    """Names and versions of what is built; cargo's metadata also holds what only the features of tests ask for."""
    selected = [f"--package={package}" for package in PACKAGES]
    tree = ["cargo", "tree", "--locked", *selected, "--features", FEATURES, "--target", target]
    lines = run(*tree, "--edges=no-dev", "--prefix=none", "--format={p}").splitlines()
    pairs = (line.split()[:2] for line in lines if line)
    return {(name, version.removeprefix("v")) for name, version in pairs}


def reachable(roots, nodes, follows):
    """The ids found from `roots` along the dependencies that `follows(kinds, id)` admits."""
    found, waiting = set(), list(roots)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += (needs for needs, kinds in dependencies(nodes[key]).items() if follows(kinds, needs))
    return found


def dependencies(node):
    """The ids that a package depends on outside its tests, each with its kinds: None is an ordinary dependency."""
    kinds = {dep["pkg"]: {kind["kind"] for kind in dep["dep_kinds"]} for dep in node["deps"]}
    return {key: kinds for key, kinds in kinds.items() if kinds != {"dev"}}


def is_macro(package):
    return any("proc-macro" in target["kind"] for target in package["targets"])


def checksums():
    with open(ROOT / "Cargo.lock", "rb") as file:
        locked = tomllib.load(file)["package"]
    return {(package["name"], package["version"]): package.get("checksum") for package in locked}
