"""A site profile as a value: facts under dotted keys, each with where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Value = str | float | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a fact was read. `kind`: official, third party, specification, knowledge, conclusion, measured, yours …"""

    key: str
    kind: str
    url: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that is known. `file` is the profile that says it; `verified` the day on which somebody saw it on the
    machine itself, empty when nobody did. `noted` are further sources, which the note or the value names: `[N17]`.
    """

    key: str
    value: Value
    file: str
    sources: tuple[Source, ...] = ()
    note: str = ""
    verified: str = ""
    noted: tuple[Source, ...] = ()

    @property
    def doubtful(self) -> bool:
        """Is it known without having been looked up, or a conclusion?"""
        return any(source.kind in ("knowledge", "conclusion") for source in self.sources)

    @property
    def shown(self) -> str:
        match self.value:
            case bool():
                return "yes" if self.value else "no"
            case tuple():
                return ", ".join(self.value)
            case float():
                return f"{self.value:g}" if self.value < 1e6 else f"{self.value:.0f}"
            case _:
                return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A site as it is known: later files of `files` override earlier ones, fact by fact."""

    name: str
    collected: str
    facts: Mapping[str, Fact]
    files: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    abstract: bool = False
    sources: Mapping[str, Source] = field(default_factory=dict)

    def fact(self, key: str) -> Fact | None:
        return self.facts.get(key)

    def text(self, key: str, default: str = "") -> str:
        found = self.facts.get(key)
        return default if found is None else found.shown

    def number(self, key: str, default: float = 0) -> float:
        found = self.facts.get(key)
        return found.value if found is not None and isinstance(found.value, float) else default

    def texts(self, key: str) -> tuple[str, ...]:
        found = self.facts.get(key)
        return found.value if found is not None and isinstance(found.value, tuple) else ()

    def flag(self, key: str, *, default: bool) -> bool:
        found = self.facts.get(key)
        return found.value if found is not None and isinstance(found.value, bool) else default

    def below(self, prefix: str) -> dict[str, Fact]:
        """The facts of a group by the rest of their keys: `below("nccl.env")` gives variables by name."""
        start = prefix + "."
        return {key.removeprefix(start): fact for key, fact in self.facts.items() if key.startswith(start)}

    def names_below(self, prefix: str) -> tuple[str, ...]:
        """The names that stand for a `*`: `names_below("filesystems")` gives `scratch`, `home`, …, in file order."""
        return tuple(dict.fromkeys(rest.partition(".")[0] for rest in self.below(prefix)))

    def folder_variables(self) -> tuple[str, ...]:
        """The variables by which the site names its file systems, but for HOME, which every machine has."""
        names = (self.text(f"filesystems.{name}.variable") for name in self.names_below("filesystems"))
        return tuple(name for name in dict.fromkeys(names) if name not in ("", "HOME"))

    def groups(self) -> Iterator[tuple[str, tuple[Fact, ...]]]:
        """The facts by the first word of their keys, in the order of the files."""
        words = dict.fromkeys(key.partition(".")[0] for key in self.facts)
        for word in words:
            yield word, tuple(fact for key, fact in self.facts.items() if key.partition(".")[0] == word)
