"""TFDS builder of vectors."""

import numpy as np
import pytest

tfds = pytest.importorskip("tensorflow_datasets")

from flowjax.data import EmbeddingStore
from flowjax.data.tfds import prepare
from flowjax.errors import FlowjaxError

X = np.random.default_rng(0).normal(size=(21, 5)).astype(np.float32)


def store(folder):
    made = EmbeddingStore(folder, {"encoder": "toy"}, dim=5, block=8)
    rows = iter(X)
    made.fill(
        [str(i) for i in range(len(X))],
        lambda blocks: ((np.stack([next(rows) for _ in block]), {}) for block in blocks),
    )


def npy(folder):
    folder.mkdir()
    np.save(folder / "any.npy", X)


@pytest.mark.parametrize("write", [store, npy])
def test_vectors_in_their_order(tmp_path, write):
    write(tmp_path / "in")
    made = prepare("sentence_vectors", data_dir=tmp_path / "out", manual_dir=tmp_path / "in")
    source = made.as_data_source(split="train")
    np.testing.assert_array_equal(np.stack([row["vector"] for row in source]), X)
    assert source[3]["vector"].dtype == np.float32
    again = tfds.builder_from_directory(made.data_dir).as_data_source(split="train[:10]")
    np.testing.assert_array_equal(np.stack([row["vector"] for row in again]), X[:10])


def test_the_builder_is_registered():
    import flowjax.data.tfds.vectors  # noqa: F401

    assert tfds.builder_cls("sentence_vectors").__name__ == "SentenceVectors"


def write_text(folder):
    folder.mkdir()
    (folder / "x.txt").write_text("A sentence.")


def write_two(folder):
    npy(folder)
    np.save(folder / "other.npy", X)


def write_nan(folder):
    folder.mkdir()
    np.save(folder / "x.npy", np.where(X > 2, np.nan, X))


def write_flat(folder):
    folder.mkdir()
    np.save(folder / "x.npy", X[0])


@pytest.mark.parametrize(
    "write, message",
    [
        (lambda folder: folder.mkdir(), "expected a manual folder .* got none"),
        (write_text, "expected an embedding store or one .* got no such file"),
        (write_two, "got any.npy, other.npy"),
        (write_nan, "expected finite numbers"),
        (write_flat, "expected rows of shape"),
    ],
)
def test_other_folders_are_one_clear_error(tmp_path, write, message):
    write(tmp_path / "in")
    with pytest.raises(FlowjaxError, match=message):
        prepare("sentence_vectors", data_dir=tmp_path / "out", manual_dir=tmp_path / "in")
