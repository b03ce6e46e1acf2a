"""What Apptainer's own parser and templating make of a text, in the JSON form of its test data.

Fields: `allOK`/`allError` and `stages`: the file read stage by stage. `singleOK`/`singleError`: the whole text read as
one stage. `templateOK`/`templateError`, `defaultArgs` (a table a stage), `consumedArgs`, `templatedStages`: with the
placeholders filled from `%arguments` alone. `warnings`: skipped lines of `%arguments`. `crash` alone: the parser dies.
"""

from __future__ import annotations

import json
from typing import Any

from sealift.deffile.arguments import defaults_of, replace_placeholders
from sealift.deffile.bodies import argument_pair, meaningful_lines
from sealift.deffile.characters import decode, show
from sealift.deffile.findings import Fault
from sealift.deffile.parse import StageReading, read, read_stage
from sealift.deffile.source import Source, source_of
from sealift.deffile.tokens import split_stages
from sealift.deffile.values import Stage

_EMPTY = Fault(id="empty-file", message="the definition file is empty", apptainer="empty definition file")


def as_apptainer(data: bytes) -> dict[str, Any]:
    text = decode(data)
    reading = read(text)
    whole = source_of(text, "")
    single = read_stage(whole)
    answer: dict[str, Any] = {"allOK": not reading.faults}
    for faults in (reading.faults, single.faults):
        if faults and faults[0].crashes:
            return {"crash": faults[0].apptainer}
    if reading.faults:
        answer["allError"] = _words(_faults_of_first_stage(whole) or reading.faults)
    stages = reading.definition.stages
    answer["stages"] = [_stage(stage) for stage in stages] if not reading.faults else None
    single_faults = _faults_of(single)
    answer["singleOK"] = not single_faults
    if single_faults:
        answer["singleError"] = _words(single_faults)
    answer |= {"templateOK": not reading.faults, "consumedArgs": [], "defaultArgs": [], "warnings": []}
    if reading.faults:
        return answer
    consumed: set[str] = set()
    templated: list[dict[str, Any]] = []
    for stage, source in zip(stages, reading.sources, strict=True):
        defaults = defaults_of(stage)
        answer["warnings"] += _warnings(stage)
        answer["defaultArgs"].append({show(key): show(value) for key, value in defaults.items()})
        replaced = replace_placeholders(source, {}, defaults)
        again = read_stage(replaced.source)
        faults = replaced.faults or _faults_of(again)
        if faults and faults[0].crashes:
            return {"crash": faults[0].apptainer}
        if faults:
            answer["templateOK"] = False
            answer["templateError"] = _words(faults)  # the last stage's, where several fail
            continue
        consumed |= replaced.consumed
        templated.append(_stage(again.stage))
    answer["consumedArgs"] = sorted(consumed)
    if templated:
        answer["templatedStages"] = templated
    return answer


def _faults_of_first_stage(whole: Source) -> tuple[Fault, ...]:
    """Of the first stage that has any: Apptainer reads no further."""
    return next((faults for part in split_stages(whole) if (faults := read_stage(part).faults)), ())


def _faults_of(reading: StageReading) -> tuple[Fault, ...]:
    return reading.faults or ((_EMPTY,) if reading.stage.is_empty else ())


def _words(faults: tuple[Fault, ...]) -> str:
    """The first fault's words; Apptainer lists all unknown sections of a stage at once."""
    first = faults[0].apptainer
    start, separator, _ = first.partition("specified: ")
    if start != "invalid section(s) ":
        return show(first)
    names = dict.fromkeys(
        fault.apptainer[len(start + separator) :] for fault in faults if fault.apptainer.startswith(start)
    )
    return show(start + separator + ", ".join(names))


def _stage(stage: Stage) -> dict[str, Any]:
    def script(name: str) -> dict[str, str]:
        found = stage.script(name)
        return {"args": show(found.arguments), "script": show(found.text)}

    return {
        "header": None if stage.header is None else {show(key): show(value) for key, value in stage.header.items()},
        "imageData": {
            "metadata": None,
            "labels": {show(key): show(value) for key, value in stage.labels.items()},
            "imageScripts": {
                "help": script("help"),
                "environment": script("environment"),
                "runScript": script("runscript"),
                "test": script("test"),
                "startScript": script("startscript"),
            },
        },
        "buildData": {
            "files": [
                {
                    "args": show(group.arguments),
                    "files": [
                        {"source": show(one.source), "destination": show(one.destination)} for one in group.copies
                    ]
                    or None,
                }
                for group in stage.files
            ],
            "buildScripts": {name: script(name) for name in ("pre", "setup", "post", "test", "arguments")},
        },
        "customData": {
            show(f"{name} {app.name}"): show(body) for app in stage.apps for name, body in app.sections.items()
        }
        or None,
        "raw": None,
        "fullraw": None,
        "appOrder": [show(app.name) for app in stage.apps],
    }


def _warnings(stage: Stage) -> list[str]:
    found = []
    for line in meaningful_lines(stage.script("arguments").text):
        if argument_pair(line) is None:
            quoted = json.dumps(show(line), ensure_ascii=False)
            why = f"missing key portion in {quoted}" if "=" in line else f"{quoted} is not a key=value pair"
            found.append(f"Skipping {quoted} in 'arguments' section: {why}")
    return found
