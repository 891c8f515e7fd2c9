"""The term-structure task: from the chains in the store to fitted curves, yields, rolls, and what is told of them.

prepare  store -> curves of each product (training/term_data.py)   (steps 3 and 4 of the road)
fit      each product's model on the development span, filtered on; its basis, yields and rolls (training/term_fit.py)
judge    pricing errors in and out of sample -> evidence of the report   (step 9)
final    the fits, with their states after the last date, are the model (training/term_book.py)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from features.panel import DataError
from features.product_names import PRODUCT_NAMES
from features.store import Store
from training.evaluate.page import NOTHING, number
from training.evaluate.spread_evidence import BasisHistory, CurveSnapshot, ProductCurve, SpreadEvidence, TermFit
from training.evaluate.spread_series import extremes
from training.term_book import TermBook
from training.term_config import TermConfig
from training.term_data import TermData, gather
from training.term_fit import TermProduct, analysed

HEAD = (
    "product",
    "factors",
    "dates",
    "kappa",
    "half-life, sessions",
    "error, bp",
    "holdout, bp",
    "yield now",
    "basis now",
    "roll saves, bp",
    "s.e.",
)


def prepare(config: TermConfig, store: Store, say: Callable[[str], None] = lambda line: None) -> TermData:
    """The curves of the config's span; DataError where no product has one."""
    data = gather(config, store, say)
    if not data.series:
        why = "; ".join(f"{product}: {reason}" for product, reason in data.empty.items())
        raise DataError("term structure", "some product must have a curve", why or "no product")
    return data


def fit(
    config: TermConfig,
    data: TermData,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, TermProduct]:
    """Every product by itself."""
    out: dict[str, TermProduct] = {}
    for done, (product, series) in enumerate(data.series.items()):
        progress(done, len(data.series))
        out[product] = one = analysed(config, series)
        say(f"{product}: {_line(one)}")
    progress(len(data.series), len(data.series))
    return out


def book(data: TermData, found: Mapping[str, TermProduct]) -> TermBook:
    """The models that were judged, with their states after the last date."""
    models = {name: (one.model, one.series.dates) for name, one in found.items() if one.model is not None}
    fits = {name: replace(model.fitted, state=model.seen.state) for name, (model, _) in models.items()}
    learnt = {name: str(dates[~model.holdout][-1]) for name, (model, dates) in models.items()}
    empty = {name: one.absent["term"] for name, one in found.items() if one.model is None}
    return TermBook(fits, {**data.empty, **empty}, learnt)


def judge(config: TermConfig, data: TermData, found: Mapping[str, TermProduct]) -> SpreadEvidence:
    """What the report shows of every product."""
    first = min(one.series.sessions[0] for one in found.values())
    return SpreadEvidence(
        title=f"{config.name}: term structure of futures",
        subtitle=f"{len(found)} products, {first} to {data.last}; fitted on the dates before the last "
        f"{config.holdout:.0%}, which are priced by the filter alone",
        horizons=(),
        curves=tuple(curve_of(config, one) for one in found.values()),
        skipped=dict(data.empty),
        warnings=data.notes,
        settings=config.dump(),
    )


def curve_of(config: TermConfig, one: TermProduct) -> ProductCurve:
    """A product as the report and the pictures show it."""
    series = one.series
    basis = None
    if one.basis is not None:
        late = ("until 2015 the future's close is 15 minutes behind the index's",)
        notes = late if (series.sessions < np.datetime64("2016-01-01")).any() else ()
        basis = BasisHistory("next month's close over the index, less 1", series.sessions, one.basis, notes)
    return ProductCurve(
        series.product,
        PRODUCT_NAMES.get(series.product, ""),
        tuple(_snapshot(one, t) for t in _shown(config, one)),
        basis,
        term_fit(one),
        series.notes,
        one.absent,
    )


def term_fit(one: TermProduct) -> TermFit | None:
    """The model of a product for the report; None without one."""
    if one.model is None:
        return None
    model, series = one.model, one.series
    fitted, seen = model.fitted, model.seen
    years = model.ranked(series.curve.years)
    inside, outside = (model.errors(part)[0] for part in (False, True))
    constant = () if fitted.factors == 2 else ("In one factor the level is constant: xi is its estimate.",)
    note = f"The fit ends before {series.dates[model.holdout.argmax()]}: pricing errors are {1e4 * inside:.0f} bp then"
    return TermFit(
        "Schwartz–Smith" if fitted.factors == 2 else "one factor (Schwartz 1997)",
        series.dates,
        tuple(f"{rank + 1}" for rank in range(years.shape[1])),
        model.ranked(series.curve.price),
        fitted.price(seen.chi[:, None], seen.xi[:, None], years),
        seen.chi,
        seen.xi,
        {name: (value, fitted.errors[name]) for name, value in fitted.params.items()},
        fitted.loglik,
        "ok" if fitted.converged else "the search did not settle",
        fitted.convenience_yield(seen.chi, series.rate[series.row]),
        (*fitted.notes, *constant, f"{note}, {1e4 * outside:.0f} bp from then on."),
    )


