"""The whole nested cross-validation: ours against the sequential PyTorch loop, in turn, wall time.

    python benchmarks/protocol.py [--data FILE.npz] [--folds 5] [--trials 8] [--epochs 10] [--rounds 1]

Both train the same network (three stages, width 16) for the same epochs without early stopping. Each is a
fresh process, so start-up, compilation, checkpoints, records and the report are all in our time. Without
--data it runs on scikit-learn's digits.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
CONFIG = """
from nachos_jax import default_config
def get_config():
    config = default_config()
    config.data.source, config.data.path, config.data.subject = "npz", "{data}", "one_case_per_subject"
    config.folds.count, config.search.trials, config.training.epochs = {folds}, {trials}, {epochs}
    config.training.early_stopping, config.search.searcher = False, "random"
    config.search.space.nesterov = "choice(True, False)"
    return config
"""


def digits(folder: Path) -> Path:
    """scikit-learn's digits as an npz file."""
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    path = folder / "digits.npz"
    np.savez(path, images=found.images.astype(np.uint8), labels=found.target)
    return path


def ours(arguments: argparse.Namespace, folder: Path) -> dict:
    """One run of `nachos evaluate` with an empty compilation cache; what it spent."""
    config, workdir = folder / "config.py", tempfile.mkdtemp(dir=folder)
    config.write_text(CONFIG.format(**vars(arguments)))
    environment = {**os.environ, "XDG_CACHE_HOME": tempfile.mkdtemp(dir=folder)}
    start = time.perf_counter()
    command = [sys.executable, "-m", "nachos_jax", "evaluate", f"--config={config}", f"--workdir={workdir}"]
    subprocess.run([*command, *arguments.override], check=True, env=environment)
    seconds = time.perf_counter() - start
    summary = json.loads((Path(workdir) / "summary.json").read_text())
    return {"seconds": seconds, "spent": summary["spent"], "accuracy": summary["metrics"]["accuracy"]["mean"]}


def pytorch(arguments: argparse.Namespace) -> dict:
    """One run of the PyTorch loop, start-up included."""
    names = ("data", "folds", "trials", "epochs")
    flags = [f"--{name}={getattr(arguments, name)}" for name in names]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, HERE / "torch_nested_cv.py", *flags], check=True, capture_output=True, text=True
    )
    return {"seconds": time.perf_counter() - start, **{"told": json.loads(done.stdout.splitlines()[-1])}}


def main() -> None:
    """Runs both in turn; prints and stores the ratio of median wall times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--override", action="append", default=[], help="a --config... flag for our run")
    arguments = parser.parse_args()
    import measure

    with tempfile.TemporaryDirectory() as temporary:
        name = Path(arguments.data).stem if arguments.data else "digits"
        arguments.data = str(Path(arguments.data or digits(Path(temporary))).resolve())
        runs: dict[str, list[dict]] = {"nachos": [], "pytorch": []}
        for _ in range(arguments.rounds):
            runs["nachos"].append(ours(arguments, Path(temporary)))
            runs["pytorch"].append(pytorch(arguments))
    seconds = {who: measure.median([run["seconds"] for run in done]) for who, done in runs.items()}
    print(
        f"nachos {seconds['nachos']:.1f} s, PyTorch {seconds['pytorch']:.1f} s: "
        f"{seconds['pytorch'] / seconds['nachos']:.2f} x faster"
    )
    command = " ".join(["python", "benchmarks/protocol.py", *sys.argv[1:]])
    print(measure.store(f"protocol_{name}", command, {"seconds": seconds, "runs": runs}))


if __name__ == "__main__":
    main()
