"""README, BUILD and docs/ tell the truth: examples run, commands parse, what they name exists."""

from __future__ import annotations

import contextlib
import functools
import re
import shlex
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import nachos_jax
from nachos_jax import api, models
from nachos_jax.cli import commands, config_file, main, parsing, sweep
from nachos_jax.data import sources
from nachos_jax.models import registry
from nachos_jax.tasks import registry as tasks
from tests.tiers import mostly_thorough

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
DOCUMENTS = ("README.md", "BUILD.md", "CHANGELOG.md", *(f"docs/{name}" for name in PAGES))
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}
FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[\w ]+) -->\n)?^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
PROGRAM = ("nachos", ".venv/bin/nachos")
QUICK = [f"--config.{field}" for field in ("search.trials=1", "folds.count=3", "training.epochs=1")]
QUICK += ["--config.training.batch_size=8", "--config.model.cnn.stages=1", "--config.model.cnn.width=4"]
QUICK += ["--config.engine.packing=map", "--config.engine.convolution=custom"]
FILE = re.compile(r"(?=.*[/.])[\w.*-]+(/[\w.*-]+)*/?")
SUFFIXES = (".py", ".md", ".txt", ".toml", ".json", ".csv", ".html", ".log", ".safetensors")
PLACEHOLDERS = re.compile(r"\b(NAME|FILE|DIR|PATH|COMMAND)\b")


def blocks(name: str, info: str, mark: str | None = None) -> list[str]:
    """Bodies of the fenced blocks of a document of this language and with this comment above."""
    found = FENCE.finditer(TEXTS[name])
    return [match["body"] for match in found if (match["info"], match["mark"]) == (info, mark)]


def prose(name: str) -> str:
    """A document without its fenced blocks."""
    return FENCE.sub("", TEXTS[name])


def spans(name: str) -> list[str]:
    """The code spans of a document's prose."""
    return re.findall(r"`([^`\n]+)`", prose(name))


def command_lines(name: str) -> list[list[str]]:
    """The words of each line of the shell blocks of a document; a backslash continues a line."""
    text = "".join(blocks(name, "sh")).replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line.strip()]


def nachos_lines() -> list[list[str]]:
    """Command and flags of every nachos line in a shell block."""
    return [line[1:] for name in DOCUMENTS for line in command_lines(name) if line[0] in PROGRAM]


def parsed(words: list[str]):
    """The flags of a command line, and its config if it has one, checked as a run would."""
    if words[0] == "sweep":
        words = next(iter(sweep.combinations(sweep.read(words[1:])).values()))
        words = ["evaluate", *words]
    values = parsing.parse(words[0], commands.NAMES[words[0]].flags, words[1:])
    return values, parsing.run_config(values.config) if "config" in values else None


# --- what the documents are about: small data in the three forms, and a run of the CSV ----------------

ELSEWHERE = {"checkpoints/", "checkpoints/evaluate", "run.1.log", "study.json", "volumes.csv"}
ELSEWHERE |= {
    "unit_predictions.csv",
    "external_predictions.csv",
    "external_shift.csv",
    "column_drops.csv",
    "records/evaluate/columns/fold_00.json",
    "records/external.json",
}
ELSEWHERE |= {"records/evaluate/studies/fold_00/masks.json"}
"""What a finished run of classes in one process lacks; tests of launches, masks, units, externals see."""


