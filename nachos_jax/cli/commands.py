"""The commands of `nachos`: each defines its flags, parses them, and makes one call into the protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags

from nachos_jax.cli import parsing
from nachos_jax.core.errors import UsageError


def evaluate(values: flags.FlagValues, argv: Sequence[str]) -> int:
    """`nachos evaluate`: the estimate."""
    parsing.config_flag(values)
    parsing.workdir_flag(values)
    flags.DEFINE_list("outer_folds", None, "Outer folds to run now, e.g. 0,3; default all.", flag_values=values)
    if parsing.parse(values, argv, required=("config", "workdir")):
        return 0
    outer_folds = parsing.whole_numbers("outer_folds", values.outer_folds)
    config = parsing.run_config(values.config)
    from nachos_jax.cli.session import session
    from nachos_jax.protocol.evaluate import evaluate as run
    from nachos_jax.report import page

    with session(values.workdir):
        run(config, values.workdir, outer_folds)
        print(f"report: {page.write(values.workdir)}")
    return 0


def deploy(values: flags.FlagValues, argv: Sequence[str]) -> int:
    """`nachos deploy`: the model."""
    parsing.config_flag(values)
    parsing.workdir_flag(values)
    if parsing.parse(values, argv, required=("config", "workdir")):
        return 0
    config = parsing.run_config(values.config)
    from nachos_jax.cli.session import session
    from nachos_jax.protocol.deploy import deploy as run

    with session(values.workdir):
        print(f"model: {run(config, values.workdir)}")
    return 0


def predict(values: flags.FlagValues, argv: Sequence[str]) -> int:
    """`nachos predict`: probabilities of new images."""
    flags.DEFINE_string("model", None, "Folder that `nachos deploy` wrote.", flag_values=values)
    flags.DEFINE_list("input", None, "Files, folders or CSVs with a `path` column.", flag_values=values)
    flags.DEFINE_string("output", None, "CSV to write.", flag_values=values)
    if parsing.parse(values, argv, required=("model", "input", "output")):
        return 0
    output = Path(values.output)
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise UsageError(f"--output={output}: must be a file in a folder that exists.")
    from nachos_jax.cli.predictions import write
    from nachos_jax.protocol.deployed import load

    model = load(values.model)
    names, probabilities = model.predict(values.input)
    print(f"predictions: {write(output, names, probabilities, model.classes)}")
    return 0


def status(values: flags.FlagValues, argv: Sequence[str]) -> int:
    """`nachos status`: where a run stands."""
    parsing.workdir_flag(values)
    if parsing.parse(values, argv, required=("workdir",)):
        return 0
    from nachos_jax.protocol.status import describe

    print(describe(values.workdir))
    return 0


def report(values: flags.FlagValues, argv: Sequence[str]) -> int:
    """`nachos report`: summary, tables and page, rebuilt from the records."""
    parsing.workdir_flag(values)
    if parsing.parse(values, argv, required=("workdir",)):
        return 0
    from nachos_jax.report import page

    print(f"report: {page.write(values.workdir)}")
    return 0


NAMES: dict[str, Callable[[flags.FlagValues, Sequence[str]], int]] = {
    "evaluate": evaluate,
    "deploy": deploy,
    "predict": predict,
    "status": status,
    "report": report,
}
