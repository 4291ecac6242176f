"""An npz file: images, volumes, masks or features, and the arrays with one value a case."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data.archive import Archive
from nachos_jax.data.checks import listed
from nachos_jax.data.columns import further_texts
from nachos_jax.data.npz import FEATURES, SPLITS
from nachos_jax.intake.draft import Draft, Survey

LABELS = ("labels", "label", "y", "targets", "target")
WANTED = ("images", "image", "x", "X", "volumes", "data", "imgs", FEATURES)


def draft(path: Path) -> Draft:
    """What an npz file holds.

    Raises:
        UsageError: no array of images or features.
    """
    archive = Archive(path)
    key, parts = _stack(archive)
    shapes = [archive.header(name, "image_key")[0] for name in parts]
    if not all(len(shape) > 1 for shape in shapes):
        raise UsageError(f"{path.name}: {parts[0]} has shape {shapes[0]}; store (N, H, W) or (N, D, H, W).")
    count, sides = sum(shape[0] for shape in shapes), list(shapes[0][1:])
    parted = parts != [key]
    columns = _columns(archive, key, parts, count)
    notes = [f"{path.name}: {count} cases in {listed(parts)}, {'x'.join(map(str, sides))} each"]
    if parted:
        lengths = {part.removesuffix(f"_{key}"): shape[0] for part, shape in zip(parts, shapes, strict=True)}
        columns["split"] = [name for name, length in lengths.items() for _ in range(length)]
        notes.append(f"its parts {', '.join(lengths)} are read as one data set, whose folds are drawn anew")
    notes.append("the run reads the npz file itself, so there is no cases.csv to edit")
    first = parts[0].removesuffix(key)
    alike = key.replace("image", "mask")  # the images themselves where they are called otherwise
    masks = alike if alike != key and f"{first}{alike}" in archive.keys else "masks"
    if key == FEATURES:
        return Draft("vectors", columns, {}, path=path, held=count, notes=notes, keys={"features": ()})
    found = Draft("npz", columns, {}, path=path, held=count, notes=notes, keys={"image_key": key})
    if f"{first}{masks}" in archive.keys:
        found.task, found.keys = "segmentation", {"image_key": key, "mask_key": masks}
        return found
    _several(archive, first, found)
    colour = sides[-1] in (1, 3) and len(sides) > 2
    space = sides[:-1] if colour else sides
    found.volumes = len(space) == 3
    found.survey = Survey(tuple(space), True, sides[-1] if colour else 1, count)
    return found


def _several(archive: Archive, first: str, found: Draft) -> None:
    """An array of several labels a case, as ChestMNIST has it."""
    for key in LABELS:
        if f"{first}{key}" not in archive.keys:
            continue
        shape, kind = archive.header(f"{first}{key}", "label_key")
        if len(shape) == 2 and shape[1] > 1 and kind.kind in "biuf":
            found.task, found.keys = "multilabel", {**found.keys, "label_key": key}
            found.labels_why = f"{key} holds {shape[1]} labels a case"
            found.notes.append(f"label: {found.labels_why}")
            return


def _stack(archive: Archive) -> tuple[str, list[str]]:
    """The key of the images or features, and the arrays that hold them: one, or a part each."""
    for key in WANTED:
        parts = [f"{split}_{key}" for split in SPLITS if f"{split}_{key}" in archive.keys]
        if key in archive.keys or parts:
            return key, [key] if key in archive.keys else parts
    raise UsageError(
        f"{archive.path.name} has no array of images or features that is called like one ({listed(WANTED)}); "
        f"it has {listed(archive.keys, 20)}. Name it in config.data.image_key of a config like --config=base."
    )


def _columns(archive: Archive, key: str, parts: list[str], count: int) -> dict[str, list[str]]:
    """Arrays with one value a case, as text."""
    first = parts[0].removesuffix(key)
    found = {}
    for name in archive.keys:
        title = name.removeprefix(first) if first else name
        own = [f"{part.removesuffix(key)}{title}" for part in parts]
        if name in parts or not name.startswith(first) or any(one not in archive.keys for one in own):
            continue
        shapes, kinds = zip(*(archive.header(one, "label_key") for one in own), strict=True)
        plain = all(shape[1:] in ((), (1,)) for shape in shapes) and all(k.kind in "biufUS" for k in kinds)
        if plain and sum(shape[0] for shape in shapes) == count:
            found[title] = further_texts(np.concatenate([archive.array(one) for one in own]))
    return found
