"""External cases from Python are checked, kept out, sealed and tested as those of a file are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nachos_jax
from nachos_jax import ArrayCases, UsageError
from nachos_jax.data import second
from nachos_jax.data.arrays import cohort as arrays_inside
from nachos_jax.records.store import RunDirectory
from nachos_jax.tasks import multilabel, segmentation
from tests import tiny
from tests.inputs import dense
from tests.protocol.test_external import content
from tests.protocol.test_external_source import AWAY, SHORT, arrays

pytestmark = pytest.mark.usefixtures("figures_unpainted")


def inside() -> Any:
    rows = np.arange(tiny.CASES)
    return nachos_jax.with_columns(tiny.cohort("float32"), {"age": 40 + rows // 2 % 20})


def away(**changes: Any) -> ArrayCases:
    """Cases of another hospital, none of class 0."""
    found = arrays()
    given = {"images": found["images"], "targets": found["labels"], "subjects": found["subject"]}
    whole: dict[str, Any] = {**given, **changes}
    return ArrayCases(**whole)


def beside(**changes: Any) -> Any:
    return nachos_jax.with_external(inside(), away(**changes), {"age": arrays()["age"]})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("arrays") / "run"
    config = tiny.config(**SHORT)
    nachos_jax.evaluate(config, run, beside())
    nachos_jax.deploy(config, run, beside())
    return run


@pytest.mark.thorough
def test_the_run_inside_is_that_without_them(finished: Path, tmp_path: Path):
    nachos_jax.evaluate(tiny.config(**SHORT), tmp_path / "run", inside())
    kept = content(finished, ("report", "summary.json")).items()
    ours = {name: data for name, data in kept if name.startswith("records/evaluate")}
    alone = content(tmp_path / "run")
    assert ours
    assert ours == {name: data for name, data in alone.items() if name.startswith("records/evaluate")}


@pytest.mark.thorough
def test_they_are_tested_as_those_of_a_file(finished: Path, tmp_path: Path):
    images, labels, folds = tiny.arrays("float32")
    subject = np.asarray([f"s{row // 2:02d}" for row in range(tiny.CASES)])
    np.savez(tmp_path / "home.npz", images=images, labels=labels, subject=subject, fold=folds)
    np.savez(tmp_path / "away.npz", **arrays())
    places = {"data__path": str(tmp_path / "home.npz"), "data__external_path": str(tmp_path / "away.npz")}
    config = tiny.config(data__source="npz", data__cache=str(tmp_path / "cache"), **places, **SHORT)
    nachos_jax.evaluate(config, tmp_path / "run")
    wanted, found = (RunDirectory(run).external_tests() for run in (tmp_path / "run", finished))
    assert len(found) == tiny.FOLDS
    for one, other in zip(found, wanted, strict=True):
        assert one.fits == other.fits
        for name, values in one.arrays.items():
            np.testing.assert_array_equal(values, other.arrays[name])


@pytest.mark.thorough
def test_who_they_are_is_recorded_and_reported(finished: Path):
    known = RunDirectory(finished).external_cases()
    assert known is not None
    assert (len(known.names), set(known.sites.tolist())) == (AWAY, {"external"})
    summary = json.loads((finished / "summary.json").read_text(encoding="utf-8"))
    assert "external" in summary
    assert "age" in known.people
    assert "The external cases hold none of class '0'." in known.cautions
    assert "The external cases hold none of class '0'." in summary["caveats"]


@pytest.mark.thorough
def test_the_directory_keeps_to_them(finished: Path):
    for other in (beside(targets=arrays()["labels"][::-1]), inside()):
        with pytest.raises(UsageError, match="have changed since|this config names none"):
            nachos_jax.evaluate(tiny.config(**SHORT), finished, other)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"subjects": ["S00", *arrays()["subject"][1:]]}, "external cases: 1 subjects have cases inside too"),
        ({"targets": [7] * AWAY}, r"external cases: .*label '7' is not listed"),
        ({"images": arrays()["images"][:, :5]}, r"have 5 x 6 pixels, and those inside 6 x 6"),
        ({"images": arrays()["images"][..., None].repeat(3, 3)}, r"3 channel\(s\), and those inside 1"),
        (
            {"images": arrays()["images"].reshape(AWAY, -1)},
            "the cases inside are images, and these are vectors",
        ),
        ({"subjects": None}, "says nothing of subjects"),
    ],
)
def test_what_models_could_not_read_or_know_is_refused(changes: dict[str, Any], told: str):
    with pytest.raises(UsageError, match=told):
        nachos_jax.with_external(tiny.cohort("float32"), away(**changes))


def test_another_bit_depth_is_refused():
    deep = arrays()["images"].astype(np.uint16) * 99
    with pytest.raises(
        UsageError, match="external cases: the images are stored as uint16, and those inside as"
    ):
        nachos_jax.with_external(tiny.cohort(), away(images=deep))


def test_equal_images_are_refused_unless_they_are_accepted(tmp_path: Path):
    copied = arrays()["images"].copy()
    copied[3] = tiny.arrays("float32")[0][2]
    cohort = nachos_jax.with_external(tiny.cohort("float32"), away(images=copied))
    with pytest.raises(UsageError, match="1 external cases are equal to cases inside"):
        nachos_jax.evaluate(tiny.config(**SHORT), tmp_path / "run", cohort)
    assert not (tmp_path / "run").exists()


def test_one_set_by_one_way(tmp_path: Path):
    with pytest.raises(UsageError, match="has external cases already, and a run has one set"):
        nachos_jax.with_external(beside(), away())
    with pytest.raises(UsageError, match=r"names sites of a cohort that has external cases already"):
        nachos_jax.evaluate(tiny.config(data__external=("a",)), tmp_path, beside())
    with pytest.raises(UsageError, match="fit_lanes tests no external cases"):
        nachos_jax.fit_lanes(beside(), [{}], tiny.config())


def several(names: tuple[str, ...], start: int) -> ArrayCases:
    """Cases with two labels a case, in the columns of these names."""
    draw = np.random.default_rng(start)
    rows = np.arange(12)
    images = draw.integers(0, 255, (12, 6, 6), np.uint8)
    targets = np.stack([rows % 2, rows % 3 == 0], axis=1).astype(np.int64)
    return ArrayCases(images, targets, rows + start, names=names)


def masked(names: tuple[str, ...], start: int) -> ArrayCases:
    """Cases with masks of 0, 1 and 2, where 1 and 2 stand for these names."""
    draw = np.random.default_rng(start)
    images = [draw.integers(0, 255, (8, 8), np.uint8) for _ in range(12)]
    masks = [np.pad(np.repeat(np.array([[1], [2]], np.uint8), 4, 1).repeat(2, 0), 2) for _ in range(12)]
    return ArrayCases(images, masks, np.arange(12) + start, names=names)


@pytest.mark.parametrize(
    ("made", "task", "inside_names", "other", "told"),
    [
        (several, multilabel.TASK, ("oedema", "mass"), ("mass", "oedema"), "the columns of targets stand"),
        (masked, segmentation.TASK, ("liver", "spleen"), ("spleen", "liver"), "the numbers of masks stand"),
    ],
)
def test_names_in_another_order_are_refused_where_places_tell(
    made: Any, task: Any, inside_names: tuple[str, ...], other: tuple[str, ...], told: str
):
    home = arrays_inside(made(inside_names, 0), task)
    for names in (inside_names, ()):
        found = second.of_arrays(made(names, 50), task, home)
        assert found.targets.names == home.targets.names
    with pytest.raises(UsageError, match=f"external cases: {told}.*put them in the order inside"):
        second.of_arrays(made(other, 50), task, home)


@pytest.mark.parametrize("inside_too", [True, False])
def test_vectors_beside_images_are_given_on_both_sides_or_on_none(inside_too: bool):
    draw = np.random.default_rng(0)
    images, targets = draw.integers(0, 255, (24, 6, 6), np.uint8), list("xy" * 6)
    with_vectors = ArrayCases(images[:12], targets, range(12), vectors=draw.normal(size=(12, 2)))
    without = ArrayCases(images[12:], targets, range(50, 62))
    home, other = (with_vectors, without) if inside_too else (without, with_vectors)
    with pytest.raises(UsageError, match="external cases: vectors stand beside the images of"):
        nachos_jax.with_external(nachos_jax.cohort(home), other)


def test_vectors_are_put_in_the_order_inside_and_need_not_vary():
    draw = np.random.default_rng(0)
    cases = ArrayCases(draw.normal(size=(8, 3)), list("xyxyxyxy"), range(8), features=("a", "b", "c"))
    home = nachos_jax.cohort(cases)
    vectors = np.asarray([[3, 1, 2], [3, 1, 5]])
    found = nachos_jax.with_external(
        home, ArrayCases(vectors, list("xx"), ["p", "q"], features=("c", "a", "b"))
    )
    assert found.outside is not None
    np.testing.assert_array_equal(dense(found.outside), [[1, 2, 3], [1, 5, 3]])
    strange = ArrayCases(np.ones((2, 3)), list("xx"), ["p", "q"], features=("c", "a", "d"))
    with pytest.raises(UsageError, match="'b', 'd' are not known of both"):
        nachos_jax.with_external(home, strange)


def test_several_labels_numbers_and_masks():
    draw = np.random.default_rng(0)
    images = draw.integers(0, 255, (12, 6, 6)).astype(np.uint8)
    labels = np.stack([np.arange(12) % 2, np.arange(12) // 2 % 2], axis=1).astype(float)
    home = nachos_jax.cohort(ArrayCases(images, labels, range(12), names=("edema", "mass")), "multilabel")
    there = ArrayCases(images[:2] // 2, np.asarray([[1, np.nan], [1, 0]]), ["p", "q"])
    found = nachos_jax.with_external(home, there).outside
    assert found is not None
    assert found.targets.names == ("edema", "mass")
    np.testing.assert_array_equal(found.targets.values, [[1, np.nan], [1, 0]])
    home = nachos_jax.cohort(ArrayCases(images, np.arange(12.0), range(12)), "regression")
    found = nachos_jax.with_external(home, ArrayCases(images[:2] // 2, [4.5, 4.5], ["p", "q"])).outside
    assert found is not None
    assert found.targets.values.tolist() == [4.5, 4.5]
    masks = [(image > 120).astype(np.uint8) for image in images]
    home = nachos_jax.cohort(ArrayCases(list(images), masks, range(12)), "segmentation")
    there = ArrayCases([images[0] // 2], [masks[0] * 0], ["p"])
    found = nachos_jax.with_external(home, there).outside
    assert found is not None
    assert len(found.table) == 1
