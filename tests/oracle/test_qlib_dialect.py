"""qlib's operators a second way: by pandas and by loops as qlib documents them, and by pyqlib's own numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.stats

from features.engine import evaluate
from features.expression import ExpressionError, parse
from features.operators.qlib import QLIB
from features.panel import Float64Array

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
T, N = 110, 6
# qlib computes elementwise in float32, whose noise a correlation of logarithms enlarges.
RELATIVE, OF_THE_LARGEST = 1e-5, 1e-6
NOT_OURS = {"Mask($close,'SH600001')"}
# Cells that differ: pandas' running fourth powers lose their digits; an infinity stays in qlib's running sums for ever.
KNOWN = {"Kurt($volume,20)": 9, "Slope(Log($volume),5)": 58}


def market() -> dict[str, Float64Array]:
    """Prices with ties, suspensions, a listing in the middle, a constant stretch; volume missing now and then."""
    rng = np.random.default_rng(7)
    close = np.round(10 * np.exp(np.cumsum(0.02 * rng.standard_normal((T, N)), axis=0)), 1)
    volume = np.round(1e4 * np.exp(rng.standard_normal((T, N))))
    close[40:75, 3] = close[40, 3]
    volume[(rng.random((T, N)) < 0.04) & (np.arange(T)[:, None] % 37 > 0)] = np.nan
    suspended = rng.random((T, N)) < 0.06
    suspended[50:62, 0] = True
    suspended[:37, 1] = True
    suspended[37, 1] = suspended[0, [0, 2, 3, 4, 5]] = False
    panels = {"close": close, "volume": volume, "open": np.round(close * np.exp(0.01 * rng.standard_normal((T, N))), 1)}
    for panel in panels.values():
        panel[suspended] = np.nan
    return panels


def computed(text: str) -> Float64Array:
    return evaluate({"it": parse(text)}, market(), (T, N))["it"].astype(np.float64)


def by_series(function: Callable[[pd.DataFrame], pd.Series]) -> Float64Array:
    """The function of each stock's fields, which begin with its first row."""
    panels, out = market(), np.full((T, N), np.nan)
    for j in range(N):
        fields = pd.DataFrame({name: panel[:, j] for name, panel in panels.items()})
        first = int(np.flatnonzero(fields.notna().any(axis=1))[0])
        out[first:, j] = function(fields.iloc[first:].reset_index(drop=True)).astype(np.float64)
    return out


def windows(x: pd.Series, n: int) -> pd.api.typing.Rolling | pd.api.typing.Expanding:
    return x.expanding(1) if n == 0 else x.rolling(n, min_periods=1)


def rolled(x: pd.Series, n: int, function: Callable[[Float64Array], float], least: int = 1) -> pd.Series:
    """The function of each window, which holds NaN for missing rows; NaN with fewer valid cells than `least`."""
    out = np.full(len(x), np.nan)
    for t in range(len(x)):
        window = x.to_numpy()[0 if n == 0 else max(t - n + 1, 0) : t + 1]
        if np.isfinite(window).sum() >= least:
            out[t] = function(window)
    return pd.Series(out)


def line(window: Float64Array) -> tuple[float, float, float]:
    """Slope, share explained and last residual of a least-squares line over the valid cells, by lstsq."""
    at = np.flatnonzero(np.isfinite(window))
    x = np.column_stack([np.ones(len(at)), at])
    beta = np.linalg.lstsq(x, window[at])[0]
    left, spread = window[at] - x @ beta, window[at] - window[at].mean()
    share = 1 - (left @ left) / (spread @ spread) if (spread @ spread) > 1e-9 else np.nan
    return beta[1], share, window[-1] - beta @ [1.0, len(window) - 1]


def moment(window: Float64Array, k: int) -> float:
    """Skewness (k 3) or excess kurtosis (k 4) of the valid cells, by SciPy; pandas' 0 and -3 where they are equal."""
    valid = window[np.isfinite(window)]
    if np.ptp(valid) == 0:
        return 0.0 if k == 3 else -3.0
    return float((scipy.stats.skew if k == 3 else scipy.stats.kurtosis)(valid, bias=False))


def decayed(window: Float64Array) -> float:
    weights = np.array([(1 - 2 / (1 + len(window))) ** k for k in range(len(window))][::-1])
    return float(np.nansum(window * weights) / weights.sum())


def of_products(window: Float64Array) -> float:
    weights = np.arange(1, len(window) + 1)
    return float(np.nanmean(window * weights / weights.sum()))


