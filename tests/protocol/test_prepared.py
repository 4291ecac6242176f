"""How cases are prepared and normalised as a choice of the search, from files to the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load

import nachos_jax
from nachos_jax.core import space
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import active
from nachos_jax.data.store import Dense
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.model import networks
from nachos_jax.protocol.model.networks import Predicted
from nachos_jax.protocol.run import embedding, prepared
from nachos_jax.protocol.run.configure import checked
from nachos_jax.protocol.run.opening import open_run
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.page import page
from tests import tiny
from tests.inputs import dense

pytestmark = pytest.mark.usefixtures("quick_compilation", "figures_unpainted")
CASES, OUTSIDE = 48, 8
BEST = {"aspect": "pad", "clahe": 2, "normalisation": "clipped", "learning_rate": 0.05}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Striped images of many sizes, three folds, and a site that is kept outside."""
    folder, draw = tmp_path_factory.mktemp("prepared"), np.random.default_rng(0)
    rows = ["path,label,subject,fold,site"]
    for case in range(CASES + OUTSIDE):
        height, width = draw.integers(20, 40, 2)
        image = draw.normal(90, 15, (height, width))
        stripes = image if case % 2 else image.T
        stripes[::4] += 80
        stripes[1::4] += 80
        file = folder / f"{case:02d}.png"
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(file)
        site = "far" if case >= CASES else "here"
        rows.append(f"{file.name},{'ab'[case % 2]},s{case // 2},{case // 2 % 3},{site}")
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")
    return folder


def config(place: Path, **changes):
    """Two trials: the default, which learns nothing, and another way of preparing, which does."""
    more = {
        "data__source": "csv",
        "data__path": str(place / "cases.csv"),
        "data__cache": str(place / "cache"),
        "data__height": 16,
        "data__width": 16,
        "data__external": ("far",),
        "training__learning_rate": 1e-8,
        "training__epochs": 6,
        "training__batch_size": 8,
        "search__trials": 2,
        "search__priors": (BEST,),
        "search__space__aspect": space.choice("stretch", "pad"),
        "search__space__clahe": space.choice(0, 2),
        "search__space__normalisation": space.choice("training", "clipped"),
        "search__space__learning_rate": space.log(1e-8, 0.1),
    }
    return tiny.config(**{**more, **changes})


@pytest.fixture(scope="module")
def finished(place: Path) -> Path:
    """The estimate and the model, of which every study chose the other way."""
    run, workdir = checked(config(place)), place / "run"
    evaluate(run, str(workdir), None, None, quiet=True)
    page.write(workdir)
    nachos_jax.deploy(config(place), workdir)
    for study in (0, 1, 2, None):
        outcome = RunDirectory(workdir, "evaluate" if study is not None else "deploy").outcome(study)
        assert outcome is not None
        chosen = outcome.trials[outcome.selected].hparams
        assert {name: chosen.get(name) for name in BEST} == BEST
    return workdir


def test_each_way_has_a_store_of_its_own_that_is_decoded_once(place: Path) -> None:
    run = checked(config(place))
    embedding.load(run)
    assert [dict(name) for name in prepared.names(run)] == [
        {"clahe": 2},
        {"aspect": "pad"},
        {"aspect": "pad", "clahe": 2},
    ]
    assert len(list((place / "cache").glob("*.npy"))) == 4
    cohort = embedding.load(run)
    assert len(list((place / "cache").glob("*.npy"))) == 4
    alone = embedding.load(
        checked(config(place, search__priors=(), search__space__aspect="", search__space__clahe=""))
    )
    assert (alone.hash, alone.others) == (cohort.hash, {})
    for aspect, limit in (("stretch", 2), ("pad", 0), ("pad", 2)):
        one = {
            "data__aspect": aspect,
            "data__clahe": limit,
            "search__space__aspect": "",
            "search__space__clahe": "",
        }
        wanted = embedding.load(checked(config(place, **one, search__priors=())))
        values = {"aspect": aspect, "clahe": limit}
        found = cohort.prepared({k: v for k, v in values.items() if v != run.defaults[k]})
        np.testing.assert_array_equal(dense(found), dense(wanted))
        assert found.preparation == wanted.preparation
        assert found.outside is not None
        assert wanted.outside is not None
        np.testing.assert_array_equal(dense(found.outside), dense(wanted.outside))
        assert not np.array_equal(dense(found), dense(cohort))


@pytest.mark.thorough
def test_a_refit_predicts_again_what_was_recorded(place: Path, finished: Path) -> None:
    run = open_run(checked(config(place)), str(finished), "evaluate")
    rows = {name: row for row, name in enumerate(run.cohort.table.names.tolist())}
    test = run.store.tests()[0]
    record = run.store.fit(test.fit)
    assert record is not None
    of = networks.architecture(
        record.hparams, Predicted("classification", ("a", "b"), run.cohort.shape), "float32"
    )
    weights = networks.weights(of, load(run.store.payload(record, "weights.safetensors")))
    images = run.cohort.prepared(record.hparams).store.rows(np.asarray([rows[case] for case in test.cases]))
    found = of.predicted.on_host.predicted(np.asarray(networks.predictor(of, weights)(images)))
    np.testing.assert_allclose(found, test.arrays["probabilities"], atol=1e-5)
    assert np.mean(found.argmax(1) == test.arrays["labels"]) > 0.6, "it has learned"


