"""External cases of every kind of source are read like the cases inside, which alone decide how."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import features, masks, nifti, second, sources
from nachos_jax.data.joined import Joined
from nachos_jax.data.ragged import Ragged
from nachos_jax.data.table import JOINED, Cohort
from nachos_jax.data.vectors import Vectors
from nachos_jax.data.views import Viewed
from nachos_jax.runtime import cores
from nachos_jax.tasks import classification, multilabel, regression, segmentation
from tests.inputs import dense
from tests.masks import pairs, source

Config = Callable[..., DataConfig]


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process that decodes takes a second to start; how several share cases: test_decode_crew."""
    monkeypatch.setattr(cores, "available", lambda: 1)


def both(data: DataConfig, task: Any) -> tuple[Cohort, Cohort]:
    inside = sources.load(dataclasses.replace(data, external_path=""), task)
    return inside, second.load(data, task, inside)


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


HEADER = "case,label,subject,age,f1,f2,f3\n"
HOME = HEADER + "".join(f"c{i},{'xyz'[i % 3]},p{i},{30 + i},{i},{i * i},{-i}\n" for i in range(12))


def vectors(config: Config, tmp_path: Path, away: str, **fields: Any) -> DataConfig:
    place = {"path": written(tmp_path / "home.csv", HOME), "external_path": away}
    return config(source="vectors", features=("f*",), described=("age", "sex"), **place, **fields)


def test_vectors_are_found_by_name_and_need_not_vary(config: Config, tmp_path: Path):
    tsv = "f3\tlabel\tf1\tf2\tsubject\tsex\n5\tx\t7\t1\ta\tF\n6\tz\t7\t2\tb\tM\n"
    inside, there = both(vectors(config, tmp_path, written(tmp_path / "away.tsv", tsv)), classification.TASK)
    np.testing.assert_array_equal(dense(there), [[7, 1, 5], [7, 2, 6]])
    assert there.targets.values.tolist() == [0, 2]
    assert there.table.sites is not None
    assert there.table.sites.tolist() == ["away", "away"]
    assert (list(inside.table.columns), list(there.table.columns)) == (["age"], ["sex"])


@pytest.mark.parametrize(
    ("away", "told"),
    [
        ("label,subject,f1,f2\nx,a,1,2\n", "lacks 1 of the model's 3 features: 'f3'"),
        ("label,subject,f1,f2,f3,f4\nx,a,1,2,3,4\n", "1 feature.*not trained on: 'f4'"),
        ("label,subject,f1,f2,f3\nw,a,1,2,3\n", r"label 'w' is not listed(?s:.)*tell apart 'x', 'y', 'z'"),
        ("label,subject,f1,f2,f3\nX,a,1,2,3\n", r"label 'X' is not listed"),
        ("label,subject,f1,f2,f3\n", "has no case"),
    ],
)
def test_vectors_of_other_columns_or_classes_are_refused(
    away: str, told: str, config: Config, tmp_path: Path
):
    data = vectors(config, tmp_path, written(tmp_path / "away.csv", away))
    with pytest.raises(UsageError, match=told):
        both(data, classification.TASK)


def test_one_value_of_numbers_or_labels_is_enough(config: Config, tmp_path: Path):
    home = HEADER.replace("label", "label,edema,mass") + "".join(
        f"c{i},{i / 2},{i % 2},{i % 3 // 2},p{i},50,{i},{i * i},{-i}\n" for i in range(12)
    )
    away = "label,edema,mass,subject,f1,f2,f3\n4.5,1,,a,1,2,3\n4.5,1,0,b,1,2,4\n"
    place = {"path": written(tmp_path / "home.csv", home), "external_path": written(tmp_path / "b.csv", away)}
    data = config(source="vectors", features=("f*",), **place)
    assert both(data, regression.TASK)[1].targets.values.tolist() == [4.5, 4.5]
    data = dataclasses.replace(data, target_keys=("edema", "mass"))
    found = both(data, multilabel.TASK)[1].targets
    assert found.names == ("edema", "mass")
    np.testing.assert_array_equal(found.values, [[1, np.nan], [1, 0]])