def steady(x: pd.Series, n: int) -> pd.Series:
    return windows(x, n).std() <= 2e-5


ROLLING: dict[str, Callable[[pd.Series, int], pd.Series]] = {
    "Mean": lambda x, n: windows(x, n).mean(),
    "Sum": lambda x, n: windows(x, n).sum(),
    # By loops, which keep more digits than pandas' running sums.
    "Std": lambda x, n: rolled(x, n, lambda w: np.nanstd(w, ddof=1), 2),
    "Var": lambda x, n: rolled(x, n, lambda w: np.nanvar(w, ddof=1), 2),
    "Skew": lambda x, n: rolled(x, n, lambda w: moment(w, 3), 3),
    "Kurt": lambda x, n: rolled(x, n, lambda w: moment(w, 4), 4),
    "Max": lambda x, n: windows(x, n).max(),
    "Min": lambda x, n: windows(x, n).min(),
    "Med": lambda x, n: windows(x, n).median(),
    "Rank": lambda x, n: windows(x, n).rank(pct=True),
    "Count": lambda x, n: windows(x.notna().astype(float), n).sum(),
    "Mad": lambda x, n: rolled(x, n, lambda w: np.nanmean(np.abs(w - np.nanmean(w)))),
    "IdxMax": lambda x, n: rolled(x, n, lambda w: np.argmax(w) + 1),
    "IdxMin": lambda x, n: rolled(x, n, lambda w: np.argmin(w) + 1),
    "WMA": lambda x, n: rolled(x, n, of_products),
    "EMA": lambda x, n: rolled(x, 0, decayed) if n == 0 else x.ewm(span=n, min_periods=1).mean(),
    "Slope": lambda x, n: rolled(x, n, lambda w: line(w)[0], 2),
    "Rsquare": lambda x, n: rolled(x, n, lambda w: line(w)[1], 2).mask(steady(x, n) & (n > 0)),
    "Resi": lambda x, n: rolled(x, n, lambda w: line(w)[2], 2),
    "Ref": lambda x, n: x.shift(n) if n else pd.Series(x.iloc[0], x.index),
    "Delta": lambda x, n: x - (x.shift(n) if n else x.iloc[0]),
}
PAIRS: dict[str, Callable[[pd.Series, pd.Series, int], pd.Series]] = {
    "Cov": lambda x, y, n: windows(x, n).cov(y),
    "Corr": lambda x, y, n: windows(x, n).corr(y).mask(steady(x, n) | steady(y, n)),
}
CELLS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "Abs($close-$open)": lambda s: (s.close - s.open).abs(),
    "Sign($close-$open)": lambda s: np.sign(s.close - s.open),
    "Log($volume)": lambda s: np.log(s.volume),
    "Power($close, 2)": lambda s: s.close**2,
    "Add($close, $open)": lambda s: s.close + s.open,
    "Sub($close, 1)": lambda s: s.close - 1,
    "Mul(2, $close)": lambda s: 2 * s.close,
    "Div($close, $open)": lambda s: s.close / s.open,
    "Greater($close, $volume)": lambda s: np.maximum(s.close, s.volume),
    "Less($close, 9)": lambda s: np.minimum(s.close, 9),
    "Gt($close, $open)": lambda s: s.close > s.open,
    "Ge($close, $open)": lambda s: s.close >= s.open,
    "Lt($close, $open)": lambda s: s.close < s.open,
    "Le($close, $open)": lambda s: s.close <= s.open,
    "Eq($close, $open)": lambda s: s.close == s.open,
    "Ne($close, Ref($close, 1))": lambda s: s.close != s.close.shift(1),
    "And($close>$open, $volume>9000)": lambda s: (s.close > s.open) & (s.volume > 9000),
    "($close>$open) | ($volume>9000)": lambda s: (s.close > s.open) | (s.volume > 9000),
    "Not($close>$open)": lambda s: ~(s.close > s.open),
    "($close>$open) + ($volume>9000)": lambda s: (s.close > s.open) | (s.volume > 9000),
    "If($close>Ref($close, 1), $volume, 0)": lambda s: s.volume.where(s.close > s.close.shift(1), 0.0),
    "If($volume-9000, $close, 0)": lambda s: s.close.where(s.volume != 9000, 0.0),
    "Mean($close>Ref($close, 1), 20)": lambda s: (s.close > s.close.shift(1)).rolling(20, min_periods=1).mean(),
    "Sum(If($close>$open, 1, 0), 0)": lambda s: (s.close > s.open).expanding(1).sum(),
    "IdxMax($close/Ref($close, 1), 5)": lambda s: rolled(s.close / s.close.shift(1), 5, lambda w: np.argmax(w) + 1),
    "Mean(Ref($close>$open, 1), 5)": lambda s: (
        (s.close > s.open).astype(float).shift(1).rolling(5, min_periods=1).mean()
    ),
    "EMA($close, 0.2)": lambda s: s.close.ewm(alpha=0.2, min_periods=1).mean(),
    "Mean($close, 0.2)": lambda s: s.close.ewm(alpha=0.2, min_periods=1).mean(),
    "Quantile($close, 20, 0.2)": lambda s: s.close.rolling(20, min_periods=1).quantile(0.2),
    "Quantile($close, 0, 0.8)": lambda s: s.close.expanding(1).quantile(0.8),
    "Ref($close, -2)": lambda s: s.close.shift(-2),
}


