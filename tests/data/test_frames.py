"""Data frames: numbers are read by column, and errors name the column."""

import numpy as np
import pyarrow as pa
import pytest

import flowjax
from flowjax import flows
from flowjax.data.arrays import check_rows, open_rows
from flowjax.errors import FlowjaxError


class NAType:
    """Missing value, as in pandas."""


class Column:
    def __init__(self, values, dtype):
        self.values, self.dtype = values, dtype

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype or object)


class Frame:
    """Data frame with nullable columns, as in pandas."""

    def __init__(self, **columns):
        self.columns = list(columns)
        self._columns = list(columns.values())
        self.iloc = self

    def __getitem__(self, at):
        return self._columns[at[1]]


def test_numbers_of_every_kind():
    table = pa.table({"a": [1.5, 2.0], "b": pa.array([3, 4], pa.int8())})
    np.testing.assert_array_equal(open_rows(table), [[1.5, 3], [2, 4]])
    frame = Frame(a=Column([1, 2], "Int64"), b=Column([True, False], "boolean"))
    np.testing.assert_array_equal(open_rows(frame), [[1, 1], [2, 0]])
    assert check_rows(pa.table({"a": pa.array([1.0], pa.float32())})).dtype == np.float32


BAD = {
    "text": (pa.table({"a": [1.0], "b": ["u"]}), "real numbers, got column 'b' of dtype string"),
    "null": (pa.table({"a": [1.0, None]}), "finite numbers, got nan at row 1 in column 'a'"),
    "infinite": (
        pa.table({"a": [float("inf")]}),
        "finite numbers, got inf at row 0 in column 'a'",
    ),
    "nullable": (
        Frame(a=Column([1, 2], "Int64"), b=Column([NAType(), 2], "Int64")),
        "real numbers, got 1 missing in column 'b' of dtype Int64",
    ),
    "digits as text": (Frame(a=Column(["1"], "str")), "real numbers, got column 'a' of dtype str"),
    "no columns": (pa.table({}), r"rows of shape \(n, d\), got \(0, 0\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_name_the_column_and_the_argument(name):
    frame, message = BAD[name]
    good = np.ones((3, 2))
    options = {"key": 0, "steps": 0}
    for argument, given in {
        "data": {"data": frame},
        "context": {"data": good, "context": frame},
        "validation": {"data": good, "validation": frame},
    }.items():
        with pytest.raises(FlowjaxError, match=rf"^{argument}: expected {message}"):
            flowjax.fit(flows.standardize(2), **given, **options)
