"""The spacing of masks as a choice of the search: a store for each, and all judged on the grids of files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import nachos_jax
from nachos_jax.cli.main import main
from nachos_jax.core import space
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import active
from nachos_jax.data import resampling
from nachos_jax.data.ragged import Ragged
from nachos_jax.engine import planned
from nachos_jax.metrics import overlap
from nachos_jax.protocol.deploy import deploy
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.model import mask_gallery, tested_masks
from nachos_jax.protocol.plan import memory
from nachos_jax.protocol.run import door, embedding, prepared
from nachos_jax.protocol.run.configure import checked
from nachos_jax.protocol.run.opening import open_run
from nachos_jax.records.store import RunDirectory
from nachos_jax.tasks.segmentation import TASK
from tests import masks, tiny

pytestmark = pytest.mark.usefixtures("quick_compilation", "figures_unpainted")
CASES, SITES = 12, 2
BETTER = {"spacing": "mean", "learning_rate": 0.01}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Volumes with two classes at spacings of their own, in three folds; two cases of another site."""
    place = tmp_path_factory.mktemp("spacings") / "cases.npz"
    found = masks.pairs(cases=CASES + SITES)
    room = np.max([pair.mask.shape for pair in found], axis=0)

    def padded(part: np.ndarray) -> np.ndarray:
        return np.pad(part, [(0, most - side) for most, side in zip(room, part.shape, strict=True)])

    rows = np.arange(len(found))
    np.savez(
        place,
        images=np.stack([padded(pair.image[..., 0]) for pair in found]),
        masks=np.stack([padded(pair.mask) for pair in found]),
        shape=np.stack([pair.mask.shape for pair in found]),
        spacing=np.stack([[2.0, *[1.0 + 0.6 * (row % 4 == 0)] * 2] for row in rows]),
        patient=[f"s{row // 2}" for row in rows],
        fold=[str(row // 2 % masks.FOLDS) for row in rows],
        site=["far" if row >= CASES else "here" for row in rows],
        label_names=["left", "right"],
    )
    return place


def config(file: Path, **changes: Any):
    """Two trials: one on the grids of the files that learns nothing, one at a common spacing that does."""
    more = {
        "data__source": "npz",
        "data__path": str(file),
        "data__subject_key": "patient",
        "data__fold_key": "fold",
        "data__site_key": "site",
        "data__external": ("far",),
        "training__learning_rate": 1e-8,
        "search__space__segmentation__loss": "",
        "search__space__spacing": space.choice("", "mean"),
        "search__space__learning_rate": space.log(1e-8, 0.1),
        "search__priors": (BETTER,),
        "training__epochs": 6,
        "task__largest_component": True,
    }
    return masks.config(**{**more, **changes})


@pytest.fixture(scope="module")
def finished(file: Path) -> Path:
    """The estimate and the model; every study chose the common spacing."""
    workdir = file.parent / "run"
    evaluate(checked(config(file)), str(workdir), None, None, quiet=True)
    deploy(checked(config(file)), str(workdir), None, quiet=True)
    for study in (0, 1, 2, None):
        outcome = RunDirectory(workdir, "deploy" if study is None else "evaluate").outcome(study)
        assert outcome is not None
        assert outcome.trials[outcome.selected].hparams["spacing"] == "mean"
    return workdir


def test_each_spacing_has_a_store_and_all_have_one_truth(file: Path) -> None:
    run = checked(config(file))
    assert prepared.names(run) == [(("spacing", "mean"),)]
    cohort = embedding.load(run)
    found = cohort.prepared(BETTER)
    wanted = embedding.load(checked(config(file, data__spacing="mean", search__space__spacing="", **NONE)))
    assert isinstance(cohort.store, Ragged)
    assert isinstance(found.store, Ragged)
    assert isinstance(wanted.store, Ragged)
    assert found.store.content() == wanted.store.content()
    assert found.preparation == wanted.preparation
    assert (found.store.spacing == found.store.spacing[0]).all()
    np.testing.assert_array_equal(found.targets.values, cohort.targets.values)
    for row in range(len(cohort.table)):
        for one, other in zip(cohort.store.truth(row), found.store.truth(row), strict=True):
            np.testing.assert_array_equal(one, other)
    plain = checked(config(file, search__space__spacing="", **NONE))
    assert active(run.defaults, run.table) == active(plain.defaults, plain.table)  # so equal fits have one id
    assert embedding.load(plain).hash == cohort.hash


NONE: dict[str, Any] = {"search__priors": ()}


def test_masks_are_made_from_the_store_of_their_spacing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a fit: what a network would see is what the store of its hyperparameters holds."""
    cohort, met = embedding.load(checked(config(file))), []
    assert isinstance(cohort.store, Ragged)

    def perfect(store: Ragged, _: Any):
        met.append(store)
        return store.mask

    monkeypatch.setattr(tested_masks, "of_fit", lambda *_: None)
    monkeypatch.setattr(tested_masks, "masks_of_store", perfect)
    of: Any = SimpleNamespace(cohort=cohort)
    for chosen in ({}, BETTER):
        done: Any = SimpleNamespace(status="done", hparams=chosen)
        found = tested_masks.measured(of, done, [0, 1])["window_volumes"]
        np.testing.assert_allclose(found[..., 0] + found[..., 2], cohort.targets.values[:2], rtol=1e-5)
    assert met == [cohort.store, cohort.prepared(BETTER).store]
    assert met[0] is not met[1]


@pytest.mark.thorough
def test_what_is_seen_and_tested_is_counted_on_the_grids_of_the_files(file: Path, finished: Path) -> None:
    run = open_run(checked(config(file)), str(finished), "evaluate")
    cohort, rows = run.cohort, {name: row for row, name in enumerate(run.cohort.table.names.tolist())}
    store = cohort.prepared(BETTER).store
    assert isinstance(store, Ragged)
    for test in run.store.tests():
        record = run.store.fit(test.fit)
        assert record is not None
        own = [rows[case] for case in test.cases]
        parts = test.arrays["volumes"]
        np.testing.assert_allclose(parts[..., 0] + parts[..., 2], cohort.targets.values[own], rtol=1e-5)
        mask = tested_masks.masks_of_store(store, tested_masks.of_fit(run, record))
        for place, row in enumerate(own):
            truth, spacing = cohort.store.truth(row)  # pyrefly: ignore[missing-attribute]
            there = store.spacing[row].tolist()
            found = resampling.restored(mask(row), truth.shape, there, spacing)
            wanted = overlap.voxels(truth, found, 2) * np.prod(spacing)
            np.testing.assert_allclose(test.arrays["window_volumes"][place], wanted, rtol=1e-6)
    assert np.mean([overlap.dice(test.arrays["window_volumes"]).mean() for test in run.store.tests()]) > 0.2
    shown = json.loads(mask_gallery.write(run).read_text(encoding="utf-8"))["items"]
    assert len(shown) == mask_gallery.SHOWN
    assert all((finished / "explanations" / item["file"]).stat().st_size > 1000 for item in shown)


@pytest.mark.thorough
def test_the_model_takes_files_to_its_spacing_and_masks_back(file: Path, finished: Path) -> None:
    out = file.parent / "predicted"
    words = ["--model", str(finished / "deploy"), "--input", str(file), "--output", str(out)]
    assert main(["nachos", "predict", *words]) == 0
    model = nachos_jax.load(finished / "deploy")
    cohort = embedding.load(checked(config(file))).prepared(BETTER)
    told = model.description
    assert told["preparation"]["spacing"] == cohort.preparation["spacing"]
    assert told["preparation"]["height"] == cohort.store.shape[1]
    [written] = out.glob("*.npz")
    with np.load(written) as found, np.load(file) as given:
        assert found["masks"].shape == given["masks"].shape
        for row in (0, 5):
            sides = tuple(slice(0, side) for side in given["shape"][row])
            again = model.segment(given["images"][row][sides], spacing=tuple(given["spacing"][row]))
            np.testing.assert_array_equal(found["masks"][row][sides], again)


@pytest.mark.thorough
def test_external_cases_meet_each_model_at_its_spacing(file: Path, finished: Path) -> None:
    run = open_run(checked(config(file)), str(finished), "evaluate")
    outside = run.cohort.outside
    assert outside is not None
    store = outside.prepared(BETTER).store
    assert isinstance(store, Ragged)
    tests = run.store.external_tests()
    assert len(tests) == masks.FOLDS
    for test in tests:
        record = run.store.fit(test.fits[0])
        assert record is not None
        mask = tested_masks.masks_of_store(store, tested_masks.of_fit(run, record))
        for row in range(len(outside.table)):
            truth, spacing = outside.store.truth(row)  # pyrefly: ignore[missing-attribute]
            there = store.spacing[row].tolist()
            found = resampling.restored(mask(row), truth.shape, there, spacing)
            wanted = overlap.voxels(truth, found, 2) * np.prod(spacing)
            np.testing.assert_allclose(test.arrays["window_volumes"][row], wanted, rtol=1e-6)


def test_patches_are_planned_for_each_spacing_and_levels_checked_at_each(file: Path) -> None:
    sides = {f"task__segmentation__patch_{side}": 0 for side in ("depth", "height", "width")}
    run = checked(config(file, task__segmentation__dimensions=2, **sides))
    cohort = embedding.load(run)
    found = planned.applied(run, cohort)
    assert found.defaults["segmentation.patch_height"] == 0
    coarse = cohort.prepared(BETTER)
    assert coarse.shape != cohort.shape
    for one in (cohort, coarse):
        patch = TASK.network_shape(one.shape, found.defaults)
        assert patch[1:3] == tuple(side if side < 8 else -(-side // 8) * 8 for side in one.shape[1:3])
    deep = checked(config(file, model__unet__depth=4, **NONE))
    with pytest.raises(UsageError, match=r"unet\.depth = 4: patches of 1 x 8 x 8"):
        door.check(deep, cohort, tiny.folds(cohort))
    assert memory.cases_memory(run, cohort, 10**9).stores == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"search__space__clahe": "choice(0, 2)"}, "space.clahe: images with masks are resampled alone"),
        ({"data__spacing_key": ""}, "Prepared with spacing = 'mean', as .* how many mm a voxel measures"),
    ],
)
def test_what_cannot_be_prepared_is_refused(changes: dict[str, Any], words: str, file: Path) -> None:
    with pytest.raises(UsageError, match=words):
        embedding.load(checked(config(file, **{**NONE, **changes})))


def test_several_configurations_make_a_mask_on_one_grid_alone(file: Path) -> None:
    with pytest.raises(UsageError, match=r"ensemble = 2 averages probabilities on one grid"):
        door.check_config(checked(config(file, task__ensemble=2)))


@pytest.mark.thorough
def test_the_plan_says_what_it_saw_and_how_far_trial_0_trains(
    file: Path, capsys: pytest.CaptureFixture
) -> None:
    """12 cases in 3 folds leave 4 to a search fit, and batches of 2 of them give 2 steps an epoch."""
    words = [f"--config.data.path={file}", "--config.data.subject_key=patient", "--config.folds.count=3"]
    words += [
        "--config.data.external=('far',)",
        "--config.training.epochs=5",
        "--config.task.plan_memory=0.05",
    ]
    assert main(["nachos", "plan", "--config=configs/segmentation.py", *words]) == 0
    out = capsys.readouterr().out
    assert "planned from 12 cases of" in out
    assert "the headers of all cases made this plan, those of test folds among them" in out
    assert re.search(
        r"trial 0 takes 2 steps of \d+ patches an epoch in a search fit, 10 at most; nnU-Net", out
    )
