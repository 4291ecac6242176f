"""Volumes or images with masks in the layout of nnU-Net or the Medical Segmentation Decathlon."""

from __future__ import annotations

from pathlib import Path

from nachos_jax.data import mask_folder
from nachos_jax.intake import names
from nachos_jax.intake.asked import Asked
from nachos_jax.intake.draft import Draft
from nachos_jax.intake.walk import Walked

LAYOUT = mask_folder.PLACES[0]
"""Sub-folders of images and of masks."""


def draft(walked: Walked, asked: Asked) -> Draft | None:
    """The pairs of the folder, or of its one sub-folder that is laid out so; None of another folder.

    Raises:
        UsageError: images without mask, masks without image, a dataset.json that cannot be read.
    """
    roots = [root for root in (walked.root, *sorted(walked.root.iterdir())) if _laid_out(root)]
    found = mask_folder.pairs_in(roots[0]) if roots else None
    if found is None:
        return None
    root, (images, masks) = roots[0], found
    cases = sorted(images)
    channels = len(images[cases[0]]) if cases else 0
    classes = mask_folder.classes_in(root)
    notes = [f"{len(cases)} cases with masks in {root}, as nnU-Net and the Decathlon have them"]
    notes += [f"classes by dataset.json: {', '.join(classes)}"] if classes else []
    if others := [name for name in ("imagesTs", "labelsTs") if (root / name).is_dir()]:
        notes.append(f"left out {' and '.join(others)}: cases to predict, or of a test that you know")
    columns = {"case": cases}
    if channels == 1:
        columns = {"path": [asked.relative(images[name][0]) for name in cases]}
        columns["mask"] = [asked.relative(masks[name]) for name in cases]
    persons, told = names.patient_columns(cases)
    columns |= persons if channels == 1 else {}
    folds = mask_folder.folds_in(root, cases)
    if folds and (doubt := mask_folder.overlap(root)):
        notes.append(f"{doubt}, so no folds are taken from it")
    elif folds and all(folds):
        columns["fold"] = folds
        notes.append("column fold: the folds that splits_final.json validates on")
    if channels > 1:
        notes.append(f"{channels} channels a case, a file each: the folder itself is read, and not cases.csv")
    return Draft(
        "csv" if channels == 1 else "folder",
        columns,
        {},
        task="segmentation",
        path=None if channels == 1 else root,
        classes=classes[1:] if channels == 1 else (),
        notes=[*notes, *(told if channels == 1 else ())],
    )


def _laid_out(root: Path) -> bool:
    return all((root / name).is_dir() for name in LAYOUT)
