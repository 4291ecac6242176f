"""Texts and pages from templates: what is said lies in files beside the code that knows it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nachos_jax.report.words import format, phrases

if TYPE_CHECKING:
    from jinja2 import Environment

SHOWN = ("decimals", "duration", "finer", "in_sentence", "number", "percent")
SAID = (
    *("between", "counted", "intervals", "level", "listed", "mean_of", "metric_quoted", "over_subjects"),
    *("quoted", "span", "units"),
)
"""What templates may write behind a value: of `format`, and of `phrases`."""
APART = ("audit.html.j2", "words/comparison.j2")
"""Templates of other reports than that of a run."""
ROOT = Path(__file__).parents[1]


@functools.cache
def environment(*, html: bool) -> Environment:
    """Templates of the report by their path below report/, or of the page by their path below its templates.

    Args:
        html: values are escaped for HTML; otherwise they stand as they are.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader([ROOT / "page/templates", ROOT / "sections", ROOT], encoding="utf-8"),
        undefined=StrictUndefined,
        autoescape=html,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {name: getattr(format, name) for name in SHOWN}
    found.filters |= {name: getattr(phrases, name) for name in SAID}
    return found


def prepare(task: str) -> None:
    """Compiles the templates of a run's report, which the first text of a process would wait for."""
    sections = {path.parent.name for path in (ROOT / "sections").glob("*/*.j2")}
    # Each template has several paths, and other reports and other tasks have templates of their own.
    apart = ("page/", "sections/", *(f"{section}/" for section in sections - {task}), *APART)
    for name in environment(html=True).list_templates(extensions=["j2"]):
        if not name.startswith(apart):
            environment(html=name.endswith((".html.j2", ".css.j2"))).get_template(name)


def said(template: str, macro: str, **context: Any) -> str:
    """What a macro of a template without HTML says of the context, on one line; it takes no arguments."""
    return one_line(written(template, macro, context))


def paragraphs(template: str, macro: str, **context: Any) -> list[str]:
    """Likewise, the paragraphs that blank lines part, each on one line."""
    return list(filter(None, map(one_line, written(template, macro, context).split("\n\n"))))


def written(template: str, macro: str, context: dict[str, Any]) -> str:
    """Likewise, as the template has it."""
    return str(getattr(environment(html=False).get_template(template).make_module(context), macro)())


def one_line(text: str) -> str:
    """A text of a template without the line breaks that only part its source."""
    return " ".join(filter(None, text.replace("\n", " ").split(" ")))
