"""The page of a volatility run says who wins where, holds every product, names what is missing, and loads nothing."""

from __future__ import annotations

import base64
import datetime
import json
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.training.evaluate.seen_page import HOSTILE, Page
from tests.training.evaluate.volatility_world import HORIZONS, LEVELS, evidence, product
from training.evaluate import volatility_series as series
from training.evaluate.volatility_evidence import Refit
from training.evaluate.volatility_page import LEAST_POINTS, MOST_POINTS, points_per_line, volatility_html


@pytest.fixture(scope="module")
def run():
    return evidence()


@pytest.fixture(scope="module")
def page(run):
    return Page(volatility_html(run))


def drawn(page, title, nth=0):
    return [f for f in page.figures if title in f["layout"]["title"]["text"]][nth]


def numbers(found):
    """The numbers of a trace as the browser reads them."""
    if isinstance(found, list):
        return np.array(found, np.float64)
    return np.frombuffer(base64.b64decode(found["bdata"]), found["dtype"]).astype(np.float64)


def test_the_summary_comes_first_and_every_product_has_a_section(page):
    wanted = ["leaderboard", "risk", "fits", "products", "product-IF", "product-RB", "settings"]
    assert page.sections == wanted
    assert page.tags["details"] == page.tags["summary"] == 2


def test_nothing_is_loaded_from_anywhere(page):
    assert page.loads == []
    assert not {"link", "img"} & set(page.tags)


def test_ewma_wins_is_said_in_words_where_it_does(page, run):
    assert page.text.count("EWMA wins on 1 of 2 products, garch_n on 1 (1 told from EWMA at 5 %)") == len(HORIZONS)
    gap = next(s for s in run.products[0].scores[1] if s.model == "garch_n").ratio
    assert f"garch_n beats EWMA: QLIKE {1 - gap:.1%} below EWMA's (p <\u00a00.001)" in page.text
    assert page.text.count("1: EWMA wins; 5: EWMA wins; 20: EWMA wins") == 1


def test_the_map_shows_each_ratio_and_who_wins_the_row(page, run):
    figure = drawn(page, "QLIKE over EWMA's")
    assert [trace["visible"] for trace in figure["data"]] == [True, False, False]
    assert figure["data"][0]["y"] == ["IF 沪深300股指期货", "RB 螺纹钢"]
    assert figure["data"][0]["x"] == ["EWMA", "garch_n", "noisy", "chosen"]
    for trace, horizon in zip(figure["data"], HORIZONS, strict=True):
        ratio = [score.ratio for score in run.products[0].scores[horizon]]
        assert trace["text"][0] == ["1.000", f"★ {ratio[1]:.3f}", f"{ratio[2]:.3f}", f"{ratio[3]:.3f}"]
        assert trace["text"][1][0] == "★ EWMA wins"
        assert not any("★" in cell for cell in trace["text"][1][1:])
    buttons = figure["layout"]["updatemenus"][0]["buttons"]
    assert [button["label"] for button in buttons] == ["1 session", "5 sessions", "20 sessions"]
    assert buttons[2]["args"] == ["visible", [False, False, True]]


def test_what_was_left_out_and_why_is_told(page):
    assert "too short: 212 returns of 500" in page.text
    assert "the range proxy of 2 locked days is 0" in page.text
    assert "single continuous series: roll jumps are inside" in page.text


def test_the_numbers_of_a_product_stand_in_its_tables(page, run):
    one = run.products[0]
    now = 100 * np.sqrt(242 * one.served[-1] / np.array(HORIZONS))
    assert all(f"{value:.2f} %" in page.text for value in now)
    assert f"{100 * np.sqrt(one.served[-1, 2]):.2f} %" in page.text
    for test in one.backtests:
        assert f"{test.breaches} of {test.n}" in page.text
    assert "141,120 CNY" in page.text
    assert "omega 3e-06 (1e-06), alpha 0.09" in page.text
    assert "fell back to ewma: persistence 1.02" in page.text
    assert "IF1203" in page.text
    assert "-1.370%" in page.text
    assert "51,234" in page.text


