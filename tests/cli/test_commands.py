"""The commands as people use them: help, a run from the estimate to predictions, resuming, interruption."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import shutil
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load
from scipy import optimize, special
from sklearn.metrics import roc_curve

from nachos_jax import __version__
from nachos_jax.cli import main as main_module
from nachos_jax.cli import parsing
from nachos_jax.cli.commands import NAMES
from nachos_jax.core.errors import UsageError
from nachos_jax.engine.pool import LanePool
from nachos_jax.protocol.model import decision
from nachos_jax.protocol.run import progress
from nachos_jax.records.store import RunDirectory
from nachos_jax.runtime import compile_cache
from tests.cli.conftest import CASES, Call, arrays, said
from tests.tiers import mostly_thorough

HEAVY = ("jax", "numpy", "flax", "torch", "ml_collections", "matplotlib", "nachos_jax.models")
ALONE = "import sys; from nachos_jax.cli.main import main; code = main(sys.argv); "
OUR_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (INFO|WARNING|ERROR) ")


@pytest.mark.parametrize("words", [("--help",), ("-h",), ("help",)])
def test_help(words: tuple[str, ...]):
    code, out, err = said(*words)
    assert (code, err) == (0, "")
    for command in ("evaluate", "deploy", "predict", "status", "report"):
        assert f"\nnachos {command} " in out


def test_help_of_evaluate():
    code, out, err = said("evaluate", "--help")
    assert (code, err) == (0, "")
    assert "nachos evaluate --config=FILE.py --workdir=DIR [--outer_folds=0,3]" in out
    for flag, meaning in {
        "config": "get_config()",
        "workdir": "resumes",
        "outer_folds": "to run now",
    }.items():
        (line,) = [line for line in out.splitlines() if line.startswith(f"  --{flag}=")]
        assert meaning in line
    assert "--config.training.epochs=50" in out
    assert not {"--model", "--verbosity", "--alsologtostderr", "--helpfull"} & set(re.findall(r"--\w+", out))
    assert max(map(len, out.splitlines())) <= 100
    assert said("help", "evaluate")[1] == out


@pytest.mark.parametrize("command", ["deploy", "predict", "status", "report"])
def test_help_of_the_others(command: str):
    code, out, err = said(command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"nachos {command}: ")
    assert "--outer_folds" not in out


PLACES = {
    "evaluate": ("workdir",),
    "deploy": ("workdir",),
    "predict": ("model", "input", "output", "explain"),
    "embed": ("output",),
    "status": ("workdir",),
    "init": ("input", "labels", "output", "pseudonyms"),
    "audit": ("workdir", "output"),
    "plan": ("workdir",),
    "config": (),
    "report": ("workdir",),
    "replay": ("curves", "output"),
    "compare": ("runs", "output"),
    "study": ("workdir", "output"),
    "track": ("workdir", "tensorboard"),
}


def test_these_are_all_commands_but_the_one_that_passes_its_flags_on() -> None:
    assert set(NAMES) - set(PLACES) == {"sweep"}


@pytest.mark.parametrize("command", PLACES)
def test_a_tilde_is_the_home_folder(command: str, here: Path, monkeypatch: pytest.MonkeyPatch):
    """A shell leaves --workdir=~/x as it is."""
    monkeypatch.setenv("HOME", "/me")
    known = {flag.name: flag for flag in NAMES[command].flags}
    words = [f"--{name}=~/a,~/b" if known[name].many else f"--{name}=~/a" for name in PLACES[command]]
    words += ["--config=study.py"] if "config" in known else []
    values = parsing.parse(command, NAMES[command].flags, words)
    for name in PLACES[command]:
        assert values[name].value == (["/me/a", "/me/b"] if known[name].many else "/me/a")


@mostly_thorough("words", [["evaluate", "--help"], ["--help"], ["predict", "--help"], ["--version"]], kept=1)
def test_help_loads_nothing_heavy(words: list[str], call: Call):
    code = f"print([name for name in {HEAVY!r} if name in sys.modules]); sys.exit(code)"
    done = call("-c", ALONE + code, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "[]"


def test_module_and_version(call: Call):
    assert call("-m", "nachos_jax", "--help").stdout == said("--help")[1]
    assert said("--version") == (0, f"nachos {__version__}\n", "")


def test_evaluate_tells_the_estimate_and_nothing_of_other_packages(finished: Path):
    out = (finished.parent / "evaluate.out").read_text(encoding="utf-8").splitlines()
    assert out[0].startswith("Balanced accuracy 0.")
    assert f"nested cross-validation on {CASES} cases of 45 subjects, 2 classes" in out[0]
    assert out[1:] == ["report: finished/report/index.html"]
    assert (finished / "report/index.html").is_file()
    for command in ("evaluate", "deploy"):
        err = (finished.parent / f"{command}.err").read_text(encoding="utf-8")
        assert [line for line in err.splitlines() if not OUR_LINE.match(line)] == []


def test_run_log_has_the_command_lines(finished: Path):
    lines = (finished / "run.log").read_text(encoding="utf-8").splitlines()
    assert all(map(OUR_LINE.match, lines))
    commands = [line.split("command: ")[1] for line in lines if " command: " in line]
    assert commands[0] == "nachos evaluate --config=study.py --workdir=finished"
    assert commands[1] == "nachos deploy --config=study.py --workdir=finished"


def test_predictions_of_the_estimate(finished: Path):
    with open(finished / "predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {"case", "subject", "outer_fold", "label", "predicted", "probability_0", "probability_1"} <= rows[
        0
    ].keys()
    assert sorted(row["case"] for row in rows) == [f"row-{i:06d}" for i in range(CASES)]
    truth = {f"row-{i:06d}": str(label) for i, label in enumerate(arrays()["labels"])}
    for row in rows:
        chances = [float(row["probability_0"]), float(row["probability_1"])]
        assert sum(chances) == pytest.approx(1, abs=1e-5)
        assert row["predicted"] == str(chances.index(max(chances)))
        assert row["label"] == truth[row["case"]]


def test_status_and_report(here: Path, finished: Path):
    code, out, err = said("status", "--workdir=finished")
    assert (code, err) == (0, "")
    assert "estimate: 3 of 3 outer folds tested, " in out
    assert "model: exported" in out
    page = finished / "report/index.html"
    before = page.read_bytes()
    page.unlink()
    assert said("report", "--workdir=finished")[0] == 0
    assert page.read_bytes() == before


def test_second_evaluate_has_nothing_to_do(
    here: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = shutil.copytree(finished, tmp_path / "run")
    monkeypatch.setattr(LanePool, "__init__", None)  # nothing may be put on a device, let alone be compiled
    files = sorted(path.name for path in (run / "records").rglob("*"))
    code, out, err = said("evaluate", "--config=study.py", f"--workdir={run}")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "nothing was left to do: all that was asked for is tested"
    assert out.splitlines()[1].startswith("Balanced accuracy")
    assert sorted(path.name for path in (run / "records").rglob("*")) == files
    assert (run / "predictions.csv").read_bytes() == (finished / "predictions.csv").read_bytes()


def held(finished: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels and logits of all cases by the fits of the shipped trial that had not seen them."""
    store = RunDirectory(finished, "deploy")
    outcome, cases = store.outcome(None), RunDirectory(finished).cases()
    assert outcome is not None
    assert cases is not None
    labels, logits = [], []
    for fit in outcome.fits[outcome.selected]:
        record = store.fit(fit)
        assert record is not None
        (fold,) = record.left_out
        labels.append(cases.targets[cases.folds.assignment[0] == fold])
        logits.append(load(store.payload(record, "inner.safetensors"))[str(fold)].astype(float))
    return np.concatenate(labels), np.concatenate(logits)