def metrics(found: Mapping[str, TermProduct], data: TermData) -> dict[str, float]:
    """The numbers of a run by name; what is not known is left out."""
    modelled = [one for one in found.values() if one.model is not None]
    out: dict[str, float] = {
        "products/modelled": len(modelled),
        "products/skipped": len(data.empty) + len(found) - len(modelled),
    }
    for name, one in found.items():
        out |= {f"{name}/{key}": value for key, value in numbers_of(one).items()}
    return out


def numbers_of(one: TermProduct) -> dict[str, float]:
    """The numbers of a product; what is not known is left out."""
    out: dict[str, float] = {}
    if one.model is not None:
        fitted = one.model.fitted
        for part, name in ((False, "development"), (True, "holdout")):
            error, surprise = one.model.errors(part)
            out |= {f"error_bp_{name}": 1e4 * error, f"surprise_{name}": surprise}
        out |= {"factors": fitted.factors, "half_life": fitted.half_life, "loglik": fitted.loglik}
        out |= {"converged": float(fitted.converged), **dict(fitted.params)}
    if one.yields.effect is not None:
        effect = one.yields.effect
        out |= {"interest_p1": effect.p1, "interest_t": -effect.t["b"], "interest_p": effect.p_value}
    for name, values in (("yield", one.yields.delta), ("basis", one.basis), ("basis_rank", one.rank)):
        known = np.empty(0) if values is None else values[np.isfinite(values)]
        if len(known):
            out[f"{name}_last"] = float(known[-1])
        if len(known) and name == "basis":
            out |= {"basis_lowest": float(known.min()), "basis_highest": float(known.max())}
    if one.rolls is not None:
        out["rolls"] = len(one.rolls.rolls)
        if (walked := one.rolls.walked) is not None:
            out |= {"roll_saving_bp": 1e4 * walked.mean, "roll_saving_se_bp": 1e4 * walked.se}
            out |= {"rolls_decided": len(walked.roll), "roll_saving_share": walked.share}
    return {name: float(value) for name, value in out.items() if math.isfinite(value)}


def table(found: Mapping[str, TermProduct]) -> tuple[tuple[str, ...], ...]:
    """The products as text: a row each."""
    rows = [HEAD]
    for name, one in found.items():
        told = numbers_of(one)

        def cell(key: str, form: str, told: Mapping[str, float] = told) -> str:
            return number(told.get(key), form)

        factors = NOTHING if one.model is None else f"{one.model.fitted.factors}"
        rows.append(
            (
                f"{name} {PRODUCT_NAMES.get(name, '')}".strip(),
                factors,
                f"{len(one.series.row):,}",
                cell("kappa", ".3g"),
                cell("half_life", ",.0f"),
                cell("error_bp_development", ".1f"),
                cell("error_bp_holdout", ".1f"),
                cell("yield_last", "+.2%"),
                cell("basis_last", "+.2%"),
                cell("roll_saving_bp", "+.1f"),
                cell("roll_saving_se_bp", ".1f"),
            )
        )
    return tuple(rows)


def note(config: TermConfig, evidence: SpreadEvidence, found: Mapping[str, TermProduct]) -> str:
    """The run's description in Markdown."""
    text = table(found)
    lines = [f"**{config.name}**: {evidence.subtitle}.", ""]
    lines += ["| " + " | ".join(text[0]) + " |", "|" + "---|" * len(text[0])]
    lines += ["| " + " | ".join(row) + " |" for row in text[1:]]
    lines += ["", f"Rolls: what a {config.rolls.side} position saves a roll over the rule {config.roll.rule}, decided"]
    lines += ["year by year from the rolls before it, costs included."]
    lines += [f"- {name}: no {part}: {why}" for name, one in found.items() for part, why in one.absent.items()]
    lines += [f"- skipped {product}: {why}" for product, why in evidence.skipped.items()]
    lines += [f"- {one}" for one in evidence.warnings]
    return "\n".join(lines)


def _line(one: TermProduct) -> str:
    """A product in a line."""
    if one.model is None:
        return f"no model: {one.absent['term']}"
    inside, outside = (1e4 * one.model.errors(part)[0] for part in (False, True))
    factors = "two factors" if one.model.fitted.factors == 2 else "one factor"
    return f"{factors}, pricing error {inside:.1f} bp, {outside:.1f} bp in the holdout"


def _shown(config: TermConfig, one: TermProduct) -> list[int]:
    """Sessions whose curves are shown: spread evenly over those with two contracts, the extremes of the basis."""
    there = np.flatnonzero(np.isfinite(one.series.price).sum(axis=1) >= 2)
    if not len(there):
        return []
    even = there[np.linspace(0, len(there) - 1, config.curves.snapshots).round().astype(int)]
    odd = [] if one.basis is None else [t for t in extremes(one.basis) if t in there]
    return sorted({*even.tolist(), *odd})


def _snapshot(one: TermProduct, t: int) -> CurveSnapshot:
    series = one.series
    own = np.flatnonzero(np.isfinite(series.price[t]))
    names = tuple(series.contracts[i] for i in own)
    return CurveSnapshot(
        str(series.sessions[t]), names, series.years[t, own], series.price[t, own], float(series.spot[t])
    )
