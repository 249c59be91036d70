"""Content of a report as data: tables, figures and text in sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISSING = "\N{EN DASH}"


class Column(NamedTuple):
    """Column of a table.

    Attributes:
        key: key of the column's values in the rows.
        label: heading.
        digits: number of decimals; None for text and integers.
        best: `"max"` or `"min"` prints the best value of the column in bold; None prints none.
        left: True for left-aligned text.
    """

    key: str
    label: str
    digits: int | None = None
    best: str | None = None
    left: bool = False

    def show(self, value: Any) -> str:
        """Returns a value formatted for the HTML page.

        Example:
            >>> Column("rho", "Spearman", digits=2).show(63.456)
            '63.46'
        """
        if value is None:
            return MISSING
        if isinstance(value, int):
            return f"{value:,}"
        if self.digits is not None and isinstance(value, float):
            return f"{value:z.{self.digits}f}"
        return str(value)


class Table(NamedTuple):
    """Table of the HTML page, whose rows are also in `report.json` and a CSV file.

    Attributes:
        name: name of the CSV file and key in `report.json`.
        caption: line of text above the table.
        columns: columns from left to right.
        rows: dicts with the keys of the columns; a missing value or None is printed as a dash.
        notes: sentences below the table, such as units and omitted rows.
        across: `"max"` prints the largest value of each row in bold, for comparable columns.
        folded: True renders the table collapsed; a click on its caption expands it.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[dict[str, Any]]
    notes: Sequence[str] = ()
    across: str | None = None
    folded: bool = False

    def best(self) -> set[tuple[int, str]]:
        """Returns the cells `(row index, key)` to print in bold.

        A cell is bold only if there is another value to compare it with.
        """
        lines = range(len(self.rows))
        numbers = [c.key for c in self.columns if c.digits is not None]
        groups = [([(i, c.key) for i in lines], c.best) for c in self.columns if c.best]
        groups += [([(i, key) for key in numbers], self.across) for i in lines if self.across]
        return {cell for places, which in groups for cell in self._extreme(places, which)}

    def _extreme(self, places: list[tuple[int, str]], which: str) -> set[tuple[int, str]]:
        values = {place: self.rows[place[0]].get(place[1]) for place in places}
        numbers = {p: v for p, v in values.items() if isinstance(v, (int, float))}
        if len(numbers) < 2:
            return set()
        chosen = max(numbers.values()) if which == "max" else min(numbers.values())
        return {place for place, value in numbers.items() if value == chosen}


class Plot(NamedTuple):
    """Matplotlib figure with a caption and alt text.

    Attributes:
        name: name of the PNG file.
        figure: figure from `flowjax.plots`.
        alt: alt text, a description of the figure for screen readers.
        caption: one or two sentences below the figure.
    """

    name: str
    figure: Figure
    alt: str
    caption: str


class Neighbours(NamedTuple):
    """List of the nearest sentences of a few queries.

    Attributes:
        name: key in `report.json`.
        caption: line of text above the list.
        rows: result of `plots.nearest_neighbours`.
        names: names of the vectors before and after calibration, the keys in `rows`.
    """

    name: str
    caption: str
    rows: Sequence[dict[str, Any]]
    names: tuple[str, str]


Block = Table | Plot | Neighbours


class Section(NamedTuple):
    """Section of a page.

    Attributes:
        name: anchor of the section in the page.
        title: heading.
        text: introduction.
        blocks: tables, figures and nearest-neighbour lists, in order.
    """

    name: str
    title: str
    text: str
    blocks: Sequence[Block]


class Fact(NamedTuple):
    """Key result at the top of the page, before and after calibration.

    Attributes:
        label: name of the value.
        before: value of the plain vectors.
        after: value of the calibrated vectors.
        hint: best value, or the number of pairs.
    """

    label: str
    before: str
    after: str
    hint: str


class Page(NamedTuple):
    """Content of a report.

    Attributes:
        title: title of the page.
        about: provenance as `(name, text)`: encoder, pooling, flow, training data.
        facts: key results at the top of the page.
        sections: sections from top to bottom.
        command: command that created the report.
        data: further entries of `report.json`.
        lead: main result in one or two sentences, below the title; empty for none.
    """

    title: str
    about: Sequence[tuple[str, str]]
    facts: Sequence[Fact]
    sections: Sequence[Section]
    command: str
    data: Mapping[str, Any]
    lead: str = ""

    def blocks(self) -> list[Block]:
        """Returns the blocks of all sections."""
        return [block for section in self.sections for block in section.blocks]
