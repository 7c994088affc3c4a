#!/usr/bin/env python3
"""The licence texts of everything that is in the programs of a release and was written by others.

usage: .ci/release/notices.py TARGET      e.g. x86_64-unknown-linux-gnu
"""

import sys
from pathlib import Path

from dependencies import ROOT, compiler, crates

NAMES = ("licen", "copying", "copyright", "notice", "unlicense")
RULE = "=" * 80


def document(target):
    """The text for the programs of a target."""
    users = {}
    for crate in crates(target):
        if crate.linked and not crate.ours:
            for text in texts(crate):
                users.setdefault(normal(text), (text, []))[1].append(crate)
    intro = "\n".join(
        (
            "mergevit is licensed under MIT or Apache-2.0, at your choice. Its programs contain the crates below, each",
            "under the licence that it names. Rust's standard library: see RUST-STANDARD-LIBRARY. The frames of",
            "`mergevit demo`: see ASSETS.md.",
        )
    )
    sections = [intro]
    for text, by in sorted(users.values(), key=lambda section: [crate.name for crate in section[1]]):
        heads = [f"{crate.name} {crate.version} ({crate.license})" for crate in by]
        sections.append("\n".join([RULE, *heads, RULE, "", text.strip()]))
    return "\n\n".join(sections) + "\n"


def texts(crate):
    """The texts that a crate carries, or its licence's own where it carries none."""
    files = sorted(path for path in crate.folder.iterdir() if path.is_file() and path.name.lower().startswith(NAMES))
    if files:
        return [path.read_text(encoding="utf-8", errors="replace") for path in files]
    if crate.license == "Apache-2.0":
        # It names no holder, and is the same text for everything.
        return [(ROOT / "LICENSE-APACHE").read_text(encoding="utf-8")]
    if crate.license != "MIT":
        sys.exit(f"{crate.name} {crate.version}: no licence text in {crate.folder}; add its {crate.license} by hand")
    _, _, permission = (ROOT / "LICENSE-MIT").read_text(encoding="utf-8").partition("\n\nPermission")
    holders = ", ".join(crate.authors) or f"the authors of {crate.name}"
    return [f"MIT License\n\nCopyright (c) {holders}\n\nPermission{permission}"]


def normal(text):
    """Equal for texts that differ in line breaks only."""
    return " ".join(text.split())


def standard_library():
    """The file in which the compiler's distribution states the licences of Rust's standard library."""
    sysroot = Path(compiler("--print", "sysroot"))
    places = [
        sysroot / "share/doc/rust/COPYRIGHT-library.html",
        Path("/usr/share/doc/libstd-rust-web-dev/copyright"),
        Path("/usr/share/doc/libstd-rust-dev/copyright"),
    ]
    for place in places:
        if place.is_relative_to(sysroot) and place.is_file():
            return place
    sys.exit(f"no licences of Rust's standard library: looked for {', '.join(map(str, places))}; install rustc's documentation")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    print(document(sys.argv[1]), end="")


if __name__ == "__main__":
    main()
