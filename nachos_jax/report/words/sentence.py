"""The estimate in words: what was measured, on what, and what must be known to read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nachos_jax.report.sections.section import Section

SE_LABEL = "SE over folds (NACHOS), descriptive: folds share training cases, so it is too small"


def estimate(summary: Mapping[str, Any], section: Section) -> str:
    """One sentence or two: the headline metric, its unit and count, the data, and what it estimates.

    Args:
        summary: what `summary.summarise` builds, before its words.
        section: of the task.
    """
    progress, data = summary["progress"], _data(summary, section)
    if not progress["outer_folds_tested"]:
        planned = _count(progress["outer_folds_planned"], "outer fold")
        if summary["protocol"] == "flat":
            return f"No estimate yet: the search goes on. Planned: flat cross-validation on {data}."
        return f"No estimate yet: none of {planned} is tested. Planned: nested cross-validation on {data}."
    metric = summary["metrics"][summary["headline"]]
    unit = section.unit(summary["headline"], summary["data"]["classes"])
    if summary["protocol"] == "flat":
        return _flat(summary, metric, unit, data)
    partial = "part of a " if progress["outer_folds_missing"] else ""
    first = f"{_value(metric, unit, progress)}: {partial}nested cross-validation on {data}."
    if metric["mean"] is None:
        return first
    return (
        f"{first} It estimates how the whole procedure (search, training, epochs rule) performs when "
        f"trained on {_share(summary)} of these data."
    )


def _flat(summary: Mapping[str, Any], metric: Mapping[str, Any], unit: str, data: str) -> str:
    """The estimate of the flat protocol: what is left of the selected trial's mean after correction."""
    interval, folds = metric["intervals"][0], summary["progress"]["folds_a_repeat"]
    how = f"flat {folds}-fold cross-validation of {_count(summary['trials']['scored'], 'trial')} on {data}"
    if interval["estimate"] is None:
        return f"{metric['label']} has no corrected estimate ({interval['note']}): {how}."
    value = f"{metric['label']} {_number(interval['estimate'])}{unit}"
    if interval["low"] is not None:
        value += f" ({_ends(interval)}, BBC-CV over {_count(interval['count'], interval['unit'][:-1])})"
    return (
        f"{value}: {how}, corrected for choosing the trial on the folds that scored it. It estimates how the "
        f"selected configuration performs when trained on {_share(summary)} of these data."
    )


def _ends(interval: Mapping[str, Any]) -> str:
    ends = f"{interval['low']:.3f} to {interval['high']:.3f}".replace("-", "\N{MINUS SIGN}")
    return f"{100 * interval['level']:.4g} % interval {ends}"


def caveats(summary: Mapping[str, Any], section: Section, warnings: Iterable[str]) -> list[str]:
    """What the reader must know besides the sentence, most important first.

    Args:
        summary: what `summary.summarise` builds, before its words.
        section: of the task.
        warnings: the run's own.
    """
    found = [
        *_one_loop(summary),
        *_missing(summary),
        *_interval_notes(summary),
        *_waived(summary),
        *_notes(summary),
        *_failures(summary, section.without_numbers(summary)),
        *_repeats(summary),
    ]
    if any(summary["metrics"][name]["se"] is not None for name in summary["shown"]):
        found.append(f"{SE_LABEL}.")
    return found + [_closed(text) for text in warnings]


def _value(metric: Mapping[str, Any], unit: str, progress: Mapping[str, Any]) -> str:
    label, mean = metric["label"], metric["mean"]
    if mean is None:
        reason = next(value["note"] for value in metric["folds"].values())
        tested = _count(progress["outer_folds_tested"], "tested outer fold")
        return f"{label} is undefined in all of {tested} ({reason})"
    return f"{label} {_number(mean)}{unit} ({_spread(metric, progress)})"


def _spread(metric: Mapping[str, Any], progress: Mapping[str, Any]) -> str:
    planned, count = progress["outer_folds_planned"], metric["count"]
    over = f"{count} of {planned} outer folds" if count < planned else _count(planned, "outer fold")
    if progress["repeats"] > 1:
        over += f", {progress['repeats']} repeats of {progress['folds_a_repeat']}"
    if metric["se"] is None:
        return f"from {over}, so without SE"
    interval = metric["intervals"][0]
    if interval["low"] is None:
        return f"no interval; SE {metric['se']:.3f} over {over}, descriptive"
    return f"{_ends(interval)}, corrected t over {over}; SE {metric['se']:.3f}, descriptive"


def _data(summary: Mapping[str, Any], section: Section) -> str:
    data, progress = summary["data"], summary["progress"]
    cases = _count(data["cases"], "case")
    tested = progress["cases_tested"]
    if progress["outer_folds_tested"] and tested < data["cases"]:
        cases += f" ({tested:,} of them tested)"
    if data["subjects_waived"]:
        who = " taken as one case a subject (stated by the user, not checked)"
    else:
        who = f" of {_count(data['subjects'], 'subject')}"
    sites = f" from {_count(data['sites'], 'site')}" if (data["sites"] or 0) > 1 else ""
    return f"{cases}{who}{sites}, {section.extent(summary)}"


