"""Which assets may be traded when deciding on a session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.panel import BoolArray, Float64Array

TURNOVER_WINDOW = 20


@dataclass(frozen=True)
class Universe:
    """Settings of the tradable universe.

    min_listed    sessions since listing, the listing day counting 1
    min_turnover  mean turnover of the last 20 sessions, CNY
    exclude_st    leave out names under special treatment, where the flag is known
    """

    min_listed: int = 60
    min_turnover: float = 1e7
    exclude_st: bool = True


def tradable(
    traded: Float64Array,
    listed_sessions: Float64Array,
    mean_turnover: Float64Array,
    is_st: Float64Array | None,
    settings: Universe,
) -> BoolArray:
    """True where an asset traded on t, has been listed long enough, is liquid, and is not under special treatment.

    Shape  all (T, N)
    Source  spec 00 §4; the delisting period is not in the daily fields, so it is not seen here
    """
    keep = (traded > 0) & (listed_sessions >= settings.min_listed) & (mean_turnover >= settings.min_turnover)
    if settings.exclude_st and is_st is not None:
        keep &= ~(is_st > 0)
    return np.asarray(keep)
