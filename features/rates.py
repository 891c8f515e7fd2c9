"""The risk-free rate as it was known: the newest one-year yield from before the session."""

from __future__ import annotations

import numpy as np
import polars as pl

from features.panel import Float64Array, SessionArray

# In order of preference: government bonds, their key rates, interbank offers.
CURVES, TENOR = ("cgb", "cgb_key", "shibor"), "1Y"
# Where no curve says anything.  Source  00 §2
DEFAULT = 0.015
# A week's holiday with its weekends; an older rate is none.
_OLDEST = np.timedelta64(14, "D")


def risk_free(rates: pl.DataFrame | None, sessions: SessionArray) -> Float64Array:
    """Rate p.a. on each session, (T,): the newest of the first curve that has one, dated before it; else .015.

    rates  date, curve, tenor, rate; None for a store without
    """
    out = np.full(len(sessions), DEFAULT)
    if rates is None:
        return out
    for curve in reversed(CURVES):
        own = rates.filter(pl.col("curve") == curve, pl.col("tenor") == TENOR, pl.col("rate").is_finite()).sort("date")
        if not len(own):
            continue
        days = own["date"].to_numpy().astype("datetime64[D]")
        # A curve of t is published in the evening of t or later.
        at = days.searchsorted(sessions, side="left") - 1
        fresh = (at >= 0) & (sessions - days[np.maximum(at, 0)] <= _OLDEST)
        out = np.where(fresh, own["rate"].to_numpy()[np.maximum(at, 0)], out)
    return out
