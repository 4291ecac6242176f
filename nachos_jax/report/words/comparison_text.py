"""A comparison in words and tables, which never say more than was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nachos_jax.report.words.format import MISSING, in_sentence, number

Result = Mapping[str, Any]


def pair(result: Result, found: Mapping[str, Any]) -> str:
    """What was found of two runs, in two or three sentences.

    Args:
        result: of `comparison.compare`, before its words.
        found: one of its pairs.
    """
    a, b = found["a"], found["b"]
    if found["note"]:
        return f"{a} and {b} were not tested against each other: {found['note']}."
    return f"{_difference(result, found)} {_probabilities(result, found)}"


def caveats(result: Result) -> list[str]:
    """What the reader must know besides, most important first."""
    folds, data = result["folds"], result["data"]
    found = [
        "Each run is a whole procedure (search, training, epochs rule); the differences are those of "
        "procedures trained on all but one outer fold at a time, not of two models.",
    ]
    if len(folds["tested"]) < folds["planned"]:
        found.append(
            f"Only {len(folds['tested'])} of {folds['planned']} outer folds are tested "
            f"({', '.join(map(str, folds['tested']))}), by all runs; the rest may change the result."
        )
    if any(not pair["note"] for pair in result["pairs"]):
        found.append(
            "Folds share training cases. Both tests widen the variance for it by 1/(K - 1), which is a rule "
            "of thumb for K folds (Nadeau and Bengio, 2003; Benavoli et al., 2017); intervals are those of "
            "each pair alone."
        )
        found.append(
            f"The region of practical equivalence, {_rope(result)} of {_label(result)}, is a choice: say "
            "before looking at the results which differences do not matter."
        )
    if "site" in folds["scheme"]:
        found.append("Folds are sites: the spread of differences measures sites, not sampling of cases.")
    if data["subjects_waived"]:
        found.append("Subjects are waived: the user stated that no subject has two cases; it is not checked.")
    return found + _notes(result)


def markdown(result: Result) -> str:
    """The whole comparison as Markdown text.

    Args:
        result: of `comparison.compare`.
    """
    folds, data = result["folds"], result["data"]
    repeats = f", {folds['repeats']} repeats" if folds["repeats"] > 1 else ""
    order = "higher is better" if result["higher_is_better"] else "lower is better"
    lines = [
        f"# {result['label']} of {len(result['runs'])} runs",
        "",
        f"{len(folds['tested'])} of {folds['planned']} outer folds ({folds['scheme']}{repeats}), "
        f"{data['cases']:,} cases, {order}.",
        "",
        *_table(["Run", "Mean", "SD over folds", "Outer folds"], map(_run_row, result["runs"])),
        "",
        *_table(_pair_header(result), (_pair_row(result, found) for found in result["pairs"])),
        "",
        *(f"- {words}" for words in result["words"]),
        "",
        "What to know:",
        "",
        *(f"- {words}" for words in result["caveats"]),
    ]
    return "\n".join(lines) + "\n"


def _difference(result: Result, found: Mapping[str, Any]) -> str:
    test, mean = found["test"], found["mean"]
    size = f"{abs(mean):.3f}"
    if float(size):
        told = f"is {size} {'higher' if mean > 0 else 'lower'} than"
    else:
        told = "agrees to three decimals with"
    verdict = "A difference was shown" if found["shown"] else "No difference was shown"
    order = f" ({'higher' if result['higher_is_better'] else 'lower'} is better)" if found["shown"] else ""
    limits = f"{number(test['low'], 3)} to {number(test['high'], 3)}"
    p = _p(test["p"], "p")
    if len(result["pairs"]) > 1:
        tests = sum(not pair["note"] for pair in result["pairs"])
        p += f", {_p(found['p_holm'], 'p')} after Holm over {tests} test{'s' * (tests != 1)}"
    text = (
        f"{verdict}: over these folds the mean {_label(result)} of {found['a']} {told} that of {found['b']}"
        f"{order} "
        f"({result['level']:.0%} interval of the difference {limits}, corrected t over {found['count']} "
        f"outer folds, {p})."
    )
    return text if found["shown"] else f"{text} This does not show that they are equal."


def _probabilities(result: Result, found: Mapping[str, Any]) -> str:
    chance, rope = found["probabilities"], _rope(result)
    return (
        f"Given these folds and no prior knowledge, the probability that {found['a']} is better by more than "
        f"{rope} is {_probability(chance['a_better'])}, that the two differ by at most {rope} (practical "
        f"equivalence) {_probability(chance['equivalent'])}, and that {found['b']} is better by more than "
        f"{rope} {_probability(chance['b_better'])}."
    )


def _notes(result: Result) -> list[str]:
    """Undefined and qualified values, equal notes together."""
    where: dict[str, list[str]] = {}
    for run in result["runs"]:
        for fold, value in run["folds"].items():
            if value["note"]:
                where.setdefault(value["note"], []).append(f"{run['name']} {fold}")
    return [f"{result['label']} ({note}) in run and outer fold: {', '.join(w)}." for note, w in where.items()]


def _run_row(run: Mapping[str, Any]) -> list[str]:
    undefined = f" ({run['undefined']} undefined)" if run["undefined"] else ""
    return [run["name"], number(run["mean"], 3), number(run["sd"], 3), f"{run['count']}{undefined}"]


def _pair_header(result: Result) -> list[str]:
    rope = _rope(result)
    names = ["A", "B", "A minus B", f"{result['level']:.0%} interval", "p"]
    if len(result["pairs"]) > 1:
        names.append("p (Holm)")
    return [*names, f"P(A better by > {rope})", f"P(within {rope})", f"P(B better by > {rope})"]


def _pair_row(result: Result, found: Mapping[str, Any]) -> list[str]:
    test, chance = found["test"], found["probabilities"]
    interval = MISSING if found["note"] else f"{number(test['low'], 3)} to {number(test['high'], 3)}"
    row = [found["a"], found["b"], number(found["mean"], 3), interval, _p(test["p"])]
    if len(result["pairs"]) > 1:
        row.append(_p(found["p_holm"]))
    return [*row, *(_probability(chance[key]) for key in ("a_better", "equivalent", "b_better"))]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table whose columns also line up in a terminal."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def _p(value: float | None, name: str = "") -> str:
    """A p-value alone, or as "p = 0.012"."""
    if value is None:
        return MISSING
    text = "< 0.001" if value < 0.001 else f"{value:.3f}"
    if not name:
        return text
    return f"{name} {text}" if value < 0.001 else f"{name} = {text}"


def _probability(value: float | None) -> str:
    if value is None:
        return MISSING
    if value < 0.005:
        return "< 0.01"
    return "> 0.99" if value > 0.995 else f"{value:.2f}"


def _rope(result: Result) -> str:
    return f"{result['rope']:g}"


def _label(result: Result) -> str:
    return in_sentence(result["label"])
