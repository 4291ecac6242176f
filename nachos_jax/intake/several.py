"""Several labels a case: a cell that lists them, or a column of yes and no for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from nachos_jax.data.spellings import canonical, is_missing
from nachos_jax.intake.words import BESIDE, NOTHING, plain, role_by_name, tells_who

MARKS = "|;,+&/"
"""What stands between labels in a cell; the first that fits is taken."""
MOST, LONGEST = 60, 60
"""Labels that a column can list, and letters of one."""
FEWEST = 5
"""Cases that must have, and that must not have, a label before it can be learned in every fold."""
_YES = frozenset(("1", "true", "yes", "y", "ja", "j", "oui", "si", "x", "+", "pos", "positive", "positiv"))
_NO = frozenset(("0", "false", "no", "n", "nein", "non", "-", "neg", "negative", "negativ"))
_UNSURE = frozenset(("-1", "uncertain", "unsure", "fraglich", "unklar", "incertain"))


def meaning(cell: str) -> str | None:
    """What a cell says of a label: "1" there, "0" not there, "" not known; None where it says nothing so."""
    told = canonical(cell)
    if is_missing(cell) or told in _UNSURE:
        return ""
    return "1" if told in _YES else "0" if told in _NO else None


def plain_cells(cells: Iterable[str]) -> bool:
    """Whether cells say 1 and 0 in the way of numbers and truth values, which the task reads too."""
    return {cell.lower() for cell in cells} <= {"1", "0", "1.0", "0.0", "true", "false", ""}


def is_label(name: str, values: Iterable[str], missing: int) -> bool:
    """Whether a column says for each case yes or no, and by its name could be what an image shows.

    Args:
        name: of the column.
        values: its different values.
        missing: cells without one: beside crosses alone they mean no.
    """
    found = {meaning(value) for value in values}
    if None in found or "1" not in found or not ("0" in found or missing):
        return False
    return role_by_name(name) in ("", "label") and not tells_who(name) and plain(name) not in BESIDE


def written(cells: Sequence[str]) -> list[str]:
    """Such a column as 1, 0 and "" (not known); where no cell says no, empty ones do, as beside crosses."""
    told = [meaning(cell) or "" for cell in cells]
    return told if "0" in told else [one or "0" for one in told]


def one_hot(columns: Sequence[Sequence[str]]) -> bool:
    """Whether each case has exactly one of the labels, none unknown: they are classes."""
    return all(row.count("1") == 1 and "" not in row for row in zip(*columns, strict=True))


def mark_of(values: Collection[str]) -> str:
    """What stands between the labels that the values of a column list; "" if they list none.

    Most of the labels must stand in several different lists, or alone too, as "edema|mass" beside "mass".
    """
    for mark in MARKS:
        lists = {value: parts_of(value, mark) for value in values}
        several = {part for parts in lists.values() if len(parts) > 1 for part in parts}
        if not several or all(part.replace(".", "").isdecimal() for part in several):
            continue
        met = Counter(part for parts in lists.values() for part in parts)
        often = sum(met[part] > 1 for part in several)
        if len(met) <= MOST and max(map(len, met)) <= LONGEST and 2 * often > len(several):
            return mark
    return ""


def parts_of(cell: str, mark: str) -> tuple[str, ...]:
    """The labels that a cell lists."""
    return tuple(dict.fromkeys(filter(None, (part.strip() for part in cell.split(mark)))))


def is_nothing(label: str) -> bool:
    """Whether a word says that there is none of the labels."""
    return plain(label) in NOTHING


def spread(cells: Sequence[str], mark: str) -> tuple[dict[str, list[str]], list[str]]:
    """A column that lists labels as one of 1 and 0 for each.

    Returns:
        N cells by label, "" where the list is missing; and the words that stand for none of them.
    """
    # "None" and "nil", which elsewhere are missing values, are the words of a list without labels.
    missing = [is_missing(cell) and not is_nothing(cell) for cell in cells]
    lists = [() if lost else parts_of(cell, mark) for cell, lost in zip(cells, missing, strict=True)]
    every = sorted({part for parts in lists for part in parts}, key=str.casefold)
    nothing = [part for part in every if is_nothing(part)]
    found = {
        label: ["" if not parts else str(int(label in parts)) for parts in lists]
        for label in every
        if label not in nothing
    }
    return found, nothing


def frequent(columns: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str]]:
    """The labels that enough cases have and have not, and the others with their counts, in words."""
    kept, rare = [], []
    for name, cells in columns.items():
        counts = cells.count("1"), cells.count("0")
        if min(counts) >= FEWEST:
            kept.append(name)
        else:
            rare.append(f"{name} ({counts[0]} of {sum(counts)})")
    return kept, rare
