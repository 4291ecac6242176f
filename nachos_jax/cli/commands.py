"""The commands of `nachos`: their flags, and one call into the protocol each."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nachos_jax.cli import parsing, sweep
from nachos_jax.cli.audit import FLAGS as AUDIT_FLAGS
from nachos_jax.cli.audit import audit
from nachos_jax.cli.compare import FLAGS as COMPARE_FLAGS
from nachos_jax.cli.compare import compare
from nachos_jax.cli.embed import FLAGS as EMBED_FLAGS
from nachos_jax.cli.embed import embed
from nachos_jax.cli.fields import FLAGS as FIELDS_FLAGS
from nachos_jax.cli.fields import fields
from nachos_jax.cli.init import FLAGS as INIT_FLAGS
from nachos_jax.cli.init import init
from nachos_jax.cli.launched import FLAGS, launched, leads
from nachos_jax.cli.parsing import Flag
from nachos_jax.cli.plan import FLAGS as PLAN_FLAGS
from nachos_jax.cli.plan import plan
from nachos_jax.cli.replay import FLAGS as REPLAY_FLAGS
from nachos_jax.cli.replay import replay
from nachos_jax.cli.study import FLAGS as STUDY_FLAGS
from nachos_jax.cli.study import study
from nachos_jax.cli.track import FLAGS as TRACK_FLAGS
from nachos_jax.cli.track import track
from nachos_jax.core.errors import UsageError

CONFIG = Flag("config", "FILE.py", "Python file with get_config(), or one that ships, like smoke or csv.")
WORKDIR = Flag("workdir", "DIR", "Run directory; the same command again resumes what it holds.", path=True)


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        run: takes the parsed flags and the words of the command line; its results are on disk, and what it
            prints are two or three lines for people. What it returns, if anything, is the exit code.
        summary: one line for people.
        flags: what it takes.
        reads_words: whether it reads its flags itself, from the words; it is given None for the parsed ones.
    """

    run: Callable[[Any, list[str]], int | None]
    summary: str
    flags: tuple[Flag, ...]
    reads_words: bool = False

    @property
    def launched(self) -> bool:
        """True when several processes may run it together."""
        return set(FLAGS) <= set(self.flags)


def evaluate(_values: None, words: list[str]) -> None:
    """`nachos evaluate`: the estimate."""
    from nachos_jax.cli import reporting

    # Its process first: its imports are then made beside those of this one, which begin with the config file.
    with reporting.writer(leads(words[2:])) as report:
        values = parsing.parse("evaluate", NAMES["evaluate"].flags, words[2:])
        outer_folds = parsing.whole_numbers("outer_folds", values.outer_folds)
        config = parsing.run_config(values.config)
        with launched(values) as party:
            if party is not None and party.board.process:
                _work(config, values.workdir, words, party)
                return
            report.expects(config.task)
            idle, path = _evaluated(config, outer_folds, values.workdir, words, party, report)
    if idle:
        print("nothing was left to do: all that was asked for is tested")
    _tell(values.workdir, path)


def _evaluated(
    config: Any, outer_folds: Any, workdir: str, words: list[str], party: Any, report: Any
) -> tuple[bool, Any]:
    """Whether nothing was left to do, and where the page lies."""
    from nachos_jax.cli.session import session
    from nachos_jax.protocol.evaluate import evaluate as run
    from nachos_jax.records.store import RunDirectory

    with session(workdir, words):
        before = _finished(RunDirectory(workdir))
        opened = run(config, workdir, outer_folds, party=party)
        return _finished(opened.store) == before, report.write(opened)


def _finished(store: Any) -> tuple[int, int, bool]:
    """Outer folds tested, and asked about columns; whether the study of the flat protocol has ended."""
    return len(store.tests()), len(store.column_tests()), store.outcome(None) is not None


