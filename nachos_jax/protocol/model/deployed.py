"""A model that was exported, ready to predict."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_arrays

from nachos_jax.core.errors import UsageError
from nachos_jax.data import beside, decode, features, joined, reading, sources
from nachos_jax.data.joined import Inputs
from nachos_jax.data.pixels import check_numbers, narrowed
from nachos_jax.data.table import JOINED
from nachos_jax.models import joined as models
from nachos_jax.models.zoo import backbone as backbones
from nachos_jax.models.zoo.backbone import Backbone
from nachos_jax.protocol.model import description as description_file
from nachos_jax.protocol.model import explain as explanation
from nachos_jax.protocol.model import mask_arrays, mask_facts, networks, shipped
from nachos_jax.protocol.model.export import FORMAT, NAME
from nachos_jax.protocol.model.networks import Architecture, Predicted, Weights
from nachos_jax.protocol.model.segmenter import Segmenter, segmenter, together
from nachos_jax.records import seal
from nachos_jax.records.decode import parse

CURE = "run `nachos deploy` again to write it anew"


@dataclass(frozen=True)
class Network:
    """One network of a deployed model."""

    architecture: Architecture  # what its weights fill
    weights: Weights  # the weights
    apply: Any  # jitted, [B, H, W, C] pixels in stored range -> [B, S] seen of them, as logits


class DeployedModel:
    """An exported model: `predictions` of arrays, or `predict` files; one of masks: `segment` arrays.

    Attributes:
        description: the content of model.json.
        predicted: what it predicts.
        classes: names of what is predicted, in order: of a classification, the classes.
    """

    def __init__(
        self,
        description: Mapping[str, Any],
        networks: Sequence[Network],
        segmenter: Segmenter | None = None,
        backbone: Backbone | None = None,
    ):
        self.description = description
        self.segmenter = segmenter
        self._backbone = backbone
        self.predicted = predicted(description)
        self.classes = self.predicted.names
        self._networks = networks

    @property
    def vectors(self) -> bool:
        """Whether a case is a vector of features, and no image."""
        return self._backbone is None and sources.is_vectors(self.description["preparation"])

    @property
    def _prepared(self) -> Mapping[str, Any]:
        """How cases that it is given are prepared: the images for a backbone, where there is one."""
        preparation = self.description["preparation"]
        return preparation["images"] if self._backbone else preparation

    def predictions(self, images: Any, batch: int = 256) -> np.ndarray:
        """Predictions of prepared images: probabilities of classes or labels, or numbers.

        Args:
            images: [N, H, W, C] in the range and size of the training pixels (see
                `description["preparation"]`); [N, H, W] for gray; of volumes
                [N, D, H, W, C] likewise. Of a model of vectors, [N, D] in the order of
                `description["preparation"]["features"]`. Of a model of both, the pair (images, vectors),
                vectors in the order of "joined" in the preparation of the images.
            batch: images at a time.

        Returns:
            [N, P] float32, a column a class, label or number; the mean over networks when there are several.

        Raises:
            UsageError: the shape or the bit depth does not fit, or a pixel is NaN or infinite.
        """
        return self.unrounded(images, batch).astype(np.float32)

    def unrounded(self, images: Any, batch: int = 256) -> np.ndarray:
        """`predictions` [N, P] before they are rounded to float32, as thresholds are chosen on them."""
        if self.segmenter:
            raise UsageError("this model makes masks: call segment(), or `nachos predict` of files.")
        images = self._fitting(images)
        if self._backbone:
            images = self._embedded(self._backbone, images)
        batch = min(batch, self._networks[0].architecture.task.held_batch)
        starts = range(0, joined.count(images), batch)
        parts = [self._batch(joined.part(images, slice(i, i + batch)), batch) for i in starts]
        return np.concatenate([*parts, np.empty((0, len(self.classes)), np.float32)])

    def probabilities(self, images: Any, batch: int = 256) -> np.ndarray:
        """`predictions` of a model that predicts classes or labels.

        Raises:
            UsageError: as `predictions`, or this model predicts no probabilities.
        """
        if self.predicted.on_host.kind != "logits" and not self.segmenter:
            raise UsageError(
                f"this model predicts {', '.join(self.classes)} ({self.predicted.task}), no probabilities: "
                "call predictions()."
            )
        return self.predictions(images, batch)

    def segment(self, images: Any, mirror: bool = True, spacing: Sequence[float] | None = None) -> Any:
        """Masks of images or volumes, seen in windows that overlap by half a side.

        Args:
            images: one case [H, W, C] or [D, H, W, C] with the axes of the training data (those of a NIfTI
                file as it is stored), the channels may be left out where there is one; or a list of cases of
                any sizes.
            mirror: whether windows are mirrored along the axes along which training mirrored, as nnU-Net
                does; False takes a half, a quarter or an eighth of the time.
            spacing: mm of a voxel along each axis of space of all cases, which only models need whose
                training cases were resampled.

        Returns:
            The mask, whole numbers uint8 on the grid of the image: 0 is the background, 1 the first of
            `classes`; or a list of masks. With several networks, by the mean of their probabilities.

        Raises:
            UsageError: this model makes no masks, or the images are not like those of training.
        """
        if self.segmenter is None:
            raise UsageError(f"this model makes no masks ({self.predicted.task}): call predictions().")
        return mask_arrays.segment(self.segmenter, self.description, images, mirror, spacing)

    def table(self, predictions: np.ndarray) -> tuple[list[str], list[list[str]]]:
        """Header and one row a case of the CSV of `predictions`, without the names of the cases."""
        return self.predicted.on_host.table(predictions, self.classes)

    def explain(
        self, images: Any, classes: np.ndarray, method: str = "gradcam", batch: int = 32
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where in each image the score of a class comes from; see `nachos_jax.protocol.model.explain`.

        The map shows what moved this model's output, not why it is right.

        Args:
            images: as `predictions` takes them; vectors beside them are taken as they are.
            classes: [N] whole numbers, the class to explain in each image, by its place in `self.classes`.
            method: "gradcam" or "occlusion".
            batch: images at a time.

        Returns:
            Maps [N, H, W] (or [N, D, H, W]) float32 in [0, 1] and what 1 stands for, [N] float32. With
            several networks both are means over them, so a map reaches 1 only where all of them agree.

        Raises:
            UsageError: as `predictions`, no such class or method, or a model of which it makes no maps.
        """
        explanation.check(self.predicted.task, self.vectors, self._backbone is not None, method)
        images = self._fitting(images)
        classes = explanation.places(classes, joined.count(images), self.classes)
        maps = np.zeros(joined.images_of(images).shape[:-1], np.float32)
        peaks = np.zeros(len(maps), np.float32)
        batch = min(batch, self._networks[0].architecture.task.held_batch)
        for start in range(0, len(maps), batch):
            part = slice(start, start + batch)
            told = (_filled_up(joined.part(images, part), batch), _filled_up(classes[part], batch))
            found = [networks.explainer(n.architecture, method)(n.weights, *told) for n in self._networks]
            count = len(maps[part])
            maps[part] = np.mean([np.asarray(one.maps) for one in found], axis=0)[:count]
            peaks[part] = np.mean([np.asarray(one.peak) for one in found], axis=0)[:count]
        return maps, peaks

    def check_explained(self, method: str) -> None:
        """Refuses what `explain` would, before any case is read: the task, and a network without Grad-CAM."""
        explanation.check(self.predicted.task, self.vectors, self._backbone is not None, method)
        cases: Any = np.zeros((1, *self._image_shape), self._prepared.get("dtype", "float32"))
        if JOINED in self._prepared:
            cases = Inputs(cases, np.zeros((1, len(self._prepared[JOINED])), np.float32))
        told = self._fitting(cases), np.zeros(1, np.int32)
        for network in self._networks:
            networks.check_explained(network.architecture, method, network.weights, *told)

    def predict(self, paths: sources.Paths) -> tuple[list[str], np.ndarray]:
        """`predictions` of files, folders, or CSVs with a `path` column; of files of features, by name.

        Args:
            paths: what to predict, one or several.

        Returns:
            Names of the cases, and their [N, P] float32 predictions.

        Raises:
            UsageError: a file cannot be read or has other channels than the model.
        """
        if self.segmenter:
            raise UsageError("this model makes masks: `nachos predict` writes those of files.")
        names, images = self.read(paths)
        return names, self.predictions(images)

    def read(self, paths: sources.Paths) -> tuple[list[str], Any]:
        """Names and images [N, H, W, C], vectors [N, D] or both of what `predict` takes, as for training."""
        names, images = sources.read_inputs(paths, dict(self._prepared))
        return list(names), images

    def _embedded(self, backbone: Backbone, cases: Any) -> np.ndarray:
        """[N, D] float32: features of the images, and the vectors beside them."""
        values = backbone.features(joined.images_of(cases)).astype(np.float32)
        return np.concatenate([values, cases.vectors], axis=1) if isinstance(cases, Inputs) else values

    def _fitting(self, cases: Any) -> Any:
        """The cases as `predictions` says, refused when their shape or scale is not that of training."""
        if self.vectors:
            return features.fitting(cases, self._prepared)
        if JOINED in self._prepared:
            images, values = beside.parted(cases, self._prepared)
            return Inputs(self._fitting_images(images), values)
        return self._fitting_images(cases)

    @property
    def _image_shape(self) -> tuple[int, ...]:
        if self._backbone or self._tuned:
            return tuple(self._prepared[name] for name in ("height", "width", "channels"))
        return self.predicted.shape

    def _fitting_images(self, images: np.ndarray) -> np.ndarray:
        images, wanted = np.asarray(images), self._image_shape
        images = images[..., None] if images.ndim == len(wanted) else images
        if images.shape[1:] != wanted:
            raise UsageError(
                f"images of shape {images.shape}: this model takes [N, {', '.join(map(str, wanted))}]; "
                "prepare files with predict(), which resizes, or resize your arrays."
            )
        check_numbers(images.dtype, "images")
        given, dtype = images.dtype, np.dtype(self._prepared.get("dtype", images.dtype))
        images = _stored(images, dtype)
        if not reading.same_depth(images.dtype, dtype):
            raise UsageError(
                f"images are stored as {given}, the training images as {dtype}: their values are on other "
                f"scales; pass pixels as they were in training, images.astype('{dtype}') if yours are on "
                "that scale already."
            )
        for row, image in enumerate(images if images.dtype.kind == "f" else ()):
            decode.finite(image, f"images[{row}]")
        return backbones.given(images, self._tuned) if self._tuned else images

    @property
    def _tuned(self) -> Mapping[str, Any]:
        """Facts of a backbone that was trained on; {} without one."""
        return _tuned(self.description)

    def _batch(self, images: Any, batch: int) -> np.ndarray:
        room = _filled_up(images, batch)
        of = self.predicted.on_host
        each = [of.predicted(np.asarray(network.apply(room))) for network in self._networks]
        return np.mean(each, axis=0)[: joined.count(images)]


