"""Finds the architectures: adding one takes one file beside this one, and no other change.

An architecture called NAME is the file `nachos_jax/models/NAME.py` with

    HYPERPARAMETERS: tuple[Hyperparameter, ...]
        rows called "NAME.x", each with a default and when=("architecture", ("NAME",)). Static ones shape the
        network; the others ride the lane axis and are read in the call.
    build(hparams, shape, outputs, dtype, lowering, rngs) -> nnx.Module
        from static flat hyperparameters ("NAME.x" and "norm") and the shape of one case, (H, W, C) of an
        image, or of a patch of one. Modules of `nachos_jax.models.blocks` get their initial weights from a
        last call of `draw_weights(network, rngs)`. The module is called as
        module(x [B, H, W, C] float32, mode: blocks.Mode) -> [B, outputs] float32, where mode.traced["NAME.x"]
        holds the values of rows that are not static. Its state is nnx.Param, nnx.BatchStat and blocks.Frozen,
        float32, with no random state; evaluation (mode.train False) changes none of it.
        Grad-CAM reads what the network's one `blocks.Head` is called on, [B, H, W, C]; occlusion works for
        every network.
    check(hparams, shape)  (may be left out)
        raises UsageError when such cases do not suit such hyperparameters.
    frozen(hparams) -> dict  (where the network has Frozen weights)
        their values, nested as `nnx.to_pure_dict` has them: the same for every fit, passed once to all lanes.
    pretrained(hparams, shape, weights) -> {"params": ..., "stats": ..., "frozen": ...}
        (where fits start from weights of a file) those of `Cohort.weights`, without what `build` draws.
    factors(hparams, shape) -> ((traced, epoch) -> dict)  (where layers have rates of their own)
        what multiplies the learning rate of some parameters, scalars nested as these are; 0 trains none.
    CONVEX: blocks.Convex  (where the training loss is convex in the parameters)
        an epoch is then a whole solution over all training cases at once, see `nachos_jax.engine.solving`.
    CONVOLUTIONS = False  (where the network has none)
        so that no way of computing them is timed.
    MAPS = True  (where the network gives numbers for every pixel)
        the module's result is [B, H, W, outputs] float32 instead of [B, outputs], with the input's sides; in
        training it may be a tuple of these and of such at lower resolutions, finest first.
    PLAN(found: planning.Fingerprint, wanted: planning.Wanted) -> planning.Plan  (may be left out)
        of such a network: patch, batch and its rows NAME.depth, NAME.width, NAME.flat_levels for some cases.

A baseline of scikit-learn, which is fitted on the host by `nachos_jax.engine.hosted`, has instead of `build`

    estimator(outcome, hparams, seed) -> an estimator of scikit-learn that has not been fitted
        for "classes" or "number"; hparams are its own rows, none of them static. It is the only place that
        imports scikit-learn, and does so late.
    OUTCOMES: tuple[str, ...]
        of "classes", "labels", "number": what it can predict, see `nachos_jax.tasks.task.Task.outcome`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nachos_jax import models
from nachos_jax.core.hparams import OPTIMISATION, REGULARISATION, Hyperparameter
from nachos_jax.core.types import HParams, HParamValue

if TYPE_CHECKING:
    from flax import nnx
    from jax.typing import DTypeLike

    from nachos_jax.models.blocks import Convex
    from nachos_jax.models.planning import Fingerprint, Plan, Wanted
    from nachos_jax.tasks.task import Task

DEFAULT = "cnn"


def names() -> tuple[str, ...]:
    """Names of the architectures, in alphabetical order."""
    return tuple(_files())


def hyperparameters() -> tuple[Hyperparameter, ...]:
    """The rows of all architectures, after the two that they share: `architecture` and `norm`."""
    from nachos_jax.models.blocks import NORMS  # late: it imports flax

    row = functools.partial(Hyperparameter, kind="choice", static=True, section="model")
    norms, meaning = tuple(NORMS), "normalisation of the layers"
    shared = (
        row("architecture", choices=names(), default=DEFAULT, meaning="network", idles=_idles()),
        row("norm", choices=norms, default=norms[0], meaning=meaning),
    )
    return (*shared, *(row for file in _files().values() for row in file.HYPERPARAMETERS))


def _idles() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What does nothing for a network that is solved, or for an estimator."""
    stepwise = (*(row.name for row in (*OPTIMISATION, *REGULARISATION)), "norm")
    on_host = (*stepwise, "label_smoothing")
    of_kind = {name: on_host if hosted(name) else stepwise for name in names() if solved([name])}
    return tuple(of_kind.items())


def defaults() -> dict[str, HParamValue | dict[str, HParamValue]]:
    """Defaults, nested as in a config: {"architecture": "cnn", "norm": "batch", "cnn": {"width": 16}}."""
    nested: dict = {}
    for row in hyperparameters():
        owner, _, name = row.name.rpartition(".")
        (nested.setdefault(owner, {}) if owner else nested)[name] = row.default
    return nested


