"""Pairs of files: NIfTI as nnU-Net and the Decathlon lay it out, PNG in two folders, and tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import mask_folder, nifti, pair_files, sources
from nachos_jax.data.pair_cache import PARTS
from nachos_jax.data.ragged import Ragged
from nachos_jax.tasks.segmentation import TASK
from tests.masks import FOLDS, pairs
from tests.tiers import mostly_thorough

Make = Callable[..., DataConfig]
AFFINE = np.array([[0, 1.0, 0, 5], [-1.0, 0, 0, 7], [0, 0, 2.0, -3], [0, 0, 0, 1]])
"""A volume on its side, with slices of 2 mm along its last axis."""
NAMES = [f"case{row // 2:02d}_{'ab'[row % 2]}" for row in range(8)]
SUBJECTS = r"(case\d+)_"


def volumes(channels: int = 1) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images [X, Y, Z, C] and masks [X, Y, Z]."""
    draw = np.random.default_rng(0)
    return [
        (draw.integers(0, 900, (*pair.mask.shape, channels)).astype(np.int16), pair.mask)
        for pair in pairs(cases=len(NAMES))
    ]


def nnunet(root: Path, channels: int = 2, forward: bool = False) -> Path:
    """A data set as nnU-Net has it, or with `forward` as the Decathlon does."""
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for name, (image, mask) in zip(NAMES, volumes(channels), strict=True):
        if forward:
            nifti.write(root / f"imagesTr/{name}.nii.gz", image, AFFINE)
        else:
            for channel in range(channels):
                nifti.write(root / f"imagesTr/{name}_{channel:04d}.nii.gz", image[..., channel], AFFINE)
        nifti.write(root / f"labelsTr/{name}.nii.gz", mask, AFFINE)
    labels = {"background": 0, "left": 1, "right": 2}
    turned = {str(number): name for name, number in labels.items()}
    (root / "dataset.json").write_text(json.dumps({"labels": turned if forward else labels}))
    return root


def lying_as_stored(cohort, row: int) -> np.ndarray:
    assert isinstance(cohort.store, Ragged)
    return cohort.store.one(row)


@pytest.mark.parametrize("forward", [False, True])
def test_a_data_set_of_nifti_files_is_read_as_it_is(config: Make, tmp_path: Path, forward: bool):
    root = nnunet(tmp_path / "set", forward=forward)
    found = sources.load(config(source="folder", path=str(root), subject_key=SUBJECTS), TASK)
    assert found.table.names.tolist() == NAMES
    assert found.table.subjects.tolist() == [name[:6] for name in NAMES]
    assert found.targets.names == ("left", "right")
    assert (found.preparation["axes"], found.preparation["unit"]) == ([2, 0, 1], "mm\N{SUPERSCRIPT THREE}")
    for row, (image, mask) in enumerate(volumes(2)):
        np.testing.assert_array_equal(lying_as_stored(found, row), image.transpose(2, 0, 1, 3))
        assert found.targets.values[row].tolist() == [2.0 * np.sum(mask == label) for label in (1, 2)]


def test_labels_of_dataset_json_are_named_by_their_numbers_whatever_masks_hold(config: Make, tmp_path: Path):
    root = nnunet(tmp_path / "set")
    read = config(source="folder", path=str(root), subject_key=SUBJECTS)
    labels = {"air": 0, "left": 1, "right": 2}
    (root / "dataset.json").write_text(json.dumps({"labels": labels}))
    assert sources.load(read, TASK).targets.names == ("left", "right")
    (root / "dataset.json").write_text(json.dumps({"labels": {**labels, "lost": 3}}))
    assert "no mask holds label 3 (lost)" in refused(read)
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "left": 1}}))
    said = refused(read)
    assert "the mask holds label 2" in said
    assert "known: 0 (background), 1 (left)" in said


