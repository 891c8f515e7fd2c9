"""The ledger of trials: how often a market has been tried, and its holdout looked at. Nobody types a count.

Every training and every trial of a study writes the same tags to its run (`trial_tags`, `look_tags`); the ledger reads
them back. What counts is what somebody could have chosen by: a run whose result was recorded, though it failed later
or was deleted since.
Source  09 §4, §5; Bailey and López de Prado 2014
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Final, Self

import numpy as np

from features.panel import Float64Array, IntArray, SessionArray
from training.alpha_config import AlphaConfig
from training.evaluate.overfitting import SharpeMoments, deflated_sharpe, sharpe_moments
from training.records import RunRecord
from training.splits import Split
from training.tracking import Tracking

EXPERIMENT: Final = "alpha"  # where the runs and the studies of the alpha task lie
SHARPE: Final = "ledger/sharpe_session"  # metric: Sharpe ratio per session of the net excess over the universe

# The name, where the model goes, how far the search went and the band around a score change no score and no return.
_NOT_OF_THE_TRIAL: Final = ("name", "registration", "tune", "intervals")


def trial_hash(config: AlphaConfig) -> str:
    """Twelve hex digits over the settings that make the scores and the portfolio that they are judged by."""
    told = config.model_dump(mode="json", exclude=set(_NOT_OF_THE_TRIAL))
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def market_of(config: AlphaConfig) -> str:
    """What trials must share to count against each other: asset class and store."""
    return f"{config.data.asset_class} {PurePosixPath(config.data.store)}"


def trial_tags(config: AlphaConfig, sessions: SessionArray, split: Split) -> dict[str, str]:
    """What a run says of itself as a trial; to be written before its result is."""
    tested = np.concatenate([fold.test for fold in split.folds])
    return {"market": market_of(config), "trial_hash": trial_hash(config), "dev_span": _span(sessions, tested)}


def look_tags(sessions: SessionArray, split: Split) -> dict[str, str]:
    """What a run says of itself when it is about to score the holdout; to be written before it does."""
    return {"holdout_scored": "true", "holdout_span": _span(sessions, split.holdout)}


def net_excess_moments(net: Float64Array, universe: Float64Array) -> SharpeMoments:
    """Moments of the return after costs less the universe's, both (T,); NaN sessions are left out."""
    return sharpe_moments(net - universe)


@dataclass(frozen=True)
class Trials:
    """The distinct trials of a market.

    n         how many, the one at hand among them
    variance  of their Sharpe ratios per session (ddof 1), over those that have one; NaN when fewer than two have
    sharpe    trial hash -> Sharpe ratio per session, of the last run with this hash; NaN for one that was pruned
    """

    n: int
    variance: float
    sharpe: dict[str, float] = field(repr=False)

    def deflated(self, of: SharpeMoments) -> float:
        """Probability that a Sharpe ratio is more than the best of so many trials without skill would show.

        NaN  the ratio or, among several trials, the variance is not known
        """
        if self.n > 1 and not math.isfinite(self.variance):
            return math.nan
        return deflated_sharpe(*_in_order(of), self.n, self.variance if self.n > 1 else 0.0)


@dataclass(frozen=True)
class Ledger:
    """What runs other than the one at hand say of a market, oldest first."""

    market: str
    runs: tuple[RunRecord, ...] = field(repr=False)

    @classmethod
    def of(
        cls,
        tracking: Tracking,
        market: str,
        *,
        experiment: str = EXPERIMENT,
        own: str | None = None,
        before: datetime | None = None,
    ) -> Self:
        """Read the ledger of a market.

        own     id of the run at hand, which speaks for itself
        before  runs that started later are left out, so that a run repeated later sees what the first one saw
        """
        found = tracking.search(experiment, tags={"market": market}, finished=False, deleted=True)
        others = (one for one in found if one.run_id != own and (before is None or one.started < before))
        return cls(market, tuple(others))

    def trials(self, own_hash: str, own_sharpe: float) -> Trials:
        """The distinct trials, the one at hand counted once however often it was run."""
        sharpe = {
            run.tags["trial_hash"]: run.metrics.get(SHARPE, math.nan)
            for run in self.runs
            if "trial_hash" in run.tags and (SHARPE in run.metrics or run.status == "FINISHED")
        }
        sharpe[own_hash] = own_sharpe
        known = [one for one in sharpe.values() if math.isfinite(one)]
        variance = float(np.var(known, ddof=1)) if len(known) > 1 else math.nan
        return Trials(len(sharpe), variance, sharpe)

    def looks(self, span: str) -> int:
        """Looks at a holdout that shares a session with `span` ("first last", ISO dates), the one at hand included.

        Every run counts that was about to score it, those of the same settings too.
        """
        first, last = span.split()
        spans = [run.tags["holdout_span"].split() for run in self.runs if "holdout_span" in run.tags]
        return 1 + sum(begin <= last and first <= end for begin, end in spans)


def _span(sessions: SessionArray, rows: IntArray) -> str:
    days = sessions[[rows.min(), rows.max()]].astype("datetime64[D]")
    return f"{days[0]} {days[1]}"


def _in_order(of: SharpeMoments) -> tuple[float, int, float, float]:
    return of.sr, of.n, of.skew, of.kurtosis