def build(
    hparams: HParams, shape: tuple[int, ...], outputs: int, dtype: DTypeLike, lowering: str, rngs: nnx.Rngs
) -> nnx.Module:
    """The network that the hyperparameters name, as described at the top of this file.

    Args:
        hparams: flat values, at least "architecture", "norm" and the rows of that architecture; and what
            `nachos_jax.models.joined.told` says, by which a part for a vector is added to any network.
        shape: of one case, (H, W, C) of an image, (D,) of a vector.
        outputs: width of the head.
        dtype: float32 or bfloat16, in which convolutions are computed.
        lowering: how, see `nachos_jax.models.convolution`.
        rngs: random keys of the initial weights; only the stream "params" is used.
    """
    file = _files()[str(hparams["architecture"])]
    from nachos_jax.models import joined  # late, as the files are: it brings JAX

    network = file.build(hparams, shape, outputs, dtype, lowering, rngs)
    return joined.widened(network, hparams, outputs)


def check(hparams: HParams, shape: tuple[int, ...]) -> None:
    """Raises UsageError when cases of this shape do not suit the network."""
    file = _files()[str(hparams["architecture"])]
    if hasattr(file, "check"):
        file.check(hparams, shape)


def frozen(hparams: HParams) -> dict:
    """Weights of the network that no fit trains, nested by module; {} of one that is trained whole."""
    file = _files()[str(hparams["architecture"])]
    return file.frozen(hparams) if hasattr(file, "frozen") else {}


def pretrained(hparams: HParams, shape: tuple[int, ...], weights: Mapping[str, Any]) -> dict[str, dict]:
    """The weights that fits start from, nested by module in "params", "stats" and "frozen"."""
    return _files()[str(hparams["architecture"])].pretrained(hparams, shape, weights)


def factors(hparams: HParams, shape: tuple[int, ...]) -> Callable[[Mapping[str, Any], Any], dict] | None:
    """What multiplies the learning rate of some parameters; None where all are trained alike."""
    file = _files()[str(hparams["architecture"])]
    return file.factors(hparams, shape) if hasattr(file, "factors") else None


def convex(architecture: str) -> Convex | None:
    """What makes the network one that is solved; None of one that is trained step by step."""
    return getattr(_files()[architecture], "CONVEX", None)


def solved(architectures: Iterable[HParamValue]) -> bool:
    """Whether one epoch is all of the training of these: networks that are solved, and estimators."""
    return all(convex(str(name)) is not None or hosted(str(name)) for name in architectures)


def hosted(architecture: str) -> bool:
    """Whether it is an estimator of scikit-learn, which is fitted on the host."""
    return hasattr(_files()[architecture], "estimator")


def suits(architecture: str, task: Task) -> bool:
    """Whether it predicts what a task is about."""
    if hosted(architecture):
        return task.outcome in outcomes(architecture)
    return maps(architecture) == task.masks


def outcomes(architecture: str) -> tuple[str, ...]:
    """What an estimator can predict."""
    return _files()[architecture].OUTCOMES


def estimator(architecture: str, outcome: str, hparams: HParams, seed: int) -> Any:
    """An estimator that has not been fitted; imports the one file, so that a process starts quickly."""
    return importlib.import_module(f"{models.__name__}.{architecture}").estimator(outcome, hparams, seed)


def convolutions(architecture: str) -> bool:
    """Whether the network has convolutions."""
    return not hosted(architecture) and getattr(_files()[architecture], "CONVOLUTIONS", True)


def maps(architecture: str) -> bool:
    """True when the architecture gives numbers for every pixel of a case, as segmentation needs."""
    return getattr(_files()[architecture], "MAPS", False)


def planner(architecture: str) -> Callable[[Fingerprint, Wanted], Plan] | None:
    """What plans the architecture from the cases; None where nothing does."""
    return getattr(_files()[architecture], "PLAN", None)


@functools.cache
def _files() -> Mapping[str, ModuleType]:
    """Modules of this package that declare an architecture, by name."""
    found = {}
    for name in sorted(info.name for info in pkgutil.iter_modules(models.__path__)):
        # The registry lies in the folder that it searches.
        if f"{models.__name__}.{name}" != __name__:
            file = importlib.import_module(f"{models.__name__}.{name}")
            if hasattr(file, "HYPERPARAMETERS"):
                found[name] = _checked(name, file)
    return found


def _checked(name: str, file: ModuleType) -> ModuleType:
    """Refuses a file that breaks the contract at the moment it is found, not in the middle of a run."""
    if not callable(getattr(file, "build", None)) and not callable(getattr(file, "estimator", None)):
        raise TypeError(
            f"nachos_jax/models/{name}.py declares HYPERPARAMETERS but no function build or estimator."
        )
    for row in file.HYPERPARAMETERS:
        if not row.name.startswith(f"{name}.") or row.when is None or row.default is None:
            raise TypeError(
                f"nachos_jax/models/{name}.py: {row.name} must be called {name}.x, with a default and "
                f'when=("architecture", ("{name}",)).'
            )
        row.check(row.default, f"default of {row.name}")
    return file
