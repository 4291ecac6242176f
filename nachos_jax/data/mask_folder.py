"""Folders of images with masks: as nnU-Net and the Medical Segmentation Decathlon have them, or two folders.

imagesTr/ID_0000.nii.gz (a channel each)  labelsTr/ID.nii.gz  dataset.json  splits_final.json    nnU-Net
imagesTr/ID.nii.gz (channels in it)       labelsTr/ID.nii.gz  dataset.json                       Decathlon
images/ID.png                             masks/ID.png                                           neither
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import expanded
from nachos_jax.data import checks
from nachos_jax.data.columns import Columns
from nachos_jax.data.folder import extracted
from nachos_jax.data.image_files import SUFFIXES as IMAGES
from nachos_jax.data.masks import MaskSource, Pair
from nachos_jax.data.nifti import SUFFIXES as VOLUMES
from nachos_jax.data.pair_files import read_pair

PLACES = (("imagesTr", "labelsTr"), ("images", "masks"))
"""Sub-folders of images and of masks."""
FACTS, SPLITS = "dataset.json", "splits_final.json"
IGNORE = "ignore"
"""Name of nnU-Net's label of voxels that nobody has annotated."""
_CHANNEL = re.compile(r"_(\d{4})$")


def read_masks(data: DataConfig) -> MaskSource:
    """Finds the pairs of a folder; names of classes come from dataset.json, folds from splits_final.json.

    `subject_key`, `site_key` and `fold_key` are regular expressions with one group, searched in the name of a
    case. In splits_final.json a case is of the fold that validates it.

    Raises:
        UsageError: no such folders, an image without mask or the other way round, files that are damaged.
    """
    root = Path(expanded(data.path))
    found = pairs_in(root)
    if found is None:
        known = " or ".join(f"{a} and {b}" for a, b in PLACES)
        raise UsageError(
            f"config.data.path = {str(root)!r} holds no folders {known}: name the folder that does, or list "
            "images and masks in a CSV table (--config.data.source=csv)."
        )
    images, masks = found
    names, classes = sorted(images), classes_in(root)
    columns = Columns(
        source=str(root),
        names=names,
        targets={},
        where=names.__getitem__,
        subject_cure=r"say where the names hold them in config.data.subject_key, e.g. '(person\d+)_'",
        order=("background", *classes[1:]) if classes else (),  # whatever it is called there
        subjects=extracted(data.subject_key, "subject_key", names),
        sites=extracted(data.site_key, "site_key", names),
        folds=extracted(data.fold_key, "fold_key", names) or folds_in(root, names),
        folds_asked=bool(data.fold_key) or data.predefined,
    )

    def open_pairs() -> Callable[[int], Pair]:
        return lambda row: read_pair(images[names[row]], masks[names[row]])

    files = tuple((*images[name], masks[name]) for name in names)
    doubt = overlap(root) if data.predefined and not data.fold_key else ""
    doubts = (f"{doubt}: keep each in one, or set config.folds.scheme = 'stratified'.",) if doubt else ()
    return MaskSource(columns, lambda row: str(masks[names[row]]), open_pairs, files=files, doubts=doubts)


def pairs_in(root: Path) -> tuple[dict[str, list[Path]], dict[str, Path]] | None:
    """The images and the mask of each case by its name; None of a folder that is laid out otherwise.

    Raises:
        UsageError: an image without mask or the other way round, or cases of unequal channels.
    """
    places = next((pair for pair in PLACES if all(os.path.isdir(root / name) for name in pair)), None)
    if places is None:
        return None
    masks = _by_name(root / places[1])
    images = _channels(root / places[0], set(masks))
    _refuse_lonely(root, places, set(images), set(masks))
    return images, masks


def numbered(name: str) -> tuple[str, int] | None:
    """(ID, 1) of ID_0001, a channel of a case as nnU-Net numbers them; None of another name."""
    found = _CHANNEL.search(name)
    return (name[: found.start()], int(found[1])) if found else None


