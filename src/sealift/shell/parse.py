"""Text to script: the grammar of the shell, as dash (`posix`) or bash reads it.

`parse` never raises and loses nothing: what no shell would take is a fault, and is kept among the pieces.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from sealift.shell.cursor import Cursor, Wrong
from sealift.shell.values import (
    Arithmetic,
    Assignment,
    Branch,
    Case,
    Command,
    Dialect,
    Fault,
    For,
    Function,
    Group,
    HereDocument,
    If,
    Line,
    Loop,
    Piece,
    Pipeline,
    Reading,
    Redirect,
    Script,
    Simple,
    Test,
    Word,
)
from sealift.shell.words import find_document, read_word, sum_end

_CLOSING = frozenset(("then", "elif", "else", "fi", "do", "done", "esac", "}"))
_CASE_ENDS = (";;&", ";;", ";&")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\[[^\]\n]*\])?(\+?=)")
_REDIRECT = re.compile(r"([0-9]+|\{[A-Za-z_][A-Za-z0-9_]*\})?(<<<|<<-|<<|<&|<>|<|>>|>&|>\||>|&>>|&>)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_DECLARES = frozenset(("declare", "typeset", "local", "export", "readonly"))


def parse(text: str, *, dialect: Dialect = "bash") -> Reading:
    """Read a script; its lines end in newlines alone."""
    reader = _Reader(Cursor(text, bash=dialect == "bash"))
    lines: list[Line] = []
    cursor = reader.cursor
    while cursor.at < cursor.stop:
        try:
            reader.script((), lines)
        except Wrong as wrong:
            cursor.faults.append(wrong.fault)
            _pass_line(cursor)
    return Reading(
        script=Script(lines=tuple(lines), start=0, end=len(text)),
        pieces=tuple(cursor.pieces),
        faults=tuple(cursor.faults),
    )


def _pass_line(cursor: Cursor) -> None:
    """Leave the line in which something was wrong, and go on as if the script began behind it."""
    start = cursor.pieces[-1].end if cursor.pieces else 0
    cursor.stop, cursor.depth, cursor.in_word = len(cursor.text), 0, 0
    newline = cursor.text.find("\n", max(start, min(cursor.at, cursor.stop)))
    end = newline + 1 if newline >= 0 else cursor.stop
    if end > start:
        cursor.pieces.append(Piece(kind="unread", start=start, end=end))
    cursor.at = end


class _Reader:
    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor

    def script(self, enders: Collection[str], lines: list[Line] | None = None) -> Script:
        """Commands up to one of `enders`, which is left, or to the end."""
        cursor = self.cursor
        cursor.enter()
        lines = [] if lines is None else lines
        start = cursor.at
        while True:
            cursor.skip_lines()
            if cursor.at >= cursor.stop or self.at_ender(enders):
                break
            lines.append(self.line())
        cursor.depth -= 1
        return Script(lines=tuple(lines), start=start, end=cursor.at)

    def at_ender(self, enders: Collection[str]) -> bool:
        """Does one of `enders` stand here? Wrong where another word stands that only ends things."""
        cursor = self.cursor
        found = ")" if cursor.peek() == ")" else next((end for end in _CASE_ENDS if cursor.peek(len(end)) == end), "")
        if not found:
            bare = cursor.bare()
            found = bare if bare in _CLOSING else ""
        if found and found not in enders:
            raise cursor.unexpected()
        return bool(found)

    def substituted(self) -> Script:
        """The commands of a substitution. Where it stands in backquotes, no `)` ends it."""
        return self.script((")",))

    def line(self) -> Line:
        cursor = self.cursor
        start = cursor.at
        pipelines, operators = [self.pipeline()], [""]
        while cursor.peek(2) in ("&&", "||"):
            operators.append(cursor.peek(2))
            cursor.take("operator", cursor.at + 2)
            cursor.skip_lines()
            pipelines.append(self.pipeline())
        terminator = ""
        if cursor.peek() == "\n":
            terminator = "\n"
        elif cursor.peek() in (";", "&") and not any(cursor.peek(len(end)) == end for end in _CASE_ENDS):
            terminator = cursor.peek()
            cursor.take("operator", cursor.at + 1)
        elif cursor.at < cursor.stop and cursor.peek() not in (")", ";") and not self.behind_compound(pipelines):
            raise cursor.unexpected()
        return Line(
            pipelines=tuple(pipelines),
            operators=tuple(operators),
            terminator=terminator,
            start=start,
            end=pipelines[-1].end,
        )

    def behind_compound(self, pipelines: list[Pipeline]) -> bool:
        """May a reserved word follow without a separator?"""
        last = pipelines[-1].commands[-1]
        return not isinstance(last, Simple) and self.cursor.bare() in _CLOSING

    def pipeline(self) -> Pipeline:
        cursor = self.cursor
        start, negated, with_stderr = cursor.at, False, False
        while cursor.bare() == "!":
            negated = not negated
            cursor.take("word", cursor.at + 1)
            cursor.skip_blanks()
        timed = cursor.bash and cursor.bare() == "time"
        if timed:
            cursor.take("word", cursor.at + 4)
            cursor.skip_blanks()
            if cursor.bare() == "-p":
                cursor.take("word", cursor.at + 2)
                cursor.skip_blanks()
        if (negated or timed) and cursor.bash and (cursor.at >= cursor.stop or cursor.peek() in "\n;"):
            nothing = Simple(assignments=(), words=(), redirects=(), start=cursor.at, end=cursor.at)
            return Pipeline(commands=(nothing,), negated=negated, start=start, end=cursor.at)
        commands = [self.command()]
        while cursor.peek() == "|" and cursor.peek(2) != "||":
            both = cursor.bash and cursor.peek(2) == "|&"
            with_stderr |= both
            cursor.take("operator", cursor.at + (2 if both else 1))
            cursor.skip_lines()
            commands.append(self.command())
        return Pipeline(
            commands=tuple(commands), negated=negated, with_stderr=with_stderr, start=start, end=commands[-1].end
        )

    def command(self) -> Command:
        """One command; the cursor is left behind the blanks that follow it."""
        cursor = self.cursor
        start = cursor.at
        if cursor.at >= cursor.stop:
            raise cursor.unexpected()
        if cursor.peek() == "(":
            return self.parenthesis(start)
        bare = cursor.bare()
        if bare in _CLOSING or (bare == "]]" and cursor.bash):
            raise cursor.unexpected()
        match bare:
            case "{":
                cursor.take("word", start + 1)
                body = self.block("{", start, "}")
                return Group(body=body, subshell=False, redirects=self.redirects(), start=start, end=self.end())
            case "if":
                return self.conditional(start)
            case "while" | "until":
                cursor.take("word", start + 5)
                condition = self.block(bare, start, "do")
                body = self.block(bare, start, "done")
                return Loop(
                    word=bare,
                    condition=condition,
                    body=body,
                    redirects=self.redirects(),
                    start=start,
                    end=self.end(),
                )
            case "for":
                return self.loop(start, bare)
            case "select" if cursor.bash:
                return self.loop(start, bare)
            case "case":
                return self.choice(start)
            case "function" if cursor.bash:
                return self.keyword_function(start)
            case "coproc" if cursor.bash:
                cursor.take("word", start + 6)
                cursor.skip_blanks()
                return self.command()
            case "[[" if cursor.bash:
                return self.test(start)
        return self.simple(start)

    def end(self) -> int:
        """Where the last word or operator ended: the blanks behind it belong to nobody."""
        pieces = self.cursor.pieces
        if self.cursor.in_word or not pieces:
            return self.cursor.at
        last = next((piece for piece in reversed(pieces) if piece.kind in ("word", "operator")), pieces[-1])
        return last.end

    def block(self, word: str, start: int, *closing: str) -> Script:
        """Commands up to a reserved word, which is passed. There must be some."""
        cursor = self.cursor
        body = self.script(closing)
        if cursor.at >= cursor.stop:
            raise cursor.wrong(f"`{word}` is not closed by `{closing[-1]}`", start, start + len(word))
        if not body.lines:
            raise cursor.unexpected()
        cursor.take("word", cursor.at + len(cursor.bare() or ")"))
        return body

    def parenthesis(self, start: int) -> Command:
        cursor = self.cursor
        if cursor.bash and cursor.peek(2) == "((":
            end = sum_end(cursor.text, start + 2, cursor.stop, quotes=True)
            if end is not None:
                text = cursor.text[start + 2 : end - 2]
                cursor.take("operator", end)
                return Arithmetic(text=text, redirects=self.redirects(), start=start, end=self.end())
        cursor.take("operator", start + 1)
        body = self.script((")",))
        if cursor.at >= cursor.stop:
            raise cursor.wrong("`(` is not closed by `)`", start, start + 1)
        if not body.lines:
            raise cursor.unexpected()
        cursor.take("operator", cursor.at + 1)
        return Group(body=body, subshell=True, redirects=self.redirects(), start=start, end=self.end())

    def conditional(self, start: int) -> If:
        cursor = self.cursor
        cursor.take("word", start + 2)
        branches: list[tuple[Script, Script]] = []
        otherwise: Script | None = None
        while True:
            condition = self.block("if", start, "then")
            body = self.script(("elif", "else", "fi"))
            word = cursor.bare()
            if cursor.at >= cursor.stop:
                raise cursor.wrong("`if` is not closed by `fi`", start, start + 2)
            if not body.lines:
                raise cursor.unexpected()
            branches.append((condition, body))
            cursor.take("word", cursor.at + len(word))
            if word == "else":
                otherwise = self.block("if", start, "fi")
            if word != "elif":
                break
        return If(
            branches=tuple(branches), otherwise=otherwise, redirects=self.redirects(), start=start, end=self.end()
        )

    def loop(self, start: int, word: str) -> For:
        cursor = self.cursor
        cursor.take("word", start + len(word))
        cursor.skip_blanks()
        words: tuple[Word, ...] | None = None
        name = sums = ""
        if cursor.bash and cursor.peek(2) == "((":
            here = cursor.at
            end = sum_end(cursor.text, here + 2, cursor.stop, quotes=True)
            if end is None:
                raise cursor.wrong("`((` is not closed by `))`", here, here + 2)
            sums = cursor.text[here + 2 : end - 2]
            cursor.take("operator", end)
            cursor.skip_blanks()
        else:
            name = cursor.bare()
            if not name:
                raise cursor.unexpected()
            if not (cursor.bash or _NAME.match(name)):
                raise cursor.wrong(f"`{name}` is no name of a variable", cursor.at, cursor.at + len(name))
            cursor.take("word", cursor.at + len(name))
            cursor.skip_lines()
            if cursor.bare() == "in":
                cursor.take("word", cursor.at + 2)
                words = self.words()
                if cursor.peek() not in (";", "\n"):
                    raise cursor.unexpected()
        if cursor.peek() == ";":
            cursor.take("operator", cursor.at + 1)
        cursor.skip_lines()
        opening = cursor.bare()
        if opening != "do" and not (cursor.bash and opening == "{"):
            raise cursor.unexpected()
        cursor.take("word", cursor.at + len(opening))
        body = self.block(word, start, "done" if opening == "do" else "}")
        return For(
            name=name,
            words=words,
            body=body,
            sums=sums,
            word=word,
            redirects=self.redirects(),
            start=start,
            end=self.end(),
        )

    def words(self) -> tuple[Word, ...]:
        """Words up to the end of the command."""
        cursor, found = self.cursor, list[Word]()
        while True:
            cursor.skip_blanks()
            if cursor.at >= cursor.stop or (cursor.peek() in "\n;&|<>()" and not self.at_process()):
                return tuple(found)
            found.append(self.word())

    def word(self, *, parentheses: bool = False) -> Word:
        """A word that must be there."""
        cursor = self.cursor
        word = read_word(cursor, self.substituted, parentheses=parentheses)
        if word.end == word.start:
            raise cursor.unexpected()
        return word

    def at_process(self) -> bool:
        return self.cursor.bash and self.cursor.peek(2) in ("<(", ">(")

    def choice(self, start: int) -> Case:
        cursor = self.cursor
        cursor.take("word", start + 4)
        cursor.skip_blanks()
        subject = self.word()
        cursor.skip_lines()
        if cursor.bare() != "in":
            raise cursor.unexpected()
        cursor.take("word", cursor.at + 2)
        branches: list[Branch] = []
        while True:
            cursor.skip_lines()
            if cursor.at >= cursor.stop:
                raise cursor.wrong("`case` is not closed by `esac`", start, start + 4)
            if cursor.bare() == "esac":
                break
            branches.append(self.branch())
            end = next((end for end in _CASE_ENDS if cursor.peek(len(end)) == end), "")
            if end != ";;" and not cursor.bash and end:
                raise cursor.wrong(f"unexpected `{end}`", cursor.at, cursor.at + len(end))
            if end:
                cursor.take("operator", cursor.at + len(end))
        cursor.take("word", cursor.at + 4)
        return Case(subject=subject, branches=tuple(branches), redirects=self.redirects(), start=start, end=self.end())

    def branch(self) -> Branch:
        cursor = self.cursor
        if cursor.peek() == "(":
            cursor.take("operator", cursor.at + 1)
            cursor.skip_blanks()
        patterns = [self.pattern()]
        while cursor.peek() == "|":
            cursor.take("operator", cursor.at + 1)
            cursor.skip_blanks()
            patterns.append(self.pattern())
        if cursor.peek() != ")":
            raise cursor.unexpected()
        cursor.take("operator", cursor.at + 1)
        return Branch(patterns=tuple(patterns), body=self.script((*_CASE_ENDS, "esac")))

    def pattern(self) -> Word:
        word = self.word()
        self.cursor.skip_blanks()
        return word

    def keyword_function(self, start: int) -> Function:
        cursor = self.cursor
        cursor.take("word", start + 8)
        cursor.skip_blanks()
        name = self.word()
        cursor.skip_blanks()
        if cursor.peek() == "(":
            self.empty_parentheses()
        body = self.body()
        return Function(
            name=name.literal or cursor.text[name.start : name.end], body=body, keyword=True, start=start, end=body.end
        )

    def empty_parentheses(self) -> None:
        cursor = self.cursor
        cursor.take("operator", cursor.at + 1)
        cursor.skip_blanks()
        if cursor.peek() != ")":
            raise cursor.unexpected()
        cursor.take("operator", cursor.at + 1)

    def body(self) -> Command:
        """The body of a function; bash wants a compound command."""
        cursor = self.cursor
        cursor.skip_lines()
        body = self.command()
        if cursor.bash and isinstance(body, Simple | Function):
            raise cursor.wrong("the body of a function is `{ …; }`", body.start, body.end)
        return body

    def test(self, start: int) -> Test:
        """`[[ … ]]`."""
        cursor, found = self.cursor, list[Word]()
        cursor.take("word", start + 2)
        after = ""
        while True:
            cursor.skip_lines()
            if cursor.at >= cursor.stop:
                raise cursor.wrong("`[[` is not closed by `]]`", start, start + 2)
            sign = next((op for op in ("&&", "||", "(", ")", "<", ">") if cursor.peek(len(op)) == op), "")
            if sign and not (sign == "(" and after == "=~") and not self.at_process():
                found.append(Word(parts=(), start=cursor.at, end=cursor.at + len(sign)))
                cursor.take("operator", cursor.at + len(sign))
                after = sign
                continue
            if cursor.peek() in (";", "&", "|"):
                raise cursor.unexpected()
            word = self.pattern_word() if after in ("=~", "==", "=", "!=") else self.word()
            after = word.bare
            if after == "]]":
                break
            found.append(word)
        if not found:
            raise cursor.wrong("`[[ ]]` tests nothing", start, cursor.at)
        return Test(words=tuple(found), redirects=self.redirects(), start=start, end=self.end())

    def pattern_word(self) -> Word:
        """A pattern or a regular expression: `|`, and what stands in parentheses, belong to it."""
        cursor = self.cursor
        start, word = cursor.at, self.word(parentheses=True)
        while cursor.peek() == "|" and cursor.peek(2) != "||":
            cursor.take("word", cursor.at + 1)
            if cursor.peek() not in (" ", "\t", "\n", ""):
                word = self.word(parentheses=True)
        return Word(parts=word.parts, start=start, end=cursor.at)

    def simple(self, start: int) -> Command:
        cursor = self.cursor
        assignments, found, redirects = list[Assignment](), list[Word](), list[Redirect]()
        end = start
        while True:
            redirect = self.redirect()
            if redirect is not None:
                redirects.append(redirect)
            elif not found and self.at_assignment():
                assignments.append(self.assignment())
            elif cursor.at < cursor.stop and (cursor.peek() not in "\n;&|<>()" or self.at_process()):
                word = self.word()
                if cursor.peek() == "(" and cursor.bash and found and found[0].bare in _DECLARES:
                    assignments.append(self.declared(word))
                else:
                    found.append(word)
            else:
                break
            end = cursor.at
            cursor.skip_blanks()
            if cursor.peek() == "(" and len(found) == 1 and not assignments and not redirects:
                return self.function(start, found[0])
        if end == start:
            raise cursor.unexpected()
        if cursor.peek() == "(":
            raise cursor.unexpected()
        return Simple(
            assignments=tuple(assignments),
            words=tuple(found),
            redirects=tuple(redirects),
            start=start,
            end=end,
        )

    def function(self, start: int, name: Word) -> Function:
        """`name()`."""
        cursor = self.cursor
        bare = name.bare or (cursor.bash and cursor.text[name.start : name.end]) or ""
        here = cursor.at
        if not bare or (not cursor.bash and not _NAME.match(bare)):
            raise cursor.wrong("unexpected `(`", here, here + 1)
        self.empty_parentheses()
        body = self.body()
        return Function(name=bare, body=body, keyword=False, start=start, end=body.end)

    def at_assignment(self) -> re.Match[str] | None:
        cursor = self.cursor
        found = _ASSIGNMENT.match(cursor.text, cursor.at, cursor.stop)
        return found if found and (cursor.bash or found[2] is None) else None

    def assignment(self) -> Assignment:
        cursor = self.cursor
        start, found = cursor.at, self.at_assignment()
        assert found is not None  # the caller looked
        name, index, operator = found[1], (found[2] or "")[1:-1], found[3]
        cursor.at = found.end()
        if cursor.peek() == "(" and cursor.bash:
            cursor.at = start
            cursor.take("word", found.end())
            array = self.array()
            return Assignment(
                name=name, index=index, operator=operator, value=None, array=array, start=start, end=cursor.at
            )
        value = read_word(cursor, self.substituted)
        end = cursor.at
        if not cursor.in_word:  # one piece, with its name
            if value.end > value.start:
                cursor.pieces.pop()
            cursor.at = start
            cursor.take("word", end)
        return Assignment(name=name, index=index, operator=operator, value=value, start=start, end=end)

    def declared(self, word: Word) -> Assignment:
        """`declare -a name=(…)`: the word up to `=` is read."""
        cursor = self.cursor
        raw = cursor.text[word.start : word.end]
        found = _ASSIGNMENT.fullmatch(raw)
        if found is None:
            raise cursor.unexpected()
        array = self.array()
        return Assignment(name=found[1], operator=found[3], value=None, array=array, start=word.start, end=cursor.at)

    def array(self) -> tuple[Word, ...]:
        cursor, opening, found = self.cursor, self.cursor.at, list[Word]()
        cursor.take("operator", opening + 1)
        while True:
            cursor.skip_lines()
            if cursor.at >= cursor.stop:
                raise cursor.wrong("`(` is not closed by `)`", opening, opening + 1)
            if cursor.peek() == ")":
                cursor.take("operator", cursor.at + 1)
                return tuple(found)
            found.append(self.word())

    def redirects(self) -> tuple[Redirect, ...]:
        """What stands behind a compound command."""
        found: list[Redirect] = []
        while True:
            self.cursor.skip_blanks()
            one = self.redirect()
            if one is None:
                return tuple(found)
            found.append(one)

    def redirect(self) -> Redirect | None:
        cursor = self.cursor
        found = _REDIRECT.match(cursor.text, cursor.at, cursor.stop)
        if found is None or self.at_process():
            return None
        number, operator = found[1] or "", found[2]
        if not cursor.bash:
            if operator[0] == "&" or number[:1] == "{":
                return None
            operator = "<<" if operator == "<<<" else operator
        start = cursor.at
        cursor.take("operator", start + len(number) + len(operator))
        cursor.skip_blanks()
        target = self.word()
        document: HereDocument | None = None
        if operator in ("<<", "<<-"):
            document = find_document(cursor, self.substituted, target, strips_tabs=operator == "<<-")
            if not document.closed:
                message = f"the here-document `{document.delimiter}` has no end"
                cursor.faults.append(Fault(message=message, start=start, end=target.end, warning=True))
        return Redirect(number=number, operator=operator, target=target, document=document, start=start, end=target.end)
