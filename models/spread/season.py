"""The yearly course of a spread: regressors of a date, by dummies of months or by two waves a year."""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np

from features.panel import Float64Array, IntArray, SessionArray
from models.base import FitError
from models.spread.reversion import ANN_DAYS

Season = Literal["none", "month", "fourier"]
SEASON_TERMS: Final[dict[Season, tuple[str, ...]]] = {
    "none": ("mu",),
    "month": tuple(f"mu_{month}" for month in range(1, 13)),
    "fourier": ("mu", "sin_1", "cos_1", "sin_2", "cos_2"),
}
DAYS_OF_SESSION: Final = 365.25 / ANN_DAYS


def season_design(season: Season, session: SessionArray) -> Float64Array:
    """Regressors of the dates, (T, k), in the order of SEASON_TERMS; they span a constant.

    Source  spec 04 §6.2: monthly dummies or Fourier(2) for agricultural and energy products
    """
    if season == "none":
        return np.ones((len(session), 1))
    if season == "month":
        month = session.astype("datetime64[M]").astype(np.int64) % 12
        return (month[:, None] == np.arange(12)).astype(np.float64)
    year = session.astype("datetime64[Y]")
    phase = 2 * math.pi * (session - year.astype("datetime64[D]")).astype(np.float64) / 365.25
    return np.stack([np.ones(len(phase)), np.sin(phase), np.cos(phase), np.sin(2 * phase), np.cos(2 * phase)], axis=1)


def dates_ahead(session: SessionArray, horizons: IntArray) -> SessionArray:
    """About what date it will be h sessions after each, (n,) and (H,) -> (n, H): the year has its usual sessions."""
    days = np.rint(horizons * DAYS_OF_SESSION).astype("timedelta64[D]")
    return np.asarray(session[:, None].astype("datetime64[D]") + days[None, :])


def require_whole_season(who: str, season: Season, session: SessionArray) -> None:
    """Refuse to tell a season that was not seen twice from a trend."""
    if season == "none":
        return
    days = int((session[-1] - session[0]).astype(np.int64)) if len(session) else 0
    months = len(np.unique(session.astype("datetime64[M]").astype(np.int64) % 12))
    if days < 2 * 365 - 15 or months < 12:
        found = f"{days} days with {months} of the 12 months"
        raise FitError(who, "a season must be seen in two years", found, help="train on a longer span, or season: none")
