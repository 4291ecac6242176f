"""kill -9 at random moments, again and again, then the same bytes as a run that was left alone."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

from nachos_jax.records.store import RunDirectory
from tests import forked, tiny

SEED = "NACHOS_TESTS_KILL_SEED"
"""Environment variable with the seed of the moments; without it they are others in every run."""
KILLS = 5 if os.environ.get("NACHOS_TESTS_COMPILE") == "fully" else 2


def once(workdir: str, taken, last: int, delay: float, most: int) -> None:
    """One process that runs the tiny study until it is done, or dies some time after its step `last`.

    It waits for its death after `most` steps, for a late one might find the study done.
    """
    from nachos_jax.engine.pool import LanePool
    from nachos_jax.protocol.evaluate import evaluate

    real = LanePool.step

    def step(pool):
        taken.value += 1
        if taken.value == last:
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
        if last and taken.value > most:
            time.sleep(60.0)
        return real(pool)

    LanePool.step = step  # pyrefly: ignore[bad-assignment]
    run = tiny.run_config(
        search__trials=2,
        training__patience=4,
        engine__lanes=2,
        engine__checkpoint_epochs=1,
        engine__checkpoint_seconds=0.0,
    )
    evaluate(run, workdir, None, tiny.cohort(), quiet=True)


def ran(context, workdir: Path, last: int = 0, delay: float = 0.0, most: int = 0) -> tuple[int, int | None]:
    """Steps and exit code of one process."""
    taken = context.Value("i", 0)
    child = context.Process(target=once, args=(str(workdir), taken, last, delay, most))
    child.start()
    child.join()
    return taken.value, child.exitcode


def test_kills_leave_the_results_of_an_undisturbed_run(tmp_path: Path):
    context = forked.context()
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    steps, code = ran(context, calm)
    assert code == 0

    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(2**32))
    again, draw, most = f"{SEED}={seed} draws these moments again", random.Random(seed), steps // (KILLS + 1)
    for _ in range(KILLS):
        _, code = ran(context, killed, draw.randint(1, most), draw.uniform(0, 0.05), most)
        assert code == -signal.SIGKILL, again
    half = len(list((killed / "records/evaluate/fits").glob("*.json")))
    assert ran(context, killed)[1] == 0, again

    assert (killed / "folds.csv").read_bytes() == (calm / "folds.csv").read_bytes(), again
    assert records(killed) == records(calm), again  # of which all tables and the page are made
    assert half < len(list((calm / "records/evaluate/fits").glob("*.json"))), "no kill came before the end"
    sessions = RunDirectory(killed).sessions()
    assert len(sessions) > KILLS // 2, "what was spent counts the processes that were killed"
    assert all(session["seconds"] >= 0 for session in sessions)


def records(workdir: Path) -> dict[str, bytes]:
    """All records but the sessions, which tell times."""
    root = workdir / "records"
    files = [path for path in root.rglob("*") if path.is_file() and "sessions" not in path.parts]
    return {
        str(path.relative_to(root)): path.read_bytes() for path in files if not path.name.startswith(".tmp")
    }
