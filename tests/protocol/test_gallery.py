"""The gallery of errors: which cases, whose model, and that it can be deleted, rebuilt and trusted."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load
from safetensors.numpy import save as packed

from nachos_jax.core.errors import UsageError
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.model import explain, gallery, networks
from nachos_jax.protocol.model.gallery import WrongCase, one_a_subject, write, write_or_warn
from nachos_jax.protocol.model.pictures import picture
from nachos_jax.protocol.run.opening import Run, open_run
from nachos_jax.records.store import RunDirectory
from nachos_jax.runtime import stopping
from nachos_jax.runtime.stopping import StoppedError
from tests import tiny
from tests.inputs import dense
from tests.records.seals import edit

MOST = 9
"""As many, because the most confident errors of the tiny study are all of one outer fold."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "tiny"
    evaluate(tiny.run_config(search__trials=1), str(folder), None, tiny.cohort(), quiet=True)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Run:
    """A copy that a test may change."""
    shutil.copytree(trained, tmp_path / "run")
    return open_run(tiny.run_config(search__trials=1), str(tmp_path / "run"), "evaluate", tiny.cohort())


def predicted(run: Run) -> networks.Predicted:
    return networks.Predicted("classification", run.cohort.targets.names, run.cohort.shape)


def shown(path: Path) -> list[dict]:
    return json.loads(path.read_text())["items"]


def test_it_shows_the_most_confident_errors_one_a_subject(run: Run):
    """A plain loop over the records, with no code of the gallery."""
    subjects = dict(zip(run.cohort.table.names, run.cohort.table.subjects, strict=True))
    wrong, count = [], 0
    for test in run.store.tests():
        labels, probabilities = test.arrays["labels"].tolist(), test.arrays["probabilities"].tolist()
        for case, label, chances in zip(test.cases, labels, probabilities, strict=True):
            count += 1
            top = chances.index(max(chances))
            if top != label:
                wrong.append((max(chances), case, test.outer_fold, test.fit, str(label), str(top)))
    wanted, met = [], set()
    for row in sorted(wrong, reverse=True):
        if subjects[row[1]] not in met:
            met.add(subjects[row[1]])
            wanted.append(row)
    assert len(wanted) > MOST, "too few errors to choose from"
    index = json.loads(write(run, MOST).read_text())
    assert (index["tested"], index["predictions"], index["errors"]) == ([0, 1, 2, 3], count, len(wrong))
    names = ("probability", "case", "outer_fold", "fit", "label", "predicted")
    assert [tuple(item[name] for name in names) for item in index["items"]] == wanted[:MOST]
    for number, item in enumerate(index["items"], 1):
        assert item["file"] == f"{number:03d}.png"
        data = (run.store.path / "explanations" / item["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == item["sha256"]
        assert item["subject"] == subjects[item["case"]]


def test_each_map_is_of_the_refit_that_did_not_see_the_fold(run: Run):
    table, store = run.cohort.table, run.store
    folds_of = tiny.folds(run.cohort)
    weights_of = {}
    for item in shown(write(run, MOST)):
        row = int(np.flatnonzero(table.names == item["case"])[0])
        record = store.fit(item["fit"])
        assert record is not None
        assert record.left_out == (item["outer_fold"],)
        assert not folds_of.training(record.left_out)[row]
        assert item["weights_sha256"] == record.payload["weights.safetensors"]
        of = networks.architecture(record.hparams, predicted(run), "float32")
        arrays = load(store.payload(record, "weights.safetensors"))
        weights_of[item["fit"]] = networks.weights(of, arrays)
        maps = {
            fit: np.asarray(
                networks.explainer(of, "gradcam", few=True)(
                    weights,
                    np.repeat(dense(run.cohort)[row : row + 1], MOST, axis=0),
                    np.full(MOST, int(item["predicted"]), np.int32),
                ).maps[0]
            )
            for fit, weights in weights_of.items()
        }
        wrong = WrongCase(
            row,
            item["outer_fold"],
            item["fit"],
            int(item["label"]),
            int(item["predicted"]),
            item["probability"],
        )
        words = gallery._words(run, wrong, item)
        drawn = {fit: picture(dense(run.cohort)[row], heat, words, 320) for fit, heat in maps.items()}
        written = (store.path / "explanations" / item["file"]).read_bytes()
        assert [fit for fit, data in drawn.items() if data == written] == [item["fit"]]
    assert len(weights_of) > 1, "one refit tells nothing of the others"


def test_swapped_payloads_are_noticed_by_their_digest_and_forged_ones_by_what_they_say(run: Run, caplog):
    first = shown(write(run, MOST))[0]
    shutil.rmtree(run.store.path / "explanations")
    records = [run.store.fit(test.fit) for test in run.store.tests()]
    own = next(r for r in records if r is not None and r.fit == first["fit"])
    other = next(r for r in records if r is not None and r.fit != first["fit"])
    place = run.store.payload_path(own, "weights.safetensors")
    swapped = run.store.payload(other, "weights.safetensors")
    place.write_bytes(swapped)
    with pytest.raises(UsageError, match="missing or damaged"):
        write(run, MOST)
    with caplog.at_level(logging.WARNING, "nachos_jax"):
        write_or_warn(run)
    assert "gallery of errors" in caplog.text
    # Now the record vouches for the other network, and only its predictions can tell.
    edit(run.store.folder / "fits" / f"{own.fit}.json", payload=dict(other.payload))
    (
        run.store.folder
        / "fits"
        / f"{own.fit}.{other.payload['weights.safetensors'][:8]}.weights.safetensors"
    ).write_bytes(swapped)
    with pytest.raises(UsageError, match=f"refit {own.fit} gives .* was recorded"):
        write(run, MOST)
    assert not (run.store.path / "explanations" / "gallery.json").exists()


def test_a_test_that_names_a_model_which_saw_the_fold_is_refused(run: Run):
    first = shown(write(run, MOST))[0]
    other = next(test.fit for test in run.store.tests() if test.fit != first["fit"])
    edit(run.store.folder / "tests" / f"fold_{first['outer_fold']:02d}.json", fit=other)
    with pytest.raises(UsageError, match="not the refit without that fold"):
        write(run, MOST)


@pytest.mark.thorough
def test_it_is_rebuilt_byte_by_byte_and_otherwise_left_alone(run: Run, monkeypatch):
    folder = write(run, MOST).parent
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(before) == MOST + 1
    shutil.rmtree(folder)
    write(run, MOST)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "002.png").write_bytes(b"damaged")
    write(run, MOST)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    monkeypatch.setattr(networks, "explainer", lambda *_: pytest.fail("explained again"))
    write(run, MOST)


@pytest.mark.thorough
def test_a_signal_ends_it_before_the_next_picture(run: Run, monkeypatch):
    """It is made in a thread, which a signal does not reach."""
    folder = write(run, MOST).parent
    shutil.rmtree(folder)
    with monkeypatch.context() as patched:
        patched.setattr(stopping, "_asked", ["SIGTERM"])
        with pytest.raises(StoppedError, match="stopped by SIGTERM"):
            write_or_warn(run)
    assert not list(folder.glob("*"))
    write(run, MOST)


@pytest.mark.thorough
def test_it_reads_records_and_writes_none(run: Run):
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in run.store.records.rglob("*") if path.is_file()}

    before = content()
    write(run, MOST)
    assert content() == before


