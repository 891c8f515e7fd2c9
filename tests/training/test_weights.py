from __future__ import annotations

import numpy as np
import pytest

from tests.training.flat_market import N, T, everyone, flat_market
from training.labels import make_labels


def test_a_session_weighs_one_in_all_over_the_horizon():
    labels = make_labels(flat_market(), everyone(), horizon=3)
    inside = labels.weight[3 : T - 7]
    assert inside == pytest.approx(np.full(inside.shape, 1 / 3 / N))
    assert (labels.weight[np.isnan(labels.value)] == 0).all()


def test_an_older_label_counts_half_for_every_half_life():
    plain = make_labels(flat_market(), everyone(), horizon=2)
    aged = make_labels(flat_market(), everyone(), horizon=2, half_life=4.0)
    newest = T - 1 - 3
    for t in range(newest + 1):
        np.testing.assert_allclose(aged.weight[t], plain.weight[t] * 0.5 ** ((newest - t) / 4), rtol=1e-14)
    assert (aged.weight[newest + 1 :] == 0).all()
    earlier = aged.known_before(9)
    np.testing.assert_allclose(earlier.weight[5], plain.known_before(9).weight[5], rtol=1e-14)
    assert (earlier.weight[6:] == 0).all()
