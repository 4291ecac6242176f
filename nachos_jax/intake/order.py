"""Classes with an order: stages, grades and words such as mild and severe, from the lowest to the highest."""

from __future__ import annotations

import re
from collections.abc import Collection

from nachos_jax.data.checks import whole
from nachos_jax.intake.words import GRADED, plain

_SCALE = (
    ("none", "no", "absent", "normal", "healthy", "keine", "kein", "gesund", "unauffallig", "absente"),
    ("doubtful", "questionable", "fraglich", "minimal", "trace", "very mild", "borderline"),
    ("mild", "low", "light", "slight", "small", "early", "leicht", "gering", "niedrig", "klein", "leger"),
    ("moderate", "medium", "intermediate", "middle", "mittel", "massig", "mittelgradig", "modere"),
    (
        "severe",
        "high",
        "strong",
        "large",
        "late",
        "advanced",
        "schwer",
        "hoch",
        "stark",
        "gross",
        "hochgradig",
    ),
    ("very severe", "critical", "proliferative", "end stage", "kritisch", "sehr schwer"),
)
"""Words for how much there is of something; those of a line mean the same."""
_RANK = {word: rank for rank, words in enumerate(_SCALE) for word in words}
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6}
_NUMBERED = re.compile(r"(?P<word>[a-z ]*?) ?(?P<number>\d+)(?P<further>[a-c]?)")
_STAGED = re.compile(r"(?P<word>[a-z ]*?) ?(?P<number>iv|vi|v|i{1,3})(?P<further>[a-c]?)")


def is_graded(name: str) -> bool:
    """Whether a column is called like grades."""
    told = plain(name)
    return told in GRADED or any(f" {word} " in f" {told} " for word in GRADED)


def order_of(name: str, values: Collection[str]) -> tuple[str, ...]:
    """The values of a column from the lowest to the highest; () where they have no order that is sure.

    Whole numbers have one only in a column that is called like grades: elsewhere they may be codes.
    """
    if len(values) < 3:
        return ()
    if all(map(whole, values)):
        return tuple(sorted(values, key=int)) if is_graded(name) else ()
    ranked = sorted((rank, value) for value in values if (rank := _rank(value, is_graded(name))))
    ranks = [rank for rank, _ in ranked]
    if len(set(ranks)) < len(values) or len({what for what, _, _ in ranks}) > 1:
        return ()
    return tuple(value for _, value in ranked)


def _rank(value: str, graded: bool) -> tuple[str, int, str] | None:
    """What a value is counted by, its place and what comes behind it; None of a value without a place."""
    told = plain(value)
    if told in _RANK:
        return ("", _RANK[told], "")
    for pattern in (_NUMBERED, _STAGED):
        found = pattern.fullmatch(told)
        if found and (graded or found["word"].strip() in GRADED):
            number = found["number"]
            place = int(number) if number.isdecimal() else _ROMAN[number]
            return (found["word"].strip(), place, found["further"])
    return None
