"""config.data.on_error: what is left out and what is not, of images and of volumes at one spacing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import JPEGBaseline8Bit

from nachos_jax.config.data_fields import WAIVER
from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import TransientError, UsageError
from nachos_jax.data import (
    cache,
    decode_crew,
    dicom_decode,
    dicom_series,
    image_files,
    nifti,
    sources,
    there,
    volume_files,
)
from nachos_jax.runtime import cores
from nachos_jax.tasks.classification import TASK
from tests.data.test_dicom_series import series
from tests.inputs import dense
from tests.tiers import mostly_thorough

Config = Callable[..., DataConfig]
PLANTED = """
import os, pathlib, signal, time
import numpy as np

def read_header(path):
    return {"sizes": [4, 5, 6]}

def read(path):
    path = pathlib.Path(path)
    value, fault = (path.read_text().split() + [""])[:2]
    if (path.parent / "healed").exists():
        fault = ""
    if fault == "memory":
        raise MemoryError
    if fault == "bad_alloc":
        os.write(2, b"  what():  std::bad_alloc")
        os.abort()
    if fault == "hang":
        time.sleep(600)
    if fault.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, fault))
    return np.full((4, 5, 6), int(value), np.uint8), {}
"""


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process that decodes takes a second to start; how several share cases: test_decode_crew."""
    monkeypatch.setattr(cores, "available", lambda: 1)


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Config) -> Callable[[str], DataConfig]:
    """Seven volumes of a format whose decoder does to the process what the fourth file says."""
    (tmp_path / "decoder").mkdir()
    (tmp_path / "decoder/nrrd.py").write_text(PLANTED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "decoder"))

    def make(fault: str) -> DataConfig:
        lines = ["path,label"]
        for row in range(7):
            (tmp_path / f"{row}.nrrd").write_text(f"{row} {fault if row == 3 else ''}")
            lines.append(f"{row}.nrrd,{'ab'[row % 2]}")
        (tmp_path / "cases.csv").write_text("\n".join(lines))
        return config(source="csv", path=str(tmp_path / "cases.csv"), volume="whole", subject=WAIVER)

    return make


@mostly_thorough("fault", ["SIGSEGV", "SIGABRT"], kept=("SIGABRT",))
def test_a_volume_whose_decoding_ends_the_process_is_told_and_the_others_are_read(
    fault: str, planted: Callable[[str], DataConfig]
):
    data = planted(fault)
    with pytest.raises(UsageError, match=rf"3\.nrrd.*: its decoder has crashed \({fault}\).*'skip' leaves"):
        sources.load(data, TASK)
    cohort = sources.load(replace(data, on_error="skip"), TASK)
    assert [name for name, _ in cohort.skipped] == ["3.nrrd"]
    assert dense(cohort)[:, 0, 0, 0, 0].tolist() == [0, 1, 2, 4, 5, 6]


@mostly_thorough(
    ("fault", "told"),
    [
        ("memory", r"3\.nrrd needs more memory than there is"),
        ("bad_alloc", r"3\.nrrd.*: its decoder has crashed \(SIGABRT\)"),
        ("hang", r"3\.nrrd.*: its decoder was still at work after 4 s"),
        ("SIGKILL", r"3\.nrrd.*: its decoder has crashed \(SIGKILL\)"),
    ],
    kept=("bad_alloc",),
)
def test_what_the_next_launch_may_read_is_never_left_out(
    fault: str, told: str, planted: Callable[[str], DataConfig], monkeypatch: pytest.MonkeyPatch
):
    if fault == "hang":  # the others are told whenever a busy machine comes to them
        monkeypatch.setattr(decode_crew, "PATIENCE", 4.0)
    data = planted(fault)
    with pytest.raises(UsageError, match=told) as stopped:
        sources.load(data, TASK)
    assert "leaves them out" not in str(stopped.value)
    skip = replace(data, on_error="skip")
    with pytest.raises(UsageError, match=f"(?s){told}.*the next launch may well read them"):
        sources.load(skip, TASK)
    assert not list(Path(data.cache).iterdir())  # nothing of it stays
    (Path(data.path).parent / "healed").touch()
    cohort = sources.load(skip, TASK)
    assert not cohort.skipped
    assert dense(cohort)[:, 0, 0, 0, 0].tolist() == list(range(7))


