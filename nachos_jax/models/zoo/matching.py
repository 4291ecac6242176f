"""Key by key: the weights that a network needs and those that a file holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.models.zoo.files import Contents
from nachos_jax.models.zoo.network import Network
from nachos_jax.models.zoo.place import Shape, needed

_COUNTS = "num_batches_tracked"
"""A counter of PyTorch's batch norm, which no prediction reads."""
_SHOWN = 5


@dataclass(frozen=True)
class Matched:
    """The weights of a network.

    Attributes:
        arrays: float32 by the names that the network reads.
        classes: outputs of the classifier in the file, 0 where it has none.
        report: what matched, in a sentence.
    """

    arrays: Mapping[str, np.ndarray]
    classes: int
    report: str


def match(network: Network, contents: Contents) -> Matched:
    """The weights of the file under the names of the network.

    Raises:
        UsageError: weights that are missing, left over, of another shape, or not finite; it names them.
    """
    size = network.expected.size
    wanted = needed(lambda w, x: network.features(w, x, network.layers[-1]), (1, size, size, 3))
    arrays = _renamed(network, contents.arrays, set(wanted))
    head = f"{network.head}."
    classifier = {name for name in arrays if name.startswith(head)}
    missing = [name for name in wanted if name not in arrays]
    over = [name for name in arrays if name not in wanted and name not in classifier]
    arrays = {name: _fitting(value, wanted.get(name, ())) for name, value in arrays.items()}
    told = f"{contents.path} does not fit the backbone: of {len(wanted)} weights"
    if missing or over:
        raise UsageError(
            f"{told} {len(missing)} are missing{_listed(missing)} and {len(over)} of the file's are left "
            f"over{_listed(over)}; name the network that the file was saved from in config.backbone.name."
        )
    wrong = [
        f"{name} is {list(arrays[name].shape)}, not {list(shape)}"
        for name, shape in wanted.items()
        if not _same(arrays[name].shape, shape)
    ]
    if wrong:
        raise UsageError(
            f"{told} {len(wrong)} have another shape{_listed(wrong)}; name the network that the file was "
            "saved from in config.backbone.name."
        )
    broken = [name for name in wanted if not np.isfinite(arrays[name]).all()]
    if broken:
        raise UsageError(f"{told} {len(broken)} hold NaN or infinity{_listed(broken)}: fetch the file again.")
    classes = len(arrays[f"{head}weight"]) if f"{head}weight" in arrays else 0
    ignored = sum(name.endswith(_COUNTS) for name in contents.arrays)
    report = (
        f"{len(wanted)} weights matched by name and shape, none missing, none left over; "
        f"{len(classifier)} of the classifier in the file ({classes} classes), {ignored} counters not read"
    )
    taken = [*wanted, *sorted(classifier)]
    # In one piece, because safetensors writes an array that lies otherwise in memory in the wrong order.
    whole = {name: np.ascontiguousarray(arrays[name], np.float32) for name in taken}
    return Matched(whole, classes, report)


def _renamed(network: Network, arrays: Mapping[str, np.ndarray], wanted: set[str]) -> dict[str, np.ndarray]:
    """The arrays under the names of the library or port whose names fit best."""
    best: dict[str, np.ndarray] = {}
    for rename in network.renames:
        told = {rename(name): value for name, value in arrays.items() if not name.endswith(_COUNTS)}
        told.pop("", None)
        if not best or len(wanted & set(told)) > len(wanted & set(best)):
            best = told
    return best


def _fitting(array: np.ndarray, wanted: Shape) -> np.ndarray:
    """A scale of channels without the axes of one pixel that torchvision gives it."""
    return array[..., 0, 0] if len(wanted) == 1 and array.shape[1:] == (1, 1) else array


def _same(shape: Sequence[int], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(b in (None, a) for a, b in zip(shape, wanted, strict=True))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f" ({', '.join(names[:_SHOWN])}{more})" if names else ""
