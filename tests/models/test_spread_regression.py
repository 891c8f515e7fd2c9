"""Regression of spread excess returns by the models of alpha, for one series and for a pool."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet

from models.base import FitError
from models.spread.regression import FittedSpreadRegression, SpreadRegression

NET, TREES = SpreadRegression(), SpreadRegression(model="xgboost")
NAMES = tuple(f"f{k}" for k in range(8))
EACH = pytest.mark.parametrize("spec", [NET, TREES], ids=["net", "trees"])


def world(seed: int, rows: int = 3000, r2: float = 0.02, pool: int = 1):
    """Features on other scales, two of which move the label; `pool` rows a session."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 8))
    signal = 0.8 * X[:, 0] - 0.6 * X[:, 3]
    y = 0.01 * (np.sqrt(r2) * signal + np.sqrt(1 - r2) * rng.normal(size=rows)) + 1e-4
    scale = np.array([1e-4, 1, 5, 100, 1e5, 0.1, 2, 3])
    return X * scale + 7 * scale, y, np.arange(rows, dtype=np.int64) // pool, 0.01 * np.sqrt(r2) * signal


@pytest.mark.parametrize("pool", [1, 5])
def test_a_planted_signal_of_two_per_cent_is_mostly_found(pool):
    # 04 §6.2: IC at least 60 % of truth
    ic = []
    for seed in range(8):
        X, y, session, _ = world(seed, pool=pool)
        half = len(y) // 2
        fitted = NET.fit(X[:half], y[:half], session[:half], NAMES, 5, 0)
        ic.append(np.corrcoef(fitted.predict(X[half:]), y[half:])[0, 1] if fitted.inner else 0.0)
    assert np.mean(ic) >= 0.6 * np.sqrt(0.02)


@EACH
def test_a_strong_signal_is_found_and_named(spec):
    X, y, session, signal = world(1, r2=0.3)
    fitted = spec.fit(X[:2000], y[:2000], session[:2000], NAMES, 1, 0)
    assert np.corrcoef(fitted.predict(X[2000:]), signal[2000:])[0, 1] > 0.85
    importance = fitted.importance()
    assert set(sorted(NAMES, key=lambda n: -importance[n])[:2]) == {"f0", "f3"}


def test_without_a_signal_the_net_says_the_mean_more_often_than_not():
    means = 0
    for seed in range(10):
        X, y, session, _ = world(seed, rows=800, r2=0.0)
        fitted = NET.fit(X, y, session, NAMES, 5, 0)
        told = fitted.predict(X)
        if fitted.inner is None:
            means += 1
            assert np.allclose(told, y.mean())
            assert set(fitted.importance().values()) == {0.0}
        assert np.std(told) < 0.2 * np.std(y)
    assert means >= 4


def test_the_net_is_that_of_scikit_learn():
    X, y, session, _ = world(2, rows=1000, r2=0.2)
    spec = replace(NET, strengths=(0.05,), bound=100.0)
    fitted = spec.fit(X, y, session, NAMES, 1, 0)
    z, label = (X - X.mean(0)) / X.std(0), (y - y.mean()) / y.std()
    other = ElasticNet(alpha=0.05, l1_ratio=0.5, tol=1e-10, max_iter=100_000).fit(z, label)
    assert np.allclose(fitted.predict(X), y.mean() + y.std() * other.predict(z), atol=1e-4 * y.std())


def test_a_strength_that_does_not_converge_leaves_the_choice_to_the_others():
    X, y, session, _ = world(3, r2=0.3)
    X[:, 1] = X[:, 0] * (1 + 1e-7 * np.arange(len(X)))  # one column, nearly twice
    steps = replace(NET, strengths=(1e-9, 0.2), max_iter=30)
    fitted = steps.fit(X, y, session, NAMES, 1, 0)
    assert list(fitted.told["error"]) == ["0.2"]
    assert fitted.told["strength"] == 0.2
    with pytest.raises(FitError, match="some strength must converge in 30 steps"):
        replace(steps, strengths=(1e-9,)).fit(X, y, session, NAMES, 1, 0)


