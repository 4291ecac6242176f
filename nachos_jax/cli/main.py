"""The command line: `nachos COMMAND --flags`. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import sys

from absl import flags

from nachos_jax.core.errors import UsageError

USAGE = """Nested cross-validation with hyperparameter search for medical images.

nachos evaluate --config=FILE.py --workdir=DIR [--outer_folds=0,3]   the estimate, with a report
nachos deploy   --config=FILE.py --workdir=DIR                       the model to ship, in DIR/deploy
nachos predict  --model=DIR/deploy --input=PATH[,PATH...] --output=FILE.csv
nachos status   --workdir=DIR                                        where a run stands
nachos report   --workdir=DIR                                        writes the report again

Any field of the config can be set: --config.training.epochs=50 --config.search.trials=32
"""


def run() -> None:
    """Entry point of the console script; exits with 0, or 2 when the user can mend it."""
    sys.exit(main(sys.argv))


def main(argv: list[str]) -> int:
    """Runs one command.

    Args:
        argv: program name, command, flags.

    Returns:
        Exit code: 0 done, 2 refused with one message, 130 interrupted.
    """
    try:
        return _dispatch(argv)
    except UsageError as error:
        print(f"nachos: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nachos: interrupted; the same command resumes.", file=sys.stderr)
        return 130


def _dispatch(argv: list[str]) -> int:
    from nachos_jax.cli import commands

    names = commands.NAMES
    if len(argv) < 2 or argv[1] in ("--help", "-h", "help", "--helpfull", "--helpshort"):
        print(USAGE, end="")
        return 0
    if argv[1] == "--version":
        from nachos_jax import __version__

        print(f"nachos {__version__}")
        return 0
    command = argv[1]
    if command not in names:
        raise UsageError(f"{command!r} is no command; there are {', '.join(names)}. `nachos --help` shows examples.")
    values = flags.FlagValues()
    define = commands.NAMES[command]
    return define(values, [f"nachos {command}", *argv[2:]])
