"""Early stopping against a plain reading of its rule, one curve at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from nachos_jax.core import curves
from nachos_jax.core.types import EpochLimit, Fit
from nachos_jax.engine import watch
from nachos_jax.records.schema import Curve

LOSS = st.one_of(
    st.integers(0, 6).map(lambda n: n / 4),  # few values, so that ties and small steps are common
    st.floats(0, 3),
    st.sampled_from([math.nan, math.inf]),
)
LIMITS = st.builds(EpochLimit, st.integers(1, 12), st.integers(1, 5), st.sampled_from([0.0, 0.25, 0.3, 1.0]))
SCORES = st.one_of(st.none(), st.floats(0, 1))
EPOCHS = st.lists(st.tuples(LOSS, LOSS, SCORES, LOSS, SCORES), min_size=12, max_size=12)


def fit(limit: EpochLimit, left_out: tuple[int, ...] = (2, 5)) -> Fit:
    return Fit({"learning_rate": 0.1}, left_out, 0, limit, "cases")


def plain_end(training: Sequence[float], losses: Sequence[float], limit: EpochLimit) -> tuple[int, str]:
    """Epochs that a watcher sees and why it stops, written as Keras' EarlyStopping is."""
    best, wait = math.inf, 0
    for epoch in range(1, limit.epochs + 1):
        loss = losses[epoch - 1]
        if not math.isfinite(training[epoch - 1]) or not math.isfinite(loss):
            return epoch, "nan"
        wait += 1
        if loss < best - limit.min_delta:
            best, wait = loss, 0
        assert limit.patience is not None
        if wait >= limit.patience:
            return epoch, "patience"
    return limit.epochs, "limit"


def follow(given_fit: Fit, epochs: Sequence[tuple]) -> list[watch.FitProgress]:
    """Every state of a fit whose two folds see the columns of `epochs`, until it has ended."""
    states = [watch.begin(given_fit)]
    for training, loss_a, score_a, loss_b, score_b in epochs:
        if states[-1].ended:
            break
        both = dict(zip(given_fit.left_out, ((loss_a, score_a), (loss_b, score_b)), strict=False))
        seen = {fold: both[fold] for fold in states[-1].watching}
        states.append(watch.after_epoch(states[-1], training, seen))
    return states


def alone(epochs: Sequence[tuple], side: int) -> list[tuple]:
    return [(row[0], *row[1 + 2 * side : 3 + 2 * side], None, None) for row in epochs]


@given(LIMITS, EPOCHS)
@example(EpochLimit(12, 2, 0.0), [(1.0, 0.5, 0.1, math.nan, 0.2)] * 12)
@example(EpochLimit(1, 1, 0.0), [(1.0, 0.5, None, 0.5, 0.5)] * 12)
def test_a_watcher_ends_where_the_plain_rule_ends(limit, epochs):
    last = follow(fit(limit), epochs)[-1]
    training = [row[0] for row in epochs]
    for side, fold in enumerate((2, 5)):
        losses = [row[1 + 2 * side] for row in epochs]
        length, why = plain_end(training, losses, limit)
        curve = last.watchers[fold]
        assert (len(curve.loss), len(curve.score), curve.end) == (length, length, why)
        kept = length - (why == "nan")
        assert list(curve.loss[:kept]) == losses[:kept]
        assert list(curve.score[:kept]) == [row[2 + 2 * side] for row in epochs[:kept]]
        assert curve.loss[kept:] == curve.score[kept:] == (None,) * (length - kept)


@given(LIMITS, EPOCHS)
def test_a_fit_runs_exactly_as_long_as_something_needs_it(limit, epochs):
    states = follow(fit(limit), epochs)
    training = [row[0] for row in epochs]
    broken = next((k for k, loss in enumerate(training, 1) if not math.isfinite(loss)), math.inf)
    needed = max(plain_end(training, [row[1 + 2 * side] for row in epochs], limit)[0] for side in (0, 1))
    assert states[-1].epochs == len(states) - 1 == min(needed, broken)
    assert states[-1].ended
    assert states[-1].diverged == (states[-1].epochs == broken)
    assert [state.ended for state in states[:-1]] == [False] * (len(states) - 1)
    assert list(states[-1].training_loss[:-1]) == training[: len(states) - 2]


@given(LIMITS, EPOCHS)
def test_a_closed_curve_is_never_touched_again(limit, epochs):
    states = follow(fit(limit), epochs)
    for before, after in zip(states, states[1:], strict=False):
        for fold, curve in before.watchers.items():
            if curve.end:
                assert after.watchers[fold] is curve
            else:
                assert len(after.watchers[fold].loss) == len(curve.loss) + 1
    again = watch.after_epoch(states[-1], 0.5, {fold: (0.0, 1.0) for fold in states[-1].watching})
    for fold, curve in states[-1].watchers.items():
        assert not curve.end or again.watchers[fold] is curve


@given(LIMITS, EPOCHS)
def test_two_watchers_see_what_each_would_see_alone(limit, epochs):
    together = follow(fit(limit), epochs)[-1].watchers
    for side, fold in enumerate((2, 5)):
        by_itself = follow(fit(limit, (fold,)), alone(epochs, side))[-1].watchers
        assert by_itself == {fold: together[fold]}


@given(st.integers(1, 12), EPOCHS)
def test_a_fit_without_patience_runs_to_its_limit_unwatched(epochs, rows):
    last = follow(fit(EpochLimit(epochs)), rows)[-1]
    broken = next((k for k, row in enumerate(rows, 1) if not math.isfinite(row[0])), math.inf)
    assert last.watchers == {}
    assert last.epochs == min(epochs, broken)


@given(st.lists(st.integers(0, 5).map(float), min_size=1, max_size=30))
def test_without_min_delta_the_wait_counts_from_the_best_epoch(losses):
    best = losses.index(min(losses)) + 1
    assert curves.best_epoch(losses) == best
    assert curves.waited(losses, 0.0) == len(losses) - best


def test_best_epoch_is_the_first_lowest_and_skips_what_was_not_seen():
    assert curves.best_epoch([0.5, 0.3, 0.4, 0.3]) == 2
    assert curves.best_epoch([0.5, None]) == 1
    assert curves.best_epoch([None, 0.7]) == 2


def test_small_steps_count_once_they_add_up_to_more_than_min_delta():
    assert curves.waited([1.0, 0.95, 0.9], 0.1) == 2, "0.9 is not more than 0.1 below 1.0"
    assert curves.waited([1.0, 0.95, 0.9, 0.85], 0.1) == 0
    assert curves.waited([], 0.0) == 0


def test_a_fit_before_its_first_epoch():
    progress = watch.begin(fit(EpochLimit(3, 2)))
    assert progress.watchers == {2: Curve((), (), ""), 5: Curve((), (), "")}
    assert (progress.epochs, progress.ended, progress.diverged, progress.watching) == (
        0,
        False,
        False,
        (2, 5),
    )
