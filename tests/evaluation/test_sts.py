"""Similarity tasks: scores against an independent computation within 1e-6."""

import numpy as np
import pytest
import scipy.stats

from flowjax.evaluation import (
    Lookup,
    Pairs,
    PairTask,
    evaluate_task,
    evaluate_vectors,
    load_task,
    score_pairs,
)


def hash_vectors(sentences, dim=24):
    """Returns sums of random letter-trigram vectors, as a toy encoder that depends on spelling."""
    table = np.random.default_rng(0).normal(size=(4096, dim)) + 0.4
    codes = ([hash_code(s[i : i + 3]) for i in range(max(1, len(s) - 2))] for s in sentences)
    return np.array([table[c].sum(axis=0) for c in codes])


def hash_code(text):
    return sum(ord(c) * 31**i for i, c in enumerate(text)) % 4096


def by_hand(u, v, gold):
    cosines = [
        float(a @ b) / float(np.sqrt(a @ a) * np.sqrt(b @ b)) for a, b in zip(u, v, strict=True)
    ]
    rho = scipy.stats.spearmanr(cosines, gold)[0]
    return cosines, 100 * rho, 100 * np.corrcoef(cosines, gold)[0, 1]


def toy(rng, sizes, grouped):
    words = [f"w{i} {'abcdefgh'[i % 8] * (i % 5 + 1)}" for i in range(60)]
    subsets = {}
    for k, n in enumerate(sizes):
        a, b = (tuple(rng.choice(words, n)) for _ in range(2))
        subsets[f"part{k}"] = Pairs(a, b, rng.integers(0, 6, n).astype(float))
    return PairTask("toy", {"test": subsets}, grouped=grouped)


def test_score_pairs_equals_the_independent_computation(rng):
    u, v = rng.normal(size=(2, 200, 16)) + 0.5
    gold = rng.integers(0, 11, 200) / 2
    _, rho, r = by_hand(u, v, gold)
    scores = score_pairs(u.astype(np.float32), v.astype(np.float32), gold)
    assert scores["pairs"] == 200
    exact = score_pairs(u, v, gold)
    assert exact["spearman"] == pytest.approx(rho, abs=1e-6)
    assert exact["pearson"] == pytest.approx(r, abs=1e-6)
    assert scores["pearson"] == pytest.approx(r, abs=1e-3)


def test_scores_ignore_each_rows_length_and_the_scale_of_gold(rng):
    u, v = rng.normal(size=(2, 80, 8))
    gold = rng.random(80)
    lengths = rng.uniform(0.01, 100, size=(80, 1))
    plain, scaled = score_pairs(u, v, gold), score_pairs(u * lengths, v / lengths, 3 * gold + 1)
    assert plain == pytest.approx(scaled, abs=1e-9)


def test_grouped_task_all_mean_wmean(rng):
    task = toy(rng, (30, 12, 50), grouped=True)
    result = evaluate_task(task, hash_vectors)["test"]
    assert list(result) == ["all", "mean", "wmean", "subsets"]
    cosines, golds, rhos, rs, sizes = [], [], [], [], []
    for name, pairs in task.splits["test"].items():
        c, _, r = by_hand(
            hash_vectors(pairs.sentences1), hash_vectors(pairs.sentences2), pairs.gold
        )
        # Spearman depends on exact ties of equal sentences, so compare on `cosine` as well.
        assert result["subsets"][name]["pearson"] == pytest.approx(r, abs=1e-6)
        c = np.round(c, 12)
        rhos.append(100 * scipy.stats.spearmanr(c, pairs.gold)[0])
        assert result["subsets"][name]["spearman"] == pytest.approx(rhos[-1], abs=1e-6)
        assert result["subsets"][name]["pairs"] == len(pairs)
        cosines += list(c)
        golds += list(pairs.gold)
        rs.append(r)
        sizes.append(len(pairs))
    pooled = 100 * scipy.stats.spearmanr(cosines, golds)[0]
    assert result["all"]["spearman"] == pytest.approx(pooled, abs=1e-6)
    assert result["mean"]["spearman"] == pytest.approx(sum(rhos) / 3, abs=1e-6)
    weighted = sum(n * x for n, x in zip(sizes, rhos, strict=True)) / sum(sizes)
    assert result["wmean"]["spearman"] == pytest.approx(weighted, abs=1e-6)
    assert result["mean"]["pearson"] == pytest.approx(sum(rs) / 3, abs=1e-6)
    assert {result[key]["pairs"] for key in ("all", "mean", "wmean")} == {sum(sizes)}


