"""The part of a pretrained network behind a freeze point, trained in every lane, and a head of its own.

`config.backbone` says which network and from which stage on; `nachos_jax.protocol.run.embedding` reads its
weights, from which every fit starts. Rate of a weight: learning rate x backbone_rate x layer_decay ^ depth;
the depth counts stages from the head, 0 next to it (Howard and Ruder 2018, section 3.2, "discriminative
fine-tuning"; a factor a layer as Clark et al. 2020, ELECTRA, appendix A).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike

from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.core.types import HParams
from nachos_jax.models.blocks import Frozen, Head, Mode, draw_weights
from nachos_jax.models.zoo import registry
from nachos_jax.models.zoo.network import Network, Stage
from nachos_jax.models.zoo.place import Place, noted

ACTIVATIONS, PIXELS, ROUNDED = "activations", "pixels", "rounded"
"""What the network is given: what the front gave of a case, or pixels; then the front is a part of it, and
what it gives may be rounded to float16, as activations that were stored."""

_WHEN = ("architecture", ("tuned",))
_number = functools.partial(Hyperparameter, kind="float", low=0.0, when=_WHEN)
HYPERPARAMETERS = (
    _number(
        "tuned.backbone_rate",
        high=100.0,
        default=0.1,
        meaning="pretrained layers' share of the learning rate",
    ),
    _number(
        "tuned.layer_decay", high=1.0, default=1.0, meaning="factor on that a stage further from the head"
    ),
    Hyperparameter(
        "tuned.head_epochs",
        "integer",
        0,
        100_000,
        when=_WHEN,
        default=0,
        meaning="epochs with the head alone",
    ),
    Hyperparameter(
        "tuned.statistics",
        "choice",
        choices=("frozen", "trained"),
        static=True,
        when=_WHEN,
        default="frozen",
        meaning="of batch norm: those of the weights, or of the batch, as in training",
    ),
)


@dataclass(frozen=True)
class Part:
    """What of a network of the zoo a lane holds.

    Attributes:
        network: of the zoo.
        start: the stage from which on weights are trained, or "all".
        layer: the last stage.
        inputs: ACTIVATIONS, PIXELS or ROUNDED.
        shape: of a case as it is given, (H, W, 3) of pixels.
    """

    network: Network
    start: str
    layer: str
    inputs: str
    shape: tuple[int, ...]

    @property
    def stages(self) -> tuple[dict[str, Stage], dict[str, Stage]]:
        """Frozen and trained ones, by name."""
        front, tail = self.network.split(self.start, self.layer)
        return ({} if self.inputs == ACTIVATIONS else front), tail


@dataclass(frozen=True)
class Layout:
    """The weights of a part by name, with their shapes.

    Attributes:
        front: those in front of the freeze point.
        trained: those of each stage behind it, the stage next to the head last; of batch norm the statistics
            are not among them.
        statistics: running means and variances of batch norm behind it.
        features: what the head is given.
    """

    front: Mapping[str, tuple[int, ...]]
    trained: tuple[Mapping[str, tuple[int, ...]], ...]
    statistics: Mapping[str, tuple[int, ...]]
    features: int


def part_of(hparams: HParams, shape: tuple[int, ...]) -> Part:
    """The part that static hyperparameters name, what `RunConfig.tuned` tells among them."""
    network = registry.network(str(hparams["tuned.network"]))
    start, layer, inputs = (str(hparams[f"tuned.{name}"]) for name in ("start", "layer", "inputs"))
    layer = layer or network.layers[-1]
    return Part(network, start, layer, inputs, shape if inputs == ACTIVATIONS else (*shape[:2], 3))


@functools.lru_cache(maxsize=64)
def layout(part: Part) -> Layout:
    """The weights of a part; nothing is computed."""
    front, tail = part.stages
    shape, ahead, trained, statistics = (1, *part.shape), {}, [], {}
    for stage in front.values():
        found = noted(stage, shape)
        shape, ahead = found.shape, {**ahead, **found.zeros}
    for stage in tail.values():
        found = noted(stage, shape)
        running = {name for name in found.zeros if name.endswith(("running_mean", "running_var"))}
        trained.append({name: zeros for name, zeros in found.zeros.items() if name not in running})
        statistics |= {name: found.zeros[name] for name in running}
        shape = found.shape
    return Layout(ahead, tuple(stage for stage in trained if stage), statistics, shape[-1])


class Tuned(nnx.Module):
    """A part of a pretrained network, and a head."""

    def __init__(self, part: Part, statistics: str, outputs: int, lowering: str) -> None:
        found = layout(part)
        of_batch = statistics == "trained"
        fixed = found.front if of_batch else {**found.front, **found.statistics}
        self.pretrained = _filled(
            nnx.Param, {name: s for stage in found.trained for name, s in stage.items()}
        )
        self.statistics = _filled(nnx.BatchStat, found.statistics if of_batch else {})
        self.frozen = _filled(Frozen, fixed)
        self.head = Head(found.features, outputs)
        self.part, self.lowering = part, lowering

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        """[B, ...] float32 -> [B, outputs] float32; pixels with the mean 0 and SD 1 of the pretraining."""
        front, tail = self.part.stages
        place = Place(self._take, self.lowering)
        if self.part.inputs != ACTIVATIONS:
            x = _coloured(x, self.part.network)
        for stage in front.values():
            x = stage(place, x)
        if self.part.inputs == ROUNDED:
            x = lax.reduce_precision(x, exponent_bits=5, mantissa_bits=10)
        moved: dict[str, jax.Array] | None = {} if mode.train and len(self.statistics) else None
        for stage in tail.values():
            x = stage(Place(self._take, self.lowering, moved=moved), x)
        for name, value in (moved or {}).items():
            self.statistics[name][...] = value
        return self.head(x[:, 0] if x.ndim == 3 else x, mode)

    def _take(self, name: str, *_: object) -> jax.Array:
        group = next(g for g in (self.pretrained, self.statistics, self.frozen) if name in g)
        return group[name][...]


def build(
    hparams: HParams,
    shape: tuple[int, ...],
    outputs: int,
    dtype: DTypeLike,  # noqa: ARG001  refused at the door where it is not float32
    lowering: str,
    rngs: nnx.Rngs,
) -> nnx.Module:
    """The network, see `nachos_jax.models.registry`; its pretrained weights stand at zero."""
    network = Tuned(part_of(hparams, shape), str(hparams["tuned.statistics"]), outputs, lowering)
    draw_weights(network, rngs)
    return network


def factors(hparams: HParams, shape: tuple[int, ...]) -> Callable[[Mapping[str, Any], Any], dict[str, Any]]:
    """What multiplies the learning rate of pretrained weights, see `nachos_jax.models.registry`."""
    stages = layout(part_of(hparams, shape)).trained
    return functools.partial(_by_name, tuple(tuple(stage) for stage in stages))


def _by_name(stages: tuple[tuple[str, ...], ...], traced: Mapping[str, Any], epoch: Any) -> dict[str, Any]:
    """Rate over learning rate of each weight; stages by names of their weights, the last one at the head."""
    top = jnp.where(jnp.float32(epoch) < traced["tuned.head_epochs"], 0.0, traced["tuned.backbone_rate"])
    found = {}
    for depth, stage in enumerate(reversed(stages)):
        found |= dict.fromkeys(stage, top * traced["tuned.layer_decay"] ** depth)
    return {"pretrained": found}


def pretrained(
    hparams: HParams, shape: tuple[int, ...], weights: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Where pretrained weights stand in the network, see `nachos_jax.models.registry`."""
    found, of_batch = layout(part_of(hparams, shape)), hparams["tuned.statistics"] == "trained"
    chosen = {
        "pretrained": [name for stage in found.trained for name in stage],
        "statistics": list(found.statistics) if of_batch else [],
        "frozen": [*found.front, *([] if of_batch else found.statistics)],
    }
    groups = {"params": "pretrained", "stats": "statistics", "frozen": "frozen"}
    return {
        group: {module: {name: weights[name] for name in chosen[module]}} if chosen[module] else {}
        for group, module in groups.items()
    }


def _filled(kind: type[nnx.Variable], shapes: Mapping[str, tuple[int, ...]]) -> Any:
    return nnx.Dict({name: kind(jnp.zeros(shape, jnp.float32)) for name, shape in shapes.items()})


def _coloured(x: jax.Array, network: Network) -> jax.Array:
    """Normalised pixels [B, H, W, C] with three colours, each by its own mean and SD: gray as equal ones."""
    if x.shape[-1] == 3:
        return x
    mean, sd = (jnp.asarray(one, jnp.float32)[None, None, None] for one in network.expected.mean_sd)
    return (x * sd.mean() + mean.mean() - mean) / sd
