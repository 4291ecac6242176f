"""The text of config.py: every value with its reason, and the alternatives as comments."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path

from nachos_jax.intake import offers
from nachos_jax.intake.draft import Draft, Survey
from nachos_jax.intake.offers import setting as _set
from nachos_jax.intake.roles import Choice, facts_of
from nachos_jax.intake.settle import rarest

CASES, CONFIG = "cases.csv", "config.py"
SIDE, SIDE_OF_VOLUME = 64, 32
"""Pixels of a side that are proposed at most."""
AGES = (40, 65)
"""Years that part the groups of age."""
_EPOCHS = ((500, 60, 12, 16), (5000, 40, 8, 32), (10**12, 20, 5, 64))
"""(cases, up to which; epochs, patience, cases a step)."""


def text(draft: Draft, reference: str) -> str:
    """config.py for the cases of a draft; `reference` is the npz file or folder that is read, from there."""
    body = [
        *_section("The cases.", _data(draft, reference)),
        *_section("What is predicted, and how cases are divided.", _task(draft)),
        *_section("How pixels are prepared.", _pixels(draft)),
        *_section("How long and on what is trained.", _training(draft)),
        *_section("What is searched.", _search(draft)),
    ]
    lines = [
        f'"""Written by `nachos init` for {draft.count:,} cases: read it, and change what you know better.',
        "",
        "`nachos config` tells the meaning of every field. Lines that begin with # are alternatives.",
        *([""] + [f"TO DECIDE: {one}." for one in _plain(draft.questions)] if draft.questions else []),
        '"""',
        "",
        "from pathlib import Path",
        "",
        "from nachos_jax import default_config",
        "from nachos_jax.core import space",
        "",
        "HERE = Path(__file__).parent",
        "",
        "",
        "def get_config():",
        *(["    config = default_config()"] if draft.task != "segmentation" else _of_masks()),
        *(f"    {line}" if line else "" for line in body),
        "    return config",
    ]
    return "\n".join(lines) + "\n"


def _plain(texts: list[str]) -> list[str]:
    return [one.replace("\\", "/").replace('"', "'") for one in texts]


def _of_masks() -> list[str]:
    return ["    from nachos_jax.configs import segmentation", "", "    config = segmentation.get_config()"]


def _section(title: str, lines: Iterator[str]) -> list[str]:
    found = list(lines)
    return ["", f"# {title}", *found] if found else []


def _data(draft: Draft, reference: str) -> Iterator[str]:
    yield _set("data.source", draft.source)
    yield f"config.data.path = str(HERE / {reference!r})"
    for name, value in draft.keys.items():
        yield _set(f"data.{name}", value, "where values are missing" if name == "impute" and value else "")
    exclude = _no_features(draft)
    if exclude:
        yield _set("data.exclude", exclude, "no features; take out what is to be one")
    if draft.task != "segmentation":
        yield from _label(draft)
    yield from _role(draft, "subject", "subject_key")
    if draft.cells("subject") is None:
        yield "# Cases of one patient may never lie on both sides of a split: else the same patient is"
        yield "# learned and tested, and the estimate is too good. If, and only if, no patient has two cases:"
        yield '# config.data.subject = "one_case_per_subject"'
    yield from _role(draft, "site", "site_key")
    yield from offers.of_cases(draft)
    yield from offers.of_features(draft)
    if "spelling" in " ".join(draft.questions):
        yield '# config.data.spellings = "join"  # or "apart": see above'


def _label(draft: Draft) -> Iterator[str]:
    if draft.task == "multilabel":
        if draft.labels:
            yield _set("data.target_keys", draft.labels, draft.labels_why)
    else:
        if not draft.roles["label"].column:
            yield f"# TO DECIDE: {draft.roles['label'].why}."
        yield from _role(draft, "label", "label_key")
    yield from offers.of_label(draft)


def _role(draft: Draft, role: str, field: str) -> Iterator[str]:
    choice = draft.roles.get(role, Choice())
    if choice.column:
        yield _set(f"data.{field}", choice.column, choice.why)
    for name, why in choice.others:
        yield f"# {_set(f'data.{field}', name, why)}"


def _no_features(draft: Draft) -> tuple[str, ...]:
    keyed = {draft.roles[role].column for role in ("label", "subject", "site") if role in draft.roles}
    further = {n for n in draft.columns if n not in (*draft.features, "case", "subject", "site", "fold")}
    return tuple(map(glob.escape, sorted(further - keyed))) if draft.features else ()


def _task(draft: Draft) -> Iterator[str]:
    if draft.task != "segmentation":
        why = {"regression": "the label is a number", "multilabel": "several labels a case"}
        yield _set("task.name", draft.task, why.get(draft.task, ""))
        yield from offers.of_classes(draft)
    elif draft.classes:
        yield _set("data.classes", draft.classes, "labels 1, 2, ... of the masks")
    if draft.task == "classification" and "mask" in draft.columns:
        yield "# The cases have masks too, which config.task.name = 'segmentation' learns."
    few, count = rarest(draft), _folds(draft)
    what = "subjects" if draft.cells("subject") is not None else "cases"
    noun = "of the rarest class" if draft.task == "classification" and draft.cells("label") else "in all"
    noun = "with the rarest label" if draft.task == "multilabel" and draft.labels else noun
    yield _set(
        "folds.count", count, f"{few} {what} {noun}" + ("" if few >= 50 else ": intervals will be wide")
    )
    if fold := draft.roles.get("fold", Choice()).column:
        yield f"# {_set('data.fold_key', fold, 'takes the folds as they stand, with the next line')}"
        yield f"# {_set('folds.scheme', 'predefined')}"
    if split := draft.roles.get("split", Choice()).column:
        yield f"# The shipped split (column {split!r}) is not used: every case is tested once, by its fold."
    if draft.cells("site"):
        yield "# config.folds.scheme = 'site'  # leaves one site out at a time"
    groups = tuple(_subgroups(draft))
    if groups and draft.source in ("csv", "vectors", "npz"):
        yield _set("report.subgroups", groups, "reported apart")