@contextlib.contextmanager
def study_in(place: Path) -> Generator[Path]:
    """Works in a folder with configs/, cases.csv, images/, scans/ and cases.npz, as the README supposes."""
    (place / "configs").symlink_to(ROOT / "configs")
    draw = np.random.default_rng(3)
    rows, stack, labels, patients = ["path,label,subject"], [], [], []
    for case in range(48):
        patient, label = f"P{case // 2:02d}", ("malignant", "benign")[case // 2 % 2]
        image = draw.integers(0, 120, (12, 12), np.uint8) + (100 if label == "malignant" else 0)
        scan, sorted_by_class = f"scans/{case:04d}.png", f"images/{label}/{patient}_{case % 2}.png"
        for path in (scan, sorted_by_class):
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.astype(np.uint8)).save(place / path)
        rows.append(f"{scan},{label},{patient}")
        stack.append(image)
        labels.append(label)
        patients.append(patient)
    (place / "cases.csv").write_text("\n".join(rows) + "\n")
    np.savez(place / "cases.npz", images=np.stack(stack), labels=labels, patient=patients)
    with contextlib.chdir(place), pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        assert main.main(["nachos", "init", "--input=scans", "--labels=cases.csv", "--output=study"]) == 0
        yield place


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder as the README supposes."""
    with study_in(tmp_path_factory.mktemp("study")) as place:
        yield place


# --- README: examples, data, configuration --------------------------------------------------------------


@mostly_thorough("number", range(len(blocks("docs/python.md", "python", "run"))), kept=(2,))
def test_python_examples_run(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = blocks("docs/python.md", "python", "run")[number]
    code = re.sub(r"(training\.epochs) = \d+", r"\1 = 2", code)
    digits: Any = load_digits()
    few = SimpleNamespace(images=digits.images[:300], target=digits.target[:300])
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda: few)
    monkeypatch.chdir(tmp_path)
    config = nachos_jax.default_config()
    config.engine.packing, config.engine.convolution = "map", "custom"  # to time them all takes longest
    config.engine.checkpoint_epochs = 1000
    monkeypatch.setattr(nachos_jax, "default_config", lambda: config)
    exec(compile(code, "docs/python.md", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.strip()
    for path in re.findall(r"runs/\S+\.html", code):
        assert (tmp_path / path).is_file()


def test_there_are_examples() -> None:
    assert len(blocks("docs/python.md", "python", "run")) == 3
    assert [name for name in DOCUMENTS if name != "docs/python.md" and blocks(name, "python", "run")] == []


@pytest.mark.parametrize(
    "source", [("csv", "runs/csv"), ("folder", "runs/folder"), ("npz", "runs/npz")], ids=lambda s: s[0]
)
def test_own_data_load_as_described(source: tuple[str, str], study: Path) -> None:
    kind, workdir = source
    line = next(words for words in nachos_lines() if f"--workdir={workdir}" in words)
    _, run = parsed(line)
    assert run is not None
    assert run.data.source == kind
    cohort = sources.load(run.data, tasks.of(run.task))
    assert cohort.targets.names == ("benign", "malignant")
    assert len(cohort.table) == 48
    assert len(set(cohort.table.subjects.tolist())) == 24


def test_the_csv_example_has_the_columns_that_are_read() -> None:
    (text,) = (block for block in blocks("README.md", "text") if block.startswith("path,"))
    assert text.splitlines()[0] == "path,label,subject"


def test_the_config_example_is_a_config(study: Path) -> None:
    (code,) = blocks("docs/configuration.md", "python", "config")
    (study / "mine.py").write_text(code)
    run = parsing.run_config(config_file.load(str(study / "mine.py")))
    assert run.defaults["architecture"] == "resnet"
    assert {dimension.name for dimension in run.search.space} >= {"learning_rate", "optimizer"}


def test_help_is_shown_as_it_is() -> None:
    assert blocks("docs/commands.md", "text", "help") == [main.USAGE]


def test_search_space_texts_are_accepted() -> None:
    texts = re.findall(r"^\| `(\w+\([^`]*\))` \|", TEXTS["docs/configuration.md"], re.MULTILINE)
    takers = {"uniform": "momentum", "log": "learning_rate", "integer": "cnn.stages"}
    takers |= {"log_integer": "cnn.width", "choice": "optimizer"}
    assert [text.split("(")[0] for text in texts] == list(takers)
    config = nachos_jax.default_config()
    config.data.path = "x.npz"
    for text in texts:
        name = takers[text.split("(")[0]]
        config.search.space.update_from_flattened_dict({name: text})
    run = parsing.run_config(config)
    assert {dimension.name for dimension in run.search.space} >= set(takers.values())


def files_of_a_run() -> list[str]:
    """What the tables of the documents say that a run directory holds."""
    first_run = TEXTS["docs/first_run.md"].split("## What you get")[1]
    return re.findall(r"^\| `([^`]+)` \|", first_run + TEXTS["docs/run_directory.md"], re.MULTILINE)


# --- adding a part: the architecture ------------------------------------------------------------------------


@pytest.fixture
def architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of the example architecture while its file lies beside the others."""
    found = FENCE.finditer(TEXTS["docs/extending.md"])
    (match,) = (m for m in found if (m["mark"] or "").startswith("architecture "))
    name = match["mark"].split()[-1]
    (tmp_path / f"{name}.py").write_text(match["body"])
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    registry._files.cache_clear()
    yield name
    sys.modules.pop(f"nachos_jax.models.{name}", None)
    registry._files.cache_clear()


