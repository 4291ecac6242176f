"""Augmentation: nothing at strength 0, the right way round otherwise, each case by its own key."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from nachos_jax.core.hparams import AUGMENTATION, FLIP_DEPTH, GEOMETRIC
from nachos_jax.data import augment_volumes
from nachos_jax.data.augment import augment, resample
from tests.tiers import mostly_thorough

pytestmark = pytest.mark.usefixtures("quick_compilation")

STRONG = {
    "flip_horizontal": 0.5,
    "flip_vertical": 0.5,
    "rotation": 30.0,
    "shift": 0.2,
    "scale": 0.3,
    "brightness": 1.0,
    "contrast": 0.5,
    "gamma": 0.7,
    "noise": 0.5,
}
run = jax.jit(augment, static_argnames="enabled")


def batch(seed=0, shape=(6, 16, 14, 2)):
    return jax.random.normal(jax.random.key(seed), shape)


def only(name, images, strength, seed=0):
    return run(images, {name: strength}, jax.random.key(seed), frozenset({name}))


@pytest.mark.parametrize("shape", [(6, 16, 14, 2), pytest.param((3, 5, 8, 7, 2), marks=pytest.mark.thorough)])
def test_strength_zero_is_the_identity(shape):
    names = (*AUGMENTATION, *((FLIP_DEPTH.name,) if len(shape) == 5 else ()))
    zeros, cases = dict.fromkeys(names, 0.0), batch(0, shape)
    exact = frozenset(names) - set(GEOMETRIC)
    np.testing.assert_array_equal(run(cases, zeros, jax.random.key(1), exact), cases)
    everything = run(cases, zeros, jax.random.key(1), frozenset(names))
    np.testing.assert_allclose(everything, cases, atol=1e-5)
    np.testing.assert_array_equal(run(cases, zeros, jax.random.key(1), frozenset()), cases)


@mostly_thorough("name", AUGMENTATION, kept=("rotation", "noise", "gamma", "flip_horizontal"))
def test_operation_alone_changes_most_cases_and_each_differently(name):
    same = jnp.broadcast_to(batch()[:1], (16, 16, 14, 2))
    out = np.asarray(only(name, same, STRONG[name]))
    assert out.shape == same.shape
    assert np.all(np.isfinite(out))
    different = {case.tobytes() for case in out}
    assert len(different) == (2 if name.startswith("flip") else 16)


@mostly_thorough("shape", [(6, 16, 14, 2), (6, 4, 5, 6, 1)], kept=1)
@given(enabled=st.frozensets(st.sampled_from(AUGMENTATION), min_size=1), seed=st.integers(0, 99))
@settings(max_examples=4)
def test_case_depends_on_its_own_key_only(shape, enabled, seed):
    key, images = jax.random.key(seed), batch(0, shape)
    out = run(images, STRONG, key, enabled)
    np.testing.assert_array_equal(out, run(images, STRONG, key, enabled))
    others = images.at[jnp.array([0, 1, 3, 4, 5])].set(jnp.nan)
    np.testing.assert_array_equal(run(others, STRONG, key, enabled)[2], out[2])
    assert np.any(run(images, STRONG, jax.random.key(seed + 100), enabled) != out)


def test_an_operation_keeps_its_draws_when_another_is_added():
    alone = only("brightness", batch(), 1.0, seed=3)
    zero_noise = run(
        batch(), {"brightness": 1.0, "noise": 0.0}, jax.random.key(3), frozenset({"brightness", "noise"})
    )
    np.testing.assert_array_equal(alone, zero_noise)


@pytest.mark.thorough
def test_lanes_with_their_own_strengths_and_keys():
    strengths = {name: jnp.array([0.0, 0.5, 1.0]) * full for name, full in STRONG.items()}
    keys = jax.random.split(jax.random.key(7), 3)
    enabled = frozenset(AUGMENTATION)
    lanes = jax.jit(jax.vmap(lambda s, k: augment(batch(), s, k, enabled)))(strengths, keys)
    for lane in range(3):
        own = {name: values[lane] for name, values in strengths.items()}
        np.testing.assert_allclose(lanes[lane], run(batch(), own, keys[lane], enabled), atol=1e-4)


@mostly_thorough(
    ("name", "axis"),
    [("flip_horizontal", -2), ("flip_vertical", -3), ("flip_depth", -4)],
    kept=("flip_horizontal",),
)
def test_flips_with_certainty(name, axis):
    for cases in (batch(), batch(1, (2, 3, 5, 4, 1)))[axis == -4 :]:
        np.testing.assert_array_equal(only(name, cases, 1.0), np.flip(cases, axis))


@given(
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
    shift=st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    factor=st.floats(0.2, 1.9),
)
@settings(max_examples=8)
def test_motion_of_volumes_matches_scipy(degrees, shift, factor):
    volume = np.asarray(batch(2, (7, 9, 8, 2)))
    given = (jnp.asarray(degrees, jnp.float32), jnp.asarray(shift, jnp.float32), jnp.float32(factor))
    out = jax.jit(augment_volumes.resample)(volume, *given)
    turn = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() / factor
    centre = (np.array(volume.shape[:3]) - 1) / 2
    offset = centre - turn @ (centre + np.array(shift) * volume.shape[:3])
    wanted = [ndimage.affine_transform(volume[..., c], turn, offset, order=1, mode="nearest") for c in (0, 1)]
    np.testing.assert_allclose(out, np.stack(wanted, -1), atol=2e-3)


@pytest.mark.thorough
def test_volumes_of_few_slices_turn_within_them():
    turned = np.asarray(only("rotation", jnp.ones((4, 3, 12, 12, 1)).at[:, 1].set(2.0), 90.0))
    assert (turned[:, 1] > 1.9).all()
    assert np.ptp(only("rotation", jnp.ones((4, 6, 12, 12, 1)).at[:, 1].set(2.0), 90.0)[:, 1]) > 0.5


def spot(row, column, size=(21, 21)):
    return jnp.zeros((*size, 1)).at[row, column, 0].set(1.0)


@pytest.mark.parametrize(
    ("degrees", "shift", "factor", "where"),
    [
        (0.0, (0.0, 0.0), 1.0, (10, 16)),
        (90.0, (0.0, 0.0), 1.0, (4, 10)),
        (-90.0, (0.0, 0.0), 1.0, (16, 10)),
        (0.0, (2 / 21, 0.0), 1.0, (12, 16)),
        (0.0, (0.0, -3 / 21), 1.0, (10, 13)),
        (0.0, (0.0, 0.0), 1.5, (10, 19)),
        (0.0, (0.0, 0.0), 0.5, (10, 13)),
        (90.0, (2 / 21, 1 / 21), 1.0, (6, 11)),
    ],
)
def test_a_spot_right_of_the_centre_goes_the_right_way(degrees, shift, factor, where):
    given = jnp.float32(degrees), jnp.asarray(shift), jnp.float32(factor)
    out = np.asarray(jax.jit(resample)(spot(10, 16), *given))
    assert np.unravel_index(out[..., 0].argmax(), (21, 21)) == where
    np.testing.assert_allclose(out[(*where, 0)], 1.0, atol=1e-4)


@given(
    degrees=st.floats(-180, 180),
    shift=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
    factor=st.floats(0.2, 1.9),
)
@settings(max_examples=12)
def test_resampling_matches_scipy(degrees, shift, factor):
    image = np.asarray(batch(2, (13, 18, 2)))
    out = jax.jit(resample)(image, jnp.float32(degrees), jnp.asarray(shift, jnp.float32), jnp.float32(factor))
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / factor
    centre = (np.array(image.shape[:2]) - 1) / 2
    offset = centre - turn @ (centre + np.array(shift) * image.shape[:2])
    wanted = np.stack(
        [ndimage.affine_transform(image[..., c], turn, offset, order=1, mode="nearest") for c in range(2)], -1
    )
    np.testing.assert_allclose(out, wanted, atol=2e-3)


@pytest.mark.thorough
def test_draws_stay_within_their_strengths():
    images = batch(4, (200, 8, 8, 1))
    shifts = np.asarray(only("brightness", images, 0.7) - images)[:, 0, 0, 0]
    assert shifts.min() < -0.6
    assert 0.6 < shifts.max() <= 0.7 + 1e-5
    centred = images - images.mean((1, 2, 3), keepdims=True)
    factors = np.asarray(only("contrast", images, 0.5).std((1, 2, 3)) / centred.std((1, 2, 3)))
    assert 0.5 - 1e-4 <= factors.min() < 0.6
    assert 1.4 < factors.max() <= 1.5 + 1e-4
    deviation = np.asarray((only("noise", images, 0.4) - images).std((1, 2, 3)))
    assert deviation.min() < 0.1
    assert deviation.max() < 0.4 * 1.4


def test_gamma_keeps_range_and_order_and_constant_images():
    images = batch(5)
    out = only("gamma", images, 1.0)
    np.testing.assert_allclose(out.min((1, 2, 3)), images.min((1, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(out.max((1, 2, 3)), images.max((1, 2, 3)), atol=1e-5)
    for before, after in zip(np.asarray(images), np.asarray(out), strict=True):
        assert np.all(np.diff(after.ravel()[np.argsort(before.ravel())]) >= -1e-6)
    np.testing.assert_array_equal(only("gamma", jnp.full((2, 4, 4, 1), 3.0), 1.0), np.full((2, 4, 4, 1), 3.0))


def test_unknown_operations_and_missing_strengths_are_refused():
    with pytest.raises(ValueError, match="unknown"):
        augment(batch(), {}, jax.random.key(0), frozenset({"blur"}))
    with pytest.raises(ValueError, match=r"without strength \['noise'\]"):
        augment(batch(), {}, jax.random.key(0), frozenset({"noise"}))
