"""The portfolio a second way: dictionaries of shares, one order after the other; the same rules, no kernel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from a_share_market import random_market

from training.evaluate.costs import Costs, cost_panels
from training.evaluate.portfolio import simulate_topk


class Sleeve:
    def __init__(self, cash):
        self.cash, self.shares, self.leaving = cash, {}, set()


class Simulation:
    """One order at a time, told in the words of the rules."""

    def __init__(self, panels, delisted, entry, costs, sleeves, capital):
        self.panels, self.delisted, self.entry = panels, delisted, entry
        self.rates = cost_panels(panels, costs)
        self.sleeves = [Sleeve(capital / sleeves) for _ in range(sleeves)]
        self.mark, self.paid, self.traded, self.blocked = {}, 0.0, 0.0, [0, 0]

    def cell(self, name, d, n):
        return self.panels[name][d, n]

    def trades(self, d, n):
        return self.cell("volume", d, n) > 0 and not self.cell("suspended", d, n) > 0

    def price(self, d, n):
        return self.cell("open" if self.entry == "next_open" else "close", d, n)

    def can_buy(self, d, n):
        seen = self.cell("open" if self.entry == "next_open" else "low", d, n)
        return self.trades(d, n) and not seen >= self.cell("limit_up", d, n) - 0.005

    def can_sell(self, d, n):
        seen = self.cell("open" if self.entry == "next_open" else "high", d, n)
        return self.trades(d, n) and not seen <= self.cell("limit_down", d, n) + 0.005

    def cost(self, d, n, value, sale):
        r = self.rates
        share = r.commission[d] + r.transfer_fee[d] + r.slippage[d, n] + r.impact[d, n] * math.sqrt(value)
        return value * (share + (r.stamp_duty[d] if sale else 0.0))

    def book(self, sleeve, d, n, quantity, sale):
        value = quantity * self.price(d, n)
        cost = self.cost(d, n, value, sale)
        sleeve.shares[n] = sleeve.shares.get(n, 0.0) + (-quantity if sale else quantity)
        if sleeve.shares[n] == 0:
            del sleeve.shares[n]
        sleeve.cash += (value if sale else -value) - cost
        self.paid += cost
        self.traded += value

    def sell(self, sleeve, d, n, quantity):
        if self.can_sell(d, n):
            self.book(sleeve, d, n, quantity, True)
        else:
            self.blocked[1] += 1

    def overnight(self, d):
        for n in range(len(self.panels.assets)):
            prev, close = self.cell("prev_close", d, n), self.cell("close", d, n)
            if close > 0:
                if n in self.mark:
                    for sleeve in self.sleeves:
                        if n in sleeve.shares:
                            sleeve.shares[n] *= self.mark[n] / prev
                self.mark[n] = prev
            if self.delisted[n] >= 0 and self.delisted[n] + 1 == d:
                for sleeve in self.sleeves:
                    sleeve.cash += 0.5 * sleeve.shares.pop(n, 0.0) * self.mark[n]
                    sleeve.leaving.discard(n)

    def leave(self, d):
        for sleeve in self.sleeves:
            for n in sorted(sleeve.leaving):
                self.sell(sleeve, d, n, sleeve.shares[n])
            sleeve.leaving &= set(sleeve.shares)

    def rebalance(self, sleeve, d, names):
        sleeve.leaving = set(sleeve.shares) - set(names)
        self.leave(d)
        value = sleeve.cash
        for n, held in sleeve.shares.items():
            value += held * (self.price(d, n) if self.trades(d, n) else self.mark[n])
        goal = value / len(names)
        for n in names:
            if self.trades(d, n):
                surplus = sleeve.shares.get(n, 0.0) - goal / self.price(d, n)
                step = 1 if str(self.panels.assets[n]).startswith("688") else 100
                if math.floor(surplus / step) > 0:
                    self.sell(sleeve, d, n, math.floor(surplus / step) * step)
        lacking = {}
        for n in names:
            held = sleeve.shares.get(n, 0.0)
            if self.can_buy(d, n):
                lacking[n] = max(goal - held * self.price(d, n), 0.0)
            elif held * self.mark.get(n, 0.0) < goal:
                self.blocked[0] += 1
        needed = sum(v + self.cost(d, n, v, False) for n, v in lacking.items())
        scale = min(1.0, sleeve.cash / needed) if needed else 0.0
        for n, v in lacking.items():
            least, step = (200, 1) if str(self.panels.assets[n]).startswith("688") else (100, 100)
            quantity = scale * v / self.price(d, n)
            if quantity >= least:
                self.book(sleeve, d, n, math.floor(quantity / step) * step, False)

    def close(self, d):
        for n in range(len(self.panels.assets)):
            if self.cell("close", d, n) > 0:
                self.mark[n] = self.cell("close", d, n)
        return sum(s.cash + sum(q * self.mark[n] for n, q in s.shares.items()) for s in self.sleeves)


@pytest.mark.parametrize("entry", ["next_open", "next_close"])
@pytest.mark.parametrize(("seed", "horizon", "k"), [(11, 1, 3), (12, 3, 4), (13, 5, 6)])
def test_the_portfolio_equals_a_plain_loop_over_orders(entry, seed, horizon, k):
    panels, delisted = random_market(seed, t_count=90)
    rng = np.random.default_rng(seed)
    score = rng.normal(size=panels.shape)
    score[rng.random(panels.shape) < 0.05] = np.nan
    score[40:43] = np.nan
    score[-6:] = np.nan
    universe = rng.random(panels.shape) < 0.9
    costs = Costs()
    result = simulate_topk(
        score, panels, universe, k=k, horizon=horizon, entry=entry, costs=costs, capital=3e6, delisted=delisted
    )
    plain = Simulation(panels, delisted, entry, costs, horizon, 3e6)
    stop = panels.shape[0] - 6 + 1
    for d in range(stop):
        plain.overnight(d)
        paid, traded, blocked = plain.paid, plain.traded, list(plain.blocked)
        if d > 0:
            chosen = [n for n in np.argsort(-score[d - 1], kind="stable") if universe[d - 1, n]]
            chosen = [n for n in chosen if not math.isnan(score[d - 1, n])][:k]
            if chosen:
                plain.rebalance(plain.sleeves[(d - 1) % horizon], d, chosen)
            else:
                plain.leave(d)
        nav = plain.close(d)
        assert result.nav[d] == pytest.approx(nav, rel=1e-11)
        assert sum(kind[d] for kind in result.costs.values()) == pytest.approx(plain.paid - paid, rel=1e-9, abs=1e-6)
        assert [result.blocked_entries[d], result.blocked_exits[d]] == [
            a - b for a, b in zip(plain.blocked, blocked, strict=True)
        ]
        if d > 0:
            assert result.turnover[d] == pytest.approx((plain.traded - traded) / 2 / result.nav[d - 1], abs=1e-12)
    assert np.isnan(result.nav[stop:]).all()
    assert min(plain.blocked) > 0
