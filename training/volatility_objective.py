"""What a trial of volatility models is judged by: QLIKE against EWMA's, product by product, before the holdout.

Of a product's walk the last share of the origins is held out: neither they nor a return after the last of the others
is seen by any trial. All trials are judged at the same origins, whatever window they fit on.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np

from features.panel import DataError, Float64Array, SessionArray
from models.volatility.base import Returns, VolatilitySpec
from models.volatility.ewma import Ewma
from models.volatility.failure import OK, RESTARTED
from models.volatility.walk import Plan, Track, walk
from training.evaluate.volatility import ahead, qlike

LEAST: Final = 60  # origins whose loss is known, for a product to be judged at all


@dataclass(frozen=True)
class Development:
    """One product before its holdout, S sessions, and what EWMA makes of it.

    sessions, returns  (S,) that trials may see
    plan   how EWMA is walked: the config's own, at the one horizon that is judged
    proxy  (n,) of the variance over the horizon from each origin whose horizon is over within S; origins follow
           each other from plan.min_window - 1 on
    base   (n,) EWMA's forecasts there
    """

    product: str
    sessions: SessionArray = field(repr=False)
    returns: Returns = field(repr=False)
    plan: Plan
    proxy: Float64Array = field(repr=False)
    base: Float64Array = field(repr=False)

    @classmethod
    def of(
        cls, product: str, sessions: SessionArray, returns: Returns, proxy: Float64Array, plan: Plan, holdout: float
    ) -> Self:
        """Cut the holdout off a series (T,), and walk EWMA over the rest.

        proxy   (T,) of each session's variance
        holdout share of the origins
        Errors  DataError where too few origins are left to judge a forecast by
        """
        (horizon,) = plan.horizons
        stop = seen(len(returns), plan, holdout)
        cut = returns.part(0, stop)
        outcome = ahead(proxy[:stop], horizon)[plan.min_window - 1 : stop - horizon] if stop else proxy[:0]
        if len(outcome) < LEAST:
            raise _too_few(product, len(outcome), len(returns))
        base = _told(walk(Ewma(innovation="normal"), cut, plan), len(outcome))
        found = cls(product, sessions[:stop], cut, plan, outcome, base)
        known = int(np.isfinite(found.loss_of(base)).sum())
        if known < LEAST:
            raise _too_few(product, known, len(returns))
        return found

    @property
    def origins(self) -> SessionArray:
        """(n,) sessions on which the forecasts were made."""
        first = self.plan.min_window - 1
        return self.sessions[first : first + len(self.proxy)]

    def loss_of(self, variance: Float64Array) -> Float64Array:
        """QLIKE of forecasts (n,); NaN where there is none, or no proxy."""
        return qlike(variance, self.proxy)

    def judge(self, spec: VolatilitySpec, plan: Plan) -> Judged:
        """Walk a spec and compare it with EWMA.

        Where the walk has no forecast, because not even the simplest model of its chain could be fitted, EWMA's stands
        in for it: an origin that a trial fails on cannot help it.
        """
        track = walk(spec, self.returns, plan)
        variance = _told(track, len(self.proxy))
        lacks = np.isnan(variance)
        base = self.loss_of(self.base)
        loss = self.loss_of(np.where(lacks, self.base, variance))
        known = np.isfinite(base) & np.isfinite(loss)
        gain = np.where(known, base - loss, np.nan) / float(base[known].mean())
        return Judged(
            product=self.product,
            sessions=int(known.sum()),
            loss=float(loss[known].mean()),
            base=float(base[known].mean()),
            origins=self.origins,
            gain=gain,
            fits=len(track.fits),
            sound=_sound(track),
            stood_in=int(np.count_nonzero(lacks)),
        )

    def fingerprint(self) -> str:
        """Hex digits over all that trials see."""
        digest = hashlib.sha256(self.product.encode())
        digest.update(self.sessions.astype("datetime64[D]").astype("<i8").tobytes())
        digest.update(repr(sorted(self.returns.regressors)).encode())
        parts = [self.returns.value, self.proxy, *(one for _, one in sorted(self.returns.regressors.items()))]
        if self.returns.range_variance is not None:
            parts.append(self.returns.range_variance)
        for part in parts:
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Judged:
    """A trial on one product.

    sessions    origins with a loss
    loss, base  mean QLIKE of the trial and of EWMA over them
    origins     (n,) sessions; gain (n,) QLIKE of EWMA less the trial's, over EWMA's mean; NaN where there is no loss
    fits        of the walk; sound: those that the model itself gave, not one that it fell back to
    stood_in    origins without a forecast, for which EWMA's stood in
    """

    product: str
    sessions: int
    loss: float
    base: float
    origins: SessionArray = field(repr=False)
    gain: Float64Array = field(repr=False)
    fits: int
    sound: int
    stood_in: int

    @property
    def log_ratio(self) -> float:
        """ln of mean QLIKE over that of EWMA; negative: better than EWMA."""
        return math.log(self.loss / self.base)


def objective(judged: Sequence[Judged]) -> float:
    """What a study minimises: the mean over products of ln(QLIKE over that of EWMA)."""
    return float(np.mean([one.log_ratio for one in judged]))


def monthly_gain(judged: Sequence[Judged]) -> tuple[SessionArray, Float64Array]:
    """Calendar months (m,), and the mean gain over EWMA in each, every product's session counting alike, (m,)."""
    days = np.concatenate([one.origins for one in judged])
    gain = np.concatenate([one.gain for one in judged])
    known = np.isfinite(gain)
    months, month = np.unique(days[known].astype("datetime64[M]"), return_inverse=True)
    return months, np.asarray(np.bincount(month, gain[known]) / np.bincount(month))


def seen(returns: int, plan: Plan, holdout: float) -> int:
    """Returns before the holdout, which is the last share of the origins; 0 where there is no origin."""
    origins = returns - plan.min_window + 1
    return returns - math.ceil(holdout * origins) if origins > 0 else 0


def _told(track: Track, n: int) -> Float64Array:
    """The first forecasts of a walk (n,), NaN where it has none that is a variance."""
    variance = track.variance[:n, 0]
    return np.where(np.isfinite(variance) & (variance > 0), variance, np.nan)


def _sound(track: Track) -> int:
    return sum(fit.status in (OK, RESTARTED) for fit in track.fits)


def _too_few(product: str, found: int, returns: int) -> DataError:
    must = f"{LEAST} forecasts before the holdout must be over"
    return DataError(f"product {product}", must, f"{found}, of {returns} returns")
