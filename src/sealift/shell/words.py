"""Words: quotes, parameters, substitutions and sums."""

from __future__ import annotations

import re
from collections.abc import Callable

from sealift.shell.cursor import BARE, Cursor, Wrong
from sealift.shell.values import HereDocument, Literal, Parameter, Part, Quote, Script, Substitution, Sum, Word

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")
_IN_BRACES = re.compile(r"([!#]?)([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-])(\[)?")
_OPERATOR = re.compile(r":[-=?+]|[-=?+]|##|#|%%|%|//|/#|/%|/|\^\^|\^|,,|,|@|:")
_IN_DOUBLE = re.compile(r'[^\\"$`]+')
_IN_DOCUMENT = re.compile(r"[^\\$`]+")
_IN_ARGUMENT = re.compile(r"""[^\\'"$`}]+""")
_ESCAPED = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL)
_BACKQUOTED = re.compile(r"`(?:[^`\\]|\\.)*`", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b", "E": "\x1b"}

ReadScript = Callable[[], Script]
"""Reads commands up to a `)` that nothing in them opens, or up to the cursor's stop; the cursor is left there."""


def read_word(cursor: Cursor, script: ReadScript, *, parentheses: bool = False) -> Word:
    """The word at the cursor, which may be empty. `parentheses`: may they stand in it, as in a pattern?"""
    start, parts = cursor.at, list[Part]()
    cursor.in_word += 1
    while cursor.at < cursor.stop:
        found = _unquoted(cursor, script, parentheses=parentheses)
        if found is None:
            break
        parts += found
    cursor.in_word -= 1
    end = cursor.at
    cursor.at = start
    cursor.take("word", end)
    return Word(parts=tuple(_merged(parts)), start=start, end=end)


def read_document(cursor: Cursor, script: ReadScript, start: int, end: int) -> Word:
    """The body of a here-document whose text is expanded. What is wrong in it, bash finds only when it runs."""
    here, stop, depth, in_word = cursor.at, cursor.stop, cursor.depth, cursor.in_word
    cursor.at, cursor.stop, cursor.in_word = start, end, in_word + 1
    parts = list[Part]()
    try:
        while cursor.at < cursor.stop:
            parts.append(_in_quotes(cursor, script, _IN_DOCUMENT, "$`\\\n"))
    except Wrong:
        if not cursor.bash:
            raise
        parts = [Literal(text=cursor.text[start:end], start=start, end=end, quote='"')]
    cursor.at, cursor.stop, cursor.depth, cursor.in_word = here, stop, depth, in_word
    return Word(parts=tuple(parts), start=start, end=end)


def find_document(cursor: Cursor, script: ReadScript, delimiter: Word, *, strips_tabs: bool) -> HereDocument:
    """The here-document that `delimiter`, just read, announces: it lies behind the line."""
    raw = cursor.text[delimiter.start : delimiter.end]
    text = delimiter.literal
    text = raw if text is None else text
    newline = cursor.line_end(cursor.at)
    start = at = cursor.bodies.get(newline, min(newline + 1, len(cursor.text)))
    closed, end, whole = False, at, len(cursor.text)
    while at < whole:
        stop = cursor.text.find("\n", at)
        stop = stop if stop >= 0 else whole
        line = cursor.text[at:stop]
        at = min(stop + 1, whole)
        if (line.lstrip("\t") if strips_tabs else line) == text:
            closed = True
            break
        end = at
    if newline < whole:
        cursor.bodies[newline] = at
    if any(mark in raw for mark in "'\"\\"):
        untouched = Literal(text=cursor.text[start:end], start=start, end=end, quote="'")
        body = Word(parts=(untouched,), start=start, end=end)
    else:
        body = read_document(cursor, script, start, end)
    return HereDocument(delimiter=text, body=body, closed=closed)


def _merged(parts: list[Part]) -> list[Part]:
    """Bare text in one piece: a continued line or parentheses had cut it."""
    merged: list[Part] = []
    for part in parts:
        last = merged[-1] if merged else None
        if isinstance(part, Literal) and isinstance(last, Literal) and last.quote == part.quote == "":
            merged[-1] = Literal(text=last.text + part.text, start=last.start, end=part.end)
        else:
            merged.append(part)
    return merged


def _unquoted(cursor: Cursor, script: ReadScript, *, parentheses: bool) -> list[Part] | None:
    """What stands next in a word, outside quotes; None where the word ends."""
    text, start = cursor.text, cursor.at
    plain = BARE.match(text, start, cursor.stop)
    if plain:
        cursor.at = plain.end()
        return [Literal(text=plain[0], start=start, end=cursor.at)]
    match text[start]:
        case "'":
            return [_single(cursor, start, start + 1)]
        case '"':
            return _double(cursor, script, start)
        case "\\":
            cursor.at = min(start + 2, cursor.stop)
            escaped = text[start + 1 : cursor.at]
            if escaped == "\n":
                return [Literal(text="", start=start, end=cursor.at)]
            return [Literal(text=escaped or "\\", start=start, end=cursor.at, quote="\\")]
        case "$" if cursor.bash and cursor.peek(2) == "$'":
            return [_escaped(cursor, start)]
        case "$" if cursor.bash and cursor.peek(2) == '$"':
            cursor.at += 1
            return _double(cursor, script, start)
        case "$":
            return [_dollar(cursor, script, "")]
        case "`":
            return [_backquoted(cursor, script, "")]
        case "<" | ">" if cursor.bash and cursor.peek(2) in ("<(", ">("):
            cursor.at += 2
            return [_substitution(cursor, script, start, "")]
        case "(" if parentheses or (cursor.globs and start > 0 and text[start - 1] in "?*+@!"):
            return [_in_parentheses(cursor)]
    return None


def _in_parentheses(cursor: Cursor) -> Literal:
    """`( … )` of a pattern or a regular expression, as text."""
    start, depth = cursor.at, 0
    while cursor.at < cursor.stop:
        character = cursor.text[cursor.at]
        cursor.at = min(cursor.at + (2 if character == "\\" else 1), cursor.stop)
        depth += (character == "(") - (character == ")")
        if not depth:
            return Literal(text=cursor.text[start : cursor.at], start=start, end=cursor.at)
    raise cursor.wrong("`(` is not closed", start, start + 1)


def _single(cursor: Cursor, start: int, body: int) -> Literal:
    end = cursor.text.find("'", body, cursor.stop)
    if end < 0:
        raise cursor.wrong("the quote `'` is not closed", start, start + 1)
    cursor.at = end + 1
    return Literal(text=cursor.text[body:end], start=start, end=cursor.at, quote="'")


def _escaped(cursor: Cursor, start: int) -> Literal:
    """`$'…'`, in which a backslash may protect the quote."""
    found = _ESCAPED.match(cursor.text, start, cursor.stop)
    if found is None:
        raise cursor.wrong("the quote `$'` is not closed", start, start + 2)
    cursor.at = found.end()
    said = re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), found[1], flags=re.DOTALL)
    return Literal(text=said, start=start, end=cursor.at, quote="'")