def test_splits_of_nnunet_are_the_folds(config: Make, tmp_path: Path):
    root = nnunet(tmp_path / "set")
    of = [row // 2 % FOLDS for row in range(len(NAMES))]
    splits = [
        {"train": [], "val": [NAMES[row] for row in range(8) if of[row] == fold]} for fold in range(FOLDS)
    ]
    (root / "splits_final.json").write_text(json.dumps(splits))
    read = config(source="folder", path=str(root), subject_key=SUBJECTS, predefined=True)
    assert np.array_equal(sources.load(read, TASK).table.folds, of)  # pyrefly: ignore[bad-argument-type]
    assert not sources.load(read, TASK).doubts
    splits[1]["val"] += NAMES[:2]
    (root / "splits_final.json").write_text(json.dumps(splits))
    (doubt,) = sources.load(read, TASK).doubts
    assert f"validates 2 cases in several splits, like {NAMES[0]} in 0, 1: keep each in one" in doubt
    assert not sources.load(replace(read, predefined=False), TASK).doubts
    del splits[1]["val"][-2:]
    splits[0]["val"].pop()
    (root / "splits_final.json").write_text(json.dumps(splits))
    with pytest.raises(UsageError, match="fold '' is not a whole number"):
        sources.load(read, TASK)


def pictures(root: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """PNG files in two folders; masks hold 255."""
    found = []
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for name, pair in zip(NAMES, pairs(2, len(NAMES)), strict=True):
        found.append((pair.image, (pair.mask > 0).astype(np.uint8)))
        Image.fromarray(pair.image[..., 0]).save(root / f"images/{name}.png")
        Image.fromarray(255 * found[-1][1]).save(root / f"masks/{name}.png")
    return found


def test_pictures_and_their_masks_lie_in_two_folders_or_stand_in_a_table(config: Make, tmp_path: Path):
    wanted = pictures(tmp_path)
    lines = [f"images/{name}.png,masks/{name}.png,{name[:6]}" for name in NAMES]
    (tmp_path / "cases.csv").write_text("\n".join(["path,mask,subject", *lines]))
    for read in (
        config(source="folder", path=str(tmp_path), subject_key=SUBJECTS),
        config(source="csv", path=str(tmp_path / "cases.csv")),
    ):
        found = sources.load(read, TASK)
        assert found.targets.names == ("1",)
        assert found.preparation["unit"] == "voxels"
        for row, (image, mask) in enumerate(wanted):
            np.testing.assert_array_equal(lying_as_stored(found, row)[0], image)
            assert found.targets.values[row, 0] == mask.sum()


def refused(read: DataConfig) -> str:
    with pytest.raises(UsageError) as caught:
        sources.load(read, TASK)
    return str(caught.value)


def test_what_does_not_belong_together_is_refused(config: Make, tmp_path: Path):
    root = nnunet(tmp_path / "set")
    read = config(source="folder", path=str(root), subject_key=SUBJECTS)
    mask = root / f"labelsTr/{NAMES[3]}.nii.gz"
    moved = AFFINE.copy()
    moved[0, 3] += 4
    kept, values = mask.read_bytes(), volumes()[3][1]
    nifti.write(mask, values, moved)
    assert f"{NAMES[3]}.nii.gz lies 4 mm away from" in refused(read)
    mask.write_bytes(kept[:100])
    assert "cannot be read as NIfTI" in refused(read)
    mask.unlink()
    assert f"1 case(s) lie in imagesTr and not in labelsTr: '{NAMES[3]}'" in refused(read)
    mask.write_bytes(kept)
    (root / f"imagesTr/{NAMES[3]}_0001.nii.gz").unlink()
    assert f"case '{NAMES[3]}' has 1 channel(s), others have up to 2" in refused(read)
    (root / "dataset.json").write_text('{"labels": {"background": 0, "left": 2}}')
    (root / f"imagesTr/{NAMES[3]}_0001.nii.gz").write_bytes(kept)
    assert "labels are numbered [0, 2]" in refused(read)
    assert "holds no folders imagesTr and labelsTr" in refused(replace(read, path=str(tmp_path)))


def test_channels_of_other_numbers_than_those_of_the_other_cases_are_refused(config: Make, tmp_path: Path):
    root = nnunet(tmp_path / "set")
    read = config(source="folder", path=str(root), subject_key=SUBJECTS)
    second = root / f"imagesTr/{NAMES[0]}_0001.nii.gz"
    second.rename(root / f"imagesTr/{NAMES[0]}_0002.nii.gz")
    assert f"case {NAMES[0]!r} has the channels 0000, 0002, others have 0000, 0001" in refused(read)
    for name in NAMES[1:]:
        (root / f"imagesTr/{name}_0001.nii.gz").rename(root / f"imagesTr/{name}_0002.nii.gz")
    assert sources.load(read, TASK).preparation["channels"] == 2, "alike in all cases"


def test_a_file_without_number_stands_beside_first_channels(config: Make, tmp_path: Path):
    root = nnunet(tmp_path / "set", channels=1)
    read = config(source="folder", path=str(root), subject_key=SUBJECTS)
    first = sources.load(read, TASK).hash
    (root / f"imagesTr/{NAMES[5]}_0000.nii.gz").rename(root / f"imagesTr/{NAMES[5]}.nii.gz")
    assert sources.load(read, TASK).hash == first


@pytest.mark.parametrize("forward", [False, True])
def test_the_label_of_voxels_that_nobody_annotated_is_refused(config: Make, tmp_path: Path, forward: bool):
    root = nnunet(tmp_path / "set")
    labels = {"background": 0, "left": 1, "ignore": 2}
    turned = {str(number): name for name, number in labels.items()}
    (root / "dataset.json").write_text(json.dumps({"labels": turned if forward else labels}))
    said = refused(config(source="folder", path=str(root), subject_key=SUBJECTS))
    assert "label 2 is 'ignore', which nnU-Net neither learns nor scores" in said
    assert "take 'ignore' out of the labels" in said


def test_coloured_masks_are_refused(config: Make, tmp_path: Path):
    pictures(tmp_path)
    image = np.random.default_rng(0).integers(0, 255, (6, 6, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / f"masks/{NAMES[0]}.png")
    read = config(source="folder", path=str(tmp_path), subject_key=SUBJECTS)
    assert f"{NAMES[0]}.png has 3 channels that differ" in refused(read)


@pytest.mark.parametrize("dtype", [np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]), np.dtype(np.complex64)])
def test_colours_and_complex_numbers_in_nifti_are_refused(config: Make, tmp_path: Path, dtype: np.dtype):
    root = nnunet(tmp_path / "set", channels=1)
    shape = volumes()[0][1].shape
    nifti.write(root / f"imagesTr/{NAMES[0]}_0000.nii.gz", np.zeros(shape, dtype), AFFINE)
    said = refused(config(source="folder", path=str(root), subject_key=SUBJECTS))
    assert f"{NAMES[0]}_0000.nii.gz holds values of type" in said
    assert "save one number a channel" in said


def test_a_table_without_masks_is_refused_with_the_name_of_the_column(config: Make, tmp_path: Path):
    pictures(tmp_path)
    lines = [f"images/{name}.png,{name[:6]}" for name in NAMES]
    (tmp_path / "cases.csv").write_text("\n".join(["path,subject", *lines]))
    said = refused(config(source="csv", path=str(tmp_path / "cases.csv")))
    assert "has no column 'mask'" in said
    assert "config.data.mask_key" in said


# --- the cache -----------------------------------------------------------------------------------------


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The masks that were decoded, in order."""
    seen: list[Path] = []

    def read_pair(images, mask):
        seen.append(mask)
        return pair_files.read_pair(images, mask)

    monkeypatch.setattr(mask_folder, "read_pair", read_pair)
    return seen


def test_pairs_are_decoded_once_and_anew_when_a_file_changes(config: Make, tmp_path: Path, reads: list[Path]):
    root = nnunet(tmp_path / "set")
    read = config(source="folder", path=str(root), subject_key=SUBJECTS)
    first = sources.load(read, TASK)
    assert len(reads) == len(NAMES)
    again = sources.load(read, TASK)
    assert len(reads) == len(NAMES), "the cache serves"
    assert again.hash == first.hash
    for part in ("voxels", "labels", "sides", "spacing", "stats", "places"):
        np.testing.assert_array_equal(getattr(again.store, part), getattr(first.store, part))
    _, mask = volumes(2)[0]
    nifti.write(root / f"labelsTr/{NAMES[0]}.nii.gz", np.where(mask == 2, 1, mask).astype(np.uint8), AFFINE)
    assert sources.load(read, TASK).hash != first.hash
    assert len(reads) == 2 * len(NAMES)


@pytest.mark.parametrize("part", PARTS)
@mostly_thorough("harm", ["lost", "cut"], kept=("cut",))
def test_what_a_kill_left_of_the_cache_is_made_whole(
    config: Make, tmp_path: Path, reads: list[Path], part: str, harm: str
):
    root = nnunet(tmp_path / "set")
    read = config(source="folder", path=str(root), subject_key=SUBJECTS)
    first = sources.load(read, TASK)
    (file,) = Path(read.cache).glob(f"*-{part}.npy")
    if harm == "lost":
        file.with_suffix(".json").unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])
    assert sources.load(read, TASK).hash == first.hash
    assert len(reads) == 2 * len(NAMES)
    assert not [path for path in Path(read.cache).iterdir() if path.name.startswith(".tmp")]


def test_pairs_that_are_refused_leave_no_cache(config: Make, tmp_path: Path):
    root = nnunet(tmp_path / "set")
    nifti.write(root / f"labelsTr/{NAMES[0]}.nii.gz", np.zeros((2, 2, 2), np.uint8), AFFINE)
    read = config(source="folder", path=str(root), subject_key=SUBJECTS)
    for _ in range(2):
        with pytest.raises(UsageError, match="the mask has shape"):
            sources.load(read, TASK)
    assert not list(Path(read.cache).glob("*.npy"))
