"""Rendering of a report as a self-contained HTML page with inlined figures."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from flowjax._version import __version__
from flowjax.plots._style import write
from flowjax.report.blocks import Block, Column, Fact, Neighbours, Page, Plot, Section, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 160
# CSS pixels per inch of a figure. On a narrow screen it shrinks to its width.
SCALE = 104


def render(page: Page, image: str = "png") -> tuple[str, dict[str, bytes]]:
    """Returns the HTML of a page, and its figures as bytes by file name.

    Args:
        page: content of the page.
        image: format of the figures: png, svg or pdf. Browsers do not show PDF in a page, so the
            page then contains PNG.

    Returns:
        The page as HTML.
    """
    figures = {n: f for b in page.blocks() if isinstance(b, Plot) for n, f in b.figures.items()}
    images = {f"{name}.{image}": _bytes(figure, image) for name, figure in figures.items()}
    shown = {
        name: _address(images[f"{name}.{image}"], image)
        if image != "pdf"
        else _address(_bytes(figure, "png"), "png")
        for name, figure in figures.items()
    }
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
        sections="\n".join(_section(s, shown) for s in page.sections),
        command=escape(page.command),
        image=image,
    )
    return html, images


def _bytes(figure: Figure, image: str) -> bytes:
    """Returns a figure as a file; equal figures give equal bytes."""
    file = io.BytesIO()
    write(figure, file, image, DPI)
    return file.getvalue()


def _address(data: bytes, image: str) -> str:
    kind = {"png": "image/png", "svg": "image/svg+xml"}[image]
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _fact(fact: Fact) -> str:
    values = "".join(
        f'<span class="kind">{escape(kind)}</span><span class="value">{escape(value)}</span>'
        for kind, value in fact.values
    )
    return (
        f'<li><span class="label">{escape(fact.label)}</span>'
        f'<span class="values">{values}</span><span class="hint">{escape(fact.hint)}</span></li>'
    )


def _section(section: Section, shown: dict[str, str]) -> str:
    text = f"<p>{escape(section.text)}</p>" if section.text else ""
    blocks = "\n".join(_block(block, shown) for block in section.blocks)
    head = f'<section id="{escape(section.name)}">\n<h2>{escape(section.title)}</h2>'
    return f"{head}\n{text}\n{blocks}\n</section>"


def _block(block: Block, shown: dict[str, str]) -> str:
    if isinstance(block, Table):
        return _table(block)
    return _plot(block, shown) if isinstance(block, Plot) else _neighbours(block)


def _table(table: Table) -> str:
    caption = escape(table.caption)
    head = "".join(f'<th scope="col"{_left(c)}>{escape(c.label)}</th>' for c in table.columns)
    body = []
    for i, row in enumerate(table.rows):
        texts = [_cell(c, row) for c in table.columns]
        cells = [f'<th scope="row">{texts[0]}</th>']
        for column, text in zip(table.columns[1:], texts[1:], strict=True):
            bold = ' class="best"' if (i, column.key) in table.marks else _left(column)
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


def _cell(column: Column, row: Mapping[str, Any]) -> str:
    text = escape(column.show(row.get(column.key)))
    low, high = (row.get(f"{column.key}_{end}") for end in ("low", "high"))
    if low is None or high is None:
        return text
    return f"{text} <small>[{low:z.1f}, {high:z.1f}]</small>"


def _plot(plot: Plot, shown: dict[str, str]) -> str:
    parts = []
    for i, (name, figure) in enumerate(plot.figures.items()):
        width = float(figure.get_size_inches()[0]) * SCALE
        alt = escape(plot.alt) if i == 0 else ""
        parts.append(f'<img style="width:{width:.0f}px" alt="{alt}" src="{shown[name]}">')
    return (
        f'<figure><div class="images">{"".join(parts)}</div>'
        f"<figcaption>{escape(plot.caption)}</figcaption></figure>"
    )


def _neighbours(block: Neighbours) -> str:
    parts = [f'<div class="caption">{escape(block.caption)}</div>']
    for row in block.rows:
        sides = ""
        for name in block.names:
            found = "".join(f"<li><span>{c:.2f}</span>{escape(s)}</li>" for s, c in row[name])
            sides += f"<div><h4>{escape(name)}</h4><ol>{found}</ol></div>"
        query = f'<div class="query"><p>{escape(row["query"])}</p>'
        parts.append(f'{query}<div class="sides">{sides}</div></div>')
    return "\n".join(parts)
