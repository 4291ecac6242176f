"""From a cohort of images to what lanes are given of a backbone, computed once a case.

Of a frozen one that is a vector of features; of one that is trained on, the activations at its freeze point,
or pixels where something in front of it is random. Frozen weights learn nothing from any case, so what they
give depends on no fold, and all fits share it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nachos_jax.config.run_config import DataConfig, RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import FLIP_DEPTH
from nachos_jax.core.types import digest
from nachos_jax.data import cache, features, sources, subset, views
from nachos_jax.data.constant import Constant
from nachos_jax.data.decode import Images
from nachos_jax.data.joined import Joined
from nachos_jax.data.store import Dense
from nachos_jax.data.table import JOINED, Cohort
from nachos_jax.engine import measuring
from nachos_jax.models.zoo import backbone as backbones
from nachos_jax.models.zoo import registry
from nachos_jax.models.zoo.backbone import Backbone
from nachos_jax.models.zoo.view import View
from nachos_jax.protocol.run import outside, prepared
from nachos_jax.runtime.bar import Bar
from nachos_jax.tasks import registry as tasks


def check(config: RunConfig) -> None:
    """Refuses a network that is trained on without a freeze point, a freeze point that nothing reads, and
    another normalisation than that of the weights.

    Raises:
        UsageError: one of them.
    """
    prepared.check(config)
    if config.backbone.name and measuring.tried(config):
        raise measuring.refused(config, measuring.OF_BACKBONE)
    names, tune = set(config.candidates("architecture")), config.backbone.tune
    if "tuned" in names and not tune:
        raise UsageError(
            "config.model.architecture = 'tuned' trains a pretrained network on: name it in "
            "config.backbone.name, its file in config.backbone.weights, and the layer from which on, or "
            "'all', in config.backbone.tune."
        )
    if tune and names != {"tuned"}:
        other = sorted(map(str, names - {"tuned"}))[0]
        raise UsageError(
            f"config.backbone.tune = {tune!r} trains the backbone on, which {other!r} does not: set "
            "config.model.architecture = 'tuned', or config.backbone.tune = '' for frozen features."
        )
    if config.backbone.views > 1:
        _check_views(config)


def _check_views(config: RunConfig) -> None:
    """Refuses views that cannot be, or that would all be the same."""
    told = f"config.backbone.views = {config.backbone.views}"
    if config.backbone.tune:
        raise UsageError(
            f"{told}: a backbone that is trained on sees images augmented anew in every step; set it to 1."
        )
    searched = sorted(row.name for row in config.search.space if row.name in config.augmenting)
    if searched:
        raise UsageError(
            f"{told}: views are made once, before the search: set config.search.space.{searched[0]} to '', "
            f"and a strength in config.augmentation.{searched[0]}."
        )
    if not config.augmenting - {FLIP_DEPTH.name}:
        raise UsageError(
            f"{told}, and nothing makes one view differ from another: set strengths in config.augmentation, "
            "like config.augmentation.flip_horizontal = 0.5."
        )
    if FLIP_DEPTH.name in config.augmenting:
        raise UsageError(f"config.augmentation.{FLIP_DEPTH.name} mirrors volumes, not images: set it to 0.")


def load(config: RunConfig) -> Cohort:
    """The cases that a config names: as they are, or embedded where it names a backbone.

    Raises:
        UsageError: the data or the backbone cannot be used.
    """
    check(config)
    task = tasks.of(config.task)
    if not config.backbone.name:
        cases = outside.parted(config, prepared.load(config))
        return subset.of(cases, config.data.subset, config.seed, task)
    backbone = _backbone(config)  # before images are decoded, which may take long
    data = resized(config)
    images = outside.parted(config, sources.load(data, task), data)
    return _embedded(config, subset.of(images, config.data.subset, config.seed, task), backbone)


def embedded(config: RunConfig, cohort: Cohort) -> Cohort:
    """A cohort given from Python, embedded where the config names a backbone, unless it is already.

    Raises:
        UsageError: the backbone cannot be used, or the cases are no images.
    """
    check(config)
    if not config.backbone.name or "backbone" in cohort.preparation:
        return cohort
    return _embedded(config, outside.parted(config, cohort), _backbone(config))


def resized(config: RunConfig) -> DataConfig:
    """config.data with size and interpolation of the backbone's weights, unless the config names a size.

    Where no backbone is named it is config.data as it is.

    Raises:
        UsageError: there is no such backbone.
    """
    if not config.backbone.name:
        return config.data
    data, expected = config.data, registry.network(config.backbone.name).expected
    height, width = (data.height, data.width) if data.height else (expected.size, expected.size)
    return replace(data, height=height, width=width, interpolation=expected.interpolation)


def _backbone(config: RunConfig) -> Backbone:
    inputs = config.tuned.get("tuned.inputs", "")
    return backbones.load(config.backbone, config.data.height, config.data.width, inputs)


def _embedded(config: RunConfig, cohort: Cohort, backbone: Backbone) -> Cohort:
    """The cohort embedded, and its external cases likewise: frozen weights learn from neither.

    Of external cases, from which nothing is trained, nobody reads another view than the plain one.
    """
    found = _alone(config, cohort, backbone, config.backbone.views)
    if cohort.outside is None:
        return found
    return replace(found, outside=_alone(config, cohort.outside, backbone, 1))


def _alone(config: RunConfig, cohort: Cohort, backbone: Backbone, count: int) -> Cohort:
    images = cohort.store.images if isinstance(cohort.store, Joined) else cohort.store
    if not isinstance(images, Dense) or len(cohort.shape) != 3 or cohort.shape[-1] not in (1, 3):
        raise UsageError(
            f"config.backbone.name = {config.backbone.name!r} takes images [H, W, C], gray or in colour, and "
            f"a case here has the shape {list(cohort.shape)}: set it to ''."
        )
    if config.backbone.tune:
        return _trained_on(config, cohort, images, backbone)
    values = _views(config, images.values, backbone, count)
    name, layer = backbone.facts["name"], backbone.layer
    names = [f"{name}_{layer}_{number:04d}" for number in range(backbone.shape[0])]
    beside, impute = cohort.preparation.get(JOINED, []), ""
    if isinstance(cohort.store, Joined):
        further, impute = cohort.store.vectors.values[:, None], cohort.store.vectors.impute
        further = np.broadcast_to(further, (*values.shape[:2], len(beside)))
        values = np.concatenate([values, further], axis=2)
    strengths = _strengths(config)
    made = {"views": {"count": config.backbone.views, "strengths": strengths}} if strengths else {}
    preparation = {
        "features": [*names, *beside],
        "patterns": [],
        "others": [],
        "impute": impute,
        "dtype": "float32",
        "backbone": dict(backbone.facts),
        "images": cohort.preparation,
        **made,
    }
    told = f"{backbone.shape[0]:,} features of layer {layer!r} of {name}, weights {backbone.facts['weights']}"
    several = f"; {config.backbone.views} views of each image" if made else ""
    notes = (*cohort.notes, f"{told}: {backbone.facts['matched']}{several}")
    identity = digest([cohort.hash, backbone.identity, *made.values()], length=32)
    store = views.of(values, impute)
    return replace(cohort, store=store, preparation=preparation, hash=identity, notes=notes)


def _strengths(config: RunConfig) -> dict[str, float]:
    """Of the augmentations that make views; {} where each image has one."""
    return {
        name: float(config.defaults[name]) for name in sorted(config.augmenting) if config.backbone.views > 1
    }


def _views(config: RunConfig, images: np.ndarray, backbone: Backbone, count: int) -> np.ndarray:
    """[N, K, D] float32 of K views: features of the images as they are, then of their augmented copies."""
    strengths = _strengths(config)
    wanted = [None, *(View(number, strengths) for number in range(1, count))]
    out = np.empty((len(images), count, *backbone.shape), np.float32)
    for number, view in enumerate(wanted):
        out[:, number] = _features(config, images, backbone, view)
    return out


def _trained_on(config: RunConfig, cohort: Cohort, pixels: Dense, backbone: Backbone) -> Cohort:
    """The cohort for lanes that train a part of the backbone, and the weights from which they start."""
    images, facts = pixels.values, backbone.facts
    if facts["inputs"] == "pixels":
        store = Constant(
            backbones.given(images, facts), *backbones.mean_sd(facts, images.dtype, images.shape[-1])
        )
    else:
        values = _features(config, images, backbone)
        channels = values.shape[-1]
        store = Constant(values, np.zeros(channels, np.float32), np.ones(channels, np.float32))
    told = f"{facts['name']} is trained on from {facts['tune']!r}, weights {facts['weights']}"
    return replace(
        cohort,
        store=replace(cohort.store, images=store) if isinstance(cohort.store, Joined) else store,
        preparation={**cohort.preparation, "backbone": dict(facts)},
        hash=digest([cohort.hash, backbone.identity], length=32),
        notes=(*cohort.notes, f"{told}: {facts['matched']}"),
        weights=backbone.arrays,
    )


def _features(
    config: RunConfig, images: np.ndarray, backbone: Backbone, view: View | None = None
) -> np.ndarray:
    """[N, ...] float16, from the cache if it is there: keyed by pixels, weights, layer, preparation, view."""
    what = ["features", 1] if view is None else ["view", 1, view.number, view.strengths]
    key = digest([*what, cache.pixel_digest(images), backbone.identity], length=32)

    def build(allocate: Callable[..., np.ndarray]) -> Images:
        out = allocate((len(images), *backbone.shape), np.dtype(np.float16))
        with Bar("embed", "images", len(images)) as told:
            backbone.features(images, out, told.show, view)
        return Images(out)

    return cache.decoded(cache.folder(config.data.cache), key, build).images


def archive(cohort: Cohort, columns: Sequence[str]) -> bytes:
    """The NPZ file of a cohort of features, as `config.data.source = "vectors"` reads it.

    Args:
        cohort: N cases, embedded.
        columns: further columns that the config names.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **_arrays(cohort, columns))
    return buffer.getvalue()


