"""Folders that look like classes and are none, and files beside the images that are no cases."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from nachos_jax.core.errors import UsageError
from nachos_jax.data.checks import listed

ZIP, TAR = (".zip",), (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
"""Archives."""
PARTS = re.compile(
    r"(\d+_)?(train(ing)?|val|valid(ation)?|test(ing)?|dev|eval(uation)?|hold_?out|fold|split|cv|part|batch)"
    r"_?(set|data|images?|imgs?|files|[a-d])?_?\d*"
)
"""Names of parts of a data set, in lower case with _ between words."""
_SHORT = frozenset(("tr", "trn", "va", "vl", "te", "ts", "tst"))
"""Names of parts only where every sub-folder has one, or holds the name of a part as a word."""
ABOVE = r"([^/]+)/[^/]+$"
"""Finds the folder right above a file."""
MASK_WORDS = frozenset(
    ("mask", "masks", "seg", "segs", "segm", "segmentation", "segmentations", "annotation", "annotations")
    + ("label", "labels", "lesion", "lesions", "manual", "annotated", "bbox", "heatmap")
    + ("gt", "groundtruth", "roi", "rois", "contour", "contours", "overlay", "overlays", "labelmap")
)
IMAGE_WORDS = frozenset(("image", "images", "img", "imgs", "original", "orig", "raw", "scan", "scans"))
_MASK = re.compile(rf"(^|[-_ .])({'|'.join(sorted(MASK_WORDS, reverse=True))})(?=[-_ .\d]|$)", re.IGNORECASE)
_BETWEEN = re.compile(r"[-_ .]+|(?<=[a-z])(?=\d)")
PREDICTED = "Move them out of the folder, or name the images in a CSV table with a column 'path'."
"""What to do about masks beside images that are to be predicted."""


def check_classes(root: Path, names: Sequence[str]) -> None:
    """Refuses first folders that are parts of a data set, or a wrapper around it.

    Args:
        root: folder of the data.
        names: images below it, each in a folder.

    Raises:
        UsageError: likewise, with the way to read it.
    """
    folders = sorted({name.partition("/")[0] for name in names})
    deep = all(name.count("/") > 1 for name in names)
    titles = {name: re.sub(r"[\W_]+", "_", name.lower()).strip("_") for name in folders}
    parts = [name for name, title in titles.items() if PARTS.fullmatch(title)]
    if all(any(word in _SHORT or PARTS.fullmatch(word) for word in t.split("_")) for t in titles.values()):
        parts = folders
    if parts:
        above = f"set config.data.label_key = '{ABOVE}', which takes the folder right above each image"
        table = "list the images with their classes in a CSV table (--config=csv)"
        raise UsageError(
            f"{root}: the sub-folders {listed(parts)} are called like parts of a data set, and a sub-folder "
            f"is taken for a class. To read the parts as one data set, whose folds are drawn anew, "
            f"{above if deep else table}; to read one of them, name it in config.data.path; if they are the "
            "classes, set config.data.label_key = '^([^/]+)/'."
        )
    if len(folders) == 1 and deep:
        raise UsageError(
            f"{root} holds one sub-folder, {folders[0]!r}, in which further folders lie; if those are the "
            f"classes, set config.data.path = {str(root / folders[0])!r}."
        )


def check_masks(root: Path, names: Sequence[str], cure: str = "") -> None:
    """Refuses masks that lie beside the images they belong to, or in a folder beside theirs.

    Args:
        root: folder of the images.
        names: of the images below it.
        cure: what to do; "" for the fields of a config that leave them out or take them.

    Raises:
        UsageError: likewise, with the ways to go on.
    """
    patterns = {name: pattern for name in names if (pattern := mask_pattern(name))}
    images = {words_of(name)[0] for name in names if name not in patterns} if patterns else set()
    masks = [name for name in patterns if images.intersection(words_of(name))]
    if masks:
        wanted = tuple(sorted({patterns[name] for name in masks}))
        fields = (
            f"Leave them out with config.data.exclude = {wanted!r}, or say that they are cases with "
            "config.data.include = ('*',)."
        )
        raise UsageError(
            f"{root}: {len(masks)} file(s) look like masks of the images beside them ({listed(masks, 3)}), "
            f"and every image is taken for a case. {cure or fields}"
        )


def mask_pattern(name: str) -> str:
    """The pattern of files that are masks in the way of this one; "" if it is not called like a mask."""
    *folders, last = name.split("/")
    for folder in folders:
        if folder.lower() in MASK_WORDS:
            return f"*{folder}/*"
    found = _MASK.search(os.path.splitext(last)[0])
    return f"{'*' if found[1] else ''}{found[0]}*" if found else ""


def words_of(name: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Place and words of a name without those that tell a mask from its image; then those before "mask"."""
    *folders, last = name.split("/")
    place = tuple(folder for folder in folders if folder.lower() not in MASK_WORDS | IMAGE_WORDS)
    words = list(filter(None, _BETWEEN.split(PurePosixPath(last).stem.lower())))
    first = next((i for i, word in enumerate(words) if word in MASK_WORDS), len(words))
    return [
        (place, tuple(word for word in part if word not in MASK_WORDS | IMAGE_WORDS))
        for part in (words, words[:first])
    ]
