from __future__ import annotations

import numpy as np
import pytest

from features.panel import DataError
from tests.training.flat_market import N, T, everyone, flat_market
from training.fills import fills
from training.labels import make_labels


def test_an_open_entry_is_judged_by_the_open_alone():
    panels = flat_market(open={(3, 0): 10.995, (4, 0): 10.99}, high={(4, 0): 11.0}, close={(4, 0): 11.0})
    labels = make_labels(panels, everyone(), horizon=2)
    assert not labels.entry_ok[2, 0]
    assert labels.entry_ok[3, 0]


def test_a_close_entry_is_barred_only_when_the_whole_day_was_locked():
    panels = flat_market(low={(3, 0): 11.0}, close={(3, 0): 11.0, (4, 0): 11.0})
    labels = make_labels(panels, everyone(), horizon=2, entry="next_close")
    assert not labels.entry_ok[2, 0]
    assert labels.entry_ok[3, 0]


def test_what_happens_after_the_open_does_not_decide_an_open_fill():
    rng = np.random.default_rng(0)
    panels = flat_market(open={(3, 1): 11.0, (5, 2): 9.0})
    noisy = panels.joined(
        {name: panels[name] * rng.uniform(0.5, 2, (T, N)) for name in ("high", "low", "close", "total_turnover")}
    )
    for side in ("price", "traded", "buyable", "sellable"):
        assert np.array_equal(getattr(fills(panels, "next_open"), side), getattr(fills(noisy, "next_open"), side))


def test_trades_after_a_delisting_are_refused():
    with pytest.raises(DataError, match=r"600001\.XSHG on 2024-01-05"):
        make_labels(flat_market(), everyone(), horizon=1, delisted=np.array([-1, 3, -1, -1]))
