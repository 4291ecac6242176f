"""Maps of tiny networks against plain loops, and what must not change them."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import active
from nachos_jax.models import blocks, registry
from nachos_jax.models.blocks import evaluation
from nachos_jax.protocol.model import explain
from nachos_jax.protocol.model.explain import METHODS, Explained, gradcam, occlusion
from tests.tiers import mostly_thorough

SIDE = 8
TOP_LEFT = np.kron([[1.0, 0.0], [0.0, 0.0]], np.ones((4, 4))).astype(np.float32)
METHOD = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


class OneQuadrant(nnx.Module):
    """Reads nothing but the top left quadrant: channels relu(x) and relu(-x) there, zero elsewhere."""

    def __init__(self, shift: float = 0.0, seen: np.ndarray = TOP_LEFT) -> None:
        self.head = blocks.Head(2, 2)
        self.head.linear.kernel[...] = jnp.asarray([[0.0, 3.0], [0.0, -1.0]], jnp.float32)
        self.shift = shift
        self.seen = nnx.static(tuple(map(tuple, seen.tolist())))

    def __call__(self, x, mode):
        part = x * jnp.asarray(self.seen, jnp.float32)[None, :, :, None]
        both = jnp.concatenate([jax.nn.relu(part), jax.nn.relu(-part)], axis=-1)
        return self.head(both, mode) + jnp.float32(self.shift)


def bright(*shape: int) -> jax.Array:
    """Images with values from 1 to 2."""
    return jnp.asarray(np.random.default_rng(0).uniform(1, 2, shape), jnp.float32)


def ones(images: jax.Array, number: int = 1) -> jax.Array:
    return jnp.full(len(images), number, jnp.int32)


def looked_into(make, read=lambda outputs: outputs) -> Explained:
    """A network whose outputs are logits, unless they are read otherwise."""
    return Explained(make, evaluation({}), read)


def explained(method, make, images, classes) -> explain.Explanation:
    """The same compiled: op by op a tiny network takes seconds."""
    return jax.jit(lambda x, c: method(looked_into(make), x, c))(images, classes)


def by_hparams(shape: tuple[int, ...] = (12, 12, 1), outputs: int = 3, **changes):
    """A maker of a registered network with fresh weights."""
    rows = registry.hyperparameters()
    values = {row.name: row.default for row in rows if row.default is not None}
    values |= {name.replace("__", "."): value for name, value in changes.items()}
    chosen = active(values, rows)

    def build():
        return registry.build(chosen, shape, outputs, jnp.float32, "lax", nnx.Rngs(0))

    graph, params, stats = nnx.split(jax.jit(build)(), nnx.Param, nnx.BatchStat)
    return lambda: nnx.merge(graph, params, stats)


SMALL: dict[str, dict[str, Any]] = {
    "cnn": {"architecture": "cnn", "cnn__stages": 1, "cnn__width": 4},
    "cnn group": {"architecture": "cnn", "norm": "group", "cnn__stages": 2, "cnn__width": 4},
    "resnet": {"architecture": "resnet", "resnet__width": 4},
    "resnet v2": {"architecture": "resnet", "resnet__version": 2, "resnet__width": 4},
}


# --- Grad-CAM -----------------------------------------------------------------------------------------


def test_gradcam_of_a_network_that_reads_one_quadrant():
    """By hand: dlogit/dA^k = w_k / 64, so L = w x / 64 inside and 0 outside, and its scale is its maximum."""
    images = bright(3, SIDE, SIDE, 1)
    found = explained(gradcam, OneQuadrant, images, ones(images))
    plain = np.asarray(images)[..., 0] * TOP_LEFT
    np.testing.assert_allclose(found.peak, 3.0 * plain.max(axis=(1, 2)) / 64, rtol=1e-5)
    np.testing.assert_allclose(found.maps, plain / plain.max(axis=(1, 2), keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(found.logits[:, 1], 3.0 * plain.mean(axis=(1, 2)), rtol=1e-5)


def test_gradcam_is_zero_where_no_place_speaks_for_the_class():
    images = -bright(2, SIDE, SIDE, 1)
    found = explained(gradcam, OneQuadrant, images, ones(images))
    assert not np.any(found.maps)
    assert not np.any(found.peak)
    assert not np.any(explained(gradcam, OneQuadrant, images, ones(images, 0)).maps), (
        "class 0 has no weights at all"
    )


@mostly_thorough("name", ["cnn group", "resnet v2"], kept=("cnn group",))
def test_gradcam_follows_its_equations(name: str):
    """Equations 1 and 2 with the gradient as finite differences of the part after the features."""
    make = by_hparams(**SMALL[name])
    images = jax.random.normal(jax.random.key(1), (1, 12, 12, 1))
    seen: list[jax.Array] = []

    def keep(x):
        seen.append(x)
        return x

    def features_of(x):
        explain._logits(looked_into(make), x, keep)
        return seen.pop()

    features = np.asarray(jax.jit(features_of)(images), np.float64)
    head = make().head
    number = int(jnp.argmax(head(jnp.asarray(features, jnp.float32), evaluation({}))))
    steps = np.eye(features.size).reshape(-1, *features.shape[1:])
    # One batch of features with one value more, and one with that value less.
    more, less = (
        np.asarray(head(jnp.asarray(features + sign * steps, jnp.float32), evaluation({})))
        for sign in (1, -1)
    )
    slopes = ((more - less)[:, number] / 2).reshape(features.shape[1:])
    weights = slopes.mean(axis=(0, 1))
    coarse = np.maximum((features[0] * weights).sum(axis=-1), 0)
    wanted = np.asarray(jax.image.resize(coarse.astype(np.float32), (12, 12), "linear"))
    found = explained(gradcam, make, images, ones(images, number))
    assert wanted.max() > 0, "a map of zeros tests nothing: choose another key"
    np.testing.assert_allclose(found.maps[0] * found.peak[0], wanted, atol=2e-3 * wanted.max())


def test_gradcam_asks_for_one_head_with_a_map():
    class Flat(nnx.Module):
        def __init__(self, given: int, calls: int) -> None:
            self.head = blocks.Head(SIDE, 2)
            self.given, self.calls = given, calls

        def __call__(self, x, mode):
            cell = jnp.tile(jnp.mean(x, (1, 2), keepdims=True), (1, 1, 1, SIDE))
            y = x[..., 0] if self.given == 3 else cell
            logits = jnp.zeros((len(x), 2), jnp.float32)
            for _ in range(self.calls):
                logits += self.head(y, mode)
            return logits

    images = bright(2, SIDE, SIDE, 1)
    for given, calls, told in (
        (4, 0, "0 calls of a Head: let it end in one such Head, or choose occlusion"),
        (4, 2, "2 calls"),
        (3, 1, "features with 3 axes"),
        (4, 1, "has a single cell for images of 8 x 8 pixels"),
    ):
        with pytest.raises(UsageError, match=told):
            gradcam(looked_into(lambda given=given, calls=calls: Flat(given, calls)), images, ones(images))
    assert occlusion(looked_into(lambda: Flat(4, 0)), images, ones(images)).maps.shape == (2, SIDE, SIDE)


# --- occlusion ----------------------------------------------------------------------------------------


def test_occlusion_is_the_mean_fall_over_the_squares_that_cover_a_pixel():
    make, side = OneQuadrant, 2  # a fifth of 8 pixels, rounded
    images = bright(2, SIDE, SIDE, 1)

    def chance(x: np.ndarray) -> np.ndarray:
        return np.asarray(jax.nn.softmax(make()(jnp.asarray(x), evaluation({}))))[:, 1]

    plain = np.asarray(images)
    total, count = np.zeros((2, SIDE, SIDE)), np.zeros((SIDE, SIDE))
    for i in range(SIDE - side + 1):
        for j in range(SIDE - side + 1):
            covered = plain.copy()
            covered[:, i : i + side, j : j + side] = 0.0
            total[:, i : i + side, j : j + side] += (chance(plain) - chance(covered))[:, None, None]
            count[i : i + side, j : j + side] += 1
    wanted = np.maximum(total / count, 0)
    found = explained(occlusion, make, images, ones(images))
    np.testing.assert_allclose(found.maps * found.peak[:, None, None], wanted, atol=1e-5)
    np.testing.assert_allclose(found.peak, wanted.max(axis=(1, 2)), rtol=1e-3)
    assert not np.any(found.maps[:, 5:, :]), "no square there touches the quadrant that is read"
    # Covering evidence for class 1 only ever raises class 0.
    assert not np.any(explained(occlusion, make, images, ones(images, 0)).maps)


@pytest.mark.parametrize(("length", "side"), [(1, 1), (5, 1), (8, 2), (9, 2), (28, 6), (31, 6), (6, 6)])
def test_the_occluder_covers_every_pixel_and_stays_inside(length: int, side: int):
    covers = explain._covers(length, side, max(1, side // 2))
    assert covers.any(axis=0).all()
    assert set(covers.sum(axis=1)) == {side}
    assert len({tuple(row) for row in covers.tolist()}) == len(covers)


# --- both ---------------------------------------------------------------------------------------------


@pytest.mark.thorough
@METHOD
@pytest.mark.parametrize("space", [(9, 12), (5, 9, 6)])
@pytest.mark.parametrize("name", SMALL)
def test_every_architecture_gives_maps(method, name: str, space: tuple[int, ...]):
    images = jax.random.normal(jax.random.key(3), (2, *space, 3))
    by = by_hparams((*space, 3), **SMALL[name])
    found = explained(method, by, images, ones(images, 2))
    assert found.maps.shape == (2, *space)
    assert found.maps.dtype == jnp.float32
    values = np.asarray(found.maps)
    assert values.min() >= 0
    assert values.max() <= 1
    np.testing.assert_allclose(values.reshape(2, -1).max(1), np.asarray(found.peak) > 0, atol=1e-6)
    plain = jax.jit(lambda x: by()(x, evaluation({})))(images)
    np.testing.assert_allclose(found.logits, plain, atol=1e-5)


@pytest.mark.thorough
@METHOD
def test_the_architecture_of_the_manual_gives_maps(method):
    """Who follows the manual has nothing to do for it."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
    pattern = r"^<!-- architecture strided -->\n+```python\n(.*?)^```$"
    found = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    assert found, "docs/extending.md shows no architecture any more"
    file: dict = {}
    exec(compile(found[1], "strided.py", "exec"), file)
    chosen = {"norm": "batch", "strided.layers": 2, "strided.width": 4}

    def make():
        return file["build"](chosen, (SIDE, SIDE, 1), 2, jnp.float32, "lax", nnx.Rngs(0))

    images = bright(2, SIDE, SIDE, 1)
    maps = explained(method, make, images, ones(images)).maps
    assert maps.shape == (2, SIDE, SIDE)
    assert np.isfinite(maps).all()