def test_aggregations_differ_for_subsets_with_offsets():
    # The order is perfect in each subset, but the offsets of the subsets change the pooled order.
    angle = np.array([0.1, 0.2, 0.3, 1.0, 1.1, 1.2])
    table = {f"s{i}": np.array([np.cos(a), np.sin(a)]) for i, a in enumerate(angle)} | {
        "o": np.array([1.0, 0.0])
    }
    parts = {
        "near": Pairs(("o",) * 3, ("s0", "s1", "s2"), [2.0, 1.0, 0.0]),
        "far": Pairs(("o",) * 3, ("s3", "s4", "s5"), [5.0, 4.0, 3.0]),
    }
    task = PairTask("t", {"test": parts}, grouped=True)
    result = evaluate_task(task, lambda s: np.array([table[x] for x in s]))["test"]
    assert result["mean"]["spearman"] == result["wmean"]["spearman"] == pytest.approx(100.0)
    assert result["all"]["spearman"] < 0


def test_each_distinct_sentence_is_encoded_once(rng):
    task = toy(rng, (40, 40), grouped=True)
    seen = []

    def encode(sentences):
        seen.extend(sentences)
        return hash_vectors(sentences)

    direct = evaluate_task(task, encode)
    assert len(seen) == len(set(seen)) == len(task.sentences(unique=True))
    again = evaluate_vectors(task, seen[::-1], hash_vectors(seen[::-1]))
    assert direct == again


def test_layouts_of_single_and_auc_tasks():
    pairs = Pairs(("a", "b", "c"), ("b", "c", "d"), [1.0, 0.0, 1.0])
    vectors = np.array([[1, 0], [1, 1], [0, 1], [1, 3]], float)
    graded = Pairs(pairs.sentences1, pairs.sentences2, [5.0, 0.0, 1.0])
    single = PairTask("stsb", {"dev": {"stsb": graded}, "test": {"stsb": graded}})
    result = evaluate_task(single, lambda s: vectors, splits=["dev"])
    assert list(result) == ["dev"]
    assert set(result["dev"]) == {"pairs", "spearman", "pearson"}
    auc = PairTask("qnli", {"dev": {"qnli": pairs}}, metric="auc")
    assert set(evaluate_task(auc, lambda s: vectors)["dev"]) == {"pairs", "auc"}


def test_errors_name_task_split_and_subset():
    pairs = Pairs(("a", "b"), ("b", "a"), [1.0, 1.0])
    vectors = np.array([[1.0, 0.0], [1.0, 1.0]])
    task = PairTask("sts12", {"test": {"MSRvid": pairs}}, grouped=True)
    with pytest.raises(
        ValueError, match="sts12 test: subset MSRvid: similarity: expected numbers"
    ):
        evaluate_task(task, lambda s: vectors)
    with pytest.raises(ValueError, match="vectors: expected 2 rows like sentences, got 3"):
        evaluate_task(task, lambda s: np.ones((3, 2)))
    with pytest.raises(ValueError, match="got none for 'z'"):
        Lookup(["a", "b"], vectors).cosines(Pairs(("a",), ("z",), [1.0]))


def test_pairs_must_match():
    with pytest.raises(ValueError, match=r"expected 2 second sentences .* got 1 and \(2,\)"):
        Pairs(("a", "b"), ("c",), [1.0, 2.0])
    with pytest.raises(ValueError, match="gold: expected finite"):
        Pairs(("a",), ("c",), [np.nan])


@pytest.mark.parametrize("name", ["stsb", "sts14"])
def test_real_task_against_scipy(real_data, name):
    task = load_task(name, real_data)
    result = evaluate_task(task, hash_vectors, splits=["test"])["test"]
    result = result["all"] if task.grouped else result
    pairs = task.pairs("test")
    u, v = hash_vectors(pairs.sentences1), hash_vectors(pairs.sentences2)
    cosines, _, r = by_hand(u, v, pairs.gold)
    rho = 100 * scipy.stats.spearmanr(np.round(cosines, 13), pairs.gold)[0]
    assert result["spearman"] == pytest.approx(rho, abs=1e-6)
    assert result["pearson"] == pytest.approx(r, abs=1e-6)
    assert result["pairs"] == len(pairs)
