"""Whatever a hurried user types or writes into a config: one message with the place and the cure, code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nachos_jax.cli import audit
from tests.cli.conftest import CONFIG, Call
from tests.tiers import mostly_thorough

Refused = Callable[..., str]
GOOD = ("evaluate", "--config=study.py", "--workdir=WORK")

WORDS = {
    "no command": ((), ["name a command", "evaluate, deploy", "nachos --help"]),
    "misspelt command": (("evalute",), ["'evalute' is no command", "did you mean evaluate?"]),
    "far command": (("train",), ["'train' is no command", "evaluate, deploy", "nachos --help"]),
    "flag before command": (("--workdir=x", "evaluate"), ["'--workdir=x'", "command comes before"]),
    "no config": (("evaluate", "--workdir=WORK"), ["needs --config=FILE.py", "evaluate --help"]),
    "no workdir": (("evaluate", "--config=study.py"), ["needs --workdir=DIR", "Run directory"]),
    "empty config": (("evaluate", "--config=", "--workdir=WORK"), ["needs --config=FILE.py"]),
    "empty workdir": (("evaluate", "--config=study.py", "--workdir="), ["needs --workdir=DIR"]),
    "nothing to predict": (("predict", "--model=x", "--output=y.csv"), ["needs --input=PATH"]),
    "near flag": ((*GOOD, "--outer_fold=1"), ["--outer_fold: there is no such flag", "--outer_folds?"]),
    "far flag": ((*GOOD, "--gpus=4"), ["--gpus: there is no such flag", "evaluate --help"]),
    "flag of another command": (
        ("status", "--workdir=WORK", "--config=study.py"),
        ["--config", "no such flag"],
    ),
    "negated flag": (("status", "--noworkdir"), ["--noworkdir", "did you mean --workdir?"]),
    "undefok": ((*GOOD, "--undefok=gpus", "--gpus=4"), ["--undefok: there is no such flag"]),
    "flagfile": ((*GOOD, "--flagfile=nowhere"), ["flagfile", "'nowhere'"]),
    "flag without value": (
        ("evaluate", "--config=study.py", "--workdir"),
        ["--workdir has no value", "=DIR"],
    ),
    "flag that swallows the next": (
        ("evaluate", "--workdir", "--config=study.py"),
        ["--workdir has no value"],
    ),
    "config without value": (
        ("evaluate", "--workdir=WORK", "--config"),
        ["--config has no value", "=FILE.py"],
    ),
    "field without value": ((*GOOD, "--config.training.epochs"), ["--config.training.epochs", "--help"]),
    "flag twice": ((*GOOD, "--workdir=other"), ["--workdir is given twice", "keep one"]),
    "config twice": ((*GOOD, "--config=study.py"), ["--config is given twice"]),
    "field twice": ((*GOOD, "--config.seed=1", "--config.seed=2"), ["--config.seed is given twice"]),
    "extra word": ((*GOOD, "fold0"), ["'fold0'", "--name=value"]),
    "word for a flag": (("status", "mine"), ["'mine'", "--name=value"]),
    "fold text": ((*GOOD, "--outer_folds=x"), ["--outer_folds=x", "like 0,3"]),
    "negative fold": ((*GOOD, "--outer_folds=-1"), ["--outer_folds=-1", "whole numbers from 0"]),
    "no fold": ((*GOOD, "--outer_folds="), ["--outer_folds=", "like 0,3"]),
    "comma too many": ((*GOOD, "--outer_folds=0,"), ["--outer_folds=0,", "commas between"]),
    "fold twice": ((*GOOD, "--outer_folds=1,1"), ["1 stands twice", "once"]),
    "endless fold": ((*GOOD, f"--outer_folds={'9' * 30}"), ["--outer_folds=999", "like 0,3"]),
}


@pytest.mark.parametrize("name", WORDS)
def test_words(name: str, refused: Refused, tmp_path: Path):
    words, parts = WORDS[name]
    message = refused(*(word.replace("WORK", str(tmp_path / "run")) for word in words))
    _says(message, parts)
    assert not (tmp_path / "run").exists(), "what is refused leaves nothing behind"


def test_outer_fold_that_is_not_there(refused: Refused, tmp_path: Path):
    message = refused("evaluate", "--config=study.py", f"--workdir={tmp_path}", "--outer_folds=0,7")
    _says(message, ["--outer_folds=0,7", "numbered 0 to 2"])


def _body(line: str) -> str:
    return CONFIG.replace("    return config", f"    {line}\n    return config")


FILES = {
    "syntax": ("def get_config(:\n    pass\n", ["SyntaxError", "line 1", "mend the file"]),
    "indent": ("def get_config():\nreturn 1\n", ["IndentationError", "line 2"]),
    "binary": (b"\0\1\2", ["null bytes", "mend the file"]),
    "missing package": ("import nosuchpackage\n", ["ModuleNotFoundError", "nosuchpackage", "line 1"]),
    "exception": ("def get_config():\n    x = 0\n    return 1 / x\n", ["ZeroDivisionError", "line 3"]),
    "exit": ("import sys\ndef get_config():\n    sys.exit(3)\n", ["SystemExit", "line 3"]),
    "missing file inside": ("def get_config():\n    return open('lost.txt')\n", ["lost.txt", "line 2"]),
    "key inside": ("def get_config():\n    return {}['lr']\n", ["KeyError", "lr", "line 2"]),
    "no get_config": ("config = 1\n", ["no function get_config", "def get_config():"]),
    "empty": ("", ["no function get_config"]),
    "parameters": ("def get_config(a, b):\n    return 1\n", ["get_config()", "'a'", "default values"]),
    "returns None": ("def get_config():\n    pass\n", ["returned None", "default_config()", "return config"]),
    "returns text": ("def get_config():\n    return 'x'\n", ["returned 'x'", "default_config()"]),
    "returns a list": ("def get_config():\n    return [1]\n", ["returned [1]", "default_config()"]),
    "returns {}": ("def get_config():\n    return {}\n", ["is missing", "default_config()"]),
    "returns a part": ("def get_config():\n    return {'seed': 1}\n", ["is missing", "default_config()"]),
    "misspelt field": (
        _body("config.training.lerning_rate = 0.1"),
        ["lerning_rate", 'Did you mean "learning_rate"', "line 13"],
    ),
    "misspelt section": (_body("config.trainin.epochs = 1"), ['Did you mean "training"', "line 13"]),
    "new field": (
        _body("config.unlock(); config.training.epoch = 3"),
        ["config.training.epoch = 3: there is no such field", "Did you mean config.training.epochs?"],
    ),
    "wrong type": (_body("config.training.epochs = 'ten'"), ["TypeError", "line 13"]),
    "wrong type, unlocked": (
        _body("config = config.to_dict(); config['seed'] = None"),
        ["config.seed = None: must be a whole number, like 0"],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_config_file(name: str, refused: Refused, tmp_path: Path):
    content, parts = FILES[name]
    path = tmp_path / "broken.py"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    _says(refused("evaluate", f"--config={path}", f"--workdir={tmp_path / 'run'}"), parts)
    assert not (tmp_path / "run").exists()


def test_config_that_is_no_file(refused: Refused, tmp_path: Path):
    run = f"--workdir={tmp_path / 'run'}"
    missing = refused("evaluate", "--config=nowhere.py", run)
    _says(missing, ["--config=nowhere.py: there is no such file", "csv, folder"])
    _says(refused("evaluate", f"--config={tmp_path}", run), ["is a folder", "name a config file"])
    _says(refused("evaluate", "--config=study.py:large", run), ["study.py:large", "leave out the colon"])
    (tmp_path / "cases.csv").write_text("path,label,subject\n")
    cure = f"--config=csv --config.data.path={tmp_path / 'cases.csv'}"
    _says(refused("evaluate", f"--config={tmp_path / 'cases.csv'}", run), ["is no config", cure])


FIELDS = {
    "training.lerning_rate=1": [
        "--config.training.lerning_rate",
        "did you mean --config.training.learning_rate?",
    ],
    "epochs=1": ["--config.epochs: there is no such field", "`nachos config` lists"],
    "training.lr=0.1": ["no such field", "did you mean --config.training.learning_rate?"],
    "search.space.wd=log(1e-6, 1)": ["no such field", "did you mean --config.search.space.weight_decay?"],
    "training=3": ["--config.training is a section", "--config.training.balanced_sampling"],
    "training.epochs=ten": ["--config.training.epochs=ten", "must be a whole number"],
    "training.epochs=1.5": ["--config.training.epochs=1.5", "must be a whole number"],
    "training.epochs=": ["--config.training.epochs=", "must be a whole number"],
    "training.learning_rate=fast": ["--config.training.learning_rate=fast", "must be a number"],
    "training.nesterov=maybe": ["--config.training.nesterov=maybe", "must be true or false"],
    "data.classes=('0',": ["--config.data.classes", "texts in parentheses"],
    "data.classes=(0,1)": ["config.data.classes = [0, 1]", "must be texts", "('0', '1')"],
    "training.epochs=0": ["config.training.epochs = 0", "from 1 to"],
    "training.learning_rate=nan": ["config.training.learning_rate = nan", "must be a number from"],
    "training.learning_rate=inf": ["config.training.learning_rate = inf", "must be a number from"],
    "training.optimizer=rmsprop": ["'rmsprop'", "'sgd', 'adam', 'adamw'"],
    "training.precision=float16": ["'float16'", "'float32', 'bfloat16'"],
    "training.batch_size=1000": ["batch_size can be 1000", "30 cases", "config.training.batch_size"],
    "search.trials=0": ["config.search.trials = 0", "from 1 to"],
    "search.searcher=tpe": ["config.search.searcher = 'tpe'", '"sobol"'],
    "search.searcher=grid": ["learning_rate is a range", "choice(0.001, 0.01, 0.1)"],
    "search.metric=acc": ["config.search.metric = 'acc'", "balanced_accuracy"],
    "search.metric=ece": ["config.search.metric = 'ece'", "log_loss or brier"],
    "search.rule=least": ["config.search.rule = 'least'", "'one-se'"],
    "model.architecture=vit": [
        "config.model.architecture = 'vit'",
        "'logistic', 'mlp', 'random_forest', 'resnet'",
    ],
    "model.cnn.stages=4": ["cnn.stages = 4", "8 x 8 pixels", "lower cnn.stages to 3"],
    "folds.count=1": ["config.folds.count = 1", "from 2 to"],
    "folds.count=2": ["2 folds", "at least 3", "config.folds.count"],
    "folds.count=60": ["config.folds.count = 60", "23 subjects", "at most"],
    "folds.scheme=random": ["config.folds.scheme = 'random'", "'stratified', 'predefined', 'site'"],
    "engine.memory_fraction=0": ["config.engine.memory_fraction = 0.0", "from 0.01 to 1"],
    "engine.packing=both": ["config.engine.packing = 'both'", "'vmap'"],
    "deploy.members=all": ["config.deploy.members = 'all'", "'one', 'folds'"],
    "seed=-1": ["config.seed = -1", "from 0 to"],
    "data.source=png": ["config.data.source = 'png'", "'folder'"],
    "data.source=arrays": ["config.data.source = 'arrays'", "cohort_from_arrays", "'npz'"],
    "data.path=": ["config.data.path is empty", "'npz'"],
    "data.height=8": ["config.data.height = 8", "config.data.width = 0", "set both"],
    "data.subject=none": ["config.data.subject = 'none'", "'one_case_per_subject'"],
    "search.space.learning_rate=fast": ["'fast' is no search space", "log(a, b)", "choice(a, b, ...)"],
    "search.space.learning_rate=log(1e-3, 1e-1": ["is no search space", "log(a, b)"],
    "search.space.learning_rate=__import__('os').getcwd()": ["is no search space"],
    "search.space.learning_rate=log(0, 1)": ["config.search.space.learning_rate", "from 1e-08 to 100"],
    "search.space.learning_rate=log(1, 0.1)": ["'log(1, 0.1)'", "low must be less than high"],
    "search.space.learning_rate=log(0.1)": ["'log(0.1)'", "takes two numbers"],
    "search.space.learning_rate=integer(1, 2)": ["learning_rate is real", "uniform or log"],
    "search.space.learning_rate=choice()": ["needs at least one value"],
    "search.space.learning_rate=choice(0.1, 0.1)": ["a value stands twice", "once"],
    "search.space.optimizer=uniform(0, 1)": ["optimizer has no order", "choice(...)"],
    "search.space.optimizer=choice('sgd', 'lion')": ["'lion'", "'sgd', 'adam', 'adamw'"],
    "search.space.batch_size=choice(8, 500)": ["batch_size can be 500", "config.search.space.batch_size"],
    "search.space.cnn.stages=integer(1, 6)": ["cnn.stages = 6", "8 x 8 pixels"],
    "search.space.patience=integer(1, 2)": ["--config.search.space.patience", "no such field"],
}


@mostly_thorough("field", list(FIELDS), kept=list(FIELDS)[::2])
def test_field(field: str, refused: Refused, tmp_path: Path):
    message = refused("evaluate", "--config=study.py", f"--workdir={tmp_path / 'run'}", f"--config.{field}")
    _says(message, FIELDS[field])
    assert not (tmp_path / "run").exists(), "what is refused leaves nothing behind"


@pytest.mark.parametrize("command", ["evaluate", "deploy"])
def test_workdir_that_cannot_be_one(command: str, refused: Refused, tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    for workdir in (file, file / "run", tmp_path / ("x" * 300)):
        message = refused(command, "--config=study.py", f"--workdir={workdir}")
        _says(message, [f"--workdir='{workdir}' cannot be written", "name a folder of yours"])
    assert file.read_text(encoding="utf-8") == "mine"


def test_an_audit_says_that_external_cases_are_left_out(refused: Refused, tmp_path: Path):
    given = ("audit", "--config=study.py", f"--output={tmp_path / 'audit'}")
    told = refused(*given, f"--config.data.external_path={tmp_path / 'gone.csv'}")
    _says(told, ["config.data.external_path = ", "gone.csv", "there is no such file; mend the path"])
    (tmp_path / "there.csv").write_text("")
    (line,) = audit._beyond(str(tmp_path / "there.csv"))
    assert f"external cases of {tmp_path / 'there.csv'} are not looked at" in line
    assert audit._beyond("") == ()


@pytest.mark.thorough
def test_refusals_in_a_shell(call: Call, tmp_path: Path):
    """The real exit code, and no traceback from anything that runs before or after `main`."""
    for words in (
        ("evaluate", "--config=study.py"),
        ("evaluate", "--config=study.py", f"--workdir={tmp_path}", "--config.folds.count=2"),
    ):
        done = call("-m", "nachos_jax", *words)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith("nachos: ")
        assert len(done.stderr.splitlines()) == 1


def _says(message: str, parts: list[str]) -> None:
    for part in parts:
        assert part in message, f"{part!r} is not in {message!r}"
