# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A threshold for near-duplicates
#
# You will see how to choose a threshold on the cosine by its false-positive rate instead of by
# hand, what the rate is on sentences that were not fitted, how many near-duplicates the threshold
# finds, and what to do for text of another source. Everything runs on the embedded encoder and the
# embedded sample of news articles and textbooks.

# %%
# %matplotlib inline
import warnings

import numpy as np

import flowjax
from flowjax import plots
from flowjax.calibration import dropped_words
from flowjax.data.sample import pairs_file, sentences_file
from flowjax.data.sentences import read_sentences
from flowjax.evaluation import load_pairs
from flowjax.evaluation.null import random_pairs

# %% [markdown]
# 1,000 sentences are fitted, the others stay unseen. `fit` also computes the null distribution:
# the cosines of random pairs of sentences.

# %%
texts = list(dict.fromkeys(read_sentences(sentences_file())[0]))
texts = [texts[i] for i in np.random.default_rng(0).permutation(len(texts))]
fitted, unseen = texts[:1000], texts[1000:]
model = flowjax.BertFlow("minibert", flow="whitening", flow_options={"power": 0.5})
model.fit(fitted)
print(f"{len(fitted)} sentences fitted, {len(unseen)} unseen; {model.null.pairs:,} random pairs")

# %% [markdown]
# The threshold of a false-positive rate is the cosine that this fraction of the random pairs
# exceeds. On unseen sentences, the measured rates are near the nominal ones. A rate of 0.1 % is
# about 100 of these pairs, so its measured value is less certain.

# %%
vectors = model.encode(unseen)
cosines, _ = random_pairs(vectors)
for rate in (0.05, 0.01, 0.001):
    threshold = model.threshold(rate)
    measured = np.mean(cosines > threshold)
    print(f"nominal {rate:6.1%}   cosine above {threshold:.3f}   measured {measured:6.2%}")

# %% [markdown]
# Which rate is small enough? A collection of n sentences has n (n - 1) / 2 pairs. If it should
# give about one false alarm in total, the rate is one divided by the number of pairs. This is
# less than any rate that a small sample can measure: here the tail model extends the sample.

# %%
n = len(unseen)
count = n * (n - 1) // 2
threshold = model.threshold(1 / count)
print(
    f"{n} sentences have {count:,} pairs; a rate of {1 / count:.1e} is a cosine of {threshold:.3f}"
)
print(f"unseen pairs above this cosine: {np.sum(cosines > threshold)}")

# %% [markdown]
# Near-duplicates for a test: copies of the unseen sentences without a tenth, a quarter or half of
# their words.

# %%
duplicates = {}
for dropped in (0.1, 0.25, 0.5):
    pairs = dropped_words(unseen, seed=0, rate=dropped)
    duplicates[dropped] = model.similarity_pairwise(pairs.left, pairs.right)
    found = np.mean(duplicates[dropped] > threshold)
    print(f"{dropped:4.0%} of the words dropped: {found:6.1%} of {len(pairs.left)} found")

# %%
plots.pair_cosines({"unseen sentences": (cosines, duplicates[0.25])}, related="near-duplicates")

# %% [markdown]
# The same similarity as a percentile: the fraction of random pairs with a smaller cosine. The
# order of the pairs stays the same, and the number has a meaning that does not depend on the
# encoder.

# %%
first = pairs.left[0]
for other in (pairs.right[0], unseen[1], fitted[0]):
    cosine = model.similarity(first, other)
    percentile = model.similarity(first, other, scale="percentile")
    print(f"cosine {cosine:5.2f}   percentile {percentile:.6f}   {other[:60]}")

# %% [markdown]
# Another source: the short sentences of the labelled pairs. A threshold holds for text like the
# fitted text only. The model compares the log-densities of the new sentences with those of the
# fitted text, and warns.

# %%
labelled = load_pairs(pairs_file()).splits["test"]
(labelled,) = labelled.values()
short = list(dict.fromkeys([*labelled.sentences1, *labelled.sentences2]))
short = [short[i] for i in np.random.default_rng(1).permutation(len(short))]
few, rest = short[:300], short[300:]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model.similarity(few, few, scale="percentile")
print(f"warnings: {len(caught)}")
print(*(str(warning.message) for warning in caught), sep="\n")

# %% [markdown]
# `recalibrate` computes the null distribution again from a few hundred unlabelled sentences of the
# new source; the vectors stay the same. The measured rates of the other short sentences are then
# nearer to the nominal ones.

# %%
cosines, _ = random_pairs(model.encode(rest))
rates = (0.05, 0.01)
before = [np.mean(cosines > model.threshold(rate)) for rate in rates]
model.recalibrate(few)
after = [np.mean(cosines > model.threshold(rate)) for rate in rates]
for rate, old, new in zip(rates, before, after, strict=True):
    print(f"nominal {rate:5.1%}   before {old:6.2%}   after recalibrate {new:6.2%}")