def _double(cursor: Cursor, script: ReadScript, start: int) -> list[Part]:
    cursor.at += 1
    parts = list[Part]()
    while cursor.at < cursor.stop:
        if cursor.text[cursor.at] == '"':
            cursor.at += 1
            return parts or [Literal(text="", start=start, end=cursor.at, quote='"')]
        parts.append(_in_quotes(cursor, script, _IN_DOUBLE, '"$`\\\n'))
    raise cursor.wrong('the quote `"` is not closed', start, start + 1)


def _in_quotes(cursor: Cursor, script: ReadScript, plain: re.Pattern[str], escapable: str) -> Part:
    """One part of text in which only `$`, backquotes and backslashes mean something."""
    text, start = cursor.text, cursor.at
    found = plain.match(text, start, cursor.stop)
    if found:
        cursor.at = found.end()
        return Literal(text=found[0], start=start, end=cursor.at, quote='"')
    if text[start] == "$":
        return _dollar(cursor, script, '"')
    if text[start] == "`":
        return _backquoted(cursor, script, '"')
    cursor.at = min(start + 2, cursor.stop)
    escaped = text[start + 1 : cursor.at]
    said = "" if escaped == "\n" else escaped if escaped and escaped in escapable else "\\" + escaped
    return Literal(text=said, start=start, end=cursor.at, quote='"')


def _dollar(cursor: Cursor, script: ReadScript, quote: Quote) -> Part:
    text, start = cursor.text, cursor.at
    if cursor.peek(3) == "$((":
        end = sum_end(text, start + 3, cursor.stop, quotes=cursor.bash)
        if end is not None:
            cursor.at = end
            return Sum(text=text[start + 3 : end - 2], start=start, end=end, quote=quote)
    if cursor.peek(2) == "$(":
        cursor.at += 2
        return _substitution(cursor, script, start, quote)
    if cursor.peek(2) == "${":
        return _braces(cursor, script, quote)
    name = _NAME.match(text, start + 1, cursor.stop)
    cursor.at = name.end() if name else start + 1
    if name is None:
        return Literal(text="$", start=start, end=cursor.at, quote=quote)
    return Parameter(name=name[0], start=start, end=cursor.at, quote=quote)


