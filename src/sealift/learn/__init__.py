r"""A course as data, and how far somebody is in it. Values alone; `flows/learn.py` tells the stories.

A course is a folder with `course.toml` and a folder for each exercise:

    course.toml
        schema = 1
        name = "sealift"                       lower-case letters, digits, `-`
        title = "Containers for supercomputers"
        exercises = ["ex01-build-container", …]          the folders, `exNN-name`, in the order of the course

    ex01-build-container/
        README.md         what the learner reads
        exercise.toml     what the checker knows
        solution/STEP/    files of the solved step, laid over those of the steps before it
        …                 everything else is what the learner begins with

README.md: the first heading is the exercise's title and the paragraph below it says what it is. Each heading
`## N. Title` begins a step; the paragraph below it is the step's goal. The rest is prose and fences. Commands stand in
```sh fences, one a line; a ```text fence behind one shows the whole of what they print, `…` for what differs from
machine to machine (alone on a line: any lines). A comment before a fence tells how it is meant, in clauses with `;`:

    <!-- before -->                 run before the step is solved; without it, afterwards
    <!-- exit 3 -->                 its last command ends with 3
    <!-- not run: REASON -->        for a machine that is not there
    <!-- printed by: COMMAND -->    such commands, which COMMAND prints here, whole

Each step shows what `sealift learn check` says before it is solved, so that nobody is surprised.

exercise.toml:

    schema = 1
    minutes = 30

    [[step]]
    id = "mend"                                lower-case; in the order of the README's headings
    hints = ["from gentle …", "… to nearly the answer"]

    [[step.check]]
    kind = "recipe"                            one of `vocabulary.KINDS`, whose fields it has
    wants = "the recipe can be read"           true when it is right; shown with ✓ or ✗
    file = "stats.def"
    when = "gpu"                               only where that holds (`vocabulary.CONDITIONS`); else said to be left out

    [[step.check.mistake]]
    pattern = "(?m)^%pots"                     searched in what the check saw
    hint = "a section's name is misspelt"
    [step.check.mistake.example]               one wrong solution that it is for, from the solved step
    file = "stats.def"
    replace = "%post"
    by = "%pots"
    run = ["sealift build -F stats.sif stats.def"]       optional: commands for it to show

A check of a step has to stay right in all later steps: the checker looks at all of them. A course brings no code: its
commands run inside images alone, shut off from the home folder, the environment and all files but those that it binds
from the working folder, read-only.
"""
