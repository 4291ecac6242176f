"""MLflow runs in a database of the test, read back by MLflow, against the records."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import digest
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.numbers.summary import summarise
from nachos_jax.report.reading import evidence
from nachos_jax.report.tracking import mlflow_runs
from tests.report.checklist_runs import flat
from tests.report.rivals import edit_run

# MLflow maps its tables in a way that SQLAlchemy 2.1 calls old.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a database; each test uses experiments of its own in it, since making one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(autouse=True)
def artifacts_go_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow puts the artifacts of a database below the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> str:
    """Name of an experiment of this test alone."""
    return request.node.name


@pytest.fixture
def make_run(make_run):
    """Builds a run directory of three folds and two trials a study."""

    def make(name: str = "study", **changes) -> RunDirectory:
        return make_run(name, **{"folds": 3, "trials": 2, "inner": False, **changes})

    return make


def searched(database: str, experiment: str) -> tuple[Any, list[Any]]:
    """MLflow's client and its runs of an experiment."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(database)
    known = client.get_experiment_by_name(experiment)
    assert known is not None
    return client, list(client.search_runs([known.experiment_id]))


def runs(database: str, experiment: str) -> dict[str, Any]:
    """MLflow's runs of an experiment by their part."""
    _, found = searched(database, experiment)
    by_part = {run.data.tags["nachos.part"]: run for run in found}
    assert len(by_part) == len(found)
    return by_part


def everything(database: str, experiment: str) -> dict[str, Any]:
    """All that MLflow holds of an experiment's runs, with every point of every metric."""
    client, found = searched(database, experiment)
    told = {}
    for run in found:
        history = {
            key: [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, key)]
            for key in run.data.metrics
        }
        artifacts = sorted(file.path for file in client.list_artifacts(run.info.run_id))
        facts = (run.info.run_id, run.info.status, run.data.params, run.data.tags, history, artifacts)
        told[run.data.tags["nachos.part"]] = facts
    return told


def test_one_run_an_outer_fold_below_that_of_the_study(make_run, database, experiment):
    directory = make_run()
    mlflow_runs.write(directory.path, database, experiment)
    known, found = evidence.read(directory), runs(database, experiment)
    summary = summarise(known)
    assert set(found) == {"study", "fold_00", "fold_01", "fold_02"}
    parent = found.pop("study")
    assert parent.info.run_name == "study"
    assert parent.info.status == "FINISHED"
    assert "mlflow.parentRunId" not in parent.data.tags
    assert parent.data.tags["mlflow.note.content"].startswith(summary["sentence"])
    config = digest(known.run["config"])
    for name, metric in summary["metrics"].items():
        for key in ("mean", "sd", "se"):
            assert parent.data.metrics[f"{name}.{key}"] == pytest.approx(metric[key])
        assert parent.data.metrics[f"{name}.estimate"] == pytest.approx(metric["mean"])
    interval = summary["metrics"]["balanced_accuracy"]["intervals"][0]
    assert interval["method"] in ("corrected_t", "corrected_t_logit")
    for end in ("low", "high"):
        assert parent.data.metrics[f"balanced_accuracy.{end}"] == pytest.approx(interval[end])
    for fold, test in enumerate(directory.tests()):
        run, outcome = found[f"fold_{fold:02d}"], directory.outcome(fold)
        assert outcome is not None
        chosen = outcome.trials[outcome.selected]
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["nachos.fit"] == test.fit
        assert run.data.tags["nachos.config"] == parent.data.tags["nachos.config"] == config
        assert run.data.params == {name: str(value) for name, value in chosen.hparams.items()}
        wanted = {
            f"outer.{name}": metric["folds"][str(fold)]["value"]
            for name, metric in summary["metrics"].items()
        }
        wanted |= {"inner.score": outcome.scores[outcome.selected].score, "epochs": outcome.epochs}
        wanted |= {"inner.spread": outcome.scores[outcome.selected].spread}
        assert run.data.metrics == pytest.approx(wanted)


@pytest.mark.thorough
def test_scores_by_unit_stand_beside_those_by_case(make_run, database, experiment):
    settings = (("unit", "subject"), ("pool", "mean"), ("replicates", 200), ("headline", "unit"))
    directory = make_run(settings=settings, classes=("no", "yes"))
    directory.write_units([row.subject for row in evidence.read(directory).cases])
    mlflow_runs.write(directory.path, database, experiment)
    found, units = runs(database, experiment), summarise(evidence.read(directory))["units"]
    parent = found["study"]
    assert (parent.data.tags["nachos.unit"], parent.data.tags["nachos.leads"]) == ("subject", "unit")
    assert parent.data.metrics["units"] == units["units"]
    for name, metric in units["metrics"].items():
        assert parent.data.metrics[f"unit.{name}.mean"] == pytest.approx(metric["mean"])
        for fold, value in metric["folds"].items():
            part = found[f"fold_{int(fold):02d}"].data.metrics
            assert part[f"outer.unit.{name}"] == pytest.approx(value["value"])


@pytest.mark.thorough
def test_the_flat_protocol_gives_its_corrected_estimate_and_one_nested_run(make_run, database, experiment):
    directory = flat(make_run(tested=()))
    mlflow_runs.write(directory.path, database, experiment)
    found, summary = runs(database, experiment), summarise(evidence.read(directory))
    assert set(found) == {"study", "flat"}
    metric, logged = summary["metrics"]["accuracy"], found["study"].data.metrics
    assert logged["accuracy.estimate"] == pytest.approx(metric["estimate"])
    assert logged["accuracy.low"] == pytest.approx(metric["intervals"][0]["low"])
    assert logged["uncorrected.accuracy.mean"] == pytest.approx(metric["mean"])
    assert "accuracy.mean" not in logged
    assert found["flat"].data.tags["mlflow.parentRunId"] == found["study"].info.run_id
    assert found["flat"].data.metrics["epochs"] == 4
    assert {run.info.status for run in found.values()} == {"FINISHED"}


