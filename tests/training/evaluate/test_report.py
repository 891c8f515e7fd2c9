"""The pages parse, hold every part once, load nothing, and cannot be broken by a name."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

from tests.training.evaluate.judged_world import everyone, evidence, market, planted
from tests.training.evaluate.seen_page import HOSTILE, Page
from training.evaluate.page import Drawing
from training.evaluate.report import report_html
from training.evaluate.tearsheet_page import factor_tear_sheet_html
from training.evaluate.verdict import verdict
from training.labels import make_labels

SECTIONS = ["verdict", "information", "quantiles", "portfolio", "costs", "capacity", "rows", "factors"]
SECTIONS += ["bands", "settings"]


@pytest.fixture(scope="module")
def whole():
    return evidence()


@pytest.fixture(scope="module")
def page(whole):
    return Page(report_html(whole))


def test_every_section_is_there_once_and_in_order(page):
    assert page.sections == SECTIONS
    assert page.tags["h1"] == 1
    assert page.tags["h2"] == len(SECTIONS)


def test_nothing_is_loaded_from_anywhere(page):
    assert page.loads == []
    assert "link" not in page.tags
    assert "img" not in page.tags
    assert sum("plotly.js v" in script for script in page.scripts) == 1
    assert "showSendToCloud: false" in page.scripts[-1]


def test_every_figure_is_json_with_a_title_and_data(page):
    assert len(page.figures) == page.tags["figure"] >= 18
    for figure in page.figures:
        assert figure["data"]
        assert figure["layout"]["height"] > 100


def test_the_numbers_of_the_evidence_stand_in_the_text(page, whole):
    summary = whole.development.by_horizon[whole.horizon]
    assert f"{summary.mean:+.4f}" in page.text
    first = next(iter(whole.development.portfolios.values()))
    assert f"{first.summary['excess_over_universe']:+.2%}" in page.text
    assert "动量" in page.text
    assert "survivorship: every asset is still listed" in page.text
    assert "+0.05 to +0.15" in page.text
    assert f"{whole.lost['kept']:,}" in page.text


def test_the_same_evidence_gives_the_same_page(whole):
    assert report_html(whole) == report_html(whole)


def test_hostile_names_stay_text(whole):
    names = [f"{HOSTILE}{i}" for i in range(6)]
    attacked = replace(
        whole,
        title=HOSTILE,
        subtitle=HOSTILE,
        warnings=(HOSTILE,),
        settings=HOSTILE,
        importance=dict.fromkeys(names, 1.0),
        zh=dict.fromkeys(names, HOSTILE),
        lost={HOSTILE: 5, "kept": 5},
        by_group={HOSTILE: whole.by_group["board"]},
    )
    html = report_html(attacked)
    found = Page(html)
    assert found.sections == SECTIONS
    assert found.tags["script"] == Page(report_html(whole)).tags["script"]
    assert found.tags.get("b", 0) == 0
    assert found.handlers == []
    assert found.text.count(HOSTILE) >= 5
    drawn = json.dumps([figure["data"] for figure in found.figures])
    assert "<script" not in drawn
    assert "&lt;script" in drawn


OPTIONAL = ["significance", "rank_ic_lost", "importance", "factors", "coverage", "bands", "by_group", "capacity"]


@pytest.mark.parametrize("part", OPTIONAL)
def test_a_part_that_is_missing_is_named_with_its_reason(whole, part):
    found = Page(report_html(replace(whole, **{part: None}, absent={part: f"because of {part}"})))
    assert found.sections == SECTIONS
    assert found.text.count(f"Not here: because of {part}.") == 1


def test_a_run_with_nothing_but_scores_has_a_report(whole):
    walked = replace(whole.development, portfolios={})
    nothing = dict.fromkeys(OPTIONAL)
    found = Page(report_html(replace(whole, development=walked, holdout=None, warnings=(), **nothing)))
    assert found.sections == SECTIONS
    assert "not told" in found.text


def test_the_verdict_answers_by_the_limits_of_the_spec(whole):
    told = verdict(whole)
    found = {word: next(c for c in told if word in c.question) for word in ("deflated", "PBO", "placebo", "bands")}
    assert (found["deflated"].found, found["deflated"].must, found["deflated"].passed) == ("0.970", "> 0.95", True)
    assert "12 trials" in found["deflated"].question
    assert (found["PBO"].must, found["PBO"].passed) == ("< 0.2", False)
    assert found["placebo"].passed is True
    assert (found["bands"].must, found["bands"].passed) == ("87% to 93%", True)


def test_a_placebo_in_which_something_is_found_fails(whole):
    found = replace(whole.significance.placebos["shuffled"], nw_t=-3.2)
    told = verdict(replace(whole, significance=replace(whole.significance, placebos={"shifted": found})))
    assert next(check for check in told if "shifted" in check.question).passed is False


def test_bands_that_leave_the_strip_once_fail(whole):
    rolling = whole.bands.rolling.copy()
    rolling[-1] = 0.95
    failed = verdict(replace(whole, bands=replace(whole.bands, rolling=rolling)))[-1]
    assert failed.passed is False
    assert verdict(whole)[-1].passed is True


def test_what_is_not_known_is_neither_passed_nor_failed(whole):
    told = verdict(replace(whole, significance=None, bands=None, holdout=None))
    assert sum(check.passed is None for check in told) == 6


def test_a_score_turned_round_fails(whole):
    mean = whole.development.by_horizon[whole.horizon]
    turned = replace(mean, mean=-mean.mean, nw_t=-mean.nw_t)
    part = replace(whole.development, by_horizon={whole.horizon: turned})
    assert verdict(whole)[0].passed is True
    assert verdict(replace(whole, development=part))[0].passed is False


def tear_sheet_page(title="planted", **kinds):
    panels = market()
    labels = {h: make_labels(panels, everyone(panels), horizon=h) for h in (1, 5)}
    values = {h: one.value for h, one in labels.items()}
    return Page(factor_tear_sheet_html(planted(panels, 1), values, panels.sessions, title=title, **kinds))


def test_a_tear_sheet_is_in_the_order_of_alphalens():
    found = tear_sheet_page(zh="种下的", warnings=("survivorship",), quantiles=10)
    assert found.sections == ["rows", "returns", "information", "turnover"]
    assert found.loads == []
    assert "种下的" in found.text
    assert "quantile 10" in found.text
    assert len(found.figures) == 11


def test_a_tear_sheet_survives_a_hostile_name():
    found = tear_sheet_page(title=HOSTILE)
    assert found.tags.get("b", 0) == 0
    assert HOSTILE in found.text


def test_horizons_may_have_no_ic_at_all():
    panels = market()
    value = make_labels(panels, everyone(panels), horizon=1).value
    nothing = np.full(value.shape, np.nan)
    html = factor_tear_sheet_html(planted(panels, 1), {1: value, 5: nothing}, panels.sessions, title="x")
    assert "–" in Page(html).text


def test_a_figure_whose_text_ends_a_script_does_not_end_it():
    block = Drawing(go.Figure(layout={"title": {"text": "</script>&<b>"}}))
    assert not set("<>&") & set(block.json)
    assert json.loads(block.json)["layout"]["title"]["text"] == "</script>&<b>"
