"""A search setting with conditional, continuous, whole and chosen hyperparameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nachos_jax.core import space
from nachos_jax.core.hparams import PREPARATION, Hyperparameter, by_name, of_config, whole_table
from nachos_jax.core.types import Trial
from nachos_jax.search.searcher import Heard, Proposal, SearchSetting
from nachos_jax.tasks.classification import TASK as CLASSIFICATION

PREPARED = {row.name: row.default for row in PREPARATION if row.default is not None}
_WHOLE = whole_table(
    CLASSIFICATION.hyperparameters,
    (
        Hyperparameter("architecture", "choice", choices=("cnn", "resnet"), static=True),
        Hyperparameter("cnn.width", "integer", 1, 1024, when=("architecture", ("cnn",))),
        Hyperparameter("resnet.depth", "choice", choices=(18, 34), when=("architecture", ("resnet",))),
    ),
)
TABLE = of_config(_WHOLE, PREPARED)
DEFAULTS = dict.fromkeys((row.name for row in TABLE), 0.0) | {
    **PREPARED,
    "normalisation": "training",
    "batch_size": 64,
    "optimizer": "sgd",
    "learning_rate": 0.02,
    "momentum": 0.9,
    "nesterov": True,
    "beta1": 0.9,
    "beta2": 0.999,
    "schedule": "constant",
    "architecture": "cnn",
    "classification.loss": "cross_entropy",
    "cnn.width": 16,
    "resnet.depth": 18,
}
MIXED = {
    "batch_size": "choice(16, 32, 64)",
    "optimizer": "choice('sgd', 'adam', 'adamw')",
    "learning_rate": "log(1e-4, 1.0)",
    "momentum": "uniform(0.5, 0.99)",
    "nesterov": "choice(True, False)",
    "beta1": "uniform(0.5, 0.99)",
    "weight_decay": "log(1e-6, 1e-2)",
    "architecture": "choice('cnn', 'resnet')",
    "cnn.width": "log_integer(4, 128)",
    "resnet.depth": "choice(18, 34)",
}


def make_setting(texts: Mapping[str, str], study: int | None = 0, **more) -> SearchSetting:
    """The setting of the space in these texts; `more` overrides seed, initial, priors and single defaults."""
    rows = by_name(TABLE)
    dimensions = tuple(space.parse(text, rows[name], name) for name, text in texts.items())
    seed, initial, priors = more.pop("seed", 0), more.pop("initial", 6), more.pop("priors", ())
    return SearchSetting({**DEFAULTS, **more}, dimensions, TABLE, seed, study, initial, priors)


def record(
    history: list, proposals: list[Proposal], score: Callable[[Mapping], float | None] | None = None
) -> list:
    """The history with the proposals as trials: running without `score`, failed where it gives None."""
    history = list(history)
    for proposal in proposals:
        trial = Trial(0, len(history), proposal.hparams, proposal.origin)
        history.append(Heard(trial) if score is None else ended(trial, score(proposal.hparams)))
    return history


def ended(trial: Trial, score: float | None) -> Heard:
    """What is heard of a finished trial with this score, of a failed one for None."""
    return Heard(trial, score, failed=score is None)


def constant(value: Any) -> Callable[..., Any]:
    """A function that gives this value whatever it is asked."""

    def answer(*_: object) -> Any:
        return value

    return answer
