"""A network from its hyperparameters and the arrays of a weights file: predicting and explaining with it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nachos_jax.core.hparams import with_absent
from nachos_jax.core.types import HParams, HParamValue
from nachos_jax.data.joined import images_of
from nachos_jax.data.measured import measured
from nachos_jax.engine import lane
from nachos_jax.engine.bucket_lanes import named
from nachos_jax.engine.inputs import as_number
from nachos_jax.models import joined, registry, tuned
from nachos_jax.models.blocks import Mode, evaluation
from nachos_jax.models.convolution import default_lowering
from nachos_jax.protocol.model import explain
from nachos_jax.protocol.model.explain import Explained, Explanation
from nachos_jax.tasks import registry as tasks
from nachos_jax.tasks.dense import NORMALISATION
from nachos_jax.tasks.normalisation import by_case
from nachos_jax.tasks.task import DeviceTask, Setting, Task, Told

_TASK = "task/"


@dataclass(frozen=True)
class Predicted:
    """What a model predicts, and of what."""

    task: str  # name of the task
    names: tuple[str, ...]  # of what is predicted: classes, labels, the number
    shape: tuple[int, ...]  # of what the network is given of one case, (H, W, C) of an image

    @property
    def on_host(self) -> Task:
        """The task."""
        return tasks.of(self.task)


@dataclass(frozen=True)
class Architecture:
    """All but the weights; equal ones share compiled programs."""

    hparams: tuple[tuple[str, HParamValue], ...]  # those read when predicting, sorted by name
    predicted: Predicted  # what it predicts
    precision: str  # "float32" or "bfloat16"

    @property
    def task(self) -> DeviceTask:
        """The device side of the task."""
        setting = Setting(self.predicted.shape)
        return self.predicted.on_host.device(self.predicted.names, dict(self.hparams), setting)

    @property
    def mode(self) -> Mode:
        """In which the network predicts."""
        known = with_absent(dict(self.hparams), registry.hyperparameters())
        traced = [row for row in registry.hyperparameters() if not row.static and row.name in known]
        return evaluation({row.name: float(as_number(row, known[row.name])) for row in traced})

    def given(self, inputs: Any) -> Any:
        """Inputs in stored range as the device side takes them: with statistics, where it needs them."""
        normalisation = dict(self.hparams).get(NORMALISATION.name)
        return measured(inputs) if normalisation and by_case([str(normalisation)]) else inputs

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The network with fresh weights, in the lowering that suits this machine."""
        dtype = jnp.bfloat16 if self.precision == "bfloat16" else jnp.float32
        lowering = default_lowering(jax.default_backend())
        given = dict(self.hparams), self.predicted.shape, self.task.outputs
        return registry.build(*given, dtype, lowering, rngs)


def from_pixels(facts: Mapping[str, Any]) -> dict[str, str]:
    """What `architecture` is told of a backbone that was trained on, as one network from pixels to outputs.

    Where training read activations that were stored, it rounds them as they were. {} without a backbone.
    """
    if not facts:
        return {}
    inputs = tuned.ROUNDED if facts["inputs"] == tuned.ACTIVATIONS else tuned.PIXELS
    named = {"network": facts["name"], "start": facts["tune"], "layer": facts["layer"], "inputs": inputs}
    return {f"tuned.{name}": str(value) for name, value in named.items()}


class Weights(NamedTuple):
    """What a training found."""

    params: Any  # parameters
    stats: Any  # running statistics
    frozen: Any  # weights that were not trained
    told: Told  # what the task was told of the training cases, as far as prediction needs it


def architecture(
    hparams: HParams, predicted: Predicted, precision: str, told: Mapping[str, str] | None = None
) -> Architecture:
    """The architecture that hyperparameters of a fit name; those of its training are left out.

    `told` is what is told of a pretrained network beside them, see `RunConfig.tuned`.
    """
    own = {row.name for row in registry.hyperparameters()}
    own |= {row.name for row in predicted.on_host.hyperparameters if row.static or row == NORMALISATION}
    shaping = {name: value for name, value in hparams.items() if name in own}
    return Architecture(tuple(sorted({**shaping, **(told or {})}.items())), predicted, precision)


