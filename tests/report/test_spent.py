"""What a run has cost: epochs that were trained, however many studies asked for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from nachos_jax.records.schema import Curve, FitRecord
from nachos_jax.report.numbers import spent


def fit(name: str, left_out: tuple[int, ...], epochs: int, folds: tuple[int, ...]) -> FitRecord:
    curves = {fold: Curve((0.5,) * epochs, (0.8,) * epochs, "patience") for fold in folds}
    rate = {"learning_rate": 0.01}
    return FitRecord(name, left_out, rate, 30, "done", epochs, 5, (0.5,) * epochs, curves)


def test_fits_that_go_on_from_one_lane_are_counted_once():
    """An opening asked about both folds, what each study asked for beyond it, another pair, and a refit."""
    fits = [
        fit("opening", (0, 1), 12, (0, 1)),
        fit("of study 0", (0, 1), 16, (1,)),
        fit("of study 1", (0, 1), 14, (0,)),
        fit("another", (0, 2), 7, (2,)),
        fit("refit", (0,), 5, ()),
    ]
    searched = {
        0: SimpleNamespace(fits=(("of study 0", "another"),)),
        1: SimpleNamespace(fits=(("of study 1",),)),
    }
    evidence = SimpleNamespace(
        fits=fits,
        outcomes=searched,
        tests={0: SimpleNamespace(fit="refit")},
        sessions=[],
        settings=SimpleNamespace(price=0, currency="EUR", watts=0),
    )
    found = spent.spent(cast(Any, evidence))
    assert found["epochs"] == 16 + 7 + 5
    assert found["fits_of_finished_studies"] == 3
    assert found["fits_without_pair_reuse"] == 4
