"""The last door before training: what can only be checked with config, cases and folds together."""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from nachos_jax.audit import door as audit
from nachos_jax.config.field import flat
from nachos_jax.config.run_config import RunConfig
from nachos_jax.configs import base
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import FLIP_DEPTH, Hyperparameter, active, by_name
from nachos_jax.core.space import Dimension, parse
from nachos_jax.core.types import HParams, HParamValue
from nachos_jax.data.table import Cohort
from nachos_jax.engine import measuring
from nachos_jax.engine.windows import divide
from nachos_jax.metrics import decisions
from nachos_jax.models import registry as models
from nachos_jax.protocol.design import protocols
from nachos_jax.protocol.run import baselines, class_words, embedding, mask_scales, report_rules, unit_rules
from nachos_jax.search import registry as searchers
from nachos_jax.search.policies import registry as policies
from nachos_jax.search.searcher import SearchSetting
from nachos_jax.splits import checks
from nachos_jax.splits.folds import FEWEST, Folds
from nachos_jax.tasks import registry as tasks

log = logging.getLogger("nachos_jax")

_CURES = {
    "stratified": "Raise config.folds.count",
    "predefined": "Name more folds in the data, or set config.folds.scheme = 'stratified'",
    "site": "Add cases of another site, or set config.folds.scheme = 'stratified'",
}
"""Of too few folds, by scheme."""


def check_config(run: RunConfig) -> None:
    """Refuses what no data could make right; a sweep asks this of every run before the first one starts.

    Raises:
        UsageError: a searcher that is unknown or cannot search the space, a metric that is unknown or cannot
            select, a rule for the threshold that cannot be read, or what the protocol cannot stand.
    """
    searchers.build(run.search.searcher, SearchSetting.of(run, None))
    policies.build(run.search.policy)
    name = run.search.metric
    if name == "ece":
        raise UsageError(
            "config.search.metric = 'ece' would choose models that predict how frequent the classes are; "
            "their error is 0. Select by log_loss or brier; the report gives the error all the same."
        )
    _known_metric(run)
    _final_masks(run)
    embedding.check(run)
    _solved_losses(run)
    decisions.parse_rule(run.report.threshold)
    audit.check_names(run.data.allow)
    protocols.of(run).check(run)


def _known_metric(run: RunConfig) -> None:
    task, name = tasks.of(run.task), run.search.metric
    if name not in task.metrics:
        known = ", ".join(metric for metric in task.metrics if metric != "ece")
        raise UsageError(
            f"config.search.metric = {name!r}: must be one of {known} (config.task.name = {run.task!r}), or "
            f"'' for {task.headline}."
        )


def _solved_losses(run: RunConfig) -> None:
    """Refuses a loss that a network that is solved cannot learn by, before features are made."""
    names = [str(name) for name in run.candidates("architecture") if models.convex(str(name))]
    for row in run.table if names and not tasks.of(run.task).masks else ():
        for value in run.candidates(row.name) if row.tasks and row.static else ():
            device = tasks.of(run.task).device(("any", "other"), {row.name: value})
            if not getattr(device, "convex", False):
                weights = ", which config.backbone.weights stands for where no network is named"
                raise UsageError(
                    f"config.{row.key} = {value!r} cannot be solved by {names[0]}"
                    f"{weights if run.backbone.weights else ''}: take another loss, or "
                    "config.model.architecture = 'mlp'."
                )


def _final_masks(run: RunConfig) -> None:
    asked = f"config.task.ensemble = {run.ensemble}" if run.ensemble > 1 else ""
    asked = asked or ("config.task.largest_component = True" if run.largest_component else "")
    if not asked:
        return
    if not tasks.of(run.task).masks:
        raise UsageError(f"{asked} is of masks: leave it out (config.task.name = {run.task!r}).")
    if run.protocol == "flat":
        raise UsageError(
            f"{asked}: the flat protocol refits nothing that could make a final mask; set config.protocol = "
            "'nested'."
        )
    if run.ensemble > 1 and run.search.policy != "full":
        raise UsageError(
            f"{asked} needs trials that are trained in full, and config.search.policy = "
            f"{run.search.policy!r} gives trials up: set it to 'full'."
        )
    if run.ensemble > 1 and any(dimension.name == "spacing" for dimension in run.search.space):
        raise UsageError(
            f"{asked} averages probabilities on one grid, and config.search.space.spacing gives trials "
            "several: set one of both back."
        )
    if run.ensemble > run.search.trials:
        raise UsageError(
            f"{asked}: a study has {run.search.trials} trials; lower it to that, or raise "
            "config.search.trials."
        )