def _by_name(folder: Path) -> dict[str, Path]:
    """The files of a folder by their name without suffix, without hidden ones and those of other kinds."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        suffix = next((end for end in (*VOLUMES[::-1], *IMAGES) if path.name.lower().endswith(end)), "")
        if suffix and not path.name.startswith("."):
            name = path.name[: -len(suffix)]
            if name in found:
                raise UsageError(f"{path} and {found[name].name} are both called {name!r}: keep one of them.")
            found[name] = path
    return found


def _channels(folder: Path, cases: set[str]) -> dict[str, list[Path]]:
    """The files of each case, one a channel where they are numbered (ID_0000, ID_0001)."""
    found: dict[str, list[Path]] = {}
    numbers: dict[str, tuple[int, ...]] = {}
    for name, path in _by_name(folder).items():
        case, number = (None if name in cases else numbered(name)) or (name, 0)
        found.setdefault(case, []).append(path)
        numbers[case] = (*numbers.get(case, ()), number)
    _refuse_unlike(folder, numbers)
    return found


def _refuse_unlike(folder: Path, numbers: Mapping[str, tuple[int, ...]]) -> None:
    """Refuses cases whose channels, by their numbers, are not those of the others."""
    counts = set(map(len, numbers.values()))
    if len(counts) > 1:
        odd = min(numbers, key=lambda name: len(numbers[name]))
        raise UsageError(
            f"{folder}: case {odd!r} has {len(numbers[odd])} channel(s), others have up to {max(counts)}; "
            "complete it, or take it out."
        )
    most = Counter(numbers.values()).most_common(1)
    odd = next((name for name, own in numbers.items() if own != most[0][0]), None)
    if odd is not None:
        own, others = (", ".join(f"{number:04d}" for number in of) for of in (numbers[odd], most[0][0]))
        raise UsageError(
            f"{folder}: case {odd!r} has the channels {own}, others have {others}: a number stands for one "
            "channel in all cases; complete the case and rename its files, or take it out."
        )


def _refuse_lonely(root: Path, places: tuple[str, str], images: set[str], masks: set[str]) -> None:
    for lonely, has, lacks in ((images - masks, *places), (masks - images, *places[::-1])):
        if lonely:
            raise UsageError(
                f"{root}: {len(lonely)} case(s) lie in {has} and not in {lacks}: "
                f"{checks.listed(sorted(lonely))}; complete them, or take them out."
            )


def classes_in(root: Path) -> tuple[str, ...]:
    """Names of the labels 0, 1, ... by dataset.json, in both of its forms; () without that file.

    Raises:
        UsageError: labels that are not numbered so, regions of several labels, or voxels to ignore.
    """
    facts = _json(root / FACTS)
    if facts is None:
        return ()
    try:
        labels = dict(facts["labels"])
        forward = all(isinstance(value, str) for value in labels.values())  # Decathlon: {"0": "background"}
        named = {int(number): str(name) for number, name in (labels if forward else _turned(labels)).items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{root / FACTS}: its labels cannot be read ({error!r}); write "
            '"labels": {"background": 0, "NAME": 1, ...}, a number each.'
        ) from error
    unseen = next((number for number, name in named.items() if name.strip().lower() == IGNORE), None)
    if unseen is not None:
        raise UsageError(
            f"{root / FACTS}: label {unseen} is {IGNORE!r}, which nnU-Net neither learns nor scores, "
            "and here every voxel counts: annotate them, give them a class (0 for the background) or "
            f"leave their cases out, and take {IGNORE!r} out of the labels; rename it if it is a class."
        )
    if sorted(named) != list(range(len(named))):
        raise UsageError(f"{root / FACTS}: its labels are numbered {sorted(named)}; number them 0, 1, 2, ...")
    return tuple(named[number] for number in sorted(named))


def _turned(labels: Mapping[str, Any]) -> dict[Any, str]:
    return {number: name for name, number in labels.items()}


def folds_in(root: Path, names: list[str]) -> list[str] | None:
    """The fold that validates each case, the last of several, "" where none does; None without the file."""
    of = {name: str(fold) for name, fold in _validated(root)}
    return [of.get(name, "") for name in names] if (root / SPLITS).is_file() else None


def overlap(root: Path) -> str:
    """Says which cases splits_final.json validates in several splits, which are no folds then; "" of none."""
    splits: dict[str, set[int]] = {}
    for name, fold in _validated(root):
        splits.setdefault(name, set()).add(fold)
    several = {name: folds for name, folds in splits.items() if len(folds) > 1}
    if not several:
        return ""
    name, folds = next(iter(several.items()))
    where = ", ".join(map(str, sorted(folds)))
    return f"{SPLITS} validates {len(several)} cases in several splits, like {name} in {where}"


def _validated(root: Path) -> list[tuple[str, int]]:
    """(case, split that validates it), [] without the file."""
    try:
        splits = _json(root / SPLITS) or []
        return [(name, fold) for fold, split in enumerate(splits) for name in split["val"]]
    except (KeyError, TypeError) as error:
        raise UsageError(f"{root / SPLITS}: it is no list of splits ({error!r}); write it anew.") from error


def _json(path: Path) -> Any:
    if not os.path.isfile(path):
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}); mend it.") from error