def test_images_of_a_table_and_of_a_folder(config: Config, table: Callable[..., Path], tmp_path: Path):
    home = table("path,label,subject\n" + "".join(f"{i}.png,{'ab'[i % 2]},p{i}\n" for i in range(4)))
    away = written(tmp_path / "away.csv", "path,label,subject,site\n4.png,b,q4,east\n5.png,b,q5,west\n")
    data = config(source="csv", path=str(home), external_path=away)
    inside, there = both(data, classification.TASK)
    assert there.targets.values.tolist() == [1, 1]
    assert there.table.sites is not None
    assert there.table.sites.tolist() == ["east", "west"]
    resized = both(dataclasses.replace(data, height=3, width=3), classification.TASK)[1]
    assert resized.shape == (3, 3, 1)
    for place, rows in (("home", range(4)), ("away", (5,))):
        for row in rows:
            path = tmp_path / place / "ab"[row % 2] / f"q{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((tmp_path / f"{row}.png").read_bytes())
    places = {"path": str(tmp_path / "home"), "external_path": str(tmp_path / "away")}
    found = both(config(source="folder", subject_key=r"q(\d)", **places), classification.TASK)[1]
    assert found.targets.values.tolist() == [1]
    np.testing.assert_array_equal(dense(found), dense(there)[1:])
    assert inside.shape == found.shape
    with pytest.raises(UsageError, match=r"external_path = .*away.csv' is a CSV table, .* in the same form"):
        both(
            config(source="folder", subject_key=r"q(\d)", path=places["path"], external_path=away),
            classification.TASK,
        )


def scans(tmp_path: Path, name: str, steps: list[float], sites: str = "") -> str:
    """A table of volumes of these slice distances."""
    draw, lines = np.random.default_rng(len(name)), ["path,label,subject,site"]
    for row, step in enumerate(steps):
        file = f"{name}{row}.nii.gz"
        values = draw.integers(0, 900, (6, 5, 8)).astype(np.int16)
        nifti.write(tmp_path / file, values, np.diag([-1.0, -1.0, step, 1.0]))
        lines.append(
            f"{file},{'ab'[row % 2]},{name}{row},{(sites or name)[min(row, len(sites or name) - 1)]}"
        )
    return written(tmp_path / f"{name}.csv", "\n".join(lines))


def test_the_spacing_of_volumes_is_that_of_the_cases_inside(config: Config, tmp_path: Path):
    size = {"volume": "whole", "spacing": "mean", "depth": 8, "height": 5, "width": 6}
    home = scans(tmp_path, "home", [1.0, 2.0, 1.0, 2.0])
    away = scans(tmp_path, "away", [4.0, 4.0])
    inside, there = both(config(source="csv", path=home, external_path=away, **size), classification.TASK)
    assert inside.preparation["spacing"] == there.preparation["spacing"] == [1.5, 1.0, 1.0]
    assert any("1.5 x 1 x 1 mm" in note and "2 are cut" in note for note in there.notes)


@pytest.mark.thorough
def test_the_spacing_of_volumes_is_not_that_of_other_sites(config: Config, tmp_path: Path):
    size = {"volume": "whole", "spacing": "mean", "depth": 8, "height": 5, "width": 6}
    mixed = scans(tmp_path, "mixed", [1.0, 2.0, 1.0, 2.0, 4.0, 4.0], sites="hhhhee")
    data = config(source="csv", path=mixed, external=("e",), **size)
    assert sources.load(data, classification.TASK).preparation["spacing"] == [1.5, 1.0, 1.0]
    whole = sources.load(dataclasses.replace(data, external=()), classification.TASK)
    assert whole.preparation["spacing"] != [1.5, 1.0, 1.0]


