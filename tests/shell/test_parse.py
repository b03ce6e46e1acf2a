from __future__ import annotations

import pytest

from sealift.shell.cursor import DEEPEST
from sealift.shell.parse import parse
from tests.shell.shown import shown

SCRIPTS = {
    "": "",
    "# nothing\n\n": "",
    "a b  c\n": "[a b c];",
    "a; b & c\n": "[a]; [b] &; [c];",
    "a && b || c | d\n": "[a] && [b] || [c] | [d];",
    "a &&\n  # why\n  b\n": "[a] && [b];",
    "a \\\n  b\\\nc\n": "[a bc];",
    "! a | b |& c": "! [a] |& [b] |& [c]",
    "A=1 B= c $A\n": "[A=1 B='' c ${A}];",
    "A+=x\n": "[A+=x];",
    "a=(1 'b c' # note\n 3)\n": "[a=(1 'b c' 3)];",
    "a[0]=x\n": "[a[0]=x];",
    "declare -A m=([k]=v)\n": "[m=([k]=v) declare -A];",
    "a 'b  c' \"d $e\" f\\ g\n": '[a \'b  c\' "d ""${e}" f\\ g];',
    '"a"b""\n': '["a"b""];',
    "a $'b\\'c\\n'\n": "[a 'b'c\n'];",
    "a # b\n": "[a];",
    "a#b\n": "[a#b];",
    "${a} ${a:-b c} ${a#*/} ${#a} ${a[@]} ${!a} $1 $@ $$\n": (
        "[${a} ${a:-b c} ${a#*/} ${a#} ${a[@]} ${a!} ${1} ${@} ${$}];"
    ),
    "${a:-'}'} \"${a:-'b'}\"\n": "[${a:-'}'} \"${a:-'b'}\"];",
    "${a//b/c}\n": "[${a//b/c}];",
    "$(a b) `c d` <(e)\n": "[$([a b]) `[c d]` <([e])];",
    'a "$(b "c")"\n': '[a "$([b "c"])"];',
    "$((1 + (2))) $( (a) )\n": "[$((1 + (2))) $((sub [a]))];",
    "{ a; b\n}\n": "{[a]; [b];};",
    "(a; b) > c\n": "(sub [a]; [b]) >c;",
    "if a; then b; elif c; then d; else e; fi 2>&1\n": "if([a]; ? [b];) ([c]; ? [d];) else([e];) 2>&1;",
    "while a; do b; done; until a\ndo b\ndone\n": "while([a]; ? [b];); until([a]; ? [b];);",
    "for a in b $c; do d; done\n": "for(a in b ${c} : [d];);",
    "for a; do b; done\n": "for(a : [b];);",
    "for ((i=0; i<3; i++)); do a; done\n": "for(i=0; i<3; i++ : [a];);",
    "case $a in (b|c) d;; *) e ;; esac\n": "case(${a} b|c)([d]) *)([e]));",
    "case a in b) ;; esac\n": "case(a b)());",
    "f() { a; }\n": "f(){[a];};",
    "function f { a; }\n": "function f(){[a];};",
    "[[ -f a && $b =~ ^(c|d)$ ]] && e\n": "test(-f a . ${b} =~ ^(c|d)$) && [e];",
    "[[ a == b* || ( c < d ) ]]\n": "test(a == b* . . c . d .);",
    "((a++))\n": "sum(a++);",
    "a > b 2>> c < d >&2 &> e <<< f\n": "[a >b 2>>c <d >&2 &>e <<<f];",
    "cat <<E | b\nx $y\nE\nc\n": '[cat <<E:"x ""${y}""\n"] | [b]; [c];',
    "cat <<'E'\nx $y\nE\n": "[cat <<E:'x $y\n'];",
    "cat <<-E\n\tx\n\tE\n": '[cat <<-E:"\tx\n"];',
    "cat <<A <<B\na\nA\nb\nB\nc\n": '[cat <<A:"a\n" <<B:"b\n"]; [c];',
    "cat <<E > 'f # g' # don't\nx\nE\nc\n": "[cat <<E:\"x\n\" >'f # g']; [c];",
    "a=$(cat <<E\nx )\nE\n)\nb\n": '[a=$([cat <<E:"x )\n"];)]; [b];',
    "if a; then (b) fi\n": "if([a]; ? (sub [b]));",
    "echo if then }\n": "[echo if then }];",
    "if a; then b; fi\\\n && c\n": "if([a]; ? [b];) && [c];",
    "time -p a\n": "[a];",
    "{a,b} a{\n": "[{a,b} a{];",
    "a {{ b }}\n": "[a {{ b }}];",
}
"""Script, and what is read of it under bash."""

