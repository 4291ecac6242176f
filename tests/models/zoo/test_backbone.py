"""Features of a frozen backbone: pixels as the weights expect them, nothing of other cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from nachos_jax.config.run_config import BackboneConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.models.zoo import backbone, registry
from nachos_jax.models.zoo.layers import conv
from nachos_jax.models.zoo.network import Expected, Network

MEAN_SD = ((0.2, 0.3, 0.4), (0.5, 0.6, 0.7))
PLAIN = Network(
    (("map", lambda w, x: conv(w / "conv", x, 3, 1)), ("pool", lambda _, x: x.mean((1, 2)))),
    "fc",
    Expected(MEAN_SD, size=32),
)
"""Features are the mean colours of the normalised image where the kernel is the identity."""


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BackboneConfig:
    monkeypatch.setattr(registry, "_networks", lambda: {"plain": PLAIN})
    path = tmp_path / "plain.safetensors"
    save_file({"conv.weight": np.eye(3, dtype=np.float32)[..., None, None]}, path)
    return BackboneConfig("plain", str(path), "", "MIT", "nothing")


def test_pixels_are_scaled_and_normalised_as_the_weights_expect(plain: BackboneConfig):
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    found = backbone.load(plain).features(images)
    wanted = (images.mean((1, 2)) / 255 - MEAN_SD[0]) / MEAN_SD[1]
    np.testing.assert_allclose(found, wanted, atol=2e-3)
    wrong = (images.mean((1, 2)) - MEAN_SD[0]) / MEAN_SD[1]  # pixels from 0 to 255
    assert np.abs(found - wrong).min() > 1


def test_gray_is_equal_colours_and_deep_images_take_their_own_range(plain: BackboneConfig):
    gray = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 1)).astype(np.uint8)
    gray[:, 0, :2, 0] = (0, 255)
    made = backbone.load(plain)
    np.testing.assert_array_equal(made.features(gray), made.features(np.repeat(gray, 3, axis=3)))
    deep = gray.astype(np.int16) * 16 - 1000
    np.testing.assert_allclose(made.features(deep), made.features(gray), atol=2e-3)


def test_a_feature_depends_on_its_own_image_alone(plain: BackboneConfig):
    images = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 1)).astype(np.uint8)
    made = backbone.load(plain)
    told = []
    found = made.features(images, progress=lambda *at: told.append(at))
    np.testing.assert_array_equal(found[37:41], made.features(images[37:41]))
    assert told[-1] == (300, 300)
    np.testing.assert_array_equal(found, made.features(images[::-1])[::-1])


def test_images_of_another_size_are_resized_as_the_weights_expect(plain: BackboneConfig):
    from PIL import Image

    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3)).astype(np.uint8)
    sized = np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BICUBIC))
    made = backbone.load(plain)
    np.testing.assert_array_equal(made.features(image[None]), made.features(sized[None]))


def test_what_cannot_be_is_refused(plain: BackboneConfig, tmp_path: Path):
    from dataclasses import replace

    with pytest.raises(UsageError, match="config.backbone.layer = 'poo': must be one of map, pool"):
        backbone.load(replace(plain, layer="poo"))
    with pytest.raises(
        UsageError, match="images of 16 x 16 pixels: this backbone takes sides of at least 32"
    ):
        backbone.load(plain, 16, 16)
    path = tmp_path / "large.safetensors"
    save_file({"conv.weight": np.full((3, 3, 1, 1), 1e6, np.float32)}, path)
    with pytest.raises(UsageError, match="larger than float16"):
        backbone.load(replace(plain, weights=str(path))).features(np.full((1, 32, 32, 1), 255, np.uint8))


def test_the_facts_say_where_weights_come_from(plain: BackboneConfig):
    facts = backbone.load(plain).facts
    assert {
        "licence": "MIT",
        "pretrained_on": "nothing",
        "features": 3,
        "height": 32,
    }.items() <= facts.items()
    assert "may hold cases of this study" in facts["caution"]
    assert len(facts["sha256"]) == 64
