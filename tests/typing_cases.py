"""Right and wrong uses of the public interface, which test_typing.py checks with mypy.

`# E: code` marks a line with an error of this code, and `# R: type` a line with a revealed type.
"""

from __future__ import annotations

from typing import reveal_type

import numpy as np

import flowjax
from flowjax import flows

model = flowjax.BertFlow(flow="glow", pooling="mean", max_length="auto", dtype="bfloat16")
encoder = flowjax.SentenceEncoder.from_pretrained("minibert", batch_size=8)
x = np.zeros((4, 6), np.float32)

# Results of encode: shape (d,) for a string and (n, d) for a list.
reveal_type(model.encode("a"))  # R: ndarray[tuple[int], dtype[Any]]
reveal_type(model.encode(["a"]))  # R: ndarray[tuple[int, int], dtype[Any]]
reveal_type(model.encode(x for x in ["a"]))  # R: ndarray[tuple[int, int], dtype[Any]]
reveal_type(encoder.encode(["a"], precision="int8"))  # R: ndarray[tuple[int, int], dtype[Any]]
reveal_type(encoder.encode_query("a"))  # R: ndarray[tuple[int], dtype[Any]]
reveal_type(encoder.encode_document(["a"]))  # R: ndarray[tuple[int, int], dtype[Any]]
model.encode(["a"], convert_to_tensor=True)
model.encode(["a"], convert_to_numpy=False, task_metadata=None)
model.encode(["a"], batchsize=3)  # E: call-overload
model.encode(["a"], precision="int4")  # E: call-overload
model.encode_query("a", promptt="q")  # E: call-overload

# Similarities: a number for two strings, otherwise a matrix.
reveal_type(model.similarity("a", "b"))  # R: floating[Any]
reveal_type(model.similarity(["a", "b"], "c"))  # R: ndarray[tuple[int, int], dtype[Any]]
reveal_type(model.similarity(x, x))  # R: ndarray[tuple[int, int], dtype[Any]]
reveal_type(model.similarity_pairwise(["a"], ["b"]))  # R: ndarray[tuple[int], dtype[Any]]
model.similarity("a", "b", scale="percentile")
model.similarity("a", "b", scale="percent")  # E: call-overload
reveal_type(model.log_prob("a"))  # R: floating[Any]
reveal_type(model.log_prob(["a"]))  # R: ndarray[tuple[Any, ...], dtype[Any]]

# Options of a fit.
reveal_type(model.fit(["a"], epochs=3, validation=0.1, mapping="pmap"))  # R: FitResult
model.fit(["a"], epochz=3)  # E: call-arg
model.fit(["a"], precision="float16")  # E: arg-type
model.fit_vectors(x, steps=10, keep=2)
model.fit_vectors(x, step=10)  # E: call-arg
flowjax.fit(flows.glow(6), x, key=0, steps=10)
flowjax.fit(flows.glow(6), x, key=0, epochz=10)  # E: call-arg
flowjax.check(["a"], pooling="mean", flow="auto")
flowjax.check(["a"], poolling="mean")  # E: call-arg

# Options of encoders, flows and bijectors.
flowjax.BertFlow(flow="glwo")  # E: arg-type
flowjax.BertFlow(pooling="first_lst")  # E: arg-type
flowjax.BertFlow(dtype="float16")  # E: arg-type
flowjax.BertFlow(batchsize=3)  # E: call-arg
flowjax.SentenceEncoder.from_pretrained("minibert", batchsize=3)  # E: call-arg
reveal_type(flows.glow(6, coupling="affine"))  # R: Flow
flows.glow(6, coupling="afine")  # E: arg-type
flows.glow(6, levles=2)  # E: call-arg
flows.iaf(6, transform="spline")
flows.iaf(6, transform="splin")  # E: arg-type
flows.whitening_glow(6, permutation="lu", shrinkage="likelihood")
flows.whitening_glow(6, permutaton="lu")  # E: call-arg
flows.whitening(6, shrinkage="likelyhood")  # E: arg-type
flowjax.bijectors.permutation(mask="hlf")  # E: arg-type
flowjax.bijectors.affine_coupling(scale="tan")  # E: arg-type
flowjax.FlowTransformer(flow="whitening", power=1.0)
flowjax.FlowTransformer(flow="witening")  # E: arg-type

# Names that do not exist.
flowjax.BertFlw()  # E: attr-defined
from flowjax import NotThere  # E: attr-defined

NotThere()
