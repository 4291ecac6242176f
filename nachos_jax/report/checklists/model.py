"""Facts of the checklists about the model: architecture, training, search, choice, software, code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nachos_jax.core.hparams import AUGMENTATION
from nachos_jax.core.types import Trial
from nachos_jax.report.checklists.item import Fact, Report
from nachos_jax.report.checklists.words import between, counted, listed, setting
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words.format import duration, made_rows, number

_RULES = {
    "best": "the trial with the best mean score",
    "one-se": "the cheapest trial within one standard error of the best mean score",
}


def technology(report: Report) -> Fact:
    """The kind of model, in a sentence for title and abstract."""
    found = _values((trial for study in report.evidence.trials.values() for trial in study), "architecture")
    kinds = f" ({', '.join(found)})" if found else ""
    return Fact(
        f"Deep learning: convolutional neural networks{kinds} that {report.evidence.section.words.purpose}."
    )


def aim(report: Report) -> Fact:
    """Development or evaluation."""
    how = "flat" if report.evidence.flat else "nested"
    return Fact(
        f"The run develops models and evaluates them internally, by {how} cross-validation on the same data."
    )


def model(report: Report) -> Fact:
    """Architecture, size, input and output of the tested models."""
    trials = chosen(report.evidence)
    if not trials:
        return Fact("", "the selected architecture: no search has ended yet")
    names = _values(trials, "architecture")
    shapes = sorted({key for trial in trials for key in trial.hparams if "." in key or key == "norm"})
    parts = [f"{key} {', '.join(_values(trials, key))}" for key in shapes]
    tested = {test.fit for test in report.evidence.tests.values()}
    sizes = between(float(fit.parameters) for fit in report.evidence.fits if fit.fit in tested)
    size = f", {_whole(report.evidence, tested)} trained parameters" if sizes else ""
    kind = ", ".join(names) or "a convolutional neural network"
    shape = f" ({'; '.join(parts)})" if parts else ""
    text = f"Selected: {kind}{shape}{size}. {report.evidence.section.words.output}"
    return Fact(text, "the layers in full, or a reference to their code")


def _whole(evidence: Evidence, fits: set[str]) -> str:
    sizes = sorted({fit.parameters for fit in evidence.fits if fit.fit in fits})
    return f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"


INITIAL_WEIGHTS = Fact(
    "Weights start at random, from the seed, the folds left out and the hyperparameters of the fit (normal "
    "with tails cut at two standard deviations, scaled by the number of inputs); none are pretrained."
)


def training(report: Report) -> Fact:
    """Optimiser, epochs, augmentation and numbers of fits."""
    trials = chosen(report.evidence)
    parts = [report.evidence.section.words.loss]
    for key, title in (("optimizer", "Optimiser"), ("batch_size", "Batch size")):
        values = _values(trials, key)
        if values:
            parts.append(f"{title} of the selected trials: {', '.join(values)}.")
    used = [name for name in AUGMENTATION if any(trial.hparams.get(name) for trial in trials)]
    if trials:
        parts.append(f"Augmentation in them: {listed(used) if used else 'none'}.")
    spent = report.summary["spent"]
    parts.append(
        f"{counted(spent['fits_trained'], 'fit')} are trained so far ({counted(spent['epochs'], 'epoch')}); "
        f"{spent['fits_diverged']:,} met NaN or infinity."
    )
    stopping = _stopping(report.evidence)
    parts.append(stopping.text)
    if not report.evidence.flat:
        epochs = sorted({outcome.epochs for outcome in report.evidence.outcomes.values()})
        span = f" ({epochs[0]:,}{f' to {epochs[-1]:,}' if len(epochs) > 1 else ''})" if epochs else ""
        parts.append(
            f"A refit trains for the rounded mean of the inner folds' best epochs{span}, without validation."
        )
    return Fact(" ".join(filter(None, parts)), stopping.missing)


def _stopping(evidence: Evidence) -> Fact:
    wanted = {key: setting(evidence, f"training.{key}") for key in ("early_stopping", "epochs", "patience")}
    if None in wanted.values():
        return Fact("", "the rule of early stopping, which this run did not record")
    if not wanted["early_stopping"]:
        return Fact(f"No early stopping: search fits run {counted(wanted['epochs'], 'epoch')}.")
    delta = setting(evidence, "training.min_delta")
    by = f", lower by more than {number(delta)}" if delta else ""
    return Fact(
        f"Search fits run at most {counted(wanted['epochs'], 'epoch')} and stop after "
        f"{counted(wanted['patience'], 'epoch')} without a new lowest loss of the inner fold{by}."
    )


def search(report: Report) -> Fact:
    """Searcher, budget and space."""
    trials, searched = report.summary["trials"], _searched(setting(report.evidence, "search.space") or {})
    budget = setting(report.evidence, "search.trials")
    studies = "one study" if report.evidence.flat else "a study of its own for each outer fold"
    planned = f", {counted(budget, 'trial')} planned in each" if budget else ""
    searcher = setting(report.evidence, "search.searcher") or "not recorded"
    failed = ""
    if trials["failed"]:
        failed = f", of which {trials['failed']:,} failed and scored worst"
    space = "; ".join(f"{name}: {text}" for name, text in searched) or "nothing but the default configuration"
    return Fact(
        f"Hyperparameters: searcher {searcher}, {studies}{planned}. So far {trials['asked']:,} trials are "
        f"asked for and {trials['scored']:,} scored{failed}. The default configuration is always a trial. "
        f"Searched: {space}."
    )


def _searched(space: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name in sorted(space):
        value = space[name]
        if isinstance(value, Mapping):
            rows += _searched(value, f"{prefix}{name}.")
        elif value:
            rows.append((prefix + name, str(value)))
    return rows


def selection(report: Report) -> Fact:
    """What chose the trial."""
    metric = report.evidence.headline
    label = report.evidence.metrics.METRICS[metric].label
    rules = sorted({outcome.rule for outcome in report.evidence.outcomes.values()})
    if not rules:
        return Fact("", "the selected trials: no search has ended yet")
    rule = listed(_RULES.get(rule, rule) for rule in rules)
    when = "after the last epoch" if report.evidence.flat else "at the epoch with the lowest loss of the fold"
    folds = "the folds" if report.evidence.flat else "the inner folds of each outer fold, which never see it"
    done = report.summary["trials"]["studies_finished"]
    return Fact(
        f"Selection metric {label}, {when}, mean over {folds}; selected is {rule} (rule "
        f"{listed(rules)}). {counted(done, 'study', 'studies')} ended."
    )


def ensemble(report: Report) -> Fact:
    """Whether predictions are means over models."""
    single = "Every test prediction comes from a single model; no ensemble is part of the estimate."
    if setting(report.evidence, "deploy.members") == "folds":
        return Fact(
            f"{single} The config asks for a deployed model that averages one model a fold: it is untested."
        )
    return Fact(single, applies=False)


def software(report: Report) -> Fact:
    """Packages with versions."""
    versions = report.evidence.run.get("versions") or {}
    known = [f"{name} {value}" for name, value in sorted(versions.items()) if value != "not installed"]
    if not known:
        return Fact("", "software versions, which this run did not record")
    return Fact(f"Versions at the start of the run: {', '.join(known)}.")


def hardware(report: Report) -> Fact:
    """Devices and time."""
    spent = report.summary["spent"]
    if not spent["sessions"]:
        return Fact("", "devices and training time, of which no session is recorded")
    devices = "; ".join(spent["devices"]) or "not recorded"
    return Fact(
        f"Devices: {devices}; {duration(spent['seconds'])} in {counted(spent['sessions'], 'session')}, "
        f"{number(spent['device_hours'])} device hours."
    )


def seeds(report: Report) -> Fact:
    """The seed, and what it does not tell."""
    seed = report.evidence.run["config"].get("seed")
    return Fact(f"One seed ({seed}) names all random numbers; how results vary over seeds is not measured.")


def code(report: Report) -> Fact:
    """What would run the analysis again."""
    version = (report.evidence.run.get("versions") or {}).get("nachos_jax")
    how = dict(made_rows(report.evidence)["how"])
    parts = [f"nachos_jax {version}" if version else "nachos_jax"]
    if report.evidence.run.get("commit"):
        parts.append(f"commit {report.evidence.run['commit']}")
    if how.get("Command"):
        parts.append(f"command: {how['Command']}")
    text = f"{', '.join(parts)}. The config stands in records/run.json of the run directory."
    return Fact(text, "where this code, its commit and the run directory can be had, and under which licence")


AVAILABILITY = Fact(
    "The command nachos deploy trains a model on all cases and writes it to deploy/ of its run directory; "
    "this report does not know whether that was done. The estimate is of the procedure, not of that model.",
    "whether and where the trained model can be had, and under which licence",
)


def chosen(evidence: Evidence) -> list[Trial]:
    """The selected trials of all studies that have ended."""
    found = [evidence.selected(fold) for fold in evidence.outcomes]
    return [trial for trial in found if trial is not None]


def _values(trials: Iterable[Trial], name: str) -> list[str]:
    """Texts of all values of a hyperparameter, without those for which it is inactive."""
    return sorted({number(trial.hparams[name]) for trial in trials if name in trial.hparams})