def test_threshold_and_temperature_are_shipped_and_applied(here: Path, finished: Path, tmp_path: Path):
    """The best of all thresholds by scikit-learn, the temperature by a search of SciPy."""
    told = json.loads((finished / "deploy" / "model.json").read_text())["decision"]
    labels, logits = held(finished)
    assert len(labels) == CASES
    scores = special.softmax(logits, axis=1)[:, 1]
    false, true, _ = roc_curve(labels, scores)
    called = scores >= told["threshold"]
    assert called[labels == 1].mean() - called[labels == 0].mean() == pytest.approx((true - false).max())
    assert (told["positive"], told["rule"]) == ("1", "youden")

    def loss(temperature: float) -> float:
        return -float(np.mean(special.log_softmax(logits / temperature, axis=1)[range(CASES), labels]))

    best = optimize.fminbound(loss, 0.01, 100, xtol=1e-8)
    assert told["temperature"] == pytest.approx(best, rel=1e-3)

    image = tmp_path / "0.png"
    Image.fromarray(arrays()["images"][0]).save(image)

    def predicted(*words: str) -> dict[str, str]:
        code, _, err = said(
            "predict", "--model=finished/deploy", f"--input={image}", f"--output={tmp_path}/o.csv", *words
        )
        assert (code, err) == (0, "")
        (row,) = csv.DictReader((tmp_path / "o.csv").read_text(encoding="utf-8").splitlines())
        return row

    plain, both = predicted(), predicted("--apply=temperature,threshold")
    p, softened = (np.array([float(row[f"probability_{i}"]) for i in (0, 1)]) for row in (plain, both))
    np.testing.assert_allclose(softened, special.softmax(np.log(p) / told["temperature"]), atol=1e-5)
    assert "called_1" not in plain
    assert both["called_1"] == ("yes" if p[1] >= told["threshold"] else "no")
    assert predicted("--apply=threshold")["probability_1"] == plain["probability_1"]
    words = ("predict", "--model=finished/deploy", f"--input={image}", f"--output={tmp_path}/o.csv")
    code, _, err = said(*words, "--apply=thresholds")
    assert code == 2
    assert "--apply=thresholds: must be one or both of temperature, threshold." in err


