"""Folds that are sites are called so by the comparison, whatever scheme made them."""

from __future__ import annotations

import pytest

from nachos_jax.report.numbers import comparison
from tests.report.rivals import edit_folds, edit_run, rival

SAID = "Folds are sites: the spread of differences measures sites"


def _a_site_each(rows: list[dict[str, str]]) -> None:
    for row in rows:
        row["site"] = f"hospital-{row['fold']}"


@pytest.mark.parametrize(
    ("scheme", "parted", "said"),
    [("predefined", True, True), ("predefined", False, False), ("site", True, True)],
)
def test_sites_as_folds_are_told(make_run, scheme: str, parted: bool, said: bool):
    first = make_run(trials=1, inner=False)
    edit_run(first.path, lambda run: run["folds"].update(scheme=scheme))
    if parted:
        edit_folds(first, _a_site_each)
    found = comparison.compare([str(first.path), str(rival(first, "other").path)])
    assert any(SAID in text for text in found["caveats"]) == said
