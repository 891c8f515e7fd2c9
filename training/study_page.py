"""The pictures of a study as one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, StrictUndefined

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #222 }
h1 { font-size: 1.3em; overflow-wrap: anywhere } h2 { font-size: 1.1em; margin: 2em 0 0 } p { margin: .2em 0 }
.wide { overflow-x: auto }
</style></head><body>
<h1>{{ title }}</h1>
{% for note in notes %}<p>Note: {{ note }}</p>
{% endfor %}{% for one in pictures %}<h2>{{ one.title }}</h2>
<p>{{ one.caption }}</p>
<div class="wide">{{ one.html | safe }}</div>
{% endfor %}</body></html>
"""


def study_page(title: str, pictures: Sequence[tuple[str, str, Any]], notes: Sequence[str] = ()) -> str:
    """HTML with each plotly figure below its title and caption; the library is in it once, nothing is fetched."""
    told = []
    for number, (name, caption, figure) in enumerate(pictures):
        figure.update_layout(title=None, template="plotly_white", margin={"t": 30, "l": 70, "r": 40}, height=430)
        html = figure.to_html(full_html=False, include_plotlyjs=number == 0, div_id=f"picture-{number}")
        told.append({"title": name, "caption": caption, "html": html})
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(_PAGE)
    return page.render(title=title, pictures=told, notes=notes)
