"""Every line that init offers as a comment works as it stands, once its mark is taken off."""

from __future__ import annotations

from pathlib import Path

import pytest

from nachos_jax.models.zoo import registry
from tests import pretrained
from tests.intake.conftest import SMALL, config, picture, table, taken
from tests.tiers import mostly_thorough

N = 48


@pytest.fixture
def proposal(tmp_path: Path, said) -> str:
    """config.py of three sites with two images a patient, ages, one unknown weight, and a rare class."""
    rows = []
    for case in range(N):
        picture(tmp_path / f"in/{case:02d}.png", case, 16)
        who = case // 2
        weight = "" if case == 5 else 60 + case
        label = ["healthy", "tumour"][who % 3 == 0]
        rows.append([f"{case:02d}.png", f"P{who:02d}", "ABC"[min(who // 10, 2)], 30 + who, weight, label])
    table(tmp_path / "in/list.csv", ["file", "patient", "site", "age", "weight", "diagnosis"], rows)
    code, out = said("init", "--input=in", "--output=o")
    assert code == 0, out
    assert "TO DECIDE" not in out
    return Path("o/config.py").read_text(encoding="utf-8")


@mostly_thorough(
    "lines",
    [
        ("config.data.normalisation = 'z_score'",),
        ("config.search.space.normalisation = space.choice(",),
        ("config.data.clahe = 2",),
        ("config.data.features = ('age', 'weight')", "config.data.impute = 'median'"),
        ("config.data.external = ('C',)", "config.report.unit = 'subject'"),
        ("config.search.space.balanced_sampling = ", "config.search.space.flip_horizontal = "),
        ("config.folds.scheme = 'site'",),
    ],
    kept=4,
)
def test_a_line_works_once_it_is_taken(lines: tuple[str, ...], proposal: str, said):
    code, told = said("plan", taken(proposal, *lines), *SMALL)
    assert code == 0, told


def test_a_pretrained_network_works_once_its_lines_are_taken(
    proposal: str, said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(registry, "_networks", lambda: {"efficientnet_lite0": pretrained.SMALL})
    pretrained.write(tmp_path).rename(tmp_path / "efficientnet_lite0.safetensors")
    names = ("backbone.name", "backbone.weights", "model.architecture", "data.height", "backbone.views")
    lines = [f"config.{name} = " for name in (*names, "augmentation.shift", "search.space.linear.c")]
    lines += ["for name in ('learning_rate'", "    config.search.space[name] = ''"]
    code, told = said("plan", taken(proposal, *lines), "--config.folds.count=3", "--config.search.trials=2")
    assert code == 0, told


def test_what_is_known_is_said(proposal: str):
    found = config(Path("o"))
    assert found.report.positive == "tumour"
    assert found.report.subgroups == ("age(40, 65)",)
    assert "# config.data.normalisation = 'z_score'" in proposal


def test_what_does_not_fit_is_not_offered(tmp_path: Path, said):
    """A subject at two sites, sites without all classes, one image a patient, a column that never varies."""
    rows = [[f"{case}.png", f"P{case}", "AB"[case % 2], "xy"[case % 2], 7] for case in range(24)]
    rows[1][1] = rows[0][1]
    for case in range(24):
        picture(tmp_path / f"in/{case}.png", case)
    table(tmp_path / "in/list.csv", ["file", "patient", "site", "diagnosis", "tesla"], rows)
    assert said("init", "--input=in", "--output=o")[0] == 0
    text = Path("o/config.py").read_text(encoding="utf-8")
    assert "data.external =" not in text
    assert "data.features" not in text
    assert "report.subgroups" not in text
