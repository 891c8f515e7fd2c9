"""Takes what arithmetic leaves behind off a value, so that what is equal on paper is equal."""

from __future__ import annotations

import numpy as np

from features.graph import operator
from features.panel import Float64Array

_DECIMALS = 10


@operator("cell")
def rounded(x: Float64Array) -> Float64Array:
    """x to ten decimals; NaN where it is not finite.

    Before it is ranked or compared, so that values that differ by rounding alone are ties, whatever the level that
    adjusted prices happen to have.
    """
    return np.where(np.isfinite(x), np.round(x, _DECIMALS), np.nan)


@operator("cell")
def shortened(x: Float64Array) -> Float64Array:
    """x to 30 binary digits, about nine decimal ones: numbers that differ by less are one.

    Source  Veltkamp (1968), as in Dekker (1971): a product and two differences round to a share of the digits
    """
    spread = (2.0**23 + 1.0) * np.where(np.isfinite(x), x, np.nan)
    return spread - (spread - x)