def test_these_are_all_the_registered_architectures():
    # "tuned" needs the weights of a file: tests/protocol/test_tuned.py.
    of_images = {name for name in registry.names() if registry.convolutions(name) and not registry.maps(name)}
    assert {changes["architecture"] for changes in SMALL.values()} == of_images - {"tuned"}


@pytest.mark.thorough
@METHOD
def test_a_constant_on_all_logits_changes_nothing(method):
    images = bright(2, SIDE, SIDE, 1)
    plain = explained(method, OneQuadrant, images, ones(images))
    moved = explained(method, lambda: OneQuadrant(shift=5.0), images, ones(images))
    np.testing.assert_allclose(moved.maps, plain.maps, atol=1e-4)
    np.testing.assert_allclose(moved.logits, plain.logits + jnp.float32(5.0), atol=1e-5)


@pytest.mark.thorough
@METHOD
def test_the_map_of_an_image_depends_on_no_other_image(method):
    make = by_hparams(**SMALL["cnn"])
    images = jax.random.normal(jax.random.key(4), (4, SIDE, SIDE, 1))
    classes = jnp.asarray([0, 1, 2, 1], jnp.int32)
    together = explained(method, make, images, classes)
    order = jnp.asarray([2, 0, 3, 1])
    np.testing.assert_allclose(
        explained(method, make, images[order], classes[order]).maps, together.maps[order], atol=3e-5
    )
    alone = explained(method, make, images[1:2], classes[1:2])
    np.testing.assert_allclose(alone.maps[0], together.maps[1], atol=3e-5)


