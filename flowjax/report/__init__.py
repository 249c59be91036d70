"""Reports: tables and figures of a fitted model as one self-contained HTML page.

`analysis.py` and `evaluation.py` compute the two pages from vectors, labelled pairs and names.
`write_report` writes a page as HTML, JSON, CSV and PNG files. The package imports neither flows
nor encoders, and imports Matplotlib only when it draws the first figure.
"""

from flowjax.report.blocks import Column, Fact, Neighbours, Page, Plot, Section, Table
from flowjax.report.files import check_folder, write_report
from flowjax.report.html import render

__all__ = [
    "Column",
    "Fact",
    "Neighbours",
    "Page",
    "Plot",
    "Section",
    "Table",
    "check_folder",
    "render",
    "write_report",
]


def __dir__() -> list[str]:
    return sorted(__all__)
