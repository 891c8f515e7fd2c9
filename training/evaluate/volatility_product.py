"""The section of one product on the page of a volatility run: verdict, pictures, tests, estimates, rolls."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from training.evaluate import volatility_charts as charts
from training.evaluate import volatility_series as series
from training.evaluate.page import NOTHING, Block, Drawing, Remark, Section, Table, number
from training.evaluate.volatility_evidence import ProductEvidence, VolatilityEvidence
from training.evaluate.volatility_words import fits_ended, p_value, shown, verdict, ways_ended

MOST_ROLLS, MOST_FITS = 400, 200
SCORE_HEAD = (
    "QLIKE",
    "against {base}",
    "DM\u00a0t",
    "p",
    "in\u00a0set",
    "MSE",
    "MZ a,\u00a01e-6",
    "b",
    "p",
    "better",
    "holdout",
    "forecasts",
)


def product_section(product: ProductEvidence, run: VolatilityEvidence, points: int) -> Section:
    """Everything on one product, folded under a line that says who wins at each horizon."""
    said = [f"{h}: {verdict(product.scores.get(h, ()), run.base)}" for h in run.horizons]
    blocks: list[Block] = [Remark(note, "warning") for note in product.notes]
    blocks += [_span(product), _now(product, run)]
    blocks += _position(product)
    blocks += _pictures(product, run, points)
    blocks += [_scores(product, run, horizon) for horizon in run.horizons if product.scores.get(horizon)]
    blocks += _backtests(product, run)
    blocks += _residuals(product)
    blocks += _estimates(product)
    blocks += _fits(product)
    blocks += _rolls(product, points)
    note = "; ".join(said)
    return Section(anchor(product.product), product.product, product.zh, tuple(blocks), folded=True, note=note)


def anchor(product: str) -> str:
    """Where the section stands on the page."""
    return "product-" + "".join(c if c.isalnum() else "-" for c in product)


def _absent(product: ProductEvidence, part: str) -> Remark:
    return Remark(f"Not here: {product.absent.get(part, f'{part} was not computed for this product')}.", "absent")


def _span(product: ProductEvidence) -> Remark:
    n = len(product.sessions)
    if not n:
        return Remark("No session has a forecast.", "absent")
    held = f"; {product.contract} is held next" if product.contract else ""
    text = f"Forecasts at {n:,} sessions, {product.sessions[0]} to {product.sessions[-1]}{held}."
    failed = [f"{model}: {status}" for model, status in product.status.items() if status != "ok"]
    return Remark(text + (f" Last fits that did not end well: {'; '.join(failed)}." if failed else ""))


def _now(product: ProductEvidence, run: VolatilityEvidence) -> Table:
    """The forecasts of the last session by horizon; annualised per cent."""
    horizons = np.asarray(run.horizons)
    rows = [
        (shown(name, run.base), *(_percent(v) for v in series.annualised(series.latest(values), horizons)))
        for name, values in product.variance.items()
    ]
    last = series.latest(product.served)
    rows.append((f"served ({run.served_as}) 发布", *(_percent(v) for v in series.annualised(last, horizons))))
    rows.append(("    of the horizon, not annualised", *(_percent(100 * v) for v in np.sqrt(last))))
    rows.append(("    share of its history at or below", *(number(v, ".0%") for v in series.standing(product.served))))
    if product.chosen is not None and len(product.chosen):
        models = list(product.variance)
        rows.append(("    model chosen", *(models[i] if i >= 0 else NOTHING for i in product.chosen[-1])))
    day = product.sessions[-1] if len(product.sessions) else NOTHING
    return Table((f"volatility a year, told on {day}; sessions ahead", *_names(run.horizons)), tuple(rows))


def _names(horizons: Sequence[int]) -> tuple[str, ...]:
    return tuple(str(h) for h in horizons)


def _percent(value: float) -> str:
    return NOTHING if not np.isfinite(value) else f"{value:.2f} %"


def _position(product: ProductEvidence) -> list[Block]:
    found = product.position
    if found is None:
        return [_absent(product, "position")]
    row = (
        f"{found.margin:,.0f} CNY",
        f"{found.leverage:.2f} ×",
        f"{found.contracts:,}",
        found.cap or NOTHING,
        number(found.margin_call, ".2%"),
    )
    head = ("margin of a contract 保证金", "leverage 杠杆", "contracts 手数", "bound by", "P(margin call, 5 sessions)")
    return [Table(head, (row,), texts=0)]


def _pictures(product: ProductEvidence, run: VolatilityEvidence, points: int) -> list[Block]:
    one = 0
    size = series.block_size(len(product.sessions), points)
    thinned = f" A point stands for {size} sessions." if size > 1 else ""
    first = {name: values[:, one] for name, values in product.variance.items()}
    drawn: list[Block] = []
    if run.horizons[one] == 1 and len(product.sessions):
        figure = charts.forecast_against_range(
            product.sessions,
            product.range_variance,
            product.served[:, one],
            first,
            base=run.base,
            points=points,
            holdout=product.holdout,
        )
        how = "Dots: range of each session, scaled to the mean of the squared returns. Other models: click their name."
        drawn.append(Drawing(figure, how + (thinned and thinned + " Means of variances, then annualised.")))
    else:
        drawn.append(Remark("Not here: a picture of forecasts needs the horizon of one session.", "absent"))
    drawn.append(_losses(product, run, points, thinned))
    drawn.append(Drawing(charts.term_structure(run.horizons, product.served, product.variance, run.base), half=True))
    if product.news is None:
        drawn.append(_absent(product, "news"))
    else:
        how = "Last fit of each model; those that learn from the range take it as it was."
        drawn.append(Drawing(charts.news_impact(product.news, run.base), how, half=True))
    if product.var is None:
        return [*drawn, _absent(product, "var")]
    figure = charts.value_at_risk(
        product.sessions,
        product.returns,
        product.var,
        product.es,
        run.levels,
        points=points,
        holdout=product.holdout,
    )
    worst = f" Grey dots: the worst return of {size} sessions; every breach is drawn." if size > 1 else ""
    return [*drawn, Drawing(figure, "Told at the close before." + worst)]


def _losses(product: ProductEvidence, run: VolatilityEvidence, points: int, thinned: str) -> Block:
    horizon = run.horizons[0]
    if run.base not in product.losses:
        return _absent(product, "losses")
    figure = charts.loss_against_base(
        product.sessions,
        {name: values[:, 0] for name, values in product.losses.items()},
        base=run.base,
        base_name=shown(run.base, run.base),
        horizon=horizon,
        points=points,
        holdout=product.holdout,
    )
    return Drawing(figure, "A line that falls loses to it. Only sessions on which both have a forecast." + thinned)


def _scores(product: ProductEvidence, run: VolatilityEvidence, horizon: int) -> Table:
    base = shown(run.base, run.base)
    rows = tuple(
        (
            shown(row.model, run.base),
            number(row.qlike, ".4f"),
            number(row.ratio, ".3f"),
            number(row.dm_t, "+.2f"),
            p_value(row.dm_p),
            NOTHING if row.in_set is None else "yes" if row.in_set else "no",
            number(row.mse_ratio, ".3f"),
            number(row.mz_a * 1e6, "+.1f"),
            number(row.mz_b, ".2f"),
            p_value(row.mz_p),
            number(row.better, ".0%"),
            number(row.holdout, ".3f"),
            f"{row.n:,}",
        )
        for row in product.scores[horizon]
    )
    said = verdict(product.scores[horizon], run.base)
    head = (f"{horizon} ahead", *(word.format(base=base) for word in SCORE_HEAD))
    return Table(head, rows, f"Horizon {horizon}: {said}")


def _backtests(product: ProductEvidence, run: VolatilityEvidence) -> list[Block]:
    if not product.backtests:
        return [_absent(product, "backtests")]
    rows = tuple(
        (
            shown(one.model, run.base),
            f"{one.level:.1%}",
            f"{one.breaches:,} of {one.n:,}",
            number(one.expected, ".1f"),
            p_value(one.kupiec_p),
            p_value(one.christoffersen_p),
            p_value(one.dq_p),
            number(one.z2, "+.2f"),
            number(one.z2_critical, "+.2f"),
            one.verdict,
        )
        for one in product.backtests
    )
    head = ("value at risk 在险价值", "level", "breaches", "expected", "Kupiec p", "Christoffersen p", "DQ p", "ES Z₂")
    return [Table((*head, "5 % critical", "verdict"), rows, "Backtests of one session, walk-forward")]


def _residuals(product: ProductEvidence) -> list[Block]:
    if not product.residuals:
        return [_absent(product, "residuals")]
    rows = tuple(
        (
            one.model,
            p_value(one.ljung_box_p),
            p_value(one.ljung_box_squares_p),
            p_value(one.sign_bias_p),
            p_value(one.uniform_p),
            p_value(one.nyblom_p),
            f"{one.n:,}",
        )
        for one in product.residuals
    )
    head = ("Ljung–Box z, p", "Ljung–Box z², p", "sign bias p", "PIT uniform (KS) p", "Nyblom p", "n")
    caption = "What is left in the standardised residuals: a small p is something that the model has missed"
    return [Table(("residuals 残差检验", *head), rows, caption)]


def _estimates(product: ProductEvidence) -> list[Block]:
    if not product.estimates:
        return [_absent(product, "estimates")]
    rows = tuple(
        (
            one.model,
            ", ".join(f"{name} {_estimate(*found)}" for name, found in one.params.items()) or NOTHING,
            f"{one.fitted}",
            one.status,
            number(one.loglik, ",.1f"),
            number(one.persistence, ".4f"),
            number(one.dof, ".1f") if np.isfinite(one.dof) else "normal" if one.dof == np.inf else NOTHING,
            f"{one.nobs:,}",
        )
        for one in product.estimates
    )
    head = ("model", "estimates (standard errors)", "fitted", "status", "log-lik.", "persistence", "d.o.f.", "returns")
    return [Table(head, rows, "The last fit 最近一次估计", texts=4)]


def _estimate(value: float, error: float | None) -> str:
    return f"{value:.4g}" + ("" if error is None or not np.isfinite(error) else f" ({error:.2g})")


def _fits(product: ProductEvidence) -> list[Block]:
    if not product.refits:
        return [_absent(product, "refits")]
    ended = fits_ended(product)
    kinds = ways_ended(ended.values())
    rows = tuple(
        (model, f"{counts.total():,}", *(f"{counts[kind]:,}" for kind in kinds)) for model, counts in ended.items()
    )
    blocks: list[Block] = [Table(("fits 重估", "all", *kinds), rows)]
    bad = [refit for refit in product.refits if refit.status != "ok"]
    if bad:
        told = tuple((f"{one.date}", one.model, one.status) for one in bad[-MOST_FITS:])
        some = f", the last {MOST_FITS} of {len(bad):,}" if len(bad) > MOST_FITS else ""
        blocks.append(Table(("date", "model", "status"), told, f"Fits that did not end well at once{some}", texts=3))
    return blocks


def _rolls(product: ProductEvidence, points: int) -> list[Block]:
    if product.level is None or product.level_sessions is None:
        return [_absent(product, "level")]
    blocks: list[Block] = [Drawing(charts.rolls(product.level_sessions, product.level, product.rolls, points=points))]
    table = product.rolls
    if table is None or not table.height:
        return [*blocks, _absent(product, "rolls")]
    shown_rolls = table.tail(MOST_ROLLS)
    rows = tuple(tuple(_cell(name, value) for name, value in row.items()) for row in shown_rolls.iter_rows(named=True))
    some = f", the last {MOST_ROLLS} of them" if table.height > MOST_ROLLS else ""
    texts = len(list(itertools.takewhile(lambda dtype: not dtype.is_numeric(), table.dtypes)))
    return [*blocks, Table(tuple(table.columns), rows, f"{table.height:,} rolls 换月{some}", texts=texts)]


def _cell(column: str, value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return number(value, "+.3%") if column == "spread" else number(value, ",.6g")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
