"""Fits of a flow on the vectors of an encoder, with and without selection."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import numpy as np

from flowjax import flows
from flowjax.bijectors.moments import Moments
from flowjax.calibration.candidates import (
    CLOSED_FORMS,
    Candidate,
    closed_form,
    closed_form_candidates,
    flow_candidates,
    transformed,
)
from flowjax.calibration.held import Held, rest_of
from flowjax.calibration.pairs import Pairs
from flowjax.calibration.select import (
    FLOW_POWERS,
    LEAST_SENTENCES,
    POWERS,
    PairVectors,
    Selection,
    pairs_of,
    select,
)
from flowjax.data.arrays import ArraySource
from flowjax.encoder.adapter import EncoderAdapter
from flowjax.encoder.embed import SentenceEncoder
from flowjax.errors import check_choice, warn
from flowjax.fitting.fit import fit
from flowjax.fitting.likelihood import measure
from flowjax.fitting.options import batch_size_for
from flowjax.fitting.passes import moments_of_rows
from flowjax.fitting.result import FitResult
from flowjax.parallel import processes
from flowjax.parallel.devices import check_batch, make_mesh
from flowjax.training.optimizers import default_optimizer
from flowjax.types import Flow, FlowjaxError, Params, trainable_mask

# Name of the flow that is selected, and the recipe that it trains.
AUTO: Final = "auto"
AUTO_RECIPE: Final = "glow"
# Sentences per training step.
BATCH_SIZE = 64


class Fitted(NamedTuple):
    """Flow fitted on vectors.

    Attributes:
        flow: the flow.
        params: params of the flow.
        moments: moments of the vectors.
        result: result of the fit, with these params.
        facts: facts about the fit for the model card.
    """

    flow: Flow
    params: Params
    moments: Moments
    result: FitResult
    facts: dict[str, Any]


def recipe_named(flow: str, options: Mapping[str, Any] | None) -> str:
    """Returns the name of the recipe that a model with the flow `flow` trains.

    Args:
        flow: name of a recipe, or "auto".
        options: options of the recipe.

    Raises:
        FlowjaxError: The name is unknown, or the options of "auto" contain what is selected.

    Example:
        >>> recipe_named("auto", None), recipe_named("whitening", None)
        ('glow', 'whitening')
    """
    check_choice("flow", flow, [AUTO, *flows.RECIPES])
    if flow == AUTO and "latent_power" in (options or {}):
        raise FlowjaxError(
            f"flow_options: expected no latent_power for the flow {AUTO}, which selects it, got "
            f"one; use flow={AUTO_RECIPE!r}"
        )
    return AUTO_RECIPE if flow == AUTO else flow


def fit_options(
    out: str | Path | None,
    *,
    batch_size: int | None,
    learning_rate: float | None,
    weight_decay: float | None,
    clip_norm: float | None,
    **options: Any,
) -> dict[str, Any]:
    """Returns keyword arguments of `flowjax.fit` with the defaults for sentences.

    Args:
        out: run folder of the checkpoints, or None.
        batch_size: number of sentences per step; None means 64, or the next multiple of the
            devices and micro-batches.
        learning_rate: learning rate of Adam; None means 1e-3.
        weight_decay: weight decay of AdamW; None means 0.
        clip_norm: largest global gradient norm; None means no limit.
        **options: other keyword arguments of `flowjax.fit`.
    """
    rate = 1e-3 if learning_rate is None else learning_rate
    adam = default_optimizer(rate, weight_decay=weight_decay or 0.0, clip_norm=clip_norm)
    options.setdefault("optimizer", adam)
    if out is not None:
        options.setdefault("checkpoint_dir", Path(out) / "checkpoints")
    if batch_size is None:
        mesh = make_mesh(options.get("devices"))
        batch_size = batch_size_for(mesh.size, options.get("accumulate", 1), BATCH_SIZE)
    return options | {"batch_size": batch_size}


def fit_rows(
    encoder: SentenceEncoder | EncoderAdapter,
    flow: Flow,
    vectors: np.ndarray,
    *,
    context: np.ndarray | None = None,
    weights: Any = None,
    seed: int,
    **options: Any,
) -> Fitted:
    """Fits a flow on plain vectors of an encoder, shape (n, dim).

    Args:
        encoder: encoder of the vectors.
        flow: flow to fit.
        vectors: plain vectors, shape (n, dim).
        context: conditioning vectors, shape (n, width), or None.
        weights: weights of the vectors, shape (n,), or None.
        seed: integer seed of the fit.
        **options: keyword arguments of `flowjax.fit`.

    Raises:
        FlowjaxError: The vectors have another dimension than the flow, or an option is wrong.
    """
    source = ArraySource(vectors, context, weights=weights, name="embeddings")
    if source.dim != flow.dim:
        raise FlowjaxError(
            f"embeddings: expected (n, {flow.dim}) from encoder {encoder.name}, got "
            f"({source.size}, {source.dim})"
        )
    moments = moments_of_rows(source)
    result = fit(flow, source, key=seed, **options)
    return Fitted(
        flow, result.params, moments, result, {"steps": result.steps, **result.likelihood}
    )


def fit_selected(
    encoder: SentenceEncoder | EncoderAdapter,
    flow: Flow,
    vectors: np.ndarray,
    held: Held,
    *,
    context: Any = None,
    weights: Any = None,
    seed: int,
    **options: Any,
) -> Fitted:
    """Fits a flow, and selects among plain vectors, closed forms and this flow.

    The flow and the closed forms are fitted on the vectors that are not held out. Pairs of texts
    made from the held-out sentences select the transformation and its power, see `select`.

    Args:
        encoder: encoder of the vectors, which embeds the pairs.
        flow: flow to fit.
        vectors: plain vectors of all sentences, shape (n, dim).
        held: held-out sentences.
        context: must be None.
        weights: weights of the vectors, shape (n,), or None.
        seed: integer seed of the fit, the pairs and the bootstrap.
        **options: keyword arguments of `flowjax.fit`.

    Returns:
        The selected flow. Its facts have an entry "selection".
    """
    if context is not None:
        raise FlowjaxError(
            "context: expected None for a selection, got an array; use select=False"
        )
    pairs = pairs_of(held.sentences, seed) if held.distinct >= LEAST_SENTENCES else []
    if not pairs:
        mesh = make_mesh(options.get("devices"))  # the same errors as in a fit
        check_batch(options.get("batch_size") or mesh.size, mesh, options.get("accumulate", 1))
        return _plain(vectors, weights, held)
    plain = _vectors_of(pairs, encoder, vectors, held)
    rows = rest_of(vectors, held)
    if weights is not None:
        weights = rest_of(np.asarray(weights), held) if len(rows) < len(vectors) else weights
    with warnings.catch_warnings():  # the selection judges the flow by its cosine similarities
        warnings.filterwarnings("ignore", ".*expected a better density than a Gaussian")
        fitted = fit_rows(encoder, flow, rows, weights=weights, seed=seed, **options)
    found, candidate = choose(candidates_of(fitted), plain, seed)
    trained = candidate.flow.name == flow.name and _is_trained(fitted)
    result, facts = fitted.result, fitted.facts
    params = candidate.params
    if not trained:
        source = ArraySource(rows, weights=weights, name="embeddings")
        likelihood = measure(candidate.flow, params, source) if result.likelihood else {}
        result = FitResult(params, result.metrics, result.steps, likelihood)
        facts = {"steps": 0, **likelihood}
    else:
        result = FitResult(params, result.metrics, result.steps, result.likelihood)
    selection = {"pooling": encoder.pooling, **found.facts()}
    return Fitted(
        candidate.flow, params, fitted.moments, result, {**facts, "selection": selection}
    )


def _vectors_of(
    pairs: list[Pairs],
    encoder: SentenceEncoder | EncoderAdapter,
    vectors: np.ndarray,
    held: Held,
) -> dict[str, PairVectors]:
    """Returns the plain vectors of the pairs by kind; embeds each new text once."""
    known = dict(zip(held.sentences, vectors[held.first], strict=True))
    texts = [text for both in pairs for text in (*both.left, *both.right) if text not in known]
    texts = list(dict.fromkeys(texts))
    known |= dict(zip(texts, encoder.embed(texts), strict=True))
    return {
        kind: (np.stack([known[t] for t in left]), np.stack([known[t] for t in right]))
        for kind, left, right in pairs
    }


def candidates_of(fitted: Fitted) -> list[Candidate]:
    """Returns the candidates of a fit: plain vectors, closed forms and the fitted flow.

    A fitted closed form with its default options adds none, because the closed forms are
    candidates already.
    """
    found = closed_form_candidates(fitted.moments, POWERS)
    name, options = fitted.flow.recipe
    if name in CLOSED_FORMS and options == flows.make(name, fitted.flow.dim).recipe.options:
        return found
    own = flow_candidates(fitted.flow, fitted.params, FLOW_POWERS)
    names = {candidate.name for candidate in own}
    return [*(one for one in found if one.name not in names), *own]


def choose(
    candidates: list[Candidate], plain: dict[str, PairVectors], seed: int
) -> tuple[Selection, Candidate]:
    """Returns the selection and the chosen candidate, the same on all processes of a job.

    Args:
        candidates: the candidates, plain vectors first.
        plain: plain vectors of the two texts of each pair, by kind.
        seed: integer seed of the bootstrap.
    """
    flat = [part for both in plain.values() for part in both]
    vectors = (
        (candidate.name, dict(zip(plain, zip(parts[::2], parts[1::2], strict=True), strict=True)))
        for candidate, parts in transformed(candidates, flat)
    )
    found = select(vectors, seed=seed)
    names = [candidate.name for candidate in candidates]
    # Processes on different hardware can differ by rounding errors; process 0 decides.
    index = int(processes.gather([names.index(found.name)])[0, 0])
    return found, candidates[index]


def _plain(vectors: np.ndarray, weights: Any, held: Held) -> Fitted:
    """Returns the identity, for sentences from which nothing can be selected."""
    source = ArraySource(vectors, weights=weights, name="embeddings")
    moments = moments_of_rows(source)
    flow, params = closed_form("identity", moments, gaussian=True)
    likelihood = measure(flow, params, source)
    few = held.distinct < LEAST_SENTENCES
    text = (
        f"keep the plain vectors: a selection needs {LEAST_SENTENCES} different sentences and "
        "some of 8 words, got "
        + (f"{held.distinct} different sentences" if few else "too few of 8 words")
        + "; name a flow, such as flow='whitening', to fit it anyway"
    )
    if processes.is_first():
        warn(f"flow: {text}")
    facts = {"steps": 0, **likelihood, "selection": {"name": "plain", "advice": text}}
    return Fitted(flow, params, moments, FitResult(params, [], 0, likelihood), facts)


def _is_trained(fitted: Fitted) -> bool:
    return any(jax.tree.leaves(trainable_mask(fitted.params)))
