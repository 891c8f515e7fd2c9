"""Which assets may be traded when deciding on a session, and why the others may not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.panel import BoolArray, Float64Array

TURNOVER_WINDOW = 20
# Factor of each class that the threshold of liquidity is applied to.
TURNOVER_FACTOR = {"CS": "cs_turnover20"}
INSIDE, UNTRADED, UNLISTED, YOUNG, ILLIQUID, SPECIAL = range(6)

CodeArray = NDArray[np.int8]


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

    def reasons(self) -> tuple[str, ...]:
        """What each code of `exclusions` says, by code; the first, of those inside, is empty."""
        return (
            "",
            "not traded on the session",
            "not listed on the session",
            f"listed for fewer than {self.min_listed} sessions",
            f"mean turnover of {TURNOVER_WINDOW} sessions below {self.min_turnover:,.0f} CNY, or not known",
            "under special treatment",
        )


def exclusions(
    traded: Float64Array,
    listed_sessions: Float64Array,
    mean_turnover: Float64Array,
    is_st: Float64Array | None,
    settings: Universe,
) -> CodeArray:
    """The first reason that keeps an asset out of the universe on t, as a code of `Universe.reasons`; 0 inside.

    Shape  all (T, N)
    Source  spec 00 §4; the delisting period is not in the daily fields, so it is not seen here
    """
    young = ~(listed_sessions >= settings.min_listed)
    tests = [
        (SPECIAL, is_st > 0 if settings.exclude_st and is_st is not None else np.False_),
        (ILLIQUID, ~(mean_turnover >= settings.min_turnover)),
        (YOUNG, young),
        (UNLISTED, young & (listed_sessions == 0)),
        (UNTRADED, ~(traded > 0)),
    ]
    code = np.full(traded.shape, INSIDE, dtype=np.int8)
    for number, holds in tests:  # from the last reason to the first, which stays
        code[np.broadcast_to(holds, code.shape)] = number
    return code


def tradable(
    traded: Float64Array,
    listed_sessions: Float64Array,
    mean_turnover: Float64Array,
    is_st: Float64Array | None,
    settings: Universe,
) -> BoolArray:
    """True where an asset traded on t, has been listed long enough, is liquid, and is not under special treatment.

    Shape  all (T, N)
    """
    return exclusions(traded, listed_sessions, mean_turnover, is_st, settings) == INSIDE
