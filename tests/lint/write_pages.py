"""Write docs/reference/lint-rules.md and the pages of the families from the rules, and docs/lint-precision.md from the
labels.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sealift.lint.pages import pages
from tests.ground.install import CHECKOUT
from tests.lint.labels import precision_page

if __name__ == "__main__":
    docs = Path(CHECKOUT) / "docs"
    shutil.rmtree(docs / "reference" / "lint-rules", ignore_errors=True)
    for name, text in pages().items():
        path = docs / "reference" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (docs / "lint-precision.md").write_text(precision_page(), encoding="utf-8")
