"""What a config leaves to a plan, filled in from the cases: patch, levels, channels and batch of trial 0.

A plan follows from shapes and spacings of all cases, which stand in their headers: no mask, no intensity and
no fold matters. So all studies have one trial 0, and no target or pixel of a test fold reaches its search.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nachos_jax.config.fields import FIELDS
from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import by_name
from nachos_jax.core.space import Dimension
from nachos_jax.core.types import HParams, HParamValue
from nachos_jax.data.ragged import Ragged
from nachos_jax.data.table import Cohort
from nachos_jax.models import registry
from nachos_jax.models.planning import Fingerprint, Plan, Wanted
from nachos_jax.tasks import registry as tasks
from nachos_jax.tasks.segmenting.plan import SIDES

_MEMORY = FIELDS["task.plan_memory"]


def applied(run: RunConfig, cohort: Cohort) -> RunConfig:
    """The run with a value for all that it left open, and sentences on them in `planned`.

    What the config sets stays as it is. A value that is searched too is moved into the space, to the nearest
    that it holds.

    Raises:
        UsageError: something is left open, and nothing here can plan it.
    """
    rows = by_name(run.table)
    architecture = str(run.defaults["architecture"])
    rules = registry.planner(architecture)
    store = cohort.store
    if rules is None or not isinstance(store, Ragged):
        task = tasks.of(run.task)
        if not task.masks or registry.suits(architecture, task):  # else the door says what would suit
            _nothing_open(run, architecture)
        return run
    wanted = _wanted(run, architecture)
    found = Fingerprint(store.sides, store.spacing, len(cohort.targets.names) + 1)
    planned = rules(found, wanted)
    spaces = {dimension.name: dimension for dimension in run.search.space}
    values, lines = {}, []
    for name, value in _values(planned, architecture, run).items():
        if name in spaces and not spaces[name].holds(value):
            near = _nearest(spaces[name], value)
            lines.append(f"{name}: {value} planned, {near} is the nearest in config.{rows[name].space_key}")
            value = near
        value = min(value, type(value)(rows[name].high)) if name in SIDES else value
        values[name] = rows[name].check(value, f"the plan's {name}")
    if not values:
        _nothing_open(run, architecture)
        return run
    both = {**run.defaults, **values}
    together = int(both["batch_size"]) * int(both["segmentation.patches"])
    if together > planned.batch:
        lines.append(
            f"a step sees {together} patches, as the config wants, where the plan's memory is for "
            f"{planned.batch}"
        )
    told = (_sentence(found, values, run.plan_memory), *lines)
    return replace(run, defaults={**run.defaults, **values}, planned=told)


def _wanted(run: RunConfig, architecture: str) -> Wanted:
    values = run.defaults
    return Wanted(
        memory=run.plan_memory,
        dimensions=int(values["segmentation.dimensions"]),
        patch=tuple(int(values[name]) for name in SIDES),
        depth=int(values[f"{architecture}.depth"]),
        width=int(values[f"{architecture}.width"]),
        multiplier=float(values[f"{architecture}.multiplier"]),
        convolutions=int(values[f"{architecture}.convolutions"]),
        cases=int(values["batch_size"]),
        patches=int(values["segmentation.patches"]),
    )


def _values(plan: Plan, architecture: str, run: RunConfig) -> dict[str, HParamValue]:
    """What the plan says of each hyperparameter that the config leaves open."""
    # Sides that fit one number of dimensions, or one spacing, would bind the trials of the other ones.
    sides = all(len(set(run.candidates(name))) == 1 for name in ("segmentation.dimensions", "spacing"))
    found: dict[str, HParamValue] = dict(zip(SIDES, plan.patch, strict=True)) if sides else {}
    found |= {
        f"{architecture}.depth": plan.depth,
        f"{architecture}.width": plan.width,
        f"{architecture}.flat_levels": plan.flat,
        "batch_size": plan.cases,
        "segmentation.patches": plan.patches,
    }
    rows = by_name(run.table)
    return {
        name: value
        for name, value in found.items()
        if run.defaults[name] == (0 if name in SIDES else rows[name].planned)
    }


def _nearest(dimension: Dimension, value: HParamValue) -> HParamValue:
    """The value of the space next to a number, the smaller of two."""
    number = float(value)
    if dimension.kind == "choice":
        return min(dimension.values, key=lambda one: (abs(float(one) - number), float(one)))
    return type(value)(min(max(number, dimension.low), dimension.high))


def _sentence(found: Fingerprint, values: HParams, memory: float) -> str:
    shape, step = (" x ".join(f"{one:g}" for one in of) for of in (found.shape, found.step))
    told = ", ".join(f"{name} = {value}" for name, value in _shown(values).items())
    return (
        f"planned from {len(found.sides):,} cases of {shape} voxels of {step} mm (medians of their headers) "
        f"for {memory:g} GB a fit (config.task.plan_memory; nnU-Net: 8): {told}"
    )


def _shown(values: HParams) -> Mapping[str, object]:
    """The values, the sides of a patch as one."""
    if not set(SIDES) <= set(values):
        return values
    patch = " x ".join(str(values[name]) for name in SIDES)
    return {"patch": patch, **{name: value for name, value in values.items() if name not in SIDES}}


def _nothing_open(run: RunConfig, architecture: str) -> None:
    """Refuses what only a plan could give, or what only a plan would read."""
    for name, row in by_name(run.table).items():
        open_here = row.planned is not None and run.defaults[name] == row.planned
        if open_here and (row.when is None or architecture in row.when[1]):
            raise UsageError(
                f"config.{row.key} = {row.planned}: it is planned from the cases for segmentation by a U-Net "
                f"alone; set a number from {row.low:g}."
            )
    if run.plan_memory != _MEMORY.default:
        raise UsageError(
            f"config.task.plan_memory = {run.plan_memory:g} does nothing here: nothing is left to a plan. "
            f"Set it back to {_MEMORY.default:g}, or depth, width, batch or patch to 0."
        )
