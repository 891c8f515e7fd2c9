"""Alpha158 against what pyqlib itself computed, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest

from features.factors.alpha158 import EXPRESSIONS, alpha158
from tests.features.factors import qlib_answers

# What pyqlib's float32 leaves of a number near 0.
FLOAT32 = {"CORR": 2e-6, "CORD": 2e-5, "WVMA": 2e-6}


@pytest.fixture(scope="module")
def answers():
    return qlib_answers.both("alpha158", alpha158)


def test_names_and_expressions_are_those_of_qlib_in_its_order():
    assert list(EXPRESSIONS.items()) == list(qlib_answers.expressions("alpha158").items())
    assert [f.name for f in alpha158] == [f"alpha158_{name.lower()}" for name in EXPRESSIONS]


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_factor_is_what_qlib_computes(name, answers):
    ours, qlib = answers
    assert np.isfinite(qlib[name]).mean() > 0.3
    np.testing.assert_allclose(ours[name], qlib[name], rtol=1e-5, atol=FLOAT32.get(name[:4], 1e-9))


def test_a_family_holds_one_expression_over_five_windows():
    families = {f.family for f in alpha158}
    assert len(families) == 5 + 4 + 29
    assert [f.name for f in alpha158 if f.family == "alpha158_roc"] == [f"alpha158_roc{n}" for n in (5, 10, 20, 30, 60)]
