"""Nothing that a decision at t rests on changes with what happens after t, from the bars to the scores.

The whole road is walked: store, ingest, factors, matrix, scorer. The future is cut off, or replaced by another one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.catalogue import catalogue
from features.materialise import materialise
from features.matrix import matrix
from features.sources.simulator import PLANTED, Simulation
from features.store import KEYS, Store
from features.universe import Universe
from tests.simulated_market import config, cut_after, market, noise_after, sessions_of, stored
from training.band import fit_band
from training.tasks import alpha

STOCKS, SESSIONS, SEED = 80, 400, 5
# Trades are counted from session 259 on (2021-06-25): one decision before, two after.
DECISIONS = (230, 300, 391)
FACTORS = catalogue("CS").stored()
SETTINGS = config(
    "alpha_linear",
    "split.train=150",
    "intervals.calibration=20",
    "split.test=40",
    "data.universe.min_turnover=0",
    "preprocess.neutralise=[cs_f_beta_60, cs_turnover20]",
)


def quiet(*anything: object) -> None:
    """Say nothing."""


def prepared(store: Store) -> alpha.AlphaData:
    return alpha.prepare(SETTINGS, store, quiet, quiet)


def table(store: Store, until: np.datetime64) -> pl.DataFrame:
    """Every stored factor up to a session, as its bits: equal bits are equal values, gaps included."""
    materialise(store, catalogue("CS"), FACTORS)
    rows = store.scan("factors/CS").filter(pl.col("date") <= until.astype(object)).sort(KEYS).collect()
    return rows.select(*KEYS, *(pl.col(name).fill_null(np.nan).reinterpret(signed=False) for name in FACTORS))


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return market(PLANTED, STOCKS, SESSIONS, SEED, size="tiny")


@pytest.fixture(scope="module")
def whole(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return stored(tmp_path_factory.mktemp("whole"), simulation)


@pytest.fixture(scope="module")
def data(whole: Store) -> alpha.AlphaData:
    return prepared(whole)


@pytest.fixture(scope="module", params=DECISIONS)
def day(request: pytest.FixtureRequest, simulation: Simulation) -> np.datetime64:
    return sessions_of(simulation)[request.param]


@pytest.fixture(
    scope="module",
    params=[cut_after, lambda s, d: noise_after(s, d, seed=1), lambda s, d: noise_after(s, d, seed=2)],
    ids=["cut off", "replaced by noise", "replaced by other noise"],
)
def other(
    request: pytest.FixtureRequest,
    simulation: Simulation,
    day: np.datetime64,
    tmp_path_factory: pytest.TempPathFactory,
) -> Store:
    """A store that agrees with the whole market until the day."""
    change: Callable[[Simulation, np.datetime64], Simulation] = request.param
    return stored(tmp_path_factory.mktemp("other"), change(simulation, day))


def test_every_factor_of_the_past_is_bit_for_bit_the_same(whole: Store, other: Store, day: np.datetime64) -> None:
    expected, got = table(whole, day), table(other, day)
    assert got.select(KEYS).equals(expected.select(KEYS))
    differing = [name for name in FACTORS if not got[name].equals(expected[name])]
    assert differing == []


def test_scores_at_the_decision_are_bit_for_bit_the_same(
    whole: Store, other: Store, data: alpha.AlphaData, day: np.datetime64
) -> None:
    scorer = alpha.walk(SETTINGS, data, data.split.folds[0]).scorer
    scores = {}
    for store in (whole, other):
        universe = Universe(**SETTINGS.data.universe.model_dump())
        rows, _, _ = matrix(store, catalogue("CS"), scorer.columns, day, day, universe)
        assert rows.columns == scorer.columns
        scores[store] = dict(zip(rows.assets[rows.asset], scorer.score(rows.values, rows.session), strict=True))
    assert len(scores[whole]) > 40
    assert scores[other] == scores[whole]


def test_the_other_future_is_another_one(whole: Store, other: Store, day: np.datetime64) -> None:
    bars = [s.scan("bars/CS").filter(pl.col("date") > day.astype(object)).sort(KEYS).collect() for s in (whole, other)]
    assert len(bars[0]) > len(bars[1])
    both = bars[0].join(bars[1], on=KEYS, how="inner")
    assert (both["close"] != both["close_right"]).all()


def test_labels_alone_see_the_future(simulation: Simulation, data: alpha.AlphaData, tmp_path: Path) -> None:
    t = DECISIONS[1]
    changed = prepared(stored(tmp_path, noise_after(simulation, sessions_of(simulation)[t], seed=3)))
    past = data.matrix.session <= t
    np.testing.assert_array_equal(changed.universe[: t + 1], data.universe[: t + 1])
    np.testing.assert_array_equal(changed.matrix.values[: past.sum()], data.matrix.values[past])
    assert not np.array_equal(changed.labels.value[t], data.labels.value[t], equal_nan=True)
    known = t - data.labels.gap
    np.testing.assert_array_equal(changed.labels.entry_ok[:t], data.labels.entry_ok[:t])
    np.testing.assert_array_equal(changed.labels.total[: known - 20], data.labels.total[: known - 20])


def same_scorer(one: alpha.AlphaData, other: alpha.AlphaData, number: int, folder: Path) -> bool:
    """Whether a fold's scorer and its band are written alike, file by file."""
    for name, data in (("one", one), ("other", other)):
        fold = data.split.folds[number]
        alpha.walk(SETTINGS, data, fold).scorer.save(folder / name)
        band = fit_band(SETTINGS, data, fold.train, int(fold.test[0]))
        assert band is not None
        band.save(folder / name / "band")
    files = sorted(p.relative_to(folder / "one") for p in (folder / "one").rglob("*") if p.is_file())
    assert len(files) >= 4
    return all((folder / "one" / file).read_bytes() == (folder / "other" / file).read_bytes() for file in files)


