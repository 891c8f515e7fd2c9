"""Trading a pair one session after another with a purse: what spec 04 §6.2 says, as plainly as it can be written."""

from __future__ import annotations

import math


def run(days, legs, life, hedge, tradable, z, half_life, forecast, rule, allowed, steps, rolled):
    """Result of each session in CNY, and the trades as tuples; nothing is known of any later session.

    legs   two of (close, multiplier, tick, fee_rate, fee_lot)
    steps  two of what a leg's contract moved, or None; rolled: two of whether a close changes it, or None
    """
    n = days
    last_of = [all(life[k] == life[t] for k in range(t, n)) for t in range(n)]  # the data end inside this life
    is_end = [t == n - 1 or life[t + 1] != life[t] for t in range(n)]

    def ready(t):
        return tradable[t] and all(math.isfinite(leg[0][t]) for leg in legs)

    def sides(t):
        if not (math.isfinite(half_life[t]) and half_life[t] > 0 and life[t] >= 0):
            return 0, False, False, False
        cost = 0.0
        for weight, (close, multiplier, tick, fee_rate, fee_lot) in zip((1.0, abs(hedge[t])), legs, strict=True):
            each = rule.ticks * tick * multiplier + fee_lot + fee_rate * close[t] * multiplier
            cost += weight * 2 * each / (close[t] * multiplier)
        a = rule.by != "forecast" and abs(z[t]) > rule.enter_z
        b = rule.by != "z" and abs(forecast[t]) > rule.margin * cost
        known = (rule.by != "forecast" and math.isfinite(z[t])) or (rule.by != "z" and math.isfinite(forecast[t]))
        side_a = (-1 if z[t] > 0 else 1) if a else 0
        side_b = (1 if forecast[t] > 0 else -1) if b else 0
        side = 0 if side_a * side_b < 0 else side_a or side_b
        return side, a, b, known

    def fill(t, lots, mark):
        paid = 0.0
        for count, (_, multiplier, tick, fee_rate, fee_lot), price in zip(lots, legs, mark, strict=True):
            paid += abs(count) * (rule.ticks * tick * multiplier + fee_lot + fee_rate * price * multiplier)
        return paid

    result, trades = [0.0] * n, []
    lots, mark, order, leaving, banned = None, None, None, None, None
    for t in range(n):
        # 1. what the close makes of what is held
        if lots is not None and lots["filled"] < t:
            for k, (close, multiplier, *_) in enumerate(legs):
                if steps[k] is not None and math.isfinite(steps[k][t]):
                    result[t] += lots["count"][k] * multiplier * steps[k][t]
                if math.isfinite(close[t]):
                    if steps[k] is None:
                        result[t] += lots["count"][k] * multiplier * (close[t] - mark[k])
                    mark[k] = close[t]
        # 2. orders that were sent, filled at this close; the decisions of this close come after, or before them
        for step in ("fill", "decide") if rule.delay else ("decide", "fill"):
            if step == "fill":
                if lots is None and order is not None and order["due"] == t:
                    lots = order | {"filled": t}
                    order = None
                    mark = [leg[0][t] for leg in legs]
                    result[t] -= fill(t, lots["count"], mark)
                elif lots is not None and lots["filled"] < t:
                    over = is_end[t] and not last_of[t]
                    why = None
                    if leaving is not None and t >= leaving[0] and ready(t):
                        why = leaving[1]
                    elif over:
                        why = "roll" if ready(t) else "stranded"
                    if why is not None:
                        result[t] -= fill(t, lots["count"], mark)
                        trades.append((lots["side"], lots["decided"], lots["filled"], t, lots["count"], why))
                        banned = (lots["side"], life[t]) if why == "time" else None
                        lots, leaving = None, None
                continue
            side, a, _, _ = sides(t)
            if lots is not None and leaving is None and (rule.delay or t > lots["filled"]):
                away = -lots["side"] * z[lots["decided"]]
                if away >= rule.exit_z and -lots["side"] * z[t] < rule.exit_z:
                    leaving = (t + rule.delay, "converged")
                elif not lots["by_z"] and forecast is not None and lots["side"] * forecast[t] < 0:
                    leaving = (t + rule.delay, "turned")
                elif t + rule.delay >= lots["filled"] + lots["stop"]:
                    leaving = (t + rule.delay, "time")
            elif lots is None and order is None and side and allowed[t]:
                if banned is not None and banned == (side, life[t]):
                    continue
                due = t + rule.delay
                value = legs[0][0][t] * legs[0][1]
                if due >= n or life[due] != life[t] or (is_end[due] and not last_of[due]) or not ready(due):
                    continue
                if not math.isfinite(value) or not math.isfinite(legs[1][0][t]):
                    continue
                one = math.floor(rule.capital / value)
                two = round(one * value * hedge[t] / (legs[1][0][t] * legs[1][1]))
                if one and two:
                    stop = max(1, math.ceil(rule.half_lives * half_life[t]))
                    count = (side * one, -side * two)
                    order = {"due": due, "count": count, "side": side, "decided": t, "by_z": a, "stop": stop}
        # 3. who is still in at the end of the session has whatever contract is then the one to have
        if lots is not None and lots["filled"] < t:
            for k in range(len(legs)):
                if rolled[k] is not None and rolled[k][t]:
                    only = [(count if j == k else 0) for j, count in enumerate(lots["count"])]
                    result[t] -= 2 * fill(t, only, mark)
        side, _, _, known = sides(t)
        if known and banned is not None and side != banned[0]:
            banned = None
    if lots is not None:
        trades.append((lots["side"], lots["decided"], lots["filled"], n - 1, lots["count"], "open"))
    return result, trades