def _folds(draft: Draft) -> int:
    """Five, or as many as leave each fold two subjects of the rarest class."""
    return min(5, max(3, rarest(draft) // 2))


def _subgroups(draft: Draft) -> Iterator[str]:
    """Sex, and age in three groups, where cases lie in several."""
    if _tells_apart(draft.cells("sex")):
        yield draft.roles["sex"].column
    ages = draft.cells("age")
    if ages is not None and _tells_apart(ages):
        years = [float(age) for age in facts_of(ages).values]
        if len({sum(year >= cut for cut in AGES) for year in years}) > 1:
            yield f"{draft.roles['age'].column}{AGES}"


def _tells_apart(cells: list[str] | None) -> bool:
    """Whether a column is known of most cases, and is not the same for all."""
    facts = facts_of(cells or ())
    return cells is not None and facts.distinct > 1 and 2 * facts.missing <= len(cells)


def _pixels(draft: Draft) -> Iterator[str]:
    if draft.source == "vectors":
        return
    if draft.task == "segmentation":
        yield from offers.of_masks(draft)
        return
    if "CT" in draft.columns.get("modality", ()):
        yield '# config.data.voi = "soft"  # of CT; or "lung", "brain", "bone"'
    yield from _volume(draft.survey) if draft.volumes else _size(draft.survey)
    yield "# Intensities are shifted and scaled by mean and SD of each fit's training cases. Otherwise:"
    yield from offers.of_pixels(draft)


def _volume(found: Survey | None) -> Iterator[str]:
    yield _set("data.volume", "whole", '"middle", "mean" or "max" make an image of each volume')
    if found is None:
        yield f"config.data.depth = config.data.height = config.data.width = {SIDE_OF_VOLUME}"
        return
    if found.equal and max(found.sides) <= SIDE_OF_VOLUME:
        yield f"# All {found.looked} volumes have {_sides(found)} voxels: taken as stored."
    else:
        yield f"# Volumes have {_sides(found)} voxels in the median; more here shows more, and takes longer."
        for name, side in zip(("depth", "height", "width"), found.sides, strict=True):
            yield _set(f"data.{name}", max(one for one in (16, SIDE_OF_VOLUME) if one <= max(16, side)))
    if found.spaced:
        why = "all of one spacing, about the middle; now sides are stretched"
        yield f"# {_set('data.spacing', 'median', why)}"


def _size(found: Survey | None) -> Iterator[str]:
    if found is None:
        yield f"config.data.height = config.data.width = {SIDE}"
        return
    if found.equal and max(found.sides) <= SIDE:
        yield f"# All {found.looked} images looked at have {_sides(found)} pixels: taken as stored."
    else:
        side = max(one for one in (16, 32, SIDE) if one <= max(16, min(found.sides)))
        more = "all alike" if found.equal else "in the median"
        yield f"# {found.looked} images were looked at: {_sides(found)} pixels, {more}."
        yield f"config.data.height = config.data.width = {side}"
        why = '"stretch" fills the square, and changes shapes; "crop" cuts off the dark edges first'
        yield _set("data.aspect", "pad", why)
    told = {0: "gray; 3 of colour images", 1: "gray", 3: "colour; 1 makes them gray"}[found.channels]
    yield _set("data.channels", found.channels or 1, told)


def _sides(found: Survey) -> str:
    return "x".join(map(str, found.sides))


def _training(draft: Draft) -> Iterator[str]:
    _, epochs, patience, batch = next(row for row in _EPOCHS if draft.count < row[0])
    if draft.source == "vectors":
        yield _set("model.architecture", "linear", 'logistic regression; "mlp" is a small network')
        return
    if draft.volumes or draft.task == "segmentation":
        batch = min(batch, 16)
    smallest = draft.count * (_folds(draft) - 2) // _folds(draft)
    batch = max(one for one in (2, 4, 8, 16, 32, 64) if one <= min(batch, max(2, smallest // 4)))
    yield _set("training.epochs", epochs, f"at most; {draft.count:,} cases")
    yield _set("training.patience", patience, "epochs without improvement of a watched fold")
    if draft.task == "segmentation":
        yield "# config.task.plan_memory = 0.1  # on a CPU"
        return
    yield _set("training.batch_size", batch)
    if draft.count < 1000:
        yield "# With few cases compare with a baseline (configs/baseline.py)."


def _search(draft: Draft) -> Iterator[str]:
    if draft.task == "segmentation":
        return
    if draft.source == "vectors":
        yield "for name in ('learning_rate', 'momentum', 'weight_decay'):"
        yield "    config.search.space[name] = ''"
        yield "config.search.space.linear.c = space.log(1e-4, 1e2)"
        return
    yield _set("search.trials", 16, "configurations that each outer fold tries")
    yield from offers.of_balance(draft)
    if draft.count < 5000:
        yield "config.search.space.dropout = space.uniform(0.0, 0.5)  # few cases are learned by heart"
        yield "config.search.space.shift = space.uniform(0.0, 0.1)"
        yield "# config.search.space.flip_horizontal = space.uniform(0.0, 0.5)  # where left equals right"
    yield from offers.of_backbone(draft)


def reference_of(draft: Draft, relative: str) -> str:
    """What config.py reads, from its own folder on."""
    return CASES if draft.path is None else relative or Path(draft.path).name
