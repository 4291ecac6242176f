"""What the names of classes give away: grades in no known order, a positive class that is healthy."""

from __future__ import annotations

import re

from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data.targets import Targets
from nachos_jax.tasks import registry as tasks

ORDERED = ("kappa", "mean_class_distance")
"""Metrics to which the order of classes means something."""
_NEGATED = re.compile("(no|non|not|un|in|without)(?=.)")
NOT = frozenset(("no", "non", "not", "without", "absent", "absence", "minus", "un", "free"))
HEALTHY = frozenset(
    ("normal", "normals", "negative", "negatives", "neg", "control", "controls", "ctrl", "ctl", "healthy")
    + ("benign", "unaffected", "uninfected", "unremarkable", "false", "background", "hc", "cn", "nc", "wnl")
    + ("norm", "nevus", "nevi", "naevus", "naevi", "intact", "volunteer", "volunteers", "asymptomatic")
    + ("physiological", "nothing", "well", "clear", "gesund", "sain", "sano", "normale")
    + ("nofinding", "nofindings", "notumor", "notumour", "nodisease", "nonmalignant", "noncovid", "health")
)


def check_order(run: RunConfig, targets: Targets) -> None:
    """Refuses what needs an order of classes that are sorted by the alphabet.

    Raises:
        UsageError: likewise.
    """
    if targets.ordered or len(targets.names) < 3:
        return
    used = [f"config.search.metric = {run.search.metric!r}"] if run.search.metric in ORDERED else []
    if "classification.loss" in run.defaults and "cumulative_link" in run.candidates("classification.loss"):
        used.append("the loss 'cumulative_link'")
    if used:
        raise UsageError(
            f"{' and '.join(used)} needs the order of the classes, and {', '.join(map(repr, targets.names))} "
            "is only their alphabetical one: list them from lowest to highest in config.data.classes (in "
            "Python: `classes`), or choose another metric or loss."
        )


def warnings(run: RunConfig, targets: Targets) -> list[str]:
    """A sentence when decisions would be about the healthy class because nobody has said otherwise."""
    if run.report.positive or tasks.of(run.task).outcome != "classes" or len(targets.names) != 2:
        return []
    other, positive = targets.names
    if not sounds_healthy(positive, other):
        return []
    return [
        f"Sensitivity, specificity and thresholds are about class {positive!r}, the second of two, which is "
        f"called like the healthy one: set config.report.positive = {other!r} if that is what is looked for."
    ]


def sounds_healthy(name: str, other: str) -> bool:
    """Whether a class is by its name the healthy one of two, as "no finding", "normal" or "non_covid"."""
    told, beside = _words(name), _words(other)
    if told == beside:  # as "+" and "-", "HER2+" and "HER2-"
        return name.endswith(("-", "\N{MINUS SIGN}")) and other.endswith("+")
    if not HEALTHY.intersection(beside) and _NEGATED.sub("", "".join(told), 1) == "".join(beside):
        return "".join(told) != "".join(beside)
    return sum((word in HEALTHY) + (word in NOT) for word in told) % 2 == 1


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
