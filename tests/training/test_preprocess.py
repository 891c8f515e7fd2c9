from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from features.panel import DataError
from training.config import ConfigError
from training.preprocess import FittedPreprocess, Preprocess

NAN = np.nan


def column(*cells: float) -> tuple[np.ndarray, np.ndarray]:
    """One column on one session."""
    return np.array(cells, dtype=np.float32)[:, None], np.zeros(len(cells), dtype=np.int64)


def standardised(spec: Preprocess, *cells: float) -> list[float]:
    values, session = column(*cells)
    spec = replace(spec, min_coverage=0.0, indicator_above=1.0)
    return spec.fit(values, session, ["x"]).transform(values, session)[:, 0].tolist()


@pytest.fixture(scope="module")
def matrix():
    rng = np.random.default_rng(0)
    session = np.repeat(np.arange(30), rng.integers(20, 60, 30))
    values = rng.standard_normal((len(session), 6)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = NAN
    values[rng.random(len(session)) < 0.5, 4] = NAN  # thin
    values[:, 5] = rng.standard_normal(len(session))  # without a gap
    return values, session, tuple("abcdef"), rng.integers(-1, 3, len(session)), rng.uniform(0.1, 1.0, len(session))


SPECS = [Preprocess(), Preprocess(kind="zscore"), Preprocess(kind="zscore", neutralise=("a", "b"))]


def test_ranks_are_mid_ranks_around_nought_and_a_gap_is_nought():
    assert standardised(Preprocess(), 5, -1, NAN, 5, 9) == pytest.approx([0.0, -0.375, 0.0, 0.0, 0.375])


def test_ranks_order_every_float_by_its_value():
    # the smallest numbers, both signs, and both zeros, which are equal
    cells = [-3e38, -1.5, -1e-45, -0.0, 0.0, 1e-45, 1.5, 3e38]
    assert standardised(Preprocess(), *cells) == pytest.approx(
        [-0.4375, -0.3125, -0.1875, 0, 0, 0.1875, 0.3125, 0.4375]
    )


def test_a_z_score_is_measured_from_the_median_in_mads_and_clipped():
    # median 3, deviations 2 1 0 1 97, MAD 1
    wanted = [-2 / 1.4826, -1 / 1.4826, 0.0, 1 / 1.4826, 5.0, 0.0]
    assert standardised(Preprocess(kind="zscore"), 1, 2, 3, 4, 100, NAN) == pytest.approx(wanted)
    assert standardised(Preprocess(kind="zscore", winsor=1.0), 1, 2, 3, 4, 100)[-1] == 1.0


def test_a_z_score_of_an_even_number_of_cells_uses_means_of_the_middle_two():
    # median 2.5, deviations 1.5 .5 .5 7.5, MAD 1
    assert standardised(Preprocess(kind="zscore"), 1, 2, 3, 10) == pytest.approx(
        [-1.5 / 1.4826, -0.5 / 1.4826, 0.5 / 1.4826, 5.0]
    )


@pytest.mark.parametrize("kind", ["rank", "zscore"])
def test_a_session_without_spread_or_with_one_name_says_nothing(kind):
    assert standardised(Preprocess(kind=kind), 7, 7, 7) == [0, 0, 0]
    assert standardised(Preprocess(kind=kind), 7) == [0]
    assert standardised(Preprocess(kind=kind), NAN, NAN) == [0, 0]


def test_thin_columns_are_dropped_with_their_coverage_and_gaps_are_told(matrix):
    values, session, columns, *_ = matrix
    fitted = Preprocess().fit(values, session, columns)
    assert fitted.kept == ("a", "b", "c", "d", "f")
    assert fitted.dropped == {"e": pytest.approx(np.isfinite(values[:, 4]).mean())}
    assert fitted.out_columns == ("a", "b", "c", "d", "f", "a_missing", "b_missing", "c_missing", "d_missing")
    out = fitted.transform(values, session)
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert np.array_equal(out[:, 6] == 1.0, np.isnan(values[:, 1]))


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.kind + "-".join(s.neutralise))
def test_a_session_alone_gives_the_rows_of_the_whole_to_the_last_bit(matrix, spec):
    values, session, columns, group, weight = matrix
    fitted = spec.fit(values, session, columns, group, weight)
    whole = fitted.transform(values, session, group, weight)
    for day in np.unique(session):
        rows = session == day
        assert np.array_equal(fitted.transform(values[rows], session[rows], group[rows], weight[rows]), whole[rows])


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.kind + "-".join(s.neutralise))
def test_the_order_of_the_names_in_a_session_does_not_matter(matrix, spec):
    values, session, columns, *_ = matrix
    shuffled = np.lexsort([np.random.default_rng(1).random(len(session)), session])
    fitted = spec.fit(values, session, columns)
    one, other = fitted.transform(values, session)[shuffled], fitted.transform(values[shuffled], session)
    assert np.allclose(one, other, rtol=0, atol=1e-6)  # sums of a regression depend on their order in the last digit


