"""A data set with known faults: each is found, in the table as on the page, and none where there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import nachos_jax
from nachos_jax.audit import after, counts, extent
from nachos_jax.audit.audit import audit, to_json
from nachos_jax.audit.pictures import of_cases
from nachos_jax.core.errors import UsageError
from nachos_jax.data.inspected import Inspected, inspect
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.run.configure import checked
from nachos_jax.report.page import audit_page
from nachos_jax.tasks import registry as tasks
from tests import masks, tiny
from tests.tiers import mostly_thorough

COUNT, SIDE = 60, 64


def _rows(folder: Path) -> list[dict[str, str]]:
    """Thirty subjects of two cases, whose class no column tells, with their images."""
    noise = np.random.default_rng(0).normal(size=(COUNT, SIDE, SIDE))
    smooth = ndimage.gaussian_filter(noise, (0, 2, 2))
    images = (127 + 100 * smooth / np.abs(smooth).max()).astype(np.uint8)
    rows = []
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:02d}.png")
        subject = number // 2
        row = {"path": f"{number:02d}.png", "label": "ab"[subject % 2], "subject": f"P{subject:02d}"}
        rows.append(
            {**row, "site": "NS"[subject // 2 % 2], "sex": "MF"[subject // 3 % 2], "fold": f"{subject % 3}"}
        )
    return rows


def _audited(folder: Path, rows: list[dict[str, str]], further: Any = (), **fields: Any) -> dict[str, Any]:
    """The findings by kind."""
    return {finding["kind"]: finding for finding in _told(folder, rows, further, **fields)["findings"]}


def _told(folder: Path, rows: list[dict[str, str]], further: Any = (), **fields: Any) -> dict[str, Any]:
    """audit.json, whose page has been looked at."""
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    (folder / "cases.csv").write_text("\n".join(lines))
    config = nachos_jax.default_config()
    config.data.source, config.data.path = "csv", str(folder / "cases.csv")
    config.data.cache = str(folder / "cache")
    config.data.update(fields)
    run = checked(config)
    found = inspect(run.data, tasks.of(run.task))
    told: dict[str, Any] = {**to_json(audit(found, extent.Division(3), further)), "after": None}
    page = audit_page.render(told, of_cases(found.cohort.store, audit_page.shown_rows(told)))
    assert all(finding["kind"][1:] in page for finding in told["findings"])
    return json.loads(json.dumps(told))


@pytest.mark.thorough
def test_clean_data_have_no_findings(tmp_path: Path):
    assert _audited(tmp_path, _rows(tmp_path)) == {}


def test_planted_faults_are_found(tmp_path: Path):
    rows = _rows(tmp_path)
    Image.open(tmp_path / "00.png").save(tmp_path / "40.png")  # of P20, of the same class, in another fold
    Image.open(tmp_path / "04.png").save(tmp_path / "06.png")  # P02 and P03, of two classes
    noisy = np.asarray(Image.open(tmp_path / "08.png"), float) + np.random.default_rng(1).normal(
        0, 3, (SIDE, SIDE)
    )
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(tmp_path / "48.png")
    Image.fromarray(np.full((SIDE, SIDE), 9, np.uint8)).save(tmp_path / "20.png")
    rows[30]["fold"], rows[31]["fold"] = "0", "1"
    rows[50]["subject"] = "p25"
    for row in rows:
        row["site"] = "N" if row["label"] == "a" else row["site"]
    found = _audited(tmp_path, rows)
    assert [[case["row"] for case in pair] for pair in found["duplicates"]["groups"]] == [[0, 40], [4, 6]]
    assert [[case["row"] for case in pair] for pair in found["contradictions"]["groups"]] == [[4, 6]]
    assert [[case["row"] for case in pair] for pair in found["near duplicates"]["groups"]] == [[8, 48]]
    assert found["constant images"]["groups"][0][0]["row"] == 20
    assert found["subjects across fold"]["count"] == 1
    assert (
        "'P25' = 'p25'" in found["spellings of subject"]["told"]
        or "p25" in found["spellings of subject"]["told"]
    )
    assert "class 'a' come from site 'N'" in found["class of one site"]["told"]


@pytest.mark.thorough
def test_a_file_type_that_tells_the_class_is_found(tmp_path: Path):
    rows = _rows(tmp_path)
    for row in rows:
        if row["label"] == "b":
            Image.open(tmp_path / row["path"]).save((tmp_path / row["path"]).with_suffix(".tif"))
            row["path"] = row["path"].replace("png", "tif")
    assert "file type" in _audited(tmp_path, rows)["class told by metadata"]["told"]


@mostly_thorough("unknown", ["NA", "n/a", ""], kept=1)
def test_an_age_that_tells_the_class_is_found_though_one_is_not_known(tmp_path: Path, unknown: str):
    rows = _rows(tmp_path)
    for number, row in enumerate(rows):
        row["age"] = f"{(30 if row['label'] == 'a' else 60) + number % 20:03}Y"
    rows[3]["age"] = unknown
    assert "age" in _audited(tmp_path, rows)["class told by metadata"]["told"]


def test_columns_that_are_not_asked_are_told(tmp_path: Path):
    rows = _rows(tmp_path)
    for number, row in enumerate(rows):
        row["note"], row["sex"] = f"seen by {number}", "fm"[number % 2]
    told = " ".join(_told(tmp_path, rows)["left_out"])
    assert "'note'" in told
    assert "'sex'" not in told


def test_what_may_be_meant_in_two_ways_is_told():
    cohort = replace(masks.cohort(), doubts=("It may be a or b.",))
    found = Inspected(cohort, True, False, {}, {}, {})
    assert [one.told for one in counts.findings(found)] == ["It may be a or b."]


@pytest.mark.parametrize(
    ("subjects", "cure"), [(1, "Join the class"), (2, "Join the class"), (3, "Take at most 3")]
)
def test_the_cure_of_a_small_class_is_one_that_is_taken(subjects: int, cure: str):
    has = np.asarray([[row < subjects, row >= subjects] for row in range(60)])
    targets = SimpleNamespace(names=("rare", "often"), has=has, noun="class")
    cohort = SimpleNamespace(targets=targets, table=SimpleNamespace(subjects=np.arange(60)))
    found: Any = SimpleNamespace(cohort=cohort, known=True)
    (fault,) = [
        one for one in extent.findings(found, extent.Division(5)) if one.kind == "too few for the folds"
    ]
    assert cure in fault.cure
    assert "add cases" in fault.cure


def test_subjects_that_are_not_known_are_told(tmp_path: Path):
    rows = [{key: row[key] for key in ("path", "label")} for row in _rows(tmp_path)]
    assert "subjects not known" in _audited(tmp_path, rows)
    assert "subjects not known" not in _audited(tmp_path, rows, subject="one_case_per_subject")


def _run(**more: Any) -> Any:
    curve = SimpleNamespace(loss=(0.9, 0.8))
    fit = SimpleNamespace(fit="f", parameters=10, curves={1: curve}, training_loss=(0.5, 0.4), limit=4)
    record = {"folds": {"count": 2, "repeats": 1}, **more}
    outcome = SimpleNamespace(selected=0, fits=[["f"]])
    fit.parameters = more.get("parameters", 10)
    fit.hparams = {"architecture": more.get("architecture", "cnn")}
    if "losses" in more:  # of training and validation, in a fit of one epoch
        (fit.training_loss, curve.loss), fit.limit = more["losses"], 1
    return SimpleNamespace(
        fits=lambda: [fit], run=lambda: record, outcome=lambda study: outcome if study == 0 else None
    )


def test_losses_are_compared_where_they_are_one_measure():
    (told,) = after.gaps(_run(task="classification"))
    assert "training loss 0.400, validation loss 0.800" in told
    assert "overfitting" in told
    assert after.gaps(_run(task="regression")) == [], "standardised against the unit of the target"
    assert after.gaps(_run(task="classification", parameters=0)) == [], "no augmentation for a forest"


def test_a_solved_fit_is_told_of_its_penalty_and_of_no_epochs():
    (told,) = after.gaps(_run(architecture="linear", losses=((0.4,), (0.5,))))
    assert told == "Outer fold 0: training loss 0.400, validation loss 0.500; no large gap."
    (told,) = after.gaps(_run(architecture="linear", losses=((0.4,), (0.9,))))
    assert "(overfitting): try a smaller config.model.linear.c" in told
    assert "augmentation" not in told
    (told,) = after.gaps(_run(losses=((0.4,), (0.5,))))
    assert "raise config.training.epochs" in told, "of a network that is trained in steps"


@pytest.mark.thorough
def test_a_run_over_other_data_with_the_same_names_is_refused(tmp_path: Path):
    evaluate(tiny.run_config(search__trials=1), str(tmp_path), [0], tiny.cohort(), quiet=True)
    cohort = tiny.cohort()
    names, targets = cohort.table.names.tolist(), cohort.targets.values
    assert after.finished(str(tmp_path), names, targets).tests()
    with pytest.raises(UsageError, match="holds a run over other targets"):
        after.finished(str(tmp_path), names, (targets + 1) % 3)


def test_folders_of_others_are_left_alone(tmp_path: Path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("mine")
    with pytest.raises(UsageError, match=r"holds other files \(e.g. index.html\)"):
        audit_page.check_folder(str(tmp_path / "site"))
    (tmp_path / "site/index.html").unlink()
    (tmp_path / "site").rmdir()
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds other files \(e.g. letter.txt\)"):
        audit_page.check_folder(str(tmp_path))
    (tmp_path / "audit.json").write_text("{}")
    audit_page.check_folder(str(tmp_path))
    with pytest.raises(UsageError, match="is a file"):
        audit_page.check_folder(str(tmp_path / "letter.txt"))
