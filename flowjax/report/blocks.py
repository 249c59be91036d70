"""What a report is made of: tables, pictures and text in sections; data only, no HTML."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISSING = "\N{EN DASH}"


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        key: Of the value in a row.
        label: What its head says.
        digits: After the point, for numbers; None for text and whole numbers.
        best: `"max"`, `"min"` or None: which value of the column to set in bold.
        left: Set to the left, as text is.
    """

    key: str
    label: str
    digits: int | None = None
    best: str | None = None
    left: bool = False

    def show(self, value: Any) -> str:
        """A value as the page prints it.

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


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of numbers; page, JSON and CSV are made from the same ones.

    Attributes:
        name: Of the CSV file and the key in `report.json`.
        caption: One line over it.
        columns: In their order.
        rows: Dicts with the columns' keys; a key left out or None is shown as a dash.
        notes: Sentences under it: units, what was left out.
        across: `"max"` sets the best number of each row in bold, for tables whose columns compare.
        folded: Closed until it is clicked.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[dict[str, Any]]
    notes: Sequence[str] = ()
    across: str | None = None
    folded: bool = False

    def best(self) -> set[tuple[int, str]]:
        """Which cells to set in bold: `(row, key)`; none where there is nothing to compare."""
        found = set()
        for column in self.columns:
            if column.best:
                places = [(i, column.key) for i in range(len(self.rows))]
                found |= self._extreme(places, column.best)
        if self.across:
            for i in range(len(self.rows)):
                places = [(i, c.key) for c in self.columns if c.digits is not None]
                found |= self._extreme(places, self.across)
        return found

    def _extreme(self, places: list[tuple[int, str]], which: str) -> set[tuple[int, str]]:
        values = {place: self.rows[place[0]].get(place[1]) for place in places}
        numbers = {p: v for p, v in values.items() if isinstance(v, (int, float))}
        if len(numbers) < 2:
            return set()
        chosen = max(numbers.values()) if which == "max" else min(numbers.values())
        return {place for place, value in numbers.items() if value == chosen}


@dataclasses.dataclass(frozen=True)
class Picture:
    """A drawn figure.

    Attributes:
        name: Of the PNG file.
        figure: From `flowjax.plots`.
        alt: What it shows, for who cannot see it.
        caption: One or two sentences under it.
    """

    name: str
    figure: Figure
    alt: str
    caption: str


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """Nearest sentences of a few queries: the rows of `plots.nearest_neighbours`."""

    name: str
    caption: str
    rows: Sequence[dict[str, Any]]
    names: tuple[str, str]


Block = Table | Picture | Neighbours


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading, what it is about in a few sentences, and its blocks."""

    name: str
    title: str
    text: str
    blocks: Sequence[Block]


@dataclasses.dataclass(frozen=True)
class Fact:
    """A number that sums the page up: `label`, before and after, and what is better."""

    label: str
    before: str
    after: str
    hint: str


@dataclasses.dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        title: The page's.
        about: Pairs of a name and a text: encoder, pooling, what was fitted on what.
        facts: The few numbers that matter most.
        sections: The rest.
        command: What made it.
        data: More for `report.json`, beside the tables.
    """

    title: str
    about: Sequence[tuple[str, str]]
    facts: Sequence[Fact]
    sections: Sequence[Section]
    command: str
    data: dict[str, Any] = dataclasses.field(default_factory=dict)

    def blocks(self) -> Iterator[Block]:
        """All blocks in their order."""
        for section in self.sections:
            yield from section.blocks
