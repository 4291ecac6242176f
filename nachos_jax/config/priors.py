"""config.search.priors: configurations of the user that a search tries before any that it draws."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import Hyperparameter, by_name
from nachos_jax.core.space import Dimension
from nachos_jax.core.types import HParams, HParamValue

WHERE = "config.search.priors"


def parse(
    priors: Sequence[Mapping[str, Any]],
    defaults: HParams,
    table: Sequence[Hyperparameter],
    dimensions: Sequence[Dimension],
    trials: int,
) -> tuple[HParams, ...]:
    """Checks the priors.

    Args:
        priors: values by hyperparameter; what one does not name keeps the value of the config.
        defaults: the config's value of every hyperparameter.
        table: the hyperparameters of the run's task.
        dimensions: those that are searched.
        trials: of a study, the default configuration included.

    Returns:
        The priors, each value in the type of its row.

    Raises:
        UsageError: more priors than trials, a hyperparameter that is unknown or not searched, a value of the
            wrong type or outside the space: what the engine compiles covers the space alone.
    """
    if len(priors) >= trials:
        raise UsageError(
            f"{WHERE} holds {len(priors)} configurations, and config.search.trials = {trials} leaves room "
            f"for {trials - 1} beside the default: raise config.search.trials to {len(priors) + 1} at least."
        )
    rows, searched = by_name(table), {dimension.name: dimension for dimension in dimensions}

    def checked(name: str, value: Any, where: str) -> HParamValue:
        if name not in rows:
            close = difflib.get_close_matches(str(name), rows, 1, 0.5)
            hint = f"did you mean {close[0]!r}?" if close else "config.search.space lists them all."
            raise UsageError(f"{where}: there is no hyperparameter of this name; {hint}")
        value = rows[name].settled(value, where)
        if value == defaults[name] or (name in searched and searched[name].holds(value)):
            return value
        place = f"config.search.space.{name}"
        cure = f"widen {place} to hold it" if name in searched else f"search it in {place}"
        why = "lies outside of what is searched" if name in searched else "is not searched"
        raise UsageError(f"{where} = {value!r} {why}: {cure}, or leave it out.")

    return tuple(
        {name: checked(name, value, f"{WHERE}[{place}][{name!r}]") for name, value in prior.items()}
        for place, prior in enumerate(priors)
    )