def test_a_model_without_a_threshold_says_so():
    with pytest.raises(UsageError, match="shipped without one \\(it is of another task or version\\)"):
        decision.applied({"classes": ["a", "b"]}, np.ones((1, 2)) / 2, ["threshold"])
    named_none = {"classes": ["a", "b", "c"], "decision": {"temperature": 1.0, "temperature_note": ""}}
    with pytest.raises(UsageError, match="config.report.positive named no class"):
        decision.applied(named_none, np.ones((1, 3)) / 3, ["threshold"])


def test_predict_files_folder_and_table(here: Path, finished: Path, tmp_path: Path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(arrays()["images"][number]).save(folder / f"{number}.png")
    (tmp_path / "list.csv").write_text("path,ward\nimages/0.png,A\nimages/3.png,B\n", encoding="utf-8")

    def predicted(inputs: str) -> dict[str, list[str]]:
        output = tmp_path / "out.csv"
        code, out, err = said("predict", "--model=finished/deploy", f"--input={inputs}", f"--output={output}")
        assert (code, out, err) == (0, f"predictions: {output}\n", "")
        header, *rows = csv.reader(output.read_text(encoding="utf-8").splitlines())
        assert header == ["case", "predicted", "probability_0", "probability_1"]
        return {Path(row[0]).name: row[1:] for row in rows}

    whole = predicted(str(folder))
    assert list(whole) == ["0.png", "1.png", "2.png", "3.png"]
    assert len({tuple(row) for row in whole.values()}) == 4
    assert predicted(f"{folder / '2.png'},{folder / '1.png'}") == {
        name: whole[name] for name in ("2.png", "1.png")
    }
    assert predicted(str(tmp_path / "list.csv")) == {name: whole[name] for name in ("0.png", "3.png")}


@contextlib.contextmanager
def interrupted(fits: int) -> Generator[None]:
    """Ctrl-C as soon as so many fits are on disk."""
    commit, done = RunDirectory.commit_fit, []

    def commit_fit(*words: Any) -> None:
        done.append(commit(*words))
        if len(done) == fits:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # we may have been started without it
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDirectory, "commit_fit", commit_fit)
        yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_is_told_and_keeps_what_is_finished(here: Path):
    """Ctrl-C in the search."""
    with interrupted(3):
        code, out, err = said("evaluate", "--config=study.py", "--workdir=broken")
    assert (code, out) == (130, "")
    told = err.splitlines()
    assert told.pop() == "nachos: interrupted; what is finished is kept, and the same command resumes."
    assert all(map(OUR_LINE.match, told))
    assert len(list((here / "broken").glob("records/evaluate/fits/*.json"))) == 3