def _arrays(cohort: Cohort, columns: Sequence[str]) -> dict[str, Any]:
    table, targets = cohort.table, cohort.targets
    classes = targets.values.ndim == 1 and targets.values.dtype.kind in "iu"
    values = cohort.store.rows(np.arange(len(table), dtype=np.int32))
    # Columns beside the images may not fit into float16.
    dtype = np.float32 if JOINED in cohort.preparation["images"] else np.float16
    several = {features.VIEWS: values.values.astype(dtype)} if isinstance(values, views.Views) else {}
    kept = [key for key in ("backbone", "images", features.VIEWS) if key in cohort.preparation]
    found = {
        "features": views.plain_of(values).astype(dtype),
        **several,
        "feature_names": np.asarray(cohort.preparation["features"]),
        "case": table.names,
        "labels": np.asarray(targets.texts()) if classes else targets.values,
        "backbone": np.asarray(json.dumps({key: cohort.preparation[key] for key in kept})),
    }
    if (
        targets.ordered if classes else targets.values.ndim == 2
    ):  # others are sorted again where they are read
        found["label_names"] = np.asarray(targets.names)
    # That every case is a subject of its own was said by the user, and is to be said again.
    subjects = None if table.waived else table.subjects
    for name, values in (("subject", subjects), ("site", table.sites), ("fold", table.folds)):
        if values is not None:
            found[name] = values
    return {**{name: table.columns[name] for name in columns if name not in found}, **found}
