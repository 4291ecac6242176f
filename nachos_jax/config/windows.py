"""config.data.voi: the values of interest, which become the grey levels of an image."""

from __future__ import annotations

import re

from nachos_jax.core.errors import UsageError

OF_FILE = "file"
CT = {"lung": (-600.0, 1500.0), "brain": (40.0, 80.0), "bone": (400.0, 1800.0), "soft": (40.0, 400.0)}
"""Centre and width in Hounsfield units, as radiologists use them. Models name them: none ever changes."""
_NUMBER = r"([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)"
_PAIR = re.compile(rf"\s*[(\[]?\s*{_NUMBER}\s*,\s*{_NUMBER}\s*[)\]]?\s*")


def window(voi: str) -> tuple[float, float] | None:
    """Centre and width that a value of the field stands for; None of "" and "file".

    Raises:
        UsageError: it is none of the words, and no two numbers of which the second is above 0.
    """
    if voi in ("", OF_FILE):
        return None
    if voi in CT:
        return CT[voi]
    found = _PAIR.fullmatch(voi)
    if found is None or float(found[2]) <= 0:
        words = ", ".join(map(repr, ("", OF_FILE, *CT)))
        raise UsageError(
            f"config.data.voi = {voi!r}: must be one of {words}, or centre and width (above 0), "
            "like '(40, 80)'."
        )
    return float(found[1]), float(found[2])


def spelled(voi: str) -> str:
    """The same value in one spelling, for caches and models."""
    found = None if voi in CT else window(voi)
    return voi if found is None else f"({found[0]:.15g}, {found[1]:.15g})"