def load(path: str | os.PathLike) -> DeployedModel:
    """Loads a model that `nachos deploy` exported.

    Args:
        path: the folder with model.json.

    Returns:
        The model.

    Raises:
        UsageError: no such folder, or a part of it is missing, damaged or of a later format.
    """
    folder = Path(path)
    description = _description(folder)
    if predicted(description).on_host.masks:
        return DeployedModel(description, [], _segmenter(folder, description))
    backbone = shipped.read(folder, description, CURE)
    return DeployedModel(description, list(_networks(folder, description)), backbone=backbone)


def predicted(description: Mapping[str, Any]) -> Predicted:
    """What the model of a model.json predicts; the first versions knew classification only."""
    preparation = description["preparation"]
    shape: tuple[int, ...] = (int(description["channels"]),)
    if "patch" in description:
        shape = (*description["patch"], *shape)
    elif tuned := _tuned(description):
        shape = (tuned["height"], tuned["width"], *shape)
    elif not sources.is_vectors(preparation):
        shape = (*(int(preparation[side]) for side in description_file.SIDES if side in preparation), *shape)
    return Predicted(description.get("task", "classification"), tuple(description["classes"]), shape)


def _tuned(description: Mapping[str, Any]) -> Mapping[str, Any]:
    facts = description["preparation"].get("backbone", {})
    return facts if "tune" in facts else {}


