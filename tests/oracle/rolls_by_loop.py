"""The roll rules and the returns of a held contract a second way: from dictionaries of bars, day by day."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from features.chain import Chain

FIXED_DAYS = {"index": 5, "treasury": 15, "commodity": 20}


def bars_of(chain: Chain) -> list[dict[str, dict[str, float]]]:
    """A dictionary a session: contract -> fields that it has."""
    days: list[dict[str, dict[str, float]]] = [{} for _ in chain.sessions]
    for name, panel in chain.fields.items():
        for t, c in zip(*np.nonzero(~np.isnan(panel)), strict=True):
            days[t].setdefault(str(chain.contracts.ids[c]), {})[name] = float(panel[t, c])
    return days


def held_by_loop(chain: Chain, rule: str, threshold: float = 1.1) -> list[str]:
    """What is held on each session and on the coming one, "" for nothing."""
    own = chain.contracts
    terms = {str(i): (own.month[n], own.listed[n], own.last_day[n]) for n, i in enumerate(own.ids)}
    days = [*chain.sessions, chain.coming]
    sessions = {str(day): n for n, day in enumerate(days)}
    left = {i: int(chain.ends[n]) for n, i in enumerate(terms)}
    wait = FIXED_DAYS[own.kind]

    def may_be_held(asset: str, day: np.datetime64) -> bool:
        month, listed, last = terms[asset]
        this = day.astype("datetime64[M]")
        if not listed <= day < last:
            return False
        if own.kind != "index":
            return bool(this < month)
        current = min(m for m, _, end in terms.values() if end >= day and m >= this)
        return bool(month in (current, current + 1))

    held, past, known = [""], [], {}
    for t, bars in enumerate(bars_of(chain)):
        now, tomorrow = held[-1], days[t + 1]
        live = {a: b for a, b in bars.items() if terms[a][1] <= days[t] <= terms[a][2]}
        known |= {a: b["open_interest"] for a, b in live.items() if "open_interest" in b}
        later = [a for a in terms if not past or list(terms).index(a) > max(list(terms).index(p) for p in past)]
        fit = [a for a in later if live.get(a, {}).get("close") and live[a].get("volume", 1.0) > 0]
        fit = [a for a in fit if may_be_held(a, tomorrow)]
        blind = not any("open_interest" in b for b in live.values())
        ranked = [a for a in fit if live[a].get("open_interest", 0.0) > 0]
        most = max(ranked, key=lambda a: live[a]["open_interest"], default="")
        enough = [a for a in fit if left[a] - sessions[str(tomorrow)] >= wait]
        pick = ""
        if not now:
            pick = (enough[0] if enough else "") if rule == "fixed" or blind else most
            pick = pick or (fit[0] if fit else "")
        elif rule == "fixed" or blind:
            if left[now] - sessions[str(tomorrow)] < wait and enough:
                pick = enough[0]
        elif rule == "oi":
            if most and live[most]["open_interest"] > threshold * known.get(now, 0.0):
                pick = most
        elif most and live[most]["open_interest"] > known.get(now, 0.0):
            busy = {a: live.get(a, {}).get("volume", 0.0) for a in [*fit, now]}
            pick = most if busy[most] == max(busy.values()) and busy[most] > 0 else ""
        if not pick and now and not may_be_held(now, tomorrow):
            pick = most or (fit[0] if fit else "")
            if not pick and tomorrow > terms[now][2]:
                pick = next((a for a in later if may_be_held(a, tomorrow)), "")
                held.append(pick)
                past += [pick] if pick else []
                continue
        held.append(pick or now)
        past += [pick] if pick else []
    return held


def series_by_loop(chain: Chain, held: list[str], max_gap: int) -> list[dict[str, Any]]:
    """Return, span and range variance of each session from the held contract's own bars; None for none."""
    bars, out, newest = bars_of(chain), [], -1
    for t, asset in enumerate(held[:-1]):
        row: dict[str, Any] = {"ret": None, "span": 0, "x": None}
        today = bars[t].get(asset, {})
        if today.get("close") and today.get("volume", 1.0) > 0:
            past = [
                s for s in range(t) if bars[s].get(asset, {}).get("close") and bars[s][asset].get("volume", 1.0) > 0
            ]
            if past and past[-1] >= newest and t - past[-1] <= max_gap:
                before = bars[past[-1]][asset]["close"]
                row["ret"], row["span"] = math.log(today["close"] / before), t - past[-1]
                body, reach = math.log(today["close"] / today["open"]), math.log(today["high"] / today["low"])
                row["x"] = math.log(today["open"] / before) ** 2 + 0.5 * reach**2 - (2 * math.log(2) - 1) * body**2
            newest = t
        out.append(row)
    return out
