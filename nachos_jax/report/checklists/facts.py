"""What a run knows of the things that checklists ask for: facts are macros of the templates in facts/.

A fact prints whole sentences, and calls `authors` with what the records lack; `idle` marks a sentence that
says why the question does not arise. Facts named "task.x" are those of the template of the run's task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nachos_jax.config.field import flat
from nachos_jax.config.subgroups import UNKNOWN
from nachos_jax.config.windows import window
from nachos_jax.core.hparams import AUGMENTATION, BY_TRAINING, FLIP_DEPTH, PREPARED
from nachos_jax.core.types import Trial
from nachos_jax.report.checklists.stops import Stops
from nachos_jax.report.reading import kinds
from nachos_jax.report.reading.evidence import CaseRow, Evidence
from nachos_jax.report.reading.kinds import ESTIMATORS
from nachos_jax.report.reading.shown import shown
from nachos_jax.report.words.format import made_rows, number
from nachos_jax.report.words.leading import leading
from nachos_jax.report.words.phrases import ESTIMATOR, intervals, listed
from nachos_jax.report.words.templating import environment, one_line

ROOMS = ("data", "preparation", "model", "results")
"""Templates in facts/ beside that of the task."""
MOST_LISTED = 12
"""Outer folds, or groups, that an answer names one by one; a longer list is left to the files."""
UNTESTED = "the results: nothing is tested yet"
REST = "the outer folds not yet tested, or why they are left out"
NOT_TOLD = "what this task says of it, which the report does not know"


class Fact(NamedTuple):
    """What the records say, what the authors must add, and whether the question arises in this run at all."""

    text: str
    missing: tuple[str, ...]
    applies: bool


class Facts:
    """The facts of one run, from its records and their summary."""

    def __init__(self, evidence: Evidence, summary: Mapping[str, Any]):
        self._missing: list[str] = []
        self._applies = True
        self._context = {
            **_of_results(evidence, summary),
            **_of_data(evidence),
            **_of_models(evidence),
            "authors": lambda text: self._missing.append(text) or "",
            "idle": self._idle,
        }
        self._rooms = {name: f"checklists/facts/{name}.j2" for name in ROOMS}
        if evidence.section.facts:
            self._rooms["task"] = evidence.section.facts
        self._modules = {name: self._module(path) for name, path in self._rooms.items()}

    def of(self, name: str) -> Fact:
        """The fact of a name like "data.counts"."""
        room, _, macro = name.partition(".")
        if room not in self._modules:
            return Fact("", (NOT_TOLD,), True)
        self._missing.clear()
        self._applies = True
        text = one_line(str(getattr(self._modules[room], macro)()))
        return Fact(text, tuple(filter(None, self._missing)), self._applies)

    def _module(self, path: str) -> Any:
        return environment(html=False).get_template(path).make_module(self._context)

    def _idle(self) -> str:
        self._applies = False
        return ""


def _of_results(evidence: Evidence, summary: Mapping[str, Any]) -> dict[str, Any]:
    progress, section = summary["progress"], evidence.section
    given: dict[str, list[int]] = {}
    withheld: dict[tuple[str, str], list[str]] = {}
    shown = [summary["metrics"][name] for name in summary["shown"]]
    for metric in shown:
        for interval in intervals(metric):
            if interval["low"] is not None:
                given.setdefault(f"{interval['label']}, unit {interval['unit']}", []).append(
                    interval["count"]
                )
            else:
                withheld.setdefault((interval["label"], interval["note"]), []).append(metric["label"])
    return {
        "evidence": evidence,
        "summary": summary,
        "led": leading(summary),
        "run": evidence.run,
        "protocol": evidence.protocol,
        "words": section.words,
        "page": section.parts(summary).context,
        "MOST": MOST_LISTED,
        "UNTESTED": UNTESTED,
        "rest": REST if progress["outer_folds_missing"] else "",
        "selected": evidence.protocol.words["selected"],
        "tested_of": _tested(progress),
        "lost": section.without_numbers(summary),
        "shown": shown,
        "given": given,
        "withheld": withheld,
        "Stops": Stops,
        "setting": lambda name: _setting(evidence, name),
        "diagonal": lambda counts: sum(row[i] for i, row in enumerate(counts)),
    }


def _of_data(evidence: Evidence) -> dict[str, Any]:
    tests = {case for test in evidence.tests.values() for case in test.cases}
    return {
        "held": {fold: _holding(evidence, evidence.members(fold)) for fold in range(evidence.planned)},
        "sites": len({row.site for row in evidence.cases if row.site}),
        "crossings": lambda what: _crossings(evidence, what),
        "tested_counts": lambda: _counts(evidence, tests),
        "numbered": lambda counts: listed(f"{name} ({count:,})" for name, count in counts.items()),
        "unknown": {name: Counter(groups)[UNKNOWN] for name, groups in evidence.groups.items()},
        "by_group": {name: dict(sorted(Counter(cells).items())) for name, cells in evidence.groups.items()},
    }


def _of_models(evidence: Evidence) -> dict[str, Any]:
    trials = [trial for study in evidence.trials.values() for trial in study]
    chosen = [trial for fold in evidence.outcomes if (trial := evidence.selected(fold)) is not None]
    tested = {test.fit for test in evidence.tests.values()}
    shapes = sorted({key for trial in chosen for key in trial.hparams if "." in key or key == "norm"})
    versions = evidence.run.get("versions") or {}
    return {
        "trials": trials,
        "kinds": evidence.kinds,
        "refitted": kinds.of(chosen or trials, evidence.run["config"]),
        "said": lambda name: _said(evidence, chosen or trials, name),
        "losses": _said(evidence, [*filter(_learns, chosen)] or [*filter(_learns, trials)], "loss"),
        "chosen": chosen,
        "values": _values,
        "hparams": lambda name: [trial.hparams.get(name) for trial in chosen],
        "shapes": [f"{key} {', '.join(_values(chosen, key))}" for key in shapes],
        "sizes": sorted({fit.parameters for fit in evidence.fits if fit.fit in tested}),
        "otherwise": sorted({f"{n} {t.hparams[n]!r}" for t in chosen for n in PREPARED if n in t.hparams}),
        "augmented": [
            name
            for name in (*AUGMENTATION, FLIP_DEPTH.name)
            if any(trial.hparams.get(name) for trial in chosen)
        ],
        "normalisations": _normalisations(evidence, chosen),
        "shown_values": _shown_values,
        "epochs": sorted({evidence.outcomes[fold].epochs for fold in _in_epochs(evidence)}),
        "rules": sorted({outcome.rule for outcome in evidence.outcomes.values()}),
        "searched": _searched(evidence, trials),
        "versions": [f"{key} {value}" for key, value in sorted(versions.items()) if value != "not installed"],
        "command": dict(made_rows(evidence)["how"]).get("Command"),
    }


def _learns(trial: Trial) -> bool:
    """Whether its loss is that of the task, and not that of an estimator."""
    return trial.hparams.get("architecture") not in ESTIMATORS


def _in_epochs(evidence: Evidence) -> list[int | None]:
    """The finished studies whose selected trial is trained in epochs."""
    chosen = {fold: evidence.selected(fold) for fold in evidence.outcomes}
    return [fold for fold, trial in chosen.items() if trial is None or kinds.of([trial], {}).steps]


def _normalisations(evidence: Evidence, chosen: Sequence[Trial]) -> list[str]:
    """Those of the selected trials, or before any is selected that of the config; [] where none is known."""
    name, key, absent = "normalisation", "data.normalisation", BY_TRAINING
    if evidence.task == "segmentation":
        name, key, absent = "segmentation.normalisation", "task.segmentation.normalisation", None
    found = {trial.hparams.get(name, absent) for trial in chosen} or {_setting(evidence, key) or absent}
    return sorted(str(value) for value in found if value)


def _shown_values(voi: str) -> tuple[float, float] | None:
    """The ends of a window of values; None where each file has its own."""
    found = window(voi)
    return None if found is None else (found[0] - found[1] / 2, found[0] + found[1] / 2)


def _tested(progress: Mapping[str, Any]) -> str:
    """How many of the planned outer folds are tested, and in words which are not."""
    planned, missing = progress["outer_folds_planned"], progress["outer_folds_missing"]
    of = f"{planned:,} outer fold{'s' * (planned != 1)}"
    if not missing:
        return f"All {of} are tested."
    done = f"{progress['outer_folds_tested']} of {of} are tested"
    return f"{done}; not yet: {listed(missing)}." if progress["outer_folds_tested"] else f"{done}."


def _holding(evidence: Evidence, rows: list[CaseRow]) -> dict[str, Any]:
    return {
        "size": len(rows),
        "subjects": len({row.subject for row in rows}),
        "sites": len({row.site for row in rows if row.site}),
        "counts": _counts(evidence, {row.case for row in rows}, ", ".join),
    }


def _counts(evidence: Evidence, cases: set[str], join: Any = listed) -> str:
    """Some of the cases by what is true of them, like "benign: 12"."""
    inside = [row.case in cases for row in evidence.cases]
    names = np.array([row.case for row in evidence.cases], str)[inside]
    found = evidence.section.group(evidence.targets[inside], names, evidence.classes)
    return join(f"{name}: {count:,}" for name, count in found.items())


def _crossings(evidence: Evidence, what: str) -> int:
    """Subjects or sites with cases in several folds of any one division."""
    found = set()
    for repeat in range(evidence.repeats):
        where: dict[str, int] = {}
        for row in evidence.cases:
            name = getattr(row, what)
            if name and where.setdefault(name, row.folds[repeat]) != row.folds[repeat]:
                found.add(name)
    return len(found)


def _setting(evidence: Evidence, name: str) -> Any:
    """A value of the config by its dotted name; None when the run did not record it."""
    value: Any = evidence.run["config"]
    for key in name.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def _said(evidence: Evidence, trials: Sequence[Trial], name: str) -> list[str]:
    """What the words of the task say of some trials by this name: one text, or one each kind of model."""
    words, found = evidence.section.words, []
    for trial in trials:
        kind = trial.hparams.get("architecture")
        way = ESTIMATOR if kind in ESTIMATORS else trial.hparams.get(f"{evidence.task}.loss")
        text = words.otherwise.get(str(way), {}).get(name, getattr(words, name))
        found.append(text.replace("the network", "the linear model") if kind == "linear" else text)
    return list(dict.fromkeys(found)) or [getattr(words, name)]


def _values(trials: Iterable[Trial], name: str) -> list[str]:
    """Texts of all values of a hyperparameter, without those for which it is inactive."""
    return sorted({number(trial.hparams[name]) for trial in trials if name in trial.hparams})


def _searched(evidence: Evidence, trials: Sequence[Trial]) -> list[str]:
    """The space without what no trial has, as momentum with Adam; the whole one before the first trial."""
    had = {name for trial in trials for name in shown(trial.hparams, evidence)}
    space = sorted(flat(_setting(evidence, "search.space") or {}).items())
    return [f"{name}: {value}" for name, value in space if value and (name in had or not trials)]
