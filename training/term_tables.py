"""What a term-structure run keeps as tables: states, residuals, yields, basis, curves and rolls, a row a fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import polars.selectors as selectors
from numpy.typing import ArrayLike

from features.panel import IntArray
from training.evaluate.page import NOTHING, number
from training.evaluate.spread_evidence import ProductCurve
from training.evaluate.volatility_words import p_value
from training.term_fit import TermProduct

SPOT = "spot"  # stands where the index does, in the place of a contract


def states_frame(one: TermProduct) -> pl.DataFrame | None:
    """product, session, chi, xi, their variances, loglik, yield (instantaneous), holdout; None without a model."""
    if one.model is None:
        return None
    seen, fitted, series = one.model.seen, one.model.fitted, one.series
    return _frame(
        series.product,
        {
            "session": series.dates,
            "chi": seen.chi,
            "xi": seen.xi,
            "chi_variance": seen.covariance[:, 0],
            "covariance": seen.covariance[:, 1],
            "xi_variance": seen.covariance[:, 2],
            "loglik": seen.loglik,
            "yield": fitted.convenience_yield(seen.chi, series.rate[series.row]),
            "holdout": one.model.holdout,
        },
    )


def residuals_frame(one: TermProduct) -> pl.DataFrame | None:
    """product, session, contract, rank, years, price, model, residual, z, surprise, holdout; None without a model."""
    if one.model is None:
        return None
    model, series = one.model, one.series
    t, rank = np.nonzero(np.arange(model.order.shape[1]) < model.count[:, None])
    at = model.order[t, rank]
    years, seen = series.curve.years[t, at], model.seen
    return _frame(
        series.product,
        {
            "session": series.dates[t],
            "contract": [series.contracts[i] for i in at.tolist()],
            "rank": rank + 1,
            "years": years,
            "price": series.curve.price[t, at],
            "model": model.fitted.price(seen.chi[t], seen.xi[t], years),
            "residual": seen.residual[t, at],
            "z": seen.z[t, at],
            "surprise": seen.innovation[t, at],
            "holdout": model.holdout[t],
        },
    )


def yields_frame(one: TermProduct) -> pl.DataFrame | None:
    """Convenience yields of each session that has one, with the pair they are told by; None where no session has."""
    found, series = one.yields, one.series
    there = np.isfinite(found.delta)
    if not there.any():
        return None
    return _frame(
        series.product,
        {
            "session": series.sessions,
            "near": _names(series.contracts, found.near),
            "far": _names(series.contracts, found.far),
            "yield": found.delta,
            "yield_literal": found.literal,
            "risk_free": series.rate,
            "open_interest_z": found.interest_z,
            "delay_roll": found.delay,
            "shortage_literal": found.signs.literal,
            "shortage": found.signs.shortage,
            "glut": found.signs.glut,
        },
    ).filter(pl.Series(there))


def basis_frame(one: TermProduct) -> pl.DataFrame | None:
    """product, session, spot, close of next month's contract, basis, share of the last 250 sessions; None without."""
    if one.basis is None or one.rank is None:
        return None
    series = one.series
    columns = {"session": series.sessions, "spot": series.spot, "close_next": series.panels["close_next"]}
    told = _frame(series.product, {**columns, "basis": one.basis, "rank": one.rank})
    return told.filter(pl.Series(np.isfinite(one.basis)))


def rolls_frame(one: TermProduct) -> pl.DataFrame | None:
    """The rolls of the benchmark rule, and those that the optimiser decided: offset and saving; None without."""
    if one.rolls is None or not len(one.rolls.rolls):
        return None
    rolls, walked = one.rolls.rolls, one.rolls.walked
    chosen, saving = np.full(len(rolls), np.nan), np.full(len(rolls), np.nan)
    if walked is not None:
        chosen[walked.roll], saving[walked.roll] = walked.chosen, walked.saving
    columns: dict[str, ArrayLike] = {
        "near": list(rolls.near),
        "far": list(rolls.far),
        "last_day": rolls.last_day,
        "offset_rule": rolls.default,
    }
    told = _frame(one.series.product, {**columns, "offset": chosen, "saving": saving})
    return told.with_columns(pl.col("offset").cast(pl.Int64))


