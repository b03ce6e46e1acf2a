"""Language: what Apptainer's parser refuses, and what it takes for something else than one means.

The findings are the parser's own (`sealift.deffile`); here stand the words that explain them at leisure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sealift.lint.examples import UBUNTU, file, post
from sealift.lint.recipe import Recipe
from sealift.lint.values import Hit, Level, Rule


def _of_parser(rule: str) -> Callable[[Recipe], Iterator[Hit]]:
    def look(recipe: Recipe) -> Iterator[Hit]:
        for one in recipe.of_parser.get(rule, ()):
            if one.where is None:  # it is of the whole file
                yield Hit(start=0, end=1, message=one.message, hints=one.hints)
            else:
                yield recipe.hit_at(one.where, one.message, *one.hints)

    return look


def _rule(level: Level, name: str, title: str, reason: str, remedy: str, bad: str, good: str) -> Rule:
    return Rule(
        id=name,
        family="language",
        level=level,
        title=title,
        reason=reason,
        remedy=remedy,
        bad=bad,
        good=good,
        look=_of_parser(name),
    )


_OK = post("echo ok")
_HEREDOC = UBUNTU + "\n%post\n    cat > /etc/sudoers.d/app <<EOF\n%wheel ALL=(ALL) ALL\nEOF\n"

RULES: tuple[Rule, ...] = (
    _rule(
        "error",
        "no-bootstrap",
        "A stage has no `Bootstrap:`",
        "A stage begins at its `Bootstrap:` line. A header line above it, `From:` first for instance, is a stage of "
        "its own, without an agent, and the build ends there.",
        "Put `Bootstrap:` first.",
        "From: ubuntu:24.04\nBootstrap: docker\n\n%post\n    echo ok\n",
        _OK,
    ),
    _rule(
        "error",
        "no-header",
        "A section stands above `Bootstrap:`",
        "A stage begins at its `Bootstrap:` line; what stands above it is a stage of its own, without a base.",
        "Move the section below `Bootstrap:` and `From:`.",
        "%arguments\n    VERSION=1\n\nBootstrap: docker\nFrom: ubuntu:24.04\n\n%post\n    echo ok\n",
        file(UBUNTU, arguments="VERSION=1", post="echo {{ VERSION }}"),
    ),
    _rule(
        "error",
        "unknown-section",
        "There is no such section",
        "Sections have fixed names. A line whose first word begins with `%` is a heading wherever it stands.",
        "Correct the name: `%arguments`, `%pre`, `%setup`, `%files`, `%post`, `%environment`, `%runscript`, "
        "`%startscript`, `%test`, `%labels`, `%help`, and `%app…` in lower case. Text that must begin with `%` "
        "comes with `%files`.",
        file(UBUNTU, environments="export A=1"),
        file(UBUNTU, environment="export A=1"),
    ),
    _rule(
        "error",
        "section-in-heredoc",
        "A line of a here-document begins with `%`, and is taken for a section",
        "The definition file is cut into sections before any shell sees it. `%wheel`, `%packages` or `%matplotlib` "
        "at the beginning of a line end the script there, in the middle of the here-document.",
        "Bring the text as a file with `%files`, or put a mark before the `%` and take it off with `sed`.",
        _HEREDOC,
        file(UBUNTU, files="sudoers /etc/sudoers.d/app"),
    ),
    _rule(
        "error",
        "indented-section",
        "A section's heading is indented",
        "A heading begins in column 1. With blanks before it, its name is empty for the parser.",
        "Remove the blanks before `%`.",
        UBUNTU + "\n  %post\n    echo ok\n",
        _OK,
    ),
    _rule(
        "error",
        "section-without-name",
        "A `%` without a name begins a line",
        "Every line whose first word begins with `%` is a heading, this one of a section without a name.",
        "Write the name directly behind `%`, or put a word before it if it is text.",
        UBUNTU + "\n% post\n    echo ok\n",
        _OK,
    ),
    _rule(
        "error",
        "tab-after-section",
        "A tab follows a section's name",
        "Only a space ends the name, so that the tab belongs to it.",
        "Write a space.",
        UBUNTU + "\n%post\t-c /bin/bash\n    echo ok\n",
        UBUNTU + "\n%post -c /bin/bash\n    echo ok\n",
    ),
    _rule(
        "error",
        "heading-alone",
        "The file is a heading and nothing else",
        "A stage that begins with a section needs a line below it.",
        "Write the header above it, and the section's lines below.",
        "%post\n",
        _OK,
    ),
    _rule(
        "error",
        "section-too-long",
        "A section is longer than 64 KiB",
        "Apptainer reads a section in one piece of at most 65,535 bytes.",
        "Move the longest part to a file, copy it with `%files`, and call it.",
        post("echo " + "0123456789abcde" * 4400),
        file(UBUNTU, files="long.sh /opt/long.sh", post="sh /opt/long.sh"),
    ),
    _rule(
        "error",
        "header-without-colon",
        "A line of the header has no colon",
        "Above the first section every line is `Key: value`, or a comment.",
        "Put a colon behind the key, a `#` before a comment, or the line into a section.",
        "Bootstrap: docker\nFrom: ubuntu:24.04\nThe image of our group\n\n%post\n    echo ok\n",
        _OK,
    ),
    _rule(
        "error",
        "unknown-header-keyword",
        "The header has no such key",
        "Apptainer refuses keys that it does not know. Those of an image are `Bootstrap:`, `From:`, `Registry:`, "
        "`Namespace:`, `Stage:` and `Fingerprints:`; versions, authors and the like are labels.",
        "Correct the key, or move the line to `%labels`, without the colon.",
        "Bootstrap: docker\nFrom: ubuntu:24.04\nVersion: 1.0\n\n%post\n    echo ok\n",
        file(UBUNTU, labels="Version 1.0"),
    ),
    _rule(
        "error",
        "byte-order-mark",
        "The file begins with a byte order mark",
        "Editors on Windows write three bytes before the text. They become a part of the first key.",
        "Save as UTF-8 without a byte order mark.",
        "\ufeff" + _OK,
        _OK,
    ),
    _rule(
        "error",
        "unknown-agent",
        "There is no such bootstrap agent",
        "Agents have fixed names, in lower case.",
        "An image of a registry is `Bootstrap: docker`, with its name in `From:`.",
        "Bootstrap: Docker\nFrom: ubuntu:24.04\n\n%post\n    echo ok\n",
        _OK,
    ),
    _rule(
        "error",
        "missing-header-key",
        "A key that the agent needs is missing",
        "Without it the agent does not know what to bring. Agents that take an image (`docker`, `oras`, "
        "`localimage`, …) need `From:`; those that install a system (`yum`, `dnf`, `debootstrap`, `zypper`) need "
        "`OSVersion:` and `MirrorURL:`.",
        "Write the missing line below `Bootstrap:`: `From: ubuntu:24.04`, say.",
        "Bootstrap: docker\n\n%post\n    echo ok\n",
        _OK,
    ),
    _rule(
        "error",
        "repeated-agent",
        "`From:` repeats the agent",
        "The agent is put before the name, so that `docker://ubuntu` becomes `docker://docker://ubuntu`.",
        "Write the name alone.",
        "Bootstrap: docker\nFrom: docker://ubuntu:24.04\n\n%post\n    echo ok\n",
        _OK,
    ),
    _rule(
        "error",
        "unknown-stage",
        "`%files from` names a stage that is not there",
        "Stages are found by their exact name.",
        "Name the earlier stage: `Stage: build`.",
        UBUNTU
        + "Stage: build\n\n%post\n    echo ok\n\n"
        + UBUNTU
        + "\n%files from builder\n    /etc/hosts /opt/hosts\n",
        UBUNTU + "Stage: build\n\n%post\n    echo ok\n\n" + UBUNTU + "\n%files from build\n    /etc/hosts /opt/hosts\n",
    ),
    _rule(
        "error",
        "later-stage",
        "`%files from` names a stage that comes later",
        "Stages are built from top to bottom; a later one is empty yet.",
        "Move that stage up.",
        UBUNTU + "Stage: first\n\n%files from second\n    /etc/hosts /opt/hosts\n\n" + UBUNTU + "Stage: second\n",
        UBUNTU + "Stage: first\n\n%post\n    echo ok\n\n" + UBUNTU + "\n%files from first\n    /etc/hosts /opt/hosts\n",
    ),
    _rule(
        "error",
        "app-without-name",
        "An `%app…` section names no app",
        "The word behind it is the app's name; two spaces make it empty.",
        "Write the name behind one space.",
        UBUNTU + "\n%apprun\n    exec echo ok\n",
        UBUNTU + '\n%apprun hello\n    exec echo ok "$@"\n',
    ),
    _rule(
        "error",
        "app-section-case",
        "An `%app…` section is written in capitals",
        "Unlike other sections, these are known in lower case alone.",
        "Write it in lower case.",
        UBUNTU + '\n%appRun hello\n    exec echo ok "$@"\n',
        UBUNTU + '\n%apprun hello\n    exec echo ok "$@"\n',
    ),
    _rule(
        "error",
        "files-lone-quote",
        "A line of `%files` is a lone quote",
        "There is no name in it; Apptainer crashes.",
        "Close the quote, or remove the line.",
        file(UBUNTU, files='"'),
        file(UBUNTU, files='"my data.csv" /opt/data.csv'),
    ),
    _rule(
        "error",
        "missing-interpreter",
        "`-c` names no interpreter",
        "Behind `-c` stands the program that runs the section.",
        "Write `%post -c /bin/bash`.",
        UBUNTU + "\n%post -c\n    echo ok\n",
        UBUNTU + "\n%post -c /bin/bash\n    echo ok\n",
    ),
    _rule(
        "error",
        "header-continuation",
        "A continued line of the header goes on in nothing",
        "A value that ends in `\\` goes on in the next line. With a blank line or a comment there, Apptainer crashes.",
        "Remove the `\\`, or continue the value in the next line.",
        "Bootstrap: docker\nFrom: ubuntu:24.04 \\\n\nStage: one\n\n%post\n    echo ok\n",
        _OK,
    ),
    _rule(
        "error",
        "lone-carriage-returns",
        "The lines end in lone carriage returns",
        "Very old editors end lines so; for the parser the whole file is one line.",
        "Convert it: `tr '\\r' '\\n' < FILE > NEW`.",
        "Bootstrap: docker\rFrom: ubuntu:24.04\r",
        _OK,
    ),
    _rule(
        "error",
        "nul-character",
        "There is a NUL character",
        "No path, address or argument can hold one.",
        "Remove it: `tr -d '\\0' < FILE > NEW`.",
        "Bootstrap: docker\nFrom: ubuntu\0:24.04\n\n%post\n    echo ok\n",
        _OK,
    ),
    _rule(
        "error",
        "empty-file",
        "Nothing in the file counts",
        "It is empty, or holds comments alone.",
        "The shortest file that builds has `Bootstrap:` and `From:`.",
        "# nothing yet\n",
        _OK,
    ),
    _rule(
        "warning",
        "undefined-argument",
        "A placeholder has no value in the file",
        "`{{ NAME }}` is filled from `--build-arg`, else from this stage's own `%arguments`; the build ends where "
        "neither has it. Braces of Jinja, Go or Helm in a script are taken for placeholders too.",
        "Give it a default in `%arguments`, so that the file builds by itself.",
        post("echo {{ VERSION }}"),
        file(UBUNTU, arguments="VERSION=1.0", post="echo {{ VERSION }}"),
    ),
    _rule(
        "warning",
        "lost-header-key",
        "The last line of the header is lost",
        "It ends in `\\` and nothing continues it, so that Apptainer drops the key.",
        "Remove the `\\`.",
        "Bootstrap: docker\nFrom: ubuntu:24.04\nStage: one \\\n",
        "Bootstrap: docker\nFrom: ubuntu:24.04\nStage: one\n",
    ),
    _rule(
        "warning",
        "repeated-header-key",
        "A key of the header is given twice",
        "The last one counts.",
        "Remove the other.",
        "Bootstrap: docker\nFrom: ubuntu:24.04\nFrom: debian:bookworm-slim\n\n%post\n    echo ok\n",
        _OK,
    ),
    _rule(
        "warning",
        "header-comment",
        "A `#` cuts a value of the header",
        "In the header everything from a `#` on is a comment, also within a value.",
        "Write the comment on a line of its own; a value cannot hold a `#`.",
        "Bootstrap: docker\nFrom: ubuntu:24.04#stable\n\n%post\n    echo ok\n",
        _OK,
    ),
    _rule(
        "warning",
        "carriage-return",
        "A carriage return stands within a value of the header",
        "Only one before the line's end is dropped; another is a part of the value, and nobody sees it.",
        "Remove it, or convert the file: `tr -d '\\r' < FILE > NEW`.",
        "Bootstrap: docker\nFrom: ubuntu:24.04\nStage: a\rb\n\n%post\n    echo ok\n",
        _OK,
    ),
    _rule(
        "warning",
        "unread-header-key",
        "The agent does not read this key",
        "It has no effect, though the file looks as if it had: `MirrorURL:` with `docker`, `IncludeCmd:` with any "
        "agent.",
        "Remove the line. What it was meant to do is done elsewhere: packages are installed in `%post`, an image's "
        "registry stands in `From:`.",
        "Bootstrap: docker\nFrom: ubuntu:24.04\nMirrorURL: https://example.org/ubuntu\n\n%post\n    echo ok\n",
        _OK,
    ),
    _rule(
        "note",
        "debootstrap-without-mirror",
        "`debootstrap` has no `MirrorURL:`",
        "Sealift takes the host's own mirror; Apptainer refuses the file.",
        "Write the mirror, if Apptainer shall build it too.",
        "Bootstrap: debootstrap\nOSVersion: bookworm\n\n%post\n    echo ok\n",
        "Bootstrap: debootstrap\nOSVersion: bookworm\nMirrorURL: https://example.org/debian\n\n%post\n    echo ok\n",
    ),
    _rule(
        "warning",
        "files-ignored",
        "A whole `%files` section is ignored",
        "Behind `%files` stands nothing, or `from STAGE`. With other words the section copies nothing, without a word.",
        "Write `%files` or `%files from STAGE`.",
        UBUNTU + "\n%files app\n    a.txt /opt/a.txt\n",
        UBUNTU + "\n%files\n    a.txt /opt/a.txt\n",
    ),
    _rule(
        "warning",
        "files-not-from",
        "The word before the stage's name is not `from`",
        "Any word is read as `from`, so that a slip is not noticed.",
        "Write `from`.",
        UBUNTU + "Stage: build\n\n%post\n    echo ok\n\n" + UBUNTU + "\n%files form build\n    /etc/hosts /opt/hosts\n",
        UBUNTU + "Stage: build\n\n%post\n    echo ok\n\n" + UBUNTU + "\n%files from build\n    /etc/hosts /opt/hosts\n",
    ),
    _rule(
        "warning",
        "files-third-word",
        "A line of `%files` has more than two words",
        "A source and a destination count; the rest is ignored. So `a b /opt` copies `a` to `b`.",
        "Write one copy a line, and names with blanks in double quotes.",
        file(UBUNTU, files="a.txt b.txt /opt/"),
        file(UBUNTU, files="a.txt /opt/a.txt\nb.txt /opt/b.txt"),
    ),
    _rule(
        "warning",
        "files-comment",
        "A comment stands behind a file's name",
        "There are no comments behind names: the `#` becomes the destination, and the file goes to `/#`.",
        "Write the comment on the line above.",
        file(UBUNTU, files="a.txt # the data"),
        file(UBUNTU, files="# the data\na.txt /opt/a.txt"),
    ),
    _rule(
        "warning",
        "files-single-quote",
        "Single quotes do not quote in `%files`",
        "They are parts of the name, and blanks within them separate.",
        "Use double quotes.",
        file(UBUNTU, files="'my data.csv' /opt/data.csv"),
        file(UBUNTU, files='"my data.csv" /opt/data.csv'),
    ),
    _rule(
        "warning",
        "files-backslash",
        "A backslash does not protect a blank in `%files`",
        "The name ends at the blank.",
        "Use double quotes.",
        file(UBUNTU, files="my\\ data.csv /opt/data.csv"),
        file(UBUNTU, files='"my data.csv" /opt/data.csv'),
    ),
    _rule(
        "warning",
        "files-without-source",
        "A line of `%files` has no source",
        "An empty name copies nothing.",
        "Write a source and a destination.",
        file(UBUNTU, files='"" /opt/data.csv'),
        file(UBUNTU, files="data.csv /opt/data.csv"),
    ),
    _rule(
        "warning",
        "files-expansion",
        "A name in `%files` has a variable or a `~`",
        "It depends on who builds, and Apptainer 1.6 no longer expands it.",
        "Write the path from the definition file on, or take it from a build argument.",
        file(UBUNTU, files="$DATA/table.csv /opt/table.csv"),
        file(UBUNTU, arguments="DATA=data", files="{{ DATA }}/table.csv /opt/table.csv"),
    ),
    _rule(
        "warning",
        "files-in-tmp",
        "`%files` copies below /tmp",
        "While `%post` runs, the host's own /tmp and /var/tmp lie over the image's, so that it does not see the "
        "file. It stays in the image all the same.",
        "Copy it below /opt, and remove it at the end of `%post`.",
        file(UBUNTU, files="a.txt /tmp/a.txt", post="cat /tmp/a.txt"),
        file(UBUNTU, files="a.txt /opt/a.txt", post="cat /opt/a.txt"),
    ),
    _rule(
        "warning",
        "label-separator",
        "A label is written with `=` or a tab",
        "Only a space separates a label from its value; the rest is part of its name.",
        "Write a space.",
        file(UBUNTU, labels="Version=1.0"),
        file(UBUNTU, labels="Version 1.0"),
    ),
    _rule(
        "warning",
        "label-colon",
        "A label's name ends in a colon",
        "The colon is a part of the name.",
        "Leave it out.",
        file(UBUNTU, labels="Version: 1.0"),
        file(UBUNTU, labels="Version 1.0"),
    ),
    _rule(
        "warning",
        "label-quotes",
        "A label's value is quoted",
        "Quotes are parts of the value; blanks need none.",
        "Leave them out.",
        file(UBUNTU, labels='Author "Ada Lovelace"'),
        file(UBUNTU, labels="Author Ada Lovelace"),
    ),
    _rule(
        "warning",
        "label-without-value",
        "A label has no value",
        "The line is a name alone.",
        "Write the value behind a space.",
        file(UBUNTU, labels="Version"),
        file(UBUNTU, labels="Version 1.0"),
    ),
    _rule(
        "warning",
        "argument-comment",
        "A comment stands behind a build argument's value",
        "It is a part of the value.",
        "Write it on the line above.",
        file(UBUNTU, arguments="VERSION=1.0 # the last one", post="echo {{ VERSION }}"),
        file(UBUNTU, arguments="# the last one\nVERSION=1.0", post="echo {{ VERSION }}"),
    ),
    _rule(
        "warning",
        "skipped-argument",
        "A line of `%arguments` is not `NAME=value`",
        "It is skipped.",
        "Write `NAME=value`.",
        file(UBUNTU, arguments="VERSION 1.0", post="echo ok"),
        file(UBUNTU, arguments="VERSION=1.0", post="echo {{ VERSION }}"),
    ),
    _rule(
        "warning",
        "placeholder-behind-hash",
        "A placeholder behind a `#` is not filled",
        "A `#` before it on its line makes it a comment for the parser, in quotes too.",
        "Move the placeholder before the `#`, or to a variable on a line above.",
        file(UBUNTU, arguments="VERSION=1.0", post='echo "# version {{ VERSION }}"'),
        file(UBUNTU, arguments="VERSION=1.0", post='VERSION={{ VERSION }}\necho "# version $VERSION"'),
    ),
    _rule(
        "warning",
        "shebang-is-comment",
        "A `#!` line in `%post` is a comment",
        "`%pre`, `%setup` and `%post` run under /bin/sh, whatever their first line says.",
        "Name the interpreter behind the section: `%post -c /bin/bash`.",
        post("#!/bin/bash\necho ok"),
        UBUNTU + "\n%post -c /bin/bash\n    echo ok\n",
    ),
    _rule(
        "warning",
        "shebang-not-first",
        "A blank line stands before `#!`",
        "Only the first line below the heading can name the interpreter.",
        "Put it directly below the heading.",
        UBUNTU + '\n%runscript\n\n#!/bin/bash\nexec echo "$@"\n',
        UBUNTU + '\n%runscript\n#!/bin/bash\nexec echo "$@"\n',
    ),
    _rule(
        "warning",
        "open-heredoc",
        "A here-document does not end in its section",
        "The shell takes all that follows for its text.",
        "Close it with a line that holds its mark alone, in column 1.",
        post("cat > /opt/a <<EOF\necho ok\nEOF"),
        UBUNTU + "\n%post\n    cat > /opt/a <<EOF\necho ok\nEOF\n",
    ),
    _rule(
        "warning",
        "heading-in-heredoc",
        "A section begins in the middle of a here-document",
        "The file is cut into sections before any shell sees it.",
        "Bring the text as a file with `%files`, or close the here-document before.",
        UBUNTU + "\n%post\n    cat > /opt/a.def <<EOF\n%help\nhello\nEOF\n",
        file(UBUNTU, files="a.def /opt/a.def"),
    ),
    _rule(
        "warning",
        "repeated-arguments",
        "A section is given twice with different arguments",
        "The bodies are joined, and all of it runs with the last arguments.",
        "Make one section of them.",
        UBUNTU + "\n%post -c /bin/bash\n    echo a\n\n%post -c /bin/sh\n    echo b\n",
        UBUNTU + "\n%post -c /bin/bash\n    echo a\n    echo b\n",
    ),
    _rule(
        "warning",
        "app-arguments",
        "More than the app's name stands behind an `%app…` section",
        "Only the first word counts.",
        "Write the name alone.",
        UBUNTU + '\n%apprun hello world\n    exec echo ok "$@"\n',
        UBUNTU + '\n%apprun hello\n    exec echo ok "$@"\n',
    ),
    _rule(
        "warning",
        "section-of-earlier-stage",
        "A section of an earlier stage has no effect",
        "Only the last stage becomes the image: `%runscript`, `%environment`, `%labels` and `%help` of the others are "
        "dropped.",
        "Move it below the last `Bootstrap:`.",
        UBUNTU
        + 'Stage: build\n\n%runscript\n    exec echo "$@"\n\n'
        + UBUNTU
        + "\n%files from build\n    /etc/hosts /opt/hosts\n",
        UBUNTU
        + "Stage: build\n\n%post\n    echo ok\n\n"
        + UBUNTU
        + "\n%files from build\n    /etc/hosts /opt/hosts\n\n"
        '%runscript\n    exec echo "$@"\n',
    ),
)
