"""Which columns tell label, subject, site, age, sex and fold, and why; what stays unsure is left open."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nachos_jax.data.spellings import is_missing
from nachos_jax.intake import several
from nachos_jax.intake.tables import is_number
from nachos_jax.intake.words import PARTS, ROLES, plain, role_by_name, tells_who

CLASSES = 20
"""A column with more different values is no class."""
START = "name_start"
"""The column of what file names start with, which groups cases however few there are."""
_DATE = re.compile(r"(\d{4}-\d\d?-\d\d?|\d{1,2}[./]\d{1,2}[./]\d{2,4}|(19|20)\d{6})([ T][\d:.]+)?")

Columns = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Choice:
    """A role and its column.

    Attributes:
        column: "" where none is sure.
        why: in words.
        others: further columns that could be meant, with the reason.
    """

    column: str = ""
    why: str = ""
    others: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Facts:
    """What the cells of a column look like."""

    values: Counter[str]
    missing: int
    numbers: bool
    dates: bool

    @property
    def distinct(self) -> int:
        """Different values, missing ones left out."""
        return len(self.values)

    @property
    def told(self) -> str:
        """In words."""
        share = f", {self.missing} missing" if self.missing else ""
        once = "each once" if self.values and max(self.values.values()) == 1 else "repeated over cases"
        return f"{self.distinct} different value{'s' if self.distinct != 1 else ''}, {once}{share}"

    @property
    def classes(self) -> bool:
        """Whether it could be a class."""
        return 2 <= self.distinct <= CLASSES and sum(self.values.values()) >= 2 * self.distinct

    @functools.cached_property
    def mark(self) -> str:
        """What stands between the labels that its cells list; "" where they list none."""
        return "" if self.numbers or self.dates else several.mark_of(self.values)

    @property
    def counts(self) -> str:
        """The values of a class with their counts."""
        shown = [f"{value} {count}" for value, count in self.values.most_common(8)]
        return ", ".join(shown) + (" ..." if self.distinct > 8 else "")


def facts_of(cells: Sequence[str]) -> Facts:
    """Counts the values of a column."""
    return _facts(tuple(cells))


@functools.lru_cache(maxsize=512)  # the same columns are asked for again and again
def _facts(cells: tuple[str, ...]) -> Facts:
    filled = [cell for cell in cells if not is_missing(cell)]
    return Facts(
        values=Counter(filled),
        missing=len(cells) - len(filled),
        numbers=bool(filled) and all(map(is_number, filled)),
        dates=bool(filled) and all(_DATE.fullmatch(cell) for cell in filled),
    )


def is_split(facts: Facts) -> bool:
    """Whether the values are parts of a shipped split, like train and test."""
    return 2 <= facts.distinct <= 4 and all(plain(value) in PARTS for value in facts.values)


def is_folds(facts: Facts) -> bool:
    """Whether the values are fold numbers without a hole."""
    return 2 <= facts.distinct <= CLASSES and set(facts.values) == set(map(str, range(facts.distinct)))


def private(name: str, facts: Facts, rows: int) -> str:
    """What a column holds that is not copied: who the patient is, dates, free text, ids; "" if it is."""
    if tells_who(name):
        return "who a patient is, or what people write by hand"
    if facts.dates:
        return "dates"
    if not facts.numbers and facts.distinct > max(CLASSES, rows // 10):
        return "free text"
    whole = facts.numbers and all(value.isdecimal() for value in facts.values)
    if whole and facts.distinct > 0.9 * rows and any(len(value) > 4 for value in facts.values):
        return "numbers that look like ids"
    return "empty" if not facts.distinct else ""


def choose(columns: Columns) -> dict[str, Choice]:
    """The column of each role, by its name first and by its values then."""
    facts = {name: facts_of(cells) for name, cells in columns.items()}
    named = {name: role_by_name(name) for name in columns}
    splits = [name for name in columns if is_split(facts[name])]
    folds = [name for name in columns if named[name] == "fold" and is_folds(facts[name])]
    fits = {
        "subject": lambda one: one.distinct > 1,
        "site": lambda one: 1 < one.distinct <= 200 and one.distinct < sum(one.values.values()),
        "age": lambda one: one.numbers,
        "sex": lambda one: 1 <= one.distinct <= 4,
    }
    found = {
        role: _by_name(role, [name for name in columns if named[name] == role and fit(facts[name])], facts)
        for role, fit in fits.items()
    }
    if not found["subject"].column:
        found["subject"] = Choice(others=_groups(facts))
    found["fold"] = _by_name("fold", folds, facts)
    found["split"] = (
        Choice(splits[0], f"its values are parts of a shipped split: {facts[splits[0]].counts}")
        if (splits)
        else Choice()
    )
    taken = {choice.column for choice in found.values()} | {*splits, *folds}
    return {**found, "label": _label({n: f for n, f in facts.items() if n not in taken}, named)}


def _by_name(role: str, names: Sequence[str], facts: Mapping[str, Facts]) -> Choice:
    """The column whose name is the surest; the others are told."""
    if not names:
        return Choice()
    words = [word.replace(" ", "") for word in ROLES[role]]
    ranked = sorted(names, key=lambda name: words.index(plain(name).replace(" ", "")))
    told = [(name, f"called so, {facts[name].told}") for name in ranked]
    return Choice(*told[0], tuple(told[1:]))


def _groups(facts: Mapping[str, Facts]) -> tuple[tuple[str, str], ...]:
    """Columns that repeat over cases and are called like groups of them."""
    return tuple(
        (name, f"groups the cases: {one.told}")
        for name, one in facts.items()
        if plain(name).endswith(("group", " id", "folder", "start"))
        and (1 if name == START else CLASSES) < one.distinct < sum(one.values.values())
    )


def _label(facts: Mapping[str, Facts], named: Mapping[str, str]) -> Choice:
    """The one column that is called like a label and can be one; several, or none, stay open."""
    called = [name for name in facts if named[name] == "label" and _target(facts[name])]
    if len(called) == 1:
        one = facts[called[0]]
        told = one.counts if one.classes else f"numbers, {one.told}"
        told = f"labels with {one.mark!r} between" if one.mark else told
        return Choice(called[0], f"called so, {told}", _few_values(facts, named, called))
    if called:
        told = tuple((name, f"called so, {facts[name].counts}") for name in called)
        return Choice(others=told, why=f"{len(called)} columns are called like a label")
    odd = [name for name in facts if named[name] == "label"]
    why = (
        f"{odd[0]!r} is called so, and has {facts[odd[0]].told}"
        if odd
        else "no column is called like a label"
    )
    return Choice(others=(*_few_values(facts, named, ()), *_amounts(facts, named)), why=why)


def _target(one: Facts) -> bool:
    return one.classes or (one.numbers and one.distinct > CLASSES) or bool(one.mark)


def _few_values(
    facts: Mapping[str, Facts], named: Mapping[str, str], taken: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Columns that nothing else claims, whose few values could be classes."""
    names = [
        name
        for name, one in facts.items()
        if one.classes
        and name not in (*taken, START)
        and named[name] in ("", "fold", "label")
        and not tells_who(name)
    ]
    return tuple((name, f"few values: {facts[name].counts}") for name in names)


def _amounts(facts: Mapping[str, Facts], named: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Columns of numbers that nothing else claims, which a regression could predict."""
    names = [
        name
        for name, one in facts.items()
        if one.numbers and not one.classes and one.distinct > CLASSES and named[name] in ("", "label")
    ]
    rows = {name: sum(facts[name].values.values()) + facts[name].missing for name in names}
    return tuple(
        (name, f"numbers, {facts[name].told}, with config.task.name = 'regression'")
        for name in names
        if not private(name, facts[name], rows[name])
    )[:8]
