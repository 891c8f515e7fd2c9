"""The page of a spread run says what is foretold and what it earned, holds every pair, and names what is missing."""

from __future__ import annotations

import base64
import re
from dataclasses import replace

import numpy as np
import pytest

from tests.training.evaluate.seen_page import HOSTILE, Page
from tests.training.evaluate.traded_world import HORIZONS, basis, curve, evidence, pair, term
from training.evaluate import spread_series as series
from training.evaluate.spread_page import spread_html
from training.evaluate.spread_words import certainty, verdict


@pytest.fixture(scope="module")
def run():
    return evidence()


@pytest.fixture(scope="module")
def html(run):
    return spread_html(run)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def drawn(page, title, nth=0):
    return [f for f in page.figures if title in f["layout"]["title"]["text"]][nth]


def numbers(found):
    """The numbers of a trace as the browser reads them."""
    if isinstance(found, list):
        return np.array(found, np.float64)
    return np.frombuffer(base64.b64decode(found["bdata"]), found["dtype"]).astype(np.float64)


def rows(html):
    """The cells of every table row."""
    found = re.findall(r"<tr>(.*?)</tr>", html, re.S)
    return [[re.sub(r"<.*?>", "", cell) for cell in re.findall(r"<td.*?</td>", row, re.S)] for row in found]


def test_the_summary_comes_first_and_every_pair_and_product_has_a_section(page):
    wanted = ["summary", "money", "curves", "curve-IC", "pairs", "pair-RB-far-near", "pair-IF-far-near", "settings"]
    assert page.sections == wanted
    assert page.tags["details"] == 3


def test_nothing_is_loaded_from_anywhere(page):
    assert page.loads == []
    assert not {"link", "img"} & set(page.tags)


def test_what_was_left_out_and_what_to_know_first_is_told(page):
    for text in ("not cointegrated: p 0.31", "no dividends are known", "open interest is double-sided before 2020"):
        assert text in page.text
    assert page.text.count("the best model is better than nought on 2 of 2 pairs") == len(HORIZONS)


def test_the_map_holds_every_r2_and_stars_the_best(page, run):
    figure = drawn(page, "R² against a forecast of nought")
    assert [trace["visible"] for trace in figure["data"]] == [True, False]
    for trace, horizon in zip(figure["data"], HORIZONS, strict=True):
        r2 = [score.zero.r2 for score in run.pairs[1].scores[horizon]]
        assert trace["x"] == ["ar1", "elastic_net", "noise"]
        assert trace["text"][1] == [f"{r2[0]:+.2%}", f"★ {r2[1]:+.2%}", f"{r2[2]:+.2%}"]


def test_every_number_of_a_score_stands_in_its_column(html, run):
    score = run.pairs[0].scores[5][1]
    direction = f"{score.direction.accuracy:.1%} ({score.direction.expected:.1%})"
    small = "&lt;\u00a00.001"
    told = ["elastic_net", f"{score.zero.r2:+.2%}", small, f"{score.ar1.r2:+.2%}", small, direction, small]
    assert [*told, f"{score.ic.ic:+.3f}", small, "+1.23%", "695"] in rows(html)
    assert max(score.zero.p, score.ar1.p, score.direction.robust.p, score.ic.p) < 0.001


def test_the_money_of_every_rule_stands_in_its_row(html, run):
    told = run.pairs[1].tradings[0].summary
    (row,) = [row for row in rows(html) if row and row[0] == "IF far–near, z of ou"]
    assert row[1:5] == [
        f"{told.closed}",
        f"{told.annual:+.2%}",
        f"{told.costs / told.n * 242:.2%}",
        f"{told.sharpe:.2f}",
    ]
    assert row[6] == f"{told.deflated:.2f}"
    assert row[7:9] == [f"{told.drawdown:.2%}", f"{told.losing:.0%}"]
    assert row[10:] == [f"{told.worst:+.2%}", f"{told.tail:+.2%}", f"{told.capacity / 1e6:,.1f}"]


