"""A column of folds that would be read and not used is refused before the data are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.protocol.run import embedding
from nachos_jax.protocol.run.opening import begin, open_run
from tests import tiny


@pytest.mark.parametrize("scheme", ["stratified", "site"])
def test_a_column_of_folds_beside_another_scheme_is_refused(scheme: str, tmp_path: Path):
    run = tiny.run_config(folds__scheme=scheme, data__fold_key="fold")
    told = (
        rf"config\.data\.fold_key = 'fold' does nothing with config\.folds\.scheme = '{scheme}': set "
        r"config\.folds\.scheme = 'predefined', or config\.data\.fold_key = ''\."
    )
    with pytest.raises(UsageError, match=told):
        open_run(run, str(tmp_path), "evaluate")


def test_predefined_folds_runs_that_have_begun_and_cohorts_are_not_refused(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(embedding, "load", lambda _config: tiny.cohort())
    named = tiny.run_config(data__fold_key="fold")
    assert open_run(named, str(tmp_path / "predefined"), "evaluate").folds.count == 4
    drawn = tiny.run_config(folds__scheme="stratified", folds__count=3, data__fold_key="fold")
    begin(open_run(drawn, str(tmp_path / "drawn"), "evaluate", tiny.cohort()))
    assert open_run(drawn, str(tmp_path / "drawn"), "evaluate").folds.count == 3
