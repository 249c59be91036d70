"""Inputs of the reports of `analyze` and `evaluate`, made from a fitted model and its run."""

from __future__ import annotations

import itertools
import platform
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from flowjax._version import __version__
from flowjax.calibration.held import SampledSource
from flowjax.compare import calibrations, describe
from flowjax.config import FitArrayConfig, FitConfig
from flowjax.data.fingerprint import fingerprint
from flowjax.data.sample import sentences_file
from flowjax.data.sentences import read_sentences
from flowjax.data.store import EmbeddingStore
from flowjax.encoder.embed import CHUNK, SentenceEncoder
from flowjax.evaluation import PairTask
from flowjax.fitting.advice import verdict
from flowjax.model import BertFlow
from flowjax.report.inputs import RankedWords, ReportedModel, RunVectors, Seen, TaskVectors

# A larger corpus is not read into memory to count its words.
MAX_SENTENCES = 2_000_000


def reported_model(model: BertFlow, config: FitConfig | None = None) -> ReportedModel:
    """Returns the names, the provenance and the calibrations of a fitted model.

    Args:
        model: fitted model.
        config: config of the run, or None for a model folder.
    """
    encoder, fitted = model.encoder, model.fitted_on
    tokens = f"special tokens {'included' if encoder.special_tokens else 'excluded'}"
    options = "".join(f", {name} {value}" for name, value in model.flow_options.items())
    provenance = [
        ("Encoder", f"{encoder.name}, {encoder.dim} dimensions"),
        ("Pooling", f"{encoder.pooling}, {tokens}, at most {encoder.max_length} tokens"),
        ("Flow", model.flow_name + options),
    ]
    if "sentences" in fitted:  # absent after `fit_vectors`
        provenance.append(("Fitted on", f"{fitted['data']}: {fitted['sentences']:,} sentences"))
    provenance += [("Fit", fit_text(fitted, config)), ("Seed", str(model.seed))]
    if "selection" in fitted:
        provenance.append(("Selection", fitted["selection"]["advice"]))
    if "nll_nats" in fitted:
        provenance.append(("Likelihood", verdict(model.flow_name, fitted)))
    provenance.append(("Versions", versions()))
    names = (encoder.name, encoder.pooling, model.vectors_name)
    return ReportedModel(*names, calibrations(model), provenance, describe(model))


def fit_text(
    fitted: Mapping[str, Any], config: FitConfig | FitArrayConfig | None, unit: str = "sentences"
) -> str:
    """Returns the steps, epochs, batch size and learning rate of a fit.

    Args:
        fitted: facts about the fit, from the model folder.
        config: config of the run, or None for a model folder.
        unit: name of the examples; `fitted` may have their number under this name.

    Example:
        >>> fit_text({"steps": 0}, None)
        'closed form'
        >>> fit_text({"steps": 1000}, None)
        '1,000 steps (a model folder does not have the learning rate)'
    """
    steps = fitted.get("steps")
    if not steps:
        return "closed form" if steps == 0 else "not recorded"
    text = f"{steps:,} steps"
    if config is None:
        return f"{text} (a model folder does not have the learning rate)"
    train = config.train
    if unit in fitted:
        text += f" ({steps * train.batch_size / fitted[unit]:.3g} epochs)"
    return f"{text} of {train.batch_size} {unit}, learning rate {train.learning_rate:g}"


def versions() -> str:
    """Returns the versions of flowjax and of the libraries that determine results."""
    return (
        f"flowjax {__version__}, jax {version('jax')}, numpy {version('numpy')}, "
        f"Python {platform.python_version()}"
    )


def run_vectors(
    model: BertFlow, folder: str | Path, fitted_on: Iterable[str] | None = None
) -> RunVectors:
    """Returns the vectors in `RUN/embeddings`, or the vectors of the embedded sample.

    Args:
        model: model of the run; encodes the sample if the run has no complete store.
        folder: path of the run.
        fitted_on: sentences of the fit, if available; ignored if they differ from the sentences of
            the vectors.

    Raises:
        FlowjaxError: The store is damaged.
    """
    store = Path(folder) / "embeddings"
    found = EmbeddingStore.open(store) if (store / "manifest.json").exists() else None
    if found is None or not found.complete:
        texts = read_sentences(sentences_file())[0]
        description = f"{len(texts):,} vectors of the embedded sample (the run has no embeddings)"
        return RunVectors(model.encoder.encode(texts), texts, description)
    vectors, sentences = found.vectors, None
    if fitted_on is not None and len(vectors) <= MAX_SENTENCES:
        texts = [s for s in fitted_on if s.strip()]
        sentences = texts if fingerprint(texts) == found.hash else None
    fitted = _fitted_fraction(model, len(vectors))
    description = f"{len(vectors):,} vectors of the run"
    return RunVectors(vectors, sentences, description, Seen(fitted, 1 - fitted))


