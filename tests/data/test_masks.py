"""Images with masks: what is read, cut off and turned, and what is refused with row, value and cure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import nachos_jax
from nachos_jax import ArrayCases
from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import sources
from nachos_jax.data.masks import Pair
from nachos_jax.data.ragged import PLACES, Ragged, Volume, stored
from nachos_jax.tasks.segmentation import TASK
from tests.masks import CASES, PLAIN, cohort, pairs, refused

Make = Callable[..., DataConfig]


def store(of) -> Ragged:
    assert isinstance(of.store, Ragged)
    return of.store


def changed(row: int, **fields) -> list[Pair]:
    found = pairs()
    found[row] = replace(found[row], **fields)
    return found


@pytest.mark.parametrize("rank", [2, 3])
def test_every_case_lies_in_the_store_as_it_was(rank: int):
    given = pairs(rank)
    found = store(cohort(PLAIN, given))
    rows = found.rows(np.arange(CASES, dtype=np.int32))
    for row, pair in enumerate(given):
        sides = rows.shape[row]
        assert sides.tolist() == [*(1,) * (3 - rank), *pair.mask.shape]
        here = slice(rows.offset[row], rows.offset[row] + sides.prod())
        np.testing.assert_array_equal(rows.voxels[here].reshape(pair.image.shape), pair.image)
        np.testing.assert_array_equal(rows.labels[here].reshape(pair.mask.shape), pair.mask)
        np.testing.assert_array_equal(found.one(row).reshape(pair.image.shape), pair.image)


@pytest.mark.parametrize("rank", [2, 3])
def test_volumes_of_one_slice_are_in_cubic_mm(rank: int):
    given = [replace(pair, spacing=(0.5, 0.5)) for pair in pairs(2)]
    deep = [
        replace(pair, image=pair.image[:, :, None], mask=pair.mask[..., None], spacing=(0.5, 0.5, 5.0))
        for pair in given
    ]
    found = cohort(PLAIN, deep if rank == 3 else given)
    step, unit = {2: (0.25, "mm\N{SUPERSCRIPT TWO}"), 3: (1.25, "mm\N{SUPERSCRIPT THREE}")}[rank]
    wanted = [[step * np.sum(pair.mask == label) for label in (1, 2)] for pair in given]
    np.testing.assert_allclose(found.targets.values, wanted)
    assert found.preparation["unit"] == unit


def test_volumes_of_classes_are_counted_in_mm():
    given = pairs()
    found = cohort(PLAIN, given)
    wanted = [[2.0 * np.sum(pair.mask == label) for label in (1, 2)] for pair in given]
    np.testing.assert_allclose(found.targets.values, wanted)
    assert (found.targets.names, found.preparation["unit"]) == (("1", "2"), "mm\N{SUPERSCRIPT THREE}")
    bare = cohort(PLAIN, [replace(pair, spacing=None) for pair in given])
    np.testing.assert_allclose(bare.targets.values, np.divide(wanted, 2.0))
    assert bare.preparation["unit"] == "voxels"
    assert bare.hash != found.hash


def test_the_axis_of_the_widest_spacing_stands_first():
    given = [replace(pair, spacing=(1.0, 1.0, 4.0)) for pair in pairs()]
    found = store(cohort(PLAIN, given))
    assert found.sides.tolist() == [
        [pair.mask.shape[2], pair.mask.shape[0], pair.mask.shape[1]] for pair in given
    ]
    assert found.spacing.tolist() == [[4.0, 1.0, 1.0]] * CASES
    np.testing.assert_array_equal(found.one(3), given[3].image.transpose(2, 0, 1, 3))


@pytest.mark.parametrize("spacing", ["", "median"])
def test_any_choice_of_cases_has_equal_shapes_and_its_own_voxels(spacing: str):
    given = [replace(pair, spacing=(2.0, 1.0, 1.0 + 0.1 * row)) for row, pair in enumerate(pairs())]
    found = store(cohort(replace(PLAIN, spacing=spacing), given))
    draw = np.random.default_rng(1)
    for cases in (draw.integers(0, CASES, 5), np.array([7, 7, 7, 7, 7]), np.array([11, 2, 3, 0, 9])):
        rows, form = found.rows(cases.astype(np.int32)), found.forms(5)
        shapes = [[(part.shape, part.dtype) for part in jax.tree.leaves(tree)] for tree in (rows, form)]
        assert shapes[0] == shapes[1]
        for place, case in enumerate(cases.tolist()):
            here = slice(rows.offset[place], rows.offset[place] + rows.shape[place].prod())
            np.testing.assert_array_equal(rows.voxels[here], found.one(case).reshape(-1, 1))


def test_moments_of_any_choice_are_those_of_its_voxels():
    found = store(cohort())
    chosen = np.arange(CASES) % 3 > 0
    values = np.concatenate([found.one(row).reshape(-1) for row in np.flatnonzero(chosen).tolist()])
    mean, sd = found.sums().mean_sd(chosen)
    np.testing.assert_allclose([mean[0], sd[0]], [values.mean(), values.std()], rtol=1e-5)


def test_statistics_and_places_are_those_of_the_case():
    draw = np.random.default_rng(2)
    image, mask = draw.normal(size=(14, 15, 16, 2)).astype(np.float32), np.zeros((14, 15, 16), np.uint8)
    mask[:, :, :9], mask[3, 4, 5] = 1, 3
    found = stored([Volume(image, mask, (1.0, 1.0, 1.0))], 3)
    flat = image.reshape(-1, 2)
    low, high = np.percentile(flat, (0.5, 99.5), axis=0)
    clipped = np.clip(flat, low, high)
    wanted = [flat.mean(0), flat.std(0), low, high, flat.min(0), flat.max(0), clipped.mean(0), clipped.std(0)]
    np.testing.assert_allclose(found.stats[0], np.transpose(wanted), rtol=1e-5, atol=1e-6)
    assert found.n_places[0].tolist() == [PLACES, 0, 1]
    assert len(set(found.places[0, 0].tolist())) == PLACES
    assert set(mask.reshape(-1)[found.places[0, 0]].tolist()) == {1}
    assert found.places[0, 2, 0] == (3 * 15 + 4) * 16 + 5


def test_masks_of_0_and_255_are_one_class_and_that_is_said():
    given = [replace(pair, mask=np.where(pair.mask > 0, 255, 0)) for pair in pairs(2)]
    found = cohort(PLAIN, given)
    assert found.targets.names == ("1",)
    assert "255 is read as class 1" in " ".join(found.notes)


@pytest.mark.parametrize("order", [("left", "right"), ("background", "left", "right")])
def test_names_of_the_source_may_tell_the_background_or_not(order: tuple[str, ...]):
    assert cohort(order=order).targets.names == ("left", "right")


def test_a_class_that_a_case_lacks_is_a_stratum():
    given = changed(4, mask=np.where(pairs()[4].mask == 1, 0, pairs()[4].mask))
    strata = cohort(PLAIN, given).targets.strata
    assert strata.names[strata.numbers[4]] == "2"
    assert len(set(strata.numbers.tolist())) == 2


REFUSALS = {
    "another shape": (
        changed(3, mask=np.zeros((2, 2, 2), np.uint8)),
        (),
        "case 3: the mask has shape 2 x 2 x 2",
    ),
    "no whole number": (changed(5, mask=pairs()[5].mask + 0.5), (), "case 5: the mask holds 0.5"),
    "below 0": (changed(2, mask=pairs()[2].mask.astype(int) - 1), (), "case 2: the mask holds -1"),
    "a label without name": (
        changed(6, mask=np.full_like(pairs()[6].mask, 7)),
        ("left", "right"),
        "case 6: the mask holds label 7; mend the mask",
    ),
    "a hole in the labels": (
        [replace(pair, mask=np.where(pair.mask == 1, 3, pair.mask)) for pair in pairs()],
        (),
        "no mask holds label 1 (1)",
    ),
    "nothing but background": (
        [replace(pair, mask=np.zeros_like(pair.mask)) for pair in pairs()],
        (),
        "all 12 masks are empty",
    ),
    "spacing of some": (changed(1, spacing=None), (), "case 1: give the spacing of all cases, or of none"),
    "spacing of 0": (changed(0, spacing=(0.0, 1.0, 1.0)), (), "case 0: the spacing is [0.0, 1.0, 1.0]"),
    "other channels": (
        changed(9, image=np.repeat(pairs()[9].image, 2, axis=-1)),
        (),
        "case 9 has 3 axes and 2 channels",
    ),
    "no number": (
        changed(8, image=np.full((*pairs()[8].mask.shape, 1), np.nan, np.float32)),
        (),
        "case 8: ",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_used_is_refused_with_its_row(name: str):
    given, order, told = REFUSALS[name]
    assert told in refused(given, order)


def test_all_faulty_cases_are_told_together():
    given = changed(1, mask=np.zeros((2, 2, 2), np.uint8))
    given[4] = replace(given[4], mask=given[4].mask + 0.25)
    said = refused(given)
    assert "case 1" in said
    assert "case 4" in said


def written(path: Path, rank: int = 3, **more: np.ndarray | None) -> Path:
    """The pairs in an npz file, padded to one shape."""
    given = pairs(rank)
    room = np.max([pair.mask.shape for pair in given], axis=0)
    images, labels = np.zeros((CASES, *room), np.uint8), np.zeros((CASES, *room), np.uint8)
    for row, pair in enumerate(given):
        inside = (row, *(slice(0, side) for side in pair.mask.shape))
        images[inside], labels[inside] = pair.image[..., 0], pair.mask
    arrays = {
        "images": images,
        "masks": labels,
        "shape": np.asarray([pair.mask.shape for pair in given]),
        "spacing": np.asarray([pair.spacing for pair in given], np.float32),
        "subject": np.asarray([f"s{row // 2}" for row in range(CASES)]),
        "label_names": np.asarray(["background", "left", "right"]),
        **more,
    }
    given_ones: dict[str, Any] = {name: array for name, array in arrays.items() if array is not None}
    np.savez(path, **given_ones)
    return path


@pytest.mark.parametrize("rank", [2, 3])
def test_an_npz_file_gives_the_cases_without_their_padding(config: Make, tmp_path: Path, rank: int):
    read = config(path=str(written(tmp_path / "a.npz", rank)))
    found = sources.load(read, TASK)
    assert found.targets.names == ("left", "right")
    for row, pair in enumerate(pairs(rank)):
        np.testing.assert_array_equal(store(found).one(row).reshape(pair.image.shape), pair.image)
    whole = sources.load(replace(read, shape_key=""), TASK)
    assert len({tuple(sides) for sides in store(whole).sides.tolist()}) == 1


@pytest.mark.parametrize("first", ["Background", "_background_", "bg", "unlabeled"])
def test_a_name_of_the_background_in_front_is_left_out(config: Make, tmp_path: Path, first: str):
    path = written(tmp_path / "a.npz", label_names=np.asarray([first, "left", "right"]))
    assert sources.load(config(path=str(path)), TASK).targets.names == ("left", "right")
    path = written(tmp_path / "b.npz", label_names=np.asarray([first, "left"]))
    with pytest.raises(UsageError, match="the mask holds label 2"):
        sources.load(config(path=str(path)), TASK)


def test_names_that_may_begin_with_label_0_or_1_are_doubtful(config: Make, tmp_path: Path):
    path = written(tmp_path / "a.npz", label_names=np.asarray(["left", "right", "lost"]))
    found = sources.load(config(path=str(path)), TASK)
    (told,) = found.doubts
    assert "'left' may stand for 0 or for 1. Call it 'background' if it is 0; if it is 1, leave out" in told
    named = sources.load(config(path=str(path), classes=("left", "right")), TASK)
    assert (named.targets.names, named.doubts) == (("left", "right"), ())
    written(path, label_names=np.asarray(["background", "right", "lost"]))
    mended = sources.load(config(path=str(path)), TASK)
    assert (mended.hash, mended.doubts) == (found.hash, ()), "a begun run goes on with what it meant"


def test_channels_of_any_number_are_the_last_axis(config: Make, tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 9, (CASES, 6, 7, 5)).astype(np.int16)
    masks = np.zeros((CASES, 6, 7), np.uint8)
    masks[:, 2:4, 2:4] = 1
    path = written(tmp_path / "a.npz", images=images, masks=masks, shape=None, spacing=None, label_names=None)
    found = sources.load(config(path=str(path)), TASK)
    assert found.shape == (1, 6, 7, 5)
    assert store(found).dtype == np.int16


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"masks": np.zeros((CASES, 4, 4, 4), np.uint8)}, "masks has shape (12, 4, 4, 4) and images"),
        ({"masks": np.zeros((CASES, 4), np.uint8)}, "store masks as (N, H, W), or (N, D, H, W)"),
        ({"shape": np.ones((CASES, 3), int)}, "the mask goes on beyond the shape [1, 1, 1]"),
        ({"spacing": np.ones((CASES, 2))}, "spacing has shape (12, 2)"),
        ({"masks": None}, "has no array 'masks'"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(config: Make, tmp_path: Path, arrays, told: str):
    path = written(tmp_path / "a.npz", **arrays)
    with pytest.raises(UsageError) as caught:
        sources.load(config(path=str(path)), TASK)
    assert told in str(caught.value)


def test_sources_without_masks_and_sizes_to_resize_to_are_refused(config: Make, tmp_path: Path):
    path = str(written(tmp_path / "a.npz"))
    with pytest.raises(UsageError, match="gives no masks"):
        sources.load(config(source="digits", path=path), TASK)
    with pytest.raises(UsageError, match=r"config\.data\.height = 8: images with masks are taken"):
        sources.load(config(path=path, height=8, width=8), TASK)


def test_gray_images_with_an_axis_of_channels_are_no_volumes(config: Make, tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 99, (CASES, 6, 7, 1), np.uint8)
    masks = np.zeros_like(images)
    masks[:, 2:4, 2:4] = 1
    own = {"images": images, "masks": masks, "shape": None, "spacing": None, "label_names": None}
    path = written(tmp_path / "a.npz", **own)
    found = sources.load(config(path=str(path)), TASK)
    (told,) = found.doubts
    assert "masks has shape (12, 6, 7, 1), as gray images with an axis of channels have" in told
    assert "store masks without it, as masks[..., 0]" in told
    path = written(tmp_path / "b.npz", **{**own, "masks": masks[..., 0]})
    assert sources.load(config(path=str(path)), TASK).shape == (1, 6, 7, 1)
    sides = np.tile([6, 7, 1], (CASES, 1))
    path = written(tmp_path / "c.npz", **{**own, "shape": sides})
    deep = sources.load(config(path=str(path)), TASK)
    assert (deep.shape, deep.doubts) == ((6, 7, 1, 1), ())
    assert deep.hash == found.hash, "a begun run goes on"
    path = written(tmp_path / "d.npz", **{**own, "spacing": np.tile([0.3, 0.3, 5.0], (CASES, 1))})
    spaced = sources.load(config(path=str(path)), TASK)
    assert (spaced.shape, spaced.doubts) == ((1, 6, 7, 1), ())


def test_gray_images_from_python_with_an_axis_of_channels_are_no_volumes():
    images = np.random.default_rng(0).integers(0, 99, (CASES, 6, 7, 1), np.uint8)
    masks = np.zeros_like(images)
    masks[:, 2:4, 2:4] = 1
    cases = ArrayCases(images, masks, one_case_per_subject=True)
    (told,) = nachos_jax.cohort(cases, "segmentation").doubts
    assert "masks have shape (6, 7, 1), as gray images with an axis of channels" in told
    assert "give mask[..., 0]" in told
    flat = nachos_jax.cohort(replace(cases, targets=masks[..., 0]), "segmentation")
    deep = nachos_jax.cohort(replace(cases, spacing=[(0.3, 0.3, 5.0)] * CASES), "segmentation")
    assert flat.shape == deep.shape == (1, 6, 7, 1)
    assert flat.doubts == deep.doubts == ()


def test_arrays_of_any_size_are_taken_as_they_are():
    given = pairs()
    cases = ArrayCases(
        [pair.image[..., 0] for pair in given],
        [pair.mask for pair in given],
        subjects=[f"s{row // 2}" for row in range(CASES)],
        folds=[row // 2 % 3 for row in range(CASES)],
        names=("left", "right"),
        spacing=[pair.spacing or () for pair in given],
    )
    found, wanted = nachos_jax.cohort(cases, "segmentation"), cohort(order=("left", "right"))
    np.testing.assert_array_equal(found.targets.values, wanted.targets.values)
    np.testing.assert_array_equal(store(found).voxels, store(wanted).voxels)
    with pytest.raises(UsageError, match="masks: 11 of them for 12 images"):
        nachos_jax.cohort(replace(cases, targets=cases.targets[1:]), "segmentation")


def test_more_voxels_than_a_device_counts_are_refused(monkeypatch: pytest.MonkeyPatch):
    found = cohort().store
    assert isinstance(found, Ragged)
    monkeypatch.setattr("nachos_jax.data.ragged._MOST", int(found.sizes.sum()) - 1)
    told = r"can lie on a device together: set config.data.residency = 'stream' and lower config.data.window"
    for asked in (lambda: found.rows(np.arange(CASES, dtype=np.int32)), lambda: found.forms(CASES)):
        with pytest.raises(UsageError, match=told):
            asked()
    found.rows(np.arange(CASES - 1, dtype=np.int32))
