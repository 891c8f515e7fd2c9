"""Pairs of two products: levels without splices, labels by the hedge that is held, trades while they are candidates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.continuous import Continuous
from features.futures import listing, read_chain, read_continuous
from features.panel import ConfigError, DataError
from features.store import Store
from tests.futures_market import futures_store
from tests.spread_market import spread_config
from training.evaluate.spread_evidence import PairEvidence
from training.spread_book import PairWalk, SpreadBook
from training.spread_cross import CrossSeries, cross_pairs, narrowed, product_leg
from training.spread_data import SpreadData, gather
from training.spread_judge import foretold, judge_pair, traded
from training.spread_walk import Plan, walk
from training.tasks import spread

MODELS = {
    "ar1": {"kind": "ou", "params": {"hedge": None}},
    "ecm": {"kind": "ecm"},
    "kalman": {"kind": "kalman_hedge", "params": {"warm": 60}},
}
# So lax that the relation that the simulator plants passes, and walks that nothing brings back do not.
LAX = {"level": 0.999, "johansen": False, "half_life": (2.0, 60.0), "every": "month"}
CONFIG = spread_config(
    data={"products": ()},
    pairs={"kind": "cross", "cross": (("FU", "SC"), ("RB", "M"), ("A", "B"))},
    models=MODELS,
    screening=LAX,
    trading={"enter_z": 1.0},
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return futures_store(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def data(store: Store) -> SpreadData:
    return gather(CONFIG, store)


@pytest.fixture(scope="module")
def series(data: SpreadData) -> CrossSeries:
    found = data.series["FU-SC"]
    assert isinstance(found, CrossSeries)
    return found


@pytest.fixture(scope="module")
def book(data: SpreadData) -> SpreadBook:
    return spread.walk(CONFIG, data)


@pytest.fixture(scope="module")
def walked(book: SpreadBook) -> PairWalk:
    return book.walks["FU-SC"]


@pytest.fixture(scope="module")
def evidence(walked: PairWalk, series: CrossSeries) -> PairEvidence:
    return judge_pair(CONFIG, walked, series)


@pytest.fixture(scope="module")
def oil(store: Store) -> Continuous:
    found = read_continuous(store, "SC")
    return found.since(found.sessions[1])  # nothing is held on the first one


def test_a_level_is_the_first_close_and_what_the_contracts_held_returned(store: Store, series: CrossSeries) -> None:
    chain = read_chain(store, "SC")
    place = {name: at for at, name in enumerate(chain.contracts.ids.tolist())}
    row = np.searchsorted(chain.sessions, series.sessions)
    leg, held = series.second, place[str(series.second.contract[0])]
    level = float(series.legs.x[0])
    rolls = 0
    for at in range(1, len(series)):
        close = chain["close"][row[at], held]
        assert leg.close[at] == close
        assert leg.step[at] == pytest.approx(close - chain["close"][row[at - 1], held], abs=1e-9)
        level += float(np.log(close / chain["close"][row[at - 1], held]))
        assert series.legs.x[at] == pytest.approx(level, abs=1e-12)
        following = place[str(leg.contract[at])]
        assert leg.rolled[at] == (following != held)
        rolls += following != held
        held = following
    assert rolls > 10


def test_a_pair_is_what_was_asked_for_of_what_the_store_has(data: SpreadData, store: Store) -> None:
    assert list(data.series) == ["FU-SC", "RB-M"]
    assert data.empty == {}
    assert any(note == "no contracts of A, B: 1 pairs of the config are left out" for note in data.notes)
    one = data.series["FU-SC"]
    assert (one.product, one.name, len(one)) == ("FU", "FU-SC", len(one.legs))
    assert one.legs.fresh is None
    some = CONFIG.model_copy(update={"data": CONFIG.data.model_copy(update={"products": ("RB", "M", "FU")})})
    assert list(gather(some, store).series) == ["RB-M"]
    unknown = CONFIG.model_copy(update={"data": CONFIG.data.model_copy(update={"products": ("XX",)})})
    with pytest.raises(ConfigError, match="product XX"):
        gather(unknown, store)
    nothing = CONFIG.model_copy(update={"pairs": CONFIG.pairs.model_copy(update={"cross": (("A", "B"),)})})
    assert gather(nothing, store).empty == {"A-B": "there are no contracts of A, B"}


def test_levels_and_screenings_stay_what_they_were(store: Store, series: CrossSeries) -> None:
    cut = 333
    until = series.sessions[cut - 1]
    earlier = cross_pairs(CONFIG, store, listing(store), until, lambda line: None).series["FU-SC"]
    assert len(earlier) == cut
    np.testing.assert_array_equal(earlier.legs.y, series.legs.y[:cut])
    np.testing.assert_array_equal(earlier.legs.x, series.legs.x[:cut])
    assert earlier.digest(cut) == series.digest(cut) != series.digest(cut + 1)
    for one, other in ((earlier.first, series.first), (earlier.second, series.second)):
        for name in ("contract", "close", "step", "rolled", "volume", "lost"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name)[:cut])
    told = [series.reason(row) for row in range(cut)]
    assert [earlier.reason(row) for row in range(cut)] == told
    assert len(set(told)) == 2


def test_a_start_cuts_sessions_and_moves_no_level(store: Store, series: CrossSeries) -> None:
    start = series.sessions[100].astype(object)
    later = gather(CONFIG.model_copy(update={"data": CONFIG.data.model_copy(update={"start": start})}), store)
    np.testing.assert_array_equal(later.series["FU-SC"].legs.y, series.legs.y[100:])


def test_what_a_position_earns_is_by_the_hedge_that_it_was_taken_with(series: CrossSeries) -> None:
    rng = np.random.default_rng(2)
    hedge, n = rng.uniform(0.5, 1.5, len(series)), len(series)
    hedge[7] = np.nan
    y, x = np.diff(series.legs.y), np.diff(series.legs.x)
    for h in (1, 5):
        found = series.excess(h, hedge)
        expected = [sum(y[t + k] - hedge[t] * x[t + k] for k in range(h)) for t in range(n - h)]
        np.testing.assert_allclose(found[:-h], expected, atol=1e-12)
        assert np.isnan(found[-h:]).all()
    np.testing.assert_allclose(series.excess(1)[:-1], y - x, atol=1e-12)
    assert (series.carry((1, 5)) == 0).all()
    with pytest.raises(DataError, match="a horizon must be"):
        series.excess(0)


def test_a_return_that_is_lost_leaves_its_horizons_unknown(series: CrossSeries, oil: Continuous) -> None:
    gone = oil.ret.copy()
    gone[50] = np.nan
    assert oil.contract[50] == oil.contract[49]
    leg = product_leg(replace(oil, ret=gone))
    assert (leg.lost[:50].max(), leg.lost[50]) == (0, 1)
    assert leg.step[50] == oil.close[50] - oil.prev_close[50]  # who held it knows what it moved
    one = replace(series, second=leg.between(series.sessions[0], series.sessions[-1]))
    assert one.sessions[0] == oil.sessions[0]
    unknown = np.isnan(one.excess(5)) & ~np.isnan(series.excess(5))
    assert np.flatnonzero(unknown).tolist() == [45, 46, 47, 48, 49]


def test_a_session_without_a_close_has_no_level(oil: Continuous) -> None:
    close, ret, before = oil.close.copy(), oil.ret.copy(), oil.prev_close.copy()
    close[30], ret[30], before[31] = np.nan, np.nan, close[29]
    ret[31] = np.log(close[31] / before[31])
    leg = product_leg(replace(oil, close=close, ret=ret, prev_close=before))
    assert np.isnan(leg.level[30])
    assert leg.lost[-1] == 0
    assert leg.level[31] == pytest.approx(leg.level[29] + ret[31])
    assert leg.step[31] == pytest.approx(close[31] - close[29])


def test_a_series_that_a_vendor_spliced_is_no_leg(oil: Continuous) -> None:
    spliced = replace(oil, contract=np.full(len(oil), "SC88"))
    with pytest.raises(DataError, match="jumps of its rolls"):
        product_leg(spliced)


def test_the_hedge_that_the_simulator_plants_is_found(walked: PairWalk) -> None:
    track = walked.tracks["ar1"]
    assert np.nanmedian(track.hedge) == pytest.approx(0.9, abs=0.08)
    assert np.nanmedian(walked.tracks["ecm"].hedge) == pytest.approx(0.9, abs=0.1)
    assert 3 < np.nanmedian(track.half_life) < 25


def test_no_later_price_changes_what_a_model_said(series: CrossSeries, walked: PairWalk) -> None:
    split, cut = CONFIG.split, 300
    plan = Plan(split.train, split.least, split.test, CONFIG.label.horizons)
    for name, model in CONFIG.models.items():
        again, whole = walk(model.spec(), series.legs.part(0, cut), plan), walked.tracks[name]
        for part in ("change", "z", "hedge"):
            np.testing.assert_array_equal(getattr(again, part), getattr(whole, part)[:cut])


def test_each_model_is_judged_by_its_own_position(
    walked: PairWalk, series: CrossSeries, evidence: PairEvidence
) -> None:
    found = foretold(CONFIG, walked, series)
    assert set(found.own) == {"ecm", "kalman"}
    for name, track in walked.tracks.items():
        np.testing.assert_array_equal(found.outcome_of(name)[:, 1], series.excess(5, track.hedge))
    rows = {row.model: row for row in evidence.scores[5]}
    assert list(rows) == ["ar1", "ecm", "kalman"]
    assert rows["ecm"].ar1 is None
    same = replace(
        walked, tracks={**walked.tracks, "ecm": replace(walked.tracks["ecm"], hedge=walked.tracks["ar1"].hedge)}
    )
    rows = {row.model: row for row in judge_pair(CONFIG, same, series).scores[5]}
    assert rows["ecm"].ar1 is not None


def test_a_pair_is_entered_only_while_it_is_a_candidate(walked: PairWalk, series: CrossSeries) -> None:
    told = series.screens.candidate(series.pair)
    done, why = traded(CONFIG, walked, series)
    assert why == ""
    trades = [one for rule in done for one in rule.trading.trades]
    assert len(trades) > 5
    assert all(told[one.decided] for one in trades)
    assert not told.all()
    pair = done[0].trading.pair
    for one in done[0].trading.trades:
        value = [
            abs(lots) * leg.multiplier * leg.close[one.decided]
            for lots, leg in zip(one.lots, (pair.first, pair.second), strict=True)
        ]
        assert value[1] / value[0] == pytest.approx(walked.tracks["ar1"].hedge[one.decided], rel=0.05)
    never = replace(series, screens=replace(series.screens, rule=replace(series.screens.rule, level=1e-12), _made={}))
    assert all(not rule.trading.trades for rule in traded(CONFIG, walked, never)[0])


def test_a_roll_costs_two_fills_and_its_gap_earns_nothing(walked: PairWalk, series: CrossSeries) -> None:
    quiet = replace(series, first=replace(series.first, rolled=np.zeros(len(series), np.bool_)))
    rolled, still = (traded(CONFIG, walked, one)[0][0].trading for one in (series, quiet))
    assert [one.gross for one in rolled.trades] == [one.gross for one in still.trades]
    assert rolled.costs.sum() > still.costs.sum()


def test_a_model_without_a_mean_is_traded_by_its_forecast(walked: PairWalk, series: CrossSeries) -> None:
    track = walked.tracks["ar1"]
    nothing = np.full(len(series), np.nan)
    blind = replace(track, z=nothing, centre=nothing, sd=nothing, half_life=nothing, change=10 * track.change)
    done = {
        one.model: one.trading
        for one in traded(CONFIG, replace(walked, tracks={"ar1": track, "net": blind}), series)[0]
    }
    assert done["net"].rule.by == "forecast"
    assert done["ar1"].rule.by == "z"
    assert len(done["net"].trades) > 0
    assert {one.reason for one in done["net"].trades} <= {"turned", "time", "open"}


def test_the_evidence_says_when_the_pair_was_a_candidate(evidence: PairEvidence, series: CrossSeries) -> None:
    assert evidence.kind == "cross"
    assert evidence.legs == (str(series.first.contract[-1]), str(series.second.contract[-1]))
    last = evidence.screenings[-1]
    assert [one.name for one in evidence.tests] == [
        f"Engle-Granger, {last.session}",
        "Johansen trace, 5 % at 20.26",
        "half-life, sessions",
    ]
    assert evidence.tests[0].q == last.q
    assert any(
        note.startswith(f"a candidate by {sum(not one.reason for one in evidence.screenings)} of")
        for note in evidence.notes
    )
    spread_now = evidence.spread[np.isfinite(evidence.spread)]
    assert abs(np.median(spread_now)) < 0.03  # the distance from the mean of the time
    assert evidence.mean is not None
    assert np.nanmax(np.abs(evidence.mean)) == 0


def test_the_page_is_told_of_both_products_and_of_what_is_not_known(
    walked: PairWalk, series: CrossSeries, evidence: PairEvidence
) -> None:
    assert evidence.zh == "燃料油 原油"
    assert evidence.now["hedge"] == f"{walked.tracks['ar1'].hedge[-1]:.3f}"
    assert evidence.now["candidate"] == ("no" if series.reason(-1) else "yes")
    assert not any("not known" in note for note in evidence.notes)
    gone = replace(series.second, lost=np.arange(len(series)) // 400)
    notes = judge_pair(CONFIG, walked, replace(series, second=gone)).notes
    assert "1 returns of SC are not known: horizons with one in it are not judged" in notes
    free = CONFIG.model_copy(update={"trading": CONFIG.trading.model_copy(update={"ticks": {"FU": 1.0}})})
    assert judge_pair(free, walked, series).absent["tradings"] == "trading.ticks does not hold SC"
    nameless = replace(series, first=replace(series.first, multiplier=float("nan")))
    assert traded(CONFIG, walked, nameless) == ((), "the multiplier of FU is not known")


def test_a_config_is_narrowed_to_the_pairs_that_were_walked() -> None:
    assert narrowed(CONFIG, ("RB-M", "A-B")).pairs.cross == (("RB", "M"), ("A", "B"))
