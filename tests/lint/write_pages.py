"""Write docs/reference/lint-rules.md from the rules, and docs/lint-precision.md from the labels."""

from __future__ import annotations

from pathlib import Path

from sealift.lint.pages import page
from tests.ground.install import CHECKOUT
from tests.lint.labels import precision_page

if __name__ == "__main__":
    docs = Path(CHECKOUT) / "docs"
    (docs / "reference" / "lint-rules.md").write_text(page(), encoding="utf-8")
    (docs / "lint-precision.md").write_text(precision_page(), encoding="utf-8")
