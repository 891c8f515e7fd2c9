"""Predictions: the row of one session alone is that row of the whole, the future unseen; refusals name the cause."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import serving.alpha
from features.catalogue import Catalogue, catalogue
from features.matrix import matrix
from features.panel import ConfigError, DataError
from features.store import Store
from serving.demo import demo_config
from serving.predict import predict, predict_range
from training.fit import Scorer
from training.labels import Labels
from training.manifest import Manifest
from training.market import gather
from training.run import train
from training.tracking import Tracking

LINEAR, XGB = "alpha_linear_5d@champion", "alpha_xgb_5d@champion"
COLUMNS = ["asof", "effective", "asset", "target", "horizon", "run_id"]
COLUMNS += ["score", "score_rank", "mu_hat", "sigma_hat", "lo", "hi", "reason"]


@pytest.fixture
def store(demo_home: Path) -> Store:
    return Store(demo_home / "store")


def whole(home: Path, store: Store, model: str) -> pl.DataFrame:
    """Every session's scores at once, as training sees them."""
    ref = Tracking(home).resolve(model)
    scorer, manifest = Scorer.load(ref.folder), Manifest.load(ref.folder)
    table, _, _ = matrix(store, catalogue("CS"), scorer.columns, universe=manifest.tradable)
    score = scorer.score(table.values, table.session)
    days = pl.Series(table.sessions[table.session]).cast(pl.Date)
    return pl.DataFrame({"asof": days, "asset": table.assets[table.asset], "score": score})


@pytest.mark.parametrize("model", [LINEAR, XGB])
def test_the_row_of_one_session_alone_is_that_row_of_the_whole(demo_home: Path, store: Store, model: str) -> None:
    scores = whole(demo_home, store, model)
    days = scores["asof"].unique().sort()
    for day in (days[0], days[40], days[177], days[-2], days[-1]):
        given = predict(demo_home, store, model, day).scored
        expected = scores.filter(pl.col("asof") == day)
        assert_frame_equal(given.select("asof", "asset", "score"), expected, check_exact=True)


def test_a_model_scores_the_store_that_it_was_trained_on(demo_home: Path, store: Store) -> None:
    given = predict(demo_home, None, LINEAR)
    assert given.store.root == store.root
    assert_frame_equal(given.frame, predict(demo_home, store, LINEAR).frame, check_exact=True)


def test_a_prediction_needs_no_future(demo_home: Path, store: Store, tmp_path: Path) -> None:
    day = dt.date(2021, 9, 17)
    past = Store(tmp_path / "past")
    for name in ("bars/CS", "bars/INDX"):
        past.upsert(name, store.scan(name).filter(pl.col("date") <= day).collect())
    instruments = store.scan("reference/instruments").collect()
    gone = pl.when(pl.col("de_listed_date") <= day).then("de_listed_date")
    past.upsert("reference/instruments", instruments.with_columns(de_listed_date=gone), keys=("order_book_id",))
    sessions = store.scan("reference/calendar").filter(pl.col("date") <= day).collect()
    past.upsert("reference/calendar", sessions, keys=("date",))
    then, now = predict(demo_home, past, XGB), predict(demo_home, store, XGB, day)
    assert_same(then.frame, now.frame)
    assert then.frame["effective"][0] == dt.date(2021, 9, 22), "behind the Mid-Autumn Festival, which no bar tells"


def test_the_last_session_has_no_label_and_is_scored_all_the_same(demo_home: Path, store: Store) -> None:
    given = predict(demo_home, store, LINEAR)
    assert given.frame["asof"].unique().to_list() == [store.span("bars/CS")[1]]
    assert len(given.scored) > 40
    assert given.scored["score"].is_finite().all()
    assert given.scored["score"].n_unique() > 40


def test_the_frame_has_its_keys_and_values(demo_home: Path, store: Store) -> None:
    given = predict(demo_home, store, LINEAR, "2021-09-17")
    frame = given.frame
    assert frame.columns == COLUMNS
    assert frame["effective"].unique().to_list() == [dt.date(2021, 9, 22)]
    assert frame["asset"].is_sorted()
    assert frame["asset"].n_unique() == len(frame)
    assert frame["target"].unique().to_list() == ["excess_return_universe"]
    assert frame["horizon"].unique().to_list() == [5]
    assert frame["run_id"].unique().to_list() == [given.model.run_id]
    assert Tracking(demo_home).client.get_run(given.model.run_id).info.run_name == "alpha_linear_5d"
    best = given.scored.sort("score")
    assert best["score_rank"].is_sorted()
    count = len(best)
    assert 0 < count < len(frame)
    assert best["score_rank"][0] == pytest.approx(0.5 / count)
    assert best["score_rank"][-1] == pytest.approx(1 - 0.5 / count)


