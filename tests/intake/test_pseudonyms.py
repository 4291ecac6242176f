"""Pseudonyms: the keyed hash of RFC 2104, one for all spellings of an id, none for a missing one."""

from __future__ import annotations

import hashlib
import hmac

from nachos_jax.intake.pseudonyms import DIGITS, replaced

KEY = b"sixteen bytes or"


def test_a_pseudonym_is_the_keyed_hash_of_the_id():
    expected = hmac.new(KEY, b"p7", hashlib.sha256).hexdigest()[:DIGITS]
    assert replaced(["p7"], KEY) == [expected]
    assert replaced(["p7"], KEY[::-1]) != [expected]


def test_all_spellings_of_an_id_give_one_pseudonym_and_other_ids_others():
    one = replaced(["P7", " p7", "'P7'", "P07", "\N{FULLWIDTH LATIN CAPITAL LETTER P}7"], KEY)
    assert len(set(one)) == 1
    assert not set(one) & set(replaced(["P8", "P70", "7"], KEY))


def test_a_missing_id_stays_missing():
    assert replaced(["", "n/a", "NaN"], KEY) == ["", "", ""]
