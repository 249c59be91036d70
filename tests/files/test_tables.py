"""CSV, TSV and JSON lines: cells, line numbers, and errors of malformed rows."""

import csv
import io

import pytest

from flowjax.errors import FlowjaxError
from flowjax.files.tables import json_text, read_cells, read_json, read_table


def test_csv_quotes_and_line_numbers():
    lines = ["a,b", "", '1,"x', 'y"', "2,z"]
    header, rows = read_table(lines, "t.csv")
    assert (header, list(rows)) == (["a", "b"], [(4, ["1", "x\ny"]), (5, ["2", "z"])])


def test_a_quotation_mark_in_tsv_is_text():
    header, rows = read_table(['"a\tb', '"1\t2\r3', ""], "t.tsv", delimiter="\t")
    assert (header, list(rows)) == (['"a', "b"], [(2, ['"1', "2\r3"])])
    assert list(read_cells(["a", "b\tc"], "t.tsv", delimiter="\t")) == [
        (1, ["a"]),
        (2, ["b", "c"]),
    ]


PLAIN = ["it", "", 'He said "hi" to me', '"Quoted."', '"half', 'no" end', "a, b; c", '""', '"']


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("columns", [1, 2])
def test_tables_as_pandas_writes_them(delimiter, quoting, columns):
    """`DataFrame.to_csv` writes with the csv module; every cell returns unchanged."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\n")
    table = [["text", "label"][:columns], *([cell, "x"][:columns] for cell in PLAIN)]
    writer.writerows(table)
    header, rows = read_table(out.getvalue().splitlines(), "t", delimiter=delimiter)
    assert [header, *(cells for _, cells in rows)] == table


def test_literal_cells_and_long_delimiters():
    lines = ['"a ""b"""\t"c"', 'x||"y, z"||']
    assert list(read_cells(lines[:1], "t", delimiter="\t", literal=True)) == [
        (1, ['"a ""b"""', '"c"'])
    ]
    assert list(read_cells(lines[1:], "t", delimiter="||")) == [(1, ["x", '"y, z"', ""])]


@pytest.mark.parametrize("delimiter", [",", "\t", "||"])
def test_empty_table(delimiter):
    header, rows = read_table([], "t", delimiter=delimiter)
    assert (header, list(rows)) == ([], [])


def test_malformed_rows():
    _, rows = read_table(["a,b", "1"], "t.csv")
    with pytest.raises(FlowjaxError, match=r"^t\.csv: line 2: expected 2 cells .* got 1$"):
        list(rows)
    _, rows = read_table(["a,b", '1,"x'], "t.csv")
    with pytest.raises(FlowjaxError, match=r"^t\.csv: line 2: expected CSV, got"):
        list(rows)


def test_json_lines():
    assert list(read_json(["1", " ", '"x"'], "t")) == [(1, 1), (3, "x")]
    with pytest.raises(FlowjaxError, match=r"^t: line 2: expected JSON, got '{'$"):
        list(read_json(["1", "{"], "t"))
    assert json_text("x", "t: line 1") == "x"
    with pytest.raises(FlowjaxError, match="t: line 1: expected text in a string, got int"):
        json_text(1, "t: line 1")
    with pytest.raises(FlowjaxError, match="got the unpaired surrogate"):
        json_text("\ud83d", "t: line 1")
