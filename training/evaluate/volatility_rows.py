"""What the tests of volatility forecasts found, as the rows that the report shows."""

from __future__ import annotations

import math

from training.evaluate.hypothesis import HypothesisTest
from training.evaluate.residual_tests import ResidualTests, Stability
from training.evaluate.var_tests import VarBacktest
from training.evaluate.volatility import Leaderboard
from training.evaluate.volatility_evidence import Backtest, ResidualCheck, Score


def scores_of(board: Leaderboard, holdout: Leaderboard | None = None) -> tuple[Score, ...]:
    """The rows of a leaderboard, with the ratios of that of the holdout alone beside them."""
    held = {} if holdout is None else {row.model: row.ratio for row in holdout.rows}
    return tuple(
        Score(
            row.model,
            row.n,
            row.loss,
            row.ratio,
            row.mse_ratio,
            math.nan if row.against is None else row.against.statistic,
            math.nan if row.against is None else row.against.p,
            row.included if math.isfinite(row.set_p) else None,
            row.line.intercept,
            row.line.slope,
            row.line.unbiased.p,
            math.nan if row.against is None else row.better,
            held.get(row.model, math.nan),
        )
        for row in board.rows
    )


def backtest_of(model: str, found: VarBacktest) -> Backtest:
    """One backtest of a forecaster's value at risk; p values that need no limit law where there are such."""
    return Backtest(
        model,
        found.level,
        found.n,
        found.breaches,
        found.expected,
        _p(found.coverage),
        _p(found.independence),
        _p(found.dynamic),
        found.z2,
        found.z2_critical,
        found.verdict,
    )


def residuals_of(model: str, found: ResidualTests, stability: Stability | None = None) -> ResidualCheck:
    """The tests of a model's standardised residuals; of the sign biases the joint one."""
    return ResidualCheck(
        model,
        found.level.n,
        _p(found.level),
        _p(found.square),
        _p(found.sign.joint),
        math.nan if found.uniform is None else _p(found.uniform),
        math.nan if stability is None else _p(stability.joint),
    )


def _p(test: HypothesisTest) -> float:
    return test.p if math.isnan(test.exact) else test.exact
