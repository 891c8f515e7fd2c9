"""Watching a model: what is planted is flagged and nothing else is, and its live RankIC is that of a second way."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from features.panel import DataError
from features.store import Store
from serving.demo import CONFIGS, SMALL
from serving.drift import bin_counts, decile_edges, psi
from serving.predict import predict_range
from serving.sink import give
from serving.watch import Watch, watch
from tests.command_line import Daybar
from training.config import load
from training.labels import make_labels
from training.mlruns import relocate
from training.run import train
from training.tracking import Tracking

MODEL, END = "watched@champion", "2021-08-31"
FACTORS = "[cs_ret_1d, cs_f_roc_20, cs_f_std_20, cs_turnover20, cs_f_clv_5, cs_f_beta_60]"


@pytest.fixture(scope="module")
def trained(demo_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose model was trained on sessions up to END: months of bars came after."""
    home = tmp_path_factory.mktemp("watch") / "home"
    shutil.copytree(demo_home, home)
    relocate(home)
    settings = (f"data.end={END}", "register.name=watched", "features.sets=[]", f"features.names={FACTORS}")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        train(load(CONFIGS / "alpha_linear.yaml", (*SMALL, *settings)), home)
        yield home


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    own = tmp_path / "own"
    shutil.copytree(trained, own)
    relocate(own)
    return own


def told(seen: Watch) -> set[tuple[str, str]]:
    return {(flag.colour, flag.what) for flag in seen.flags}


def live_ic_by_hand(home: Path, seen: Watch) -> dict[np.datetime64, float]:
    """Daily rank correlations of the model's scores and the labels of the whole store, with scipy."""
    store = Store(home / "store")
    fields = ("open", "high", "low", "close", "prev_close", "volume", "total_turnover", "limit_up", "limit_down")
    quotes = store.read("CS", (*fields, "suspended"))
    span = predict_range(home, None, MODEL, seen.live[0], quotes.sessions[-1])
    rows = pl.concat(one.scored for one in span.predictions)
    universe = np.zeros(quotes.shape, dtype=bool)
    t = np.searchsorted(quotes.sessions, rows["asof"].to_numpy().astype("datetime64[D]"))
    n = np.searchsorted(quotes.assets, rows["asset"].to_numpy())
    universe[t, n] = True
    names = store.instruments("CS").filter(pl.col("de_listed_date").is_not_null())
    gone = np.full(len(quotes.assets), -1)
    for asset in names["order_book_id"]:
        column = int(np.searchsorted(quotes.assets, asset))
        traded = np.flatnonzero(np.isfinite(quotes["close"][:, column]))
        if len(traded):
            gone[column] = traded[-1]
    value = make_labels(quotes, universe, horizon=5, delisted=gone).value[t, n]
    found = {}
    for day in np.unique(t):
        both = (t == day) & np.isfinite(value)
        if both.sum() >= 20:
            found[quotes.sessions[day]] = float(spearmanr(rows["score"].to_numpy()[both], value[both]).statistic)
    return found


def test_the_live_rank_ic_is_that_of_scores_and_labels_taken_by_hand(home: Path) -> None:
    seen = watch(home, None, MODEL)
    expected = live_ic_by_hand(home, seen)
    known = {day: ic for day, ic in zip(seen.live, seen.rank_ic, strict=True) if np.isfinite(ic)}
    assert list(known) == list(expected)
    assert list(known.values()) == pytest.approx(list(expected.values()), abs=1e-12)
    assert len(known) > 60
    assert seen.decay.n == 60
    assert seen.decay.mean == pytest.approx(np.mean(list(known.values())[-60:]))
    assert seen.recomputed == len(seen.live)


def test_no_live_session_has_a_label_that_overlaps_with_those_of_the_training(home: Path) -> None:
    seen = watch(home, None, MODEL)
    calendar = Store(home / "store").calendar()
    assert seen.live[0] == calendar.next_after(END), "labels known at the end of the training exit there at the latest"
    assert seen.reference[-1] < seen.present[0]
    assert len(seen.present) == 60


def test_drift_and_missing_values_are_those_of_the_matrix(home: Path) -> None:
    seen = watch(home, None, MODEL)
    rows = Store(home / "store").scan("factors/CS").collect()
    span = predict_range(home, None, MODEL, seen.present[0], seen.present[-1])
    now = pl.concat(one.frame for one in span.predictions).filter(pl.col("score").is_not_null())
    current = rows.join(now, left_on=["date", "order_book_id"], right_on=["asof", "asset"], how="semi")
    row = seen.factors.row(by_predicate=pl.col("factor") == "cs_f_std_20", named=True)
    values = current["cs_f_std_20"].to_numpy()
    assert row["missing_now"] == pytest.approx(np.isnan(values.astype(float)).mean())
    before = rows.filter(pl.col("date").is_in(pl.Series(seen.reference).cast(pl.Date).implode()))
    rough = before["cs_f_std_20"].cast(pl.Float64).to_numpy()  # with those outside the universe
    edges = decile_edges(rough)
    assert row["psi"] == pytest.approx(psi(bin_counts(rough, edges), bin_counts(values, edges)), abs=0.1)
    assert seen.factors["psi"].is_sorted(descending=True)
    assert len(seen.factors) == 6


