"""What is to be predicted: a class, classes with an order, several labels or a number; or a question."""

from __future__ import annotations

from nachos_jax.data.checks import listed, whole
from nachos_jax.data.spellings import is_missing
from nachos_jax.intake import order, roles, several
from nachos_jax.intake.draft import Draft
from nachos_jax.intake.roles import Choice, facts_of

ENOUGH = 3
"""Columns of yes and no that are taken for labels, where nothing else could be one; two are a question."""


def decide(draft: Draft, free: dict[str, list[str]]) -> None:
    """Chooses task and target of cases without masks, and writes columns of labels as 1 and 0.

    Args:
        draft: with its roles.
        free: its columns that may have a role.
    """
    choice = draft.roles["label"]
    if draft.task == "multilabel":  # an array of labels in an npz file
        draft.roles["label"] = Choice(why=draft.labels_why)
    elif choice.column and facts_of(free[choice.column]).mark:
        _listed(draft, choice.column)
    elif choice.column:
        _one(draft, free[choice.column])
    else:
        _open(draft, free)


def _one(draft: Draft, cells: list[str]) -> None:
    """A column that is called like a label: numbers, or classes, which may have an order."""
    column, facts = draft.roles["label"].column, facts_of(cells)
    if facts.numbers and facts.distinct > roles.CLASSES:
        draft.task = "regression"
    else:
        words = {cell for cell in cells if cell.casefold() == "none"}  # missing elsewhere, a grade here
        draft.order = order.order_of(column, {*facts.values, *words}) or order.order_of(column, facts.values)


def _listed(draft: Draft, column: str) -> None:
    """A column whose cells list labels becomes one of 1 and 0 for each."""
    facts, cells = facts_of(draft.columns[column]), draft.columns[column]
    if draft.path is not None:
        why = f"{column!r} lists several labels a case: store them as an array of 1 and 0, [N, labels]"
        draft.roles["label"] = Choice(why=why)
        return
    found, nothing = several.spread(cells, facts.mark)
    titled = {name if name not in draft.columns else f"{column} {name}": own for name, own in found.items()}
    draft.notes.append(
        f"{column!r} lists labels with {facts.mark!r} between: each of them becomes a column of 1 and 0"
        + (f"; {listed(nothing)} stands for none of them" if nothing else "")
    )
    draft.columns |= titled
    if not facts.classes:
        del draft.columns[column]
    _several(draft, titled, f"listed in the column {column!r}", ())


def _open(draft: Draft, free: dict[str, list[str]]) -> None:
    """No column is called like a label: several of yes and no may be the labels."""
    choice = draft.roles["label"]
    taken = {one.column for one in draft.roles.values()}
    labels = {
        name: several.written(cells)
        for name, cells in free.items()
        if name not in taken and several.is_label(name, (facts := facts_of(cells)).values, facts.missing)
    }
    if draft.path is not None:  # its arrays are read as they are
        labels = {name: cells for name, cells in labels.items() if several.plain_cells(free[name])}
    if len(labels) < 2:
        return
    others = tuple(pair for pair in choice.others if pair[0] not in labels)
    classes = [name for name, _ in others if facts_of(free[name]).classes]
    if draft.path is None:
        _write(draft, labels)
    if several.one_hot(list(labels.values())) and not classes and draft.path is None:
        _of_one_hot(draft, labels)
    elif len(labels) >= ENOUGH and not classes:
        _several(
            draft, labels, f"{len(labels)} columns say yes or no, and nothing else could be the label", others
        )
    else:
        kept, _ = several.frequent(labels)
        draft.labels = tuple(kept) if len(kept) > 1 else ()
        draft.labels_why = f"{len(kept)} columns say yes or no"


def _write(draft: Draft, labels: dict[str, list[str]]) -> None:
    """Writes columns of yes and no as 1 and 0, and tells what was written otherwise."""
    changed, crosses, unsure = [], [], []
    for name, cells in labels.items():
        before = draft.columns[name]
        draft.columns[name] = cells
        values = {cell for cell in before if cell not in ("0", "1", "")}
        if any(several.meaning(cell) == "" and not is_missing(cell) for cell in values):
            unsure.append(name)
        if not any(several.meaning(cell) == "0" for cell in before):
            crosses.append(name)
        elif any(several.meaning(cell) for cell in values):
            changed.append(name)
    if changed:
        draft.notes.append(f"yes and no are written as 1 and 0 in {listed(changed)}")
    if crosses:
        draft.notes.append(
            f"no cell of {listed(crosses)} says no, so empty ones are written as 0; if they are not known, "
            "write them empty again"
        )
    if unsure:
        draft.notes.append(f"unsure ones (-1) of {listed(unsure)} are written as not known")


def _several(
    draft: Draft, labels: dict[str, list[str]], why: str, others: tuple[tuple[str, str], ...]
) -> None:
    """The task of several labels, of those that enough cases have."""
    kept, rare = several.frequent(labels)
    if rare:
        draft.notes.append(
            f"label: left out {len(rare)} that fewer than {several.FEWEST} cases have, or have not: "
            f"{listed(rare)}"
        )
    if len(kept) < 2:
        draft.roles["label"] = Choice(why=f"{why}, of which {len(kept)} can be learned", others=others)
        return
    unknown = sum(cells.count("") for name, cells in labels.items() if name in kept)
    told = f"; {unknown:,} cells are empty: not known, and left out of loss and metrics" if unknown else ""
    draft.task, draft.labels, draft.labels_why = "multilabel", tuple(kept), why
    draft.roles["label"] = Choice(why=why, others=others)
    draft.notes.append(f"label: several a case, {listed(kept, 20)} ({why}){told}")


def _of_one_hot(draft: Draft, labels: dict[str, list[str]]) -> None:
    """Columns of which each case has exactly one are classes."""
    title = "label" if "label" not in draft.columns else "class"
    rows = zip(*labels.values(), strict=True)
    draft.columns[title] = [
        name for row in rows for name, cell in zip(labels, row, strict=True) if cell == "1"
    ]
    why = f"each case has exactly one of {len(labels)} columns: {facts_of(draft.columns[title]).counts}"
    draft.roles["label"] = Choice(title, why)
    draft.labels, draft.labels_why = tuple(labels), "the columns themselves"
    draft.notes.append(f"column {title}: {why}")


def could_be_order(draft: Draft) -> bool:
    """Whether the classes are whole numbers, which may be grades or codes."""
    cells = draft.cells("label")
    values = facts_of(cells).values if cells else ()
    return draft.task == "classification" and len(values) > 2 and all(map(whole, values))
