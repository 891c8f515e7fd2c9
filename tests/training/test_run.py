"""A finished run: its page is complete, its model serves, and the same config gives the same numbers."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import pytest
from mlflow.entities import Run

from features.catalogue import catalogue
from features.matrix import matrix
from features.panel import DataError
from features.store import Store
from serving.demo import demo_config
from serving.predict import predict
from training.alpha_config import AlphaConfig
from training.config import load
from training.fit import Scorer
from training.manifest import Manifest
from training.page import HEADLINE, headline
from training.replay import replay
from training.run import Trained, train
from training.tracking import ModelRef, Tracking

MODEL = "alpha_linear_5d@champion"


@pytest.fixture(scope="module")
def config() -> AlphaConfig:
    return demo_config("alpha_linear", "tiny")


@pytest.fixture(scope="module")
def ref(demo_home: Path) -> ModelRef:
    return Tracking(demo_home).resolve(MODEL)


@pytest.fixture(scope="module")
def client(demo_home: Path) -> mlflow.MlflowClient:
    return Tracking(demo_home).client


@pytest.fixture(scope="module")
def run(client: mlflow.MlflowClient, ref: ModelRef) -> Run:
    return client.get_run(ref.run_id)


@pytest.fixture(scope="module")
def again(demo_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    """The same config trained a second time in a home of its own, on the same store, and not registered."""
    home = tmp_path_factory.mktemp("again")
    (home / "store").symlink_to(demo_home / "store")
    config = demo_config("alpha_linear", "tiny").model_copy(update={"registration": None})
    return train(config, home), home


def artifact(client: mlflow.MlflowClient, run: Run, name: str, folder: Path) -> str:
    return Path(client.download_artifacts(run.info.run_id, name, str(folder))).read_text(encoding="utf-8")


def test_a_run_ends_finished_under_the_name_of_its_config(client: mlflow.MlflowClient, run: Run, config) -> None:
    assert run.info.status == "FINISHED"
    assert run.info.run_name == config.name == "alpha_linear_5d"
    assert client.get_experiment(run.info.experiment_id).name == "alpha"
    assert "| RankIC, mean |" in run.data.tags["mlflow.note.content"]


def test_its_config_is_read_back_to_an_equal_one(client, run: Run, config: AlphaConfig, tmp_path: Path) -> None:
    client.download_artifacts(run.info.run_id, "config.yaml", str(tmp_path))
    back = load(tmp_path / "config.yaml")
    assert back == config
    assert run.data.tags["config_hash"] == back.hash


def test_its_parameters_are_the_settings_with_every_default(run: Run) -> None:
    params = run.data.params
    for name, value in (
        ("label.horizon", "5"),
        ("split.train", "120"),
        ("model.kind", "linear"),
        ("data.universe.min_listed", "60"),
        ("data.start", "null"),
        ("features.sets", '["stock_core"]'),
        ("evaluate.capital", "100000000.0"),
        ("seed", "20240607"),
    ):
        assert params[name] == value
    assert "model.params.alpha" in params
    assert not [name for name in params if name.startswith("register")]


def test_its_tags_and_inputs_name_the_version_of_every_table(run: Run, ref: ModelRef, demo_home: Path) -> None:
    store = Store(demo_home / "store")
    versions = json.loads(run.data.tags["data_version"])
    assert versions == {t: store.version(t) for t in store.tables() if t.startswith(("bars/", "reference/"))}
    assert versions == Manifest.load(ref.folder).data
    inputs = {one.dataset.name: one.dataset for one in run.inputs.dataset_inputs}
    assert set(inputs) == {"bars/CS", "bars/INDX", "reference/instruments", "reference/calendar"} & set(versions)
    for name, dataset in inputs.items():
        source = json.loads(dataset.source)
        assert source["delta_table_version"] == versions[name]
        assert Path(source["path"]) == (demo_home / "store" / name).resolve()
    assert json.loads(inputs["bars/CS"].profile)["num_rows"] > 10_000
    assert {"daybar", "python", "cpus", "platform"} <= set(run.data.tags)


def test_its_factors_are_listed_with_the_hashes_that_serving_asks_for(client, run: Run, ref, tmp_path: Path) -> None:
    table = json.loads(artifact(client, run, "factors.json", tmp_path))
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    manifest = Manifest.load(ref.folder)
    assert {row["factor"]: row["hash"] for row in rows} == manifest.factors
    assert list(manifest.factors) == list(Scorer.load(ref.folder).columns)
    assert len(rows) > 60
    assert all(len(row["hash"]) == 12 and row["中文"] and row["unit"] for row in rows)
    assert run.data.tags["factor_hash"] == manifest.factor_hash


def test_its_figures_and_tables_are_there(client: mlflow.MlflowClient, run: Run, tmp_path: Path) -> None:
    figures = {Path(one.path).stem: one for one in client.list_artifacts(run.info.run_id, "figures")}
    assert {name.split("_", 1)[0] for name in figures} == {f"{n:02}" for n in range(1, 14)}
    assert {"01_rank_ic", "03_top_k", "12_holdout_rank_ic", "13_holdout_top_k"} <= set(figures)
    assert all(one.path.endswith(".png") and one.file_size > 5_000 for one in figures.values())
    lost = json.loads(artifact(client, run, "rows_lost.json", tmp_path))
    assert lost["universe"] > lost["kept"] > 10_000
    assert lost["kept"] == run.data.metrics["rows/kept"] == run.data.metrics["rows/final_fit"]
    assert "packages" in json.loads(artifact(client, run, "environment.json", tmp_path))
    factors = json.loads(artifact(client, run, "factor_ic.json", tmp_path))
    q = [row[factors["columns"].index("q")] for row in factors["data"]]
    assert len(q) == len(json.loads(artifact(client, run, "factors.json", tmp_path))["data"])
    assert all(0 <= one <= 1 for one in q if one is not None)
    report = artifact(client, run, "report.html", tmp_path)
    assert report.count("<h1") == 1
    assert f"{run.data.metrics['rank_ic/mean']:+.4f}" in report


def test_its_headline_numbers_are_metrics_of_both_spans(run: Run) -> None:
    metrics = run.data.metrics
    for _, key, _, name in HEADLINE:
        assert np.isfinite(metrics[key]), key
        assert not name or metrics[name] == metrics[key]
        if not key.startswith("ledger/"):
            assert np.isfinite(metrics[f"holdout_{key}"]), key
            assert metrics[key] != metrics[f"holdout_{key}"], key


def test_it_says_what_its_model_goes_by_on_sessions_that_it_has_not_seen(client, run: Run, tmp_path: Path) -> None:
    table = json.loads(artifact(client, run, "importance.json", tmp_path))
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert sum(row["gain"] for row in rows) == pytest.approx(1)
    assert [row["gain"] for row in rows] == sorted((row["gain"] for row in rows), reverse=True)
    assert sum(row["permutation"] is not None for row in rows) == 40
    assert all(row["contribution"] >= 0 for row in rows)
    first = rows[0]
    assert first["contribution"] > np.median([row["contribution"] for row in rows])
    assert first["中文"]
    assert 0 < run.data.metrics["importance/stability"] < 1


def test_its_trial_and_its_look_are_in_the_ledger(run: Run) -> None:
    tags, metrics = run.data.tags, run.data.metrics
    assert tags["holdout_scored"] == "true"
    assert (metrics["ledger/trials"], metrics["ledger/holdout_looks"]) == (1, 1)
    net_sharpe = metrics["ledger/sharpe_session"] * np.sqrt(242)
    assert metrics["top_k/excess_sharpe"] == pytest.approx(net_sharpe)
    assert 0 < metrics["ledger/dsr"] < 1


def test_what_tradability_costs_is_told_beside_the_rows_that_it_costs(run: Run) -> None:
    metrics = run.data.metrics
    assert metrics["paper/rank_ic_lost"] == pytest.approx(metrics["paper/rank_ic"] - metrics["rank_ic/mean"])
    assert 0 < abs(metrics["paper/rank_ic_lost"]) < 0.02
    assert metrics["rows/limit_up_at_entry"] > 0


def test_every_entry_is_judged_and_the_headline_is_one_of_them(run: Run) -> None:
    metrics = run.data.metrics
    excess = {e: metrics[f"entries/{e}_excess_over_universe"] for e in ("next_open", "next_vwap", "next_close")}
    assert excess["next_open"] == metrics["top_k/excess_over_universe"]
    assert len(set(excess.values())) == 3


def test_its_intervals_hold_their_estimates(run: Run) -> None:
    metrics = run.data.metrics
    assert metrics["rank_ic/lo"] < metrics["rank_ic/mean"] < metrics["rank_ic/hi"]
    assert metrics["bootstrap/rank_ic_lo"] < metrics["rank_ic/mean"] < metrics["bootstrap/rank_ic_hi"]
    low, high = (metrics[f"bootstrap/net_excess_sharpe_{end}"] for end in ("lo", "hi"))
    assert low < metrics["top_k/excess_sharpe"] < high
    assert 0.8 < metrics["band/coverage"] < 0.97


def test_its_series_lie_on_the_dates_of_the_tests(client: mlflow.MlflowClient, run: Run, demo_home: Path) -> None:
    points = client.get_metric_history(run.info.run_id, "by_session/rank_ic")
    days = np.array([point.timestamp // 86_400_000 for point in points], dtype="datetime64[D]")
    calendar = Store(demo_home / "store").calendar()
    assert (calendar.positions(days) == [point.step for point in points]).all()
    metrics = run.data.metrics
    count = metrics["rank_ic/n"] + metrics["holdout_rank_ic/n"]
    assert len(points) == count > 150
    developed = [p.value for p in points if p.step < 400 * 0.8]
    assert np.mean(developed) == pytest.approx(metrics["rank_ic/mean"], abs=1e-12)
    running = client.get_metric_history(run.info.run_id, "by_session/rank_ic_cumulative")
    assert running[-1].value == pytest.approx(sum(p.value for p in points), abs=1e-9)
    assert client.get_metric_history(run.info.run_id, "by_session/top_k_net_value")


def test_each_fold_and_the_holdout_is_a_run_below_it(client: mlflow.MlflowClient, run: Run) -> None:
    below = f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    children = {one.info.run_name: one for one in client.search_runs([run.info.experiment_id], below)}
    folds = len(client.get_metric_history(run.info.run_id, "fold/rank_ic"))
    assert folds >= 3
    assert set(children) == {*(f"fold {n}" for n in range(folds)), "holdout"}
    spans = []
    for name, child in children.items():
        assert child.info.status == "FINISHED"
        assert child.data.tags["sealed"] == str(name == "holdout").lower()
        trained, tested = (child.data.params[key].split(" to ") for key in ("train", "test"))
        assert trained[1] < tested[0]
        spans.append((*tested, int(child.data.params["rows"])))
        found = {Path(one.path).name for one in client.list_artifacts(child.info.run_id)}
        assert {"importance.json", "dropped_columns.json"} <= found
    spans.sort()
    assert all(one[1] < next_one[0] for one, next_one in itertools.pairwise(spans)), "tests overlap"
    assert all(one[2] < next_one[2] for one, next_one in itertools.pairwise(spans)), "expanding"


def test_its_model_is_registered_with_what_it_learnt_from(client, run: Run, ref: ModelRef) -> None:
    version = client.get_model_version_by_alias("alpha_linear_5d", "champion")
    assert (int(version.version), version.run_id) == (1, run.info.run_id)
    for tag in ("asset_class", "data_version", "factor_hash", "config_hash"):
        assert version.tags[tag] == run.data.tags[tag]
    first, last = Manifest.load(ref.folder).trained
    assert "2020-06" <= first < last < "2022-01-18"


def test_its_model_loads_without_pickle_and_scores_as_the_scorer(demo_home: Path, ref: ModelRef) -> None:
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    scorer = Scorer.load(ref.folder)
    table, _, _ = matrix(Store(demo_home / "store"), catalogue("CS"), scorer.columns, "2021-12-01", "2021-12-10")
    frame = pd.DataFrame(table.values, columns=list(table.columns))
    frame["session"] = table.sessions[table.session].astype(str)
    served = mlflow.pyfunc.load_model(str(ref.folder.parents[1])).predict(frame)
    assert np.array_equal(served["score"].to_numpy(), scorer.score(table.values, table.session))
    files = [path.name for path in ref.folder.parents[1].rglob("*") if path.is_file()]
    assert "manifest.json" in files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".joblib"))]


OF_THE_LEDGER = ("ledger/", "dsr")


def test_a_run_that_registers_nothing_leaves_the_holdout_sealed(again: tuple[Trained, Path], run: Run) -> None:
    trained, home = again
    tracking = Tracking(home)
    second = tracking.client.get_run(trained.run_id)
    assert not [name for name in second.data.metrics if name.startswith("holdout_")]
    assert "holdout_scored" not in second.data.tags
    children = tracking.client.search_runs(
        [second.info.experiment_id], f"tags.`mlflow.parentRunId` = '{trained.run_id}'"
    )
    assert "holdout" not in {one.info.run_name for one in children}
    assert second.data.metrics["ledger/holdout_looks"] == 0
    assert trained.headline()[1] == ("RankIC, mean", f"{run.data.metrics['rank_ic/mean']:+.4f}", "-")


def test_the_same_settings_give_the_same_numbers_to_the_last_digit(again: tuple[Trained, Path], run: Run) -> None:
    trained, home = again
    second = Tracking(home).client.get_run(trained.run_id)
    own = {k: v for k, v in second.data.metrics.items() if not k.startswith((*OF_THE_LEDGER, "by_session/"))}
    assert len(own) > 80
    assert own == {k: run.data.metrics[k] for k in own}
    assert second.data.tags["config_hash"] != run.data.tags["config_hash"], "one registers, the other does not"
    assert second.data.tags["trial_hash"] == run.data.tags["trial_hash"], "but they are one trial"
    assert second.data.tags["factor_hash"] == run.data.tags["factor_hash"]


def test_a_replay_repeats_a_run_from_its_data_though_the_store_has_moved_on(own_home: Path) -> None:
    store, tracking = Store(own_home / "store"), Tracking(own_home)
    first = tracking.resolve(MODEL).run_id
    rows = store.scan("bars/CS").filter(pl.col("date") < dt.date(2021, 1, 4)).collect()
    store.upsert("bars/CS", rows.with_columns(pl.col("close", "high") * 1.001))
    found = replay(first, own_home)
    assert found.differences == {}
    assert found.compared > 120
    again = tracking.client.get_run(found.trained.run_id)
    assert again.data.tags["replay_of"] == first
    assert "holdout_scored" not in again.data.tags, "the holdout was looked at once"
    assert found.trained.version is None
    assert not list(own_home.glob(".replay-*"))
    moved = train(demo_config("alpha_linear", "tiny").model_copy(update={"registration": None}), own_home)
    assert moved.metrics["rank_ic/mean"] != found.trained.metrics["rank_ic/mean"], "the store has moved on"


def test_a_config_that_registers_nothing_leaves_a_model_that_its_run_names(
    again: tuple[Trained, Path], demo_home: Path
) -> None:
    trained, home = again
    assert (trained.name, trained.version, trained.alias) == (None, None, None)
    assert Tracking(home).list_models() == []
    store = Store(demo_home / "store")
    given = predict(home, store, f"runs:{trained.run_id}")
    assert (given.model.name, given.model.run_id) == (None, trained.run_id)
    registered = predict(demo_home, store, MODEL).frame
    told = ["asset", "score", "score_rank", "reason"]
    assert given.frame.select(told).equals(registered.select(told))


def test_what_comes_back_is_what_was_recorded(again: tuple[Trained, Path]) -> None:
    trained, home = again
    recorded = Tracking(home).client.get_run(trained.run_id).data.metrics
    assert {k: v for k, v in trained.metrics.items() if np.isfinite(v)}.items() <= recorded.items()


def test_a_headline_number_that_is_not_there_is_a_dash() -> None:
    rows = {label: numbers for label, *numbers in headline({"rank_ic/mean": 0.01234})}
    assert rows["RankIC, mean"] == ["+0.0123", "-"]
    assert rows["top k: net Sharpe"] == ["-", "-"]
    assert len(rows) == len(HEADLINE)


def test_a_run_that_fails_is_recorded_as_failed_with_the_reason(own_home: Path) -> None:
    config = demo_config("alpha_linear", "tiny")
    evaluate = config.evaluate.model_copy(update={"min_names": 5_000})
    with pytest.raises(DataError, match="some session must have 5000 names with a score and a label; found at most"):
        train(config.model_copy(update={"evaluate": evaluate}), own_home)
    tracking = Tracking(own_home)
    experiment = tracking.client.get_experiment_by_name("alpha")
    (failed,) = tracking.client.search_runs([experiment.experiment_id], "attributes.status = 'FAILED'")
    assert "found at most" in failed.data.tags["error"]
    assert [len(one.versions) for one in tracking.list_models() if one.name == config.name] == [1]


def test_a_store_that_is_not_there_says_what_to_do(tmp_path: Path, config: AlphaConfig) -> None:
    with pytest.raises(DataError, match=r"hold the table bars/CS; found no table\.\n  Run `daybar ingest` first"):
        train(config, tmp_path)


def test_a_restated_bar_is_a_new_data_version(own_home: Path, config: AlphaConfig) -> None:
    store = Store(own_home / "store")
    bars = store.scan("bars/CS").filter(pl.col("date") == pl.date(2021, 9, 17)).head(1).collect()
    store.upsert("bars/CS", bars.with_columns(pl.col("volume") + 100))
    trained = train(config, own_home)
    tags = Tracking(own_home).client.get_run(trained.run_id).data.tags
    assert json.loads(tags["data_version"])["bars/CS"] == 1
    assert (trained.version, trained.alias) == (2, "champion")
    assert Tracking(own_home).resolve(MODEL).run_id == trained.run_id