def snapshots_frame(curves: Sequence[ProductCurve]) -> pl.DataFrame:
    """The curves that are shown: product, session, contract, years, price; the index at 0 years."""
    rows = []
    for curve in curves:
        for one in curve.snapshots:
            if np.isfinite(one.spot):
                rows.append((curve.product, one.session, SPOT, 0.0, one.spot))
            cells = zip(one.contracts, one.years.tolist(), one.price.tolist(), strict=True)
            rows += [(curve.product, one.session, *cell) for cell in cells]
    types = {
        "product": pl.String,
        "session": pl.String,
        "contract": pl.String,
        "years": pl.Float64,
        "price": pl.Float64,
    }
    return pl.DataFrame(rows, schema=types, orient="row").with_columns(pl.col("session").str.to_date())


def yields_text(found: Mapping[str, TermProduct]) -> tuple[tuple[str, ...], ...]:
    """A row a product: where its yield stands, and what open interest says of it."""
    head = ("product", "last", "literal", "median", "5 %", "95 %", "p1", "t", "p", "shortage", "glut", "days")
    rows: list[tuple[str, ...]] = [head]
    for name, one in found.items():
        delta, effect, signs = one.yields.delta, one.yields.effect, one.yields.signs
        known = delta[np.isfinite(delta)]
        if not len(known):
            continue
        literal = one.yields.literal[np.isfinite(one.yields.literal)]
        low, middle, high = np.quantile(known, (0.05, 0.5, 0.95))
        told = (NOTHING, NOTHING, NOTHING)
        if effect is not None:
            told = (number(effect.p1, "+.4f"), number(-effect.t["b"], "+.1f"), p_value(effect.p_value))
        days = (f"{np.nansum(sign):,.0f}" for sign in (signs.shortage, signs.glut))
        shown = (f"{value:+.2%}" for value in (middle, low, high))
        last = f"{literal[-1]:+.2%}" if len(literal) else NOTHING
        rows.append((name, f"{known[-1]:+.2%}", last, *shown, *told, *days, f"{len(known):,}"))
    return tuple(rows)


def rolls_text(found: Mapping[str, TermProduct]) -> tuple[tuple[str, ...], ...]:
    """A row a product: what past rolls say now, and what they would have saved year by year."""
    rows: list[tuple[str, ...]] = [
        (
            "product",
            "rolls",
            "rule, sessions left",
            "now",
            "expected, bp",
            "decided",
            "saved, bp",
            "s.e.",
            "of them better",
        )
    ]
    for name, one in found.items():
        table = one.rolls
        if table is None or table.choice is None:
            continue
        choice, walked = table.choice, table.walked
        now = "as the rule" if choice.offset is None else f"{choice.offset} left"
        expected = NOTHING if choice.offset is None else f"{1e4 * choice.saving:+.1f} ± {1e4 * choice.se:.1f}"
        told = (NOTHING,) * 4
        if walked is not None:
            savings = (f"{1e4 * walked.mean:+.1f}", number(1e4 * walked.se, ".1f"), f"{walked.share:.0%}")
            told = (f"{len(walked.roll)}", *savings)
        rows.append((name, f"{len(table.rolls)}", f"{np.median(table.rolls.default):g}", now, expected, *told))
    return tuple(rows)


def _frame(product: str, columns: Mapping[str, ArrayLike]) -> pl.DataFrame:
    """The columns under their product; NaN is null, days are dates."""
    found = pl.DataFrame({name: pl.Series(name, np.asarray(values)) for name, values in columns.items()})
    days = [name for name, kind in found.schema.items() if kind == pl.Datetime]
    return found.with_columns(pl.col(days).cast(pl.Date), selectors.float().fill_nan(None)).select(
        pl.lit(product).alias("product"), pl.all()
    )


def _names(contracts: tuple[str, ...], at: IntArray) -> list[str]:
    return [SPOT if i < 0 else contracts[i] for i in at.tolist()]
