"""torchvision and timm, where they are installed: networks with random weights, statistics and affine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

_KEPT: list[Any] = []


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
    pytest.importorskip("torchvision", reason=reason)
    return pytest.importorskip("torchvision.models"), pytest.importorskip("timm", reason=reason)


def filled(network: Any, seed: int) -> Any:
    """The network in evaluation, with random weights whose signal neither dies nor grows."""
    import torch

    draws = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.copy_(
                torch.from_numpy(
                    drawn(
                        name,
                        tuple(value.shape),
                        np.random.default_rng(int(torch.randint(2**31, (1,), generator=draws))),
                    )
                )
            )
    return network.eval()


def drawn(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Random weights by the kind that their name tells."""
    normal = rng.standard_normal(shape).astype(np.float32)
    if name.endswith("running_var"):
        return rng.uniform(0.25, 1.0, shape).astype(np.float32)
    if len(shape) > 1 and not name.endswith(("pos_embed", "pos_embedding", "token")):
        return normal * np.float32((2.0 / np.prod(shape[1:])) ** 0.5)
    if name.endswith(("weight", "gamma", "layer_scale")):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return 0.2 * normal
