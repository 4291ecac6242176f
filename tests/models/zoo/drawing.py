"""Random weights by their name and shape alone, so that both sides of an equality can draw them."""

from __future__ import annotations

import re
import zlib

import numpy as np


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights of a kind that the name tells; the signal neither dies nor grows in deep networks."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return rng.uniform(0.8, 1.8, shape).astype(np.float32)
    if name.endswith("gamma") or (name.endswith("weight") and len(shape) == 1):
        # Smaller at the end of a branch of the 40 blocks of EfficientNetV2 that have a way around it, where
        # roundings grow in PyTorch too.
        top = 0.6 if re.search(r"\.\d\.[1-9]\d*\.block\.[13]\.1\.weight$", name) else 1.5
        return rng.uniform(top / 3, top, shape).astype(np.float32)
    normal = rng.standard_normal(shape).astype(np.float32)
    if len(shape) > 1 and name.endswith("weight"):
        # Of squeeze-and-excitation small, so that no gate is open or shut by a rounding.
        gain = 0.02 if shape[2:] == (1, 1) and re.search(r"(\.se\.|\.fc[12])", name) else 2.0
        return normal * np.float32((gain / np.prod(shape[1:])) ** 0.5)
    open_gate = 2.0 if re.search(r"(conv_expand|\.fc2)\.bias$", name) else 0.0
    return np.float32(0.2) * normal + np.float32(open_gate)


def images(*size: int) -> np.ndarray:
    """Two images [2, H, W, 3], as if they were normalised."""
    return np.random.default_rng(0).standard_normal((2, *size, 3)).astype(np.float32)