@pytest.mark.thorough
def test_writing_again_adds_nothing(make_run, database, experiment):
    directory = make_run()
    directory.write_text("report/index.html", "<p>report</p>")
    mlflow_runs.write(directory.path, database, experiment)
    before = everything(database, experiment)
    mlflow_runs.write(directory.path, database, experiment)
    assert everything(database, experiment) == before


@pytest.mark.thorough
def test_artifacts(make_run, database, experiment, tmp_path):
    from mlflow.tracking import MlflowClient

    directory = make_run()
    mlflow_runs.write(directory.path, database, experiment)
    parent = runs(database, experiment)["study"].info.run_id
    client = MlflowClient(database)
    assert [file.path for file in client.list_artifacts(parent)] == ["summary.json"]
    report = directory.write_text("report/index.html", "<p>report</p>")
    mlflow_runs.write(directory.path, database, experiment)
    assert {file.path for file in client.list_artifacts(parent)} == {"report", "summary.json"}
    folder = Path(client.download_artifacts(parent, "", str(tmp_path)))
    told = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert told == json.loads(json.dumps(summarise(evidence.read(directory))))
    assert (folder / "report" / "index.html").read_bytes() == report.read_bytes()


@pytest.mark.thorough
def test_a_run_on_its_way_is_brought_up_to_date(make_run, database, experiment):
    directory = make_run()
    hidden = [directory.folder / "tests" / f"fold_0{fold}.json" for fold in (1, 2)]
    hidden += [directory.folder / "studies" / "fold_02" / "outcome.json"]
    kept = {path: path.read_bytes() for path in hidden}
    for path in hidden:
        path.unlink()
    mlflow_runs.write(directory.path, database, experiment)
    first = runs(database, experiment)
    assert set(first) == {"study", "fold_00", "fold_01"}
    assert {part: run.info.status for part, run in first.items()} == {
        "study": "RUNNING",
        "fold_00": "FINISHED",
        "fold_01": "RUNNING",
    }
    assert set(first["fold_01"].data.metrics) == {"inner.score", "inner.spread", "epochs"}
    assert "nachos.fit" not in first["fold_01"].data.tags
    for path, data in kept.items():
        path.write_bytes(data)
    mlflow_runs.write(directory.path, database, experiment)
    second = everything(database, experiment)
    assert set(second) == {"study", "fold_00", "fold_01", "fold_02"}
    assert {told[1] for told in second.values()} == {"FINISHED"}
    for part, run in first.items():
        assert second[part][0] == run.info.run_id
    history = second["study"][4]
    assert [(step, value) for step, value, _ in history["outer_folds_tested"]] == [(1, 1.0), (3, 3.0)]
    assert [step for step, _, _ in history["accuracy.mean"]] == [1, 3]
    assert {len(points) for points in second["fold_00"][4].values()} == {1}


@pytest.mark.thorough
def test_two_runs_share_an_experiment(make_run, database, experiment):
    first, second = make_run(), make_run("second")
    edit_run(second.path, lambda run: run["config"].update(seed=3))
    for directory in (first, second, first):
        mlflow_runs.write(directory.path, database, experiment)
    _, found = searched(database, experiment)
    assert len(found) == 8
    assert sorted(run.info.run_name for run in found if run.data.tags["nachos.part"] == "study") == [
        "second",
        "study",
    ]


@pytest.mark.thorough
def test_what_is_undefined_is_a_note_and_no_number(make_run, database, experiment):
    directory = make_run(diverged_refit=1, failed=((0, 0), (0, 1)), absent_in_fold=2)
    mlflow_runs.write(directory.path, database, experiment)
    found = runs(database, experiment)
    assert set(found["fold_01"].data.metrics) == {"inner.score", "inner.spread", "epochs"}
    assert "are not numbers" in found["fold_01"].data.tags["nachos.note.accuracy"]
    assert "inner.score" not in found["fold_00"].data.metrics
    assert "outer.accuracy" in found["fold_00"].data.metrics
    assert "outer.auc" not in found["fold_02"].data.metrics
    assert found["fold_02"].data.tags["nachos.note.auc"] == "no case of covid19"


def test_a_deleted_experiment_is_refused(make_run, database, experiment):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(database)
    client.delete_experiment(client.create_experiment(experiment))
    with pytest.raises(UsageError, match="this MLflow experiment is deleted"):
        mlflow_runs.write(make_run(tested=()).path, database, experiment)


@pytest.mark.parametrize("uri", ["nonsense://x", "http://127.0.0.1:9"])
def test_an_address_that_cannot_be_used_is_refused(make_run, uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UsageError, match=f"--mlflow={uri}: MLflow cannot be written to"):
        mlflow_runs.write(make_run(tested=()).path, uri)


def test_a_file_that_is_no_database_is_refused(make_run, tmp_path, monkeypatch):
    monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 0)
    (tmp_path / "junk.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(UsageError, match="MLflow cannot be written to .*file is not a database"):
        mlflow_runs.write(make_run(tested=()).path, f"sqlite:///{tmp_path / 'junk.db'}")


@pytest.mark.parametrize("lacking", ["mlflow.tracking", "sqlalchemy.exc"])
def test_without_its_packages_the_cure_is_told(make_run, database, monkeypatch, lacking):
    monkeypatch.setitem(sys.modules, lacking, None)
    with pytest.raises(UsageError, match=r"pip install 'nachos_jax\[tracking\]'"):
        mlflow_runs.write(make_run(tested=()).path, database)
