"""What a script would run: each command with the values that its words have there, as far as one can know.

Variables, loops over listed words, functions, `sh -c` and here-documents for a shell are followed. What only running
would tell (the output of a command, a variable of the base image) is `UNKNOWN` within a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from sealift.shell.parse import parse
from sealift.shell.values import (
    Assignment,
    Case,
    Command,
    Dialect,
    For,
    Function,
    Group,
    If,
    Literal,
    Loop,
    Parameter,
    Part,
    Pipeline,
    Script,
    Simple,
    Substitution,
    Test,
    Word,
)

UNKNOWN = "\ue000"
"""Stands in a text for what is not known: one character that no script holds."""

_MOST_RUNS = 4000
_MOST_TURNS = 60
_DEEPEST = 6
_SHELLS = frozenset(("sh", "bash", "dash", "/bin/sh", "/bin/bash", "/usr/bin/bash", "/bin/dash"))
_DECLARES = frozenset(("export", "declare", "typeset", "local", "readonly"))
_BLANKS = " \t\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One argument: its text, and the word that it comes from."""

    text: str
    word: Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One command as it would run. `start` and `end` are its place in the script, or that of the text it came from."""

    command: Simple
    fields: tuple[Field, ...]
    variables: dict[str, str]
    """The values at this place, by name."""
    start: int
    end: int
    pipe: int
    """Commands of one pipeline have the same number."""
    place: int
    pipe_length: int
    certain: bool
    """Does it run whenever the script comes by: behind no condition and no `||`?"""
    is_inner: bool
    """Is it text of another command (`sh -c '…'`), or in a function that is called elsewhere?"""
    depth: int
    """How many substitutions and functions it stands in."""
    operator: str
    """What stands before its pipeline in the list: `&&`, `||` or nothing."""

    @property
    def name(self) -> str:
        return self.fields[0].text if self.fields else ""

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(one.text for one in self.fields)


def follow(script: Script, *, dialect: Dialect = "posix", variables: dict[str, str] | None = None) -> tuple[Run, ...]:
    """The commands in the order in which they would run, each branch taken."""
    follower = _Follower(dialect)
    follower.script(script, _State(values=dict(variables or {})))
    return tuple(follower.runs)


@dataclass(slots=True)
class _State:
    values: dict[str, str]
    certain: bool = True
    inside: tuple[int, int] | None = None
    """The command whose text this is, where it is not the script's own."""
    shift: int | None = 0
    """Where the text begins in the script; None where it stands there in other characters."""
    depth: int = 0

    def branch(self, **changes: object) -> _State:
        return replace(self, values=dict(self.values), **changes)  # type: ignore[arg-type]


def _is_test(pipeline: Pipeline) -> bool:
    """`[ … ]`, `test …`, `[[ … ]]`: what comes behind it and `&&` runs under a condition. Other commands go well."""
    last = pipeline.commands[-1]
    if isinstance(last, Simple):
        return bool(last.words) and last.words[0].bare in ("[", "test")
    return isinstance(last, Test)


