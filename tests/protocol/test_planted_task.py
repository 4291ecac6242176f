"""A task in one planted file: evaluate, deploy, predict and report know it, and no other file changes."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nachos_jax
from nachos_jax import tasks
from nachos_jax.report.page import page
from nachos_jax.tasks import registry
from tests import tiny

PLANTED = '''"""How far apart two numbers of a case are, as a toy."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np

from nachos_jax.data.targets import Targets
from nachos_jax.metrics.contract import Metric
from nachos_jax.splits.strata import Strata
from nachos_jax.tasks.dense import DenseDevice, DenseTask


class Device(DenseDevice):
    outputs = seen = 2

    def loss(self, outputs, targets, told):
        return jnp.mean((outputs - targets) ** 2)


class Pair(DenseTask):
    name, headline = "pair", "gap"
    metrics = {"gap": Metric("gap", "Gap", False, (0.0, 1e9))}

    def targets(self, columns, names):
        values = np.array([[float(x) for x in cells] for cells in columns.targets.values()], np.float32).T
        strata = Strata(np.zeros(len(values), np.int32), ("all",), needed=False)
        return Targets("pair", tuple(columns.targets), values, strata, np.zeros((len(values), 0), bool))

    def device(self, names, hparams, setting=None):
        return Device()

    def gap(self, seen, targets):
        return float(np.mean(np.abs(seen - targets.values)))

    def watched(self, metric, seen, targets):
        gap = self.gap(seen, targets)
        return gap, None if np.isnan(gap) else -gap

    def tested(self, seen, targets):
        return replace(super().tested(seen, targets), values={"gap": self.gap(seen, targets)})


TASK = Pair()
'''


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    folder = tmp_path / "planted"
    folder.mkdir()
    (folder / "pair.py").write_text(PLANTED, encoding="utf-8")
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(folder)])
    importlib.invalidate_caches()
    registry._found.cache_clear()
    yield
    registry._found.cache_clear()


@pytest.mark.usefixtures("planted", "figures_unpainted")
def test_a_planted_task_goes_from_arrays_to_report_and_predictions(tmp_path: Path) -> None:
    images, labels, folds = tiny.arrays()
    pairs = np.stack([labels, images.mean(axis=(1, 2)) / 100], axis=1)
    cohort = nachos_jax.cohort(
        nachos_jax.ArrayCases(images, pairs, folds=folds, one_case_per_subject=True), task="pair"
    )
    config = tiny.config(task__name="pair", search__trials=1, training__epochs=1)
    workdir = tmp_path / "run"
    summary = nachos_jax.evaluate(config, workdir, cohort)
    tests = [json.loads(path.read_text()) for path in sorted(workdir.glob("records/evaluate/tests/*.json"))]
    assert len(tests) == tiny.FOLDS
    for test in tests:
        gap = np.abs(np.array(test["predictions"]) - np.array(test["targets"])).mean()
        assert test["values"]["gap"] == pytest.approx(gap, rel=1e-5)
    mean = np.mean([test["values"]["gap"] for test in tests])
    assert summary["metrics"]["gap"]["mean"] == pytest.approx(mean)
    assert "Gap" in (workdir / "report" / "index.html").read_text(encoding="utf-8")
    model = nachos_jax.deploy(config, workdir, cohort)
    predictions = model.predictions(images)
    assert predictions.shape == (tiny.CASES, 2)
    header, rows = model.table(predictions[:1])
    assert header == ["predicted_label_0", "predicted_label_1"]
    assert float(rows[0][1]) == pytest.approx(float(predictions[0, 1]), rel=1e-4)
    page.write(str(workdir))
