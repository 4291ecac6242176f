"""What a study has chosen of its final masks: who makes them together, and what they keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nachos_jax.records import decode


@dataclass(frozen=True)
class MaskChoice:
    """The choice of one study, made on its inner folds.

    Attributes:
        study: outer fold number, or None for the study of deployment.
        trials: numbers of the trials whose networks make the mask together, the selected one first.
        inner: ids of the fits whose masks of inner folds were looked at; () where nothing was to be chosen.
        cases: of the inner folds whose masks are known.
        together: whether all classes as one keep their largest component.
        classes: those that keep theirs each by itself, from 1.
        before: [K] mean Dice of the inner cases by class, as segmented; () of no case.
        after: [K] the same with what was chosen.
    """

    study: int | None
    trials: tuple[int, ...]
    inner: tuple[str, ...]
    cases: int
    together: bool
    classes: tuple[int, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]


def mask_choice(value: Mapping[str, Any]) -> MaskChoice:
    """The record in its JSON form.

    Raises:
        KeyError, ValueError, TypeError: it is damaged.
    """
    found = decode.read(MaskChoice, value)
    if len(found.before) != len(found.after) or not found.trials:
        raise ValueError("its parts do not fit together")
    return found
