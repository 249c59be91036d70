"""Saved sentence models: an encoder, a flow, and facts about the fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flowjax._version import __version__
from flowjax.bijectors.moments import Moments
from flowjax.encoder.embed import SentenceEncoder
from flowjax.encoder.resolve import EMBEDDED
from flowjax.saving.flow import FILE, describe_flow, read_flow
from flowjax.saving.folder import CONFIG, find_folder, new_folder, read_config
from flowjax.saving.params import load_params, save_params
from flowjax.types import Flow, FlowjaxError, Params

MOMENTS_FILE = "moments.safetensors"


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
    """

    encoder: SentenceEncoder
    flow: Flow
    params: Params
    moments: Moments | None
    seed: int
    fitted_on: Mapping[str, Any]


def save_model(folder: str | Path, model: SavedModel, *, overwrite: bool = False) -> Path:
    """Writes a model folder atomically. Reading it does not require orbax.

    The folder contains `config.json`, `flow.safetensors`, `moments.safetensors`, the tokenizer, a
    model card `README.md`, and `encoder/` if the encoder came from a local folder.

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
    local = Path(encoder.name).is_dir() and encoder.name not in EMBEDDED
    about = {**encoder.describe(), "dim": encoder.dim, **({"files": "encoder"} if local else {})}
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
        encoder.tokenizer.save(str(partial / "tokenizer.json"))
        if local:
            encoder.save(partial / "encoder")
        (partial / "README.md").write_text(_card(model, about), "utf-8")
    return Path(folder)


def load_model(folder: str | Path, flow: Flow | None = None) -> SavedModel:
    """Returns the content of a model folder, or of the subfolder `model` of a run folder.

    Args:
        folder: folder of `save_model`, or a run folder.
        flow: the saved flow if it is a composed flow.

    Raises:
        FlowjaxError: The folder contains no model, has another format or is damaged, or the
            encoder cannot be loaded.
    """
    found, config = find_folder(folder), read_config(folder)
    if config is None:
        raise FlowjaxError(f"{folder}: expected a model folder with {CONFIG}, got no such file")
    if "encoder" not in config:
        raise FlowjaxError(f"{folder}: expected a model of sentences, got a flow of arrays")
    try:
        spec = dict(config["encoder"])
        dim, name = spec.pop("dim"), spec.pop("encoder")
        seed, fitted_on = config["seed"], dict(config["fitted_on"])
    except (ValueError, KeyError, TypeError) as error:
        file = found / CONFIG
        raise FlowjaxError(f"{file}: expected the config of a model, got {error!r}") from None
    files = spec.pop("files", None)
    encoder = SentenceEncoder.from_pretrained(found / files if files else name, **spec)
    if files:
        encoder.name = name
    if encoder.dim != dim:
        got = f"{encoder.dim} of {name}"
        raise FlowjaxError(f"{folder}: expected an encoder of dim {dim}, got dim {got}")
    flow, params = read_flow(found, config, flow)
    moments = None
    if (found / MOMENTS_FILE).exists():
        like = {"count": np.zeros(()), "mean": np.zeros(dim), "m2": np.zeros((dim, dim))}
        arrays = load_params(found / MOMENTS_FILE, like)
        moments = Moments(int(arrays["count"]), arrays["mean"], arrays["m2"])
    return SavedModel(encoder, flow, params, moments, seed, fitted_on)


def _card(model: SavedModel, encoder: Mapping[str, Any]) -> str:
    fitted = "\n".join(f"- {key}: {value}" for key, value in model.fitted_on.items())
    about = "\n".join(f"- {key}: {value}" for key, value in encoder.items())
    return f"""# {model.flow.name} on {encoder["encoder"]}

Sentence vectors of a frozen BERT, calibrated by a normalizing flow (BERT-flow, arXiv 2011.05864),
made with bert-flowjax {__version__}.

## Fitted on

{fitted}

The fit used no labels. Use the model for sentences like these; fit again for others.

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
