"""What a report leads with: scores of cases, or those of the units above them (config.report.headline)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def leading(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """The summary as what leads the report reads it: metrics by unit where the headline is by unit."""
    found = summary.get("units")  # a summary of an older version has none
    if not found or not found.get("leads"):
        return summary
    told = {
        name: {**metric, "label": f"{metric['label']} by {found['column']}"}
        for name, metric in found["metrics"].items()
    }
    return {**summary, "metrics": {**summary["metrics"], **told}}
