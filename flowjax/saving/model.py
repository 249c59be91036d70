"""The portable model folder: everything needed to encode, readable without orbax.

`config.json` (what it is, fitted on what), `flow.safetensors`, `moments.safetensors` (mean and
covariance of the vectors it was fitted on, for the whitening beside it in reports), the
tokenizer's files, `encoder/` where the encoder came from a local folder, and a card `README.md`.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from flowjax._version import __version__
from flowjax.bijectors.moments import Moments
from flowjax.encoder.embed import SentenceEncoder
from flowjax.encoder.resolve import EMBEDDED
from flowjax.saving.flow import FORMAT, shapes_of
from flowjax.saving.params import load_params, save_params
from flowjax.types import Flow, FlowjaxError


def save(model: Any, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Writes a fitted model; the folder appears whole or not at all.

    Args:
        model: fitted.
        folder: where to; its parents are made.
        overwrite: replaces a model that is there.

    Returns:
        The folder.

    Raises:
        ValueError: not fitted, or the folder exists and `overwrite` is not set.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise FlowjaxError(f"{folder}: exists already; expected a new folder, or overwrite")
    params = model._fitted()
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        encoder = model.encoder
        config: dict[str, Any] = {
            "format": FORMAT,
            "flowjax": __version__,
            "encoder": {**encoder.describe(), "dim": encoder.dim},
            "flow": {
                "name": model.flow_name,
                "options": model.flow_options,
                "finished": "latents" in params if isinstance(params, dict) else False,
            },
            "seed": model.seed,
            "fitted_on": model.fitted_on,
        }
        save_params(params, partial / "flow.safetensors")
        if model.moments is not None:
            m = model.moments
            arrays = {"count": np.asarray(m.count), "mean": m.mean, "m2": m.m2}
            save_params(arrays, partial / "moments.safetensors")
        encoder.tokenizer.save(str(partial / "tokenizer.json"))
        if Path(encoder.name).is_dir() and encoder.name not in EMBEDDED:
            encoder.save(partial / "encoder")
            config["encoder"]["files"] = "encoder"
        (partial / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
        (partial / "README.md").write_text(_card(model, config), "utf-8")
        partial.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder


def load(make: Callable[..., Any], folder: str | Path, *, flow: Flow | None = None) -> Any:
    """Reads a model folder, or the run folder that holds one as `model/`.

    Args:
        make: the class `BertFlow`.
        folder: of `save`.
        flow: the flow, where it was not one of `flows.make`.

    Raises:
        ValueError: no model there, or damaged, or its encoder cannot be had.
    """
    folder = Path(folder)
    if not (folder / "config.json").exists() and (folder / "model" / "config.json").exists():
        folder = folder / "model"
    if not (folder / "config.json").exists():
        raise FlowjaxError(f"{folder}: expected a model folder with config.json, found none")
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        spec, recipe = dict(config["encoder"]), config["flow"]
    except (ValueError, KeyError, TypeError) as error:
        raise FlowjaxError(f"{folder / 'config.json'}: not a model's config: {error!r}") from None
    if config.get("format") != FORMAT:
        raise FlowjaxError(
            f"{folder}: expected format {FORMAT}, got {config.get('format')!r}; fit it again"
        )
    dim, name, files = spec.pop("dim"), spec.pop("encoder"), spec.pop("files", None)
    encoder = SentenceEncoder.from_pretrained(folder / files if files else name, **spec)
    if files:
        encoder.name = name
    if encoder.dim != dim:
        raise FlowjaxError(f"{folder}: expected an encoder of dim {dim}, {name} has {encoder.dim}")
    model = make(
        encoder, flow=flow or recipe["name"], flow_options=recipe["options"], seed=config["seed"]
    )
    shapes = shapes_of(model.flow, finished=bool(recipe.get("finished")))
    model.params = load_params(folder / "flow.safetensors", shapes)
    if (folder / "moments.safetensors").exists():
        like = {"count": np.zeros(()), "mean": np.zeros(dim), "m2": np.zeros((dim, dim))}
        arrays = load_params(folder / "moments.safetensors", like)
        model.moments = Moments(int(arrays["count"]), arrays["mean"], arrays["m2"])
    model.fitted_on = config["fitted_on"]
    return model


def _card(model: Any, config: dict[str, Any]) -> str:
    fitted, encoder = config["fitted_on"], config["encoder"]
    lines = [f"- {key}: {value}" for key, value in fitted.items()]
    return "\n".join(
        [
            f"# {config['flow']['name']} on {encoder['encoder']}",
            "",
            "Sentence vectors of a frozen BERT, calibrated by a normalizing flow "
            "(BERT-flow, arXiv 2011.05864), made with bert-flowjax " + __version__ + ".",
            "",
            "## Fitted on",
            "",
            *lines,
            "",
            "No labels were seen. It is good for sentences like these; fit again for others.",
            "",
            "## Encoder",
            "",
            *(f"- {key}: {value}" for key, value in encoder.items()),
            "",
            "## Flow",
            "",
            "```",
            model.flow.describe(model.params),
            "```",
            "",
            "## Use",
            "",
            "```python",
            "import flowjax",
            'model = flowjax.BertFlow.load("this/folder")',
            'vectors = model.encode(["One sentence."])',
            "```",
            "",
        ]
    )
