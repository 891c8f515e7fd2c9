"""The simulated market keeps the rules of the real one, and its truth can be recovered.

The file is long because a market has many rules.
"""

import ast
import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numba import njit
from numpy.random import SeedSequence
from polars.testing import assert_frame_equal
from scipy.stats import rankdata

from features.fields import required_fields
from features.limits import boards, first_day_band, first_day_limit_prices, limit_pct, limit_prices
from features.panel import DataError
from features.sources.simulator import NULL, PLANTED, batches, simulate
from features.sources.simulator.indices import rebalance_positions
from features.sources.simulator.kernels import variance_path, walk
from features.sources.simulator.market import simulate_market
from features.sources.simulator.truth import read_truth, write_truth
from features.sources.simulator.world import VARIANCE_SHARES, resolve


@pytest.fixture(scope="module")
def tiny():
    return simulate("tiny", "planted", seed=1)


@pytest.fixture(scope="module")
def wide():
    return simulate("demo", replace(PLANTED, sessions=600), seed=3)


@pytest.fixture(scope="module")
def reform():
    """Many stocks over ChiNext's reform and the opening of the BSE."""
    return simulate("tiny", replace(PLANTED, stocks=300), seed=5)


@pytest.fixture(scope="module")
def quiet():
    return simulate("demo", replace(NULL, sessions=600), seed=3)


def panel(frame, value, key="order_book_id"):
    """Long to wide: (sessions, assets, (T, N))."""
    wide = frame.pivot(on=key, index="date", values=value).sort("date")
    assets = sorted(wide.columns[1:])
    return wide["date"].to_numpy(), assets, wide.select(assets).to_numpy().astype(float)


def signal_of(simulation):
    states = simulation.truth["truth_states"].filter(pl.col("name") == "signal")
    return panel(states, "value", "object")


def adjusted_open(simulation):
    """Log open, adjusted for corporate actions by prev_close, NaN where there is no row."""
    bars = simulation.bars["CS"].sort("order_book_id", "date")
    factor = (pl.col("close").shift(1) / pl.col("prev_close")).fill_null(1.0).cum_prod().over("order_book_id")
    bars = bars.with_columns((pl.col("open").log() + factor.log()).alias("adjusted"))
    return panel(bars, "adjusted")[2]


def rank_ics(simulation, horizon=5):
    """Rank IC of the signal against open-to-open returns, on sessions whose labels do not overlap."""
    z, price = signal_of(simulation)[2], adjusted_open(simulation)
    out = []
    for t in range(30, len(z) - horizon - 1, horizon):
        label = price[t + 1 + horizon] - price[t + 1]
        ok = np.isfinite(label) & np.isfinite(z[t])
        out.append(np.corrcoef(rankdata(label[ok]), rankdata(z[t][ok]))[0, 1])
    return np.array(out)


def standard_error(values):
    return values.std(ddof=1) / np.sqrt(len(values))


# --- what a vendor would deliver --------------------------------------------------------------------------------------


def test_tiny_runs_over_both_dated_switches():
    dates = simulate("tiny").reference["calendar"]["date"]
    assert (len(dates), dates[0], dates[-1]) == (400, dt.date(2020, 6, 1), dt.date(2022, 1, 18))


def test_demo_and_full_end_with_the_default_calendar():
    for size, first, count in (("demo", "2019-10-30", 1500), ("full", "2019-07-01", 1581)):
        world, calendar = resolve(size, "null")
        assert (str(calendar.sessions[0]), len(calendar), world.sessions) == (first, count, count)
        assert str(calendar.sessions[-1]) == "2025-12-31"


@pytest.mark.parametrize("asset_class", ["CS", "INDX"])
def test_bars_fulfil_the_contract(tiny, asset_class):
    bars = tiny.bars[asset_class]
    assert set(required_fields(asset_class)) <= set(bars.columns)
    assert bars.schema["order_book_id"] == pl.String
    assert bars.schema["date"] == pl.Date
    assert bars.select(pl.struct("order_book_id", "date").is_duplicated().any()).item() is False
    assert_frame_equal(bars, bars.sort("date", "order_book_id"))
    assert bars["source"].unique().to_list() == ["simulated"]
    assert bars["date"].is_in(tiny.reference["calendar"]["date"].to_list()).all()
    assert not bars.select(pl.col(pl.Float64).is_nan().any()).sum_horizontal().item()


