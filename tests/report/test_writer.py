"""The page by a process of its own: the same bytes, and nothing is lost with the process."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from nachos_jax.cli import guardian, reporting
from nachos_jax.core.errors import UsageError
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.page import page, writer
from nachos_jax.runtime import elsewhere, processes
from nachos_jax.runtime.stopping import StoppedError
from nachos_jax.splits import folds
from tests import painting

FIGURE = Figure("name", "<svg/>", "title", ("x",), ((1.5, "text", None),))
HEARD = "import sys; sys.stdin.readline(); "
READ = "print('{\"read\": true}', flush=True); "


@pytest.fixture
def pictures(monkeypatch):
    """What has been done to a gallery that takes no time; it may raise `.error`."""
    known = SimpleNamespace(made=[], error=None)

    def write_or_warn(run):
        known.made.append(sorted(path.name for path in run.store.path.glob("report/*")))
        if known.error:
            raise known.error

    monkeypatch.setattr(reporting, "_pictures", lambda: SimpleNamespace(write_or_warn=write_or_warn))
    return known


@pytest.fixture
def alone(monkeypatch):
    """The run is a command of its own, so that its page is written by a process."""
    monkeypatch.setattr(guardian, "guarded", lambda: True)


@pytest.fixture
def unpainted_anywhere(monkeypatch):
    """Neither this process nor that of a writer paints; `make soak` lets both."""
    if os.environ.get("NACHOS_TESTS_COMPILE") == "fully":
        yield
        return
    start = lambda _, *words, **more: processes.start("tests.report.unpainted_companion", *words, **more)  # noqa: E731
    monkeypatch.setattr(reporting, "processes", SimpleNamespace(start=start))
    with painting.unpainted():
        yield


def files_of(directory):
    paths = [path for path in directory.path.rglob("*") if path.is_file() and "records" not in path.parts]
    return {str(path.relative_to(directory.path)): path.read_bytes() for path in paths}


def by(code):
    """A writer whose process runs this code."""
    words = [sys.executable, "-c", code]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return reporting.Writer(elsewhere.Companion(process, logging.getLogger("nachos_jax").warning))


def code_of(made):
    """The exit code of its process."""
    assert made._companion is not None
    return made._companion.process.returncode


def test_a_process_writes_the_bytes_of_this_one(make_run, pictures, alone, unpainted_anywhere, monkeypatch):
    small = {"folds": 3, "trials": 2, "cases": 60}
    here, there = make_run("here", **small), make_run("there", **small)
    page.write(here.path)
    monkeypatch.setattr(reporting, "_written", lambda _: pytest.fail("it was written by this process"))
    with reporting.writer() as made:
        made.expects("classification")
        assert elsewhere.call(os.getpid) != os.getpid()
        drawn = np.array(["a", "b", "a", "c"]), np.array([0, 1, 0, 1]), False, 2, 7
        np.testing.assert_array_equal(elsewhere.call(folds.split, *drawn), folds.split(*drawn))
        path = made.write(SimpleNamespace(store=there))
        assert elsewhere.call(os.getpid) == os.getpid()
    assert path == there.path / "report/index.html"
    assert files_of(there) == files_of(here)
    assert len(pictures.made) == 1
    assert "index.html" not in pictures.made[0]  # the page, which shows them, comes after them


@pytest.mark.parametrize(
    "code",
    [
        "",  # was ended before it was asked
        HEARD,  # when it was asked
        HEARD + READ,  # while pictures were made
        HEARD + READ + "sys.stdin.readline()",  # at the page
        HEARD + "import os; os.abort()",
    ],
)
def test_without_the_process_the_page_is_written_here(make_run, pictures, code, monkeypatch):
    monkeypatch.setattr(reporting, "_written", lambda run: run.store.path / "here")
    run, made = make_run(), by(code)
    assert made.write(SimpleNamespace(store=run)) == run.path / "here"
    made.close()


def test_a_process_that_hangs_is_ended_and_the_page_is_written_here(make_run, pictures, monkeypatch):
    monkeypatch.setattr(reporting, "_written", lambda run: run.store.path / "here")
    monkeypatch.setattr(elsewhere, "LONGEST", 0.2)
    run, made = make_run(), by(HEARD + READ + "sys.stdin.readline(); import time; time.sleep(600)")
    assert made.write(SimpleNamespace(store=run)) == run.path / "here"
    made.close()
    assert code_of(made) == -signal.SIGKILL


def test_damaged_records_are_refused_before_pictures_are_made(make_run, pictures):
    run, made = make_run(), by(HEARD)
    victim = next(run.path.glob("records/evaluate/tests/*"))
    victim.write_bytes(victim.read_bytes()[:-20])
    with pytest.raises(UsageError, match=victim.name):
        made.write(SimpleNamespace(store=RunDirectory(run.path)))
    made.close()
    assert not pictures.made
    assert not (run.path / "report").exists()


def test_a_stop_while_pictures_are_made_is_told_and_ends_the_process(make_run, pictures):
    run, made = make_run(), by(HEARD + READ + "sys.exit(0 if sys.stdin.readline() else 5)")
    pictures.error = StoppedError("stopped")
    with pytest.raises(StoppedError):
        made.write(SimpleNamespace(store=run))
    made.close()
    assert code_of(made) == 5


def test_whoever_is_left_alone_writes_no_page(make_run, monkeypatch):
    monkeypatch.setattr(page, "of", lambda _, __, pictures, ___: pictures())
    said = []
    with pytest.raises(SystemExit):
        writer.write(str(make_run().path), io.StringIO(), lambda *told: said.append(told))
    assert said == [("read", True)]


def test_nobody_waits_for_a_process_that_was_not_asked(alone):
    with pytest.raises(UsageError, match="refused"), reporting.writer() as made:
        raise UsageError("refused")
    assert code_of(made) is not None


def test_who_is_asked_for_nothing_gives_its_memory_back():
    code = (
        "import sys; from types import SimpleNamespace; from nachos_jax.cli import companion; "
        "companion.ASKED_FIRST, companion.PATIENCE = (), 1; "
        "sys.modules['nachos_jax.report.page.page'] = SimpleNamespace(prepare=lambda _: None, of=None); "
        "companion.main(sys.stdin, sys.stdout)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True) as process:
        processes.pipe(process.stdin).write('{"task": "classification"}\n')
        processes.pipe(process.stdin).flush()
        assert process.wait(60) == -signal.SIGALRM


def test_its_warnings_come_into_the_log(make_run, pictures, caplog):
    told = json.dumps({"warning": "something is odd"})
    made = by(HEARD + f"print({told!r}); " + READ + 'sys.stdin.readline(); print(\'{"page": "p"}\')')
    with caplog.at_level(logging.WARNING, "nachos_jax"):
        assert str(made.write(SimpleNamespace(store=make_run()))) == "p"
    made.close()
    assert "something is odd" in caplog.text


@pytest.mark.filterwarnings("ignore:os.fork")  # JAX warns where other tests have started it here
def test_a_call_in_a_copy_of_the_process_gives_its_result_and_its_error():
    assert writer.forked(lambda: [FIGURE])() == [FIGURE]
    calls = []

    def once():
        calls.append(1)  # in the copy nobody sees it
        raise ValueError("what cannot be drawn")

    with pytest.raises(ValueError, match="cannot be drawn"):
        writer.forked(once)()
    assert calls == [1]
