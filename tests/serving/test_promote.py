"""Champion and challenger: numbers of the runs side by side, an alias that moves only where it may."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.panel import ConfigError
from features.store import Store
from serving.promote import Candidates, Version, move
from tests.command_line import Daybar
from training.manifest import Manifest
from training.packaged import packaged_volatility
from training.tasks import volatility
from training.tracking import Tracking
from training.volatility_config import VolatilityConfig

NAME = "alpha_linear_5d"


@pytest.fixture
def two_versions(own_home: Path) -> Path:
    """Version 1 of the ridge's name is the ridge, the champion; version 2 is the trees, the challenger."""
    tracking = Tracking(own_home)
    trees = tracking.resolve("alpha_xgb_5d@champion")
    assert tracking.register(trees.run_id, NAME, "challenger") == 2
    return own_home


def skill(home: Path, version: int) -> float:
    tracking = Tracking(home)
    return tracking.record(tracking.resolve(f"{NAME}/{version}").run_id).metrics["rank_ic"]


def aliases(home: Path) -> dict[str, int]:
    (known,) = (one for one in Tracking(home).list_models() if one.name == NAME)
    return dict(known.aliases)


def test_a_worse_challenger_stays_where_it_is_unless_forced(daybar: Daybar, two_versions: Path) -> None:
    better = 1 if skill(two_versions, 1) > skill(two_versions, 2) else 2
    worse, before = 3 - better, aliases(two_versions)
    Tracking(two_versions).point(NAME, "champion", better)
    code, out, err = daybar("promote", NAME, worse, "--home", two_versions)
    assert (code, err) == (3, "")
    assert f"its RankIC is {skill(two_versions, worse):+.4f}, the champion's {skill(two_versions, better):+.4f}" in out
    assert aliases(two_versions) == before | {"champion": better}
    code, out, _ = daybar("promote", NAME, worse, "--force", "--home", two_versions)
    assert code == 0
    assert aliases(two_versions) == before | {"champion": worse, "previous": better}
    assert f"{NAME}@champion is version {worse} now; version {better} is {NAME}@previous" in out


def test_a_better_challenger_takes_over_and_the_versions_say_when_and_from_whom(
    daybar: Daybar, two_versions: Path
) -> None:
    tracking = Tracking(two_versions)
    better = 1 if skill(two_versions, 1) > skill(two_versions, 2) else 2
    tracking.point(NAME, "champion", 3 - better)
    tracking.point(NAME, "challenger", better)
    code, out, err = daybar("promote", NAME, "--challenger", "--home", two_versions)
    assert (code, err) == (0, "")
    assert aliases(two_versions) == {"champion": better, "challenger": better, "previous": 3 - better}
    tags = tracking.resolve(f"{NAME}@champion").tags
    assert tags["promoted_from"] == str(3 - better)
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(tags["promoted_at"])
    assert dt.timedelta(0) <= age < dt.timedelta(minutes=5)
    (row,) = [line for line in out.splitlines() if line.startswith("RankIC, mean")]
    assert row.split()[-2:] == [f"{skill(two_versions, v):+.4f}" for v in (3 - better, better)]


def test_a_dry_run_moves_nothing(daybar: Daybar, two_versions: Path) -> None:
    better = 1 if skill(two_versions, 1) > skill(two_versions, 2) else 2
    Tracking(two_versions).point(NAME, "champion", 3 - better)
    before = aliases(two_versions)
    code, out, _ = daybar("promote", NAME, better, "--dry-run", "--home", two_versions)
    assert code == 0
    assert f"would point {NAME}@champion to version {better}" in out
    assert aliases(two_versions) == before
    assert "promoted_at" not in Tracking(two_versions).resolve(f"{NAME}/{better}").tags


def test_the_first_champion_needs_no_other(two_versions: Path) -> None:
    tracking = Tracking(two_versions)
    tracking.register(tracking.resolve(f"{NAME}/1").run_id, "newcomer", None)
    candidates = Candidates.of(two_versions, "newcomer", 1)
    assert (candidates.champion, candidates.worse, candidates.warnings) == (None, "", [])
    assert move(two_versions, candidates) == "newcomer@champion is version 1 now"
    assert tracking.resolve("newcomer@champion").tags["promoted_from"] == "none"


def test_versions_that_predict_something_else_are_warned_of(two_versions: Path) -> None:
    candidates = Candidates.of(two_versions, NAME, 2)
    assert candidates.warnings == []
    manifest = dataclasses.replace(candidates.challenger.manifest, target="excess_return_benchmark")
    other = dataclasses.replace(candidates.challenger, manifest=manifest)
    (warning,) = dataclasses.replace(candidates, challenger=other).warnings
    assert warning == ("labels differ: excess_return_universe 5 next_open, now excess_return_benchmark 5 next_open")


@pytest.mark.parametrize("known", [{}, {"rank_ic": float("nan")}])
def test_a_run_without_a_rank_ic_is_no_better(two_versions: Path, known: dict[str, float]) -> None:
    candidates = Candidates.of(two_versions, NAME, 2)
    record = dataclasses.replace(candidates.challenger.record, metrics=known)
    blank = dataclasses.replace(candidates, challenger=dataclasses.replace(candidates.challenger, record=record))
    assert blank.worse == "version 2 has recorded no RankIC"
    assert blank.table()["challenger: version 2"].to_list()[1:] == ["-"] * (len(blank.table()) - 1)


