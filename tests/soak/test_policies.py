"""Every policy killed twenty times, and blind to the test fold under all searchers: slow."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
from pathlib import Path

import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.search.policies.registry import POLICIES
from nachos_jax.search.registry import DRAWN, MODELS
from tests import tiny
from tests.protocol.test_kill import records
from tests.protocol.test_leak import OUTER, seen_from_inside, spoilt
from tests.protocol.test_policies import SHORT, configured

KILLS = 20
SEARCHERS = sorted({*DRAWN, *MODELS})


def once(workdir: str, policy: str, last: int, delay: float) -> None:
    """One process that runs a study until it is done, or dies some time after its step `last`."""
    from nachos_jax.engine.pool import LanePool

    taken, real = 0, LanePool.step

    def step(pool):
        nonlocal taken
        taken += 1
        if taken == last:
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return real(pool)

    LanePool.step = step  # pyrefly: ignore[bad-assignment]
    evaluate(
        configured(policy, engine__checkpoint_epochs=1, engine__checkpoint_seconds=0.0),
        workdir,
        None,
        tiny.cohort(),
        quiet=True,
    )


def ran(context, workdir: Path, policy: str, last: int = 0, delay: float = 0.0) -> int | None:
    child = context.Process(target=once, args=(str(workdir), policy, last, delay))
    child.start()
    child.join()
    return child.exitcode


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_twenty_kills_give_the_bytes_of_an_undisturbed_run(policy, tmp_path, record_property):
    """Only kills that hit a study on its way count; one that comes too late begins the next study."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nachos_jax.protocol.evaluate", "tests.protocol.test_policies"])
    assert ran(context, tmp_path / "calm", policy) == 0
    draw, calm = random.Random(policy), records(tmp_path / "calm")  # trials, fits, choices, results
    killed = studies = 0
    while killed < KILLS:
        workdir, code = tmp_path / f"killed{studies}", None
        while killed < KILLS and code != 0:
            code = ran(context, workdir, policy, draw.randint(1, 3), draw.uniform(0, 0.05))
            assert code in (0, -signal.SIGKILL)
            killed += code != 0
        assert code == 0 or ran(context, workdir, policy) == 0
        assert records(workdir) == calm
        studies += 1
    record_property("did", f"{killed} kills in {studies} studies")


@pytest.mark.parametrize("searcher", SEARCHERS)
@pytest.mark.parametrize("policy", SHORT)
def test_nothing_of_a_test_fold_reaches_its_study(policy, searcher, tmp_path):
    grid = {
        "search__space__learning_rate": "choice(0.01, 0.03, 0.1)",
        "search__space__momentum": "choice(0.0, 0.9)",
    }
    run = configured(
        policy,
        data__equal_images="accept",
        training__class_weight_exponent=1.0,
        search__searcher=searcher,
        search__initial=4,
        search__proposals=2,
        **(grid | {"search__space__weight_decay": ""} if searcher == "grid" else {}),
    )
    clean = tiny.cohort("float32")
    evaluate(run, str(tmp_path / "clean"), [OUTER], clean, quiet=True)
    with pytest.raises(UsageError, match="could not be finished"):
        evaluate(run, str(tmp_path / "spoilt"), None, spoilt(clean), quiet=True)
    assert seen_from_inside(tmp_path / "clean") == seen_from_inside(tmp_path / "spoilt")
