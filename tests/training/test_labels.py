from __future__ import annotations

import math

import numpy as np
import pytest

from features.panel import DataError, Panels
from training.labels import fills, make_labels

T, N = 16, 4


def flat_market(price: float = 10.0, **changed: dict[tuple[int, int], float]) -> Panels:
    """Every asset at one price every day, but for the cells that are changed: field={(t, n): value}."""
    values = {name: np.full((T, N), price) for name in ("open", "high", "low", "close", "prev_close")}
    values |= {"limit_up": np.full((T, N), 11.0), "limit_down": np.full((T, N), 9.0)}
    values |= {"volume": np.full((T, N), 1e6), "total_turnover": np.full((T, N), 1e6 * price)}
    for name, cells in changed.items():
        for cell, value in cells.items():
            values[name][cell] = value
    sessions = np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]")[:T]
    return Panels(sessions, np.array([f"60000{n}.XSHG" for n in range(N)]), values)


def everyone() -> np.ndarray:
    return np.ones((T, N), bool)


def test_a_decision_enters_the_next_session_and_leaves_horizon_sessions_later():
    panels = flat_market(open={(3, 0): 10.0, (8, 0): 10.5})
    labels = make_labels(panels, everyone(), horizon=5)
    assert labels.total[2, 0] == pytest.approx(math.log(1.05))
    assert labels.exit[2, 0] == 8
    assert labels.gap == 6
    assert labels.total[3, 0] == 0


def test_the_vwap_entry_pays_turnover_over_volume():
    panels = flat_market(total_turnover={(3, 0): 9.5e6})
    labels = make_labels(panels, everyone(), horizon=2, entry="next_vwap")
    assert labels.total[2, 0] == pytest.approx(math.log(10 / 9.5))


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


def test_a_blocked_exit_waits_for_the_first_session_that_sells():
    panels = flat_market(open={(6, 0): 9.0, (7, 0): 9.0, (8, 0): 9.5}, volume={(5, 0): 0.0})
    labels = make_labels(panels, everyone(), horizon=2)
    assert labels.exit[2, 0] == 8
    assert labels.total[2, 0] == pytest.approx(math.log(0.95))
    assert labels.lost["delayed_exit"] == 2  # decisions of 2 and 3; that of 4 could not be entered


def test_an_exit_blocked_longer_than_allowed_has_no_label_and_is_counted():
    locked = {(t, 0): 9.0 for t in range(5, 9)}
    labels = make_labels(flat_market(open=locked), everyone(), horizon=2, max_exit_delay=3)
    assert math.isnan(labels.value[2, 0])
    assert labels.exit[2, 0] == -1
    assert labels.lost["exit_blocked"] == 1
    assert labels.lost["delayed_exit"] == 3


def test_an_exit_beyond_the_data_has_no_label():
    labels = make_labels(flat_market(), everyone(), horizon=5)
    assert np.isfinite(labels.value[: T - 6]).all()
    assert np.isnan(labels.value[T - 6 :]).all()
    assert labels.lost["no_exit_yet"] == 6 * N


def test_a_delisted_asset_is_worth_its_last_close_less_the_haircut():
    gone = {(t, 0): np.nan for t in range(7, T)}
    panels = flat_market(open=gone, high=gone, low=gone, close=gone | {(6, 0): 8.0}, prev_close=gone, volume=gone)
    labels = make_labels(panels, everyone(), horizon=4, delisted=np.array([6, -1, -1, -1]), delist_haircut=0.25)
    assert labels.total[3, 0] == pytest.approx(math.log(8.0 * 0.75 / 10))
    assert labels.exit[3, 0] == 8
    assert labels.lost["delisted"] == 4  # decisions of 2 to 5; that of 1 still sells on 6


def test_trades_after_a_delisting_are_refused():
    with pytest.raises(DataError, match=r"600001\.XSHG on 2024-01-05"):
        make_labels(flat_market(), everyone(), horizon=1, delisted=np.array([-1, 3, -1, -1]))


def test_an_ex_date_inside_the_label_is_no_loss():
    halved = {(t, 0): 5.0 for t in range(6, T)}
    panels = flat_market(open=halved, high=halved, low=halved, close=halved, prev_close=halved)
    panels = panels.joined({"limit_down": panels["limit_down"] / 2})
    assert np.nanmax(np.abs(make_labels(panels, everyone(), horizon=3).total)) < 1e-12


