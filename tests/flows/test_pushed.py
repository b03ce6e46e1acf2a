"""Under which names an image that was pushed is found again."""

from __future__ import annotations

from pathlib import Path

from sealift.flows.pushed import library_path_of, note_pushed, targets_of
from sealift.store import open_store


def test_a_name_is_that_of_the_image_that_got_it_last(tmp_path: Path) -> None:
    with open_store({"HOME": str(tmp_path)}) as store:
        note_pushed(store, tree="sha256:a", target="docker://r/app:1", library_path="/a")
        note_pushed(store, tree="sha256:a", target="docker://r/app:2", library_path="/a")
        note_pushed(store, tree="sha256:b", target="docker://r/app:1", library_path="/b")
        assert targets_of(store, "sha256:a") == ("docker://r/app:2",)
        assert targets_of(store, "sha256:b") == ("docker://r/app:1",)
        assert library_path_of(store, "docker://r/app:1") == "/b"
        note_pushed(store, tree="sha256:a", target="docker://r/app:1", library_path="/a")
        assert targets_of(store, "sha256:a") == ("docker://r/app:2", "docker://r/app:1")
        assert targets_of(store, "sha256:b") == ()
        note_pushed(store, tree="", target="docker://r/app:1")
        assert targets_of(store, "sha256:a") == ("docker://r/app:2",)
        assert library_path_of(store, "docker://r/app:1") is None
