"""A small random market with a score that knows a part of what follows, and the evidence of a run on it."""

from __future__ import annotations

import numpy as np
import polars as pl

from features.panel import Panels
from training.evaluate.capacity import capacity
from training.evaluate.costs import Costs
from training.evaluate.evidence import BandEvidence, Evidence, FactorCoverage, Headline, Judged, Significance
from training.evaluate.ic import by_board, by_size, daily_ic, ic_by_group, ic_by_year, ic_decay, ic_summary
from training.evaluate.orders import top_k_orders
from training.evaluate.portfolio import by_entry, decile_portfolios
from training.labels import make_labels

T, N, HORIZON = 160, 60, 5


def market(seed=0, t_count=T, n_count=N):
    """Random walks over weekdays without limits, suspensions or ex-dates."""
    rng = np.random.default_rng(seed)
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, (t_count, n_count)), axis=0))
    prev_close = np.vstack([np.full((1, n_count), 20.0), close[:-1]])
    start = prev_close * np.exp(rng.normal(0, 0.005, close.shape))
    volume = rng.uniform(5e5, 5e6, close.shape)
    values = {"open": start, "close": close, "prev_close": prev_close, "volume": volume}
    values |= {"high": np.maximum(start, close) * 1.001, "low": np.minimum(start, close) * 0.999}
    values |= {"total_turnover": volume * (start + close) / 2}
    days = np.arange("2023-06-01", "2025-12-31", dtype="datetime64[D]")
    sessions = days[np.is_busday(days)][:t_count]
    codes = [f"{600000 + n}.XSHG" if n % 2 else f"{300000 + n}.XSHE" for n in range(n_count)]
    return Panels(sessions, np.array(codes), values)


def everyone(panels):
    """All may be traded always."""
    return np.ones(panels.shape, bool)


def planted(panels, horizon=HORIZON, seed=1, share=0.15):
    """The return that follows, under a lot of noise."""
    value = np.nan_to_num(make_labels(panels, everyone(panels), horizon=horizon).value)
    noise = np.random.default_rng(seed).normal(size=value.shape)
    return share * value / value.std() + noise


def judged(panels, score, labels):
    """Scores judged as a run judges them."""
    orders = top_k_orders(score, panels, everyone(panels), horizon=HORIZON, k=8, costs=Costs())
    values = {h: one.value for h, one in labels.items()}
    return Judged(
        daily_ic(score, values[HORIZON]),
        ic_decay(score, values),
        decile_portfolios(score, values[HORIZON], horizon=HORIZON, n=5),
        by_entry(orders, benchmark=panels["close"][:, 0], capital=1e7),
    ), orders


def evidence(**changes):
    """A run with every part; `changes` replaces some."""
    panels = market()
    whole = planted(panels)
    labels = {h: make_labels(panels, everyone(panels), horizon=h) for h in (1, HORIZON)}
    developed, sealed = whole.copy(), whole.copy()
    developed[100:], sealed[:110] = np.nan, np.nan
    walked, orders = judged(panels, developed, labels)
    value, sessions = labels[HORIZON].value, panels.sessions
    names = [f"factor_{i}" for i in range(6)]
    rng = np.random.default_rng(2)
    rolling = np.full(len(sessions), np.nan)
    rolling[60:] = rng.uniform(0.88, 0.92, len(sessions) - 60)
    parts = {
        "title": "a_run",
        "subtitle": "linear on 6 factors\n2023-06-01 on",
        "warnings": ("survivorship: every asset is still listed",),
        "headline": (Headline("RankIC, mean", "+0.1", "+0.05 to +0.15", "+0.09"),),
        "sessions": sessions,
        "horizon": HORIZON,
        "development": walked,
        "holdout": judged(panels, sealed, labels)[0],
        "lost": labels[HORIZON].lost,
        "settings": "name: a_run\nmodel: {kind: linear}",
        "environment": "daybar 0.1.0",
        "significance": Significance(
            trials=12,
            looks=2,
            dsr=0.97,
            pbo=0.3,
            intervals={"mean RankIC, Newey-West": (0.05, 0.15)},
            placebos={"shuffled": ic_summary(rng.normal(0, 0.1, 80), 1)},
        ),
        "rank_ic_lost": 0.0123,
        "importance": dict(zip(names, range(1, 7), strict=True)),
        "zh": {"factor_0": "动量"},
        "factors": pl.DataFrame({"factor": names, "中文": ["动量"] * 6, "ic mean": [0.0123] * 6, "q (BH)": [0.04] * 6}),
        "coverage": FactorCoverage(rng.random((len(sessions), 6)), names),
        "bands": BandEvidence(rolling, np.full(len(sessions), 0.1), 0.9),
        "by_group": {
            "board": ic_by_group(developed, value, by_board(panels.assets), horizon=HORIZON),
            "size": ic_by_group(
                developed, value, by_size(panels["total_turnover"], everyone(panels)), horizon=HORIZON, min_names=10
            ),
            "year": ic_by_year(walked.rank_ic, sessions, horizon=HORIZON),
        },
        "capacity": capacity(orders),
    }
    return Evidence(**(parts | changes))
