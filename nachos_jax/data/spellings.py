"""One thing in two spellings: one patient as two subjects leaks between folds, one class as two is noise."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from nachos_jax.core.errors import UsageError

REFUSE, JOIN, APART = "refuse", "join", "apart"
MISSING = frozenset(
    ("", "nan", "-nan", "none", "null", "nil", "na", "n/a", "n.a", "n.a.", "<na>", "nat", "?", "??", "???")
    + ("(null)", "\\n", "n / a", "n/d", "not available", "not applicable", ".", "--", "---")
    + ("1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "#nv", "#wert!", "#bezug!", "#spill!", "#calc!")
    + ("#n/a", "#na", "#n/a n/a", "#null!", "#value!", "#ref!", "#div/0!", "#num!", "#name?")
)
"""What table writers leave where a value is missing, canonical."""
NOBODY = frozenset(("-", "unknown", "not known", "unk", "missing", "anonymous", "anonymized", "anonymised"))
"""What stands for a subject that nobody knows: as one subject it would be the largest of all."""
SHOWN = 10
_DECIMAL = re.compile(r"([+-]?\d+)\.(\d*?)0*")
_ZEROS = re.compile(r"(?<![\d.,])0+(?=\d)")
_UNSEEN = frozenset(map(chr, (0x34F, 0x115F, 0x1160, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10))))
"""Marks that nobody sees and that are no format characters (Cf) by Unicode."""


def canonical(text: str) -> str:
    """What all spellings of a text have in common.

    Unicode's compatible forms (NFKC), case, invisible marks, kinds of dashes and of digits, runs of blanks,
    quotes around, "1.0" for 1 and leading zeros of numbers are no differences.
    """
    if not text.isascii() or not text.isprintable():
        text = "".join(mark for mark in text if not _unseen(mark))
        text = unicodedata.normalize("NFKC", text)
        text = unicodedata.normalize("NFKC", text.casefold())
        text = "".join(map(_plain, text))
    text = " ".join(text.casefold().split()).strip("'\" ")
    decimal = _DECIMAL.fullmatch(text)
    if decimal:
        text = f"{decimal[1]}.{decimal[2]}" if decimal[2] else decimal[1]
    return _ZEROS.sub("", text)


def _unseen(mark: str) -> bool:
    kind = unicodedata.category(mark)
    return kind == "Cf" or mark in _UNSEEN or (kind == "Cc" and not mark.isspace())


def _plain(mark: str) -> str:
    """The ASCII form of a dash or of a digit of any script."""
    if mark == "\N{MINUS SIGN}" or unicodedata.category(mark) == "Pd":
        return "-"
    return str(unicodedata.decimal(mark, mark))


def is_missing(text: str, words: frozenset[str] = MISSING) -> bool:
    """Whether a cell says that its value is not known."""
    return (text.strip().lower() if text.isascii() else canonical(text)) in words


def settled(
    values: Sequence[str], what: str, where: Callable[[int], str], rule: str, listed: Sequence[str] = ()
) -> Sequence[str]:
    """The values, each in one spelling.

    Args:
        values: N cells of a column.
        what: the column, for messages.
        where: row number -> the row as people find it.
        rule: config.data.spellings: "refuse" spellings that meet, "join" them to the one that is listed, else
            to the shortest, or take them "apart" as they stand.
        listed: spellings that the user has written down.

    Raises:
        UsageError: two spellings meet and the rule refuses them.
    """
    first: dict[str, int] = {}
    for row, value in enumerate(values):
        first.setdefault(value, row)
    groups: dict[str, list[str]] = {}
    for value in first if rule != APART else ():
        groups.setdefault(canonical(value), []).append(value)
    if rule == JOIN:
        written = {canonical(value): value for value in reversed(listed)}
        chosen = {
            value: written.get(form) or min(group, key=lambda text: (len(text), text))
            for form, group in groups.items()
            for value in group
        }
        return [chosen[value] for value in values]
    meeting = [group for group in groups.values() if len(group) > 1]
    if meeting:
        lines = [
            " and ".join(f"{_shown(value)} ({where(first[value])})" for value in group[:3])
            for group in meeting[:SHOWN]
        ]
        lines += [f"and {len(meeting) - SHOWN} more"] if len(meeting) > SHOWN else []
        raise UsageError(
            "\n  ".join([f"a {what} in more than one spelling:", *lines])
            + f"\nIf they are one {what}, set config.data.spellings = 'join', if they are not, 'apart' (in "
            "Python: `spellings` of nachos_jax.ArrayCases); or mend the data."
        )
    return values


def _shown(text: str) -> str:
    return repr(text) if repr(text) == ascii(text) else f"{text!r} = {ascii(text)}"
