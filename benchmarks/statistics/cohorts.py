"""Small cohorts of public sets of images, for benchmarks that train on several of them.

    python -m benchmarks.statistics.cohorts --data FOLDER --to COPIES --cases 1000 --side 96

The command writes copies of so many cases and at most so many pixels a side, to take to another machine.
A copy, like the file that it comes from, is an npz with images, labels, label_names and, where a set tells
them, subjects. Whole subjects are drawn, classes are as frequent as they happen to be.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.shared import measure


@dataclass(frozen=True)
class Cases:
    """Cases of a set.

    Attributes:
        images: [N, H, W] uint8.
        labels: [N] class numbers.
        classes: names of the classes; () where the file names none.
        subjects: [N] who a case is of; None where the set does not say, and each case counts as one.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    subjects: np.ndarray | None


SUBJECTS: dict[str, str] = {
    "pneumoniamnist": "",
    "brain_tumor_mri4": "duplicate_group",
    "kermany_cxr_pneumonia": "patient_id",
    "cxr_covid_multisite": "patient_id",
    "medical_mnist_subset": "",
}
"""The sets, and the array of each that tells which cases belong together; "" = none does."""


def read(folder: Path, name: str) -> Cases:
    """All cases of a set, or of a copy of it."""
    with np.load(folder / f"{name}.npz") as file:
        parts = [part for part in ("train_", "val_", "test_", "") if f"{part}images" in file.files]
        images = np.concatenate([file[f"{part}images"] for part in parts])
        labels = np.concatenate([file[f"{part}labels"].reshape(-1) for part in parts])
        key = SUBJECTS[name]
        subjects = file[key] if key else None
        classes = tuple(file["label_names"].tolist()) if "label_names" in file.files else ()
    return Cases(images, labels.astype(np.int64), classes, subjects)


def draw(cases: Cases, count: int, seed: int) -> Cases:
    """So many cases of subjects that are drawn by the seed, the last one's cut off, or all."""
    generator = np.random.default_rng(seed)
    who = np.arange(len(cases.labels)) if cases.subjects is None else cases.subjects
    _, numbers = np.unique(who, return_inverse=True)
    places = generator.permutation(numbers.max() + 1)[numbers]
    chosen = np.sort(np.argsort(places, kind="stable")[:count])
    subjects = None if cases.subjects is None else cases.subjects[chosen]
    return Cases(cases.images[chosen], cases.labels[chosen], cases.classes, subjects)


def smaller(cases: Cases, side: int) -> Cases:
    """Images of at most so many pixels a side, averaged over areas."""
    from PIL import Image

    if max(cases.images.shape[1:]) <= side:
        return cases
    box = Image.Resampling.BOX
    images = [np.asarray(Image.fromarray(image).resize((side, side), box)) for image in cases.images]
    return Cases(np.stack(images), cases.labels, cases.classes, cases.subjects)


def write(path: Path, name: str, cases: Cases) -> None:
    """The cases as an npz file, which is there whole or not at all."""
    arrays = {"images": cases.images, "labels": cases.labels}
    if cases.classes:
        arrays["label_names"] = np.array(cases.classes)
    if cases.subjects is not None:
        arrays[SUBJECTS[name]] = cases.subjects
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = path.with_name(f".{os.getpid()}-{path.name}")  # several processes may write the same
    np.savez_compressed(begun, **arrays)
    os.replace(begun, path)


def side(path: Path) -> int:
    """Pixels of the longer side of a copy."""
    with np.load(path) as file:
        return max(file["images"].shape[1:])


def main() -> None:
    """Writes the copies."""
    flags = measure.parser(__doc__)
    flags.add_argument("--data", type=Path, required=True, help="folder of the sets, NAME.npz")
    flags.add_argument("--to", type=Path, required=True, help="folder of the copies")
    flags.add_argument("--cases", type=int, default=1000)
    flags.add_argument("--side", type=int, default=96, help="most pixels of a side")
    given = flags.parse_args()
    for name in SUBJECTS:
        cases = smaller(draw(read(given.data, name), given.cases, seed=0), given.side)
        path = given.to / f"{name}.npz"
        write(path, name, cases)
        print(f"{path}: {len(cases.labels)} cases, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
