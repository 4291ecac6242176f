"""From a config to a frozen, checked RunConfig: every check that needs nothing but the config lives here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from nachos_jax.config import priors, subgroups, windows
from nachos_jax.config.data_fields import DESCRIBED, OF_IMAGES, OF_VECTORS
from nachos_jax.config.field import check_type, flat, nested
from nachos_jax.config.fields import BACKBONE, BY_SUBJECT, FIELDS, REPORT
from nachos_jax.config.run_config import (
    BackboneConfig,
    DataConfig,
    EngineConfig,
    FoldsConfig,
    ReportConfig,
    RunConfig,
    SearchConfig,
)
from nachos_jax.core import space
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import Hyperparameter, of_config, of_task
from nachos_jax.core.types import EpochLimit

POLICY = "race-fitted"
"""Of a nested run whose config leaves it open."""


def parse(
    config: Mapping, reference: Mapping, table: Sequence[Hyperparameter], headlines: Mapping[str, str]
) -> RunConfig:
    """Checks a config and freezes it.

    Args:
        config: the user's, nested mappings.
        reference: the default config: names and types of all fields.
        table: all hyperparameters: training, tasks and architectures.
        headlines: the metric that each task selects by unless the config names one.

    Returns:
        The run, with the hyperparameters of its task; `raw` names the selection metric and the policy.

    Raises:
        UsageError: an unknown or missing key, a value of the wrong type or out of range.
    """
    values = flat(config)
    _check_keys(values, flat(reference))
    _check_task(values["task.name"], tuple(headlines))
    values["search.metric"] = values["search.metric"] or headlines[values["task.name"]]
    left_open = not values["search.policy"]
    if left_open:
        values["search.policy"] = "full" if values["protocol"] == "flat" else POLICY
    checked = {key: field.check(values[key]) for key, field in FIELDS.items()}
    hparams = {row.name: row.check(values[row.key], f"config.{row.key}") for row in table}
    dimensions = _dimensions(values, table)
    _check_idle(values, table, checked["task.name"])
    _check_together(checked)
    raw, parts = nested(values), nested(checked)
    rows = of_config(of_task(table, checked["task.name"]), hparams)
    names = {row.name for row in rows}
    defaults = {name: value for name, value in hparams.items() if name in names}
    searched = tuple(dimension for dimension in dimensions if dimension.name in names)
    given = priors.parse(checked["search.priors"], defaults, rows, searched, checked["search.trials"])
    search: dict[str, Any] = {**parts["search"], "priors": given, "space": searched}
    return RunConfig(
        seed=checked["seed"],
        task=checked["task.name"],
        plan_memory=checked["task.plan_memory"],
        ensemble=checked["task.ensemble"],
        largest_component=checked["task.largest_component"],
        protocol=checked["protocol"],
        data=_data(parts, raw["report"]),
        folds=FoldsConfig(**parts["folds"]),
        backbone=BackboneConfig(**parts["backbone"]),
        defaults=defaults,
        table=rows,
        limit=limit(raw["training"]),
        precision=checked["training.precision"],
        search=SearchConfig(**search),
        engine=EngineConfig(**parts["engine"]),
        members=checked["deploy.members"],
        report=report(raw["report"]),
        raw=raw,
        policy_left_open=left_open,
    )


def limit(training: Mapping[str, Any]) -> EpochLimit:
    """When a search fit of a network that is trained step by step ends.

    Args:
        training: config.training as nested plain values, as in `RunConfig.raw`.
    """
    names = ("epochs", "patience", "early_stopping", "min_delta")
    epochs, patience, early, delta = (FIELDS[f"training.{name}"].check(training[name]) for name in names)
    # Without early stopping a watcher still follows every epoch: patience beyond the limit never ends it.
    return EpochLimit(epochs, patience if early else epochs, delta)


def _check_together(checked: Mapping[str, Any]) -> None:
    """Refuses fields that are right alone and wrong together."""
    _check_size(checked)
    windows.window(checked["data.voi"])
    _check_path(checked)
    _check_external(checked)
    _check_vectors(checked)
    _check_backbone(checked)


def report(raw: Mapping[str, Any]) -> ReportConfig:
    """Checks config.report alone, as it stands in a config or beside the records of a run.

    Args:
        raw: every field of the section by name; those that came later may be missing.

    Raises:
        UsageError: a value out of range.
    """
    older = {field.key.partition(".")[2]: field.before for field in REPORT.fields if field.before is not None}
    checked: dict[str, Any] = {
        name: FIELDS[f"report.{name}"].check(value) for name, value in {**older, **raw}.items()
    }
    checked["subgroups"] = subgroups.parse(raw["subgroups"])
    return ReportConfig(**checked)


def _check_keys(values: Mapping[str, Any], reference: Mapping[str, Any]) -> None:
    for key in values:
        if key not in reference:
            close = difflib.get_close_matches(key, reference, 1, 0.5)
            hint = f" Did you mean config.{close[0]}?" if close else " `nachos config` lists all fields."
            raise UsageError(f"config.{key} = {values[key]!r}: there is no such field.{hint}")
    for key, default in reference.items():
        if key not in values:
            raise UsageError(
                f"config.{key} is missing: start your config from nachos_jax.default_config() and change it."
            )
        check_type(key, values[key], default)


def _check_task(name: str, tasks: Sequence[str]) -> None:
    if name not in tasks:
        raise UsageError(f"config.task.name = {name!r}: must be one of {', '.join(map(repr, tasks))}.")


def _check_idle(values: Mapping[str, Any], table: Sequence[Hyperparameter], task: str) -> None:
    """Refuses a hyperparameter of another task that is set or searched: nothing would read it."""
    for row in set(table) - set(of_task(table, task)):
        for key, idle in ((row.key, row.default), (row.space_key, "")):
            if values[key] != idle:
                raise UsageError(
                    f"config.{key} = {values[key]!r} does nothing for config.task.name = {task!r}: it "
                    f"belongs to {' and '.join(row.tasks)}. Set it back to {idle!r}."
                )


def _check_size(values: Mapping[str, Any]) -> None:
    height, width = values["data.height"], values["data.width"]
    if bool(height) != bool(width):
        raise UsageError(
            f"config.data.height = {height} with config.data.width = {width}: set both, or neither (0)."
        )
    volume, depth = values["data.volume"], values["data.depth"]
    if depth and volume != "whole":
        raise UsageError(
            f"config.data.depth = {depth} does nothing for config.data.volume = {volume!r}: set it to 0, or "
            "config.data.volume = 'whole'."
        )
    if volume == "whole" and bool(depth) != bool(height):
        raise UsageError(
            f"config.data.depth = {depth} with config.data.height = {height} and config.data.width = "
            f"{width}: set all three, or none (0)."
        )


def _check_path(values: Mapping[str, Any]) -> None:
    source = values["data.source"]
    if source not in ("digits", "arrays") and not values["data.path"]:
        raise UsageError(f"config.data.path is empty: name the file or folder that source {source!r} reads.")


def _check_external(values: Mapping[str, Any]) -> None:
    """Refuses a second source where the first one has no file, and external cases from two places."""
    path, sites, source = values["data.external_path"], values["data.external"], values["data.source"]
    if not path:
        return
    if sites:
        raise UsageError(
            f"config.data.external = {sites!r} and config.data.external_path = {path!r}: external cases are "
            "sites of config.data.path or a file of their own; set one of both back."
        )
    if source in ("digits", "arrays"):
        raise UsageError(
            f"config.data.external_path = {path!r} does nothing for config.data.source = {source!r}: give "
            "external cases a site of their own, and name it in config.data.external."
        )


def _check_vectors(values: Mapping[str, Any]) -> None:
    """Refuses fields of images beside vectors, and of vectors beside images: nothing would read them."""
    source = values["data.source"]
    vectors = source == "vectors"
    beside = source in ("csv", "npz") and values["task.name"] != "segmentation"
    if beside and values["data.impute"] and not values["data.features"]:
        raise UsageError(
            f"config.data.impute = {values['data.impute']!r} does nothing without columns beside the images: "
            "name them in config.data.features, or set it to ''."
        )
    for name in OF_IMAGES if vectors else ("case_key",) if beside else OF_VECTORS:
        key = f"data.{name}"
        value, idle = values[key], FIELDS[key].default
        if value != idle:
            kind = "images" if vectors else "vectors (config.data.source = 'vectors')"
            kind += (
                "" if vectors or name == "case_key" else ", or to columns beside the images of csv and npz"
            )
            raise UsageError(
                f"config.{key} = {value!r} does nothing for config.data.source = {source!r}: it belongs to "
                f"{kind}. Set it back to {idle!r}."
            )


def _check_backbone(values: Mapping[str, Any]) -> None:
    """Refuses a backbone without weights, what does nothing without one, and what gives it no images."""
    name, source = values["backbone.name"], values["data.source"]
    if not name:
        for field in BACKBONE.fields:
            if values[field.key] != field.default:
                raise UsageError(
                    f"config.{field.key} = {values[field.key]!r} does nothing without a backbone: name the "
                    "network in config.backbone.name."
                )
        return
    if not values["backbone.weights"]:
        raise UsageError(
            f"config.backbone.name = {name!r} has no weights: name their file in config.backbone.weights. "
            "They are never downloaded and never random."
        )
    if source == "vectors" or values["task.name"] == "segmentation":
        vectors = source == "vectors"
        other = "config.data.source = 'vectors'" if vectors else "config.task.name = 'segmentation'"
        raise UsageError(
            f"config.backbone.name = {name!r} gives features of whole images, which {other} has no use for: "
            "set it to ''."
        )
    if values["backbone.tune"] and values["training.precision"] != "float32":
        raise UsageError(
            f"config.training.precision = {values['training.precision']!r}: pretrained layers are trained in "
            "float32 alone; set it to 'float32'."
        )


def _data(parts: Mapping[str, Any], shown: Mapping[str, Any]) -> DataConfig:
    groups = [group.column for group in subgroups.parse(shown["subgroups"])]
    unit = [shown["unit"]] if shown["unit"] not in ("", BY_SUBJECT) else []
    apart = bool(parts["data"]["external"] or parts["data"]["external_path"])
    return DataConfig(
        **parts["data"],
        described=DESCRIBED if apart else (),
        columns=tuple(dict.fromkeys((*groups, *unit))),
        predefined=parts["folds"]["scheme"] == "predefined",
    )


def _dimensions(values: Mapping[str, Any], table: Sequence[Hyperparameter]) -> list[space.Dimension]:
    return [
        space.parse(values[row.space_key], row, f"config.{row.space_key}")
        for row in table
        if values[row.space_key]
    ]
