"""Truth and predictions of fake runs of other tasks than classification."""

from __future__ import annotations

import numpy as np

LABELS = {"task": "multilabel", "classes": ("effusion", "nodule", "oedema"), "metric": "macro_auc"}
NUMBER = {"task": "regression", "classes": ("age",), "metric": "mae"}
MASKS = {"task": "segmentation", "classes": ("liver", "tumour"), "metric": "mean_dice"}
"""Changes of FakeRun that make a run of the task."""


def truth(task: str, labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """[N, L] labels of which some are not known, [N] numbers or [N, K] volumes, from class numbers [N]."""
    rng = np.random.default_rng([seed, 5])
    if task == "segmentation":
        volumes = np.round(np.exp(rng.normal(7.0, 0.5, (len(labels), count))))
        return np.where((labels == 0)[:, None] & (np.arange(count) > 0), 0.0, volumes)
    if task == "regression":
        return np.round(rng.normal(52.0, 14.0, len(labels)), 1)
    there = (np.eye(count)[labels] + (rng.uniform(size=(len(labels), count)) < 0.15)) > 0
    return np.where(rng.uniform(size=there.shape) < 0.08, np.nan, there.astype(np.float64))


def outputs(task: str, of: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[n, S] float32 outputs of a network that has learnt something."""
    if task == "segmentation":
        right = of * rng.uniform(0.6, 0.95, of.shape)
        wrong = np.where(rng.uniform(size=of.shape) < 0.7, rng.uniform(0, 400, of.shape), 0.0)
        seen = np.stack([right, wrong, of - right], axis=-1).reshape(len(of), -1)
        return np.concatenate([seen, rng.uniform(size=(len(of), 1))], axis=1).astype(np.float32)
    if task == "regression":
        return (10.0 + 0.8 * of + rng.normal(0, 6.0, of.shape)).astype(np.float32)[:, None]
    return (2.4 * np.nan_to_num(of, nan=0.5) - 1.4 + rng.normal(0, 1, of.shape)).astype(np.float32)


def recorded(task: str, of: np.ndarray, values: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of an outer test."""
    if task == "segmentation":
        return {"reference": of, "volumes": values[:, :-1].astype(np.float64).reshape(*of.shape, 3)}
    if task == "regression":
        return {"targets": of, "predictions": values[:, 0].astype(np.float64)}
    return {"targets": of, "probabilities": 1 / (1 + np.exp(-values.astype(np.float64)))}


def counted(task: str, of: np.ndarray, names: tuple[str, ...]) -> dict[str, int]:
    """The counts of run.json."""
    if task == "regression":
        return {}
    if task == "segmentation":
        return dict(zip(names, (of > 0).sum(axis=0).tolist(), strict=True))
    if task == "classification":
        return dict(zip(names, np.bincount(of, minlength=len(names)).tolist(), strict=True))
    return dict(zip(names, np.nansum(of, axis=0).astype(int).tolist(), strict=True))