def deploy(values: Any, words: list[str]) -> None:
    """`nachos deploy`: the model."""
    config = parsing.run_config(values.config)
    with launched(values) as party:
        if party is not None and party.board.process:
            _work(config, values.workdir, words, party)
            return
        from nachos_jax.cli.session import session
        from nachos_jax.protocol.deploy import deploy as run

        with session(values.workdir, words):
            print(f"model: {run(config, values.workdir, party=party)}")


def _work(config: Any, workdir: str, words: list[str], party: Any) -> None:
    """Any process but number 0: trains what that one hands out."""
    from nachos_jax.cli.session import worker_session
    from nachos_jax.protocol.crew.worker import work

    with worker_session(workdir, words, party.board.process):
        work(config, workdir, party)


def predict(values: Any, _words: list[str]) -> None:
    """`nachos predict`: predictions of new images, and where they come from."""
    from nachos_jax.cli import mask_files

    if mask_files.asked(values.model):
        _predict_masks(values)
        return
    if values.mirror is not None:
        raise UsageError(
            f"--mirror={values.mirror} is for models of masks, and {values.model} makes none: leave it out."
        )
    output = _output(values.output, values.input)
    from nachos_jax.cli import explanations
    from nachos_jax.cli.predictions import write

    method = explanations.method(values.explain_method, values.explain)
    folder = explanations.folder(values.explain, values.input, output)
    from nachos_jax.protocol.model import decision
    from nachos_jax.protocol.model.deployed import load
    from nachos_jax.runtime import compile_cache

    compile_cache.switch_on()
    model = load(values.model)
    decision.check(model.description, values.apply or ())
    if folder:
        model.check_explained(method)
    names, images = model.read(values.input)
    predictions = model.unrounded(images)
    shown, column = decision.applied(model.description, predictions, values.apply or ())
    table = folder and explanations.write(folder, model, names, images, shown, method)
    header, rows = model.table(shown)
    if column:
        header, rows = [*header, column[0]], [[*row, cell] for row, cell in zip(rows, column[1], strict=True)]
    print(f"predictions: {write(output, names, header, rows)}")
    if table:
        print(f"explanations: {table}\n{explanations.NOTE}")


def _predict_masks(values: Any) -> None:
    """`nachos predict` of a model that makes masks."""
    for name in ("apply", "explain", "explain_method"):
        if values[name].value is not None:
            raise UsageError(f"--{name} is not for models of masks, and {values.model} is one: leave it out.")
    from nachos_jax.cli import mask_files

    place, mirror = mask_files.folder(values.output, values.input), mask_files.mirrored(values.mirror)
    from nachos_jax.protocol.model.deployed import load
    from nachos_jax.runtime import compile_cache

    compile_cache.switch_on()
    print("\n".join(mask_files.write(place, load(values.model), values.input, mirror)))


def _output(text: str, inputs: list[str]) -> Path:
    """The file to write; never one that is read, nor an image."""
    path = Path(text)
    if path.suffix.lower() != ".csv" or os.path.isdir(path):
        raise UsageError(f"--output={text}: must be a file whose name ends in .csv, which is written anew.")
    if not os.path.isdir(path.absolute().parent):
        raise UsageError(f"--output={text}: there is no folder {path.absolute().parent}; make it first.")
    if os.path.realpath(path) in map(os.path.realpath, inputs):
        raise UsageError(f"--output={text} is also an --input and would be lost; name another file.")
    return path


def sweeps(_values: None, words: list[str]) -> int:
    """`nachos sweep`: one run for each combination of fields."""
    return sweep.run(words[2:], {name: NAMES[name].flags for name in ("evaluate", "deploy")})


def status(values: Any, _words: list[str]) -> None:
    """`nachos status`: where a run stands."""
    from nachos_jax.protocol.run.status import describe
    from nachos_jax.records import readable

    readable.check(values.workdir)
    print(describe(values.workdir))


def report(values: Any, _words: list[str]) -> None:
    """`nachos report`: summary, tables and page, rebuilt from the records."""
    from nachos_jax.records import readable
    from nachos_jax.report.page import page

    readable.check(values.workdir)
    _tell(values.workdir, page.write(values.workdir))