def check_task(run: RunConfig, cohort: Cohort) -> None:
    """Refuses a cohort given from Python whose targets were read by another task.

    Raises:
        UsageError: they were.
    """
    if cohort.targets.task != run.task:
        raise UsageError(
            f"config.task.name = {run.task!r}, and the cohort was made for {cohort.targets.task!r}: pass "
            f"task={run.task!r} to nachos_jax.cohort, or set config.task.name."
        )


def check_fit(run: RunConfig, cohort: Cohort, values: HParams) -> None:
    """Refuses a fit of no study that would fail later, or that no study could have.

    Args:
        run: the run.
        cohort: the cases.
        values: a value of every hyperparameter of the run, active or not.

    Raises:
        UsageError: as `check`, of what needs no folds.
    """
    run = replace(run, defaults=values, search=replace(run.search, space=()))
    _known_metric(run)
    embedding.check(run)
    _solved_losses(run)
    _vectors(run, cohort)
    measuring.check(run, cohort)
    _networks(run, cohort, begun=False)
    _solved(run)
    baselines.check(run, cohort)
    class_words.check_order(run, cohort.targets)


def check(run: RunConfig, cohort: Cohort, folds: Folds, begun: bool = False) -> list[str]:
    """Refuses a run that would fail later; one that has begun keeps the leakage that it began with.

    Returns:
        Sentences on cases that can be used but weaken the estimate.

    Raises:
        UsageError: too few folds, a searcher or selection metric that is unknown or cannot be computed, a
            batch larger than a training set, images too small for a network that may be tried, an order of
            classes that is needed and not known, images on other scales, a headline by unit that is undefined
            on every fold, or leakage that the user has not accepted.
    """
    if folds.count < FEWEST:
        raise UsageError(
            f"{folds.count} folds: nested cross-validation needs at least {FEWEST} (one to test, one "
            f"to validate, one to train). {_CURES[run.folds.scheme]}."
        )
    check_config(run)
    _metric(run, cohort, folds)
    report_rules.check(run, cohort, begun)
    _vectors(run, cohort)
    measuring.check(run, cohort)
    if not begun:
        _cheapest(run)
    _networks(run, cohort, begun)
    _solved(run)
    if not begun:
        check_space(run)
    baselines.check(run, cohort)
    if not models.solved(run.candidates("architecture")):
        _batches(run, cohort, folds)
    class_words.check_order(run, cohort.targets)
    copies = audit.check(cohort, folds, run.data.allowed, begun)
    targets, sites = cohort.targets, cohort.table.sites
    weak = checks.warnings(folds, targets.has, targets.names, targets.noun, sites)
    scales = mask_scales.check(run, cohort, begun)
    for text in unit_rules.undefined(run, cohort, folds, begun):  # of settings that may change
        log.warning("%s", text)
    return [*weak, *copies, *scales, *class_words.warnings(run, targets)]


def _metric(run: RunConfig, cohort: Cohort, folds: Folds) -> None:
    task, name = tasks.of(run.task), run.search.metric
    for fold in folds.numbers():
        why = task.undefined(name, cohort.targets.of(folds.cases(fold)))
        if why:
            other = " or log_loss" if "log_loss" in task.metrics else ""
            raise UsageError(
                f"config.search.metric = {name!r} is undefined on fold {fold} ({why}), which serves "
                f"as an inner fold: select by {task.headline}{other}, or change the folds."
            )


