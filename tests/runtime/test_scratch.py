"""Folders of temporary files: deleted at the end, and after a kill by whoever comes next."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest

from nachos_jax.runtime import kernel, processes, scratch

MAKES = """
import sys
from nachos_jax.runtime import scratch
with scratch.folder() as folder:
    (folder / "pixels.npy").write_bytes(b"1")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(scratch, "YOUNG", 0.0)
    return tmp_path


def test_a_folder_is_deleted_at_the_end_and_by_nobody_before(place):
    with scratch.folder() as first:
        with scratch.folder() as second:
            assert {path.name for path in place.iterdir()} == {first.name, second.name}
        assert list(place.iterdir()) == [first]
    assert not list(place.iterdir())


def test_what_a_killed_process_has_left_is_deleted_by_the_next_and_what_a_living_one_has_is_not(place):
    words, ends = [sys.executable, "-c", MAKES], subprocess.PIPE
    with subprocess.Popen(words, stdin=ends, stdout=ends, text=True) as process:
        left = processes.pipe(process.stdout).readline().strip()
        with scratch.folder():
            assert os.path.exists(f"{left}/pixels.npy")
        process.kill()
        process.wait()
    with scratch.folder():
        assert not os.path.exists(left)


def test_folders_that_are_not_known_to_be_dead_are_left_alone(place, monkeypatch):
    (place / f"{scratch.PREFIX}of_an_older_version").mkdir()
    young = place / f"{scratch.PREFIX}young"
    young.mkdir()
    (young / scratch.LOCK).write_text(kernel.boot())
    elsewhere = place / f"{scratch.PREFIX}of_another_host"
    elsewhere.mkdir()
    (elsewhere / scratch.LOCK).write_text("another kernel, whose locks are not seen here")
    monkeypatch.setattr(scratch, "YOUNG", 60.0)
    with scratch.folder():
        assert young.is_dir()
    monkeypatch.setattr(scratch, "YOUNG", 0.0)
    with scratch.folder():
        assert not young.exists()
    left = {path.name.removeprefix(scratch.PREFIX) for path in place.iterdir()}
    assert left == {"of_an_older_version", "of_another_host"}
