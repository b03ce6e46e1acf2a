"""Questions to an image, put to every engine alike, and their answers side by side."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.parity.cases import IMAGE, Case
from benchmarks.parity.comparing import Answer, Difference, as_variables, differing_pairs
from benchmarks.parity.engines.ground import Ground

REFERENCE = "apptainer"
ENGINES = ("embedded", "docker", "podman")
VERBS = ("run", "exec", "test")
WORDS = ("", "two words", "it's", '"q"', "two\nlines", "$HOME `id`", "*", "back\\slash", "é", "-x", "")
"""Arguments that are easily spoilt."""
INPUT = b"one\ntwo\0three\n"

ASKED_ANYWAY = ("exec", "--cleanenv", IMAGE, "env", "-0")

EVERYTHING = r"""
printf '=== arguments\n'; printf '<%s>' "$0" "$@"
printf '\n=== input\n'; cat
printf '\n=== directory\n'; pwd
printf '\n=== ids\n'; id
printf '\n=== umask\n'; umask
printf '\n=== rights\n'; grep -E '^(Cap...|NoNewPrivs|SigBlk|SigIgn|Groups):' /proc/self/status
printf '\n=== users\n'; cat /etc/passwd /etc/group
printf '\n=== root\n'; ls -A /
printf '\n=== written\n'; echo x > /written || echo no
printf '\n=== variables\n'; env -0
echo complaint >&2
exit 7
"""
"""One start answers all of it."""

_TALK = re.compile(
    r"(INFO|WARNING|DEBUG): .*"  # Apptainer
    r"|giving .* to (docker|podman) as .*, once|another sealift is making .*, waiting"  # Sealift
    r"|time=.* level=(warning|info) .*"  # Podman
)
"""Lines of standard error that are the engine's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Words for `sealift VERB`, with `options` in front of IMAGE and what is `given` on standard input.

    `parts` says that the answer is that of EVERYTHING.
    """

    verb: str
    options: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    given: bytes = b""
    parts: bool = False

    def __str__(self) -> str:
        if self.parts:
            return "everything"
        return shlex.join((self.verb, *self.options, IMAGE, *self.words)).replace("\n", "\\n")


def questions(case: Case, *, whole: bool) -> tuple[Question, ...]:
    """Everything at once of every image; of a `whole` one also runs, tests, and what its definition file asks for."""
    everything = Question(verb="exec", words=("/bin/sh", "-c", EVERYTHING, "a name", *WORDS), given=INPUT, parts=True)
    if not whole:
        return (everything,)
    found = [everything, Question(verb="run", words=WORDS, given=INPUT), Question(verb="test")]
    for verb, *words in case.asks:
        if verb in VERBS and (verb, *words) != ASKED_ANYWAY:
            place = words.index(IMAGE)
            found.append(Question(verb=verb, options=tuple(words[:place]), words=tuple(words[place + 1 :])))
    return tuple(dict.fromkeys(found))


def ask(ground: Ground, image: str, question: Question, engine: str) -> Answer:
    done = ground.run(
        *("sealift", question.verb, "--safe-env", "--engine", engine, *question.options, image, *question.words),
        given=question.given,
    )
    return answer_of(done, {str(ground.at): "FOLDER", image: IMAGE})


# The engines by themselves


def native_questions(case: Case) -> tuple[Question, ...]:
    """Runs with arguments and without; options are Sealift's, and no engine's own."""
    found = [Question(verb="run"), Question(verb="run", words=WORDS, given=INPUT)]
    for verb, *words in case.asks:
        place = words.index(IMAGE)
        if verb == "run" and set(words[:place]) <= {"--cleanenv", "--no-eval"}:
            found.append(Question(verb="run", words=tuple(words[place + 1 :])))
    return tuple(dict.fromkeys(found))


def ask_apptainer(ground: Ground, image: str, question: Question, directory: str) -> Answer:
    """Of Apptainer as much as Docker gives by itself: a place of its own, root, and words as they stand."""
    alone = ("--containall", "--no-eval", "--fakeroot", "--pwd", directory)
    done = ground.run("apptainer", question.verb, *alone, image, *question.words, given=question.given)
    return answer_of(done, {str(ground.at): "FOLDER", image: IMAGE})


def ask_natively(ground: Ground, store: str, name: str, question: Question) -> Answer:
    """`exec` begins with the first word in place of the image's entrypoint."""
    argv = [store, "run", "--rm", "--interactive", "--network", "none"]
    if store == "podman":
        # Podman's own copying loses the output of short programs now and then.
        argv += ["--log-driver", "passthrough"]
    words = list(question.words)
    if question.verb == "exec":
        argv += ["--entrypoint", words.pop(0)]
    return answer_of(ground.run(*argv, name, *words, given=question.given), {name: IMAGE})


def answer_of(done: subprocess.CompletedProcess[bytes], names: Mapping[str, str]) -> Answer:
    """The exit code and both outputs, `names` replaced, without what the engine itself has to say."""
    said, complaint = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
    for name, shown in names.items():
        said, complaint = said.replace(name, shown), complaint.replace(name, shown)
    lines = [line for line in complaint.splitlines() if not _TALK.fullmatch(line)]
    return Answer(code=done.returncode, said=said, complaint="\n".join(lines))


def differing_answers(question: Question, theirs: Answer, ours: Answer) -> Iterator[Difference]:
    """Exit code, standard output and the program's own standard error, part by part where the answer has parts."""
    name = str(question)
    if theirs.code != ours.code:
        yield Difference(about="exit code", name=name, theirs=str(theirs.code), ours=str(ours.code))
    if theirs.complaint != ours.complaint:
        yield Difference(about="standard error", name=name, theirs=theirs.complaint, ours=ours.complaint)
    if question.parts:
        yield from _differing_parts(theirs, ours)
    elif question.words[-2:] == ("env", "-0"):
        yield from _differing_variables(theirs.said, ours.said)
    elif theirs.said != ours.said:
        yield Difference(about="standard output", name=name, theirs=theirs.said, ours=ours.said)


def _differing_parts(theirs: Answer, ours: Answer) -> Iterator[Difference]:
    left, right = _parts(theirs.said), _parts(ours.said)
    for name in sorted(left.keys() | right.keys()):
        if name not in left or name not in right:
            one, other = ("there" if name in each else "absent" for each in (left, right))
            yield Difference(about=name, name="all of it", theirs=one, ours=other)
        elif name == "variables":
            yield from _differing_variables(left[name], right[name])
        elif left[name] != right[name]:
            yield from _differing_lines(name, left[name], right[name])


def _differing_lines(part: str, theirs: str, ours: str) -> Iterator[Difference]:
    """A difference for each line that only one has; for the whole part where they are the same lines."""
    left, right = theirs.splitlines(), ours.splitlines()
    found = [Difference(about=part, name=line, theirs="there", ours="absent") for line in left if line not in right]
    found += [Difference(about=part, name=line, theirs="absent", ours="there") for line in right if line not in left]
    yield from found or [Difference(about=part, name="order", theirs=theirs, ours=ours)]


def _parts(said: str) -> dict[str, str]:
    names = re.findall(r"(?m)^=== (\w+)$", said)
    texts = re.split(r"(?m)^=== \w+\n", said)[1:]
    return {name: text if name == "variables" else text.rstrip("\n") for name, text in zip(names, texts, strict=True)}


def _differing_variables(theirs: str, ours: str) -> Iterator[Difference]:
    pairs = (as_variables(text.encode("utf-8", "surrogateescape")) for text in (theirs, ours))
    return differing_pairs("variable", *pairs)
