"""Every stock factor a second way: one asset and one session at a time, by pandas, statsmodels and plain Python."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from features.catalogue import catalogue
from features.factor import Family
from features.factors import price_volume
from features.plan import compute, plan
from tests.features.synthetic_market import stock_market

MARKET = stock_market()
T, N = MARKET.shape
SAMPLED = (3, 25, 61, 90, 151, 249, 250, 300, 377, 450, 512, 580, 611, T - 1)
FAMILIES = [f for f in vars(price_volume).values() if isinstance(f, Family)]


@pytest.fixture(scope="module")
def got() -> dict[str, np.ndarray]:
    names = [n for n, f in catalogue("CS").items() if f.stored]
    panels, _ = compute(plan(catalogue("CS"), names, MARKET.values), MARKET)
    return panels.values  # noqa: PD011


@pytest.fixture(scope="module")
def stocks(got) -> list[pd.DataFrame]:
    """A frame an asset: fields, log return, adjusted prices, the market's log return, sessions after a long absence."""
    fields = ("open", "high", "low", "close", "prev_close", "limit_up", "limit_down", "volume", "total_turnover")
    out = []
    for i in range(N):
        frame = pd.DataFrame(
            {k: MARKET[k][:, i] for k in (*fields, "num_trades", "is_st", "traded", "listed_sessions")}
        )
        rows = frame[frame["traded"] > 0]
        step = (rows["close"].shift() / rows["prev_close"]).fillna(1.0)
        adjusted = step.cumprod().reindex(frame.index)
        frame["r"] = np.log(frame["close"] / frame["prev_close"])
        for price in ("close", "high", "low"):
            frame[f"adj_{price}"] = frame[price] * adjusted
        frame["m"] = np.log1p(got["cs_market_return"][:, 0])
        frame["warm"] = warming_up(frame["traded"].to_numpy())
        out.append(frame)
    return out


def warming_up(traded: np.ndarray) -> list[bool]:
    out = []
    for t in range(len(traded)):
        back = [s for s in range(max(t - 59, 0), t + 1) if traded[s] and s >= 21 and not any(traded[s - 21 : s])]
        out.append(bool(back))
    return out


def enough(values, n: int, least: int = 1) -> np.ndarray | None:
    valid = np.asarray(values, float)
    valid = valid[np.isfinite(valid)]
    return valid if len(valid) >= max(math.ceil(0.6 * n), least) else None


def mean_of(values, n: int) -> float:
    valid = enough(values, n)
    return np.nan if valid is None else float(valid.mean())


def line(y, x, n: int) -> tuple[float, float, float]:
    """Slope, correlation and residual deviation of the least-squares line."""
    both = np.isfinite(y) & np.isfinite(x)
    if both.sum() < max(math.ceil(0.6 * n), 3):
        return np.nan, np.nan, np.nan
    y, x = np.asarray(y)[both], np.asarray(x)[both]
    slope, constant = np.polyfit(x, y, 1)
    rest = y - constant - slope * x
    return slope, np.corrcoef(x, y)[0, 1], math.sqrt((rest**2).sum() / (len(x) - 2))


def std_of(values, n: int) -> float:
    valid = enough(values, n, 2)
    return np.nan if valid is None else float(pd.Series(valid).std())