@pytest.mark.parametrize("asset_class", ["CS", "INDX"])
def test_prices_lie_in_order(wide, asset_class):
    bars = wide.bars[asset_class]
    low, high = pl.min_horizontal("open", "close"), pl.max_horizontal("open", "close")
    assert bars.filter((pl.col("low") > low) | (pl.col("high") < high) | (pl.col("low") <= 0)).is_empty()


def test_turnover_lies_between_volume_at_the_low_and_at_the_high(wide):
    bars = wide.bars["CS"]
    volume = pl.col("volume")
    assert bars.filter(volume * pl.col("low") > pl.col("total_turnover") * (1 + 1e-12)).is_empty()
    assert bars.filter(volume * pl.col("high") < pl.col("total_turnover") * (1 - 1e-12)).is_empty()
    assert bars.filter((volume % 100 != 0) | (volume <= 0)).is_empty()


def test_a_single_price_day_stands_at_a_limit_or_is_a_penny_stock(wide):
    flat = wide.bars["CS"].filter(pl.col("high") == pl.col("low"))
    at_limit = (pl.col("close") == pl.col("limit_up")) | (pl.col("close") == pl.col("limit_down"))
    assert 0 < len(flat) < 0.002 * len(wide.bars["CS"])
    assert flat.filter(~at_limit.fill_null(False) & (pl.col("close") > 2)).is_empty()


def test_closes_at_a_limit_are_as_rare_as_designed(wide):
    bars = wide.bars["CS"]
    share = bars.select(((pl.col("close") == pl.col("limit_up")) | (pl.col("close") == pl.col("limit_down"))).mean())
    assert 0.002 < share.item() < 0.010


def test_every_limit_follows_the_rules_of_its_board_and_day(reform):
    names = reform.reference["instruments"].filter(pl.col("type") == "CS").sort("order_book_id")
    bars = reform.bars["CS"]
    sessions, assets, prev = panel(bars, "prev_close")
    assert names["order_book_id"].to_list() == assets
    assert names["board"].to_list() == boards(assets).tolist()
    listed = names["listed_date"].to_numpy()
    age = np.array([np.busday_count(listed, day) + 1 for day in sessions])
    # Holidays make weekdays overcount sessions, so a listing within the sample is counted on its own calendar.
    inside = listed >= sessions[0]
    age[:, inside] = (np.arange(len(sessions))[:, None] - np.searchsorted(sessions, listed)[None] + 1)[:, inside]
    pct = limit_pct(np.array(names["board"]), sessions, panel(bars, "is_st")[2], age)
    up, down = limit_prices(prev, pct)
    first = first_day_band(np.array(names["board"]), sessions, age)
    first_up, first_down = first_day_limit_prices(prev)
    up, down = np.where(first, first_up, up), np.where(first, first_down, down)
    shown_up, shown_down = panel(bars, "limit_up")[2], panel(bars, "limit_down")[2]
    row, no_limit = np.isfinite(prev), np.isnan(shown_up)
    np.testing.assert_array_equal(no_limit, np.isnan(shown_down))
    np.testing.assert_array_equal(up[row & ~no_limit], shown_up[row & ~no_limit])
    np.testing.assert_array_equal(down[row & ~no_limit], shown_down[row & ~no_limit])
    # Beyond new listings only the first session of a delisting period is free: 15 sessions, that one included.
    last = np.array([np.flatnonzero(r)[-1] for r in row.T])
    free = row & no_limit & np.isfinite(pct)
    assert all(last[n] - t == 14 for t, n in np.argwhere(free))
    assert (first & row).any()
    assert free.any()
    for board in ("chinext", "star", "bse"):
        assert (no_limit & row & (np.array(names["board"]) == board)).any()


def test_no_price_leaves_its_band(wide):
    bars = wide.bars["CS"].filter(pl.col("limit_up").is_not_null())
    assert bars.filter((pl.col("high") > pl.col("limit_up")) | (pl.col("low") < pl.col("limit_down"))).is_empty()


def test_trades_are_counted_from_the_day_the_vendor_counts_them(tiny):
    bars = tiny.bars["CS"]
    start = dt.date(2021, 6, 25)
    assert bars.filter(pl.col("date") < start)["num_trades"].null_count() == len(bars.filter(pl.col("date") < start))
    assert bars.filter(pl.col("date") >= start)["num_trades"].null_count() == 0
    assert (bars["num_trades"].drop_nulls() >= 1).all()