def test_the_spacing_of_volumes_is_not_that_of_other_sites_in_any_spelling(config: Config, tmp_path: Path):
    size = {"volume": "whole", "spacing": "mean", "depth": 8, "height": 5, "width": 6}
    mixed = scans(tmp_path, "mixed", [1.0, 2.0, 1.0, 2.0, 4.0, 4.0], sites="hhhhEe")
    data = config(source="csv", path=mixed, external=("E",), spellings="join", **size)
    found = sources.load(data, classification.TASK)
    assert found.table.sites.tolist() == [*"hhhhEE"]  # pyrefly: ignore[missing-attribute]
    assert found.preparation["spacing"] == [1.5, 1.0, 1.0]


def masked(rules: masks.Rules, steps: Sequence[tuple[float, ...]], sites: list[str] | None = None) -> Cohort:
    of = [dataclasses.replace(pair, spacing=step) for pair, step in zip(pairs(), steps, strict=False)]
    given = source(of, ("left", "right"))
    columns = dataclasses.replace(given.columns, sites=sites)
    return masks.cohort(dataclasses.replace(given, columns=columns), rules, segmentation.TASK)


def test_axes_and_spacing_of_masks_are_those_of_the_cases_inside():
    home, away = [(2.0, 1.0, 1.0)] * 4, [(1.0, 1.0, 9.0)] * 8
    alone = masked(masks.Rules(spacing="median"), home)
    sites = ["home"] * 4 + ["away"] * 8
    mixed = masked(masks.Rules(spacing="median", external=("away",)), home + away, sites)
    assert mixed.preparation["axes"] == alone.preparation["axes"] == [0, 1, 2]
    assert mixed.preparation["spacing"] == alone.preparation["spacing"] == [2.0, 1.0, 1.0]
    assert masked(masks.Rules(spacing="median"), home + away, sites).preparation["axes"] == [2, 0, 1]
    there = masked(masks.Rules(spacing="median", like=alone.preparation), away)
    assert isinstance(there.store, Ragged)
    assert there.preparation["axes"] == [0, 1, 2]
    np.testing.assert_array_equal(there.store.spacing, [[2.0, 1.0, 1.0]] * 8)


def test_spellings_of_an_external_site_have_no_say_in_axes_and_spacing_of_masks():
    home, away = [(2.0, 1.0, 1.0)] * 4, [(1.0, 1.0, 9.0)] * 8
    alone = masked(masks.Rules(spacing="median"), home)
    sites = ["home"] * 4 + ["Away", "away ", "AWAY", "away"] * 2
    rules = masks.Rules(spacing="median", external=("AWAY",), spellings="join")
    mixed = masked(rules, home + away, sites)
    assert sorted(set(mixed.table.sites.tolist())) == ["AWAY", "home"]  # pyrefly: ignore[missing-attribute]
    assert mixed.preparation["axes"] == alone.preparation["axes"]
    assert mixed.preparation["spacing"] == alone.preparation["spacing"]


def arrays_of_masks(path: Path, label_names: list[str], **changes: Any) -> str:
    draw = np.random.default_rng(3)
    found: dict[str, Any] = {
        "images": draw.integers(0, 255, (6, 8, 8)).astype(np.uint8),
        "masks": np.zeros((6, 8, 8), np.uint8),
    }
    found["masks"][:, 2:5, 2:5], found["masks"][3:, 6:, 6:] = 1, 2
    np.savez(
        path,
        **{**found, **changes},
        subject=[f"{path.stem}{row}" for row in range(6)],
        label_names=label_names,
    )
    return str(path)


