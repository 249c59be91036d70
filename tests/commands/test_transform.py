"""`flowjax transform`, and arrays in `flowjax score` and `flowjax sample`."""

import json
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import flowjax
from flowjax import flows
from flowjax.commands.main import main
from flowjax.data.arrays import open_rows

ROWS = np.random.default_rng(0).normal([3, -2, 50], [1, 0.1, 9], (500, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with the array x.npy, and with the flows `whole`, and `part` of two components."""
    folder = tmp_path_factory.mktemp("rows")
    np.save(folder / "x.npy", ROWS)
    for name, options in {"whole": {}, "part": {"components": 2}}.items():
        flow = flows.whitening(3, **options)
        flowjax.save_flow(folder / name, flow, flow.init(jax.random.key(0), ROWS))
    return folder


def call(*words):
    return main([str(word) for word in words])


def expected(folder, name):
    flow, params = flowjax.load_flow(folder / name)
    return flow, params, np.asarray(flow.forward(params, ROWS)[0])


@pytest.mark.parametrize("name", ["whole", "part"])
@pytest.mark.parametrize("suffix", [".npy", ".parquet", ".safetensors"])
def test_forward_and_inverse_in_every_format(name, suffix, folder, tmp_path, capsys):
    flow, params, z = expected(folder, name)
    out, back = tmp_path / f"z{suffix}", tmp_path / f"back{suffix}"
    assert call("transform", folder / name, folder / "x.npy", "--out", out) == 0
    assert f"500 x {z.shape[1]} float32: {out}" in capsys.readouterr().out
    np.testing.assert_allclose(open_rows(out), z, atol=1e-5)
    assert call("transform", folder / name, out, "--inverse", "--out", back) == 0
    np.testing.assert_allclose(open_rows(back), flow.inverse(params, z)[0], atol=1e-4)
    if name == "whole":
        np.testing.assert_allclose(open_rows(back), ROWS, atol=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([out.name, back.name])


def test_unit_length_and_overwrite(folder, tmp_path, capsys):
    words = ["transform", folder / "whole", folder / "x.npy", "--out", tmp_path / "z.npy"]
    assert call(*words) == 0
    before = (tmp_path / "z.npy").read_bytes()
    assert call(*words, "--normalize") == 2
    assert (tmp_path / "z.npy").read_bytes() == before
    assert call(*words, "--normalize", "--overwrite") == 0
    np.testing.assert_allclose(np.linalg.norm(np.load(tmp_path / "z.npy"), axis=1), 1, rtol=1e-5)
    assert call(*words, "--normalize", "--inverse", "--overwrite") == 2
    assert "--normalize: expected none with --inverse" in capsys.readouterr().err


def test_a_parquet_file_keeps_its_sentences(folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    texts = [f"Sentence\n{i}" for i in range(500)]
    table = {"sentence": texts, "id": list(range(500)), "v": [row.tolist() for row in ROWS]}
    parquet.write_table(pyarrow.table(table), tmp_path / "x.parquet")
    out = tmp_path / "z.parquet"
    assert call("transform", folder / "whole", tmp_path / "x.parquet", "--out", out) == 0
    assert parquet.read_table(out).column("sentence").to_pylist() == texts
    np.testing.assert_allclose(open_rows(out), expected(folder, "whole")[2], atol=1e-5)


def wrong(folder):
    nan = np.where(np.arange(1500).reshape(500, 3) == 14, np.nan, ROWS)
    return {
        "wide": (ROWS[:, [0, 1, 2, 0]], r"expected (n, 3) for"),
        "flat": (ROWS[:, 0], "expected rows of shape (n, d), got (500,)"),
        "nan": (nan, "got nan at row 4, column 2"),
        "none": (ROWS[:0], "expected rows of shape (n, d), got (0, 3)"),
        "complex": (ROWS.astype(complex), "expected real numbers, got dtype complex128"),
        "objects": (ROWS.astype(object), "got: an array of Python objects"),
        "text": (ROWS.astype(str), "expected real numbers, got dtype <U"),
        "bools": (ROWS > 0, "expected real numbers, got dtype bool"),
    }


@pytest.mark.parametrize("kind", wrong(None))
def test_wrong_arrays_are_one_line_and_leave_nothing(kind, folder, tmp_path, capsys):
    rows, message = wrong(folder)[kind]
    np.save(tmp_path / "x.npy", rows, allow_pickle=True)
    for command, *rest in (["transform", "--out", tmp_path / "z.npy"], ["score"]):
        assert call(command, folder / "whole", tmp_path / "x.npy", *rest) == 2
        error = capsys.readouterr().err
        assert message in error and "x.npy" in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_wrong_files_are_one_line(folder, tmp_path, capsys):
    (tmp_path / "empty.npy").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.csv").write_text("1,2,3\n")
    out = ["--out", tmp_path / "z.npy"]
    for name, message in {
        "empty.npy": "expected a .npy array",
        "x.csv": "got a file .csv; save the array with numpy.save",
        "none.npy": "got no such file",
        "empty": "got another folder",
    }.items():
        assert call("transform", folder / "whole", tmp_path / name, *out) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert call("transform", tmp_path / "no", folder / "x.npy", *out) == 2
    assert "no: expected a saved flow, got no such folder" in capsys.readouterr().err
    assert call("transform", folder / "part", folder / "x.npy", *out, "--inverse") == 2
    assert "expected (n, 2) for" in capsys.readouterr().err
    context = np.ones((500, 1), np.float32)
    flow = flows.realnvp(3, depth=2, width=4)
    params = flow.init(jax.random.key(0), ROWS, context)
    flowjax.save_flow(tmp_path / "conditional", flow, params)
    assert call("transform", tmp_path / "conditional", folder / "x.npy", *out) == 2
    assert "expected a flow without a context" in capsys.readouterr().err


@pytest.mark.faults
def test_a_killed_transform_resumes_to_the_same_bytes(folder, tmp_path, capsys):
    rows = np.resize(ROWS, (300_000, 3))
    np.save(tmp_path / "x.npy", rows)
    words = ["transform", folder / "whole", tmp_path / "x.npy", "--out"]
    assert call(*words, tmp_path / "whole.npy") == 0
    store = tmp_path / ".z.npy.store"
    command = [sys.executable, "-m", "flowjax", *map(str, words), str(tmp_path / "z.npy")]
    process = subprocess.Popen(command, env={**os.environ, "JAX_PLATFORMS": "cpu"})
    journal, end = store / "journal-0.jsonl", time.monotonic() + 120
    while not (journal.exists() and journal.stat().st_size) and time.monotonic() < end:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert store.exists() and not (tmp_path / "z.npy").exists()
    written = journal.stat().st_size
    np.save(tmp_path / "y.npy", rows + 1)
    other = ["transform", folder / "whole", tmp_path / "y.npy", "--out", tmp_path / "z.npy"]
    assert call(*other) == 2
    assert "an interrupted job with --out" in capsys.readouterr().err
    assert journal.stat().st_size == written
    assert call(*words, tmp_path / "z.npy") == 0
    assert (tmp_path / "z.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert not store.exists()


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    """Model folder of a whitening of `minibert`, and an array of its plain vectors."""
    folder = tmp_path_factory.mktemp("sentences")
    model = flowjax.BertFlow(flow="whitening")
    texts = [f"Sentence {i} about the {'harbour' if i % 3 else 'old town'}." for i in range(300)]
    model.fit(texts)
    model.save(folder / "model")
    plain = model.encoder.encode(texts[:40])
    np.save(folder / "x.npy", plain)
    return folder, model, plain


def test_arrays_of_a_sentence_model(sentences, tmp_path, capsys):
    folder, model, plain = sentences
    out, run = tmp_path / "z.npy", folder / "model"
    assert call("transform", run, folder / "x.npy", "--out", out) == 0
    np.testing.assert_allclose(np.load(out), model.transform(plain), atol=1e-5)
    np.testing.assert_allclose(model.inverse_transform(np.load(out)), plain, atol=1e-3)
    capsys.readouterr()
    assert call("score", run, folder / "x.npy", "--json", "--bottom", 3) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    flow, params = flowjax.load_flow(run)
    scores = np.asarray(flow.log_prob(params, plain))
    assert [line["row"] for line in found] == np.argsort(scores)[:3].tolist()
    np.testing.assert_allclose(
        [line["log_prob"] for line in found], np.sort(scores)[:3], rtol=1e-4
    )
    assert call("sample", run, "--n", 4, "--seed", 5, "--out", tmp_path / "s.parquet") == 0
    np.testing.assert_allclose(
        open_rows(tmp_path / "s.parquet"), model.sample_vectors(4, seed=5), rtol=1e-4, atol=1e-4
    )


def test_score_reads_sentences_or_vectors_of_a_parquet_file(sentences, tmp_path, capsys):
    folder, _, plain = sentences
    file = tmp_path / "x.parquet"
    texts = [f"Sentence {i}." for i in range(40)]
    from flowjax.data.vectors import write_vectors

    write_vectors(file, plain, texts)
    assert call("score", folder / "model", file, "--json", "--top", 1) == 0
    assert "sentence" in json.loads(capsys.readouterr().out)
    assert (
        call("score", folder / "model", file, "--column", "embedding", "--json", "--top", 1) == 0
    )
    assert "row" in json.loads(capsys.readouterr().out)
    write_vectors(file, plain)
    assert call("score", folder / "model", file, "--json", "--top", 1) == 0
    assert "row" in json.loads(capsys.readouterr().out)
