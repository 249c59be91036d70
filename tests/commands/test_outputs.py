"""Tests of output files: what a command may replace, checked before any work."""

import os

import numpy as np
import pytest

from flowjax.commands.main import main
from flowjax.data.store import EmbeddingStore, remove_store
from flowjax.files.lock import locked

VALUE = {"encode": "v.npy", "sample": "v.npy", "plot": "v.png", "evaluate": "v.json"}


def argv(command, run, text, out, *more):
    """Returns a command that writes the file `out`."""
    if command == "encode":
        return ["encode", str(run), str(text), "--out", str(out), *more]
    if command == "evaluate":
        return ["evaluate", str(run), "--tasks", "sample", "--json", str(out), *more]
    return [command, str(run), "--out", str(out), *more]


@pytest.mark.parametrize("command", VALUE)
def test_an_existing_file_is_replaced_only_with_overwrite(command, tiny_run, tmp_path, capsys):
    run, text, _ = tiny_run
    out = tmp_path / VALUE[command]
    out.write_bytes(b"precious")
    neighbours = [tmp_path / f".{out.name}.partial", tmp_path / f"{out.name}.partial"]
    for file in neighbours:
        file.write_bytes(b"the user's")
    assert main(argv(command, run, text, out)) == 2
    assert "--overwrite" in capsys.readouterr().err and out.read_bytes() == b"precious"
    assert main(argv(command, run, text, out, "--overwrite")) == 0
    assert len(out.read_bytes()) > 100
    assert all(file.read_bytes() == b"the user's" for file in neighbours)
    assert sorted(tmp_path.iterdir()) == sorted([out, *neighbours])


@pytest.mark.parametrize("command", VALUE)
def test_places_that_cannot_be_written_are_refused_before_the_work(command, tmp_path, capsys):
    """There is no run: the error about the output comes first."""
    name = VALUE[command]
    (tmp_path / name).mkdir()
    (tmp_path / "read").mkdir(mode=0o500)
    places = {name: "expected a file, got a folder", f"no/{name}": "expected an existing folder"}
    if os.geteuid():
        places[f"read/{name}"] = "expected a folder with write permission"
    for place, text in places.items():
        assert main(argv(command, "no", "no.txt", tmp_path / place, "--overwrite")) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert text in line


def test_a_second_encode_to_the_same_file_gets_one_line(tiny_run, tmp_path, capsys):
    run, text, _ = tiny_run
    out = tmp_path / "v.npy"
    with locked(tmp_path / ".v.npy.0.lock", "x"):
        assert main(argv("encode", run, text, out)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--out {out}: expected a path that no other" in line and str(os.getpid()) in line
    assert main(argv("encode", run, text, out)) == 0 and list(tmp_path.iterdir()) == [out]


def store(folder):
    return EmbeddingStore(folder, {"source_hash": "x"}, dim=1, block=2)


def embed(blocks):
    for block in blocks:
        yield np.ones((len(block), 1), np.float32), {}


def test_a_store_neither_uses_nor_deletes_files_of_the_user(tmp_path):
    (tmp_path / "vectors.npy").write_bytes(b"years of work")
    with pytest.raises(ValueError, match=r"got a folder with another vectors\.npy"):
        store(tmp_path)
    assert (tmp_path / "vectors.npy").read_bytes() == b"years of work"
    folder = tmp_path / "new"
    store(folder).fill(["a", "b", "c"], embed)
    (folder / "notes.txt").write_text("mine")
    remove_store(folder)
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]
    (folder / "notes.txt").unlink()
    store(folder).fill(["a", "b", "c"], embed)
    remove_store(folder)
    assert not folder.exists()


def test_each_shard_of_a_store_has_one_writer(tmp_path):
    first = store(tmp_path)
    with locked(tmp_path / ".lock-0", "x"):
        with pytest.raises(ValueError, match=f"in use by process {os.getpid()} on "):
            first.fill("abcd", embed, share=(0, 2))
        store(tmp_path).fill("abcd", embed, share=(1, 2))
    first.fill("abcd", embed, share=(0, 2))
    assert first.complete and not list(tmp_path.glob(".lock*"))
