"""Rolls and continuous series against a plain loop over dictionaries."""

from __future__ import annotations

import numpy as np
import pytest

from features.continuous import continuous
from features.rolls import RULES, hold
from tests.features.synthetic_futures import random_chain
from tests.oracle.rolls_by_loop import held_by_loop, series_by_loop

WORLDS = [(p, s, m) for p in ("RB", "IF", "T") for s, m in ((0, 0.0), (1, 0.05), (2, 0.3), (3, 0.8))]


@pytest.mark.parametrize(("product", "seed", "shortage"), WORLDS)
@pytest.mark.parametrize("rule", RULES)
def test_what_is_held_is_what_a_plain_loop_holds(product, seed, shortage, rule):
    chain = random_chain(product, seed=seed, shortage=shortage)
    held = hold(chain, rule).held
    names = np.append(chain.contracts.ids, "")[held]
    assert names.tolist() == held_by_loop(chain, rule)
    assert len(set(names)) > 3


@pytest.mark.parametrize(("product", "seed", "shortage"), WORLDS)
def test_returns_spans_and_ranges_are_those_of_a_plain_loop(product, seed, shortage):
    chain = random_chain(product, seed=seed, shortage=shortage)
    series = continuous(chain, hold(chain), max_gap=3)
    expected = series_by_loop(chain, [*series.contract.tolist(), series.next_contract], max_gap=3)
    for name, found in (("ret", series.ret), ("x", series.range_variance)):
        want = np.array([np.nan if row[name] is None else row[name] for row in expected])
        np.testing.assert_allclose(found, want, rtol=1e-10, atol=1e-16)
    assert series.span.tolist() == [row["span"] for row in expected]
    assert np.isfinite(series.ret).sum() > 10
