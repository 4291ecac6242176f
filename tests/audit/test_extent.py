"""Whether there is enough: of the folds that the scheme makes, and of the cases that are inside."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nachos_jax.audit import extent

SITES = np.repeat(["a", "b", "c", "far"], 10)
FOLDS = np.arange(40).astype(str)
FOLDS[:30] = np.arange(30) % 4


class _Table(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.subjects)


def _found(sites: Any = SITES, **divisions: np.ndarray) -> Any:
    has = np.stack([np.arange(40) % 10 < 1, np.arange(40) % 10 >= 1], 1)
    table = _Table(subjects=np.arange(40), sites=sites)
    targets = SimpleNamespace(names=("rare", "often"), has=has, noun="class")
    cohort = SimpleNamespace(targets=targets, table=table)
    return SimpleNamespace(cohort=cohort, known=True, divisions=divisions)


def _config(scheme: str, external: tuple[str, ...] = (), key: str = "") -> Any:
    data = SimpleNamespace(external=external, fold_key=key, source="csv")
    return SimpleNamespace(folds=SimpleNamespace(scheme=scheme, count=9), data=data)


@pytest.mark.parametrize(
    ("config", "found", "count"),
    [
        (_config("stratified"), _found(), 9),
        (_config("site"), _found(), 4),
        (_config("site", ("far",)), _found(), 3),
        (_config("predefined", ("far",)), _found(fold=FOLDS), 4),
        (_config("predefined", ("far",), "part"), _found(part=FOLDS), 4),
        (_config("predefined"), _found(), 9),
    ],
)
def test_folds_are_those_of_the_scheme(config: Any, found: Any, count: int):
    assert extent.folds(found, config).count == count


def test_cases_of_external_sites_do_not_count():
    found = _found()
    inside = extent.inside(found, ("far",))
    (fault,) = [
        one
        for one in extent.findings(found, extent.Division(4), inside)
        if one.kind == "too few for the folds"
    ]
    assert "Class 'rare' has 3 subjects, fewer than the 4 folds." in fault.told
    assert not [
        one for one in extent.findings(found, extent.Division(4)) if one.kind == "too few for the folds"
    ]
    (table,) = extent.tables(found, inside)
    assert table.rows[0][1] == "3"
    assert extent.inside(_found(sites=None), ()).all()
    spelled = np.where(np.arange(40) == 35, "Far ", SITES)
    assert extent.inside(_found(sites=spelled), ("far",)).sum() == 30


def test_of_folds_that_are_not_drawn_only_what_is_so_is_said():
    """More folds than subjects of a class are refused where folds are drawn alone."""
    rare, often = extent.findings(_found(), extent.Division(12, drawn=False))
    assert often.told == "Class 'often' has 36 subjects: few for 12 folds."
    assert (rare.kind, rare.weight) == ("missing in folds", "note")
    assert rare.told == "Class 'rare' has 4 subjects, so 8 or more of the 12 folds hold none."
    assert "Take at most" not in rare.cure
    (few,) = extent.findings(_found(), extent.Division(4, drawn=False))
    assert few.told == "Class 'rare' has 4 subjects: few for 4 folds."