def test_the_claim_of_certainty_fails_where_one_rule_may_be_luck(run):
    def closed(pair, count):
        rules = [replace(rule, summary=replace(rule.summary, closed=count)) for rule in pair.tradings]
        return replace(pair, tradings=tuple(rules))

    many = replace(run, pairs=tuple(closed(pair, 40) for pair in run.pairs))
    assert "passed" in Page(spread_html(many)).text
    few = Page(spread_html(replace(run, pairs=(*many.pairs[:-1], closed(run.pairs[-1], 3))))).text
    assert "passed" not in few
    assert "failed" not in few
    assert "too few trades to tell it from luck, of 30" in few
    one = many.pairs[0]
    lucky = replace(one.tradings[0], summary=replace(one.tradings[0].summary, deflated=0.6))
    text = Page(spread_html(replace(run, pairs=(replace(one, tradings=(lucky, one.tradings[1])),)))).text
    assert "1 of 2 rules" in text
    assert "failed" in text
    assert "not told from luck (deflated Sharpe 0.60" in text


def test_trades_are_drawn_and_listed_where_they_were_made(page, html, run):
    one = run.pairs[0]
    trades = one.tradings[0].trading.trades
    figure = drawn(page, "Spread with bands")
    traces = {trace.get("name", ""): trace for trace in figure["data"]}
    sold = [t for t in trades if t.side < 0]
    assert traces[f"{len(sold)} sold 卖出价差"]["x"] == [str(one.sessions[t.entered]) for t in sold]
    np.testing.assert_allclose(
        numbers(traces[f"{len(sold)} sold 卖出价差"]["y"]), 100 * one.spread[[t.entered for t in sold]], rtol=1e-6
    )
    first = trades[0]
    (row,) = [r for r in rows(html) if r and r[0] == f"{one.sessions[first.entered]} to {one.sessions[first.left]}"][:1]
    assert row[6] == f"{first.costs / 1e7:.3%}"
    assert row[7] == f"{first.net / 1e7:+.3%}"


def test_the_band_is_where_the_rule_enters(page, run):
    one = run.pairs[0]
    line = next(trace for trace in drawn(page, "Spread with bands")["data"] if trace["name"] == "+1.5 s.d.")
    assert numbers(line["y"])[0] == pytest.approx(150 * one.sd[0], rel=1e-6)


def test_no_line_leads_across_a_roll(page, run):
    one = run.pairs[0]
    line = next(trace for trace in drawn(page, "Spread with bands")["data"] if trace["name"] == "spread 价差")
    breaks = np.flatnonzero(np.isnan(numbers(line["y"])))
    turns = np.flatnonzero(np.diff(one.life)) + 1
    assert [line["x"][i] for i in breaks] == [str(one.sessions[t]) for t in turns]
    assert len(turns) == 7


def test_the_curve_begins_at_the_spot_and_ends_at_the_farthest_contract(page):
    newest = drawn(page, "the curve on some sessions")["data"][-1]
    assert newest["text"][0] == "spot 现货"
    assert numbers(newest["y"])[0] == pytest.approx(5005)
    assert newest["text"][-1] == "IC1503"


def test_a_crash_of_the_basis_is_drawn_however_few_points_there_are():
    found = basis()
    many = tuple(curve(f"P{i}", snapshots=(), term=None) for i in range(60))
    figure = drawn(Page(spread_html(evidence(pairs=(), curves=many))), "annualised log basis")
    line = next(trace for trace in figure["data"] if trace.get("name") == "basis 基差")
    assert np.nanmin(numbers(line["y"])) == pytest.approx(100 * np.nanmin(found.basis), rel=1e-6)
    assert len(line["x"]) < 300
    named = [note["text"] for note in figure["layout"]["annotations"]]
    assert any(text.startswith(f"{100 * np.nanmin(found.basis):+.1f} % on ") for text in named)


