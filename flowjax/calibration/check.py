"""`check`: does calibration help on my sentences?"""

from __future__ import annotations

import logging
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from flowjax import flows
from flowjax._version import __version__
from flowjax.calibration.array_inputs import inputs_of_array
from flowjax.calibration.auto import AUTO_RECIPE, Fitted, candidates_of, fit_options
from flowjax.calibration.candidates import Candidate
from flowjax.calibration.checked import Check
from flowjax.calibration.inputs import Inputs, enough, inputs_of_text
from flowjax.calibration.measured import measured
from flowjax.calibration.verdict import verdict
from flowjax.data.arrays import ArraySource
from flowjax.data.documents import read_documents
from flowjax.data.sample import sentences_file
from flowjax.encoder.opened import open_encoder
from flowjax.errors import FlowjaxError, check_choice, check_integer
from flowjax.fitting.fit import fit
from flowjax.fitting.passes import moments_of_rows
from flowjax.flows.choices import FlowName
from flowjax.flows.recipe import options_of
from flowjax.literals import DEFAULT_ENCODER, PoolingOrAuto
from flowjax.types import Flow

logger = logging.getLogger("flowjax")
CLIP_NORM = 1.0
# Names of the pairs in the provenance.
WORDS = {
    "neighbours": "pairs of neighbouring sentences",
    "halves": "pairs of halves of a sentence",
    "dropped_words": "sentences with dropped words",
    "pairs": "given pairs",
}


def check(
    sentences: Any = None,
    encoder: Any = DEFAULT_ENCODER,
    *,
    column: str | None = None,
    array: Any = None,
    neighbours: bool = False,
    documents: Any = None,
    pairs: Sequence[Any] | None = None,
    pooling: PoolingOrAuto = "auto",
    max_length: int | Literal["auto"] = "auto",
    prompt: str = "",
    flow: FlowName | Flow = AUTO_RECIPE,
    steps: int | None = None,
    most: int = 5000,
    seed: int = 0,
    show_progress_bar: bool | None = None,
) -> Check:
    """Measures without labels whether calibration helps on sentences or vectors.

    Plain, centred, standardized and whitened vectors and a flow are fitted on 60 % of the
    documents. Retrieval of related sentences chooses the best calibration on 20 % of them, and
    measures its advantage over plain vectors on the other 20 %. Related are neighbouring
    sentences of a document; without documents, the halves of a sentence, and a sentence with
    dropped words.

    Args:
        sentences: source of text, see `open_source`. Blank lines separate documents; otherwise a
            text of several sentences is a document, see `read_documents`.
        encoder: name, folder, or object with `encode`, see `open_encoder`.
        column: name of the field with the text.
        array: vectors, shape (n, dim), instead of text; an array or a path, see `open_rows`.
        neighbours: True if the rows of `array` are consecutive sentences.
        documents: number of the document of each row of `array`, shape (n,), whose rows are
            consecutive sentences.
        pairs: two arrays of shape (m, dim), whose rows are related pairs; with or without `array`.
        pooling: pooling of an encoder that is given by name.
        max_length: maximum number of tokens of an encoder that is given by name.
        prompt: text in front of every sentence, such as "query: ".
        flow: name of the recipe of the flow, or a `Flow`.
        steps: number of training steps of the flow; None means the default of `BertFlow.fit`.
        most: number of sentences or rows; a random sample of a larger source is used.
        seed: integer seed of the sample, the division, the fit and the bootstrap.
        show_progress_bar: True shows progress bars; None shows them on a terminal only.

    Returns:
        A `Check` with `advice`, `recommended`, `table` and `save(folder)`.

    Raises:
        FlowjaxError: The input cannot be read, has too few different sentences (200) or rows, or
            is not finite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> left = rng.normal(size=(600, 4))
        >>> pair = left * [9, 1, 1, 1], (left + 0.2 * rng.normal(size=(600, 4))) * [9, 1, 1, 1]
        >>> found = check(pairs=pair, flow="whitening")
        >>> found.recommended == "plain"
        False
    """
    check_integer("seed", seed, most=2**32 - 1)
    check_integer("most", most, least=1)
    if sentences is not None and not (array is None and pairs is None):
        raise FlowjaxError("sentences: expected text or vectors, got both")
    if array is None and (neighbours or documents is not None):
        raise FlowjaxError("neighbours, documents: expected an array, got none")
    if isinstance(flow, str):
        flow = AUTO_RECIPE if flow == "auto" else flow
        check_choice("flow", flow, flows.RECIPES)
    about: list[tuple[str, str]]
    if sentences is None:
        logger.info("check: reading vectors")
        inputs = inputs_of_array(
            array,
            neighbours=neighbours,
            documents=documents,
            pairs=pairs,
            most=most,
            seed=seed,
            name=_name(array, "array"),
        )
        kind = "pairs" if array is None else _name(array, "an array")
        about = [("Vectors", f"{kind}, {inputs.fit.shape[1]} dimensions")]
    else:
        found = read_documents(sentences, column, most=most, seed=seed)
        enough(len(found.sentences), found.name, "different sentences")
        model = open_encoder(encoder, pooling, max_length)
        logger.info("check: encoding %d sentences with %s", len(found.sentences), model.name)

        def encode(texts: list[str]) -> np.ndarray:
            return model.encode(texts, prompt=prompt, show_progress_bar=show_progress_bar)

        inputs = inputs_of_text(found, encode, seed)
        length = model.max_length
        about = [
            ("Encoder", f"{model.name}, {model.dim} dimensions"),
            ("Pooling", model.pooling + (f", at most {length} tokens" if length else "")),
            ("Text", "the embedded sample" if found.name == str(sentences_file()) else found.name),
        ]
    fitted = _fit(flow, inputs.fit, seed, steps, show_progress_bar)
    logger.info("check: measuring on %d held-out vectors", len(inputs.held))
    candidates = candidates_of(fitted)
    measures = measured(candidates, inputs, seed)
    counts = {kind: len(left) for kind, (left, _) in inputs.measure.items()}
    decision = verdict(measures.rows, counts)
    best = next(one for one in candidates if one.name == decision.best)
    return Check(
        decision,
        measures,
        inputs,
        best.transform(inputs.held),
        _recipe(best),
        about + _about(inputs, fitted, seed),
    )


