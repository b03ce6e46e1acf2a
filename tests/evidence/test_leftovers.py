"""What builds left: a table of the rules' own data, and which files each takes."""

from __future__ import annotations

import os
import shlex

import pytest

from sealift.core.tree import show_path
from sealift.evidence.files import files_of
from sealift.evidence.leftovers import find_leftovers, load_leftover_rules
from sealift.evidence.opening import open_image
from sealift.evidence.packages import find_packages, owners
from tests.evidence.conftest import write_root

X = b"x"
HOME = "root"


def found(files) -> dict[str, tuple[list[str], str]]:
    packages = find_packages(files).packages
    left = find_leftovers(files, packages, owners(files, packages), load_leftover_rules())
    return {one.rule.id: ([show_path(files.tree.paths[row]) for row in one.rows], one.remove) for one in left}


def status(*names: str) -> dict[str, bytes]:
    text = "".join(f"Package: {name}\nStatus: install ok installed\nVersion: 1\n\n" for name in names)
    lists = {f"var/lib/dpkg/info/{name}.list": f"/usr/x/{name}\n".encode() for name in names}
    return {"var/lib/dpkg/status": text.encode(), **lists, **{f"usr/x/{name}": X for name in names}}


BUILD = (
    "binutils-x86-64-linux-gnu",
    "cpp-12",
    "cuda-nvcc-12-6",
    "g++",
    "gcc-12",
    "libc6-dev",
    "libcublas-dev-12-6",
    "make",
)
NOT_BUILD = ("gcc-12-base", "libgcc-s1", "libstdc++6", "udev", "libc6", "makedev", "python3", "gnupg")

CASES = {
    "nothing": ({"etc/hosts": X, "var/lib/apt/extended_states": X, "usr/lib/x.so": X, "tmp": None}, {}),
    "apt": (
        {"var/lib/apt/lists/a": X, "var/lib/apt/lists/partial/b": X, "var/cache/apt/archives/c.deb": X},
        {
            "apt-lists": ("/var/lib/apt/lists/a /var/lib/apt/lists/partial/b", "rm -rf /var/lib/apt/lists/*"),
            "apt-archives": ("/var/cache/apt/archives/c.deb", "apt-get clean"),
        },
    ),
    "other managers": (
        {"var/cache/dnf/a": X, "var/cache/zypp/b": X, "var/cache/apk/c": X, "var/cache/pacman/pkg/d": X},
        {
            "dnf-cache": ("/var/cache/dnf/a", "rm -rf /var/cache/dnf /var/cache/libdnf5 /var/cache/yum"),
            "zypper-cache": ("/var/cache/zypp/b", "zypper clean --all"),
            "apk-cache": ("/var/cache/apk/c", "rm -rf /var/cache/apk/* /etc/apk/cache/*"),
            "pacman-cache": (
                "/var/cache/pacman/pkg/d",
                "rm -rf /var/cache/pacman/pkg/* /var/lib/pacman/sync/*",
            ),
        },
    ),
    "homes": (
        {
            **{f"{HOME}/.cache/{name}": X for name in ("pip/a", "uv/b", "c")},
            "srv/my home/.cache/pip/d": X,
            "e/.npm/_cacache/f": X,
        },
        {
            "pip-cache": (
                f"/{HOME}/.cache/pip/a /srv/my home/.cache/pip/d",
                f"rm -rf /{HOME}/.cache/pip '/srv/my home/.cache/pip'",
            ),
            "uv-cache": (f"/{HOME}/.cache/uv/b", f"rm -rf /{HOME}/.cache/uv"),
            "home-cache": (f"/{HOME}/.cache/c", f"rm -rf /{HOME}/.cache"),
            "language-caches": ("/e/.npm/_cacache/f", "rm -rf /e/.npm/_cacache"),
        },
    ),
    "conda": (
        {"opt/conda/pkgs/a": X, "opt/miniforge3/pkgs/b": X, "opt/other/pkgs/c": X},
        {
            "conda-packages": (
                "/opt/conda/pkgs/a /opt/miniforge3/pkgs/b",
                "rm -rf /opt/conda/pkgs /opt/miniforge3/pkgs",
            )
        },
    ),
    "temporary": ({"tmp/a": X, "var/tmp/b/c": X}, {"temporary": ("/tmp/a /var/tmp/b/c", "rm -rf /tmp/* /var/tmp/*")}),
    "python": (
        {"a/__pycache__/b.pyc": X, "tmp/__pycache__/c.pyc": X, "a/b.pyc": X},
        {
            "temporary": ("/tmp/__pycache__/c.pyc", "rm -rf /tmp/* /var/tmp/*"),
            "bytecode": (
                "/a/__pycache__/b.pyc",
                "find / -xdev -type d -name __pycache__ -prune -exec rm -rf {} +",
            ),
        },
    ),
    "sources": (
        {".git/HEAD": X, "opt/a/.git/objects/b": X, "opt/a/.gitignore": X, "opt/a/.github/c": X},
        {"git-folders": ("/.git/HEAD /opt/a/.git/objects/b", "rm -rf /.git /opt/a/.git")},
    ),
    "built by hand": (
        {
            "usr/local/lib/libx.a": X,
            "usr/local/include/x.h": X,
            "usr/local/lib/python3/site-packages/n/include/n.h": X,
            "opt/y/include/y.h": X,
        },
        {
            "static-libraries": ("/usr/local/lib/libx.a", "find / -xdev -type f -name '*.a' -delete"),
            "headers": (
                "/opt/y/include/y.h /usr/local/include/x.h",
                "rm -rf /opt/y/include /usr/local/include",
            ),
        },
    ),
    "debian's compilers": (
        status(*BUILD, *NOT_BUILD),
        {
            "dpkg-build": (
                " ".join(f"/usr/x/{name}" for name in sorted(BUILD)),
                f"apt-get purge -y --auto-remove {shlex.join(sorted(BUILD))}",
            )
        },
    ),
    "alpine's compilers": (
        {
            "lib/apk/db/installed": b"\n\n".join(
                b"P:%b\nV:1\nF:usr\nR:%b" % (name, name) for name in (b"gcc", b"musl-dev", b"musl")
            ),
            **{f"usr/{name}": X for name in ("gcc", "musl-dev", "musl")},
        },
        {"apk-build": ("/usr/gcc /usr/musl-dev", "apk del gcc musl-dev")},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_found(case, image_files) -> None:
    content, expected = CASES[case]
    assert {name: (" ".join(paths), line) for name, (paths, line) in found(image_files(content)).items()} == expected


def test_a_content_with_a_name_elsewhere_would_not_go(tmp_path) -> None:
    """conda links its packages' files into environments: deleting the one name frees nothing."""
    root = write_root(tmp_path / "root", {"opt/conda/pkgs/a": X, "opt/conda/pkgs/b": X, "opt/conda/lib": None})
    os.link(root / "opt/conda/pkgs/a", root / "opt/conda/lib/a")
    os.link(root / "opt/conda/pkgs/b", root / "opt/conda/pkgs/c")
    with open_image(str(root)) as image:
        assert found(files_of(image)) == {"conda-packages": (["/opt/conda/pkgs/b"], "rm -rf /opt/conda/pkgs")}


def test_the_rules_themselves() -> None:
    rules = load_leftover_rules()
    assert len({rule.id for rule in rules}) == len(rules)
    for rule in rules:
        assert sum(one is not None for one in (rule.folders, rule.files, rule.packages)) == 1, rule.id
        assert shlex.split(rule.remove), rule.id
        assert rule.packages is None or "{found}" in rule.remove, rule.id
