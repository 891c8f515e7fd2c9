"""Heterogeneous autoregression of the log range variance, direct for each horizon (Corsi 2009)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Har:
    """ln mean(x over the next h) on ln x of the day, the week and the month, and on the day's where the return fell."""

    leverage: bool = True
