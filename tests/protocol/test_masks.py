"""A whole study of masks, from cohort to report, and nothing of a test fold in it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.data.ragged import Ragged
from nachos_jax.data.table import Cohort
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.model import gallery, mask_gallery, tested_masks
from nachos_jax.protocol.run.configure import checked
from nachos_jax.protocol.run.opening import open_run
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.page import page
from nachos_jax.report.reading import evidence
from tests import masks
from tests.protocol.test_leak import OUTER, seen_from_inside

pytestmark = pytest.mark.usefixtures("quick_compilation")


CT = {"task__segmentation__normalisation": "ct"}
"""What looks hardest at the masks of other cases."""


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    given = [dataclasses.replace(pair, image=pair.image.astype(np.float32)) for pair in masks.pairs()]
    return masks.cohort(masks.PLAIN, given, ("left", "right"))


@pytest.fixture(scope="module")
def run():
    return checked(masks.config(**CT))


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory, cohort: Cohort, run) -> Path:
    """The run directory of one outer fold."""
    workdir = tmp_path_factory.mktemp("studied")
    evaluate(run, str(workdir), [OUTER], cohort, quiet=True)
    return workdir


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cohort: Cohort, run) -> Path:
    """The run directory of a whole estimate."""
    workdir = tmp_path_factory.mktemp("masks")
    evaluate(run, str(workdir), None, cohort, quiet=True)
    return workdir


def spoilt(cohort: Cohort) -> Cohort:
    """Fold OUTER's images are NaN, and its masks, with all that is known of them, those of nothing."""
    assert cohort.table.folds is not None
    assert isinstance(cohort.store, Ragged)
    of = cohort.table.folds == OUTER
    store, voxels = cohort.store, np.repeat(of, cohort.store.sizes)
    values = np.where(of[:, None], cohort.targets.values[::-1], cohort.targets.values)
    changed = dataclasses.replace(
        store,
        voxels=np.where(voxels[:, None], np.float32(np.nan), store.voxels),
        labels=np.where(voxels, 1, store.labels).astype(np.uint8),
        stats=np.where(of[:, None, None], np.float32(np.nan), store.stats),
        places=np.where(of[:, None, None], 0, store.places),
        n_places=np.where(of[:, None], 1, store.n_places),
        total=np.where(of[:, None], np.nan, store.total),
        squares=np.where(of[:, None], np.nan, store.squares),
        foreground=np.where(of[:, None, None], np.float32(1e6), store.foreground),
    )
    targets = dataclasses.replace(cohort.targets, values=values)
    return dataclasses.replace(cohort, store=changed, targets=targets, hash="spoilt")


def test_nothing_of_a_test_fold_reaches_its_study(cohort: Cohort, run, studied: Path, tmp_path: Path):
    dirty = checked(masks.config(data__equal_images="accept", **CT))
    evaluate(dirty, str(tmp_path), [OUTER], spoilt(cohort), quiet=True)
    assert seen_from_inside(tmp_path) == seen_from_inside(studied)


def test_the_test_of_a_fold_tells_volumes_of_all_its_cases(cohort: Cohort, studied: Path):
    tests = RunDirectory(studied).tests()
    assert [test.outer_fold for test in tests] == [OUTER]
    for test in tests:
        rows = np.flatnonzero(np.isin(cohort.table.names, test.cases))
        np.testing.assert_allclose(test.arrays["reference"], cohort.targets.values[rows])
        parts = test.arrays["volumes"]
        np.testing.assert_allclose(parts[..., 0] + parts[..., 2], test.arrays["reference"], rtol=1e-4)
        windows = test.arrays["window_volumes"]
        np.testing.assert_allclose(windows[..., 0] + windows[..., 2], test.arrays["reference"], rtol=1e-6)
        # Seen in windows that overlap a mask is much the same.
        assert np.abs(windows - parts).sum() < 0.5 * parts.sum()
        assert (test.arrays["hd95"] >= 0).all()
        assert ((test.arrays["nsd"] >= 0) & (test.arrays["nsd"] <= 1)).all()


