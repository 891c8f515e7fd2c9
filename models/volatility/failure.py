"""What happens where a model cannot be estimated: a cold start, then a simpler model; never a silent one.

Source  spec 04 §5: non-convergence or persistence of one or more -> restarts -> EGARCH, GJR, GARCH, EWMA
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.base import FitError
from models.volatility.base import FittedVolatility, Returns, VolatilitySpec

OK, RESTARTED, KEPT, FAILED = "ok", "restarted", "kept", "failed"


@dataclass(frozen=True)
class Attempt:
    """A fit that can be used, and how it came about.

    status  ok; restarted: the warm start failed and a cold one did not; fell back to ...: the model itself failed
    """

    fitted: FittedVolatility
    status: str


def fit_or_fall_back(spec: VolatilitySpec, returns: Returns, start: FittedVolatility | None = None) -> Attempt:
    """The spec's fit from a warm start, else from a cold one, else that of the first simpler spec that can be made.

    start   an earlier fit; only one of the same kind and shape is a start, another is passed over
    Errors  FitError, the first of them, where no spec of the chain can be estimated
    """
    first: FitError | None = None
    current: VolatilitySpec | None = spec
    warm = start if start is not None and _same(start, spec) else None
    while current is not None:
        for begin in (warm, None) if warm is not None else (None,):
            try:
                fitted = current.fit(returns, begin)
            except FitError as error:
                first = first or error
                continue
            if is_sound(fitted):
                return Attempt(fitted, _status(current, spec, begin, warm))
        current, warm = current.simpler(), None
    if first is None:
        first = FitError(spec.kind, "some model of its chain must be estimable", "none that converges")
    raise first


def is_sound(fitted: FittedVolatility) -> bool:
    """Whether an estimate may be used: converged, finite, and its variance returns to a mean."""
    finite = all(math.isfinite(value) for value in fitted.params.values())
    explosive = math.isfinite(fitted.persistence) and fitted.persistence >= 1.0
    # An integrated model without a mean to return to (EWMA) has no persistence to speak of: it says NaN.
    return fitted.converged and finite and not explosive


def _same(start: FittedVolatility, spec: VolatilitySpec) -> bool:
    return getattr(start, "spec", None) == spec


def _status(
    used: VolatilitySpec, asked: VolatilitySpec, begin: FittedVolatility | None, warm: FittedVolatility | None
) -> str:
    if used != asked:
        return f"fell back to {named(used)}"
    return RESTARTED if warm is not None and begin is None else OK


def named(spec: VolatilitySpec) -> str:
    """A spec in a word: gjr, har, ewma."""
    return str(getattr(spec, "variance", spec.kind))