FORMULA = {
    "cs_f_roc": lambda w, n, before: (
        math.log(w["adj_close"].iloc[-1] / before["adj_close"].iloc[0]) if len(before) == n + 1 else np.nan
    ),
    "cs_f_std": lambda w, n, before: std_of(w["r"], n),
    "cs_f_ma_dev": lambda w, n, before: math.log(w["adj_close"].iloc[-1] / mean_of(w["adj_close"], n)),
    "cs_f_clv": lambda w, n, before: mean_of(
        [
            (2 * c - h - low) / (h - low) if h > low else np.nan
            for c, h, low in zip(w["close"], w["high"], w["low"], strict=True)
        ],
        n,
    ),
    "cs_f_dist_high": lambda w, n, before: (
        math.log(w["adj_close"].iloc[-1] / w["adj_high"].max()) if enough(w["adj_high"], n) is not None else np.nan
    ),
    "cs_f_dist_low": lambda w, n, before: (
        math.log(w["adj_close"].iloc[-1] / w["adj_low"].min()) if enough(w["adj_low"], n) is not None else np.nan
    ),
    "cs_f_beta": lambda w, n, before: line(w["r"], w["m"], n)[0],
    "cs_f_idio_vol": lambda w, n, before: line(w["r"], w["m"], n)[2],
    "cs_f_illiq": lambda w, n, before: math.log(mean_of(w["r"].abs() / w["total_turnover"] * 1e8, n)),
    "cs_f_turn_ratio": lambda w, n, before: math.log(mean_of(w["total_turnover"], n)),
    "cs_f_pv_corr": lambda w, n, before: line(
        before["r"].iloc[-n:], np.log(before["total_turnover"]).diff().iloc[-n:], n
    )[1],
    "cs_f_vwap_dev": lambda w, n, before: mean_of(np.log(w["close"] / (w["total_turnover"] / w["volume"])), n),
}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f[0].family)
def test_a_family_is_its_formula_window_by_window(family, got, stocks):
    formula, checked = FORMULA[family[0].family], 0
    for f in family:
        n = int(f.name.rsplit("_", 1)[1])
        for frame, column in zip(stocks, got[f.name].T, strict=True):
            for t in SAMPLED:
                expected = np.nan
                if frame["traded"].iloc[t] > 0 and not frame["warm"].iloc[t]:
                    window, before = frame.iloc[max(t - n + 1, 0) : t + 1], frame.iloc[max(t - n, 0) : t + 1]
                    expected = formula(window, n, before)
                    if f.family == "cs_f_turn_ratio":
                        expected -= math.log(mean_of(frame["total_turnover"].iloc[max(t - 249, 0) : t + 1], 250))
                checked += np.isfinite(expected)
                assert column[t] == pytest.approx(expected, rel=1e-9, abs=1e-10, nan_ok=True), (f.name, t)
    assert checked > 300


def test_every_family_has_a_formula_here():
    assert {f[0].family for f in FAMILIES} == set(FORMULA)


def masked(frame: pd.DataFrame, values) -> np.ndarray:
    return np.where((frame["traded"] > 0) & ~frame["warm"], values, np.nan)


def test_ewma_volatility_is_the_recursion(got, stocks):
    for frame, column in zip(stocks, got["cs_vol_ewma"].T, strict=True):
        seen, variance, expected = [], None, []
        for r in frame["r"]:
            if np.isnan(r):
                expected.append(np.nan)
                continue
            if variance is None:
                seen.append(r * r)
                variance = sum(seen) / 20 if len(seen) == 20 else None
            else:
                variance = 0.94 * variance + 0.06 * r * r
            expected.append(np.nan if variance is None else math.sqrt(variance))
        np.testing.assert_allclose(column, expected, rtol=1e-12)


def test_windows_of_volatility_and_liquidity_are_those_of_pandas(got, stocks):
    k = 0.34 / (1.34 + 21 / 19)
    for i, frame in enumerate(stocks):
        o, h, lo, c, p = (frame[x] for x in ("open", "high", "low", "close", "prev_close"))
        rs = np.log(h / c) * np.log(h / o) + np.log(lo / c) * np.log(lo / o)
        night, day = (np.log(x).rolling(20, 12).var() for x in (o / p, c / o))
        yz = np.sqrt(242 * (night + k * day + (1 - k) * rs.rolling(20, 12).mean()))
        np.testing.assert_allclose(got["cs_vol_yz20"][:, i], masked(frame, yz), rtol=1e-8)
        illiq = ((c / p - 1).abs() / (frame["total_turnover"] / 1e8)).rolling(20, 12).mean()
        np.testing.assert_allclose(got["cs_illiq20"][:, i], masked(frame, illiq), rtol=1e-8)
        spread = pd.Series([spread_of(frame, t) for t in range(T)]).rolling(20, 12).mean()
        np.testing.assert_allclose(got["cs_spread_cs"][:, i], masked(frame, spread), rtol=1e-8, atol=1e-15)
        turnover = frame["total_turnover"].rolling(20, 12).mean()
        np.testing.assert_allclose(got["cs_turnover20"][:, i], masked(frame, turnover), rtol=1e-10)
        size = frame["total_turnover"] / frame["num_trades"]
        change = size / size.rolling(20, 12).mean().shift() - 1
        np.testing.assert_allclose(got["cs_inst_participation_chg20"][:, i], masked(frame, change), rtol=1e-8)


