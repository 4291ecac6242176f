"""What a config could also say: lines that are commented out, each with what speaks for it."""

from __future__ import annotations

import glob
from collections import Counter, defaultdict
from collections.abc import Iterator

from nachos_jax.data.checks import whole
from nachos_jax.data.spellings import is_missing
from nachos_jax.intake import outcomes
from nachos_jax.intake.draft import Draft
from nachos_jax.intake.roles import Choice, facts_of
from nachos_jax.intake.settle import FIXED
from nachos_jax.intake.words import HEALTHY, plain, role_by_name

KNOWN = 0.5
"""Share of cases that must know a number before it is offered as a feature."""
XRAY = frozenset(("CR", "DX", "MG", "RF", "XA"))
"""Modalities of projections, whose contrast is low."""


def setting(field: str, value: object, why: str = "") -> str:
    """A line that sets a field."""
    return f"config.{field} = {value!r}" + (f"  # {' '.join(why.split())}" if why else "")


def of_label(draft: Draft) -> Iterator[str]:
    """Beside or instead of the one label: several, those of a class alone, and which class is looked for."""
    label = draft.roles.get("label", Choice())
    if draft.task == "multilabel" and draft.labels:
        yield "# Or one of them alone, or another column:"
        yield f"# {setting('task.name', 'classification')}"
        yield f"# {setting('data.target_keys', ())}"
        for name, why in (*((one, "one of the labels") for one in draft.labels[:3]), *label.others):
            yield f"# {setting('data.label_key', name, why)}"
    elif draft.labels:
        yield f"# {setting('data.target_keys', draft.labels, f'{draft.labels_why}, with the next line')}"
        yield f"# {setting('task.name', 'multilabel')}"


def of_classes(draft: Draft) -> Iterator[str]:
    """The order of classes, and which of two is looked for."""
    if draft.task != "classification" or not draft.cells("label"):
        return
    names = sorted(draft.of_classes())
    if draft.order:
        if not outcomes.could_be_order(draft):
            yield setting("data.classes", draft.order, "from the lowest to the highest")
        mark = "# " if draft.source == "vectors" else ""
        why = "for classes with an order; 'cross_entropy' knows none"
        yield mark + setting("task.classification.loss", "cumulative_link", why)
        yield f"# {setting('search.metric', 'kappa', 'weighs how far off a class is')}"
    elif outcomes.could_be_order(draft) and draft.source != "vectors":
        why = "if these numbers are grades, and no codes"
        yield f"# {setting('task.classification.loss', 'cumulative_link', why)}"
    if len(names) == 2:
        healthy = [name for name in names if plain(name) in HEALTHY]
        if len(healthy) == 1:
            other = next(name for name in names if name not in healthy)
            yield setting("report.positive", other, f"what sensitivity is about; {healthy[0]!r} is the other")
        elif not all(map(whole, names)):
            why = f"else decisions are about the second, {names[1]!r}"
            yield f"# {setting('report.positive', names[0], why)}"


def of_cases(draft: Draft) -> Iterator[str]:
    """A site that could stay out of everything, and the unit that several cases of a subject belong to."""
    if draft.cells("site") and (site := _external(draft)):
        why = "kept out of everything and tested once; or another site, or config.data.external_path"
        yield f"# {setting('data.external', (site,), why)}"
    if _by_subject(draft):
        why = "the report also tells of subjects, by the mean of their cases"
        yield f"# {setting('report.unit', 'subject', why)}"


def _external(draft: Draft) -> str:
    """The largest site with all classes, a third of the subjects at most, and none who was elsewhere too."""
    sites, subjects = draft.cells("site") or [], draft.cells("subject") or list(map(str, range(draft.count)))
    labels = draft.cells("label") if draft.task == "classification" else None
    where, held = defaultdict(set), defaultdict(set)
    for row, (site, subject) in enumerate(zip(sites, subjects, strict=True)):
        where[subject].add(site)
        held[site].add(labels[row] if labels else "")
    count = Counter(next(iter(at)) for at in where.values() if len(at) == 1)
    crossing = {site for at in where.values() if len(at) > 1 for site in at}
    wanted = [
        site
        for site in sorted(count)
        if site not in crossing
        and 3 * count[site] <= len(where)
        and len(held[site]) == len(set(labels or [""]))
    ]
    known = [site for site in wanted if not is_missing(site) and site != "unknown"]
    return max(known, key=lambda site: count[site], default="") if len(held) > 1 else ""


