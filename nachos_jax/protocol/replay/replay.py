"""Plays search policies on recorded learning curves: the conductor itself, with a crew that knows them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

from nachos_jax.config.run_config import RunConfig
from nachos_jax.configs import base
from nachos_jax.core.types import TrialScore
from nachos_jax.protocol.design.selection import score_trial, select
from nachos_jax.protocol.design.study import Ending, Study
from nachos_jax.protocol.replay.parts import Answers, InOrder, Memory
from nachos_jax.protocol.replay.recorded import Recorded, key, pair
from nachos_jax.protocol.run.configure import checked
from nachos_jax.protocol.run.progress import Progress
from nachos_jax.protocol.study.conduct import Conductor
from nachos_jax.records.schema import Outcome
from nachos_jax.search.searcher import Searcher


def replay(recorded: Recorded, policy: str | None = None) -> dict[str, Any]:
    """What a policy would have trained and chosen.

    Args:
        recorded: every trial on all inner folds.
        policy: its name; None for that of the default config.

    Returns:
        epochs_used, epochs_full: of all studies, each alone, under the policy and without one.
        epochs_used_with_pairs, epochs_full_with_pairs: with each fit that two studies ask for trained once.
        fraction: epochs_used / epochs_full; fraction_with_pairs: epochs_used_with_pairs / epochs_full.
        mean_regret, max_regret: full inner score of the best trial less that of the selected one, over outer
            folds; mean_regret_in_se, max_regret_in_se: in standard errors, over the inner folds, of the best
            trial; null where one of them is zero.
        agreement: share of outer folds in which the selected trial is the one that would have been selected.

    Raises:
        UsageError: there is no such policy.
    """
    config = _config(recorded, policy)
    whole = {t: full_scores(recorded, t) for t in recorded.trials}
    alone = {t: play(recorded, config, [t], t, _in_order(recorded)) for t in recorded.trials}
    together, memory = play(recorded, config, list(recorded.trials), None, _in_order(recorded))
    if any(memory.outcomes != {**memory.outcomes, **kept.outcomes} for _, kept in alone.values()):
        raise RuntimeError("a study has chosen otherwise beside the others than alone")
    used, full = sum(epochs for epochs, _ in alone.values()), recorded_epochs(recorded)
    return {
        "policy": config.search.policy,
        "trials": max(len(trials) for trials in recorded.trials.values()),
        "outer_folds": len(recorded.trials),
        "inner_folds": max(len(inner) for inner in recorded.inner.values()),
        "epochs_used": used,
        "epochs_full": full,
        "epochs_used_with_pairs": together,
        "epochs_full_with_pairs": _epochs_with_pairs(recorded),
        "fraction": used / full,
        "fraction_with_pairs": together / full,
        **_regrets(whole, memory.outcomes, recorded.rule),
    }


def _config(recorded: Recorded, policy: str | None) -> RunConfig:
    values: Any = base.get_config()
    values.data.source, values.search.searcher, values.search.rule = "arrays", "random", recorded.rule
    values.search.trials = max(len(trials) for trials in recorded.trials.values())
    values.training.epochs, values.training.patience = recorded.limit.epochs, recorded.limit.patience
    values.training.min_delta = recorded.limit.min_delta
    if policy is not None:
        values.search.policy = policy
    return checked(values)


def play(
    recorded: Recorded,
    config: RunConfig,
    outer: Sequence[int],
    alone: int | None,
    searcher: Callable[[int | None], Searcher] | None = None,
) -> tuple[int, Memory]:
    """Conducts studies whose fits are recorded.

    Args:
        recorded: what every fit comes to.
        config: the policy, and the searcher where none is given.
        outer: the outer folds whose studies are conducted.
        alone: the only study, whose fits watch its inner folds alone; None where several share their fits.
        searcher: who proposes the trials of an outer fold; None for what the config names.

    Returns:
        Epochs trained, and the ends of the studies.
    """
    memory, answers = Memory(), Answers(recorded, alone)
    run = cast(Any, SimpleNamespace(config=config, store=memory, census=()))
    studies = [Study(t, recorded.inner[t], "", config, f"Outer fold {t}", keep_last=False) for t in outer]
    ending = Ending(lambda *_: [], lambda *_: None, lambda _: False)
    Conductor(run, studies, answers, ending, Progress("replay", quiet=True), searcher).conduct()
    return answers.epochs, memory


def _in_order(recorded: Recorded) -> Callable[[int | None], Searcher]:
    return lambda outer: InOrder(recorded.trials[outer or 0])


def full_scores(recorded: Recorded, outer: int) -> list[TrialScore]:
    """The scores of all trials of a study without a policy."""
    found = []
    for number, hparams in enumerate(recorded.trials[outer]):
        curves = {v: recorded.of(outer, number, v) for v in recorded.inner[outer]}
        fits = [key(hparams, pair(outer, v)) for v in curves]
        parameters = max(recorded.parameters.get(fit, 0) for fit in fits)
        found.append(score_trial(curves, parameters))
    return found


def _epochs_with_pairs(recorded: Recorded) -> int:
    """Epochs of all studies without a policy, each fit trained once."""
    return play(recorded, _config(recorded, "full"), list(recorded.trials), None, _in_order(recorded))[0]


def recorded_epochs(recorded: Recorded) -> int:
    """Epochs of all studies, each alone and without a policy."""
    return sum(
        len(recorded.of(t, number, v).loss)
        for t, trials in recorded.trials.items()
        for number in range(len(trials))
        for v in recorded.inner[t]
    )


def _regrets(
    whole: dict[int, list[TrialScore]], outcomes: dict[int | None, Outcome], rule: str
) -> dict[str, float | None]:
    regrets, in_se, agreed = [], [], []
    for t, scores in whole.items():
        best, chosen = select(scores), select(scores, rule)
        if best is None:
            continue
        top, picked = scores[best], scores[outcomes[t].selected].score
        assert top.score is not None
        assert top.spread is not None
        regret = top.score - picked if picked is not None else math.inf
        error = top.spread / math.sqrt(len(top.by_fold))
        regrets.append(regret)
        in_se.append(regret / error if error else 0.0 if regret == 0 else math.inf)
        agreed.append(outcomes[t].selected == chosen)
    return {
        "mean_regret": _finite(sum(regrets) / len(regrets)),
        "max_regret": _finite(max(regrets)),
        "mean_regret_in_se": _finite(sum(in_se) / len(in_se)),
        "max_regret_in_se": _finite(max(in_se)),
        "agreement": sum(agreed) / len(agreed),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
