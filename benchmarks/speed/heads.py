"""A whole nested search of heads on cached features: ours against scikit-learn with joblib, on the same fits.

    python -m benchmarks.speed.heads [--features FILE.npz] [--trials 32] [--cases 2000] [--size 768]

Ours is `nachos_jax.evaluate` in a fresh process with an empty compilation cache: start-up, compilation,
records and the report are in its CPU seconds. scikit-learn's LogisticRegression, after a StandardScaler,
makes the fits that our records tell of, with the same training cases and the same C, once with a tolerance at
which its log-loss equals ours, once with its own; in processes of one thread each, of which the fits alone
count. CPU seconds are compared, which other work on the machine changes less than the time on the wall.
Without --features, features of a falling spectrum are drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import measure

TOLERANCES = {"as exact as ours": 1e-7, "default": None}
"""What scikit-learn is given, by name."""
STEPS = 20_000


def synthetic(cases: int, size: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Features [N, D] that are correlated and not negative, as those of a backbone are, and labels [N]."""
    draw = np.random.default_rng(0)
    labels = np.arange(cases) % classes
    hidden = draw.normal(size=(cases, size))
    few = min(20, size)
    hidden[:, :few] += 0.7 * draw.normal(size=(classes, few))[labels]
    turn, _ = np.linalg.qr(draw.normal(size=(size, size)))
    values = (hidden * np.arange(1, size + 1) ** -0.5) @ turn
    return np.maximum(values + 0.3 * values.std(), 0.0).astype(np.float32), labels


def read(path: Path) -> dict[str, np.ndarray]:
    """Features, labels and subjects of an npz file as `nachos embed` writes it."""
    with np.load(path) as file:
        names = {"features": "features", "labels": "labels", "subjects": "subject"}
        return {ours: file[theirs] for ours, theirs in names.items()}


def ours(given: argparse.Namespace) -> dict[str, Any]:
    """Our run, in this process: what it spent, and each fit with the log-loss of its held folds."""
    import nachos_jax
    from nachos_jax.core import space
    from nachos_jax.records.store import RunDirectory

    config = nachos_jax.default_config()
    config.data.source, config.model.architecture = "arrays", "linear"
    config.folds.count, config.search.trials = given.folds, given.trials
    config.search.searcher, config.search.policy = "random", "full"
    idle = dict.fromkeys(("learning_rate", "momentum", "weight_decay"), "")
    config.search.space.update({**idle, "linear": {"c": space.log(1e-4, 1e2)}})
    arrays = read(given.folder / "features.npz")
    cohort = nachos_jax.cohort(
        nachos_jax.ArrayCases(arrays["features"], arrays["labels"], arrays["subjects"])
    )
    summary = nachos_jax.evaluate(config, given.folder / "run", cohort)
    fits = [
        {
            "left_out": list(fit.left_out),
            "c": fit.hparams["linear.c"],
            "loss": {fold: curve.loss[-1] for fold, curve in fit.curves.items()},
        }
        for fit in RunDirectory(given.folder / "run").fits()
    ]
    table = RunDirectory(given.folder / "run").read_table("folds.csv") or []
    folds = [int(row["fold"]) for row in table]
    return {"cpu_seconds": _spent(), "spent": summary["spent"], "fits": fits, "folds": folds}


def theirs(given: argparse.Namespace) -> dict[str, Any]:
    """scikit-learn's fits: CPU seconds of each, and the log-loss of its held folds."""
    from joblib import Parallel, delayed

    arrays, told = read(given.folder / "features.npz"), json.loads((given.folder / "fits.json").read_text())
    folds = np.asarray(told["folds"])
    one = delayed(_fit)
    found: Any = Parallel(n_jobs=os.cpu_count())(
        one(arrays["features"], arrays["labels"], folds, fit, TOLERANCES[given.side]) for fit in told["fits"]
    )
    return {"seconds": [fit[0] for fit in found], "loss": [fit[1] for fit in found]}


