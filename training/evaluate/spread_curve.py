"""The section of one product's term structure on the page of a spread run: curves, basis, the model of it."""

from __future__ import annotations

import numpy as np

from training.evaluate import spread_series as series
from training.evaluate import term_charts as charts
from training.evaluate.page import NOTHING, Block, Drawing, Remark, Section, Table, number
from training.evaluate.spread_evidence import BasisHistory, CurveSnapshot, ProductCurve, TermFit


def curve_section(curve: ProductCurve, points: int) -> Section:
    """Everything on one product's curve, folded under a line that says where its basis stands."""
    blocks: list[Block] = [Remark(note, "warning") for note in curve.notes]
    if curve.basis is None or not len(curve.basis.sessions):
        blocks.append(_absent(curve, "basis"))
    else:
        blocks += _basis(curve.basis, curve.product, points)
    if curve.snapshots:
        blocks += _snapshots(curve.snapshots, curve.product)
    else:
        blocks.append(_absent(curve, "snapshots"))
    if curve.term is None:
        blocks.append(_absent(curve, "term"))
    else:
        blocks += _term(curve.term, points)
    return Section(anchor(curve.product), curve.product, curve.zh, tuple(blocks), folded=True, note=curve_note(curve))


def anchor(product: str) -> str:
    """Where the section stands on the page."""
    return "curve-" + "".join(c if c.isalnum() else "-" for c in product)


def curve_note(curve: ProductCurve) -> str:
    """One line on a product's curve."""
    said = []
    found = curve.basis
    if found is not None and (rows := np.flatnonzero(np.isfinite(found.basis))).size:
        last = int(rows[-1])
        said.append(f"basis {found.basis[last]:+.2%}, at or above {_standing(found)} of its last year")
    if curve.term is not None:
        said.append(f"{curve.term.model}: {curve.term.status}")
    return "; ".join(said)


def _standing(found: BasisHistory) -> str:
    return number(series.share_below(found.basis), ".0%")


def _absent(curve: ProductCurve, part: str) -> Remark:
    return Remark(f"Not here: {curve.absent.get(part, f'{part} was not computed for this product')}.", "absent")


def _basis(found: BasisHistory, name: str, points: int) -> list[Block]:
    blocks: list[Block] = [Remark(note, "warning") for note in found.notes]
    if not np.isfinite(found.basis).any():
        return [*blocks, Remark("Not here: no session has a basis.", "absent")]
    known = found.basis[np.isfinite(found.basis)]
    quantiles = np.quantile(known, series.SHARES)
    head = ("lowest", *(f"{share:.0%}" for share in series.SHARES), "highest", "last", "of its last year", "sessions")
    row = (*(f"{v:+.2%}" for v in (known.min(), *quantiles, known.max(), known[-1])), _standing(found))
    table = Table((found.what, *head), (("whole history 全历史", *row, f"{len(known):,}"),))
    how = f"Shaded: quantiles of the last {series.WINDOW} sessions, this one included, as they stood then."
    return [*blocks, Drawing(charts.basis_history(found, name, points=points), how), table]


def _snapshots(snapshots: tuple[CurveSnapshot, ...], name: str) -> list[Block]:
    rows = tuple(
        (
            one.session,
            f"{len(one.contracts)}",
            f"{one.contracts[0]} {one.price[0]:,.6g}" if one.contracts else NOTHING,
            f"{one.contracts[-1]} {one.price[-1]:,.6g}" if one.contracts else NOTHING,
            number(_carry(one), "+.2%"),
        )
        for one in snapshots
    )
    head = ("session", "contracts", "nearest", "farthest", "ln(far / near) a year")
    told = Table(head, rows, "Where the curve stood 曲线快照", half=True)
    return [Drawing(charts.curve_snapshots(snapshots, name), half=True), told]


def _carry(one: CurveSnapshot) -> float:
    """Slope from the nearest to the farthest contract, per year."""
    if len(one.price) < 2 or one.years[-1] <= one.years[0]:
        return float("nan")
    return float(np.log(one.price[-1] / one.price[0]) / (one.years[-1] - one.years[0]))


def _term(found: TermFit, points: int) -> list[Block]:
    blocks: list[Block] = [Remark(note, "warning") for note in found.notes]
    if found.status != "ok":
        blocks.append(Remark(f"{found.model}: {found.status}.", "warning"))
    rows = tuple(
        (name, f"{value:.4g}", NOTHING if error is None else number(error, ".2g"))
        for name, (value, error) in found.params.items()
    )
    fitted = f"{found.model} on {len(found.sessions):,} dates, log-likelihood {found.loglik:,.1f}"
    blocks.append(Table(("parameter 参数", "estimate", "standard error"), rows, fitted, half=True))
    square, mean, count = series.pricing_errors(found.price, found.fitted)
    errors = tuple(
        (label, number(1e4 * square[j], ".1f"), number(1e4 * mean[j], "+.1f"), f"{count[j]:,}")
        for j, label in enumerate(found.labels)
    )
    head = ("maturity", "RMSE, bp", "mean, bp", "prices")
    blocks.append(Table(head, errors, "ln(price / model) 定价误差", half=True))
    blocks.append(Drawing(charts.term_states(found, points=points), half=True))
    blocks.append(Drawing(charts.term_deviation(found, points=points), half=True))
    blocks.append(Drawing(charts.term_errors(found, points=points)))
    return blocks
