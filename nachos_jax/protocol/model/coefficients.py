"""The coefficients of a linear model, on features as they are measured: the standardisation is folded in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nachos_jax.records.cells import csv_text

INTERCEPT = "(intercept)"


def table(arrays: Mapping[str, np.ndarray], features: Sequence[str], names: Sequence[str]) -> str:
    """CSV with a row a feature, after the intercept, and two columns a name.

    NAME is what one unit of the feature adds to its output, NAME_per_sd what a standard deviation adds. Log
    odds of one class against another are differences of their outputs.

    Args:
        arrays: of the weights file of a `linear` network.
        features: names of the D columns.
        names: of the outputs: classes, labels, the number.
    """
    scaled, bias = (arrays[f"params/{name}"].astype(np.float64) for name in ("kernel", "bias"))
    if "task/target_sd" in arrays:  # a number, which is predicted in its standard deviations
        scaled, bias = scaled * arrays["task/target_sd"], bias * arrays["task/target_sd"]
        bias = bias + arrays["task/target_mean"]
    raw = scaled / arrays["pixel_sd"].astype(np.float64)[:, None]
    values = np.vstack([bias - arrays["pixel_mean"] @ raw, raw])
    return _written([INTERCEPT, *features], names, values, np.vstack([bias, scaled]))


def of_columns(arrays: Mapping[str, np.ndarray], features: Sequence[str], names: Sequence[str]) -> str:
    """The same of the columns beside images, whose intercept belongs to the image.

    Args:
        arrays: of the weights file of a network that is given both.
        features: names of the D columns.
        names: of the outputs.
    """
    scaled = arrays["params/columns/kernel"].astype(np.float64) * arrays.get("task/target_sd", 1.0)
    raw = scaled / arrays["pixel_sd"][-len(features) :].astype(np.float64)[:, None]
    return _written(features, names, raw, scaled)


def _written(features: Sequence[str], names: Sequence[str], values: np.ndarray, per_sd: np.ndarray) -> str:
    rows = [
        [feature, *(f"{x:.9g}" for pair in zip(values[k], per_sd[k], strict=True) for x in pair)]
        for k, feature in enumerate(features)
    ]
    return csv_text([["feature", *(text for name in names for text in (name, f"{name}_per_sd"))], *rows])