# --- lives of stocks --------------------------------------------------------------------------------------------------


def test_the_reference_price_is_the_last_close_but_on_ex_dates(wide):
    events = wide.truth["truth_events"].rename({"object": "order_book_id"})
    cash, bonus = (
        events.filter(pl.col("event") == e).select("date", "order_book_id", pl.col("value").alias(e))
        for e in ("cash_dividend", "bonus")
    )
    bars = wide.bars["CS"].join(cash, on=["date", "order_book_id"], how="left")
    bars = bars.join(bonus, on=["date", "order_book_id"], how="left").fill_null(0.0).sort("order_book_id", "date")
    old = pl.col("close").shift(1).over("order_book_id")
    exact = (old - pl.col("cash_dividend")) / (1 + pl.col("bonus"))
    bars = bars.with_columns(old.alias("old"), (pl.col("prev_close") - exact).abs().alias("error"))
    plain = bars.filter((pl.col("cash_dividend") == 0) & (pl.col("bonus") == 0) & pl.col("old").is_not_null())
    assert plain["error"].max() == 0.0
    ex = bars.filter((pl.col("cash_dividend") > 0) | (pl.col("bonus") > 0))
    assert len(ex) > 200
    assert ex["error"].max() <= 0.005 + 1e-9
    assert (ex["bonus"] > 0).any()
    assert bars.filter(pl.col("prev_close") != pl.col("old")).height > 200


def test_cash_goes_ex_from_may_to_july_unless_the_stock_is_suspended(wide):
    ex = wide.truth["truth_events"].filter(pl.col("event") == "cash_dividend")
    late = ex.filter(~pl.col("date").dt.month().is_in([5, 6, 7]))
    bars = wide.bars["CS"].with_columns(pl.col("date").shift(1).over("order_book_id").alias("before"))
    gap = late.join(bars, left_on=["date", "object"], right_on=["date", "order_book_id"])
    assert (gap["before"].dt.month() <= 7).all()
    assert len(late) < 0.1 * len(ex)


def test_rows_exist_from_listing_to_delisting_only(wide):
    span = (
        wide.bars["CS"].group_by("order_book_id").agg(pl.col("date").min().alias("a"), pl.col("date").max().alias("b"))
    )
    named = wide.reference["instruments"].join(span, on="order_book_id")
    start = wide.reference["calendar"]["date"][0]
    new = named.filter(pl.col("listed_date") >= start)
    assert (new["a"] == new["listed_date"]).all()
    assert named.filter(pl.col("b") >= pl.col("de_listed_date")).is_empty()
    assert len(new) > 10
    assert named["de_listed_date"].drop_nulls().len() > 0


def test_the_boards_have_their_shares_and_no_stock_lists_before_its_board(wide):
    names = wide.reference["instruments"].filter(pl.col("type") == "CS")
    counts = dict(names.group_by("board").len().iter_rows())
    assert counts == {"main": 180, "chinext": 60, "star": 45, "bse": 15}
    opened = names.group_by("board").agg(pl.col("listed_date").min())
    days = dict(opened.iter_rows())
    assert days["star"] >= dt.date(2019, 7, 22)
    assert days["bse"] >= dt.date(2021, 11, 15)


def test_a_suspended_stock_has_no_rows_and_comes_back_within_its_band(wide):
    stops = wide.truth["truth_events"].filter(pl.col("event") == "suspension")
    assert len(stops) > 100
    sessions = wide.reference["calendar"]["date"].to_numpy()
    have = set(wide.bars["CS"].select("order_book_id", "date").iter_rows())
    for day, code, _, length in stops.iter_rows():
        at = np.searchsorted(sessions, np.datetime64(day))
        missing = sessions[at : at + int(length)].astype(object)
        assert not any((code, d) in have for d in missing)


def test_a_stock_that_opens_locked_up_goes_on_rising(wide):
    bars = wide.bars["CS"].sort("order_book_id", "date")
    bars = bars.with_columns((pl.col("open") / pl.col("prev_close") - 1).shift(-1).over("order_book_id").alias("next"))
    locked = bars.filter(pl.col("low") == pl.col("limit_up"))["next"].drop_nulls()
    assert len(locked) >= 10
    assert locked.mean() > 0.01


