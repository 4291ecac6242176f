"""The same networks in torchvision and timm, where they are installed, with weights drawn by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nachos_jax.models.zoo import matching
from nachos_jax.models.zoo.network import Network
from nachos_jax.models.zoo.place import needed
from tests.models.zoo.drawing import drawn

_KEPT: list[Any] = []
MAKERS: dict[str, Callable[[Any, Any, int], Any]] = {
    "resnet18": lambda tv, _, __: tv.resnet18(),
    "resnet34": lambda tv, _, __: tv.resnet34(),
    "resnet50": lambda tv, _, __: tv.resnet50(),
    "resnet101": lambda tv, _, __: tv.resnet101(),
    "resnet152": lambda tv, _, __: tv.resnet152(),
    "efficientnet_b0": lambda tv, _, __: tv.efficientnet_b0(),
    "efficientnet_b1": lambda tv, _, __: tv.efficientnet_b1(),
    "efficientnet_b2": lambda _, timm, __: timm.create_model("efficientnet_b2"),
    "efficientnet_b3": lambda _, timm, __: timm.create_model("efficientnet_b3"),
    "efficientnet_lite0": lambda _, timm, __: timm.create_model("efficientnet_lite0"),
    "tf_efficientnet_b0": lambda _, timm, __: timm.create_model("tf_efficientnet_b0"),
    "tf_efficientnet_lite0": lambda _, timm, __: timm.create_model("tf_efficientnet_lite0"),
    "efficientnet_v2_s": lambda tv, _, __: tv.efficientnet_v2_s(),
    "inception_v3": lambda tv, _, __: tv.inception_v3(init_weights=False),
    "xception": lambda _, timm, __: timm.create_model("legacy_xception"),
    "mobilenet_v3_large": lambda tv, _, __: tv.mobilenet_v3_large(),
    "densenet121": lambda tv, _, __: tv.densenet121(),
    "convnext_tiny": lambda tv, _, __: tv.convnext_tiny(),
    "vgg16": lambda tv, _, __: tv.vgg16(),
    "vit_small_patch16": lambda _, timm, size: _vit(timm, "vit_small_patch16_224", size),
    "vit_base_patch16": lambda _, timm, size: _vit(timm, "vit_base_patch16_224", size),
    "vit_b_16": lambda tv, _, size: tv.vit_b_16(image_size=size),
    "vit_small_patch14_dinov2": lambda _, timm, size: _vit(timm, "vit_small_patch14_dinov2", size),
    "vit_base_patch14_dinov2": lambda _, timm, size: _vit(timm, "vit_base_patch14_dinov2", size),
}
"""(torchvision.models, timm, size that positions are for) -> network, by our names."""


def _vit(timm: Any, name: str, size: int) -> Any:
    return timm.create_model(name, img_size=size, dynamic_img_size=True, num_classes=10)


def libraries() -> tuple[Any, Any]:
    """(torchvision.models, timm); skips where they are not installed."""
    torch = pytest.importorskip("torch")
    if not _KEPT:
        # Beside a CPU build of torch, torchvision's own operators are missing, and its import asks for them.
        for name in ("nms", "qnms"):
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _KEPT.append(library)
    reason = "needs torchvision and timm, see docs/pretrained.md"
    return pytest.importorskip("torchvision.models", reason=reason), pytest.importorskip(
        "timm", reason=reason
    )


def fitting(network: Network, *sides: int) -> tuple[int, int]:
    """The nearest height and width that the network takes, of transformers at least three patches."""
    least = max(network.least, 3 * network.multiple if network.multiple > 1 else 0)
    height, width = (max(side, least) // network.multiple * network.multiple for side in sides)
    return height, width


def filled(name: str, network: Network, size: int) -> Any:
    """The network in evaluation, its weights drawn by the names that ours read."""
    import torch

    theirs = MAKERS[name](*libraries(), size)
    values = {key: value for key, value in theirs.state_dict().items() if value.is_floating_point()}
    wanted = needed(lambda w, x: network.features(w, x, network.layers[-1]), (1, size, size, 3))
    renamed = matching._renamed(network, {key: np.asarray(key) for key in values}, set(wanted))
    for ours, key in renamed.items():
        value = values[str(key)]
        value.copy_(torch.from_numpy(drawn(ours, tuple(value.shape))))
    return theirs.eval()


def logits(theirs: Any, images: np.ndarray) -> np.ndarray:
    """[B, classes] of images [B, H, W, 3]."""
    import torch

    with torch.no_grad():
        return theirs(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
