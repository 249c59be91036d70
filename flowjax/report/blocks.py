"""Content of a report as data: tables, figures and text in sections."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
        left: True for left-aligned text.
    """

    key: str
    label: str
    digits: int | None = None
    left: bool = False

    def show(self, value: Any) -> str:
        """Returns a value formatted for the HTML page.

        Args:
            value: value of the cell.

        Returns:
            The text of the cell.

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
        rows: dicts with the keys of the columns; a missing value or None is printed as a dash. If
            a row has the keys `KEY_low` and `KEY_high`, the interval is printed below the value.
        notes: sentences below the table, such as units and omitted rows.
        marks: cells `(row index, key)` in bold: values that are clearly the best.
        folded: True renders the table collapsed; a click on its caption expands it.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[dict[str, Any]]
    notes: Sequence[str] = ()
    marks: Collection[tuple[int, str]] = ()
    folded: bool = False


class Plot(NamedTuple):
    """Matplotlib figure with a caption and alt text.

    Attributes:
        name: name of the image file.
        figure: figure from `flowjax.plots`, or several figures, which are side by side on a wide
            screen and below each other on a narrow one.
        alt: alt text, a description of the figure for screen readers.
        caption: one or two sentences below the figure.
    """

    name: str
    figure: Figure | Sequence[Figure]
    alt: str
    caption: str

    @property
    def figures(self) -> dict[str, Figure]:
        """The figures by the names of their files."""
        if not isinstance(self.figure, Sequence):
            return {self.name: self.figure}
        return {f"{self.name}_{i}": figure for i, figure in enumerate(self.figure, 1)}


class Neighbours(NamedTuple):
    """List of the nearest sentences of a few queries.

    Attributes:
        name: key in `report.json`.
        caption: line of text above the list.
        rows: result of `plots.nearest_neighbours`.
        names: names of the kinds of vectors, the keys in `rows`.
    """

    name: str
    caption: str
    rows: Sequence[dict[str, Any]]
    names: Sequence[str]


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
    """Key result at the top of the page.

    Attributes:
        label: name of the value.
        values: `(kind of vectors, value)`, plain vectors first.
        hint: interpretation: the difference with its interval, or the reference value.
    """

    label: str
    values: Sequence[tuple[str, str]]
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
