"""Every format returns the written sentences; errors have the file and the line."""

import csv
import gzip
import io
import json
import lzma
from collections import UserDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjax.data.fingerprint import fingerprint
from flowjax.data.formats import read_csv, read_jsonl
from flowjax.data.sentences import SentenceFile, checked, open_source, read_sentences
from flowjax.errors import FlowjaxError

ROWS = ["One, two.", 'She said "no".', "", "na\u00efve \u4e2d\u6587 \U0001f600", "  spaced  "]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)


def open_zstd(path, mode, **options):
    pa = pytest.importorskip("pyarrow")
    return io.TextIOWrapper(
        pa.CompressedOutputStream(pa.OSFile(str(path), "w"), "zstd"), **options
    )


def write(path, rows, column="text"):
    """Writes the rows in the format of the suffix, after a column `id`."""
    kind = next(s for s in reversed(path.suffixes) if s not in (".gz", ".xz", ".zst"))
    opener = {".gz": gzip.open, ".xz": lzma.open, ".zst": open_zstd}.get(path.suffix, open)
    if kind == ".parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"id": range(len(rows)), column: rows}), path, row_group_size=2)
        return path
    with opener(path, "wt", encoding="utf-8", newline="") as file:
        if kind == ".txt":
            file.write("".join(r + "\n" for r in rows))
        elif kind == ".json":
            json.dump([{"id": i, column: r} for i, r in enumerate(rows)], file, indent=1)
        elif kind in (".jsonl", ".ndjson"):
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
        ("text,text\na,b\n", "expected one column 'text', got several"),
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
    for name in ("a.docx", "a.parquet.gz", "a.csv.zip", "a.tar.gz"):
        (tmp_path / name).touch()
        with pytest.raises(ValueError, match=r"expected \.txt, \.jsonl, .* got") as caught:
            SentenceFile(tmp_path / name)
        assert ("unpack the archive" in str(caught.value)) == (name in ("a.csv.zip", "a.tar.gz"))
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


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_nested_fields_of_json(tmp_path, name):
    path = tmp_path / name
    rows = [{"data": {"body": {"en": "One."}}}, {"data.body.en": "Two."}]
    text = json.dumps(rows) if name == "a.json" else "\n".join(map(json.dumps, rows))
    path.write_text(text)
    assert list(SentenceFile(path, "data.body.en")) == ["One.", "Two."]
    for column, message in [
        ("data.body", "expected text in 'body', got dict"),
        ("data.nope", "expected a column 'nope', got 'body'"),
        ("nope.body", r"expected a column 'nope\.body', got 'data'"),
    ]:
        with pytest.raises(FlowjaxError, match=rf"{name}: .* [01]: {message}"):
            list(SentenceFile(path, column))


def test_json_that_is_no_array_of_texts(tmp_path):
    path = tmp_path / "a.json"
    for text, message in [
        ('{\n"text": "pretty-printed"\n}', "line 1: expected JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[[1]]", "item 0: expected an object or a string, got list"),
        ('["a", {"text": 3}]', "item 1: expected text in 'text', got int"),
    ]:
        path.write_text(text)
        with pytest.raises(FlowjaxError, match=rf"a\.json: .*{message}"):
            list(SentenceFile(path))


