"""What was found, before it is written: the columns of cases.csv, their roles, and what to tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nachos_jax.data.spellings import is_missing
from nachos_jax.intake.roles import Choice


@dataclass(frozen=True)
class Survey:
    """Sides of images or volumes.

    Attributes:
        sides: (H, W) or (D, H, W), the median of each.
        equal: whether all that were looked at agree.
        channels: 1 gray, 3 colour; 0 where it is not known.
        looked: how many were looked at.
        spaced: whether volumes have several spacings.
    """

    sides: tuple[int, ...]
    equal: bool
    channels: int
    looked: int
    spaced: bool = False


@dataclass
class Draft:
    """What was found.

    Attributes:
        source: config.data.source.
        columns: N cells by name, as cases.csv holds them; {} of an npz file, which is read itself.
        roles: the column of each role.
        task: classification, multilabel, regression or segmentation.
        path: the npz file; None where cases.csv is read.
        held: N of an npz file, which need not hold an array with one value a case.
        volumes: whether cases are volumes.
        classes: names of the classes of masks, the background left out.
        labels: columns of several labels a case, those that are to be predicted, or could be.
        labels_why: why, in words.
        order: the classes from the lowest to the highest, where they have an order.
        features: columns that are features, of the source "vectors".
        survey: sides of the images, if they are known.
        keys: further fields of config.data with their values.
        notes: what was found and why, in words.
        questions: what people must decide.
    """

    source: str
    columns: dict[str, list[str]]
    roles: dict[str, Choice]
    task: str = "classification"
    path: Path | None = None
    held: int = 0
    volumes: bool = False
    classes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    labels_why: str = ""
    order: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    survey: Survey | None = None
    keys: Mapping[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """N."""
        return self.held or len(next(iter(self.columns.values()), ()))

    def cells(self, role: str) -> list[str] | None:
        """The N cells of a role's column; None where it has none."""
        column = self.roles.get(role, Choice()).column
        return self.columns.get(column) if column else None

    def of_classes(self) -> Counter[str]:
        """Cases of each class; a word like "None" is one where it stands in an order."""
        return Counter(c for c in self.cells("label") or () if not is_missing(c) or c in self.order)
