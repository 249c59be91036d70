"""Reads a report's page back: its tables as text, and every address in it."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br"}


class Reader(HTMLParser):
    """Tables by id (rows of cells), addresses, ids; raises where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables, self.addresses, self.ids, self.text = {}, [], [], ""
        self._open, self._rows = [], None
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.addresses += [found[k] for k in ("src", "href", "srcset", "action") if k in found]
        self.addresses += re.findall(r"url\(([^)]*)\)", found.get("style") or "")
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "table":
            self._rows = self.tables[found["id"].removeprefix("table-")] = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open and self._open[-1] == tag, (tag, self._open)
        self._open.pop()

    def handle_data(self, data):
        if self._open and self._open[-1] == "style":
            self.addresses += re.findall(r"url\(([^)]*)\)", data)
            assert "@import" not in data
        elif {"td", "th"} & {*self._open}:
            self._rows[-1][-1] += data
        self.text += data