def test_masks_may_lack_a_class_and_number_their_labels_alike(config: Config, tmp_path: Path):
    home = arrays_of_masks(tmp_path / "home.npz", ["organ", "lesion"])
    one = np.zeros((6, 8, 8), np.uint8)
    one[:, 1:4, 1:4] = 1
    away = arrays_of_masks(tmp_path / "away.npz", ["background", "organ", "lesion"], masks=one)
    data = config(source="npz", path=home, external_path=away)
    _, there = both(data, segmentation.TASK)
    assert there.targets.names == ("organ", "lesion")
    np.testing.assert_array_equal(there.targets.values, [[9, 0]] * 6)
    turned = arrays_of_masks(tmp_path / "turned.npz", ["lesion", "organ"])
    with pytest.raises(UsageError, match="names the labels of its masks 'lesion', 'organ'.*number and name"):
        both(dataclasses.replace(data, external_path=turned), segmentation.TASK)
    other = arrays_of_masks(tmp_path / "other.npz", ["tissue", "organ", "lesion"])
    _, doubtful = both(dataclasses.replace(data, external_path=other), segmentation.TASK)
    assert there.doubts == ()
    assert "'tissue' may stand for 0 or for 1" in doubtful.doubts[0]
    assert "number and name the labels as inside" in doubtful.doubts[0]
    deep = {"images": np.zeros((6, 4, 8, 8), np.uint8), "masks": np.ones((6, 4, 8, 8), np.uint8)}
    volumes = arrays_of_masks(tmp_path / "volumes.npz", ["organ", "lesion"], **deep)
    with pytest.raises(UsageError, match="3 axes of space, and those that models learn from 2"):
        both(dataclasses.replace(data, external_path=volumes), segmentation.TASK)
    third = one * 3
    more = arrays_of_masks(tmp_path / "more.npz", ["organ", "lesion"], masks=third)
    with pytest.raises(UsageError, match="the mask holds label 3"):
        both(dataclasses.replace(data, external_path=more), segmentation.TASK)


def test_a_column_of_subgroups_need_not_be_outside(config: Config, tmp_path: Path):
    away = written(tmp_path / "away.csv", "label,subject,f1,f2,f3\nx,a,1,2,3\n")
    data = dataclasses.replace(vectors(config, tmp_path, away), columns=("age",))
    inside, there = both(data, classification.TASK)
    assert list(inside.table.columns) == ["age"]
    assert not there.table.columns


