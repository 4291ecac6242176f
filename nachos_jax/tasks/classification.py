"""Classification: loss on the device, class weights and scores on the host."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from nachos_jax.metrics import classification as metrics


def loss(logits: jax.Array, labels: jax.Array, class_weights: jax.Array, smoothing: jax.Array) -> jax.Array:
    """Weighted cross-entropy with label smoothing, mean over the batch.

    Args:
        logits: [B, C] float32.
        labels: [B] int32.
        class_weights: [C] float32.
        smoothing: scalar in [0, 0.5]: mass moved from the label to the uniform distribution
            (Szegedy et al. 2016, eq. 7).

    Returns:
        Scalar: sum of weighted losses over sum of weights, as PyTorch's cross-entropy takes its mean.
    """
    log_p = jax.nn.log_softmax(logits)
    picked = jnp.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    each = -(1.0 - smoothing) * picked - smoothing * jnp.mean(log_p, axis=1)
    weights = class_weights[labels]
    return jnp.sum(weights * each) / jnp.sum(weights)


def class_weights(counts: np.ndarray, exponent: float) -> np.ndarray:
    """Weights that make up for imbalance: (N / (C n_c))^exponent.

    Args:
        counts: [C] training cases of each class.
        exponent: 0 gives ones, 1 scikit-learn's "balanced".

    Returns:
        [C] float32; a class without training cases gets 1 (it is never drawn).
    """
    seen = counts > 0
    balanced = counts.sum() / (max(int(seen.sum()), 1) * np.where(seen, counts, 1))
    return np.where(seen, balanced**exponent, 1.0).astype(np.float32)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """[N, C] float64 softmax of [N, C] logits; rows with NaN stay NaN."""
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, and says what it should
        shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-np.inf)
        exponents = np.exp(shifted)
        return exponents / exponents.sum(axis=1, keepdims=True)


def watched_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross-entropy of a watched fold, unweighted and unsmoothed; NaN when any logit is.

    Args:
        logits: [n, C] float32.
        labels: [n] int32.
    """
    value = metrics.cross_entropy_from_logits(labels, logits).value
    return float("nan") if value is None else value


def watched_score(
    metric: str, logits: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]
) -> float | None:
    """Selection metric of a watched fold, turned so that higher is better; None when undefined."""
    value = metrics.evaluate(metric, labels, probabilities(logits), classes).value
    if value is None:
        return None
    return value if metrics.METRICS[metric].higher_is_better else -value
