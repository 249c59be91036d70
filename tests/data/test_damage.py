"""Random damage of every file format that is read: the right content, or one FlowjaxError."""

import errno
import gzip
import json
import random
import warnings

import numpy as np
import pytest

from flowjax.commands.plot import curves, read_metrics
from flowjax.data.arrays import check_rows, open_rows
from flowjax.data.sentences import SentenceFile
from flowjax.data.store import EmbeddingStore
from flowjax.data.vectors import write_vectors
from flowjax.errors import FlowjaxError
from flowjax.evaluation import load_pairs
from flowjax.files.text import OPENERS
from flowjax.report.files import check_folder

TEXTS = ["One, two.", 'She said "no".', "naïve 中文"]
PAIRS = "score,sentence1,sentence2\n" + "".join(f'{i},"{i} é",b\n' for i in range(4))
ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)
METRICS = [{"step": i, "bits_per_dim": 2.5 / (i + 1), "grad_norm": 1.0} for i in range(3)]


def lengths(blocks):
    for block in blocks:
        yield np.array([[len(s)] for s in block], np.float32), {"cut": 1}


def store(folder):
    """Writes a store of three blocks."""
    made = EmbeddingStore(folder, {"encoder": "toy", "source_hash": None}, dim=1, block=2)
    made.fill(["a", "bb", "ccc", "dddd", "e"], lengths)
    return made


def read_store(file):
    found = EmbeddingStore.open(file.parent)
    assert found.vectors.shape == (
        sum(v for k, v in found.counts.items() if k == "rows"),
        found.dim,
    )


def resume_store(file):
    """Resumes a store without a result."""
    manifest = file.parent / "manifest.json"
    whole = json.loads(manifest.read_text())
    whole.pop("result", None)
    manifest.write_text(json.dumps(whole))
    assert store(file.parent).vectors.tolist() == [[1], [2], [3], [4], [1]]


def sentences(name, text):
    return (
        name,
        lambda path: path.write_bytes(text.encode()),
        lambda path: list(SentenceFile(path)),
    )


CASES = {
    name: (file, write, read)
    for name, (file, write, read) in {
        "txt": sentences("a.txt", "\n".join(TEXTS)),
        "csv": sentences("a.csv", "id,text\n" + '1,"a, ""b"""\n2,c\n' * 3),
        "tsv": sentences("a.tsv", "id\ttext\n" + '1\t"a ""b"""\n2\tc\n' * 3),
        "jsonl": sentences("a.jsonl", "\n".join(json.dumps({"text": t}) for t in TEXTS)),
        "json": sentences("a.json", json.dumps([{"text": t} for t in TEXTS], indent=1)),
        "pairs.csv": ("p.csv", lambda p: p.write_text(PAIRS, "utf-8"), load_pairs),
        "pairs.jsonl": (
            "p.jsonl",
            lambda p: p.write_text('{"score": 1, "sentence1": "a", "sentence2": "b"}\n' * 3),
            load_pairs,
        ),
        "gz": (
            "a.txt.gz",
            lambda p: p.write_bytes(gzip.compress("\n".join(TEXTS).encode())),
            lambda p: list(SentenceFile(p)),
        ),
        "npy": ("a.npy", lambda p: np.save(p, ROWS), lambda p: check_rows(open_rows(p))),
        "parquet rows": (
            "a.parquet",
            lambda p: write_vectors(p, ROWS),
            lambda p: check_rows(open_rows(p)),
        ),
        "parquet text": (
            "a.parquet",
            lambda p: write_vectors(p, ROWS[:3], TEXTS),
            lambda p: list(SentenceFile(p)),
        ),
        "metrics": (
            "metrics.jsonl",
            lambda p: p.write_text("\n".join(map(json.dumps, METRICS)) + "\n"),
            lambda p: curves(read_metrics(p.parent)),
        ),
        "manifest": ("manifest.json", lambda p: store(p.parent), read_store),
        "vectors": ("vectors.npy", lambda p: store(p.parent), read_store),
        "journal": ("journal-0.jsonl", lambda p: store(p.parent), resume_store),
        "report": (
            "report.json",
            lambda p: p.write_text(
                '{"files": ["a.csv", "index.html"], "flowjax": "1", "x": [null]}'
            ),
            lambda p: check_folder(p.parent, overwrite=True),
        ),
    }.items()
}
# Values that are valid JSON, but not of the expected type.
JUNK = [b"null", b"3", b'"x"', b"[]", b"{}", b"-1", b"1e999", b"9" * 400, b"[" * 5000, b"true"]
HEADERS = ["(", "{[]:1}", "  x\n y", "{'descr': ',f4', 'fortran_order': False, 'shape': (2, 2)}"]
HEADERS += [
    f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}"
    for shape in ("(-1, 3)", "(10**30, 3)", "(9999999999999999, 3)", "(2,", "None", "(1.5, 2)")
]


def damaged(whole, source):
    """Returns a copy with changed, removed or inserted bytes, or another value in it."""
    data = bytearray(whole)
    for _ in range(source.randint(1, 3)):
        place = source.randrange(len(data) + 1)
        match source.randrange(4):
            case 0 if place < len(data):
                data[place] = source.randrange(256)
            case 1:
                del data[place : place + source.randint(1, 20)]
            case 2:
                data[place:place] = source.choice(JUNK)
            case _:  # replaces the value after a colon
                colons = [i for i, byte in enumerate(data) if byte == 58] or [place]
                at = source.choice(colons) + 1
                data[at : at + source.randint(0, 4)] = source.choice(JUNK)
    return bytes(data)


@pytest.mark.parametrize("name", CASES)
def test_damage_gives_one_error_of_the_user(tmp_path, name):
    file, write, read = CASES[name]
    if ".parquet" in file:
        pytest.importorskip("pyarrow")
    path, source, refused = tmp_path / file, random.Random(name), 0
    write(path)
    files = {p: p.read_bytes() for p in tmp_path.iterdir()}
    read(path)
    for _ in range(60 if name in ("metrics", "journal") else 200):
        for other, content in files.items():
            other.write_bytes(content)
        path.write_bytes(damaged(files[path], source))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(path)
        except FlowjaxError as error:
            refused += 1
            assert len(str(error)) < 1000, error
    assert refused or name == "journal"  # a damaged line of a journal is written again


@pytest.mark.parametrize("header", HEADERS)
def test_headers_of_npy_that_numpy_cannot_parse(tmp_path, header):
    text = header.encode().ljust(117) + b"\n"
    magic = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little")
    (tmp_path / "a.npy").write_bytes(magic + text + bytes(32))
    with pytest.raises(FlowjaxError, match=r"a\.npy: expected a \.npy array, got"):
        open_rows(tmp_path / "a.npy")


@pytest.mark.parametrize("suffix", OPENERS)
def test_a_compressed_suffix_alone_is_no_promise(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(b"not compressed")
    with pytest.raises(FlowjaxError):
        list(SentenceFile(path))


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")])
def test_parquet_that_exceeds_the_memory_is_refused(tmp_path, monkeypatch, error):
    """A few kilobytes of Parquet can hold one long text a million times."""
    pytest.importorskip("pyarrow")

    def fail(*_):
        raise error

    path = tmp_path / "a.parquet"
    write_vectors(path, ROWS[:3], TEXTS)
    for module in ("formats", "parquet"):
        monkeypatch.setattr(f"flowjax.data.{module}.counted", fail)
    for read in (lambda: list(SentenceFile(path)), lambda: open_rows(path)):
        with pytest.raises(FlowjaxError, match=r"a\.parquet: expected rows that fit into memory"):
            read()
    error = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        open_rows(path)
