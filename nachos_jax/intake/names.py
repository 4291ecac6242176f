"""What paths tell: classes in folder names, shipped splits, and patient ids by a common pattern."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from nachos_jax.data.layout import IMAGE_WORDS, PARTS, mask_pattern, words_of
from nachos_jax.intake.joining import stem
from nachos_jax.intake.roles import CLASSES

_PERSON = re.compile(
    r"(?:^|[-_./ ])((?:person|patient|pat|subject|subj|sub|proband|p)[-_ ]?0*\d+)", re.IGNORECASE
)
_START = re.compile(r"^([A-Za-z]*[-_]?\d+)[-_ ]")


def folder_columns(paths: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Columns that the folders of N paths tell: "split" and "label"; and why.

    A level of folders is a split if all its names are parts like train and test, and a class if it has 2 to
    20 names, each with two files or more, that do not end in numbers of patients.
    """
    folders = [PurePosixPath(path).parent.parts for path in paths]
    found: dict[str, list[str]] = {}
    notes = []
    for level in range(min(map(len, folders), default=0)):
        names = [parts[level] for parts in folders]
        counts = Counter(names)
        shown = ", ".join(f"{name} {count}" for name, count in counts.most_common(8))
        shown += " ..." if len(counts) > 8 else ""
        if len(counts) > 1 and all(PARTS.fullmatch(name.lower()) for name in counts):
            found.setdefault("split", names)
            notes.append(f"folders of level {level + 1} are parts of a shipped split, column split: {shown}")
        elif _classes(counts) and "label" not in found:
            found["label"] = names
            notes.append(f"folders of level {level + 1} are taken for classes, column label: {shown}")
    return found, notes


def patient_columns(paths: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The column "subject" if every path holds a word like patient12 or p12, and why.

    A number at the start of every file name that repeats is told as the column "name_start", and a folder a
    few files each as "folder": whether those are patients only people know.
    """
    persons = [_PERSON.search(path) for path in paths]
    if all(persons) and persons:
        values = [match[1] for match in persons if match]
        if len(set(values)) > 1:
            told = f"all {len(paths)} paths hold a word like {values[0]!r}"
            return {"subject": values}, [f"column subject: {told}, {len(set(values))} different ones"]
    notes, found = [], {}
    starts = [_START.match(stem(path)) for path in paths]
    values = [match[1] for match in starts if match]
    if len(values) == len(paths) and 1 < len(set(values)) < len(values):
        found["name_start"] = values
        notes.append(
            f"all file names start like {values[0]!r}, {len(set(values))} different ones: column name_start; "
            "if these are patients, say so in config.py"
        )
    folders = [PurePosixPath(path).parent.name for path in paths]
    if all(folders) and CLASSES < len(set(folders)) < len(folders):
        found["folder"] = folders
        notes.append(
            f"the files lie in {len(set(folders))} folders: column folder; if these are patients, say so"
        )
    return found, notes


def pairs(paths: Sequence[str]) -> dict[str, str]:
    """The mask of each image that has one, by name: masks/1.png of images/1.png, 1_mask.png of 1.png."""
    masks = [path for path in paths if mask_pattern(path)]
    images: dict[object, str] = {}
    for path in paths:
        if not mask_pattern(path):
            images.setdefault(words_of(path)[0], path)
    found: dict[str, str] = {}
    for mask in masks:
        image = next((images[key] for key in words_of(mask) if key in images), "")
        if image:
            found.setdefault(image, mask)
    return found


def _classes(counts: Counter[str]) -> bool:
    names = [name.lower() for name in counts]
    patients = sum(bool(re.search(r"\d{2,}$", name)) for name in names) > len(names) / 2
    images = all(name in IMAGE_WORDS for name in names)
    return 2 <= len(counts) <= CLASSES and min(counts.values()) > 1 and not patients and not images