def test_locked_days_trade_little(wide):
    bars = wide.bars["CS"].with_columns(pl.col("total_turnover").median().over("order_book_id").alias("usual"))
    locked = bars.filter(pl.col("low") == pl.col("limit_up"))
    assert (locked["total_turnover"] / locked["usual"]).median() < 0.5


# --- the planted truth ------------------------------------------------------------------------------------------------


def test_the_range_of_a_bridged_session_has_the_variance_it_was_drawn_from():
    rng, n, variance = np.random.default_rng(5), 200_000, 0.02**2
    steps = np.full(17, variance / 16)
    steps[0] = 0.0

    @njit
    def ranges(normals, bridge):
        out, path = np.empty(len(normals)), np.empty(17)
        for k in range(len(normals)):
            path[0] = 0.0
            high, low = walk(path, normals[k] * np.sqrt(steps), steps, bridge[k])
            out[k] = high - low
        return out

    drawn = ranges(rng.standard_normal((n, 17)), rng.standard_exponential((n, 16, 2)))
    assert np.mean(drawn**2) / (4 * np.log(2)) / variance == pytest.approx(1.0, abs=0.01)
    plain = ranges(rng.standard_normal((n, 17)), np.zeros((n, 16, 2)))
    assert np.mean(plain**2) / (4 * np.log(2)) / variance == pytest.approx(0.72, abs=0.01)


def test_the_market_s_variance_reverts_to_theta_and_falls_with_rising_prices():
    shocks = np.random.default_rng(2).standard_normal((150_000, 17, 2))
    steps = VARIANCE_SHARES / 242
    path = variance_path(shocks, steps, np.full(150_000, NULL.theta), NULL.kappa, NULL.vol_of_vol, NULL.leverage)
    assert path.mean() == pytest.approx(NULL.theta, rel=0.08)
    assert path.std() == pytest.approx(NULL.vol_of_vol * np.sqrt(NULL.theta / 2 / NULL.kappa), rel=0.1)
    market = simulate_market(NULL, 20_000, SeedSequence(2))
    daily = market.moves.sum(axis=1)
    assert daily.var() * 242 == pytest.approx(market.variance.mean(), rel=0.05)
    assert np.corrcoef(daily[:-1], np.diff(market.variance[:, 0]))[0, 1] == pytest.approx(NULL.leverage, abs=0.1)
    assert not market.stress.any()
    assert not market.jumps.any()


def test_the_regime_and_the_jumps_come_as_often_as_they_should():
    market = simulate_market(PLANTED, 100_000, SeedSequence(4))
    assert market.stress.mean() == pytest.approx(25 / 275, rel=0.15)
    assert (market.jumps != 0).mean() * 242 == pytest.approx(2, rel=0.15)
    starts = np.flatnonzero(np.diff(market.stress.astype(int)) == 1) + 1
    starts = starts[starts > 30]
    fresh = np.array([s for s in starts if not market.stress[s - 8 : s].any()])
    assert (market.precursor[fresh - 1] == 1).mean() == pytest.approx(0.7, abs=0.07)
    assert (market.precursor[fresh - 6] == 0).all()


def test_the_planted_signal_predicts_returns_with_its_ic(wide):
    ics = rank_ics(wide)
    assert 0.7 * 0.05 < ics.mean() < 1.5 * 0.05
    assert ics.mean() / standard_error(ics) > 3


def test_the_signal_of_the_null_world_predicts_nothing(quiet):
    ics = rank_ics(quiet)
    assert abs(ics.mean()) < 3 * standard_error(ics)


def test_a_signal_that_is_switched_off_stops_predicting():
    off = dt.date(2023, 12, 29)
    ended = simulate("demo", replace(PLANTED, target_ic=0.15, sessions=900, stocks=120, alpha_off_after=off), seed=9)
    sessions = signal_of(ended)[0][30 : 900 - 6 : 5]
    ics = rank_ics(ended)
    before, after = ics[sessions < np.datetime64(off)], ics[sessions > np.datetime64(off)]
    assert before.mean() > 0.09
    assert abs(after.mean()) < 3 * standard_error(after)


def test_the_strength_of_the_signal_halves_over_its_half_life():
    world, calendar = resolve("tiny", replace(PLANTED, alpha_decay_date=dt.date(2021, 1, 4), alpha_half_life=20))
    strength = world.strength(calendar.sessions)
    at = calendar.position("2021-01-04")
    assert strength[at - 1] == strength[0] == pytest.approx(0.05 / 1.8314, rel=1e-4)
    assert strength[at + 40] == pytest.approx(strength[0] / 4)


