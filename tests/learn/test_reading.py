"""A course's files become values, and every fault of theirs is said at once."""

from __future__ import annotations

import pytest

from sealift.errors import UsageError
from sealift.learn.course import Check, Course, Example, Exercise, Mistake, Step
from sealift.learn.reading import exercise_names, read_course, read_exercise

README = b"# Bake\n\nAbout it.\n\n## 1. Knead\n\nGoal one.\n\n## 2. Eat\n\nGoal two.\n"
COURSE = b'schema = 1\nname = "bread"\ntitle = "Bread"\nexercises = ["ex01-bake"]\n'
EXERCISE = rb"""
schema = 1
minutes = 5

[[step]]
id = "knead"
hints = ["more", "most"]

[[step.check]]
kind = "size"
wants = "it is small"
image = "a.sif"
below = "3 MB"
when = "gpu"

[[step.check.mistake]]
pattern = '\d'
hint = "no numbers"
example = { file = "a.def", replace = "a", by = "1", run = ["true"] }

[[step]]
id = "eat"
hints = ["now"]
[[step.check]]
kind = "run"
wants = "it is eaten"
image = "a.sif"
action = "run"
command = ["x"]
binds = ["data:/data"]
"""


def test_a_whole_course():
    assert exercise_names(COURSE, file="course.toml") == ("ex01-bake",)
    assert read_course(COURSE, {"ex01-bake": (EXERCISE, README)}, file="course.toml") == Course(
        name="bread",
        title="Bread",
        exercises=(
            Exercise(
                name="ex01-bake",
                title="Bake",
                about="About it.",
                minutes=5,
                steps=(
                    Step(
                        id="knead",
                        number=1,
                        title="Knead",
                        goal="Goal one.",
                        hints=("more", "most"),
                        checks=(
                            Check(
                                kind="size",
                                wants="it is small",
                                fields={"image": "a.sif", "below": 3_000_000},
                                when="gpu",
                                mistakes=(
                                    Mistake(
                                        pattern=r"\d",
                                        hint="no numbers",
                                        example=Example(file="a.def", replace="a", by="1", run=("true",)),
                                    ),
                                ),
                            ),
                        ),
                    ),
                    Step(
                        id="eat",
                        number=2,
                        title="Eat",
                        goal="Goal two.",
                        hints=("now",),
                        checks=(
                            Check(
                                kind="run",
                                wants="it is eaten",
                                fields={
                                    "image": "a.sif",
                                    "action": "run",
                                    "command": ("x",),
                                    "binds": ("data:/data",),
                                },
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )


def test_an_exercise_is_found_by_what_people_type():
    exercise = read_exercise("ex01-bake", EXERCISE, README)
    course = Course(name="bread", title="Bread", exercises=(exercise,))
    assert [course.find(word) for word in ("ex01", "ex01-bake", "ex1", "1", "01")] == [exercise] * 5
    assert [course.find(word) for word in ("", "ex", "ex2", "ex01-b", "bake", "²")] == [None] * 6
    assert [exercise.step(word) for word in ("2", "eat", "3")] == [exercise.steps[1], exercise.steps[1], None]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("schema = 1\n", "", "`schema = 1` is missing: this Sealift reads no other"),
        ("minutes = 5", "minutes = 'x'", "`minutes` has to be a number: how long it takes"),
        ("minutes = 5", "minutes = 5\nminute = 5", "`minute` means nothing; did you mean `minutes`?"),
        ('id = "eat"', 'id = "knead"', "two steps are called `knead`"),
        (
            'id = "eat"',
            'id = "2"',
            "step 2: `id` has to be lower-case letters, digits and `-`, and not as a number or an exercise",
        ),
        ('id = "eat"', 'id = "ex02"', "step 2: `id` has to be lower-case letters, digits and `-`, and not as a number"),
        ('hints = ["now"]', "hints = []", "step 2: `hints` has to be a list of at least one text"),
        ('hints = ["now"]', "hint = []", "step 2: `hint` means nothing; did you mean `hints`?"),
        ('kind = "run"', 'kind = "ran"', "step 2, check 1: `kind` is one of file, recipe, lint, "),
        (
            'wants = "it is eaten"\n',
            "",
            "step 2, check 1: `wants` is missing: a sentence that is true when it is right",
        ),
        ('when = "gpu"', 'when = "moon"', "step 1, check 1: `when` is one of gpu, no-gpu, "),
        ('below = "3 MB"', 'below = "3 MiB"', "step 1, check 1: `below` has to be a size: `40 MB`"),
        ('below = "3 MB"\n', "", "step 1, check 1: `below` is missing: `40 MB`"),
        (
            'image = "a.sif"\nbelow',
            'image = "/a.sif"\nbelow',
            "check 1: `image` has to be a path in the working folder",
        ),
        ('image = "a.sif"\nbelow', 'image = "b/../../a.sif"\nbelow', "check 1: `image` has to be a path in the"),
        ('image = "a.sif"\nbelow', 'image = "docker://a"\nbelow', "check 1: `image` has to be a path in the working"),
        ('action = "run"', 'action = "shell"', "step 2, check 1: `action` is one of exec, run, test"),
        ('command = ["x"]', "command = 3", "step 2, check 1: `command` has to be a list of texts"),
        ('"data:/data"', '"/etc:/etc"', "`/etc:/etc` is not SOURCE:DESTINATION with a source in the working folder"),
        ('"data:/data"', '"~:/home"', "`~:/home` is not SOURCE:DESTINATION with a source in the working folder"),
        ('"data:/data"', '"data:/data:rw"', "`data:/data:rw` is not SOURCE:DESTINATION with a source in the working"),
        (r"pattern = '\d'", "pattern = '('", "step 1, check 1, mistake 1: `pattern` is no regular expression: "),
        ('hint = "no numbers"\n', "", "step 1, check 1, mistake 1: `hint` is missing"),
        ('replace = "a", ', "", "step 1, check 1, mistake 1: `example` wants `file`, `replace` and `by`"),
    ],
)
def test_each_fault(old, new, fault):
    text = EXERCISE.decode()
    assert old in text
    with pytest.raises(UsageError) as caught:
        read_exercise("ex01-bake", text.replace(old, new).encode(), README)
    first, *faults = caught.value.message.splitlines()
    assert first == "`ex01-bake/exercise.toml` is no exercise:"
    assert any(fault in line for line in faults), faults


@pytest.mark.parametrize("site", ["/etc/x.toml", "./../x.toml", "../x.toml", ".//x.toml"])
def test_a_site_does_not_lie_elsewhere(site):
    data = EXERCISE.replace(b'image = "a.sif"\naction', f'image = "a.sif"\nsite = "{site}"\naction'.encode())
    data = data.replace(b'kind = "run"', b'kind = "site"')
    with pytest.raises(UsageError) as caught:
        read_exercise("ex01-bake", data, README)
    assert "check 1: `site` has to be a name, or `./FILE` beside exercise.toml" in caught.value.message


@pytest.mark.parametrize(
    ("readme", "fault"),
    [
        (README.replace(b"# Bake\n", b"", 1), "README.md has to begin with `# Title` and a paragraph"),
        (README.replace(b"## 2.", b"## 3."), "headings `## 1. Title` to `## 2. Title`, and has [1, 3]"),
        (README.replace(b"Goal two.\n", b""), "README.md: step 2 has no goal"),
        (README + b"<!-- befor -->\n```sh\nx\n```\n", "README.md:13: `befor` means nothing"),
    ],
)
def test_each_fault_of_the_readme(readme, fault):
    with pytest.raises(UsageError) as caught:
        read_exercise("ex01-bake", EXERCISE, readme)
    assert fault in caught.value.message


def test_all_faults_come_at_once():
    data = EXERCISE.replace(b"schema = 1", b"schema = 2").replace(b'"now"', b"").replace(b'"3 MB"', b"3")
    with pytest.raises(UsageError) as caught:
        read_exercise("ex01-bake", data, README)
    assert len(caught.value.message.splitlines()) == 4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff", "`course.toml` is not TOML: "),
        (b"schema = ", "`course.toml` is not TOML: "),
        (
            b"schema = 1\n",
            "`course.toml`: `exercises` has to be a list of folders beside it, with names as `ex01-first-steps`",
        ),
        (
            b'exercises = ["../x"]',
            "`course.toml`: `exercises` has to be a list of folders beside it, with names as `ex01-first-steps`",
        ),
        (b'exercises = ["first-steps"]', "`course.toml`: `exercises` has to be a list of folders beside it, "),
        (
            b"exercises = []",
            "`course.toml`: `exercises` has to be a list of folders beside it, with names as `ex01-first-steps`",
        ),
    ],
)
def test_no_course(data, message):
    with pytest.raises(UsageError) as caught:
        exercise_names(data, file="course.toml")
    assert caught.value.message.startswith(message)


def test_faults_of_a_course():
    data = b'schema = 1\nname = "Our Bread"\nexercises = ["ex01-a", "ex01-b"]\nx = 1\n'
    with pytest.raises(UsageError) as caught:
        read_course(data, dict.fromkeys(("ex01-a", "ex01-b"), (EXERCISE, README)), file="course.toml")
    assert caught.value.message.splitlines() == [
        "`course.toml` is no course:",
        "  - `x` means nothing",
        "  - `name` has to be lower-case letters, digits and `-`",
        "  - `title` is missing",
        "  - two exercises are called `ex01`",
    ]