@EACH
def test_units_of_columns_and_labels_change_nothing(spec):
    X, y, session, _ = world(3, rows=900, r2=0.2)
    here = spec.fit(X, y, session, NAMES, 1, 0).predict(X)
    there = spec.fit(X * 1024 + 5, y * 256, session, NAMES, 1, 0).predict(X * 1024 + 5)
    assert np.corrcoef(here, there)[0, 1] > 0.999
    assert np.std(there) == pytest.approx(256 * np.std(here), rel=0.01)


@EACH
def test_it_survives_a_folder_and_is_the_same_twice(spec, tmp_path):
    X, y, session, _ = world(4, rows=900, r2=0.1)
    X[::7, 2] = np.nan
    fitted = spec.fit(X, y, session, NAMES, 5, 3)
    fitted.save(tmp_path)
    back = FittedSpreadRegression.load(tmp_path)
    assert np.array_equal(back.predict(X), fitted.predict(X))
    assert back.spec == fitted.spec
    assert back.told == fitted.told
    assert np.array_equal(spec.fit(X, y, session, NAMES, 5, 3).predict(X), fitted.predict(X))


@EACH
def test_a_prediction_is_of_its_own_row_alone(spec):
    X, y, session, _ = world(5, rows=900, r2=0.1)
    fitted = spec.fit(X[:600], y[:600], session[:600], NAMES, 5, 0)
    whole = fitted.predict(X)
    assert np.array_equal(fitted.predict(X[700:701]), whole[700:701])
    other = X.copy()
    other[701:] = 0
    assert np.array_equal(fitted.predict(other)[:701], whole[:701])


def test_the_strength_is_not_chosen_by_labels_that_overlap():
    # Labels of ten sessions repeat each other: with no gap a session's neighbours tell it.
    X, y, session, _ = world(6, rows=600)
    with pytest.raises(FitError, match="gap"):
        NET.fit(X, y, session, NAMES, 400, 0)


def test_columns_that_are_seldom_known_or_never_vary_are_left_out():
    X, y, session, _ = world(7, rows=900, r2=0.2)
    X[:, 1] = 3.0
    X[:600, 2] = np.nan
    fitted = NET.fit(X, y, session, NAMES, 1, 0)
    assert fitted.scaling.columns == ("f0", "f3", "f4", "f5", "f6", "f7")
    assert fitted.columns == NAMES
    assert fitted.importance()["f1"] == 0.0


@EACH
def test_beyond_the_bound_a_column_counts_no_more(spec):
    X, y, session, _ = world(9, rows=900, r2=0.3)
    fitted = spec.fit(X, y, session, NAMES, 1, 0)
    at = fitted.scaling.columns.index("f0")
    mean, sd = fitted.scaling.mean[at], fitted.scaling.sd[at]
    rows = np.repeat(X[:1], 4, axis=0)
    rows[:, 0] = mean + sd * np.array([-9.0, -3.0, 3.0, 50.0])
    told = fitted.predict(rows)
    assert told[0] == pytest.approx(told[1], abs=1e-9)
    assert told[2] == pytest.approx(told[3], abs=1e-9)
    assert told[3] > told[0]


def test_settings_that_make_no_sense_are_refused():
    for wrong in (
        {"bound": 0.0},
        {"folds": 0},
        {"subsample": 0.0},
        {"rounds": 0},
        {"l1_ratio": 2.0},
        {"model": "ridge"},
    ):
        with pytest.raises(FitError, match="must be"):
            SpreadRegression(**wrong)


def test_what_cannot_be_learnt_from_is_refused():
    X, y, session, _ = world(8, rows=300)
    with pytest.raises(FitError, match="vary"):
        NET.fit(X, np.zeros(300), session, NAMES, 1, 0)
    with pytest.raises(FitError, match="vary"):
        NET.fit(np.ones((300, 8)), y, session, NAMES, 1, 0)
    with pytest.raises(FitError, match="column"):
        NET.fit(X[:, :3], y, session, NAMES, 1, 0)
    with pytest.raises(FitError, match="infinity"):
        NET.fit(X, y, session, NAMES, 1, 0).predict(np.where(np.arange(8) == 0, np.inf, X))