def test_masks_are_measured_on_the_grid_that_they_came_with(monkeypatch: pytest.MonkeyPatch):
    given = [
        dataclasses.replace(pair, spacing=(2.0, 1.0, 1.0 + row / 10))
        for row, pair in enumerate(masks.pairs())
    ]
    whole = masks.cohort(masks.Rules(spacing="median"), given)
    monkeypatch.setattr(tested_masks, "of_fit", lambda *_: None)
    monkeypatch.setattr(tested_masks, "masks_of_store", lambda store, _: store.mask)
    of: Any = SimpleNamespace(cohort=whole)
    done: Any = SimpleNamespace(status="done", hparams={})
    rows = range(0, masks.CASES, 3)
    found = tested_masks.measured(of, done, rows)
    right, _, missed = np.moveaxis(found["window_volumes"], -1, 0)
    np.testing.assert_allclose(right + missed, whole.targets.values[rows], rtol=1e-5)
    assert right.sum() > 0.8 * whole.targets.values[rows].sum()
    assert np.nanmedian(found["hd95"]) < 1.5


@pytest.mark.thorough
def test_the_report_shows_every_class_and_case(cohort: Cohort, finished: Path):
    text = page.write(finished).read_text(encoding="utf-8")
    summary = json.loads((finished / "summary.json").read_text(encoding="utf-8"))
    assert summary["sentence"].startswith("Mean Dice ")
    assert "2 classes beside the background" in summary["sentence"]
    counts = [row["cases"] for row in summary["per_class"]["classes"].values()]
    assert counts == cohort.targets.has.sum(axis=0).tolist()
    names = {interval["method"] for interval in summary["metrics"]["mean_dice"]["intervals"]}
    assert {"percentile", "bayle", "bates"} <= names
    words = ("Classes and cases", "left", "right", "Lowest mean Dice", "HD95", "NSD")
    assert all(word in text for word in words)
    known = evidence.read(RunDirectory(finished))
    dice = [2 * p[..., 0] / (2 * p[..., 0] + p[..., 1] + p[..., 2]) for _, p in known.predictions.values()]
    wanted = float(np.mean([fold.mean() for fold in dice]))
    assert summary["metrics"]["mean_dice"]["mean"] == pytest.approx(wanted)
    header, first = (finished / "predictions.csv").read_text(encoding="utf-8").splitlines()[:2]
    assert len(header.split(",")) == len(first.split(",")) == 6 + 3 * 2


def test_networks_that_give_no_masks_are_refused(cohort: Cohort, tmp_path: Path):
    with pytest.raises(UsageError, match=r"'cnn' does not suit .*'segmentation': choose 'unet'"):
        evaluate(checked(masks.config(model__architecture="cnn")), str(tmp_path), None, cohort, quiet=True)
    with pytest.raises(UsageError, match=r"unet\.depth"):
        evaluate(
            checked(masks.config(task__segmentation__patch_width=2, task__segmentation__patch_height=2)),
            str(tmp_path),
            None,
            cohort,
            quiet=True,
        )


@pytest.mark.thorough
def test_worst_middle_and_best_case_are_shown_with_their_masks(cohort: Cohort, run, finished: Path):
    opened = open_run(run, str(finished), "evaluate", cohort)
    gallery.write_or_warn(opened)
    index = json.loads((finished / "explanations/gallery.json").read_text(encoding="utf-8"))
    rows = {name: row for row, name in enumerate(cohort.table.names.tolist())}
    dice = {}
    for test in opened.store.tests():
        p = test.arrays["volumes"]
        each = (2 * p[..., 0] / (2 * p[..., 0] + p[..., 1] + p[..., 2])).mean(axis=1)
        dice |= dict(zip(test.cases, each.tolist(), strict=True))
    shown = [dice[item["case"]] for item in index["items"]]
    assert shown == sorted(shown)
    assert [shown[0], shown[-1]] == [min(dice.values()), max(dice.values())]
    text = page.write(finished).read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 3
    before = {path: path.stat().st_mtime_ns for path in (finished / "explanations").iterdir()}
    gallery.write_or_warn(opened)
    assert before == {path: path.stat().st_mtime_ns for path in (finished / "explanations").iterdir()}
    item = index["items"][-1]
    record = opened.store.fit(item["fit"])
    assert record is not None
    mask = tested_masks.masks(opened.cohort.store, tested_masks.of_fit(opened, record))(rows[item["case"]])
    assert isinstance(cohort.store, Ragged)
    assert mask.shape == tuple(cohort.store.sides[rows[item["case"]]])
    assert set(np.unique(mask)) <= {0, 1, 2}


def test_cases_are_taken_at_even_ranks():
    cases = [mask_gallery.Shown(row, 0, "f", value) for row, value in enumerate((0.5, 0.1, 0.9, 0.1, 0.7))]
    assert [case.row for case in mask_gallery.spread(cases, 3)] == [1, 0, 2]
    assert len(mask_gallery.spread(cases[:2], 3)) == 2
