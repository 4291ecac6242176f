"""Puts together the crew of a run: this process alone, or all processes of a launch under its lead."""

from __future__ import annotations

from nachos_jax.cluster.board import Launch, Party
from nachos_jax.core.types import digest
from nachos_jax.engine.pool import LanePool
from nachos_jax.engine.tuning import Agree, alone
from nachos_jax.protocol.crew.crew import Alone, Crew, new_session
from nachos_jax.protocol.crew.leader import Leader
from nachos_jax.protocol.design import protocols
from nachos_jax.protocol.run import environment
from nachos_jax.protocol.run.opening import Run


def gather(run: Run, party: Party | None) -> Crew:
    """The lanes of this process, or of all processes of its launch, which are then called in.

    Args:
        run: the opened run.
        party: the processes of this launch, or None when this one is alone.
    """
    launch = new_session()
    name = f"{launch}-p0"
    if party is None:
        return Alone(run.store, open_pool(run, name), name)
    run.store.write_session(name, {"started": launch[:15], "launch": launch})  # see worker._join
    party.board.announce(
        Launch(
            name=launch,
            command=run.store.command,
            config=digest(dict(run.config.raw)),
            cases=run.cases,
            versions=environment.versions(),
        )
    )
    return Leader(run.store, open_pool(run, name, party.board.agreed), party, name)


def open_pool(run: Run, session: str, agree: Agree = alone) -> LanePool:
    """The lanes of this process.

    Args:
        run: the opened run.
        session: name under which lanes are saved.
        agree: see LanePool.
    """
    keep_last = protocols.of(run.config).keep_last
    return LanePool(
        run.cohort, run.folds, run.config, run.checkpoints(session), agree=agree, keep_last=keep_last
    )
