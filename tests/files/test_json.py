"""Reader of JSON metadata: every damage is a FlowjaxError that names the file."""

import json
import random

import pytest

from flowjax.errors import FlowjaxError
from flowjax.files.json import field, parse_object, read_object, typed


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"", "expected JSON"),
        (b"{", "expected JSON"),
        (b"\xff{}", "utf-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"9" * 5000, "expected JSON"),
        (b"[1, 2]", "expected a JSON object, got list"),
        (b'"' + b"x" * 5000 + b'"', "expected a JSON object, got 'xxx"),
    ],
)
def test_other_text_is_refused_in_one_short_line(text, word, tmp_path):
    file = tmp_path / "a.json"
    file.write_bytes(text)
    with pytest.raises(FlowjaxError) as caught:
        read_object(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ") and word in message
    assert "\n" not in message and len(message) < 300 + len(str(file))


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(FlowjaxError, match="expected a readable file"):
            read_object(path)


def test_a_byte_order_mark_is_skipped(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}', "utf-8-sig")
    assert read_object(tmp_path / "a.json") == {"a": 1}


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (bool, True, [1, "true", None]),
        (dict, {"a": 1}, [[], 3]),
        (float, 2.5, [True, "2.5", float("nan"), float("inf"), 10**400]),
        (int, 3, [True, 3.0, "3"]),
        (list, [1], [{}, "ab"]),
        (str, "a", [1, None, ["a"]]),
    ],
)
def test_fields_have_their_type(kind, good, bad):
    assert field({"x": good}, "x", kind, "f.json") == good
    for value in bad:
        with pytest.raises(FlowjaxError, match=r"^f\.json: x: expected "):
            field({"x": value}, "x", kind, "f.json")
    for values in ({}, {"x": None}):
        assert field(values, "x", kind, "f.json", good) == good
    with pytest.raises(FlowjaxError, match="expected the field x"):
        field({}, "x", kind, "f.json")


def test_integers_are_numbers():
    value = typed(3, float, "x")
    assert value == 3 and isinstance(value, float)


def test_random_damage_raises_no_other_error():
    source = random.Random(0)
    text = json.dumps({"a": [1, 2.5, None, {"b": "é \\u00e9"}], "c": True}).encode()
    for _ in range(2000):
        data = bytearray(text)
        for _ in range(source.randint(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        try:
            assert isinstance(parse_object(bytes(data), "x"), dict)
        except FlowjaxError:
            pass