def rows(run):
    """The cells of every table row."""
    found = re.findall(r"<tr>(.*?)</tr>", volatility_html(run), re.S)
    return [[re.sub(r"<.*?>", "", cell) for cell in re.findall(r"<td.*?</td>", row, re.S)] for row in found]


def test_breaches_over_all_products_are_summed_and_rejections_counted(run):
    tests = [test for one in run.products for test in one.backtests if test.level == 0.99]
    breaches, n = sum(t.breaches for t in tests), sum(t.n for t in tests)
    expected, rate = f"{n * 0.01:,.1f}", f"{breaches / n:.2%}"
    counts = ["0 of 2", "0 of 2", "2 of 2", "0 of 2", "2"]  # Kupiec, Christoffersen, DQ (p 0.03), Z2, products
    assert ["chosen 滚动选优", "99.0%", str(breaches), expected, rate, *counts] in rows(run)


def test_every_number_of_a_score_stands_in_its_column(run):
    one = run.products[0]
    score = one.scores[5][2]
    told = [f"{score.qlike:.4f}", f"{score.ratio:.3f}", f"{score.dm_t:+.2f}", "&lt;\u00a00.001", "no", "0.987", "+12.0"]
    told += ["0.93", "0.200", f"{score.better:.0%}", f"{score.holdout:.3f}", f"{score.n}"]
    assert score.dm_p < 0.001
    assert score.in_set is False
    assert ["noisy", *told] in rows(run)
    assert "MZ a,\u00a01e-6" in volatility_html(run)  # the world's intercept is 1.2e-5


def test_residual_tests_stand_in_their_columns(run):
    assert ["garch_n", "0.310", "0.440", "0.080", "&lt;\u00a00.001", "0.370", "500"] in rows(run)


def test_a_forecast_stands_over_the_session_that_it_is_about(run):
    one = run.products[0]
    figure = drawn(Page(volatility_html(replace(run, products=(one,)))), "Forecast of one session")
    served = next(trace for trace in figure["data"] if trace["name"] == "served 发布")
    at = list(one.sessions.astype(str)).index("2013-06-03")
    assert served["x"][at] == "2013-06-03"
    assert numbers(served["y"])[at] == pytest.approx(100 * np.sqrt(242 * one.served[at - 1, 0]), rel=1e-6)
    hidden = {trace["name"]: trace.get("visible") for trace in figure["data"]}
    assert hidden["garch_n"] == "legendonly"
    assert hidden["ewma"] is True
    axes = [button["args"][1] for button in figure["layout"]["updatemenus"][0]["buttons"]]
    assert axes == ["linear", "log"]


@pytest.mark.parametrize("products", [1, 20])
def test_every_breach_is_drawn_however_few_points_there_are(products):
    one = product(n=700)
    copies = tuple(replace(one, product=f"P{i}") for i in range(products))
    figure = drawn(Page(volatility_html(evidence(products=copies))), "Value at risk of a long")
    marked = [trace for trace in figure["data"] if trace.get("showlegend") is False]
    least = [i for i in range(700) if i and one.returns[i] < -one.var[i - 1, 0]]
    assert sorted(day for trace in marked for day in trace["x"]) == [str(one.sessions[i]) for i in least]
    worst = [i for i in least if one.returns[i] < -one.var[i - 1, 2]]
    assert marked[2]["x"] == [str(one.sessions[i]) for i in worst]
    assert any(f"VaR 99.0%: {len(worst)} breaches of" in trace.get("name", "") for trace in figure["data"])


def test_the_saved_loss_is_the_sum_of_the_differences(page, run):
    one = run.products[0]
    figure = drawn(page, "QLIKE saved against EWMA")
    assert [trace["name"] for trace in figure["data"]] == ["garch_n", "noisy", "chosen"]
    gap = one.losses["ewma"][:, 0] - one.losses["noisy"][:, 0]
    assert numbers(figure["data"][1]["y"])[-1] == pytest.approx(np.nansum(gap), rel=1e-5)