def _tell(workdir: str, report: Path) -> None:
    """Prints the estimate in words, as the report says it, and where the report lies."""
    summary = json.loads((Path(workdir) / "summary.json").read_text(encoding="utf-8"))
    print(summary["sentence"])
    print(f"report: {report}")


NAMES: Mapping[str, Command] = {
    "evaluate": Command(
        evaluate,
        "the estimate, by nested cross-validation, with a report",
        (
            CONFIG,
            WORKDIR,
            Flag(
                "outer_folds",
                "0,3",
                "Outer folds to run now, numbered from 0; all when left out. The others can be run later, or "
                "elsewhere, into the same run directory.",
                many=True,
                required=False,
            ),
            parsing.ALLOW,
            *FLAGS,
        ),
        reads_words=True,
    ),
    "deploy": Command(
        deploy,
        "the model to ship, trained on all cases, in DIR/deploy",
        (CONFIG, WORKDIR, parsing.ALLOW, *FLAGS),
    ),
    "predict": Command(
        predict,
        "predictions of new cases by a deployed model: probabilities, numbers or masks",
        (
            Flag("model", "DIR/deploy", "Folder that `nachos deploy` wrote.", path=True),
            Flag(
                "input",
                "PATH[,PATH...]",
                "Image files, folders, or CSVs with a column path; of a model of vectors, npz, csv, tsv or "
                "parquet files with its features; of one that makes masks also NIfTI and npz files.",
                many=True,
                path=True,
            ),
            Flag(
                "output",
                "FILE.csv|FOLDER",
                "CSV file to write; of a model that makes masks, a folder for them and a table of volumes.",
                path=True,
            ),
            Flag(
                "mirror",
                "yes|no",
                "Whether a model that makes masks also looks at each window mirrored, along the axes along "
                "which it was trained so: yes (the default, as in nnU-Net), or no, which takes a half to an "
                "eighth of the time.",
                required=False,
            ),
            Flag(
                "apply",
                "temperature,threshold",
                "What was chosen when the model was made, on cases that its fits had not seen: the "
                "temperature softens the probabilities, the threshold adds a column with decisions.",
                many=True,
                required=False,
            ),
            Flag(
                "explain",
                "FOLDER",
                "Also write a picture of each case there: what in the image spoke for the predicted class.",
                required=False,
                path=True,
            ),
            Flag(
                "explain_method",
                "gradcam|occlusion",
                "How: gradcam (the default) reads the last feature map, occlusion covers the image piece by "
                "piece, which takes about 100 times as long and works for every network.",
                required=False,
            ),
        ),
    ),
    "embed": Command(embed, "features of a pretrained network for all cases, read as vectors", EMBED_FLAGS),
    "init": Command(init, "a case table and a config from a folder, archive or table as it is", INIT_FLAGS),
    "sweep": Command(sweeps, "one run for each combination of config fields", sweep.FLAGS, reads_words=True),
    "status": Command(status, "where a run stands", (WORKDIR,)),
    "audit": Command(audit, "the data: leakage, copies, shortcuts, counts", (CONFIG, *AUDIT_FLAGS)),
    "plan": Command(
        plan, "what a run will take: fits, buckets, memory, time", (CONFIG, parsing.ALLOW, *PLAN_FLAGS)
    ),
    "config": Command(fields, "every field of the config with its default and meaning", FIELDS_FLAGS),
    "report": Command(report, "summary, tables and page, written again from the records", (WORKDIR,)),
    "replay": Command(replay, "search policies on recorded learning curves, nothing trained", REPLAY_FLAGS),
    "compare": Command(compare, "two or more runs over the same folds, with tests", COMPARE_FLAGS),
    "study": Command(study, "what finished searches teach: rankings, importance, progress", STUDY_FLAGS),
    "track": Command(track, "a run in TensorBoard or MLflow, made from its records", TRACK_FLAGS),
}
