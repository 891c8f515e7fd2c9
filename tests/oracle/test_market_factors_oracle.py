"""The market-wide stock factors a second way: counted day by day, regressed by statsmodels."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import statsmodels.api as sm

from features.catalogue import catalogue
from features.plan import compute, plan
from tests.features.synthetic_market import stock_market

MARKET = stock_market()
T, N = MARKET.shape
FITTED = (130, 152, 200, 251, 350, 433, 520, T - 1)


@pytest.fixture(scope="module")
def got() -> dict[str, np.ndarray]:
    names = [n for n, f in catalogue("CS").items() if f.stored]
    panels, _ = compute(plan(catalogue("CS"), names, MARKET.values), MARKET)
    return panels.values


class Day:
    """One session of the market: its stocks by position, counted in plain Python."""

    def __init__(self, t: int) -> None:
        at = {k: MARKET[k][t] for k in ("close", "prev_close", "limit_up", "limit_down", "traded", "listed_sessions")}
        self.trading = {i for i in range(N) if at["traded"][i]}
        within = {i for i in self.trading if np.isfinite(at["limit_up"][i])}
        self.at_top = {i for i in within if at["close"][i] > at["limit_up"][i] - 0.0051}
        self.at_bottom = {i for i in within if at["close"][i] < at["limit_down"][i] + 0.0051}
        self.bound = {i for i in within if at["listed_sessions"][i] >= 60}
        self.width = {i: at["limit_up"][i] / at["prev_close"][i] - 1 for i in self.bound}
        self.listed = int((at["listed_sessions"] > 0).sum())


@pytest.fixture(scope="module")
def days() -> list[Day]:
    return [Day(t) for t in range(T)]


@pytest.fixture(scope="module")
def nodes(days) -> tuple[np.ndarray, np.ndarray]:
    """Log odds of continuing limit-ups and of limit-downs."""
    ups, downs = np.full(T, np.nan), np.full(T, np.nan)
    for t, day in enumerate(days):
        hits, all_of = len(day.at_bottom & day.bound), len(day.bound)
        downs[t] = math.log((hits + 0.5) / (all_of - hits + 0.5)) if all_of else np.nan
        if t:
            before = days[t - 1].at_top & days[t - 1].bound & day.bound
            if len(before) >= 5:
                again = len(before & day.at_top)
                ups[t] = math.log((again + 0.5) / (len(before) - again + 0.5))
    return ups, downs


def test_the_market_return_is_the_mean_over_the_universe(got):
    for t in range(T):
        members = [got["cs_ret_1d"][t, i] for i in range(N) if got["universe"][t, i] == 1]
        expected = statistics.fmean(members) if members else np.nan
        assert got["cs_market_return"][t, 0] == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_limit_downs_are_counted_over_all_that_are_listed(got, days):
    for t, day in enumerate(days):
        seen = sum(bool(MARKET["traded"][max(t - 59, 0) : t + 1, i].any()) for i in range(N))
        expected = len(day.at_bottom) / day.listed if seen / day.listed >= 0.8 else np.nan
        assert got["cs_limit_down_contagion"][t, 0] == pytest.approx(expected, nan_ok=True)


def test_the_corrected_ratio_is_the_mean_over_limit_widths(got, days):
    for t, day in enumerate(days):
        shares = []
        for width in (0.05, 0.10, 0.20, 0.30):
            inside = [
                i for i in day.bound if min((0.05, 0.10, 0.20, 0.30), key=lambda w: abs(w - day.width[i])) == width
            ]
            if len(inside) >= 5:
                shares.append(sum(i in day.at_bottom for i in inside) / len(inside))
        expected = statistics.fmean(shares) if shares else np.nan
        assert got["cs_limit_down_ratio_adj"][t, 0] == pytest.approx(expected, nan_ok=True)


def test_the_continuation_rate_follows_yesterdays_limit_ups(got, days):
    assert np.isnan(got["cs_limit_up_continuation_rate"][0, 0])
    for t in range(1, T):
        before = days[t - 1].at_top & days[t - 1].bound & days[t].bound
        expected = len(before & days[t].at_top) / len(before) if len(before) >= 5 else np.nan
        assert got["cs_limit_up_continuation_rate"][t, 0] == pytest.approx(expected, nan_ok=True)


def window(t: int, y: np.ndarray, *regressors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the last 250 sessions where all is known."""
    rows = slice(max(t - 249, 0), t + 1)
    table = np.column_stack([y, *regressors])[rows]
    table = table[np.isfinite(table).all(axis=1)]
    return table[:, 0], sm.add_constant(table[:, 1:], has_constant="add")


def lagged(x: np.ndarray) -> np.ndarray:
    return np.concatenate([[np.nan], x[:-1]])


