"""The number that a study maximises, by hand and by other libraries."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from features.panel import DataError, IntArray
from features.store import Store
from models.alpha.xgboost import XGBoost
from tests.training.small_study import small_config, small_home
from training.alpha_config import AlphaConfig
from training.labels import Labels
from training.objective import Development, Objective, combinatorial_excess, walk, with_spec, with_threads
from training.splits import combinatorial
from training.tasks import alpha
from training.tasks.alpha import AlphaData


@pytest.fixture(scope="module")
def config() -> AlphaConfig:
    return small_config()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(small_home(tmp_path_factory.mktemp("home")) / "store")


@pytest.fixture(scope="module")
def data(config: AlphaConfig, store: Store) -> AlphaData:
    return alpha.prepare(config, store, lambda line: None, lambda done, total: None)


@pytest.fixture(scope="module")
def short(store: Store) -> tuple[AlphaConfig, AlphaData]:
    """Labels of two sessions: of longer ones the market has too few for groups."""
    config = small_config(label={"horizon": 2})
    return config, alpha.prepare(config, store, lambda line: None, lambda done, total: None)


def test_the_objective_is_the_mean_less_a_penalty_for_the_spread_of_months() -> None:
    sessions = np.array(["2024-01-30", "2024-01-31", "2024-02-01", "2024-02-02", "2024-03-01"], "datetime64[D]")
    found = Objective.of(np.array([0.01, 0.03, np.nan, 0.06, 0.10]), sessions, 0.5)
    # months .02, .06, .10: mean .06, standard deviation .04; all sessions: mean .05
    assert (found.mean, found.spread, found.n) == (pytest.approx(0.05), pytest.approx(0.04), 4)
    assert found.value == pytest.approx(0.05 - 0.5 * 0.04)
    assert Objective.of(np.array([0.01, 0.03, np.nan, 0.06, 0.10]), sessions, 0.0).value == pytest.approx(0.05)


def test_one_month_has_no_spread_and_nothing_has_no_objective() -> None:
    january = np.array(["2024-01-30", "2024-01-31"], "datetime64[D]")
    assert Objective.of(np.array([0.01, 0.03]), january, 0.5).value == pytest.approx(0.02)
    nothing = Objective.of(np.full(2, np.nan), january, 0.5)
    assert math.isnan(nothing.value)
    assert nothing.n == 0


def test_a_walk_is_the_folds_of_the_report_judged_session_by_session(config: AlphaConfig, data: AlphaData) -> None:
    *_, last = walk(config, data, Development.of(data))
    stop = int(data.split.holdout[0])
    value = data.labels.known_before(stop).value
    daily = {}
    for fold in data.split.folds:
        score = alpha.walk(config, data, fold).score
        for t in fold.test:
            both = np.isfinite(score[t]) & np.isfinite(value[t])
            if both.sum() >= config.evaluate.min_names:
                daily[data.matrix.sessions[t]] = spearmanr(score[t, both], value[t, both]).statistic
    series = pd.Series(daily)
    assert len(series) == last.running.n == np.isfinite(last.rank_ic).sum() >= 30
    monthly = series.groupby(pd.DatetimeIndex(series.index).to_period("M")).mean()
    expected = series.mean() - config.tune.spread_penalty * monthly.std()
    assert last.running.value == pytest.approx(expected, abs=1e-12)
    assert last.number == len(data.split.folds) - 1


def test_the_running_objective_is_that_of_the_folds_so_far(config: AlphaConfig, data: AlphaData) -> None:
    development = Development.of(data)
    states = [(s.number, s.fold, s.running, s.rank_ic.copy()) for s in walk(config, data, development)]
    assert [number for number, *_ in states] == [fold.number for fold in data.split.folds]
    assert len(states) >= 2
    for (_, alone, running, rank_ic), fold in zip(states, data.split.folds, strict=True):
        assert running == Objective.of(rank_ic, development.sessions, config.tune.spread_penalty)
        assert not np.isfinite(rank_ic[fold.test[-1] + 1 :]).any()
        assert alone == pytest.approx(np.nanmean(rank_ic[fold.test]))


def test_the_development_ends_where_the_holdout_begins(config: AlphaConfig, data: AlphaData) -> None:
    development, stop = Development.of(data), int(data.split.holdout[0])
    assert len(development.sessions) == stop == len(development.value) == development.quotes.shape[0]
    late = data.labels.exit[:stop] >= stop
    assert late.any(), "some labels end in the holdout"
    assert not np.isfinite(development.value[late]).any()
    *_, last = walk(config, data, development)
    excess = development.net_excess(config, last.score)
    judged = alpha.judge(config, data, last.score).portfolio
    np.testing.assert_array_equal(excess, (judged.net - judged.universe)[:stop])
    assert np.isfinite(excess).sum() >= 30


def test_too_few_names_are_refused_with_what_to_do(data: AlphaData) -> None:
    config = small_config(evaluate={"min_names": 500})
    with pytest.raises(DataError, match=r"some session must have 500 names .* found at most 39") as caught:
        list(walk(config, data, Development.of(data)))
    assert "evaluate.min_names" in caught.value.help


def test_a_spec_becomes_the_params_of_a_config_and_threads_only_shrink(config: AlphaConfig) -> None:
    spec = XGBoost(max_depth=6, rounds=3, threads=4)
    drawn = with_spec(config, spec)
    assert drawn.model.spec() == spec
    assert config.model.params["max_depth"] == 4, "the config is left alone"
    assert with_threads(drawn, 2).model.params["threads"] == 2
    assert with_threads(drawn, 8) == drawn
    linear = small_config(model={"kind": "linear", "params": {}})
    assert with_threads(linear, 1) == linear
    members = ({"kind": "linear"}, {"kind": "xgboost", "params": {"threads": 2, "max_depth": 9}})
    both = small_config(model={"kind": "ensemble", "params": {"members": members}})
    assert with_threads(both, 1).model.params["members"][1]["params"] == {"threads": 1, "max_depth": 9}
    assert with_threads(both, 1).model.spec().fit


def test_the_fingerprint_is_of_the_sessions_the_labels_and_the_factors(data: AlphaData) -> None:
    development, hashes = Development.of(data), {"a": "1", "b": "2"}
    known = development.fingerprint(hashes)
    assert Development.of(data).fingerprint(dict(hashes)) == known
    assert development.fingerprint({"a": "1", "b": "3"}) != known
    development.value[np.isfinite(development.value)] += 1e-15
    assert development.fingerprint(hashes) != known


def test_a_combinatorial_back_test_covers_the_development_and_no_more(short: tuple[AlphaConfig, AlphaData]) -> None:
    config, data = short
    development = Development.of(data)
    excess = combinatorial_excess(config, data, development)
    span = data.split.development
    known = np.flatnonzero(np.isfinite(excess))
    assert [known[0], known[-1]] == [span[0] + 1, span[-1] + 1], "a decision earns from the session after it on"
    assert len(known) == len(span)


def test_what_a_combinatorial_model_learns_from_meets_no_label_that_it_is_tested_on(
    short: tuple[AlphaConfig, AlphaData], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, data = short
    stop, seen = int(data.split.holdout[0]), []
    fit = alpha.fit_on

    def watched(given: AlphaConfig, whole: AlphaData, sessions: IntArray, labels: Labels) -> object:
        seen.append((sessions, labels.exit))
        return fit(given, whole, sessions, labels)

    monkeypatch.setattr(alpha, "fit_on", watched)
    combinatorial_excess(config, data, Development.of(data))
    folds = combinatorial(data.split.development, gap=data.labels.gap, embargo=config.split.embargo).folds
    assert len(seen) == len(folds) == 28
    known = data.labels.known_before(stop).exit
    for (sessions, exits), fold in zip(seen, folds, strict=True):
        under_test = np.zeros(stop + 1, bool)
        for t in fold.test:
            for end in known[t][known[t] >= 0]:
                under_test[t : end + 1] = True
        for t in sessions:
            for end in exits[t][exits[t] >= 0]:
                assert end < stop
                assert not under_test[t : end + 1].any()
