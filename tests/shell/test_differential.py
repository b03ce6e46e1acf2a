"""Judged by bash and dash: what they take is taken, and what they refuse is a fault.

Where there is no corpus (tests/ground/corpus.py), the tables of test_parse.py and what a seeded pen makes of them are
compared.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Iterator

import pytest

from sealift.deffile.parse import read
from sealift.shell.parse import parse
from sealift.shell.values import Dialect
from tests.ground import corpus
from tests.shell.test_parse import FAULTS, ONLY_BASH, SCRIPTS

SHELLS: tuple[tuple[Dialect, str], ...] = (("bash", "bash"), ("posix", "dash"))
APPS = ("appinstall", "appenv", "apprun", "appstart", "apptest")
FRAGMENTS = (
    "(",
    ")",
    "'",
    '"',
    "`",
    "$(",
    "}",
    " fi\n",
    " done\n",
    ";",
    ";;",
    "&&",
    "|",
    "\n",
    "<<E\n",
    "((",
    "\\",
)
PLAIN_SHELL = re.compile(r"\s*#!\s*/(usr/)?bin/(env )?(ba|da)?sh")

pytestmark = [pytest.mark.slow, pytest.mark.needs("bash", "dash")]


def takes(shell: str, text: str) -> bool:
    answer = subprocess.run(
        [shell, "-n"], check=False, input=text.encode("utf-8", "surrogateescape"), capture_output=True
    )
    return answer.returncode == 0


def differ(text: str) -> Iterator[str]:
    for dialect, shell in SHELLS:
        faults = [fault.message for fault in parse(text, dialect=dialect).faults if not fault.warning]
        if takes(shell, text) == bool(faults):
            yield f"{shell}: {faults}: {text!r}"


def test_the_tables_agree_with_real_shells() -> None:
    assert [one for text in (*SCRIPTS, *FAULTS, *ONLY_BASH) for one in differ(text)] == []


def test_scripts_with_something_wrong_agree_with_real_shells() -> None:
    pen = random.Random(4)
    # Sums and `[[` have grammars of their own, of which only the extent is read.
    whole = [text for text in SCRIPTS if "[[" not in text and "((" not in text]
    wrong = []
    for _ in range(400):
        text = "".join(pen.choices(whole, k=2))
        at = pen.choice([at for at in range(len(text) + 1) if text[at - 1 : at] in ("", " ", "\n")])
        # dash reads a here-document within another one's text, which only running would show elsewhere.
        fragments = [one for one in FRAGMENTS if "<<" not in one or "<<" not in text]
        wrong.append(text[:at] + pen.choice(fragments) + text[at:])
    # What stands in backquotes is read by a real shell only when it runs; here it is read at once.
    assert [one for text in wrong if "`" not in text for one in differ(text)] == []


@corpus.needed
def test_sections_of_real_files_agree_with_real_shells() -> None:
    texts = []
    for path in corpus.definitions():
        for stage in read(path.read_bytes()).definition.stages:
            names = ("pre", "setup", "post", "environment", "runscript", "startscript", "test")
            texts += [stage.script(name).text for name in names]
            texts += [body for app in stage.apps for name, body in app.sections.items() if name in APPS]
    scripts = [text for text in texts if "\0" not in text and (PLAIN_SHELL.match(text) or text.lstrip()[:2] != "#!")]
    assert len(scripts) > 1000
    assert [one for text in scripts for one in differ(text)] == []
