"""From a bucket to its compiled program: lowering, packing and lane count that suit the devices."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Fit, HParams, digest
from nachos_jax.data.table import Cohort
from nachos_jax.engine import bases, memory, tuning
from nachos_jax.engine.bases import Bases, Shelf
from nachos_jax.engine.buckets import OF_SOLVED, Bucket
from nachos_jax.engine.inputs import InputMaker
from nachos_jax.engine.lane import LaneInput, LaneSpec
from nachos_jax.engine.program import LaneProgram, fitting_program
from nachos_jax.engine.resident import Resident
from nachos_jax.engine.streamed import Streamed
from nachos_jax.engine.tuning import Agree, Asker, Choice
from nachos_jax.engine.windows import Windows
from nachos_jax.models import joined, registry
from nachos_jax.tasks import registry as tasks
from nachos_jax.tasks.task import Setting

_TRIAL_STEPS = 4
"""Training steps that tell one candidate from another."""


class BucketCompiler:
    """Compiles programs over one store of the cases of a run.

    Further arguments as of `nachos_jax.engine.pool.LanePool`; `stores` is what all stores on the devices take
    over what this one takes: how many there are, where they are of equal size. `shelf` keeps what is computed
    of training sets for buckets whose networks are solved.
    """

    def __init__(
        self,
        run: RunConfig,
        maker: InputMaker,
        mesh: Mesh,
        agree: Agree,
        stores: float = 1,
        shelf: Shelf | None = None,
    ):
        self._run, self.maker, self._mesh, self._agree, self._stores = run, maker, mesh, agree, stores
        self._device = mesh.devices.flat[0]
        self._bases: dict[Bucket, Bases] = {}
        self._shelf = shelf
        self._allowed = memory.allowance(self._device, mesh.size, run.engine.memory_fraction)
        cohort = maker.cohort
        self.streams = not memory.stays(
            run.data.residency, round(stores * cohort.store.nbytes), self._allowed
        )
        self._source = (Streamed if self.streams else Resident)(cohort, maker.windows, mesh)

    @property
    def room(self) -> int:
        """Bytes on each device beside the cases."""
        return self._allowed - round(self._stores * self._source.nbytes)

    def program(self, bucket: Bucket, example: Fit, most: int = 0) -> tuple[LaneProgram, int]:
        """Compiles the epoch of a bucket, for devices of its own.

        Also returns the bytes that it and its lanes take on each device beside the cases.

        Args:
            bucket: which.
            example: one of its fits, for shapes and for the steps that are timed.
            most: lanes a device that it may have; 0 = as the configuration says.

        Raises:
            UsageError: not even one lane fits.
        """
        self._check(bucket)
        want = most or self._lanes_to_try()
        maker = self.maker_of(bucket)
        told = maker.idle() if maker.bases else maker.make(example, batch_size(bucket))
        return self._fitting(bucket, told, self._choice(bucket, told, want), want)

    def expected(self, bucket: Bucket) -> tuple[LaneProgram, int]:
        """Compiles a bucket as is expected to be fastest, for devices of its own; times and trains nothing.

        Also returns the bytes that it and its lanes take on each device beside the cases.

        Raises:
            UsageError: not even one lane fits.
        """
        self._check(bucket)
        told, choice = self.maker_of(bucket).idle(), self._choices(bucket)[0]
        return self._fitting(bucket, told, choice, self._lanes_to_try())

    def maker_of(self, bucket: Bucket) -> InputMaker:
        """What makes the inputs of a bucket's lanes."""
        static, maker = dict(bucket), self.maker
        if not registry.convex(str(static["architecture"])):
            return maker
        if bucket not in self._bases:
            room, first = bases.rooms(maker.folds, bool(static[OF_SOLVED[1]]))
            store, rows = maker.cohort.store, maker.windows.rows
            self._bases[bucket] = Bases(store, rows, room, self._shelf, first)
        return replace(maker, bases=self._bases[bucket])

    def _check(self, bucket: Bucket) -> None:
        if self.streams and registry.convex(str(dict(bucket)["architecture"])):
            raise UsageError(
                f"{dict(bucket)['architecture']} is solved over all cases at once, and they do not fit on a "
                "device: raise config.engine.memory_fraction, or set config.model.architecture = 'mlp'."
            )

    def _lanes_to_try(self) -> int:
        return memory.lanes_to_try(self._device.platform, self._run.engine.lanes)

    def _choices(self, bucket: Bucket) -> tuple[Choice, ...]:
        shape = tasks.of(self._run.task).network_shape(self.maker.cohort.shape, dict(bucket))
        return choices(self._run, self._device.platform, str(dict(bucket)["architecture"]), shape)

    def _fitting(
        self, bucket: Bucket, told: LaneInput, choice: Choice, lanes: int
    ) -> tuple[LaneProgram, int]:
        spec = self._spec(bucket, choice.convolution)
        return fitting_program(
            lambda count: self._source.compile(spec, told, count, choice.packing), lanes, self.room
        )

    def _choice(self, bucket: Bucket, told: LaneInput, lanes: int) -> Choice:
        cohort, choices = self.maker.cohort, self._choices(bucket)
        key = {
            "device": self._device.device_kind,
            "devices": self._mesh.size,
            "jax": [jax.__version__, metadata.version("jaxlib")],
            "bucket": [list(pair) for pair in bucket],
            "image": list(tasks.of(self._run.task).network_shape(cohort.shape, dict(bucket))),
            "classes": len(cohort.targets.names),
            "precision": self._run.precision,
            "augmentations": sorted(self._run.augmentations),
            "flags": os.environ.get("XLA_FLAGS", ""),
            **({"tuned": self._run.tuned} if self._run.tuned else {}),
            **joined.told(cohort.joined),
        }
        # Lanes in turn take as long as each of them: one is enough where no other packing is timed.
        lanes = 1 if {choice.packing for choice in choices} == {"map"} else lanes
        while True:
            try:
                prepare = functools.partial(self._few_steps, bucket, told, lanes)
                asker = self._asker(bucket, told, lanes)
                return tuning.choose({**key, "lanes": lanes}, choices, prepare, self._agree, asker)
            except Exception as error:
                if lanes == 1 or not memory.exhausted(error):
                    raise
                lanes //= 2

    def _asker(self, bucket: Bucket, told: LaneInput, lanes: int) -> Asker:
        """This run and the steps that it is expected to take: half of its epochs, as most fits stop early."""
        run, folds = self._run, self.maker.folds
        fits = run.search.trials * len(folds.numbers()) * max(1, folds.count - 1) / 2
        steps = fits * run.limit.epochs / 2 * int(told.steps)
        name = digest([self.maker.cohort.hash, repr(run), [list(pair) for pair in bucket]])
        return Asker(name, steps, _TRIAL_STEPS * lanes * self._mesh.size)

    def _few_steps(self, bucket: Bucket, told: LaneInput, lanes: int, choice: Choice) -> Callable[[], None]:
        """Compiles a candidate over the first cases of one window; the function runs a few steps of it."""
        spec = self._spec(bucket, choice.convolution)
        rows = _TRIAL_STEPS * spec.batch_size
        cases = np.resize(np.arange(min(rows, len(self.maker.cohort.table))), rows)
        few = Resident(self.maker.cohort, Windows(cases, rows), self._mesh)
        sample = told._replace(
            training=np.ones(rows, bool),
            steps=np.int32(_TRIAL_STEPS),
            held=np.zeros(1, np.int32),
            n_held=np.int32(0),
        )
        return few.few_steps(replace(spec, window=rows, predict_batch=1), sample, lanes, choice.packing)

    def _spec(self, bucket: Bucket, lowering: str) -> LaneSpec:
        cohort = self.maker.cohort
        spec = lane_spec(self._run, bucket, cohort, lowering)
        if cohort.weights:
            _check_inputs(self._run, cohort)
            spec = _started(spec, {**dict(bucket), **self._run.tuned}, cohort)
        most = tuning.held_batch(self._device.platform, cohort.shape, spec.task.held_batch)
        batch = min(most, self.maker.held_size)
        return replace(spec, predict_batch=batch, window=self.maker.windows.size)


