"""`flowjax search`: exact nearest sentences, from text, vectors and stores."""

import json

import numpy as np
import pytest

import flowjax
from flowjax.commands.main import main
from flowjax.encoder import embed
from flowjax.evaluation import nearest as nearest_module
from flowjax.evaluation.nearest import merge_block, nearest, none_found

SENTENCES = [f"A {who} {does} a {what}." for who in ("man", "dog", "girl", "nurse")
             for does in ("sees", "paints", "sells") for what in ("house", "guitar")]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Model folder, and the file of its sentences."""
    folder = tmp_path_factory.mktemp("search")
    text = folder / "s.txt"
    text.write_text("\n".join(SENTENCES) + "\n", "utf-8")
    argv = ["fit", "--data", text, "--flow", "standardize", "--out", folder / "run", "--quiet"]
    assert main([str(word) for word in argv]) == 0
    return folder / "run", text


def search(capsys, *argv, code=0):
    capsys.readouterr()
    assert main(["search", *map(str, argv)]) == code
    return capsys.readouterr()


def test_the_progress_has_the_number_of_sentences(run, capsys, monkeypatch):
    totals, track = [], embed.track

    def recorded(label, total, **options):
        totals.append(total)
        return track(label, total, **options)

    monkeypatch.setattr(embed, "track", recorded)
    search(capsys, *run, "A man.")
    assert totals == [1, len(SENTENCES)]  # the query and the corpus


@pytest.mark.parametrize("k", [1, 3, 100])
def test_blocks_agree_with_a_full_sort(k):
    rng = np.random.default_rng(0)
    queries, vectors = rng.normal(size=(4, 5)), rng.normal(size=(37, 5)).round(1)
    vectors[20:25] = vectors[3]  # ties: the first row comes first
    vectors[30] = 0
    found = nearest(queries, [vectors[:1], vectors[1:20], vectors[20:]], k)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
    cosines = queries / np.linalg.norm(queries, axis=1, keepdims=True) @ unit.T
    rows = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    np.testing.assert_allclose(found.cosines, np.take_along_axis(cosines, rows, 1), atol=1e-12)
    assert (found.cosines[:, :-1] >= found.cosines[:, 1:]).all()
    for numbers in found.rows.tolist():
        equal = [row for row in numbers if row in (3, *range(20, 25))]
        assert equal == sorted(equal)
    with pytest.raises(ValueError, match="k: expected at least 1"):
        nearest(queries, [], 0)
    with pytest.raises(ValueError, match=r"vectors: expected \(n, 5\)"):
        merge_block(none_found(4), queries, vectors[:, :2], 0, k)
    assert nearest_module.none_found(2).rows.shape == (2, 0)


def test_text_vectors_and_store_agree(run, tmp_path, capsys):
    folder, text = run
    query, model = SENTENCES[7], flowjax.BertFlow.load(folder)
    found = search(capsys, folder, text, query, "--top", 3, "--json").out.splitlines()
    hits = [json.loads(line) for line in found]
    assert hits[0] == {"query": query, "rank": 1, "cosine": pytest.approx(1), "row": 7,
                       "sentence": query}  # fmt: skip
    vectors = model.encode(SENTENCES).astype(np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert [h["row"] for h in hits] == np.argsort(-(unit @ unit[7]))[:3].tolist()
    file = tmp_path / "v.npy"
    assert main(["encode", str(folder), str(text), "--out", str(file)]) == 0
    again = search(capsys, folder, text, query, "--top", 3, "--vectors", file, "--json").out
    assert [json.loads(line)["sentence"] for line in again.splitlines()] == [
        hit["sentence"] for hit in hits
    ]
    for corpus in (file, folder / "embeddings"):  # calibrated and plain vectors, without text
        lines = search(capsys, folder, corpus, query, "--top", 3).out.splitlines()
        assert [int(line.split("\t")[1]) for line in lines] == [hit["row"] for hit in hits]


def test_several_queries_name_the_query_first(run, tmp_path, capsys):
    folder, text = run
    more = tmp_path / "q.txt"
    more.write_text("A dog.\n\nA guitar.\n", "utf-8")
    lines = search(capsys, folder, text, "A house.", "--queries", more, "--top", 2).out
    queries = [line.split("\t")[0] for line in lines.splitlines()]
    assert queries == [q for q in ("A house.", "A dog.", "A guitar.") for _ in range(2)]


def test_percentiles_have_the_order_of_the_cosines(run, tmp_path, capsys):
    folder, text = run
    query, model = "The cook is tired.", flowjax.BertFlow.load(folder)
    model.recalibrate([f"{s} {i}" for i in range(2) for s in SENTENCES])
    model.save(tmp_path / "m")
    argv = [tmp_path / "m", text, query, "--scale", "percentile"]
    hits = [json.loads(line) for line in search(capsys, *argv, "--json").out.splitlines()]
    ranks = [hit["percentile"] for hit in hits]
    assert ranks == sorted(ranks, reverse=True) and len(set(ranks)) == 10
    wanted = model.null.percentile(np.array([hit["cosine"] for hit in hits]))
    np.testing.assert_allclose(ranks, wanted)
    lines = search(capsys, *argv).out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [f"{rank:.6f}" for rank in ranks]
    assert main(["info", str(tmp_path / "m"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["run"]["cosine_threshold"]
    assert found == {f"{100 * r:g}%": round(model.threshold(r), 4) for r in (0.05, 0.01, 0.001)}
    assert found["5%"] < found["1%"] < found["0.1%"]
    error = search(capsys, folder, text, query, "--scale", "percentile", code=2).err
    assert "null distribution: expected a model with one" in error  # of 24 sentences


def test_errors_are_one_line(run, tmp_path, capsys):
    folder, text = run
    np.save(tmp_path / "few.npy", np.ones((3, 256), np.float32))
    np.save(tmp_path / "wide.npy", np.ones((3, 7), np.float32))
    table = [
        ([text], "query: expected a query or --queries FILE, got none"),
        ([text, "x", "--top", 0], "--top: expected an integer of at least 1, got 0"),
        ([tmp_path / "wide.npy", "x"], "wide.npy: expected vectors (n, 256)"),
        ([text, "x", "--vectors", tmp_path / "few.npy"], "got 3 vectors and more sentences"),
        ([tmp_path / "few.npy", "x", "--column", "a"], "--column: expected a corpus of sentences"),
        ([tmp_path / "none.txt", "x"], "none.txt"),
    ]
    for argv, expected in table:
        error = search(capsys, folder, *argv, code=2).err.splitlines()
        assert len(error) == 1 and expected in error[0], error


def test_blocks_of_any_size_keep_their_row_numbers():
    vectors = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    whole, parts = (
        nearest(vectors[:4], blocks, k=3) for blocks in ([vectors], np.split(vectors, [2, 3, 7]))
    )
    np.testing.assert_array_equal(parts.rows, whole.rows)
