"""Does the audit find what was planted in a real data set, and nothing where nothing was?

    python -m benchmarks.statistics.audit --data kermany_cxr_pneumonia.npz
    python -m benchmarks.statistics.audit --data medical_mnist_subset.npz --subject_key=

Into the cases of a real set (equal images taken out first) go 200 exact copies under new subjects, 50 near
ones (each cropped by 3 to 10 % of its side at a random place, with another gamma, contrast and brightness,
and noise of 2 to 5 of 256 gray levels), 30 subjects on both sides of a split, and one site that holds all
of one class. For each finding: how many of the planted were found (recall), and how many of those found
were planted (precision). A near pair of two subjects that was not planted counts as false. The same cases
without faults must give no leak. Then 5 % of the labels are flipped, and out-of-fold probabilities of two
models on the pixels (subjects together) stand for those of a finished run: a logistic regression on
principal components, and a random forest; errors of the labels that were there before count as false. How
often each model is right of the true labels stands beside what was found by it. A set without subjects
(--subject_key=) gets flipped labels alone.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import measure

EXACT, NEAR, SPLIT, FLIPPED = 200, 50, 30, 0.05


def clean(path: Path, subject_key: str) -> dict[str, np.ndarray]:
    """Cases with one of each group of equal images, a split by subject, and sites that say nothing."""
    with np.load(path) as file:
        images, labels = file["images"], file["labels"].reshape(-1)
        subjects = (file[subject_key] if subject_key else np.arange(len(labels))).astype(str)
    _, first = np.unique(images.reshape(len(images), -1), axis=0, return_index=True)
    chosen = np.sort(first)
    _, number = np.unique(subjects[chosen], return_inverse=True)
    random = np.random.default_rng(0)
    split = np.where(random.random(number.max() + 1) < 0.8, "train", "test")[number]
    site = random.choice(["north", "south", "west"], number.max() + 1)[number]
    return {
        "images": images[chosen],
        "labels": labels[chosen],
        "subject": subjects[chosen],
        "split": split,
        "site": site,
    }


def altered(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A near copy of an image [H, W] uint8."""
    from PIL import Image

    height, width = image.shape
    rows, columns = (round(side * random.uniform(0.9, 0.97)) for side in image.shape)
    top, left = random.integers(0, height - rows + 1), random.integers(0, width - columns + 1)
    part = Image.fromarray(image[top : top + rows, left : left + columns])
    values = np.asarray(part.resize((width, height), Image.Resampling.BILINEAR), float)
    values = 255 * (values / 255) ** random.uniform(0.85, 1.18)
    values = 128 + (values - 128) * random.uniform(0.8, 1.2) + random.uniform(-10, 10)
    return np.clip(values + random.normal(0, random.uniform(2, 5), values.shape), 0, 255).astype(np.uint8)


def planted(cases: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, set]]:
    """The cases with faults, and what was planted: pairs of rows, subjects, a class."""
    random, count = np.random.default_rng(1), len(cases["labels"])
    sources = random.choice(count, EXACT + NEAR, replace=False)
    copies = [cases["images"][row] for row in sources[:EXACT]]
    copies += [altered(cases["images"][row], random) for row in sources[EXACT:]]
    several = [s for s, n in zip(*np.unique(cases["subject"], return_counts=True), strict=True) if n > 1]
    split_subjects = random.choice(several, SPLIT, replace=False).tolist()
    found = {
        name: np.concatenate([values, values[sources]]) for name, values in cases.items() if name != "images"
    }
    found["images"] = np.concatenate([cases["images"], np.stack(copies)])
    found["subject"] = np.concatenate([cases["subject"], [f"new-{n}" for n in range(len(sources))]])
    for subject in split_subjects:
        first, *others = np.flatnonzero(found["subject"] == subject)
        found["split"][first], found["split"][others] = "train", "test"
    rarest = int(np.bincount(found["labels"]).argmin())
    found["site"] = np.where(found["labels"] == rarest, "east", found["site"])
    pairs = [tuple(sorted((int(row), count + n))) for n, row in enumerate(sources)]
    truth = {
        "exact": set(pairs[:EXACT]),
        "near": set(pairs[EXACT:]),
        "split": set(split_subjects),
        "site": {rarest},
    }
    return found, truth


def audited(cases: dict[str, Any], folder: Path) -> Any:
    """The audit of an npz file with these cases, as the command makes it."""
    import nachos_jax
    from nachos_jax.audit.audit import audit
    from nachos_jax.audit.extent import Division
    from nachos_jax.data.inspected import inspect
    from nachos_jax.protocol.run.configure import checked
    from nachos_jax.tasks import registry

    np.savez(folder / "cases.npz", **cases)
    config = nachos_jax.default_config()
    config.data.path = str(folder / "cases.npz")
    run = checked(config)
    return audit(inspect(run.data, registry.of(run.task)), Division(run.folds.count))