@pytest.mark.parametrize(
    ("name", "version", "says"),
    [
        (NAME, 7, "registered: alpha_linear_5d@challenger (version 2), alpha_linear_5d@champion (version 1)"),
        (NAME, 1, "it must be given another version than the champion; found version 1"),
        ("alpha_xgb_5d", None, "model alpha_xgb_5d@challenger: it must be a registered name@alias"),
        ("nobody", 1, "model nobody/1: it must be a registered name@alias"),
    ],
)
def test_what_is_not_there_is_refused(two_versions: Path, name: str, version: int | None, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Candidates.of(two_versions, name, version)
    assert says in str(caught.value)


# ---- books of volatilities -------------------------------------------------------------------------------------------


@pytest.fixture
def two_books(book_home: Path) -> Path:
    """Version 1 is the champion; version 2, the challenger, is the same book with other numbers."""
    tracking = Tracking(book_home)
    folder = tracking.resolve("vol_small/1").folder
    example = pl.DataFrame(
        {"product": "A", "session": [f"2024-01-{d:02d}" for d in range(1, 31)], "return": np.sin(np.arange(30)) / 100}
    )
    with tracking.start("futvol", "other") as run:
        run.metrics({"qlike_ratio_1/chosen": 0.99, "qlike_ratio_5/chosen": 0.90, "var_0.99/breach_rate": 0.0125})
        run.model(packaged_volatility(folder, example))
        tracking.register(run, "vol_small", "challenger")
    return book_home


def test_a_book_that_loses_more_beside_ewma_stays_where_it_is(daybar: Daybar, two_books: Path) -> None:
    code, out, err = daybar("promote", "vol_small", "--challenger", "--home", two_books)
    assert (code, err) == (3, "")
    assert "not promoted: its QLIKE ratio is 0.9900, the champion's 0.9800" in out
    (row,) = [line for line in out.splitlines() if line.startswith("QLIKE over EWMA's, 5 ahead")]
    assert row.split()[-2:] == ["0.9700", "0.9000"]
    (row,) = [line for line in out.splitlines() if line.startswith("highest value at risk: breaches")]
    assert row.split()[-2:] == ["-", "1.25%"]
    tracking = Tracking(two_books)
    tracking.point("vol_small", "champion", 2)
    code, out, _ = daybar("promote", "vol_small", 1, "--home", two_books)
    assert code == 0, "the smaller ratio takes over"
    assert "vol_small@champion is version 1 now" in out


def test_books_are_compared_at_the_horizons_that_both_have(two_books: Path) -> None:
    candidates = Candidates.of(two_books, "vol_small", 2)
    assert candidates.warnings == []
    settings = candidates.challenger.manifest.settings
    assert "horizons: [1, 5, 20]" in settings
    told = settings.replace("horizons: [1, 5, 20]", "horizons: [5]").replace("horizon: 1", "horizon: 5")
    other = dataclasses.replace(candidates.challenger.manifest, settings=told)
    fewer = dataclasses.replace(candidates, challenger=dataclasses.replace(candidates.challenger, manifest=other))
    assert fewer.warnings == ["horizons differ: 1 5 20, now 5"]
    assert fewer.worse == "", "0.90 against 0.97, five sessions ahead"
    assert fewer.table()["walk-forward"].to_list()[0] == "QLIKE over EWMA's, 5 ahead"
    lone = dataclasses.replace(other, settings=told.replace("[5]", "[7]").replace("horizon: 5", "horizon: 7"))
    none = dataclasses.replace(candidates, challenger=dataclasses.replace(candidates.challenger, manifest=lone))
    assert none.worse == "the two have no horizon in common"


def test_a_book_does_not_take_the_place_of_a_scorer(two_versions: Path, trained_book: Path) -> None:
    scorer = Candidates.of(two_versions, NAME, 2)
    book = dataclasses.replace(
        scorer.challenger, manifest=Manifest.load(Tracking(trained_book).resolve("vol_small/1").folder)
    )
    mixed = dataclasses.replace(scorer, challenger=book)
    assert mixed.warnings == ["tasks differ: alpha, now volatility"]
    assert mixed.worse == "version 1 is of another task: alpha"
    assert len(mixed.table().columns) == 2


def test_the_numbers_that_decide_are_those_that_a_training_records(trained_book: Path, tmp_path: Path) -> None:
    ref = Tracking(trained_book).resolve("vol_small/1")
    version = Version(1, Tracking(trained_book).record(ref.run_id), Manifest.load(ref.folder))
    config = version.manifest.config
    assert isinstance(config, VolatilityConfig)
    data = volatility.prepare(config, Store(trained_book / "store"))
    found = volatility.judge(config, data, volatility.walk(config, data, tmp_path, jobs=1))
    wanted = {row.metric for row in version.rows(config.forecast.horizons)}
    assert len(wanted) == 7
    assert wanted <= volatility.metrics(found).keys()
