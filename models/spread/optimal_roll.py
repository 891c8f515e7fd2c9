"""When to roll: the seed's flag, and a search over sessions before the last trading day that past rolls answer.

Rolling at offset k is at the close of the session with k sessions left; the return "at u" is that of the session that
ends with u left. So a roll at k instead of at k0 gains the sum of near - far over the sessions between, for one who is
long; who is short gains the opposite.  Source  spec 04 §8 (FUT-06)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from features.panel import BoolArray, Float64Array, IntArray
from models.base import FitError
from models.spread.roll_table import AROUND, LONGEST, Rolls

LEAST_ROLLS: Final = 8
LEAST_SHARE: Final = 0.2
LEAST_SAVING: Final = 1e-5  # of the price: less is what a tick over a price that drifts pretends
_WHO: Final = "optimal roll"


def delay_roll(delta_near: Float64Array, delta_far: Float64Array) -> Float64Array:
    """The seed's flag: 1 where the far implied yield is below the near one, 0 where not; NaN where one is not known.

    It is right for who is long, and the wrong way round for who is short.
    """
    known = np.isfinite(delta_near) & np.isfinite(delta_far)
    return np.where(known, np.where(known, delta_far, 0.0) < np.where(known, delta_near, 0.0), np.nan)


def roll_now(
    side: int,
    delta_near: Float64Array,
    delta_far: Float64Array,
    cost_now: Float64Array,
    cost_next: Float64Array,
    sessions_a_year: float = 242.0,
) -> Float64Array:
    """1 where waiting a session gives less than it costs more, else 0; NaN where one of them is not known.

    Waiting gives side * (delta_near - delta_far) / A and saves cost_now - cost_next; delta: expected, per year.
    """
    gain = side * (delta_near - delta_far) / sessions_a_year
    later = cost_next - cost_now
    known = np.isfinite(gain) & np.isfinite(later)
    return np.where(known, np.where(known, gain, 0.0) < np.where(known, later, 0.0), np.nan)


@dataclass(frozen=True)
class Choice:
    """When to roll by what past rolls say.

    offset     k*; None where none is expected to save a tenth of a basis point against the benchmark rule
    saving, se expected saving over the benchmark by the shrunken means, and standard error of the plain mean there
    shrunk     factor on the mean of near - far, 0 to 1
    expected   (U,) expected saving of each offset, NaN where it is no candidate
    rolls      past rolls that it rests on
    """

    offset: int | None
    saving: float
    se: float
    shrunk: float
    expected: Float64Array = field(repr=False)
    rolls: int

    def describe(self) -> dict[str, Any]:
        """As plain JSON values."""
        told = {"offset": self.offset, "saving": self.saving, "se": self.se, "shrunk": self.shrunk}
        return {name: None if one is not None and np.isnan(one) else one for name, one in told.items()} | {
            "rolls": self.rolls,
            "expected": [None if np.isnan(one) else float(one) for one in self.expected],
        }


def choose(
    past: Rolls,
    side: int,
    candidates: Sequence[int] | None = None,
    least_rolls: int = LEAST_ROLLS,
    least_share: float = LEAST_SHARE,
) -> Choice:
    """The offset with the largest shrunken mean saving among those at which the near contract is still alive.

    The means of near - far at each offset are nearly independent of each other, unlike their sums: they are shrunk
    together towards 0 by James and Stein with a pooled variance, then summed. Costs are known and are not shrunk.
    candidates   1 to 25 sessions before the last trading day, and where the benchmark usually rolls earlier (from
                 commodities, long before their delivery month) up to 12 more than it; of these the offsets that
                 `least_rolls` rolls could have used, with a mean share of the near contract in the open interest of
                 `least_share` or more
    Errors       FitError for fewer past rolls than that, or a side that is neither +1 nor -1
    """
    if side not in (1, -1):
        raise FitError(_WHO, "side must be +1, long, or -1, short", f"{side}")
    if len(past) < least_rolls:
        raise FitError(_WHO, f"it needs {least_rolls} past rolls of the product", f"{len(past)}")
    plain = past.saving(side)
    ahead = past.ahead()
    between = _between(past)
    mean, shrunk = james_stein(np.where(between, ahead, np.nan), least_rolls)
    each = past.from_default(np.tile(side * mean, (len(past), 1))) - (past.cost - past.at_default(past.cost))
    tried = range(1, max(LONGEST, int(np.median(past.default)) + AROUND) + 1) if candidates is None else candidates
    enough = np.isfinite(plain).sum(axis=0) >= least_rolls
    known = np.isfinite(past.share)
    share = np.where(known, past.share, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    fit = enough & (share >= least_share) & np.isin(np.arange(plain.shape[1]), list(tried))
    counted = np.where(np.isfinite(plain) & fit, each, np.nan)
    rolls = np.isfinite(counted).sum(axis=0)
    total = np.where(np.isfinite(counted), counted, 0.0).sum(axis=0)
    expected = np.where(rolls > 0, total / np.maximum(rolls, 1), np.nan)
    if not np.isfinite(expected).any() or np.nanmax(expected) < LEAST_SAVING:
        return Choice(None, 0.0, np.nan, shrunk, expected, len(past))
    best = int(np.nanargmax(expected))
    found = plain[np.isfinite(plain[:, best]), best]
    se = float(np.std(found, ddof=1) / np.sqrt(len(found)))
    return Choice(best, float(expected[best]), se, shrunk, expected, len(past))


def _between(past: Rolls) -> BoolArray:
    """Where near - far counts: within the range of each roll, (R, U)."""
    offset = np.arange(past.ret_near.shape[1])
    return np.asarray((offset >= past.least[:, None]) & (offset < past.most[:, None]))


def james_stein(values: Float64Array, least: int) -> tuple[Float64Array, float]:
    """Means of columns, shrunk together towards 0, and the factor; (R, p) -> (p,), NaN for fewer than `least` values.

    factor = max(0, 1 - (p - 2) v / (v + 2) s² / sum(n mean²)), s² pooled over columns with v degrees of freedom; 1
    where p < 3.  Source  James and Stein 1961, positive part, of means times sqrt(n)
    """
    n = np.isfinite(values).sum(axis=0)
    told = n >= max(least, 2)
    mean = np.where(told, np.where(np.isfinite(values), values, 0.0).sum(axis=0) / np.maximum(n, 1), np.nan)
    p, free = int(told.sum()), float((n[told] - 1).sum())
    if p < 3:
        return mean, 1.0
    pooled = float(np.nansum((values[:, told] - mean[told]) ** 2)) / free
    ratio = float(np.sum(n[told] * mean[told] ** 2))
    factor = 0.0 if ratio == 0 else max(0.0, 1.0 - (p - 2) * free / (free + 2) * pooled / ratio)
    return mean * factor, factor


@dataclass(frozen=True)
class Walked:
    """The optimiser against the benchmark rule, year by year, each year by the rolls that had ended before it.

    roll      (n,) positions of the rolls that were decided
    chosen    (n,) offset that was used; the default where the optimiser had nothing better
    saving    (n,) over the benchmark, after costs, log return
    years     (year, k* or None, rolls, total saving) of each
    mean, se  of the savings; share: of rolls on which it saved something
    """

    roll: IntArray = field(repr=False)
    chosen: IntArray = field(repr=False)
    saving: Float64Array = field(repr=False)
    years: tuple[tuple[int, int | None, int, float], ...]
    mean: float
    se: float
    share: float


def walk_rolls(
    rolls: Rolls,
    side: int,
    candidates: Sequence[int] | None = None,
    least_rolls: int = LEAST_ROLLS,
    least_share: float = LEAST_SHARE,
) -> Walked:
    """Every year's rolls by the choice that the rolls before the year give; years with too few before are left out.

    A roll is made before k* on the first close at which the near contract's share of the open interest is too small,
    and never outside the range in which it may be rolled.
    Errors  FitError where no year has enough rolls before it
    """
    year = rolls.last_day.astype("datetime64[Y]").astype(np.int64) + 1970
    roll, chosen, years = [], [], []
    savings = rolls.saving(side)
    for now in np.unique(year).tolist():
        before = year < now
        if np.count_nonzero(before) < least_rolls:
            continue
        choice = choose(rolls.rows(before), side, candidates, least_rolls, least_share)
        own = np.flatnonzero(year == now)
        used = [_used(rolls, i, choice.offset, least_share) for i in own.tolist()]
        found = savings[own, used]
        own, at = own[np.isfinite(found)], np.array(used)[np.isfinite(found)]
        roll.append(own)
        chosen.append(at)
        years.append((now, choice.offset, len(own), float(savings[own, at].sum())))
    if not roll or not sum(len(one) for one in roll):
        raise FitError(_WHO, f"a year must have {least_rolls} rolls before it", f"{len(rolls)} rolls in all")
    where, at = np.concatenate(roll), np.concatenate(chosen)
    saving = savings[where, at]
    se = float(np.std(saving, ddof=1) / np.sqrt(len(saving))) if len(saving) > 1 else np.nan
    return Walked(where, at, saving, tuple(years), float(saving.mean()), se, float(np.mean(saving > 0)))


def _used(rolls: Rolls, row: int, offset: int | None, least_share: float) -> int:
    """The offset at which a roll is really made."""
    default, least, most = int(rolls.default[row]), int(rolls.least[row]), int(rolls.most[row])
    if offset is None:
        return default
    aim = min(max(offset, least), most)
    for k in range(most, aim, -1):
        if rolls.share[row, k] < least_share and k <= default:
            return k
    return aim