@pytest.mark.parametrize(("seed", "number"), [(3, 2), (9, 0)])
def test_an_exit_delayed_into_the_test_tells_a_fold_nothing(tmp_path: Path, seed: int, number: int) -> None:
    simulation = market(PLANTED, STOCKS, SESSIONS, seed, size="tiny")
    data = prepared(stored(tmp_path / "store", simulation))
    fold = data.split.folds[number]
    assert (data.labels.exit[fold.train] >= fold.test[0]).any(), "no exit is delayed into the test"
    last_known = sessions_of(simulation)[fold.test[0] - 1]
    changed = prepared(stored(tmp_path / "changed", noise_after(simulation, last_known, seed=4)))
    assert same_scorer(data, changed, number, tmp_path)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_fold_learns_nothing_from_its_test_sessions_and_what_follows(
    simulation: Simulation, data: alpha.AlphaData, tmp_path: Path, number: int
) -> None:
    fold = data.split.folds[number]
    last_known = sessions_of(simulation)[fold.test[0] - 1]
    changed = prepared(stored(tmp_path / "store", noise_after(simulation, last_known, seed=4)))
    assert same_scorer(data, changed, number, tmp_path)


def test_a_fold_does_learn_from_its_own_sessions(simulation: Simulation, data: alpha.AlphaData, tmp_path: Path) -> None:
    fold = data.split.folds[0]
    within = sessions_of(simulation)[fold.train[-1] - 60]
    changed = prepared(stored(tmp_path, noise_after(simulation, within, seed=4)))
    scorers = [alpha.walk(SETTINGS, one, one.split.folds[0]).scorer for one in (data, changed)]
    assert scorers[0].model.importance() != scorers[1].model.importance()


def test_the_catalogue_of_this_test_is_the_whole_one() -> None:
    assert set(FACTORS) == {name for name, f in catalogue("CS").items() if f.stored}