def weights(of: Architecture, arrays: Mapping[str, np.ndarray]) -> Weights:
    """The weights in the arrays of a weights file.

    Raises:
        KeyError, ValueError, TypeError: the network cannot be built, or they are those of another one.
    """
    groups = zip(("params", "stats", "frozen"), _abstract(of), strict=True)
    filled = [_filled(prefix, part, arrays) for prefix, part in groups]
    task = {name.removeprefix(_TASK): array for name, array in arrays.items() if name.startswith(_TASK)}
    task |= {name: arrays[_TASK + name] for name in of.predicted.on_host.kept(dict(of.hparams))}
    params, stats, frozen = filled
    told = Told(arrays["pixel_mean"], arrays["pixel_sd"], task, {}, arrays.get("fill"))
    return Weights(params, stats, frozen, told)


@functools.lru_cache(maxsize=32)
def _abstract(of: Architecture) -> tuple[Any, Any, Any]:
    """Shapes of its arrays, thought of once for all fits that have it."""
    return lane.parts(nnx.eval_shape(lambda: of.build(nnx.Rngs(0))))


def predictor(of: Architecture, found: Weights) -> Callable[[Any], jax.Array]:
    """Compiled function of one network: inputs [B, ...] in stored range -> what is seen of them [B, S]."""
    graph, task, mode = lane.graph(of.build), of.task, of.mode

    @jax.jit
    def apply(inputs: Any) -> jax.Array:
        network = nnx.merge(graph, found.params, found.stats, found.frozen)
        return task.predict(lambda x: joined.outputs(network, x, mode), inputs, found.told)

    return lambda inputs: apply(of.given(inputs))


@functools.lru_cache(maxsize=32)
def explainer(
    of: Architecture, method: str, few: bool = False
) -> Callable[[Weights, Any, np.ndarray], Explanation]:
    """Compiled function of all networks of an architecture, so that each is not compiled anew.

    Where few images are explained, a processor's code is not optimised, which takes longer than to run it.

    Of a classification of images: (weights, [B, H, W, C] pixels in stored range, [B] int32 classes) -> maps.
    Vectors beside the images are taken as they are.
    """
    graph, task = lane.graph(of.build), of.task

    quickly: Any = {"xla_backend_optimization_level": 0} if few and jax.default_backend() == "cpu" else None

    @functools.partial(jax.jit, compiler_options=quickly)
    def apply(found: Weights, inputs: Any, classes: jax.Array) -> Explanation:
        prepared = task.normalised(inputs, found.told)  # pyrefly: ignore[missing-attribute]

        def make() -> nnx.Module:
            return nnx.merge(graph, found.params, found.stats, found.frozen)

        def read(outputs: jax.Array) -> jax.Array:
            # Of inputs that are prepared already, what is seen follows from the outputs alone.
            whole = joined.completed(make(), outputs, prepared)
            return task.predict(lambda _: whole, inputs, found.told)

        return explain.METHODS[method](Explained(make, of.mode, read), images_of(prepared), classes)

    return lambda found, inputs, classes: apply(found, of.given(inputs), classes)


def check_explained(of: Architecture, method: str, found: Weights, inputs: Any, classes: np.ndarray) -> None:
    """Refuses what `explainer` would of such inputs, by shapes alone: nothing is compiled or computed."""
    jax.eval_shape(lambda weights: explainer(of, method)(weights, inputs, classes), found)


def _filled(prefix: str, abstract: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    leaves, structure = jax.tree_util.tree_flatten(abstract)
    names = list(named(prefix, jax.tree.unflatten(structure, [np.empty(0)] * len(leaves))))
    for name, leaf in zip(names, leaves, strict=True):
        if arrays[name].shape != leaf.shape:
            raise ValueError(f"{name} has shape {arrays[name].shape}, not {leaf.shape}")
    return jax.tree.unflatten(structure, [jax.device_put(arrays[name]) for name in names])
