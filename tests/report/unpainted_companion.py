"""`nachos_jax.cli.companion` as a script that paints no picture, as tests do not which look at none."""

import runpy

from nachos_jax.report.figures import drawing
from tests.painting import blank

if __name__ == "__main__":
    drawing.painted = blank
    runpy.run_module("nachos_jax.cli.companion", run_name="__main__")