def test_predictions_that_were_given_are_judged_as_they_were_given(home: Path) -> None:
    before = watch(home, None, MODEL)
    first, last = before.live[3], before.live[12]
    span = predict_range(home, None, MODEL, first, last)
    give(span.predictions[0].store, span.predictions, home / "predictions")
    same = watch(home, None, MODEL)
    assert same.recomputed == len(before.live) - 10
    assert np.array_equal(same.rank_ic, before.rank_ic, equal_nan=True)
    store = Store(home / "store")
    ours = store.scan("pred_alpha").filter(pl.col("run_id") == before.model.run_id).collect()
    store.upsert("pred_alpha", ours.with_columns(score=-pl.col("score")), keys=ours.columns[:6])
    turned = watch(home, None, MODEL)
    assert turned.rank_ic[3:13] == pytest.approx(-before.rank_ic[3:13])
    assert np.array_equal(turned.rank_ic[13:], before.rank_ic[13:], equal_nan=True)


def test_scores_that_went_bad_are_red_and_strict_ends_with_3(daybar: Daybar, home: Path) -> None:
    """The scores that stand in the store are the opposite of what the labels then were."""
    seen = watch(home, None, MODEL)
    assert ("red", "RankIC") not in told(seen)
    span = predict_range(home, None, MODEL, seen.live[0], seen.live[-1])
    rows = pl.concat(one.frame for one in span.predictions)
    store = Store(home / "store")
    closes = store.scan("bars/CS").select("date", "order_book_id", "open", "close").collect()
    ahead = closes.sort("date").with_columns(
        score=-(pl.col("close").shift(-5).over("order_book_id") / pl.col("open").shift(-1).over("order_book_id"))
    )
    bad = rows.drop("score").join(
        ahead.select("date", "order_book_id", "score"), left_on=["asof", "asset"], right_on=["date", "order_book_id"]
    )
    keys = ["asof", "effective", "asset", "target", "horizon", "run_id"]
    store.upsert("pred_alpha", bad.select(rows.columns), keys=keys)
    seen = watch(home, None, MODEL)
    assert ("red", "RankIC") in told(seen)
    assert seen.decay.alarm >= 0
    code, out, err = daybar("watch", MODEL, "--home", home, "--strict")
    assert (code, err) == (3, "")
    assert re_red(out) == ["red: RankIC", "red: RankIC"]
    assert daybar("watch", MODEL, "--home", home).code == 0


def re_red(out: str) -> list[str]:
    return [":".join(line.split(":")[:2]) for line in out.splitlines() if line.startswith("red: RankIC")]


def test_a_field_that_is_no_longer_given_is_red_and_one_that_is_scaled_is_yellow(home: Path) -> None:
    seen = watch(home, None, MODEL)
    assert ("red", "coverage") not in told(seen)
    store = Store(home / "store")
    late = store.scan("bars/CS").filter(pl.col("date") >= seen.present[0].astype(object)).collect()
    store.upsert(
        "bars/CS",
        late.with_columns(
            high=pl.lit(None, pl.Float64),
            total_turnover=pl.col("total_turnover") * 8,
            volume=pl.col("volume") * 8,
        ),
    )
    changed = watch(home, None, MODEL)
    assert {("red", "coverage"), ("yellow", "factors")} <= told(changed)
    (text,) = [flag.text for flag in changed.flags if flag.what == "coverage"]
    assert text == "much more is missing than in the training: 1 of them, cs_f_clv_5"
    row = changed.factors.row(by_predicate=pl.col("factor") == "cs_turnover20", named=True)
    assert row["psi"] > 1
    roc = [
        one.factors.row(by_predicate=pl.col("factor") == "cs_f_roc_20", named=True)["psi"] for one in (seen, changed)
    ]
    assert roc[1] == pytest.approx(roc[0], abs=0.01), "it knows only closes; a few names enter by their turnover"


def test_intervals_that_hold_too_little_are_red(home: Path) -> None:
    seen = watch(home, None, MODEL)
    assert np.isnan(seen.covered)
    span = predict_range(home, None, MODEL, seen.present[0], seen.present[-1])
    whole = pl.concat(one.frame for one in span.predictions)
    store = Store(home / "store")
    scored = pl.when(pl.col("score").is_not_null()).then
    for half, red in ((9.0, True), (0.0, True)):
        rows = whole.with_columns(lo=scored(pl.lit(-half)), hi=scored(pl.lit(half)))
        store.upsert("pred_alpha", rows, keys=whole.columns[:6])
        found = watch(home, None, MODEL)
        assert found.covered == (1.0 if half else 0.0)
        assert (("red", "intervals") in told(found)) == red


def test_what_was_seen_is_logged(home: Path) -> None:
    seen = watch(home, None, MODEL)
    (run,) = Tracking(home).search("watch", tags={"watched_run": seen.model.run_id})
    assert run.metrics["rank_ic/live"] == pytest.approx(seen.decay.mean)
    assert run.metrics["universe/now"] == seen.names[1]
    assert run.params["window"] == "60"
    assert "cs_f_std_20" in Tracking(home).read_text(run.run_id, "factors.json")


def test_without_live_labels_that_is_said(daybar: Daybar, own_home: Path) -> None:
    code, out, err = daybar("watch", "alpha_linear_5d@champion", "--home", own_home)
    assert (code, err) == (0, "")
    assert "no session that it has not learnt from has a known label yet" in out
    seen = watch(own_home, None, "alpha_linear_5d@champion")
    assert (seen.decay.n, seen.recomputed, len(seen.live)) == (0, 0, 0)
    assert seen.reference[-1] < seen.present[0], "the window is no part of what it is compared with"


def test_a_window_as_long_as_the_history_leaves_no_reference(own_home: Path) -> None:
    with pytest.raises(DataError, match="the training must have sessions before the window"):
        watch(own_home, None, "alpha_linear_5d@champion", window=5000)
