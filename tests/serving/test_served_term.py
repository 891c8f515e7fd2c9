"""Term structures by the command line: states and distances to the store, and from there to factors of products."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.store import Store
from serving.predict import predict, predict_range
from serving.prediction import KEYS, TERM
from tests.command_line import Daybar
from tests.futures_market import futures_store
from tests.training.small_term import PRODUCTS, small_term
from training.mlruns import relocate
from training.run_term import train_term
from training.tracking import Tracking
from training.trained import Trained

MODEL = "small_term@champion"
FACTORS = ("fut_ss_short", "fut_ss_yield", "fut_ss_z_dominant", "fut_ss_z_spread")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    futures_store(folder / "store")
    return folder


@pytest.fixture(scope="module")
def trained(home: Path) -> Trained:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return train_term(small_term(curves={"every": "week"}), home)


@pytest.fixture(scope="module")
def days(home: Path) -> list[str]:
    return [
        str(day)
        for day in Store(home / "store").scan("bars/Future").select("date").unique().collect().to_series().sort()
    ]


def test_the_frame_has_a_row_a_product_and_a_contract(trained: Trained, home: Path, days: list[str]) -> None:
    assert trained.predicts
    given = predict(home, None, MODEL)
    frame = given.frame
    assert frame.columns == [*KEYS, *TERM.values, "reason"]
    assert set(frame["horizon"]) == {0}
    assert set(frame["target"]) == {"term_structure"}
    assert str(frame["asof"][0]) == days[-1]
    assert (frame["effective"] > frame["asof"]).all()
    assert frame.filter(pl.col("asset") == pl.col("product"))["asset"].to_list() == list(PRODUCTS)
    assert frame["asset"].is_unique().all()
    assert (given.coverage, dict(given.left_out)) == (1.0, {})
    assert frame["model_price"].null_count() == 0
    early = predict(home, None, MODEL, days[100])
    assert early.coverage == 0.0
    assert all(reason.startswith("the fit has learnt from curves up to") for reason in early.left_out)


def test_a_session_is_the_same_alone_and_in_a_range(trained: Trained, home: Path, days: list[str]) -> None:
    span = predict_range(home, None, MODEL, days[-8], days[-1])
    for one, day in zip(span.predictions, days[-8:], strict=True):
        assert one.frame.equals(predict(home, None, MODEL, day).frame)


def test_it_is_shown_written_once_and_becomes_factors(
    trained: Trained, home: Path, days: list[str], daybar: Daybar
) -> None:
    answer = daybar("predict", MODEL, "--home", home)
    assert answer.code == 0, answer.err
    assert "small_term 1: states of 2 products" in answer.out
    assert f"as of the settlement of {days[-1]}" in answer.out
    assert "without a forecast: none" in answer.out
    again = daybar("predict", MODEL, "--home", home)
    assert "0 new, 0 restated" in again.out
    ranged = daybar("predict", MODEL, "--from", days[-30], "--to", days[-1], "--home", home)
    assert ranged.code == 0, ranged.err
    assert "30 sessions" in ranged.out
    built = daybar("build", "--asset-class", "Product", "--store", "store", "--home", home)
    assert built.code == 0, built.err
    assert not any(f"absent: {name}" in built.out for name in FACTORS)
    store = Store(home / "store")
    said = store.scan("pred_term").collect()
    told = store.scan("factors/Product").select("date", "order_book_id", *FACTORS).collect()
    joined = said.filter(pl.col("asset") == pl.col("product")).join(
        told, left_on=["asof", "asset"], right_on=["date", "order_book_id"]
    )
    assert len(joined) == 60
    assert joined["fut_ss_short"].to_list() == pytest.approx(joined["chi"].to_list(), rel=1e-6)
    assert joined["fut_ss_yield"].to_list() == pytest.approx(joined["convenience_yield"].to_list(), rel=1e-6)
    roles = store.scan("bars/Product").select("date", "order_book_id", "month_dominant", "month_sub_dominant").collect()
    z = said.select("asof", "product", "z", month=pl.col("month").cast(pl.Float64))
    for role in ("dominant", "sub_dominant"):
        roles = roles.join(
            z.rename({"z": role}),
            left_on=["date", "order_book_id", f"month_{role}"],
            right_on=["asof", "product", "month"],
            how="left",
        )
    both = told.join(roles, on=["date", "order_book_id"]).drop_nulls("fut_ss_short")
    assert both["fut_ss_z_dominant"].count() > 40
    for factor, expected in (
        ("fut_ss_z_dominant", both["dominant"]),
        ("fut_ss_z_spread", both["sub_dominant"] - both["dominant"]),
    ):
        found, known = (one.cast(pl.Float64).fill_null(np.nan).to_numpy() for one in (both[factor], expected))
        np.testing.assert_allclose(found, known, rtol=1e-5)
    assert told.drop_nulls("fut_ss_short")["order_book_id"].n_unique() == len(PRODUCTS)


@pytest.mark.parametrize("how", [("watch", MODEL), ("predict", MODEL, "--diff", "2025-12-11", "2025-12-12")])
def test_what_curves_do_not_know_is_refused(trained: Trained, home: Path, daybar: Daybar, how: tuple[str, ...]) -> None:
    refusal = daybar(*how, "--home", home).refusal()
    assert "its model must be of the task alpha or volatility" in refusal["must"]
    assert refusal["found"] == "term_structure"


def test_a_version_is_not_promoted(trained: Trained, home: Path, tmp_path: Path, daybar: Daybar) -> None:
    copy = tmp_path / "home"
    shutil.copytree(home, copy)
    relocate(copy)
    Tracking(copy).client.delete_registered_model_alias("small_term", "champion")
    assert daybar("promote", "small_term", "1", "--home", copy).refusal()["found"] == "term_structure"
