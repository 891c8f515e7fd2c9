"""Which contract of a chain is held on each session: the roll rules.

What is held on t + 1 is decided at the close of t, from what was known then: open interest, volume, and the calendar.
It never goes back to an earlier maturity. Source  04 §1
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from features.chain import Chain
from features.operators.compiled import compiled
from features.panel import BoolArray, ConfigError, Float64Array, IntArray

Rule = Literal["oi", "oi_volume", "fixed"]
RULES: tuple[Rule, ...] = ("oi", "oi_volume", "fixed")
THRESHOLD = 1.1
BEFORE_EXPIRY = {"index": 5, "treasury": 15, "commodity": 20}
# Why a contract is held from a session on; the first is of sessions that change nothing.
REASONS = ("", "first", "oi", "oi_volume", "fixed", "no_open_interest", "expiry")
KEPT, FIRST, BY_OI, BY_BOTH, BY_DATE, NO_INTEREST, EXPIRY = range(len(REASONS))
_INTEREST, _BOTH, _DATE = range(len(RULES))


@dataclass(frozen=True)
class Holding:
    """Which contract is held, as positions in the chain, -1 for none.

    held    (T + 1,) on each session, on the coming one last
    reason  (T + 1,) codes of REASONS: why the holding changes with that session
    blind   (T,) sessions on which the rule had no open interest to go by
    """

    held: IntArray = field(repr=False)
    reason: IntArray = field(repr=False)
    blind: BoolArray = field(repr=False)


def hold(
    chain: Chain,
    rule: Rule = "oi",
    threshold: float = THRESHOLD,
    before_expiry: Mapping[str, int] | None = None,
) -> Holding:
    """The contract held on each session by a rule.

    oi         at first the largest open interest; then another one as soon as its interest exceeds `threshold` times
               that of the held one
    oi_volume  as soon as another one has both the largest open interest and the largest volume
    fixed      the next one once the held one has `before_expiry` sessions left (product -> sessions; 5 for index
               futures, 15 for treasuries, 20 for commodities); so too on sessions without any open interest

    A contract is taken up only where it traded on the session of the decision, so that the roll has two closes. One
    that the session to come excludes (Chain.holdable) is left by force for the one with the largest interest, or for
    the next maturity where none is known; if none of them traded it is kept to its last trading day, not longer.
    Errors  ConfigError for a rule that is none, or a threshold below 1
    """
    if rule not in RULES:
        raise ConfigError("roll rule", f"it must be one of {', '.join(RULES)}", repr(rule))
    if not threshold >= 1:
        raise ConfigError("roll rule", "the threshold must be 1 or more", f"{threshold}")
    days = (before_expiry or {}).get(chain.product, BEFORE_EXPIRY[chain.contracts.kind])
    interest, traded = chain["open_interest"], chain.traded
    held, reason = _walk(
        interest,
        chain["volume"],
        traded,
        chain.ends,
        chain.alive,
        chain.choosable(),
        RULES.index(rule),
        threshold,
        days,
    )
    blind = ~(np.isfinite(interest) & chain.alive[:-1]).any(axis=1)
    return Holding(held, reason, np.asarray(blind))


@compiled
def _walk(
    interest: Float64Array,
    volume: Float64Array,
    traded: BoolArray,
    ends: IntArray,
    alive: BoolArray,
    choosable: BoolArray,
    rule: int,
    threshold: float,
    days: int,
) -> tuple[IntArray, IntArray]:
    """Held contracts and reasons, (T + 1,) each: a decision a session, from the one before."""
    sessions, n = traded.shape
    held, reason = np.full(sessions + 1, -1, np.int64), np.zeros(sessions + 1, np.int64)
    known = np.zeros(n)  # the last open interest that each contract published
    latest = -1  # the latest maturity ever held
    for t in range(sessions):
        now, first_fit, most, busiest, by_date = held[t], -1, -1, -1, -1
        blind = True
        for c in range(n):
            if not alive[t, c]:
                continue
            if np.isfinite(interest[t, c]):
                blind, known[c] = False, interest[t, c]
            # The held contract stands among those that the largest is looked for in.
            fit = choosable[t + 1, c] and traded[t, c] and c > latest
            if fit and first_fit < 0:
                first_fit = c
            if fit and by_date < 0 and ends[c] - (t + 1) >= days:
                by_date = c
            if fit and interest[t, c] > 0 and (most < 0 or interest[t, c] > interest[t, most]):
                most = c
            if (fit or c == now) and volume[t, c] > 0 and (busiest < 0 or volume[t, c] > volume[t, busiest]):
                busiest = c
        chosen, why = -1, KEPT
        if now < 0:
            chosen = by_date if rule == _DATE or blind else most
            chosen, why = (first_fit if chosen < 0 else chosen), FIRST
        elif rule == _DATE or blind:
            if ends[now] - (t + 1) < days:
                chosen, why = by_date, BY_DATE if rule == _DATE else NO_INTEREST
        elif rule == _INTEREST:
            if most >= 0 and interest[t, most] > threshold * known[now]:
                chosen, why = most, BY_OI
        elif most >= 0 and most == busiest and interest[t, most] > known[now]:
            chosen, why = most, BY_BOTH
        if chosen < 0 and now >= 0 and not choosable[t + 1, now]:
            chosen, why = (first_fit if most < 0 else most), EXPIRY
            if chosen < 0 and not alive[t + 1, now]:
                for c in range(latest + 1, n):
                    if choosable[t + 1, c]:
                        chosen = c
                        break
                held[t + 1], reason[t + 1] = chosen, EXPIRY
                latest = max(latest, chosen)
                continue
        held[t + 1] = now if chosen < 0 else chosen
        reason[t + 1] = KEPT if chosen < 0 else why
        latest = max(latest, held[t + 1])
    return held, reason