def test_the_architecture_of_the_example_trains_and_can_be_searched(architecture: str) -> None:
    draw = np.random.default_rng(1)
    labels = np.arange(64) % 2
    images = draw.normal(0, 1, (64, 8, 8)) + 3 * labels[:, None, None]
    cohort = nachos_jax.cohort_from_arrays(images, labels, one_case_per_subject=True)
    config = nachos_jax.default_config()
    config.model.architecture = architecture
    config.training.batch_size, config.training.epochs = 16, 3
    config.engine.lanes, config.data.source = 1, "arrays"
    config.search.space[architecture].width = "choice(4, 8)"
    assert parsing.run_config(config).candidates(f"{architecture}.width")[1:] == (4, 8)
    rates = [{f"{architecture}.width": 4, "learning_rate": rate} for rate in (0.01, 0.1)]
    for fit in nachos_jax.fit_lanes(cohort, rates, config, np.arange(64) < 16):
        assert fit.hparams[f"{architecture}.width"] == 4
        assert fit.status == "done"
        assert all(loss is not None and np.isfinite(loss) for loss in fit.training_loss)
    with pytest.raises(nachos_jax.UsageError, match="lower it"):
        registry.check({"architecture": architecture, f"{architecture}.layers": 4}, (8, 8, 1))


# --- all documents: commands, fields, paths, links ---------------------------------------------------------


@pytest.mark.parametrize("words", nachos_lines(), ids=" ".join)
def test_commands_parse(words: list[str], study: Path) -> None:
    parsed(words)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_and_flags_in_the_text_are_known(name: str, study: Path) -> None:
    known = {flag.name for command in commands.NAMES.values() for flag in command.flags}
    for span in spans(name):
        if re.match(r"nachos [a-z]", span):
            assert span.split()[1] in commands.NAMES, span
        if span.startswith("--config."):
            base = ["evaluate", "--config=configs/csv.py", "--workdir=x"]
            field = span.removeprefix("--").split("=")[0]
            value = [] if field == "config.data.subject" else ["--config.data.subject="]
            parsed([*base, *value, span if "=" in span else "--config.seed=1"])
        elif re.match(r"--[a-z]", span) and "golden" not in span:
            assert span.removeprefix("--").split("=")[0] in known, span


@pytest.mark.parametrize("name", DOCUMENTS)
def test_config_fields_in_the_text_exist(name: str) -> None:
    defaults = nachos_jax.default_config()
    fields = {field for field, _ in config_file.fields(defaults)}
    fields |= {field.rsplit(".", depth)[0] for field in fields for depth in (1, 2)}
    named = re.findall(r"(?<![\w/-])(?:--)?(config\.[a-z_]+(?:\.[a-z_]+)*)", prose(name))
    assert [field for field in named if field not in (*fields, "config.model.strided", "config.txt")] == []


