"""The page of a run on term structures shows its tables and every product, escapes names, and says what is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.training.evaluate.seen_page import HOSTILE, Page
from tests.training.evaluate.traded_world import evidence
from training.evaluate.term_page import term_html

TABLES = (
    (("product", "error, bp"), ("RB", "78.0")),
    (("product", "last yield"), ("RB", "+4.80%")),
    (("product", "rolls"), ("RB", "26")),
)


@pytest.fixture(scope="module")
def run():
    return replace(evidence(), pairs=())


def test_tables_stand_before_the_products(run):
    html = term_html(run, *TABLES)
    places = [html.index(text) for text in ("78.0", "+4.80%", "26</td>", f'id="curve-{run.curves[0].product}"')]
    assert places == sorted(places)
    titles = [figure["layout"]["title"]["text"] for figure in Page(html).figures]
    assert any("filtered states" in title for title in titles)


def test_what_is_missing_is_named_with_its_reason(run):
    html = term_html(run, TABLES[0], TABLES[1][:1], TABLES[2][:1], {"IM: term": "it needs 30 dates"})
    assert "IM: term" in html
    assert "it needs 30 dates" in html
    assert html.count("no product has one; the reasons stand above") == 2
    for name, why in run.skipped.items():
        assert name in html
        assert why in html


def test_names_are_text_whatever_they_hold(run):
    html = term_html(run, (("product",), (HOSTILE,)), *TABLES[1:], {HOSTILE: HOSTILE})
    assert HOSTILE not in html
