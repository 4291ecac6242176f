"""Init proposes the task that the columns tell: several labels, grades, numbers, classes; else it asks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.intake import several
from nachos_jax.intake.order import order_of
from tests.intake.conftest import SMALL, cases, config, picture, table
from tests.tiers import mostly_thorough

N = 40
FINDINGS = ("Effusion", "Mass", "Cardiomegaly")


def folder(tmp_path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """in/list.csv with the columns file, patient and those of `header`, and an image for each row."""
    for case in range(len(rows)):
        picture(tmp_path / f"in/s/{case:03d}.png", case)
    whole = [[f"s/{case:03d}.png", f"P{case // 2}", *row] for case, row in enumerate(rows)]
    table(tmp_path / "in/list.csv", ["file", "patient", *header], whole)


def has(case: int) -> list[bool]:
    """Which of FINDINGS a case has."""
    return [case % 2 == 0, case % 3 == 0, case % 5 == 0]


def proposed(said, *words: str) -> tuple[str, str]:
    """What init prints, and config.py; `nachos plan` must run on it as it stands, or with `words`."""
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0, out
    code, told = said("plan", "--config=o/config.py", *words, *SMALL)
    assert code == 0, told
    return out, Path("o/config.py").read_text()


def test_a_column_that_lists_labels_becomes_a_column_each(tmp_path: Path, said):
    """As ChestX-ray14 has them."""
    rows = []
    for case in range(N):
        there = [name for name, one in zip(FINDINGS, has(case), strict=True) if one]
        rows.append(["|".join(there) or "No Finding", 30 + case % 9])
    folder(tmp_path, ["Finding Labels", "Patient Age"], rows)
    out, text = proposed(said)
    assert "'Finding Labels' lists labels with '|' between" in out
    assert "'No Finding' stands for none of them" in out
    assert "TO DECIDE" not in out
    found = config(Path("o"))
    assert found.task.name == "multilabel"
    assert found.data.target_keys == tuple(sorted(FINDINGS))
    assert "# config.task.name = 'classification'" in text
    for case, row in enumerate(cases(Path("o"))):
        assert [row[name] for name in FINDINGS] == [str(int(one)) for one in has(case)]
    code, told = said("plan", "--config=o/config.py", *SMALL)
    assert code == 0, told


@pytest.mark.thorough
def test_listed_labels_are_evaluated(tmp_path: Path, said):
    there = [[name for name, one in zip(FINDINGS, has(case), strict=True) if one] for case in range(N)]
    rows = [["|".join(names) or "No Finding", 30 + case % 9] for case, names in enumerate(there)]
    folder(tmp_path, ["Finding Labels", "Patient Age"], rows)
    proposed(said)
    code, told = said("evaluate", "--config=o/config.py", "--workdir=o/run", *SMALL)
    assert code == 0, told
    assert Path("o/run/report/index.html").is_file()


@mostly_thorough(
    ("yes", "no", "unknown"),
    [("1.0", "0.0", ""), ("ja", "nein", "n/a"), ("1", "0", "-1"), ("x", "", "")],
    kept=("ja", "x"),
)
def test_columns_of_yes_and_no_are_labels(yes: str, no: str, unknown: str, tmp_path: Path, said):
    rows = [[yes if one else no for one in has(case)] for case in range(N)]
    if no:
        rows[7][0] = unknown
    folder(tmp_path, FINDINGS, rows)
    out, _ = proposed(said)
    found, written = config(Path("o")), cases(Path("o"))
    assert (found.task.name, found.data.target_keys) == ("multilabel", FINDINGS)
    wanted = {"1": True, "0": False, "1.0": True, "0.0": False}
    assert [wanted[row["Mass"]] for row in written] == [has(case)[1] for case in range(N)]
    if no:
        assert written[7]["Effusion"] == ""
        assert "1 cells are empty: not known" in out
    else:
        assert "no cell of 'Effusion', 'Mass' and 'Cardiomegaly' says no" in out.replace(
            ", 'Card", " and 'Card"
        )
    assert ("unsure ones (-1)" in out) == (unknown == "-1")


@pytest.mark.parametrize("word", ["None", "nil", "none"])
def test_a_list_that_says_none_is_a_case_without_the_labels(tmp_path: Path, word: str, said):
    rows = []
    for case in range(N):
        there = [name for name, one in zip(FINDINGS, has(case), strict=True) if one]
        rows.append(["|".join(there) or ("" if case == 1 else word)])
    folder(tmp_path, ["findings"], rows)
    out, _ = proposed(said)
    assert f"{word!r} stands for none of them" in out
    found = cases(Path("o"))
    assert len(found) == N - 1, "of the one whose list is empty nothing is known"
    assert [found[6][name] for name in FINDINGS] == ["0"] * len(FINDINGS), "case 7"


def test_rare_labels_are_left_out_and_told(tmp_path: Path, said):
    rows = [[*map(int, has(case)), int(case in (3, 11))] for case in range(N)]
    folder(tmp_path, [*FINDINGS, "Hernia"], rows)
    out, _ = proposed(said)
    assert "left out 1 that fewer than 5 cases have, or have not: 'Hernia (2 of 40)'" in out
    assert config(Path("o")).data.target_keys == FINDINGS
    assert cases(Path("o"))[3]["Hernia"] == "1"


def test_two_columns_of_yes_and_no_stay_a_question(tmp_path: Path, said):
    folder(tmp_path, FINDINGS[:2], [list(map(int, has(case)[:2])) for case in range(N)])
    out, text = proposed(said, "--config.data.label_key=Mass")
    assert "TO DECIDE: label" in out
    assert "# config.data.target_keys = ('Effusion', 'Mass')" in text
    several_labels = ("--config.task.name=multilabel", "--config.data.target_keys=('Effusion','Mass')")
    assert said("plan", "--config=o/config.py", *several_labels, *SMALL)[0] == 0


def test_who_a_patient_is_is_no_label(tmp_path: Path, said):
    rows = [[*map(int, has(case)), "ab"[case % 2]] for case in range(N)]
    folder(tmp_path, ["Raucher", "Diabetes", "Schwanger", "Diagnose"], rows)
    proposed(said)
    found = config(Path("o"))
    assert (found.task.name, found.data.label_key) == ("classification", "Diagnose")
    folder(tmp_path / "b", ["Raucher", "Diabetes", "Schwanger"], [row[:3] for row in rows])
    code, out = said("init", "--input=b/in", "--output=p")
    assert code == 0
    assert "TO DECIDE: label" in out


def test_columns_of_which_each_case_has_one_are_classes(tmp_path: Path, said):
    """As ISIC has them."""
    rows = [[f"{float(case % 3 == kind):.1f}" for kind in range(3)] for case in range(N)]
    folder(tmp_path, ["MEL", "NV", "BCC"], rows)
    out, _ = proposed(said)
    assert "each case has exactly one of 3 columns: MEL 14, NV 13, BCC 13" in out
    assert [row["label"] for row in cases(Path("o"))[:4]] == ["MEL", "NV", "BCC", "MEL"]
    assert config(Path("o")).task.name == "classification"
    text = Path("o/config.py").read_text(encoding="utf-8")
    assert "# config.data.target_keys = ('MEL', 'NV', 'BCC')" in text
    assert "data.features" not in text, "they are the label itself"


@pytest.mark.parametrize(
    ("column", "values", "order"),
    [
        ("Schweregrad", ("schwer", "leicht", "mittel"), ("leicht", "mittel", "schwer")),
        ("diagnosis", ("severe", "mild", "none", "moderate"), ("none", "mild", "moderate", "severe")),
        ("stage", ("III", "IIa", "I", "IIb"), ("I", "IIa", "IIb", "III")),
        ("grade", ("10", "9", "2"), ("2", "9", "10")),
        ("result", ("BI-RADS 5", "BI-RADS 2", "BI-RADS 3"), ("BI-RADS 2", "BI-RADS 3", "BI-RADS 5")),
        ("label", ("2", "0", "1"), ()),
        ("label", ("type 1", "type 2", "type 3"), ()),
        ("label", ("mild", "severe", "cyst"), ()),
        ("label", ("mild", "low", "high"), ()),
        ("grade", ("low", "high"), ()),
    ],
)
def test_orders(column: str, values: tuple[str, ...], order: tuple[str, ...]):
    assert order_of(column, values) == order


def test_grades_are_learned_in_their_order(tmp_path: Path, said):
    folder(
        tmp_path, ["Severity"], [[("severe", "mild", "none", "moderate")[case // 2 % 4]] for case in range(N)]
    )
    _, text = proposed(said)
    found = config(Path("o"))
    assert found.data.classes == ("none", "mild", "moderate", "severe")
    assert found.task.classification.loss == "cumulative_link"
    assert "# config.search.metric = 'kappa'" in text
    assert said("plan", "--config=o/config.py", "--config.search.metric=kappa", *SMALL)[0] == 0


def test_none_is_a_grade_among_grades(tmp_path: Path, said):
    folder(tmp_path, ["Severity"], [[("severe", "mild", "None")[case // 2 % 3]] for case in range(N)])
    _, text = proposed(said)
    assert config(Path("o")).data.classes == ("None", "mild", "severe")
    assert "report.positive" not in text


def test_numbers_are_predicted_as_numbers_or_offered(tmp_path: Path, said):
    values = np.random.default_rng(0).normal(60, 9, N).round(1).tolist()
    folder(tmp_path, ["outcome", "LVEF"], [[value, 100 - value] for value in values])
    proposed(said)
    found = config(Path("o"))
    assert (found.task.name, found.data.label_key) == ("regression", "outcome")
    folder(tmp_path / "b", ["LVEF"], [[value] for value in values])
    code, out = said("init", "--input=b/in", "--output=p")
    assert code == 0
    assert "TO DECIDE: label" in out
    assert re.search(
        r"# config.data.label_key = 'LVEF'  # numbers.*'regression'", Path("p/config.py").read_text()
    )


def test_labels_of_an_npz_file(tmp_path: Path, said):
    """As ChestMNIST has them."""
    draw, arrays = np.random.default_rng(0), {}
    for part, count in (("train", 20), ("val", 10), ("test", 10)):
        arrays[f"{part}_images"] = draw.integers(0, 255, (count, 8, 8), np.uint8)
        arrays[f"{part}_labels"] = np.stack([np.arange(count) // step % 2 for step in (1, 2, 3)], axis=1)
    np.savez(tmp_path / "in", **arrays)
    code, out = said("init", "--input=in.npz", "--output=o")
    assert code == 0
    assert "labels holds 3 labels a case" in out
    assert config(Path("o")).task.name == "multilabel"
    waiver = "--config.data.subject=one_case_per_subject"
    code, told = said("plan", "--config=o/config.py", waiver, *SMALL)
    assert code == 0, told


def test_arrays_of_labels_in_an_npz_file_are_read_as_they_are(tmp_path: Path, said):
    images = np.random.default_rng(0).integers(0, 255, (N, 8, 8), np.uint8)
    arrays: dict[str, Any] = {
        name: np.asarray([has(case)[k] for case in range(N)]) for k, name in enumerate(FINDINGS)
    }
    np.savez(tmp_path / "in", images=images, patient=np.arange(N) // 2, **arrays)
    assert said("init", "--input=in.npz", "--output=o")[0] == 0
    found = config(Path("o"))
    assert (found.task.name, found.data.target_keys) == ("multilabel", FINDINGS)
    code, told = said("plan", "--config=o/config.py", *SMALL)
    assert code == 0, told
    lists = np.asarray(
        ["|".join(n for n, one in zip("abc", has(case), strict=True) if one) for case in range(N)]
    )
    np.savez(tmp_path / "lists", images=images, patient=np.arange(N) // 2, findings=lists)
    code, out = said("init", "--input=lists.npz", "--output=p")
    assert code == 0
    assert "TO DECIDE: label" in out
    assert "store them as an array of 1 and 0" in out


def test_radiomics_without_a_label_keep_their_features(tmp_path: Path, said):
    draw = np.random.default_rng(0)
    header = ["patient_id", "recurrence", *(f"f{i}" for i in range(12))]
    table(tmp_path / "r.csv", header, [[f"P{i}", i % 2, *draw.normal(size=12).round(3)] for i in range(N)])
    code, out = said("init", "--input=r.csv", "--output=o")
    assert code == 0
    assert "40 cases, 12 features" in out
    assert "# config.data.label_key = 'recurrence'" in Path("o/config.py").read_text(encoding="utf-8")
    code, told = said("plan", "--config=o/config.py", "--config.data.label_key=recurrence", *SMALL[:2])
    assert code == 0, told


def test_radiomics_of_several_labels_and_of_a_number(tmp_path: Path, said):
    draw = np.random.default_rng(0)
    features = [f"f{i}" for i in range(6)]
    rows = [[f"P{i}", *map(int, has(i)), *draw.normal(size=6).round(3)] for i in range(N)]
    table(tmp_path / "r.csv", ["patient_id", *FINDINGS, *features], rows)
    assert said("init", "--input=r.csv", "--output=o")[0] == 0
    assert config(Path("o")).task.name == "multilabel"
    rows = [[f"P{i}", 50 + i * 1.5, *draw.normal(size=6).round(3)] for i in range(N)]
    table(tmp_path / "n.csv", ["patient_id", "outcome", *features], rows)
    assert said("init", "--input=n.csv", "--output=p")[0] == 0
    assert config(Path("p")).task.name == "regression"
    for place in "op":
        code, told = said("plan", f"--config={place}/config.py", *SMALL[:2])
        assert code == 0, told


@given(
    rows=st.lists(st.sets(st.sampled_from(["a", "b c", "d", "e"])), min_size=1, max_size=30),
    mark=st.sampled_from(several.MARKS),
)
def test_lists_are_read_as_they_were_written(rows: list[set[str]], mark: str):
    cells = [f" {mark} ".join(sorted(row)) if row else "No Finding" for row in rows]
    found, nothing = several.spread(cells, mark)
    assert set(found) == set().union(*rows)
    assert nothing == (["No Finding"] if set() in rows else [])
    for name, own in found.items():
        assert own == [str(int(name in row)) for row in rows]


@pytest.mark.parametrize(
    ("values", "mark"),
    [
        (("edema|mass", "edema", "mass"), "|"),
        (("edema, mass", "edema, cyst", "mass, cyst"), ","),
        (("CIN 1/2", "CIN 3"), ""),
        (("Müller, Hans", "Meier, Eva"), ""),
        (("3/4", "4/5", "3/5"), ""),
        (("benign", "malignant"), ""),
    ],
)
def test_what_is_a_list(values: tuple[str, ...], mark: str):
    assert several.mark_of(values) == mark
