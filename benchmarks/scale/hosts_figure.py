"""The figure of hosts.py: efficiency by devices, and what lanes do; patterns and marks tell all apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.scale import hosts_ledger as ledgers

GOAL = 0.9
LINES = (("o", "-"), ("s", "--"), ("^", ":"))
LOOKS = {
    ledgers.BUSY: ("0.25", ""),
    ledgers.STARTUP: ("1.0", "||||"),
    ledgers.OWN: ("0.5", ""),
    ledgers.LEADER: ("0.8", "xxxx"),
    ledgers.PROPOSALS: ("0.65", "\\\\\\\\"),
    ledgers.ROUND: ("0.9", "////"),
    ledgers.TAIL: ("1.0", ""),
}
"""Gray and pattern of each thing that a lane does; no dots, each of which an SVG would spell out."""


def draw(devices: Sequence[int], found: Mapping[str, Sequence[Any]], folder: Path) -> list[Path]:
    """Draws the figure.

    Args:
        devices: numbers of devices.
        found: outcomes for these, by searcher.
        folder: where to.

    Returns:
        hosts_scaling.svg and hosts_scaling.png; nothing without matplotlib.
    """
    try:
        import matplotlib
    except ImportError:
        return []
    matplotlib.use("Agg")
    from matplotlib import pyplot

    # Text stays text, and the same figures give the same bytes.
    look: Any = {"font.size": 9, "hatch.linewidth": 0.6, "svg.fonttype": "none", "svg.hashsalt": "hosts"}
    with matplotlib.rc_context(look):
        figure, places = pyplot.subplots(1, 1 + len(found), figsize=(4.2 * (1 + len(found)), 3.8))
        _efficiency(places[0], devices, found)
        for place, (searcher, outcomes) in zip(places[1:], found.items(), strict=True):
            _shares(place, devices, searcher, outcomes)
        handles, labels = places[1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=len(LOOKS), frameon=False)
        figure.tight_layout(rect=(0, 0.08, 1, 1))
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"hosts_scaling.{ending}" for ending in ("svg", "png")]
        figure.savefig(paths[0], metadata={"Date": None})
        figure.savefig(paths[1], dpi=130)
        pyplot.close(figure)
    return paths


def _efficiency(place: Any, devices: Sequence[int], found: Mapping[str, Sequence[Any]]) -> None:
    for (mark, line), (searcher, outcomes) in zip(LINES, found.items(), strict=False):
        values = [outcome.efficiency for outcome in outcomes]
        place.plot(devices, values, marker=mark, linestyle=line, color="black", label=searcher)
    place.axhline(GOAL, color="0.5", linewidth=0.8)
    place.annotate(f"goal {GOAL}", (devices[-1], GOAL), ha="right", va="bottom", color="0.3")
    place.set_xscale("log", base=2)
    place.set_xticks(devices, [str(count) for count in devices])
    place.minorticks_off()
    place.set_ylim(0, 1)
    place.set_xlabel("devices")
    place.set_ylabel("efficiency")
    place.legend(frameon=False, loc="lower left", title="searcher")


def _shares(place: Any, devices: Sequence[int], searcher: str, outcomes: Sequence[Any]) -> None:
    below = [0.0] * len(devices)
    for what, (gray, pattern) in LOOKS.items():
        shares = [outcome.share(what) for outcome in outcomes]
        place.bar(
            range(len(devices)),
            shares,
            bottom=below,
            width=0.85,
            label=what,
            color=gray,
            hatch=pattern,
            edgecolor="black",
            linewidth=0.5,
        )
        below = [low + share for low, share in zip(below, shares, strict=True)]
    place.set_xticks(range(len(devices)), [str(count) for count in devices])
    place.set_ylim(0, 1)
    place.set_xlabel("devices")
    place.set_ylabel("share of all lane-seconds")
    place.set_title(searcher)