def _share(summary: Mapping[str, Any]) -> str:
    """The share of the cases that a refit saw: a plain fraction where folds are equal."""
    low, high = summary["training_share"]
    count = summary["progress"]["folds_a_repeat"]
    fraction = (count - 1) / count
    if max(abs(low - fraction), abs(high - fraction)) <= 0.02:
        return f"about {count - 1}/{count}"
    if f"{low:.0%}" == f"{high:.0%}":
        return f"{low:.0%}"
    return f"{low:.0%} to {high:.0%}"


def _missing(summary: Mapping[str, Any]) -> list[str]:
    progress = summary["progress"]
    missing = progress["outer_folds_missing"]
    if not missing or not progress["outer_folds_tested"]:
        return []
    return [
        f"{progress['outer_folds_tested']} of {progress['outer_folds_planned']} outer folds are tested; "
        f"not yet: {_listed(missing)}. The estimate may change when they are."
    ]


def _one_loop(summary: Mapping[str, Any]) -> list[str]:
    metric = summary["metrics"][summary["headline"]]
    if summary["protocol"] != "flat" or metric["mean"] is None:
        return []
    return [
        f"One loop both chose the trial and scored it: the selected trial's own mean over folds, "
        f"{metric['mean']:.3f}, is optimistic. Only the estimate is corrected (by the bootstrap of "
        "Tsamardinos et al. 2018); values of single folds, subgroups, curves and counts are those of the "
        "selected trial and are not. How training varies is not in the interval. A nested run needs no "
        "correction."
    ]


def _interval_notes(summary: Mapping[str, Any]) -> list[str]:
    """Why the headline has no interval, or what qualifies the one that it has."""
    metric = summary["metrics"][summary["headline"]]
    if metric["mean"] is None or not metric["intervals"][0]["note"]:
        return []
    interval = metric["intervals"][0]
    if interval["low"] is None:
        return [f"No interval is given: {interval['note']}."]
    return [f"On the interval: {interval['note']}."]


def _waived(summary: Mapping[str, Any]) -> list[str]:
    if not summary["data"]["subjects_waived"]:
        return []
    return [
        "Subjects are waived: the user stated that no subject has two cases, and no record can check it. "
        "If some have, their cases may lie on both sides of a test and the estimate is too good."
    ]


def _notes(summary: Mapping[str, Any]) -> list[str]:
    """Undefined values of any metric and qualified ones of the headline; equal reasons together."""
    undefined: dict[tuple[str, str], list[str]] = {}
    qualified: dict[str, list[str]] = {}
    for name in summary["shown"]:
        metric = summary["metrics"][name]
        reasons: dict[str, list[str]] = {}
        for fold, value in metric["folds"].items():
            if value["value"] is None:
                reasons.setdefault(value["note"], []).append(fold)
            elif value["note"] and name == summary["headline"]:
                qualified.setdefault(value["note"], []).append(fold)
        for note, folds in reasons.items():
            undefined.setdefault((note, _folds(folds)), []).append(metric["label"])
    texts = []
    for (note, where), labels in undefined.items():
        one = len(labels) == 1
        means = "its mean leaves" if one else "their means leave"
        texts.append(
            f"{_listed(labels)} {'is' if one else 'are'} undefined in {where} ({note}), which {means} out."
        )
    headline = summary["metrics"][summary["headline"]]["label"]
    return texts + [f"{headline} in {_folds(folds)}: {note}." for note, folds in qualified.items()]


def _failures(summary: Mapping[str, Any], lost: int) -> list[str]:
    trials, texts = summary["trials"], []
    if trials["failed"]:
        texts.append(
            f"{trials['failed']} of {_count(trials['scored'], 'trial')} failed (a training met NaN or "
            "infinity, or the selection metric was undefined) and scored worst."
        )
    if lost:
        texts.append(
            f"{_count(lost, 'prediction')} are not numbers, because a refit met NaN or infinity: they are in "
            "no count and no metric, which may flatter the procedure."
        )
    return texts


def _repeats(summary: Mapping[str, Any]) -> list[str]:
    progress = summary["progress"]
    if progress["repeats_tested"] < 2:
        return []
    k = min(progress["folds_a_repeat"], summary["metrics"][summary["headline"]]["count"])
    return [
        f"The {progress['repeats_tested']} repeats test the same cases again, so the SE is SD/√{k} with "
        f"the {k} folds of one repeat, however many repeats there are."
    ]


def _number(value: float) -> str:
    return f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def _count(number: int, noun: str, plural: str | None = None) -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _listed(items: Iterable[Any]) -> str:
    texts = [str(item) for item in items]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _folds(numbers: Iterable[str]) -> str:
    numbers = list(numbers)
    return f"outer fold{'s' * (len(numbers) > 1)} {_listed(numbers)}"


def _closed(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
