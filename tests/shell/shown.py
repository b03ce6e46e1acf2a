"""A script as one line of text, so that tests compare whole readings."""

from __future__ import annotations

from collections.abc import Iterable

from sealift.shell import values as v


def shown(script: v.Script) -> str:
    return " ".join(_line(line) for line in script.lines)


def _line(line: v.Line) -> str:
    said = " ".join(
        f"{operator} {_pipeline(pipeline)}".strip()
        for operator, pipeline in zip(line.operators, line.pipelines, strict=True)
    )
    return said + {"": "", "\n": ";", ";": ";", "&": " &;"}[line.terminator]


def _pipeline(pipeline: v.Pipeline) -> str:
    joint = " |& " if pipeline.with_stderr else " | "
    return ("! " if pipeline.negated else "") + joint.join(_command(one) for one in pipeline.commands)


def _command(command: v.Command) -> str:
    match command:
        case v.Simple():
            parts = [*map(_assignment, command.assignments), *map(_word, command.words), *_redirects(command)]
            return f"[{' '.join(parts)}]"
        case v.Group():
            said = f"(sub {shown(command.body)})" if command.subshell else f"{{{shown(command.body)}}}"
        case v.If():
            said = " ".join(f"({shown(test)} ? {shown(body)})" for test, body in command.branches)
            said = f"if{said}" + (f" else({shown(command.otherwise)})" if command.otherwise else "")
        case v.Loop():
            said = f"{command.word}({shown(command.condition)} ? {shown(command.body)})"
        case v.For():
            words = "" if command.words is None else f" in {' '.join(map(_word, command.words))}"
            said = f"{command.word}({command.name}{command.sums}{words} : {shown(command.body)})"
        case v.Case():
            branches = " ".join(f"{'|'.join(map(_word, one.patterns))})({shown(one.body)})" for one in command.branches)
            said = f"case({_word(command.subject)} {branches})"
        case v.Function():
            return f"{'function ' if command.keyword else ''}{command.name}(){_command(command.body)}"
        case v.Test():
            said = f"test({' '.join(_word(word) if word.parts else '.' for word in command.words)})"
        case v.Arithmetic():
            said = f"sum({command.text})"
    return " ".join([said, *_redirects(command)])


def _redirects(command: v.Simple | v.Group | v.If | v.Loop | v.For | v.Case | v.Test | v.Arithmetic) -> Iterable[str]:
    for one in command.redirects:
        document = one.document
        if document is None:
            yield f"{one.number}{one.operator}{_word(one.target)}"
        else:
            yield f"{one.operator}{document.delimiter}{'' if document.closed else '!'}:{_word(document.body)}"


def _assignment(one: v.Assignment) -> str:
    index = f"[{one.index}]" if one.index else ""
    value = f"({' '.join(map(_word, one.array))})" if one.array is not None else _word(one.value) if one.value else ""
    return f"{one.name}{index}{one.operator}{value}"


def _word(word: v.Word) -> str:
    return "".join(_part(part) for part in word.parts) or "''"


def _part(part: v.Part) -> str:
    match part:
        case v.Literal():
            return f"{part.quote}{part.text}{part.quote}" if part.quote != "\\" else f"\\{part.text}"
        case v.Parameter():
            argument = _word(part.argument) if part.argument is not None and part.argument.parts else ""
            return f"{part.quote}${{{part.name}{part.operator}{argument}}}{part.quote}"
        case v.Substitution():
            closing = "`" if part.opening == "`" else ")"
            return f"{part.quote}{part.opening}{shown(part.script)}{closing}{part.quote}"
        case v.Sum():
            return f"{part.quote}$(({part.text})){part.quote}"
