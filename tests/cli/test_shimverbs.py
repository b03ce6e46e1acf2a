"""Apptainer's own help against our tables: no flag and no verb of it is forgotten."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from sealift.cli.flags import Flag
from sealift.cli.runflags import ACTIONS, RUN_FLAGS
from sealift.cli.shimverbs import GLOBAL_FLAGS, REFUSED, VERBS

OPTION = re.compile(r"^ +(?:-(?P<short>\w), )?--(?P<name>[\w-]+)(?: (?P<type>\w+))?(?:  |$)", re.MULTILINE)
COMMAND = re.compile(r"^  (?P<name>[\w-]+) +\S", re.MULTILINE)
KINDS = {
    None: {"switch"},
    "string": {"text"},
    "stringArray": {"texts"},
    "strings": {"list", "texts"},
    "stringToString": {"pairs"},
    "int": {"number"},
}
"""Apptainer's `strings` are split at commas: by us, or by Sealift's command, which splits them itself."""


def tables() -> Mapping[tuple[str, ...], tuple[Flag, ...]]:
    ours: dict[tuple[str, ...], tuple[Flag, ...]] = {
        (verb,): tuple(flag for flag in RUN_FLAGS if not flag.verbs or verb in flag.verbs) for verb in ACTIONS
    }
    return {(): GLOBAL_FLAGS, **ours, **{path: verb.flags for path, verb in VERBS.items()}}


@pytest.mark.needs("apptainer")
@pytest.mark.parametrize("path", list(tables()), ids=" ".join)
def test_every_flag_of_apptainers_is_in_the_table(apptainer, path):
    text = apptainer(*path, "--help").stdout.decode().partition("Options:\n")[2].partition("\n\n")[0]
    theirs = {match["name"]: (match["short"] or "", match["type"]) for match in OPTION.finditer(text)}
    ours = {flag.name: flag for flag in tables()[path]}
    assert len(theirs) >= 1
    assert sorted(theirs.keys() - ours.keys()) == []
    wrong = {
        name: (short, kind)
        for name, (short, kind) in theirs.items()
        if ours[name].short != short or ours[name].kind not in KINDS[kind]
    }
    assert wrong == {}


@pytest.mark.needs("apptainer")
@pytest.mark.parametrize("group", [(), ("sif",), ("cache",)], ids=str)
def test_every_verb_of_apptainers_is_done_or_refused(apptainer, group):
    text = apptainer(*group, "--help").stdout.decode().partition("Available Commands:\n")[2].partition("\n\n")[0]
    theirs = {(*group, match["name"]) for match in COMMAND.finditer(text)}
    done = {(verb,) for verb in (*ACTIONS, "help", "version")} | {path[:1] for path in VERBS if len(path) > 1}
    assert len(theirs) > 1
    assert sorted(theirs - done - VERBS.keys() - REFUSED.keys()) == []


def test_nothing_is_both_done_and_refused():
    assert not VERBS.keys() & REFUSED.keys()
    for flags in tables().values():
        assert len({flag.name for flag in flags}) == len(flags)
        shorts = [flag.short for flag in flags if flag.short]
        assert len(set(shorts)) == len(shorts)
        assert all(flag.help for flag in flags if flag.field == "refuse")
