"""The gallery of errors as the page shows it: pictures that lie beside the records, checked against them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nachos_jax.records.store import RunDirectory
from nachos_jax.report.reading.evidence import Evidence

FOLDER, INDEX = "explanations", "gallery.json"


def read(directory: RunDirectory, evidence: Evidence) -> dict[str, Any] | None:
    """The gallery beside the records; None when none is wanted or there, or when it is of other tests.

    A picture whose bytes are not those of its digest, or that another fit than its fold's refit explains, is
    left out.
    """
    folder, most = directory.path / FOLDER, evidence.settings.gallery
    if not most:
        return None
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if index["tested"] != list(evidence.tests):
            return None
        pictures = [_picture(folder, told, evidence) for told in index["items"]]
        kept = [picture for picture in pictures if picture is not None][:most]
        counts = {key: int(index[key]) for key in ("errors", "predictions")}
        return {"note": str(index["note"]), **counts, "pictures": kept}
    except (OSError, ValueError, KeyError, TypeError):  # absent, torn or edited: it can be made anew
        return None


def _picture(folder: Path, told: Mapping[str, Any], evidence: Evidence) -> dict[str, Any] | None:
    test = evidence.tests.get(told["outer_fold"])
    name = Path(told["file"]).name
    data = (folder / name).read_bytes()
    if test is None or test.fit != told["fit"] or told["case"] not in test.cases:
        return None
    refit = next((fit for fit in evidence.fits if fit.fit == test.fit), None)
    weights = refit.payload.get("weights.safetensors") if refit else None
    if hashlib.sha256(data).hexdigest() != told["sha256"] or weights != told["weights_sha256"]:
        return None
    words = evidence.section.pictured(test, test.cases.index(told["case"]), evidence.classes)
    return {"source": f"data:image/png;base64,{base64.b64encode(data).decode()}", "told": words}
