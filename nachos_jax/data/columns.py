"""From the raw columns of any source to a checked case table."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data import checks, spellings
from nachos_jax.data.table import CaseTable


@dataclass(frozen=True, eq=False)
class MaskCounts:
    """What the masks of N cases hold.

    Attributes:
        voxels: [N, 256] int64, voxels of each label, 0 the background.
        size: [N] float64, volume of a voxel in mm³, mm² of images, or 1.
        unit: "mm³", "mm²" where all have one slice (of volumes, too: it enters the hash of cohorts and is not
            shown), or "voxels" where the spacing is not known.
    """

    voxels: np.ndarray
    size: np.ndarray
    unit: str


@dataclass(frozen=True)
class Columns:
    """What a source says of its N cases, as text, before any check across rows.

    Attributes:
        source: the file or folder, for messages.
        names: N unique case names.
        targets: N cells of each column that holds a target, by its name.
        order: names in the source's own order: of the classes, or of several target columns; () when it has
            none.
        numeric: whether the targets come from an array of numbers: a cell may be a place in `order`.
        subjects: N subjects, or None when the source does not say.
        sites: N sites, or None.
        folds: N fold numbers as text, or None.
        folds_asked: whether the config asks for `folds`, by key or by scheme; a column that merely bears the
            name may hold something else, and is then left out.
        where: row number from 0 -> the row as people find it ("cases.csv line 7").
        subject_cure: how this kind of source is told its subjects.
        certain: labels that are names of classes whatever they read like.
        further: N cells of each further column, by its name.
        spellings: config.data.spellings, see `spellings.settled`.
        masks: what the masks of the cases hold; None of a source without masks.
        partial: whether classes may be without cases and targets need not vary: nothing is learned here.
    """

    source: str
    names: Sequence[str]
    targets: Mapping[str, Sequence[str]]
    where: Callable[[int], str]
    subject_cure: str
    order: tuple[str, ...] = ()
    numeric: bool = False
    certain: Collection[str] = ()
    subjects: Sequence[str] | None = None
    sites: Sequence[str] | None = None
    folds: Sequence[str] | None = None
    folds_asked: bool = True
    further: Mapping[str, Sequence[str]] = field(default_factory=dict)
    spellings: str = spellings.REFUSE
    masks: MaskCounts | None = None
    partial: bool = False

    def without(self, rows: Collection[int]) -> Columns:
        """The same of all cases but those of some rows."""
        gone = set(rows)
        kept = [row for row in range(len(self.names)) if row not in gone]

        def of(values: Sequence[str]) -> list[str]:
            return [values[row] for row in kept]

        return replace(
            self,
            names=of(self.names),
            targets={name: of(cells) for name, cells in self.targets.items()},
            where=lambda row: self.where(kept[row]),
            subjects=None if self.subjects is None else of(self.subjects),
            sites=None if self.sites is None else of(self.sites),
            folds=None if self.folds is None else of(self.folds),
            further={name: of(cells) for name, cells in self.further.items()},
        )

    def settled(self, values: Sequence[str], what: str, listed: Sequence[str] = ()) -> Sequence[str]:
        """The cells of a column, each in one spelling."""
        return spellings.settled(values, what, self.where, self.spellings, listed)

    def away(self, external: Collection[str]) -> np.ndarray:
        """[N] bool: the cases of sites that are external, each site in one spelling; without sites none."""
        if self.sites is None or not external:
            return np.zeros(len(self.names), bool)
        return away(self.settled(self.sites, "site"), external)


def away(sites: Sequence[str] | np.ndarray, external: Collection[str]) -> np.ndarray:
    """[N] bool: which of N cases, whose sites are settled, are of sites that are external."""
    return np.isin(np.asarray(sites, str), sorted(external))


def case_table(columns: Columns, waived: bool) -> CaseTable:
    """Checks the columns that say who the cases are, and freezes them.

    Args:
        columns: of the source.
        waived: every case is a subject of its own.

    Returns:
        The table.

    Raises:
        UsageError: no rows, an empty value, subjects not known or known and waived, and if folds are asked
            for, fold numbers with a hole or a subject in two folds.
    """
    subjects, sites = checks.together(lambda: _subjects(columns, waived), lambda: _sites(columns))
    return CaseTable(
        names=np.asarray(columns.names, str),
        subjects=np.asarray(subjects, str),
        sites=None if sites is None else np.asarray(sites, str),
        folds=_folds(columns, subjects),
        waived=waived,
        columns={name: np.asarray(cells, str) for name, cells in columns.further.items()},
    )


def check_cases(columns: Columns, notes: Sequence[str] = ()) -> None:
    """Raises UsageError when a source has no case at all; `notes` say what was left out."""
    if not len(columns.names):
        told = f" ({'; '.join(notes)})" if notes else ""
        raise UsageError(f"{columns.source} has no case{told}: give at least one image of each class.")


def _folds(columns: Columns, subjects: Sequence[str]) -> np.ndarray | None:
    if columns.folds is None:
        return None
    try:
        folds = checks.fold_numbers(columns.folds, columns.where, columns.source)
        checks.subjects_in_one_fold(subjects, folds, columns.where)
    except UsageError:
        if columns.folds_asked:
            raise
        return None
    return folds


def _subjects(columns: Columns, waived: bool) -> Sequence[str]:
    if waived and columns.subjects is not None:
        raise UsageError(
            f"{columns.source} names the subject of each case, and config.data.subject = "
            "'one_case_per_subject' says that there are none: set config.data.subject = ''."
        )
    if waived:
        return columns.names
    if columns.subjects is None:
        raise UsageError(
            f"{columns.source} says nothing of subjects (patients), whose cases must never be split between "
            f"folds: {columns.subject_cure}; if no subject has two cases, state it with "
            "config.data.subject = 'one_case_per_subject'."
        )
    checks.no_empty(columns.subjects, "subject", columns.where)
    return columns.settled(columns.subjects, "subject")


def _sites(columns: Columns) -> Sequence[str] | None:
    if columns.sites is None:
        return None
    checks.no_empty(columns.sites, "site", columns.where)
    return columns.settled(columns.sites, "site")


def decoded(values: np.ndarray, name: str, source: str) -> np.ndarray:
    """The array, with text instead of bytes.

    Raises:
        UsageError: bytes that are no UTF-8, which could not be told apart.
    """
    if values.dtype.kind != "S":
        return values
    try:
        return np.char.decode(values, "utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{source}: {name} holds bytes that are no UTF-8 text ({error.object!r}); store it as text, e.g. "
            "numpy.char.decode(values, 'latin-1')."
        ) from error


def texts(values: np.ndarray, what: str, where: Callable[[int], str], source: str) -> list[str]:
    """A column of an array file as text.

    Args:
        values: [N] or [N, 1] text, bytes, whole numbers or booleans (then "0" and "1").
        what: "label", "subject", "site" or "fold", for messages.
        where: row number -> the row as people find it.
        source: the file, for messages.

    Returns:
        N texts.

    Raises:
        UsageError: several values a case, a number that is not whole, or a value of another kind.
    """
    values = decoded(values, f"the {what}s", source)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise UsageError(
            f"{source}: the {what}s have shape {values.shape}, but a case has one {what}. Store one {what} a "
            "case, shape (N,) or (N, 1)."
        )
    found = [_text(value) for value in values.tolist()]
    faults = [
        (row, f"{what} {values.tolist()[row]!r} is neither text nor a whole number")
        for row, text in enumerate(found)
        if text is None
    ]
    checks.refuse(faults, where, f"give every case its {what}")
    return [text for text in found if text is not None]


def target_texts(values: np.ndarray, name: str, names: Sequence[str], source: str) -> dict[str, list[str]]:
    """The targets in an array file as text, column by column.

    Args:
        values: [N], [N, 1] or [N, M] text, bytes, numbers or booleans.
        name: of the array.
        names: of its M columns, if the source has as many names.
        source: the file, for messages.

    Returns:
        N texts of each column by its name: that of the array, or of M columns those given, else NAME_0, ...
        Numbers are written in full, so that reading them again gives the same number.

    Raises:
        UsageError: more than two axes.
    """
    values = decoded(values, name, source)
    if values.ndim > 2:
        raise UsageError(
            f"{source}: the labels have shape {values.shape}; store one target a case, shape (N,), or "
            "several labels a case, shape (N, labels)."
        )
    if values.ndim == 1 or values.shape[1] == 1:
        return {name: [_number_text(value) for value in values.reshape(len(values)).tolist()]}
    count = values.shape[1]
    titles = list(names) if len(names) == count else [f"{name}_{i}" for i in range(count)]
    return {title: [_number_text(value) for value in values[:, i].tolist()] for i, title in enumerate(titles)}


def _number_text(value: object) -> str:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(int(value)) if isinstance(value, (bool, int)) else str(value).strip()


def further_texts(values: np.ndarray) -> list[str]:
    """Cells of a further column [N], numbers of any kind included; one that is no number is empty."""
    values = decoded(values, "a column of config.report.subgroups", "the data")
    values = values.reshape(len(values), -1)[:, 0] if values.size == len(values) else values
    if values.ndim != 1:
        raise UsageError(
            f"A column of config.report.subgroups has shape {values.shape}: store one value a case, (N,)."
        )
    return [_cell(value) for value in values.tolist()]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.15g}"
    return "" if value is None else str(value).strip()


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (bool, int)):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return None
