"""kill -9 at random moments, again and again, then the same bytes as a run that was left alone."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path

from nachos_jax.records.store import RunDirectory
from nachos_jax.report.page import page
from tests import tiny

KILLS = 20
LONGEST = 0.9  # seconds of work between two kills


def once(workdir: str, cache: str, begun) -> None:
    """One process that runs the tiny study until it is done or dies."""
    import jax

    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    from nachos_jax.engine.pool import LanePool
    from nachos_jax.protocol.evaluate import evaluate

    real = LanePool.step

    def step(pool):
        begun.set()
        return real(pool)

    LanePool.step = step  # type: ignore[method-assign]
    run = tiny.run_config(training__epochs=8, training__patience=8, search__trials=5, engine__lanes=2)
    evaluate(run, workdir, None, tiny.cohort(), quiet=True)
    page.write(workdir)


def start(context, workdir: Path, cache: Path):
    begun = context.Event()
    child = context.Process(target=once, args=(str(workdir), str(cache), begun))
    child.start()
    while child.is_alive() and not begun.wait(0.01):
        pass
    return child


def test_twenty_kills_leave_the_results_of_an_undisturbed_run(tmp_path: Path):
    context = multiprocessing.get_context("forkserver")
    # The server has imported everything and started no JAX backend, so each child is at work at once.
    context.set_forkserver_preload(
        ["nachos_jax.protocol.evaluate", "nachos_jax.report.page.page", "tests.tiny"]
    )
    calm, killed, cache = tmp_path / "calm", tmp_path / "killed", tmp_path / "cache"
    child = start(context, calm, cache)
    child.join()
    assert child.exitcode == 0

    draw, kills = random.Random(), 0
    while kills < KILLS:
        child = start(context, killed, cache)
        time.sleep(draw.uniform(0, LONGEST))
        assert child.is_alive(), f"the run ended after {kills} kills: give it more to do"
        child.kill()
        child.join()
        kills += child.exitcode == -9
    half = len(list((killed / "records/evaluate/fits").glob("*.json")))
    child = start(context, killed, cache)
    child.join()
    assert child.exitcode == 0

    for name in ("predictions.csv", "trials.csv", "folds.csv"):
        assert (killed / name).read_bytes() == (calm / name).read_bytes(), name
    assert records(killed) == records(calm)
    sessions = RunDirectory(killed).sessions()
    assert len(sessions) > KILLS // 2, "what was spent counts the processes that were killed"
    assert all(session["seconds"] >= 0 for session in sessions)
    assert 0 < half < len(records(calm)), "the kills fell before the first fit or after the last"


def records(workdir: Path) -> dict[str, bytes]:
    """All records but the sessions, which tell times."""
    root = workdir / "records"
    files = [path for path in root.rglob("*") if path.is_file() and "sessions" not in path.parts]
    return {
        str(path.relative_to(root)): path.read_bytes() for path in files if not path.name.startswith(".tmp")
    }
