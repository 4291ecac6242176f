"""Segmentation: what is seen of a whole case, what a training step is given, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.data import resampling
from nachos_jax.data.columns import Columns, MaskCounts
from nachos_jax.data.ragged import Volume, stored
from nachos_jax.tasks.normalisation import CHOICES, normalised
from nachos_jax.tasks.segmentation import TASK, MaskDevice
from nachos_jax.tasks.segmenting import losses
from nachos_jax.tasks.segmenting.plan import planned
from nachos_jax.tasks.task import ALONE, Cases, Setting, Told
from tests.tasks import conformance

pytestmark = pytest.mark.usefixtures("quick_compilation")

CLASSES, SPACING = 2, (2.0, 1.0, 0.5)
WEIGHTS = np.array([[0.4, -0.3, 0.1]], np.float32)
"""Of a network that looks at one pixel."""


def volumes(count: int = 8) -> list[Volume]:
    draw, found = np.random.default_rng(5), []
    for _ in range(count):
        sides = draw.integers(5, 12, 3)
        labels = draw.integers(0, CLASSES + 1, sides).astype(np.uint8)
        image = draw.normal(labels[..., None], 1.0, (*sides, 1)).astype(np.float32)
        found.append(Volume(image, labels, SPACING))
    return found


def columns(counts: np.ndarray, **more) -> Columns:
    voxels = np.zeros((len(counts), 256), np.int64)
    voxels[:, : counts.shape[1]] = counts
    names = [f"case {i}" for i in range(len(counts))]
    found = MaskCounts(voxels, np.full(len(counts), float(np.prod(SPACING))), "mm")
    return Columns("a file", names, {}, lambda row: f"line {row}", "add it", masks=found, **more)


def of(some: list[Volume]) -> Columns:
    return columns(np.stack([np.bincount(v.labels.reshape(-1), minlength=CLASSES + 1) for v in some]))


def told(**traced: float) -> Told:
    names = [row.name for row in TASK.hyperparameters]
    values = {
        **dict.fromkeys([*names, "flip_vertical", "flip_horizontal", "rotation", "scale"], 0.0),
        **traced,
    }
    as_arrays = {name: jnp.float32(value) for name, value in values.items()}
    return Told(jnp.zeros(1), jnp.ones(1), {}, as_arrays)


def apply(x: jax.Array) -> jax.Array:
    return x @ jnp.asarray(WEIGHTS) + jnp.asarray([0.3, 0.0, -0.2]).reshape((1,) * (x.ndim - 1) + (3,))


def test_the_contract_is_kept() -> None:
    some = volumes()
    store, table = stored(some, CLASSES), of(some)
    truth = TASK.targets(table, ()).values
    right = np.stack([truth * 0.75, truth, truth * 0.25], axis=-1).reshape(len(some), -1)
    seen = np.concatenate([right, np.ones((len(some), 1))], axis=1).astype(np.float32)
    conformance.check(TASK, table, ("left", "right"), conformance.Sample(store.shape, store.rows, seen))


@pytest.mark.parametrize(
    "patch", [(4, 5, 3), *(pytest.param(p, marks=pytest.mark.thorough) for p in ((1, 16, 16), (16, 16, 16)))]
)
def test_what_is_seen_of_a_case_is_what_a_plain_loop_over_its_voxels_sees(patch: tuple[int, ...]) -> None:
    some = volumes(3)
    cases = Cases(jax.tree.map(jnp.asarray, stored(some, CLASSES).rows(np.arange(3, dtype=np.int32))), None)
    device, rows = MaskDevice(CLASSES, patch), jnp.asarray([2, 0, 1], jnp.int32)
    seen = jax.jit(lambda r: device.observe(apply, cases, r, told()))(rows)
    for row, case in enumerate([some[2], some[0], some[1]]):
        image = (case.image - case.image.mean()) / case.image.std()
        logits = image @ WEIGHTS + np.array([0.3, 0.0, -0.2])
        called = logits.argmax(-1)
        hits = [
            [np.sum((called == k) & (case.labels == k)), np.sum((called == k) & (case.labels != k))]
            + [np.sum((called != k) & (case.labels == k))]
            for k in range(1, CLASSES + 1)
        ]
        np.testing.assert_allclose(seen[row, :-1], np.ravel(hits) * np.prod(SPACING), rtol=1e-6)
        chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        there = np.eye(CLASSES + 1)[case.labels]
        dice = [
            (2 * np.sum(chances[..., k] * there[..., k])) / (chances[..., k].sum() + there[..., k].sum())
            for k in range(1, CLASSES + 1)
        ]
        loss = 1 - np.mean(dice) - np.mean(np.log(np.sum(chances * there, -1)))
        np.testing.assert_allclose(seen[row, -1], loss, rtol=1e-4)


def test_a_case_that_was_resampled_is_judged_by_the_mask_that_it_came_with() -> None:
    """Its voxels take what the nearest voxel of the grid is given that the network sees."""
    some, spacing = volumes(3), (1.0, 1.5, 1.0)
    there = [resampling.resampled(volume, spacing) for volume in some]
    store = stored(there, CLASSES, resampling.origin(some, there, CLASSES))
    cases = Cases(jax.tree.map(jnp.asarray, store.rows(np.arange(3, dtype=np.int32))), None)
    device = MaskDevice(CLASSES, (4, 5, 3))
    seen = jax.jit(lambda r: device.observe(apply, cases, r, told()))(jnp.arange(3))
    for row, (case, seen_as) in enumerate(zip(some, there, strict=True)):
        image = (seen_as.image - seen_as.image.mean()) / seen_as.image.std()
        called = (image @ WEIGHTS + np.array([0.3, 0.0, -0.2])).argmax(-1)
        sides = zip(case.labels.shape, called.shape, strict=True)
        called = called[np.ix_(*[((np.arange(own) + 0.5) * side / own).astype(int) for own, side in sides])]
        hits = [
            [np.sum((called == k) & (case.labels == k)), np.sum((called == k) & (case.labels != k))]
            + [np.sum((called != k) & (case.labels == k))]
            for k in range(1, CLASSES + 1)
        ]
        np.testing.assert_allclose(seen[row, :-1], np.ravel(hits) * np.prod(SPACING), rtol=1e-6)


def test_a_network_that_gives_nan_is_seen_as_nan() -> None:
    cases = Cases(
        jax.tree.map(jnp.asarray, stored(volumes(2), CLASSES).rows(np.arange(2, dtype=np.int32))), None
    )
    device = MaskDevice(CLASSES, (4, 4, 4))
    broken = jax.jit(lambda r: device.observe(lambda x: apply(x) * jnp.nan, cases, r, told()))
    seen = broken(jnp.asarray([1], jnp.int32))
    assert np.isnan(np.asarray(seen)).all()


@pytest.mark.parametrize("augmentations", [(), ("flip_horizontal", "rotation", "noise", "gamma")])
def test_a_batch_holds_patches_of_its_cases_that_a_key_names(augmentations: tuple[str, ...]) -> None:
    some = [Volume(v.image + 100 * i, v.labels, v.spacing) for i, v in enumerate(volumes(4))]
    cases = Cases(jax.tree.map(jnp.asarray, stored(some, CLASSES).rows(np.arange(4, dtype=np.int32))), None)
    device = MaskDevice(CLASSES, (4, 4, 4), patches=3)
    strengths = dict.fromkeys(augmentations, 0.5)
    fit = told(**{"segmentation.normalisation": CHOICES.index("none"), **strengths})
    make = jax.jit(
        lambda rows, key: device.batch(cases, rows, fit, key, frozenset(augmentations)), static_argnums=()
    )
    images, labels = make(jnp.asarray([2, 0], jnp.int32), jax.random.key(7))
    assert images.shape == (6, 4, 4, 4, 1)
    assert labels.shape == (6, 4, 4, 4)
    middle = np.asarray(images).mean(axis=(1, 2, 3, 4))
    if not augmentations:
        np.testing.assert_allclose(middle, [200] * 3 + [0] * 3, atol=3)
    again, _ = make(jnp.asarray([2, 1], jnp.int32), jax.random.key(7))
    np.testing.assert_array_equal(images[:3], again[:3])  # whatever else is in the batch
    other, _ = make(jnp.asarray([2, 0], jnp.int32), jax.random.key(8))
    assert np.any(np.asarray(other) != np.asarray(images))


def test_the_loss_is_the_mixture_that_the_fit_has_chosen() -> None:
    draw = np.random.default_rng(0)
    outputs = jnp.asarray(draw.normal(size=(2, 4, 4, 4, 3)).astype(np.float32))
    labels = jnp.asarray(draw.integers(0, 3, (2, 4, 4, 4)).astype(np.int32))
    tried = ("dice_ce", "dice_focal")
    device = TASK.device(("a", "b"), {}, Setting((4, 4, 4, 1), {"segmentation.loss": tried}))
    assert device.terms == {"dice", "cross_entropy", "focal"}
    for name in tried:
        place = list(losses.MIXTURES).index(name)
        own, fit = losses.MIXTURES[name], told(**{"segmentation.loss": place})
        found = jax.jit(device.loss)(outputs, labels, fit)
        wanted = jax.jit(lambda x, y, own=own: losses.mixture(x, y, own, frozenset(own)))(outputs, labels)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert TASK.device(("a",), {"segmentation.loss": "dice_top_k"}, ALONE).terms == {"dice", "top_k"}


PLAIN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "z_score": lambda x: (x - x.mean()) / x.std(),
    "training": lambda x: (x - 3.0) / 2.0,
    "percentiles": lambda x: (
        (np.clip(x, *np.percentile(x, (0.5, 99.5))) - np.percentile(x, 0.5))
        / np.ptp(np.percentile(x, (0.5, 99.5)))
    ),
    "min_max": lambda x: (x - x.min()) / np.ptp(x),
    "none": lambda x: x,
    "clipped": lambda x: (y := np.clip(x, *np.percentile(x, (0.5, 99.5))), (y - y.mean()) / y.std())[1],
    "ct": lambda x: (np.clip(x, -1.0, 9.0) - 5.0) / 4.0,
}
FOREGROUND = np.asarray([[-1.0, 9.0, 5.0, 4.0]], np.float32)


@pytest.mark.parametrize("name", CHOICES)
def test_intensities_are_those_of_numpy(name: str) -> None:
    volume = volumes(1)[0]
    stats = jnp.asarray(stored([volume], CLASSES).stats[0])
    choice = jnp.float32(CHOICES.index(name))
    training = jnp.asarray([3.0]), jnp.asarray([2.0]), jnp.asarray(FOREGROUND)
    found = jax.jit(normalised)(jnp.asarray(volume.image), stats, *training, choice)
    np.testing.assert_allclose(found, PLAIN[name](volume.image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CHOICES)
def test_a_case_of_one_value_stays_finite(name: str) -> None:
    flat = Volume(np.full((2, 3, 4, 1), 7, np.uint8), np.zeros((2, 3, 4), np.uint8), SPACING)
    stats = jnp.asarray(stored([flat], CLASSES).stats[0])
    choice = jnp.float32(CHOICES.index(name))
    image = jnp.asarray(flat.image, jnp.float32)
    foreground = stored([flat], CLASSES).sums().foreground(np.ones(1, bool))
    training = jnp.zeros(1), jnp.ones(1), jnp.asarray(foreground)
    assert np.isfinite(jax.jit(normalised)(image, stats, *training, choice)).all()


def test_a_patch_is_planned_from_the_case_in_the_middle() -> None:
    assert planned((36, 50, 35), (0, 0, 0), 3) == (40, 56, 40)  # nnU-Net's for the hippocampus
    assert planned((36, 50, 35), (0, 0, 0), 2) == (1, 56, 40)
    assert planned((1, 128, 128), (0, 0, 0), 3) == (1, 128, 128)
    assert planned((1, 512, 300), (0, 0, 0), 3) == (1, 256, 256)
    assert planned((100, 512, 512), (16, 0, 0), 3) == (16, 128, 128)
    assert planned((5, 6, 7), (0, 0, 0), 3) == (5, 6, 7)
    assert TASK.network_shape((36, 50, 35, 2), {"segmentation.patch_depth": 12}) == (12, 56, 40, 2)


def test_masks_that_are_right_and_wrong_are_watched_as_such() -> None:
    counts = np.array([[90, 10, 0], [80, 5, 15], [70, 20, 10]])
    targets = TASK.targets(columns(counts), ("a", "b"))
    truth = targets.values
    nothing = np.zeros_like(truth)
    for parts, dice in (((truth, nothing, nothing), 1.0), ((nothing, nothing, truth), 1 / 6)):
        seen = np.concatenate([np.stack(parts, -1).reshape(3, -1), np.full((3, 1), 0.5)], axis=1)
        loss, score = TASK.watched("mean_dice", seen.astype(np.float32), targets)
        assert (loss, score) == (0.5, pytest.approx(dice))  # an empty reference that stays empty scores 1
    tested = TASK.tested(seen.astype(np.float32), targets)
    assert {name: array.shape for name, array in tested.arrays.items()} == {
        "reference": (3, 2),
        "volumes": (3, 2, 3),
    }


def test_what_has_no_masks_is_refused() -> None:
    plain = Columns("a table", ["a"], {"label": ["x"]}, lambda row: f"line {row}", "add it")
    with pytest.raises(UsageError, match="holds no masks"):
        TASK.targets(plain, ())
