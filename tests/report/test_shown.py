"""What a trial leaves out of its hyperparameters is shown as what its fits did."""

from __future__ import annotations

import pytest

from nachos_jax.report.reading.shown import shown
from nachos_jax.tasks.dense import NORMALISATION
from tests.report.checklist_runs import FEW, told
from tests.report.rivals import edit_run


@pytest.mark.parametrize("configured", ["z_score", "training", "none"])
def test_trials_that_name_no_normalisation_are_shown_as_what_their_fits_did(make_run, configured: str):
    directory = make_run(settings=FEW, tested=())

    def searched(run):
        run["config"]["data"] |= {"normalisation": configured, "aspect": "pad"}
        run["config"]["search"]["space"] |= {
            "normalisation": "choice(training, z_score)",
            "aspect": "choice(pad, crop)",
        }

    edit_run(directory.path, searched)
    evidence, _ = told(directory)
    found = shown({"learning_rate": 0.1}, evidence)
    assert found == {"learning_rate": 0.1, "normalisation": NORMALISATION.absent, "aspect": "pad"}
    assert shown({"normalisation": "z_score"}, evidence)["normalisation"] == "z_score"