def test_what_is_left_out_and_what_is_defined_are_counted(demo_home: Path, store: Store) -> None:
    given = predict(demo_home, store, LINEAR, "2021-09-17")
    unscored = given.frame.filter(pl.col("score").is_null())
    assert sum(given.left_out.values()) == len(unscored) == len(given.frame) - len(given.scored)
    assert dict(given.left_out) == dict(unscored["reason"].value_counts().rows())
    assert 0.9 < given.coverage <= 1
    early = predict(demo_home, store, LINEAR, "2020-07-01")
    assert early.coverage < 0.6


def test_every_listed_asset_has_a_row_with_a_score_or_a_reason(demo_home: Path, store: Store) -> None:
    day = dt.date(2021, 9, 17)
    frame = predict(demo_home, store, LINEAR, day).frame
    told = frame.select(score=pl.col("score").is_not_null(), reason=pl.col("reason").is_not_null())
    assert (told["score"] != told["reason"]).all()
    names = store.instruments("CS")
    listed = (pl.col("listed_date") <= day) & (pl.col("de_listed_date").is_null() | (pl.col("de_listed_date") > day))
    seen = store.scan("bars/CS").filter(pl.col("date") <= day).select("order_book_id").unique().collect()
    expected = names.filter(listed).join(seen, on="order_book_id", how="semi")["order_book_id"]
    assert frame["asset"].to_list() == expected.sort().to_list()
    assert len(expected) < len(names), "somebody is not listed yet, or no more"


def test_a_reason_is_the_fact_that_the_store_holds(demo_home: Path, store: Store) -> None:
    """Each reason of many sessions' rows against the store, read another way."""
    days = store.calendar().between("2020-12-01", "2021-05-31").astype(object).tolist()
    span = predict_range(demo_home, store, LINEAR, days[0], days[-1])
    rows = pl.concat(one.frame for one in span.predictions)
    assert rows["asof"].unique().sort().to_list() == days
    bars = store.scan("bars/CS").select("date", "order_book_id", "volume", "suspended").collect()
    liquid = store.scan("factors/CS").select("date", "order_book_id", "cs_turnover20").collect()
    names = store.instruments("CS").select("order_book_id", "listed_date")
    sessions = store.calendar().sessions
    found = (
        rows.join(bars, left_on=["asof", "asset"], right_on=["date", "order_book_id"], how="left")
        .join(liquid, left_on=["asof", "asset"], right_on=["date", "order_book_id"], how="left")
        .join(names, left_on="asset", right_on="order_book_id", how="left")
    )
    seen = set()
    for row in found.iter_rows(named=True):
        age = int(np.sum((sessions >= np.datetime64(row["listed_date"])) & (sessions <= np.datetime64(row["asof"]))))
        if not row["volume"] or row["suspended"]:
            reason = "not traded on the session"
        elif age < 60:
            reason = "listed for fewer than 60 sessions"
        elif row["cs_turnover20"] is None or not row["cs_turnover20"] >= 1e7:
            reason = "mean turnover of 20 sessions below 10,000,000 CNY, or not known"
        else:
            reason = None
        assert row["reason"] == reason or (row["reason"] == "under special treatment" and reason is None)
        seen.add(row["reason"])
    assert len(seen) >= 4, seen


