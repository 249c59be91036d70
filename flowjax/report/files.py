"""A report's folder: `index.html`, `report.json`, a CSV for each table, a PNG for each picture."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from flowjax._version import __version__
from flowjax.report.blocks import Neighbours, Page, Table
from flowjax.report.html import render

INDEX, DATA = "index.html", "report.json"
FORMAT = 1


def check_folder(folder: str | Path, *, overwrite: bool, flag: str = "--out") -> Path:
    """Looks at where a report is to go, before any work is done.

    Args:
        folder: New, empty, or with `overwrite` one that holds a report.
        overwrite: Whether a report that is there may be replaced.
        flag: Named in the error.

    Returns:
        The folder.

    Raises:
        ValueError: It is a file, holds a report, or holds something else.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{flag} {folder}: is a file; expected a folder")
    if folder.exists() and any(folder.iterdir()):
        if _earlier(folder) is None:
            raise ValueError(f"{flag} {folder}: holds no report of flowjax; expected a new folder")
        if not overwrite:
            raise ValueError(
                f"{flag} {folder}: holds a report; expected a new folder or --overwrite"
            )
    return folder


def write_report(
    page: Page, folder: str | Path, *, overwrite: bool = False, flag: str = "--out"
) -> Path:
    """Writes a report; the page itself comes last, so a folder with one is whole.

    Of a report that is replaced only the files that it names are removed.

    Args:
        page: The report.
        folder: See `check_folder`.
        overwrite: See `check_folder`.
        flag: See `check_folder`.

    Returns:
        The path of `index.html`.
    """
    folder = check_folder(folder, overwrite=overwrite, flag=flag)
    html, pictures = render(page)
    files = {f"{name}.png": data for name, data in pictures.items()}
    for block in page.blocks():
        if isinstance(block, Table):
            files[f"{block.name}.csv"] = table_csv(block).encode("utf-8")
    content = report_json(page) | {"files": [INDEX, DATA, *sorted(files)]}
    files[DATA] = (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
    files[INDEX] = html.encode("utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    for name in _earlier(folder) or ():
        (folder / name).unlink(missing_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder / INDEX


def report_json(page: Page) -> dict[str, Any]:
    """What the page says, for programs: `tables` by name, with their captions, notes and rows."""
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
    """A table's rows, unrounded, with all their keys; a missing number is empty."""
    out = io.StringIO()
    keys = list(dict.fromkeys(key for row in table.rows for key in row))
    writer = csv.DictWriter(out, keys, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.rows)
    return out.getvalue()


def _earlier(folder: Path) -> list[str] | None:
    """The files that a report in this folder names; None where there is no report."""
    try:
        named = json.loads((folder / DATA).read_text("utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # Plain names only: a damaged file must not lead a removal out of the folder.
    return [n for n in named if isinstance(n, str) and n == Path(n).name and n not in ("", "..")]
