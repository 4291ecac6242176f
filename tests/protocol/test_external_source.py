"""External cases from a file of their own: the run inside stays as it is, whenever they are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nachos_jax
from nachos_jax.audit import after
from nachos_jax.cli import main
from nachos_jax.core.errors import UsageError
from nachos_jax.data.targets import Targets
from nachos_jax.protocol.deploy import deploy
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.run.opening import open_run
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.page import page
from tests import tiny
from tests.protocol.test_external import content

AWAY = 24
SHORT: dict[str, Any] = {"training__epochs": 2, "training__patience": 2, "search__trials": 2}
SHORT |= {"report__replicates": 200}


def arrays(**changes: Any) -> dict[str, Any]:
    """Cases of another hospital, none of class 0, older than those inside."""
    images, labels, _ = tiny.arrays("float32")
    draw, there = np.random.default_rng(11), np.flatnonzero(labels > 0)[:AWAY]
    found = {
        "images": images[there] * 0.9 + draw.normal(0, 3, images[there].shape),
        "labels": labels[there],
        "subject": np.asarray([f"b{row // 2:02d}" for row in range(AWAY)]),
        "age": 70 + np.arange(AWAY) // 2,
        "sex": np.where(np.arange(AWAY) // 2 % 4, "F", "M"),
    }
    return {**found, "images": found["images"].astype(np.float32), **changes}


def _summary(run: Path) -> dict[str, Any]:
    """summary.json, made anew."""
    page.write(run)
    return json.loads((run / "summary.json").read_text())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with home.npz, and away.npz beside it."""
    folder = tmp_path_factory.mktemp("source")
    images, labels, folds = tiny.arrays("float32")
    rows = np.arange(tiny.CASES)
    subject = np.asarray([f"s{row // 2:02d}" for row in rows])
    known = {
        "subject": subject,
        "fold": folds,
        "age": 40 + rows // 2 % 20,
        "sex": np.where(rows // 2 % 2, "F", "M"),
    }
    np.savez(folder / "home.npz", images=images, labels=labels, **known)
    np.savez(folder / "away.npz", **arrays())
    return folder


def config(place: Path, away: str = "away.npz", **fields: Any):
    given = {"data__external_path": str(place / away)} if away else {}
    kept = {"data__source": "npz", "data__path": str(place / "home.npz"), "data__cache": str(place / "cache")}
    return tiny.run_config(**{**kept, **given, **SHORT, **fields})


@pytest.fixture(scope="module")
def finished(place: Path) -> Path:
    """Both commands with external cases named from the start."""
    evaluate(config(place), str(place / "run"), quiet=True)
    deploy(config(place), str(place / "run"), quiet=True)
    return place / "run"


@pytest.fixture(scope="module")
def alone(place: Path) -> Path:
    """Both commands without external cases."""
    evaluate(config(place, ""), str(place / "alone"), quiet=True)
    deploy(config(place, ""), str(place / "alone"), quiet=True)
    return place / "alone"


def external_tests_of(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("records/*/external/*.json")}


@pytest.mark.thorough
def test_the_run_inside_is_that_without_them(finished: Path, alone: Path):
    assert content(finished, ("model.json",)) == content(alone, ("model.json",))
    ours, theirs = (RunDirectory(run).run() for run in (finished, alone))
    assert ours is not None
    assert theirs is not None
    assert {key for key in ours if ours[key] != theirs.get(key)} <= {
        "config",
        "external",
        "digest",
    }
    assert ours["external"] == {"sites": ["away"], "cases": AWAY, "subjects": AWAY // 2} | {
        "hash": ours["external"]["hash"]
    }
    cases = RunDirectory(finished).external_cases()
    assert cases is not None
    assert cases.cautions == ("The external cases hold none of class '0'.",)
    assert not ours["warnings"], "they stand beside the external test alone"


def test_each_model_meets_them_once(finished: Path):
    store, shipped = RunDirectory(finished), RunDirectory(finished, "deploy")
    assert [test.fits for test in store.external_tests()] == [(test.fit,) for test in store.tests()]
    (deployed,) = shipped.external_tests()
    made = nachos_jax.load(finished / "deploy").probabilities(arrays()["images"][..., None])
    np.testing.assert_allclose(deployed.arrays["probabilities"], made, atol=1e-6)
    np.testing.assert_array_equal(deployed.arrays["labels"], arrays()["labels"])


def test_nothing_of_them_reaches_the_estimate(finished: Path, place: Path, tmp_path: Path):
    turned = arrays(labels=arrays()["labels"][::-1], images=arrays()["images"][:, ::-1] * -3)
    np.savez(place / "turned.npz", **turned)
    evaluate(config(place, "turned.npz"), str(tmp_path), quiet=True)
    kept = content(finished).items()
    wanted = {name: data for name, data in kept if not name.startswith(("records/deploy", "deploy"))}
    assert content(tmp_path) == {name: data for name, data in wanted.items() if "checkpoints" not in name}
    assert all(
        external_tests_of(tmp_path)[name] != external_tests_of(finished)[name]
        for name in external_tests_of(tmp_path)
    )


@pytest.mark.thorough
def test_a_finished_run_is_given_them_later_and_says_so(
    finished: Path, alone: Path, place: Path, tmp_path: Path, all_unpainted: None
):
    run = shutil.copytree(alone, tmp_path / "run")
    page.write(run)
    assert "external" not in json.loads((run / "summary.json").read_text())
    fits = sorted(path.name for path in run.rglob("fits/*"))
    evaluate(config(place), str(run), quiet=True)
    deploy(config(place), str(run), quiet=True)
    assert external_tests_of(run) == external_tests_of(finished)
    assert sorted(path.name for path in run.rglob("fits/*")) == fits, "nothing is trained again"
    told = page.write(run).read_text()
    assert f"They were named when {tiny.FOLDS} outer folds had been tested" in told
    assert "They were named when" not in page.write(shutil.copytree(finished, tmp_path / "first")).read_text()
    summary = json.loads((run / "summary.json").read_text())["external"]
    assert summary["named_after"] == tiny.FOLDS
    assert len(summary["tested_by"]) == tiny.FOLDS + 1
    with pytest.raises(UsageError, match="this config names none: name them again"):
        evaluate(config(place, ""), str(run), quiet=True)


def test_other_cases_are_refused_once_some_are_named(finished: Path, place: Path, tmp_path: Path):
    np.savez(place / "other.npz", **arrays(images=arrays()["images"] + 1))
    with pytest.raises(UsageError, match=r"have changed since they were named first.*copy its folder"):
        evaluate(config(place, "other.npz"), str(finished), quiet=True)
    copied = shutil.copytree(finished, tmp_path / "other")
    (copied / "records/external.json").unlink()
    with pytest.raises(UsageError, match="have changed since"):
        evaluate(config(place, "other.npz"), str(copied), quiet=True)
    for folder in copied.glob("records/*/external"):
        shutil.rmtree(folder)
    evaluate(config(place, "other.npz"), str(copied), quiet=True)
    record = RunDirectory(copied, "evaluate").external_cases()
    assert record is not None
    assert record.after == tiny.FOLDS, "the page says that they were named later"
    summary = _summary(copied)
    assert summary["external"]["named_after"] == tiny.FOLDS
    copied = shutil.copytree(finished, tmp_path / "run")
    moved = shutil.copy(place / "away.npz", tmp_path / "away.npz")
    open_run(config(place, str(moved)), str(copied), "evaluate")


@pytest.mark.thorough
def test_a_kill_between_two_tests_loses_nothing(
    finished: Path, alone: Path, place: Path, tmp_path: Path, monkeypatch
):
    run, commit, done = shutil.copytree(alone, tmp_path / "run"), RunDirectory.commit_external_test, []

    def killed(self: RunDirectory, name: str, value: Any) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        commit(self, name, value)
        done.append(name)

    monkeypatch.setattr(RunDirectory, "commit_external_test", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluate(config(place), str(run), quiet=True)
    assert len(external_tests_of(run)) == 2
    monkeypatch.setattr(RunDirectory, "commit_external_test", commit)
    evaluate(config(place), str(run), quiet=True)
    deploy(config(place), str(run), quiet=True)
    assert external_tests_of(run) == external_tests_of(finished)
    assert content(run, ("model.json",)) == content(alone, ("model.json",))


@pytest.mark.thorough
def test_the_report_tells_who_they_are(finished: Path, tmp_path: Path, all_unpainted: None):
    finished = shutil.copytree(finished, tmp_path / "run")
    shown = page.write(finished).read_text()
    shift = json.loads((finished / "summary.json").read_text())["external"]["shift"]
    rows = {row["name"]: row for row in shift["rows"]}
    age, sex = rows["Mean of age"], rows["Share of sex F"]
    own, there = 40 + np.arange(tiny.CASES // 2) % 20, 70 + np.arange(AWAY // 2)
    assert (age["inside"]["value"], age["external"]["value"]) == (own.mean(), there.mean())
    sd = np.sqrt((own.var(ddof=1) + there.var(ddof=1)) / 2)
    assert np.isclose(age["difference"]["value"], (there.mean() - own.mean()) / sd)
    assert age["difference"]["low"] < age["difference"]["value"] < age["difference"]["high"]
    assert (sex["inside"]["value"], sex["external"]["value"]) == (0.5, 0.75)
    assert "Mean of age" in shift["large"]
    assert "mean of age (75.500 against" in shown
    assert "None of them is 0: what is averaged over classes leaves that out" in shown
    table = (finished / "external_shift.csv").read_text()
    assert "Mean of age," in table
    found = json.loads((finished / "records/external.json").read_text())["people"]
    assert set(found) == {"age", "sex"}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown class": (
        {"labels": np.where(np.arange(AWAY) < 2, 7, 1)},
        r"label '7' is not listed(?s:.)*drop the row: models tell apart '0', '1', '2' alone",
    ),
    "colour": (
        {"images": np.zeros((AWAY, *tiny.arrays("float32")[0].shape[1:3], 3), np.float32)},
        r"have 3 channel",
    ),
    "another size": ({"images": np.zeros((AWAY, 5, 6), np.float32)}, "have 5 x 6 pixels, and those inside"),
    "another depth": (
        {"images": np.ones((AWAY, *tiny.arrays("float32")[0].shape[1:3]), np.uint8)},
        "stored as uint8",
    ),
    "subjects of inside": (
        {"subject": np.asarray([f"S{row:02d}" for row in range(AWAY)])},
        "24 subjects have cases inside too, like 'S00'.*write them otherwise there, like 'b-S00'",
    ),
    "no subjects": ({"subject": np.zeros((AWAY, 2))}, "external cases, .*no.npz: .*subjects"),
    "copies": (
        {"images": np.asarray(tiny.arrays("float32")[0])[:AWAY]},
        "24 external cases are equal to cases inside",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_external_is_refused_with_the_cure(name: str, place: Path, tmp_path: Path):
    changes, told = REFUSED[name]
    np.savez(tmp_path / "no.npz", **arrays(**changes))
    fields = {"data__external_path": str(tmp_path / "no.npz")}
    with pytest.raises(UsageError, match=told):
        open_run(config(place, "", **fields), str(tmp_path / "run"), "evaluate")
    assert not (tmp_path / "run").exists()


def test_copies_are_refused_where_a_run_is_given_them_later(alone: Path, place: Path, tmp_path: Path):
    np.savez(tmp_path / "no.npz", **arrays(images=np.asarray(tiny.arrays("float32")[0])[:AWAY]))
    fields = {"data__external_path": str(tmp_path / "no.npz")}
    with pytest.raises(UsageError, match="--allow=duplicates"):
        open_run(config(place, "", **fields), str(alone), "evaluate")
    opened = open_run(config(place, "", data__allow=("duplicates",), **fields), str(alone), "evaluate")
    assert any("24 external cases are equal" in text for text in opened.beyond)


@pytest.mark.thorough
def test_what_weakens_the_test_of_cases_that_are_named_later_stands_in_the_report(
    alone: Path, place: Path, tmp_path: Path
):
    run = shutil.copytree(alone, tmp_path / "run")
    np.savez(tmp_path / "no.npz", **arrays(images=np.asarray(tiny.arrays("float32")[0])[:AWAY]))
    fields = {"data__external_path": str(tmp_path / "no.npz"), "data__allow": ("duplicates",)}
    evaluate(config(place, "", **fields), str(run), quiet=True)
    summary = _summary(run)
    assert sum("24 external cases are equal" in text for text in summary["caveats"]) == 1
    record = RunDirectory(run, "evaluate").run()
    assert record is not None
    assert not any("external" in text for text in record["warnings"])


def test_a_site_that_is_inside_too_is_told(place: Path, tmp_path: Path):
    home: dict[str, Any] = dict(np.load(place / "home.npz"))
    for name, of in (("home", home), ("away", arrays())):
        np.savez(tmp_path / f"{name}.npz", **of, site=np.full(len(of["labels"]), "east"))
    opened = open_run(config(tmp_path), str(tmp_path / "run"), "evaluate")
    assert any("come from 'east', which is a site inside too" in text for text in opened.beyond)


def test_two_places_and_places_without_files_are_refused(place: Path, capsys):
    files = [f"--config.data.path={place / 'home.npz'}", f"--config.data.external_path={place / 'away.npz'}"]
    assert main.main(["nachos", "plan", "--config=base", *files, "--config.data.external=('away',)"]) == 2
    assert "set one of both back" in capsys.readouterr().err
    assert main.main(["nachos", "plan", "--config=smoke", files[1]]) == 2
    assert "does nothing for config.data.source = 'digits'" in capsys.readouterr().err
    gone = "--config.data.external_path=gone.npz"
    assert main.main(["nachos", "plan", "--config=base", files[0], gone]) == 2
    assert "config.data.external_path = 'gone.npz': there is no such file" in capsys.readouterr().err


def by_site(place: Path, folder: Path) -> None:
    """One file whose site "away" is external."""
    home, away = dict(np.load(place / "home.npz")), arrays(fold=np.zeros(AWAY, int))
    both: dict[str, Any] = {name: np.concatenate([home[name], away[name]]) for name in home}
    site = np.repeat(["home", "away"], [tiny.CASES, AWAY])
    np.savez(folder / "both.npz", **both, site=site)


@pytest.mark.thorough
def test_a_part_of_the_subjects_is_one_of_those_inside(place: Path, tmp_path: Path):
    by_site(place, tmp_path)
    fields = {"data__path": str(tmp_path / "both.npz"), "data__external": ("away",), "data__subset": 0.5}
    opened = open_run(config(place, "", **fields), str(tmp_path / "run"), "evaluate").cohort
    alone = open_run(config(place, "", data__subset=0.5), str(tmp_path / "alone"), "evaluate").cohort
    assert opened.outside is not None
    assert len(opened.outside.table) == AWAY, "external cases are tested whole"
    assert opened.table.names.tolist() == alone.table.names.tolist()
    assert any("24 of 48 subjects take part" in text for text in opened.cautions)
    beside = open_run(config(place, data__subset=0.5), str(tmp_path / "beside"), "evaluate").cohort
    assert beside.hash == alone.hash
    assert beside.outside is not None
    assert len(beside.outside.table) == AWAY


def test_an_audit_takes_the_records_of_a_run_with_external_cases(finished: Path):
    known = RunDirectory(finished).cases()
    assert known is not None
    names = [*known.names.tolist(), "row-900000"]
    targets = np.append(known.targets, 1)
    assert after.finished(str(finished), names, targets).path == RunDirectory(finished).path
    with pytest.raises(UsageError, match="over other cases"):
        after.finished(str(finished), names[1:], targets[1:])


@pytest.mark.thorough
def test_targets_of_external_cases_keep_the_order_of_the_classes_inside(place: Path, tmp_path: Path):
    cohort = open_run(config(place), str(tmp_path / "run"), "evaluate").cohort
    assert cohort.outside is not None
    there: Targets = cohort.outside.targets
    assert there.names == cohort.targets.names == ("0", "1", "2")
    assert there.counts()["0"] == 0
    np.testing.assert_array_equal(there.values, arrays()["labels"])
