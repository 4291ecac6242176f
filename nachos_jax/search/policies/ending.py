"""Whether a fit that waits for a lower loss has come to its end, or may still start.

The loss on an inner fold alone cannot tell: who starts late lies as still as who has finished. The loss on
the training cases can. Who has fitted them has none left, and with it have gone the gradients, which no
learning rate brings back. Who has not started has as much of it as on the inner fold, however little that is
of a first epoch that went astray, or where one class is rare.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nachos_jax.search.policies.policy import Asked, Known, reach

FITTED = 1 / 20
"""Of the highest training loss: what is left of one that has gone, by the convention of one in twenty."""
BELOW = 1 / 4
"""Of the lowest loss on the inner fold: where the training loss lies when cases have been learned, and not
only how frequent their classes are, which is the same on both but for chance."""
MOVED = 10.0
"""In medians of its steps from epoch to epoch: what the loss on the inner fold has gone through in one that
has started. One that scatters normally around a level ranges over as much in one of a hundred waits of 6 to
30 epochs at most."""


def ended(loss: Sequence[float | None], training: Sequence[float | None]) -> bool:
    """Whether no better epoch is to be expected of a fit: it has started, and fitted its training cases.

    Args:
        loss: of an inner fold, a value an epoch.
        training: of the training cases, likewise; empty where it is not known, and then nothing is told.
    """
    seen = [value for value in loss if value is not None]
    own = [value for value in training[: len(loss)] if value is not None]
    if len(seen) < 2 or len(own) < len(loss) or min(own) < 0:  # a loss without a floor has no end
        return False
    started = max(seen) - min(seen) > MOVED * float(np.median(np.abs(np.diff(seen))))
    return started and own[-1] <= min(FITTED * max(own), BELOW * min(seen))


def trained(known: Known, asked: Asked) -> bool:
    """Whether a fit has been trained as far as it is asked for, or has ended for another reason."""
    told = known.furthest(asked.trial, asked.fold)
    if told is None:
        return False
    limit, curve = told
    return curve.end != "patience" or not in_epochs(known, asked) or reach(limit) >= reach(asked.limit)


def in_epochs(known: Known, asked: Asked) -> bool:
    """Whether a fit is trained epoch by epoch: what is not says all in one, whatever the patience."""
    told = known.furthest(asked.trial, asked.fold)
    return told is None or told[1].end != "patience" or len(told[1].loss) > (told[0].patience or 0)


def at_its_end(known: Known, asked: Asked) -> bool:
    """Whether nothing is to be expected of training a fit as far as it is asked for."""
    if trained(known, asked):
        return True
    curve = known.curve(asked.trial, asked.fold)
    return curve is not None and ended(curve.loss, known.training(asked.trial, asked.fold))