def test_the_size_of_trades_shows_the_signal_and_shares_per_trade_show_it_less(wide):
    bars = wide.bars["CS"].filter(pl.col("num_trades").is_not_null()).sort("order_book_id", "date")
    z = wide.truth["truth_states"].filter(pl.col("name") == "signal")
    bars = bars.join(z, left_on=["date", "order_book_id"], right_on=["date", "object"])
    mean20 = pl.col("total_turnover").rolling_mean(20).over("order_book_id").log().alias("usual")
    bars = bars.with_columns(mean20).drop_nulls("usual")
    sizes, shares = [], []
    for _, day in list(bars.group_by("date", maintain_order=True))[::10]:
        size = np.log((day["total_turnover"] / day["num_trades"]).to_numpy())
        x = np.column_stack([np.ones(len(day)), np.log(day["close"].to_numpy()), day["usual"].to_numpy()])
        residual = size - x @ np.linalg.lstsq(x, size, rcond=None)[0]
        signal = rankdata(day["value"].to_numpy())
        sizes.append(np.corrcoef(rankdata(residual), signal)[0, 1])
        shares.append(np.corrcoef(rankdata((day["volume"] / day["num_trades"]).to_numpy()), signal)[0, 1])
    assert np.mean(sizes) > 0.8
    assert np.mean(shares) < np.mean(sizes) - 0.2


def test_stress_makes_the_market_wilder():
    market = simulate_market(PLANTED, 60_000, SeedSequence(6))
    assert market.variance[market.stress].mean() > 1.2 * market.variance[~market.stress].mean()
    daily = market.moves.sum(axis=1)
    assert daily[market.stress].std() > 1.1 * daily[~market.stress].std()


def test_stress_makes_the_market_busier():
    simulated = simulate("demo", replace(PLANTED, stocks=40), seed=6)
    stress = simulated.truth["truth_states"].filter(pl.col("name") == "stress")
    broad = simulated.bars["INDX"].filter(pl.col("order_book_id") == "000300.XSHG").join(stress, on="date")
    calm, wild = (broad.filter(pl.col("value") == s)["total_turnover"].log() for s in (0.0, 1.0))
    assert len(wild) > 30
    assert wild.mean() > calm.mean() + 0.3


# --- indices ----------------------------------------------------------------------------------------------------------


def test_an_index_recomputed_from_the_stocks_rows_is_the_stored_one(wide):
    sessions, assets, close = panel(wide.bars["CS"], "close")
    last = pl.DataFrame(close, schema=assets).fill_nan(None).select(pl.all().forward_fill()).to_numpy()
    cash = events_panel(wide, "cash_dividend", sessions, assets)
    bonus = events_panel(wide, "bonus", sessions, assets)
    for code in ("000016.XSHG", "000300.XSHG", "000852.XSHG"):
        shares = np.zeros(close.shape)
        for _, asset, start, end, count in wide.truth["truth_members"].filter(pl.col("index") == code).iter_rows():
            inside = (sessions >= np.datetime64(start)) & (sessions <= np.datetime64(end))
            shares[inside, assets.index(asset)] = count
        level = wide.bars["INDX"].filter(pl.col("order_book_id") == code)["close"].to_numpy()
        total = states_of(wide, code, "total_return")
        for t in range(1, len(sessions)):
            held = shares[t] > 0
            old = shares[t, held] / (1 + bonus[t, held])
            base = old @ last[t - 1, held]
            worth = shares[t, held] @ last[t, held]
            assert level[t] / level[t - 1] == pytest.approx(worth / base, rel=1e-6)
            paid = old @ cash[t, held]
            assert total[t] / total[t - 1] == pytest.approx((worth + paid) / base, rel=1e-6)
    assert cash.sum() > 0


def events_panel(simulation, event, sessions, assets):
    out = np.zeros((len(sessions), len(assets)))
    for day, code, _, value in simulation.truth["truth_events"].filter(pl.col("event") == event).iter_rows():
        out[np.searchsorted(sessions, np.datetime64(day)), assets.index(code)] = value
    return out


def states_of(simulation, code, name):
    states = simulation.truth["truth_states"]
    return states.filter((pl.col("object") == code) & (pl.col("name") == name)).sort("date")["value"].to_numpy()


