"""Our conversion beside Apptainer's own, tree against tree."""

from __future__ import annotations

import stat

import pytest

from benchmarks.compare import compare, differences
from sealift.core.tree import Entry

FILE = Entry(path=b"a", mode=stat.S_IFREG | 0o644, size=3, digest=b"1" * 32)
DEVICE = Entry(path=b"a", mode=stat.S_IFCHR | 0o666, rdev=259)


@pytest.mark.parametrize(
    ("ours", "theirs", "count"),
    [
        ({b"a": FILE}, {b"a": FILE}, 0),
        ({b"a": FILE}, {}, 1),
        ({b"a": FILE}, {b"a": Entry(path=b"a", mode=FILE.mode, size=3, digest=b"2" * 32)}, 1),
        ({b"a": FILE}, {b"a": Entry(path=b"a", mode=stat.S_IFREG | 0o600, size=3, digest=FILE.digest)}, 1),
        ({b"a": FILE}, {b"a": Entry(path=b"a", mode=FILE.mode, size=3, mtime=9, uid=5, digest=FILE.digest)}, 0),
        ({b"a": DEVICE}, {b"a": FILE}, 0),
        ({b".singularity.d/labels.json": FILE}, {}, 0),
        ({b".singularity.data": FILE}, {}, 1),
    ],
)
def test_differences(ours, theirs, count):
    assert len(differences(ours, theirs)) == count


@pytest.mark.slow
@pytest.mark.needs("root", "apptainer", "registry", "skopeo", "mmdebstrap", "mirror")
def test_a_pull_gives_apptainers_own_tree(as_user, apptainer, registry, debian_oci):
    reference = registry.push(debian_oci, "latest", "compared:latest")
    folder = as_user.folder("subuid")
    ours, theirs = folder / "ours.sif", folder / "theirs.sif"
    pulled = as_user(["sealift", "pull", ours, reference])
    assert pulled.returncode == 0, pulled.stderr.decode()
    quick = ("--mksquashfs-args", "-comp zstd -Xcompression-level 1")
    converted = apptainer("build", "--no-https", *quick, theirs, reference)
    assert converted.returncode == 0, converted.stderr.decode()
    count, different = compare(ours, theirs)
    assert (count > 1000, different) == (True, [])
