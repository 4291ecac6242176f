"""Facts of the checklists, and words of the page, of runs that try models of several kinds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from nachos_jax.report.checklists.facts import Facts
from nachos_jax.report.numbers.lessons import lessons
from nachos_jax.report.page import page
from tests.report.checklist_runs import FEW, told
from tests.report.rivals import edit_run


def of_kinds(make_run, *kinds: str, config: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Facts of a run whose studies try and select one kind each in turn; without any, of no trial."""
    directory = make_run(settings=FEW, name="-".join(("run", *kinds)))
    edit_run(directory.path, lambda run: run["config"].update(config or {}))
    evidence, summary = told(directory)

    def changed(trials, study: int | None):
        kind = {"architecture": kinds[(study or 0) % len(kinds)]} if kinds else {}
        return tuple(
            dataclasses.replace(trial, hparams={**trial.hparams, **kind}) for trial in trials if kinds
        )

    outcomes = {
        fold: dataclasses.replace(outcome, trials=changed(outcome.trials, fold))
        for fold, outcome in evidence.outcomes.items()
        if kinds
    }
    trials = {study: changed(each, study) for study, each in evidence.trials.items()}
    facts = Facts(dataclasses.replace(evidence, outcomes=outcomes, trials=trials), summary)
    return {
        name: facts.of(f"model.{name}").text
        for name in ("technology", "initial_weights", "training", "selection")
    }


STOPPED = {"training": {"early_stopping": True, "epochs": 30, "patience": 8, "min_delta": 0.0}}


def test_of_linear_models_and_estimators_nothing_is_said_of_networks_or_epochs(make_run):
    found = of_kinds(make_run, "linear", "logistic", config=STOPPED)
    assert found["technology"].startswith(
        "Linear models with an L2 penalty (linear) and models of scikit-learn (logistic) that classify"
    )
    assert "Weights of linear start at zero" in found["initial_weights"]
    assert "Fits of logistic have none;" in found["initial_weights"]
    assert "at random" not in found["initial_weights"]
    text = found["training"].replace("there are no epochs", "")
    assert "epoch" not in text + found["selection"]
    assert "A refit of linear is solved once" in text
    assert "A refit of logistic is fitted once" in text
    assert "The loss of linear is cross-entropy." in text


def test_networks_beside_estimators_are_told_by_their_own_names(make_run):
    found = of_kinds(make_run, "mlp", "random_forest", config=STOPPED)
    assert found["technology"].startswith(
        "Models of scikit-learn (random_forest) and neural networks (mlp) that classify"
    )
    assert "Weights of mlp start at random" in found["initial_weights"]
    assert "Each fit of random_forest is one call" in found["training"]
    assert "Fits of mlp: Search fits run at most 30 epochs" in found["training"]
    assert "A refit of mlp trains for the rounded mean" in found["training"]
    assert "at the epoch with the lowest loss of the fold where a fit has epochs, mean" in found["selection"]


def test_networks_beside_linear_models_are_told_by_their_own_names(make_run):
    found = of_kinds(make_run, "linear", "mlp", config=STOPPED)
    assert found["technology"].startswith(
        "Linear models with an L2 penalty (linear) and neural networks (mlp) that"
    )
    assert "Weights of linear start at zero" in found["initial_weights"]
    assert "Weights of mlp start at random" in found["initial_weights"]
    assert "The loss is cross-entropy." in found["training"]
    assert "A refit of linear is solved once" in found["training"]


def test_before_the_first_trial_the_kind_is_that_of_the_config(make_run):
    found = of_kinds(make_run, config={**STOPPED, "model": {"architecture": "linear"}})
    assert found["technology"].startswith("Linear models with an L2 penalty (linear) that")
    assert "start at zero" in found["initial_weights"]
    assert "epoch" not in found["training"].replace("there are no epochs", "")


@pytest.mark.parametrize("kind", ["linear", "cnn"])
def test_the_page_speaks_of_chosen_epochs_where_there_are_any(make_run, kind: str):
    evidence, summary = told(make_run(settings=FEW))
    trials = {
        study: tuple(
            dataclasses.replace(trial, hparams={**trial.hparams, "architecture": kind}) for trial in each
        )
        for study, each in evidence.trials.items()
    }
    html = page.render(dataclasses.replace(evidence, trials=trials), summary, (), (), None, lessons([]))
    epochs = " and epochs" if kind == "cnn" else ""
    assert f"by a model whose hyperparameters{epochs} were chosen without it." in html