@pytest.mark.thorough
def test_interrupted_and_in_parts_gives_the_same(here: Path, finished: Path, monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C in the search, then one outer fold, then the others: the predictions of one go."""
    words, parts = ("evaluate", "--config=study.py", "--workdir=parts"), here / "parts"
    with interrupted(3):
        assert said(*words)[0] == 130
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    code, out, err = said(*words, "--outer_folds=0")
    assert code == 0, err
    assert "no interval over folds; from 1 of 3 outer folds, so without SE)" in out
    assert re.search(r"INFO evaluate: \d+/\d+ fits, \d+ epochs, lanes \d+/\d+, .*best [\d.-]+, ", err)
    assert all(map(OUR_LINE.match, err.splitlines()))
    code, _, err = said(*words, "--outer_folds=1,2")
    assert code == 0, err
    assert (parts / "predictions.csv").read_bytes() == (finished / "predictions.csv").read_bytes()


@pytest.mark.thorough
def test_ax_is_quiet(call: Call, study: Path):
    """Ax, torch and their friends warn of what concerns their developers; none of it reaches people."""
    flags = ("--config.search.searcher=ax", "--config.search.trials=4", "--config.search.initial=3")
    words = ("evaluate", "--config=study.py", "--workdir=ax", "--outer_folds=0", *flags)
    done = call("-m", "nachos_jax", *words)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if not OUR_LINE.match(line)] == []
    with open(study / "ax" / "trials.csv", newline="", encoding="utf-8") as file:
        assert [row["origin"] for row in csv.DictReader(file)] == ["default", "sobol", "sobol", "ax"]


ONE_PROGRAM = """
import os
os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # where the other tests share theirs
from nachos_jax.protocol.model import decision
from nachos_jax.records.store import RunDirectory
from nachos_jax.runtime import compile_cache
compile_cache.switch_on()
import jax
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: x + 1.0)(1.0)
"""


@pytest.mark.thorough
def test_compiled_programs_are_kept_in_a_private_folder(caches: Path, call: Call):
    done = call("-c", ONE_PROGRAM)
    assert done.returncode == 0, done.stderr
    (place,) = (caches / "nachos_jax" / "xla").iterdir()
    assert any(place.iterdir())
    for folder in (place, place.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def no_compilation_cache():
    known = jax.config.jax_compilation_cache_dir  # pyrefly: ignore[missing-attribute]
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_compilation_cache_dir", known)


def test_compilation_cache(no_compilation_cache: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    compile_cache.switch_on()
    assert Path(str(jax.config.jax_compilation_cache_dir)) == compile_cache.folder()  # pyrefly: ignore[missing-attribute]
    assert compile_cache.folder().parent == tmp_path / "caches/nachos_jax/xla"
    jax.config.update("jax_compilation_cache_dir", "of the user")
    compile_cache.switch_on()
    assert jax.config.jax_compilation_cache_dir == "of the user"  # pyrefly: ignore[missing-attribute]


def test_compilation_cache_that_cannot_be_written(
    no_compilation_cache: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    compile_cache.switch_on()
    assert jax.config.jax_compilation_cache_dir is None  # pyrefly: ignore[missing-attribute]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError("std::bad_alloc"), "memory ran out"),
        (RuntimeError("can't start new thread"), "no further thread can be started"),
        (ImportError("x.so: failed to map segment from shared object"), "memory ran out"),
        (ImportError("no module"), None),
    ],
)
def test_limits_of_the_system_are_told_in_a_sentence(error, told, monkeypatch):
    monkeypatch.setattr(main_module, "_dispatch", lambda *_: (_ for _ in ()).throw(error))
    if told is None:
        with pytest.raises(type(error)):
            said("status")
    else:
        code, _, err = said("status")
        assert (code, err.count("\n")) == (2, 1)
        assert told in err


def test_a_terminal_that_knows_ascii_only(here: Path, finished: Path, call: Call):
    lines = "import sys, runpy; sys.stdout.reconfigure(encoding='ascii'); from nachos_jax.cli import main; "
    lines += "main.main = lambda *_, **__: print('\\u00e9') or 0; main.run()"
    done = call("-c", lines)
    assert (done.returncode, done.stdout) == (0, "\\xe9\n")
