"""The report: tables and pictures of a run as one self-contained HTML page.

`analysis_page` and `evaluation_page` measure and draw; `write_report` writes the page with the
JSON, CSV and PNG files behind it. Importing this package does not import matplotlib.
"""

from flowjax.report.blocks import Column, Fact, Neighbours, Page, Picture, Section, Table
from flowjax.report.files import check_folder, write_report
from flowjax.report.html import render

__all__ = [
    "Column",
    "Fact",
    "Neighbours",
    "Page",
    "Picture",
    "Section",
    "Table",
    "check_folder",
    "render",
    "write_report",
]