def test_fields_most_often_set_belong_to_their_sections() -> None:
    rows = re.findall(r"^\| `(config\.\w+)` \|.*\| (.*) \|$", TEXTS["docs/configuration.md"], re.MULTILINE)
    fields = dict(config_file.fields(nachos_jax.default_config()))
    assert {section for section, _ in rows} == {f.rsplit(".")[0] + "." + f.split(".")[1] for f in fields} - {
        "config.seed",
        "config.protocol",
    }
    for section, cells in rows:
        for field in re.findall(r"`([\w.]+)`", cells):
            assert f"{section}.{field}" in fields, f"{section}.{field}"


MADE = {
    "cases.csv",
    "images/benign/P01_1.png",
    "study/cases.csv",
    "study/config.py",
    "runs/csv/report/index.html",
}
MADE |= {"deploy/", "maps/explanations.csv", "report/figures/written.json"}
"""What the examples begin with or make, beside the files that the tables name."""


def missing_paths(name: str, *places: Path) -> set[str]:
    """Paths that a document names and that none of these places holds."""
    missing = []
    for span in spans(name):
        looks_like_a_file = FILE.fullmatch(span) and ("/" in span or span.endswith(SUFFIXES))
        if not looks_like_a_file or PLACEHOLDERS.search(span) or span.startswith(".."):
            continue
        if not any(list(place.glob(span)) for place in (ROOT, ROOT / "docs", ROOT / "nachos_jax", *places)):
            missing.append(span)
    # The example of docs/extending.md, and what `make soak` and `make docs` write.
    written_here = {"strided.py", "benchmarks/results/soak_last.json", "site/"}
    return set(missing) - written_here - ELSEWHERE


@pytest.mark.parametrize("name", DOCUMENTS)
def test_paths_in_the_text_exist(name: str) -> None:
    assert missing_paths(name) - set(files_of_a_run()) - MADE == set()


@functools.cache
def defined() -> set[str]:
    """Names of all tests."""
    return {
        found
        for path in (ROOT / "tests").rglob("test_*.py")
        for found in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }


@pytest.mark.parametrize("name", DOCUMENTS)
def test_tests_in_the_text_exist(name: str) -> None:
    assert [span for span in spans(name) if re.fullmatch(r"test_\w+", span) and span not in defined()] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_resolve(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(name)):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.is_file(), target
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    """Anchors of the headings of a document, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_begins_with_its_title(page: str) -> None:
    assert TEXTS[f"docs/{page}"].startswith("# ")


def test_promises_stand_in_their_table() -> None:
    text = TEXTS["docs/promises.md"]
    table = text.partition("| promise | test |\n|---|---|\n")[2].partition("\n\n")[0]
    assert re.findall(r"^\| .+ \| `test_.+ \|$", text, re.MULTILINE) == table.splitlines()


def test_fields_that_may_be_set_with_a_cohort_are_named() -> None:
    (told,) = re.findall(r"With a cohort, of `config.data` only (.*) may be set", TEXTS["docs/python.md"])
    assert set(re.findall(r"`(\w+)`", told)) == set(api._WITH_COHORT)


def test_the_image_of_a_pod_is_made_where_its_file_says() -> None:
    text = (ROOT / "launch/k8s_job.yaml").read_text(encoding="utf-8")
    (page,) = re.findall(r"image: \S+ # EDIT: made as (\S+) says", text)
    assert "`Dockerfile`" in TEXTS[page]


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    named = re.findall(r": (\w+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == PAGES


def test_the_readme_is_read_in_minutes() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= 150


@pytest.mark.parametrize("name", ["report.png", "report_sites.png"])
def test_the_picture_is_small_enough_to_load(name: str) -> None:
    picture = ROOT / "docs" / name
    assert picture.stat().st_size < 400_000
    with Image.open(picture) as image:
        assert image.width == 1200


def test_make_targets_in_the_text_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {
        target for text in TEXTS.values() for target in re.findall(r"\bmake (?=[a-z]+\b[`\n])([a-z]+)", text)
    }
    assert named >= {"demo", "test", "lint", "bench"}
    assert [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []
