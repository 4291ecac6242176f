"""8-bit images with masks beside images of more bits: refused where one scale for all may be chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import sources
from nachos_jax.data.table import Cohort
from nachos_jax.protocol.run import mask_scales, outside
from nachos_jax.protocol.run.configure import checked
from nachos_jax.protocol.run.opening import open_run
from nachos_jax.tasks.segmentation import TASK
from tests import masks
from tests.data.conftest import config  # noqa: F401
from tests.data.test_mask_files import SUBJECTS, pictures

NORMALISATION: dict[str, Any] = {"task__segmentation__normalisation": "training"}
SEARCHED: dict[str, Any] = {"search__space__segmentation__normalisation": 'choice("z_score", "none")'}


def cohort(deep: Sequence[int]) -> Cohort:
    """The cases of tests/masks.py, some of them stored in 16 bits with the values that they had."""
    given = masks.pairs()
    for row in deep:
        given[row] = replace(given[row], image=given[row].image.astype(np.int16))
    return masks.cohort(of=given)


def check(of: Cohort, begun: bool = False, **changes: Any) -> list[str]:
    return mask_scales.check(checked(masks.config(**changes)), of, begun)


@pytest.mark.parametrize("changes", [NORMALISATION, SEARCHED])
def test_a_scale_for_all_refuses_cases_of_other_bits_by_name(changes: dict[str, Any], tmp_path: Path):
    mixed = cohort(range(2, masks.CASES))
    with pytest.raises(
        UsageError, match=r"2 of 12 cases have images of 8 bits \('case-0', 'case-1'\)"
    ) as caught:
        open_run(checked(masks.config(**changes)), str(tmp_path / "run"), "evaluate", mixed)
    assert "Convert all images to one bit depth" in str(caught.value)
    assert "'z_score', 'percentiles', 'min_max', 'clipped'" in str(caught.value)
    (told,) = check(mixed, begun=True, **changes)
    assert "on other scales" in told


def test_a_scale_of_each_case_takes_them(tmp_path: Path):
    assert check(cohort([3])) == []
    assert check(cohort([3]), search__space__segmentation__normalisation='choice("z_score", "clipped")') == []
    for alike in ((), range(masks.CASES)):
        assert cohort(alike).eight_bit == frozenset()
        assert check(cohort(alike), **NORMALISATION) == []


def test_whole_numbers_of_32_bits_are_not_taken_for_8(tmp_path: Path):
    """Each is stored as narrowly as its own values allow, which says nothing of their scale."""
    given = [replace(pair, image=pair.image.astype(np.int32)) for pair in masks.pairs()]
    given[4].image[0] = 900
    found = masks.cohort(of=given)
    assert found.store.dtype == np.uint16
    assert check(found, **NORMALISATION) == []


def test_external_cases_count_too():
    inside, there = cohort(range(masks.CASES)), cohort([3])
    beside = outside.beside(
        inside, replace(there, table=replace(there.table, sites=np.full(12, "b"), waived=True))
    )
    with pytest.raises(UsageError, match="11 of 24 cases have images of 8 bits"):
        check(beside, **NORMALISATION)
    assert check(beside) == []


def test_what_the_cache_holds_is_known_too(config: Any, tmp_path: Path):  # noqa: F811
    pictures(tmp_path)
    path = next((tmp_path / "images").glob("case02_a.png"))
    Image.fromarray(np.asarray(Image.open(path)).astype(np.uint16) * 256).save(path)
    data: DataConfig = config(source="folder", path=str(tmp_path), subject_key=SUBJECTS)
    for _ in range(2):
        found = sources.load(data, TASK)
        assert len(found.eight_bit) == 7
        assert "case02_a" not in found.eight_bit
        with pytest.raises(UsageError, match="7 of 8 cases"):
            check(found, **NORMALISATION)


def test_parts_of_an_npz_file_count_as_they_are_stored(config: Any, tmp_path: Path):  # noqa: F811
    draw = np.random.default_rng(0).integers(0, 256, (4, 8, 8), np.uint8)
    grid = np.tile(np.pad(np.ones((3, 3), np.uint8), (1, 4)), (4, 1, 1))
    held = {"train_masks": grid, "test_masks": grid, "train_images": draw}
    for dtype, few in ((np.uint16, 4), (np.int64, 0)):
        path = tmp_path / f"{dtype.__name__}.npz"
        np.savez(path, **held, test_images=draw.astype(dtype))
        found = sources.load(config(path=str(path), subject="one_case_per_subject"), TASK)
        assert (len(found.eight_bit), found.store.dtype) == (few, np.uint16 if few else np.uint8)
