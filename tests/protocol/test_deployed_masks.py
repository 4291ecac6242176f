"""Models of masks: exported, loaded, and used on arrays, files, tables and archives, with one result."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import nachos_jax
from nachos_jax.cli.main import main
from nachos_jax.core.errors import UsageError
from nachos_jax.data import nifti, resampling
from nachos_jax.data.mask_inputs import Sought, found
from nachos_jax.metrics import components, overlap
from nachos_jax.protocol.deploy import deploy
from nachos_jax.protocol.model import mask_arrays
from nachos_jax.protocol.model.deployed import DeployedModel
from nachos_jax.protocol.run.configure import checked
from nachos_jax.records import seal
from tests import masks
from tests.data.test_mask_files import AFFINE

pytestmark = pytest.mark.usefixtures("quick_compilation")
CLASSES = ("left", "right")
SPACING = {2: (1.0, 1.0), 3: (1.0, 1.0, 2.0)}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], tuple[Path, list]]:
    """Models of images and of volumes, each deployed once."""
    return functools.cache(lambda rank: _deployed(rank, tmp_path_factory.mktemp(f"model{rank}")))


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.thorough)])
def made(request: pytest.FixtureRequest, models: Callable[[int], tuple[Path, list]]) -> tuple[Path, list]:
    """The folder of a model, and cases like those it was trained on; of images by all fold models."""
    return models(request.param)


def _deployed(rank: int, workdir: Path) -> tuple[Path, list]:
    # Of volumes the last axis has the widest spacing and stands first in the store.
    given = [dataclasses.replace(pair, spacing=SPACING[rank]) for pair in masks.pairs(rank)]
    changes: dict[str, Any] = {"deploy__members": "folds" if rank == 2 else "one", "search__trials": 1}
    changes |= {"task__segmentation__patch_depth": 8} if rank == 3 else {}
    changes |= {"search__space__segmentation__loss": "", "augmentation__flip_horizontal": 0.5}
    cohort = masks.cohort(masks.PLAIN, given, CLASSES)
    return deploy(checked(masks.config(**changes)), str(workdir), cohort, quiet=True), given


@pytest.fixture(scope="module")
def model(made: tuple[Path, list]) -> DeployedModel:
    return nachos_jax.load(made[0])


def predicted(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["nachos", "predict", *words])
    return code, out.getvalue(), err.getvalue()


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "volumes.csv").read_text(encoding="utf-8").splitlines()))


def test_the_folder_says_all_that_prediction_needs(made: tuple[Path, list]):
    told = json.loads((made[0] / "model.json").read_text(encoding="utf-8"))
    rank = made[1][0].mask.ndim
    assert (told["task"], told["classes"]) == ("segmentation", [*CLASSES])
    wanted = {2: ([1, 8, 8], [0, 1], [1.0, 1.0, 1.0]), 3: ([8, 8, 8], [2, 0, 1], [2.0, 1.0, 1.0])}
    assert (told["patch"], told["preparation"]["axes"], told["spacing"]) == wanted[rank]
    assert told["windows"] == {"overlap": 0.5, "weights": "Gaussian", "mirrored": ["width"]}
    assert len(told["weights"]) == {2: masks.FOLDS, 3: 1}[rank]
    assert "mean) / SD of the case" in told["normalisation"]


@pytest.mark.thorough
def test_masks_are_those_of_the_mean_of_the_probabilities_of_all_members(model: DeployedModel, made: Any):
    images = [pair.image for pair in made[1][:3]]
    found = model.segment(images)
    assert [mask.shape for mask in found] == [image.shape[:-1] for image in images]
    assert len(np.unique(np.concatenate([mask.ravel() for mask in found]))) > 1
    of = model.segmenter
    assert of is not None
    for image, mask in zip(images, found, strict=True):
        volume = masks_volume(image)
        each = [
            dataclasses.replace(of, members=(member,)).probabilities(volume, (16, 16, 16))
            for member in of.members
        ]
        np.testing.assert_allclose(np.sum(each[0], axis=-1), 1, rtol=1e-5)
        called = np.argmax(np.mean(each, axis=0), axis=-1)
        np.testing.assert_array_equal(called[0] if image.ndim == 3 else called.transpose(1, 2, 0), mask)
    np.testing.assert_array_equal(model.segment(images[1]), found[1])
    np.testing.assert_array_equal(model.segment(images[1][..., 0]), found[1], "one channel may be left out")


def test_a_resampled_model_takes_cases_to_its_spacing_and_masks_back(model: DeployedModel, made: Any):
    rank, of, there = made[1][0].mask.ndim, model.segmenter, (2.0, 1.5, 1.5)
    assert of is not None
    preparation = {**model.description["preparation"], "spacing": list(there)}
    resampled = DeployedModel({**model.description, "preparation": preparation}, [], of)
    image, own = made[1][0].image, SPACING[rank]
    volume = masks_volume(image)._replace(spacing=(2.0, 1.0, 1.0) if rank == 3 else (1.0, 1.0, 1.0))
    there = there if rank == 3 else (1.0, 1.5, 1.5)
    preparation["spacing"] = list(there)
    seen = of.mask(resampling.resampled(volume, there))
    assert seen.shape != volume.labels.shape
    back = resampling.restored(seen, volume.labels.shape, there, volume.spacing)
    expected = back[0] if rank == 2 else back.transpose(1, 2, 0)
    np.testing.assert_array_equal(resampled.segment(image, spacing=own), expected)
    np.testing.assert_array_equal(resampled.segment([image], spacing=own)[0], expected)
    with pytest.raises(UsageError, match="spacing of this one is not known.*spacing="):
        resampled.segment(image)
    wrongs: list[Any] = [(1.0,), 1.0, (1.0, 1.0, 0.0)[-rank:], np.ones((rank, 1))]
    for wrong in wrongs:
        with pytest.raises(UsageError, match=f"give {rank} numbers"):
            resampled.segment(image, spacing=wrong)


def masks_volume(image: np.ndarray):
    from nachos_jax.data.ragged import Volume

    """As it lies in the store."""
    whole = image.transpose(2, 0, 1, 3) if image.ndim == 4 else image[None]
    return Volume(whole, np.zeros(whole.shape[:-1], np.uint8), (1.0, 1.0, 1.0))


@pytest.mark.thorough
def test_without_mirroring_windows_are_seen_once(model: DeployedModel, made: Any):
    of = model.segmenter
    assert of is not None
    assert {member.mirrored for member in of.members} == {(2,)}
    alone = dataclasses.replace(of, members=of.members[:1])
    sides = len(made[1][0].mask.shape) * (slice(0, 8),)
    volume = masks_volume(made[1][0].image[sides])  # not larger than a patch: one window
    turned = volume._replace(image=np.ascontiguousarray(volume.image[:, :, ::-1]))
    plain, both = (one.probabilities(volume) for one in (alone.mirror(False), alone))
    flipped = alone.mirror(False).probabilities(turned)[:, :, ::-1]
    mean = np.sqrt(plain * flipped)  # of logits
    assert np.abs(plain - both).max() > 1e-4
    if volume.image.shape[2] == 8:  # else what is beyond the image lies on its other side
        np.testing.assert_allclose(both, mean / mean.sum(-1, keepdims=True), atol=1e-5)


def test_files_tables_and_archives_give_the_masks_of_arrays(model: DeployedModel, made: Any, tmp_path: Path):
    folder, pairs = made[0], made[1][:4]
    rank, expected = pairs[0].mask.ndim, model.segment([pair.image for pair in made[1][:4]])
    files, lines = [], []
    for number, pair in enumerate(pairs):
        for kind, values in (("images", pair.image[..., 0]), ("masks", pair.mask)):
            (tmp_path / kind).mkdir(exist_ok=True)
            name = f"{kind}/c{number}.{'png' if rank == 2 else 'nii.gz'}"
            if rank == 2:
                Image.fromarray(values).save(tmp_path / name)
            else:
                nifti.write(tmp_path / name, values, AFFINE)
        files.append(tmp_path / name.replace("masks", "images"))
        lines.append(f"{name.replace('masks', 'images')},{name}")
    (tmp_path / "cases.csv").write_text("\n".join(["path,mask", *lines]), encoding="utf-8")
    sides = np.array([pair.mask.shape for pair in pairs])
    room = (4, *sides.max(axis=0))
    arrays: dict[str, Any] = {kind: np.zeros(room, np.uint8) for kind in ("images", "masks")}
    for number, pair in enumerate(pairs):
        inside = tuple(map(slice, pair.mask.shape))
        arrays["images"][number][inside] = pair.image[..., 0]
        arrays["masks"][number][inside] = pair.mask
    arrays |= {"shape": sides, "spacing": np.full(sides.shape, 2.0)}
    np.savez(tmp_path / "cases.npz", **arrays)
    inputs = {
        "folder": tmp_path / "images",
        "pairs": tmp_path,
        "table": tmp_path / "cases.csv",
        "archive": tmp_path / "cases.npz",
    }
    for name, path in inputs.items():
        output = tmp_path.parent / f"{tmp_path.name}_{name}"
        code, out, err = predicted(f"--model={folder}", f"--input={path}", f"--output={output}")
        assert (code, err) == (0, "")
        assert out.splitlines()[0] == f"masks: {output} (cases: 4)"
        rows = rows_of(output)
        for number, (row, mask) in enumerate(zip(rows, expected, strict=True)):
            np.testing.assert_array_equal(kept(output, row["file"], number, mask.shape), mask)
            count, unit, size = ("pixels", "mm2", 4.0) if rank == 2 else ("voxels", "mm3", 2.0)
            size = 8.0 if rank == 3 and name == "archive" else size
            for place, label in enumerate(CLASSES, 1):
                assert int(row[f"{count}_{label}"]) == np.sum(mask == place)
                if rank == 3 or name == "archive":
                    assert float(row[f"{unit}_{label}"]) == size * np.sum(mask == place)
                else:
                    assert f"{unit}_{label}" not in row
            if name == "folder":
                assert "mean_dice" not in row
            else:
                dice = overlap.dice(overlap.voxels(pairs[number].mask, mask, 2))
                assert float(row["mean_dice"]) == pytest.approx(dice.mean(), abs=1e-5)
                assert float(row["dice_left"]) == pytest.approx(dice[0], abs=1e-5)
        shutil.rmtree(output)


def kept(folder: Path, name: str, number: int, shape: tuple[int, ...]) -> np.ndarray:
    """The mask in a file that was written, where a NIfTI must lie as its source."""
    if name.endswith(".npz"):
        whole = np.load(folder / name)["masks"][number]
        inside = tuple(map(slice, shape))
        assert whole[inside].sum() == whole.sum()
        return whole[inside]
    if name.endswith(".png"):
        return np.asarray(Image.open(folder / name))
    found = nifti.read(folder / name)
    np.testing.assert_array_equal(found.affine, AFFINE)
    assert found.values.dtype == np.uint8
    return found.values


def wrong(root: Path) -> None:
    """Files that a model of gray images, or of volumes, with two classes cannot take, and some good ones."""
    draw = np.random.default_rng(0)
    gray = draw.integers(0, 255, (9, 8), np.uint8)
    nifti.write(root / "volume.nii", draw.integers(0, 255, (9, 8, 7)).astype(np.int16), AFFINE)
    nifti.write(root / "two.nii", draw.integers(0, 255, (9, 8, 7, 2)).astype(np.int16), AFFINE)
    nifti.write(root / "nan.nii", np.full((9, 8, 7), np.nan, np.float32), AFFINE)
    nifti.write(root / "three.nii", np.full((9, 8, 7), 3, np.uint8), AFFINE)
    Image.fromarray(gray).save(root / "gray.png")
    Image.fromarray(np.full((9, 8), 3, np.uint8)).save(root / "three.png")
    Image.fromarray(draw.integers(0, 255, (9, 8, 3), np.uint8)).save(root / "colour.png")
    (root / "nothing").mkdir()
    (root / "foreign").mkdir()
    (root / "foreign" / "volumes.csv").write_text("subject,ml\nP1,12\n", encoding="utf-8")
    (root / "other").mkdir()
    (root / "other" / "mine.txt").write_text("mine", encoding="utf-8")
    np.savez(root / "unnamed.npz", pictures=gray[None])
    np.savez(root / "flat.npz", images=gray)
    for name, text in {
        "nopath.csv": "file\ngray.png\n",
        "empty.csv": "path\n",
        "lost.csv": "path\nlost.png\n",
        "three2.csv": "path,mask\ngray.png,three.png\n",
        "three3.csv": "path,mask\nvolume.nii,three.nii\n",
        "text.txt": "",
    }.items():
        (root / name).write_text(text, encoding="utf-8")


REFUSED = [
    (2, ["colour.png"], ["colour.png has 3 channel(s)", "trained on images with 1"]),
    (2, ["volume.nii"], ["volume.nii has 3 axes of space (9 x 8 x 7)", "images of two dimensions"]),
    (2, ["three2.csv"], ["gray.png: its reference mask holds label 3", "(background) to 2 (right)"]),
    (2, ["gray.png,gray.png"], ["both be called 'gray'"]),
    (2, ["flat.npz"], ["images has shape (9, 8)", "[N, H, W]"]),
    (2, ["nothing"], ["nothing holds no NIfTI, PNG"]),
    (3, ["gray.png"], ["gray.png has 2 axes of space (9 x 8)", "volumes of three dimensions"]),
    (3, ["two.nii"], ["two.nii has 2 channel(s)", "trained on images with 1", "ID_0000"]),
    (3, ["nan.nii"], ["nan.nii", "NaN or infinite"]),
    (3, ["three3.csv"], ["volume.nii: its reference mask holds label 3"]),
    (3, ["nopath.csv"], ["nopath.csv has no column 'path'"]),
    (3, ["empty.csv"], ["there is no image to segment"]),
    (3, ["lost.csv"], ["lost.csv line 2", "lost.png"]),
    (3, ["lost.nii"], ["lost.nii: there is no such file"]),
    (3, ["text.txt"], ["text.txt is no NIfTI"]),
    (3, ["unnamed.npz"], ["no array 'images'", "'pictures'"]),
    (3, ["volume.nii", "--output=OUT.csv"], ["this model makes masks; name a folder"]),
    (3, ["volume.nii", "--output=other"], ["holds other files and no volumes.csv"]),
    (3, ["volume.nii", "--output=foreign"], ["holds other files and no volumes.csv"]),
    (3, ["volume.nii", "--output=lost/out"], ["there is no folder", "make it first"]),
    (3, [".", "--output=nothing"], ["lie in each other", "name another folder"]),
    (3, ["volume.nii", "--mirror=maybe"], ["--mirror=maybe: must be yes or no"]),
    (3, ["volume.nii", "--apply=threshold"], ["--apply is not for models of masks"]),
    (3, ["volume.nii", "--explain=maps"], ["--explain is not for models of masks"]),
]


@pytest.mark.parametrize(
    ("made", "words", "parts"),
    [pytest.param(*row, marks=[pytest.mark.thorough] * (row[0] == 3)) for row in REFUSED],
    indirect=["made"],
)
def test_what_cannot_be_segmented_is_refused_and_nothing_written(
    made: Any, words: list[str], parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wrong(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    flags = words[1:] if "--output" in words[-1] else [*words[1:], "--output=out"]
    code, out, err = predicted(f"--model={made[0]}", f"--input={words[0]}", *flags)
    assert (code, out) == (2, "")
    for part in parts:
        assert part in err, f"{part!r} is not in {err!r}"
    assert sorted(tmp_path.rglob("*")) == before


def test_wide_whole_numbers_say_nothing_of_their_scale(model: DeployedModel, made: Any):
    """Stored as 8 or 16 bits by their values, which one bright case in training decides for all."""
    image, of = made[1][0].image, model.segmenter
    assert of is not None
    hparams = {**model.description["hparams"], "segmentation.normalisation": "none"}
    told = {name: value for name, value in model.description.items() if name != "members"}
    told |= {"dtype": "uint16", "hparams": hparams}
    found = mask_arrays.segment(of, told, image.astype(np.int32), False, None)
    assert found.shape == image.shape[:-1]
    with pytest.raises(UsageError, match="stored as uint8, the training images as uint16"):
        mask_arrays.segment(of, told, image.astype(np.uint8), False, None)
    bright = image.astype(np.int32) * 20
    with pytest.raises(UsageError, match="stored as uint16, the training images as uint8"):
        mask_arrays.segment(of, {**told, "dtype": "uint8"}, bright, False, None)


def test_arrays_that_do_not_fit_are_refused(model: DeployedModel, made: Any):
    image = made[1][0].image
    assert model.segment([]) == []
    for given, part in (
        (image[None], "give several as a list"),
        (np.concatenate([image, image], axis=-1), "has shape"),
        (image.astype(str), "give numbers"),
        (np.where(image > 0, np.nan, np.float32(0)), "NaN or infinite"),
        ([image, image[:0]], "images[1] has shape"),
    ):
        with pytest.raises(UsageError) as caught:
            model.segment(given)
        assert part in str(caught.value)
    for call in (model.predictions, model.probabilities, model.predict):
        with pytest.raises(UsageError, match="this model makes masks"):
            call(image)


@pytest.mark.thorough
@pytest.mark.parametrize("made", [3], indirect=True)
def test_files_of_channels_are_one_case_and_a_second_run_clears_the_first(made: Any, tmp_path: Path):
    """Of a model of one channel, ID_0000 is the case ID."""
    images, output = tmp_path / "imagesTs", tmp_path / "out"
    images.mkdir()
    for number in (1, 2):
        nifti.write(images / f"liver_{number:03d}_0000.nii.gz", made[1][number].image[..., 0], AFFINE)
    words = (f"--model={made[0]}", f"--output={output}", "--mirror=no")
    assert predicted(*words, f"--input={images}")[0] == 0
    assert [row["case"] for row in rows_of(output)] == ["liver_001", "liver_002"]
    assert {path.name for path in output.iterdir()} == {"liver_001.nii.gz", "liver_002.nii.gz", "volumes.csv"}
    first = (output / "liver_001.nii.gz").read_bytes()
    assert predicted(*words, f"--input={images / 'liver_001_0000.nii.gz'}")[0] == 0
    assert {path.name for path in output.iterdir()} == {"liver_001.nii.gz", "volumes.csv"}
    assert (output / "liver_001.nii.gz").read_bytes() == first


def test_colour_images_with_numbers_are_a_case_each(tmp_path: Path):
    """Files ID_0000 and so on are channels of one case only where each holds one of them."""
    draw, sought = np.random.default_rng(0), Sought(2, 3, {})
    for name, sides in (("colour", (9, 8, 3)), ("gray", (9, 8))):
        (tmp_path / name).mkdir()
        for number in range(3):
            image = Image.fromarray(draw.integers(0, 255, sides, np.uint8))
            image.save(tmp_path / name / f"scan_{number:04d}.png")
    names = {name: [one.name for one in found([tmp_path / name], sought)] for name in ("colour", "gray")}
    assert names == {"colour": ["scan_0000", "scan_0001", "scan_0002"], "gray": ["scan"]}


def test_a_damaged_model_is_refused(made: Any, tmp_path: Path):
    folder = shutil.copytree(made[0], tmp_path / "deploy")
    (folder / "weights_00.safetensors").write_bytes(b"")
    with pytest.raises(UsageError, match=r"weights_00.safetensors is missing or damaged"):
        nachos_jax.load(folder)


def test_written_masks_keep_the_components_that_the_model_keeps(made: Any, tmp_path: Path):
    folder = shutil.copytree(made[0], tmp_path / "deploy")
    told = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    told["largest_component"] = {"together": True, "classes": []}
    del told[seal.KEY]
    (folder / "model.json").write_text(json.dumps(told), encoding="utf-8")
    images, rank = [pair.image for pair in made[1][:6]], made[1][0].mask.ndim
    (tmp_path / "in").mkdir()
    for number, image in enumerate(images):
        if rank == 2:
            Image.fromarray(image[..., 0]).save(tmp_path / f"in/c{number}.png")
        else:
            nifti.write(tmp_path / f"in/c{number}.nii.gz", image[..., 0], AFFINE)
    code, _, err = predicted(
        f"--model={folder}", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}"
    )
    assert (code, err) == (0, "")
    whole = nachos_jax.load(made[0]).segment(images)
    expected = [components.keep_largest_foreground(mask) for mask in whole]
    assert any((mask != large).any() for mask, large in zip(whole, expected, strict=True))
    for number, mask in enumerate(expected):
        name = f"c{number}.{'png' if rank == 2 else 'nii.gz'}"
        np.testing.assert_array_equal(kept(tmp_path / "out", name, number, mask.shape), mask)
