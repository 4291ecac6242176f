"""Hyperparameters that several tasks have: each stands in the rows of every task that knows it."""

from __future__ import annotations

from nachos_jax.core.hparams import Hyperparameter

LABEL_SMOOTHING = Hyperparameter(
    "label_smoothing",
    "float",
    0.0,
    0.5,
    default=0.0,
    tasks=("classification", "multilabel"),
    meaning="mass moved to the uniform distribution",
)
CLASS_WEIGHT_EXPONENT = Hyperparameter(
    "class_weight_exponent",
    "float",
    0.0,
    4.0,
    default=0.0,
    tasks=("classification", "multilabel"),
    meaning="class weights: 0 = none, 1 = balanced, between = softened",
)
