"""The whole road on a tiny simulated market: config, run, registered model, prediction, a restated bar."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import serving.demo
from features.panel import ConfigError
from features.store import Store
from serving.demo import demo_config, run_demo
from tests.command_line import Daybar
from training.config import load
from training.manifest import Manifest
from training.tracking import Tracking

DAY = dt.date(2021, 9, 17)
NAMES = ("alpha_linear_5d", "alpha_xgb_5d")


@pytest.fixture
def said(demo_home: Path) -> str:
    return (demo_home / "said.txt").read_text(encoding="utf-8")


def test_the_demo_goes_the_whole_road(demo_home: Path, said: str) -> None:
    steps = ["1/4  simulated market", "2/4  training alpha_linear_5d", "3/4  training alpha_xgb_5d", "4/4  predicting"]
    assert [said.index(step) for step in steps] == sorted(said.index(step) for step in steps)
    models = Tracking(demo_home).list_models()
    assert [(m.name, m.versions, dict(m.aliases)) for m in models] == [(n, (1,), {"champion": 1}) for n in NAMES]
    store = Store(demo_home / "store")
    assert {"bars/CS", "bars/INDX", "factors/CS", "pred_alpha", "reference/simulation"} <= set(store.tables())
    last = store.span("bars/CS")[1]
    file = demo_home / "predictions" / "alpha_xgb_5d" / f"{last}.parquet"
    frame = pl.read_parquet(file)
    assert_frame_equal(store.scan("pred_alpha").select(frame.columns).sort("asset").collect(), frame.sort("asset"))
    assert frame["run_id"].unique().to_list() == [Tracking(demo_home).resolve("alpha_xgb_5d@champion").run_id]


def test_factors_are_built_once_for_both_models(said: str) -> None:
    assert said.count("building ") == 1
    assert said.count("matrix: ") == 2


def test_what_the_demo_shows_are_the_numbers_of_the_runs(demo_home: Path, said: str) -> None:
    tracking = Tracking(demo_home)
    shown = re.findall(r"^RankIC, mean +(\S+) +(\S+)$", said, re.MULTILINE)
    for name, numbers in zip(NAMES, shown, strict=True):
        metrics = tracking.client.get_run(tracking.resolve(f"{name}@champion").run_id).data.metrics
        assert numbers == tuple(f"{metrics[key]:+.4f}" for key in ("rank_ic/mean", "holdout_rank_ic/mean"))


def test_what_the_demo_says_to_type_next_works(daybar: Daybar, own_home: Path, demo_home: Path, said: str) -> None:
    (line,) = [line for line in said.splitlines() if line.startswith("Another day: daybar ")]
    _, verb, *arguments = line.removeprefix("Another day: ").replace(str(demo_home), str(own_home)).split()
    answer = daybar(verb, *arguments)
    assert (answer.code, answer.err) == (0, "")
    assert f"as of {arguments[2]}, tradable from " in answer.out


def test_a_demo_without_its_configs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.demo, "CONFIGS", tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="it must run from a checkout"):
        run_demo(tmp_path / "home", "tiny", "planted", 0)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", ["alpha_linear", "alpha_xgb"])
def test_the_demo_trains_the_configs_of_the_checkout(name: str) -> None:
    as_it_stands = load(serving.demo.CONFIGS / f"{name}.yaml")
    for size in ("tiny", "demo"):
        config = demo_config(name, size)
        assert (config.name, config.model, config.label) == (as_it_stands.name, as_it_stands.model, as_it_stands.label)
        assert config.split != as_it_stands.split


def test_a_config_of_ones_own_goes_the_same_road(daybar: Daybar, own_home: Path) -> None:
    config = Path("mine.yaml")
    config.write_text(
        "name: mine\n"
        "features: {sets: [], names: [cs_ret_1d, cs_f_roc_20, cs_turnover20, cs_f_std_20]}\n"
        "label: {horizon: 3, entry: next_vwap, excess: benchmark}\n"
        "data: {benchmark: '000300.XSHG', universe: {min_turnover: 6.0e7}}\n"
        "split: {mode: rolling, train: 100, window: 100, test: 50}\n"
        "preprocess: {kind: zscore}\n"
        "model: {kind: lightgbm, params: {rounds: 20, seeds: 1, min_child_samples: 50}}\n"
        "evaluate: {top_k: 5, min_names: 10}\n"
        "intervals: {calibration: 20}\n"
        "register: {name: 我的模型, alias: try}\n",
        encoding="utf-8",
    )
    trained = daybar("train", config, "--home", own_home, "--set", "split.embargo=2")
    assert (trained.code, trained.err) == (0, "")
    assert "registered 我的模型 version 1, alias try" in trained.out
    assert f"next: daybar predict 我的模型@try --home {own_home}" in trained.out
    manifest = Manifest.load(Tracking(own_home).resolve("我的模型@try").folder)
    assert (manifest.horizon, manifest.alpha.label.entry, manifest.target) == (
        3,
        "next_vwap",
        "excess_return_benchmark",
    )
    assert manifest.tradable.min_turnover == 6.0e7
    predicted = daybar("predict", "我的模型@try", "--asof", DAY, "--home", own_home)
    assert predicted.code == 0
    frame = pl.read_parquet(own_home / "predictions" / "我的模型" / f"{DAY}.parquet")
    assert frame.select("horizon", "target").unique().row(0) == (3, "excess_return_benchmark")
    rows = Store(own_home / "store").scan("factors/CS").filter(pl.col("date") == DAY).collect()
    liquid = rows.filter(pl.col("cs_turnover20") >= 6.0e7)["order_book_id"]
    scored = frame.filter(pl.col("score").is_not_null())
    assert set(scored["asset"]) <= set(liquid)
    assert 10 < len(scored) < 0.8 * len(rows), "the universe is the config's, not the default"
    said = frame.filter(pl.col("score").is_null())["reason"]
    assert "mean turnover of 20 sessions below 60,000,000 CNY, or not known" in said.to_list()


def test_a_restated_bar_is_a_restated_prediction_and_the_old_one_stays_readable(daybar: Daybar, own_home: Path) -> None:
    asked = ("predict", "alpha_linear_5d@champion", "--asof", DAY, "--home", own_home)
    file = own_home / "predictions" / "alpha_linear_5d" / f"{DAY}.parquet"
    assert daybar(*asked).code == 0
    store = Store(own_home / "store")
    before, version = pl.read_parquet(file), store.version("pred_alpha")
    # The vendor corrects the day's bar of one stock: a fifth of its volume had been forgotten.
    bar = (pl.col("date") == DAY) & (pl.col("order_book_id") == before["asset"][3])
    right = store.scan("bars/CS").filter(bar).with_columns(pl.col("volume", "total_turnover") * 1.25).collect()
    assert store.upsert("bars/CS", right).restated == 1
    later = daybar(*asked)
    assert later.code == 0
    restated = int(re.search(r"^0 new, (\d+) restated, (\d+) unchanged", later.out, re.MULTILINE)[1])
    assert restated >= 1
    after = pl.read_parquet(file)
    assert after["asset"].to_list() == before["asset"].to_list()
    assert after["score"][3] != before["score"][3]
    values = pl.struct("score", "score_rank")
    assert restated == before.select(values).to_series().ne_missing(after.select(values).to_series()).sum()
    assert store.version("pred_alpha") == version + 1
    of_day = pl.col("asof") == DAY
    for number, frame in ((version, before), (version + 1, after)):
        rows = store.scan("pred_alpha", number).filter(of_day).select(frame.columns).collect()
        assert_frame_equal(rows.sort("asset"), frame.sort("asset"), check_exact=True)


def test_the_next_session_continues_the_road(daybar: Daybar, own_home: Path) -> None:
    """Bars of one more evening: factors are built for that session alone, and the prediction moves on."""
    store = Store(own_home / "store")
    last = store.span("bars/CS")[1]
    tomorrow = dt.date(2022, 1, 19)
    for table in ("bars/CS", "bars/INDX"):
        bars = store.scan(table).filter(pl.col("date") == last).with_columns(date=pl.lit(tomorrow)).collect()
        store.upsert(table, bars)
    factors = store.version("factors/CS")
    answer = daybar("predict", "alpha_linear_5d@champion", "--home", own_home)
    assert answer.code == 0
    assert "as of 2022-01-19, tradable from 2022-01-20" in answer.out
    assert store.version("factors/CS") == factors + 1
    assert store.changed_from("factors/CS", factors) == tomorrow
    columns = json.dumps(store.meta("factors/CS")["columns"])
    assert "2022-01-19" in columns