@dataclass(slots=True)
class _Follower:
    dialect: Dialect
    runs: list[Run] = field(default_factory=list)
    functions: dict[str, tuple[Function, int | None]] = field(default_factory=dict)
    """By name, with the shift of the text that it stands in."""
    pipes: int = 0
    operator: str = ""

    def script(self, script: Script, state: _State) -> None:
        for line in script.lines:
            certain, before = state.certain, None
            for operator, pipeline in zip(line.operators, line.pipelines, strict=True):
                self.operator = operator
                if operator == "&&" and before is not None and _is_test(before):
                    state.certain = False
                before = pipeline
                if operator == "||":
                    branch = state.branch(certain=False)
                    self.pipeline(pipeline, branch)
                    _join(state, (state.values, branch.values))
                else:
                    self.pipeline(pipeline, state)
            state.certain = certain

    def pipeline(self, pipeline: Pipeline, state: _State) -> None:
        self.pipes += 1
        number, length = self.pipes, len(pipeline.commands)
        for place, command in enumerate(pipeline.commands):
            # In a pipe every command runs in a shell of its own.
            own = state if length == 1 else state.branch()
            self.command(command, own, (number, place, length))

    def command(self, command: Command, state: _State, pipe: tuple[int, int, int]) -> None:
        if len(self.runs) > _MOST_RUNS:
            return
        for redirect in () if isinstance(command, Function) else command.redirects:
            self.substitutions(redirect.target.parts, state)
            if redirect.document is not None:
                self.substitutions(redirect.document.body.parts, state)
        match command:
            case Simple():
                self.simple(command, state, pipe)
            case Group(subshell=False):
                self.script(command.body, state)
            case Group():
                self.script(command.body, state.branch())
            case If():
                self.conditional(command, state)
            case Loop():
                self.script(command.condition, state)
                branch = state.branch(certain=False)
                self.script(command.body, branch)
                _join(state, (state.values, branch.values))
            case For():
                self.loop(command, state)
            case Case():
                self.substitutions(command.subject.parts, state)
                branches = [state.branch(certain=False) for _ in command.branches]
                for choice, one in zip(command.branches, branches, strict=True):
                    self.script(choice.body, one)
                _join(state, (state.values, *(one.values for one in branches)))
            case Function():
                self.functions[command.name] = (command, state.shift)
            case Test():
                for word in command.words:
                    self.substitutions(word.parts, state)

    def conditional(self, command: If, state: _State) -> None:
        ends: list[dict[str, str]] = []
        for condition, body in command.branches:
            self.script(condition, state)
            branch = state.branch(certain=False)
            self.script(body, branch)
            ends.append(branch.values)
        if command.otherwise is not None:
            branch = state.branch(certain=False)
            self.script(command.otherwise, branch)
            ends.append(branch.values)
        else:
            ends.append(state.values)
        _join(state, ends)

    def loop(self, command: For, state: _State) -> None:
        fields = [one for word in command.words or () for one in self.fields(word, state)]
        for word in command.words or ():
            self.substitutions(word.parts, state)
        turns = [one.text for one in fields]
        if not turns or len(turns) > _MOST_TURNS:
            turns = [UNKNOWN]
        for turn in turns:
            branch = state.branch()
            branch.values[command.name] = turn
            self.script(command.body, branch)
            state.values = branch.values

    def simple(self, command: Simple, state: _State, pipe: tuple[int, int, int]) -> None:
        for word in (*(one.value for one in command.assignments if one.value is not None), *command.words):
            self.substitutions(word.parts, state)
        fields = tuple(one for word in command.words for one in self.fields(word, state))
        values = {one.name: self.assigned(one, state) for one in command.assignments}
        if state.shift is not None:
            start, end = state.shift + command.start, state.shift + command.end
        else:
            start, end = state.inside or (command.start, command.end)
        self.runs.append(
            Run(
                command=command,
                fields=fields,
                variables={**state.values, **values},
                start=start,
                end=end,
                pipe=pipe[0],
                place=pipe[1],
                pipe_length=pipe[2],
                certain=state.certain,
                is_inner=state.inside is not None,
                depth=state.depth,
                operator=self.operator,
            )
        )
        if not fields:
            state.values.update(values)
            return
        self.builtin(fields, command, state)
        function = self.functions.get(fields[0].text)
        if function is not None and state.depth < _DEEPEST:
            self.call(function, fields[1:], state, pipe)
        self.inner_script(fields, command, (start, end), state)

    def builtin(self, fields: Sequence[Field], command: Simple, state: _State) -> None:
        """What changes the variables."""
        name, arguments = fields[0].text, fields[1:]
        if name in _DECLARES:
            for one in arguments:
                key, equals, value = one.text.partition("=")
                if equals and key.isidentifier():
                    state.values[key] = value
            for assignment in command.assignments:
                if assignment.array is not None:
                    state.values[assignment.name] = self.assigned(assignment, state)
        elif name in ("unset", "read", "mapfile", "readarray"):
            for one in arguments:
                state.values[one.text] = "" if name == "unset" else UNKNOWN
        elif name == "set" and arguments and arguments[0].text == "--":
            _set_positional(state.values, [one.text for one in arguments[1:]])

    def call(
        self,
        found: tuple[Function, int | None],
        arguments: Sequence[Field],
        state: _State,
        pipe: tuple[int, int, int],
    ) -> None:
        function, shift = found
        inner = state.branch(depth=state.depth + 1, shift=shift)
        _set_positional(inner.values, [one.text for one in arguments])
        before = len(self.runs)
        self.command(function.body, inner, pipe)
        for row in range(before, len(self.runs)):
            self.runs[row] = replace(self.runs[row], is_inner=True)
        kept = {name: value for name, value in state.values.items() if name[:1].isdigit() or name in ("@", "*", "#")}
        state.values = {name: value for name, value in inner.values.items() if not name[:1].isdigit()}
        state.values = {name: value for name, value in state.values.items() if name not in ("@", "*", "#")} | kept

    def inner_script(self, fields: Sequence[Field], command: Simple, place: tuple[int, int], state: _State) -> None:
        """`sh -c TEXT`, `su USER -c TEXT`, `eval TEXT`, `sh <<EOF`."""
        fields = list(fields)
        while fields and fields[0].text in ("sudo", "exec", "command", "-E", "-H", "env"):
            fields = fields[1:]
        texts = [one.text for one in fields]
        if not texts or state.depth >= _DEEPEST:
            return
        said, words = "", list[Word]()
        if texts[0] in _SHELLS or (texts[0] in ("su", "runuser") and "-c" in texts):
            row = next((row for row, text in enumerate(texts) if text[:1] == "-" and text.endswith("c")), None)
            if row is not None and row + 1 < len(texts):
                said, words = texts[row + 1], [fields[row + 1].word]
            elif len([text for text in texts[1:] if text[:1] != "-"]) == 0:
                words = [one.document.body for one in command.redirects if one.document is not None]
                said = "".join(self.text(word.parts, state) for word in words)
        elif texts[0] == "eval":
            said, words = " ".join(texts[1:]), [one.word for one in fields[1:]]
        if not said.strip() or UNKNOWN in said.split("\n")[0].split(" ")[0]:
            return
        reading = parse(said, dialect="bash" if "bash" in texts[0] else self.dialect)
        begin = _begin_of(words[0]) if len(words) == 1 else None
        shift = state.shift + begin if state.shift is not None and begin is not None else None
        inner = state.branch(depth=state.depth + 1, inside=place, shift=shift)
        self.script(reading.script, inner)

    def substitutions(self, parts: Iterable[Part], state: _State) -> None:
        """Commands within words run too."""
        for part in parts:
            if isinstance(part, Substitution) and state.depth < _DEEPEST:
                kept = self.operator
                self.script(part.script, state.branch(depth=state.depth + 1))
                self.operator = kept
            elif isinstance(part, Parameter) and part.argument is not None:
                self.substitutions(part.argument.parts, state)

    def assigned(self, assignment: Assignment, state: _State) -> str:
        if assignment.array is not None:
            value = " ".join(one.text for word in assignment.array for one in self.fields(word, state))
        else:
            value = self.text(assignment.value.parts, state) if assignment.value is not None else ""
        if assignment.index:
            return UNKNOWN
        if assignment.operator == "+=":
            joint = " " if assignment.array is not None else ""
            return state.values.get(assignment.name, "") + joint + value
        return value

    def fields(self, word: Word, state: _State) -> list[Field]:
        """The arguments that a word gives: unquoted values are split at blanks."""
        texts = [""]
        begun = False
        for part in word.parts:
            said = self.part(part, state)
            if isinstance(part, Literal) or (part.quote and not _is_list(part)):
                texts[-1] += said
                begun = True
                continue
            pieces = said.split()
            if not pieces:
                continue
            if said[0] in _BLANKS and begun:
                texts.append("")
            texts[-1] += pieces[0]
            texts += pieces[1:]
            begun = True
            if said[-1] in _BLANKS:
                texts.append("")
                begun = False
        if not begun:
            texts.pop()
        return [Field(text=text, word=word) for text in texts]

    def text(self, parts: Iterable[Part], state: _State) -> str:
        return "".join(self.part(part, state) for part in parts)

    def part(self, part: Part, state: _State) -> str:
        match part:
            case Literal():
                return part.text
            case Parameter():
                return self.parameter(part, state)
        return UNKNOWN

    def parameter(self, part: Parameter, state: _State) -> str:
        name = part.name.partition("[")[0]
        value = state.values.get(name)
        operator = part.operator
        if part.name != name and part.name not in (f"{name}[@]", f"{name}[*]"):
            return UNKNOWN
        if operator in (":-", "-", ":=", "=") and part.argument is not None:
            if value is None or (value == "" and operator[0] == ":"):
                value = self.text(part.argument.parts, state)
                if operator[-1] == "=":
                    state.values[name] = value
            return value
        if operator in (":+", "+") and part.argument is not None:
            return self.text(part.argument.parts, state) if value and UNKNOWN not in value else UNKNOWN
        if operator in ("", ":?", "?"):
            return UNKNOWN if value is None else value
        return UNKNOWN


