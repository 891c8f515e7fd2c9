"""The days on which index families change their weights (spec IDX-04): known long ahead, used to condition on."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from features.panel import BoolArray, DataError
from features.sessions import FRIDAY, ONE_DAY, Calendar, month_end, nth_weekday, third_friday, weekday

REBALANCES = {"CSI": (6, 12), "MSCI": (2, 5, 8, 11), "FTSE": (3, 6, 9, 12)}


def is_rebalance_day(family: str, sessions: ArrayLike, calendar: Calendar) -> BoolArray:
    """Whether each session is the last one before an index family's new weights hold, any shape.

    CSI (and SSE) the second Friday of June and December, MSCI the last weekday of February, May, August and November,
    FTSE the third Friday of each quarter's last month; on a holiday the session before. Announced long ahead, so known
    before the open. Days past the calendar's end count as sessions if they are weekdays.
    Source   spec IDX-04
    """
    if family not in REBALANCES:
        raise DataError("rebalancing", f"the family must be one of {', '.join(REBALANCES)}", family)
    asked = np.asarray(sessions, dtype="datetime64[D]")
    if not asked.size:
        return np.zeros(asked.shape, dtype=np.bool_)
    first, last = (edge.astype("datetime64[Y]").astype(int) + 1970 for edge in (asked.min(), asked.max()))
    nominal = [_rebalance(family, year, month) for year in range(first, last + 1) for month in REBALANCES[family]]
    longer = calendar.extended(max(nominal))
    return np.isin(asked, [longer.at_or_before(day) for day in nominal if day >= calendar.first_day])


def _rebalance(family: str, year: int, month: int) -> np.datetime64:
    if family == "CSI":
        return nth_weekday(year, month, FRIDAY, 2)
    if family == "FTSE":
        return third_friday(year, month)
    end = month_end(np.datetime64(f"{year:04d}-{month:02d}-01"))
    return end - max(int(weekday(end)) - FRIDAY, 0) * ONE_DAY