def _fit(
    x: np.ndarray, y: np.ndarray, folds: np.ndarray, fit: Mapping[str, Any], tolerance: float | None
) -> tuple[float, dict[str, float]]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    exact: dict[str, Any] = {} if tolerance is None else {"tol": tolerance, "max_iter": STEPS}
    made = make_pipeline(StandardScaler(), LogisticRegression(C=fit["c"], **exact))
    training = ~np.isin(folds, fit["left_out"])
    with threadpool_limits(1):
        began = time.process_time()
        made.fit(x[training].astype(np.float64), y[training])
        seconds = time.process_time() - began
    held = {
        fold: float(log_loss(y[folds == int(fold)], made.predict_proba(x[folds == int(fold)])))
        for fold in fit["loss"]
    }
    return seconds, held


def _spent() -> float:
    """CPU seconds of this process and of its children that have ended."""
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in parts)


def side(name: str, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """One side in a process of its own, with an empty compilation cache."""
    environment = {**os.environ, "XDG_CACHE_HOME": tempfile.mkdtemp(dir=folder)}
    flags = [f"--side={name}", f"--folder={folder}", f"--trials={given.trials}", f"--folds={given.folds}"]
    command = [*measure.script("speed.heads"), *flags]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return json.loads((folder / "side.json").read_text())


def furthest(fits: list[dict[str, Any]], losses: list[Mapping[str, float]]) -> float:
    """The largest difference of a held fold's log-loss from ours."""
    pairs = zip(fits, losses, strict=True)
    return max(abs(theirs[fold] - loss) for fit, theirs in pairs for fold, loss in fit["loss"].items())


def compared(run: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> measure.Table:
    """Rows of both sides."""
    count = len(run["fits"])
    rows = [("nachos_jax.evaluate, all of it", f"{run['cpu_seconds']:.1f} s", str(count), "", "")]
    for name, told in found.items():
        total = sum(told["seconds"])
        rows.append(
            (
                f"scikit-learn, {name}: fits alone",
                f"{total:.1f} s",
                str(count),
                f"{total / run['cpu_seconds']:.2f} x",
                f"{furthest(run['fits'], told['loss']):.1e}",
            )
        )
    titles = ("side", "CPU seconds", "fits", "of ours", "log-loss, largest difference from ours")
    return measure.Table(titles, tuple(rows))


def main() -> None:
    """Measures, compares and stores."""
    flags = measure.parser(__doc__)
    flags.add_argument("--features", type=Path, help="npz as `nachos embed` writes it; drawn when left out")
    flags.add_argument("--cases", type=int, default=2000)
    flags.add_argument("--size", type=int, default=768, help="features of a case")
    flags.add_argument("--classes", type=int, default=3)
    flags.add_argument("--folds", type=int, default=5)
    flags.add_argument("--trials", type=int, default=32)
    flags.add_argument("--side", default="", help=argparse.SUPPRESS)
    flags.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = flags.parse_args()
    if given.side:
        told = ours(given) if given.side == "ours" else theirs(given)
        (given.folder / "side.json").write_text(json.dumps(told))
        sys.exit()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        arrays: dict[str, np.ndarray]
        if given.features:
            arrays = read(given.features)
        else:
            features, labels = synthetic(given.cases, given.size, given.classes)
            arrays = {"features": features, "labels": labels, "subjects": np.arange(len(labels))}
        features, labels, subject = (arrays[name] for name in ("features", "labels", "subjects"))
        np.savez(folder / "features.npz", features=features, labels=labels, subject=subject)
        run = side("ours", folder, given)
        (folder / "fits.json").write_text(json.dumps(run))
        found = {name: side(name, folder, given) for name in TOLERANCES}
    n, d = arrays["features"].shape
    kind = "real" if given.features else "drawn"
    title = f"Nested search of heads: {n} x {d} {kind} features, {given.folds} folds, {given.trials} trials"
    value = {"ours": {name: run[name] for name in ("cpu_seconds", "spent")}, "theirs": {
        name: {"cpu_seconds": sum(told["seconds"]), "furthest": furthest(run["fits"], told["loss"])}
        for name, told in found.items()
    }}  # fmt: skip
    name = "heads_real" if given.features else "heads"
    measure.store(given.out, name, title, compared(run, found), value)


if __name__ == "__main__":
    main()
