"""Empty, constant and saturated pictures, burnt-in text, and intensities by site and class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nachos_jax.audit import burnt
from nachos_jax.audit.counts import Table
from nachos_jax.audit.finding import FAULT, NOTE, Finding
from nachos_jax.audit.grays import Looks
from nachos_jax.data.inspected import Inspected

SATURATED, FLAT = 0.3, 0.01
"""Share of the pixels at the highest value; spread of a nearly empty picture over the usual one."""


def findings(looks: Looks) -> Iterator[Finding]:
    """Pictures that hold nothing, or little, or are overexposed."""
    if looks.pictures is None:
        return
    constant = np.flatnonzero(looks.spread == 0)
    flat = np.flatnonzero((looks.spread > 0) & (looks.spread < FLAT * np.median(looks.spread)))
    bright = np.flatnonzero((looks.top > SATURATED) & (looks.spread > 0))
    for kind, weight, rows, told in (
        ("constant images", FAULT, constant, "hold one value alone"),
        ("nearly empty images", NOTE, flat, "are nearly empty: their values hardly differ"),
        (
            "saturated images",
            NOTE,
            bright,
            f"have more than {SATURATED:.0%} of their pixels at the highest value",
        ),
    ):
        if len(rows):
            few = f"{len(rows):,} image{'s' if len(rows) > 1 else ''}"
            yield Finding(kind, weight, f"{few} {told}.", "Look at them.", [[row] for row in rows.tolist()])
    yield from _text(looks.letters)


def _text(letters: np.ndarray) -> Iterator[Finding]:
    rows = np.flatnonzero(letters >= burnt.CHARACTERS)
    looked = int((letters >= 0).sum())
    if len(rows):
        yield Finding(
            "burnt-in text",
            NOTE,
            f"{len(rows):,} of {looked:,} images that were looked at seem to hold text in their pixels.",
            "It may name the patient, or tell the class by the ward: look at them, and cut or paint it over.",
            [[row] for row in rows[np.argsort(-letters[rows], kind="stable")].tolist()],
        )


def tables(found: Inspected, looks: Looks) -> Iterator[Table]:
    """Mean and spread of the intensity by site and by class."""
    if looks.pictures is None:
        return
    targets = found.cohort.targets
    named = {} if found.cohort.table.sites is None else {"Site": found.cohort.table.sites}
    named |= {targets.noun.capitalize(): np.asarray(targets.texts())} if targets.noun == "class" else {}
    for title, values in named.items():
        rows = []
        for value in np.unique(values)[:20].tolist():
            chosen = values == value
            numbers = (looks.mean[chosen].mean(), looks.mean[chosen].std(), looks.spread[chosen].mean())
            rows.append([value, f"{chosen.sum():,}", *(f"{number:.4g}" for number in numbers)])
        header = (title, "cases", "mean intensity", "SD over cases", "SD within a case")
        yield Table(f"Intensity by {title.lower()}", header, rows)
