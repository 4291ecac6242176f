"""The gallery is shown only as far as the records vouch for it."""

from __future__ import annotations

import hashlib
import json

import pytest

from nachos_jax.records.store import dump
from nachos_jax.report.page import page
from nachos_jax.report.page.gallery import read
from nachos_jax.report.reading import evidence as records
from tests.tiers import mostly_thorough

PNG = b"\x89PNG\r\n\x1a\n and the rest of a picture"

pytestmark = pytest.mark.usefixtures("figures_unpainted")


@pytest.fixture
def directory(make_run):
    """A run with two pictures in its gallery, of outer folds 0 and 3."""
    run = make_run()
    found = records.read(run)
    items = []
    for number, fold in enumerate((0, 3)):
        test = found.tests[fold]
        refit = run.fit(test.fit)
        assert refit is not None
        (run.path / "explanations").mkdir(exist_ok=True)
        (run.path / f"explanations/{number}.png").write_bytes(PNG + bytes([number]))
        items.append(
            {
                **{"case": test.cases[0], "outer_fold": fold, "fit": test.fit, "label": "normal"},
                **{"predicted": "covid19", "probability": 0.9, "file": f"{number}.png"},
                "weights_sha256": refit.payload["weights.safetensors"],
                "sha256": hashlib.sha256(PNG + bytes([number])).hexdigest(),
            }
        )
    index = {"tested": list(found.tests), "items": items, "note": "A note.", "errors": 7, "predictions": 240}
    (run.path / "explanations/gallery.json").write_bytes(dump(index))
    return run


def gallery(directory):
    return read(directory, records.read(directory))


def change(directory, place, value):
    path = directory.path / "explanations/gallery.json"
    index = json.loads(path.read_text())
    index["items"][0][place] = value
    path.write_bytes(dump(index))


def test_pictures_are_embedded_with_their_words(directory, figures_unpainted):
    found = gallery(directory)
    assert found is not None
    assert [picture["told"]["outer_fold"] for picture in found["pictures"]] == [0, 3]
    html = page.write(directory.path).read_text(encoding="utf-8")
    assert html.count('<img src="data:image/png;base64,') == 2
    assert "7 of 240 predictions are wrong; these 2 are the most confident ones" in html
    assert "A note." in html


@mostly_thorough(
    ("place", "value"),
    [("sha256", "0" * 64), ("weights_sha256", "0" * 64), ("fit", "another"), ("case", "no such case")],
    kept=("sha256", "fit"),
)
def test_a_picture_that_the_records_do_not_vouch_for_is_left_out(directory, place, value):
    change(directory, place, value)
    found = gallery(directory)
    assert found is not None
    assert [picture["told"]["outer_fold"] for picture in found["pictures"]] == [3]


@mostly_thorough("place", ["label", "predicted", "probability"], kept=1)
def test_the_words_of_a_picture_are_those_of_the_records(directory, place):
    right = gallery(directory)
    change(directory, place, "edited")
    assert gallery(directory) == right


def test_a_path_out_of_the_folder_is_not_followed(directory, tmp_path):
    (tmp_path / "secret.png").write_bytes(PNG)
    change(directory, "file", "../../secret.png")
    assert gallery(directory) is None


def test_a_gallery_of_other_tests_is_not_shown(directory):
    path = directory.path / "explanations/gallery.json"
    path.write_bytes(dump({**json.loads(path.read_text()), "tested": [0, 1]}))
    assert gallery(directory) is None


@pytest.mark.parametrize("content", [b"{", b'{"tested": 3}'])
def test_a_torn_index_is_as_good_as_none(directory, content):
    (directory.path / "explanations/gallery.json").write_bytes(content)
    assert gallery(directory) is None


@pytest.mark.thorough
def test_a_page_is_written_beside_a_torn_index(directory, figures_unpainted):
    (directory.path / "explanations/gallery.json").write_bytes(b"{")
    page.write(directory.path)


def test_no_gallery_at_all(make_run):
    assert gallery(make_run()) is None


def test_a_report_without_a_gallery_shows_none(directory):
    directory.write_settings({**directory.settings(), "gallery": 0})
    assert gallery(directory) is None
    directory.write_settings({**directory.settings(), "gallery": 1})
    found = gallery(directory)
    assert found is not None
    assert len(found["pictures"]) == 1