def _by_subject(draft: Draft) -> bool:
    """Whether subjects have several cases, whose predictions can be pooled."""
    subjects = draft.cells("subject")
    if subjects is None or draft.task == "segmentation" or len(set(subjects)) == len(subjects):
        return False
    labels = draft.cells("label")
    if draft.task == "classification" and labels and len(set(labels)) > 2:
        return len(set(zip(subjects, labels, strict=True))) == len(set(subjects))
    return draft.task == "multilabel" or labels is not None


def of_features(draft: Draft) -> Iterator[str]:
    """Numbers of the table that a network could be given beside the images."""
    if draft.task == "segmentation" or draft.source != "csv":
        return
    spent = {draft.roles[role].column for role in ("label", "subject", "site", "fold", "split")}
    spent |= {*FIXED, *draft.labels}
    found = []
    for name, cells in draft.columns.items():
        facts = facts_of(cells)
        fits = facts.numbers and facts.distinct > 1 and facts.missing < (1 - KNOWN) * len(cells)
        if fits and name not in spent and role_by_name(name) in ("", "age"):
            found.append(name)
    if not found:
        return
    yield "# Numbers beside each image, if they are known before the label is:"
    yield f"# {setting('data.features', tuple(map(glob.escape, found)))}"
    if any(is_missing(cell) for name in found for cell in draft.columns[name]):
        yield f"# {setting('data.impute', 'median', 'where values are missing')}"


def of_pixels(draft: Draft) -> Iterator[str]:
    """Other ways to prepare images."""
    kinds = set(draft.columns.get("modality", ()))
    flat, gray = not draft.volumes, draft.survey is not None and draft.survey.channels != 3
    why = "each case by itself, as MR needs" if "MR" in kinds else "each case by itself"
    yield f"# {setting('data.normalisation', 'z_score', why)}; or searched:"
    yield "# config.search.space.normalisation = space.choice('training', 'z_score', 'percentiles')"
    if flat and gray:
        why = "evens out contrast, " + (
            "which is low in projections" if kinds & XRAY else "of 8 bits or more"
        )
        yield f"# {setting('data.clahe', 2, why)}"


def of_masks(draft: Draft) -> Iterator[str]:
    """Other ways to prepare cases with masks, and to finish the masks."""
    if draft.survey is not None and draft.survey.spaced:
        why = "all of one spacing; now patches have that of their case"
        yield f"# {setting('data.spacing', 'median', why)}"
    yield f"# {setting('task.segmentation.normalisation', 'ct', 'of CT, which has a unit; or searched:')}"
    yield "# config.search.space.segmentation.normalisation = space.choice('z_score', 'percentiles')"
    why = "keeps the largest component of a class, where that helps in the inner folds"
    yield f"# {setting('task.largest_component', True, why)}"


def of_backbone(draft: Draft) -> Iterator[str]:
    """A pretrained network instead of one that is trained from nothing."""
    if draft.volumes or draft.task == "segmentation" or draft.order:
        return
    yield "# A pretrained network, whose features a linear model learns (docs/pretrained.md):"
    yield f"# {setting('backbone.name', 'efficientnet_lite0')}"
    yield f"# {setting('backbone.weights', 'efficientnet_lite0.safetensors', 'its file')}"
    yield f"# {setting('model.architecture', 'linear')}"
    yield "# config.data.height = config.data.width = 0  # as the weights expect it"
    yield "# for name in ('learning_rate', 'momentum', 'weight_decay', 'dropout', 'shift'):"
    yield "#     config.search.space[name] = ''"
    yield "# config.search.space.linear.c = space.log(1e-4, 1e2)"
    yield f"# {setting('backbone.views', 4, 'so many views of each image, by the next line')}"
    yield f"# {setting('augmentation.shift', 0.05)}"


def of_balance(draft: Draft) -> Iterator[str]:
    """Classes of very different sizes."""
    if draft.task == "multilabel":
        yield "# Rare labels weigh more; 1 weighs presence and absence alike."
        yield "config.search.space.class_weight_exponent = space.uniform(0.0, 1.0)"
    labels = draft.cells("label")
    if draft.task == "classification" and labels:
        counts = draft.of_classes().values()
        if max(counts) > 1.5 * min(counts):
            yield f"# Classes have {min(counts)} to {max(counts)} cases; 1 weighs them alike."
            yield "config.search.space.class_weight_exponent = space.uniform(0.0, 1.0)"
            yield "# Or draws rare ones more often:"
            yield "# config.search.space.balanced_sampling = space.uniform(0.0, 1.0)"