def _description(folder: Path) -> dict[str, Any]:
    file = folder / NAME
    if not os.path.isfile(file):
        if os.path.isfile(folder / "weights_00.safetensors"):
            raise UsageError(f"{file} is missing: {CURE}.")
        raise UsageError(
            f"{folder} holds no model.json: name the folder that `nachos deploy` wrote, WORKDIR/deploy."
        )
    try:
        text = file.read_bytes()
        description = parse(text)
        known = description["format"]
        seal.check(text, NAME, needed=seal.KEY in description)  # older versions wrote none
        if known == FORMAT:
            description_file.check(description)
            mask_facts.check(description)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is damaged ({error}): {CURE}.") from error
    if known != FORMAT:
        raise UsageError(f"{file} has format {known!r} and this version reads {FORMAT}: update nachos_jax.")
    return description


def _networks(folder: Path, description: Mapping[str, Any]) -> Iterator[Network]:
    front = shipped.front(folder, description, CURE)
    for name, data in _files(folder, description):
        with _built(folder, description, name):
            columns = len(description["preparation"].get(JOINED, ()))
            yield _network(description, shipped.from_pixels(load_arrays(data), front, columns))


def _segmenter(folder: Path, description: Mapping[str, Any]) -> Segmenter:
    files = dict(_files(folder, description))
    with _built(folder, description, ", ".join(files)):
        of, precision = predicted(description), description["precision"]
        each = zip(mask_facts.configurations(description), files.values(), strict=True)
        return together(
            segmenter(hparams, replace(of, shape=(*patch, of.shape[-1])), precision, [load_arrays(data)])
            for (hparams, patch), data in each
        )