def spread_of(frame: pd.DataFrame, t: int) -> float:
    """Corwin and Schultz for sessions t-1 and t in adjusted prices."""
    if t == 0 or frame["traded"].iloc[t - 1 : t + 1].sum() < 2:
        return np.nan
    one, two = frame.iloc[t - 1], frame.iloc[t]
    if one["high"] == one["low"] or two["high"] == two["low"]:
        return np.nan
    h1, l1, c1, h2, l2 = one["adj_high"], one["adj_low"], one["adj_close"], two["adj_high"], two["adj_low"]
    gap = l2 - c1 if l2 > c1 else h2 - c1 if h2 < c1 else 0.0
    h2, l2 = h2 - gap, l2 - gap
    beta = math.log(h1 / l1) ** 2 + math.log(h2 / l2) ** 2
    gamma = math.log(max(h1, h2) / min(l1, l2)) ** 2
    alpha = (math.sqrt(2 * beta) - math.sqrt(beta)) / (3 - 2 * math.sqrt(2)) - math.sqrt(gamma / (3 - 2 * math.sqrt(2)))
    return max(2 * (math.exp(alpha) - 1) / (1 + math.exp(alpha)), 0.0)


def test_streaks_count_valid_sessions_backwards(got, stocks):
    for i, frame in enumerate(stocks):
        hits = {
            "cs_limit_up_streak": frame["close"] >= frame["limit_up"] - 0.005,
            "cs_limit_down_streak": frame["close"] <= frame["limit_down"] + 0.005,
            "cs_locked_down_streak": (frame["high"] <= frame["limit_down"] + 0.005),
        }
        for name, hit in hits.items():
            expected = np.full(T, np.nan)
            for t in np.flatnonzero(frame["traded"] > 0):
                run = 0
                for s in range(t, max(t - 120, -1), -1):
                    if frame["traded"].iloc[s] > 0:
                        if not hit.iloc[s]:
                            break
                        run += 1
                expected[t] = run
            np.testing.assert_array_equal(got[name][:, i], expected, err_msg=name)


def test_exhaustion_is_half_proximity_and_half_rank_of_illiquidity(got, stocks):
    for i, frame in enumerate(stocks):
        illiq = pd.Series(got["cs_illiq20"][:, i])
        for t in SAMPLED:
            row, window = frame.iloc[t], illiq.iloc[max(t - 249, 0) : t + 1].dropna()
            a = np.nan
            if len(window) >= 125 and np.isfinite(illiq.iloc[t]):
                a = ((window < illiq.iloc[t]).sum() + 0.5 * (window == illiq.iloc[t]).sum()) / len(window)
            move = row["close"] - row["prev_close"]
            up = min(max(move / (row["limit_up"] - row["prev_close"]), 0), 1)
            dn = min(max(-move / (row["prev_close"] - row["limit_down"]), 0), 1)
            one_price = row["high"] == row["low"]
            locked_up = one_price and row["close"] >= row["limit_up"] - 0.005
            locked_dn = one_price and row["close"] <= row["limit_down"] + 0.005
            for name, p, locked in (
                ("adj", max(up, dn), locked_up or locked_dn),
                ("up", up, locked_up),
                ("dn", dn, locked_dn),
            ):
                expected = 1.0 if locked else a if np.isnan(row["limit_up"]) else 0.5 * p + 0.5 * a
                if not row["traded"] > 0:
                    expected = np.nan
                value = got[f"cs_liquidity_exhaustion_{name}"][t, i]
                assert value == pytest.approx(expected, abs=1e-12, nan_ok=True), (name, t, i)


def test_participation_is_the_robust_z_of_what_statsmodels_leaves(got, stocks):
    checked = 0
    for t in SAMPLED:
        day = pd.DataFrame([f.iloc[t] for f in stocks]).reset_index(drop=True)
        day["turnover20"], day["board"] = got["cs_turnover20"][t], MARKET["board"][0]
        tradable = (
            (day["traded"] > 0) & (day["listed_sessions"] >= 60) & (day["turnover20"] >= 1e7) & (day["is_st"] != 1)
        )
        np.testing.assert_array_equal(np.nan_to_num(got["universe"][t]), tradable.astype(float))
        day = day[tradable & day["num_trades"].notna()]
        expected = np.full(N, np.nan)
        if len(day) >= 14:
            x = pd.DataFrame({"const": 1.0, "price": np.log(day["close"]), "size": np.log(day["turnover20"])})
            x = x.join(pd.get_dummies(day["board"], drop_first=True, dtype=float))
            rest = sm.OLS(np.log(day["total_turnover"] / day["num_trades"]), x).fit().resid
            mad = (rest - rest.median()).abs().median()
            expected[day.index] = ((rest - rest.median()) / (1.4826 * mad)).clip(-5, 5)
            checked += len(day)
        np.testing.assert_allclose(got["cs_inst_participation_adj"][t], expected, rtol=1e-8, atol=1e-10)
    assert checked > 100
