"""Files of an embedding store: order of flushes, cut journals, a full disk, damage."""

import json
import os
import resource
import signal
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from embed_worker import BLOCK, DIM, Killed, embed, expected, open_store, sentences, until

from flowjax.data.journal import append, read_journals
from flowjax.data.manifest import write_manifest
from flowjax.data.npy import HEADER_BYTES
from flowjax.data.store import EmbeddingStore
from flowjax.errors import FlowjaxError


@pytest.fixture
def file_size_limit():
    """Context manager in which files cannot grow beyond a size: writes fail as on a full disk."""
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    @contextmanager
    def limit(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    yield limit
    signal.signal(signal.SIGXFSZ, ignored)


def entry(k):
    return {"block": k, "rows": 1, "hash": "x", "counts": {}}


def test_a_journal_cut_at_any_byte_keeps_its_whole_lines(tmp_path):
    file = tmp_path / "journal-0.jsonl"
    ends = []
    for k in range(3):
        append(file, entry(k))
        ends.append(file.stat().st_size - 1)  # a line that lacks only its end is whole
    whole = file.read_bytes()
    for cut in range(len(whole)):
        file.write_bytes(whole[:cut])
        kept = [k for k, end in enumerate(ends) if end <= cut]
        assert list(read_journals(tmp_path).blocks) == kept
        append(file, entry(9))
        assert list(read_journals(tmp_path).blocks) == [*kept, 9]


def test_journals_of_earlier_versions_are_read(tmp_path):
    """Earlier versions wrote no empty lines between the entries, and several journals."""
    for i in range(2):
        lines = "".join(json.dumps(entry(k)) + "\n" for k in range(i, 6, 2))
        (tmp_path / f"journal-{i}.jsonl").write_text(lines + '{"block": 7, "ro')
    assert sorted(read_journals(tmp_path).blocks) == list(range(6))
    append(tmp_path / "journal-0.jsonl", {"rows": 7, "empty": 0, "hash": "x"})
    assert read_journals(tmp_path).progress(block=1) == "6 of 7 blocks"


def test_order_of_flushes(tmp_path, monkeypatch):
    """A block is on disk before its journal line, a file before its rename, then the folder.

    Each flush of a store's file is recorded with its content: the number of rows or of lines.
    """
    events = []
    fsync, replace, link = os.fsync, os.replace, os.link

    def name(path):
        return "partial" if str(path).endswith(".partial") else Path(path).name

    def noted(event, call):
        def do(*args):
            events.append((event, *(name(a) for a in args if not isinstance(a, int))))
            return call(*args)

        return do

    def content(path):
        raw = path.read_bytes()
        if path.name == "vectors.npy":
            started = raw.startswith(b"\x93NUMPY")
            return "header" if started else (len(raw) - HEADER_BYTES) // (4 * DIM)
        return [json.loads(line)["rows"] for line in raw.splitlines() if line]

    def noted_fsync(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        own = path.name in ("vectors.npy", "journal-0.jsonl")
        events.append(("fsync", name(path), *([content(path)] if own else [])))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted("replace", replace))
    monkeypatch.setattr(os, "link", noted("link", link))
    open_store(tmp_path, "h").fill(sentences(100), embed)
    folder = ("fsync", tmp_path.name)
    vectors, journal = ("fsync", "vectors.npy"), ("fsync", "journal-0.jsonl")
    partial = ("fsync", "partial")
    assert events == [
        *(partial, ("link", "partial", "manifest.json"), folder, folder),
        *((*vectors, 64), (*journal, [64]), (*vectors, 100), (*journal, [64, 36])),
        *((*journal, [64, 36, 100]), (*vectors, "header")),
        *(partial, ("replace", "partial", "manifest.json"), folder),
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("journal-0.jsonl", "manifest.json", "vectors.npy"),
    ]


def test_a_manifest_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    open_store(tmp_path, "h").fill(sentences(10), embed)
    assert [p.name for p in tmp_path.glob("*manifest*")] == ["manifest.json"]
    assert open_store(tmp_path, "h").complete


def test_the_first_manifest_stays(tmp_path):
    """A process that creates the same store a moment later finds the first manifest."""
    open_store(tmp_path, "first")
    write_manifest(tmp_path, {"source_hash": "second", "dim": DIM, "block": BLOCK}, replace=False)
    assert open_store(tmp_path, "first").manifest["source_hash"] == "first"


def test_a_full_disk_is_an_error_and_the_store_resumes(tmp_path, file_size_limit):
    texts = sentences(300)
    store = open_store(tmp_path, "h")
    with file_size_limit(HEADER_BYTES + (2 * BLOCK + 5) * DIM * 4):
        with pytest.raises(OSError, match="File too large"):
            store.fill(texts, embed)
    assert len(read_journals(tmp_path).blocks) == 2
    store.fill(texts, embed)
    assert np.array_equal(store.vectors, expected(texts))


def test_damage_is_named(tmp_path):
    texts = sentences(200)
    store = open_store(tmp_path, "h")
    with pytest.raises(Killed):
        store.fill(texts, until(2))
    vectors = tmp_path / "vectors.npy"
    whole = vectors.read_bytes()
    vectors.write_bytes(whole[:-1])
    with pytest.raises(
        FlowjaxError, match=r"vectors\.npy: expected \d+ bytes, got \d+; the file is damaged"
    ):
        store.fill(texts, embed)
    vectors.write_bytes(whole)
    store.fill(texts, embed)
    vectors.write_bytes(vectors.read_bytes()[:-4])
    with pytest.raises(
        FlowjaxError, match=r"vectors\.npy: expected \d+ bytes, got \d+; the file is damaged"
    ):
        _ = store.vectors
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match=r"manifest\.json: expected JSON"):
        EmbeddingStore.open(tmp_path)
