"""Predictions are keyed, idempotent and versioned in the store, and whole in the files."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.store import Store
from serving.prediction import ALPHA, KEYS, OUTLOOK, Prediction
from serving.sink import WITHDRAWN, give, stored
from training.manifest import Manifest
from training.tracking import ModelRef

MANIFEST = Manifest(
    task="alpha",
    asset_class="CS",
    factors={},
    settings="",
    target="excess_return_universe",
    config_hash="",
    data={},
    trained=("", ""),
)
MONDAY, TUESDAY, WEDNESDAY = (dt.date(2024, 1, day) for day in (8, 9, 10))


def prediction(
    scores: dict[str, float | None], asof: dt.date = MONDAY, run_id: str = "run1", effective: dt.date = TUESDAY
) -> Prediction:
    count = len(scores)
    frame = pl.DataFrame(
        {
            "asof": [asof] * count,
            "effective": [effective] * count,
            "asset": list(scores),
            "target": ["excess_return_universe"] * count,
            "horizon": [5] * count,
            "run_id": [run_id] * count,
            "score": list(scores.values()),
            "score_rank": [(i + 0.5) / count for i in range(count)],
            **{name: pl.Series([None] * count, dtype=pl.Float64) for name in OUTLOOK},
            "reason": pl.Series([None] * count, dtype=pl.String),
        }
    )
    return Prediction(ModelRef("alpha_x", 3, run_id, Path()), MANIFEST, frame, {}, 1.0, Store(Path()))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def scores(store: Store, version: int | None = None, run_id: str = "run1") -> dict[str, float | None]:
    rows = store.scan("pred_alpha", version).filter(pl.col("run_id") == run_id).sort("asof", "asset").collect()
    return dict(rows.select("asset", "score").rows())


def reasons(store: Store) -> dict[str, str | None]:
    return dict(store.scan("pred_alpha").sort("asset").select("asset", "reason").collect().rows())


def test_giving_the_same_twice_changes_nothing(store: Store, tmp_path: Path) -> None:
    given = prediction({"a": 0.3, "b": 0.1})
    first, (path,) = give(store, given, tmp_path)
    assert (first.new, first.restated, first.unchanged) == (2, 0, 0)
    content = path.read_bytes()
    second, (again,) = give(store, given, tmp_path)
    assert (second.new, second.restated, second.unchanged) == (0, 0, 2)
    assert (second.version, again, again.read_bytes()) == (first.version, path, content)


def test_other_scores_under_the_same_keys_are_a_new_version_and_the_old_one_stays(store: Store, tmp_path: Path) -> None:
    first, _ = give(store, prediction({"a": 0.3, "b": 0.1}), tmp_path)
    second, (path,) = give(store, prediction({"a": 0.3, "b": 0.2}), tmp_path)
    assert (second.new, second.restated) == (0, 1)
    assert second.version == first.version + 1
    assert scores(store) == {"a": 0.3, "b": 0.2}
    assert scores(store, first.version) == {"a": 0.3, "b": 0.1}
    assert pl.read_parquet(path)["score"].to_list() == [0.3, 0.2]


def test_an_asset_that_is_no_longer_scored_keeps_a_row_without_a_score(store: Store, tmp_path: Path) -> None:
    give(store, prediction({"a": 0.3, "b": 0.1}), tmp_path)
    smaller = prediction({"a": 0.3})
    written, (path,) = give(store, smaller, tmp_path)
    assert written.restated == 2, "b, and a whose rank has changed"
    assert scores(store) == {"a": 0.3, "b": None}
    assert reasons(store) == {"a": None, "b": WITHDRAWN}
    assert pl.read_parquet(path)["asset"].to_list() == ["a"]
    assert give(store, smaller, tmp_path)[0].version == written.version
    give(store, prediction({"a": 0.3, "b": 0.4}), tmp_path)
    assert scores(store) == {"a": 0.3, "b": 0.4}
    assert reasons(store) == {"a": None, "b": None}


def test_a_reason_of_an_asset_that_is_no_longer_among_them_is_withdrawn_too(store: Store, tmp_path: Path) -> None:
    given = prediction({"a": 0.3, "b": None})
    told = pl.when(pl.col("asset") == "b").then(pl.lit("not traded on the session"))
    give(store, replace(given, frame=given.frame.with_columns(reason=told)), tmp_path)
    give(store, prediction({"a": 0.3}), tmp_path)
    assert reasons(store) == {"a": None, "b": WITHDRAWN}


def test_a_calendar_that_moves_the_next_session_leaves_one_score_an_asset(store: Store, tmp_path: Path) -> None:
    give(store, prediction({"a": 0.3}), tmp_path)
    give(store, prediction({"a": 0.3}, effective=WEDNESDAY), tmp_path)
    standing = store.scan("pred_alpha").filter(pl.col("score").is_not_null()).collect()
    assert standing["effective"].to_list() == [WEDNESDAY]


def test_other_sessions_and_other_runs_are_left_alone(store: Store, tmp_path: Path) -> None:
    give(store, prediction({"a": 0.3, "b": 0.1}), tmp_path)
    give(store, prediction({"a": 0.7}, run_id="run2"), tmp_path)
    give(store, prediction({"c": 0.5}, asof=TUESDAY, effective=WEDNESDAY), tmp_path)
    assert scores(store) == {"a": 0.3, "b": 0.1, "c": 0.5}
    assert scores(store, run_id="run2") == {"a": 0.7}


def test_the_files_lie_by_model_and_session_and_hold_the_frame(store: Store, tmp_path: Path) -> None:
    given = prediction({"a": 0.1 + 0.2, "b": 1e-17})
    _, (path,) = give(store, given, tmp_path / "predictions", csv=True)
    assert path == tmp_path / "predictions" / "alpha_x" / "2024-01-08.parquet"
    assert_frame_equal(pl.read_parquet(path), given.frame, check_exact=True)
    table = pl.read_csv(path.with_suffix(".csv"), schema=given.frame.schema)
    assert_frame_equal(table, given.frame, check_exact=True)
    assert sorted(p.name for p in path.parent.iterdir()) == ["2024-01-08.csv", "2024-01-08.parquet"]


def test_a_model_without_a_name_is_filed_under_its_run(store: Store, tmp_path: Path) -> None:
    given = prediction({"a": 0.3})
    _, (path,) = give(store, replace(given, model=ModelRef(None, None, "run1", Path())), tmp_path)
    assert path.parent.name == "run1"


def test_a_range_is_one_commit_and_a_file_a_session(store: Store, tmp_path: Path) -> None:
    both = [prediction({"a": 0.3}), prediction({"a": 0.4, "b": 0.1}, asof=TUESDAY, effective=WEDNESDAY)]
    written, paths = give(store, both, tmp_path)
    assert (written.new, written.version) == (3, 0)
    assert [path.name for path in paths] == ["2024-01-08.parquet", "2024-01-09.parquet"]
    for one, path in zip(both, paths, strict=True):
        assert_frame_equal(pl.read_parquet(path), one.frame, check_exact=True)
    again, _ = give(store, both, tmp_path)
    assert (again.new, again.restated, again.unchanged, again.version) == (0, 0, 3, 0)


def test_a_table_of_before_there_were_reasons_takes_the_new_columns(store: Store, tmp_path: Path) -> None:
    old = prediction({"a": 0.3, "b": 0.1, "c": 0.2}).frame.select(*KEYS, "score", "score_rank")
    emptied = pl.when(pl.col("asset") != "c").then
    store.upsert("pred_alpha", old.with_columns(score=emptied("score"), score_rank=emptied("score_rank")), keys=KEYS)
    assert stored(store, ALPHA, "run1").collect()["reason"].to_list() == [None] * 3
    given = prediction({"a": 0.3, "d": 0.9})
    told = pl.when(pl.col("asset") == "d").then(pl.lit("not traded on the session"))
    frame = given.frame.with_columns(score_rank=pl.lit(0.5 / 3), mu_hat=pl.lit(0.01), reason=told)
    written, _ = give(store, replace(given, frame=frame), tmp_path)
    assert (written.new, written.restated, written.unchanged) == (1, 3, 0)
    rows = store.scan("pred_alpha").sort("asset").collect()
    assert rows["reason"].to_list() == [None, WITHDRAWN, WITHDRAWN, "not traded on the session"]
    assert rows["mu_hat"].to_list() == [0.01, None, None, 0.01]
    assert store.scan("pred_alpha", 0).collect().columns == old.columns


def test_what_stands_in_a_store_without_predictions_is_nothing(store: Store) -> None:
    assert stored(store, ALPHA, "run1").collect().is_empty()
