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
# # Your own sentences
#
# You will see all steps from a file of sentences to calibrated vectors: fit a flow, compare
# nearest neighbours, measure the agreement with labelled pairs, list the sentences with the lowest
# density, save, and load. The notebook runs on the embedded sample: 1,495 sentences of news
# articles and textbooks. To use your own file, change the next cell. It should have at least a few
# hundred sentences; with fewer, use `flow="whitening"` with `flow_options={"shrinkage": "auto"}`.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import numpy as np

import flowjax
from flowjax import plots
from flowjax.compare import compare
from flowjax.data.sample import pairs_file, sentences_file
from flowjax.data.sentences import read_sentences
from flowjax.evaluation import load_pairs

# %%
file = sentences_file()  # .txt with one sentence per line, .jsonl, .csv, .tsv or .parquet
pairs = load_pairs(pairs_file())  # labelled pairs: score, sentence1, sentence2
query = "She could not sleep because of the noise."

# %% [markdown]
# `whitening_glow` starts as a Gaussian with the mean and covariance of the vectors. One tenth of
# the sentences is held out, and the parameters with the best validation are kept. The loss is in
# bits per dimension of a continuous density, so it can be negative.

# %%
model = flowjax.BertFlow("minibert", pooling="first_last", flow="whitening_glow")
result = model.fit(file, epochs=8, validation=0.1, patience=5)
print(f"{model.fitted_on['sentences']} sentences, {result.steps} steps")
plots.loss_curves(result.metrics, keys=["bits_per_dim", "validation_bits_per_dim"])

# %% [markdown]
# Nearest neighbours by cosine, for plain and for calibrated vectors. The flow centres the vectors
# and equalises their variances, so the cosines of the calibrated vectors are closer to zero. A
# smaller cosine does not mean a better neighbour. Read both lists.

# %%
sentences = read_sentences(file)[0]
texts = [query, *sentences]
plain = model.encoder.encode(texts)
vectors = model.transform(plain)
found = plots.nearest_neighbours(texts, {"plain": plain, "flow": vectors}, [0], k=5)[0]
for name in ("plain", "flow"):
    print(name)
    for sentence, cosine in found[name]:
        print(f"  {cosine:5.2f}  {sentence}")

# %% [markdown]
# A few neighbours do not show which vectors are better. Labelled pairs do: the table has
# Spearman's correlation (x 100) of cosine similarity with the scores of the pairs. Calibration
# does not help every encoder and every text, and a flow can fit the density well without any gain
# in similarity. If the plain vectors or a closed form have the largest value on pairs from your
# own domain, use them.

# %%
scores = compare(model, [pairs])["results"][pairs.name]["test"]
for name, score in scores.items():
    print(f"{name:<15} {score['spearman']:6.2f}")
print("largest:", max(scores, key=lambda name: scores[name]["spearman"]))

# %% [markdown]
# The flow is a density. These sentences have the lowest log-density, in nats: few of the other
# sentences have similar vectors.

# %%
densities = model.log_prob(sentences)
for i in np.argsort(densities)[:3]:
    print(f"{densities[i]:8.1f}  {sentences[i]}")

# %% [markdown]
# The folder of a saved model contains everything that is needed to encode.

# %%
with tempfile.TemporaryDirectory() as folder:
    saved = model.save(Path(folder) / "model")
    again = flowjax.BertFlow.load(saved)
    print(sorted(path.name for path in saved.iterdir()))
    print("the same vectors:", bool(np.array_equal(again.encode([query]), model.encode([query]))))