def pairs(result: Any, *kinds: str) -> set[tuple[int, ...]]:
    """All pairs of the findings of these kinds."""
    found = [finding for finding in result.findings if finding.kind in kinds]
    return {tuple(sorted(map(int, rows))) for finding in found for rows in finding.groups}


def scored(name: str, found: set, true: set) -> tuple[Any, ...]:
    """A line of the table, and its numbers."""
    right = len(found & true)
    return name, len(true), len(found), right / len(true), right / len(found) if found else None


def models() -> dict[str, Any]:
    """Classifiers of small pictures, by name."""
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return {
        "logistic regression": make_pipeline(
            PCA(100, random_state=0), StandardScaler(), LogisticRegression(C=0.01, max_iter=500)
        ),
        "random forest": RandomForestClassifier(100, random_state=0),
    }


def flipped(cases: dict[str, np.ndarray]) -> list[tuple[Any, ...]]:
    """Lines of the table: of each model what is told of flipped labels, and how often it is right."""
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    from nachos_jax.audit.label_errors import label_errors

    random, truth = np.random.default_rng(2), cases["labels"].astype(int)
    labels, classes = truth.copy(), truth.max() + 1
    wrong = random.choice(len(labels), round(FLIPPED * len(labels)), replace=False)
    labels[wrong] = (labels[wrong] + random.integers(1, classes, len(wrong))) % classes
    values = cases["images"].reshape(len(labels), -1).astype(np.float32) / 255
    folds, lines = StratifiedGroupKFold(5, shuffle=True, random_state=0), []
    for name, model in models().items():
        seen = np.asarray(
            cross_val_predict(
                model, values, labels, groups=cases["subject"], cv=folds, method="predict_proba"
            )
        )
        right = float((seen.argmax(axis=1) == truth).mean())
        told = set(label_errors(labels, seen).rows.tolist())
        lines.append(scored(f"flipped labels, {name} ({right:.1%} right)", told, set(wrong.tolist())))
    return lines


def measured(data: Path, subject_key: str) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
    """Lines of the table, and what the audit says of the clean cases."""
    before = clean(data, subject_key)
    if not subject_key:
        return flipped(before), {"cases": len(before["labels"])}
    with tempfile.TemporaryDirectory() as folder:
        quiet = audited(before, Path(folder))
        faulty, truth = planted(before)
        loud = audited(faulty, Path(folder))
    alike = pairs(loud, "duplicates")
    near = pairs(loud, "near duplicates", "near contradictions")
    crossing = {
        loud.found.cohort.table.subjects[rows[0]]
        for finding in loud.findings
        if finding.kind == "subjects across split"
        for rows in finding.groups
    }
    one_site = {
        int(name)
        for finding in loud.findings
        if finding.kind == "class of one site"
        for name in loud.found.cohort.targets.names
        if f"class {name!r} " in finding.told
    }
    lines = [
        scored("exact copies under other subjects", alike, truth["exact"]),
        scored("near copies under other subjects", near, truth["near"]),
        scored("subjects on both sides of the split", crossing, truth["split"]),
        scored("class of one site", one_site, truth["site"]),
        *flipped(before),
    ]
    leaks = [replace(f, groups=()).told for f in quiet.findings if f.weight == "leak"]
    others = sorted({f.kind for f in quiet.findings if f.weight != "leak"})
    return lines, {"cases": len(before["labels"]), "leaks": leaks, "others": others}


def text(line: Sequence[Any]) -> tuple[str, ...]:
    """A line of the table for people."""
    name, true, found, recall, precision = line
    return name, f"{true}", f"{found}", f"{recall:.3f}", "–" if precision is None else f"{precision:.3f}"


def _of_clean(quiet: dict[str, Any]) -> list[str]:
    """What the audit says of the cases without faults, where it has looked."""
    if "leaks" not in quiet:
        return []
    told = ", ".join(quiet["others"]) or "none"
    return [
        f"The {quiet['cases']:,} cases without faults: {len(quiet['leaks'])} leaks; other findings: {told}."
    ]


def main() -> None:
    """Plants, looks, prints and stores the table."""
    flags = measure.parser(__doc__)
    flags.add_argument("--data", type=Path, required=True, help="npz with images, labels and subjects")
    flags.add_argument("--subject_key", default="patient_id", help="empty of a set without subjects")
    given: argparse.Namespace = flags.parse_args()
    measure.start_jax()
    lines, quiet = measured(given.data, given.subject_key)
    names = ("finding", "planted", "found", "recall", "precision")
    value = {
        "findings": [dict(zip(names, line, strict=True)) for line in lines],
        "clean": quiet,
        "notes": [
            *_of_clean(quiet),
            "Label errors of the published labels count as false among the flipped ones.",
        ],
    }
    table = measure.Table(names, tuple(map(text, lines)))
    measure.store(
        given.out,
        f"audit_{given.data.stem}",
        f"Planted faults in {given.data.stem}",
        table,
        value,
        timed=False,
    )


if __name__ == "__main__":
    main()