def test_contagion_is_the_standardised_residual_of_statsmodels(got, nodes):
    downs, market, checked = nodes[1], got["cs_market_return"][:, 0], 0
    for t in FITTED:
        y, x = window(t, downs, lagged(downs), np.minimum(market, 0), market**2)
        if len(y) < 150:
            assert np.isnan(got["cs_limit_down_contagion_adj"][t, 0])
            continue
        fit = sm.OLS(y, x).fit()
        expected = np.clip(fit.resid[-1] / math.sqrt(fit.mse_resid), -5, 5)
        assert got["cs_limit_down_contagion_adj"][t, 0] == pytest.approx(expected, rel=1e-7)
        assert got["cs_limit_down_phi"][t, 0] == pytest.approx(fit.params[1], rel=1e-7)
        checked += 1
    assert checked >= 4


def test_the_network_is_a_vector_autoregression_with_newey_west_errors(got, nodes):
    ups, downs = nodes
    checked = 0
    for t in FITTED:
        for node, k, name in ((ups, 2, "12"), (downs, 1, "21")):
            y, x = window(t, node, lagged(ups), lagged(downs))
            value = got[f"cs_sentiment_network_phi{name}"][t, 0], got[f"cs_sentiment_network_t{name}"][t, 0]
            if len(y) < 150:
                assert np.isnan(value).all()
                continue
            lags = math.floor(4 * (len(y) / 100) ** (2 / 9))
            fit = sm.OLS(y, x).fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False})
            assert value == pytest.approx((fit.params[k], fit.tvalues[k]), rel=1e-7)
            checked += 1
    assert checked >= 6


def test_the_states_compare_with_medians_of_a_year(got, days):
    streaks = got["cs_limit_up_streak"]
    mean = [statistics.fmean(row[row >= 1]) if (row >= 1).any() else 0.0 for row in streaks]
    np.testing.assert_allclose(got["cs_limit_up_mean_streak"][:, 0], mean)
    share = got["cs_limit_down_contagion"][:, 0]
    names = {(False, False): 0, (True, False): 1, (False, True): 2, (True, True): 3}
    seen = set()
    for t in range(T):
        known = [s for s in share[max(t - 249, 0) : t + 1] if np.isfinite(s)]
        expected = np.nan
        if t >= 149 and len(known) >= 150 and np.isfinite(share[t]):
            high = mean[t] > statistics.median(mean[max(t - 249, 0) : t + 1]), share[t] > statistics.median(known)
            expected = names[high]
            seen.add(expected)
        assert got["cs_sentiment_network"][t, 0] == pytest.approx(expected, nan_ok=True)
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize("bucket", ["industry", "board"])
def test_clustering_is_the_excess_share_of_the_top_bucket(bucket, days):
    given = {k: v for k, v in MARKET.values.items() if bucket == "industry" or k != "industry"}
    panels = type(MARKET)(MARKET.sessions, MARKET.assets, given)
    value, _ = compute(plan(catalogue("CS"), ["cs_limit_down_clustering"], given), panels)
    checked = 0
    for t, day in enumerate(days):
        hits = day.at_bottom & day.bound
        expected = np.nan
        if len(hits) >= 5:
            codes = MARKET[bucket][0]
            count = {c: sum(codes[i] == c for i in hits) for c in sorted(set(codes))}
            top = max(count, key=lambda c: count[c])
            expected = count[top] / len(hits) - sum(codes[i] == top for i in day.bound) / len(day.bound)
            checked += 1
        assert value["cs_limit_down_clustering"][t, 0] == pytest.approx(expected, nan_ok=True)
    assert checked > 20


def test_the_systemic_rules_need_both_parts(got):
    contagion, ratio = got["cs_limit_down_contagion"][:, 0], got["cs_limit_down_ratio_adj"][:, 0]
    size, change, inside = got["cs_inst_participation"], got["cs_inst_participation_chg20"], got["universe"] == 1
    medians = [np.median(v) if len(v := size[t][inside[t] & np.isfinite(size[t])]) else np.nan for t in range(T)]
    changes = [np.median(v) if len(v := change[t][inside[t] & np.isfinite(change[t])]) else np.nan for t in range(T)]
    for t in range(T):
        before = [m for m in medians[max(t - 20, 0) : t] if np.isfinite(m)]
        drop = medians[t] / statistics.fmean(before) - 1 if len(before) >= 12 else np.nan
        known = np.isfinite(contagion[t]) and np.isfinite(drop)
        expected = float(contagion[t] > 0.05 and drop < -0.2) if known else np.nan
        assert got["rule_cs_systemic"][t, 0] == pytest.approx(expected, nan_ok=True)
        expected = float(ratio[t] > 0.05 and changes[t] < -0.2) if np.isfinite(changes[t]) else np.nan
        assert got["rule_cs_systemic_adj"][t, 0] == pytest.approx(expected, nan_ok=True)
