#!/usr/bin/env python3
"""The software bill of materials of a release: CycloneDX 1.6, JSON.

usage: .ci/release/sbom.py TARGET      e.g. x86_64-unknown-linux-gnu

Crates that only help to build, such as procedural macros, have the scope `excluded`.
"""

import json
import sys
import uuid
from datetime import datetime, timezone

from dependencies import PACKAGES, compiler, crates


def document(target, version, commit, seconds):
    """The bill for the programs of a target, as a dictionary; `seconds` since 1970 is its time."""
    parts = crates(target)
    references = {crate.id: reference(crate) for crate in parts}
    rustc = compiler("--version").split()[1]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # The same source has the same number.
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, f"mergevit {version} {target} {commit}").urn,
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(seconds, timezone.utc).isoformat(),
            "component": {
                "type": "application",
                "bom-ref": "mergevit",
                "name": "mergevit",
                "version": version,
                "licenses": [{"expression": "MIT OR Apache-2.0"}],
                "properties": [
                    {"name": "mergevit:commit", "value": commit},
                    {"name": "mergevit:target", "value": target},
                ],
            },
        },
        "components": [
            *(component(crate) for crate in parts),
            {
                "type": "library",
                "bom-ref": "rust-std",
                "name": "rust-std",
                "version": rustc,
                "scope": "required",
                "licenses": [{"expression": "MIT OR Apache-2.0"}],
                "externalReferences": [{"type": "vcs", "url": "https://github.com/rust-lang/rust"}],
            },
        ],
        "dependencies": [
            {
                "ref": "mergevit",
                "dependsOn": sorted(reference(crate) for crate in parts if crate.ours and crate.name in PACKAGES),
            },
            *(
                {
                    "ref": reference(crate),
                    "dependsOn": sorted({references[key] for key in crate.needs} | {"rust-std"}),
                }
                for crate in parts
            ),
            {"ref": "rust-std"},
        ],
    }


def reference(crate):
    return f"{crate.name}@{crate.version}"


def component(crate):
    entry = {
        "type": "application" if crate.ours and crate.name in PACKAGES else "library",
        "bom-ref": reference(crate),
        "name": crate.name,
        "version": crate.version,
        "scope": "required" if crate.linked else "excluded",
        "licenses": [{"expression": crate.license}],
    }
    if crate.checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": crate.checksum}]
    if not crate.ours:
        entry["purl"] = f"pkg:cargo/{crate.name}@{crate.version}"
    if crate.repository:
        entry["externalReferences"] = [{"type": "vcs", "url": crate.repository}]
    return entry


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    version = run("cargo", "pkgid", "-p", "mergevit-board").rpartition("#")[2].rpartition("@")[2]
    commit, seconds = run("git", "log", "-1", "--format=%H %ct").split()
    print(json.dumps(document(sys.argv[1], version, commit, int(seconds)), indent=1))


if __name__ == "__main__":
    main()
