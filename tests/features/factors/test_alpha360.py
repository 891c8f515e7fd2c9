"""Alpha360 against what pyqlib itself computed, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest

from features.factors.alpha360 import EXPRESSIONS, alpha360
from tests.features.factors import qlib_answers


@pytest.fixture(scope="module")
def answers():
    return qlib_answers.both("alpha360", alpha360)


def test_names_and_expressions_are_those_of_qlib_in_its_order():
    assert list(EXPRESSIONS.items()) == list(qlib_answers.expressions("alpha360").items())
    assert [f.name for f in alpha360] == [f"alpha360_{name.lower()}" for name in EXPRESSIONS]


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_factor_is_what_qlib_computes(name, answers):
    ours, qlib = answers
    assert np.isfinite(qlib[name]).mean() > 0.3
    np.testing.assert_allclose(ours[name], qlib[name], rtol=1e-5)
