"""All rules, family by family, the gravest of each first."""

from __future__ import annotations

from typing import get_args

from sealift.lint.ignores import IGNORE_RULES
from sealift.lint.rules import (
    environment,
    gpu,
    home,
    language,
    mpi,
    nersc,
    pinning,
    portability,
    python,
    runscript,
    security,
    shell,
    size,
    tested,
    unattended,
)
from sealift.lint.values import LEVELS, Family, Rule

_SUBJECTS = (
    language, shell, unattended, environment, runscript, pinning, size, security, portability, home, python, gpu, mpi,
    nersc, tested,
)  # fmt: skip
_FAMILIES = get_args(Family)

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (*(rule for subject in _SUBJECTS for rule in subject.RULES), *IGNORE_RULES),
        key=lambda rule: (_FAMILIES.index(rule.family), -LEVELS.index(rule.level)),
    )
)
BY_ID = {rule.id: rule for rule in RULES}
