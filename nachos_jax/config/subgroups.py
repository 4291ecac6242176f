"""Subgroups, written in configs as short texts: sex, or with cuts through a number, age(40, 65)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from nachos_jax.core.errors import UsageError

MOST = 12
"""Groups of a column; with more of them a report says nothing that can be read."""
UNKNOWN = "not known"
_FORM = re.compile(r"\s*(?P<column>[^()]+?)\s*(?:\((?P<cuts>[^()]*)\))?\s*")


@dataclass(frozen=True)
class Subgroups:
    """How a column divides the cases.

    Attributes:
        column: of the case table.
        cuts: rising numbers; a value belongs to the band that begins with the largest cut not above it.
    """

    column: str
    cuts: tuple[float, ...] = ()

    def of(self, values: Sequence[str]) -> list[str]:
        """The group of each case.

        Args:
            values: N cells of the column; an empty one is "not known".

        Raises:
            UsageError: a cell that is no number though there are cuts, or more than 12 groups without.
        """
        if self.cuts:
            return [self._band(value.strip(), row) for row, value in enumerate(values)]
        groups = [value.strip() or UNKNOWN for value in values]
        if len(set(groups)) > MOST:
            raise UsageError(
                f"config.report.subgroups: column {self.column!r} has {len(set(groups))} different values, "
                f"and more than {MOST} groups cannot be read: give cuts, like {self.column}(40, 65), or take "
                "another column."
            )
        return groups

    def order(self, groups: Sequence[str]) -> list[str]:
        """The groups that occur, bands from low to high, the unknown last."""
        names = [self._name(k) for k in range(len(self.cuts) + 1)] if self.cuts else sorted(set(groups))
        known = [name for name in names if name in set(groups) and name != UNKNOWN]
        return known + [UNKNOWN] * (UNKNOWN in groups)

    def _band(self, value: str, row: int) -> str:
        if not value:
            return UNKNOWN
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise UsageError(
                f"config.report.subgroups: column {self.column!r} holds {value!r} (case {row + 1}), which is "
                "no number, so cuts cannot divide it: mend the cell, empty it if it is not known, or leave "
                "the cuts out."
            )
        return self._name(sum(number >= cut for cut in self.cuts))

    def _name(self, band: int) -> str:
        if band == 0:
            return f"below {self.cuts[0]:.15g}"
        if band == len(self.cuts):
            return f"{self.cuts[-1]:.15g} and above"
        return f"{self.cuts[band - 1]:.15g} to below {self.cuts[band]:.15g}"


def parse(texts: Sequence[str]) -> tuple[Subgroups, ...]:
    """Reads config.report.subgroups.

    Raises:
        UsageError: a text of another form, cuts that do not rise, or a column twice.
    """
    found: list[Subgroups] = []
    for text in texts:
        match = _FORM.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise UsageError(
                f"config.report.subgroups: {text!r}: must be a column, like 'sex', or a column with cuts, "
                "like 'age(40, 65)'."
            )
        cuts = _cuts(text, match["cuts"])
        if match["column"] in [other.column for other in found]:
            raise UsageError(f"config.report.subgroups names column {match['column']!r} twice; drop one.")
        found.append(Subgroups(match["column"], cuts))
    return tuple(found)


def _cuts(text: str, inside: str | None) -> tuple[float, ...]:
    if inside is None:
        return ()
    try:
        cuts = tuple(float(part) for part in inside.split(","))
    except ValueError:
        cuts = (math.nan,)
    if not all(map(math.isfinite, cuts)) or list(cuts) != sorted(set(cuts)):
        raise UsageError(
            f"config.report.subgroups: {text!r}: the cuts must be rising numbers, like 'age(40, 65)'."
        )
    return cuts