def _is_list(part: Part) -> bool:
    """`"$@"` and `"${name[@]}"` are many arguments, in quotes or not."""
    return isinstance(part, Parameter) and (part.name == "@" or part.name.endswith("[@]"))


def _join(state: _State, ends: Iterable[dict[str, str]]) -> None:
    """After a condition: what is the same whichever way was taken."""
    ends = list(ends)
    names = {name for end in ends for name in end}
    joined = {}
    for name in names:
        values = {end.get(name, UNKNOWN) for end in ends}
        joined[name] = values.pop() if len(values) == 1 else UNKNOWN
    state.values = joined


def _set_positional(values: dict[str, str], arguments: Sequence[str]) -> None:
    for name in [name for name in values if name[:1].isdigit()]:
        del values[name]
    values.update({str(number): text for number, text in enumerate(arguments, 1)})
    values["@"] = values["*"] = " ".join(arguments)
    values["#"] = str(len(arguments))


def _begin_of(word: Word) -> int | None:
    """Where the text of a word begins, if all of it stands there character by character."""
    one = word.parts[0] if len(word.parts) == 1 else None
    if not isinstance(one, Literal):
        return None
    around = one.end - one.start - len(one.text)  # two single quotes belong to their literal
    return one.start + around // 2 if around in (0, 2) else None
