"""Makes a Debian package from the prefix of a release: programs, manual pages, completions, services, configuration."""

import gzip
import hashlib
import os
import shutil
import tempfile
from datetime import datetime, timezone
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import urlparse

import elf
from dependencies import ROOT, repository, run

PARTS = Path(__file__).parent / "debian"
SERVICE = ROOT / "board/service"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
CONFIGURATION = "etc/mergevit/mergevit.toml"
# Where a prefix and Debian differ.
MOVED = {"share/zsh/site-functions": "share/zsh/vendor-completions"}
# The packages of the libraries that programs may be linked with; libc6 also needs a version.
LIBRARIES = {"libc.so.6": "libc6", "libm.so.6": "libc6", "libgcc_s.so.1": "libgcc-s1"}
LOADER = "ld-linux"


def build(prefix, target, version, seconds, output):
    """Writes `mergevit_VERSION_ARCHITECTURE.deb` into a folder; returns its path. The same prefix gives the same bytes."""
    architecture = ARCHITECTURES[target.split("-")[0]]
    # What comes before a release sorts before it.
    version = version.replace("-", "~")
    package = output / f"mergevit_{version}_{architecture}.deb"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        place_prefix(prefix, root)
        place_service(root)
        values = {
            "version": version,
            "architecture": architecture,
            "maintainer": maintainer(),
            "repository": repository(),
            "date": format_datetime(datetime.fromtimestamp(seconds, timezone.utc)),
            "libraries": ", ".join(depends(root)),
            "units": " ".join(sorted(path.name for path in SERVICE.glob("*.service"))),
            "mit": indented(ROOT / "LICENSE-MIT"),
        }
        place_documents(root, values)
        values["kibibytes"] = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) // 1024
        place_control(root, values)
        settle(root, seconds)
        environment = dict(os.environ, SOURCE_DATE_EPOCH=str(seconds))
        run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, package.resolve(), env=environment)
    return package


def maintainer():
    """The repository's owner, under the address that GitHub gives owners: the project has none. Reports go to Homepage."""
    owner = urlparse(repository()).path.split("/")[1]
    return f"the {owner} developers <{owner}@users.noreply.github.com>"


def place_prefix(prefix, root):
    """The prefix, with manual pages compressed; licences go into `copyright`."""
    for path in sorted(path for path in prefix.rglob("*") if path.is_file()):
        name = str(path.relative_to(prefix))
        for old, new in MOVED.items():
            name = name.replace(old, new)
        place = root / "usr" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if "/man/" in name:
            compress(path.read_bytes(), place.with_name(place.name + ".gz"))
        elif not path.name.startswith("LICENSE"):
            shutil.copyfile(path, place)


def place_documents(root, values):
    """What Debian wants to know of each package."""
    documents = root / "usr/share/doc/mergevit"
    documents.mkdir(parents=True, exist_ok=True)
    (documents / "copyright").write_text(filled("copyright", values))
    compress(filled("changelog", values).encode(), documents / "changelog.gz")
    overrides = root / "usr/share/lintian/overrides/mergevit"
    overrides.parent.mkdir(parents=True)
    overrides.write_text(filled("lintian-overrides", values))


def place_service(root):
    """The services, the groups that they need, and their configuration."""
    places = {path: f"usr/lib/systemd/system/{path.name}" for path in SERVICE.glob("*.service")}
    places[SERVICE / "sysusers.conf"] = "usr/lib/sysusers.d/mergevit.conf"
    places[SERVICE / "mergevit.toml"] = CONFIGURATION
    for path, place in places.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, root / place)


def place_control(root, values):
    """What dpkg reads and runs."""
    folder = root / "DEBIAN"
    folder.mkdir()
    for name in ("control", "postinst", "prerm", "postrm"):
        (folder / name).write_text(filled(name, values))
    (folder / "conffiles").write_text(f"/{CONFIGURATION}\n")
    files = sorted(path for path in root.rglob("*") if path.is_file() and folder not in path.parents)
    listed = [path for path in files if str(path.relative_to(root)) != CONFIGURATION]
    sums = (f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in listed)
    (folder / "md5sums").write_text("".join(sums))


def depends(root):
    """The packages that hold the libraries of all programs, which must start under the oldest glibc."""
    programs = [path for path in root.rglob("*") if path.is_file() and elf.is_elf(path)]
    packages = {}
    for program in programs:
        elf.check_glibc(program)
        for library in elf.libraries(program):
            if not library.startswith(LOADER):
                packages[LIBRARIES[library]] = ""
    packages["libc6"] = f" (>= {elf.dotted(max(elf.glibc(program) for program in programs))})"
    return [package + version for package, version in sorted(packages.items())]


def settle(root, seconds):
    """Modes and times that do not depend on who builds."""
    scripts = ("postinst", "prerm", "postrm")
    for path in [root, *root.rglob("*")]:
        runs = path.is_dir() or path.parent == root / "usr/bin" or path.parent.name == "DEBIAN" and path.name in scripts
        path.chmod(0o755 if runs else 0o644)
        os.utime(path, (seconds, seconds))


def filled(name, values):
    """One of the package's parts, with its values."""
    text = (PARTS / name).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


def indented(path):
    """A text as a field of `copyright` has it."""
    lines = path.read_text().strip().splitlines()
    return "\n".join(f" {line}" if line.strip() else " ." for line in lines)


def compress(data, place):
    place.write_bytes(gzip.compress(data, 9, mtime=0))


def is_possible():
    """Whether this machine can make Debian packages."""
    return shutil.which("dpkg-deb") is not None
