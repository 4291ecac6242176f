"""From a cohort of images to what lanes are given of a backbone, computed once a case.

Of a frozen one that is a vector of features; of one that is trained on, the activations at its freeze point,
or pixels where something in front of it is random. Frozen weights learn nothing from any case, so what they
give depends on no fold, and all fits share it.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from nachos_jax.config.run_config import DataConfig, RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import digest
from nachos_jax.data import cache, sources, subset
from nachos_jax.data.constant import Constant
from nachos_jax.data.decode import Images
from nachos_jax.data.store import Dense
from nachos_jax.data.table import Cohort
from nachos_jax.data.vectors import Vectors
from nachos_jax.engine import measuring
from nachos_jax.models.zoo import backbone as backbones
from nachos_jax.models.zoo import registry
from nachos_jax.models.zoo.backbone import Backbone
from nachos_jax.protocol.run import outside, prepared
from nachos_jax.tasks import registry as tasks

log = logging.getLogger("nachos_jax")
LINE_EVERY = 60.0
"""Seconds between two lines of progress where there is no terminal."""


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
    images = sources.load(_resized(config.data, backbone), task)
    return _embedded(config, subset.of(images, config.data.subset, config.seed, task), backbone)


def embedded(config: RunConfig, cohort: Cohort) -> Cohort:
    """A cohort given from Python, embedded where the config names a backbone, unless it is already.

    Raises:
        UsageError: the backbone cannot be used, or the cases are no images.
    """
    check(config)
    if not config.backbone.name or "backbone" in cohort.preparation:
        return cohort
    return _embedded(config, cohort, _backbone(config))


def _backbone(config: RunConfig) -> Backbone:
    inputs = config.tuned.get("tuned.inputs", "")
    return backbones.load(config.backbone, config.data.height, config.data.width, inputs)


def _resized(data: DataConfig, backbone: Backbone) -> DataConfig:
    """Size and interpolation are those of the weights, unless the config names a size."""
    expected = registry.network(str(backbone.facts["name"])).expected
    height, width = backbone.size
    return replace(data, height=height, width=width, interpolation=expected.interpolation)


def _embedded(config: RunConfig, cohort: Cohort, backbone: Backbone) -> Cohort:
    if not isinstance(cohort.store, Dense) or len(cohort.shape) != 3:
        raise UsageError(
            f"config.backbone.name = {config.backbone.name!r} takes images [H, W, C], and a case here has "
            f"the shape {list(cohort.shape)}: set it to ''."
        )
    if config.backbone.tune:
        return _trained_on(config, cohort, backbone)
    values = _features(config, cohort.store.values, backbone).astype(np.float32)
    name, layer = backbone.facts["name"], backbone.layer
    preparation = {
        "features": [f"{name}_{layer}_{number:04d}" for number in range(backbone.shape[0])],
        "patterns": [],
        "others": [],
        "impute": "",
        "dtype": "float32",
        "backbone": dict(backbone.facts),
        "images": cohort.preparation,
    }
    told = f"{backbone.shape[0]:,} features of layer {layer!r} of {name}, weights {backbone.facts['weights']}"
    notes = (*cohort.notes, f"{told}: {backbone.facts['matched']}")
    identity = digest([cohort.hash, backbone.identity], length=32)
    store = Vectors(values)
    return replace(cohort, store=store, preparation=preparation, hash=identity, notes=notes)


def _trained_on(config: RunConfig, cohort: Cohort, backbone: Backbone) -> Cohort:
    """The cohort for lanes that train a part of the backbone, and the weights from which they start."""
    images, facts = cohort.store.values, backbone.facts  # type: ignore[attr-defined]
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
        store=store,
        preparation={**cohort.preparation, "backbone": dict(facts)},
        hash=digest([cohort.hash, backbone.identity], length=32),
        notes=(*cohort.notes, f"{told}: {facts['matched']}"),
        weights=backbone.arrays,
    )


def _features(config: RunConfig, images: np.ndarray, backbone: Backbone) -> np.ndarray:
    """[N, ...] float16, from the cache if it is there: keyed by pixels, weights, layer and preparation."""
    key = digest(["features", 1, cache.pixel_digest(images), backbone.identity], length=32)

    def build(allocate: Callable[..., np.ndarray]) -> Images:
        out = allocate((len(images), *backbone.shape), np.dtype(np.float16))
        with _Told(len(images)) as told:
            backbone.features(images, out, told.show)
        return Images(out)

    return cache.decoded(cache.folder(config.data.cache), key, build).images


class _Told:
    """A bar on a terminal, one line a minute elsewhere."""

    def __init__(self, count: int):
        from tqdm import tqdm

        self._start = self._last = time.monotonic()
        self._bar = tqdm(total=count, desc="embed", unit=" images", disable=not sys.stderr.isatty())

    def __enter__(self) -> _Told:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def show(self, done: int, count: int) -> None:
        """Told after each batch."""
        self._bar.update(done - self._bar.n)
        now = time.monotonic()
        if self._bar.disable and (now - self._last > LINE_EVERY or done == count):
            self._last = now
            log.info("embed: %d/%d images, %.3g a second", done, count, done / (now - self._start))


def archive(cohort: Cohort, columns: Sequence[str]) -> bytes:
    """The NPZ file of a cohort of features, as `config.data.source = "vectors"` reads it.

    Args:
        cohort: N cases, embedded.
        columns: further columns that the config names.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **_arrays(cohort, columns))  # type: ignore[arg-type]
    return buffer.getvalue()


def _arrays(cohort: Cohort, columns: Sequence[str]) -> dict[str, np.ndarray]:
    table, targets = cohort.table, cohort.targets
    classes = targets.values.ndim == 1 and targets.values.dtype.kind in "iu"
    found = {
        "features": cohort.store.rows(np.arange(len(table), dtype=np.int32)).astype(np.float16),
        "feature_names": np.asarray(cohort.preparation["features"]),
        "case": table.names,
        "labels": np.asarray(targets.texts()) if classes else targets.values,
        "backbone": np.asarray(json.dumps({k: cohort.preparation[k] for k in ("backbone", "images")})),
    }
    if not classes and targets.values.ndim == 2:
        found["label_names"] = np.asarray(targets.names)
    # That every case is a subject of its own was said by the user, and is to be said again.
    subjects = None if table.waived else table.subjects
    for name, values in (("subject", subjects), ("site", table.sites), ("fold", table.folds)):
        if values is not None:
            found[name] = values
    return {**{name: table.columns[name] for name in columns if name not in found}, **found}
