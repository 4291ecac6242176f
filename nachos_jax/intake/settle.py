"""From columns to a case table that can be handed on: roles, what is not copied, pseudonyms, questions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from nachos_jax.core.errors import UsageError
from nachos_jax.data import spellings
from nachos_jax.data.checks import listed
from nachos_jax.data.spellings import is_missing
from nachos_jax.intake import outcomes, roles
from nachos_jax.intake.asked import Asked
from nachos_jax.intake.draft import Draft
from nachos_jax.intake.pseudonyms import replaced
from nachos_jax.intake.roles import Choice, facts_of

_NAME = re.compile(r"\w[ ,^]+\w")
FIXED = ("path", "mask", "series", "case", "kind")
"""Columns of a case table that play no role."""
HELD = ("subject", "site", "age", "sex", "fold", "split", "label")


def settle(draft: Draft, asked: Asked) -> Draft:
    """Chooses the roles and takes out whatever must not be copied; tells both in the draft.

    Raises:
        UsageError: no case is left.
    """
    free = {n: cells for n, cells in draft.columns.items() if n not in (*FIXED, *draft.features)}
    draft.roles = roles.choose(free)
    if draft.task == "segmentation":
        draft.roles["label"] = Choice(why="the masks are the targets")
    else:
        outcomes.decide(draft, free)
    if draft.path is None:
        _leave_out_private(draft, asked)
        _drop_without_label(draft)
        _refuse_names(draft, asked)
    if not draft.count:
        raise UsageError("no case is left: no row with a label names a file; look at the table.")
    _tell_roles(draft)
    _name_sites(draft)
    _pseudonyms(draft, asked)
    _spellings(draft)
    _task(draft)
    _ask(draft)
    return draft


def _leave_out_private(draft: Draft, asked: Asked) -> None:
    kept = {choice.column for role, choice in draft.roles.items() if role in HELD}
    open_roles = ("label",) if draft.roles["subject"].column else ("label", "subject")
    kept |= {name for role in open_roles for name, _ in draft.roles[role].others}
    kept |= {*FIXED, *draft.features, *draft.labels}
    reasons: dict[str, list[str]] = {}
    for name, cells in list(draft.columns.items()):
        facts = facts_of(cells)
        # Another id of the patient would undo the pseudonyms, and leak through the back door otherwise.
        role, many = roles.role_by_name(name), facts.distinct > roles.CLASSES
        id_too = role == "subject" or (role == "case" and (many or asked.key is not None))
        why = roles.private(name, facts, draft.count) or ("further ids" if id_too else "")
        if name not in kept and why:
            reasons.setdefault(why, []).append(name)
            del draft.columns[name]
    for role, choice in draft.roles.items():
        others = tuple(pair for pair in choice.others if pair[0] in draft.columns)
        draft.roles[role] = Choice(choice.column, choice.why, others)
    for why, names in reasons.items():
        draft.notes.append(f"not copied, since they hold {why}: {listed(names, 20)}")


def _refuse_names(draft: Draft, asked: Asked) -> None:
    """Names instead of ids are not copied."""
    if asked.key is not None:
        return
    if _are_names(draft.cells("subject") or ()):
        raise UsageError(
            f"column {draft.roles['subject'].column!r} seems to hold names of patients instead of ids, and "
            "names are never copied: --pseudonyms=KEYFILE replaces them by keyed hashes."
        )
    if _are_names(draft.columns.get("case", ())):
        rename = "" if draft.cells("subject") else "call the column 'subject' and "
        raise UsageError(
            "column 'case' seems to hold names of patients, and records and reports name cases by it: number "
            f"the cases instead, or {rename}give --pseudonyms=KEYFILE, which leaves no name."
        )


def _are_names(cells: Sequence[str]) -> bool:
    """Whether more than half of those that are not missing are words without a digit."""
    known = [cell for cell in cells if not is_missing(cell)]
    names = sum(bool(_NAME.search(cell)) and not any(map(str.isdecimal, cell)) for cell in known)
    return 2 * names > len(known)


def _drop_without_label(draft: Draft) -> None:
    column = draft.roles["label"].column
    wanted = [column] if column else draft.labels if draft.task == "multilabel" else []
    cells = [draft.columns[name] for name in wanted]
    rows = zip(*cells, strict=True)
    lost = [row for row, own in enumerate(rows) if all(is_missing(c) and c not in draft.order for c in own)]
    if lost:
        names = draft.columns.get("path") or list(map(str, range(draft.count)))
        draft.notes.append(
            f"{len(lost)} cases have no {repr(column) if column else 'label that is known'}, and are left "
            f"out: {listed([names[row] for row in lost])}"
        )
        gone = set(lost)
        for name, cells in draft.columns.items():
            draft.columns[name] = [cell for row, cell in enumerate(cells) if row not in gone]


def _tell_roles(draft: Draft) -> None:
    for role in HELD:
        choice = draft.roles.get(role, Choice())
        others = f"; could also be {listed([name for name, _ in choice.others])}" if choice.others else ""
        if choice.column:
            draft.notes.append(f"{role}: column {choice.column!r} ({choice.why}){others}")
        elif role == "subject" or (role == "label" and draft.task not in ("segmentation", "multilabel")):
            draft.notes.append(f"{role}: none ({choice.why or 'no column bears such a name'}){others}")


def _name_sites(draft: Draft) -> None:
    cells = draft.cells("site")
    lost = sum(map(is_missing, cells or ()))
    if cells is not None and lost:
        column = draft.roles["site"].column
        draft.columns[column] = ["unknown" if is_missing(cell) else cell for cell in cells]
        draft.notes.append(f"{lost} cases have no {column!r}: written as 'unknown'")


def _pseudonyms(draft: Draft, asked: Asked) -> None:
    cells, paths = draft.cells("subject"), draft.columns.get("path", [])
    if cells is not None and asked.key:
        column = draft.roles["subject"].column
        held = sum(_holds(path, id_) for id_, path in zip(cells, paths, strict=False))
        merged = _meeting([cell for cell in cells if not is_missing(cell)])
        draft.columns[column] = replaced(cells, asked.key)
        if merged:  # told without the ids, since config.py holds it too
            names = listed([replaced([group[0]], asked.key)[0] for group in merged])
            draft.questions.append(
                f"subject: {sum(map(len, merged))} ids that are not written alike, such as 7 and 07 or 3.1 "
                f"and 3.10, became {len(merged)} pseudonym(s), {names}, each taken for one patient. If they "
                "are several, write ids that differ in more than zeros, case and blanks (P3.1 and P3.10 do), "
                "and run `nachos init` again"
            )
        draft.notes.append(f"the ids of {column!r} are replaced by keyed hashes")
        draft.columns.pop("case", None)
        if "series" in draft.columns and not draft.volumes:
            draft.columns["series"] = replaced(draft.columns["series"], asked.key)
        if held:
            draft.notes.append(
                f"ATTENTION: the paths of {held} cases hold the id itself, and cases.csv, records and "
                "reports name cases by their paths. Nothing is copied or renamed here: rename them first"
            )
    if cells is None and asked.key:
        raise UsageError(
            "--pseudonyms: no column tells the subjects, so nothing can be replaced; name it 'subject' first."
        )
    if asked.key and "name_start" in draft.columns:
        del draft.columns["name_start"]
        draft.notes.append("the column name_start could hold ids, and is left out beside --pseudonyms")


def _holds(path: str, id_: str) -> bool:
    """Whether a path holds an id as a word."""
    return len(id_) > 2 and re.search(rf"(?<![^\W_]){re.escape(id_)}(?![^\W_])", path) is not None


def _spellings(draft: Draft) -> None:
    for role in ("subject", "site", "label"):
        meeting = [" = ".join(map(repr, group)) for group in _meeting(draft.cells(role) or ())]
        if meeting and not (role == "label" and draft.task == "regression"):
            draft.questions.append(
                f"{role}: {len(meeting)} values stand in more than one spelling ({'; '.join(meeting[:5])}). "
                "If they are one, set config.data.spellings = 'join', if they are not, 'apart'"
            )


def _meeting(cells: Iterable[str]) -> list[list[str]]:
    """Values that differ only as spellings of one thing do, each group in alphabetical order."""
    groups: dict[str, set[str]] = {}
    for value in cells:
        groups.setdefault(spellings.canonical(value), set()).add(value)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def _task(draft: Draft) -> None:
    cells = draft.cells("label")
    if cells is not None and draft.task == "classification":
        classes = draft.of_classes()
        rare = [f"{value} ({count})" for value, count in classes.items() if count < 5]
        if rare:
            draft.questions.append(
                f"label: classes with fewer than 5 cases cannot be in every fold: {', '.join(rare)}. Join "
                "them with others, or take out their lines"
            )
        if len(classes) < 2:
            draft.questions.append("label: all cases have the same one; a second class is needed")


def _ask(draft: Draft) -> None:
    subjects = draft.cells("subject")
    if subjects is None:
        places = {"npz": "an array to the npz file", "folder": "them to the names of the files"}
        draft.questions.append(
            "subject: nothing tells which cases are of one patient. Add "
            f"{places.get(draft.source, 'a column to cases.csv')} and name it in config.data.subject_key; "
            "`nachos evaluate` refuses until then"
        )
    elif lost := sum(is_missing(value, spellings.MISSING | spellings.NOBODY) for value in subjects):
        draft.questions.append(f"subject: {lost} cases have none; fill them in, or take out their lines")
    if draft.task not in ("segmentation", "multilabel") and not draft.roles["label"].column:
        draft.questions.append(
            "label: name the column in config.data.label_key, or several in config.data.target_keys; "
            "config.py lists what could be meant"
        )


def rarest(draft: Draft) -> int:
    """Subjects (cases, where those are not known) of the rarest class or label; of other tasks, of all."""
    labels, subjects = draft.cells("label"), draft.cells("subject") or list(map(str, range(draft.count)))
    if draft.task == "multilabel" and draft.labels:
        there = (
            {s for s, c in zip(subjects, draft.columns[name], strict=True) if c == "1"}
            for name in draft.labels
        )
        return min(map(len, there))
    if labels is None or draft.task != "classification":
        return len(set(subjects))
    return min(Counter(label for label, _ in set(zip(labels, subjects, strict=True))).values())
