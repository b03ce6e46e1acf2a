from __future__ import annotations

from pathlib import Path

import pytest

from sealift.engines.embedded.paths import inside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("usr/bin", "run", "opt/tool", "home"):
        (tmp_path / folder).mkdir(parents=True)
    for name, target in {
        "bin": "usr/bin",
        "var": "/run",
        "out": "../../../../etc",
        "chain": "/bin",
        "opt/up": "../../..",
        "opt/tool/self": ".",
        "dangling": "/no/where",
    }.items():
        (tmp_path / name).symlink_to(target)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ""),
        ("/usr/bin", "usr/bin"),
        ("/bin", "usr/bin"),
        ("/bin/new/deep", "usr/bin/new/deep"),
        ("/chain/x", "usr/bin/x"),
        ("/var/tmp", "run/tmp"),
        ("/out/passwd", "etc/passwd"),
        ("/../../etc", "etc"),
        ("/opt/up/home", "home"),
        ("/opt/tool/self/./self/x", "opt/tool/x"),
        ("/dangling/x", "no/where/x"),
        ("//usr//bin/", "usr/bin"),
    ],
)
def test_no_path_leads_out(root: Path, path: str, expected: str) -> None:
    assert inside(str(root), path) == (f"{root}/{expected}" if expected else str(root))


def test_a_circle(root: Path) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        inside(str(root), "/a/x")
