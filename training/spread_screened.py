"""What the screenings of a pair of products say to a reader."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from features.panel import Float64Array, SessionArray
from training.evaluate.spread_evidence import PairScreening, PairTest
from training.spread_cross import CrossSeries
from training.spread_data import Series


def screenings(series: CrossSeries) -> tuple[PairScreening, ...]:
    """All screenings that a pair had rows enough for, oldest first."""
    days, found = series.screens.days, series.screens.history(series.pair)
    return tuple(
        PairScreening(day, one.p, one.q, one.trace, one.critical, one.beta, one.half_life, one.reason)
        for day, one in zip(days, found, strict=True)
        if one is not None
    )


def tests_of(screened: Sequence[PairScreening]) -> tuple[PairTest, ...]:
    """The tests of the last screening."""
    if not screened:
        return ()
    one = screened[-1]
    return (
        PairTest(f"Engle-Granger, {one.session}", math.nan, one.p, one.q),
        PairTest(f"Johansen trace, 5 % at {one.critical:.2f}", one.trace, math.nan),
        PairTest("half-life, sessions", one.half_life, math.nan),
    )


def candidacy(screened: Sequence[PairScreening], sessions: SessionArray) -> tuple[str, ...]:
    """How often a pair is a candidate, and what that means for the numbers."""
    if not screened:
        return ()
    passed = [one.is_candidate for one in screened]
    holding = np.searchsorted(np.array([one.session for one in screened]), sessions, side="right") - 1
    share = float(np.mean(np.array(passed)[holding[holding >= 0]]))
    return (
        f"a candidate by {sum(passed)} of {len(passed)} screenings, on {share:.0%} of the sessions since "
        f"{screened[0].session}: no trade is entered on others; forecasts are judged on all",
    )


def said_now(series: Series, hedge: Float64Array) -> dict[str, str]:
    """What is said of two products at the last row: how much of the second is sold, and whether it may be."""
    if not isinstance(series, CrossSeries):
        return {}
    held = f"{hedge[-1]:.3f}" if math.isfinite(hedge[-1]) else "-"
    return {"hedge": held, "candidate": "no" if series.reason(-1) else "yes"}


def lost(series: Series) -> tuple[str, ...]:
    """Products of which some returns are of an unknown size."""
    if not isinstance(series, CrossSeries):
        return ()
    counts = {leg.product: int(leg.lost[-1] - leg.lost[0]) for leg in (series.first, series.second)}
    return tuple(
        f"{count} returns of {product} are not known: horizons with one in it are not judged"
        for product, count in counts.items()
        if count
    )


def untested(series: Series) -> str:
    """Why a pair has no tests."""
    if isinstance(series, CrossSeries):
        return f"no screening had {series.screens.least} sessions of the pair"
    return "contracts of one product are a pair without a test"
