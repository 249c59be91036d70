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
# # Your own vectors
#
# You will see all steps from an array of vectors to calibrated vectors: measure whether
# calibration helps, transform, save, transform a file on the command line, and select the
# calibration for a classifier with scikit-learn. The vectors can come from any model. Here, the
# embedded encoder computes them from the embedded sample, so that the notebook runs offline. After
# the second cell, only the array and the numbers of the documents are used.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline

import flowjax
from flowjax import plots
from flowjax.commands.main import main
from flowjax.data.documents import read_documents
from flowjax.data.sample import sentences_file
from flowjax.evaluation import cosine

# %%
documents = read_documents(sentences_file()).documents
sentences = [sentence for document in documents for sentence in document]
vectors = flowjax.SentenceEncoder.from_pretrained("minibert").encode(sentences)
numbers = np.repeat(np.arange(len(documents)), [len(document) for document in documents])
print(f"{len(documents)} documents, vectors {vectors.shape} {vectors.dtype}")

# %% [markdown]
# `check` needs no labels. If the document of each vector is known, neighbouring sentences of a
# document are pairs with a related meaning: good vectors find the neighbour of a sentence among
# all sentences. The first sentences of the output are the advice. The interval is wide, because
# the sample is small. "Keep the plain vectors" is a useful answer. `flow="whitening"` omits the
# training of a flow, which takes longer.

# %%
print(flowjax.check(array=vectors, documents=numbers, flow="whitening"))

# %% [markdown]
# `FlowTransformer` is a scikit-learn estimator. Its default divides each principal axis by the
# square root of its standard deviation (power 0.5), so that axes with large variances dominate the
# cosine less. `power=1.0` would divide by the standard deviation. The figure shows the cosines of
# random pairs: the calibrated ones lie around zero. This alone does not make them better, see the
# advice above.

# %%
transformer = flowjax.FlowTransformer().fit(vectors)
calibrated = transformer.transform(vectors)
back = transformer.inverse_transform(calibrated)
print(f"largest difference after the inverse: {np.abs(back - vectors).max():.0e}")
rng = np.random.default_rng(0)
first, second = rng.integers(0, len(vectors), (2, 10_000))
cosines = [cosine(x[first], x[second]) for x in (vectors, calibrated)]
print(f"mean cosine of random pairs: plain {cosines[0].mean():.2f}, flow {cosines[1].mean():z.2f}")
plots.pair_cosines({"plain": cosines[0], "flow": cosines[1]}, dim=vectors.shape[1])

# %% [markdown]
# The transformer is also a density. A vector with a low log-density, in nats, differs from the
# vectors of the fit: here, a vector whose coordinates were shuffled.

# %%
strange = rng.permutation(vectors[:1], axis=1)
print(f"lowest of the fit: {transformer.score_samples(vectors).min():.0f} nats")
print(f"shuffled coordinates: {transformer.score_samples(strange)[0]:.0f} nats")

# %% [markdown]
# A saved flow transforms files on the command line:
# `flowjax transform RUN rows.npy --out out.npy`. The file is read in blocks, so it can be larger
# than the memory. The rows of this file are rounded to float16, so that the results differ in the
# third decimal place.

# %%
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    flowjax.save_flow(folder / "run", transformer.flow_, transformer.params_)
    np.save(folder / "rows.npy", vectors.astype(np.float16))
    command = f"transform {folder}/run {folder}/rows.npy --out {folder}/out.npy"
    main(command.split())
    difference = np.abs(np.load(folder / "out.npy") - calibrated).max()
print(f"largest difference of the results: {difference:.3f}")

# %% [markdown]
# With labels for your task, cross-validation selects the calibration. Here, a classifier
# distinguishes sentences of news articles from sentences of textbooks; the sentences of a document
# stay in one fold. `identity` keeps the plain vectors; the first line is the accuracy of a
# classifier that always answers with the more frequent class.

# %%
is_news = numbers < 31  # the first 31 documents of the sample
pipeline = Pipeline(
    [("flow", flowjax.FlowTransformer()), ("classify", LogisticRegression(max_iter=500))]
)
grid = [
    {"flow__flow": ["identity"]},
    {"flow__flow": ["whitening"], "flow__power": [0.25, 0.5, 1.0]},
]
search = GridSearchCV(pipeline, grid, cv=GroupKFold(3))
search.fit(vectors, is_news, groups=numbers)
print(f"{max(is_news.mean(), 1 - is_news.mean()):.1%}  constant")
for options, accuracy in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    print(f"{accuracy:.1%}  {' '.join(map(str, options.values()))}")
print("highest:", *search.best_params_.values())