def _solved(run: RunConfig) -> None:
    """A network that is solved needs all cases at once, and no learning rate."""
    names = run.candidates("architecture")
    found = [str(name) for name in names if models.convex(str(name))]
    if found:
        _resident(run, found[0])
    whole = [str(name) for name in names if models.solved([name])]
    nothing = by_name(run.table)["architecture"].idle(whole[0]) if whole else ()
    idle = [dimension.name for dimension in run.search.space if dimension.name in nothing]
    if idle and len(whole) == len(names):
        raise UsageError(
            f"config.search.space.{idle[0]}: {whole[0]} is not trained step by step, so it does "
            f"nothing. Set {', '.join(f'config.search.space.{name}' for name in idle)} to ''."
        )


def _resident(run: RunConfig, name: str) -> None:
    if run.data.residency == "stream":
        raise UsageError(
            f"config.data.residency = 'stream': {name} is solved over all cases at once; set it to 'auto'."
        )


def _vectors(run: RunConfig, cohort: Cohort) -> None:
    """What only images or only volumes have."""
    if len(cohort.shape) == 1 and run.augmentations:
        name = sorted(run.augmentations)[0]
        raise UsageError(
            f"config.augmentation.{name} changes images, and these cases are vectors of features: set it to "
            f"0 and config.search.space.{name} to '' (config.backbone.views makes views of images)."
        )
    if len(cohort.shape) == 3 and FLIP_DEPTH.name in run.augmentations:
        raise UsageError(
            f"config.augmentation.{FLIP_DEPTH.name} mirrors the depth of volumes, and these cases are "
            f"images: set it to 0 and config.search.space.{FLIP_DEPTH.name} to ''."
        )


def _batches(run: RunConfig, cohort: Cohort, folds: Folds) -> None:
    firsts = range(0, len(folds.numbers()), folds.count)
    pairs = [
        pair for first in firsts for pair in itertools.combinations(range(first, first + folds.count), 2)
    ]
    windows = divide(len(cohort.table), run.data.window, run.seed)
    smallest = min(windows.fewest(folds.training(pair)) for pair in pairs)
    where = "training set has" if windows.count == 1 else "part of a training set that lies in one window has"
    largest = int(max(run.candidates("batch_size")))
    if largest > smallest:
        raise UsageError(
            f"batch_size can be {largest}, but the smallest {where} {smallest} cases: lower it "
            "in config.training.batch_size or config.search.space.batch_size"
            + (", or raise config.data.window." if windows.count > 1 else ".")
        )


def _networks(run: RunConfig, cohort: Cohort, begun: bool) -> None:
    task = tasks.of(run.task)
    for architecture in run.candidates("architecture"):
        if models.maps(architecture) != task.masks:
            fitting = ", ".join(repr(name) for name in models.names() if models.suits(name, task))
            raise UsageError(
                f"config.model.architecture = {architecture!r} does not suit config.task.name = "
                f"{run.task!r}: choose {fitting}."
            )
        chosen = [
            {**run.defaults, "architecture": architecture, "spacing": spacing}
            for spacing in (run.candidates("spacing") if task.masks else [run.defaults["spacing"]])
        ]
        for values in chosen:
            for searched in _searched(run, str(architecture), begun):
                _network(run, {**values, **searched}, cohort)


def _searched(run: RunConfig, architecture: str, begun: bool) -> Iterator[HParams]:
    """What trials may have of the hyperparameters of task and architecture: of ranges their bounds.

    All values of the task together, and with each value of the architecture; of a run that has begun each
    value alone: so it was checked, and it may never meet what is refused together.
    """
    of_task = [dimension for dimension in run.search.space if dimension.name.startswith(f"{run.task}.")]
    own = [
        {dimension.name: value}
        for dimension in run.search.space
        if dimension.name == "norm" or dimension.name.startswith(f"{architecture}.")
        for value in _tried(run, dimension)
    ]
    if begun:
        yield from ({}, *own, *({one.name: value} for one in of_task for value in _tried(run, one)))
        return
    for values in itertools.product(*(_tried(run, dimension) for dimension in of_task)):
        inputs = dict(zip((dimension.name for dimension in of_task), values, strict=True))
        yield from (inputs, *({**inputs, **one} for one in own))


