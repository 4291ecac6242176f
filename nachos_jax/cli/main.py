"""The command line: `nachos COMMAND --flags`. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import io
import os
import signal
import sys

from nachos_jax.core.errors import UsageError
from nachos_jax.runtime import thrift
from nachos_jax.runtime.stopping import EXIT_CODE, StoppedError

USAGE = """Nested cross-validation with hyperparameter search for medical images.

nachos evaluate --config=FILE.py --workdir=DIR [--outer_folds=0,3]   the estimate, with a report
nachos deploy   --config=FILE.py --workdir=DIR                       the model to ship, in DIR/deploy
nachos predict  --model=DIR/deploy --input=PATH[,PATH...] --output=FILE.csv|FOLDER
nachos embed    --config=FILE.py --output=features.npz               features of a pretrained network
nachos init     --input=FOLDER|TABLE [--labels=TABLE]                cases.csv and config.py to read and edit
nachos audit    --config=FILE.py [--workdir=DIR] [--output=FOLDER]   the data: leakage, copies, counts
nachos plan     --config=FILE.py [--workdir=DIR] [--devices=1,8,32]   what a run will take
nachos sweep    --config=FILE.py --workdir=DIR --sweep.seed=0,1,2    a run for each combination
nachos status   --workdir=DIR                                        where a run stands
nachos report   --workdir=DIR                                        writes the report again
nachos compare  --runs=DIR,DIR[,DIR...] [--metric=auc]                tests of their differences
nachos study    --workdir=DIR[,DIR...] [--output=FOLDER]             what finished searches teach
nachos replay   --curves=FILE.npz|RUN [--policy=race]                what a search policy would have saved
nachos replay   --curves=RUN --searcher=random,bohb [--policy=full]  what searchers would have found in a grid
nachos track    --workdir=DIR [--tensorboard=FOLDER] [--mlflow=URI]   for TensorBoard or MLflow
nachos config   [--section=NAME]                                     every field with its default and meaning

Any field of the config can be set: --config.training.epochs=50 --config.search.trials=32
`nachos COMMAND --help` explains the flags of a command.
"""


def run() -> None:
    """Entry point of the console script; exits with 0, or 2 when the user can mend it, see `main`."""
    ended_with = thrift.leave_at_once()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows ASCII only
    thrift.collect_seldom()
    code = main(sys.argv, guarded=True)
    ended_with(code)
    sys.exit(code)


def main(argv: list[str], guarded: bool = False) -> int:
    """Runs one command.

    Args:
        argv: program name, command, flags.
        guarded: whether long work may go on in a child process, so that any end of it is told in words.

    Returns:
        Exit code: 0 done, 2 refused with one message, 75 stopped early by a signal or the loss of another
        process, 130 interrupted; of a sweep, the first of its runs' codes that is not 0.
    """
    try:
        code = _dispatch(argv[1:], guarded)
        sys.stdout.flush()
        return code
    except StoppedError as error:
        print(f"nachos: {error}", file=sys.stderr)
        return EXIT_CODE
    except UsageError as error:
        print(f"nachos: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # who reads the output, like head, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.filename is None:
            raise
        cure = "mend its permissions or the disk and run the same command again; what is finished is kept"
        print(f"nachos: {error.filename}: {error.strerror}; {cure}.", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError, ImportError) as error:
        what = _ran_out(error)
        if not what:
            raise
        print(f"nachos: {what}; what is finished is kept, and the same command resumes.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nachos: interrupted; what is finished is kept, and the same command resumes.", file=sys.stderr)
        return 130


def _ran_out(error: Exception) -> str:
    """What a limit of the system has denied, for people; "" for another error."""
    limits = "`ulimit -a` and the limits of the job or container say how much is allowed"
    if "can't start new thread" in str(error):
        return f"no further thread can be started: {limits}"
    if isinstance(error, MemoryError) or "failed to map segment" in str(error):
        return f"memory ran out: {limits}"
    return ""


def _dispatch(words: list[str], guarded: bool) -> int:
    from nachos_jax.cli import commands, launched, parsing

    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    if words[:1] == ["--version"]:
        from nachos_jax import __version__

        print(f"nachos {__version__}")
        return 0
    if words and words[0] in parsing.HELP:
        print(USAGE, end="")
        return 0
    name = words[0] if words else ""
    if name not in commands.NAMES:
        raise UsageError(_no_command(name, list(commands.NAMES)))
    command = commands.NAMES[name]
    if any(word.split("=")[0] in parsing.HELP for word in words[1:]):
        print(parsing.help_text(name, command.summary, command.flags))
        return 0
    if command.launched:
        launched.guard(words[1:], guarded)
    values = None if command.reads_words else parsing.parse(name, command.flags, words[1:])
    return command.run(values, ["nachos", *words]) or 0


def _no_command(word: str, names: list[str]) -> str:
    from nachos_jax.cli.parsing import closest

    cure = f"there are {', '.join(names)}. `nachos --help` shows examples."
    if not word:
        return f"name a command: {cure}"
    if word.startswith("-"):
        return f"{word!r}: the command comes before its flags; {cure}"
    near = closest(word, names)
    return f"{word!r} is no command; {f'did you mean {near}? There are' if near else 'there are'}{cure[9:]}"