def test_the_term_structure_shows_now_over_its_history(page, run):
    one = run.products[0]
    traces = {trace.get("name"): trace for trace in drawn(page, "Term structure now")["data"]}
    wanted = 100 * np.sqrt(242 * one.served[-1] / np.array(HORIZONS))
    np.testing.assert_allclose(numbers(traces["served 发布"]["y"]), wanted, rtol=1e-6)
    history = 100 * np.sqrt(242 * one.served[60:, 1] / 5)
    assert numbers(traces["5% to 95% of history"]["y"])[1] == pytest.approx(np.quantile(history, 0.95), rel=1e-6)


def test_rolls_are_marked_with_their_contracts(page):
    rolls = drawn(page, "with its rolls")["data"][1]
    assert rolls["name"] == "2 rolls 换月"
    assert rolls["text"] == ["IF1203 → IF1204, spread +0.42%", "IF1204 → IF1205, spread -1.37%"]


MISSING = {
    "var": None,
    "news": None,
    "backtests": (),
    "estimates": (),
    "refits": (),
    "residuals": (),
    "position": None,
    "level": None,
    "rolls": None,
    "losses": {},
}


@pytest.mark.parametrize("part", MISSING)
def test_a_part_that_is_missing_is_named_with_its_reason(part):
    changed = {part: MISSING[part], "absent": {part: f"because of {part}"}}
    page = Page(volatility_html(evidence(products=(product(**changed),))))
    assert page.text.count(f"Not here: because of {part}.") == 1


def test_a_run_whose_products_are_all_too_short_says_so():
    page = Page(volatility_html(evidence(products=(), warnings=())))
    assert page.sections == ["leaderboard", "risk", "fits", "settings"]
    assert "No product has a forecast" in page.text
    assert "too short: 212 returns of 500" in page.text


def test_a_product_whose_forecasts_have_not_met_their_sessions_is_shown_as_it_is():
    one = product(scores={}, losses={}, var=np.full((700, len(LEVELS)), np.nan), backtests=(), chosen=None)
    page = Page(volatility_html(evidence(products=(one,))))
    assert "nothing judged yet" in page.text
    assert "so that nothing could be judged" in page.text


def test_hostile_names_stay_text():
    one = product(HOSTILE, zh=HOSTILE, notes=(HOSTILE,), contract=HOSTILE, status={HOSTILE: HOSTILE})
    renamed = replace(one, variance={("ewma" if m == "ewma" else HOSTILE + m): v for m, v in one.variance.items()})
    html = volatility_html(evidence(title=HOSTILE, products=(renamed,), skipped={HOSTILE: HOSTILE}))
    page = Page(html)
    assert page.tags["script"] == Page(volatility_html(evidence(products=(one,)))).tags["script"]
    assert page.tags.get("b", 0) == 0
    assert page.handlers == []
    assert "<script" not in json.dumps([figure["data"] for figure in page.figures])


def test_lines_of_many_products_are_thinner():
    assert points_per_line(1) == MOST_POINTS
    assert points_per_line(10_000) == LEAST_POINTS
    many = evidence(products=tuple(product(f"P{i}", 1500, i) for i in range(12)))
    few = replace(many, products=many.products[:1])
    pages = [Page(volatility_html(run)) for run in (many, few)]
    assert [len(drawn(page, "Forecast of one")["data"][0]["x"]) for page in pages] == [750, 1500]
    assert ["A point stands for 2 sessions." in page.text for page in pages] == [True, False]
    assert series.block_size(1500, points_per_line(12)) == 2


def test_the_same_evidence_gives_the_same_page(run):
    assert volatility_html(run) == volatility_html(run)


def test_long_lists_are_cut_and_say_so():
    day = datetime.date(2014, 1, 1)
    refits = tuple(Refit(day, "garch_n", "ok" if i == 0 else f"kept: reason {i}") for i in range(300))
    rolls = pl.concat([product(n=200).rolls] * 250)
    page = Page(volatility_html(evidence(products=(product(refits=refits, rolls=rolls),))))
    assert "the last 200 of 299" in page.text
    assert "reason 299" in page.text
    assert "reason 100" in page.text
    assert not re.search(r"reason 99\b", page.text)
    assert "500 rolls 换月, the last 400 of them" in page.text