def _fitted_fraction(model: BertFlow, rows: int) -> float:
    """Returns the fraction of the sentences of a run that its calibrations were fitted on.

    The others were held out to select the flow. It is 1 if nothing was selected.
    """
    facts = model.fitted_on
    examples = facts.get("examples", rows) if "selection" in facts else rows
    return float(min(1.0, examples / max(rows, 1)))


def task_vectors(
    model: BertFlow,
    tasks: Iterable[PairTask],
    plain: Mapping[str, np.ndarray] | None = None,
    fitted_on: Iterable[str] | None = None,
) -> list[TaskVectors]:
    """Returns the tasks with the plain vectors of their distinct sentences.

    Args:
        model: fitted model.
        tasks: tasks with labelled pairs.
        plain: vectors by task that `compare` stored in `keep`; None encodes the sentences.
        fitted_on: sentences of the fit, if available.
    """
    found = []
    fitted, selected = _parts_of_fit(model, fitted_on)
    for task in tasks:
        sentences = task.sentences(unique=True)
        vectors = model.encoder.encode(sentences) if plain is None else plain[task.name]
        seen = None
        if fitted is not None:
            seen = Seen(
                *(float(np.mean([s in part for s in sentences])) for part in (fitted, selected))
            )
        found.append(TaskVectors(task, sentences, vectors, seen))
    return found


def _parts_of_fit(model: BertFlow, fitted_on: Any) -> tuple[set[str] | None, set[str]]:
    """Returns the sentences of the fit, and the held-out sentences that selected the flow.

    Args:
        model: fitted model.
        fitted_on: sentences of the run, or None.

    Returns:
        The first set is None if the sentences are not available or too many.
    """
    if fitted_on is None:
        return None, set()
    source = SampledSource(fitted_on, model.seed)
    known = set(itertools.islice(source, MAX_SENTENCES + 1))
    if len(known) > MAX_SENTENCES:
        return None, set()
    held: set[str] = set()
    if _fitted_fraction(model, model.fitted_on.get("sentences", 0)) < 1:
        held = set(source.held().sentences)
    return known - held, held


def ranked_words(encoder: SentenceEncoder, sentences: Iterable[str] | None) -> RankedWords:
    """Returns the word embeddings of an encoder by frequency rank, without special tokens.

    Args:
        encoder: encoder with a tokenizer.
        sentences: text in which tokens are counted; None ranks them by their token ids, which
            follow the frequency in the tokenizer's training text.
    """
    added = encoder.tokenizer.get_added_tokens_decoder()
    special = re.compile(r"\[\w+\]|</?\w+>")
    vocabulary = encoder.tokenizer.get_vocab().items()
    words = np.sort([i for w, i in vocabulary if i not in added and not special.fullmatch(w)])
    embeddings = np.asarray(encoder.params["embeddings"]["word_embeddings"]["embedding"])
    if sentences is None:
        note = "Rank is the token id, because the sentences of the run are not available."
        return RankedWords(embeddings[words], note)
    texts = list(sentences)
    found: Counter[int] = Counter()
    for start in range(0, len(texts), CHUNK):
        block = texts[start : start + CHUNK]
        for encoding in encoder.tokenizer.encode_batch_fast(block, add_special_tokens=False):
            found.update(encoding.ids)
    counts = np.array([found[i] for i in words.tolist()])
    note = (
        f"Rank is by count in the {len(texts):,} sentences of the run. "
        f"{int((counts > 0).sum()):,} of {len(words):,} tokens occur in them; the others follow "
        "in the order of their token ids."
    )
    return RankedWords(embeddings[words[np.argsort(-counts, kind="stable")]], note)