@pytest.mark.thorough
def test_a_case_that_an_older_version_had_left_out_for_want_of_memory_comes_back(
    planted: Callable[[str], DataConfig], monkeypatch: pytest.MonkeyPatch
):
    data = replace(planted("SIGSEGV"), on_error="skip")
    with monkeypatch.context() as older:
        older.setattr(cache, "LEFT_OUT", cache.LEFT_OUT - 1)
        assert sources.load(data, TASK).skipped
    (Path(data.path).parent / "healed").touch()
    assert not sources.load(data, TASK).skipped


def test_no_memory_is_no_damage_of_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def failing(*_: object) -> np.ndarray:
        raise MemoryError

    (tmp_path / "x.png").write_bytes(b"anything")
    monkeypatch.setattr(image_files, "_picture", failing)
    with pytest.raises(TransientError, match=r"x\.png needs more memory than there is: free some"):
        image_files.read_image(tmp_path / "x.png")


def test_a_disk_that_fails_is_no_damage_of_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def failing(*_: object) -> np.ndarray:
        raise OSError(number, "told by the system")

    (tmp_path / "x.png").write_bytes(b"anything")
    monkeypatch.setattr(image_files, "_picture", failing)
    number = errno.EIO
    with pytest.raises(TransientError, match=r"x\.png could not be read \(told by the system\): run again"):
        image_files.read_image(tmp_path / "x.png")
    number = errno.EINVAL  # of a damaged file: seeking to where nothing can be
    with pytest.raises(UsageError, match=r"x\.png cannot be read as PNG") as damaged:
        image_files.read_image(tmp_path / "x.png")
    assert not isinstance(damaged.value, TransientError)


@pytest.mark.parametrize(
    "words", ["", "Unable to allocate 3.00 GiB for an array", "out of memory when reading image file"]
)
def test_no_memory_is_no_damage_of_a_compressed_frame(words: str, monkeypatch: pytest.MonkeyPatch):
    def failing(*_: object) -> bytes:
        raise MemoryError(words)

    path = Path(get_testdata_file("SC_rgb_jpeg_dcmtk.dcm"))  # pyrefly: ignore[bad-argument-type]
    plugins = get_decoder(JPEGBaseline8Bit)._available
    monkeypatch.setitem(plugins, "pillow", failing)
    monkeypatch.delitem(plugins, "pylibjpeg", raising=False)
    with pytest.raises(TransientError, match="needs more memory than there is"):
        dicom_decode.decoded(dcmread(path), path)


def test_pillow_without_memory_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def failing(*_: object) -> np.ndarray:
        raise OSError("out of memory when reading image file")

    (tmp_path / "x.png").write_bytes(b"anything")
    monkeypatch.setattr(image_files, "_picture", failing)
    with pytest.raises(TransientError, match=r"x\.png needs more memory than there is: free some"):
        image_files.read_image(tmp_path / "x.png")


def test_what_is_away_while_it_is_decoded_is_no_damage(tmp_path: Path):
    with pytest.raises(TransientError, match="there is no such file"):
        image_files.read_image(tmp_path / "gone.png")
    for name in ("gone.nii", "gone.dcm", "gone"):
        with pytest.raises(TransientError, match="there is no such file"):
            volume_files.read_volume(tmp_path / name)
    with pytest.raises(TransientError, match="there is no such folder"):
        dicom_series.read_series(tmp_path / "gone")


@pytest.mark.parametrize("failing", ["open", "stat"])
def test_a_slice_that_the_disk_cannot_read_does_not_vanish(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "slice").write_bytes(bytes(128) + b"DICM")
    module = image_files if failing == "open" else there.os
    real = open if failing == "open" else os.stat

    def broken(path: Any, *rest: Any, **named: Any) -> Any:
        if Path(path).name == "slice":
            raise OSError(errno.EIO, "told by the system")
        return real(path, *rest, **named)

    monkeypatch.setattr(module, failing, broken, raising=False)
    with pytest.raises(TransientError, match=r"slice could not be .*told by the system"):
        dicom_series.read_series(tmp_path)


