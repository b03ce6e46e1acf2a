from __future__ import annotations

from pathlib import Path

from sealift.lint.pages import page
from tests.ground.install import CHECKOUT

if __name__ == "__main__":
    docs = Path(CHECKOUT) / "docs"
    (docs / "reference" / "lint-rules.md").write_text(page(), encoding="utf-8")
