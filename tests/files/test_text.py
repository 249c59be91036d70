"""Text files: lines equal the written lines for every compression; errors name the damage."""

import bz2
import gzip
import io
import lzma
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjax.errors import FlowjaxError
from flowjax.files import text
from flowjax.files.text import decode_lines, expand_paths, find_files, open_binary, read_lines

pa = pytest.importorskip("pyarrow")
PACK = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}
LINE = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=20)


@given(st.lists(LINE, min_size=1), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_any_lines(lines, end, mark, last_end):
    if not last_end and not lines[-1]:
        last_end = True  # an empty last line without a line end is no line
    if lines[0].startswith("\ufeff"):
        mark = True
    data = end.join(lines) + (end if last_end else "")
    raw = (b"\xef\xbb\xbf" if mark else b"") + data.encode()
    assert list(decode_lines(io.BytesIO(raw), "x")) == lines


@pytest.mark.parametrize("suffix", PACK)
def test_packed_files(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(PACK[suffix]("\ufeffone\r\n\ntwo\u2028three\r\r\nvier".encode()))
    assert list(read_lines(path)) == ["one", "", "two\u2028three\r", "vier"]


@pytest.mark.parametrize("suffix", list(PACK)[1:])
def test_cut_compression(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    whole = PACK[suffix](os.urandom(50_000).hex().encode() + b"\n")
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.txt\..*: expected a readable stream after line 0"):
        list(read_lines(path))


# pyarrow writes .zst without a checksum, so that damage can go unnoticed.
@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2"])
def test_damaged_compression(tmp_path, suffix):
    """Damage at any place either leaves the lines intact or raises an error with the file."""
    lines = [os.urandom(30).hex() for _ in range(400)]
    whole = PACK[suffix]("\n".join(lines).encode())
    path = tmp_path / f"a.txt{suffix}"
    refused = 0
    for place in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        try:
            assert list(read_lines(path)) == lines
        except ValueError as error:
            refused += 1
            assert "a.txt" in str(error)
    assert refused > 20


@pytest.mark.parametrize("suffix", list(PACK)[1:])
def test_not_compressed(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(b"just text\n")
    with pytest.raises(ValueError, match="expected a readable stream after line 0"):
        list(read_lines(path))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_not_utf8_names_line_and_byte(tmp_path, mark):
    path = tmp_path / "a.txt"
    path.write_bytes(mark + b"fine\nna\xefve\n")
    with pytest.raises(
        ValueError, match=r"a\.txt: line 2: expected UTF-8 text, got byte 0xef at position 3$"
    ):
        list(read_lines(path))
    path.write_bytes(mark + b"na\xefve\n")
    where = 3 + len(mark)
    with pytest.raises(
        ValueError, match=f"line 1: expected UTF-8 text, got byte 0xef at position {where}$"
    ):
        list(read_lines(path))


def test_utf16_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n", "utf-16")
    with pytest.raises(
        ValueError, match="line 1: expected UTF-8 text, got byte 0xff at position 1"
    ):
        list(read_lines(path))


def test_missing_folder_and_forbidden(tmp_path):
    with pytest.raises(ValueError, match="No such file"):
        open_binary(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="Is a directory"):
        open_binary(tmp_path)
    path = tmp_path / "a.txt"
    path.write_text("x")
    path.chmod(0)
    if not os.access(path, os.R_OK):  # root can read every file
        with pytest.raises(ValueError, match="expected a readable file"):
            open_binary(path)


def test_expand_paths(tmp_path):
    for name in ("b.txt", "a.txt.xz", "c[1].txt", "d.md"):
        (tmp_path / name).write_text("x")
    assert [p.name for p in expand_paths([tmp_path])] == ["a.txt.xz", "b.txt", "c[1].txt"]
    assert [p.name for p in expand_paths([tmp_path / "c[1].txt"])] == ["c[1].txt"]
    assert [p.name for p in expand_paths([tmp_path / "*.md", tmp_path / "b.txt"])] == [
        "d.md",
        "b.txt",
    ]
    with pytest.raises(ValueError, match="nothing-\\*"):
        expand_paths([tmp_path / "nothing-*"])
    for name in ("t.csv", "t.jsonl.gz", "t.parquet", "t.zip"):  # their cells are not lines of text
        (tmp_path / name).write_text("x")
        with pytest.raises(FlowjaxError, match=rf"{name}: expected lines of text"):
            expand_paths([tmp_path / name])


def test_find_files(tmp_path):
    for name in ("b/x.txt", "a/x.txt", "a/__MACOSX/x.txt", "a/y.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert find_files(tmp_path, "x.txt") == [tmp_path / "a" / "x.txt", tmp_path / "b" / "x.txt"]


def test_a_line_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    """A compressed file of a few kilobytes can hold one line of gigabytes."""
    monkeypatch.setattr(text, "MAX_LINE", 1 << 20)
    file = tmp_path / "bomb.txt.gz"
    file.write_bytes(gzip.compress(b"fine\n" + bytes(8 << 20)))
    with pytest.raises(FlowjaxError, match=r"bomb\.txt\.gz: line 2: expected at most 1 MiB"):
        list(read_lines(file))


def test_a_byte_order_mark_is_removed_from_the_first_line_only(tmp_path):
    """Elsewhere, U+FEFF is a character of the text."""
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\n\ufefftwo\n".encode())
    assert list(read_lines(path)) == ["one", "\ufefftwo"]


def test_the_files_of_a_pattern_and_of_a_folder_are_sorted(tmp_path, monkeypatch):
    names = ["b.txt", "a.txt", "c.txt", "d.txt.gz"]
    for name in names:
        (tmp_path / name).touch()
    found = [tmp_path / name for name in names]  # the order of a file system is arbitrary
    monkeypatch.setattr(type(tmp_path), "glob", lambda *_: iter(found))
    monkeypatch.setattr(type(tmp_path), "iterdir", lambda *_: iter(found))
    for item in (tmp_path / "*", tmp_path):
        assert expand_paths([item]) == sorted(found)