def sum_end(text: str, at: int, stop: int, *, quotes: bool) -> int | None:
    """Behind the `))` that closes a sum whose text begins at `at`; None where it is no sum.

    With `quotes`, as in bash, they hide parentheses.
    """
    depth = 0
    while at < stop:
        match text[at]:
            case "(":
                depth += 1
            case ")" if depth:
                depth -= 1
            case ")":
                return at + 2 if text[at : at + 2] == "))" and at + 2 <= stop else None
            case "\\":
                at += 1
            case "'" | '"' if quotes:
                at = text.find(text[at], at + 1, stop)
                if at < 0:
                    return None
        at += 1
    return None


def _substitution(cursor: Cursor, script: ReadScript, start: int, quote: Quote) -> Substitution:
    """Commands up to `)`; the cursor stands behind the opening."""
    opening = cursor.text[start : cursor.at]
    cursor.in_word += 1
    inner = script()
    cursor.in_word -= 1
    if cursor.peek() != ")":
        raise cursor.wrong(f"`{opening}` is not closed", start, start + 2)
    cursor.at += 1
    return Substitution(script=inner, opening=opening, start=start, end=cursor.at, quote=quote)


def _backquoted(cursor: Cursor, script: ReadScript, quote: Quote) -> Substitution:
    """Commands between backquotes, read where they stand: escapes in them are rare, and are left as they are."""
    start, stop = cursor.at, cursor.stop
    found = _BACKQUOTED.match(cursor.text, start, stop)
    if found is None:
        raise cursor.wrong("the backquote is not closed", start, start + 1)
    cursor.at, cursor.stop = start + 1, found.end() - 1
    cursor.in_word += 1
    inner = script()
    if cursor.at < cursor.stop:
        raise cursor.unexpected()
    cursor.in_word -= 1
    cursor.at, cursor.stop = found.end(), stop
    return Substitution(script=inner, opening="`", start=start, end=cursor.at, quote=quote)


def _braces(cursor: Cursor, script: ReadScript, quote: Quote) -> Parameter:
    """`${…}`."""
    text, start = cursor.text, cursor.at
    found = _IN_BRACES.match(text, start + 2, cursor.stop)
    if (
        found
        and found[1] == ""
        and text[found.end() : found.end() + 1] not in "}:-=?+#%/^,@[" + ("[" if found[3] else "")
    ):
        found = found if found[3] else None
    prefix, name = (found[1], found[2]) if found else ("", "")
    cursor.at = found.end() if found else start + 2
    if found and found[3]:
        closing = text.find("]", cursor.at, cursor.stop)
        if closing < 0:
            raise cursor.wrong("`${` is not closed", start, start + 2)
        name += text[cursor.at - 1 : closing + 1]
        cursor.at = closing + 1
    operator = _OPERATOR.match(text, cursor.at, cursor.stop)
    if operator:
        cursor.at = operator.end()
    said, behind = operator[0] if operator else "", cursor.at
    argument = _argument(cursor, script, start, quoted=bool(quote) and said[:1] not in ("#", "%", "/"))
    if not said and argument.end > behind and not cursor.bash:
        name = ""  # a shell says "bad substitution" when it comes here
    return Parameter(
        name=name,
        operator=prefix + said if found else "?",
        argument=argument if said else None,
        start=start,
        end=cursor.at,
        quote=quote,
    )


def _argument(cursor: Cursor, script: ReadScript, opening: int, *, quoted: bool) -> Word:
    """What stands behind an operator, up to the `}` that closes `opening`; the cursor is left behind it."""
    start, parts = cursor.at, list[Part]()
    cursor.enter()
    while cursor.at < cursor.stop:
        character = cursor.text[cursor.at]
        if character == "}":
            word = Word(parts=tuple(_merged(parts)), start=start, end=cursor.at)
            cursor.at += 1
            cursor.depth -= 1
            return word
        if character == "'" and quoted and cursor.bash:
            # Such quotes are a part of the text, but bash looks for the second one all the same.
            one = _single(cursor, cursor.at, cursor.at + 1)
            parts.append(Literal(text=f"'{one.text}'", start=one.start, end=one.end))
        elif character == "'" and quoted:
            parts.append(Literal(text="'", start=cursor.at, end=cursor.at + 1))
            cursor.at += 1
        elif character in "\\'\"$`":
            parts += _unquoted(cursor, script, parentheses=True) or ()
        else:
            plain = _IN_ARGUMENT.match(cursor.text, cursor.at, cursor.stop)
            end = plain.end() if plain else cursor.at + 1
            parts.append(Literal(text=cursor.text[cursor.at : end], start=cursor.at, end=end))
            cursor.at = end
    raise cursor.wrong("`${` is not closed", opening, opening + 2)