BROKEN = ("cut.nii", "cut.nii.gz", "nothing.nii", "cut.nrrd", "no spacing.nrrd", "cut slice", "lost slice")


def broken_volume(kind: str, folder: Path) -> Path:
    """A volume of another spacing than any other, which cannot be read."""
    values = np.random.default_rng(1).integers(0, 900, (6, 5, 8)).astype(np.int16)
    if "slice" in kind:
        (folder / "scan").mkdir()
        series(folder / "scan", [0, 7, 14, 21], Modality="MR")
        slices = sorted((folder / "scan").iterdir())
        if kind == "cut slice":
            slices[1].write_bytes(slices[1].read_bytes()[:-20])
        else:
            slices[1].unlink()
        return folder / "scan"
    path = folder / f"broken{Path(kind).suffix if kind != 'cut.nii.gz' else '.nii.gz'}"
    if path.suffix == ".nrrd":
        nrrd = pytest.importorskip("nrrd", reason="pynrrd is not installed")
        nrrd.write(str(path), values, {} if "spacing" in kind else {"spacings": [7.0, 7.0, 7.0]})
    else:
        nifti.write(path, values, np.diag([-7.0, -7.0, 7.0, 1.0]))
    whole = path.read_bytes()
    if "cut" in kind:
        path.write_bytes(whole[: len(whole) - len(whole) // 5])
    if kind == "nothing.nii":
        path.write_bytes(b"nothing")
    return path


@mostly_thorough("kind", BROKEN, kept=("cut.nii.gz",))
def test_volumes_at_one_spacing_are_read_as_if_a_broken_one_had_never_been_there(
    kind: str, config: Config, tmp_path: Path
):
    draw, lines = np.random.default_rng(0), ["path,label"]
    for row, step in enumerate((1.0, 1.0, 2.0, 3.0)):
        values = draw.integers(0, 900, (6, 5, 8)).astype(np.int16)
        nifti.write(tmp_path / f"{row}.nii.gz", values, np.diag([-1.0, -1.0, step, 1.0]))
        lines.append(f"{row}.nii.gz,{'ab'[row % 2]}")
    broken = broken_volume(kind, tmp_path)
    lines.insert(2, f"{broken.name},a")
    table = tmp_path / "cases.csv"
    table.write_text("\n".join(lines))
    data = config(
        source="csv", path=str(table), volume="whole", spacing="mean", depth=8, height=5, width=6,
        subject=WAIVER,
    )  # fmt: skip
    with pytest.raises(UsageError, match=rf"(?s){broken.name}.*on_error = 'skip' leaves them out"):
        sources.load(data, TASK)
    skip, told = replace(data, on_error="skip"), []
    cohort = sources.load(skip, TASK)
    assert [name for name, _ in cohort.skipped] == [broken.name]
    assert cohort.preparation["spacing"] == [1.75, 1.0, 1.0]
    again = sources.load(skip, TASK, lambda *done: told.append(done))
    assert again.hash == cohort.hash
    assert again.skipped == cohort.skipped
    assert not told  # all came from the cache
    table.write_text("\n".join(line for line in lines if broken.name not in line))
    without = sources.load(replace(data, cache=data.cache + "2"), TASK)
    assert without.hash == cohort.hash
    assert without.preparation == cohort.preparation
    np.testing.assert_array_equal(dense(without), dense(cohort))
    assert [note for note in cohort.notes if "resampled" in note] == [
        note for note in without.notes if "resampled" in note
    ]


def test_a_spacing_needs_one_volume_that_can_be_read(config: Config, tmp_path: Path):
    (tmp_path / "0.nii").write_bytes(b"nothing")
    (tmp_path / "1.nii").write_bytes(b"nothing")
    (tmp_path / "cases.csv").write_text("path,label\n0.nii,a\n1.nii,b\n")
    data = config(
        source="csv", path=str(tmp_path / "cases.csv"), volume="whole", spacing="mean", depth=2, height=2,
        width=2, subject=WAIVER, on_error="skip",
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"(?s)0\.nii cannot be read.*1\.nii cannot be read.*2 of 2"):
        sources.load(data, TASK)
