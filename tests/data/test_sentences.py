"""Every format returns the written sentences; errors have the file and the line."""

import csv
import gzip
import io
import json
import lzma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjax.data.fingerprint import fingerprint
from flowjax.data.formats import read_csv, read_jsonl
from flowjax.data.sentences import SentenceFile, read_sentences

ROWS = ["One, two.", 'She said "no".', "", "na\u00efve \u4e2d\u6587 \U0001f600", "  spaced  "]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)


def write(path, rows, column="text"):
    """Writes the rows in the format of the suffix, after a column `id`."""
    kind = next(s for s in reversed(path.suffixes) if s not in (".gz", ".xz"))
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    if kind == ".parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"id": range(len(rows)), column: rows}), path, row_group_size=2)
        return path
    with opener(path, "wt", encoding="utf-8", newline="") as file:
        if kind == ".txt":
            file.write("".join(r + "\n" for r in rows))
        elif kind == ".jsonl":
            file.writelines(json.dumps({"id": i, column: r}) + "\n" for i, r in enumerate(rows))
        elif kind == ".tsv":
            file.write(f"id\t{column}\n" + "".join(f"{i}\t{r}\n" for i, r in enumerate(rows)))
        else:
            csv.writer(file).writerows([["id", column], *enumerate(rows)])
    return path


@pytest.mark.parametrize(
    "name", ["a.txt", "a.jsonl", "a.csv", "a.tsv", "a.parquet", "a.csv.gz", "a.jsonl.xz", "A.CSV"]
)
def test_formats(tmp_path, name):
    if name == "A.CSV":  # suffixes ignore case
        write(tmp_path / "a.csv", ROWS).rename(tmp_path / name)
    else:
        write(tmp_path / name, ROWS)
    file = SentenceFile(tmp_path / name)
    assert list(file) == ROWS
    assert list(file) == ROWS  # a second iteration
    assert read_sentences(tmp_path / name) == ([r for r in ROWS if r], 1)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv", "a.parquet"])
def test_column_by_name(tmp_path, name):
    path = write(tmp_path / name, ROWS, column="body")
    assert list(SentenceFile(path, "body")) == ROWS
    with pytest.raises(ValueError, match=r"column 'sentence' or 'text', got 'id', 'body'"):
        list(SentenceFile(path))
    with pytest.raises(ValueError, match=r"column 'nope', got 'id', 'body'"):
        list(SentenceFile(path, "nope"))
    assert SentenceFile(path).fingerprint() != SentenceFile(path, "body").fingerprint()


@given(st.lists(TEXT, min_size=1))
def test_any_text_in_csv_and_jsonl(rows):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows([["id", "text"], *enumerate(rows)])
    assert list(read_csv(buffer.getvalue().split("\n"), "x")) == rows
    assert list(read_jsonl(map(json.dumps, rows), "x")) == rows
    assert list(read_jsonl((json.dumps({"text": r}) for r in rows), "x")) == rows


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.tsv", "a.parquet"])
def test_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match=name):
        read_sentences(tmp_path / name)


def test_nothing_but_empty_lines(tmp_path):
    path = write(tmp_path / "a.txt", ["", "  ", "\t"])
    with pytest.raises(ValueError, match="got 3 empty lines and no sentence"):
        read_sentences(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", "line 2: expected JSON, got '{not json'"),
        ("[1]", "line 2: expected an object or a string, got list"),
        ('{"text": 3}', "line 2: expected text in 'text', got int"),
        ('{"other": "x"}', "line 2: expected a column 'sentence' or 'text', got 'other'"),
        ('{"text": "\\ud83d"}', "line 2: .*unpaired surrogate"),
        ("[" * 100_000, "line 2: expected JSON, got"),
    ],
)
def test_bad_json_lines(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine"}\n' + line + "\n")
    with pytest.raises(ValueError, match=rf"a\.jsonl: {message}"):
        list(SentenceFile(path))


def test_null_is_empty_and_blank_lines_yield_nothing(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"text": null}\n\n"x"\n')
    assert list(SentenceFile(path)) == ["", "x"]
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": ["a", None]}), tmp_path / "a.parquet")
    assert list(SentenceFile(tmp_path / "a.parquet")) == ["a", ""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,text\n1,One, two.\n", "line 2: expected 2 cells like the header, got 3"),
        ("id,text\n1,a\n2\n", "line 3: expected 2 cells like the header, got 1"),
        ('id,text\n1,"open\nmore\n', "expected CSV"),
    ],
)
def test_malformed_csv(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"a\.csv: .*{message}"):
        list(SentenceFile(path))


def test_a_quote_in_tsv_is_text(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('id\ttext\n1\t"So it began.\n2\tNext.\n')
    assert list(SentenceFile(path)) == ['"So it began.', "Next."]


def test_parquet_without_text(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    kinds = pa.array(["a", "a"]).dictionary_encode()
    pq.write_table(pa.table({"text": [1, 2], "kind": kinds}), path)
    with pytest.raises(ValueError, match=r"a\.parquet: expected text in 'text', got int64"):
        list(SentenceFile(path))
    assert list(SentenceFile(path, "kind")) == ["a", "a"]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"a\.parquet: expected a Parquet file"):
        list(SentenceFile(path))


def test_damaged_parquet(tmp_path):
    path = write(tmp_path / "a.parquet", [f"Sentence {i}." for i in range(2000)])
    raw = bytearray(path.read_bytes())
    raw[200:2000] = bytes(1800)
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"a\.parquet: "):
        list(SentenceFile(path))


def test_refused_names(tmp_path):
    with pytest.raises(ValueError, match=r"none\.txt: .* got no such file"):
        SentenceFile(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="got a folder"):
        SentenceFile(tmp_path)
    for name in ("a.docx", "a.parquet.gz"):
        (tmp_path / name).touch()
        with pytest.raises(ValueError, match=r"expected \.txt, \.jsonl, .* got"):
            SentenceFile(tmp_path / name)
    (tmp_path / "v1.2.txt").write_text("dots in a name\n")
    assert list(SentenceFile(tmp_path / "v1.2.txt")) == ["dots in a name"]


def test_standard_input(monkeypatch):
    class Stdin:
        buffer = io.BytesIO("\ufeffone\r\ntwo".encode())

    monkeypatch.setattr("sys.stdin", Stdin)
    file = SentenceFile("-")
    assert file.fingerprint() is None
    assert list(file) == ["one", "two"]
    with pytest.raises(ValueError, match="standard input: expected a single iteration"):
        list(file)


def test_lists():
    assert read_sentences(iter(["a", "", "b"])) == (["a", "b"], 1)
    with pytest.raises(ValueError, match="expected strings, got int at index 1"):
        read_sentences(["a", 1])
    with pytest.raises(ValueError, match="got 0 empty lines"):
        read_sentences([])


@given(st.lists(TEXT), st.lists(TEXT))
def test_fingerprint_tells_lists_apart(a, b):
    assert (fingerprint(a) == fingerprint(b)) == (a == b)
