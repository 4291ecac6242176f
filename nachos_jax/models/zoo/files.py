"""Files of weights as the field keeps them: .safetensors, and PyTorch's .pth without running its code."""

from __future__ import annotations

import hashlib
import os
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import expanded

PYTORCH = (".pth", ".pt", ".bin")
SUFFIXES = (".safetensors", *PYTORCH)
_INSIDE = ("state_dict", "model", "model_state_dict")
"""Under which a checkpoint of a training keeps the weights among other things."""
_AROUND = ("module.", "model.")
"""Before every name, where a network was wrapped when it was saved."""


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes:
        path: of the file.
        sha256: of its bytes.
        arrays: by the names in the file.
    """

    path: Path
    sha256: str
    arrays: Mapping[str, np.ndarray]


def read(path: str, source: str) -> Contents:
    """Reads the weights of a file; no code in it is run and nothing is downloaded.

    Args:
        path: of the file.
        source: where the field finds it, for the message when it is missing.

    Raises:
        UsageError: no file, no file of weights, or it holds other things than arrays.
    """
    file = Path(expanded(path))
    if not os.path.isfile(file):
        raise UsageError(
            f"config.backbone.weights = {path!r}: there is no such file. Weights are never downloaded "
            f"and never replaced by random ones: fetch them ({source}) and name the file."
        )
    if file.suffix.lower() not in SUFFIXES:
        raise UsageError(f"config.backbone.weights = {path!r}: must end in {', '.join(SUFFIXES)}.")
    data = file.read_bytes()
    arrays = _pytorch(file) if file.suffix.lower() in PYTORCH else _safetensors(file, data)
    return Contents(file, hashlib.sha256(data).hexdigest(), _unwrapped(arrays))


def _safetensors(file: Path, data: bytes) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise UsageError(f"{file} is no file of weights, or is damaged ({error}): fetch it again.") from error


def _pytorch(file: Path) -> dict[str, np.ndarray]:
    import torch  # late: it takes seconds

    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # of old pickles, which are read or refused all the same
            found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UsageError(
            f"{file} holds more than weights, and nothing else in it is run or read: save the weights alone, "
            "safetensors.torch.save_file(network.state_dict(), 'weights.safetensors')."
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(f"{file} is no file of PyTorch, or is damaged: fetch it again.") from error
    for name in _INSIDE:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not all(torch.is_tensor(value) for value in found.values()):
        raise UsageError(
            f"{file} holds no weights by name: save network.state_dict(), not the network itself."
        )
    return {name: _array(value) for name, value in found.items()}


def _array(tensor: Any) -> np.ndarray:
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def _unwrapped(arrays: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    for around in _AROUND:
        if arrays and all(name.startswith(around) for name in arrays):
            arrays = {name.removeprefix(around): value for name, value in arrays.items()}
    return arrays
