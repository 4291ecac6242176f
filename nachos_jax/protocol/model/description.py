"""model.json: what a description must hold for its model to be built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nachos_jax.data import features, sources
from nachos_jax.data.table import JOINED
from nachos_jax.data.volumes import WAYS, WHOLE

SIDE = 2**16
"""Pixels along a side, or channels, beyond which no model goes."""

SIDES = ("depth", "height", "width")
"""Of a case, where its preparation has them."""


def check(description: Mapping[str, Any]) -> None:
    """Raises ValueError naming the first field needed that is missing or of another kind."""
    needed = {"classes": list, "channels": int, "hparams": dict, "precision": str, "preparation": dict}
    for name, kind in {**needed, "weights": list, "weights_sha256": list}.items():
        if not isinstance(description.get(name), kind) or not description[name]:
            raise ValueError(f"its field {name!r} is missing or empty")
    preparation = description["preparation"]
    if sources.is_vectors(preparation):
        features.check_preparation(preparation, description["channels"])
        sizes = [description["channels"]]
    else:
        for name in ("height", "width", "channels", "aspect"):
            if name not in preparation:
                raise ValueError(f"its preparation has no {name!r}")
        sizes = [description["channels"], *(preparation[name] for name in SIDES if name in preparation)]
        _check_volume(description)
    _check_joined(preparation.get("images", preparation))
    if not all(type(size) is int and 0 < size <= SIDE for size in sizes):
        raise ValueError(f"its channels, height and width are {sizes}")
    if not all(type(name) is str for name in description["classes"]):
        raise ValueError("its classes are no names")
    if len(description["weights"]) != len(description["weights_sha256"]):
        raise ValueError("it has not one hash for each weights file")
    if any(type(name) is not str or Path(name).name != name for name in description["weights"]):
        raise ValueError("its weights lie outside of its folder")


def _check_joined(preparation: Mapping[str, Any]) -> None:
    """Raises ValueError where what stands beside the images is damaged."""
    if JOINED in preparation:
        features.check_preparation({**preparation, "features": preparation[JOINED]}, len(preparation[JOINED]))


def _check_volume(description: Mapping[str, Any]) -> None:
    """Raises ValueError where what is said of volumes does not fit together."""
    if "patch" in description:  # of masks, whose cases keep their shapes
        return
    preparation = description["preparation"]
    volume = preparation.get("volume", "")
    if volume not in ("", *WAYS) or ("depth" in preparation) != (volume == WHOLE):
        raise ValueError(f"its volume is {volume!r}")
