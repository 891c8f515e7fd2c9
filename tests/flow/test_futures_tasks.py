"""The tasks of futures by the command line: from a simulated market to predictions, on settings that take seconds."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from features.store import Store
from tests.command_line import Daybar
from tests.futures_market import futures_store

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
WALK = ("split={train: 250, least: 120, test: 60}", "models={ar1: {kind: ou}}", "serve=ar1")
SMALL = {
    "calendar_spread": ("data.products=[RB, M]", *WALK),
    "basis": ("data.products=[IF]", *WALK),
    "cross_product": ("data.products=[SC, FU]", "screening.level=0.99", "screening.half_life=[0, 500]", *WALK),
    "term_structure": ("data.products=[SC, IF]",),
}


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    futures_store(home / "store")
    return home


def trained(daybar: Daybar, home: Path, name: str) -> str:
    settings = [word for one in SMALL[name] for word in ("--set", one)]
    answer = daybar("train", CONFIGS / f"{name}.yaml", *settings, "--home", home)
    assert answer.code == 0, answer.err
    return answer.out


@pytest.mark.parametrize("name", ["calendar_spread", "basis"])
def test_spreads_are_trained_predicted_and_given_to_the_store(daybar: Daybar, market: Path, name: str) -> None:
    said = trained(daybar, market, name)
    assert f"registered {name} version 1, alias champion" in said
    answer = daybar("predict", f"{name}@champion", "--home", market)
    assert answer.code == 0, answer.err
    assert "spread excess returns of" in answer.out
    rows = (
        Store(market / "store").scan("pred_spread").filter(pl.col("asset").str.contains("basis") == (name == "basis"))
    )
    told = rows.collect()
    assert told["yhat"].count() == len(told) - told["reason"].count()
    assert told["yhat"].count() >= 4
    assert set(told["horizon"]) == {1, 5, 10, 20}
    again = daybar("predict", f"{name}@champion", "--home", market)
    assert f"0 new, 0 restated, {len(told)} unchanged" in again.out


def test_products_against_each_other_are_served_while_they_are_candidates(daybar: Daybar, market: Path) -> None:
    said = trained(daybar, market, "cross_product")
    assert "FU" in said
    answer = daybar("predict", "cross_product@champion", "--home", market)
    assert answer.code == 0, answer.err
    told = Store(market / "store").scan("pred_spread").filter(pl.col("asset") == "SC-FU").collect()
    assert len(told) == 4
    assert told["yhat"].count() == len(told) - told["reason"].count()
    assert all(why.startswith("no candidate") for why in told["reason"].drop_nulls())


def test_a_range_of_spreads_is_predicted(daybar: Daybar, market: Path) -> None:
    trained(daybar, market, "calendar_spread")
    answer = daybar(
        "predict", "calendar_spread@champion", "--from", "2025-12-01", "--to", "2025-12-12", "--home", market
    )
    assert answer.code == 0, answer.err
    assert "10 sessions" in answer.out


def test_a_term_structure_is_trained_and_tells_states_of_a_session(daybar: Daybar, market: Path) -> None:
    said = trained(daybar, market, "term_structure")
    assert "next: daybar predict term_structure@champion" in said
    answer = daybar("predict", "term_structure@champion", "--home", market)
    assert answer.code == 0, answer.err
    assert "term_structure 1: states of 1 product" in answer.out
    told = Store(market / "store").scan("pred_term").collect()
    states = told.filter(pl.col("asset") == pl.col("product"))
    assert set(states.drop_nulls("chi")["asset"]) == {"SC"}
    (why,) = states.filter(pl.col("asset") == "IF")["reason"]
    assert why.startswith("the search did not settle")
    assert told["z"].count() >= 4


@pytest.mark.parametrize("verb", ["watch", "promote", "predict --diff"])
def test_what_spreads_do_not_know_is_refused(daybar: Daybar, market: Path, verb: str) -> None:
    trained(daybar, market, "basis")
    trained(daybar, market, "basis")
    how = {
        "watch": ("watch", "basis@champion"),
        "promote": ("promote", "basis", "1"),
        "predict --diff": ("predict", "basis@champion", "--diff", "2025-12-11", "2025-12-12"),
    }[verb]
    refusal = daybar(*how, "--home", market).refusal()
    assert "its model must be of the task alpha or volatility" in refusal["must"]
    assert refusal["found"] == "spread"
