"""A gallery as files: pictures beside an index that says what they show."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

FOLDER, INDEX = "explanations", "gallery.json"


def known(folder: Path, header: dict[str, Any], facts: list[dict[str, Any]]) -> bool:
    """Whether this very gallery lies in the folder already, picture by picture."""
    try:
        there = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        items = there.pop("items")
        same = [{name: item[name] for name in fact} for item, fact in zip(items, facts, strict=True)]
        whole = all(
            hashlib.sha256((folder / Path(item["file"]).name).read_bytes()).hexdigest() == item["sha256"]
            for item in items
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return whole and there == header and same == facts


def written(folder: Path) -> dict[str, str]:
    """Digests of the pictures of the gallery that lies there, by name."""
    try:
        items = json.loads((folder / INDEX).read_text(encoding="utf-8"))["items"]
        return {item["file"]: item["sha256"] for item in items}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
