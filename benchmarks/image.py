"""Makes the measured images: layers of a real Debian tree and real Python packages, as an OCI layout that is kept.

The same packages give the same layers: names sorted, owners root's, times clamped, bytecode checked by hash.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from tests.ground import debian, layouts

EPOCH = 1_700_000_000
PREFIX = "opt/env"
SITE = f"{PREFIX}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"

# Versions are fixed so that the image is the same next year. A layer is what one `RUN pip install` of an ordinary
# image would be; a later one replaces files of an earlier one.
STACKS: dict[str, tuple[str, ...]] = {
    "torch": ("torch==2.13.0", "numpy==2.2.6", "wheel==0.45.0"),
    "science": ("scipy==1.15.3", "scikit-learn==1.6.1", "pandas==2.2.3"),
    "tools": ("jupyterlab==4.4.3", "matplotlib==3.10.3", "wheel==0.45.1"),
}

Say = Callable[[str], None]


def machine_learning(cache: Path, say: Say) -> Path:
    """The layered image of about 1.5 GB and 50,000 entries; tags `latest`, and `sibling` on the same base."""
    return _kept(cache / "machine-learning", STACKS, say)


def small(cache: Path, say: Say) -> Path:
    """A Debian layer and a small one, with the same tags: to try the harness itself."""
    return _kept(cache / "small", {}, say)


def _kept(target: Path, stacks: dict[str, tuple[str, ...]], say: Say) -> Path:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as work:
            _make(Path(work), stacks, say).rename(target)
    return target


def _make(work: Path, stacks: dict[str, tuple[str, ...]], say: Say) -> Path:
    say("making the Debian layer")
    base = work / "base.tar"
    debian.make_tree(base, include=("python3",))
    layers = [layouts.pack(base, level=6)]
    installed = work / "installed"
    before: dict[str, tuple[int, int]] = {}
    for name, packages in stacks.items():
        say(f"making the layer {name}: {' '.join(packages)}")
        _pip_install(packages, installed)
        _compile(installed, _changed(before, _signatures(installed)))
        after = _signatures(installed)
        layers.append(layouts.pack(_tar(installed, _changed(before, after)), level=6))
        before = after
    config = {"Env": [f"PATH=/{PREFIX}/bin:/usr/bin:/bin", f"PYTHONPATH=/{SITE}"], "Cmd": ["python3"]}
    gone = next((path for path in sorted(before) if path.endswith("numpy/tests")), "etc/issue.net")
    layout = work / "layout"
    for tag in ("latest", "sibling"):
        top = _tar_of({"opt/app/name": tag.encode(), f"{gone.rpartition('/')[0]}/.wh.{gone.rpartition('/')[2]}": b""})
        layouts.write_layout(layout, [*layers, top], tag=tag, config=config)
    return layout


def _pip_install(packages: Sequence[str], root: Path) -> None:
    """Install into the tree; what an earlier layer brought is found there and kept, or upgraded in place."""
    site = root / SITE
    # pip installs beside what it finds with --prefix and never removes it: an upgrade lands on top, as in a layer.
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-warn-script-location"),
            *("--ignore-installed" if not site.exists() else "--upgrade-strategy=only-if-needed",),
            *("--prefix", str(root / PREFIX), *packages),
        ],
        env=os.environ | {"PYTHONPATH": str(site)},
        check=True,
    )


def _compile(root: Path, changed: Sequence[str]) -> None:
    """Write the bytecode of these files, as an image's `pip install` does, but checked by nothing: no time is in it."""
    subprocess.run(
        [
            *(sys.executable, "-m", "compileall", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash"),
            *("-s", str(root), "-p", "/", "-i", "-"),
        ],
        input="".join(f"{root / path}\n" for path in changed if path.endswith(".py")),
        text=True,
        stdout=subprocess.DEVNULL,  # packages ship templates and tests that are not valid Python
        check=False,
    )


def _signatures(root: Path) -> dict[str, tuple[int, int]]:
    """What changes when a file is written anew, by path below `root`."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            found[os.path.relpath(path, root)] = (0 if name in folders else status.st_mtime_ns, status.st_ino)
    return found


def _changed(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> list[str]:
    return [path for path in sorted(after) if before.get(path) != after[path]]


def _tar(root: Path, paths: Sequence[str]) -> bytes:
    """A layer of these paths, as root's and with one time."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = EPOCH
        return member

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in paths:
            archive.add(root / path, arcname=path, recursive=False, filter=plain)
    return out.getvalue()


def _tar_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."}
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path in sorted(folders | files.keys()):
            member = tarfile.TarInfo(path)
            member.mtime = EPOCH
            if path in folders:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            else:
                member.size = len(files[path])
            archive.addfile(member, io.BytesIO(files.get(path, b"")))
    return out.getvalue()