def test_dividend_points_are_what_the_price_index_loses_to_the_total_return_index(wide):
    points = wide.reference["dividends_index"].filter(pl.col("order_book_id") == "000300.XSHG")
    assert (points["announcement_date"] < points["date"]).all()
    bars = wide.bars["INDX"].filter(pl.col("order_book_id") == "000300.XSHG")
    total = states_of(wide, "000300.XSHG", "total_return")
    excess = np.diff(np.log(total)) - np.log(bars["close"].to_numpy()[1:] / bars["prev_close"].to_numpy()[1:])
    frame = pl.DataFrame({"date": bars["date"][1:], "excess": excess * bars["prev_close"].to_numpy()[1:]})
    both = frame.join(points, on="date")
    assert len(both) == len(points) > 50
    np.testing.assert_allclose(both["excess"], both["points"], rtol=0.1)


def test_new_members_count_after_the_second_fridays_of_june_and_december():
    sessions = resolve("full", "null")[1].sessions
    changed = [str(sessions[t]) for t in rebalance_positions(sessions)]
    assert changed[:3] == ["2019-12-16", "2020-06-15", "2020-12-14"]
    assert len(changed) == 13


def test_few_members_of_the_large_index_leave_at_a_time(wide):
    members = wide.truth["truth_members"].filter(pl.col("index") == "000016.XSHG")
    held = members.group_by("order_book_id").agg(pl.col("end").max())
    leaving = held.filter(pl.col("end") < wide.reference["calendar"]["date"][-1])["end"].value_counts()
    assert leaving["count"].max() <= 3 + 1


# --- sameness ---------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_market_and_another_gives_another(tiny):
    again, other = simulate("tiny", "planted", seed=1), simulate("tiny", "planted", seed=2)
    for mine, theirs in ((tiny.bars, again.bars), (tiny.reference, again.reference), (tiny.truth, again.truth)):
        for name, frame in mine.items():
            assert_frame_equal(frame, theirs[name])
    assert not tiny.bars["CS"].equals(other.bars["CS"])


def test_more_stocks_leave_the_others_as_they_were(tiny):
    more = simulate("tiny", replace(PLANTED, stocks=75), seed=1)
    codes = tiny.bars["CS"]["order_book_id"].unique().to_list()
    assert_frame_equal(more.bars["CS"].filter(pl.col("order_book_id").is_in(codes)), tiny.bars["CS"])
    assert more.bars["CS"]["order_book_id"].n_unique() == 75


# --- doors ------------------------------------------------------------------------------------------------------------


def test_the_ingest_door_gets_bars_and_reference_tables_but_no_truth(tiny):
    given = {batch.table: batch for batch in batches(tiny)}
    bonds = {"rates", "bonds", "bond_prices"}
    reference = {"instruments", "calendar", "dividends_index", "simulation", *bonds}
    tables = {"CS", "INDX", "Future", *(f"reference/{name}" for name in reference)}
    assert set(given) == tables
    assert given["CS"].frame.equals(tiny.bars["CS"])
    assert given["CS"].origin == "simulated: tiny, world planted, seed 1"


def test_truth_is_read_back_from_its_own_folder(tiny, tmp_path):
    assert write_truth(tiny, tmp_path) == tmp_path / "truth"
    for name, frame in read_truth(tmp_path).items():
        assert_frame_equal(frame, tiny.truth[name])
    with pytest.raises(DataError, match="truth"):
        read_truth(tmp_path / "elsewhere")


def test_nothing_but_the_tests_imports_the_truth():
    root = Path(__file__).parents[3]
    for room in ("features", "models", "training", "serving"):
        for path in (root / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    names = [f"{node.module}.{a.name}" for a in node.names]
                assert not any("simulator.truth" in name for name in names), path


@pytest.mark.parametrize(
    ("size", "world", "match"),
    [("huge", "null", "huge"), ("tiny", "dream", "dream"), ("tiny", replace(NULL, sessions=5000), "5000")],
)
def test_a_size_or_a_world_that_is_not_known_is_refused(size, world, match):
    with pytest.raises(DataError, match=match):
        simulate(size, world)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(DataError, match="stocks"):
        replace(NULL, stocks=1)
    with pytest.raises(DataError, match="persistence"):
        replace(NULL, persistence=1.0)
    with pytest.raises(DataError, match="garch"):
        replace(NULL, garch_beta=0.95)