def _tried(run: RunConfig, dimension: Dimension) -> list[Any]:
    return [value for value in dict.fromkeys(run.candidates(dimension.name)) if dimension.holds(value)]


def check_fold_key(run: RunConfig) -> None:
    """Refuses a column of folds where other folds are made.

    Raises:
        UsageError: one is named.
    """
    key, scheme = run.data.fold_key, run.folds.scheme
    if key and scheme != "predefined":
        raise UsageError(
            f"config.data.fold_key = {key!r} does nothing with config.folds.scheme = {scheme!r}: set "
            "config.folds.scheme = 'predefined', or config.data.fold_key = ''."
        )


def check_space(run: RunConfig) -> None:
    """Refuses what does nothing beside any value of another row: what users search, what a network is set to.

    The default space searches what only some values of others read, and may keep it. Of what belongs to
    another network, which a sweep over networks has beside one config, it is only told.

    Raises:
        UsageError: there is some.
    """
    searched = {dimension.name: dimension for dimension in run.search.space}
    rows, usual = by_name(run.table), _default_space()
    for name, row in rows.items():
        owner, parent = name.partition(".")[0], (row.when or ("",))[0]
        of_network = parent.startswith(f"{owner}.") and owner in run.candidates("architecture")
        asked = name in searched and (of_network or searched[name] != usual.get(name))
        if not asked and not (of_network and run.defaults[name] != row.default):
            continue
        barred = _barred(run, name, rows, searched)
        if barred is not None and barred[0] == "architecture":
            log.warning(
                "config.%s does nothing: the network is %s", row.space_key, run.defaults["architecture"]
            )
        elif barred is not None:
            parent, wanted = barred
            key, cure = (row.space_key, f"config.{row.space_key} to ''") if asked else (row.key, "")
            raise UsageError(
                f"config.{key} does nothing beside {parent} = {run.defaults[parent]!r}: {name} acts with "
                f"{', '.join(map(repr, wanted))}. Set config.{rows[parent].key} to one of these, or "
                f"{cure or f'leave {name} out'}."
            )


def _barred(
    run: RunConfig, name: str, rows: Mapping[str, Hyperparameter], searched: Mapping[str, Dimension]
) -> tuple[str, tuple[HParamValue, ...]] | None:
    """The row, and its values, without which a hyperparameter does nothing, if no trial can have them."""
    while (when := rows[name].when) is not None:
        name, wanted = when
        space, value = searched.get(name), run.defaults[name]
        planned = rows[name].planned
        if planned is not None and value == planned and not isinstance(value, bool):
            continue  # the cases tell it
        if value not in wanted and not (space and any(map(space.holds, wanted))):
            return when
    return None


@functools.cache
def _default_space() -> dict[str, Dimension]:
    """What the default config searches."""
    values = flat(base.get_config().to_dict())
    found = [row for row in base.table() if values[row.space_key]]
    return {row.name: parse(values[row.space_key], row, f"config.{row.space_key}") for row in found}


def _cheapest(run: RunConfig) -> None:
    """Refuses a rule that prefers the cheaper trial where none is cheaper than another."""
    names = sorted({str(name) for name in run.candidates("architecture")})
    alike = models.solved(names) and (len(names) == 1 or all(map(models.hosted, names)))
    estimators = list(filter(models.hosted, names))
    if run.search.rule == "one-se" and estimators and not alike:
        raise UsageError(
            "config.search.rule = 'one-se' prefers trials with fewer parameters and epochs, which are not "
            f"counted of {' and '.join(estimators)}: set it to 'best', or search that by a run of its own."
        )
    if run.search.rule == "one-se" and alike:
        raise UsageError(
            "config.search.rule = 'one-se' prefers trials with fewer parameters and epochs, and all trials "
            f"of {' and '.join(names)} have as many: set it to 'best'."
        )


def _network(run: RunConfig, values: HParams, cohort: Cohort) -> None:
    hparams = active(values, run.table)
    models.check(hparams, tasks.of(run.task).network_shape(cohort.prepared(hparams).shape, hparams))