FAULTS = {
    "a )\n": ("unexpected `)`", ")"),
    "fi\n": ("unexpected `fi`", "fi"),
    "if a; then b\n": ("`if` is not closed by `fi`", "if"),
    "if a; then fi\n": ("unexpected `fi`", "fi"),
    "while a; do b\n": ("`while` is not closed by `done`", "while"),
    "for a in b; c; done\n": ("unexpected `c`", "c"),
    "case a in b) c\n": ("`case` is not closed by `esac`", "case"),
    "{ a\n": ("`{` is not closed by `}`", "{"),
    "(a\n": ("`(` is not closed by `)`", "("),
    "a 'b\n": ("the quote `'` is not closed", "'"),
    'a "b\n': ('the quote `"` is not closed', '"'),
    "a `b\n": ("the backquote is not closed", "`"),
    "a $(b\n": ("`$(` is not closed", "$("),
    "a ${b\n": ("`${` is not closed", "${"),
    "a &&\n": ("the script ends in the middle of a command", "\n"),
    "&& a\n": ("unexpected `&&`", "&&"),
    "a ;; b\n": ("unexpected `;;`", ";;"),
    "a >\n": ("the line ends in the middle of a command", "\n"),
    "[[ a\n": ("`[[` is not closed by `]]`", "[["),
    "f() a\n": ("the body of a function is `{ …; }`", "a"),
    "a=b(c)\n": ("unexpected `(`", "("),
    "cat <<E\na\n": ("the here-document `E` has no end", "<<E"),
}
"""Script, and what bash finds wrong with it, where."""

ONLY_BASH = {
    "for 1a in b; do c; done\n": "`1a` is no name of a variable",
    "a=(1)\n": "unexpected `(`",
    "for ((;;)); do a; done\n": "unexpected `(`",
    "a <(b)\n": "unexpected `(`",
    "a <<< b\n": "unexpected `<`",
    "function f() { a; }\n": "unexpected `(`",
    "my-f() { a; }\n": "unexpected `(`",
    "a |& b\n": "unexpected `&`",
    "case a in b) c ;& esac\n": "unexpected `;&`",
}
"""Scripts that bash takes, and what dash says."""


@pytest.mark.parametrize(("script", "wanted"), SCRIPTS.items(), ids=range(len(SCRIPTS)))
def test_a_script_is_read(script: str, wanted: str) -> None:
    reading = parse(script)
    assert reading.faults == ()
    assert shown(reading.script) == wanted


@pytest.mark.parametrize(("script", "wanted"), FAULTS.items(), ids=range(len(FAULTS)))
def test_a_fault_has_its_place(script: str, wanted: tuple[str, str]) -> None:
    first, *_ = parse(script).faults
    assert (first.message, script[first.start : first.end]) == wanted


@pytest.mark.parametrize(("script", "wanted"), ONLY_BASH.items(), ids=range(len(ONLY_BASH)))
def test_dash_takes_less_than_bash(script: str, wanted: str) -> None:
    assert parse(script).faults == ()
    assert parse(script, dialect="posix").faults[0].message == wanted


def test_what_follows_a_fault_is_read() -> None:
    reading = parse("a\nb )\nc\n")
    assert shown(reading.script) == "[a]; [b] [c];"
    assert len(reading.faults) == 1


def test_a_deep_script_is_a_fault() -> None:
    deep = DEEPEST * 10
    for opening, closing in (("( ", ")"), ("$(", ")"), ("${a:-", "}"), ("{ ", " }"), ("if ", "fi")):
        assert parse(opening * deep + "a" + closing * deep).faults


def test_every_place_is_that_of_its_text() -> None:
    text = "A=1 apt-get  install -y 'b c' $D >/dev/null && e\n"
    (line,) = parse(text).script.lines
    first = line.pipelines[0].commands[0]
    assert text[first.start : first.end] == "A=1 apt-get  install -y 'b c' $D >/dev/null"
    assert [text[word.start : word.end] for word in first.words] == ["apt-get", "install", "-y", "'b c'", "$D"]  # type: ignore[union-attr]
    assert text[line.start : line.end] == text.strip()
