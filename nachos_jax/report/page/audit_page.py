"""The page of an audit, made from its findings alone, in the style of the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nachos_jax.core.errors import UsageError
from nachos_jax.records.store import RunDirectory, dump
from nachos_jax.report.figures.learning_curve import learning_curve
from nachos_jax.report.words.format import decimals, number
from nachos_jax.report.words.phrases import span
from nachos_jax.report.words.templating import environment

PAGE, DATA = "index.html", "audit.json"
SHOWN = 12
"""Groups of cases of a finding that the page shows with their pictures."""
WEIGHTS = {"leak": "Leakage", "fault": "To mend", "note": "To know"}


def shown_rows(found: Mapping[str, Any]) -> list[int]:
    """Row numbers of the cases whose pictures the page shows."""
    groups = [group for finding in found["findings"] for group in finding["groups"][:SHOWN]]
    return sorted({case["row"] for group in groups for case in group[:4]})


def check_folder(folder: str) -> None:
    """Refuses a folder that holds other files than those of an earlier audit.

    Raises:
        UsageError: likewise.
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise UsageError(f"--output={folder}: is a file; name a folder, which is made if need be.")
    others = sorted(p.name for p in path.iterdir()) if path.is_dir() else []
    if others and DATA not in others:
        raise UsageError(
            f"{folder} holds other files (e.g. {others[0]}), which could be lost: name a new or an empty "
            "folder with --output=FOLDER."
        )


def write(found: Mapping[str, Any], pictures: Mapping[int, str], folder: str) -> Path:
    """Writes audit.json and the page.

    Args:
        found: of `nachos_jax.audit.audit.to_json`.
        pictures: data URIs by row number, of `shown_rows`.
        folder: made if need be.

    Returns:
        The path of the page.
    """
    directory = RunDirectory(folder)
    directory.write_text(DATA, dump(dict(found)).decode())
    return directory.write_text(PAGE, render(found, pictures))


def render(found: Mapping[str, Any], pictures: Mapping[int, str]) -> str:
    """The page as HTML text: self-contained, no script, no network."""
    from markupsafe import Markup

    counts = {weight: sum(f["weight"] == weight for f in found["findings"]) for weight in WEIGHTS}
    curve = found.get("learning_curve")
    drawn = None if curve is None else Markup(learning_curve(curve).svg)
    template = environment(html=True).get_template("audit.html.j2")
    return template.render(
        found=found,
        pictures=pictures,
        counts=counts,
        weights=WEIGHTS,
        most=SHOWN,
        drawn=drawn,
        curve_words="" if curve is None else curve_words(curve),
    )


def curve_words(curve: Mapping[str, Any]) -> str:
    """What a learning curve says, in sentences."""
    first, last, ahead = curve["points"][0], curve["points"][-1], curve["ahead"]
    digits = decimals(curve)
    ends = (
        f"{number(point['value'], digits)} with {point['subjects']:,.0f} training subjects"
        for point in (first, last)
    )
    told = f"{curve['label']} is {' and '.join(ends)}."
    if ahead is None:
        return f"{told} A law is fitted to three runs or more; these are {len(curve['points'])}."
    return (
        f"{told} The power law through {len(curve['points'])} runs leads to {number(ahead['value'], digits)} "
        f"({span(ahead, digits)}) with {ahead['subjects']:,.0f}: an "
        "extrapolation and no estimate, which holds if further subjects are like these and the law goes on. "
        "The interval takes the runs for independent, each with its corrected SE over folds; they share "
        "cases."
    )