def test_an_ex_date_during_a_suspension_is_no_loss():
    halved = {(t, 0): 5.0 for t in range(9, T)}
    absent = {(t, 0): np.nan for t in range(6, 9)}
    cells = halved | absent
    panels = flat_market(open=cells, high=cells, low=cells, close=cells, prev_close=halved, volume=absent)
    panels = panels.joined({"limit_down": panels["limit_down"] / 2})
    labels = make_labels(panels, everyone(), horizon=3)
    assert labels.exit[3, 0] == 9
    assert labels.total[3, 0] == pytest.approx(0, abs=1e-12)


def test_excess_over_the_universe_averages_to_nought_and_leaves_outsiders_out():
    rng = np.random.default_rng(1)
    panels = flat_market().joined({"open": rng.uniform(9.5, 10.5, (T, N))})
    universe = everyone()
    universe[:, 3] = False
    labels = make_labels(panels, universe, horizon=2)
    assert np.isnan(labels.value[:, 3]).all()
    assert np.isfinite(labels.total[: T - 3, 3]).all()
    assert np.abs(labels.value[: T - 3, :3].mean(axis=1)).max() < 1e-12


def test_excess_over_a_benchmark_spans_the_same_sessions():
    index = np.linspace(100, 130, T)
    labels = make_labels(flat_market(), everyone(), horizon=2, excess="benchmark", benchmark=index)
    assert labels.value[4, 0] == pytest.approx(-math.log(index[7] / index[5]))


def test_a_session_without_a_benchmark_has_no_label_and_is_counted():
    index = np.full(T, 100.0)
    index[7] = np.nan
    labels = make_labels(flat_market(), everyone(), horizon=2, excess="benchmark", benchmark=index)
    assert labels.lost["no_benchmark"] == 2 * N
    assert np.isnan(labels.value[[4, 6]]).all()


def test_a_missing_benchmark_is_refused():
    with pytest.raises(DataError, match="needs its prices"):
        make_labels(flat_market(), everyone(), horizon=2, excess="benchmark")


def test_a_session_weighs_one_in_all_over_the_horizon():
    labels = make_labels(flat_market(), everyone(), horizon=3)
    inside = labels.weight[3 : T - 7]
    assert inside == pytest.approx(np.full(inside.shape, 1 / 3 / N))
    assert (labels.weight[np.isnan(labels.value)] == 0).all()


def test_the_zscore_target_is_clipped_at_three():
    rng = np.random.default_rng(2)
    panels = flat_market().joined({"open": rng.uniform(9.5, 10.5, (T, N))})
    panels["open"][6, 0] = 10.98
    panels["open"][7, 0] = 3.0
    panels["limit_down"][:] = 1.0
    target = make_labels(panels, everyone(), horizon=1, transform="zscore").target
    assert np.nanmin(target) == -3


def test_the_waterfall_accounts_for_every_row_of_the_universe():
    panels = flat_market(open={(3, 0): 11.0}, volume={(5, 1): 0.0})
    universe = everyone()
    universe[0, 0] = False
    lost = make_labels(panels, universe, horizon=2).lost
    assert list(lost) == [
        "universe",
        "no_row_at_entry",
        "limit_up_at_entry",
        "no_exit_yet",
        "exit_blocked",
        "no_benchmark",
        "delayed_exit",
        "delisted",
        "kept",
    ]
    assert lost["no_row_at_entry"] == lost["limit_up_at_entry"] == 1
    reasons = ("no_row_at_entry", "limit_up_at_entry", "no_exit_yet", "exit_blocked", "no_benchmark")
    assert lost["universe"] - sum(lost[reason] for reason in reasons) == lost["kept"]


def test_more_data_never_changes_a_label_that_was_there():
    rng = np.random.default_rng(3)
    panels = flat_market().joined({"open": rng.uniform(8.9, 11.1, (T, N))})
    whole = make_labels(panels, everyone(), horizon=2)
    part = make_labels(panels.rows(0, 10), everyone()[:10], horizon=2)
    there = np.isfinite(part.total)
    assert there.sum() > 10
    assert np.array_equal(part.total[there], whole.total[:10][there])


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"horizon": 0}, "at least one session"), ({"horizon": 1, "delist_haircut": 1.0}, r"\[0, 1\)")],
)
def test_settings_without_a_meaning_are_refused(settings, message):
    with pytest.raises(DataError, match=message):
        make_labels(flat_market(), everyone(), **settings)