def _fit(
    flow: str | Flow, vectors: np.ndarray, seed: int, steps: int | None, bar: bool | None
) -> Fitted:
    """Returns the flow fitted on vectors, with the options of `BertFlow.fit`."""
    source = ArraySource(vectors, name="embeddings")
    if isinstance(flow, str):
        flow = flows.make(flow, source.dim)
    options = fit_options(
        None, batch_size=None, learning_rate=None, weight_decay=None, clip_norm=CLIP_NORM
    )
    logger.info("check: fitting %s on %d vectors", flow.name, source.size)
    # The page has the held-out likelihoods, so they are not measured here.
    result = fit(
        flow, source, key=seed, steps=steps, measured=False, show_progress_bar=bar, **options
    )
    facts = {"steps": result.steps, "batch_size": options["batch_size"]}
    return Fitted(flow, result.params, moments_of_rows(source), result, facts)


def _about(inputs: Inputs, fitted: Fitted, seed: int) -> list[tuple[str, str]]:
    """Returns the provenance of the measurement: data, pairs, fit, seed and versions."""
    parts = [inputs.choose, inputs.measure]
    pairs = "none"
    if inputs.measure:
        counts = [", ".join(f"{len(b[0]):,} {WORDS[k]}" for k, b in p.items()) for p in parts]
        pairs = f"{counts[0]} choose the calibration; {counts[1]} measure it"
    steps = f"{fitted.facts['steps']:,} steps of {fitted.facts['batch_size']}, learning rate 1e-3"
    return [
        ("Data", " ".join(inputs.notes) or f"{len(inputs.fit) + len(inputs.held):,} rows."),
        ("Split", f"fitted on {len(inputs.fit):,} vectors, {len(inputs.held):,} held out"),
        ("Pairs", pairs),
        ("Flow", f"{fitted.flow.name}, {steps}" if fitted.facts["steps"] else fitted.flow.name),
        ("Seed", str(seed)),
        (
            "Versions",
            f"flowjax {__version__}, jax {version('jax')}, numpy {version('numpy')}, "
            f"Python {platform.python_version()}",
        ),
    ]


def _recipe(candidate: Candidate) -> tuple[str, dict[str, Any]]:
    """Returns the recipe of a candidate, and the options that differ from their defaults."""
    name, options = candidate.flow.recipe
    if options is None:  # a composed flow
        return name, {}
    defaults = {key: option.default for key, option in options_of(name).items()}
    changed = {key: value for key, value in options.items() if value != defaults[key]}
    plain = (str, int, float, type(None))
    return name, {k: v if isinstance(v, plain) else repr(v) for k, v in changed.items()}


def _name(data: Any, default: str) -> str:
    return str(data) if isinstance(data, (str, Path)) else default