def test_rows_that_are_not_wanted_back_still_count_in_their_session(matrix):
    values, session, columns, *_ = matrix
    fitted = Preprocess().fit(values, session, columns)
    wanted = np.random.default_rng(2).random(len(session)) < 0.4
    assert np.array_equal(fitted.transform(values, session, rows=wanted), fitted.transform(values, session)[wanted])


def test_the_values_given_are_left_alone(matrix):
    values, session, columns, *_ = matrix
    before = values.copy()
    Preprocess(kind="zscore", neutralise=("a",)).fit(values, session, columns).transform(values, session)
    assert np.array_equal(values, before, equal_nan=True)


def test_neutral_columns_have_no_weighted_correlation_left_with_what_was_taken_out(matrix):
    values, session, columns, group, weight = matrix
    values = np.where(np.isnan(values), np.float32(0.1), values)
    values[:, 2] += 2 * values[:, 0]
    spec = Preprocess(kind="zscore", neutralise=("a",))
    fitted = spec.fit(values, session, columns, group, weight)
    assert fitted.out_columns == ("b", "c", "d", "e", "f")
    z = Preprocess(kind="zscore").fit(values, session, columns).transform(values, session)[:, 0]
    out = fitted.transform(values, session, group, weight)
    for day in (0, 12):
        rows = session == day
        assert np.abs((weight[rows] * z[rows]) @ out[rows]).max() < 1e-4
        for code in (0, 1, 2):
            assert np.abs(weight[rows & (group == code)] @ out[rows & (group == code)]).max() < 1e-4


def test_a_collinear_regressor_is_left_out_and_not_divided_by():
    rng = np.random.default_rng(5)
    a, x = rng.standard_normal((2, 50)).astype(np.float32)
    session = np.zeros(50, dtype=np.int64)
    once = Preprocess(kind="zscore", neutralise=("a",)).fit(np.column_stack([a, x]), session, ("a", "x"))
    spec = Preprocess(kind="zscore", neutralise=("a", "b", "c"))
    values = np.column_stack([a, 3 * a, np.ones(50, np.float32), x])
    thrice = spec.fit(values, session, ("a", "b", "c", "x")).transform(values, session)
    assert np.allclose(thrice, once.transform(np.column_stack([a, x]), session), rtol=0, atol=1e-5)


def test_it_survives_json(matrix):
    values, session, columns, *_ = matrix
    fitted = Preprocess(kind="zscore", neutralise=("b",)).fit(values, session, columns)
    assert FittedPreprocess.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted


@pytest.mark.parametrize("hole", [np.inf, -np.inf])
def test_an_infinite_value_is_refused_with_its_session(matrix, hole):
    values, session, columns, *_ = matrix
    values = values.copy()
    values[np.flatnonzero(session == 17)[3], 2] = hole
    fitted = Preprocess().fit(values, session, columns)
    with pytest.raises(DataError, match="1 infinite cells, first at session 17"):
        fitted.transform(values, session)


def test_a_fit_with_groups_refuses_a_transform_without(matrix):
    values, session, columns, group, weight = matrix
    spec = Preprocess(neutralise=("a",))
    with pytest.raises(DataError, match="group"):
        spec.fit(values, session, columns, group).transform(values, session)
    with pytest.raises(DataError, match="weight"):
        spec.fit(values, session, columns).transform(values, session, weight=weight)
    with pytest.raises(DataError, match="not negative"):
        spec.fit(values, session, columns, weight=weight).transform(values, session, weight=-weight)


def test_misaligned_rows_are_refused(matrix):
    values, session, columns, *_ = matrix
    fitted = Preprocess().fit(values, session, columns)
    with pytest.raises(DataError, match="6 columns"):
        fitted.transform(values[:, :5], session)
    with pytest.raises(DataError, match="sorted by session"):
        fitted.transform(values, session[::-1])
    with pytest.raises(DataError, match="float32"):
        fitted.transform(values.astype(np.float64), session)


def test_a_matrix_with_nothing_left_is_refused():
    values, session = column(NAN, NAN, 1.0)
    with pytest.raises(DataError, match="60% covered; found a best of 33%"):
        Preprocess().fit(values, session, ["x"])


def test_neutralising_by_a_column_that_is_not_there_or_too_thin_is_refused(matrix):
    values, session, columns, *_ = matrix
    with pytest.raises(DataError, match="found nowhere"):
        Preprocess(neutralise=("nowhere",)).fit(values, session, columns)
    with pytest.raises(DataError, match="60% covered; found e "):
        Preprocess(neutralise=("e",)).fit(values, session, columns)


@pytest.mark.parametrize("wrong", [{"kind": "robust"}, {"winsor": 0.0}, {"min_coverage": 60.0}])
def test_settings_outside_their_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="preprocess"):
        Preprocess(**wrong)
