"""Vectors: cases given by features [D], and what a fit learns of them from its training cases alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data import checks
from nachos_jax.data.checks import Where
from nachos_jax.data.content import pixel_digest
from nachos_jax.data.store import Dense

_MIDDLES: dict[str, Callable[[np.ndarray], np.floating]] = {"mean": np.mean, "median": np.median}
"""Ways to impute a column, by their names in config.data.impute."""
FAR = 10_000
"""Mean over spread of a column beyond which float32 keeps too few digits of its differences."""
_LEAVE = "or leave it out with config.data.exclude"


@dataclass(frozen=True)
class Vectors(Dense):
    """The features of N cases: `values` are [N, D] float32, NaN where one is missing.

    Attributes:
        impute: config.data.impute; "" where none may be missing.
    """

    impute: str = ""

    def sums(self) -> ColumnStatistics:
        """What training cases tell of each column."""
        return ColumnStatistics(self.values, self.impute)

    def content(self) -> dict[str, str]:
        """Digest of the features, and how they are imputed."""
        return {"values": pixel_digest(self.values), "impute": self.impute}


class ColumnStatistics:
    """Mean, standard deviation and fill of each column over any training cases.

    They are those of scikit-learn's SimpleImputer and StandardScaler, fitted on the training cases one after
    the other. A column that does not vary there has an infinite standard deviation: it tells a fit nothing,
    and stands at 0 whatever other cases hold.
    """

    def __init__(self, values: np.ndarray, impute: str = ""):
        self._values, self._impute = values, impute
        self._known: dict[bytes, tuple[np.ndarray, np.ndarray, np.ndarray | None]] = {}

    def mean_sd(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, each [D] float32, over the cases chosen by [N] bool, once imputed."""
        return self._of(chosen)[:2]

    def fill(self, chosen: np.ndarray) -> np.ndarray | None:
        """[D] float32: mean or median of the values known, 0 of a column without any; None without impute."""
        return self._of(chosen)[2]

    def _of(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        # Many fits leave out the same folds, and a pass over all columns takes longer than a small fit.
        key = np.packbits(chosen).tobytes()
        if key not in self._known:
            self._known[key] = self._statistics(self._values[chosen].astype(np.float64))
        return self._known[key]

    def _statistics(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        fill = _fill(rows, self._impute) if self._impute else None
        if not len(rows):
            columns = rows.shape[1]
            return np.zeros(columns, np.float32), np.ones(columns, np.float32), fill
        rows = rows if fill is None else np.where(np.isnan(rows), fill, rows)
        varies = rows.min(axis=0) < rows.max(axis=0)
        mean, sd = rows.mean(axis=0), np.where(varies, rows.std(axis=0), np.inf)
        return mean.astype(np.float32), sd.astype(np.float32), fill


def _fill(rows: np.ndarray, impute: str) -> np.ndarray:
    middle = _MIDDLES[impute]
    known = [column[~np.isnan(column)] for column in rows.T]
    return np.asarray([middle(values) if len(values) else 0.0 for values in known], np.float32)


def checked(values: np.ndarray, names: Sequence[str], where: Where, impute: str) -> np.ndarray:
    """Features as they are stored, once nothing in them is wrong.

    Args:
        values: [N, D] numbers, NaN where one is missing.
        names: of the D columns.
        where: row number -> the row as people find it.
        impute: config.data.impute.

    Returns:
        [N, D] float32.

    Raises:
        UsageError: an infinite or a missing value, a column that is empty or the same for all cases; it names
            the columns.
    """
    found = stored(values, names, where, impute)
    known = ~np.isnan(found)
    empty = np.asarray(~known.any(axis=0))
    low, high = np.where(known, found, np.inf).min(axis=0), np.where(known, found, -np.inf).max(axis=0)
    _refuse(names, empty, "hold no value at all", "leave them out with config.data.exclude")
    _refuse(
        names,
        np.asarray(low == high),
        "are the same for all cases (or differ by less than float32 tells apart)",
        "leave them out with config.data.exclude",
    )
    return found


def stored(values: np.ndarray, names: Sequence[str], where: Where, impute: str) -> np.ndarray:
    """Features as [N, D] float32, as `checked`, of cases to predict.

    Raises:
        UsageError: an infinite value, or a missing one that nothing stands for.
    """
    with np.errstate(over="ignore"):
        found = np.asarray(values).astype(np.float32)
    _refuse_cells(np.isinf(found), names, where, "infinite, or too large for float32", f"mend it, {_LEAVE}")
    if not impute:
        cure = f"fill it in, set config.data.impute = 'median' or 'mean' (of the training cases), {_LEAVE}"
        _refuse_cells(np.isnan(found), names, where, "missing", cure)
    return found


def far_from_zero(values: np.ndarray, names: Sequence[str]) -> list[str]:
    """A sentence on columns whose spread float32 hardly tells apart; [] where there is none."""
    with np.errstate(invalid="ignore"):
        mean, spread = (find(values, axis=0, dtype=np.float64) for find in (np.nanmean, np.nanstd))
        far = np.abs(mean) > FAR * spread
    columns = [name for name, wrong in zip(names, far.tolist(), strict=True) if wrong]
    if not columns:
        return []
    return [
        f"{len(columns)} feature(s) vary by less than 1 / {FAR:,} of their mean, which float32 hardly tells "
        f"apart: {checks.listed(columns)}; subtract a constant from them"
    ]


def _refuse(names: Sequence[str], bad: np.ndarray, told: str, cure: str) -> None:
    columns = [name for name, wrong in zip(names, bad.tolist(), strict=True) if wrong]
    if columns:
        raise UsageError(f"{len(columns)} feature(s) {told}: {checks.listed(columns, 20)}; {cure}.")


def _refuse_cells(bad: np.ndarray, names: Sequence[str], where: Where, what: str, cure: str) -> None:
    """Refuses cells [N, D], column by column, with the first row of each."""
    columns = np.flatnonzero(bad.any(axis=0)).tolist()
    if not columns:
        return
    lines = []
    for column in columns[: checks.SHOWN]:
        rows = np.flatnonzero(bad[:, column])
        more = f" and {len(rows) - 1:,} more" if len(rows) > 1 else ""
        lines.append(f"feature {names[column]!r} is {what} at {where(int(rows[0]))}{more}")
    if len(columns) > len(lines):
        lines.append(f"and {len(columns) - len(lines):,} more features")
    raise UsageError(f"{lines[0]}; {cure}." + "".join(f"\n  {line}" for line in lines[1:]))


def numbers(cells: Sequence[str], missing: Collection[str]) -> np.ndarray:
    """[N] float64 of the cells of a column, NaN of those that say that nothing is known.

    Raises:
        ValueError: a cell that is no number; its argument is the row.
    """
    try:
        return np.asarray(cells, str).astype(np.float64)
    except ValueError:  # some cell is no number, and may say that nothing is known
        found = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            found[row] = float(cell)
        except ValueError:
            if cell.strip().lower() not in missing:
                raise ValueError(row) from None
            found[row] = np.nan
    return found
