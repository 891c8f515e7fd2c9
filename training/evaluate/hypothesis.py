"""What a test of a hypothesis gives, or why it gives nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

LEAST: Final = 30  # observations; a limit law says nothing of fewer


@dataclass(frozen=True)
class HypothesisTest:
    """A statistic with its p-value.

    statistic  NaN where it cannot be told
    p          by the law that the statistic has in the limit
    n          observations
    exact      p-value that needs no limit (binomial, or by rearranging the sample); NaN where there is none
    reason     why there is no number; empty where there is one
    """

    statistic: float
    p: float
    n: int
    exact: float = math.nan
    reason: str = ""

    def rejects(self, size: float = 0.05) -> bool:
        """Whether the hypothesis falls at this size, by the exact p-value where there is one."""
        return (self.p if math.isnan(self.exact) else self.exact) < size


def untold(n: int, reason: str) -> HypothesisTest:
    """No test, and why."""
    return HypothesisTest(math.nan, math.nan, n, reason=reason)


def too_few(n: int, least: int = LEAST) -> HypothesisTest:
    """No test, for want of observations."""
    return untold(n, f"{n} observations, fewer than {least}")
