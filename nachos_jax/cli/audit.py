"""`nachos audit`: the data looked at before anything trains, and after."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from nachos_jax.cli import parsing
from nachos_jax.cli.parsing import Flag
from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import expanded

FLAGS = (
    Flag(
        "workdir",
        "DIR",
        "Run directory of a `nachos evaluate` on these data: also looks for probable label errors.",
        required=False,
        path=True,
    ),
    Flag(
        "smaller",
        "DIR[,DIR...]",
        "Runs over parts of the cases of --workdir (config.data.subset): also draws the learning curve.",
        many=True,
        required=False,
        path=True,
    ),
    Flag(
        "output",
        "FOLDER",
        "Folder for index.html and audit.json; DIR/audit when left out, or the folder `audit` here.",
        required=False,
        path=True,
    ),
)


def audit(values: Any, _words: list[str]) -> None:
    """`nachos audit`: prints what was found, and writes the page."""
    folder = values.output or os.path.join(values.workdir or "", "audit")
    config = parsing.run_config(values.config)
    beyond = _beyond(config.data.external_path)
    from nachos_jax.audit import after, extent, pictures
    from nachos_jax.audit import audit as audits
    from nachos_jax.data.inspected import inspect
    from nachos_jax.protocol.run import embedding
    from nachos_jax.report.numbers import learning_curve
    from nachos_jax.report.page import audit_page
    from nachos_jax.tasks import registry as tasks

    audit_page.check_folder(folder)
    if values.smaller and not values.workdir:
        raise UsageError("--smaller: name the run over all cases in --workdir, the smaller ones beside it.")
    curve = learning_curve.curve([values.workdir, *values.smaller]) if values.smaller else None
    found = inspect(embedding.resized(config), tasks.of(config.task))
    names = found.cohort.table.names.tolist()
    run = after.finished(values.workdir, names, found.cohort.targets.values) if values.workdir else None
    further = after.findings(run, names) if run else ()
    inside = extent.inside(found, config.data.external)
    result = audits.audit(found, extent.folds(found, config), further, inside)
    result = dataclasses.replace(result, left_out=(*result.left_out, *beyond))
    told: dict[str, Any] = {
        **audits.to_json(result),
        "after": after.after_json(run) if run else None,
        "learning_curve": curve,
    }
    shown = pictures.of_cases(found.cohort.store, audit_page.shown_rows(told))
    page = audit_page.write(told, shown, folder)
    for finding in told["findings"]:
        print(f"{audit_page.WEIGHTS[finding['weight']]}: {finding['told']}")
    if not told["findings"]:
        print("nothing was found")
    if curve:
        print(audit_page.curve_words(curve))
    for line in beyond:
        print(line)
    print(f"audit: {page}")


def _beyond(path: str) -> tuple[str, ...]:
    """What people should know of external cases in a file of their own; () without one."""
    if not path:
        return ()
    if not os.path.exists(expanded(path)):
        raise UsageError(f"config.data.external_path = {path!r}: there is no such file; mend the path.")
    return (
        f"The external cases of {path} are not looked at: `nachos plan` refuses subjects and images that are "
        "inside too, and `nachos audit` with that file as config.data.path looks at the rest.",
    )
