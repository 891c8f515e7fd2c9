"""Pairs out of a store and the book of their models: nothing looks ahead, and carried on is at once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.futures import read_chain
from features.panel import ConfigError, DataError
from features.roles import roles
from features.rolls import hold
from features.store import Store
from tests.futures_market import futures, futures_store
from tests.simulated_market import cut_after
from tests.spread_market import BASIS, spread_config
from training.manifest import Manifest
from training.spread_book import SpreadBook
from training.spread_config import SpreadConfig
from training.spread_data import gather, lives
from training.spread_judge import UNCHANGED, foretold, held_out, judge_pair, traded
from training.tasks import spread

KINDS = {"calendar": spread_config(), "basis": spread_config(**BASIS)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return futures_store(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def middle(store: Store) -> np.datetime64:
    days = np.unique(store.scan("bars/Future").select("date").collect()["date"].to_numpy()).astype("datetime64[D]")
    return days[330]


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory, middle: np.datetime64) -> Store:
    return futures_store(tmp_path_factory.mktemp("earlier"), cut_after(futures(), middle))


@pytest.fixture(scope="module", params=list(KINDS))
def config(request: pytest.FixtureRequest) -> SpreadConfig:
    return KINDS[request.param]


@pytest.fixture(scope="module")
def book(config: SpreadConfig, store: Store) -> SpreadBook:
    return spread.walk(config, spread.prepare(config, store))


def saved(book: SpreadBook, folder: Path) -> SpreadBook:
    config = book.config
    manifest = Manifest(config.task, "Future", {}, config.dump(), "spread", config.hash, {}, ("", ""))
    folder.mkdir()
    manifest.save(folder)
    book.save(folder)
    return SpreadBook.load(folder)


def test_legs_are_the_closes_of_the_roles_of_the_next_session(store: Store) -> None:
    config = KINDS["calendar"]
    one = gather(config, store).series["M dominant-sub_dominant"]
    chain = read_chain(store, "M")
    named = roles(chain, hold(chain))
    for at in (0, 100, len(one) - 1):
        t = one.row[at]
        near, far = named["dominant"][t + 1], named["sub_dominant"][t + 1]
        assert one.sessions[at] == chain.sessions[t]
        assert one.legs.y[at] == np.log(chain["close"][t, far])
        assert one.legs.x[at] == np.log(chain["close"][t, near])
    held = lives(one)
    for at in np.flatnonzero(held >= 0)[[0, 50, -1]]:
        t = one.row[at]
        assert one.held.near[t] == chain.contracts.ids[named["dominant"][t]]
        assert one.held.close_far[t] == chain["close"][t, named["sub_dominant"][t]]


def test_a_product_may_have_roles_of_its_own(store: Store) -> None:
    config = spread_config(pairs={"by_product": {"M": ("near", "next")}})
    found = gather(config, store).series
    assert list(found) == ["IF dominant-sub_dominant", "M near-next"]
    chain = read_chain(store, "M")
    near = roles(chain, hold(chain))["near"][1:]
    one = found["M near-next"]
    assert (one.pair.near[one.row] == chain.contracts.ids[near[one.row]]).all()


def test_the_gap_of_maturities_is_known_before_the_far_contract_trades(store: Store) -> None:
    config = spread_config(data={"products": ("IF",)}, pairs={"by_product": {"IF": ("near", "next")}})
    one = gather(config, store).series["IF near-next"]
    gap, unlisted = one.legs.gap, ~np.isfinite(one.pair.ttm_far[one.row])
    assert gap is not None
    assert unlisted.any()
    assert ((gap > 0.05) & (gap < 0.11)).all()
    ttm = (one.pair.ttm_far - one.pair.ttm_near)[one.row]
    assert gap[~unlisted] == pytest.approx(ttm[~unlisted], abs=1e-12)


def test_a_model_that_cannot_be_fitted_is_left_out_and_said_so(store: Store) -> None:
    season = {"kind": "ou", "params": {"season": "month"}}
    config = spread_config(models={"ar1": {"kind": "ou"}, "ou_season": season}, split={"train": 100, "least": 100})
    data = gather(config, store)
    series = data.series["M dominant-sub_dominant"]
    walk = spread.walk(config, data).walks[series.name]
    assert walk.fits["ou_season"][0].status == "fell back to ou"
    dead = replace(walk.tracks["ou_season"], change=np.full_like(walk.tracks["ou_season"].change, np.nan))
    evidence = judge_pair(config, replace(walk, tracks={**walk.tracks, "ou_season": dead}), series)
    assert [row.model for row in evidence.scores[5]] == ["ar1", UNCHANGED]
    assert evidence.scores[5][0].zero.n > 100
    assert "fits of ou_season are not its own; the last: fell back to ou" in evidence.notes[0]


def test_a_basis_is_the_contract_against_its_index(store: Store) -> None:
    one = gather(KINDS["basis"], store).series["IF basis dominant"]
    index = store.scan("bars/INDX").filter(pl.col("order_book_id") == "000300.XSHG").collect()
    close = dict(zip(index["date"].to_numpy().astype("datetime64[D]"), index["close"], strict=True))
    assert [np.exp(one.legs.x[at]) for at in (0, 99, -1)] == pytest.approx(
        [close[one.sessions[at]] for at in (0, 99, -1)]
    )
    assert (one.carry((1, 5)) == 0).all()
    assert set(one.pair.near[one.row]) == {"000300.XSHG"}


def test_forecasts_are_those_of_a_day_that_knows_nothing_later(
    config: SpreadConfig, book: SpreadBook, earlier: Store, middle: np.datetime64
) -> None:
    then = spread.walk(config, spread.prepare(config, earlier))
    days = np.arange(middle - 60, middle + 1)
    told = [(then.forecast(day), book.forecast(day)) for day in days]
    known = [left for left, right in told if left.equals(right)]
    assert len(known) == len(days)
    assert sum(one["yhat"].count() for one in known) > 30
    assert book.forecast(middle)["yhat"].null_count() < len(book.forecast(middle))


def test_what_is_saved_and_carried_on_is_what_was_at_once(
    config: SpreadConfig, book: SpreadBook, earlier: Store, store: Store, middle: np.datetime64, tmp_path: Path
) -> None:
    then = saved(spread.walk(config, spread.prepare(config, earlier)), tmp_path / "book")
    last = np.datetime64(store.span("bars/Future")[1], "D")
    carried = then.extend(store, last)
    for day in (middle, middle + 30, last):
        assert carried.forecast(day).equals(book.forecast(day))
    for name, walk in book.walks.items():
        for model, fits in walk.fits.items():
            again = [fit.describe() for fit in carried.walks[name].fits[model]]
            assert json.dumps(again) == json.dumps([fit.describe() for fit in fits])
            assert carried.walks[name].fits[model][0] is then.walks[name].fits[model][0]


def test_a_forecast_is_what_the_model_expects_less_an_unchanged_curve(book: SpreadBook, config: SpreadConfig) -> None:
    assert book.data is not None
    name, series = next(iter(book.data.series.items()))
    row = np.flatnonzero(np.isfinite(book.walks[name].tracks["ar1"].change[:, 1]))[-1]
    fit = book.walks[name].tracks["ar1"].fit_at(int(row))
    assert fit is not None
    assert fit.fitted is not None
    s = series.legs.y[row] - series.legs.x[row]
    phi, mean = fit.fitted.params["phi_1"], fit.fitted.params["mu"]
    assert config.pairs.kind == "calendar" or phi < 1
    expected = (min(phi, 1.0) ** 5 - 1) * (s - mean) - series.carry((5,))[row, 0]
    told = book.forecast(series.sessions[row]).filter(product=name, horizon=5)
    assert told["yhat"][0] == pytest.approx(expected, rel=1e-9)
    assert told["half_life"][0] == (pytest.approx(fit.fitted.half_life) if phi < 1 else None)


def test_a_day_without_a_pair_has_a_reason(book: SpreadBook) -> None:
    assert book.data is not None
    first = min(one.sessions[0] for one in book.data.series.values())
    told = book.forecast(first)
    assert told["yhat"].null_count() == len(told)
    assert set(told["reason"]) == {"too short: 1 sessions of 150"}
    assert all(
        "no pair of contracts on 2001-01-06" in reason
        for reason in book.forecast(np.datetime64("2001-01-06"))["reason"]
    )


def test_a_book_that_was_not_carried_on_forecasts_nothing(book: SpreadBook, tmp_path: Path) -> None:
    again = saved(book, tmp_path / "book")
    with pytest.raises(DataError, match="carried on over a store"):
        again.forecast(np.datetime64("2020-01-02"))
    assert again.products == book.products


def test_a_history_that_is_another_has_no_forecast(book: SpreadBook, store: Store, tmp_path: Path) -> None:
    again = saved(book, tmp_path / "book")
    name = next(iter(again.walks))
    told = json.loads((tmp_path / "book" / "pairs.json").read_text(encoding="utf-8"))
    told[0]["digest"] = "0" * 16
    (tmp_path / "book" / "pairs.json").write_text(json.dumps(told), encoding="utf-8")
    last = np.datetime64(store.span("bars/Future")[1], "D")
    found = SpreadBook.load(tmp_path / "book").extend(store, last).forecast(last)
    mine = found.filter(product=told[0]["name"])
    assert told[0]["name"] == name
    assert mine["yhat"].null_count() == len(mine) == 2
    assert set(mine["reason"]) == {"the store's history is not the one that was walked: train it again"}


def test_trades_never_hold_past_the_contracts_that_stood_that_day(book: SpreadBook, config: SpreadConfig) -> None:
    assert book.data is not None
    seen = 0
    for name, series in book.data.series.items():
        # A signal that asks for trades all the time, across every roll.
        n = len(series)
        waves, always = 3 * np.sin(np.arange(n) / 4), np.full(n, 30.0)
        track = replace(book.walks[name].tracks["ar1"], z=waves, half_life=always)
        rules, why = traded(config, replace(book.walks[name], tracks={"ar1": track}), series)
        assert not why
        life, far = lives(series), series.held.far[series.row]
        for one in rules[0].trading.trades:
            assert len(set(far[one.entered : one.left + 1])) == 1
            assert (life[one.entered : one.left + 1] == life[one.entered]).all()
            assert one.decided == one.entered - 1
            seen += one.reason == "roll"
    assert seen > 2


def test_the_holdout_is_judged_apart(book: SpreadBook, config: SpreadConfig) -> None:
    assert book.data is not None
    name, series = next(iter(book.data.series.items()))
    found, last = foretold(config, book.walks[name], series), held_out(config, len(series))
    evidence = judge_pair(config, book.walks[name], series)
    rows = {row.model: row for row in evidence.scores[5]}
    assert set(rows) == {*config.models, UNCHANGED}
    common = np.logical_and.reduce([np.isfinite(one[:, 1]) for one in found.forecast.values()])
    y = found.outcome[:, 1]
    f = found.forecast["ecm"][:, 1]
    early = common & np.isfinite(y) & (np.arange(len(y)) < np.argmax(last) - 5)
    late = common & np.isfinite(y) & last
    assert rows["ecm"].zero.n == early.sum()
    assert rows["ecm"].zero.r2 == pytest.approx(1 - np.sum((y - f)[early] ** 2) / np.sum(y[early] ** 2))
    assert rows["ecm"].holdout == pytest.approx(1 - np.sum((y - f)[late] ** 2) / np.sum(y[late] ** 2))
    assert rows["ar1"].ar1 is None
    numbers = spread.metrics_of(evidence, "ecm")
    still = found.forecast[UNCHANGED][:, 1]
    beyond = 1 - np.sum((y - f)[early] ** 2) / np.sum((y - still)[early] ** 2)
    assert numbers["r2_unchanged_5/ecm"] == pytest.approx(beyond)


def test_a_product_without_a_tick_is_not_traded_and_says_so(book: SpreadBook, config: SpreadConfig) -> None:
    assert book.data is not None
    name, series = next(iter(book.data.series.items()))
    lacking = config.model_copy(update={"trading": config.trading.model_copy(update={"ticks": {}})})
    evidence = judge_pair(lacking, book.walks[name], series)
    assert evidence.tradings == ()
    assert evidence.absent["tradings"] == f"trading.ticks does not hold {series.product}"


def test_what_cannot_be_paired_is_refused_or_named(store: Store) -> None:
    with pytest.raises(ConfigError, match="product XX"):
        gather(spread_config(data={"products": ("XX",)}), store)
    with pytest.raises(ConfigError, match=r"a basis needs an index"):
        gather(spread_config(pairs={"kind": "basis"}), store)
    short = spread_config(split={"train": 900, "least": 900})
    walks = spread.walk(short, gather(short, store)).walks
    assert all(one.empty.startswith("too short: ") for one in walks.values())