def test_parquet_is_read_like_other_tables(config: Config, tmp_path: Path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow reads Parquet tables")
    parquet = pytest.importorskip("pyarrow.parquet")

    columns = {"f1": [1.0], "f2": [2.0], "f3": [3.0], "label": ["y"], "subject": ["a"]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "away.parquet")
    _, there = both(vectors(config, tmp_path, str(tmp_path / "away.parquet")), classification.TASK)
    assert there.targets.values.tolist() == [1]


def test_columns_beside_images_are_found_by_name_and_need_not_vary(
    config: Config, table: Callable[..., Path], tmp_path: Path
):
    home = table(
        "path,label,subject,age,f1\n" + "".join(f"{i}.png,{'ab'[i % 2]},p{i},{i},{i * i}\n" for i in range(4))
    )
    rows = "path,f1,label,subject,age,remark\n4.png,7,b,q4,60,fine\n5.png,8,b,q5,60,\n"
    data = config(
        source="csv", path=str(home), external_path=written(tmp_path / "away.csv", rows), features=("*",)
    )
    inside, there = both(data, classification.TASK)
    assert there.preparation[JOINED] == inside.preparation[JOINED] == ["age", "f1"]
    assert isinstance(there.store, Joined)
    np.testing.assert_array_equal(there.store.vectors.values, [[60, 7], [60, 8]])
    written(tmp_path / "away.csv", rows.replace("f1", "f2"))
    with pytest.raises(UsageError, match="lacks 1 of the model's 2 features: 'f1'"):
        both(data, classification.TASK)


@pytest.mark.parametrize(
    ("weights", "aspect", "told"),
    [
        ("w", "pad", ""),
        ("w", "deep", "prepared otherwise .*: dtype 'uint16' and 'uint8'"),
        ("v", "pad", "embedded by another backbone, layer or weights"),
        ("w", "stretch", "prepared otherwise .*: aspect 'stretch' and 'pad'; run `nachos embed`"),
    ],
)
def test_embedded_vectors_are_of_the_same_weights_and_preparation(
    weights: str, aspect: str, told: str, config: Config, tmp_path: Path
):
    for name, count, of in (("home", 12, ("w", "pad")), ("away", 3, (weights, aspect))):
        facts: dict[str, dict[str, Any]] = {"backbone": {"name": "net", "sha256": of[0], "licence": name}}
        facts["images"] = {"aspect": of[1], "height": 8}
        facts["images"] |= {"aspect": "pad"} if of[1] == "deep" else {}
        facts["images"] |= {"dtype": "uint16" if of[1] == "deep" else "uint8", "others": [name]}
        np.savez(
            tmp_path / f"{name}.npz",
            features=np.arange(2.0 * count).reshape(-1, 2),
            feature_names=["net_0", "net_1"],
            labels=np.arange(count) % 2,
            subject=[f"{name}-{row}" for row in range(count)],
            backbone=json.dumps(facts),
        )
    places = {"path": str(tmp_path / "home.npz"), "external_path": str(tmp_path / "away.npz")}
    data = config(source="vectors", **places)
    if not told:
        assert len(both(data, classification.TASK)[1].table) == 3
        return
    with pytest.raises(UsageError, match=told):
        both(data, classification.TASK)


def test_of_embedded_external_vectors_the_plain_view_is_read(config: Config, tmp_path: Path):
    facts = {"backbone": {"name": "net"}, "images": {}, "views": {"count": 2, "strengths": {"contrast": 0.5}}}
    for name, count in (("home", 12), ("away", 3)):
        plain = np.arange(2.0 * count).reshape(-1, 2)
        np.savez(
            tmp_path / f"{name}.npz",
            features=plain,
            views=np.stack([plain, plain + 1], axis=1),
            feature_names=["net_0", "net_1"],
            labels=np.arange(count) % 2,
            subject=[f"{name}-{row}" for row in range(count)],
            backbone=json.dumps(facts),
        )
    places = {"path": str(tmp_path / "home.npz"), "external_path": str(tmp_path / "away.npz")}
    inside, there = both(config(source="vectors", **places), classification.TASK)
    assert isinstance(inside.store, Viewed)
    assert isinstance(there.store, Vectors)
    np.testing.assert_array_equal(there.store.values, [[0, 1], [2, 3], [4, 5]])
    assert there.preparation["views"] == inside.preparation["views"]


def test_vectors_to_predict_are_of_the_same_weights(tmp_path: Path):
    for name in "wv":
        words = {"weights": f"{name}.pth", "licence": "MIT", "pretrained_on": "photographs"}
        told = json.dumps({"backbone": {"name": "net", "sha256": name, **words}, "images": {}})
        np.savez(tmp_path / f"{name}.npz", features=np.ones((3, 1)), feature_names=["net_0"], backbone=told)
    known = {"features": ["net_0"], "impute": "", "backbone": {"name": "net", "sha256": "w"}}
    assert features.read_inputs([tmp_path / "w.npz"], known)[1].shape == (3, 1)
    with pytest.raises(UsageError, match=r"v\.npz was embedded by another backbone, layer or weights"):
        features.read_inputs([tmp_path / "v.npz"], known)
    others = {name: value for name, value in known.items() if name != "backbone"}
    assert features.read_inputs([tmp_path / "v.npz"], others)[1].shape == (3, 1)


def test_vectors_to_predict_of_files_with_one_name_are_told_apart(tmp_path: Path):
    known = {"features": ["f1"], "impute": ""}
    files = [tmp_path / place / "features.csv" for place in "ab"]
    for file in files:
        file.parent.mkdir()
        file.write_text("f1\n1\n2\n", encoding="utf-8")
    other = Path(written(tmp_path / "other.csv", "f1\n3\n"))
    names, values = features.read_inputs([*files, other], known)
    rows = [name.rpartition(": ")[0] for name in names]
    assert rows == [str(files[0])] * 2 + [str(files[1])] * 2 + ["other.csv"]
    assert len(set(names)) == len(values) == 5
    assert features.read_inputs([other], known)[0] == [names[-1].removeprefix("other.csv: ")]
    again = files[0].parent / ".." / "a" / "features.csv"
    with pytest.raises(UsageError, match="features.csv is given 2 times; give each file once"):
        features.read_inputs([files[0], other, again], known)
