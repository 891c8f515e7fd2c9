"""The alpha task: one set of axes, folds that see no future, judgements of the tests alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.panel import DataError
from features.store import Store
from serving.demo import demo_config
from training.alpha_config import AlphaConfig
from training.band import fit_band
from training.evaluate.ic import daily_ic
from training.tasks import alpha
from training.tasks.alpha import AlphaData


def silent(*_: object) -> None:
    """Takes what is said and shows nothing."""


@pytest.fixture(scope="module")
def config() -> AlphaConfig:
    return demo_config("alpha_linear", "tiny")


@pytest.fixture(scope="module")
def store(demo_home: Path) -> Store:
    return Store(demo_home / "store")


@pytest.fixture(scope="module")
def data(config: AlphaConfig, store: Store) -> AlphaData:
    return alpha.prepare(config, store, silent, silent)


def section(config: AlphaConfig, name: str, **changes: object) -> AlphaConfig:
    """The config with one section changed."""
    return config.model_copy(update={name: getattr(config, name).model_copy(update=changes)})


def test_everything_lies_on_the_axes_of_the_matrix(data: AlphaData) -> None:
    shape = (len(data.matrix.sessions), len(data.matrix.assets))
    assert shape == data.universe.shape == data.quotes["close"].shape == data.labels.value.shape
    assert (data.quotes.assets == data.matrix.assets).all()
    assert (data.quotes.sessions == data.matrix.sessions).all()
    assert data.universe.sum() == len(data.matrix.session)
    assert data.matrix.pick(data.universe).all()
    assert data.benchmark is not None
    assert data.benchmark.shape == (shape[0], 2)
    assert data.delisted.shape == (shape[1],)


def test_quotes_and_benchmark_are_the_stored_bars(data: AlphaData, store: Store) -> None:
    t, n = 200, 17
    day, asset = data.matrix.sessions[t].astype(object), str(data.matrix.assets[n])
    bar = store.scan("bars/CS").filter((pl.col("date") == day) & (pl.col("order_book_id") == asset)).collect()
    assert data.quotes["open"][t, n] == bar["open"][0]
    assert data.quotes["total_turnover"][t, n] == bar["total_turnover"][0]
    index = store.scan("bars/INDX").filter((pl.col("date") == day) & (pl.col("order_book_id") == "000300.XSHG"))
    assert index.select("open", "close").collect().row(0) == tuple(data.benchmark[t])


def test_an_asset_that_left_is_known_by_its_last_trading_session(data: AlphaData, store: Store) -> None:
    left = store.instruments("CS").filter(pl.col("de_listed_date").is_not_null())
    assert len(left), "the simulated market has delistings"
    for asset in left["order_book_id"]:
        last = store.scan("bars/CS").filter(pl.col("order_book_id") == asset).collect()["date"].max()
        at = data.delisted[np.flatnonzero(data.matrix.assets == asset)[0]]
        assert data.matrix.sessions[at].astype(object) == last
    assert (data.delisted >= 0).sum() == len(left)


def test_a_fold_scores_its_own_test_sessions_and_no_other(config: AlphaConfig, data: AlphaData) -> None:
    fold = data.split.folds[1]
    scored = alpha.walk(config, data, fold)
    has_score = np.isfinite(scored.score)
    assert (has_score[fold.test] == data.universe[fold.test]).all()
    assert not np.delete(has_score, fold.test, axis=0).any()
    known = (data.labels.exit >= 0) & (data.labels.exit < fold.test[0]) & data.universe
    assert scored.rows == known[fold.train].sum()


@pytest.mark.parametrize("of", [0, -1])
def test_a_fold_is_the_same_whatever_happens_from_its_first_test_session_on(
    config: AlphaConfig, data: AlphaData, of: int
) -> None:
    fold = data.split.folds[of]
    first = int(fold.test[0])
    rng = np.random.default_rng(0)
    unknown = (data.labels.exit >= first) | (np.arange(len(data.matrix.sessions)) >= first)[:, None]
    noise = {
        name: np.where(unknown, rng.normal(size=unknown.shape), getattr(data.labels, name))
        for name in ("value", "total", "target")
    }
    sigma = np.where(np.arange(len(unknown))[:, None] >= first, rng.uniform(size=unknown.shape), data.sigma)
    values = data.matrix.values.copy()
    future = data.matrix.session >= first
    values[future] = rng.normal(size=(int(future.sum()), values.shape[1]))
    other = dataclasses.replace(
        data,
        matrix=dataclasses.replace(data.matrix, values=values),
        labels=dataclasses.replace(data.labels, **noise),
        sigma=sigma,
    )
    one, two = alpha.walk(config, data, fold).scorer, alpha.walk(config, other, fold).scorer
    bands = [fit_band(config, each, fold.train, first) for each in (data, other)]
    rows = data.matrix.session >= first
    asked = data.matrix.values[rows], data.matrix.session[rows]
    assert np.array_equal(one.score(*asked), two.score(*asked))
    assert np.array_equal(bands[0].predict(*asked), bands[1].predict(*asked))


def test_a_label_whose_exit_was_delayed_into_the_test_is_not_learnt_from(config: AlphaConfig, data: AlphaData) -> None:
    fold = data.split.folds[0]
    rng = np.random.default_rng(1)
    first = int(fold.test[0])
    before = (np.arange(len(data.matrix.sessions)) < first)[:, None]
    delayed = before & (data.labels.exit >= 0) & (rng.random(data.universe.shape) < 0.1)
    exits = np.where(delayed, first, data.labels.exit)
    late = dataclasses.replace(data.labels, exit=exits, left=exits)
    other = dataclasses.replace(late, total=np.where(delayed, rng.normal(size=exits.shape), late.total))
    one, two = (alpha.walk(config, dataclasses.replace(data, labels=labels), fold) for labels in (late, other))
    assert np.array_equal(one.score, two.score, equal_nan=True)
    assert one.rows < alpha.walk(config, data, fold).rows


def test_a_label_that_is_known_in_time_does_matter(config: AlphaConfig, data: AlphaData) -> None:
    fold = data.split.folds[-1]
    turned = dataclasses.replace(data, labels=dataclasses.replace(data.labels, total=-data.labels.total))
    one, two = alpha.walk(config, data, fold).score, alpha.walk(config, turned, fold).score
    at = np.isfinite(one)
    assert np.corrcoef(one[at], two[at])[0, 1] < -0.99


def test_the_scorer_that_serves_learns_from_every_label_that_is_known(config: AlphaConfig, data: AlphaData) -> None:
    scorer, _, rows = alpha.final(config, data)
    assert rows == data.labels.lost["kept"] == (data.labels.exit >= 0).sum()
    assert scorer.columns == data.matrix.columns
    assert rows > alpha.walk(config, data, data.split.sealed).rows


def test_a_judgement_is_of_the_sessions_that_were_scored(config: AlphaConfig, data: AlphaData) -> None:
    fold = data.split.folds[0]
    judged = alpha.judge(config, data, alpha.walk(config, data, fold).score)
    assert np.isfinite(judged.rank_ic[fold.test]).all()
    assert not np.isfinite(np.delete(judged.rank_ic, fold.test)).any()
    metrics = judged.metrics()
    assert metrics["rank_ic/mean"] == pytest.approx(judged.rank_ic[fold.test].mean())
    assert metrics["rank_ic_by_horizon/5"] == metrics["rank_ic/mean"]
    assert {"rank_ic_by_horizon/1", "rank_ic_by_horizon/10", "rank_ic_by_horizon/20"} <= set(metrics)
    assert {"deciles/monotonicity", "top_k/sharpe", "top_k/excess_over_benchmark"} <= set(metrics)


def test_the_label_itself_as_a_score_is_judged_perfect_and_its_reverse_the_opposite(
    config: AlphaConfig, data: AlphaData
) -> None:
    tested = np.isin(np.arange(len(data.matrix.sessions)), data.split.folds[0].test)[:, None]
    known = np.where(tested, data.labels.value, np.nan)
    best, worst = alpha.judge(config, data, known), alpha.judge(config, data, -known)
    assert best.rank.mean == pytest.approx(1.0)
    assert worst.rank.mean == pytest.approx(-1.0)
    assert best.portfolio.summary["annual_return"] > 1 > 0 > worst.portfolio.summary["annual_return"]
    assert best.deciles.monotonicity == pytest.approx(1.0)


def test_sessions_with_few_names_do_not_count_and_none_at_all_is_refused(config: AlphaConfig, data: AlphaData) -> None:
    score = np.where(data.universe, 1.0 * np.arange(data.universe.shape[1]), np.nan)
    names = int(np.isfinite(score).sum(axis=1).max())
    few = section(config, "evaluate", min_names=names + 1)
    with pytest.raises(DataError, match=f"must have {names + 1} names .* found at most {names}"):
        alpha.judge(few, data, score)
    summary = alpha.fold_summary(few, data, score)
    assert np.isnan(summary["fold/rank_ic"])
    assert summary["fold/rank_ic_sessions"] == 0


def test_a_fold_is_summed_up_by_its_own_sessions(config: AlphaConfig, data: AlphaData) -> None:
    score = alpha.walk(config, data, data.split.folds[0]).score
    daily = daily_ic(score, data.labels.value, method="rank", min_names=config.evaluate.min_names)
    summary = alpha.fold_summary(config, data, score)
    assert summary["fold/rank_ic"] == pytest.approx(np.nanmean(daily))
    assert summary["fold/rank_ic_sessions"] == np.isfinite(daily).sum() == len(data.split.folds[0].test)
    assert summary["fold/rank_ic_hit"] == pytest.approx((daily[np.isfinite(daily)] > 0).mean())


def test_coverage_is_the_share_of_the_universe_with_a_value(data: AlphaData) -> None:
    found = alpha.coverage(data)
    for t in (0, 30, 399):
        rows = data.matrix.values[data.matrix.session == t]
        if len(rows):
            assert found[t] == pytest.approx(np.isfinite(rows).mean(axis=0))
        else:
            assert np.isnan(found[t]).all()
    assert np.nanmax(found) <= 1
    late = found[300:].mean(axis=0)
    assert late.min() > 0.5


def test_a_benchmark_that_is_not_stored_is_told_and_where_the_label_needs_it_refused(
    config: AlphaConfig, store: Store, data: AlphaData
) -> None:
    elsewhere = section(config, "data", benchmark="399999.XSHE")
    without = alpha.prepare(elsewhere, store, silent, silent)
    assert without.benchmark is None
    assert without.notes[-1].startswith("benchmark 399999.XSHE is not in the store: returns are judged against the")
    assert len(without.notes) == len(data.notes) + 1
    assert np.array_equal(without.labels.value, data.labels.value, equal_nan=True)
    with pytest.raises(DataError, match=r"benchmark 399999\.XSHE: its bars must be in the store"):
        alpha.prepare(section(elsewhere, "label", excess="benchmark"), store, silent, silent)


def test_a_label_over_the_benchmark_subtracts_its_return(config: AlphaConfig, store: Store, data: AlphaData) -> None:
    over = alpha.prepare(section(config, "label", excess="benchmark"), store, silent, silent)
    at = np.argwhere(np.isfinite(over.labels.value) & np.isfinite(data.labels.total))
    on_time = [(t, n) for t, n in at if over.labels.exit[t, n] == t + 6][:200]
    assert len(on_time) == 200
    opens = data.benchmark[:, 0]
    for t, n in on_time:
        index = np.log(opens[t + 6] / opens[t + 1])
        assert over.labels.value[t, n] == pytest.approx(over.labels.total[t, n] - index, abs=1e-12)


def test_a_shorter_span_leaves_what_remains_as_it_was(config: AlphaConfig, store: Store, data: AlphaData) -> None:
    start, end = data.matrix.sessions[150].astype(object), data.matrix.sessions[379].astype(object)
    shorter = section(section(config, "data", start=start, end=end), "split", train=60)
    part = alpha.prepare(shorter, store, silent, silent)
    assert (part.matrix.sessions == data.matrix.sessions[150:380]).all()
    assert part.matrix.columns == data.matrix.columns
    assert np.array_equal(part.universe, data.universe[150:380])
    rows = (data.matrix.session >= 150) & (data.matrix.session < 380)
    assert np.array_equal(part.matrix.values, data.matrix.values[rows], equal_nan=True)
    assert np.allclose(part.labels.value[:200], data.labels.value[150:350], rtol=0, atol=1e-14, equal_nan=True)