@pytest.mark.parametrize("n", [5, 20, 0])
@pytest.mark.parametrize("name", ROLLING)
def test_a_window_is_as_pandas_has_it(name: str, n: int):
    for field in ("close", "volume"):
        expected = by_series(lambda s, field=field: ROLLING[name](s[field], n))
        np.testing.assert_allclose(computed(f"{name}(${field}, {n})"), expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("name", "n"), [("Cov", 5), ("Cov", 20), ("Cov", 0), ("Corr", 5), ("Corr", 20)])
def test_a_window_of_two_is_as_pandas_has_it(name: str, n: int):
    expected = by_series(lambda s: PAIRS[name](s.close, s.volume, n))
    np.testing.assert_allclose(computed(f"{name}($close, $volume, {n})"), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("text", CELLS)
def test_cells_and_what_is_made_of_them_are_as_pandas_has_them(text: str):
    np.testing.assert_allclose(computed(text), by_series(CELLS[text]), rtol=1e-9, atol=1e-12)


def test_every_operator_has_a_second_way():
    texts = " ".join([*CELLS, "And( Or( Mul( Add("])
    assert {name for name in QLIB if f"{name}(" not in texts} <= {*ROLLING, *PAIRS}


@pytest.mark.parametrize("text", [t for t in CELLS if "-2" not in t] + [f"{name}($close, 5)" for name in ROLLING])
def test_neither_the_future_nor_what_lies_before_its_history_moves_a_value(text: str):
    once = market()
    panels = {name: np.tile(panel, (4, 1)) for name, panel in once.items()}
    node, t = parse(text), len(panels["close"]) - 3
    whole = evaluate({"it": node}, panels, (t + 3, N))["it"]
    past = evaluate({"it": node}, {name: p[:t] for name, p in panels.items()}, (t, N))["it"]
    np.testing.assert_allclose(past, whole[:t], rtol=1e-10, atol=1e-12)
    if node.lookback < t:
        cut = {name: p[t - node.lookback : t] for name, p in panels.items()}
        last = evaluate({"it": node}, cut, (node.lookback, N))["it"][-1]
        np.testing.assert_allclose(last, whole[t - 1], rtol=1e-9, atol=1e-12)


def wide(frame: pl.DataFrame, column: str) -> Float64Array:
    table = frame.pivot(on="asset", index="session", values=column).sort("session").drop("session")  # noqa: PD010
    return table.to_numpy().astype(np.float64)


def test_pyqlib_gives_the_same_numbers():
    given, expected = (pl.read_parquet(GOLDEN / f"{name}_by_qlib.parquet") for name in ("inputs", "operators"))
    panels = {name: wide(given, name) for name in given.columns if name not in ("session", "asset")}
    traded = np.isfinite(panels["close"])
    wrong = []
    for text in expected.columns[2:]:
        if text in NOT_OURS:
            with pytest.raises(ExpressionError):
                parse(text)
            continue
        ours, theirs = evaluate({"it": parse(text)}, panels, traded.shape)["it"][traded], wide(expected, text)[traded]
        ours, theirs = (np.where(np.isfinite(v), v, np.nan) for v in (ours, theirs))
        near = np.isclose(ours, theirs, rtol=RELATIVE, atol=OF_THE_LARGEST * np.nanmax(np.abs(theirs)), equal_nan=True)
        if np.sum(~near) > KNOWN.get(text, 0):
            wrong.append(f"{text}: {np.sum(~near)} of {near.size}, such as {ours[~near][0]} for {theirs[~near][0]}")
    assert not wrong, "\n".join(wrong)
