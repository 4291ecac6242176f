"""A process that fits estimators: `python -m nachos_jax.engine.hosted.worker FOLDER`.

Orders come as lines of JSON on its standard input, arrays lie in the folder, and a line of JSON on standard
output says that the result of an order lies there. It ends when its input does, and so with who started it.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.engine.hosted import fitting
from nachos_jax.models import registry

INPUTS, TARGETS = "inputs.npy", "targets.npy"


def main(folder: Path) -> None:
    """Takes orders until there are no more."""
    say, sys.stdout = sys.stdout, sys.stderr  # what scikit-learn prints is no answer
    inputs = np.load(folder / INPUTS, mmap_mode="r", allow_pickle=False)
    targets = np.load(folder / TARGETS, allow_pickle=False)
    for line in sys.stdin:
        told = json.loads(line)
        answer = {"number": told["number"], "error": _fit(folder, told, inputs, targets)}
        print(json.dumps(answer), file=say, flush=True)


def _fit(folder: Path, told: dict[str, Any], inputs: np.ndarray, targets: np.ndarray) -> str:
    """Fits what is ordered and writes what is seen; says what went wrong, "" if nothing."""
    name = f"{told['number']:06d}"
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        order = fitting.Order(**{key: file[key] for key in file.files})
    make = functools.partial(_estimator, told)
    try:
        found = fitting.seen(told["outcome"], make, inputs, targets, told["count"], order)
        np.save(folder / f"{name}.npy", found, allow_pickle=False)
    except (ValueError, OSError, MemoryError) as error:
        return str(error) or type(error).__name__
    return ""


def _estimator(told: dict[str, Any], outcome: str) -> Any:
    return registry.estimator(told["architecture"], outcome, told["hparams"], told["seed"])


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        assert os.environ.get(variable) == "1"  # sums of several threads may come in any order
    main(Path(sys.argv[1]))
