"""A page as a browser would see it, for the tests of pages."""

from __future__ import annotations

import json
from html.parser import HTMLParser

HOSTILE = '</script><script>alert(1)</script><b title="\'">'
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """What a browser would see: sections, headings, links, scripts, text outside of scripts; tags must balance."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sections: list[str] = []
        self.loads: list[str] = []
        self.scripts: list[str] = []
        self.handlers: list[str] = []
        self.tags: dict[str, int] = {}
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self.sections.append(dict(attrs)["id"])
        if tag == "script":
            self.scripts.append("")
        self.loads += [v for k, v in attrs if k in ("src", "href", "action", "data", "srcset") and v[:1] != "#"]
        self.handlers += [k for k, _ in attrs if k.startswith("on")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif "style" not in self.open:
            self.text += data

    @property
    def figures(self):
        """The figures, read back."""
        return [json.loads(script) for script in self.scripts[1:-1]]
