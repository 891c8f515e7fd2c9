"""What each contract of a chain is called on each session: near, next, dominant, far, the months of index futures."""

from __future__ import annotations

import numpy as np

from features.chain import Chain
from features.expiries import ONE_MONTH
from features.operators.compiled import compiled
from features.panel import BoolArray, Float64Array, IntArray, SessionArray
from features.rolls import Holding

ROLES = ("near", "next", "dominant", "sub_dominant", "far", "current", "q1", "q2")
FAR_INTEREST, FAR_VOLUME = 1000.0, 100.0
_QUARTER = 3


def roles(chain: Chain, holding: Holding) -> dict[str, IntArray]:
    """Role -> the position of its contract in the chain, -1 for none; (T + 1,) with the coming session.

    near          the earliest maturity that may be held (Chain.holdable)
    next          the second contract: of index futures the month after the current one, else the maturity behind near
    dominant      what `rolls.hold` holds
    sub_dominant  of later maturity than the dominant one, neither of the two before, the largest open interest
    far           the farthest contract with an open interest of 1000 and a volume of 100
    current, q1, q2  of index futures alone: the front month and the next two quarter months

    near, next, current, q1 and q2 are calendar facts; the others are decided at the close of the session before.
    The months shift on the session after the last trading day; on that day `current` is nobody, as its contract leaves
    the factors. Source  04 §1
    """
    fit = chain.holdable()
    near = _first(fit)
    after = fit & (np.arange(fit.shape[1])[None, :] > near[:, None]) & (near >= 0)[:, None]
    out = {"near": near, "next": _first(after), "dominant": holding.held}
    out["sub_dominant"] = _second(chain["open_interest"], fit, holding.held)
    out["far"] = _far(chain, fit)
    nobody = np.full(len(near), -1, dtype=np.int64)
    out |= {"current": nobody, "q1": nobody, "q2": nobody}
    if chain.contracts.kind == "index":
        out |= _by_month(chain)
    return {name: out[name] for name in ROLES}


def _first(mask: BoolArray) -> IntArray:
    """The first contract of each session for which the mask holds, -1 where there is none."""
    if not mask.shape[1]:
        return np.full(len(mask), -1, dtype=np.int64)
    return np.where(mask.any(axis=1), mask.argmax(axis=1), -1)


def _far(chain: Chain, fit: BoolArray) -> IntArray:
    with np.errstate(invalid="ignore"):
        liquid = (chain["open_interest"] >= FAR_INTEREST) & (chain["volume"] >= FAR_VOLUME)
    found = _first((liquid & fit[1:])[:, ::-1])
    far = np.where(found >= 0, fit.shape[1] - 1 - found, -1)
    return np.concatenate([np.array([-1], dtype=np.int64), far])


def _by_month(chain: Chain) -> dict[str, IntArray]:
    """The four names of CFFEX's index futures."""
    alive, front = chain.alive, chain.front
    after = front + ONE_MONTH
    quarter = _quarter_after(after)
    months = {"current": front, "next": after, "q1": quarter, "q2": _quarter_after(quarter)}
    out = {name: _first(alive & (chain.contracts.month == month[:, None])) for name, month in months.items()}
    leaving = (alive & (chain.sessions_left() == 0) & (chain.contracts.month == front[:, None])).any(axis=1)
    out["current"] = np.where(leaving, -1, out["current"])
    return out


def _quarter_after(month: SessionArray) -> SessionArray:
    """The first of March, June, September and December behind each month."""
    ahead = _QUARTER - (month.astype(np.int64) + 1) % _QUARTER  # months count from January 1970
    return np.asarray(month + ahead.astype("timedelta64[M]"))


@compiled
def _second(interest: Float64Array, fit: BoolArray, dominant: IntArray) -> IntArray:
    """The sub-dominant contract, (T + 1,): a contract that lost either role never becomes it again."""
    sessions, n = interest.shape
    out = np.full(sessions + 1, -1, np.int64)
    used = np.zeros(n, np.bool_)
    for t in range(sessions):
        now, front = out[t], dominant[t + 1]
        if front < 0:
            continue
        used[front] = True
        best = -1
        for c in range(front + 1, n):
            free = fit[t + 1, c] and interest[t, c] > 0 and (c == now or not used[c])
            if free and (best < 0 or interest[t, c] > interest[t, best]):
                best = c
        if best < 0 and now > front and fit[t + 1, now]:
            best = now  # nobody publishes an interest today
        if best >= 0:
            used[best] = True
        out[t + 1] = best
    return out
