"""Right and wrong uses of the public interface, which `mypy` checks with the package.

A wrong use must have the error of its comment: mypy reports an unused comment as an error.
"""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np

import flowjax
from flowjax import flows
from flowjax.encoder.encode_options import Vector, Vectors
from flowjax.fitting.result import FitResult
from flowjax.types import Flow

model = flowjax.BertFlow(flow="glow", pooling="mean", max_length="auto", dtype="bfloat16")
encoder = flowjax.SentenceEncoder.from_pretrained("minibert", batch_size=8)
x = np.zeros((4, 6), np.float32)

# Results of encode: shape (d,) for a string and (n, d) for a list.
assert_type(model.encode("a"), Vector)
assert_type(model.encode(["a"]), Vectors)
assert_type(model.encode(x for x in ["a"]), Vectors)
assert_type(encoder.encode(["a"], precision="int8"), Vectors)
assert_type(encoder.encode_query("a"), Vector)
assert_type(encoder.encode_document(["a"]), Vectors)
model.encode(["a"], convert_to_tensor=True)
model.encode(["a"], convert_to_numpy=False, task_metadata=None)
model.encode(["a"], batchsize=3)  # type: ignore[call-overload]
model.encode(["a"], precision="int4")  # type: ignore[call-overload]
model.encode_query("a", promptt="q")  # type: ignore[call-overload]

# Similarities: a number for two strings, otherwise a matrix.
assert_type(model.similarity("a", "b"), np.floating[Any])
assert_type(model.similarity(["a", "b"], "c"), Vectors)
assert_type(model.similarity(x, x), Vectors)
assert_type(model.similarity_pairwise(["a"], ["b"]), Vector)
model.similarity("a", "b", scale="percentile")
model.similarity("a", "b", scale="percent")  # type: ignore[call-overload]
assert_type(model.log_prob("a"), np.floating[Any])
assert_type(model.log_prob(["a"]), np.ndarray)

# Options of a fit.
assert_type(model.fit(["a"], epochs=3, validation=0.1, mapping="pmap"), FitResult)
model.fit(["a"], epochz=3)  # type: ignore[call-arg]
model.fit(["a"], precision="float16")  # type: ignore[arg-type]
model.fit_vectors(x, steps=10, keep=2)
model.fit_vectors(x, step=10)  # type: ignore[call-arg]
flowjax.fit(flows.glow(6), x, key=0, steps=10)
flowjax.fit(flows.glow(6), x, key=0, epochz=10)  # type: ignore[call-arg]
flowjax.check(["a"], pooling="mean", flow="auto")
flowjax.check(["a"], poolling="mean")  # type: ignore[call-arg]

# Options of encoders, flows and bijectors.
flowjax.BertFlow(flow="glwo")  # type: ignore[arg-type]
flowjax.BertFlow(pooling="first_lst")  # type: ignore[arg-type]
flowjax.BertFlow(dtype="float16")  # type: ignore[arg-type]
flowjax.BertFlow(batchsize=3)  # type: ignore[call-arg]
flowjax.SentenceEncoder.from_pretrained("minibert", batchsize=3)  # type: ignore[call-arg]
assert_type(flows.glow(6, coupling="affine"), Flow)
flows.glow(6, coupling="afine")  # type: ignore[arg-type]
flows.glow(6, levles=2)  # type: ignore[call-arg]
flows.iaf(6, transform="spline")
flows.iaf(6, transform="splin")  # type: ignore[arg-type]
flows.whitening_glow(6, permutation="lu", shrinkage="likelihood")
flows.whitening_glow(6, permutaton="lu")  # type: ignore[call-arg]
flows.whitening(6, shrinkage="likelyhood")  # type: ignore[arg-type]
flowjax.bijectors.permutation(mask="hlf")  # type: ignore[arg-type]
flowjax.bijectors.affine_coupling(scale="tan")  # type: ignore[arg-type]
flowjax.FlowTransformer(flow="whitening", power=1.0)
flowjax.FlowTransformer(flow="witening")  # type: ignore[arg-type]

# Names that do not exist.
flowjax.BertFlw()  # type: ignore[attr-defined]
from flowjax import NotThere  # type: ignore[attr-defined]

NotThere()
