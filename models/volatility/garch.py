"""The GARCH family: a mean, a variance equation with regressors, a distribution of the innovations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Garch:
    """Mean x variance x distribution.

    mean        zero, constant, ar1, ar2, or arma: orders up to 2 by BIC
    regressors  names of what joins the variance equation, e.g. oi_change, volume, roll, holiday
    presample   variance before the first return: as arch's backcast, or the sample's mean squared residual
    """

    variance: Literal["garch", "gjr", "egarch", "aparch", "figarch"] = "garch"
    mean: Literal["zero", "constant", "ar1", "ar2", "arma"] = "constant"
    innovation: Literal["normal", "t", "skewt"] = "normal"
    regressors: tuple[str, ...] = ()
    presample: Literal["backcast", "sample"] = "backcast"
