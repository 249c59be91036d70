"""CSV, TSV and JSON lines: cells, line numbers, and errors of malformed rows."""

import pytest

from flowjax.errors import FlowjaxError
from flowjax.files.tables import json_text, read_cells, read_json, read_table


def test_csv_quotes_and_line_numbers():
    lines = ["a,b", "", '1,"x', 'y"', "2,z"]
    header, rows = read_table(lines, "t.csv")
    assert (header, list(rows)) == (["a", "b"], [(4, ["1", "x\ny"]), (5, ["2", "z"])])


def test_tsv_has_no_quotes():
    header, rows = read_table(['"a\tb', '"1\t2\r3', ""], "t.tsv", tabs=True)
    assert (header, list(rows)) == (['"a', "b"], [(2, ['"1', "2\r3"])])
    assert list(read_cells(["a", "b\tc"], "t.tsv", tabs=True)) == [(1, ["a"]), (2, ["b", "c"])]


@pytest.mark.parametrize("tabs", [False, True])
def test_empty_table(tabs):
    header, rows = read_table([], "t", tabs=tabs)
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
    assert json_text("x", "t", 1) == "x"
    with pytest.raises(FlowjaxError, match="t: line 1: expected text in a string, got int"):
        json_text(1, "t", 1)
    with pytest.raises(FlowjaxError, match="got the unpaired surrogate"):
        json_text("\ud83d", "t", 1)
