"""Log-linear realised GARCH on the range variance (Hansen, Huang and Shek 2012)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RealisedGarch:
    """ln h = ω + β ln h₋₁ + γ ln x₋₁; ln x = ξ + φ ln h + τ₁ z + τ₂ (z² - 1) + u."""

    mean: bool = True
