r"""The part of the shell's language that only sets variables, understood without a shell, or refused.

Most images' environment scripts, Apptainer's and ours among them, are nothing but this; so most runs start no shell
at all, `--env-file` executes nothing, and images without a shell still get their variables. What is understood means
here what it means to dash and to bash (POSIX.1-2017, XCU chapter 2); at everything else `NotPlain` is raised, and
nothing was executed by then, because nothing here can be.

    list       and-or { (";" | newline) and-or }
    and-or     command { ("&&" | "||") command }
    command    NAME=word …  |  export NAME[=word] …  |  unset NAME …  |  : …  |  true
             | . /file  |  [ test ]  |  test …  |  ! command
             | if list then list { elif list then list } [else list] fi     (and loops in branches that are not taken)
    word       bare, 'single', "double", \escaped; $NAME ${NAME} ${NAME:-word} ${NAME-word} ${NAME:+word} ${NAME+word}
    test       -n word  -z word  word  word = word  word != word  -d -e -f -r -x word  -v NAME
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from sealift.errors import Span, UsageError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PARAMETER = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(:?[-+])?")
# Reading one of these asks the shell, and setting one changes it, unless the image itself has set it before.
_SHELLS_OWN = frozenset(
    """
    BASH BASHOPTS BASHPID BASH_ENV BASH_VERSION COLUMNS DIRSTACK ENV EPOCHREALTIME EPOCHSECONDS EUID FUNCNAME GROUPS
    HISTFILE HOSTNAME HOSTTYPE IFS LINENO LINES MACHTYPE OLDPWD OPTARG OPTERR OPTIND OSTYPE POSIXLY_CORRECT PPID PS2
    PS4 RANDOM SECONDS SHELLOPTS SHLVL SRANDOM UID _
    """.split()  # noqa: SIM905 -- a list of this length is read better so
)
_LOOPS = ("for", "while", "until")
_RESERVED = frozenset(("then", "elif", "else", "fi", "do", "done", "in", "{", "}", "case", "esac", "function"))
_SPLITS = re.compile(r"[\s*?\[\]]")

Part = tuple[str, str, bool, "tuple[Part, ...]"]
"""Operator (empty for text), text or name, whether it stands in quotes, the word behind the operator."""
Word = tuple[Part, ...]


class NotPlain(Exception):  # noqa: N818 -- an answer: this takes a shell
    """`position` is where in the text the first thing stands that takes a shell."""

    def __init__(self, position: int) -> None:
        super().__init__(f"at character {position}")
        self.position = position


class Variables:
    """What the scripts see and set: `values` holds all variables, `exported` the names of those handed on."""

    def __init__(self, exported: Mapping[str, str]) -> None:
        self.values = dict(exported)
        self.exported = set(exported)

    def environment(self) -> dict[str, str]:
        return {name: value for name, value in self.values.items() if name in self.exported}


def run_plain(text: str, variables: Variables, *, files: bool = True) -> None:
    """Carry a script out on `variables`; NotPlain where it takes a shell, with the statements before carried out.

    Without `files`, whoever runs this does not see the script's files: a look at one takes a shell.
    """
    _Script(text, variables, files=files).run()


def read_env_file(text: str, env: Mapping[str, str], *, name: str) -> dict[str, str]:
    """The variables of an `--env-file`, exported or not; references are to earlier lines and to `env`."""
    variables = Variables(env)
    try:
        run_plain(text, variables)
    except NotPlain as refused:
        before = text[: refused.position]
        line = before.count("\n") + 1
        raise UsageError(
            "only assignments can stand here",
            where=Span(
                file=name,
                line=line,
                column=len(before) - (before.rfind("\n") + 1) + 1,
                length=1,
                text=(text.splitlines() or [""])[line - 1],
            ),
            hints=('NAME="a value"',),
        ) from refused
    return {name: value for name, value in variables.values.items() if env.get(name) != value}


class _Script:
    def __init__(self, text: str, variables: Variables, *, files: bool) -> None:
        self._text = text
        self._files = files
        self._at = 0
        self._variables = variables

    def run(self) -> None:
        self._list(frozenset(), wet=True)
        if self._at < len(self._text):
            raise NotPlain(self._at)

    # Parsing and carrying out go together; `wet=False` only reads, for the branches that are not taken.

    def _list(self, until: frozenset[str], *, wet: bool) -> bool:
        result = True
        while True:
            self._blank(newlines=True)
            if self._at >= len(self._text) or self._peek() in until:
                return result
            result = self._and_or(wet=wet)
            self._blank()
            if self._text.startswith(";", self._at) and not self._text.startswith(";;", self._at):
                self._at += 1
            elif self._at < len(self._text) and self._text[self._at] != "\n":
                raise NotPlain(self._at)

    def _and_or(self, *, wet: bool) -> bool:
        result = self._command(wet=wet)
        while True:
            self._blank()
            operator = self._text[self._at : self._at + 2]
            if operator not in ("&&", "||"):
                return result
            self._at += 2
            self._blank(newlines=True)
            goes_on = result is (operator == "&&")
            after = self._command(wet=wet and goes_on)
            result = after if goes_on else result

    def _command(self, *, wet: bool) -> bool:
        start = self._at
        first = self._peek()
        if first == "!":
            self._take("!")
            return not self._command(wet=wet)
        if first == "if":
            return self._if(wet=wet)
        if first in _LOOPS and not wet:
            return self._loop(first)
        if first in _RESERVED or first in _LOOPS:
            raise NotPlain(start)
        words: list[Word] = []
        while True:
            self._blank()
            if self._at >= len(self._text) or self._text[self._at] in ";\n&|":
                break
            words.append(self._word())
        if not words:
            raise NotPlain(start)
        return self._carry_out(words, start) if wet else True

    def _if(self, *, wet: bool) -> bool:
        self._take("if")
        result, done = True, False
        while True:
            holds = self._list(frozenset(("then",)), wet=wet and not done)
            self._take("then")
            takes = wet and not done and holds
            after = self._list(frozenset(("elif", "else", "fi")), wet=takes)
            result, done = (after, True) if takes else (result, done)
            if self._peek() == "elif":
                self._take("elif")
                continue
            break
        if self._peek() == "else":
            self._take("else")
            after = self._list(frozenset(("fi",)), wet=wet and not done)
            result = result if done else after
        self._take("fi")
        return result

    def _loop(self, kind: str) -> bool:
        """A loop in a branch that is not taken."""
        self._take(kind)
        if kind == "for":
            self._blank()
            while self._at < len(self._text) and self._text[self._at] not in ";\n":
                self._word()
                self._blank()
            self._at += self._text.startswith(";", self._at)
            self._blank(newlines=True)
        else:
            self._list(frozenset(("do",)), wet=False)
        self._take("do")
        self._list(frozenset(("done",)), wet=False)
        self._take("done")
        return True

    def _peek(self) -> str:
        """The bare word that stands here; empty where it is none."""
        match = re.compile(r"[a-z!{}]+(?=[\s;]|$)").match(self._text, self._at)
        return match[0] if match else ""

    def _take(self, word: str) -> None:
        if self._peek() != word:
            raise NotPlain(self._at)
        self._at += len(word)

    def _blank(self, *, newlines: bool = False) -> None:
        text = self._text
        while self._at < len(text):
            if text[self._at] in (" \t\n" if newlines else " \t"):
                self._at += 1
            elif text.startswith("\\\n", self._at):
                self._at += 2
            elif text[self._at] == "#" and (self._at == 0 or text[self._at - 1] in " \t\n;"):
                end = text.find("\n", self._at)
                self._at = len(text) if end < 0 else end
            else:
                return

    def _word(self) -> Word:
        parts: list[Part] = []
        text = self._text
        while self._at < len(text) and text[self._at] not in " \t\n;&|":
            char = text[self._at]
            if char == "'":
                end = text.find("'", self._at + 1)
                if end < 0:
                    raise NotPlain(self._at)
                parts.append(("", text[self._at + 1 : end], True, ()))
                self._at = end + 1
            elif char == '"':
                self._at += 1
                parts.append(("", "", True, ()))
                parts += self._pieces('"', quoted=True)
                self._at += 1
            elif char == "\\":
                if text.startswith("\\\n", self._at) or self._at + 1 >= len(text):
                    raise NotPlain(self._at)
                parts.append(("", text[self._at + 1], True, ()))
                self._at += 2
            elif char == "$":
                parts.append(self._parameter(quoted=False))
            elif char in "`<>(){}~*?[]" and not (char in "[]" and self._alone(char)):
                raise NotPlain(self._at)
            else:
                parts.append(("", char, False, ()))
                self._at += 1
        return tuple(parts)

    def _alone(self, char: str) -> bool:
        """Whether a bracket is a word of its own, as in `[ -n x ]`."""
        around = self._text[self._at - 1 : self._at] + self._text[self._at + 1 : self._at + 2]
        return all(each in " \t\n;" for each in around) and self._text[self._at] == char

    def _pieces(self, end: str, *, quoted: bool) -> list[Part]:
        """Text up to `end`, which stays, as in double quotes."""
        parts: list[Part] = []
        text = self._text
        while True:
            if self._at >= len(text):
                raise NotPlain(len(text))
            char = text[self._at]
            if char == end:
                return parts
            if char == "\\" and text[self._at + 1 : self._at + 2] in ('"', "\\", "$", "`", "\n"):
                parts.append(("", text[self._at + 1].replace("\n", ""), True, ()))
                self._at += 2
            elif char == "$":
                parts.append(self._parameter(quoted=quoted))
            elif char == "`" or (end == "}" and char in "'{"):
                raise NotPlain(self._at)
            elif end == "}" and char == '"':
                # Quotes within ${…} within quotes: they close and open, and what they hold is text all the same.
                self._at += 1
                parts += self._pieces('"', quoted=True)
                self._at += 1
            else:
                parts.append(("", char, True, ()))
                self._at += 1

    def _parameter(self, *, quoted: bool) -> Part:
        start = self._at
        braced = self._text.startswith("${", start)
        match = (_PARAMETER if braced else _NAME).match(self._text, start + 1 + braced)
        if match is None:
            behind = self._text[start + 1 : start + 2]
            if behind and behind in "@*#?0123456789":
                self._at += 2
                return ("special", behind, quoted, ())
            # Outside of quotes, $"…" is bash's translated text.
            if behind not in ("", " ", "\n") and not (quoted and behind == '"'):
                raise NotPlain(start)
            self._at += 1
            return ("", "$", True, ())
        self._at = match.end()
        if not braced:
            return ("$", match[0], quoted, ())
        name, operator = match[1], match[2] or "$"
        default = tuple(self._pieces("}", quoted=quoted)) if operator != "$" else ()
        if default and not quoted and re.search(r"[\\~\"]", self._text[start : self._at]):
            raise NotPlain(start)  # outside of quotes these mean something else than within
        if not self._text.startswith("}", self._at):
            raise NotPlain(start)
        self._at += 1
        return (operator, name, quoted, default)

    def _expand(self, word: Word, start: int, *, assigned: bool = False, empty: bool = False) -> str:
        """The text of a word; NotPlain where it would become several, or with `empty` unset, none."""
        found: list[str] = []
        for operator, text, quoted, default in word:
            if not operator:
                found.append(text)
                continue
            value = self._variables.values.get(text)
            if value is None and text in _SHELLS_OWN:
                raise NotPlain(start)
            absent = value is None or (operator.startswith(":") and not value)
            if operator == "special":
                raise NotPlain(start)
            if operator in ("-", ":-"):
                value = self._expand(default, start) if absent else value
            elif operator in ("+", ":+"):
                value = "" if absent else self._expand(default, start)
            if not quoted and not assigned and (_SPLITS.search(value or "") or not (value or empty)):
                raise NotPlain(start)  # field splitting and globbing
            found.append(value or "")
        return "".join(found)

    def _assignments(self, words: list[Word]) -> list[tuple[str, Word]]:
        """NAME and value of each word; empty where one of them is no assignment."""
        found = []
        for word in words:
            text = _literal(word, beginning=True)
            match = re.match(r"([A-Za-z_][A-Za-z0-9_]*)=", text)
            if match is None:
                return []
            found.append((match[1], _after(word, match.end())))
        return found

    def _carry_out(self, words: list[Word], start: int) -> bool:
        if assignments := self._assignments(words):
            for name, word in assignments:
                self._set(name, self._expand(word, start, assigned=True), start)
            return True
        name = _literal(words[0])
        command = _COMMANDS.get(name)
        if command is None:
            raise NotPlain(start)
        return command(self, words[1:], start)

    def _set(self, name: str, value: str, start: int) -> None:
        if name in _SHELLS_OWN and name not in self._variables.exported:
            raise NotPlain(start)
        self._variables.values[name] = value

    def _export(self, words: list[Word], start: int) -> bool:
        if not words:
            raise NotPlain(start)
        # All words are expanded before the first is carried out: they do not see each other's values.
        wanted: list[tuple[str, str | None]] = []
        for word in words:
            if assignment := self._assignments([word]):
                ((name, value),) = assignment
                # dash splits the value of an `export` into fields, bash does not: unquoted, it must not matter.
                wanted.append((name, self._expand(value, start, empty=True)))
            else:
                wanted.append((self._name(word, start), None))
        for name, text in wanted:
            if text is not None:
                self._set(name, text, start)
            self._variables.exported.add(name)
        return True

    def _unset(self, words: list[Word], start: int) -> bool:
        for word in words:
            name = self._name(word, start)
            if name in _SHELLS_OWN:
                raise NotPlain(start)
            self._variables.values.pop(name, None)
            self._variables.exported.discard(name)
        return True

    def _nothing(self, words: list[Word], start: int) -> bool:
        for word in words:
            self._expand(word, start)
        return True

    def _source(self, words: list[Word], start: int) -> bool:
        if len(words) != 1 or not self._files:
            raise NotPlain(start)
        path = self._expand(words[0], start)
        if not path.startswith("/"):
            raise NotPlain(start)  # looked for in PATH
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                text = file.read()
        except OSError as error:
            raise NotPlain(start) from error
        try:
            run_plain(text, self._variables)
        except (NotPlain, RecursionError) as refused:
            raise NotPlain(start) from refused
        return True

    def _test(self, words: list[Word], start: int) -> bool:
        if words and _literal(words[0]) == "!":
            return not self._test(words[1:], start)
        if len(words) == 1:
            return bool(self._expand(words[0], start))
        if len(words) == 2:
            operator, subject = _literal(words[0]), self._expand(words[1], start)
            check = _TESTS.get(operator)
            if check is not None and (self._files or operator in _ABOUT_TEXT):
                return check(subject)
            if operator == "-v" and _NAME.fullmatch(subject) and subject not in _SHELLS_OWN:
                return subject in self._variables.values
        if len(words) == 3 and (operator := _literal(words[1])) in ("=", "!="):
            return (self._expand(words[0], start) == self._expand(words[2], start)) is (operator == "=")
        raise NotPlain(start)

    def _bracket(self, words: list[Word], start: int) -> bool:
        if not words or _literal(words[-1]) != "]":
            raise NotPlain(start)
        return self._test(words[:-1], start)

    def _name(self, word: Word, start: int) -> str:
        name = _literal(word)
        if not _NAME.fullmatch(name):
            raise NotPlain(start)
        return name


def _literal(word: Word, *, beginning: bool = False) -> str:
    """The unquoted text of a word; with `beginning`, up to where something else begins. Else empty."""
    found: list[str] = []
    for operator, text, quoted, _ in word:
        if operator or quoted:
            return "".join(found) if beginning else ""
        found.append(text)
    return "".join(found)


def _after(word: Word, length: int) -> Word:
    """The word without its first `length` characters; bare text stands in it character by character."""
    return word[length:]


_ABOUT_TEXT = ("-n", "-z")
_TESTS: Mapping[str, Callable[[str], bool]] = {
    "-n": bool,
    "-z": lambda text: not text,
    "-d": os.path.isdir,
    "-e": os.path.exists,
    "-f": os.path.isfile,
    "-r": lambda path: os.access(path, os.R_OK),
    "-x": lambda path: os.access(path, os.X_OK),
}
_COMMANDS: Mapping[str, Callable[[_Script, list[Word], int], bool]] = {
    "export": _Script._export,  # noqa: SLF001 -- its own
    "unset": _Script._unset,  # noqa: SLF001
    ":": _Script._nothing,  # noqa: SLF001
    "true": _Script._nothing,  # noqa: SLF001
    ".": _Script._source,  # noqa: SLF001
    "test": _Script._test,  # noqa: SLF001
    "[": _Script._bracket,  # noqa: SLF001
}
