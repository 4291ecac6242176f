"""The public face for programs. Everything heavy is loaded inside the functions."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nachos_jax.core.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from ml_collections import ConfigDict

    from nachos_jax.config.run_config import RunConfig
    from nachos_jax.data.arrays import ArrayCases
    from nachos_jax.data.table import Cohort
    from nachos_jax.engine.lane_trainer import LaneFit
    from nachos_jax.protocol.model.deployed import DeployedModel

_WITH_COHORT = ("residency", "window", "equal_images", "allow", "external", "normalisation")
"""Fields of config.data that say how a cohort is checked and trained, whoever read it."""
_PREPARED = "prepare the images before cohort_from_arrays"
_INSTEAD = {
    "subject_key": "pass `subjects` to cohort_from_arrays",
    "site_key": "pass `sites` to cohort_from_arrays",
    "fold_key": "pass `folds` to cohort_from_arrays",
    "spacing": "resample images and masks",
    "spacing_key": "pass `spacing` to nachos_jax.ArrayCases",
    "subject": "pass one_case_per_subject=True to cohort_from_arrays",
    "spellings": "pass `spellings` to nachos_jax.ArrayCases",
    "classes": "pass `classes` to cohort_from_arrays",
    "features": "pass `features` to nachos_jax.ArrayCases",
    "impute": "pass `impute` to nachos_jax.ArrayCases",
    "on_error": "drop the images that cannot be read",
    "external_path": "pass these cases to nachos_jax.with_external",
    "subset": "pass the arrays of a part of the subjects",
    "volume": "pass `volume` to nachos_jax.ArrayCases",
    **dict.fromkeys(
        ("depth", "height", "width", "channels", "aspect", "clahe", "facing", "frame", "voi"), _PREPARED
    ),
}
"""What takes the place of a field when the cases are given."""


# Typed Any, not ConfigDict: its annotations deny that a field can hold fields (config.training.epochs).
def default_config() -> Any:
    """The default configuration, locked against new fields; change its values and pass it on.

    Returns:
        A fresh ConfigDict, `nachos config` lists every field.

    Example:
        >>> import nachos_jax
        >>> config = nachos_jax.default_config()
        >>> config.training.learning_rate = 0.05
    """
    from nachos_jax.configs import base

    return base.get_config()


def cohort_from_arrays(
    images: np.ndarray,
    labels: Sequence | np.ndarray,
    subjects: Sequence | np.ndarray | None = None,
    sites: Sequence | np.ndarray | None = None,
    folds: Sequence | np.ndarray | None = None,
    classes: Sequence[str] | np.ndarray | None = None,
    one_case_per_subject: bool = False,
) -> Cohort:
    """A checked case table with its pixels, from arrays.

    Args:
        images: [N, H, W] or [N, H, W, 1 or 3], integers or floats; or vectors [N, D] of features; or
            whole volumes [N, D, H, W, C]. For an image of each volume see `nachos_jax.ArrayCases`.
        labels: [N] class names or numbers.
        subjects: [N] subject of each case.
        sites: [N] site of each case.
        folds: [N] predefined folds.
        classes: names in the order of the probabilities; sorted when not given.
        one_case_per_subject: you state that no subject has two cases; then leave `subjects` out.

    Returns:
        The cohort.

    Raises:
        UsageError: the arrays do not fit together, or subjects are missing and not waived.
    """
    from nachos_jax.data.arrays import ArrayCases

    names = () if classes is None else tuple(getattr(classes, "tolist", lambda: classes)())
    # Five axes can be nothing else; of four, the last may be meant for channels.
    volume, waived = "whole" if getattr(images, "ndim", 0) == 5 else "", one_case_per_subject
    return cohort(ArrayCases(images, labels, subjects, sites, folds, names, waived, volume=volume))


def cohort(cases: ArrayCases, task: str = "classification") -> Cohort:
    """A checked cohort of any task, from arrays.

    Args:
        cases: the arrays: `nachos_jax.ArrayCases(images, targets, subjects=...)`.
        task: what is to be predicted, as in `config.task.name`.

    Returns:
        The cohort.

    Raises:
        UsageError: the arrays do not fit together or the task, or subjects are missing and not waived.

    Example:
        >>> import numpy as np
        >>> import nachos_jax
        >>> images, ages = np.zeros((4, 8, 8), np.uint8), np.array([31.0, 47.5, 62.0, 70.0])
        >>> cases = nachos_jax.ArrayCases(images, ages, subjects=["a", "b", "c", "d"])
        >>> nachos_jax.cohort(cases, task="regression").targets.names
        ('label',)
    """
    from nachos_jax.data import arrays
    from nachos_jax.protocol.run.configure import known_task

    return arrays.cohort(cases, known_task(task))


def with_columns(cohort: Cohort, columns: Mapping[str, np.ndarray]) -> Cohort:
    """A cohort with further columns, such as sex and age, which config.report.subgroups can name.

    Args:
        cohort: from `cohort_from_arrays`.
        columns: by name, [N] texts or numbers; NaN and "" are not known.

    Returns:
        The cohort; nothing is trained otherwise than without the columns.

    Raises:
        UsageError: a column of another length.
    """
    from nachos_jax.data import sources

    return sources.with_columns(cohort, columns)


def with_external(
    cohort: Cohort, cases: ArrayCases, columns: Mapping[str, np.ndarray] | None = None
) -> Cohort:
    """A cohort with external cases beside it, as config.data.external_path names them for files.

    They are kept out of everything and tested once by each model: `evaluate` tests the refit of each outer
    fold, `deploy` the model that it ships. What they decide of a run is nothing: without them it is the same.

    Args:
        cohort: the cases inside, from `cohort_from_arrays` or `cohort`.
        cases: arrays like those of the cohort: the same size, channels, bit depth, classes and features. A
            class may be missing; without `sites` all are of the site "external".
        columns: further columns of theirs by name, [N] each, such as age and sex: those that the cohort has
            too (`with_columns`) are compared in the report.

    Returns:
        The cohort, to be passed on to `evaluate` and `deploy`.

    Raises:
        UsageError: a subject on both sides, a class that the cohort does not know, arrays that its models
            could not read, or a cohort that has external cases already.
    """
    from nachos_jax.data import second, sources
    from nachos_jax.protocol.run import outside
    from nachos_jax.tasks import registry as tasks

    if cohort.outside is not None:
        raise UsageError(
            "this cohort has external cases already, and a run has one set of them: pass all in one call, "
            "with a site for each group."
        )
    apart = second.of_arrays(cases, tasks.of(cohort.targets.task), cohort)
    apart = apart if columns is None else sources.with_columns(apart, columns)
    return outside.beside(cohort, apart, spellings=cases.spellings)


def evaluate(
    config: ConfigDict,
    workdir: str | os.PathLike,
    cohort: Cohort | None = None,
    outer_folds: Sequence[int] | None = None,
    quiet: bool = True,
) -> dict[str, Any]:
    """Nested cross-validation: the estimate of `nachos evaluate`.

    Args:
        config: from `default_config`. With a cohort, what its section `data` says of reading cases stays
            at its default; how they are checked, normalised and kept may be set.
        workdir: run directory; the same call again resumes.
        cohort: from `cohort_from_arrays`; without it the config's data are loaded.
        outer_folds: outer folds to run now; all by default.
        quiet: show no progress.

    Returns:
        The content of summary.json; the report lies in WORKDIR/report/index.html.

    Raises:
        UsageError: something must be mended first, or the directory is in use; nothing was trained.
    """
    from nachos_jax.protocol.evaluate import evaluate as run
    from nachos_jax.protocol.model import gallery

    _prepare()
    checked = _checked(config, cohort)
    with _held(checked, workdir, "evaluate", cohort) as cases:
        gallery.write_or_warn(run(checked, str(workdir), outer_folds, cases, quiet))
        from nachos_jax.report.page import page

        page.write(workdir)
    return json.loads((Path(workdir) / "summary.json").read_text(encoding="utf-8"))


def deploy(
    config: ConfigDict, workdir: str | os.PathLike, cohort: Cohort | None = None, quiet: bool = True
) -> DeployedModel:
    """The model to ship: what `nachos deploy` does, loaded.

    Args:
        config: as for `evaluate`.
        workdir: run directory; the model goes to WORKDIR/deploy.
        cohort: as for `evaluate`.
        quiet: show no progress.

    Returns:
        The model, as `load` gives it.

    Raises:
        UsageError: something must be mended first, or the directory is in use; nothing was trained.
    """
    from nachos_jax.protocol.deploy import deploy as run

    _prepare()
    checked = _checked(config, cohort)
    with _held(checked, workdir, "deploy", cohort) as cases:
        return load(run(checked, str(workdir), cases, quiet))


def load(path: str | os.PathLike) -> DeployedModel:
    """Loads an exported model.

    Args:
        path: the folder that `deploy` wrote.

    Returns:
        The model: `probabilities(images)`, `predict(paths)`, `classes`, `description`; one that makes masks:
        `segment(images)`.

    Raises:
        UsageError: no model there, or it is damaged.
    """
    from nachos_jax.protocol.model.deployed import load as read

    return read(path)


def fit_lanes(
    cohort: Cohort,
    configurations: Sequence[Mapping[str, Any]],
    config: ConfigDict | None = None,
    validation: np.ndarray | None = None,
    on_fit: Callable[[int, LaneFit], None] | None = None,
) -> list[LaneFit]:
    """The sharded lane trainer alone: many configurations at once on one data set.

    Args:
        cohort: from `cohort_from_arrays`.
        configurations: hyperparameters that differ from the config's, by name, e.g.
            [{"learning_rate": 0.1}, {"optimizer": "adam", "cnn.width": 32}].
        config: from `default_config`; gives all other hyperparameters, epochs and engine settings. What
            its section `data` says of reading cases stays at its default.
        validation: [N] bool, cases that are left out of training, watched for early stopping and predicted;
            none by default.
        on_fit: called with (position, fit) as soon as a fit has ended.

    Returns:
        One LaneFit a configuration, in their order.

    Raises:
        UsageError: an unknown hyperparameter, a value out of range, a cohort of another task, or what
            `evaluate` refuses too, like rotation of vectors.
    """
    from nachos_jax.engine import lane_trainer
    from nachos_jax.protocol.run import door, embedding

    _prepare()
    run = _checked(config if config is not None else default_config(), cohort)
    if run.data.external:
        raise UsageError(
            f"config.data.external = {run.data.external!r} does nothing here: fit_lanes trains what it is "
            "given; leave these cases out with `validation`, and set it back to ()."
        )
    if cohort.outside is not None:
        raise UsageError("fit_lanes tests no external cases: pass the cohort as it was before with_external.")
    door.check_task(run, cohort)
    cohort = embedding.embedded(run, cohort)
    return lane_trainer.train(cohort, configurations, run, validation, on_fit, door.check_fit)


def _prepare() -> None:
    """What a training needs of JAX, where the program has not decided otherwise."""
    from nachos_jax.runtime import compile_cache, mesh

    compile_cache.switch_on()
    mesh.one_device_a_core()


@contextlib.contextmanager
def _held(
    run: RunConfig, workdir: str | os.PathLike, command: str, cohort: Cohort | None
) -> Generator[Cohort | None]:
    """Holds the run directory, as a launch from the command line does; gives the cases if they are known."""
    from nachos_jax.protocol.run.opening import open_run
    from nachos_jax.records import hold

    if not os.path.lexists(workdir):  # what is refused leaves no folder behind
        cohort = open_run(run, str(workdir), command, cohort).cohort
    with hold.held(hold.made(workdir)):
        yield cohort


def _checked(config: ConfigDict, cohort: Cohort | None) -> RunConfig:
    """The checked config.

    Raises:
        UsageError: the config cannot be used, or sets a field that does nothing with a cohort.
    """
    from nachos_jax.protocol.run.configure import checked

    values = config.to_dict()
    if cohort is not None:
        _refuse_idle(values)
        if cohort.outside is not None and values["data"].get("external"):
            raise UsageError(
                f"config.data.external = {values['data']['external']!r} names sites of a cohort that has "
                "external cases already (with_external): take one of the two ways."
            )
        values["data"]["source"] = "arrays"
    return checked(values)


def _refuse_idle(values: Mapping[str, Any]) -> None:
    """Refuses fields of config.data that are set and would be ignored, because the cases are given."""
    data, backbone = values.get("data", {}), values.get("backbone", {})
    embedding = backbone.get("name") or backbone.get("weights")
    works = (*_WITH_COHORT, *(("cache",) if embedding else ()))  # which keeps features of a backbone, too
    for name, default in default_config().data.to_dict().items():
        value = data.get(name, default)
        if name in works or value == default or (name == "source" and value == "arrays"):
            continue
        if isinstance(value, (list, tuple)) and tuple(value) == default:
            continue
        cure = _INSTEAD.get(name, "the cohort holds cases and pixels already")
        raise UsageError(
            f"config.data.{name} = {value!r} does nothing when a cohort is given: {cure}; set it back to "
            f"{default!r}."
        )
