"""The protocols: each is complete, and what one says follows from its studies."""

from __future__ import annotations

import pytest

from nachos_jax.cli import plan_words
from nachos_jax.config.fields import FIELDS
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Trial
from nachos_jax.protocol.design.protocols import PROTOCOLS
from tests import tiny
from tests.protocol.plan_cases import folds_of


def test_every_protocol_that_a_config_can_name_is_known_to_all_who_ask():
    assert tuple(PROTOCOLS) == FIELDS["protocol"].choices == tuple(plan_words.WORDS)


@pytest.mark.parametrize("protocol", PROTOCOLS.values())
def test_what_is_said_of_a_protocol_is_what_its_studies_do(protocol):
    folds = folds_of(4)
    studies = protocol.studies(protocol.outer_folds(folds.numbers(), None), folds, "cases", tiny.run_config())
    deployed = protocol.deployment(folds, "cases", tiny.run_config())
    left_out = [study.left_out(v) for study in studies for v in study.inner]
    assert {len(folds) for folds in left_out} == {2 if protocol.pairs else 1}
    assert {study.keep_last for study in (*studies, deployed)} == {protocol.keep_last}
    assert len({study.title for study in (*studies, deployed)}) == len(studies) + 1
    for study in studies:
        assert protocol.after(study) == ([] if study.outer is None else [study.refit(trial(), 1).left_out])


def trial():
    return Trial(None, 0, {}, "?")


def test_outer_folds_are_sorted_and_must_be_there():
    nested, flat, folds = PROTOCOLS["nested"], PROTOCOLS["flat"], folds_of(4)
    assert nested.outer_folds(folds.numbers(), [2, 0, 2]) == [0, 2]
    for wanted in ([4], []):
        with pytest.raises(UsageError, match="numbered 0 to 3"):
            nested.outer_folds(folds.numbers(), wanted)
    with pytest.raises(UsageError, match="leave the flag out"):
        flat.outer_folds(folds.numbers(), [0])
