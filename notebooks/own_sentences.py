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
# You will see the whole way from a file of sentences to calibrated vectors: fit, look up what is
# nearest, find the sentences that fit the collection least, save, and load again. As it stands it
# runs on the embedded sample of some 3,500 sentences; put your own file in the next cell. A few
# hundred sentences are the least; with fewer, take `flow="whitening"` with
# `flow_options={"shrinkage": "auto"}`.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import numpy as np

import flowjax
from flowjax import plots
from flowjax.data.sample import sentences_file

# %%
file = sentences_file()  # .txt with a sentence a line, .jsonl, .csv, .tsv or .parquet
query = "She could not sleep because of the noise."

# %% [markdown]
# The loss is in bits per dimension of a continuous density; it may well be below zero.

# %%
model = flowjax.BertFlow("minibert", pooling="first_last", flow="glow")
result = model.fit(file, epochs=4)
print(f"{model.fitted_on['sentences']} sentences, {result.steps} steps")
plots.loss_curves(result.metrics, keys=["bits_per_dim"])

# %% [markdown]
# Nearest neighbours by cosine, plain and calibrated. Plain cosines are all high and close
# together; the calibrated ones tell near from far.

# %%
sentences = file.read_text("utf-8").splitlines()
texts = [query, *sentences]
plain = model.encoder.encode(texts)
vectors = model.transform(plain)
found = plots.nearest_neighbours(texts, plain, vectors, [0], k=5)[0]
for name in ("plain", "flow"):
    print(name)
    for sentence, cosine in found[name]:
        print(f"  {cosine:5.2f}  {sentence}")

# %% [markdown]
# The flow is a density, so it also says which sentences it finds unlikely.

# %%
scores = model.log_prob(sentences)
for i in np.argsort(scores)[:3]:
    print(f"{scores[i]:8.1f}  {sentences[i]}")

# %% [markdown]
# A saved model is a folder with everything that is needed to encode.

# %%
with tempfile.TemporaryDirectory() as folder:
    saved = model.save(Path(folder) / "model")
    again = flowjax.BertFlow.load(saved)
    print(sorted(path.name for path in saved.iterdir()))
    print("the same vectors:", bool(np.array_equal(again.encode([query]), model.encode([query]))))
