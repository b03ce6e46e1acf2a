"""A cached entry that is damaged is noticed when it is used, and what was made of it does not pass for good."""

from __future__ import annotations

import os
import zlib
from pathlib import Path


def _pack(tmp_path: Path) -> Path:
    return max((tmp_path / "cache" / "packs").iterdir(), key=lambda path: path.stat().st_size)


def _damage(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0xFF]))


def test_a_pack_that_was_written_to_is_made_anew(sealift, small_layout, tmp_path):
    assert sealift("build", "good.sif", f"oci:{small_layout}").code == 0
    _damage(_pack(tmp_path), 5_000)
    outcome = sealift("build", "again.sif", f"oci:{small_layout}")
    assert outcome.code == 0
    assert "is damaged and is made anew" in outcome.err
    assert Path("again.sif").read_bytes() == Path("good.sif").read_bytes()


def test_a_pack_that_was_cut_is_made_anew(sealift, small_layout, tmp_path):
    assert sealift("build", "good.sif", f"oci:{small_layout}").code == 0
    os.truncate(_pack(tmp_path), 5_000)
    outcome = sealift("build", "again.sif", f"oci:{small_layout}")
    assert "is damaged and is made anew" in outcome.err
    assert Path("again.sif").read_bytes() == Path("good.sif").read_bytes()


def test_damage_that_left_the_times_is_found_by_verify_and_nothing_passes_for_unchanged(
    sealift, small_layout, tmp_path
):
    assert sealift("build", "good.sif", f"oci:{small_layout}").code == 0
    pack = _pack(tmp_path)
    status = pack.stat()
    _damage(pack, 5_000)
    os.utime(pack, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert sealift("build", "bad.sif", f"oci:{small_layout}").code == 0
    verified = sealift("cache", "verify")
    assert verified.code == 1
    assert "damaged and removed: packs/" in verified.out
    mended = sealift("build", "-F", "bad.sif", f"oci:{small_layout}")
    assert "unchanged" not in mended.err
    assert Path("bad.sif").read_bytes() == Path("good.sif").read_bytes()
    assert sealift("cache", "verify").code == 0


def test_a_purged_cache_is_a_miss(sealift, small_layout, tmp_path):
    assert sealift("build", "good.sif", f"oci:{small_layout}").code == 0
    for path in sorted((tmp_path / "cache").rglob("*"), reverse=True):
        if path.is_file() and zlib.crc32(path.name.encode()) % 2:
            path.unlink()
    assert sealift("build", "again.sif", f"oci:{small_layout}").code == 0
    assert Path("again.sif").read_bytes() == Path("good.sif").read_bytes()


def test_the_target_is_a_file_or_leads_to_one(sealift, small_layout, tmp_path):
    os.mkfifo("pipe")
    refused = sealift("build", "-F", "pipe", f"oci:{small_layout}")
    assert (refused.code, refused.err.startswith("error: `pipe` is not a regular file")) == (2, True)
    (tmp_path / "scratch").mkdir()
    os.symlink(tmp_path / "scratch" / "real.sif", "link.sif")
    assert sealift("build", "-F", "link.sif", f"oci:{small_layout}").code == 0
    assert os.path.islink("link.sif")
    assert (tmp_path / "scratch" / "real.sif").is_file()