def test_an_asset_of_which_no_factor_is_known_gets_no_score(
    demo_home: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = predict(demo_home, store, LINEAR, "2021-09-17").scored

    def blind(*arguments, **settings):
        table, universe, built = matrix(*arguments, **settings)
        table.values[3] = np.nan
        return table, universe, built

    monkeypatch.setattr(serving.alpha, "matrix", blind)
    given = predict(demo_home, store, LINEAR, "2021-09-17")
    unknown = given.frame.filter(pl.col("asset") == whole["asset"][3])
    assert unknown.select("score", "score_rank", "reason").row(0) == (None, None, serving.alpha.UNDEFINED)
    assert len(given.scored) == len(whole) - 1
    assert given.scored["score_rank"].max() == pytest.approx(1 - 0.5 / len(given.scored))


@pytest.mark.parametrize("model", [LINEAR, XGB])
def test_each_session_of_a_range_is_what_that_session_alone_gives(demo_home: Path, store: Store, model: str) -> None:
    span = predict_range(demo_home, store, model, "2021-09-11", "2021-09-24")
    days = [one.frame["asof"][0] for one in span.predictions]
    assert days == store.calendar().between("2021-09-11", "2021-09-24").astype(object).tolist()
    assert span.empty == ()
    for day, one in zip(days, span.predictions, strict=True):
        alone = predict(demo_home, store, model, day)
        assert_same(one.frame, alone.frame)
        assert (one.left_out, one.coverage) == (alone.left_out, alone.coverage)


def test_bands_go_on_learning_after_the_fit_and_a_range_is_still_its_sessions(own_home: Path) -> None:
    config = demo_config("alpha_linear", "tiny")
    ended = config.data.model_copy(update={"end": dt.date(2021, 9, 30)})
    trained = train(config.model_copy(update={"data": ended, "registration": None}), own_home)
    model, days = f"runs:{trained.run_id}", Store(own_home / "store").calendar().between("2021-09-28", "2022-01-14")
    span = predict_range(own_home, None, model, days[0], days[-1])
    assert len(span.predictions) == len(days)
    for at in (0, 1, 5, len(days) - 1):
        assert_same(span.predictions[at].frame, predict(own_home, None, model, days[at]).frame)
    last = span.predictions[-1].scored
    assert (last["lo"] < 0).all()
    assert (last["hi"] > 0).all()
    assert (last["sigma_hat"] > 0).all()
    z = last["score"].to_numpy() - last["score"].mean()
    promised = last["mu_hat"].to_numpy() / last["sigma_hat"].to_numpy()
    assert np.allclose(promised * z.std(), (promised @ z) / (z @ z) * z * z.std(), atol=1e-12)
    labels = gather(config, Store(own_home / "store"), None, None).labels
    held = [_held(one.scored, labels, own_home) for one in span.predictions[3:-7]]
    assert 0.8 < np.mean(held) < 0.98


def _held(scored: pl.DataFrame, labels: Labels, home: Path) -> float:
    """Share of a session's outcomes inside the bands that it was given."""
    store = Store(home / "store")
    t = int(np.searchsorted(store.read("CS", ("close",)).sessions, np.datetime64(scored["asof"][0])))
    position = {asset: n for n, asset in enumerate(store.read("CS", ("close",)).assets)}
    value = labels.value[t, [position[asset] for asset in scored["asset"]]]
    told = np.isfinite(value)
    inside = (scored["lo"].to_numpy() <= value) & (value <= scored["hi"].to_numpy())
    return float(inside[told].mean())


def assert_same(one: pl.DataFrame, other: pl.DataFrame) -> None:
    """Scores to the last bit; what stands on windows of prices, which begin elsewhere, but for their rounding."""
    outlook = ["mu_hat", "sigma_hat", "lo", "hi"]
    assert_frame_equal(one.drop(outlook), other.drop(outlook), check_exact=True)
    assert_frame_equal(one.select(outlook), other.select(outlook), rel_tol=1e-9, abs_tol=1e-12)


def test_sessions_on_which_nobody_may_be_traded_are_named(demo_home: Path, store: Store) -> None:
    first, last = store.span("bars/CS")[0], dt.date(2020, 7, 1)
    span = predict_range(demo_home, store, LINEAR, first, last)
    days = [one.frame["asof"][0] for one in span.predictions]
    empty = [day.astype(object) for day in span.empty]
    assert empty[0] == first
    assert sorted(days + empty) == store.calendar().between(first, last).astype(object).tolist()


@pytest.mark.parametrize(
    ("start", "end", "kind", "says"),
    [
        ("2021-09-24", "2021-09-17", ConfigError, "a range must not end before it starts; found 2021-09-24 after"),
        ("2021-09-18", "2021-09-20", ConfigError, "a range must hold a session; found days without trading alone"),
        ("2021-09-17", "2022-01-19", DataError, "found sessions from 2020-06-01 to 2022-01-18"),
        ("2021-09-17", "soon", ConfigError, "must read like 2024-02-09"),
    ],
)
def test_a_range_that_cannot_be_predicted_is_refused(demo_home: Path, store: Store, start, end, kind, says) -> None:
    with pytest.raises(kind) as caught:
        predict_range(demo_home, store, LINEAR, start, end)
    assert says in str(caught.value)


def test_an_asset_without_reference_has_a_row_while_it_had_a_bar_lately(
    demo_home: Path, store: Store, tmp_path: Path
) -> None:
    day = dt.date(2021, 9, 17)
    poorer = Store(tmp_path / "poorer")
    old = (pl.col("listed_date") < dt.date(2020, 6, 1)) & pl.col("de_listed_date").is_null()
    gone, lately, here, unseen = store.instruments("CS").filter(old)["order_book_id"][5:9]
    lost = (pl.col("order_book_id") == gone) & (pl.col("date") > dt.date(2020, 9, 1))
    lost |= (pl.col("order_book_id") == lately) & (pl.col("date") > dt.date(2020, 9, 30))
    lost |= (pl.col("order_book_id") == unseen) & (pl.col("date") <= day)
    for table in ("bars/CS", "bars/INDX"):
        poorer.upsert(table, store.scan(table).filter(~lost).collect())
    kept = ~pl.col("order_book_id").is_in([gone, lately, here])
    poorer.upsert(
        "reference/instruments", store.scan("reference/instruments").filter(kept).collect(), ("order_book_id",)
    )
    poorer.upsert("reference/calendar", store.scan("reference/calendar").collect(), keys=("date",))
    began = store.calendar().add(day, -249).astype(object)
    assert dt.date(2020, 9, 1) < began <= dt.date(2020, 9, 30)
    reasons = dict(predict(demo_home, poorer, LINEAR, day).frame.select("asset", "reason").rows())
    assert gone not in reasons
    assert unseen not in reasons, "listed by the reference, but its first bar is still to come"
    assert reasons[lately] == "not traded on the session"
    assert reasons[here] == "not listed on the session"


def test_a_version_a_run_and_an_alias_name_the_same_model(demo_home: Path, store: Store) -> None:
    by_alias = predict(demo_home, store, LINEAR)
    for name in ("alpha_linear_5d/1", f"runs:{by_alias.model.run_id}"):
        assert_frame_equal(predict(demo_home, store, name).frame, by_alias.frame, check_exact=True)


def test_a_factor_whose_definition_changed_is_refused_with_both_hashes(
    demo_home: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = dict(catalogue("CS"))

    def doubled(high, low, close):
        return 2 * (close - low) / (high - low)

    changed = dataclasses.replace(known["cs_f_clv_5"], function=doubled)
    monkeypatch.setattr(serving.alpha, "catalogue", lambda _: Catalogue("CS", known | {"cs_f_clv_5": changed}, {}))
    then = Manifest.load(Tracking(demo_home).resolve(LINEAR).folder).factors
    version = store.version("factors/CS")
    with pytest.raises(DataError) as caught:
        predict(demo_home, store, LINEAR)
    refusal = caught.value
    assert refusal.who == f"model {LINEAR}"
    assert refusal.found == f"1 of {len(then)} that differ"
    name, hashes = refusal.where.split(": ")
    before, after = hashes.removesuffix(" now").split(" then, ")
    assert (name, before) == ("cs_f_clv_5", then["cs_f_clv_5"])
    assert len(after) == 12
    assert after != before
    assert store.version("factors/CS") == version, "nothing is computed for a model that cannot be served"


def test_a_factor_that_the_code_no_longer_has_is_refused(
    demo_home: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {name: factor for name, factor in catalogue("CS").items() if name != "cs_f_clv_5"}
    monkeypatch.setattr(serving.alpha, "catalogue", lambda _: Catalogue("CS", known, {}))
    with pytest.raises(DataError, match=r"first at cs_f_clv_5: [0-9a-f]{12} then, not computable now"):
        predict(demo_home, store, LINEAR)


def test_bars_without_a_field_that_the_model_needs_are_refused(demo_home: Path, store: Store, tmp_path: Path) -> None:
    poorer = Store(tmp_path / "poorer")
    poorer.upsert("bars/CS", store.scan("bars/CS").drop("num_trades").collect())
    poorer.upsert("reference/instruments", store.scan("reference/instruments").collect(), keys=("order_book_id",))
    with pytest.raises(DataError, match=r"cs_inst_participation_adj: [0-9a-f]{12} then, not computable now"):
        predict(demo_home, poorer, LINEAR)


@pytest.mark.parametrize(
    ("model", "asof", "kind", "says"),
    [
        ("nothing@champion", None, ConfigError, "registered: alpha_linear_5d@champion (version 1); alpha_xgb_5d@"),
        ("alpha_linear_5d@challenger", None, ConfigError, "did you mean alpha_linear_5d@champion (version 1)?"),
        ("alpha_linear_5d/7", None, ConfigError, "registered: alpha_linear_5d@champion (version 1)"),
        ("runs:0123", None, ConfigError, "model runs:0123: the run must be there"),
        (LINEAR, "2021-09-20", ConfigError, "The sessions around it are 2021-09-17 and 2021-09-22."),
        (LINEAR, "last Friday", ConfigError, "must read like 2024-02-09; found 'last Friday'"),
        (
            LINEAR,
            "2022-01-19",
            DataError,
            "found sessions from 2020-06-01 to 2022-01-18",
        ),
        (LINEAR, "2019-01-02", DataError, "Ingest the bars of that day first: daybar ingest."),
        (LINEAR, "2020-06-02", DataError, "universe of CS: it must hold an asset on some session"),
    ],
)
def test_a_refusal_says_whose_mistake_it_is(demo_home: Path, store: Store, model, asof, kind, says) -> None:
    with pytest.raises(kind) as caught:
        predict(demo_home, store, model, asof)
    assert says in str(caught.value)
