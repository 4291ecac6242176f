"""How long `nachos report` takes, and how much memory, for runs of 1,000 to a million tiny cases.

    python -m benchmarks.scale.report_size [--cases 1000,10000,100000,1000000]

The runs are made of records alone (report_run.py): 5 outer folds, two classes, two cases a subject, inner
predictions, sites and a column of groups. Each report is a process of its own.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.shared import measure

BUILD = "import sys; from benchmarks.scale.report_run import build; build(sys.argv[1], int(sys.argv[2]))"


def main() -> None:
    """Measures each size once."""
    flags = measure.parser(__doc__)
    flags.add_argument("--cases", default="1000,10000,100000,1000000")
    given = flags.parse_args()
    points, lines = [], []
    for cases in map(int, given.cases.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            workdir = Path(folder) / "run"
            # The peak of a process is never told to be less than that of its parent.
            measure.run([sys.executable, "-c", BUILD, workdir, cases])
            done = measure.run([sys.executable, "-m", "nachos_jax", "report", f"--workdir={workdir}"])
            page = (workdir / "report" / "index.html").stat().st_size
            size = sum(path.stat().st_size for path in workdir.rglob("*") if path.is_file())
        points.append(
            {"cases": cases, "seconds": done.seconds, "peak_mib": done.peak_mib, "page_bytes": page}
        )
        told = (f"{done.seconds:.1f} s", f"{done.peak_mib:,.0f} MiB", f"{page / 1024:,.0f} KiB")
        lines.append((f"{cases:,}", *told, f"{size / 2**20:,.1f} MiB"))
    titles = ("cases", "time of report", "peak memory", "page", "whole run directory")
    measure.store(
        given.out,
        "scaling_report",
        "The report of many cases",
        measure.Table(titles, tuple(lines)),
        {"points": points},
    )


if __name__ == "__main__":
    main()
