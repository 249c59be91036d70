"""Rendering of a report as one HTML page with inlined figures, which loads no other files."""

from __future__ import annotations

import base64
import io
from html import escape
from string import Template

from flowjax._version import __version__
from flowjax.report.blocks import Block, Fact, Neighbours, Page, Plot, Section, Table
from flowjax.report.style import CSS

DPI = 130
# CSS pixels per inch of a figure. A figure of one panel shrinks to the width of a phone; a figure
# of several panels scrolls in its box, because its text would be too small.
MIN_SCALE, MIN_SCALE_PANELS, MAX_SCALE = 50, 66, 100

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="bert-flowjax $version">
<link rel="icon" href="data:,">
<title>$title</title>
<style>$css</style>
</head>
<body>
<div class="page">
<header>
<h1>$title</h1>
<dl class="about">$about</dl>
$facts
<nav aria-label="Contents"><ul>$contents</ul></nav>
</header>
<main>
$sections
</main>
<footer>
<p>Made by bert-flowjax $version with <code>$command</code></p>
<p>The tables are also in <code>report.json</code> and in one <code>.csv</code> file each, and the
figures in <code>.png</code> files.</p>
</footer>
</div>
</body>
</html>
""")


def render(page: Page) -> tuple[str, dict[str, bytes]]:
    """Returns the HTML of a page, and its figures as PNG bytes by name."""
    images = {b.name: png(b) for b in page.blocks() if isinstance(b, Plot)}
    html = _PAGE.substitute(
        version=escape(__version__),
        title=escape(page.title),
        css=CSS,
        about="".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in page.about),
        facts=_facts(page),
        contents="".join(
            f'<li><a href="#{escape(s.name)}">{escape(s.title)}</a></li>' for s in page.sections
        ),
        sections="\n".join(_section(s, images) for s in page.sections),
        command=escape(page.command),
    )
    return html, images


def png(plot: Plot) -> bytes:
    """Returns the PNG bytes of a figure; equal figures give equal bytes."""
    file = io.BytesIO()
    plot.figure.savefig(
        file, format="png", dpi=DPI, metadata={"Software": None}, facecolor="white"
    )
    return file.getvalue()


def _facts(page: Page) -> str:
    if not page.facts:
        return ""
    return '<ul class="facts">' + "".join(map(_fact, page.facts)) + "</ul>"


def _fact(fact: Fact) -> str:
    return (
        f'<li><span class="label">{escape(fact.label)}</span><span class="value">'
        f'<span class="before">{escape(fact.before)}</span> → '
        f'<span class="after">{escape(fact.after)}</span></span>'
        f'<span class="hint">{escape(fact.hint)}</span></li>'
    )


def _section(section: Section, images: dict[str, bytes]) -> str:
    blocks = "\n".join(_block(block, images) for block in section.blocks)
    text = f"<p>{escape(section.text)}</p>" if section.text else ""
    return (
        f'<section id="{escape(section.name)}">\n<h2>{escape(section.title)}</h2>\n{text}\n'
        f"{blocks}\n</section>"
    )


def _block(block: Block, images: dict[str, bytes]) -> str:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Plot):
        return _plot(block, images[block.name])
    return _neighbours(block)


def _table(table: Table) -> str:
    best = table.best()
    head = "".join(f'<th scope="col"{_left(c.left)}>{escape(c.label)}</th>' for c in table.columns)
    body = []
    for i, row in enumerate(table.rows):
        cells = []
        for j, column in enumerate(table.columns):
            text = escape(column.show(row.get(column.key)))
            if j == 0:
                cells.append(f'<th scope="row">{text}</th>')
            else:
                bold = ' class="best"' if (i, column.key) in best else _left(column.left)
                cells.append(f"<td{bold}>{text}</td>")
        body.append("<tr>" + "".join(cells) + "</tr>")
    box = (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(table.caption)}">'
        f'<table id="table-{escape(table.name)}">'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(body) + "\n</tbody></table></div>"
    )
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in table.notes)
    if table.folded:
        summary = f"<summary>{escape(table.caption)}</summary>"
        return f"<details>{summary}\n{box}{notes}</details>"
    return f'<div class="caption">{escape(table.caption)}</div>{box}{notes}'


def _left(left: bool) -> str:
    return ' class="left"' if left else ""


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
        sides = []
        for name, kind in zip(block.names, ("before", "after"), strict=True):
            found = "".join(
                f"<li><span>{cosine:.2f}</span>{escape(sentence)}</li>"
                for sentence, cosine in row[name]
            )
            sides.append(f'<div><h4 class="{kind}">{escape(name)}</h4><ol>{found}</ol></div>')
        parts.append(
            f'<div class="query"><p>{escape(row["query"])}</p>'
            f'<div class="sides">{"".join(sides)}</div></div>'
        )
    return "\n".join(parts)
