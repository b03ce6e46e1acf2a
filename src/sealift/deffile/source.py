"""A text and where each of its characters stands in the file that a person wrote."""

from __future__ import annotations

import bisect
from dataclasses import dataclass

from sealift.deffile.characters import printable
from sealift.errors import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """`text[start:end]` of a source comes from `[origin_start:origin_end]` of the file.

    A copy stands there character by character. Else a placeholder was replaced, and every character of the replacement
    stands where the placeholder stood.
    """

    start: int
    end: int
    origin_start: int
    origin_end: int
    is_copy: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`text`, which is a stage of `file` or what became of it when its placeholders were replaced."""

    file: str
    text: str
    whole: str
    """The file's text; spans point into it."""
    segments: tuple[Segment, ...]
    line_starts: tuple[int, ...]
    """Offsets in `whole` at which its lines start."""

    def origin(self, offset: int, *, end: bool = False) -> int:
        """The offset in the file of the character at `offset`; with `end`, of the place behind the one before."""
        at = max(0, offset - 1) if end else offset
        row = max(0, bisect.bisect_right(self.segments, at, key=lambda segment: segment.start) - 1)
        segment = self.segments[row]
        if segment.is_copy:
            return segment.origin_start + offset - segment.start
        return segment.origin_end if end else segment.origin_start

    def line_number(self, offset: int) -> int:
        return bisect.bisect_right(self.line_starts, self.origin(offset))

    def span(self, start: int, end: int) -> Span:
        """The place of `text[start:end]`, cut to its first line; at least one character long."""
        first, last = self.origin(start), self.origin(end, end=True)
        row = bisect.bisect_right(self.line_starts, first) - 1
        begin = self.line_starts[row]
        stop = self.whole.find("\n", begin)
        line = self.whole[begin : stop if stop >= 0 else len(self.whole)].removesuffix("\r")
        column = first - begin
        return Span(
            file=self.file,
            line=row + 1,
            column=column + 1,
            length=max(1, min(last - first, len(line) - column)),
            text=printable(line),
        )

    def part(self, start: int, end: int) -> Source:
        """`text[start:end]` as a source of its own."""
        origin = self.origin(start)
        return Source(
            file=self.file,
            text=self.text[start:end],
            whole=self.whole,
            segments=(Segment(start=0, end=end - start, origin_start=origin, origin_end=origin + end - start),),
            line_starts=self.line_starts,
        )


def source_of(text: str, file: str) -> Source:
    starts = [0]
    at = text.find("\n")
    while at >= 0:
        starts.append(at + 1)
        at = text.find("\n", at + 1)
    return Source(
        file=file,
        text=text,
        whole=text,
        segments=(Segment(start=0, end=len(text), origin_start=0, origin_end=len(text)),),
        line_starts=tuple(starts),
    )
