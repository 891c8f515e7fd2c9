from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kurtosis, rankdata, skew, spearmanr

from features.panel import DataError
from tests.training.evaluate.judged_world import everyone, market, planted
from training.evaluate.tearsheet import tear_sheet
from training.labels import make_labels

HORIZONS = (1, 5)


@pytest.fixture(scope="module")
def panels():
    return market()


@pytest.fixture(scope="module")
def labels(panels):
    return {h: make_labels(panels, everyone(panels), horizon=h) for h in HORIZONS}


@pytest.fixture(scope="module")
def values(panels):
    out = planted(panels, 1)
    out[np.random.default_rng(5).random(out.shape) < 0.1] = np.nan
    out[7, 15:] = np.nan
    out[8] = 1.0
    return out


@pytest.fixture(scope="module")
def sheet(panels, values, labels):
    told = {h: one.lost for h, one in labels.items()}
    value = {h: one.value for h, one in labels.items()}
    whole = everyone(panels)
    return tear_sheet(values, value, panels.sessions, title="planted", universe=whole, lost=told)


@pytest.mark.parametrize("horizon", HORIZONS)
def test_returns_by_quantile_are_those_of_a_loop_over_ranks(sheet, values, labels, horizon):
    value, means = labels[horizon].value, []
    for t in range(len(values)):
        both = np.isfinite(values[t]) & np.isfinite(value[t])
        if both.sum() >= 20 and np.ptp(values[t, both]) > 0:
            groups = np.floor((rankdata(values[t, both]) - 0.5) / both.sum() * 5)
            means.append([value[t, both][groups == g].mean() for g in range(5)])
    assert sheet.returns[horizon].mean == pytest.approx(np.mean(means, axis=0), abs=1e-12)
    assert np.isfinite(sheet.returns[horizon].each).all(axis=1).sum() == len(means)


@pytest.mark.parametrize("horizon", HORIZONS)
def test_information_is_that_of_scipy(sheet, values, labels, horizon):
    found, value = sheet.information[horizon], labels[horizon].value
    for t in range(len(values)):
        both = np.isfinite(values[t]) & np.isfinite(value[t])
        if both.sum() >= 20 and np.ptp(values[t, both]) > 0:
            assert found.rank_ic[t] == pytest.approx(spearmanr(values[t, both], value[t, both]).statistic)
        else:
            assert np.isnan(found.rank_ic[t])
    known = found.rank_ic[np.isfinite(found.rank_ic)]
    assert found.summary.mean == pytest.approx(known.mean())
    assert (found.skew, found.kurtosis) == pytest.approx((skew(known), kurtosis(known)))


def test_factor_weights_are_long_and_short_by_half(sheet, values, labels):
    value = labels[5].value
    t = 40
    both = np.isfinite(values[t]) & np.isfinite(value[t])
    away = values[t, both] - values[t, both].mean()
    assert sheet.weighted[5][t] == pytest.approx((away / np.abs(away).sum() * value[t, both]).sum())
    assert np.isnan(sheet.weighted[5][[7, 8]]).all()


def test_the_planted_horizon_is_found_and_fades(sheet):
    assert sheet.information[1].summary.nw_t > 3
    assert sheet.information[1].summary.mean > sheet.information[5].summary.mean
    assert sheet.returns[1].spread.mean > 0
    assert sheet.first == 1


def test_noise_keeps_a_name_in_its_quantile_by_luck_alone(sheet):
    # One in five of the nine in ten that had a value before.
    assert np.nanmean(sheet.turnover[1]) == pytest.approx(1 - 0.9 / 5, abs=0.01)
    assert np.nanmean(sheet.autocorrelation[1]) == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("horizon", HORIZONS)
def test_every_row_of_the_universe_is_used_or_lost_for_a_reason(sheet, values, labels, horizon):
    lost = sheet.lost[horizon]
    ic = np.isfinite(sheet.information[horizon].rank_ic)
    used = np.isfinite(values) & np.isfinite(labels[horizon].value) & ic[:, None]
    assert lost["kept"] == used.sum()
    gone = sum(v for k, v in lost.items() if k not in ("universe", "kept", "delayed_exit", "delisted"))
    assert lost["universe"] - gone == lost["kept"]
    assert lost["session_too_small"] == (np.isfinite(values) & np.isfinite(labels[horizon].value))[[7, 8]].sum()
    assert lost["no_value"] > 0
    assert [next(iter(lost)), next(reversed(lost))] == ["universe", "kept"]


def test_without_reasons_missing_labels_are_one_step(panels, values, labels):
    found = tear_sheet(values, {1: labels[1].value}, panels.sessions, title="x", universe=everyone(panels)).lost[1]
    assert found["no_label"] == np.isnan(labels[1].value).sum()
    assert found["universe"] - sum(found[k] for k in ("no_label", "no_value", "session_too_small")) == found["kept"]


def test_rows_outside_the_universe_count_for_nothing(panels, values, labels):
    half = everyone(panels)
    half[:, 40:] = False
    value = np.where(half, labels[1].value, np.nan)
    inside = tear_sheet(values, {1: value}, panels.sessions, title="x", universe=half)
    cut = tear_sheet(values[:, :40], {1: value[:, :40]}, panels.sessions, title="x", universe=half[:, :40])
    assert inside.information[1].rank_ic == pytest.approx(cut.information[1].rank_ic, nan_ok=True)
    assert inside.turnover[1] == pytest.approx(cut.turnover[1], nan_ok=True)
    assert inside.lost == cut.lost


def test_a_factor_that_cannot_be_judged_is_refused(panels, labels):
    value = {1: labels[1].value}
    with pytest.raises(DataError, match="at most 0 names"):
        tear_sheet(np.full(panels.shape, np.nan), value, panels.sessions, title="x")
    with pytest.raises(DataError, match="must have the shape"):
        tear_sheet(np.ones((3, 2)), value, panels.sessions[:3], title="x")
    with pytest.raises(DataError, match="there must be a label"):
        tear_sheet(np.ones(panels.shape), {}, panels.sessions, title="x")