@pytest.mark.thorough
def test_a_partly_finished_run_and_fewer_errors(run: Run):
    assert len(shown(write(run, MOST))) == MOST
    for fold in (1, 2, 3):
        (run.store.folder / "tests" / f"fold_{fold:02d}.json").unlink()
    index = json.loads(write(run, MOST).read_text())
    assert index["tested"] == [0]
    assert {item["outer_fold"] for item in index["items"]} <= {0}
    test = run.store.tests()[0]
    path = run.store.folder / "tests" / "fold_00.json"
    right: list = [[float(c == label) for c in range(3)] for label in test.arrays["labels"]]
    right[0] = [None] * 3
    edit(path, probabilities=right)
    (run.store.path / "explanations" / "mine.png").write_bytes(b"not ours")
    index = json.loads(write(run, MOST).read_text())
    assert (index["errors"], index["predictions"], index["items"]) == (0, len(right) - 1, [])
    assert [path.name for path in (run.store.path / "explanations").glob("*.png")] == ["mine.png"]


@pytest.mark.thorough
def test_occlusion_takes_over_where_gradcam_has_no_map(run: Run, monkeypatch):
    def refuse(*_):
        raise UsageError("a single cell")

    networks.explainer.cache_clear()
    monkeypatch.setitem(explain.METHODS, "gradcam", refuse)
    assert {item["method"] for item in shown(write(run, 2))} == {"occlusion"}
    networks.explainer.cache_clear()


@pytest.mark.thorough
def test_one_compilation_serves_all_outer_folds(run: Run, monkeypatch: pytest.MonkeyPatch):
    traced, method = [], explain.METHODS["gradcam"]

    def counted(*given):
        traced.append(given)
        return method(*given)

    monkeypatch.setattr(explain, "METHODS", {**explain.METHODS, "gradcam": counted})
    networks.explainer.cache_clear()
    assert len({item["fit"] for item in shown(write(run, MOST))}) > 1
    assert networks.explainer.cache_info().misses == 1
    assert len(traced) == 1
    record = run.store.fit(run.store.tests()[0].fit)
    assert record is not None
    networks.explainer(networks.architecture(record.hparams, predicted(run), "float32"), "gradcam", few=True)
    assert networks.explainer.cache_info().misses == 1, "it is the architecture of the run"
    networks.explainer.cache_clear()  # what is compiled here counts


def test_a_failure_is_a_warning_and_a_signal_is_not(run: Run, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("no room")

    def stop(*_):
        raise StoppedError("stopped")

    monkeypatch.setattr(gallery, "write", fail)
    with caplog.at_level(logging.WARNING, "nachos_jax"):
        write_or_warn(run)
    assert "no room" in caplog.text
    monkeypatch.setattr(gallery, "write", stop)
    with pytest.raises(StoppedError):
        write_or_warn(run)


def test_ties_are_broken_by_fold_and_case_and_a_subject_appears_once():
    subjects = np.asarray(["a", "a", "b", "c"])
    errors = [
        WrongCase(row, fold, "f", 0, 1, p)
        for row, fold, p in [(3, 1, 0.9), (2, 0, 0.9), (0, 1, 0.8), (1, 0, 0.95), (0, 4, 0.95)]
    ]
    assert [(w.row, w.outer_fold) for w in one_a_subject(errors, subjects, 9)] == [(1, 0), (2, 0), (3, 1)]
    assert len(one_a_subject(errors, subjects, 2)) == 2
    assert one_a_subject([], subjects, 2) == []


def test_weights_of_another_network_are_refused(run: Run):
    record = run.store.fit(run.store.tests()[0].fit)
    assert record is not None
    arrays = load(run.store.payload(record, "weights.safetensors"))
    wider = networks.architecture({**record.hparams, "cnn.width": 5}, predicted(run), "float32")
    with pytest.raises(ValueError, match="has shape"):
        networks.weights(wider, load(packed(arrays)))
    assert RunDirectory(run.store.path).fit(record.fit) == record
