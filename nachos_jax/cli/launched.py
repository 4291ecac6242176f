"""One process or many: joins the launch that flags or the cluster describe, and takes leave of it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator, Sequence
from typing import Any

from nachos_jax.cli import guardian, parsing
from nachos_jax.cli.parsing import Flag
from nachos_jax.cluster import place as places
from nachos_jax.cluster import pulse
from nachos_jax.cluster.board import Board, Party
from nachos_jax.cluster.place import Given, Place
from nachos_jax.core.errors import UsageError
from nachos_jax.runtime import stopping

FLAGS = (
    Flag("coordinator_address", "HOST:PORT", "Where process 0 of a launch can be reached.", required=False),
    Flag("num_processes", "N", "Processes of the launch, one a host or one an accelerator.", required=False),
    Flag("process_id", "K", "Number of this process, from 0.", required=False),
    Flag(
        "local_device_ids",
        "0,1",
        "Accelerators of this host to use; all, or this process's share, when left out.",
        many=True,
        required=False,
    ),
    Flag(
        "lost_after",
        "SECONDS",
        "Silence after which a process counts as lost and its fits go to others; 100 when left out. At the "
        "start, processes wait for each other three times as long.",
        required=False,
    ),
    Flag(
        "stalled_after",
        "SECONDS",
        "Time without an epoch after which a process counts as lost; 1800 when left out. It must be longer "
        "than the longest epoch and compilation, and than the test of a case.",
        required=False,
    ),
)
"""A cluster that is recognised (see cluster/place.py) makes the first four needless."""

LOST_AFTER, STALLED_AFTER = 100, 1800


def guard(words: Sequence[str], alone: bool) -> None:
    """Listens to signals, under a guardian; call it before JAX is imported.

    Args:
        words: what stands after the command. Mistakes in them are for `parsing.parse` to tell.
        alone: whether a single process gets a guardian too.
    """
    place = _place(words)
    if place is None:
        return
    if place.processes > 1:
        # Else the service warns at every start that a process may end without the others.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        guardian.guard(places.lost_touch(place) if place.process else None)
    elif alone:
        guardian.guard(None)
    stopping.listen()


@contextlib.contextmanager
def launched(values: Any) -> Generator[Party | None]:
    """Joins the launch that this process belongs to.

    Args:
        values: the parsed flags.

    Yields:
        The processes of the launch, or None when this one is alone.

    Raises:
        UsageError: the flags do not fit together, or the others cannot be reached.
    """
    place = places.find(_given(values), os.environ)
    lost_after = _seconds(values, "lost_after", LOST_AFTER)
    stalled_after = _seconds(values, "stalled_after", STALLED_AFTER)
    _take(place)
    if place.processes == 1:
        yield None
        return
    from nachos_jax.cluster import service  # it imports JAX, late

    messages = service.ServiceMessages(place, lost_after)
    party = Party(Board(messages, place.process), place.processes, lost_after, stalled_after)
    try:
        with pulse.beating(party), _taking_leave(party):
            yield party
    finally:
        messages.close()


@contextlib.contextmanager
def _taking_leave(party: Party) -> Generator[None]:
    """Tells the other processes at the end how this one has ended."""
    from nachos_jax.protocol.crew import leader

    why, stopped = "it was ended by an error; see its own output", False
    try:
        yield
        why = ""
        guardian.all_is_done()
    except (UsageError, stopping.StoppedError, KeyboardInterrupt) as error:
        why, stopped = str(error) or "interrupted", isinstance(error, stopping.StoppedError)
        raise
    finally:
        with contextlib.suppress(stopping.StoppedError):  # process 0 may have gone
            if party.board.process:
                party.board.leave(why, stopped)
            else:
                leader.dismiss(party, why)


def leads(words: Sequence[str]) -> bool:
    """Whether this process is the first of its launch, or alone; not where its flags are wrong.

    Args:
        words: what stands after the command.
    """
    place = _place(words)
    return place is not None and place.process == 0


def _place(words: Sequence[str]) -> Place | None:
    """Where this process stands in its launch; None where the flags are wrong."""
    try:
        return places.find(_given(parsing.parse_some(FLAGS, words)), os.environ)
    except (UsageError, parsing.flags.Error):
        return None


def _given(values: Any) -> Given:
    """What the flags say of the launch."""
    ids = parsing.whole_numbers("local_device_ids", values.local_device_ids)
    return Given(
        coordinator=values.coordinator_address or "",
        processes=parsing.whole_number("num_processes", values.num_processes),
        process=parsing.whole_number("process_id", values.process_id),
        devices=None if ids is None else tuple(ids),
    )


def _seconds(values: Any, name: str, default: int) -> int:
    """What a flag says, or the default.

    Raises:
        UsageError: it is too short.
    """
    given = parsing.whole_number(name, values[name].value)
    if given is not None and given < 10:
        raise UsageError(f"--{name}={given}: must be at least 10 seconds.")
    return default if given is None else given


def _take(place: Place) -> None:
    """Limits JAX to the devices of this place, and tells people which process this is."""
    if place.devices is not None:
        from nachos_jax.cluster import service

        service.use_devices(place.devices)
    if place.processes > 1:
        print(f"process {place.process} of {place.processes} ({place.source})", file=sys.stderr, flush=True)
