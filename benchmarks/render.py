"""Writes the tables of benchmarks/results into benchmarks/README.md, between its two marks.

    python -m benchmarks.render [--results benchmarks/results] [--readme benchmarks/README.md]

Every result brings its own table; the text outside the marks is left as it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.shared import measure

BEGIN, END = "<!-- results -->", "<!-- /results -->"
ORDER = (
    "steps",
    "protocol",
    "overhead",
    "scaling",
    "hosts",
    "soak",
    "fuzz",
    "stream",
    "intervals",
    "policies",
    "defaults",
    "features",
    "audit",
    "flips",
    "rates",
)


def rendered(readme: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """The text with its tables made anew.

    Args:
        readme: the text, with both marks in it.
        results: contents of the JSON files by file name.

    Raises:
        ValueError: a mark is missing.
    """
    before, begun, rest = readme.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise ValueError(f"the text must hold {BEGIN} and, after it, {END}")
    parts = [section(name, results[name]) for name in sorted(results, key=_place)]
    return "\n\n".join([before + BEGIN, *parts, END + after])


def section(name: str, result: Mapping[str, Any]) -> str:
    """Title, table, notes, and the line of command and machine; one line for a file without a table."""
    if "table" not in result:
        return f"`{name}` was stored by an earlier version: run `{result['command']}` again."
    table = result["table"]
    lines = [f"### {result['title']}", "", _row(table["columns"])]
    lines.append(_row(["---", *["---:"] * (len(table["columns"]) - 1)]))
    lines += [_row(row) for row in table["rows"]]
    for note in result.get("notes", ()):
        lines += ["", note]
    return "\n".join([*lines, "", f"`{result['command']}`: {machine(result)} (`{name}`)"])


def machine(result: Mapping[str, Any]) -> str:
    """Processor, devices, versions, load and date in one line."""
    told = result["machine"]
    versions = told["versions"]
    shown = ", ".join(f"{name} {versions[name]}" for name in ("jax", "flax", "torch") if name in versions)
    kinds = sorted(set(told["devices"]))
    devices = ", ".join(f"{told['devices'].count(kind)} x {kind}" for kind in kinds)
    whole = told.get("physical_cores") or told["cores"]
    shared = f" (threads of {whole} whole)" if whole < told["cores"] else ""
    cores = f"{told['cores']} cores{shared}"
    where = f"{told['cpu']}, {cores}, {told['memory_gib']:.0f} GiB, devices {devices}"
    return f"{where}; {shown}; load before {told['load_before']:.1f}; {result.get('date', 'no date')[:10]}"


def _place(name: str) -> tuple[int, str]:
    """Results of one script stand together, the scripts in the order of ORDER."""
    script = name.split("_")[0].split(".")[0]
    return (ORDER.index(script) if script in ORDER else len(ORDER), name)


def _row(cells: Any) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def read(folder: Path) -> dict[str, Any]:
    """Contents of the JSON files of a folder, by file name."""
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def main() -> None:
    """Rewrites the file."""
    flags = measure.parser(__doc__)
    flags.add_argument("--results", type=Path, default=measure.RESULTS)
    flags.add_argument("--readme", type=Path, default=measure.FOLDER / "README.md")
    given = flags.parse_args()
    text, results = given.readme.read_text(encoding="utf-8"), read(given.results)
    try:
        given.readme.write_text(rendered(text, results), encoding="utf-8")
    except ValueError as error:
        sys.exit(f"{given.readme}: {error}")
    print(f"{given.readme}: {len(results)} results")


if __name__ == "__main__":
    main()
