"""Report folder: `index.html`, `report.json`, a CSV file per table and an image per figure."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from flowjax._version import __version__
from flowjax.errors import FlowjaxError, check_choice
from flowjax.files.json import field, read_object
from flowjax.files.replace import replacing
from flowjax.plots._style import FORMATS
from flowjax.report.blocks import Neighbours, Page, Table
from flowjax.report.html import render

INDEX, DATA = "index.html", "report.json"
FORMAT = 1


def check_folder(folder: str | Path, *, overwrite: bool, flag: str = "--out") -> Path:
    """Checks that a report may be written to a folder, before the report is computed.

    Args:
        folder: path of the folder, which must be missing, empty, or contain a report.
        overwrite: True allows an existing report to be replaced.
        flag: name of the command-line flag for error messages.

    Returns:
        The path of the folder.

    Raises:
        FlowjaxError: The path is a file, the folder contains a report and `overwrite` is False, or
            the folder contains only other files.
    """
    folder = Path(folder)
    got = ""
    if folder.exists() and not folder.is_dir():
        got = "a file"
    elif folder.exists() and any(folder.iterdir()):
        if _earlier(folder) is None:
            got = "a folder with other files than a report"
        elif not overwrite:
            got = "a folder with a report; use --overwrite to replace it"
    if got:
        raise FlowjaxError(f"{flag} {folder}: expected a new folder, got {got}")
    return folder


def write_report(
    page: Page,
    folder: str | Path,
    *,
    overwrite: bool = False,
    flag: str = "--out",
    image: str = "png",
) -> Path:
    """Writes the files of a report, `index.html` last.

    An existing report is replaced: of the files that its `report.json` lists, those that are not
    in the new report are removed. Other files are kept.

    Args:
        page: report.
        folder: path of the folder, see `check_folder`.
        overwrite: True allows an existing report to be replaced.
        flag: name of the command-line flag for error messages.
        image: format of the figures: png, svg or pdf.

    Returns:
        The path of `index.html`.

    Raises:
        FlowjaxError: See `check_folder`; or a file of the report would replace another file.
    """
    folder = check_folder(folder, overwrite=overwrite, flag=flag)
    check_choice("image", image, FORMATS)
    html, files = render(page, image)
    for block in page.blocks():
        if isinstance(block, Table):
            files[f"{block.name}.csv"] = table_csv(block).encode("utf-8")
    content = report_json(page) | {"files": [INDEX, DATA, *sorted(files)]}
    files[DATA] = (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
    files[INDEX] = html.encode("utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    earlier = _earlier(folder) or []
    for name in files:
        if name not in earlier and (folder / name).exists():
            raise FlowjaxError(
                f"{flag} {folder}: expected only files of a report to replace, got {name}; move "
                "that file, or use another folder"
            )
    for name, data in files.items():
        with replacing(folder / name) as new:
            new.write_bytes(data)
    for name in {*earlier} - {*files}:
        (folder / name).unlink(missing_ok=True)
    return folder / INDEX


def report_json(page: Page) -> dict[str, Any]:
    """Returns the content of `report.json`: provenance, tables, neighbours and `page.data`."""
    blocks = list(page.blocks())
    return {
        "format": FORMAT,
        "flowjax": __version__,
        "title": page.title,
        "command": page.command,
        "about": dict(page.about),
        "tables": {
            b.name: {"caption": b.caption, "notes": list(b.notes), "rows": list(b.rows)}
            for b in blocks
            if isinstance(b, Table)
        },
        "neighbours": {b.name: list(b.rows) for b in blocks if isinstance(b, Neighbours)},
        **page.data,
    }


def table_csv(table: Table) -> str:
    """Returns the rows of a table as CSV, without rounding; missing values are empty.

    Spreadsheets execute a text cell that begins with `=`, `+`, `-` or `@`. Such a cell gets an
    apostrophe in front.
    """
    out = io.StringIO()
    keys = list(dict.fromkeys(key for row in table.rows for key in row))
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_cell, keys))
    writer.writerows([_cell(row.get(key, "")) for key in keys] for row in table.rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if formula else value


def _earlier(folder: Path) -> list[str] | None:
    """Returns the file names in the folder's `report.json`; None if there is no report."""
    try:
        found = read_object(folder / DATA)
        field(found, "flowjax", str, DATA)  # other software may write files of this name
        named = field(found, "files", list, DATA)
    except FlowjaxError:
        return None
    # Names with a path are ignored, so that a damaged file cannot cause a deletion elsewhere.
    return [n for n in named if isinstance(n, str) and n == Path(n).name and n not in ("", "..")]
