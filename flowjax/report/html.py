"""Rendering of a report as a self-contained HTML page with inlined figures."""

from __future__ import annotations

import base64
import io
from html import escape
from importlib.resources import files
from string import Template

from flowjax._version import __version__
from flowjax.report.blocks import Block, Column, Fact, Neighbours, Page, Plot, Section, Table

DPI = 130
# Limits of the CSS pixels per inch of a figure. A figure of one panel shrinks to the width of a
# phone. A figure of several panels scrolls instead, because smaller text would be illegible.
MIN_SCALE, MIN_SCALE_PANELS, MAX_SCALE = 50, 66, 100


def render(page: Page) -> tuple[str, dict[str, bytes]]:
    """Returns the HTML of a page, and its figures as PNG bytes by name."""
    images = {b.name: _png(b) for b in page.blocks() if isinstance(b, Plot)}
    facts = "".join(map(_fact, page.facts))
    template = (files("flowjax") / "assets" / "report" / "page.html").read_text("utf-8")
    html = Template(template).substitute(
        version=escape(__version__),
        title=escape(page.title),
        lead=f'<p class="lead">{escape(page.lead)}</p>' if page.lead else "",
        about="".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in page.about),
        facts=f'<ul class="facts">{facts}</ul>' if facts else "",
        contents="".join(
            f'<li><a href="#{escape(s.name)}">{escape(s.title)}</a></li>' for s in page.sections
        ),
        sections="\n".join(_section(s, images) for s in page.sections),
        command=escape(page.command),
    )
    return html, images


def _png(plot: Plot) -> bytes:
    """Returns the PNG bytes of a figure; equal figures give equal bytes."""
    file = io.BytesIO()
    plot.figure.savefig(file, dpi=DPI, metadata={"Software": None}, facecolor="white")
    return file.getvalue()


def _fact(fact: Fact) -> str:
    return (
        f'<li><span class="label">{escape(fact.label)}</span><span class="value">'
        f'<span class="before">{escape(fact.before)}</span> → '
        f'<span class="after">{escape(fact.after)}</span></span>'
        f'<span class="hint">{escape(fact.hint)}</span></li>'
    )


def _section(section: Section, images: dict[str, bytes]) -> str:
    text = f"<p>{escape(section.text)}</p>" if section.text else ""
    blocks = "\n".join(_block(block, images) for block in section.blocks)
    head = f'<section id="{escape(section.name)}">\n<h2>{escape(section.title)}</h2>'
    return f"{head}\n{text}\n{blocks}\n</section>"


def _block(block: Block, images: dict[str, bytes]) -> str:
    if isinstance(block, Table):
        return _table(block)
    return _plot(block, images[block.name]) if isinstance(block, Plot) else _neighbours(block)


def _table(table: Table) -> str:
    caption, best = escape(table.caption), table.best()
    head = "".join(f'<th scope="col"{_left(c)}>{escape(c.label)}</th>' for c in table.columns)
    body = []
    for i, row in enumerate(table.rows):
        texts = [escape(c.show(row.get(c.key))) for c in table.columns]
        cells = [f'<th scope="row">{texts[0]}</th>']
        for column, text in zip(table.columns[1:], texts[1:], strict=True):
            bold = ' class="best"' if (i, column.key) in best else _left(column)
            cells.append(f"<td{bold}>{text}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>\n")
    box = (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{caption}">'
        f'<table id="table-{escape(table.name)}"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{''.join(body)}</tbody></table></div>"
    )
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in table.notes)
    if table.folded:
        return f"<details><summary>{caption}</summary>\n{box}{notes}</details>"
    return f'<div class="caption">{caption}</div>{box}{notes}'


def _left(column: Column) -> str:
    return ' class="left"' if column.left else ""


def _plot(plot: Plot, data: bytes) -> str:
    width = float(plot.figure.get_size_inches()[0])
    smallest = MIN_SCALE if len(plot.figure.axes) == 1 else MIN_SCALE_PANELS
    size = f"min-width:{width * smallest:.0f}px;max-width:{width * MAX_SCALE:.0f}px"
    source = base64.b64encode(data).decode("ascii")
    return (
        f'<figure><div class="scroll" tabindex="0"><img style="{size}" '
        f'alt="{escape(plot.alt)}" src="data:image/png;base64,{source}"></div>'
        f"<figcaption>{escape(plot.caption)}</figcaption></figure>"
    )


def _neighbours(block: Neighbours) -> str:
    parts = [f'<div class="caption">{escape(block.caption)}</div>']
    for row in block.rows:
        sides = ""
        for name, kind in zip(block.names, ("before", "after"), strict=True):
            found = "".join(f"<li><span>{c:.2f}</span>{escape(s)}</li>" for s, c in row[name])
            sides += f'<div><h4 class="{kind}">{escape(name)}</h4><ol>{found}</ol></div>'
        query = f'<div class="query"><p>{escape(row["query"])}</p>'
        parts.append(f'{query}<div class="sides">{sides}</div></div>')
    return "\n".join(parts)
