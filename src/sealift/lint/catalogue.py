"""All rules, in the order of their families."""

from __future__ import annotations

from sealift.lint.ignores import IGNORE_RULES
from sealift.lint.rules import gpu, language, mpi, nersc, pinning, portability, python, security, shell, size, tested
from sealift.lint.values import Rule

RULES: tuple[Rule, ...] = (
    *language.RULES,
    *shell.RULES,
    *pinning.RULES,
    *size.RULES,
    *security.RULES,
    *portability.RULES,
    *python.RULES,
    *gpu.RULES,
    *mpi.RULES,
    *nersc.RULES,
    *tested.RULES,
    *IGNORE_RULES,
)
BY_ID = {rule.id: rule for rule in RULES}