@METHOD
def test_pixels_that_the_network_does_not_read_do_not_matter(method):
    images = bright(1, SIDE, SIDE, 1)
    other = images.at[:, 4:, :, :].multiply(-3.0)
    np.testing.assert_array_equal(
        explained(method, OneQuadrant, images, ones(images)).maps,
        explained(method, OneQuadrant, other, ones(images)).maps,
    )


@METHOD
def test_the_map_turns_with_the_quadrant(method):
    """Another quadrant read, and the image turned alike: the map turns too."""
    images = bright(1, SIDE, SIDE, 1)
    plain = explained(method, OneQuadrant, images, ones(images)).maps
    turned = explained(
        method, lambda: OneQuadrant(seen=np.rot90(TOP_LEFT)), jnp.rot90(images, axes=(1, 2)), ones(images)
    ).maps
    np.testing.assert_allclose(turned, jnp.rot90(plain, axes=(1, 2)), atol=1e-6)


@pytest.mark.thorough
@METHOD
def test_outputs_are_explained_by_the_logits_that_they_are_read_as(method):
    """Of two ordered classes with one output x the logits are log sigmoid(-x) and log sigmoid(x)."""

    def read(outputs):
        return jax.nn.log_sigmoid(outputs[:, 1:] * jnp.asarray([[-1.0, 1.0]]))

    images = bright(2, SIDE, SIDE, 1)
    network = looked_into(OneQuadrant, read)
    found = jax.jit(lambda x, c: method(network, x, c))(images, ones(images))
    plain = explained(method, OneQuadrant, images, ones(images))
    np.testing.assert_allclose(found.logits, read(plain.logits), rtol=1e-5)
    if method is gradcam:  # the slope of log sigmoid(x) is sigmoid(-x), the same for all cells
        np.testing.assert_allclose(found.maps, plain.maps, atol=1e-5)
        np.testing.assert_allclose(found.peak, plain.peak * jax.nn.sigmoid(-plain.logits[:, 1]), rtol=1e-4)
    assert not np.any(found.maps[:, 5:, :])
    assert np.all(np.asarray(found.peak) > 0)


def test_training_knows_nothing_of_it():
    for file in (blocks, registry):
        assert "explain" not in inspect.getsource(file)
    make = by_hparams(**SMALL["cnn"])
    names = [path for path, _ in nnx.to_flat_state(nnx.state(make()))]
    explained(gradcam, make, bright(1, SIDE, SIDE, 1), jnp.zeros(1, jnp.int32))
    network = make()
    assert [path for path, _ in nnx.to_flat_state(nnx.state(network))] == names
    assert type(network.head) is blocks.Head
