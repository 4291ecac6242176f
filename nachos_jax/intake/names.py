"""What paths tell: classes in folder names, shipped splits, and patient ids by a common pattern."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from nachos_jax.data.layout import IMAGE_WORDS, PARTS, mask_pattern, words_of
from nachos_jax.intake.joining import stem
from nachos_jax.intake.roles import CLASSES
from nachos_jax.intake.words import HEALTHY, plain

_PERSON = re.compile(
    r"(?:^|[-_./ ])((?:person|patient|pat|subject|subj|sub|proband|p)[-_ ]?0*\d+)", re.IGNORECASE
)
_START = re.compile(r"^([A-Za-z]*[-_]?\d+)[-_ ]")
_SUFFIX = re.compile(r"sub-[A-Za-z\d]+(?:_[A-Za-z\d]+-[A-Za-z\d]+)*_([A-Za-z\d]+)")
"""The kind of image at the end of a name, as BIDS writes it."""
_COPY = re.compile(
    r"(?:copy of |copy_of_|kopie von |copie de )(?P<of>.+)|"
    r"(?P<first>.+?)(?: ?\(\d+\)|(?: - |[-_ ])(?:copy|kopie|copie)(?: ?\(?\d+\)?)?)",
    re.IGNORECASE,
)
"""Names that systems and people give to copies of a file."""
MOST = 0.9
"""Share of file names that must look alike."""


def original(path: Path) -> Path | None:
    """The file that one is called a copy of, as "a (1).png" or "a - Copy.png" of a.png; None of others."""
    found = _COPY.fullmatch(stem(path.name))
    if not found:
        return None
    there = path.with_name((found["of"] or found["first"]) + path.name[len(stem(path.name)) :])
    return there if there != path and there.is_file() else None


def kind_column(paths: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The column "kind", as T1w and T2w at the end of names as BIDS has them, where there are several."""
    found = [_SUFFIX.fullmatch(stem(path)) for path in paths]
    kinds = [match[1] for match in found if match]
    counts = Counter(kinds)
    if len(kinds) < len(paths) or len(counts) < 2:
        return {}, []
    return {"kind": kinds}, [
        f"the files are of several kinds ({_counted(kinds)}), column kind: a network would learn them as if "
        "they were alike, so keep the lines of one in cases.csv unless that is meant"
    ]


def folder_columns(paths: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Columns that the folders of N paths tell: "split" and "label"; and why.

    A level of folders is a split if all its names are parts like train and test. It may be a class if it has
    2 to 20 names, each with two files or more, that do not end in numbers of patients; so may the folders
    right above the files, where these lie at different depths. Of several such levels the deepest with a
    healthy class is taken; if none has one, all become columns, and the class stays open.
    """
    folders = [PurePosixPath(path).parent.parts for path in paths]
    found: dict[str, list[str]] = {}
    levels: dict[str, list[str]] = {}
    notes = []
    depths = set(map(len, folders))
    for level in range(min(depths, default=0)):
        names = [parts[level] for parts in folders]
        counts = Counter(names)
        if len(counts) > 1 and all(PARTS.fullmatch(name.lower()) for name in counts):
            found.setdefault("split", names)
            notes.append(
                f"folders of level {level + 1} are parts of a shipped split, column split: {_counted(names)}"
            )
        elif _classes(counts):
            levels[f"folders of level {level + 1}"] = names
    above = [parts[-1] if parts else "" for parts in folders]
    if len(depths) > 1 and _classes(Counter(above)):
        levels["the folders right above the files"] = above
    classes, told = _class_level(levels)
    return {**found, **classes}, [*notes, *told]


def _class_level(levels: dict[str, list[str]]) -> tuple[dict[str, list[str]], list[str]]:
    """The column "label" of the one level of folders that is taken for classes, or a column of each."""
    healthy = [title for title, names in levels.items() if any(plain(name) in HEALTHY for name in names)]
    taken = healthy[-1:] or list(levels)
    if len(taken) == 1:
        title = taken[0]
        others = {f"folder_{n}": names for n, (one, names) in enumerate(levels.items(), 1) if one != title}
        told = [f"{title} are taken for classes, column label: {_counted(levels[title])}"]
        told += [
            f"other folders may tell sites or batches, column {n}: {_counted(c)}" for n, c in others.items()
        ]
        return {"label": levels[title], **others}, told
    columns = {f"folder_{number}": names for number, names in enumerate(levels.values(), 1)}
    told = [
        f"{title} could be classes, column {name}: {_counted(levels[title])}"
        for title, name in zip(levels, columns, strict=True)
    ]
    return columns, told


def _counted(names: Sequence[str]) -> str:
    counts = Counter(names)
    return ", ".join(f"{name} {count}" for name, count in counts.most_common(8)) + (
        " ..." if len(counts) > 8 else ""
    )


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
    values = [match[1] if match else stem(path) for match, path in zip(starts, paths, strict=True)]
    matched = sum(map(bool, starts))
    if matched >= MOST * len(paths) and 1 < len(set(values)) < len(values):
        found["name_start"] = values
        share = "all" if matched == len(paths) else f"{matched} of {len(paths)}"
        first = next(value for value, match in zip(values, starts, strict=True) if match)
        notes.append(
            f"{share} file names start like {first!r}, {len(set(values))} different ones: column name_start; "
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
