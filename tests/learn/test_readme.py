"""A README becomes its steps, goals and fences, whatever stands in its fences."""

from __future__ import annotations

from sealift.learn.readme import Fence, Part, read_readme

TEXT = """\
# Bake bread

What it is, in **two**
lines with a [link](https://example.org).

More.

## 1. Knead

A goal.

<!-- before; exit 3 -->

```sh
knead flour.txt   # a comment
# only a comment
knead -F
```

```text
# No heading
## 2. Nor a step
```

## Aside

Nothing.

## 2. Bake

<!-- a comment of the author's -->
Hot.

````sh
cat <<'X'
```
X
````

<!-- not run: there is no oven here; printed by: oven --print -->
```sh
oven bread
```
"""


def test_a_whole_text():
    readme = read_readme(TEXT)
    assert (readme.title, readme.about) == ("Bake bread", "What it is, in two lines with a link.")
    assert [(part.number, part.title, part.goal) for part in readme.parts] == [
        (0, "Bake bread", "What it is, in two lines with a link."),
        (1, "Knead", "A goal."),
        (0, "Aside", "Nothing."),
        (2, "Bake", "<!-- a comment of the author's --> Hot."),
    ]
    assert readme.steps == (readme.parts[1], readme.parts[3])
    assert readme.parts[1].fences == (
        Fence(
            language="sh",
            body="knead flour.txt   # a comment\n# only a comment\nknead -F",
            line=14,
            before=True,
            code=3,
        ),
        Fence(language="text", body="# No heading\n## 2. Nor a step", line=20),
    )
    assert readme.parts[1].fences[0].commands == ("knead flour.txt", "knead -F")
    assert readme.parts[3].fences == (
        Fence(language="sh", body="cat <<'X'\n```\nX", line=34),
        Fence(language="sh", body="oven bread", line=41, reason="there is no oven here", printer="oven --print"),
    )


def test_what_means_nothing_is_kept_for_the_author():
    (part,) = read_readme("# A\n\nB.\n\n<!-- befor; exit now -->\n```sh\nx\n```\n").parts
    assert part.fences[0].unknown == ("befor", "exit now")


def test_an_empty_text():
    assert read_readme("").parts == (Part(number=0, title="", goal="", text="", fences=()),)