def _files(folder: Path, description: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Name and content of the weights files."""
    for name, digest in zip(description["weights"], description["weights_sha256"], strict=True):
        file = folder / name
        data = file.read_bytes() if os.path.isfile(file) else b""
        if hashlib.sha256(data).hexdigest() != digest:
            raise UsageError(f"{file} is missing or damaged: {CURE}.")
        yield name, data


@contextlib.contextmanager
def _built(folder: Path, description: Mapping[str, Any], name: str) -> Generator[None]:
    """Tells what a network meets that is built from a description and weights."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:  # whatever a network of absurd hyperparameters meets
        made = description.get("versions", {}).get("nachos_jax", "unknown")
        raise UsageError(
            f"{folder}: the network that model.json describes cannot be built or does not fit {name} "
            f"({error}): use nachos_jax {made}, with which it was made, or {CURE}."
        ) from error


def _network(description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Network:
    columns = len(description["preparation"].get(JOINED, ()))
    told = {**networks.from_pixels(_tuned(description)), **models.told(columns)}
    hparams = description["hparams"]
    of = networks.architecture(hparams, predicted(description), description["precision"], told)
    found = networks.weights(of, arrays)
    return Network(of, found, networks.predictor(of, found))


def _stored(images: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The values in a type that images are stored in: that of training for int64 and its like, whose bits
    say nothing of the scale.
    """
    silent = images.dtype.kind in "biu" and images.dtype not in (np.uint8, np.uint16, np.int16)
    if silent and images.size and reading.fits(images, dtype):
        return images.astype(dtype)
    return images.astype(np.float32) if silent and dtype != np.uint8 else narrowed(images)


def _filled_up(rows: Any, count: int) -> Any:
    """So many rows, zeros at the end: one shape, one compilation."""
    if isinstance(rows, Inputs):
        return Inputs(*(_filled_up(values, count) for values in rows))
    room = np.zeros((count, *rows.shape[1:]), rows.dtype)
    room[: len(rows)] = rows
    return room
