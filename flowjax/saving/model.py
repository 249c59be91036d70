"""Saved sentence models: an encoder, a flow, and facts about the fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flowjax._version import __version__
from flowjax.bijectors.moments import Moments
from flowjax.encoder.adapter import EncoderAdapter
from flowjax.encoder.embed import SentenceEncoder, load_calibrated
from flowjax.encoder.modules import is_calibrated
from flowjax.files.json import field, inner_path
from flowjax.saving.flow import FILE, describe_flow, load_flow, read_flow
from flowjax.saving.folder import (
    CONFIG,
    find_folder,
    local_folder,
    new_folder,
    no_config,
    read_config,
)
from flowjax.saving.params import load_arrays, load_params, save_params
from flowjax.types import Flow, FlowjaxError, Params

MOMENTS_FILE = "moments.safetensors"
SCORES_FILE = "scores.safetensors"
# Key of the subfolder with the encoder.
FILES = "files"
# Types of the options of `SentenceEncoder.from_pretrained` in `config.json`.
OPTIONS: dict[str, type] = {
    "pooling": str,
    "max_length": int,
    "special_tokens": bool,
    "normalize": bool,
    "dtype": str,
}
Encoder = SentenceEncoder | EncoderAdapter


class SavedModel(NamedTuple):
    """Content of a model folder.

    Attributes:
        encoder: the frozen encoder.
        flow: the flow, with the dim of the encoder.
        params: fitted parameters of the flow.
        moments: moments of the vectors that the flow was fitted on, from which reports compute a
            whitening for comparison; or None.
        seed: integer seed of the fit.
        fitted_on: facts about the fit, for the model card.
        scores: arrays of `calibration.scores.Scores`, or None.
    """

    encoder: Encoder
    flow: Flow
    params: Params
    moments: Moments | None
    seed: int
    fitted_on: Mapping[str, Any]
    scores: Mapping[str, np.ndarray] | None = None


def save_model(folder: str | Path, model: SavedModel, *, overwrite: bool = False) -> Path:
    """Writes a model folder atomically. Reading it does not require orbax.

    The folder contains `config.json`, `flow.safetensors`, `moments.safetensors`,
    `scores.safetensors` with the null distribution, the tokenizer, a model card `README.md`, and
    `encoder/` with the encoder. An embedded encoder and a revision on the Hugging Face hub are
    saved by their names instead. An encoder of another package is not saved.

    Args:
        folder: path of a new folder; missing parents are created.
        model: content of the folder.
        overwrite: True replaces an existing model folder.

    Returns:
        The path of the folder.

    Raises:
        FlowjaxError: The folder exists and `overwrite` is False.
    """
    encoder, flow = model.encoder, describe_flow(model.flow, model.params)
    about = {**encoder.describe(), "dim": encoder.dim, **_where(encoder)}
    config = {
        "flow": flow,
        "encoder": about,
        "seed": model.seed,
        "fitted_on": dict(model.fitted_on),
    }
    with new_folder(folder, config, overwrite=overwrite) as partial:
        save_params(model.params, partial / FILE)
        if model.moments is not None:
            save_params(model.moments._asdict(), partial / MOMENTS_FILE)
        if model.scores is not None:
            save_params(model.scores, partial / SCORES_FILE)
        if isinstance(encoder, SentenceEncoder):
            encoder.tokenizer.save(str(partial / "tokenizer.json"))
            if FILES in about:
                encoder.save(partial / about[FILES])
        (partial / "README.md").write_text(_card(model, about), "utf-8")
    return Path(folder)


def load_model(
    folder: str | Path, flow: Flow | None = None, encoder: EncoderAdapter | None = None
) -> SavedModel:
    """Returns the content of a model folder, or of the subfolder `model` of a run folder.

    Args:
        folder: folder of `save_model`; a run folder; or a folder of sentence-transformers whose
            last module is a `flowjax.sentence_transformers.Calibration`.
        flow: the saved flow if it is a composed flow.
        encoder: the encoder of a model whose encoder is of another package.

    Returns:
        The parts of the model.

    Raises:
        FlowjaxError: The folder contains no model, has another format or is damaged, or the
            encoder cannot be loaded.
    """
    folder = local_folder(folder)
    if is_calibrated(folder):
        return _load_modules(folder)
    found, config = find_folder(folder), read_config(folder)
    if config is None:
        raise no_config(folder, "a model folder")
    if "encoder" not in config:
        raise FlowjaxError(f"{folder}: expected a model of sentences, got a flow of arrays")
    file = found / CONFIG
    spec = field(config, "encoder", dict, file)
    dim, name = field(spec, "dim", int, file), field(spec, "encoder", str, file)
    seed, fitted_on = field(config, "seed", int, file), field(config, "fitted_on", dict, file)
    loaded = _load_encoder(found, spec, name, encoder)
    if loaded.dim != dim:
        got = f"{loaded.dim} of {name}"
        raise FlowjaxError(f"{folder}: expected an encoder of dim {dim}, got dim {got}")
    flow, params = read_flow(found, config, flow)
    moments = None
    if (found / MOMENTS_FILE).exists():
        like = {"count": np.zeros(()), "mean": np.zeros(dim), "m2": np.zeros((dim, dim))}
        arrays = load_params(found / MOMENTS_FILE, like)
        moments = Moments(int(arrays["count"]), arrays["mean"], arrays["m2"])
    scores = load_arrays(found / SCORES_FILE) if (found / SCORES_FILE).exists() else None
    return SavedModel(loaded, flow, params, moments, seed, fitted_on, scores)


def _load_modules(folder: str | Path) -> SavedModel:
    """Returns a model from a folder of sentence-transformers with a calibration."""
    encoder, inside = load_calibrated(folder)
    flow, params = load_flow(inside)
    config = read_config(inside) or {}
    return SavedModel(encoder, flow, params, None, 0, config.get("fitted_on", {}))


def _where(encoder: Encoder) -> dict[str, Any]:
    """Returns the entries of `config.json` from which an encoder is loaded again."""
    if isinstance(encoder, EncoderAdapter):
        return {}
    found = encoder.location
    if found is None or not found.by_name:
        return {FILES: "encoder"}
    if found.revision is not None:
        return {"revision": found.revision}
    return {"weights": encoder.weights_hash}  # an embedded encoder may change with a release


def _load_encoder(
    folder: Path, spec: Mapping[str, Any], name: str, given: EncoderAdapter | None
) -> Encoder:
    file = folder / CONFIG
    if "class" in spec:
        if given is None:
            raise FlowjaxError(
                f"{folder}: expected the encoder {name} of {spec['class']}, got none; give it as "
                "BertFlow.load(folder, encoder=...)"
            )
        return given
    if given is not None:
        raise FlowjaxError(f"encoder: expected None for the saved encoder {name}, got an encoder")
    options: dict[str, Any] = {
        key: field(spec, key, kind, file) for key, kind in OPTIONS.items() if key in spec
    }
    if "dense" in spec:  # a name of a pooling would drop the linear layers
        options["pooling"] = "auto"
    options.setdefault("normalize", False)  # the folder of the encoder may have another value
    if FILES in spec:
        inside = inner_path(spec[FILES], f"{file}: {FILES}")
        encoder = SentenceEncoder.from_pretrained(folder / inside, **options)
        encoder.name = name
        return encoder
    revision = field(spec, "revision", str, file, None)
    encoder = SentenceEncoder.from_pretrained(name, revision=revision, **options)
    wanted = field(spec, "weights", str, file, None)
    if wanted is not None and encoder.weights_hash != wanted:
        raise FlowjaxError(
            f"{folder}: expected the encoder {name} with the weights {wanted}, got "
            f"{encoder.weights_hash}; install the bert-flowjax that saved the model "
            "(config.json has its version), or fit the model again"
        )
    return encoder


def _selection(facts: Mapping[str, Any] | None) -> str:
    """Returns the section of the model card about the selection of the flow, or no text."""
    if facts is None:
        return ""
    rows = facts.get("table", {})
    columns = list(next(iter(rows.values()), {}))
    lines = ["", "## Selection", "", f"Selected without labels: {facts['advice']}."]
    if rows:
        lines += [
            "",
            "| vectors | " + " | ".join(columns) + " |",
            "| --- |" + " ---: |" * len(columns),
        ]
    for name, row in rows.items():
        lines.append(
            f"| {name} | " + " | ".join(f"{row[column]:.2f}" for column in columns) + " |"
        )
    return "\n".join([*lines, ""])


def _card(model: SavedModel, encoder: Mapping[str, Any]) -> str:
    facts = dict(model.fitted_on)
    selection = _selection(facts.pop("selection", None))
    fitted = "\n".join(f"- {key}: {value}" for key, value in facts.items())
    about = "\n".join(f"- {key}: {value}" for key, value in encoder.items())
    return f"""# {model.flow.name} on {encoder["encoder"]}

Sentence vectors of a frozen BERT, calibrated by a normalizing flow (BERT-flow, arXiv 2011.05864),
made with bert-flowjax {__version__}.

## Fitted on

{fitted}

`nll_nats` and `bits_per_dim` are the negative log-likelihood of this model on the training
examples, per example in nats and per dimension in bits; `gaussian_` marks the values of a Gaussian
with their mean and covariance on the same examples, `validation_` the values on held-out examples.

The fit used no labels. Use the model for sentences like these; fit again for others.
{selection}
## Encoder

{about}

## Flow

```
{model.flow.describe(model.params)}
```

## Use

```python
import flowjax
model = flowjax.BertFlow.load("this/folder")
vectors = model.encode(["One sentence."])
```
"""