def batch_size(bucket: Bucket) -> int:
    """Cases a training step; 1 of what has no steps."""
    return int(dict(bucket).get("batch_size", 1))


def choices(
    run: RunConfig, platform: str, architecture: str, shape: tuple[int, ...] = ()
) -> tuple[Choice, ...]:
    """The ways to compute the lanes of an architecture that are worth timing, the expected one first."""
    engine = run.engine
    found = tuning.candidates(platform, engine.packing, engine.convolution, shape)
    if registry.convex(architecture) and engine.packing == "auto":
        # In turn no lane waits for one that takes more steps; an accelerator is filled only by many.
        return (replace(found[0], packing="map" if platform == "cpu" else "vmap"),)
    if not registry.convolutions(architecture):
        found = tuple(dict.fromkeys(replace(one, convolution=found[0].convolution) for one in found))
    return found


def lane_spec(run: RunConfig, bucket: Bucket, cohort: Cohort, lowering: str = "lax") -> LaneSpec:
    """What the lanes of a bucket share, for one case at a time: who knows the cases sets batch and window.

    Args:
        run: the checked configuration.
        bucket: which.
        cohort: whose shapes and names of what is predicted matter, and nothing else.
        lowering: of convolutions, see models/convolution.py.
    """
    static = {**dict(bucket), **run.tuned, **joined.told(cohort.joined)}
    task_of_run = tasks.of(run.task)
    shape = task_of_run.network_shape(cohort.shape, static)
    traced = (row for row in task_of_run.hyperparameters if row.kind == "choice" and not row.static)
    tried = {row.name: run.candidates(row.name) for row in traced}
    task = task_of_run.device(cohort.targets.names, static, Setting(shape, tried))
    dtype = jnp.bfloat16 if run.precision == "bfloat16" else jnp.float32
    return LaneSpec(
        build=functools.partial(registry.build, static, shape, task.outputs, dtype, lowering),
        task=task,
        batch_size=batch_size(bucket),
        family=str(static.get("optimizer", "sgd")),
        augmentations=run.augmentations,
        dropout=run.uses("dropout"),
        horizon=run.limit.epochs,
        predict_batch=1,
        window=1,
        frozen=registry.frozen(static),
        bfloat16=run.precision == "bfloat16",
        balanced="balanced_sampling" in run.defaults and run.uses("balanced_sampling"),
        clip=run.uses("gradient_clip"),
        quick=run.engine.compilation == "quick",
        convex=registry.convex(str(static["architecture"])),
        factors=registry.factors(static, shape),
    )


def _check_inputs(run: RunConfig, cohort: Cohort) -> None:
    """Refuses configurations from Python that augment images of which only activations are there."""
    given, wanted = cohort.preparation["backbone"]["inputs"], run.tuned["tuned.inputs"]
    if given != wanted:
        names = ", ".join(f"config.augmentation.{name}" for name in sorted(run.augmentations)) or "them"
        raise UsageError(
            f"the cohort holds {given} of the backbone, and these configurations need {wanted}: set {names} "
            "in the config too, and pass the cohort of images."
        )


def _started(spec: LaneSpec, static: HParams, cohort: Cohort) -> LaneSpec:
    """The same with the weights of the cohort's pretrained network, which every fit starts from."""
    groups = registry.pretrained(static, cohort.shape, cohort.weights)
    first = {name: groups[name] for name in ("params", "stats")}
    return replace(spec, frozen=groups["frozen"], pretrained=first)