def test_trailing_quantiles_see_no_later_session_and_equal_numpy():
    values = basis().basis
    found = series.trailing_quantiles(values)
    at = 700
    np.testing.assert_allclose(found[at], np.quantile(values[at - 249 : at + 1], series.SHARES), rtol=1e-12)
    changed = values.copy()
    changed[at + 1 :] = 9.0
    np.testing.assert_array_equal(series.trailing_quantiles(changed)[: at + 1], found[: at + 1])
    assert np.isnan(found[68]).all()  # ten values are missing: the sixtieth is the one of row 69
    assert np.isfinite(found[69]).all()


def test_pricing_errors_are_those_of_the_logs():
    found = term()
    square, mean, count = series.pricing_errors(found.price, found.fitted)
    away = np.log(found.price / found.fitted)
    np.testing.assert_allclose(square, np.sqrt(np.nanmean(away**2, axis=0)), rtol=1e-12)
    np.testing.assert_allclose(mean, np.nanmean(away, axis=0), rtol=1e-9)
    assert count.tolist() == [400, 400, 400, 370]


MISSING = {"tests": (), "tradings": (), "scores": {}, "forecast": None, "half_lives": None}


@pytest.mark.parametrize("part", MISSING)
def test_a_part_of_a_pair_that_is_missing_is_named_with_its_reason(part):
    changed = {part: MISSING[part], "absent": {part: f"because of {part}"}}
    page = Page(spread_html(evidence(pairs=(pair(**changed),), curves=())))
    assert page.text.count(f"Not here: because of {part}.") == 1


@pytest.mark.parametrize(("part", "empty"), [("basis", None), ("snapshots", ()), ("term", None)])
def test_a_part_of_a_curve_that_is_missing_is_named_with_its_reason(part, empty):
    changed = {part: empty, "absent": {part: f"because of {part}"}}
    page = Page(spread_html(evidence(pairs=(), curves=(curve(**changed),))))
    assert page.text.count(f"Not here: because of {part}.") == 1


def test_nothing_at_all_is_said_as_well():
    page = Page(spread_html(evidence(pairs=(), curves=(), warnings=())))
    assert page.sections == ["summary", "settings"]
    assert "There is no pair and no product" in page.text
    gone = {"scores": {}, "tradings": (), **dict.fromkeys(("mean", "sd", "forecast", "half_lives", "holdout"))}
    none = {"sessions": np.zeros(0, "datetime64[D]"), "spread": np.zeros(0), "life": np.zeros(0, np.int64)}
    bare = pair(**none, **gone)
    assert "No session has a spread" in Page(spread_html(evidence(pairs=(bare,)))).text
    empty = basis(basis=np.full(1200, np.nan))
    assert "no session has a basis" in Page(spread_html(evidence(curves=(curve(basis=empty),)))).text


def test_a_rule_without_trades_says_why():
    one = pair()
    rule = one.tradings[0]
    trading = replace(rule.trading, trades=(), missed={"less than a lot": 41})
    told = replace(rule.summary, closed=0, missed={"less than a lot": 41})
    page = Page(spread_html(evidence(pairs=(replace(one, tradings=(replace(rule, trading=trading, summary=told),)),))))
    assert "orders not filled: 41 × less than a lot" in page.text
    assert "no trade has ended" in certainty(told)


def test_a_model_that_is_worse_than_nought_is_not_praised():
    rows = pair().scores[5]
    assert verdict(rows[2:]).startswith("no model is better than nought (best noise, R² -")
    assert verdict(()) == "nothing judged yet"


def test_names_that_look_like_markup_do_no_harm():
    wild = pair(HOSTILE, zh=HOSTILE, kind=HOSTILE, legs=(HOSTILE, HOSTILE), notes=(HOSTILE,), now={HOSTILE: HOSTILE})
    wild = replace(wild, tradings=(replace(wild.tradings[0], model=HOSTILE),))
    page = Page(spread_html(evidence(pairs=(wild,), curves=(curve(HOSTILE, zh=HOSTILE),), title=HOSTILE)))
    assert page.handlers == []
    assert not any("alert(1)" in script and "<script" in script for script in page.scripts[1:])
    assert all("<b" not in figure["layout"]["title"]["text"] for figure in page.figures)


def test_the_page_is_the_same_for_the_same_evidence(run, html):
    assert spread_html(run) == html
