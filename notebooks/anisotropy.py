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
# # Anisotropy before and after
#
# You will see that sentence vectors of a frozen BERT lie in a narrow cone: sentences that have
# nothing to do with each other have a cosine far above 0. After the flow the mean cosine of
# random pairs is near 0, IsoScore has more than doubled, and the spectrum of the covariance is
# flatter. The encoder is the embedded `minibert`, the sentences are the embedded sample: nothing
# is downloaded.

# %%
# %matplotlib inline
import numpy as np

import flowjax
from flowjax import plots
from flowjax.data.sample import sentences_file
from flowjax.data.sentences import read_sentences
from flowjax.evaluation import cosine, isotropy_report

# %% [markdown]
# The encoder is frozen: its vectors are computed once, and the flow is fitted on them, unlabelled.

# %%
sentences = read_sentences(sentences_file())[0]
model = flowjax.BertFlow("minibert", flow="glow")
plain = model.encoder.encode(sentences)
model.fit_vectors(plain, epochs=4, batch_size=64)
after = model.transform(plain)

# %% [markdown]
# Two sentences that share no meaning:

# %%
strangers = ["The soup is too salty for me.", "The treaty was signed in the spring."]
pair = model.encoder.encode(strangers)
moved = model.transform(pair)
print(f"plain {cosine(pair[:1], pair[1:])[0]:.2f}, flow {cosine(moved[:1], moved[1:])[0]:.2f}")

# %% [markdown]
# The same for 700 random pairs.

# %%
rng = np.random.default_rng(0)
first, second = rng.permutation(len(sentences))[:1400].reshape(2, -1)
cosines = {n: cosine(x[first], x[second]) for n, x in {"plain": plain, "flow": after}.items()}
plots.pair_cosines(cosines, dim=plain.shape[1])

# %% [markdown]
# Four published numbers. Mean cosine: 0 is isotropic. IsoScore and isotropy score: 1 is.
# Uniformity: the lower, the more even on the sphere.

# %%
reports = {"plain": isotropy_report(plain), "flow": isotropy_report(after)}
for name in ("mean_cosine", "isotropy_score", "isoscore", "uniformity"):
    print(f"{name:<15} {reports['plain'][name]:7.3f} -> {reports['flow'][name]:7.3f}")

# %% [markdown]
# The cone, seen from the side: the horizontal axis is the direction of the mean vector, the
# vertical one the widest direction orthogonal to it. The origin lies outside of the plain cloud,
# and inside of the calibrated one.

# %%
plots.cone({"plain": plain, "flow": after})

# %%
plots.spectrum({"plain": plain, "flow": after})
