"""Exponentially weighted moving average of squared returns (RiskMetrics)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ewma:
    """h = decay h₋₁ + (1 - decay) e²₋₁ around a constant mean.

    decay  None: by maximum likelihood
    """

    decay: float | None = 0.94