def test_the_model_prepares_and_normalises_files_as_its_training_did(place: Path, tmp_path: Path) -> None:
    model = nachos_jax.deploy(config(place), tmp_path / "run")
    told = model.description
    assert (told["preparation"]["aspect"], told["preparation"]["clahe"]) == ("fit", 2)
    assert told["normalisation"].startswith("clipped to percentiles 0.5 and 99.5 of the case")
    cohort = embedding.load(checked(config(place))).prepared(told["hparams"])
    names, found = model.predict([place / name for name in cohort.table.names.tolist()])
    np.testing.assert_array_equal(found, model.probabilities(dense(cohort)))
    maps, _ = model.explain(dense(cohort)[:3], found[:3].argmax(1), "occlusion")
    assert maps.shape == (3, 16, 16)
    other = embedding.load(checked(config(place)))
    assert not np.allclose(model.probabilities(dense(other)), found, atol=1e-3)


@pytest.mark.thorough
def test_external_cases_are_prepared_and_normalised_alike(place: Path, finished: Path) -> None:
    outside = embedding.load(checked(config(place))).prepared(BEST).outside
    assert outside is not None
    found = nachos_jax.load(finished / "deploy").probabilities(dense(outside))
    tests = RunDirectory(finished, "deploy").external_tests()
    [recorded] = [test for test in tests if test.model == "deploy"]
    np.testing.assert_allclose(recorded.arrays["probabilities"], found, atol=1e-5)


@pytest.mark.thorough
def test_a_second_table_is_prepared_in_each_way_like_the_first(place: Path) -> None:
    header, *rows = (place / "cases.csv").read_text().splitlines()
    for name, site in (("near", "here"), ("away", "far")):
        own = [row for row in rows if row.endswith(f",{site}")]
        (place / f"{name}.csv").write_text("\n".join([header, *own]) + "\n")
    files = {"data__path": str(place / "near.csv"), "data__external_path": str(place / "away.csv")}
    sites = embedding.load(checked(config(place))).prepared(BEST)
    tables = embedding.load(checked(config(place, data__external=(), **files))).prepared(BEST)
    assert tables.outside is not None
    assert sites.outside is not None
    np.testing.assert_array_equal(dense(tables), dense(sites))
    np.testing.assert_array_equal(dense(tables.outside), dense(sites.outside))


@pytest.mark.thorough
def test_tables_and_checklists_say_how_cases_were_prepared(finished: Path) -> None:
    header, *rows = [line.split(",") for line in (finished / "trials.csv").read_text().splitlines()]
    shown = [[row[header.index(name)] for name in ("aspect", "clahe", "normalisation")] for row in rows]
    assert shown == [["stretch", "0", "training"], ["pad", "2", "clipped"]] * 3
    text = "".join(file.read_text() for file in (finished / "report").glob("**/*.md"))
    assert "aspect 'pad', clahe 2" in text
    assert "Pixels are normalised channel by channel as the selected configurations say: clipped" in text


def test_the_default_keeps_its_id_whatever_is_searched_beside_it(place: Path) -> None:
    searched, plain = (
        checked(config(place)),
        tiny.run_config(training__learning_rate=1e-8, training__batch_size=8),
    )
    assert active(searched.defaults, searched.table) == active(plain.defaults, plain.table)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"data__source": "arrays", "data__path": ""},
            "cases from Python are prepared already; set it to ''",
        ),
        (
            {"task__name": "segmentation", "model__architecture": "unet"},
            "config.search.space.aspect: images with masks are resampled alone; set it to ''",
        ),
        ({"search__space__spacing": "choice('', 'mean')"}, "aspect does nothing at a common spacing"),
        ({"data__channels": 3}, r"Prepared with clahe = 2, as .* takes gray images, and it has 3 channels"),
        ({"data__height": 0, "data__width": 0}, "set config.data.height and config.data.width to resize"),
    ],
)
def test_what_cannot_be_prepared_is_refused(changes: dict, words: str, place: Path) -> None:
    none = {"search__priors": (), "data__external": (), "search__space__normalisation": ""}
    with pytest.raises(UsageError, match=words):
        embedding.load(checked(config(place, **{**none, **changes})))


def test_a_store_of_another_shape_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = checked(config(place))
    load_as_it_is = prepared.sources.load

    def lower(data, task):
        found = load_as_it_is(data, task)
        return found if data.clahe == 0 else prepared.replace(found, store=Dense(dense(found)[:, 1:]))

    monkeypatch.setattr(prepared.sources, "load", lower)
    with pytest.raises(UsageError, match=r"clahe = 2, .* the cases are \(15, 16, 1\) .* else \(16, 16, 1\)"):
        embedding.load(run)
