"""The run directory: the only file that knows where records lie and how they are committed."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Trial
from nachos_jax.records import case_table, cells, decode, external, schema, seal
from nachos_jax.records.case_table import CaseRecord
from nachos_jax.records.columns import ColumnTest, column_json, column_test
from nachos_jax.records.mask_choice import MaskChoice, mask_choice
from nachos_jax.records.moving import AlreadyThereError, move, sync_folder

TEMPORARY = ".tmp-"
_TEMPORARY = re.compile(re.escape(TEMPORARY) + "[a-z0-9_]{8}")  # as tempfile names them


def write_atomic(path: Path, data: bytes, replace: bool = True) -> None:
    """Writes a file that is either wholly there or not there, whatever happens meanwhile.

    Args:
        path: the file.
        data: its bytes.
        replace: whether an older file gives way; else the first of several writers wins.

    Raises:
        AlreadyThereError: there is an older file, and it is not to be replaced.
        UsageError: the folder cannot be written to or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            move(temporary, path, replace)
            sync_folder(path.parent)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror or error}): free space or mend its permissions, then "
            "run the same command again; nothing that was finished is lost."
        ) from error


def dump(value: Any) -> bytes:
    """JSON text of a record, the same bytes for the same value."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def study_name(study: int | None) -> str:
    """Folder name of a study: "fold_03", or "deploy"."""
    return "deploy" if study is None else f"fold_{study:02d}"


class RunDirectory:
    """Records of one run below `path`; everything else in there can be deleted and is rebuilt.

    Estimation and deployment keep apart stores (`command` = "evaluate" or "deploy"), so that no result
    of one can reach the other.
    """

    def __init__(self, path: str | os.PathLike, command: str = "evaluate"):
        self.path = Path(path)
        self.records = self.path / "records"
        self.command, self.folder = command, self.records / command
        self._sealed: bool | None = None

    @property
    def sealed(self) -> bool:
        """Whether records carry digests: all of a directory that was begun with them, none of an older one.

        Raises:
            UsageError: run.json is damaged.
        """
        if self._sealed is None:
            run = self.run()
            if run is None:  # it comes first, but may have been deleted
                return all(b'"digest"' in path.read_bytes() for path in self.records.rglob("[!.]*.json"))
            self._sealed = run.get("schema", 1) >= schema.SEALED
        return bool(self._sealed)

    # --- the run itself -------------------------------------------------------------------------

    def run(self) -> dict[str, Any] | None:
        """The identity of the run (config, case-table hash, classes), or None in a new directory."""
        return self._read(self.records / "run.json", dict)

    def commit_run(self, value: Mapping[str, Any]) -> None:
        """Writes the identity of the run, once; its schema tells whether records are sealed."""
        self._commit(self.records / "run.json", {"schema": schema.SCHEMA if self.sealed else 1, **value})

    def cases(self) -> CaseRecord | None:
        """The case table with targets and folds; None in a new directory, and of runs of older versions."""
        return self._read(self.records / "cases.json", case_table.from_json)

    def commit_cases(self, value: CaseRecord) -> None:
        """Writes the case table, once."""
        self._commit(self.records / "cases.json", case_table.to_json(value))

    def forget_cases(self) -> None:
        """Deletes the case table of a run that never began."""
        (self.records / "cases.json").unlink(missing_ok=True)

    # --- studies --------------------------------------------------------------------------------

    def trials(self, study: int | None) -> list[Trial]:
        """The trials of a study, in order of their numbers."""
        folder = self._study(study)
        found = [self._read(path, lambda v: Trial(**v)) for path in folder.glob("trial_*.json")]
        return sorted(found, key=lambda trial: trial.number)

    def commit_trial(self, trial: Trial) -> None:
        """Commits that a trial was asked for."""
        name = f"trial_{trial.number:04d}.json"
        self._commit(self._study(trial.study) / name, {**vars(trial), "hparams": dict(trial.hparams)})

    def outcome(self, study: int | None) -> schema.Outcome | None:
        """The end of a study, or None while it goes on."""
        return self._read(self.outcome_path(study), schema.outcome)

    def commit_outcome(self, value: schema.Outcome) -> None:
        """Commits the end of a study."""
        self._commit(self.outcome_path(value.study), schema.to_json(value))

    def mask_choice(self, study: int | None) -> MaskChoice | None:
        """What a study chose of its final masks, or None where it chose nothing yet."""
        return self._read(self.outcome_path(study).with_name("masks.json"), mask_choice)

    def commit_mask_choice(self, value: MaskChoice) -> None:
        """Commits what a study chose of its final masks."""
        self._commit(self.outcome_path(value.study).with_name("masks.json"), schema.to_json(value))

    def outcome_path(self, study: int | None) -> Path:
        """Where the end of a study lies."""
        return self._study(study) / "outcome.json"

    def _study(self, study: int | None) -> Path:
        # Without an outer fold it is the study of deployment, or of an estimate by the flat protocol.
        flat = study is None and self.command == "evaluate"
        return self.folder / "studies" / ("flat" if flat else study_name(study))

    # --- fits -----------------------------------------------------------------------------------

    def fits(self) -> Iterator[schema.FitRecord]:
        """All finished fits, ordered by id."""
        for path in sorted((self.folder / "fits").glob("*.json")):
            yield self._read(path, schema.fit_record)

    def fit_ids(self) -> set[str]:
        """Ids of all finished fits."""
        return {path.stem for path in (self.folder / "fits").glob("*.json")}

    def fit(self, fit: str) -> schema.FitRecord | None:
        """The record of a fit, or None while it is not finished."""
        return self._read(self._fit_path(fit), schema.fit_record)

    def commit_fit(self, value: schema.FitRecord, payload: Mapping[str, bytes]) -> schema.FitRecord:
        """Commits a fit; its payload files first, so that the record vouches for them.

        Several processes may have trained it, after one of them was thought lost: the first record stays.

        Args:
            value: the record, `payload` field not yet filled.
            payload: file suffix -> bytes, e.g. {"weights.safetensors": ...}.

        Returns:
            The record on disk, its `payload` field filled.
        """
        hashes = {suffix: hashlib.sha256(data).hexdigest() for suffix, data in payload.items()}
        vouched = dataclasses.replace(value, payload=hashes)
        for suffix, data in payload.items():
            write_atomic(self.payload_path(vouched, suffix), data)
        try:
            path = self._fit_path(value.fit)
            write_atomic(path, self._text(path, schema.to_json(vouched)), replace=False)
        except AlreadyThereError:
            first = self.fit(value.fit)
            assert first is not None
            return first
        return vouched

    def payload_path(self, record: schema.FitRecord, suffix: str) -> Path:
        """Where a payload file of a fit lies; its name holds its hash, so that no other bytes replace it."""
        return self.folder / "fits" / f"{record.fit}.{record.payload[suffix][:8]}.{suffix}"

    def payload(self, record: schema.FitRecord, suffix: str) -> bytes:
        """The bytes of a payload file, checked against the record.

        Raises:
            UsageError: the file is gone or its bytes are not those committed.
        """
        path = self.payload_path(record, suffix)
        data = path.read_bytes() if path.exists() else None
        if data is None or hashlib.sha256(data).hexdigest() != record.payload[suffix]:
            raise UsageError(
                f"{path} is missing or damaged: delete {self._fit_path(record.fit)} and run the same "
                f"`nachos {self.command}` again to train this fit anew."
            )
        return data

    def _fit_path(self, fit: str) -> Path:
        return self.folder / "fits" / f"{fit}.json"

    # --- tests ----------------------------------------------------------------------------------

    def tests(self) -> list[schema.OuterTest]:
        """The outer folds tested so far, in order."""
        found = [self._read(path, schema.outer_test) for path in (self.folder / "tests").glob("fold_*.json")]
        return sorted(found, key=lambda test: test.outer_fold)

    def commit_test(self, value: schema.OuterTest) -> None:
        """Commits the one test of an outer fold."""
        self._commit(self.test_path(value.outer_fold), schema.test_json(value))

    def test_path(self, outer_fold: int | None) -> Path:
        """Where the test of an outer fold lies."""
        return self.folder / "tests" / f"{study_name(outer_fold)}.json"

    def column_tests(self) -> list[ColumnTest]:
        """What columns were worth to the refits asked so far, by outer fold."""
        return [self._read(path, column_test) for path in sorted((self.folder / "columns").glob("*.json"))]

    def commit_column_test(self, value: ColumnTest) -> None:
        """Commits what columns were worth to the refit of an outer fold."""
        self._commit(self.column_path(value.outer_fold), column_json(value))

    def column_path(self, outer_fold: int | None) -> Path:
        """Where that lies."""
        return self.folder / "columns" / f"{study_name(outer_fold)}.json"

    # --- external cases -------------------------------------------------------------------------

    def external_cases(self) -> external.ExternalCases | None:
        """The cases that are kept out of everything, or None where there are none."""
        return self._read(self.records / "external.json", external.cases)

    def commit_external_cases(self, value: external.ExternalCases) -> None:
        """Writes who they are, once."""
        self._commit(self.records / "external.json", external.cases_json(value))

    def external_tests(self) -> list[external.ExternalTest]:
        """The tests of the external cases so far, by the order of their names."""
        return [self._read(path, external.test) for path in sorted((self.folder / "external").glob("*.json"))]

    def commit_external_test(self, name: str, value: external.ExternalTest) -> None:
        """Commits the one test of a model on the external cases."""
        self._commit(self.external_path(name), external.test_json(value))

    def external_path(self, name: str) -> Path:
        """Where the test of a model on the external cases lies."""
        return self.folder / "external" / f"{name}.json"

    # --- what was spent (not part of the truth: times and devices) -----------------------------------

    def sessions(self) -> list[dict[str, Any]]:
        """What each process spent on this command, oldest first."""
        return [self._read(path, dict) for path in sorted((self.folder / "sessions").glob("*.json"))]

    def session(self, name: str) -> dict[str, Any] | None:
        """What one process has spent so far, or None before it has begun."""
        return self._read(self.folder / "sessions" / f"{name}.json", dict)

    def told_ago(self) -> float:
        """Seconds since a process has told what it spent, by the clock of this host and that of the disk."""
        files = (self.folder / "sessions").glob("*.json")
        return max(0.0, time.time() - max((path.stat().st_mtime for path in files), default=0.0))

    def write_session(self, name: str, value: Mapping[str, Any]) -> None:
        """Writes or rewrites what this process spent so far."""
        self._write(self.folder / "sessions" / f"{name}.json", value)

    # --- what the report is to show (not part of the truth: it may change) ---------------------------------

    def settings(self) -> dict[str, Any] | None:
        """config.report of the newest process, or None before the first.

        Where it says something of pretrained weights, that stands under "backbone".
        """
        return self._read(self.records / "report.json", dict)

    def write_settings(self, value: Mapping[str, Any]) -> None:
        """Writes or rewrites them."""
        self._write(self.records / "report.json", value)

    def groups(self) -> dict[str, list[str]] | None:
        """The group of every case in each column of config.report.subgroups; None before the first launch."""
        return self._read(self.records / "groups.json", dict)

    def write_groups(self, value: Mapping[str, list[str]]) -> None:
        """Writes or rewrites them."""
        self._write(self.records / "groups.json", value)

    def units(self) -> list[str] | None:
        """The unit of every case, as config.report.unit names them; None or [] without one."""
        found = self._read(self.records / "units.json", dict)
        return None if found is None else found["units"]

    def write_units(self, units: list[str]) -> None:
        """Writes or rewrites them."""
        self._write(self.records / "units.json", {"units": units})

    # --- files for people and machines ---------------------------------------------------------------

    def write_text(self, name: str, text: str) -> Path:
        """Writes a file that can be rebuilt from the records; returns its path."""
        write_atomic(self.path / name, text.encode())
        return self.path / name

    def write_table(self, name: str, header: list[str], rows: list[list[Any]]) -> Path:
        """Writes a CSV file; None becomes an empty cell."""
        return self.write_text(name, cells.csv_text([header, *rows]))

    def read_table(self, name: str) -> list[dict[str, str]] | None:
        """Rows of a CSV file by column name, or None when there is none."""
        path = self.path / name
        if not path.exists():
            return None
        with open(path, newline="", encoding="utf-8") as file:
            return cells.rows(file)

    def sweep(self) -> None:
        """Removes what killed writers left behind; call it while no other process writes here."""
        folders = [self.path / name for name in ("records", "report", "deploy", "explanations")]
        folders += self.path.glob("checkpoints/*/paused")
        found = itertools.chain(self.path.glob("*"), *(folder.rglob("*") for folder in folders))
        for path in list(found):
            if _TEMPORARY.fullmatch(path.name) and path.is_file():
                path.unlink(missing_ok=True)

    # --- the mechanism ------------------------------------------------------------------------------

    def _commit(self, path: Path, value: Mapping[str, Any]) -> None:
        data = self._text(path, value)
        if path.exists() and path.read_bytes() != data:
            raise UsageError(
                f"{path} already holds another result: it was edited, a lost fit was trained anew by another "
                f"kind of machine, or two runs write into {self.path}. Use one --workdir a run; if nothing "
                f"else writes there, delete this file and run {self._again(path)} again."
            )
        write_atomic(path, data)

    def _write(self, path: Path, value: Mapping[str, Any]) -> None:
        write_atomic(path, self._text(path, value))

    def _text(self, path: Path, value: Mapping[str, Any]) -> bytes:
        """The bytes of a record, with its digest where the directory has them."""
        if not self.sealed:
            return dump(dict(value))
        return seal.fill(dump({**value, seal.KEY: seal.BLANK}), self._name(path))

    def _name(self, path: Path) -> str:
        return path.relative_to(self.records).as_posix()

    def _read(self, path: Path, make: Callable[[dict], Any]) -> Any:
        if not path.exists():
            return None
        itself = path == self.records / "run.json"  # it tells whether records are sealed
        needed = not itself and self.sealed
        try:
            text = path.read_bytes()
            value = decode.parse(text)
            needed = needed or (itself and value.get("schema", 1) >= schema.SEALED)
            seal.check(text, self._name(path), needed)
            value.pop(seal.KEY, None)
            return make(value)
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
            spent = path.parent.name == "sessions"
            raise UsageError(
                f"{path} is damaged ({error}): delete this file and run {self._again(path)} again; "
                + ("only what it tells of time spent is lost" if spent else "the work behind it is done anew")
                + ", all other records stay."
            ) from error

    def _again(self, path: Path) -> str:
        """The command that writes a record."""
        command = path.relative_to(self.records).parts[0]
        both = "the same `nachos evaluate` or `nachos deploy`"
        return f"the same `nachos {command}`" if command in ("evaluate", "deploy") else both
