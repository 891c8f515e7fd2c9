"""A training of term structures, told once: what its run records, what it registers, what is missing and why."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import pytest

from features.panel import DataError
from features.store import Store
from tests.futures_market import futures_store
from tests.training.small_term import PRODUCTS, small_term
from training.run_term import train_term
from training.tasks import term_structure
from training.term_book import TermBook
from training.term_config import TermConfig
from training.term_data import gather
from training.tracking import Tracking
from training.trained import Trained


@pytest.fixture(scope="module")
def config() -> TermConfig:
    return small_term()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    futures_store(folder / "store")
    return folder


@pytest.fixture(scope="module")
def trained(config: TermConfig, home: Path) -> Trained:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return train_term(config, home)


def parquet(trained: Trained, home: Path, name: str) -> pl.DataFrame:
    folder = Tracking(home).client.download_artifacts(trained.run_id, f"{name}.parquet")
    return pl.read_parquet(folder)


def test_the_table_of_a_training_has_a_row_a_product(trained):
    head, *rows = trained.headline()
    assert head == term_structure.HEAD
    assert [row[0].split()[0] for row in rows] == list(PRODUCTS)
    assert rows[1][1] == "2"
    assert abs(float(rows[1][3]) - 1.5) < 0.3


def test_states_and_residuals_are_those_of_the_fit(trained, config, home):
    found = term_structure.fit(config, gather(config, Store(home / "store")))
    states, residuals = parquet(trained, home, "states"), parquet(trained, home, "residuals")
    for name, one in found.items():
        own = states.filter(product=name)
        assert np.array_equal(own["chi"].to_numpy(), one.model.seen.chi)
        assert np.array_equal(own["holdout"].to_numpy(), one.model.holdout)
        lines = residuals.filter(product=name)
        assert np.array_equal(np.sort(lines["residual"].drop_nulls()), np.sort(known(one.model.seen.residual)))
        away = (lines["price"] / lines["model"]).log() - lines["residual"]
        assert away.abs().max() < 1e-12
        square = (lines.filter(holdout=True)["residual"] ** 2).mean() ** 0.5
        assert trained.metrics[f"{name}/error_bp_holdout"] == pytest.approx(1e4 * square, rel=1e-9)


def known(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def test_a_run_records_what_a_reader_asks_for(trained, home):
    tracking = Tracking(home)
    record = tracking.record(trained.run_id)
    assert record.status == "FINISHED"
    assert record.params["params.contracts"] == "8"
    assert json.loads(record.tags["data_version"])["bars/Future"] == 0
    report = tracking.read_text(trained.run_id, "report.html")
    for word in ("沪深300股指期货", "原油", "When to roll", "Convenience yields", "simulated"):
        assert word in report
    figures = {
        name: {one.path.rpartition("/")[2] for one in tracking.client.list_artifacts(trained.run_id, f"figures/{name}")}
        for name in PRODUCTS
    }
    assert figures == {"IF": {"curves.png", "basis.png", "term.png"}, "SC": {"curves.png", "term.png"}}
    children = list(tracking.search("schwartz_smith", tags={"mlflow.parentRunId": trained.run_id}))
    assert {one.name for one in children} == set(PRODUCTS)
    assert "SC: no basis: no index lies under its contracts" in record.tags["mlflow.note.content"]


def test_tables_of_basis_yields_rolls_and_curves_agree_with_each_other(trained, home):
    basis, yields = parquet(trained, home, "basis"), parquet(trained, home, "yields")
    assert set(basis["product"]) == {"IF"}
    assert (basis["close_next"] / basis["spot"] - 1 - basis["basis"]).abs().max() < 1e-14
    assert set(yields.filter(product="IF")["near"]) == {"spot"}
    assert yields["yield"].null_count() == 0
    assert yields.filter(product="SC")["yield_literal"].count() == 3
    rolls = parquet(trained, home, "rolls")
    decided = rolls.filter(pl.col("saving").is_not_null())
    assert trained.metrics["IF/rolls_decided"] == len(decided.filter(product="IF"))
    same = decided.filter(pl.col("offset") == pl.col("offset_rule"))
    assert (same["saving"] == 0).all()
    curves = parquet(trained, home, "snapshots")
    for _, own in curves.filter(pl.col("contract") != "spot").group_by("product", "session"):
        assert own["years"].is_sorted()
        assert len(own) >= 2


def test_the_model_that_is_registered_prices_the_last_curves(trained, home):
    ref = Tracking(home).resolve("small_term@champion")
    assert (ref.version, ref.run_id) == (1, trained.run_id)
    assert set(TermBook.load(ref.folder).fits) == set(PRODUCTS)
    last = parquet(trained, home, "residuals").filter(product="SC").tail(40)
    told = {"session": [str(day) for day in last["session"]], "price": last["price"], "years": last["years"]}
    rows = pd.DataFrame({"product": "SC", **told})
    model = mlflow.pyfunc.load_model(str(ref.folder.parents[1]))
    shuffled = rows.sample(frac=1.0, random_state=1)
    found = model.predict(shuffled)
    days = last["session"].to_numpy().astype("datetime64[D]")
    expected = TermBook.load(ref.folder).priced("SC", days, rows["price"].to_numpy(), rows["years"].to_numpy())
    assert np.array_equal(found["model"], expected["model"].to_numpy()[shuffled.index])
    assert np.abs(np.log(shuffled["price"].to_numpy() / found["model"])).max() < 0.03
    with pytest.raises(DataError, match="there must be prices"):
        model.predict(rows[:0])


def test_a_repeated_training_gives_the_same_numbers_and_registers_nothing(trained, config, home):
    again = train_term(config, home, replay_of=trained.run_id)
    assert again.metrics == trained.metrics
    assert again.version is None
