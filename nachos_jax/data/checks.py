"""Checks of case tables: every one says what is wrong, in which row, and the cure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data.spellings import MISSING, NOBODY, is_missing

Where = Callable[[int], str]
"""Row number from 0 -> the row as people find it."""
SHOWN = 10
"""Faulty rows that a message names."""


def hint(name: str, options: Iterable[str]) -> str:
    """ " Did you mean 'x'?" for the closest option, or "" when none is close."""
    close = difflib.get_close_matches(name, list(options), 1, 0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def listed(values: Iterable[object], limit: int = 8) -> str:
    """The first values as text, and how many more there are."""
    words = [repr(value) for value in values]
    more = f" and {len(words) - limit} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more


def refuse(faults: Sequence[tuple[int, str]], where: Where, cure: str) -> None:
    """Raises UsageError when rows of a table are faulty: it names the first ten, and how many there are.

    Args:
        faults: row numbers, and what is wrong there.
        where: row number -> the row as people find it.
        cure: what to do.
    """
    if not faults:
        return
    (row, told), *others = faults
    lines = [
        f"{where(row)}: {told}; {cure}.",
        *(f"{where(row)}: {told}" for row, told in others[: SHOWN - 1]),
    ]
    if len(others) >= SHOWN:
        lines.append(f"and {len(others) - SHOWN + 1} more")
    raise UsageError("\n  ".join(lines) + (f"\n{len(faults)} rows in all." if others else ""))


def underscores(cells: Sequence[str], what: str, where: Where) -> tuple[str, ...]:
    """A doubt (see `nachos_jax.data.table.Cohort`) about cells that were read as numbers; () where none is.

    Python passes over underscores between digits: what was meant as 12.5 and is written 12_5 would be 125.

    Args:
        cells: all of a column.
        what: the column is called.
        where: row number -> the row as people find it.
    """
    rows = [row for row, cell in enumerate(cells) if "_" in cell]
    if not rows:
        return ()
    more = f", and {len(rows) - 1:,} more likewise" if len(rows) > 1 else ""
    return (
        f"{where(rows[0])}: {what} {cells[rows[0]]!r} is read as {float(cells[rows[0]]):.15g}{more}: write "
        "numbers with a decimal point and without underscores.",
    )


def together(*steps: Callable[[], Any]) -> list[Any]:
    """What the steps give; what they refuse, the first ten and their number, is raised as one UsageError."""
    found, told = [], []
    for step in steps:
        try:
            found.append(step())
        except UsageError as error:
            told.append(str(error))
    if told:
        more = [f"and {len(told) - SHOWN} more"] if len(told) > SHOWN else []
        raise UsageError("\n".join([*told[:SHOWN], *more]))
    return found


def no_empty(values: Sequence[str], what: str, where: Where, known: Collection[str] = ()) -> None:
    """Raises UsageError when values of a column are missing; what is `known` is no such value."""
    words = MISSING | NOBODY if what == "subject" else MISSING
    empty = {value for value in set(values) if is_missing(value, words) and not (value and value in known)}
    faults = [(row, f"{what} {value!r} is missing") for row, value in enumerate(values) if value in empty]
    cure = "write 'unknown' if it is not known" if what == "site" else "fill it in or drop the row"
    if what == "label" and any(empty):
        faults = [(row, told.replace("is missing", "reads like a missing value")) for row, told in faults]
        cure = (
            "if it is a class, rename it (e.g. 'no_finding') or list all classes in config.data.classes (in "
            "Python: `classes`), else fill it in or drop the row"
        )
    refuse(faults, where, cure)


def class_order(
    labels: Sequence[str],
    order: Sequence[str],
    wanted: Sequence[str],
    where: Where,
    source: str,
    partial: bool = False,
) -> tuple[str, ...]:
    """The class names in the order of the probabilities.

    Args:
        labels: N class names.
        order: the source's own order, () when it has none.
        wanted: config.data.classes; () takes `order`, or sorts: whole numbers by value, else by text.
        where: row number -> the row as people find it.
        source: file or folder, for messages.
        partial: whether the classes wanted may be without cases, as those of external cases.

    Returns:
        At least two names, each with a case.

    Raises:
        UsageError: a label that is not listed, a class without cases, a class twice, one class only.
    """
    present = set(labels)
    names, origin = (tuple(wanted), "config.data.classes") if wanted else (tuple(order), "label names")
    if not names:
        names = tuple(sorted(present, key=_by_value if all(map(whole, present)) else None))
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"{source}: class {twice[0]!r} stands twice in {origin}; list each class once.")
    strange = {
        label: f"label {label!r} is not listed.{hint(label, names)}".rstrip(".")
        for label in present.difference(names)
    }
    faults = [(row, strange[label]) for row, label in enumerate(labels) if label in strange]
    if partial:
        refuse(faults, where, f"mend the label or drop the row: models tell apart {listed(names)} alone")
        return names
    refuse(faults, where, f"mend the label or add the class to {origin} ({listed(names)})")
    empty = [name for name in names if name not in present]
    if empty:
        raise UsageError(
            f"{source}: class {empty[0]!r} of {origin} has no case; set config.data.classes to the classes "
            f"that have cases ({listed(name for name in names if name in present)})."
        )
    if len(names) < 2:
        raise UsageError(
            f"{source}: all {len(labels)} cases have the label {labels[0]!r}; classification needs at least "
            "two classes. Add the cases of the others."
        )
    return names


def whole(text: str) -> bool:
    """Whether a text is a whole number."""
    return text.removeprefix("-").isdecimal()


def _by_value(text: str) -> tuple[int, str]:
    return int(text), text


def fold_numbers(values: Sequence[str], where: Where, source: str) -> np.ndarray:
    """Predefined folds as numbers.

    Args:
        values: N texts.
        where: row number -> the row as people find it.
        source: file or folder, for messages.

    Returns:
        [N] int32, all of 0 .. K-1 taken.

    Raises:
        UsageError: a value that is no whole number from 0, or a number below the highest without case.
    """
    faults = [
        (row, f"fold {value!r} is not a whole number from 0")
        for row, value in enumerate(values)
        if not value.isdecimal() or len(value) > 9
    ]
    refuse(faults, where, "number the folds 0, 1, 2, ..")
    folds = np.asarray([int(value) for value in values], np.int64)
    taken = set(folds.tolist())
    missing = next(number for number in range(len(taken) + 1) if number not in taken)
    if missing < folds.max():
        raise UsageError(
            f"{source}: fold {missing} has no case, though folds up to {folds.max()} are used; number the "
            f"{len(taken)} folds 0 to {len(taken) - 1} without a hole."
        )
    return folds.astype(np.int32)


def subjects_in_one_fold(subjects: Sequence[str], folds: np.ndarray, where: Where) -> None:
    """Raises UsageError when a subject's cases lie in two predefined folds, naming both rows."""
    first: dict[str, int] = {}
    for row, subject in enumerate(subjects):
        before = first.setdefault(subject, row)
        if folds[before] != folds[row]:
            raise UsageError(
                f"{where(row)}: subject {subject!r} is in fold {folds[row]}, but in fold {folds[before]} at "
                f"{where(before)}; put all cases of a subject into one fold."
            )