def test_every_kind_of_text_in_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    kinds = [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
    kinds.append(pa.string_view())
    for kind in kinds:
        try:
            table = pa.table({"text": pa.array(["a", None]).cast(kind)})
            pq.write_table(table, tmp_path / "a.parquet")
        except pa.ArrowNotImplementedError:  # pyarrow 17 and 18
            assert kind == pa.string_view()
            continue
        assert list(SentenceFile(tmp_path / "a.parquet")) == ["a", ""], kind
    for kind, value in [(pa.binary(), b"a"), (pa.struct([("x", pa.string())]), {"x": "a"})]:
        pq.write_table(pa.table({"text": pa.array([value], kind)}), tmp_path / "a.parquet")
        with pytest.raises(FlowjaxError, match=r"expected text in 'text', got (binary|struct)"):
            list(SentenceFile(tmp_path / "a.parquet"))


class Frame:
    """A DataFrame of pandas in small: its iteration yields the names of its columns."""

    def __init__(self, **columns):
        self.data, self.columns = columns, list(columns)

    def __iter__(self):
        return iter(self.columns)

    def __getitem__(self, name):
        return self.data[name]


class Stream:
    """A `datasets.IterableDataset` in small: yields dicts, and may have unknown columns."""

    def __init__(self, rows, names=None):
        self.rows, self.column_names = rows, names

    def __iter__(self):
        return iter(self.rows)


def test_tables_need_a_column():
    pa = pytest.importorskip("pyarrow")
    data = {"text": ["One.", "Two."], "label": [0, 1]}
    rows = [dict(zip(data, row, strict=True)) for row in zip(*data.values(), strict=True)]
    for table in (Frame(**data), pa.table(data), Stream(rows), Stream(rows, list(data))):
        assert list(open_source(table, "text")) == data["text"]
        with pytest.raises(FlowjaxError, match=r"column: expected one of the columns.*, got none"):
            open_source(table)
        with pytest.raises(FlowjaxError, match=r"sentences: expected strings, got .* columns"):
            list(checked(table))
        for column, got in [
            ("label", "got int at index 0"),
            ("nope", "'label' of the .* got 'nope'"),
        ]:
            with pytest.raises(FlowjaxError, match=got):
                list(open_source(table, column))
    assert not open_source(Frame(**data), "text").is_stream
    assert open_source(Stream(rows), "text").is_stream
    with pytest.raises(FlowjaxError, match="got 'text' several times"):
        open_source(Stream(rows, ["text", "text"]), "text")


@pytest.mark.parametrize("value", [{"text": ["a"]}, {}, UserDict(train=["a"])])
def test_mappings_are_refused(value):
    for call in (
        lambda: open_source(value),
        lambda: open_source(value, "text"),
        lambda: list(checked(value)),
    ):
        with pytest.raises(
            FlowjaxError, match=r"^sentences: expected strings, got (dict|UserDict)"
        ):
            call()


def test_a_column_without_effect_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    for source in (["a"], iter(["a"]), tmp_path / "a.txt", "-", SentenceFile(tmp_path / "a.txt")):
        with pytest.raises(FlowjaxError, match=r"^column: expected none for .*, got 'text'$"):
            open_source(source, "text")


def test_several_files_are_one_source(tmp_path):
    for name, rows in {"b.csv": ["2", "3"], "a.csv": ["1"], "c.jsonl.gz": ["4", ""]}.items():
        write(tmp_path / name, rows, column="body")
    listed = f"{tmp_path}/b.csv, {tmp_path}/a.csv,{tmp_path}/c.jsonl.gz"
    assert list(open_source(listed, "body")) == ["2", "3", "1", "4", ""]
    pattern = open_source(f"{tmp_path}/*.csv,{tmp_path}/c*", "body")
    assert list(pattern) == list(pattern) == ["1", "2", "3", "4", ""]  # sorted within a pattern
    assert (
        not pattern.is_stream
        and pattern.fingerprint() != open_source(listed, "body").fingerprint()
    )
    assert list(open_source([tmp_path / "a.csv", tmp_path / "b.csv"], "body")) == ["1", "2", "3"]
    for name in ("odd,name[1].txt", "star*.txt"):  # an existing file is no list and no pattern
        (tmp_path / name).write_text("x")
        assert list(open_source(f"{tmp_path}/{name}")) == ["x"]
    for text, message in [
        (f"{tmp_path}/*.tsv", r"\*\.tsv: expected a pattern of files, got no matching file"),
        (f"{tmp_path}/a.csv,{tmp_path}/no.csv", r"no\.csv: .*no such file"),
        (f"{tmp_path}/a.csv,-", "expected files only"),
        (str(tmp_path), r"got a folder; for its files, use a pattern such as '.*/\*\.txt'"),
        (",", "no such file"),
    ]:
        with pytest.raises(FlowjaxError, match=message):
            open_source(text)
